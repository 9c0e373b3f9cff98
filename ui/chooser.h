/* Choosing the columns of the list that is shown: a box over it. Console thread. */
#ifndef BUNNY_UI_CHOOSER_H
#define BUNNY_UI_CHOOSER_H

#include "ui/app.h"

bool has_columns(struct app *a, char *reason, size_t size);
void do_columns(struct app *a); /* opens the box */
void chooser_draw(struct app *a);
void chooser_key(struct app *a, int key);

#endif
