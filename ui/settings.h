/* The settings of a mirror in a form: what they are, which of them are changed, and the change.
 * Console thread. */
#ifndef BUNNY_UI_SETTINGS_H
#define BUNNY_UI_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

struct app;
struct job_result;

bool can_change(struct app *a, char *reason, size_t size);
void do_settings(struct app *a); /* e: the form, once it is known how they are */
/* The configuration has come: the form that waited for it opens. */
void settings_come(struct app *a);
/* A job has ended. True: all is said. */
bool settings_job_done(struct app *a, const struct job_result *r);

#endif
