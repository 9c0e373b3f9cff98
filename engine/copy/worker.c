/* A copy worker: a thread with one session at each server, that takes units from the queue until
 * the job is over. */
#include "copy/job.h"

#include <stdlib.h>

#include "base/beat.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "copy/guard.h"
#include "copy/twins.h"

#define CONNECT_LIMIT_MS 30000
#define GIVE_UP_MS 700 /* the mirror's thread may be waiting for our end */

/* Locks are waited for, but not for ever. At the destination no range waits for the disk: the
 * job's last unit makes all of them durable before success is reported. */
#define SOURCE_OPTIONS "-c lock_timeout=300s -c jit=off -c max_parallel_workers_per_gather=0"
#define DEST_OPTIONS "-c lock_timeout=300s -c synchronous_commit=off"

/* The first worker uses the session that guards the tables. */
static bool has_guard(const struct worker *w)
{
    return w->index == 0;
}

/* The guard's session is not ours to close. */
static void close_source(struct worker *w, bool cancel)
{
    if (!has_guard(w))
        pg_close(w->source, cancel);
    w->source = NULL;
}

static bool release_source(struct worker *w, struct err *err)
{
    bool ok = !has_guard(w) || guard_end(w->source, &w->task, err);
    close_source(w, false);
    return ok;
}

/* The worker's transaction at the source sees exactly what the slot's stream does not send
 * (PostgreSQL, "Snapshot Synchronization Functions"). */
static bool import_snapshot(struct worker *w, struct err *err)
{
    if (!pg_begin_snapshot(w->source, &w->task, CONNECT_LIMIT_MS, w->job->snapshot, err))
        return false;
    atomic_fetch_add(&w->job->n_imported, 1);
    wake_signal(w->job->plan.done_fd);
    return true;
}

static bool open_source(struct worker *w, struct err *err)
{
    const struct snapshot_plan *p = &w->job->plan;
    if (has_guard(w)) {
        w->source = p->guard;
        atomic_fetch_add(&w->job->n_imported, 1);
        return true;
    }
    if (!pg_connect(p->source, PG_SQL, w->job->app, SOURCE_OPTIONS, &w->task, CONNECT_LIMIT_MS,
                    &w->source, err))
        return err_context(err, "copy worker at the source");
    return import_snapshot(w, err);
}

static bool open_sessions(struct worker *w, struct err *err)
{
    const struct snapshot_plan *p = &w->job->plan;
    if (!open_source(w, err))
        return false;
    if (!pg_connect(p->dest, PG_APPLY, w->job->app, DEST_OPTIONS, &w->task, CONNECT_LIMIT_MS,
                    &w->dest, err))
        return err_context(err, "copy worker at the destination");
    atomic_store(&w->dest_pid, pg_backend_pid(w->dest));
    return true;
}

/* Before a worker reads a table for the first time: nobody may be waiting for it at the source, as
 * we would wait behind them, and they for the guard. */
static bool hold_table(struct worker *w, const struct unit *u, bool *is_free, struct err *err)
{
    const struct schema_table *t = w->job->tables[u->table].def;
    struct buf sql = {0};
    *is_free = true;
    if (has_guard(w) || w->holds[u->table])
        return true;
    buf_puts(&sql, "SAVEPOINT bunnydb_hold; LOCK TABLE ONLY ");
    pg_quote_qualified(&sql, t->schema, t->name);
    buf_puts(&sql, " IN ACCESS SHARE MODE NOWAIT; RELEASE SAVEPOINT bunnydb_hold");
    bool ok = pg_exec(w->source, &w->task, CONNECT_LIMIT_MS, buf_text(&sql), NULL, err);
    buf_free(&sql);
    w->holds[u->table] = ok;
    if (ok)
        return true;
    if (!pg_server_error_is(err, "55P03"))
        return err_context(err, "copy %s.%s", t->schema, t->name);
    err_clear(err);
    *is_free = false;
    return pg_exec(w->source, &w->task, CONNECT_LIMIT_MS,
                   "ROLLBACK TO SAVEPOINT bunnydb_hold; RELEASE SAVEPOINT bunnydb_hold", NULL, err);
}

/* What it does, to whoever looks. */
static void show_unit(const struct worker *w, const struct unit *u)
{
    const struct schema_table *t = u->kind == UNIT_SEAL ? NULL : w->job->tables[u->table].def;
    switch (u->kind) {
    case UNIT_RELEASE:
        beat_does("gives the source's session back");
        break;
    case UNIT_RANGE:
        beat_does("copies %.30s.%.30s, part %zu", t->schema, t->name, u->item + 1);
        break;
    case UNIT_INDEX:
    case UNIT_ADOPT:
        beat_does("builds indexes of %.30s.%.30s", t->schema, t->name);
        break;
    case UNIT_ADD_FKEY:
    case UNIT_VALIDATE_FKEY:
        beat_does("adds foreign keys of %.30s.%.30s", t->schema, t->name);
        break;
    case UNIT_SETTLE:
        beat_does("analyzes %.30s.%.30s", t->schema, t->name);
        break;
    case UNIT_SEAL:
        beat_does("waits until everything is on the destination's disk");
        break;
    }
}

static bool run_unit(struct worker *w, const struct unit *u, struct err *err)
{
    int64_t rows = 0, bytes = 0;
    bool is_free;
    show_unit(w, u);
    switch (u->kind) {
    case UNIT_RELEASE:
        return release_source(w, err);
    case UNIT_RANGE:
        if (!hold_table(w, u, &is_free, err))
            return false;
        if (!is_free) {
            queue_hand_back(w);
            return true;
        }
        if (!transfer_range(w, u, &rows, &bytes, err))
            return false;
        break;
    case UNIT_INDEX:
    case UNIT_ADOPT:
    case UNIT_ADD_FKEY:
    case UNIT_VALIDATE_FKEY:
    case UNIT_SETTLE:
    case UNIT_SEAL:
        if (!post_run(w, u, err))
            return false;
        break;
    }
    queue_done(w, rows, bytes);
    return true;
}

static bool open_queue(struct worker *w, struct err *err)
{
    if (w->index > 0)
        return true;
    bool ok = post_remove_twins(w, err);
    if (ok)
        queue_open(w->job);
    return ok;
}

/* When one side fails, a COPY may be under way at the other one: of a session that is still used,
 * to remove what was left or by whoever lent it, it is called off. */
static void abort_copies(struct worker *w)
{
    if (w->dest)
        pg_copy_abort(w->dest);
    if (has_guard(w) && w->source)
        pg_copy_abort(w->source);
}

/* Nobody goes on with indexes that are not their constraints' yet. The last worker that gives up is
 * the one that knows that no other builds any; what cannot be removed at once is left to the next
 * copy or to the deletion. */
static void give_up(struct worker *w)
{
    struct snapshot_job *j = w->job;
    struct err err = {0};
    bool is_last = atomic_fetch_add(&j->n_gave_up, 1) + 1 == j->n_workers;
    if (!is_last || !w->dest || !pg_is_alive(w->dest))
        return;
    const char **schemas = mem_calloc(j->n_tables + 1, sizeof *schemas);
    const char **tables = mem_calloc(j->n_tables + 1, sizeof *tables);
    for (size_t i = 0; i < j->n_tables; i++) {
        schemas[i] = j->tables[i].def->dest_schema;
        tables[i] = j->tables[i].def->dest_name;
    }
    if (!pg_exec(w->dest, NULL, GIVE_UP_MS, "ROLLBACK", NULL, &err) ||
        !twins_remove(w->dest, NULL, GIVE_UP_MS, NULL, j->n_tables, schemas, tables, &err))
        log_info("copy", j->mirror, "indexes are left until the next copy: %s", err.text);
    free(schemas);
    free(tables);
}

/* All of them end, and so does the copy, which begins anew. */
static void cancel_late(void *arg, const char *why)
{
    struct worker *w = arg;
    struct err err = {0};
    err_set(&err, ERR_TIMEOUT, "%s", why);
    queue_fail(w->job, &err);
}

void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct snapshot_job *j = w->job;
    struct err err = {0};
    struct unit u;
    char name[16];
    str_printf(name, sizeof name, "b:copy-%d", w->index + 1);
    pthread_setname_np(pthread_self(), name);
    beat_enter(
        &(struct beat_worker){.name = name, .mirror = j->mirror, .cancel = cancel_late, .arg = w});
    bool ok = open_sessions(w, &err) && open_queue(w, &err);
    while (ok && queue_take(w, &u))
        ok = run_unit(w, &u, &err);
    if (!ok) {
        queue_fail(j, &err);
        abort_copies(w);
    }
    if (atomic_load(&j->stop))
        give_up(w);
    close_source(w, !ok);
    pg_close(w->dest, !ok);
    w->dest = NULL;
    beat_leave();
    atomic_fetch_add(&j->n_left, 1);
    wake_signal(j->plan.done_fd);
    return NULL;
}
