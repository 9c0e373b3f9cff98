/* From argv to what was asked for; see options.h. */
#include "src/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define LONG_BASE 0x100 /* getopt's values above those of letters */

void options_free(struct options *o)
{
    free(o->given);
    *o = (struct options){0};
}

bool options_has(const struct options *o, enum option_id id)
{
    for (size_t i = 0; i < o->n_given; i++)
        if (o->given[i].id == id)
            return true;
    return false;
}

const char *options_text(const struct options *o, enum option_id id)
{
    for (size_t i = o->n_given; i-- > 0;)
        if (o->given[i].id == id)
            return o->given[i].value;
    return NULL;
}

bool options_number(const struct options *o, enum option_id id, int least, int most, int *out,
                    struct err *err)
{
    struct option_row rows[OPTIONS_MAX];
    const char *text = options_text(o, id);
    char *end;
    if (!text)
        return true;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (!errno && end != text && !*end && n >= least && n <= most) {
        *out = (int)n;
        return true;
    }
    (void)options_all(rows);
    return err_set(err, ERR_INVALID, "--%s must be a whole number from %d to %d", rows[id].name,
                   least, most);
}

/* --- Commands --------------------------------------------------------------------------------- */
/* How many of the words are those of the row, from the first on; *whole: all of the row's. */
static int match_command(const struct command_row *row, char **words, int n, bool *whole)
{
    int used = 0;
    const char *w = row->words;
    while (*w && used < n) {
        size_t len = strcspn(w, " ");
        if (strlen(words[used]) != len || strncmp(words[used], w, len) != 0)
            break;
        used++;
        w += len + (w[len] == ' ');
    }
    *whole = !*w;
    return used;
}

/* "MIRROR [TABLE]": how many must be there, and how many may. */
static void count_arguments(const char *arguments, int *least, int *most)
{
    *least = *most = 0;
    for (const char *w = arguments; *w;) {
        *least += *w != '[';
        ++*most;
        w += strcspn(w, " ");
        w += strspn(w, " ");
    }
}

static bool take_arguments(struct options *o, char **words, int n, struct err *err)
{
    const struct command_row *row = &command_rows[o->command];
    int least, most;
    count_arguments(row->arguments, &least, &most);
    o->arguments = words;
    o->n_arguments = n;
    if (options_has(o, OPTION_HELP) || options_has(o, OPTION_VERSION))
        return true;
    if (n < least || n > most)
        return err_set(err, ERR_INVALID, "usage: bunnydb %s%s%s", row->words,
                       row->arguments[0] ? " " : "", row->arguments);
    for (int i = 0; i < n; i++)
        if (!words[i][0])
            return err_set(err, ERR_INVALID, "an argument is empty; usage: bunnydb %s %s",
                           row->words, row->arguments);
    return true;
}

/* No command has these words: says which ones begin with the first of them. */
static bool refuse_words(struct options *o, char **words, int n, struct err *err)
{
    struct buf follow = {0};
    bool whole;
    for (int c = COMMAND_RUN + 1; c < COMMAND_COUNT; c++)
        if (match_command(&command_rows[c], words, 1, &whole) == 1)
            buf_printf(&follow, "%s%s", follow.len ? ", " : "",
                       command_rows[c].words + strlen(words[0]) + 1);
    bool is_group = follow.len > 0;
    if (is_group && n == 1 && options_has(o, OPTION_HELP)) {
        o->help_for = words[0];
    } else if (is_group && n == 1) {
        (void)err_set(err, ERR_INVALID, "bunnydb %s: what? One of: %s", words[0],
                      buf_text(&follow));
    } else {
        (void)err_set(err, ERR_INVALID, "unknown command \"%.40s%s%.40s\"", words[0],
                      is_group ? " " : "", is_group ? words[1] : "");
        if (is_group)
            (void)err_hint(err, "bunnydb %s has: %s", words[0], buf_text(&follow));
    }
    buf_free(&follow);
    return o->help_for != NULL;
}

/* Finds the command in what is left of the command line, and takes its arguments. */
static bool take_command(struct options *o, char **words, int n, struct err *err)
{
    if (n == 0)
        return true;
    for (int c = COMMAND_RUN + 1; c < COMMAND_COUNT; c++) {
        bool whole;
        int used = match_command(&command_rows[c], words, n, &whole);
        if (!whole)
            continue;
        o->command = (enum command)c;
        return take_arguments(o, words + used, n - used, err);
    }
    return refuse_words(o, words, n, err);
}

static bool check_options(const struct options *o, const struct option_row *rows, size_t n,
                          const bool *seen, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (seen[i] && !option_fits(&rows[i], o->command))
            return err_set(err, ERR_INVALID, "--%s means nothing %s%s", rows[i].name,
                           o->command == COMMAND_RUN ? "without a command" : "for bunnydb ",
                           command_rows[o->command].words);
    return true;
}

/* --- Options ---------------------------------------------------------------------------------- */
struct getopt_tables {
    struct option longs[OPTIONS_MAX + 1];
    char shorts[2 * OPTIONS_MAX + 2];
};

static void fill_getopt(struct getopt_tables *t, const struct option_row *rows, size_t n)
{
    size_t at = 0;
    *t = (struct getopt_tables){0};
    t->shorts[at++] = ':';
    for (size_t i = 0; i < n; i++) {
        const struct option_row *row = &rows[i];
        t->longs[i] = (struct option){row->name,
                                      !row->argument           ? no_argument
                                      : row->is_value_optional ? optional_argument
                                                               : required_argument,
                                      NULL, LONG_BASE + (int)i};
        if (!row->letter)
            continue;
        t->shorts[at++] = row->letter;
        if (row->argument)
            t->shorts[at++] = ':';
    }
}

static int index_of(int c, const struct option_row *rows, size_t n)
{
    if (c >= LONG_BASE)
        return c - LONG_BASE;
    for (size_t i = 0; i < n; i++)
        if (rows[i].letter == c)
            return (int)i;
    return -1;
}

static bool is_number(const char *s)
{
    return s && *s && s[strspn(s, "0123456789")] == '\0';
}

/* getopt's words for what it does not take. */
static bool refuse_option(int c, char **argv, const struct option_row *rows, size_t n,
                          struct err *err)
{
    const char *word = argv[optind - 1];
    if (c == ':')
        return err_set(err, ERR_INVALID, "%s needs a value", word);
    size_t len = strcspn(word, "=");
    for (size_t i = 0; i < n; i++)
        if (word[len] == '=' && strlen(rows[i].name) + 2 == len &&
            !strncmp(rows[i].name, word + 2, len - 2))
            return err_set(err, ERR_INVALID, "--%s takes no value", rows[i].name);
    return err_set(err, ERR_INVALID, "unknown option \"%.*s\"", (int)len, word);
}

bool options_parse(int argc, char **argv, struct options *out, struct err *err)
{
    struct option_row rows[OPTIONS_MAX];
    struct getopt_tables tables;
    bool seen[OPTIONS_MAX] = {0};
    size_t n = options_all(rows);
    fill_getopt(&tables, rows, n);
    *out = (struct options){.given = mem_calloc((size_t)argc + 1, sizeof *out->given)};
    optind = 0; /* start anew, also in tests */
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1;) {
        int i = index_of(c, rows, n);
        if (i < 0)
            return refuse_option(c, argv, rows, n, err);
        seen[i] = true;
        if (rows[i].is_value_optional && !optarg && optind < argc && is_number(argv[optind]))
            optarg = argv[optind++];
        out->given[out->n_given++] = (struct given){rows[i].id, rows[i].field, optarg};
    }
    return take_command(out, argv + optind, argc - optind, err) &&
           (options_has(out, OPTION_HELP) || options_has(out, OPTION_VERSION) ||
            check_options(out, rows, n, seen, err));
}
