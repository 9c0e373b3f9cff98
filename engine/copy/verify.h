/* Verify: an exact comparison of the tables of a mirror at one point in time. Source and
 * destination are each read in a snapshot that somebody else exported, so that both may go on
 * changing.
 *
 * A table is compared in two steps. First every row is read once on each side: the servers hash
 * each row's image and add the hashes up by buckets (by a hash of the row's key), which needs no
 * index, no order and no collation, so that any range of the heap may be read by any worker. Then
 * the rows of those buckets whose sums differ are read in order and named.
 *
 * A verify job belongs to the thread that starts it. Workers are threads of the job: each owns one
 * session at either server and keeps both busy at once. Nothing of a job outlives verify_finish. It
 * locks a table against DDL and TRUNCATE only while a statement reads it. */
#ifndef BUNNY_COPY_VERIFY_H
#define BUNNY_COPY_VERIFY_H

#include "base/model.h"
#include "pg/pg.h"
#include "schema/schema.h"

struct verify_job;

struct verify_plan {
    const char *mirror;             /* for names, logs, application_name */
    const struct pg_target *source; /* borrowed until verify_finish */
    const struct pg_target *dest;
    const char *source_snapshot; /* as exported; who exports keeps them until verify_is_imported */
    const char *dest_snapshot;
    const struct schema *schema; /* borrowed until verify_finish; immutable meanwhile */
    /* For each table of the schema why it is left out this time, NULL: it is compared. NULL: all
     * are. Borrowed by verify_start only. */
    const char *const *left_out;
    lsn_t lsn;    /* where both snapshots stand: for the report */
    int max_rows; /* named for each table; 0: VERIFY_MAX_ROWS */
    int workers;  /* each reads on both sides */
    int done_fd;  /* wake_signal-ed when a table changes its state, and at the end */
};

/* How far it is; index i is schema->tables[i]. A partitioned parent has no rows of its own: its
 * numbers are 0, its state VERIFY_LEFT_OUT. */
struct verify_progress {
    enum verify_state state;
    int workers;
    int64_t rows;                    /* of the source, summed up so far */
    int64_t bytes_done, bytes_total; /* of the source's heap */
    int64_t differences;             /* rows found so far */
};

/* Starts the workers and returns. */
bool verify_start(const struct verify_plan *plan, struct verify_job **out,
                  struct err *err) MUST_CHECK;
/* True once every worker holds both snapshots, or has ended: who exported them is free again. */
bool verify_is_imported(const struct verify_job *j);
/* True when all workers have ended, well or not. */
bool verify_is_over(const struct verify_job *j);
void verify_progress(const struct verify_job *j, size_t table, struct verify_progress *out);
/* Asks all workers to give up: their statements are cancelled at the servers; returns at once. */
void verify_cancel(struct verify_job *j);
/* Joins the workers (cancels first when they still run) and frees the job. *out, to be freed with
 * verify_report_free, is filled in every case with what is known of each table but partitioned
 * parents; its ending says whether that is all. False with the error that stopped it. Differences,
 * and tables that could not be compared, are no error. */
bool verify_finish(struct verify_job *j, struct verify_report *out, struct err *err) MUST_CHECK;

#endif
