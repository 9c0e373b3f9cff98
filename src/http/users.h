/* Users of the HTTP API: made by the API, by the command line, and the first one by the
 * environment, all through one function. */
#ifndef BUNNY_USERS_H
#define BUNNY_USERS_H

#include "engine.h"
#include "src/fields.h"
#include "src/http/router.h"

struct user_spec {
    char name[NAME_SIZE];
    char role[16];
    char *password; /* borrowed, or owned when read by user_fields */
};
extern const struct field_table user_fields;

/* Checks the password's rule, hashes it, records the user. (waits) */
bool users_create(struct engine *e, const struct user_spec *u, struct err *err) MUST_CHECK;
/* The first admin from BUNNY_ADMIN_USER and BUNNY_ADMIN_PASSWORD, while no user exists; takes the
 * password out of the environment. */
bool users_create_first(struct engine *e, struct err *err) MUST_CHECK;
/* Whether there is any user. */
bool users_exist(struct engine *e, bool *exist, struct err *err) MUST_CHECK;

bool users_list(struct call *c, struct err *err) MUST_CHECK;
bool users_add(struct call *c, struct err *err) MUST_CHECK;
bool users_remove(struct call *c, struct err *err) MUST_CHECK;

#endif
