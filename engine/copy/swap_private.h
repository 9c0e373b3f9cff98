/* What swap.c (shadows) and swap_rows.c (the exchange) share. */
#ifndef BUNNY_SWAP_PRIVATE_H
#define BUNNY_SWAP_PRIVATE_H

#include "copy/swap.h"

#define SWAP_SCHEMA "_bunnydb"
#define SWAP_LOOK_MS 60000

struct shadow {
    struct dest_table live; /* exists: it was there before the copy */
    char *live_sql;         /* quoted, with the word that leaves its children out */
    char *sql;              /* the shadow's, quoted; NULL: none */
    char *columns;          /* those that are copied, quoted: "a", "b"; "" of none */
    char *differing;        /* which rows differ, quoted; NULL: not looked for */
    int64_t n_old, n_new;   /* rows to be deleted and inserted by it */
};

struct swap {
    struct swap_plan plan;
    struct schema schema;   /* copies of the definitions, all that is owned is the original's … */
    struct shadow *shadows; /* … of each table */
    char **names;           /* but for this: of the shadows; NULL: none */
};

static inline struct task *swap_task(const struct swap *s)
{
    return &s->plan.errand->task;
}

#endif
