/* Everything we ask of libpq, and the only room that includes libpq-fe.h.
 *
 * A struct pg_conn belongs to the thread that opened it. Every call that waits takes a struct task:
 * it polls the connection and the task's wake descriptor together, calls task->tick at least every
 * tick_ms, and gives up with ERR_CANCELLED as soon as task->is_cancelled says so (the statement is
 * cancelled at the server too). Every call has a limit in milliseconds; 0 means no limit beside
 * cancellation, and a NULL task waits with the limit only. A wake-up that came during a wait is
 * passed on: the descriptor is readable again when the call returns.
 *
 * Errors: ERR_CONNECT (no connection, or the server ended the session; SQLSTATE where it gave
 * one), ERR_TIMEOUT, ERR_CANCELLED, ERR_SQL with SQLSTATE, the primary message as text and DETAIL
 * and HINT as hint. After a limit or a cancellation the session is usable again when the server
 * took the cancel within a second (a transaction is then to be rolled back); else it is dead, see
 * pg_is_alive. */
#ifndef BUNNY_PG_H
#define BUNNY_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/lsn.h"
#include "base/report.h"

struct pg_conn;
struct pg_result;

/* Who waits, and what has to go on meanwhile. Borrowed by the calls; all callbacks run in the
 * calling thread, inside the wait. */
struct task {
    int wake_fd;                     /* polled beside the connection; -1: none */
    bool (*is_cancelled)(void *arg); /* asked on each wake-up and tick; NULL: never */
    void (*tick)(void *arg);         /* keep-alives, heartbeat, publishing; NULL: none */
    void *arg;
    int tick_ms;       /* 0: 1000 */
    int64_t next_tick; /* kept by these calls, over all that share the task; starts as 0 */
    int64_t heard_at;  /* the same: when a server last had something to say, monotonic ms */
    bool
        is_leaving; /* a session that was given up is closed: nobody waits until it takes another */
};

/* Where a server is and how to log in; see struct peer in engine.h for its users' view. */
struct pg_target {
    const char *host;
    int port;
    const char *user;
    const char *password; /* NULL: libpq's own ways */
    const char *database;
    const char *ssl_mode;
    size_t n_options; /* further libpq keywords */
    const char *const *option_names;
    const char *const *option_values;
};

enum pg_kind {
    PG_SQL,         /* an ordinary session with our GUCs, autocommit, search_path empty */
    PG_APPLY,       /* as PG_SQL, and session_replication_role=replica where permitted */
    PG_REPLICATION, /* replication=database */
};

/* Opens a session: UTF8, ISO dates, hex bytea, UTC, search_path '', no statement, lock or idle
 * timeouts of the server's, TCP keepalives. extra_options: more "-c name=value" for the server
 * (they win over ours; blanks in a value as "\ "), or NULL. app goes to application_name. The
 * shorter of limit_ms and the peer's connect_timeout (10 s unless it names one) holds. */
bool pg_connect(const struct pg_target *target, enum pg_kind kind, const char *app,
                const char *extra_options, struct task *task, int limit_ms, struct pg_conn **out,
                struct err *err) MUST_CHECK;
/* Closes at once; a running statement is cancelled first when cancel is true. NULL is fine. */
void pg_close(struct pg_conn *c, bool cancel);
int pg_version(const struct pg_conn *c); /* 150018 */
int pg_backend_pid(const struct pg_conn *c);
int pg_socket(const struct pg_conn *c);
bool pg_is_unix(const struct pg_conn *c); /* over a Unix socket, not TCP */
bool pg_is_replica_role(
    const struct pg_conn *c); /* PG_APPLY got session_replication_role=replica */
/* True when name is a keyword that libpq knows (its own list). */
bool pg_is_conn_keyword(const char *name);
int pg_client_version(void); /* libpq's, 150018 */
/* False once the session cannot be used any more, also when the server has closed it while it was
 * idle. Asks the socket, not the server; never waits. */
bool pg_is_alive(const struct pg_conn *c);
/* Asks the server to cancel what the session is doing; returns at once (a short-lived thread of its
 * own speaks to the server). May be called from any thread while the connection is open. It may
 * arrive late and then hits the next statement: close or settle the session after it. */
void pg_cancel(struct pg_conn *c);
/* Waits until the connection has something to read, or (for_write) takes bytes again; for callers
 * of the calls that never wait. Leaves a running statement alone, also when cancelled. */
bool pg_wait(struct pg_conn *c, struct task *task, bool for_write, int limit_ms,
             struct err *err) MUST_CHECK;
/* For callers that poll by themselves; all other waits do it inside. To be called in each turn,
 * with whether the server owes us an answer now. After a silence as long as a login may take, and
 * then now and again, a session of its own (in a short-lived thread) asks the server about this
 * one. False with ERR_CONNECT when it hangs: it is gone, cannot be asked about, or waits for us.
 * One that works or waits for a lock is borne for ever. Never waits. */
bool pg_bear_silence(struct pg_conn *c, bool is_owed, struct err *err) MUST_CHECK;
/* A replication stream has been silent for so long that the source should be asked for a word: the
 * next pg_repl_feedback does it. */
bool pg_wants_ping(const struct pg_conn *c);
/* Bytes handed over and perhaps not yet with the kernel: an upper bound, 0 after a full flush. */
size_t pg_queued_bytes(const struct pg_conn *c);
/* True when err carries this SQLSTATE. */
bool pg_server_error_is(const struct err *err, const char *sqlstate);
/* True when a server refused a definition for what it says: neither for its rows, nor for a right
 * that is missing. */
bool pg_refuses_definition(const struct err *err);

/* Runs sql (several statements allowed when no parameters) and waits. *out, when asked for, is the
 * last result and is to be freed with pg_free. */
bool pg_exec(struct pg_conn *c, struct task *task, int limit_ms, const char *sql,
             struct pg_result **out, struct err *err) MUST_CHECK;
/* One statement with text parameters ($1 …), NULL for SQL NULL. */
bool pg_exec_params(struct pg_conn *c, struct task *task, int limit_ms, const char *sql, size_t n,
                    const char *const *values, struct pg_result **out, struct err *err) MUST_CHECK;
/* Sends sql and does not wait; then pg_try_answer, which never waits either, tells: 2 = nothing
 * yet, 1 = a COPY … TO STDOUT has begun (pg_copy_try_read reads it to its end, and that of the
 * statement), 0 = it is done, -1 = error. Rows are thrown away. */
bool pg_ask(struct pg_conn *c, const char *sql, struct err *err) MUST_CHECK;
int pg_try_answer(struct pg_conn *c, struct err *err);
/* Begins a transaction (read only, repeatable) that sees what an exported snapshot shows.
 * ERR_CONNECT when the connection that exported it is gone: a new snapshot is needed. */
bool pg_begin_snapshot(struct pg_conn *c, struct task *task, int limit_ms, const char *snapshot,
                       struct err *err) MUST_CHECK;
void pg_free(struct pg_result *r);
size_t pg_rows(const struct pg_result *r);
size_t pg_cols(const struct pg_result *r);
/* A column's name, borrowed until pg_free, and its type's OID. */
const char *pg_col_name(const struct pg_result *r, size_t col);
unsigned pg_col_type(const struct pg_result *r, size_t col);
/* Text of a cell, "" for NULL; borrowed until pg_free. */
const char *pg_text(const struct pg_result *r, size_t row, size_t col);
bool pg_is_null(const struct pg_result *r, size_t row, size_t col);
bool pg_bool(const struct pg_result *r, size_t row, size_t col);
int64_t pg_int(const struct pg_result *r, size_t row, size_t col);
lsn_t pg_lsn(const struct pg_result *r, size_t row, size_t col); /* 0 for NULL */
/* Every row as one of the section, each cell under its column's name. */
void pg_report(struct report_section *s, const struct pg_result *r);
/* Rows touched, from the command tag. */
int64_t pg_affected(const struct pg_result *r);

/* Appends a quoted identifier / "schema"."name" / a literal (standard_conforming_strings or not).
 */
void pg_quote_ident(struct buf *b, const char *name);
void pg_quote_qualified(struct buf *b, const char *schema, const char *name);
void pg_quote_literal(struct buf *b, const char *text);
/* Does the statement, as we or the server write it, have that identifier alone, or as the part-th
 * one of a qualified name? (2: "schema"."name", 3: "schema"."table"."column".) Not in strings. */
bool pg_mentions(const char *sql, const char *name, int part);
/* An array literal for a text[] parameter: {"a","b"}. */
void pg_quote_array(struct buf *b, size_t n, const char *const *items);

/* --- COPY (libpq, "Functions Associated with the COPY Command") ---------------------------- */
/* Starts a COPY … TO STDOUT or FROM STDIN. A server sends its first word about a COPY TO together
 * with the first 8 kB of rows: leave limit_ms as long as those may take. */
bool pg_copy_start(struct pg_conn *c, struct task *task, int limit_ms, const char *sql,
                   struct err *err) MUST_CHECK;
/* The next CopyData: 1 = *data, *len (owned, free with pg_copy_free), 0 = the COPY ended well,
 * -1 = error. Waits (stall_ms: longest time without a byte; 0 none). */
int pg_copy_read(struct pg_conn *c, struct task *task, int stall_ms, char **data, size_t *len,
                 struct err *err) MUST_CHECK;
/* As pg_copy_read, never waits: 2 = nothing there yet. */
int pg_copy_try_read(struct pg_conn *c, char **data, size_t *len, struct err *err) MUST_CHECK;
void pg_copy_free(char *data);
/* Queues bytes to a COPY FROM STDIN; waits only while more than a window is unsent. When the server
 * gives the COPY up early this fails with its error, soon, but not always with the next call. */
bool pg_copy_write(struct pg_conn *c, struct task *task, int stall_ms, const char *data, size_t len,
                   struct err *err) MUST_CHECK;
/* For who polls the socket by itself: pg_copy_queue takes bytes and sends nothing; pg_copy_send
 * sends what the socket takes, and listens, without waiting (but for the reason of a server that
 * has given the COPY up). To be called when the socket can be read or written, and as long as
 * pg_queued_bytes says that something is unsent. */
bool pg_copy_queue(struct pg_conn *c, const char *data, size_t len, struct err *err) MUST_CHECK;
bool pg_copy_send(struct pg_conn *c, struct task *task, struct err *err) MUST_CHECK;
/* As pg_copy_finish (well), never waits: 1 = *rows, 2 = not yet, -1 = error. To be called again
 * until it is over, and nothing else meanwhile. */
int pg_copy_try_finish(struct pg_conn *c, struct task *task, int64_t *rows,
                       struct err *err) MUST_CHECK;
/* About how many bytes of a COPY FROM STDIN are still on this machine; from inside a tick, too. */
size_t pg_copy_unsent(const struct pg_conn *c);
/* Ends a COPY FROM STDIN (abort_reason NULL: well) and waits for the server's word. With a reason
 * the refusal that the server answers is success, and so is a COPY that is over already. rows may
 * be NULL. */
bool pg_copy_finish(struct pg_conn *c, struct task *task, int limit_ms, const char *abort_reason,
                    int64_t *rows, struct err *err) MUST_CHECK;
/* Gives up a COPY in either direction, if one is under way, because of an error somewhere else:
 * takes a moment, a second at most; then the session takes statements again, or is dead. */
void pg_copy_abort(struct pg_conn *c);

/* --- Pipeline mode (libpq, "Pipeline Mode") -------------------------------------------------- */
/* Enters pipeline mode; from here on only the pg_pipe_* calls are allowed until pg_pipe_leave. */
bool pg_pipe_enter(struct pg_conn *c, struct err *err) MUST_CHECK;
/* Only when nothing is under way. */
bool pg_pipe_leave(struct pg_conn *c, struct err *err) MUST_CHECK;
bool pg_pipe_prepare(struct pg_conn *c, const char *name, const char *sql,
                     struct err *err) MUST_CHECK;
/* values/lengths/formats as PQsendQueryPrepared; the bytes are copied before it returns. */
bool pg_pipe_run(struct pg_conn *c, const char *name, int n, const char *const *values,
                 const int *lengths, const int *formats, struct err *err) MUST_CHECK;
bool pg_pipe_query(struct pg_conn *c, const char *sql, int n, const char *const *values,
                   struct err *err) MUST_CHECK;
/* Marks the end of a unit: an error before it does not reach behind it. */
bool pg_pipe_sync(struct pg_conn *c, struct err *err) MUST_CHECK;
/* Asks the server to send what it has without ending the unit. */
bool pg_pipe_flush_request(struct pg_conn *c, struct err *err) MUST_CHECK;
/* Pushes queued bytes out: 0 = all sent, 1 = the socket is full, -1 = error. Never waits. */
int pg_flush(struct pg_conn *c, struct err *err) MUST_CHECK;
/* Takes in what the socket has; never waits. */
bool pg_consume(struct pg_conn *c, struct err *err) MUST_CHECK;
enum pg_pipe_got {
    PIPE_NOTHING, /* nothing complete is there yet */
    PIPE_RESULT,  /* *out: one statement's (or prepare's) result, owned; free it */
    PIPE_SYNC,    /* the end of a unit was reached */
    PIPE_ERROR,   /* a statement failed: err is filled; what follows up to the sync is skipped */
    PIPE_SKIPPED, /* a statement behind a failed one */
};
/* Never waits. PIPE_ERROR with ERR_CONNECT: the connection is gone and nothing will follow. */
enum pg_pipe_got pg_pipe_next(struct pg_conn *c, struct pg_result **out, struct err *err);

/* --- Replication protocol ("Streaming Replication Protocol", "Logical Replication Message
 *     Formats") ------------------------------------------------------------------------------ */
/* Errors of their own: ERR_SLOT_EXISTS, ERR_SLOT_ACTIVE, ERR_SLOT_MISSING, ERR_SLOT_LOST, and while
 * streaming ERR_PUBLICATION and ERR_DECODING (from pg_copy_read and pg_copy_try_read). */
/* CREATE_REPLICATION_SLOT … LOGICAL pgoutput EXPORT_SNAPSHOT. *snapshot (caller frees) stays
 * valid until the connection's next command. temporary: gone with the connection. */
bool pg_repl_create_slot(struct pg_conn *c, struct task *task, int limit_ms, const char *slot,
                         bool temporary, lsn_t *consistent_point, char **snapshot,
                         struct err *err) MUST_CHECK;
/* Before pg_repl_start, or in a session that decodes by SQL: the memory that the server may use for
 * the transactions it decodes for it before it writes them to its disk ("Resource Consumption",
 * logical_decoding_work_mem; 13 and newer). Never less than the server gives by itself, which also
 * stays where it refuses. */
bool pg_repl_decoding_memory(struct pg_conn *c, struct task *task, int limit_ms, int64_t bytes,
                             struct err *err) MUST_CHECK;
/* START_REPLICATION … LOGICAL with proto_version 1 and the publication; then read with
 * pg_copy_try_read and write with pg_repl_feedback. binary: values in binary format. */
bool pg_repl_start(struct pg_conn *c, struct task *task, int limit_ms, const char *slot, lsn_t from,
                   const char *publication, bool binary, struct err *err) MUST_CHECK;
/* Standby status update; flushed is what the source may forget. Queues and pushes, never waits. */
bool pg_repl_feedback(struct pg_conn *c, lsn_t written, lsn_t flushed, lsn_t applied,
                      struct err *err) MUST_CHECK;
/* CopyDone and the wait for the server's, so that the last feedback is known to have arrived. Close
 * the session afterwards: a walsender that has ended one logical stream ends the next one at its
 * start. */
bool pg_repl_stop(struct pg_conn *c, struct task *task, int limit_ms, struct err *err) MUST_CHECK;

#endif
