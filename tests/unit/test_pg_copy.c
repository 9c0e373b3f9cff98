/* COPY in both directions and pipelines against a server, with what goes wrong half-way. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "tests/unit/cluster.h"
#include "tests/unit/promise.h"

#define ROWS 1000000
#define START_OK(c, sql)                                            \
    do {                                                            \
        struct err start_err;                                       \
        assert_true(pg_copy_start(c, NULL, 5000, sql, &start_err)); \
    } while (0)

/* Writes rows until one is refused; returns how many were taken. bad: that row is no number. */
static int write_rows(struct pg_conn *c, struct task *task, int rows, int bad, int stall_ms,
                      struct err *err)
{
    char line[64];
    for (int i = 0; i < rows; i++) {
        str_printf(line, sizeof line, i == bad ? "x\t%d\n" : "%d\trow %d\n", i, i);
        if (!pg_copy_write(c, task, stall_ms, line, strlen(line), err))
            return i;
    }
    return rows;
}

static int count_rows(struct pg_conn *c, int stop_at, struct err *err)
{
    char *data;
    size_t len;
    int n = 0, got = 1;
    while (n < stop_at && (got = pg_copy_read(c, NULL, 5000, &data, &len, err)) == 1) {
        assert_int_equal(data[len - 1], '\n');
        pg_copy_free(data);
        n++;
    }
    return got < 0 ? -1 : n;
}

static struct pg_conn *connect_with_table(void)
{
    struct pg_conn *c = cluster_connect(PG_SQL);
    run_sql(c, "DROP TABLE IF EXISTS public.t");
    run_sql(c, "CREATE TABLE public.t(a int, b text)");
    return c;
}

/* --- COPY ------------------------------------------------------------------------------------- */

static void a_million_rows_go_in_and_come_out(void **state)
{
    struct err e;
    struct timed task;
    int64_t rows;
    struct pg_conn *c = connect_with_table();
    (void)state;
    timed_init(&task, 0);
    START_OK(c, "COPY public.t FROM STDIN");
    assert_int_equal(write_rows(c, &task.task, ROWS, -1, 5000, &e), ROWS);
    assert_true(pg_copy_finish(c, &task.task, 30000, NULL, &rows, &e));
    assert_int_equal(rows, ROWS);
    assert_true(task.ticks > 1);
    assert_int_equal(ask(c, "SELECT sum(a) FROM public.t WHERE b = 'row ' || a"),
                     INT64_C(499999500000));
    START_OK(c, "COPY public.t TO STDOUT");
    assert_int_equal(count_rows(c, ROWS + 1, &e), ROWS);
    assert_int_equal(ask(c, "SELECT 1"), 1);
    pg_close(c, false);
}

static void one_row_may_be_far_larger_than_the_window(void **state)
{
    const size_t size = 50 * 1000 * 1000;
    char *row = mem_calloc(size + 4, 1);
    struct err e;
    int64_t rows;
    struct pg_conn *c = connect_with_table();
    (void)state;
    memset(row, 'y', size + 3);
    memcpy(row, "1\t", 2);
    row[size + 2] = '\n';
    START_OK(c, "COPY public.t FROM STDIN");
    assert_true(pg_copy_write(c, NULL, 5000, row, size + 3, &e));
    assert_true(pg_queued_bytes(c) <= 512 * 1024);
    assert_true(pg_copy_finish(c, NULL, 30000, NULL, &rows, &e));
    assert_int_equal(rows, 1);
    assert_int_equal(ask(c, "SELECT length(b) FROM public.t"), size);
    free(row);
    pg_close(c, false);
}

static void a_bad_row_is_heard_of_soon(void **state)
{
    struct err e;
    struct pg_conn *c = connect_with_table();
    (void)state;
    START_OK(c, "COPY public.t FROM STDIN");
    int64_t start = clock_mono_ms();
    while (write_rows(c, NULL, 1000, clock_mono_ms() - start < 100 ? -1 : 5, 5000, &e) == 1000)
        assert_true(clock_mono_ms() - start < 2000 + LOAD_MS);
    assert_error(&e, ERR_SQL, "22P02");
    assert_false(pg_copy_write(c, NULL, 5000, "1\t1\n", 4, &e));
    assert_true(pg_copy_finish(c, NULL, 5000, "clean-up", NULL, &e));
    assert_int_equal(ask(c, "SELECT count(*) FROM public.t"), 0);
    pg_close(c, false);
}

static void a_bad_last_row_is_heard_of_at_the_end(void **state)
{
    struct err e;
    int64_t rows;
    struct pg_conn *c = connect_with_table();
    (void)state;
    START_OK(c, "COPY public.t FROM STDIN");
    assert_int_equal(write_rows(c, NULL, 10, 9, 5000, &e), 10);
    assert_false(pg_copy_finish(c, NULL, 5000, NULL, &rows, &e));
    assert_error(&e, ERR_SQL, "22P02");
    assert_int_equal(rows, 0);
    START_OK(c, "COPY public.t FROM STDIN");
    assert_int_equal(write_rows(c, NULL, 10, -1, 5000, &e), 10);
    assert_true(pg_copy_finish(c, NULL, 5000, "no longer wanted", &rows, &e));
    assert_int_equal(ask(c, "SELECT count(*) FROM public.t"), 0);
    assert_false(pg_copy_start(c, NULL, 5000, "COPY public.nosuch FROM STDIN", &e));
    assert_error(&e, ERR_SQL, "42P01");
    assert_false(pg_copy_start(c, NULL, 5000, "SELECT 1", &e));
    assert_error(&e, ERR_INTERNAL, "");
    pg_close(c, false);
}

static void notices_do_not_end_a_copy(void **state)
{
    struct err e;
    int64_t rows;
    struct pg_conn *c = connect_with_table();
    (void)state;
    run_sql(c, "CREATE FUNCTION public.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
               " RAISE NOTICE 'row %', NEW.a; RETURN NEW; END $$");
    run_sql(c, "CREATE TRIGGER tell BEFORE INSERT ON public.t"
               " FOR EACH ROW EXECUTE FUNCTION public.tell()");
    START_OK(c, "COPY public.t FROM STDIN");
    assert_int_equal(write_rows(c, NULL, 100000, -1, 5000, &e), 100000);
    assert_true(pg_copy_finish(c, NULL, 30000, NULL, &rows, &e));
    assert_int_equal(rows, 100000);
    pg_close(c, false);
}

/* Until it is over or has to wait for the server. */
static int try_finish(struct pg_conn *c, int64_t *rows, struct err *err)
{
    int64_t until = clock_mono_ms() + 30000;
    int got;
    while ((got = pg_copy_try_finish(c, NULL, rows, err)) == 2 && clock_mono_ms() < until) {
        struct err ignored;
        (void)!pg_wait(c, NULL, pg_queued_bytes(c) > 0, 100, &ignored);
    }
    return got;
}

static void queue_rows(struct pg_conn *c, int from, int to, const char *more)
{
    char line[64];
    struct err e;
    for (int i = from; i < to; i++) {
        str_printf(line, sizeof line, "%d\trow %d%s\n", i, i, more);
        assert_true(pg_copy_queue(c, line, strlen(line), &e));
    }
}

/* Another session's row is in the way until its transaction ends: the server stands still. */
static void rows_go_without_waiting(void **state)
{
    struct err e;
    int64_t rows = -1;
    struct pg_conn *c = connect_with_table(), *other = cluster_connect(PG_SQL);
    (void)state;
    run_sql(c, "CREATE UNIQUE INDEX ON public.t(a)");
    run_sql(other, "BEGIN");
    run_sql(other, "INSERT INTO public.t VALUES (7, 'other')");
    START_OK(c, "COPY public.t FROM STDIN");
    queue_rows(c, 0, ROWS, "");
    for (int i = 0; i < 20; i++) {
        assert_true(pg_copy_send(c, NULL, &e));
        assert_int_equal(pg_copy_try_finish(c, NULL, &rows, &e), 2);
    }
    assert_true(pg_queued_bytes(c) > 1000000);
    run_sql(other, "ROLLBACK");
    assert_int_equal(try_finish(c, &rows, &e), 1);
    assert_int_equal(rows, ROWS);
    assert_int_equal(ask(c, "SELECT sum(a) FROM public.t WHERE b = 'row ' || a"),
                     INT64_C(499999500000));
    pg_close(other, false);
    pg_close(c, false);
}

static void what_is_refused_is_heard_without_waiting(void **state)
{
    struct err e;
    int64_t rows;
    struct pg_conn *c = connect_with_table();
    (void)state;
    for (int last = 0; last < 2; last++) { /* with much behind it, and with nothing */
        START_OK(c, "COPY public.t FROM STDIN");
        queue_rows(c, 0, 1000, "");
        queue_rows(c, 1000, 1001, "\ttoo many");
        queue_rows(c, 1001, last ? 1001 : 200000, "");
        assert_int_equal(try_finish(c, &rows, &e), -1);
        assert_error(&e, ERR_SQL, "22P04");
        assert_int_equal(ask(c, "SELECT count(*) FROM public.t"), 0);
    }
    assert_int_equal(pg_copy_try_finish(c, NULL, &rows, &e), -1);
    assert_error(&e, ERR_INTERNAL, "");
    pg_close(c, false);
}

static void a_session_that_ends_is_noticed_without_waiting(void **state)
{
    struct err e;
    int64_t rows;
    char sql[100];
    struct pg_conn *c = connect_with_table(), *other = cluster_connect(PG_SQL);
    (void)state;
    START_OK(c, "COPY public.t FROM STDIN");
    queue_rows(c, 0, 100000, "");
    str_printf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)", pg_backend_pid(c));
    run_sql(other, sql);
    assert_int_equal(try_finish(c, &rows, &e), -1);
    assert_int_equal(e.code, ERR_CONNECT);
    pg_close(other, false);
    pg_close(c, false);
}

static void a_source_error_half_way_out(void **state)
{
    struct err e;
    struct pg_conn *c = cluster_connect(PG_SQL);
    (void)state;
    START_OK(c, "COPY (SELECT 1 / (500 - g) FROM generate_series(1, 1000) g) TO STDOUT");
    assert_int_equal(count_rows(c, 1000, &e), -1);
    assert_error(&e, ERR_SQL, "22012");
    assert_int_equal(ask(c, "SELECT 1"), 1);
    pg_close(c, false);
}

static void a_cancelled_copy_leaves_the_session_usable(void **state)
{
    struct err e;
    struct timed task;
    char *data;
    size_t len;
    int got;
    struct pg_conn *c = connect_with_table();
    (void)state;
    START_OK(c, "COPY (SELECT pg_sleep(0.01), repeat('x', 9000) FROM generate_series(1, 10000) g) "
                "TO STDOUT");
    timed_init(&task, 200);
    int64_t start = clock_mono_ms();
    while ((got = pg_copy_read(c, &task.task, 0, &data, &len, &e)) == 1)
        pg_copy_free(data);
    assert_int_equal(got, -1);
    assert_error(&e, ERR_CANCELLED, "");
    assert_int_equal(ask(c, "SELECT 1"), 1);
    START_OK(c, "COPY public.t FROM STDIN");
    timed_init(&task, 200);
    assert_true(write_rows(c, &task.task, 100 * ROWS, -1, 0, &e) < 100 * ROWS);
    assert_error(&e, ERR_CANCELLED, "");
    assert_true(clock_mono_ms() - start < 2400 + LOAD_MS);
    assert_int_equal(ask(c, "SELECT count(*) FROM public.t"), 0);
    pg_close(c, false);
}

static void a_copy_that_is_aborted_leaves_the_session_usable(void **state)
{
    struct err e;
    struct pg_conn *c = connect_with_table();
    (void)state;
    pg_copy_abort(c); /* there is none */
    START_OK(c, "COPY public.t FROM STDIN");
    assert_int_equal(write_rows(c, NULL, 50000, -1, 0, &e), 50000);
    assert_false(pg_exec(c, NULL, 5000, "SELECT 1", NULL, &e));
    int64_t start = clock_mono_ms();
    pg_copy_abort(c);
    assert_int_equal(ask(c, "SELECT count(*) FROM public.t"), 0);
    START_OK(c, "COPY (SELECT repeat('x', 9000) FROM generate_series(1, 100000) g) TO STDOUT");
    assert_int_equal(count_rows(c, 3, &e), 3);
    pg_copy_abort(c);
    assert_int_equal(ask(c, "SELECT 1"), 1);
    assert_true(clock_mono_ms() - start < 5000);
    pg_close(c, false);
}

static void a_stalled_copy_ends_with_its_limit(void **state)
{
    struct err e;
    struct pg_conn *c = connect_with_table();
    (void)state;
    START_OK(c, "COPY public.t FROM STDIN");
    if (kill(pg_backend_pid(c), SIGSTOP))
        skip();
    int64_t start = clock_mono_ms();
    bool ended = write_rows(c, NULL, ROWS, -1, 300, &e) < ROWS;
    int64_t took = clock_mono_ms() - start;
    bool alive = pg_is_alive(c);
    kill(pg_backend_pid(c), SIGCONT); /* before anything fails: others would wait for its lock */
    pg_close(c, true);
    assert_true(ended);
    assert_error(&e, ERR_TIMEOUT, "");
    assert_in_range(took, 300, 8000); /* it is stopped for good; a busy machine takes its time */
    assert_false(alive);
}

static void a_lost_connection_ends_a_copy(void **state)
{
    struct err e;
    char sql[80];
    struct pg_conn *c = connect_with_table(), *other = cluster_connect(PG_SQL);
    (void)state;
    str_printf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)", pg_backend_pid(c));
    START_OK(c, "COPY public.t FROM STDIN");
    assert_int_equal(write_rows(c, NULL, 1000, -1, 5000, &e), 1000);
    run_sql(other, sql);
    int64_t start = clock_mono_ms();
    while (write_rows(c, NULL, 1000, -1, 5000, &e) == 1000)
        assert_true(clock_mono_ms() - start < 2000 + LOAD_MS);
    assert_int_equal(e.code, ERR_CONNECT);
    assert_false(pg_is_alive(c));
    pg_close(c, true);

    c = cluster_connect(PG_SQL);
    str_printf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)", pg_backend_pid(c));
    START_OK(c, "COPY (SELECT pg_sleep(0.01), repeat('x', 9000) FROM generate_series(1, 1000) g) "
                "TO STDOUT");
    assert_int_equal(count_rows(c, 2, &e), 2);
    run_sql(other, sql);
    assert_int_equal(count_rows(c, 1000, &e), -1);
    assert_error(&e, ERR_CONNECT, "57P01");
    pg_close(c, true);
    pg_close(other, false);
}

/* It closes the connection in the middle of a message then, so that there is nothing to be told. */
static void a_backend_that_is_ended_while_nobody_reads_says_nothing(void **state)
{
    struct err e;
    char sql[160];
    struct pg_conn *c = cluster_connect(PG_SQL), *other = cluster_connect(PG_SQL);
    (void)state;
    START_OK(c, "COPY (SELECT repeat('x', 9000) FROM generate_series(1, 10000) g) TO STDOUT");
    str_printf(sql, sizeof sql,
               "SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND "
               "wait_event = 'ClientWrite'",
               pg_backend_pid(c));
    await(other, sql, 1);
    str_printf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)", pg_backend_pid(c));
    run_sql(other, sql);
    str_printf(sql, sizeof sql, "SELECT count(*) FROM pg_stat_activity WHERE pid = %d",
               pg_backend_pid(c));
    await(other, sql, 0); /* before anything is read: then it could write again */
    assert_int_equal(count_rows(c, 10000, &e), -1);
    assert_error(&e, ERR_CONNECT, "");
    assert_false(pg_is_alive(c));
    pg_close(c, true);
    pg_close(other, false);
}

/* --- pipelines -------------------------------------------------------------------------------- */

/* What comes next, waiting for it. */
static enum pg_pipe_got next_of(struct pg_conn *c, struct pg_result **out, struct err *err)
{
    enum pg_pipe_got got;
    while ((got = pg_pipe_next(c, out, err)) == PIPE_NOTHING) {
        int unsent = pg_flush(c, err);
        assert_true(unsent >= 0);
        assert_true(pg_wait(c, NULL, unsent == 1, 5000, err));
        if (!pg_consume(c, err))
            return PIPE_ERROR;
    }
    return got;
}

static void expect(struct pg_conn *c, enum pg_pipe_got want)
{
    struct pg_result *r;
    struct err e = {0};
    enum pg_pipe_got got = next_of(c, &r, &e);
    pg_free(r);
    if (got != want)
        fail_msg("wanted %d, got %d: %s", (int)want, (int)got, e.text);
}

static void an_error_in_a_pipeline_skips_up_to_the_sync(void **state)
{
    const char *good[] = {"1", "x"}, *bad[] = {"z", "x"}, *one[] = {"1"};
    struct err e;
    struct pg_result *r;
    struct pg_conn *c = connect_with_table();
    (void)state;
    assert_true(pg_pipe_enter(c, &e));
    assert_int_equal(pg_pipe_next(c, &r, &e), PIPE_NOTHING);
    assert_true(pg_pipe_prepare(c, "ins", "INSERT INTO public.t VALUES ($1, $2)", &e));
    assert_true(pg_pipe_sync(c, &e));
    assert_true(pg_pipe_run(c, "ins", 2, good, NULL, NULL, &e));
    assert_true(pg_pipe_run(c, "ins", 2, bad, NULL, NULL, &e));
    assert_true(pg_pipe_run(c, "ins", 2, good, NULL, NULL, &e));
    assert_true(pg_pipe_sync(c, &e));
    assert_true(pg_pipe_query(c, "SELECT count(*) + $1 FROM public.t", 1, one, &e));
    assert_true(pg_pipe_sync(c, &e));
    assert_true(pg_queued_bytes(c) > 0);
    expect(c, PIPE_RESULT); /* prepare */
    expect(c, PIPE_SYNC);
    expect(c, PIPE_RESULT);
    assert_int_equal(next_of(c, &r, &e), PIPE_ERROR);
    assert_error(&e, ERR_SQL, "22P02");
    expect(c, PIPE_SKIPPED);
    expect(c, PIPE_SYNC);
    assert_int_equal(next_of(c, &r, &e), PIPE_RESULT);
    assert_int_equal(pg_int(r, 0, 0), 1);
    pg_free(r);
    expect(c, PIPE_SYNC);
    assert_int_equal(pg_pipe_next(c, &r, &e), PIPE_NOTHING);
    assert_int_equal(pg_queued_bytes(c), 0);
    assert_true(pg_pipe_leave(c, &e));
    assert_int_equal(ask(c, "SELECT count(*) FROM public.t"), 0);
    pg_close(c, false);
}

/* The caller's rule: while much is unsent, take results instead of sending more. */
static void a_long_pipeline_keeps_its_queue_bounded(void **state)
{
    const int n = 50000;
    char text[1001] = "";
    char binary[4] = {0, 0, 0, 7};
    const char *values[] = {binary, text};
    const int lengths[] = {4, 0}, formats[] = {1, 0};
    struct err e = {0};
    struct pg_result *r;
    size_t most = 0;
    int sent = 0, done = 0;
    struct pg_conn *c = connect_with_table();
    (void)state;
    memset(text, 'p', sizeof text - 1);
    assert_true(pg_pipe_enter(c, &e));
    assert_true(pg_pipe_query(c, "BEGIN", 0, NULL, &e));
    assert_true(pg_pipe_prepare(c, "ins", "INSERT INTO public.t VALUES ($1, $2)", &e));
    while (done < n + 2) {
        while (sent < n && pg_queued_bytes(c) < 256 * 1024) {
            assert_true(pg_pipe_run(c, "ins", 2, values, lengths, formats, &e));
            if (++sent == n || sent % 100 == 0)
                assert_true(pg_pipe_flush_request(c, &e));
        }
        most = pg_queued_bytes(c) > most ? pg_queued_bytes(c) : most;
        int unsent = pg_flush(c, &e);
        assert_true(unsent >= 0);
        assert_true(pg_wait(c, NULL, unsent == 1 || sent < n, 5000, &e));
        assert_true(pg_consume(c, &e));
        enum pg_pipe_got got;
        while ((got = pg_pipe_next(c, &r, &e)) == PIPE_RESULT) {
            pg_free(r);
            done++;
        }
        assert_int_equal(got, PIPE_NOTHING);
    }
    assert_true(most < 258 * 1024);
    assert_true(pg_pipe_query(c, "COMMIT", 0, NULL, &e));
    assert_true(pg_pipe_sync(c, &e));
    expect(c, PIPE_RESULT);
    expect(c, PIPE_SYNC);
    assert_true(pg_pipe_leave(c, &e));
    assert_int_equal(ask(c, "SELECT count(*) FROM public.t WHERE a = 7"), n);
    pg_close(c, false);
}

static void a_lost_connection_ends_a_pipeline(void **state)
{
    struct err e = {0};
    struct pg_result *r;
    struct pg_conn *c = connect_with_table();
    (void)state;
    assert_true(pg_pipe_enter(c, &e));
    assert_true(pg_pipe_query(c, "SELECT 1", 0, NULL, &e));
    assert_true(pg_pipe_query(c, "SELECT pg_terminate_backend(pg_backend_pid())", 0, NULL, &e));
    assert_true(pg_pipe_query(c, "SELECT 2", 0, NULL, &e));
    assert_true(pg_pipe_sync(c, &e));
    expect(c, PIPE_RESULT);
    assert_int_equal(next_of(c, &r, &e), PIPE_ERROR);
    assert_error(&e, ERR_CONNECT, "57P01");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(next_of(c, &r, &e), PIPE_ERROR);
        assert_int_equal(e.code, ERR_CONNECT);
    }
    pg_close(c, true);
}

static int start_cluster(void **state)
{
    (void)state;
    log_to_fd(-1, LOG_LEVEL_INFO);
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
        cmocka_unit_test(a_million_rows_go_in_and_come_out),
        cmocka_unit_test(one_row_may_be_far_larger_than_the_window),
        cmocka_unit_test(a_bad_row_is_heard_of_soon),
        cmocka_unit_test(a_bad_last_row_is_heard_of_at_the_end),
        cmocka_unit_test(rows_go_without_waiting),
        cmocka_unit_test(what_is_refused_is_heard_without_waiting),
        cmocka_unit_test(a_session_that_ends_is_noticed_without_waiting),
        cmocka_unit_test(notices_do_not_end_a_copy),
        cmocka_unit_test(a_source_error_half_way_out),
        cmocka_unit_test(a_cancelled_copy_leaves_the_session_usable),
        cmocka_unit_test(a_copy_that_is_aborted_leaves_the_session_usable),
        cmocka_unit_test(a_stalled_copy_ends_with_its_limit),
        cmocka_unit_test(a_lost_connection_ends_a_copy),
        cmocka_unit_test(a_backend_that_is_ended_while_nobody_reads_says_nothing),
        cmocka_unit_test(an_error_in_a_pipeline_skips_up_to_the_sync),
        cmocka_unit_test(a_long_pipeline_keeps_its_queue_bounded),
        cmocka_unit_test(a_lost_connection_ends_a_pipeline),
    };
    return cmocka_run_group_tests(tests, start_cluster, stop_cluster);
}
