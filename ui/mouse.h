/* The mouse, where it is wanted: a click selects, one on a title sorts, the wheel scrolls. Nothing
 * is done to a mirror by it. Console thread. */
#ifndef BUNNY_UI_MOUSE_H
#define BUNNY_UI_MOUSE_H

#include "ui/app.h"

void do_mouse(struct app *a);   /* on or off */
void mouse_take(struct app *a); /* something happened */

#endif
