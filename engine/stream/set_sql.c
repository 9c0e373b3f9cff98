/* Statements of many rows; see set_sql.h. */
#include "stream/set_sql.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pg/pg.h"

void set_sql_free(struct set_sql *s)
{
    for (size_t i = 0; i < s->cap; i++)
        buf_free(&s->arrays[i]);
    free(s->arrays);
    free(s->values);
    buf_free(&s->sql);
    *s = (struct set_sql){0};
}

/* --- array literals (PostgreSQL docs, "Array Input and Output Syntax") --------------------------
 */

static void add_quoted(struct buf *b, const char *text, uint32_t len)
{
    static const struct buf_escapes escapes = {.other = '"',
                                               .letters = {['"'] = '"', ['\\'] = '\\'}};
    buf_putc(b, '"');
    buf_add_escaped(b, text, len, &escapes);
    buf_putc(b, '"');
}

static void add_element(struct buf *b, const struct target_column *c, const struct pgo_value *v)
{
    if (b->len)
        buf_putc(b, c->array ? c->delimiter : ',');
    else
        buf_putc(b, '{');
    if (v->data)
        add_quoted(b, v->data, v->len);
    else
        buf_puts(b, "NULL");
}

void set_sql_add_array(struct set_sql *s, const struct target *t, size_t column, bool is_key,
                       size_t n, const struct net *const *rows)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 16;
        s->arrays = mem_realloc(s->arrays, cap * sizeof *s->arrays);
        memset(s->arrays + s->cap, 0, (cap - s->cap) * sizeof *s->arrays);
        s->values = mem_realloc(s->values, cap * sizeof *s->values);
        s->cap = cap;
    }
    struct buf *b = &s->arrays[s->n];
    buf_reset(b);
    for (size_t i = 0; i < n; i++)
        add_element(b, &t->columns[column], &(is_key ? rows[i]->key : rows[i]->values)[column]);
    buf_putc(b, '}');
    s->values[s->n++] = buf_text(b);
}

/* --- SQL ------------------------------------------------------------------------------------- */

void set_sql_start(struct set_sql *s)
{
    buf_reset(&s->sql);
    s->n = 0;
}

static const char *only(const struct target *t)
{
    return t->is_partitioned ? "" : "ONLY ";
}

/* What the column's value is called in the rest of the statement. */
static void add_value(struct buf *b, const struct target_column *c, size_t column)
{
    buf_printf(b, "x.c%zu", column);
    if (!c->array)
        buf_printf(b, "::%s", c->plain);
}

/* Which columns are parameters, in their order. */
struct picked {
    size_t n;
    size_t columns[];
};

static struct picked *pick(const struct target *t,
                           bool (*wants)(const struct target_column *, const struct pgo_value *),
                           const struct pgo_value *values)
{
    struct picked *p = mem_calloc(1, sizeof *p + t->n_columns * sizeof *p->columns);
    for (size_t i = 0; i < t->n_columns; i++)
        if (!t->columns[i].is_skipped && wants(&t->columns[i], values ? &values[i] : NULL))
            p->columns[p->n++] = i;
    return p;
}

static bool is_any(const struct target_column *c, const struct pgo_value *v)
{
    (void)c;
    (void)v;
    return true;
}

static bool is_key(const struct target_column *c, const struct pgo_value *v)
{
    (void)v;
    return c->is_key;
}

static bool is_key_or_changed(const struct target_column *c, const struct pgo_value *v)
{
    return c->is_key || v->kind != 'u';
}

/* "ROWS FROM (unnest($1::integer[]), …) AS x (c0, …)", and the arrays. */
static void add_rows(struct set_sql *s, const struct target *t, const struct picked *p, size_t n,
                     const struct net *const *rows, bool are_keys)
{
    buf_puts(&s->sql, "ROWS FROM (");
    for (size_t i = 0; i < p->n; i++) {
        const struct target_column *c = &t->columns[p->columns[i]];
        set_sql_add_array(s, t, p->columns[i], are_keys, n, rows);
        buf_printf(&s->sql, "%spg_catalog.unnest($%zu::%s)", i ? ", " : "", s->n,
                   c->array ? c->array : "pg_catalog.text[]");
    }
    buf_puts(&s->sql, ") AS x (");
    for (size_t i = 0; i < p->n; i++)
        buf_printf(&s->sql, "%sc%zu", i ? ", " : "", p->columns[i]);
    buf_puts(&s->sql, ")");
}

static void add_where(struct set_sql *s, const struct target *t)
{
    for (size_t i = 0; i < t->n_keys; i++) {
        size_t column = (size_t)t->keys[i];
        buf_puts(&s->sql, i ? " AND t." : " WHERE t.");
        pg_quote_ident(&s->sql, t->columns[column].name);
        buf_puts(&s->sql, " = ");
        add_value(&s->sql, &t->columns[column], column);
    }
}

void set_sql_insert(struct set_sql *s, const struct target *t, size_t n,
                    const struct net *const *rows)
{
    struct picked *p = pick(t, is_any, NULL);
    set_sql_start(s);
    buf_printf(&s->sql, "INSERT INTO %s (", t->dest);
    for (size_t i = 0; i < p->n; i++) {
        buf_puts(&s->sql, i ? ", " : "");
        pg_quote_ident(&s->sql, t->columns[p->columns[i]].name);
    }
    buf_puts(&s->sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    for (size_t i = 0; i < p->n; i++) {
        buf_puts(&s->sql, i ? ", " : "");
        add_value(&s->sql, &t->columns[p->columns[i]], p->columns[i]);
    }
    buf_puts(&s->sql, " FROM ");
    add_rows(s, t, p, n, rows, false);
    free(p);
}

void set_sql_update(struct set_sql *s, const struct target *t, size_t n,
                    const struct net *const *rows)
{
    struct picked *p = pick(t, is_key_or_changed, rows[0]->values);
    size_t n_written = 0;
    set_sql_start(s);
    buf_printf(&s->sql, "UPDATE %s%s t SET ", only(t), t->dest);
    for (size_t i = 0; i < p->n; i++) {
        const struct target_column *c = &t->columns[p->columns[i]];
        if (c->is_key)
            continue;
        buf_puts(&s->sql, n_written++ ? ", " : "");
        pg_quote_ident(&s->sql, c->name);
        buf_puts(&s->sql, " = ");
        add_value(&s->sql, c, p->columns[i]);
    }
    buf_puts(&s->sql, " FROM ");
    add_rows(s, t, p, n, rows, false);
    add_where(s, t);
    free(p);
}

void set_sql_delete(struct set_sql *s, const struct target *t, size_t n,
                    const struct net *const *rows)
{
    set_sql_start(s);
    buf_printf(&s->sql, "DELETE FROM %s%s t", only(t), t->dest);
    if (t->n_keys == 1 && t->columns[t->keys[0]].array) {
        const struct target_column *c = &t->columns[t->keys[0]];
        set_sql_add_array(s, t, (size_t)t->keys[0], true, n, rows);
        buf_puts(&s->sql, " WHERE t.");
        pg_quote_ident(&s->sql, c->name);
        buf_printf(&s->sql, " = ANY ($1::%s)", c->array);
        return;
    }
    struct picked *p = pick(t, is_key, NULL);
    buf_puts(&s->sql, " USING ");
    add_rows(s, t, p, n, rows, true);
    add_where(s, t);
    free(p);
}
