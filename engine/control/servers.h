/* What both servers say of a mirror's configuration before anything is made or changed: preflight
 * (engine.md). Runs in a caller's thread, waits for the servers, at most ten seconds for each. */
#ifndef BUNNY_SERVERS_H
#define BUNNY_SERVERS_H

#include "control/engine_private.h"

/* Resolves c->tables at the source (they are replaced) and checks what the mirror needs there and
 * at the destination. present: a mirror that exists already (its slot and its
 * publication are its own, and only tables that are new or mapped anew are looked at), or NULL. All
 * that is wrong is in *f; findings of severity error are ERR_PREFLIGHT, too. */
bool servers_check(struct engine *e, struct mirror_config *c, const struct mirror_row *present,
                   struct findings *f, struct err *err) MUST_CHECK;

/* The mapping of that source table; NULL: none. */
const struct table_map *servers_find_map(const struct mirror_config *c, const struct table_map *t);

#endif
