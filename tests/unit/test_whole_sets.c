/* Many changes of a table whose rows nothing but all their values tells apart, at once and row by
 * row: both leave the same rows and miss the same ones. Random changes go to two tables, one of
 * which is kept from sets. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "stream/apply_private.h"
#include "tests/unit/apply_world.h"

#define COLUMNS 8
#define ROWS 400

/* Types without an operator =, with values that are equal and not the same, values that become the
 * same at the destination, NULL, and a column that only the destination has. */
static const char definition[] =
    "(a int, f float8, c char(4), i text COLLATE d.nocase, j json, p point, n numeric(6,1), l "
    "int[], own text DEFAULT 'own', twice numeric GENERATED ALWAYS AS (n * 2) STORED)";

static const char *const domains[COLUMNS][6] = {
    {"1", "2", "3", "4", "5", "6"},
    {NULL, "NaN", "0", "-0", "Infinity", "0.1"},
    {NULL, "ab", "ab  ", "a", "", "abcd"},
    {NULL, "x", "X", "", "(,)", "\"\\'"},
    {NULL, "{}", "{ }", "{\"a\": 1}", "null", "[1,\n2]"},
    {NULL, "(1,2)", "(NaN,-0)", "(NaN,0)", "(1,2)", "(-1,0)"},
    {NULL, "1.0", "1.00", "1.04", "-1.0", "7.5"},
    {NULL, "{}", "{1,2}", "[0:1]={1,2}", "{NULL}", "{1}"},
};

/* --- a source -------------------------------------------------------------------------------- */

struct row {
    const char *values[COLUMNS];
};
static struct row rows[ROWS];
static int n_rows;
static unsigned seed;
static lsn_t lsn;
static int64_t missed_of[2];

static int pick(int n)
{
    seed = seed * 1103515245u + 12345u;
    return (int)((seed >> 8) % (unsigned)n);
}

static struct sample_row sample_of(const struct row *r)
{
    return (struct sample_row){COLUMNS, r->values};
}

static void tell(const struct pgo_message *m)
{
    struct pgo_message other = *m;
    other.relation = m->relation == T ? U : T;
    ok(feed(m));
    ok(feed(&other));
}

static struct row any_row(void)
{
    struct row r;
    int spread = pick(3) ? 6 : 2; /* many of them equal */
    for (int i = 0; i < COLUMNS; i++)
        r.values[i] = domains[i][pick(spread)];
    return r;
}

static void insert_row(void)
{
    if (n_rows == ROWS)
        return;
    rows[n_rows] = any_row();
    tell(sample_insert(&w.s, T, sample_of(&rows[n_rows])));
    n_rows++;
}

static void delete_row(int at)
{
    tell(sample_delete(&w.s, T, 'O', sample_of(&rows[at])));
    rows[at] = rows[--n_rows];
}

/* Some columns keep their values, and are told so or not. */
static void update_row(int at)
{
    struct row old = rows[at], next = any_row(), told;
    for (int i = 0; i < COLUMNS; i++) {
        next.values[i] = pick(2) ? old.values[i] : next.values[i];
        told.values[i] = next.values[i];
        if (i == 4 && old.values[i] == next.values[i] && old.values[i] && pick(2))
            told.values[i] = sample_unchanged;
    }
    tell(sample_update(&w.s, T, 'O', sample_of(&old), sample_of(&told)));
    rows[at] = next;
}

static void change_something(void)
{
    int what = pick(4);
    if (what == 0 || !n_rows)
        insert_row();
    else if (what == 1)
        delete_row(pick(n_rows));
    else
        update_row(pick(n_rows));
}

static void start(void)
{
    begin(lsn += 10);
}

static void finish(void)
{
    commit(lsn);
    ok(settle(true));
}

static void insert_rows(int n)
{
    start();
    while (n--)
        insert_row();
    finish();
}

/* --- a destination --------------------------------------------------------------------------- */

static void count_missed(void *arg, const struct apply_miss *miss)
{
    (void)arg;
    missed_of[miss->table] += miss->n;
}

static void tell_relation(uint32_t oid)
{
    static const char *const names[COLUMNS] = {"a", "f", "c", "i", "j", "p", "n", "l"};
    struct sample relation;
    struct pgo_message m =
        *sample_relation(&relation, oid, oid == T ? "t" : "u", (struct sample_row){COLUMNS, names});
    m.replica_identity = 'f';
    for (int i = 0; i < COLUMNS; i++)
        relation.columns[i].is_key = true;
    ok(feed(&m));
}

static void open_both(const char *sql, const char *with)
{
    run_sql(w.c, "DROP TABLE d.t, d.u; CREATE COLLATION d.nocase (provider = icu, locale = "
                 "'und-u-ks-level2', deterministic = false)");
    for (int i = 0; i < 2; i++) {
        char *create = mem_printf("CREATE TABLE d.%s %s %s", i ? "u" : "t", definition, with);
        run_sql(w.c, create);
        free(create);
    }
    run_sql(w.c, sql);
    w.o.missed = count_missed;
    w.o.limits = (struct batch_limits){.max_changes = 5000, .max_bytes = 1 << 20};
    w.o.window = 4 << 20;
    memset(missed_of, 0, sizeof missed_of);
    n_rows = 0;
    lsn = START + 100;
    ok(apply_new(w.dest, NULL, &w.o, START, &w.a, &w.e));
    tell_relation(T);
    tell_relation(U);
    apply_find_target(w.a, U)->way = TARGET_ROWS;
}

/* Rows of both as text: what an own column holds does not differ between equal ones. */
#define DIFFERENT                                                                              \
    "SELECT count(*) FROM ((SELECT t::text FROM d.t EXCEPT ALL SELECT u::text FROM d.u) UNION" \
    " ALL (SELECT u::text FROM d.u EXCEPT ALL SELECT t::text FROM d.t)) x"

static void assert_same(void)
{
    assert_int_equal(ask(w.c, DIFFERENT), 0);
    assert_int_equal(missed_of[0], missed_of[1]);
}

/* --- tests ----------------------------------------------------------------------------------- */

static void sets_and_single_changes_come_to_the_same(void **state)
{
    static const char *const worlds[][2] = {
        {"SELECT", ""},
        {"CREATE INDEX ON d.t (a)", ""},
        {"CREATE INDEX ON d.t (n)", ""}, /* of which NULL is no value */
        {"CREATE TABLE d.t1 PARTITION OF d.t FOR VALUES IN (1, 2); CREATE TABLE d.t2 PARTITION OF "
         "d.t DEFAULT; CREATE TABLE d.u1 PARTITION OF d.u DEFAULT",
         "PARTITION BY LIST (a)"},
    };
    uint64_t by_sets = 0;
    for (unsigned i = 0; i < 8; i++) {
        world_close(state);
        world_open(state);
        seed = i;
        open_both(worlds[i % 4][0], worlds[i % 4][1]);
        insert_rows(300);
        for (int round = 0; round < 4; round++) {
            start();
            for (int k = pick(4) ? 400 : 40; k > 0; k--)
                change_something();
            finish();
            assert_same();
        }
        start();
        while (n_rows > 20)
            delete_row(pick(n_rows));
        finish();
        assert_same();
        assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), n_rows);
        assert_int_equal(missed_of[0], 0);
        by_sets += w.a->flights_by_set;
    }
    if (by_sets < 24)
        fail_msg("only %d chunks went as sets", (int)by_sets);
}

static void rows_that_are_missing_are_found_behind_sets(void **state)
{
    (void)state;
    seed = 20;
    open_both("SELECT", "");
    insert_rows(400);
    run_sql(w.c, "DELETE FROM d.t WHERE a = 2 AND n IS NULL; DELETE FROM d.u WHERE a = 2 AND n IS "
                 "NULL");
    for (int round = 0; round < 3; round++) {
        start();
        for (int k = 0; k < 60; k++) {
            delete_row(pick(n_rows));
            update_row(pick(n_rows));
        }
        finish();
        assert_same();
    }
    assert_true(missed_of[0] > 5);
    /* What is not there any more does not keep the table from sets. */
    uint64_t before = w.a->flights_by_set;
    insert_rows(100);
    start();
    for (int k = 0; k < 90; k++)
        delete_row(n_rows - 1);
    finish();
    assert_true(w.a->flights_by_set >= before + 2);
    assert_same();
}

/* A value that did not come by its text: the sign of a NaN shows in no text. */
static void rows_of_another_image_are_found_by_their_text(void **state)
{
    (void)state;
    seed = 21;
    open_both("SELECT", "");
    insert_rows(100);
    run_sql(w.c, "UPDATE d.t SET f = - f WHERE f = 'NaN'; UPDATE d.u SET f = - f WHERE f = 'NaN'");
    assert_true(ask(w.c, "SELECT count(*) FROM d.t WHERE f = 'NaN'") > 5);
    start();
    for (int k = 0; k < 60; k++)
        update_row(k);
    while (n_rows > 1)
        delete_row(n_rows - 1);
    finish();
    assert_same();
    assert_int_equal(missed_of[0], 0);
    assert_int_equal(w.a->flights_by_set, 2);
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 1);
}

/* Each changes to what the next one was: all are there at first. And one row on and on. */
static void chains_of_changes_keep_their_sets(void **state)
{
    static char texts[200][8];
    (void)state;
    seed = 22;
    open_both("SELECT", "");
    start();
    for (int i = 0; i < 200; i++) {
        str_printf(texts[i], sizeof texts[i], "%d", i);
        rows[i] = (struct row){{texts[i]}};
        tell(sample_insert(&w.s, T, sample_of(&rows[i])));
    }
    finish();
    start();
    for (int i = 0; i < 199; i++)
        tell(sample_update(&w.s, T, 'O', sample_of(&rows[i]), sample_of(&rows[i + 1])));
    for (int i = 0; i < 60; i++) /* looked for before any is there, but one */
        tell(sample_update(&w.s, T, 'O', sample_of(&rows[199 - i]), sample_of(&rows[198 - i])));
    finish();
    assert_same();
    assert_int_equal(missed_of[0], 0);
    assert_int_equal(ask(w.c, "SELECT count(DISTINCT a) FROM d.t WHERE f IS NULL"), 199);
}

/* What comes and goes in one chunk is refused all the same. */
static void a_value_that_is_refused_is_told(void **state)
{
    (void)state;
    seed = 23;
    open_both("ALTER TABLE d.t ADD CHECK (n < 7)", "");
    start();
    for (int k = 0; k < 100; k++)
        insert_row();
    while (n_rows)
        delete_row(0);
    commit(lsn);
    assert_false(settle(true));
    assert_error(&w.e, ERR_REFUSED, "23514");
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 0);
}

/* Few rows are looked for one by one, at once. */
static void few_changes_are_no_set(void **state)
{
    (void)state;
    seed = 24;
    open_both("SELECT", "");
    insert_rows(200);
    assert_int_equal(w.a->flights_by_set, 1);
    start();
    for (int k = 0; k < 49; k++)
        delete_row(0);
    finish();
    assert_int_equal(w.a->flights_by_set, 1);
    start();
    for (int k = 0; k < 50; k++)
        delete_row(0);
    finish();
    assert_int_equal(w.a->flights_by_set, 2);
    assert_same();
}

/* A unique index, or one that does not know all rows, finds single ones. */
static void tables_with_a_way_to_their_rows_keep_it(void **state)
{
    static const char *const indexes[] = {"CREATE UNIQUE INDEX ON d.t (a, j) WHERE false",
                                          "CREATE INDEX ON d.t (n)"};
    for (int i = 0; i < 2; i++) {
        world_close(state);
        world_open(state);
        seed = 25;
        char *sql = mem_printf("ALTER TABLE d.t ALTER j TYPE jsonb; ALTER TABLE d.u ALTER j TYPE "
                               "jsonb; %s",
                               indexes[i]);
        open_both(sql, "");
        free(sql);
        insert_rows(200);
        start();
        for (int k = 0; k < 100; k++)
            delete_row(0);
        finish();
        assert_int_equal(w.a->flights_by_set, 1);
        assert_same();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(sets_and_single_changes_come_to_the_same),
        IN_WORLD(rows_that_are_missing_are_found_behind_sets),
        IN_WORLD(rows_of_another_image_are_found_by_their_text),
        IN_WORLD(chains_of_changes_keep_their_sets),
        IN_WORLD(a_value_that_is_refused_is_told),
        IN_WORLD(few_changes_are_no_set),
        IN_WORLD(tables_with_a_way_to_their_rows_keep_it),
    };
    return cmocka_run_group_tests(tests, world_start_cluster, world_stop_cluster);
}
