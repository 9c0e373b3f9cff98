/* The sampler: for each source that mirrors read from, one thread asks once a second, in one query,
 * where the WAL ends and how the slots of all its mirrors stand, and writes it on their boards. */
#ifndef BUNNY_SAMPLER_H
#define BUNNY_SAMPLER_H

#include "control/engine_private.h"

struct sampler;

struct sampler *sampler_new(struct engine *e);
/* Makes sure that the source's thread runs; it ends by itself when no mirror uses it any more. */
void sampler_watch(struct sampler *s, const char *source_peer);
/* Stops and joins all threads. */
void sampler_free(struct sampler *s);

#endif
