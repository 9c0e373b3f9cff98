/* The panes below a list: the finding and the log of what is selected. */
#ifndef BUNNY_UI_PANES_H
#define BUNNY_UI_PANES_H

#include "ui/app.h"

/* At a->layout.finding; m may be NULL. */
void pane_finding_draw(struct app *a, const struct mirror_status *m);
/* Labelled lines under a title, at a->layout.finding. */
void pane_facts_draw(struct app *a, enum role role, const char *title, const struct facts *f);
/* The lines of a log, or what to do when there are none, into r. */
void pane_log_lines_draw(struct app *a, const struct logview *v, const struct log_window *w,
                         const struct rect *r);
/* At a->layout.log. */
void pane_log_draw(struct app *a, struct logview *v, const char *mirror);
/* Reads what the log view shows now; all: the whole ring, for moving and searching. */
void pane_log_fetch(struct app *a, const struct logview *v, bool all, int height,
                    struct log_window *w);

#endif
