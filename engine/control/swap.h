/* May a resync by swap begin? */
#ifndef BUNNY_CONTROL_SWAP_H
#define BUNNY_CONTROL_SWAP_H

#include "control/engine_private.h"

/* True for every other request. In a caller's thread: asks the destination, at most ten seconds. */
bool swap_may_begin(struct engine *e, const char *mirror, const struct mirror_request *r,
                    struct err *err) MUST_CHECK;

#endif
