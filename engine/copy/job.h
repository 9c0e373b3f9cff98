/* The inside of a copy job, shared by the files of copy/ and by nobody else.
 *
 * A unit is what a worker does in one go: a range, an index, a foreign key, … The queue hands units
 * out in stages: a stage begins when all units of the one before are done. Everything that the
 * workers share is guarded by the job's lock, beside the atomics; the lock is a leaf: it is never
 * held across a call into libpq or the log. The first worker reads with the guard's session, which
 * has every table locked already (guard.h). */
#ifndef BUNNY_COPY_JOB_H
#define BUNNY_COPY_JOB_H

#include <pthread.h>
#include <stdatomic.h>

#include "copy/snapshot.h"

#define COPY_MAX_WORKERS 16
#define FENCED_SQLSTATE "22012"

enum unit_kind {
    UNIT_RELEASE, /* give the source's session back: every range is in */
    UNIT_RANGE,
    UNIT_INDEX,
    UNIT_ADOPT, /* a table's constraints take over the indexes that were built for them */
    UNIT_ADD_FKEY,
    UNIT_VALIDATE_FKEY,
    UNIT_SETTLE, /* ANALYZE of a mapping's table, which makes the mapping complete */
    UNIT_SEAL,   /* make all that was committed durable */
};
struct unit {
    enum unit_kind kind;
    size_t table; /* index in the schema */
    size_t item;  /* which range, index or foreign key of it */
};

enum stage {
    STAGE_DATA,      /* ranges, the indexes of tables whose ranges are in, and what settles them */
    STAGE_ADD_FKEYS, /* one at a time: each locks two tables */
    STAGE_VALIDATE,
    STAGE_SEAL,
    STAGE_OVER,
};

enum phase {
    PHASE_COPYING,
    PHASE_INDEXES,
    PHASE_ANALYZE,
    PHASE_FKEYS,
};

/* What was done of one kind of work: how long it took on the job's clock (outlook.c), and what it
 * was expected to take on some machine. */
struct pace {
    double ms, cost; /* what was done lately counts most */
    double done;     /* cost, all of it */
};
/* Of small units most is waiting, for answers and for a disk, which a large one hardly notices. */
enum unit_size {
    SIZE_LARGE,
    SIZE_SMALL,
    SIZE_COUNT
};

/* How a table is cut: range i holds the blocks [i * blocks, (i + 1) * blocks), the last is open. */
struct cut {
    size_t n; /* 0: a partitioned parent; 1: the whole table */
    int64_t blocks;
};

/* A table on its way; guarded by the job's lock, but for def, cut and index_order. */
struct table_run {
    const struct schema_table *def;
    struct cut cut;
    size_t *index_order; /* those that lock out everyone else come first, then those that take
                            longest */
    enum snapshot_table_state state;
    bool is_open; /* a range was taken, and not all are in */
    size_t ranges_taken, ranges_done;
    size_t indexes_taken, indexes_done;
    double *index_parts;                     /* how much of each index is built: 0 to 1 */
    bool has_twins, is_adopted, has_adopted; /* adoption: is any to be done, taken, done */
    size_t fkeys_added, fkeys_validated;
    int running;       /* workers on it now */
    bool is_locked;    /* one of them needs the table for itself */
    bool is_contested; /* somebody waits for it at the source: left to the guard's worker */
    /* The partitioned table it comes from, itself otherwise. A root's weight is that of all its
     * partitions, whose indexes a parent's index makes once all of them are done. */
    struct table_run *root;
    int64_t weight;
    size_t leaves_left;
    size_t tree_left; /* of a root: ranges and indexes of it and all its partitions */
    bool is_settled;  /* of a root: that was taken */
    struct table_run *building_parent; /* the one parent of the tree that has workers */
    int64_t rows, heap_done;
    int64_t received;   /* bytes that went through */
    int64_t started_ms; /* monotonic */
    int64_t shown;      /* bytes done at the last look */
    struct pace pace;   /* of its ranges */
};

struct worker {
    struct snapshot_job *job;
    int index;
    pthread_t thread;
    int wake_fd;
    struct task task;
    struct pg_conn *source, *dest;
    struct buf gather;     /* rows on their way */
    bool *holds;           /* of each table: locked by its session at the source */
    bool is_for_building;  /* the destination session has its memory for indexes */
    bool is_releasing;     /* under the lock */
    bool has_unit;         /* under the lock */
    struct unit unit;      /* under the lock */
    int64_t unit_since;    /* monotonic ms, under the lock */
    double unit_clock;     /* the job's clock then, under the lock */
    double part_clock;     /* the same when its index was last seen to get on, under the lock */
    int64_t busy_ms;       /* in units that are done, under the lock */
    atomic_int dest_pid;   /* of the session at the destination; 0: not yet */
    atomic_llong rows;     /* of the running range */
    atomic_llong received; /* bytes of the running range */
    atomic_llong unsent;   /* those that are still on our side */
};

struct snapshot_job {
    struct snapshot_plan plan; /* strings are the job's own copies where they must outlive start */
    char *mirror, *snapshot, *app;
    char *commit; /* the fence and COMMIT; NULL: each statement commits itself */
    size_t n_tables;
    struct table_run *tables; /* as in the schema */
    struct table_run **order; /* largest first */
    int n_workers;
    struct worker *workers;
    size_t gather_bytes;
    int64_t index_memory_kb;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a unit is done, or the job is to stop */
    enum stage stage;
    bool is_ready;   /* the first worker has made room: units are handed out */
    int n_running;   /* units under way */
    int n_releasing; /* workers that give their source's session back */
    int n_open;      /* tables with is_open */
    size_t ranges_left, indexes_left;
    int64_t began;    /* monotonic ms */
    size_t n_untaken; /* ranges and indexes */
    double clock;     /* see outlook.c */
    int64_t clock_at; /* monotonic ms */
    bool is_here;     /* the destination is on this machine */
    double capacity;  /* as much gets on at full speed side by side */
    double others;    /* that is not ours, on this machine */
    int64_t looked_at;
    int looks; /* so often */
    struct pace ranges[SIZE_COUNT], indexes[SIZE_COUNT], settlings[SIZE_COUNT],
        validations[SIZE_COUNT];
    struct observer *observer;
    size_t n_returned, cap_returned; /* ranges of contested tables that were begun in vain */
    struct unit *returned;
    bool is_sealed;
    bool has_failed;
    struct err err; /* the first one */

    atomic_bool stop;
    atomic_int n_imported, n_left; /* workers that hold the snapshot / that have ended */
    atomic_int n_gave_up;          /* workers of a stopped job that do nothing any more */
    atomic_int phase, phase_said;
};

/* range.c */
struct cut range_cut(const struct schema_table *t, int source_version, int64_t rows_per_part,
                     int workers);
/* Bytes of the table (as counted in def->bytes) that range i stands for. */
int64_t range_bytes(const struct table_run *t, size_t i);
bool range_is_copied(const struct schema_column *c);
size_t range_columns(const struct schema_table *t);
bool range_is_binary(const struct schema_table *t);
/* The COPY statements of range i; caller frees. Not for tables without columns. */
char *range_source_sql(const struct table_run *t, size_t i);
char *range_dest_sql(const struct schema_table *t);

/* outlook.c: how far the job is, and how long the rest takes. Under the lock, but for the first
 * two. */
void outlook_init(struct snapshot_job *j);
/* What building an index, or looking at a foreign key's rows, takes, in milliseconds of no
 * particular machine; need no lock. */
double outlook_index_cost(const struct snapshot_job *j, const struct table_run *t, size_t index);
double outlook_validation_cost(const struct snapshot_job *j, const struct table_run *t,
                               size_t fkey);
/* Called when the number of running units is about to change. */
void outlook_tick(struct snapshot_job *j);
/* The worker's unit is done. */
void outlook_note(struct worker *w);
/* How far the worker's unit is: of 0 to 1, as far as it is known. */
double outlook_live_part(const struct worker *w);
/* How much of the time each worker had something to do, to the log; takes the lock itself. */
void outlook_say_busy(struct snapshot_job *j, const char *until);

/* observe.c: asks the destination how far indexes are that take long; never an error. */
struct observer *observer_start(struct snapshot_job *j);
void observer_finish(struct observer *o); /* NULL does nothing */

/* queue.c: what is to be done next. Called by workers. */
/* From now on units are handed out. */
void queue_open(struct snapshot_job *j);
/* Waits for the next unit; false when the job is over or to be stopped. */
bool queue_take(struct worker *w, struct unit *out);
/* The unit is done well; rows and bytes: of a range. */
void queue_done(struct worker *w, int64_t rows, int64_t bytes);
/* The range was not begun: its table is contested, and only the worker with the guard can read it.
 */
void queue_hand_back(struct worker *w);
/* Stops the job with its first error; later ones are what the first one caused. */
void queue_fail(struct snapshot_job *j, const struct err *err);
void queue_stop(struct snapshot_job *j);

/* worker.c: the thread of a struct worker. */
void *worker_main(void *arg);

/* transfer.c: one range from the source's session to the destination's. */
bool transfer_range(struct worker *w, const struct unit *u, int64_t *rows, int64_t *bytes,
                    struct err *err) MUST_CHECK;

/* post.c: what comes after a table's data. */
/* A constraint's. */
bool post_is_constraint(const struct schema_index *i);
/* Made by ALTER TABLE … ADD CONSTRAINT, which locks the table for itself, or with those of the
 * partitions, which are attached under a lock like it; CREATE INDEX only shuts writers out. */
bool post_is_exclusive(const struct schema_index *i);
/* Removes what an earlier try left of indexes for constraints; the tables are empty. */
bool post_remove_twins(struct worker *w, struct err *err) MUST_CHECK;
bool post_run(struct worker *w, const struct unit *u, struct err *err) MUST_CHECK;

#endif
