/* What things look like: roles instead of colours. Eight colours on the terminal's own background;
 * a colour only repeats what a word and a glyph say. Two glyph sets: UTF-8 and ASCII. */
#ifndef BUNNY_UI_THEME_H
#define BUNNY_UI_THEME_H

#include <stdbool.h>
#include <stddef.h>

enum role {
    ROLE_TEXT,
    ROLE_STRONG,
    ROLE_DIM,
    ROLE_OK,
    ROLE_BUSY,
    ROLE_WARN,
    ROLE_FAIL,
    ROLE_HELD,
    ROLE_KEY,
    ROLE_TITLE, /* column titles */
    ROLE_BAR,   /* the head line */
    ROLE_COUNT
};
enum theme_kind {
    THEME_DEFAULT,
    THEME_LIGHT,
    THEME_MONO,
    THEME_COUNT
};
struct theme {
    enum theme_kind kind;
    bool unicode;
    bool can_unicode; /* the locale is UTF-8 */
    bool can_colour;  /* the terminal has colours and NO_COLOR is not set */
};

/* Reads locale and environment; called after curses started. */
void theme_init(struct theme *t);
/* The next theme; returns its name. Without colours there is only mono. */
const char *theme_next(struct theme *t);
const char *theme_name(const struct theme *t);
/* The one of that name, if there is one and the terminal has colours. */
void theme_choose(struct theme *t, const char *name);
/* The curses attribute (attr_t) of a role. */
unsigned theme_attr(const struct theme *t, enum role role);

/* Glyphs, as UTF-8 text. step: 0 … 7, -1 a gap. */
const char *theme_step(const struct theme *t, int step);
const char *theme_rule(const struct theme *t);
const char *theme_divider(const struct theme *t);
const char *theme_arrow(const struct theme *t); /* "->" */
/* A bar of width columns, filled by done / total, into out. */
void theme_bar(const struct theme *t, int width, double fraction, char *out, size_t size);

#endif
