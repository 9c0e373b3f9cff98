/* What stands against a swap; see swap.h. */
#include "copy/swap.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define LIMIT_MS 30000

/* The mapped tables with their partitions, and what is wrong with the first of them. $3: foreign
 * keys and ordinary rules act on the session. */
static const char check_sql[] =
    "WITH RECURSIVE t(s, n) AS (SELECT * FROM ROWS FROM (unnest($1::text[]), unnest($2::text[])) "
    "AS r(s, n)),"
    " top(oid) AS (SELECT c.oid FROM t JOIN pg_namespace ns ON ns.nspname = t.s JOIN pg_class c"
    "  ON c.relnamespace = ns.oid AND c.relname = t.n AND c.relkind IN ('r', 'p')),"
    " w(oid) AS (SELECT oid FROM top UNION SELECT i.inhrelid FROM w JOIN pg_inherits i"
    "  ON i.inhparent = w.oid JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition),"
    " k(oid, name) AS (SELECT w.oid, min(k.conname) FROM w JOIN pg_constraint k ON k.contype = 'f'"
    "  AND (k.conrelid = w.oid OR k.confrelid = w.oid) WHERE $3::bool GROUP BY w.oid),"
    " d(oid, name) AS (SELECT w.oid, min(p.pubname) FROM w JOIN pg_class c ON c.oid = w.oid"
    "  JOIN pg_namespace ns ON ns.oid = c.relnamespace JOIN pg_publication_tables pt"
    "  ON pt.schemaname = ns.nspname AND pt.tablename = c.relname JOIN pg_publication p"
    "  ON p.pubname = pt.pubname AND p.pubdelete WHERE c.relkind = 'r' AND (c.relreplident = 'n'"
    "  OR (c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid"
    "  AND x.indisprimary))) GROUP BY w.oid),"
    " a(oid, name) AS (SELECT w.oid, min(r.rulename) FROM w JOIN pg_rewrite r ON r.ev_class = w.oid"
    "  AND r.ev_type IN ('3', '4') AND r.ev_enabled IN ('A', (CASE WHEN $3::bool THEN 'O' ELSE 'R'"
    "  END)::\"char\") GROUP BY w.oid),"
    " e(name, problem, detail) AS ("
    "  SELECT format('%I.%I', t.s, t.n), 'missing', '' FROM t WHERE NOT EXISTS (SELECT FROM"
    "   pg_namespace ns JOIN pg_class c ON c.relnamespace = ns.oid WHERE ns.nspname = t.s"
    "   AND c.relname = t.n AND c.relkind IN ('r', 'p'))"
    "  UNION ALL SELECT format('%I.%I', ns.nspname, c.relname), CASE"
    "   WHEN row_security_active(c.oid) THEN 'policies'"
    "   WHEN NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')"
    "    AND has_table_privilege(c.oid, 'DELETE')) THEN 'rights'"
    "   WHEN k.oid IS NOT NULL THEN 'keys' WHEN d.oid IS NOT NULL THEN 'identity'"
    "   WHEN a.oid IS NOT NULL THEN 'rules' END,"
    "   coalesce(k.name, d.name, a.name, '') FROM w JOIN pg_class c ON c.oid = w.oid"
    "   JOIN pg_namespace ns ON ns.oid = c.relnamespace LEFT JOIN k ON k.oid = w.oid"
    "   LEFT JOIN d ON d.oid = w.oid LEFT JOIN a ON a.oid = w.oid)"
    " SELECT name, problem, detail FROM e WHERE problem IS NOT NULL ORDER BY 1 LIMIT 1";

static const struct {
    const char *problem;
    const char *before, *after; /* around the detail, behind the table's name; after NULL: none */
    const char *hint;
} refusals[] = {
    {"missing", "is missing at the destination", NULL,
     "Use strategy truncate: it creates the table and copies its rows; nobody can read it now."},
    {"policies", "has row security, which acts on the destination's user", NULL,
     "Let that user own the table or have BYPASSRLS, or use strategy truncate."},
    {"rights", "may not be read, deleted from and inserted into by the destination's user", NULL,
     "Grant SELECT, INSERT and DELETE on it, or use strategy truncate."},
    {"keys", "has a foreign key to it or from it (", "), which acts on the destination's user",
     "Let that user set session_replication_role, or use strategy truncate, which drops foreign "
     "keys for the time of the copy."},
    {"identity", "is published at the destination (", ") and has no replica identity",
     "ALTER TABLE … REPLICA IDENTITY FULL at the destination, or use strategy truncate."},
    {"rules", "has a rule for INSERT or DELETE (", "), which acts on what the swap writes",
     "ALTER TABLE … DISABLE RULE, or use strategy truncate, on whose COPY no rule acts."},
};

static bool refuse(const struct pg_result *r, struct err *err)
{
    const char *table = pg_text(r, 0, 0), *problem = pg_text(r, 0, 1), *detail = pg_text(r, 0, 2);
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        if (strcmp(refusals[i].problem, problem) != 0)
            continue;
        err_set(err, ERR_PREFLIGHT, "%s cannot be swapped: it %s%s%s", table, refusals[i].before,
                refusals[i].after ? detail : "", refusals[i].after ? refusals[i].after : "");
        return err_hint(err, "%s", refusals[i].hint);
    }
    return err_set(err, ERR_INTERNAL, "%s cannot be swapped: %s", table, problem);
}

/* Whether foreign keys act on what this user's sessions do. */
static bool ask_role(struct pg_conn *dest, struct task *task, bool *acts, struct err *err)
{
    struct err refused = {0};
    *acts =
        !pg_exec(dest, task, LIMIT_MS, "SET session_replication_role = replica", NULL, &refused);
    if (!*acts || pg_server_error_is(&refused, "42501"))
        return true;
    *err = refused;
    return false;
}

static bool check_schema(struct pg_conn *dest, struct task *task, struct err *err)
{
    struct pg_result *r = NULL;
    bool ok = pg_exec(dest, task, LIMIT_MS,
                      "SELECT bool_and(has_schema_privilege(oid, 'CREATE')), current_user FROM "
                      "pg_namespace WHERE nspname = '_bunnydb'",
                      &r, err);
    if (ok && !pg_is_null(r, 0, 0) && !pg_bool(r, 0, 0)) {
        ok = err_set(err, ERR_PREFLIGHT,
                     "a swap needs a table beside the old one, and %s may not create any in schema "
                     "_bunnydb at the destination",
                     pg_text(r, 0, 1));
        err_hint(err, "GRANT CREATE ON SCHEMA _bunnydb, or use strategy truncate.");
    }
    pg_free(r);
    return ok;
}

bool swap_check(struct pg_conn *dest, struct task *task, const struct table_map *maps, size_t n,
                struct err *err)
{
    struct buf schemas = {0}, names = {0};
    const char **a = mem_calloc(n + 1, sizeof *a), **b = mem_calloc(n + 1, sizeof *b);
    struct pg_result *r = NULL;
    bool acts;
    for (size_t i = 0; i < n; i++) {
        a[i] = maps[i].dest_schema;
        b[i] = maps[i].dest_table;
    }
    pg_quote_array(&schemas, n, a);
    pg_quote_array(&names, n, b);
    bool ok = check_schema(dest, task, err) && ask_role(dest, task, &acts, err) &&
              pg_exec(dest, task, LIMIT_MS, "SET lock_timeout = '2s'", NULL, err);
    if (ok) {
        const char *values[] = {buf_text(&schemas), buf_text(&names), acts ? "true" : "false"};
        ok = pg_exec_params(dest, task, LIMIT_MS, check_sql, COUNT_OF(values), values, &r, err);
    }
    if (ok && pg_rows(r))
        ok = refuse(r, err);
    if (!ok && pg_server_error_is(err, "55P03")) { /* then the copy itself will see */
        err_clear(err);
        ok = true;
    }
    pg_free(r);
    buf_free(&schemas);
    buf_free(&names);
    free(a);
    free(b);
    return ok;
}
