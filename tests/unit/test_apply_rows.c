/* What each kind of change does to the destination's rows, on a server: keys, missing rows,
 * unchanged TOAST, whole old rows, TRUNCATE, inheritance, partitions, changed definitions. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/apply_world.h"

static void changes_that_find_no_row_are_told(void **state)
{
    (void)state;
    open_apply();
    begin(1100);
    insert(T, "1", "a");
    ok(feed(sample_update(&w.s, T, 0, NO_ROW, ROW("7", "none"))));
    ok(feed(sample_delete(&w.s, T, 'K', ROW("8", NULL))));
    ok(feed(sample_update(&w.s, T, 'K', ROW("9", NULL), ROW("1", "none"))));
    commit(1100);
    ok(settle(true));
    assert_int_equal(w.missed, 3);
    assert_int_equal(w.batches, 1);
    assert_rows(ROWS_OF("t"), "1=a");
}

static void keys_change_and_unchanged_toast_stays(void **state)
{
    (void)state;
    open_apply();
    begin(1100);
    insert(T, "1", "long");
    insert(T, "2", "two");
    ok(feed(sample_update(&w.s, T, 'K', ROW("1", NULL), ROW("10", sample_unchanged))));
    ok(feed(sample_update(&w.s, T, 'K', ROW("2", NULL), ROW("1", "moved"))));
    ok(feed(sample_update(&w.s, T, 0, NO_ROW, ROW("1", NULL))));
    commit(1100);
    ok(settle(true));
    assert_rows(ROWS_OF("t"), "1=NULL 10=long");
    assert_int_equal(w.missed, 0);
}

/* The swap of two keys by way of a third, and one key used again and again. */
static void the_order_of_changes_is_kept(void **state)
{
    (void)state;
    open_apply();
    begin(1100);
    insert(T, "1", "a");
    insert(T, "2", "b");
    ok(feed(sample_update(&w.s, T, 'K', ROW("1", NULL), ROW("0", "a"))));
    ok(feed(sample_update(&w.s, T, 'K', ROW("2", NULL), ROW("1", "b"))));
    ok(feed(sample_update(&w.s, T, 'K', ROW("0", NULL), ROW("2", "a"))));
    for (int i = 0; i < 50; i++) {
        insert(T, "5", "again");
        ok(feed(sample_delete(&w.s, T, 'K', ROW("5", NULL))));
    }
    insert(T, "5", "last");
    commit(1100);
    ok(settle(true));
    assert_rows(ROWS_OF("t"), "1=b 2=a 5=last");
    assert_int_equal(w.missed, 0);
}

static void whole_old_rows_find_one_of_several_equal_ones(void **state)
{
    (void)state;
    run_sql(w.c, "DROP TABLE d.u; CREATE TABLE d.u (id int, v json)");
    open_apply();
    begin(1100);
    for (int i = 0; i < 3; i++)
        insert(U, "1", "{\"a\": 1}");
    insert(U, NULL, NULL);
    insert(U, NULL, NULL);
    ok(feed(sample_delete(&w.s, U, 'O', ROW("1", "{\"a\": 1}"))));
    ok(feed(sample_update(&w.s, U, 'O', ROW("1", "{\"a\": 1}"), ROW("2", "{}"))));
    ok(feed(sample_delete(&w.s, U, 'O', ROW(NULL, NULL))));
    ok(feed(sample_update(&w.s, U, 'O', ROW("1", "{\"a\": 1}"), ROW("1", sample_unchanged))));
    commit(1100);
    ok(settle(true));
    assert_rows("SELECT string_agg(coalesce(id::text, 'NULL') || coalesce(v::text, 'NULL'), ' ' "
                "ORDER BY id) FROM d.u",
                "1{\"a\": 1} 2{} NULLNULL");
    assert_int_equal(w.missed, 0);
}

/* A child may hold a row of the same key: it is another row. */
static void changes_of_a_parent_leave_its_children_alone(void **state)
{
    (void)state;
    run_sql(w.c, "CREATE TABLE d.child () INHERITS (d.t); INSERT INTO d.child VALUES (1, 'child'),"
                 "(2, 'child'); CREATE TABLE d.uchild () INHERITS (d.u);"
                 "INSERT INTO d.uchild VALUES (1, 'same')");
    open_apply();
    begin(1100);
    insert(T, "1", "parent");
    ok(feed(sample_update(&w.s, T, 0, NO_ROW, ROW("1", "changed"))));
    ok(feed(sample_update(&w.s, T, 0, NO_ROW, ROW("1", sample_unchanged))));
    ok(feed(sample_delete(&w.s, T, 'K', ROW("2", NULL)))); /* missing in the parent */
    ok(feed(sample_truncate(&w.s, U, 0)));
    insert(U, "1", "same");
    ok(feed(sample_delete(&w.s, U, 'O', ROW("1", "same"))));
    commit(1100);
    ok(settle(true));
    assert_rows("SELECT string_agg(id || v, ' ' ORDER BY id) FROM ONLY d.t", "1changed");
    assert_rows("SELECT string_agg(id || v, ' ' ORDER BY id) FROM d.child", "1child 2child");
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.uchild"), 1);
    assert_int_equal(ask(w.c, "SELECT count(*) FROM ONLY d.u"), 0);
    assert_int_equal(w.missed, 1);
}

static void rows_of_a_partitioned_destination_move(void **state)
{
    (void)state;
    run_sql(w.c, "DROP TABLE d.t, d.u;"
                 "CREATE TABLE d.t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
                 "CREATE TABLE d.t1 PARTITION OF d.t FOR VALUES FROM (0) TO (10);"
                 "CREATE TABLE d.t2 PARTITION OF d.t FOR VALUES FROM (10) TO (20);"
                 "CREATE TABLE d.u (id int, v text) PARTITION BY LIST (v);"
                 "CREATE TABLE d.u1 PARTITION OF d.u FOR VALUES IN ('a');"
                 "CREATE TABLE d.u2 PARTITION OF d.u FOR VALUES IN ('b')");
    open_apply();
    begin(1100);
    insert(T, "1", "x");
    ok(feed(sample_update(&w.s, T, 'K', ROW("1", NULL), ROW("11", "x"))));
    insert(U, "1", "a"); /* the first rows of both have the same ctid */
    insert(U, "1", "b");
    ok(feed(sample_delete(&w.s, U, 'O', ROW("1", "b"))));
    ok(feed(sample_update(&w.s, U, 'O', ROW("1", "a"), ROW("2", "b"))));
    commit(1100);
    ok(settle(true));
    assert_rows(ROWS_OF("t2"), "11=x");
    assert_rows(ROWS_OF("u"), "2=b");
    assert_int_equal(w.missed, 0);
    begin(1200);
    ok(feed(sample_truncate(&w.s, T, U)));
    commit(1200);
    ok(settle(true));
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 0);
}

static void truncate_keeps_its_place(void **state)
{
    (void)state;
    run_sql(w.c, "ALTER TABLE d.u ADD FOREIGN KEY (id) REFERENCES d.t;"
                 "ALTER TABLE d.t ALTER id ADD GENERATED BY DEFAULT AS IDENTITY;"
                 "SELECT setval('d.t_id_seq', 500)");
    open_apply();
    begin(1100);
    insert(T, "1", "before");
    insert(U, "1", "before");
    ok(feed(sample_truncate(&w.s, T, U))); /* both at once, as the foreign key wants */
    insert(T, "2", "behind");
    commit(1100);
    ok(settle(true));
    assert_rows(ROWS_OF("t"), "2=behind");
    assert_rows(ROWS_OF("u"), "");
    assert_int_equal(ask(w.c, "SELECT nextval('d.t_id_seq')"), 501);
    begin(1200);
    const struct pgo_message *m = sample_truncate(&w.s, U, T);
    w.s.m.restart_identity = true;
    ok(feed(m));
    commit(1200);
    ok(settle(true));
    assert_rows(ROWS_OF("t"), "");
    assert_int_equal(ask(w.c, "SELECT nextval('d.t_id_seq')"), 502); /* it follows by itself */
    assert_int_equal(w.batches, 2);
}

static void the_stream_follows_changed_definitions(void **state)
{
    (void)state;
    open_apply();
    begin(1100);
    insert(T, "1", "a");
    run_sql(w.c, "ALTER TABLE d.u ADD w text"); /* t is locked by the open batch */
    insert(U, "1", "b");
    ok(feed(sample_relation(&w.s, U, "u", ROW("w", "*id"))));
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 0); /* nothing ends by reading it */
    ok(feed(sample_insert(&w.s, U, ROW("new", "2"))));
    ok(feed(sample_update(&w.s, U, 0, NO_ROW, ROW("newer", "1"))));
    commit(1100);
    ok(settle(true));
    assert_rows("SELECT string_agg(concat_ws('/', id, v, w), ' ' ORDER BY id) FROM d.u",
                "1/b/newer 2/new");
}

/* The source repeats a definition after each ANALYZE: for months, that must not pile up. */
static void repeated_definitions_leave_nothing_behind(void **state)
{
    struct pg_result *r;
    (void)state;
    open_apply();
    for (int i = 0; i < 20; i++) {
        char id[16];
        str_printf(id, sizeof id, "%d", i);
        begin(1100 + 10 * (lsn_t)i);
        ok(feed(sample_relation(&w.s, T, "t", ROW("*id", "v"))));
        insert(T, id, "x");
        ok(feed(sample_update(&w.s, T, 0, NO_ROW, ROW(id, "y"))));
        commit(1100 + 10 * (lsn_t)i);
    }
    ok(settle(true));
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t WHERE v = 'y'"), 20);
    ok(pg_pipe_leave(w.dest, &w.e));
    ok(pg_exec(w.dest, NULL, 5000,
               "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'b0%'", &r, &w.e));
    assert_int_equal(pg_int(r, 0, 0), 2);
    pg_free(r);
}

static void refuse(const struct pgo_message *m, enum err_code code, const char *word)
{
    memset(&w.e, 0, sizeof w.e);
    assert_false(feed(m));
    assert_error(&w.e, code, "");
    if (!strstr(w.e.text, word))
        fail_msg("no %s in: %s", word, w.e.text);
}

static void what_does_not_fit_is_refused_by_name(void **state)
{
    (void)state;
    open_apply();
    refuse(sample_relation(&w.s, 99, "stranger", ROW("*id")), ERR_SCHEMA, "public.stranger");
    refuse(sample_relation(&w.s, NOWHERE, "nowhere", ROW("*id")), ERR_TABLE_MISSING,
           "\"d\".\"nowhere\"");
    refuse(sample_relation(&w.s, T, "t", ROW("*id", "v", "extra")), ERR_SCHEMA, "extra");
    begin(1100);
    refuse(sample_insert(&w.s, 77, ROW("1")), ERR_PROTOCOL, "77");
    refuse(sample_truncate(&w.s, T, 77), ERR_PROTOCOL, "77");
    refuse(sample_insert(&w.s, T, ROW("1")), ERR_PROTOCOL, "public.t");
}

static void a_change_that_touches_several_rows_is_an_error(void **state)
{
    (void)state;
    run_sql(w.c, "INSERT INTO d.u VALUES (1, 'a'), (1, 'b')");
    open_apply();
    begin(1100);
    ok(feed(sample_update(&w.s, U, 0, NO_ROW, ROW("1", "c"))));
    pump_ms(20);
    commit(1100);
    assert_false(settle(true));
    assert_error(&w.e, ERR_CONFLICT, "");
    assert_non_null(strstr(w.e.text, "2 rows"));
    assert_int_equal(w.refused, ERR_CONFLICT);
    assert_string_equal(w.miss.key, "(id)=(1)");
    assert_int_equal(w.batches, 0);
    assert_rows(ROWS_OF("u"), "1=a 1=b"); /* none of it was committed */
}

/* Where an index says so, a COMMIT need not wait; a partial or deferrable one says nothing. */
static void a_unique_index_is_trusted_only_where_it_holds(void **state)
{
    static const struct {
        const char *sql;
        bool is_sure;
    } cases[] = {
        {"CREATE UNIQUE INDEX ON d.u (id)", true},
        {"CREATE UNIQUE INDEX ON d.u (id) INCLUDE (v)", true},
        {"CREATE UNIQUE INDEX ON d.u (id, v)", false},
        {"CREATE UNIQUE INDEX ON d.u (id) WHERE v IS NULL", false},
        {"CREATE UNIQUE INDEX ON d.u ((id + 1))", false},
        {"CREATE INDEX ON d.u (id)", false},
        {"ALTER TABLE d.u ADD UNIQUE (id) DEFERRABLE", false},
        {"ALTER TABLE d.u ADD PRIMARY KEY (id)", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct dest_table d;
        struct target *t;
        world_close(state);
        world_open(state);
        run_sql(w.c, cases[i].sql);
        ok(schema_read_dest(w.c, NULL, "d", "u", &d, &w.e));
        ok(target_bind(sample_relation(&w.s, U, "u", ROW("*id", "v")), &w.tables[1], 1, &d, 0, &t,
                       &w.e));
        if (t->is_key_unique != cases[i].is_sure)
            fail_msg("%s", cases[i].sql);
        target_free(t);
        dest_table_free(&d);
    }
}

/* What is said of them is their key, cut and in one line, and nothing else. */
static void refused_rows_are_told_by_their_key_alone(void **state)
{
    static const struct {
        const char *sql, *v;
        enum err_code code;
        const char *sqlstate;
    } cases[] = {
        {"INSERT INTO d.t VALUES (1, 'x')", "secret", ERR_CONFLICT, "23505"},
        {"ALTER TABLE d.t ADD CHECK (v <> 'secret')", "secret", ERR_REFUSED, "23514"},
        {"ALTER TABLE d.t ALTER v SET NOT NULL", NULL, ERR_REFUSED, "23502"},
        {"ALTER TABLE d.t ALTER v TYPE int USING NULL", "secret", ERR_REFUSED, "22P02"},
        {"ALTER TABLE d.t ALTER v TYPE varchar(2)", "secret", ERR_REFUSED, "22001"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        world_close(state);
        world_open(state);
        run_sql(w.c, cases[i].sql);
        open_apply();
        insert_alone(1100, T, "1", cases[i].v);
        assert_false(settle(true));
        assert_error(&w.e, cases[i].code, cases[i].sqlstate);
        assert_int_equal(w.refused, cases[i].code);
        assert_string_equal(w.miss.key, "(id)=(1)");
        assert_int_equal(w.miss.lsn, 1100);
        assert_non_null(strstr(w.e.text, "(id)=(1), transaction 0/44C: "));
        assert_null(strstr(w.e.text, "secret"));
        assert_null(strstr(w.e.hint, "secret"));
        assert_int_equal(w.batches, 0);
    }
}

/* regclass and its like: not that a table is missing, which sync-schema would make. */
static void a_value_that_names_a_missing_object(void **state)
{
    static const struct {
        const char *type, *sqlstate;
    } cases[] = {{"regclass", "42P01"},
                 {"regtype", "42704"},
                 {"regproc", "42883"},
                 {"regrole", "42704"},
                 {"regnamespace", "3F000"}};
    char sql[80];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        world_close(state);
        world_open(state);
        str_printf(sql, sizeof sql, "ALTER TABLE d.t ALTER v TYPE %s USING NULL", cases[i].type);
        run_sql(w.c, sql);
        open_apply();
        insert_alone(1100, T, "1", "nobody");
        assert_false(settle(true));
        assert_error(&w.e, ERR_REFUSED, cases[i].sqlstate);
        assert_int_equal(w.refused, ERR_REFUSED);
        assert_non_null(strstr(w.e.text, "nobody"));
        assert_non_null(strstr(w.e.hint, "Column v of "));
        assert_non_null(strstr(w.e.hint, "leave the column out"));
    }
}

static void missing_rows_are_counted_beyond_those_that_are_named(void **state)
{
    (void)state;
    char id[16];
    open_apply();
    begin(1100);
    for (int i = 0; i < 500; i++) {
        str_printf(id, sizeof id, "%d", i);
        ok(feed(sample_delete(&w.s, T, 'K', ROW(id, NULL))));
    }
    pump_ms(20);
    assert_int_equal(w.missed, 0); /* told with the COMMIT, not before */
    commit(1100);
    ok(settle(true));
    assert_int_equal(w.missed, 500);
    assert_int_equal(w.miss.lsn, 1100);
}

static void long_keys_are_cut(void **state)
{
    (void)state;
    char id[302] = "";
    open_apply();
    ok(feed(sample_relation(&w.s, T, "t", ROW("id", "*v"))));
    begin(1100);
    memset(id, 'k', 99);
    memcpy(id + 99, "\xc3\xa4\n and more", 13);
    ok(feed(sample_delete(&w.s, T, 'K', ROW(NULL, id))));
    ok(feed(sample_delete(&w.s, T, 'K', ROW(NULL, "a\tb"))));
    commit(1100);
    ok(settle(true));
    assert_int_equal(w.missed, 2);
    assert_string_equal(w.miss.key, "(v)=(a b)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(changes_that_find_no_row_are_told),
        IN_WORLD(keys_change_and_unchanged_toast_stays),
        IN_WORLD(the_order_of_changes_is_kept),
        IN_WORLD(whole_old_rows_find_one_of_several_equal_ones),
        IN_WORLD(changes_of_a_parent_leave_its_children_alone),
        IN_WORLD(rows_of_a_partitioned_destination_move),
        IN_WORLD(truncate_keeps_its_place),
        IN_WORLD(the_stream_follows_changed_definitions),
        IN_WORLD(repeated_definitions_leave_nothing_behind),
        IN_WORLD(what_does_not_fit_is_refused_by_name),
        IN_WORLD(a_change_that_touches_several_rows_is_an_error),
        IN_WORLD(a_unique_index_is_trusted_only_where_it_holds),
        IN_WORLD(refused_rows_are_told_by_their_key_alone),
        IN_WORLD(a_value_that_names_a_missing_object),
        IN_WORLD(missing_rows_are_counted_beyond_those_that_are_named),
        IN_WORLD(long_keys_are_cut),
    };
    return cmocka_run_group_tests(tests, world_start_cluster, world_stop_cluster);
}
