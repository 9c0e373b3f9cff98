/* Publications that somebody alters while a mirror streams: the server leaves out, from then on,
 * what is no longer published, and says nothing. A source's sampler looks now and then, and a
 * mirror whose publication has changed connects again: its check before the stream tells what is
 * wrong. Used by one sampler thread. */
#ifndef BUNNY_DRIFT_H
#define BUNNY_DRIFT_H

#include "control/mirror.h"
#include "pg/pg.h"

struct drift; /* what the publications of one source looked like */

struct drift *drift_new(void);
void drift_free(struct drift *d);
/* Compares with the last time; mirrors: those of the source, held by the caller. */
bool drift_look(struct drift *d, struct pg_conn *source, struct task *task, int limit_ms,
                struct mirror *const *mirrors, size_t n, struct err *err) MUST_CHECK;

#endif
