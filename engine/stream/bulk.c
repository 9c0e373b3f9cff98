/* Chunks of messages by SQL, from a temporary copy of the slot; see bulk.h. */
#include "stream/bulk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define STEP_MS 30000
#define NAME_MAX_LEN 63   /* of a slot */
#define CHUNK_FIRST 10000 /* messages, as long as their size is not known */
#define CHUNK_MIN 1000
#define CHUNK_MAX 250000
#define CHUNK_WAL (256 << 20) /* …and the WAL that is read for them */
#define ITEM_COST 64          /* bytes that a message takes beside itself */
#define NEAR_BYTES (4 << 20)  /* what is left to the stream */
#define SLOW_US 3     /* a message that takes longer to decode: the next chunk is larger, as … */
#define SCALE_MAX 16  /* … each begins far back, at the oldest transaction that is open */
#define STALE_MS 1000 /* so long ago that was, and it may be more by now */
#define MOVE_BYTES (64 << 20)  /* the mirror's slot is moved after so much WAL */
#define MOVE_SHARE 10          /* and takes no more than this part of the time */
#define CALLS_WITHOUT_FIX 8    /* see calls_left */
#define WORK_MEM_KB (64 << 10) /* at the source: for a chunk that waits to be sent */

struct bulk {
    struct pg_conn *conn;
    char copy[NAME_MAX_LEN + 1];
    char *slot, *publication;
    size_t window;
    enum {
        BULK_READY,   /* no statement is under way */
        BULK_ASKED,   /* for a chunk: the server decodes */
        BULK_READING, /* the chunk's rows come */
        BULK_MOVING,  /* the mirror's slot */
    } state;
    /* what has come and was not handed out */
    struct bulk_item *items;
    size_t first, n, cap, bytes;
    /* the chunk that comes */
    bool has_header;
    int marks;
    int64_t messages, chunk_bytes;
    lsn_t position;              /* where the copy stands */
    lsn_t source_end;            /* of its WAL, at the end of the last chunk */
    bool is_last;                /* there was hardly more behind it */
    int64_t ended_at;            /* monotonic ms: when that was */
    int64_t limit;               /* messages of the next one */
    int scale;                   /* so many times what is usual at once */
    int64_t asked_at;            /* monotonic ms */
    int64_t decoded_ms;          /* how long the chunk that comes took until its first row */
    int calls_left;              /* -1: any number */
    lsn_t moved;                 /* where the mirror's slot stands, or is moved to */
    int64_t move_at, move_began; /* monotonic ms */
};

/* --- opening --------------------------------------------------------------------------------- */

/* Until these versions pgoutput took new places in a list of ten with each call in a session, and
 * ended the session when there were none left. */
static int calls_of_version(int version)
{
    static const struct {
        int major, fixed;
    } fixes[] = {{120000, 120015}, {130000, 130011}, {140000, 140008}, {150000, 150003}};
    for (size_t i = 0; i < COUNT_OF(fixes); i++)
        if (version >= fixes[i].major && version < fixes[i].fixed)
            return CALLS_WITHOUT_FIX;
    return -1;
}

/* More memory than the server gives by itself; less is never asked for. That a backend notices when
 * its client is gone though it has nothing to send is not to be had everywhere. */
static bool prepare_session(struct bulk *b, const struct bulk_options *o, struct err *err)
{
    char memory[256];
    struct err ignored = {0};
    str_printf(memory, sizeof memory,
               "SELECT pg_catalog.set_config(name, '%dkB', false) FROM pg_catalog.pg_settings "
               "WHERE name = 'work_mem' AND setting::pg_catalog.int8 < %d",
               WORK_MEM_KB, WORK_MEM_KB);
    if (!pg_exec(b->conn, o->task, STEP_MS, memory, NULL, err) ||
        !pg_repl_decoding_memory(b->conn, o->task, STEP_MS, o->decoding_memory, err))
        return false;
    if (pg_version(b->conn) >= 140000 &&
        !pg_exec(b->conn, o->task, STEP_MS, "SET client_connection_check_interval = '1s'", NULL,
                 &ignored) &&
        ignored.code != ERR_SQL) {
        *err = ignored;
        return false;
    }
    return true;
}

/* A session of an earlier run that the server has not noticed to be gone keeps its copy. */
static bool end_leftovers(struct bulk *b, const struct bulk_options *o, struct err *err)
{
    const char *values[] = {b->copy, o->app};
    return pg_exec_params(
        b->conn, o->task, STEP_MS,
        "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_replication_slots s JOIN "
        "pg_catalog.pg_stat_activity a ON a.pid = s.active_pid WHERE s.temporary AND s.database = "
        "pg_catalog.current_database() AND pg_catalog.rtrim(s.slot_name, '0123456789') = "
        "pg_catalog.rtrim($1, '0123456789') AND a.usename = current_user AND a.application_name = "
        "$2 AND a.pid <> pg_catalog.pg_backend_pid()",
        COUNT_OF(values), values, NULL, err);
}

static bool copy_slot(struct bulk *b, const struct bulk_options *o, struct err *err)
{
    struct pg_result *r;
    const char *values[] = {o->slot, b->copy};
    if (!pg_exec_params(b->conn, o->task, STEP_MS,
                        "SELECT pg_catalog.pg_copy_logical_replication_slot($1, $2, true)",
                        COUNT_OF(values), values, NULL, err) ||
        !pg_exec_params(b->conn, o->task, STEP_MS,
                        "SELECT confirmed_flush_lsn FROM pg_catalog.pg_replication_slots WHERE "
                        "slot_name = $1",
                        1, &values[1], &r, err))
        return err_context(err, "copy slot %s", o->slot);
    b->position = b->moved = pg_rows(r) ? pg_lsn(r, 0, 0) : 0;
    pg_free(r);
    if (!b->position || b->position > o->from)
        return err_set(err, ERR_SLOT_AHEAD,
                       "the copy of slot %s stands at " LSN_FMT ", after our progress " LSN_FMT,
                       o->slot, LSN_ARGS(b->position), LSN_ARGS(o->from));
    return true;
}

bool bulk_open(const struct bulk_options *o, struct bulk **out, struct err *err)
{
    struct bulk *b = mem_calloc(1, sizeof *b);
    b->conn = o->conn;
    b->slot = mem_strdup(o->slot);
    b->publication = mem_strdup(o->publication);
    b->window = o->window;
    b->limit = CHUNK_FIRST;
    b->scale = 1;
    b->calls_left = calls_of_version(pg_version(b->conn));
    str_printf(b->copy, sizeof b->copy, "%.45s_bulk_%d", o->slot, pg_backend_pid(b->conn));
    if (prepare_session(b, o, err) && end_leftovers(b, o, err) && copy_slot(b, o, err)) {
        *out = b;
        return true;
    }
    bulk_free(b);
    return false;
}

void bulk_free(struct bulk *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->n; i++)
        pg_copy_free(b->items[b->first + i].bytes);
    free(b->items);
    free(b->slot);
    free(b->publication);
    pg_close(b->conn, true);
    free(b);
}

/* --- what waits ------------------------------------------------------------------------------ */

static void put(struct bulk *b, const struct bulk_item *item)
{
    if (b->first && b->first + b->n == b->cap) {
        memmove(b->items, b->items + b->first, b->n * sizeof *b->items);
        b->first = 0;
    }
    size_t end = b->first + b->n;
    MEM_PUSH(b->items, end, b->cap, *item);
    b->n++;
    b->bytes += item->size;
}

bool bulk_next(struct bulk *b, struct bulk_item *out)
{
    if (!b->n)
        return false;
    *out = b->items[b->first];
    b->bytes -= out->size;
    b->first = --b->n ? b->first + 1 : 0;
    return true;
}

/* --- a chunk's rows (PostgreSQL docs, "COPY", "Binary Format") ---------------------------------
 */

static uint64_t number(const char *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

static bool malformed(struct err *err)
{
    return err_set(err, ERR_PROTOCOL, "the source sent a malformed row of changes");
}

#define HEADER "PGCOPY\n\377\r\n"

/* In front of the first row. */
static bool skip_header(struct bulk *b, char **p, const char *end, struct err *err)
{
    size_t fixed = sizeof HEADER + 8; /* with its \0: part of it */
    if (b->has_header)
        return true;
    if ((size_t)(end - *p) < fixed || memcmp(*p, HEADER, sizeof HEADER) != 0)
        return malformed(err);
    size_t extension = number(*p + sizeof HEADER + 4, 4);
    if ((size_t)(end - *p) - fixed < extension)
        return malformed(err);
    *p += fixed + extension;
    b->has_header = true;
    return true;
}

/* Behind the messages: where the copy stands now, and the source. */
static void take_mark(struct bulk *b, lsn_t lsn)
{
    struct bulk_item at = {.position = lsn, .size = ITEM_COST};
    if (b->marks++) {
        b->source_end = lsn;
        return;
    }
    b->is_last = !b->messages && lsn == b->position;
    b->position = lsn;
    put(b, &at);
}

/* Owns bytes. A row is a message of the protocol; its columns are an LSN or NULL, and bytes or
 * NULL. */
static bool take_row(struct bulk *b, char *bytes, size_t len, struct err *err)
{
    char *p = bytes, *end = bytes + len;
    struct bulk_item item = {.bytes = bytes, .size = len + ITEM_COST};
    bool ok = skip_header(b, &p, end, err);
    if (ok && end - p >= 14 && number(p, 2) == 2 && number(p + 2, 4) == 8) {
        bool is_mark = end - p == 18 && number(p + 14, 4) == UINT32_MAX;
        ok = is_mark || malformed(err);
        if (ok)
            take_mark(b, number(p + 6, 8));
    } else if (ok && end - p >= 10 && number(p, 2) == 2 && number(p + 2, 4) == UINT32_MAX) {
        item.len = number(p + 6, 4);
        item.data = p + 10;
        ok = (!b->marks && (size_t)(end - item.data) == item.len) || malformed(err);
        if (ok) {
            b->messages++;
            b->chunk_bytes += (int64_t)item.size;
            put(b, &item);
            return true;
        }
    } else if (ok && p != end && !(end - p == 2 && number(p, 2) == UINT16_MAX)) {
        ok = malformed(err); /* else the header alone, or the end */
    }
    pg_copy_free(bytes);
    return ok;
}

static bool end_chunk(struct bulk *b, struct err *err)
{
    if (b->marks != 2)
        return malformed(err);
    if (b->messages) {
        /* it fits in here: the server has it behind it while it is applied */
        int64_t limit = (int64_t)b->window * 3 / 4 / (b->chunk_bytes / b->messages + 1);
        b->limit = limit < CHUNK_MIN ? CHUNK_MIN : limit > CHUNK_MAX ? CHUNK_MAX : limit;
        if (b->decoded_ms * 1000 >= b->messages * SLOW_US && b->scale < SCALE_MAX)
            b->scale *= 2;
    }
    b->is_last = b->is_last || b->position + NEAR_BYTES >= b->source_end || !b->calls_left;
    b->ended_at = clock_mono_ms();
    b->state = BULK_READY;
    return true;
}

/* --- statements --------------------------------------------------------------------------------
 */

static bool ask(struct bulk *b, const struct buf *sql, int state, struct err *err)
{
    b->state = state;
    return pg_ask(b->conn, buf_text(sql), err);
}

static bool ask_for_chunk(struct bulk *b, struct err *err)
{
    struct buf sql = {0}, name = {0};
    pg_quote_ident(&name, b->publication); /* the option is a list of identifiers */
    buf_puts(&sql, "COPY (SELECT NULL::pg_catalog.pg_lsn, data FROM "
                   "pg_catalog.pg_logical_slot_get_binary_changes(");
    pg_quote_literal(&sql, b->copy);
    buf_printf(&sql, ", '" LSN_FMT "', %lld, 'proto_version', '1', 'publication_names', ",
               LSN_ARGS(b->position + (lsn_t)CHUNK_WAL * (lsn_t)b->scale),
               (long long)b->limit * b->scale);
    pg_quote_literal(&sql, buf_text(&name));
    buf_puts(&sql, ") UNION ALL SELECT confirmed_flush_lsn, NULL FROM "
                   "pg_catalog.pg_replication_slots WHERE slot_name = ");
    pg_quote_literal(&sql, b->copy);
    buf_puts(&sql, " UNION ALL SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
                   "pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_flush_lsn() "
                   "END, NULL) TO STDOUT (FORMAT binary)");
    b->has_header = b->is_last = false;
    b->marks = 0;
    b->messages = b->chunk_bytes = 0;
    b->calls_left -= b->calls_left > 0;
    b->asked_at = clock_mono_ms();
    bool ok = ask(b, &sql, BULK_ASKED, err);
    buf_free(&sql);
    buf_free(&name);
    return ok;
}

static bool ask_to_move(struct bulk *b, lsn_t durable, struct err *err)
{
    struct buf sql = {0};
    buf_puts(&sql, "SELECT pg_catalog.pg_replication_slot_advance(");
    pg_quote_literal(&sql, b->slot);
    buf_printf(&sql, ", '" LSN_FMT "')", LSN_ARGS(durable));
    b->moved = durable;
    b->move_began = clock_mono_ms();
    bool ok = ask(b, &sql, BULK_MOVING, err);
    buf_free(&sql);
    return ok;
}

static bool begin_next(struct bulk *b, lsn_t durable, struct err *err)
{
    int64_t now = clock_mono_ms();
    if (durable > b->moved && durable - b->moved >= MOVE_BYTES && now >= b->move_at)
        return ask_to_move(b, durable, err);
    bool is_stale = b->is_last && b->calls_left && !b->n && now - b->ended_at >= STALE_MS;
    if (!b->is_last || is_stale)
        return ask_for_chunk(b, err);
    return true;
}

static bool read_rows(struct bulk *b, struct err *err)
{
    while (b->bytes < b->window) {
        char *bytes;
        size_t len;
        int got = pg_copy_try_read(b->conn, &bytes, &len, err);
        if (got == 2)
            return true;
        if (got <= 0)
            return got == 0 && end_chunk(b, err);
        if (!take_row(b, bytes, len, err))
            return false;
    }
    return true;
}

static bool await_answer(struct bulk *b, struct err *err)
{
    int got = pg_try_answer(b->conn, err);
    if (got == 2 || got < 0)
        return got == 2;
    if ((got == 1) != (b->state == BULK_ASKED))
        return err_set(err, ERR_PROTOCOL, "the source answered something else than was asked");
    if (got == 0) {
        b->ended_at = clock_mono_ms();
        b->move_at = b->ended_at + (b->ended_at - b->move_began) * MOVE_SHARE;
    }
    if (got == 1)
        b->decoded_ms = clock_mono_ms() - b->asked_at;
    b->state = got == 1 ? BULK_READING : BULK_READY;
    return true;
}

static bool step(struct bulk *b, lsn_t durable, struct err *err)
{
    switch (b->state) {
    case BULK_READY:
        return begin_next(b, durable, err);
    case BULK_ASKED:
    case BULK_MOVING:
        return await_answer(b, err);
    case BULK_READING:
        return read_rows(b, err);
    }
    return err_set(err, ERR_INTERNAL, "bulk reading is in an unknown state");
}

bool bulk_pump(struct bulk *b, lsn_t durable, struct err *err)
{
    for (int before = -1; before != (int)b->state;) {
        before = (int)b->state;
        if (!step(b, durable, err))
            return err_context(err, "read changes in bulk");
    }
    return true;
}

bool bulk_is_at_end(const struct bulk *b)
{
    return b->is_last && b->state == BULK_READY && !b->n;
}

bool bulk_leave(struct bulk *b, lsn_t durable, bool *is_over, struct err *err)
{
    *is_over = b->state == BULK_READY && durable <= b->moved + NEAR_BYTES;
    if (*is_over || b->state != BULK_READY)
        return true;
    return ask_to_move(b, durable, err) || err_context(err, "read changes in bulk");
}

int bulk_fd(const struct bulk *b)
{
    bool reads = b->state != BULK_READY && (b->state != BULK_READING || b->bytes < b->window);
    return reads ? pg_socket(b->conn) : -1;
}

bool bulk_bear_silence(struct bulk *b, struct err *err)
{
    return pg_bear_silence(b->conn, bulk_fd(b) >= 0, err);
}
