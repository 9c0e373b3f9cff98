/* Opening and closing sessions (libpq, "Database Connection Control Functions"): PQconnectPoll in
 * our own wait, then what cannot go with the startup packet. */
#include "pg/pg_private.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"

#define SEND_BUFFER_BYTES (4 << 20)
#define CANCEL_LEAD_MS 200
#define PATIENCE_MS 10000 /* with silence, unless the peer's connect_timeout is another */

/* Never row values: DETAIL may quote them, and so may whatever a function of the user's says (only
 * that has a CONTEXT). */
static void take_notice(void *arg, const PGresult *r)
{
    struct pg_conn *c = arg;
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    if (PQresultErrorField(r, PG_DIAG_CONTEXT))
        text = "raised in a function";
    c->notices++;
    c->suspect_since = 0;
    log_debug("pg", NULL, "notice sqlstate=%s text=%s", state ? state : "",
              text ? text : PQresultErrorMessage(r));
}

static int login_limit_ms(const struct params *p, int limit_ms)
{
    const char *timeout = params_get(p, "connect_timeout");
    long s = timeout ? strtol(timeout, NULL, 10) : 0;
    if (s <= 0 || s > 86400)
        return limit_ms;
    int ms = (int)s * 1000;
    return limit_ms > 0 && limit_ms < ms ? limit_ms : ms;
}

bool pg_is_unix(const struct pg_conn *c)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    return getsockname(PQsocket(c->pq), (struct sockaddr *)&address, &len) == 0 &&
           address.ss_family == AF_UNIX;
}

/* What libpq could not send it moves to the begin of its buffer, each time: with the 208 KiB that a
 * Unix socket takes, a value of 400 MB is moved 2,000 times. TCP grows its own buffer. */
static void widen(struct pg_conn *c)
{
    int fd = PQsocket(c->pq), size = SEND_BUFFER_BYTES;
    if (!pg_is_unix(c))
        return;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size))
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* libpq itself, in our wait: nothing in it blocks. */
static bool poll_login(struct pg_conn *c, const struct params *p, struct task *task,
                       int64_t deadline, struct err *err)
{
    short got;
    c->pq = PQconnectStartParams(p->names, p->values, 0);
    if (!c->pq)
        return err_set(err, ERR_MEMORY, "no memory for a connection");
    PQsetNoticeReceiver(c->pq, take_notice, c);
    PQsetErrorVerbosity(c->pq, PQERRORS_VERBOSE); /* has the SQLSTATE, see error.c */
    PostgresPollingStatusType step =
        PQstatus(c->pq) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
    while (step != PGRES_POLLING_OK && step != PGRES_POLLING_FAILED) {
        if (!wait_socket(c, task, step == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, &got,
                         err))
            return false;
        step = PQconnectPoll(c->pq);
    }
    return true;
}

static bool log_in(struct pg_conn *c, const struct params *p, struct task *task, int limit_ms,
                   struct err *err)
{
    int64_t deadline = wait_deadline(login_limit_ms(p, limit_ms));
    if (!wait_turn(task, err))
        return false;
    if (!(login_looks_up(p) ? login_in_thread(p, task, deadline, &c->pq, err)
                            : poll_login(c, p, task, deadline, err)))
        return false;
    if (PQstatus(c->pq) != CONNECTION_OK)
        return error_of_login(c, err);
    PQsetNoticeReceiver(c->pq, take_notice, c);
    PQsetErrorVerbosity(c->pq, PQERRORS_DEFAULT);
    if (PQsetnonblocking(c->pq, 1))
        return error_of_conn(c, err);
    widen(c);
    c->canceller = canceller_new(c->pq);
    return true;
}

/* A database without an encoding holds bytes of any kind, and checks them against the client's one
 * as they go out and come in: bytes that are no UTF-8 could be mirrored to no database at all. As
 * they are they come to another one without an encoding, while one that has an encoding checks
 * them there, where table and row are known. */
static bool set_encoding(struct pg_conn *c, struct task *task, int limit_ms, struct err *err)
{
    const char *encoding = PQparameterStatus(c->pq, "server_encoding");
    return !encoding || strcmp(encoding, "SQL_ASCII") != 0 ||
           pg_exec(c, task, limit_ms, "SET client_encoding = 'SQL_ASCII'", NULL, err);
}

/* A backend that works on a long statement notices that we have ended, and ends too, instead of
 * keeping its locks; where the server's system cannot tell, it refuses the setting. */
static bool set_check(struct pg_conn *c, struct task *task, int limit_ms, struct err *err)
{
    struct err refused;
    if (pg_exec(c, task, limit_ms, "SET client_connection_check_interval = 5000", NULL, &refused) ||
        refused.code == ERR_SQL)
        return true;
    if (err)
        *err = refused;
    return false;
}

/* Settings that only newer servers know, the encoding, and the one that needs a right. */
static bool set_up(struct pg_conn *c, enum pg_kind kind, struct task *task, int limit_ms,
                   struct err *err)
{
    int version = pg_version(c);
    if (version >= 140000 && !pg_exec(c, task, limit_ms, "SET idle_session_timeout = 0", NULL, err))
        return false;
    if (version >= 140000 && !set_check(c, task, limit_ms, err))
        return false;
    if (version >= 170000 && !pg_exec(c, task, limit_ms, "SET transaction_timeout = 0", NULL, err))
        return false;
    if (!set_encoding(c, task, limit_ms, err))
        return false;
    if (kind != PG_APPLY)
        return true;
    struct err refused;
    c->is_replica_role =
        pg_exec(c, task, limit_ms, "SET session_replication_role = replica", NULL, &refused);
    if (c->is_replica_role || pg_server_error_is(&refused, "42501"))
        return true;
    if (err)
        *err = refused;
    return false;
}

/* Behind a pooler the PID that libpq was told is not that of the session: nobody could be asked
 * about it. */
static bool set_probe(struct pg_conn *c, const struct params *p, struct task *task, int limit_ms,
                      struct err *err)
{
    struct pg_result *r;
    if (!pg_exec(c, task, limit_ms, "SELECT pg_catalog.pg_backend_pid()", &r, err))
        return false;
    if (pg_int(r, 0, 0) == PQbackendPID(c->pq))
        c->probe = probe_new(p, PQbackendPID(c->pq), login_limit_ms(p, PATIENCE_MS));
    pg_free(r);
    return true;
}

bool conn_open(const struct params *p, int limit_ms, struct pg_conn **out, struct err *err)
{
    struct pg_conn *c = mem_calloc(1, sizeof *c);
    *out = NULL;
    bool ok = log_in(c, p, NULL, limit_ms, err);
    if (ok)
        *out = c;
    else
        pg_close(c, false);
    return ok;
}

bool pg_connect(const struct pg_target *target, enum pg_kind kind, const char *app,
                const char *extra_options, struct task *task, int limit_ms, struct pg_conn **out,
                struct err *err)
{
    struct params p;
    struct pg_conn *c = mem_calloc(1, sizeof *c);
    *out = NULL;
    bool ok = params_build(&p, target, kind, app, extra_options, err) &&
              log_in(c, &p, task, limit_ms, err) && set_up(c, kind, task, limit_ms, err) &&
              set_probe(c, &p, task, limit_ms, err);
    params_free(&p);
    if (ok)
        *out = c;
    else
        pg_close(c, false);
    return ok;
}

void pg_close(struct pg_conn *c, bool cancel)
{
    if (!c)
        return;
    if (cancel && !c->is_broken && PQtransactionStatus(c->pq) == PQTRANS_ACTIVE) {
        /* Behind the end of the session a request finds nobody, so it gets a moment's lead. */
        canceller_start(c->canceller);
        (void)canceller_wait(c->canceller, CANCEL_LEAD_MS);
    }
    PQfinish(c->pq);
    canceller_release(c->canceller);
    probe_release(c->probe);
    buf_free(&c->out);
    free(c);
}

int pg_version(const struct pg_conn *c)
{
    return PQserverVersion(c->pq);
}

int pg_backend_pid(const struct pg_conn *c)
{
    return PQbackendPID(c->pq);
}

int pg_socket(const struct pg_conn *c)
{
    return PQsocket(c->pq);
}

bool pg_is_replica_role(const struct pg_conn *c)
{
    return c->is_replica_role;
}

bool pg_is_alive(const struct pg_conn *c)
{
    struct pollfd p = {.fd = PQsocket(c->pq), .events = POLLRDHUP};
    if (c->is_broken || c->is_eof || p.fd < 0 || PQstatus(c->pq) != CONNECTION_OK)
        return false;
    return poll(&p, 1, 0) == 0;
}

size_t pg_queued_bytes(const struct pg_conn *c)
{
    return c->queued + c->out.len - c->out_at;
}
