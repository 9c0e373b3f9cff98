/* POST /v1/peers/{name}/check: the preflight of a whole database. */
#ifndef BUNNY_HTTP_CHECK_H
#define BUNNY_HTTP_CHECK_H

#include "src/http/router.h"

bool peers_check(struct call *c, struct err *err) MUST_CHECK;

#endif
