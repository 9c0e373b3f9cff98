/* Tabs of a mirror that are pages of text; see mirror_pages.h. */
#include "ui/mirror_pages.h"

#include <string.h>

#include "base/mem.h"
#include "ui/actions.h"
#include "ui/format.h"
#include "ui/lists.h"
#include "ui/mirrors.h"
#include "ui/text.h"

/* --- Slot ------------------------------------------------------------------------------------- */
static void slot_facts(struct app *a, const struct mirror_status *m)
{
    const struct slot_status *s = &m->slot;
    struct facts *f = &a->page;
    char t[FORMAT_SIZE], u[FORMAT_SIZE], x[LSN_TEXT_SIZE], y[LSN_TEXT_SIZE];
    facts_clear(f);
    facts_add(f, ROLE_TEXT, 0, "slot", "%s on %s", m->slot_name, m->source_peer);
    facts_add(f, ROLE_TEXT, 0, "publication", "%s", m->publication);
    facts_add(f, ROLE_TEXT, 0, "rules", "on_table_error %s, resync_strategy %s", m->on_table_error,
              m->resync_strategy);
    if (!s->sampled_at) {
        facts_add(f, ROLE_DIM, 0, "sampled", "not yet");
        return;
    }
    facts_add(f, s->exists ? ROLE_TEXT : ROLE_FAIL, 0, "exists", "%s", s->exists ? "yes" : "NO");
    if (s->active)
        facts_add(f, ROLE_OK, 0, "active", "yes, WAL sender PID %d", s->active_pid);
    else
        facts_add(f, ROLE_WARN, 0, "active", "no: nothing reads it");
    facts_add(f, ROLE_TEXT, 0, "wal_status", "%s", s->wal_status);
    facts_add(f, ROLE_TEXT, 0, "kept WAL", "%s, limit: %s", format_bytes(s->retained_bytes, t),
              s->safe_wal_size < 0 ? "none"
                                   : format_bytes(s->retained_bytes + s->safe_wal_size, u));
    facts_add(f, ROLE_TEXT, 0, "restart_lsn", "%s, xmin age %s (VACUUM keeps dead rows for it)",
              lsn_format(s->restart, x), format_count(s->xmin_age, t));
    facts_add(f, ROLE_TEXT, 0, "confirmed flush", "%s", lsn_format(s->confirmed_flush, x));
    facts_add(f, ROLE_TEXT, 0, "last change", "%s, source at %s", mirror_lsn(m->last_lsn, x),
              mirror_lsn(mirror_source_lsn(m), y));
    facts_add(f, ROLE_TEXT, 0, "sampled", "%s", format_date_time(s->sampled_at, t));
    facts_add(f, ROLE_TEXT, 0, "heartbeat", "%s", format_date_time(m->heartbeat_at, t));
    facts_add(f, ROLE_TEXT, 0, "created", "%s", format_date_time(m->created_at, t));
}

/* --- Schema ----------------------------------------------------------------------------------- */
const struct schema_plan *mirror_plan(const struct app *a, size_t *to_run)
{
    const struct sheet *s = &a->lists[SHEET_PLAN];
    *to_run = 0;
    if (!s->is_there || s->err.code || strcmp(s->mirror, a->mirror))
        return NULL;
    for (size_t i = 0; i < s->plan.n; i++)
        *to_run += s->plan.items[i].kind == STEP_RUN;
    return &s->plan;
}

static void put_steps(struct facts *f, const struct schema_plan *p, enum step_kind kind)
{
    static const char *const labels[] = {
        [STEP_RUN] = "run", [STEP_MANUAL] = "by hand", [STEP_NOTE] = "note"};
    static const enum role roles[] = {
        [STEP_RUN] = ROLE_BUSY, [STEP_MANUAL] = ROLE_WARN, [STEP_NOTE] = ROLE_TEXT};
    for (size_t i = 0; i < p->n; i++) {
        const struct schema_step *s = &p->items[i];
        bool says_copy = s->why && strstr(s->why, "copied again");
        if (s->kind != kind)
            continue;
        facts_add(f, roles[kind], 0, labels[kind], "%s%s%s%s", s->what ? s->what : "",
                  s->why ? ": " : "", s->why ? s->why : "",
                  s->needs_copy && !says_copy ? "; the table is copied again" : "");
        if (s->sql)
            facts_add(f, ROLE_STRONG, 0, " ", "  %s", s->sql);
    }
}

static void schema_facts(struct app *a, struct facts *f)
{
    const struct sheet *s = app_need(a, SHEET_PLAN, a->mirror, 0);
    size_t n;
    const struct schema_plan *p = mirror_plan(a, &n);
    char age[400], text[480], shown[480];
    if (s->err.code) {
        facts_add(f, ROLE_FAIL, 0, "not known", "%s%s%s", s->err.text, *s->err.hint ? "; " : "",
                  s->err.hint);
        return;
    }
    if (!p) {
        facts_add(f, ROLE_BUSY, 0, "", "%s", "asking both servers how their definitions differ");
        return;
    }
    lists_age(a, s, age, sizeof age);
    if (n)
        str_printf(text, sizeof text, "{apply} runs %zu statement%s at the destination; looked %s",
                   n, n == 1 ? "" : "s", age);
    else
        str_printf(text, sizeof text,
                   "nothing: there is no statement to run; looked %s, {refresh} looks again", age);
    facts_add(f, n ? ROLE_STRONG : ROLE_OK, 0, "do", "%s",
              action_text(a, text, shown, sizeof shown));
    for (int k = STEP_RUN; k <= STEP_NOTE; k++)
        put_steps(f, p, (enum step_kind)k);
}

/* --- Configuration ---------------------------------------------------------------------------- */
static void put_map(struct facts *f, const struct table_map *t)
{
    char text[700];
    str_printf(text, sizeof text, "%s.%s", t->source_schema, t->source_table);
    size_t n = strlen(text);
    if (strcmp(t->source_schema, t->dest_schema) || strcmp(t->source_table, t->dest_table))
        str_printf(text + n, sizeof text - n, " to %s.%s", t->dest_schema, t->dest_table);
    for (size_t i = 0; i < t->n_exclude; i++) {
        n = strlen(text);
        str_printf(text + n, sizeof text - n, "%s%s", i ? ", " : "  without ", t->exclude[i]);
    }
    n = strlen(text);
    if (*t->partition_key)
        str_printf(text + n, sizeof text - n, "  in ranges of %s", t->partition_key);
    facts_add(f, ROLE_TEXT, 0, " ", "  %s", text);
}

static void config_facts(struct app *a, struct facts *f)
{
    const struct sheet *s = app_need(a, SHEET_CONFIG, a->mirror, 0);
    const struct mirror_config *c = &s->config;
    const struct mirror_status *m = model_find(a->picture, a->mirror);
    if (s->err.code || !s->is_there) {
        facts_add(f, s->is_there ? ROLE_FAIL : ROLE_BUSY, 0, "", "%s",
                  s->is_there ? s->err.text : "asking");
        return;
    }
    facts_add(f, ROLE_TEXT, 0, "from, to", "%s %s %s", c->source_peer, theme_arrow(&a->theme),
              c->dest_peer);
    facts_add(f, ROLE_TEXT, 0, "names", "slot %s, publication %s", c->slot, c->publication);
    facts_add(f, ROLE_TEXT, 0, "snapshot",
              "%s; %d tables at a time, %d workers a table, %lld rows "
              "a range",
              c->do_initial_snapshot ? "yes" : "no, stream only",
              c->snapshot_num_tables_in_parallel, c->snapshot_max_parallel_workers,
              (long long)c->snapshot_num_rows_per_partition);
    facts_add(f, ROLE_TEXT, 0, "stream",
              "at most %lld changes a transaction, waits at most %d s "
              "for them",
              (long long)c->cdc_batch_size, c->cdc_sync_interval_seconds);
    facts_add(f, ROLE_TEXT, 0, "definitions",
              "schema_changes %s, dropped_columns %s; indexes %s, "
              "foreign keys %s",
              c->schema_changes, c->dropped_columns, c->replicate_indexes ? "yes" : "no",
              c->replicate_foreign_keys ? "yes" : "no");
    facts_add(f, ROLE_TEXT, 0, "trouble", "on_table_error %s, resync_strategy %s",
              c->on_table_error, c->resync_strategy);
    if (m && m->settings_wait)
        facts_add(f, ROLE_BUSY, 0, "in effect",
                  "not all of it yet: once what is being copied or compared is done");
    facts_add(f, ROLE_TEXT, 0, "tables", "%zu", c->n_tables);
    for (size_t i = 0; i < c->n_tables; i++)
        put_map(f, &c->tables[i]);
}

void mirror_page_draw(struct app *a, const struct mirror_status *m)
{
    const struct rect *r = &a->layout.list;
    struct rect body = {r->y - 1, r->x, r->h + 1, r->w}; /* over the column titles */
    facts_clear(&a->page);
    if (a->tab == TAB_SLOT)
        slot_facts(a, m);
    else if (a->tab == TAB_SCHEMA)
        schema_facts(a, &a->page);
    else
        config_facts(a, &a->page);
    facts_draw_page(&a->paint, &a->page, &body, &a->page_top);
    a->cursor_y = body.y;
}
