/* Saving what a screen shows as text. Console thread. */
#ifndef BUNNY_UI_SAVE_H
#define BUNNY_UI_SAVE_H

#include "ui/app.h"

void do_save(struct app *a);

#endif
