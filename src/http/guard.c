/* Watches connections; see guard.h. */
#include "src/http/guard.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define LOOKS 10 /* in the time of the limit */
#define LOOK_MIN_MS 20
#define LOOK_MAX_MS 3000
#define COMPLAIN_MS 60000

struct guarded {
    struct guard *guard;
    struct guarded *prev, *next;
    int fd;
    enum guard_state state;
    int64_t since_ms;
    size_t costs; /* bytes of the body that count */
    bool is_hung_up;
};

struct guard {
    const char *name;
    unsigned most, open; /* open: without those that are hung up on */
    int64_t limit_ms, complained_ms;
    size_t costs;
    int answering; /* or sending */
    struct guarded *first;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* there is a first connection, nobody is answered, or it is over */
    bool is_over;
};

/* --- Under the lock --------------------------------------------------------------------------- */
static void hang_up(struct guarded *c)
{
    struct guard *g = c->guard;
    (void)shutdown(c->fd, SHUT_RDWR);
    c->is_hung_up = true;
    g->open--;
    g->costs -= c->costs; /* its thread gives them back at once */
    c->costs = 0;
}

/* The one that has waited longest for its client, without one that is not to be it. */
static struct guarded *find_oldest(struct guard *g, const struct guarded *not_this, bool with_body)
{
    struct guarded *oldest = NULL;
    for (struct guarded *c = g->first; c; c = c->next)
        if (c != not_this && !c->is_hung_up && c->state != GUARD_ANSWERING &&
            (!with_body || (c->state == GUARD_READING && c->costs > 0)) &&
            (!oldest || c->since_ms <= oldest->since_ms)) /* newest first */
            oldest = c;
    return oldest;
}

/* Once a minute. True: the caller logs it, without the lock. */
static bool should_complain(struct guard *g)
{
    int64_t now = clock_mono_ms();
    if (g->complained_ms && now - g->complained_ms < COMPLAIN_MS)
        return false;
    g->complained_ms = now;
    return true;
}

static void hang_up_on_the_slow(struct guard *g)
{
    int64_t now = clock_mono_ms();
    for (struct guarded *c = g->first; c; c = c->next)
        if (!c->is_hung_up && c->state != GUARD_ANSWERING && now - c->since_ms >= g->limit_ms)
            hang_up(c);
}

static void wait_ms(struct guard *g, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_cond_timedwait(&g->changed, &g->lock, &until);
}

/* --- The thread ------------------------------------------------------------------------------- */
static void *run(void *arg)
{
    struct guard *g = arg;
    int64_t look_ms = g->limit_ms / LOOKS;
    look_ms = look_ms < LOOK_MIN_MS ? LOOK_MIN_MS : look_ms > LOOK_MAX_MS ? LOOK_MAX_MS : look_ms;
    pthread_setname_np(pthread_self(), "b:http guard");
    pthread_mutex_lock(&g->lock);
    while (!g->is_over) {
        if (g->first)
            wait_ms(g, look_ms);
        else
            pthread_cond_wait(&g->changed, &g->lock);
        hang_up_on_the_slow(g);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

bool guard_start(const char *name, unsigned most, int64_t limit_ms, struct guard **out,
                 struct err *err)
{
    pthread_condattr_t attr;
    struct guard *g = mem_calloc(1, sizeof *g);
    *g = (struct guard){.name = name, .most = most, .limit_ms = limit_ms};
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&g->changed, &attr);
    pthread_condattr_destroy(&attr);
    int rc = pthread_create(&g->thread, NULL, run, g);
    if (rc == 0) {
        *out = g;
        return true;
    }
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    free(g);
    return err_set(err, ERR_MEMORY, "no thread for the HTTP listener: %s", strerror(rc));
}

void guard_stop(struct guard *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->is_over = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

void guard_wait_answered(struct guard *g, int limit_ms)
{
    int64_t left, until = clock_mono_ms() + limit_ms;
    pthread_mutex_lock(&g->lock);
    while (g->answering > 0 && (left = until - clock_mono_ms()) > 0)
        wait_ms(g, left);
    pthread_mutex_unlock(&g->lock);
}

/* --- For the connections ---------------------------------------------------------------------- */
struct guarded *guard_opened(struct guard *g, int fd)
{
    bool complains = false;
    struct guarded *c = mem_calloc(1, sizeof *c);
    *c = (struct guarded){.guard = g, .fd = fd, .since_ms = clock_mono_ms()};
    pthread_mutex_lock(&g->lock);
    c->next = g->first;
    if (g->first)
        g->first->prev = c;
    g->first = c;
    if (++g->open > g->most) {
        struct guarded *oldest = find_oldest(g, c, false);
        if (oldest)
            hang_up(oldest);
        complains = should_complain(g);
    }
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    if (complains)
        log_warn("http", NULL,
                 "all connections are in use: those that wait longest are closed socket=%s most=%u",
                 g->name, g->most);
    return c;
}

static void count_answering(struct guard *g, enum guard_state from, enum guard_state to)
{
    bool was = from == GUARD_ANSWERING || from == GUARD_SENDING;
    bool is = to == GUARD_ANSWERING || to == GUARD_SENDING;
    g->answering += is - was;
    if (g->answering == 0 && was && !is)
        pthread_cond_broadcast(&g->changed);
}

void guard_closed(struct guarded *c)
{
    struct guard *g = c->guard;
    pthread_mutex_lock(&g->lock);
    count_answering(g, c->state, GUARD_IDLE);
    g->costs -= c->costs;
    g->open -= !c->is_hung_up;
    if (c->prev)
        c->prev->next = c->next;
    else
        g->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    pthread_mutex_unlock(&g->lock);
    free(c);
}

void guard_enter(struct guarded *c, enum guard_state state)
{
    struct guard *g = c->guard;
    pthread_mutex_lock(&g->lock);
    count_answering(g, c->state, state);
    c->state = state;
    c->since_ms = clock_mono_ms();
    pthread_mutex_unlock(&g->lock);
}

bool guard_keep(struct guarded *c, size_t body_bytes)
{
    struct guard *g = c->guard;
    size_t costs = body_bytes > GUARD_BODY_FREE ? body_bytes - GUARD_BODY_FREE : 0;
    struct guarded *oldest;
    pthread_mutex_lock(&g->lock);
    g->costs -= c->costs;
    c->costs = 0;
    while (g->costs + costs > GUARD_BODIES_MAX && (oldest = find_oldest(g, c, true)))
        hang_up(oldest);
    bool fits = g->costs + costs <= GUARD_BODIES_MAX && !c->is_hung_up;
    if (fits) {
        g->costs += costs;
        c->costs = costs;
    }
    pthread_mutex_unlock(&g->lock);
    return fits;
}

void guard_drop(struct guarded *c)
{
    pthread_mutex_lock(&c->guard->lock);
    c->guard->costs -= c->costs;
    c->costs = 0;
    pthread_mutex_unlock(&c->guard->lock);
}
