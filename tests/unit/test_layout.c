/* The layout: at every size, nothing overlaps, nothing leaves the screen, and what has to be seen
 * is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ui/layout.h"

enum {
    RECTS = 12,
};

static void rects_of(const struct layout *l, const struct rect **out)
{
    const struct rect *all[RECTS] = {&l->head,    &l->crumbs, &l->fleet,   &l->info,
                                     &l->stages,  &l->flow,   &l->columns, &l->list,
                                     &l->finding, &l->log,    &l->message, &l->hint};
    for (int i = 0; i < RECTS; i++)
        out[i] = all[i];
}

static bool overlap(const struct rect *a, const struct rect *b)
{
    return a->h > 0 && b->h > 0 && a->y < b->y + b->h && b->y < a->y + a->h && a->x < b->x + b->w &&
           b->x < a->x + a->w;
}

static void check(const struct layout_request *q)
{
    struct layout l;
    const struct rect *r[RECTS];
    layout_compute(q, &l);
    rects_of(&l, r);
    for (int i = 0; i < RECTS; i++) {
        assert_true(r[i]->h >= 0 && r[i]->w >= 0);
        assert_true(r[i]->y >= 0 && r[i]->y + r[i]->h <= q->rows);
        assert_true(r[i]->x >= 0 && r[i]->x + r[i]->w <= q->cols);
        for (int k = i + 1; k < RECTS; k++)
            assert_false(overlap(r[i], r[k]));
    }
    assert_int_equal(l.head.h, 1);
    assert_int_equal(l.tiny, q->rows < 6 || q->cols < 40);
    if (l.tiny)
        return;
    assert_int_equal(l.message.h, 1);
    assert_int_equal(l.hint.h, 1);
    assert_int_equal(l.hint.y, q->rows - 1);
    assert_true(q->zoom == ZOOM_LOG && q->kind != LAYOUT_PAGE ? l.log.h > 0 : l.list.h > 0);
}

static void test_every_size_is_sound(void **state)
{
    (void)state;
    for (int kind = LAYOUT_LIST; kind <= LAYOUT_PAGE; kind++)
        for (int zoom = ZOOM_NONE; zoom <= ZOOM_LOG; zoom++)
            for (int rows = 1; rows <= 60; rows++)
                for (int cols = 1; cols <= 200; cols += cols < 45 ? 1 : 7)
                    for (int items = 0; items <= 200; items += items < 10 ? 1 : 95) {
                        struct layout_request q = {rows, cols, (enum layout_kind)kind,
                                                   (enum layout_zoom)zoom, items};
                        check(&q);
                    }
}

static struct layout at(int rows, int cols, int items)
{
    struct layout l;
    layout_compute(&(struct layout_request){rows, cols, LAYOUT_LIST, ZOOM_NONE, items}, &l);
    return l;
}

static void test_80x24_is_complete(void **state)
{
    struct layout l = at(24, 80, 7);
    (void)state;
    assert_true(l.list.h >= 7);
    assert_true(l.finding.h >= 5);
    assert_true(l.log.h >= 5);
    assert_int_equal(l.crumbs.h, 1);
    assert_false(l.side_by_side);
}

static void test_log_goes_first_then_the_finding(void **state)
{
    bool log = true, finding = true;
    (void)state;
    for (int rows = 60; rows >= 6; rows--) {
        struct layout l = at(rows, 80, 30);
        assert_true(log || l.log.h == 0); /* once gone, gone */
        assert_true(finding || l.finding.h == 0);
        log = l.log.h > 0;
        finding = l.finding.h > 0;
        assert_true(finding || !log);
    }
    assert_false(log || finding);
}

static void test_wide_terminals_have_panes_side_by_side(void **state)
{
    struct layout l = at(40, 120, 7);
    (void)state;
    assert_true(l.side_by_side);
    assert_int_equal(l.finding.y, l.log.y);
    assert_int_equal(l.finding.x + l.finding.w + 1, l.log.x);
    assert_int_equal(l.log.x + l.log.w, 120);
    assert_false(at(40, 109, 7).side_by_side);
}

static void test_large_terminals_sum_all_mirrors_up(void **state)
{
    (void)state;
    assert_int_equal(at(40, 120, 7).fleet.h, 3);
    assert_int_equal(at(40, 109, 7).fleet.h, 0);
    assert_int_equal(at(24, 120, 7).fleet.h, 0);
    assert_true(at(34, 110, 200).list.h >= 10);
}

static void test_large_terminals_say_more_of_a_mirror(void **state)
{
    struct layout l;
    (void)state;
    layout_compute(&(struct layout_request){40, 120, LAYOUT_DETAIL, ZOOM_NONE, 64}, &l);
    assert_true(l.info.h == 1 && l.stages.h == 2 && l.flow.h == 4 && l.list.h >= 10);
    layout_compute(&(struct layout_request){40, 120, LAYOUT_DETAIL, ZOOM_MAIN, 64}, &l);
    assert_true(l.info.h == 2 && l.stages.h == 0 && l.flow.h == 0);
    layout_compute(&(struct layout_request){24, 80, LAYOUT_DETAIL, ZOOM_NONE, 64}, &l);
    assert_true(l.info.h == 2 && l.stages.h == 0 && l.flow.h == 0);
}

static void test_a_short_list_gives_its_lines_to_the_log(void **state)
{
    (void)state;
    assert_true(at(24, 80, 2).log.h > at(24, 80, 20).log.h);
    assert_true(at(24, 80, 2).list.h >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_size_is_sound),
        cmocka_unit_test(test_80x24_is_complete),
        cmocka_unit_test(test_log_goes_first_then_the_finding),
        cmocka_unit_test(test_wide_terminals_have_panes_side_by_side),
        cmocka_unit_test(test_large_terminals_sum_all_mirrors_up),
        cmocka_unit_test(test_large_terminals_say_more_of_a_mirror),
        cmocka_unit_test(test_a_short_list_gives_its_lines_to_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
