/* How many errors a mirror had in each five minutes of the last hour. Guarded by its owner. */
#ifndef BUNNY_RECENT_H
#define BUNNY_RECENT_H

#include "engine.h"

struct recent {
    int64_t count;   /* the counter, when it was looked at last */
    int64_t turn_ms; /* monotonic: the newest part has begun; 0: nothing was looked at */
};

/* The counter, which only grows, stands at count now (monotonic ms): history, whose newest part is
 * the last, moves on. */
void recent_note(struct recent *r, int64_t count, int64_t now_ms, int history[ERROR_HISTORY]);

#endif
