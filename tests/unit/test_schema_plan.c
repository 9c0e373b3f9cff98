/* Promise: a plan runs as a whole or not at all, waits for no lock for long, leaves for later what
 * would harm changes that are still to come, and says what failed; a comparison that cannot be made
 * leaves both sessions as they were. */
#include "tests/unit/diff_fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/diff_private.h"

#define TABLE "CREATE TABLE t.a (id int PRIMARY KEY, c int, d text);"

static void assert_usable(struct pg_conn *c)
{
    struct err err = {0};
    assert_true(pg_exec(c, &fixture_task, 10000, "BEGIN; COMMIT", NULL, &err));
    fixture_assert_answer(c, "SELECT now() = statement_timestamp()", "t");
}

static bool run(struct schema_plan *plan, const struct schema_point *at, struct err *err)
{
    *err = (struct err){0};
    return schema_plan_run(diff_dest, &fixture_task, plan, at, "test", err);
}

static void what_fails_is_named_and_nothing_is_changed(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "fails",
        .before = TABLE,
        .rows = "INSERT INTO t.a VALUES (1, 1), (2, 1)",
        .after = "ALTER TABLE t.a ADD e int; CREATE UNIQUE INDEX u ON t.a (c)",
    };
    struct schema_plan plan;
    struct err err;
    diff_prepare(&c);
    diff_plan(&c, &plan);
    fixture_assert_error(run(&plan, &diff_end, &err), &err, ERR_SQL, "add unique index u of t.a",
                         "could not create unique index", "CREATE UNIQUE INDEX \"u\"", NULL);
    assert_string_equal(err.sqlstate, "23505");
    fixture_assert_answer(diff_dest,
                          "SELECT count(*) FROM pg_attribute WHERE attrelid = 't.a'::regclass AND"
                          " attname = 'e'",
                          "0");
    fixture_assert_answer(diff_dest, "SELECT count(*) FROM _bunnydb.table_parts WHERE name = 'e'",
                          "0");
    assert_usable(diff_dest);
    schema_plan_free(&plan);
}

/* Later minor releases keep a version of each column among its options, beside the user's. */
static void what_servers_keep_for_themselves_is_not_compared(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "own",
        .before = TABLE,
        .after = "ALTER TABLE t.a ALTER c SET (n_distinct = 5); SET allow_system_table_mods = on;"
                 "UPDATE pg_attribute SET attoptions = array_append(attoptions, 'pg_attver=' ||"
                 " attnum) WHERE attrelid = 't.a'::regclass AND attnum > 0",
    };
    struct schema_plan plan;
    diff_prepare(&c);
    diff_plan(&c, &plan);
    diff_assert_text("ro ALTER TABLE ONLY t.a ALTER COLUMN c SET (n_distinct = '5')\n", &plan);
    diff_run_plan(&plan);
    schema_plan_free(&plan);
    diff_plan(&c, &plan);
    diff_assert_text(NO_PLAN, &plan);
    schema_plan_free(&plan);
}

/* Where the stream stands decides what is run. */
static void what_older_changes_need_stays_until_they_are_applied(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "late",
        .before = TABLE "CREATE TABLE t.b (i int); CREATE TABLE t.e (i int)",
        .after = "ALTER TABLE t.a ADD e timestamptz DEFAULT '2001-01-01'; ALTER TABLE t.a ALTER e"
                 " SET DEFAULT now(); ALTER TABLE t.a RENAME d TO dd; ALTER TABLE t.b RENAME i TO"
                 " ii; CREATE INDEX i ON t.b (ii); ALTER TABLE t.e ADD x int",
    };
    struct schema_plan plan;
    struct schema_point at = {.applied = 1};
    struct err err;
    size_t left;
    diff_prepare(&c);
    diff_plan(&c, &plan);
    assert_true(plan.lsn > 1);
    assert_int_equal(schema_plan_count(&plan, &at, &left), 1);
    assert_int_equal(left, 5); /* all of t.a and t.b */
    at.is_waiting = true;      /* new names of columns are the stream's to follow */
    assert_int_equal(schema_plan_count(&plan, &at, &left), 1);
    for (size_t i = 0; i < plan.n; i++) /* an earlier plan had them, and the stream has passed it */
        if (plan.items[i].table && !strcmp(plan.items[i].table, "t.a") && !plan.items[i].is_late)
            plan.items[i].since = 1;
    assert_int_equal(schema_plan_count(&plan, &at, &left), 3);
    assert_true(run(&plan, &at, &err));
    schema_plan_free(&plan);
    /* Rows that come without the column get what they have at the source. */
    fixture_assert_answer(diff_dest,
                          "INSERT INTO t.a (id, dd) VALUES (1, 'x') RETURNING e::date::text",
                          "2001-01-01");
    diff_plan(&c, &plan);
    diff_assert_text("rl ALTER TABLE ONLY `t`.`a` ALTER COLUMN `e` SET DEFAULT now()\n"
                     "rp ALTER TABLE `t`.`b` RENAME COLUMN `i` TO `ii`\n"
                     "rp CREATE INDEX `i` ON `t`.`b` USING btree (ii)\n",
                     &plan);
    at = (struct schema_point){.applied = plan.lsn};
    assert_int_equal(schema_plan_count(&plan, &at, &left), 3);
    assert_int_equal(left, 0);
    assert_true(run(&plan, &at, &err));
    schema_plan_free(&plan);
    diff_plan(&c, &plan);
    diff_assert_text(NO_PLAN, &plan);
    schema_plan_free(&plan);
}

#define KEY_OF_B "ALTER TABLE `t`.`b` ADD CONSTRAINT `k` FOREIGN KEY (a) REFERENCES `t`.`a`(id)"
#define NOT_VALID " DEFERRABLE INITIALLY DEFERRED NOT VALID"

/* The table that it refers to is made by the same plan, and has its rows when it is copied. */
static void a_key_of_a_partitioned_table_follows_the_rows_that_it_needs(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "rows_first",
        .before = TABLE
        "CREATE TABLE t.p (i int) PARTITION BY LIST (i);"
        "CREATE TABLE t.p1 PARTITION OF t.p DEFAULT; CREATE TABLE t.n (i int PRIMARY KEY)",
        .after = "ALTER TABLE t.p ADD CONSTRAINT k FOREIGN KEY (i) REFERENCES t.n",
        .dest_after = "DROP TABLE t.n; INSERT INTO t.p VALUES (5)",
    };
    struct schema_plan plan;
    diff_prepare(&c);
    for (int round = 0; round < 2; round++) {
        diff_plan(&c, &plan);
        diff_run_plan(&plan);
        assert_true(plan.n > 0 && plan.items[plan.n - 1].is_refused);
        assert_non_null(strstr(plan.items[plan.n - 1].why, "23503"));
        schema_plan_free(&plan);
    }
    fixture_exec(diff_dest, "INSERT INTO t.n VALUES (5)");
    diff_plan(&c, &plan);
    diff_run_plan(&plan);
    schema_plan_free(&plan);
    diff_plan(&c, &plan);
    diff_assert_text(NO_PLAN, &plan);
    schema_plan_free(&plan);
}

/* Not a step that never ends: it is told, with the server's reason, and each run tries it. */
static void what_the_destination_refuses_is_told_and_tried_again(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "refused",
        .before = TABLE "CREATE TABLE t.b (a int)",
        .after = "ALTER TABLE t.b ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES t.a;"
                 "CREATE TABLE t.n (i int)",
        .dest_after = "ALTER TABLE t.a SET UNLOGGED; INSERT INTO t.b VALUES (5)",
    };
    struct schema_plan plan;
    diff_prepare(&c);
    for (int round = 0; round < 2; round++) {
        diff_plan(&c, &plan);
        diff_run_plan(&plan);
        for (size_t i = 0; i < plan.n; i++) /* all else was done */
            assert_int_equal(plan.items[i].is_refused, strstr(plan.items[i].sql, "\"k\"") != NULL);
        schema_plan_free(&plan);
    }
    diff_plan(&c, &plan);
    diff_assert_text("m ALTER TABLE `t`.`a` SET LOGGED\n"
                     "nlx " KEY_OF_B NOT_VALID "\n"
                     "nolx ALTER TABLE `t`.`b` VALIDATE CONSTRAINT `k`\n",
                     &plan);
    assert_non_null(strstr(plan.items[1].why, "42P16"));
    schema_plan_free(&plan);
    /* It can be made now, but a row does not meet it. */
    fixture_exec(diff_dest, "ALTER TABLE t.a SET LOGGED");
    diff_plan(&c, &plan);
    diff_run_plan(&plan);
    assert_int_equal(plan.items[0].kind, STEP_RUN);
    assert_int_equal(plan.items[1].kind, STEP_NOTE);
    schema_plan_free(&plan);
    diff_plan(&c, &plan);
    diff_assert_text("nolx ALTER TABLE `t`.`b` VALIDATE CONSTRAINT `k`\n", &plan);
    assert_non_null(strstr(plan.items[0].why, "23503"));
    /* Rows that meet it may be on their way: it is tried when they are here, not before. */
    struct schema_point at = {.applied = 1};
    size_t left;
    assert_int_equal(schema_plan_count(&plan, &at, &left), 0);
    assert_int_equal(left, 1);
    at.applied = plan.lsn;
    assert_int_equal(schema_plan_count(&plan, &at, &left), 0);
    assert_int_equal(left, 0);
    fixture_exec(diff_dest, "DELETE FROM t.b");
    diff_run_plan(&plan);
    schema_plan_free(&plan);
    diff_plan(&c, &plan);
    diff_assert_text(NO_PLAN, &plan);
    schema_plan_free(&plan);
    fixture_assert_answer(diff_dest, "SELECT count(*) FROM _bunnydb.table_parts WHERE kind = 'r'",
                          "0");
}

static struct pg_conn *holder;

static void release(void *arg)
{
    int *ticks = arg;
    if (++*ticks == 25)
        fixture_exec(holder, "COMMIT");
}

/* Readers come through between the tries. */
static void a_lock_is_waited_for_in_short_tries(void **state)
{
    (void)state;
    const struct diff_case c = {.name = "lock",
                                .before = TABLE,
                                .after = "ALTER TABLE t.a ADD e int; COMMENT ON TABLE t.a IS 'x'"};
    struct schema_plan plan;
    int ticks = 0;
    struct task task = {.wake_fd = -1, .tick = release, .arg = &ticks, .tick_ms = 100};
    struct err err = {0};
    diff_prepare(&c);
    diff_plan(&c, &plan);
    holder = fixture_connect("diff_dest", "postgres");
    fixture_exec(holder, "BEGIN; SELECT FROM t.a");
    assert_true(schema_plan_run(diff_dest, &task, &plan, &diff_end, "test", &err));
    assert_true(ticks >= 25);
    pg_close(holder, false);
    schema_plan_free(&plan);
    diff_plan(&c, &plan);
    diff_assert_text(NO_PLAN, &plan);
    schema_plan_free(&plan);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void a_cancelled_run_changes_nothing(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "cancel", .before = TABLE, .after = "ALTER TABLE t.a ADD e int"};
    struct schema_plan plan;
    struct task task = {.wake_fd = -1, .is_cancelled = always, .tick_ms = 10};
    struct err err = {0};
    diff_prepare(&c);
    diff_plan(&c, &plan);
    holder = fixture_connect("diff_dest", "postgres");
    fixture_exec(holder, "BEGIN; SELECT FROM t.a");
    fixture_assert_error(schema_plan_run(diff_dest, &task, &plan, &diff_end, "test", &err), &err,
                         ERR_CANCELLED, NULL);
    pg_close(holder, false);
    schema_plan_free(&plan);
    fixture_exec(diff_dest, "ROLLBACK");
    fixture_assert_answer(diff_dest,
                          "SELECT count(*) FROM pg_attribute WHERE attrelid = 't.a'::regclass AND"
                          " attname = 'e'",
                          "0");
}

static void a_comparison_that_cannot_be_made_leaves_the_sessions(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "twice",
        .before = "CREATE TABLE t.a (k int) PARTITION BY LIST (k); CREATE TABLE t.b (k int)",
        .after = "ALTER TABLE t.a ATTACH PARTITION t.b DEFAULT"};
    struct schema_plan plan = {0};
    struct err err = {0};
    diff_prepare(&c);
    fixture_assert_error(diff_try(diff_source, diff_dest, &plan, &err), &err, ERR_INVALID,
                         "compare definitions", "t.b", NULL);
    assert_int_equal(plan.n, 0);
    assert_usable(diff_source);
    assert_usable(diff_dest);
}

static void a_lost_server_is_an_error(void **state)
{
    (void)state;
    const struct diff_case c = {.name = "lost", .before = TABLE};
    struct schema_plan plan = {0};
    diff_prepare(&c);
    for (int side = 0; side < 2; side++) {
        struct err err = {0};
        struct pg_conn *dead = fixture_connect(side ? "diff_dest" : "diff_source", "postgres");
        char sql[64];
        str_printf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)", pg_backend_pid(dead));
        fixture_exec(diff_source, sql);
        fixture_assert_error(side ? diff_try(diff_source, dead, &plan, &err)
                                  : diff_try(dead, diff_dest, &plan, &err),
                             &err, ERR_CONNECT, NULL);
        pg_close(dead, false);
        assert_usable(diff_source);
        assert_usable(diff_dest);
    }
}

/* What may not be seen is not guessed. */
static void what_the_source_does_not_show_is_left_to_the_operator(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "hidden",
        .before = TABLE,
        .after = "ALTER TABLE t.a ADD e int DEFAULT 1; CLUSTER t.a USING"
                 " a_pkey; ALTER TABLE t.a SET WITHOUT CLUSTER; GRANT USAGE ON SCHEMA t TO poor"};
    struct schema_plan plan;
    struct err err = {0};
    struct pg_conn *poor = fixture_connect("diff_source", "postgres");
    fixture_exec(poor, "CREATE ROLE poor");
    diff_prepare(&c);
    fixture_exec(poor, "SET ROLE poor");
    assert_true(diff_try(poor, diff_dest, &plan, &err));
    diff_assert_text("mc ALTER TABLE `t`.`a` ADD COLUMN `e` integer\n", &plan);
    schema_plan_free(&plan);
    pg_close(poor, false);
}

static void parts_of(const char *expected)
{
    fixture_assert_answer(diff_dest,
                          "SELECT string_agg(concat(dest_name, '.', name), ' ' ORDER BY dest_name,"
                          " name) FROM _bunnydb.table_parts WHERE kind = 'c'",
                          expected);
}

static void the_book_of_one_table_is_written_alone(void **state)
{
    (void)state;
    const struct diff_case c = {.name = "book",
                                .before = "CREATE TABLE t.a (i int); CREATE TABLE t.b (i int)",
                                .after = "DROP TABLE t.b; CREATE TABLE t.b (i int, j int)",
                                .dest_after = "ALTER TABLE t.b ADD j int"};
    struct schema_plan plan;
    diff_prepare(&c);
    parts_of("a.i b.i");
    diff_plan(&c, &plan);
    diff_assert_text("mc -\n", &plan); /* another table now */
    schema_plan_free(&plan);
    diff_write_book("t.b");
    parts_of("a.i b.i b.j");
    diff_plan(&c, &plan);
    diff_assert_text(NO_PLAN, &plan);
    schema_plan_free(&plan);
}

/* A copy of one table reads that one only: keys to others are still the mirror's, and what the
 * stream writes about others meanwhile stays. */
static void the_book_of_one_table_keeps_keys_to_others(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "keys",
        .before = "CREATE TABLE t.a (id int PRIMARY KEY); CREATE TABLE t.b (a int REFERENCES t.a)"};
    struct schema_plan plan;
    diff_prepare(&c);
    diff_write_book("t.b");
    fixture_exec(diff_source, "ALTER TABLE t.a DROP CONSTRAINT a_pkey CASCADE");
    diff_plan(&c, &plan);
    diff_assert_text("r ALTER TABLE `t`.`b` DROP CONSTRAINT `b_a_fkey`\n"
                     "r ALTER TABLE `t`.`a` DROP CONSTRAINT `a_pkey`\n",
                     &plan);
    schema_plan_free(&plan);
}

/* The stream follows other tables, and writes down what it did, while a copy of one compares. */
static void the_book_of_one_table_loses_nothing_of_others(void **state)
{
    (void)state;
    const struct diff_case c = {.name = "race",
                                .before = "CREATE TABLE t.a (i int); CREATE TABLE t.b (i int)"};
    struct pg_conn *other = fixture_connect("diff_dest", "postgres");
    diff_prepare(&c);
    fixture_exec(other, "BEGIN; UPDATE _bunnydb.table_parts SET name = 'k' WHERE kind = 'c'"
                        " AND dest_name = 'a'");
    fixture_exec(diff_dest, "SET lock_timeout = '10s'");
    diff_write_book("t.b"); /* would wait for the other's row, and then write over it */
    fixture_exec(diff_dest, "RESET lock_timeout");
    fixture_exec(other, "COMMIT");
    parts_of("a.k b.i");
    pg_close(other, false);
}

/* The definitions that a copy began with, not those of the moment. */
static void the_book_is_that_of_the_snapshot(void **state)
{
    (void)state;
    const struct diff_case c = {.name = "snapshot", .before = TABLE};
    struct schema_plan plan;
    struct pg_conn *other = fixture_connect("diff_source", "postgres");
    diff_prepare(&c);
    fixture_exec(diff_source, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1");
    fixture_exec(other, "ALTER TABLE t.a RENAME c TO cc; ALTER TABLE t.a ADD e float8 DEFAULT"
                        " random(); INSERT INTO t.a VALUES (1)");
    diff_write_book_in_transaction();
    fixture_exec(diff_source, "COMMIT");
    diff_plan(&c, &plan);
    diff_assert_text("rp ALTER TABLE `t`.`a` RENAME COLUMN `c` TO `cc`\n"
                     "mc ALTER TABLE `t`.`a` ADD COLUMN `e` double precision\n",
                     &plan);
    schema_plan_free(&plan);
    pg_close(other, false);
}

static void types_hold_what_they_hold(void **state)
{
    (void)state;
    static const char *const yes[][2] = {
        {"smallint", "integer"},
        {"integer", "bigint"},
        {"integer", "numeric"},
        {"integer", "numeric(10,0)"},
        {"bigint", "numeric(21,2)"},
        {"integer[]", "bigint[]"},
        {"real", "double precision"},
        {"numeric(5,2)", "numeric(7,2)"},
        {"numeric(5,2)", "numeric(8,4)"},
        {"numeric(5,2)", "numeric"},
        {"numeric(5,-2)", "numeric(5,-2)"},
        {"character varying(5)", "character varying(6)"},
        {"character varying(5)", "character varying"},
        {"character varying(5)", "text"},
        {"character varying(5)[]", "text[]"},
        {"text", "character varying"},
        {"character", "character(2)"},
        {"character(3)", "text"},
        {"bit(3)", "bit varying(3)"},
        {"bit", "bit varying(1)"},
        {"date", "timestamp without time zone"},
        {"timestamp(3) with time zone", "timestamp(6) with time zone"},
        {"timestamp(3) without time zone", "timestamp without time zone"},
        {"interval(3)", "interval"},
        {"cidr", "inet"},
    };
    static const char *const no[][2] = {
        {"integer", "smallint"},
        {"bigint", "integer"},
        {"bigint", "double precision"},
        {"integer", "real"},
        {"integer", "numeric(9,0)"},
        {"integer", "numeric(10,1)"},
        {"integer", "text"},
        {"integer", "bigint[]"},
        {"numeric(5,2)", "numeric(5,3)"},
        {"numeric(5,2)", "numeric(6,1)"},
        {"numeric", "numeric(9,2)"},
        {"character varying(5)", "character varying(4)"},
        {"text", "character varying(9)"},
        {"character varying(5)", "character(9)"},
        {"character(3)", "character varying(2)"},
        {"bit(3)", "bit(4)"},
        {"date", "timestamp with time zone"},
        {"timestamp without time zone", "timestamp with time zone"},
        {"timestamp without time zone", "timestamp(3) without time zone"},
        {"json", "jsonb"},
        {"public.mood", "text"},
        {"\"a(3)\"", "\"a(4)\""},
        {"inet", "cidr"},
    };
    for (size_t i = 0; i < COUNT_OF(yes); i++)
        if (!type_widens(yes[i][0], yes[i][1]))
            fail_msg("%s to %s", yes[i][0], yes[i][1]);
    for (size_t i = 0; i < COUNT_OF(no); i++)
        if (type_widens(no[i][0], no[i][1]))
            fail_msg("%s to %s", no[i][0], no[i][1]);
}

/* A copy of the rows changes nothing about whose they are. */
static void what_the_source_dropped_is_still_told_after_a_copy(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "dropped before a copy",
        .before = TABLE "CREATE INDEX i ON t.a (c); ALTER TABLE t.a ADD CONSTRAINT k CHECK (c > 0)",
        .after = "ALTER TABLE t.a DROP d, DROP CONSTRAINT k; DROP INDEX t.i",
        .dest_after = "CREATE INDEX own ON t.a (c, d); ALTER TABLE t.a ADD own int"};
    struct schema_plan plan;
    diff_prepare(&c);
    diff_write_book("t.a");
    diff_plan(&c, &plan);
    diff_assert_text("r DROP INDEX `t`.`i`\n"
                     "r ALTER TABLE `t`.`a` DROP CONSTRAINT `k`\n"
                     "m ALTER TABLE `t`.`a` DROP COLUMN `d`\n",
                     &plan);
    schema_plan_free(&plan);
}

/* What could not go is not taken for the operator's own the next time. */
static void what_could_not_be_dropped_is_dropped_later(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "held",
        .before = TABLE,
        .after = "ALTER TABLE t.a DROP CONSTRAINT a_pkey, ADD CONSTRAINT k PRIMARY KEY (id, c)",
        .dest_after = "CREATE SCHEMA u; CREATE TABLE u.own (a int REFERENCES t.a)"};
    struct schema_plan plan;
    diff_prepare(&c);
    diff_plan(&c, &plan);
    diff_run_plan(&plan);
    schema_plan_free(&plan);
    fixture_exec(diff_dest, "DROP TABLE u.own");
    diff_plan(&c, &plan);
    diff_assert_text("r ALTER TABLE `t`.`a` DROP CONSTRAINT `a_pkey`\n"
                     "rl ALTER TABLE `t`.`a` ADD CONSTRAINT `k` PRIMARY KEY (id, c)\n",
                     &plan);
    schema_plan_free(&plan);
}

static void what_is_no_partition_on_either_side_is_nobodys(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "detached",
        .before =
            "CREATE TABLE t.a (k int) PARTITION BY LIST (k); CREATE TABLE t.a1 PARTITION OF t.a"
            " FOR VALUES IN (1) PARTITION BY LIST (k);"
            "CREATE TABLE t.a11 PARTITION OF t.a1 DEFAULT",
        .after = "ALTER TABLE t.a DETACH PARTITION t.a1",
        .map = "t.a"};
    struct schema_plan plan;
    diff_prepare(&c);
    diff_plan(&c, &plan);
    diff_assert_text("r ALTER TABLE `t`.`a` DETACH PARTITION `t`.`a1`\n", &plan);
    schema_plan_free(&plan);
    fixture_exec(diff_dest, "ALTER TABLE t.a DETACH PARTITION t.a1");
    diff_plan(&c, &plan);
    diff_assert_text(NO_PLAN, &plan);
    schema_plan_free(&plan);
}

#define FAMILY                                                                       \
    "CREATE TABLE t.a (id int, x int, y int, z int) PARTITION BY LIST (id);"         \
    "CREATE TABLE t.p1 (no int, z int, y int, x int, id int); ALTER TABLE t.p1 DROP" \
    " no; ALTER TABLE t.a ATTACH PARTITION t.p1 FOR VALUES IN (1);"                  \
    "CREATE TABLE t.p2 PARTITION OF t.a FOR VALUES IN (2);"                          \
    "CREATE TABLE t.p3 PARTITION OF t.a FOR VALUES IN (3);"                          \
    "CREATE TABLE t.m (i int); CREATE TABLE t.n (i int);"
#define FAMILY_ROWS                                                             \
    "INSERT INTO t.a VALUES (1, 10, 11, 12), (2, 20, 21, 22), (3, 30, 31, 32);" \
    "INSERT INTO t.m VALUES (5); INSERT INTO t.n VALUES (6);"
#define EXCHANGE(what, a, b) \
    "ALTER " what " " a " TO q; ALTER " what " " b " TO " a "; ALTER " what " q TO " b ";"
#define EXCHANGE_OF_X_AND_Y                                          \
    "rp ALTER TABLE `t`.`a` RENAME COLUMN `x` TO `bunny_rename_2`\n" \
    "rp ALTER TABLE `t`.`a` RENAME COLUMN `y` TO `x`\n"              \
    "rp ALTER TABLE `t`.`a` RENAME COLUMN `bunny_rename_2` TO `y`\n"

static const char family_rows[] =
    "SELECT string_agg(format('%s %s %s', tableoid::regclass, id, x), ';' ORDER BY id) FROM t.a";

static void assert_family(const struct diff_case *c, const char *rows)
{
    char *at_source = fixture_ask(diff_source, family_rows);
    assert_string_equal(at_source, rows);
    free(at_source);
    fixture_assert_answer(diff_dest, family_rows, rows);
    fixture_assert_same(diff_source, diff_dest, c->allowed);
}

/* No row gets through before the tables have their names. Each column still is the one it was, and
 * no table is exchanged twice. */
static void tables_get_their_names_before_their_columns(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "names",
        .before = FAMILY FAMILY_ROWS,
        .rows = FAMILY_ROWS,
        .after = EXCHANGE(
            "TABLE t.a RENAME", "x",
            "y") "ALTER TABLE t.p1 RENAME TO q; ALTER TABLE t.p2"
                 " RENAME TO p1; ALTER TABLE t.q RENAME TO p2; ALTER TABLE t.m RENAME i TO j;"
                 "ALTER TABLE t.m RENAME TO q; ALTER TABLE t.n RENAME TO m; ALTER TABLE t.q RENAME"
                 " TO n; CREATE SCHEMA u; ALTER TABLE t.p3 SET SCHEMA u; ALTER TABLE u.p3 RENAME TO"
                 " p4"};
    struct schema_plan plan;
    struct schema_point at = {.applied = 1};
    struct err err;
    size_t left;
    diff_prepare(&c);
    diff_plan(&c, &plan);
    assert_int_equal(schema_plan_count(&plan, &at, &left), 12); /* all but those of columns */
    assert_int_equal(left, 4);
    for (int run_no = 0; run_no < 3; run_no++) {
        assert_true(run(&plan, &at, &err));
        schema_plan_free(&plan);
        fixture_assert_answer(diff_dest, family_rows, "t.p2 1 10;t.p1 2 20;u.p4 3 30");
        fixture_assert_answer(diff_dest, "SELECT i FROM t.n", "5");
        diff_plan(&c, &plan);
        diff_assert_text(EXCHANGE_OF_X_AND_Y "rp ALTER TABLE `t`.`n` RENAME COLUMN `i` TO `j`\n",
                         &plan);
        assert_int_equal(schema_plan_count(&plan, &at, &left), 0);
    }
    diff_run_plan(&plan);
    schema_plan_free(&plan);
    diff_plan(&c, &plan);
    diff_assert_text(NO_PLAN, &plan);
    schema_plan_free(&plan);
    assert_family(&c, "t.p2 1 11;t.p1 2 21;u.p4 3 31");
}

/* The stream has passed the place of an earlier plan that had the exchange already, and not that of
 * another new name. */
static void what_has_exchanged_names_does_it_once(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "once",
        .before = FAMILY FAMILY_ROWS "CREATE TYPE t.c AS (a int, b int); CREATE TABLE t.e (c t.c)",
        .rows = FAMILY_ROWS,
        .after = EXCHANGE("TABLE t.a RENAME", "x", "y") "ALTER TABLE t.a RENAME z TO w;" EXCHANGE(
            "TYPE t.c RENAME ATTRIBUTE", "a", "b") "ALTER TYPE t.c ADD ATTRIBUTE d"
                                                   " int"};
    struct schema_plan plan;
    struct schema_point at = {.applied = 1};
    struct err err;
    size_t left;
    diff_prepare(&c);
    diff_plan(&c, &plan);
    assert_int_equal(plan.n, 8);
    for (size_t i = 0; i < plan.n; i++)
        if (!strstr(plan.items[i].sql, "\"w\"") && !strstr(plan.items[i].sql, "ADD ATTRIBUTE"))
            plan.items[i].since = 1;
    assert_int_equal(schema_plan_count(&plan, &at, &left), 6);
    assert_true(run(&plan, &at, &err));
    schema_plan_free(&plan);
    diff_plan(&c, &plan);
    diff_assert_text("rp ALTER TYPE `t`.`c` ADD ATTRIBUTE `d` integer\n"
                     "rp ALTER TABLE `t`.`a` RENAME COLUMN `z` TO `w`\n",
                     &plan);
    diff_run_plan(&plan);
    schema_plan_free(&plan);
    diff_plan(&c, &plan);
    diff_assert_text(NO_PLAN, &plan);
    schema_plan_free(&plan);
    assert_family(&c, "t.p1 1 11;t.p2 2 21;t.p3 3 31");
}

/* With a session of the thread's own; the fixture's task is the main thread's. */
static void run_alone(struct pg_conn *session, const char *sql)
{
    struct err err = {0};
    if (!pg_exec(session, NULL, 120000, sql, NULL, &err))
        print_error("%s\n", err.text);
}

/* Definitions come and go as long as the test reads them. */
static void *change_definitions(void *session)
{
    run_alone(session, "DO $$ BEGIN FOR i IN 1..250 LOOP"
                       " CREATE INDEX i ON t.a (c); ALTER TABLE t.a ADD e int DEFAULT 1;"
                       " ALTER TABLE t.a ADD CONSTRAINT k CHECK (e > 0);"
                       " ALTER TABLE t.b ADD f int REFERENCES t.a; COMMIT;"
                       " DROP INDEX t.i; ALTER TABLE t.a DROP e CASCADE; ALTER TABLE t.b DROP f;"
                       " COMMIT;"
                       " END LOOP; END $$");
    run_alone(session, "CREATE TABLE t.finished ()");
    return NULL;
}

static void definitions_that_change_while_they_are_read_are_read_again(void **state)
{
    (void)state;
    const struct diff_case c = {
        .name = "torn", .before = TABLE "CREATE TABLE t.b ()", .after = "SELECT"};
    struct pg_conn *other = fixture_connect("diff_source", "postgres");
    pthread_t thread;
    bool is_over = false;
    diff_prepare(&c);
    assert_int_equal(pthread_create(&thread, NULL, change_definitions, other), 0);
    while (!is_over) {
        struct schema_plan plan;
        char *over = fixture_ask(diff_source, "SELECT to_regclass('t.finished') IS NOT NULL");
        is_over = over[0] == 't';
        free(over);
        diff_plan(&c, &plan);
        schema_plan_free(&plan);
        diff_write_book("t.a");
    }
    pthread_join(thread, NULL);
    pg_close(other, false);
}

/* Its definition may name the label, and what the table has cannot be made before it. */
static void a_new_table_waits_for_a_label_with_all_that_it_has(void **state)
{
    (void)state;
    static const struct diff_case c = {
        .name = "a new table and a label",
        .before = "CREATE TYPE t.mood AS ENUM ('a', 'b'); CREATE TABLE t.a (id int PRIMARY KEY, m"
                  " t.mood); CREATE TABLE t.new (id int PRIMARY KEY, m t.mood);"
                  "CREATE TABLE t.c (id int PRIMARY KEY REFERENCES t.new)",
        .after = "ALTER TYPE t.mood RENAME VALUE 'b' TO 'B'; ALTER TABLE t.new ALTER m SET DEFAULT"
                 " 'B'; CREATE INDEX i ON t.new (id, m)",
        .dest_after = "DROP TABLE t.new CASCADE",
    };
    struct schema_plan plan;
    struct schema_point at = {.applied = 1};
    struct err err;
    size_t left;
    diff_prepare(&c);
    diff_plan(&c, &plan);
    assert_int_equal(schema_plan_count(&plan, &at, &left), 0);
    assert_true(left >= 5); /* the label, the table, its key, its index, what refers to it */
    assert_true(run(&plan, &at, &err));
    at.is_waiting = true; /* for the label */
    assert_true(schema_plan_count(&plan, &at, NULL) >= 4);
    assert_true(run(&plan, &at, &err));
    schema_plan_free(&plan);
    fixture_assert_answer(diff_dest, "INSERT INTO t.new VALUES (1) RETURNING m", "B");
    fixture_assert_answer(diff_dest,
                          "SELECT count(*) FROM pg_catalog.pg_index WHERE indrelid ="
                          " 't.new'::pg_catalog.regclass",
                          "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fails_is_named_and_nothing_is_changed),
        cmocka_unit_test(what_servers_keep_for_themselves_is_not_compared),
        cmocka_unit_test(what_older_changes_need_stays_until_they_are_applied),
        cmocka_unit_test(what_the_destination_refuses_is_told_and_tried_again),
        cmocka_unit_test(a_key_of_a_partitioned_table_follows_the_rows_that_it_needs),
        cmocka_unit_test(a_lock_is_waited_for_in_short_tries),
        cmocka_unit_test(a_cancelled_run_changes_nothing),
        cmocka_unit_test(a_comparison_that_cannot_be_made_leaves_the_sessions),
        cmocka_unit_test(a_lost_server_is_an_error),
        cmocka_unit_test(what_the_source_does_not_show_is_left_to_the_operator),
        cmocka_unit_test(the_book_of_one_table_is_written_alone),
        cmocka_unit_test(the_book_of_one_table_keeps_keys_to_others),
        cmocka_unit_test(the_book_of_one_table_loses_nothing_of_others),
        cmocka_unit_test(the_book_is_that_of_the_snapshot),
        cmocka_unit_test(what_the_source_dropped_is_still_told_after_a_copy),
        cmocka_unit_test(what_could_not_be_dropped_is_dropped_later),
        cmocka_unit_test(what_is_no_partition_on_either_side_is_nobodys),
        cmocka_unit_test(tables_get_their_names_before_their_columns),
        cmocka_unit_test(what_has_exchanged_names_does_it_once),
        cmocka_unit_test(definitions_that_change_while_they_are_read_are_read_again),
        cmocka_unit_test(types_hold_what_they_hold),
        cmocka_unit_test(a_new_table_waits_for_a_label_with_all_that_it_has),
    };
    return cmocka_run_group_tests(tests, diff_start, diff_stop);
}
