/* Quoting never lets a name or a value out of its quotes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "pg/pg.h"

static void assert_taken(struct buf *b, const char *want)
{
    assert_string_equal(buf_text(b), want);
    buf_reset(b);
}

static void identifiers_keep_their_case_and_quotes(void **state)
{
    struct buf b = {0};
    (void)state;
    pg_quote_ident(&b, "Users");
    assert_taken(&b, "\"Users\"");
    pg_quote_ident(&b, "a\"; drop table t; --");
    assert_taken(&b, "\"a\"\"; drop table t; --\"");
    pg_quote_ident(&b, "\"");
    assert_taken(&b, "\"\"\"\"");
    pg_quote_qualified(&b, "My Schema", "t.1");
    assert_taken(&b, "\"My Schema\".\"t.1\"");
    buf_free(&b);
}

static void literals_read_the_same_under_both_settings(void **state)
{
    struct buf b = {0};
    (void)state;
    pg_quote_literal(&b, "it's");
    assert_taken(&b, "'it''s'");
    pg_quote_literal(&b, "");
    assert_taken(&b, "''");
    pg_quote_literal(&b, "\\'; x");
    assert_taken(&b, " E'\\\\''; x'");
    buf_free(&b);
}

static void arrays_escape_quotes_and_backslashes(void **state)
{
    static const char *const items[] = {"a", "", "b\"c\\", NULL, "NULL", "x,y}"};
    struct buf b = {0};
    (void)state;
    pg_quote_array(&b, 0, NULL);
    assert_taken(&b, "{}");
    pg_quote_array(&b, COUNT_OF(items), items);
    assert_taken(&b, "{\"a\",\"\",\"b\\\"c\\\\\",NULL,\"NULL\",\"x,y}\"}");
    buf_free(&b);
}

static void keywords_are_those_of_libpq(void **state)
{
    (void)state;
    assert_true(pg_is_conn_keyword("sslrootcert"));
    assert_true(pg_is_conn_keyword("target_session_attrs"));
    assert_false(pg_is_conn_keyword("sslroot"));
    assert_false(pg_is_conn_keyword(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identifiers_keep_their_case_and_quotes),
        cmocka_unit_test(literals_read_the_same_under_both_settings),
        cmocka_unit_test(arrays_escape_quotes_and_backslashes),
        cmocka_unit_test(keywords_are_those_of_libpq),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
