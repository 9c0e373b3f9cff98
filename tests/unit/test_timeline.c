/* Histories of timelines: what a promoted standby has of what was applied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "stream/timeline.h"

/* As a server writes them; the third was restored, the fifth promoted. */
static const char history[] = "1\t0/3000148\tno recovery target specified\n"
                              "\n"
                              "2\t1/A0\tbefore 2026-11-28 09:00:00+00\n"
                              "# a remark\n"
                              "4\t1/FF000000\tno recovery target specified\n";

static bool ends(int id, lsn_t start, lsn_t *end)
{
    return timeline_end(history, &(struct timeline){.id = id, .start = start}, end);
}

static void a_timeline_starts_where_its_parent_was_left(void **state)
{
    (void)state;
    assert_true(timeline_start(history) == 0x1FF000000);
    assert_true(timeline_start("") == 0);
    assert_true(timeline_start("nothing of the kind\n1\n2 x\n-1\t0/1\tno\n") == 0);
    assert_true(timeline_start("1\t0/20") == 0x20); /* no line end, no reason */
    assert_true(timeline_start("1\t0/20\n2\tx\n0\t0/30\n-3\t0/40\n4294967298\t0/50\nx\n") == 0x20);
}

static void a_history_says_where_it_left_each(void **state)
{
    lsn_t end;
    (void)state;
    assert_true(ends(1, 0, &end) && end == 0x3000148);
    assert_true(ends(2, 0x3000148, &end) && end == 0x1000000A0);
    assert_true(ends(4, 0x1000000A0, &end) && end == 0x1FF000000);
}

static void another_one_of_the_same_number_is_not_part_of_it(void **state)
{
    lsn_t end;
    (void)state;
    assert_false(ends(2, 0x3000000, &end));
    assert_false(ends(3, 0x1000000A0, &end));
    assert_false(ends(5, 0x1FF000000, &end)); /* the present one was not left */
    assert_true(ends(2, 0, &end));            /* where it began is not known */
    assert_false(timeline_end("1\t0/20\n2\tx\n", &(struct timeline){.id = 2}, &end));
}

static void timelines_are_the_same_unless_they_are_known_to_differ(void **state)
{
    (void)state;
    struct timeline a = {.id = 2, .start = 16}, b = a;
    assert_true(timeline_is_same(&a, &b));
    b.start = 32;
    assert_false(timeline_is_same(&a, &b));
    b.start = 0;
    assert_true(timeline_is_same(&a, &b) && timeline_is_same(&b, &a));
    b.id = 3;
    assert_false(timeline_is_same(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeline_starts_where_its_parent_was_left),
        cmocka_unit_test(a_history_says_where_it_left_each),
        cmocka_unit_test(another_one_of_the_same_number_is_not_part_of_it),
        cmocka_unit_test(timelines_are_the_same_unless_they_are_known_to_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
