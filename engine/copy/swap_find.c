/* Which rows of a shadow and of its live table differ: asked before anything is locked; see
 * swap.h. */
#include "copy/swap_private.h"

#include <stdlib.h>

#include "base/mem.h"

/* What fires although we are a replica may change more than the rows that we write; and rows
 * without columns cannot be told apart. */
static bool may_be_found(const struct exchange *x, size_t i, bool *out, struct err *err)
{
    const struct schema_table *t = swap_table(x->swap, i);
    struct pg_conn *dest = x->swap->plan.dest;
    const char *values[] = {t->dest_schema, t->dest_name,
                            pg_is_replica_role(dest) ? "{A,R}" : "{A,R,O}"};
    struct pg_result *r = NULL;
    *out = false;
    if (!x->swap->shadows[i].columns[0])
        return true;
    bool ok = pg_exec_params(
        dest, x->task, SWAP_LOOK_MS,
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

/* With the rows that were found the live table becomes the shadow; else several rows of the shadow
 * have a key that is one here, and none of them may be left out. */
static bool add_up(const struct exchange *x, size_t i, struct err *err)
{
    struct shadow *w = &x->swap->shadows[i];
    struct pg_result *r = NULL;
    char *sql = mem_printf("SELECT (SELECT count(*) FROM %s), (SELECT count(*) FROM %s), "
                           "count(l), count(s), coalesce(max(r), 0) FROM %s",
                           w->live_sql, w->sql, w->differing);
    bool ok = pg_exec(x->swap->plan.dest, x->task, 0, sql, &r, err);
    free(sql);
    if (ok) {
        w->n_old = pg_int(r, 0, 2);
        w->n_new = pg_int(r, 0, 3);
        w->n_numbers = pg_int(r, 0, 4);
        w->is_found = pg_int(r, 0, 0) - w->n_old + w->n_new == pg_int(r, 0, 1);
    }
    pg_free(r);
    return ok;
}

/* All of it sees one state of the live table. */
static bool look(const struct exchange *x, size_t i, struct err *err)
{
    struct shadow *w = &x->swap->shadows[i];
    char *drop = mem_printf("DROP TABLE IF EXISTS %s", w->differing);
    char *find = swap_find_sql(x->swap, i);
    char *analyze = mem_printf("ANALYZE %s", w->differing);
    bool ok =
        swap_run(x, SWAP_LOOK_MS, drop, err) &&
        swap_run(x, SWAP_LOOK_MS, "BEGIN ISOLATION LEVEL REPEATABLE READ; " SWAP_PLANS, err) &&
        swap_run(x, 0, find, err) && add_up(x, i, err) && swap_run(x, 0, "COMMIT", err) &&
        swap_run(x, 0, analyze, err);
    free(drop);
    free(find);
    free(analyze);
    return ok;
}

/* A key whose operator cannot join in such a way; rows whose text is too long. */
static bool cannot_be_compared(const struct err *err)
{
    return pg_server_error_is(err, "0A000") || pg_server_error_is(err, "54000") ||
           pg_server_error_is(err, "53200");
}

static bool find_differing(const struct exchange *x, size_t i, struct err *err)
{
    struct shadow *w = &x->swap->shadows[i];
    bool may;
    w->is_found = false;
    if (!may_be_found(x, i, &may, err))
        return false;
    if (!may)
        return true;
    if (!w->differing)
        name_differing(x->swap, i);
    w->is_by_key = swap_has_key(x->swap, i);
    bool ok = look(x, i, err);
    if (!ok && w->is_by_key && cannot_be_compared(err)) {
        err_clear(err);
        w->is_by_key = false;
        ok = swap_run(x, SWAP_LOOK_MS, "ROLLBACK", err) && look(x, i, err);
    }
    if (!ok && cannot_be_compared(err)) {
        err_clear(err);
        ok = swap_run(x, SWAP_LOOK_MS, "ROLLBACK", err);
    }
    return ok || err_context(err, "compare the rows of %s.%s", swap_table(x->swap, i)->dest_schema,
                             swap_table(x->swap, i)->dest_name);
}

bool swap_find(struct exchange *x, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < x->swap->plan.tables->n_tables; i++)
        if (swap_is_part(x, i))
            ok = find_differing(x, i, err);
    return ok;
}
