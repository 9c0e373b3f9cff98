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
/* How many calls have changed something. */
int double_changes(const struct engine *e);

#endif
