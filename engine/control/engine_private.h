/* What the files of control/ share of struct engine. Nothing outside control/ includes this. */
#ifndef BUNNY_ENGINE_PRIVATE_H
#define BUNNY_ENGINE_PRIVATE_H

#include "catalog/catalog.h"
#include "control/logbook.h"
#include "engine.h"

struct roster; /* all mirrors, control/roster.h */

struct engine {
    struct engine_options options;
    char *state_dir;
    struct catalog *catalog; /* thread-safe by itself */
    struct logbook *logbook; /* thread-safe by itself */
    struct roster *roster;   /* thread-safe by itself */
};

/* Makes every mirror that uses the peer connect again with its new values. In control/roster.c. */
void engine_peer_changed(struct engine *e, const char *peer);

#endif
