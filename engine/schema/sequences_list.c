/* Which sequences follow: those of the source that mapped tables own or call, and their
 * counterparts; see sequences.h. */
#include "schema/sequences_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* The counterpart is the sequence that the same column of the destination owns, else the one of the
 * same name, if a mapped table (or its domain) owns or calls it: any other is the operator's own.
 * Of several that a column owns it is the one of that name, or of the same kind (identity or not).
 */
static const char find_sql[] =
    "WITH RECURSIVE m AS (SELECT c.oid FROM unnest($1::text[], $2::text[]) x(s, t)"
    "  JOIN pg_namespace n ON n.nspname = x.s"
    "  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = x.t),"
    " made(oid) AS (SELECT a.atttypid FROM m JOIN pg_attribute a ON a.attrelid = m.oid"
    "  AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384 UNION SELECT x.oid FROM made"
    "  JOIN pg_type ty ON ty.oid = made.oid CROSS JOIN LATERAL (" TYPE_PARTS ") x(oid)"
    "  WHERE x.oid >= 16384),"
    " owned(seq, rel, num, how, s, n) AS (SELECT d.objid, d.refobjid, d.refobjsubid,"
    "  d.deptype::text, c.relnamespace, c.relname FROM pg_depend d"
    "  JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'"
    "  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
    "  AND d.refobjid IN (SELECT oid FROM m) AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')),"
    " ours(seq) AS (SELECT seq FROM owned UNION SELECT d.refobjid FROM pg_attrdef ad"
    "  JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = ad.oid"
    "  AND d.refclassid = 'pg_class'::regclass WHERE ad.adrelid IN (SELECT oid FROM m) UNION"
    "  SELECT d.refobjid FROM made JOIN pg_depend d ON d.classid = 'pg_type'::regclass"
    "  AND d.objid = made.oid AND d.refclassid = 'pg_class'::regclass),"
    " u AS (SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[],"
    "  $8::text[]) WITH ORDINALITY u(ts, t, col, s, n, how, ord)),"
    " f AS (SELECT u.ord, coalesce((SELECT o.seq FROM pg_namespace n JOIN pg_class c"
    "  ON c.relnamespace = n.oid AND c.relname = u.t JOIN pg_attribute a ON a.attrelid = c.oid"
    "  AND a.attname = u.col JOIN owned o ON o.rel = c.oid AND o.num = a.attnum"
    "  WHERE n.nspname = u.ts ORDER BY o.n <> u.n OR o.s <> (SELECT oid FROM pg_namespace WHERE"
    "  nspname = u.s), o.how <> u.how, o.seq LIMIT 1), (SELECT c.oid FROM pg_namespace n"
    "  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.n AND c.relkind = 'S'"
    "  JOIN ours o ON o.seq = c.oid WHERE n.nspname = u.s)) AS oid FROM u)"
    " SELECT f.ord - 1, c.oid, n.nspname, c.relname, format('%I.%I', n.nspname, c.relname),"
    " has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(c.oid, 'SELECT')"
    "  AND has_sequence_privilege(c.oid, 'UPDATE'), k.last_value, k.is_called"
    " FROM f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN _bunnydb.sequences k ON k.mirror_id = $9 AND k.sequence_schema = n.nspname"
    "  AND k.sequence_name = c.relname ORDER BY f.ord";

void followed_free(struct followed *f)
{
    free(f->name);
    free(f->dest_table);
    free(f->column);
    free(f->dest_schema);
    free(f->dest_name);
    free(f->dest);
}

bool sequences_is_followed(const struct followed *f)
{
    return f->dest_oid && f->is_readable && f->is_writable;
}

/* --- the source's ------------------------------------------------------------------------------
 */

/* By name at the destination it is searched where a new one would have been created. */
static void take_listed(struct sequences *q, const struct pg_result *res, size_t row)
{
    size_t table = (size_t)pg_int(res, row, 3);
    char how = pg_text(res, row, 5)[0];
    bool follows = how == 'i' || !strcmp(pg_text(res, row, 1), q->schemas[table]);
    struct followed f = {
        .oid = (uint32_t)pg_int(res, row, 0),
        .name = read_text(res, row, 11),
        .is_readable = pg_bool(res, row, 8),
        .is_descending = pg_bool(res, row, 10),
        .dest_table = mem_strdup(how == 'z' ? "" : q->dest_name_of[table]),
        .column = mem_strdup(pg_text(res, row, 9)),
        .how = {how},
        .dest_schema = mem_strdup(follows ? q->dest_schema_of[table] : pg_text(res, row, 1)),
        .dest_name = mem_strdup(pg_text(res, row, 2)),
    };
    MEM_PUSH(q->items, q->n, q->cap, f);
}

/* What was known of it under the same OID goes on. */
static void take_over(struct followed *f, const struct followed *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].oid == f->oid) {
            f->source = list[i].source;
            f->missed = list[i].missed;
            f->kept = list[i].kept;
            f->left = list[i].left;
            f->is_back = list[i].is_back;
            f->back = list[i].back;
            f->back_lsn = list[i].back_lsn;
        }
}

static bool list_source(struct sequences *q, struct pg_conn *source, struct task *task,
                        struct err *err)
{
    const char *values[] = {q->oids, q->excluded_oids, q->excluded_nums};
    struct pg_result *res = NULL;
    struct followed *before = q->items;
    size_t n = q->n;
    if (!pg_exec_params(source, task, SEQUENCES_MS, read_sequences_sql, COUNT_OF(values), values,
                        &res, err))
        return false;
    q->items = NULL;
    q->n = q->cap = 0;
    for (size_t row = 0; row < pg_rows(res); row++) {
        take_listed(q, res, row);
        take_over(&q->items[q->n - 1], before, n);
    }
    pg_free(res);
    for (size_t i = 0; i < n; i++)
        followed_free(&before[i]);
    free(before);
    return true;
}

/* --- the destination's -------------------------------------------------------------------------
 */

static void take_found(struct sequences *q, const struct pg_result *res, size_t row)
{
    struct followed *f = &q->items[pg_int(res, row, 0)];
    uint32_t oid = (uint32_t)pg_int(res, row, 1);
    for (size_t i = 0; i < q->n; i++)
        if (q->items[i].dest_oid == oid)
            return; /* two sequences of the source cannot both be its value */
    f->dest_oid = oid;
    free(f->dest_schema);
    free(f->dest_name);
    f->dest_schema = read_text(res, row, 2);
    f->dest_name = read_text(res, row, 3);
    f->dest = read_text(res, row, 4);
    f->is_writable = pg_bool(res, row, 5);
    if (!pg_is_null(res, row, 6)) /* a copy may have written it since */
        f->kept = (struct sequence_value){true, pg_int(res, row, 6), pg_bool(res, row, 7)};
}

static bool find_dest(struct sequences *q, struct pg_conn *dest, struct task *task, struct err *err)
{
    struct buf arrays[6] = {{0}};
    const char **cells = mem_calloc(6 * q->n + 1, sizeof *cells);
    struct pg_result *res = NULL;
    for (size_t i = 0; i < q->n; i++) {
        const struct followed *f = &q->items[i];
        const char *row[] = {f->dest_schema, f->dest_table, f->column,
                             f->dest_schema, f->dest_name,  f->how};
        for (size_t k = 0; k < 6; k++)
            cells[k * q->n + i] = row[k];
    }
    for (size_t k = 0; k < 6; k++)
        pg_quote_array(&arrays[k], q->n, cells + k * q->n);
    const char *values[] = {q->dest_schemas,      q->dest_tables,       buf_text(&arrays[0]),
                            buf_text(&arrays[1]), buf_text(&arrays[2]), buf_text(&arrays[3]),
                            buf_text(&arrays[4]), buf_text(&arrays[5]), q->owner.mirror_id};
    bool ok =
        pg_exec_params(dest, task, SEQUENCES_MS, find_sql, COUNT_OF(values), values, &res, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++)
        take_found(q, res, row);
    pg_free(res);
    for (size_t k = 0; k < 6; k++)
        buf_free(&arrays[k]);
    free(cells);
    return ok;
}

/* --- statements that read values ---------------------------------------------------------------
 */

bool sequences_put_query(const struct sequences *q, bool is_dest, size_t *from, struct buf *sql)
{
    size_t n = 0;
    for (; *from < q->n && n < SCHEMA_BRANCHES; ++*from) {
        const struct followed *f = &q->items[*from];
        if (!sequences_is_followed(f))
            continue;
        buf_printf(sql, "%sSELECT %zu, last_value, is_called FROM %s", n ? " UNION ALL " : "",
                   *from, is_dest ? f->dest : f->name);
        n++;
    }
    return n > 0;
}

/* Only many are worth it; then the session is ours alone. */
static bool prepare(struct sequences *q, struct pg_conn *c, struct task *task, bool is_dest,
                    struct err *err)
{
    struct buf sql = {0};
    size_t number = 0, from = 0;
    bool ok =
        !sequences_are_prepared(q) || pg_exec(c, task, SEQUENCES_MS, "DEALLOCATE ALL", NULL, err);
    while (ok && sequences_are_prepared(q)) {
        buf_reset(&sql);
        buf_printf(&sql, "PREPARE bunnydb_sequences_%zu AS ", number++);
        if (!sequences_put_query(q, is_dest, &from, &sql))
            break;
        ok = pg_exec(c, task, SEQUENCES_MS, buf_text(&sql), NULL, err);
    }
    buf_free(&sql);
    return ok;
}

bool sequences_list(struct sequences *q, struct pg_conn *source, struct pg_conn *dest,
                    struct task *task, struct err *err)
{
    q->is_listed = list_source(q, source, task, err) && (!q->n || find_dest(q, dest, task, err)) &&
                   prepare(q, source, task, false, err) && prepare(q, dest, task, true, err);
    for (size_t i = 0; i < q->n; i++)
        q->items[i].missed = q->items[i].dest_oid ? 0 : q->items[i].missed + 1;
    q->list_at = clock_mono_ms();
    return q->is_listed;
}
