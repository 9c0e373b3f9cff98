/* The errand of the sequences; see follow.h. */
#include "copy/follow.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "copy/errand.h"
#include "pg/sessions.h"
#include "schema/acting.h"

#define CONNECT_MS 10000
#define SOON_MS 1000   /* between two looks when rows have been applied */
#define WAITING_MS 250 /* when a sequence that went back only waits for rows */
#define AGAIN_MS 5000  /* after an error */
#define MAX_SLOWER 3   /* how much longer the interval gets when nothing changes */
#define ACTING_EVERY 3 /* intervals between two looks for triggers */
#define TELL_AFTER_MS 60000
#define FINISH_SLICE_MS 10
#define SILENCE_MS 500 /* of a server, at the end of a run: nobody waits longer for its answer */
#define END_TICK_MS 50

struct follow {
    struct follow_plan plan;
    struct errand errand;
    struct sequences *sequences;
    struct pg_conn *source, *dest; /* the errand's */

    atomic_uint_fast64_t safe, until; /* until: a sequence waits for it; 0: none */
    atomic_int_fast64_t rows, rows_seen;
    atomic_bool is_caught_up, is_poked, shall_end, is_last_done;
    atomic_int_fast64_t ending_at; /* since when it shall; monotonic ms */

    pthread_mutex_t lock; /* leaf: status */
    struct follow_status status;

    size_t n_tables; /* of the destination */
    char **dest_schemas, **dest_tables;

    /* the errand's */
    int64_t acting_at;                           /* monotonic ms */
    int64_t looked_at, failed_at, failing_since; /* monotonic ms; 0: not */
    int slower;
    bool is_told;
};

/* A server that hangs must not keep a pause waiting; one that is slow may take its time. */
static bool is_called_off(void *arg)
{
    struct follow *f = arg;
    struct task *task = &f->errand.task;
    if (atomic_load(&f->errand.is_cancelled))
        return true;
    if (!atomic_load(&f->shall_end))
        return false;
    int64_t heard = task->heard_at, since = atomic_load(&f->ending_at);
    task->tick_ms = END_TICK_MS;
    return clock_mono_ms() - (heard > since ? heard : since) >= SILENCE_MS;
}

/* --- a look ------------------------------------------------------------------------------------
 */

static void give_back(struct follow *f, bool is_good)
{
    sessions_give(f->plan.sessions, f->plan.source_key, f->source, is_good);
    sessions_give(f->plan.sessions, f->plan.dest_key, f->dest, is_good);
    f->source = f->dest = NULL;
}

static void disconnect(struct follow *f)
{
    give_back(f, false);
    sequences_forget(f->sequences);
}

/* Others may use them between two looks, unless there are statements of ours in them. */
static void rest(struct follow *f)
{
    if (!sequences_are_prepared(f->sequences))
        give_back(f, true);
}

static bool connect_both(struct follow *f, struct err *err)
{
    struct session_wanted source = {f->plan.source_key, f->plan.source, NULL};
    struct session_wanted dest = {f->plan.dest_key, f->plan.dest, "-c lock_timeout=2s"};
    if (f->source && f->dest && pg_is_alive(f->source) && pg_is_alive(f->dest))
        return true;
    if (f->source || f->dest)
        disconnect(f);
    return (sessions_take(f->plan.sessions, &source, &f->errand.task, CONNECT_MS, &f->source,
                          err) ||
            err_context(err, "source")) &&
           (sessions_take(f->plan.sessions, &dest, &f->errand.task, CONNECT_MS, &f->dest, err) ||
            err_context(err, "destination"));
}

static void publish(struct follow *f, const struct sequences_result *r)
{
    pthread_mutex_lock(&f->lock);
    findings_free(&f->status.trouble);
    f->status.followed = r->followed;
    f->status.synced_at = clock_wall_us();
    f->status.trouble = r->trouble;
    pthread_mutex_unlock(&f->lock);
    errand_tell(&f->errand);
}

/* One that is over soon is not worth a word: a server that restarts, a lock. */
static void note_failure(struct follow *f, const struct err *err)
{
    int64_t now = clock_mono_ms();
    f->failed_at = now;
    if (!f->failing_since)
        f->failing_since = now;
    log_debug("sequence", f->plan.owner.mirror, "%s (%s)", err->text, err_name(err->code));
    if (now - f->failing_since < TELL_AFTER_MS || f->is_told)
        return;
    f->is_told = true;
    log_write(LOG_LEVEL_WARN, "sequence", f->plan.owner.mirror, err->hint,
              "the values of sequences do not follow: %s (%s)", err->text, err_name(err->code));
    pthread_mutex_lock(&f->lock);
    findings_add(&f->status.trouble, "sequences_behind", SEVERITY_WARNING,
                 "the values of sequences do not follow", err->text, err->hint, "");
    pthread_mutex_unlock(&f->lock);
    errand_tell(&f->errand);
}

/* The run has looked at its start. */
static bool look_for_triggers(struct follow *f, struct err *err)
{
    struct findings found = {0};
    int64_t now = clock_mono_ms();
    if (f->plan.is_replica || atomic_load(&f->shall_end) ||
        now - f->acting_at < (int64_t)ACTING_EVERY * f->plan.interval_ms)
        return true;
    f->acting_at = now;
    bool ok = schema_list_triggers(f->dest, &f->errand.task, f->n_tables,
                                   (const char *const *)f->dest_schemas,
                                   (const char *const *)f->dest_tables, &found, err);
    pthread_mutex_lock(&f->lock);
    findings_free(&f->status.acting);
    f->status.has_acting = ok;
    for (size_t i = 0; i < found.n; i++)
        findings_add(&f->status.acting, found.items[i].code, found.items[i].severity,
                     found.items[i].title, found.items[i].cause, found.items[i].remedy, "");
    pthread_mutex_unlock(&f->lock);
    findings_free(&found);
    return ok;
}

/* False when it makes no sense to go on. */
static bool look(struct follow *f)
{
    struct sequences_result r;
    struct err err = {0};
    int64_t rows = atomic_load(&f->rows);
    lsn_t safe = atomic_load(&f->safe);
    bool is_active = rows != atomic_load(&f->rows_seen) || atomic_exchange(&f->is_poked, false);
    if (!connect_both(f, &err) || !look_for_triggers(f, &err) ||
        !sequences_follow(f->sequences, f->source, f->dest, &f->errand.task, safe, &r, &err)) {
        if (err.code == ERR_CANCELLED)
            return false;
        note_failure(f, &err);
        disconnect(f);
        return true;
    }
    f->looked_at = clock_mono_ms();
    f->failed_at = f->failing_since = 0;
    f->is_told = false;
    atomic_store(&f->rows_seen, rows);
    atomic_store(&f->until, r.waiting ? r.until : 0);
    if (is_active || r.has_changed)
        f->slower = 1;
    else if (f->slower < MAX_SLOWER)
        f->slower++;
    rest(f);
    publish(f, &r);
    return !r.is_fenced;
}

/* --- when --------------------------------------------------------------------------------------
 */

static bool has_reason(struct follow *f)
{
    return atomic_load(&f->is_poked) ||
           (atomic_load(&f->is_caught_up) && atomic_load(&f->rows) != atomic_load(&f->rows_seen));
}

static int64_t next_look(struct follow *f)
{
    lsn_t until = atomic_load(&f->until);
    if (f->failed_at)
        return f->failed_at + AGAIN_MS;
    if (until && atomic_load(&f->safe) >= until)
        return f->looked_at + WAITING_MS;
    if (has_reason(f))
        return f->looked_at + SOON_MS;
    return f->looked_at + (int64_t)f->plan.interval_ms * f->slower;
}

static bool sleep_until_due(struct follow *f)
{
    struct err err;
    while (!atomic_load(&f->shall_end)) {
        int64_t left = next_look(f) - clock_mono_ms();
        if (left <= 0)
            return true;
        if (!errand_sleep(&f->errand, (int)left, &err))
            return false;
    }
    return true;
}

static void run(void *arg)
{
    struct follow *f = arg;
    bool goes_on = true;
    beat_does("lets the values of sequences follow");
    while (goes_on) {
        bool is_last = atomic_load(&f->shall_end);
        goes_on = look(f);
        if (is_last) {
            atomic_store(&f->is_last_done, !f->failed_at && goes_on);
            break;
        }
        goes_on = goes_on && sleep_until_due(f);
    }
    disconnect(f);
}

/* --- the mirror's thread -----------------------------------------------------------------------
 */

bool follow_start(const struct follow_plan *plan, const struct schema *s, struct follow **out,
                  struct err *err)
{
    struct follow *f = mem_calloc(1, sizeof *f);
    char name[16];
    f->plan = *plan;
    f->slower = 1;
    f->sequences = sequences_new(s, &plan->owner, plan->is_fresh);
    f->acting_at = clock_mono_ms();
    f->n_tables = s->n_tables;
    f->dest_schemas = mem_calloc(s->n_tables + 1, sizeof *f->dest_schemas);
    f->dest_tables = mem_calloc(s->n_tables + 1, sizeof *f->dest_tables);
    for (size_t i = 0; i < s->n_tables; i++) {
        f->dest_schemas[i] = mem_strdup(s->tables[i].dest_schema);
        f->dest_tables[i] = mem_strdup(s->tables[i].dest_name);
    }
    pthread_mutex_init(&f->lock, NULL);
    sessions_enter(plan->sessions, plan->source_key);
    sessions_enter(plan->sessions, plan->dest_key);
    str_printf(name, sizeof name, "b:seq %.9s", plan->owner.mirror);
    errand_init(&f->errand, name, run, f, plan->wake_fd);
    f->errand.mirror = f->plan.owner.mirror;
    f->errand.task.is_cancelled = is_called_off;
    f->errand.task.arg = f;
    f->errand.task.is_leaving = true;
    *out = f;
    if (errand_start(&f->errand, err))
        return true;
    (void)follow_finish(f, 0);
    *out = NULL;
    return false;
}

void follow_note(struct follow *f, lsn_t safe, int64_t rows, bool is_caught_up)
{
    if (!f)
        return;
    if (safe > atomic_load(&f->safe))
        atomic_store(&f->safe, safe);
    atomic_store(&f->rows, rows);
    atomic_store(&f->is_caught_up, is_caught_up);
    lsn_t until = atomic_load(&f->until);
    if (has_reason(f) || (until && safe >= until))
        wake_signal(f->errand.wake_fd);
}

void follow_poke(struct follow *f)
{
    if (!f)
        return;
    atomic_store(&f->is_poked, true);
    wake_signal(f->errand.wake_fd);
}

bool follow_has_news(struct follow *f)
{
    return f && errand_has_news(&f->errand);
}

void follow_status(struct follow *f, struct follow_status *out)
{
    pthread_mutex_lock(&f->lock);
    *out = f->status;
    out->trouble = out->acting = (struct findings){0};
    for (size_t i = 0; i < f->status.trouble.n; i++)
        MEM_PUSH(out->trouble.items, out->trouble.n, out->trouble.cap, f->status.trouble.items[i]);
    for (size_t i = 0; i < f->status.acting.n; i++)
        MEM_PUSH(out->acting.items, out->acting.n, out->acting.cap, f->status.acting.items[i]);
    f->status.has_acting = false;
    pthread_mutex_unlock(&f->lock);
}

bool follow_was_late(struct follow *f)
{
    return f && atomic_load(&f->errand.is_late) && errand_is_over(&f->errand);
}

bool follow_finish(struct follow *f, int limit_ms)
{
    int64_t until = clock_mono_ms() + limit_ms;
    if (!f)
        return true;
    atomic_store(&f->ending_at, clock_mono_ms());
    atomic_store(&f->shall_end, true);
    wake_signal(f->errand.wake_fd);
    while (f->errand.has_thread && !errand_is_over(&f->errand) && clock_mono_ms() < until)
        (void)poll(NULL, 0, FINISH_SLICE_MS);
    errand_join(&f->errand);
    bool is_done = atomic_load(&f->is_last_done);
    sessions_leave(f->plan.sessions, f->plan.source_key);
    sessions_leave(f->plan.sessions, f->plan.dest_key);
    pthread_mutex_destroy(&f->lock);
    findings_free(&f->status.trouble);
    findings_free(&f->status.acting);
    for (size_t i = 0; i < f->n_tables; i++) {
        free(f->dest_schemas[i]);
        free(f->dest_tables[i]);
    }
    free(f->dest_schemas);
    free(f->dest_tables);
    sequences_free(f->sequences);
    free(f);
    return is_done;
}
