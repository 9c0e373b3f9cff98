/* The state machine of a mirror, as one table: what each command does in each state, or why it is
 * refused. The mirror's thread decides by it, the console shows by it which keys do something, and
 * the manual page is printed from it. Pure functions, any thread. */
#ifndef BUNNY_COMMANDS_H
#define BUNNY_COMMANDS_H

#include "base/err.h"
#include "base/model.h"

/* Every command: symbol, name, what it does (manual page). */
#define COMMAND_TABLE(X)                                                                          \
    X(MIRROR_PAUSE, "pause", "Stop applying; the slot stays and keeps WAL.")                      \
    X(MIRROR_RESUME, "resume", "Go on where it was paused.")                                      \
    X(MIRROR_RETRY, "retry", "Try again now, without the back-off; the slot is kept.")            \
    X(MIRROR_TAKE_SLOT, "retry, taking the slot",                                                 \
      "The same; whoever else holds the slot at the source is ended.")                            \
    X(MIRROR_RECREATE, "retry with a new slot", "New slot, and all tables are copied again.")     \
    X(MIRROR_RESYNC, "resync", "All tables are emptied and copied again.")                        \
    X(MIRROR_RESYNC_TABLE, "resync of a table",                                                   \
      "One table is emptied and copied again; the others go on.")                                 \
    X(MIRROR_SYNC_SCHEMA, "sync-schema",                                                          \
      "The destination's definitions follow the source's; the slot is kept.")                     \
    X(MIRROR_VERIFY, "verify", "All rows of both sides are compared, online.")                    \
    X(MIRROR_REPAIR, "verify with repair",                                                        \
      "The same; rows that differ are made what they are at the source, and compared again.")     \
    X(MIRROR_SET_TABLES, "table update", "Another set of tables; new ones are copied on resume.") \
    X(MIRROR_CHANGE, "settings change",                                                           \
      "Other settings, as of the next run, which begins by itself.")                              \
    X(MIRROR_DELETE, "delete", "Stop, remove slot, publication and bookkeeping; tables stay.")    \
    X(MIRROR_FORCE_DELETE, "forced delete", "The same, even when a server cannot be reached.")

enum mirror_command {
#define X(symbol, name, text) symbol,
    COMMAND_TABLE(X)
#undef X
    MIRROR_COMMAND_COUNT
};
const char *command_name(enum mirror_command c);
const char *command_text(enum mirror_command c);

/* The operation that holds a mirror: from its acceptance until it is done. */
struct operation {
    char name[24];      /* command_name of it; empty: none */
    char by[NAME_SIZE]; /* who asked: a user, "console", "local", "configuration" */
    int64_t since;      /* us */
};

/* What the table says, in a few words for a manual page: "yes", or the code of the refusal. */
const char *command_answer(enum mirror_state state, enum mirror_command c);

/* Whether the command may be carried out now. Else *err has the refusal: that of the table; or
 * ERR_BUSY, which names the operation that holds the mirror, unless the command may interrupt that
 * one (pause and delete interrupt a resync, a verify, a sync-schema) or leaves it alone (a change
 * of settings). */
bool command_check(const char *mirror, enum mirror_state state, const struct operation *held,
                   enum mirror_command c, struct err *err) MUST_CHECK;
/* The refusal that names the operation which holds the mirror. Returns false. */
bool command_busy(const struct operation *held, struct err *err);

#endif
