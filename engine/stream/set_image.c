/* Many rows that nothing but all their values tells apart are deleted, or get new values, by one
 * statement that reads the table once; see set_sql.h. A row is looked for one by one by its image,
 * or else by its text (target.c). Equal images have equal texts, and what the stream tells of a row
 * is a text: rows of one text are as good as each other. They are numbered here, those that are
 * looked for and those that are there, and what has the same text and number belongs together. */
#include "stream/set_sql.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pg/pg.h"

/* Columns that say which rows are worth to be turned into text. Each more is less sure to be
 * planned well: that they depend on each other the server does not know. */
#define MAX_LOOKED_AT 3

struct image {
    struct set_sql *s;
    const struct target *t;
    size_t n;
    const struct net *const *rows;
    bool *is_written; /* a column each: it gets another value in one of the rows */
    size_t n_looked_at;
    size_t looked_at[MAX_LOOKED_AT]; /* columns that have a value in all rows */
};

static bool is_same(const struct pgo_value *a, const struct pgo_value *b)
{
    return !a->data == !b->data && a->len == b->len &&
           (a->data == b->data || !memcmp(a->data, b->data, a->len));
}

/* A column that no change gives another value is left alone. There has to be one. */
static void choose_written(struct image *m)
{
    bool writes = false;
    for (size_t k = 0; k < m->t->n_keys; k++) {
        size_t column = (size_t)m->t->keys[k];
        for (size_t i = 0; i < m->n && !m->is_written[column]; i++)
            m->is_written[column] = !is_same(&m->rows[i]->key[column], &m->rows[i]->values[column]);
        writes |= m->is_written[column];
    }
    m->is_written[m->t->keys[0]] |= !writes;
}

static void choose_looked_at(struct image *m)
{
    for (size_t k = 0; k < m->t->n_narrow && m->n_looked_at < MAX_LOOKED_AT; k++) {
        size_t column = (size_t)m->t->narrow[k], i = 0;
        while (i < m->n && m->rows[i]->key[column].data)
            i++;
        if (i == m->n)
            m->looked_at[m->n_looked_at++] = column;
    }
}

/* --- SQL ------------------------------------------------------------------------------------- */

static const char *only(const struct target *t)
{
    return t->is_partitioned ? "" : "ONLY ";
}

/* The rows' parameters, as functions of a FROM, and the names of their columns. */
static void add_params(struct image *m, struct buf *names, bool are_keys)
{
    struct buf *b = &m->s->sql;
    for (size_t k = 0; k < m->t->n_keys; k++) {
        size_t column = (size_t)m->t->keys[k];
        const struct target_column *c = &m->t->columns[column];
        if (!are_keys && !m->is_written[column])
            continue;
        set_sql_add_array(m->s, m->t, column, are_keys, m->n, m->rows);
        buf_printf(b, "%spg_catalog.unnest($%zu::%s)", m->s->n > 1 ? ", " : "", m->s->n,
                   c->array ? c->array : "pg_catalog.text[]");
        buf_printf(names, "%s%c%zu", m->s->n > 1 ? ", " : "", are_keys ? 'c' : 'n', column);
    }
}

/* All columns of a row as one text, in an order that costs little. */
static void add_text(struct image *m, bool is_wanted)
{
    struct buf *b = &m->s->sql;
    for (size_t k = 0; k < m->t->n_keys; k++) {
        const struct target_column *c = &m->t->columns[m->t->keys[k]];
        buf_puts(b, k ? ", " : "ROW(");
        if (is_wanted) {
            buf_printf(b, "v.c%d::%s", m->t->keys[k], c->type);
        } else {
            buf_puts(b, "t.");
            pg_quote_ident(b, c->name);
        }
    }
    buf_puts(b, ")::pg_catalog.text COLLATE pg_catalog.\"C\" AS r");
}

/* x: the rows that are wanted, numbered among those of the same text. */
static void add_wanted(struct image *m, bool is_update)
{
    struct buf names = {0}, *b = &m->s->sql;
    buf_puts(b, "WITH x AS MATERIALIZED (SELECT w.*, pg_catalog.row_number() OVER (PARTITION BY "
                "w.r) AS k FROM (SELECT v.*, ");
    add_text(m, true);
    buf_puts(b, " FROM ROWS FROM (");
    add_params(m, &names, true);
    if (is_update)
        add_params(m, &names, false);
    buf_printf(b, ") AS v (%s) OFFSET 0) w)", buf_text(&names));
    buf_free(&names);
}

static void add_comparable(struct buf *b, const struct target_column *c)
{
    buf_printf(b, "%s%s", c->base ? "::" : "", c->base ? c->base : "");
}

/* Only rows that are like a wanted one in some columns are turned into text: that reads no value
 * that lies outside the row of the others, and the server may use an index. */
static void add_like(struct image *m)
{
    struct buf *b = &m->s->sql;
    for (size_t i = 0; i < m->n_looked_at; i++) {
        const struct target_column *c = &m->t->columns[m->looked_at[i]];
        buf_puts(b, i ? " AND t." : " WHERE EXISTS (SELECT FROM x WHERE t.");
        pg_quote_ident(b, c->name);
        add_comparable(b, c);
        buf_printf(b, " %s x.c%zu::%s", c->equals, m->looked_at[i], c->type);
        add_comparable(b, c);
    }
    buf_puts(b, m->n_looked_at ? ")" : "");
}

/* h: the rows that are there and have a wanted text, numbered. OFFSET 0 keeps the server from
 * turning rows into text before it knows which. */
static void add_there(struct image *m)
{
    struct buf *b = &m->s->sql;
    buf_puts(b, ", h AS MATERIALIZED (SELECT s.*, pg_catalog.row_number() OVER (PARTITION BY s.r) "
                "AS k FROM (SELECT t.ctid AS c, t.tableoid AS o, ");
    add_text(m, false);
    buf_printf(b, " FROM %s%s t", only(m->t), m->t->dest);
    add_like(m);
    buf_puts(b, " OFFSET 0) s WHERE s.r IN (SELECT x.r FROM x)) ");
}

static void add_operation(struct image *m, bool is_update)
{
    struct buf *b = &m->s->sql;
    const char *glue = " SET ";
    buf_printf(b, "%s %s%s t", is_update ? "UPDATE" : "DELETE FROM", only(m->t), m->t->dest);
    for (size_t i = 0; is_update && i < m->t->n_columns; i++) {
        const struct target_column *c = &m->t->columns[i];
        if (!m->is_written[i])
            continue;
        buf_puts(b, glue);
        pg_quote_ident(b, c->name);
        buf_printf(b, " = x.n%zu%s%s", i, c->array ? "" : "::", c->array ? "" : c->plain);
        glue = ", ";
    }
    buf_printf(b, " %s h, x WHERE h.r = x.r AND h.k = x.k AND t.ctid = h.c AND t.tableoid = h.o",
               is_update ? "FROM" : "USING");
}

void set_image(struct set_sql *s, const struct target *t, bool is_update, size_t n,
               const struct net *const *rows)
{
    struct image m = {.s = s, .t = t, .n = n, .rows = rows};
    m.is_written = mem_calloc(t->n_columns + 1, sizeof *m.is_written);
    set_sql_start(s);
    choose_looked_at(&m);
    if (is_update)
        choose_written(&m);
    add_wanted(&m, is_update);
    add_there(&m);
    add_operation(&m, is_update);
    free(m.is_written);
}
