/* What operators are told of an error that ended a run: its code, a remedy and an action. */
#include "control/causes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static struct err named(enum err_code code, const char *sqlstate)
{
    struct err e = {0}, out;
    err_set(&e, code, "what the server said");
    str_copy(e.sqlstate, sizeof e.sqlstate, sqlstate);
    cause_name("m", &e, &out);
    return out;
}

static void sqlstate_decides(void **state)
{
    static const struct {
        enum err_code from;
        const char *sqlstate;
        enum err_code to;
        enum err_class class;
    } rows[] = {
        {ERR_CONNECT, "28P01", ERR_LOGIN, CLASS_ASK},
        {ERR_CONNECT, "28000", ERR_LOGIN, CLASS_ASK},
        {ERR_CONNECT, "3D000", ERR_DATABASE, CLASS_ASK},
        {ERR_CONNECT, "57P03", ERR_CONNECT, CLASS_RETRY},
        {ERR_CONNECT, "", ERR_CONNECT, CLASS_RETRY},
        {ERR_SQL, "42501", ERR_RIGHTS, CLASS_ASK},
        {ERR_SQL, "42P01", ERR_TABLE_MISSING, CLASS_ASK},
        {ERR_SQL, "53100", ERR_DISK, CLASS_RETRY},
        {ERR_SQL, "53400", ERR_LIMIT, CLASS_RETRY},
        {ERR_SQL, "55P03", ERR_LOCKED, CLASS_RETRY},
        {ERR_SQL, "22012", ERR_SQL, CLASS_ASK},
        {ERR_REFUSED, "23503", ERR_FKEY, CLASS_ASK},
        {ERR_REFUSED, "23514", ERR_REFUSED, CLASS_ASK},
        /* what has been told apart stays */
        {ERR_SLOT_ACTIVE, "55006", ERR_SLOT_ACTIVE, CLASS_RETRY},
        {ERR_SCHEMA, "42501", ERR_SCHEMA, CLASS_ASK},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err e = named(rows[i].from, rows[i].sqlstate);
        assert_int_equal(e.code, rows[i].to);
        assert_int_equal(err_class_of(&e), rows[i].class);
        assert_string_equal(e.text, "what the server said");
    }
}

static void every_error_has_a_remedy_and_those_to_be_healed_an_action(void **state)
{
    (void)state;
    for (int code = ERR_NONE + 1; code < ERR_CODE_COUNT; code++) {
        struct err e = named((enum err_code)code, "");
        assert_true(strlen(e.hint) > 10);
        if (err_class_of(&e) == CLASS_ASK)
            assert_true(cause_action(&e)[0] != '\0');
        if (cause_is_final(e.code))
            assert_string_equal(cause_action(&e), "retry");
    }
}

/* Who writes the hint knows no mirror. */
static void a_command_names_its_mirror(void **state)
{
    struct err e = {.code = ERR_SOURCE_CHANGED}, out, again;
    (void)state;
    err_hint(&e, "Retry (bunnydb retry NAME --recreate-slot) copies NAME again.");
    cause_name("m", &e, &out);
    assert_string_equal(out.hint, "Retry (bunnydb retry m --recreate-slot) copies NAME again.");
    cause_name("m", &out, &again);
    assert_string_equal(again.hint, out.hint);
}

static void the_statement_of_a_foreign_key(void **state)
{
    struct err e = {.code = ERR_REFUSED, .sqlstate = "23503"}, out;
    (void)state;
    str_copy(e.schema, sizeof e.schema, "public");
    str_copy(e.table, sizeof e.table, "b");
    str_copy(e.constraint, sizeof e.constraint, "b to a");
    cause_name("m", &e, &out);
    assert_non_null(strstr(out.hint, "ALTER TABLE \"public\".\"b\" ALTER CONSTRAINT \"b to a\" "
                                     "DEFERRABLE INITIALLY DEFERRED;"));
}

static void a_value_that_a_type_refuses_is_about_definitions(void **state)
{
    struct err e = {.code = ERR_REFUSED, .sqlstate = "22P02"}, domain = e, check = e, out;
    (void)state;
    str_copy(domain.sqlstate, sizeof domain.sqlstate, "23514");
    str_copy(domain.constraint, sizeof domain.constraint, "positive");
    check = domain;
    str_copy(check.table, sizeof check.table, "t");
    assert_string_equal(cause_action(&e), "sync-schema");
    assert_string_equal(cause_action(&domain), "sync-schema");
    assert_string_equal(cause_action(&check), "retry");
    str_copy(e.hint, sizeof e.hint, "of the stream");
    cause_name("m", &e, &out);
    assert_non_null(strstr(out.hint, "bunnydb sync-schema m "));
    e.code = ERR_SQL;
    assert_string_equal(cause_action(&e), "retry");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sqlstate_decides),
        cmocka_unit_test(every_error_has_a_remedy_and_those_to_be_healed_an_action),
        cmocka_unit_test(a_command_names_its_mirror),
        cmocka_unit_test(the_statement_of_a_foreign_key),
        cmocka_unit_test(a_value_that_a_type_refuses_is_about_definitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
