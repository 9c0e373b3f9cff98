/* From a peer, as users configure it, to what pg_connect wants. */
#ifndef BUNNY_PEER_TARGET_H
#define BUNNY_PEER_TARGET_H

#include "engine.h"
#include "pg/pg.h"

/* out borrows everything from p (which holds the password): p must outlive it unchanged. */
void peer_target(const struct peer *p, struct pg_target *out);

#endif
