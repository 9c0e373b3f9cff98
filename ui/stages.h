/* How far a mirror is, from the first connection to the stream, and what flows: two panes of its
 * page on a large screen. */
#ifndef BUNNY_UI_STAGES_H
#define BUNNY_UI_STAGES_H

#include "ui/app.h"

/* At a->layout.stages and a->layout.flow, when there is room for them. */
void stages_draw(struct app *a, const struct mirror_status *m);

#endif
