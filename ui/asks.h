/* What is asked before something is done: guards of level 1 (y on the message line), 2 (a dialog
 * with the focus on Cancel) and 3 (a name to be typed), by what can be lost. */
#ifndef BUNNY_UI_ASKS_H
#define BUNNY_UI_ASKS_H

#include "ui/app.h"

/* Captures what is asked of a mirror, with its present state. */
void ask_begin(struct app *a, const struct mirror_status *m, enum mirror_command kind);
/* Level 1: a->confirm.text is on the message line. */
void ask_line(struct app *a);

void ask_verify(struct app *a, const struct mirror_status *m);
/* Rows that the report on the screen found to differ. */
void ask_repair(struct app *a, const struct mirror_status *m);
/* t NULL: all tables. */
void ask_resync(struct app *a, const struct mirror_status *m, const struct table_status *t);
/* The plan on the screen. */
void ask_sync(struct app *a, const struct mirror_status *m);
void ask_delete(struct app *a, const struct mirror_status *m);

#endif
