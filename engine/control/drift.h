/* Publications that somebody alters while a mirror streams: the server leaves out, from then on,
 * what is no longer published, and says nothing. A source's sampler looks now and then, and a
 * mirror whose publication has changed connects again: its check before the stream tells what is
 * wrong. The same for definitions: a table that ALTER TABLE rewrites, or that no row comes of,
 * sends no message. */
#ifndef BUNNY_DRIFT_H
#define BUNNY_DRIFT_H

#include "control/mirror.h"
#include "pg/pg.h"

/* What a sampler remembers between its looks; its thread's. */
struct drift;
struct drift *drift_new(void);
void drift_free(struct drift *d); /* NULL is fine */
/* The session is another one. */
void drift_forget(struct drift *d);

/* Compares publications and definitions with what each mirror has seen of them itself, when it
 * looked last; mirrors: those of the source, held by the caller; lsn: the end of its WAL, asked for
 * before. While that stands still nothing has changed: the source is only asked when a mirror has
 * seen something else, and now and again. */
bool drift_look(struct drift *d, struct pg_conn *source, struct task *task, int limit_ms, lsn_t lsn,
                struct mirror *const *mirrors, size_t n, struct err *err) MUST_CHECK;
/* What a publication and the definitions of its tables are like now: to be asked before they are
 * looked at. */
bool drift_see(struct pg_conn *source, struct task *task, int limit_ms, const char *publication,
               struct mirror_seen *out, struct err *err) MUST_CHECK;

#endif
