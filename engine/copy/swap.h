/* Swap: a new copy takes the place of the rows of destination tables, whose readers see the old
 * rows, then the new ones, and never none.
 *
 * The copy goes into shadows: unlogged tables beside the live ones, in the schema _bunnydb, with
 * the copied columns and nothing else. The live tables keep their rows as they are, and are not fed
 * meanwhile: changes are kept as for every copy beside the stream (stream/aside.h). When all rows
 * are in the shadows, both are compared, and what differs is written to the live tables: what the
 * shadow does not have is deleted, what is missing is inserted, rows that are the same (byte by
 * byte, or where nothing names a row by their text) are not touched. Then the shadow is dropped.
 * From then on the live table holds exactly what the slot's snapshot shows, as after any other
 * copy, and replay and hand-over go on with it as with any other: their argument is that of
 * stream/aside.h.
 *
 * Nobody is locked out for it. All that differs in the tables of a mapping is written in one
 * transaction, which readers see as a whole, and which has no lock but those of the rows that it
 * writes. Somebody else who writes one of these rows would wait for its end: a session beside it
 * looks for such waits every few milliseconds, and as soon as there is one the transaction is given
 * up. What differs is then written in slices of some milliseconds each (swap_slices.c): readers see
 * each row as it was or as it is to be, and never fewer rows than there were or will be.
 *
 * Why rows are exchanged, and not tables or files:
 *   - A renamed table is another table. Whoever reads with a snapshot from before (REPEATABLE READ,
 *     pg_dump) finds it by its name, and it is empty to him, as its rows are younger: he would see
 *     none. Rows that are deleted and inserted are right in every snapshot.
 *   - Views, rules, policies, publications, foreign keys to the table, partitions, functions with
 *     bodies in SQL … belong to the table, not to its name: all of it would have to be made anew,
 *     as it was, by whoever owns it. Here nothing is made anew: definitions are the same
 * afterwards, as nobody touched them. PostgreSQL has no command that exchanges the files of two
 * tables.
 *   - No reader waits. A rename locks them out, and while it waits for its lock all that come after
 *     it wait as well.
 *   - The log has the rows that differ, and not the whole table with its indexes.
 * What somebody else writes after the comparison stays, as if it had come after the swap, where the
 * row was the same, and is replaced where it was not; where that cannot be, both are compared
 * again. The price: when most rows differ the table grows by as much until vacuum has been there.
 * With triggers that fire always, which may change other rows, all rows are compared and written
 * under a lock (SHARE ROW EXCLUSIVE: no reader waits), asked for in short attempts.
 *
 * What ends in between, by a crash of anybody, leaves the table with its old rows, or with the new
 * ones and its row of _bunnydb.table_sync still aside: it is copied again. Shadows that were left
 * behind are removed by the next run, and by the deletion of the mirror. An unlogged table is empty
 * after a crash of its server; so the session that made the shadows is the one that exchanges the
 * rows, and a crash ends it.
 *
 * Runs in the thread of an errand, on a PG_APPLY connection of the caller. */
#ifndef BUNNY_SWAP_H
#define BUNNY_SWAP_H

#include "copy/errand.h"
#include "schema/schema.h"
#include "stream/sync_rows.h"

struct swap;

struct swap_plan {
    struct errand *errand;
    struct pg_conn *dest;
    const struct pg_target *target; /* dest's */
    const char *mirror, *app;
    struct sync_owner owner;
    const struct schema *tables; /* borrowed until swap_free; mapping: 0 to n_maps - 1 */
    size_t n_maps;
};

/* Looks which tables there are: before missing ones are created (schema_create). */
bool swap_look(const struct swap_plan *plan, struct swap **out, struct err *err) MUST_CHECK;
/* Makes the shadows. Afterwards swap_schema has them in the place of the live tables, table by
 * table as in plan->tables, without indexes and foreign keys: these exist. A table that was missing
 * has no readers, and no shadow; it is copied as it is, with its indexes. */
bool swap_make_shadows(struct swap *s, struct err *err) MUST_CHECK;
const struct schema *swap_schema(const struct swap *s);
/* Some table was missing and is new. */
bool swap_has_new_tables(const struct swap *s);
/* That table of the source's was missing. */
bool swap_makes(const struct swap *s, uint32_t oid);
/* All rows are in the shadows: puts them in the place of those of the live tables. */
bool swap_rows(struct swap *s, struct err *err) MUST_CHECK;
/* Removes what shadows are left, as far as that goes at once. NULL is fine. */
void swap_free(struct swap *s);

/* What stands against it, asked before anything begins: ERR_PREFLIGHT with one sentence, and what
 * to do instead. dest: any session that may be closed afterwards; maps: resolved ones. */
bool swap_check(struct pg_conn *dest, struct task *task, const struct table_map *maps, size_t n,
                struct err *err) MUST_CHECK;
/* Shadows of that mirror from a copy that did not end. None may be under way. */
bool swap_remove_leftovers(struct pg_conn *dest, struct task *task, const char *mirror_id,
                           struct err *err) MUST_CHECK;

#endif
