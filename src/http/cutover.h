/* The report before a cutover, and the switch that keeps new sessions from writing at the source.
 */
#ifndef BUNNY_HTTP_CUTOVER_H
#define BUNNY_HTTP_CUTOVER_H

#include "src/http/router.h"

bool mirror_cutover(struct call *c, struct err *err) MUST_CHECK;
bool mirror_set_read_only(struct call *c, struct err *err) MUST_CHECK;

#endif
