/* A small engine in memory, for tests of what calls the engine: it keeps what it is given and
 * fails the way the real one does. Never part of the program. */
#ifndef BUNNY_ENGINE_DOUBLE_H
#define BUNNY_ENGINE_DOUBLE_H

#include "engine.h"

struct engine *double_open(void);
void double_close(struct engine *e);
/* The next call that would wait for a server fails with this error (and findings, if any). */
void double_fail_next(struct engine *e, enum err_code code, const char *text,
                      const char *finding_code);
/* Runs hook once, before the next token is made: what somebody else does meanwhile. */
void double_before_token(struct engine *e, void (*hook)(struct engine *e));
/* How many tokens of the user are good. */
int double_tokens(const struct engine *e, const char *user);
/* How many calls have changed something. */
int double_changes(const struct engine *e);

#endif
