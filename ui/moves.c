/* Moving; see moves.h. */
#include "ui/moves.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/columns.h"
#include "ui/format.h"
#include "ui/listing.h"
#include "ui/panes.h"

enum {
    ALL = 1000000, /* more than any list has */
    SIDEWAYS = 16, /* columns */
};

struct logview *moves_log(struct app *a)
{
    enum screen_id s = app_screen(a);
    if (s == SCREEN_LOG)
        return &a->page_log;
    if (s == SCREEN_DETAIL && a->tab == TAB_LOGS)
        return &a->detail_log;
    struct logview *pane = s == SCREEN_DETAIL ? &a->detail_log : &a->pane_log;
    bool lists = s == SCREEN_LIST || s == SCREEN_DETAIL;
    return lists && (a->focus_log || a->zoom == ZOOM_LOG) ? pane : NULL;
}

static bool on_page(struct app *a)
{
    return !moves_log(a) && !listing_of(a).rows;
}

static int pane_height(struct app *a)
{
    const struct rect *r = moves_log(a) && a->layout.log.h ? &a->layout.log : &a->layout.list;
    bool is_titled = moves_log(a) || (on_page(a) && app_screen(a) != SCREEN_DETAIL);
    int h = r->h - is_titled;
    return h < 1 ? 1 : h;
}

static void move_by(struct app *a, int delta)
{
    struct logview *v = moves_log(a);
    struct log_window w;
    if (v) {
        pane_log_fetch(a, v, true, 0, &w);
        logview_move(v, &w, delta, clock_wall_us());
    } else if (on_page(a)) {
        a->page_top = delta <= -ALL ? 0 : a->page_top + delta;
    } else {
        rows_move(listing_of(a).rows, delta);
    }
}

void move_up(struct app *a)
{
    move_by(a, -1);
}

void move_down(struct app *a)
{
    move_by(a, 1);
}

void move_page_up(struct app *a)
{
    move_by(a, -pane_height(a));
}

void move_page_down(struct app *a)
{
    move_by(a, pane_height(a));
}

void move_half_up(struct app *a)
{
    move_by(a, -(pane_height(a) + 1) / 2);
}

void move_half_down(struct app *a)
{
    move_by(a, (pane_height(a) + 1) / 2);
}

/* In a log the first page, with its oldest line on top. */
void move_first(struct app *a)
{
    move_by(a, -ALL);
    if (moves_log(a))
        move_by(a, pane_height(a) - 1);
}

void move_last(struct app *a)
{
    move_by(a, ALL);
}

bool can_scroll(struct app *a, char *reason, size_t size)
{
    bool can = moves_log(a) || columns_can_scroll(a);
    if (!can)
        str_copy(reason, size,
                 listing_of(a).columns ? "all columns are on the screen" : "there is no list here");
    return can;
}

void move_left(struct app *a)
{
    struct logview *v = moves_log(a);
    if (!v) {
        columns_scroll(a, -1);
        return;
    }
    v->left = v->left > SIDEWAYS ? v->left - SIDEWAYS : 0;
}

void move_right(struct app *a)
{
    struct logview *v = moves_log(a);
    if (!v)
        columns_scroll(a, 1);
    else if (!v->wrap && v->left < 400)
        v->left += SIDEWAYS;
}

static void find(struct app *a, int direction)
{
    struct logview *v = moves_log(a);
    struct log_window w;
    pane_log_fetch(a, v, true, 0, &w);
    if (!logview_find(v, &w, direction, clock_wall_us()))
        app_say(a, SEVERITY_INFO, "no %s line with \"%s\"", direction < 0 ? "older" : "newer",
                v->search);
}

void move_find_older(struct app *a)
{
    find(a, -1);
}

void move_find_newer(struct app *a)
{
    find(a, 1);
}

/* A search starts when it is entered; a filter follows what is typed. */
static void search(struct app *a)
{
    struct logview *v = moves_log(a);
    if (v && *v->search)
        find(a, -1);
}

void move_filter(struct app *a)
{
    struct logview *v = moves_log(a);
    struct prompt *p = &a->prompt;
    str_copy(p->label, sizeof p->label, v ? "search" : "filter");
    p->target = v ? v->search : listing_of(a).filter;
    p->size = INPUT_SIZE;
    p->done = v ? search : NULL;
    str_copy(p->before, sizeof p->before, p->target);
    *p->target = '\0';
    a->mode = MODE_PROMPT;
}

/* The next rate, and after the slowest one the fastest. */
void move_rate(struct app *a)
{
    static const int64_t rates[] = {250, 500, 1000, 2000, 5000};
    char t[FORMAT_SIZE];
    size_t i = 0;
    while (i < COUNT_OF(rates) && rates[i] <= a->frame_ms)
        i++;
    a->frame_ms = rates[i % COUNT_OF(rates)];
    app_say(a, SEVERITY_INFO, "refreshes at most every %s",
            format_seconds((double)a->frame_ms / 1000, t));
}

void move_from(struct app *a)
{
    struct logview *v = moves_log(a);
    const struct rect *r = a->layout.log.h ? &a->layout.log : &a->layout.list;
    struct rect body = {0, 0, pane_height(a), r->w};
    struct log_window w;
    pane_log_fetch(a, v, true, 0, &w);
    logview_from(v, &a->paint, &w, &body);
}

void move_until(struct app *a)
{
    struct logview *v = moves_log(a);
    struct log_window w;
    pane_log_fetch(a, v, true, 0, &w);
    logview_until(v, &w);
}

void move_more(struct app *a)
{
    struct logview *v = moves_log(a);
    if (v->least > LOG_LEVEL_DEBUG)
        v->least = (enum log_level)(v->least - 1);
}

void move_less(struct app *a)
{
    struct logview *v = moves_log(a);
    if (v->least < LOG_LEVEL_ERROR)
        v->least = (enum log_level)(v->least + 1);
}
