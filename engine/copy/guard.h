/* A guard: the source's session that keeps the tables of a copy as its snapshot shows them, from
 * before their definitions are read until all rows are in. It holds ACCESS SHARE on each of them,
 * so that nobody empties, rewrites, alters or drops one meanwhile; who wants to waits for it.
 *
 * Whoever else wants to read such a table then may have to queue behind the one who waits, for as
 * long as the guard is held: definitions are read in the guard's own session, and a copy worker
 * that does not get a table at once leaves it to the worker that uses the guard (job.h).
 *
 * The session belongs to the caller, and to one thread at a time. */
#ifndef BUNNY_GUARD_H
#define BUNNY_GUARD_H

#include "base/model.h"
#include "pg/pg.h"
#include "schema/schema.h"

/* Begins a transaction with the exported snapshot and locks the tables, with their partitions and
 * heirs (PostgreSQL, "Snapshot Synchronization Functions", "Explicit Locking"). Waits for those who
 * have locked them in short attempts, so that a deadlock ends ours and no transaction of the
 * source's users; ERR_SQL with 55P03 and who is in the way as a hint when it takes too long. */
bool guard_begin(struct pg_conn *source, struct task *task, const char *snapshot,
                 const struct table_name *names, size_t n, struct err *err) MUST_CHECK;
/* ERR_SNAPSHOT_STALE when a table was emptied or rewritten between snapshot and lock: its rows, as
 * the snapshot should show them, are gone. */
bool guard_check(struct pg_conn *source, struct task *task, const struct schema *s,
                 struct err *err) MUST_CHECK;
/* Gives the locks back; the transaction and its snapshot stay. */
bool guard_end(struct pg_conn *source, struct task *task, struct err *err) MUST_CHECK;

#endif
