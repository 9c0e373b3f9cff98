/* Why a mirror is behind, why its copy is slow, and how long its source has room for the WAL that
 * its slot keeps: judged from what both servers and the mirror itself say. Pure functions. */
#ifndef BUNNY_REASONS_H
#define BUNNY_REASONS_H

#include "control/sight.h"
#include "engine.h"

#define EVIDENCE_SAMPLES 30
#define REASONS_WARN_AT 0.5 /* of the WAL that a slot may keep */
#define REASONS_ALARM_AT 0.8

struct evidence {
    const struct mirror_status *status;
    struct sight source, dest;
    int64_t now_ms;     /* monotonic */
    int alarm_s;        /* of lag */
    int64_t wal_limit;  /* bytes that the slot may keep; 0: none is known */
    bool limit_is_ours; /* it is wal_room of the configuration, not the server's */
    double kept_per_s;  /* how fast what the slot keeps grows; negative or 0: it does not */
    double busy;        /* share of the last seconds in which changes were on their way there */
    double moved_per_s; /* bytes of WAL that the mirror gets through */
    int64_t copy_ms;    /* how long the first copy has been going on */
    lsn_t held_from;    /* restart_lsn of the slot, and who keeps it there: */
    int oldest_pid;     /* an open transaction at the source; 0: none is old */
    int64_t oldest_s;
};
void reasons_judge(const struct evidence *e, struct findings *out);
/* Of the WAL alone: 0 to 1 and more of the limit; negative: there is none. */
double reasons_wal_share(const struct evidence *e);

#endif
