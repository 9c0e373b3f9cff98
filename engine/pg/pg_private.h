/* What the files of pg/ share: the connection itself, the one wait, and libpq's errors as struct
 * err. Nothing outside pg/ includes this. */
#ifndef BUNNY_PG_PRIVATE_H
#define BUNNY_PG_PRIVATE_H

#include <libpq-fe.h>

#include "base/buf.h"
#include "pg/pg.h"

enum copy_state {
    COPY_NONE,
    COPY_IN,
    COPY_OUT,
    COPY_BOTH,   /* replication stream */
    COPY_ENDING, /* the data is over, the statement's result is still to come */
};

/* How long nothing has come while we waited (probe.c); all 0: something has just come. */
struct silence {
    int64_t since, ask_at, waited_at; /* monotonic ms */
    int pause_ms;                     /* between two questions */
    int strikes, unsent;
    bool is_asked, is_pinged;
};

struct probe;     /* probe.c: what asks about a silent session, shared with its threads */
struct canceller; /* cancel.c: what a cancel request needs, shared with the threads that send one */

struct pg_conn {
    PGconn *pq;
    struct canceller *canceller; /* NULL until connected */
    struct probe *probe;         /* NULL: its silence is borne for ever */
    struct silence silence;
    enum copy_state copy;
    bool is_stream; /* the COPY under way is a replication stream */
    bool is_replica_role;
    bool is_broken;        /* given up on in the middle of an exchange */
    bool is_eof;           /* nothing more can be read; what libpq has is still to be parsed */
    size_t queued;         /* bytes handed to libpq since its last complete flush */
    uint64_t notices;      /* seen so far */
    int64_t suspect_since; /* ms; during COPY FROM STDIN something came that is no notice */
    struct buf out;        /* COPY FROM STDIN: not yet with libpq, from out_at on */
    size_t out_at;
    size_t push_at;      /* so many bytes of out make the next attempt to send */
    struct err copy_err; /* why the COPY that is ending failed; ERR_NONE: it did not */
};

/* Conninfo keywords of a session; freed with params_free. False: an option is none of libpq's. */
struct params {
    const char **names;
    const char **values;
    size_t n, cap_names, cap_values;
    struct buf server_options;
    char port[12];
};
bool params_build(struct params *p, const struct pg_target *target, enum pg_kind kind,
                  const char *app, const char *extra_options, struct err *err) MUST_CHECK;
const char *params_get(const struct params *p, const char *name);
void params_free(struct params *p);
/* With strings of its own; freed with params_free_copy. */
void params_copy(const struct params *p, struct params *out);
void params_free_copy(struct params *p);

/* Logs in and nothing else; such a connection has no probe. */
bool conn_open(const struct params *p, int limit_ms, struct pg_conn **out,
               struct err *err) MUST_CHECK;
/* Whether libpq would ask the resolver. */
bool login_looks_up(const struct params *p);
/* A login in a thread of its own: *out may be a connection that failed. */
bool login_in_thread(const struct params *p, struct task *task, int64_t deadline, PGconn **out,
                     struct err *err) MUST_CHECK;
/* A thread that takes no signals and is never joined; false when there is none to be had. */
bool thread_start_detached(void *(*main)(void *), void *arg) MUST_CHECK;

/* pid: of the session; login_ms: how long a login may take, and so how long silence is natural. */
struct probe *probe_new(const struct params *p, int pid, int login_ms);
/* NULL is fine. A thread that still asks keeps its share. */
void probe_release(struct probe *o);
/* Something came, or bytes of ours went. */
void conn_heard(struct pg_conn *c);
/* While we wait and nothing comes; never waits. False with ERR_CONNECT, and the session is broken,
 * when the server is known not to answer any more. */
bool conn_bear_silence(struct pg_conn *c, int64_t now, struct err *err) MUST_CHECK;
/* When to call that again at the latest. */
int64_t conn_silence_look_at(const struct pg_conn *c, int64_t now);

/* A limit in ms as a point of the monotonic clock; 0 = none. */
int64_t wait_deadline(int limit_ms);
/* Runs a due tick; false with ERR_CANCELLED when the task says so. */
bool wait_turn(struct task *task, struct err *err) MUST_CHECK;
/* As wait_socket, for a descriptor that is no connection. */
bool wait_fd(int fd, struct task *task, short events, int64_t deadline, struct err *err) MUST_CHECK;
/* Until poll(2) has one of events (or an error) for the connection; *got: what it has. */
bool wait_socket(struct pg_conn *c, struct task *task, short events, int64_t deadline, short *got,
                 struct err *err) MUST_CHECK;
/* One round of an exchange: flushes, waits until something can be read (or, if bytes are unsent,
 * written), takes it in. False also when the connection is over and that was said before. */
bool wait_input(struct pg_conn *c, struct task *task, int64_t deadline, struct err *err) MUST_CHECK;

struct canceller *canceller_new(PGconn *pq);
/* NULL is fine. Threads that still speak to a server keep their share. */
void canceller_release(struct canceller *k);
void canceller_start(struct canceller *k);
/* True when no request is under way any more. */
bool canceller_wait(struct canceller *k, int limit_ms);
/* After a wait failed in the middle of a statement: cancels the statement and reads its end, at
 * most a second, so that the session can go on; else the session is broken. Returns false. */
bool conn_give_up(struct pg_conn *c);
/* The same of a session that is closed next: it asks the server to end what it does, and waits for
 * nothing. Returns false. */
bool conn_leave(struct pg_conn *c);

/* From a failed result; from libpq's own message on the connection; from a failed login. Each
 * returns false. Where the session is over the text names the server, as a mirror has two. */
bool error_of_result(const struct pg_conn *c, const PGresult *r, struct err *err);
bool error_of_conn(const struct pg_conn *c, struct err *err);
bool error_of_login(const struct pg_conn *c, struct err *err);
/* ERR_CONNECT: the session is over, and libpq has nothing to say of it. Returns false. */
bool error_lost(const struct pg_conn *c, struct err *err);
/* Puts the server's address before the text of an error. Returns false. */
bool error_at_server(const struct pg_conn *c, struct err *err);

/* False with an error when the session is broken or inside a COPY or pipeline. */
bool conn_is_ready(const struct pg_conn *c, struct err *err) MUST_CHECK;
/* The statement's next result (NULL: it is over), waiting for it. */
bool exec_next(struct pg_conn *c, struct task *task, int64_t deadline, PGresult **out,
               struct err *err) MUST_CHECK;
/* Reads a statement to its end: the last result to *last (may be NULL), the first error to err. */
bool exec_finish(struct pg_conn *c, struct task *task, int64_t deadline, PGresult **last,
                 struct err *err) MUST_CHECK;
/* Takes in what the socket has; false once the connection is over and that was said before. */
bool conn_read(struct pg_conn *c, struct err *err) MUST_CHECK;
/* Sends sql and waits for the start of the COPY it must be; COPY_NONE with an error if it is not.
 */
enum copy_state copy_begin(struct pg_conn *c, struct task *task, int limit_ms, const char *sql,
                           struct err *err) MUST_CHECK;
/* Queues CopyDone, or CopyFail with the reason. */
bool copy_put_end(struct pg_conn *c, struct task *task, int64_t deadline, const char *reason,
                  struct err *err) MUST_CHECK;
/* Throws away what a COPY TO STDOUT or a stream still sends. */
bool copy_discard(struct pg_conn *c, struct task *task, int64_t deadline,
                  struct err *err) MUST_CHECK;
/* Turns a server's refusal on a replication connection into one of our own codes. */
enum repl_step {
    REPL_CREATE,
    REPL_START,
    REPL_STREAM,
};
void repl_error(struct err *err, enum repl_step step);

static inline PGresult *result_pq(const struct pg_result *r)
{
    return (PGresult *)(uintptr_t)r;
}

static inline struct pg_result *result_wrap(PGresult *r)
{
    return (struct pg_result *)(uintptr_t)r;
}

#endif
