/* The command line; see options.h. */
#include "src/options.h"

#include <getopt.h>
#include <string.h>

#include "base/mem.h"

const struct command_row command_rows[COMMAND_COUNT] = {
    [COMMAND_RUN] = {"", "", 0, "Run the engine with its console."},
    [COMMAND_USER_ADD] = {"user add", "NAME", 1,
                          "Make a user of the HTTP API; asks for the password."},
};

#define RUN (1U << COMMAND_RUN)
#define USER_ADD (1U << COMMAND_USER_ADD)
#define EVERY (RUN | USER_ADD)

/* The order is also that of set_option. */
enum option_id {
    OPTION_CONFIG,
    OPTION_HEADLESS,
    OPTION_HTTP,
    OPTION_STATE_DIR,
    OPTION_ROLE,
    OPTION_PASSWORD_STDIN,
    OPTION_VERSION,
    OPTION_HELP,
    OPTION_COUNT,
};
const struct option_row option_rows[] = {
    [OPTION_CONFIG] = {"config", 'c', "FILE", EVERY, "Read this configuration file."},
    [OPTION_HEADLESS] = {"headless", 0, NULL, RUN, "Run without the console; log to stderr."},
    [OPTION_HTTP] = {"http", 0, "ADDR:PORT", RUN, "Serve the HTTP API there, too."},
    [OPTION_STATE_DIR] = {"state-dir", 0, "DIR", EVERY,
                          "Keep catalog, key, socket and lock there."},
    [OPTION_ROLE] = {"role", 0, "ROLE", USER_ADD, "admin or viewer (the default)."},
    [OPTION_PASSWORD_STDIN] = {"password-stdin", 0, NULL, USER_ADD,
                               "Read the password from the first line of standard input."},
    [OPTION_VERSION] = {"version", 'V', NULL, EVERY, "Print the version and end."},
    [OPTION_HELP] = {"help", 'h', NULL, EVERY, "Print this help and end."},
};
const size_t option_count = OPTION_COUNT;

const struct exit_row exit_rows[] = {
    {EXIT_OK, "Ended as asked."},
    {EXIT_FAILED, "Something failed; the last message says what."},
    {EXIT_USAGE, "The command line or the configuration is wrong."},
};
const size_t exit_count = COUNT_OF(exit_rows);

const struct environment_row environment_rows[] = {
    {"BUNNYDB_CONF", "Configuration file to read when there is no -c."},
    {"BUNNYDB_LOG",
     "Level of the log (debug, info, warn, error), before that of the configuration."},
    {"BUNNY_ADMIN_USER", "With BUNNY_ADMIN_PASSWORD: the first admin, made while no user exists."},
    {"BUNNY_ADMIN_PASSWORD", "See BUNNY_ADMIN_USER."},
    {"XDG_CONFIG_HOME", "Where bunnydb/bunnydb.conf is looked for; ~/.config by default."},
    {"XDG_STATE_HOME", "Where the state directory bunnydb is; ~/.local/state by default."},
};
const size_t environment_count = COUNT_OF(environment_rows);

static void set_option(struct options *o, enum option_id id, const char *value)
{
    switch (id) {
    case OPTION_CONFIG:
        o->config = value;
        break;
    case OPTION_HEADLESS:
        o->headless = true;
        break;
    case OPTION_HTTP:
        o->http = value;
        break;
    case OPTION_STATE_DIR:
        o->state_dir = value;
        break;
    case OPTION_ROLE:
        o->role = value;
        break;
    case OPTION_PASSWORD_STDIN:
        o->password_stdin = true;
        break;
    case OPTION_VERSION:
        o->version = true;
        break;
    case OPTION_HELP:
        o->help = true;
        break;
    case OPTION_COUNT:
        break;
    }
}

/* How many of the words begin with those of the row; -1 when they are others. */
static int match_command(const struct command_row *row, char **words, int n)
{
    int used = 0;
    for (const char *w = row->words; *w; used++) {
        size_t len = strcspn(w, " ");
        if (used >= n || strlen(words[used]) != len || strncmp(words[used], w, len) != 0)
            return -1;
        w += len + (w[len] == ' ');
    }
    return used;
}

/* Finds the command in what is left of the command line, and takes its arguments. */
static bool take_command(struct options *o, char **words, int n, struct err *err)
{
    if (n == 0)
        return true;
    for (int c = COMMAND_RUN + 1; c < COMMAND_COUNT; c++) {
        const struct command_row *row = &command_rows[c];
        int used = match_command(row, words, n);
        if (used < 0)
            continue;
        if (n - used != row->n_arguments)
            return err_set(err, ERR_INVALID, "usage: bunnydb %s %s", row->words, row->arguments);
        o->command = (enum command)c;
        if (c == COMMAND_USER_ADD)
            o->user_name = words[used];
        return true;
    }
    return err_set(err, ERR_INVALID, "unknown command \"%s\"", words[0]);
}

static bool check_commands(const struct options *o, const bool *seen, struct err *err)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (seen[i] && !(option_rows[i].commands & (1U << o->command)))
            return err_set(err, ERR_INVALID, "--%s means nothing %s%s", option_rows[i].name,
                           o->command == COMMAND_RUN ? "without a command" : "for bunnydb ",
                           command_rows[o->command].words);
    return true;
}

bool options_parse(int argc, char **argv, struct options *out, struct err *err)
{
    struct option longs[OPTION_COUNT + 1] = {0};
    char shorts[2 * OPTION_COUNT + 2] = ":";
    bool seen[OPTION_COUNT] = {0};
    size_t at = 1;
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        longs[i] = (struct option){row->name, row->argument ? required_argument : no_argument, NULL,
                                   0x100 + i};
        if (row->letter) {
            shorts[at++] = row->letter;
            if (row->argument)
                shorts[at++] = ':';
        }
    }
    *out = (struct options){0};
    optind = 0; /* start anew, also in tests */
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        int id = c - 0x100;
        if (c == ':')
            return err_set(err, ERR_INVALID, "%s needs a value", argv[optind - 1]);
        for (int i = 0; i < OPTION_COUNT && c < 0x100; i++)
            if (option_rows[i].letter == c)
                id = i;
        if (id < 0)
            return err_set(err, ERR_INVALID, "unknown option \"%s\"", argv[optind - 1]);
        seen[id] = true;
        set_option(out, (enum option_id)id, optarg);
    }
    return take_command(out, argv + optind, argc - optind, err) &&
           (out->help || out->version || check_commands(out, seen, err));
}

void options_print_help(FILE *out)
{
    fputs("bunnydb: PostgreSQL-to-PostgreSQL replication with a console\n\n", out);
    for (int c = 0; c < COMMAND_COUNT; c++) {
        const struct command_row *row = &command_rows[c];
        char usage[80];
        str_printf(usage, sizeof usage, "bunnydb%s%s%s%s [OPTION]…", row->words[0] ? " " : "",
                   row->words, row->arguments[0] ? " " : "", row->arguments);
        fprintf(out, "  %-34s %s\n", usage, row->text);
    }
    fputs("\nOptions:\n", out);
    for (size_t i = 0; i < option_count; i++) {
        const struct option_row *row = &option_rows[i];
        char letter[8] = "    ", usage[64];
        if (row->letter)
            str_printf(letter, sizeof letter, "-%c, ", row->letter);
        str_printf(usage, sizeof usage, "%s--%s%s%s", letter, row->name, row->argument ? " " : "",
                   row->argument ? row->argument : "");
        fprintf(out, "  %-26s %s\n", usage, row->text);
    }
    fputs("\nManual pages: bunnydb(1), bunnydb.conf(5)\n", out);
}
