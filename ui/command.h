/* Commands to the engine may wait for a server; they run in one worker thread, so that the screen
 * never does. Results come back as messages. */
#ifndef BUNNY_UI_COMMAND_H
#define BUNNY_UI_COMMAND_H

#include "engine.h"

enum command_kind {
    COMMAND_NONE,
    COMMAND_PAUSE,
    COMMAND_RESUME,
    COMMAND_RETRY,
};
struct command_result {
    enum command_kind kind;
    char mirror[NAME_SIZE];
    bool ok;
    struct err err; /* when not ok; ERR_TIMEOUT: the engine goes on with it */
    int64_t took_ms;
};
struct commands;

const char *command_name(enum command_kind k); /* "pause" */
/* wake_fd is signalled when a result can be taken. */
struct commands *commands_start(struct engine *e, int wake_fd);
/* Queues one; false when the queue is full. Console thread. */
bool commands_submit(struct commands *c, enum command_kind kind, const char *mirror);
/* The next result; false when there is none. Console thread. */
bool commands_take(struct commands *c, struct command_result *out);
/* Forgets what has not begun, waits for what has (at most about 1 s), frees. */
void commands_stop(struct commands *c);

#endif
