/* schema_read: one transaction of the source, a handful of queries for all mapped tables. This file
 * holds the frame and the list of tables; each read_*.c adds one kind of definition. */
#include "schema/schema_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define LOCK_AFTER 3 /* torn readings */

/* The mapped tables and, of partitioned ones, all partitions down to the leaves. level grows from
 * parents (by partition or inheritance) to children, and from a table to those that have its row
 * type in a column (or in a type of one), so that ordering by it creates what is needed first.
 * Partitions that are foreign tables hold no rows of the source's. */
static const char tables_sql[] =
    "WITH RECURSIVE m AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])"
    " WITH ORDINALITY AS m(s, t, ds, dt, ord)), " PARTITION_HOMES(
        "$6",
        "$7") ","
              " tree(mapping, oid, s, mds, ds, dn) AS ("
              " SELECT m.ord - 1, c.oid, m.s, m.ds, m.ds COLLATE \"C\", m.dt COLLATE \"C\" FROM m"
              " JOIN pg_namespace n ON n.nspname = m.s"
              " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = m.t AND c.relkind IN "
              "('r', 'p')"
              " UNION ALL"
              " SELECT tree.mapping, c.oid, tree.s, tree.mds, " PARTITION_HOME(
                  "tree") ", c.relname::text"
                          " FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid"
                          " JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition AND "
                          "c.relkind IN "
                          "('r', 'p')"
                          " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT $5::bool),"
                          " used(oid, type) AS (SELECT a.attrelid, a.atttypid FROM tree JOIN "
                          "pg_attribute a ON a.attrelid = tree.oid AND a.attnum > 0 AND NOT "
                          "a.attisdropped AND a.atttypid >= 16384 UNION SELECT used.oid, x.oid "
                          "FROM used JOIN pg_type ty ON ty.oid = used.type CROSS JOIN LATERAL "
                          "(" TYPE_PARTS ") x(oid) WHERE x.oid >= 16384),"
                          " above(oid, over) AS (SELECT inhrelid, inhparent FROM pg_inherits UNION"
                          " SELECT used.oid, ty.typrelid FROM used JOIN pg_type ty ON ty.oid = "
                          "used.type WHERE ty.typrelid <> used.oid),"
                          " level(oid, n) AS (SELECT oid, 0 FROM tree UNION"
                          " SELECT above.oid, level.n + 1 FROM level JOIN above ON above.over = "
                          "level.oid"
                          " WHERE above.oid IN (SELECT oid FROM tree))"
                          " SELECT tree.mapping, c.oid, n.nspname, c.relname, tree.ds, tree.dn, "
                          "c.relkind,"
                          " c.relpersistence = 'u', c.relreplident, c.relispartition,"
                          " (SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid AND "
                          "c.relispartition"
                          "  AND i.inhparent IN (SELECT oid FROM tree)),"
                          " CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,"
                          " pg_get_expr(c.relpartbound, c.oid),"
                          " (SELECT string_agg(i.inhparent::text, ' ' ORDER BY i.inhseqno) FROM "
                          "pg_inherits i"
                          "  WHERE i.inhrelid = c.oid AND NOT c.relispartition"
                          "  AND i.inhparent IN (SELECT oid FROM tree)),"
                          " coalesce(pg_relation_size(c.oid), 0) / "
                          "current_setting('block_size')::int8,"
                          " coalesce(pg_relation_size(c.oid), 0) + "
                          "coalesce(pg_relation_size(c.reltoastrelid), 0),"
                          " c.reltuples,"
                          " concat_ws(e'\\x01', (SELECT string_agg(format('%I=%L', o.option_name, "
                          "o.option_value), "
                          "e'\\x01')"
                          "  FROM pg_options_to_table(c.reloptions) o),"
                          "  (SELECT string_agg(format('toast.%I=%L', o.option_name, "
                          "o.option_value), "
                          "e'\\x01')"
                          "  FROM pg_class tc, pg_options_to_table(tc.reloptions) o WHERE tc.oid = "
                          "c.reltoastrelid)),"
                          " obj_description(c.oid, 'pg_class'), c.relfilenode,"
                          " CASE WHEN c.relkind = 'p' THEN (SELECT array_agg(f.name ORDER BY q.oid,"
                          "  f.place) FROM pg_depend d CROSS JOIN LATERAL (SELECT p.oid, 'function'"
                          "  AS kind, p.pronamespace AS space, p.proname AS name FROM pg_proc p "
                          "WHERE"
                          "  d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid UNION ALL"
                          "  SELECT o.oid, 'operator class', o.opcnamespace, o.opcname FROM"
                          "  pg_opclass o WHERE d.refclassid = 'pg_opclass'::regclass AND o.oid ="
                          "  d.refobjid) q JOIN pg_namespace pn ON pn.oid = q.space CROSS JOIN"
                          "  LATERAL (VALUES (1, q.kind), (2, pn.nspname::text), (3, q.name::text))"
                          "  f(place, name) WHERE d.classid = 'pg_class'::regclass AND d.objid = "
                          "c.oid"
                          "  AND d.refobjid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend e WHERE"
                          "  e.classid = d.refclassid AND e.objid = q.oid AND e.deptype = 'e')) "
                          "END,"
                          " (SELECT sum(k.relpages::int8) * current_setting('block_size')::int8"
                          " FROM pg_index x JOIN pg_class k ON k.oid = x.indexrelid"
                          " WHERE x.indrelid = c.oid AND k.relkind = 'i')"
                          " FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON "
                          "n.oid = "
                          "c.relnamespace"
                          " JOIN (SELECT oid, max(n) AS n FROM level GROUP BY oid) l ON l.oid = "
                          "tree.oid"
                          " ORDER BY l.n, n.nspname, c.relname";

static void parse_parents(struct read_table *rt, const char *text)
{
    size_t cap = 0;
    while (*text) {
        char *end;
        uint32_t oid = (uint32_t)strtoul(text, &end, 10);
        MEM_PUSH(rt->parents, rt->n_parents, cap, oid);
        text = *end ? end + 1 : end;
    }
}

/* One option after each other, with a character between them that none can have. */
static void parse_options(struct read_table *rt, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\x01");
        name_list_add(&rt->options, mem_printf("%.*s", (int)n, text));
        text += n + (text[n] != '\0');
    }
}

static void take_table(struct reader *r, const struct pg_result *res, size_t row)
{
    struct schema *s = r->s;
    struct schema_table t = {
        .mapping = (int)pg_int(res, row, 0),
        .oid = (uint32_t)pg_int(res, row, 1),
        .schema = read_text(res, row, 2),
        .name = read_text(res, row, 3),
        .dest_schema = read_text(res, row, 4),
        .dest_name = read_text(res, row, 5),
        .is_partitioned = pg_text(res, row, 6)[0] == 'p',
        .is_unlogged = pg_bool(res, row, 7),
        .replica_identity = pg_text(res, row, 8)[0],
        .pages = pg_int(res, row, 14),
        .bytes = pg_int(res, row, 15),
        .rows = strtod(pg_text(res, row, 16), NULL),
        .index_bytes = pg_int(res, row, 21),
    };
    struct read_table rt = {
        .relkind = pg_text(res, row, 6)[0],
        .is_partition = pg_bool(res, row, 9),
        .parent = (uint32_t)pg_int(res, row, 10),
        .part_key = read_text(res, row, 11),
        .part_bound = read_text(res, row, 12),
        .comment = read_text(res, row, 18),
        .filenode = pg_int(res, row, 19),
        .part_needs = read_text(res, row, 20),
    };
    parse_options(&rt, pg_text(res, row, 17));
    /* Before 14, a table that was never analysed says 0 and has no pages. */
    if (t.rows < 0 || (t.rows == 0 && s->server_version < 140000 && t.pages > 0))
        t.rows = -1;
    parse_parents(&rt, pg_text(res, row, 13));
    size_t n = s->n_tables;
    MEM_PUSH(r->tables, n, r->read_cap, rt);
    MEM_PUSH(s->tables, s->n_tables, r->tables_cap, t);
}

static bool check_complete(const struct reader *r, const struct table_map *maps, size_t n,
                           struct err *err)
{
    const struct schema *s = r->s;
    struct name_list missing = {0}, twice = {0};
    for (size_t m = 0; m < n; m++) {
        bool found = false;
        for (size_t i = 0; i < s->n_tables && !found; i++)
            found = s->tables[i].mapping == (int)m;
        if (!found)
            name_list_add(&missing,
                          mem_printf("%s.%s", maps[m].source_schema, maps[m].source_table));
    }
    for (size_t i = 0; i < s->n_tables; i++)
        if (read_find_oid(r, s->tables[i].oid) != (int)i)
            name_list_add(&twice, mem_printf("%s.%s", s->tables[i].schema, s->tables[i].name));
    char *text = name_list_text(missing.n ? &missing : &twice, ", ", 600);
    bool ok = true;
    if (missing.n)
        ok = err_set(err, ERR_SOURCE_TABLE, "the source has no such table: %s", text);
    else if (twice.n)
        ok = err_set(err, ERR_INVALID, "mapped by itself and as a partition of its parent: %s",
                     text);
    free(text);
    name_list_free(&missing);
    name_list_free(&twice);
    return ok;
}

char *read_maps_array(const struct table_map *maps, size_t n, size_t offset)
{
    const char **items = mem_calloc(n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (const char *)&maps[i] + offset;
    struct buf b = {0};
    pg_quote_array(&b, n, items);
    free(items);
    return buf_take(&b);
}

static char *oid_array(const struct schema *s)
{
    struct buf b = {0};
    buf_putc(&b, '{');
    for (size_t i = 0; i < s->n_tables; i++)
        buf_printf(&b, "%s%u", i ? "," : "", s->tables[i].oid);
    buf_putc(&b, '}');
    return buf_take(&b);
}

bool read_tables(struct reader *r, const struct table_map *maps, size_t n, struct err *err)
{
    struct pg_result *res = NULL;
    const struct table_map *homes = r->homes ? r->homes : maps;
    size_t n_homes = r->homes ? r->n_homes : n;
    char *values[] = {
        read_maps_array(maps, n, offsetof(struct table_map, source_schema)),
        read_maps_array(maps, n, offsetof(struct table_map, source_table)),
        read_maps_array(maps, n, offsetof(struct table_map, dest_schema)),
        read_maps_array(maps, n, offsetof(struct table_map, dest_table)),
        mem_strdup(r->is_dest ? "true" : "false"),
        read_maps_array(homes, n_homes, offsetof(struct table_map, source_schema)),
        read_maps_array(homes, n_homes, offsetof(struct table_map, dest_schema)),
    };
    bool ok = read_query(r, tables_sql, COUNT_OF(values), (const char *const *)values, &res, err);
    for (size_t i = 0; i < COUNT_OF(values); i++)
        free(values[i]);
    if (!ok)
        return false;
    for (size_t row = 0; row < pg_rows(res); row++)
        take_table(r, res, row);
    pg_free(res);
    r->oids = oid_array(r->s);
    return r->is_dest || check_complete(r, maps, n, err);
}

void read_column_free(struct read_column *rc)
{
    free(rc->dest_default);
    free(rc->identity);
    free(rc->counter);
    free(rc->storage);
    free(rc->made_of);
}

void read_drop_check(struct read_table *rt, size_t k)
{
    free(rt->checks[k].name);
    free(rt->checks[k].definition);
    rt->n_checks--;
    memmove(&rt->checks[k], &rt->checks[k + 1], (rt->n_checks - k) * sizeof rt->checks[0]);
}

static void read_fkey_free(struct read_fkey *f)
{
    free(f->columns);
    free(f->key);
    free(f->actions);
}

void read_drop_fkey(struct schema_table *t, struct read_table *rt, size_t k)
{
    read_fkey_free(&rt->fkeys[k]);
    rt->n_fkeys--;
    memmove(&rt->fkeys[k], &rt->fkeys[k + 1], (rt->n_fkeys - k) * sizeof rt->fkeys[0]);
    schema_drop_fkey(t, k);
}

static void read_table_free(struct read_table *rt, size_t n_columns)
{
    for (size_t c = 0; rt->columns && c < n_columns; c++)
        read_column_free(&rt->columns[c]);
    while (rt->n_checks > 0)
        read_drop_check(rt, rt->n_checks - 1);
    for (size_t k = 0; k < rt->n_fkeys; k++)
        read_fkey_free(&rt->fkeys[k]);
    free(rt->fkeys);
    name_list_free(&rt->far_fkeys);
    free(rt->checks);
    free(rt->columns);
    free(rt->parents);
    free(rt->part_key);
    free(rt->part_needs);
    free(rt->part_bound);
    name_list_free(&rt->options);
    free(rt->comment);
}

void reader_free(struct reader *r)
{
    for (size_t i = 0; r->s && i < r->s->n_tables; i++)
        read_table_free(&r->tables[i], r->s->tables[i].n_columns);
    free(r->tables);
    for (size_t i = 0; i < r->n_sequences; i++) {
        free(r->sequences[i].schema);
        free(r->sequences[i].name);
        free(r->sequences[i].dest_schema);
        free(r->sequences[i].options);
        free(r->sequences[i].type);
    }
    free(r->sequences);
    for (size_t i = 0; i < r->n_late; i++) {
        free(r->late_types[i].schema);
        free(r->late_types[i].name);
        free(r->late_types[i].sql);
    }
    free(r->late_types);
    free(r->oids);
    free(r->excluded_oids);
    free(r->excluded_nums);
}

bool read_everything(struct reader *r, const struct table_map *maps, size_t n, struct err *err)
{
    r->s = mem_calloc(1, sizeof(struct schema));
    r->s->server_version = pg_version(r->conn);
    if (!read_tables(r, maps, n, err) || !read_columns(r, maps, err) || !read_sequences(r, err) ||
        !read_checks(r, err))
        return false;
    if (r->is_dest)
        return read_indexes(r, err) && read_fkeys(r, err);
    if (!read_types(r, err) || !read_layouts(r, err))
        return false;
    build_tables(r);
    return read_indexes(r, err) && read_fkeys(r, err) && read_sequence_values(r, err) &&
           traits_read(r->conn, r->task, r->s, r->excluded_oids, r->excluded_nums, false,
                       &r->s->traits, err);
}

bool schema_check_names(struct pg_conn *source, struct task *task, const struct schema *s,
                        struct err *err)
{
    static const char sql[] =
        "SELECT pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname)"
        " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE a.attrelid = ANY ($1::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped"
        " AND (SELECT o.object_names FROM pg_catalog.pg_identify_object_as_address("
        "  'pg_catalog.pg_class'::pg_catalog.regclass, a.attrelid, a.attnum) o) IS DISTINCT FROM"
        "  ARRAY[n.nspname, c.relname, a.attname]::pg_catalog.text[] LIMIT 1";
    char *oids = oid_array(s);
    const char *values[] = {oids};
    struct pg_result *res = NULL;
    bool ok = pg_exec_params(source, task, SCHEMA_QUERY_MS, sql, 1, values, &res, err);
    if (ok && pg_rows(res) > 0)
        ok = err_set(err, ERR_SNAPSHOT_STALE, "%s changed while definitions were read",
                     pg_text(res, 0, 0));
    pg_free(res);
    free(oids);
    return ok || read_failed(err);
}

static bool is_torn(const struct err *err)
{
    return (err->code == ERR_SQL && pg_server_error_is(err, "XX000")) ||
           err->code == ERR_SNAPSHOT_STALE;
}

bool read_failed(struct err *err)
{
    if (is_torn(err))
        err->code = ERR_SNAPSHOT_STALE;
    return false;
}

bool read_note_gone(struct err *err)
{
    static const char *const states[] = {"42P01", "42704", "42883", "3F000"};
    for (size_t i = 0; i < COUNT_OF(states); i++)
        if (err->code == ERR_SQL && pg_server_error_is(err, states[i]))
            err->code = ERR_SNAPSHOT_STALE;
    return false;
}

bool read_again(struct pg_conn *c, struct task *task, struct read_tries *tries, struct err *err)
{
    static const char pause[] = "SELECT pg_catalog.pg_sleep(pg_catalog.random() * 0.1)";
    struct err why = {0};
    int64_t now = clock_mono_ms();
    if (!is_torn(err) || !pg_is_alive(c))
        return false;
    if (!tries->n++)
        tries->until = now + READ_LIMIT_MS;
    if (now >= tries->until)
        return false;
    if (!pg_exec(c, task, SCHEMA_QUERY_MS, pause, NULL, &why)) {
        *err = why; /* called off, or the server is gone: that is what ends it */
        return false;
    }
    log_debug("schema", NULL, "definitions changed while they were read: again: %s", err->text);
    err_clear(err);
    return true;
}

bool read_steadily(struct pg_conn *c, struct task *task, struct read_tries *tries, int limit_ms,
                   const char *sql, size_t n, const char *const *values, struct pg_result **out,
                   struct err *err)
{
    while (!pg_exec_params(c, task, limit_ms, sql, n, values, out, err)) {
        (void)read_note_gone(err);
        if (!read_again(c, task, tries, err))
            return read_failed(err);
    }
    return true;
}

/* Those of the mappings that are there, quoted; "" for none. */
static bool list_present(struct reader *r, const struct table_map *maps, size_t n, char **out,
                         struct err *err)
{
    static const char sql[] =
        "SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ') FROM"
        " unnest($1::text[], $2::text[]) u(s, t) JOIN pg_namespace n ON n.nspname = u.s"
        " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.t"
        " AND c.relkind IN ('r', 'p')";
    char *values[] = {read_maps_array(maps, n, offsetof(struct table_map, source_schema)),
                      read_maps_array(maps, n, offsetof(struct table_map, source_table))};
    struct pg_result *res = NULL;
    bool ok = read_query(r, sql, COUNT_OF(values), (const char *const *)values, &res, err);
    *out = ok ? mem_strdup(pg_text(res, 0, 0)) : NULL;
    pg_free(res);
    free(values[0]);
    free(values[1]);
    return ok;
}

#define BEGIN_SQL "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"

/* A source whose definitions never hold still is asked to wait, as pg_dump asks it: for as long as
 * its catalog is read. Locks come before the snapshot; who does not get them goes without. */
static bool begin_locked(struct reader *r, const struct table_map *maps, size_t n, struct err *err)
{
    char *tables;
    struct err why = {0};
    if (!list_present(r, maps, n, &tables, err))
        return false;
    char *sql = mem_printf(BEGIN_SQL "; SET LOCAL lock_timeout = '1s'; LOCK TABLE %s IN ACCESS"
                                     " SHARE MODE",
                           tables);
    bool is_locked = tables[0] && pg_exec(r->conn, r->task, SCHEMA_QUERY_MS, sql, NULL, &why);
    free(sql);
    free(tables);
    if (is_locked)
        return true;
    if (why.text[0])
        log_debug("schema", NULL, "definitions are read without locks: %s", why.text);
    return !pg_is_alive(r->conn)
               ? err_set(err, ERR_CONNECT, "%s", why.text)
               : pg_exec(r->conn, r->task, SCHEMA_QUERY_MS, "ROLLBACK; " BEGIN_SQL, NULL, err);
}

static bool read_once(struct reader *r, const struct table_map *maps, size_t n, bool in_transaction,
                      int n_torn, struct schema **out, struct err *err)
{
    *out = NULL;
    bool ok = in_transaction || (n_torn < LOCK_AFTER ? pg_exec(r->conn, r->task, SCHEMA_QUERY_MS,
                                                               BEGIN_SQL, NULL, err)
                                                     : begin_locked(r, maps, n, err));
    if (ok) {
        ok = read_everything(r, maps, n, err) &&
             (in_transaction || schema_check_names(r->conn, r->task, r->s, err));
        /* Read only: nothing is lost if this fails, and the next statement would say so. */
        struct err ignored = {0};
        if (!in_transaction &&
            !pg_exec(r->conn, r->task, SCHEMA_QUERY_MS, "ROLLBACK", NULL, ok ? err : &ignored))
            ok = false;
    }
    reader_free(r);
    if (ok)
        *out = r->s;
    else
        schema_free(r->s); /* NULL when not even the transaction began */
    return ok;
}

static bool read_with(const struct reader *like, const struct table_map *maps, size_t n,
                      bool in_transaction, struct schema **out, struct err *err)
{
    struct read_tries tries = {0};
    for (;;) {
        struct reader r = *like;
        if (read_once(&r, maps, n, in_transaction, tries.n, out, err))
            return true;
        if (in_transaction || !read_again(r.conn, r.task, &tries, err))
            return err_context(err, "read definitions") || read_failed(err);
    }
}

bool schema_read(struct pg_conn *source, struct task *task, const struct table_map *maps, size_t n,
                 bool with_indexes, bool with_fkeys, bool in_transaction, struct schema **out,
                 struct err *err)
{
    const struct reader r = {.conn = source,
                             .task = task,
                             .with_indexes = with_indexes,
                             .with_fkeys = with_fkeys,
                             .with_sizes = in_transaction};
    return read_with(&r, maps, n, in_transaction, out, err);
}

bool schema_read_some(struct pg_conn *source, struct task *task, const struct mirror_config *all,
                      const struct table_map *maps, size_t n, bool with_indexes, bool with_fkeys,
                      bool in_transaction, struct schema **out, struct err *err)
{
    const struct reader r = {.conn = source,
                             .task = task,
                             .homes = all->all ? all->all : all->tables,
                             .n_homes = all->all ? all->n_all : all->n_tables,
                             .with_indexes = with_indexes,
                             .with_fkeys = with_fkeys,
                             .with_sizes = in_transaction};
    return read_with(&r, maps, n, in_transaction, out, err);
}
