/* Sessions and statements against a server: settings, error codes, limits, cancellation, loss. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "pg/sessions.h"
#include "tests/unit/cluster.h"
#include "tests/unit/promise.h"

/* --- opening ---------------------------------------------------------------------------------- */

static void assert_setting(struct pg_conn *c, const char *name, const char *want)
{
    struct err e;
    struct pg_result *r;
    const char *values[] = {name};
    assert_true(pg_exec_params(c, NULL, 5000, "SELECT current_setting($1)", 1, values, &r, &e));
    assert_string_equal(pg_text(r, 0, 0), want);
    pg_free(r);
}

static void our_settings_win_over_role_database_and_peer(void **state)
{
    static const char *const names[] = {"options", "application_name", "client_encoding"};
    static const char *const values[] = {"-c search_path=public -c work_mem=1MB", "mine", "LATIN1"};
    struct err e;
    struct pg_conn *c = cluster_connect(PG_SQL);
    struct pg_target t = cluster_target();
    (void)state;
    run_sql(c, "ALTER ROLE postgres SET statement_timeout = '5s'");
    run_sql(c, "ALTER ROLE postgres SET idle_session_timeout = '5s'");
    run_sql(c, "ALTER ROLE postgres SET search_path = public");
    run_sql(c, "ALTER DATABASE postgres SET DateStyle = 'German'");
    run_sql(c, "ALTER DATABASE postgres SET default_transaction_isolation = serializable");
    run_sql(c, "ALTER DATABASE postgres SET default_transaction_read_only = on");
    run_sql(c, "ALTER DATABASE postgres SET exit_on_error = on");
    pg_close(c, false);

    t.n_options = COUNT_OF(names);
    t.option_names = names;
    t.option_values = values;
    const enum pg_kind kinds[] = {PG_SQL, PG_APPLY, PG_REPLICATION};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        assert_true(pg_connect(&t, kinds[i], "test", "-c DateStyle=SQL", NULL, 5000, &c, &e));
        struct pg_result *r;
        assert_true(pg_exec(c, NULL, 5000, "SHOW search_path", &r, &e));
        assert_string_equal(pg_text(r, 0, 0), "");
        pg_free(r);
        if (kinds[i] != PG_REPLICATION) { /* no parameters there */
            assert_setting(c, "statement_timeout", "0");
            assert_setting(c, "idle_session_timeout", "0");
            assert_setting(c, "default_transaction_isolation", "read committed");
            assert_setting(c, "default_transaction_read_only", "off");
            assert_setting(c, "exit_on_error", "off");
            assert_setting(c, "client_encoding", "UTF8");
            assert_setting(c, "work_mem", "1MB");
            assert_setting(c, "application_name", "mine");
            assert_setting(c, "DateStyle", "SQL, MDY");
            assert_setting(c, "IntervalStyle", "postgres");
            assert_setting(c, "TimeZone", "UTC");
            assert_setting(c, "lc_monetary", "C");
            assert_setting(c, "row_security", "off");
        }
        assert_int_equal(pg_is_replica_role(c), kinds[i] == PG_APPLY);
        assert_true(pg_version(c) >= 120000);
        pg_close(c, false);
    }
    c = cluster_connect(PG_SQL);
    run_sql(c, "ALTER ROLE postgres RESET ALL");
    run_sql(c, "ALTER DATABASE postgres RESET ALL");
    pg_close(c, false);
}

static void expect_refusal(struct pg_target *t, enum err_code code, const char *sqlstate)
{
    struct err e = {0};
    struct pg_conn *c;
    assert_false(pg_connect(t, PG_SQL, "test", NULL, NULL, 5000, &c, &e));
    assert_null(c);
    assert_error(&e, code, sqlstate);
    assert_null(strstr(e.text, "secret"));
    assert_null(strstr(e.text, ".c:"));
    assert_null(strchr(e.text, '\n'));
}

static void refused_logins_carry_their_sqlstate(void **state)
{
    static const char *const names[] = {"sslroot"};
    static const char *const values[] = {"x"};
    struct pg_conn *c = cluster_connect(PG_SQL);
    (void)state;
    run_sql(c, "CREATE ROLE nobody LOGIN PASSWORD 'other' CONNECTION LIMIT 0");
    pg_close(c, false);
    struct pg_target t = cluster_target();
    t.database = "none";
    expect_refusal(&t, ERR_CONNECT, "3D000");
    t = cluster_target();
    t.user = "nobody";
    expect_refusal(&t, ERR_CONNECT, "53300");
    t.host = "127.0.0.1";
    t.password = "secret";
    expect_refusal(&t, ERR_CONNECT, "28P01");
    t.port = 1;
    expect_refusal(&t, ERR_CONNECT, "");
    t = cluster_target();
    t.n_options = 1;
    t.option_names = names;
    t.option_values = values;
    expect_refusal(&t, ERR_INVALID, "");
}

static void a_server_that_never_answers_holds_us_no_longer_than_the_limit(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct err e;
    struct pg_conn *c;
    struct timed task;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 5), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    struct pg_target t = {.host = "127.0.0.1", .port = ntohs(a.sin_port), .user = "x"};
    int64_t start = clock_mono_ms();
    assert_false(pg_connect(&t, PG_SQL, "test", NULL, NULL, 200, &c, &e));
    assert_error(&e, ERR_TIMEOUT, "");
    timed_init(&task, 200);
    assert_false(pg_connect(&t, PG_SQL, "test", NULL, &task.task, 60000, &c, &e));
    assert_error(&e, ERR_CANCELLED, "");
    assert_true(clock_mono_ms() - start < 500 + LOAD_MS);
    assert_true(task.ticks >= 3);
    close(fd);
}

static void apply_goes_on_without_the_right_to_the_replica_role(void **state)
{
    struct err e;
    struct pg_conn *c = cluster_connect(PG_SQL);
    struct pg_target t = cluster_target();
    (void)state;
    run_sql(c, "CREATE ROLE plain LOGIN");
    pg_close(c, false);
    t.user = "plain";
    assert_true(pg_connect(&t, PG_APPLY, "test", NULL, NULL, 5000, &c, &e));
    assert_false(pg_is_replica_role(c));
    assert_int_equal(ask(c, "SELECT 1"), 1);
    pg_close(c, false);
}

/* --- statements ------------------------------------------------------------------------------- */

static void results_and_parameters(void **state)
{
    const char *values[] = {"7", NULL, "it's \\ \"x\""};
    struct err e;
    struct pg_result *r;
    struct pg_conn *c = cluster_connect(PG_SQL);
    (void)state;
    assert_true(pg_exec_params(c, NULL, 5000,
                               "SELECT $1::int, $2::text, $3::text, true, '1/FF'::pg_lsn", 3,
                               values, &r, &e));
    assert_int_equal(pg_rows(r), 1);
    assert_int_equal(pg_cols(r), 5);
    assert_int_equal(pg_int(r, 0, 0), 7);
    assert_true(pg_is_null(r, 0, 1));
    assert_string_equal(pg_text(r, 0, 1), "");
    assert_string_equal(pg_text(r, 0, 2), values[2]);
    assert_true(pg_bool(r, 0, 3));
    assert_int_equal(pg_lsn(r, 0, 4), INT64_C(0x1000000FF));
    assert_int_equal(pg_lsn(r, 0, 1), 0);
    pg_free(r);
    assert_true(pg_exec(c, NULL, 5000,
                        "CREATE TEMP TABLE t(a int); INSERT INTO t SELECT generate_series(1, 5)",
                        &r, &e));
    assert_int_equal(pg_affected(r), 5);
    pg_free(r);
    pg_close(c, false);
}

static void refused_statements_leave_the_session_usable(void **state)
{
    struct err e;
    struct pg_conn *c = cluster_connect(PG_SQL);
    (void)state;
    assert_false(pg_exec(c, NULL, 5000, "SELECT 1/0; SELECT 1", NULL, &e));
    assert_error(&e, ERR_SQL, "22012");
    assert_true(pg_server_error_is(&e, "22012"));
    assert_false(pg_exec(c, NULL, 5000, "SELECT nosuch", NULL, &e));
    assert_error(&e, ERR_SQL, "42703");
    run_sql(c, "CREATE TEMP TABLE t(a int PRIMARY KEY); INSERT INTO t VALUES (1)");
    assert_false(pg_exec(c, NULL, 5000, "INSERT INTO t VALUES (1)", NULL, &e));
    assert_error(&e, ERR_SQL, "23505");
    assert_string_equal(e.hint, "Key (a)=(1) already exists.");
    assert_false(pg_exec(c, NULL, 5000, "COPY t TO STDOUT", NULL, &e));
    assert_error(&e, ERR_INTERNAL, "");
    assert_int_equal(ask(c, "SELECT 1"), 1);
    assert_true(pg_is_alive(c));
    pg_close(c, false);
}

/* A snapshot that is gone is a lost connection, whatever the server calls it: tried again. */
static void a_snapshot_lives_as_long_as_the_connection_that_exported_it(void **state)
{
    struct err e;
    struct pg_result *r;
    struct pg_conn *holder = cluster_connect(PG_SQL), *user = cluster_connect(PG_SQL);
    (void)state;
    run_sql(holder, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_true(pg_exec(holder, NULL, 5000, "SELECT pg_export_snapshot()", &r, &e));
    assert_true(pg_begin_snapshot(user, NULL, 5000, pg_text(r, 0, 0), &e));
    assert_int_equal(ask(user, "SELECT 1"), 1);
    run_sql(user, "ROLLBACK");
    run_sql(holder, "ROLLBACK");
    assert_false(pg_begin_snapshot(user, NULL, 5000, pg_text(r, 0, 0), &e));
    assert_int_equal(e.code, ERR_CONNECT);
    assert_int_equal(err_class_of(&e), CLASS_RETRY);
    pg_free(r);
    pg_close(holder, false);
    pg_close(user, false);
}

static char heard[256];

static void hear(void *arg, const struct log_line *line)
{
    (void)arg;
    str_copy(heard, sizeof heard, line->text);
}

static void notices_go_to_the_log_without_what_functions_say(void **state)
{
    struct pg_conn *c = cluster_connect(PG_SQL);
    (void)state;
    log_set_sink(hear, NULL);
    run_sql(c, "DROP TABLE IF EXISTS public.nosuch");
    assert_string_equal(heard,
                        "notice sqlstate=00000 text=table \"nosuch\" does not exist, skipping");
    run_sql(c, "DO $$ BEGIN RAISE NOTICE 'secret row'; END $$");
    assert_string_equal(heard, "notice sqlstate=00000 text=raised in a function");
    log_set_sink(NULL, NULL);
    pg_close(c, false);
}

static void *signal_later(void *arg)
{
    struct timespec pause = {.tv_nsec = 200000000};
    nanosleep(&pause, NULL);
    wake_signal(*(int *)arg);
    return NULL;
}

static atomic_bool was_signalled;

static bool is_cancelled_by_wake(void *arg)
{
    (void)arg;
    return was_signalled;
}

static void *cancel_by_wake(void *arg)
{
    struct timespec pause = {.tv_nsec = 200000000};
    nanosleep(&pause, NULL);
    was_signalled = true;
    wake_signal(*(int *)arg);
    return NULL;
}

static void cancel_ends_a_statement_within_a_second(void **state)
{
    struct err e;
    pthread_t thread;
    struct pg_conn *c = cluster_connect(PG_SQL), *watch = cluster_connect(PG_SQL);
    int fd = wake_new();
    struct task task = {.wake_fd = fd, .is_cancelled = is_cancelled_by_wake, .tick_ms = 60000};
    (void)state;
    was_signalled = false;
    int64_t start = clock_mono_ms();
    pthread_create(&thread, NULL, cancel_by_wake, &fd);
    assert_false(pg_exec(c, &task, 0, "SELECT pg_sleep(60)", NULL, &e));
    assert_error(&e, ERR_CANCELLED, "");
    int64_t took = clock_mono_ms() - start;
    assert_true(took >= 200 && took < 1200);
    pthread_join(thread, NULL);
    assert_int_equal(ask(c, "SELECT 5"), 5);
    await(watch, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'", 0);
    wake_free(fd);
    pg_close(c, false);
    pg_close(watch, false);
}

static void *go_on_later(void *arg)
{
    struct timespec pause = {.tv_nsec = 250000000};
    nanosleep(&pause, NULL);
    kill(*(pid_t *)arg, SIGCONT);
    return NULL;
}

/* The server passes over a request that comes before it has begun the statement. */
static void a_request_that_comes_too_early_is_sent_again(void **state)
{
    struct err e;
    pthread_t thread;
    struct pg_conn *c = cluster_connect(PG_SQL), *watch = cluster_connect(PG_SQL);
    pid_t backend = pg_backend_pid(c);
    (void)state;
    assert_int_equal(kill(backend, SIGSTOP), 0);
    pthread_create(&thread, NULL, go_on_later, &backend);
    assert_false(pg_exec(c, NULL, 1, "SELECT pg_sleep(61)", NULL, &e));
    assert_error(&e, ERR_TIMEOUT, "");
    pthread_join(thread, NULL);
    assert_true(pg_is_alive(c));
    assert_int_equal(ask(c, "SELECT 5"), 5);
    await(watch, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(61%'", 0);
    pg_close(c, false);
    pg_close(watch, false);
}

static void a_wake_up_without_cancel_is_passed_on(void **state)
{
    struct err e;
    pthread_t thread;
    struct pg_conn *c = cluster_connect(PG_SQL);
    int fd = wake_new();
    uint64_t v;
    struct task task = {.wake_fd = fd};
    (void)state;
    pthread_create(&thread, NULL, signal_later, &fd);
    assert_true(pg_exec(c, &task, 5000, "SELECT pg_sleep(0.5)", NULL, &e));
    pthread_join(thread, NULL);
    assert_int_equal(read(fd, &v, sizeof v), sizeof v);
    wake_free(fd);
    pg_close(c, false);
}

static void a_limit_ends_a_statement(void **state)
{
    struct err e;
    struct timed task;
    struct pg_conn *c = cluster_connect(PG_SQL);
    (void)state;
    timed_init(&task, 0);
    int64_t start = clock_mono_ms();
    assert_false(pg_exec(c, &task.task, 300, "SELECT pg_sleep(60)", NULL, &e));
    assert_error(&e, ERR_TIMEOUT, "");
    assert_true(clock_mono_ms() - start < 1300 + LOAD_MS);
    assert_true(task.ticks >= 3);
    assert_int_equal(ask(c, "SELECT 5"), 5);
    pg_close(c, true);
}

static void *cancel_now(void *arg)
{
    pg_cancel(arg);
    return NULL;
}

static void another_thread_may_cancel(void **state)
{
    struct err e;
    pthread_t thread;
    struct pg_conn *c = cluster_connect(PG_SQL);
    (void)state;
    assert_true(pg_exec(c, NULL, 5000, "BEGIN", NULL, &e));
    pthread_create(&thread, NULL, cancel_now, c);
    /* The request may come before the statement, where it is lost: cancel until it hits. */
    while (pg_exec(c, NULL, 5000, "SELECT pg_sleep(0.3)", NULL, &e))
        pg_cancel(c);
    assert_error(&e, ERR_SQL, "57014");
    pthread_join(thread, NULL);
    pg_close(c, true);
}

/* --- loss ------------------------------------------------------------------------------------- */

static void a_hung_server_holds_us_no_longer_than_a_second(void **state)
{
    struct err e;
    struct timed task;
    struct pg_conn *c = cluster_connect(PG_SQL);
    int pid = pg_backend_pid(c);
    (void)state;
    if (kill(pid, SIGSTOP))
        skip();
    timed_init(&task, 100);
    int64_t start = clock_mono_ms();
    assert_false(pg_exec(c, &task.task, 0, "SELECT 1", NULL, &e));
    assert_error(&e, ERR_CANCELLED, "");
    assert_false(pg_is_alive(c));
    assert_false(pg_exec(c, NULL, 0, "SELECT 1", NULL, &e));
    assert_error(&e, ERR_CONNECT, "");
    pg_close(c, true);
    assert_true(clock_mono_ms() - start < 1200 + LOAD_MS);
    kill(pid, SIGCONT);
}

static void terminate(struct pg_conn *by, const struct pg_conn *victim)
{
    char sql[64];
    str_printf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)", pg_backend_pid(victim));
    run_sql(by, sql);
}

static void assert_names_server(const struct err *e)
{
    struct pg_target t = cluster_target();
    const char *at = strstr(e->text, "server ");
    assert_non_null(at);
    assert_non_null(strstr(at, t.host));
}

static void a_lost_connection_says_why_and_which(void **state)
{
    struct err e;
    struct pg_conn *c = cluster_connect(PG_SQL);
    (void)state;
    assert_false(pg_exec(c, NULL, 5000, "SELECT pg_terminate_backend(pg_backend_pid())", NULL, &e));
    assert_error(&e, ERR_CONNECT, "57P01");
    assert_names_server(&e);
    assert_false(pg_is_alive(c));
    assert_false(pg_exec(c, NULL, 5000, "SELECT 1", NULL, &e));
    assert_error(&e, ERR_CONNECT, "");
    assert_names_server(&e);
    pg_close(c, true);
}

static void an_idle_session_that_was_ended_is_not_alive(void **state)
{
    struct err e;
    struct pg_conn *c = cluster_connect(PG_SQL), *other = cluster_connect(PG_SQL);
    int64_t deadline = clock_mono_ms() + 5000;
    (void)state;
    assert_true(pg_is_alive(c));
    terminate(other, c);
    while (pg_is_alive(c))
        assert_true(clock_mono_ms() < deadline);
    assert_false(pg_exec(c, NULL, 5000, "SELECT 1", NULL, &e));
    assert_error(&e, ERR_CONNECT, "57P01");
    pg_close(c, false);
    pg_close(other, false);
}

/* --- sessions that many use in turn ------------------------------------------------------------
 */

static struct pg_conn *take(struct sessions *s, const char *key)
{
    struct err e = {0};
    struct pg_conn *c;
    const struct pg_target t = cluster_target();
    const struct session_wanted w = {key, &t, NULL};
    if (!sessions_take(s, &w, NULL, 5000, &c, &e))
        fail_msg("%s", e.text);
    return c;
}

static void wait_for_shared(struct pg_conn *c, const char *n)
{
    int64_t deadline = clock_mono_ms() + 20000;
    for (bool is_so = false; !is_so;) {
        struct err e;
        struct pg_result *r;
        assert_true(clock_mono_ms() < deadline);
        assert_true(pg_exec(c, NULL, 5000,
                            "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                            "'bunnydb shared'",
                            &r, &e));
        is_so = !strcmp(pg_text(r, 0, 0), n);
        pg_free(r);
    }
}

static void many_share_a_few_sessions(void **state)
{
    (void)state;
    struct sessions *s = sessions_new();
    struct pg_conn *c = cluster_connect(PG_SQL);
    sessions_enter(s, "a");
    sessions_enter(s, "a");
    sessions_enter(s, "b");
    struct pg_conn *one = take(s, "a"), *other = take(s, "b");
    assert_ptr_not_equal(one, other);
    sessions_give(s, "b", other, true);
    sessions_give(s, "a", one, true);
    assert_ptr_equal(take(s, "a"), one);
    wait_for_shared(c, "2");
    /* who comes while it is in use does not wait for ever */
    struct pg_conn *two = take(s, "a");
    assert_ptr_not_equal(two, one);
    sessions_give(s, "a", one, true);
    sessions_give(s, "a", two, false);
    wait_for_shared(c, "2");
    /* one that has died meanwhile is replaced */
    terminate(c, one);
    for (int64_t deadline = clock_mono_ms() + 20000; pg_is_alive(one);)
        assert_true(clock_mono_ms() < deadline);
    wait_for_shared(c, "1");
    one = take(s, "a");
    run_sql(one, "SELECT 1");
    sessions_give(s, "a", one, true);
    sessions_leave(s, "a");
    wait_for_shared(c, "2");
    sessions_leave(s, "a");
    wait_for_shared(c, "1");
    sessions_free(s); /* whoever did not leave */
    wait_for_shared(c, "0");
    pg_close(c, false);
}

static int start_cluster(void **state)
{
    (void)state;
    log_to_fd(-1, LOG_LEVEL_DEBUG);
    cluster_start("");
    return 0;
}

static int stop_cluster(void **state)
{
    (void)state;
    cluster_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_settings_win_over_role_database_and_peer),
        cmocka_unit_test(refused_logins_carry_their_sqlstate),
        cmocka_unit_test(a_server_that_never_answers_holds_us_no_longer_than_the_limit),
        cmocka_unit_test(apply_goes_on_without_the_right_to_the_replica_role),
        cmocka_unit_test(results_and_parameters),
        cmocka_unit_test(refused_statements_leave_the_session_usable),
        cmocka_unit_test(a_snapshot_lives_as_long_as_the_connection_that_exported_it),
        cmocka_unit_test(notices_go_to_the_log_without_what_functions_say),
        cmocka_unit_test(cancel_ends_a_statement_within_a_second),
        cmocka_unit_test(a_request_that_comes_too_early_is_sent_again),
        cmocka_unit_test(a_wake_up_without_cancel_is_passed_on),
        cmocka_unit_test(a_limit_ends_a_statement),
        cmocka_unit_test(another_thread_may_cancel),
        cmocka_unit_test(a_hung_server_holds_us_no_longer_than_a_second),
        cmocka_unit_test(a_lost_connection_says_why_and_which),
        cmocka_unit_test(an_idle_session_that_was_ended_is_not_alive),
        cmocka_unit_test(many_share_a_few_sessions),
    };
    return cmocka_run_group_tests(tests, start_cluster, stop_cluster);
}
