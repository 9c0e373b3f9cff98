/* The statements of an exchange of rows; see swap_rows.c. */
#include "copy/swap_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "copy/job.h"

/* --- all rows -------------------------------------------------------------------------------- */

/* The primary key names a row when all of it is copied. */
bool swap_has_key(const struct swap *s, size_t i)
{
    const struct schema_table *t = swap_table(s, i);
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

char *swap_delete_all_sql(const struct swap *s, size_t i)
{
    const struct shadow *w = &s->shadows[i];
    struct buf b = {0};
    buf_printf(&b, "DELETE FROM %s l", w->live_sql);
    if (swap_has_key(s, i)) {
        buf_printf(&b, " WHERE NOT EXISTS (SELECT FROM %s s", w->sql);
        put_same_key(&w->live, " WHERE l.", &b);
        buf_puts(&b, " AND ");
        put_record(swap_table(s, i), "l", &b);
        buf_puts(&b, " OPERATOR(pg_catalog.*=) ");
        put_record(swap_table(s, i), "s", &b);
        buf_putc(&b, ')');
    }
    return buf_take(&b);
}

/* What INSERT names, and what it brings: a partitioned table passes its rows on. */
static void put_insert(const struct swap *s, size_t i, struct buf *b)
{
    const struct shadow *w = &s->shadows[i];
    const struct schema_table *t = swap_table(s, i);
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

char *swap_insert_all_sql(const struct swap *s, size_t i)
{
    const struct shadow *w = &s->shadows[i];
    struct buf b = {0};
    put_insert(s, i, &b);
    if (swap_has_key(s, i)) {
        buf_printf(&b, " WHERE NOT EXISTS (SELECT FROM %s l", w->live_sql);
        put_same_key(&w->live, " WHERE l.", &b);
        buf_putc(&b, ')');
    }
    return buf_take(&b);
}

/* --- the rows that differ ----------------------------------------------------------------------
 */

/* Where both have a key, a live row and one of the shadow with the same key are a pair. */
static void put_pairs_by_key(const struct swap *s, size_t i, struct buf *b)
{
    const struct shadow *w = &s->shadows[i];
    for (size_t k = 0; k < w->live.n_key; k++) {
        buf_puts(b, "coalesce(l.");
        pg_quote_ident(b, w->live.key[k]);
        buf_puts(b, ", s.");
        pg_quote_ident(b, w->live.key[k]);
        buf_printf(b, ") AS k%zu, ", k);
    }
    buf_printf(b, "l.ctid AS l, s.ctid AS s FROM %s l FULL JOIN %s s", w->live_sql, w->sql);
    put_same_key(&w->live, " ON l.", b);
    buf_puts(b, " WHERE (");
    put_record(swap_table(s, i), "l", b);
    buf_puts(b, " OPERATOR(pg_catalog.*=) ");
    put_record(swap_table(s, i), "s", b);
    buf_puts(b, ") IS NOT TRUE");
}

/* Of rows that are the same there may be several: the first of here has the first of there. */
static void put_numbered(const struct swap *s, size_t i, const char *from, struct buf *b)
{
    buf_puts(b, "(SELECT c, t, h, g, row_number() OVER (PARTITION BY h, g) AS n FROM (SELECT c, t, "
                "md5(i)::uuid AS h, hashtextextended(i, 0) AS g FROM (SELECT x.ctid AS c, "
                "x.tableoid AS t, ");
    put_record(swap_table(s, i), "x", b);
    buf_printf(b, "::text COLLATE \"C\" AS i FROM %s x OFFSET 0) AS a) AS b)", from);
}

/* Without a key: by their text. */
static void put_pairs_by_text(const struct swap *s, size_t i, struct buf *b)
{
    const struct shadow *w = &s->shadows[i];
    buf_puts(b, "l.c AS l, l.t AS t, l.h AS h, s.c AS s FROM ");
    put_numbered(s, i, w->live_sql, b);
    buf_puts(b, " AS l FULL JOIN ");
    put_numbered(s, i, w->sql, b);
    buf_puts(b, " AS s ON l.h = s.h AND l.g = s.g AND l.n = s.n WHERE l.h IS NULL OR s.h IS NULL");
}

/* r numbers what only one side has, what only the other one has, and what both have, each on its
 * own: every slice of it brings the number of rows nearer to the new one, or leaves it. */
char *swap_find_sql(const struct swap *s, size_t i)
{
    const struct shadow *w = &s->shadows[i];
    struct buf b = {0};
    buf_printf(&b,
               "CREATE UNLOGGED TABLE %s WITH (autovacuum_enabled = false) AS SELECT *, "
               "row_number() OVER (PARTITION BY l IS NULL, s IS NULL ORDER BY l, s) AS r FROM "
               "(SELECT ",
               w->differing);
    if (w->is_by_key)
        put_pairs_by_key(s, i, &b);
    else
        put_pairs_by_text(s, i, &b);
    buf_puts(&b, ") AS x");
    return buf_take(&b);
}

static void put_slice(const struct slice *slice, struct buf *b)
{
    if (slice)
        buf_printf(b, " AND d.r > %lld AND d.r <= %lld", (long long)slice->after,
                   (long long)slice->last);
}

char *swap_count_found_sql(const struct swap *s, const struct slice *slice)
{
    struct buf b = {0};
    buf_printf(&b, "SELECT count(d.l), count(d.s) FROM %s d WHERE true",
               s->shadows[slice->table].differing);
    put_slice(slice, &b);
    return buf_take(&b);
}

char *swap_delete_found_sql(const struct swap *s, size_t i, const struct slice *slice)
{
    const struct shadow *w = &s->shadows[i];
    struct buf b = {0};
    buf_printf(&b, "DELETE FROM %s l USING %s d", w->live_sql, w->differing);
    for (size_t k = 0; w->is_by_key && k < w->live.n_key; k++) {
        buf_puts(&b, k ? " AND l." : " WHERE l.");
        pg_quote_ident(&b, w->live.key[k]);
        buf_printf(&b, " %s d.k%zu", equals_of(&w->live, w->live.key[k]), k);
    }
    if (!w->is_by_key) { /* somebody may have changed it, and the place may be another row's now */
        buf_puts(&b, " WHERE l.ctid = d.l AND l.tableoid = d.t AND md5(");
        put_record(swap_table(s, i), "l", &b);
        buf_puts(&b, "::text)::uuid = d.h");
    }
    put_slice(slice, &b);
    return buf_take(&b);
}

char *swap_insert_found_sql(const struct swap *s, size_t i, const struct slice *slice)
{
    struct buf b = {0};
    put_insert(s, i, &b);
    buf_printf(&b, " JOIN %s d ON d.s = s.ctid", s->shadows[i].differing);
    put_slice(slice, &b);
    return buf_take(&b);
}

char *swap_drop_sql(const struct exchange *x)
{
    const struct swap *s = x->swap;
    const char *before = "DROP TABLE IF EXISTS ";
    struct buf b = {0};
    for (size_t i = 0; i < s->plan.tables->n_tables; i++) {
        if (!swap_is_part(x, i))
            continue;
        buf_printf(&b, "%s%s", before, s->shadows[i].sql);
        before = ", ";
        if (s->shadows[i].differing)
            buf_printf(&b, ", %s", s->shadows[i].differing);
    }
    return buf_take(&b);
}
