/* The rows that differ, written in transactions of some milliseconds each, so that nobody waits for
 * them for longer; see swap.h.
 *
 * Each slice brings the number of rows nearer to the new one, or leaves it. One that is in conflict
 * with rows of others (a value that is unique moves from one row to another) or with a lock comes
 * later; those that hold each other up come together in the end. */
#include "copy/swap_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define SLICE_LOCK "60ms" /* for a row that somebody else has */
#define LONG_MS 25        /* a slice that takes longer is too large … */
#define SHORT_MS 10       /* … and one that takes less is small */
#define FIRST_ROWS 64
#define MOST_ROWS 4096

struct slices {
    struct exchange *x;
    int64_t rows; /* the next one's */
    size_t n_later, cap_later;
    struct slice *later;
};

/* --- one transaction ------------------------------------------------------------------------- */

/* Without a key, a row that somebody has changed meanwhile is not found: it stays until all is
 * compared once more. */
static bool delete_slice(const struct exchange *x, const struct slice *c, int64_t *removed,
                         bool *has_moved, struct err *err)
{
    const struct shadow *w = &x->swap->shadows[c->table];
    struct pg_result *r = NULL;
    int64_t n = 0;
    char *count = swap_count_found_sql(x->swap, c);
    bool ok = swap_count(x, swap_delete_found_sql(x->swap, c->table, c), &n, err) &&
              (w->is_by_key || pg_exec(x->swap->plan.dest, x->task, 0, count, &r, err));
    *has_moved |= ok && !w->is_by_key && pg_int(r, 0, 0) != n;
    *removed += n;
    pg_free(r);
    free(count);
    return ok;
}

static bool write_slices(struct exchange *x, size_t n, const struct slice *all, const char *lock,
                         struct err *err)
{
    char *begin =
        mem_printf("BEGIN; SET LOCAL lock_timeout = '%s'; SET CONSTRAINTS ALL DEFERRED; " SWAP_PLANS
                   "; SET LOCAL enable_nestloop = on; SET LOCAL "
                   "enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL "
                   "enable_seqscan = off",
                   lock);
    int64_t removed = 0, added = 0, began = clock_mono_ms();
    bool has_moved = false;
    bool ok = swap_run(x, SWAP_LOOK_MS, begin, err);
    for (size_t i = 0; ok && i < n; i++)
        ok = delete_slice(x, &all[i], &removed, &has_moved, err);
    for (size_t i = 0; ok && i < n; i++)
        ok = swap_count(x, swap_insert_found_sql(x->swap, all[i].table, &all[i]), &added, err);
    ok = ok && swap_commit(x, err);
    free(begin);
    if (ok) {
        int64_t took = clock_mono_ms() - began;
        x->held_ms = took > x->held_ms ? took : x->held_ms;
        x->removed += removed;
        x->added += added;
        x->has_moved |= has_moved;
    }
    return ok;
}

static bool is_conflict(const struct err *err)
{
    return pg_server_error_is(err, "23505") || pg_server_error_is(err, "23P01");
}

/* One that cannot be written now: true, and *is_done false. */
static bool try_slice(struct exchange *x, const struct slice *c, bool *is_done, bool *is_locked,
                      struct err *err)
{
    *is_done = write_slices(x, 1, c, SLICE_LOCK, err);
    if (*is_done)
        return true;
    *is_locked |= swap_is_lock_failure(err);
    if (!swap_is_lock_failure(err) && !is_conflict(err))
        return false;
    err_clear(err);
    return swap_run(x, SWAP_LOOK_MS, "ROLLBACK", err);
}

/* --- all of them ----------------------------------------------------------------------------- */

static bool write_table(struct slices *s, size_t i, struct err *err)
{
    const struct shadow *w = &s->x->swap->shadows[i];
    char *index = mem_printf("CREATE INDEX ON %s (r)", w->differing);
    bool ok = swap_run(s->x, 0, index, err);
    free(index);
    for (int64_t after = 0; ok && after < w->n_numbers;) {
        struct slice c = {i, after, after + s->rows};
        bool is_done, ignored = false;
        int64_t began = clock_mono_ms();
        ok = try_slice(s->x, &c, &is_done, &ignored, err);
        int64_t took = clock_mono_ms() - began;
        after = c.last;
        if (ok && !is_done)
            MEM_PUSH(s->later, s->n_later, s->cap_later, c);
        else if (took > LONG_MS && s->rows > 1)
            s->rows /= 2;
        else if (took < SHORT_MS && s->rows < MOST_ROWS)
            s->rows *= 2;
    }
    return ok;
}

/* Once more; *n_done of them were written. */
static bool go_round(struct slices *s, size_t *n_done, bool *is_locked, struct err *err)
{
    size_t left = 0;
    bool ok = true;
    *n_done = 0;
    *is_locked = false;
    for (size_t i = 0; i < s->n_later; i++) {
        bool is_done = false;
        if (ok)
            ok = try_slice(s->x, &s->later[i], &is_done, is_locked, err);
        *n_done += is_done;
        if (!is_done)
            s->later[left++] = s->later[i];
    }
    s->n_later = left;
    return ok;
}

/* What neither waits for a lock nor gets on by itself. */
static bool write_rest(struct slices *s, struct err *err)
{
    struct exchange *x = s->x;
    bool ok = write_slices(x, s->n_later, s->later, SWAP_SHORT_LOCK, err);
    if (!ok)
        x->has_moved |= is_conflict(err);
    return ok;
}

static bool write_later(struct slices *s, struct err *err)
{
    int64_t began = clock_mono_ms(), explain_at = began + SWAP_EXPLAIN_FIRST_MS;
    while (s->n_later) {
        size_t n_done;
        bool is_locked;
        if (!go_round(s, &n_done, &is_locked, err))
            return false;
        if (n_done || !s->n_later)
            continue;
        if (!is_locked && write_rest(s, err))
            return true;
        if (!is_locked && !swap_is_lock_failure(err))
            return false;
        if (!is_locked)
            err_clear(err);
        if (clock_mono_ms() - began > SWAP_LOCK_LIMIT_MS)
            return err_set(err, ERR_TIMEOUT, "rows stayed locked by others");
        if (!swap_run(s->x, SWAP_LOOK_MS, "ROLLBACK", err))
            return false;
        swap_explain(s->x, &explain_at);
        if (!errand_sleep(s->x->swap->plan.errand, SWAP_PAUSE_MS, err))
            return false;
    }
    return true;
}

static bool drop(const struct exchange *x, struct err *err)
{
    char *sql = swap_drop_sql(x);
    bool ok = swap_run(x, SWAP_LOOK_MS, "BEGIN", err) && swap_run(x, SWAP_LOOK_MS, sql, err) &&
              swap_commit(x, err);
    free(sql);
    return ok;
}

bool swap_slices(struct exchange *x, struct err *err)
{
    struct slices s = {.x = x, .rows = FIRST_ROWS};
    bool ok = true;
    x->held_ms = 0;
    x->has_moved = false;
    for (size_t i = 0; ok && i < x->swap->plan.tables->n_tables; i++)
        if (swap_is_part(x, i))
            ok = write_table(&s, i, err) ||
                 err_context(err, "swap the rows of %s.%s", swap_table(x->swap, i)->dest_schema,
                             swap_table(x->swap, i)->dest_name);
    ok = ok && write_later(&s, err);
    if (ok && x->has_moved)
        ok = err_set(err, ERR_SCHEMA, "rows have changed since they were compared");
    ok = ok && drop(x, err);
    free(s.later);
    return ok;
}
