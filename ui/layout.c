/* Where everything stands; see layout.h. What goes first when room is short: log, finding, the
 * second line of the head; the sums of all mirrors need a large one. Columns (graph, rows/s) go by
 * their own table, ui/columns. */
#include "ui/layout.h"

#include <string.h>

enum {
    MIN_ROWS = 6,
    MIN_COLS = 40,
    CRUMB_ROWS = 8,    /* from here on a second head line */
    FINDING_MORE = 5,  /* lines that it gets of those that the list leaves; */
    LOG_LEAST = 5,     /* so many stay for the log */
    FINDING_ROWS = 14, /* from here on the finding of the selected */
    LOG_ROWS = 19,     /* from here on its log */
    SIDE_COLS = 110,   /* from here on panes stand side by side */
    FLEET_ROWS =
        34, /* from here on, and as wide, all mirrors are summed up, or one is told more of */
    FLEET_HIGH = 3,
    STAGES_HIGH = 2,
    FLOW_HIGH = 4,
    LIST_LEAST = 3,
    TABLE_LEAST = 5, /* lines below a table */
    TABLE_MOST = 14,
};

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int most(int a, int b)
{
    return a > b ? a : b;
}

/* Takes h lines off the top of *rest. */
static struct rect take_top(struct rect *rest, int h)
{
    struct rect r = {rest->y, rest->x, h, rest->w};
    rest->y += h;
    rest->h -= h;
    return r;
}

static struct rect take_bottom(struct rect *rest, int h)
{
    rest->h -= h;
    return (struct rect){rest->y + rest->h, rest->x, h, rest->w};
}

/* How many of the body's lines the list may have: what it needs, at most its share. */
static int list_share(int items, int share)
{
    return most(LIST_LEAST, least(share, items + 1));
}

static void layout_stacked(const struct layout_request *q, struct rect body, struct layout *out)
{
    bool log = q->rows >= LOG_ROWS;
    int finding = q->rows >= 36 ? 8 : log || q->rows >= 16 ? 5 : 4;
    int rest = body.h - finding;
    int list = log ? list_share(q->items, rest - most(4, rest / 3)) : rest;
    if (log) /* what is wrong, and what helps, goes before old lines of the log */
        finding += least(FINDING_MORE, most(0, rest - list - LOG_LEAST));
    out->list = take_top(&body, list);
    out->finding = take_top(&body, finding);
    if (log)
        out->log = body;
}

static void layout_side(const struct layout_request *q, struct rect body, struct layout *out)
{
    int list = list_share(q->items, body.h - most(7, body.h * 2 / 5));
    out->list = take_top(&body, list);
    int left = body.w * 48 / 100;
    out->finding = (struct rect){body.y, body.x, body.h, left};
    out->log = (struct rect){body.y, body.x + left + 1, body.h, body.w - left - 1};
    out->side_by_side = true;
}

static void layout_table(struct rect body, struct layout *out)
{
    int finding = most(TABLE_LEAST, least(TABLE_MOST, body.h / 2));
    out->list = take_top(&body, body.h - finding);
    out->finding = body;
}

/* There is room for panes that stay away else. */
static bool is_large(const struct layout_request *q)
{
    return q->zoom == ZOOM_NONE && q->rows >= FLEET_ROWS && q->cols >= SIDE_COLS;
}

static void layout_body(const struct layout_request *q, struct rect body, struct layout *out)
{
    if (q->kind == LAYOUT_PAGE) {
        out->list = body;
        return;
    }
    if (q->zoom == ZOOM_LOG) {
        out->log = body;
        return;
    }
    if (q->kind == LAYOUT_LIST && is_large(q))
        out->fleet = take_top(&body, FLEET_HIGH);
    if (q->kind == LAYOUT_DETAIL && is_large(q)) {
        out->stages = take_top(&body, STAGES_HIGH);
        out->flow = take_top(&body, FLOW_HIGH);
    }
    out->columns = take_top(&body, 1);
    if (q->zoom == ZOOM_MAIN || q->rows < FINDING_ROWS)
        out->list = body;
    else if (q->kind == LAYOUT_TABLE)
        layout_table(body, out);
    else if (q->cols >= SIDE_COLS && q->rows >= LOG_ROWS)
        layout_side(q, body, out);
    else
        layout_stacked(q, body, out);
}

void layout_compute(const struct layout_request *q, struct layout *out)
{
    memset(out, 0, sizeof *out);
    struct rect body = {0, 0, most(q->rows, 1), most(q->cols, 1)};
    if (q->rows < MIN_ROWS || q->cols < MIN_COLS) {
        out->tiny = true;
        out->head = take_top(&body, 1);
        return;
    }
    out->head = take_top(&body, 1);
    out->hint = take_bottom(&body, 1);
    out->message = take_bottom(&body, 1);
    if (q->rows >= CRUMB_ROWS)
        out->crumbs = take_top(&body, 1);
    if (q->kind == LAYOUT_DETAIL)
        out->info = take_top(&body, is_large(q)               ? 1
                                    : q->rows >= FINDING_ROWS ? 2
                                                              : q->rows >= CRUMB_ROWS);
    layout_body(q, body, out);
}
