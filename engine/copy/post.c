/* What follows a table's data: indexes, foreign keys, ANALYZE, and the seal that makes the whole
 * copy durable. Each statement may have been run by an earlier try that was cut off, so what is
 * there already is looked up first. */
#include "copy/job.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

#define LOOK_LIMIT_MS 60000

/* Sorting an index in memory is what makes building it fast. */
static bool prepare_for_building(struct worker *w, struct err *err)
{
    if (w->is_for_building)
        return true;
    struct buf sql = {0};
    buf_printf(&sql,
               "SELECT pg_catalog.set_config(name, "
               "GREATEST(setting::bigint, LEAST(max_val::bigint, %lld))::text, false) "
               "FROM pg_catalog.pg_settings WHERE name = 'maintenance_work_mem'",
               (long long)w->job->index_memory_kb);
    w->is_for_building = pg_exec(w->dest, &w->task, LOOK_LIMIT_MS, buf_text(&sql), NULL, err);
    buf_free(&sql);
    return w->is_for_building;
}

/* What the destination has under an index's name. */
struct index_there {
    bool exists; /* on that very table */
    bool is_valid;
    bool is_constraint;
    bool has_primary; /* the table has a primary key, of whatever name */
};

static bool look_up_index(struct worker *w, const struct schema_table *t, const char *name,
                          struct index_there *out, struct err *err)
{
    static const char sql[] =
        "SELECT i.indexrelid IS NOT NULL, COALESCE(i.indisvalid AND i.indisready, false), "
        "k.oid IS NOT NULL, EXISTS (SELECT FROM pg_catalog.pg_index p "
        "  WHERE p.indrelid = t.oid AND p.indisprimary AND p.indisvalid) "
        "FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace "
        "LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $3 "
        "LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid AND i.indrelid = t.oid "
        "LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid "
        "  AND k.conrelid = t.oid AND k.contype IN ('p', 'u', 'x') "
        "WHERE n.nspname = $1 AND t.relname = $2";
    const char *values[] = {t->dest_schema, t->dest_name, name};
    struct pg_result *r = NULL;
    *out = (struct index_there){0};
    if (!pg_exec_params(w->dest, &w->task, LOOK_LIMIT_MS, sql, 3, values, &r, err))
        return false;
    bool ok = pg_rows(r) == 1;
    if (ok)
        *out = (struct index_there){pg_bool(r, 0, 0), pg_bool(r, 0, 1), pg_bool(r, 0, 2),
                                    pg_bool(r, 0, 3)};
    else
        ok = err_set(err, ERR_TABLE_MISSING, "the destination has no table %s.%s", t->dest_schema,
                     t->dest_name);
    pg_free(r);
    return ok;
}

static bool drop_index(struct worker *w, const struct schema_table *t, const char *name,
                       bool is_constraint, struct err *err)
{
    struct buf sql = {0};
    if (is_constraint) {
        buf_puts(&sql, "ALTER TABLE ");
        pg_quote_qualified(&sql, t->dest_schema, t->dest_name);
        buf_puts(&sql, " DROP CONSTRAINT ");
        pg_quote_ident(&sql, name);
    } else {
        buf_puts(&sql, "DROP INDEX ");
        pg_quote_qualified(&sql, t->dest_schema, name);
    }
    bool ok = pg_exec(w->dest, &w->task, 0, buf_text(&sql), NULL, err);
    buf_free(&sql);
    return ok;
}

bool post_is_constraint(const struct schema_index *i)
{
    return i->kind == INDEX_PRIMARY || i->kind == INDEX_CONSTRAINT;
}

bool post_is_exclusive(const struct schema_index *i)
{
    return (post_is_constraint(i) && !i->twin) || i->branches_sql;
}

/* One message is one transaction. Where a partition of the destination has something of its own in
 * the way, the server chooses what it attaches, and names. */
static bool make_index(struct worker *w, const struct schema_table *t, const struct schema_index *i,
                       struct err *err)
{
    struct err why = {0};
    if (i->branches_sql && pg_exec(w->dest, &w->task, 0, i->branches_sql, NULL, &why))
        return true;
    if (i->branches_sql && why.code != ERR_SQL) {
        *err = why;
        return false;
    }
    if (i->branches_sql)
        log_info("copy", w->job->mirror,
                 "index built by the server's choice table=%s.%s index=%s"
                 " reason=\"%s\"",
                 t->dest_schema, t->dest_name, i->name, why.text);
    return pg_exec(w->dest, &w->task, 0, i->twin ? i->twin_sql : i->create_sql, NULL, err);
}

static bool build_twin(struct worker *w, const struct schema_table *t, const struct schema_index *i,
                       struct err *err)
{
    struct index_there there;
    if (!look_up_index(w, t, i->twin, &there, err))
        return false;
    if (there.exists && there.is_valid)
        return true;
    return (!there.exists || drop_index(w, t, i->twin, false, err)) && make_index(w, t, i, err);
}

static bool build_index(struct worker *w, const struct schema_table *t,
                        const struct schema_index *i, struct err *err)
{
    struct index_there there;
    if (!prepare_for_building(w, err) || !look_up_index(w, t, i->name, &there, err))
        return false;
    if (there.exists && there.is_valid && (there.is_constraint || !post_is_constraint(i)))
        return true;
    if (i->kind == INDEX_PRIMARY && there.has_primary)
        return true; /* the operator's own table has its key under another name */
    if (i->twin)
        return build_twin(w, t, i, err);
    if (there.exists && !there.is_valid && !drop_index(w, t, i->name, there.is_constraint, err))
        return false;
    return make_index(w, t, i, err);
}

/* All of a table's at once, under one short lock. Those whose constraint is there have no twin. */
static bool adopt(struct worker *w, const struct schema_table *t, struct err *err)
{
    struct buf sql = {0};
    bool ok = true;
    buf_puts(&sql, "ALTER TABLE ");
    pg_quote_qualified(&sql, t->dest_schema, t->dest_name);
    size_t empty = sql.len;
    for (size_t i = 0; ok && i < t->n_indexes; i++) {
        const struct schema_index *x = &t->indexes[i];
        struct index_there there = {0};
        ok = !x->twin || look_up_index(w, t, x->twin, &there, err);
        if (there.exists)
            buf_printf(&sql, "%s %s", sql.len > empty ? "," : "", x->adopt_sql);
    }
    ok = ok && (sql.len == empty || pg_exec(w->dest, &w->task, 0, buf_text(&sql), NULL, err));
    buf_free(&sql);
    return ok || err_context(err, "constraints of %s.%s", t->schema, t->name);
}

bool post_remove_twins(struct worker *w, struct err *err)
{
    const struct snapshot_job *j = w->job;
    struct pg_result *r = NULL;
    struct buf schemas = {0}, names = {0}, sql = {0};
    const char **a = mem_calloc(j->n_tables + 1, sizeof *a),
               **b = mem_calloc(j->n_tables + 1, sizeof *b);
    for (size_t i = 0; i < j->n_tables; i++) {
        a[i] = j->tables[i].def->dest_schema;
        b[i] = j->tables[i].def->dest_name;
    }
    pg_quote_array(&schemas, j->n_tables, a);
    pg_quote_array(&names, j->n_tables, b);
    const char *values[] = {buf_text(&schemas), buf_text(&names)};
    bool ok = pg_exec_params(w->dest, &w->task, LOOK_LIMIT_MS,
                             "SELECT n.nspname, k.relname FROM unnest($1::pg_catalog.text[], "
                             "$2::pg_catalog.text[]) u (s, t) "
                             "JOIN pg_catalog.pg_namespace n ON n.nspname = u.s "
                             "JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid "
                             "AND c.relname = u.t "
                             "JOIN pg_catalog.pg_index x ON x.indrelid = c.oid "
                             "JOIN pg_catalog.pg_class k ON k.oid = x.indexrelid "
                             "WHERE pg_catalog.starts_with(k.relname, '" SCHEMA_TWIN_PREFIX "') "
                             "AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint o "
                             "WHERE o.conindid = k.oid)",
                             COUNT_OF(values), values, &r, err);
    for (size_t i = 0; ok && i < pg_rows(r); i++) {
        buf_puts(&sql, i ? ", " : "DROP INDEX ");
        pg_quote_qualified(&sql, pg_text(r, i, 0), pg_text(r, i, 1));
    }
    ok = ok && (!sql.len || pg_exec(w->dest, &w->task, 0, buf_text(&sql), NULL, err));
    pg_free(r);
    buf_free(&schemas);
    buf_free(&names);
    buf_free(&sql);
    free(a);
    free(b);
    return ok || err_context(err, "remove indexes of an earlier copy");
}

static bool add_fkey(struct worker *w, const struct schema_table *t, const struct schema_fkey *f,
                     struct err *err)
{
    static const char sql[] =
        "SELECT FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class t ON t.oid = k.conrelid "
        "JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace "
        "WHERE k.contype = 'f' AND n.nspname = $1 AND t.relname = $2 AND k.conname = $3";
    const char *values[] = {t->dest_schema, t->dest_name, f->name};
    struct pg_result *r = NULL;
    if (!pg_exec_params(w->dest, &w->task, LOOK_LIMIT_MS, sql, 3, values, &r, err))
        return false;
    bool is_there = pg_rows(r) > 0;
    pg_free(r);
    return is_there || pg_exec(w->dest, &w->task, 0, f->add_sql, NULL, err);
}

/* A key may exist at the source that cannot be made again: its rows came while its triggers were
 * disabled, or what it compares has no operator, as PostgreSQL says for the first row only. The
 * rows are the mirror's task, with or without it. */
static bool leave_out(const struct worker *w, const struct schema_table *t,
                      const struct schema_fkey *f, const char *sql, struct err *err)
{
    if (!pg_refuses_definition(err) && !pg_server_error_is(err, "23503"))
        return false;
    log_write(LOG_LEVEL_WARN, "copy", w->job->mirror, sql,
              "left out %s foreign key %s of %s.%s: %s %s", sql == f->add_sql ? "add" : "validate",
              f->name, t->schema, t->name, err->sqlstate, err->text);
    err_clear(err);
    if (w->job->plan.has_left_out)
        atomic_store(w->job->plan.has_left_out, true);
    return true;
}

static bool validate_fkey(struct worker *w, const struct schema_fkey *f, struct err *err)
{
    return prepare_for_building(w, err) &&
           pg_exec(w->dest, &w->task, 0, f->validate_sql, NULL, err);
}

static bool analyze(struct worker *w, const struct schema_table *t, struct err *err)
{
    struct buf sql = {0};
    buf_puts(&sql, "ANALYZE ");
    pg_quote_qualified(&sql, t->dest_schema, t->dest_name);
    bool ok = pg_exec(w->dest, &w->task, 0, buf_text(&sql), NULL, err);
    buf_free(&sql);
    return ok || err_context(err, "analyze %s.%s", t->schema, t->name);
}

static bool say_copied(struct worker *w, const struct schema_table *t, struct err *err)
{
    char *const *copied = w->job->plan.copied;
    if (!copied || pg_exec(w->dest, &w->task, 0, copied[t->mapping], NULL, err))
        return true;
    if (pg_server_error_is(err, FENCED_SQLSTATE))
        return err_set(err, ERR_FENCED, "another process took over this mirror");
    return err_context(err, "note that %s.%s is copied", t->schema, t->name);
}

/* The ranges were committed without waiting for the disk. A transaction that writes WAL and commits
 * synchronously flushes all WAL before it, and so each of them; that it did is checked. */
static bool seal(struct worker *w, struct err *err)
{
    struct pg_result *r = NULL;
    bool ok =
        pg_exec(w->dest, &w->task, LOOK_LIMIT_MS, "SET synchronous_commit = on", NULL, err) &&
        pg_exec(w->dest, &w->task, 0,
                "SELECT pg_catalog.pg_logical_emit_message(true, 'bunnydb', 'snapshot')", &r, err);
    if (ok) {
        const char *values[] = {pg_text(r, 0, 0)};
        struct pg_result *flushed = NULL;
        ok = pg_exec_params(w->dest, &w->task, LOOK_LIMIT_MS,
                            "SELECT pg_catalog.pg_current_wal_flush_lsn() >= $1::pg_lsn", 1, values,
                            &flushed, err);
        if (ok && !pg_bool(flushed, 0, 0))
            ok = err_set(err, ERR_INTERNAL, "the destination did not flush what it committed");
        pg_free(flushed);
    }
    pg_free(r);
    return ok || err_context(err, "make the copy durable");
}

bool post_run(struct worker *w, const struct unit *u, struct err *err)
{
    if (u->kind == UNIT_SEAL)
        return seal(w, err);
    const struct schema_table *t = w->job->tables[u->table].def;
    const struct schema_fkey *f;
    const char *s = t->schema, *n = t->name;
    switch (u->kind) {
    case UNIT_INDEX:
        return build_index(w, t, &t->indexes[u->item], err) ||
               err_context(err, "index %s of %s.%s", t->indexes[u->item].name, s, n);
    case UNIT_ADOPT:
        return adopt(w, t, err);
    case UNIT_ADD_FKEY:
        f = &t->fkeys[u->item];
        return add_fkey(w, t, f, err) || leave_out(w, t, f, f->add_sql, err) ||
               err_context(err, "foreign key %s of %s.%s", f->name, s, n);
    case UNIT_VALIDATE_FKEY:
        f = &t->fkeys[u->item];
        return validate_fkey(w, f, err) || leave_out(w, t, f, f->validate_sql, err) ||
               err_context(err, "validate foreign key %s of %s.%s", f->name, s, n);
    case UNIT_SETTLE:
        return analyze(w, t, err) && say_copied(w, t, err);
    case UNIT_RELEASE:
    case UNIT_RANGE:
    case UNIT_SEAL:
        break;
    }
    return err_set(err, ERR_INTERNAL, "a unit that is none of these: %d", (int)u->kind);
}
