/* The life of a mirror's thread: commands, runs, back-off; see mirror.h. */
#include "control/mirror_private.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/random.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "control/definitions.h"
#include "control/roster.h"
#include "control/table_sync.h"
#include "control/verify.h"

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 60000
#define ASK_TRIES 6 /* half a minute */
#define TICK_MS 500
#define IDLE_MS 1000
#define CALLER_SLICE_MS 100

/* --- commands: the caller's side
 * ------------------------------------------------------------------- */

static void command_unref(struct command *c) /* with the lock */
{
    if (--c->refs)
        return;
    for (size_t i = 0; i < c->n_tables; i++)
        table_map_free(&c->tables[i]);
    free(c->tables);
    free(c->table);
    free(c->strategy);
    free(c->note);
    free(c);
}

static struct command *command_new(const struct mirror_request *r, struct table_map *tables,
                                   size_t n_tables)
{
    struct command *c = mem_calloc(1, sizeof *c);
    c->kind = r->command;
    c->tables = tables;
    c->n_tables = n_tables;
    c->table = r->table ? mem_strdup(r->table) : NULL;
    c->strategy = r->strategy ? mem_strdup(r->strategy) : NULL;
    if (r->command == MIRROR_CHANGE) {
        c->settings = *r->settings;
        c->changes = r->changes;
    }
    str_copy(c->op.name, sizeof c->op.name, command_name(r->command));
    str_copy(c->op.by, sizeof c->op.by, r->by ? r->by : "bunnydb");
    c->op.since = clock_wall_us();
    c->refs = 1;
    return c;
}

/* Whether the state allows it is the thread's to say; that the mailbox is full is known here. */
static bool post(struct mirror *m, struct command *c, struct err *err)
{
    bool ok = false;
    pthread_mutex_lock(&m->lock);
    if (atomic_load(&m->engine->is_stopping)) {
        err_set(err, ERR_SHUTTING_DOWN, "bunnydb is stopping");
    } else if (m->is_ended) {
        err_set(err, ERR_MIRROR_NOT_FOUND, "mirror %s is being removed", m->row.config.name);
    } else if (m->command) {
        (void)command_busy(&m->command->op, err);
    } else {
        c->refs++;
        m->command = c;
        ok = true;
    }
    pthread_mutex_unlock(&m->lock);
    if (ok)
        wake_signal(m->wake_fd);
    return ok;
}

static void wait_slice(struct mirror *m, int ms) /* with the lock */
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&m->answered, &m->lock, &until);
}

/* Waits for the answer. */
static bool await(struct mirror *m, struct command *c, int limit_ms, char **note, struct err *err)
{
    bool ok = false;
    int64_t until = clock_mono_ms() + limit_ms;
    pthread_mutex_lock(&m->lock);
    while (!c->is_done && clock_mono_ms() < until && !atomic_load(&m->engine->is_stopping))
        wait_slice(m, CALLER_SLICE_MS);
    if (c->is_done) {
        ok = c->ok;
        if (!ok)
            *err = c->err;
        if (note) {
            *note = c->note;
            c->note = NULL;
        }
    } else if (atomic_load(&m->engine->is_stopping)) {
        err_set(err, ERR_SHUTTING_DOWN, "bunnydb is stopping");
    } else {
        err_set(err, ERR_TIMEOUT, "%s of mirror %s is not done yet after %d s; it goes on",
                c->op.name, m->row.config.name, limit_ms / 1000);
    }
    pthread_mutex_unlock(&m->lock);
    return ok;
}

bool mirror_command(struct mirror *m, const struct mirror_request *r, struct table_map *tables,
                    size_t n_tables, int limit_ms, char **note, struct err *err)
{
    struct command *c = command_new(r, tables, n_tables);
    if (note)
        *note = NULL;
    bool ok = post(m, c, err) && await(m, c, limit_ms, note, err);
    pthread_mutex_lock(&m->lock);
    command_unref(c);
    pthread_mutex_unlock(&m->lock);
    return ok;
}

void mirror_reconnect(struct mirror *m)
{
    atomic_store(&m->shall_reconnect, true);
    wake_signal(m->wake_fd);
}

void mirror_compare(struct mirror *m)
{
    atomic_store(&m->shall_compare, true);
    wake_signal(m->wake_fd);
}

void mirror_seen(struct mirror *m, struct mirror_seen *out)
{
    pthread_mutex_lock(&m->lock);
    *out = m->source_seen;
    pthread_mutex_unlock(&m->lock);
}

void mirror_note_files(struct mirror *m, const char *digest)
{
    pthread_mutex_lock(&m->lock);
    bool is_new = strcmp(m->files, digest) != 0;
    str_copy(m->files, sizeof m->files, digest);
    pthread_mutex_unlock(&m->lock);
    if (is_new)
        atomic_store(&m->shall_refresh, true);
}

bool mirror_keys(struct mirror *m, struct mirror_keys *out)
{
    pthread_mutex_lock(&m->lock);
    bool is_known = m->keys.schemas != NULL;
    *out = (struct mirror_keys){0};
    if (is_known) {
        out->schemas = mem_strdup(m->keys.schemas);
        out->tables = mem_strdup(m->keys.tables);
        out->columns = mem_strdup(m->keys.columns);
    }
    pthread_mutex_unlock(&m->lock);
    return is_known;
}

void mirror_ask_stop(struct mirror *m)
{
    atomic_store(&m->shall_stop, true);
    wake_signal(m->wake_fd);
}

/* --- operations that outlive their acceptance ---------------------------------------------------
 */

bool mirror_is_pending(const struct mirror *m, enum mirror_command c)
{
    return !strcmp(m->row.pending, command_name(c));
}

/* sync-schema is asked for, and everything has been applied that has to be before it goes on. */
static bool mirror_syncs_now(const struct mirror *m)
{
    return mirror_is_pending(m, MIRROR_SYNC_SCHEMA) && m->sync_after == 0;
}

/* A failed or paused mirror holds nothing back: its operation goes on when it runs again. */
static struct operation held_operation(const struct mirror *m)
{
    struct operation op = {0};
    if (!m->is_syncing && (m->live.state == MIRROR_PAUSED || m->live.state == MIRROR_ERROR))
        return op;
    bool repairs = mirror_is_pending(m, MIRROR_REPAIR); /* a comparison to whoever looks */
    str_copy(op.name, sizeof op.name, repairs ? command_name(MIRROR_VERIFY) : m->row.pending);
    str_copy(op.by, sizeof op.by, m->row.pending_by);
    op.since = m->row.pending_at;
    return op;
}

void mirror_show_operation(struct mirror *m)
{
    m->live.operation = held_operation(m);
}

bool mirror_begin_operation(struct mirror *m, const struct operation *op, struct err *err)
{
    if (!catalog_mirror_set_pending(m->engine->catalog, m->row.config.name, op->name, op->by,
                                    op->since, err))
        return false;
    str_copy(m->row.pending, sizeof m->row.pending, op->name);
    str_copy(m->row.pending_by, sizeof m->row.pending_by, op->by);
    m->row.pending_at = op->since;
    return true;
}

void mirror_end_operation(struct mirror *m, enum mirror_command c)
{
    struct err err = {0};
    if (!mirror_is_pending(m, c))
        return;
    log_info("super", m->row.config.name, "operation done: %s seconds=%.1f", command_name(c),
             (double)(clock_wall_us() - m->row.pending_at) / 1e6);
    if (!catalog_mirror_set_pending(m->engine->catalog, m->row.config.name, "", "", 0, &err))
        log_error("super", m->row.config.name, "cannot record the end of an operation: %s",
                  err.text); /* it would be done once more after a restart, which harms nothing */
    m->row.pending[0] = '\0';
    m->live.operation = held_operation(m);
    show_now(m);
}

/* --- commands: the thread's side
 * -------------------------------------------------------------------- */

/* The command that nobody has looked at yet. */
static struct command *peek_command(struct mirror *m)
{
    pthread_mutex_lock(&m->lock);
    struct command *c = m->command && !m->command->is_taken ? m->command : NULL;
    pthread_mutex_unlock(&m->lock);
    return c;
}

bool mirror_leaves(struct mirror *m)
{
    const struct command *c = peek_command(m);
    return atomic_load(&m->shall_stop) ||
           (c && (c->kind == MIRROR_PAUSE || c->kind == MIRROR_DELETE ||
                  c->kind == MIRROR_FORCE_DELETE));
}

static void take_command(struct mirror *m, struct command *c)
{
    pthread_mutex_lock(&m->lock);
    c->is_taken = true;
    pthread_mutex_unlock(&m->lock);
}

static void answer(struct mirror *m, struct command *c, bool ok, const struct err *err)
{
    m->live.operation = held_operation(m);
    show_now(m);
    pthread_mutex_lock(&m->lock);
    c->ok = ok;
    if (!ok)
        c->err = *err;
    c->is_done = true;
    m->command = NULL;
    command_unref(c);
    pthread_cond_broadcast(&m->answered);
    pthread_mutex_unlock(&m->lock);
}

bool mirror_save_flags(struct mirror *m, enum mirror_wish wish, bool snapshot_done, struct err *err)
{
    if (!catalog_mirror_set(m->engine->catalog, m->row.config.name, wish, snapshot_done,
                            m->row.slot_created, err))
        return false;
    m->row.wish = wish;
    m->row.snapshot_done = snapshot_done;
    return true;
}

static void obey(struct mirror *m, struct command *c)
{
    struct err err = {0};
    struct operation held = held_operation(m);
    take_command(m, c);
    bool ok = command_check(m->row.config.name, m->live.state, &held, c->kind, &err);
    if (ok && c->kind != MIRROR_CHANGE) { /* which is done before anybody could see it begin */
        m->live.operation = c->op;
        show_now(m);
    }
    ok = ok && mirror_obey(m, c, &err);
    if (ok)
        history_asked(&m->history, &c->op, m->live.state, m->live.phase);
    answer(m, c, ok, &err);
}

/* Asked inside every wait of a run. A command that is refused, or that a run can obey, does not
 * end it. */
static bool is_cancelled(void *arg)
{
    struct mirror *m = arg;
    struct err ignored = {0};
    beat_move();
    if (atomic_load(&m->shall_stop) || atomic_load(&m->shall_reconnect))
        return true;
    if (m->table_sync && table_sync_is_overdue(m->table_sync))
        return true;
    if (!m->is_syncing &&
        (mirror_syncs_now(m) || definitions_are_due(m) || mirror_settings_are_due(m)))
        return true;
    struct command *c = peek_command(m);
    if (!c)
        return false;
    struct operation held = held_operation(m);
    if (!mirror_obeys_inside(m, c) &&
        command_check(m->row.config.name, m->live.state, &held, c->kind, &ignored))
        return true;
    obey(m, c);
    return false;
}

static void tick(void *arg)
{
    struct mirror *m = arg;
    if (atomic_exchange(&m->shall_compare, false) && !(m->wants_sync && m->sync_failures))
        definitions_want(m, 0); /* else its back-off counts: a run has to get its turn, too */
    show_tick(arg);
    verify_tick(arg);
}

/* --- failures
 * ----------------------------------------------------------------------------------------
 */

/* 1 s doubling to 60 s, and up to a quarter of it more or less, so that many mirrors of one server
 * do not come back in step. */
int64_t mirror_backoff_ms(int failures)
{
    uint16_t random = 0;
    int64_t ms = BACKOFF_FIRST_MS;
    for (int i = 1; i < failures && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (uint16_t)clock_mono_us();
    return ms - ms / 4 + ms / 2 * random / UINT16_MAX;
}

/* Errors that no waiting heals: the operator decides. Of those that somebody has to heal it is
 * tried some times whether that has happened; then neither the servers nor the log are hammered any
 * more. Another process that applies ends some day. */
static bool is_for_operator(struct mirror *m, const struct err *shown)
{
    bool asks = err_class_of(shown) == CLASS_ASK && shown->code != ERR_FENCED;
    m->asked = asks ? m->asked + 1 : 0;
    return cause_is_final(shown->code) || m->asked >= ASK_TRIES;
}

static void run_failed(struct mirror *m, const struct err *err)
{
    struct err shown;
    cause_name(m->row.config.name, err, &shown);
    m->live.error_count++;
    m->is_held = is_for_operator(m, &shown);
    int64_t wait = mirror_backoff_ms(m->live.error_count);
    m->retry_at = m->is_held ? 0 : clock_mono_ms() + wait;
    m->live.next_retry_at = m->is_held ? 0 : clock_wall_us() + wait * 1000;
    show_error(m, err);
    show_state(m, MIRROR_ERROR, m->is_held ? "waiting" : "backing_off");
    log_write(LOG_LEVEL_ERROR, "super", m->row.config.name, shown.hint, "%s%s%s (%s)%s",
              shown.sqlstate, shown.sqlstate[0] ? " " : "", shown.text, err_name(shown.code),
              m->is_held ? "; waiting for the operator" : "");
}

static void run_once(struct mirror *m)
{
    struct err err = {0};
    atomic_store(&m->shall_reconnect, false);
    m->retry_at = 0;
    /* an error that is shown while it is tried again is none that waits for the operator */
    m->live.next_retry_at = m->live.state == MIRROR_ERROR ? clock_wall_us() : 0;
    history_begin(&m->history, m->row.snapshot_done ? "stream" : "snapshot", m->live.state,
                  m->live.phase);
    bool goes_on = mirror_run(m, &err), is_stopped = err.code == ERR_CANCELLED;
    goes_on = goes_on || (!is_stopped && mirror_swaps_anew(m, &err));
    m->takes_slot = false; /* one attempt was asked for */
    if (!is_stopped && !goes_on)
        run_failed(m, &err);
    show_save_counters(m);
    trouble_save(m);
    history_end(&m->history, is_stopped ? "stopped" : "failed", is_stopped ? NULL : err.text);
}

/* --- the thread
 * ---------------------------------------------------------------------------------------- */

static bool is_due(const struct mirror *m)
{
    return m->row.wish != WISH_PAUSE && !m->is_held && clock_mono_ms() >= m->retry_at;
}

static void wait_for_work(struct mirror *m)
{
    int64_t ms = IDLE_MS;
    if (m->row.wish != WISH_PAUSE && m->retry_at && m->retry_at - clock_mono_ms() < ms)
        ms = m->retry_at - clock_mono_ms();
    struct pollfd fd = {.fd = m->wake_fd, .events = POLLIN};
    if (ms > 0)
        (void)poll(&fd, 1, (int)ms);
    wake_clear(m->wake_fd);
    if (atomic_exchange(&m->shall_reconnect, false)) {
        m->retry_at = 0; /* new values of a peer are tried at once */
        m->is_held = false;
        m->asked = 0;
    }
    show_tick(m);
    verify_tick(m);
}

/* Nobody asked for it. A mirror whose definitions follow by hand looks at the start of a run. */
static void compare_definitions(struct mirror *m)
{
    if (definitions_are_automatic(m))
        mirror_sync_schema(m);
    else
        m->wants_sync = false;
}

/* The next run begins as soon as it comes round. */
static void cancel_late(void *arg, const char *why)
{
    (void)why;
    mirror_reconnect(arg);
}

static void enter(struct mirror *m)
{
    char name[16];
    str_printf(name, sizeof name, "b:%.12s", m->row.config.name);
    pthread_setname_np(pthread_self(), name);
    beat_enter(&(struct beat_worker){
        .name = name, .mirror = m->row.config.name, .cancel = cancel_late, .arg = m});
}

static void *mirror_main(void *arg)
{
    struct mirror *m = arg;
    enter(m);
    while (!atomic_load(&m->shall_stop) && !mirror_is_gone(m)) {
        struct command *c = peek_command(m);
        mirror_adopt_settings(m);
        if (c)
            obey(m, c);
        else if (mirror_syncs_now(m) && m->row.wish != WISH_DELETE)
            mirror_sync_schema(m);
        else if (definitions_are_due(m))
            compare_definitions(m);
        else if (!is_due(m))
            wait_for_work(m);
        else if (m->row.wish == WISH_DELETE)
            mirror_finish_deletion(m);
        else
            run_once(m);
    }
    verify_end(m);
    history_flush(&m->history);
    beat_leave();
    pthread_mutex_lock(&m->lock);
    m->is_ended = true;
    if (m->command) { /* came too late */
        m->command->is_done = true;
        err_set(&m->command->err, ERR_SHUTTING_DOWN, "bunnydb is stopping");
        command_unref(m->command);
        m->command = NULL;
    }
    pthread_cond_broadcast(&m->answered);
    bool gone = m->is_gone;
    pthread_mutex_unlock(&m->lock);
    if (gone)
        roster_is_gone(m->engine->roster);
    return NULL;
}

struct mirror *mirror_new(struct engine *e, struct mirror_row *row)
{
    struct mirror *m = mem_calloc(1, sizeof *m);
    pthread_condattr_t attr;
    m->engine = e;
    m->row = *row;
    *row = (struct mirror_row){0};
    m->board = board_new(roster_changed, e->roster);
    m->wake_fd = wake_new();
    m->hold = hold_new();
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->answered, &attr);
    pthread_condattr_destroy(&attr);
    m->task = (struct task){.wake_fd = m->wake_fd,
                            .is_cancelled = is_cancelled,
                            .tick = tick,
                            .arg = m,
                            .tick_ms = TICK_MS};
    const struct mirror_config *c = &m->row.config;
    history_init(&m->history, e->catalog, c->name);
    str_copy(m->live.name, sizeof m->live.name, c->name);
    str_copy(m->live.source_peer, sizeof m->live.source_peer, c->source_peer);
    str_copy(m->live.dest_peer, sizeof m->live.dest_peer, c->dest_peer);
    str_copy(m->live.slot_name, sizeof m->live.slot_name, c->slot);
    str_copy(m->live.publication, sizeof m->live.publication, c->publication);
    mirror_show_settings(m);
    m->live.created_at = c->created_at;
    m->live.eta_seconds = -1;
    show_schema(m, NULL);
    trouble_load(m);
    differences_load(m);
    if (m->row.wish == WISH_PAUSE)
        show_state(m, MIRROR_PAUSED, "paused");
    else
        show_state(m, m->row.snapshot_done ? MIRROR_RUNNING : MIRROR_INITIALIZING, "connecting");
    m->live.operation = held_operation(m);
    show_now(m);
    return m;
}

bool mirror_start(struct mirror *m, struct err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&m->thread, NULL, mirror_main, m);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return err_set(err, ERR_IO, "cannot start a thread for mirror %s: %s", m->row.config.name,
                       strerror(rc));
    m->has_thread = true;
    return true;
}

bool mirror_join(struct mirror *m, int limit_ms)
{
    int64_t until = clock_mono_ms() + limit_ms;
    if (!m->has_thread)
        return true;
    pthread_mutex_lock(&m->lock);
    while (!m->is_ended && clock_mono_ms() < until)
        wait_slice(m, CALLER_SLICE_MS);
    bool ended = m->is_ended;
    pthread_mutex_unlock(&m->lock);
    if (!ended)
        return false;
    pthread_join(m->thread, NULL);
    m->has_thread = false;
    return true;
}

void mirror_free(struct mirror *m)
{
    if (!m)
        return;
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->answered);
    wake_free(m->wake_fd);
    hold_free(m->hold);
    board_free(m->board);
    history_free(&m->history);
    mirror_forget_steps(m);
    mirror_row_free(&m->row);
    free(m->keys.schemas);
    free(m->keys.tables);
    free(m->keys.columns);
    free(m->tables);
    free(m->findings);
    findings_free(&m->sequence_trouble);
    findings_free(&m->differences);
    free(m->left);
    free(m->troubles);
    findings_free(&m->table_trouble);
    findings_free(&m->slot_trouble);
    findings_free(&m->copy_trouble);
    findings_free(&m->key_trouble);
    findings_free(&m->acting);
    free(m);
}

bool mirror_is_republishing(struct mirror *m)
{
    return atomic_load(&m->is_republishing);
}

const char *mirror_name(const struct mirror *m)
{
    return m->row.config.name;
}

const struct mirror_config *mirror_config_of(const struct mirror *m)
{
    return &m->row.config;
}

struct board *mirror_board(struct mirror *m)
{
    return m->board;
}

bool mirror_is_gone(struct mirror *m)
{
    pthread_mutex_lock(&m->lock);
    bool gone = m->is_gone;
    pthread_mutex_unlock(&m->lock);
    return gone;
}
