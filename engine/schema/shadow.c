/* Two texts of a definition may mean the same: a server that is given what another one printed does
 * not always print it again ("x IN ('a')" of a varchar does not), and the columns under it may get
 * other names and types in the same plan. So the destination's server is asked: on an empty
 * temporary table with its columns the one definition is made, the planned changes are made, then
 * the other definition, and what it prints of both is compared. Everything is rolled back. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

#define SHADOW "pg_temp.bunny_shadow"

static bool run(struct diff *d, const char *sql, struct err *err)
{
    return pg_exec(d->dest, d->task, SCHEMA_QUERY_MS, sql, NULL, err);
}

/* Runs what may be refused; only what is no refusal is an error. */
static bool try(struct diff *d, struct buf *sql, bool *worked, struct err *why, struct err *err)
{
    *worked = run(d, buf_text(sql), why);
    buf_free(sql);
    if (!*worked && why->code != ERR_SQL) {
        *err = *why;
        return false;
    }
    return true;
}

static struct buf base_sql(const struct old_table *old)
{
    struct buf b = {0};
    buf_puts(&b, "CREATE TEMP TABLE bunny_shadow (");
    for (size_t c = 0; c < old->n; c++) {
        buf_puts(&b, c ? ", " : "");
        pg_quote_ident(&b, old->columns[c].name);
        buf_printf(&b, " %s", old->columns[c].type);
        if (old->columns[c].collation)
            buf_printf(&b, " COLLATE %s", old->columns[c].collation);
    }
    buf_puts(&b, ")");
    return b;
}

static const struct schema_column *now_of(const struct schema_table *u, int attnum)
{
    for (size_t c = 0; c < u->n_columns; c++)
        if (u->columns[c].attnum == attnum)
            return &u->columns[c];
    return NULL;
}

static bool is_equal(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static void put_alter(struct buf *b, const char *what, const char *name)
{
    buf_printf(b, "; ALTER TABLE " SHADOW " %s ", what);
    pg_quote_ident(b, name);
}

static void put_type(struct buf *b, const struct schema_column *c)
{
    buf_printf(b, " %s", c->type);
    if (c->collation)
        buf_printf(b, " COLLATE %s", c->collation);
}

/* What the plan does to the columns. Names change in two rounds, so that two may change places. */
static struct buf changes_sql(const struct old_table *old, const struct schema_table *u)
{
    struct buf b = {0};
    buf_puts(&b, "SELECT");
    for (size_t c = 0; c < old->n; c++) {
        const struct schema_column *now = now_of(u, old->columns[c].attnum);
        if (!now)
            put_alter(&b, "DROP COLUMN", old->columns[c].name);
        else if (strcmp(now->name, old->columns[c].name) != 0) {
            put_alter(&b, "RENAME COLUMN", old->columns[c].name);
            buf_printf(&b, " TO bunny_%zu", c);
        }
    }
    for (size_t c = 0; c < old->n; c++) {
        const struct schema_column *now = now_of(u, old->columns[c].attnum);
        if (now && strcmp(now->name, old->columns[c].name) != 0) {
            buf_printf(&b, "; ALTER TABLE " SHADOW " RENAME COLUMN bunny_%zu TO ", c);
            pg_quote_ident(&b, now->name);
        }
        if (now && (strcmp(now->type, old->columns[c].type) != 0 ||
                    !is_equal(now->collation, old->columns[c].collation))) {
            put_alter(&b, "ALTER COLUMN", now->name);
            buf_puts(&b, " TYPE");
            put_type(&b, now);
        }
    }
    for (size_t c = 0; c < u->n_columns; c++) {
        if (u->columns[c].attnum)
            continue;
        put_alter(&b, "ADD COLUMN", u->columns[c].name);
        put_type(&b, &u->columns[c]);
    }
    return b;
}

/* Makes the definition under that name. */
static struct buf make_sql(const struct shadow_question *q, const char *name, const char *text,
                           const char *type)
{
    struct buf b = {0};
    switch (q->kind) {
    case SHADOW_INDEX:
        buf_printf(&b, "CREATE %sINDEX %s ON " SHADOW " %s", q->is_unique ? "UNIQUE " : "", name,
                   text);
        break;
    case SHADOW_CONSTRAINT:
        buf_printf(&b, "ALTER TABLE " SHADOW " ADD CONSTRAINT %s %s", name, text);
        break;
    case SHADOW_DEFAULT:
        buf_printf(&b, "ALTER TABLE " SHADOW " ADD COLUMN %s %s DEFAULT %s", name, type, text);
        break;
    case SHADOW_GENERATED:
        buf_printf(&b, "ALTER TABLE " SHADOW " ADD COLUMN %s %s GENERATED ALWAYS AS (%s) STORED",
                   name, type, text);
        break;
    }
    return b;
}

/* What the server prints of it, behind the names. */
static bool print(struct diff *d, const struct shadow_question *q, const char *name, char **out,
                  struct err *err)
{
    static const char *const queries[] = {
        [SHADOW_INDEX] = "SELECT pg_catalog.pg_get_indexdef('pg_temp.%s'::pg_catalog.regclass)",
        [SHADOW_CONSTRAINT] =
            "SELECT pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint WHERE"
            " conrelid = '" SHADOW "'::pg_catalog.regclass AND conname = '%s'",
        [SHADOW_DEFAULT] =
            "SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d JOIN"
            " pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE"
            " d.adrelid = '" SHADOW "'::pg_catalog.regclass AND a.attname = '%s'",
    };
    static const char mark[] = "bunny_shadow ";
    struct pg_result *res = NULL;
    struct buf sql = {0};
    const char *query = queries[q->kind == SHADOW_GENERATED ? SHADOW_DEFAULT : q->kind];
    const char *hole = strstr(query, "%s");
    buf_add(&sql, query, (size_t)(hole - query));
    buf_printf(&sql, "%s%s", name, hole + 2);
    bool ok = pg_exec(d->dest, d->task, SCHEMA_QUERY_MS, buf_text(&sql), &res, err);
    if (ok) {
        const char *text = pg_rows(res) ? pg_text(res, 0, 0) : "";
        const char *at = q->kind == SHADOW_INDEX ? strstr(text, mark) : NULL;
        *out = mem_strdup(at ? at + sizeof mark - 1 : text);
    }
    pg_free(res);
    buf_free(&sql);
    return ok;
}

/* The type that a column of the source has at the destination before the plan. */
static const char *old_type(const struct diff *d, int i, const struct schema_column *c)
{
    int j = d->pairs[i].dest;
    const struct schema_column *dc = find_column(&d->dst.s->tables[j], c->name);
    for (size_t k = 0; dc && k < d->old[j].n; k++)
        if (d->old[j].columns[k].attnum == dc->attnum)
            return d->old[j].columns[k].type;
    return c->type;
}

/* Gives the shadow the columns that the plan makes; again from its base without the destination's
 * definition when that is in the way. *is_there says whether it survived. */
static bool change_columns(struct diff *d, int i, const struct shadow_question *q, bool *is_there,
                           bool *worked, struct err *why, struct err *err)
{
    int j = d->pairs[i].dest;
    for (;;) {
        struct buf sql = changes_sql(&d->old[j], &d->dst.s->tables[j]);
        if (*is_there && q->kind == SHADOW_DEFAULT &&
            strcmp(old_type(d, i, q->column), q->column->type) != 0)
            buf_printf(&sql, "; ALTER TABLE " SHADOW " ALTER COLUMN bunny_from TYPE %s",
                       q->column->type);
        if (!try(d, &sql, worked, why, err))
            return false;
        if (*worked)
            return true;
        if (!run(d, "ROLLBACK TO SAVEPOINT bunny_base", err))
            return false;
        if (!*is_there)
            return true;
        *is_there = false;
    }
}

/* The destination's definition, as it will be printed after the changes; NULL when it cannot be
 * made on its own columns, or the changes do away with it. */
static bool print_from(struct diff *d, int i, const struct shadow_question *q, char **out,
                       bool *worked, struct err *why, struct err *err)
{
    bool is_there = false;
    *out = NULL;
    if (q->from) {
        struct buf make =
            make_sql(q, "bunny_from", q->from, q->column ? old_type(d, i, q->column) : NULL);
        if (!try(d, &make, &is_there, why, err) ||
            (!is_there && !run(d, "ROLLBACK TO SAVEPOINT bunny_base", err)))
            return false;
    }
    if (!change_columns(d, i, q, &is_there, worked, why, err))
        return false;
    if (!*worked || !is_there)
        return true;
    if (!print(d, q, "bunny_from", out, err))
        return false;
    return q->kind != SHADOW_CONSTRAINT ||
           run(d, "ALTER TABLE " SHADOW " DROP CONSTRAINT bunny_from", err);
}

/* *out stays SHADOW_NONE when there is no shadow to be had. */
static bool compare(struct diff *d, int i, const struct shadow_question *q,
                    enum shadow_verdict *out, struct err *why, struct err *err)
{
    char *from = NULL, *to = NULL;
    bool worked;
    struct buf base = base_sql(&d->old[d->pairs[i].dest]);
    if (!try(d, &base, &worked, why, err))
        return false;
    if (!worked)
        return true;
    if (!run(d, "SAVEPOINT bunny_base", err) || !print_from(d, i, q, &from, &worked, why, err))
        return false;
    if (!worked)
        return true;
    struct buf make = make_sql(q, "bunny_to", q->to, q->column ? q->column->type : NULL);
    bool ok = try(d, &make, &worked, why, err);
    *out = worked ? SHADOW_DIFFERENT : SHADOW_REFUSED;
    if (ok && worked && from) {
        ok = print(d, q, "bunny_to", &to, err);
        if (ok && strcmp(from, to) == 0)
            *out = SHADOW_SAME;
    }
    free(from);
    free(to);
    return ok;
}

bool shadow_compare(struct diff *d, int i, const struct shadow_question *q,
                    enum shadow_verdict *out, struct err *why, struct err *err)
{
    *out = SHADOW_NONE;
    if (d->pairs[i].dest < 0)
        return true;
    return run(d, "SAVEPOINT bunny_shadow", err) && compare(d, i, q, out, why, err) &&
           run(d, "ROLLBACK TO SAVEPOINT bunny_shadow", err);
}
