/* The tables of a server that a mirror could carry, for choosing from. */
#include "schema/preflight_private.h"

#include <stdlib.h>
#include <string.h>

static const char list_sql[] =
    "SELECT n.nspname, c.relname, CASE c.relkind WHEN 'p' THEN 'partitioned table' ELSE 'table'"
    " END, coalesce(t.rows::int8, 0), coalesce(t.bytes, 0),"
    " CASE c.relreplident WHEN 'd' THEN 'default' WHEN 'f' THEN 'full' WHEN 'i' THEN 'index'"
    "  ELSE 'nothing' END,"
    " EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary),"
    " (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid"
    "  WHERE d.deptype = 'e' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN total t ON t.root = c.oid"
    " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'"
    " AND " OF_USERS " ORDER BY n.nspname, c.relname";

/* locked: asking for the size of these would have to wait. */
static const char leaf_sql[] =
    "WITH RECURSIVE leaf(root, oid) AS (SELECT c.oid, c.oid FROM pg_class c"
    "  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition UNION ALL"
    " SELECT leaf.root, i.inhrelid FROM leaf JOIN pg_inherits i ON i.inhparent = leaf.oid"
    "  JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition),"
    " locked AS MATERIALIZED (SELECT c.oid FROM pg_class c WHERE NOT " NOT_LOCKED(
        "c.oid") "),"
                 " total AS (SELECT leaf.root, CASE WHEN bool_or(l.reltuples < 0) THEN -1"
                 "   ELSE sum(l.reltuples) END AS rows, sum(CASE WHEN l.oid NOT IN (SELECT oid "
                 "FROM locked)"
                 "    THEN coalesce(pg_relation_size(l.oid), 0) + "
                 "coalesce(pg_relation_size(l.reltoastrelid), 0)"
                 "    ELSE l.relpages * current_setting('block_size')::int8 END) AS bytes"
                 "  FROM leaf JOIN pg_class l ON l.oid = leaf.oid AND l.relkind = 'r' GROUP BY "
                 "leaf.root) ";

static void take_row(struct peer_table *t, const struct pg_result *res, size_t row)
{
    str_copy(t->schema, sizeof t->schema, pg_text(res, row, 0));
    str_copy(t->table, sizeof t->table, pg_text(res, row, 1));
    str_copy(t->kind, sizeof t->kind, pg_text(res, row, 2));
    t->estimated_rows = pg_int(res, row, 3);
    t->bytes = pg_int(res, row, 4);
    str_copy(t->replica_identity, sizeof t->replica_identity, pg_text(res, row, 5));
    t->has_primary_key = pg_bool(res, row, 6);
    str_copy(t->extension, sizeof t->extension, pg_text(res, row, 7));
    t->can_mirror = true;
}

bool list_roots(struct pg_conn *c, struct task *task, struct peer_table_list *out, struct err *err)
{
    struct pg_result *res = NULL;
    struct buf sql = {0};
    *out = (struct peer_table_list){0};
    buf_printf(&sql, "%s%s", leaf_sql, list_sql);
    /* Without it there is no answer at all: the caller's time is the limit. */
    bool ok = pg_exec(c, task, SCHEMA_QUERY_MS, buf_text(&sql), &res, err);
    buf_free(&sql);
    if (!ok)
        return err_context(err, "list tables");
    out->items = mem_calloc(pg_rows(res) + 1, sizeof *out->items);
    for (size_t row = 0; row < pg_rows(res); row++)
        take_row(&out->items[out->n++], res, row);
    pg_free(res);
    return true;
}

struct table_map *list_maps(const struct peer_table_list *l)
{
    struct table_map *maps = mem_calloc(l->n + 1, sizeof *maps);
    for (size_t i = 0; i < l->n; i++) {
        str_copy(maps[i].source_schema, NAME_SIZE, l->items[i].schema);
        str_copy(maps[i].source_table, NAME_SIZE, l->items[i].table);
        str_copy(maps[i].dest_schema, NAME_SIZE, l->items[i].schema);
        str_copy(maps[i].dest_table, NAME_SIZE, l->items[i].table);
    }
    return maps;
}

/* Why not: the titles of what stops it. */
static void explain(struct peer_table *t, const struct verdict *v)
{
    struct name_list titles = {0};
    for (size_t i = 0; i < v->n; i++)
        for (size_t q = 0; q < table_question_count; q++)
            if (strcmp(table_questions[q].code, v->codes[i]) == 0)
                name_list_add(&titles, mem_strdup(table_questions[q].title));
    char *text = name_list_text(&titles, "; ", sizeof t->reason - 1);
    str_copy(t->reason, sizeof t->reason, text);
    free(text);
    name_list_free(&titles);
    t->can_mirror = v->worst < SEVERITY_ERROR;
}

bool schema_list_tables(struct pg_conn *c, struct task *task, struct peer_table_list *out,
                        struct err *err)
{
    if (!list_roots(c, task, out, err))
        return false;
    struct findings f = {0};
    struct mirror_config config = {.n_tables = out->n, .tables = list_maps(out)};
    struct verdict *verdicts = mem_calloc(out->n + 1, sizeof *verdicts);
    struct preflight k = {
        .source = c, .source_task = task, .c = &config, .f = &f, .verdicts = verdicts};
    bool ok = preflight_tables(&k, err) || err_context(err, "list tables");
    for (size_t i = 0; i < out->n; i++) {
        explain(&out->items[i], &verdicts[i]);
        verdict_free(&verdicts[i]);
    }
    preflight_free(&k);
    findings_free(&f);
    free(verdicts);
    free(config.tables);
    if (!ok)
        peer_table_list_free(out);
    return ok;
}
