/* bunnydb attach: the console on a running process. */
#include "src/attach/attach.h"
#include "src/cli/commands.h"
#include "src/looks.h"

enum exit_code cli_attach(struct cli *c, struct err *err)
{
    struct look look;
    if (!looks_read(c->conf, &look, err))
        return EXIT_USAGE;
    return attach_run(c->state_dir, options_has(c->options, OPTION_READ_ONLY), &look, err);
}
