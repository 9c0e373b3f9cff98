/* Promise: definitions at the destination equal the source's, for real databases and for the
 * hardest that PostgreSQL can express, under other names too. */
#include "tests/unit/schema_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const nothing[] = {NULL};

static void sample(const char *name, const char *const *allowed)
{
    char copy[64];
    str_printf(copy, sizeof copy, "copy_of_%s", name);
    struct pg_conn *source = fixture_sample(name), *dest = fixture_database(copy);
    struct fixture_maps maps = fixture_maps(source, "public.*", NULL);
    fixture_mirror(source, dest, &maps);
    fixture_assert_same(source, dest, allowed);
    fixture_maps_free(&maps);
    pg_close(source, false);
    pg_close(dest, false);
}

static void samples_are_equal(void **state)
{
    (void)state;
    /* A domain that no table uses. */
    static const char *const pagila[] = {"type public.\"b\xc4\xb1g\xc4\xb1nt\"", NULL};
    static const char *const names[] = {"chinook", "happiness_index", "iso3166",
                                        "netflix", "northwind",       "periodic_table"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        sample(names[i], nothing);
    sample("pagila", pagila);
}

static void sequences_go_on(void **state)
{
    (void)state;
    static const char sql[] = "SELECT string_agg(concat_ws(' ', sequencename, last_value), ','"
                              " ORDER BY sequencename) FROM pg_sequences";
    struct pg_conn *source = fixture_connect("pagila", "postgres");
    struct pg_conn *dest = fixture_connect("copy_of_pagila", "postgres");
    char *expected = fixture_ask(source, sql);
    assert_non_null(strstr(expected, "rental_rental_id_seq 16049"));
    fixture_assert_answer(dest, sql, expected);
    free(expected);
    pg_close(source, false);
    pg_close(dest, false);
}

/* What the picture may show on one side only: what nothing refers to. */
#define UNUSED "n.unused", "n.not_mine", "refers_parted_pid_pat_fkey"

static void hard_definitions_are_equal(void **state)
{
    (void)state;
    struct pg_conn *source = fixture_connect("nasty", "postgres");
    struct pg_conn *dest = fixture_database("nasty_with_functions");
    fixture_exec(dest, "CREATE SCHEMA n;"
                       "CREATE FUNCTION n.made() RETURNS text LANGUAGE sql AS $$SELECT 'made'$$;"
                       "CREATE FUNCTION n.half(int) RETURNS int IMMUTABLE LANGUAGE sql"
                       " AS $$SELECT $1 / 2$$");
    struct fixture_maps maps = fixture_maps(source, "n.*", NULL);
    fixture_mirror(source, dest, &maps);
    /* A generated column that needs a function is added last. */
    static const char *const with_order[] = {UNUSED, "column n.everything", NULL};
    fixture_assert_same(source, dest, with_order);
    fixture_assert_answer(dest,
                          "SELECT count(*) FROM pg_attribute WHERE attrelid ="
                          " 'n.everything'::regclass AND attnum > 0",
                          "31");
    fixture_assert_answer(dest, "SELECT nextval('n.shared')", "-5");
    fixture_assert_answer(dest, "SELECT nextval('\"Types\".far')", "77");
    fixture_maps_free(&maps);
    pg_close(source, false);
    pg_close(dest, false);
}

static void missing_functions_stop_nothing(void **state)
{
    (void)state;
    static const char *const allowed[] = {UNUSED, "column n.everything", "by_half", NULL};
    struct pg_conn *source = fixture_connect("nasty", "postgres");
    struct pg_conn *dest = fixture_database("nasty_without_functions");
    struct fixture_maps maps = fixture_maps(source, "n.*", NULL);
    fixture_mirror(source, dest, &maps);
    fixture_assert_same(source, dest, allowed);
    fixture_assert_answer(dest,
                          "SELECT string_agg(attname, ',') FROM pg_attribute WHERE attrelid ="
                          " 'n.everything'::regclass AND attname IN ('halved', 'by_function')",
                          "by_function");
    fixture_maps_free(&maps);
    pg_close(source, false);
    pg_close(dest, false);
}

/* Counts that have to be the same whatever tables and schemas are called. */
static const char counts_sql[] =
    "SELECT concat_ws(' ', (SELECT count(*) FROM pg_class WHERE relkind = 'i' AND oid >= 16384"
    " AND relnamespace::regnamespace::text !~ '^pg_'), (SELECT count(*) FROM pg_constraint"
    " WHERE conrelid >= 16384), (SELECT count(*) FROM pg_class WHERE relkind = 'S'),"
    " (SELECT count(*) FROM pg_inherits), (SELECT count(*) FROM pg_attrdef))";

static void other_names_work_everywhere(void **state)
{
    (void)state;
    struct pg_conn *source = fixture_database("names_from"), *dest = fixture_database("names_to");
    fixture_exec(source,
                 "CREATE SCHEMA a; CREATE TYPE a.mood AS ENUM ('x');"
                 "CREATE TABLE a.p (id serial PRIMARY KEY, m a.mood, v int UNIQUE, i int GENERATED"
                 " ALWAYS AS IDENTITY, CHECK (v > 0));"
                 "CREATE INDEX ON a.p (m) WHERE v > 3;"
                 "CREATE TABLE a.q (id int PRIMARY KEY, p int REFERENCES a.p ON DELETE CASCADE);"
                 "CREATE TABLE a.part (k int PRIMARY KEY) PARTITION BY LIST (k);"
                 "CREATE TABLE a.part_1 PARTITION OF a.part FOR VALUES IN (1);"
                 "CREATE TABLE a.child (w text DEFAULT 'a.p') INHERITS (a.p);"
                 "INSERT INTO a.p (v) VALUES (1), (2)");
    struct fixture_maps maps = fixture_maps(source, "a.p>Other \"s.new p", "a.q>a.renamed",
                                            "a.part>b.whole", "a.child>c.child", NULL);
    fixture_mirror(source, dest, &maps);
    char *expected = fixture_ask(source, counts_sql);
    fixture_assert_answer(dest, counts_sql, expected);
    fixture_assert_answer(dest,
                          "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid ="
                          " '\"Other \"\"s\".\"new p\"'::regclass",
                          "nextval('\"Other \"\"s\".p_id_seq'::regclass)");
    fixture_assert_answer(dest, "SELECT nextval('\"Other \"\"s\".p_id_seq')", "3");
    fixture_assert_answer(
        dest,
        "SELECT confrelid::regclass FROM pg_constraint WHERE conrelid = 'a.renamed'::regclass"
        " AND contype = 'f'",
        "\"Other \"\"s\".\"new p\"");
    fixture_assert_answer(dest,
                          "SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid ="
                          " 'b.part_1'::regclass",
                          "b.whole");
    fixture_assert_answer(dest,
                          "SELECT to_regclass('a.p') IS NULL AND to_regtype('a.mood') IS NOT"
                          " NULL",
                          "t");
    free(expected);
    fixture_maps_free(&maps);
    pg_close(source, false);
    pg_close(dest, false);
}

static void excluded_columns_take_along_what_needs_them(void **state)
{
    (void)state;
    struct pg_conn *source = fixture_connect("nasty", "postgres");
    struct pg_conn *dest = fixture_database("excluded");
    struct fixture_maps maps = fixture_maps(source, "n.secret-hidden", "n.everything-mood", NULL);
    fixture_mirror(source, dest, &maps);
    fixture_assert_answer(dest,
                          "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE"
                          " attrelid = 'n.secret'::regclass AND attnum > 0",
                          "id,open,hen");
    fixture_assert_answer(dest,
                          "SELECT string_agg(indexrelid::regclass::text, ',' ORDER BY "
                          "indexrelid::regclass::text) FROM"
                          " pg_index WHERE indrelid = 'n.secret'::regclass",
                          "n.open_idx,n.secret_pkey");
    fixture_assert_answer(
        dest, "SELECT count(*) FROM pg_constraint WHERE conrelid = 'n.secret'::regclass", "1");
    fixture_assert_answer(dest, "SELECT to_regclass('n.everything_lower_mood_num_idx') IS NULL",
                          "t");
    fixture_maps_free(&maps);
    pg_close(source, false);
    pg_close(dest, false);
}

static void columns_say_what_the_stream_needs(void **state)
{
    (void)state;
    struct pg_conn *source = fixture_connect("nasty", "postgres");
    struct fixture_maps maps = fixture_maps(source, "n.*", NULL);
    struct schema *s = fixture_read(source, &maps);
    const struct schema_table *t = schema_find(s, "n", "everything");
    static const char *const text_only[] = {"mood", "moods", "dom", "pair", "ci", "x", "m", "rc"};
    static const char *const binary[] = {"id", "num", "ch", "bits", "at", "ir", "j", "jb", "big"};
    assert_non_null(t);
    for (size_t i = 0; i < t->n_columns; i++) {
        for (size_t k = 0; k < COUNT_OF(text_only); k++)
            if (strcmp(t->columns[i].name, text_only[k]) == 0)
                assert_false(t->columns[i].can_binary);
        for (size_t k = 0; k < COUNT_OF(binary); k++)
            if (strcmp(t->columns[i].name, binary[k]) == 0)
                assert_true(t->columns[i].can_binary);
    }
    t = schema_find(s, "n", "Tab le \" \".x");
    assert_non_null(t);
    assert_int_equal(t->n_key, 2);
    assert_string_equal(t->key[0], "select");
    assert_string_equal(t->key[1], "quo\"te");
    t = schema_find(s, "n", "parted_key_1");
    assert_non_null(t);
    assert_int_equal(t->n_key, 2);
    assert_int_equal(t->n_indexes, 0);
    assert_null(schema_find(s, "n", "v"));
    schema_free(s);
    fixture_maps_free(&maps);
    pg_close(source, false);
}

/* --- a source that never holds still -----------------------------------------------------------
 */

struct restless {
    struct pg_conn *c;
    bool ok;
};
static atomic_bool is_over;

/* Each statement commits; assertions, and the fixture's task, belong to the test's own thread. */
static void *alter(void *arg)
{
    static const char turn[] =
        "DO $$BEGIN FOR i IN 1 .. 40 LOOP EXECUTE format('ALTER TABLE w.t%s ADD n int DEFAULT 1 "
        "CHECK (n > 0)', i % 40); COMMIT; EXECUTE format('CREATE INDEX w%s ON w.t%s ((n + 1))', "
        "i % 40, i % 40); COMMIT; EXECUTE format('ALTER TABLE w.t%s DROP n', i % 40); COMMIT; "
        "END LOOP; END$$";
    struct restless *r = arg;
    struct err err;
    do
        r->ok = pg_exec(r->c, NULL, 20000, turn, NULL, &err);
    while (r->ok && !atomic_load(&is_over));
    return NULL;
}

/* The snapshot has the names of before, and what the server writes down has those of now. */
static void names_that_change_after_the_snapshot_are_not_mixed(void **state)
{
    static const char *const changes[] = {"ALTER TABLE x.t RENAME a TO c; ALTER TABLE x.t RENAME b "
                                          "TO a; ALTER TABLE x.t RENAME c TO b",
                                          "ALTER TABLE x.t RENAME TO other",
                                          "ALTER SCHEMA x RENAME TO y", "DROP TABLE x.t",
                                          "CREATE INDEX ON x.t (a)"};
    (void)state;
    struct pg_conn *c = fixture_database("exchanged");
    struct pg_conn *other = fixture_connect("exchanged", "postgres");
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        struct schema *s = NULL;
        struct err err = {0};
        fixture_exec(c, "DROP SCHEMA IF EXISTS x, y CASCADE; CREATE SCHEMA x; CREATE TABLE x.t (a"
                        " int, b json, g int GENERATED ALWAYS AS (a / 2) STORED)");
        struct fixture_maps maps = fixture_maps(c, "x.t", NULL);
        fixture_exec(c, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class");
        fixture_exec(other, changes[i]);
        bool ok = schema_read(c, &fixture_task, maps.items, maps.n, false, false, true, &s, &err) &&
                  schema_check_names(c, &fixture_task, s, &err);
        assert_int_equal(ok, i == COUNT_OF(changes) - 1);
        assert_int_equal(err.code, ok ? ERR_NONE : ERR_SNAPSHOT_STALE);
        schema_free(s);
        fixture_exec(c, "ROLLBACK");
        fixture_maps_free(&maps);
    }
    pg_close(other, false);
    pg_close(c, false);
}

static void definitions_that_never_hold_still_are_read(void **state)
{
    (void)state;
    struct pg_conn *c = fixture_database("restless");
    struct restless r = {.c = fixture_connect("restless", "postgres")};
    pthread_t thread;
    size_t n_failed = 0;
    struct err err = {0}, last = {0};
    fixture_exec(c,
                 "CREATE SCHEMA w; DO $$BEGIN FOR i IN 0 .. 39 LOOP EXECUTE format('CREATE TABLE "
                 "w.t%s (id int PRIMARY KEY, v int DEFAULT 5)', i); END LOOP; END$$");
    struct fixture_maps maps = fixture_maps(c, "w.*", NULL);
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&thread, NULL, alter, &r), 0);
    for (int i = 0; i < 40; i++) {
        struct schema *s;
        if (schema_read(c, &fixture_task, maps.items, maps.n, true, true, false, &s, &err))
            schema_free(s);
        else
            n_failed++, last = err;
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    fixture_maps_free(&maps);
    pg_close(r.c, false);
    pg_close(c, false);
    assert_true(r.ok);
    if (n_failed)
        fail_msg("%zu failed: %s %s", n_failed, last.sqlstate, last.text);
}

static int start(void **state)
{
    int code = fixture_start(state);
    if (code == 0) {
        struct pg_conn *c = fixture_database("nasty");
        fixture_run_file(c, fixture_path("tests/unit/schema_nasty.sql"));
        fixture_exec(c, "ALTER DATABASE nasty SET quote_all_identifiers = on");
        pg_close(c, false);
    }
    return code;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_equal),
        cmocka_unit_test(sequences_go_on),
        cmocka_unit_test(hard_definitions_are_equal),
        cmocka_unit_test(missing_functions_stop_nothing),
        cmocka_unit_test(other_names_work_everywhere),
        cmocka_unit_test(excluded_columns_take_along_what_needs_them),
        cmocka_unit_test(columns_say_what_the_stream_needs),
        cmocka_unit_test(names_that_change_after_the_snapshot_are_not_mixed),
        cmocka_unit_test(definitions_that_never_hold_still_are_read),
    };
    return cmocka_run_group_tests(tests, start, fixture_stop);
}
