/* Definitions that changed while a slot was made; see slot_window.h. */
#include "stream/slot_window.h"

#include "base/mem.h"

#define LIMIT_MS 60000

bool slot_window_open(struct pg_conn *sql, struct task *task, int64_t *first_xid, struct err *err)
{
    struct pg_result *r = NULL;
    if (!pg_exec(sql, task, LIMIT_MS,
                 "SELECT pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot())", &r,
                 err))
        return err_context(err, "ask for the source's next transaction");
    *first_xid = pg_int(r, 0, 0);
    pg_free(r);
    return true;
}

static bool read_last(struct pg_conn *sql, struct task *task, int64_t *last_xid, struct err *err)
{
    struct pg_result *r = NULL;
    if (!pg_exec(sql, task, LIMIT_MS,
                 "SELECT pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot())", &r,
                 err))
        return err_context(err, "ask for the transactions of the slot's snapshot");
    *last_xid = pg_int(r, 0, 0);
    pg_free(r);
    return true;
}

/* A row carries 32 bits of its transaction ($2: the first one's, $3: how many there are). */
#define MADE_IN(row)                                                                       \
    "(" row ".xmin::pg_catalog.text::pg_catalog.int8 - $2::pg_catalog.int8 + 4294967296) " \
    "% 4294967296 < $3::pg_catalog.int8"

static const char changed_sql[] =
    "WITH t AS (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::pg_catalog.oid[])"
    "  UNION SELECT c.reltoastrelid FROM pg_catalog.pg_class c"
    "  WHERE c.oid = ANY ($1::pg_catalog.oid[]) AND c.reltoastrelid <> 0"
    "  UNION SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relkind = 'c')"
    " SELECT 'relation ' || c.oid::pg_catalog.regclass::pg_catalog.text"
    "  FROM pg_catalog.pg_class c JOIN t USING (oid) WHERE " MADE_IN(
        "c") " UNION ALL SELECT 'relation ' || a.attrelid::pg_catalog.regclass::pg_catalog.text"
             "  FROM pg_catalog.pg_attribute a JOIN t ON t.oid = a.attrelid WHERE " MADE_IN(
                 "a") " UNION ALL SELECT 'relation ' || "
                      "i.indrelid::pg_catalog.regclass::pg_catalog.text"
                      "  FROM pg_catalog.pg_index i JOIN t ON t.oid = i.indrelid WHERE " MADE_IN(
                          "i") " UNION ALL SELECT 'type ' || "
                               "e.enumtypid::pg_catalog.regtype::pg_catalog.text"
                               "  FROM pg_catalog.pg_enum e WHERE " MADE_IN(
                                   "e") " UNION ALL SELECT 'schema ' || n.nspname FROM "
                                        "pg_catalog.pg_namespace n"
                                        "  WHERE n.nspname !~ '^pg_(toast_)?temp_' AND " MADE_IN(
                                            "n") " UNION ALL SELECT 'publication ' || p.pubname "
                                                 "FROM pg_catalog.pg_publication p"
                                                 "  WHERE p.pubname = $4 AND " MADE_IN(
                                                     "p") " UNION ALL SELECT 'publication ' || "
                                                          "p.pubname FROM "
                                                          "pg_catalog.pg_publication p"
                                                          "  JOIN pg_catalog.pg_publication_rel pr "
                                                          "ON pr.prpubid = p.oid"
                                                          "  WHERE p.pubname = $4 AND " MADE_IN(
                                                              "pr") " LIMIT 1";

static bool look(struct pg_conn *sql, struct task *task, int64_t first, int64_t n,
                 const char *publication, const struct schema *s, struct err *err)
{
    struct buf oids = {0};
    struct pg_result *r = NULL;
    char from[24], count[24];
    for (size_t i = 0; i < s->n_tables; i++)
        buf_printf(&oids, "%s%u", i ? "," : "{", (unsigned)s->tables[i].oid);
    buf_puts(&oids, s->n_tables ? "}" : "{}");
    str_printf(from, sizeof from, "%lld", (long long)(first & UINT32_MAX));
    str_printf(count, sizeof count, "%lld", (long long)n);
    const char *values[] = {buf_text(&oids), from, count, publication};
    bool ok = pg_exec_params(sql, task, LIMIT_MS, changed_sql, COUNT_OF(values), values, &r, err) ||
              err_context(err, "look for changes of definitions");
    if (ok && pg_rows(r) > 0)
        ok = err_set(err, ERR_SNAPSHOT_STALE,
                     "%s changed at the source while the slot was being made, which its server "
                     "may not know when it reads its log for the slot: another one is made",
                     pg_text(r, 0, 0));
    pg_free(r);
    buf_free(&oids);
    return ok;
}

bool slot_window_check(struct pg_conn *sql, struct task *task, int64_t first_xid,
                       const char *publication, const struct schema *s, struct err *err)
{
    int64_t last = 0;
    return read_last(sql, task, &last, err) &&
           (last <= first_xid || look(sql, task, first_xid, last - first_xid, publication, s, err));
}
