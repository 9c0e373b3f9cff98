/* Shadows of destination tables: made, removed, and what stands against them; see swap.h. */
#include "copy/swap_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "copy/job.h"

#define REMOVE_MS 5000
#define GIVE_UP_MS 800 /* the mirror's thread may be waiting for our end */

static char shadow_schema[] = SWAP_SCHEMA;

/* --- names ----------------------------------------------------------------------------------- */

/* "swap_", the mirror's id and "_": all shadows of a mirror. */
static void put_prefix(struct buf *b, const char *mirror_id)
{
    buf_puts(b, "swap_");
    for (const char *p = mirror_id; *p; p++)
        if (*p != '-')
            buf_putc(b, *p);
    buf_putc(b, '_');
}

static char *columns_of(const struct schema_table *t)
{
    struct buf b = {0};
    for (size_t i = 0; i < t->n_columns; i++) {
        if (!range_is_copied(&t->columns[i]))
            continue;
        buf_puts(&b, b.len ? ", " : "");
        pg_quote_ident(&b, t->columns[i].name);
    }
    return buf_take(&b);
}

/* --- what is there --------------------------------------------------------------------------- */

static bool look_at(struct swap *s, size_t i, struct err *err)
{
    const struct schema_table *t = &s->plan.tables->tables[i];
    struct shadow *w = &s->shadows[i];
    struct buf b = {0};
    if (!schema_read_dest(s->plan.dest, swap_task(s), t->dest_schema, t->dest_name, &w->live, err))
        return false;
    buf_puts(&b, w->live.is_partitioned ? "" : "ONLY ");
    pg_quote_qualified(&b, t->dest_schema, t->dest_name);
    w->live_sql = buf_take(&b);
    w->columns = columns_of(t);
    return true;
}

bool swap_look(const struct swap_plan *plan, struct swap **out, struct err *err)
{
    size_t n = plan->tables->n_tables;
    struct swap *s = mem_calloc(1, sizeof *s);
    bool ok = true;
    s->plan = *plan;
    s->shadows = mem_calloc(n + 1, sizeof *s->shadows);
    s->names = mem_calloc(n + 1, sizeof *s->names);
    *out = s;
    for (size_t i = 0; ok && i < n; i++)
        ok = look_at(s, i, err);
    return ok;
}

bool swap_has_new_tables(const struct swap *s)
{
    for (size_t i = 0; i < s->plan.tables->n_tables; i++)
        if (!s->shadows[i].live.exists)
            return true;
    return false;
}

bool swap_makes(const struct swap *s, uint32_t oid)
{
    for (size_t i = 0; i < s->plan.tables->n_tables; i++)
        if (s->plan.tables->tables[i].oid == oid)
            return !s->shadows[i].live.exists;
    return false;
}

/* --- shadows --------------------------------------------------------------------------------- */

/* A value is kept as the live table would keep it: it is moved from the shadow as it is. */
static char *storage_sql(const struct swap *s)
{
    static const char before_14[] = "NULL";
    static const char from_14[] =
        "CASE WHEN a.attcompression <> '' THEN format('ALTER %I SET COMPRESSION %s', a.attname,"
        " CASE a.attcompression WHEN 'l' THEN 'lz4' ELSE 'pglz' END) END";
    return mem_printf(
        "SELECT string_agg(nullif(concat_ws(', ', CASE WHEN a.attstorage <> t.typstorage THEN"
        " format('ALTER %%I SET STORAGE %%s', a.attname, CASE a.attstorage WHEN 'p' THEN 'PLAIN'"
        " WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END) END, %s), ''), ', ')"
        " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_attribute o"
        " ON o.attname = a.attname AND o.attrelid = $3::regclass"
        " WHERE a.attrelid = (SELECT c.oid FROM pg_class c JOIN pg_namespace n"
        " ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2) AND a.attnum > 0"
        " AND NOT a.attisdropped",
        pg_version(s->plan.dest) >= 140000 ? from_14 : before_14);
}

static bool set_storage(struct swap *s, size_t i, struct err *err)
{
    const struct schema_table *t = &s->plan.tables->tables[i];
    const char *values[] = {t->dest_schema, t->dest_name, s->shadows[i].sql};
    struct pg_result *r = NULL;
    char *sql = storage_sql(s);
    bool ok = pg_exec_params(s->plan.dest, swap_task(s), SWAP_LOOK_MS, sql, COUNT_OF(values),
                             values, &r, err);
    free(sql);
    if (ok && !pg_is_null(r, 0, 0) && pg_text(r, 0, 0)[0]) {
        sql = mem_printf("ALTER TABLE %s %s", s->shadows[i].sql, pg_text(r, 0, 0));
        ok = pg_exec(s->plan.dest, swap_task(s), SWAP_LOOK_MS, sql, NULL, err);
        free(sql);
    }
    pg_free(r);
    return ok;
}

static bool make_shadow(struct swap *s, size_t i, struct err *err)
{
    const struct schema_table *t = &s->plan.tables->tables[i];
    struct shadow *w = &s->shadows[i];
    struct buf name = {0}, quoted = {0};
    put_prefix(&name, s->plan.owner.mirror_id);
    buf_printf(&name, "%d_%zu", pg_backend_pid(s->plan.dest), i);
    s->names[i] = buf_take(&name);
    pg_quote_qualified(&quoted, SWAP_SCHEMA, s->names[i]);
    w->sql = buf_take(&quoted);
    char *sql = mem_printf("CREATE UNLOGGED TABLE %s WITH (autovacuum_enabled = false, "
                           "toast.autovacuum_enabled = false) AS SELECT %s FROM %s WITH NO DATA",
                           w->sql, w->columns, w->live_sql);
    bool ok =
        pg_exec(s->plan.dest, swap_task(s), SWAP_LOOK_MS, sql, NULL, err) && set_storage(s, i, err);
    free(sql);
    return ok || err_context(err, "make a table beside %s.%s", t->dest_schema, t->dest_name);
}

/* Everything but the names is the original's. */
static void redirect(struct swap *s)
{
    s->schema = *s->plan.tables;
    s->schema.tables = mem_calloc(s->schema.n_tables + 1, sizeof *s->schema.tables);
    for (size_t i = 0; i < s->schema.n_tables; i++) {
        struct schema_table *t = &s->schema.tables[i];
        *t = s->plan.tables->tables[i];
        t->n_fkeys = 0;
        if (s->shadows[i].live.exists)
            t->n_indexes = 0;
        if (!s->names[i])
            continue;
        t->dest_schema = shadow_schema;
        t->dest_name = s->names[i];
    }
}

bool swap_make_shadows(struct swap *s, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < s->plan.tables->n_tables; i++)
        if (s->shadows[i].live.exists && !s->plan.tables->tables[i].is_partitioned)
            ok = make_shadow(s, i, err);
    if (ok)
        redirect(s);
    return ok;
}

const struct schema *swap_schema(const struct swap *s)
{
    return &s->schema;
}

/* What cannot be removed now is removed by the next run. */
static void drop_shadows(struct swap *s)
{
    struct pg_conn *dest = s->plan.dest;
    struct buf b = {0};
    struct err err = {0};
    for (size_t i = 0; i < s->plan.tables->n_tables; i++)
        if (s->shadows[i].sql)
            buf_printf(&b, "%s%s%s%s",
                       b.len ? ", "
                             : "ROLLBACK; SET lock_timeout = '500ms'; "
                               "DROP TABLE IF EXISTS ",
                       s->shadows[i].sql, s->shadows[i].differing ? ", " : "",
                       s->shadows[i].differing ? s->shadows[i].differing : "");
    if (b.len && pg_is_alive(dest) && !pg_exec(dest, NULL, GIVE_UP_MS, buf_text(&b), NULL, &err))
        log_info("copy", s->plan.mirror, "tables of a swap are left until the next run: %s",
                 err.text);
    buf_free(&b);
}

void swap_free(struct swap *s)
{
    if (!s)
        return;
    drop_shadows(s);
    for (size_t i = 0; i < s->plan.tables->n_tables; i++) {
        dest_table_free(&s->shadows[i].live);
        free(s->shadows[i].live_sql);
        free(s->shadows[i].sql);
        free(s->shadows[i].columns);
        free(s->shadows[i].differing);
        free(s->names[i]);
    }
    free(s->shadows);
    free(s->names);
    free(s->schema.tables);
    free(s);
}

/* --- leftovers ------------------------------------------------------------------------------- */

bool swap_remove_leftovers(struct pg_conn *dest, struct task *task, const char *mirror_id,
                           struct err *err)
{
    struct buf prefix = {0}, sql = {0};
    struct pg_result *r = NULL;
    put_prefix(&prefix, mirror_id);
    const char *values[] = {buf_text(&prefix)};
    bool ok =
        pg_exec_params(dest, task, REMOVE_MS,
                       "SELECT c.relname FROM pg_catalog.pg_class c JOIN "
                       "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = "
                       "'" SWAP_SCHEMA "' AND c.relkind = 'r' AND "
                       "pg_catalog.starts_with(c.relname::pg_catalog.text, $1)",
                       COUNT_OF(values), values, &r, err);
    for (size_t i = 0; ok && i < pg_rows(r); i++) {
        buf_puts(&sql, i ? ", " : "BEGIN; SET LOCAL lock_timeout = '2s'; DROP TABLE IF EXISTS ");
        pg_quote_qualified(&sql, SWAP_SCHEMA, pg_text(r, i, 0));
    }
    if (sql.len) {
        struct err ignored = {0};
        buf_puts(&sql, "; COMMIT");
        ok = pg_exec(dest, task, REMOVE_MS, buf_text(&sql), NULL, err);
        if (!ok && pg_is_alive(dest))
            (void)!pg_exec(dest, task, REMOVE_MS, "ROLLBACK", NULL, &ignored);
    }
    pg_free(r);
    buf_free(&prefix);
    buf_free(&sql);
    return ok || err_context(err, "remove what a swap left at the destination");
}
