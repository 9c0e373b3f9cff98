/* A mirror: one thread that owns all its mutable state, one command at a time from outside, and a
 * board that it publishes on. Everything here but mirror_main may be called from any thread. */
#ifndef BUNNY_MIRROR_H
#define BUNNY_MIRROR_H

#include "control/board.h"
#include "control/engine_private.h"

struct mirror;

/* Takes *row over (it is empty afterwards); starts nothing yet. */
struct mirror *mirror_new(struct engine *e, struct mirror_row *row);
/* Starts the thread. */
bool mirror_start(struct mirror *m, struct err *err) MUST_CHECK;
/* Asks the thread to end (cleanly); returns at once. */
void mirror_ask_stop(struct mirror *m);
/* Waits for its end; false when it has not ended after limit_ms (it is not joined then). */
bool mirror_join(struct mirror *m, int limit_ms);
void mirror_free(struct mirror *m);

/* Gives the command to the thread and waits for its answer, at most limit_ms. ERR_BUSY while
 * another one is under way. tables: of MIRROR_SET_TABLES, resolved; taken over in every case (the
 * array and its items), else NULL. note (may be NULL, caller frees): what a forced deletion left
 * behind. */
bool mirror_command(struct mirror *m, const struct mirror_request *r, struct table_map *tables,
                    size_t n_tables, int limit_ms, char **note, struct err *err) MUST_CHECK;
/* The mirror connects again, with the peers' new values. */
void mirror_reconnect(struct mirror *m);
/* Definitions at its source have changed: it looks at them as soon as it may. */
void mirror_compare(struct mirror *m);
/* What its publication and the definitions of its tables were like when it looked last (drift.h);
 * empty: it has not. */
struct mirror_seen {
    char publication[40], definitions[40];
};
void mirror_seen(struct mirror *m, struct mirror_seen *out);
/* What the files of its source's tables are like now: when they change it only takes note. */
void mirror_note_files(struct mirror *m, const char *digest);

/* The destination's tables that the stream writes, and what finds a row of each, as literals of
 * text[] for the sampler; each freed by the caller. False: not known yet. */
struct mirror_keys {
    char *schemas, *tables, *columns; /* columns: an array of its own for each; {}: all of them */
};
bool mirror_keys(struct mirror *m, struct mirror_keys *out);

/* The mirror itself is changing its publication, and has not looked at it since. */
bool mirror_is_republishing(struct mirror *m);

const char *mirror_name(const struct mirror *m);
/* Immutable, but for the tables: those belong to the mirror's thread. */
const struct mirror_config *mirror_config_of(const struct mirror *m);
struct board *mirror_board(struct mirror *m);
/* True once a deletion is complete and the thread is at its end. */
bool mirror_is_gone(struct mirror *m);

#endif
