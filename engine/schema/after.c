/* What follows a copy: values and owners of sequences, comments. */
#include "schema/schema_private.h"
#include "schema/sequences.h"

#include <stdlib.h>
#include <string.h>

#define STATEMENT_MS 60000

/* Sequences of a name that tables outside the mirror own or call there: they are not the mirror's,
 * although it has one of that name. */
static const char foreign_sql[] =
    "WITH m AS (SELECT c.oid FROM unnest($1::text[], $2::text[]) x(s, t)"
    "  JOIN pg_namespace n ON n.nspname = x.s"
    "  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = x.t),"
    " users(seq, rel) AS (SELECT d.objid, d.refobjid FROM pg_depend d WHERE d.classid ="
    "  'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0"
    "  AND d.deptype IN ('a', 'i') UNION ALL SELECT d.refobjid, ad.adrelid FROM pg_attrdef ad"
    "  JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = ad.oid"
    "  AND d.refclassid = 'pg_class'::regclass)"
    " SELECT u.ord - 1 FROM unnest($3::text[], $4::text[]) WITH ORDINALITY u(s, n, ord)"
    " JOIN pg_namespace n ON n.nspname = u.s JOIN pg_class c ON c.relnamespace = n.oid"
    "  AND c.relname = u.n AND c.relkind = 'S'"
    " WHERE EXISTS (SELECT FROM users WHERE users.seq = c.oid AND users.rel NOT IN (TABLE m))"
    " AND NOT EXISTS (SELECT FROM users WHERE users.seq = c.oid AND users.rel IN (TABLE m)) ORDER "
    "BY 1";

static bool ask_foreign(struct pg_conn *dest, struct task *task, const struct schema *s,
                        struct pg_result **out, struct err *err)
{
    struct buf arrays[4] = {{0}};
    const char *values[4];
    size_t n = s->n_tables > s->n_after ? s->n_tables : s->n_after;
    const char **cells = mem_calloc(4 * n + 1, sizeof *cells);
    for (size_t i = 0; i < s->n_tables; i++) {
        cells[i] = s->tables[i].dest_schema;
        cells[n + i] = s->tables[i].dest_name;
    }
    for (size_t i = 0; i < s->n_after; i++) {
        bool is_sequence = s->after[i].object == OBJECT_SEQUENCE;
        cells[2 * n + i] = is_sequence ? s->after[i].schema : "";
        cells[3 * n + i] = is_sequence ? s->after[i].name : "";
    }
    for (size_t k = 0; k < 4; k++) {
        pg_quote_array(&arrays[k], k < 2 ? s->n_tables : s->n_after, cells + k * n);
        values[k] = buf_text(&arrays[k]);
    }
    bool ok = pg_exec_params(dest, task, SCHEMA_QUERY_MS, foreign_sql, 4, values, out, err);
    for (size_t k = 0; k < 4; k++)
        buf_free(&arrays[k]);
    free(cells);
    return ok;
}

struct after {
    struct pg_conn *dest;
    struct task *task;
    const char *mirror_id, *mirror;
};

/* With what is remembered of it, if it sets a sequence; caller frees. */
static char *whole_sql(const struct after *a, const struct schema_statement *st)
{
    char *keep = st->sets ? sequences_keep_sql(a->mirror_id, st->sets) : NULL;
    char *sql = keep ? mem_printf("%s;\n%s", st->sql, keep) : mem_strdup(st->sql);
    free(keep);
    return sql;
}

static bool run_one(const struct after *a, const struct schema_statement *st, const char *sql,
                    struct err *err)
{
    if (pg_exec(a->dest, a->task, STATEMENT_MS, sql, NULL, err))
        return true;
    if (!st->optional || err->code != ERR_SQL)
        return err_context(err, "%s", st->what);
    log_write(LOG_LEVEL_WARN, "schema", a->mirror, st->sql, "left out %s: %s", st->what, err->text);
    err_clear(err);
    return true;
}

static bool run_some(const struct after *a, const struct schema_statement *const *items, size_t n,
                     struct err *err)
{
    char *sql[SCHEMA_BATCH] = {0};
    bool worked;
    for (size_t k = 0; k < n; k++)
        sql[k] = whole_sql(a, items[k]);
    bool ok = batch_run(a->dest, a->task, (const char *const *)sql, n, false, &worked, err);
    for (size_t k = 0; ok && !worked && k < n; k++)
        ok = run_one(a, items[k], sql[k], err);
    for (size_t k = 0; k < n; k++)
        free(sql[k]);
    return ok;
}

/* foreign: those that are left out, in order. */
static bool run_all(const struct after *a, const struct schema *s, const struct pg_result *foreign,
                    struct err *err)
{
    const struct schema_statement *some[SCHEMA_BATCH];
    size_t k = 0, row = 0;
    for (size_t i = 0; i < s->n_after; i++) {
        while (row < pg_rows(foreign) && (size_t)pg_int(foreign, row, 0) < i)
            row++;
        if (row < pg_rows(foreign) && (size_t)pg_int(foreign, row, 0) == i) {
            log_warn("schema", a->mirror, "left out %s: tables outside the mirror use it",
                     s->after[i].what);
            continue;
        }
        some[k++] = &s->after[i];
        if (k == SCHEMA_BATCH && !run_some(a, some, k, err))
            return false;
        k %= SCHEMA_BATCH;
    }
    return run_some(a, some, k, err);
}

bool schema_run_after(struct pg_conn *dest, struct task *task, const struct schema *s,
                      const char *mirror_id, const char *mirror, struct err *err)
{
    struct after a = {.dest = dest, .task = task, .mirror_id = mirror_id, .mirror = mirror};
    struct pg_result *res = NULL;
    bool ok = !s->n_after || (ask_foreign(dest, task, s, &res, err) && run_all(&a, s, res, err));
    pg_free(res);
    return ok && traits_apply(dest, task, s, false, mirror, err);
}
