/* The slots of all sources as they were sampled last: written by the samplers' threads, read by
 * any. The lock is a leaf. */
#ifndef BUNNY_SLOTS_H
#define BUNNY_SLOTS_H

#include "engine.h"

struct slots;

struct slots *slots_new(void);
void slots_free(struct slots *s); /* NULL is fine */
/* What the source had just now, in the place of what it had before. items (from mem_calloc) are
 * taken over; their source_peer is filled in here. */
void slots_put(struct slots *s, const char *peer, lsn_t wal_end, struct source_slot *items,
               size_t n);
/* It could not be asked; what was known stays. */
void slots_fail(struct slots *s, const char *peer, const char *why);
/* No mirror reads it any more. */
void slots_forget(struct slots *s, const char *peer);

#endif
