/* States and commands; see commands.h. */
#include "base/commands.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

static const char *const names[] = {
#define X(symbol, name, text) [symbol] = name,
    COMMAND_TABLE(X)
#undef X
};
static const char *const texts[] = {
#define X(symbol, name, text) [symbol] = text,
    COMMAND_TABLE(X)
#undef X
};

const char *command_name(enum mirror_command c)
{
    return names[c];
}

const char *command_text(enum mirror_command c)
{
    return texts[c];
}

/* --- The table -------------------------------------------------------------------------------- */

enum answer {
    DO,
    PAUSED_ALREADY,
    NOT_PAUSED,  /* there is nothing to resume */
    PAUSE_FIRST, /* the tables of a mirror that runs stay as they are */
    PAUSED,      /* resume it first */
    STARTING,
    COPYING,
    FAILED,
    DELETING,
};

static const struct {
    enum err_code code;
    const char *text, *after; /* the mirror's name stands between them; after NULL: no name */
    const char *hint;
} refusals[] = {
    [PAUSED_ALREADY] = {ERR_ALREADY_PAUSED, "Mirror ", " is paused already",
                        "Resume it to let it go on."},
    [NOT_PAUSED] = {ERR_NOT_PAUSED, "Mirror ", " is not paused",
                    "There is nothing to resume; retry lets a failed mirror try again now."},
    [PAUSE_FIRST] = {ERR_NOT_PAUSED, "Mirror must be paused to update tables", NULL,
                     "Pause it, send the tables again, resume it."},
    [PAUSED] = {ERR_PAUSED, "Mirror ", " is paused", "Resume it first."},
    [STARTING] = {ERR_BUSY, "Another operation is already in progress: mirror ", " is starting",
                  "Wait until it is running, then try again."},
    [COPYING] = {ERR_BUSY, "Another operation is already in progress: mirror ",
                 " copies its tables",
                 "Wait until it is running, or pause it; a retry with recreate_slot begins the "
                 "copy anew."},
    [FAILED] = {ERR_NOT_RUNNING, "Mirror ", " has failed and is not streaming",
                "Heal the error first; its hint says how."},
    [DELETING] = {ERR_BUSY, "Another operation is already in progress: mirror ",
                  " is being deleted",
                  "It goes on by itself; delete with force=true ends it at once."},
};

/* clang-format off */
static const unsigned char answers[MIRROR_COMMAND_COUNT][MIRROR_STATE_COUNT] = {
    /*                      initializing snapshotting running      paused          error       stopped */
    [MIRROR_PAUSE]        = {DO,          DO,          DO,          PAUSED_ALREADY, DO,          DELETING},
    [MIRROR_RESUME]       = {NOT_PAUSED,  NOT_PAUSED,  NOT_PAUSED,  DO,             NOT_PAUSED,  DELETING},
    [MIRROR_RETRY]        = {DO,          COPYING,     DO,          PAUSED,         DO,          DO},
    [MIRROR_TAKE_SLOT]    = {DO,          COPYING,     DO,          PAUSED,         DO,          DELETING},
    [MIRROR_RECREATE]     = {DO,          DO,          DO,          PAUSED,         DO,          DELETING},
    [MIRROR_RESYNC]       = {STARTING,    COPYING,     DO,          PAUSED,         DO,          DELETING},
    [MIRROR_RESYNC_TABLE] = {STARTING,    COPYING,     DO,          PAUSED,         DO,          DELETING},
    [MIRROR_SYNC_SCHEMA]  = {STARTING,    COPYING,     DO,          DO,             DO,          DELETING},
    [MIRROR_VERIFY]       = {STARTING,    COPYING,     DO,          PAUSED,         FAILED,      DELETING},
    [MIRROR_REPAIR]       = {STARTING,    COPYING,     DO,          PAUSED,         FAILED,      DELETING},
    [MIRROR_SET_TABLES]   = {PAUSE_FIRST, PAUSE_FIRST, PAUSE_FIRST, DO,             PAUSE_FIRST, DELETING},
    [MIRROR_CHANGE]       = {DO,          DO,          DO,          DO,             DO,          DELETING},
    [MIRROR_DELETE]       = {DO,          DO,          DO,          DO,             DO,          DO},
    [MIRROR_FORCE_DELETE] = {DO,          DO,          DO,          DO,             DO,          DO},
};
/* clang-format on */

const char *command_answer(enum mirror_state state, enum mirror_command c)
{
    enum answer a = (enum answer)answers[c][state];
    return a == DO ? "yes" : err_name(refusals[a].code);
}

/* --- Operations ------------------------------------------------------------------------------- */

static bool interrupts(enum mirror_command c, const char *operation)
{
    static const enum mirror_command may[] = {MIRROR_PAUSE, MIRROR_DELETE, MIRROR_FORCE_DELETE};
    static const enum mirror_command may_be[] = {
        MIRROR_RETRY,  MIRROR_RECREATE, MIRROR_RESYNC,     MIRROR_RESYNC_TABLE,
        MIRROR_VERIFY, MIRROR_REPAIR,   MIRROR_SYNC_SCHEMA};
    bool can = false, lets = false;
    for (size_t i = 0; i < COUNT_OF(may); i++)
        can |= may[i] == c;
    for (size_t i = 0; i < COUNT_OF(may_be); i++)
        lets |= !strcmp(names[may_be[i]], operation);
    return can && lets;
}

bool command_busy(const struct operation *held, struct err *err)
{
    char since[CLOCK_TEXT_SIZE];
    err_set(err, ERR_BUSY, "Another operation is already in progress: %s, by %s, since %s",
            held->name, held->by[0] ? held->by : "bunnydb", clock_format(held->since, since));
    return err_hint(err, "Wait until it is done, then try again.");
}

bool command_check(const char *mirror, enum mirror_state state, const struct operation *held,
                   enum mirror_command c, struct err *err)
{
    enum answer a = (enum answer)answers[c][state];
    if (a != DO) {
        const char *after = refusals[a].after;
        err_set(err, refusals[a].code, "%s%s%s", refusals[a].text, after ? mirror : "",
                after ? after : "");
        return err_hint(err, "%s", refusals[a].hint);
    }
    if (held && held->name[0] && !interrupts(c, held->name) && c != MIRROR_CHANGE)
        return command_busy(held, err);
    return true;
}
