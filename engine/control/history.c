/* The history of a mirror's run; see history.h. */
#include "control/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define WAIT_MS 2000

void history_init(struct history *h, struct catalog *c, const char *mirror)
{
    *h = (struct history){.catalog = c, .mirror = mirror};
}

static void forget(struct history *h)
{
    for (size_t i = 0; i < h->n; i++)
        run_event_free(&h->events[i]);
    h->n = 0;
}

void history_free(struct history *h)
{
    forget(h);
}

void history_flush(struct history *h)
{
    struct err err = {0};
    if (h->n && !catalog_run_events(h->catalog, h->run_id, h->events, h->n, &err))
        log_warn("super", h->mirror, "cannot record the run's events: %s", err.text);
    forget(h);
}

void history_tick(struct history *h)
{
    if (h->n && clock_mono_ms() - h->first_at >= WAIT_MS)
        history_flush(h);
}

static void add(struct history *h, enum mirror_state state, const char *phase, const char *text)
{
    if (h->n == HISTORY_EVENTS)
        history_flush(h);
    if (h->n == 0)
        h->first_at = clock_mono_ms();
    struct run_event *e = &h->events[h->n++];
    *e = (struct run_event){.at = clock_wall_us(), .text = mem_strdup(text)};
    str_copy(e->state, sizeof e->state, mirror_state_name(state));
    str_copy(e->phase, sizeof e->phase, phase);
}

static bool is_outcome(enum mirror_state state)
{
    switch (state) {
    case MIRROR_PAUSED:
    case MIRROR_ERROR:
    case MIRROR_STOPPED:
        return true;
    case MIRROR_INITIALIZING:
    case MIRROR_SNAPSHOTTING:
    case MIRROR_RUNNING:
        return false;
    }
    return false;
}

void history_note(struct history *h, enum mirror_state state, const char *phase, const char *text)
{
    if (h->run_id && (h->is_running || is_outcome(state)))
        add(h, state, phase, text);
}

void history_begin(struct history *h, const char *kind, enum mirror_state state, const char *phase)
{
    struct err err = {0};
    history_flush(h);
    h->run_id = 0;
    if (!catalog_run_begin(h->catalog, h->mirror, kind, &h->run_id, &err)) {
        log_error("super", h->mirror, "cannot record the run: %s", err.text);
        h->run_id = 0;
        return;
    }
    h->is_running = true;
    h->is_told = false;
    if (*h->asked && !catalog_run_asked(h->catalog, h->run_id, h->asked, NULL, &err))
        log_warn("super", h->mirror, "cannot record who let the run begin: %s", err.text);
    h->asked[0] = '\0';
    add(h, state, phase, NULL);
}

void history_asked(struct history *h, const struct operation *op, enum mirror_state state,
                   const char *phase)
{
    struct err err = {0};
    char asked[ASKED_SIZE];
    str_printf(asked, sizeof asked, "%s by %s", op->name, op->by);
    if (h->is_running) { /* it goes on */
        add(h, state, phase, asked);
        return;
    }
    if (h->is_told && !catalog_run_asked(h->catalog, h->run_id, NULL, asked, &err))
        log_warn("super", h->mirror, "cannot record who ended the run: %s", err.text);
    h->is_told = false;
    str_copy(h->asked, sizeof h->asked, asked);
}

void history_end(struct history *h, const char *ending, const char *error)
{
    struct err err = {0};
    history_flush(h);
    h->is_running = false;
    h->is_told = h->run_id && !error;
    if (h->run_id && !catalog_run_end(h->catalog, h->run_id, ending, error, &err))
        log_error("super", h->mirror, "cannot record the run: %s", err.text);
}
