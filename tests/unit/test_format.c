/* Numbers, times and text in few columns: what the console prints is short and never wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ui/format.h"
#include "ui/text.h"

static char out[FORMAT_SIZE];

static void test_counts(void **state)
{
    static const struct {
        int64_t n;
        const char *text;
    } cases[] = {
        {-1, "-"},        {0, "0"},         {7, "7"},          {999, "999"},
        {1000, "1.0k"},   {9949, "9.9k"},   {9960, "10k"},     {885000, "885k"},
        {999499, "999k"}, {999600, "1.0M"}, {2900000, "2.9M"}, {INT64_MAX, "9.2E"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(format_count(cases[i].n, out), cases[i].text);
}

static void test_bytes(void **state)
{
    static const struct {
        int64_t n;
        const char *text;
    } cases[] = {
        {-5, "-"},
        {0, "0"},
        {1023, "1023"},
        {1024, "1.0k"},
        {1536, "1.5k"},
        {65536, "64k"},
        {12 << 20, "12M"},
        {1047527424, "999M"},
        {INT64_C(2970) << 20, "2.9G"},
        {INT64_C(64) << 30, "64G"},
        {1048064000, "1.0G"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(format_bytes(cases[i].n, out), cases[i].text);
}

static void test_no_count_is_wider_than_four_columns(void **state)
{
    (void)state;
    for (int64_t n = 1; n > 0 && n < INT64_MAX / 3; n = n * 3 / 2 + 1) {
        assert_true(strlen(format_count(n, out)) <= 4);
        assert_true(strlen(format_bytes(n, out)) <= 4);
    }
}

static void test_seconds(void **state)
{
    static const struct {
        double s;
        const char *text;
    } cases[] = {
        {-1, "-"},
        {0, "0.0s"},
        {0.4, "0.4s"},
        {9.94, "9.9s"},
        {9.96, "10s"},
        {59.4, "59s"},
        {59.6, "1m00s"},
        {108, "1m48s"},
        {3599.6, "1h00m"},
        {21720, "6h02m"},
        {86400 * 12 + 3600 * 3, "12d03h"},
        {86400.0 * 400, "400d"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(format_seconds(cases[i].s, out), cases[i].text);
    assert_string_equal(format_age(125, out), "2m");
    assert_string_equal(format_age(-1, out), "-");
    assert_string_equal(format_countdown(42, out), "0:42");
    assert_string_equal(format_countdown(825, out), "13:45");
    assert_string_equal(format_countdown(3723, out), "1:02:03");
    assert_string_equal(format_countdown(-1, out), "-");
}

static void test_hundred_percent_is_only_what_is_complete(void **state)
{
    (void)state;
    assert_string_equal(format_percent(0, 10, out), "0%");
    assert_string_equal(format_percent(45, 100, out), "45%");
    assert_string_equal(format_percent(INT64_C(99999999), INT64_C(100000000), out), "99%");
    assert_string_equal(format_percent(7, 7, out), "100%");
    assert_string_equal(format_percent(9, 7, out), "100%"); /* an estimate was too low */
    assert_string_equal(format_percent(1, 0, out), "-");
}

static void test_graph_keeps_the_worst_and_the_gaps(void **state)
{
    float samples[60];
    int steps[80];
    (void)state;
    for (int i = 0; i < 60; i++)
        samples[i] = i < 30 ? -1.0F : 0.1F;
    samples[45] = 700;
    format_graph(samples, 60, steps, 10);
    assert_int_equal(steps[0], -1);
    assert_int_equal(steps[4], -1);
    assert_int_equal(steps[5], 0);
    assert_int_equal(steps[7], 7);
    assert_int_equal(steps[9], 0);
    format_graph(samples, 60, steps, 80); /* wider than there are samples */
    assert_int_equal(steps[79], 0);
    assert_int_equal(steps[0], -1);
}

static void test_a_scaled_graph_ends_at_its_largest_sample(void **state)
{
    float samples[6] = {-1, 0, 0.1F, 50, 99, 100};
    int steps[6];
    (void)state;
    format_scaled_graph(samples, 6, steps, 6);
    assert_int_equal(steps[0], -1);
    assert_int_equal(steps[1], 0);
    assert_int_equal(steps[2], 1); /* a little is not nothing */
    assert_int_equal(steps[3], 4);
    assert_int_equal(steps[5], 7);
    format_scaled_graph(samples, 6, steps, 3);
    assert_int_equal(steps[0], 0);
    assert_int_equal(steps[2], 7);
    memset(samples, 0, sizeof samples);
    format_scaled_graph(samples, 6, steps, 6);
    assert_int_equal(steps[5], 0);
}

static void fit(const char *s, bool unicode, int cols, const wchar_t *wanted, int used)
{
    wchar_t wide[64];
    assert_int_equal(text_fit(s, unicode, cols, wide, 64), used);
    assert_int_equal(wcscmp(wide, wanted), 0);
}

static void test_text_is_cut_by_columns(void **state)
{
    (void)state;
    fit("billing", true, 10, L"billing", 7);
    fit("billing", true, 7, L"billing", 7);
    fit("billing", true, 6, L"billi\u2026", 6);
    fit("billing", false, 6, L"billi~", 6);
    fit("東京都", true, 6, L"東京都", 6);
    fit("東京都", true, 5, L"東京\u2026", 5);
    fit("東京都", true, 4, L"東\u2026", 3);
    fit("größe", false, 9, L"gr??e", 5);
    fit("x", true, 0, L"", 0);
    fit("e\xcc\x81t", true, 2, L"e\u0301t", 2); /* a combining mark takes no column */
}

static void test_nothing_from_a_name_controls_the_terminal(void **state)
{
    (void)state;
    fit("a\033[2Jb", true, 20, L"a?[2Jb", 6);
    fit("a\n\t\177", true, 20, L"a???", 4);
    fit("\xc2\x9b"
        "1m",
        true, 20, L"?1m", 3); /* CSI of 8 bits */
    fit("cut\xc3", true, 20, L"cut?", 4);
    fit("\xc0\xaf\xff", true, 20, L"???", 3); /* overlong, invalid */
    fit("\xed\xa0\x80", true, 20, L"???", 3); /* a surrogate */
    fit("a\xe2\x80\xae"
        "b",
        true, 20, L"a?b", 3); /* right-to-left override */
}

static void test_lines_break_at_spaces(void **state)
{
    (void)state;
    assert_int_equal(text_break("one two three", true, 9), 8);
    assert_int_equal(text_break("onetwothree", true, 4), 4);
    assert_int_equal(text_break("one\ntwo", true, 40), 4);
    assert_int_equal(text_break("", true, 4), 0);
    assert_int_equal(text_break("東京都", true, 4), 6);
    assert_int_equal(text_break("東", true, 1), 3); /* goes on even where nothing fits */
    assert_true(text_contains("Orders_EU", "ders_eu"));
    assert_true(text_contains("x", ""));
    assert_false(text_contains("orders", "billing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_no_count_is_wider_than_four_columns),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_hundred_percent_is_only_what_is_complete),
        cmocka_unit_test(test_graph_keeps_the_worst_and_the_gaps),
        cmocka_unit_test(test_a_scaled_graph_ends_at_its_largest_sample),
        cmocka_unit_test(test_text_is_cut_by_columns),
        cmocka_unit_test(test_nothing_from_a_name_controls_the_terminal),
        cmocka_unit_test(test_lines_break_at_spaces),
    };
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return 77; /* skipped: no UTF-8 locale here */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
