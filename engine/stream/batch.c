/* Batches; see batch.h. */
#include "stream/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define OLD_MS 20

void batch_queue_init(struct batch_queue *q, const struct batch_limits *limits, size_t n_tables)
{
    *q = (struct batch_queue){.limits = *limits, .n_tables = n_tables};
    q->slot_of = mem_calloc(n_tables, sizeof *q->slot_of);
}

void batch_queue_free(struct batch_queue *q)
{
    for (size_t i = 0; i < q->n; i++)
        batch_done(&q->closed[i]);
    free(q->closed);
    batch_done(&q->open);
    free(q->slot_of);
    *q = (struct batch_queue){0};
}

static struct batch_delta *delta_of(struct batch_queue *q, int table)
{
    if (!q->slot_of[table]) {
        struct batch_delta d = {.table = table};
        MEM_PUSH(q->open.deltas, q->open.n_deltas, q->open.cap_deltas, d);
        q->slot_of[table] = (int)q->open.n_deltas;
    }
    return &q->open.deltas[q->slot_of[table] - 1];
}

void batch_add(struct batch_queue *q, int table, enum pgo_kind kind, size_t bytes)
{
    struct batch_delta *d = delta_of(q, table);
    if (!q->open.changes)
        q->open.opened_at = clock_mono_ms();
    q->open.changes++;
    q->open.bytes += (int64_t)bytes;
    d->inserted += kind == PGO_INSERT;
    d->updated += kind == PGO_UPDATE;
    d->deleted += kind == PGO_DELETE;
}

void batch_emptied(struct batch_queue *q, int table, lsn_t lsn)
{
    batch_add(q, table, PGO_TRUNCATE, 0);
    delta_of(q, table)->emptied = lsn;
}

void batch_commit_seen(struct batch_queue *q, lsn_t end_lsn, int64_t commit_time)
{
    q->open.end_lsn = end_lsn;
    q->open.commit_time = commit_time;
    q->open.transactions++;
}

bool batch_is_empty(const struct batch_queue *q)
{
    return q->open.changes == 0;
}

bool batch_is_due(const struct batch_queue *q, bool is_dry, int64_t now_ms)
{
    if (batch_is_empty(q) || q->is_in_transaction || q->is_in_replay)
        return false;
    if (q->open.changes >= q->limits.max_changes || q->open.bytes >= q->limits.max_bytes)
        return true;
    if (q->limits.wait_ms > 0)
        return now_ms - q->open.opened_at >= q->limits.wait_ms;
    /* While an earlier batch is being committed, this one fills: under load the batches become as
     * large as the destination's commit is slow, and an idle mirror waits for nothing. A source
     * that never falls silent does not keep a slow destination waiting for a full one. */
    return q->n == q->n_done && (is_dry || now_ms - q->open.opened_at >= OLD_MS);
}

int64_t batch_deadline(const struct batch_queue *q)
{
    if (batch_is_empty(q) || q->is_in_transaction || q->is_in_replay || q->limits.wait_ms <= 0)
        return 0;
    return q->open.opened_at + q->limits.wait_ms;
}

const struct batch *batch_close(struct batch_queue *q)
{
    MEM_PUSH(q->closed, q->n, q->cap, q->open);
    q->open = (struct batch){0};
    memset(q->slot_of, 0, q->n_tables * sizeof *q->slot_of);
    return &q->closed[q->n - 1];
}

void batch_committed(struct batch_queue *q)
{
    q->n_done++;
}

struct batch batch_pop(struct batch_queue *q)
{
    struct batch b = q->closed[0];
    q->n--;
    q->n_done--;
    memmove(q->closed, q->closed + 1, q->n * sizeof *q->closed);
    return b;
}

void batch_done(struct batch *b)
{
    free(b->deltas);
    *b = (struct batch){0};
}
