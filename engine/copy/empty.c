/* Emptying destination tables for a new copy; see empty.h. */
#include "copy/empty.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define LOOK_MS 60000
/* Others, the stream among them, wait behind us for so long at most. The long one is beyond the
 * usual deadlock_timeout, at which an autovacuum gives way. */
#define SHORT_LOCK "400ms"
#define LONG_LOCK "1500ms"
#define PATIENCE 12 /* short attempts */
#define PAUSE_MS 700
#define LOCK_LIMIT_MS (30 * 60 * 1000)
#define EXPLAIN_FIRST_MS 5000
#define EXPLAIN_MS 60000

void empty_restore_add(struct empty_restore *r, char *owned)
{
    MEM_PUSH(r->items, r->n, r->cap, owned);
}

void empty_restore_free(struct empty_restore *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->items[i]);
    free(r->items);
    *r = (struct empty_restore){0};
}

/* --- what the destination has ---------------------------------------------------------------- */

/* Foreign keys of our tables and to them (to a partition: also those to its parents). Those that
 * stem from a parent's go with that one. Columns: see enum. */
enum {
    FK_MAP,    /* whose row remembers it */
    FK_TABLE,  /* quoted */
    FK_TARGET, /* quoted */
    FK_NAME,   /* quoted */
    FK_DEFINITION,
    FK_VALID,
    FK_COMMENT,
    FK_KIND,     /* relkind of the table */
    FK_OURS,     /* the table is to be emptied */
    FK_MIRRORED, /* the table is one of the mirror */
    FK_TO_OURS,
    FK_TO_MIRRORED,
    FK_CAN_DROP,
    FK_TRIGGERS, /* those of its triggers that are not as they are made: "(function,state), …" */
};
static const char keys_sql[] =
    "WITH RECURSIVE w(oid, m) AS (SELECT c.oid, t.m FROM ROWS FROM (unnest($1::text[]),"
    "  unnest($2::text[]), unnest($3::int4[])) AS t(s, n, m) JOIN pg_namespace ns"
    "  ON ns.nspname = t.s JOIN pg_class c ON c.relnamespace = ns.oid AND c.relname = t.n"
    "  AND c.relkind IN ('r', 'p')),"
    " o(oid) AS (SELECT c.oid FROM ROWS FROM (unnest($4::text[]), unnest($5::text[])) AS t(s, n)"
    "  JOIN pg_namespace ns ON ns.nspname = t.s JOIN pg_class c ON c.relnamespace = ns.oid"
    "  AND c.relname = t.n AND c.relkind IN ('r', 'p')),"
    " up(oid, m) AS (SELECT oid, m FROM w UNION SELECT i.inhparent, up.m FROM up"
    "  JOIN pg_class c ON c.oid = up.oid AND c.relispartition"
    "  JOIN pg_inherits i ON i.inhrelid = up.oid)"
    " SELECT coalesce((SELECT min(up.m) FROM up WHERE up.oid = k.confrelid),"
    "  (SELECT min(w.m) FROM w WHERE w.oid = k.conrelid)), format('%I.%I', n.nspname, c.relname),"
    " format('%I.%I', fn.nspname, f.relname), quote_ident(k.conname), pg_get_constraintdef(k.oid),"
    " k.convalidated, obj_description(k.oid, 'pg_constraint'), c.relkind,"
    " k.conrelid IN (SELECT oid FROM w), k.conrelid IN (SELECT oid FROM o),"
    " k.confrelid IN (SELECT oid FROM up), k.confrelid IN (SELECT oid FROM o),"
    " pg_has_role(c.relowner, 'USAGE'),"
    " (SELECT string_agg(format('(%L, %L)', p.proname, g.tgenabled), ', ') FROM pg_trigger g"
    "  JOIN pg_proc p ON p.oid = g.tgfoid WHERE g.tgconstraint = k.oid AND g.tgenabled <> 'O')"
    " FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class f ON f.oid = k.confrelid"
    " JOIN pg_namespace fn ON fn.oid = f.relnamespace"
    " WHERE k.contype = 'f' AND k.conparentid = 0 AND (k.confrelid IN (SELECT oid FROM up)"
    "  OR k.conrelid IN (SELECT oid FROM w)) ORDER BY n.nspname, c.relname, k.conname";

static const char kinds_sql[] =
    "SELECT t.i - 1, c.relkind FROM ROWS FROM (unnest($1::text[]), unnest($2::text[]))"
    " WITH ORDINALITY AS t(s, n, i) JOIN pg_namespace ns ON ns.nspname = t.s"
    " JOIN pg_class c ON c.relnamespace = ns.oid AND c.relname = t.n AND c.relkind IN ('r', 'p')"
    " ORDER BY 1";

/* Checks that hold for new rows only: the source's old ones may not meet them, and come as new ones
 * with the copy. Columns: see enum. */
enum {
    CHECK_MAP,
    CHECK_TABLE, /* quoted */
    CHECK_NAME,  /* quoted */
    CHECK_DEFINITION,
    CHECK_COMMENT,
};
static const char checks_sql[] =
    "SELECT t.m, format('%I.%I', ns.nspname, c.relname), quote_ident(k.conname),"
    " pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint')"
    " FROM ROWS FROM (unnest($1::text[]), unnest($2::text[]), unnest($3::int4[])) AS t(s, n, m)"
    " JOIN pg_namespace ns ON ns.nspname = t.s JOIN pg_class c ON c.relnamespace = ns.oid"
    " AND c.relname = t.n AND c.relkind IN ('r', 'p') AND pg_has_role(c.relowner, 'USAGE')"
    " JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'c' AND NOT k.convalidated"
    " AND k.coninhcount = 0 ORDER BY 2, 3";

struct work {
    struct empty_job *j;
    bool *is_partitioned;   /* of each table, at the destination */
    struct pg_result *keys; /* rows as above */
    bool *drop;             /* of each key */
    struct pg_result *checks;
    bool with_delete;
};

static char *dest_names(const struct schema *s, bool schemas)
{
    struct buf b = {0};
    const char **items = mem_calloc(s->n_tables + 1, sizeof *items);
    for (size_t i = 0; i < s->n_tables; i++)
        items[i] = schemas ? s->tables[i].dest_schema : s->tables[i].dest_name;
    pg_quote_array(&b, s->n_tables, items);
    free(items);
    return buf_take(&b);
}

static char *map_numbers(const struct schema *s)
{
    struct buf b = {0};
    buf_putc(&b, '{');
    for (size_t i = 0; i < s->n_tables; i++)
        buf_printf(&b, "%s%d", i ? "," : "", s->tables[i].mapping);
    buf_putc(&b, '}');
    return buf_take(&b);
}

static bool look(struct work *w, struct err *err)
{
    struct empty_job *j = w->j;
    struct task *task = &j->errand->task;
    struct pg_result *kinds = NULL;
    char *values[] = {dest_names(j->tables, true), dest_names(j->tables, false),
                      map_numbers(j->tables), dest_names(j->all, true), dest_names(j->all, false)};
    const char *const *v = (const char *const *)values;
    bool ok =
        pg_exec_params(j->dest, task, LOOK_MS, kinds_sql, 2, v, &kinds, err) &&
        pg_exec_params(j->dest, task, LOOK_MS, keys_sql, COUNT_OF(values), v, &w->keys, err) &&
        pg_exec_params(j->dest, task, LOOK_MS, checks_sql, 3, v, &w->checks, err);
    for (size_t i = 0; i < COUNT_OF(values); i++)
        free(values[i]);
    w->is_partitioned = mem_calloc(j->tables->n_tables + 1, sizeof *w->is_partitioned);
    for (size_t row = 0; ok && row < pg_rows(kinds); row++)
        w->is_partitioned[pg_int(kinds, row, 0)] = pg_text(kinds, row, 1)[0] == 'p';
    pg_free(kinds);
    return ok || err_context(err, "read the destination's constraints");
}

/* --- what is to be done ---------------------------------------------------------------------- */

static bool refuse(const struct work *w, size_t row, struct err *err)
{
    const char *table = pg_text(w->keys, row, FK_TABLE);
    err_set(err, ERR_SCHEMA, "%s cannot be emptied for a new copy: %s, which %s, refers to it (%s)",
            pg_text(w->keys, row, FK_TARGET), table,
            pg_bool(w->keys, row, FK_MIRRORED) ? "belongs to another user" : "is not in the mirror",
            pg_text(w->keys, row, FK_NAME));
    return err_hint(err, "Drop that foreign key for the time of the copy, or let the destination's "
                         "user set session_replication_role: then rows are deleted without it.");
}

/* TRUNCATE of the leaves would have to name the partitioned table whose key it is, too, and with
 * that all its partitions, also those that are not ours. */
static bool is_split(const struct work *w, size_t row)
{
    return pg_text(w->keys, row, FK_KIND)[0] == 'p';
}

/* A key that stays must not be in the way: of the copy, of a TRUNCATE that names both its tables
 * (whose parts come at different times), and, where keys act on us, of rows that come in another
 * order. */
static bool decide(struct work *w, struct err *err)
{
    const struct pg_result *r = w->keys;
    bool acts = !pg_is_replica_role(w->j->dest);
    w->drop = mem_calloc(pg_rows(r) + 1, sizeof *w->drop);
    for (size_t i = 0; i < pg_rows(r); i++) {
        bool can_drop = pg_bool(r, i, FK_CAN_DROP);
        if (pg_bool(r, i, FK_OURS) && pg_bool(r, i, FK_TO_OURS)) {
            w->drop[i] = can_drop && (acts || is_split(w, i));
            w->with_delete |= !can_drop && is_split(w, i);
        } else if (pg_bool(r, i, FK_OURS))
            w->drop[i] = pg_bool(r, i, FK_TO_MIRRORED) && can_drop;
        else if (pg_bool(r, i, FK_MIRRORED) && can_drop)
            w->drop[i] = true;
        else if (acts)
            return refuse(w, i, err);
        else
            w->with_delete = true;
    }
    return true;
}

/* ALTER TABLE … DISABLE TRIGGER ALL and the like: new triggers have other names. */
static char *triggers_sql(const struct pg_result *r, size_t i)
{
    struct buf body = {0}, sql = {0};
    buf_printf(&body,
               "DECLARE r pg_catalog.record; BEGIN FOR r IN SELECT g.tgname, v.state,"
               " pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS t FROM (VALUES %s)"
               " v (function, state) JOIN pg_catalog.pg_proc p ON p.proname = v.function"
               " JOIN pg_catalog.pg_trigger g ON g.tgfoid = p.oid JOIN pg_catalog.pg_class c"
               " ON c.oid = g.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
               " JOIN pg_catalog.pg_constraint k ON k.oid = g.tgconstraint"
               " WHERE pg_catalog.quote_ident(k.conname) = ",
               pg_text(r, i, FK_TRIGGERS));
    pg_quote_literal(&body, pg_text(r, i, FK_NAME));
    buf_puts(&body, " AND k.conrelid = ");
    pg_quote_literal(&body, pg_text(r, i, FK_TABLE));
    buf_puts(&body,
             "::pg_catalog.regclass LOOP EXECUTE pg_catalog.format('ALTER TABLE %s %s TRIGGER "
             "%I', r.t, CASE r.state WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS'"
             " WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END, r.tgname); END LOOP; END");
    buf_puts(&sql, "DO ");
    pg_quote_literal(&sql, buf_text(&body));
    buf_free(&body);
    return buf_take(&sql);
}

static void remember_comment(struct empty_restore *to, const char *table, const char *name,
                             const char *text)
{
    struct buf b = {0};
    buf_printf(&b, "COMMENT ON CONSTRAINT %s ON %s IS ", name, table);
    pg_quote_literal(&b, text);
    empty_restore_add(to, buf_take(&b));
}

static void remember_checks(struct work *w)
{
    const struct pg_result *r = w->checks;
    for (size_t i = 0; i < pg_rows(r); i++) {
        const char *table = pg_text(r, i, CHECK_TABLE), *name = pg_text(r, i, CHECK_NAME);
        struct empty_restore *to = &w->j->restore[pg_int(r, i, CHECK_MAP)];
        empty_restore_add(to, mem_printf("ALTER TABLE %s ADD CONSTRAINT %s %s", table, name,
                                         pg_text(r, i, CHECK_DEFINITION)));
        if (!pg_is_null(r, i, CHECK_COMMENT))
            remember_comment(to, table, name, pg_text(r, i, CHECK_COMMENT));
    }
}

static void remember(struct work *w)
{
    const struct pg_result *r = w->keys;
    for (size_t i = 0; i < pg_rows(r); i++) {
        const char *table = pg_text(r, i, FK_TABLE), *name = pg_text(r, i, FK_NAME);
        struct empty_restore *to = &w->j->restore[pg_int(r, i, FK_MAP)];
        bool later = pg_bool(r, i, FK_VALID) && pg_text(r, i, FK_KIND)[0] == 'r';
        if (!w->drop[i])
            continue;
        empty_restore_add(to, mem_printf("ALTER TABLE %s ADD CONSTRAINT %s %s%s", table, name,
                                         pg_text(r, i, FK_DEFINITION), later ? " NOT VALID" : ""));
        if (later)
            empty_restore_add(to, mem_printf("ALTER TABLE %s VALIDATE CONSTRAINT %s", table, name));
        if (!pg_is_null(r, i, FK_TRIGGERS))
            empty_restore_add(to, triggers_sql(r, i));
        if (!pg_is_null(r, i, FK_COMMENT))
            remember_comment(to, table, name, pg_text(r, i, FK_COMMENT));
    }
    remember_checks(w);
}

/* --- doing it -------------------------------------------------------------------------------- */

static void put_table(const struct work *w, size_t i, const char *before, struct buf *b)
{
    const struct schema_table *t = &w->j->tables->tables[i];
    buf_printf(b, "%s%s", before, w->is_partitioned[i] ? "" : "ONLY ");
    pg_quote_qualified(b, t->dest_schema, t->dest_name);
}

static void put_locks(const struct work *w, struct buf *b)
{
    const struct empty_job *j = w->j;
    for (size_t i = 0; i < j->tables->n_tables; i++)
        put_table(w, i, i ? ", " : "LOCK TABLE ", b);
    buf_printf(b, " IN %s MODE;", w->with_delete ? "SHARE ROW EXCLUSIVE" : "ACCESS EXCLUSIVE");
}

static void put_drops(const struct work *w, struct buf *b)
{
    for (size_t i = 0; i < pg_rows(w->keys); i++)
        if (w->drop[i])
            buf_printf(b, "ALTER TABLE %s DROP CONSTRAINT %s;", pg_text(w->keys, i, FK_TABLE),
                       pg_text(w->keys, i, FK_NAME));
    for (size_t i = 0; i < pg_rows(w->checks); i++)
        buf_printf(b, "ALTER TABLE %s DROP CONSTRAINT %s;", pg_text(w->checks, i, CHECK_TABLE),
                   pg_text(w->checks, i, CHECK_NAME));
}

/* Rows are in the leaves. */
static void put_empty(const struct work *w, struct buf *b)
{
    const struct schema *s = w->j->tables;
    const char *before = w->with_delete ? "DELETE FROM " : "TRUNCATE ";
    for (size_t i = 0; i < s->n_tables; i++) {
        if (s->tables[i].is_partitioned)
            continue;
        put_table(w, i, before, b);
        before = w->with_delete ? "; DELETE FROM " : ", ";
    }
}

static bool keep_rows(struct work *w, struct err *err)
{
    struct empty_job *j = w->j;
    for (size_t m = 0; m < j->n_maps; m++)
        if (!sync_rows_add_restore(j->dest, &j->errand->task, &j->owner, &j->names[m],
                                   j->restore[m].n, (const char *const *)j->restore[m].items, err))
            return false;
    return true;
}

static bool run_fence(struct empty_job *j, struct err *err)
{
    char *fence = sync_rows_fence(&j->owner);
    bool ok = pg_exec(j->dest, &j->errand->task, LOOK_MS, fence, NULL, err);
    free(fence);
    if (!ok && pg_server_error_is(err, SYNC_ROWS_SQLSTATE))
        return err_set(err, ERR_FENCED, "another process took over this mirror");
    return ok;
}

/* DELETE takes its time: it must not hold the locks that dropping foreign keys takes on tables that
 * the stream goes on with. So it has a transaction of its own, behind that one. */
enum part {
    PART_KEYS = 1,
    PART_ROWS = 2,
};

/* The tables to be emptied are locked first: the stream holds no lock on them, so it never waits
 * for us while we wait for it. */
static bool attempt(struct work *w, int parts, const char *lock_timeout, struct err *err)
{
    struct empty_job *j = w->j;
    struct task *task = &j->errand->task;
    struct buf locks = {0}, empty = {0};
    buf_printf(&locks, "BEGIN; SET LOCAL lock_timeout = '%s'; ", lock_timeout);
    if (parts & PART_ROWS)
        put_locks(w, &locks);
    if (parts & PART_KEYS)
        put_drops(w, &locks);
    if (parts & PART_ROWS)
        put_empty(w, &empty);
    bool ok = pg_exec(j->dest, task, LOOK_MS, buf_text(&locks), NULL, err) &&
              (!empty.len || pg_exec(j->dest, task, 0, buf_text(&empty), NULL, err)) &&
              (!(parts & PART_KEYS) || keep_rows(w, err)) && run_fence(j, err) &&
              pg_exec(j->dest, task, 0, "COMMIT", NULL, err);
    buf_free(&locks);
    buf_free(&empty);
    return ok;
}

void empty_explain_locks(struct pg_conn *dest, struct task *task, const char *mirror,
                         const struct schema *tables, const char *what)
{
    struct buf names = {0}, who = {0};
    struct pg_result *r = NULL;
    struct err ignored = {0};
    char *values[] = {dest_names(tables, true), dest_names(tables, false)};
    if (pg_exec_params(dest, task, LOOK_MS,
                       "SELECT DISTINCT a.pid, left(a.application_name, 30), extract(epoch FROM "
                       "clock_timestamp() - a.xact_start)::int8 FROM ROWS FROM "
                       "(unnest($1::text[]), unnest($2::text[])) AS t(s, n) JOIN pg_locks l ON "
                       "l.relation = to_regclass(format('%I.%I', t.s, t.n)) AND l.granted JOIN "
                       "pg_stat_activity a ON a.pid = l.pid AND a.pid <> pg_backend_pid() WHERE "
                       "l.database = (SELECT oid FROM pg_database WHERE datname = "
                       "current_database()) ORDER BY 3 DESC NULLS LAST LIMIT 3",
                       2, (const char *const *)values, &r, &ignored)) {
        for (size_t i = 0; i < pg_rows(r); i++)
            buf_printf(&who, "%sPID %s (%s, open for %s s)", i ? ", " : ": ", pg_text(r, i, 0),
                       pg_text(r, i, 1), pg_text(r, i, 2));
        pg_free(r);
    }
    for (size_t i = 0; i < tables->n_tables && i < 3; i++)
        buf_printf(&names, "%s%s.%s", i ? ", " : "", tables->tables[i].dest_schema,
                   tables->tables[i].dest_name);
    log_warn("copy", mirror, "waiting for locks at the destination %s %s%s", what, buf_text(&names),
             buf_text(&who));
    free(values[0]);
    free(values[1]);
    buf_free(&names);
    buf_free(&who);
}

static bool is_lock_failure(const struct err *err)
{
    return pg_server_error_is(err, "55P03") || pg_server_error_is(err, "40P01");
}

static bool attempts(struct work *w, int parts, struct err *err)
{
    struct empty_job *j = w->j;
    struct err ignored = {0};
    int64_t began = clock_mono_ms(), explain_at = began + EXPLAIN_FIRST_MS;
    for (int n = 1; !attempt(w, parts, n > PATIENCE ? LONG_LOCK : SHORT_LOCK, err); n++) {
        if (!is_lock_failure(err) || clock_mono_ms() - began > LOCK_LIMIT_MS ||
            !pg_exec(j->dest, &j->errand->task, LOOK_MS, "ROLLBACK", NULL, &ignored))
            return false;
        if (clock_mono_ms() >= explain_at) {
            empty_explain_locks(j->dest, &j->errand->task, j->mirror, j->tables, "to empty");
            explain_at = clock_mono_ms() + EXPLAIN_MS;
        }
        if (!errand_sleep(j->errand, PAUSE_MS, err))
            return false;
    }
    return true;
}

bool empty_tables(struct empty_job *j, struct err *err)
{
    struct work w = {.j = j};
    bool ok = look(&w, err) && decide(&w, err);
    if (ok) {
        remember(&w);
        ok = (w.with_delete ? attempts(&w, PART_KEYS, err) && attempts(&w, PART_ROWS, err)
                            : attempts(&w, PART_KEYS | PART_ROWS, err)) ||
             err_context(err, "empty the destination's tables");
    }
    pg_free(w.keys);
    pg_free(w.checks);
    free(w.drop);
    free(w.is_partitioned);
    return ok;
}
