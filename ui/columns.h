/* Tables on the screen: each column once, with its title, width, and the terminal's width from
 * which it is shown. */
#ifndef BUNNY_UI_COLUMNS_H
#define BUNNY_UI_COLUMNS_H

#include "ui/app.h"

struct column {
    const char *title;
    int width;      /* 0: the rest of the line */
    int wide_width; /* from 110 columns on; 0: the same */
    enum align align;
    int min_cols;
    /* Writes the cell's text and role; NULL: draw is used. */
    void (*cell)(struct app *a, const void *item, char *out, size_t size, enum role *role);
    void (*draw)(struct app *a, const void *item, int y, int x, int width);
};

/* Left of every row: the cursor mark and the state's glyph. */
enum {
    GUTTER = 3,
};
/* The role and glyph of an item. */
typedef char columns_glyph_fn(const void *item, enum role *role);

/* Draws the titles at a->layout.columns and the rows of r at a->layout.list. The first column takes
 * what the names need, up to name_max. Sets the cursor. */
void columns_draw(struct app *a, struct rows *r, const struct column *columns, size_t n,
                  columns_glyph_fn *glyph, int name_max);

#endif
