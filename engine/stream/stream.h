/* The stream: one poll loop over the source's replication connection, the destination's apply
 * connection and the mirror's wake-up. Reads, decodes, hands to the apply, reports positions.
 *
 * What may be told to the source: only what is durable at the destination, in the progress row. On
 * a quiet mirror the keepalives' position goes into the progress row first, and is reported after.
 * Runs in the mirror's thread; borrows everything it is given. */
#ifndef BUNNY_STREAM_H
#define BUNNY_STREAM_H

#include "stream/apply.h"
#include "stream/hold.h"
#include "stream/pgoutput.h"

struct stream_options {
    struct pg_conn *source; /* PG_REPLICATION, START_REPLICATION was sent */
    struct pg_conn *dest;   /* PG_APPLY, in no transaction */
    struct task *task;      /* cancellation, wake-up and the mirror's own tick */
    int keepalive_ms;       /* longest time without a status to the source */
    lsn_t from;             /* the progress */
    struct apply_options apply;
    /* called about four times a second and when the stream falls silent */
    void (*report)(void *arg, lsn_t durable, lsn_t safe, bool is_caught_up);
    /* called in each turn of the loop, between two messages: looks after tables that are copied
     * beside the stream; NULL: none */
    bool (*beside)(void *arg, struct apply *apply, struct err *err);
    /* called when a command has come, before what is under way is ended; NULL: nobody asks */
    void (*stopping)(void *arg);
    struct hold *hold; /* where to stand still; NULL: nobody asks */
    /* called before it is said that the stream stands: what of the apply counts then */
    void (*standing)(void *arg, const struct apply *apply);
    void *arg;
    int64_t *busy_us; /* grows by the time in which changes were on their way there */
    lsn_t *reading;   /* set at the end: commit LSN of the transaction that was read; may be NULL */
};

/* Streams until the task is cancelled (ERR_CANCELLED: what was complete is committed and reported,
 * within about a second) or something fails. Never returns true. */
bool stream_run(const struct stream_options *o, struct err *err) MUST_CHECK;

#endif
