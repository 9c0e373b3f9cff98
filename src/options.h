/* The command line: one table of commands, one of options; --help and the manual page are printed
 * from them. */
#ifndef BUNNY_OPTIONS_H
#define BUNNY_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

enum command {
    COMMAND_RUN,
    COMMAND_USER_ADD,
    COMMAND_COUNT,
};
struct command_row {
    const char *words;     /* as typed: "user add"; empty: the process itself */
    const char *arguments; /* what follows: "NAME" */
    int n_arguments;
    const char *text;
};
extern const struct command_row command_rows[COMMAND_COUNT];

struct option_row {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    const char *argument;
    unsigned commands; /* 1 << enum command, where it means something */
    const char *text;
};
extern const struct option_row option_rows[];
extern const size_t option_count;

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2, /* command line or configuration */
};
struct exit_row {
    enum exit_code code;
    const char *text;
};
extern const struct exit_row exit_rows[];
extern const size_t exit_count;

struct environment_row {
    const char *name;
    const char *text;
};
extern const struct environment_row environment_rows[];
extern const size_t environment_count;

/* What was asked for. All strings are borrowed from argv. */
struct options {
    enum command command;
    bool help, version;
    bool headless;
    const char *config;
    const char *http;
    const char *state_dir;
    const char *user_name;
    const char *role;
    bool password_stdin;
};
/* Reads argv (which getopt may reorder). Not thread-safe: getopt has state. */
bool options_parse(int argc, char **argv, struct options *out, struct err *err) MUST_CHECK;
void options_print_help(FILE *out);

#endif
