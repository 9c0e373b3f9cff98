/* The table of states and commands: every cell has an answer, and the promises of the API's
 * contract stand in it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/commands.h"
#include "base/mem.h"

static struct err err;

static bool check(enum mirror_state s, enum mirror_command c)
{
    err_clear(&err);
    return command_check("m1", s, NULL, c, &err);
}

static bool check_held(const char *operation, enum mirror_command c)
{
    struct operation op = {.by = "ann", .since = INT64_C(1700000000000000)};
    str_copy(op.name, sizeof op.name, operation);
    err_clear(&err);
    return command_check("m1", MIRROR_RUNNING, &op, c, &err);
}

static void every_cell_allows_or_refuses_with_a_sentence(void **state)
{
    (void)state;
    for (int s = 0; s < MIRROR_STATE_COUNT; s++) {
        for (int c = 0; c < MIRROR_COMMAND_COUNT; c++) {
            bool ok = check((enum mirror_state)s, (enum mirror_command)c);
            const char *says = command_answer((enum mirror_state)s, (enum mirror_command)c);
            assert_string_equal(says, ok ? "yes" : err_name(err.code));
            assert_true(ok || (err.text[0] && err.hint[0] && err.code != ERR_NONE));
            assert_true(command_name((enum mirror_command)c)[0]);
            assert_true(command_text((enum mirror_command)c)[0]);
        }
    }
}

static void deletion_is_possible_in_every_state(void **state)
{
    (void)state;
    for (int s = 0; s < MIRROR_STATE_COUNT; s++) {
        assert_true(check((enum mirror_state)s, MIRROR_DELETE));
        assert_true(check((enum mirror_state)s, MIRROR_FORCE_DELETE));
    }
}

static void pause_and_resume_are_refused_when_there_is_nothing_to_do(void **state)
{
    (void)state;
    assert_false(check(MIRROR_PAUSED, MIRROR_PAUSE));
    assert_int_equal(err.code, ERR_ALREADY_PAUSED);
    assert_string_equal(err.text, "Mirror m1 is paused already");
    assert_false(check(MIRROR_RUNNING, MIRROR_RESUME));
    assert_int_equal(err.code, ERR_NOT_PAUSED);
    assert_true(check(MIRROR_SNAPSHOTTING, MIRROR_PAUSE));
    assert_true(check(MIRROR_PAUSED, MIRROR_RESUME));
}

static void tables_change_only_while_paused(void **state)
{
    (void)state;
    for (int s = 0; s < MIRROR_STATE_COUNT; s++)
        assert_int_equal(check((enum mirror_state)s, MIRROR_SET_TABLES), s == MIRROR_PAUSED);
    assert_false(check(MIRROR_RUNNING, MIRROR_SET_TABLES));
    assert_string_equal(err.text, "Mirror must be paused to update tables");
}

static void a_held_mirror_names_who_holds_it_and_since_when(void **state)
{
    (void)state;
    assert_false(check_held("sync-schema", MIRROR_RESYNC));
    assert_int_equal(err.code, ERR_BUSY);
    assert_string_equal(err.text, "Another operation is already in progress: sync-schema, by ann, "
                                  "since 2023-11-14T22:13:20.000Z");
    for (int c = 0; c < MIRROR_COMMAND_COUNT; c++)
        if (command_answer(MIRROR_RUNNING, (enum mirror_command)c)[0] == 'y' && c != MIRROR_PAUSE &&
            c != MIRROR_DELETE && c != MIRROR_FORCE_DELETE && c != MIRROR_CHANGE)
            assert_false(check_held("resync", (enum mirror_command)c));
    assert_true(check_held("resync", MIRROR_CHANGE)); /* it waits for its end */
}

static void pause_and_delete_interrupt_what_takes_long(void **state)
{
    static const char *const long_ones[] = {"resync", "resync of a table", "verify",
                                            "retry with a new slot", "sync-schema"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(long_ones); i++) {
        assert_true(check_held(long_ones[i], MIRROR_PAUSE));
        assert_true(check_held(long_ones[i], MIRROR_DELETE));
        assert_true(check_held(long_ones[i], MIRROR_FORCE_DELETE));
    }
    assert_false(check_held("table update", MIRROR_PAUSE));
    assert_false(check_held("pause", MIRROR_DELETE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_allows_or_refuses_with_a_sentence),
        cmocka_unit_test(deletion_is_possible_in_every_state),
        cmocka_unit_test(pause_and_resume_are_refused_when_there_is_nothing_to_do),
        cmocka_unit_test(tables_change_only_while_paused),
        cmocka_unit_test(a_held_mirror_names_who_holds_it_and_since_when),
        cmocka_unit_test(pause_and_delete_interrupt_what_takes_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
