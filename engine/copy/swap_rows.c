/* The rows of shadows take the place of those of the live tables; see swap.h.
 *
 * All that differs is written in one transaction as long as nobody waits for it: readers see the
 * old rows, then the new ones. A session of its own looks whether somebody does; then the
 * transaction is given up, and what differs is written in slices (swap_slices.c). */
#include "copy/swap_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "copy/empty.h"

#define COMPARE_TIMES 3
#define COMPARE_TIMES_SLICED 10 /* each time there are few rows left */
#define LONG_ATTEMPT_MS 3000    /* one that is not tried again and again */
#define WATCH_MS 15
#define WATCH_SHARE 2 /* a look is followed by so many times its own time without one */
#define FEW_ROWS 500  /* are written before anybody could look */
#define WATCH_LIMIT_MS 2000
#define WATCH_AGAIN_MS 1000

bool swap_run(const struct exchange *x, int limit_ms, const char *sql, struct err *err)
{
    return pg_exec(x->swap->plan.dest, x->task, limit_ms, sql, NULL, err);
}

bool swap_is_lock_failure(const struct err *err)
{
    return pg_server_error_is(err, "55P03") || pg_server_error_is(err, "40P01");
}

/* --- whether somebody waits for us ----------------------------------------------------------- */

static bool is_called_off(void *arg)
{
    const struct exchange *x = arg;
    const struct task *own = swap_task(x->swap);
    return own->is_cancelled(own->arg);
}

/* By far the fastest way to give a statement up: that session is here already. */
static bool give_way(struct exchange *x, struct task *task, struct err *err)
{
    struct pg_result *r = NULL;
    int pid = pg_backend_pid(x->swap->plan.dest);
    char *sql = mem_printf("SELECT pg_cancel_backend(%d) FROM (SELECT FROM pg_locks WHERE NOT "
                           "granted AND %d = ANY (pg_blocking_pids(pid)) LIMIT 1) AS waiting",
                           pid, pid);
    bool ok = pg_exec(x->watcher, task, WATCH_LIMIT_MS, sql, &r, err);
    x->is_in_way = ok && pg_rows(r) > 0;
    pg_free(r);
    free(sql);
    return ok;
}

static bool connect_watcher(struct exchange *x, struct task *task, struct err *err)
{
    const struct swap_plan *p = &x->swap->plan;
    return x->watcher ||
           pg_connect(p->target, PG_SQL, p->app, NULL, task, WATCH_LIMIT_MS, &x->watcher, err);
}

static void look(struct exchange *x, bool is_only_connect)
{
    struct task task = *swap_task(x->swap);
    struct err err = {0};
    int64_t began = clock_mono_ms();
    task.tick = NULL;
    if (connect_watcher(x, &task, &err) && (is_only_connect || give_way(x, &task, &err))) {
        x->watch_at = clock_mono_ms() + WATCH_SHARE * (clock_mono_ms() - began);
        return;
    }
    log_debug("copy", x->swap->plan.mirror, "who waits for a swap is not known: %s", err.text);
    pg_close(x->watcher, true);
    x->watcher = NULL;
    x->watch_at = clock_mono_ms() + WATCH_AGAIN_MS;
}

/* Called inside the waits for the destination. */
static void watch(void *arg)
{
    struct exchange *x = arg;
    if (clock_mono_ms() >= x->watch_at && !x->is_in_way)
        look(x, false);
}

/* --- one table ------------------------------------------------------------------------------- */

bool swap_count(const struct exchange *x, char *sql, int64_t *sum, struct err *err)
{
    struct pg_result *r = NULL;
    bool ok = pg_exec(x->swap->plan.dest, x->task, 0, sql, &r, err);
    if (ok)
        *sum += pg_affected(r);
    pg_free(r);
    free(sql);
    return ok;
}

/* With the two statements this makes sure that the rows are those of the shadow, whatever a trigger
 * that fires always has done to them, or a key that means something else than at the source. */
static bool check_count(const struct exchange *x, size_t i, struct err *err)
{
    const struct shadow *w = &x->swap->shadows[i];
    struct pg_result *r = NULL;
    char *sql = mem_printf("SELECT (SELECT pg_catalog.count(*) FROM %s), (SELECT "
                           "pg_catalog.count(*) FROM %s)",
                           w->live_sql, w->sql);
    bool ok = pg_exec(x->swap->plan.dest, x->task, 0, sql, &r, err);
    free(sql);
    if (ok && pg_int(r, 0, 0) != pg_int(r, 0, 1)) {
        ok = err_set(err, ERR_SCHEMA, "%lld rows came, and the table has %lld then",
                     (long long)pg_int(r, 0, 1), (long long)pg_int(r, 0, 0));
        err_hint(err,
                 "A trigger that fires always, or a primary key that the source does not have? "
                 "The table has its old rows; strategy truncate copies what it takes.");
    }
    pg_free(r);
    return ok;
}

static bool exchange_whole(struct exchange *x, size_t i, struct err *err)
{
    return swap_count(x, swap_delete_all_sql(x->swap, i), &x->removed, err) &&
           swap_count(x, swap_insert_all_sql(x->swap, i), &x->added, err) && check_count(x, i, err);
}

/* Just the rows that were found to differ. Where a key names them, those that somebody else has
 * removed since, or put there, do no harm. */
static bool exchange_found(struct exchange *x, size_t i, struct err *err)
{
    const struct shadow *w = &x->swap->shadows[i];
    int64_t old = 0, new = 0;
    bool ok = swap_count(x, swap_delete_found_sql(x->swap, i, NULL), &old, err) &&
              swap_count(x, swap_insert_found_sql(x->swap, i, NULL), &new, err);
    if (!ok)
        x->has_moved = pg_server_error_is(err, "23505") || pg_server_error_is(err, "23P01");
    else
        x->has_moved = (!w->is_by_key && old != w->n_old) || new != w->n_new;
    x->removed += old;
    x->added += new;
    if (ok && x->has_moved)
        ok = err_set(err, ERR_SCHEMA, "its rows have changed since they were compared");
    return ok;
}

static bool exchange_table(struct exchange *x, size_t i, struct err *err)
{
    const struct schema_table *t = swap_table(x->swap, i);
    bool is_found = !x->is_whole && x->swap->shadows[i].is_found;
    if (x->is_in_way)
        return err_set(err, ERR_SQL, "somebody waits");
    return (is_found ? exchange_found(x, i, err) : exchange_whole(x, i, err)) ||
           err_context(err, "swap the rows of %s.%s", t->dest_schema, t->dest_name);
}

/* --- all tables of a mapping ----------------------------------------------------------------- */

/* Rows that are compared while they are written must not change meanwhile. */
static bool needs_lock(const struct exchange *x)
{
    for (size_t i = 0; i < x->swap->plan.tables->n_tables; i++)
        if (swap_is_part(x, i) && !x->swap->shadows[i].is_found)
            return true;
    return x->is_whole;
}

/* Several statements in one. Rows that were found are few, or counted: the planner knows. */
static char *begin_sql(const struct exchange *x, const char *lock_timeout)
{
    const struct swap *s = x->swap;
    bool has_lock = needs_lock(x);
    struct buf b = {0};
    buf_printf(&b, "BEGIN; SET LOCAL lock_timeout = '%s'", lock_timeout);
    const char *before = "; LOCK TABLE ";
    for (size_t i = 0; i < s->plan.tables->n_tables; i++) {
        if (!swap_is_part(x, i))
            continue;
        buf_printf(&b, "%s%s", before, s->shadows[i].live_sql);
        before = ", ";
    }
    buf_printf(&b, " IN %s MODE; SET CONSTRAINTS ALL DEFERRED; " SWAP_PLANS,
               has_lock ? "SHARE ROW EXCLUSIVE" : "ROW EXCLUSIVE");
    if (has_lock)
        buf_puts(&b, "; SET LOCAL lock_timeout = '10s'");
    if (!x->is_whole)
        buf_puts(&b, "; SET LOCAL enable_nestloop = on");
    return buf_take(&b);
}

static bool run_fence(const struct exchange *x, struct err *err)
{
    char *fence = sync_rows_fence(&x->swap->plan.owner);
    bool ok = swap_run(x, SWAP_LOOK_MS, fence, err);
    free(fence);
    if (!ok && pg_server_error_is(err, SYNC_ROWS_SQLSTATE))
        return err_set(err, ERR_FENCED, "another process took over this mirror");
    return ok;
}

bool swap_commit(const struct exchange *x, struct err *err)
{
    return run_fence(x, err) && swap_run(x, 0, "COMMIT", err);
}

static bool attempt(struct exchange *x, const char *lock_timeout, struct err *err)
{
    char *begin = begin_sql(x, lock_timeout), *end = swap_drop_sql(x);
    struct task *task = x->task;
    int64_t began = clock_mono_ms();
    x->removed = x->added = 0;
    x->has_moved = false;
    bool ok = swap_run(x, SWAP_LOOK_MS, begin, err);
    int64_t held_since = clock_mono_ms();
    for (size_t i = 0; ok && i < x->swap->plan.tables->n_tables; i++)
        if (swap_is_part(x, i))
            ok = exchange_table(x, i, err);
    x->task = swap_task(x->swap); /* a COMMIT is not given up */
    ok = ok && swap_run(x, SWAP_LOOK_MS, end, err) && swap_commit(x, err);
    x->task = task;
    x->held_ms = clock_mono_ms() - held_since;
    x->attempt_ms = clock_mono_ms() - began;
    if (!ok)
        x->removed = x->added = 0;
    free(begin);
    free(end);
    return ok;
}

void swap_explain(const struct exchange *x, int64_t *explain_at)
{
    const struct swap_plan *p = &x->swap->plan;
    if (clock_mono_ms() < *explain_at)
        return;
    empty_explain_locks(p->dest, x->task, p->mirror, p->tables, "to swap the rows of");
    *explain_at = clock_mono_ms() + SWAP_EXPLAIN_MS;
}

/* Until everything was got and done, or cannot be: also because what is given up each time takes
 * too long. */
static bool attempts(struct exchange *x, struct err *err)
{
    struct err ignored = {0};
    bool may_last = needs_lock(x);
    int64_t began = clock_mono_ms(), explain_at = began + SWAP_EXPLAIN_FIRST_MS;
    for (int n = 1; !attempt(x, n > SWAP_PATIENCE ? SWAP_LONG_LOCK : SWAP_SHORT_LOCK, err); n++) {
        x->is_sliced =
            !may_last &&
            (x->is_in_way || (swap_is_lock_failure(err) && x->attempt_ms > LONG_ATTEMPT_MS));
        if (x->is_sliced || !swap_is_lock_failure(err) ||
            clock_mono_ms() - began > SWAP_LOCK_LIMIT_MS ||
            !swap_run(x, SWAP_LOOK_MS, "ROLLBACK", &ignored))
            return false;
        swap_explain(x, &explain_at);
        if (!errand_sleep(x->swap->plan.errand, SWAP_PAUSE_MS, err))
            return false;
    }
    return true;
}

static int64_t count_found(const struct exchange *x)
{
    int64_t n = 0;
    for (size_t i = 0; i < x->swap->plan.tables->n_tables; i++)
        if (swap_is_part(x, i))
            n += x->swap->shadows[i].n_old + x->swap->shadows[i].n_new;
    return n;
}

/* As long as it is in nobody's way, in one transaction. */
static bool attempts_watched(struct exchange *x, struct err *err)
{
    struct task *own = x->task, watching = *own;
    watching.is_cancelled = is_called_off;
    watching.tick = watch;
    watching.tick_ms = WATCH_MS;
    watching.next_tick = 0;
    watching.arg = x;
    if (count_found(x) > FEW_ROWS)
        look(x, true);
    x->watch_at = 0;
    x->task = &watching;
    bool ok = attempts(x, err);
    x->task = own;
    return ok;
}

static bool write_rows(struct exchange *x, struct err *err)
{
    x->is_in_way = false;
    if (needs_lock(x))
        return attempts(x, err);
    if (!x->is_sliced && attempts_watched(x, err))
        return true;
    if (!x->is_sliced)
        return false;
    log_info("copy", x->swap->plan.mirror,
             "somebody writes to rows that a swap changes: it goes on in small steps");
    err_clear(err);
    return swap_run(x, SWAP_LOOK_MS, "ROLLBACK", err) && swap_slices(x, err);
}

static void forget_shadows(struct exchange *x)
{
    for (size_t i = 0; i < x->swap->plan.tables->n_tables; i++)
        if (swap_is_part(x, i)) {
            free(x->swap->shadows[i].sql);
            x->swap->shadows[i].sql = NULL;
        }
}

/* Whoever writes to the table while its rows are compared may make it compare again; who never
 * stops waits in the end until it is done. */
static bool exchange(struct exchange *x, struct err *err)
{
    for (int n = 1;; n++) {
        x->is_whole = n > (x->is_sliced ? COMPARE_TIMES_SLICED : COMPARE_TIMES);
        if (!x->is_whole && !swap_find(x, err))
            return false;
        if (write_rows(x, err))
            return true;
        if (!x->has_moved || x->is_whole)
            return false;
        x->is_sliced |= !needs_lock(x); /* somebody writes */
        err_clear(err);
        if (!swap_run(x, SWAP_LOOK_MS, "ROLLBACK", err))
            return false;
    }
}

/* --- together -------------------------------------------------------------------------------- */

/* Of a partitioned table: of its root, which comes first. It would come by itself, later. */
static void analyze(const struct exchange *x, size_t first)
{
    const struct schema_table *t = swap_table(x->swap, first);
    struct err err = {0};
    struct buf b = {0};
    buf_puts(&b, "SET lock_timeout = '1s'; ANALYZE ");
    pg_quote_qualified(&b, t->dest_schema, t->dest_name);
    buf_puts(&b, "; RESET lock_timeout");
    if (!swap_run(x, 0, buf_text(&b), &err) && err.code == ERR_SQL)
        log_info("copy", x->swap->plan.mirror, "statistics are left to autovacuum table=%s.%s: %s",
                 t->dest_schema, t->dest_name, err.text);
    buf_free(&b);
}

static void say(const struct exchange *x, size_t first, int64_t began)
{
    const struct schema_table *t = swap_table(x->swap, first);
    log_info("copy", x->swap->plan.mirror,
             "rows swapped table=%s.%s removed=%lld added=%lld seconds=%.1f way=%s held_ms=%lld",
             t->dest_schema, t->dest_name, (long long)x->removed, (long long)x->added,
             (double)(clock_mono_ms() - began) / 1000.0,
             x->is_sliced    ? "steps"
             : needs_lock(x) ? "locked"
                             : "at_once",
             (long long)x->held_ms);
}

static bool exchange_mapping(struct swap *s, int mapping, struct err *err)
{
    struct exchange x = {.swap = s, .mapping = mapping, .task = swap_task(s)};
    size_t first = s->plan.tables->n_tables, n = 0;
    int64_t began = clock_mono_ms();
    for (size_t i = 0; i < s->plan.tables->n_tables; i++) {
        if (swap_table(s, i)->mapping == mapping && i < first)
            first = i;
        n += swap_is_part(&x, i);
    }
    bool ok = !n || exchange(&x, err);
    pg_close(x.watcher, false);
    if (!ok || !n)
        return ok;
    say(&x, first, began);
    forget_shadows(&x);
    if (x.removed + x.added)
        analyze(&x, first);
    return true;
}

/* One transaction for each mapped table: its partitions change together, and no transaction holds
 * more locks than it must. */
bool swap_rows(struct swap *s, struct err *err)
{
    bool ok = true;
    for (size_t m = 0; ok && m < s->plan.n_maps; m++)
        ok = exchange_mapping(s, (int)m, err);
    return ok;
}
