/* A first snapshot that was interrupted goes on: finished tables are streamed from the slot's
 * consistent point on, which is what their rows are as of; the others are set aside, and copied
 * beside the stream (table_sync.h). See mirror_private.h. */
#include "control/mirror_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "stream/source.h"
#include "stream/sync_rows.h"

#define STATEMENT_MS 60000
#define SLOT_FREE_MS 10000
#define ETA_FIRST_MS 1000

/* Which tables are still to be copied: those that the destination does not have, and those that
 * came into the mirror since. */
struct unfinished {
    struct sync_row_list rows;
    struct table_name_list wishes;
};

static void unfinished_free(struct unfinished *u)
{
    sync_row_list_free(&u->rows);
    table_name_list_free(&u->wishes);
}

static bool unfinished_read(struct run *r, struct unfinished *out, struct err *err)
{
    struct mirror *m = r->m;
    *out = (struct unfinished){0};
    return catalog_copies(m->engine->catalog, m->row.config.name, &out->wishes, err) &&
           sync_rows_read(r->dest, &m->task, m->row.mirror_id, &out->rows, err);
}

static bool is_finished(const struct unfinished *u, const struct table_map *t)
{
    if (table_name_list_has(&u->wishes, t->source_schema, t->source_table))
        return false;
    for (size_t i = 0; i < u->rows.n; i++)
        if (u->rows.items[i].is_aside && !strcmp(u->rows.items[i].name.table, t->source_table) &&
            !strcmp(u->rows.items[i].name.schema, t->source_schema))
            return false;
    return true;
}

static bool is_for_a_new_slot(const struct err *err)
{
    return cause_needs_new_slot(err->code) || err->code == ERR_SOURCE_CHANGED;
}

/* The slot is the one that the finished tables were copied with, and still holds what came after.
 */
static bool check_slot(struct run *r, struct err *err)
{
    const struct mirror_config *c = &r->m->row.config;
    return run_check_progress(r, err) &&
           source_free_slot(r->source, &r->m->task, c->slot, run_holder(r), SLOT_FREE_MS, err) &&
           source_check_slot(r->source, &r->m->task, c->slot, r->progress->lsn, err);
}

bool resume_is_possible(struct run *r, bool *is_possible, struct err *err)
{
    struct mirror *m = r->m;
    const struct mirror_config *c = &m->row.config;
    struct unfinished left;
    size_t n = 0;
    *is_possible = false;
    if (!m->row.snapshot_begun)
        return true;
    if (!check_slot(r, err)) {
        if (!is_for_a_new_slot(err))
            return false;
        log_warn("super", c->name, "the snapshot begins anew: %s", err->text);
        err_clear(err);
        return true;
    }
    bool ok = unfinished_read(r, &left, err);
    for (size_t i = 0; ok && i < c->n_tables; i++)
        n += is_finished(&left, &c->tables[i]);
    unfinished_free(&left);
    *is_possible = n > 0;
    if (n)
        log_info("super", c->name, "the snapshot goes on: tables=%zu finished=%zu", c->n_tables, n);
    return ok;
}

/* --- what comes after the rows ---------------------------------------------------------------- */

/* Of the source's definitions as they are now: what differs from those that were copied comes with
 * sync-schema, like everything that changes while the stream lags. */
static bool finish_tables(struct run *r, const struct unfinished *left, struct err *err)
{
    const struct mirror_config *c = &r->m->row.config;
    struct table_map *maps = mem_calloc(c->n_tables + 1, sizeof *maps); /* borrowed inside */
    struct schema *s = NULL;
    size_t n = 0;
    for (size_t i = 0; i < c->n_tables; i++)
        if (is_finished(left, &c->tables[i]))
            maps[n++] = c->tables[i];
    bool ok = schema_read_some(r->source, &r->m->task, c, maps, n, c->replicate_indexes, false,
                               false, &s, err);
    for (size_t i = 0; ok && i < s->n_after; i++)
        s->after[i].optional = true;
    ok = ok && schema_run_after(r->dest, &r->m->task, s, r->m->row.mirror_id, c->name, err);
    r->is_fresh = ok;
    schema_free(s);
    free(maps);
    return ok;
}

static bool owe_keys(struct run *r, const struct schema *s, int mapping, struct err *err)
{
    const struct table_map *map = &r->m->row.config.tables[mapping];
    struct sync_owner o = {.mirror_id = r->m->row.mirror_id, .epoch = r->progress->epoch};
    struct table_name name;
    const char **statements = NULL; /* borrowed inside */
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < s->n_tables; i++) {
        const struct schema_table *t = &s->tables[i];
        for (size_t k = 0; t->mapping == mapping && k < t->n_fkeys; k++) {
            MEM_PUSH(statements, n, cap, t->fkeys[k].add_sql);
            if (t->fkeys[k].validate_sql)
                MEM_PUSH(statements, n, cap, t->fkeys[k].validate_sql);
        }
    }
    str_copy(name.schema, sizeof name.schema, map->source_schema);
    str_copy(name.table, sizeof name.table, map->source_table);
    bool ok = sync_rows_owe(r->dest, &r->m->task, &o, &name, n, statements, err);
    free(statements);
    return ok;
}

static bool owe_all_keys(struct run *r, struct err *err)
{
    const struct mirror_config *c = &r->m->row.config;
    struct schema *s = NULL;
    if (!c->replicate_foreign_keys)
        return true;
    bool ok =
        schema_read(r->source, &r->m->task, c->tables, c->n_tables, false, true, false, &s, err);
    for (size_t i = 0; ok && i < c->n_tables; i++)
        ok = owe_keys(r, s, (int)i, err);
    schema_free(s);
    return ok;
}

bool resume_prepare(struct run *r, struct err *err)
{
    struct unfinished left;
    bool ok =
        (unfinished_read(r, &left, err) && finish_tables(r, &left, err) && owe_all_keys(r, err)) ||
        err_context(err, "go on with the snapshot");
    unfinished_free(&left);
    return ok;
}

/* --- what is shown of it ---------------------------------------------------------------------- */

void resume_show_finished(struct mirror *m)
{
    for (size_t i = 0; i < m->n_tables; i++) {
        struct table_status *t = &m->tables[i];
        str_copy(t->state, sizeof t->state, "streaming");
        t->bytes_done = t->bytes_total;
    }
    m->resumed_at = 0;
}

/* The least of what the unfinished tables have behind them. */
static const char *phase_of(const struct mirror *m)
{
    static const struct {
        const char *state, *phase;
    } phases[] = {{"error", "copying"},      {"queued", "copying"},
                  {"copying", "copying"},    {"indexing", "building_indexes"},
                  {"copied", "catching_up"}, {"catching_up", "catching_up"}};
    for (size_t k = 0; k < COUNT_OF(phases); k++)
        for (size_t i = 0; i < m->n_tables; i++)
            if (m->tables[i].source[0] && !strcmp(m->tables[i].state, phases[k].state))
                return phases[k].phase;
    return "adding_foreign_keys";
}

static void sum_up(struct mirror *m)
{
    struct mirror_status *l = &m->live;
    l->bytes_done = l->bytes_total = 0;
    l->tables_done = l->tables_total = 0;
    for (size_t i = 0; i < m->n_tables; i++) {
        const struct table_status *t = &m->tables[i];
        if (!t->source[0])
            continue; /* a partitioned parent */
        l->bytes_done += t->bytes_done;
        l->bytes_total += t->bytes_total;
        l->tables_done += !strcmp(t->state, "streaming");
        l->tables_total++;
    }
}

/* What is left of this part of the copy it knows itself; what waits for its turn will take as long
 * for a byte as that and all that was copied in this run. */
static int64_t eta_ms(const struct mirror *m, int64_t now, int64_t copy_ms, int64_t waiting)
{
    const struct mirror_status *l = &m->live;
    double ms = (double)(now - m->resumed_at), bytes = (double)(l->bytes_done - m->resumed_bytes);
    if (copy_ms < 0 && (bytes <= 0 || ms < ETA_FIRST_MS))
        return -1;
    if (copy_ms < 0)
        return (int64_t)(ms / bytes * (double)(l->bytes_total - l->bytes_done));
    bytes = (double)(l->bytes_total - waiting - m->resumed_bytes);
    double pace = bytes > 0 ? (ms + (double)copy_ms) / bytes : 0;
    return copy_ms + (int64_t)(pace * (double)waiting);
}

void resume_begin(struct mirror *m)
{
    sum_up(m);
    m->resumed_at = clock_mono_ms();
    m->resumed_bytes = m->live.bytes_done;
}

void resume_show(struct mirror *m, int64_t copy_ms, int64_t waiting)
{
    struct mirror_status *l = &m->live;
    int64_t before = l->bytes_done, now = clock_mono_ms();
    sum_up(m);
    if (l->bytes_done > before)
        m->bytes_total += l->bytes_done - before;
    int64_t ms = m->resumed_at ? eta_ms(m, now, copy_ms, waiting) : -1;
    l->eta_seconds = ms < 0 ? -1 : (ms + 500) / 1000;
    if (l->state == MIRROR_SNAPSHOTTING && strcmp(l->phase, phase_of(m)) != 0)
        show_state(m, MIRROR_SNAPSHOTTING, phase_of(m));
}
