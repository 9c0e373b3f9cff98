/* Cases of schema synchronisation; see diff_fixture.h. */
#include "tests/unit/diff_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "schema/sequences.h"

#define MIRROR_ID "5b2ff0d3"

struct pg_conn *diff_source, *diff_dest;
const struct schema_point diff_end = {.applied = UINT64_MAX};
static struct mirror_config config;
static struct fixture_maps maps;

int diff_start(void **state)
{
    fixture_set("jit=off");
    fixture_set("autovacuum=off");
    int code = fixture_start(state);
    if (code)
        return code;
    log_to_fd(2, LOG_LEVEL_WARN);
    diff_source = fixture_database("diff_source");
    diff_dest = fixture_database("diff_dest");
    /* A test that failed with a lock held does not hang those after it. */
    fixture_exec(diff_dest, "SET lock_timeout = '5s'");
    fixture_exec(diff_dest, "CREATE SCHEMA _bunnydb");
    fixture_exec(diff_dest, schema_book_create_sql);
    fixture_exec(diff_dest, sequences_create_sql);
    return 0;
}

static void forget_config(void)
{
    config.tables = NULL;
    config.n_tables = 0;
    mirror_config_free(&config);
    fixture_maps_free(&maps);
    maps = (struct fixture_maps){0};
}

int diff_stop(void **state)
{
    forget_config();
    pg_close(diff_source, false);
    pg_close(diff_dest, false);
    return fixture_stop(state);
}

bool diff_try(struct pg_conn *source, struct pg_conn *dest, struct schema_plan *out,
              struct err *err)
{
    return schema_diff(source, dest, &fixture_task, &config, MIRROR_ID, out, err);
}

static void write_book(const struct mirror_config *c, bool in_transaction)
{
    struct err err = {0};
    if (!schema_book_write(diff_source, diff_dest, &fixture_task, c, MIRROR_ID, in_transaction,
                           &err))
        fail_msg("book: %s", err.text);
}

void diff_write_book(const char *map)
{
    struct mirror_config part = config;
    struct fixture_maps one = fixture_maps(diff_source, map, NULL);
    part.tables = one.items;
    part.n_tables = one.n;
    write_book(&part, false);
    fixture_maps_free(&one);
}

void diff_write_book_in_transaction(void)
{
    write_book(&config, true);
}

/* Pieces between ";;" are transactions of their own. */
static void run_pieces(struct pg_conn *c, const char *sql)
{
    while (sql) {
        const char *end = strstr(sql, ";;");
        char *piece = mem_printf("%.*s", (int)(end ? end - sql : (long)strlen(sql)), sql);
        fixture_exec(c, piece);
        free(piece);
        sql = end ? end + 2 : NULL;
    }
}

void diff_prepare(const struct diff_case *c)
{
    fixture_exec(diff_source, "DROP SCHEMA IF EXISTS t, u CASCADE; CREATE SCHEMA t");
    fixture_exec(diff_dest, "DROP SCHEMA IF EXISTS t, u CASCADE;"
                            " TRUNCATE _bunnydb.table_parts, _bunnydb.sequences");
    fixture_exec(diff_source, c->before);
    forget_config();
    maps = fixture_maps(diff_source, c->map ? c->map : "t.*", NULL);
    fixture_mirror(diff_source, diff_dest, &maps);
    mirror_config_init(&config);
    config.tables = maps.items;
    config.n_tables = maps.n;
    if (c->rows)
        fixture_exec(diff_dest, c->rows);
    if (!c->no_book)
        write_book(&config, false);
    run_pieces(diff_source, c->after);
    if (c->dest_after)
        fixture_exec(diff_dest, c->dest_after);
}

void diff_plan(const struct diff_case *c, struct schema_plan *out)
{
    struct err err = {0};
    if (!diff_try(diff_source, diff_dest, out, &err))
        fail_msg("%s: %s %s", c->name, err.sqlstate, err.text);
    /* Every statement of ours is one, and both sessions are left as they were. */
    fixture_assert_answer(diff_dest, "SELECT count(*) FROM pg_class WHERE relname LIKE 'bunny%'",
                          "0");
}

char *diff_text(const struct schema_plan *p)
{
    static const char letters[] = "rmn";
    struct buf b = {0};
    for (size_t i = 0; i < p->n; i++) {
        const struct schema_step *s = &p->items[i];
        assert_non_null(s->what);
        assert_true(s->kind == STEP_RUN ? !s->why && s->sql : s->why != NULL);
        buf_printf(&b, "%c%s%s%s%s%s%s %s\n", letters[s->kind], s->is_optional ? "o" : "",
                   s->runs_first ? "f" : "", s->is_late ? "l" : "", s->at_point ? "p" : "",
                   s->needs_copy ? "c" : "", s->is_refused ? "x" : "", s->sql ? s->sql : "-");
    }
    for (size_t k = 0; k < b.len; k++)
        if (b.data[k] == '"')
            b.data[k] = '`';
        else if (b.data[k] == '\n' && b.data[k + 1] == ' ') /* inside a statement */
            b.data[k] = ' ';
    return buf_take(&b);
}

void diff_assert_text(const char *expected, const struct schema_plan *p)
{
    char *text = diff_text(p);
    if (strcmp(text, expected) != 0) {
        print_error("expected:\n%sis:\n", expected);
        for (size_t i = 0; i < p->n; i++) {
            const struct schema_plan one = {.items = &p->items[i], .n = 1};
            char *line = diff_text(&one);
            print_error("%s  %s: %s\n", line, p->items[i].what,
                        p->items[i].why ? p->items[i].why : "");
            free(line);
        }
        fail();
    }
    free(text);
}

void diff_run_plan(struct schema_plan *p)
{
    struct err err = {0};
    if (!schema_plan_run(diff_dest, &fixture_task, p, &diff_end, "test", &err))
        fail_msg("%s %s (%s)", err.sqlstate, err.text, err.hint);
}

/* The lines of plan that no run does away with. */
static char *without_runs(const char *plan)
{
    struct buf b = {0};
    while (*plan) {
        size_t n = strcspn(plan, "\n") + 1;
        if (*plan != 'r')
            buf_add(&b, plan, n);
        plan += n;
    }
    return buf_take(&b);
}

static void assert_same_rows(void)
{
    static const char sql[] = "SELECT string_agg(x::text, ';' ORDER BY x::text) FROM t.a x";
    char *expected = fixture_ask(diff_source, sql);
    fixture_assert_answer(diff_dest, sql, expected);
    free(expected);
}

void diff_check(const struct diff_case *c)
{
    struct schema_plan plan;
    diff_prepare(c);
    diff_plan(c, &plan);
    print_message("case: %s\n", c->name);
    diff_assert_text(c->plan, &plan);
    diff_run_plan(&plan);
    schema_plan_free(&plan);
    char *again = c->again ? mem_strdup(c->again) : without_runs(c->plan);
    diff_plan(c, &plan);
    diff_assert_text(again, &plan);
    schema_plan_free(&plan);
    free(again);
    if (c->check)
        fixture_assert_answer(diff_dest, c->check, c->answer);
    if (c->same_rows)
        assert_same_rows();
    fixture_assert_same(diff_source, diff_dest, c->allowed);
}
