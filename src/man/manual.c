/* The manual's lists; see manual.h. The pages are in man(7)'s macros. */
#include "src/man/manual.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "src/conf.h"
#include "src/http/metrics.h"
#include "src/http/router.h"
#include "src/options.h"
#include "src/spec.h"
#include "ui/actions.h"

/* Text for troff: a hyphen is a minus where it is to be typed, a backslash is itself. */
static void put_text(FILE *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '-')
            fputs("\\-", out);
        else if (*s == '\\')
            fputs("\\e", out);
        else
            fputc(*s, out);
    }
}

/* A tagged paragraph: bold tag, argument in italics, text. */
static void put_item(FILE *out, const char *tag, const char *argument, const char *text)
{
    fputs(".TP\n\\fB", out);
    put_text(out, tag);
    fputs("\\fR", out);
    if (argument && *argument) {
        fputs(" \\fI", out);
        put_text(out, argument);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    put_text(out, text);
    fputc('\n', out);
}

/* The options of a command that not every command has. */
static void put_own_options(FILE *out, enum command c)
{
    struct option_row rows[OPTIONS_MAX];
    size_t n = options_all(rows), printed = 0;
    for (size_t i = 0; i < n; i++)
        if (option_fits(&rows[i], c) && !option_is_common(&rows[i])) {
            fprintf(out, "%s\n.B ", printed++ ? "" : ".br\nOptions:");
            put_text(out, "--");
            put_text(out, rows[i].name);
        }
    if (printed)
        fputc('\n', out);
}

static void put_commands(FILE *out)
{
    for (int i = 0; i < COMMAND_COUNT; i++) {
        char words[64];
        const struct command_row *r = &command_rows[i];
        str_printf(words, sizeof words, "bunnydb%s%s", r->words[0] ? " " : "", r->words);
        put_item(out, words, r->arguments, r->text);
        if (r->more) {
            put_text(out, r->more);
            fputc('\n', out);
        }
        put_own_options(out, (enum command)i);
    }
}

static void put_options(FILE *out)
{
    struct option_row rows[OPTIONS_MAX];
    size_t n = options_all(rows);
    for (size_t i = 0; i < n; i++) {
        char words[64], letter[8] = "", argument[80] = "";
        const struct option_row *r = &rows[i];
        if (r->letter)
            str_printf(letter, sizeof letter, "-%c, ", r->letter);
        str_printf(words, sizeof words, "%s--%s", letter, r->name);
        if (r->argument)
            str_printf(argument, sizeof argument, "%s%s%s", r->is_value_optional ? "[" : "",
                       r->argument, r->is_value_optional ? "]" : "");
        put_item(out, words, argument, r->text);
    }
}

/* For the completion of the shell: "words|arguments|options", an option with "=" and what its value
 * is, alternatives with commas between. */
static void put_completion(FILE *out)
{
    struct option_row rows[OPTIONS_MAX];
    size_t n = options_all(rows);
    for (int c = 0; c < COMMAND_COUNT; c++) {
        fprintf(out, "%s|%s|", command_rows[c].words, command_rows[c].arguments);
        for (size_t i = 0; i < n; i++) {
            if (!option_fits(&rows[i], (enum command)c))
                continue;
            fprintf(out, "--%s%s", rows[i].name,
                    rows[i].argument && !rows[i].is_value_optional ? "=" : "");
            if (rows[i].argument && !rows[i].is_value_optional)
                for (const char *s = rows[i].argument; *s; s++)
                    fputc(*s == '|' ? ',' : *s, out);
            fputc(' ', out);
        }
        fputc('\n', out);
    }
}

static void put_exits(FILE *out)
{
    for (size_t i = 0; i < exit_count; i++) {
        char code[8];
        str_printf(code, sizeof code, "%d", (int)exit_rows[i].code);
        put_item(out, code, NULL, exit_rows[i].text);
    }
}

static void put_environment(FILE *out)
{
    for (size_t i = 0; i < environment_count; i++)
        put_item(out, environment_rows[i].name, NULL, environment_rows[i].text);
}

static void put_routes(FILE *out)
{
    for (size_t i = 0; i < route_count; i++) {
        char words[100], text[200];
        const struct route *r = &routes[i];
        str_printf(words, sizeof words, "%s %s", r->method, r->pattern);
        str_printf(text, sizeof text, "%s (%s)", r->text, level_name(r->level));
        put_item(out, words, NULL, text);
    }
}

static void put_metrics(FILE *out)
{
    for (size_t i = 0; i < metric_count; i++) {
        char kind[100];
        const struct metric *m = &metric_rows[i];
        str_printf(kind, sizeof kind, "%s%s%s", metric_type_name(m->type),
                   m->labels[0] ? " by " : "", m->labels);
        put_item(out, m->name, kind, m->text);
    }
}

static void put_errors(FILE *out)
{
    for (int i = ERR_NONE + 1; i < ERR_CODE_COUNT; i++) {
        char status[16];
        str_printf(status, sizeof status, "(%d)", status_of_error((enum err_code)i));
        put_item(out, err_name((enum err_code)i), status, err_meaning((enum err_code)i));
    }
}

static void put_settings(FILE *out)
{
    const char *section = "";
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_rows[i];
        char text[600];
        if (strcmp(section, s->section) != 0)
            fprintf(out, ".SS [%s]\n", s->section);
        section = s->section;
        str_printf(text, sizeof text, "%s%s%s%s", s->text, s->normal[0] ? " Default: " : "",
                   s->normal, s->normal[0] ? "." : "");
        put_item(out, s->key, NULL, text);
    }
}

/* The keys of an action as [keys] takes them. */
static void put_keys_of(size_t action, char *out, size_t size)
{
    struct keymap usual;
    keymap_usual(&usual);
    keymap_shown(&usual, action, true, out, size);
}

/* Two may share an id: they are one line of [keys]. */
static bool is_first(size_t action)
{
    return action_of(actions[action].id) == &actions[action];
}

static void put_keys(FILE *out)
{
    char keys[64], help[160];
    struct keymap usual;
    keymap_usual(&usual);
    for (size_t i = 0; i < n_actions; i++) {
        if (!is_first(i))
            continue;
        put_keys_of(i, keys, sizeof keys);
        put_item(out, actions[i].id, keys,
                 action_text_of(&usual, actions[i].help, help, sizeof help));
    }
}

static void put_fields(FILE *out, const struct field_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct field *f = &t->rows[i];
        char kind[160];
        if (!strcmp(f->name, "name") || f->type == FIELD_ARRAY || f->type == FIELD_OBJECT)
            continue;
        fields_describe(f, kind, sizeof kind);
        put_item(out, f->name, kind, f->text);
    }
}

/* For each command: what it does, and how each state answers. States that answer alike share a
 * line. */
static void put_states(FILE *out)
{
    for (int c = 0; c < MIRROR_COMMAND_COUNT; c++) {
        bool is_done[MIRROR_STATE_COUNT] = {false};
        fprintf(out, ".TP\n.B %s\n%s\n", command_name((enum mirror_command)c),
                command_text((enum mirror_command)c));
        for (int s = 0; s < MIRROR_STATE_COUNT; s++) {
            const char *says = command_answer((enum mirror_state)s, (enum mirror_command)c);
            bool first = true;
            for (int t = s; t < MIRROR_STATE_COUNT && !is_done[s]; t++) {
                if (is_done[t] && t != s)
                    continue;
                if (strcmp(command_answer((enum mirror_state)t, (enum mirror_command)c), says) != 0)
                    continue;
                fprintf(out, "%s%s", first ? ".br\n" : ", ",
                        mirror_state_name((enum mirror_state)t));
                first = false;
                is_done[t] = t != s;
            }
            if (!first)
                fprintf(out, ": %s\n", says);
        }
    }
}

static void put_peer_keys(FILE *out)
{
    put_fields(out, &peer_fields);
}

static void put_mirror_keys(FILE *out)
{
    put_fields(out, &mirror_fields);
}

static const struct {
    const char *name;
    void (*print)(FILE *out);
} lists[] = {
    {"@commands@\n", put_commands},
    {"@options@\n", put_options},
    {"@exits@\n", put_exits},
    {"@completion@\n", put_completion},
    {"@environment@\n", put_environment},
    {"@routes@\n", put_routes},
    {"@metrics@\n", put_metrics},
    {"@states@\n", put_states},
    {"@errors@\n", put_errors},
    {"@settings@\n", put_settings},
    {"@keys@\n", put_keys},
    {"@peer_keys@\n", put_peer_keys},
    {"@mirror_keys@\n", put_mirror_keys},
};

static bool print_list(const char *line, FILE *out)
{
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        if (!strcmp(lists[i].name, line)) {
            lists[i].print(out);
            return true;
        }
    return false;
}

bool manual_expand(FILE *template, FILE *out)
{
    char line[1024];
    while (fgets(line, sizeof line, template)) {
        if (line[0] != '@')
            fputs(line, out);
        else if (!print_list(line, out))
            return false;
    }
    return true;
}

/* --- The sample ------------------------------------------------------------------------------- */
/* A comment, broken at 90 columns. */
static void put_comment(FILE *out, const char *text)
{
    while (*text) {
        size_t n = strlen(text);
        if (n > 90) {
            n = 90;
            while (n && text[n] != ' ')
                n--;
        }
        fprintf(out, "# %.*s\n", (int)n, text);
        text += n;
        text += *text == ' ';
    }
}

static void put_sample_fields(FILE *out, const struct field_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct field *f = &t->rows[i];
        char kind[160];
        if (f->is_required || f->type == FIELD_OBJECT || !strncmp(f->text, "Older", 5))
            continue;
        fields_describe(f, kind, sizeof kind);
        put_comment(out, f->text);
        fprintf(out, "#%s = <%s>\n", f->name, kind);
    }
}

void manual_print_sample(FILE *out)
{
    const char *section = "";
    fputs("# bunnydb.conf: sample. Every setting with its default; see bunnydb.conf(5).\n"
          "# A comment stands in a line of its own, or after a blank and a semicolon.\n",
          out);
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_rows[i];
        if (strcmp(section, s->section) != 0)
            fprintf(out, "\n[%s]\n", s->section);
        section = s->section;
        put_comment(out, s->text);
        fprintf(out, "#%s =%s%s\n", s->key, s->normal[0] ? " " : "", s->normal);
    }
    fputs("\n# Keys of the console: an action, and its keys with blanks between them; "
          "bunnydb.conf(5)\n"
          "# says what each does.\n[keys]\n",
          out);
    for (size_t i = 0; i < n_actions; i++) {
        char keys[64];
        put_keys_of(i, keys, sizeof keys);
        if (is_first(i))
            fprintf(out, "#%s = %s\n", actions[i].id, keys);
    }
    fputs("\n# Peers and mirrors that stand here are created when they are missing, and otherwise\n"
          "# left alone.\n"
          "#[peer shop]\n#host = db1.example.net\n#user = replicator\n#database = shop\n"
          "# First line of the file: the password.\n#password_file = /etc/bunnydb/shop.password\n",
          out);
    put_sample_fields(out, &peer_fields);
    fputs("\n#[peer warehouse]\n#host = db2.example.net\n#user = replicator\n#database = shop\n"
          "\n#[mirror shop]\n#source_peer = shop\n#destination_peer = warehouse\n"
          "# A list, which may go on in the next lines after a blank.\n"
          "#tables = public.users, sales.*, public.orders -> archive.orders\n",
          out);
    put_sample_fields(out, &mirror_fields);
}
