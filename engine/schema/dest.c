/* What a relation at the destination really is, for the stream's statements. */
#include "schema/schema_private.h"

#include <stdlib.h>

void dest_table_free(struct dest_table *t)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        free(t->columns[i].name);
        free(t->columns[i].type);
        free(t->columns[i].equals);
        free(t->columns[i].base);
        free(t->columns[i].uniques);
        free(t->columns[i].plain);
        free(t->columns[i].array);
    }
    for (size_t i = 0; i < t->n_key; i++)
        free(t->key[i]);
    free(t->columns);
    free(t->key);
    *t = (struct dest_table){0};
}

/* Whether something but its own indexes and checks looks at a change of a row of k: triggers and
 * rules fire as the session's role says. */
#define IS_SEEN                                                                                \
    "(k.relkind NOT IN ('r', 'p') OR k.relrowsecurity"                                         \
    " OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = k.oid)"                \
    " OR EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = k.oid AND (g.tgenabled" \
    "  = 'A' OR g.tgenabled = CASE pg_catalog.current_setting('session_replication_role')"     \
    "  WHEN 'replica' THEN 'R'::pg_catalog.\"char\" ELSE 'O'::pg_catalog.\"char\" END)))"

const char schema_seen_sql[] =
    "WITH RECURSIVE tree(oid, relkind) AS (SELECT c.oid, c.relkind FROM pg_catalog.pg_class c"
    "  WHERE c.oid = ANY ($1::pg_catalog.regclass[]) UNION ALL SELECT k.oid, k.relkind FROM tree"
    "  JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid AND tree.relkind = 'p'"
    "  JOIN pg_catalog.pg_class k ON k.oid = i.inhrelid)"
    " SELECT FROM tree JOIN pg_catalog.pg_class k ON k.oid = tree.oid WHERE " IS_SEEN;

/* Whether a type can be compared: domains and arrays are followed to the type at their end, which
 * needs a default btree or hash operator class, by itself or by the type it is stored as. The = of
 * an extension's type is in the extension's schema (arrays of it have pg_catalog's). */
static const char columns_sql[] =
    "WITH RECURSIVE c AS (SELECT c.oid, c.relkind FROM pg_class c JOIN pg_namespace n"
    "  ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2"
    "  AND c.relkind IN ('r', 'p')),"
    " a AS (SELECT a.* FROM c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
    "  AND NOT a.attisdropped),"
    " walk(attnum, oid) AS (SELECT attnum, atttypid FROM a UNION ALL"
    "  SELECT w.attnum, CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END FROM walk w"
    "  JOIN pg_type t ON t.oid = w.oid WHERE t.typtype = 'd' OR t.typcategory = 'A'),"
    " atom AS (SELECT w.attnum, t.oid, t.typtype FROM walk w JOIN pg_type t ON t.oid = w.oid"
    "  WHERE t.typtype <> 'd' AND t.typcategory <> 'A'),"
    " tree(oid, relkind) AS (SELECT oid, relkind FROM c UNION ALL SELECT k.oid, k.relkind FROM tree"
    "  JOIN pg_inherits i ON i.inhparent = tree.oid AND tree.relkind = 'p'"
    "  JOIN pg_class k ON k.oid = i.inhrelid),"
    " base(attnum, oid) AS (SELECT attnum, atttypid FROM a UNION ALL SELECT b.attnum, t.typbasetype"
    "  FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd')"
    " SELECT c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid,"
    " a.attgenerated <> '', EXISTS (SELECT FROM atom WHERE atom.attnum = a.attnum"
    "  AND (atom.typtype IN ('e', 'r', 'm') OR EXISTS (SELECT FROM pg_opclass o JOIN pg_am am"
    "  ON am.oid = o.opcmethod AND am.amname IN ('btree', 'hash') WHERE o.opcdefault"
    "  AND (o.opcintype = atom.oid OR EXISTS (SELECT FROM pg_cast k WHERE k.castsource = atom.oid"
    "  AND k.casttarget = o.opcintype AND k.castmethod = 'b' AND k.castcontext = 'i'))))),"
    " (SELECT k.pos FROM pg_index x, unnest(x.indkey::int2[]) WITH ORDINALITY k(num, pos)"
    "  WHERE x.indrelid = c.oid AND x.indisprimary AND k.num = a.attnum"
    "  AND k.pos <= x.indnkeyatts),"
    " EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary"
    "  AND NOT x.indimmediate),"
    " (SELECT format('OPERATOR(%I.%s)', n.nspname, p.oprname) FROM base JOIN pg_opclass o"
    "  ON o.opcintype = base.oid AND o.opcdefault JOIN pg_am am ON am.oid = o.opcmethod"
    "  JOIN pg_amop m ON m.amopfamily = o.opcfamily AND m.amoplefttype = base.oid"
    "  AND m.amoprighttype = base.oid AND m.amopstrategy = CASE am.amname WHEN 'btree' THEN 3"
    "  WHEN 'hash' THEN 1 END JOIN pg_operator p ON p.oid = m.amopopr JOIN pg_namespace n"
    "  ON n.oid = p.oprnamespace WHERE base.attnum = a.attnum AND n.nspname <> 'pg_catalog'"
    "  ORDER BY am.amname LIMIT 1),"
    " (SELECT format_type(b.oid, -1) FROM base b JOIN pg_type t ON t.oid = b.oid"
    "  AND t.typtype <> 'd' WHERE b.attnum = a.attnum AND b.oid <> a.atttypid),"
    " (SELECT string_agg(x.indexrelid || ':' || x.indnkeyatts, ' ') FROM pg_index x,"
    "  unnest(x.indkey::int2[]) WITH ORDINALITY k(num, pos) WHERE x.indrelid = c.oid"
    "  AND x.indisunique AND x.indimmediate AND x.indisvalid AND x.indpred IS NULL"
    "  AND x.indexprs IS NULL AND k.num = a.attnum AND k.pos <= x.indnkeyatts),"
    " format_type(a.atttypid, -1), CASE WHEN y.typarray <> 0 AND NOT EXISTS (SELECT FROM base"
    "  JOIN pg_type t ON t.oid = base.oid AND t.typtype = 'c' WHERE base.attnum = a.attnum)"
    "  THEN format_type(y.typarray, -1) END, y.typdelim,"
    " NOT EXISTS (SELECT FROM pg_collation o WHERE o.oid = a.attcollation"
    "  AND NOT o.collisdeterministic),"
    " NOT EXISTS (SELECT FROM tree JOIN pg_class k ON k.oid = tree.oid WHERE " IS_SEEN "),"
    " (SELECT max(u.n) FROM (SELECT count(x.indexrelid) AS n FROM tree LEFT JOIN pg_index x"
    "  ON x.indrelid = tree.oid AND (x.indisunique OR x.indisexclusion) GROUP BY tree.oid) u),"
    " current_setting('session_replication_role') <> 'replica' AND EXISTS (SELECT FROM"
    "  pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confdeltype = 'c'),"
    " current_setting('session_replication_role') <> 'replica' AND EXISTS (SELECT FROM"
    "  pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f' AND a.attnum = ANY (f.conkey)"
    "  AND (f.confupdtype IN ('c', 'n', 'd') OR f.confdeltype IN ('n', 'd'))),"
    " EXISTS (SELECT FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am am"
    "  ON am.oid = i.relam AND am.amname IN ('btree', 'hash') WHERE x.indrelid = c.oid"
    "  AND x.indisvalid AND x.indpred IS NULL AND x.indkey[0] = a.attnum)"
    " FROM c LEFT JOIN a ON true LEFT JOIN pg_type y ON y.oid = a.atttypid ORDER BY a.attnum";

static void take_key(const struct pg_result *res, struct dest_table *out)
{
    for (size_t row = 0; row < pg_rows(res); row++)
        out->n_key += !pg_is_null(res, row, 6);
    out->key = mem_calloc(out->n_key + 1, sizeof *out->key);
    for (size_t row = 0; row < pg_rows(res); row++)
        if (!pg_is_null(res, row, 6))
            out->key[pg_int(res, row, 6) - 1] = read_text(res, row, 1);
}

bool schema_read_dest(struct pg_conn *dest, struct task *task, const char *schema,
                      const char *table, struct dest_table *out, struct err *err)
{
    struct pg_result *res = NULL;
    const char *values[] = {schema, table};
    *out = (struct dest_table){0};
    if (!pg_exec_params(dest, task, SCHEMA_QUERY_MS, columns_sql, 2, values, &res, err))
        return err_context(err, "read definition of destination table %s.%s", schema, table);
    out->exists = pg_rows(res) > 0;
    out->is_partitioned = out->exists && pg_text(res, 0, 0)[0] == 'p';
    out->is_key_deferrable = out->exists && pg_bool(res, 0, 7);
    out->is_plain = out->exists && pg_bool(res, 0, 15);
    out->is_cascaded = out->exists && pg_bool(res, 0, 17);
    out->n_uniques = out->exists ? (size_t)pg_int(res, 0, 16) : 0;
    out->columns = mem_calloc(pg_rows(res) + 1, sizeof *out->columns);
    for (size_t row = 0; row < pg_rows(res); row++) {
        if (pg_is_null(res, row, 1)) /* a table without columns */
            continue;
        out->columns[out->n_columns++] = (struct dest_column){
            .name = read_text(res, row, 1),
            .type = read_text(res, row, 2),
            .type_oid = (uint32_t)pg_int(res, row, 3),
            .is_generated = pg_bool(res, row, 4),
            .has_equality = pg_bool(res, row, 5),
            .uniques = mem_strdup(pg_text(res, row, 10)),
            .equals = pg_is_null(res, row, 8) ? mem_strdup("=") : read_text(res, row, 8),
            .base = read_text(res, row, 9),
            .plain = read_text(res, row, 11),
            .array = read_text(res, row, 12),
            .delimiter = pg_text(res, row, 13)[0],
            .is_deterministic = pg_bool(res, row, 14),
            .is_moved = pg_bool(res, row, 18),
            .is_indexed = pg_bool(res, row, 19),
        };
    }
    take_key(res, out);
    pg_free(res);
    return true;
}
