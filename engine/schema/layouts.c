/* Attributes of composites and of tables whose rows are values of columns. Such a value comes as
 * the text of all attributes in their order, and none says which is which: where the destination
 * has them in another order, or others, values would land in the wrong ones without a word. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

/* --- the source --------------------------------------------------------------------------------
 */

/* $1: mapped tables, without the columns $2 $3. */
#define USED_SQL                                                                             \
    "WITH RECURSIVE use(tab, col, oid) AS ("                                                 \
    " SELECT a.attrelid, a.attname, a.atttypid FROM unnest($1::oid[]) t(oid)"                \
    "  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped"    \
    "  AND a.attgenerated = '' AND a.atttypid >= 16384 WHERE NOT EXISTS (SELECT FROM"        \
    "   unnest($2::oid[], $3::int2[]) x(oid, num) WHERE x.oid = t.oid AND x.num = a.attnum)" \
    " UNION SELECT use.tab, use.col, p.oid FROM use JOIN pg_type ty ON ty.oid = use.oid"     \
    "  CROSS JOIN LATERAL (" TYPE_PARTS ") p(oid) WHERE p.oid >= 16384),"                    \
    " made(oid) AS (SELECT DISTINCT ty.oid FROM use JOIN pg_type ty ON ty.oid = use.oid"     \
    "  AND ty.typtype = 'c' AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.deptype = 'e'"   \
    "   AND e.classid = 'pg_type'::regclass AND e.objid = ty.oid))"

static const char attributes_sql[] =
    USED_SQL " SELECT ty.oid, n.nspname, ty.typname, k.oid, k.relkind <> 'c', a.attnum, a.attname,"
             " format_type(a.atttypid, a.atttypmod) FROM made JOIN pg_type ty ON ty.oid = made.oid"
             " JOIN pg_namespace n ON n.oid = ty.typnamespace JOIN pg_class k ON k.oid ="
             " ty.typrelid LEFT JOIN pg_attribute a ON a.attrelid = k.oid AND a.attnum > 0"
             " AND NOT a.attisdropped ORDER BY 1, 6";
static const char users_sql[] =
    USED_SQL " SELECT made.oid, use.tab, use.col FROM made JOIN use ON use.oid = made.oid"
             " ORDER BY 1, 2, 3";

static void add_attribute(struct schema_layout *l, int number, const char *name, const char *type)
{
    struct schema_attribute a = {
        .number = number, .name = mem_strdup(name), .type = mem_strdup(type)};
    MEM_PUSH(l->attributes, l->n, l->cap, a);
}

static void take_attributes(struct schema *s, const struct pg_result *res)
{
    size_t cap = 0;
    for (size_t row = 0; row < pg_rows(res); row++) {
        uint32_t type = (uint32_t)pg_int(res, row, 0);
        if (!s->n_layouts || s->layouts[s->n_layouts - 1].type != type) {
            struct schema_layout new = {.type = type,
                                        .schema = read_text(res, row, 1),
                                        .name = read_text(res, row, 2),
                                        .relation = (uint32_t)pg_int(res, row, 3),
                                        .is_table = pg_bool(res, row, 4)};
            MEM_PUSH(s->layouts, s->n_layouts, cap, new);
        }
        if (!pg_is_null(res, row, 5))
            add_attribute(&s->layouts[s->n_layouts - 1], (int)pg_int(res, row, 5),
                          pg_text(res, row, 6), pg_text(res, row, 7));
    }
}

/* Partitions have what their table has. */
static void take_users(struct reader *r, const struct pg_result *res)
{
    struct schema *s = r->s;
    size_t k = 0;
    for (size_t row = 0; row < pg_rows(res); row++) {
        int i = read_find_oid(r, (uint32_t)pg_int(res, row, 1));
        while (k < s->n_layouts && s->layouts[k].type != (uint32_t)pg_int(res, row, 0))
            k++;
        if (i < 0 || k == s->n_layouts || r->tables[i].parent)
            continue;
        struct schema_layout *l = &s->layouts[k];
        struct schema_layout_user u = {.table = i, .column = read_text(res, row, 2)};
        MEM_PUSH(l->users, l->n_users, l->users_cap, u);
    }
}

bool read_layouts(struct reader *r, struct err *err)
{
    const char *values[] = {r->oids, r->excluded_oids, r->excluded_nums};
    struct pg_result *res = NULL;
    if (!read_query(r, attributes_sql, COUNT_OF(values), values, &res, err))
        return false;
    take_attributes(r->s, res);
    pg_free(res);
    if (!r->s->n_layouts)
        return true;
    if (!read_query(r, users_sql, COUNT_OF(values), values, &res, err))
        return false;
    take_users(r, res);
    pg_free(res);
    return true;
}

static void layout_free(struct schema_layout *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->attributes[i].name);
        free(l->attributes[i].type);
    }
    for (size_t i = 0; i < l->n_users; i++)
        free(l->users[i].column);
    free(l->attributes);
    free(l->users);
    free(l->schema);
    free(l->name);
}

void layouts_free(struct schema *s)
{
    for (size_t i = 0; i < s->n_layouts; i++)
        layout_free(&s->layouts[i]);
    free(s->layouts);
}

/* --- the destination ---------------------------------------------------------------------------
 */

static const char there_sql[] =
    "SELECT u.ord - 1, a.attname, format_type(a.atttypid, a.atttypmod) FROM"
    " unnest($1::text[], $2::text[]) WITH ORDINALITY u(s, t, ord)"
    " JOIN pg_namespace n ON n.nspname = u.s JOIN pg_class k ON k.relnamespace = n.oid"
    "  AND k.relname = u.t AND k.reltype <> 0 LEFT JOIN pg_attribute a ON a.attrelid = k.oid"
    "  AND a.attnum > 0 AND NOT a.attisdropped ORDER BY u.ord, a.attnum";

static bool ask_there(struct pg_conn *dest, struct task *task, const struct schema *s,
                      struct pg_result **out, struct err *err)
{
    size_t n = s->n_layouts;
    struct buf arrays[2] = {{0}};
    const char **cells = mem_calloc(2 * n + 1, sizeof *cells);
    for (size_t i = 0; i < n; i++) {
        cells[i] = s->layouts[i].schema;
        cells[n + i] = s->layouts[i].name;
    }
    pg_quote_array(&arrays[0], n, cells);
    pg_quote_array(&arrays[1], n, cells + n);
    const char *values[] = {buf_text(&arrays[0]), buf_text(&arrays[1])};
    bool ok = pg_exec_params(dest, task, SCHEMA_QUERY_MS, there_sql, 2, values, out, err);
    buf_free(&arrays[0]);
    buf_free(&arrays[1]);
    free(cells);
    return ok || err_context(err, "read what rows in columns are made of");
}

/* --- both --------------------------------------------------------------------------------------
 */

/* By its name, or by the one that it had when both sides were the same last. */
static bool is_same(const struct schema_layout *src, size_t k, const struct schema_attribute *dst,
                    const struct book *book)
{
    const struct schema_attribute *a = &src->attributes[k];
    enum book_kind kind = src->is_table ? BOOK_COLUMN : BOOK_ATTRIBUTE;
    uint32_t oid = src->is_table ? src->relation : src->type;
    return (strcmp(a->name, dst->name) == 0 || book_find(book, oid, kind, a->number, dst->name)) &&
           (strcmp(a->type, dst->type) == 0 || type_widens(a->type, dst->type));
}

static size_t common(const struct schema_layout *src, const struct schema_layout *dst,
                     const struct book *book)
{
    size_t k = 0;
    while (k < src->n && k < dst->n && is_same(src, k, &dst->attributes[k], book))
        k++;
    return k;
}

static const struct schema_attribute *find(const struct schema_layout *l, const char *name)
{
    for (size_t k = 0; k < l->n; k++)
        if (strcmp(l->attributes[k].name, name) == 0)
            return &l->attributes[k];
    return NULL;
}

/* What only the destination has is in the way, and all else comes in the source's order. */
static bool put_drops(struct buf *out, const struct schema_layout *src,
                      const struct schema_layout *dst, const struct book *book)
{
    struct schema_layout left = {0};
    struct buf sql = {0};
    size_t cap = 0;
    for (size_t k = 0; k < dst->n; k++) {
        const struct schema_attribute *a = &dst->attributes[k];
        bool is_renamed = k < src->n && is_same(src, k, a, book);
        if (find(src, a->name) || is_renamed) {
            MEM_PUSH(left.attributes, left.n, cap, *a);
            continue;
        }
        buf_puts(&sql, sql.len ? ", DROP " : "DROP ");
        buf_puts(&sql, src->is_table ? "COLUMN " : "ATTRIBUTE ");
        pg_quote_ident(&sql, a->name);
    }
    bool helps = sql.len && common(src, &left, book) == left.n;
    if (helps) {
        buf_puts(out, src->is_table ? "ALTER TABLE " : "ALTER TYPE ");
        pg_quote_qualified(out, src->schema, src->name);
        buf_printf(out, " %s", buf_text(&sql));
    }
    buf_free(&sql);
    free(left.attributes);
    return helps;
}

static void put_names(struct buf *b, const struct schema_layout *l, size_t from)
{
    buf_puts(b, from ? "…" : "");
    for (size_t k = from; k < l->n && k < from + 5; k++)
        buf_printf(b, "%s%s %s", k ? ", " : "", l->attributes[k].name, l->attributes[k].type);
    buf_puts(b, from + 5 < l->n ? ", …" : "");
}

/* "holds rows of … : (a int, b int) at the source, (b int, a int) at the destination; run: …" */
static char *say(const struct schema_layout *src, const struct schema_layout *dst,
                 const struct book *book, size_t k)
{
    struct buf b = {0}, drops = {0};
    buf_printf(&b, "%s %s.%s, whose values go by the order of their parts: (",
               src->is_table ? "rows of" : "values of", src->schema, src->name);
    put_names(&b, src, k);
    buf_puts(&b, ") at the source, (");
    put_names(&b, dst, k);
    buf_puts(&b, ") at the destination");
    if (k == dst->n)
        buf_puts(&b, ". What it lacks has to be added there first: sync-schema does");
    else if (put_drops(&drops, src, dst, book))
        buf_printf(&b, ". What the source does not have is in the way: %s", buf_text(&drops));
    else
        buf_printf(&b, ". %s.%s has to be made as it is at the source", src->schema, src->name);
    buf_free(&drops);
    return buf_take(&b);
}

static bool is_of_book(const struct schema_layout *src, const struct book *book)
{
    return src->is_table ? book_find(book, src->relation, BOOK_COLUMN, -1, NULL) != NULL
                         : book_find(book, src->type, BOOK_ATTRIBUTE, -1, NULL) != NULL;
}

static void add_gaps(const struct schema_layout *src, const struct schema_layout *dst,
                     const struct book *book, struct layout_gaps *out)
{
    size_t k = common(src, dst, book);
    if (k == src->n && k == dst->n)
        return;
    bool is_known = is_of_book(src, book);
    char *why = say(src, dst, book, k);
    for (size_t u = 0; u < src->n_users; u++) {
        struct layout_gap g = {.table = src->users[u].table,
                               .column = src->users[u].column,
                               .is_table = src->is_table,
                               .is_shorter = k == dst->n,
                               .is_known = is_known,
                               .why = mem_strdup(why)};
        MEM_PUSH(out->items, out->n, out->cap, g);
    }
    free(why);
}

void layout_gaps_free(struct layout_gaps *g)
{
    for (size_t i = 0; i < g->n; i++)
        free(g->items[i].why);
    free(g->items);
    *g = (struct layout_gaps){0};
}

bool layouts_look(struct pg_conn *dest, struct task *task, const struct schema *s,
                  const struct book *book, struct layout_gaps *out, struct err *err)
{
    static const struct book none;
    struct pg_result *res = NULL;
    *out = (struct layout_gaps){0};
    if (!s->n_layouts)
        return true;
    if (!ask_there(dest, task, s, &res, err))
        return false;
    for (size_t row = 0; row < pg_rows(res);) {
        int64_t at = pg_int(res, row, 0);
        struct schema_layout there = {0};
        for (; row < pg_rows(res) && pg_int(res, row, 0) == at; row++)
            if (!pg_is_null(res, row, 1))
                add_attribute(&there, 0, pg_text(res, row, 1), pg_text(res, row, 2));
        add_gaps(&s->layouts[at], &there, book ? book : &none, out);
        layout_free(&there);
    }
    pg_free(res);
    return true;
}

bool schema_look_at_layouts(struct pg_conn *dest, struct task *task, const char *mirror_id,
                            const struct schema *s, struct layout_gaps *out, struct err *err)
{
    struct book book = {0};
    if (!layouts_look(dest, task, s, NULL, out, err))
        return false;
    if (!out->n)
        return true;
    layout_gaps_free(out); /* mostly there is none, and the book is long */
    bool ok = book_read(dest, task, mirror_id, &book, err) &&
              layouts_look(dest, task, s, &book, out, err);
    book_free(&book);
    return ok;
}

bool compare_layouts(struct pg_conn *dest, struct task *task, const struct schema *s,
                     struct present *p, struct err *err)
{
    struct layout_gaps gaps;
    if (!layouts_look(dest, task, s, p->known, &gaps, err))
        return false;
    for (size_t i = 0; i < gaps.n; i++) {
        if (gaps.items[i].is_shorter && gaps.items[i].is_known)
            continue;
        const struct schema_table *t = &s->tables[gaps.items[i].table];
        present_add(p, t->dest_schema, t->dest_name,
                    mem_printf("column %s of %s.%s holds %s", gaps.items[i].column, t->dest_schema,
                               t->dest_name, gaps.items[i].why));
    }
    layout_gaps_free(&gaps);
    return true;
}

/* --- columns that are added --------------------------------------------------------------------
 */

bool schema_is_in_columns(const struct schema *s, int table)
{
    for (size_t i = 0; i < s->n_layouts; i++)
        if (s->layouts[i].relation == s->tables[table].oid && s->layouts[i].n_users)
            return true;
    return false;
}

void schema_without_default(struct buf *sql, const char *domain)
{
    struct buf body = {0};
    buf_puts(&body, "DECLARE x text := (SELECT pg_catalog.pg_get_expr(typdefaultbin, 0) FROM"
                    " pg_catalog.pg_type WHERE oid = pg_catalog.to_regtype(");
    pg_quote_literal(&body, domain);
    buf_printf(&body,
               ")); BEGIN IF x IS NOT NULL THEN ALTER DOMAIN %s DROP DEFAULT; END IF; %s;"
               " IF x IS NOT NULL THEN EXECUTE ",
               domain, buf_text(sql));
    char *set = mem_printf("ALTER DOMAIN %s SET DEFAULT ", domain);
    pg_quote_literal(&body, set);
    buf_puts(&body, " || x; END IF; END");
    buf_reset(sql);
    buf_puts(sql, "DO ");
    pg_quote_literal(sql, buf_text(&body));
    free(set);
    buf_free(&body);
}
