/* Signals: blocked in every thread and read by main from a descriptor. */
#ifndef BUNNY_SIGNALS_H
#define BUNNY_SIGNALS_H

#include <stdbool.h>

#include "base/err.h"

enum signal_wish {
    SIGNAL_NONE,
    SIGNAL_STOP,   /* SIGTERM, SIGINT, SIGQUIT */
    SIGNAL_HANGUP, /* SIGHUP: the terminal is gone, or the log is to be opened anew */
};

/* Blocks all signals but those of defects, ignores SIGPIPE, gives the descriptor that becomes
 * readable. Before any thread is made. */
bool signals_take(int *fd, struct err *err) MUST_CHECK;
/* After the console, which ignores SIGHUP when its terminal is gone: it is read again. */
void signals_reset(void);
/* The next signal that came; never waits. */
enum signal_wish signals_next(int fd);

#endif
