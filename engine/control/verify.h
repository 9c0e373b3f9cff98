/* Verify: both sides of a streaming mirror are compared in the background, while it streams on. An
 * errand of the mirror takes the pair of snapshots (copy/verify_pair.h), runs the comparison
 * (copy/verify.h), and keeps the report in the catalog. The mirror's thread starts it when the
 * operation is pending, looks after it, and ends it; it never waits for it but in verify_end. */
#ifndef BUNNY_CONTROL_VERIFY_H
#define BUNNY_CONTROL_VERIFY_H

#include "control/mirror_private.h"
#include "stream/apply.h"

/* Begins the comparison that is pending, ends the operation when it is over, and calls one off that
 * nobody wants any more. Cheap; called in every tick. */
void verify_tick(struct mirror *m);
/* A run ends: calls it off, without waiting, if what comes next would. */
void verify_leave(struct mirror *m);
/* Calls it off and waits for its end, less than a second with servers that answer. No report is
 * kept; a pending operation stays pending. Nothing under way is fine. */
void verify_end(struct mirror *m);
bool verify_is_running(const struct mirror *m);
/* True once after each time that it waits for the sequences to follow. */
bool verify_wants_look(struct mirror *m);
/* For struct stream_options: the stream stands; arg is the struct run. */
void verify_standing(void *arg, const struct apply *a);

#endif
