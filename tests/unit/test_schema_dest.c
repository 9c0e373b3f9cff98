/* Promise: mappings are refused with all reasons at once, a destination that does not fit is told
 * apart before anything is made, and what is there already is left alone. */
#include "tests/unit/schema_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static struct pg_conn *source;

static bool resolve(struct err *err, const char *a, const char *b, const char *c)
{
    const char *texts[] = {a, b, c};
    struct table_map asked[3], *out = NULL;
    size_t n = 0, n_out = 0;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (texts[i])
            asked[n++] = fixture_map(texts[i]);
    bool ok = schema_resolve_maps(source, &fixture_task, asked, n, &out, &n_out, err);
    for (size_t i = 0; i < n; i++)
        table_map_free(&asked[i]);
    struct fixture_maps maps = {.items = out, .n = n_out};
    fixture_maps_free(&maps);
    return ok;
}

static void mappings_are_refused_with_all_reasons(void **state)
{
    (void)state;
    struct err err = {0};
    fixture_assert_error(resolve(&err, "public.nope", "nowhere.neither", "public.v"), &err,
                         ERR_SOURCE_TABLE, "public.nope", "nowhere.neither", "public.v: a view",
                         NULL);
    fixture_assert_error(resolve(&err, "public.one", "public.one>b.two", NULL), &err, ERR_INVALID,
                         "mapped twice", NULL);
    fixture_assert_error(resolve(&err, "public.one", "public.two>public.one", NULL), &err,
                         ERR_INVALID, "both go to public.one", NULL);
    fixture_assert_error(resolve(&err, "public.*>b.one", NULL, NULL), &err, ERR_INVALID,
                         "one table", NULL);
    fixture_assert_error(resolve(&err, "public.one-nope", NULL, NULL), &err, ERR_SOURCE_TABLE,
                         "no column nope", NULL);
    fixture_assert_error(resolve(&err, "pg_catalog.pg_class", NULL, NULL), &err, ERR_SOURCE_TABLE,
                         "system table", NULL);
    assert_true(resolve(&err, "public.*", "public.one-a", NULL));
}

static void star_takes_each_table_once(void **state)
{
    (void)state;
    struct fixture_maps m = fixture_maps(source, "public.*", "public.one>b.mine", NULL);
    size_t ones = 0;
    for (size_t i = 0; i < m.n; i++) {
        assert_string_not_equal(m.items[i].source_table, "parts_1");
        if (strcmp(m.items[i].source_table, "one") == 0) {
            ones++;
            assert_string_equal(m.items[i].dest_table, "mine");
        } else {
            assert_string_equal(m.items[i].dest_table, m.items[i].source_table);
        }
    }
    assert_int_equal(ones, 1);
    assert_int_equal(m.n, 4); /* one, two, parts, moody */
    struct schema *s = fixture_read(source, &m);
    assert_int_equal(s->n_tables, 5); /* and parts_1 */
    schema_free(s);
    fixture_maps_free(&m);
}

/* Each partition goes where its schema goes, and a schema may have nothing else. */
static void partitions_of_other_schemas_stay_there(void **state)
{
    (void)state;
    struct pg_conn *c = fixture_database("partitions_apart");
    fixture_exec(c, "CREATE SCHEMA a; CREATE SCHEMA b; CREATE SCHEMA c; CREATE SCHEMA d;"
                    "CREATE TABLE a.p (k int) PARTITION BY LIST (k); CREATE TABLE c.other (i int);"
                    "CREATE TABLE a.x PARTITION OF a.p FOR VALUES IN (1);"
                    "CREATE TABLE b.x PARTITION OF a.p FOR VALUES IN (2);"
                    "CREATE TABLE c.x PARTITION OF a.p FOR VALUES IN (3);"
                    "CREATE TABLE d.x PARTITION OF a.p FOR VALUES IN (4)");
    struct fixture_maps m = fixture_maps(c, "a.p>away.p", "b.*", "c.other>elsewhere.other", NULL);
    struct schema *s = fixture_read(c, &m);
    static const char *const homes[] = {"away", "b", "elsewhere", "d"}, *const names[] = {"a", "b",
                                                                                          "c", "d"};
    assert_int_equal(m.n, 2);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_string_equal(schema_find(s, names[i], "x")->dest_schema, homes[i]);
    schema_free(s);
    fixture_maps_free(&m);
    pg_close(c, false);
}

/* Without the function or operator class of its key there is no place for its rows: said before
 * anything is made. */
static void what_a_partition_key_needs_and_is_missing_is_named(void **state)
{
    (void)state;
    static const char function[] =
        "CREATE SCHEMA s; CREATE FUNCTION s.\"F\"(int) RETURNS int IMMUTABLE LANGUAGE sql AS"
        " 'SELECT $1 % 3'; CREATE FUNCTION s.h(int, int8) RETURNS int8 IMMUTABLE LANGUAGE sql AS"
        " 'SELECT $1 + $2'; CREATE OPERATOR CLASS s.ops FOR TYPE int4 USING hash AS OPERATOR 1 =,"
        " FUNCTION 2 s.h(int, int8)";
    struct pg_conn *c = fixture_database("keyed_by_function");
    struct pg_conn *d = fixture_database("copy_of_keyed_by_function");
    fixture_exec(c, function);
    fixture_exec(c, "CREATE TABLE s.p (k int) PARTITION BY LIST (s.\"F\"(k));"
                    "CREATE TABLE s.p1 PARTITION OF s.p DEFAULT; INSERT INTO s.p VALUES (1);"
                    "CREATE TABLE s.q (k int) PARTITION BY HASH (k s.ops);"
                    "CREATE TABLE s.q1 PARTITION OF s.q FOR VALUES WITH (MODULUS 1, REMAINDER 0)");
    struct fixture_maps m = fixture_maps(c, "s.*", NULL);
    struct schema *s = fixture_read(c, &m);
    struct err err = {0};
    bool worked = schema_create(d, &fixture_task, s, true, "test", &err);
    fixture_assert_error(worked, &err, ERR_SCHEMA, "s.p", "function s.\"F\"", "s.q",
                         "operator class s.ops", NULL);
    fixture_assert_answer(d, "SELECT to_regnamespace('s') IS NULL", "t");
    schema_free(s);
    fixture_exec(d, function);
    fixture_mirror(c, d, &m);
    fixture_maps_free(&m);
    pg_close(c, false);
    pg_close(d, false);
}

static struct schema *read_all(void)
{
    struct fixture_maps maps = fixture_maps(source, "public.*", NULL);
    struct schema *s = fixture_read(source, &maps);
    fixture_maps_free(&maps);
    return s;
}

static void missing_tables_are_named(void **state)
{
    (void)state;
    struct pg_conn *dest = fixture_database("missing");
    struct schema *s = read_all();
    struct err err = {0};
    fixture_exec(dest, "CREATE TABLE public.two (b int PRIMARY KEY, a int)");
    fixture_assert_error(schema_create(dest, &fixture_task, s, false, "test", &err), &err,
                         ERR_TABLE_MISSING, "public.one", "public.parts", "public.moody", NULL);
    assert_null(strstr(err.text, "public.two"));
    schema_free(s);
    pg_close(dest, false);
}

static void all_misfits_are_named_and_nothing_is_made(void **state)
{
    (void)state;
    struct pg_conn *dest = fixture_database("misfit");
    struct schema *s = read_all();
    struct err err = {0};
    fixture_exec(dest, "CREATE TYPE public.mood AS ENUM ('sad');"
                       "CREATE TABLE public.one (id int GENERATED ALWAYS AS IDENTITY, extra int"
                       " NOT NULL, fine int NOT NULL DEFAULT 1, t text GENERATED ALWAYS AS ('x')"
                       " STORED);"
                       "CREATE TABLE public.parts (k int);"
                       "CREATE VIEW public.moody AS SELECT 1;"
                       "CREATE TABLE public.two_a_idx ()");
    fixture_assert_error(
        schema_create(dest, &fixture_task, s, true, "test", &err), &err, ERR_SCHEMA, "lacks",
        "not so happy", "public.one has no column a", "identity column id", "column extra",
        "column t of public.one is generated", "public.parts exists and is not partitioned",
        "public.moody exists and is not a table", "two_a_idx is taken", NULL);
    assert_null(strstr(err.text, "fine"));
    fixture_assert_answer(dest, "SELECT to_regclass('public.two') IS NULL", "t");
    schema_free(s);
    pg_close(dest, false);
}

static void what_is_there_is_left_alone(void **state)
{
    (void)state;
    struct pg_conn *dest = fixture_database("there");
    struct fixture_maps maps = fixture_maps(source, "public.*", NULL);
    struct err err = {0};
    fixture_exec(dest,
                 "CREATE TABLE public.two (own aclitem, b bigint, a int, CONSTRAINT mine PRIMARY"
                 " KEY (b)); CREATE INDEX two_a_idx ON public.two (a)");
    struct schema *s = fixture_read(source, &maps);
    assert_int_equal(schema_find(s, "public", "two")->n_indexes, 2);
    assert_true(schema_create(dest, &fixture_task, s, true, "test", &err));
    const struct schema_table *two = schema_find(s, "public", "two");
    assert_int_equal(two->n_indexes, 0);
    assert_string_equal(two->columns[0].name, "b");
    assert_false(two->columns[0].can_binary); /* int there, bigint here */
    assert_true(two->columns[1].can_binary);
    assert_true(two->is_text_only);
    assert_false(schema_find(s, "public", "one")->is_text_only);
    assert_int_equal(schema_find(s, "public", "one")->n_indexes, 1);
    schema_free(s);
    /* A second time nothing is left to do. */
    fixture_mirror(source, dest, &maps);
    s = fixture_read(source, &maps);
    assert_true(schema_create(dest, &fixture_task, s, true, "test", &err));
    for (size_t i = 0; i < s->n_tables; i++)
        assert_int_equal(s->tables[i].n_indexes + s->tables[i].n_fkeys, 0);
    schema_free(s);
    fixture_maps_free(&maps);
    pg_close(dest, false);
}

static void a_destination_table_is_described(void **state)
{
    (void)state;
    struct dest_table t;
    struct err err = {0};
    struct pg_conn *dest = fixture_database("described");
    fixture_exec(dest, "CREATE TYPE public.e AS ENUM ('a'); CREATE DOMAIN public.d AS json;"
                       "CREATE TABLE public.\"T\" (a int, b varchar(3), j json, ja json[], p point,"
                       " x public.e[], d public.d, r int4range, g int GENERATED ALWAYS AS (a)"
                       " STORED, v oidvector, PRIMARY KEY (b, a))");
    static const char equal[] = "1100010111";
    assert_true(schema_read_dest(dest, &fixture_task, "public", "T", &t, &err));
    assert_true(t.exists);
    assert_int_equal(t.n_columns, sizeof equal - 1);
    for (size_t i = 0; i < t.n_columns; i++)
        if (t.columns[i].has_equality != (equal[i] == '1'))
            fail_msg("%s", t.columns[i].name);
    assert_string_equal(t.columns[1].type, "character varying(3)");
    assert_true(t.columns[8].is_generated);
    assert_int_equal(t.n_key, 2);
    assert_string_equal(t.key[0], "b");
    dest_table_free(&t);
    assert_true(schema_read_dest(dest, &fixture_task, "public", "t", &t, &err));
    assert_false(t.exists);
    dest_table_free(&t);
    pg_close(dest, false);
}

static void tables_are_listed(void **state)
{
    (void)state;
    struct peer_table_list l;
    struct err err = {0};
    assert_true(schema_list_tables(source, &fixture_task, &l, &err));
    assert_int_equal(l.n, 4);
    assert_string_equal(l.items[0].table, "moody");
    assert_false(l.items[0].can_mirror);
    assert_non_null(strstr(l.items[0].reason, "replica identity"));
    assert_string_equal(l.items[2].kind, "partitioned table");
    assert_true(l.items[1].can_mirror && l.items[1].has_primary_key);
    assert_int_equal(l.items[1].estimated_rows, 3);
    assert_true(l.items[1].bytes > 0);
    peer_table_list_free(&l);
}

static int start(void **state)
{
    int code = fixture_start(state);
    if (code)
        return code;
    source = fixture_database("source");
    fixture_exec(source, "CREATE TYPE public.mood AS ENUM ('sad', 'not so happy');"
                         "CREATE TABLE public.one (id int PRIMARY KEY, a int, t text);"
                         "INSERT INTO public.one VALUES (1), (2), (3);"
                         "CREATE TABLE public.two (b int PRIMARY KEY, a int REFERENCES public.one);"
                         "CREATE INDEX two_a_idx ON public.two (a);"
                         "CREATE TABLE public.parts (k int PRIMARY KEY) PARTITION BY LIST (k);"
                         "CREATE TABLE public.parts_1 PARTITION OF public.parts DEFAULT;"
                         "CREATE TABLE public.moody (m public.mood);"
                         "CREATE VIEW public.v AS SELECT 1;"
                         "ANALYZE public.one");
    return 0;
}

static int stop(void **state)
{
    pg_close(source, false);
    return fixture_stop(state);
}

/* In whatever is around it; what was dropped does not count. */
static void values_go_by_the_order_of_their_parts(void **state)
{
    static const struct {
        const char *there, *words[3]; /* none: it fits */
    } cases[] = {
        {"CREATE TABLE a (x text, id int)", {"column v of public.b", "(x text, id integer)"}},
        {"CREATE TABLE a (id int, k int, x text)", {"column w of public.b", "DROP COLUMN \"k\""}},
        {"CREATE TABLE a (id int, x varchar(3))", {"…, x character varying(3)"}},
        {"CREATE TABLE a (id int, k int, x text); ALTER TABLE a DROP k", {NULL}},
        {"CREATE TABLE a (id bigint, x text)", {NULL}},
        {"CREATE TABLE a (id int, x text); CREATE TYPE c AS (r a[], n int)",
         {"values of public.c", "has to be made"}},
        {"CREATE TABLE a (id int, x text); CREATE DOMAIN d AS a; CREATE TYPE c AS (n int, r d[]);"
         "CREATE TABLE b (w c, v a)",
         {NULL}},
    };
    (void)state;
    struct pg_conn *from = fixture_database("rows_from");
    fixture_exec(from,
                 "CREATE TABLE public.a (id int, gone int, x text); ALTER TABLE public.a DROP "
                 "gone; CREATE DOMAIN public.d AS public.a; CREATE TYPE public.c AS (n int, "
                 "r public.d[]); CREATE TABLE public.b (v public.a, w public.c)");
    struct fixture_maps m = fixture_maps(from, "public.*", NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char name[20];
        struct err err = {0};
        str_printf(name, sizeof name, "rows_to_%zu", i);
        struct pg_conn *to = fixture_database(name);
        fixture_exec(to, "SET search_path = public");
        fixture_exec(to, cases[i].there);
        fixture_exec(to, "SET search_path = ''");
        struct schema *s = fixture_read(from, &m);
        bool worked = schema_create(to, &fixture_task, s, true, "test", &err);
        const char *const *w = cases[i].words;
        if (w[0])
            fixture_assert_error(worked, &err, ERR_SCHEMA, w[0], w[1] ? w[1] : w[0], NULL);
        else if (!worked)
            fail_msg("%s: %s", cases[i].there, err.text);
        schema_free(s);
        pg_close(to, false);
    }
    fixture_maps_free(&m);
    pg_close(from, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mappings_are_refused_with_all_reasons),
        cmocka_unit_test(star_takes_each_table_once),
        cmocka_unit_test(partitions_of_other_schemas_stay_there),
        cmocka_unit_test(what_a_partition_key_needs_and_is_missing_is_named),
        cmocka_unit_test(missing_tables_are_named),
        cmocka_unit_test(all_misfits_are_named_and_nothing_is_made),
        cmocka_unit_test(what_is_there_is_left_alone),
        cmocka_unit_test(values_go_by_the_order_of_their_parts),
        cmocka_unit_test(a_destination_table_is_described),
        cmocka_unit_test(tables_are_listed),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
