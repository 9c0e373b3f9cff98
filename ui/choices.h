/* What the operator chose with keys, kept from one start to the next: theme, glyphs, order,
 * columns, mouse, rate. A
 * small text file, "name value" a line; what is not understood is passed over, so that an older or
 * a newer program can read it. Console thread. */
#ifndef BUNNY_UI_CHOICES_H
#define BUNNY_UI_CHOICES_H

#include "ui/app.h"

/* Takes over what the file says; none is fine. */
void choices_load(struct app *a, const char *path);
/* Writes them, when they are not what was loaded. A disk that refuses is passed over: the screen is
 * gone by then, and nothing but a preference is lost. */
void choices_save(const struct app *a, const char *path);

#endif
