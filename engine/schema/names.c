/* Names that are too long in another encoding; see names.h. */
#include "schema/names.h"

#include <stdlib.h>
#include <string.h>

#include "schema/schema_private.h"

/* Bytes in UTF-8: of all encodings that a server may have it needs the most. A database in UTF8 has
 * no such names, and what SQL_ASCII holds is not converted. */
#define BYTES(name)                                                                      \
    "CASE WHEN getdatabaseencoding() IN ('UTF8', 'SQL_ASCII') THEN 0 ELSE octet_length(" \
    "convert_to((" name ")::text, 'UTF8')) END"

/* A partition has most from its parent, which is renamed with all of them. */
static const char names_sql[] =
    "WITH RECURSIVE u AS (SELECT u.i, c.oid, c.relname, c.relispartition, n.nspname,"
    "  format('%I.%I', n.nspname, c.relname) AS name, coalesce(u.ex, '{}')::text[] AS ex"
    "  FROM unnest($1::oid[], $2::text[]) WITH ORDINALITY u(oid, ex, i)"
    "  JOIN pg_class c ON c.oid = u.oid"
    "  JOIN pg_namespace n ON n.oid = c.relnamespace),"
    " a AS (SELECT u.*, a.attname, a.atttypid, a.attinhcount FROM u JOIN pg_attribute a"
    "  ON a.attrelid = u.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (u.ex)),"
    " used(i, oid) AS (SELECT a.i, a.atttypid FROM a WHERE a.atttypid >= 16384 UNION"
    "  SELECT used.i, x.oid FROM used JOIN pg_type ty ON ty.oid = used.oid"
    "  CROSS JOIN LATERAL (SELECT ty.typelem WHERE ty.typcategory = 'A' AND ty.typtype = 'b'"
    "   UNION ALL SELECT ty.typbasetype WHERE ty.typtype = 'd' UNION ALL SELECT a.atttypid"
    "   FROM pg_attribute a WHERE ty.typtype = 'c' AND a.attrelid = ty.typrelid AND a.attnum > 0"
    "   AND NOT a.attisdropped UNION ALL SELECT r.rngsubtype FROM pg_range r"
    "   WHERE r.rngtypid = ty.oid) x(oid) WHERE x.oid >= 16384),"
    " ty AS (SELECT used.i, t.oid, t.typname, t.typtype, t.typrelid, n.nspname,"
    "  format('%I.%I', n.nspname, t.typname) AS name FROM used JOIN pg_type t ON t.oid = used.oid"
    "  AND NOT (t.typcategory = 'A' AND t.typtype = 'b') JOIN pg_namespace n"
    "  ON n.oid = t.typnamespace),"
    " q AS (SELECT u.i, d.objid AS oid FROM u JOIN pg_depend d ON d.refobjid = u.oid"
    "  AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_class'::regclass"
    "  AND d.deptype IN ('a', 'i') UNION SELECT u.i, d.refobjid FROM u JOIN pg_attrdef a"
    "  ON a.adrelid = u.oid JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass"
    "  AND d.objid = a.oid AND d.refclassid = 'pg_class'::regclass),"
    " o(i, kind, name, place, change, os, ot) AS ("
    " SELECT u.i, 'schema', u.nspname::text, quote_ident(u.nspname),"
    "  format('ALTER SCHEMA %I', u.nspname), NULL, u.nspname::text FROM u UNION ALL"
    " SELECT ty.i, 'schema', ty.nspname::text, quote_ident(ty.nspname),"
    "  format('ALTER SCHEMA %I', ty.nspname), NULL, ty.nspname FROM ty UNION ALL"
    " SELECT u.i, 'table', u.relname::text, u.name, 'ALTER TABLE ' || u.name, NULL, NULL FROM u"
    " UNION ALL"
    " SELECT a.i, 'column', a.attname::text, format('%s.%I', a.name, a.attname),"
    "  format('ALTER TABLE %s RENAME COLUMN %I', a.name, a.attname), NULL, NULL FROM a"
    "  WHERE NOT (a.relispartition AND a.attinhcount > 0) UNION ALL"
    " SELECT u.i, 'constraint', k.conname::text, format('%I of %s', k.conname, u.name),"
    "  format('ALTER TABLE %s RENAME CONSTRAINT %I', u.name, k.conname), NULL, NULL FROM u"
    "  JOIN pg_constraint k ON k.conrelid = u.oid AND k.contype IN ('c', 'p', 'u', 'x', 'f')"
    "  AND NOT (u.relispartition AND k.coninhcount > 0) UNION ALL"
    " SELECT u.i, 'index', c.relname::text, format('%I.%I', u.nspname, c.relname),"
    "  format('ALTER INDEX %I.%I', u.nspname, c.relname), NULL, NULL FROM u JOIN pg_index x"
    "  ON x.indrelid = u.oid JOIN pg_class c ON c.oid = x.indexrelid WHERE NOT EXISTS (SELECT FROM"
    "  pg_constraint k WHERE k.conindid = c.oid AND k.conrelid = u.oid) UNION ALL"
    " SELECT u.i, 'statistics', s.stxname::text, format('%I.%I', n.nspname, s.stxname),"
    "  format('ALTER STATISTICS %I.%I', n.nspname, s.stxname), NULL, NULL FROM u"
    "  JOIN pg_statistic_ext s ON s.stxrelid = u.oid JOIN pg_namespace n ON n.oid = s.stxnamespace"
    " UNION ALL"
    " SELECT ty.i, 'type', ty.typname::text, ty.name, format('ALTER %s %s',"
    "  CASE ty.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, ty.name), ty.nspname, ty.typname"
    "  FROM ty UNION ALL"
    " SELECT ty.i, 'attribute', a.attname::text, format('%s.%I', ty.name, a.attname),"
    "  format('ALTER TYPE %s RENAME ATTRIBUTE %I', ty.name, a.attname), ty.nspname, ty.typname"
    "  FROM ty JOIN pg_attribute a ON a.attrelid = ty.typrelid AND ty.typtype = 'c'"
    "  AND a.attnum > 0 AND NOT a.attisdropped UNION ALL"
    " SELECT ty.i, 'constraint', k.conname::text, format('%I of %s', k.conname, ty.name),"
    "  format('ALTER DOMAIN %s RENAME CONSTRAINT %I', ty.name, k.conname), ty.nspname, ty.typname"
    "  FROM ty JOIN pg_constraint k ON k.contypid = ty.oid UNION ALL"
    " SELECT ty.i, 'label', e.enumlabel::text, format('%L of %s', e.enumlabel, ty.name),"
    "  format('ALTER TYPE %s RENAME VALUE %L', ty.name, e.enumlabel), ty.nspname, ty.typname"
    "  FROM ty JOIN pg_enum e ON e.enumtypid = ty.oid UNION ALL"
    " SELECT q.i, 'sequence', c.relname::text, format('%I.%I', n.nspname, c.relname),"
    "  format('ALTER SEQUENCE %I.%I', n.nspname, c.relname), n.nspname, c.relname FROM q"
    "  JOIN pg_class c ON c.oid = q.oid AND c.relkind = 'S' JOIN pg_namespace n"
    "  ON n.oid = c.relnamespace),"
    " long AS MATERIALIZED (SELECT DISTINCT o.*, " BYTES(
        "o.name") " AS bytes FROM o)"
                  " SELECT i - 1, kind, place, name, change, bytes, os, ot FROM long WHERE bytes > "
                  "63"
                  " ORDER BY kind, place, change, i";

void long_name_list_free(struct long_name_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i].object);
        free(l->items[i].note);
        free(l->items[i].statement);
        free(l->items[i].owner_schema);
        free(l->items[i].owner);
    }
    free(l->items);
    *l = (struct long_name_list){0};
}

/* TO for all but labels, which are literals. */
static char *statement_of(const char *kind, const char *change)
{
    bool is_whole = strstr(change, " RENAME ") != NULL;
    return mem_printf("%s%s TO %s;", change, is_whole ? "" : " RENAME",
                      strcmp(kind, "label") == 0 ? "'shorter'" : "shorter");
}

static void take_name(const struct pg_result *res, size_t row, struct long_name_list *out)
{
    const char *kind = pg_text(res, row, 1);
    struct long_name x = {
        .table = (int)pg_int(res, row, 0),
        .object = mem_printf("%s %s", kind, pg_text(res, row, 2)),
        .note = mem_printf("%s bytes in UTF-8", pg_text(res, row, 5)),
        .statement = statement_of(kind, pg_text(res, row, 4)),
        .owner_schema = mem_strdup(pg_text(res, row, 6)),
        .owner = mem_strdup(pg_text(res, row, 7)),
    };
    x.is_again = out->n && strcmp(out->items[out->n - 1].statement, x.statement) == 0;
    out->items[out->n++] = x;
}

/* In its encoding; a name that this has no characters for cannot be made there at all. */
bool names_fit(struct pg_conn *dest, struct task *task, const char *name, bool *fits,
               struct err *err)
{
    struct pg_result *res = NULL;
    *fits = strlen(name) <= 63;
    if (*fits)
        return true;
    if (!pg_exec_params(dest, task, SCHEMA_QUERY_MS, "SELECT octet_length($1::text) <= 63", 1,
                        &name, &res, err))
        return err_context(err, "ask the destination for the length of a name");
    *fits = pg_bool(res, 0, 0);
    pg_free(res);
    return true;
}

bool names_find_long(struct pg_conn *source, struct task *source_task, struct pg_conn *dest,
                     struct task *dest_task, const char *oids, const char *excludes,
                     struct long_name_list *out, struct err *err)
{
    struct pg_result *res = NULL;
    const char *values[] = {oids, excludes};
    *out = (struct long_name_list){0};
    if (!pg_exec_params(source, source_task, SCHEMA_QUERY_MS, names_sql, 2, values, &res, err))
        return err_context(err, "look for names that are too long");
    bool ok = true;
    out->items = mem_calloc(pg_rows(res) + 1, sizeof *out->items);
    for (size_t row = 0; ok && row < pg_rows(res); row++) {
        bool fits = false;
        ok = !dest || names_fit(dest, dest_task, pg_text(res, row, 3), &fits, err);
        if (ok && !fits)
            take_name(res, row, out);
    }
    pg_free(res);
    return ok;
}
