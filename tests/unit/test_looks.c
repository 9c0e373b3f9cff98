/* Keys and columns of the console from the configuration, and what is refused there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "src/looks.h"
#include "ui/actions.h"
#include "ui/columns.h"

static char path[] = "/tmp/bunny-looks-XXXXXX";

/* What reading the text says after the path, "" when it is taken. */
static const char *read_look(const char *text, struct look *out)
{
    static struct err err;
    struct conf c;
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    conf_init(&c);
    err = (struct err){0};
    bool ok = conf_load(&c, path, &err) && looks_read(&c, out, &err);
    conf_free(&c);
    return ok ? "" : err.text + strlen(path);
}

static size_t place(const char *id)
{
    return (size_t)(action_of(id) - actions);
}

static const char *shown(const struct look *l, const char *id)
{
    static char out[64];
    keymap_shown(&l->keys, place(id), true, out, sizeof out);
    return out;
}

static void the_usual_keys_are_no_conflict(void **state)
{
    struct look l;
    struct err err = {0};
    const char *ids[2];
    (void)state;
    assert_true(n_actions <= KEYMAP_ACTIONS);
    look_usual(&l);
    if (!keymap_check(&l.keys, ids, &err))
        fail_msg("%s", err.text);
}

/* What shares an id is never on one screen, and has the same keys: one line of [keys] is for both.
 */
static void the_same_id_is_the_same_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_actions; i++)
        for (size_t j = i + 1; j < n_actions; j++) {
            if (strcmp(actions[i].id, actions[j].id) != 0)
                continue;
            assert_int_equal(actions[i].screens & actions[j].screens, 0);
            assert_memory_equal(actions[i].keys, actions[j].keys, sizeof actions[i].keys);
        }
}

/* All that [keys] can say about the usual keys is what they are. */
static void the_usual_keys_can_be_written(void **state)
{
    (void)state;
    char text[8000] = "[keys]\n";
    struct look usual, l;
    look_usual(&usual);
    for (size_t i = 0; i < n_actions; i++) {
        size_t n = strlen(text);
        if (place(actions[i].id) == i)
            str_printf(text + n, sizeof text - n, "%s = %s\n", actions[i].id,
                       shown(&usual, actions[i].id));
    }
    assert_string_equal(read_look(text, &l), "");
    assert_memory_equal(&usual.keys, &l.keys, sizeof l.keys);
}

static void other_keys(void **state)
{
    struct look l;
    (void)state;
    assert_string_equal(read_look("[keys]\npause = P f8\nfreeze = none\nup = ^P up é semicolon\n"
                                  "more = + =\nadd = A\n",
                                  &l),
                        "");
    assert_string_equal(shown(&l, "pause"), "P f8");
    assert_string_equal(shown(&l, "freeze"), "-");
    assert_string_equal(shown(&l, "up"), "^P up é semicolon");
    assert_true(keymap_has(&l.keys, place("pause"), 'P'));
    assert_false(keymap_has(&l.keys, place("pause"), 'p'));
    assert_true(keymap_has(&l.keys, place("up"), 0xe9));
    size_t n = 0;
    for (size_t i = 0; i < n_actions; i++)
        n += !strcmp(actions[i].id, "add") && keymap_has(&l.keys, i, 'A');
    assert_int_equal(n, 2); /* mirrors and peers */
}

static void columns(void **state)
{
    struct look l;
    char out[200];
    (void)state;
    assert_string_equal(
        read_look("[console]\ncolumns = lag, 5_min,mirror kept,\nmouse = yes\n", &l), "");
    assert_true(l.mouse);
    assert_true(l.columns[0].is_chosen);
    columns_print(&columns_of_mirrors, &l.columns[0], out, sizeof out);
    assert_string_equal(out, "lag,5_min,kept");
    assert_false(l.columns[1].is_chosen);
}

static void mistakes_name_line_and_key(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"[keys]\n\nfly = f\n", ":3: [keys]: there is no action \"fly\""},
        {"[keys]\npause = hyper\n", ":2: [keys]: pause: there is no key \"hyper\""},
        {"[keys]\npause = delete\n", ":2: [keys]: pause: there is no key \"delete\""},
        {"[keys]\npause =\n", ":2: [keys]: pause: has no key; none takes the usual one away"},
        {"[keys]\npause = a b c d e\n", ":2: [keys]: pause: has more than 4 keys"},
        {"[keys]\npause = P\npause = Q\n", ":3: key \"pause\" in [keys] is given twice"},
        {"[keys]\npause = r\n", ":2: [keys]: key r is bound to pause and to resume"},
        {"[keys]\nresume = P\npause = P\n", ":3: [keys]: key P is bound to pause and to resume"},
        {"[keys]\npause = y\n",
         ":2: [keys]: pause: y confirms what was asked, and is bound to nothing"},
        {"[keys]\nresync = ^X\n",
         ":2: [keys]: resync: ^X: no Ctrl key is bound to what changes something"},
        {"[keys]\nquit = none\n", ":2: [keys]: quit needs a key"},
        {"[console]\nmouse = no\ncolumns = lag, tail\n",
         ":3: [console] columns: there is no column \"tail\" of mirrors"},
        {"[console]\nslot_columns = kept kept\n",
         ":2: [console] slot_columns: column \"kept\" stands there twice"},
        {"[console]\ncolours = 3\n", ":2: unknown key \"colours\" in [console]"},
    };
    struct look l;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(read_look(rows[i].text, &l), rows[i].error);
}

/* What the manual lists as columns is what there is. */
static void every_setting_names_its_columns(void **state)
{
    (void)state;
    for (int i = 0; i < COLUMN_LISTS; i++) {
        const struct column_set *s = column_sets[i];
        const char *text = NULL;
        assert_true(s->n <= COLUMNS_MAX);
        for (size_t k = 0; s->setting && k < setting_count; k++)
            if (!strcmp(setting_rows[k].section, "console") &&
                !strcmp(setting_rows[k].key, s->setting))
                text = setting_rows[k].text;
        for (size_t k = 1; s->setting && k < s->n; k++) {
            char name[40];
            assert_non_null(text);
            column_name(&s->columns[k], name, sizeof name);
            if (!strstr(text, name))
                fail_msg("%s does not name %s", s->setting, name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_keys_are_no_conflict),
        cmocka_unit_test(the_same_id_is_the_same_key),
        cmocka_unit_test(the_usual_keys_can_be_written),
        cmocka_unit_test(other_keys),
        cmocka_unit_test(columns),
        cmocka_unit_test(mistakes_name_line_and_key),
        cmocka_unit_test(every_setting_names_its_columns),
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
