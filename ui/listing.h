/* The list on the screen, whichever it is: its rows, its filter and its columns. Moving, filtering,
 * sorting, marking and choosing columns know nothing else of it. Console thread. */
#ifndef BUNNY_UI_LISTING_H
#define BUNNY_UI_LISTING_H

#include "ui/app.h"

struct listing {
    struct rows *rows; /* NULL: the screen has no list */
    char *filter;      /* of INPUT_SIZE bytes; what / changes there, also where there is no list */
    const struct column_set *columns; /* NULL: as rows */
};
/* Borrowed from a. */
struct listing listing_of(struct app *a);

#endif
