/* What leaves the house in a bug report holds no values of rows. Servers put them into the DETAIL
 * of an error, and into the message itself where a value was not acceptable. */
#ifndef BUNNY_REDACT_H
#define BUNNY_REDACT_H

#include <jansson.h>

#include "engine.h"

/* Takes the values out of a message of a server; other texts stay as they are. */
void redact_text(char *text);
void redact_log_line(struct log_line *l);
void redact_runs(struct run_page *p);
/* Of the whole status object. */
void redact_status(json_t *status);

#endif
