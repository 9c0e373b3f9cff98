/* Table mappings as they are asked for, made definite: "*" becomes tables, destinations get their
 * names, and what cannot be is refused, all of it in one error. */
#include "schema/schema_private.h"

#include <stdlib.h>
#include <string.h>

struct map_list {
    struct table_map *items;
    size_t n, cap;
};

static void list_free(struct map_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        table_map_free(&l->items[i]);
    free(l->items);
}

static void copy_map(struct table_map *out, const struct table_map *m, const char *schema,
                     const char *table)
{
    *out = *m;
    str_copy(out->source_schema, sizeof out->source_schema, schema);
    str_copy(out->source_table, sizeof out->source_table, table);
    out->exclude = mem_calloc(m->n_exclude + 1, sizeof *out->exclude);
    for (size_t i = 0; i < m->n_exclude; i++)
        out->exclude[i] = mem_strdup(m->exclude[i]);
    if (!out->dest_schema[0])
        str_copy(out->dest_schema, sizeof out->dest_schema, schema);
    if (!out->dest_table[0] || strcmp(out->dest_table, "*") == 0)
        str_copy(out->dest_table, sizeof out->dest_table, table);
}

static bool is_star(const struct table_map *m)
{
    return strcmp(m->source_table, "*") == 0;
}

/* Tables and partitioned tables of the schemas, but for those that CREATE EXTENSION makes, and
 * whether it comes along with a mapped one: a partition does, when one of its ancestors is in a
 * mapped schema, or mapped by itself. */
static const char star_sql[] =
    "WITH RECURSIVE up(oid, ancestor, ns) AS ("
    " SELECT i.inhrelid, i.inhparent, p.relnamespace FROM pg_inherits i"
    "  JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition JOIN pg_class p"
    "  ON p.oid = i.inhparent UNION ALL"
    " SELECT up.oid, i.inhparent, p.relnamespace FROM up JOIN pg_inherits i"
    "  ON i.inhrelid = up.ancestor JOIN pg_class p ON p.oid = i.inhparent)"
    " SELECT n.nspname, c.relname, c.oid IN (SELECT up.oid FROM up JOIN pg_namespace un"
    "  ON un.oid = up.ns WHERE un.nspname = ANY ($1::text[]))"
    " OR c.oid IN (SELECT up.oid FROM up JOIN pg_class a ON a.oid = up.ancestor"
    "  JOIN pg_namespace an ON an.oid = a.relnamespace JOIN unnest($2::text[], $3::text[]) x(s, t)"
    "  ON x.s = an.nspname AND x.t = a.relname)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'"
    " AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.deptype = 'e' AND e.objid = c.oid"
    "  AND e.classid = 'pg_class'::regclass)"
    " ORDER BY n.nspname, c.relname";

/* An array literal of one field of the maps that are, or are not, "*". */
static char *field_array(const struct table_map *maps, size_t n, bool stars, size_t offset)
{
    const char **items = mem_calloc(n + 1, sizeof *items);
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (is_star(&maps[i]) == stars)
            items[k++] = (const char *)&maps[i] + offset;
    struct buf b = {0};
    pg_quote_array(&b, k, items);
    free(items);
    return buf_take(&b);
}

static bool is_named(const struct table_map *maps, size_t n, const char *schema, const char *table)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(maps[i].source_table, table) == 0 && strcmp(maps[i].source_schema, schema) == 0)
            return true;
    return false;
}

/* Whether a mapping can hold the name; from an encoding that has a byte for what UTF-8 has two, one
 * may come that PostgreSQL would cut off at the destination. A table "*" cannot be told from all
 * tables. */
static bool is_nameable(const char *schema, const char *table, struct name_list *problems)
{
    if (strlen(table) >= NAME_SIZE)
        name_list_add(problems, mem_printf("%s.%s: the name is longer than 63 bytes in UTF-8",
                                           schema, table));
    else if (!strcmp(table, "*"))
        name_list_add(problems,
                      mem_printf("%s.\"*\": it has the name that means all tables: rename "
                                 "it, or name the others one by one",
                                 schema));
    else
        return true;
    return false;
}

/* Adds the tables of maps[i], a "*", in the order of names. */
static void expand_star(const struct table_map *maps, size_t n, size_t i,
                        const struct pg_result *res, struct map_list *out,
                        struct name_list *problems)
{
    bool is_empty = true;
    for (size_t row = 0; row < pg_rows(res); row++) {
        const char *schema = pg_text(res, row, 0), *table = pg_text(res, row, 1);
        if (strcmp(schema, maps[i].source_schema) != 0 ||
            (strcmp(table, "*") != 0 && is_named(maps, n, schema, table)) ||
            !is_nameable(schema, table, problems))
            continue;
        is_empty = false;
        if (pg_bool(res, row, 2))
            continue;
        struct table_map m;
        copy_map(&m, &maps[i], schema, table);
        MEM_PUSH(out->items, out->n, out->cap, m);
    }
    if (is_empty && !is_named(maps, i, maps[i].source_schema, "*"))
        name_list_add(problems, mem_printf("schema %s has no tables (left) to mirror",
                                           maps[i].source_schema));
}

static bool expand(struct pg_conn *source, struct task *task, const struct table_map *maps,
                   size_t n, struct map_list *out, struct name_list *problems, struct err *err)
{
    char *values[] = {field_array(maps, n, true, offsetof(struct table_map, source_schema)),
                      field_array(maps, n, false, offsetof(struct table_map, source_schema)),
                      field_array(maps, n, false, offsetof(struct table_map, source_table))};
    struct pg_result *res = NULL;
    bool ok = pg_exec_params(source, task, SCHEMA_QUERY_MS, star_sql, COUNT_OF(values),
                             (const char *const *)values, &res, err);
    for (size_t i = 0; i < COUNT_OF(values); i++)
        free(values[i]);
    for (size_t i = 0; ok && i < n; i++) {
        if (is_star(&maps[i])) {
            expand_star(maps, n, i, res, out, problems);
            continue;
        }
        struct table_map m;
        copy_map(&m, &maps[i], maps[i].source_schema, maps[i].source_table);
        MEM_PUSH(out->items, out->n, out->cap, m);
    }
    pg_free(res);
    return ok;
}

/* What each mapped name is at the source, and its columns. */
static const char exists_sql[] =
    "SELECT u.ord - 1, c.relkind, c.relpersistence, (SELECT array_to_string(array_agg(x), ', ')"
    "  FROM unnest(u.ex::text[]) x WHERE c.oid IS NOT NULL AND x NOT IN (SELECT a.attname FROM"
    "  pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))"
    " FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY u(s, t, ex, ord)"
    " LEFT JOIN pg_namespace n ON n.nspname = u.s"
    " LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.t"
    "  AND c.relkind NOT IN ('i', 'I', 't', 'c') ORDER BY u.ord";

static char *excludes_array(const struct map_list *l)
{
    const char **items = mem_calloc(l->n + 1, sizeof *items);
    struct buf *each = mem_calloc(l->n + 1, sizeof *each);
    struct buf b = {0};
    for (size_t i = 0; i < l->n; i++) {
        pg_quote_array(&each[i], l->items[i].n_exclude, (const char *const *)l->items[i].exclude);
        items[i] = buf_text(&each[i]);
    }
    pg_quote_array(&b, l->n, items);
    for (size_t i = 0; i < l->n; i++)
        buf_free(&each[i]);
    free(each);
    free(items);
    return buf_take(&b);
}

static void judge_relation(const struct table_map *m, bool from_star, const struct pg_result *res,
                           size_t row, struct name_list *problems)
{
    static const struct {
        char kind;
        const char *word;
    } kinds[] = {{'v', "a view"},
                 {'m', "a materialized view"},
                 {'f', "a foreign table"},
                 {'S', "a sequence"},
                 {0, "no such table"}};
    char kind = pg_text(res, row, 1)[0];
    bool is_system = strncmp(m->source_schema, "pg_", 3) == 0 ||
                     strcmp(m->source_schema, "information_schema") == 0;
    const char *wrong = NULL;
    if (is_system)
        wrong = "a system table";
    else if (pg_text(res, row, 2)[0] == 't')
        wrong = "a temporary table";
    for (size_t k = 0; !wrong && kind != 'r' && kind != 'p' && k < COUNT_OF(kinds); k++)
        if (kinds[k].kind == kind)
            wrong = kinds[k].word;
    if (wrong)
        name_list_add(problems, mem_printf("%s.%s: %s", m->source_schema, m->source_table, wrong));
    else if (!from_star && pg_text(res, row, 3)[0])
        name_list_add(problems, mem_printf("%s.%s: no column %s to exclude", m->source_schema,
                                           m->source_table, pg_text(res, row, 3)));
}

static bool check_source(struct pg_conn *source, struct task *task, const struct map_list *l,
                         const struct table_map *asked, size_t n, struct name_list *problems,
                         struct err *err)
{
    struct pg_result *res = NULL;
    char *values[] = {field_array(l->items, l->n, false, offsetof(struct table_map, source_schema)),
                      field_array(l->items, l->n, false, offsetof(struct table_map, source_table)),
                      excludes_array(l)};
    bool ok = pg_exec_params(source, task, SCHEMA_QUERY_MS, exists_sql, COUNT_OF(values),
                             (const char *const *)values, &res, err);
    for (size_t i = 0; i < COUNT_OF(values); i++)
        free(values[i]);
    for (size_t row = 0; ok && row < pg_rows(res); row++) {
        const struct table_map *m = &l->items[pg_int(res, row, 0)];
        judge_relation(m, !is_named(asked, n, m->source_schema, m->source_table), res, row,
                       problems);
    }
    pg_free(res);
    return ok;
}

static void check_twice(const struct map_list *l, struct name_list *problems)
{
    for (size_t i = 0; i < l->n; i++) {
        for (size_t k = 0; k < i; k++) {
            const struct table_map *a = &l->items[i], *b = &l->items[k];
            if (strcmp(a->source_table, b->source_table) == 0 &&
                strcmp(a->source_schema, b->source_schema) == 0)
                name_list_add(problems,
                              mem_printf("%s.%s: mapped twice", a->source_schema, a->source_table));
            else if (strcmp(a->dest_table, b->dest_table) == 0 &&
                     strcmp(a->dest_schema, b->dest_schema) == 0)
                name_list_add(problems,
                              mem_printf("%s.%s and %s.%s: both go to %s.%s", b->source_schema,
                                         b->source_table, a->source_schema, a->source_table,
                                         a->dest_schema, a->dest_table));
        }
    }
}

/* An asked-for "*" with a destination table would put all tables into one. */
static void check_stars(const struct table_map *maps, size_t n, struct name_list *problems)
{
    for (size_t i = 0; i < n; i++)
        if (is_star(&maps[i]) && maps[i].dest_table[0] && strcmp(maps[i].dest_table, "*") != 0)
            name_list_add(problems, mem_printf("%s.*: cannot go to the one table %s",
                                               maps[i].source_schema, maps[i].dest_table));
}

bool schema_resolve_maps(struct pg_conn *source, struct task *task, const struct table_map *maps,
                         size_t n, struct table_map **out, size_t *n_out, struct err *err)
{
    struct map_list l = {0};
    struct name_list wrong = {0}, missing = {0};
    check_stars(maps, n, &wrong);
    bool ok = wrong.n > 0 || (expand(source, task, maps, n, &l, &missing, err) &&
                              check_source(source, task, &l, maps, n, &missing, err));
    if (ok)
        check_twice(&l, &wrong);
    if (ok && missing.n + wrong.n > 0) {
        char *a = name_list_text(&missing, "; ", 400), *b = name_list_text(&wrong, "; ", 300);
        ok = err_set(err, missing.n ? ERR_SOURCE_TABLE : ERR_INVALID,
                     "these tables cannot be mirrored: %s%s%s", a, missing.n && wrong.n ? "; " : "",
                     b);
        free(a);
        free(b);
    }
    name_list_free(&missing);
    name_list_free(&wrong);
    if (!ok) {
        list_free(&l);
        return false;
    }
    *out = l.items;
    *n_out = l.n;
    return true;
}
