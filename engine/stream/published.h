/* The publication as it was when it was last known to be whole: its row in pg_publication is
 * another one after each ALTER PUBLICATION … SET (…). One that left something out for a moment, and
 * was put back before anybody looked, is told by that. Kept in _bunnydb.table_parts
 * (BOOK_PUBLISHED). */
#ifndef BUNNY_PUBLISHED_H
#define BUNNY_PUBLISHED_H

#include "pg/pg.h"

/* It is ours, and new. Runs on the caller's sessions, in its thread. */
bool published_note(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                    const char *mirror_id, const char *publication, struct err *err) MUST_CHECK;
/* ERR_PUBLICATION when it was altered since. Another owner is no such change, as far as it goes: it
 * is logged. Where nothing is known, it is noted. */
bool published_check(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                     const char *mirror, const char *mirror_id, const char *publication,
                     struct err *err) MUST_CHECK;

#endif
