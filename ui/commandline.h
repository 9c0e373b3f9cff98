/* The command line: `:` and an action's id, as [keys] has it, and perhaps a mirror. Console thread.
 */
#ifndef BUNNY_UI_COMMANDLINE_H
#define BUNNY_UI_COMMANDLINE_H

#include "ui/app.h"

void do_command(struct app *a);
/* Completes what is typed; what it could become is said. Only while the prompt is its own. */
bool command_complete(struct app *a);

#endif
