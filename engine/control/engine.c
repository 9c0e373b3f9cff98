/* The engine as a whole: open, close, and the commands on mirrors; see engine.h. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "config.h"
#include "control/engine_private.h"
#include "control/roster.h"
#include "control/sampler.h"
#include "control/slots.h"
#include "pg/sessions.h"
#include "control/supervisor.h"
#include "control/swap.h"

#define DEFAULT_MEMORY ((size_t)256 << 20)
#define DEFAULT_DECODING_MEMORY ((int64_t)256 << 20)
#define DEFAULT_LOG_DAYS 14
#define DEFAULT_LAG_ALARM_S 60
#define DEFAULT_SEQUENCE_INTERVAL_S 10

const char *engine_version(void)
{
    return PACKAGE_VERSION;
}

/* --- waiting in a caller's thread
 * ------------------------------------------------------------------- */

static bool caller_is_cancelled(void *arg)
{
    struct engine *e = arg;
    return atomic_load(&e->is_stopping);
}

struct task engine_caller_task(struct engine *e)
{
    return (struct task){
        .wake_fd = -1, .is_cancelled = caller_is_cancelled, .arg = e, .tick_ms = 100};
}

bool engine_explain_cancel(struct engine *e, struct err *err)
{
    if (err && err->code == ERR_CANCELLED && atomic_load(&e->is_stopping))
        err_set(err, ERR_SHUTTING_DOWN, "bunnydb is stopping");
    return false;
}

void engine_interrupt(struct engine *e)
{
    atomic_store(&e->is_stopping, true);
    sampler_ask_stop(e->sampler);
    roster_ask_stop(e->roster);
}

/* --- open and close
 * ----------------------------------------------------------------------------------- */

static bool start_mirrors(struct engine *e, struct err *err)
{
    struct mirror_row_list rows;
    if (!catalog_mirrors(e->catalog, &rows, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < rows.n; i++) {
        struct mirror *m = mirror_new(e, &rows.items[i]);
        roster_add(e->roster, m);
        sampler_watch(e->sampler, mirror_config_of(m));
        ok = mirror_start(m, err);
    }
    mirror_row_list_free(&rows);
    return ok;
}

bool engine_open(const struct engine_options *options, struct engine **out, struct err *err)
{
    struct engine *e = mem_calloc(1, sizeof *e);
    *out = NULL;
    e->options = *options;
    e->state_dir = mem_strdup(options->state_dir);
    e->options.state_dir = e->state_dir;
    applier_describe(e->state_dir, &e->applier);
    if (!e->options.memory_budget)
        e->options.memory_budget = DEFAULT_MEMORY;
    if (!e->options.decoding_memory)
        e->options.decoding_memory = DEFAULT_DECODING_MEMORY;
    if (!e->options.sequence_interval_s)
        e->options.sequence_interval_s = DEFAULT_SEQUENCE_INTERVAL_S;
    if (!e->options.lag_alarm_s)
        e->options.lag_alarm_s = DEFAULT_LAG_ALARM_S;
    if (!e->options.log_keep_days)
        e->options.log_keep_days = DEFAULT_LOG_DAYS;
    tokens_init(&e->tokens);
    e->roster = roster_new();
    e->slots = slots_new();
    e->sessions = sessions_new();
    e->sampler = sampler_new(e);
    bool ok = catalog_open(e->state_dir, &e->catalog, err);
    if (ok)
        e->logbook = logbook_open(e->catalog, e->options.log_keep_days, roster_changed, e->roster);
    if (ok && !options->catalog_only)
        ok = supervisor_start(e->roster, &e->supervisor, err) && start_mirrors(e, err);
    if (!ok) {
        engine_close(e, 2000);
        return false;
    }
    *out = e;
    return true;
}

void engine_close(struct engine *e, int limit_ms)
{
    if (!e)
        return;
    int64_t until = clock_mono_ms() + limit_ms;
    engine_interrupt(e);
    supervisor_end(e->supervisor); /* what ends now may take its time */
    sampler_free(e->sampler);      /* its threads hold mirrors: they end first */
    slots_free(e->slots);
    size_t stuck = roster_stop_all(e->roster, until);
    if (e->logbook)
        logbook_close(e->logbook);
    /* A thread that did not end in time still uses the rest: it ends with the process, and the
     * destination's progress row says how far it came. */
    if (stuck)
        return;
    sessions_free(e->sessions);
    catalog_close(e->catalog);
    roster_free(e->roster);
    tokens_destroy(&e->tokens);
    free(e->state_dir);
    free(e);
}

/* --- commands on mirrors
 * -------------------------------------------------------------------------------- */

bool engine_mirror_command(struct engine *e, const char *name, const struct mirror_request *r,
                           int limit_ms, char **note, struct err *err)
{
    struct mirror *m = roster_hold(e->roster, name);
    if (note)
        *note = NULL;
    if (!m)
        return err_set(err, ERR_MIRROR_NOT_FOUND, "mirror \"%s\" does not exist", name);
    bool ok = (r->command != MIRROR_CHANGE || settings_check(r->settings, r->changes, err)) &&
              swap_may_begin(e, name, r, err) && mirror_command(m, r, NULL, 0, limit_ms, note, err);
    roster_release(e->roster, m);
    roster_reap(e->roster);
    return ok;
}
