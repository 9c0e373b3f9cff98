/* The apply against a server: rows and progress move together or not at all, in the source's order,
 * and never over a batch that failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/apply_world.h"

/* --- exactly once ---------------------------------------------------------------------------- */

static void rows_and_progress_become_visible_together(void **state)
{
    (void)state;
    open_apply();
    begin(1100);
    insert(T, "1", "a");
    insert(T, "2", "it's \\ \"b\"");
    insert(T, "3", "");
    insert(T, "4", NULL);
    insert(U, "1", "u");
    ok(feed(sample_update(&w.s, T, 0, NO_ROW, ROW("1", "ä"))));
    ok(feed(sample_delete(&w.s, T, 'K', ROW("3", NULL))));
    pump_ms(50);
    assert_true(apply_is_in_transaction(w.a));
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 0);
    assert_int_equal(ask(w.c, PROGRESS), START);
    commit(1100);
    ok(apply_pump(w.a, true, &w.e));
    await(w.c, "SELECT count(*) FROM d.t", 3);
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t t, _bunnydb.progress p "
                              "WHERE t.xmin = p.xmin"),
                     3);
    ok(settle(true));
    assert_rows(ROWS_OF("t"), "1=ä 2=it's \\ \"b\" 4=NULL");
    assert_rows(ROWS_OF("u"), "1=u");
    assert_int_equal(ask(w.c, PROGRESS), 1105);
    assert_int_equal(apply_durable(w.a), 1105);
    assert_int_equal(w.batches, 1);
    assert_int_equal(w.inserted, 5);
    assert_int_equal(w.updated, 1);
    assert_int_equal(w.deleted, 1);
    assert_int_equal(w.missed, 0);
}

static void what_was_applied_before_is_skipped(void **state)
{
    (void)state;
    open_apply();
    insert_alone(START - 10, T, "1", "old");
    insert_alone(START, T, "2", "new");
    ok(settle(true));
    assert_rows(ROWS_OF("t"), "2=new");
    assert_int_equal(w.transactions, 1);
}

static void a_stale_epoch_applies_nothing(void **state)
{
    struct progress other;
    (void)state;
    open_apply();
    insert_alone(1100, T, "1", "mine");
    ok(settle(true));
    ok(progress_claim(w.c, NULL, ID, &other, &w.e));
    begin(1200);
    insert(T, "2", "late");
    ok(feed(sample_update(&w.s, T, 0, NO_ROW, ROW("1", "late"))));
    commit(1200);
    assert_false(settle(true));
    assert_error(&w.e, ERR_FENCED, "");
    assert_true(w.e.hint[0]);
    pg_close(w.dest, false);
    w.dest = NULL;
    assert_rows(ROWS_OF("t"), "1=mine");
    assert_int_equal(ask(w.c, PROGRESS), 1105);
    assert_int_equal(w.batches, 1);
}

static void a_conflict_rolls_the_whole_batch_back(void **state)
{
    (void)state;
    run_sql(w.c, "INSERT INTO d.t VALUES (2, 'there')");
    open_apply();
    insert_alone(1100, T, "1", "first");
    begin(1200);
    insert(U, "7", "u");
    insert(T, "2", "conflict");
    insert(T, "3", "behind");
    commit(1200);
    assert_false(settle(true));
    assert_error(&w.e, ERR_CONFLICT, "23505");
    assert_non_null(strstr(w.e.text, "insert into \"d\".\"t\""));
    assert_rows(ROWS_OF("t"), "2=there");
    assert_rows(ROWS_OF("u"), "");
    assert_int_equal(ask(w.c, PROGRESS), START);
    assert_int_equal(apply_durable(w.a), START);
    assert_int_equal(w.batches, 0);
}

/* Three batches of one change each are with the server before the first one's end is known. */
static void send_three_at_once(const char *first_id, const char *first_v)
{
    struct pg_conn *holder = cluster_connect(PG_SQL);
    w.o.limits.max_changes = 1;
    open_apply();
    run_sql(holder, "BEGIN; LOCK TABLE d.t");
    insert_alone(1100, T, first_id, first_v);
    pump_ms(20);
    insert_alone(1200, U, "2", "over the gap");
    pump_ms(20);
    insert_alone(1300, U, "3", "over the gap");
    pump_ms(20);
    run_sql(holder, "ROLLBACK");
    pg_close(holder, false);
}

static void assert_nothing_was_applied(void)
{
    assert_false(settle(true));
    await(w.c,
          "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test' AND "
          "state = 'active' AND pid <> pg_backend_pid()",
          0);
    assert_rows(ROWS_OF("t"), "1=there");
    assert_rows(ROWS_OF("u"), "");
    assert_int_equal(ask(w.c, PROGRESS), START);
    assert_int_equal(w.batches, 0);
}

static void no_batch_commits_over_one_that_failed(void **state)
{
    (void)state;
    run_sql(w.c, "INSERT INTO d.t VALUES (1, 'there')");
    send_three_at_once("1", "conflict");
    assert_nothing_was_applied();
    assert_error(&w.e, ERR_CONFLICT, "23505");
}

/* The transaction is over then: the next BEGIN would find nothing in its way. */
static void no_batch_commits_over_one_whose_commit_failed(void **state)
{
    (void)state;
    pg_close(w.dest, false);
    w.dest = cluster_connect(PG_SQL); /* without the right to switch constraint triggers off */
    run_sql(w.c, "ALTER TABLE d.t ADD UNIQUE (v) DEFERRABLE INITIALLY DEFERRED;"
                 "INSERT INTO d.t VALUES (1, 'there')");
    send_three_at_once("2", "there");
    assert_nothing_was_applied();
    assert_error(&w.e, ERR_CONFLICT, "23505");
    assert_non_null(strstr(w.e.text, "commit at the destination"));
}

/* Without the WAL writer, only a COMMIT that waits brings rows to the disk. */
static void what_is_seen_is_told_once_it_is_on_the_disk(void **state)
{
    (void)state;
    run_sql(w.c, "ALTER SYSTEM SET wal_writer_delay = '10s'");
    run_sql(w.c, "SELECT pg_reload_conf()");
    open_apply();
    for (int i = 0; i < 20; i++) {
        char id[16], sql[120];
        str_printf(id, sizeof id, "%d", i);
        insert_alone(1100 + 20 * (lsn_t)i, T, id, "x");
        ok(apply_pump(w.a, true, &w.e));
        await(w.c, "SELECT count(*) FROM d.t", i + 1);
        int64_t at = ask(w.c, "SELECT pg_current_wal_insert_lsn() - '0/0'");
        if (i == 10) /* in the order of the COMMITs */
            insert_alone(1100 + 20 * (lsn_t)i + 7, U, id, "x");
        ok(settle(true));
        assert_true(apply_durable(w.a) >= 1105 + 20 * (lsn_t)i);
        str_printf(sql, sizeof sql, "SELECT (pg_current_wal_flush_lsn() - '0/0' >= %lld)::int",
                   (long long)at);
        assert_int_equal(ask(w.c, sql), 1);
    }
    assert_int_equal(w.transactions, 21);
    run_sql(w.c, "ALTER SYSTEM RESET wal_writer_delay");
    run_sql(w.c, "SELECT pg_reload_conf()");
}

static void a_lost_connection_leaves_nothing_half_applied(void **state)
{
    char sql[80];
    (void)state;
    open_apply();
    insert_alone(1100, T, "1", "whole");
    ok(settle(true));
    begin(1200);
    for (int i = 0; i < 500; i++) {
        char id[16];
        str_printf(id, sizeof id, "%d", 100 + i);
        insert(T, id, "half");
    }
    pump_ms(50);
    str_printf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)", pg_backend_pid(w.dest));
    run_sql(w.c, sql);
    await(w.c,
          "SELECT count(*) FROM pg_locks WHERE relation = 'd.t'::regclass AND pid <> "
          "pg_backend_pid()",
          0);
    bool fed = feed(sample_commit(&w.s, 1200, 1205));
    assert_false(fed && settle(true));
    assert_int_equal(w.e.code, ERR_CONNECT);
    assert_rows(ROWS_OF("t"), "1=whole");
    assert_int_equal(ask(w.c, PROGRESS), 1105);
    assert_int_equal(apply_durable(w.a), 1105);
}

/* --- batches --------------------------------------------------------------------------------- */

static void full_batches_go_without_waiting_for_quiet(void **state)
{
    (void)state;
    w.o.limits.max_changes = 10;
    open_apply();
    for (int i = 0; i < 95; i++) {
        char id[16];
        str_printf(id, sizeof id, "%d", i);
        insert_alone(1100 + 10 * (lsn_t)i, T, id, "x");
        ok(apply_pump(w.a, false, &w.e));
    }
    await(w.c, "SELECT count(*) FROM d.t", 90);
    assert_int_equal(ask(w.c, "SELECT count(DISTINCT xmin::text) FROM d.t"), 9);
    ok(settle(true));
    assert_int_equal(w.batches, 10);
    assert_int_equal(w.transactions, 95);
    assert_int_equal(w.inserted, 95);
    assert_int_equal(ask(w.c, PROGRESS), 1100 + 940 + 5);
}

static void a_transaction_larger_than_a_batch_stays_whole(void **state)
{
    (void)state;
    w.o.limits.max_changes = 10;
    open_apply();
    begin(1100);
    for (int i = 0; i < 300; i++) {
        char id[16];
        str_printf(id, sizeof id, "%d", i);
        insert(T, id, "x");
        ok(apply_pump(w.a, true, &w.e));
    }
    pump_ms(20);
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 0);
    commit(1100);
    ok(settle(true));
    assert_int_equal(w.batches, 1);
    assert_int_equal(ask(w.c, "SELECT count(DISTINCT xmin::text) FROM d.t"), 1);
}

static void too_much_under_way_leaves_no_room(void **state)
{
    struct pg_conn *holder = cluster_connect(PG_SQL);
    (void)state;
    w.o.window = 100; /* ten changes of the size that feed tells */
    open_apply();
    run_sql(holder, "BEGIN; LOCK TABLE d.t");
    begin(1100);
    for (int i = 0; i < 10; i++) {
        char id[16];
        assert_true(apply_has_room(w.a));
        str_printf(id, sizeof id, "%d", i);
        insert(T, id, "x");
    }
    assert_false(apply_has_room(w.a));
    pump_ms(20);
    assert_false(apply_has_room(w.a));
    run_sql(holder, "ROLLBACK");
    pg_close(holder, false);
    commit(1100);
    ok(settle(true));
    assert_true(apply_has_room(w.a));
}

/* Many mirrors share one budget: one gets another share while it has nothing to do. */
static void the_window_changes_between_changes(void **state)
{
    struct pg_conn *holder = cluster_connect(PG_SQL);
    (void)state;
    w.o.window = 1000;
    open_apply();
    insert_alone(1100, T, "100", "x");
    ok(settle(true));
    apply_rest(w.a);
    apply_set_window(w.a, 100);
    run_sql(holder, "BEGIN; LOCK TABLE d.t");
    begin(1200);
    for (int i = 0; i < 10; i++) {
        char id[16];
        assert_true(apply_has_room(w.a));
        str_printf(id, sizeof id, "%d", i);
        insert(T, id, "x");
    }
    assert_false(apply_has_room(w.a));
    apply_set_window(w.a, 1000); /* not now, and nothing is thrown away */
    apply_rest(w.a);
    assert_false(apply_has_room(w.a));
    run_sql(holder, "ROLLBACK");
    pg_close(holder, false);
    commit(1200);
    ok(settle(true));
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 11);
    assert_true(apply_has_room(w.a));
}

static void a_quiet_stretch_moves_the_progress(void **state)
{
    struct progress other;
    (void)state;
    open_apply();
    ok(apply_move_idle(w.a, 5000, &w.e));
    assert_int_equal(ask(w.c, PROGRESS), 5000);
    assert_int_equal(apply_durable(w.a), 5000);
    ok(apply_move_idle(w.a, 4000, &w.e)); /* never back */
    assert_int_equal(ask(w.c, PROGRESS), 5000);
    insert_alone(5100, T, "1", "goes on");
    ok(settle(true));
    assert_int_equal(ask(w.c, PROGRESS), 5105);
    ok(progress_claim(w.c, NULL, ID, &other, &w.e));
    assert_false(apply_move_idle(w.a, 6000, &w.e));
    assert_error(&w.e, ERR_FENCED, "");
    assert_int_equal(ask(w.c, PROGRESS), 5105);
    assert_int_equal(apply_durable(w.a), 5105);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(rows_and_progress_become_visible_together),
        IN_WORLD(what_was_applied_before_is_skipped),
        IN_WORLD(a_stale_epoch_applies_nothing),
        IN_WORLD(a_conflict_rolls_the_whole_batch_back),
        IN_WORLD(no_batch_commits_over_one_that_failed),
        IN_WORLD(no_batch_commits_over_one_whose_commit_failed),
        IN_WORLD(what_is_seen_is_told_once_it_is_on_the_disk),
        IN_WORLD(a_lost_connection_leaves_nothing_half_applied),
        IN_WORLD(full_batches_go_without_waiting_for_quiet),
        IN_WORLD(a_transaction_larger_than_a_batch_stays_whole),
        IN_WORLD(too_much_under_way_leaves_no_room),
        IN_WORLD(the_window_changes_between_changes),
        IN_WORLD(a_quiet_stretch_moves_the_progress),
    };
    return cmocka_run_group_tests(tests, world_start_cluster, world_stop_cluster);
}
