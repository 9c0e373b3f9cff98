/* Chunks on their way to the destination; see apply_private.h. */
#include "stream/apply_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define CHUNK_CHANGES 10000
#define CHUNK_BYTES (1 << 20)
#define CHUNK_MEMORY 4    /* times that: rows of very many columns are larger than their messages */
#define QUIET_CHANGES 256 /* memory of larger chunks goes back when nothing more waits */
#define MAX_RESTS 6       /* at most 2^6 chunks are sent one by one after a set failed */
#define WAIT_SLICE_MS 1000
#define SAVEPOINT "bunnydb"

/* --- filling --------------------------------------------------------------------------------- */

static bool is_full(const struct apply *a)
{
    size_t bytes = a->o.window / 2 < CHUNK_BYTES ? a->o.window / 2 : CHUNK_BYTES;
    return a->filling->n >= CHUNK_CHANGES || a->filling->bytes >= bytes ||
           a->filling->memory >= CHUNK_MEMORY * bytes;
}

bool flight_has_room(const struct apply *a)
{
    return !a->filling->is_last && !is_full(a);
}

bool flight_is_clear(const struct apply *a)
{
    return !a->flight.chunk && !a->filling->n && !a->closing.is_due;
}

bool flight_is_copying(const struct apply *a)
{
    return a->flight.chunk && a->flight.stage == FLIGHT_COPYING;
}

bool flight_takes(const struct target *t, size_t bytes)
{
    return t->way != TARGET_ALONE && bytes < CHUNK_BYTES / 4;
}

bool flight_add(struct apply *a, struct target *t, const struct pgo_message *m, size_t bytes,
                struct err *err)
{
    while (!flight_has_room(a))
        if (!apply_wait(a, err))
            return false;
    if (!chunk_add(a->filling, t, m, bytes, a->change_lsn, err))
        return false;
    return !is_full(a) || flight_advance(a, err);
}

void flight_close(struct apply *a, lsn_t end)
{
    struct chunk *last = a->filling->n ? a->filling : a->flight.chunk;
    a->planned = end;
    if (last) {
        last->is_last = true;
        last->end_lsn = end;
        return;
    }
    a->closing.is_due = true;
    a->closing.end_lsn = end;
}

/* --- off it goes ------------------------------------------------------------------------------ */

static void take_off(struct apply *a)
{
    struct chunk *c = a->filling;
    a->flight = (struct flight){.chunk = c, .stage = FLIGHT_ROWS, .culprit = -1};
    a->filling = c == &a->chunks[0] ? &a->chunks[1] : &a->chunks[0];
    for (size_t i = 0; i < c->n_groups; i++) {
        c->groups[i].is_set = set_is_worth_it(&c->groups[i]);
        a->flight.has_sets |= c->groups[i].is_set;
        a->flight.has_copies |= c->groups[i].is_copied;
    }
}

/* --- one by one ------------------------------------------------------------------------------ */

/* As many as there is room for, of the groups that go as sets or of the others. */
static bool send_rows(struct apply *a, bool of_sets, bool *is_done, struct err *err)
{
    struct flight *f = &a->flight;
    for (; f->next < f->chunk->n; f->next++) {
        const struct change *x = &f->chunk->changes[f->next];
        const struct group *g = &f->chunk->groups[x->group];
        if (g->is_set != of_sets)
            continue;
        *is_done = apply_pipe_has_room(a);
        if (!*is_done)
            return true;
        struct pgo_message m = chunk_message(f->chunk, x);
        a->row_lsn = x->lsn;
        if (!apply_send_row(a, g->target, &m, x->bytes, err))
            return false;
    }
    *is_done = true;
    return true;
}

/* --- sets ------------------------------------------------------------------------------------ */

static void rows_of(const struct group *g, enum set_phase phase, struct rows *r)
{
    r->n = 0;
    if (r->cap < g->n_nets) {
        r->cap = g->n_nets;
        r->items = mem_realloc(r->items, r->cap * sizeof *r->items);
    }
    for (size_t i = 0; g->n_phase[phase] && i < g->n_nets; i++) {
        enum set_phase second, first = set_phase_of(&g->nets[i], &second);
        if (first == phase || second == phase)
            r->items[r->n++] = &g->nets[i];
    }
}

static bool send_set(struct apply *a, const struct group *g, enum pgo_kind op, size_t n,
                     struct err *err)
{
    struct set_sql *s = &a->set_sql;
    if (!pg_pipe_query(a->dest, buf_text(&s->sql), (int)s->n, s->values, err))
        return false;
    struct expect *e = apply_expect(a, EXPECT_SET, op, g->target->number, 0);
    e->n = (uint32_t)n;
    return true;
}

/* Rows with the same unchanged columns as the first one go to the front; returns how many. */
static size_t gather_mask(const struct target *t, const struct net **items, size_t n)
{
    size_t same = 1;
    for (size_t i = 1; i < n; i++)
        if (set_has_same_mask(t, items[0], items[i])) {
            const struct net *swap = items[same];
            items[same++] = items[i];
            items[i] = swap;
        }
    return same;
}

static bool send_updates(struct apply *a, const struct group *g, const struct rows *r,
                         struct err *err)
{
    for (size_t at = 0, n; at < r->n; at += n) {
        n = gather_mask(g->target, r->items + at, r->n - at);
        set_sql_update(&a->set_sql, g->target, n, r->items + at);
        if (!send_set(a, g, PGO_UPDATE, n, err))
            return false;
    }
    return true;
}

static bool send_all(struct apply *a, const char *const *sql, size_t n, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++)
        ok = apply_send_query(a, sql[i], 0, NULL, EXPECT_OTHER, err);
    return ok;
}

/* The session's plans are made for single rows, whatever the values and the table's size are
 * (control/run.c): this one is made for what it does. */
static bool send_search(struct apply *a, const struct group *g, bool is_update,
                        const struct rows *r, struct err *err)
{
    static const char *const before[] = {"SET LOCAL plan_cache_mode = force_custom_plan",
                                         "SET LOCAL enable_seqscan = on"};
    static const char *const after[] = {"SET LOCAL plan_cache_mode TO DEFAULT",
                                        "SET LOCAL enable_seqscan TO DEFAULT"};
    set_image(&a->set_sql, g->target, is_update, r->n, r->items);
    return send_all(a, before, COUNT_OF(before), err) &&
           send_set(a, g, is_update ? PGO_UPDATE : PGO_DELETE, r->n, err) &&
           send_all(a, after, COUNT_OF(after), err);
}

static bool send_phase(struct apply *a, const struct group *g, enum set_phase phase,
                       struct err *err)
{
    struct rows *r = &a->rows;
    rows_of(g, phase, r);
    if (!r->n)
        return true;
    if (phase == SET_UPDATE && !g->target->is_whole)
        return send_updates(a, g, r, err);
    if (phase != SET_INSERT && g->target->is_whole)
        return send_search(a, g, phase == SET_UPDATE, r, err);
    if (phase == SET_INSERT)
        set_sql_insert(&a->set_sql, g->target, r->n, r->items);
    else
        set_sql_delete(&a->set_sql, g->target, r->n, r->items);
    return send_set(a, g, phase == SET_INSERT ? PGO_INSERT : PGO_DELETE, r->n, err);
}

/* Of all groups: up to and without a phase. */
static bool send_phases(struct apply *a, int from, int to, struct err *err)
{
    const struct chunk *c = a->flight.chunk;
    bool ok = true;
    a->is_in_set = true;
    for (size_t i = 0; ok && i < c->n_groups; i++)
        for (int phase = from; ok && c->groups[i].is_set && phase < to; phase++)
            if (phase != SET_INSERT || !c->groups[i].is_copied)
                ok = send_phase(a, &c->groups[i], (enum set_phase)phase, err);
    a->is_in_set = false;
    return ok;
}

/* Somebody may have given a table a trigger since it was bound. Asked behind the sets, whose locks
 * keep triggers and rules away until the transaction ends. */
static bool send_question(struct apply *a, struct err *err)
{
    const struct chunk *c = a->flight.chunk;
    const char **names = mem_calloc(c->n_groups, sizeof *names);
    struct buf list = {0};
    size_t n = 0;
    for (size_t i = 0; i < c->n_groups; i++)
        if (c->groups[i].is_set)
            names[n++] = c->groups[i].target->dest;
    pg_quote_array(&list, n, names);
    const char *value = buf_text(&list);
    bool ok = pg_pipe_run(a->dest, SEEN_STATEMENT, 1, &value, NULL, NULL, err);
    if (ok)
        apply_expect(a, EXPECT_SETS_END, PGO_OTHER, -1, 0)->is_in_set = true;
    buf_free(&list);
    free(names);
    return ok;
}

/* With a sync: the server answers, and goes on behind an error. */
static bool send_end(struct apply *a, enum set_phase from, struct err *err)
{
    a->flight.stage = FLIGHT_SETS;
    return send_phases(a, from, SET_PHASES, err) && send_question(a, err) && apply_sync(a, err);
}

static bool send_savepoint(struct apply *a, struct err *err)
{
    a->is_in_set = true;
    bool ok = apply_send_query(a, "SAVEPOINT " SAVEPOINT, 0, NULL, EXPECT_OTHER, err);
    a->is_in_set = false;
    return ok;
}

static bool send_sets(struct apply *a, struct err *err)
{
    if (!apply_open(a, err) || !send_savepoint(a, err))
        return false;
    if (!a->flight.has_copies)
        return send_end(a, SET_DELETE, err);
    a->flight.stage = FLIGHT_HALF;
    return send_phases(a, SET_DELETE, SET_DELETE_AGAIN, err) && apply_sync(a, err);
}

static void note_trouble(struct flight *f, int target, const char *why)
{
    if (f->has_failed)
        return;
    f->has_failed = true;
    f->culprit = target;
    str_copy(f->why, sizeof f->why, why);
}

/* Everything before is answered. */
static bool begin_copies(struct apply *a, struct err *err)
{
    a->flight.stage = FLIGHT_COPYING;
    a->flight.next = 0;
    a->copy.has_begun = false;
    return pg_pipe_leave(a->dest, err);
}

/* As set_copy, of one group. */
static int copy_group(struct apply *a, const struct group *g, struct err *err)
{
    struct set_copy *s = &a->copy;
    if (!s->has_begun) {
        rows_of(g, SET_INSERT, &s->rows);
        s->next = 0;
        s->is_ending = false;
    }
    int got = set_copy(a, g->target, err);
    if (got != 2)
        s->has_begun = false;
    return got;
}

static bool copy_rows(struct apply *a, bool *has_moved, struct err *err)
{
    struct flight *f = &a->flight;
    for (; f->next < f->chunk->n_groups && !f->has_failed; f->next++) {
        const struct group *g = &f->chunk->groups[f->next];
        int got = g->is_copied ? copy_group(a, g, err) : 1;
        *has_moved = got != 2;
        if (got == 2)
            return true;
        if (got < 0 && err->code != ERR_SQL)
            return false;
        if (got < 0)
            note_trouble(f, g->target->number, err->sqlstate);
        err_clear(err);
    }
    f->has_ended = f->has_failed;
    f->stage = FLIGHT_SETS;
    return pg_pipe_enter(a->dest, err) && (f->has_failed || send_end(a, SET_DELETE_AGAIN, err));
}

void flight_result(struct apply *a, const struct expect *e, const struct pg_result *r,
                   const struct err *err)
{
    struct flight *f = &a->flight;
    bool is_end = e->kind == EXPECT_SETS_END;
    f->has_ended |= is_end;
    f->is_seen |= r && is_end && pg_rows(r) > 0;
    if (!r)
        note_trouble(f, e->target, err->sqlstate);
    else if (e->kind == EXPECT_SET && pg_affected(r) != e->n) {
        f->is_short |= !f->has_failed;
        note_trouble(f, e->target, "a row is missing");
    }
}

/* A table whose sets fail again and again costs twice the work: it rests. Where rows are searched
 * for in the whole table a set costs little beside what it may save. */
static void note_failure(struct apply *a)
{
    const struct flight *f = &a->flight;
    struct target *t = f->culprit >= 0 ? a->targets[f->culprit] : NULL;
    log_info("apply", a->o.mirror, "changes=%zu are applied again, one by one table=%s why=%s",
             f->chunk->n, t ? t->source : "", f->why);
    if (!t || (t->is_whole && f->is_short))
        return;
    if (t->rests < MAX_RESTS)
        t->rests++;
    t->rest = 1 << t->rests;
}

static void note_success(struct apply *a)
{
    const struct flight *f = &a->flight;
    a->flights_by_set++;
    for (size_t i = 0; i < f->chunk->n_groups; i++)
        if (f->chunk->groups[i].is_set)
            f->chunk->groups[i].target->rests = 0;
}

/* Until they are bound again. */
static void leave_sets(struct chunk *c)
{
    for (size_t i = 0; i < c->n_groups; i++)
        if (c->groups[i].is_set)
            c->groups[i].target->way = TARGET_ALONE;
}

/* All sets are answered. */
static bool end_sets(struct apply *a, struct err *err)
{
    struct flight *f = &a->flight;
    if (f->is_seen)
        leave_sets(f->chunk);
    if (f->has_failed || f->is_seen) {
        note_failure(a);
        f->stage = FLIGHT_AGAIN;
        f->next = 0;
        if (!apply_send_query(a, "ROLLBACK TO SAVEPOINT " SAVEPOINT, 0, NULL, EXPECT_OTHER, err))
            return false;
    } else {
        note_success(a);
        f->stage = FLIGHT_DONE;
    }
    return apply_send_query(a, "RELEASE SAVEPOINT " SAVEPOINT, 0, NULL, EXPECT_OTHER, err);
}

/* --- the flight ------------------------------------------------------------------------------ */

static void free_rows(struct rows *r)
{
    free(r->items);
    *r = (struct rows){0};
}

static void land(struct apply *a)
{
    struct chunk *c = a->flight.chunk;
    if (c->is_last) {
        a->closing.is_due = true;
        a->closing.end_lsn = c->end_lsn;
    }
    if (c->n > QUIET_CHANGES && !a->filling->n) {
        chunk_free(c);
        set_sql_free(&a->set_sql);
        free_rows(&a->rows);
        free_rows(&a->copy.rows);
    } else {
        chunk_clear(c);
    }
    a->flight.chunk = NULL;
}

/* One step; *has_moved false: it has to wait for the destination. */
static bool fly(struct apply *a, bool *has_moved, struct err *err)
{
    struct flight *f = &a->flight;
    *has_moved = true;
    switch (f->stage) {
    case FLIGHT_ROWS:
        if (!send_rows(a, false, has_moved, err))
            return false;
        if (*has_moved)
            f->stage = f->has_sets ? FLIGHT_OPENING : FLIGHT_DONE;
        return true;
    case FLIGHT_OPENING:
        return send_sets(a, err);
    case FLIGHT_HALF:
        *has_moved = !a->n_expected && !a->syncs;
        if (!*has_moved)
            return true;
        return f->has_failed ? end_sets(a, err) : begin_copies(a, err);
    case FLIGHT_COPYING:
        return copy_rows(a, has_moved, err);
    case FLIGHT_SETS:
        *has_moved = f->has_ended;
        return !f->has_ended || end_sets(a, err);
    case FLIGHT_AGAIN:
        if (!send_rows(a, true, has_moved, err))
            return false;
        if (*has_moved)
            f->stage = FLIGHT_DONE;
        return true;
    case FLIGHT_DONE:
        land(a);
        return true;
    }
    return err_set(err, ERR_INTERNAL, "a chunk is at no place");
}

bool flight_advance(struct apply *a, struct err *err)
{
    for (bool has_moved = true; has_moved;) {
        if (a->flight.chunk) {
            if (!fly(a, &has_moved, err))
                return false;
        } else if (a->closing.is_due) {
            if (!apply_end(a, &has_moved, err))
                return false;
        } else if (a->filling->n && (a->filling->is_last || is_full(a) || a->is_clearing)) {
            take_off(a);
        } else {
            return true;
        }
    }
    return true;
}

/* --- waiting --------------------------------------------------------------------------------- */

bool apply_wait(struct apply *a, struct err *err)
{
    if (!apply_exchange(a, err))
        return false;
    if (!pg_wait(a->dest, a->task, apply_wants_write(a), WAIT_SLICE_MS, err)) {
        if (err->code != ERR_TIMEOUT)
            return false;
        err_clear(err);
    }
    return apply_exchange(a, err);
}

bool flight_clear(struct apply *a, struct err *err)
{
    int64_t until = clock_mono_ms() + DRAIN_LIMIT_MS;
    a->is_clearing = true;
    bool ok = flight_advance(a, err);
    while (ok && !flight_is_clear(a)) {
        ok = apply_wait(a, err);
        if (ok && clock_mono_ms() >= until)
            ok = err_set(err, ERR_TIMEOUT, "the destination did not answer for %d s",
                         DRAIN_LIMIT_MS / 1000);
    }
    a->is_clearing = false;
    return ok;
}
