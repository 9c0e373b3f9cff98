/* What the columns, defaults, checks and indexes of mapped tables need before a table can exist:
 * schemas, extensions, collations, and types with all that they are made of. */
#include "schema/schema_private.h"

#include <stdlib.h>
#include <string.h>

/* obj: the mapped tables and what hangs on them. ref: the user's objects that those depend on.
 * need: the types among them, down to what they are made of, with the depth at which they were
 * found: what is deeper has to exist first. Types of an extension come with it. */
#define USED_OBJECTS_START                                                                        \
    "WITH RECURSIVE ex AS (SELECT * FROM unnest($2::oid[], $3::int2[]) x(oid, num)),"             \
    " t AS (SELECT * FROM unnest($1::oid[]) t(oid)),"                                             \
    " obj(classid, objid, tab) AS ("                                                              \
    " SELECT 'pg_class'::regclass, oid, oid FROM t UNION ALL"                                     \
    " SELECT 'pg_attrdef'::regclass, d.oid, 0 FROM t JOIN pg_attrdef d ON d.adrelid = t.oid"      \
    "  WHERE NOT EXISTS (SELECT FROM ex WHERE ex.oid = t.oid AND ex.num = d.adnum) UNION ALL"     \
    " SELECT 'pg_constraint'::regclass, c.oid, 0 FROM t JOIN pg_constraint c"                     \
    "  ON c.conrelid = t.oid AND c.contype IN ('c', 'x', 'u', 'p') UNION ALL"                     \
    " SELECT 'pg_class'::regclass, i.indexrelid, 0 FROM t JOIN pg_index i"                        \
    "  ON i.indrelid = t.oid),"                                                                   \
    " ref(classid, objid) AS (SELECT DISTINCT d.refclassid, d.refobjid FROM obj"                  \
    "  JOIN pg_depend d ON d.classid = obj.classid AND d.objid = obj.objid"                       \
    "  WHERE d.refobjid >= 16384 AND NOT EXISTS (SELECT FROM ex"                                  \
    "   WHERE ex.oid = obj.tab AND ex.num = d.objsubid)),"                                        \
    " need(oid, depth) AS ("                                                                      \
    " SELECT objid, 0 FROM ref WHERE classid = 'pg_type'::regclass UNION ALL"                     \
    " SELECT x.oid, need.depth + 1 FROM need JOIN pg_type ty ON ty.oid = need.oid"                \
    " CROSS JOIN LATERAL ("                                                                       \
    "  SELECT ty.typelem AS oid WHERE ty.typcategory = 'A' AND ty.typtype = 'b' UNION ALL"        \
    "  SELECT ty.typbasetype WHERE ty.typtype = 'd' UNION ALL"                                    \
    "  SELECT a.atttypid FROM pg_attribute a WHERE ty.typtype = 'c' AND a.attrelid = ty.typrelid" \
    "   AND a.attnum > 0 AND NOT a.attisdropped UNION ALL"                                        \
    "  SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = ty.oid"
#define USED_OBJECTS_MULTIRANGE \
    " UNION ALL SELECT r.rngtypid FROM pg_range r WHERE r.rngmultitypid = ty.oid"
#define USED_OBJECTS_END                                                                     \
    ") x WHERE x.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e'" \
    "  AND d.classid = 'pg_type'::regclass AND d.objid = need.oid)),"                        \
    " type(oid, depth) AS (SELECT oid, max(depth) FROM need GROUP BY oid) "

/* Of NEEDS_OBJECTS: a row type of a mapped table comes along. */
#define MAPPED "ANY (ARRAY(SELECT oid FROM t))"

/* Extensions that own one of the objects; those with a type are needed for the tables themselves.
 */
static const char extensions_sql[] =
    "SELECT n.nspname, e.extname, bool_or(m.classid = 'pg_type'::regclass)"
    " FROM (SELECT classid, objid FROM ref UNION SELECT 'pg_type'::regclass, oid FROM type) o"
    " JOIN pg_depend m ON m.classid = o.classid AND m.objid = o.objid AND m.deptype = 'e'"
    " JOIN pg_extension e ON e.oid = m.refobjid JOIN pg_namespace n ON n.oid = e.extnamespace"
    " GROUP BY 1, 2 ORDER BY 3 DESC, 2";

/* Collations of columns and of what types are made of. %s: the locale column of the version. */
static const char collations_sql[] =
    "SELECT n.nspname, c.collname, CASE WHEN c.collprovider = 'c' THEN"
    " format('(LC_COLLATE = %L, LC_CTYPE = %L)', c.collcollate, c.collctype)"
    " ELSE format('(PROVIDER = %s, LOCALE = %L%s)', CASE c.collprovider WHEN 'i' THEN 'icu'"
    " ELSE 'builtin' END, {locale}, CASE WHEN NOT c.collisdeterministic"
    " THEN ', DETERMINISTIC = false' END) END"
    " FROM (SELECT objid FROM ref WHERE classid = 'pg_collation'::regclass UNION"
    "  SELECT d.refobjid FROM type JOIN pg_type ty ON ty.oid = type.oid JOIN pg_depend d"
    "  ON d.classid = 'pg_type'::regclass AND d.objid = ty.oid"
    "  OR d.classid = 'pg_class'::regclass AND d.objid = ty.typrelid AND ty.typrelid <> 0"
    "  WHERE d.refclassid = 'pg_collation'::regclass AND d.refobjid >= 16384) o"
    " JOIN pg_collation c ON c.oid = o.objid JOIN pg_namespace n ON n.oid = c.collnamespace"
    " WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e'"
    "  AND d.classid = 'pg_collation'::regclass AND d.objid = c.oid) ORDER BY 1, 2";

/* The type's own statement, NULL when it cannot be made from here (a base type of the user's, or
 * the row type of a table that is not mapped), and an enum's labels. A range's canonical and
 * subtype_diff functions come along when every server has them. */
static const char types_sql[] =
    "SELECT n.nspname, ty.typname, CASE ty.typtype"
    " WHEN 'e' THEN format('CREATE TYPE %I.%I AS ENUM (%s)', n.nspname, ty.typname,"
    "  (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum"
    "   WHERE enumtypid = ty.oid))"
    " WHEN 'd' THEN format('CREATE DOMAIN %I.%I AS %s%s%s%s%s', n.nspname, ty.typname,"
    "  format_type(ty.typbasetype, ty.typtypmod),"
    "  (SELECT format(' COLLATE %I.%I', cn.nspname, c.collname) FROM pg_collation c"
    "   JOIN pg_namespace cn ON cn.oid = c.collnamespace JOIN pg_type b ON b.oid = ty.typbasetype"
    "   WHERE c.oid = ty.typcollation AND ty.typcollation <> b.typcollation),"
    "  CASE WHEN NOT " NEEDS_OBJECTS(
        "pg_type", "ty.oid",
        MAPPED) "  THEN ' DEFAULT ' || pg_get_expr(ty.typdefaultbin, 0) END,"
                "  CASE WHEN ty.typnotnull THEN ' NOT NULL' END,"
                "  (SELECT string_agg(format(' CONSTRAINT %I %s', con.conname, "
                "pg_get_constraintdef(con.oid)),"
                "   '' ORDER BY con.conname) FROM pg_constraint con WHERE con.contypid = ty.oid"
                "   AND con.contype = 'c' AND con.convalidated AND NOT " NEEDS_OBJECTS(
                    "pg_constraint", "con.oid",
                    MAPPED) "))"
                            " WHEN 'c' THEN CASE WHEN k.relkind = 'c' THEN format('CREATE TYPE "
                            "%I.%I AS "
                            "(%s)', n.nspname,"
                            "  ty.typname, (SELECT string_agg(format('%I %s%s', a.attname,"
                            "   format_type(a.atttypid, a.atttypmod), (SELECT format(' COLLATE "
                            "%I.%I', "
                            "cn.nspname,"
                            "    c.collname) FROM pg_collation c JOIN pg_namespace cn ON cn.oid = "
                            "c.collnamespace"
                            "    JOIN pg_type b ON b.oid = a.atttypid"
                            "    WHERE c.oid = a.attcollation AND a.attcollation <> "
                            "b.typcollation)),"
                            "   ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = "
                            "ty.typrelid"
                            "   AND a.attnum > 0 AND NOT a.attisdropped)) END"
                            " WHEN 'r' THEN (SELECT format('CREATE TYPE %I.%I AS RANGE (%s)', "
                            "n.nspname, "
                            "ty.typname,"
                            "  concat_ws(', ', 'SUBTYPE = ' || format_type(r.rngsubtype, NULL),"
                            "   CASE WHEN NOT o.opcdefault THEN format('SUBTYPE_OPCLASS = %I.%I', "
                            "opn.nspname, o.opcname)"
                            "   END, (SELECT format('COLLATION = %I.%I', cn.nspname, c.collname) "
                            "FROM "
                            "pg_collation c"
                            "    JOIN pg_namespace cn ON cn.oid = c.collnamespace JOIN pg_type b "
                            "ON "
                            "b.oid = r.rngsubtype"
                            "    WHERE c.oid = r.rngcollation AND r.rngcollation <> "
                            "b.typcollation),"
                            "   CASE WHEN r.rngsubdiff <> 0 AND r.rngsubdiff < 16384 THEN "
                            "'SUBTYPE_DIFF "
                            "= '"
                            "    || r.rngsubdiff::regproc END{multirange}))"
                            "  FROM pg_range r JOIN pg_opclass o ON o.oid = r.rngsubopc"
                            "  JOIN pg_namespace opn ON opn.oid = o.opcnamespace WHERE r.rngtypid "
                            "= "
                            "ty.oid) END,"
                            " CASE WHEN ty.typtype = 'e' THEN (SELECT array_agg(enumlabel::text "
                            "ORDER BY "
                            "enumsortorder)"
                            "  FROM pg_enum WHERE enumtypid = ty.oid)::text END,"
                            " (WITH RECURSIVE w(oid) AS (SELECT ty.oid UNION SELECT x.oid FROM w"
                            "  JOIN pg_type ty ON ty.oid = w.oid CROSS JOIN LATERAL (" TYPE_PARTS
                            ") x(oid) WHERE x.oid >= 16384)"
                            "  SELECT string_agg(t.oid::text, ' ') FROM w JOIN pg_type ty"
                            "  ON ty.oid = w.oid JOIN t ON t.oid = ty.typrelid)"
                            " FROM type JOIN pg_type ty ON ty.oid = type.oid JOIN pg_namespace n "
                            "ON "
                            "n.oid = ty.typnamespace"
                            " LEFT JOIN pg_class k ON k.oid = ty.typrelid"
                            " WHERE (ty.typcategory <> 'A' OR ty.typtype <> 'b') AND ty.typtype <> "
                            "'m'"
                            " AND (k.oid IS NULL OR k.oid NOT IN (SELECT oid FROM t))"
                            " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e'"
                            "  AND d.classid = 'pg_type'::regclass AND d.objid = ty.oid)"
                            " ORDER BY type.depth DESC, 1, 2";

/* 14 and later: only a multirange with a name of its own has to be said. */
static const char multirange_sql[] =
    ", (SELECT format('MULTIRANGE_TYPE_NAME = %I.%I', mn.nspname, mt.typname) FROM pg_type mt"
    " JOIN pg_namespace mn ON mn.oid = mt.typnamespace WHERE mt.oid = r.rngmultitypid"
    " AND mt.typname <> CASE WHEN strpos(ty.typname, 'range') > 0"
    " THEN overlay(ty.typname::text placing 'multirange' from strpos(ty.typname, 'range') for 5)"
    " ELSE ty.typname || '_multirange' END)";

/* Constraints and defaults of domains that need functions, or are not valid: after the copy, if at
 * all. */
static const char domain_parts_sql[] =
    "SELECT n.nspname, ty.typname, format('ALTER DOMAIN %I.%I ADD CONSTRAINT %I %s', n.nspname,"
    " ty.typname, con.conname, pg_get_constraintdef(con.oid))"
    " FROM type JOIN pg_type ty ON ty.oid = type.oid JOIN pg_namespace n ON n.oid = ty.typnamespace"
    " JOIN pg_constraint con ON con.contypid = ty.oid AND con.contype = 'c'"
    " WHERE (NOT con.convalidated OR " NEEDS_OBJECTS(
        "pg_constraint", "con.oid",
        MAPPED) ")"
                " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e'"
                "  AND d.classid = 'pg_type'::regclass AND d.objid = ty.oid)"
                " UNION ALL SELECT n.nspname, ty.typname, format('ALTER DOMAIN %I.%I SET DEFAULT "
                "%s', "
                "n.nspname,"
                " ty.typname, pg_get_expr(ty.typdefaultbin, 0))"
                " FROM type JOIN pg_type ty ON ty.oid = type.oid JOIN pg_namespace n ON n.oid = "
                "ty.typnamespace"
                " WHERE ty.typtype = 'd' AND ty.typdefaultbin IS NOT NULL"
                " AND " NEEDS_OBJECTS("pg_type", "ty.oid", MAPPED) " ORDER BY 1, 2, 3";

/* What the questions above were answered with. */
struct used_objects {
    struct pg_result *extensions, *collations, *types, *parts;
};

/* Runs tail behind the common part; what in it says {mark} becomes text. */
static bool query_used(struct reader *r, const char *tail, const char *mark, const char *text,
                       struct pg_result **out, struct err *err)
{
    struct buf sql = {0};
    buf_puts(&sql, USED_OBJECTS_START);
    if (r->s->server_version >= 140000)
        buf_puts(&sql, USED_OBJECTS_MULTIRANGE);
    buf_puts(&sql, USED_OBJECTS_END);
    const char *hit = mark ? strstr(tail, mark) : NULL;
    if (hit) {
        buf_add(&sql, tail, (size_t)(hit - tail));
        buf_puts(&sql, text);
        tail = hit + strlen(mark);
    }
    buf_puts(&sql, tail);
    const char *values[] = {r->oids, r->excluded_oids, r->excluded_nums};
    bool ok = read_query(r, buf_text(&sql), COUNT_OF(values), values, out, err);
    buf_free(&sql);
    return ok;
}

static void note_schema(struct name_list *schemas, const char *name)
{
    if (!name_list_has(schemas, name))
        name_list_add(schemas, mem_strdup(name));
}

static void note_schemas_of(struct name_list *schemas, const struct pg_result *res)
{
    for (size_t row = 0; row < pg_rows(res); row++)
        note_schema(schemas, pg_text(res, row, 0));
}

static void add_schemas(struct reader *r, struct name_list *schemas)
{
    for (size_t i = 0; i < r->s->n_tables; i++)
        note_schema(schemas, r->s->tables[i].dest_schema);
    for (size_t i = 0; i < r->n_sequences; i++)
        note_schema(schemas, r->sequences[i].dest_schema);
    for (size_t i = 0; i < schemas->n; i++) {
        if (strncmp(schemas->items[i], "pg_", 3) == 0)
            continue;
        struct buf b = {0};
        buf_puts(&b, "CREATE SCHEMA IF NOT EXISTS ");
        pg_quote_ident(&b, schemas->items[i]);
        read_add_before(r, OBJECT_SCHEMA, "", schemas->items[i], buf_take(&b));
    }
}

static void add_extensions(struct reader *r, const struct pg_result *res)
{
    for (size_t row = 0; row < pg_rows(res); row++) {
        struct buf b = {0};
        buf_puts(&b, "CREATE EXTENSION IF NOT EXISTS ");
        pg_quote_ident(&b, pg_text(res, row, 1));
        buf_puts(&b, " WITH SCHEMA ");
        pg_quote_ident(&b, pg_text(res, row, 0));
        buf_puts(&b, " CASCADE");
        read_add_before(r, OBJECT_EXTENSION, "", pg_text(res, row, 1), buf_take(&b))->optional =
            !pg_bool(res, row, 2);
    }
}

static void add_collations(struct reader *r, const struct pg_result *res)
{
    for (size_t row = 0; row < pg_rows(res); row++) {
        struct buf b = {0};
        buf_puts(&b, "CREATE COLLATION ");
        pg_quote_qualified(&b, pg_text(res, row, 0), pg_text(res, row, 1));
        buf_printf(&b, " %s", pg_text(res, row, 2));
        read_add_before(r, OBJECT_COLLATION, pg_text(res, row, 0), pg_text(res, row, 1),
                        buf_take(&b));
    }
}

/* A type that is made of row types of mapped tables comes right after the last of these. */
static bool add_late_type(struct reader *r, const struct pg_result *res, size_t row)
{
    struct late_type late = {.after = -1};
    for (const char *at = pg_text(res, row, 4); *at;) {
        char *end;
        int i = read_find_oid(r, (uint32_t)strtoul(at, &end, 10));
        late.after = i > late.after ? i : late.after;
        at = *end ? end + 1 : end;
    }
    if (late.after < 0 || pg_is_null(res, row, 2))
        return false;
    late.schema = read_text(res, row, 0);
    late.name = read_text(res, row, 1);
    late.sql = read_text(res, row, 2);
    MEM_PUSH(r->late_types, r->n_late, r->late_cap, late);
    return true;
}

static void add_types(struct reader *r, const struct pg_result *res, const struct pg_result *parts)
{
    for (size_t row = 0; row < pg_rows(res); row++)
        if (!add_late_type(r, res, row))
            read_add_before(r, OBJECT_TYPE, pg_text(res, row, 0), pg_text(res, row, 1),
                            read_text(res, row, 2))
                ->labels = read_text(res, row, 3);
    for (size_t row = 0; row < pg_rows(parts); row++)
        read_add_after(r, OBJECT_TYPE, pg_text(parts, row, 0), pg_text(parts, row, 1),
                       read_text(parts, row, 2))
            ->optional = true;
}

/* Most tables use nothing but what every server has, and the questions below cost a server more
 * than all others together, mostly to plan them. */
static bool uses_objects(struct reader *r, bool *out, struct err *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM ref WHERE classid IN ('pg_type'::regclass,"
        " 'pg_collation'::regclass)) OR EXISTS (SELECT FROM ref JOIN pg_depend m"
        " ON m.classid = ref.classid AND m.objid = ref.objid AND m.deptype = 'e')";
    struct pg_result *res = NULL;
    if (!query_used(r, sql, NULL, NULL, &res, err))
        return false;
    *out = pg_bool(res, 0, 0);
    pg_free(res);
    return true;
}

static bool ask_used(struct reader *r, struct used_objects *u, struct err *err)
{
    int v = r->s->server_version;
    const char *locale = v >= 170000   ? "c.colllocale"
                         : v >= 150000 ? "c.colliculocale"
                                       : "c.collcollate";
    return query_used(r, extensions_sql, NULL, NULL, &u->extensions, err) &&
           query_used(r, collations_sql, "{locale}", locale, &u->collations, err) &&
           query_used(r, types_sql, "{multirange}", v >= 140000 ? multirange_sql : "", &u->types,
                      err) &&
           query_used(r, domain_parts_sql, NULL, NULL, &u->parts, err);
}

static void add_used(struct reader *r, const struct used_objects *u)
{
    add_extensions(r, u->extensions);
    add_collations(r, u->collations);
    add_types(r, u->types, u->parts);
}

bool read_types(struct reader *r, struct err *err)
{
    struct used_objects u = {0};
    struct name_list schemas = {0};
    bool is_any = false;
    bool ok = uses_objects(r, &is_any, err) && (!is_any || ask_used(r, &u, err));
    if (ok && is_any) {
        note_schemas_of(&schemas, u.extensions);
        note_schemas_of(&schemas, u.collations);
        note_schemas_of(&schemas, u.types);
    }
    if (ok) {
        add_schemas(r, &schemas);
        build_sequences(r); /* defaults of domains may call them */
    }
    if (ok && is_any)
        add_used(r, &u);
    pg_free(u.extensions);
    pg_free(u.collations);
    pg_free(u.types);
    pg_free(u.parts);
    name_list_free(&schemas);
    return ok;
}
