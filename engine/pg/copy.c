/* COPY in both directions (libpq, "Functions Associated with the COPY Command"; protocol, "COPY
 * Operations"). What is queued to a COPY FROM STDIN stays within a window of our own: libpq's
 * buffer grows without bound, moves all of it with each partial send, and takes in the server's
 * refusal unseen whenever a send finds the socket full. So libpq gets a piece only when the socket
 * has room for it. */
#include "pg/pg_private.h"

#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"

/* A CopyData message of 32 kB, header included: libpq sends whole multiples of 8 kB by itself, so
 * that nothing is left for a second, tiny send. Fits a socket that poll(2) calls writable. The
 * server joins pieces. */
#define PIECE (32 * 1024 - 5)
#define WINDOW (256 * 1024) /* unsent bytes from which on a write waits */
#define SUSPECT_MS 50

static bool wrong_state(const struct pg_conn *c, struct err *err)
{
    if (PQstatus(c->pq) != CONNECTION_OK || c->is_broken)
        return error_lost(c, err);
    return err_set(err, ERR_INTERNAL, "no COPY of that direction is under way");
}

static enum copy_state state_of(const PGresult *r)
{
    switch (PQresultStatus(r)) {
    case PGRES_COPY_IN:
        return COPY_IN;
    case PGRES_COPY_OUT:
        return COPY_OUT;
    case PGRES_COPY_BOTH:
        return COPY_BOTH;
    default: /* the other values of libpq's enum */
        return COPY_NONE;
    }
}

enum copy_state copy_begin(struct pg_conn *c, struct task *task, int limit_ms, const char *sql,
                           struct err *err)
{
    PGresult *r;
    struct err ignored;
    int64_t deadline = wait_deadline(limit_ms);
    if (!conn_is_ready(c, err) || !wait_turn(task, err))
        return COPY_NONE;
    if (!PQsendQuery(c->pq, sql)) {
        error_of_conn(c, err);
        return COPY_NONE;
    }
    if (!exec_next(c, task, deadline, &r, err)) {
        conn_give_up(c);
        return COPY_NONE;
    }
    c->copy = state_of(r);
    c->is_stream = c->copy == COPY_BOTH;
    c->suspect_since = 0;
    buf_reset(&c->out);
    c->out_at = 0;
    c->push_at = PIECE;
    err_clear(&c->copy_err);
    if (c->copy == COPY_NONE) {
        if (r && PQresultStatus(r) == PGRES_FATAL_ERROR)
            error_of_result(c, r, err);
        else
            err_set(err, ERR_INTERNAL, "a statement that is no COPY was sent as one");
        (void)!exec_finish(c, task, deadline, NULL, &ignored); /* the first error is the one */
    }
    PQclear(r);
    return c->copy;
}

bool pg_copy_start(struct pg_conn *c, struct task *task, int limit_ms, const char *sql,
                   struct err *err)
{
    switch (copy_begin(c, task, limit_ms, sql, err)) {
    case COPY_IN:
    case COPY_OUT:
        return true;
    case COPY_BOTH:
        conn_give_up(c);
        return err_set(err, ERR_INTERNAL, "a replication command was sent as a COPY");
    case COPY_NONE:
    case COPY_ENDING:
        break;
    }
    return false;
}

/* --- reading --------------------------------------------------------------------------------- */

static void note_end(struct pg_conn *c, const PGresult *r)
{
    if (PQresultStatus(r) == PGRES_COPY_IN) {
        /* The server has ended its half of a stream; it waits for the end of ours. */
        if (PQputCopyEnd(c->pq, NULL) < 0)
            error_of_conn(c, &c->copy_err);
        (void)PQflush(c->pq);
        return;
    }
    if (PQresultStatus(r) != PGRES_FATAL_ERROR || c->copy_err.code)
        return;
    error_of_result(c, r, &c->copy_err);
    if (c->is_stream)
        repl_error(&c->copy_err, REPL_STREAM);
}

/* The results behind the data: 0, -1 or 2 as pg_copy_try_read. */
static int try_end(struct pg_conn *c, struct err *err)
{
    while (!PQisBusy(c->pq)) {
        PGresult *r = PQgetResult(c->pq);
        if (r) {
            note_end(c, r);
            PQclear(r);
            continue;
        }
        c->copy = COPY_NONE;
        if (!c->copy_err.code)
            return 0;
        if (err)
            *err = c->copy_err;
        return -1;
    }
    return 2;
}

/* What is there already. */
static int take(struct pg_conn *c, char **data, size_t *len, struct err *err)
{
    if (c->copy != COPY_ENDING) {
        int n = PQgetCopyData(c->pq, data, 1);
        if (n > 0) {
            *len = (size_t)n;
            return 1;
        }
        if (n == 0)
            return 2;
        if (n < -1) {
            c->is_broken = true;
            error_of_conn(c, err);
            return -1;
        }
        c->copy = COPY_ENDING;
    }
    return try_end(c, err);
}

int pg_copy_try_read(struct pg_conn *c, char **data, size_t *len, struct err *err)
{
    *data = NULL;
    *len = 0;
    if (c->copy == COPY_NONE || c->copy == COPY_IN) {
        wrong_state(c, err);
        return -1;
    }
    int got = take(c, data, len, err);
    if (got != 2)
        return got;
    if (!conn_read(c, err))
        return -1;
    got = take(c, data, len, err);
    if (got == 2 && c->is_eof) {
        error_of_conn(c, err);
        return -1;
    }
    return got;
}

int pg_copy_read(struct pg_conn *c, struct task *task, int stall_ms, char **data, size_t *len,
                 struct err *err)
{
    int got;
    if (!wait_turn(task, err)) {
        conn_give_up(c);
        return -1;
    }
    while ((got = pg_copy_try_read(c, data, len, err)) == 2)
        if (!wait_input(c, task, wait_deadline(stall_ms), err)) {
            conn_give_up(c);
            return -1;
        }
    return got;
}

void pg_copy_free(char *data)
{
    PQfreemem(data);
}

bool copy_discard(struct pg_conn *c, struct task *task, int64_t deadline, struct err *err)
{
    for (;;) {
        char *data = NULL;
        int n = PQgetCopyData(c->pq, &data, 1);
        PQfreemem(data);
        if (n < 0)
            return n == -1 || error_of_conn(c, err);
        if (n == 0 && !wait_input(c, task, deadline, err))
            return false;
    }
}

/* --- writing --------------------------------------------------------------------------------- */

bool copy_put_end(struct pg_conn *c, struct task *task, int64_t deadline, const char *reason,
                  struct err *err)
{
    int put;
    while ((put = PQputCopyEnd(c->pq, reason)) == 0)
        if (!wait_input(c, task, deadline, err))
            return conn_give_up(c);
    return put > 0 || error_of_conn(c, err);
}

/* libpq does not parse an error before a COPY FROM STDIN is over, so that a server's refusal would
 * be heard only at the end. But a server has nothing to say meanwhile beside notices: what is no
 * notice, some moments after it came, is taken for an error. */
static void listen_aside(struct pg_conn *c)
{
    uint64_t before = c->notices;
    if (!PQconsumeInput(c->pq))
        c->is_eof = true;
    (void)PQisBusy(c->pq); /* parses notices */
    if (c->notices == before && !c->suspect_since)
        c->suspect_since = clock_mono_ms();
}

static bool is_refused(const struct pg_conn *c)
{
    return c->is_eof || (c->suspect_since && clock_mono_ms() - c->suspect_since >= SUSPECT_MS);
}

/* Fails the COPY, which the server ignores if it has given it up itself, and reads why. */
static bool stop_early(struct pg_conn *c, struct task *task, int64_t deadline, struct err *err)
{
    c->copy = COPY_NONE;
    /* Tried on a lost connection too: only behind the end of a COPY libpq parses what came last. */
    if (PQputCopyEnd(c->pq, "stopped after a message of the server") < 0)
        return error_of_conn(c, err);
    if (exec_finish(c, task, deadline, NULL, err))
        return err_set(err, ERR_PROTOCOL, "the server accepted a COPY that was given up");
    return false;
}

static void drop_sent(struct pg_conn *c)
{
    size_t left = c->out.len - c->out_at;
    if (left)
        memmove(c->out.data, c->out.data + c->out_at, left);
    c->out.len = left;
    c->out_at = 0;
}

/* Sends one more piece when all before it is gone; false when libpq cannot. */
static bool send_piece(struct pg_conn *c)
{
    size_t n = c->out.len - c->out_at;
    int unsent = PQflush(c->pq);
    if (unsent)
        return unsent > 0;
    c->queued = 0;
    n = n < PIECE ? n : PIECE;
    int put = n ? PQputCopyData(c->pq, c->out.data + c->out_at, (int)n) : 0;
    if (put > 0) {
        c->out_at += n;
        c->queued = n;
        unsent = PQflush(c->pq);
        if (unsent == 0)
            c->queued = 0;
    }
    if (c->out_at == c->out.len || c->out_at >= WINDOW)
        drop_sent(c);
    return put >= 0 && unsent >= 0;
}

/* How long a call that writes may wait: since its start, or since the last byte went. */
struct patience {
    int64_t deadline;
    int stall_ms;
};

static int64_t until(const struct patience *p)
{
    return p->stall_ms ? wait_deadline(p->stall_ms) : p->deadline;
}

/* Sends what the socket takes, and waits for it while more than enough bytes are left. */
static bool push(struct pg_conn *c, struct task *task, const struct patience *patience,
                 size_t enough, struct err *err)
{
    while (c->out.len > c->out_at || (c->queued && !enough)) {
        struct pollfd p = {.fd = PQsocket(c->pq), .events = POLLIN | POLLOUT};
        short got = poll(&p, 1, 0) > 0 ? p.revents : 0;
        if (!got && c->out.len - c->out_at <= enough && enough)
            return true;
        if (!got && !wait_socket(c, task, POLLIN | POLLOUT, until(patience), &got, err))
            return conn_give_up(c);
        if (got & ~POLLOUT)
            listen_aside(c);
        if (is_refused(c) || ((got & POLLOUT) && !send_piece(c)))
            return stop_early(c, task, until(patience), err);
    }
    return true;
}

bool pg_copy_write(struct pg_conn *c, struct task *task, int stall_ms, const char *data, size_t len,
                   struct err *err)
{
    struct patience patience = {.stall_ms = stall_ms};
    if (c->copy != COPY_IN)
        return wrong_state(c, err);
    if (!wait_turn(task, err))
        return conn_give_up(c);
    while (len) {
        size_t n = len < WINDOW ? len : WINDOW;
        buf_add(&c->out, data, n);
        data += n;
        len -= n;
        if (c->out.len - c->out_at < c->push_at)
            continue;
        if (!push(c, task, &patience, WINDOW, err))
            return false;
        c->push_at = c->out.len - c->out_at + PIECE; /* a full socket is not asked for each row */
    }
    return true;
}

bool pg_copy_queue(struct pg_conn *c, const char *data, size_t len, struct err *err)
{
    if (c->copy != COPY_IN)
        return wrong_state(c, err);
    buf_add(&c->out, data, len);
    return true;
}

bool pg_copy_send(struct pg_conn *c, struct task *task, struct err *err)
{
    if (c->copy != COPY_IN)
        return wrong_state(c, err);
    for (;;) {
        struct pollfd p = {.fd = PQsocket(c->pq), .events = POLLIN | POLLOUT};
        short got = p.fd < 0 ? POLLHUP : 0; /* libpq has closed it and knows why */
        if (poll(&p, 1, 0) > 0)
            got = p.revents;
        if (got & ~POLLOUT)
            listen_aside(c);
        if (is_refused(c))
            return stop_early(c, task, 0, err);
        if (!(got & POLLOUT) || !pg_queued_bytes(c))
            return true;
        if (!send_piece(c))
            return stop_early(c, task, 0, err);
        conn_heard(c);
    }
}

size_t pg_copy_unsent(const struct pg_conn *c)
{
    int n = 0;
    if (c->copy != COPY_IN)
        return 0;
    if (ioctl(PQsocket(c->pq), SIOCOUTQ, &n) != 0 || n < 0)
        n = 0;
    return c->out.len - c->out_at + c->queued + (size_t)n;
}

bool pg_copy_finish(struct pg_conn *c, struct task *task, int limit_ms, const char *abort_reason,
                    int64_t *rows, struct err *err)
{
    struct err e = {0};
    PGresult *last = NULL;
    struct patience patience = {.deadline = wait_deadline(limit_ms)};
    if (rows)
        *rows = 0;
    if (c->copy != COPY_IN)
        return abort_reason ? true : wrong_state(c, err);
    if (abort_reason)
        c->out_at = c->out.len;
    bool ok = push(c, task, &patience, 0, &e) &&
              copy_put_end(c, task, patience.deadline, abort_reason, &e);
    ok = ok && exec_finish(c, task, patience.deadline, &last, &e);
    c->copy = COPY_NONE;
    if (ok && rows)
        *rows = strtoll(PQcmdTuples(last), NULL, 10);
    PQclear(last);
    if (ok || (abort_reason && e.code == ERR_SQL))
        return true;
    if (err)
        *err = e;
    return false;
}

/* Behind the end of our rows. */
static int try_word(struct pg_conn *c, int64_t *rows, struct err *err)
{
    while (!PQisBusy(c->pq)) {
        PGresult *r = PQgetResult(c->pq);
        if (!r) {
            c->copy = COPY_NONE;
            if (!c->copy_err.code)
                return 1;
            *err = c->copy_err;
            return -1;
        }
        if (PQresultStatus(r) == PGRES_COMMAND_OK)
            *rows = strtoll(PQcmdTuples(r), NULL, 10);
        else if (!c->copy_err.code)
            error_of_result(c, r, &c->copy_err);
        PQclear(r);
    }
    return 2;
}

int pg_copy_try_finish(struct pg_conn *c, struct task *task, int64_t *rows, struct err *err)
{
    if (c->copy == COPY_IN) {
        if (!pg_copy_send(c, task, err))
            return -1;
        if (pg_queued_bytes(c))
            return 2;
        int put = PQputCopyEnd(c->pq, NULL);
        if (put == 0)
            return 2;
        if (put < 0) {
            error_of_conn(c, err);
            return -1;
        }
        *rows = 0;
        c->copy = COPY_ENDING;
        c->queued = 1; /* until it is flushed */
    }
    if (c->copy != COPY_ENDING) {
        wrong_state(c, err);
        return -1;
    }
    if (pg_flush(c, err) < 0 || !conn_read(c, err))
        return -1;
    int got = try_word(c, rows, err);
    if (got == 2 && c->is_eof) {
        error_of_conn(c, err);
        return -1;
    }
    return got;
}

void pg_copy_abort(struct pg_conn *c)
{
    if (c->copy != COPY_NONE)
        conn_give_up(c);
}
