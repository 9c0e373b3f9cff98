/* Sessions that many use in turn; see sessions.h. */
#include "pg/sessions.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

#define APP "bunnydb shared"
#define WAIT_MS 250 /* for who has one: most are done within milliseconds */
#define SLICE_MS 20
#define IDLE_MOST 2         /* of one key */
#define SPARE_MS 60000      /* the second one, when nobody needs it */
#define OLD_MS (10 * 60000) /* a server's session grows with all that it has seen */

struct shared {
    struct pg_conn *conn;
    bool is_out;
    int64_t opened_at, used_at; /* monotonic ms */
};

struct place {
    char *key;
    size_t users;
    size_t n_out; /* those that are being opened, too */
    size_t n, cap;
    struct shared *items; /* the one that was given back last is the last one */
};

struct sessions {
    pthread_mutex_t lock;
    pthread_cond_t given;
    size_t n, cap;
    struct place *places;
};

struct sessions *sessions_new(void)
{
    struct sessions *s = mem_calloc(1, sizeof *s);
    pthread_condattr_t attr;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->given, &attr);
    pthread_condattr_destroy(&attr);
    return s;
}

static void place_free(struct place *p)
{
    for (size_t i = 0; i < p->n; i++)
        pg_close(p->items[i].conn, false);
    free(p->items);
    free(p->key);
}

void sessions_free(struct sessions *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        place_free(&s->places[i]);
    free(s->places);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->given);
    free(s);
}

static struct place *find(struct sessions *s, const char *key) /* with the lock */
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->places[i].key, key))
            return &s->places[i];
    return NULL;
}

void sessions_enter(struct sessions *s, const char *key)
{
    pthread_mutex_lock(&s->lock);
    struct place *p = find(s, key);
    if (!p) {
        struct place new = {.key = mem_strdup(key)};
        MEM_PUSH(s->places, s->n, s->cap, new);
        p = &s->places[s->n - 1];
    }
    p->users++;
    pthread_mutex_unlock(&s->lock);
}

void sessions_leave(struct sessions *s, const char *key)
{
    struct place gone = {0};
    pthread_mutex_lock(&s->lock);
    struct place *p = find(s, key);
    if (p && --p->users == 0) { /* whoever has a session has not left */
        gone = *p;
        *p = s->places[--s->n];
    }
    pthread_mutex_unlock(&s->lock);
    place_free(&gone);
}

/* --- taking ------------------------------------------------------------------------------------
 */

/* With the lock. NULL: none is idle. */
static struct pg_conn *take_idle(struct place *p)
{
    for (size_t i = p->n; i-- > 0;)
        if (!p->items[i].is_out) {
            p->items[i].is_out = true;
            p->n_out++;
            return p->items[i].conn;
        }
    return NULL;
}

static void wait_slice(struct sessions *s) /* with the lock */
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += SLICE_MS * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&s->given, &s->lock, &until);
}

/* NULL: a new one is to be opened, and counts already. */
static struct pg_conn *take_or_wait(struct sessions *s, const char *key, struct task *task)
{
    int64_t until = clock_mono_ms() + WAIT_MS;
    struct pg_conn *c = NULL;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        struct place *p = find(s, key);
        c = take_idle(p);
        bool waits = !c && p->n_out && clock_mono_ms() < until;
        if (!c && !waits)
            p->n_out++;
        else if (waits)
            wait_slice(s);
        pthread_mutex_unlock(&s->lock);
        if (!waits)
            return c;
        if (task && task->is_cancelled && task->is_cancelled(task->arg))
            until = 0; /* the login says so */
    }
}

static void count_out(struct sessions *s, const char *key, struct pg_conn *c) /* c: a new one */
{
    int64_t now = clock_mono_ms();
    pthread_mutex_lock(&s->lock);
    struct place *p = find(s, key);
    if (c) {
        struct shared new = {.conn = c, .is_out = true, .opened_at = now, .used_at = now};
        MEM_PUSH(p->items, p->n, p->cap, new);
    } else {
        p->n_out--;
        pthread_cond_broadcast(&s->given);
    }
    pthread_mutex_unlock(&s->lock);
}

bool sessions_take(struct sessions *s, const struct session_wanted *w, struct task *task,
                   int limit_ms, struct pg_conn **out, struct err *err)
{
    while ((*out = take_or_wait(s, w->key, task)) != NULL) {
        if (pg_is_alive(*out))
            return true;
        sessions_give(s, w->key, *out, false);
    }
    bool ok = pg_connect(w->target, PG_SQL, APP, w->options, task, limit_ms, out, err);
    count_out(s, w->key, ok ? *out : NULL);
    return ok;
}

/* --- giving back -------------------------------------------------------------------------------
 */

static struct pg_conn *take_out(struct place *p, size_t i)
{
    struct pg_conn *c = p->items[i].conn;
    memmove(&p->items[i], &p->items[i + 1], (--p->n - i) * sizeof *p->items);
    return c;
}

/* With the lock: one that is not needed any more; NULL: none. */
static struct pg_conn *find_spare(struct place *p, int64_t now)
{
    size_t idle = 0, oldest = 0;
    for (size_t i = p->n; i-- > 0;)
        if (!p->items[i].is_out) {
            oldest = i;
            idle++;
        }
    if (idle > IDLE_MOST || (idle > 1 && now - p->items[oldest].used_at >= SPARE_MS))
        return take_out(p, oldest);
    return NULL;
}

void sessions_give(struct sessions *s, const char *key, struct pg_conn *c, bool is_good)
{
    struct pg_conn *spare = NULL;
    int64_t now = clock_mono_ms();
    size_t i = 0;
    if (!c)
        return;
    pthread_mutex_lock(&s->lock);
    struct place *p = find(s, key);
    while (p->items[i].conn != c)
        i++;
    struct shared item = p->items[i];
    (void)take_out(p, i);
    p->n_out--;
    is_good = is_good && now - item.opened_at < OLD_MS;
    if (is_good) {
        item.is_out = false;
        item.used_at = now;
        MEM_PUSH(p->items, p->n, p->cap, item);
        spare = find_spare(p, now);
    }
    pthread_cond_broadcast(&s->given);
    pthread_mutex_unlock(&s->lock);
    pg_close(is_good ? spare : c, false);
}
