/* What acts on rows that a mirror writes; see acting.h. */
#include "schema/acting.h"

#include <stdlib.h>

#include "schema/schema_private.h"

/* A partition's copy of its parent's trigger follows that one. */
static const char triggers_sql[] =
    "WITH RECURSIVE tree(oid) AS (SELECT c.oid FROM unnest($1::pg_catalog.text[],"
    "  $2::pg_catalog.text[]) u(s, t) JOIN pg_catalog.pg_namespace n ON n.nspname = u.s"
    "  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = u.t UNION"
    " SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid"
    "  JOIN pg_catalog.pg_class k ON k.oid = i.inhrelid AND k.relispartition)"
    " SELECT pg_catalog.format('%I of %I.%I', g.tgname, n.nspname, c.relname),"
    " pg_catalog.format('ALTER TABLE %I.%I DISABLE TRIGGER %I;', n.nspname, c.relname, g.tgname),"
    " pg_catalog.quote_ident(current_user)"
    " FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_catalog.pg_trigger g ON g.tgrelid = c.oid AND NOT g.tgisinternal"
    "  AND g.tgenabled = 'O'"
    "  AND coalesce(pg_catalog.to_jsonb(g) ->> 'tgparentid', '0') = '0'"
    " ORDER BY n.nspname, c.relname, g.tgname";

/* The right can come from many places: setting it for the length of one statement is the only
 * question that all answer. */
bool schema_may_be_replica(struct pg_conn *dest, struct task *task, bool *may, struct err *err)
{
    struct err why = {0};
    *may = pg_exec(dest, task, SCHEMA_QUERY_MS,
                   "SELECT pg_catalog.set_config('session_replication_role', 'replica', true)",
                   NULL, &why);
    if (*may || why.sqlstate[0])
        return true;
    *err = why;
    return false;
}

static char *explain(struct pg_conn *dest, const char *user)
{
    return pg_version(dest) >= 150000
               ? mem_printf("They act on each row that the mirror writes, as user %.64s may not set"
                            " session_replication_role: GRANT SET ON PARAMETER"
                            " session_replication_role TO %.64s; keeps all of them quiet.",
                            user, user)
               : mem_printf("They act on each row that the mirror writes, as user %.64s may not set"
                            " session_replication_role: only a superuser may.",
                            user);
}

bool schema_find_triggers(struct pg_conn *dest, struct task *task, size_t n,
                          const char *const *schemas, const char *const *tables, struct findings *f,
                          struct err *err)
{
    bool may_be_replica;
    if (!schema_may_be_replica(dest, task, &may_be_replica, err))
        return err_context(err, "look for triggers at the destination");
    return may_be_replica || schema_list_triggers(dest, task, n, schemas, tables, f, err);
}

bool schema_list_triggers(struct pg_conn *dest, struct task *task, size_t n,
                          const char *const *schemas, const char *const *tables, struct findings *f,
                          struct err *err)
{
    struct buf s = {0}, t = {0};
    struct pg_result *res = NULL;
    pg_quote_array(&s, n, schemas);
    pg_quote_array(&t, n, tables);
    const char *values[] = {buf_text(&s), buf_text(&t)};
    bool ok = pg_exec_params(dest, task, SCHEMA_QUERY_MS, triggers_sql, 2, values, &res, err);
    if (ok && pg_rows(res)) {
        char *cause = explain(dest, pg_text(res, 0, 2));
        struct finding *x = findings_begin(f, "triggers_fire", SEVERITY_WARNING);
        for (size_t row = 0; row < pg_rows(res); row++)
            findings_item(x, pg_text(res, row, 0), NULL, pg_text(res, row, 1));
        findings_end(f, "triggers of the destination fire on mirrored rows", cause, "");
        free(cause);
    }
    pg_free(res);
    buf_free(&s);
    buf_free(&t);
    return ok || err_context(err, "look for triggers at the destination");
}
