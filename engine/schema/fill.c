/* What the rows that were there before have in a column that the source added. ALTER TABLE sends
 * no rows through the stream: without a rewrite all of them have NULL, or the one value that the
 * server keeps beside the column's definition (pg_attribute.attmissingval). After a rewrite
 * nothing says it any more, and the rows themselves are asked. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

/* The table with all partitions and children that hold rows. */
static const char tables_sql[] =
    "WITH RECURSIVE tree(oid) AS (SELECT $1::oid UNION SELECT i.inhrelid FROM tree"
    " JOIN pg_inherits i ON i.inhparent = tree.oid)"
    " SELECT c.oid, format('%I.%I', n.nspname, c.relname), c.relfilenode, a.attnum,"
    " a.atthasmissing, array_to_string(a.attmissingval, '') FROM tree"
    " JOIN pg_class c ON c.oid = tree.oid AND c.relkind = 'r'"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 ORDER BY 2";

/* Whether a default always gives the same value. Which functions it calls is only said by the
 * expression tree. */
static const char default_sql[] =
    "SELECT coalesce(bool_and(p.provolatile = 'i'), true)"
    "  AND ad.adbin::text !~ '\\{(SQLVALUEFUNCTION|COERCEVIAIO|XMLEXPR|NEXTVALUEEXPR|PARAM|JSON)'"
    " FROM pg_attrdef ad LEFT JOIN LATERAL"
    "  regexp_matches(ad.adbin::text, ':(?:funcid|opfuncid) (\\d+)', 'g') m ON true"
    " LEFT JOIN pg_proc p ON p.oid = m[1]::oid"
    " WHERE ad.adrelid = $1::oid AND ad.adnum = $2::int2 GROUP BY ad.adbin::text";

static bool ask_default(struct diff *d, int i, const struct schema_column *c, bool *is_constant,
                        struct err *err)
{
    char oid[16], attnum[16];
    const char *values[] = {oid, attnum};
    struct pg_result *res = NULL;
    str_printf(oid, sizeof oid, "%u", d->src.s->tables[i].oid);
    str_printf(attnum, sizeof attnum, "%d", c->attnum);
    if (!read_query(&d->src, default_sql, 2, values, &res, err))
        return false;
    *is_constant = pg_rows(res) && pg_bool(res, 0, 0);
    pg_free(res);
    return true;
}

/* The column's default as the text of a value, NULL when it cannot be had; only asked of constant
 * ones. */
static bool ask_value(struct diff *d, const struct schema_column *c, char **out, struct err *err)
{
    struct buf sql = {0};
    bool known;
    buf_printf(&sql, "SELECT ((%s)::%s)::text", c->default_expr, c->type);
    bool ok = ask_text(d->source, d->task, buf_text(&sql), out, &known, err);
    buf_free(&sql);
    return ok;
}

/* Does any row of the table have something (else than the default) there? */
static bool ask_rows(struct diff *d, const char *table, const struct schema_column *c,
                     const char *not_this, bool *some, bool *known, struct err *err)
{
    struct buf sql = {0}, name = {0};
    pg_quote_ident(&name, c->name);
    buf_printf(&sql, "SELECT EXISTS (SELECT FROM ONLY %s WHERE ", table);
    if (not_this)
        buf_printf(&sql, "NOT (ROW(%s)::record OPERATOR(pg_catalog.*=) ROW((%s)::%s)::record))",
                   buf_text(&name), not_this, c->type);
    else
        buf_printf(&sql, "%s IS DISTINCT FROM NULL)", buf_text(&name));
    bool ok = ask_slowly(d->source, d->task, buf_text(&sql), some, known, err);
    buf_free(&sql);
    buf_free(&name);
    return ok;
}

/* What one table's old rows have: from the catalog where it still says so, else from its rows. */
static bool fill_of_table(struct diff *d, const struct pg_result *res, size_t row,
                          const struct schema_column *c, bool is_constant, struct fill *out,
                          struct err *err)
{
    *out = (struct fill){.kind = FILL_NULL};
    if (pg_bool(res, row, 4)) {
        out->kind = FILL_VALUE;
        out->value = read_text(res, row, 5);
        return true;
    }
    const struct book_part *was =
        book_find(&d->book, (uint32_t)pg_int(res, row, 0), BOOK_TABLE, pg_int(res, row, 2), NULL);
    if (was) /* not rewritten since then, and the column is younger */
        return true;
    bool some, known;
    const char *table = pg_text(res, row, 1);
    if (!ask_rows(d, table, c, NULL, &some, &known, err))
        return false;
    if (known && !some)
        return true;
    out->kind = FILL_UNKNOWN;
    if (!known || !is_constant)
        return true;
    if (!ask_rows(d, table, c, c->default_expr, &some, &known, err))
        return false;
    if (!known || some)
        return true;
    if (!ask_value(d, c, &out->value, err))
        return false;
    if (out->value)
        out->kind = FILL_VALUE;
    return true;
}

static bool is_same(const struct fill *a, const struct fill *b)
{
    return a->kind == b->kind && (a->kind != FILL_VALUE ||
                                  strcmp(a->value ? a->value : "", b->value ? b->value : "") == 0);
}

/* A constant default that gives the very value needs no other one beside it. */
static bool check_default(struct diff *d, const struct schema_column *c, bool is_constant,
                          struct fill *out, struct err *err)
{
    char *value = NULL;
    if (out->kind != FILL_VALUE || !is_constant)
        return true;
    bool ok = ask_value(d, c, &value, err);
    out->is_default = ok && value && out->value && strcmp(value, out->value) == 0;
    free(value);
    return ok;
}

bool diff_fill(struct diff *d, int i, const struct schema_column *c, struct fill *out,
               struct err *err)
{
    char oid[16];
    const char *values[] = {oid, c->name};
    struct pg_result *res = NULL;
    bool is_constant;
    *out = (struct fill){.kind = FILL_NULL};
    str_printf(oid, sizeof oid, "%u", d->src.s->tables[i].oid);
    if (!ask_default(d, i, c, &is_constant, err) ||
        !read_query(&d->src, tables_sql, 2, values, &res, err))
        return false;
    bool ok = true, is_first = true;
    for (size_t row = 0; ok && row < pg_rows(res) && out->kind != FILL_UNKNOWN; row++) {
        struct fill one;
        int of = read_find_oid(&d->src, (uint32_t)pg_int(res, row, 0));
        if (of < 0 || d->pairs[of].dest < 0) /* not mirrored, or copied as a whole */
            continue;
        ok = fill_of_table(d, res, row, c, is_constant, &one, err);
        if (is_first) {
            *out = one;
            is_first = false;
            continue;
        }
        if (ok && !is_same(out, &one))
            out->kind = FILL_UNKNOWN;
        free(one.value);
    }
    pg_free(res);
    return ok && check_default(d, c, is_constant, out, err);
}
