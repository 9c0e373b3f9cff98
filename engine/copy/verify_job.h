/* The inside of a verify job, shared by the files verify*.c and by nobody else.
 *
 * A unit is what a worker does in one go, on one table: look at its definitions on both sides
 * (open), read one range of each side's heap (range), or read the rows of buckets that differ
 * (narrow). Everything that the workers share is guarded by the job's lock, beside the atomics; the
 * lock is a leaf: it is never held across a call into libpq or the log. */
#ifndef BUNNY_VERIFY_JOB_H
#define BUNNY_VERIFY_JOB_H

#include <pthread.h>
#include <stdatomic.h>

#include "copy/verify.h"

#define VERIFY_MAX_WORKERS 16
#define VERIFY_MAX_BUCKETS 16384 /* get_bit reads 2 kB a row then; sums take 800 kB a table */

enum which_side {
    SOURCE,
    DEST,
    N_SIDES,
};

/* One side's session, in pipeline mode, and what it has answered. */
#define SIDE_MAX_ANSWERS 6
struct side {
    struct pg_conn *conn;
    bool is_waiting; /* a sync is under way */
    size_t n_answers;
    struct pg_result *answers[SIDE_MAX_ANSWERS]; /* in the statements' order; NULL: failed */
    struct err err;                              /* of the first statement that failed */
};

/* Of the rows of a bucket. Sums wrap: that is what makes them independent of the order. */
struct bucket_sum {
    int64_t rows;
    uint64_t h1, h2;
};

/* How one side of a table is read: pieces of SQL. Written by the unit that opens the table. */
struct reading {
    char *from;    /* "ONLY schema.table" */
    char *row;     /* the image of a row, as text */
    char *key;     /* a number for the bucket, from the key's columns; NULL: the table has no key */
    char **values; /* the key's columns as text, n_key of them */
    int64_t blocks; /* of a range */
    size_t n_ranges;
    struct bucket_sum *sums; /* of all ranges that are in; under the lock */
};

enum verify_step {
    STEP_OPEN,
    STEP_RANGES,
    STEP_NARROW,
    STEP_DONE,
};

/* A table on its way; under the lock, but for what only one unit at a time can touch. */
struct verify_run {
    const struct schema_table *def; /* constant */
    struct verify_table out;
    enum verify_step step;
    int running; /* units under way */
    int64_t started_ms;
    /* constant after STEP_OPEN */
    struct reading sides[N_SIDES];
    bool is_portable;   /* the servers' own hashes would differ: architecture or encoding */
    size_t n_key;       /* of out.key; 0: rows are told apart by their image */
    size_t n_buckets;   /* a power of two */
    size_t n_ranges;    /* of the side that has more */
    size_t taken, done; /* ranges */
    bool *differs;      /* a flag a bucket: it is still to be narrowed; of the narrowing unit */
    size_t n_differs;
};

struct verify_unit {
    enum verify_step step; /* STEP_OPEN, STEP_RANGES, STEP_NARROW */
    struct verify_run *run;
    size_t range;
};

struct verifier { /* a worker */
    struct verify_job *job;
    int index;
    pthread_t thread;
    int wake_fd;
    struct task task;
    struct side sides[N_SIDES];
};

struct verify_job {
    struct verify_plan plan; /* strings are the job's own copies where they must outlive start */
    char *mirror, *snapshots[N_SIDES], *app;
    int64_t began_at;
    size_t n_tables;
    struct verify_run *tables; /* as in the schema */
    struct verify_run **order; /* largest first */
    int n_workers;
    struct verifier *workers;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a unit is done, or the job is to stop */
    int n_running;          /* units under way */
    bool is_complete;
    bool has_failed;
    struct err err; /* the first one */

    atomic_bool stop;
    atomic_int n_imported, n_left; /* workers that hold the snapshots / that have ended */
};

const char *verify_side_name(enum which_side side); /* "source" "destination" */

/* verify_queue.c: what is to be done next. Called by workers. */
/* Waits for the next unit; false when the job is over or to be stopped. */
bool verify_queue_take(struct verify_job *j, struct verify_unit *out);
/* The unit is done well: its table goes on. */
void verify_queue_done(struct verify_job *j, const struct verify_unit *u);
/* The table is given up, the others go on. state: VERIFY_LEFT_OUT or VERIFY_FAILED. */
void verify_queue_give_up(struct verify_job *j, const struct verify_unit *u,
                          enum verify_state state, const char *reason);
/* Stops the job with its first error; later ones are what the first one caused. */
void verify_queue_fail(struct verify_job *j, const struct err *err);
void verify_queue_stop(struct verify_job *j);

/* verify_worker.c: the thread of a struct verifier. */
void *verify_worker_main(void *arg);

/* verify_sides.c: statements on both sides at once. Sending never waits. */
/* Forgets the answers so far; nothing may be under way. */
void sides_reset(struct verifier *v);
bool side_send(struct verifier *v, enum which_side side, const char *sql,
               struct err *err) MUST_CHECK;
/* Ends what was sent since the last end: from here on answers can be waited for. */
bool side_end(struct verifier *v, enum which_side side, struct err *err) MUST_CHECK;
/* Waits until everything sent to that side is answered, taking in the other's answers meanwhile.
 * False when a session is lost or the job is to stop; statements that failed are in side.err. */
bool side_wait(struct verifier *v, enum which_side side, struct err *err) MUST_CHECK;
/* Ends and waits for both; false also when a statement failed, with its side in the error. */
bool sides_wait(struct verifier *v, struct err *err) MUST_CHECK;
/* The error of statements that failed, with the side's name in front; true when there is none. */
bool sides_check(const struct verifier *v, struct err *err) MUST_CHECK;

/* verify_open.c: the definitions of a table on both sides, and how its rows are to be read. Errors
 * as sides_wait; ERR_SCHEMA when a column is missing. */
bool verify_open(struct verifier *v, struct verify_run *t, struct err *err) MUST_CHECK;
void verify_reading_free(struct reading *r, size_t n_key);

/* verify_sql.c: the statements; caller frees. */
/* Fails or waits where a statement that reads the table would, and locks it until the unit ends. */
char *verify_lock_sql(const struct verify_run *t, enum which_side side);
/* One number: relations that were emptied, rewritten or made after the snapshot. */
char *verify_stale_sql(const struct verify_run *t, enum which_side side);
/* A row a bucket: bucket, rows, two sums. */
char *verify_sums_sql(const struct verify_run *t, enum which_side side, size_t range);
/* The rows of the buckets whose flags are set, in order: see verify_narrow.c. */
char *verify_rows_sql(const struct verify_run *t, enum which_side side, const bool *buckets);
/* Any few rows, in that same form. */
char *verify_sample_sql(const struct verify_run *t, enum which_side side, int limit);
/* Adds the image of a row and its bucket's number: the pieces of a struct reading. */
char *verify_row_sql(size_t n, char *const *columns);
char *verify_key_sql(size_t n, char *const *columns, bool are_integers, bool is_portable);

/* verify_sums.c: one range on each side, added up; the buckets that differ once all are in. */
bool verify_range(struct verifier *v, struct verify_run *t, size_t range,
                  struct err *err) MUST_CHECK;
/* When all ranges are in, with the lock: counts what is equal, marks the buckets that are not. */
void verify_judge(struct verify_run *t);

/* verify_narrow.c: one round over buckets that differ. */
bool verify_narrow(struct verifier *v, struct verify_run *t, struct err *err) MUST_CHECK;

#endif
