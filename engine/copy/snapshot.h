/* The snapshot: all tables of a mirror, cut into ctid ranges, copied by a few workers that share
 * the slot's exported snapshot; indexes are built, and the table is analyzed, as soon as its data
 * is there, while others are still copied; foreign keys last.
 *
 * A copy job belongs to the thread that starts it (the mirror's). Workers are threads of the job:
 * each owns its two connections, takes work from the job's queue (largest first), and reports
 * through atomics. Nothing of a job outlives snapshot_finish; destination tables must be empty when
 * it starts, and are left part-filled when it fails: the caller empties them before another try. */
#ifndef BUNNY_SNAPSHOT_H
#define BUNNY_SNAPSHOT_H

#include <stdatomic.h>

#include "pg/pg.h"
#include "schema/schema.h"

struct snapshot_job;

struct snapshot_plan {
    const char *mirror;             /* for names, logs, application_name */
    const struct pg_target *source; /* borrowed until snapshot_finish */
    const struct pg_target *dest;
    const struct schema *schema; /* borrowed; immutable meanwhile */
    const char *snapshot;        /* as exported by the slot; its connection stays open */
    /* Holds the snapshot, and guards all tables of the schema (guard.h): used by the first worker,
     * which ends the guard when all rows are in. The caller's again, in its transaction, after a
     * snapshot_finish that went well; to be closed after another one. */
    struct pg_conn *guard;
    int64_t rows_per_part;  /* snapshot_num_rows_per_partition */
    int workers_per_table;  /* snapshot_max_parallel_workers */
    int tables_in_parallel; /* snapshot_num_tables_in_parallel */
    size_t memory_budget;   /* bytes, for all workers together */
    int64_t index_memory;   /* bytes at the destination, for all workers together; 0: 2 GiB */
    const char *fence; /* run at the end of each transaction that brings rows: fails with 22012 when
                        * another process has taken over; NULL: none. A copy of it is kept. */
    /* Of each mapping, run when all its tables are copied, indexed and analyzed: makes that durable
     * and known (sync_rows_copied). NULL: nobody wants to know before all of them are. */
    char *const *copied; /* borrowed until snapshot_finish */
    bool is_aside; /* the destination tables stand beside those of the schema (swap.h): each is by
                    * itself, and a partitioned one is left alone; copied is NULL */
    atomic_bool *has_left_out; /* set when the server refuses a foreign key; NULL: not wanted.
                                * Borrowed until snapshot_finish */
    int done_fd;               /* wake_signal-ed when progress changes a state, and at the end */
};

/* How far it is; index i is schema->tables[i]. */
struct snapshot_table_progress {
    enum snapshot_table_state {
        SNAP_NONE, /* a partitioned parent */
        SNAP_QUEUED,
        SNAP_COPYING,
        SNAP_INDEXING,
        SNAP_DONE, /* and so are all other tables of its mapping */
    } state;
    int workers;
    int64_t rows;
    int64_t bytes_done, bytes_total; /* of rows and indexes, by the sizes that the source has */
    int64_t heap_done;               /* of rows alone */
    int indexes_done, indexes_total;
};

/* Starts the workers and returns. */
bool snapshot_start(const struct snapshot_plan *plan, struct snapshot_job **out,
                    struct err *err) MUST_CHECK;
/* True once every worker holds the snapshot: the exporting connection may be used again. */
bool snapshot_is_imported(const struct snapshot_job *j);
/* True when all workers have ended, well or not. */
bool snapshot_is_over(const struct snapshot_job *j);
void snapshot_progress(const struct snapshot_job *j, size_t table,
                       struct snapshot_table_progress *out);
/* How long the rest takes, with indexes, statistics and foreign keys; -1: not known yet. */
int64_t snapshot_eta_ms(const struct snapshot_job *j);
/* "copying", "building_indexes", "analyzing", "adding_foreign_keys" */
const char *snapshot_phase(const struct snapshot_job *j);
/* Asks all workers to give up: their statements are cancelled at the servers; returns at once. */
void snapshot_cancel(struct snapshot_job *j);
/* Joins the workers (cancels first when they still run), frees the job; false with the first error
 * that stopped it. */
bool snapshot_finish(struct snapshot_job *j, struct err *err) MUST_CHECK;

#endif
