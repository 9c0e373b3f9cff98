/* The statements of a repair; see repair_sql.h. */
#include "copy/repair_sql.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define WRITE_MS 30000

enum {
    SOURCE,
    DEST,
};

void repair_row_reset(struct repair_row *row)
{
    for (size_t i = 0; row->values && i < row->table->n; i++)
        free(row->values[i]);
    free(row->values);
    row->values = NULL;
    row->bytes = 0;
    row->touched = 0;
    row->is_left = false;
    row->refused[0] = '\0';
}

/* --- tables ------------------------------------------------------------------------------------
 */

static const struct dest_column *find_column(const struct dest_table *d, const char *name)
{
    for (size_t i = 0; i < d->n_columns; i++)
        if (!strcmp(d->columns[i].name, name))
            return &d->columns[i];
    return NULL;
}

static bool does_not_fit(const struct repair_table *t, const char *column, struct err *err)
{
    return err_set(err, ERR_SCHEMA, "repair: column %s of %s.%s is not on both sides", column,
                   t->def->schema, t->def->name);
}

static bool choose_columns(struct repair_table *t, struct err *err)
{
    const struct schema_table *def = t->def;
    size_t others = 0;
    t->columns = mem_calloc(def->n_columns + 1, sizeof *t->columns);
    t->types = mem_calloc(def->n_columns + 1, sizeof *t->types);
    t->n = 0;
    for (size_t i = 0; i < def->n_columns; i++) {
        const struct schema_column *c = &def->columns[i];
        const struct dest_column *d = find_column(&t->sides[DEST], c->name);
        if (c->is_generated || c->is_excluded)
            continue;
        if (!d || d->is_generated || !find_column(&t->sides[SOURCE], c->name))
            return does_not_fit(t, c->name, err);
        t->columns[t->n] = c->name;
        t->types[t->n++] = d;
    }
    for (size_t i = 0; i < t->sides[DEST].n_columns; i++)
        others += !t->sides[DEST].columns[i].is_generated;
    t->has_others = others != t->n;
    return true;
}

/* A column that came since the comparison would be left out. */
static bool check_source(const struct repair_table *t, struct err *err)
{
    const struct dest_table *s = &t->sides[SOURCE];
    if (s->n_columns == t->def->n_columns)
        return true;
    return err_set(err, ERR_SCHEMA, "repair: %s.%s has other columns now", t->def->schema,
                   t->def->name);
}

bool repair_table_open(struct repair_table *t, struct pg_conn *source, struct pg_conn *dest,
                       struct task *task, struct err *err)
{
    const struct schema_table *def = t->def;
    repair_table_close(t);
    t->is_open = true;
    if (!schema_read_dest(source, task, def->schema, def->name, &t->sides[SOURCE], err) ||
        !schema_read_dest(dest, task, def->dest_schema, def->dest_name, &t->sides[DEST], err))
        return false;
    return check_source(t, err) && choose_columns(t, err);
}

void repair_table_close(struct repair_table *t)
{
    if (!t->is_open)
        return;
    for (int s = SOURCE; s <= DEST; s++) {
        dest_table_free(&t->sides[s]);
        t->sides[s] = (struct dest_table){0};
    }
    free((void *)t->columns);
    free((void *)t->types);
    t->columns = NULL;
    t->types = NULL;
    t->is_open = false;
}

/* --- pieces ------------------------------------------------------------------------------------
 */

static void put_value(struct buf *b, const char *value)
{
    if (value)
        pg_quote_literal(b, value);
    else
        buf_puts(b, "NULL");
}

/* A comparison prints "char" as its number. */
static bool is_number_of_char(const struct repair_table *t, const char *column)
{
    for (int s = SOURCE; s <= DEST; s++) {
        const struct dest_column *c = find_column(&t->sides[s], column);
        if (!c || strcmp(c->type, "\"char\"") != 0)
            return false;
    }
    return true;
}

/* Whether the key of row t is the one that was named; a domain over an enum has no = itself. */
static void put_key(struct buf *b, const struct repair_row *row, int side)
{
    const struct verify_table *out = row->table->out;
    for (size_t i = 0; i < out->n_key; i++) {
        const struct dest_column *c = find_column(&row->table->sides[side], out->key[i]);
        const char *colons = c && c->base ? "::" : "", *base = c && c->base ? c->base : "";
        buf_puts(b, i ? " AND t." : "t.");
        pg_quote_ident(b, out->key[i]);
        if (is_number_of_char(row->table, out->key[i])) {
            buf_puts(b, "::int4 = ");
            pg_quote_literal(b, row->named->values[i]);
            buf_puts(b, "::int4");
            continue;
        }
        buf_printf(b, "%s%s %s ", colons, base, c && c->equals ? c->equals : "=");
        pg_quote_literal(b, row->named->values[i]);
        if (c)
            buf_printf(b, "::%s%s%s", c->type, colons, base);
    }
}

static void put_table(struct buf *b, const struct repair_row *row, int side)
{
    const struct schema_table *def = row->table->def;
    if (!row->table->sides[side].is_partitioned)
        buf_puts(b, "ONLY ");
    pg_quote_qualified(b, side == SOURCE ? def->schema : def->dest_schema,
                       side == SOURCE ? def->name : def->dest_name);
}

static void put_columns(struct buf *b, const struct repair_row *row, const char *before)
{
    for (size_t i = 0; i < row->table->n; i++) {
        buf_printf(b, "%s%s", i ? ", " : "", before);
        pg_quote_ident(b, row->table->columns[i]);
    }
}

/* --- reading -----------------------------------------------------------------------------------
 */

char *repair_read_sql(const struct repair_row *rows, size_t n)
{
    struct buf b = {0};
    for (size_t i = 0; i < n; i++) {
        buf_printf(&b, "%sSELECT %zu, ", i ? " UNION ALL " : "", i);
        for (size_t k = 0; k < rows[i].table->n; k++) {
            buf_puts(&b, k ? ", t." : "t.");
            pg_quote_ident(&b, rows[i].table->columns[k]);
        }
        buf_puts(&b, " FROM ");
        put_table(&b, &rows[i], SOURCE);
        buf_puts(&b, " t WHERE ");
        put_key(&b, &rows[i], SOURCE);
    }
    return buf_take(&b);
}

void repair_take_values(struct repair_row *row, const struct pg_result *res, size_t at)
{
    if (row->values)
        return;
    row->values = mem_calloc(row->table->n + 1, sizeof *row->values);
    for (size_t i = 0; i < row->table->n; i++) {
        if (pg_is_null(res, at, i + 1))
            continue;
        row->values[i] = mem_strdup(pg_text(res, at, i + 1));
        row->bytes += strlen(row->values[i]);
    }
}

/* --- writing -----------------------------------------------------------------------------------
 */

/* A literal without a type becomes the column's as it does from a parameter: what is too long is
 * refused, not cut. With a type it is what the column would show. */
static void put_differs(struct buf *b, const struct repair_row *row)
{
    const struct repair_table *t = row->table;
    buf_puts(b, " AND ROW(");
    put_columns(b, row, "t.");
    buf_puts(b, ")::text IS DISTINCT FROM ROW(");
    for (size_t i = 0; i < t->n; i++) {
        buf_puts(b, i ? ", " : "");
        put_value(b, row->values[i]);
        buf_printf(b, "::%s", t->types[i]->type);
    }
    buf_puts(b, ")::text");
}

static char *delete_sql(const struct repair_row *row)
{
    struct buf b = {0};
    buf_puts(&b, "DELETE FROM ");
    put_table(&b, row, DEST);
    buf_puts(&b, " t WHERE ");
    put_key(&b, row, DEST);
    if (row->values)
        put_differs(&b, row);
    return buf_take(&b);
}

static char *update_sql(const struct repair_row *row)
{
    const struct repair_table *t = row->table;
    struct buf b = {0};
    buf_puts(&b, "UPDATE ");
    put_table(&b, row, DEST);
    buf_puts(&b, " t SET ");
    for (size_t i = 0; i < t->n; i++) {
        buf_puts(&b, i ? ", " : "");
        pg_quote_ident(&b, t->columns[i]);
        buf_puts(&b, " = ");
        put_value(&b, row->values[i]);
    }
    buf_puts(&b, " WHERE ");
    put_key(&b, row, DEST);
    put_differs(&b, row);
    return buf_take(&b);
}

static char *insert_sql(const struct repair_row *row)
{
    const struct schema_table *def = row->table->def;
    struct buf b = {0};
    buf_puts(&b, "INSERT INTO ");
    pg_quote_qualified(&b, def->dest_schema, def->dest_name);
    buf_puts(&b, " (");
    put_columns(&b, row, "");
    buf_puts(&b, ") OVERRIDING SYSTEM VALUE SELECT ");
    for (size_t i = 0; i < row->table->n; i++) {
        buf_puts(&b, i ? ", " : "");
        put_value(&b, row->values[i]);
    }
    buf_puts(&b, " WHERE NOT EXISTS (SELECT FROM ");
    put_table(&b, row, DEST);
    buf_puts(&b, " t WHERE ");
    put_key(&b, row, DEST);
    buf_putc(&b, ')');
    return buf_take(&b);
}

bool repair_can_write_anew(const struct repair_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].table->has_others)
            return false;
    return true;
}

/* What is sent, in order, and whose it is; NULL: nobody's. */
struct script {
    struct repair_row **rows;
    size_t n, cap;
    struct pg_conn *conn;
};

static bool send(struct script *s, struct repair_row *row, char *sql, struct err *err)
{
    bool ok = pg_pipe_query(s->conn, sql, 0, NULL, err);
    if (ok)
        MEM_PUSH(s->rows, s->n, s->cap, row);
    free(sql);
    return ok;
}

static bool send_all(struct script *s, struct repair_row *rows, size_t n, enum repair_way way,
                     struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++)
        if (!rows[i].is_left && (!rows[i].values || way == REPAIR_ANEW))
            ok = send(s, &rows[i], delete_sql(&rows[i]), err);
    for (size_t i = 0; ok && i < n; i++)
        if (!rows[i].is_left && rows[i].values && way == REPAIR_IN_PLACE)
            ok = send(s, &rows[i], update_sql(&rows[i]), err);
    for (size_t i = 0; ok && i < n; i++)
        if (!rows[i].is_left && rows[i].values)
            ok = send(s, &rows[i], insert_sql(&rows[i]), err);
    return ok && send(s, NULL, mem_strdup("SET CONSTRAINTS ALL IMMEDIATE"), err) &&
           pg_pipe_sync(s->conn, err);
}

/* Until the end of what was sent; the first error is the one that counts. */
static bool receive(struct script *s, struct task *task, struct err *err)
{
    size_t at = 0;
    bool ok = true;
    for (;;) {
        struct pg_result *res = NULL;
        struct err why = {0};
        switch (pg_pipe_next(s->conn, &res, &why)) {
        case PIPE_NOTHING: {
            int full = pg_flush(s->conn, err);
            if (full < 0 || !pg_wait(s->conn, task, full == 1, WRITE_MS, err) ||
                !pg_consume(s->conn, err))
                return false;
            break;
        }
        case PIPE_RESULT:
            if (at < s->n && s->rows[at])
                s->rows[at]->touched += pg_affected(res);
            at++;
            break;
        case PIPE_ERROR:
            if (ok)
                *err = why;
            ok = false;
            if (why.code == ERR_CONNECT)
                return false;
            break;
        case PIPE_SKIPPED:
            break;
        case PIPE_SYNC:
            return ok;
        }
        pg_free(res);
    }
}

bool repair_write(struct pg_conn *dest, struct task *task, struct repair_row *rows, size_t n,
                  enum repair_way way, struct err *err)
{
    struct script s = {.conn = dest};
    struct err ignored = {0};
    if (!pg_pipe_enter(dest, err))
        return false;
    bool ok = send_all(&s, rows, n, way, err) && receive(&s, task, err);
    free((void *)s.rows);
    if (!pg_pipe_leave(dest, ok ? err : &ignored))
        ok = false;
    return ok;
}
