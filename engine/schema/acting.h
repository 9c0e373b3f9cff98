/* What acts at the destination on rows that a mirror writes, where its user may not set
 * session_replication_role. */
#ifndef BUNNY_ACTING_H
#define BUNNY_ACTING_H

#include "base/findings.h"
#include "pg/pg.h"

/* Adds the finding triggers_fire when triggers of those tables, or of their partitions, fire on
 * what the mirror writes: with the statement that stops each. Those that are ENABLE ALWAYS or
 * REPLICA are meant to. dest: any session of the mirror's user. */
bool schema_find_triggers(struct pg_conn *dest, struct task *task, size_t n,
                          const char *const *schemas, const char *const *tables, struct findings *f,
                          struct err *err) MUST_CHECK;

/* The same for a user of whom it is known that he may not: what is refused appears in the server's
 * log. */
bool schema_list_triggers(struct pg_conn *dest, struct task *task, size_t n,
                          const char *const *schemas, const char *const *tables, struct findings *f,
                          struct err *err) MUST_CHECK;

/* Whether the session's user may set session_replication_role. */
bool schema_may_be_replica(struct pg_conn *dest, struct task *task, bool *may,
                           struct err *err) MUST_CHECK;

#endif
