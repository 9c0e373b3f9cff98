/* The frame of a preflight: which relations it is about, and how a table of questions becomes
 * findings. */
#include "schema/preflight_private.h"

#include <stdlib.h>
#include <string.h>

static const char targets_sql[] =
    "WITH RECURSIVE m AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[],"
    "  $5::text[]) WITH ORDINALITY AS m(s, t, ds, dt, ex, ord)), " PARTITION_HOMES(
        "$6",
        "$7") ","
              " tree(ord, oid, s, mds, ds, dn, ex) AS ("
              " SELECT m.ord, c.oid, m.s, m.ds, m.ds COLLATE \"C\", m.dt COLLATE \"C\", m.ex FROM m"
              "  LEFT JOIN pg_namespace n ON n.nspname = m.s LEFT JOIN pg_class c"
              "  ON c.relnamespace = n.oid AND c.relname = m.t AND c.relkind IN ('r', 'p') UNION "
              "ALL"
              " SELECT tree.ord, c.oid, tree.s, tree.mds, " PARTITION_HOME(
                  "tree") ", c.relname::text,"
                          "  tree.ex FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid JOIN "
                          "pg_class c"
                          "  ON c.oid = i.inhrelid AND c.relispartition AND c.relkind IN ('r', "
                          "'p', 'f')"
                          "  JOIN pg_namespace n ON n.oid = c.relnamespace)"
                          " SELECT tree.ord - 1, coalesce(c.oid, 0), coalesce(n.nspname, m.s), "
                          "coalesce(c.relname, m.t),"
                          " tree.ds, tree.dn, format('%I.%I', coalesce(n.nspname, m.s), "
                          "coalesce(c.relname, "
                          "m.t)),"
                          " format('%I.%I', tree.ds, tree.dn), tree.ex, coalesce(c.relkind = 'p', "
                          "false),"
                          " coalesce(c.relkind = 'f', false)"
                          " FROM tree JOIN m ON m.ord = tree.ord LEFT JOIN pg_class c ON c.oid = "
                          "tree.oid"
                          " LEFT JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY tree.ord, "
                          "3, 4";

static void take_target(struct preflight *k, const struct pg_result *res, size_t row)
{
    struct target t = {
        .mapping = (int)pg_int(res, row, 0),
        .oid = (uint32_t)pg_int(res, row, 1),
        .schema = read_text(res, row, 2),
        .name = read_text(res, row, 3),
        .dest_schema = read_text(res, row, 4),
        .dest_name = read_text(res, row, 5),
        .qualified = read_text(res, row, 6),
        .dest_qualified = read_text(res, row, 7),
        .exclude = read_text(res, row, 8),
        .is_parent = pg_bool(res, row, 9),
        .is_foreign = pg_bool(res, row, 10),
    };
    MEM_PUSH(k->targets, k->n, k->cap, t);
}

static bool ask_targets(struct preflight *k, struct pg_result **out, struct err *err)
{
    size_t n = k->c->n_tables;
    size_t n_all = k->c->all ? k->c->n_all : n;
    const struct table_map *all = k->c->all ? k->c->all : k->c->tables;
    struct buf arrays[5] = {{0}};
    char *homes[] = {read_maps_array(all, n_all, offsetof(struct table_map, source_schema)),
                     read_maps_array(all, n_all, offsetof(struct table_map, dest_schema))};
    const char *values[7] = {[5] = homes[0], homes[1]};
    const char **cells = mem_calloc(5 * n + 1, sizeof *cells);
    struct buf *excludes = mem_calloc(n + 1, sizeof *excludes);
    for (size_t i = 0; i < n; i++) {
        const struct table_map *m = &k->c->tables[i];
        pg_quote_array(&excludes[i], m->n_exclude, (const char *const *)m->exclude);
        cells[i] = m->source_schema;
        cells[n + i] = m->source_table;
        cells[2 * n + i] = m->dest_schema;
        cells[3 * n + i] = m->dest_table;
        cells[4 * n + i] = buf_text(&excludes[i]);
    }
    for (size_t a = 0; a < 5; a++) {
        pg_quote_array(&arrays[a], n, cells + a * n);
        values[a] = buf_text(&arrays[a]);
    }
    bool ok = read_steadily(k->source, k->source_task, &k->tries, SCHEMA_QUERY_MS, targets_sql,
                            COUNT_OF(values), values, out, err);
    free(homes[0]);
    free(homes[1]);
    for (size_t a = 0; a < 5; a++)
        buf_free(&arrays[a]);
    for (size_t i = 0; i < n; i++)
        buf_free(&excludes[i]);
    free(excludes);
    free(cells);
    return ok;
}

bool preflight_targets(struct preflight *k, struct err *err)
{
    struct pg_result *res = NULL;
    if (!ask_targets(k, &res, err))
        return false;
    for (size_t row = 0; row < pg_rows(res); row++)
        take_target(k, res, row);
    pg_free(res);
    struct buf oids = {0}, excludes = {0};
    const char **items = mem_calloc(k->n + 1, sizeof *items);
    buf_putc(&oids, '{');
    for (size_t i = 0; i < k->n; i++) {
        buf_printf(&oids, "%s%u", i ? "," : "", k->targets[i].oid);
        items[i] = k->targets[i].exclude;
    }
    buf_putc(&oids, '}');
    pg_quote_array(&excludes, k->n, items);
    free(items);
    k->oids = buf_take(&oids);
    k->excludes = buf_take(&excludes);
    return true;
}

void preflight_free(struct preflight *k)
{
    for (size_t i = 0; i < k->n; i++) {
        free(k->targets[i].qualified);
        free(k->targets[i].schema);
        free(k->targets[i].name);
        free(k->targets[i].dest_schema);
        free(k->targets[i].dest_name);
        free(k->targets[i].dest_qualified);
        free(k->targets[i].exclude);
    }
    free(k->targets);
    free(k->oids);
    free(k->excludes);
}

/* --- Findings --------------------------------------------------------------------------------- */
void preflight_item(struct preflight *k, int64_t i, const char *name, const char *note,
                    const char *statement)
{
    findings_item(&k->f->items[k->f->n - 1], name, note, statement);
    preflight_verdict(k, i);
}

void preflight_verdict(struct preflight *k, int64_t i)
{
    const struct finding *x = &k->f->items[k->f->n - 1];
    if (i >= 0 && (size_t)i < k->n && k->verdicts)
        verdict_add(&k->verdicts[k->targets[i].mapping], x->code, x->severity);
}

bool preflight_refused(struct preflight *k, const char *what, enum severity severity,
                       struct err *err)
{
    bool is_late = err->code == ERR_CANCELLED || err->code == ERR_TIMEOUT;
    if (!k->is_report || !(is_late || err->sqlstate[0]) || err->code == ERR_CONNECT)
        return false;
    struct finding *x = &k->refused.items[0];
    findings_item(x, what, is_late ? "no answer in time" : err->text, NULL);
    if (severity > x->severity)
        x->severity = severity;
    err_clear(err);
    return true;
}

bool preflight_go_on(struct preflight *k, bool ok, const char *what, struct err *err)
{
    if (ok || preflight_refused(k, what, SEVERITY_ERROR, err))
        return true;
    if (!k->is_report || !k->dest || !pg_is_alive(k->source))
        return false;
    findings_begin(k->f, "destination_silent", SEVERITY_ERROR);
    findings_item(&k->f->items[k->f->n - 1], what, err->text, NULL);
    findings_end(k->f, "the destination does not answer", err->text,
                 "check host, port and firewall, and whether a lock blocks its catalogs");
    err_clear(err);
    k->dest = NULL;
    return true;
}

bool preflight_ask(struct preflight *k, struct pg_conn *c, struct task *task,
                   const struct question *questions, size_t n, struct err *err)
{
    const char *values[] = {k->oids, k->excludes};
    for (size_t i = 0; i < n; i++) {
        const struct question *q = &questions[i];
        struct pg_result *res = NULL;
        if (q->purpose == FOR_REPORT && !k->is_report)
            continue;
        if (!read_steadily(c, task, &k->tries, PREFLIGHT_MS, q->sql, (size_t)q->about, values, &res,
                           err)) {
            if (!preflight_refused(k, q->title, q->severity, err))
                return false;
            continue;
        }
        findings_begin(k->f, q->code, q->severity);
        for (size_t row = 0; row < pg_rows(res); row++)
            preflight_item(k, pg_is_null(res, row, 0) ? -1 : pg_int(res, row, 0) - 1,
                           pg_text(res, row, 1), pg_text(res, row, 2), pg_text(res, row, 3));
        findings_end(k->f, q->title, q->cause, q->remedy);
        pg_free(res);
    }
    return true;
}
