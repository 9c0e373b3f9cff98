/* Who asks, and what they may do: bearer tokens, or being the owner of the Unix socket. */
#ifndef BUNNY_AUTH_H
#define BUNNY_AUTH_H

#include "src/http/router.h"

/* The owner of the Unix socket is "local" where they read; what they change is done by "ana
 * (local)", or "ana (console)": no user of the API has such a name. */
#define LOCAL_USER "local"

/* Fills c->user and c->token_hash; ERR_UNAUTHORIZED, ERR_FORBIDDEN. */
bool auth_check(struct call *c, enum level level, struct err *err) MUST_CHECK;

/* The authentication's own endpoints. */
bool auth_login(struct call *c, struct err *err) MUST_CHECK;
bool auth_logout(struct call *c, struct err *err) MUST_CHECK;
bool auth_me(struct call *c, struct err *err) MUST_CHECK;
bool auth_change_password(struct call *c, struct err *err) MUST_CHECK;

#endif
