/* See verify_world.h. */
#include "verify_world.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"
#include "copy/guard.h"
#include "copy/snapshot.h"
#include "tests/unit/server.h"

#define LIMIT_MS 120000

static struct server servers[2];
static const char *const settings[2] = {
    "max_connections=40",
    /* which must not matter */
    "max_connections=40 timezone=Asia/Tokyo datestyle=German intervalstyle=iso_8601 "
    "bytea_output=escape extra_float_digits=-5 xmlbinary=hex array_nulls=off "
    "default_transaction_isolation=serializable statement_timeout=1",
};

void servers_start(void)
{
    for (int i = 0; i < 2; i++)
        server_start(&servers[i], settings[i]);
}

void servers_stop(void)
{
    for (int i = 0; i < 2; i++)
        server_stop(&servers[i]);
}

static struct pg_conn *connect_to(const struct pg_target *t)
{
    struct err e = {0};
    struct pg_conn *c;
    if (!pg_connect(t, PG_APPLY, "test", NULL, NULL, LIMIT_MS, &c, &e))
        fail_msg("connect: %s", e.text);
    return c;
}

void world_run(struct pg_conn *c, const char *sql)
{
    struct err e = {0};
    if (!pg_exec(c, NULL, LIMIT_MS, sql, NULL, &e))
        fail_msg("%s: %s %s", sql, e.sqlstate, e.text);
}

int64_t world_int(struct pg_conn *c, const char *sql)
{
    struct err e = {0};
    struct pg_result *r;
    if (!pg_exec(c, NULL, LIMIT_MS, sql, &r, &e))
        fail_msg("%s: %s %s", sql, e.sqlstate, e.text);
    int64_t v = pg_rows(r) ? pg_int(r, 0, 0) : -1;
    pg_free(r);
    return v;
}

static void make_database(const struct server *s, const char *name, const char *extra,
                          struct pg_target *out)
{
    *out = server_target(s, "postgres");
    struct pg_conn *c = connect_to(out);
    char *sql = mem_printf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name);
    world_run(c, sql);
    free(sql);
    sql = mem_printf("CREATE DATABASE %s TEMPLATE template0 %s", name, extra ? extra : "");
    world_run(c, sql);
    free(sql);
    pg_close(c, false);
    out->database = name;
}

void world_open(struct world *w, const char *source_extra, const char *dest_extra)
{
    *w = (struct world){.workers = 2, .done_fd = wake_new()};
    make_database(&servers[0], "a", source_extra, &w->source);
    make_database(&servers[1], "b", dest_extra, &w->dest);
    w->src = connect_to(&w->source);
    w->dst = connect_to(&w->dest);
}

static void close_exporters(struct world *w)
{
    for (int i = 0; i < 2; i++) {
        pg_close(w->exporters[i], false);
        w->exporters[i] = NULL;
    }
}

void world_close(struct world *w)
{
    close_exporters(w);
    pg_close(w->src, false);
    pg_close(w->dst, false);
    schema_free(w->schema);
    wake_free(w->done_fd);
}

static char *export_from(const struct pg_target *t, struct pg_conn **out)
{
    struct err e = {0};
    struct pg_result *r;
    pg_close(*out, false);
    *out = connect_to(t);
    world_run(*out, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (!pg_exec(*out, NULL, LIMIT_MS, "SELECT pg_export_snapshot()", &r, &e))
        fail_msg("export: %s", e.text);
    char *name = mem_strdup(pg_text(r, 0, 0));
    pg_free(r);
    return name;
}

static void copy(struct world *w)
{
    struct err e = {0};
    struct snapshot_job *job;
    char *snapshot = export_from(&w->source, &w->exporters[0]);
    struct pg_conn *guard = connect_to(&w->source);
    if (!guard_begin(guard, NULL, snapshot, NULL, 0, &e))
        fail_msg("guard: %s", e.text);
    struct snapshot_plan plan = {.mirror = "test",
                                 .source = &w->source,
                                 .dest = &w->dest,
                                 .schema = w->schema,
                                 .snapshot = snapshot,
                                 .guard = guard,
                                 .rows_per_part = 250000,
                                 .workers_per_table = 2,
                                 .tables_in_parallel = 2,
                                 .memory_budget = 64 << 20,
                                 .done_fd = w->done_fd};
    if (!snapshot_start(&plan, &job, &e))
        fail_msg("copy: %s", e.text);
    while (!snapshot_is_over(job)) {
        struct pollfd fd = {.fd = w->done_fd, .events = POLLIN};
        (void)poll(&fd, 1, 1000);
        wake_clear(w->done_fd);
    }
    if (!snapshot_finish(job, &e))
        fail_msg("copy: %s", e.text);
    pg_close(guard, false);
    free(snapshot);
    close_exporters(w);
}

void world_mirror_maps(struct world *w, const struct table_map *maps, size_t n)
{
    struct err e = {0};
    struct table_map *resolved;
    if (!schema_resolve_maps(w->src, NULL, maps, n, &resolved, &n, &e) ||
        !schema_read(w->src, NULL, resolved, n, true, true, false, &w->schema, &e) ||
        !schema_create(w->dst, NULL, w->schema, true, "test", &e))
        fail_msg("definitions: %s %s", e.text, e.hint);
    for (size_t i = 0; i < n; i++)
        table_map_free(&resolved[i]);
    free(resolved);
    copy(w);
}

void world_mirror(struct world *w)
{
    struct table_map all = {.source_schema = "public", .source_table = "*"};
    world_mirror_maps(w, &all, 1);
}

static char *snapshots[2];

void world_export(struct world *w)
{
    free(snapshots[0]);
    free(snapshots[1]);
    snapshots[0] = export_from(&w->source, &w->exporters[0]);
    snapshots[1] = export_from(&w->dest, &w->exporters[1]);
}

void world_start(struct world *w)
{
    struct err e = {0};
    struct verify_plan plan = {.mirror = "test",
                               .source = &w->source,
                               .dest = &w->dest,
                               .source_snapshot = snapshots[0],
                               .dest_snapshot = snapshots[1],
                               .schema = w->schema,
                               .left_out = w->left_out,
                               .lsn = 4711,
                               .workers = w->workers,
                               .done_fd = w->done_fd};
    if (!verify_start(&plan, &w->job, &e))
        fail_msg("start: %s", e.text);
}

bool world_wait(struct world *w, int limit_ms)
{
    int64_t until = clock_mono_ms() + limit_ms;
    while (!verify_is_over(w->job)) {
        struct pollfd fd = {.fd = w->done_fd, .events = POLLIN};
        int64_t left = until - clock_mono_ms();
        if (left <= 0)
            return false;
        (void)poll(&fd, 1, (int)left);
        wake_clear(w->done_fd);
    }
    return true;
}

void world_verify(struct world *w, struct verify_report *out)
{
    struct err e = {0};
    world_export(w);
    world_start(w);
    assert_true(world_wait(w, LIMIT_MS));
    if (!verify_finish(w->job, out, &e))
        fail_msg("verify: %s [%s] %s", e.text, e.sqlstate, e.hint);
    close_exporters(w);
    assert_string_equal(out->ending, "complete");
    assert_int_equal(out->lsn, 4711);
}

const struct verify_table *found(const struct verify_report *r, const char *table)
{
    for (size_t i = 0; i < r->n_tables; i++)
        if (!strcmp(r->tables[i].source_table, table))
            return &r->tables[i];
    fail_msg("no table %s in the report", table);
    return NULL;
}

void assert_table(const struct verify_report *r, const char *table, enum verify_state state,
                  int64_t equal, int64_t differing, int64_t missing, int64_t extra)
{
    const struct verify_table *t = found(r, table);
    if (t->state == state && t->equal == equal && t->differing == differing &&
        t->missing == missing && t->extra == extra)
        return;
    for (size_t i = 0; i < t->n_rows && i < 5; i++)
        print_message("  %s %s\n", verify_kind_name(t->rows[i].kind), t->rows[i].values[0]);
    fail_msg("%s: %s, equal %lld differing %lld missing %lld extra %lld; %s", table,
             verify_state_name(t->state), (long long)t->equal, (long long)t->differing,
             (long long)t->missing, (long long)t->extra, t->reason ? t->reason : "");
}

int count_named(const struct verify_table *t, enum verify_kind kind, const char *values)
{
    int n = 0;
    for (size_t i = 0; i < t->n_rows; i++) {
        struct buf b = {0};
        for (size_t k = 0; k < t->rows[i].n_values; k++) {
            buf_puts(&b, k ? "|" : "");
            buf_puts(&b, t->rows[i].values[k]);
        }
        n += t->rows[i].kind == kind && !strcmp(buf_text(&b), values);
        buf_free(&b);
    }
    return n;
}
