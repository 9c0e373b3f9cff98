/* How the tables of one mirror are shown. */
#ifndef BUNNY_UI_TABLES_H
#define BUNNY_UI_TABLES_H

#include "ui/app.h"

/* Fills a->tables from the mirror that is open; empties it when there is none. */
void tables_build(struct app *a);
/* The state and the snapshot's progress, on the crumb line behind column x. */
void detail_summary_draw(struct app *a, const struct rect *r, int x);

#endif
