/* Following one change of a table's definition at its place in the stream: what the relation
 * message tells, beside what was known before it, becomes statements for the destination, to be run
 * in the transaction that applies the rows around it.
 *
 * Which column is which. A message lists the columns in the order of their attnum, without dropped
 * ones; a new column always gets the next attnum. So the columns that were known and that the
 * source still has come first and in order, and what is left is told apart by names and types. The
 * source's present catalog may be ahead of the stream: it says which columns still exist, not what
 * they are called here.
 *
 * What no statement can follow exactly has to be copied again: rows that ALTER TABLE rewrote (they
 * are not in the stream, and USING is kept nowhere), and columns that cannot be told apart. */
#ifndef BUNNY_EVOLVE_H
#define BUNNY_EVOLVE_H

#include "schema/known.h"
#include "schema/schema.h"

struct evolve_column { /* as the relation message tells it */
    const char *name;
    uint32_t type;
    int32_t typmod;
    bool is_key; /* of the replica identity: updates and deletes name their row by it */
};

enum evolve_verdict {
    EVOLVE_RUN,  /* the steps, in order; there may be none */
    EVOLVE_COPY, /* the table's rows have to be copied again: why */
    EVOLVE_ASK,  /* only the operator can decide: why */
    EVOLVE_GONE, /* the source has dropped the table since then */
};
struct evolve_step {
    char *sql;
    char *what;
};
struct evolution {
    enum evolve_verdict verdict;
    char *why;     /* of COPY and ASK */
    char *changes; /* a sentence's part: "adds column b, renames column c to d" */
    size_t n, cap;
    struct evolve_step *steps;
    /* What is known afterwards, of this table and of those that have its columns from the same
     * parent at the destination. */
    size_t n_after, after_cap;
    struct known_table *after;
    char *record_sql; /* keeps that, with the book of parts */
};
void evolution_free(struct evolution *e); /* the contents */

struct evolve_request {
    struct pg_conn *source;
    struct pg_conn *dest; /* in the transaction that applies */
    struct task *task;
    const char *mirror_id;
    const struct schema *schema;
    const struct table_map *maps; /* of the schema's tables */
    int table;                    /* index in the schema */
    const struct known *known;
    const struct known_table *was;
    size_t n;
    const struct evolve_column *columns;
    bool drop_columns; /* what the source drops is dropped; else its values are kept */
};
/* Changes nothing. */
bool schema_evolve(const struct evolve_request *q, struct evolution *out,
                   struct err *err) MUST_CHECK;

/* Fills attnums[n]: which column of was, or which new one, each of the columns is. now: the
 * source's present catalog. False when that cannot be said for certain of a column that the source
 * still has. (evolve_match.c) */
bool evolve_match(const struct known_table *was, const struct known_table *now, size_t n,
                  const struct evolve_column *columns, int *attnums);

#endif
