/* The history of a mirror's run: its states and phases on their way to the catalog. They are
 * gathered and written a few seconds later, many at once, or with the run's end, so that a mirror
 * which changes its phase often does not wait for the disk each time. Owned and used by the
 * mirror's thread. */
#ifndef BUNNY_HISTORY_H
#define BUNNY_HISTORY_H

#include "catalog/catalog.h"

#define HISTORY_EVENTS 64 /* gathered at most; then they are written at once */

struct history {
    struct catalog *catalog;
    const char *mirror; /* borrowed */
    int64_t run_id;     /* the present run, or the one that ended last; 0: none */
    bool is_running;
    bool is_told; /* the last run was told to end, and it is not known by whom yet */
    struct run_event events[HISTORY_EVENTS]; /* of run_id, not written yet */
    size_t n;
    int64_t first_at;       /* monotonic ms, of events[0] */
    char asked[ASKED_SIZE]; /* the last command since the last run: why the next one begins */
};

void history_init(struct history *h, struct catalog *c, const char *mirror);
void history_free(struct history *h);
/* A run begins in that state. What the catalog refuses is logged; the run goes on without. */
void history_begin(struct history *h, const char *kind, enum mirror_state state, const char *phase);
/* A new state or phase. text: of an error, or NULL. Between two runs only those count that say what
 * became of the last one (paused, in error, being deleted). */
void history_note(struct history *h, enum mirror_state state, const char *phase, const char *text);
/* A command was obeyed: it belongs to the run that it has ended, or that goes on with it, and is
 * why the next one begins. */
void history_asked(struct history *h, const struct operation *op, enum mirror_state state,
                   const char *phase);
/* Writes what has waited long enough; cheap when nothing has. */
void history_tick(struct history *h);
/* Writes all of it. */
void history_flush(struct history *h);
/* The run's end and all that is not written yet. error: NULL when it was told to end. */
void history_end(struct history *h, const char *ending, const char *error);

#endif
