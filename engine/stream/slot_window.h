/* Changes of definitions that commit while a slot is being made.
 *
 * A server that makes a slot beside open transactions goes through a time in which it reads no
 * commits (PostgreSQL, "Logical Decoding Concepts"; SNAPBUILD_BUILDING_SNAPSHOT in its sources).
 * A change of definitions that commits in it, while an older transaction is still open, is not
 * known to the catalog by which the slot decodes, until another one commits: rows written
 * thereafter come by the definitions of before, without a new column for one, or end in "could not
 * map filenode". No later reading of the same slot is another one. The exported snapshot is right,
 * and shows it: the rows of the catalog that such a change wrote carry transactions that were
 * begun after the slot was asked for and had ended when it was there. */
#ifndef BUNNY_SLOT_WINDOW_H
#define BUNNY_SLOT_WINDOW_H

#include "pg/pg.h"
#include "schema/schema.h"

/* Before the slot is asked for, and after its publication was committed: the next transaction.
 * sql: an ordinary connection to the source. */
bool slot_window_open(struct pg_conn *sql, struct task *task, int64_t *first_xid,
                      struct err *err) MUST_CHECK;
/* In the transaction that has the slot's snapshot. ERR_SNAPSHOT_STALE when a definition that
 * decoding uses changed in between: the tables of s, their partitions and what holds their large
 * values, the publication, composite types, enums, names of schemas. The slot is then not to be
 * used. What changed at the same time without harm is not told apart. */
bool slot_window_check(struct pg_conn *sql, struct task *task, int64_t first_xid,
                       const char *publication, const struct schema *s, struct err *err) MUST_CHECK;

#endif
