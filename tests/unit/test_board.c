/* The board of a mirror: what is published is seen whole, by everybody, while it changes (the last
 * tests are for ThreadSanitizer). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/board.h"

#define ROUNDS 2000

static struct board *b;
static atomic_int changes;

static void changed(void *arg)
{
    (void)arg;
    atomic_fetch_add(&changes, 1);
}

static int setup(void **state)
{
    (void)state;
    atomic_store(&changes, 0);
    b = board_new(changed, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    board_free(b);
    return 0;
}

static struct mirror_status look(void)
{
    struct mirror_status s;
    struct board_lists *lists;
    board_copy(b, &s, &lists);
    board_lists_release(lists);
    s.tables = NULL;
    s.findings = NULL;
    return s;
}

static struct slot_status slot_at(lsn_t confirmed)
{
    return (struct slot_status){
        .exists = true, .active = true, .wal_status = "reserved", .confirmed_flush = confirmed};
}

static void nothing_is_known_at_first(void **state)
{
    (void)state;
    struct mirror_status s = look();
    assert_int_equal(s.lag_bytes, -1);
    assert_true(s.lag_seconds < 0);
    assert_int_equal(s.slot.sampled_at, 0);
    assert_int_equal(s.slot.safe_wal_size, -1);
    assert_int_equal(s.slot.xmin_age, -1);
    for (size_t i = 0; i < LAG_HISTORY; i++)
        assert_true(s.lag_history[i] < 0 && s.rows_history[i] < 0);
    struct slot_status slot = slot_at(1);
    board_sample(b, &slot, 500); /* no position of ours: no lag either */
    assert_int_equal(look().lag_bytes, -1);
    assert_true(look().lag_seconds < 0);
}

static void a_copy_is_the_readers_own(void **state)
{
    struct table_status tables[2] = {{.source = "public.a", .rows_synced = 1},
                                     {.source = "public.b", .rows_synced = 2}};
    struct finding finding = {.code = "one"};
    struct mirror_status s = {
        .name = "m", .n_tables = 2, .tables = tables, .n_findings = 1, .findings = &finding};
    struct mirror_status seen;
    struct board_lists *lists;
    (void)state;
    board_publish(b, &s, 0);
    assert_int_equal(atomic_load(&changes), 1);
    tables[0].rows_synced = 77; /* the board has its own */
    board_copy(b, &seen, &lists);
    s.n_tables = s.n_findings = 0;
    board_publish(b, &s, 0); /* and the reader too */
    assert_string_equal(seen.name, "m");
    assert_int_equal(seen.n_tables, 2);
    assert_int_equal(seen.tables[0].rows_synced, 1);
    assert_string_equal(seen.tables[1].source, "public.b");
    assert_string_equal(seen.findings[0].code, "one");
    board_lists_release(lists);
    board_copy(b, &seen, &lists);
    assert_int_equal(seen.n_tables, 0);
    assert_null(lists);
}

/* Whoever keeps what was made from a status knows by its revision whether it is still right. */
static void the_revision_grows_with_each_change(void **state)
{
    struct mirror_status s = {.name = "m"};
    struct slot_status slot = slot_at(1);
    (void)state;
    board_publish(b, &s, 0);
    uint64_t first = look().revision;
    assert_int_equal(look().revision, first);
    board_sample(b, &slot, 500);
    uint64_t second = look().revision;
    assert_true(second > first);
    board_sample(b, &slot, 500); /* nothing new */
    assert_int_equal(look().revision, second);
    board_history(b);
    assert_true(look().revision > second);
    struct board *other = board_new(changed, NULL);
    struct mirror_status seen;
    struct board_lists *lists;
    board_publish(other, &s, 0);
    board_copy(other, &seen, &lists);
    assert_true(seen.revision > look().revision);
    board_lists_release(lists);
    board_free(other);
}

static void slot_and_lag_belong_to_the_sampler(void **state)
{
    struct mirror_status s = {.name = "m", .lag_bytes = 9, .source_lsn = 9, .lag_seconds = 9};
    struct slot_status slot = slot_at(400);
    (void)state;
    board_sample(b, &slot, 1000);
    board_publish(b, &s, 600);
    struct mirror_status seen = look();
    assert_int_equal(seen.source_lsn, 1000);
    assert_int_equal(seen.slot.confirmed_flush, 400);
    assert_int_equal(seen.lag_bytes, 400);
    board_reach(b, 900);
    assert_int_equal(look().lag_bytes, 100);
    board_reach(b, 500); /* never back */
    board_publish(b, &s, 0);
    assert_int_equal(look().lag_bytes, 100);
    board_reach(b, 1200); /* the sample is older than what was read since */
    assert_int_equal(look().lag_bytes, 0);
    assert_true(look().lag_seconds >= 0 && look().lag_seconds < 60);
}

static void only_visible_changes_are_told(void **state)
{
    struct slot_status slot = slot_at(400);
    (void)state;
    board_sample(b, &slot, 1000);
    assert_int_equal(atomic_load(&changes), 1);
    slot.sampled_at = 12345;
    board_sample(b, &slot, 1000);
    board_reach(b, 10);
    board_heartbeat(b);
    assert_int_equal(atomic_load(&changes), 1);
    slot.active = false;
    board_sample(b, &slot, 1000);
    board_sample(b, &slot, 1001);
    assert_int_equal(atomic_load(&changes), 3);
}

static void history_moves_by_one(void **state)
{
    struct slot_status slot = slot_at(400);
    (void)state;
    board_history(b);
    assert_true(look().lag_history[LAG_HISTORY - 1] < 0);
    board_reach(b, 1000);
    board_sample(b, &slot, 1000); /* reached: no lag */
    board_history(b);
    struct mirror_status s = look();
    assert_true(s.lag_history[LAG_HISTORY - 1] >= 0);
    assert_true(s.lag_history[LAG_HISTORY - 2] < 0);
    for (int i = 0; i < LAG_HISTORY - 1; i++)
        board_history(b);
    assert_true(look().lag_history[0] >= 0);
}

static void rates_and_errors_are_kept_over_publications(void **state)
{
    struct mirror_status s = {.rows_per_second = 3100, .counters.errors = 2};
    (void)state;
    board_publish(b, &s, 0);
    board_history(b);
    s = (struct mirror_status){.counters.errors = 3};
    board_publish(b, &s, 0);
    board_history(b);
    s = look();
    assert_true(s.rows_history[LAG_HISTORY - 3] < 0);
    assert_true(s.rows_history[LAG_HISTORY - 2] == 3100.0F);
    assert_true(s.rows_history[LAG_HISTORY - 1] == 0.0F);
    int sum = 0;
    for (int i = 0; i < ERROR_HISTORY; i++)
        sum += s.error_history[i];
    assert_int_equal(sum, 3);
}

/* --- threads ---------------------------------------------------------------------------------- */

static atomic_bool stop;

/* All numbers of one publication are the same, so that a torn copy shows. */
static void *publish(void *arg)
{
    (void)arg;
    for (int64_t i = 1; i <= ROUNDS; i++) {
        struct table_status tables[5] = {{.rows_synced = 0}};
        size_t n = 1 + (size_t)i % 5;
        for (size_t k = 0; k < n; k++)
            tables[k].rows_synced = i;
        struct finding finding = {.code = "x"};
        struct mirror_status s = {.n_tables = n,
                                  .tables = tables,
                                  .last_batch_id = i,
                                  .bytes_done = i,
                                  .n_findings = (size_t)i % 2,
                                  .findings = &finding};
        board_publish(b, &s, (lsn_t)i);
        board_reach(b, (lsn_t)i);
        board_heartbeat(b);
    }
    atomic_store(&stop, true);
    return NULL;
}

static void *sample(void *arg)
{
    (void)arg;
    for (lsn_t i = 1; !atomic_load(&stop); i++) {
        struct slot_status slot = slot_at(i);
        slot.restart = i;
        board_sample(b, &slot, i);
        if (i % 10 == 0)
            board_history(b);
    }
    return NULL;
}

/* Returns what was torn, NULL if nothing: assertions belong to the test's own thread. */
static void *copy(void *arg)
{
    int64_t last = 0;
    const char *torn = NULL;
    (void)arg;
    while (!torn && !atomic_load(&stop)) {
        struct mirror_status s;
        struct board_lists *lists;
        board_copy(b, &s, &lists);
        if (s.last_batch_id != s.bytes_done)
            torn = "numbers";
        if (s.last_batch_id && s.n_tables != 1 + (size_t)s.last_batch_id % 5)
            torn = "number of tables";
        for (size_t i = 0; i < s.n_tables; i++)
            if (s.tables[i].rows_synced != s.last_batch_id)
                torn = "tables";
        if (s.n_findings && strcmp(s.findings[0].code, "x") != 0)
            torn = "findings";
        if (s.slot.restart != s.slot.confirmed_flush || s.slot.restart != s.source_lsn)
            torn = "slot";
        if (s.last_batch_id < last)
            torn = "order";
        last = s.last_batch_id;
        board_lists_release(lists);
    }
    return (void *)(uintptr_t)torn;
}

static void copies_are_whole_while_it_changes(void **state)
{
    void *(*const work[])(void *) = {publish, sample, copy, copy};
    pthread_t threads[COUNT_OF(work)];
    (void)state;
    atomic_store(&stop, false);
    for (size_t i = 0; i < COUNT_OF(work); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work[i], NULL), 0);
    for (size_t i = 0; i < COUNT_OF(work); i++) {
        void *torn;
        pthread_join(threads[i], &torn);
        if (torn)
            fail_msg("torn: %s", (const char *)torn);
    }
    assert_int_equal(look().last_batch_id, ROUNDS);
    assert_true(atomic_load(&changes) >= ROUNDS);
}

#define BOARD_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOARD_TEST(nothing_is_known_at_first),
        BOARD_TEST(a_copy_is_the_readers_own),
        BOARD_TEST(the_revision_grows_with_each_change),
        BOARD_TEST(slot_and_lag_belong_to_the_sampler),
        BOARD_TEST(only_visible_changes_are_told),
        BOARD_TEST(history_moves_by_one),
        BOARD_TEST(rates_and_errors_are_kept_over_publications),
        BOARD_TEST(copies_are_whole_while_it_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
