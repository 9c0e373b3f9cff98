/* Logins that look up a name, and sessions that say nothing: neither holds up who waits for them.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"
#include "pg/pg_private.h"
#include "tests/unit/cluster.h"

/* --- a resolver that does not answer ---------------------------------------------------------- */

static atomic_bool is_released;
static atomic_int n_asked, n_left;
static pthread_t asker;

/* libpq's look-ups come here: the program's own symbols are found before the C library's. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    asker = pthread_self();
    atomic_fetch_add(&n_asked, 1);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    bool is_silent = node && !strcmp(node, "silent.invalid");
    bool is_late = node && !strcmp(node, "late.invalid"); /* it is this machine, in the end */
    while ((is_silent || is_late) && !atomic_load(&is_released))
        usleep(5000);
    atomic_fetch_add(&n_left, is_silent || is_late);
    return is_silent ? EAI_AGAIN : real(is_late ? "127.0.0.1" : node, service, hints, out);
}

static void release_all(int n)
{
    atomic_store(&is_released, true);
    for (int i = 0; i < 2000 && atomic_load(&n_left) < n; i++)
        usleep(5000);
    assert_int_equal(atomic_load(&n_left), n);
    atomic_store(&is_released, false);
    atomic_store(&n_left, 0);
}

static const struct pg_target silent = {
    .host = "silent.invalid", .port = 5432, .user = "postgres", .database = "postgres"};

static void a_look_up_ends_with_the_limit_and_the_ticks_go_on(void **state)
{
    struct timed t;
    struct err e;
    struct pg_conn *c;
    (void)state;
    timed_init(&t, 0);
    t.task.tick_ms = 50;
    int64_t began = clock_mono_ms();
    assert_false(pg_connect(&silent, PG_SQL, "test", NULL, &t.task, 600, &c, &e));
    assert_error(&e, ERR_TIMEOUT, "");
    assert_null(c);
    assert_in_range(clock_mono_ms() - began, 590, 5000);
    assert_true(t.ticks >= 3);
    release_all(1);
}

struct waker {
    pthread_t thread;
    int fd;
    atomic_bool is_over;
};

static void *wake_later(void *arg)
{
    struct waker *w = arg;
    usleep(200000);
    atomic_store(&w->is_over, true);
    wake_signal(w->fd);
    return NULL;
}

static bool waker_is_over(void *arg)
{
    return atomic_load(&((struct waker *)arg)->is_over);
}

/* No tick for a minute: it is the wake-up alone that ends the wait, and it is passed on. */
static void a_command_ends_it_at_once(void **state)
{
    struct waker w = {.fd = wake_new()};
    struct task task = {
        .wake_fd = w.fd, .is_cancelled = waker_is_over, .arg = &w, .tick_ms = 60000};
    struct err e;
    struct pg_conn *c;
    (void)state;
    int64_t began = clock_mono_ms();
    assert_int_equal(pthread_create(&w.thread, NULL, wake_later, &w), 0);
    assert_false(pg_connect(&silent, PG_SQL, "test", NULL, &task, 30000, &c, &e));
    assert_error(&e, ERR_CANCELLED, "");
    assert_in_range(clock_mono_ms() - began, 190, 5000);
    uint64_t n = 0;
    assert_int_equal(read(w.fd, &n, sizeof n), sizeof n); /* also meant for our caller's loop */
    pthread_join(w.thread, NULL);
    wake_free(w.fd);
    release_all(1);
}

static void many_at_once_do_not_wait_for_each_other(void **state)
{
    struct timed t;
    struct err e;
    struct pg_conn *c;
    (void)state;
    int64_t began = clock_mono_ms();
    atomic_store(&n_asked, 0);
    for (int i = 1; i <= 10; i++) {
        timed_init(&t, 20);
        assert_false(pg_connect(&silent, PG_SQL, "test", NULL, &t.task, 30000, &c, &e));
        assert_error(&e, ERR_CANCELLED, "");
        for (int k = 0; k < 2000 && atomic_load(&n_asked) < i;
             k++) /* each in a thread of its own */
            usleep(5000);
    }
    assert_true(clock_mono_ms() - began < 25000);
    release_all(10);
}

static int listen_here(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && !bind(fd, (struct sockaddr *)&a, size) && !listen(fd, 5) &&
                !getsockname(fd, (struct sockaddr *)&a, &size));
    *port = ntohs(a.sin_port);
    return fd;
}

static bool has_input(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 15000) == 1;
}

/* The name is there after all: nobody waits for the login any more, and no server keeps it. */
static void a_login_that_was_left_hangs_up(void **state)
{
    static const char *const names[] = {"connect_timeout"}, *const values[] = {"120"};
    struct pg_target t = {.host = "late.invalid",
                          .user = "postgres",
                          .database = "postgres",
                          .n_options = 1,
                          .option_names = names,
                          .option_values = values};
    struct timed by;
    struct pg_conn *c;
    struct err e;
    char bytes[64];
    ssize_t n = 1;
    (void)state;
    int fd = listen_here(&t.port);
    timed_init(&by, 20);
    assert_false(pg_connect(&t, PG_SQL, "test", NULL, &by.task, 300000, &c, &e));
    assert_error(&e, ERR_CANCELLED, "");
    release_all(1);
    assert_true(has_input(fd));
    int session = accept(fd, NULL, NULL);
    assert_true(session >= 0);
    while (n > 0 && has_input(session))
        n = read(session, bytes, sizeof bytes);
    assert_int_equal(n, 0);
    close(session);
    close(fd);
}

static bool looks_up(const char *host, const char *address)
{
    const char *names[] = {"host", "hostaddr"}, *values[] = {host, address};
    struct params p = {.names = names, .values = values, .n = address ? 2 : 1};
    return login_looks_up(&p);
}

static void an_address_is_no_name(void **state)
{
    (void)state;
    assert_true(looks_up("db.example.com", NULL));
    assert_true(looks_up("localhost", NULL));
    assert_true(looks_up("127.0.0.1,db2", NULL));
    assert_true(looks_up("127.1", NULL)); /* what only a resolver understands */
    assert_true(looks_up("fe80::1%eth0", NULL));
    assert_false(looks_up("127.0.0.1", NULL));
    assert_false(looks_up("::1", NULL));
    assert_false(looks_up("10.0.0.1,10.0.0.2", NULL));
    assert_false(looks_up("/run/postgresql", NULL));
    assert_false(looks_up("@abstract", NULL));
    assert_false(looks_up("", NULL));
    assert_false(looks_up("db.example.com", "10.0.0.1"));
    assert_true(looks_up("db.example.com", ""));
}

static void names_are_looked_up_elsewhere_and_addresses_here(void **state)
{
    struct pg_target t = {.port = 1, .user = "postgres", .database = "postgres"};
    struct err e;
    struct pg_conn *c;
    (void)state;
    t.host = "127.0.0.1"; /* nobody listens on port 1 */
    assert_false(pg_connect(&t, PG_SQL, "test", NULL, NULL, 5000, &c, &e));
    assert_error(&e, ERR_CONNECT, "");
    assert_true(pthread_equal(asker, pthread_self()));
    t.host = "localhost";
    assert_false(pg_connect(&t, PG_SQL, "test", NULL, NULL, 5000, &c, &e));
    assert_error(&e, ERR_CONNECT, "");
    assert_false(pthread_equal(asker, pthread_self()));
}

/* --- silence ---------------------------------------------------------------------------------- */

/* Patience of two seconds, the least there is. */
static struct pg_conn *impatient(void)
{
    static const char *const names[] = {"connect_timeout"}, *const values[] = {"2"};
    struct pg_target t = cluster_target();
    struct pg_conn *c;
    struct err e;
    t.n_options = 1;
    t.option_names = names;
    t.option_values = values;
    assert_true(pg_connect(&t, PG_SQL, "test", NULL, NULL, 5000, &c, &e));
    return c;
}

/* One that waits for us while we wait for it, one that is gone (and stopped talking: its last words
 * are not read), one that works, and one that owes nothing. */
static void who_hangs_is_told_from_who_works(void **state)
{
    struct pg_conn *hangs = impatient(), *gone = impatient(), *works = impatient(),
                   *owes_nothing = impatient(), *other = cluster_connect(PG_SQL);
    struct err of_hanging = {0}, of_gone = {0}, e;
    char sql[80];
    (void)state;
    assert_true(PQsendQuery(works->pq, "SELECT pg_catalog.pg_sleep(60)"));
    str_printf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)", pg_backend_pid(gone));
    run_sql(other, sql);
    bool hangs_lives = true, gone_lives = true;
    int64_t until = clock_mono_ms() + 30000;
    while ((hangs_lives || gone_lives) && clock_mono_ms() < until) {
        hangs_lives = hangs_lives && pg_bear_silence(hangs, true, &of_hanging);
        gone_lives = gone_lives && pg_bear_silence(gone, true, &of_gone);
        assert_true(pg_bear_silence(works, true, &e));
        assert_true(pg_bear_silence(owes_nothing, false, &e));
        usleep(20000);
    }
    assert_error(&of_hanging, ERR_CONNECT, "");
    assert_non_null(strstr(of_hanging.text, "wait for each other"));
    assert_error(&of_gone, ERR_CONNECT, "");
    assert_non_null(strstr(of_gone.text, "ended"));
    assert_false(pg_is_alive(hangs));
    assert_true(pg_is_alive(owes_nothing));
    assert_int_equal(ask(owes_nothing, "SELECT 1"), 1);
    pg_close(works, true);
    pg_close(hangs, false);
    pg_close(gone, false);
    pg_close(owes_nothing, false);
    pg_close(other, false);
}

static void what_was_heard_ends_a_silence(void **state)
{
    struct pg_conn *c = impatient();
    struct err e;
    (void)state;
    assert_true(pg_bear_silence(c, true, &e));
    assert_true(c->silence.since > 0);
    assert_true(conn_silence_look_at(c, clock_mono_ms()) < INT64_MAX);
    conn_heard(c);
    assert_int_equal(c->silence.since, 0);
    assert_true(conn_silence_look_at(c, clock_mono_ms()) == INT64_MAX);
    pg_close(c, false);
}

static int start(void **state)
{
    (void)state;
    cluster_start("");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    cluster_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_no_name),
        cmocka_unit_test(names_are_looked_up_elsewhere_and_addresses_here),
        cmocka_unit_test(a_look_up_ends_with_the_limit_and_the_ticks_go_on),
        cmocka_unit_test(a_command_ends_it_at_once),
        cmocka_unit_test(many_at_once_do_not_wait_for_each_other),
        cmocka_unit_test(a_login_that_was_left_hangs_up),
        cmocka_unit_test(what_was_heard_ends_a_silence),
        cmocka_unit_test(who_hangs_is_told_from_who_works),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start, stop);
}
