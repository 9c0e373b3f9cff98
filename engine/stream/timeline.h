/* Timelines: which line of history a source's WAL belongs to. A standby that is promoted, and a
 * server that is restored to a moment, begin a new one, with the system identifier of the old one;
 * what the old line wrote behind the branch does not exist there, and the same positions mean
 * something else. Reads the text of a history file ("Streaming Replication Protocol",
 * TIMELINE_HISTORY; "Continuous Archiving and Point-in-Time Recovery", "Timelines"). Pure
 * functions, any thread. */
#ifndef BUNNY_TIMELINE_H
#define BUNNY_TIMELINE_H

#include <stdbool.h>

#include "base/lsn.h"

struct timeline {
    int id;      /* 0: not known */
    lsn_t start; /* where it left its parent; 0: it is the first, or not known */
};

/* Where the timeline whose history this is left its parent; 0 when the text does not say. */
lsn_t timeline_start(const char *history);
/* Whether the history goes through t, and where it left it. */
bool timeline_end(const char *history, const struct timeline *t, lsn_t *end);
/* Whether both are known to be the same. One whose start is not known is taken for the other. */
bool timeline_is_same(const struct timeline *a, const struct timeline *b);

#endif
