/* Commands to the engine may wait for a server; they run in one worker thread, so that the screen
 * never does. Results come back as messages. */
#ifndef BUNNY_UI_COMMAND_H
#define BUNNY_UI_COMMAND_H

#include "engine.h"

#define NO_COMMAND MIRROR_COMMAND_COUNT

struct command_result {
    enum mirror_command kind;
    char mirror[NAME_SIZE];
    bool ok;
    struct err err; /* when not ok; ERR_TIMEOUT: the engine goes on with it */
    int64_t took_ms;
};
struct commands;

/* wake_fd is signalled when a result can be taken. */
struct commands *commands_start(struct engine *e, int wake_fd);
/* Queues one; false when the queue is full. Console thread. */
bool commands_submit(struct commands *c, enum mirror_command kind, const char *mirror);
/* The next result; false when there is none. Console thread. */
bool commands_take(struct commands *c, struct command_result *out);
/* Forgets what has not begun, waits for what has (at most about 1 s), frees. */
void commands_stop(struct commands *c);

#endif
