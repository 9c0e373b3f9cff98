/* The console's state and how it follows the engine; see app.h. */
#include "ui/app.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/actions.h"
#include "ui/batch.h"
#include "ui/format.h"
#include "ui/job.h"
#include "ui/lists.h"
#include "ui/peer_deeds.h"
#include "ui/settings.h"

void app_open(struct app *a, enum screen_id s)
{
    a->zoom = ZOOM_NONE;
    a->page_top = 0;
    a->focus_log = false;
    if (app_screen(a) != s && a->depth < STACK - 1)
        a->stack[++a->depth] = s;
}

void app_open_mirror(struct app *a, const char *name)
{
    char copy[NAME_SIZE]; /* name may be what is replaced here */
    str_copy(copy, sizeof copy, name);
    if (strcmp(a->mirror, copy) != 0)
        rows_unmark_all(&a->tables);
    str_copy(a->mirror, sizeof a->mirror, copy);
    if (!strcmp(a->opened[0], copy))
        return;
    str_copy(a->opened[1], sizeof a->opened[1], a->opened[0]);
    str_copy(a->opened[0], sizeof a->opened[0], copy);
}

void app_back(struct app *a)
{
    a->page_top = 0;
    a->focus_log = false;
    if (a->zoom != ZOOM_NONE)
        a->zoom = ZOOM_NONE;
    else if (a->depth > 0)
        wizard_left(a, a->stack[a->depth--]);
    else
        quit_ask(a);
}

void app_switch(struct app *a, enum screen_id s)
{
    a->depth = 0;
    if (s != SCREEN_LIST)
        app_open(a, s);
    a->zoom = ZOOM_NONE;
    a->focus_log = false;
}

/* --- Questions ------------------------------------------------------------------------------- */
void app_ask(struct app *a, enum sheet_kind kind, const char *name)
{
    char copy[NAME_SIZE]; /* name may be what is replaced here */
    str_copy(copy, sizeof copy, name);
    sheets_ask(a->sheets, kind, copy, kind == SHEET_SURVEY ? a->wizard.config.dest_peer : "");
    a->asked_kind = kind;
    str_copy(a->asked_name, sizeof a->asked_name, copy);
    a->is_asked = true;
}

const struct sheet *app_need(struct app *a, enum sheet_kind kind, const char *name,
                             int64_t every_ms)
{
    struct sheet *s = &a->lists[kind];
    if (strcmp(s->mirror, name)) {
        sheet_free(s);
        str_copy(s->mirror, sizeof s->mirror, name);
    }
    bool pending = a->is_asked && a->asked_kind == kind && !strcmp(a->asked_name, name);
    int64_t age_ms = (clock_wall_us() - s->at) / 1000;
    bool due = !s->is_there || a->refresh || (every_ms && (age_ms >= every_ms || age_ms < 0));
    a->refresh = false;
    if (pending)
        return s;
    if (due)
        app_ask(a, kind, name);
    else if (every_ms)
        app_tick(a, every_ms - age_ms);
    return s;
}

void app_say(struct app *a, enum severity level, const char *fmt, ...)
{
    struct message *m = &a->messages[a->n_messages++ % MESSAGES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(m->text, sizeof m->text, fmt, ap);
    va_end(ap);
    m->at = clock_wall_us();
    m->level = level;
    a->message_shown = true;
    a->message_ms = clock_mono_ms();
    a->dirty = true;
}

void app_tick(struct app *a, int64_t ms)
{
    int64_t at = clock_mono_ms() + (ms < 1 ? 1 : ms);
    if (!a->tick_ms || at < a->tick_ms)
        a->tick_ms = at;
}

const struct mirror_status *app_target(const struct app *a)
{
    if (!a->picture)
        return NULL;
    const char *name = lists_mirror(a);
    if (app_screen(a) == SCREEN_REPORT && a->sheet.kind == SHEET_PEER_TEST)
        return NULL; /* what it shows belongs to a peer, not to the mirror that was open before */
    if (name)
        return *name ? model_find(a->picture, name) : NULL;
    if (a->depth > 0 && *a->mirror)
        return model_find(a->picture, a->mirror);
    return a->depth > 0 ? NULL : rows_selected(&a->mirrors);
}

bool app_is_mirror_active(const struct mirror_status *m)
{
    switch (m->state) {
    case MIRROR_INITIALIZING:
    case MIRROR_SNAPSHOTTING:
    case MIRROR_RUNNING:
        return true;
    case MIRROR_ERROR:
        return m->next_retry_at != 0;
    case MIRROR_PAUSED:
    case MIRROR_STOPPED:
        return false;
    }
    return false;
}

double app_wal_rate(const struct app *a, const char *mirror)
{
    for (size_t i = 0; i < a->n_rates; i++)
        if (!strcmp(a->rates[i].mirror, mirror))
            return a->rates[i].bytes_per_second;
    return -1;
}

const char *app_minutes(const struct app *a, const char *mirror, bool is_copy, int64_t bytes,
                        char out[APP_MINUTES])
{
    double rate = 0;
    for (size_t i = 0; i < a->n_rates; i++)
        if (!strcmp(a->rates[i].mirror, mirror))
            rate = (is_copy ? &a->rates[i].copy : &a->rates[i].verify)->bytes_per_second;
    double minutes = rate > 0 ? (double)bytes / rate / 60 : -1;
    if (minutes < 0)
        *out = '\0';
    else if (minutes < 1)
        str_copy(out, APP_MINUTES, "less than a minute");
    else if (minutes < 120)
        str_printf(out, APP_MINUTES, "about %.0f min", minutes);
    else
        str_printf(out, APP_MINUTES, "about %.0f h", minutes / 60);
    return out;
}

enum {
    PACE_US = 1500000, /* less of it says nothing */
};

/* One that begins is another one: what was known holds until it has gone on for a while. */
static void pace_note(struct pace *p, bool works, int64_t bytes, int64_t at)
{
    if (works && p->works && bytes >= p->bytes && at >= p->at) {
        p->sum_bytes += bytes - p->bytes;
        p->sum_us += at - p->at;
    } else if (works) {
        p->sum_bytes = p->sum_us = 0;
    }
    p->works = works;
    p->bytes = bytes;
    p->at = at;
    if (works && p->sum_us >= PACE_US && p->sum_bytes > 0)
        p->bytes_per_second = (double)p->sum_bytes * 1e6 / (double)p->sum_us;
}

static void note_paces(struct wal_rate *r, const struct mirror_status *m, int64_t at)
{
    bool copies = m->state == MIRROR_SNAPSHOTTING || !strncmp(m->operation.name, "resync", 6);
    int64_t bytes = 0;
    for (size_t i = 0; copies && i < m->n_tables; i++)
        bytes += m->tables[i].bytes_done;
    pace_note(&r->copy, copies, bytes, at);
    pace_note(&r->verify, m->verify.is_running, m->verify.bytes_done, at);
}

/* The rates of the new picture, carried over from the last. Both are sorted by name. */
static void update_rates(struct app *a, const struct picture *p)
{
    struct wal_rate *now = mem_calloc(p->n + 1, sizeof *now);
    size_t old = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct mirror_status *m = &p->mirrors[i];
        struct wal_rate *r = &now[i];
        str_copy(r->mirror, sizeof r->mirror, m->name);
        r->lsn = m->source_lsn;
        r->at = m->slot.sampled_at;
        r->bytes_per_second = -1;
        while (old < a->n_rates && strcmp(a->rates[old].mirror, m->name) < 0)
            old++;
        bool is_new = old == a->n_rates || strcmp(a->rates[old].mirror, m->name) != 0;
        const struct wal_rate *o = is_new ? r : &a->rates[old];
        r->copy = o->copy;
        r->verify = o->verify;
        if (!is_new && (r->at <= o->at || !o->lsn || r->lsn < o->lsn))
            *r = *o;
        else if (!is_new)
            r->bytes_per_second = (double)(r->lsn - o->lsn) * 1e6 / (double)(r->at - o->at);
        note_paces(r, m, p->taken_at);
    }
    free(a->rates);
    a->rates = now;
    a->n_rates = p->n;
}

/* Says what the operator must not miss: a mirror failed, or came back. */
static void say_change(struct app *a, const struct mirror_status *was,
                       const struct mirror_status *is)
{
    if (is->state == MIRROR_ERROR && was->state != MIRROR_ERROR)
        app_say(a, SEVERITY_ERROR, "%s failed: %s%s%s", is->name, is->error.sqlstate,
                *is->error.sqlstate ? " " : "", is->error.text);
    else if (was->state == MIRROR_ERROR && is->state == MIRROR_RUNNING)
        app_say(a, SEVERITY_OK, "%s runs again", is->name);
    else if (was->state == MIRROR_SNAPSHOTTING && is->state == MIRROR_RUNNING)
        app_say(a, SEVERITY_OK, "%s: snapshot complete, streaming", is->name);
}

static bool is_reached(enum mirror_command k, const struct mirror_status *m)
{
    if (*m->operation.name || k == MIRROR_DELETE || k == MIRROR_FORCE_DELETE)
        return false;
    return k == MIRROR_PAUSE ? m->state == MIRROR_PAUSED : m->state != MIRROR_PAUSED;
}

#define PICTURE_OLD_MS 1000

/* Whether a picture may be from before the answer, and then show the end already, or not even the
 * beginning: one that has not changed since, or that an engine in another process sent. Nothing
 * comes any more when it is still the last one after a while. */
static bool is_before(const struct app *a, const struct picture *p, const struct pending *x)
{
    bool may_be = p == a->picture || a->model->is_attached;
    return may_be && p->taken_at <= x->answered_at &&
           clock_mono_ms() - x->since_ms < PICTURE_OLD_MS;
}

/* Commands that the engine went on with after their time limit: has it done them? */
static void update_pending(struct app *a, const struct picture *p)
{
    char took[FORMAT_SIZE], text[300], shows[48];
    action_text(a, "; {found} shows what it found", shows, sizeof shows);
    for (int i = 0; i < PENDING; i++) {
        struct pending *x = &a->pending[i];
        const char *name = x->order.mirror;
        const struct mirror_status *m = *name ? model_find(p, name) : NULL;
        bool is_comparison = x->order.kind == MIRROR_VERIFY || x->order.kind == MIRROR_REPAIR;
        if (!*name || is_before(a, p, x) || (m && !is_reached(x->order.kind, m)))
            continue;
        if (m)
            app_say(a, SEVERITY_OK, "%s: %s (%s)%s", order_text(&x->order, text, sizeof text),
                    order_is_long(&x->order) ? "ended" : "done",
                    format_seconds((double)(clock_mono_ms() - x->since_ms) / 1000, took),
                    is_comparison ? shows : "");
        else if (x->order.kind == MIRROR_DELETE || x->order.kind == MIRROR_FORCE_DELETE)
            app_say(a, SEVERITY_OK, "%s: done", order_text(&x->order, text, sizeof text));
        a->refresh |= x->order.kind == MIRROR_SYNC_SCHEMA; /* the plan on the screen is old */
        batch_answered(a, &x->order, true, true);
        x->order = (struct order){0};
    }
}

/* A comparison has ended whose report is on the screen. */
static void update_report(struct app *a, const struct picture *p)
{
    const struct sheet *r = &a->sheet;
    const struct mirror_status *was = model_find(a->picture, r->mirror);
    const struct mirror_status *is = model_find(p, r->mirror);
    if (app_screen(a) == SCREEN_REPORT && r->kind != SHEET_PEER_TEST && was && is &&
        *was->operation.name && !*is->operation.name)
        app_ask(a, r->kind, r->mirror);
}

static void update_changes(struct app *a, const struct picture *p)
{
    for (size_t i = 0; a->picture && i < p->n; i++) {
        const struct mirror_status *was = model_find(a->picture, p->mirrors[i].name);
        if (was)
            say_change(a, was, &p->mirrors[i]);
    }
    if (a->picture)
        update_report(a, p);
}

void app_update(struct app *a)
{
    if (a->frozen && a->picture)
        return;
    const struct picture *p = a->model->picture(a->model->arg);
    if (a->picture && p->version == a->picture->version) {
        a->model->release(a->model->arg, p);
        update_pending(a, a->picture);
        batch_go_on(a);
        return;
    }
    update_changes(a, p);
    update_pending(a, p);
    update_rates(a, p);
    const struct mirror_status *open = *a->mirror ? model_find(p, a->mirror) : NULL;
    if (open)
        meters_update(&a->meters, open, p->taken_at);
    if (a->picture)
        a->model->release(a->model->arg, a->picture);
    a->picture = p;
    batch_go_on(a);
}

static void pend(struct app *a, const struct command_result *r)
{
    for (int i = 0; i < PENDING; i++) {
        struct pending *x = &a->pending[i];
        if (*x->order.mirror && strcmp(x->order.mirror, r->order.mirror))
            continue;
        x->order = r->order;
        x->since_ms = clock_mono_ms() - r->took_ms;
        x->answered_at = clock_wall_us();
        return;
    }
}

static void say_result(struct app *a, const struct command_result *r)
{
    char took[FORMAT_SIZE], text[300];
    order_text(&r->order, text, sizeof text);
    format_seconds((double)r->took_ms / 1000, took);
    if (r->ok && order_is_long(&r->order)) {
        app_say(a, SEVERITY_OK, "%s: accepted (%s)", text, took);
        pend(a, r);
    } else if (r->ok) {
        app_say(a, SEVERITY_OK, "%s: done (%s)", text, took);
    } else if (r->err.code == ERR_TIMEOUT) {
        app_say(a, SEVERITY_INFO, "%s: still under way after %s, it goes on", text, took);
        pend(a, r);
    } else {
        app_say(a, SEVERITY_ERROR, "%s: %s%s%s", text, r->err.text, *r->err.hint ? "; " : "",
                r->err.hint);
    }
}

static void note_test(struct app *a, const struct sheet *r)
{
    struct peer_test t = {.ok = !r->err.code, .at = r->at};
    str_copy(t.peer, sizeof t.peer, r->mirror);
    str_copy(t.text, sizeof t.text, t.ok ? r->test.version : r->err.text);
    for (size_t i = 0; i < a->n_tests; i++)
        if (!strcmp(a->tests[i].peer, t.peer)) {
            a->tests[i] = t;
            return;
        }
    MEM_PUSH(a->tests, a->n_tests, a->cap_tests, t);
}

static void say_job(struct app *a, struct job_result *r)
{
    if (peer_job_done(a, r) || wizard_job_done(a, r) || settings_job_done(a, r))
        return;
    a->refresh |= r->kind == JOB_PEER_SAVE || r->kind == JOB_PEER_DELETE;
    if (r->ok)
        app_say(a, SEVERITY_OK, "%s", r->text);
    else
        app_say(a, SEVERITY_ERROR, "%s: %s%s%s", r->text, r->err.text, *r->err.hint ? "; " : "",
                r->err.hint);
}

/* An operator waits for it: it is not held back for what the last frame took of the line. */
static void show_at_once(struct app *a)
{
    a->last_frame_ms = 0;
}

void app_take_results(struct app *a)
{
    struct job_result done;
    if (jobs_take(a->jobs, &done)) {
        show_at_once(a);
        say_job(a, &done);
        findings_free(&done.findings);
    }
    struct command_result r;
    struct sheet sheet;
    while (commands_take(a->commands, &r)) {
        if (a->batch.n == 0)
            show_at_once(a);
        say_result(a, &r);
        batch_answered(a, &r.order, r.ok || r.err.code == ERR_TIMEOUT, false);
        batch_go_on(a);
    }
    if (!sheets_take(a->sheets, &sheet))
        return;
    a->is_asked = false;
    if (sheet.kind == SHEET_PEER_TEST)
        note_test(a, &sheet);
    if (sheet.kind == SHEET_CHECKUP) {
        checkup_take(a, &sheet);
        sheet_free(&sheet);
        app_rebuild(a);
        return;
    }
    struct sheet *place = sheet.kind <= SHEET_PEER_TEST ? &a->sheet : &a->lists[sheet.kind];
    if (!place->is_there)
        show_at_once(a);
    if (sheet.err.code && place->is_there && !strcmp(place->mirror, sheet.mirror) &&
        place == &a->lists[sheet.kind]) {
        place->err = sheet.err; /* what was known stays, with its age */
        place->at = sheet.at;
        sheet_free(&sheet);
    } else {
        sheet_free(place);
        *place = sheet;
    }
    if (sheet.kind == SHEET_PEERS)
        wizard_peers_come(a);
    if (sheet.kind == SHEET_CONFIG)
        settings_come(a);
    app_rebuild(a); /* lines borrow from what has just been replaced */
}
