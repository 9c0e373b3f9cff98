/* The command line: what is taken, what is refused and how that is said, and that one table holds
 * for parsing, --help and the fields of the API. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "src/options.h"
#include "src/spec.h"

#define PARSE(o, e, ...)                                                     \
    options_parse((int)COUNT_OF(((const char *[]){"bunnydb", __VA_ARGS__})), \
                  (char **)(void *)(const char *[]){"bunnydb", __VA_ARGS__, NULL}, (o), (e))

/* The sentence of the refusal; fails when it is taken. */
#define REFUSED(text_wanted, ...)                    \
    do {                                             \
        struct options o_;                           \
        struct err e_ = {0};                         \
        assert_false(PARSE(&o_, &e_, __VA_ARGS__));  \
        assert_string_equal(e_.text, (text_wanted)); \
        options_free(&o_);                           \
    } while (0)

static void options_are_read(void **state)
{
    struct options o;
    struct err e;
    (void)state;
    assert_true(PARSE(&o, &e, "-c", "f", "--headless", "--http=127.0.0.1:1", "--state-dir", "d"));
    assert_int_equal(o.command, COMMAND_RUN);
    assert_string_equal(options_text(&o, OPTION_CONFIG), "f");
    assert_string_equal(options_text(&o, OPTION_HTTP), "127.0.0.1:1");
    assert_string_equal(options_text(&o, OPTION_STATE_DIR), "d");
    assert_true(options_has(&o, OPTION_HEADLESS));
    options_free(&o);
    assert_true(PARSE(&o, &e, "user", "--role", "admin", "add", "ana", "--password-stdin"));
    assert_int_equal(o.command, COMMAND_USER_ADD);
    assert_int_equal(o.n_arguments, 1);
    assert_string_equal(o.arguments[0], "ana");
    assert_string_equal(options_text(&o, OPTION_ROLE), "admin");
    options_free(&o);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    REFUSED("unknown option \"--nothing\"", "--nothing");
    REFUSED("unknown option \"--nothing\"", "--nothing=of this is shown");
    REFUSED("unknown option \"-x\"", "-x");
    REFUSED("--http needs a value", "--http");
    REFUSED("--json takes no value", "status", "--json=yes");
    REFUSED("--password takes no value", "peer", "add", "p", "--password=secret");
    REFUSED("--role means nothing without a command", "--role", "admin");
    REFUSED("--headless means nothing for bunnydb user add", "user", "add", "a", "--headless");
    REFUSED("--cdc-batch-size means nothing for bunnydb peer add", "peer", "add", "p",
            "--cdc-batch-size", "1");
}

static void wrong_commands_are_refused(void **state)
{
    struct options o;
    struct err e = {0};
    (void)state;
    REFUSED("unknown command \"dance\"", "dance");
    REFUSED("usage: bunnydb user add NAME", "user", "add");
    REFUSED("usage: bunnydb user add NAME", "user", "add", "a", "b");
    REFUSED("usage: bunnydb resync MIRROR [TABLE]", "resync", "m", "t", "u");
    REFUSED("usage: bunnydb peer list", "peer", "list", "x");
    REFUSED("an argument is empty; usage: bunnydb pause MIRROR", "pause", "");
    REFUSED("bunnydb peer: what? One of: add, list, show, test, tables, change, remove", "peer");
    assert_false(PARSE(&o, &e, "mirror", "crate", "m"));
    assert_string_equal(e.text, "unknown command \"mirror crate\"");
    assert_string_equal(e.hint, "bunnydb mirror has: create, list, show, tables, change, delete");
    options_free(&o);
}

static void arguments_in_brackets_may_be_left_out(void **state)
{
    struct options o;
    struct err e;
    (void)state;
    assert_true(PARSE(&o, &e, "status"));
    assert_int_equal(o.n_arguments, 0);
    options_free(&o);
    assert_true(PARSE(&o, &e, "status", "m", "--json"));
    assert_string_equal(o.arguments[0], "m");
    options_free(&o);
    assert_true(PARSE(&o, &e, "resync", "m", "public.t", "--strategy", "swap"));
    assert_int_equal(o.n_arguments, 2);
    assert_string_equal(o.arguments[1], "public.t");
    options_free(&o);
}

static void a_number_after_wait_is_its_value(void **state)
{
    struct options o;
    struct err e;
    int n = -1;
    (void)state;
    assert_true(PARSE(&o, &e, "pause", "--wait", "30", "m"));
    assert_string_equal(options_text(&o, OPTION_WAIT), "30");
    assert_int_equal(o.n_arguments, 1);
    options_free(&o);
    assert_true(PARSE(&o, &e, "pause", "m", "--wait=7"));
    assert_true(options_number(&o, OPTION_WAIT, 1, 100, &n, &e));
    assert_int_equal(n, 7);
    options_free(&o);
    assert_true(PARSE(&o, &e, "pause", "--wait", "m"));
    assert_true(options_has(&o, OPTION_WAIT));
    assert_null(options_text(&o, OPTION_WAIT));
    assert_string_equal(o.arguments[0], "m");
    options_free(&o);
    assert_true(PARSE(&o, &e, "pause", "m", "--wait=soon"));
    assert_false(options_number(&o, OPTION_WAIT, 1, 100, &n, &e));
    assert_string_equal(e.text, "--wait must be a whole number from 1 to 100");
    options_free(&o);
}

static void repeated_options_stay_in_order(void **state)
{
    struct options o;
    struct err e;
    (void)state;
    assert_true(PARSE(&o, &e, "mirror", "create", "m", "--table", "a.b", "--cdc-batch-size", "5",
                      "--table=c.d", "--source", "s"));
    assert_int_equal(o.n_given, 4);
    assert_int_equal(o.given[0].id, OPTION_TABLE);
    assert_string_equal(o.given[1].field->name, "cdc_batch_size");
    assert_string_equal(o.given[2].value, "c.d");
    assert_string_equal(o.given[3].field->name, "source_peer");
    options_free(&o);
}

/* Every name once; every field that a person can type is an option of its command. */
static void fields_are_options(void **state)
{
    static const struct {
        enum command command;
        const struct field_table *fields;
    } bodies[] = {{COMMAND_PEER_ADD, &peer_fields},
                  {COMMAND_PEER_CHANGE, &peer_fields},
                  {COMMAND_MIRROR_CREATE, &mirror_fields}};
    struct option_row rows[OPTIONS_MAX];
    size_t n = options_all(rows);
    (void)state;
    assert_true(n < OPTIONS_MAX);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(rows[i].name, rows[k].name);
            assert_true(!rows[i].letter || rows[i].letter != rows[k].letter);
        }
    for (size_t b = 0; b < COUNT_OF(bodies); b++)
        for (size_t k = 0; k < bodies[b].fields->n; k++) {
            const struct field *f = &bodies[b].fields->rows[k];
            bool is_typed = f->type != FIELD_ARRAY && f->type != FIELD_OBJECT &&
                            f->type != FIELD_SECRET && strcmp(f->name, "name") != 0 &&
                            strncmp(f->text, "Older", 5) != 0;
            int found = 0;
            for (size_t i = 0; i < n; i++)
                found += rows[i].field == f && option_fits(&rows[i], bodies[b].command);
            assert_int_equal(found, is_typed);
        }
}

static char *help(int argc, const char **argv)
{
    char *text = NULL;
    size_t n = 0;
    struct options o;
    struct err e;
    FILE *out = open_memstream(&text, &n);
    assert_true(options_parse(argc, (char **)(void *)argv, &o, &e));
    options_print_help(&o, out);
    fclose(out);
    options_free(&o);
    return text;
}
#define HELP(...)                                                   \
    help((int)COUNT_OF(((const char *[]){"bunnydb", __VA_ARGS__})), \
         (const char *[]){"bunnydb", __VA_ARGS__, NULL})

static void help_is_of_what_was_asked(void **state)
{
    (void)state;
    char *all = HELP("--help"), *one = HELP("mirror", "create", "-h"), *group = HELP("peer", "-h");
    for (int c = 0; c < COMMAND_COUNT; c++)
        assert_non_null(strstr(all, command_rows[c].words));
    assert_null(strstr(all, "--cdc-batch-size"));
    assert_ptr_equal(strstr(one, "usage: bunnydb mirror create NAME"), one);
    assert_non_null(strstr(one, "--cdc-batch-size N"));
    assert_null(strstr(one, "--headless"));
    assert_non_null(strstr(group, "bunnydb peer add NAME"));
    assert_null(strstr(group, "mirror create"));
    for (const char *s = all; *s; s = strchr(s, '\n') + 1)
        assert_true(strcspn(s, "\n") <= 100);
    free(all);
    free(one);
    free(group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(wrong_commands_are_refused),
        cmocka_unit_test(arguments_in_brackets_may_be_left_out),
        cmocka_unit_test(a_number_after_wait_is_its_value),
        cmocka_unit_test(repeated_options_stay_in_order),
        cmocka_unit_test(fields_are_options),
        cmocka_unit_test(help_is_of_what_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
