/* What a mirror publishes; see board.h. */
#include "control/board.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/recent.h"

struct board_lists {
    atomic_int refs;
    _Alignas(max_align_t) char data[];
};

struct board {
    pthread_mutex_t lock;
    void (*changed)(void *arg);
    void *arg;
    struct mirror_status s; /* its tables and findings are in lists */
    struct board_lists *lists;
    size_t n_own; /* of the findings: the mirror's; the others were observed */
    struct findings observed;
    struct sight sights[2]; /* of the source, of the destination */
    lsn_t safe;
    struct lag lag;
    struct recent errors;
};

struct board *board_new(void (*changed)(void *arg), void *arg)
{
    struct board *b = mem_calloc(1, sizeof *b);
    pthread_mutex_init(&b->lock, NULL);
    b->changed = changed;
    b->arg = arg;
    b->s.lag_bytes = -1;
    b->s.lag_seconds = -1;
    b->s.slot.safe_wal_size = b->s.slot.xmin_age = -1;
    for (size_t i = 0; i < LAG_HISTORY; i++)
        b->s.lag_history[i] = b->s.rows_history[i] = -1;
    lag_init(&b->lag);
    return b;
}

void board_free(struct board *b)
{
    if (!b)
        return;
    pthread_mutex_destroy(&b->lock);
    findings_free(&b->observed);
    board_lists_release(b->lists);
    free(b);
}

/* Tables and findings of a status, and those that were observed, in one block, which *to then
 * points into; NULL: there are none. */
static struct board_lists *copy_lists(const struct mirror_status *from, size_t n_own,
                                      const struct findings *observed, struct mirror_status *to)
{
    size_t tables = from->n_tables * sizeof *from->tables;
    size_t own = n_own * sizeof *from->findings;
    size_t findings = own + observed->n * sizeof *from->findings;
    const struct table_status *from_tables = from->tables;
    const struct finding *from_findings = from->findings;
    to->tables = NULL;
    to->findings = NULL;
    to->n_findings = n_own + observed->n;
    if (tables + findings == 0)
        return NULL;
    struct board_lists *l = mem_calloc(1, sizeof *l + tables + findings);
    atomic_store(&l->refs, 1);
    if (tables)
        memcpy(l->data, from_tables, tables);
    if (own)
        memcpy(l->data + tables, from_findings, own);
    if (observed->n)
        memcpy(l->data + tables + own, observed->items, observed->n * sizeof *observed->items);
    to->tables = (struct table_status *)(void *)l->data;
    to->findings = (struct finding *)(void *)(l->data + tables);
    return l;
}

void board_lists_release(struct board_lists *l)
{
    if (l && atomic_fetch_sub(&l->refs, 1) == 1)
        free(l);
}

/* No two boards, also of mirrors that follow each other under one name, have the same. */
static uint64_t next_revision(void)
{
    static atomic_uint_fast64_t last;
    return atomic_fetch_add(&last, 1) + 1;
}

void board_publish(struct board *b, const struct mirror_status *s, lsn_t safe)
{
    struct mirror_status next = *s;
    next.revision = next_revision();
    next.updated_at = clock_wall_us();
    pthread_mutex_lock(&b->lock);
    struct board_lists *lists = copy_lists(s, s->n_findings, &b->observed, &next);
    b->n_own = s->n_findings;
    next.slot = b->s.slot;
    next.source_lsn = b->s.source_lsn;
    memcpy(next.lag_history, b->s.lag_history, sizeof next.lag_history);
    memcpy(next.rows_history, b->s.rows_history, sizeof next.rows_history);
    memcpy(next.error_history, b->s.error_history, sizeof next.error_history);
    recent_note(&b->errors, next.counters.errors, clock_mono_ms(), next.error_history);
    struct board_lists *old = b->lists;
    b->lists = lists;
    b->s = next;
    if (safe > b->safe)
        b->safe = safe;
    pthread_mutex_unlock(&b->lock);
    board_lists_release(old);
    b->changed(b->arg);
}

void board_reach(struct board *b, lsn_t safe)
{
    pthread_mutex_lock(&b->lock);
    if (safe > b->safe)
        b->safe = safe;
    lag_reach(&b->lag, safe, clock_mono_ms());
    pthread_mutex_unlock(&b->lock);
}

void board_heartbeat(struct board *b)
{
    pthread_mutex_lock(&b->lock);
    b->s.heartbeat_at = clock_wall_us();
    b->s.revision = next_revision();
    pthread_mutex_unlock(&b->lock);
}

static bool is_same_slot(const struct slot_status *a, const struct slot_status *b)
{
    return a->exists == b->exists && a->active == b->active &&
           a->confirmed_flush == b->confirmed_flush && a->restart == b->restart &&
           a->retained_bytes == b->retained_bytes && a->xmin_age == b->xmin_age &&
           !strcmp(a->wal_status, b->wal_status);
}

void board_sample(struct board *b, const struct slot_status *slot, lsn_t source_lsn)
{
    int64_t now = clock_mono_ms();
    pthread_mutex_lock(&b->lock);
    bool changed = !is_same_slot(slot, &b->s.slot) || source_lsn != b->s.source_lsn;
    if (changed)
        b->s.revision = next_revision();
    b->s.slot = *slot;
    b->s.source_lsn = source_lsn;
    lag_sample(&b->lag, source_lsn, now);
    lag_reach(&b->lag, b->safe, now);
    pthread_mutex_unlock(&b->lock);
    if (changed)
        b->changed(b->arg);
}

static bool is_observed(const struct board *b, const struct findings *f)
{
    return b->observed.n == f->n &&
           (!f->n || !memcmp(b->observed.items, f->items, f->n * sizeof *f->items));
}

void board_observe(struct board *b, const struct findings *f)
{
    pthread_mutex_lock(&b->lock);
    bool is_new = !is_observed(b, f);
    struct board_lists *old = NULL;
    if (is_new) {
        findings_free(&b->observed);
        for (size_t i = 0; i < f->n; i++)
            findings_add(&b->observed, f->items[i].code, f->items[i].severity, f->items[i].title,
                         f->items[i].cause, f->items[i].remedy, f->items[i].action);
        struct mirror_status next = b->s;
        old = b->lists;
        b->lists = copy_lists(&b->s, b->n_own, &b->observed, &next);
        b->s = next;
        b->s.revision = next_revision();
    }
    pthread_mutex_unlock(&b->lock);
    board_lists_release(old);
    if (is_new)
        b->changed(b->arg);
}

void board_see(struct board *b, bool of_dest, const struct sight *s)
{
    pthread_mutex_lock(&b->lock);
    b->sights[of_dest] = *s;
    pthread_mutex_unlock(&b->lock);
}

struct sight board_sight(struct board *b, bool of_dest)
{
    pthread_mutex_lock(&b->lock);
    struct sight s = b->sights[of_dest];
    pthread_mutex_unlock(&b->lock);
    return s;
}

static void fill_lag(const struct board *b, struct mirror_status *s)
{
    s->lag_bytes = -1;
    if (s->source_lsn && b->safe)
        s->lag_bytes = s->source_lsn > b->safe ? (int64_t)(s->source_lsn - b->safe) : 0;
    s->lag_seconds = b->safe ? lag_seconds(&b->lag, clock_mono_ms()) : -1;
}

static void push(float history[LAG_HISTORY], double sample)
{
    memmove(history, history + 1, (LAG_HISTORY - 1) * sizeof *history);
    history[LAG_HISTORY - 1] = (float)sample;
}

void board_history(struct board *b)
{
    pthread_mutex_lock(&b->lock);
    struct mirror_status *s = &b->s;
    s->revision = next_revision();
    fill_lag(b, s);
    push(s->lag_history, s->lag_seconds);
    push(s->rows_history, s->rows_per_second);
    recent_note(&b->errors, s->counters.errors, clock_mono_ms(), s->error_history);
    pthread_mutex_unlock(&b->lock);
    b->changed(b->arg);
}

void board_copy(struct board *b, struct mirror_status *out, struct board_lists **lists)
{
    pthread_mutex_lock(&b->lock);
    *out = b->s;
    *lists = b->lists;
    if (b->lists)
        atomic_fetch_add(&b->lists->refs, 1);
    fill_lag(b, out);
    pthread_mutex_unlock(&b->lock);
}

lsn_t board_safe(struct board *b)
{
    pthread_mutex_lock(&b->lock);
    lsn_t safe = b->safe;
    pthread_mutex_unlock(&b->lock);
    return safe;
}

lsn_t board_restart(struct board *b, int pid)
{
    pthread_mutex_lock(&b->lock);
    const struct slot_status *s = &b->s.slot;
    lsn_t restart = s->exists && s->active && s->active_pid == pid ? s->restart : 0;
    pthread_mutex_unlock(&b->lock);
    return restart;
}

enum mirror_state board_state(struct board *b)
{
    pthread_mutex_lock(&b->lock);
    enum mirror_state state = b->s.state;
    pthread_mutex_unlock(&b->lock);
    return state;
}
