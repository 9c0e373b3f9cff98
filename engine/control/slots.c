/* The slots of all sources; see slots.h. */
#include "control/slots.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/engine_private.h"

struct shelf { /* of one source */
    struct source_sample sample;
    struct source_slot *items;
    size_t n;
};
struct slots {
    pthread_mutex_t lock;
    struct shelf *shelves; /* by name */
    size_t n, cap;
};

struct slots *slots_new(void)
{
    struct slots *s = mem_calloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void slots_free(struct slots *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        free(s->shelves[i].items);
    free(s->shelves);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static int by_peer(const void *x, const void *y)
{
    return strcmp(((const struct shelf *)x)->sample.peer, ((const struct shelf *)y)->sample.peer);
}

static int by_name(const void *x, const void *y)
{
    return strcmp(((const struct source_slot *)x)->name, ((const struct source_slot *)y)->name);
}

static struct shelf *find(struct slots *s, const char *peer) /* with the lock */
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->shelves[i].sample.peer, peer))
            return &s->shelves[i];
    return NULL;
}

static struct shelf *find_or_add(struct slots *s, const char *peer) /* with the lock */
{
    struct shelf *f = find(s, peer), new = {0};
    if (f)
        return f;
    str_copy(new.sample.peer, sizeof new.sample.peer, peer);
    MEM_PUSH(s->shelves, s->n, s->cap, new);
    qsort(s->shelves, s->n, sizeof *s->shelves, by_peer);
    return find(s, peer);
}

void slots_put(struct slots *s, const char *peer, lsn_t wal_end, struct source_slot *items,
               size_t n)
{
    for (size_t i = 0; i < n; i++)
        str_copy(items[i].source_peer, sizeof items[i].source_peer, peer);
    if (n > 1)
        qsort(items, n, sizeof *items, by_name);
    pthread_mutex_lock(&s->lock);
    struct shelf *f = find_or_add(s, peer);
    struct source_slot *old = f->items;
    f->items = items;
    f->n = n;
    f->sample.sampled_at = clock_wall_us();
    f->sample.wal_end = wal_end;
    f->sample.error[0] = '\0';
    pthread_mutex_unlock(&s->lock);
    free(old);
}

void slots_fail(struct slots *s, const char *peer, const char *why)
{
    pthread_mutex_lock(&s->lock);
    struct shelf *f = find_or_add(s, peer);
    str_copy(f->sample.error, sizeof f->sample.error, why);
    pthread_mutex_unlock(&s->lock);
}

void slots_forget(struct slots *s, const char *peer)
{
    pthread_mutex_lock(&s->lock);
    struct shelf *f = find(s, peer);
    if (f) {
        free(f->items);
        size_t i = (size_t)(f - s->shelves);
        memmove(f, f + 1, (--s->n - i) * sizeof *f);
    }
    pthread_mutex_unlock(&s->lock);
}

void engine_slots(struct engine *e, struct slot_list *out)
{
    struct slots *s = e->slots;
    *out = (struct slot_list){0};
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n; i++)
        out->n_slots += s->shelves[i].n;
    out->n_sources = s->n;
    out->slots = mem_calloc(out->n_slots + 1, sizeof *out->slots);
    out->sources = mem_calloc(s->n + 1, sizeof *out->sources);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct shelf *f = &s->shelves[i];
        out->sources[i] = f->sample;
        if (f->n)
            memcpy(out->slots + n, f->items, f->n * sizeof *f->items);
        n += f->n;
    }
    pthread_mutex_unlock(&s->lock);
}
