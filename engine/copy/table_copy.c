/* Copies of tables beside the stream; see table_copy.h. */
#include "copy/table_copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "copy/empty.h"
#include "copy/guard.h"
#include "copy/swap.h"
#include "stream/source.h"

#define CONNECT_MS 15000
#define STATEMENT_MS 60000
#define SLOT_CREATE_MS (30 * 60 * 1000)
#define EXPLAIN_FIRST_MS 5000
#define EXPLAIN_MS 30000
#define WATCH_MS 200

struct table_copy {
    struct errand errand;
    struct table_copy_plan plan;
    const struct mirror_config *config;
    char *mirror_id, *app;
    struct pg_conn *source, *repl, *dest;
    char slot[NAME_SIZE];
    char *snapshot;
    size_t n_maps; /* of the tables to be copied */
    struct table_map *maps;
    struct table_name *names;
    struct empty_restore *restore;
    struct swap *swap; /* NULL: the tables are emptied */
    struct schema *schema;
    int64_t explain_at;
    atomic_bool has_left_out;

    pthread_mutex_t lock; /* leaf: the rest */
    struct table_copy_status status;
    struct snapshot_table_progress *progress; /* of each table of the schema; NULL: none yet */
    int64_t eta_ms;
};

static struct task *task_of(struct table_copy *c)
{
    return &c->errand.task;
}

static const char *const step_does[] = {
    [TABLE_COPY_STARTING] = "makes a slot, and waits for the source's older transactions",
    [TABLE_COPY_EMPTYING] = "makes room for a copy",
    [TABLE_COPY_COPYING] = "looks after the workers of a copy",
    [TABLE_COPY_SWAPPING] = "puts copied rows in the place of others",
    [TABLE_COPY_COPIED] = "ends",
    [TABLE_COPY_FAILED] = "ends",
};

static void set_step(struct table_copy *c, enum table_copy_step step)
{
    beat_does("%s", step_does[step]);
    pthread_mutex_lock(&c->lock);
    c->status.step = step;
    pthread_mutex_unlock(&c->lock);
    errand_tell(&c->errand);
}

/* --- the slot -------------------------------------------------------------------------------- */

/* Asked inside the wait for the slot, on the other connection. */
static void explain_wait(void *arg)
{
    struct errand *e = arg;
    struct table_copy *c = e->arg;
    struct task task = e->task;
    struct err err = {0};
    if (!c->explain_at || clock_mono_ms() < c->explain_at)
        return;
    c->explain_at = clock_mono_ms() + EXPLAIN_MS;
    task.tick = NULL;
    source_explain_slot_wait(c->source, &task, &err);
    if (err.hint[0])
        log_warn("copy", c->config->name, "%s", err.hint);
}

/* Gone with its connection; the number keeps it apart from one that the server has not noticed the
 * end of yet. */
static void name_slot(struct table_copy *c)
{
    char id[16];
    size_t n = 0;
    for (const char *p = c->mirror_id; *p && n < 12; p++)
        if (*p != '-')
            id[n++] = *p;
    id[n] = '\0';
    str_printf(c->slot, sizeof c->slot, "bunny_copy_%s_%d", id, pg_backend_pid(c->repl));
}

static bool create_slot(struct table_copy *c, struct err *err)
{
    lsn_t point;
    name_slot(c);
    c->explain_at = clock_mono_ms() + EXPLAIN_FIRST_MS;
    bool ok = pg_repl_create_slot(c->repl, task_of(c), SLOT_CREATE_MS, c->slot, true, &point,
                                  &c->snapshot, err);
    c->explain_at = 0;
    if (!ok && err->code == ERR_TIMEOUT)
        source_explain_slot_wait(c->source, task_of(c), err);
    if (!ok)
        return err_context(err, "create temporary slot %s", c->slot);
    pthread_mutex_lock(&c->lock);
    c->status.point = point;
    pthread_mutex_unlock(&c->lock);
    errand_tell(&c->errand);
    return true;
}

/* --- definitions ----------------------------------------------------------------------------- */

static bool is_wanted(const struct table_copy *c, const struct schema_table *t)
{
    return c->plan.wanted[t->mapping];
}

/* The stream sets aside what it knows: a partition or table that is another one than when the run
 * began would be copied without that. */
static bool check_known(struct table_copy *c, struct err *err)
{
    const struct schema *known = c->plan.known;
    size_t n = 0;
    bool same = true;
    for (size_t i = 0; i < known->n_tables; i++)
        n += is_wanted(c, &known->tables[i]);
    for (size_t i = 0; same && i < c->schema->n_tables; i++) {
        const struct schema_table *t = &c->schema->tables[i];
        const struct schema_table *k = schema_find(known, t->schema, t->name);
        same = k && k->oid == t->oid && is_wanted(c, k);
    }
    if (same && n == c->schema->n_tables)
        return true;
    pthread_mutex_lock(&c->lock);
    c->status.needs_new_run = true;
    pthread_mutex_unlock(&c->lock);
    return err_set(err, ERR_SNAPSHOT_STALE,
                   "a table that is to be copied, or its partitions, changed at the source: the "
                   "definitions are read again");
}

/* Index among the tables of the copy of a mapping of the mirror. */
static size_t copy_map(const struct table_copy *c, int mapping)
{
    size_t at = 0;
    for (int i = 0; i < mapping; i++)
        at += c->plan.wanted[i];
    return at;
}

static bool is_new(const struct table_copy *c, const struct schema_table *t)
{
    return is_wanted(c, t) && swap_makes(c->swap, t->oid);
}

/* Between others, or part of the copy. A swap leaves what it finds as it is, and adds none. */
static bool comes_anyway(const struct table_copy *c, const struct schema_table *from,
                         const struct schema_table *to)
{
    return c->swap ? !is_new(c, from) && !is_new(c, to) : is_wanted(c, from) == is_wanted(c, to);
}

static void note_key(struct table_copy *c, const struct schema *all, size_t table, size_t key)
{
    const struct schema_table *from = &all->tables[table];
    const struct schema_fkey *f = &from->fkeys[key];
    const struct schema_table *to = &all->tables[f->to];
    if (comes_anyway(c, from, to))
        return;
    const struct schema_table *ours = is_wanted(c, from) ? from : to;
    struct empty_restore *r = &c->restore[copy_map(c, ours->mapping)];
    empty_restore_add(r, mem_strdup(f->add_sql));
    if (f->validate_sql)
        empty_restore_add(r, mem_strdup(f->validate_sql));
}

/* Keys of the source between tables of the copy and other tables of the mirror can only be added
 * when both are at one position: after the hand-over. */
static bool read_outer_keys(struct table_copy *c, struct err *err)
{
    struct schema *all;
    bool is_needed = c->swap ? swap_has_new_tables(c->swap) : c->n_maps < c->config->n_tables;
    if (!c->config->replicate_foreign_keys || !is_needed)
        return true; /* there are none, or they have stayed */
    if (!schema_read(c->source, task_of(c), c->config->tables, c->config->n_tables, false, true,
                     true, &all, err))
        return false;
    for (size_t i = 0; i < all->n_tables; i++)
        for (size_t k = 0; k < all->tables[i].n_fkeys; k++)
            note_key(c, all, i, k);
    schema_free(all);
    return true;
}

/* In the session that keeps the tables as they are: from here until their rows are in. */
static bool read_definitions(struct table_copy *c, struct err *err)
{
    return (guard_begin(c->source, task_of(c), c->snapshot, c->names, c->n_maps, err) &&
            schema_read_some(c->source, task_of(c), c->config, c->maps, c->n_maps,
                             c->config->replicate_indexes, c->config->replicate_foreign_keys, true,
                             &c->schema, err) &&
            check_known(c, err) && schema_check_names(c->source, task_of(c), c->schema, err) &&
            guard_check(c->source, task_of(c), c->schema, err)) ||
           err_context(err, "read the source's definitions");
}

/* --- the steps ------------------------------------------------------------------------------- */

static bool connect_all(struct table_copy *c, struct err *err)
{
    struct task *task = task_of(c);
    const struct table_copy_plan *p = &c->plan;
    return pg_connect(p->source, PG_SQL, c->app, NULL, task, CONNECT_MS, &c->source, err) &&
           pg_connect(p->source, PG_REPLICATION, c->app, NULL, task, CONNECT_MS, &c->repl, err) &&
           pg_connect(p->dest, PG_APPLY, c->app, "-c synchronous_commit=on", task, CONNECT_MS,
                      &c->dest, err);
}

static void note_restore(struct table_copy *c)
{
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->n_maps; i++)
        c->status.has_restore |= c->restore[i].n > 0;
    pthread_mutex_unlock(&c->lock);
}

static bool empty(struct table_copy *c, const struct schema *tables, struct err *err)
{
    struct empty_job j = {.errand = &c->errand,
                          .dest = c->dest,
                          .mirror = c->config->name,
                          .owner = c->plan.owner,
                          .tables = tables,
                          .all = c->plan.known,
                          .n_maps = c->n_maps,
                          .names = c->names,
                          .restore = c->restore};
    set_step(c, TABLE_COPY_EMPTYING);
    bool ok = empty_tables(&j, err);
    note_restore(c);
    return ok;
}

/* Those of the tables that the destination has, borrowed; free the array. */
static bool find_present(struct table_copy *c, struct schema *out, struct err *err)
{
    const struct schema *s = c->schema;
    *out = (struct schema){.tables = mem_calloc(s->n_tables + 1, sizeof *out->tables)};
    for (size_t i = 0; i < s->n_tables; i++) {
        struct dest_table d;
        if (!schema_read_dest(c->dest, task_of(c), s->tables[i].dest_schema, s->tables[i].dest_name,
                              &d, err))
            return false;
        if (d.exists)
            out->tables[out->n_tables++] = s->tables[i];
        dest_table_free(&d);
    }
    return true;
}

static bool empty_present(struct table_copy *c, struct err *err)
{
    struct schema present;
    bool ok = find_present(c, &present, err) && (!present.n_tables || empty(c, &present, err));
    free(present.tables);
    return ok;
}

/* The mirror as if it had these tables only; borrowed contents. */
static struct mirror_config part_of(const struct table_copy *c)
{
    struct mirror_config part = *c->config;
    part.all = c->config->tables;
    part.n_all = c->config->n_tables;
    part.tables = c->maps;
    part.n_tables = c->n_maps;
    return part;
}

/* Values that cannot be cast, or break a rule, or types without a cast: an empty table takes the
 * definitions. */
static bool is_of_rows(const struct err *err)
{
    return !strncmp(err->sqlstate, "22", 2) || !strncmp(err->sqlstate, "23", 2) ||
           pg_server_error_is(err, "42846") || pg_server_error_is(err, "42804");
}

static void say_rows_stay(const struct table_copy *c, struct err *err)
{
    bool is_one = c->n_maps == 1; /* else halves come next, until it is known which is meant */
    err_hint(err,
             "The source's definitions are others now, and the rows that are here do not take "
             "them: they stay as they are. From an empty table: bunnydb resync %s %s%s%s "
             "--strategy truncate.",
             c->config->name, is_one ? c->maps[0].source_schema : "", is_one ? "." : "",
             is_one ? c->maps[0].source_table : "TABLE");
}

/* Columns that are others at the source now are changed on the empty table; or, where readers are
 * to keep the rows, on those that are there. */
static bool refit(struct table_copy *c, struct err *err)
{
    struct mirror_config part = part_of(c);
    struct schema_plan plan;
    struct schema_point end = {.applied = UINT64_MAX, .is_waiting = true};
    bool ok = true, keeps_rows = c->plan.by_swap && c->plan.keeps_rows;
    if (!schema_refit(c->source, c->dest, task_of(c), &part, c->mirror_id, keeps_rows, &plan, err))
        return false;
    if (schema_plan_count(&plan, &end, NULL)) {
        c->plan.by_swap = keeps_rows; /* there is no exchange of rows between two definitions */
        plan.record_sql = sync_rows_fence(&c->plan.owner);
        ok = (keeps_rows || empty_present(c, err)) &&
             schema_plan_run(c->dest, task_of(c), &plan, &end, c->config->name, err);
        if (!ok && keeps_rows && is_of_rows(err))
            say_rows_stay(c, err);
    }
    schema_plan_free(&plan);
    return ok;
}

/* The exporting session has done its part: the slot goes, and keeps no WAL any more. */
static void drop_slot(struct table_copy *c)
{
    struct err ignored = {0};
    struct buf sql = {0};
    buf_puts(&sql, "DROP_REPLICATION_SLOT ");
    pg_quote_ident(&sql, c->slot);
    (void)!pg_exec(c->repl, task_of(c), STATEMENT_MS, buf_text(&sql), NULL, &ignored);
    buf_free(&sql);
    pg_close(c->repl, false);
    c->repl = NULL;
}

static void note_progress(struct table_copy *c, struct snapshot_job *job)
{
    size_t n = c->schema->n_tables;
    struct snapshot_table_progress *now = mem_calloc(n + 1, sizeof *now), *before;
    for (size_t i = 0; i < n; i++)
        snapshot_progress(job, i, &now[i]);
    int64_t eta_ms = snapshot_eta_ms(job);
    pthread_mutex_lock(&c->lock);
    c->eta_ms = eta_ms;
    before = c->progress;
    c->progress = now;
    pthread_mutex_unlock(&c->lock);
    free(before);
    errand_tell(&c->errand);
}

static void watch(struct table_copy *c, struct snapshot_job *job)
{
    struct err cancelled = {0};
    while (!snapshot_is_over(job)) {
        note_progress(c, job);
        if (c->repl && snapshot_is_imported(job))
            drop_slot(c);
        if (!errand_sleep(&c->errand, WATCH_MS, &cancelled)) {
            snapshot_cancel(job);
            return;
        }
    }
    note_progress(c, job);
}

static bool copy_rows(struct table_copy *c, struct err *err)
{
    const struct mirror_config *m = c->config;
    char *fence = sync_rows_fence(&c->plan.owner);
    struct snapshot_plan plan = {.mirror = m->name,
                                 .source = c->plan.source,
                                 .dest = c->plan.dest,
                                 .schema = c->swap ? swap_schema(c->swap) : c->schema,
                                 .is_aside = c->swap != NULL,
                                 .snapshot = c->snapshot,
                                 .guard = c->source,
                                 .rows_per_part = m->snapshot_num_rows_per_partition,
                                 .workers_per_table = m->snapshot_max_parallel_workers,
                                 .tables_in_parallel = m->snapshot_num_tables_in_parallel,
                                 .memory_budget = c->plan.memory_budget,
                                 .index_memory = c->plan.index_memory,
                                 .fence = fence,
                                 .has_left_out = &c->has_left_out,
                                 .done_fd = c->errand.wake_fd};
    struct snapshot_job *job;
    bool ok = snapshot_start(&plan, &job, err);
    free(fence);
    if (!ok)
        return false;
    set_step(c, TABLE_COPY_COPYING);
    watch(c, job);
    if (!snapshot_finish(job, err))
        return false;
    if (c->repl)
        drop_slot(c);
    return true;
}

/* What the definitions were like as of the snapshot, which the source's session still has. */
static bool write_book(struct table_copy *c, struct err *err)
{
    struct mirror_config part = part_of(c);
    return schema_book_write(c->source, c->dest, task_of(c), &part, c->mirror_id, true, err) ||
           err_context(err, "remember the definitions");
}

/* Where no table is emptied, nothing else writes down what is to be added after the hand-over.
 * Before they are made: another try does not find them new. */
static bool owe_keys(struct table_copy *c, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < c->n_maps; i++) {
        const struct empty_restore *r = &c->restore[i];
        ok = sync_rows_owe(c->dest, task_of(c), &c->plan.owner, &c->names[i], r->n,
                           (const char *const *)r->items, err);
    }
    note_restore(c);
    return ok;
}

/* The tables are as the copy needs them to be: empty, or with others beside them. */
static bool make_room(struct table_copy *c, struct err *err)
{
    struct swap_plan p = {.errand = &c->errand,
                          .dest = c->dest,
                          .target = c->plan.dest,
                          .mirror = c->config->name,
                          .app = c->app,
                          .owner = c->plan.owner,
                          .tables = c->schema,
                          .n_maps = c->n_maps};
    if (!swap_remove_leftovers(c->dest, task_of(c), c->mirror_id, err) || !refit(c, err) ||
        (c->plan.by_swap && !swap_look(&p, &c->swap, err)) || !read_outer_keys(c, err) ||
        (c->swap && !owe_keys(c, err)) ||
        !schema_create(c->dest, task_of(c), c->schema, true, c->config->name, err))
        return false;
    return c->swap ? swap_make_shadows(c->swap, err) : empty(c, c->schema, err);
}

/* A swap changes no definition of tables that it found; values of sequences follow by themselves.
 */
static bool run_after(struct table_copy *c, struct err *err)
{
    return (c->swap && !swap_has_new_tables(c->swap)) ||
           schema_run_after(c->dest, task_of(c), c->schema, c->mirror_id, c->config->name, err);
}

static bool swap(struct table_copy *c, struct err *err)
{
    if (!c->swap)
        return true;
    set_step(c, TABLE_COPY_SWAPPING);
    return swap_rows(c->swap, err);
}

static void table_copy_main(void *arg)
{
    struct table_copy *c = arg;
    struct err err = {0};
    beat_does("%s", step_does[TABLE_COPY_STARTING]);
    bool ok = connect_all(c, &err) && create_slot(c, &err) && read_definitions(c, &err) &&
              make_room(c, &err) && copy_rows(c, &err) && swap(c, &err) && run_after(c, &err) &&
              write_book(c, &err);
    errand_explain(&c->errand, &err);
    swap_free(c->swap);
    pg_close(c->repl, true);
    pg_close(c->source, true);
    pg_close(c->dest, true);
    pthread_mutex_lock(&c->lock);
    c->status.err = err;
    c->status.has_left_out =
        atomic_load(&c->has_left_out) || (c->schema && c->schema->has_left_out);
    pthread_mutex_unlock(&c->lock);
    set_step(c, ok ? TABLE_COPY_COPIED : TABLE_COPY_FAILED);
}

/* --- the owner's side ------------------------------------------------------------------------ */

static void take_maps(struct table_copy *c)
{
    const struct mirror_config *m = c->config;
    bool *wanted = mem_calloc(m->n_tables + 1, sizeof *wanted);
    c->maps = mem_calloc(m->n_tables + 1, sizeof *c->maps);
    c->names = mem_calloc(m->n_tables + 1, sizeof *c->names);
    for (size_t i = 0; i < m->n_tables; i++) {
        wanted[i] = c->plan.wanted[i];
        if (!wanted[i])
            continue;
        c->maps[c->n_maps] = m->tables[i]; /* borrowed inside */
        str_copy(c->names[c->n_maps].schema, NAME_SIZE, m->tables[i].source_schema);
        str_copy(c->names[c->n_maps].table, NAME_SIZE, m->tables[i].source_table);
        c->n_maps++;
    }
    c->restore = mem_calloc(c->n_maps + 1, sizeof *c->restore);
    c->plan.wanted = wanted;
}

bool table_copy_start(const struct table_copy_plan *plan, struct table_copy **out, struct err *err)
{
    struct table_copy *c = mem_calloc(1, sizeof *c);
    c->plan = *plan;
    c->config = plan->config;
    c->mirror_id = mem_strdup(plan->owner.mirror_id);
    c->plan.owner.mirror_id = c->mirror_id;
    c->app = mem_printf("bunnydb copy %s", c->config->name);
    pthread_mutex_init(&c->lock, NULL);
    c->eta_ms = -1;
    take_maps(c);
    errand_init(&c->errand, "b:table-copy", table_copy_main, c, plan->wake_fd);
    c->errand.task.tick = explain_wait;
    c->errand.mirror = c->config->name;
    *out = c;
    if (errand_start(&c->errand, err))
        return true;
    table_copy_finish(c);
    *out = NULL;
    return false;
}

bool table_copy_has_news(struct table_copy *c)
{
    return errand_has_news(&c->errand);
}

void table_copy_status(struct table_copy *c, struct table_copy_status *out)
{
    pthread_mutex_lock(&c->lock);
    *out = c->status;
    pthread_mutex_unlock(&c->lock);
}

bool table_copy_progress(struct table_copy *c, const char *schema, const char *table,
                         struct snapshot_table_progress *out)
{
    bool found = false;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; c->progress && i < c->schema->n_tables && !found; i++) {
        found = !strcmp(c->schema->tables[i].name, table) &&
                !strcmp(c->schema->tables[i].schema, schema);
        if (found)
            *out = c->progress[i];
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

int64_t table_copy_eta_ms(struct table_copy *c)
{
    pthread_mutex_lock(&c->lock);
    int64_t ms = c->eta_ms;
    pthread_mutex_unlock(&c->lock);
    return ms;
}

const struct schema *table_copy_schema(struct table_copy *c)
{
    return c->schema;
}

bool table_copy_is_over(struct table_copy *c)
{
    return errand_is_over(&c->errand);
}

void table_copy_cancel(struct table_copy *c)
{
    errand_cancel(&c->errand);
}

void table_copy_finish(struct table_copy *c)
{
    errand_join(&c->errand);
    for (size_t i = 0; i < c->n_maps; i++)
        empty_restore_free(&c->restore[i]);
    schema_free(c->schema);
    free((void *)c->plan.wanted);
    free(c->maps);
    free(c->names);
    free(c->restore);
    free(c->progress);
    free(c->snapshot);
    free(c->mirror_id);
    free(c->app);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
