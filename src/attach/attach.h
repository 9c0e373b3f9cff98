/* bunnydb attach: the console in a process of its own, on the engine of another. Main thread. */
#ifndef BUNNY_ATTACH_H
#define BUNNY_ATTACH_H

#include "src/cli/cli.h"
#include "ui/look.h"

/* Until the operator leaves, the terminal is gone or a signal ends it. */
enum exit_code attach_run(const char *state_dir, bool is_read_only, const struct look *look,
                          struct err *err);

#endif
