/* Pipeline mode (libpq, "Pipeline Mode"): statements are queued without waiting, results are taken
 * as they come. Nothing in this file waits. The caller bounds what it queues by pg_queued_bytes,
 * since libpq's buffer has no bound of its own. */
#include "pg/pg_private.h"

#include <string.h>

#define MESSAGE_COST 64 /* headers of the messages that make one statement, roughly */

bool pg_pipe_enter(struct pg_conn *c, struct err *err)
{
    if (!conn_is_ready(c, err))
        return false;
    return PQenterPipelineMode(c->pq) || error_of_conn(c, err);
}

bool pg_pipe_leave(struct pg_conn *c, struct err *err)
{
    return PQexitPipelineMode(c->pq) || error_of_conn(c, err);
}

static bool queued(struct pg_conn *c, int sent, size_t bytes, struct err *err)
{
    if (!sent)
        return error_of_conn(c, err);
    c->queued += bytes + MESSAGE_COST;
    return true;
}

bool pg_pipe_prepare(struct pg_conn *c, const char *name, const char *sql, struct err *err)
{
    return queued(c, PQsendPrepare(c->pq, name, sql, 0, NULL), strlen(name) + strlen(sql), err);
}

bool pg_pipe_run(struct pg_conn *c, const char *name, int n, const char *const *values,
                 const int *lengths, const int *formats, struct err *err)
{
    size_t bytes = strlen(name);
    for (int i = 0; i < n; i++) {
        bytes += 6;
        if (values[i])
            bytes += formats && formats[i] ? (size_t)lengths[i] : strlen(values[i]);
    }
    return queued(c, PQsendQueryPrepared(c->pq, name, n, values, lengths, formats, 0), bytes, err);
}

bool pg_pipe_query(struct pg_conn *c, const char *sql, int n, const char *const *values,
                   struct err *err)
{
    size_t bytes = strlen(sql);
    for (int i = 0; i < n; i++)
        bytes += 6 + (values[i] ? strlen(values[i]) : 0);
    return queued(c, PQsendQueryParams(c->pq, sql, n, NULL, values, NULL, NULL, 0), bytes, err);
}

bool pg_pipe_sync(struct pg_conn *c, struct err *err)
{
    return queued(c, PQpipelineSync(c->pq), 0, err);
}

bool pg_pipe_flush_request(struct pg_conn *c, struct err *err)
{
    return queued(c, PQsendFlushRequest(c->pq), 0, err);
}

int pg_flush(struct pg_conn *c, struct err *err)
{
    int unsent = PQflush(c->pq);
    if (unsent == 0)
        c->queued = 0;
    if (unsent < 0)
        error_of_conn(c, err);
    return unsent;
}

bool pg_consume(struct pg_conn *c, struct err *err)
{
    return conn_read(c, err);
}

/* What a result that is there means; owns it from here on. */
static enum pg_pipe_got sort_out(struct pg_conn *c, PGresult *r, struct pg_result **out,
                                 struct err *err)
{
    enum pg_pipe_got got = PIPE_ERROR;
    struct err e = {0};
    switch (PQresultStatus(r)) {
    case PGRES_EMPTY_QUERY:
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
    case PGRES_NONFATAL_ERROR:
        *out = result_wrap(r);
        return PIPE_RESULT;
    case PGRES_PIPELINE_SYNC:
        got = PIPE_SYNC;
        break;
    case PGRES_PIPELINE_ABORTED:
        got = PIPE_SKIPPED;
        break;
    case PGRES_BAD_RESPONSE:
    case PGRES_FATAL_ERROR:
        error_of_result(c, r, &e);
        c->is_broken = e.code == ERR_CONNECT; /* libpq would still count what it skips */
        break;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        c->is_broken = true;
        err_set(&e, ERR_CONNECT, "a COPY was started inside a pipeline");
        break;
    }
    PQclear(r);
    if (err && e.code)
        *err = e;
    return got;
}

enum pg_pipe_got pg_pipe_next(struct pg_conn *c, struct pg_result **out, struct err *err)
{
    *out = NULL;
    /* A NULL ends each statement's results; a second one in a row, that nothing is under way. */
    for (int nulls = 0; nulls < 2 && !c->is_broken; nulls++) {
        if (PQisBusy(c->pq)) {
            if (!c->is_eof)
                return PIPE_NOTHING;
            break;
        }
        PGresult *r = PQgetResult(c->pq);
        if (r)
            return sort_out(c, r, out, err);
    }
    if (!c->is_broken && !c->is_eof && PQstatus(c->pq) == CONNECTION_OK)
        return PIPE_NOTHING;
    error_lost(c, err);
    return PIPE_ERROR;
}
