/* Slots, the stream and feedback against a server, and every refusal with a code of its own. */
#include <setjmp.h>
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

#define PUBLICATION "My 'pub\\\", x"

static uint64_t be64(const char *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

/* Reads the stream up to a Commit message; its end_lsn. XLogData: 'w', start, end, clock, message;
 * Commit: 'C', flags, commit LSN, end LSN. */
static lsn_t read_commit(struct pg_conn *stream)
{
    struct err e = {0};
    char *data;
    size_t len;
    lsn_t end = 0;
    while (!end) {
        int got = pg_copy_read(stream, NULL, 5000, &data, &len, &e);
        if (got != 1)
            fail_msg("%d %s", got, e.text);
        if (data[0] == 'w' && len >= 25 + 18 && data[25] == 'C')
            end = be64(data + 25 + 10);
        pg_copy_free(data);
    }
    return end;
}

static lsn_t create_slot(struct pg_conn *repl, const char *slot)
{
    struct err e = {0};
    lsn_t lsn;
    char *snapshot;
    if (!pg_repl_create_slot(repl, NULL, 10000, slot, false, &lsn, &snapshot, &e))
        fail_msg("%s", e.text);
    assert_non_null(snapshot);
    free(snapshot);
    return lsn;
}

static void start(struct pg_conn *repl, const char *slot, const char *publication)
{
    struct err e = {0};
    if (!pg_repl_start(repl, NULL, 5000, slot, 0, publication, true, &e))
        fail_msg("%s", e.text);
}

static const char *decoding_memory(struct pg_conn *repl)
{
    static char shown[32];
    struct pg_result *r;
    struct err e;
    assert_true(pg_exec(repl, NULL, 5000, "SHOW logical_decoding_work_mem", &r, &e));
    str_printf(shown, sizeof shown, "%s", pg_text(r, 0, 0));
    pg_free(r);
    return shown;
}

/* Raised for the session, never lowered; what the server refuses is no error. */
static void decoding_gets_more_memory(void **state)
{
    struct err e;
    struct pg_conn *repl = cluster_connect(PG_REPLICATION);
    (void)state;
    assert_string_equal(decoding_memory(repl), "64MB");
    assert_true(pg_repl_decoding_memory(repl, NULL, 5000, 1 << 20, &e));
    assert_string_equal(decoding_memory(repl), "64MB");
    assert_true(pg_repl_decoding_memory(repl, NULL, 5000, INT64_MAX, &e));
    assert_string_equal(decoding_memory(repl), "64MB");
    assert_true(pg_repl_decoding_memory(repl, NULL, 5000, 128 << 20, &e));
    assert_string_equal(decoding_memory(repl), "128MB");
    pg_close(repl, true);
}

static void the_exported_snapshot_can_be_imported(void **state)
{
    struct err e;
    lsn_t lsn;
    char *snapshot;
    struct buf sql = {0};
    struct pg_conn *c = cluster_connect(PG_SQL), *repl = cluster_connect(PG_REPLICATION);
    (void)state;
    run_sql(c, "CREATE TABLE public.s(a int)");
    assert_true(pg_repl_create_slot(repl, NULL, 10000, "snap", true, &lsn, &snapshot, &e));
    assert_true(lsn > 0);
    run_sql(c, "INSERT INTO public.s VALUES (1)");
    buf_puts(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT ");
    pg_quote_literal(&sql, snapshot);
    run_sql(c, buf_text(&sql));
    assert_int_equal(ask(c, "SELECT count(*) FROM public.s"), 0);
    run_sql(c, "COMMIT");
    pg_close(repl, false);
    await(c, "SELECT count(*) FROM pg_replication_slots", 0); /* it was temporary */
    pg_close(c, false);
    buf_free(&sql);
    free(snapshot);
}

static void feedback_moves_the_confirmed_position(void **state)
{
    struct err e = {0};
    char sql[160];
    struct buf b = {0};
    struct pg_conn *c = cluster_connect(PG_SQL), *repl = cluster_connect(PG_REPLICATION);
    (void)state;
    run_sql(c, "CREATE TABLE public.f(a int PRIMARY KEY)");
    buf_puts(&b, "CREATE PUBLICATION ");
    pg_quote_ident(&b, PUBLICATION);
    buf_puts(&b, " FOR TABLE public.f");
    run_sql(c, buf_text(&b));
    lsn_t from = create_slot(repl, "fb");
    start(repl, "fb", PUBLICATION);
    run_sql(c, "INSERT INTO public.f VALUES (1)");
    lsn_t end = read_commit(repl);
    assert_true(end > from);
    assert_true(pg_repl_feedback(repl, end, end, end, &e));
    str_printf(sql, sizeof sql,
               "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'fb'"
               " AND confirmed_flush_lsn = '" LSN_FMT "'",
               LSN_ARGS(end));
    await(c, sql, 1);
    /* The last word before a stop arrives. */
    run_sql(c, "INSERT INTO public.f VALUES (2)");
    end = read_commit(repl);
    assert_true(pg_repl_feedback(repl, end, end, end, &e));
    assert_true(pg_repl_stop(repl, NULL, 5000, &e));
    str_printf(sql, sizeof sql,
               "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'fb'"
               " AND confirmed_flush_lsn = '" LSN_FMT "'",
               LSN_ARGS(end));
    assert_int_equal(ask(c, sql), 1);
    pg_close(repl, false);
    await(c, "SELECT count(*) FROM pg_replication_slots WHERE active", 0);
    repl = cluster_connect(PG_REPLICATION);
    start(repl, "fb", PUBLICATION);
    run_sql(c, "INSERT INTO public.f VALUES (3)");
    assert_true(read_commit(repl) > end);
    assert_true(pg_repl_stop(repl, NULL, 5000, &e));
    pg_close(repl, false);
    buf_free(&b);
    await(c, "SELECT count(*) FROM pg_replication_slots WHERE active", 0);
    run_sql(c, "SELECT pg_drop_replication_slot('fb')");
    pg_close(c, false);
}

static void a_stop_throws_away_what_still_comes(void **state)
{
    struct err e = {0};
    struct pg_conn *c = cluster_connect(PG_SQL), *repl = cluster_connect(PG_REPLICATION);
    (void)state;
    run_sql(c, "CREATE TABLE public.big(a int, b text)");
    run_sql(c, "CREATE PUBLICATION big FOR TABLE public.big");
    create_slot(repl, "big");
    run_sql(c,
            "INSERT INTO public.big SELECT g, repeat('x', 200) FROM generate_series(1, 200000) g");
    start(repl, "big", "big");
    char *data;
    size_t len;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(pg_copy_read(repl, NULL, 5000, &data, &len, &e), 1);
        pg_copy_free(data);
    }
    assert_true(pg_repl_stop(repl, NULL, 20000, &e));
    pg_close(repl, false);
    await(c, "SELECT count(*) FROM pg_replication_slots WHERE active", 0);
    run_sql(c, "SELECT pg_drop_replication_slot('big')");
    pg_close(c, false);
}

static void refusals_have_codes_of_their_own(void **state)
{
    struct err e = {0};
    lsn_t lsn;
    char *snapshot, *data;
    size_t len;
    int got;
    struct pg_conn *c = cluster_connect(PG_SQL);
    struct pg_conn *repl = cluster_connect(PG_REPLICATION),
                   *other = cluster_connect(PG_REPLICATION);
    (void)state;
    assert_false(pg_repl_start(repl, NULL, 5000, "nosuch", 0, "p", true, &e));
    assert_error(&e, ERR_SLOT_MISSING, "42704");
    create_slot(repl, "mine");
    assert_false(pg_repl_create_slot(repl, NULL, 5000, "mine", false, &lsn, &snapshot, &e));
    assert_error(&e, ERR_SLOT_EXISTS, "42710");
    assert_null(snapshot);
    start(repl, "mine", "gone");
    assert_false(pg_repl_start(other, NULL, 5000, "mine", 0, "p", true, &e));
    assert_error(&e, ERR_SLOT_ACTIVE, "55006");
    run_sql(c, "CREATE TABLE public.r(a int)");
    run_sql(c, "INSERT INTO public.r VALUES (1)");
    while ((got = pg_copy_read(repl, NULL, 5000, &data, &len, &e)) == 1)
        pg_copy_free(data);
    assert_int_equal(got, -1);
    assert_error(&e, ERR_PUBLICATION, "42704");
    assert_false(pg_repl_feedback(repl, 1, 1, 1, &e));
    assert_true(pg_repl_stop(repl, NULL, 5000, &e));
    pg_close(repl, false);
    pg_close(other, false);
    await(c, "SELECT count(*) FROM pg_replication_slots WHERE active", 0);
    run_sql(c, "SELECT pg_drop_replication_slot('mine')");
    pg_close(c, false);
}

static void slot_creation_behind_a_transaction_keeps_to_its_limit(void **state)
{
    struct err e = {0};
    lsn_t lsn;
    char *snapshot;
    struct pg_conn *c = cluster_connect(PG_SQL), *writer = cluster_connect(PG_SQL);
    struct pg_conn *repl = cluster_connect(PG_REPLICATION);
    (void)state;
    run_sql(writer, "BEGIN; CREATE TABLE public.w(a int)");
    int64_t begin = clock_mono_ms();
    assert_false(pg_repl_create_slot(repl, NULL, 300, "late", false, &lsn, &snapshot, &e));
    assert_error(&e, ERR_TIMEOUT, "");
    assert_true(clock_mono_ms() - begin < 1400 + LOAD_MS);
    pg_close(repl, true);
    await(c, "SELECT count(*) FROM pg_replication_slots", 0);
    run_sql(writer, "ROLLBACK");
    pg_close(writer, false);
    pg_close(c, false);
}

static void a_terminated_stream_says_why(void **state)
{
    struct err e = {0};
    char *data;
    size_t len;
    int got;
    struct pg_conn *c = cluster_connect(PG_SQL), *repl = cluster_connect(PG_REPLICATION);
    (void)state;
    create_slot(repl, "term");
    start(repl, "term", PUBLICATION);
    run_sql(c, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots");
    while ((got = pg_copy_read(repl, NULL, 5000, &data, &len, &e)) == 1)
        pg_copy_free(data);
    assert_int_equal(got, -1);
    assert_error(&e, ERR_CONNECT, "57P01");
    pg_close(repl, true);
    await(c, "SELECT count(*) FROM pg_replication_slots WHERE active", 0);
    run_sql(c, "SELECT pg_drop_replication_slot('term')");
    pg_close(c, false);
}

/* Waits for what pg_ask asked. */
static int answer(struct pg_conn *c, struct err *err)
{
    int got;
    while ((got = pg_try_answer(c, err)) == 2)
        assert_true(pg_wait(c, NULL, false, 5000, err));
    return got;
}

static void an_answer_comes_when_it_comes(void **state)
{
    struct err e = {0};
    char *data;
    size_t len;
    int got, rows = 0;
    struct pg_conn *c = cluster_connect(PG_SQL), *other = cluster_connect(PG_SQL);
    (void)state;
    assert_true(pg_ask(c, "SELECT pg_catalog.pg_advisory_lock(1)", &e));
    assert_int_equal(answer(c, &e), 0);
    assert_true(pg_ask(other,
                       "COPY (SELECT 1 FROM pg_catalog.pg_advisory_xact_lock(1), "
                       "pg_catalog.generate_series(1, 5000)) TO STDOUT (FORMAT binary)",
                       &e));
    assert_int_equal(pg_try_answer(other, &e), 2); /* it waits for the lock; we do not */
    assert_true(pg_ask(c, "SELECT pg_catalog.pg_advisory_unlock(1)", &e));
    assert_int_equal(answer(c, &e), 0);
    assert_int_equal(answer(other, &e), 1);
    assert_false(pg_ask(other, "SELECT 1", &e)); /* first the rows */
    assert_error(&e, ERR_INTERNAL, "");
    for (; (got = pg_copy_read(other, NULL, 5000, &data, &len, &e)) == 1; rows++)
        pg_copy_free(data);
    assert_int_equal(got, 0);
    assert_true(rows >= 5000);
    assert_true(pg_ask(other, "SELECT 1/0", &e));
    assert_int_equal(answer(other, &e), -1);
    assert_error(&e, ERR_SQL, "22012");
    assert_true(
        pg_ask(other, "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())", &e));
    assert_int_equal(answer(other, &e), -1);
    assert_error(&e, ERR_CONNECT, "57P01");
    pg_close(other, true);
    pg_close(c, false);
}

static void a_slot_whose_wal_is_gone_is_lost(void **state)
{
    struct err e = {0};
    struct pg_conn *c = cluster_connect(PG_SQL), *repl = cluster_connect(PG_REPLICATION);
    (void)state;
    if (pg_version(c) < 130000)
        skip();
    create_slot(repl, "lost");
    run_sql(c, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
    run_sql(c, "SELECT pg_reload_conf()");
    run_sql(c, "CREATE TABLE public.l(a int)");
    for (int i = 0; i < 8; i++) {
        run_sql(c, "INSERT INTO public.l VALUES (1)");
        run_sql(c, "SELECT pg_switch_wal()");
    }
    run_sql(c, "CHECKPOINT");
    await(c, "SELECT count(*) FROM pg_replication_slots WHERE wal_status = 'lost'", 1);
    assert_false(pg_repl_start(repl, NULL, 5000, "lost", 0, "p", true, &e));
    assert_error(&e, ERR_SLOT_LOST, "55000");
    assert_true(pg_is_alive(repl));
    pg_close(repl, false);
    run_sql(c, "SELECT pg_drop_replication_slot('lost')");
    pg_close(c, false);
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
        cmocka_unit_test(decoding_gets_more_memory),
        cmocka_unit_test(the_exported_snapshot_can_be_imported),
        cmocka_unit_test(feedback_moves_the_confirmed_position),
        cmocka_unit_test(a_stop_throws_away_what_still_comes),
        cmocka_unit_test(refusals_have_codes_of_their_own),
        cmocka_unit_test(slot_creation_behind_a_transaction_keeps_to_its_limit),
        cmocka_unit_test(a_terminated_stream_says_why),
        cmocka_unit_test(an_answer_comes_when_it_comes),
        cmocka_unit_test(a_slot_whose_wal_is_gone_is_lost),
    };
    return cmocka_run_group_tests(tests, start_cluster, stop_cluster);
}
