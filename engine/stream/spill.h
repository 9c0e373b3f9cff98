/* Spill: a queue of messages that have to wait, each with the commit LSN of its transaction. First
 * in, first out. A share of memory holds them; beyond it they go to a file of our own in the state
 * directory, which has no name (it is gone with the process, however that ends) and gives back the
 * room of what was read. It is bounded by the disk alone.
 *
 * Belongs to one thread. After an error of spill_add or spill_next the queue is only good for
 * spill_clear: what was to be kept is not complete any more. */
#ifndef BUNNY_SPILL_H
#define BUNNY_SPILL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/lsn.h"

struct spill;

struct spill_record {
    lsn_t lsn;
    char *data; /* the queue's, until its next call; data[len] may be written to */
    size_t len;
};

/* dir: where the file goes, borrowed; memory: bytes, beside the largest record. Touches no disk. */
struct spill *spill_new(const char *dir, size_t memory);
void spill_free(struct spill *s);
bool spill_add(struct spill *s, lsn_t lsn, const char *data, size_t len,
               struct err *err) MUST_CHECK;
/* Takes the oldest: 1 = *out, 0 = there is none, -1 = error. */
int spill_next(struct spill *s, struct spill_record *out, struct err *err) MUST_CHECK;
/* The same without taking it: only its LSN. */
int spill_peek(struct spill *s, lsn_t *lsn, struct err *err) MUST_CHECK;
bool spill_is_empty(const struct spill *s);
/* Waiting, in memory and in the file. */
int64_t spill_bytes(const struct spill *s);
int64_t spill_records(const struct spill *s);
/* Throws everything away, the file too. */
void spill_clear(struct spill *s);
/* Removes files that a process left in dir when it ended in the moment between making one and
 * taking its name away. May be called at any time. */
void spill_remove_stale(const char *dir);

#endif
