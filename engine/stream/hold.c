/* The wish that the stream stand still, and how far it is obeyed; see hold.h. */
#include "stream/hold.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"
#include "pg/pg.h"

#define STAND_LIMIT_MS 2000 /* the longest time that a transaction waits for */
#define SLICE_MS 50

enum hold_state {
    HOLD_OFF,
    HOLD_ASKED,
    HOLD_STANDING,
    HOLD_PASSED,  /* a transaction behind the place had begun before it was asked for */
    HOLD_EXPIRED, /* a transaction has waited too long */
    HOLD_ENDED,   /* the stream ended */
};

struct hold {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum hold_state state;
    lsn_t lsn;        /* of HOLD_ASKED and HOLD_STANDING */
    lsn_t begun;      /* every transaction that has begun committed before this */
    int64_t stops_at; /* monotonic ms: since when a transaction waits; 0: none does */
    bool is_kept;     /* it does not expire */
    int wake_fd;      /* of the stream's loop; -1: there is no stream */
};

struct hold *hold_new(void)
{
    struct hold *h = mem_calloc(1, sizeof *h);
    pthread_condattr_t attr;
    h->wake_fd = -1;
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &attr);
    pthread_condattr_destroy(&attr);
    return h;
}

void hold_free(struct hold *h)
{
    if (!h)
        return;
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static bool is_on(const struct hold *h) /* with the lock */
{
    return h->state == HOLD_ASKED || h->state == HOLD_STANDING;
}

static void set(struct hold *h, enum hold_state state) /* with the lock */
{
    h->state = state;
    h->is_kept = false;
    h->stops_at = 0;
    pthread_cond_broadcast(&h->changed);
    if (h->wake_fd >= 0)
        wake_signal(h->wake_fd);
}

/* --- The one who asks ------------------------------------------------------------------------ */

bool hold_has_stream(struct hold *h)
{
    pthread_mutex_lock(&h->lock);
    bool has = h->wake_fd >= 0;
    pthread_mutex_unlock(&h->lock);
    return has;
}

static void place(struct hold *h, lsn_t lsn) /* with the lock */
{
    if (h->wake_fd < 0) {
        set(h, HOLD_ENDED);
    } else if (h->state == HOLD_OFF || h->lsn != lsn) {
        h->lsn = lsn;
        set(h, HOLD_ASKED);
    }
}

void hold_ask(struct hold *h, lsn_t lsn)
{
    pthread_mutex_lock(&h->lock);
    if (h->state == HOLD_OFF || (is_on(h) && lsn > h->lsn))
        place(h, lsn > h->begun ? lsn : h->begun);
    pthread_mutex_unlock(&h->lock);
}

static void wait_slice(struct hold *h) /* with the lock */
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += SLICE_MS * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    beat_move(); /* the caller has a limit of its own */
    pthread_cond_timedwait(&h->changed, &h->lock, &until);
}

static bool explain(enum hold_state state, struct err *err)
{
    switch (state) {
    case HOLD_PASSED:
        return err_set(err, ERR_TIMEOUT, "the stream was faster than the source's snapshot");
    case HOLD_EXPIRED:
        return err_set(err, ERR_TIMEOUT, "the stream cannot stand still for longer than %d s",
                       STAND_LIMIT_MS / 1000);
    case HOLD_ENDED:
        return err_set(err, ERR_TIMEOUT, "the stream was interrupted");
    case HOLD_OFF:
    case HOLD_ASKED:
    case HOLD_STANDING:
        break;
    }
    return err_set(err, ERR_TIMEOUT, "the stream did not reach the source's snapshot in time");
}

bool hold_await(struct hold *h, lsn_t lsn, struct task *task, int limit_ms, struct err *err)
{
    int64_t until = clock_mono_ms() + limit_ms;
    bool is_cancelled = false;
    pthread_mutex_lock(&h->lock);
    if (h->state == HOLD_OFF || is_on(h)) {
        place(h, lsn);
        if (h->begun > lsn && is_on(h))
            set(h, HOLD_PASSED);
    }
    while (h->state == HOLD_ASKED && !is_cancelled && clock_mono_ms() < until) {
        wait_slice(h);
        is_cancelled = task && task->is_cancelled && task->is_cancelled(task->arg);
    }
    enum hold_state state = h->state;
    if (state != HOLD_STANDING)
        set(h, HOLD_OFF);
    pthread_mutex_unlock(&h->lock);
    if (is_cancelled)
        return err_set(err, ERR_CANCELLED, "given up on command");
    return state == HOLD_STANDING || explain(state, err);
}

bool hold_keep(struct hold *h)
{
    pthread_mutex_lock(&h->lock);
    h->is_kept = h->state == HOLD_STANDING;
    bool is_kept = h->is_kept;
    pthread_mutex_unlock(&h->lock);
    return is_kept;
}

bool hold_release(struct hold *h)
{
    pthread_mutex_lock(&h->lock);
    bool has_stood = h->state == HOLD_STANDING;
    set(h, HOLD_OFF);
    pthread_mutex_unlock(&h->lock);
    return has_stood;
}

/* --- The stream ------------------------------------------------------------------------------ */

void hold_attach(struct hold *h, lsn_t from, int wake_fd)
{
    pthread_mutex_lock(&h->lock);
    h->begun = from;
    h->wake_fd = wake_fd;
    pthread_mutex_unlock(&h->lock);
}

void hold_detach(struct hold *h)
{
    pthread_mutex_lock(&h->lock);
    if (is_on(h))
        set(h, HOLD_ENDED);
    h->wake_fd = -1;
    pthread_mutex_unlock(&h->lock);
}

lsn_t hold_lsn(struct hold *h)
{
    pthread_mutex_lock(&h->lock);
    lsn_t lsn = is_on(h) ? h->lsn : 0;
    pthread_mutex_unlock(&h->lock);
    return lsn;
}

bool hold_lets_in(struct hold *h, lsn_t commit_lsn)
{
    int64_t now = clock_mono_ms();
    pthread_mutex_lock(&h->lock);
    bool stops = is_on(h) && commit_lsn >= h->lsn;
    if (stops && !h->stops_at)
        h->stops_at = now;
    if (stops && !h->is_kept && now - h->stops_at >= STAND_LIMIT_MS) {
        set(h, HOLD_EXPIRED);
        stops = false;
    }
    if (!stops) {
        h->stops_at = 0;
        if (commit_lsn >= h->begun)
            h->begun = commit_lsn + 1;
    }
    pthread_mutex_unlock(&h->lock);
    return !stops;
}

void hold_stand(struct hold *h, lsn_t lsn)
{
    pthread_mutex_lock(&h->lock);
    if (h->state == HOLD_ASKED && h->lsn == lsn) {
        h->state = HOLD_STANDING;
        pthread_cond_broadcast(&h->changed);
    }
    pthread_mutex_unlock(&h->lock);
}

bool hold_is_standing(struct hold *h)
{
    pthread_mutex_lock(&h->lock);
    bool is = h->state == HOLD_STANDING;
    pthread_mutex_unlock(&h->lock);
    return is;
}
