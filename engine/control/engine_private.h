/* What the files of control/ share of struct engine. Nothing outside control/ includes this. */
#ifndef BUNNY_ENGINE_PRIVATE_H
#define BUNNY_ENGINE_PRIVATE_H

#include <stdatomic.h>

#include "catalog/catalog.h"
#include "control/logbook.h"
#include "control/tokens.h"
#include "engine.h"
#include "pg/pg.h"
#include "stream/applier.h"

struct roster;     /* all mirrors, control/roster.h */
struct sampler;    /* slots and WAL ends, control/sampler.h */
struct supervisor; /* workers that do not move, control/supervisor.h */
struct slots;      /* what it saw last, control/slots.h */

struct engine {
    struct engine_options options;
    char *state_dir;
    struct applier applier;    /* immutable: who we are to the destinations */
    struct catalog *catalog;   /* thread-safe by itself */
    struct logbook *logbook;   /* thread-safe by itself */
    struct roster *roster;     /* thread-safe by itself */
    struct sampler *sampler;   /* thread-safe by itself */
    struct slots *slots;       /* thread-safe by itself */
    struct sessions *sessions; /* thread-safe by itself */
    struct supervisor *supervisor;
    struct tokens tokens;    /* thread-safe by itself */
    atomic_int streams;      /* mirrors that stream now */
    atomic_int bulk_readers; /* mirrors that read in bulk now */
    atomic_bool is_stopping; /* engine_interrupt was called: callers that wait give up */
};

/* A task for calls that wait in a caller's thread: gives up within 100 ms of engine_interrupt. */
struct task engine_caller_task(struct engine *e);
/* What ERR_CANCELLED in such a call really means. Returns false. */
bool engine_explain_cancel(struct engine *e, struct err *err);

/* As engine_mirror_diagnose; given up when give_up (may be NULL) is set. */
bool diagnose(struct engine *e, const char *name, const atomic_bool *give_up, struct diagnosis *out,
              struct err *err) MUST_CHECK;

/* Makes every mirror that uses the peer connect again with its new values. In control/roster.c. */
void engine_peer_changed(struct engine *e, const char *peer);

#endif
