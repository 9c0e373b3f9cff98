/* Commands to the model may wait for a server; they run in one worker thread, so that the screen
 * never does. Results come back as messages. */
#ifndef BUNNY_UI_COMMAND_H
#define BUNNY_UI_COMMAND_H

#include "ui/model.h"

#define NO_COMMAND MIRROR_COMMAND_COUNT

/* What is asked of a mirror. */
struct order {
    enum mirror_command kind;
    char mirror[NAME_SIZE];
    char table[2 * NAME_SIZE + 2]; /* MIRROR_RESYNC_TABLE: "schema.table" */
    const char *strategy;          /* resyncs: "truncate", "swap"; static; NULL: the mirror's */
};
/* "pause orders", "resync public.t of orders (swap)" */
const char *order_text(const struct order *o, char *out, size_t size);
/* Accepted at once, and done when the mirror's operation has ended. */
bool order_is_long(const struct order *o);

struct command_result {
    struct order order;
    bool ok;
    struct err err; /* when not ok; ERR_TIMEOUT: the engine goes on with it */
    int64_t took_ms;
};
struct commands;

/* wake_fd is signalled when a result can be taken. */
struct commands *commands_start(const struct model *m, int wake_fd);
/* Queues one; false when the queue is full. Console thread. */
bool commands_submit(struct commands *c, const struct order *o);
/* The next result; false when there is none. Console thread. */
bool commands_take(struct commands *c, struct command_result *out);
/* Forgets what has not begun, waits for what has (at most about 1 s), frees. */
void commands_stop(struct commands *c);

#endif
