/* What all mirrors do together; see fleet.h. */
#include "ui/fleet.h"

#include <string.h>

#include "base/mem.h"
#include "ui/draw.h"
#include "ui/format.h"

enum {
    GRAPH = 24,
    BAR = 10,
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

static void flow_draw(struct app *a, int y, const struct rect *r)
{
    char rows[FORMAT_SIZE], bytes[FORMAT_SIZE], lag[FORMAT_SIZE];
    double n_rows = 0, n_bytes = 0;
    const struct mirror_status *worst = worst_lag(a->picture);
    for (size_t i = 0; i < a->picture->n; i++) {
        n_rows += a->picture->mirrors[i].rows_per_second;
        n_bytes += a->picture->mirrors[i].bytes_per_second;
    }
    int x = r->x + draw_textf(&a->paint, y, r->x, r->w, ROLE_TEXT, " flow      %s rows/s, %sB/s",
                              format_count((int64_t)n_rows, rows),
                              format_bytes((int64_t)n_bytes, bytes));
    if (!worst)
        return;
    enum role role = worst->lag_seconds >= 120  ? ROLE_FAIL
                     : worst->lag_seconds >= 30 ? ROLE_WARN
                                                : ROLE_TEXT;
    x = x < r->x + 42 ? r->x + 42 : x + 3;
    x += draw_text(&a->paint, y, x, r->w - x, ROLE_TEXT, "worst lag  ");
    x += draw_textf(&a->paint, y, x, r->w - x, role, "%s %.30s  ",
                    format_seconds(worst->lag_seconds, lag), worst->name);
    if (x + GRAPH < r->x + r->w)
        draw_graph(&a->paint, y, x, GRAPH, worst->lag_history, LAG_HISTORY);
}

/* As many sources as there is room for. */
static void kept_draw(struct app *a, int y, const struct rect *r)
{
    struct kept all[SOURCES];
    char bytes[FORMAT_SIZE], most[FORMAT_SIZE], text[160], bar[BAR * 4 + 1];
    int n = kept_of(a->picture, all);
    int x = r->x + draw_text(&a->paint, y, r->x, r->w, ROLE_TEXT, " WAL kept  ");
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
        if (x + width > r->x + r->w)
            return;
        x += draw_text(&a->paint, y, x, width, role, text);
        if (bounded) {
            theme_bar(&a->theme, BAR, (double)k->bytes / (double)k->most, bar, sizeof bar);
            x += draw_text(&a->paint, y, x, BAR, role, bar);
        }
        x += 2;
    }
    if (n == 0)
        draw_text(&a->paint, y, x, r->w - x, ROLE_DIM, "nothing that a slot here holds");
}

void fleet_draw(struct app *a)
{
    const struct rect *r = &a->layout.fleet;
    if (r->h < 3)
        return;
    draw_rule(&a->paint, r->y, r->x, r->w, ROLE_STRONG, "all mirrors", NULL);
    flow_draw(a, r->y + 1, r);
    kept_draw(a, r->y + 2, r);
}
