/* A pair of snapshots, one of each server, that show the same moment of a streaming mirror: a
 * temporary slot at the source exports the first with its consistent point; the stream stands still
 * there (stream/hold.h) for the milliseconds in which the destination exports the second.
 * Belongs to one thread, which is not the mirror's. */
#ifndef BUNNY_VERIFY_PAIR_H
#define BUNNY_VERIFY_PAIR_H

#include "pg/pg.h"
#include "stream/hold.h"

struct verify_pair;

struct verify_pair_plan {
    const char *mirror, *mirror_id;
    const struct pg_target *source, *dest;
    struct hold *hold;
    struct task *task; /* cancellation; its tick is not called */
    /* For whoever wants to do something at that place (NULL: none): with the source's snapshot,
     * quickly, before the stream stands; and while it stands, instead of a destination's snapshot.
     */
    bool (*at_source)(void *arg, const struct verify_pair *pair, struct err *err);
    bool (*standing)(void *arg, const struct verify_pair *pair, struct err *err);
    void *arg;
};

struct verify_pair {
    lsn_t lsn; /* both show what committed before it */
    char *source_snapshot, *dest_snapshot;
    struct pg_conn *repl, *dest; /* keep the snapshots */
    char slot[64];
    int64_t stood_ms; /* how long the stream stood */
};

/* One try. False with an error of CLASS_RETRY when another one may go well: the stream was faster,
 * or interrupted, or a server was. */
bool verify_pair_take(const struct verify_pair_plan *plan, struct verify_pair *out,
                      struct err *err) MUST_CHECK;
/* Gives up slot and snapshots; whoever has imported them keeps them. Zeroed is fine. */
void verify_pair_free(struct verify_pair *p);

#endif
