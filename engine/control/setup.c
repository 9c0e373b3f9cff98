/* The first part of a mirror's life: publication, slot, destination tables, snapshot. It starts
 * from nothing: what an earlier try left behind is removed first. A snapshot that was interrupted
 * goes on instead, see resume.c. */
#include "control/mirror_private.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "copy/guard.h"
#include "copy/snapshot.h"
#include "copy/swap.h"
#include "stream/published.h"
#include "stream/slot_window.h"
#include "stream/source.h"
#include "stream/sync_rows.h"

#define STATEMENT_MS 60000
#define SLOT_CREATE_MS 600000
#define SLOT_EXPLAIN_MS 5000
#define SLOT_FREE_MS 10000
#define POLL_MS 250
#define END_SHARE 1.3 /* of the time that writing the book took; measured: 1.0 to 1.4 */
#define NAME_TRIES 5

static struct sync_owner owner_of(const struct run *r)
{
    return (struct sync_owner){.mirror_id = r->m->row.mirror_id, .epoch = r->progress->epoch};
}

static struct table_name *mapped_names(const struct mirror_config *c)
{
    struct table_name *names = mem_calloc(c->n_tables + 1, sizeof *names);
    for (size_t i = 0; i < c->n_tables; i++) {
        str_copy(names[i].schema, NAME_SIZE, c->tables[i].source_schema);
        str_copy(names[i].table, NAME_SIZE, c->tables[i].source_table);
    }
    return names;
}

/* --- leftovers
 * --------------------------------------------------------------------------------------- */

static bool remove_leftovers(struct run *r, struct err *err)
{
    const struct mirror_config *c = &r->m->row.config;
    struct task *task = &r->m->task;
    if (!r->m->row.slot_created)
        return true; /* the preflight saw that these names were free */
    return source_free_slot(r->source, task, c->slot, run_holder(r), SLOT_FREE_MS, err) &&
           source_drop_slot(r->source, task, c->slot, STATEMENT_MS, err) &&
           source_unpublish(r->source, task, c->publication, err);
}

/* Those of the tables that hold rows: name, and whether it is partitioned there. */
static bool list_existing(struct run *r, struct pg_result **out, struct err *err)
{
    const struct schema *s = r->schema;
    struct buf schemas = {0}, names = {0};
    size_t n = 0;
    const char **a = mem_calloc(s->n_tables, sizeof *a), **b = mem_calloc(s->n_tables, sizeof *b);
    for (size_t i = 0; i < s->n_tables; i++) {
        if (s->tables[i].is_partitioned)
            continue; /* its rows are in the partitions */
        a[n] = s->tables[i].dest_schema;
        b[n++] = s->tables[i].dest_name;
    }
    pg_quote_array(&schemas, n, a);
    pg_quote_array(&names, n, b);
    const char *values[] = {buf_text(&schemas), buf_text(&names)};
    bool ok = pg_exec_params(
        r->dest, &r->m->task, STATEMENT_MS,
        "SELECT n.nspname, c.relname, c.relkind = 'p' FROM unnest($1::pg_catalog.text[], "
        "$2::pg_catalog.text[]) AS w (s, t) JOIN pg_catalog.pg_namespace n ON "
        "n.nspname = w.s JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid "
        "AND c.relname = w.t AND c.relkind IN ('r', 'p')",
        2, values, out, err);
    free(a);
    free(b);
    buf_free(&schemas);
    buf_free(&names);
    return ok;
}

/* Just the tables themselves: what inherits from one, and partitions that the mirror does not have,
 * keep their rows. */
static char *empty_sql(const struct pg_result *res, bool by_delete)
{
    struct buf sql = {0};
    const char *first = by_delete ? "BEGIN; DELETE FROM " : "TRUNCATE ";
    const char *next = by_delete ? "; DELETE FROM " : ", ";
    for (size_t i = 0; i < pg_rows(res); i++) {
        buf_printf(&sql, "%s%s", sql.len ? next : first, pg_bool(res, i, 2) ? "" : "ONLY ");
        pg_quote_qualified(&sql, pg_text(res, i, 0), pg_text(res, i, 1));
    }
    if (sql.len && by_delete)
        buf_puts(&sql, "; COMMIT");
    return buf_take(&sql);
}

static bool run_empty(struct run *r, const struct pg_result *res, bool by_delete, struct err *err)
{
    char *sql = empty_sql(res, by_delete);
    bool ok = !*sql || pg_exec(r->dest, &r->m->task, by_delete ? 0 : STATEMENT_MS, sql, NULL, err);
    free(sql);
    return ok;
}

/* Rows that an unfinished snapshot of this mirror copied, or that a new one is to replace. Never
 * CASCADE: a table outside the mirror that refers to these must not lose rows. Where there is one,
 * rows are deleted, if no foreign key acts on that. */
static bool empty_destination(struct run *r, struct err *err)
{
    struct pg_result *res;
    if (!list_existing(r, &res, err))
        return false;
    bool ok = run_empty(r, res, false, err);
    if (!ok && pg_server_error_is(err, "0A000") && pg_is_replica_role(r->dest)) {
        err_clear(err);
        ok = run_empty(r, res, true, err);
    } else if (!ok && pg_server_error_is(err, "0A000")) {
        err_hint(err,
                 "A table outside of the mirror refers to it. Drop that foreign key for the time "
                 "of the copy, or let the destination's user set session_replication_role: then "
                 "rows are deleted without it.");
    }
    pg_free(res);
    return ok || err_context(err, "empty the destination's tables for a new copy");
}

/* --- slot
 * ------------------------------------------------------------------------------------------------
 */

struct slot_wait {
    struct run *run;
    struct task task;
    int64_t explain_at;
    int n_told;
};

/* "": none. */
static void show_wait(struct mirror *m, const char *who)
{
    findings_free(&m->slot_trouble);
    if (who[0])
        findings_add(&m->slot_trouble, "slot_waits", SEVERITY_WARNING,
                     "The slot waits for transactions that are open at the source", who,
                     "It goes on by itself when they have ended. What nobody will end: "
                     "SELECT pg_terminate_backend(PID), or ROLLBACK PREPARED in its database.",
                     "");
    show_dirty(m);
}

static void slot_tick(void *arg)
{
    struct slot_wait *w = arg;
    struct err err = {0};
    show_tick(w->run->m);
    if (clock_mono_ms() < w->explain_at)
        return;
    w->explain_at = clock_mono_ms() + SLOT_EXPLAIN_MS;
    source_explain_slot_wait(w->run->source, NULL, &err);
    if (err.hint[0] && w->n_told++ % 6 == 0)
        log_warn("super", w->run->m->row.config.name, "%s", err.hint);
    show_wait(w->run->m, err.hint);
}

static bool slot_is_cancelled(void *arg)
{
    struct slot_wait *w = arg;
    return w->run->m->task.is_cancelled(w->run->m);
}

static bool create_slot(struct run *r, char **snapshot, struct err *err)
{
    const char *slot = r->m->row.config.slot;
    struct slot_wait w = {.run = r, .explain_at = clock_mono_ms() + SLOT_EXPLAIN_MS};
    w.task = (struct task){.wake_fd = r->m->wake_fd,
                           .is_cancelled = slot_is_cancelled,
                           .tick = slot_tick,
                           .arg = &w,
                           .tick_ms = r->m->task.tick_ms};
    show_state(r->m, MIRROR_INITIALIZING, "creating_slot");
    bool ok = slot_window_open(r->source, &r->m->task, &r->slot_xid, err) &&
              pg_repl_create_slot(r->repl, &w.task, SLOT_CREATE_MS, slot, false,
                                  &r->progress->slot_lsn, snapshot, err);
    show_wait(r->m, "");
    if (!ok) {
        if (err->code == ERR_TIMEOUT)
            source_explain_slot_wait(r->source, NULL, err);
        return err_context(err, "create slot %s", slot);
    }
    str_copy(r->progress->slot, sizeof r->progress->slot, slot);
    str_copy(r->progress->system_id, sizeof r->progress->system_id, r->identity->system_id);
    r->progress->timeline = r->identity->timeline;
    r->progress->database_oid = r->identity->database_oid;
    if (r->identity->wal_end < r->progress->slot_lsn)
        r->identity->wal_end = r->progress->slot_lsn; /* the source was asked before */
    log_info("super", r->m->row.config.name, "slot=%s created at=" LSN_FMT, slot,
             LSN_ARGS(r->progress->slot_lsn));
    return restored_forget(r->m, err);
}

/* The publication comes first: a slot that is older than its publication cannot be decoded. */
static bool create_publication(struct run *r, bool keeps_rows, struct err *err)
{
    struct mirror *m = r->m;
    const struct mirror_config *c = &m->row.config;
    struct schema *s;
    show_state(m, MIRROR_INITIALIZING, "publishing");
    /* From here on slot and publication of these names are ours, also after a crash. */
    if (!m->row.slot_created &&
        !catalog_mirror_set(m->engine->catalog, c->name, m->row.wish, false, true, err))
        return false;
    m->row.slot_created = true;
    if (!catalog_mirror_renew(m->engine->catalog, c->name, keeps_rows, err))
        return false;
    m->row.republish = false;
    if (keeps_rows) /* the mirror streams when the sampler sees the new one */
        atomic_store(&m->is_republishing, true);
    if (!schema_read(r->source, &m->task, c->tables, c->n_tables, false, false, false, &s, err))
        return err_context(err, "read the source's definitions");
    bool ok = source_publish(r->source, &m->task, c->publication, s, err);
    schema_free(s);
    return ok;
}

static bool guard_all(struct run *r, const char *snapshot, struct err *err)
{
    const struct mirror_config *c = &r->m->row.config;
    struct table_name *names = mapped_names(c);
    bool ok = guard_begin(r->source, &r->m->task, snapshot, names, c->n_tables, err);
    free(names);
    return ok;
}

/* Reads the definitions as of the snapshot; the transaction stays open and keeps the snapshot, and
 * until the copy has all rows the tables as they are. */
static bool read_schema_in(struct run *r, const char *snapshot, struct err *err)
{
    const struct mirror_config *c = &r->m->row.config;
    show_state(r->m, MIRROR_INITIALIZING, "reading_schema");
    bool ok =
        guard_all(r, snapshot, err) &&
        schema_read(r->source, &r->m->task, c->tables, c->n_tables, c->replicate_indexes,
                    c->replicate_foreign_keys, true, &r->schema, err) &&
        schema_check_names(r->source, &r->m->task, r->schema, err) &&
        slot_window_check(r->source, &r->m->task, r->slot_xid, c->publication, r->schema, err) &&
        guard_check(r->source, &r->m->task, r->schema, err);
    if (!ok)
        return err_context(err, "read the source's definitions");
    show_schema(r->m, r->schema);
    return true;
}

/* --- the copy
 * ------------------------------------------------------------------------------------------- */

static void add_table(struct mirror *m, const struct snapshot_job *job, size_t i)
{
    struct snapshot_table_progress p;
    snapshot_progress(job, i, &p);
    if (p.state == SNAP_NONE)
        return;
    show_table_copy(m, i, &p);
    m->live.bytes_done += p.bytes_done;
    m->live.bytes_total += p.bytes_total;
    m->live.tables_done += p.state == SNAP_DONE;
    m->live.tables_total++;
    m->rows_total += p.rows;
    m->bytes_total += p.heap_done; /* what goes over the wire makes the rate */
}

static void show_copy(struct mirror *m, const struct snapshot_job *job, int64_t end_ms)
{
    m->live.bytes_done = m->live.bytes_total = 0;
    m->rows_total = m->bytes_total = 0;
    int done = m->live.tables_done;
    m->live.tables_done = m->live.tables_total = 0;
    for (size_t i = 0; i < m->n_tables; i++)
        add_table(m, job, i);
    if (m->live.tables_done > done)
        show_save_counters(m); /* an interruption does not copy them again */
    int64_t ms = snapshot_eta_ms(job);
    m->live.eta_seconds = ms < 0 ? -1 : (ms + end_ms + 500) / 1000;
    if (strcmp(m->live.phase, snapshot_phase(job)) != 0)
        show_state(m, MIRROR_SNAPSHOTTING, snapshot_phase(job));
    show_dirty(m);
    show_tick(m);
}

/* Of each mapping. */
static char **copied_scripts(const struct run *r)
{
    const struct mirror_config *c = &r->m->row.config;
    struct table_name *names = mapped_names(c);
    struct sync_owner o = owner_of(r);
    char **scripts = mem_calloc(c->n_tables + 1, sizeof *scripts);
    for (size_t i = 0; i < c->n_tables; i++)
        scripts[i] = sync_rows_copied(&o, &names[i]);
    free(names);
    return scripts;
}

static void watch_copy(struct mirror *m, struct snapshot_job *job, int64_t end_ms)
{
    bool is_cancelled = false;
    while (!snapshot_is_over(job)) {
        struct pollfd fd = {.fd = m->wake_fd, .events = POLLIN};
        (void)poll(&fd, 1, POLL_MS);
        wake_clear(m->wake_fd);
        show_copy(m, job, end_ms);
        if (!is_cancelled && m->task.is_cancelled(m)) {
            is_cancelled = true;
            snapshot_cancel(job);
        }
    }
    show_copy(m, job, end_ms);
    m->ready_at = clock_mono_ms() + end_ms;
}

/* What comes behind the copy is much like what came right before it, when the definitions of both
 * sides were read and remembered: they are read again, and compared. */
static int64_t end_after(const struct run *r, int64_t copying_at)
{
    return (int64_t)(END_SHARE * (double)(copying_at - r->writing_at));
}

static bool start_copy(struct run *r, const struct snapshot_plan *plan, struct err *err)
{
    struct mirror *m = r->m;
    struct snapshot_job *job;
    int64_t started = clock_mono_ms();
    show_state(m, MIRROR_SNAPSHOTTING, "copying");
    if (!snapshot_start(plan, &job, err))
        return false;
    watch_copy(m, job, end_after(r, started));
    bool ok = snapshot_finish(job, err);
    if (ok)
        log_info("copy", m->row.config.name, "snapshot complete: tables=%d rows=%lld seconds=%.1f",
                 m->live.tables_total, (long long)m->rows_total,
                 (double)(clock_mono_ms() - started) / 1000.0);
    return ok;
}

static bool run_copy(struct run *r, const char *snapshot, struct err *err)
{
    struct mirror *m = r->m;
    const struct mirror_config *c = &m->row.config;
    struct sync_owner owner = owner_of(r);
    char *fence = sync_rows_fence(&owner), **copied = copied_scripts(r);
    struct snapshot_plan plan = {
        .mirror = c->name,
        .source = &r->source_target,
        .dest = &r->dest_target,
        .schema = r->schema,
        .snapshot = snapshot,
        .guard = r->source,
        .rows_per_part = c->snapshot_num_rows_per_partition,
        .workers_per_table = c->snapshot_max_parallel_workers,
        .tables_in_parallel = c->snapshot_num_tables_in_parallel,
        .memory_budget = m->engine->options.memory_budget,
        .index_memory = m->engine->options.index_memory,
        .fence = fence,
        .copied = copied,
        .done_fd = m->wake_fd,
    };
    bool ok = start_copy(r, &plan, err);
    for (size_t i = 0; i < c->n_tables; i++)
        free(copied[i]);
    free(copied);
    free(fence);
    return ok;
}

/* --- the end of it
 * --------------------------------------------------------------------------------------- */

bool setup_set_done(struct mirror *m, struct err *err)
{
    if (!catalog_mirror_set(m->engine->catalog, m->row.config.name, m->row.wish, true, true, err))
        return false;
    m->row.snapshot_done = true;
    m->has_compared = false;
    show_save_counters(m);
    return true;
}

static bool setup_is_done(struct run *r, struct err *err)
{
    r->m->live.last_lsn = r->progress->lsn;
    schema_free(r->schema); /* the stream reads its own */
    r->schema = NULL;
    return setup_set_done(r->m, err) &&
           pg_exec(r->source, &r->m->task, STATEMENT_MS, "COMMIT", NULL, err);
}

/* What the definitions were like: a later comparison tells by it what has changed since. */
static bool write_book(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    r->writing_at = clock_mono_ms();
    return schema_book_write(r->source, r->dest, &m->task, &m->row.config, m->row.mirror_id, true,
                             err) ||
           err_context(err, "remember the definitions");
}

/* From here on the destination itself says which tables it holds: none of them yet. */
static bool begin_progress(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    const struct mirror_config *c = &m->row.config;
    struct table_name *names = mapped_names(c);
    bool ok = pg_exec(r->dest, &m->task, STATEMENT_MS, "BEGIN", NULL, err) &&
              progress_start(r->dest, &m->task, m->row.mirror_id, c->name, r->progress, err);
    struct sync_owner owner = owner_of(r);
    ok = ok && sync_rows_set_aside(r->dest, &m->task, &owner, names, c->n_tables, err) &&
         pg_exec(r->dest, &m->task, STATEMENT_MS, "COMMIT", NULL, err);
    free(names);
    return ok;
}

/* Whatever was missed before: all rows come anew. */
static void forget_trouble(struct mirror *m)
{
    trouble_resolved(m, NULL, UINT64_MAX, "all tables are copied");
    for (size_t i = 0; i < m->n_tables; i++)
        m->tables[i].rows_missing = 0;
    trouble_save(m);
}

bool setup_set_begun(struct mirror *m, bool begun, struct err *err)
{
    if (!catalog_mirror_set_begun(m->engine->catalog, m->row.config.name, begun, err))
        return false;
    m->row.snapshot_begun = begun;
    return true;
}

/* Tables that an earlier copy has made, or a mirror streamed to until now, are empty: what the
 * source's columns have become since is done to them, as the copy would not fit. */
static bool refit(struct run *r, bool *changed, struct err *err)
{
    struct mirror *m = r->m;
    struct schema_plan plan;
    struct schema_point end = {.applied = UINT64_MAX, .is_waiting = true};
    struct sync_owner owner = owner_of(r);
    if (!schema_refit(r->source, r->dest, &m->task, &m->row.config, m->row.mirror_id, false, &plan,
                      err))
        return false;
    plan.record_sql = sync_rows_fence(&owner);
    *changed = schema_plan_count(&plan, &end, NULL) > 0;
    bool ok = !*changed || schema_plan_run(r->dest, &m->task, &plan, &end, m->row.config.name, err);
    schema_plan_free(&plan);
    return ok;
}

/* Partitions that were called otherwise have their rows until they are found by their names. */
static bool make_ready(struct run *r, struct err *err)
{
    bool changed = false;
    return empty_destination(r, err) && refit(r, &changed, err) &&
           (!changed || empty_destination(r, err));
}

/* The rows of an earlier copy stay until the progress says that they are not valid; and a snapshot
 * goes on after an interruption once all tables exist. The book comes before what it tells of: what
 * was made when an interruption came is known by it, if the source gives it another name meanwhile;
 * and again when it is there. */
static bool copy_everything(struct run *r, const char *snapshot, bool is_repeated, struct err *err)
{
    struct mirror *m = r->m;
    if (!begin_progress(r, err))
        return false;
    forget_trouble(m);
    return (!is_repeated || make_ready(r, err)) && write_book(r, err) &&
           schema_create(r->dest, &m->task, r->schema, true, m->row.config.name, err) &&
           write_book(r, err) && setup_set_begun(m, true, err) && run_copy(r, snapshot, err) &&
           schema_run_after(r->dest, &m->task, r->schema, m->row.mirror_id, m->row.config.name,
                            err);
}

bool setup_keeps_rows(struct mirror *m, bool *keeps_rows, struct err *err)
{
    const struct mirror_config *c = &m->row.config;
    struct table_name_list swaps = {0};
    if (!catalog_swaps(m->engine->catalog, c->name, &swaps, err))
        return false;
    *keeps_rows = m->row.slot_created && c->n_tables > 0;
    for (size_t i = 0; i < c->n_tables; i++)
        *keeps_rows &=
            table_name_list_has(&swaps, c->tables[i].source_schema, c->tables[i].source_table);
    table_name_list_free(&swaps);
    return true;
}

/* Before anything is done: rows that cannot be exchanged stay as they are, and the operator
 * decides. */
static bool check_rows(struct run *r, bool *keeps_rows, struct err *err)
{
    struct mirror *m = r->m;
    const struct mirror_config *c = &m->row.config;
    if (!setup_keeps_rows(m, keeps_rows, err))
        return false;
    return !*keeps_rows ||
           (swap_check(r->dest, &m->task, c->tables, c->n_tables, err) &&
            pg_exec(r->dest, &m->task, STATEMENT_MS, "RESET lock_timeout", NULL, err));
}

/* The stream begins with every table set aside: it passes their changes over until each has been
 * copied beside it, and the destination's readers keep the rows of before until then. */
static bool start_beside(struct run *r, struct err *err)
{
    if (!guard_end(r->source, &r->m->task, err) || !begin_progress(r, err))
        return false;
    forget_trouble(r->m);
    return true;
}

/* A stream without a copy: the tables are the operator's; the progress row appears complete. */
static bool start_without_copy(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    const char *name = m->row.config.name;
    return guard_end(r->source, &m->task, err) &&
           schema_create(r->dest, &m->task, r->schema, false, name, err) &&
           pg_exec(r->dest, &m->task, STATEMENT_MS, "BEGIN", NULL, err) &&
           progress_start(r->dest, &m->task, m->row.mirror_id, name, r->progress, err) &&
           sync_rows_none_aside(r->dest, &m->task, m->row.mirror_id, err) &&
           pg_exec(r->dest, &m->task, STATEMENT_MS, "COMMIT", NULL, err);
}

/* 23505: CREATE PUBLICATION waited for a transaction that makes one of the same name. */
static bool is_name_taken(const struct err *err)
{
    return pg_server_error_is(err, "42710") || pg_server_error_is(err, "23505") ||
           err->code == ERR_SLOT_EXISTS;
}

/* A name that somebody else took since the preflight: theirs stays, and is not ours to remove. */
static bool give_up_names(struct run *r, const struct err *why)
{
    struct mirror *m = r->m;
    struct err err = {0};
    if (!is_name_taken(why))
        return false;
    if (why->code == ERR_SLOT_EXISTS &&
        !source_unpublish(r->source, &m->task, m->row.config.publication, &err))
        log_warn("super", m->row.config.name, "%s", err.text);
    if (!catalog_mirror_set(m->engine->catalog, m->row.config.name, m->row.wish, false, false,
                            &err))
        log_error("super", m->row.config.name, "%s", err.text);
    else
        m->row.slot_created = false;
    return false;
}

/* A process that was killed may have left a session in the middle of the same statement: what it
 * makes appears after the leftovers were removed. All of it is ours to remove. */
static bool create_names(struct run *r, bool is_repeated, bool keeps_rows, char **snapshot,
                         struct err *err)
{
    for (int n = 1;; n++) {
        if (remove_leftovers(r, err) && create_publication(r, keeps_rows, err) &&
            create_slot(r, snapshot, err))
            return true;
        if (!is_repeated || !is_name_taken(err))
            return false;
        if (n == NAME_TRIES) {
            char text[sizeof err->text];
            str_copy(text, sizeof text, err->text);
            return err_set(err, ERR_TIMEOUT, "what an earlier run left keeps coming back: %s",
                           text);
        }
        log_info("super", r->m->row.config.name, "an earlier run was still at it, trying again: %s",
                 err->text);
        err_clear(err);
    }
}

bool run_setup(struct run *r, struct err *err)
{
    char *snapshot = NULL;
    bool is_repeated = r->m->row.slot_created, keeps_rows = false;
    bool ok = setup_set_begun(r->m, false, err) && check_rows(r, &keeps_rows, err) &&
              create_names(r, is_repeated, keeps_rows, &snapshot, err);
    if (!ok && !is_repeated)
        return give_up_names(r, err);
    ok = ok &&
         published_note(r->source, r->dest, &r->m->task, r->m->row.mirror_id,
                        r->m->row.config.publication, err) &&
         read_schema_in(r, snapshot, err);
    r->is_fresh = !keeps_rows && r->m->row.config.do_initial_snapshot;
    if (ok && keeps_rows)
        ok = start_beside(r, err);
    else if (ok && r->m->row.config.do_initial_snapshot)
        ok = copy_everything(r, snapshot, is_repeated, err);
    else if (ok)
        ok = start_without_copy(r, err);
    free(snapshot);
    return ok && setup_is_done(r, err);
}
