/* --help: of everything, of a group of commands, or of one; see options.h. */
#include "src/options.h"

#include <string.h>

#include "base/mem.h"

#define USAGE_COLUMNS 42
#define OPTION_COLUMNS 34
#define LINE_COLUMNS 100

/* Text in the right column, broken at blanks. at: columns that are taken in the first line. */
static void put_wrapped(FILE *out, int at, int column, const char *text)
{
    if (at && at >= column) {
        fputc('\n', out);
        at = 0;
    }
    while (*text) {
        int n = (int)strlen(text);
        if (n > LINE_COLUMNS - column)
            for (n = LINE_COLUMNS - column; n > 1 && text[n] != ' ';)
                n--;
        fprintf(out, "%*s%.*s\n", column - at, "", n, text);
        text += n;
        text += *text == ' ';
        at = 0;
    }
}

static void put_command(FILE *out, const struct command_row *row)
{
    char usage[100];
    str_printf(usage, sizeof usage, "  bunnydb%s%s%s%s", row->words[0] ? " " : "", row->words,
               row->arguments[0] ? " " : "", row->arguments);
    fputs(usage, out);
    put_wrapped(out, (int)strlen(usage), USAGE_COLUMNS, row->text);
}

static void put_option(FILE *out, const struct option_row *row)
{
    char letter[8] = "    ", usage[120];
    if (row->letter)
        str_printf(letter, sizeof letter, "-%c, ", row->letter);
    str_printf(usage, sizeof usage, "  %s--%s%s%s%s", letter, row->name,
               !row->argument           ? ""
               : row->is_value_optional ? " ["
                                        : " ",
               row->argument ? row->argument : "", row->is_value_optional ? "]" : "");
    fputs(usage, out);
    put_wrapped(out, (int)strlen(usage), OPTION_COLUMNS, row->text);
}

static void put_options(FILE *out, const char *title, enum command c)
{
    struct option_row rows[OPTIONS_MAX];
    size_t n = options_all(rows);
    fprintf(out, "\n%s:\n", title);
    for (int common = 0; common <= 1; common++)
        for (size_t i = 0; i < n; i++)
            if (option_fits(&rows[i], c) && option_is_common(&rows[i]) == (common == 1))
                put_option(out, &rows[i]);
}

static void put_exits(FILE *out)
{
    fputs("\nExit codes:\n", out);
    for (size_t i = 0; i < exit_count; i++)
        fprintf(out, "  %d  %s\n", (int)exit_rows[i].code, exit_rows[i].text);
}

static void put_one_command(FILE *out, enum command c)
{
    const struct command_row *row = &command_rows[c];
    fprintf(out, "usage: bunnydb %s%s%s [OPTION]...\n\n", row->words, row->arguments[0] ? " " : "",
            row->arguments);
    put_wrapped(out, 0, 0, row->text);
    if (row->more)
        put_wrapped(out, 0, 0, row->more);
    put_options(out, "Options", c);
}

/* Those whose words begin with group; all for NULL. */
static void put_commands(FILE *out, const char *group)
{
    size_t n = group ? strlen(group) : 0;
    for (int c = 0; c < COMMAND_COUNT; c++) {
        const struct command_row *row = &command_rows[c];
        if (!group || (!strncmp(row->words, group, n) && row->words[n] == ' '))
            put_command(out, row);
    }
    fputs("\nbunnydb COMMAND --help prints the options of that command.\n", out);
}

void options_print_help(const struct options *o, FILE *out)
{
    if (o->help_for) {
        put_commands(out, o->help_for);
        return;
    }
    if (o->command != COMMAND_RUN) {
        put_one_command(out, o->command);
        return;
    }
    fputs("bunnydb: PostgreSQL-to-PostgreSQL replication with a console\n\n", out);
    put_commands(out, NULL);
    put_options(out, "Options without a command", COMMAND_RUN);
    put_exits(out);
    fputs("\nManual pages: bunnydb(1), bunnydb.conf(5)\n", out);
}
