/* The sampler: for each source that mirrors read from, one thread asks once a second, in one query,
 * where the WAL ends and how the slots of all its mirrors stand, and writes it on their boards. For
 * each destination one thread does nothing, until one of its mirrors copies or is behind: then it
 * asks what the mirror's sessions wait for there. What comes of both is findings (reasons.h). */
#ifndef BUNNY_SAMPLER_H
#define BUNNY_SAMPLER_H

#include "control/engine_private.h"

struct sampler;

struct sampler *sampler_new(struct engine *e);
/* Makes sure that the threads of the mirror's source and destination run; each ends by itself when
 * no mirror uses its peer any more. */
void sampler_watch(struct sampler *s, const struct mirror_config *c);
/* All threads begin to end. */
void sampler_ask_stop(struct sampler *s);
/* Stops and joins all threads. */
void sampler_free(struct sampler *s);

#endif
