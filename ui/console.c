/* The console's life: open the terminal, one poll loop, close. The loop wakes for the terminal, a
 * signal of it, the engine, the command worker, the process, and for what changes by itself at a
 * known time; it draws at once after a key, else at most once a frame, and only when something
 * changed. */
#include "ui/console.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"
#include "ui/app.h"
#include "ui/batch.h"
#include "ui/choices.h"
#include "ui/job.h"
#include "ui/lists.h"
#include "ui/terminal.h"

enum {
    FRAME_MS = 250,
    KEYS_AT_ONCE = 64, /* then a frame, so that a pasted text cannot freeze the screen */
    TINY_TIMEOUT = 60000,
    WAIT_MOST_MS = 5000, /* between two frames on the slowest line */
};

enum source {
    FROM_TERMINAL,
    FROM_SIGNALS,
    FROM_ENGINE,
    FROM_WORKER,
    FROM_PROCESS,
    SOURCES
};

struct loop {
    struct app app;
    struct pollfd fds[SOURCES];
    bool blocked; /* the terminal takes no output; poll tells when it does */
};

static void loop_end(struct loop *l, enum console_end end)
{
    l->app.done = true;
    l->app.end = end;
}

/* Milliseconds until something may be drawn; -1: only when a descriptor says so. A frame is never
 * due before the frame rate allows it, or the loop would spin until then. */
static int loop_timeout(const struct loop *l, int64_t now)
{
    const struct app *a = &l->app;
    if (l->blocked || (!a->dirty && !a->tick_ms))
        return -1;
    int64_t at = a->last_frame_ms + a->wait_ms;
    if (!a->dirty && a->tick_ms > at)
        at = a->tick_ms;
    return at <= now ? 0 : at - now > TINY_TIMEOUT ? TINY_TIMEOUT : (int)(at - now);
}

static void loop_keys(struct loop *l)
{
    for (int i = 0; i < KEYS_AT_ONCE && !l->app.done; i++) {
        int key = terminal_key(l->fds[FROM_TERMINAL].revents);
        if (key == TERMINAL_GONE)
            loop_end(l, CONSOLE_LOST);
        if (key < 0)
            return;
        app_key(&l->app, key);
        app_rebuild(&l->app); /* the next key acts on what this one made of the lists */
        l->app.dirty = true;
        l->app.last_frame_ms = 0; /* a key is answered at once */
    }
}

static void loop_signals(struct loop *l)
{
    bool hung_up, resized;
    terminal_take_signals(&hung_up, &resized);
    if (hung_up)
        loop_end(l, CONSOLE_LOST);
    if (resized) {
        l->app.dirty = true;
        l->app.last_frame_ms = 0;
    }
}

static void loop_events(struct loop *l)
{
    struct app *a = &l->app;
    if (l->fds[FROM_PROCESS].revents)
        loop_end(l, CONSOLE_STOPPED);
    if (l->fds[FROM_SIGNALS].revents)
        loop_signals(l);
    if (l->fds[FROM_ENGINE].revents) {
        wake_clear(l->fds[FROM_ENGINE].fd);
        if (!a->frozen)
            a->dirty = true;
    }
    if (l->fds[FROM_WORKER].revents) {
        wake_clear(l->fds[FROM_WORKER].fd);
        app_take_results(a);
        a->dirty = true;
    }
    if (l->fds[FROM_TERMINAL].revents & ~POLLOUT && !a->done)
        loop_keys(l);
}

static void loop_draw(struct loop *l, int64_t now)
{
    struct app *a = &l->app;
    if (a->tick_ms && now >= a->tick_ms)
        a->dirty = true;
    l->blocked = a->dirty && !terminal_can_write();
    if (!a->dirty || l->blocked || now < a->last_frame_ms + a->wait_ms)
        return;
    app_update(a);
    a->dirty = false;
    a->tick_ms = 0;
    app_draw(a);
    long bytes = terminal_show(a->cursor_y, a->cursor_x, a->repaint);
    int64_t takes_ms = terminal_line_ms(bytes, a->last_frame_ms == 0);
    a->wait_ms = takes_ms > WAIT_MOST_MS ? WAIT_MOST_MS : takes_ms;
    a->wait_ms = a->wait_ms > a->frame_ms ? a->wait_ms : a->frame_ms;
    a->repaint = false;
    a->last_frame_ms = now;
}

static void loop_run(struct loop *l)
{
    while (!l->app.done) {
        loop_draw(l, clock_mono_ms());
        l->fds[FROM_TERMINAL].events = POLLIN | (l->blocked ? POLLOUT : 0);
        for (int i = 0; i < SOURCES; i++)
            l->fds[i].revents = 0;
        if (poll(l->fds, SOURCES, loop_timeout(l, clock_mono_ms())) > 0)
            loop_events(l);
    }
}

static void app_init(struct app *a, const struct model *m, const struct console_options *o)
{
    a->model = m;
    a->options = o;
    a->paint.theme = &a->theme;
    a->frame_ms = a->wait_ms = FRAME_MS;
    a->last_frame_ms = -FRAME_MS;
    a->dirty = true;
    a->mirrors.index = a->tables.index = -1;
    a->picks.index = a->doctor.index = -1;
    a->slots.index = a->peers.index = a->runs.index = a->mirror_runs.index = -1;
    a->pane_log.least = LOG_LEVEL_WARN;
    a->detail_log.least = a->page_log.least = LOG_LEVEL_INFO;
    a->log_rows = mem_calloc(LOGVIEW_ROWS, sizeof *a->log_rows);
    theme_init(&a->theme);
    struct look usual;
    look_usual(&usual);
    const struct look *look = o->look ? o->look : &usual;
    a->keymap = look->keys;
    memcpy(a->columns, look->columns, sizeof a->columns);
    a->mouse = look->mouse;
}

static void app_free(struct app *a)
{
    if (a->picture)
        a->model->release(a->model->arg, a->picture);
    rows_free(&a->mirrors);
    rows_free(&a->tables);
    facts_free(&a->page);
    facts_free(&a->dialog.lines);
    explicit_bzero(&a->form, sizeof a->form); /* a password may be in it */
    sheet_free(&a->sheet);
    for (int k = 0; k < SHEET_COUNT; k++)
        sheet_free(&a->lists[k]);
    rows_free(&a->slots);
    rows_free(&a->doctor);
    checkups_free(a);
    rows_free(&a->picks);
    wizard_free(&a->wizard);
    rows_free(&a->peers);
    rows_free(&a->runs);
    rows_free(&a->mirror_runs);
    free(a->lines);
    free(a->tests);
    batch_free(&a->asked);
    batch_free(&a->batch);
    meters_free(&a->meters);
    free(a->rates);
    free(a->log_rows);
}

enum console_end console_run(const struct model *m, const struct console_options *o,
                             struct err *err)
{
    if (!terminal_open(err))
        return CONSOLE_FAILED;
    struct loop *l = mem_calloc(1, sizeof *l);
    int changed = wake_new(), results = wake_new();
    l->fds[FROM_TERMINAL] = (struct pollfd){.fd = 0};
    l->fds[FROM_SIGNALS] = (struct pollfd){.fd = terminal_signal_fd(), .events = POLLIN};
    l->fds[FROM_ENGINE] = (struct pollfd){.fd = changed, .events = POLLIN};
    l->fds[FROM_WORKER] = (struct pollfd){.fd = results, .events = POLLIN};
    l->fds[FROM_PROCESS] = (struct pollfd){.fd = o->stop_fd, .events = POLLIN};
    app_init(&l->app, m, o);
    choices_load(&l->app, o->choices);
    terminal_mouse(l->app.mouse);
    l->app.commands = commands_start(m, results);
    l->app.sheets = sheets_start(m, results);
    l->app.jobs = jobs_start(m, results);
    m->subscribe(m->arg, changed);

    loop_run(l);

    enum console_end end = l->app.end;
    m->unsubscribe(m->arg, changed);
    terminal_close(end == CONSOLE_LOST);
    choices_save(&l->app, o->choices);
    sheets_stop(l->app.sheets);
    jobs_stop(l->app.jobs);
    commands_stop(l->app.commands);
    app_free(&l->app);
    wake_free(changed);
    wake_free(results);
    free(l);
    return end;
}
