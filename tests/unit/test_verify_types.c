/* A verify job and types: values that are the same are found to be, on whatever server, and values
 * that only just are not are found too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "verify_world.h"

#define TYPES                                                                       \
    "CREATE EXTENSION hstore SCHEMA public; CREATE EXTENSION citext SCHEMA public;" \
    "CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'it''s \"so\"');"                \
    "CREATE TYPE public.two AS (a int, b text);"                                    \
    "CREATE DOMAIN public.positive AS int CHECK (VALUE > 0);"                       \
    "CREATE DOMAIN public.ints AS int[];"                                           \
    "CREATE DOMAIN public.pairs AS public.two;"                                     \
    "CREATE TYPE public.floats AS RANGE (subtype = float8);"

/* Two values of a type, as SQL, that are not the same: many of them only just. */
static const struct sample {
    const char *type, *a, *b;
} samples[] = {
    {"boolean", "true", "false"},
    {"smallint", "-32768", "32767"},
    {"integer", "2147483647", "2147483646"},
    {"bigint", "9223372036854775807", "9223372036854775806"},
    {"numeric", "1.0", "1.00"},
    {"numeric", "'NaN'", "'Infinity'"},
    {"numeric(10,3)", "-9999999.999", "-9999999.998"},
    {"real", "'-0'", "'0'"},
    {"real", "0.1", "0.10000001"},
    {"double precision", "0.1", "0.10000000000000002"},
    {"double precision", "'NaN'", "5e-324"},
    {"money", "'-92233720368547758.08'", "'-92233720368547758.07'"},
    {"text", "''", "NULL"},
    {"text", "'a'", "'a '"},
    {"text", "E'a\\tb\\\\N\\n'", "E'a\\tb\\\\N'"},
    {"text", "'ünï ☃ 𝄞'", "'ünï ☃ 𝄟'"},
    {"text", "repeat('long ', 300000)", "repeat('long ', 300000) || '.'"},
    {"text", "'NULL'", "NULL"},
    {"text", "'a,b'", "'a\",\"b'"},
    {"varchar(10)", "'ab'", "'ab '"},
    {"char(8)", "'ab'", "''"},
    {"\"char\"", "'a'", "''"},
    {"\"char\"", "'\\377'", "'\\376'"},
    {"\"char\"[]", "'{a,\"\"}'", "'{a,b}'"},
    {"name", "'a name'", "'A name'"},
    {"bytea", "''", "NULL"},
    {"bytea", "'\\x00ff5c27'", "'\\x00ff5c28'"},
    {"bytea", "decode(repeat('00ff', 100000), 'hex')", "decode(repeat('00ff', 100001), 'hex')"},
    {"bytea[]", "ARRAY['\\x00'::bytea, '\\xff']", "ARRAY['\\x00'::bytea, NULL]"},
    {"date", "'infinity'", "'-infinity'"},
    {"date", "'4713-01-01 BC'", "'5874897-12-31'"},
    {"time", "'24:00'", "'00:00'"},
    {"time with time zone", "'00:00+15:59'", "'00:00-15:59'"},
    {"timestamp", "'2024-03-31 02:30:00'", "'2024-03-31 02:30:00.000001'"},
    {"timestamp with time zone", "'2024-10-27 02:30:00+01'", "'2024-10-27 02:30:00+02'"},
    {"timestamp with time zone", "'infinity'", "'4713-01-02 00:00+00 BC'"},
    {"interval", "'24 hours'", "'1 day'"},
    {"interval", "'-1 mon -1 day -00:00:00.000001'", "'-1 mon -1 day'"},
    {"uuid", "'00000000-0000-0000-0000-000000000000'", "'00000000-0000-0000-0000-000000000001'"},
    {"json", "'{\"b\":1,\"a\":2}'", "'{\"b\": 1,\"a\":2}'"},
    {"jsonb", "'{\"b\":1.0,\"a\":2}'", "'{\"b\":1.00,\"a\":2}'"},
    {"jsonb", "'null'", "NULL"},
    {"jsonpath", "'$.a[*] ? (@ > 1)'", "'$.a[*] ? (@ > 2)'"},
    {"xml", "'<a b=\"1\">x</a>'", "'<a b=\"1\">y</a>'"},
    {"inet", "'10.0.0.1'", "'10.0.0.1/31'"},
    {"cidr", "'10.0.0.0/8'", "'10.0.0.0/9'"},
    {"macaddr", "'ff:ff:ff:ff:ff:ff'", "'ff:ff:ff:ff:ff:fe'"},
    {"bit(9)", "B'101010101'", "B'101010100'"},
    {"bit varying", "B''", "B'0'"},
    {"tsvector", "'fat:1A cat:2B'", "'fat:1A cat:2C'"},
    {"tsquery", "'fat & rat'", "'fat | rat'"},
    {"point", "'(1.5,-2)'", "'(1.5,-2.0000000000000004)'"},
    {"polygon", "'((0,0),(1,1),(2,0))'", "'((0,0),(2,0),(1,1))'"},
    {"int4range", "'[1,10)'", "'empty'"},
    {"tstzrange", "'[2024-01-01 00:00+00,)'", "'[2024-01-01 00:00+01,)'"},
    {"int8multirange", "'{[1,2],[5,)}'", "'{}'"},
    {"integer[]", "'[0:1]={1,2}'", "'{1,2}'"},
    {"integer[]", "'{{1,2},{3,4}}'", "'{1,2,3,4}'"},
    {"integer[]", "'{1,NULL}'", "'{1}'"},
    {"text[]", "'{NULL}'", "'{\"NULL\"}'"},
    {"timestamptz[]", "'{2024-01-01 00:00+00}'", "'{2024-01-01 00:00+01}'"},
    {"oid", "4294967295", "0"},
    {"pg_lsn", "'FFFFFFFF/FFFFFFFF'", "'0/0'"},
    {"regclass", "'public.t0'", "'public.t1'"},
    {"regtype", "'public.mood'", "'public.two'"},
    {"public.mood", "'sad'", "'ok'"},
    {"public.mood[]", "'{sad,NULL}'", "'{sad}'"},
    {"public.positive", "1", "2"},
    {"public.ints", "'{1}'", "'{}'"},
    {"public.two", "ROW(NULL, NULL)", "NULL"},
    {"public.two", "ROW(1, '')", "ROW(1, NULL)"},
    {"public.two[]", "ARRAY[ROW(1, 'a,b \"c\" (d)')::public.two]", "ARRAY[NULL::public.two]"},
    {"public.pairs", "ROW(1, 'x')", "ROW(2, 'x')"},
    {"public.floats", "'[0.1,1.5)'", "'[0.10000000000000002,1.5)'"},
    {"public.hstore", "'\"k\"=>\"v\", \"n\"=>NULL'", "'\"k\"=>\"v\"'"},
    {"public.citext", "'MiXed'", "'mixed'"},
};

/* Tables t0, t1, …: one for each sample, with values a, b, NULL and a. */
static void make_samples(struct world *w)
{
    struct buf b = {0};
    world_run(w->src, TYPES);
    for (size_t i = 0; i < COUNT_OF(samples); i++)
        buf_printf(&b, "CREATE TABLE public.t%zu (id int PRIMARY KEY, v %s);", i, samples[i].type);
    for (size_t i = 0; i < COUNT_OF(samples); i++)
        buf_printf(&b,
                   "INSERT INTO public.t%zu VALUES (1, %s); INSERT INTO public.t%zu VALUES (2, %s);"
                   "INSERT INTO public.t%zu VALUES (3, NULL), (4, %s);",
                   i, samples[i].a, i, samples[i].b, i, samples[i].a);
    world_run(w->src, buf_text(&b));
    buf_free(&b);
}

/* Every type: nothing is found while all is equal, and exactly the one row that is not. */
static void find_one_of_each(const char *dest_extra)
{
    struct world w;
    struct verify_report r;
    world_open(&w, "", dest_extra);
    make_samples(&w);
    world_mirror(&w);
    world_verify(&w, &r);
    assert_int_equal(r.n_tables, COUNT_OF(samples));
    for (size_t i = 0; i < r.n_tables; i++)
        assert_table(&r, r.tables[i].source_table, VERIFY_EQUAL, 4, 0, 0, 0);
    verify_report_free(&r);
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        char *sql = mem_printf("UPDATE public.t%zu SET v = %s WHERE id = 4", i, samples[i].b);
        world_run(w.dst, sql);
        free(sql);
    }
    world_verify(&w, &r);
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        char name[16];
        str_printf(name, sizeof name, "t%zu", i);
        assert_table(&r, name, VERIFY_DIFFERENT, 3, 1, 0, 0);
        assert_int_equal(count_named(found(&r, name), VERIFY_DIFFERING, "4"), 1);
        assert_string_equal(found(&r, name)->key[0], "id");
    }
    verify_report_free(&r);
    world_close(&w);
}

static void test_every_type_whatever_the_servers_settings(void **state)
{
    (void)state;
    find_one_of_each(ICU);
}

/* "char" above 127 cannot be had in LATIN1 as text; all else is the same by another way to hash. */
static void test_another_encoding(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    world_open(&w, "ENCODING LATIN1 LOCALE 'C'", "");
    world_run(w.src, "CREATE TABLE public.\"tàble\" (\"clé\" text, n int, v text, PRIMARY KEY "
                     "(\"clé\", n)); INSERT INTO public.\"tàble\" SELECT 'é' || i, i, 'déjà vu ÿ£' "
                     "FROM generate_series(1, 3000) i;"
                     "CREATE TABLE public.plain (v text); INSERT INTO public.plain "
                     "SELECT 'ß' || i % 500 FROM generate_series(1, 3000) i;"
                     "CREATE TABLE public.numbers (id bigint PRIMARY KEY); "
                     "INSERT INTO public.numbers SELECT generate_series(1, 3000);"
                     "ANALYZE");
    world_mirror(&w);
    world_verify(&w, &r);
    assert_table(&r, "tàble", VERIFY_EQUAL, 3000, 0, 0, 0);
    assert_table(&r, "plain", VERIFY_EQUAL, 3000, 0, 0, 0);
    assert_table(&r, "numbers", VERIFY_EQUAL, 3000, 0, 0, 0);
    verify_report_free(&r);
    world_run(w.dst, "UPDATE public.\"tàble\" SET v = 'déjà vu y£' WHERE n = 77;"
                     "DELETE FROM public.\"tàble\" WHERE n = 5;"
                     "UPDATE public.plain SET v = 'ss1' WHERE ctid = (SELECT ctid FROM "
                     "public.plain WHERE v = 'ß1' LIMIT 1);"
                     "INSERT INTO public.numbers VALUES (0)");
    world_verify(&w, &r);
    assert_table(&r, "tàble", VERIFY_DIFFERENT, 2998, 1, 1, 0);
    assert_int_equal(count_named(found(&r, "tàble"), VERIFY_DIFFERING, "é77|77"), 1);
    assert_int_equal(count_named(found(&r, "tàble"), VERIFY_MISSING, "é5|5"), 1);
    assert_table(&r, "plain", VERIFY_DIFFERENT, 2999, 0, 1, 1);
    assert_int_equal(count_named(found(&r, "plain"), VERIFY_MISSING, "(ß1)"), 1);
    assert_int_equal(count_named(found(&r, "plain"), VERIFY_EXTRA, "(ss1)"), 1);
    assert_table(&r, "numbers", VERIFY_DIFFERENT, 3000, 0, 0, 1);
    verify_report_free(&r);
    world_close(&w);
}

/* What the destination makes of a value is right; anything else is not. */
static const struct widened {
    const char *source, *dest, *values, *wrong;
} widened[] = {
    {"int", "bigint", "1), (-2147483648", "2"},
    {"smallint", "numeric", "1), (-5", "1.0"},
    {"varchar(5)", "text", "'ab '), (''", "'ab'"},
    {"varchar(5)", "varchar(50)", "'abcde'), (''", "'abcdef'"},
    {"text", "varchar(5)", "'ab'), ('abcde'", "'abcd'"},
    {"char(5)", "text", "'ab'), (''", "'ab'"},
    {"char(5)", "char(8)", "'ab'), (''", "'abc'"},
    {"text", "char(8)", "'ab'), (''", "'b'"},
    {"real", "double precision", "0.1), ('NaN'", "0.1::real"},
    {"numeric(10,4)", "numeric(10,2)", "1.5), (-2.2500", "1.51"},
    {"timestamp", "timestamp with time zone", "'2024-01-01 12:00'), ('infinity'",
     "'2024-01-01 12:00+01'"},
    {"json", "jsonb", "'{\"b\":1, \"a\" :  [1,2 ,null]}'), ('1'", "'{\"b\":1}'"},
    {"public.mood", "text", "'sad'), ('ok'", "'Sad'"},
    {"text", "public.mood", "'sad'), ('ok'", "'ok'"},
    {"boolean", "text", "true), (false", "'true'"},
    {"public.positive", "int", "1), (2", "3"},
    {"int", "public.positive", "1), (2", "3"},
    {"text", "public.citext", "'MiXed'), ('a'", "'mixed'"},
    {"text", "public.hstore", "'a=>1'), ('\"b\"=>NULL'", "'a=>2'"},
    {"text", "integer[]", "'{ 1 , 2}'), ('{}'", "'{2,1}'"},
    {"integer[]", "bigint[]", "'[0:1]={1,2}'), ('{}'", "'{1,2}'"},
    {"text", "bytea", "'\\x00ff'), ('\\x'", "'\\x00fe'"},
    {"text", "inet", "'10.0.0.1/32'), ('::1'", "'10.0.0.2'"},
    {"date", "timestamp", "'2024-01-01'), ('infinity'", "'2024-01-01 00:00:01'"},
};

static void test_columns_of_another_type_at_the_destination(void **state)
{
    (void)state;
    struct world w;
    struct verify_report r;
    struct buf source = {0}, dest = {0}, damage = {0};
    world_open(&w, "", ICU);
    buf_puts(&source, TYPES);
    buf_puts(&dest, TYPES);
    for (size_t i = 0; i < COUNT_OF(widened); i++) {
        const struct widened *c = &widened[i];
        buf_printf(&source,
                   "CREATE TABLE public.t%zu (id serial PRIMARY KEY, v %s);"
                   "INSERT INTO public.t%zu (v) VALUES (%s), (NULL);",
                   i, c->source, i, c->values);
        buf_printf(&dest, "CREATE TABLE public.t%zu (id bigint, v %s);", i, c->dest);
        buf_printf(&damage, "UPDATE public.t%zu SET v = %s WHERE id = 1;", i, c->wrong);
    }
    world_run(w.src, buf_text(&source));
    world_run(w.dst, buf_text(&dest));
    world_mirror(&w);
    world_verify(&w, &r);
    for (size_t i = 0; i < r.n_tables; i++)
        assert_table(&r, r.tables[i].source_table, VERIFY_EQUAL, 3, 0, 0, 0);
    verify_report_free(&r);
    world_run(w.dst, buf_text(&damage));
    world_verify(&w, &r);
    assert_int_equal(r.n_tables, COUNT_OF(widened));
    for (size_t i = 0; i < r.n_tables; i++) {
        assert_table(&r, r.tables[i].source_table, VERIFY_DIFFERENT, 2, 1, 0, 0);
        assert_int_equal(count_named(&r.tables[i], VERIFY_DIFFERING, "1"), 1);
    }
    verify_report_free(&r);
    buf_free(&source);
    buf_free(&dest);
    buf_free(&damage);
    world_close(&w);
}

/* An argument chooses tests: a name, with * for any text. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_whatever_the_servers_settings),
        cmocka_unit_test(test_another_encoding),
        cmocka_unit_test(test_columns_of_another_type_at_the_destination),
    };
    servers_start();
    atexit(servers_stop);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
