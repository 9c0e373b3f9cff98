/* bunnydb: reads the command line and the configuration, and does what they say. */
#include <locale.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine.h"
#include "src/cli/cli.h"
#include "src/conf.h"
#include "src/looks.h"
#include "src/options.h"
#include "src/process.h"
#include "src/user_cli.h"

/* What the command asks for, with a configuration that was read. */
static enum exit_code obey(const struct options *o, const struct conf *c)
{
    struct err err = {0};
    bool ok;
    if (command_rows[o->command].run)
        return cli_run(o, c);
    if (o->command == COMMAND_RUN) {
        struct look look; /* said at once, also when there is no console yet */
        if (!looks_read(c, &look, &err)) {
            cli_complain(&err);
            return EXIT_USAGE;
        }
        ok = process_run(o, c, &look, &err);
    } else {
        log_to_fd(STDERR_FILENO, LOG_LEVEL_WARN);
        ok = user_cli_add(o, c, &err);
    }
    if (!ok)
        cli_complain(&err);
    return ok ? EXIT_OK : EXIT_FAILED;
}

static enum exit_code run(const struct options *o)
{
    struct conf c;
    struct err err = {0};
    enum exit_code code = EXIT_USAGE;
    conf_init(&c);
    if (conf_load(&c, options_text(o, OPTION_CONFIG), &err))
        code = obey(o, &c);
    else
        cli_complain(&err);
    conf_free(&c);
    return code;
}

static enum exit_code inform(const struct options *o)
{
    if (options_has(o, OPTION_HELP))
        options_print_help(o, stdout);
    else
        printf("bunnydb %s\n", engine_version());
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct options o;
    struct err err = {0};
    enum exit_code code = EXIT_USAGE;
    mem_set_up();
    setlocale(LC_CTYPE, ""); /* the console draws in the terminal's character set */
    if (!options_parse(argc, argv, &o, &err)) {
        if (!err.hint[0])
            (void)err_hint(&err, "bunnydb --help says what there is");
        cli_complain(&err);
    } else if (options_has(&o, OPTION_HELP) || options_has(&o, OPTION_VERSION)) {
        code = inform(&o);
    } else if (sodium_init() < 0) {
        fputs("bunnydb: no source of random numbers\n", stderr);
        code = EXIT_FAILED;
    } else {
        code = run(&o);
    }
    options_free(&o);
    return code;
}
