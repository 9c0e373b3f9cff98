/* Indexes and foreign keys that an existing destination table has already are taken off the lists;
 * names that belong to something else are problems. */
#include "schema/schema_private.h"

#include <stdlib.h>
#include <string.h>

/* Columns: position, what has the name in the schema: 0 nothing, 1 our table's index, 2 another
 * relation; our table has a primary key. */
static const char indexes_sql[] =
    "SELECT u.ord - 1, CASE WHEN c.oid IS NULL THEN 0 WHEN x.indrelid = d.oid THEN 1 ELSE 2 END,"
    " EXISTS (SELECT FROM pg_index k WHERE k.indrelid = d.oid AND k.indisprimary)"
    " FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY u(s, t, name, ord)"
    " JOIN pg_namespace n ON n.nspname = u.s"
    " LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.name"
    " LEFT JOIN pg_class d ON d.relnamespace = n.oid AND d.relname = u.t"
    " LEFT JOIN pg_index x ON x.indexrelid = c.oid ORDER BY u.ord DESC";

static const char fkeys_sql[] =
    "SELECT u.ord - 1, k.convalidated OR k.contype <> 'f' FROM unnest($1::text[], $2::text[],"
    " $3::text[]) WITH ORDINALITY"
    " u(s, t, name, ord) JOIN pg_namespace n ON n.nspname = u.s JOIN pg_class d"
    " ON d.relnamespace = n.oid AND d.relname = u.t JOIN pg_constraint k ON k.conrelid = d.oid"
    " AND k.conname = u.name ORDER BY u.ord DESC";

/* The indexes (or foreign keys) of all tables in one row. */
struct flat {
    size_t n, cap;
    struct flat_item {
        struct schema_table *table;
        size_t position;
        const char *name;
    } * items;
};

static struct flat flatten(struct schema *s, bool fkeys)
{
    struct flat f = {0};
    for (size_t i = 0; i < s->n_tables; i++) {
        struct schema_table *t = &s->tables[i];
        for (size_t k = 0; k < (fkeys ? t->n_fkeys : t->n_indexes); k++) {
            struct flat_item item = {
                .table = t, .position = k, .name = fkeys ? t->fkeys[k].name : t->indexes[k].name};
            MEM_PUSH(f.items, f.n, f.cap, item);
        }
    }
    return f;
}

static bool ask(struct pg_conn *dest, struct task *task, const char *sql, const struct flat *f,
                struct pg_result **out, struct err *err)
{
    const char **cells = mem_calloc(3 * f->n + 1, sizeof *cells);
    struct buf arrays[3] = {{0}};
    const char *values[3];
    for (size_t i = 0; i < f->n; i++) {
        cells[i] = f->items[i].table->dest_schema;
        cells[f->n + i] = f->items[i].table->dest_name;
        cells[2 * f->n + i] = f->items[i].name;
    }
    for (size_t k = 0; k < 3; k++) {
        pg_quote_array(&arrays[k], f->n, cells + k * f->n);
        values[k] = buf_text(&arrays[k]);
    }
    bool ok = pg_exec_params(dest, task, SCHEMA_QUERY_MS, sql, 3, values, out, err);
    for (size_t k = 0; k < 3; k++)
        buf_free(&arrays[k]);
    free(cells);
    return ok;
}

static void find_twins(const struct flat *f, struct present *p)
{
    for (size_t i = 0; i < f->n; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(f->items[i].name, f->items[k].name) == 0 &&
                strcmp(f->items[i].table->dest_schema, f->items[k].table->dest_schema) == 0)
                present_add(p, f->items[i].table->dest_schema, f->items[i].table->dest_name,
                            mem_printf("indexes of %s.%s and %s.%s would both be named %s.%s:"
                                       " rename one at the source",
                                       f->items[k].table->schema, f->items[k].table->name,
                                       f->items[i].table->schema, f->items[i].table->name,
                                       f->items[i].table->dest_schema, f->items[i].name));
}

bool compare_indexes(struct pg_conn *dest, struct task *task, struct schema *s, struct present *p,
                     struct err *err)
{
    struct flat indexes = flatten(s, false), fkeys = flatten(s, true);
    struct pg_result *res = NULL, *fres = NULL;
    bool ok = ask(dest, task, indexes_sql, &indexes, &res, err) &&
              ask(dest, task, fkeys_sql, &fkeys, &fres, err);
    if (ok && p->create)
        find_twins(&indexes, p);
    /* From the last to the first, so that positions stay right while items are taken off. */
    for (size_t row = 0; ok && row < pg_rows(res); row++) {
        const struct flat_item *item = &indexes.items[pg_int(res, row, 0)];
        bool is_primary = item->table->indexes[item->position].kind == INDEX_PRIMARY;
        if (pg_int(res, row, 1) == 1 || (is_primary && pg_bool(res, row, 2)))
            schema_drop_index(item->table, item->position);
        else if (p->create && pg_int(res, row, 1) == 2)
            present_add(p, item->table->dest_schema, item->table->dest_name,
                        mem_printf("the name of index %s.%s is taken by another relation",
                                   item->table->dest_schema, item->name));
    }
    for (size_t row = 0; ok && row < pg_rows(fres); row++) {
        const struct flat_item *item = &fkeys.items[pg_int(fres, row, 0)];
        /* A copy that was cut off may have added it, and not validated. */
        if (pg_bool(fres, row, 1) || !item->table->fkeys[item->position].validate_sql)
            schema_drop_fkey(item->table, item->position);
    }
    pg_free(res);
    pg_free(fres);
    free(indexes.items);
    free(fkeys.items);
    return ok;
}
