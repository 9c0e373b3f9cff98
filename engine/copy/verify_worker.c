/* A worker of a verify job: a thread with one session at each server, both in a transaction that
 * has imported its side's snapshot, that takes units from the queue until the job is over. */
#include "copy/verify_job.h"

#include "base/beat.h"
#include "base/mem.h"
#include "base/wake.h"

#define CONNECT_LIMIT_MS 30000

/* A table that others hold locked is left out: a comparison shall not make anybody wait who queues
 * behind it. */
#define OPTIONS \
    "-c lock_timeout=5s -c jit=off -c max_parallel_workers_per_gather=0 -c work_mem=64MB"

static bool import_snapshot(struct verifier *v, enum which_side side, struct err *err)
{
    struct pg_conn *conn = v->sides[side].conn;
    return pg_begin_snapshot(conn, &v->task, CONNECT_LIMIT_MS, v->job->snapshots[side], err) &&
           pg_exec(conn, &v->task, CONNECT_LIMIT_MS, "SAVEPOINT bunny_unit", NULL, err);
}

static bool open_side(struct verifier *v, enum which_side side, struct err *err)
{
    const struct pg_target *target = side == SOURCE ? v->job->plan.source : v->job->plan.dest;
    struct pg_conn **conn = &v->sides[side].conn;
    return (pg_connect(target, PG_SQL, v->job->app, OPTIONS, &v->task, CONNECT_LIMIT_MS, conn,
                       err) &&
            import_snapshot(v, side, err) && pg_pipe_enter(*conn, err)) ||
           err_context(err, "verify at the %s", verify_side_name(side));
}

static bool open_sessions(struct verifier *v, struct err *err)
{
    if (!open_side(v, SOURCE, err) || !open_side(v, DEST, err))
        return false;
    atomic_fetch_add(&v->job->n_imported, 1);
    wake_signal(v->job->plan.done_fd);
    return true;
}

static void close_sessions(struct verifier *v)
{
    for (int s = 0; s < N_SIDES; s++)
        if (v->sides[s].conn && v->sides[s].is_waiting)
            pg_cancel(v->sides[s].conn);
    sides_reset(v);
    for (int s = 0; s < N_SIDES; s++) {
        pg_close(v->sides[s].conn, v->sides[s].is_waiting);
        v->sides[s].conn = NULL;
    }
}

/* Gives the table's locks back, whatever became of the unit: the stream's TRUNCATE, or somebody's
 * ALTER TABLE, need not wait for the other tables. */
static bool release(struct verifier *v, struct err *err)
{
    for (int s = 0; s < N_SIDES; s++)
        if (!side_wait(v, (enum which_side)s, err))
            return false;
    sides_reset(v);
    return side_send(v, SOURCE, "ROLLBACK TO SAVEPOINT bunny_unit", err) &&
           side_send(v, DEST, "ROLLBACK TO SAVEPOINT bunny_unit", err) && sides_wait(v, err);
}

static bool run_unit(struct verifier *v, const struct verify_unit *u, struct err *err)
{
    switch (u->step) {
    case STEP_OPEN:
        return verify_open(v, u->run, err);
    case STEP_RANGES:
        return verify_range(v, u->run, u->range, err);
    case STEP_NARROW:
        return verify_narrow(v, u->run, err);
    case STEP_DONE:
        break;
    }
    return err_set(err, ERR_INTERNAL, "a unit that is none of these: %d", (int)u->step);
}

/* Whether the other tables can still be compared in these sessions. */
static bool is_of_table(const struct err *err)
{
    return err->code == ERR_SQL || err->code == ERR_SCHEMA || err->code == ERR_SNAPSHOT_STALE ||
           err->code == ERR_INTERNAL;
}

static void give_up(struct verifier *v, const struct verify_unit *u, const struct err *why)
{
    bool is_left_out = why->code == ERR_SNAPSHOT_STALE || pg_server_error_is(why, "55P03");
    const char *reason =
        pg_server_error_is(why, "55P03") ? "somebody else holds a lock on the table" : why->text;
    verify_queue_give_up(v->job, u, is_left_out ? VERIFY_LEFT_OUT : VERIFY_FAILED, reason);
}

static bool work(struct verifier *v, const struct verify_unit *u, struct err *err)
{
    struct err why = {0}, ignored = {0};
    beat_does(u->step == STEP_NARROW ? "looks for the rows of %.30s.%.30s that differ"
                                     : "compares %.30s.%.30s",
              u->run->def->schema, u->run->def->name);
    sides_reset(v);
    bool ok = run_unit(v, u, &why);
    if (!ok && !is_of_table(&why)) {
        *err = why;
        return err_context(err, "verify %s.%s", u->run->def->schema, u->run->def->name);
    }
    if (!release(v, ok ? err : &ignored)) {
        if (!ok)
            *err = ignored;
        return false;
    }
    if (ok)
        verify_queue_done(v->job, u);
    else
        give_up(v, u, &why);
    return true;
}

/* All of them end, and so does the comparison. */
static void cancel_late(void *arg, const char *why)
{
    struct verifier *v = arg;
    struct err err = {0};
    err_set(&err, ERR_TIMEOUT, "%s", why);
    verify_queue_fail(v->job, &err);
}

void *verify_worker_main(void *arg)
{
    struct verifier *v = arg;
    struct verify_job *j = v->job;
    struct err err = {0};
    struct verify_unit u;
    char name[16];
    str_printf(name, sizeof name, "b:verify-%d", v->index + 1);
    pthread_setname_np(pthread_self(), name);
    beat_enter(
        &(struct beat_worker){.name = name, .mirror = j->mirror, .cancel = cancel_late, .arg = v});
    bool ok = open_sessions(v, &err);
    while (ok && verify_queue_take(j, &u))
        ok = work(v, &u, &err);
    if (!ok)
        verify_queue_fail(j, &err);
    close_sessions(v);
    beat_leave();
    atomic_fetch_add(&j->n_left, 1);
    wake_signal(j->plan.done_fd);
    return NULL;
}
