/* Changes that go to the destination as statements of many rows leave what they leave one by one:
 * random changes go to two tables, one of which is kept from sets. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "stream/apply_private.h"
#include "tests/unit/apply_world.h"

#define KEYS 300
#define COLUMNS 5 /* id, a, b, long, n */

static const char definition[] =
    "(id bigint PRIMARY KEY, a text, b varchar(40), long text, n numeric(12,2) NOT NULL, "
    "twice numeric GENERATED ALWAYS AS (n * 2) STORED, own text DEFAULT 'own')";

/* --- a source -------------------------------------------------------------------------------- */

struct row {
    bool is_there;
    char values[COLUMNS][48];
    bool is_null[COLUMNS];
};
#define ROWS 3000
static struct row rows[ROWS]; /* behind KEYS: keys that rows were moved to */
static unsigned seed;
static lsn_t lsn;
static int64_t missed_of[2];

static int pick(int n)
{
    seed = seed * 1103515245u + 12345u;
    return (int)((seed >> 8) % (unsigned)n);
}

static void fill_value(struct row *r, int column)
{
    static const char *const odd[] = {"",    "NULL", "\\", "\"", "{x,y}", " blank ",
                                      "a;b", "\t\n", "ä",  "'",  "\\N",   "(1)"};
    r->is_null[column] = column != 4 && pick(5) == 0;
    if (column == 4)
        str_printf(r->values[column], sizeof r->values[column], "%d.%02d", pick(1000), pick(100));
    else if (pick(3) == 0)
        str_copy(r->values[column], sizeof r->values[column], odd[pick(COUNT_OF(odd))]);
    else
        str_printf(r->values[column], sizeof r->values[column], "v%d", pick(100000));
}

/* Of both tables; unchanged: a bit a column. */
static const char *const *next_of(int key, unsigned unchanged, const char *out[COLUMNS])
{
    struct row *r = &rows[key];
    str_printf(r->values[0], sizeof r->values[0], "%d", key - 20);
    for (int i = 0; i < COLUMNS; i++)
        out[i] = r->is_null[i] ? NULL : unchanged >> i & 1 ? sample_unchanged : r->values[i];
    return out;
}

static void tell(const struct pgo_message *m)
{
    struct pgo_message other = *m;
    other.relation = m->relation == T ? U : T;
    ok(feed(m));
    ok(feed(&other));
}

static void insert_row(int key)
{
    const char *next[COLUMNS];
    for (int i = 1; i < COLUMNS; i++)
        fill_value(&rows[key], i);
    rows[key].is_there = true;
    tell(sample_insert(&w.s, T, (struct sample_row){COLUMNS, next_of(key, 0, next)}));
}

static void update_row(int key)
{
    const char *next[COLUMNS];
    unsigned unchanged = pick(3) ? 0 : pick(2) ? 8 : 10; /* long, or long and a */
    for (int i = 1; i < COLUMNS; i++)
        if (!(unchanged >> i & 1) && pick(2))
            fill_value(&rows[key], i);
    for (int i = 1; i < COLUMNS; i++)
        if (rows[key].is_null[i])
            unchanged &= ~(1u << i);
    tell(sample_update(&w.s, T, 0, NO_ROW,
                       (struct sample_row){COLUMNS, next_of(key, unchanged, next)}));
}

static void delete_row(int key)
{
    const char *old[COLUMNS];
    next_of(key, 0, old);
    for (int i = 1; i < COLUMNS; i++)
        old[i] = NULL;
    rows[key].is_there = false;
    tell(sample_delete(&w.s, T, 'K', (struct sample_row){COLUMNS, old}));
}

static void move_row(int from, int to)
{
    const char *old[COLUMNS], *next[COLUMNS];
    next_of(from, 0, old);
    for (int i = 1; i < COLUMNS; i++)
        old[i] = NULL;
    rows[to] = rows[from];
    rows[from].is_there = false;
    next_of(from, 0, next); /* its text of the key, before that of to is made */
    tell(sample_update(&w.s, T, 'K', (struct sample_row){COLUMNS, old},
                       (struct sample_row){COLUMNS, next_of(to, pick(2) ? 8 : 0, next)}));
}

static void empty(void)
{
    for (int i = 0; i < ROWS; i++)
        rows[i].is_there = false;
    ok(feed(sample_truncate(&w.s, T, U)));
}

static void change_something(int moves)
{
    int key = pick(KEYS), to = KEYS + pick(KEYS);
    if (moves && pick(1000) < moves) {
        if (rows[key].is_there && !rows[to].is_there)
            move_row(key, to);
        else if (rows[to].is_there && !rows[key].is_there)
            move_row(to, key);
    } else if (!rows[key].is_there) {
        insert_row(key);
    } else if (pick(3)) {
        update_row(key);
    } else {
        delete_row(key);
    }
}

static void transaction(int changes, int moves)
{
    lsn += 10;
    begin(lsn);
    for (int i = 0; i < changes; i++)
        change_something(moves);
    commit(lsn);
}

/* --- a destination --------------------------------------------------------------------------- */

static void count_missed(void *arg, const struct apply_miss *miss)
{
    (void)arg;
    assert_true(miss->key[0]);
    missed_of[miss->table] += miss->n;
}

static void open_both(const char *sql)
{
    struct sample relation;
    run_sql(w.c, "DROP TABLE d.t, d.u");
    for (int i = 0; i < 2; i++) {
        char *create = mem_printf("CREATE TABLE d.%s %s", i ? "u" : "t", definition);
        run_sql(w.c, create);
        free(create);
    }
    run_sql(w.c, sql);
    w.o.missed = count_missed;
    w.o.limits = (struct batch_limits){.max_changes = 500, .max_bytes = 1 << 20};
    w.o.window = 4 << 20;
    memset(rows, 0, sizeof rows);
    memset(missed_of, 0, sizeof missed_of);
    lsn = START + 100;
    ok(apply_new(w.dest, NULL, &w.o, START, &w.a, &w.e));
    for (uint32_t oid = T; oid <= U; oid++) {
        const struct pgo_message *m = sample_relation(&relation, oid, oid == T ? "t" : "u",
                                                      ROW("*id", "a", "b", "long", "n"));
        relation.columns[0].type_oid = 20;
        ok(feed(m));
    }
    assert_int_equal(apply_find_target(w.a, T)->way, TARGET_KEYED);
    struct target *u = apply_find_target(w.a, U);
    u->way = u->way == TARGET_KEYED ? TARGET_ROWS : u->way;
}

#define DIFFERENT                                                                                 \
    "SELECT count(*) FROM ((SELECT * FROM d.t EXCEPT ALL SELECT * FROM d.u) UNION ALL (SELECT * " \
    "FROM d.u EXCEPT ALL SELECT * FROM d.t)) x"

static void assert_as_source(void)
{
    int n = 0;
    char sql[400];
    for (int i = 0; i < ROWS; i++)
        n += rows[i].is_there;
    assert_int_equal(ask(w.c, DIFFERENT), 0);
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), n);
    for (int i = 0; i < ROWS; i += 13) {
        struct buf b = {0};
        if (!rows[i].is_there)
            continue;
        str_printf(sql, sizeof sql,
                   "SELECT count(*) FROM d.t WHERE id = %d AND n = %s AND a IS "
                   "NOT DISTINCT FROM ",
                   i - 20, rows[i].values[4]);
        buf_puts(&b, sql);
        if (rows[i].is_null[1])
            buf_puts(&b, "NULL");
        else
            pg_quote_literal(&b, rows[i].values[1]);
        assert_int_equal(ask(w.c, buf_text(&b)), 1);
        buf_free(&b);
    }
}

/* --- tests ----------------------------------------------------------------------------------- */

static void sets_and_single_changes_come_to_the_same(void **state)
{
    uint64_t by_sets = 0;
    for (unsigned i = 1; i <= 12; i++) {
        world_close(state);
        world_open(state);
        seed = i;
        open_both(i % 4 == 0 ? "CREATE UNIQUE INDEX ON d.t (a, b, long, n, id)" : "SELECT");
        for (int round = 0; round < 12; round++) {
            for (int k = pick(8); k >= 0; k--)
                transaction(pick(2) ? 1 + pick(5) : 100 + pick(200), i % 3 == 0 ? 2 : 0);
            ok(apply_pump(w.a, pick(2), &w.e));
            if (pick(6) == 0) {
                begin(lsn += 10);
                empty();
                for (int k = 0; k < 60; k++)
                    change_something(0);
                commit(lsn);
            }
        }
        ok(settle(true));
        assert_as_source();
        assert_int_equal(missed_of[0] + missed_of[1], 0);
        by_sets += w.a->flights_by_set;
    }
    if (by_sets < 40)
        fail_msg("only %d chunks went as sets", (int)by_sets);
}

static void rows_that_are_missing_are_found_behind_sets(void **state)
{
    int64_t missed = 0;
    for (unsigned i = 1; i <= 6; i++) {
        world_close(state);
        world_open(state);
        seed = 100 + i;
        open_both("SELECT");
        for (int round = 0; round < 6; round++) {
            transaction(400, 0);
            ok(settle(true));
            run_sql(w.c, "DELETE FROM d.t WHERE id % 17 = 5; DELETE FROM d.u WHERE id % 17 = 5");
            for (int k = 0; k < KEYS; k++) /* so that nothing is inserted that is there */
                if (rows[k].is_there && (k - 20) % 17 == 5 && pick(2)) {
                    begin(lsn += 10);
                    pick(2) ? update_row(k) : delete_row(k);
                    commit(lsn);
                }
            transaction(300, 0);
            ok(settle(true));
            assert_int_equal(ask(w.c, DIFFERENT), 0);
            assert_int_equal(missed_of[0], missed_of[1]);
        }
        missed += missed_of[0];
        assert_true(w.batches > 6);
    }
    assert_true(missed > 50);
}

/* Also where its row is gone at the source before the batch ends. */
static void a_row_in_the_way_is_found_by_name(void **state)
{
    for (int is_deleted = 0; is_deleted < 2; is_deleted++) {
        world_close(state);
        world_open(state);
        seed = 7;
        open_both("INSERT INTO d.t (id, n) VALUES (25, 1)");
        begin(lsn);
        for (int key = 0; key < 100; key++)
            insert_row(key);
        for (int key = 0; is_deleted && key < 100; key++)
            delete_row(key);
        commit(lsn);
        assert_false(settle(true));
        assert_error(&w.e, ERR_CONFLICT, "23505");
        assert_int_equal(w.refused, ERR_CONFLICT);
        assert_string_equal(w.miss.key, "(id)=(25)");
        assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 1);
        assert_int_equal(ask(w.c, PROGRESS), START);
        assert_int_equal(w.batches, 0);
    }
}

/* Only the last values of a chain are written; a check does not see those between. */
static void a_value_that_is_refused_is_told_with_its_row(void **state)
{
    (void)state;
    seed = 8;
    open_both("ALTER TABLE d.t ADD CHECK (n < 2000)");
    begin(lsn);
    for (int key = 0; key < 100; key++)
        insert_row(key);
    const char *next[COLUMNS];
    str_copy(rows[31].values[4], sizeof rows[31].values[4], "5000.00");
    tell(sample_update(&w.s, T, 0, NO_ROW, (struct sample_row){COLUMNS, next_of(31, 0, next)}));
    commit(lsn);
    assert_false(settle(true));
    assert_error(&w.e, ERR_REFUSED, "23514");
    assert_string_equal(w.miss.key, "(id)=(11)");
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 0);
}

/* A chunk after a chunk, in one transaction of the source, and the progress with them. */
static void a_transaction_of_many_chunks_is_seen_as_a_whole(void **state)
{
    (void)state;
    seed = 9;
    open_both("SELECT");
    w.a->o.window = 40000;
    begin(lsn);
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 100; i++)
            change_something(0);
        assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 0);
        ok(apply_pump(w.a, false, &w.e));
    }
    commit(lsn);
    ok(settle(true));
    assert_int_equal(w.batches, 1);
    assert_as_source();
}

/* So many that they are copied, between sets of the other kinds. */
static void copied_rows_are_those_of_the_source(void **state)
{
    (void)state;
    seed = 13;
    open_both("SELECT");
    begin(lsn);
    for (int key = 0; key < 1200; key++)
        insert_row(key);
    commit(lsn);
    ok(settle(true));
    begin(lsn += 10);
    for (int key = 1200; key < 2600; key++)
        insert_row(key);
    for (int key = 100; key < 2000; key++)
        key % 3 == 0 ? delete_row(key) : update_row(key);
    for (int key = 600; key < 900; key += 3)
        insert_row(key);
    commit(lsn);
    ok(settle(true));
    assert_as_source();
    assert_int_equal(w.a->flights_by_set, 2);
    assert_int_equal(missed_of[0] + missed_of[1], 0);
}

/* Another session's row stands in the way of a copy for a while. The source must not stand still
 * for it: what follows is taken in. */
static void more_is_read_while_rows_are_copied(void **state)
{
    int key = 0;
    (void)state;
    seed = 15;
    open_both("SELECT");
    struct pg_conn *other = cluster_connect(PG_SQL);
    run_sql(other, "BEGIN");
    run_sql(other, "INSERT INTO d.t (id, n) VALUES (-15, 1)");
    begin(lsn);
    while (key < 1200)
        insert_row(key++);
    commit(lsn);
    int64_t until = clock_mono_ms() + 20000;
    while (!flight_is_copying(w.a) && clock_mono_ms() < until)
        ok(apply_pump(w.a, true, &w.e));
    assert_true(flight_is_copying(w.a));
    begin(lsn += 10);
    for (int more = 0; more < 1000; more++)
        insert_row(key++);
    ok(apply_pump(w.a, false, &w.e));
    assert_true(apply_may_read(w.a));
    assert_true(apply_awaits_answer(w.a));
    assert_true(flight_is_copying(w.a));
    commit(lsn);
    run_sql(other, "ROLLBACK");
    pg_close(other, false);
    ok(settle(true));
    assert_as_source();
    assert_int_equal(w.a->flights_by_set, 2);
}

/* A copy that fails is undone with the sets before it; what is in the way is named. */
static void a_row_in_the_way_of_a_copy_is_found_by_name(void **state)
{
    (void)state;
    seed = 14;
    open_both("INSERT INTO d.t (id, n) VALUES (1505, 1)");
    begin(lsn);
    for (int key = 0; key < 1300; key++)
        insert_row(key);
    for (int key = 0; key < 100; key++)
        delete_row(key);
    commit(lsn);
    ok(settle(true));
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 1201);
    begin(lsn += 10);
    for (int key = 200; key < 300; key++)
        update_row(key);
    for (int key = 1300; key < 2400; key++)
        insert_row(key);
    commit(lsn);
    assert_false(settle(true));
    assert_error(&w.e, ERR_CONFLICT, "23505");
    assert_string_equal(w.miss.key, "(id)=(1505)");
    assert_int_equal(w.miss.lsn, lsn);
    assert_int_equal(w.a->flights_by_set, 1);
    assert_int_equal(ask(w.c, PROGRESS), lsn - 5);
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 1201);
}

static void a_stale_epoch_applies_no_set(void **state)
{
    struct progress other;
    (void)state;
    seed = 10;
    open_both("SELECT");
    ok(progress_claim(w.c, NULL, ID, &other, &w.e));
    transaction(300, 0);
    assert_false(settle(true));
    assert_error(&w.e, ERR_FENCED, "");
    pg_close(w.dest, true);
    w.dest = NULL;
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.t"), 0);
}

/* What triggers see, they see in the source's order among all tables. */
static void tables_with_triggers_keep_the_order_of_all(void **state)
{
    (void)state;
    seed = 11;
    open_both("CREATE TABLE d.log (n serial, what text, had bigint);"
              "CREATE FUNCTION d.note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO "
              "d.log (what, had) SELECT tg_op || coalesce(new.id, old.id), (SELECT count(*) FROM "
              "d.t); RETURN NULL; END$$;"
              "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON d.u FOR EACH ROW EXECUTE "
              "FUNCTION d.note(); ALTER TABLE d.u ENABLE ALWAYS TRIGGER note");
    begin(lsn);
    for (int key = 0; key < 60; key++)
        insert_row(key); /* the plain table's comes first */
    for (int key = 0; key < 60; key++)
        delete_row(key);
    commit(lsn);
    ok(settle(true));
    assert_int_equal(ask(w.c, "SELECT count(*) FROM d.log WHERE what LIKE 'INSERT%' AND had = n"),
                     60);
    assert_int_equal(
        ask(w.c, "SELECT count(*) FROM d.log WHERE what LIKE 'DELETE%' AND had = 120 - n"), 60);
}

static void a_trigger_that_comes_later_ends_the_sets(void **state)
{
    (void)state;
    seed = 12;
    open_both("CREATE TABLE d.log (n bigint); CREATE FUNCTION d.note() RETURNS trigger LANGUAGE "
              "plpgsql AS $$BEGIN INSERT INTO d.log VALUES (new.n); RETURN NULL; END$$");
    transaction(200, 0);
    ok(settle(true));
    assert_true(w.a->flights_by_set > 0);
    run_sql(w.c, "CREATE TRIGGER note AFTER INSERT OR UPDATE ON d.t FOR EACH ROW EXECUTE FUNCTION "
                 "d.note(); ALTER TABLE d.t ENABLE ALWAYS TRIGGER note");
    int64_t before = w.inserted + w.updated;
    for (int i = 0; i < 3; i++) {
        transaction(200, 0);
        ok(settle(true));
    }
    assert_as_source();
    assert_int_equal(ask(w.c, "SELECT count(*) * 2 FROM d.log"), w.inserted + w.updated - before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(sets_and_single_changes_come_to_the_same),
        IN_WORLD(rows_that_are_missing_are_found_behind_sets),
        IN_WORLD(a_row_in_the_way_is_found_by_name),
        IN_WORLD(a_value_that_is_refused_is_told_with_its_row),
        IN_WORLD(a_transaction_of_many_chunks_is_seen_as_a_whole),
        IN_WORLD(copied_rows_are_those_of_the_source),
        IN_WORLD(more_is_read_while_rows_are_copied),
        IN_WORLD(a_row_in_the_way_of_a_copy_is_found_by_name),
        IN_WORLD(a_stale_epoch_applies_no_set),
        IN_WORLD(a_trigger_that_comes_later_ends_the_sets),
        IN_WORLD(tables_with_triggers_keep_the_order_of_all),
    };
    return cmocka_run_group_tests(tests, world_start_cluster, world_stop_cluster);
}
