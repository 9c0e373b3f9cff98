/* The stream: one poll loop over the source's replication connection, the destination's apply
 * connection and the mirror's wake-up. Reads, decodes, hands to the apply, reports positions.
 *
 * A mirror that is far behind begins with bulk reading (bulk.h), which is another source of the
 * same messages for the same apply, and goes over to the WAL sender when it has caught up: once
 * everything that was read in bulk is durable the WAL sender starts exactly there. The other way
 * round the run ends between two transactions, and the next one begins in bulk at the progress.
 *
 * What may be told to the source: only what is durable at the destination, in the progress row. On
 * a quiet mirror the keepalives' position goes into the progress row first, and is reported after.
 * Runs in the mirror's thread; borrows everything it is given. */
#ifndef BUNNY_STREAM_H
#define BUNNY_STREAM_H

#include "stream/apply.h"
#include "stream/hold.h"
#include "stream/pgoutput.h"

/* Bulk reading, as the mirror's run provides it; connect NULL: there is none. */
struct stream_bulk {
    bool is_wanted; /* from the beginning */
    const char *slot, *publication, *app;
    size_t window;
    int64_t decoding_memory;
    /* opens a session for it */
    bool (*connect)(void *arg, struct pg_conn **out, struct err *err);
    /* it is not possible, or has failed (err): what is_far says from now on is no */
    void (*refused)(void *arg, const struct err *err);
    void (*ended)(void *arg); /* after each connect, in the end */
    /* Is it worth while to end this run for it? seen: everything that committed before it was read.
     * May ask the source. */
    bool (*is_far)(void *arg, lsn_t seen);
};

struct stream_options {
    struct pg_conn *source; /* PG_REPLICATION */
    /* sends START_REPLICATION; everything that committed before from is at the destination */
    bool (*start)(void *arg, lsn_t from, struct err *err);
    struct stream_bulk bulk;
    struct pg_conn *dest; /* PG_APPLY, in no transaction */
    struct task *task;    /* cancellation, wake-up and the mirror's own tick */
    int keepalive_ms;     /* longest time without a status to the source */
    lsn_t from;           /* the progress */
    lsn_t source_end;     /* of its WAL, when the run began */
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
    bool *is_clean;   /* set after ERR_CANCELLED: both servers have answered until the end */
    lsn_t *reading;   /* set at the end: commit LSN of the transaction that was read; may be NULL */
    lsn_t *oldest;    /* the same of the first one that was under way with others; may be NULL */
};

/* Streams until the task is cancelled or bulk reading would be better (ERR_CANCELLED: what was
 * complete is committed and reported, within about a second) or something fails. Never returns
 * true.
 */
bool stream_run(const struct stream_options *o, struct err *err) MUST_CHECK;

#endif
