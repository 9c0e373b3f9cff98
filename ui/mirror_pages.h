/* The tabs of a mirror that are pages of text: slot, schema, configuration. Console thread. */
#ifndef BUNNY_UI_MIRROR_PAGES_H
#define BUNNY_UI_MIRROR_PAGES_H

#include "ui/app.h"

/* At a->layout.list, over the column titles; asks for what it lacks. */
void mirror_page_draw(struct app *a, const struct mirror_status *m);
/* The plan of the mirror that is open, and how many statements of it would run; NULL while it is
 * not known. */
const struct schema_plan *mirror_plan(const struct app *a, size_t *to_run);

#endif
