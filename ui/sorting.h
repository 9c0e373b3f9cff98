/* The order of a list: the usual one, which each list has of its own (what is wrong first), or that
 * of a column, chosen with `s`, by its title, or kept from the last time. Numbers begin with the
 * largest, texts with A; inverted it is the other way round. Console thread. */
#ifndef BUNNY_UI_SORTING_H
#define BUNNY_UI_SORTING_H

#include "ui/columns.h"

/* Rows in their usual order get the chosen one; what is alike stays in the usual order. */
void sorting_apply(struct app *a, struct rows *r, const struct column_set *s);
/* "severity", "mirror", "rows/s" */
const char *sorting_name(const struct app *a, const struct column_set *s, char *out, size_t size);
bool sorting_is_usual(const struct app *a, const struct column_set *s);
/* By such a name; one that is not known changes nothing. */
void sorting_choose(struct app *a, const struct column_set *s, const char *name);
/* The title of a column was clicked; a second time turns the order round. */
void sorting_by_title(struct app *a, const struct column_set *s, int column);
/* Behind the title of the column that it is sorted by: which way. "": another column is. */
const char *sorting_mark(const struct app *a, const struct column_set *s, int column);

void do_sort(struct app *a);
void do_invert(struct app *a);

#endif
