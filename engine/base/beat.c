/* Signs of life; see beat.h. */
#include "base/beat.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define LOOK_MOST_MS 3000 /* between two looks; what is more is time in which nobody looked */

struct beat {
    void (*cancel)(void *arg, const char *why);
    void *arg;
    atomic_uint moves;
    atomic_bool is_resting;
    /* with the lock: */
    struct beat_sight seen;
    unsigned moves_seen;
    bool is_told;
    struct beat *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static struct beat *first;
static int64_t looked_at;
static atomic_int n_late;
static struct beat *being_told; /* its cancel is under way: it may not leave */
static _Thread_local struct beat *mine;

/* --- the worker's side ------------------------------------------------------------------------ */

void beat_enter(const struct beat_worker *w)
{
    struct beat *b = mem_calloc(1, sizeof *b), **last = &first;
    b->cancel = w->cancel;
    b->arg = w->arg;
    str_copy(b->seen.name, sizeof b->seen.name, w->name);
    str_copy(b->seen.mirror, sizeof b->seen.mirror, w->mirror ? w->mirror : "");
    str_copy(b->seen.peer, sizeof b->seen.peer, w->peer ? w->peer : "");
    str_copy(b->seen.does, sizeof b->seen.does, "begins");
    b->seen.since = clock_wall_us();
    pthread_mutex_lock(&lock);
    while (*last)
        last = &(*last)->next;
    *last = b;
    pthread_mutex_unlock(&lock);
    mine = b;
}

void beat_leave(void)
{
    struct beat *b = mine, **at = &first;
    if (!b)
        return;
    mine = NULL;
    pthread_mutex_lock(&lock);
    while (being_told == b)
        pthread_cond_wait(&told, &lock);
    while (*at != b)
        at = &(*at)->next;
    *at = b->next;
    if (b->seen.is_late)
        atomic_fetch_sub(&n_late, 1);
    pthread_mutex_unlock(&lock);
    free(b);
}

void beat_move(void)
{
    if (!mine)
        return;
    atomic_fetch_add_explicit(&mine->moves, 1, memory_order_relaxed);
    atomic_store_explicit(&mine->is_resting, false, memory_order_relaxed);
}

void beat_does(const char *fmt, ...)
{
    char text[sizeof mine->seen.does];
    va_list ap;
    if (!mine)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    beat_move();
    pthread_mutex_lock(&lock);
    if (strcmp(mine->seen.does, text) != 0) {
        str_copy(mine->seen.does, sizeof mine->seen.does, text);
        mine->seen.since = clock_wall_us();
    }
    pthread_mutex_unlock(&lock);
}

void beat_rests(void)
{
    if (mine)
        atomic_store_explicit(&mine->is_resting, true, memory_order_relaxed);
}

/* --- who looks -------------------------------------------------------------------------------- */

static void set_late(struct beat *b, bool is_late) /* with the lock */
{
    if (b->seen.is_late != is_late)
        atomic_fetch_add(&n_late, is_late ? 1 : -1);
    b->seen.is_late = is_late;
}

bool beat_is_any_late(void)
{
    return atomic_load(&n_late) > 0;
}

static void look_at(struct beat *b, int64_t passed_ms) /* with the lock */
{
    unsigned moves = atomic_load(&b->moves);
    b->seen.is_resting = atomic_load(&b->is_resting);
    if (moves == b->moves_seen && !b->seen.is_resting) {
        b->seen.still_ms += passed_ms;
        return;
    }
    b->moves_seen = moves;
    b->seen.still_ms = 0;
    set_late(b, false);
    b->is_told = false;
}

static struct beat *find_late(int64_t limit_ms) /* with the lock */
{
    for (struct beat *b = first; b; b = b->next)
        if (b->seen.still_ms >= limit_ms && !b->is_told)
            return b;
    return NULL;
}

/* Without the lock while it is told; it cannot leave meanwhile. */
static void tell(struct beat *b) /* with the lock */
{
    char why[200];
    struct beat_sight s;
    set_late(b, true);
    b->is_told = true;
    being_told = b;
    s = b->seen;
    pthread_mutex_unlock(&lock);
    str_printf(why, sizeof why, "worker %s has not moved for %lld s; what it does: it %s", s.name,
               (long long)(s.still_ms / 1000), s.does);
    log_error("super", s.mirror, "%s%s%s%s", why, s.peer[0] ? " peer=" : "", s.peer,
              b->cancel ? "; it is cancelled" : "");
    if (b->cancel)
        b->cancel(b->arg, why);
    pthread_mutex_lock(&lock);
    being_told = NULL;
    pthread_cond_broadcast(&told);
}

size_t beat_look(int64_t now_ms, int64_t limit_ms)
{
    size_t n = 0;
    pthread_mutex_lock(&lock);
    int64_t passed = looked_at ? now_ms - looked_at : 0;
    looked_at = now_ms;
    passed = passed < 0 ? 0 : passed > LOOK_MOST_MS ? LOOK_MOST_MS : passed;
    for (struct beat *b = first; b; b = b->next)
        look_at(b, passed);
    for (struct beat *b; (b = find_late(limit_ms)) != NULL; n++)
        tell(b);
    pthread_mutex_unlock(&lock);
    return n;
}

struct beat_sight *beat_list(size_t *n)
{
    size_t cap = 0;
    struct beat_sight *all = NULL;
    *n = 0;
    pthread_mutex_lock(&lock);
    for (struct beat *b = first; b; b = b->next) {
        MEM_PUSH(all, *n, cap, b->seen);
        all[*n - 1].is_resting = atomic_load(&b->is_resting);
    }
    pthread_mutex_unlock(&lock);
    return all;
}
