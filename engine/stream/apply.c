/* The apply of one mirror: changes into a pipeline; see apply.h. libpq docs, "Pipeline Mode". */
#include "stream/apply_private.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "stream/sync_rows.h"

#define FLUSH_IDLE_MS 20  /* so long a committed batch waits for more to be made durable with */
#define FLUSH_BUSY_MS 100 /* the same under load */
#define FLUSH_REQUEST_EVERY 128 /* statements: the server answers at least that often */
#define MAX_QUEUED                                                                \
    (256 * 1024) /* unsent bytes in libpq; beyond, its buffer moves cost too much \
                  */

void apply_free(struct apply *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_targets; i++)
        target_free(a->targets[i]);
    free(a->targets);
    free(a->params);
    chunk_free(&a->chunks[0]);
    chunk_free(&a->chunks[1]);
    set_sql_free(&a->set_sql);
    free(a->rows.items);
    free(a->copy.rows.items);
    free(a->expected);
    free(a->misses);
    keys_free(&a->keys);
    free(a->epoch);
    aside_free(a->aside);
    adapt_free(a->adapt);
    pgo_free(a->decoder);
    batch_queue_free(&a->batches);
    free(a);
}

/* --- statements under way ----------------------------------------------------------------------
 */

void apply_blame(struct apply *a, int table, lsn_t lsn)
{
    if (a->o.blamed && !a->has_blamed)
        a->o.blamed(a->o.arg, table, lsn);
    a->has_blamed = true;
}

lsn_t apply_working(const struct apply *a)
{
    return a->batches.is_in_replay ? aside_replaying(a) : a->reading;
}

struct expect *apply_expect(struct apply *a, enum expect_kind kind, enum pgo_kind op, int target,
                            size_t bytes)
{
    struct expect *e = &a->expected[(a->first + a->n_expected++) % MAX_EXPECTED];
    *e = (struct expect){.kind = (unsigned char)kind,
                         .op = (unsigned char)op,
                         .target = target,
                         .is_in_set = a->is_in_set,
                         .lsn = apply_working(a),
                         .bytes = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes};
    a->in_flight += e->bytes;
    return e;
}

bool apply_send_query(struct apply *a, const char *sql, int n, const char *const *values,
                      enum expect_kind kind, struct err *err)
{
    if (!pg_pipe_query(a->dest, sql, n, values, err))
        return false;
    apply_expect(a, kind, PGO_OTHER, -1, 0);
    return true;
}

bool apply_sync(struct apply *a, struct err *err)
{
    if (!pg_pipe_sync(a->dest, err))
        return false;
    a->syncs++;
    a->since_flush_request = 0;
    a->bytes_since_flush_request = 0;
    return true;
}

/* Without a request the server keeps its answers in a buffer, and a window that is full of
 * unanswered changes would stay full: few large rows need one as much as many small ones. */
bool apply_request_flush(struct apply *a, size_t bytes, struct err *err)
{
    a->since_flush_request++;
    a->bytes_since_flush_request += bytes;
    if (a->since_flush_request < FLUSH_REQUEST_EVERY &&
        a->bytes_since_flush_request < a->o.window / 4)
        return true;
    a->since_flush_request = 0;
    a->bytes_since_flush_request = 0;
    return pg_pipe_flush_request(a->dest, err);
}

/* What a deferrable constraint bears inside a statement or transaction of the source, it has to
 * bear between the single rows here; it is checked with the COMMIT. */
bool apply_open(struct apply *a, struct err *err)
{
    if (a->is_open)
        return true;
    a->is_open = true;
    return apply_send_query(a, "BEGIN", 0, NULL, EXPECT_OTHER, err) &&
           apply_send_query(a, "SET CONSTRAINTS ALL DEFERRED", 0, NULL, EXPECT_OTHER, err);
}

bool apply_ensure_open(struct apply *a, struct err *err)
{
    return flight_clear(a, err) && apply_open(a, err);
}

/* Durability. A transaction that applies rows is committed with synchronous_commit=off: it is seen
 * at once, while the source is told of it only after a later transaction of this session, one with
 * synchronous_commit=on, has returned: a synchronous COMMIT flushes all WAL before its own
 * (PostgreSQL docs, "Asynchronous Commit"), and waits for the standbys that the destination waits
 * for. Under load that is the COMMIT of a batch, every now and then; else one that writes the
 * progress row where it stands. After a crash the destination has lost some of the last batches as
 * a whole, with their progress, and the source still has them. */
static bool is_undurable_for(const struct apply *a, int ms)
{
    return a->undurable_since && clock_mono_ms() - a->undurable_since >= ms;
}

/* Every batch ends with the same statement: it is planned once. */
#define MOVE_STATEMENT "bunnydb_move"

static bool apply_start(struct apply *a, struct err *err)
{
    if (!pg_pipe_enter(a->dest, err) ||
        !pg_pipe_prepare(a->dest, MOVE_STATEMENT, progress_move_sql, err))
        return false;
    apply_expect(a, EXPECT_OTHER, PGO_OTHER, -1, 0);
    if (!pg_pipe_prepare(a->dest, SEEN_STATEMENT, schema_seen_sql, err))
        return false;
    apply_expect(a, EXPECT_OTHER, PGO_OTHER, -1, 0);
    return apply_sync(a, err);
}

static bool send_move(struct apply *a, lsn_t lsn, bool is_durable, enum expect_kind kind,
                      struct err *err)
{
    char to[LSN_TEXT_SIZE], from[LSN_TEXT_SIZE];
    const char *values[] = {lsn_format(lsn, to), a->o.mirror_id, a->epoch,
                            lsn_format(a->sent, from), is_durable ? "on" : "off"};
    a->sent = lsn;
    if (!pg_pipe_run(a->dest, MOVE_STATEMENT, COUNT_OF(values), values, NULL, NULL, err))
        return false;
    apply_expect(a, kind, PGO_OTHER, -1, 0);
    return true;
}

static bool send_commit(struct apply *a, lsn_t end, struct err *err)
{
    bool is_durable = a->is_hurried || is_undurable_for(a, FLUSH_BUSY_MS);
    if (!send_move(a, end, is_durable, EXPECT_MOVE, err) ||
        !pg_pipe_query(a->dest, "COMMIT", 0, NULL, err))
        return false;
    apply_expect(a, EXPECT_COMMIT, PGO_OTHER, -1, 0)->is_durable = is_durable;
    return apply_sync(a, err);
}

/* Before its COMMIT it is known that no statement touched two rows. */
bool apply_end(struct apply *a, bool *has_moved, struct err *err)
{
    *has_moved = !a->has_unsure || !a->n_expected;
    if (!*has_moved) {
        bool is_asked = a->closing.is_asked;
        a->closing.is_asked = true;
        return is_asked || apply_sync(a, err);
    }
    a->has_unsure = a->closing.is_asked = a->closing.is_due = a->is_open = false;
    return send_commit(a, a->closing.end_lsn, err);
}

/* Rows and progress become durable together, or not at all. A batch of nothing but replayed changes
 * leaves the progress where it stands. */
bool apply_commit(struct apply *a, lsn_t at_least, struct err *err)
{
    lsn_t end = a->batches.open.end_lsn;
    if (end < at_least)
        end = at_least;
    a->batches.open.end_lsn = end < a->planned ? a->planned : end;
    const struct batch *b = batch_close(&a->batches);
    a->batches_closed++;
    flight_close(a, b->end_lsn);
    return flight_advance(a, err);
}

bool apply_new(struct pg_conn *dest, struct task *task, const struct apply_options *o, lsn_t from,
               struct apply **out, struct err *err)
{
    struct apply *a = mem_calloc(1, sizeof *a);
    a->dest = dest;
    a->task = task;
    a->o = *o;
    a->epoch = mem_printf("%lld", (long long)o->epoch);
    a->durable = a->sent = a->planned = a->seen = from;
    a->filling = &a->chunks[0];
    a->aside = aside_new(&o->aside, o->schema->n_tables);
    a->decoder = pgo_new();
    a->adapt = adapt_new(&o->adapt);
    a->expected = mem_calloc(MAX_EXPECTED, sizeof *a->expected);
    batch_queue_init(&a->batches, &o->limits, o->schema->n_tables);
    struct adapt_place place = apply_place(a);
    if (!adapt_open(a->adapt, &place, err) || !apply_start(a, err)) {
        apply_free(a);
        return false;
    }
    *out = a;
    return true;
}

/* --- the loop's steps ------------------------------------------------------------------------ */

bool apply_exchange(struct apply *a, struct err *err)
{
    if (!flight_is_copying(a) &&
        (pg_flush(a->dest, err) < 0 || !pg_consume(a->dest, err) || !apply_take_results(a, err)))
        return false;
    return flight_advance(a, err) && (flight_is_copying(a) || pg_flush(a->dest, err) >= 0);
}

static bool may_flush(const struct apply *a)
{
    return a->undurable_since && !a->is_flushing && !a->is_open && flight_is_clear(a);
}

static bool flush_if_due(struct apply *a, struct err *err)
{
    if (!may_flush(a) || (!a->is_hurried && !is_undurable_for(a, FLUSH_IDLE_MS)))
        return true;
    a->is_flushing = true;
    return send_move(a, a->sent, true, EXPECT_FLUSH, err) && apply_sync(a, err) &&
           apply_exchange(a, err);
}

bool apply_pump(struct apply *a, bool is_dry, struct err *err)
{
    if (!apply_exchange(a, err))
        return false;
    if (batch_is_due(&a->batches, is_dry || apply_replay_waits(a), clock_mono_ms()) &&
        (!apply_commit(a, 0, err) || !apply_exchange(a, err)))
        return false;
    return flush_if_due(a, err);
}

void apply_hurry(struct apply *a)
{
    a->is_hurried = a->batches.n > 0 || !batch_is_empty(&a->batches);
}

bool apply_settle(struct apply *a, struct err *err)
{
    const struct batch_queue *q = &a->batches;
    apply_hurry(a);
    if (batch_is_empty(q) || q->is_in_transaction || q->is_in_replay)
        return true;
    return apply_commit(a, 0, err) && apply_exchange(a, err);
}

bool apply_stand(struct apply *a, bool *stands, struct err *err)
{
    a->is_standing = true;
    if (!apply_settle(a, err))
        return false;
    *stands = apply_is_idle(a);
    return true;
}

void apply_go_on(struct apply *a)
{
    a->is_standing = false;
}

/* Waits until everything sent so far is answered; the batch stays open. */
bool apply_drain(struct apply *a, struct err *err)
{
    int64_t until = clock_mono_ms() + DRAIN_LIMIT_MS;
    if (!flight_clear(a, err) || !apply_sync(a, err))
        return false;
    for (;;) {
        if (!apply_exchange(a, err))
            return false;
        if (!a->n_expected && !a->syncs)
            return true;
        int64_t left = until - clock_mono_ms();
        if (left <= 0)
            return err_set(err, ERR_TIMEOUT, "the destination did not answer for %d s",
                           DRAIN_LIMIT_MS / 1000);
        if (!pg_wait(a->dest, a->task, apply_wants_write(a), (int)left, err))
            return false;
    }
}

/* --- messages ----------------------------------------------------------------------------------
 */

static bool begin_seen(struct apply *a, const struct pgo_message *m, struct err *err)
{
    if (m->commit_lsn == a->o.close_before && !apply_settle(a, err))
        return false;
    if (batch_is_empty(&a->batches) && !a->batches.n)
        a->oldest = m->commit_lsn;
    a->batches.is_in_transaction = true;
    a->reading = m->commit_lsn;
    /* The server skips what committed before the start position; this is the second lock. */
    a->is_skipping = m->commit_lsn < a->durable && batch_is_empty(&a->batches) && !a->batches.n;
    return true;
}

static void commit_seen(struct apply *a, const struct pgo_message *m)
{
    a->batches.is_in_transaction = false;
    a->reading = 0;
    if (!a->is_skipping)
        batch_commit_seen(&a->batches, m->end_lsn, m->commit_time);
    a->is_skipping = false;
    apply_position(a, m->end_lsn);
}

static bool truncate_seen(struct apply *a, const struct pgo_message *m, struct err *err)
{
    struct pgo_message direct = *m;
    bool with_delete = false;
    if (a->is_skipping)
        return true;
    aside_truncate(a, &direct, &with_delete);
    return !direct.n_relations || apply_truncate(a, &direct, with_delete, err);
}

bool apply_message(struct apply *a, const struct pgo_message *m, size_t bytes, struct err *err)
{
    switch (m->kind) {
    case PGO_BEGIN:
        return begin_seen(a, m, err);
    case PGO_COMMIT:
        commit_seen(a, m);
        return true;
    case PGO_RELATION:
        return apply_relation(a, m, err);
    case PGO_INSERT:
    case PGO_UPDATE:
    case PGO_DELETE:
        a->change_lsn = a->reading;
        return a->is_skipping || apply_change(a, m, bytes, err);
    case PGO_TRUNCATE:
        return truncate_seen(a, m, err);
    case PGO_OTHER:
        return true;
    }
    return err_set(err, ERR_INTERNAL, "a message of an unknown kind");
}

bool apply_bytes(struct apply *a, char *data, size_t len, size_t size, enum pgo_kind *kind,
                 struct err *err)
{
    struct pgo_message m;
    uint32_t relation;
    *kind = PGO_OTHER;
    if (pgo_peek_change(data, len, &relation) && aside_has(a, relation)) {
        aside_change(a, relation, data, len);
        return true;
    }
    if (!pgo_decode(a->decoder, data, len, &m, err))
        return false;
    *kind = m.kind;
    if (m.kind == PGO_RELATION && aside_relation(a, &m, data, len))
        return true;
    if (!apply_message(a, &m, size, err))
        return false;
    if (m.kind == PGO_RELATION)
        aside_told(a, &m, data, len);
    return true;
}

void apply_position(struct apply *a, lsn_t lsn)
{
    if (!a->batches.is_in_transaction && lsn > a->seen)
        a->seen = lsn;
}

lsn_t apply_seen(const struct apply *a)
{
    return a->seen;
}

lsn_t apply_reading(const struct apply *a)
{
    return a->reading;
}

lsn_t apply_oldest(const struct apply *a)
{
    return a->oldest;
}

struct known *apply_known(struct apply *a)
{
    return adapt_known(a->adapt);
}

/* --- what the loop asks ---------------------------------------------------------------------- */

bool apply_is_idle(const struct apply *a)
{
    return batch_is_empty(&a->batches) && !a->batches.n && !a->n_expected && !a->syncs &&
           !a->batches.is_in_transaction;
}

bool apply_has_room(const struct apply *a)
{
    bool is_set = a->flight.chunk && a->flight.stage == FLIGHT_SETS; /* all of it is queued */
    return flight_has_room(a) && (is_set || flight_is_copying(a) || apply_pipe_has_room(a));
}

bool apply_pipe_has_room(const struct apply *a)
{
    return a->in_flight < a->o.window && a->n_expected < MAX_EXPECTED - 8 &&
           pg_queued_bytes(a->dest) < MAX_QUEUED;
}

bool apply_awaits_answer(const struct apply *a)
{
    return a->syncs > 0 || flight_is_copying(a) || !apply_has_room(a);
}

bool apply_wants_write(const struct apply *a)
{
    return pg_queued_bytes(a->dest) > 0;
}

bool apply_is_in_transaction(const struct apply *a)
{
    return a->batches.is_in_transaction;
}

lsn_t apply_durable(const struct apply *a)
{
    return a->durable;
}

int64_t apply_deadline(const struct apply *a)
{
    int64_t batch = batch_deadline(&a->batches);
    int64_t flush = may_flush(a) ? a->undurable_since + FLUSH_IDLE_MS : 0;
    return !batch || (flush && flush < batch) ? flush : batch;
}

void apply_set_window(struct apply *a, size_t bytes)
{
    if (apply_is_idle(a) && flight_is_clear(a))
        a->o.window = bytes;
}

void apply_rest(struct apply *a)
{
    if (!apply_is_idle(a) || !flight_is_clear(a))
        return;
    chunk_free(&a->chunks[0]);
    chunk_free(&a->chunks[1]);
}

bool apply_is_waiting(const struct apply *a)
{
    return a->batches.n == a->batches.n_done && !a->n_expected && apply_deadline(a);
}

bool apply_move_idle(struct apply *a, lsn_t lsn, struct err *err)
{
    if (lsn <= a->durable)
        return true;
    a->planned = lsn;
    if (!send_move(a, lsn, true, EXPECT_MOVE, err) || !apply_drain(a, err))
        return false;
    a->durable = lsn;
    return true;
}
