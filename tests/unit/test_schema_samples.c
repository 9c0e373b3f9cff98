/* Promise: whatever happens to the definitions of a real database, one synchronisation makes the
 * mirror's equal again, and the next one finds nothing to do. Random, with a seed that is printed:
 * SEED and ROUNDS of the environment. */
#include "tests/unit/schema_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

#define CHANGES 12

static const struct schema_point end = {.applied = UINT64_MAX};

struct world {
    struct pg_conn *source, *dest;
    struct fixture_maps maps;
    struct mirror_config config;
    const char *const *allowed;
    int seed;
    char *done; /* what evolve did last */
};

static int number(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text ? (int)strtol(text, NULL, 10) : otherwise;
}

static void give_up(const struct world *w, const struct err *err, const char *what)
{
    print_error("SEED=%d\n%s", w->seed, w->done ? w->done : "");
    fail_msg("%s: %s %s", what, err->sqlstate, err->text);
}

static void plan(struct world *w, struct schema_plan *out)
{
    struct err err = {0};
    if (!schema_diff(w->source, w->dest, &fixture_task, &w->config, "m", out, &err))
        give_up(w, &err, "diff");
}

/* What the operator does with the columns that the source has dropped; nothing else is left to
 * them by these changes. */
static void drop_columns(struct world *w, const struct schema_plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct schema_step *s = &p->items[i];
        struct err err = {0};
        if (s->kind != STEP_MANUAL)
            continue;
        if (strncmp(s->what, "drop column", 11) != 0) {
            err_set(&err, ERR_INTERNAL, "%s", s->why);
            give_up(w, &err, s->what);
        }
        if (!pg_exec(w->dest, &fixture_task, 60000, s->sql, NULL, &err))
            give_up(w, &err, s->sql);
    }
}

static void assert_nothing_left(struct world *w)
{
    struct schema_plan p;
    plan(w, &p);
    for (size_t i = 0; i < p.n; i++) {
        struct err err = {0};
        err_set(&err, ERR_INTERNAL, "%s", p.items[i].sql ? p.items[i].sql : "-");
        if (p.items[i].kind != STEP_NOTE)
            give_up(w, &err, p.items[i].what);
    }
    schema_plan_free(&p);
}

static void evolve(struct world *w)
{
    char sql[80];
    struct schema_plan p;
    struct err err = {0};
    str_printf(sql, sizeof sql, "SELECT evolve.evolve(%d, %d)", w->seed, CHANGES);
    free(w->done);
    w->done = fixture_ask(w->source, sql);
    plan(w, &p);
    if (!schema_plan_run(w->dest, &fixture_task, &p, &end, "test", &err))
        give_up(w, &err, "run");
    drop_columns(w, &p);
    schema_plan_free(&p);
    assert_nothing_left(w);
    fixture_assert_same(w->source, w->dest, w->allowed);
}

/* Of several indexes of a partition that say the same, each server attaches one of its own choice
 * to a new one of the parent's. */
static const char no_twins[] =
    "DO $$ DECLARE i regclass; BEGIN FOR i IN SELECT x.indexrelid FROM pg_index x JOIN pg_class c"
    " ON c.oid = x.indrelid JOIN pg_class k ON k.oid = x.indexrelid WHERE c.relispartition AND NOT"
    " k.relispartition AND NOT x.indisunique LOOP EXECUTE format('DROP INDEX %s', i); END LOOP;"
    " END $$";

static void start_world(struct world *w, const char *name)
{
    char copy[64];
    struct err err = {0};
    str_printf(copy, sizeof copy, "copy_of_%s", name);
    w->source = fixture_sample(name);
    w->dest = fixture_database(copy);
    fixture_exec(w->source, no_twins);
    w->maps = fixture_maps(w->source, "public.*", NULL);
    fixture_mirror(w->source, w->dest, &w->maps);
    fixture_exec(w->dest, "CREATE SCHEMA _bunnydb");
    fixture_exec(w->dest, schema_book_create_sql);
    mirror_config_init(&w->config);
    w->config.tables = w->maps.items;
    w->config.n_tables = w->maps.n;
    assert_nothing_left(w);
    if (!schema_book_write(w->source, w->dest, &fixture_task, &w->config, "m", false, &err))
        give_up(w, &err, "book");
    fixture_run_file(w->source, fixture_path("tests/unit/schema_evolve.sql"));
}

static void live_through(const char *name, const char *const *allowed, int rounds)
{
    struct world w = {.allowed = allowed, .seed = number("SEED", 1)};
    start_world(&w, name);
    for (int i = 0; i < number("ROUNDS", rounds); i++, w.seed++)
        evolve(&w);
    fixture_assert_same_dump(name, "public");
    free(w.done);
    fixture_maps_free(&w.maps);
    pg_close(w.source, false);
    pg_close(w.dest, false);
}

/* The helpers' own sequence, and a text that a server does not print again as it was given it. */
#define HELPERS "evolve.names"

static void chinook_evolves(void **state)
{
    (void)state;
    static const char *const allowed[] = {HELPERS, NULL};
    live_through("chinook", allowed, 6);
}

static void northwind_evolves(void **state)
{
    (void)state;
    static const char *const allowed[] = {HELPERS, NULL};
    live_through("northwind", allowed, 6);
}

/* Partitions, an enum, domains, views that need columns. */
static void pagila_evolves(void **state)
{
    (void)state;
    static const char *const allowed[] = {HELPERS, "type public.\"b\xc4\xb1g\xc4\xb1nt\"",
                                          "type public.mpaa_rating", NULL};
    live_through("pagila", allowed, 6);
}

static int start(void **state)
{
    log_to_fd(2, LOG_LEVEL_ERROR);
    return fixture_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chinook_evolves),
        cmocka_unit_test(northwind_evolves),
        cmocka_unit_test(pagila_evolves),
    };
    return cmocka_run_group_tests(tests, start, fixture_stop);
}
