/* GET /v1/console: all that a console in another process draws, in one answer that waits for a
 * change. What its reader has already is left out. */
#ifndef BUNNY_HTTP_CONSOLE_H
#define BUNNY_HTTP_CONSOLE_H

#include "src/http/router.h"

extern const struct field_table console_query;
bool console_show(struct call *c, struct err *err) MUST_CHECK;

#endif
