/* Sessions that many use in turn: what two hundred mirrors of one server ask it now and then does
 * not need a session for each of them. A session is one user's from sessions_take to sessions_give,
 * and must be given back as it was taken: no transaction, no setting, no prepared statement.
 * Whoever cannot keep that closes it instead.
 *
 * Thread-safe. The lock is a leaf: nobody connects, asks or closes with it. */
#ifndef BUNNY_SESSIONS_H
#define BUNNY_SESSIONS_H

#include "pg/pg.h"

struct sessions;

struct sessions *sessions_new(void);
void sessions_free(struct sessions *s); /* nobody uses it any more; NULL is fine */

/* Says that sessions of that key will be wanted; with the last one's leave they are closed. The key
 * stands for all that the target and the options say: copied. */
void sessions_enter(struct sessions *s, const char *key);
void sessions_leave(struct sessions *s, const char *key);

struct session_wanted {
    const char *key;
    const struct pg_target *target;
    const char *options; /* as extra_options of pg_connect */
};
/* One that is idle; else, if others have some, it waits a moment for them; else a new one. */
bool sessions_take(struct sessions *s, const struct session_wanted *w, struct task *task,
                   int limit_ms, struct pg_conn **out, struct err *err) MUST_CHECK;
/* is_good: another one may use it. NULL for c is fine. */
void sessions_give(struct sessions *s, const char *key, struct pg_conn *c, bool is_good);

#endif
