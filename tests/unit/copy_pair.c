/* See copy_pair.h. */
#include "copy_pair.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"
#include "copy/guard.h"

#define LIMIT_MS 600000

static void must(bool ok, const struct err *e, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s: %s [%s] %s\n", what, e->text, e->sqlstate, e->hint);
    exit(1);
}

void pair_run(struct pg_conn *c, const char *sql)
{
    struct err e = {0};
    bool ok = pg_exec(c, NULL, LIMIT_MS, sql, NULL, &e);
    must(ok, &e, sql);
}

int64_t pair_int(struct pg_conn *c, const char *sql)
{
    struct err e = {0};
    struct pg_result *r;
    bool ok = pg_exec(c, NULL, LIMIT_MS, sql, &r, &e);
    must(ok, &e, sql);
    int64_t v = pg_rows(r) ? pg_int(r, 0, 0) : -1;
    pg_free(r);
    return v;
}

static struct pg_target target(const char *host, int port, const char *database)
{
    return (struct pg_target){.host = host, .port = port, .user = "postgres", .database = database};
}

void pair_open(struct copy_pair *p, const char *host, int port, const char *source,
               const char *dest_host, int dest_port, const char *dest)
{
    struct err e = {0};
    *p = (struct copy_pair){.workers = 4, .rows_per_part = 250000, .done_fd = wake_new()};
    p->source = target(host, port, source);
    p->dest = target(dest_host, dest_port, dest);
    bool ok = pg_connect(&p->source, PG_SQL, "test", NULL, NULL, LIMIT_MS, &p->src, &e);
    must(ok, &e, "source");
    ok = pg_connect(&p->source, PG_SQL, "test", NULL, NULL, LIMIT_MS, &p->exporter, &e);
    must(ok, &e, "source");
    ok = pg_connect(&p->dest, PG_APPLY, "test", NULL, NULL, LIMIT_MS, &p->dst, &e);
    must(ok, &e, "destination");
}

void pair_close(struct copy_pair *p)
{
    pg_close(p->src, false);
    pg_close(p->exporter, false);
    pg_close(p->guard, true);
    pg_close(p->dst, false);
    schema_free(p->schema);
    free(p->snapshot);
    wake_free(p->done_fd);
}

void pair_prepare(struct copy_pair *p)
{
    struct err e = {0};
    struct table_map all = {.source_schema = "public", .source_table = "*"}, *maps;
    struct pg_result *r;
    size_t n;
    bool ok = schema_resolve_maps(p->src, NULL, &all, 1, &maps, &n, &e);
    must(ok, &e, "mappings");
    ok = schema_read(p->src, NULL, maps, n, true, true, false, &p->schema, &e);
    must(ok, &e, "definitions");
    ok = schema_create(p->dst, NULL, p->schema, true, "test", &e);
    must(ok, &e, "creation");
    for (size_t i = 0; i < n; i++)
        table_map_free(&maps[i]);
    free(maps);
    pair_run(p->exporter, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    ok = pg_exec(p->exporter, NULL, LIMIT_MS, "SELECT pg_export_snapshot()", &r, &e);
    must(ok, &e, "export");
    p->snapshot = mem_strdup(pg_text(r, 0, 0));
    pg_free(r);
}

bool pair_guard(struct copy_pair *p, struct err *err)
{
    struct table_name *names = mem_calloc(p->schema->n_tables + 1, sizeof *names);
    for (size_t i = 0; i < p->schema->n_tables; i++) {
        str_copy(names[i].schema, NAME_SIZE, p->schema->tables[i].schema);
        str_copy(names[i].table, NAME_SIZE, p->schema->tables[i].name);
    }
    bool ok = pg_connect(&p->source, PG_SQL, "test", NULL, NULL, LIMIT_MS, &p->guard, err) &&
              guard_begin(p->guard, NULL, p->snapshot, names, p->schema->n_tables, err) &&
              guard_check(p->guard, NULL, p->schema, err);
    free(names);
    return ok;
}

void pair_start(struct copy_pair *p)
{
    struct err e = {0};
    if (!p->guard)
        must(pair_guard(p, &e), &e, "guard");
    struct snapshot_plan plan = {
        .mirror = "test",
        .source = &p->source,
        .dest = &p->dest,
        .schema = p->schema,
        .snapshot = p->snapshot,
        .guard = p->guard,
        .rows_per_part = p->rows_per_part,
        .workers_per_table = p->workers,
        .tables_in_parallel = p->workers,
        .memory_budget = 64 << 20,
        .fence = p->fence,
        .done_fd = p->done_fd,
    };
    bool ok = snapshot_start(&plan, &p->job, &e);
    must(ok, &e, "start");
}

bool pair_wait(struct copy_pair *p, int limit_ms)
{
    int64_t deadline = clock_mono_ms() + limit_ms;
    while (!snapshot_is_over(p->job)) {
        struct pollfd fd = {.fd = p->done_fd, .events = POLLIN};
        int64_t left = deadline - clock_mono_ms();
        if (left <= 0)
            return false;
        (void)poll(&fd, 1, (int)left);
        wake_clear(p->done_fd);
    }
    return true;
}

bool pair_finish(struct copy_pair *p, struct err *err)
{
    bool ok = snapshot_finish(p->job, err);
    p->job = NULL;
    return ok;
}
