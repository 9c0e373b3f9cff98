/* The copy job as its owner sees it: begun, watched, cancelled, joined. See snapshot.h. */
#include "copy/snapshot.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/wake.h"
#include "copy/job.h"

#define GATHER_BYTES (64 * 1024)
#define GATHER_LEAST_BYTES (8 * 1024)
#define UNSENT_MS 250 /* how often a worker that waits looks at what is still to be sent */
#define INDEX_MEMORY ((int64_t)2 << 30)

static bool is_stopping(void *arg)
{
    struct worker *w = arg;
    return atomic_load(&w->job->stop);
}

/* --- Building the job ------------------------------------------------------------------------ */

/* Parents come before their partitions, and both have the root's mapping. */
static struct table_run *find_root(struct snapshot_job *j, size_t table)
{
    for (size_t i = 0; i < table && !j->plan.is_aside; i++) {
        const struct schema_table *t = j->tables[i].def;
        if (t->is_partitioned && t->mapping == j->tables[table].def->mapping)
            return &j->tables[i];
    }
    return &j->tables[table];
}

static bool comes_before(const struct snapshot_job *j, const struct table_run *t, size_t a,
                         size_t b)
{
    bool alone = post_is_exclusive(&t->def->indexes[a]);
    if (alone != post_is_exclusive(&t->def->indexes[b]))
        return alone;
    return outlook_index_cost(j, t, a) > outlook_index_cost(j, t, b);
}

static void order_indexes(struct snapshot_job *j, struct table_run *t)
{
    t->index_order = mem_calloc(t->def->n_indexes, sizeof *t->index_order);
    for (size_t i = 0; i < t->def->n_indexes; i++) {
        size_t at = i;
        for (; at > 0 && comes_before(j, t, i, t->index_order[at - 1]); at--)
            t->index_order[at] = t->index_order[at - 1];
        t->index_order[at] = i;
    }
}

static bool has_twins(const struct schema_table *t)
{
    for (size_t i = 0; i < t->n_indexes; i++)
        if (t->indexes[i].twin)
            return true;
    return false;
}

static int by_size(const void *a, const void *b)
{
    const struct table_run *x = *(struct table_run *const *)a, *y = *(struct table_run *const *)b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return x < y ? -1 : x > y;
}

static void add_tables(struct snapshot_job *j, const struct snapshot_plan *p)
{
    const struct schema *s = p->schema;
    j->n_tables = s->n_tables;
    j->tables = mem_calloc(s->n_tables, sizeof *j->tables);
    j->order = mem_calloc(s->n_tables, sizeof *j->order);
    for (size_t i = 0; i < s->n_tables; i++) {
        struct table_run *t = &j->tables[i];
        t->def = &s->tables[i];
        t->cut = range_cut(t->def, s->server_version, p->rows_per_part, p->workers_per_table);
        t->index_parts = mem_calloc(t->def->n_indexes, sizeof *t->index_parts);
        t->has_twins = has_twins(t->def);
        t->state = t->def->is_partitioned ? SNAP_NONE : SNAP_QUEUED;
        t->weight = t->def->bytes;
        t->root = find_root(j, i);
        if (t->root != t)
            t->root->weight += t->weight;
        t->root->leaves_left += !t->def->is_partitioned;
        t->root->tree_left += t->cut.n + t->def->n_indexes + t->has_twins;
        t->is_settled = p->is_aside && t->def->is_partitioned;
        j->ranges_left += t->cut.n;
        j->indexes_left += t->def->n_indexes;
        j->order[i] = t;
    }
    for (size_t i = 0; i < s->n_tables; i++)
        order_indexes(j, &j->tables[i]);
    qsort(j->order, j->n_tables, sizeof(struct table_run *), by_size);
}

static int count_workers(const struct snapshot_job *j)
{
    const struct snapshot_plan *p = &j->plan;
    size_t n = (size_t)(p->workers_per_table > p->tables_in_parallel ? p->workers_per_table
                                                                     : p->tables_in_parallel);
    size_t work = j->ranges_left + j->indexes_left;
    if (n > work)
        n = work;
    if (n > COPY_MAX_WORKERS)
        n = COPY_MAX_WORKERS;
    return n < 1 ? 1 : (int)n;
}

static void add_workers(struct snapshot_job *j)
{
    j->n_workers = count_workers(j);
    j->workers = mem_calloc((size_t)j->n_workers, sizeof *j->workers);
    for (int i = 0; i < j->n_workers; i++) {
        struct worker *w = &j->workers[i];
        w->job = j;
        w->index = i;
        w->holds = mem_calloc(j->n_tables + 1, sizeof *w->holds);
        w->wake_fd = wake_new();
        w->task = (struct task){
            .wake_fd = w->wake_fd, .is_cancelled = is_stopping, .arg = w, .tick_ms = UNSENT_MS};
    }
}

/* libpq's buffers take most of a worker's memory; what we gather is bounded with them. */
static void share_memory(struct snapshot_job *j)
{
    size_t share = j->plan.memory_budget / ((size_t)j->n_workers * 8);
    j->gather_bytes = GATHER_BYTES;
    if (share && share < j->gather_bytes)
        j->gather_bytes = share > GATHER_LEAST_BYTES ? share : GATHER_LEAST_BYTES;
    int64_t all = j->plan.index_memory ? j->plan.index_memory : INDEX_MEMORY;
    j->index_memory_kb = all / j->n_workers / 1024;
}

static struct snapshot_job *job_new(const struct snapshot_plan *p)
{
    struct snapshot_job *j = mem_calloc(1, sizeof *j);
    j->plan = *p;
    if (j->plan.workers_per_table < 1)
        j->plan.workers_per_table = 1;
    if (j->plan.tables_in_parallel < 1)
        j->plan.tables_in_parallel = 1;
    j->mirror = mem_strdup(p->mirror);
    j->snapshot = mem_strdup(p->snapshot);
    j->app = mem_printf("bunnydb copy %s", p->mirror);
    j->commit = p->fence ? mem_printf("%s; COMMIT", p->fence) : NULL;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->changed, NULL);
    atomic_store(&j->phase_said, -1);
    add_tables(j, p);
    add_workers(j);
    share_memory(j);
    j->n_untaken = j->ranges_left + j->indexes_left;
    outlook_init(j);
    return j;
}

static void job_free(struct snapshot_job *j)
{
    for (int i = 0; i < j->n_workers; i++) {
        wake_free(j->workers[i].wake_fd);
        buf_free(&j->workers[i].gather);
        free(j->workers[i].holds);
    }
    for (size_t i = 0; i < j->n_tables; i++) {
        free(j->tables[i].index_order);
        free(j->tables[i].index_parts);
    }
    free(j->workers);
    free(j->tables);
    free(j->order);
    free(j->returned);
    free(j->mirror);
    free(j->snapshot);
    free(j->app);
    free(j->commit);
    pthread_cond_destroy(&j->changed);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

/* --- Threads --------------------------------------------------------------------------------- */

static void join_workers(struct snapshot_job *j, int n)
{
    for (int i = 0; i < n; i++)
        pthread_join(j->workers[i].thread, NULL);
}

/* Signals go to the process' main thread alone. */
static int start_workers(struct snapshot_job *j, int *n_started)
{
    sigset_t all, before;
    int failed = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (*n_started = 0; *n_started < j->n_workers && !failed;) {
        struct worker *w = &j->workers[*n_started];
        failed = pthread_create(&w->thread, NULL, worker_main, w);
        if (!failed)
            (*n_started)++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

bool snapshot_start(const struct snapshot_plan *plan, struct snapshot_job **out, struct err *err)
{
    int n_started;
    struct snapshot_job *j = job_new(plan);
    *out = NULL;
    int failed = start_workers(j, &n_started);
    if (failed) {
        queue_stop(j);
        join_workers(j, n_started);
        job_free(j);
        return err_set(err, ERR_MEMORY, "start a copy worker: %s", strerror(failed));
    }
    j->observer = observer_start(j);
    *out = j;
    return true;
}

bool snapshot_is_imported(const struct snapshot_job *j)
{
    return atomic_load(&j->n_imported) == j->n_workers || snapshot_is_over(j);
}

bool snapshot_is_over(const struct snapshot_job *j)
{
    return atomic_load(&j->n_left) == j->n_workers;
}

void snapshot_cancel(struct snapshot_job *j)
{
    queue_stop(j);
}

bool snapshot_finish(struct snapshot_job *j, struct err *err)
{
    if (!snapshot_is_over(j))
        queue_stop(j);
    join_workers(j, j->n_workers);
    observer_finish(j->observer);
    bool ok = j->stage == STAGE_OVER && !j->has_failed;
    if (ok)
        outlook_say_busy(j, "end");
    if (j->has_failed && err)
        *err = j->err;
    else if (!ok)
        err_set(err, ERR_CANCELLED, "the copy was cancelled");
    job_free(j);
    mem_give_back();
    return ok;
}

/* --- Progress -------------------------------------------------------------------------------- */

const char *snapshot_phase(const struct snapshot_job *j)
{
    switch ((enum phase)atomic_load(&j->phase)) {
    case PHASE_COPYING:
        return "copying";
    case PHASE_INDEXES:
        return "building_indexes";
    case PHASE_ANALYZE:
        return "analyzing";
    case PHASE_FKEYS:
        return "adding_foreign_keys";
    }
    return "copying";
}
