/* Statements that change many rows of one table: their values come as arrays, one a column, whose
 * elements are the very texts that single changes would have as parameters, so that each is read by
 * the input function of its type. Nothing is prepared: a plan is made for each statement, from the
 * size that the table has then. Owned by who declares it; one thread. */
#ifndef BUNNY_SET_SQL_H
#define BUNNY_SET_SQL_H

#include "stream/chunk.h"

struct set_sql {
    struct buf sql;
    size_t n, cap;
    struct buf *arrays; /* array literals, one a parameter */
    const char **values;
};

void set_sql_free(struct set_sql *s);
/* Rows with these values, none with an unchanged one, in this order. */
void set_sql_insert(struct set_sql *s, const struct target *t, size_t n,
                    const struct net *const *rows);
/* The rows of these keys get these values, but for columns that are unchanged in the first of them,
 * and so in all. There is one to be written. */
void set_sql_update(struct set_sql *s, const struct target *t, size_t n,
                    const struct net *const *rows);
void set_sql_delete(struct set_sql *s, const struct target *t, size_t n,
                    const struct net *const *rows);
/* Of a target that is_whole, set_image.c: rows with the values of the keys are deleted, or get the
 * values. It touches n rows, or fewer: each one that is missing is one less. */
void set_image(struct set_sql *s, const struct target *t, bool is_update, size_t n,
               const struct net *const *rows);

/* --- for set_image.c --- */
/* Forgets the statement before. */
void set_sql_start(struct set_sql *s);
/* One more parameter: the column's values, or those of the keys. */
void set_sql_add_array(struct set_sql *s, const struct target *t, size_t column, bool is_key,
                       size_t n, const struct net *const *rows);

#endif
