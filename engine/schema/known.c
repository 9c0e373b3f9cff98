/* What is known of the source's tables where the stream stands; see known.h. */
#include "schema/known.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/diff_private.h"

/* --- lists ----------------------------------------------------------------------------------- */

void known_table_free(struct known_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->columns[i].name);
    free(t->columns);
    free(t->schema);
    free(t->name);
    *t = (struct known_table){0};
}

void known_free(struct known *k)
{
    for (size_t i = 0; i < k->n; i++)
        known_table_free(&k->tables[i]);
    free(k->tables);
    *k = (struct known){0};
}

void known_add_column(struct known_table *t, const struct known_column *c)
{
    struct known_column copy = *c;
    copy.name = mem_strdup(c->name);
    MEM_PUSH(t->columns, t->n, t->cap, copy);
}

void known_table_copy(struct known_table *to, const struct known_table *from)
{
    *to = *from;
    to->schema = mem_strdup(from->schema);
    to->name = mem_strdup(from->name);
    to->columns = NULL;
    to->n = to->cap = 0;
    for (size_t i = 0; i < from->n; i++)
        known_add_column(to, &from->columns[i]);
}

struct known_table *known_find(const struct known *k, uint32_t oid)
{
    size_t low = 0, high = k->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (k->tables[mid].oid < oid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < k->n && k->tables[low].oid == oid ? &k->tables[low] : NULL;
}

struct known_column *known_column_at(const struct known_table *t, int attnum)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->columns[i].attnum == attnum)
            return &t->columns[i];
    return NULL;
}

struct known_column *known_column_named(const struct known_table *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->columns[i].name && strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    return NULL;
}

/* The table of that OID, which is the last one or comes after it. */
static struct known_table *last_table(struct known *k, uint32_t oid)
{
    if (!k->n || k->tables[k->n - 1].oid != oid) {
        struct known_table t = {.oid = oid};
        MEM_PUSH(k->tables, k->n, k->cap, t);
    }
    return &k->tables[k->n - 1];
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Where an earlier version wrote the book alone, its columns are what is known, without types. */
#define OF_MIRROR                                                                         \
    "SELECT source_oid, kind, number, name, detail FROM (SELECT p.*, bool_or(kind = 'n')" \
    "  OVER (PARTITION BY source_oid) AS is_new FROM _bunnydb.table_parts p"              \
    "  WHERE mirror_id = $1) q WHERE CASE WHEN is_new THEN kind IN ('s', 'n')"            \
    " ELSE kind IN ('c', 'x', 't') END"
#define IN_ORDER " ORDER BY source_oid, CASE WHEN kind IN ('n', 't') THEN 0 ELSE 1 END, number"

/* "type typmod stamp", or "entry-in-the-publication toast-table". */
static void take_part(struct known *k, const struct pg_result *res, size_t row)
{
    struct known_table *t = last_table(k, (uint32_t)pg_int(res, row, 0));
    char *at = NULL;
    char kind = pg_text(res, row, 1)[0];
    if (kind == BOOK_FILENODE || kind == BOOK_TABLE) {
        t->filenode = pg_int(res, row, 2);
        t->toast = -1; /* an earlier version did not write it */
        if (kind != BOOK_FILENODE)
            return;
        t->member = strtoll(pg_text(res, row, 4), &at, 10);
        if (*at == ' ')
            t->toast = strtoll(at, NULL, 10);
        return;
    }
    struct known_column c = {.attnum = (int)pg_int(res, row, 2),
                             .name = (char *)pg_text(res, row, 3)};
    if (kind == BOOK_STREAMED) {
        c.type = (uint32_t)strtoul(pg_text(res, row, 4), &at, 10);
        c.typmod = (int32_t)strtol(at, &at, 10);
        str_copy(c.stamp, sizeof c.stamp, at + (*at == ' '));
    }
    known_add_column(t, &c);
}

bool known_read(struct pg_conn *dest, struct task *task, const char *mirror_id, uint32_t oid,
                struct known *out, struct err *err)
{
    struct pg_result *res = NULL;
    char number[16];
    const char *values[] = {mirror_id, number};
    *out = (struct known){0};
    str_printf(number, sizeof number, "%u", oid);
    if (!pg_exec_params(dest, task, SCHEMA_QUERY_MS,
                        oid ? OF_MIRROR " AND source_oid = $2" IN_ORDER : OF_MIRROR IN_ORDER,
                        oid ? 2 : 1, values, &res, err))
        return err_context(err, "read the book of parts at the destination");
    for (size_t row = 0; row < pg_rows(res); row++)
        take_part(out, res, row);
    pg_free(res);
    return true;
}

static const char now_sql[] =
    "SELECT c.oid, c.relfilenode, n.nspname, c.relname, a.attnum, a.attisdropped, a.attname,"
    " a.atttypid, a.atttypmod, a.xmin, a.attgenerated <> '', (SELECT r.oid FROM"
    "  pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid"
    "  WHERE r.prrelid = c.oid AND p.pubname = $2), c.reltoastrelid"
    " FROM unnest($1::oid[]) u(oid) JOIN pg_class c ON c.oid = u.oid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
    " ORDER BY c.oid, a.attnum";

static void take_now(struct known *k, const struct pg_result *res, size_t row)
{
    struct known_table *t = last_table(k, (uint32_t)pg_int(res, row, 0));
    if (!t->name) {
        t->filenode = pg_int(res, row, 1);
        t->member = pg_int(res, row, 11);
        t->toast = pg_int(res, row, 12);
        t->schema = read_text(res, row, 2);
        t->name = read_text(res, row, 3);
    }
    if (pg_is_null(res, row, 4))
        return; /* a table without columns */
    bool is_dropped = pg_bool(res, row, 5);
    struct known_column c = {.attnum = (int)pg_int(res, row, 4),
                             .name = is_dropped ? NULL : (char *)pg_text(res, row, 6),
                             .type = is_dropped ? 0 : (uint32_t)pg_int(res, row, 7),
                             .typmod = (int32_t)pg_int(res, row, 8),
                             .is_generated = pg_bool(res, row, 10)};
    str_copy(c.stamp, sizeof c.stamp, pg_text(res, row, 9));
    known_add_column(t, &c);
}

bool known_ask(struct pg_conn *source, struct task *task, const char *publication, size_t n,
               const uint32_t *oids, struct known *out, struct err *err)
{
    struct buf list = {0};
    struct pg_result *res = NULL;
    *out = (struct known){0};
    buf_putc(&list, '{');
    for (size_t i = 0; i < n; i++)
        buf_printf(&list, "%s%u", i ? "," : "", oids[i]);
    buf_putc(&list, '}');
    const char *values[] = {buf_text(&list), publication};
    bool ok = pg_exec_params(source, task, SCHEMA_QUERY_MS, now_sql, 2, values, &res, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++)
        take_now(out, res, row);
    pg_free(res);
    buf_free(&list);
    return ok || err_context(err, "read the source's columns");
}

/* --- rewritten? -------------------------------------------------------------------------------
 */

/* Columns that ALTER TABLE has touched since, or made. Whether one was rewritten, or only got other
 * statistics or another default, its row in the catalog does not say. */
static bool list_altered(const struct known_table *was, const struct known_table *now,
                         struct buf *stamps)
{
    bool some = false;
    for (size_t i = 0; i < now->n; i++) {
        const struct known_column *c = &now->columns[i];
        const struct known_column *old = known_column_at(was, c->attnum);
        if (c->is_generated || (!old && !c->name))
            continue;
        if (old && c->name && (!old->stamp[0] || strcmp(old->stamp, c->stamp) == 0))
            continue;
        if (stamps)
            buf_printf(stamps, "%s%s", some ? "," : "", c->stamp);
        some = true;
    }
    return some;
}

/* ALTER TABLE gives the rows that it rewrites another TOAST table; all else that makes new files,
 * TRUNCATE too, leaves the table its own. */
enum known_rewrite known_rewrite(const struct known_table *was, const struct known_table *now)
{
    if (!was->filenode || was->filenode == now->filenode || !list_altered(was, now, NULL))
        return KNOWN_NOT_REWRITTEN;
    if (was->toast > 0 && now->toast > 0)
        return was->toast == now->toast ? KNOWN_NOT_REWRITTEN : KNOWN_REWRITTEN;
    /* Without one no value is stored outside of its row: a row that came or changed since is in the
     * stream as a whole. */
    return was->toast == 0 && now->toast == 0 ? KNOWN_ASK : KNOWN_REWRITTEN;
}

/* Columns that came since and have lost the value that the server kept for the rows of before:
 * VACUUM FULL and CLUSTER, which leave the table its TOAST table, put it into the rows. */
static bool list_filled(const struct known_table *was, const struct known_table *now,
                        struct buf *where)
{
    bool some = false;
    for (size_t i = 0; i < now->n; i++) {
        const struct known_column *c = &now->columns[i];
        if (!c->name || c->is_generated || known_column_at(was, c->attnum))
            continue;
        buf_printf(where, "%s(", some ? " OR " : "");
        pg_quote_ident(where, c->name);
        buf_printf(
            where,
            " IS DISTINCT FROM NULL AND pg_catalog.age(xmin) >= pg_catalog.age('%s'"
            "::pg_catalog.xid) AND NOT (SELECT a.atthasmissing FROM pg_catalog.pg_attribute a"
            " WHERE a.attrelid = %u AND a.attnum = %d))",
            c->stamp, now->oid, c->attnum);
        some = true;
    }
    return some;
}

/* Rows that were rewritten are of the transaction that did it, which is no younger than the last
 * one that touched the column. */
static bool rows_to_ask(const struct known_table *was, const struct known_table *now, bool *out,
                        struct buf *where)
{
    enum known_rewrite kind = known_rewrite(was, now);
    *out = kind != KNOWN_NOT_REWRITTEN;
    if (kind == KNOWN_NOT_REWRITTEN)
        return was->filenode && was->filenode != now->filenode && list_filled(was, now, where);
    if (kind != KNOWN_ASK)
        return false;
    buf_puts(where, "pg_catalog.age(xmin) >= (SELECT min(pg_catalog.age(u.x)) FROM"
                    " pg_catalog.unnest('{");
    (void)list_altered(was, now, where);
    buf_puts(where, "}'::pg_catalog.xid[]) u(x))");
    return true;
}

bool known_ask_rewritten(struct pg_conn *source, struct task *task, int rows_ms,
                         const struct known_table *was, const struct known_table *now, bool *out,
                         struct err *err)
{
    struct buf sql = {0}, where = {0};
    struct pg_result *res = NULL;
    bool ok = true;
    if (rows_to_ask(was, now, out, &where)) {
        buf_printf(&sql, "SET LOCAL statement_timeout = %d; SELECT EXISTS (SELECT FROM ONLY ",
                   rows_ms);
        pg_quote_qualified(&sql, now->schema, now->name);
        buf_printf(&sql, " WHERE %s)", buf_text(&where));
        *out = true;
        ok = pg_exec(source, task, SCHEMA_QUERY_MS, buf_text(&sql), &res, err);
        if (ok) {
            *out = pg_bool(res, 0, 0);
        } else if (err->code == ERR_SQL && pg_is_alive(source)) {
            log_debug("schema", NULL, "rows did not tell: %s", err->text);
            err_clear(err);
            ok = true;
        }
        pg_free(res);
    }
    buf_free(&sql);
    buf_free(&where);
    return ok || err_context(err, "look at the rows of %s.%s", now->schema, now->name);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void put_row(struct buf *sql, const struct known_table *t, char kind, int64_t number,
                    const char *name, const char *detail, const char *const place[3])
{
    buf_puts(sql, "(");
    pg_quote_literal(sql, place[0]);
    buf_printf(sql, ", %u, '%c', %lld, ", t->oid, kind, (long long)number);
    pg_quote_literal(sql, name);
    buf_puts(sql, ", ");
    pg_quote_literal(sql, detail);
    buf_puts(sql, ", ");
    pg_quote_literal(sql, place[1]);
    buf_puts(sql, ", ");
    pg_quote_literal(sql, place[2]);
    buf_puts(sql, ")");
}

void known_put_sql(struct buf *sql, const struct known_table *t, const char *mirror_id,
                   const char *dest_schema, const char *dest_name)
{
    const char *const place[] = {mirror_id, dest_schema, dest_name};
    char detail[64];
    if (t->toast >= 0)
        str_printf(detail, sizeof detail, "%lld %lld", (long long)t->member, (long long)t->toast);
    else
        str_printf(detail, sizeof detail, "%lld", (long long)t->member);
    buf_puts(sql, "DELETE FROM _bunnydb.table_parts WHERE mirror_id = ");
    pg_quote_literal(sql, mirror_id);
    buf_printf(sql, " AND source_oid = %u AND kind IN ('s', 'n'); ", t->oid);
    buf_puts(sql, "INSERT INTO _bunnydb.table_parts (mirror_id, source_oid, kind, number, name,"
                  " detail, dest_schema, dest_name) VALUES ");
    put_row(sql, t, BOOK_FILENODE, t->filenode, "", detail, place);
    for (size_t i = 0; i < t->n; i++) {
        const struct known_column *c = &t->columns[i];
        if (!c->name || c->is_generated)
            continue;
        str_printf(detail, sizeof detail, "%u %d %s", c->type, (int)c->typmod, c->stamp);
        buf_puts(sql, ", ");
        put_row(sql, t, BOOK_STREAMED, c->attnum, c->name, detail, place);
    }
    buf_puts(sql, "; ");
}
