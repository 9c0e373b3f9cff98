/* A verify job between databases of two servers: every difference is found and named exactly, and
 * nothing else is, whatever the keys, ranges and shapes of tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "verify_world.h"

#define LONG_MS 120000

/* --- Keys and ranges -------------------------------------------------------------------------- */

static void test_seven_rows_of_two_hundred_thousand(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    world_open(&w, "", ICU);
    world_run(w.src,
              "CREATE TABLE public.big (id bigint PRIMARY KEY, n int, t text, at timestamptz);"
              "INSERT INTO public.big SELECT i, i % 1000, 'row ' || i, "
              "'2024-01-01'::timestamptz + i * interval '1 min' FROM generate_series(1, 200000) i;"
              "CREATE TABLE public.words (w text, part int, v text, PRIMARY KEY (w, part));"
              "INSERT INTO public.words SELECT (ARRAY['a','B','ä','Z','é','_'])[i % 6 + 1] || i, "
              "i % 7, md5(i::text) FROM generate_series(1, 50000) i; ANALYZE");
    world_mirror(&w);
    world_run(w.dst, "UPDATE public.big SET t = t || '.' WHERE id IN (1, 99999);"
                     "DELETE FROM public.big WHERE id IN (200000, 100000, 3);"
                     "INSERT INTO public.big VALUES (-1, 0, 'x', now()), (200001, 0, 'x', now());"
                     "UPDATE public.words SET w = 'b' || 43 WHERE w = 'B43'");
    w.workers = 3;
    world_verify(&w, &r);
    const struct verify_table *t = found(&r, "big");
    assert_table(&r, "big", VERIFY_DIFFERENT, 199995, 2, 3, 2);
    assert_int_equal(t->source_rows, 200000);
    assert_int_equal(t->dest_rows, 199999);
    assert_int_equal(verify_rows_compared(t), 200002);
    assert_int_equal(t->n_rows, 7);
    assert_int_equal(count_named(t, VERIFY_DIFFERING, "1"), 1);
    assert_int_equal(count_named(t, VERIFY_DIFFERING, "99999"), 1);
    assert_int_equal(count_named(t, VERIFY_MISSING, "200000"), 1);
    assert_int_equal(count_named(t, VERIFY_MISSING, "100000"), 1);
    assert_int_equal(count_named(t, VERIFY_MISSING, "3"), 1);
    assert_int_equal(count_named(t, VERIFY_EXTRA, "-1"), 1);
    assert_int_equal(count_named(t, VERIFY_EXTRA, "200001"), 1);
    t = found(&r, "words");
    assert_table(&r, "words", VERIFY_DIFFERENT, 49999, 0, 1, 1);
    assert_int_equal(count_named(t, VERIFY_MISSING, "B43|1"), 1);
    assert_int_equal(count_named(t, VERIFY_EXTRA, "b43|1"), 1);
    assert_int_equal(t->n_key, 2);
    assert_string_equal(t->key[0], "w");
    assert_string_equal(t->key[1], "part");
    verify_report_free(&r);
    world_close(&w);
}

/* Rows that change places, or values that change rows, do not cancel each other out. */
static void test_values_that_changed_rows(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    world_open(&w, "", "");
    world_run(w.src, "CREATE TABLE public.t (id int PRIMARY KEY, a text, b text);"
                     "INSERT INTO public.t VALUES (1, 'x', 'y'), (2, 'y', 'x'), (3, 'x', 'x'), "
                     "(4, 'a,b', 'c'), (5, 'same', 'same')");
    world_mirror(&w);
    world_run(w.dst, "UPDATE public.t SET a = b, b = a WHERE id IN (1, 2);"
                     "UPDATE public.t SET a = 'a', b = 'b,c' WHERE id = 4");
    world_verify(&w, &r);
    assert_table(&r, "t", VERIFY_DIFFERENT, 2, 3, 0, 0);
    verify_report_free(&r);
    world_close(&w);
}

static void test_tables_without_a_key_are_compared_as_multisets(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    world_open(&w, "", "");
    world_run(w.src, "CREATE TABLE public.h (a int, b text);"
                     "INSERT INTO public.h SELECT i % 100, 'v' FROM generate_series(1, 5000) i;"
                     "INSERT INTO public.h VALUES (NULL, NULL), (NULL, NULL), (NULL, '');"
                     "CREATE TABLE public.twice AS SELECT 1 AS a FROM generate_series(1, 2);"
                     "CREATE TABLE public.none ();"
                     "INSERT INTO public.none SELECT FROM generate_series(1, 17);"
                     "CREATE TABLE public.long (v text); INSERT INTO public.long "
                     "VALUES (repeat('x', 5000)); ANALYZE");
    world_mirror(&w);
    world_verify(&w, &r);
    assert_table(&r, "h", VERIFY_EQUAL, 5003, 0, 0, 0);
    assert_table(&r, "none", VERIFY_EQUAL, 17, 0, 0, 0);
    verify_report_free(&r);
    world_run(w.dst, "DELETE FROM public.h WHERE ctid IN (SELECT ctid FROM public.h WHERE a = 7 "
                     "LIMIT 3); INSERT INTO public.h VALUES (NULL, NULL), (5, 'w'), (5, 'w');"
                     "UPDATE public.twice SET a = 2;"
                     "INSERT INTO public.none SELECT FROM generate_series(1, 2);"
                     "UPDATE public.long SET v = v || 'y'");
    world_verify(&w, &r);
    const struct verify_table *t = found(&r, "h");
    assert_table(&r, "h", VERIFY_DIFFERENT, 5000, 0, 3, 3);
    assert_int_equal(t->n_key, 0);
    assert_int_equal(count_named(t, VERIFY_MISSING, "(7,v)"), 3);
    assert_int_equal(count_named(t, VERIFY_EXTRA, "(,)"), 1);
    assert_int_equal(count_named(t, VERIFY_EXTRA, "(5,w)"), 2);
    assert_table(&r, "twice", VERIFY_DIFFERENT, 0, 0, 2, 2); /* a pair of equals is not nothing */
    assert_table(&r, "none", VERIFY_DIFFERENT, 17, 0, 0, 2);
    assert_table(&r, "long", VERIFY_DIFFERENT, 0, 0, 1, 1);
    assert_int_equal(strlen(found(&r, "long")->rows[0].values[0]), VERIFY_ROW_CHARS);
    verify_report_free(&r);
    world_close(&w);
}

/* The operator's own table need not keep the key unique. */
static void test_a_key_that_is_not_unique_at_the_destination(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    world_open(&w, "", "");
    world_run(w.src, "CREATE TABLE public.t (id int PRIMARY KEY, v text);"
                     "INSERT INTO public.t SELECT i, 'v' FROM generate_series(1, 100) i");
    world_mirror(&w);
    world_run(w.dst, "ALTER TABLE public.t DROP CONSTRAINT t_pkey;"
                     "ALTER TABLE public.t ALTER id DROP NOT NULL;"
                     "INSERT INTO public.t VALUES (1, 'v'), (2, 'w'), (3, 'a'), (3, 'z');"
                     "UPDATE public.t SET v = 'q' WHERE id = 3 AND v = 'v';"
                     "INSERT INTO public.t VALUES (NULL, 'v')");
    world_verify(&w, &r);
    /* 1 is there twice, 2 once as it should and once not, 3 three times and never as it should */
    assert_table(&r, "t", VERIFY_DIFFERENT, 99, 1, 0, 5);
    assert_int_equal(count_named(found(&r, "t"), VERIFY_EXTRA, "1"), 1);
    assert_int_equal(count_named(found(&r, "t"), VERIFY_EXTRA, "2"), 1);
    assert_int_equal(count_named(found(&r, "t"), VERIFY_EXTRA, "3"), 2);
    assert_int_equal(count_named(found(&r, "t"), VERIFY_DIFFERING, "3"), 1);
    verify_report_free(&r);
    world_close(&w);
}

static void test_counts_are_exact_when_everything_differs(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    world_open(&w, "", "");
    world_run(w.src, "CREATE TABLE public.t (id int PRIMARY KEY, v text);"
                     "INSERT INTO public.t SELECT i, 'v' FROM generate_series(1, 30000) i;"
                     "CREATE TABLE public.gone (LIKE public.t INCLUDING ALL);"
                     "INSERT INTO public.gone SELECT * FROM public.t;"
                     "CREATE TABLE public.empty (LIKE public.t INCLUDING ALL);"
                     "CREATE TABLE public.both (id int PRIMARY KEY); ANALYZE");
    world_mirror(&w);
    world_run(w.dst, "UPDATE public.t SET v = 'w' WHERE id % 3 = 0;"
                     "UPDATE public.t SET id = -id WHERE id % 3 = 1; TRUNCATE public.gone;"
                     "INSERT INTO public.empty SELECT i, NULL FROM generate_series(1, 250) i");
    world_verify(&w, &r);
    assert_table(&r, "t", VERIFY_DIFFERENT, 10000, 10000, 10000, 10000);
    assert_int_equal(found(&r, "t")->n_rows, VERIFY_MAX_ROWS);
    assert_table(&r, "gone", VERIFY_DIFFERENT, 0, 0, 30000, 0);
    assert_int_equal(found(&r, "gone")->n_rows, VERIFY_MAX_ROWS);
    assert_table(&r, "empty", VERIFY_DIFFERENT, 0, 0, 0, 250);
    assert_int_equal(found(&r, "empty")->rows[0].kind, VERIFY_EXTRA);
    assert_table(&r, "both", VERIFY_EQUAL, 0, 0, 0, 0);
    verify_report_free(&r);
    world_close(&w);
}

/* --- Shapes of tables ---------------------------------------------------------------------------
 */

static void test_only_what_is_mapped_is_compared(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    char secret[] = "secret", id[] = "id", *no_secret[] = {secret}, *no_id[] = {id};
    struct table_map maps[] = {
        {.source_schema = "public",
         .source_table = "t",
         .dest_schema = "public",
         .dest_table = "Other \"one\"",
         .n_exclude = 1,
         .exclude = no_secret},
        {.source_schema = "public", .source_table = "u", .n_exclude = 1, .exclude = no_id},
    };
    world_open(&w, "", "");
    world_run(w.src, "CREATE TABLE public.t (gone int, id int PRIMARY KEY, secret text, v text, "
                     "twice int GENERATED ALWAYS AS (id * 2) STORED);"
                     "ALTER TABLE public.t DROP gone;"
                     "INSERT INTO public.t (id, secret, v) VALUES (1, 's', 'a'), (2, 's', 'b');"
                     "CREATE TABLE public.u (id int PRIMARY KEY, v text);"
                     "INSERT INTO public.u VALUES (1, 'x'), (2, 'x'), (3, 'y')");
    world_run(w.dst, "CREATE TABLE public.\"Other \"\"one\"\"\" (v text, own int DEFAULT 5, "
                     "id int PRIMARY KEY)");
    world_mirror_maps(&w, maps, 2);
    world_run(w.dst, "UPDATE public.\"Other \"\"one\"\"\" SET own = id");
    world_verify(&w, &r);
    assert_table(&r, "t", VERIFY_EQUAL, 2, 0, 0, 0);
    assert_table(&r, "u", VERIFY_EQUAL, 3, 0, 0, 0);
    assert_string_equal(found(&r, "t")->dest_table, "Other \"one\"");
    verify_report_free(&r);
    world_run(w.dst, "UPDATE public.\"Other \"\"one\"\"\" SET v = NULL WHERE id = 2;"
                     "UPDATE public.u SET v = 'z' WHERE v = 'y'");
    world_verify(&w, &r);
    assert_table(&r, "t", VERIFY_DIFFERENT, 1, 1, 0, 0);
    assert_table(&r, "u", VERIFY_DIFFERENT, 2, 0, 1, 1); /* its key is not mirrored */
    verify_report_free(&r);
    world_close(&w);
}

static void test_partitions_and_children(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    world_open(&w, "", "");
    world_run(w.src, "CREATE TABLE public.m (id int, at date, PRIMARY KEY (id, at)) "
                     "PARTITION BY RANGE (at);"
                     "CREATE TABLE public.m1 PARTITION OF public.m FOR VALUES FROM ('2020-01-01') "
                     "TO ('2021-01-01');"
                     "CREATE TABLE public.m2 PARTITION OF public.m FOR VALUES FROM ('2021-01-01') "
                     "TO ('2022-01-01');"
                     "INSERT INTO public.m SELECT i, '2020-01-01'::date + i FROM "
                     "generate_series(0, 729) i;"
                     "CREATE TABLE public.base (id int PRIMARY KEY);"
                     "CREATE TABLE public.child (PRIMARY KEY (id)) INHERITS (public.base);"
                     "INSERT INTO public.base VALUES (1); INSERT INTO public.child VALUES (2), (3);"
                     "CREATE TABLE public.plain (id int PRIMARY KEY);"
                     "INSERT INTO public.plain SELECT generate_series(0, 99)");
    world_run(w.dst, "CREATE TABLE public.plain (id int PRIMARY KEY) PARTITION BY RANGE (id);"
                     "CREATE TABLE public.low PARTITION OF public.plain FOR VALUES FROM (0) TO "
                     "(50); CREATE TABLE public.high PARTITION OF public.plain DEFAULT");
    world_mirror(&w);
    world_verify(&w, &r);
    assert_int_equal(r.n_tables, 5);
    assert_table(&r, "m1", VERIFY_EQUAL, 366, 0, 0, 0);
    assert_table(&r, "m2", VERIFY_EQUAL, 364, 0, 0, 0);
    assert_table(&r, "base", VERIFY_EQUAL, 1, 0, 0, 0);
    assert_table(&r, "child", VERIFY_EQUAL, 2, 0, 0, 0);
    assert_table(&r, "plain", VERIFY_EQUAL, 100, 0, 0, 0);
    verify_report_free(&r);
    world_run(w.dst, "DELETE FROM public.m WHERE id = 400; DELETE FROM public.base WHERE id = 3;"
                     "UPDATE public.plain SET id = 500 WHERE id = 5");
    world_verify(&w, &r);
    assert_table(&r, "m1", VERIFY_EQUAL, 366, 0, 0, 0);
    assert_table(&r, "m2", VERIFY_DIFFERENT, 363, 0, 1, 0);
    assert_table(&r, "child", VERIFY_DIFFERENT, 1, 0, 1, 0);
    assert_table(&r, "plain", VERIFY_DIFFERENT, 99, 0, 1, 1);
    verify_report_free(&r);
    world_close(&w);
}

static void test_wide_rows(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    struct buf b = {0};
    world_open(&w, "", "");
    buf_puts(&b, "CREATE TABLE public.wide (id int PRIMARY KEY");
    for (int i = 0; i < 1599; i++)
        buf_printf(&b, ", c%d smallint", i);
    buf_puts(&b, "); INSERT INTO public.wide (id, c0, c1598) VALUES (1, 1, 2), (2, 1, 2);"
                 "CREATE TABLE public.heavy (id int PRIMARY KEY, b bytea, t text);"
                 "INSERT INTO public.heavy SELECT i, decode(repeat('00', 40000000 + i), 'hex'), "
                 "repeat('x', 30000000) FROM generate_series(1, 2) i");
    world_run(w.src, buf_text(&b));
    buf_free(&b);
    world_mirror(&w);
    world_run(w.dst, "UPDATE public.wide SET c1598 = 3 WHERE id = 2;"
                     "UPDATE public.heavy SET b = set_byte(b, 39999999, 1) WHERE id = 2");
    world_verify(&w, &r);
    assert_table(&r, "wide", VERIFY_DIFFERENT, 1, 1, 0, 0);
    assert_table(&r, "heavy", VERIFY_DIFFERENT, 1, 1, 0, 0);
    verify_report_free(&r);
    world_close(&w);
}

/* --- Other people's work ------------------------------------------------------------------------
 */

static void make_two(struct world *w)
{
    world_run(w->src, "CREATE TABLE public.big (id int PRIMARY KEY, v text);"
                      "INSERT INTO public.big SELECT i, repeat('v', 100) FROM "
                      "generate_series(1, 300000) i;"
                      "CREATE TABLE public.small (id int PRIMARY KEY, v text);"
                      "INSERT INTO public.small SELECT i, 'v' FROM generate_series(1, 1000) i;"
                      "CREATE TABLE public.third (id int PRIMARY KEY, v text);"
                      "INSERT INTO public.third SELECT i, 'v' FROM generate_series(1, 1000) i;"
                      "ANALYZE");
    world_mirror(w);
}

static void finish(struct world *w, struct verify_report *r)
{
    struct err e = {0};
    assert_true(world_wait(w, LONG_MS));
    if (!verify_finish(w->job, r, &e))
        fail_msg("verify: %s", e.text);
}

static void test_what_happens_after_the_snapshots_is_not_seen(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    world_open(&w, "", "");
    make_two(&w);
    world_run(w.dst, "DELETE FROM public.small WHERE id = 7");
    world_export(&w);
    world_run(w.src, "UPDATE public.big SET v = 'new' WHERE id % 10 = 0; DELETE FROM public.third");
    world_run(w.dst, "DELETE FROM public.big WHERE id % 10 = 1;"
                     "INSERT INTO public.small VALUES (7, 'v')");
    world_run(w.dst, "VACUUM public.big");
    world_start(&w);
    finish(&w, &r);
    assert_table(&r, "big", VERIFY_EQUAL, 300000, 0, 0, 0);
    assert_table(&r, "small", VERIFY_DIFFERENT, 999, 0, 1, 0);
    assert_table(&r, "third", VERIFY_EQUAL, 1000, 0, 0, 0);
    verify_report_free(&r);
    world_close(&w);
}

static void test_tables_that_cannot_be_compared_do_not_stop_the_others(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    world_open(&w, "", "");
    make_two(&w);
    world_run(w.src, "CREATE TABLE public.young (id int PRIMARY KEY)");
    const char *why[] = {NULL, "being copied", NULL};
    w.left_out = why; /* big, small, third */
    world_export(&w);
    world_run(w.dst, "TRUNCATE public.third; ALTER TABLE public.big RENAME v TO w");
    world_start(&w);
    finish(&w, &r);
    assert_int_equal(found(&r, "big")->state, VERIFY_FAILED);
    assert_non_null(strstr(found(&r, "big")->reason, "column"));
    assert_int_equal(found(&r, "small")->state, VERIFY_LEFT_OUT);
    assert_string_equal(found(&r, "small")->reason, "being copied");
    assert_int_equal(found(&r, "third")->state, VERIFY_LEFT_OUT);
    assert_non_null(strstr(found(&r, "third")->reason, "emptied"));
    verify_report_free(&r);
    w.left_out = NULL;
    world_run(w.dst, "ALTER TABLE public.big RENAME w TO v");
    struct pg_conn *other;
    struct err e;
    assert_true(pg_connect(&w.dest, PG_SQL, "locker", NULL, NULL, 10000, &other, &e));
    world_run(other, "BEGIN; LOCK TABLE public.small");
    world_verify(&w, &r);
    assert_table(&r, "big", VERIFY_EQUAL, 300000, 0, 0, 0);
    assert_int_equal(found(&r, "small")->state, VERIFY_LEFT_OUT);
    assert_table(&r, "third", VERIFY_DIFFERENT, 0, 0, 1000, 0);
    verify_report_free(&r);
    pg_close(other, false);
    world_close(&w);
}

/* Waits until a worker is in the middle of such a statement. */
static void await_statement(struct world *w, const char *like)
{
    char *sql = mem_printf("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
                           "application_name = 'bunnydb verify test' AND query LIKE '%s'",
                           like);
    int64_t until = clock_mono_ms() + LONG_MS;
    while (world_int(w->dst, sql) == 0) {
        assert_true(clock_mono_ms() < until);
        assert_false(verify_is_over(w->job));
    }
    free(sql);
}

/* A TRUNCATE that the stream brings, say, waits for nothing but the statement that reads its table.
 */
static void test_a_table_that_was_compared_is_not_locked(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    struct pg_conn *other;
    struct err e;
    world_open(&w, "", "");
    make_two(&w);
    world_run(w.dst, "UPDATE public.big SET v = 'w' WHERE id = 1"); /* narrowed too */
    w.workers = 1;
    world_export(&w);
    assert_true(pg_connect(&w.dest, PG_SQL, "locker", NULL, NULL, 10000, &other, &e));
    world_run(other, "BEGIN; LOCK TABLE public.small");
    world_start(&w);
    await_statement(&w, "SELECT FROM ONLY %small%");
    world_run(w.dst, "SET lock_timeout = '1s'; TRUNCATE public.big");
    world_run(other, "COMMIT");
    finish(&w, &r);
    assert_table(&r, "big", VERIFY_DIFFERENT, 299999, 1, 0, 0);
    assert_table(&r, "small", VERIFY_EQUAL, 1000, 0, 0, 0);
    assert_table(&r, "third", VERIFY_EQUAL, 1000, 0, 0, 0);
    verify_report_free(&r);
    pg_close(other, false);
    world_close(&w);
}

static void test_cancel_within_a_second(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    struct err e = {0};
    world_open(&w, "", "");
    world_run(w.src, "CREATE TABLE public.t (id int PRIMARY KEY, v text);"
                     "INSERT INTO public.t SELECT i, repeat('v', 1000) FROM "
                     "generate_series(1, 200000) i; ANALYZE");
    world_mirror(&w);
    world_export(&w);
    world_start(&w);
    await_statement(&w, "%sum(%");
    int64_t before = clock_mono_ms();
    verify_cancel(w.job);
    assert_true(world_wait(&w, 5000));
    int64_t took = clock_mono_ms() - before;
    print_message("cancelled within %lld ms\n", (long long)took);
    assert_true(took < 1000);
    assert_false(verify_finish(w.job, &r, &e));
    assert_int_equal(e.code, ERR_CANCELLED);
    assert_string_equal(r.ending, "cancelled");
    assert_int_equal(found(&r, "t")->state, VERIFY_UNFINISHED);
    verify_report_free(&r);
    world_close(&w);
}

static void test_a_killed_backend_ends_it_with_what_is_known(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    struct err e = {0};
    world_open(&w, "", "");
    make_two(&w);
    w.workers = 1;
    world_export(&w);
    struct pg_conn *other;
    assert_true(pg_connect(&w.dest, PG_SQL, "locker", NULL, NULL, 10000, &other, &e));
    world_run(other, "BEGIN; LOCK TABLE public.small");
    world_start(&w);
    await_statement(&w, "SELECT FROM ONLY %small%");
    world_run(w.dst, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                     "application_name = 'bunnydb verify test'");
    assert_true(world_wait(&w, LONG_MS));
    assert_false(verify_finish(w.job, &r, &e));
    print_message("%s\n", e.text);
    assert_string_equal(e.sqlstate, "57P01");
    assert_string_equal(r.ending, "failed");
    assert_non_null(r.error);
    assert_table(&r, "big", VERIFY_EQUAL, 300000, 0, 0, 0);
    assert_int_equal(found(&r, "small")->state, VERIFY_UNFINISHED);
    verify_report_free(&r);
    pg_close(other, false);
    world_close(&w);
}

static void test_a_gone_snapshot_is_an_error(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    struct err e = {0};
    world_open(&w, "", "");
    make_two(&w);
    world_export(&w);
    pg_close(w.exporters[1], false);
    w.exporters[1] = NULL;
    world_start(&w);
    assert_true(world_wait(&w, LONG_MS));
    assert_true(verify_is_imported(w.job));
    assert_false(verify_finish(w.job, &r, &e));
    assert_non_null(strstr(e.text, "import the snapshot"));
    verify_report_free(&r);
    world_close(&w);
}

/* An argument chooses tests: a name, with * for any text. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seven_rows_of_two_hundred_thousand),
        cmocka_unit_test(test_values_that_changed_rows),
        cmocka_unit_test(test_tables_without_a_key_are_compared_as_multisets),
        cmocka_unit_test(test_a_key_that_is_not_unique_at_the_destination),
        cmocka_unit_test(test_counts_are_exact_when_everything_differs),
        cmocka_unit_test(test_only_what_is_mapped_is_compared),
        cmocka_unit_test(test_partitions_and_children),
        cmocka_unit_test(test_wide_rows),
        cmocka_unit_test(test_what_happens_after_the_snapshots_is_not_seen),
        cmocka_unit_test(test_tables_that_cannot_be_compared_do_not_stop_the_others),
        cmocka_unit_test(test_a_table_that_was_compared_is_not_locked),
        cmocka_unit_test(test_cancel_within_a_second),
        cmocka_unit_test(test_a_killed_backend_ends_it_with_what_is_known),
        cmocka_unit_test(test_a_gone_snapshot_is_an_error),
    };
    servers_start();
    atexit(servers_stop);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
