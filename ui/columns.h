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
    /* What the rows are sorted by; NULL: the cell's text. */
    double (*value)(struct app *a, const void *item);
    bool sorts_usual; /* what it shows is the list's usual order */
};

/* A list's columns: the first one has the names, and is always shown. */
struct column_set {
    const char *name;    /* of the list, for the operator: "mirrors" */
    const char *setting; /* of [console], which chooses them; NULL: there is none */
    const struct column *columns;
    size_t n;
    int name_max;      /* columns of the terminal that names may have */
    const char *usual; /* what its usual order is called: "severity" */
};
extern const struct column_set columns_of_mirrors, columns_of_tables, columns_of_copies,
    columns_of_slots, columns_of_peers, columns_of_runs, columns_of_own_runs, columns_of_checks,
    columns_of_picks;
extern const struct column_set *const column_sets[COLUMN_LISTS];

/* screen_detail.c: of the tables, whether they are copied or streamed. */
const struct column_set *detail_columns(const struct app *a);
/* The place of a set in column_sets. */
size_t columns_index(const struct column_set *s);
/* What a column is called in the configuration: its title in small letters, "_" for the rest. */
void column_name(const struct column *c, char *out, size_t size);
/* Reads a list of names, with commas or blanks between them. ERR_INVALID: one is unknown, or stands
 * there twice. */
bool columns_parse(const struct column_set *s, const char *text, struct column_choice *out,
                   struct err *err) MUST_CHECK;
/* The other way round. */
void columns_print(const struct column_set *s, const struct column_choice *c, char *out,
                   size_t size);
/* Those that a terminal of so many columns shows: the chosen ones, or the usual ones of that width.
 */
void columns_usual(const struct column_set *s, int cols, struct column_choice *out);

/* Left of every row: the cursor mark and the state's glyph. */
enum {
    GUTTER = 3,
};
/* The role and glyph of an item. */
typedef char columns_glyph_fn(const void *item, enum role *role);

/* Whether columns have been scrolled away, or have no room on the right. */
bool columns_can_scroll(const struct app *a);
/* One column to the right (by 1) or to the left (-1), if there are more. */
void columns_scroll(struct app *a, int by);

/* Draws the titles at a->layout.columns and the rows of r at a->layout.list. The first column takes
 * what the names need. What was chosen with `c`, else in the configuration, is shown as far as
 * there is room for it. Sets the cursor. */
void columns_draw(struct app *a, struct rows *r, const struct column_set *s,
                  columns_glyph_fn *glyph);

#endif
