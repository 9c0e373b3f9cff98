/* The check of a whole database: the preflight of a mirror of all its tables, with all that is
 * worth knowing, for people who have not made one yet. Whatever one server refuses to say, the rest
 * is said. */
#include "schema/preflight_private.h"

#include <stdlib.h>

static const char facts_sql[] =
    "SELECT current_setting('server_version') AS version, current_database() AS database,"
    " current_user AS user, pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collation,"
    " d.datctype AS ctype, pg_is_in_recovery() AS is_standby, current_setting('wal_level') AS"
    " wal_level, current_setting('max_replication_slots')::int AS max_replication_slots,"
    " (SELECT count(*) FROM pg_replication_slots) AS used_replication_slots,"
    " current_setting('max_wal_senders')::int AS max_wal_senders,"
    " (SELECT count(*) FROM pg_stat_replication) AS used_wal_senders,"
    " current_setting('max_slot_wal_keep_size', true) AS max_slot_wal_keep_size,"
    " current_setting('wal_sender_timeout') AS wal_sender_timeout,"
    " current_setting('max_connections')::int AS max_connections, (SELECT"
    " coalesce(sum(numbackends), 0) FROM pg_stat_database) AS used_connections,"
    " age(d.datfrozenxid) AS transaction_id_age"
    " FROM pg_database d WHERE d.datname = current_database()";

/* A partition of another schema than its table's: "*" of that schema alone would name it. */
static const char apart_sql[] =
    "SELECT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " AND c.relispartition AND c.relkind IN ('r', 'p') JOIN pg_class p ON p.oid = i.inhparent"
    " AND p.relnamespace <> c.relnamespace)";

static bool ask_facts(struct preflight *k, struct report *out, const char *name, struct pg_conn *c,
                      struct task *task, struct err *err)
{
    struct pg_result *res = NULL;
    struct report_section *s = report_add_section(out, name, false);
    if (!pg_exec(c, task, PREFLIGHT_MS, facts_sql, &res, err))
        return preflight_refused(k, "facts of the server", SEVERITY_WARNING, err);
    pg_report(s, res);
    pg_free(res);
    return true;
}

static bool ask_source(struct preflight *k, struct survey *out, struct err *err)
{
    k->f = &out->source;
    return ask_facts(k, &out->facts, "source", k->source, k->source_task, err) &&
           preflight_go_on(k, preflight_source(k->source, k->source_task, k->f, err), "the source",
                           err) &&
           preflight_ask(k, k->source, k->source_task, server_questions, server_question_count,
                         err);
}

static bool ask_objects(struct preflight *k, struct survey *out, struct err *err)
{
    struct pg_result *res = NULL;
    k->f = &out->objects;
    if (!preflight_ask(k, k->source, k->source_task, object_questions, object_question_count, err))
        return false;
    if (!read_steadily(k->source, k->source_task, &k->tries, PREFLIGHT_MS, apart_sql, 0, NULL, &res,
                       err))
        return preflight_refused(k, "partitions of other schemas", SEVERITY_INFO, err);
    out->has_whole_schemas = !pg_bool(res, 0, 0);
    pg_free(res);
    return true;
}

static bool ask_dest(struct preflight *k, struct survey *out, struct err *err)
{
    k->f = &out->destination;
    if (k->dest &&
        !preflight_go_on(k, ask_facts(k, &out->facts, "destination", k->dest, k->dest_task, err),
                         "facts of the server", err))
        return false;
    if (k->dest && !preflight_go_on(k, preflight_dest(k->dest, k->dest_task, k->f, err),
                                    "the destination", err))
        return false;
    return !k->dest || preflight_go_on(k, preflight_pair(k, err), "both servers", err);
}

/* Those of extensions come with these. */
static void leave_out_extensions(struct peer_table_list *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++)
        if (!l->items[i].extension[0])
            l->items[kept++] = l->items[i];
    l->n = kept;
}

static void judge(const struct peer_table_list *l, struct verdict *verdicts, struct survey *out)
{
    out->items = mem_calloc(l->n + 1, sizeof *out->items);
    out->n = l->n;
    for (size_t i = 0; i < l->n; i++) {
        out->items[i].table = l->items[i];
        out->items[i].table.can_mirror = verdicts[i].worst < SEVERITY_ERROR;
        out->items[i].verdict = verdicts[i]; /* moved */
    }
}

/* $2: the tables that cannot be mirrored. */
static const char fkeys_sql[] =
    "SELECT u.i, format('%I of %I.%I', f.conname, n.nspname, c.relname), 'refers to '"
    " || f.confrelid::regclass::text" EACH_TARGET " JOIN pg_constraint f ON f.conrelid = c.oid"
    " AND f.contype = 'f' AND f.conparentid = 0 WHERE f.confrelid = ANY ($2::oid[])"
    " AND c.oid <> ALL ($2::oid[]) ORDER BY u.i, f.conname";

static bool ask_fkeys(struct preflight *k, struct err *err)
{
    struct pg_result *res = NULL;
    struct buf out = {0};
    buf_putc(&out, '{');
    for (size_t i = 0; i < k->n; i++)
        if (k->verdicts[k->targets[i].mapping].worst == SEVERITY_ERROR)
            buf_printf(&out, "%s%u", out.len > 1 ? "," : "", k->targets[i].oid);
    buf_putc(&out, '}');
    const char *values[] = {k->oids, buf_text(&out)};
    bool ok = read_steadily(k->source, k->source_task, &k->tries, PREFLIGHT_MS, fkeys_sql, 2,
                            values, &res, err);
    buf_free(&out);
    if (!ok)
        return preflight_refused(k, "foreign keys", SEVERITY_WARNING, err);
    findings_begin(k->f, "foreign_key_left_out", SEVERITY_WARNING);
    for (size_t row = 0; row < pg_rows(res); row++)
        preflight_item(k, pg_int(res, row, 0) - 1, pg_text(res, row, 1), pg_text(res, row, 2),
                       NULL);
    findings_end(k->f, "a foreign key refers to a table that cannot be mirrored",
                 "It is left out at the destination.", "let that table be mirrored, too");
    pg_free(res);
    return true;
}

static bool ask_tables(struct preflight *k, struct survey *out, struct err *err)
{
    struct peer_table_list l = {0};
    if (!list_roots(k->source, k->source_task, &l, err))
        return false;
    leave_out_extensions(&l);
    struct mirror_config c;
    mirror_config_init(&c);
    c.n_tables = l.n;
    c.tables = list_maps(&l);
    k->c = &c;
    k->f = &out->tables;
    k->verdicts = mem_calloc(l.n + 1, sizeof *k->verdicts);
    bool ok = preflight_tables(k, err) && ask_fkeys(k, err);
    judge(&l, k->verdicts, out);
    free(k->verdicts);
    free(c.tables);
    peer_table_list_free(&l);
    return ok;
}

bool schema_survey(struct pg_conn *source, struct task *source_task, struct pg_conn *dest,
                   struct task *dest_task, struct survey *out, struct err *err)
{
    struct preflight k = {.source = source,
                          .dest = dest,
                          .source_task = source_task,
                          .dest_task = dest_task,
                          .is_report = true};
    findings_begin(&k.refused, "no_answer", SEVERITY_INFO);
    bool ok = ask_source(&k, out, err) && ask_dest(&k, out, err) && ask_tables(&k, out, err) &&
              ask_objects(&k, out, err);
    preflight_free(&k);
    findings_end(&k.refused, "questions without an answer",
                 "What they would have found is not said here: a right is missing, a lock is held,"
                 " or a server is slow.",
                 "see what each of them says, and check again");
    findings_move(&out->source, &k.refused);
    findings_sort(&out->source);
    findings_sort(&out->destination);
    findings_sort(&out->tables);
    findings_sort(&out->objects);
    return ok || err_context(err, "check");
}
