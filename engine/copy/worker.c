/* A copy worker: a thread with one session at each server, that takes units from the queue until
 * the job is over. */
#include "copy/job.h"

#include "base/mem.h"
#include "base/wake.h"

#define CONNECT_LIMIT_MS 30000
#define LOCK_LIMIT_MS 310000

/* Locks are waited for, but not for ever. At the destination no range waits for the disk: the
 * job's last unit makes all of them durable before success is reported. */
#define SOURCE_OPTIONS "-c lock_timeout=300s -c jit=off -c max_parallel_workers_per_gather=0"
#define DEST_OPTIONS "-c lock_timeout=300s -c synchronous_commit=off"

static void close_source(struct worker *w, bool cancel)
{
    pg_close(w->source, cancel);
    w->source = NULL;
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

static bool lock_table(struct worker *w, const struct schema_table *t, struct err *err)
{
    struct buf sql = {0};
    buf_puts(&sql, "SELECT FROM ONLY ");
    pg_quote_qualified(&sql, t->schema, t->name);
    buf_puts(&sql, " LIMIT 0");
    bool ok = pg_exec(w->source, &w->task, LOCK_LIMIT_MS, buf_text(&sql), NULL, err);
    buf_free(&sql);
    return ok || err_context(err, "copy %s.%s", t->schema, t->name);
}

/* A table that was rewritten since the snapshot (TRUNCATE, a change of type) has lost the rows the
 * snapshot should see, and reads as empty: the catalog as of the snapshot shows the old file. */
static bool check_rewritten(struct worker *w, struct err *err)
{
    struct buf oids = {0};
    struct pg_result *r = NULL;
    const char *comma = "{";
    for (size_t i = 0; i < w->job->n_tables; i++) {
        buf_printf(&oids, "%s%u", comma, (unsigned)w->job->tables[i].def->oid);
        comma = ",";
    }
    buf_puts(&oids, w->job->n_tables ? "}" : "{}");
    const char *values[] = {buf_text(&oids)};
    bool ok = pg_exec_params(w->source, &w->task, LOCK_LIMIT_MS,
                             "SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c "
                             "WHERE c.oid = ANY ($1::oid[]) AND c.relkind = 'r' "
                             "AND c.relfilenode <> pg_catalog.pg_relation_filenode(c.oid) LIMIT 1",
                             1, values, &r, err);
    if (ok && pg_rows(r) > 0) {
        ok = err_set(err, ERR_SNAPSHOT_STALE,
                     "copy %s: the table was emptied or rewritten after the snapshot was taken",
                     pg_text(r, 0, 0));
    }
    pg_free(r);
    buf_free(&oids);
    return ok;
}

/* The first worker keeps every table from being rewritten, dropped or altered until all ranges are
 * in; its transaction holds the locks. */
static bool guard_tables(struct worker *w, struct err *err)
{
    for (size_t i = 0; i < w->job->n_tables; i++) {
        const struct schema_table *t = w->job->tables[i].def;
        if (!t->is_partitioned && !lock_table(w, t, err))
            return false;
    }
    return check_rewritten(w, err);
}

static bool open_sessions(struct worker *w, struct err *err)
{
    const struct snapshot_plan *p = &w->job->plan;
    if (!pg_connect(p->source, PG_SQL, w->job->app, SOURCE_OPTIONS, &w->task, CONNECT_LIMIT_MS,
                    &w->source, err))
        return err_context(err, "copy worker at the source");
    if (!import_snapshot(w, err))
        return false;
    if (!pg_connect(p->dest, PG_APPLY, w->job->app, DEST_OPTIONS, &w->task, CONNECT_LIMIT_MS,
                    &w->dest, err))
        return err_context(err, "copy worker at the destination");
    return w->index > 0 || guard_tables(w, err);
}

static bool run_unit(struct worker *w, const struct unit *u, struct err *err)
{
    int64_t rows = 0, bytes = 0;
    switch (u->kind) {
    case UNIT_RELEASE:
        close_source(w, false);
        return true;
    case UNIT_RANGE:
        if (!transfer_range(w, u, &rows, &bytes, err))
            return false;
        break;
    case UNIT_INDEX:
    case UNIT_ADD_FKEY:
    case UNIT_VALIDATE_FKEY:
    case UNIT_ANALYZE:
    case UNIT_SEAL:
        if (!post_run(w, u, err))
            return false;
        break;
    }
    queue_done(w, rows, bytes);
    return true;
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
    bool ok = open_sessions(w, &err);
    while (ok && queue_take(w, &u))
        ok = run_unit(w, &u, &err);
    if (!ok)
        queue_fail(j, &err);
    close_source(w, !ok);
    pg_close(w->dest, !ok);
    w->dest = NULL;
    atomic_fetch_add(&j->n_left, 1);
    wake_signal(j->plan.done_fd);
    return NULL;
}
