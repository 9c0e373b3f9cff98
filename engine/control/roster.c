/* All mirrors, subscribers, and the picture; see roster.h. */
#include "control/roster.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"

struct entry {
    struct mirror *mirror;
    int holds;
    bool is_out; /* taken out of the list; freed with the last hold */
};

struct full_picture {
    struct picture p; /* first: what is handed out */
    atomic_int refs;
    struct mirror_status *mirrors;
    struct board_lists **lists; /* of each mirror */
};

struct roster {
    pthread_mutex_t lock;
    size_t n, cap;
    struct entry **entries; /* sorted by name */
    size_t n_out, cap_out;
    struct entry **out;
    size_t n_fds, cap_fds;
    int *fds;
    struct full_picture *last;
    atomic_uint_fast64_t version;
    atomic_bool has_gone;
};

struct roster *roster_new(void)
{
    struct roster *r = mem_calloc(1, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    atomic_store(&r->version, 1);
    return r;
}

void roster_free(struct roster *r)
{
    if (!r)
        return;
    if (r->last)
        picture_release(&r->last->p);
    free(r->entries);
    free(r->out);
    free(r->fds);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* --- the list
 * -------------------------------------------------------------------------------------- */

void roster_add(struct roster *r, struct mirror *m)
{
    struct entry *e = mem_calloc(1, sizeof *e);
    e->mirror = m;
    pthread_mutex_lock(&r->lock);
    mem_grow((void **)&r->entries, &r->cap, r->n, sizeof(*r->entries));
    size_t i = r->n++;
    for (; i > 0 && strcmp(mirror_name(r->entries[i - 1]->mirror), mirror_name(m)) > 0; i--)
        r->entries[i] = r->entries[i - 1];
    r->entries[i] = e;
    pthread_mutex_unlock(&r->lock);
    roster_changed(r);
}

struct mirror *roster_hold(struct roster *r, const char *name)
{
    struct mirror *m = NULL;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n && !m; i++) /* one that is gone may stand before its successor */
        if (!strcmp(mirror_name(r->entries[i]->mirror), name) &&
            !mirror_is_gone(r->entries[i]->mirror)) {
            r->entries[i]->holds++;
            m = r->entries[i]->mirror;
        }
    pthread_mutex_unlock(&r->lock);
    return m;
}

struct mirror *roster_hold_at(struct roster *r, size_t i)
{
    struct mirror *m = NULL;
    pthread_mutex_lock(&r->lock);
    if (i < r->n) {
        r->entries[i]->holds++;
        m = r->entries[i]->mirror;
    }
    pthread_mutex_unlock(&r->lock);
    return m;
}

static void let_go(struct entry **entries, size_t n, const struct mirror *m) /* with the lock */
{
    for (size_t i = 0; i < n; i++)
        if (entries[i]->mirror == m)
            entries[i]->holds--;
}

void roster_release(struct roster *r, struct mirror *m)
{
    pthread_mutex_lock(&r->lock);
    let_go(r->entries, r->n, m);
    let_go(r->out, r->n_out, m);
    pthread_mutex_unlock(&r->lock);
}

struct mirror **roster_hold_all(struct roster *r, bool (*wants)(void *arg, struct mirror *m),
                                void *arg, size_t *n)
{
    struct mirror **held = NULL;
    size_t cap = 0;
    *n = 0;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n; i++) {
        struct entry *e = r->entries[i];
        if (!wants(arg, e->mirror) || mirror_is_gone(e->mirror))
            continue;
        e->holds++;
        MEM_PUSH(held, *n, cap, e->mirror);
    }
    pthread_mutex_unlock(&r->lock);
    return held;
}

/* Those that are still listed stand in the same order. */
void roster_release_all(struct roster *r, struct mirror *const *mirrors, size_t n)
{
    size_t at = 0;
    pthread_mutex_lock(&r->lock);
    for (size_t k = 0; k < n; k++) {
        size_t i = at;
        while (i < r->n && r->entries[i]->mirror != mirrors[k])
            i++;
        if (i < r->n) {
            r->entries[i]->holds--;
            at = i + 1;
        } else {
            let_go(r->out, r->n_out, mirrors[k]);
        }
    }
    pthread_mutex_unlock(&r->lock);
}

void roster_is_gone(struct roster *r)
{
    atomic_store(&r->has_gone, true);
    roster_changed(r);
}

static void take_out_gone(struct roster *r) /* with the lock */
{
    size_t kept = 0;
    for (size_t i = 0; i < r->n; i++) {
        struct entry *e = r->entries[i];
        if (mirror_is_gone(e->mirror)) {
            e->is_out = true;
            MEM_PUSH(r->out, r->n_out, r->cap_out, e);
        } else {
            r->entries[kept++] = e;
        }
    }
    r->n = kept;
}

static struct entry *next_unheld(struct roster *r) /* with the lock */
{
    for (size_t i = 0; i < r->n_out; i++)
        if (r->out[i]->holds == 0) {
            struct entry *e = r->out[i];
            r->out[i] = r->out[--r->n_out];
            return e;
        }
    return NULL;
}

static void entry_free(struct entry *e)
{
    if (mirror_join(e->mirror, 5000))
        mirror_free(e->mirror);
    free(e);
}

void roster_reap(struct roster *r)
{
    if (!atomic_load(&r->has_gone))
        return;
    for (;;) {
        pthread_mutex_lock(&r->lock);
        atomic_store(&r->has_gone, false); /* who goes after this look says so anew */
        take_out_gone(r);
        struct entry *e = next_unheld(r);
        if (r->n_out > 0)
            atomic_store(&r->has_gone, true);
        pthread_mutex_unlock(&r->lock);
        if (!e)
            break;
        entry_free(e);
    }
    mem_give_back();
    roster_changed(r);
}

void roster_ask_stop(struct roster *r)
{
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n; i++)
        mirror_ask_stop(r->entries[i]->mirror);
    pthread_mutex_unlock(&r->lock);
}

size_t roster_stop_all(struct roster *r, int64_t until)
{
    int64_t began = clock_mono_ms();
    size_t stuck = 0;
    roster_ask_stop(r);
    for (size_t i = 0; i < r->n; i++) {
        struct entry *e = r->entries[i];
        int64_t left = until - clock_mono_ms();
        if (mirror_join(e->mirror, left > 0 ? (int)left : 0)) {
            mirror_free(e->mirror);
            free(e);
        } else {
            log_warn("super", mirror_name(e->mirror), "did not stop within %lld ms",
                     (long long)(clock_mono_ms() - began));
            stuck++;
        }
    }
    r->n = 0;
    roster_reap(r);
    return stuck;
}

/* --- who hears of changes
 * --------------------------------------------------------------------------- */

void roster_changed(void *roster)
{
    struct roster *r = roster;
    atomic_fetch_add(&r->version, 1);
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n_fds; i++)
        wake_signal(r->fds[i]);
    pthread_mutex_unlock(&r->lock);
}

void engine_subscribe(struct engine *e, int fd)
{
    struct roster *r = e->roster;
    pthread_mutex_lock(&r->lock);
    MEM_PUSH(r->fds, r->n_fds, r->cap_fds, fd);
    pthread_mutex_unlock(&r->lock);
}

void engine_unsubscribe(struct engine *e, int fd)
{
    struct roster *r = e->roster;
    pthread_mutex_lock(&r->lock);
    size_t kept = 0;
    for (size_t i = 0; i < r->n_fds; i++)
        if (r->fds[i] != fd)
            r->fds[kept++] = r->fds[i];
    r->n_fds = kept;
    pthread_mutex_unlock(&r->lock);
}

void engine_peer_changed(struct engine *e, const char *peer)
{
    struct mirror *m;
    for (size_t i = 0; (m = roster_hold_at(e->roster, i)); i++) {
        const struct mirror_config *c = mirror_config_of(m);
        if (!strcmp(c->source_peer, peer) || !strcmp(c->dest_peer, peer))
            mirror_reconnect(m);
        roster_release(e->roster, m);
    }
}

/* --- the picture
 * -------------------------------------------------------------------------------------- */

static struct full_picture *draw(struct roster *r, uint64_t version) /* with the lock */
{
    struct full_picture *f = mem_calloc(1, sizeof *f);
    f->mirrors = mem_calloc(r->n, sizeof *f->mirrors);
    f->lists = mem_calloc(r->n, sizeof *f->lists);
    for (size_t i = 0; i < r->n; i++)
        if (!mirror_is_gone(r->entries[i]->mirror)) {
            board_copy(mirror_board(r->entries[i]->mirror), &f->mirrors[f->p.n], &f->lists[f->p.n]);
            f->p.n++;
        }
    f->p.version = version;
    f->p.taken_at = clock_wall_us();
    f->p.mirrors = f->mirrors;
    atomic_store(&f->refs, 1);
    return f;
}

const struct picture *engine_picture(struct engine *e)
{
    struct roster *r = e->roster;
    pthread_mutex_lock(&r->lock);
    uint64_t version = atomic_load(&r->version);
    struct full_picture *old = NULL;
    if (!r->last || r->last->p.version != version) {
        old = r->last;
        r->last = draw(r, version);
    }
    struct full_picture *f = r->last;
    atomic_fetch_add(&f->refs, 1);
    pthread_mutex_unlock(&r->lock);
    if (old)
        picture_release(&old->p);
    return &f->p;
}

void picture_release(const struct picture *p)
{
    struct full_picture *f = (struct full_picture *)(uintptr_t)p;
    if (!p || atomic_fetch_sub(&f->refs, 1) > 1)
        return;
    for (size_t i = 0; i < f->p.n; i++)
        board_lists_release(f->lists[i]);
    free(f->lists);
    free(f->mirrors);
    free(f);
}

const struct mirror_status *picture_find(const struct picture *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->mirrors[i].name, name))
            return &p->mirrors[i];
    return NULL;
}
