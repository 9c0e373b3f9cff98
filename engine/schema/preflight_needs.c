/* What the tables need that a mirror does not make, or can make only where the server has it:
 * extensions, collations, types, functions. The source says what; the destination, when there is
 * one, what of it is there. */
#include "schema/preflight_private.h"

#include <stdlib.h>
#include <string.h>

/* used: the types of the targets' columns. need: those and all that they are made of. */
#define TYPES_USED                                                                               \
    "WITH RECURSIVE u AS (SELECT * FROM unnest($1::oid[]) WITH ORDINALITY u(oid, i)),"           \
    " used(i, oid) AS (SELECT DISTINCT u.i, a.atttypid FROM u JOIN pg_attribute a"               \
    "  ON a.attrelid = u.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384),"  \
    " need(root, oid) AS (SELECT DISTINCT oid, oid FROM used UNION"                              \
    "  SELECT need.root, x.oid FROM need JOIN pg_type ty ON ty.oid = need.oid"                   \
    "  CROSS JOIN LATERAL (SELECT ty.typelem WHERE ty.typcategory = 'A' AND ty.typtype = 'b'"    \
    "   UNION ALL SELECT ty.typbasetype WHERE ty.typtype = 'd' UNION ALL SELECT a.atttypid"      \
    "   FROM pg_attribute a WHERE ty.typtype = 'c' AND a.attrelid = ty.typrelid AND a.attnum > " \
    "0"                                                                                          \
    "   AND NOT a.attisdropped UNION ALL SELECT r.rngsubtype FROM pg_range r"                    \
    "   WHERE r.rngtypid = ty.oid) x(oid) WHERE x.oid >= 16384)"
#define CREATE_EXTENSION \
    "format('CREATE EXTENSION %I WITH SCHEMA %I CASCADE;', e.extname, en.nspname)"

/* Columns of all questions here: the target's number, kind and key for the destination, name, note,
 * statement; by kind and key. Kinds: e an extension, t a type, f a function, o another object,
 * p a function or operator class of a partition key, c a collation of the server's own, l and i
 * collations of the user's, of libc and of ICU, x an extension that only a part of a table needs,
 * v any extension. */
static const char types_sql[] = TYPES_USED
    " SELECT used.i, 'e' AS kind, e.extname::text AS key, quote_ident(e.extname), 'type '"
    "  || format_type(need.oid, NULL), " CREATE_EXTENSION " FROM used"
    "  JOIN need ON need.root = used.oid JOIN pg_depend d ON d.classid = 'pg_type'::regclass"
    "  AND d.objid = need.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid"
    "  JOIN pg_namespace en ON en.oid = e.extnamespace"
    " UNION SELECT used.i, 't', format('%I.%I', n.nspname, ty.typname), format('%I.%I', n.nspname,"
    "  ty.typname), CASE ty.typtype WHEN 'b' THEN 'a base type'"
    "  ELSE 'the row type of a relation that is no table' END, NULL FROM used"
    "  JOIN need ON need.root = used.oid JOIN pg_type ty ON ty.oid = need.oid"
    "  JOIN pg_namespace n ON n.oid = ty.typnamespace LEFT JOIN pg_class c ON c.oid = ty.typrelid"
    "  WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e'"
    "   AND d.classid = 'pg_type'::regclass AND d.objid = ty.oid) AND (ty.typtype = 'b'"
    "   AND ty.typcategory <> 'A' OR ty.typtype = 'c' AND c.relkind NOT IN ('c', 'r', 'p'))"
    " ORDER BY 2, 3, 1";

/* A function that SQL calls is looked for when it is made, unless its body is not checked; where
 * the body is kept as what was parsed (BEGIN ATOMIC) it has to be there, and the catalog knows it:
 * those that are called come first. */
#define CREATE_FUNCTION                                                                            \
    "concat(CASE WHEN l.lanname = 'sql' AND to_jsonb(p) ->> 'prosqlbody' IS NULL THEN"             \
    "  E'SET check_function_bodies = off;\\n' END, rtrim(pg_get_functiondef(p.oid), E'\\n'), ';'," \
    " CASE WHEN l.lanname = 'sql' AND to_jsonb(p) ->> 'prosqlbody' IS NULL THEN"                   \
    "  E'\\nRESET check_function_bodies;' END)"
static const char objects_sql[] = TYPES_USED
    ", part(i, what, classid, objid) AS (SELECT u.i, format('default of %I.%I.%I', n.nspname,"
    "  c.relname, a.attname), 'pg_attrdef'::regclass, ad.oid FROM u JOIN pg_class c ON c.oid = "
    "u.oid"
    "  JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attrdef ad ON ad.adrelid = c.oid"
    "  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ad.adnum UNION ALL"
    " SELECT u.i, format('constraint %I of %I.%I', k.conname, n.nspname, c.relname),"
    "  'pg_constraint'::regclass, k.oid FROM u JOIN pg_class c ON c.oid = u.oid"
    "  JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_constraint k ON k.conrelid = c.oid"
    "  AND k.contype IN ('c', 'x', 'u', 'p') UNION ALL"
    " SELECT u.i, format('index %I.%I', n.nspname, c.relname), 'pg_class'::regclass, c.oid FROM u"
    "  JOIN pg_index x ON x.indrelid = u.oid JOIN pg_class c ON c.oid = x.indexrelid"
    "  JOIN pg_namespace n ON n.oid = c.relnamespace UNION ALL"
    " SELECT used.i, format('domain %s', format_type(k.contypid, NULL)),"
    "  'pg_constraint'::regclass, k.oid FROM used JOIN need ON need.root = used.oid"
    "  JOIN pg_constraint k ON k.contypid = need.oid UNION ALL"
    " SELECT u.i, format('partition key of %I.%I', n.nspname, c.relname), 'pg_class'::regclass,"
    "  c.oid FROM u JOIN pg_class c ON c.oid = u.oid AND c.relkind = 'p' JOIN pg_namespace n"
    "  ON n.oid = c.relnamespace),"
    " o(i, what, classid, objid) AS (SELECT part.i, part.what, part.classid::oid, part.objid"
    "  FROM part UNION SELECT o.i, o.what, d.refclassid, d.refobjid FROM o JOIN pg_depend d"
    "  ON d.classid = o.classid AND d.objid = o.objid AND d.refobjid >= 16384"
    "  AND d.refclassid = 'pg_proc'::regclass),"
    " calls(caller, callee) AS (SELECT objid, refobjid FROM pg_depend WHERE objid >= 16384"
    "  AND classid = 'pg_proc'::regclass AND refclassid = 'pg_proc'::regclass AND objid <> "
    "refobjid),"
    " deep(oid, n) AS (SELECT caller, 1 FROM calls UNION SELECT c.caller, deep.n + 1 FROM deep"
    "  JOIN calls c ON c.callee = deep.oid AND deep.n < 30)"
    " SELECT o.i, CASE WHEN e.oid IS NOT NULL THEN 'x' WHEN o.objid = ANY ($1::oid[]) AND"
    "   o.classid = 'pg_class'::regclass THEN 'p' WHEN d.refclassid = 'pg_proc'::regclass"
    "   THEN 'f' ELSE 'o' END AS kind, coalesce(e.extname::text, p.oid::regprocedure::text,"
    "   pg_describe_object(d.refclassid, d.refobjid, 0)) AS key, coalesce(quote_ident(e.extname),"
    "   p.oid::regprocedure::text, pg_describe_object(d.refclassid, d.refobjid, 0)), o.what,"
    "  CASE WHEN e.oid IS NOT NULL THEN " CREATE_EXTENSION " WHEN p.prokind IN ('f', 'w')"
    "   THEN " CREATE_FUNCTION " END, coalesce((SELECT max(deep.n) FROM deep WHERE deep.oid ="
    "  p.oid AND e.oid IS NULL), 0) AS depth"
    " FROM o JOIN pg_depend d ON d.classid = o.classid AND d.objid = o.objid"
    "  AND d.refobjid >= 16384 AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass,"
    "  'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_ts_config'::regclass,"
    "  'pg_ts_dict'::regclass)"
    " LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid"
    " LEFT JOIN pg_language l ON l.oid = p.prolang"
    " LEFT JOIN pg_depend m ON m.classid = d.refclassid AND m.objid = d.refobjid"
    "  AND m.deptype = 'e' LEFT JOIN pg_extension e ON e.oid = m.refobjid"
    " LEFT JOIN pg_namespace en ON en.oid = e.extnamespace ORDER BY 2, depth, 3, 1";

static const char collations_sql[] =
    "WITH u AS (SELECT * FROM unnest($1::oid[]) WITH ORDINALITY u(oid, i)), o(i, coll, what) AS ("
    " SELECT u.i, a.attcollation, format('column %I.%I.%I', n.nspname, c.relname, a.attname)"
    "  FROM u JOIN pg_class c ON c.oid = u.oid JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  JOIN pg_attribute a ON a.attrelid = u.oid AND a.attnum > 0 AND NOT a.attisdropped UNION ALL"
    " SELECT u.i, k.coll, format('index %I.%I', n.nspname, c.relname) FROM u JOIN pg_index x"
    "  ON x.indrelid = u.oid JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_namespace n"
    "  ON n.oid = c.relnamespace CROSS JOIN LATERAL unnest(x.indcollation::oid[]) k(coll))"
    " SELECT o.i, CASE WHEN n.nspname = 'pg_catalog' THEN 'c' WHEN co.collprovider = 'i' THEN 'i'"
    "  ELSE 'l' END AS kind, CASE WHEN n.nspname = 'pg_catalog' THEN co.collname::text"
    "  ELSE coalesce(co.collcollate::text, '') END AS key, format('%I.%I', n.nspname,"
    "  co.collname), o.what, CASE WHEN n.nspname = 'pg_catalog'"
    "  THEN 'SELECT pg_import_system_collations(''pg_catalog'');' END"
    " FROM o JOIN pg_collation co ON co.oid = o.coll JOIN pg_namespace n"
    "  ON n.oid = co.collnamespace WHERE co.collname NOT IN ('default', 'C', 'POSIX')"
    " AND co.collprovider IN ('c', 'i') ORDER BY 2, 3, 1";

static const char extensions_sql[] =
    "SELECT NULL, 'v', e.extname, quote_ident(e.extname), e.extversion, " CREATE_EXTENSION
    " FROM pg_extension e JOIN pg_namespace en ON en.oid = e.extnamespace"
    " WHERE e.extname <> 'plpgsql' ORDER BY e.extname";

/* By the names that objects_sql gives them. */
#define OF_CLASS(class)                                                                     \
    "SELECT pg_describe_object('" class "'::regclass, oid, 0) AS name FROM " class " WHERE" \
                                                                                   " oid >= 16384"
#define OBJECTS                                                  \
    OF_CLASS("pg_operator")                                      \
    " UNION ALL " OF_CLASS("pg_opclass") " UNION ALL " OF_CLASS( \
        "pg_opfamily") " UNION ALL " OF_CLASS("pg_ts_config") " UNION ALL " OF_CLASS("pg_ts_dict")

/* present, makeable, forbidden or absent, and the version that is there (or would be). */
static const char there_sql[] =
    "WITH av AS MATERIALIZED (SELECT a.name, a.default_version, (SELECT rolsuper FROM pg_roles"
    "  WHERE rolname = current_user) OR has_database_privilege(current_database(), 'CREATE') AND"
    "  (NOT v.superuser OR coalesce((to_jsonb(v) ->> 'trusted')::bool, false)) AS may"
    "  FROM pg_available_extensions a JOIN pg_available_extension_versions v ON v.name = a.name"
    "  AND v.version = a.default_version),"
    " locale AS MATERIALIZED (SELECT lower(replace(collcollate, '-', '')) AS name FROM pg_collation"
    "  WHERE collprovider = 'c' UNION SELECT lower(replace(datcollate, '-', '')) FROM pg_database),"
    " fn AS MATERIALIZED (SELECT oid::regprocedure::text AS name FROM pg_proc WHERE oid >= 16384),"
    " ob AS MATERIALIZED (" OBJECTS ")"
    " SELECT CASE WHEN u.kind IN ('e', 'x', 'v') THEN CASE WHEN e.oid IS NOT NULL THEN 'present'"
    "  WHEN av.name IS NULL THEN 'absent' WHEN av.may THEN 'makeable' ELSE 'forbidden' END"
    " WHEN CASE u.kind WHEN 'f' THEN u.key IN (SELECT name FROM fn) WHEN 'o' THEN u.key IN (SELECT"
    "   name FROM ob) WHEN 'p' THEN u.key IN (SELECT name FROM fn UNION ALL SELECT name FROM ob)"
    "  WHEN 't' THEN u.key IN (SELECT format('%I.%I', n.nspname, t.typname)"
    "   FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid >= 16384)"
    "  WHEN 'c' THEN u.key IN (SELECT c.collname::text FROM pg_collation c"
    "   WHERE c.collnamespace = 'pg_catalog'::regnamespace AND c.collencoding IN (-1, (SELECT"
    "   encoding FROM pg_database WHERE datname = current_database())))"
    "  WHEN 'l' THEN lower(replace(u.key, '-', '')) IN (SELECT name FROM locale)"
    "  WHEN 'i' THEN EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i') END THEN 'present'"
    " ELSE 'absent' END, coalesce(e.extversion, av.default_version)"
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u(kind, key, ord)"
    " LEFT JOIN pg_extension e ON u.kind IN ('e', 'x', 'v') AND e.extname = u.key"
    " LEFT JOIN av ON u.kind IN ('e', 'x', 'v') AND av.name = u.key ORDER BY u.ord";

/* What one question answered, and what the destination says of each row. */
struct needs {
    struct pg_result *rows, *there; /* there NULL: no destination */
};

static const char *cell(const struct needs *n, size_t row, int col)
{
    return pg_text(n->rows, row, (size_t)col);
}
#define KIND(n, row) cell((n), (row), 1)[0]
#define KEY(n, row) cell((n), (row), 2)

static bool is_same(const struct needs *n, size_t a, size_t b)
{
    return KIND(n, a) == KIND(n, b) && strcmp(KEY(n, a), KEY(n, b)) == 0;
}

static const char *state_of(const struct needs *n, size_t row)
{
    return n->there ? pg_text(n->there, row, 0) : "unknown";
}

static bool ask_there(struct preflight *k, struct needs *n, struct err *err)
{
    size_t rows = pg_rows(n->rows);
    const char **cells = mem_calloc(2 * rows + 1, sizeof *cells);
    struct buf kinds = {0}, keys = {0};
    for (size_t i = 0; i < rows; i++) {
        cells[i] = cell(n, i, 1);
        cells[rows + i] = KEY(n, i);
    }
    pg_quote_array(&kinds, rows, cells);
    pg_quote_array(&keys, rows, cells + rows);
    const char *values[] = {buf_text(&kinds), buf_text(&keys)};
    bool ok = read_steadily(k->dest, k->dest_task, &k->tries, PREFLIGHT_MS, there_sql, 2, values,
                            &n->there, err);
    buf_free(&kinds);
    buf_free(&keys);
    free(cells);
    return ok;
}

static void needs_free(struct needs *n)
{
    pg_free(n->rows);
    pg_free(n->there);
}

/* Something that may be missing, and what that means. */
struct lack {
    char kind;
    const char *states; /* in which it is a finding */
    const char *code;
    enum severity severity;
    enum question_for purpose;
    const char *title, *cause, *remedy;
};

static bool is_lacking(const struct lack *l, const struct needs *n, size_t row)
{
    return KIND(n, row) == l->kind && strstr(l->states, state_of(n, row));
}

/* What the destination says, and where it is needed: rows from to to have the same key. */
static char *note_of(const struct needs *n, size_t from, size_t to)
{
    struct name_list parts = {0};
    if (!strcmp(state_of(n, from), "forbidden"))
        name_list_add(&parts, mem_strdup("the destination's user may not make it"));
    if (!strcmp(state_of(n, from), "absent") && strchr("ex", KIND(n, from)))
        name_list_add(&parts, mem_strdup("its package has to be installed on that host first"));
    for (size_t row = from; row < to; row++)
        if (!name_list_has(&parts, cell(n, row, 4)) && parts.n < 8)
            name_list_add(&parts, mem_strdup(cell(n, row, 4)));
    char *text = name_list_text(&parts, ", ", 300);
    name_list_free(&parts);
    return text;
}

/* One item for each thing that is lacking; every table that needs it counts. */
static void tell(struct preflight *k, const struct needs *n, const struct lack *l)
{
    findings_begin(k->f, l->code, l->severity);
    for (size_t from = 0, to; from < pg_rows(n->rows); from = to) {
        for (to = from; to < pg_rows(n->rows) && is_same(n, from, to);)
            to++;
        if (!is_lacking(l, n, from))
            continue;
        char *note = note_of(n, from, to);
        preflight_item(k, -1, cell(n, from, 3), note, cell(n, from, 5));
        for (size_t row = from; row < to; row++)
            preflight_verdict(k, pg_int(n->rows, row, 0) - 1);
        free(note);
    }
    findings_end(k->f, l->title, l->cause, l->remedy);
}

static bool look(struct preflight *k, const char *sql, const char *what, const struct lack *lacks,
                 size_t n_lacks, struct err *err)
{
    struct needs n = {0};
    const char *values[] = {k->oids};
    if (!read_steadily(k->source, k->source_task, &k->tries, PREFLIGHT_MS, sql, 1, values, &n.rows,
                       err))
        return preflight_refused(k, what, SEVERITY_ERROR, err);
    bool ok = !k->dest || preflight_go_on(k, ask_there(k, &n, err), what, err);
    for (size_t i = 0; ok && i < n_lacks; i++)
        if (k->is_report || lacks[i].purpose == FOR_MIRROR)
            tell(k, &n, &lacks[i]);
    needs_free(&n);
    return ok;
}

static const struct lack type_lacks[] = {
    {'e', "forbidden absent", "extension_missing", SEVERITY_ERROR, FOR_MIRROR,
     "the destination lacks an extension whose types the tables use",
     "Those tables cannot be made there. An extension that the destination's user may make comes"
     " with the mirror.",
     ""},
    {'t', "absent", "type_missing", SEVERITY_ERROR, FOR_REPORT,
     "the destination lacks a type that a mirror cannot make", "",
     "make the type at the destination first"},
    {'t', "unknown", "type_needed", SEVERITY_WARNING, FOR_REPORT,
     "a type that a mirror cannot make has to be at the destination first", "",
     "make the type at the destination first"},
};
static const struct lack object_lacks[] = {
    {'x', "forbidden absent", "extension_missing_for_parts", SEVERITY_WARNING, FOR_REPORT,
     "the destination lacks an extension that parts of tables use",
     "Those defaults, checks and indexes are left out until it is there.", ""},
    {'f', "absent unknown", "function_missing", SEVERITY_WARNING, FOR_REPORT,
     "parts of tables call functions that are not mirrored",
     "Those defaults, checks, generated columns and indexes are left out unless the destination has"
     " the function before the mirror is made.",
     "make the function at the destination first"},
    {'p', "absent", "partition_key_missing", SEVERITY_ERROR, FOR_REPORT,
     "the destination lacks what a partition key is made with",
     "Those partitioned tables cannot be made there without these functions and operator classes.",
     "make them at the destination first"},
    {'p', "unknown", "partition_key_needed", SEVERITY_WARNING, FOR_REPORT,
     "what a partition key is made with has to be at the destination first",
     "Those partitioned tables cannot be made there without these functions and operator classes.",
     "make them at the destination first"},
    {'o', "absent unknown", "object_missing", SEVERITY_WARNING, FOR_REPORT,
     "parts of tables use operators or other objects that are not mirrored",
     "Those defaults, checks and indexes are left out unless the destination has the object before"
     " the mirror is made.",
     "make the object at the destination first"},
};
static const struct lack collation_lacks[] = {
    {'c', "absent", "collation_missing", SEVERITY_ERROR, FOR_MIRROR,
     "the destination lacks a collation of the system",
     "The tables cannot be made there. Its locale has to be installed on that host (locale -a),"
     " then the server has to learn of it.",
     ""},
    {'l', "absent", "locale_missing", SEVERITY_WARNING, FOR_REPORT,
     "the destination seems to lack the locale of a collation",
     "A collation that is made with the mirror needs it; without one the table cannot be made.",
     "install the locale on the destination's host"},
    {'i', "absent", "icu_missing", SEVERITY_ERROR, FOR_MIRROR,
     "the destination's server has no ICU, and a collation needs it", "",
     "use a server that was built with ICU, or other collations"},
};

/* Every extension of the source, with its version here and there. */
static bool list_extensions(struct preflight *k, struct err *err)
{
    struct needs n = {0};
    if (!k->is_report)
        return true;
    if (!read_steadily(k->source, k->source_task, &k->tries, PREFLIGHT_MS, extensions_sql, 0, NULL,
                       &n.rows, err))
        return preflight_refused(k, "extensions", SEVERITY_INFO, err);
    bool ok = !k->dest || preflight_go_on(k, ask_there(k, &n, err), "extensions", err);
    findings_begin(k->f, "extensions", SEVERITY_INFO);
    for (size_t row = 0; ok && row < pg_rows(n.rows); row++) {
        const char *state = state_of(&n, row), *there = n.there ? pg_text(n.there, row, 1) : "";
        bool is_present = !strcmp(state, "present"), is_known = n.there != NULL;
        char *note =
            mem_printf("%s%s%s%s%s", cell(&n, row, 4), is_known ? "; at the destination: " : "",
                       there, is_present || !is_known || !*there ? "" : ", not installed",
                       is_known && !*there ? "not available" : "");
        preflight_item(k, -1, cell(&n, row, 3), note,
                       is_present || !is_known ? NULL : cell(&n, row, 5));
        free(note);
    }
    findings_end(k->f, "extensions of the source",
                 "Those that mirrored tables need are made with the mirror, where its user may.",
                 "the destination's host needs their packages");
    needs_free(&n);
    return ok;
}

bool preflight_needs(struct preflight *k, struct err *err)
{
    return look(k, types_sql, "types of columns", type_lacks, COUNT_OF(type_lacks), err) &&
           (!k->is_report || look(k, objects_sql, "objects that parts of tables use", object_lacks,
                                  COUNT_OF(object_lacks), err)) &&
           (!k->dest || look(k, collations_sql, "collations", collation_lacks,
                             COUNT_OF(collation_lacks), err)) &&
           list_extensions(k, err);
}
