/* Batches: which source transactions share one destination transaction. A batch opens with the
 * first change, takes whole source transactions, and closes when it is full, or old enough, or the
 * source has nothing more to say; closed batches wait in order until the destination has
 * committed them durably. Also the count of what each batch did to each table, so that counters
 * move only with what is durable. Owned and used by the mirror's thread. */
#ifndef BUNNY_BATCH_H
#define BUNNY_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lsn.h"
#include "stream/pgoutput.h"

struct batch_delta {
    int table; /* index in struct schema */
    int64_t inserted, updated, deleted;
    lsn_t emptied; /* commit LSN of the last transaction with a TRUNCATE of it; 0: none */
};

struct batch {
    lsn_t end_lsn;       /* of the last COMMIT in it */
    int64_t commit_time; /* of that, us since 1970 */
    int64_t changes, bytes, transactions;
    int64_t opened_at; /* monotonic ms */
    size_t n_deltas, cap_deltas;
    struct batch_delta *deltas;
};

struct batch_limits {
    int64_t max_changes; /* cdc_batch_size */
    int64_t max_bytes;
    int64_t wait_ms; /* cdc_sync_interval_seconds; 0: at once */
};

struct batch_queue {
    struct batch_limits limits;
    struct batch open;      /* taking changes; empty when changes == 0 */
    bool is_in_transaction; /* between a source BEGIN and its COMMIT */
    bool is_in_replay;      /* the same of a transaction that is replayed */
    size_t n, cap;          /* closed, not yet known to be durable; oldest first */
    size_t n_done;          /* so many of them are known to be committed */
    struct batch *closed;
    size_t n_tables; /* size of slot_of */
    int *slot_of;    /* delta index + 1 of a table in the open batch, 0: none */
};

void batch_queue_init(struct batch_queue *q, const struct batch_limits *limits, size_t n_tables);
void batch_queue_free(struct batch_queue *q);
/* Counts a change of bytes to a table into the open batch. */
void batch_add(struct batch_queue *q, int table, enum pgo_kind kind, size_t bytes);
/* A TRUNCATE of it in the transaction that committed at lsn. */
void batch_emptied(struct batch_queue *q, int table, lsn_t lsn);
/* A source transaction ended inside the open batch. */
void batch_commit_seen(struct batch_queue *q, lsn_t end_lsn, int64_t commit_time);
bool batch_is_empty(const struct batch_queue *q);
/* Whether the open batch shall be committed now; only between source transactions. is_dry: the
 * source has nothing more to read at this moment. */
bool batch_is_due(const struct batch_queue *q, bool is_dry, int64_t now_ms);
/* When the open batch becomes due by time, monotonic ms; 0: no such moment. */
int64_t batch_deadline(const struct batch_queue *q);
/* Moves the open batch to the closed ones. */
const struct batch *batch_close(struct batch_queue *q);
/* The oldest batch that is not known to be committed is. */
void batch_committed(struct batch_queue *q);
/* The oldest batch, which was committed, is durable: hands it over; free its deltas with
 * batch_done. */
struct batch batch_pop(struct batch_queue *q);
void batch_done(struct batch *b);

#endif
