/* Indexes that were built for constraints of a copied table, under names of their own, until the
 * constraints take them over (schema.h, SCHEMA_TWIN_PREFIX). What a copy that did not come to its
 * end leaves of them is of use to nobody. */
#ifndef BUNNY_TWINS_H
#define BUNNY_TWINS_H

#include "pg/pg.h"

/* Removes them from n tables of the destination and their partitions; waits for locks for a moment
 * only. app: the application_name of sessions that may still be building one, though nobody waits
 * for them any more: they are ended first; NULL: none. No copy of these tables may be under way. */
bool twins_remove(struct pg_conn *dest, struct task *task, int limit_ms, const char *app, size_t n,
                  const char *const *schemas, const char *const *tables,
                  struct err *err) MUST_CHECK;

#endif
