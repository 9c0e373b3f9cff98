/* What the files of a swap share: shadows (swap.c), which rows differ (swap_find.c), statements
 * (swap_sql.c), the exchange (swap_rows.c), and the exchange in slices (swap_slices.c). */
#ifndef BUNNY_SWAP_PRIVATE_H
#define BUNNY_SWAP_PRIVATE_H

#include "copy/swap.h"

#define SWAP_SCHEMA "_bunnydb"
#define SWAP_LOOK_MS 60000

/* As in empty.c: who comes behind us in a lock's queue waits for so long at most. The long one is
 * beyond the usual deadlock_timeout, at which an autovacuum gives way. */
#define SWAP_SHORT_LOCK "400ms"
#define SWAP_LONG_LOCK "1500ms"
#define SWAP_PATIENCE 12 /* short attempts */
#define SWAP_PAUSE_MS 700
#define SWAP_LOCK_LIMIT_MS (30 * 60 * 1000)
#define SWAP_EXPLAIN_FIRST_MS 5000
#define SWAP_EXPLAIN_MS 60000

/* Nested loops would be the end of a large table whose statistics are old. */
#define SWAP_PLANS \
    "SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL enable_nestloop = off"

struct shadow {
    struct dest_table live; /* exists: it was there before the copy */
    char *live_sql;         /* quoted, with the word that leaves its children out */
    char *sql;              /* the shadow's, quoted; NULL: none */
    char *columns;          /* those that are copied, quoted: "a", "b"; "" of none */
    char *differing;        /* which rows differ, quoted; NULL: was never looked for */
    bool is_found;          /* what is there is all that differs; else nobody knows */
    bool is_by_key;         /* a row is found by its key there, not by its place and text */
    int64_t n_old, n_new;   /* rows to be deleted and inserted by it */
    int64_t n_numbers;      /* the last number that a row has there */
};

struct swap {
    struct swap_plan plan;
    struct schema schema;   /* copies of the definitions, all that is owned is the original's … */
    struct shadow *shadows; /* … of each table */
    char **names;           /* but for this: of the shadows; NULL: none */
};

/* Some of the rows that differ in a table, by their numbers: (after, last]. */
struct slice {
    size_t table;
    int64_t after, last;
};

/* The exchange of all tables of one mapping. */
struct exchange {
    struct swap *swap;
    int mapping;
    struct task *task; /* of what is sent to plan.dest */
    int64_t removed, added;
    bool is_whole;      /* rows are compared under a lock */
    bool has_moved;     /* somebody has written since they were compared */
    bool is_sliced;     /* somebody waited for the rows: no transaction may last any more */
    int64_t attempt_ms; /* how long the last attempt took */
    int64_t held_ms;    /* how long the longest transaction had rows, or the lock */

    struct pg_conn *watcher; /* NULL: none yet; see swap_rows.c */
    int64_t watch_at;        /* monotonic ms */
    bool is_in_way;          /* somebody waits for us */
};

static inline struct task *swap_task(const struct swap *s)
{
    return &s->plan.errand->task;
}

static inline const struct schema_table *swap_table(const struct swap *s, size_t i)
{
    return &s->plan.tables->tables[i];
}

static inline bool swap_is_part(const struct exchange *x, size_t i)
{
    return x->swap->shadows[i].sql && swap_table(x->swap, i)->mapping == x->mapping;
}

/* swap_sql.c: callers free. */
bool swap_has_key(const struct swap *s, size_t i);
/* Rows that the shadow does not have just like that. Afterwards each row of the live table has one
 * in the shadow that is the same, byte by byte. */
char *swap_delete_all_sql(const struct swap *s, size_t i);
/* Rows whose key the live table does not have now. */
char *swap_insert_all_sql(const struct swap *s, size_t i);
/* Makes the table of the rows that differ: k0, k1 … (the key) or l, t, h (place, table and text) of
 * the live one, s (the place) of the shadow's, r. */
char *swap_find_sql(const struct swap *s, size_t i);
/* slice NULL: all of them. */
char *swap_count_found_sql(const struct swap *s, const struct slice *slice);
char *swap_delete_found_sql(const struct swap *s, size_t i, const struct slice *slice);
char *swap_insert_found_sql(const struct swap *s, size_t i, const struct slice *slice);
char *swap_drop_sql(const struct exchange *x);

/* swap_find.c: looks which rows differ, in each table of the mapping, without a lock that anybody
 * waits for. is_found says where that could be said. */
bool swap_find(struct exchange *x, struct err *err) MUST_CHECK;

/* swap_rows.c */
bool swap_run(const struct exchange *x, int limit_ms, const char *sql, struct err *err) MUST_CHECK;
/* Frees sql; adds the rows that it touched. */
bool swap_count(const struct exchange *x, char *sql, int64_t *sum, struct err *err) MUST_CHECK;
bool swap_is_lock_failure(const struct err *err);
/* The fence, and COMMIT. */
bool swap_commit(const struct exchange *x, struct err *err) MUST_CHECK;
void swap_explain(const struct exchange *x, int64_t *explain_at);

/* swap_slices.c: writes the rows that differ in short transactions, and drops the shadows. */
bool swap_slices(struct exchange *x, struct err *err) MUST_CHECK;

#endif
