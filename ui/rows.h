/* A list whose selection is an identity: the name stays selected wherever sorting, filtering or new
 * items move it. The items are borrowed from a picture and must begin with their name. */
#ifndef BUNNY_UI_ROWS_H
#define BUNNY_UI_ROWS_H

#include <stddef.h>

#include "engine.h"

struct rows {
    const void **items; /* each begins with a char[] that is its name */
    size_t n, cap;
    char selected[2 * NAME_SIZE + 2];
    int index; /* of the selected in items; -1: the list is empty */
    int top;   /* first shown */
    int height;
    char (*marks)[2 * NAME_SIZE + 2]; /* the names of the marked ones, sorted; shown or not */
    size_t n_marks, cap_marks;
};

void rows_free(struct rows *r);
void rows_clear(struct rows *r);
void rows_add(struct rows *r, const void *item);
/* After the items are complete: finds the selected one again, or takes its neighbour. */
void rows_settle(struct rows *r);
/* Moves the selection by delta items, staying inside. */
void rows_move(struct rows *r, int delta);
/* Makes the selected one visible in height lines. */
void rows_scroll(struct rows *r, int height);
void rows_mark(struct rows *r, const char *name, bool is_marked);
bool rows_is_marked(const struct rows *r, const char *name);
void rows_unmark_all(struct rows *r);
const void *rows_selected(const struct rows *r);

#endif
