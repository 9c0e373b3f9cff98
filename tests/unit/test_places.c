/* Promise: a table or a column of the destination that somebody has made anew, or emptied, is told
 * from all that leaves the rows as they were. */
#include "tests/unit/schema_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/known.h"
#include "schema/places.h"

#define TABLES                                                                                 \
    "CREATE TABLE d.a (id int PRIMARY KEY, b text, c int); CREATE TABLE d.o (x int);"          \
    "CREATE TABLE d.p (id int, v int) PARTITION BY RANGE (id);"                                \
    "CREATE TABLE d.p1 PARTITION OF d.p FOR VALUES FROM (0) TO (9);"                           \
    "CREATE TABLE d.p2 PARTITION OF d.p FOR VALUES FROM (9) TO (99);"                          \
    "INSERT INTO d.a SELECT i, i, i FROM generate_series(1, 9) i; INSERT INTO d.o VALUES (1);" \
    "INSERT INTO d.p VALUES (1, 1), (10, 1)"

static struct pg_conn *source, *dest;

struct place_case {
    const char *name, *what; /* what is done at the destination, piece by piece */
    const char *expected;    /* "table:kind[column]" … */
};

static const struct place_case cases[] = {
    {"nothing", "SELECT", ""},
    {"new files", "VACUUM FULL d.a; CLUSTER d.a USING a_pkey; REINDEX TABLE d.a; VACUUM FULL d.p1",
     ""},
    {"rewritten", "ALTER TABLE d.a ALTER c TYPE bigint", ""},
    {"a column of its own",
     "ALTER TABLE d.a ADD own int; ALTER TABLE d.a DROP own; ALTER TABLE d.a ADD own text", ""},
    {"statistics and storage",
     "ALTER TABLE d.a ALTER b SET STATISTICS 9, ALTER b SET STORAGE PLAIN", ""},
    {"rows deleted", "DELETE FROM d.a; VACUUM d.a", ""},
    {"a column that is gone", "ALTER TABLE d.a DROP b", ""}, /* the stream says so */
    {"a table that is gone", "DROP TABLE d.a", ""},
    {"a column that is new", "ALTER TABLE d.a DROP b; ALTER TABLE d.a ADD b text", "a:cb"},
    {"columns that changed names",
     "ALTER TABLE d.a RENAME b TO z; ALTER TABLE d.a RENAME c TO b; ALTER TABLE d.a RENAME z TO c",
     "a:cb"},
    {"a column of a parent", "ALTER TABLE d.p DROP v; ALTER TABLE d.p ADD v int",
     "p:cv p1:cv p2:cv"},
    {"a table that is new",
     "CREATE TABLE d.n (LIKE d.a); DROP TABLE d.a; ALTER TABLE d.n RENAME TO a", "a:t"},
    {"a partition that is new",
     "DROP TABLE d.p1; CREATE TABLE d.p1 PARTITION OF d.p FOR VALUES FROM (0) TO (9)", "p1:t"},
    {"partitions that changed names",
     "ALTER TABLE d.p1 RENAME TO z; ALTER TABLE d.p2 RENAME TO p1; ALTER TABLE d.z RENAME TO p2",
     ""},
    {"emptied", "TRUNCATE d.a, d.p", "a:e p1:e p2:e"},
    {"one partition emptied", "TRUNCATE d.p2", "p2:e"},
    {"emptied and filled", "TRUNCATE d.o; INSERT INTO d.o VALUES (2)", ""},
};

static void run_each(const char *sql)
{
    while (*sql) {
        size_t n = strcspn(sql, ";");
        char *one = mem_printf("%.*s", (int)n, sql);
        fixture_exec(dest, one);
        free(one);
        sql += n + (sql[n] == ';');
    }
}

static void know(const struct schema *s)
{
    struct buf sql = {0};
    struct err err = {0};
    uint32_t *oids = mem_calloc(s->n_tables, sizeof *oids);
    struct known now;
    for (size_t i = 0; i < s->n_tables; i++)
        oids[i] = s->tables[i].oid;
    assert_true(known_ask(source, &fixture_task, NULL, s->n_tables, oids, &now, &err));
    for (size_t i = 0; i < s->n_tables; i++)
        known_put_sql(&sql, known_find(&now, oids[i]), "m", s->tables[i].dest_schema,
                      s->tables[i].dest_name);
    fixture_exec(dest, buf_text(&sql));
    known_free(&now);
    buf_free(&sql);
    free(oids);
}

static struct schema *prepare(const char *map)
{
    struct err err = {0};
    fixture_exec(dest, "DROP SCHEMA IF EXISTS d, _bunnydb CASCADE; CREATE SCHEMA d;"
                       "CREATE SCHEMA _bunnydb");
    fixture_exec(dest, schema_book_create_sql);
    run_each(TABLES);
    struct fixture_maps maps = fixture_maps(source, map, "d.p", "d.o", NULL);
    struct schema *s = fixture_read(source, &maps);
    fixture_maps_free(&maps);
    know(s);
    if (!places_renew(dest, &fixture_task, "m", s, &err))
        fail_msg("renew: %s", err.text);
    return s;
}

static char *look(const struct schema *s)
{
    struct place_changes changes;
    struct buf b = {0};
    struct err err = {0};
    if (!places_look(dest, &fixture_task, "m", s, &changes, &err))
        fail_msg("look: %s", err.text);
    for (size_t i = 0; i < changes.n; i++) {
        const struct place_change *c = &changes.items[i];
        buf_printf(&b, "%s%s:%c%s", i ? " " : "", s->tables[c->table].name, (char)c->kind,
                   c->column ? c->column : "");
    }
    place_changes_free(&changes);
    return buf_take(&b);
}

static void assert_look(const struct schema *s, const char *name, const char *expected)
{
    char *found = look(s);
    if (strcmp(found, expected) != 0)
        fail_msg("%s: \"%s\" instead of \"%s\"", name, found, expected);
    free(found);
}

static void keep(const struct schema *s)
{
    struct err err = {0};
    if (!places_keep(dest, &fixture_task, "m", s, &err))
        fail_msg("keep: %s", err.text);
}

static void what_is_made_anew_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct schema *s = prepare("d.a");
        run_each(cases[i].what);
        assert_look(s, cases[i].name, cases[i].expected);
        schema_free(s);
    }
}

static void a_copy_takes_all_places_anew(void **state)
{
    (void)state;
    struct err err = {0};
    struct schema *s = prepare("d.a");
    run_each("ALTER TABLE d.a DROP b; ALTER TABLE d.a ADD b text; TRUNCATE d.p1; DROP TABLE d.o;"
             "CREATE TABLE d.o (x int)");
    keep(s); /* is no copy: only the files of what is still the same are taken */
    assert_look(s, "kept", "a:cb o:t");
    assert_true(places_renew(dest, &fixture_task, "m", s, &err));
    assert_look(s, "copied", "");
    run_each("ALTER TABLE d.a DROP b; ALTER TABLE d.a ADD b text");
    assert_look(s, "again", "a:cb");
    schema_free(s);
}

static void what_the_mirror_empties_is_its_own(void **state)
{
    (void)state;
    struct schema *s = prepare("d.a");
    struct buf sql = {0};
    places_emptied_sql(&sql, "m", 1, &s->tables[0].oid);
    char *both = mem_printf("BEGIN; TRUNCATE d.%s; %s; COMMIT", s->tables[0].name, buf_text(&sql));
    fixture_exec(dest, both);
    assert_look(s, "emptied by the mirror", "");
    free(both);
    buf_free(&sql);
    schema_free(s);
}

/* A dump holds the progress as well: all tables are others, and their rows are right. */
static void a_restored_destination_is_taken_as_it_is(void **state)
{
    (void)state;
    struct schema *s = prepare("d.a");
    run_each("CREATE TABLE _bunnydb.n (LIKE _bunnydb.table_parts INCLUDING ALL);"
             "INSERT INTO _bunnydb.n SELECT * FROM _bunnydb.table_parts;"
             "DROP TABLE _bunnydb.table_parts; ALTER TABLE _bunnydb.n RENAME TO table_parts;"
             "CREATE TABLE d.n (LIKE d.a); DROP TABLE d.a; ALTER TABLE d.n RENAME TO a");
    assert_look(s, "restored", "");
    keep(s);
    run_each("ALTER TABLE d.a DROP c; ALTER TABLE d.a ADD c int");
    assert_look(s, "after it", "a:cc");
    schema_free(s);
}

static void excluded_columns_are_the_operators(void **state)
{
    (void)state;
    struct schema *s = prepare("d.a-b");
    run_each("ALTER TABLE d.a DROP b; ALTER TABLE d.a ADD b int");
    assert_look(s, "excluded", "");
    keep(s);
    assert_look(s, "excluded and kept", "");
    schema_free(s);
}

static int start(void **state)
{
    if (fixture_start(state) != 0)
        return -1;
    source = fixture_database("places_source");
    dest = fixture_database("places_dest");
    fixture_exec(source, "CREATE SCHEMA d");
    fixture_exec(source, TABLES);
    return 0;
}

static int stop(void **state)
{
    pg_close(source, false);
    pg_close(dest, false);
    return fixture_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_anew_is_told),
        cmocka_unit_test(a_copy_takes_all_places_anew),
        cmocka_unit_test(what_the_mirror_empties_is_its_own),
        cmocka_unit_test(a_restored_destination_is_taken_as_it_is),
        cmocka_unit_test(excluded_columns_are_the_operators),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
