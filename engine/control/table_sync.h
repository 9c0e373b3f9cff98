/* Tables of a running mirror that are copied beside its stream: which ones (wished for in the
 * catalog, or left unfinished: a row of _bunnydb.table_sync at the destination), one copy after
 * another (copy/table_copy.h), replay and hand-over (stream/aside.h), foreign keys that come back
 * (copy/restore.h), back-off when a copy fails, and what is shown of it. A copy that fails is an
 * error of its tables; the mirror goes on streaming the others.
 *
 * Tables that come together are copied together, with one snapshot; when that fails each is tried
 * by itself. Part of a run; all of it in the mirror's thread. */
#ifndef BUNNY_TABLE_SYNC_H
#define BUNNY_TABLE_SYNC_H

#include "control/mirror_private.h"
#include "stream/apply.h"

struct table_sync;

/* After the definitions were read and the progress claimed, before the stream starts: from here on
 * the rows of all tables that are to be copied are at the destination. */
bool table_sync_open(struct run *r, struct table_sync **out, struct err *err) MUST_CHECK;
/* Calls everything off and waits for it, about a second at most. NULL is fine. */
void table_sync_close(struct table_sync *s);
/* While the stream runs: a mapped table (NULL: all of them) whose copy is wished for, in the
 * catalog already, leaves the stream as soon as that is between two transactions; it goes on with
 * all others. False: another copy is under way, and only the next run can begin this one. */
bool table_sync_takes(const struct table_sync *s);
void table_sync_ask(struct table_sync *s, const struct table_name *table, bool by_swap);
/* A table was to leave the stream, and that does not come to the end of what it does (the
 * destination does not answer, or a transaction is very large): the next run begins with the copy.
 */
bool table_sync_is_overdue(const struct table_sync *s);
/* The mappings of tables that are streamed from the start: borrowed inside, caller frees the array.
 * Returns their number. */
size_t table_sync_streamed(const struct table_sync *s, struct table_map **out);
/* No table is to be copied. */
bool table_sync_is_idle(const struct table_sync *s);
/* Whether a mapping's table left the stream, and is not copied. */
bool table_sync_has_stopped(const struct table_sync *s, int mapping);
/* Whether it is not in the stream yet. */
bool table_sync_has_aside(const struct table_sync *s, int mapping);
struct aside_options table_sync_aside(const struct table_sync *s);
/* For struct stream_options; arg is the struct run. */
bool table_sync_tend(void *arg, struct apply *a, struct err *err) MUST_CHECK;
void table_sync_stopping(void *arg);

#endif
