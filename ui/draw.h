/* Putting text on the screen: the only drawing calls of the console beside terminal.c. All of them
 * cut at the given width, so that nothing ever wraps. Console thread only. */
#ifndef BUNNY_UI_DRAW_H
#define BUNNY_UI_DRAW_H

#include "ui/layout.h"
#include "ui/theme.h"

struct painter {
    const struct theme *theme;
    bool selected; /* what is drawn belongs to the selected row: reverse */
};
enum align {
    ALIGN_LEFT,
    ALIGN_RIGHT,
};

/* Draws s at y, x in at most width columns; returns the columns used. */
int draw_text(const struct painter *p, int y, int x, int width, enum role role, const char *s);
int draw_textf(const struct painter *p, int y, int x, int width, enum role role, const char *fmt,
               ...) __attribute__((format(printf, 6, 7)));
/* Draws s in exactly width columns. */
void draw_field(const struct painter *p, int y, int x, int width, enum role role, enum align align,
                const char *s);
/* A line across: "── title ───────── right ──"; right may be NULL. */
void draw_rule(const struct painter *p, int y, int x, int width, enum role role, const char *title,
               const char *right);
void draw_divider(const struct painter *p, const struct rect *right_pane);
/* Blanks (of the selected row: reverse ones). */
void draw_blank(const struct painter *p, int y, int x, int width);
/* A graph of n samples (see format_graph) in width columns. */
void draw_graph(const struct painter *p, int y, int x, int width, const float *samples, int n);
/* The same of what has no good and bad (see format_scaled_graph), in one role. */
void draw_scaled_graph(const struct painter *p, int y, int x, int width, enum role role,
                       const float *samples, int n);

#endif
