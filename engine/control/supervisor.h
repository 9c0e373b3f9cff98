/* The supervisor: a thread that looks once a second whether all workers still move (base/beat.h),
 * and what of it is shown. A worker comes round at least once a second, also while it waits for a
 * server, whose own limits are watched where it waits; one that does not for a minute hangs in
 * something that nobody has foreseen. It is cancelled, and its work begins anew: a copy as a new
 * attempt, the mirror's own thread in a new run; a comparison ends with a report that says so. */
#ifndef BUNNY_SUPERVISOR_H
#define BUNNY_SUPERVISOR_H

#include "base/findings.h"
#include "base/report.h"
#include "engine.h"

struct roster;
struct supervisor;

/* It also frees mirrors that are gone, which somebody may have held when their deletion ended. */
bool supervisor_start(struct roster *r, struct supervisor **out, struct err *err) MUST_CHECK;
void supervisor_end(struct supervisor *s); /* NULL is fine */

/* Whose workers: a mirror's, and its peers'. */
struct supervised {
    const char *mirror, *source_peer, *dest_peer;
};
/* Those that do not move; nothing when all do. Returns how many there are in all. Any thread. */
size_t supervisor_findings(const struct supervised *who, struct findings *out);
/* A row each, with what it does and since when. */
void supervisor_describe(const struct supervised *who, struct report_section *out);

#endif
