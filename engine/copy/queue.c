/* The queue of a copy job: which unit a worker takes next, and what follows from a unit being done.
 * Work is never handed out far ahead: each choice is made when a worker asks for it. */
#include "copy/job.h"

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"

static const struct schema_index *next_index(const struct table_run *t)
{
    if (t->indexes_taken == t->def->n_indexes)
        return NULL;
    return &t->def->indexes[t->index_order[t->indexes_taken]];
}

static size_t table_of(const struct snapshot_job *j, const struct table_run *t)
{
    return (size_t)(t - j->tables);
}

/* Bytes of a table that no worker has taken yet. */
static int64_t bytes_untaken(const struct table_run *t)
{
    int64_t n = 0;
    for (size_t i = t->ranges_taken; i < t->cut.n; i++)
        n += range_bytes(t, i);
    return n;
}

static bool can_copy(const struct snapshot_job *j, const struct table_run *t,
                     const struct worker *w)
{
    return t->ranges_taken < t->cut.n && t->running < j->plan.workers_per_table &&
           !(t->is_contested && w->index > 0) &&
           (t->is_open || j->n_open < j->plan.tables_in_parallel);
}

/* A parent's index reaches down to all its partitions, so that parents of one tree take turns. */
static bool is_ready(const struct table_run *t)
{
    const struct table_run *r = t->root;
    if (!t->def->is_partitioned)
        return t->ranges_done == t->cut.n;
    return r->leaves_left == 0 && (!r->building_parent || r->building_parent == t);
}

static bool can_build(const struct table_run *t)
{
    const struct schema_index *i = next_index(t);
    return i && is_ready(t) && !t->is_locked && (!post_is_exclusive(i) || t->running == 0);
}

static void take_range(struct snapshot_job *j, struct table_run *t, struct unit *u)
{
    *u = (struct unit){UNIT_RANGE, table_of(j, t), t->ranges_taken++};
    if (!t->is_open) {
        t->is_open = true;
        t->started_ms = clock_mono_ms();
        t->state = SNAP_COPYING;
        j->n_open++;
    }
}

static void take_index(struct snapshot_job *j, struct table_run *t, struct unit *u)
{
    t->is_locked = post_is_exclusive(next_index(t));
    if (t->def->is_partitioned)
        t->root->building_parent = t;
    *u = (struct unit){UNIT_INDEX, table_of(j, t), t->index_order[t->indexes_taken++]};
}

/* Once every index of the table is there, and nobody works on it. */
static bool can_adopt(const struct table_run *t)
{
    return t->has_twins && !t->is_adopted && t->running == 0 &&
           t->indexes_done == t->def->n_indexes;
}

static void take_adoption(struct snapshot_job *j, struct table_run *t, struct unit *u)
{
    t->is_adopted = true;
    *u = (struct unit){UNIT_ADOPT, table_of(j, t), 0};
}

/* ANALYZE of a partitioned table goes through its partitions. */
static bool can_settle(const struct table_run *t)
{
    return t->root == t && !t->is_settled && t->tree_left == 0;
}

static void take_settling(struct snapshot_job *j, struct table_run *t, struct unit *u)
{
    t->is_settled = true;
    *u = (struct unit){UNIT_SETTLE, table_of(j, t), 0};
}

/* Largest first, so that the job does not end with one worker on one large table. An index counts
 * as work of its table's size. What is complete is settled at once: an interruption does not undo
 * it then. */
static bool pick_data(struct snapshot_job *j, const struct worker *w, struct unit *u)
{
    struct table_run *copy = NULL, *build = NULL, *settle = NULL, *adopt = NULL;
    if (w->index == 0 && j->n_returned > 0) { /* somebody is waiting for them */
        *u = j->returned[--j->n_returned];
        return true;
    }
    for (size_t i = 0; i < j->n_tables && !settle && !adopt; i++) {
        struct table_run *t = j->order[i];
        if (!copy && can_copy(j, t, w))
            copy = t;
        if (!build && can_build(t))
            build = t;
        if (can_settle(t))
            settle = t;
        if (can_adopt(t))
            adopt = t;
    }
    if (adopt)
        take_adoption(j, adopt, u);
    else if (settle)
        take_settling(j, settle, u);
    else if (build && (!copy || build->weight >= bytes_untaken(copy)))
        take_index(j, build, u);
    else if (copy)
        take_range(j, copy, u);
    return copy || build || settle || adopt;
}

static bool pick_add_fkeys(struct snapshot_job *j, const struct worker *w, struct unit *u)
{
    (void)w;
    for (size_t i = 0; i < j->n_tables && j->n_running == 0; i++) {
        struct table_run *t = &j->tables[i];
        if (t->fkeys_added < t->def->n_fkeys) {
            *u = (struct unit){UNIT_ADD_FKEY, i, t->fkeys_added++};
            return true;
        }
    }
    return false;
}

/* VALIDATE CONSTRAINT takes a lock that conflicts with itself: one on each table. */
static bool pick_validate(struct snapshot_job *j, const struct worker *w, struct unit *u)
{
    (void)w;
    for (size_t i = 0; i < j->n_tables; i++) {
        struct table_run *t = j->order[i];
        while (t->fkeys_validated < t->def->n_fkeys &&
               !t->def->fkeys[t->fkeys_validated].validate_sql)
            t->fkeys_validated++;
        if (t->running == 0 && t->fkeys_validated < t->def->n_fkeys) {
            *u = (struct unit){UNIT_VALIDATE_FKEY, table_of(j, t), t->fkeys_validated++};
            return true;
        }
    }
    return false;
}

static bool pick_seal(struct snapshot_job *j, const struct worker *w, struct unit *u)
{
    (void)w;
    if (j->is_sealed)
        return false;
    j->is_sealed = true;
    *u = (struct unit){.kind = UNIT_SEAL};
    return true;
}

/* The next unit of the job, or false when none can be begun now. A stage ends when nothing can be
 * begun and nothing is under way. */
static bool pick(struct snapshot_job *j, const struct worker *w, struct unit *u)
{
    static bool (*const pick_of[])(struct snapshot_job *, const struct worker *, struct unit *) = {
        [STAGE_DATA] = pick_data,
        [STAGE_ADD_FKEYS] = pick_add_fkeys,
        [STAGE_VALIDATE] = pick_validate,
        [STAGE_SEAL] = pick_seal,
    };
    while (j->stage < STAGE_OVER) {
        if (pick_of[j->stage](j, w, u))
            return true;
        if (j->n_running > 0 || j->ranges_left > 0)
            return false; /* ranges are left to the worker with the guard, between two units */
        j->stage++;
    }
    return false;
}

/* The phase only goes forward. */
static void enter_phase(struct snapshot_job *j, enum phase p)
{
    if ((int)p > atomic_load(&j->phase))
        atomic_store(&j->phase, (int)p);
}

static void enter_phase_of(struct snapshot_job *j, enum unit_kind kind)
{
    switch (kind) {
    case UNIT_RELEASE:
    case UNIT_RANGE:
        break;
    case UNIT_ADOPT:
    case UNIT_INDEX:
        if (j->ranges_left == 0)
            enter_phase(j, PHASE_INDEXES);
        break;
    case UNIT_SETTLE:
        if (j->ranges_left == 0 && j->indexes_left == 0)
            enter_phase(j, PHASE_ANALYZE);
        break;
    case UNIT_ADD_FKEY:
    case UNIT_VALIDATE_FKEY:
        enter_phase(j, PHASE_FKEYS);
        break;
    case UNIT_SEAL:
        break;
    }
}

/* Logs a phase once, whoever comes first; not under the lock. */
static void say_phase(struct snapshot_job *j)
{
    int now = atomic_load(&j->phase);
    if (atomic_exchange(&j->phase_said, now) < now)
        log_info("copy", j->mirror, "phase name=%s", snapshot_phase(j));
    wake_signal(j->plan.done_fd);
}

/* True for the last range or index: others may have nothing to do from now on. */
static bool begin_unit(struct worker *w, const struct unit *u)
{
    struct snapshot_job *j = w->job;
    outlook_tick(j);
    w->unit = *u;
    w->unit_since = clock_mono_ms();
    w->unit_clock = w->part_clock = j->clock;
    w->has_unit = true;
    atomic_store(&w->rows, 0);
    atomic_store(&w->received, 0);
    atomic_store(&w->unsent, 0);
    if (u->kind != UNIT_SEAL)
        j->tables[u->table].running++;
    if (j->n_running++ == 0)
        pthread_cond_broadcast(&j->changed); /* who waits may rest */
    enter_phase_of(j, u->kind);
    return (u->kind == UNIT_RANGE || u->kind == UNIT_INDEX) && j->n_untaken > 0 &&
           --j->n_untaken == 0;
}

void queue_open(struct snapshot_job *j)
{
    pthread_mutex_lock(&j->lock);
    j->is_ready = true;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

/* Others have work, or make room, and will wake it. */
static void wait_for_others(struct snapshot_job *j) /* with the lock */
{
    if (j->n_running || j->n_releasing || !j->is_ready)
        beat_rests();
    pthread_cond_wait(&j->changed, &j->lock);
    beat_move();
}

bool queue_take(struct worker *w, struct unit *out)
{
    struct snapshot_job *j = w->job;
    bool got = false, is_last = false;
    beat_does("waits for work");
    pthread_mutex_lock(&j->lock);
    j->n_releasing -= w->is_releasing;
    w->is_releasing = false;
    while (!got && j->stage < STAGE_OVER && !atomic_load(&j->stop)) {
        if (!j->is_ready) {
            wait_for_others(j);
            continue;
        }
        if (w->source && j->ranges_left == 0) {
            /* Its transaction would hold back the source's vacuum while indexes are built. */
            *out = (struct unit){.kind = UNIT_RELEASE};
            w->is_releasing = true;
            j->n_releasing++;
            pthread_mutex_unlock(&j->lock);
            return true;
        }
        got = pick(j, w, out);
        if (got)
            is_last = begin_unit(w, out);
        else if (j->stage < STAGE_OVER)
            wait_for_others(j);
        else
            pthread_cond_broadcast(&j->changed);
    }
    pthread_mutex_unlock(&j->lock);
    if (is_last)
        outlook_say_busy(j, "last_taken");
    if (got)
        say_phase(j);
    return got;
}

static void end_range(struct snapshot_job *j, struct table_run *t, size_t range, int64_t rows,
                      int64_t bytes)
{
    t->rows += rows;
    t->received += bytes;
    t->heap_done += range_bytes(t, range);
    t->ranges_done++;
    j->ranges_left--;
    if (t->ranges_done == t->cut.n) {
        t->is_open = false;
        j->n_open--;
        t->state = SNAP_INDEXING;
    }
    if (j->ranges_left == 0 && j->indexes_left > 0)
        enter_phase(j, PHASE_INDEXES);
}

static void end_index(struct snapshot_job *j, struct table_run *t, size_t index)
{
    t->is_locked = false;
    t->index_parts[index] = 1;
    t->indexes_done++;
    j->indexes_left--;
    if (t->def->is_partitioned && t->running == 0)
        t->root->building_parent = NULL;
}

/* Of a table that has rows, all are in and so are its indexes. */
static bool is_complete(const struct table_run *t)
{
    return !t->def->is_partitioned && t->ranges_done == t->cut.n &&
           t->indexes_done == t->def->n_indexes && t->has_adopted == t->has_twins;
}

static void end_unit(struct worker *w, int64_t rows, int64_t bytes)
{
    struct snapshot_job *j = w->job;
    outlook_tick(j);
    outlook_note(w);
    w->has_unit = false;
    j->n_running--;
    if (w->unit.kind == UNIT_SEAL)
        return;
    struct table_run *t = &j->tables[w->unit.table];
    t->running--;
    if (w->unit.kind == UNIT_RANGE)
        end_range(j, t, w->unit.item, rows, bytes);
    else if (w->unit.kind == UNIT_INDEX)
        end_index(j, t, w->unit.item);
    else if (w->unit.kind == UNIT_ADOPT)
        t->has_adopted = true;
    else
        return;
    t->root->tree_left--;
    t->root->leaves_left -= is_complete(t);
}

static void set_done(struct snapshot_job *j, const struct table_run *root)
{
    for (size_t i = 0; i < j->n_tables; i++)
        if (j->tables[i].root == root && !j->tables[i].def->is_partitioned)
            j->tables[i].state = SNAP_DONE;
}

/* Nothing of these tables changes any more. */
static void say_done(const struct snapshot_job *j, const struct table_run *root)
{
    for (size_t i = 0; i < j->n_tables; i++) {
        const struct table_run *t = &j->tables[i];
        if (t->root != root || t->def->is_partitioned)
            continue;
        log_info("copy", j->mirror, "table copied table=%s.%s rows=%lld bytes=%lld seconds=%.1f",
                 t->def->schema, t->def->name, (long long)t->rows, (long long)t->received,
                 (double)(clock_mono_ms() - t->started_ms) / 1000.0);
    }
}

void queue_done(struct worker *w, int64_t rows, int64_t bytes)
{
    struct snapshot_job *j = w->job;
    const struct unit u = w->unit;
    pthread_mutex_lock(&j->lock);
    end_unit(w, rows, bytes);
    if (u.kind == UNIT_SETTLE)
        set_done(j, &j->tables[u.table]);
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
    if (u.kind == UNIT_SETTLE)
        say_done(j, &j->tables[u.table]);
    say_phase(j);
}

void queue_hand_back(struct worker *w)
{
    struct snapshot_job *j = w->job;
    pthread_mutex_lock(&j->lock);
    struct table_run *t = &j->tables[w->unit.table];
    outlook_tick(j);
    t->is_contested = true;
    t->running--;
    j->n_running--;
    w->has_unit = false;
    MEM_PUSH(j->returned, j->n_returned, j->cap_returned, w->unit);
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

void queue_stop(struct snapshot_job *j)
{
    pthread_mutex_lock(&j->lock);
    atomic_store(&j->stop, true);
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
    for (int i = 0; i < j->n_workers; i++)
        wake_signal(j->workers[i].wake_fd);
}

void queue_fail(struct snapshot_job *j, const struct err *err)
{
    pthread_mutex_lock(&j->lock);
    if (!j->has_failed && !atomic_load(&j->stop)) {
        j->has_failed = true;
        j->err = *err;
    }
    pthread_mutex_unlock(&j->lock);
    queue_stop(j);
}
