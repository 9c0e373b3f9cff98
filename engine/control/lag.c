/* Lag in seconds; see lag.h. */
#include "control/lag.h"

void lag_init(struct lag *l)
{
    *l = (struct lag){.reached = -1};
}

void lag_sample(struct lag *l, lsn_t lsn, int64_t now_ms)
{
    size_t last = (l->first + l->n - 1) % LAG_SAMPLES;
    if (l->n && l->ring[last].lsn == lsn)
        return; /* nothing was written since: the earlier moment counts */
    if (l->n == LAG_SAMPLES) {
        l->ring[last].lsn = lsn; /* the age of the oldest is what matters */
        l->ring[last].at_ms = now_ms;
        return;
    }
    size_t i = (l->first + l->n++) % LAG_SAMPLES;
    l->ring[i].lsn = lsn;
    l->ring[i].at_ms = now_ms;
}

void lag_reach(struct lag *l, lsn_t lsn, int64_t now_ms)
{
    while (l->n && l->ring[l->first].lsn <= lsn) {
        l->reached = (double)(now_ms - l->ring[l->first].at_ms) / 1000.0;
        l->first = (l->first + 1) % LAG_SAMPLES;
        l->n--;
    }
}

double lag_seconds(const struct lag *l, int64_t now_ms)
{
    if (!l->n)
        return l->reached;
    double age = (double)(now_ms - l->ring[l->first].at_ms) / 1000.0;
    return age > l->reached ? age : l->reached;
}
