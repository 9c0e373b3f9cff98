/* A hold: who asks is told that the stream stands only when it does, exactly where it was asked to,
 * and the stream is never kept for long. Here the test is the stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/wake.h"
#include "pg/pg.h"
#include "stream/hold.h"

static struct hold *h;
static int wake_fd;
static struct err err;

static int setup(void **state)
{
    (void)state;
    h = hold_new();
    wake_fd = wake_new();
    err = (struct err){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hold_free(h);
    wake_free(wake_fd);
    return 0;
}

static bool is_woken(void)
{
    struct pollfd p = {.fd = wake_fd, .events = POLLIN};
    bool is = poll(&p, 1, 0) == 1;
    wake_clear(wake_fd);
    return is;
}

static void test_nobody_asks_nobody_waits(void **state)
{
    (void)state;
    assert_false(hold_has_stream(h));
    hold_attach(h, 100, wake_fd);
    assert_true(hold_has_stream(h));
    assert_int_equal(hold_lsn(h), 0);
    assert_true(hold_lets_in(h, 5000));
    assert_false(hold_release(h));
}

static void test_it_stands_where_it_was_asked_to(void **state)
{
    (void)state;
    hold_attach(h, 100, wake_fd);
    hold_ask(h, 200);
    assert_true(is_woken());
    assert_true(hold_lets_in(h, 199));
    assert_false(hold_lets_in(h, 200));
    hold_stand(h, 200);
    assert_true(hold_is_standing(h));
    assert_true(hold_await(h, 200, NULL, 1000, &err));
    assert_false(hold_lets_in(h, 200));
    assert_true(hold_release(h));
    assert_true(is_woken());
    assert_true(hold_lets_in(h, 200));
    assert_false(hold_release(h)); /* once */
}

static void test_the_place_moves_on_but_not_back(void **state)
{
    (void)state;
    hold_attach(h, 100, wake_fd);
    hold_ask(h, 200);
    hold_stand(h, 200);
    hold_ask(h, 150);
    assert_int_equal(hold_lsn(h), 200);
    hold_ask(h, 300);
    assert_false(hold_is_standing(h));
    assert_true(hold_lets_in(h, 299));
    hold_stand(h, 200); /* said before it had seen the new place */
    assert_false(hold_is_standing(h));
}

/* The consistent point may turn out to be before the place that was guessed. */
static void test_the_last_place_may_be_before_the_one_asked_for(void **state)
{
    (void)state;
    hold_attach(h, 100, wake_fd);
    hold_ask(h, 300);
    assert_true(hold_lets_in(h, 150));
    hold_stand(h, 300);
    assert_false(hold_await(h, 200, NULL, 1, &err)); /* it stood elsewhere: nobody has looked */
    assert_int_equal(err.code, ERR_TIMEOUT);
    hold_ask(h, 300);
    assert_true(hold_lets_in(h, 250));
    assert_false(hold_await(h, 200, NULL, 10000, &err));
    assert_non_null(strstr(err.text, "faster"));
    assert_int_equal(hold_lsn(h), 0);
}

static void test_what_began_before_is_not_undone(void **state)
{
    (void)state;
    hold_attach(h, 100, wake_fd);
    assert_true(hold_lets_in(h, 500));
    hold_ask(h, 200);
    assert_int_equal(hold_lsn(h), 501);
    assert_false(hold_lets_in(h, 600));
    assert_false(hold_await(h, 500, NULL, 10000, &err));
    assert_non_null(strstr(err.text, "faster"));
    assert_true(hold_lets_in(h, 600));
}

static void test_a_progress_behind_the_place_is_too_far(void **state)
{
    (void)state;
    hold_attach(h, 1000, wake_fd);
    assert_false(hold_await(h, 999, NULL, 10000, &err));
    assert_non_null(strstr(err.text, "faster"));
}

static void test_nobody_waits_for_long(void **state)
{
    (void)state;
    int64_t began = clock_mono_ms();
    hold_attach(h, 100, wake_fd);
    hold_ask(h, 200);
    while (!hold_lets_in(h, 200) && clock_mono_ms() - began < 10000)
        (void)poll(NULL, 0, 20);
    int64_t took = clock_mono_ms() - began;
    assert_true(took >= 1900 && took < 4000);
    assert_int_equal(hold_lsn(h), 0);
    hold_ask(h, 300); /* before the one who asks has noticed */
    assert_int_equal(hold_lsn(h), 0);
    assert_false(hold_await(h, 300, NULL, 10000, &err));
    assert_non_null(strstr(err.text, "longer"));
    hold_ask(h, 300); /* the next try */
    assert_int_equal(hold_lsn(h), 300);
}

static void test_a_stream_that_ends_stands_nowhere(void **state)
{
    (void)state;
    assert_false(hold_await(h, 200, NULL, 10000, &err));
    assert_non_null(strstr(err.text, "interrupted"));
    hold_attach(h, 100, wake_fd);
    hold_stand(h, 0);
    hold_ask(h, 200);
    hold_stand(h, 200);
    assert_true(hold_await(h, 200, NULL, 1000, &err));
    hold_detach(h);
    assert_false(hold_release(h));
    hold_attach(h, 100, wake_fd); /* the next one is free */
    assert_true(hold_lets_in(h, 300));
}

static bool is_cancelled(void *arg)
{
    return atomic_load((atomic_bool *)arg);
}

static void test_waiting_ends_on_command(void **state)
{
    (void)state;
    atomic_bool stop = true;
    struct task task = {.wake_fd = -1, .is_cancelled = is_cancelled, .arg = &stop};
    hold_attach(h, 100, wake_fd);
    assert_false(hold_await(h, 200, &task, 10000, &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_true(hold_lets_in(h, 200));
}

/* --- With a thread for each ------------------------------------------------------------------- */

static atomic_bool is_over;
static atomic_ullong applied; /* every transaction up to it */

/* Transactions commit at 10, 20, 30, …; each is applied at once. */
static void *stream(void *arg)
{
    (void)arg;
    hold_attach(h, 0, wake_fd);
    for (lsn_t next = 10; !atomic_load(&is_over);) {
        lsn_t lsn = hold_lsn(h);
        if (hold_lets_in(h, next)) {
            atomic_store(&applied, next);
            next += 10;
        } else if (lsn && next >= lsn) {
            hold_stand(h, lsn);
        }
    }
    hold_detach(h);
    return NULL;
}

static void test_what_is_applied_is_exact(void **state)
{
    (void)state;
    pthread_t thread;
    int stood = 0, tries = 0;
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&thread, NULL, stream, NULL), 0);
    while (!hold_has_stream(h))
        (void)poll(NULL, 0, 1);
    for (; stood < 200 && tries < 20000; tries++) {
        lsn_t from = atomic_load(&applied);
        hold_ask(h, from + 5);
        lsn_t place = from + 1000 + (lsn_t)tries % 10;
        hold_ask(h, from + 500);
        if (!hold_await(h, place, NULL, 10000, &err))
            continue;
        for (int i = 0; i < 100; i++)
            assert_true(atomic_load(&applied) == (place - 1) / 10 * 10);
        stood += hold_release(h);
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    assert_int_equal(stood, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nobody_asks_nobody_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_stands_where_it_was_asked_to, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_place_moves_on_but_not_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_last_place_may_be_before_the_one_asked_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_began_before_is_not_undone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_progress_behind_the_place_is_too_far, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_nobody_waits_for_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stream_that_ends_stands_nowhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting_ends_on_command, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_applied_is_exact, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
