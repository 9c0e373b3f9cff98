/* Workers that do not move are found, whatever the clock says; all others are left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/log.h"

#define LIMIT_MS 5000

static int64_t now = 1000000; /* of all tests: it never goes back */
static int n_told;
static char why_told[256];

static void tell(void *arg, const char *why)
{
    assert_ptr_equal(arg, &n_told);
    n_told++;
    strncpy(why_told, why, sizeof why_told - 1);
}

static const struct beat_worker us = {
    .name = "b:copy-1", .mirror = "orders", .cancel = tell, .arg = &n_told};

/* So many looks, a second apart; how often somebody was late. */
static size_t look(int times)
{
    size_t n = 0;
    for (int i = 0; i < times; i++)
        n += beat_look(now += 1000, LIMIT_MS);
    return n;
}

static void who_does_not_move_is_told_once_and_again_after_it_moved(void **state)
{
    (void)state;
    n_told = 0;
    beat_enter(&us);
    beat_does("copies %s", "public.t");
    assert_int_equal(look(5), 0); /* it had moved before the first of them */
    assert_int_equal(look(1), 1);
    assert_int_equal(n_told, 1);
    assert_non_null(strstr(why_told, "b:copy-1"));
    assert_non_null(strstr(why_told, "5 s"));
    assert_non_null(strstr(why_told, "it copies public.t"));
    assert_int_equal(look(20), 0);
    beat_move();
    assert_int_equal(look(5), 0);
    assert_int_equal(look(1), 1);
    assert_int_equal(n_told, 2);
    beat_leave();
    assert_int_equal(look(20), 0);
}

static void who_moves_or_rests_is_left_alone(void **state)
{
    (void)state;
    n_told = 0;
    beat_enter(&us);
    for (int i = 0; i < 30; i++) {
        beat_move();
        assert_int_equal(look(4), 0);
    }
    beat_rests();
    assert_int_equal(look(100), 0);
    beat_move(); /* the rest is over */
    assert_int_equal(look(5), 0);
    assert_int_equal(look(1), 1);
    assert_int_equal(n_told, 1);
    beat_leave();
}

/* A process that was stopped, a machine that slept: nobody has looked, and nobody has moved. */
static void time_in_which_nobody_looked_does_not_count(void **state)
{
    (void)state;
    n_told = 0;
    beat_enter(&us);
    beat_move();
    assert_int_equal(look(1), 0);
    now += 3600000;
    assert_int_equal(look(1), 0);
    now -= 1800000; /* nor does a clock that goes back */
    assert_int_equal(look(1), 0);
    assert_int_equal(n_told, 0);
    assert_int_equal(look(3), 1);
    beat_leave();
}

static void what_each_does_and_since_when_is_listed(void **state)
{
    struct beat_sight *all;
    size_t n;
    (void)state;
    beat_does("is not there"); /* entered nowhere: nothing happens */
    beat_move();
    beat_rests();
    beat_leave();
    beat_enter(&(struct beat_worker){.name = "b:smp eu", .peer = "eu"});
    beat_does("asks for its slots");
    all = beat_list(&n);
    assert_int_equal(n, 1);
    assert_string_equal(all[0].name, "b:smp eu");
    assert_string_equal(all[0].peer, "eu");
    assert_string_equal(all[0].mirror, "");
    assert_string_equal(all[0].does, "asks for its slots");
    assert_false(all[0].is_resting || all[0].is_late);
    int64_t since = all[0].since;
    assert_true(since > 0);
    free(all);
    beat_does("asks for its slots"); /* the same, still */
    beat_rests();
    all = beat_list(&n);
    assert_true(all[0].since == since && all[0].is_resting);
    free(all);
    assert_int_equal(look(2), 0);
    beat_move();
    assert_int_equal(look(6), 1); /* nobody can cancel it: it is shown */
    all = beat_list(&n);
    assert_true(all[0].is_late && all[0].still_ms == 5000);
    assert_true(beat_is_any_late());
    free(all);
    beat_move();
    assert_int_equal(look(1), 0);
    assert_false(beat_is_any_late());
    assert_int_equal(look(5), 1);
    assert_true(beat_is_any_late());
    beat_leave();
    assert_false(beat_is_any_late());
    free(beat_list(&n));
    assert_int_equal(n, 0);
}

/* --- a cancel under way ------------------------------------------------------------------------
 */

static atomic_bool is_in, is_telling, may_end, is_told, is_leaving, has_left;

static void tell_slowly(void *arg, const char *why)
{
    (void)arg;
    (void)why;
    atomic_store(&is_telling, true);
    while (!atomic_load(&may_end))
        sched_yield();
    atomic_store(&is_told, true);
}

static void *work(void *arg)
{
    beat_enter(&(struct beat_worker){.name = "b:w", .mirror = "m", .cancel = tell_slowly});
    atomic_store(&is_in, true);
    while (!atomic_load(&is_telling))
        sched_yield();
    atomic_store(&is_leaving, true);
    beat_leave();
    atomic_store(&has_left, true);
    return atomic_load(&is_told) ? arg : NULL;
}

static void *look_until_late(void *arg)
{
    assert_int_equal(look(6), 1);
    return arg;
}

/* What the cancel works on is freed once the worker has left. */
static void a_worker_leaves_after_its_cancel(void **state)
{
    pthread_t worker, looker;
    void *was_told = NULL;
    (void)state;
    assert_int_equal(pthread_create(&worker, NULL, work, &n_told), 0);
    while (!atomic_load(&is_in))
        sched_yield();
    assert_int_equal(pthread_create(&looker, NULL, look_until_late, NULL), 0);
    while (!atomic_load(&is_leaving))
        sched_yield();
    for (int i = 0; i < 10000; i++)
        sched_yield();
    assert_false(atomic_load(&has_left));
    atomic_store(&may_end, true);
    pthread_join(looker, NULL);
    pthread_join(worker, &was_told);
    assert_non_null(was_told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_does_not_move_is_told_once_and_again_after_it_moved),
        cmocka_unit_test(who_moves_or_rests_is_left_alone),
        cmocka_unit_test(time_in_which_nobody_looked_does_not_count),
        cmocka_unit_test(what_each_does_and_since_when_is_listed),
        cmocka_unit_test(a_worker_leaves_after_its_cancel),
    };
    log_to_fd(-1, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
