/* How far behind a mirror is, in seconds: the source's WAL end is sampled with its time, and the
 * lag is how long it took until the destination had everything up to a sample; while the oldest
 * sample is still not reached, its age. No clock but our own takes part. Guarded by its owner. */
#ifndef BUNNY_LAG_H
#define BUNNY_LAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lsn.h"

#define LAG_SAMPLES 512

struct lag {
    struct {
        lsn_t lsn;
        int64_t at_ms;
    } ring[LAG_SAMPLES]; /* not reached yet, oldest first */
    size_t first, n;
    double reached; /* seconds that the last reached sample took; negative: none yet */
};

void lag_init(struct lag *l);
/* The source's WAL ended at lsn at that moment (monotonic ms). A full ring keeps its oldest. */
void lag_sample(struct lag *l, lsn_t lsn, int64_t now_ms);
/* Everything before lsn is durable at the destination. */
void lag_reach(struct lag *l, lsn_t lsn, int64_t now_ms);
/* Seconds; negative: not known yet. */
double lag_seconds(const struct lag *l, int64_t now_ms);

#endif
