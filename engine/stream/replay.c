/* Replay of what was kept of tables that are set aside, and the hand-over; see aside.h. */
#include "stream/aside_private.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "stream/sync_rows.h"

#define REPLAY_BURST 1024 /* messages between two looks at the destination */
#define NEARLY_DONE 2048  /* so few are left: the end of a transaction is waited for */
#define MAX_CREDIT (65536 * ASIDE_KEEP_COST)
#define TURN_MS 100 /* a batch with something replayed should take no longer */
#define LEAST_SHARE 256
#define MOST_SHARE 65536

/* --- how much at once ------------------------------------------------------------------------- */

static void adapt_share(struct aside_pace *p, int64_t took_ms)
{
    if (took_ms > TURN_MS)
        p->share = p->sent * TURN_MS / took_ms;
    else if (took_ms < TURN_MS / 2 && p->sent >= p->share)
        p->share *= 2;
    if (p->share < LEAST_SHARE)
        p->share = LEAST_SHARE;
    if (p->share > MOST_SHARE)
        p->share = MOST_SHARE;
}

/* One batch at a time is measured, from the moment at which it was closed. */
static void measure(struct apply *a)
{
    struct aside_pace *p = &a->aside->pace;
    int64_t now = clock_mono_ms();
    if (p->filled && p->batch <= a->batches_closed) {
        if (!p->sent) {
            p->sent = p->filled;
            p->sent_batch = p->batch;
            p->sent_at = now;
        }
        p->filled = 0;
    }
    if (p->sent && a->batches_done + a->batches.n_done >= p->sent_batch) {
        adapt_share(p, now - p->sent_at);
        p->sent = 0;
    }
}

static void count(struct apply *a)
{
    struct aside_pace *p = &a->aside->pace;
    uint64_t batch = a->batches_closed + 1;
    p->filled = p->batch == batch ? p->filled + 1 : 1;
    p->batch = batch;
}

/* Not while reading waits for the replay: the open batch could never end, and others wait anyway.
 * Who lets batches wait for each other by time has chosen how late all tables are. */
static bool has_its_share(const struct apply *a)
{
    const struct aside *s = a->aside;
    return s->pace.batch == a->batches_closed + 1 && s->pace.filled >= s->pace.share &&
           s->credit > 0 && a->batches.limits.wait_ms <= 0;
}

bool apply_replay_waits(const struct apply *a)
{
    return a->aside->stage == ASIDE_REPLAY && has_its_share(a) && !a->batches.is_in_replay;
}

/* --- relations ------------------------------------------------------------------------------- */

/* The definition at the place of the replay becomes the target. Its types are compared with those
 * that the rows were copied with, unless it is older than the copy. */
static bool bind_base(struct apply *a, struct aside_relation *r, struct err *err)
{
    struct aside *s = a->aside;
    const struct schema_table *t = &a->o.schema->tables[r->table];
    const struct schema_table *copied = schema_find(s->copied, t->schema, t->name);
    struct pgo_message m;
    if (!copied)
        return err_set(err, ERR_INTERNAL, "%s.%s was not part of its copy", t->schema, t->name);
    bool is_first = !r->is_bound, is_old = is_first && r->base.lsn < s->point;
    a->replayed_at = r->base.lsn;
    bool ok = pgo_decode(s->decoder, r->base.data, r->base.len, &m, err) &&
              apply_bind(a, &m, r->table,
                         is_old     ? BIND_OLD
                         : is_first ? BIND_FIRST
                                    : BIND_NEXT,
                         err);
    a->replayed_at = 0;
    if (!ok)
        return false;
    struct target *target = apply_find_target(a, r->oid);
    r->is_bound = true;
    if (is_old) {
        target_take_types(target, copied);
        return true;
    }
    if (adapt_knows(a->adapt, r->oid) || target_check_copied(target, copied, err))
        return true;
    apply_blame(a, r->table, r->base.lsn);
    return false;
}

static bool ensure_bound(struct apply *a, uint32_t oid, struct err *err)
{
    struct aside_relation *r = aside_find(a->aside, oid);
    if (r && r->is_bound)
        return true;
    if (!r || !r->base.data)
        return err_set(err, ERR_PROTOCOL, "a change of relation %u came before its definition",
                       oid);
    return bind_base(a, r, err);
}

static bool replay_relation(struct apply *a, const struct spill_record *rec, struct err *err)
{
    struct pgo_message m;
    if (!pgo_decode(a->aside->decoder, rec->data, rec->len, &m, err))
        return false;
    struct aside_relation *r = aside_find(a->aside, m.relation);
    if (!r)
        return true;
    aside_set_definition(&r->base, rec->lsn, rec->data, rec->len);
    return !r->is_bound || bind_base(a, r, err);
}

/* --- changes --------------------------------------------------------------------------------- */

static bool replay_change(struct apply *a, const struct spill_record *rec, struct err *err)
{
    struct aside *s = a->aside;
    struct pgo_message m;
    if (!pgo_decode(s->decoder, rec->data, rec->len, &m, err))
        return false;
    a->change_lsn = rec->lsn;
    if (m.kind != PGO_TRUNCATE) {
        if (!ensure_bound(a, m.relation, err) || !apply_change(a, &m, rec->len, err))
            return false;
    } else {
        for (size_t i = 0; i < m.n_relations; i++)
            if (!ensure_bound(a, m.relations[i], err))
                return false;
        if (!apply_truncate(a, &m, false, err))
            return false;
    }
    s->replayed++;
    count(a);
    s->last_batch = a->batches_closed + 1;
    return true;
}

static bool replay_record(struct apply *a, const struct spill_record *rec, struct err *err)
{
    a->aside->credit += a->aside->credit < MAX_CREDIT;
    if (rec->data[0] == 'R')
        return replay_relation(a, rec, err);
    return rec->lsn < a->aside->point || replay_change(a, rec, err);
}

/* --- the end --------------------------------------------------------------------------------- */

/* A definition from before the copy that does not fit what was copied has changed since, and comes
 * anew before the next row. */
static bool bind_quiet(struct apply *a, struct aside_relation *r, struct err *err)
{
    bool is_old = r->base.lsn < a->aside->point;
    if (bind_base(a, r, err))
        return true;
    if (!is_old || (err->code != ERR_SCHEMA && err->code != ERR_TABLE_MISSING))
        return false;
    err_clear(err);
    return true;
}

/* All that was replayed is known to be committed, or is in this transaction. */
static bool hand_over(struct apply *a, struct err *err)
{
    struct aside *s = a->aside;
    for (size_t i = 0; i < s->n_relations; i++) {
        struct aside_relation *r = &s->relations[i];
        if (r->table >= 0 && s->place[r->table] == PLACE_KEPT && !r->is_bound &&
            !bind_quiet(a, r, err))
            return false;
    }
    const char *values[] = {a->o.mirror_id, s->names.schemas, s->names.tables};
    if (!apply_drain(a, err) || !apply_ensure_open(a, err) ||
        !apply_send_query(a, sync_rows_hand_over_sql, COUNT_OF(values), values, EXPECT_END, err))
        return false;
    s->last_batch = a->batches_closed + 1;
    s->stage = ASIDE_HANDING;
    aside_stream(s);
    return apply_commit(a, a->seen, err);
}

static bool is_drained(const struct apply *a)
{
    const struct aside *s = a->aside;
    return s->stage == ASIDE_REPLAY && spill_is_empty(s->spill) && a->seen >= s->point &&
           !a->batches.is_in_transaction;
}

/* The next record, or where a full batch is better closed first: 1, 0 or -1. */
static int next_record(struct apply *a, struct spill_record *rec, struct err *err)
{
    struct aside *s = a->aside;
    lsn_t lsn;
    int got = spill_peek(s->spill, &lsn, err);
    if (got != 1)
        return got;
    if (lsn != s->replaying) {
        s->replaying = 0;
        a->batches.is_in_replay = false;
        if (has_its_share(a) || batch_is_due(&a->batches, false, clock_mono_ms()))
            return 0;
    }
    got = spill_next(s->spill, rec, err);
    if (got == 1 && lsn >= s->point) {
        s->replaying = lsn;
        a->batches.is_in_replay = true;
    }
    return got;
}

bool apply_replay(struct apply *a, struct err *err)
{
    struct aside *s = a->aside;
    struct spill_record rec;
    struct err why = {0};
    if (s->stage != ASIDE_REPLAY)
        return true;
    measure(a);
    int got = 1;
    for (int i = 0; i < REPLAY_BURST && apply_has_room(a); i++) {
        got = next_record(a, &rec, &why);
        if (got != 1)
            break;
        if (!replay_record(a, &rec, err))
            return false;
    }
    if (got < 0) {
        aside_fail(a, &why);
        return true;
    }
    /* Nothing follows that belongs to it, unless it is the one that is being read. */
    if (spill_is_empty(s->spill) && a->reading != s->replaying) {
        s->replaying = 0;
        a->batches.is_in_replay = false;
    }
    return !is_drained(a) || hand_over(a, err);
}

bool apply_can_replay(const struct apply *a)
{
    const struct aside *s = a->aside;
    return s->stage == ASIDE_REPLAY && !spill_is_empty(s->spill) && apply_has_room(a) &&
           !apply_replay_waits(a);
}

bool apply_may_read(const struct apply *a)
{
    const struct aside *s = a->aside;
    if (a->is_standing && !a->batches.is_in_transaction)
        return false;
    return apply_has_room(a) &&
           (s->stage != ASIDE_REPLAY || s->credit > 0 || spill_is_empty(s->spill));
}

bool apply_wants_boundary(const struct apply *a)
{
    const struct aside *s = a->aside;
    return a->is_standing || (s->stage == ASIDE_REPLAY && a->seen >= s->point &&
                              spill_records(s->spill) < NEARLY_DONE);
}
