/* What the database has that a mirror does not carry, counted and named, and what it carries along
 * with the tables. */
#include "schema/preflight_private.h"

#define LATER "bring them with pg_dump --schema-only once the applications use the destination"

/* Relations of one kind, not an extension's. */
#define RELATIONS(kind)                                                                \
    "SELECT NULL, " TARGET_NAME ", NULL, NULL FROM pg_class c JOIN pg_namespace n"     \
    " ON n.oid = c.relnamespace WHERE c.relkind = '" kind "' AND NOT c.relispartition" \
    " AND c.relpersistence <> 't' AND " OF_USERS " AND " OF_NO_EXTENSION               \
    " ORDER BY n.nspname, c.relname"

/* Those that a type makes for itself (a range's constructors) come with it. */
static const char functions_sql[] =
    "SELECT NULL, format('%I.%I(%s)', n.nspname, p.proname,"
    " pg_get_function_identity_arguments(p.oid)), CASE p.prokind WHEN 'p' THEN 'procedure'"
    " WHEN 'a' THEN 'aggregate' WHEN 'w' THEN 'window function' END, NULL FROM pg_proc p"
    " JOIN pg_namespace n ON n.oid = p.pronamespace WHERE NOT EXISTS (SELECT FROM pg_depend d"
    "  WHERE d.deptype IN ('e', 'i') AND d.classid = 'pg_proc'::regclass AND d.objid = p.oid)"
    " AND " OF_USERS " ORDER BY n.nspname, p.proname, 2";

static const char event_triggers_sql[] =
    "SELECT NULL, quote_ident(e.evtname), e.evtevent, NULL FROM pg_event_trigger e"
    " WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e'"
    "  AND d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid) ORDER BY e.evtname";

/* No sum of their sizes: that would read all of them. */
static const char large_objects_sql[] =
    "SELECT NULL, 'pg_largeobject', format('objects: %s, table of %s', m.n,"
    " pg_size_pretty(pg_relation_size('pg_largeobject'::regclass))), NULL"
    " FROM (SELECT count(*) AS n FROM pg_largeobject_metadata) m WHERE m.n > 0";

/* Sequences of tables' columns and defaults come along, and those of their domains. */
#define IS_USED                                                                        \
    "(EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass"          \
    "  AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass"                    \
    "  AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')) OR EXISTS (SELECT FROM"      \
    "  pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid"   \
    "  AND d.classid = 'pg_attrdef'::regclass) OR EXISTS (SELECT FROM pg_depend d"     \
    "  JOIN pg_depend k ON k.refclassid = d.classid AND k.refobjid = d.objid"          \
    "  AND k.classid = 'pg_class'::regclass WHERE d.refclassid = 'pg_class'::regclass" \
    "  AND d.refobjid = c.oid AND d.classid = 'pg_type'::regclass))"

static const char used_sequences_sql[] =
    "SELECT NULL, " TARGET_NAME ", NULL, NULL FROM pg_class c JOIN pg_namespace n"
    " ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND c.relpersistence <> 't'"
    " AND " OF_USERS " AND " IS_USED " ORDER BY n.nspname, c.relname";

static const char lone_sequences_sql[] =
    "SELECT NULL, " TARGET_NAME ", NULL, format('CREATE SEQUENCE %I.%I AS %s START WITH %s"
    " INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s%s;', n.nspname, c.relname,"
    " format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,"
    " CASE WHEN s.seqcycle THEN ' CYCLE' END) FROM pg_class c JOIN pg_sequence s"
    " ON s.seqrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relpersistence <> 't' AND " OF_USERS " AND " OF_NO_EXTENSION " AND NOT " IS_USED
    " ORDER BY n.nspname, c.relname";

static const char temporary_sql[] =
    "SELECT NULL, " TARGET_NAME ", NULL, NULL FROM pg_class c JOIN pg_namespace n"
    " ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 't'"
    " ORDER BY n.nspname, c.relname";

static const char extension_tables_sql[] =
    "SELECT NULL, " TARGET_NAME ", 'extension ' || quote_ident(e.extname), NULL FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_depend d ON d.deptype = 'e'"
    "  AND d.classid = 'pg_class'::regclass AND d.objid = c.oid JOIN pg_extension e"
    "  ON e.oid = d.refobjid WHERE c.relkind IN ('r', 'p') AND " OF_USERS
    " ORDER BY n.nspname, c.relname";

/* Kinds that few databases have, only counted. */
static const char other_sql[] =
    "SELECT NULL, x.kind, count(*)::text, NULL FROM ("
    " SELECT 'operators' AS kind, 'pg_operator'::regclass AS class, oid, oprnamespace AS ns"
    "  FROM pg_operator UNION ALL"
    " SELECT 'operator classes', 'pg_opclass'::regclass, oid, opcnamespace FROM pg_opclass UNION "
    "ALL"
    " SELECT 'conversions', 'pg_conversion'::regclass, oid, connamespace FROM pg_conversion"
    "  UNION ALL SELECT 'text search configurations', 'pg_ts_config'::regclass, oid, cfgnamespace"
    "  FROM pg_ts_config UNION ALL SELECT 'text search dictionaries', 'pg_ts_dict'::regclass, oid,"
    "  dictnamespace FROM pg_ts_dict UNION ALL"
    " SELECT 'casts', 'pg_cast'::regclass, oid, 0 FROM pg_cast UNION ALL"
    " SELECT 'languages', 'pg_language'::regclass, oid, 0 FROM pg_language UNION ALL"
    " SELECT 'foreign servers', 'pg_foreign_server'::regclass, oid, 0 FROM pg_foreign_server"
    "  UNION ALL SELECT 'default privileges', 'pg_default_acl'::regclass, oid, 0"
    "  FROM pg_default_acl) x LEFT JOIN pg_namespace n ON n.oid = x.ns"
    " WHERE x.oid >= 16384 AND (n.oid IS NULL OR " OF_USERS ") AND NOT EXISTS (SELECT FROM"
    "  pg_depend d WHERE d.deptype = 'e' AND d.classid = x.class AND d.objid = x.oid)"
    " GROUP BY x.kind ORDER BY x.kind";

static const char rights_sql[] =
    "SELECT NULL, coalesce(quote_ident(r.rolname), 'PUBLIC'), 'tables: ' || count(DISTINCT"
    " c.oid), NULL FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
    " WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND a.grantee <> c.relowner"
    " AND " OF_USERS " GROUP BY 2 ORDER BY 2";

const struct question object_questions[] = {
    {"large_objects", SEVERITY_WARNING, ABOUT_SERVER, FOR_REPORT, "large objects are not mirrored",
     "They are not decoded from the WAL. Columns of type oid (or lo) come along, what they refer"
     " to does not.",
     "copy them with pg_dump --large-objects --data-only while nobody changes them, or keep such"
     " values in bytea columns",
     large_objects_sql},
    {"sequences_not_mirrored", SEVERITY_WARNING, ABOUT_SERVER, FOR_REPORT,
     "sequences that no table uses are not mirrored",
     "No column owns them, and no default calls them.", "", lone_sequences_sql},
    {"views_not_mirrored", SEVERITY_INFO, ABOUT_SERVER, FOR_REPORT, "views are not mirrored", "",
     LATER, RELATIONS("v")},
    {"materialized_views_not_mirrored", SEVERITY_INFO, ABOUT_SERVER, FOR_REPORT,
     "materialized views are not mirrored", "", LATER, RELATIONS("m")},
    {"foreign_tables_not_mirrored", SEVERITY_INFO, ABOUT_SERVER, FOR_REPORT,
     "foreign tables are not mirrored", "Their rows are elsewhere.", LATER, RELATIONS("f")},
    {"functions_not_mirrored", SEVERITY_INFO, ABOUT_SERVER, FOR_REPORT,
     "functions and procedures are not mirrored", "", LATER, functions_sql},
    {"event_triggers_not_mirrored", SEVERITY_INFO, ABOUT_SERVER, FOR_REPORT,
     "event triggers are not mirrored", "", LATER, event_triggers_sql},
    {"extension_tables", SEVERITY_INFO, ABOUT_SERVER, FOR_REPORT,
     "tables of extensions are left out", "CREATE EXTENSION makes and fills them.",
     "map them by name if their rows are yours", extension_tables_sql},
    {"temporary_tables", SEVERITY_INFO, ABOUT_SERVER, FOR_REPORT,
     "temporary tables are not mirrored", "They belong to one session.", "", temporary_sql},
    {"other_objects", SEVERITY_INFO, ABOUT_SERVER, FOR_REPORT, "these are not mirrored", "", LATER,
     other_sql},
    {"rights_not_mirrored", SEVERITY_INFO, ABOUT_SERVER, FOR_REPORT,
     "owners and GRANTs are not mirrored", "What is made belongs to the destination's user.", LATER,
     rights_sql},
    {"sequences_follow", SEVERITY_INFO, ABOUT_SERVER, FOR_REPORT,
     "sequences that tables use come along", "", "nothing has to be done", used_sequences_sql},
};
const size_t object_question_count = COUNT_OF(object_questions);
