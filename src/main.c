/* bunnydb: reads the command line and the configuration, and does what they say. */
#include <locale.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine.h"
#include "src/conf.h"
#include "src/options.h"
#include "src/process.h"
#include "src/user_cli.h"

static void complain(const struct err *e)
{
    fprintf(stderr, "bunnydb: %s\n", e->text);
    if (e->hint[0])
        fprintf(stderr, "  %s\n", e->hint);
}

static enum exit_code run(const struct options *o, struct err *err)
{
    struct conf c;
    enum exit_code code = EXIT_USAGE;
    conf_init(&c);
    if (conf_load(&c, o->config, err)) {
        bool ok = false;
        switch (o->command) {
        case COMMAND_RUN:
            ok = process_run(o, &c, err);
            break;
        case COMMAND_USER_ADD:
            log_to_fd(STDERR_FILENO, LOG_LEVEL_WARN);
            ok = user_cli_add(o, &c, err);
            break;
        case COMMAND_COUNT:
            break;
        }
        code = ok ? EXIT_OK : EXIT_FAILED;
    }
    conf_free(&c);
    return code;
}

int main(int argc, char **argv)
{
    struct options o;
    struct err err = {0};
    setlocale(LC_CTYPE, ""); /* the console draws in the terminal's character set */
    if (!options_parse(argc, argv, &o, &err)) {
        (void)err_hint(&err, "bunnydb --help says what there is");
        complain(&err);
        return EXIT_USAGE;
    }
    if (o.help || o.version) {
        if (o.help)
            options_print_help(stdout);
        else
            printf("bunnydb %s\n", engine_version());
        return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
    }
    if (sodium_init() < 0) {
        fputs("bunnydb: no source of random numbers\n", stderr);
        return EXIT_FAILED;
    }
    enum exit_code code = run(&o, &err);
    if (code != EXIT_OK)
        complain(&err);
    return code;
}
