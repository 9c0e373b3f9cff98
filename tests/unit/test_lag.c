/* Lag in seconds: how long it took until a position of the source was reached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "control/lag.h"
#include "control/recent.h"

static struct lag l;

static int setup(void **state)
{
    (void)state;
    lag_init(&l);
    return 0;
}

static void assert_lag(int64_t now_ms, double seconds)
{
    assert_true(lag_seconds(&l, now_ms) == seconds);
}

static void it_is_unknown_before_the_first_sample(void **state)
{
    (void)state;
    assert_true(lag_seconds(&l, 1000) < 0);
    lag_reach(&l, 100, 1000);
    assert_true(lag_seconds(&l, 2000) < 0);
}

static void it_is_the_time_to_reach_a_sample(void **state)
{
    (void)state;
    lag_sample(&l, 100, 1000);
    lag_reach(&l, 99, 1500); /* not quite */
    assert_lag(1500, 0.5);
    lag_reach(&l, 100, 1750);
    assert_lag(1750, 0.75);
    assert_lag(9000, 0.75); /* all is reached: it does not grow */
}

static void it_grows_with_the_age_of_what_is_not_reached(void **state)
{
    (void)state;
    lag_sample(&l, 100, 1000);
    lag_sample(&l, 200, 2000);
    lag_sample(&l, 300, 3000);
    assert_lag(5000, 4);
    lag_reach(&l, 250, 6000); /* the newest of those that are reached counts */
    assert_lag(6000, 4);
    assert_lag(8000, 5); /* of 300 */
    lag_reach(&l, 1000, 8000);
    assert_lag(8000, 5);
}

/* Nothing was written since: the first moment at which the position was there counts. */
static void a_source_at_rest_is_not_lag(void **state)
{
    (void)state;
    lag_sample(&l, 100, 1000);
    lag_sample(&l, 100, 2000);
    lag_sample(&l, 100, 3000);
    assert_int_equal(l.n, 1);
    assert_lag(3000, 2);
    lag_reach(&l, 100, 3000);
    lag_sample(&l, 100, 60000);
    lag_reach(&l, 100, 60000);
    assert_lag(60000, 0);
}

static void a_full_ring_keeps_its_oldest(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * LAG_SAMPLES; i++)
        lag_sample(&l, 100 + (lsn_t)i, 1000 * (int64_t)i);
    assert_int_equal(l.n, LAG_SAMPLES);
    assert_lag(2000000, 2000);
    lag_reach(&l, 99 + 3 * LAG_SAMPLES, 1000 * (3 * LAG_SAMPLES - 1)); /* the newest is there too */
    assert_int_equal(l.n, 0);
    assert_lag(9000000, 0);
}

static void the_ring_goes_round(void **state)
{
    (void)state;
    for (int i = 0; i < 5 * LAG_SAMPLES; i++) {
        lag_sample(&l, 100 + (lsn_t)i, 1000 * (int64_t)i);
        if (i >= 10)
            lag_reach(&l, 100 + (lsn_t)i - 10, 1000 * (int64_t)i);
    }
    assert_int_equal(l.n, 10);
    assert_lag(1000 * (5 * LAG_SAMPLES - 1), 10);
}

static void errors_of_the_last_hour_are_counted_by_its_parts(void **state)
{
    const int64_t minute = 60000, begin = 7 * minute;
    struct recent r = {0};
    int parts[ERROR_HISTORY] = {0};
    (void)state;
    recent_note(&r, 2, begin, parts);
    recent_note(&r, 2, begin + minute, parts);
    assert_int_equal(parts[ERROR_HISTORY - 1], 2);
    recent_note(&r, 5, begin + 5 * minute, parts);
    assert_int_equal(parts[ERROR_HISTORY - 2], 2);
    assert_int_equal(parts[ERROR_HISTORY - 1], 3);
    recent_note(&r, 5, begin + 59 * minute, parts);
    assert_int_equal(parts[0], 2);
    assert_int_equal(parts[1], 3);
    recent_note(&r, 6, begin + 60 * minute, parts);
    assert_int_equal(parts[0], 3);
    assert_int_equal(parts[ERROR_HISTORY - 1], 1);
    recent_note(&r, 6, begin + 600 * minute, parts); /* nobody looked for nine hours */
    for (int i = 0; i < ERROR_HISTORY; i++)
        assert_int_equal(parts[i], 0);
}

#define LAG_TEST(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAG_TEST(it_is_unknown_before_the_first_sample),
        LAG_TEST(it_is_the_time_to_reach_a_sample),
        LAG_TEST(it_grows_with_the_age_of_what_is_not_reached),
        LAG_TEST(a_source_at_rest_is_not_lag),
        LAG_TEST(a_full_ring_keeps_its_oldest),
        LAG_TEST(the_ring_goes_round),
        LAG_TEST(errors_of_the_last_hour_are_counted_by_its_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
