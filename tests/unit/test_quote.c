/* Quoting never lets a name or a value out of its quotes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
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

/* Byte by byte, what buf_add_escaped does eight at a time. */
static void escape_slowly(struct buf *b, const char *text, size_t len, const struct buf_escapes *e)
{
    for (size_t i = 0; i < len; i++) {
        char letter = e->letters[(unsigned char)text[i]];
        if (letter)
            buf_putc(b, '\\');
        buf_putc(b, letter ? letter : text[i]);
    }
}

/* Each byte at each place of texts of each length, among plain ones and among those above 127. */
static void every_byte_is_escaped_wherever_it_stands(void **state)
{
    static const struct buf_escapes all[] = {
        {.other = '"', .letters = {['"'] = '"', ['\\'] = '\\'}},
        {.below = 14, .other = '\\', .letters = {['\b'] = 'b', ['\r'] = 'r', ['\\'] = '\\'}},
        {.below = 128, .other = '~', .letters = {[1] = '1', [127] = 'd', ['~'] = '~'}},
    };
    char text[19];
    struct buf fast = {0}, slow = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(all) * 2 * 256; i++)
        for (size_t len = 0; len < sizeof text; len++)
            for (size_t at = 0; at < len; at++) {
                memset(text, i & 256 ? 0xbf : 'x', sizeof text);
                text[at] = (char)(i & 255);
                buf_puts(&fast, "in front ");
                buf_puts(&slow, "in front ");
                buf_add_escaped(&fast, text, len, &all[i / 512]);
                escape_slowly(&slow, text, len, &all[i / 512]);
                assert_int_equal(fast.len, slow.len);
                assert_memory_equal(fast.data, slow.data, fast.len + 1);
                buf_reset(&fast);
                buf_reset(&slow);
            }
    buf_free(&fast);
    buf_free(&slow);
}

#define DROP_NOT_NULL "ALTER TABLE \"public\".\"t 9\" ALTER COLUMN \"c5\" DROP NOT NULL"

static void names_are_found_in_statements_as_a_whole(void **state)
{
    static const struct {
        const char *sql, *name;
        int part;
        bool is_there;
    } cases[] = {
        {DROP_NOT_NULL, "c5", 3, true},
        {DROP_NOT_NULL, "c", 3, false},
        {DROP_NOT_NULL, ".", 3, false}, /* between two names */
        {DROP_NOT_NULL, "public", 3, false},
        {DROP_NOT_NULL, "t 9", 3, false},
        {DROP_NOT_NULL, "t 9", 2, true},
        {DROP_NOT_NULL, " ALTER COLUMN ", 3, false},
        {DROP_NOT_NULL, "ALTER", 3, false},
        {"ALTER COLUMN \"a\"\"b\"", "a\"b", 3, true},
        {"ALTER COLUMN \"a\"\"b\"", "a", 3, false},
        {"COMMENT ON COLUMN s.t.c IS 'd e'", "c", 3, true},
        {"COMMENT ON COLUMN s.t.c IS 'd e'", "t", 3, false},
        {"COMMENT ON COLUMN s.t.c IS 'd e'", "d", 3, false},
        {"CHECK ((a > 0) AND (\"B\".f IS NULL))", "a", 3, true},
        {"CHECK (x <> E'it\\'s' OR 'a''b' = c)", "c", 3, true},
        {"CHECK (x <> E'it\\'s' OR 'a''b' = c)", "b", 3, false},
        {"DEFAULT 'a'::s.mood", "mood", 2, true},
        {"DEFAULT 'a'::mood", "mood", 2, true},
        {"DEFAULT 'a'::moody", "mood", 2, false},
        {"USING éa", "éa", 3, true},
        {"", "a", 3, false},
        {"\"a", "a", 3, true},
        {"'a", "a", 3, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (pg_mentions(cases[i].sql, cases[i].name, cases[i].part) != cases[i].is_there)
            fail_msg("%s in %s", cases[i].name, cases[i].sql);
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
        cmocka_unit_test(every_byte_is_escaped_wherever_it_stands),
        cmocka_unit_test(names_are_found_in_statements_as_a_whole),
        cmocka_unit_test(keywords_are_those_of_libpq),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
