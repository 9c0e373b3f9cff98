/* Marked lines, and one command to all of them: asked for once, with a list of what it is for and
 * of what it leaves out and why. A mirror is given one command at a time, in the order of the list:
 * the tables of one follow each other, as long as this console is there. Console thread. */
#ifndef BUNNY_UI_BATCH_H
#define BUNNY_UI_BATCH_H

#include "ui/app.h"

void batch_free(struct batch *b); /* the contents */

/* How many lines are marked of what this command is for on the present screen (mirrors, or tables
 * for MIRROR_RESYNC_TABLE); 0: it is for the selected one alone. */
size_t batch_marked(struct app *a, enum mirror_command c);
/* Whether it can be given to one of them at least. */
bool batch_can(struct app *a, enum mirror_command c, char *reason, size_t size);
/* Opens the dialog. */
void batch_ask(struct app *a, enum mirror_command c);
/* What is left of it goes on: after an answer, or a new picture. */
void batch_go_on(struct app *a);
/* An order was answered (ok), or what was accepted has ended (is_end). */
void batch_answered(struct app *a, const struct order *o, bool ok, bool is_end);

bool has_markable(struct app *a, char *reason, size_t size);
void do_mark(struct app *a);
void do_mark_all(struct app *a);

#endif
