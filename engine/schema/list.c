/* The tables of a server that a mirror could carry, for choosing from. */
#include "schema/schema_private.h"

#include <stdlib.h>
#include <string.h>

#define LIST_MS 10000

static const char list_sql[] =
    "SELECT n.nspname, c.relname, CASE c.relkind WHEN 'p' THEN 'partitioned table' ELSE 'table'"
    " END, CASE WHEN t.rows < 0 THEN -1 ELSE t.rows::int8 END, t.bytes,"
    " CASE c.relreplident WHEN 'd' THEN 'default' WHEN 'f' THEN 'full' WHEN 'i' THEN 'index'"
    "  ELSE 'nothing' END,"
    " EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary),"
    " concat_ws('; ', CASE WHEN c.relpersistence = 'u' THEN 'unlogged: cannot be published' END,"
    "  CASE WHEN NOT pg_has_role(c.relowner, 'USAGE') THEN 'not owned by the peer''s user' END,"
    "  CASE WHEN NOT (has_schema_privilege(n.oid, 'USAGE')"
    "   AND has_table_privilege(c.oid, 'SELECT')) THEN 'no SELECT right' END,"
    "  CASE WHEN row_security_active(c.oid) THEN 'row level security hides rows' END,"
    "  CASE WHEN EXISTS (SELECT FROM leaf JOIN pg_class l ON l.oid = leaf.oid WHERE leaf.root = "
    "c.oid"
    "   AND l.relkind = 'r' AND l.relreplident <> 'f' AND NOT EXISTS (SELECT FROM pg_index x"
    "    WHERE x.indrelid = l.oid AND x.indimmediate AND x.indisvalid AND CASE l.relreplident"
    "    WHEN 'd' THEN x.indisprimary WHEN 'i' THEN x.indisreplident ELSE false END))"
    "   THEN 'no primary key: REPLICA IDENTITY FULL is needed' END)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " CROSS JOIN LATERAL (SELECT CASE WHEN bool_or(l.reltuples < 0) THEN -1"
    "   ELSE sum(l.reltuples) END AS rows, sum(coalesce(pg_table_size(l.oid), 0)) AS bytes"
    "  FROM leaf JOIN pg_class l ON l.oid = leaf.oid"
    "  WHERE leaf.root = c.oid AND (l.relkind = 'r' OR l.oid = c.oid AND c.relkind = 'r')) t"
    " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'"
    " AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '_bunnydb')"
    " ORDER BY n.nspname, c.relname";

static const char leaf_sql[] =
    "WITH RECURSIVE leaf(root, oid) AS (SELECT c.oid, c.oid FROM pg_class c"
    "  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition UNION ALL"
    " SELECT leaf.root, i.inhrelid FROM leaf JOIN pg_inherits i ON i.inhparent = leaf.oid"
    "  JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition) ";

bool schema_list_tables(struct pg_conn *c, struct task *task, struct peer_table_list *out,
                        struct err *err)
{
    struct pg_result *res = NULL;
    struct buf sql = {0};
    *out = (struct peer_table_list){0};
    buf_printf(&sql, "%s%s", leaf_sql, list_sql);
    bool ok = pg_exec(c, task, LIST_MS, buf_text(&sql), &res, err);
    buf_free(&sql);
    if (!ok)
        return err_context(err, "list tables");
    out->items = mem_calloc(pg_rows(res) + 1, sizeof *out->items);
    for (size_t row = 0; row < pg_rows(res); row++) {
        struct peer_table *t = &out->items[out->n++];
        str_copy(t->schema, sizeof t->schema, pg_text(res, row, 0));
        str_copy(t->table, sizeof t->table, pg_text(res, row, 1));
        str_copy(t->kind, sizeof t->kind, pg_text(res, row, 2));
        t->estimated_rows = pg_int(res, row, 3);
        t->bytes = pg_int(res, row, 4);
        str_copy(t->replica_identity, sizeof t->replica_identity, pg_text(res, row, 5));
        t->has_primary_key = pg_bool(res, row, 6);
        t->can_mirror = pg_text(res, row, 7)[0] == '\0';
        str_copy(t->reason, sizeof t->reason, pg_text(res, row, 7));
    }
    pg_free(res);
    return true;
}
