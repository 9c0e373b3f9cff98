/* Peers and mirrors that stand in the configuration are created when they are missing and
 * otherwise left alone; a difference is logged. Mirrors are created by a thread of their own, which
 * tries again until it succeeds, since a server may be down while we start. */
#ifndef BUNNY_DECLARE_H
#define BUNNY_DECLARE_H

#include "engine.h"
#include "src/conf.h"

struct declare;

/* Asks no server. The error names file and line. */
bool declare_peers(struct engine *e, const struct conf *c, struct err *err) MUST_CHECK;
/* c is borrowed until declare_stop. NULL when no mirror is declared. */
struct declare *declare_start(struct engine *e, const struct conf *c);
/* Stops and joins the thread; engine_interrupt ends what it waits for. NULL is fine. */
void declare_stop(struct declare *d);

#endif
