/* What all mirrors do together: rows and bytes a second, who lags most, what each source keeps. */
#ifndef BUNNY_UI_FLEET_H
#define BUNNY_UI_FLEET_H

#include "ui/app.h"

/* At a->layout.fleet, when there is room for it. */
void fleet_draw(struct app *a);

#endif
