/* Tables that are copied beside the stream: the copy's point divides their changes exactly, what
 * was kept is replayed in order and in whole transactions, the progress is never ahead of what it
 * says, and the hand-over comes neither too early nor after something that failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "stream/sync_rows.h"
#include "tests/unit/apply_world.h"
#include "tests/unit/tempdir.h"

#define S 2000 /* the copy's point */
#define ASIDE_ROWS "SELECT count(*) FROM _bunnydb.table_sync WHERE is_aside"
#define TEXT 25

static char *dir;
static bool only_t[3] = {true, false, false};
static const struct table_name t_name = {"public", "t"};
static struct schema copied;
static struct schema_table copied_table;
static struct schema_column copied_columns[2];
static int handed_over;

static void note(void *arg)
{
    (void)arg;
    handed_over++;
}

static struct sync_owner owner(void)
{
    return (struct sync_owner){.mirror_id = ID, .epoch = w.o.epoch};
}

/* t is set aside, its row is there, and the stream has told both tables. */
static int open_with(void **state, int64_t batch_size)
{
    struct sync_owner o;
    world_open(state);
    o = owner();
    dir = tempdir_new();
    w.o.limits.max_changes = batch_size;
    handed_over = 0;
    w.o.aside = (struct aside_options){
        .tables = only_t, .spill_dir = dir, .spill_memory = 1 << 20, .handed_over = note};
    ok(sync_rows_set_aside(w.c, NULL, &o, &t_name, 1, &w.e));
    copied_table = w.tables[0];
    copied = (struct schema){.n_tables = 1, .tables = &copied_table};
    ok(apply_new(w.dest, NULL, &w.o, START, &w.a, &w.e));
    ok(feed_bytes(sample_relation(&w.s, T, "t", ROW("*id", "v"))));
    ok(feed_bytes(sample_relation(&w.s, U, "u", ROW("*id", "v"))));
    return 0;
}

static int open_aside(void **state)
{
    return open_with(state, 1000);
}

static int open_with_small_batches(void **state)
{
    return open_with(state, 1);
}

static int open_with_big_batches(void **state)
{
    return open_with(state, 1000000);
}

static int close_aside(void **state)
{
    tempdir_free(dir);
    return world_close(state);
}

/* --- short ways ------------------------------------------------------------------------------ */

static void b(lsn_t commit_lsn)
{
    ok(feed_bytes(sample_begin(&w.s, commit_lsn)));
}

static void c(lsn_t commit_lsn)
{
    ok(feed_bytes(sample_commit(&w.s, commit_lsn, commit_lsn + 5)));
}

static void ins(uint32_t oid, const char *id, const char *v)
{
    ok(feed_bytes(sample_insert(&w.s, oid, ROW(id, v))));
}

static void ins_alone(lsn_t commit_lsn, uint32_t oid, const char *id, const char *v)
{
    b(commit_lsn);
    ins(oid, id, v);
    c(commit_lsn);
}

static enum aside_stage stage(void)
{
    struct aside_status s;
    aside_status(w.a, &s);
    return s.stage;
}

/* As the stream's loop does, until nothing is left to do. */
static bool work(void)
{
    for (int i = 0; i < 100; i++) {
        if (!apply_replay(w.a, &w.e) || !settle(true))
            return false;
        if (!apply_can_replay(w.a) && stage() != ASIDE_HANDING)
            return true;
    }
    fail_msg("never done");
    return false;
}

/* The rows that the copy's snapshot would have brought. */
static void copy_rows(const char *sql)
{
    run_sql(w.c, sql);
}

static void replay(void)
{
    aside_replay(w.a, &copied, &t_name, 1);
}

/* --- where changes go ------------------------------------------------------------------------ */

static void without_a_copy_its_changes_are_dropped_and_others_go_on(void **state)
{
    struct aside_status s;
    (void)state;
    b(1100);
    ins(T, "1", "lost");
    ins(U, "1", "u");
    ok(feed_bytes(sample_update(&w.s, T, 0, NO_ROW, ROW("1", "x"))));
    ok(feed_bytes(sample_delete(&w.s, T, 'K', ROW("1", NULL))));
    c(1100);
    ok(work());
    assert_rows(ROWS_OF("u"), "1=u");
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 0);
    assert_int_equal(ask(w.c, PROGRESS), 1105);
    assert_int_equal(ask(w.c, ASIDE_ROWS), 1);
    aside_status(w.a, &s);
    assert_int_equal(s.kept, 0);
    assert_int_equal(s.stage, ASIDE_DROP);
}

static void the_point_divides_what_the_copy_has_from_what_is_replayed(void **state)
{
    (void)state;
    ins_alone(1100, T, "1", "dropped");
    aside_keep(w.a, only_t);
    ins_alone(1200, T, "2", "copied");
    ins_alone(S - 1, T, "3", "copied");
    ins_alone(S, T, "4", "replayed");
    aside_set_point(w.a, S);
    ins_alone(S + 100, T, "5", "replayed");
    ins_alone(S + 200, U, "1", "u");
    ok(work());
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 0);
    assert_int_equal(ask(w.c, PROGRESS), S + 205); /* does not wait for the copy */
    copy_rows("INSERT INTO d.t VALUES (1, 'copied'), (2, 'copied'), (3, 'copied')");
    replay();
    ok(work());
    assert_rows(ROWS_OF("t"), "1=copied 2=copied 3=copied 4=replayed 5=replayed");
    assert_int_equal(stage(), ASIDE_STREAM);
    assert_int_equal(handed_over, 1);
    assert_int_equal(ask(w.c, "SELECT count(*) FROM _bunnydb.table_sync"), 0);
    aside_finish(w.a);
    b(S + 300);
    ok(feed_bytes(sample_update(&w.s, T, 0, NO_ROW, ROW("1", "direct"))));
    ins(T, "6", "direct");
    c(S + 300);
    ok(work());
    assert_rows(ROWS_OF("t"), "1=direct 2=copied 3=copied 4=replayed 5=replayed 6=direct");
    assert_int_equal(w.missed, 0);
    assert_int_equal(ask(w.c, PROGRESS), S + 305);
}

static void every_kind_of_change_is_replayed_in_order(void **state)
{
    (void)state;
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    b(S + 10);
    ok(feed_bytes(sample_update(&w.s, T, 0, NO_ROW, ROW("1", "once"))));
    ok(feed_bytes(sample_update(&w.s, T, 'K', ROW("1", NULL), ROW("7", sample_unchanged))));
    ok(feed_bytes(sample_delete(&w.s, T, 'K', ROW("2", NULL))));
    ins(T, "2", NULL);
    c(S + 10);
    copy_rows("INSERT INTO d.t VALUES (1, 'copied'), (2, 'copied')");
    replay();
    ok(work());
    assert_rows(ROWS_OF("t"), "2=NULL 7=once");
    assert_int_equal(w.missed, 0);
    assert_int_equal(w.updated, 2);
}

static void new_changes_queue_behind_the_kept_ones(void **state)
{
    (void)state;
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    ins_alone(S + 10, T, "1", "a");
    replay();
    b(S + 20);
    ok(feed_bytes(sample_update(&w.s, T, 0, NO_ROW, ROW("1", "b"))));
    ok(apply_replay(w.a, &w.e));
    ok(feed_bytes(sample_update(&w.s, T, 0, NO_ROW, ROW("1", "c"))));
    ok(apply_replay(w.a, &w.e));
    pump_ms(30);
    assert_int_equal(stage(), ASIDE_REPLAY); /* not in the middle of a transaction */
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 0);
    c(S + 20);
    ok(work());
    assert_int_equal(stage(), ASIDE_STREAM);
    assert_rows(ROWS_OF("t"), "1=c");
    assert_int_equal(w.missed, 0);
}

/* --- when the hand-over may come ------------------------------------------------------------- */

static void no_hand_over_before_the_stream_is_at_the_point(void **state)
{
    (void)state;
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    copy_rows("INSERT INTO d.t VALUES (1, 'copied')");
    replay();
    ins_alone(S - 100, T, "1", "in the copy already");
    ok(work());
    assert_int_equal(stage(), ASIDE_REPLAY);
    assert_int_equal(ask(w.c, ASIDE_ROWS), 1);
    apply_position(w.a, S - 1);
    ok(work());
    assert_int_equal(stage(), ASIDE_REPLAY);
    apply_position(w.a, S);
    ok(work());
    assert_int_equal(stage(), ASIDE_STREAM);
    assert_int_equal(ask(w.c, "SELECT count(*) FROM _bunnydb.table_sync"), 0);
    /* A restart begins here: nothing that the copy has may come again. */
    assert_int_equal(ask(w.c, PROGRESS), S);
    assert_rows(ROWS_OF("t"), "1=copied");
}

static void a_keepalive_inside_a_transaction_says_nothing(void **state)
{
    (void)state;
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    replay();
    b(S - 10);
    ins(U, "1", "u");
    apply_position(w.a, S + 500);
    ok(apply_replay(w.a, &w.e));
    assert_int_equal(stage(), ASIDE_REPLAY);
    c(S - 10);
    ok(work());
    assert_int_equal(stage(), ASIDE_REPLAY);
}

static void replayed_transactions_are_never_split(void **state)
{
    (void)state;
    run_sql(w.c, "ALTER TABLE d.t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id) DEFERRABLE "
                 "INITIALLY DEFERRED");
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    b(S + 10);
    ins(T, "1", "a");
    ins(T, "9", "a");
    for (int i = 0; i < 3000; i++) /* more than a round of replay, and more than a batch */
        ok(feed_bytes(sample_update(&w.s, T, 0, NO_ROW, ROW("9", i % 2 ? "odd" : "even"))));
    ins(T, "2", "b");
    ok(feed_bytes(sample_update(&w.s, T, 'K', ROW("9", NULL), ROW("3", "x"))));
    c(S + 10);
    replay();
    for (int i = 0; i < 5 && apply_can_replay(w.a); i++) {
        ok(apply_replay(w.a, &w.e));
        ins_alone((lsn_t)(S + 100 + 10 * i), U, "1", "meanwhile");
        ok(apply_pump(w.a, true, &w.e));
    }
    ok(work());
    assert_rows(ROWS_OF("t"), "1=a 2=b 3=x");
    assert_int_equal(ask(w.c, "SELECT count(DISTINCT xmin::text) FROM d.t"), 1);
}

static void replayed_batches_leave_the_progress_where_the_stream_stands(void **state)
{
    (void)state;
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    ins_alone(S + 10, T, "1", "a");
    ins_alone(S + 20, U, "1", "u");
    ok(apply_pump(w.a, true, &w.e));
    ok(settle(true));
    assert_int_equal(ask(w.c, PROGRESS), S + 25);
    replay();
    b(S + 30);
    ok(apply_replay(w.a, &w.e));
    ok(feed_bytes(sample_commit(&w.s, S + 30, S + 35)));
    ok(apply_pump(w.a, true, &w.e));
    ok(settle(true));
    assert_rows(ROWS_OF("t"), "1=a");
    assert_int_equal(stage(), ASIDE_REPLAY);
    assert_int_equal(ask(w.c, PROGRESS), S + 35);
    assert_int_equal(ask(w.c, ASIDE_ROWS), 1);
}

/* What is kept fits the window many times: without a limit all of it would stand before the row of
 * the other table. */
static void other_tables_do_not_wait_for_all_that_is_replayed(void **state)
{
    (void)state;
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    for (int i = 0; i < 6000; i++) {
        char id[16];
        str_printf(id, sizeof id, "%d", i);
        ins_alone((lsn_t)(S + 10 + 10 * i), T, id, "kept");
    }
    replay();
    for (int i = 0; i < 6; i++) /* turns in which the destination has not answered yet */
        ok(apply_replay(w.a, &w.e));
    ins_alone(S + 100000, U, "1", "u");
    ok(settle(true));
    assert_rows(ROWS_OF("u"), "1=u");
    assert_true(ask(w.c, "SELECT count(*) FROM d.t") > 0);
    assert_true(ask(w.c, "SELECT count(*) FROM d.t") < 3000);
    assert_int_equal(stage(), ASIDE_REPLAY);
    for (int i = 0; i < 10000 && stage() != ASIDE_STREAM; i++) {
        ok(apply_replay(w.a, &w.e));
        pump_ms(1);
    }
    assert_int_equal(stage(), ASIDE_STREAM);
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 6000);
}

/* More of it than may be kept, as fast as it can be read, in transactions that end in the middle of
 * a turn: neither waits for the other. */
static void a_table_that_changes_all_the_time_is_handed_over(void **state)
{
    int n = 0;
    (void)state;
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    ins_alone(S + 5, T, "1", "kept");
    for (int i = 0; i < 3000; i++) {
        b((lsn_t)(S + 10 + 10 * i));
        ok(feed_bytes(sample_update(&w.s, T, 0, NO_ROW, ROW("1", "kept"))));
        c((lsn_t)(S + 10 + 10 * i));
    }
    replay();
    for (int i = 0; i < 20000 && stage() != ASIDE_STREAM; i++) {
        for (int k = 0; k < 512 && n < 60000 && apply_may_read(w.a); k++, n++) {
            if (n % 20000 == 0)
                b((lsn_t)(S + 100000 + n));
            ok(feed_bytes(sample_update(&w.s, T, 0, NO_ROW, ROW("1", n % 2 ? "odd" : "even"))));
            if (n % 20000 == 19999)
                c((lsn_t)(S + 100000 + n / 20000 * 20000));
        }
        ok(apply_replay(w.a, &w.e));
        pump_ms(1);
    }
    assert_int_equal(n, 60000);
    assert_int_equal(stage(), ASIDE_STREAM);
    assert_rows(ROWS_OF("t"), "1=odd");
    assert_int_equal(w.missed, 0);
}

/* --- what must not be handed over ------------------------------------------------------------ */

/* The batch that fails moves no progress, and it fails at its COMMIT, so that what follows it in
 * the pipeline would be carried out: the hand-over alone can see to it that all before it has
 * committed.
 */
static void nothing_is_handed_over_behind_a_replay_that_failed(void **state)
{
    (void)state;
    run_sql(w.c, "CREATE FUNCTION d.refuse() RETURNS trigger LANGUAGE plpgsql AS "
                 "$$BEGIN RAISE unique_violation; END$$; CREATE CONSTRAINT TRIGGER r AFTER INSERT "
                 "ON d.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.id = 1) EXECUTE "
                 "FUNCTION d.refuse(); ALTER TABLE d.t ENABLE ALWAYS TRIGGER r");
    run_sql(w.c, "BEGIN; LOCK d.t IN ACCESS EXCLUSIVE MODE");
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    ins_alone(S + 10, T, "1", "a");
    ins_alone(S + 20, T, "2", "b");
    ins_alone(S + 30, U, "1", "u");
    ok(work()); /* the progress is at the end already */
    replay();
    ok(apply_replay(w.a, &w.e));
    ok(apply_pump(w.a, true, &w.e)); /* the first is sent, and waits for the lock */
    run_sql(w.c, "COMMIT");
    assert_false(work());
    assert_error(&w.e, ERR_CONFLICT, "23505");
    pg_close(w.dest, false);
    w.dest = NULL;
    await(w.c,
          "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "
          "backend_type = 'client backend'",
          0);
    assert_int_equal(ask(w.c, ASIDE_ROWS), 1);
    assert_int_equal(handed_over, 0);
}

static void the_progress_never_goes_back(void **state)
{
    (void)state;
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    ins_alone(S + 10, T, "1", "a");
    ins_alone(S + 20, T, "2", "b");
    apply_position(w.a, S + 100);
    ok(apply_move_idle(w.a, S + 100, &w.e));
    replay();
    ok(work());
    assert_int_equal(ask(w.c, PROGRESS), S + 100);
    assert_rows(ROWS_OF("t"), "1=a 2=b");
    assert_int_equal(stage(), ASIDE_STREAM);
    assert_int_equal(w.batches, 2);
}

static void a_stale_epoch_hands_nothing_over(void **state)
{
    struct progress other;
    (void)state;
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    ins_alone(S + 10, T, "1", "a");
    replay();
    ok(progress_claim(w.c, NULL, ID, &other, &w.e));
    assert_false(work());
    assert_error(&w.e, ERR_FENCED, "");
    pg_close(w.dest, false);
    w.dest = NULL;
    assert_int_equal(ask(w.c, ASIDE_ROWS), 1);
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 0);
}

static void a_row_that_is_gone_is_an_error(void **state)
{
    (void)state;
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    ins_alone(S + 10, T, "1", "a");
    replay();
    run_sql(w.c, "DELETE FROM _bunnydb.table_sync");
    assert_false(work());
    assert_error(&w.e, ERR_SNAPSHOT_STALE, "");
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 0);
}

static void what_is_to_be_restored_keeps_the_row(void **state)
{
    struct sync_owner o = owner();
    struct sync_row_list l;
    const char *const once[] = {"SELECT 'a'", "SELECT '\"b\"'"};
    const char *const more[] = {"SELECT 'a'", "SELECT 'c'"};
    (void)state;
    ok(sync_rows_add_restore(w.c, NULL, &o, &t_name, 2, once, &w.e));
    ok(sync_rows_add_restore(w.c, NULL, &o, &t_name, 2, more, &w.e));
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    replay();
    apply_position(w.a, S);
    ok(work());
    ok(sync_rows_read(w.c, NULL, ID, &l, &w.e));
    assert_int_equal(l.n, 1);
    assert_false(l.items[0].is_aside);
    assert_string_equal(l.items[0].name.table, "t");
    assert_int_equal(l.items[0].n_restore, 3);
    assert_string_equal(l.items[0].restore[0], once[0]);
    assert_string_equal(l.items[0].restore[1], once[1]);
    assert_string_equal(l.items[0].restore[2], more[1]);
    sync_row_list_free(&l);
    ok(sync_rows_restored(w.c, NULL, &o, &t_name, &w.e));
    assert_int_equal(ask(w.c, "SELECT count(*) FROM _bunnydb.table_sync"), 0);
}

static void a_fenced_process_changes_no_row(void **state)
{
    struct sync_owner o = owner();
    const char *const sql[] = {"SELECT 1"};
    char *fence = sync_rows_fence(&o);
    struct progress other;
    (void)state;
    run_sql(w.c, fence);
    ok(progress_claim(w.c, NULL, ID, &other, &w.e));
    assert_false(pg_exec(w.c, NULL, 5000, fence, NULL, &w.e));
    assert_error(&w.e, ERR_SQL, SYNC_ROWS_SQLSTATE);
    assert_false(sync_rows_set_aside(w.c, NULL, &o, &t_name, 1, &w.e));
    assert_error(&w.e, ERR_FENCED, "");
    assert_false(sync_rows_add_restore(w.c, NULL, &o, &t_name, 1, sql, &w.e));
    assert_error(&w.e, ERR_FENCED, "");
    run_sql(w.c, "UPDATE _bunnydb.table_sync SET is_aside = false");
    assert_false(sync_rows_restored(w.c, NULL, &o, &t_name, &w.e));
    assert_error(&w.e, ERR_FENCED, "");
    assert_int_equal(ask(w.c, "SELECT count(*) FROM _bunnydb.table_sync"), 1);
    free(fence);
}

static void a_copied_table_is_said_to_be_so_once_and_by_its_owner_alone(void **state)
{
    struct sync_owner o = owner();
    struct progress other;
    char *script = sync_rows_copied(&o, &t_name);
    (void)state;
    run_sql(w.c, script);
    assert_int_equal(ask(w.c, "SELECT count(*) FROM _bunnydb.table_sync"), 0);
    assert_false(pg_exec(w.c, NULL, 5000, script, NULL, &w.e)); /* it was not aside */
    assert_error(&w.e, ERR_SQL, SYNC_ROWS_SQLSTATE);
    run_sql(w.c, "ROLLBACK");
    ok(sync_rows_set_aside(w.c, NULL, &o, &t_name, 1, &w.e));
    ok(progress_claim(w.c, NULL, ID, &other, &w.e));
    assert_false(pg_exec(w.c, NULL, 5000, script, NULL, &w.e));
    assert_error(&w.e, ERR_SQL, SYNC_ROWS_SQLSTATE);
    run_sql(w.c, "ROLLBACK");
    assert_int_equal(ask(w.c, "SELECT count(*) FROM _bunnydb.table_sync WHERE is_aside"), 1);
    free(script);
}

static void who_takes_over_waits_for_what_is_said(void **state)
{
    struct sync_owner o = owner();
    struct progress other;
    char *script = sync_rows_copied(&o, &t_name);
    (void)state;
    script[strlen(script) - strlen("COMMIT")] = '\0'; /* not yet */
    run_sql(w.c, script);
    struct pg_conn *c = cluster_connect(PG_SQL);
    run_sql(c, "SET lock_timeout = '100ms'");
    assert_false(progress_claim(c, NULL, ID, &other, &w.e));
    assert_error(&w.e, ERR_SQL, "55P03");
    run_sql(w.c, "COMMIT");
    ok(progress_claim(c, NULL, ID, &other, &w.e));
    pg_close(c, false);
    free(script);
}

static void what_is_owed_needs_no_row_before(void **state)
{
    struct sync_owner o = owner();
    struct table_name u = {"public", "u"};
    struct sync_row_list l;
    const char *const sql[] = {"SELECT 1", "SELECT 2"};
    char *script = sync_rows_copied(&o, &t_name);
    (void)state;
    ok(sync_rows_owe(w.c, NULL, &o, &t_name, 2, sql, &w.e));
    ok(sync_rows_owe(w.c, NULL, &o, &u, 1, sql, &w.e));
    ok(sync_rows_owe(w.c, NULL, &o, &u, 2, sql, &w.e));
    run_sql(w.c, script);
    ok(sync_rows_read(w.c, NULL, ID, &l, &w.e));
    assert_int_equal(l.n, 2);
    for (size_t i = 0; i < l.n; i++) {
        assert_false(l.items[i].is_aside);
        assert_int_equal(l.items[i].n_restore, 2);
    }
    sync_row_list_free(&l);
    free(script);
}

/* --- definitions ----------------------------------------------------------------------------- */

static void set_columns(uint32_t id_type, uint32_t v_type)
{
    static char id[] = "id", v[] = "v";
    copied_columns[0] = (struct schema_column){.name = id, .type_oid = id_type};
    copied_columns[1] = (struct schema_column){.name = v, .type_oid = v_type};
    copied_table.n_columns = 2;
    copied_table.columns = copied_columns;
}

static void a_type_that_changed_after_the_copy_is_an_error(void **state)
{
    (void)state;
    set_columns(TEXT, 23);
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    b(S + 10);
    ok(feed_bytes(sample_relation(&w.s, T, "t", ROW("*id", "v"))));
    ins(T, "1", "a");
    c(S + 10);
    replay();
    assert_false(work());
    assert_error(&w.e, ERR_SCHEMA, "");
    assert_non_null(strstr(w.e.text, "column v of public.t has another type"));
}

/* The stream told the old type, the copy has the new one, and so has the next change. */
static void a_type_that_changed_before_the_copy_is_none(void **state)
{
    const struct pgo_message *m;
    (void)state;
    set_columns(TEXT, 1043);
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    apply_position(w.a, S);
    replay();
    ok(work());
    assert_int_equal(stage(), ASIDE_STREAM);
    b(S + 10);
    m = sample_relation(&w.s, T, "t", ROW("*id", "v"));
    w.s.columns[1].type_oid = 1043;
    ok(feed_bytes(m));
    ins(T, "1", "a");
    c(S + 10);
    ok(work());
    assert_rows(ROWS_OF("t"), "1=a");
    b(S + 20);
    ok(feed_bytes(sample_relation(&w.s, U, "u", ROW("*id", "v"))));
    assert_false(feed_bytes(sample_relation(&w.s, T, "t", ROW("*id", "v"))));
    assert_error(&w.e, ERR_SCHEMA, "");
}

static void a_column_that_came_before_the_copy_is_known_after_it(void **state)
{
    (void)state;
    run_sql(w.c, "ALTER TABLE d.t ADD n text");
    aside_keep(w.a, only_t);
    b(S - 10);
    ok(feed_bytes(sample_relation(&w.s, T, "t", ROW("*id", "v", "n"))));
    ok(feed_bytes(sample_insert(&w.s, T, ROW("1", "a", "b"))));
    c(S - 10);
    aside_set_point(w.a, S);
    ok(feed_bytes(sample_begin(&w.s, S + 10)));
    ok(feed_bytes(sample_insert(&w.s, T, ROW("2", "a", "b"))));
    c(S + 10);
    replay();
    ok(work());
    assert_rows("SELECT string_agg(id || v || n, ' ') FROM d.t", "2ab");
}

/* --- TRUNCATE -------------------------------------------------------------------------------- */

static void truncate_of_both_is_split(void **state)
{
    (void)state;
    run_sql(w.c, "INSERT INTO d.u VALUES (1, 'old'); "
                 "ALTER TABLE d.u ADD PRIMARY KEY (id); "
                 "ALTER TABLE d.t ADD FOREIGN KEY (id) REFERENCES d.u");
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    b(S + 10);
    ok(feed_bytes(sample_truncate(&w.s, U, T)));
    ins(T, "5", "after");
    ins(U, "5", "after");
    c(S + 10);
    ok(work());
    assert_rows(ROWS_OF("u"), "5=after");
    run_sql(w.c, "ALTER TABLE d.t DROP CONSTRAINT t_id_fkey");
    copy_rows("INSERT INTO d.t VALUES (1, 'copied')");
    replay();
    ok(work());
    assert_rows(ROWS_OF("t"), "5=after");
    assert_int_equal(stage(), ASIDE_STREAM);
}

static void truncate_before_the_point_is_in_the_copy(void **state)
{
    (void)state;
    aside_keep(w.a, only_t);
    b(S - 10);
    ok(feed_bytes(sample_truncate(&w.s, T, 0)));
    c(S - 10);
    aside_set_point(w.a, S);
    copy_rows("INSERT INTO d.t VALUES (1, 'copied')");
    replay();
    apply_position(w.a, S);
    ok(work());
    assert_rows(ROWS_OF("t"), "1=copied");
}

/* --- giving up ------------------------------------------------------------------------------- */

static void after_giving_up_the_next_copy_starts_from_nothing(void **state)
{
    (void)state;
    aside_keep(w.a, only_t);
    aside_set_point(w.a, S);
    ins_alone(S + 10, T, "1", "first try");
    replay();
    b(S + 20);
    ins(T, "2", "first try");
    ok(apply_replay(w.a, &w.e));
    assert_false(aside_is_settled(w.a));
    aside_give_up(w.a);
    c(S + 20);
    ok(settle(true));
    assert_true(aside_is_settled(w.a));
    assert_int_equal(ask(w.c, ASIDE_ROWS), 1);
    run_sql(w.c, "TRUNCATE d.t");
    ins_alone(S + 30, T, "3", "dropped");
    aside_keep(w.a, only_t);
    ins_alone(S + 900, T, "4", "copied");
    aside_set_point(w.a, S + 1000);
    copy_rows("INSERT INTO d.t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')");
    ins_alone(S + 1000, T, "5", "replayed");
    replay();
    ok(work());
    assert_rows(ROWS_OF("t"), "1=a 2=b 3=c 4=d 5=replayed");
    assert_int_equal(stage(), ASIDE_STREAM);
}

static void a_full_disk_is_the_copys_error_alone(void **state)
{
    static char big[100000];
    struct rlimit before, small;
    struct aside_status s;
    (void)state;
    memset(big, 'x', sizeof big - 1);
    aside_keep(w.a, only_t);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 40; i++)
        ins_alone((lsn_t)(1100 + 10 * i), T, "1", big);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    aside_status(w.a, &s);
    assert_int_equal(s.stage, ASIDE_FAILED);
    assert_int_equal(s.err.code, ERR_IO);
    assert_int_equal(s.kept, 0);
    ins_alone(1900, U, "1", "goes on");
    replay(); /* void: it stays failed */
    ok(work());
    assert_rows(ROWS_OF("u"), "1=goes on");
    assert_int_equal(stage(), ASIDE_FAILED);
    aside_give_up(w.a);
    assert_int_equal(stage(), ASIDE_DROP);
    assert_int_equal(ask(w.c, ASIDE_ROWS), 1);
}

/* --- tables that were taken out -------------------------------------------------------------- */

static void changes_of_removed_tables_are_ignored_and_unknown_ones_an_error(void **state)
{
    struct table_name gone[] = {{"public", "gone"}};
    struct table_name_list removed = {.items = gone, .n = 1};
    (void)state;
    apply_free(w.a);
    pg_close(w.dest, true);
    w.dest = cluster_connect(PG_APPLY);
    w.o.aside.removed = &removed;
    w.o.aside.tables = NULL;
    ok(apply_new(w.dest, NULL, &w.o, START, &w.a, &w.e));
    b(1100);
    ok(feed_bytes(sample_relation(&w.s, U, "u", ROW("*id", "v"))));
    ok(feed_bytes(sample_relation(&w.s, 99, "gone", ROW("*id", "v"))));
    ins(99, "1", "old");
    ins(U, "1", "u");
    ok(feed_bytes(sample_truncate(&w.s, 99, 0)));
    c(1100);
    ok(work());
    assert_rows(ROWS_OF("u"), "1=u");
    assert_false(feed_bytes(sample_relation(&w.s, 98, "unknown", ROW("*id", "v"))));
    assert_error(&w.e, ERR_SCHEMA, "");
}

/* --- a table that leaves the stream ------------------------------------------------------------
 */

/* Both are streamed; their definitions were told once. */
static int open_streamed(void **state)
{
    world_open(state);
    dir = tempdir_new();
    w.o.limits.max_changes = 1000;
    handed_over = 0;
    w.o.aside =
        (struct aside_options){.spill_dir = dir, .spill_memory = 1 << 20, .handed_over = note};
    copied_table = w.tables[0];
    copied = (struct schema){.n_tables = 1, .tables = &copied_table};
    ok(apply_new(w.dest, NULL, &w.o, START, &w.a, &w.e));
    ok(feed_bytes(sample_relation(&w.s, T, "t", ROW("*id", "v"))));
    ok(feed_bytes(sample_relation(&w.s, U, "u", ROW("*id", "v"))));
    return 0;
}

static void stand(void)
{
    bool stands = false;
    for (int i = 0; i < 1000 && !stands; i++) {
        ok(apply_stand(w.a, &stands, &w.e));
        if (!stands)
            pump_ms(1);
    }
    assert_true(stands);
}

static void leave(const struct table_name *name, const bool *tables)
{
    struct sync_owner o = owner();
    stand();
    ok(pg_pipe_leave(w.dest, &w.e));
    ok(sync_rows_set_aside(w.dest, NULL, &o, name, 1, &w.e));
    ok(pg_pipe_enter(w.dest, &w.e));
    aside_take(w.a, tables);
    apply_go_on(w.a);
}

static void a_table_leaves_the_stream_and_comes_back_to_it(void **state)
{
    static bool only_u[3] = {false, true, false};
    static const struct table_name u_name = {"public", "u"};
    (void)state;
    for (lsn_t at = S; at < S + 3000; at += 1000) { /* again and again */
        ins_alone(at + 10, T, "1", "direct");
        leave(&t_name, only_t);
        assert_rows(ROWS_OF("t"), "1=direct");
        ins_alone(at + 20, T, "2", "copied");
        aside_keep(w.a, only_t);
        aside_set_point(w.a, at + 50);
        ins_alone(at + 50, T, "3", "replayed");
        ins_alone(at + 60, U, "1", "u");
        ok(work());
        assert_rows(ROWS_OF("u"), "1=u");
        copy_rows("TRUNCATE d.t, d.u; INSERT INTO d.t VALUES (1, 'copied'), (2, 'copied')");
        replay();
        ok(work());
        assert_int_equal(stage(), ASIDE_STREAM);
        aside_finish(w.a);
        ins_alone(at + 70, T, "4", "direct");
        ok(work());
        assert_rows(ROWS_OF("t"), "1=copied 2=copied 3=replayed 4=direct");
        copy_rows("TRUNCATE d.t");
    }
    leave(&u_name, only_u); /* the other one does not leave with it */
    ins_alone(S + 4000, T, "5", "direct");
    ins_alone(S + 4010, U, "5", "lost");
    ok(work());
    assert_rows(ROWS_OF("t"), "5=direct");
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.u"), 0);
    assert_int_equal(handed_over, 3);
    assert_int_equal(w.missed, 0);
}

static void nothing_more_is_read_while_it_stands(void **state)
{
    bool stands;
    (void)state;
    b(S);
    ins(T, "1", "a");
    ok(apply_stand(w.a, &stands, &w.e));
    assert_false(stands);
    assert_true(apply_may_read(w.a)); /* to the end of the transaction */
    ins(T, "2", "b");
    c(S);
    assert_true(apply_wants_boundary(w.a));
    assert_false(apply_may_read(w.a));
    stand();
    assert_rows(ROWS_OF("t"), "1=a 2=b");
    assert_int_equal(ask(w.c, PROGRESS), S + 5);
    apply_go_on(w.a);
    assert_true(apply_may_read(w.a));
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, open_aside, close_aside)
#define BIG(test) cmocka_unit_test_setup_teardown(test, open_with_big_batches, close_aside)
#define STREAMED(test) cmocka_unit_test_setup_teardown(test, open_streamed, close_aside)
#define SMALL(test) cmocka_unit_test_setup_teardown(test, open_with_small_batches, close_aside)
    const struct CMUnitTest tests[] = {
        CASE(without_a_copy_its_changes_are_dropped_and_others_go_on),
        CASE(the_point_divides_what_the_copy_has_from_what_is_replayed),
        CASE(every_kind_of_change_is_replayed_in_order),
        CASE(new_changes_queue_behind_the_kept_ones),
        CASE(no_hand_over_before_the_stream_is_at_the_point),
        CASE(a_keepalive_inside_a_transaction_says_nothing),
        CASE(replayed_transactions_are_never_split),
        CASE(replayed_batches_leave_the_progress_where_the_stream_stands),
        BIG(other_tables_do_not_wait_for_all_that_is_replayed),
        BIG(a_table_that_changes_all_the_time_is_handed_over),
        SMALL(the_progress_never_goes_back),
        SMALL(nothing_is_handed_over_behind_a_replay_that_failed),
        CASE(a_stale_epoch_hands_nothing_over),
        CASE(a_row_that_is_gone_is_an_error),
        CASE(what_is_to_be_restored_keeps_the_row),
        CASE(a_fenced_process_changes_no_row),
        CASE(a_copied_table_is_said_to_be_so_once_and_by_its_owner_alone),
        CASE(who_takes_over_waits_for_what_is_said),
        CASE(what_is_owed_needs_no_row_before),
        CASE(a_type_that_changed_after_the_copy_is_an_error),
        CASE(a_type_that_changed_before_the_copy_is_none),
        CASE(a_column_that_came_before_the_copy_is_known_after_it),
        CASE(truncate_of_both_is_split),
        CASE(truncate_before_the_point_is_in_the_copy),
        CASE(after_giving_up_the_next_copy_starts_from_nothing),
        CASE(a_full_disk_is_the_copys_error_alone),
        CASE(changes_of_removed_tables_are_ignored_and_unknown_ones_an_error),
        STREAMED(a_table_leaves_the_stream_and_comes_back_to_it),
        STREAMED(nothing_more_is_read_while_it_stands),
    };
    return cmocka_run_group_tests(tests, world_start_cluster, world_stop_cluster);
}
