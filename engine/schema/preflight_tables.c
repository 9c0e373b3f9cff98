/* What may stop a table from being mirrored, and what is to be known of it before it is: a table of
 * questions, each asked of all tables at once. Nothing here is asked a second time elsewhere. */
#include "schema/preflight_private.h"

#define MEGABYTES_WITHOUT_STATISTICS "64"
#define MANY_COLUMNS "500"

/* Whether an index lets a row be found by its replica identity. The stream has no generated
 * columns.
 */
#define USABLE_INDEX(x)                                                                       \
    x ".indimmediate AND " x ".indisvalid AND " x ".indisunique AND NOT EXISTS (SELECT FROM " \
      "pg_attribute g WHERE g.attrelid = " x ".indrelid AND g.attgenerated <> '' AND "        \
      "g.attnum = ANY ((" x ".indkey::int2[])[0:" x ".indnkeyatts - 1]))"

static const char no_select_sql[] =
    "SELECT u.i, " TARGET_NAME ", NULL, concat_ws(E'\\n',"
    " CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE')"
    "  THEN format('GRANT USAGE ON SCHEMA %I TO %I;', n.nspname, current_user) END,"
    " CASE WHEN NOT has_table_privilege(c.oid, 'SELECT')"
    "  THEN format('GRANT SELECT ON %I.%I TO %I;', n.nspname, c.relname, current_user) "
    "END)" EACH_TARGET " WHERE NOT (has_schema_privilege(n.oid, 'USAGE')"
    " AND has_table_privilege(c.oid, 'SELECT')) ORDER BY u.i";

static const char owner_sql[] =
    "SELECT u.i, " TARGET_NAME ", format('its owner is %I', pg_get_userbyid(c.relowner)),"
    " format('ALTER TABLE %I.%I OWNER TO %I;', n.nspname, c.relname, current_user)" EACH_TARGET
    " WHERE NOT pg_has_role(c.relowner, 'USAGE') ORDER BY u.i";

static const char unlogged_sql[] = "SELECT u.i, " TARGET_NAME ", NULL, " ALTER_TARGET("SET LOGGED")
    EACH_TARGET " WHERE c.relpersistence = 'u' ORDER BY u.i";

static const char foreign_sql[] =
    "SELECT u.i, " TARGET_NAME ", NULL, NULL FROM unnest($1::oid[]) WITH ORDINALITY u(oid, i)"
    " JOIN pg_class c ON c.oid = u.oid AND c.relkind = 'f'"
    " JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY u.i";

static const char row_security_sql[] =
    "SELECT u.i, " TARGET_NAME
    ", NULL, format('ALTER ROLE %I BYPASSRLS;', current_user)" EACH_TARGET
    " WHERE row_security_active(c.oid) ORDER BY u.i";

/* The best that there is: the primary key, else a unique index over NOT NULL columns, else FULL. */
static const char identity_sql[] =
    "SELECT u.i, " TARGET_NAME ", CASE c.relreplident"
    " WHEN 'n' THEN 'its replica identity is NOTHING'"
    " WHEN 'i' THEN 'the index of its replica identity is gone, not valid, or has a generated "
    "column'"
    " ELSE CASE WHEN k.is_usable THEN '' WHEN k.is_usable IS NULL THEN 'it has no primary key'"
    "  ELSE 'its primary key is deferrable, not valid, or made of a generated column' END END,"
    " CASE WHEN k.is_usable THEN " ALTER_TARGET(
        "REPLICA IDENTITY DEFAULT") " WHEN best.relname IS NOT NULL THEN format('ALTER TABLE %I.%I "
                                    "REPLICA IDENTITY USING INDEX"
                                    " %I;', n.nspname, c.relname, best.relname)"
                                    " ELSE " ALTER_TARGET(
                                        "REPLICA IDENTITY FULL") " END" EACH_TARGET
                                                                 " LEFT JOIN LATERAL "
                                                                 "(SELECT " USABLE_INDEX(
                                                                     "x") " AS is_usable FROM "
                                                                          "pg_index x"
                                                                          "  WHERE x.indrelid = "
                                                                          "c.oid AND "
                                                                          "x.indisprimary) k ON "
                                                                          "true"
                                                                          " LEFT JOIN LATERAL "
                                                                          "(SELECT xc.relname FROM "
                                                                          "pg_index x JOIN "
                                                                          "pg_class xc ON xc.oid = "
                                                                          "x.indexrelid"
                                                                          "  WHERE x.indrelid = "
                                                                          "c.oid AND " USABLE_INDEX(
                                                                              "x") " AND x.indpred "
                                                                                   "IS NULL"
                                                                                   "  AND "
                                                                                   "x.indexprs IS "
                                                                                   "NULL AND NOT "
                                                                                   "EXISTS (SELECT "
                                                                                   "FROM "
                                                                                   "generate_"
                                                                                   "series(0, "
                                                                                   "x.indnkeyatts "
                                                                                   "- 1) p"
                                                                                   "   JOIN "
                                                                                   "pg_attribute a "
                                                                                   "ON a.attrelid "
                                                                                   "= c.oid AND "
                                                                                   "a.attnum = "
                                                                                   "x.indkey[p] "
                                                                                   "AND NOT "
                                                                                   "a.attnotnull)"
                                                                                   "  ORDER BY "
                                                                                   "x.indnkeyatts, "
                                                                                   "xc.relname "
                                                                                   "LIMIT 1) best "
                                                                                   "ON true"
                                                                                   " WHERE "
                                                                                   "c.relkind = "
                                                                                   "'r' AND "
                                                                                   "c.relreplident "
                                                                                   "<> 'f' AND NOT "
                                                                                   "EXISTS (SELECT "
                                                                                   "FROM pg_index x"
                                                                                   "  WHERE "
                                                                                   "x.indrelid = "
                                                                                   "c.oid "
                                                                                   "AND"
                                                                                   " " USABLE_INDEX(
                                                                                       "x") " AND "
                                                                                            "CASE "
                                                                                            "c."
                                                                                            "relrep"
                                                                                            "lident"
                                                                                            "  "
                                                                                            "WHEN "
                                                                                            "'d' "
                                                                                            "THEN "
                                                                                            "x."
                                                                                            "indisp"
                                                                                            "rimary"
                                                                                            " WHEN "
                                                                                            "'i' "
                                                                                            "THEN "
                                                                                            "x."
                                                                                            "indisr"
                                                                                            "eplide"
                                                                                            "nt "
                                                                                            "ELSE "
                                                                                            "false "
                                                                                            "END) "
                                                                                            "ORDER "
                                                                                            "BY "
                                                                                            "u.i";

static const char excluded_sql[] =
    "SELECT u.i, " TARGET_NAME
    ", string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), NULL" EACH_TARGET
    " JOIN unnest($2::text[]) WITH ORDINALITY e(ex, i) ON e.i = u.i"
    " JOIN pg_index x ON x.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN x.indisprimary"
    "  WHEN 'i' THEN x.indisreplident ELSE false END"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (x.indkey::int2[])"
    "  AND a.attname = ANY (e.ex::text[]) GROUP BY u.i, n.nspname, c.relname ORDER BY u.i";

/* CREATE PUBLICATION needs SHARE UPDATE EXCLUSIVE, the copy ACCESS SHARE. Autovacuum gives way; who
 * may not see that it is one does not hear of SHARE UPDATE EXCLUSIVE. */
static const char locked_sql[] =
    "SELECT u.i, " TARGET_NAME ", format('%s, %s%s', l.mode, coalesce('process ' || l.pid,"
    "  'a prepared transaction'), ' (' || nullif(a.application_name, '') || ')'),"
    " CASE WHEN l.pid IS NOT NULL"
    "  THEN format('SELECT pg_terminate_backend(%s);', l.pid) END" EACH_TARGET
    " JOIN pg_locks l ON l.locktype = 'relation' AND l.relation = c.oid AND l.granted"
    "  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    "  AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',"
    "   'ExclusiveLock', 'AccessExclusiveLock') AND l.pid IS DISTINCT FROM pg_backend_pid()"
    " LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE a.backend_type IS DISTINCT FROM 'autovacuum worker'"
    "  AND (l.mode <> 'ShareUpdateExclusiveLock' OR a.backend_type IS NOT NULL OR l.pid IS NULL)"
    " ORDER BY u.i, l.pid, l.mode";

static const char invalid_index_sql[] =
    "SELECT u.i, format('%I.%I', n.nspname, xc.relname), 'index of ' || " TARGET_NAME ","
    " CASE WHEN c.relkind = 'r' THEN format('REINDEX INDEX CONCURRENTLY %I.%I;', n.nspname,"
    "  xc.relname) END" EACH_TARGET " JOIN pg_index x ON x.indrelid = c.oid"
    "  AND NOT (x.indisvalid AND x.indislive) JOIN pg_class xc ON xc.oid = x.indexrelid"
    " ORDER BY u.i, xc.relname";

static const char sequence_rights_sql[] =
    "SELECT q.i, format('%I.%I', n.nspname, c.relname), NULL, concat_ws(E'\\n',"
    " CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE')"
    "  THEN format('GRANT USAGE ON SCHEMA %I TO %I;', n.nspname, current_user) END,"
    " format('GRANT SELECT ON SEQUENCE %I.%I TO %I;', n.nspname, c.relname, current_user)) FROM ("
    " SELECT d.objid, min(u.i) AS i FROM unnest($1::oid[]) WITH ORDINALITY u(oid, i)"
    "  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = u.oid"
    "  AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') GROUP BY d.objid UNION"
    " SELECT d.refobjid, min(u.i) FROM unnest($1::oid[]) WITH ORDINALITY u(oid, i)"
    "  JOIN pg_attrdef a ON a.adrelid = u.oid JOIN pg_depend d"
    "  ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid"
    "  AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> u.oid GROUP BY d.refobjid) q"
    " JOIN pg_class c ON c.oid = q.objid AND c.relkind = 'S'"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT (has_schema_privilege(n.oid, 'USAGE')"
    " AND has_sequence_privilege(c.oid, 'SELECT')) ORDER BY q.i, 2";

/* Before 14 a table that was never analysed says 0 rows. A locked one has no size for now. */
static const char never_analysed_sql[] =
    "SELECT u.i, " TARGET_NAME ", pg_size_pretty(z.bytes), format('ANALYZE %I.%I;', n.nspname,"
    " c.relname)" EACH_TARGET " CROSS JOIN LATERAL (SELECT CASE WHEN " NOT_LOCKED(
        "c.oid") "  THEN pg_relation_size(c.oid) END AS bytes) z"
                 " WHERE c.relkind = 'r' AND (c.reltuples < 0 OR c.reltuples = 0 AND c.relpages = 0"
                 "  AND current_setting('server_version_num')::int < 140000)"
                 " AND z.bytes >= " MEGABYTES_WITHOUT_STATISTICS " * 1048576 ORDER BY u.i";

static const char identity_full_sql[] =
    "SELECT u.i, " TARGET_NAME ", CASE WHEN k.yes THEN 'it has a primary key' END,"
    " CASE WHEN k.yes THEN " ALTER_TARGET(
        "REPLICA IDENTITY DEFAULT") " END" EACH_TARGET " CROSS JOIN LATERAL (SELECT EXISTS (SELECT "
                                    "FROM pg_index x WHERE"
                                    "  x.indrelid = c.oid AND x.indisprimary AND " USABLE_INDEX(
                                        "x") ") AS yes) k"
                                             " WHERE c.relkind = 'r' AND c.relreplident = 'f' "
                                             "ORDER BY u.i";

static const char deferrable_key_sql[] =
    "SELECT u.i, " TARGET_NAME ", quote_ident(k.conname), NULL" EACH_TARGET
    " JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p' AND k.condeferrable"
    " ORDER BY u.i";

/* The type's values are stored as OIDs, and sent as the names of objects. */
static const char reg_sql[] =
    "SELECT u.i, " TARGET_NAME ", string_agg(format('%I %s', a.attname,"
    "  format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum), NULL" EACH_TARGET
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " JOIN pg_type t ON t.oid = a.atttypid AND t.typnamespace = 'pg_catalog'::regnamespace"
    "  AND t.typname ~ '^_?reg' GROUP BY u.i, n.nspname, c.relname ORDER BY u.i";

static const char identity_always_sql[] =
    "SELECT u.i, " TARGET_NAME
    ", string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), NULL" EACH_TARGET
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT"
    " a.attisdropped AND a.attidentity = 'a' WHERE NOT c.relispartition"
    " GROUP BY u.i, n.nspname, c.relname ORDER BY u.i";

static const char generated_sql[] =
    "SELECT u.i, " TARGET_NAME
    ", string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), NULL" EACH_TARGET
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT"
    " a.attisdropped AND a.attgenerated <> '' WHERE NOT c.relispartition"
    " GROUP BY u.i, n.nspname, c.relname ORDER BY u.i";

static const char partitioned_sql[] =
    "SELECT u.i, " TARGET_NAME ", 'partitions: ' || (SELECT count(*) FROM"
    "  pg_partition_tree(c.oid) p WHERE p.isleaf), NULL" EACH_TARGET
    " WHERE c.relkind = 'p' AND NOT c.relispartition ORDER BY u.i";

static const char inheritance_sql[] =
    "SELECT u.i, " TARGET_NAME ", 'children: ' || string_agg(format('%I.%I', hn.nspname,"
    "  h.relname), ', ' ORDER BY hn.nspname, h.relname), NULL" EACH_TARGET
    " JOIN pg_inherits i ON i.inhparent = c.oid JOIN pg_class h ON h.oid = i.inhrelid"
    "  AND NOT h.relispartition JOIN pg_namespace hn ON hn.oid = h.relnamespace"
    " GROUP BY u.i, n.nspname, c.relname ORDER BY u.i";

static const char exclusion_sql[] =
    "SELECT u.i, " TARGET_NAME
    ", string_agg(quote_ident(k.conname), ', ' ORDER BY k.conname), NULL" EACH_TARGET
    " JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'x'"
    " GROUP BY u.i, n.nspname, c.relname ORDER BY u.i";

static const char wide_sql[] =
    "SELECT u.i, " TARGET_NAME ", format('%s columns', a.n), NULL" EACH_TARGET
    " CROSS JOIN LATERAL (SELECT count(*) AS n FROM pg_attribute a WHERE a.attrelid = c.oid"
    "  AND a.attnum > 0 AND NOT a.attisdropped) a WHERE c.relnatts > " MANY_COLUMNS
    " AND a.n > " MANY_COLUMNS " ORDER BY u.i";

static const char tablespace_sql[] =
    "SELECT o.i, " TARGET_NAME ", 'tablespace ' || quote_ident(s.spcname), NULL FROM ("
    " SELECT u.i, u.oid FROM unnest($1::oid[]) WITH ORDINALITY u(oid, i) UNION ALL"
    " SELECT u.i, x.indexrelid FROM unnest($1::oid[]) WITH ORDINALITY u(oid, i)"
    "  JOIN pg_index x ON x.indrelid = u.oid) o JOIN pg_class c ON c.oid = o.oid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_tablespace s ON s.oid = c.reltablespace ORDER BY o.i, c.relname";

static const char triggers_sql[] =
    "SELECT u.i, " TARGET_NAME
    ", string_agg(quote_ident(g.tgname), ', ' ORDER BY g.tgname), NULL" EACH_TARGET
    " JOIN pg_trigger g ON g.tgrelid = c.oid AND NOT g.tgisinternal"
    " WHERE NOT c.relispartition GROUP BY u.i, n.nspname, c.relname ORDER BY u.i";

static const char rules_sql[] =
    "SELECT u.i, " TARGET_NAME ", string_agg(quote_ident(w.rulename), ', ' ORDER BY w.rulename),"
    " NULL" EACH_TARGET " JOIN pg_rewrite w ON w.ev_class = c.oid"
    " GROUP BY u.i, n.nspname, c.relname ORDER BY u.i";

static const char policies_sql[] =
    "SELECT u.i, " TARGET_NAME ", (SELECT string_agg(quote_ident(p.polname), ', ' ORDER BY"
    "  p.polname) FROM pg_policy p WHERE p.polrelid = c.oid), NULL" EACH_TARGET
    " WHERE c.relrowsecurity OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)"
    " ORDER BY u.i";

#define AFTERWARDS "bring them with pg_dump --schema-only once the applications use the destination"

const struct question table_questions[] = {
    {"no_select_right", SEVERITY_ERROR, ABOUT_TABLES, FOR_MIRROR, "the source's user may not read",
     "", "", no_select_sql},
    {"table_owner", SEVERITY_ERROR, ABOUT_TABLES, FOR_MIRROR,
     "only the owner can publish, and the source's user is not the owner",
     "A table's owner, and whoever is a member of that role, may put it into a publication: GRANT"
     " of the owner's role to the user helps as well.",
     "", owner_sql},
    {"unlogged_table", SEVERITY_ERROR, ABOUT_TABLES, FOR_MIRROR,
     "an unlogged table cannot be published", "Its changes are not in the WAL.", "", unlogged_sql},
    {"foreign_partition", SEVERITY_ERROR, ABOUT_TABLES, FOR_MIRROR,
     "a partition that is a foreign table has no WAL", "",
     "map the other partitions by themselves, without their partitioned table", foreign_sql},
    {"row_security", SEVERITY_ERROR, ABOUT_TABLES, FOR_MIRROR,
     "row level security hides rows from the source's user", "", "", row_security_sql},
    {"no_replica_identity", SEVERITY_ERROR, ABOUT_TABLES, FOR_MIRROR,
     "no primary key or replica identity for updates and deletes",
     "Once it is published, the source would refuse UPDATE and DELETE on it. FULL works for every"
     " table, and puts the whole old row into the WAL.",
     "", identity_sql},
    {"excluded_key", SEVERITY_ERROR, ABOUT_KEYS, FOR_MIRROR,
     "an excluded column belongs to the replica identity", "", "do not exclude key columns",
     excluded_sql},
    {"table_locked", SEVERITY_WARNING, ABOUT_TABLES, FOR_REPORT, "a lock is held on a table",
     "Publishing or copying it has to wait for that session.", "end the session, or wait for it",
     locked_sql},
    {"invalid_index", SEVERITY_WARNING, ABOUT_TABLES, FOR_REPORT, "an index is not valid",
     "It is left out at the destination; that of a partitioned table is made as it is.",
     "build the index of every partition", invalid_index_sql},
    {"sequence_rights", SEVERITY_WARNING, ABOUT_TABLES, FOR_MIRROR,
     "the source's user may not read sequences: their values do not follow", "", "",
     sequence_rights_sql},
    {"never_analysed", SEVERITY_WARNING, ABOUT_TABLES, FOR_REPORT,
     "a large table was never analysed",
     "Its rows cannot be estimated, and neither can the time"
     " that its copy takes.",
     "", never_analysed_sql},
    {"replica_identity_full", SEVERITY_INFO, ABOUT_TABLES, FOR_REPORT,
     "updates and deletes look for the whole row (REPLICA IDENTITY FULL)",
     "Without a key each of them may read the whole table at the destination, unless an index"
     " helps.",
     "a primary key makes them fast", identity_full_sql},
    {"deferrable_key", SEVERITY_INFO, ABOUT_TABLES, FOR_REPORT, "the primary key is deferrable",
     "It names no row before the COMMIT: changes are applied one by one.", "", deferrable_key_sql},
    {"reg_columns", SEVERITY_WARNING, ABOUT_TABLES, FOR_REPORT,
     "columns hold the names of objects (regclass and others)",
     "A row cannot be written while the destination has no object of that name.",
     "create those objects at the destination first, or exclude the columns", reg_sql},
    {"identity_by_default", SEVERITY_INFO, ABOUT_TABLES, FOR_REPORT,
     "an identity column GENERATED ALWAYS is BY DEFAULT at the destination",
     "Rows could not be written otherwise.",
     "once the applications use the destination: ALTER TABLE … ALTER COLUMN … SET GENERATED ALWAYS",
     identity_always_sql},
    {"generated_columns", SEVERITY_INFO, ABOUT_TABLES, FOR_REPORT,
     "generated columns are computed at the destination", "They are neither copied nor streamed.",
     "", generated_sql},
    {"partitioned", SEVERITY_INFO, ABOUT_TABLES, FOR_REPORT,
     "a partitioned table is mirrored partition by partition",
     "A partition that is added later comes with sync-schema.", "", partitioned_sql},
    {"inheritance", SEVERITY_INFO, ABOUT_TABLES, FOR_REPORT,
     "a table that others inherit from carries its own rows only",
     "Each child is a table of its own.", "map the children, too", inheritance_sql},
    {"exclusion_constraint", SEVERITY_INFO, ABOUT_TABLES, FOR_REPORT,
     "a table with an exclusion constraint",
     "Its changes are applied in their exact order, which"
     " is slower.",
     "", exclusion_sql},
    {"wide_table", SEVERITY_INFO, ABOUT_TABLES, FOR_REPORT, "a very wide table",
     "Its changes take more time and memory than others.",
     "exclude columns that nobody needs there", wide_sql},
    {"tablespace_ignored", SEVERITY_INFO, ABOUT_TABLES, FOR_REPORT, "tablespaces are not mirrored",
     "The destination's default is used.",
     "default_tablespace of the destination's database says where", tablespace_sql},
    {"triggers_not_mirrored", SEVERITY_INFO, ABOUT_TABLES, FOR_REPORT, "triggers are not mirrored",
     "Their effects on mirrored tables are.", AFTERWARDS, triggers_sql},
    {"rules_not_mirrored", SEVERITY_INFO, ABOUT_TABLES, FOR_REPORT, "rules are not mirrored", "",
     AFTERWARDS, rules_sql},
    {"policies_not_mirrored", SEVERITY_INFO, ABOUT_TABLES, FOR_REPORT,
     "row level security is not mirrored",
     "Whoever may read the table at the destination sees all of its rows.", AFTERWARDS,
     policies_sql},
};
const size_t table_question_count = COUNT_OF(table_questions);
