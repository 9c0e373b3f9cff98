/* The book of parts: what each mirrored table had when both sides were last the same; see
 * schema.h. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

const char schema_book_create_sql[] =
    "CREATE TABLE IF NOT EXISTS _bunnydb.table_parts ("
    "mirror_id text NOT NULL, source_oid bigint NOT NULL, kind text NOT NULL, number bigint NOT "
    "NULL, name text NOT NULL, detail text, dest_schema text NOT NULL, dest_name text NOT NULL, "
    "PRIMARY KEY (mirror_id, source_oid, kind, number, name))";

static const char read_sql[] =
    "SELECT source_oid, kind, number, name, detail, dest_schema, dest_name"
    " FROM _bunnydb.table_parts WHERE mirror_id = $1 AND kind NOT IN ('s', 'n', 'd', 'p')"
    " ORDER BY source_oid, kind COLLATE \"C\", number, name COLLATE \"C\"";

void book_add(struct book *b, uint32_t oid, enum book_kind kind, int64_t number, const char *name,
              const char *detail, const char *dest_schema, const char *dest_name)
{
    struct book_part p = {.oid = oid,
                          .kind = kind,
                          .number = number,
                          .name = mem_strdup(name),
                          .detail = mem_strdup(detail),
                          .dest_schema = mem_strdup(dest_schema),
                          .dest_name = mem_strdup(dest_name)};
    MEM_PUSH(b->items, b->n, b->cap, p);
}

void book_free(struct book *b)
{
    for (size_t i = 0; i < b->n; i++) {
        free(b->items[i].name);
        free(b->items[i].detail);
        free(b->items[i].dest_schema);
        free(b->items[i].dest_name);
    }
    free(b->items);
    *b = (struct book){0};
}

bool book_read(struct pg_conn *dest, struct task *task, const char *mirror_id, struct book *out,
               struct err *err)
{
    struct pg_result *res = NULL;
    *out = (struct book){0};
    if (!mirror_id)
        return true;
    if (!pg_exec(dest, task, SCHEMA_QUERY_MS,
                 "SELECT pg_catalog.to_regclass('_bunnydb.table_parts') IS NOT NULL", &res, err))
        return false;
    out->can_write = pg_bool(res, 0, 0);
    pg_free(res);
    if (!out->can_write)
        return true;
    if (!pg_exec_params(dest, task, SCHEMA_QUERY_MS, read_sql, 1, &mirror_id, &res, err))
        return err_context(err, "read the book of parts at the destination");
    for (size_t row = 0; row < pg_rows(res); row++)
        book_add(out, (uint32_t)pg_int(res, row, 0), (enum book_kind)pg_text(res, row, 1)[0],
                 pg_int(res, row, 2), pg_text(res, row, 3),
                 pg_is_null(res, row, 4) ? NULL : pg_text(res, row, 4), pg_text(res, row, 5),
                 pg_text(res, row, 6));
    out->exists = out->n > 0;
    pg_free(res);
    return true;
}

/* The first part of that OID. */
static size_t lower_bound(const struct book *b, uint32_t oid)
{
    size_t low = 0, high = b->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (b->items[mid].oid < oid)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct book_part *book_find(const struct book *b, uint32_t oid, enum book_kind kind,
                                  int64_t number, const char *name)
{
    for (size_t i = lower_bound(b, oid); i < b->n && b->items[i].oid == oid; i++) {
        const struct book_part *p = &b->items[i];
        if (p->kind == kind && (number < 0 || p->number == number) &&
            (!name || strcmp(p->name, name) == 0))
            return p;
    }
    return NULL;
}

bool book_knows(const struct book *b, enum book_kind kind, const char *dest_schema,
                const char *dest_name)
{
    for (size_t i = 0; b && i < b->n; i++)
        if (b->items[i].kind == kind && !strcmp(b->items[i].dest_name, dest_name) &&
            !strcmp(b->items[i].dest_schema, dest_schema))
            return true;
    return false;
}

static void put_array(struct buf *sql, const struct book *b, size_t offset, const char *type)
{
    struct buf array = {0};
    const char **items = mem_calloc(b->n + 1, sizeof *items);
    for (size_t i = 0; i < b->n; i++) {
        const char *text = *(char *const *)((const char *)&b->items[i] + offset);
        items[i] = text ? text : "";
    }
    pg_quote_array(&array, b->n, items);
    pg_quote_literal(sql, buf_text(&array));
    buf_printf(sql, "::%s[]", type);
    buf_free(&array);
    free(items);
}

static void put_numbers(struct buf *sql, const struct book *b)
{
    struct buf oids = {0}, kinds = {0}, numbers = {0};
    for (size_t i = 0; i < b->n; i++) {
        const char *comma = i ? "," : "";
        buf_printf(&oids, "%s%u", comma, b->items[i].oid);
        buf_printf(&kinds, "%s%c", comma, (char)b->items[i].kind);
        buf_printf(&numbers, "%s%lld", comma, (long long)b->items[i].number);
    }
    buf_printf(sql,
               "'{%s}'::pg_catalog.int8[], '{%s}'::pg_catalog.text[], '{%s}'::pg_catalog.int8[]",
               buf_text(&oids), buf_text(&kinds), buf_text(&numbers));
    buf_free(&oids);
    buf_free(&kinds);
    buf_free(&numbers);
}

static void put_insert(struct buf *sql, const struct book *b, const char *mirror_id)
{
    static const size_t texts[] = {
        offsetof(struct book_part, name), offsetof(struct book_part, detail),
        offsetof(struct book_part, dest_schema), offsetof(struct book_part, dest_name)};
    if (!b->n)
        return;
    buf_puts(sql, "; INSERT INTO _bunnydb.table_parts SELECT ");
    pg_quote_literal(sql, mirror_id);
    buf_puts(sql, ", u.* FROM unnest(");
    put_numbers(sql, b);
    for (size_t k = 0; k < COUNT_OF(texts); k++) {
        buf_puts(sql, ", ");
        put_array(sql, b, texts[k], "pg_catalog.text");
    }
    buf_puts(sql, ") u ON CONFLICT DO NOTHING");
}

char *book_sql(const struct book *b, const char *mirror_id)
{
    struct buf sql = {0};
    buf_puts(&sql, "DELETE FROM _bunnydb.table_parts WHERE mirror_id = ");
    pg_quote_literal(&sql, mirror_id);
    buf_puts(&sql, " AND kind NOT IN ('s', 'n', 'd', 'p', 'r')");
    put_insert(&sql, b, mirror_id);
    return buf_take(&sql);
}

char *book_sql_about(const struct book *b, const char *mirror_id)
{
    struct buf sql = {0};
    buf_puts(&sql, "DELETE FROM _bunnydb.table_parts WHERE mirror_id = ");
    pg_quote_literal(&sql, mirror_id);
    buf_puts(
        &sql,
        " AND kind NOT IN ('s', 'n', 'd', 'p', 'r') AND source_oid <> 0 AND (source_oid IN (0");
    for (size_t i = 0; i < b->n; i++)
        if (!i || b->items[i].oid != b->items[i - 1].oid)
            buf_printf(&sql, ", %u", b->items[i].oid);
    buf_puts(&sql, ") OR (dest_schema, dest_name) IN (SELECT * FROM unnest(");
    put_array(&sql, b, offsetof(struct book_part, dest_schema), "pg_catalog.text");
    buf_puts(&sql, ", ");
    put_array(&sql, b, offsetof(struct book_part, dest_name), "pg_catalog.text");
    buf_puts(&sql, ")))");
    put_insert(&sql, b, mirror_id);
    return buf_take(&sql);
}

/* FNV-1a: a statement may be longer than an index takes. */
int64_t book_number_of(const char *sql)
{
    uint64_t hash = 14695981039346656037U;
    for (; *sql; sql++)
        hash = (hash ^ (unsigned char)*sql) * 1099511628211U;
    return (int64_t)(hash >> 1);
}

/* What only follows from another refusal is told by that one. */
char *book_sql_refused(const struct schema_plan *plan)
{
    struct buf sql = {0};
    struct book refused = {0};
    buf_puts(&sql, "DELETE FROM _bunnydb.table_parts WHERE kind = 'r' AND mirror_id = ");
    pg_quote_literal(&sql, plan->mirror_id);
    for (size_t i = 0; i < plan->n; i++) {
        const struct schema_step *s = &plan->items[i];
        if (s->kind == STEP_NOTE && s->is_refused && !s->needs)
            book_add(&refused, s->oid, BOOK_REFUSED, book_number_of(s->sql), s->what, s->why, "",
                     "");
    }
    put_insert(&sql, &refused, plan->mirror_id);
    book_free(&refused);
    return buf_take(&sql);
}

char *book_sql_of(const struct book *b, const char *mirror_id, const uint32_t *oids, size_t n)
{
    struct buf sql = {0};
    struct book some = {0};
    buf_puts(&sql, "DELETE FROM _bunnydb.table_parts WHERE mirror_id = ");
    pg_quote_literal(&sql, mirror_id);
    buf_puts(&sql, " AND kind NOT IN ('s', 'n', 'd', 'p') AND source_oid IN (");
    for (size_t k = 0; k < n; k++) {
        buf_printf(&sql, "%s%u", k ? ", " : "", oids[k]);
        for (size_t i = lower_bound(b, oids[k]); i < b->n && b->items[i].oid == oids[k]; i++)
            MEM_PUSH(some.items, some.n, some.cap, b->items[i]); /* borrowed */
    }
    buf_putc(&sql, ')');
    put_insert(&sql, &some, mirror_id);
    free(some.items);
    return buf_take(&sql);
}

char *book_sql_renamed(const char *mirror_id, enum book_kind kind, const char *parts,
                       const char *from, const char *to)
{
    struct buf sql = {0};
    buf_puts(&sql, "UPDATE _bunnydb.table_parts SET name = ");
    pg_quote_literal(&sql, to);
    buf_printf(&sql, " WHERE kind = '%c' AND name = ", (char)kind);
    pg_quote_literal(&sql, from);
    buf_puts(&sql, " AND mirror_id = ");
    pg_quote_literal(&sql, mirror_id);
    buf_printf(&sql, " AND (source_oid, number) IN (%s)", parts);
    return buf_take(&sql);
}
