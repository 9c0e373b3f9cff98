/* What all mirrors do together; see fleet.h. */
#include "ui/fleet.h"

#include <string.h>

#include "base/mem.h"
#include "ui/draw.h"
#include "ui/format.h"
#include "ui/text.h"

enum {
    LAG_X = 48,    /* where the columns of the first line begin, */
    ERRORS_W = 25, /* and how wide the last one is: nothing jumps when a figure grows */
    GRAPH = 12,
    BAR = 10,
    NAME_MOST = 30,
    XMIN_W = 16, /* of the second line's last column, which stays also where sources are many */
    SOURCES = 16,
    WARN_PERCENT = 50, /* of what a source may keep */
    FAIL_PERCENT = 80,
};

/* WAL that a source keeps for the slots of its mirrors: for the oldest of them, as it is the same
 * WAL. */
struct kept {
    const char *peer;    /* borrowed from the picture */
    int64_t bytes, most; /* most: -1 without a limit */
};

static bool is_at_work(const struct mirror_status *m)
{
    return m->state != MIRROR_PAUSED && m->state != MIRROR_STOPPED;
}

/* Who is furthest behind in time, of those that are meant to go on; NULL: nobody says. */
static const struct mirror_status *worst_lag(const struct picture *p)
{
    const struct mirror_status *worst = NULL;
    for (size_t i = 0; i < p->n; i++) {
        const struct mirror_status *m = &p->mirrors[i];
        if (is_at_work(m) && m->lag_seconds >= 0 && (!worst || m->lag_seconds > worst->lag_seconds))
            worst = m;
    }
    return worst;
}

static void kept_add(struct kept *all, int *n, const struct mirror_status *m)
{
    const struct slot_status *s = &m->slot;
    int i = 0;
    if (!s->sampled_at || !s->exists)
        return;
    while (i < *n && strcmp(all[i].peer, m->source_peer) != 0)
        i++;
    if (i == SOURCES)
        return;
    if (i == *n)
        all[(*n)++] = (struct kept){.peer = m->source_peer, .bytes = -1, .most = -1};
    if (s->retained_bytes <= all[i].bytes)
        return;
    all[i].bytes = s->retained_bytes;
    all[i].most = s->safe_wal_size < 0 ? -1 : s->retained_bytes + s->safe_wal_size;
}

/* Sources by what they keep, the most first; returns how many. */
static int kept_of(const struct picture *p, struct kept all[SOURCES])
{
    int n = 0;
    for (size_t i = 0; i < p->n; i++)
        kept_add(all, &n, &p->mirrors[i]);
    for (int i = 1; i < n; i++)
        for (int k = i; k > 0 && all[k].bytes > all[k - 1].bytes; k--) {
            struct kept swap = all[k];
            all[k] = all[k - 1];
            all[k - 1] = swap;
        }
    return n;
}

/* Rows a second of all mirrors at each sample; negative: none of them has one. */
static void rows_history(const struct picture *p, float sum[LAG_HISTORY])
{
    for (size_t k = 0; k < LAG_HISTORY; k++) {
        sum[k] = -1;
        for (size_t i = 0; i < p->n; i++) {
            float rows = p->mirrors[i].rows_history[k];
            if (rows >= 0)
                sum[k] = sum[k] < 0 ? rows : sum[k] + rows;
        }
    }
}

static void flow_draw(struct app *a, int y, const struct rect *r)
{
    char rows[FORMAT_SIZE], bytes[FORMAT_SIZE];
    double n_rows = 0, n_bytes = 0;
    float history[LAG_HISTORY];
    for (size_t i = 0; i < a->picture->n; i++) {
        n_rows += a->picture->mirrors[i].rows_per_second;
        n_bytes += a->picture->mirrors[i].bytes_per_second;
    }
    draw_textf(&a->paint, y, r->x, LAG_X - GRAPH - 4, ROLE_TEXT, " flow      %s rows/s, %sB/s",
               format_count((int64_t)n_rows, rows), format_bytes((int64_t)n_bytes, bytes));
    rows_history(a->picture, history);
    draw_scaled_graph(&a->paint, y, r->x + LAG_X - GRAPH - 3, GRAPH, ROLE_TEXT, history,
                      LAG_HISTORY);
}

/* The name is cut, then the graph goes, where there is no room up to end. */
static void worst_lag_draw(struct app *a, int y, int x, int end)
{
    char lag[FORMAT_SIZE];
    const struct mirror_status *worst = worst_lag(a->picture);
    if (!worst)
        return;
    enum role role = worst->lag_seconds >= 120  ? ROLE_FAIL
                     : worst->lag_seconds >= 30 ? ROLE_WARN
                                                : ROLE_TEXT;
    x += draw_text(&a->paint, y, x, end - x, ROLE_TEXT, "worst lag  ");
    x += draw_textf(&a->paint, y, x, end - x, role, "%s ", format_seconds(worst->lag_seconds, lag));
    int room = end - x < NAME_MOST ? end - x : NAME_MOST;
    x += draw_text(&a->paint, y, x, room, role, worst->name) + 2;
    if (x + GRAPH <= end)
        draw_graph(&a->paint, y, x, GRAPH, worst->lag_history, LAG_HISTORY);
}

/* Failed runs, and tables that left the stream, of the last hour. */
static void errors_draw(struct app *a, int y, int x)
{
    float parts[ERROR_HISTORY] = {0};
    int64_t sum = 0;
    char n[FORMAT_SIZE];
    for (size_t i = 0; i < a->picture->n; i++)
        for (size_t k = 0; k < ERROR_HISTORY; k++) {
            parts[k] += (float)a->picture->mirrors[i].error_history[k];
            sum += a->picture->mirrors[i].error_history[k];
        }
    enum role role = sum > 0 ? ROLE_FAIL : ROLE_TEXT;
    x += draw_text(&a->paint, y, x, 9, ROLE_TEXT, "errors/h ");
    draw_field(&a->paint, y, x, 4, role, ALIGN_LEFT, format_count(sum, n));
    draw_scaled_graph(&a->paint, y, x + 4, ERROR_HISTORY, role, parts, ERROR_HISTORY);
}

/* Of the mirrors' slots the one that keeps the most WAL, and the one that keeps the most from
 * VACUUM; NULL: nobody says. */
static void oldest_of(const struct picture *p, const struct mirror_status **slot,
                      const struct mirror_status **xmin)
{
    *slot = *xmin = NULL;
    for (size_t i = 0; i < p->n; i++) {
        const struct mirror_status *m = &p->mirrors[i];
        const struct slot_status *s = &m->slot;
        if (!s->sampled_at || !s->exists)
            continue;
        if (s->restart && (!*slot || s->retained_bytes > (*slot)->slot.retained_bytes))
            *slot = m;
        if (s->xmin_age >= 0 && (!*xmin || s->xmin_age > (*xmin)->slot.xmin_age))
            *xmin = m;
    }
}

/* What a slot costs beside the WAL's room; as much of it as there is room for from x on. */
static void oldest_draw(struct app *a, int y, int x, const struct rect *r)
{
    const struct mirror_status *slot, *xmin;
    char text[2 * NAME_SIZE + 80], oldest[NAME_SIZE + 40] = "", age[FORMAT_SIZE];
    char lsn[LSN_TEXT_SIZE];
    oldest_of(a->picture, &slot, &xmin);
    if (slot)
        str_printf(oldest, sizeof oldest, "oldest slot %s %s  ", slot->slot_name,
                   lsn_format(slot->slot.restart, lsn));
    if (xmin)
        format_count(xmin->slot.xmin_age, age);
    bool other = xmin && xmin != slot;
    for (int left_out = 0; left_out < 3; left_out++) {
        str_printf(text, sizeof text, "%s%s%s%s%s", left_out < 2 ? oldest : "",
                   xmin ? "xmin age " : "", xmin ? age : "", other && left_out < 1 ? " " : "",
                   other && left_out < 1 ? xmin->slot_name : "");
        int w = text_columns(text, a->theme.unicode);
        if (x + w + 1 > r->x + r->w)
            continue;
        draw_text(&a->paint, y, r->x + r->w - w - 1, w, ROLE_TEXT, text);
        return;
    }
}

/* As many sources as there is room for up to end; returns where they end. */
static int kept_draw(struct app *a, int y, int x, int end)
{
    struct kept all[SOURCES];
    char bytes[FORMAT_SIZE], most[FORMAT_SIZE], text[160], bar[BAR * 4 + 1];
    int n = kept_of(a->picture, all);
    x += draw_text(&a->paint, y, x, end - x, ROLE_TEXT, " WAL kept  ");
    for (int i = 0; i < n; i++) {
        const struct kept *k = &all[i];
        int percent = k->most > 0 ? (int)(k->bytes * 100 / k->most) : 0;
        enum role role = percent >= FAIL_PERCENT   ? ROLE_FAIL
                         : percent >= WARN_PERCENT ? ROLE_WARN
                                                   : ROLE_TEXT;
        bool bounded = k->most > 0;
        str_printf(text, sizeof text, "%.40s %s%s%s ", k->peer, format_bytes(k->bytes, bytes),
                   bounded ? " of " : "", bounded ? format_bytes(k->most, most) : "");
        int width = (int)strlen(text) + (bounded ? BAR : 0);
        if (x + width > end)
            return x;
        x += draw_text(&a->paint, y, x, width, role, text);
        if (bounded) {
            theme_bar(&a->theme, BAR, (double)k->bytes / (double)k->most, bar, sizeof bar);
            x += draw_text(&a->paint, y, x, BAR, role, bar);
        }
        x += 2;
    }
    if (n == 0)
        x += draw_text(&a->paint, y, x, end - x, ROLE_DIM, "nothing that a slot here holds");
    return x;
}

void fleet_draw(struct app *a)
{
    const struct rect *r = &a->layout.fleet;
    if (r->h < 3)
        return;
    draw_rule(&a->paint, r->y, r->x, r->w, ROLE_STRONG, "all mirrors", NULL);
    int end = r->x + r->w - ERRORS_W - 1;
    flow_draw(a, r->y + 1, r);
    worst_lag_draw(a, r->y + 1, r->x + LAG_X, end - 2);
    errors_draw(a, r->y + 1, end);
    int x = kept_draw(a, r->y + 2, r->x, r->x + r->w - XMIN_W);
    oldest_draw(a, r->y + 2, x, r);
}
