/* A verify job as its owner sees it: begun, watched, cancelled, joined. See verify.h. */
#include "copy/verify.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"
#include "copy/verify_job.h"

static bool is_stopping(void *arg)
{
    struct verifier *v = arg;
    return atomic_load(&v->job->stop);
}

/* --- Building the job ------------------------------------------------------------------------ */

static void add_table(struct verify_run *t, const struct schema_table *def, const char *left_out)
{
    t->def = def;
    struct verify_table *o = &t->out;
    str_copy(o->source_schema, sizeof o->source_schema, def->schema);
    str_copy(o->source_table, sizeof o->source_table, def->name);
    str_copy(o->dest_schema, sizeof o->dest_schema, def->dest_schema);
    str_copy(o->dest_table, sizeof o->dest_table, def->dest_name);
    if (!left_out && !def->is_partitioned)
        return;
    t->step = STEP_DONE;
    o->state = VERIFY_LEFT_OUT;
    o->reason = mem_strdup(left_out);
}

static int by_size(const void *a, const void *b)
{
    const struct verify_run *x = *(struct verify_run *const *)a;
    const struct verify_run *y = *(struct verify_run *const *)b;
    if (x->def->bytes != y->def->bytes)
        return x->def->bytes < y->def->bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

static void add_tables(struct verify_job *j, const struct verify_plan *p)
{
    const struct schema *s = p->schema;
    j->n_tables = s->n_tables;
    j->tables = mem_calloc(s->n_tables + 1, sizeof *j->tables);
    j->order = mem_calloc(s->n_tables + 1, sizeof *j->order);
    for (size_t i = 0; i < s->n_tables; i++) {
        add_table(&j->tables[i], &s->tables[i], p->left_out ? p->left_out[i] : NULL);
        j->order[i] = &j->tables[i];
    }
    qsort(j->order, j->n_tables, sizeof *j->order, by_size);
}

static void add_workers(struct verify_job *j)
{
    int n = j->plan.workers;
    j->n_workers = n < 1 ? 1 : n > VERIFY_MAX_WORKERS ? VERIFY_MAX_WORKERS : n;
    j->workers = mem_calloc((size_t)j->n_workers, sizeof *j->workers);
    for (int i = 0; i < j->n_workers; i++) {
        struct verifier *v = &j->workers[i];
        v->job = j;
        v->index = i;
        v->wake_fd = wake_new();
        v->task = (struct task){
            .wake_fd = v->wake_fd, .is_cancelled = is_stopping, .arg = v, .is_leaving = true};
    }
}

static struct verify_job *job_new(const struct verify_plan *p)
{
    struct verify_job *j = mem_calloc(1, sizeof *j);
    j->plan = *p;
    j->plan.max_rows = p->max_rows > 0 ? p->max_rows : VERIFY_MAX_ROWS;
    j->mirror = mem_strdup(p->mirror);
    j->snapshots[SOURCE] = mem_strdup(p->source_snapshot);
    j->snapshots[DEST] = mem_strdup(p->dest_snapshot);
    j->app = mem_printf("bunnydb verify %s", p->mirror);
    j->began_at = clock_wall_us();
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->changed, NULL);
    add_tables(j, p);
    add_workers(j);
    return j;
}

static void job_free(struct verify_job *j)
{
    for (int i = 0; i < j->n_workers; i++)
        wake_free(j->workers[i].wake_fd);
    for (size_t i = 0; i < j->n_tables; i++) {
        struct verify_run *t = &j->tables[i];
        for (int s = 0; s < N_SIDES; s++)
            verify_reading_free(&t->sides[s], t->n_key);
        free(t->differs);
        verify_table_free(&t->out);
    }
    free(j->workers);
    free(j->tables);
    free(j->order);
    free(j->mirror);
    free(j->snapshots[SOURCE]);
    free(j->snapshots[DEST]);
    free(j->app);
    pthread_cond_destroy(&j->changed);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

/* --- Threads --------------------------------------------------------------------------------- */

static void join_workers(struct verify_job *j, int n)
{
    for (int i = 0; i < n; i++)
        pthread_join(j->workers[i].thread, NULL);
}

/* Signals go to the process' main thread alone. */
static int start_workers(struct verify_job *j, int *n_started)
{
    sigset_t all, before;
    int failed = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (*n_started = 0; *n_started < j->n_workers && !failed;) {
        struct verifier *v = &j->workers[*n_started];
        failed = pthread_create(&v->thread, NULL, verify_worker_main, v);
        if (!failed)
            (*n_started)++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

bool verify_start(const struct verify_plan *plan, struct verify_job **out, struct err *err)
{
    int n_started;
    struct verify_job *j = job_new(plan);
    *out = NULL;
    int failed = start_workers(j, &n_started);
    if (failed) {
        verify_queue_stop(j);
        join_workers(j, n_started);
        job_free(j);
        return err_set(err, ERR_MEMORY, "start a verify worker: %s", strerror(failed));
    }
    *out = j;
    return true;
}

bool verify_is_imported(const struct verify_job *j)
{
    return atomic_load(&j->n_imported) == j->n_workers || verify_is_over(j);
}

bool verify_is_over(const struct verify_job *j)
{
    return atomic_load(&j->n_left) == j->n_workers;
}

void verify_cancel(struct verify_job *j)
{
    verify_queue_stop(j);
}

/* --- What it found ---------------------------------------------------------------------------- */

void verify_progress(const struct verify_job *job, size_t table, struct verify_progress *out)
{
    struct verify_job *j = (struct verify_job *)job; /* only the lock is touched */
    pthread_mutex_lock(&j->lock);
    const struct verify_run *t = &j->tables[table];
    const struct verify_table *o = &t->out;
    *out = (struct verify_progress){
        .state = o->state,
        .workers = t->running,
        .rows = o->source_rows,
        .bytes_total = t->def->is_partitioned ? 0 : t->def->bytes,
        .differences = o->differing + o->missing + o->extra,
    };
    if (o->state == VERIFY_EQUAL || o->state == VERIFY_DIFFERENT || o->state == VERIFY_NARROWING)
        out->bytes_done = out->bytes_total;
    else if (t->step == STEP_RANGES)
        out->bytes_done =
            (int64_t)((double)out->bytes_total * (double)t->done / (double)t->n_ranges);
    pthread_mutex_unlock(&j->lock);
}

static void report_table(struct verify_run *t, struct verify_table *out)
{
    *out = t->out;
    t->out = (struct verify_table){0};
    if (out->state < VERIFY_EQUAL)
        out->state = VERIFY_UNFINISHED;
    out->n_key = t->n_key;
    out->key = mem_calloc(t->n_key + 1, sizeof *out->key);
    for (size_t i = 0; i < t->n_key; i++)
        out->key[i] = mem_strdup(t->def->key[i]);
}

static void report(struct verify_job *j, struct verify_report *out)
{
    *out = (struct verify_report){.lsn = j->plan.lsn,
                                  .began_at = j->began_at,
                                  .ended_at = clock_wall_us(),
                                  .tables = mem_calloc(j->n_tables + 1, sizeof *out->tables)};
    for (size_t i = 0; i < j->n_tables; i++)
        if (!j->tables[i].def->is_partitioned)
            report_table(&j->tables[i], &out->tables[out->n_tables++]);
    str_copy(out->ending, sizeof out->ending,
             j->has_failed    ? "failed"
             : j->is_complete ? "complete"
                              : "cancelled");
    if (j->has_failed)
        out->error = mem_strdup(j->err.text);
}

bool verify_finish(struct verify_job *j, struct verify_report *out, struct err *err)
{
    if (!verify_is_over(j))
        verify_queue_stop(j);
    join_workers(j, j->n_workers);
    report(j, out);
    bool ok = j->is_complete && !j->has_failed;
    if (j->has_failed && err)
        *err = j->err;
    else if (!ok)
        err_set(err, ERR_CANCELLED, "the comparison was cancelled");
    job_free(j);
    mem_give_back();
    return ok;
}
