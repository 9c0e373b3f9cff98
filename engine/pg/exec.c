/* Statements that are sent and waited for (libpq, "Asynchronous Command Processing"). */
#include "pg/pg_private.h"

#include <string.h>

bool conn_is_ready(const struct pg_conn *c, struct err *err)
{
    if (c->is_broken || c->is_eof || PQstatus(c->pq) != CONNECTION_OK)
        return error_lost(c, err);
    if (c->copy != COPY_NONE || PQpipelineStatus(c->pq) != PQ_PIPELINE_OFF)
        return err_set(err, ERR_INTERNAL, "a statement was sent in the middle of another exchange");
    return true;
}

bool exec_next(struct pg_conn *c, struct task *task, int64_t deadline, PGresult **out,
               struct err *err)
{
    while (PQisBusy(c->pq))
        if (!wait_input(c, task, deadline, err))
            return false;
    *out = PQgetResult(c->pq);
    return true;
}

/* What one result means for its statement. */
static bool is_good(const struct pg_conn *c, const PGresult *r, struct err *err)
{
    switch (PQresultStatus(r)) {
    case PGRES_EMPTY_QUERY:
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
    case PGRES_NONFATAL_ERROR:
        return true;
    case PGRES_BAD_RESPONSE:
    case PGRES_FATAL_ERROR:
        return error_of_result(c, r, err);
    case PGRES_COPY_OUT:
    case PGRES_COPY_IN:
    case PGRES_COPY_BOTH:
    case PGRES_PIPELINE_SYNC:
    case PGRES_PIPELINE_ABORTED:
        break;
    }
    return err_set(err, ERR_INTERNAL, "a COPY was sent as an ordinary statement");
}

bool exec_finish(struct pg_conn *c, struct task *task, int64_t deadline, PGresult **last,
                 struct err *err)
{
    struct err first = {0}, e = {0};
    PGresult *r, *kept = NULL;
    for (;;) {
        if (!exec_next(c, task, deadline, &r, &e)) {
            (void)(task && task->is_leaving ? conn_leave(c) : conn_give_up(c));
            break;
        }
        if (!r)
            break;
        if (is_good(c, r, &e)) {
            PQclear(kept);
            kept = r;
            continue;
        }
        PQclear(r);
        if (!first.code)
            first = e;
        if (e.code == ERR_INTERNAL) { /* a COPY never ends by itself */
            conn_give_up(c);
            break;
        }
    }
    if (!first.code)
        first = e;
    if (last && !first.code)
        *last = kept;
    else
        PQclear(kept);
    if (first.code && err)
        *err = first;
    return !first.code;
}

static bool finish_statement(struct pg_conn *c, struct task *task, int limit_ms,
                             struct pg_result **out, struct err *err)
{
    PGresult *last = NULL;
    if (!exec_finish(c, task, wait_deadline(limit_ms), out ? &last : NULL, err))
        return false;
    if (out)
        *out = result_wrap(last);
    return true;
}

bool pg_exec(struct pg_conn *c, struct task *task, int limit_ms, const char *sql,
             struct pg_result **out, struct err *err)
{
    if (out)
        *out = NULL;
    if (!conn_is_ready(c, err) || !wait_turn(task, err))
        return false;
    if (!PQsendQuery(c->pq, sql))
        return error_of_conn(c, err);
    return finish_statement(c, task, limit_ms, out, err);
}

bool pg_exec_params(struct pg_conn *c, struct task *task, int limit_ms, const char *sql, size_t n,
                    const char *const *values, struct pg_result **out, struct err *err)
{
    if (out)
        *out = NULL;
    if (!conn_is_ready(c, err) || !wait_turn(task, err))
        return false;
    if (!PQsendQueryParams(c->pq, sql, (int)n, NULL, values, NULL, NULL, 0))
        return error_of_conn(c, err);
    return finish_statement(c, task, limit_ms, out, err);
}

/* PostgreSQL, "Snapshot Synchronization Functions": a snapshot ends with the transaction, and so
 * with the connection, that exported it. Servers before 17 say that its name is invalid then. */
bool pg_begin_snapshot(struct pg_conn *c, struct task *task, int limit_ms, const char *snapshot,
                       struct err *err)
{
    struct buf sql = {0};
    buf_puts(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT ");
    pg_quote_literal(&sql, snapshot);
    bool ok = pg_exec(c, task, limit_ms, buf_text(&sql), NULL, err);
    buf_free(&sql);
    if (ok)
        return true;
    if (pg_server_error_is(err, "22023") || pg_server_error_is(err, "42704"))
        err_set(err, ERR_CONNECT, "the connection that held it was lost");
    return err_context(err, "import the snapshot");
}
