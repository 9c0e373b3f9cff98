/* Publications that somebody alters while a mirror streams: the server leaves out, from then on,
 * what is no longer published, and says nothing. A source's sampler looks now and then, and a
 * mirror whose publication has changed connects again: its check before the stream tells what is
 * wrong. The same for definitions: a table that ALTER TABLE rewrites, or that no row comes of,
 * sends no message. Used by one sampler thread. */
#ifndef BUNNY_DRIFT_H
#define BUNNY_DRIFT_H

#include "control/mirror.h"
#include "pg/pg.h"

#define DRIFT_DIGEST_SIZE 40

struct drift; /* what the publications of one source looked like */

struct drift *drift_new(void);
void drift_free(struct drift *d);
/* Compares publications with the last time, and definitions with what each mirror has seen of them
 * itself (mirror_digest); mirrors: those of the source, held by the caller. */
bool drift_look(struct drift *d, struct pg_conn *source, struct task *task, int limit_ms,
                struct mirror *const *mirrors, size_t n, struct err *err) MUST_CHECK;
/* What the definitions of a publication's tables are like now: to be asked before they are read. */
bool drift_digest(struct pg_conn *source, struct task *task, int limit_ms, const char *publication,
                  char out[DRIFT_DIGEST_SIZE], struct err *err) MUST_CHECK;

#endif
