/* The SQL of each kind of change, for each kind of key and destination, and the order of its
 * parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "stream/target.h"
#include "tests/unit/stream_samples.h"

#define OID 7

static struct sample relation, s;
static struct schema_table table;
static struct dest_table dest;
static struct target *t;
static struct err e;

/* --- short ways ------------------------------------------------------------------------------- */

static char *own(const char *text)
{
    return mem_strdup(text);
}

/* A destination d.t with these columns, "name type" each, and this primary key. */
static void destination(struct sample_row columns, struct sample_row key)
{
    dest = (struct dest_table){.exists = true, .n_columns = columns.n, .n_key = key.n};
    dest.columns = mem_calloc(columns.n, sizeof *dest.columns);
    dest.key = mem_calloc(key.n, sizeof *dest.key);
    for (size_t i = 0; i < columns.n; i++) {
        const char *blank = strrchr(columns.values[i], ' ');
        dest.columns[i].name = mem_strdup(columns.values[i]);
        dest.columns[i].name[blank - columns.values[i]] = '\0';
        dest.columns[i].type = own(blank + 1);
        dest.columns[i].equals = own("=");
    }
    for (size_t i = 0; i < key.n; i++)
        dest.key[i] = own(key.values[i]);
    table = (struct schema_table){.dest_schema = own("d"), .dest_name = own("t")};
}

static void exclude(const char *column)
{
    table.columns = mem_calloc(1, sizeof *table.columns);
    table.columns[0] = (struct schema_column){.name = own(column), .is_excluded = true};
    table.n_columns = 1;
}

static bool bind(struct sample_row columns)
{
    return target_bind(sample_relation(&relation, OID, "s", columns), &table, 3, &dest, 5, &t, &e);
}

static int forget(void **state)
{
    (void)state;
    target_free(t);
    t = NULL;
    dest_table_free(&dest);
    free(table.dest_schema);
    free(table.dest_name);
    if (table.n_columns)
        free(table.columns[0].name);
    free(table.columns);
    e = (struct err){0};
    return 0;
}

/* The change's statement is sql, and its parameters are these. */
static void assert_sql(const struct pgo_message *m, const char *sql, struct sample_row params)
{
    const char *values[2 * SAMPLE_WIDTH];
    bool is_new;
    const struct target_statement *st = target_statement_for(t, m, &is_new, &e);
    if (!st)
        fail_msg("%s", e.text);
    assert_string_equal(st->sql, sql);
    assert_int_equal(target_params(t, st, m, values), params.n);
    assert_int_equal(st->n_params, params.n);
    for (size_t i = 0; i < params.n; i++)
        if (params.values[i])
            assert_string_equal(values[i], params.values[i]);
        else
            assert_null(values[i]);
}

static void assert_no_sql(const struct pgo_message *m, enum err_code code, const char *word)
{
    bool is_new;
    assert_null(target_statement_for(t, m, &is_new, &e));
    assert_int_equal(e.code, code);
    assert_false(is_new);
    if (!strstr(e.text, word))
        fail_msg("no %s in: %s", word, e.text);
}

static void assert_no_bind(struct sample_row columns, enum err_code code, const char *word)
{
    assert_false(bind(columns));
    assert_int_equal(e.code, code);
    if (!strstr(e.text, word) || !e.hint[0])
        fail_msg("no %s in: %s (%s)", word, e.text, e.hint);
}

/* --- keys ------------------------------------------------------------------------------------- */

static void a_plain_key(void **state)
{
    (void)state;
    destination(ROW("id integer", "v text"), ROW("id"));
    assert_true(bind(ROW("*id", "v")));
    assert_int_equal(t->table, 3);
    assert_string_equal(t->source, "public.s");
    assert_string_equal(t->dest, "\"d\".\"t\"");
    assert_sql(sample_insert(&s, OID, ROW("1", NULL)),
               "INSERT INTO \"d\".\"t\" (\"id\", \"v\") OVERRIDING SYSTEM VALUE VALUES ($1, $2)",
               ROW("1", NULL));
    assert_sql(sample_update(&s, OID, 0, NO_ROW, ROW("1", "x")),
               "UPDATE ONLY \"d\".\"t\" t SET \"id\" = $1, \"v\" = $2 WHERE t.\"id\" = $3::integer",
               ROW("1", "x", "1"));
    assert_sql(sample_delete(&s, OID, 'K', ROW("2", NULL)),
               "DELETE FROM ONLY \"d\".\"t\" t WHERE t.\"id\" = $1::integer", ROW("2"));
}

static void a_composite_key_in_the_streams_order(void **state)
{
    (void)state;
    destination(ROW("b bigint", "v text", "a integer"), ROW("b", "a"));
    assert_true(bind(ROW("*a", "v", "*b")));
    assert_sql(sample_insert(&s, OID, ROW("1", "x", "2")),
               "INSERT INTO \"d\".\"t\" (\"a\", \"v\", \"b\") OVERRIDING SYSTEM VALUE VALUES ($1, "
               "$2, $3)",
               ROW("1", "x", "2"));
    assert_sql(sample_update(&s, OID, 0, NO_ROW, ROW("1", "x", "2")),
               "UPDATE ONLY \"d\".\"t\" t SET \"a\" = $1, \"v\" = $2, \"b\" = $3 WHERE t.\"a\" = "
               "$4::integer AND t.\"b\" = $5::bigint",
               ROW("1", "x", "2", "1", "2"));
    assert_sql(sample_delete(&s, OID, 'K', ROW("1", NULL, "2")),
               "DELETE FROM ONLY \"d\".\"t\" t WHERE t.\"a\" = $1::integer AND t.\"b\" = "
               "$2::bigint",
               ROW("1", "2"));
}

static void a_key_change_looks_for_the_old_key(void **state)
{
    (void)state;
    destination(ROW("id integer", "v text"), ROW("id"));
    assert_true(bind(ROW("*id", "v")));
    assert_sql(sample_update(&s, OID, 'K', ROW("1", NULL), ROW("2", sample_unchanged)),
               "UPDATE ONLY \"d\".\"t\" t SET \"id\" = $1 WHERE t.\"id\" = $2::integer",
               ROW("2", "1"));
}

static void no_key_is_an_error(void **state)
{
    (void)state;
    destination(ROW("id integer", "v text"), ROW("id"));
    assert_true(bind(ROW("id", "v")));
    assert_no_sql(sample_update(&s, OID, 0, NO_ROW, ROW("1", "x")), ERR_IDENTITY, "public.s");
    assert_non_null(strstr(e.hint, "REPLICA IDENTITY FULL"));
    target_free(t);
    assert_true(bind(ROW("*id", "v")));
    assert_no_sql(sample_update(&s, OID, 0, NO_ROW, ROW(sample_unchanged, "x")), ERR_IDENTITY,
                  "id");
    assert_no_sql(sample_insert(&s, OID, ROW("1")), ERR_PROTOCOL, "public.s");
    assert_no_sql(sample_update(&s, OID, 'K', ROW("1"), ROW("1", "x")), ERR_PROTOCOL, "public.s");
    assert_no_sql(sample_delete(&s, OID, 'K', ROW("1", "x", "y")), ERR_PROTOCOL, "public.s");
}

/* --- unchanged TOAST -------------------------------------------------------------------------- */

static void unchanged_values_are_not_written(void **state)
{
    (void)state;
    bool is_new;
    const struct target_statement *one, *two, *again;
    destination(ROW("id integer", "v text", "w text"), ROW("id"));
    assert_true(bind(ROW("*id", "v", "w")));
    assert_sql(sample_update(&s, OID, 0, NO_ROW, ROW("1", sample_unchanged, "w")),
               "UPDATE ONLY \"d\".\"t\" t SET \"id\" = $1, \"w\" = $2 WHERE t.\"id\" = $3::integer",
               ROW("1", "w", "1"));
    one = target_statement_for(t, &s.m, &is_new, &e);
    assert_false(is_new);
    two = target_statement_for(
        t, sample_update(&s, OID, 0, NO_ROW, ROW("1", "v", sample_unchanged)), &is_new, &e);
    assert_true(is_new);
    assert_ptr_not_equal(one, two);
    assert_string_not_equal(one->name, two->name);
    again = target_statement_for(
        t, sample_update(&s, OID, 0, NO_ROW, ROW("2", sample_unchanged, NULL)), &is_new, &e);
    assert_ptr_equal(one, again);
    assert_false(is_new);
}

/* --- REPLICA IDENTITY FULL -------------------------------------------------------------------- */

static void a_whole_old_row_by_the_destinations_key(void **state)
{
    (void)state;
    destination(ROW("id integer", "v text"), ROW("id"));
    assert_true(bind(ROW("*id", "*v")));
    assert_sql(sample_update(&s, OID, 'O', ROW("1", "a"), ROW("2", "b")),
               "UPDATE ONLY \"d\".\"t\" t SET \"id\" = $1, \"v\" = $2 WHERE t.\"id\" = $3::integer",
               ROW("2", "b", "1"));
    assert_sql(sample_delete(&s, OID, 'O', ROW("1", "a")),
               "DELETE FROM ONLY \"d\".\"t\" t WHERE t.\"id\" = $1::integer", ROW("1"));
}

#define LIKE(only, left, operation, right, type)                                                 \
    "(SELECT x.ctid AS c, x.tableoid AS o FROM " only "\"d\".\"t\" x WHERE ROW(" left ")::" type \
    " OPERATOR(pg_catalog." operation ") ROW(" right ")::" type " LIMIT 1)"
#define EITHER(only, left, right)                                   \
    "(" LIKE(only, left, "*=", right, "record") " UNION ALL " LIKE( \
        only, left, "=", right, "text") " LIMIT 1) f WHERE t.ctid = f.c AND t.tableoid = f.o"
#define IMAGE(only, n, m) EITHER(only, "x.\"id\", x.\"v\"", "$" n "::integer, $" m "::json")

static void a_whole_old_row_without_a_key_names_one_row(void **state)
{
    (void)state;
    destination(ROW("id integer", "v json"), NO_ROW);
    assert_true(bind(ROW("*id", "*v")));
    assert_sql(
        sample_update(&s, OID, 'O', ROW("1", NULL), ROW("2", "{}")),
        "UPDATE ONLY \"d\".\"t\" t SET \"id\" = $1, \"v\" = $2 FROM " IMAGE("ONLY ", "3", "4"),
        ROW("2", "{}", "1", NULL));
    assert_sql(sample_delete(&s, OID, 'O', ROW("1", "{}")),
               "DELETE FROM ONLY \"d\".\"t\" t USING " IMAGE("ONLY ", "1", "2"), ROW("1", "{}"));
}

/* By columns that can be compared, those with an index first; NULL is equal to nothing. */
static void a_whole_old_row_is_looked_for_by_what_an_index_finds(void **state)
{
    (void)state;
    destination(ROW("id integer", "v json", "n text"), NO_ROW);
    dest.columns[0].has_equality = dest.columns[2].has_equality = true;
    dest.columns[2].is_indexed = true;
    assert_true(bind(ROW("*id", "*v", "*n")));
    assert_int_equal(t->n_narrow, 2);
    assert_int_equal(t->narrow[0], 2);
#define SEARCH(key, type, operation)                                                \
    "SELECT x.ctid AS c, x.tableoid AS o FROM ONLY \"d\".\"t\" x WHERE " key        \
    "ROW(x.\"id\", x.\"v\", x.\"n\")::" type " OPERATOR(pg_catalog." operation ") " \
    "ROW($1::integer, $2::json, $3::text)::" type " LIMIT 1"
#define SEARCHES(key)                                                                             \
    "DELETE FROM ONLY \"d\".\"t\" t USING ((" SEARCH(key, "record", "*=") ") UNION ALL (" SEARCH( \
        key, "text", "=") ") LIMIT 1) f WHERE t.ctid = f.c AND t.tableoid = f.o"
    assert_sql(sample_delete(&s, OID, 'O', ROW("1", "{}", "x")),
               SEARCHES("x.\"id\" = $1::integer AND x.\"n\" = $3::text AND "), ROW("1", "{}", "x"));
    assert_sql(sample_delete(&s, OID, 'O', ROW("1", "{}", NULL)),
               SEARCHES("x.\"id\" = $1::integer AND "), ROW("1", "{}", NULL));
    assert_sql(sample_delete(&s, OID, 'O', ROW(NULL, "{}", NULL)), SEARCHES(""),
               ROW(NULL, "{}", NULL));
    dest.columns[0].is_moved = true;
    target_free(t);
    assert_true(bind(ROW("*id", "*v", "*n")));
    assert_int_equal(t->n_narrow, 1);
}

/* Rows that exchange their keys share one meanwhile: it leads to them, and the image decides. */
static void a_deferrable_key_only_narrows_the_search(void **state)
{
    (void)state;
    destination(ROW("id ext.citext", "v text"), ROW("id"));
    dest.is_key_deferrable = true;
    free(dest.columns[0].equals);
    dest.columns[0].equals = own("OPERATOR(ext.=)");
    assert_true(bind(ROW("*id", "*v")));
#define BOTH "WHERE x.\"id\" OPERATOR(ext.=) $1::ext.citext AND ROW(x.\"id\", x.\"v\")::"
    assert_sql(sample_delete(&s, OID, 'O', ROW("1", "a")),
               "DELETE FROM ONLY \"d\".\"t\" t USING ((SELECT x.ctid AS c, x.tableoid AS o FROM "
               "ONLY \"d\".\"t\" x " BOTH "record OPERATOR(pg_catalog.*=) ROW($1::ext.citext, "
               "$2::text)::record LIMIT 1) UNION ALL (SELECT x.ctid AS c, x.tableoid AS o FROM "
               "ONLY \"d\".\"t\" x " BOTH "text OPERATOR(pg_catalog.=) ROW($1::ext.citext, "
               "$2::text)::text LIMIT 1) LIMIT 1) f WHERE t.ctid = f.c AND t.tableoid = f.o",
               ROW("1", "a"));
}

/* A key with a column that is not streamed cannot be used. */
static void a_key_that_is_not_whole_is_no_key(void **state)
{
    (void)state;
    destination(ROW("id integer", "v json", "extra integer"), ROW("id", "extra"));
    assert_true(bind(ROW("*id", "*v")));
    assert_sql(sample_delete(&s, OID, 'O', ROW("1", "{}")),
               "DELETE FROM ONLY \"d\".\"t\" t USING " IMAGE("ONLY ", "1", "2"), ROW("1", "{}"));
}

static void a_partitioned_destination_is_reached_with_its_partitions(void **state)
{
    (void)state;
    destination(ROW("id integer", "v json"), NO_ROW);
    dest.is_partitioned = true;
    assert_true(bind(ROW("*id", "*v")));
    assert_sql(sample_delete(&s, OID, 'O', ROW("1", "{}")),
               "DELETE FROM \"d\".\"t\" t USING " IMAGE("", "1", "2"), ROW("1", "{}"));
    assert_sql(sample_delete(&s, OID, 'K', ROW("1", "{}")),
               "DELETE FROM \"d\".\"t\" t WHERE t.\"id\" = $1::integer AND t.\"v\" = $2::json",
               ROW("1", "{}"));
    assert_sql(sample_update(&s, OID, 'O', ROW("1", "{}"), ROW("1", "{}")),
               "UPDATE \"d\".\"t\" t SET \"id\" = $1, \"v\" = $2 FROM " IMAGE("", "3", "4"),
               ROW("1", "{}", "1", "{}"));
}

/* --- columns ---------------------------------------------------------------------------------- */

static void excluded_columns_are_left_out(void **state)
{
    (void)state;
    destination(ROW("id integer", "v text"), ROW("id"));
    exclude("secret");
    assert_true(bind(ROW("*id", "secret", "v")));
    assert_sql(sample_insert(&s, OID, ROW("1", "x", "y")),
               "INSERT INTO \"d\".\"t\" (\"id\", \"v\") OVERRIDING SYSTEM VALUE VALUES ($1, $2)",
               ROW("1", "y"));
    assert_sql(sample_update(&s, OID, 'O', ROW("1", "x", "y"), ROW("1", "x", "z")),
               "UPDATE ONLY \"d\".\"t\" t SET \"id\" = $1, \"v\" = $2 WHERE t.\"id\" = $3::integer",
               ROW("1", "z", "1"));
    assert_sql(sample_update(&s, OID, 0, NO_ROW, ROW("1", "x", sample_unchanged)),
               "UPDATE ONLY \"d\".\"t\" t SET \"id\" = $1 WHERE t.\"id\" = $2::integer",
               ROW("1", "1"));
}

static void an_excluded_key_column_cannot_find_rows(void **state)
{
    (void)state;
    destination(ROW("v text"), NO_ROW);
    exclude("id");
    assert_true(bind(ROW("*id", "v")));
    assert_no_sql(sample_update(&s, OID, 0, NO_ROW, ROW("1", "x")), ERR_IDENTITY, "id");
}

static void without_columns(void **state)
{
    (void)state;
    destination(NO_ROW, NO_ROW);
    assert_true(bind(NO_ROW));
    assert_sql(sample_insert(&s, OID, NO_ROW), "INSERT INTO \"d\".\"t\" DEFAULT VALUES", NO_ROW);
    assert_sql(sample_delete(&s, OID, 'O', NO_ROW),
               "DELETE FROM ONLY \"d\".\"t\" t USING (SELECT x.ctid AS c, x.tableoid AS o FROM "
               "ONLY \"d\".\"t\" x LIMIT 1) f WHERE t.ctid = f.c AND t.tableoid = f.o",
               NO_ROW);
    assert_sql(sample_update(&s, OID, 'O', NO_ROW, NO_ROW),
               "SELECT 1 FROM ONLY \"d\".\"t\" t , (SELECT x.ctid AS c, x.tableoid AS o FROM "
               "ONLY \"d\".\"t\" x LIMIT 1) f WHERE t.ctid = f.c AND t.tableoid = f.o",
               NO_ROW);
}

/* Only unchanged values: nothing to write, but the row has to be there. */
static void nothing_to_write_still_looks_for_the_row(void **state)
{
    (void)state;
    destination(ROW("v text"), NO_ROW);
    assert_true(bind(ROW("*v")));
    assert_sql(sample_update(&s, OID, 'O', ROW("x"), ROW(sample_unchanged)),
               "SELECT 1 FROM ONLY \"d\".\"t\" t , " EITHER("ONLY ", "x.\"v\"", "$1::text"),
               ROW("x"));
}

static void names_are_quoted(void **state)
{
    (void)state;
    destination(ROW("I\"d integer", "select text", "naïve % col text"), ROW("I\"d"));
    free(table.dest_schema);
    free(table.dest_name);
    table.dest_schema = own("My.Schema");
    table.dest_name = own("a\"b");
    assert_true(bind(ROW("*I\"d", "select", "naïve % col")));
    assert_sql(sample_update(&s, OID, 0, NO_ROW, ROW("1", "2", "3")),
               "UPDATE ONLY \"My.Schema\".\"a\"\"b\" t SET \"I\"\"d\" = $1, \"select\" = $2, "
               "\"naïve % col\" = $3 WHERE t.\"I\"\"d\" = $4::integer",
               ROW("1", "2", "3", "1"));
}

static void what_does_not_fit_the_destination_is_named(void **state)
{
    (void)state;
    destination(ROW("id integer", "v text"), ROW("id"));
    assert_no_bind(ROW("*id", "v", "added"), ERR_SCHEMA, "added");
    dest.columns[1].is_generated = true;
    assert_no_bind(ROW("*id", "v"), ERR_SCHEMA, "column v is generated");
    exclude("v"); /* then it does not matter */
    assert_true(bind(ROW("*id", "v")));
    dest.exists = false;
    target_free(t);
    t = NULL;
    assert_no_bind(ROW("*id", "v"), ERR_TABLE_MISSING, "\"d\".\"t\"");
}

/* The server would keep the first 63 bytes, of which nobody hears. */
static void names_that_would_be_cut_off(void **state)
{
    char name[65] = "";
    (void)state;
    destination(ROW("id integer", "n name"), ROW("id"));
    assert_true(bind(ROW("*id", "n")));
    memset(name, 'n', 63);
    assert_sql(sample_insert(&s, OID, ROW("1", name)),
               "INSERT INTO \"d\".\"t\" (\"id\", \"n\") OVERRIDING SYSTEM VALUE VALUES ($1, $2)",
               ROW("1", name));
    name[63] = 'n';
    assert_no_sql(sample_insert(&s, OID, ROW("1", name)), ERR_REFUSED, "a name of 64 bytes");
    e = (struct err){0};
    assert_no_sql(sample_update(&s, OID, 0, NO_ROW, ROW("1", name)), ERR_REFUSED, "column n of");
}

#define TARGET_TEST(test) cmocka_unit_test_teardown(test, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TARGET_TEST(a_plain_key),
        TARGET_TEST(names_that_would_be_cut_off),
        TARGET_TEST(a_composite_key_in_the_streams_order),
        TARGET_TEST(a_key_change_looks_for_the_old_key),
        TARGET_TEST(no_key_is_an_error),
        TARGET_TEST(unchanged_values_are_not_written),
        TARGET_TEST(a_whole_old_row_by_the_destinations_key),
        TARGET_TEST(a_whole_old_row_without_a_key_names_one_row),
        TARGET_TEST(a_whole_old_row_is_looked_for_by_what_an_index_finds),
        TARGET_TEST(a_deferrable_key_only_narrows_the_search),
        TARGET_TEST(a_key_that_is_not_whole_is_no_key),
        TARGET_TEST(a_partitioned_destination_is_reached_with_its_partitions),
        TARGET_TEST(excluded_columns_are_left_out),
        TARGET_TEST(an_excluded_key_column_cannot_find_rows),
        TARGET_TEST(without_columns),
        TARGET_TEST(nothing_to_write_still_looks_for_the_row),
        TARGET_TEST(names_are_quoted),
        TARGET_TEST(what_does_not_fit_the_destination_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
