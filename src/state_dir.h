/* The state directory: where it is, that only we can read it, and that one process runs on it. */
#ifndef BUNNY_STATE_DIR_H
#define BUNNY_STATE_DIR_H

#include <stdbool.h>

#include "base/err.h"

#define LOCK_FILE "bunnydb.lock"
#define SOCKET_FILE "bunnydb.sock"
#define LOG_FILE "bunnydb.log"

/* The directory to use: wish (may be NULL), /var/lib/bunnydb for root, else
 * $XDG_STATE_HOME/bunnydb or ~/.local/state/bunnydb. Caller frees; NULL on error. */
char *state_dir_path(const char *wish, struct err *err) MUST_CHECK;
/* Makes the directory and its parents (mode 0700) when missing; refuses one that others can enter
 * or that is not ours. */
bool state_dir_make(const char *dir, struct err *err) MUST_CHECK;
/* Takes the lock. *fd holds it until closed (the process must not open the lock file anew). When
 * another process has it: false with ERR_BUSY, and *holder is its PID (0: not known). */
bool state_dir_lock(const char *dir, int *fd, int *holder, struct err *err) MUST_CHECK;

#endif
