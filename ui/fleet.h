/* What all mirrors do together: rows and bytes a second, who lags most, errors of the last hour,
 * what each source keeps for them, and how old that is. */
#ifndef BUNNY_UI_FLEET_H
#define BUNNY_UI_FLEET_H

#include "ui/app.h"

/* At a->layout.fleet, when there is room for it. */
void fleet_draw(struct app *a);

#endif
