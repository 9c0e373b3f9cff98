/* Measures one comparison: bench_verify SOURCE_HOST PORT DB DEST_HOST PORT DB WORKERS compares all
 * tables of public and prints the seconds it took, beside those of the least that any comparison
 * has to do: both servers at once print all columns of all rows as text and count them, with one
 * session each. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../unit/copy_pair.h"
#include "base/clock.h"
#include "base/mem.h"
#include "copy/verify.h"

#define LIMIT_MS 3600000

static const struct schema *schema;

static char *export_from(struct pg_conn *c)
{
    struct err e = {0};
    struct pg_result *r;
    pair_run(c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (!pg_exec(c, NULL, LIMIT_MS, "SELECT pg_export_snapshot()", &r, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    char *name = mem_strdup(pg_text(r, 0, 0));
    pg_free(r);
    return name;
}

static void *count_all(void *arg)
{
    pair_run(arg, "SET max_parallel_workers_per_gather = 0; SET jit = off");
    for (size_t i = 0; i < schema->n_tables; i++) {
        struct buf b = {0};
        buf_puts(&b, "SELECT count(ROW(");
        for (size_t c = 0; c < schema->tables[i].n_columns; c++) {
            buf_puts(&b, c ? ", " : "");
            pg_quote_ident(&b, schema->tables[i].columns[c].name);
        }
        buf_puts(&b, ")::text) FROM ");
        pg_quote_qualified(&b, schema->tables[i].schema, schema->tables[i].name);
        (void)pair_int(arg, buf_text(&b));
        buf_free(&b);
    }
    return NULL;
}

static double count_both(struct copy_pair *p)
{
    pthread_t other;
    int64_t before = clock_mono_ms();
    if (pthread_create(&other, NULL, count_all, p->dst))
        exit(1);
    (void)count_all(p->src);
    pthread_join(other, NULL);
    return (double)(clock_mono_ms() - before) / 1000.0;
}

static void read_definitions(struct copy_pair *p)
{
    struct err e = {0};
    struct table_map all = {.source_schema = "public", .source_table = "*"}, *maps;
    size_t n;
    if (!schema_resolve_maps(p->src, NULL, &all, 1, &maps, &n, &e) ||
        !schema_read(p->src, NULL, maps, n, false, false, false, &p->schema, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    for (size_t i = 0; i < n; i++)
        table_map_free(&maps[i]);
    free(maps);
    schema = p->schema;
}

static double compare(struct copy_pair *p, int workers, struct verify_report *report)
{
    struct err e = {0};
    char *source = export_from(p->exporter), *dest = export_from(p->dst);
    struct verify_plan plan = {.mirror = "bench",
                               .source = &p->source,
                               .dest = &p->dest,
                               .source_snapshot = source,
                               .dest_snapshot = dest,
                               .schema = p->schema,
                               .workers = workers,
                               .done_fd = p->done_fd};
    struct verify_job *job;
    int64_t before = clock_mono_ms();
    bool ok = verify_start(&plan, &job, &e);
    struct timespec nap = {.tv_nsec = 5000000};
    while (ok && !verify_is_over(job))
        nanosleep(&nap, NULL);
    if (!ok || !verify_finish(job, report, &e)) {
        fprintf(stderr, "%s [%s] %s\n", e.text, e.sqlstate, e.hint);
        exit(1);
    }
    free(source);
    free(dest);
    return (double)(clock_mono_ms() - before) / 1000.0;
}

int main(int argc, char **argv)
{
    struct copy_pair p;
    struct verify_report r;
    if (argc != 8) {
        fputs("usage: bench_verify SOURCE_HOST PORT DB DEST_HOST PORT DB WORKERS\n", stderr);
        return 2;
    }
    pair_open(&p, argv[1], (int)strtol(argv[2], NULL, 10), argv[3], argv[4],
              (int)strtol(argv[5], NULL, 10), argv[6]);
    read_definitions(&p);
    double least = count_both(&p);
    double took = compare(&p, (int)strtol(argv[7], NULL, 10), &r);
    int64_t rows = 0, differences = 0;
    for (size_t i = 0; i < r.n_tables; i++) {
        rows += verify_rows_compared(&r.tables[i]);
        differences += verify_rows_compared(&r.tables[i]) - r.tables[i].equal;
    }
    printf("%.2f s for %lld rows, %lld differences; counted as text: %.2f s\n", took,
           (long long)rows, (long long)differences, least);
    verify_report_free(&r);
    pair_close(&p);
    return 0;
}
