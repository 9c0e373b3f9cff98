/* How long the rest of a copy takes, told by units whose times are given: no server is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "copy/job.h"

#define RANGES 200
#define BLOCKS 1000 /* of a range */

/* A table that one worker copies, of a source that is not on this machine. */
struct world {
    struct pg_target dest;
    struct schema_table def;
    struct table_run table, *order[1];
    struct worker worker;
    struct snapshot_job job;
};

static void begin(struct world *w)
{
    *w = (struct world){0};
    w->dest.host = (char[]){"192.0.2.1"};
    w->def.n_columns = 3;
    w->def.pages = (int64_t)RANGES * BLOCKS;
    w->def.bytes = w->def.pages * 8192;
    w->def.rows = (double)w->def.pages * 100;
    w->table.def = &w->def;
    w->table.cut = (struct cut){.n = RANGES, .blocks = BLOCKS};
    w->table.root = &w->table;
    w->table.is_settled = true;
    w->worker.job = &w->job;
    w->job.plan.dest = &w->dest;
    w->job.plan.workers_per_table = 1;
    w->job.tables = &w->table;
    w->job.n_tables = 1;
    w->job.workers = &w->worker;
    w->job.n_workers = 1;
    w->job.ranges_left = RANGES;
    pthread_mutex_init(&w->job.lock, NULL);
    outlook_init(&w->job);
    w->job.began -= 60000; /* it speaks from the first second on */
}

/* So many of its ranges, each of which takes so long. */
static void copy(struct world *w, size_t n, double ms)
{
    for (size_t i = 0; i < n; i++) {
        w->worker.unit = (struct unit){UNIT_RANGE, 0, w->table.ranges_done};
        w->worker.unit_clock = w->job.clock;
        w->worker.unit_since = clock_mono_ms();
        w->job.clock += ms;
        outlook_note(&w->worker);
        w->table.heap_done += range_bytes(&w->table, w->table.ranges_done++);
        w->job.ranges_left--;
    }
}

static void assert_left(struct world *w, double ms)
{
    int64_t said = snapshot_eta_ms(&w->job);
    print_message("said %lld of %.0f ms\n", (long long)said, ms);
    assert_in_range(said, (uintmax_t)(0.8 * ms), (uintmax_t)(1.2 * ms));
}

static void an_even_pace_is_told_exactly(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    copy(&w, 20, 70);
    assert_left(&w, 180 * 70);
    copy(&w, 160, 70);
    assert_left(&w, 20 * 70);
    copy(&w, 20, 70);
    assert_int_equal(snapshot_eta_ms(&w.job), 0);
}

static void what_was_done_lately_counts(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    copy(&w, 100, 50);
    copy(&w, 50, 200); /* something else wants the machine now */
    assert_left(&w, 50 * 200);
}

static void one_slow_unit_is_no_new_pace(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    copy(&w, 100, 50);
    copy(&w, 1, 250);
    assert_left(&w, 99 * 50);
}

/* Measured on one processor: what a validation took, where an index's cost of 1 took 0.55 (of a
 * bigint) to 0.9 ms (of a uuid or text). */
static void a_validation_costs_what_it_takes_beside_an_index(void **state)
{
    static const struct {
        double rows, to_rows, ms;
    } all[] = {{3e3, 3e5, 70},  {3e4, 3e5, 80},  {75e3, 3e5, 110}, {3e5, 3e5, 230},
               {1e4, 1e6, 330}, {1e5, 1e6, 390}, {25e4, 1e6, 490}, {1e6, 1e6, 1100}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct schema_fkey fkey = {.to = 1, .validate_sql = (char[]){"x"}};
        struct schema_table defs[2] = {
            {.rows = all[i].rows,
             .pages = (int64_t)(all[i].rows / 185),
             .fkeys = &fkey,
             .n_fkeys = 1},
            {.rows = all[i].to_rows, .pages = (int64_t)(all[i].to_rows / 81)}};
        struct table_run tables[2] = {{.def = &defs[0]}, {.def = &defs[1]}};
        struct snapshot_job j = {.tables = tables, .n_tables = 2};
        double pace = all[i].ms / outlook_validation_cost(&j, &tables[0], 0);
        print_message("%.0f rows of %.0f: %.2f\n", all[i].rows, all[i].to_rows, pace);
        assert_true(pace > 0.45 && pace < 1.0);
        defs[0].rows = all[i].to_rows / 1000; /* these are looked up */
        assert_true(outlook_validation_cost(&j, &tables[0], 0) < 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_even_pace_is_told_exactly),
        cmocka_unit_test(what_was_done_lately_counts),
        cmocka_unit_test(one_slow_unit_is_no_new_pace),
        cmocka_unit_test(a_validation_costs_what_it_takes_beside_an_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
