/* One mirror: its tables with the snapshot's progress, or the facts of its slot, or its log. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/actions.h"
#include "ui/columns.h"
#include "ui/format.h"
#include "ui/lists.h"
#include "ui/mirror_pages.h"
#include "ui/mirrors.h"
#include "ui/panes.h"
#include "ui/sorting.h"
#include "ui/stages.h"
#include "ui/tables.h"
#include "ui/text.h"

static const struct mirror_status *detail_mirror(const struct app *a)
{
    return model_find(a->picture, a->mirror);
}

static bool is_state(const struct table_status *t, const char *state)
{
    return !strcmp(t->state, state);
}

static char table_glyph(const void *item, enum role *role)
{
    const struct table_status *t = item;
    bool failed = is_state(t, "error") || *t->error;
    bool busy = is_state(t, "copying") || is_state(t, "indexing");
    bool queued = is_state(t, "queued");
    bool missing = t->rows_missing > 0;
    *role = failed    ? ROLE_FAIL
            : busy    ? ROLE_BUSY
            : queued  ? ROLE_DIM
            : missing ? ROLE_WARN
                      : ROLE_OK;
    return failed ? '!' : busy ? '~' : queued ? '.' : missing ? '?' : '+';
}

static int table_urgency(const struct table_status *t)
{
    if (is_state(t, "error") || *t->error)
        return 0;
    if (t->rows_missing > 0)
        return 1;
    return is_state(t, "copying") ? 2 : is_state(t, "indexing") ? 3 : is_state(t, "queued") ? 4 : 5;
}

static int table_compare(const void *x, const void *y)
{
    const struct table_status *t = *(const struct table_status *const *)x;
    const struct table_status *u = *(const struct table_status *const *)y;
    int c = table_urgency(t) - table_urgency(u);
    return c ? c : strcmp(t->source, u->source);
}

void tables_build(struct app *a)
{
    const struct mirror_status *m = app_screen(a) == SCREEN_DETAIL ? detail_mirror(a) : NULL;
    const char *f = a->table_filter;
    bool inverse = *f == '!' && f[1];
    rows_clear(&a->tables);
    for (size_t i = 0; m && i < m->n_tables; i++)
        if (text_contains(m->tables[i].source, f + inverse) != inverse)
            rows_add(&a->tables, &m->tables[i]);
    if (a->tables.n > 1)
        qsort(a->tables.items, a->tables.n, sizeof *a->tables.items, table_compare);
    sorting_apply(a, &a->tables, detail_columns(a));
    rows_settle(&a->tables);
}

/* --- Columns --------------------------------------------------------------------------------- */
static void cell_name(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct table_status *t = item;
    (void)a;
    *role = table_urgency(t) <= 1 ? ROLE_STRONG : ROLE_TEXT;
    str_copy(out, size, t->source);
}

static const char *state_word(const struct table_status *t)
{
    static const char *const words[][2] = {{"queued", "QUEUED"},
                                           {"copied", "COPIED"},
                                           {"catching_up", "CATCH UP"},
                                           {"streaming", "STREAM"},
                                           {"set_aside", "ASIDE"}};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (is_state(t, words[i][0]))
            return words[i][1];
    return "FAILED";
}

static void cell_state(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct table_status *t = item;
    (void)a;
    table_glyph(t, role);
    if (is_state(t, "copying"))
        str_printf(out, size, "COPY x%d", t->workers);
    else if (is_state(t, "indexing"))
        str_printf(out, size, "INDEX %d/%d", t->indexes_done, t->indexes_total);
    else
        str_copy(out, size, state_word(t));
}

/* How much of it is there, 0 to 1. */
static double value_progress(struct app *a, const void *item)
{
    static const char *const all[] = {"copied", "streaming", "indexing", "catching_up"};
    const struct table_status *t = item;
    (void)a;
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (is_state(t, all[i]))
            return 1;
    return t->bytes_total > 0 ? (double)t->bytes_done / (double)t->bytes_total : 0;
}

static void draw_progress(struct app *a, const void *item, int y, int x, int width)
{
    const struct table_status *t = item;
    char bar[512], percent[FORMAT_SIZE];
    double done = value_progress(a, item);
    bool copied = done >= 1;
    enum role role;
    table_glyph(t, &role);
    theme_bar(&a->theme, width - 5, done, bar, sizeof bar);
    draw_text(&a->paint, y, x, width - 5, role, bar);
    format_percent(copied ? 1 : t->bytes_done, copied ? 1 : t->bytes_total, percent);
    draw_field(&a->paint, y, x + width - 4, 4, ROLE_TEXT, ALIGN_RIGHT, percent);
}

static void cell_rows(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct table_status *t = item;
    char done[FORMAT_SIZE], total[FORMAT_SIZE];
    bool queued = is_state(t, "queued"); /* rows_synced may be of the copy before */
    bool copying = is_state(t, "copying") || queued;
    (void)a, (void)role;
    str_printf(out, size, "%s%s%s", format_count(queued ? -1 : t->rows_synced, done),
               copying ? "/" : "", copying ? format_count(t->rows_total, total) : "");
}

static void cell_size(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    char t[FORMAT_SIZE];
    (void)a, (void)role;
    str_copy(out, size, format_bytes(((const struct table_status *)item)->bytes_total, t));
}

static void cell_left(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    char t[FORMAT_SIZE];
    (void)role;
    str_copy(out, size, format_countdown(meters_left(&a->meters, item), t));
}

static void put_count(int64_t n, char *out, size_t size)
{
    char t[FORMAT_SIZE];
    str_copy(out, size, format_count(n, t));
}

static void cell_ins(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a, (void)role;
    put_count(((const struct table_status *)item)->rows_inserted, out, size);
}

static void cell_upd(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a, (void)role;
    put_count(((const struct table_status *)item)->rows_updated, out, size);
}

static void cell_del(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a, (void)role;
    put_count(((const struct table_status *)item)->rows_deleted, out, size);
}

static void cell_missing(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct table_status *t = item;
    (void)a;
    *role = t->rows_missing > 0 ? ROLE_FAIL : ROLE_TEXT;
    put_count(t->rows_missing, out, size);
}

static double value_left(struct app *a, const void *item)
{
    return (double)meters_left(&a->meters, item);
}

static double value_rows(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct table_status *)item)->rows_synced;
}

static double value_size(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct table_status *)item)->bytes_total;
}

static double value_ins(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct table_status *)item)->rows_inserted;
}

static double value_upd(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct table_status *)item)->rows_updated;
}

static double value_del(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct table_status *)item)->rows_deleted;
}

static double value_missing(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct table_status *)item)->rows_missing;
}

/* While the snapshot runs its progress counts; afterwards what the stream did. */
static const struct column snapshot_columns[] = {
    {.title = "TABLE", .cell = cell_name},
    {.title = "STATE", .sorts_usual = true, .width = 9, .cell = cell_state},
    {.title = "PROGRESS",
     .value = value_progress,
     .width = 19,
     .wide_width = 33,
     .min_cols = 64,
     .draw = draw_progress},
    {.title = "ROWS", .value = value_rows, .width = 11, .align = ALIGN_RIGHT, .cell = cell_rows},
    {.title = "SIZE",
     .value = value_size,
     .width = 5,
     .align = ALIGN_RIGHT,
     .min_cols = 48,
     .cell = cell_size},
    {.title = "LEFT",
     .value = value_left,
     .width = 6,
     .align = ALIGN_RIGHT,
     .min_cols = 70,
     .cell = cell_left},
    {.title = "INS",
     .value = value_ins,
     .width = 5,
     .align = ALIGN_RIGHT,
     .min_cols = 100,
     .cell = cell_ins},
    {.title = "UPD",
     .value = value_upd,
     .width = 5,
     .align = ALIGN_RIGHT,
     .min_cols = 100,
     .cell = cell_upd},
    {.title = "DEL",
     .value = value_del,
     .width = 5,
     .align = ALIGN_RIGHT,
     .min_cols = 100,
     .cell = cell_del},
};
static const struct column stream_columns[] = {
    {.title = "TABLE", .cell = cell_name},
    {.title = "STATE", .sorts_usual = true, .width = 9, .cell = cell_state},
    {.title = "COPIED",
     .value = value_rows,
     .width = 6,
     .align = ALIGN_RIGHT,
     .min_cols = 74,
     .cell = cell_rows},
    {.title = "SIZE",
     .value = value_size,
     .width = 5,
     .align = ALIGN_RIGHT,
     .min_cols = 67,
     .cell = cell_size},
    {.title = "INSERT", .value = value_ins, .width = 6, .align = ALIGN_RIGHT, .cell = cell_ins},
    {.title = "UPDATE",
     .value = value_upd,
     .width = 6,
     .align = ALIGN_RIGHT,
     .min_cols = 48,
     .cell = cell_upd},
    {.title = "DELETE",
     .value = value_del,
     .width = 6,
     .align = ALIGN_RIGHT,
     .min_cols = 56,
     .cell = cell_del},
    {.title = "NO ROW",
     .value = value_missing,
     .width = 6,
     .align = ALIGN_RIGHT,
     .min_cols = 60,
     .cell = cell_missing},
};
const struct column_set columns_of_copies = {"tables that are copied",
                                             "copy_columns",
                                             snapshot_columns,
                                             COUNT_OF(snapshot_columns),
                                             40,
                                             "state"};
const struct column_set columns_of_tables = {
    "tables", "table_columns", stream_columns, COUNT_OF(stream_columns), 60, "state"};

/* --- Lines ----------------------------------------------------------------------------------- */
void detail_summary_draw(struct app *a, const struct rect *r, int x)
{
    const struct mirror_status *m = detail_mirror(a);
    char done[FORMAT_SIZE], total[FORMAT_SIZE], percent[FORMAT_SIZE], eta[FORMAT_SIZE];
    char at[FORMAT_SIZE], text[256];
    enum role role;
    if (!m)
        return;
    char glyph = mirror_glyph(m, &role);
    x += draw_textf(&a->paint, r->y, r->x + x, r->w - x, role, "%c %s ", glyph, mirror_word(m));
    bool copying = m->state == MIRROR_SNAPSHOTTING;
    const struct verify_status *v = &m->verify;
    if (v->is_running) {
        str_printf(
            text, sizeof text, " verify %d/%d tables  %s  %lld row%s differ%s", v->tables_done,
            v->tables_total, format_percent(v->bytes_done, v->bytes_total, percent),
            (long long)v->differences, format_s(v->differences), v->differences == 1 ? "s" : "");
    } else if (!copying) {
        str_printf(text, sizeof text, " lag %s, %s behind", format_seconds(m->lag_seconds, eta),
                   format_bytes(m->lag_bytes, done));
    } else {
        int64_t end = clock_wall_us() + m->eta_seconds * 1000000;
        str_printf(text, sizeof text, " %d/%d tables  %s of %s  eta %s%s%s%s", m->tables_done,
                   m->tables_total, format_percent(m->bytes_done, m->bytes_total, percent),
                   format_bytes(m->bytes_total, total), format_age(m->eta_seconds, eta),
                   m->eta_seconds >= 0 ? " (" : "",
                   m->eta_seconds >= 0 ? format_time(end, false, at) : "",
                   m->eta_seconds >= 0 ? ")" : "");
    }
    draw_text(&a->paint, r->y, r->x + x, r->w - x - 1, ROLE_TEXT, text);
}

static void tabs_draw(struct app *a, const struct mirror_status *m)
{
    static const char *const names[TAB_COUNT] = {"{tab-tables} Tables", "{tab-slot} Slot",
                                                 "{tab-logs} Logs",     "{tab-runs} Runs",
                                                 "{tab-schema} Schema", "{tab-config} Config"};
    const struct rect *r = &a->layout.info;
    char peers[2 * NAME_SIZE + 8];
    int x = r->x + 1;
    for (int i = 0; i < TAB_COUNT; i++) {
        bool on = (int)a->tab == i;
        char name[40];
        action_text(a, names[i], name, sizeof name);
        x += draw_textf(&a->paint, r->y, x, 16, on ? ROLE_KEY : ROLE_TEXT, "%s%s%s", on ? "[" : " ",
                        name, on ? "]" : " ");
    }
    str_printf(peers, sizeof peers, "%s %s %s", m->source_peer, theme_arrow(&a->theme),
               m->dest_peer);
    int w = text_columns(peers, a->theme.unicode);
    if (x + w + 2 < r->x + r->w)
        draw_text(&a->paint, r->y, r->x + r->w - w - 1, w, ROLE_TEXT, peers);
}

static void flow_draw(struct app *a, const struct mirror_status *m)
{
    const struct rect *r = &a->layout.info;
    char rows[FORMAT_SIZE], bytes[FORMAT_SIZE], lsn[LSN_TEXT_SIZE], bar[512], percent[FORMAT_SIZE];
    int y = r->y + 1;
    int x = r->x + 1;
    x += draw_textf(&a->paint, y, x, r->w - 1, ROLE_TEXT, "%s %s rows/s  %sB/s  ",
                    m->state == MIRROR_SNAPSHOTTING ? "copy" : "apply",
                    format_count((int64_t)m->rows_per_second, rows),
                    format_bytes((int64_t)m->bytes_per_second, bytes));
    int room = r->w - x - 30, width = room > 60 ? 60 : room;
    if (width >= 8 && m->state == MIRROR_SNAPSHOTTING) {
        double f = m->bytes_total > 0 ? (double)m->bytes_done / (double)m->bytes_total : 0;
        theme_bar(&a->theme, width, f, bar, sizeof bar);
        x += draw_text(&a->paint, y, x, width, ROLE_BUSY, bar);
        x += draw_textf(&a->paint, y, x, 6, ROLE_TEXT, " %s",
                        format_percent(m->bytes_done, m->bytes_total, percent));
    } else if (width >= 8) {
        draw_graph(&a->paint, y, x, width, m->lag_history, LAG_HISTORY);
        x += width;
        x += draw_text(&a->paint, y, x, 5, ROLE_DIM, " lag");
    }
    lsn_format(m->last_lsn, lsn);
    int w = 4 + text_columns(lsn, false);
    if (x + w + 1 < r->x + r->w)
        draw_textf(&a->paint, y, r->x + r->w - w - 1, w, ROLE_TEXT, "lsn %s", lsn);
}

/* --- Panes ----------------------------------------------------------------------------------- */
/* The finding of a table that has left the stream: its cause begins with the transaction's LSN. */
static const struct finding *aside_finding(const struct mirror_status *m,
                                           const struct table_status *t)
{
    size_t n = strlen(t->source);
    for (size_t i = 0; i < m->n_findings; i++)
        if (!strncmp(m->findings[i].title, t->source, n) &&
            !strncmp(m->findings[i].title + n, " is set aside", strlen(" is set aside")))
            return &m->findings[i];
    return NULL;
}

static void aside_draw(struct app *a, const struct mirror_status *m, const struct table_status *t)
{
    char keys[160];
    const struct finding *x = aside_finding(m, t);
    struct facts f = {0};
    char title[2 * NAME_SIZE + 48];
    str_printf(title, sizeof title, "%s: SET ASIDE, the others go on", t->source);
    facts_add(&f, ROLE_FAIL, 0, "what", "%s", x ? x->cause : t->error);
    facts_add(&f, ROLE_TEXT, 1, "effect",
              "its rows stay at %s as they were before that transaction; later changes are not "
              "applied",
              m->dest_peer);
    facts_add(&f, ROLE_STRONG, 0, "do", "%s",
              action_text(a,
                          "heal what the error names, then {resync} copies this table alone  |  "
                          "{log} log",
                          keys, sizeof keys));
    pane_facts_draw(a, ROLE_FAIL, title, &f);
    facts_free(&f);
}

/* The selected table's error; without one the mirror's own finding. */
static void table_finding_draw(struct app *a, const struct mirror_status *m)
{
    char keys[160];
    const struct table_status *t = rows_selected(&a->tables);
    struct facts f = {0};
    char title[2 * NAME_SIZE + 32];
    if (!t || (!*t->error && t->rows_missing == 0) || m->state == MIRROR_ERROR) {
        pane_finding_draw(a, m);
        return;
    }
    if (is_state(t, "set_aside")) {
        aside_draw(a, m, t);
        return;
    }
    str_printf(title, sizeof title, "%s: %s", t->source, *t->error ? "FAILED" : "rows are missing");
    facts_add(&f, ROLE_FAIL, 0, "what", "%s", t->error);
    if (t->rows_missing > 0)
        facts_add(&f, ROLE_WARN, 0, *t->error ? "also" : "what",
                  "%lld update%s or delete%s found no row in %s", (long long)t->rows_missing,
                  format_s(t->rows_missing), format_s(t->rows_missing), t->dest);
    facts_add(&f, ROLE_TEXT, 1, "where", "%s %s %s on %s", t->source, theme_arrow(&a->theme),
              t->dest, m->dest_peer);
    facts_add(&f, ROLE_STRONG, 0, "do", "%s",
              action_text(a,
                          *t->error ? "{retry} retry now  |  {resync} resync  |  {log} log"
                                    : "{verify} verify, then repair what {found} shows  |  "
                                      "{resync} resync  |  {log} log names the keys",
                          keys, sizeof keys));
    pane_facts_draw(a, ROLE_FAIL, title, &f);
    facts_free(&f);
}

const struct column_set *detail_columns(const struct app *a)
{
    const struct mirror_status *m = a->picture ? detail_mirror(a) : NULL;
    bool copying = m && (m->state == MIRROR_SNAPSHOTTING || m->state == MIRROR_INITIALIZING ||
                         m->tables_done < m->tables_total);
    return copying ? &columns_of_copies : &columns_of_tables;
}

static void tables_draw(struct app *a)
{
    char shown[80];
    columns_draw(a, &a->tables, detail_columns(a), table_glyph);
    if (a->tables.n == 0)
        draw_text(&a->paint, a->layout.list.y, GUTTER, a->layout.list.w - GUTTER, ROLE_DIM,
                  action_text(a,
                              *a->table_filter ? "no table matches the filter; {filter} changes it"
                                               : "no tables are known yet",
                              shown, sizeof shown));
}

static void detail_draw(struct app *a)
{
    const struct mirror_status *m = detail_mirror(a);
    char back[16];
    if (!m) {
        draw_textf(&a->paint, a->layout.list.y, 1, a->layout.list.w - 1, ROLE_WARN,
                   "mirror %s is gone; %s goes back", a->mirror,
                   action_text(a, "{back}", back, sizeof back));
        return;
    }
    if (a->layout.info.h > 0)
        tabs_draw(a, m);
    if (a->layout.info.h > 1)
        flow_draw(a, m);
    stages_draw(a, m);
    if (a->tab == TAB_TABLES && a->layout.list.h > 0)
        tables_draw(a);
    else if (a->tab == TAB_RUNS && a->layout.list.h > 0)
        runs_draw(a, &a->mirror_runs, false);
    else if (a->layout.list.h > 0)
        mirror_page_draw(a, m);
    if (a->tab == TAB_TABLES)
        table_finding_draw(a, m);
    else if (a->tab != TAB_RUNS)
        pane_finding_draw(a, m);
    pane_log_draw(a, &a->detail_log, m->name);
}

const struct screen screen_detail = {"Detail", LAYOUT_DETAIL, detail_draw};
