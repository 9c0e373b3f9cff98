/* The link of a console to the engine of another process, by its API over its Unix socket: the
 * console's model (ui/model.h) whose picture comes from there. One thread asks for news, an answer
 * waits until there are some; when the connection is lost it tries again once a second, and the
 * last picture stays. */
#ifndef BUNNY_LINK_H
#define BUNNY_LINK_H

#include "ui/model.h"

struct link;

/* Waits for the first answer (at most limit_ms): false with *err when there is none. is_read_only:
 * the model will not carry out commands. */
bool link_open(const char *state_dir, bool is_read_only, int limit_ms, struct link **out,
               struct err *err) MUST_CHECK;
/* Borrowed until link_close. */
const struct model *link_model(struct link *l);
/* The host of the process; empty when it has not said. Borrowed. */
const char *link_host(const struct link *l);
/* Gives up what is under way. All pictures have been released. NULL is fine. */
void link_close(struct link *l);

#endif
