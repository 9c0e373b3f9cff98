/* Logical replication commands and the feedback message (PostgreSQL docs, "Streaming Replication
 * Protocol" and "Logical Streaming Replication Parameters"). Refusals are told apart by SQLSTATE
 * and by the command that got them, never by their text. */
#include "pg/pg_private.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define EPOCH_2000_US INT64_C(946684800000000) /* 2000-01-01 in Unix time */
#define STATUS_UPDATE_SIZE 34

/* What the server adds to such an error is not for who reads a mirror. */
#define DECODING_HINT                                                                              \
    "The source's server cannot read its log for this slot: see its own log; WAL files may be "    \
    "damaged or gone, or it has met a defect that an update of PostgreSQL heals. It is tried "     \
    "some times. If that does not help, retry with {\"recreate_slot\": true} (bunnydb retry NAME " \
    "--recreate-slot): a new slot, and the tables are copied again, so that nothing is lost."

static const struct {
    enum repl_step step;
    const char *sqlstate;
    enum err_code code;
    const char *hint;
} refusals[] = {
    {REPL_CREATE, "42710", ERR_SLOT_EXISTS,
     "If nothing else needs it: retry with {\"take_slot\": true} (bunnydb retry NAME --take-slot) "
     "drops it, makes a new one and copies the tables, so that nothing is lost."},
    {REPL_CREATE, "55006", ERR_SLOT_ACTIVE, NULL},
    {REPL_START, "55006", ERR_SLOT_ACTIVE,
     "Wait until the connection that holds the slot has ended, or end it on the source."},
    {REPL_START, "42704", ERR_SLOT_MISSING, "The slot must be made anew, with a new snapshot."},
    /* an internal error, damaged data or index, a file that is not there */
    {REPL_STREAM, "XX000", ERR_DECODING, DECODING_HINT},
    {REPL_STREAM, "XX001", ERR_DECODING, DECODING_HINT},
    {REPL_STREAM, "XX002", ERR_DECODING, DECODING_HINT},
    {REPL_STREAM, "58P01", ERR_DECODING, DECODING_HINT},
    {REPL_STREAM, "42704", ERR_PUBLICATION, "Create the publication on the source again."},
};

void repl_error(struct err *err, enum repl_step step)
{
    for (size_t i = 0; err && i < COUNT_OF(refusals); i++) {
        if (refusals[i].step != step || strcmp(refusals[i].sqlstate, err->sqlstate) != 0)
            continue;
        err->code = refusals[i].code;
        if (refusals[i].hint && (!err->hint[0] || err->code == ERR_DECODING))
            err_hint(err, "%s", refusals[i].hint);
    }
}

bool pg_repl_create_slot(struct pg_conn *c, struct task *task, int limit_ms, const char *slot,
                         bool temporary, lsn_t *consistent_point, char **snapshot, struct err *err)
{
    struct buf sql = {0};
    struct pg_result *r = NULL;
    *snapshot = NULL;
    *consistent_point = 0;
    buf_puts(&sql, "CREATE_REPLICATION_SLOT ");
    pg_quote_ident(&sql, slot);
    buf_puts(&sql, temporary ? " TEMPORARY" : "");
    buf_puts(&sql, " LOGICAL pgoutput EXPORT_SNAPSHOT");
    bool ok = pg_exec(c, task, limit_ms, buf_text(&sql), &r, err);
    buf_free(&sql);
    if (!ok) {
        repl_error(err, REPL_CREATE);
        return false;
    }
    /* slot_name, consistent_point, snapshot_name, output_plugin */
    if (pg_rows(r) == 1 && pg_cols(r) >= 3 && !pg_is_null(r, 0, 2)) {
        *consistent_point = pg_lsn(r, 0, 1);
        *snapshot = mem_strdup(pg_text(r, 0, 2));
    } else {
        ok = err_set(err, ERR_PROTOCOL, "the source answered a new slot without a snapshot");
    }
    pg_free(r);
    return ok;
}

/* The walsender's scanner knows no E'' and reads a backslash as it is. */
static void quote_option(struct buf *b, const char *text)
{
    buf_putc(b, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_putc(b, '\'');
        buf_putc(b, *text);
    }
    buf_putc(b, '\'');
}

/* 55000 has several reasons; the catalog tells whether the slot is lost (13 and newer; before, no
 * setting made a server remove WAL that a slot needs). */
static void check_lost(struct pg_conn *c, struct task *task, int limit_ms, const char *slot,
                       struct err *err)
{
    struct buf sql = {0};
    struct pg_result *r = NULL;
    struct err ignored;
    if (!err || !pg_server_error_is(err, "55000") || pg_version(c) < 130000)
        return;
    buf_puts(&sql, "SELECT 1 FROM pg_catalog.pg_replication_slots"
                   " WHERE wal_status = 'lost' AND slot_name = ");
    pg_quote_literal(&sql, slot);
    if (pg_exec(c, task, limit_ms, buf_text(&sql), &r, &ignored) && pg_rows(r) > 0) {
        err->code = ERR_SLOT_LOST;
        if (!err->hint[0])
            err_hint(err, "The slot must be made anew, with a new snapshot; raise "
                          "max_slot_wal_keep_size on the source.");
    }
    pg_free(r);
    buf_free(&sql);
}

bool pg_repl_decoding_memory(struct pg_conn *c, struct task *task, int limit_ms, int64_t bytes,
                             struct err *err)
{
    char sql[256];
    struct err refusal = {0};
    str_printf(sql, sizeof sql,
               "SELECT pg_catalog.set_config(name, '%lldkB', false) FROM pg_catalog.pg_settings "
               "WHERE name = 'logical_decoding_work_mem' AND setting::pg_catalog.int8 < %lld",
               (long long)(bytes / 1024), (long long)(bytes / 1024));
    if (pg_exec(c, task, limit_ms, sql, NULL, &refusal) || refusal.code == ERR_SQL)
        return true;
    *err = refusal;
    return false;
}

static void start_command(struct buf *sql, const char *slot, lsn_t from, const char *publication,
                          bool binary)
{
    struct buf names = {0};
    pg_quote_ident(&names, publication); /* the option is a list of identifiers */
    buf_puts(sql, "START_REPLICATION SLOT ");
    pg_quote_ident(sql, slot);
    buf_printf(sql, " LOGICAL " LSN_FMT " (proto_version '1', publication_names ", LSN_ARGS(from));
    quote_option(sql, buf_text(&names));
    buf_puts(sql, binary ? ", binary 'true')" : ")");
    buf_free(&names);
}

bool pg_repl_start(struct pg_conn *c, struct task *task, int limit_ms, const char *slot, lsn_t from,
                   const char *publication, bool binary, struct err *err)
{
    struct buf sql = {0};
    start_command(&sql, slot, from, publication, binary && pg_version(c) >= 140000);
    enum copy_state got = copy_begin(c, task, limit_ms, buf_text(&sql), err);
    buf_free(&sql);
    if (got == COPY_BOTH)
        return true;
    if (got != COPY_NONE) {
        conn_give_up(c);
        return err_set(err, ERR_PROTOCOL, "the source did not start a replication stream");
    }
    if (err) {
        repl_error(err, REPL_START);
        check_lost(c, task, limit_ms, slot, err);
    }
    return false;
}

bool pg_repl_feedback(struct pg_conn *c, lsn_t written, lsn_t flushed, lsn_t applied,
                      struct err *err)
{
    struct buf b = {0};
    if (c->copy != COPY_BOTH)
        return err_set(err, ERR_CONNECT, "the replication stream is over");
    buf_putc(&b, 'r');
    buf_be64(&b, written);
    buf_be64(&b, flushed);
    buf_be64(&b, applied);
    buf_be64(&b, (uint64_t)(clock_wall_us() - EPOCH_2000_US));
    bool ask = pg_wants_ping(c);
    buf_putc(&b, ask); /* an answer is wanted */
    c->silence.is_pinged |= ask;
    int put = PQputCopyData(c->pq, b.data, STATUS_UPDATE_SIZE);
    buf_free(&b);
    if (put > 0)
        return pg_flush(c, err) >= 0;
    return put < 0 ? error_of_conn(c, err)
                   : err_set(err, ERR_MEMORY, "no memory for a message to the source");
}

bool pg_repl_stop(struct pg_conn *c, struct task *task, int limit_ms, struct err *err)
{
    int64_t deadline = wait_deadline(limit_ms);
    char *data;
    size_t len;
    int got;
    if (c->copy == COPY_NONE)
        return true;
    if (c->copy == COPY_BOTH) {
        if (!copy_put_end(c, task, deadline, NULL, err))
            return false;
        if (!copy_discard(c, task, deadline, err))
            return conn_leave(c);
        c->copy = COPY_ENDING;
    }
    while ((got = pg_copy_try_read(c, &data, &len, err)) == 2)
        if (!wait_input(c, task, deadline, err))
            return conn_leave(c);
    return got == 0;
}

/* --- statements that nobody waits for (libpq, "Asynchronous Command Processing") -------------- */

bool pg_ask(struct pg_conn *c, const char *sql, struct err *err)
{
    if (!conn_is_ready(c, err))
        return false;
    err_clear(&c->copy_err);
    c->is_stream = false;
    return PQsendQuery(c->pq, sql) ? pg_flush(c, err) >= 0 : error_of_conn(c, err);
}

/* -2: there may be more. */
static int take_answer(struct pg_conn *c, struct err *err)
{
    PGresult *r = PQgetResult(c->pq);
    int got = -2;
    if (!r) {
        got = c->copy_err.code ? -1 : 0;
        if (got < 0 && err)
            *err = c->copy_err;
    } else if (PQresultStatus(r) == PGRES_COPY_OUT) {
        c->copy = COPY_OUT;
        got = 1;
    } else if (PQresultStatus(r) == PGRES_FATAL_ERROR && !c->copy_err.code) {
        error_of_result(c, r, &c->copy_err);
    }
    PQclear(r);
    return got;
}

int pg_try_answer(struct pg_conn *c, struct err *err)
{
    if (pg_flush(c, err) < 0 || !conn_read(c, err))
        return -1;
    while (!PQisBusy(c->pq)) {
        int got = take_answer(c, err);
        if (got != -2)
            return got;
    }
    if (!c->is_eof)
        return 2;
    error_of_conn(c, err);
    return -1;
}
