/* Labelled lines: "what  23505 duplicate key …". Used for findings, slot facts, help and messages.
 * Long ones are wrapped; when room is short, the less important go and the others are cut. */
#ifndef BUNNY_UI_FACTS_H
#define BUNNY_UI_FACTS_H

#include <stddef.h>

#include "ui/draw.h"

struct fact {
    enum role role;
    int rank; /* 0: always shown; higher goes first */
    char label[48];
    char text[800];
};
struct facts {
    struct fact *items;
    size_t n, cap;
    int label_width; /* columns; of the widest label */
};

void facts_free(struct facts *f);
void facts_clear(struct facts *f);
/* An empty text adds nothing unless the label is empty, too (a blank line). */
void facts_add(struct facts *f, enum role role, int rank, const char *label, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Into r, from its first line; everything fits by dropping and cutting. */
void facts_draw(const struct painter *p, const struct facts *f, const struct rect *r);
/* How many lines they are in so many columns. */
int facts_lines(const struct painter *p, const struct facts *f, int columns);
/* Into r, beginning at wrapped line *top (kept in range); returns the number of wrapped lines. */
int facts_draw_page(const struct painter *p, const struct facts *f, const struct rect *r, int *top);

#endif
