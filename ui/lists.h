/* The lists that have to be asked for: slots of all sources, peers, runs. Their lines are made of
 * the last answer for the screen that is shown. Console thread. */
#ifndef BUNNY_UI_LISTS_H
#define BUNNY_UI_LISTS_H

#include "ui/app.h"

/* Fills a->lines and the rows of the present screen, and asks for what is missing or old. Does
 * nothing on other screens. */
void lists_build(struct app *a);
/* The mirror of the selected line; "" when it has none; NULL on other screens. */
const char *lists_mirror(const struct app *a);
/* What the selected line shows; NULL: the list is empty. */
const void *lists_selected(const struct rows *r);
/* "2s ago", or why the last question failed: for the right end of a title. */
void lists_age(struct app *a, const struct sheet *s, char *out, size_t size);
/* The screens that 1 to 6 show, with the present one marked, on the crumb line. */
void lists_tabs_draw(struct app *a, const struct rect *r);
/* "no peers yet": while there are no lines. */
void lists_empty_draw(struct app *a, const struct sheet *s, const char *none);

/* The runs of the mirror that is open, and the events of the selected one below them. */
void runs_draw(struct app *a, struct rows *r, bool of_all);
/* Whether a slot does well: a word, its glyph and colour. */
const char *slot_word(const struct app *a, const struct source_slot *s, char *glyph,
                      enum role *role);
/* Mirrors that read this peer's slots write WAL there at bytes a second; -1: not known. */
double slot_source_rate(const struct app *a, const char *peer);
/* The answer to a SHEET_CHECKUP: its findings are moved. */
void checkup_take(struct app *a, struct sheet *s);
void checkups_free(struct app *a);
/* Makes the list fit the picture, and asks for the next mirror whose turn it is. */
void checkups_update(struct app *a);
enum severity checkup_worst(const struct checkup *c);
/* How many mirrors use a peer. */
int peer_uses(const struct app *a, const char *peer, bool as_source);
const struct peer_test *peer_last_test(const struct app *a, const char *peer);

#endif
