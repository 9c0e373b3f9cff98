/* The roster: all mirrors of the process, who wants to hear of changes, and the picture of all.
 * Its lock guards the list and is never held while a mirror, a server or the disk is waited for. */
#ifndef BUNNY_ROSTER_H
#define BUNNY_ROSTER_H

#include "control/mirror.h"

struct roster *roster_new(void);
/* All mirrors have to be gone from it. */
void roster_free(struct roster *r);

/* Takes the mirror over. */
void roster_add(struct roster *r, struct mirror *m);
/* Holds the mirror for the caller: it is not freed before roster_release. NULL: none of that name.
 */
struct mirror *roster_hold(struct roster *r, const char *name);
/* The i-th mirror, held; NULL at the end. */
struct mirror *roster_hold_at(struct roster *r, size_t i);
void roster_release(struct roster *r, struct mirror *m);
/* All that are wanted (and not gone), in the roster's order, held, in one pass; caller frees the
 * list after roster_release_all, which takes it as it came. wants is called with the lock. */
struct mirror **roster_hold_all(struct roster *r, bool (*wants)(void *arg, struct mirror *m),
                                void *arg, size_t *n);
void roster_release_all(struct roster *r, struct mirror *const *mirrors, size_t n);
/* Some mirror's thread has ended after its deletion: roster_reap takes such ones out, and frees
 * those that nobody holds; the supervisor calls it, as well as who waited for a deletion. */
void roster_is_gone(struct roster *r);
void roster_reap(struct roster *r);
/* Asks all to stop, and does not wait for it. */
void roster_ask_stop(struct roster *r);
/* The same, and waits for them; returns how many did not end by then (monotonic ms). Nobody holds
 * any, or adds one. */
size_t roster_stop_all(struct roster *r, int64_t until);

/* Something visible changed (any thread; arg is the roster). */
void roster_changed(void *roster);

#endif
