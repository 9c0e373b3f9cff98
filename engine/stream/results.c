/* What comes back of the statements that were sent: counts are checked, batches become durable,
 * failures are told; see apply.h. */
#include "stream/apply_private.h"

#include <string.h>

#include "base/clock.h"
#include "stream/sync_rows.h"

/* Everything that is committed. */
static void are_durable(struct apply *a)
{
    a->undurable_since = 0;
    a->is_hurried = false;
    while (a->batches.n_done) {
        struct batch b = batch_pop(&a->batches);
        a->durable = b.end_lsn;
        a->batches_done++;
        aside_batch_done(a);
        a->o.committed(a->o.arg, &b);
        batch_done(&b);
    }
}

static void is_committed(struct apply *a, const struct expect *e)
{
    batch_committed(&a->batches);
    apply_tell_misses(a);
    if (e->is_durable)
        are_durable(a);
    else if (!a->undurable_since)
        a->undurable_since = clock_mono_ms();
}

/* The destination's own foreign key may have deleted it with the row that it refers to. No row is
 * what shall be there. */
static bool is_gone_before(const struct apply *a, const struct expect *e)
{
    return e->op == PGO_DELETE && e->target >= 0 && a->targets[e->target]->is_cascaded;
}

static bool check_result(struct apply *a, const struct expect *e, const struct pg_result *r,
                         struct err *err)
{
    switch ((enum expect_kind)e->kind) {
    case EXPECT_OTHER:
    case EXPECT_MOVE:
    case EXPECT_END:
    case EXPECT_SET:
    case EXPECT_SETS_END:
        return true;
    case EXPECT_ROW:
        if (pg_affected(r) == 0 && !is_gone_before(a, e))
            apply_note_miss(a, e);
        else if (pg_affected(r) > 1)
            return apply_too_many(a, e, (long long)pg_affected(r), err);
        return true;
    case EXPECT_COMMIT:
        is_committed(a, e);
        return true;
    case EXPECT_FLUSH:
        a->is_flushing = false;
        are_durable(a);
        return true;
    }
    return err_set(err, ERR_INTERNAL, "a result that nobody waits for");
}

/* A constraint that is checked with the COMMIT: the server names its table. */
static void blame_named(struct apply *a, const struct err *err)
{
    const struct schema *s = a->o.schema;
    const struct batch_queue *q = &a->batches;
    lsn_t lsn = q->n > q->n_done ? q->closed[q->n_done].end_lsn : 0;
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
    bool moves = e->kind == EXPECT_MOVE || e->kind == EXPECT_FLUSH;
    if (moves && !strcmp(err->sqlstate, PROGRESS_FENCED_SQLSTATE)) {
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
    if (e.is_in_set && (r || err->code != ERR_CONNECT)) {
        flight_result(a, &e, r, err);
        err_clear(err);
        pg_free(r);
        return true;
    }
    if (!r)
        return explain_failure(a, &e, err);
    bool ok = check_result(a, &e, r, err);
    pg_free(r);
    return ok;
}

bool apply_take_results(struct apply *a, struct err *err)
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
            if (err->code == ERR_CONNECT || !take_result(a, NULL, err))
                return false;
            break;
        }
    }
}
