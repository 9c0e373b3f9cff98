/* Makes the destination ready: what is missing is created in one transaction (in several only when
 * there are thousands of statements), after everything that is wrong was found. */
#include "schema/schema_private.h"

#include <stdlib.h>
#include <string.h>

#define STATEMENT_MS 60000
/* Objects that one transaction makes: each holds locks, and the server's table of them is small. */
#define STATEMENTS_PER_TRANSACTION 2000

static bool run(struct pg_conn *dest, struct task *task, const char *sql, struct err *err)
{
    return pg_exec(dest, task, STATEMENT_MS, sql, NULL, err);
}

static bool begin(struct pg_conn *dest, struct task *task, struct err *err)
{
    return run(dest, task, "BEGIN; SET LOCAL lock_timeout = '10s'", err);
}

/* Behind a savepoint; *worked says how it went. False: not even the savepoint could be used. With
 * keep = false it is undone in any case. */
static bool try_statement(struct pg_conn *dest, struct task *task, const char *sql, bool keep,
                          bool *worked, struct err *why, struct err *err)
{
    if (!run(dest, task, "SAVEPOINT bunny", err))
        return false;
    *worked = run(dest, task, sql, why);
    if (!*worked && !why->sqlstate[0]) {
        *err = *why;
        return false;
    }
    return run(dest, task,
               *worked && keep ? "RELEASE SAVEPOINT bunny" : "ROLLBACK TO SAVEPOINT bunny", err);
}

static bool create_one(struct pg_conn *dest, struct task *task, const struct schema_statement *st,
                       bool *has_left_out, const char *mirror, struct err *err)
{
    bool worked = true;
    struct err why = {0};
    if (!st->optional)
        return run(dest, task, st->sql, err) || err_context(err, "create %s", st->what);
    if (!try_statement(dest, task, st->sql, true, &worked, &why, err))
        return err_context(err, "create %s", st->what);
    if (!worked)
        log_write(LOG_LEVEL_WARN, "schema", mirror, st->sql,
                  "part of a definition left out object=\"%s\" sqlstate=%s error=\"%s\"", st->what,
                  why.sqlstate, why.text);
    *has_left_out |= !worked;
    return true;
}

/* Indexes that need functions of the source's database are tried on the still empty tables. */
static bool try_indexes(struct pg_conn *dest, struct task *task, struct schema *s,
                        const char *mirror, struct err *err)
{
    for (size_t i = 0; i < s->n_tables; i++) {
        struct schema_table *t = &s->tables[i];
        for (size_t k = t->n_indexes; k-- > 0;) {
            bool worked = true;
            struct err why = {0};
            if (!t->indexes[k].needs_objects)
                continue;
            if (!try_statement(dest, task, t->indexes[k].create_sql, false, &worked, &why, err))
                return err_context(err, "try index %s", t->indexes[k].name);
            if (worked)
                continue;
            log_write(LOG_LEVEL_WARN, "schema", mirror, t->indexes[k].create_sql,
                      "index left out, the destination lacks what it needs table=%s.%s index=%s"
                      " sqlstate=%s error=\"%s\"",
                      t->dest_schema, t->dest_name, t->indexes[k].name, why.sqlstate, why.text);
            schema_drop_index(t, k);
            s->has_left_out = true;
        }
    }
    return true;
}

/* One by one only when one of them fails: it is named then, or left out. */
static bool create_some(struct pg_conn *dest, struct task *task,
                        const struct schema_statement *const *items, size_t n, bool *has_left_out,
                        const char *mirror, struct err *err)
{
    const char *sql[SCHEMA_BATCH] = {0};
    bool worked;
    for (size_t k = 0; k < n; k++)
        sql[k] = items[k]->sql;
    bool ok = batch_run(dest, task, sql, n, true, &worked, err);
    for (size_t k = 0; ok && !worked && k < n; k++)
        ok = create_one(dest, task, items[k], has_left_out, mirror, err);
    return ok;
}

/* Columns that a table has and another one lacks: dropped ones that are kept here, the operator's
 * own. */
static const char extras_sql[] =
    "SELECT format('ALTER TABLE %I.%I ADD COLUMN %I %s', $3::text, $4::text, a.attname, "
    "concat_ws(' ',"
    " format_type(a.atttypid, a.atttypmod), (SELECT format('COLLATE %I.%I', n.nspname, l.collname)"
    "  FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace JOIN pg_type t"
    "  ON t.oid = a.atttypid WHERE l.oid = a.attcollation AND a.attcollation <> t.typcollation),"
    " CASE WHEN a.attgenerated <> '' THEN format('GENERATED ALWAYS AS (%s) STORED',"
    "   pg_get_expr(d.adbin, d.adrelid)) ELSE 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END,"
    " CASE WHEN a.attnotnull THEN 'NOT NULL' END))"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    " WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped"
    " AND NOT EXISTS (SELECT FROM pg_attribute b JOIN pg_class k ON k.oid = b.attrelid"
    "  JOIN pg_namespace m ON m.oid = k.relnamespace WHERE m.nspname = $3 AND k.relname = $4"
    "  AND b.attname = a.attname AND NOT b.attisdropped) ORDER BY a.attnum";

/* Was there before: what it has may be more than what the source's has. */
static bool stood_before(const struct schema *s, const bool *exists, const struct schema_table *t)
{
    for (size_t i = 0; i < s->n_before; i++) {
        const struct schema_statement *st = &s->before[i];
        if (st->object == OBJECT_TABLE && !st->is_part && strcmp(st->name, t->dest_name) == 0 &&
            strcmp(st->schema, t->dest_schema) == 0)
            return exists[i];
    }
    return false;
}

/* A child needs all columns of its parent. */
static bool add_extras(struct pg_conn *dest, struct task *task, const struct schema_statement *st,
                       const struct schema_table *parent, struct err *err)
{
    const char *values[] = {parent->dest_schema, parent->dest_name, st->schema, st->name};
    struct pg_result *res = NULL;
    bool ok = pg_exec_params(dest, task, STATEMENT_MS, extras_sql, 4, values, &res, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++)
        ok = run(dest, task, pg_text(res, row, 0), err);
    pg_free(res);
    return ok || err_context(err, "give %s the columns of its parent", st->what);
}

static bool create_all(struct pg_conn *dest, struct task *task, struct schema *s,
                       const bool *exists, const char *mirror, size_t *n, struct err *err)
{
    bool *left = &s->has_left_out;
    const struct schema_statement *some[SCHEMA_BATCH];
    size_t k = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < s->n_before; i++) {
        int limit = s->before[i].older_than;
        if (exists[i] || !s->before[i].sql || (limit && pg_version(dest) >= limit))
            continue;
        int below = s->before[i].below;
        if (below && stood_before(s, exists, &s->tables[below - 1])) {
            ok = create_some(dest, task, some, k, left, mirror, err) &&
                 add_extras(dest, task, &s->before[i], &s->tables[below - 1], err);
            k = 0;
        }
        if (!ok)
            break;
        some[k++] = &s->before[i];
        ++*n;
        if (k == SCHEMA_BATCH || *n % STATEMENTS_PER_TRANSACTION == 0) {
            ok = create_some(dest, task, some, k, left, mirror, err);
            k = 0;
        }
        if (ok && *n % STATEMENTS_PER_TRANSACTION == 0)
            ok = run(dest, task, "COMMIT", err) && begin(dest, task, err);
    }
    return ok && create_some(dest, task, some, k, left, mirror, err);
}

static bool create_missing(struct pg_conn *dest, struct task *task, struct schema *s,
                           const bool *exists, const char *mirror, struct err *err)
{
    size_t n = 0;
    bool ok = begin(dest, task, err) && create_all(dest, task, s, exists, mirror, &n, err);
    ok = ok && try_indexes(dest, task, s, mirror, err) && run(dest, task, "COMMIT", err);
    if (!ok) {
        /* The first error is the one to report; a lost connection rolls back by itself. */
        struct err ignored = {0};
        if (!run(dest, task, "ROLLBACK", &ignored))
            log_debug("schema", mirror, "rollback failed error=\"%s\"", ignored.text);
        return false;
    }
    if (n > 0)
        log_info("schema", mirror, "definitions created statements=%zu", n);
    return true;
}

static bool report(const struct present *p, bool create, struct err *err)
{
    char *missing = name_list_text(&p->missing, ", ", 300);
    char *problems = name_list_text(&p->problems, "; ", 600);
    bool ok = true;
    if (p->missing.n && !create) {
        ok = err_set(err, ERR_TABLE_MISSING, "missing at the destination: %s%s%s", missing,
                     p->problems.n ? "; " : "", problems);
        err_hint(err, "sync-schema creates them");
    } else if (p->problems.n) {
        ok = err_set(err, ERR_SCHEMA, "the destination does not fit: %s", problems);
    }
    free(missing);
    free(problems);
    return ok;
}

/* Which traits are of something that is missing. */
static void mark_made(struct schema *s, const struct present *p)
{
    bool *tables = mem_calloc(s->n_tables + 1, sizeof *tables);
    struct name_list objects = {0};
    for (size_t i = 0; i < s->n_before; i++) {
        const struct schema_statement *st = &s->before[i];
        if (p->exists[i] || st->is_part)
            continue;
        if (st->object != OBJECT_TABLE)
            name_list_add(&objects, mem_strdup(st->what));
        for (size_t k = 0; st->object == OBJECT_TABLE && k < s->n_tables; k++)
            tables[k] = tables[k] || (strcmp(s->tables[k].dest_name, st->name) == 0 &&
                                      strcmp(s->tables[k].dest_schema, st->schema) == 0);
    }
    for (size_t k = 0; k < s->traits.n; k++) {
        struct trait *t = &s->traits.items[k];
        t->is_made = t->owner ? name_list_has(&objects, t->owner) || trait_is_of_schema(t)
                              : tables[t->table];
    }
    name_list_free(&objects);
    free(tables);
}

bool schema_create(struct pg_conn *dest, struct task *task, struct schema *s, bool create,
                   const char *mirror, struct err *err)
{
    struct present p = {.create = create, .exists = mem_calloc(s->n_before + 1, sizeof(bool))};
    bool ok = compare_objects(dest, task, s, &p, err) &&
              compare_columns(dest, task, s, &p, mirror, err) &&
              compare_layouts(dest, task, s, &p, err) && compare_indexes(dest, task, s, &p, err) &&
              report(&p, create, err);
    if (ok && create) {
        mark_made(s, &p);
        ok = create_missing(dest, task, s, p.exists, mirror, err) &&
             traits_apply(dest, task, s, true, mirror, err);
        if (ok && p.missing.n > 0)
            ok = compare_columns(dest, task, s, &p, mirror, err) &&
                 compare_layouts(dest, task, s, &p, err) && report(&p, create, err);
    }
    present_free(&p);
    return ok;
}

bool schema_check_tables(struct pg_conn *dest, struct task *task, const struct schema *s,
                         struct err *err)
{
    struct present p = {.exists = mem_calloc(s->n_before + 1, sizeof(bool))};
    bool ok = compare_objects(dest, task, s, &p, err);
    name_list_free(&p.problems);
    ok = ok && report(&p, false, err);
    free(p.exists);
    name_list_free(&p.missing);
    return ok;
}
