/* Foreign keys that were dropped for a copy come back: the statements that the rows of
 * _bunnydb.table_sync keep are run once their tables are valid again (the hand-over has committed),
 * added without a look at the rows first, and then validated. A row goes when all of its statements
 * have been run, or what they are about is gone; what cannot be run now, or is refused, stays there
 * for another time.
 *
 * An errand of the thread that starts it (the mirror's). */
#ifndef BUNNY_RESTORE_H
#define BUNNY_RESTORE_H

#include "base/findings.h"
#include "copy/errand.h"
#include "stream/sync_rows.h"

struct restore;

struct restore_plan {
    const char *mirror;
    struct sync_owner owner;
    const struct pg_target *dest; /* borrowed until restore_finish */
    bool others_aside; /* tables of the mirror are still being copied: a key to one of those cannot
                        * be valid yet */
    int wake_fd;
};
bool restore_start(const struct restore_plan *plan, struct restore **out,
                   struct err *err) MUST_CHECK;
bool restore_is_over(struct restore *r);
void restore_cancel(struct restore *r);
/* Joins it; how many rows are left to be restored, -1: not known. What stands against the first of
 * each is a finding of *out, with its statement, which is replaced unless it is not known. NULL:
 * not wanted. */
int restore_finish(struct restore *r, struct findings *out);

/* The same in the caller's thread, as far as it goes: for a mirror that is being deleted. What
 * could not be brought back is logged with its statement. is_complete: the tables hold what a
 * snapshot brought, so that a look at their rows makes sense. */
void restore_before_deletion(struct pg_conn *dest, struct task *task, const char *mirror,
                             const char *mirror_id, bool is_complete);

#endif
