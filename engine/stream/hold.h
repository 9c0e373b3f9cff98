/* A hold: somebody's wish that the stream stand still for a moment at an exact place, between two
 * source transactions: everything that committed before an LSN is applied and durable at the
 * destination, and nothing that committed at or after it. A snapshot of the destination that is
 * taken meanwhile is the same picture as one of the source that a slot exported with that LSN as
 * its consistent point (see aside.h for why).
 *
 * A slot's consistent point is only known once it has passed, so the one who asks does so in steps:
 * hold_ask with the source's WAL position before the slot is made, which the point cannot be
 * below, again with later ones while the making of the slot waits for others, and hold_await with
 * the point itself. The stream goes on up to the LSN asked for last. It never stands for long: a
 * transaction that has to wait for more than 2 s is let in, and the hold is off.
 *
 * Shared by the mirror's thread, whose stream obeys, and one other, which asks; a lock inside, that
 * is a leaf. It outlives streams: without one nobody stands, and a stream's end turns the hold off.
 */
#ifndef BUNNY_HOLD_H
#define BUNNY_HOLD_H

#include <stdbool.h>

#include "base/err.h"
#include "base/lsn.h"

struct task;
struct hold;

struct hold *hold_new(void);
void hold_free(struct hold *h); /* NULL is fine */

/* --- The one who asks ------------------------------------------------------------------------ */
/* There is a stream that would obey. */
bool hold_has_stream(struct hold *h);
/* The stream begins no transaction that committed at or after lsn, or after what it has begun
 * already. A lower lsn than before changes nothing. */
void hold_ask(struct hold *h, lsn_t lsn);
/* Asks for lsn, and waits until the stream stands there, at most limit_ms (task: may be NULL).
 * False with the reason when it does not, or has passed lsn already: then the hold is off. */
bool hold_await(struct hold *h, lsn_t lsn, struct task *task, int limit_ms,
                struct err *err) MUST_CHECK;
/* Whether it stands still; if so it stays until hold_release, however long a transaction waits: for
 * a COMMIT, and no more. */
bool hold_keep(struct hold *h);
/* The stream goes on. True when it has stood all the time since hold_await returned true. */
bool hold_release(struct hold *h);

/* --- The stream ------------------------------------------------------------------------------ */
/* A stream begins, behind everything that committed before from; wake_fd wakes its loop. */
void hold_attach(struct hold *h, lsn_t from, int wake_fd);
void hold_detach(struct hold *h);
/* Where it shall stand; 0: nowhere. */
lsn_t hold_lsn(struct hold *h);
/* Whether the transaction may begin now; if so it is noted as begun. */
bool hold_lets_in(struct hold *h, lsn_t commit_lsn);
/* It stands at lsn, with nothing under way; ignored when another place is asked for by now. */
void hold_stand(struct hold *h, lsn_t lsn);
bool hold_is_standing(struct hold *h);

#endif
