/* Which tables and columns of the destination a mirror's are; see places.h. A table's row has the
 * number 0 and says "OID file OID-of-the-book"; a column's has its number at the source and says
 * the destination's. Compared as texts: in which order conditions are tried is the server's choice,
 * and other rows of the book say other things. */
#include "schema/places.h"

#include <stdlib.h>

#include "base/mem.h"
#include "schema/diff_private.h"

#define BOOK "_bunnydb.table_parts"

/* $1 mirror, $2 … $4 tables: OID, schema and name there; $5, $6 columns that are not mirrored. was:
 * of the places of tables, those that are of this database. */
#define PLACES                                                                                   \
    "WITH u AS (SELECT * FROM unnest($2::oid[], $3::text[], $4::text[]) u(src, s, t)),"          \
    " ex AS (SELECT * FROM unnest($5::oid[], $6::int2[]) x(src, num)),"                          \
    " c AS (SELECT u.src, u.s, u.t, k.oid, k.relfilenode, k.relkind FROM u JOIN pg_namespace n"  \
    "  ON n.nspname = u.s JOIN pg_class k ON k.relnamespace = n.oid AND k.relname = u.t"         \
    "  AND k.relkind IN ('r', 'p')),"                                                            \
    " was AS (SELECT u.src, split_part(p.detail, ' ', 1) AS oid,"                                \
    "  split_part(p.detail, ' ', 2) AS relfilenode FROM u JOIN " BOOK " p"                       \
    "  ON p.source_oid = u.src::int8 AND p.mirror_id = $1 AND p.kind = 'd' AND p.number = 0"     \
    "  AND split_part(p.detail, ' ', 3) = '" BOOK "'::regclass::oid::text)," /* A partition that \
                       is called otherwise now has its old name there until that is followed. */ \
    " free AS (SELECT c.* FROM c WHERE NOT EXISTS (SELECT FROM was WHERE was.oid = c.oid::text"  \
    "  AND was.src <> c.src))"

static const char look_sql[] = PLACES
    " SELECT c.src, CASE WHEN was.oid <> c.oid::text THEN 't' WHEN k.name IS NOT NULL THEN 'c'"
    "  ELSE 'e' END, k.name FROM free c JOIN was ON was.src = c.src"
    " LEFT JOIN LATERAL (SELECT s.name FROM " BOOK " s JOIN " BOOK " d"
    "  ON d.mirror_id = s.mirror_id AND d.source_oid = s.source_oid AND d.kind = 'd'"
    "  AND d.number = s.number JOIN pg_attribute a ON a.attrelid = c.oid"
    "  AND a.attname = s.name AND NOT a.attisdropped WHERE s.mirror_id = $1"
    "  AND s.source_oid = c.src::int8 AND s.kind = 's' AND a.attnum::text <> d.detail"
    "  AND NOT EXISTS (SELECT FROM ex WHERE ex.src = c.src AND ex.num = s.number)"
    "  ORDER BY s.number LIMIT 1) k ON true"
    " WHERE was.oid <> c.oid::text OR k.name IS NOT NULL"
    "  OR (c.relkind = 'r' AND was.relfilenode <> c.relfilenode::text)";

static const char forget_foreign_sql[] =
    PLACES " DELETE FROM " BOOK " p USING u WHERE p.mirror_id = $1 AND p.source_oid = u.src::int8"
           " AND p.kind = 'd' AND u.src NOT IN (SELECT src FROM was)";

#define TABLE_DETAIL "concat_ws(' ', c.oid, c.relfilenode, '" BOOK "'::regclass::oid)"

static const char keep_files_sql[] = PLACES
    " UPDATE " BOOK " p SET detail = " TABLE_DETAIL " FROM c JOIN was ON was.src = c.src"
    "  AND was.oid = c.oid::text AND was.relfilenode <> c.relfilenode::text WHERE p.mirror_id = $1"
    "  AND p.source_oid = c.src::int8 AND p.kind = 'd' AND p.number = 0";

static const char keep_new_sql[] =
    PLACES " INSERT INTO " BOOK " (mirror_id, source_oid, kind, number, name, detail,"
           "  dest_schema, dest_name) SELECT $1, c.src::int8, 'd', 0, '', " TABLE_DETAIL
           "  , c.s, c.t FROM free c JOIN " BOOK " n ON n.mirror_id = $1 AND n.kind = 'n'"
           "  AND n.source_oid = c.src::int8"
           " UNION ALL SELECT $1, c.src::int8, 'd', s.number, '', a.attnum::text, c.s, c.t"
           " FROM free c JOIN " BOOK " s ON s.mirror_id = $1 AND s.kind = 's'"
           "  AND s.source_oid = c.src::int8 JOIN pg_attribute a ON a.attrelid = c.oid"
           "  AND a.attname = s.name AND NOT a.attisdropped WHERE NOT EXISTS (SELECT FROM ex"
           "   WHERE ex.src = c.src AND ex.num = s.number)"
           "  AND NOT EXISTS (SELECT FROM was WHERE was.src = c.src AND was.oid <> c.oid::text)"
           " ON CONFLICT DO NOTHING";

static const char forget_sql[] =
    PLACES " DELETE FROM " BOOK " p USING u WHERE p.mirror_id = $1 AND p.source_oid = u.src::int8"
           " AND p.kind = 'd'";

void place_changes_free(struct place_changes *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->items[i].column);
    free(c->items);
    *c = (struct place_changes){0};
}

/* --- asking ------------------------------------------------------------------------------------
 */

struct places_question {
    char *values[6];
};

static char *name_array(const struct schema *s, size_t offset)
{
    const char **items = mem_calloc(s->n_tables + 1, sizeof *items);
    struct buf b = {0};
    for (size_t i = 0; i < s->n_tables; i++)
        items[i] = *(char *const *)((const char *)&s->tables[i] + offset);
    pg_quote_array(&b, s->n_tables, items);
    free(items);
    return buf_take(&b);
}

static struct places_question question(const char *mirror_id, const struct schema *s)
{
    struct buf oids = {0}, of = {0}, nums = {0};
    for (size_t i = 0; i < s->n_tables; i++) {
        const struct schema_table *t = &s->tables[i];
        buf_printf(&oids, "%s%u", i ? "," : "{", t->oid);
        for (size_t c = 0; c < t->n_columns; c++) {
            if (!t->columns[c].is_excluded)
                continue;
            buf_printf(&of, "%s%u", of.len ? "," : "{", t->oid);
            buf_printf(&nums, "%s%d", nums.len ? "," : "{", t->columns[c].attnum);
        }
    }
    buf_puts(&oids, oids.len ? "}" : "{}");
    buf_puts(&of, of.len ? "}" : "{}");
    buf_puts(&nums, nums.len ? "}" : "{}");
    return (struct places_question){
        .values = {mem_strdup(mirror_id), buf_take(&oids),
                   name_array(s, offsetof(struct schema_table, dest_schema)),
                   name_array(s, offsetof(struct schema_table, dest_name)), buf_take(&of),
                   buf_take(&nums)}};
}

static void question_free(struct places_question *q)
{
    for (size_t k = 0; k < COUNT_OF(q->values); k++)
        free(q->values[k]);
}

static bool run(struct pg_conn *dest, struct task *task, const char *mirror_id,
                const struct schema *s, size_t n, const char *const *statements,
                struct pg_result **res, struct err *err)
{
    struct places_question q = question(mirror_id, s);
    bool ok = true;
    for (size_t k = 0; ok && k < n; k++)
        ok = pg_exec_params(dest, task, SCHEMA_QUERY_MS, statements[k], COUNT_OF(q.values),
                            (const char *const *)q.values, res, err);
    question_free(&q);
    return ok || err_context(err, "read the book of parts at the destination");
}

static int table_of(const struct schema *s, uint32_t oid)
{
    for (size_t i = 0; i < s->n_tables; i++)
        if (s->tables[i].oid == oid)
            return (int)i;
    return -1;
}

static bool is_empty(struct pg_conn *dest, struct task *task, const struct schema_table *t,
                     bool *out, struct err *err)
{
    struct buf sql = {0};
    struct pg_result *res = NULL;
    buf_puts(&sql, "SELECT NOT EXISTS (SELECT FROM ONLY ");
    pg_quote_qualified(&sql, t->dest_schema, t->dest_name);
    buf_putc(&sql, ')');
    bool ok = pg_exec(dest, task, SCHEMA_QUERY_MS, buf_text(&sql), &res, err);
    *out = ok && pg_bool(res, 0, 0);
    pg_free(res);
    buf_free(&sql);
    return ok;
}

static int by_table(const void *a, const void *b)
{
    const struct place_change *x = a, *y = b;
    return (x->table > y->table) - (x->table < y->table);
}

bool places_look(struct pg_conn *dest, struct task *task, const char *mirror_id,
                 const struct schema *s, struct place_changes *out, struct err *err)
{
    const char *const statements[] = {look_sql};
    struct pg_result *res = NULL;
    *out = (struct place_changes){0};
    bool ok = run(dest, task, mirror_id, s, 1, statements, &res, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++) {
        struct place_change c = {.table = table_of(s, (uint32_t)pg_int(res, row, 0)),
                                 .kind = (enum place_change_kind)pg_text(res, row, 1)[0]};
        bool is_told = c.kind != PLACE_EMPTY;
        if (!is_told)
            ok = is_empty(dest, task, &s->tables[c.table], &is_told, err);
        if (!ok || !is_told)
            continue;
        c.column = read_text(res, row, 2);
        MEM_PUSH(out->items, out->n, out->cap, c);
    }
    pg_free(res);
    if (out->n)
        qsort(out->items, out->n, sizeof *out->items, by_table);
    return ok;
}

/* --- writing -----------------------------------------------------------------------------------
 */

bool places_keep(struct pg_conn *dest, struct task *task, const char *mirror_id,
                 const struct schema *s, struct err *err)
{
    const char *const statements[] = {forget_foreign_sql, keep_files_sql, keep_new_sql};
    return run(dest, task, mirror_id, s, COUNT_OF(statements), statements, NULL, err);
}

bool places_renew(struct pg_conn *dest, struct task *task, const char *mirror_id,
                  const struct schema *s, struct err *err)
{
    const char *const statements[] = {forget_sql, keep_new_sql};
    return run(dest, task, mirror_id, s, COUNT_OF(statements), statements, NULL, err);
}

void places_emptied_sql(struct buf *sql, const char *mirror_id, size_t n, const uint32_t *oids)
{
    buf_puts(sql, "UPDATE " BOOK " p SET detail = pg_catalog.concat_ws(' ', c.oid, c.relfilenode,"
                  " '" BOOK "'::pg_catalog.regclass::pg_catalog.oid) FROM pg_catalog.pg_class c"
                  " WHERE p.kind = 'd' AND p.number = 0 AND c.oid = CASE WHEN"
                  " p.kind = 'd' AND p.number = 0 THEN pg_catalog.split_part(p.detail, ' ', 1)"
                  "::pg_catalog.oid END AND p.mirror_id = ");
    pg_quote_literal(sql, mirror_id);
    buf_puts(sql, " AND p.source_oid IN (");
    for (size_t i = 0; i < n; i++)
        buf_printf(sql, "%s%u", i ? ", " : "", oids[i]);
    buf_putc(sql, ')');
}
