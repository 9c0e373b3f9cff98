/* Compares the destination with what was read: which objects are there, whether existing tables can
 * take the rows, and which indexes and foreign keys exist already. Finds everything, changes
 * nothing at the server. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

void present_add(struct present *p, const char *schema, const char *name, char *problem)
{
    name_list_add(&p->problems, problem);
    name_list_add(&p->places, mem_strdup(schema));
    name_list_add(&p->places, mem_strdup(name));
}

void present_free(struct present *p)
{
    free(p->exists);
    name_list_free(&p->missing);
    name_list_free(&p->problems);
    name_list_free(&p->places);
}

static char *text_array(size_t n, const char *const *items)
{
    struct buf b = {0};
    pg_quote_array(&b, n, items);
    return buf_take(&b);
}

/* Columns: exists, relkind of a relation, typtype of a type, labels that an enum lacks, or what a
 * table needs and is not there. $1 is the enum schema_object as a number. */
static const char objects_sql[] =
    "SELECT u.ord - 1, CASE u.object::int WHEN 0 THEN EXISTS (SELECT FROM pg_namespace"
    "  WHERE nspname = u.name)"
    " WHEN 1 THEN EXISTS (SELECT FROM pg_extension WHERE extname = u.name)"
    " WHEN 2 THEN EXISTS (SELECT FROM pg_collation c WHERE c.collnamespace = n.oid"
    "  AND c.collname = u.name)"
    " WHEN 3 THEN ty.oid IS NOT NULL ELSE c.oid IS NOT NULL END, c.relkind, ty.typtype,"
    " CASE WHEN u.labels <> '' AND u.object::int = 5 THEN (SELECT string_agg(format('%s %I.%I',"
    "   a[3 * k - 2], a[3 * k - 1], a[3 * k]), ', ') FROM (SELECT u.labels::text[] AS a) x,"
    "   generate_series(1, array_length(a, 1) / 3) k WHERE NOT EXISTS (SELECT FROM pg_proc f"
    "   JOIN pg_namespace fn ON fn.oid = f.pronamespace WHERE a[3 * k - 2] = 'function'"
    "   AND fn.nspname = a[3 * k - 1] AND f.proname = a[3 * k]) AND NOT EXISTS (SELECT FROM"
    "   pg_opclass o JOIN pg_namespace m ON m.oid = o.opcnamespace WHERE a[3 * k - 2] <>"
    "   'function' AND m.nspname = a[3 * k - 1] AND o.opcname = a[3 * k]))"
    "  WHEN u.labels <> '' THEN (SELECT string_agg(l, ', ') FROM unnest(u.labels::text[]) l"
    "  WHERE l NOT IN (SELECT enumlabel FROM pg_enum WHERE enumtypid = ty.oid)) END"
    " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])"
    "  WITH ORDINALITY u(object, schema, name, labels, ord)"
    " LEFT JOIN pg_namespace n ON n.nspname = u.schema"
    " LEFT JOIN pg_class c ON u.object::int IN (4, 5) AND c.relnamespace = n.oid"
    "  AND c.relname = u.name"
    " LEFT JOIN pg_type ty ON u.object::int = 3 AND ty.typnamespace = n.oid"
    "  AND ty.typname = u.name ORDER BY u.ord";

static void judge_relation(const struct schema *s, const struct schema_statement *st, char relkind,
                           struct present *p)
{
    bool is_table = relkind == 'r' || relkind == 'p';
    const struct schema_table *t =
        st->object == OBJECT_TABLE ? schema_find_dest(s, st->schema, st->name) : NULL;
    if (st->object == OBJECT_SEQUENCE ? relkind != 'S' : !is_table)
        present_add(p, st->schema, st->name,
                    mem_printf("%s.%s exists and is not a %s", st->schema, st->name,
                               st->object == OBJECT_TABLE ? "table" : "sequence"));
    else if (t && t->is_partitioned && relkind != 'p')
        present_add(p, st->schema, st->name,
                    mem_printf("table %s.%s exists and is not partitioned, as %s.%s of the"
                               " source is",
                               st->schema, st->name, t->schema, t->name));
}

static void judge_object(const struct schema *s, size_t i, const struct pg_result *res, size_t row,
                         struct present *p)
{
    const struct schema_statement *st = &s->before[i];
    char typtype = pg_text(res, row, 3)[0];
    if (st->is_part)
        return;
    if (!p->exists[i]) {
        if (st->object == OBJECT_TABLE)
            name_list_add(&p->missing, mem_printf("%s.%s", st->schema, st->name));
        if (st->needs && p->create && !pg_is_null(res, row, 4))
            present_add(p, st->schema, st->name,
                        mem_printf("%s.%s is partitioned by what the destination lacks: create "
                                   "%s there first",
                                   st->schema, st->name, pg_text(res, row, 4)));
        if (st->object != OBJECT_TABLE && !st->sql)
            present_add(p, st->schema, st->name,
                        mem_printf("%s cannot be created from here: create it first", st->what));
    } else if (st->object == OBJECT_TABLE || st->object == OBJECT_SEQUENCE) {
        judge_relation(s, st, pg_text(res, row, 2)[0], p);
    } else if (st->labels && typtype != 'e') {
        present_add(p, st->schema, st->name, mem_printf("%s exists and is not an enum", st->what));
    } else if (st->labels && !pg_is_null(res, row, 4) &&
               !book_knows(p->known, BOOK_LABEL, st->schema, st->name)) {
        present_add(p, st->schema, st->name,
                    mem_printf("enum %s.%s lacks %s: ALTER TYPE … ADD VALUE", st->schema, st->name,
                               pg_text(res, row, 4)));
    }
}

bool compare_objects(struct pg_conn *dest, struct task *task, const struct schema *s,
                     struct present *p, struct err *err)
{
    static const char *const digits[] = {"0", "1", "2", "3", "4", "5"};
    size_t n = s->n_before;
    const char **cells = mem_calloc(4 * n + 1, sizeof *cells);
    for (size_t i = 0; i < n; i++) {
        cells[i] = digits[s->before[i].object];
        cells[n + i] = s->before[i].schema;
        cells[2 * n + i] = s->before[i].name;
        const char *more = s->before[i].needs ? s->before[i].needs : s->before[i].labels;
        cells[3 * n + i] = more ? more : "";
    }
    char *values[4];
    for (size_t k = 0; k < COUNT_OF(values); k++)
        values[k] = text_array(n, cells + k * n);
    struct pg_result *res = NULL;
    bool ok = pg_exec_params(dest, task, SCHEMA_QUERY_MS, objects_sql, COUNT_OF(values),
                             (const char *const *)values, &res, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++) {
        size_t i = (size_t)pg_int(res, row, 0);
        p->exists[i] = pg_bool(res, row, 1);
        if (p->kinds)
            p->kinds[i] = pg_text(res, row, pg_is_null(res, row, 2) ? 3 : 2)[0];
        judge_object(s, i, res, row, p);
    }
    pg_free(res);
    for (size_t k = 0; k < COUNT_OF(values); k++)
        free(values[k]);
    free(cells);
    return ok;
}

static const char columns_sql[] =
    "SELECT u.ord - 1, a.attname, a.atttypid, a.attgenerated <> '', a.attidentity,"
    " a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND t.typdefault IS NULL,"
    " t.typreceive = 0"
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u(s, t, ord)"
    " JOIN pg_namespace n ON n.nspname = u.s JOIN pg_class c ON c.relnamespace = n.oid"
    "  AND c.relname = u.t AND c.relkind IN ('r', 'p')"
    " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " LEFT JOIN pg_type t ON t.oid = a.atttypid ORDER BY u.ord, a.attnum";

static bool is_written(const struct schema_column *c)
{
    return !c->is_excluded && !c->is_generated;
}

/* One column of the destination beside its counterpart c, which may be missing. */
static void judge_column(struct schema_table *t, struct schema_column *c,
                         const struct pg_result *res, size_t row, const char *mirror,
                         struct present *p)
{
    const char *name = pg_text(res, row, 1), *ds = t->dest_schema, *dt = t->dest_name;
    bool is_generated = pg_bool(res, row, 3);
    if (c && c->type_oid != (uint32_t)pg_int(res, row, 2))
        c->can_binary = false;
    t->is_text_only = t->is_text_only || pg_bool(res, row, 6);
    if (c && is_written(c) && is_generated)
        present_add(p, ds, dt,
                    mem_printf("column %s of %s.%s is generated at the destination", name, ds, dt));
    else if (c && is_written(c) && pg_text(res, row, 4)[0] == 'a')
        present_add(p, ds, dt,
                    mem_printf("identity column %s of %s.%s cannot be written: ALTER TABLE …"
                               " ALTER COLUMN … SET GENERATED BY DEFAULT",
                               name, ds, dt));
    else if (!(c && is_written(c)) && pg_bool(res, row, 5))
        present_add(p, ds, dt,
                    mem_printf("column %s of %s.%s is NOT NULL without a default and is not"
                               " written",
                               name, ds, dt));
    else if (c && c->is_generated && !c->is_excluded && !is_generated)
        log_warn("schema", mirror,
                 "column stays empty, generated at the source only table=%s.%s"
                 " column=%s",
                 ds, dt, name);
}

static void judge_table(struct schema_table *t, const struct pg_result *res, size_t from, size_t to,
                        const char *mirror, struct present *p)
{
    bool *seen = mem_calloc(t->n_columns + 1, sizeof *seen);
    for (size_t row = from; row < to; row++) {
        struct schema_column *c = NULL;
        for (size_t i = 0; i < t->n_columns && !c; i++)
            if (!pg_is_null(res, row, 1) && strcmp(t->columns[i].name, pg_text(res, row, 1)) == 0) {
                c = &t->columns[i];
                seen[i] = true;
            }
        judge_column(t, c, res, row, mirror, p);
    }
    for (size_t i = 0; i < t->n_columns; i++)
        if (!seen[i] && is_written(&t->columns[i]))
            present_add(p, t->dest_schema, t->dest_name,
                        mem_printf("%s.%s has no column %s", t->dest_schema, t->dest_name,
                                   t->columns[i].name));
    free(seen);
}

bool compare_columns(struct pg_conn *dest, struct task *task, struct schema *s, struct present *p,
                     const char *mirror, struct err *err)
{
    size_t n = s->n_tables;
    const char **cells = mem_calloc(2 * n + 1, sizeof *cells);
    for (size_t i = 0; i < n; i++) {
        cells[i] = s->tables[i].dest_schema;
        cells[n + i] = s->tables[i].dest_name;
    }
    char *values[] = {text_array(n, cells), text_array(n, cells + n)};
    struct pg_result *res = NULL;
    bool ok = pg_exec_params(dest, task, SCHEMA_QUERY_MS, columns_sql, 2,
                             (const char *const *)values, &res, err);
    for (size_t from = 0, to; ok && from < pg_rows(res); from = to) {
        for (to = from; to < pg_rows(res) && pg_int(res, to, 0) == pg_int(res, from, 0);)
            to++;
        judge_table(&s->tables[pg_int(res, from, 0)], res, from, to, mirror, p);
    }
    pg_free(res);
    free(values[0]);
    free(values[1]);
    free(cells);
    return ok;
}
