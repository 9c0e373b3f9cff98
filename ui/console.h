/* The console: the one way into this room. Runs in the calling thread, which owns the terminal. */
#ifndef BUNNY_CONSOLE_H
#define BUNNY_CONSOLE_H

#include "ui/look.h"
#include "ui/model.h"

enum console_end {
    CONSOLE_QUIT,     /* the operator chose to stop the process */
    CONSOLE_DETACHED, /* the operator chose to go on without a console */
    CONSOLE_LOST,     /* the terminal is gone (hang-up): go on without a console */
    CONSOLE_STOPPED,  /* stop_fd became readable */
    CONSOLE_FAILED,   /* the terminal cannot be used; *err says why */
};
struct console_options {
    int stop_fd;             /* readable: leave the screen and return (a signal came); -1 none */
    const char *process;     /* host or instance name for the head line */
    const char *choices;     /* the file that keeps them (ui/choices.h); may be NULL */
    const struct look *look; /* keys and columns of the configuration; NULL: the usual ones */
    const char *attach_hint; /* how the API can be reached, for the detach dialog; may be NULL */
};
/* Draws until one of the ends; the terminal is restored, except after CONSOLE_LOST: then it is not
 * touched any more, and SIGHUP is ignored from then on unless the caller blocks it. Never blocks on
 * a server: commands go through a helper thread. While it runs, SIGWINCH, SIGHUP, SIGTSTP, SIGTTIN
 * and SIGTTOU are its own; SIGINT and SIGTERM stay the caller's. The caller has called
 * setlocale(LC_CTYPE, "") before it started threads, and has pointed stderr and the log away from
 * the terminal. May be called again after it returned, one at a time. */
enum console_end console_run(const struct model *m, const struct console_options *o,
                             struct err *err);

#endif
