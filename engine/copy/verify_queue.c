/* The queue of a verify job: which unit a worker takes next, and how a table goes from one step to
 * the next. Each choice is made when a worker asks for it. */
#include "copy/verify_job.h"

#include <stdlib.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"

static bool can_begin(const struct verify_run *t)
{
    switch (t->step) {
    case STEP_OPEN:
    case STEP_NARROW:
        return t->running == 0;
    case STEP_RANGES:
        return t->taken < t->n_ranges;
    case STEP_DONE:
        break;
    }
    return false;
}

static const enum verify_state state_of[] = {
    [STEP_OPEN] = VERIFY_COMPARING,
    [STEP_RANGES] = VERIFY_COMPARING,
    [STEP_NARROW] = VERIFY_NARROWING,
};

/* Largest first, so that the job does not end with one worker on one large table. */
static bool pick(struct verify_job *j, struct verify_unit *u)
{
    bool is_complete = true;
    for (size_t i = 0; i < j->n_tables; i++) {
        struct verify_run *t = j->order[i];
        is_complete &= t->step == STEP_DONE;
        if (!can_begin(t))
            continue;
        *u = (struct verify_unit){.step = t->step, .run = t};
        if (t->step == STEP_RANGES)
            u->range = t->taken++;
        if (t->step == STEP_OPEN)
            t->started_ms = clock_mono_ms();
        t->out.state = state_of[t->step];
        t->running++;
        return true;
    }
    j->is_complete = is_complete;
    return false;
}

static bool has_running(const struct verify_job *j)
{
    for (size_t i = 0; i < j->n_tables; i++)
        if (j->tables[i].running)
            return true;
    return false;
}

bool verify_queue_take(struct verify_job *j, struct verify_unit *out)
{
    bool got = false;
    beat_does("waits for work");
    pthread_mutex_lock(&j->lock);
    while (!atomic_load(&j->stop) && !(got = pick(j, out)) && !j->is_complete) {
        if (has_running(j)) /* which will wake it */
            beat_rests();
        pthread_cond_wait(&j->changed, &j->lock);
        beat_move();
    }
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
    if (got)
        wake_signal(j->plan.done_fd);
    return got;
}

static void free_readings(struct verify_run *t)
{
    for (int s = 0; s < N_SIDES; s++)
        verify_reading_free(&t->sides[s], t->n_key);
    free(t->differs);
    t->differs = NULL;
}

static void say(const struct verify_job *j, const struct verify_run *t)
{
    const struct verify_table *o = &t->out;
    double seconds = (double)(clock_mono_ms() - t->started_ms) / 1000.0;
    if (o->state == VERIFY_EQUAL)
        log_info("verify", j->mirror, "table equal table=%s.%s rows=%lld seconds=%.1f",
                 o->source_schema, o->source_table, (long long)o->equal, seconds);
    else if (o->state == VERIFY_DIFFERENT)
        log_warn("verify", j->mirror,
                 "table different table=%s.%s rows=%lld differing=%lld missing=%lld extra=%lld "
                 "seconds=%.1f",
                 o->source_schema, o->source_table, (long long)verify_rows_compared(o),
                 (long long)o->differing, (long long)o->missing, (long long)o->extra, seconds);
    else
        log_warn("verify", j->mirror, "table not compared table=%s.%s reason=%s", o->source_schema,
                 o->source_table, o->reason ? o->reason : "");
}

/* With the lock; true when the table has just reached its end. */
static bool end_unit(struct verify_job *j, struct verify_run *t)
{
    t->running--;
    pthread_cond_broadcast(&j->changed);
    return t->step == STEP_DONE && t->running == 0;
}

static void end_table(struct verify_job *j, struct verify_run *t)
{
    free_readings(t);
    say(j, t);
    wake_signal(j->plan.done_fd);
}

static bool is_different(const struct verify_table *o)
{
    return o->differing || o->missing || o->extra;
}

static enum verify_step next_step(struct verify_run *t)
{
    switch (t->step) {
    case STEP_OPEN:
        return STEP_RANGES;
    case STEP_RANGES:
        if (++t->done < t->n_ranges)
            return STEP_RANGES;
        verify_judge(t);
        break;
    case STEP_NARROW:
        break;
    case STEP_DONE: /* another unit has given the table up */
        return STEP_DONE;
    }
    if (t->n_differs)
        return STEP_NARROW;
    t->out.state = is_different(&t->out) ? VERIFY_DIFFERENT : VERIFY_EQUAL;
    return STEP_DONE;
}

void verify_queue_done(struct verify_job *j, const struct verify_unit *u)
{
    struct verify_run *t = u->run;
    pthread_mutex_lock(&j->lock);
    t->step = next_step(t);
    bool is_over = end_unit(j, t);
    pthread_mutex_unlock(&j->lock);
    if (is_over)
        end_table(j, t);
}

void verify_queue_give_up(struct verify_job *j, const struct verify_unit *u,
                          enum verify_state state, const char *reason)
{
    struct verify_run *t = u->run;
    pthread_mutex_lock(&j->lock);
    if (t->step != STEP_DONE) {
        t->step = STEP_DONE;
        t->out.state = state;
        t->out.reason = mem_strdup(reason);
    }
    bool is_over = end_unit(j, t);
    pthread_mutex_unlock(&j->lock);
    if (is_over)
        end_table(j, t);
}

void verify_queue_stop(struct verify_job *j)
{
    pthread_mutex_lock(&j->lock);
    atomic_store(&j->stop, true);
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
    for (int i = 0; i < j->n_workers; i++)
        wake_signal(j->workers[i].wake_fd);
}

void verify_queue_fail(struct verify_job *j, const struct err *err)
{
    pthread_mutex_lock(&j->lock);
    if (!j->has_failed && !atomic_load(&j->stop)) {
        j->has_failed = true;
        j->err = *err;
    }
    pthread_mutex_unlock(&j->lock);
    verify_queue_stop(j);
}
