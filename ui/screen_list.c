/* The main screen: all mirrors, problems first, with the finding and the log of the selected. */
#include "ui/actions.h"
#include "ui/columns.h"
#include "ui/fleet.h"
#include "ui/mirrors.h"
#include "ui/panes.h"

#include "base/mem.h"
#include "ui/format.h"

static void cell_name(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct mirror_status *m = item;
    (void)a;
    *role = mirror_urgency(m) <= 1 ? ROLE_STRONG : ROLE_TEXT;
    str_copy(out, size, m->name);
}

static void cell_state(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a;
    mirror_glyph(item, role);
    str_copy(out, size, mirror_word(item));
}

static void cell_peers(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct mirror_status *m = item;
    *role = ROLE_TEXT;
    str_printf(out, size, "%s %s %s", m->source_peer, theme_arrow(&a->theme), m->dest_peer);
}

static void cell_tables(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct mirror_status *m = item;
    (void)a;
    *role = m->tables_done < m->tables_total ? ROLE_BUSY : ROLE_TEXT;
    str_printf(out, size, "%d/%d", m->tables_done, m->tables_total);
}

static void cell_lag(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct mirror_status *m = item;
    char t[FORMAT_SIZE];
    (void)a;
    *role = m->lag_seconds >= 120 ? ROLE_FAIL : m->lag_seconds >= 30 ? ROLE_WARN : ROLE_TEXT;
    str_copy(out, size, format_seconds(m->lag_seconds, t));
}

static void cell_lag_bytes(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct mirror_status *m = item;
    char t[FORMAT_SIZE];
    (void)a, (void)role;
    str_copy(out, size, format_bytes(m->lag_bytes, t));
}

static void draw_lag(struct app *a, const void *item, int y, int x, int width)
{
    const struct mirror_status *m = item;
    draw_graph(&a->paint, y, x, width, m->lag_history, LAG_HISTORY);
}

static void cell_rows(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct mirror_status *m = item;
    char t[FORMAT_SIZE];
    (void)a, (void)role;
    str_copy(out, size, format_count((int64_t)m->rows_per_second, t));
}

static void cell_rate(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct mirror_status *m = item;
    char t[FORMAT_SIZE];
    (void)a, (void)role;
    str_copy(out, size, format_bytes((int64_t)m->bytes_per_second, t));
}

static void cell_slot(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct mirror_status *m = item;
    const struct slot_status *s = &m->slot;
    bool due = s->sampled_at && (s->exists || mirror_slot_is_due(m, s));
    (void)a;
    if (!due)
        str_copy(out, size, "-");
    else if (!s->exists)
        str_copy(out, size, "missing");
    else if (*s->wal_status && s->wal_status[0] != 'r' && s->wal_status[0] != 'e')
        str_copy(out, size, s->wal_status); /* unreserved, lost */
    else
        str_copy(out, size, s->active ? "active" : "inactive");
    if (due && (!s->exists || out[0] == 'u' || out[0] == 'l'))
        *role = ROLE_FAIL;
}

static void cell_kept(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct slot_status *s = &((const struct mirror_status *)item)->slot;
    char t[FORMAT_SIZE];
    (void)a, (void)role;
    str_copy(out, size, format_bytes(s->sampled_at && s->exists ? s->retained_bytes : -1, t));
}

static void cell_next(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    mirror_next(a, item, out, size, role);
}

static double value_tables(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct mirror_status *)item)->tables_total;
}

static double value_lag(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct mirror_status *)item)->lag_seconds;
}

static double value_behind(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct mirror_status *)item)->lag_bytes;
}

static double value_rows(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct mirror_status *)item)->rows_per_second;
}

static double value_rate(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct mirror_status *)item)->bytes_per_second;
}

static double value_kept(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct mirror_status *)item)->slot.retained_bytes;
}

static const struct column columns[] = {
    {.title = "MIRROR", .cell = cell_name},
    {.title = "STATE", .sorts_usual = true, .width = 8, .cell = cell_state},
    {.title = "FROM -> TO", .width = 16, .wide_width = 17, .min_cols = 100, .cell = cell_peers},
    {.title = "TABLES",
     .value = value_tables,
     .width = 7,
     .align = ALIGN_RIGHT,
     .min_cols = 48,
     .cell = cell_tables},
    {.title = "LAG", .value = value_lag, .width = 6, .align = ALIGN_RIGHT, .cell = cell_lag},
    {.title = "BEHIND",
     .value = value_behind,
     .width = 6,
     .align = ALIGN_RIGHT,
     .min_cols = 62,
     .cell = cell_lag_bytes},
    {.title = "5 MIN", .width = 8, .wide_width = 12, .min_cols = 78, .draw = draw_lag},
    {.title = "ROWS/S",
     .value = value_rows,
     .width = 6,
     .align = ALIGN_RIGHT,
     .min_cols = 68,
     .cell = cell_rows},
    {.title = "B/S",
     .value = value_rate,
     .width = 5,
     .align = ALIGN_RIGHT,
     .min_cols = 112,
     .cell = cell_rate},
    {.title = "SLOT", .width = 8, .min_cols = 116, .cell = cell_slot},
    {.title = "KEPT",
     .value = value_kept,
     .width = 4,
     .align = ALIGN_RIGHT,
     .min_cols = 56,
     .cell = cell_kept},
    {.title = "NEXT", .width = 0, .cell = cell_next},
};
const struct column_set columns_of_mirrors = {"mirrors",         "columns", columns,
                                              COUNT_OF(columns), 24,        "severity"};

static void draw_empty(struct app *a)
{
    char shown[160];
    const struct rect *r = &a->layout.list;
    const char *text =
        a->picture->n == 0
            ? "no mirrors yet: {add} makes one; it needs two peers, {peers} shows and adds them"
        : *a->filter ? "no mirror matches the filter; {filter} changes it"
                     : "no mirror has a problem; {problems} shows all";
    draw_text(&a->paint, r->y, r->x + GUTTER, r->w - GUTTER, ROLE_DIM,
              action_text(a, text, shown, sizeof shown));
}

static void list_draw(struct app *a)
{
    const struct mirror_status *m = rows_selected(&a->mirrors);
    fleet_draw(a);
    columns_draw(a, &a->mirrors, &columns_of_mirrors, mirror_glyph);
    if (a->mirrors.n == 0)
        draw_empty(a);
    pane_finding_draw(a, m);
    pane_log_draw(a, &a->pane_log, m ? m->name : "");
}

const struct screen screen_list = {"Mirrors", LAYOUT_LIST, list_draw};
