/* Reading traits, finding one, and giving them to what was just made; see traits.h. */
#include "schema/traits.h"

#include <stdlib.h>
#include <string.h>

#include "schema/schema_private.h"

/* u: the tables (outer joins, for the planner thinks that inner ones leave a row or two, and
 * loops), o: what s->before creates; $5: also those without a value. Columns: table, of, what,
 * part, stem, value, reset, does it need functions, owner. */
static const char start_sql[] =
    "WITH u AS (SELECT c.oid, u.ord - 1 AS i, u.s, u.t, u.ds, u.dt, c.reloftype FROM"
    "  unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY u(s, t, ds, dt, ord)"
    "  LEFT JOIN pg_namespace n ON n.nspname = u.s"
    "  LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.t AND c.relkind IN ('r', "
    "'p')),"
    " ex AS (SELECT * FROM unnest($6::oid[], $7::int2[]) x(oid, num)),"
    " o AS (SELECT o.kind, o.s AS ds, coalesce(ns.oid, n.oid) AS ns, o.name FROM"
    "  unnest($8::text[], $9::text[], $10::text[], $11::text[]) o(kind, s, os, name)"
    "  LEFT JOIN pg_namespace n ON n.nspname = o.s LEFT JOIN pg_namespace ns ON ns.nspname = o.os),"
    " x AS (SELECT u.*, x.indexrelid, x.indisclustered, k.relname AS name, k.relispartition,"
    "  k.reloptions, kn.nspname AS ks FROM u JOIN pg_index x ON x.indrelid = u.oid"
    "  JOIN pg_class k ON k.oid = x.indexrelid JOIN pg_namespace kn ON kn.oid = k.relnamespace),"
    " con AS (SELECT u.*, con.oid AS con, con.conname, con.conindid FROM u JOIN pg_constraint con"
    "  ON con.conrelid = u.oid AND con.contype IN ('c', 'f', 'p', 'u', 'x')),"
    " st AS (SELECT u.*, st.oid AS st, CASE WHEN n.nspname = u.s THEN u.ds ELSE n.nspname END AS "
    "ss,"
    "  st.stxname, coalesce((to_jsonb(st) ->> 'stxstattarget')::int, -1) AS target,"
    "  format('CREATE STATISTICS %I.%I', n.nspname, st.stxname) AS head,"
    "  format(' FROM %I.%I', u.s, u.t) AS tail, pg_get_statisticsobjdef(st.oid) AS text,"
    "  " NEEDS_OBJECTS(
        "pg_statistic_ext", "st.oid",
        "u.oid") " AS needs"
                 " FROM u JOIN pg_statistic_ext st ON st.stxrelid = u.oid"
                 " JOIN pg_namespace n ON n.oid = st.stxnamespace WHERE NOT EXISTS (SELECT FROM "
                 "pg_depend d JOIN ex ON d.refobjid = ex.oid AND d.refobjsubid = ex.num WHERE "
                 "d.classid = 'pg_statistic_ext'::regclass AND d.objid = st.oid)),"
                 " ty AS (SELECT o.*, t.oid, t.typtype, t.typrelid FROM o JOIN pg_type t"
                 "  ON o.kind = 'type' AND t.typnamespace = o.ns AND t.typname = o.name),"
                 " trait(i, of_, what, part, stem, value, reset, needs, owner) AS (";

static const char compression_sql[] =
    " SELECT u.i, 'c', 'compression of column', a.attname::text,"
    "  format('ALTER TABLE ONLY %I.%I ALTER COLUMN %I SET COMPRESSION ', u.ds, u.dt, a.attname),"
    "  CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END, 'default', false, "
    "NULL::text"
    "  FROM u JOIN pg_attribute a ON a.attrelid = u.oid AND a.attnum > 0 AND NOT a.attisdropped"
    "  AND a.attcompression <> '' UNION ALL";

static const char tables_sql[] =
    " SELECT u.i, 'c', format('%s of column', p.option_name), a.attname::text,"
    "  format('ALTER TABLE ONLY %I.%I ALTER COLUMN %I ', u.ds, u.dt, a.attname),"
    "  format('SET (%I = %L)', p.option_name, p.option_value),"
    "  format('RESET (%I)', p.option_name), false, NULL"
    "  FROM u JOIN pg_attribute a ON a.attrelid = u.oid AND a.attnum > 0 AND NOT a.attisdropped"
    "  AND a.attoptions IS NOT NULL CROSS JOIN pg_options_to_table(a.attoptions) p"
    " WHERE left(p.option_name, 3) <> 'pg_'" /* the server's own: pg_attver, a column's version */
    " UNION ALL SELECT u.i, 't', 'row type', '', format('ALTER TABLE %I.%I ', u.ds, u.dt),"
    "  format('OF %s', u.reloftype::regtype), 'NOT OF', false, NULL FROM u"
    "  WHERE u.reloftype <> 0 AND NOT EXISTS (SELECT FROM ex WHERE ex.oid = u.oid)"
    " UNION ALL SELECT x.i, 'i', 'comment on index', x.name::text,"
    "  format('COMMENT ON INDEX %I.%I IS ', x.ds, x.name),"
    "  quote_literal(obj_description(x.indexrelid, 'pg_class')), 'NULL', false, NULL FROM x"
    " UNION ALL SELECT x.i, 'i', 'clustering by index', x.name::text,"
    "  format('ALTER TABLE ONLY %I.%I ', x.ds, x.dt), format('CLUSTER ON %I', x.name),"
    "  'SET WITHOUT CLUSTER', false, NULL FROM x WHERE x.indisclustered"
    " UNION ALL SELECT x.i, 'i', format('statistics of column %s of index', a.attnum),"
    "  x.name::text, format('ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS ', x.ds, x.name,"
    "  a.attnum), a.attstattarget::text, '-1', false, NULL FROM x JOIN pg_attribute a"
    "  ON a.attrelid = x.indexrelid AND a.attstattarget >= 0"
    " UNION ALL SELECT x.i, 'i', format('%s of index', p.option_name), x.name::text,"
    "  format('ALTER INDEX %I.%I ', x.ds, x.name),"
    "  format('SET (%I = %L)', p.option_name, p.option_value),"
    "  format('RESET (%I)', p.option_name), false, NULL"
    "  FROM x JOIN pg_constraint c ON c.conrelid = x.oid AND c.conindid = x.indexrelid"
    "  AND c.contype <> 'f' CROSS JOIN pg_options_to_table(x.reloptions) p"
    "  WHERE x.reloptions IS NOT NULL"
    " UNION ALL SELECT con.i, 'k', 'comment on constraint', con.conname::text,"
    "  format('COMMENT ON CONSTRAINT %I ON %I.%I IS ', con.conname, con.ds, con.dt),"
    "  quote_literal(obj_description(con.con, 'pg_constraint')), 'NULL', false, NULL FROM con"
    " UNION ALL SELECT x.i, 'n', 'name of the part of index', format('%s.%s', r.ds, r.name),"
    "  format('ALTER INDEX %I.%I RENAME TO ', x.ks, x.name), quote_ident(x.name), NULL, false, NULL"
    "  FROM x JOIN x r ON r.indexrelid = pg_partition_root(x.indexrelid)"
    "  WHERE x.relispartition"
    " UNION ALL SELECT st.i, 's', 'extended statistics', format('%s.%s', st.ss, st.stxname), '',"
    "  format('CREATE STATISTICS %I.%I%s FROM %I.%I', st.ss, st.stxname, substr(st.text,"
    "   length(st.head) + 1, length(st.text) - length(st.head) - length(st.tail)), st.ds, st.dt),"
    "  format('DROP STATISTICS %I.%I', st.ss, st.stxname), st.needs, NULL FROM st"
    " UNION ALL SELECT st.i, 's', 'target of extended statistics',"
    "  format('%s.%s', st.ss, st.stxname),"
    "  format('ALTER STATISTICS %I.%I SET STATISTICS ', st.ss, st.stxname),"
    "  nullif(st.target, -1)::text, '-1', st.needs, NULL FROM st"
    " UNION ALL SELECT st.i, 's', 'comment on extended statistics',"
    "  format('%s.%s', st.ss, st.stxname),"
    "  format('COMMENT ON STATISTICS %I.%I IS ', st.ss, st.stxname),"
    "  quote_literal(obj_description(st.st, 'pg_statistic_ext')), 'NULL', st.needs, NULL FROM st";

static const char objects_sql[] =
    " UNION ALL SELECT -1, 'o', 'comment on schema', n.nspname::text,"
    "  format('COMMENT ON SCHEMA %I IS ', n.nspname),"
    "  quote_literal(obj_description(n.oid, 'pg_namespace')), 'NULL', false, o.kind || ' ' || "
    "o.name"
    "  FROM o JOIN pg_namespace n ON o.kind = 'schema' AND n.nspname = o.name"
    " UNION ALL SELECT -1, 'o', 'comment on collation', format('%s.%s', o.ds, o.name),"
    "  format('COMMENT ON COLLATION %I.%I IS ', o.ds, o.name),"
    "  quote_literal(obj_description(c.oid, 'pg_collation')), 'NULL', false, format('%s %s.%s', "
    "o.kind, o.ds, o.name)"
    "  FROM o JOIN pg_collation c ON o.kind = 'collation' AND c.collnamespace = o.ns"
    "  AND c.collname = o.name"
    " UNION ALL SELECT -1, 'o', 'comment on sequence', format('%s.%s', o.ds, o.name),"
    "  format('COMMENT ON SEQUENCE %I.%I IS ', o.ds, o.name),"
    "  quote_literal(obj_description(c.oid, 'pg_class')), 'NULL', false, format('%s %s.%s', "
    "o.kind, o.ds, o.name)"
    "  FROM o JOIN pg_class c ON o.kind = 'sequence' AND c.relnamespace = o.ns"
    "  AND c.relname = o.name AND c.relkind = 'S'"
    " UNION ALL SELECT -1, 'o', 'comment on type', format('%s.%s', ty.ds, ty.name),"
    "  format('COMMENT ON %s %I.%I IS ', CASE ty.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END,"
    "   ty.ds, ty.name), quote_literal(obj_description(ty.oid, 'pg_type')), 'NULL', false,"
    "  format('%s %s.%s', ty.kind, ty.ds, ty.name) FROM ty"
    " UNION ALL SELECT -1, 'o', format('comment on type %s.%s, attribute', ty.ds, ty.name),"
    "  a.attname::text, format('COMMENT ON COLUMN %I.%I.%I IS ', ty.ds, ty.name, a.attname),"
    "  quote_literal(col_description(ty.typrelid, a.attnum)), 'NULL', false,"
    "  format('%s %s.%s', ty.kind, ty.ds, ty.name) FROM ty JOIN pg_attribute a ON ty.typtype = 'c' "
    "AND a.attrelid = ty.typrelid"
    "  AND a.attnum > 0 AND NOT a.attisdropped"
    " UNION ALL SELECT -1, 'o', format('comment on domain %s.%s, constraint', ty.ds, ty.name),"
    "  c.conname::text, format('COMMENT ON CONSTRAINT %I ON DOMAIN %I.%I IS ', c.conname, ty.ds,"
    "   ty.name), quote_literal(obj_description(c.oid, 'pg_constraint')), 'NULL', false,"
    "  format('%s %s.%s', ty.kind, ty.ds, ty.name) FROM ty JOIN pg_constraint c ON c.contypid = "
    "ty.oid)"
    " SELECT * FROM trait WHERE $5::bool OR value IS NOT NULL";

/* --- lists ------------------------------------------------------------------------------------ */

static int compare_place(const struct trait *a, const struct trait *b)
{
    if (a->table != b->table)
        return a->table < b->table ? -1 : 1;
    return (int)a->of - (int)b->of;
}

static int compare(const void *x, const void *y)
{
    const struct trait *a = x, *b = y;
    int by = compare_place(a, b);
    by = by ? by : strcmp(a->part, b->part);
    return by ? by : strcmp(a->what, b->what);
}

void traits_sort(struct trait_list *l)
{
    if (l->n > 0)
        qsort(l->items, l->n, sizeof *l->items, compare);
}

const struct trait *traits_find(const struct trait_list *l, const struct trait *like)
{
    return l->n ? bsearch(like, l->items, l->n, sizeof *l->items, compare) : NULL;
}

bool traits_have_part(const struct trait_list *l, const struct trait *like)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int by = compare_place(&l->items[mid], like);
        if ((by ? by : strcmp(l->items[mid].part, like->part)) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < l->n && compare_place(&l->items[low], like) == 0 &&
           strcmp(l->items[low].part, like->part) == 0;
}

void traits_free(struct trait_list *l)
{
    for (size_t k = 0; k < l->n; k++) {
        free(l->items[k].what);
        free(l->items[k].part);
        free(l->items[k].owner);
        free(l->items[k].stem);
        free(l->items[k].value);
        free(l->items[k].reset);
    }
    free(l->items);
    *l = (struct trait_list){0};
}

bool trait_is_object(const struct trait *t)
{
    return t->of == TRAIT_OF_STATISTICS && !t->stem[0];
}

char *trait_sql(const struct trait *t, const struct trait *there)
{
    if (trait_is_object(t) && there && there->value)
        return mem_printf("%s; %s", there->reset, t->value);
    return mem_printf("%s%s", t->of == TRAIT_OF_BRANCH && there ? there->stem : t->stem, t->value);
}

/* --- reading ---------------------------------------------------------------------------------- */

enum {
    P_SCHEMA,
    P_TABLE,
    P_DEST_SCHEMA,
    P_DEST_TABLE,
    P_TABLES
};
enum {
    P_KIND,
    P_OBJECT_SCHEMA,
    P_OBJECT_OLD_SCHEMA,
    P_OBJECT_NAME,
    P_OBJECTS
};

static void put_tables(const struct schema *s, bool is_dest, struct buf *arrays)
{
    const char **cells = mem_calloc(P_TABLES * s->n_tables + 1, sizeof *cells);
    size_t n = s->n_tables;
    for (size_t i = 0; i < n; i++) {
        const struct schema_table *t = &s->tables[i];
        cells[P_SCHEMA * n + i] = is_dest ? t->dest_schema : t->schema;
        cells[P_TABLE * n + i] = is_dest ? t->dest_name : t->name;
        cells[P_DEST_SCHEMA * n + i] = t->dest_schema;
        cells[P_DEST_TABLE * n + i] = t->dest_name;
    }
    for (size_t k = 0; k < P_TABLES; k++)
        pg_quote_array(&arrays[k], n, cells + k * n);
    free(cells);
}

static const char *object_word(const struct schema_statement *st)
{
    static const char *const words[] = {
        [OBJECT_SCHEMA] = "schema",       [OBJECT_EXTENSION] = NULL,
        [OBJECT_COLLATION] = "collation", [OBJECT_TYPE] = "type",
        [OBJECT_SEQUENCE] = "sequence",   [OBJECT_TABLE] = NULL,
    };
    return st->is_part ? NULL : words[st->object];
}

static void put_objects(const struct schema *s, bool is_dest, struct buf *arrays)
{
    const char **cells = mem_calloc(P_OBJECTS * s->n_before + 1, sizeof *cells);
    size_t n = 0, m = s->n_before;
    for (size_t i = 0; i < m; i++) {
        const struct schema_statement *st = &s->before[i];
        if (!object_word(st))
            continue;
        cells[P_KIND * m + n] = object_word(st);
        cells[P_OBJECT_SCHEMA * m + n] = st->schema;
        cells[P_OBJECT_OLD_SCHEMA * m + n] =
            is_dest || !st->source_schema ? st->schema : st->source_schema;
        cells[P_OBJECT_NAME * m + n++] = st->name;
    }
    for (size_t k = 0; k < P_OBJECTS; k++)
        pg_quote_array(&arrays[k], n, cells + k * m);
    free(cells);
}

static void take(const struct pg_result *res, size_t row, struct trait_list *out)
{
    struct trait t = {.table = (int)pg_int(res, row, 0),
                      .of = (enum trait_of)pg_text(res, row, 1)[0],
                      .what = mem_strdup(pg_text(res, row, 2)),
                      .part = mem_strdup(pg_text(res, row, 3)),
                      .stem = mem_strdup(pg_text(res, row, 4)),
                      .value = read_text(res, row, 5),
                      .reset = read_text(res, row, 6),
                      .needs_objects = pg_bool(res, row, 7),
                      .owner = read_text(res, row, 8)};
    MEM_PUSH(out->items, out->n, out->cap, t);
}

bool traits_read(struct pg_conn *c, struct task *task, const struct schema *s,
                 const char *excluded_oids, const char *excluded_nums, bool is_dest,
                 struct trait_list *out, struct err *err)
{
    struct buf tables[P_TABLES] = {{0}}, objects[P_OBJECTS] = {{0}}, sql = {0};
    struct pg_result *res = NULL;
    put_tables(s, is_dest, tables);
    put_objects(s, is_dest, objects);
    buf_puts(&sql, start_sql);
    buf_puts(&sql, pg_version(c) >= 140000 ? compression_sql : "");
    buf_puts(&sql, tables_sql);
    buf_puts(&sql, objects_sql);
    const char *values[] = {
        buf_text(&tables[P_SCHEMA]),
        buf_text(&tables[P_TABLE]),
        buf_text(&tables[P_DEST_SCHEMA]),
        buf_text(&tables[P_DEST_TABLE]),
        is_dest ? "true" : "false",
        excluded_oids,
        excluded_nums,
        buf_text(&objects[P_KIND]),
        buf_text(&objects[P_OBJECT_SCHEMA]),
        buf_text(&objects[P_OBJECT_OLD_SCHEMA]),
        buf_text(&objects[P_OBJECT_NAME]),
    };
    *out = (struct trait_list){0};
    bool ok = pg_exec_params(c, task, SCHEMA_QUERY_MS, buf_text(&sql), COUNT_OF(values), values,
                             &res, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++)
        take(res, row, out);
    traits_sort(out);
    pg_free(res);
    for (size_t k = 0; k < P_TABLES; k++)
        buf_free(&tables[k]);
    for (size_t k = 0; k < P_OBJECTS; k++)
        buf_free(&objects[k]);
    buf_free(&sql);
    return ok || err_context(err, "read comments, statistics …");
}
