/* How far indexes are that take long: asked of the destination's own report (PostgreSQL, "CREATE
 * INDEX Progress Reporting"), on a connection that is made when the first one does. What cannot be
 * asked is not known, and no error. */
#include "copy/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "copy/errand.h"

#define LOOK_MS 500
#define LONG_MS 700
#define CONNECT_MS 10000
#define ASK_MS 5000

#define SORT_ROW_BYTES 40.0 /* that a row takes in memory beside its entry in the index */

/* Of a B-tree's time, as measured: until all rows are read, and until they are sorted. What has
 * room in memory is sorted in between; else most of it while rows are read. */
struct shares {
    double read, sorted;
};
static const struct shares in_memory = {0.3, 0.7}, in_memory_collated = {0.12, 0.78},
                           on_disk = {0.65, 0.75};

struct observer {
    struct errand errand;
    struct snapshot_job *job;
    struct pg_conn *dest;
    int wake_fd; /* nobody listens */
};

static const char ask_sql[] =
    "SELECT pid, CASE WHEN phase LIKE 'building index: loading tuples%' THEN 3"
    " WHEN phase LIKE 'building index: sorting%' THEN 2"
    " WHEN phase LIKE 'building index: scanning%' THEN 1 ELSE 0 END,"
    " blocks_total, blocks_done, tuples_total, tuples_done"
    " FROM pg_catalog.pg_stat_progress_create_index"
    " WHERE datname = pg_catalog.current_database() AND coalesce(partitions_total, 0) = 0";

static bool has_long_index(struct snapshot_job *j)
{
    int64_t now = clock_mono_ms();
    bool found = false;
    pthread_mutex_lock(&j->lock);
    for (int i = 0; i < j->n_workers; i++) {
        const struct worker *w = &j->workers[i];
        found |= w->has_unit && w->unit.kind == UNIT_INDEX && now - w->unit_since >= LONG_MS &&
                 !j->tables[w->unit.table].def->is_partitioned;
    }
    pthread_mutex_unlock(&j->lock);
    return found;
}

static double share(const struct pg_result *r, size_t row, size_t column)
{
    double total = (double)pg_int(r, row, column), done = (double)pg_int(r, row, column + 1);
    return total > 0 && done <= total ? done / total : 0;
}

static const struct shares *shares_of(const struct snapshot_job *j, const struct worker *w)
{
    const struct schema_table *t = j->tables[w->unit.table].def;
    const struct schema_index *x = &t->indexes[w->unit.item];
    double rows = t->rows > 0 ? t->rows : 0;
    if ((double)x->bytes + rows * SORT_ROW_BYTES > (double)j->index_memory_kb * 1024)
        return &on_disk;
    return x->is_collated ? &in_memory_collated : &in_memory;
}

/* An access method without phases of its own reads the table, and that is it. While rows are sorted
 * the server does not say how far that is. */
static double part_of(const struct pg_result *r, size_t row, const struct shares *s)
{
    switch (pg_int(r, row, 1)) {
    case 3:
        return s->sorted + (1 - s->sorted) * share(r, row, 4);
    case 2:
        return s->read;
    case 1:
        return s->read * share(r, row, 2);
    default:
        return share(r, row, 2);
    }
}

static void note(struct snapshot_job *j, const struct pg_result *r)
{
    pthread_mutex_lock(&j->lock);
    for (size_t row = 0; row < pg_rows(r); row++) {
        for (int i = 0; i < j->n_workers; i++) {
            struct worker *w = &j->workers[i];
            struct table_run *t = &j->tables[w->unit.table];
            if (!w->has_unit || w->unit.kind != UNIT_INDEX || t->def->is_partitioned ||
                atomic_load(&w->dest_pid) != (int)pg_int(r, row, 0) ||
                clock_mono_ms() - w->unit_since < LONG_MS)
                continue;
            double part = part_of(r, row, shares_of(j, w));
            part = part > 0.98 ? 0.98 : part;
            if (part <= t->index_parts[w->unit.item])
                continue;
            outlook_tick(j);
            t->index_parts[w->unit.item] = part;
            w->part_clock = j->clock;
        }
    }
    pthread_mutex_unlock(&j->lock);
}

static bool look(struct observer *o, struct err *err)
{
    struct pg_result *r = NULL;
    if (!o->dest && !pg_connect(o->job->plan.dest, PG_SQL, o->job->app, NULL, &o->errand.task,
                                CONNECT_MS, &o->dest, err))
        return false;
    bool ok = pg_exec(o->dest, &o->errand.task, ASK_MS, ask_sql, &r, err);
    if (ok)
        note(o->job, r);
    pg_free(r);
    return ok;
}

static void observer_main(void *arg)
{
    struct observer *o = arg;
    struct err err = {0};
    beat_does("looks how far indexes are");
    while (errand_sleep(&o->errand, LOOK_MS, &err)) {
        if (!has_long_index(o->job) || look(o, &err))
            continue;
        if (err.code != ERR_CANCELLED)
            log_debug("copy", o->job->mirror, "how far indexes are is not known: %s", err.text);
        break;
    }
    pg_close(o->dest, false);
}

struct observer *observer_start(struct snapshot_job *j)
{
    struct observer *o = mem_calloc(1, sizeof *o);
    struct err err = {0};
    o->job = j;
    o->wake_fd = wake_new();
    errand_init(&o->errand, "b:copy-watch", observer_main, o, o->wake_fd);
    o->errand.mirror = j->mirror;
    if (errand_start(&o->errand, &err))
        return o;
    log_debug("copy", j->mirror, "how far indexes are is not known: %s", err.text);
    observer_finish(o);
    return NULL;
}

void observer_finish(struct observer *o)
{
    if (!o)
        return;
    errand_join(&o->errand);
    wake_free(o->wake_fd);
    free(o);
}
