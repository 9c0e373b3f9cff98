/* Promise: a finding about many things names all of them, and its texts never end in the middle of
 * a statement or a character. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/survey.h"
#include "base/utf8.h"

static void what_is_about_nothing_is_taken_back(void **state)
{
    struct findings f = {0};
    (void)state;
    findings_add(&f, "first", SEVERITY_INFO, "t", "c", "r", "");
    findings_begin(&f, "empty", SEVERITY_ERROR);
    findings_end(&f, "title", "", "");
    assert_int_equal(f.n, 1);
    assert_false(findings_have_errors(&f));
    findings_free(&f);
}

static void texts_hold_whole_statements_only(void **state)
{
    struct findings f = {0};
    char name[40], statement[200];
    (void)state;
    struct finding *x = findings_begin(&f, "many", SEVERITY_ERROR);
    for (int i = 0; i < 300; i++) {
        str_printf(name, sizeof name, "public.t%d", i);
        str_printf(statement, sizeof statement, "ALTER TABLE %s REPLICA IDENTITY FULL;", name);
        findings_item(x, name, i % 2 ? "" : "a note", statement);
    }
    findings_end(&f, "no key", "", "words");
    x = &f.items[0];
    assert_string_equal(x->title, "no key: 300 of them");
    assert_int_equal(x->n_items, 300);
    assert_null(x->items[1].note);
    assert_string_equal(x->items[299].statement, statement);
    const char *end = strstr(x->remedy, "; and ");
    assert_non_null(end);
    assert_non_null(strstr(end, " more"));
    assert_null(strstr(x->remedy, "words"));
    assert_non_null(strstr(x->cause, "public.t0, public.t1, "));
    findings_free(&f);
}

static void one_statement_for_many_is_said_once(void **state)
{
    struct findings f = {0};
    (void)state;
    struct finding *x = findings_begin(&f, "same", SEVERITY_ERROR);
    findings_item(x, "a", NULL, "GRANT x;");
    findings_item(x, "b", NULL, "GRANT x;");
    findings_end(&f, "title", "why", "");
    assert_string_equal(f.items[0].remedy, "GRANT x;");
    assert_string_equal(f.items[0].cause, "why");
    findings_begin(&f, "long", SEVERITY_INFO);
    char huge[2000];
    memset(huge, 'x', sizeof huge);
    huge[sizeof huge - 1] = '\0';
    findings_item(&f.items[1], "c", NULL, huge);
    findings_end(&f, "title", "", "see its statement");
    assert_string_equal(f.items[1].remedy, "see its statement");
    assert_string_equal(f.items[1].title, "title: c");
    findings_free(&f);
}

static void names_are_cut_between_characters(void **state)
{
    struct findings f = {0};
    char name[200] = "";
    (void)state;
    for (int i = 0; i < 60; i++)
        str_copy(name + 3 * i, sizeof name - 3 * (size_t)i, "\xe2\x82\xac");
    for (int shift = 0; shift < 3; shift++) {
        findings_begin(&f, "cut", SEVERITY_ERROR);
        findings_item(&f.items[f.n - 1], name + 3 * shift, NULL, NULL);
        findings_end(&f, shift == 0 ? "t" : shift == 1 ? "tt" : "ttt", "", "r");
        assert_true(utf8_is_valid(f.items[f.n - 1].title));
    }
    findings_free(&f);
}

static void the_most_severe_come_first(void **state)
{
    struct findings f = {0}, more = {0};
    (void)state;
    findings_add(&f, "a", SEVERITY_INFO, "", "", "", "");
    findings_add(&f, "b", SEVERITY_ERROR, "", "", "", "");
    findings_begin(&more, "c", SEVERITY_WARNING);
    findings_item(&more.items[0], "n", NULL, NULL);
    findings_end(&more, "t", "", "r");
    findings_add(&more, "d", SEVERITY_ERROR, "", "", "", "");
    findings_move(&f, &more);
    findings_sort(&f);
    assert_int_equal(more.n, 0);
    static const char *const order[] = {"b", "d", "c", "a"};
    for (size_t i = 0; i < COUNT_OF(order); i++)
        assert_string_equal(f.items[i].code, order[i]);
    assert_int_equal(f.items[2].n_items, 1);
    findings_free(&f);
}

static void a_verdict_is_that_of_the_worst_finding(void **state)
{
    struct verdict v = {0};
    (void)state;
    assert_string_equal(verdict_name(&v), "mirrored");
    verdict_add(&v, "x", SEVERITY_INFO);
    assert_string_equal(verdict_name(&v), "remarks");
    verdict_add(&v, "y", SEVERITY_ERROR);
    verdict_add(&v, "x", SEVERITY_WARNING);
    assert_string_equal(verdict_name(&v), "impossible");
    assert_int_equal(v.n, 2);
    verdict_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_about_nothing_is_taken_back),
        cmocka_unit_test(texts_hold_whole_statements_only),
        cmocka_unit_test(one_statement_for_many_is_said_once),
        cmocka_unit_test(names_are_cut_between_characters),
        cmocka_unit_test(the_most_severe_come_first),
        cmocka_unit_test(a_verdict_is_that_of_the_worst_finding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
