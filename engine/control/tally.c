/* Half a minute of a mirror; see tally.h. */
#include "control/tally.h"

#include <string.h>

#define BUSY_MS 3000

void tally_note(struct tally *t, const struct mirror_status *s, lsn_t reached, int64_t now_ms)
{
    bool copies = s->state == MIRROR_SNAPSHOTTING;
    if (t->n == EVIDENCE_SAMPLES)
        memmove(t->ring, t->ring + 1, --t->n * sizeof *t->ring);
    t->ring[t->n].at_ms = now_ms;
    t->ring[t->n].kept = s->slot.retained_bytes;
    t->ring[t->n].busy_us = s->counters.busy_us;
    t->ring[t->n++].reached = reached;
    if (!copies)
        t->copying_since = 0;
    else if (!t->copying_since)
        t->copying_since = now_ms;
}

bool tally_guards(struct tally *t, const struct evidence *e)
{
    double share = reasons_wal_share(e);
    if (share < REASONS_WARN_AT)
        t->is_guarded = false;
    return share >= REASONS_ALARM_AT && !t->is_guarded && e->now_ms >= t->guard_at;
}

/* Before its slot stands and its rows are copied a mirror has reached nothing, and where it begins
 * then is no way that it has come. 0: not to be told. */
static double moved_per_s(const struct tally *t)
{
    size_t from = t->n, last = t->n - 1;
    while (from > 0 && t->ring[from - 1].reached)
        from--;
    if (from >= last || t->ring[last].reached <= t->ring[from].reached)
        return 0;
    double seconds = (double)(t->ring[last].at_ms - t->ring[from].at_ms) / 1000.0;
    return seconds < 1 ? 0 : (double)(t->ring[last].reached - t->ring[from].reached) / seconds;
}

/* Of the last seconds only: what holds a mirror up now need not have done so before. What is under
 * way is counted piece by piece, and a piece may have begun before. */
static double busy_of(const struct tally *t)
{
    size_t last = t->n - 1, from = last;
    while (from > 0 && t->ring[last].at_ms - t->ring[from].at_ms < BUSY_MS)
        from--;
    double seconds = (double)(t->ring[last].at_ms - t->ring[from].at_ms) / 1000.0;
    double busy = (double)(t->ring[last].busy_us - t->ring[from].busy_us) / 1e6 / seconds;
    return busy > 1 ? 1 : busy;
}

void tally_fill(const struct tally *t, struct evidence *e)
{
    e->copy_ms = t->copying_since ? e->now_ms - t->copying_since : 0;
    if (t->n < 2)
        return;
    size_t last = t->n - 1;
    double seconds = (double)(t->ring[last].at_ms - t->ring[0].at_ms) / 1000.0;
    if (seconds < 1)
        return;
    e->kept_per_s = (double)(t->ring[last].kept - t->ring[0].kept) / seconds;
    e->busy = busy_of(t);
    e->moved_per_s = moved_per_s(t);
}
