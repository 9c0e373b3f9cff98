/* The rows of shadows take the place of those of the live tables; see swap.h. */
#include "copy/swap_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "copy/empty.h"
#include "copy/job.h"

/* As in empty.c: writers of the table, if there are any, wait behind us for so long at most. The
 * long one is beyond the usual deadlock_timeout, at which an autovacuum gives way. */
#define SHORT_LOCK "400ms"
#define LONG_LOCK "1500ms"
#define PATIENCE 12 /* short attempts */
#define COMPARE_TIMES 3
#define PAUSE_MS 700
#define LOCK_LIMIT_MS (30 * 60 * 1000)
#define EXPLAIN_FIRST_MS 5000
#define EXPLAIN_MS 60000

struct exchange {
    struct swap *swap;
    int mapping;
    int64_t removed, added;
    bool is_whole;  /* rows are compared under the lock */
    bool has_moved; /* somebody has written since they were compared */
    int64_t locked_at, locked_ms;
};

static const struct schema_table *table_of(const struct swap *s, size_t i)
{
    return &s->plan.tables->tables[i];
}

static bool is_part(const struct exchange *x, size_t i)
{
    return x->swap->shadows[i].sql && table_of(x->swap, i)->mapping == x->mapping;
}

static bool run(const struct exchange *x, int limit_ms, const char *sql, struct err *err)
{
    return pg_exec(x->swap->plan.dest, swap_task(x->swap), limit_ms, sql, NULL, err);
}

/* --- the statements -------------------------------------------------------------------------- */

/* The primary key names a row when all of it is copied. */
static bool has_key(const struct swap *s, size_t i)
{
    const struct schema_table *t = table_of(s, i);
    const struct dest_table *live = &s->shadows[i].live;
    size_t found = 0;
    for (size_t k = 0; k < live->n_key; k++)
        for (size_t c = 0; c < t->n_columns; c++)
            found += range_is_copied(&t->columns[c]) && !strcmp(t->columns[c].name, live->key[k]);
    return live->n_key > 0 && found == live->n_key;
}

static const char *equals_of(const struct dest_table *live, const char *column)
{
    for (size_t i = 0; i < live->n_columns; i++)
        if (!strcmp(live->columns[i].name, column))
            return live->columns[i].equals;
    return "=";
}

static void put_same_key(const struct dest_table *live, const char *first, struct buf *b)
{
    for (size_t k = 0; k < live->n_key; k++) {
        buf_puts(b, k ? " AND l." : first);
        pg_quote_ident(b, live->key[k]);
        buf_printf(b, " %s s.", equals_of(live, live->key[k]));
        pg_quote_ident(b, live->key[k]);
    }
}

static void put_record(const struct schema_table *t, const char *alias, struct buf *b)
{
    const char *before = "ROW(";
    for (size_t i = 0; i < t->n_columns; i++) {
        if (!range_is_copied(&t->columns[i]))
            continue;
        buf_printf(b, "%s%s.", before, alias);
        pg_quote_ident(b, t->columns[i].name);
        before = ", ";
    }
    buf_puts(b, ")::record");
}

/* Rows that the shadow does not have just like that. Afterwards each row of the live table has one
 * in the shadow that is the same, byte by byte. */
static char *delete_sql(const struct swap *s, size_t i)
{
    const struct shadow *w = &s->shadows[i];
    struct buf b = {0};
    buf_printf(&b, "DELETE FROM %s l", w->live_sql);
    if (has_key(s, i)) {
        buf_printf(&b, " WHERE NOT EXISTS (SELECT FROM %s s", w->sql);
        put_same_key(&w->live, " WHERE l.", &b);
        buf_puts(&b, " AND ");
        put_record(table_of(s, i), "l", &b);
        buf_puts(&b, " OPERATOR(pg_catalog.*=) ");
        put_record(table_of(s, i), "s", &b);
        buf_putc(&b, ')');
    }
    return buf_take(&b);
}

/* What INSERT names, and what it brings: a partitioned table passes its rows on. */
static void put_insert(const struct swap *s, size_t i, struct buf *b)
{
    const struct shadow *w = &s->shadows[i];
    const struct schema_table *t = table_of(s, i);
    const char *before = " ";
    buf_printf(b, "INSERT INTO %s", w->live_sql + (w->live.is_partitioned ? 0 : strlen("ONLY ")));
    if (w->columns[0])
        buf_printf(b, " (%s) OVERRIDING SYSTEM VALUE", w->columns);
    buf_puts(b, " SELECT");
    for (size_t c = 0; c < t->n_columns; c++) {
        if (!range_is_copied(&t->columns[c]))
            continue;
        buf_printf(b, "%ss.", before);
        pg_quote_ident(b, t->columns[c].name);
        before = ", ";
    }
    buf_printf(b, " FROM %s s", w->sql);
}

/* Rows whose key the live table does not have now. */
static char *insert_sql(const struct swap *s, size_t i)
{
    const struct shadow *w = &s->shadows[i];
    struct buf b = {0};
    put_insert(s, i, &b);
    if (has_key(s, i)) {
        buf_printf(&b, " WHERE NOT EXISTS (SELECT FROM %s l", w->live_sql);
        put_same_key(&w->live, " WHERE l.", &b);
        buf_putc(&b, ')');
    }
    return buf_take(&b);
}

/* --- the rows that differ ----------------------------------------------------------------------
 */

/* Pairs of a live row (its key: k0, k1 …) and one of the shadow (s); either may be missing. */
static char *find_sql(const struct swap *s, size_t i)
{
    const struct shadow *w = &s->shadows[i];
    struct buf b = {0};
    buf_printf(&b, "CREATE UNLOGGED TABLE %s WITH (autovacuum_enabled = false) AS SELECT ",
               w->differing);
    for (size_t k = 0; k < w->live.n_key; k++) {
        buf_puts(&b, "l.");
        pg_quote_ident(&b, w->live.key[k]);
        buf_printf(&b, " AS k%zu, ", k);
    }
    buf_printf(&b, "s.ctid AS s FROM %s l FULL JOIN %s s", w->live_sql, w->sql);
    put_same_key(&w->live, " ON l.", &b);
    buf_puts(&b, " WHERE (");
    put_record(table_of(s, i), "l", &b);
    buf_puts(&b, " OPERATOR(pg_catalog.*=) ");
    put_record(table_of(s, i), "s", &b);
    buf_puts(&b, ") IS NOT TRUE");
    return buf_take(&b);
}

static char *delete_found_sql(const struct swap *s, size_t i)
{
    const struct shadow *w = &s->shadows[i];
    struct buf b = {0};
    buf_printf(&b, "DELETE FROM %s l USING %s d", w->live_sql, w->differing);
    for (size_t k = 0; k < w->live.n_key; k++) {
        buf_puts(&b, k ? " AND l." : " WHERE l.");
        pg_quote_ident(&b, w->live.key[k]);
        buf_printf(&b, " %s d.k%zu", equals_of(&w->live, w->live.key[k]), k);
    }
    return buf_take(&b);
}

static char *insert_found_sql(const struct swap *s, size_t i)
{
    struct buf b = {0};
    put_insert(s, i, &b);
    buf_printf(&b, " JOIN %s d ON d.s = s.ctid", s->shadows[i].differing);
    return buf_take(&b);
}

/* --- one table ------------------------------------------------------------------------------- */

static bool count(const struct exchange *x, char *sql, int64_t *sum, struct err *err)
{
    struct pg_result *r = NULL;
    bool ok = pg_exec(x->swap->plan.dest, swap_task(x->swap), 0, sql, &r, err);
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
    bool ok = pg_exec(x->swap->plan.dest, swap_task(x->swap), 0, sql, &r, err);
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
    return count(x, delete_sql(x->swap, i), &x->removed, err) &&
           count(x, insert_sql(x->swap, i), &x->added, err) && check_count(x, i, err);
}

/* Just the rows that were found to differ. */
static bool exchange_found(struct exchange *x, size_t i, struct err *err)
{
    const struct shadow *w = &x->swap->shadows[i];
    int64_t old = 0, new = 0;
    bool ok = count(x, delete_found_sql(x->swap, i), &old, err) &&
              count(x, insert_found_sql(x->swap, i), &new, err);
    if (!ok && err->sqlstate[0])
        x->has_moved = pg_server_error_is(err, "23505") || pg_server_error_is(err, "23P01");
    else if (ok)
        x->has_moved = old != w->n_old || new != w->n_new;
    x->removed += old;
    x->added += new;
    if (ok && x->has_moved)
        ok = err_set(err, ERR_SCHEMA, "its rows have changed since they were compared");
    return ok;
}

static bool exchange_table(struct exchange *x, size_t i, struct err *err)
{
    const struct schema_table *t = table_of(x->swap, i);
    bool is_found = !x->is_whole && x->swap->shadows[i].differing;
    return (is_found ? exchange_found(x, i, err) : exchange_whole(x, i, err)) ||
           err_context(err, "swap the rows of %s.%s", t->dest_schema, t->dest_name);
}

/* --- which rows differ: before the lock ---------------------------------------------------------
 */

/* What fires although we are a replica may change more than the rows that we write. */
static bool may_be_found(const struct exchange *x, size_t i, bool *out, struct err *err)
{
    const struct schema_table *t = table_of(x->swap, i);
    struct pg_conn *dest = x->swap->plan.dest;
    const char *values[] = {t->dest_schema, t->dest_name,
                            pg_is_replica_role(dest) ? "{A,R}" : "{A,R,O}"};
    struct pg_result *r = NULL;
    *out = false;
    if (!has_key(x->swap, i))
        return true;
    bool ok = pg_exec_params(
        dest, swap_task(x->swap), SWAP_LOOK_MS,
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
        "n.nspname = $1 AND c.relname = $2 AND NOT EXISTS (SELECT FROM pg_trigger g WHERE "
        "g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled = ANY ($3::\"char\"[])) AND NOT "
        "EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.ev_enabled = ANY "
        "($3::\"char\"[]))",
        COUNT_OF(values), values, &r, err);
    *out = ok && pg_int(r, 0, 0) == 1;
    pg_free(r);
    return ok;
}

static void name_differing(struct swap *s, size_t i)
{
    struct buf name = {0}, quoted = {0};
    buf_printf(&name, "%s_d", s->names[i]);
    pg_quote_qualified(&quoted, SWAP_SCHEMA, buf_text(&name));
    s->shadows[i].differing = buf_take(&quoted);
    buf_free(&name);
}

static bool count_found(const struct exchange *x, size_t i, struct err *err)
{
    struct shadow *w = &x->swap->shadows[i];
    struct pg_result *r = NULL;
    char *sql = mem_printf("ANALYZE %s", w->differing);
    bool ok = run(x, 0, sql, err);
    free(sql);
    sql = mem_printf("SELECT count(k0), count(s) FROM %s", w->differing);
    ok = ok && pg_exec(x->swap->plan.dest, swap_task(x->swap), 0, sql, &r, err);
    free(sql);
    w->n_old = ok ? pg_int(r, 0, 0) : 0;
    w->n_new = ok ? pg_int(r, 0, 1) : 0;
    pg_free(r);
    return ok;
}

/* Nested loops would be the end of a large table whose statistics are old. */
#define PLANS "SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL enable_nestloop = off"

static bool find_differing(const struct exchange *x, size_t i, struct err *err)
{
    struct shadow *w = &x->swap->shadows[i];
    struct err ignored = {0};
    bool may;
    if (!may_be_found(x, i, &may, err))
        return false;
    if (!may)
        return true;
    if (!w->differing)
        name_differing(x->swap, i);
    char *begin = mem_printf("BEGIN; DROP TABLE IF EXISTS %s; " PLANS, w->differing);
    char *find = find_sql(x->swap, i);
    bool ok = run(x, SWAP_LOOK_MS, begin, err) && run(x, 0, find, err) && run(x, 0, "COMMIT", err);
    free(begin);
    free(find);
    if (ok)
        return count_found(x, i, err);
    if (!pg_server_error_is(err, "0A000") || !run(x, SWAP_LOOK_MS, "ROLLBACK", &ignored))
        return err_context(err, "compare the rows of %s.%s", table_of(x->swap, i)->dest_schema,
                           table_of(x->swap, i)->dest_name);
    err_clear(err); /* a key whose operator cannot join in such a way */
    free(w->differing);
    w->differing = NULL;
    return true;
}

static bool find_all(const struct exchange *x, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < x->swap->plan.tables->n_tables; i++)
        if (is_part(x, i))
            ok = find_differing(x, i, err);
    return ok;
}

/* --- all tables of a mapping ----------------------------------------------------------------- */

/* Several statements in one. Rows that were found are few, or counted: the planner knows. */
static char *begin_sql(const struct exchange *x, const char *lock_timeout)
{
    const struct swap *s = x->swap;
    struct buf b = {0};
    buf_printf(&b, "BEGIN; SET LOCAL lock_timeout = '%s'", lock_timeout);
    const char *before = "; LOCK TABLE ";
    for (size_t i = 0; i < s->plan.tables->n_tables; i++) {
        if (!is_part(x, i))
            continue;
        buf_printf(&b, "%s%s", before, s->shadows[i].live_sql);
        before = ", ";
    }
    buf_puts(&b,
             " IN SHARE ROW EXCLUSIVE MODE; SET LOCAL lock_timeout = '10s'; SET CONSTRAINTS ALL "
             "DEFERRED; " PLANS);
    if (!x->is_whole)
        buf_puts(&b, "; SET LOCAL enable_nestloop = on");
    return buf_take(&b);
}

static char *end_sql(const struct exchange *x)
{
    const struct swap *s = x->swap;
    const char *before = "DROP TABLE ";
    struct buf b = {0};
    for (size_t i = 0; i < s->plan.tables->n_tables; i++) {
        if (!is_part(x, i))
            continue;
        buf_printf(&b, "%s%s", before, s->shadows[i].sql);
        before = ", ";
        if (s->shadows[i].differing)
            buf_printf(&b, ", %s", s->shadows[i].differing);
    }
    return buf_take(&b);
}

static bool run_fence(const struct exchange *x, struct err *err)
{
    char *fence = sync_rows_fence(&x->swap->plan.owner);
    bool ok = run(x, SWAP_LOOK_MS, fence, err);
    free(fence);
    if (!ok && pg_server_error_is(err, SYNC_ROWS_SQLSTATE))
        return err_set(err, ERR_FENCED, "another process took over this mirror");
    return ok;
}

static bool attempt(struct exchange *x, const char *lock_timeout, struct err *err)
{
    char *begin = begin_sql(x, lock_timeout), *end = end_sql(x);
    x->removed = x->added = 0;
    x->has_moved = false;
    bool ok = run(x, SWAP_LOOK_MS, begin, err);
    x->locked_at = clock_mono_ms();
    for (size_t i = 0; ok && i < x->swap->plan.tables->n_tables; i++)
        if (is_part(x, i))
            ok = exchange_table(x, i, err);
    ok = ok && run(x, SWAP_LOOK_MS, end, err) && run_fence(x, err) && run(x, 0, "COMMIT", err);
    x->locked_ms = clock_mono_ms() - x->locked_at;
    free(begin);
    free(end);
    return ok;
}

static void forget_shadows(struct exchange *x)
{
    for (size_t i = 0; i < x->swap->plan.tables->n_tables; i++)
        if (is_part(x, i)) {
            free(x->swap->shadows[i].sql);
            x->swap->shadows[i].sql = NULL;
        }
}

static bool is_lock_failure(const struct err *err)
{
    return pg_server_error_is(err, "55P03") || pg_server_error_is(err, "40P01");
}

/* Until the lock was got, and everything done or impossible. */
static bool exchange_locked(struct exchange *x, struct err *err)
{
    const struct swap_plan *p = &x->swap->plan;
    struct err ignored = {0};
    int64_t began = clock_mono_ms(), explain_at = began + EXPLAIN_FIRST_MS;
    for (int n = 1; !attempt(x, n > PATIENCE ? LONG_LOCK : SHORT_LOCK, err); n++) {
        if (!is_lock_failure(err) || clock_mono_ms() - began > LOCK_LIMIT_MS ||
            !run(x, SWAP_LOOK_MS, "ROLLBACK", &ignored))
            return false;
        if (clock_mono_ms() >= explain_at) {
            empty_explain_locks(p->dest, swap_task(x->swap), p->mirror, p->tables,
                                "to swap the rows of");
            explain_at = clock_mono_ms() + EXPLAIN_MS;
        }
        if (!errand_sleep(p->errand, PAUSE_MS, err))
            return false;
    }
    return true;
}

/* Whoever writes to the table while its rows are compared makes it compare again; who never stops
 * waits in the end until it is done. */
static bool exchange(struct exchange *x, struct err *err)
{
    for (int n = 1;; n++) {
        x->is_whole = n > COMPARE_TIMES;
        if (!x->is_whole && !find_all(x, err))
            return false;
        if (exchange_locked(x, err))
            return true;
        if (!x->has_moved || x->is_whole)
            return false;
        err_clear(err);
        if (!run(x, SWAP_LOOK_MS, "ROLLBACK", err))
            return false;
    }
}

/* --- together -------------------------------------------------------------------------------- */

/* Of a partitioned table: of its root, which comes first. It would come by itself, later. */
static void analyze(const struct exchange *x, size_t first)
{
    const struct schema_table *t = table_of(x->swap, first);
    struct err err = {0};
    struct buf b = {0};
    buf_puts(&b, "SET lock_timeout = '1s'; ANALYZE ");
    pg_quote_qualified(&b, t->dest_schema, t->dest_name);
    buf_puts(&b, "; RESET lock_timeout");
    if (!run(x, 0, buf_text(&b), &err) && err.code == ERR_SQL)
        log_info("copy", x->swap->plan.mirror, "statistics are left to autovacuum table=%s.%s: %s",
                 t->dest_schema, t->dest_name, err.text);
    buf_free(&b);
}

static bool exchange_mapping(struct swap *s, int mapping, struct err *err)
{
    struct exchange x = {.swap = s, .mapping = mapping};
    size_t first = s->plan.tables->n_tables, n = 0;
    int64_t began = clock_mono_ms();
    for (size_t i = 0; i < s->plan.tables->n_tables; i++) {
        if (table_of(s, i)->mapping == mapping && i < first)
            first = i;
        n += is_part(&x, i);
    }
    if (!n)
        return true;
    if (!exchange(&x, err))
        return false;
    forget_shadows(&x);
    log_info("copy", s->plan.mirror,
             "rows swapped table=%s.%s removed=%lld added=%lld seconds=%.1f locked_ms=%lld",
             table_of(s, first)->dest_schema, table_of(s, first)->dest_name, (long long)x.removed,
             (long long)x.added, (double)(clock_mono_ms() - began) / 1000.0,
             (long long)x.locked_ms);
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
