/* Progress: the row in the destination's _bunnydb.progress that says how far a mirror has been
 * applied. It moves in the same transaction as the rows, so after any crash it is the truth. Each
 * applier takes a new epoch; a batch of an older one fails as a whole (fencing).
 * Runs on the caller's connection; keeps no state. */
#ifndef BUNNY_PROGRESS_H
#define BUNNY_PROGRESS_H

#include "pg/pg.h"
#include "stream/applier.h"
#include "stream/timeline.h"

struct progress {
    bool exists;
    int64_t epoch;
    char system_id[24]; /* of the source the slot was made on */
    uint32_t database_oid;
    struct timeline timeline; /* which lsn is a position of; not known: an earlier version's row */
    char slot[64];
    lsn_t slot_lsn;    /* where the slot was created */
    lsn_t lsn;         /* everything that committed before this is applied, … */
    bool is_streaming; /* … but to tables that are aside (sync_rows.h). False: an earlier version
                        * wrote it, whose snapshot did not end. */
};

/* Creates schema and table when missing, and takes the mirror's session lock, so that a second
 * process finds out before it does anything. Waits up to limit_ms for the lock, and ends a session
 * that this applier has left with it; then ERR_FENCED names the holder. who (NULL: nobody special)
 * is written to the row with the next claim or start. */
bool progress_open(struct pg_conn *dest, struct task *task, const char *mirror_id,
                   const struct applier *who, int limit_ms, struct err *err) MUST_CHECK;
/* Takes a new epoch and reads the row. exists = false when there is none. */
bool progress_claim(struct pg_conn *dest, struct task *task, const char *mirror_id,
                    struct progress *out, struct err *err) MUST_CHECK;
/* Writes the row of a new slot: lsn = slot_lsn, a new epoch; p->epoch is filled. In a transaction
 * that sets aside all tables which are still to be copied. */
bool progress_start(struct pg_conn *dest, struct task *task, const char *mirror_id,
                    const char *mirror, struct progress *p, struct err *err) MUST_CHECK;
/* Writes p's timeline; ERR_FENCED when its epoch is no longer the row's. */
bool progress_note_timeline(struct pg_conn *dest, struct task *task, const char *mirror_id,
                            const struct progress *p, struct err *err) MUST_CHECK;
/* Removes the mirror's rows of all of _bunnydb's tables; the last one takes tables and schema with
 * it. Missing things are fine. */
bool progress_delete(struct pg_conn *dest, struct task *task, const char *mirror_id,
                     struct err *err) MUST_CHECK;
/* The statement that moves the row, with $1 lsn, $2 mirror_id, $3 epoch, $4 where it stands now:
 * fails with 22012 when the epoch is no longer ours, so that the COMMIT behind it in the pipeline
 * is void; and also when the row is not at $4, because the batch before failed: one that is under
 * way behind it must not commit over the gap. $5 is the transaction's synchronous_commit. */
extern const char progress_move_sql[];
#define PROGRESS_FENCED_SQLSTATE "22012"

#endif
