/* Watches the connections of one listener, since libmicrohttpd knows a limit for silence only: who
 * sends a byte now and then would hold its thread for ever. Whoever keeps us waiting pays for it:
 * each wait for a client has an end, and where connections or memory run out the one that has
 * waited longest for its client is hung up on. One whose request is being answered never is.
 *
 * Hanging up is shutdown(2): the connection's own thread notices, and cleans up. All functions from
 * any thread; one leaf lock. */
#ifndef BUNNY_GUARD_H
#define BUNNY_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define GUARD_BODY_FREE (16U << 10)  /* of a request's body, that costs nothing */
#define GUARD_BODIES_MAX (32U << 20) /* all others' bytes beyond that, of one listener */

struct guard;
struct guarded; /* a connection; valid from guard_opened to guard_closed */

enum guard_state {
    GUARD_IDLE,      /* no request, or not the whole of its first line */
    GUARD_READING,   /* a part of a request is here */
    GUARD_ANSWERING, /* our turn */
    GUARD_SENDING,
};

/* At most this many connections; each wait for a client ends after limit_ms. name is for the log
 * (static). */
bool guard_start(const char *name, unsigned most, int64_t limit_ms, struct guard **out,
                 struct err *err) MUST_CHECK;
/* Until nobody is being answered, at most so long. */
void guard_wait_answered(struct guard *g, int limit_ms);
/* All connections are closed. NULL is fine. */
void guard_stop(struct guard *g);

struct guarded *guard_opened(struct guard *g, int fd);
void guard_closed(struct guarded *c); /* before the descriptor is */
void guard_enter(struct guarded *c, enum guard_state state);
/* The request's body is to have this many bytes. False: there is no memory for that, even after
 * hanging up on others. */
bool guard_keep(struct guarded *c, size_t body_bytes) MUST_CHECK;
void guard_drop(struct guarded *c); /* it has none any more */

#endif
