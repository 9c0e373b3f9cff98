/* Foreign keys between mapped tables. At the destination all are deferred to the end of a
 * transaction, and they are added without looking at the rows, which is done afterwards. */
#include "schema/schema_private.h"

#include <stdlib.h>
#include <string.h>

/* Columns 3 and 4 are the exact beginning of pg_get_constraintdef's text, the second being the
 * referenced table's name; column 5 is its exact end (deferrability and NOT VALID). Constraints
 * that stem from one of a mapped parent are left to that one. */
static const char fkeys_sql[] =
    "WITH u AS (SELECT oid, ord - 1 AS i FROM unnest($1::oid[]) WITH ORDINALITY u(oid, ord)),"
    " ex AS (SELECT * FROM unnest($2::oid[], $3::int2[]) x(oid, num))"
    " SELECT u.i, con.conname, con.confrelid,"
    " format('FOREIGN KEY (%s) REFERENCES ', (SELECT string_agg(quote_ident(a.attname), ', '"
    "  ORDER BY k.pos) FROM unnest(con.conkey) WITH ORDINALITY k(num, pos)"
    "  JOIN pg_attribute a ON a.attrelid = u.oid AND a.attnum = k.num)),"
    " format('%I.%I', n.nspname, f.relname),"
    " concat(CASE WHEN con.condeferrable THEN ' DEFERRABLE' END,"
    "  CASE WHEN con.condeferred THEN ' INITIALLY DEFERRED' END,"
    "  CASE WHEN NOT con.convalidated THEN ' NOT VALID' END),"
    " pg_get_constraintdef(con.oid), con.convalidated,"
    " EXISTS (SELECT FROM ex WHERE (ex.oid = u.oid AND ex.num = ANY (con.conkey))"
    "  OR (ex.oid = con.confrelid AND ex.num = ANY (con.confkey))),"
    " array_to_string(con.conkey, ' '), array_to_string(con.confkey, ' '),"
    " concat_ws(' ', con.confmatchtype, con.confupdtype, con.confdeltype,"
    "  (SELECT string_agg(quote_ident(a.attname), ',' ORDER BY a.attname) FROM pg_attribute a"
    "   WHERE a.attrelid = u.oid AND to_jsonb(con) -> 'confdelsetcols' @> to_jsonb(a.attnum)))"
    " FROM u JOIN pg_constraint con ON con.conrelid = u.oid AND con.contype = 'f'"
    " JOIN pg_class f ON f.oid = con.confrelid JOIN pg_namespace n ON n.oid = f.relnamespace"
    " WHERE con.conparentid = 0 OR NOT EXISTS (SELECT FROM pg_constraint p JOIN u up"
    "  ON up.oid = p.conrelid WHERE p.oid = con.conparentid)"
    " ORDER BY u.i, con.conname";

/* What stands between the referenced table's name and the end: "(id) ON DELETE CASCADE". False when
 * the text is not built as expected. */
static bool find_middle(const char *text, const char *head, const char *name, const char *tail,
                        const char **middle, size_t *len)
{
    size_t n = strlen(text), h = strlen(head), k = strlen(name), e = strlen(tail);
    if (n < h + k + e || strncmp(text, head, h) != 0 || strncmp(text + h, name, k) != 0 ||
        strcmp(text + n - e, tail) != 0)
        return false;
    *middle = text + h + k;
    *len = n - h - k - e;
    return true;
}

/* A partitioned table's foreign key cannot be NOT VALID: it is checked when it is added. */
static bool take_fkey(const struct pg_result *res, size_t row, struct schema_table *t,
                      const struct schema_table *to, struct schema_fkey *out, struct err *err)
{
    const char *name = pg_text(res, row, 1), *head = pg_text(res, row, 3), *middle;
    size_t len;
    if (!find_middle(pg_text(res, row, 6), head, pg_text(res, row, 4), pg_text(res, row, 5),
                     &middle, &len))
        return err_set(err, ERR_SNAPSHOT_STALE,
                       "the definition of foreign key %s of %s.%s is not"
                       " understood: %s",
                       name, t->schema, t->name, pg_text(res, row, 6));
    struct buf b = {0};
    buf_puts(&b, "ALTER TABLE ");
    pg_quote_qualified(&b, t->dest_schema, t->dest_name);
    char *alter = mem_strdup(buf_text(&b));
    buf_puts(&b, " ADD CONSTRAINT ");
    pg_quote_ident(&b, name);
    buf_printf(&b, " %s", head);
    pg_quote_qualified(&b, to->dest_schema, to->dest_name);
    buf_add(&b, middle, len);
    buf_puts(&b, " DEFERRABLE INITIALLY DEFERRED");
    buf_puts(&b, t->is_partitioned ? "" : " NOT VALID");
    out->name = mem_strdup(name);
    out->add_sql = buf_take(&b);
    if (!t->is_partitioned && pg_bool(res, row, 7)) {
        buf_printf(&b, "%s VALIDATE CONSTRAINT ", alter);
        pg_quote_ident(&b, name);
        out->validate_sql = buf_take(&b);
    }
    free(alter);
    return true;
}

bool read_fkeys(struct reader *r, struct err *err)
{
    struct pg_result *res = NULL;
    const char *values[] = {r->oids, r->excluded_oids, r->excluded_nums};
    if (!r->with_fkeys)
        return true;
    if (!read_query(r, fkeys_sql, COUNT_OF(values), values, &res, err))
        return false;
    bool ok = true;
    size_t cap = 0;
    int64_t last = -1;
    for (size_t row = 0; ok && row < pg_rows(res); row++) {
        struct schema_table *t = &r->s->tables[pg_int(res, row, 0)];
        int to = read_find_oid(r, (uint32_t)pg_int(res, row, 2));
        if (to < 0 && r->is_dest) { /* the operator's own, or only some tables are read */
            name_list_add(&r->tables[pg_int(res, row, 0)].far_fkeys,
                          mem_strdup(pg_text(res, row, 1)));
            continue;
        }
        if (to < 0 || pg_bool(res, row, 8)) {
            log_info("schema", NULL, "foreign key left out, %s table=%s.%s fkey=%s",
                     to < 0 ? "it refers to a table that is not mapped"
                            : "it needs an excluded column",
                     t->schema, t->name, pg_text(res, row, 1));
            continue;
        }
        struct schema_fkey out = {.to = to};
        ok = take_fkey(res, row, t, &r->s->tables[to], &out, err);
        if (pg_int(res, row, 0) != last)
            cap = 0;
        last = pg_int(res, row, 0);
        if (!ok)
            break;
        struct read_table *rt = &r->tables[last];
        struct read_fkey extra = {.to = to,
                                  .columns = read_text(res, row, 9),
                                  .key = read_text(res, row, 10),
                                  .actions = read_text(res, row, 11)};
        MEM_PUSH(t->fkeys, t->n_fkeys, cap, out);
        MEM_PUSH(rt->fkeys, rt->n_fkeys, rt->fkeys_cap, extra);
    }
    pg_free(res);
    return ok;
}
