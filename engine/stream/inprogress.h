/* Transactions in progress. A WAL sender need not keep a large transaction until it ends: with
 * "streaming" it sends what there is of it, in blocks, between other transactions, and in the end
 * whether it was committed (PostgreSQL docs, "Logical Replication Message Formats"; "Streaming of
 * Large Transactions for Logical Decoding"; 14 and newer). Nothing of it may be applied before.
 *
 * They wait here, each in a queue of its own (spill.h). A transaction that has committed comes out
 * as any other one does, BEGIN first and COMMIT last, in the place of its commit; what was rolled
 * back, as a whole or to a savepoint, never does. Nothing is durable: another run gets all of it
 * again.
 *
 * What the source has told of a relation counts for what it sends after that in the same
 * transaction, and for all others only once that has committed. Who applies what comes out asks
 * before each message which one it has to know first (inprogress_owes).
 *
 * Belongs to one thread. After an error it is only good for inprogress_free. */
#ifndef BUNNY_INPROGRESS_H
#define BUNNY_INPROGRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct inprogress;

struct inprogress_message {
    char *data; /* until the next call; data[len] may be written to */
    size_t len;
};

/* dir: where what does not fit in memory goes; borrowed. */
struct inprogress *inprogress_new(const char *dir);
void inprogress_free(struct inprogress *p);
/* A message as it came. *is_kept: it is of a transaction in progress, or tells its end; else it is
 * an ordinary one. Not while inprogress_comes. */
bool inprogress_take(struct inprogress *p, char *data, size_t len, bool *is_kept,
                     struct err *err) MUST_CHECK;
/* A transaction has committed and has not come out as a whole yet. */
bool inprogress_comes(const struct inprogress *p);
/* Its next message: 1 = *out, 0 = there is none, -1 = error. */
int inprogress_next(struct inprogress *p, struct inprogress_message *out,
                    struct err *err) MUST_CHECK;
/* Of a message that is to be applied now, an ordinary one or one that came out: a relation's that
 * has to be applied before it. To be asked until there is none. */
bool inprogress_owes(struct inprogress *p, const char *data, size_t len,
                     struct inprogress_message *out);
/* Bytes that wait. */
int64_t inprogress_bytes(const struct inprogress *p);

#endif
