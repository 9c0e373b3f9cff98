/* The command line: one table of commands, one of options. Parsing, --help, bunnydb(1) and the
 * completion of the shell are made from them. The fields of an API body that a command takes are
 * options of it, from the tables of src/spec.c. No state but getopt's: main thread only. */
#ifndef BUNNY_OPTIONS_H
#define BUNNY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "src/fields.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2, /* command line or configuration */
    EXIT_NO_PROCESS = 3,
    EXIT_WAITED = 4,
    EXIT_UNHEALTHY = 5,
};
struct exit_row {
    enum exit_code code;
    const char *text;
};
extern const struct exit_row exit_rows[];
extern const size_t exit_count;

enum command {
    COMMAND_RUN,
    COMMAND_USER_ADD,
    COMMAND_ATTACH,
    COMMAND_TOP,
    COMMAND_STATUS,
    COMMAND_PEER_ADD,
    COMMAND_PEER_LIST,
    COMMAND_PEER_SHOW,
    COMMAND_PEER_TEST,
    COMMAND_PEER_TABLES,
    COMMAND_PEER_CHANGE,
    COMMAND_PEER_REMOVE,
    COMMAND_CHECK,
    COMMAND_MIRROR_CREATE,
    COMMAND_MIRROR_LIST,
    COMMAND_MIRROR_SHOW,
    COMMAND_MIRROR_TABLES,
    COMMAND_MIRROR_CHANGE,
    COMMAND_MIRROR_DELETE,
    COMMAND_PAUSE,
    COMMAND_RESUME,
    COMMAND_RETRY,
    COMMAND_RESYNC,
    COMMAND_SYNC_SCHEMA,
    COMMAND_VERIFY,
    COMMAND_CUTOVER,
    COMMAND_LOGS,
    COMMAND_RUNS,
    COMMAND_DOCTOR,
    COMMAND_DIAGNOSE,
    COMMAND_COUNT,
};

struct cli;
struct command_row {
    const char *words;     /* as typed: "user add"; empty: the process itself */
    const char *arguments; /* what follows: "NAME", "MIRROR [TABLE]" */
    /* A client of the running process; NULL: a command of its own. See src/cli/cli.h. */
    enum exit_code (*run)(struct cli *c, struct err *err);
    const struct field_table *fields; /* those that are options of it; NULL: none */
    const char *text;                 /* one line */
    const char *more;                 /* what else to know, for --help and the manual; or NULL */
};
extern const struct command_row command_rows[COMMAND_COUNT];

enum option_id {
    OPTION_CONFIG,
    OPTION_HEADLESS,
    OPTION_HTTP,
    OPTION_STATE_DIR,
    OPTION_ROLE,
    OPTION_SOURCE,
    OPTION_DESTINATION,
    OPTION_TABLE,
    OPTION_EXCLUDE,
    OPTION_PARTITION_KEY,
    OPTION_SET,
    OPTION_AVAILABLE,
    OPTION_OPTION,
    OPTION_PASSWORD,
    OPTION_PASSWORD_STDIN,
    OPTION_FILE,
    OPTION_FORCE,
    OPTION_RECREATE_SLOT,
    OPTION_TAKE_SLOT,
    OPTION_STRATEGY,
    OPTION_DRY_RUN,
    OPTION_LAST,
    OPTION_REPAIR,
    OPTION_VERIFY,
    OPTION_READ_ONLY,
    OPTION_ONCE,
    OPTION_FOLLOW,
    OPTION_LINES,
    OPTION_LEVEL,
    OPTION_SEARCH,
    OPTION_WAIT,
    OPTION_JSON,
    OPTION_TIMEOUT,
    OPTION_VERSION,
    OPTION_HELP,
    OPTION_COUNT,
    OPTION_FIELD = OPTION_COUNT, /* one of a command's fields */
};
struct option_row {
    char name[40]; /* without the dashes */
    char letter;   /* 0: none */
    bool is_value_optional;
    const char *argument; /* NULL: none */
    uint64_t commands;    /* 1 << enum command, where it means something */
    const char *text;
    const char *field_name;    /* the field that it sets; NULL: none */
    enum option_id id;         /* the same for all that are fields only */
    const struct field *field; /* that of field_name; NULL: none */
};
#define OPTIONS_MAX 80
/* All options: those of the table, then those that are fields. Returns how many. */
size_t options_all(struct option_row rows[OPTIONS_MAX]);
/* Whether an option means something for a command. */
bool option_fits(const struct option_row *row, enum command c);
/* Whether every client of the process has it: they are listed last. */
bool option_is_common(const struct option_row *row);

struct environment_row {
    const char *name;
    const char *text;
};
extern const struct environment_row environment_rows[];
extern const size_t environment_count;

/* What was asked for. All strings are borrowed from argv. */
struct given {
    enum option_id id;
    const struct field *field; /* NULL: it sets none */
    const char *value;         /* NULL: without one */
};
struct options {
    enum command command;
    char **arguments;
    int n_arguments;
    struct given *given; /* in the order of the command line */
    size_t n_given;
    const char *help_for; /* with --help: the words so far, when they are no whole command */
};
/* Reads argv (which getopt may reorder). options_free in every case. */
bool options_parse(int argc, char **argv, struct options *out, struct err *err) MUST_CHECK;
void options_free(struct options *o); /* the contents */
bool options_has(const struct options *o, enum option_id id);
/* The value that was given last; NULL: none. */
const char *options_text(const struct options *o, enum option_id id);
/* The same as a whole number from least to most; *out stays when the option has no value. */
bool options_number(const struct options *o, enum option_id id, int least, int most, int *out,
                    struct err *err) MUST_CHECK;

/* Of one command when there is one, of a group of them ("peer"), or of all. */
void options_print_help(const struct options *o, FILE *out);

#endif
