/* The endpoints under /v1/peers. */
#ifndef BUNNY_HTTP_PEERS_H
#define BUNNY_HTTP_PEERS_H

#include "src/http/router.h"

bool peers_list(struct call *c, struct err *err) MUST_CHECK;
bool peers_add(struct call *c, struct err *err) MUST_CHECK;
bool peers_show(struct call *c, struct err *err) MUST_CHECK;
bool peers_change(struct call *c, struct err *err) MUST_CHECK;
bool peers_remove(struct call *c, struct err *err) MUST_CHECK;
bool peers_test(struct call *c, struct err *err) MUST_CHECK;
bool peers_tables(struct call *c, struct err *err) MUST_CHECK;

#endif
