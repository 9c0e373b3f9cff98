/* How far a copy job is, and how long the rest takes.
 *
 * Each unit has a cost: what it is expected to take, in milliseconds on a machine of no importance.
 * What was done lately tells how long a cost of each kind takes here, and what each table's rows
 * take; what is left is then shared among the workers, and no table's units are shared among more
 * than can work on it. Units that get in each other's way take longer, and the last one alone is
 * faster than they were: time is told by a clock of the job that goes slower while more units run
 * than get on at full speed. */
#include "copy/job.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

#define BLOCK_BYTES 8192.0
#define FIRST_MS 1000
#define NARROW_ROW_BYTES 100.0 /* where the number of rows is not known */
#define ANALYZED_BLOCKS 30000.0
#define ANALYZED_ROWS 30000.0
#define ADD_FKEY_MS 5.0
#define RANDOM_PAGE 4.0 /* random_page_cost, cpu_tuple_cost: in pages that are read in order */
#define ROW_OF_PAGE 0.01
#define FIRM_MS 1000.0 /* cost from which on what was measured outweighs what was expected */
#define FIRM_SMALL_MS 50.0
#define SMALL_MS 20.0 /* cost of a small unit */
#define SMOOTH_MS 8000.0
/* What was done before so much cost counts less and less: this part of what was done, within
 * limits.
 */
#define MEMORY_SHARE 0.3
#define MEMORY_LEAST 300.0
#define MEMORY_MOST 3000.0
#define OURS 4 /* processes of one unit: of both servers, and those that help build an index */

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

/* --- costs -------------------------------------------------------------------------------------
 */

static double heap_of(const struct schema_table *t)
{
    return (double)t->pages * BLOCK_BYTES;
}

static double rows_of(const struct schema_table *t)
{
    return t->rows >= 0 ? t->rows : heap_of(t) / NARROW_ROW_BYTES;
}

/* Values in TOAST are decompressed there and compressed here. */
static double range_cost(const struct table_run *t)
{
    double toast = most((double)t->def->bytes - heap_of(t->def), 0);
    double row = 1.5e-4 + 1e-4 * (double)t->def->n_columns;
    return rows_of(t->def) * row + heap_of(t->def) * 7e-6 + toast * 2.5e-5 + (double)t->cut.n;
}

/* The rows under an index: a parent's are those of its partitions. */
static void add_under(const struct snapshot_job *j, const struct table_run *t, double *rows,
                      double *heap)
{
    *rows = rows_of(t->def);
    *heap = heap_of(t->def);
    for (size_t i = 0; t->def->is_partitioned && i < j->n_tables; i++) {
        if (j->tables[i].root != t->root || j->tables[i].def->is_partitioned)
            continue;
        *rows += rows_of(j->tables[i].def);
        *heap += heap_of(j->tables[i].def);
    }
}

/* Read, sorted, written; by a language's rules it takes longer. */
double outlook_index_cost(const struct snapshot_job *j, const struct table_run *t, size_t index)
{
    const struct schema_index *x = &t->def->indexes[index];
    double rows, heap;
    add_under(j, t, &rows, &heap);
    return 3 + heap * 4e-7 + rows * 1e-4 + (double)x->bytes * (x->is_collated ? 4e-5 : 1.3e-5);
}

static double settle_cost(const struct table_run *t)
{
    return 3 + least((double)t->def->pages, ANALYZED_BLOCKS) * 4e-3 +
           least(rows_of(t->def), ANALYZED_ROWS) * (double)t->def->n_columns * 1e-3;
}

/* As the server's planner has it (PostgreSQL docs, "Planner Cost Constants", as they are by
 * default): few rows are looked up one by one; as soon as that is dearer than to read the table
 * that they refer to, both are read as a whole and joined, however few the rows are then. */
double outlook_validation_cost(const struct snapshot_job *j, const struct table_run *t, size_t fkey)
{
    const struct schema_fkey *f = &t->def->fkeys[fkey];
    double rows, to_rows, heap, to_heap;
    if (!f->validate_sql)
        return 0;
    add_under(j, t, &rows, &heap);
    add_under(j, &j->tables[f->to], &to_rows, &to_heap);
    if (rows * RANDOM_PAGE < to_heap / BLOCK_BYTES + to_rows * ROW_OF_PAGE)
        return 2 + rows * 2e-3;
    return 2 + (heap + to_heap) * 4e-7 + rows * 8e-4 + to_rows * 4e-4;
}

static double unit_cost(const struct snapshot_job *j, const struct unit *u)
{
    const struct table_run *t = &j->tables[u->table];
    switch (u->kind) {
    case UNIT_RANGE:
        return t->def->bytes > 0
                   ? range_cost(t) * (double)range_bytes(t, u->item) / (double)t->def->bytes
                   : range_cost(t) / (double)t->cut.n;
    case UNIT_INDEX:
        return outlook_index_cost(j, t, u->item);
    case UNIT_SETTLE:
        return settle_cost(t);
    case UNIT_VALIDATE_FKEY:
        return outlook_validation_cost(j, t, u->item);
    case UNIT_RELEASE:
    case UNIT_ADOPT:
    case UNIT_ADD_FKEY:
    case UNIT_SEAL:
        break;
    }
    return 0;
}

/* --- the clock ---------------------------------------------------------------------------------
 */

/* Servers that are here share this machine's processors; of others they are not known. */
void outlook_init(struct snapshot_job *j)
{
    const char *host = j->plan.dest->host;
    bool is_here = !host || host[0] == '/' || !strcmp(host, "localhost") ||
                   !strncmp(host, "127.", 4) || !strcmp(host, "::1") || !host[0];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    j->is_here = is_here && processors > 0;
    j->capacity = j->is_here ? (double)processors : (double)j->n_workers;
    j->clock_at = j->began = clock_mono_ms();
}

/* How fast each of so many units gets on. */
static double speed_of(const struct snapshot_job *j, double units)
{
    double all = units + j->others;
    return all > j->capacity ? j->capacity / all : 1;
}

void outlook_tick(struct snapshot_job *j)
{
    int64_t now = clock_mono_ms();
    j->clock += (double)(now - j->clock_at) * speed_of(j, j->n_running);
    j->clock_at = now;
}

/* What else wants this machine's processors (proc(5), loadavg), smoothed; -1: not known. */
static double count_runnable(void)
{
    char line[128] = "";
    int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, line, sizeof line - 1) : -1;
    if (fd >= 0)
        close(fd);
    const char *slash = n > 0 ? strchr(line, '/') : NULL;
    while (slash && slash > line && isdigit((unsigned char)slash[-1]))
        slash--;
    return slash ? strtod(slash, NULL) : -1;
}

static void look_around(struct snapshot_job *j, double runnable)
{
    int64_t now = clock_mono_ms();
    if (runnable < 0 || !j->is_here)
        return;
    double share = least((double)(now - j->looked_at) / SMOOTH_MS, 1);
    share = most(share, 1.0 / ++j->looks); /* one moment says little: at first their mean */
    double others = most(runnable - OURS * j->n_running, 0);
    j->others += (others - j->others) * share;
    j->looked_at = now;
}

static enum unit_size size_of(double cost)
{
    return cost < SMALL_MS ? SIZE_SMALL : SIZE_LARGE;
}

static struct pace *paces_of(struct snapshot_job *j, enum unit_kind kind)
{
    switch (kind) {
    case UNIT_RANGE:
        return j->ranges;
    case UNIT_INDEX:
        return j->indexes;
    case UNIT_SETTLE:
        return j->settlings;
    case UNIT_VALIDATE_FKEY:
        return j->validations;
    case UNIT_RELEASE:
    case UNIT_ADOPT:
    case UNIT_ADD_FKEY:
    case UNIT_SEAL:
        break;
    }
    return NULL;
}

static void add_pace(struct pace *p, double ms, double cost)
{
    p->ms += ms;
    p->cost += cost;
}

/* A machine that others use, caches that fill, a disk that does: what comes will go as the last of
 * it went rather than as all of it did. */
static void note_pace(struct pace *p, double ms, double cost)
{
    double memory = most(least(MEMORY_SHARE * p->done, MEMORY_MOST), MEMORY_LEAST);
    double kept = memory / (memory + cost);
    p->done += cost;
    p->ms *= kept;
    p->cost *= kept;
    add_pace(p, ms, cost);
}

void outlook_note(struct worker *w)
{
    struct snapshot_job *j = w->job;
    struct pace *paces = paces_of(j, w->unit.kind);
    double ms = j->clock - w->unit_clock, cost = paces ? unit_cost(j, &w->unit) : 0;
    w->busy_ms += clock_mono_ms() - w->unit_since;
    if (paces)
        note_pace(&paces[size_of(cost)], ms, cost);
    if (w->unit.kind == UNIT_RANGE)
        note_pace(&j->tables[w->unit.table].pace, ms, cost);
}

/* --- bytes -------------------------------------------------------------------------------------
 */

/* Of a running range: by rows where their number is known, else by what came through, which is
 * smaller than the heap. */
static double range_part(const struct worker *w)
{
    const struct table_run *t = &w->job->tables[w->unit.table];
    double all = (double)range_bytes(t, w->unit.item), part = 0;
    if (t->def->rows > 0 && t->def->bytes > 0)
        part = (double)atomic_load(&w->rows) / (t->def->rows * all / (double)t->def->bytes);
    else if (all > 0)
        part = (double)atomic_load(&w->received) / all;
    double received = (double)atomic_load(&w->received), unsent = (double)atomic_load(&w->unsent);
    part = least(part, 1);
    return received > 0 ? part * most(1 - unsent / received, 0) : part;
}

double outlook_live_part(const struct worker *w)
{
    if (w->unit.kind == UNIT_RANGE)
        return range_part(w);
    return w->unit.kind == UNIT_INDEX ? w->job->tables[w->unit.table].index_parts[w->unit.item] : 0;
}

static void add_indexes(const struct table_run *t, double share, double *done, double *total)
{
    for (size_t i = 0; i < t->def->n_indexes; i++) {
        double bytes = share * (double)t->def->indexes[i].bytes;
        *total += bytes;
        *done += bytes * t->index_parts[i];
    }
}

/* A parent's indexes are those of its partitions. */
static void add_parents(const struct snapshot_job *j, const struct table_run *t, double *done,
                        double *total)
{
    if (t->root == t || t->root->weight <= 0)
        return;
    double share = (double)t->def->bytes / (double)t->root->weight;
    for (size_t i = 0; i < j->n_tables; i++)
        if (j->tables[i].root == t->root && j->tables[i].def->is_partitioned)
            add_indexes(&j->tables[i], share, done, total);
}

static double heap_done(const struct snapshot_job *j, const struct table_run *t)
{
    double done = (double)t->heap_done;
    for (int i = 0; i < j->n_workers; i++) {
        const struct worker *w = &j->workers[i];
        if (w->has_unit && w->unit.kind == UNIT_RANGE && &j->tables[w->unit.table] == t)
            done += range_part(w) * (double)range_bytes(t, w->unit.item);
    }
    return done;
}

/* What is over is exactly all; before, it is never all, and never goes back. */
static void take_bytes(const struct snapshot_job *j, struct table_run *t,
                       struct snapshot_table_progress *out)
{
    double done = heap_done(j, t), total = (double)t->def->bytes;
    add_indexes(t, 1, &done, &total);
    add_parents(j, t, &done, &total);
    out->heap_done = (int64_t)heap_done(j, t);
    out->bytes_total = (int64_t)(total + 0.5);
    out->bytes_done = t->state == SNAP_DONE ? out->bytes_total : (int64_t)done;
    if (out->bytes_done > out->bytes_total)
        out->bytes_done = out->bytes_total;
    if (out->bytes_done < t->shown)
        out->bytes_done = t->shown;
    t->shown = out->bytes_done;
}

void snapshot_progress(const struct snapshot_job *job, size_t table,
                       struct snapshot_table_progress *out)
{
    struct snapshot_job *j = (struct snapshot_job *)job; /* the lock, and what was shown */
    pthread_mutex_lock(&j->lock);
    struct table_run *t = &j->tables[table];
    *out = (struct snapshot_table_progress){
        .state = t->state,
        .workers = t->running,
        .rows = t->rows,
        .indexes_done = (int)t->indexes_done,
        .indexes_total = (int)t->def->n_indexes,
    };
    for (int i = 0; i < j->n_workers; i++) {
        const struct worker *w = &j->workers[i];
        if (w->has_unit && w->unit.kind == UNIT_RANGE && w->unit.table == table)
            out->rows += atomic_load(&w->rows);
    }
    if (!t->def->is_partitioned)
        take_bytes(j, t, out);
    pthread_mutex_unlock(&j->lock);
}

/* --- what is left ------------------------------------------------------------------------------
 */

struct outlook { /* ms for a cost of 1, by enum unit_size */
    double ranges[SIZE_COUNT], indexes[SIZE_COUNT], settlings[SIZE_COUNT], validations[SIZE_COUNT];
    double sum, longest; /* of what the workers share, so far */
};

static double firmed(const struct pace *p, double expected, double firm)
{
    return (p->ms + expected * firm) / (p->cost + firm);
}

static void take_pace(double out[SIZE_COUNT], const struct pace *paces, const double *expected)
{
    out[SIZE_LARGE] = firmed(&paces[SIZE_LARGE], expected[SIZE_LARGE], FIRM_MS);
    out[SIZE_SMALL] = firmed(&paces[SIZE_SMALL], expected[SIZE_SMALL], FIRM_SMALL_MS);
}

/* With what is running; of ranges also their table's. */
static void take_paces(struct snapshot_job *j, struct outlook *o)
{
    struct pace ranges[SIZE_COUNT] = {j->ranges[SIZE_LARGE], j->ranges[SIZE_SMALL]};
    for (int i = 0; i < j->n_workers; i++) {
        const struct worker *w = &j->workers[i];
        if (!w->has_unit || w->unit.kind != UNIT_RANGE)
            continue;
        double cost = unit_cost(j, &w->unit);
        add_pace(&ranges[size_of(cost)], j->clock - w->unit_clock, range_part(w) * cost);
    }
    struct pace all = ranges[SIZE_LARGE];
    add_pace(&all, ranges[SIZE_SMALL].ms, ranges[SIZE_SMALL].cost);
    double pace = all.cost > 0 ? all.ms / all.cost : 0, expected[SIZE_COUNT] = {pace, pace};
    take_pace(o->ranges, ranges, expected);
    take_pace(o->indexes, j->indexes, o->ranges);
    take_pace(o->settlings, j->settlings, o->indexes);
    take_pace(o->validations, j->validations, o->indexes);
}

static double range_pace(const struct snapshot_job *j, const struct table_run *t,
                         const struct outlook *o)
{
    struct pace own = t->pace;
    for (int i = 0; i < j->n_workers; i++) {
        const struct worker *w = &j->workers[i];
        if (!w->has_unit || w->unit.kind != UNIT_RANGE || &j->tables[w->unit.table] != t)
            continue;
        add_pace(&own, j->clock - w->unit_clock, range_part(w) * unit_cost(j, &w->unit));
    }
    return firmed(&own, o->ranges[size_of(range_cost(t) / most((double)t->cut.n, 1))], FIRM_MS);
}

static double ranges_left(const struct snapshot_job *j, const struct table_run *t,
                          const struct outlook *o)
{
    if (t->ranges_done == t->cut.n)
        return 0;
    double part = t->def->bytes > 0 ? heap_done(j, t) / (double)t->def->bytes
                                    : (double)t->ranges_done / (double)t->cut.n;
    return range_cost(t) * most(1 - part, 0) * range_pace(j, t, o);
}

static const struct worker *worker_on(const struct snapshot_job *j, enum unit_kind kind,
                                      const struct table_run *t, size_t item)
{
    for (int i = 0; i < j->n_workers; i++) {
        const struct worker *w = &j->workers[i];
        if (w->has_unit && w->unit.kind == kind && &j->tables[w->unit.table] == t &&
            w->unit.item == item)
            return w;
    }
    return NULL;
}

/* Of a unit whose progress is known the better, the further it is; since that was said last, time
 * has passed. What takes longer than expected takes longer still. */
static double unit_left(const struct snapshot_job *j, const struct worker *w, double expected,
                        double part)
{
    if (!w)
        return expected;
    double ms = j->clock - w->unit_clock, at = w->part_clock - w->unit_clock;
    double whole = at + (1 - part) * most(expected, at);
    return most(whole * (1 - part) - (ms - at), ms / 4 * (1 - part));
}

static double indexes_left(const struct snapshot_job *j, const struct table_run *t,
                           const struct outlook *o, double *longest)
{
    double sum = 0, alone = 0;
    for (size_t i = 0; i < t->def->n_indexes; i++) {
        if (t->index_parts[i] >= 1)
            continue;
        double cost = outlook_index_cost(j, t, i);
        double left = unit_left(j, worker_on(j, UNIT_INDEX, t, i), cost * o->indexes[size_of(cost)],
                                t->index_parts[i]);
        sum += left;
        if (post_is_exclusive(&t->def->indexes[i]))
            alone += left;
        else
            *longest = most(*longest, left);
    }
    *longest = alone + most(*longest, (sum - alone) / j->n_workers);
    return sum;
}

static double settle_left(const struct snapshot_job *j, const struct table_run *root,
                          const struct outlook *o)
{
    double cost = 0;
    if (root->is_settled && !worker_on(j, UNIT_SETTLE, root, 0))
        return 0;
    for (const struct table_run *t = root; t < j->tables + j->n_tables; t++)
        cost += t->root == root ? settle_cost(t) : 0;
    return unit_left(j, worker_on(j, UNIT_SETTLE, root, 0), cost * o->settlings[size_of(cost)], 0);
}

/* Of a table and its partitions, if it has some: together, and what follows one after the other. */
static void add_tree(const struct snapshot_job *j, const struct table_run *root, struct outlook *o)
{
    double leaves = 0, parents = 0;
    double most_workers = least(j->plan.workers_per_table, j->n_workers);
    double slower = speed_of(j, 1) / speed_of(j, most_workers);
    for (const struct table_run *t = root; t < j->tables + j->n_tables; t++) {
        if (t->root != root)
            continue;
        double chain = 0, left = ranges_left(j, t, o);
        o->sum += left + indexes_left(j, t, o, &chain);
        if (t->def->is_partitioned)
            parents += chain;
        else
            leaves = most(leaves, left * slower / most_workers + chain);
        if (!root->def->is_partitioned)
            break;
    }
    double settling = settle_left(j, root, o);
    o->sum += settling;
    o->longest = most(o->longest, leaves + parents + settling);
}

/* All workers are busy to the end, or some wait for the longest chain. */
static double shared(const struct snapshot_job *j, const struct outlook *o)
{
    return most(o->sum / (j->n_workers * speed_of(j, j->n_workers)), o->longest / speed_of(j, 1));
}

static double data_left(const struct snapshot_job *j, struct outlook *o)
{
    o->sum = o->longest = 0;
    for (size_t i = 0; i < j->n_tables; i++)
        if (j->tables[i].root == &j->tables[i])
            add_tree(j, &j->tables[i], o);
    return shared(j, o);
}

static double fkeys_left(const struct snapshot_job *j, struct outlook *o)
{
    double adding = 0;
    o->sum = o->longest = 0;
    for (size_t i = 0; i < j->n_tables; i++) {
        const struct table_run *t = &j->tables[i];
        double chain = 0;
        adding += ADD_FKEY_MS * (double)(t->def->n_fkeys - t->fkeys_added) * o->indexes[SIZE_SMALL];
        for (size_t k = 0; k < t->def->n_fkeys; k++) {
            const struct worker *w = worker_on(j, UNIT_VALIDATE_FKEY, t, k);
            double cost = outlook_validation_cost(j, t, k);
            if (w || k >= t->fkeys_validated)
                chain += unit_left(j, w, cost * o->validations[size_of(cost)], 0);
        }
        o->sum += chain;
        o->longest = most(o->longest, chain);
    }
    return adding + shared(j, o);
}

int64_t snapshot_eta_ms(const struct snapshot_job *job)
{
    struct snapshot_job *j = (struct snapshot_job *)job; /* the lock and the clock */
    struct outlook o;
    double left = -1, runnable = count_runnable();
    pthread_mutex_lock(&j->lock);
    outlook_tick(j);
    look_around(j, runnable);
    take_paces(j, &o);
    if (clock_mono_ms() - j->began >= FIRST_MS && (o.ranges[SIZE_LARGE] > 0 || j->ranges_left == 0))
        left = data_left(j, &o) + fkeys_left(j, &o);
    pthread_mutex_unlock(&j->lock);
    return left < 0 ? -1 : (int64_t)(left + 0.5);
}

/* --- who is busy -------------------------------------------------------------------------------
 */

static void print_busy(const struct snapshot_job *j, int64_t until, struct buf *b)
{
    int64_t whole = until - j->began;
    for (int i = 0; i < j->n_workers; i++) {
        const struct worker *w = &j->workers[i];
        int64_t ms = w->busy_ms + (w->has_unit ? until - w->unit_since : 0);
        buf_printf(b, "%s%.1f", i ? "," : "", whole > 0 ? 100.0 * (double)ms / (double)whole : 100);
    }
}

void outlook_say_busy(struct snapshot_job *j, const char *until)
{
    struct buf b = {0};
    pthread_mutex_lock(&j->lock);
    int64_t now = clock_mono_ms();
    print_busy(j, now, &b);
    double seconds = (double)(now - j->began) / 1000.0;
    pthread_mutex_unlock(&j->lock);
    log_info("copy", j->mirror, "workers busy until=%s seconds=%.1f percent=%s", until, seconds,
             buf_text(&b));
    buf_free(&b);
}
