/* The guard of the connections: slow clients are hung up on, who waits longest gives way, nobody
 * is while an answer is made, and bodies have a bound. Each connection is one end of a socket pair;
 * the other end sees whether it was hung up on. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "src/http/guard.h"
#include "tests/unit/promise.h"

#define NEVER_MS 3600000

struct pair {
    int ours, clients;
    struct guarded *guarded;
};

static struct guard *start(unsigned most, int64_t limit_ms)
{
    struct guard *g;
    struct err err;
    assert_true(guard_start("test", most, limit_ms, &g, &err));
    return g;
}

/* Later than those before it, by the clock that the guard looks at. */
static void later(void)
{
    for (int64_t now = clock_mono_ms(); clock_mono_ms() == now;)
        ;
}

static struct pair connect_to(struct guard *g)
{
    int fds[2];
    later();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    return (struct pair){fds[0], fds[1], guard_opened(g, fds[0])};
}

static void close_pair(struct pair *p)
{
    guard_closed(p->guarded);
    close(p->ours);
    close(p->clients);
}

static bool is_hung_up(const struct pair *p, int wait_ms)
{
    struct pollfd fd = {.fd = p->clients, .events = POLLIN};
    return poll(&fd, 1, wait_ms) == 1 && (fd.revents & POLLHUP);
}

static void slow_clients_are_hung_up_on(void **state)
{
    (void)state;
    struct guard *g = start(10, 300);
    enum guard_state waits[] = {GUARD_IDLE, GUARD_READING, GUARD_SENDING};
    struct pair p[COUNT_OF(waits)], answered = connect_to(g);
    int64_t began = clock_mono_ms();
    guard_enter(answered.guarded, GUARD_ANSWERING);
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        p[i] = connect_to(g);
        guard_enter(p[i].guarded, waits[i]);
    }
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        assert_false(clock_mono_ms() - began < 250 && is_hung_up(&p[i], 0));
        assert_true(is_hung_up(&p[i], 5000));
        assert_true(clock_mono_ms() - began >= 300);
    }
    /* an answer may take as long as it takes; the limit begins anew behind it */
    assert_false(is_hung_up(&answered, 0));
    guard_enter(answered.guarded, GUARD_IDLE);
    assert_false(is_hung_up(&answered, 50));
    assert_true(is_hung_up(&answered, 5000));
    for (size_t i = 0; i < COUNT_OF(waits); i++)
        close_pair(&p[i]);
    close_pair(&answered);
    guard_stop(g);
}

/* A sleeping guard must see the first connection that comes. */
static void a_guard_that_slept_wakes_up(void **state)
{
    (void)state;
    struct guard *g = start(10, 100);
    for (int i = 0; i < 3; i++) {
        struct pair p = connect_to(g);
        assert_true(is_hung_up(&p, 5000));
        close_pair(&p);
        assert_true(poll(NULL, 0, 30) == 0);
    }
    guard_stop(g);
}

static void who_waits_longest_gives_way(void **state)
{
    (void)state;
    struct guard *g = start(3, NEVER_MS);
    struct pair a = connect_to(g), b = connect_to(g), c = connect_to(g);
    guard_enter(a.guarded, GUARD_ANSWERING);
    later();
    guard_enter(b.guarded, GUARD_READING); /* has just sent something: c waits longer now */
    struct pair d = connect_to(g);
    assert_true(is_hung_up(&c, 5000));
    assert_false(is_hung_up(&b, 0) || is_hung_up(&a, 0) || is_hung_up(&d, 0));
    struct pair e = connect_to(g); /* c is not closed yet, but does not count any more */
    assert_true(is_hung_up(&b, 5000));
    assert_false(is_hung_up(&a, 0) || is_hung_up(&d, 0) || is_hung_up(&e, 0));
    close_pair(&c);
    close_pair(&b);
    guard_enter(d.guarded, GUARD_ANSWERING);
    guard_enter(e.guarded, GUARD_ANSWERING);
    struct pair f = connect_to(g); /* nobody can give way */
    assert_false(is_hung_up(&a, 0) || is_hung_up(&d, 0) || is_hung_up(&e, 0) || is_hung_up(&f, 0));
    struct pair h = connect_to(g); /* but f can, for the next one */
    assert_true(is_hung_up(&f, 5000));
    assert_false(is_hung_up(&h, 0));
    struct pair *all[] = {&a, &d, &e, &f, &h};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        close_pair(all[i]);
    struct pair again[3]; /* the places are free again */
    for (size_t i = 0; i < 3; i++)
        again[i] = connect_to(g);
    for (size_t i = 0; i < 3; i++) {
        assert_false(is_hung_up(&again[i], 0));
        close_pair(&again[i]);
    }
    guard_stop(g);
}

#define PART (GUARD_BODIES_MAX / 4)

static void bodies_have_a_bound(void **state)
{
    (void)state;
    struct guard *g = start(10, NEVER_MS);
    struct pair p[6];
    for (size_t i = 0; i < 6; i++) {
        p[i] = connect_to(g);
        guard_enter(p[i].guarded, GUARD_READING);
    }
    for (size_t i = 0; i < 4; i++)
        assert_true(guard_keep(p[i].guarded, PART + GUARD_BODY_FREE));
    guard_enter(p[0].guarded, GUARD_ANSWERING);
    /* small ones cost nothing */
    assert_true(guard_keep(p[5].guarded, GUARD_BODY_FREE));
    assert_false(is_hung_up(&p[1], 0));
    /* the oldest that is still sending its body gives way, not the one that is answered */
    assert_true(guard_keep(p[4].guarded, 1 + GUARD_BODY_FREE));
    assert_true(is_hung_up(&p[1], 5000));
    assert_false(is_hung_up(&p[0], 0) || is_hung_up(&p[2], 0) || is_hung_up(&p[5], 0));
    /* who was hung up on gets nothing more */
    assert_false(guard_keep(p[1].guarded, PART));
    /* what is answered stays; when it is all of it, a new one is refused */
    guard_enter(p[2].guarded, GUARD_ANSWERING);
    guard_enter(p[3].guarded, GUARD_ANSWERING);
    assert_true(guard_keep(p[4].guarded, PART + GUARD_BODY_FREE));
    guard_enter(p[4].guarded, GUARD_ANSWERING);
    assert_false(guard_keep(p[5].guarded, 1 + GUARD_BODY_FREE));
    assert_false(is_hung_up(&p[5], 0));
    guard_drop(p[2].guarded);
    assert_true(guard_keep(p[5].guarded, PART + GUARD_BODY_FREE));
    for (size_t i = 0; i < 6; i++)
        close_pair(&p[i]);
    struct pair last = connect_to(g); /* closed ones have given back what they had */
    assert_true(guard_keep(last.guarded, GUARD_BODIES_MAX + GUARD_BODY_FREE));
    assert_false(guard_keep(last.guarded, GUARD_BODIES_MAX + GUARD_BODY_FREE + 1));
    close_pair(&last);
    guard_stop(g);
}

static void who_stops_waits_for_answers(void **state)
{
    (void)state;
    struct guard *g = start(10, NEVER_MS);
    struct pair a = connect_to(g), b = connect_to(g);
    int64_t began = clock_mono_ms();
    guard_wait_answered(g, 60000);
    guard_enter(a.guarded, GUARD_ANSWERING);
    guard_enter(b.guarded, GUARD_SENDING);
    assert_true(clock_mono_ms() - began < LOAD_MS);
    began = clock_mono_ms();
    guard_wait_answered(g, 100);
    assert_in_range(clock_mono_ms() - began, 100, 100 + LOAD_MS);
    guard_enter(a.guarded, GUARD_IDLE);
    close_pair(&b); /* the client has gone before it had its answer */
    began = clock_mono_ms();
    guard_wait_answered(g, 60000);
    assert_true(clock_mono_ms() - began < LOAD_MS);
    close_pair(&a);
    guard_stop(g);
    guard_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_clients_are_hung_up_on),
        cmocka_unit_test(a_guard_that_slept_wakes_up),
        cmocka_unit_test(who_waits_longest_gives_way),
        cmocka_unit_test(bodies_have_a_bound),
        cmocka_unit_test(who_stops_waits_for_answers),
    };
    log_to_fd(-1, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
