/* The struct schema itself: freeing, finding, and the small helpers that the readers share. */
#include "schema/schema_private.h"

#include <stdlib.h>
#include <string.h>

void schema_column_free(struct schema_column *c)
{
    free(c->name);
    free(c->type);
    free(c->default_expr);
    free(c->collation);
    free(c->comment);
}

static void table_free(struct schema_table *t)
{
    for (size_t i = 0; i < t->n_columns; i++)
        schema_column_free(&t->columns[i]);
    while (t->n_indexes > 0)
        schema_drop_index(t, t->n_indexes - 1);
    for (size_t i = 0; i < t->n_fkeys; i++) {
        free(t->fkeys[i].name);
        free(t->fkeys[i].add_sql);
        free(t->fkeys[i].validate_sql);
    }
    for (size_t i = 0; i < t->n_key; i++)
        free(t->key[i]);
    free(t->columns);
    free(t->indexes);
    free(t->fkeys);
    free(t->key);
    free(t->schema);
    free(t->name);
    free(t->dest_schema);
    free(t->dest_name);
}

static void statements_free(struct schema_statement *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(items[i].sql);
        free(items[i].what);
        free(items[i].schema);
        free(items[i].name);
        free(items[i].labels);
        free(items[i].sets);
        free(items[i].needs);
        free(items[i].source_schema);
    }
    free(items);
}

void schema_free(struct schema *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_tables; i++)
        table_free(&s->tables[i]);
    free(s->tables);
    statements_free(s->before, s->n_before);
    statements_free(s->after, s->n_after);
    layouts_free(s);
    traits_free(&s->traits);
    free(s);
}

const struct schema_table *schema_find(const struct schema *s, const char *src_schema,
                                       const char *src_table)
{
    for (size_t i = 0; i < s->n_tables; i++)
        if (strcmp(s->tables[i].name, src_table) == 0 &&
            strcmp(s->tables[i].schema, src_schema) == 0)
            return &s->tables[i];
    return NULL;
}

const struct schema_table *schema_find_dest(const struct schema *s, const char *dest_schema,
                                            const char *dest_table)
{
    for (size_t i = 0; i < s->n_tables; i++)
        if (strcmp(s->tables[i].dest_name, dest_table) == 0 &&
            strcmp(s->tables[i].dest_schema, dest_schema) == 0)
            return &s->tables[i];
    return NULL;
}

void schema_drop_index(struct schema_table *t, size_t i)
{
    free(t->indexes[i].name);
    free(t->indexes[i].create_sql);
    free(t->indexes[i].branches_sql);
    free(t->indexes[i].twin);
    free(t->indexes[i].twin_sql);
    free(t->indexes[i].adopt_sql);
    t->n_indexes--;
    memmove(&t->indexes[i], &t->indexes[i + 1], (t->n_indexes - i) * sizeof t->indexes[0]);
}

void schema_drop_fkey(struct schema_table *t, size_t i)
{
    free(t->fkeys[i].name);
    free(t->fkeys[i].add_sql);
    free(t->fkeys[i].validate_sql);
    t->n_fkeys--;
    memmove(&t->fkeys[i], &t->fkeys[i + 1], (t->n_fkeys - i) * sizeof t->fkeys[0]);
}

void name_list_add(struct name_list *l, char *owned)
{
    MEM_PUSH(l->items, l->n, l->cap, owned);
}

bool name_list_has(const struct name_list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->items[i], name) == 0)
            return true;
    return false;
}

void name_list_free(struct name_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i]);
    free(l->items);
    *l = (struct name_list){0};
}

char *name_list_text(const struct name_list *l, const char *separator, size_t max)
{
    struct buf b = {0};
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0 && b.len + strlen(l->items[i]) + 20 > max) {
            buf_printf(&b, " and %zu more", l->n - i);
            break;
        }
        buf_puts(&b, i > 0 ? separator : "");
        buf_puts(&b, l->items[i]);
    }
    return buf_take(&b);
}

bool read_query(struct reader *r, const char *sql, size_t n, const char *const *values,
                struct pg_result **out, struct err *err)
{
    return pg_exec_params(r->conn, r->task, SCHEMA_QUERY_MS, sql, n, values, out, err) ||
           read_note_gone(err);
}

char *read_text(const struct pg_result *res, size_t row, size_t col)
{
    return pg_is_null(res, row, col) ? NULL : mem_strdup(pg_text(res, row, col));
}

static struct schema_statement *add_statement(struct schema_statement **items, size_t *n,
                                              size_t *cap, enum schema_object object,
                                              const char *schema, const char *name, char *sql)
{
    static const char *const words[] = {
        [OBJECT_SCHEMA] = "schema",       [OBJECT_EXTENSION] = "extension",
        [OBJECT_COLLATION] = "collation", [OBJECT_TYPE] = "type",
        [OBJECT_SEQUENCE] = "sequence",   [OBJECT_TABLE] = "table",
    };
    struct schema_statement st = {
        .sql = sql,
        .object = object,
        .schema = mem_strdup(schema),
        .name = mem_strdup(name),
        .what = mem_printf("%s %s%s%s", words[object], schema, schema[0] ? "." : "", name)};
    MEM_PUSH(*items, *n, *cap, st);
    return &(*items)[*n - 1];
}

struct schema_statement *read_add_before(struct reader *r, enum schema_object object,
                                         const char *schema, const char *name, char *sql)
{
    return add_statement(&r->s->before, &r->s->n_before, &r->before_cap, object, schema, name, sql);
}

struct schema_statement *read_add_after(struct reader *r, enum schema_object object,
                                        const char *schema, const char *name, char *sql)
{
    return add_statement(&r->s->after, &r->s->n_after, &r->after_cap, object, schema, name, sql);
}

int read_find_oid(const struct reader *r, uint32_t oid)
{
    for (size_t i = 0; i < r->s->n_tables; i++)
        if (r->s->tables[i].oid == oid)
            return (int)i;
    return -1;
}

struct schema_column *read_find_column(const struct schema_table *t, int attnum)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (t->columns[i].attnum == attnum)
            return &t->columns[i];
    return NULL;
}
