/* The apply of one mirror: changes into a pipeline; see apply.h. libpq docs, "Pipeline Mode". */
#include "stream/apply_private.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "stream/sync_rows.h"

#define FLUSH_REQUEST_EVERY 128 /* statements: the server answers at least that often */
#define MAX_EXPECTED 32768      /* statements under way */
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

static bool send_sync(struct apply *a, struct err *err)
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
bool apply_ensure_open(struct apply *a, struct err *err)
{
    if (a->is_open)
        return true;
    a->is_open = true;
    return apply_send_query(a, "BEGIN", 0, NULL, EXPECT_OTHER, err) &&
           apply_send_query(a, "SET CONSTRAINTS ALL DEFERRED", 0, NULL, EXPECT_OTHER, err);
}

/* Every batch ends with the same statement: it is planned once. */
#define MOVE_STATEMENT "bunnydb_move"

static bool apply_start(struct apply *a, struct err *err)
{
    if (!pg_pipe_enter(a->dest, err) ||
        !pg_pipe_prepare(a->dest, MOVE_STATEMENT, progress_move_sql, err))
        return false;
    apply_expect(a, EXPECT_OTHER, PGO_OTHER, -1, 0);
    return send_sync(a, err);
}

static bool send_move(struct apply *a, lsn_t lsn, struct err *err)
{
    char to[LSN_TEXT_SIZE], from[LSN_TEXT_SIZE];
    const char *values[] = {lsn_format(lsn, to), a->o.mirror_id, a->epoch,
                            lsn_format(a->sent, from)};
    a->sent = lsn;
    if (!pg_pipe_run(a->dest, MOVE_STATEMENT, COUNT_OF(values), values, NULL, NULL, err))
        return false;
    apply_expect(a, EXPECT_MOVE, PGO_OTHER, -1, 0);
    return true;
}

/* Rows and progress become durable together, or not at all. A batch of nothing but replayed changes
 * leaves the progress where it stands. */
bool apply_commit(struct apply *a, lsn_t at_least, struct err *err)
{
    if (a->has_unsure && !apply_drain(a, err))
        return false; /* before its COMMIT it is known that no statement touched two rows */
    a->has_unsure = false;
    lsn_t end = a->batches.open.end_lsn;
    if (end < at_least)
        end = at_least;
    a->batches.open.end_lsn = end < a->sent ? a->sent : end;
    const struct batch *b = batch_close(&a->batches);
    a->is_open = false;
    a->batches_closed++;
    return send_move(a, b->end_lsn, err) &&
           apply_send_query(a, "COMMIT", 0, NULL, EXPECT_COMMIT, err) && send_sync(a, err);
}

bool apply_new(struct pg_conn *dest, struct task *task, const struct apply_options *o, lsn_t from,
               struct apply **out, struct err *err)
{
    struct apply *a = mem_calloc(1, sizeof *a);
    a->dest = dest;
    a->task = task;
    a->o = *o;
    a->epoch = mem_printf("%lld", (long long)o->epoch);
    a->durable = a->sent = a->seen = from;
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

/* --- results -------------------------------------------------------------------------------------
 */

static void batch_is_durable(struct apply *a)
{
    struct batch b = batch_pop(&a->batches);
    a->durable = b.end_lsn;
    a->batches_done++;
    aside_batch_done(a);
    apply_tell_misses(a);
    a->o.committed(a->o.arg, &b);
    batch_done(&b);
}

static bool check_result(struct apply *a, const struct expect *e, const struct pg_result *r,
                         struct err *err)
{
    switch ((enum expect_kind)e->kind) {
    case EXPECT_OTHER:
    case EXPECT_MOVE:
    case EXPECT_END:
        return true;
    case EXPECT_ROW:
        if (pg_affected(r) == 0)
            apply_note_miss(a, e);
        else if (pg_affected(r) != 1)
            return apply_too_many(a, e, (long long)pg_affected(r), err);
        return true;
    case EXPECT_COMMIT:
        batch_is_durable(a);
        return true;
    }
    return err_set(err, ERR_INTERNAL, "a result that nobody waits for");
}

/* A constraint that is checked with the COMMIT: the server names its table. */
static void blame_named(struct apply *a, const struct err *err)
{
    const struct schema *s = a->o.schema;
    lsn_t lsn = a->batches.n ? a->batches.closed[0].end_lsn : 0;
    for (size_t i = 0; err->table[0] && i < s->n_tables; i++)
        if (!strcmp(s->tables[i].dest_name, err->table) &&
            !strcmp(s->tables[i].dest_schema, err->schema))
            apply_blame(a, (int)i, lsn);
}

/* Deferred constraints: which of the batch's changes it was is not known. */
static bool explain_commit(struct err *err)
{
    if (err->code == ERR_SQL && !strncmp(err->sqlstate, "23", 2))
        err->code = pg_server_error_is(err, "23505") || pg_server_error_is(err, "23P01")
                        ? ERR_CONFLICT
                        : ERR_REFUSED;
    return err_context(err, "commit at the destination");
}

static bool explain_failure(struct apply *a, const struct expect *e, struct err *err)
{
    if (e->kind == EXPECT_MOVE && !strcmp(err->sqlstate, PROGRESS_FENCED_SQLSTATE)) {
        err_set(err, ERR_FENCED, "another process took over this mirror: nothing was applied");
        return err_hint(err, "Stop the other bunnydb; this one goes on by itself then.");
    }
    if (e->kind == EXPECT_END && pg_server_error_is(err, SYNC_ROWS_SQLSTATE))
        return err_set(err, ERR_SNAPSHOT_STALE,
                       "a copied table's row in _bunnydb.table_sync is gone: it is copied again");
    if (e->target >= 0)
        apply_blame(a, a->targets[e->target]->table, e->lsn);
    else if (e->kind == EXPECT_COMMIT)
        blame_named(a, err);
    if (e->kind == EXPECT_ROW)
        return apply_refused(a, e, err);
    if (e->target >= 0)
        return err_context(err, "%s %s", apply_op_name((enum pgo_kind)e->op),
                           a->targets[e->target]->dest);
    if (e->kind == EXPECT_COMMIT)
        return explain_commit(err);
    return false;
}

static bool take_result(struct apply *a, struct pg_result *r, struct err *err)
{
    if (!a->n_expected) {
        pg_free(r);
        return err_set(err, ERR_INTERNAL, "the destination answered more than it was asked");
    }
    struct expect e = a->expected[a->first];
    a->first = (a->first + 1) % MAX_EXPECTED;
    a->n_expected--;
    a->in_flight -= e.bytes;
    keys_drop(&a->keys, e.key_len);
    if (!r)
        return explain_failure(a, &e, err);
    bool ok = check_result(a, &e, r, err);
    pg_free(r);
    return ok;
}

static bool take_results(struct apply *a, struct err *err)
{
    for (;;) {
        struct pg_result *r = NULL;
        switch (pg_pipe_next(a->dest, &r, err)) {
        case PIPE_NOTHING:
            return true;
        case PIPE_RESULT:
            if (!take_result(a, r, err))
                return false;
            break;
        case PIPE_SYNC:
            a->syncs--;
            break;
        case PIPE_ERROR:
        case PIPE_SKIPPED:
            if (err->code == ERR_CONNECT)
                return false;
            return take_result(a, NULL, err);
        }
    }
}

static bool exchange(struct apply *a, struct err *err)
{
    if (pg_flush(a->dest, err) < 0)
        return false;
    return pg_consume(a->dest, err) && take_results(a, err);
}

bool apply_pump(struct apply *a, bool is_dry, struct err *err)
{
    if (!exchange(a, err))
        return false;
    if (!batch_is_due(&a->batches, is_dry, clock_mono_ms()))
        return true;
    return apply_commit(a, 0, err) && exchange(a, err);
}

bool apply_settle(struct apply *a, struct err *err)
{
    const struct batch_queue *q = &a->batches;
    if (batch_is_empty(q) || q->is_in_transaction || q->is_in_replay)
        return true;
    return apply_commit(a, 0, err) && exchange(a, err);
}

/* Waits until everything sent so far is answered; the batch stays open. */
bool apply_drain(struct apply *a, struct err *err)
{
    int64_t until = clock_mono_ms() + DRAIN_LIMIT_MS;
    if (!send_sync(a, err))
        return false;
    for (;;) {
        if (!exchange(a, err))
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
    return apply_message(a, &m, size, err);
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
    return a->in_flight < a->o.window && a->n_expected < MAX_EXPECTED - 8 &&
           pg_queued_bytes(a->dest) < MAX_QUEUED;
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
    return batch_deadline(&a->batches);
}

bool apply_move_idle(struct apply *a, lsn_t lsn, struct err *err)
{
    if (lsn <= a->durable)
        return true;
    if (!send_move(a, lsn, err) || !apply_drain(a, err))
        return false;
    a->durable = lsn;
    return true;
}
