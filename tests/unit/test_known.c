/* Promise: rows that ALTER TABLE has rewritten at the source are told from rows that only have new
 * files; whatever hides it later, a rewrite is never missed. */
#include "tests/unit/schema_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/known.h"
#include "schema/schema.h"

#define SMALL "CREATE TABLE r.a (id int, b int);"  /* no TOAST table */
#define LARGE "CREATE TABLE r.a (id int, b text);" /* has one */
#define ROWS "INSERT INTO r.a SELECT i, i FROM generate_series(1, 5) i;"

static struct pg_conn *source;

struct rewrite_case {
    const char *name, *before, *after;
    bool is_rewritten;
};

static const struct rewrite_case cases[] = {
    {"nothing", SMALL ROWS, "SELECT", false},
    {"only altered", LARGE ROWS, "ALTER TABLE r.a ALTER b SET NOT NULL", false},
    {"constant default", LARGE ROWS, "ALTER TABLE r.a ADD c int DEFAULT 5", false},
    {"emptied", SMALL ROWS, "TRUNCATE r.a", false},
    {"statistics, then emptied", SMALL ROWS,
     "ALTER TABLE r.a ALTER b SET STATISTICS 7; TRUNCATE r.a;" ROWS, false},
    {"the same with TOAST", LARGE ROWS,
     "ALTER TABLE r.a ALTER b SET STATISTICS 7; TRUNCATE r.a;" ROWS, false},
    {"in one transaction", LARGE ROWS,
     "BEGIN; ALTER TABLE r.a ALTER b SET NOT NULL; TRUNCATE r.a;" ROWS "COMMIT", false},
    {"column added, then emptied", LARGE ROWS, "ALTER TABLE r.a ADD c int; TRUNCATE r.a", false},
    {"vacuum full", LARGE ROWS, "ALTER TABLE r.a ALTER b SET STATISTICS 7; VACUUM FULL r.a", false},
    {"cluster", LARGE ROWS,
     "CREATE INDEX i ON r.a (id); ALTER TABLE r.a ALTER b SET DEFAULT 'x'; CLUSTER r.a USING i",
     false},
    {"set unlogged and back", LARGE ROWS,
     "ALTER TABLE r.a SET UNLOGGED; ALTER TABLE r.a SET LOGGED", false},
    {"new type", SMALL ROWS, "ALTER TABLE r.a ALTER b TYPE bigint", true},
    {"new type with TOAST", LARGE ROWS, "ALTER TABLE r.a ALTER b TYPE int USING b::int", true},
    {"a TOAST table comes with it", SMALL ROWS, "ALTER TABLE r.a ALTER b TYPE text", true},
    {"other values of the same type", SMALL ROWS, "ALTER TABLE r.a ALTER b TYPE int USING b + 1",
     true},
    {"the same with TOAST", LARGE ROWS, "ALTER TABLE r.a ALTER b TYPE text USING b || 'x'", true},
    {"volatile default", SMALL ROWS, "ALTER TABLE r.a ADD c float DEFAULT random()", true},
    {"identity", LARGE ROWS, "ALTER TABLE r.a ADD c int GENERATED ALWAYS AS IDENTITY", true},
    {"hidden by statistics and rights", SMALL ROWS,
     "ALTER TABLE r.a ALTER b TYPE int USING b + 1; ALTER TABLE r.a ALTER b SET STATISTICS 7;"
     "GRANT SELECT ON r.a TO PUBLIC",
     true},
    {"hidden by vacuum full", SMALL ROWS,
     "ALTER TABLE r.a ALTER b TYPE int USING b + 1; VACUUM (FULL, FREEZE) r.a", true},
    {"hidden by vacuum full with TOAST", LARGE ROWS,
     "ALTER TABLE r.a ALTER b TYPE text USING b || 'x'; VACUUM (FULL, FREEZE) r.a", true},
    {"rows came afterwards", SMALL ROWS, "ALTER TABLE r.a ALTER b TYPE int USING b + 1;" ROWS,
     true},
    {"changed with TOAST", LARGE ROWS,
     "ALTER TABLE r.a ALTER b TYPE text USING b || 'x'; UPDATE r.a SET id = -id", true},
};

static void look(uint32_t oid, struct known *out)
{
    struct err err = {0};
    assert_true(known_ask(source, &fixture_task, NULL, 1, &oid, out, &err));
    assert_int_equal(out->n, 1);
}

/* Each statement by itself: several sent at once would be one transaction. */
static void run_each(const char *sql)
{
    while (*sql) {
        size_t n = strcspn(sql, ";");
        char *one = mem_printf("%.*s", (int)n, sql);
        fixture_exec(source, one);
        free(one);
        sql += n + (sql[n] == ';');
    }
}

static uint32_t prepare(const char *sql)
{
    fixture_exec(source, "DROP SCHEMA IF EXISTS r CASCADE; CREATE SCHEMA r");
    run_each(sql);
    char *oid = fixture_ask(source, "SELECT 'r.a'::regclass::oid");
    uint32_t number = (uint32_t)strtoul(oid, NULL, 10);
    free(oid);
    return number;
}

static bool ask(const struct known *was, const struct known *now)
{
    struct err err = {0};
    bool out;
    assert_true(known_ask_rewritten(source, &fixture_task, KNOWN_ROWS_MS, &was->tables[0],
                                    &now->tables[0], &out, &err));
    return out;
}

static void a_rewrite_is_told_from_other_new_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct rewrite_case *c = &cases[i];
        struct known was, now;
        uint32_t oid = prepare(c->before);
        look(oid, &was);
        run_each(c->after);
        look(oid, &now);
        if (ask(&was, &now) != c->is_rewritten)
            fail_msg("%s: %s", c->name, c->is_rewritten ? "missed" : "taken for a rewrite");
        known_free(&was);
        known_free(&now);
    }
}

/* What an earlier version has written says nothing of TOAST tables. */
static void what_is_not_known_is_taken_for_a_rewrite(void **state)
{
    (void)state;
    struct known was, now;
    uint32_t oid = prepare(LARGE ROWS);
    look(oid, &was);
    was.tables[0].toast = -1;
    run_each("ALTER TABLE r.a ALTER b SET STATISTICS 7; TRUNCATE r.a");
    look(oid, &now);
    assert_true(ask(&was, &now));
    known_free(&was);
    known_free(&now);
}

static void it_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct known was, again;
    struct err err = {0};
    struct buf sql = {0};
    uint32_t oid = prepare(LARGE);
    look(oid, &was);
    was.tables[0].member = 77;
    fixture_exec(source, "CREATE SCHEMA IF NOT EXISTS _bunnydb");
    fixture_exec(source, schema_book_create_sql);
    known_put_sql(&sql, &was.tables[0], "m", "r", "a");
    fixture_exec(source, buf_text(&sql));
    assert_true(known_read(source, &fixture_task, "m", 0, &again, &err));
    assert_int_equal(again.n, 1);
    assert_int_equal(again.tables[0].filenode, was.tables[0].filenode);
    assert_int_equal(again.tables[0].toast, was.tables[0].toast);
    assert_int_equal(again.tables[0].member, 77);
    assert_int_equal(again.tables[0].n, 2);
    assert_string_equal(again.tables[0].columns[1].name, "b");
    assert_string_equal(again.tables[0].columns[1].stamp, was.tables[0].columns[1].stamp);
    buf_free(&sql);
    known_free(&was);
    known_free(&again);
}

static int start(void **state)
{
    if (fixture_start(state) != 0)
        return -1;
    source = fixture_database("known");
    return 0;
}

static int stop(void **state)
{
    pg_close(source, false);
    return fixture_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rewrite_is_told_from_other_new_files),
        cmocka_unit_test(what_is_not_known_is_taken_for_a_rewrite),
        cmocka_unit_test(it_is_read_as_it_was_written),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
