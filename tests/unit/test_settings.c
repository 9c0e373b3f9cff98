/* The table of settings: each value that is not possible is refused by its name, and changes
 * nothing; what is written as text is read from it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/settings.h"

static struct err err;
static struct mirror_config c;

static int setup(void **state)
{
    (void)state;
    mirror_config_init(&c);
    return 0;
}

static void defaults_are_possible(void **state)
{
    (void)state;
    assert_true(settings_check(&c.settings, TUNE_ALL, &err));
    assert_int_equal(c.settings.cdc_batch_size, c.cdc_batch_size);
    assert_string_equal(c.settings.on_table_error, "stop");
}

/* Every setting is printed, read again, and another value than before is found to be one. */
static void every_setting_is_read_as_it_is_printed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TUNE_COUNT; i++) {
        const struct tunable *x = &tunables[i];
        struct mirror_settings s = c.settings, other = c.settings;
        const char *value = x->kind == TUNE_WORD ? x->words[1] : x->kind == TUNE_BOOL ? "no" : "33";
        char text[TUNE_TEXT];
        assert_true(setting_parse((enum tunable_id)i, value, &s, &err));
        setting_print((enum tunable_id)i, &s, text);
        assert_string_equal(text, value);
        assert_int_equal(settings_differ(&c.settings, &s), TUNE_BIT(i));
        settings_put(&other, &s, TUNE_BIT(i));
        assert_int_equal(settings_differ(&other, &s), 0);
        settings_put(&s, &c.settings, TUNE_ALL & ~TUNE_BIT(i));
        assert_int_equal(settings_differ(&c.settings, &s), TUNE_BIT(i));
    }
}

static void bad_text_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const never[] = {"",    "x",     "1x",  "-1", "yes ", "99999999999999999999",
                                        "1e3", "swapp", "0x10"};
    for (unsigned i = 0; i < TUNE_COUNT; i++)
        for (size_t k = 0; k < COUNT_OF(never); k++) {
            struct mirror_settings s = c.settings;
            err_clear(&err);
            assert_false(setting_parse((enum tunable_id)i, never[k], &s, &err));
            assert_int_equal(err.code, ERR_INVALID);
            assert_memory_equal(err.text, tunables[i].name, strlen(tunables[i].name));
            assert_int_equal(settings_differ(&s, &c.settings), 0);
        }
}

static void only_what_is_asked_about_is_checked(void **state)
{
    (void)state;
    c.snapshot_max_parallel_workers = 65;
    str_copy(c.schema_changes, sizeof c.schema_changes, "sometimes");
    assert_true(settings_check(&c.settings, TUNE_BIT(TUNE_BATCH_SIZE), &err));
    assert_false(settings_check(&c.settings, TUNE_ALL, &err));
    assert_string_equal(err.text, "snapshot_max_parallel_workers: must be between 1 and 64");
    assert_false(settings_check(&c.settings, TUNE_BIT(TUNE_SCHEMA_CHANGES), &err));
    assert_string_equal(err.text, "schema_changes: must be one of manual, auto");
}

static void changes_are_told(void **state)
{
    (void)state;
    struct mirror_settings s = c.settings;
    s.cdc_batch_size = 500;
    s.replicate_indexes = false;
    str_copy(s.resync_strategy, sizeof s.resync_strategy, "swap");
    char *text = settings_changes(&c.settings, &s);
    assert_string_equal(text, "cdc_batch_size 10000 -> 500, replicate_indexes yes -> no, "
                              "resync_strategy truncate -> swap");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults_are_possible, setup),
        cmocka_unit_test_setup(every_setting_is_read_as_it_is_printed, setup),
        cmocka_unit_test_setup(bad_text_is_refused_by_name, setup),
        cmocka_unit_test_setup(only_what_is_asked_about_is_checked, setup),
        cmocka_unit_test_setup(changes_are_told, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
