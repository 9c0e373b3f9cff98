/* Tables that have got another name, or schema, at the source: a published table keeps its OID, and
 * the mapping follows by it. Where definitions follow by themselves, and the destination's table
 * was called as the source's, it gets the new name too; and a table that was dropped leaves the
 * mirror. See definitions.h. */
#include "control/definitions.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

#define LIMIT_MS 60000
#define SETTLE_MS 1000

/* Of a mapping: the relation that the book of parts knows by its name, partitions left out. */
static const char booked_sql[] =
    "SELECT p.name, p.detail, p.source_oid, p.dest_schema, p.dest_name FROM _bunnydb.table_parts p "
    "WHERE p.mirror_id = $1 AND p.kind = 't'";
static const char now_sql[] =
    "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON "
    "n.oid "
    "= c.relnamespace WHERE c.oid = $1::pg_catalog.oid AND c.relkind IN ('r', 'p') AND NOT EXISTS "
    "(SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid AND c.relispartition AND "
    "i.inhparent = ANY ($2::pg_catalog.oid[]))";

struct renaming {
    struct run *r;
    struct table_map *map;
    struct table_name from, to, dest; /* dest: where its rows are now */
    const char *oid;
};

static bool is_mapped(const struct mirror_config *c, const struct table_name *t)
{
    for (size_t i = 0; i < c->n_tables; i++)
        if (!strcmp(c->tables[i].source_table, t->table) &&
            !strcmp(c->tables[i].source_schema, t->schema))
            return true;
    return false;
}

static void put_name(struct buf *b, const char *between, const char *literal)
{
    buf_puts(b, between);
    pg_quote_literal(b, literal);
}

/* The destination's table, if it is to follow, and what is written down by its name. */
static bool rename_at_dest(struct renaming *n, struct err *err)
{
    struct buf b = {0};
    const char *id = n->r->m->row.mirror_id;
    bool follows = definitions_are_automatic(n->r->m) && !strcmp(n->dest.table, n->from.table) &&
                   !strcmp(n->dest.schema, n->from.schema);
    buf_puts(&b, "BEGIN; SET LOCAL lock_timeout = '5s'; ");
    if (follows && strcmp(n->dest.schema, n->to.schema) != 0) {
        buf_puts(&b, "CREATE SCHEMA IF NOT EXISTS ");
        pg_quote_ident(&b, n->to.schema);
        buf_puts(&b, "; ALTER TABLE ");
        pg_quote_qualified(&b, n->dest.schema, n->dest.table);
        buf_puts(&b, " SET SCHEMA ");
        pg_quote_ident(&b, n->to.schema);
        buf_puts(&b, "; ");
    }
    if (follows && strcmp(n->dest.table, n->to.table) != 0) {
        buf_puts(&b, "ALTER TABLE ");
        pg_quote_qualified(&b, n->to.schema, n->dest.table);
        buf_puts(&b, " RENAME TO ");
        pg_quote_ident(&b, n->to.table);
        buf_puts(&b, "; ");
    }
    if (follows)
        n->dest = n->to;
    put_name(&b, "UPDATE _bunnydb.table_parts SET dest_schema = ", n->dest.schema);
    put_name(&b, ", dest_name = ", n->dest.table);
    put_name(&b, " WHERE mirror_id = ", id);
    buf_printf(&b, " AND source_oid = %s; ", n->oid);
    put_name(&b, "UPDATE _bunnydb.table_sync SET source_schema = ", n->to.schema);
    put_name(&b, ", source_table = ", n->to.table);
    put_name(&b, " WHERE mirror_id = ", id);
    put_name(&b, " AND source_schema = ", n->from.schema);
    put_name(&b, " AND source_table = ", n->from.table);
    buf_puts(&b, "; COMMIT");
    struct err ignored = {0};
    bool ok = pg_exec(n->r->dest, &n->r->m->task, LIMIT_MS, buf_text(&b), NULL, err);
    if (!ok && pg_is_alive(n->r->dest))
        (void)!pg_exec(n->r->dest, &n->r->m->task, LIMIT_MS, "ROLLBACK", NULL, &ignored);
    buf_free(&b);
    return ok || err_context(err, "follow the name of %s.%s", n->from.schema, n->from.table);
}

/* Last of all: until then the old name finds it. */
static bool rename_in_book(struct renaming *n, struct err *err)
{
    const char *values[] = {n->r->m->row.mirror_id, n->from.table, n->from.schema, n->to.table,
                            n->to.schema};
    return pg_exec_params(n->r->dest, &n->r->m->task, LIMIT_MS,
                          "UPDATE _bunnydb.table_parts SET name = $4, detail = $5 WHERE mirror_id "
                          "= $1 AND kind = 't' AND name = $2 AND detail = $3",
                          COUNT_OF(values), values, NULL, err);
}

static bool rename_in_catalog(struct renaming *n, struct err *err)
{
    struct mirror *m = n->r->m;
    struct catalog *catalog = m->engine->catalog;
    struct mirror_config *c = &m->row.config;
    struct table_name_list none = {0}, wishes = {0};
    str_copy(n->map->source_schema, sizeof n->map->source_schema, n->to.schema);
    str_copy(n->map->source_table, sizeof n->map->source_table, n->to.table);
    str_copy(n->map->dest_schema, sizeof n->map->dest_schema, n->dest.schema);
    str_copy(n->map->dest_table, sizeof n->map->dest_table, n->dest.table);
    bool ok = catalog_copies(catalog, c->name, &wishes, err);
    if (ok && table_name_list_has(&wishes, n->from.schema, n->from.table))
        ok = catalog_copies_add(catalog, c->name, &n->to, 1, err) &&
             catalog_copies_remove(catalog, c->name, &n->from, err);
    table_name_list_free(&wishes);
    return ok &&
           catalog_mirror_set_tables(catalog, c->name, c->tables, c->n_tables, &none, &none, err);
}

static bool rename_one(struct renaming *n, struct err *err)
{
    if (!rename_at_dest(n, err) || !rename_in_catalog(n, err) || !rename_in_book(n, err))
        return false;
    log_info(
        "schema", n->r->m->row.config.name,
        "table=%s.%s is called %s.%s at the source now: the mapping follows, destination=%s.%s",
        n->from.schema, n->from.table, n->to.schema, n->to.table, n->dest.schema, n->dest.table);
    definitions_want(n->r->m, 0);
    return true;
}

static struct table_map *find_map(struct mirror_config *c, const char *schema, const char *table)
{
    for (size_t i = 0; i < c->n_tables; i++)
        if (!strcmp(c->tables[i].source_table, table) &&
            !strcmp(c->tables[i].source_schema, schema))
            return &c->tables[i];
    return NULL;
}

/* Nothing of it will come any more. The last table of a mirror stays: an error says so. */
static bool let_go(struct renaming *n, struct err *err)
{
    struct mirror *m = n->r->m;
    struct mirror_config *c = &m->row.config;
    struct table_name_list none = {0}, removed = {.items = &n->from, .n = 1};
    struct table_map gone = *n->map;
    size_t at = (size_t)(n->map - c->tables);
    if (!definitions_are_automatic(m) || c->n_tables == 1)
        return true;
    c->n_tables--;
    memmove(n->map, n->map + 1, (c->n_tables - at) * sizeof *n->map);
    if (!catalog_mirror_set_tables(m->engine->catalog, c->name, c->tables, c->n_tables, &none,
                                   &removed, err)) {
        memmove(&c->tables[at + 1], &c->tables[at], (c->n_tables - at) * sizeof *c->tables);
        c->tables[at] = gone;
        c->n_tables++;
        return err_context(err, "let go of %s.%s", n->from.schema, n->from.table);
    }
    table_map_free(&gone);
    m->row.republish = true;
    log_warn("schema", c->name,
             "table=%s.%s was dropped at the source: it leaves the mirror, its rows stay at the "
             "destination in %s.%s",
             n->from.schema, n->from.table, n->dest.schema, n->dest.table);
    definitions_want(m, SETTLE_MS); /* what else has changed is told by no message */
    return true;
}

static bool look_at(struct run *r, const struct pg_result *book, size_t row, const char *oids,
                    struct err *err)
{
    struct renaming n = {.r = r, .oid = pg_text(book, row, 2)};
    struct mirror_config *c = &r->m->row.config;
    struct pg_result *res = NULL;
    const char *values[] = {n.oid, oids};
    n.map = find_map(c, pg_text(book, row, 1), pg_text(book, row, 0));
    if (!n.map)
        return true;
    if (!pg_exec_params(r->source, &r->m->task, LIMIT_MS, now_sql, 2, values, &res, err))
        return err_context(err, "look for tables that were renamed");
    bool is_there = pg_rows(res) == 1;
    if (is_there && (strlen(pg_text(res, 0, 0)) >= sizeof n.to.schema ||
                     strlen(pg_text(res, 0, 1)) >= sizeof n.to.table)) {
        err_set(err, ERR_SCHEMA,
                "%s.%s is called %.200s.%.200s at the source now, which is longer "
                "than 63 bytes in UTF-8",
                pg_text(book, row, 1), pg_text(book, row, 0), pg_text(res, 0, 0),
                pg_text(res, 0, 1));
        pg_free(res);
        return err_hint(err, "Give it a shorter name at the source, then retry: nothing is lost.");
    }
    str_copy(n.to.schema, sizeof n.to.schema, pg_rows(res) ? pg_text(res, 0, 0) : "");
    str_copy(n.to.table, sizeof n.to.table, pg_rows(res) ? pg_text(res, 0, 1) : "");
    pg_free(res);
    str_copy(n.from.schema, sizeof n.from.schema, n.map->source_schema);
    str_copy(n.from.table, sizeof n.from.table, n.map->source_table);
    str_copy(n.dest.schema, sizeof n.dest.schema, pg_text(book, row, 3));
    str_copy(n.dest.table, sizeof n.dest.table, pg_text(book, row, 4));
    if (strcmp(n.dest.table, n.map->dest_table) != 0 ||
        strcmp(n.dest.schema, n.map->dest_schema) != 0)
        return true; /* a partition of it, or what was one */
    if (!is_there)
        return let_go(&n, err);
    return is_mapped(c, &n.to) || rename_one(&n, err); /* or it is as the mapping says */
}

/* Asked only when a mapped name is missing. */
bool definitions_follow_names(struct run *r, struct err *err)
{
    struct pg_result *book = NULL;
    struct buf oids = {0};
    const char *id = r->m->row.mirror_id;
    if (!pg_exec_params(r->dest, &r->m->task, LIMIT_MS, booked_sql, 1, &id, &book, err))
        return err_context(err, "read the book of parts at the destination");
    buf_putc(&oids, '{');
    for (size_t row = 0; row < pg_rows(book); row++)
        buf_printf(&oids, "%s%s", row ? "," : "", pg_text(book, row, 2));
    buf_putc(&oids, '}');
    bool ok = true;
    for (size_t row = 0; ok && row < pg_rows(book); row++)
        ok = look_at(r, book, row, buf_text(&oids), err);
    pg_free(book);
    buf_free(&oids);
    return ok;
}

/* The mapped tables, and the partitioned tables that the relation is part of. */
static const char left_sql[] =
    "WITH RECURSIVE up(oid) AS (SELECT $1::pg_catalog.oid UNION ALL SELECT i.inhparent FROM up "
    "JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.oid JOIN pg_catalog.pg_class c ON c.oid = "
    "i.inhrelid AND c.relispartition) SELECT NOT EXISTS (SELECT FROM up JOIN pg_catalog.pg_class c "
    "ON c.oid = up.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN "
    "unnest($2::pg_catalog.text[], $3::pg_catalog.text[]) m(s, t) ON m.s = n.nspname AND m.t = "
    "c.relname)";

/* Once, however often the stream begins before those changes. Its partitioned table may still have
 * it at the destination. */
static void tell_left(struct mirror *m, const struct pgo_message *relation)
{
    for (size_t i = 0; i < m->n_left; i++)
        if (m->left[i] == relation->relation)
            return;
    MEM_PUSH(m->left, m->n_left, m->cap_left, relation->relation);
    log_warn("schema", m->row.config.name,
             "changes of a table that is not part of the mirror any more are ignored table=%s.%s",
             relation->schema, relation->table);
    if (definitions_are_automatic(m))
        definitions_want(m, SETTLE_MS);
}

bool definitions_has_left(void *arg, const struct pgo_message *relation, bool *has_left,
                          struct err *err)
{
    struct run *r = arg;
    const struct mirror_config *c = &r->m->row.config;
    struct buf schemas = {0}, tables = {0};
    struct pg_result *res = NULL;
    const char **s = mem_calloc(c->n_tables + 1, sizeof *s);
    const char **t = mem_calloc(c->n_tables + 1, sizeof *t);
    char oid[16];
    for (size_t i = 0; i < c->n_tables; i++) {
        s[i] = c->tables[i].source_schema;
        t[i] = c->tables[i].source_table;
    }
    pg_quote_array(&schemas, c->n_tables, s);
    pg_quote_array(&tables, c->n_tables, t);
    str_printf(oid, sizeof oid, "%u", (unsigned)relation->relation);
    const char *values[] = {oid, buf_text(&schemas), buf_text(&tables)};
    struct pg_conn *source;
    bool ok = run_source(r, &source, err) && pg_exec_params(source, &r->m->task, LIMIT_MS, left_sql,
                                                            COUNT_OF(values), values, &res, err);
    *has_left = ok && pg_bool(res, 0, 0);
    if (*has_left)
        tell_left(r->m, relation);
    pg_free(res);
    buf_free(&schemas);
    buf_free(&tables);
    free(s);
    free(t);
    return ok ||
           err_context(err, "look for %s.%s at the source", relation->schema, relation->table);
}
