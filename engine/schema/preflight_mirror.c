/* Can this one mirror be made: its tables at both servers, its slot and publication. All tables
 * with the same trouble share one finding. */
#include "schema/diff_private.h"
#include "schema/preflight_private.h"

#include <stdlib.h>
#include <string.h>

#include "schema/acting.h"

static const char names_sql[] =
    "SELECT EXISTS (SELECT FROM pg_replication_slots"
    "  WHERE slot_name = $1), EXISTS (SELECT FROM pg_publication WHERE pubname = $2),"
    " quote_literal($1), quote_ident($2), (SELECT active_pid FROM pg_replication_slots"
    "  WHERE slot_name = $1)";

/* Its slot and its publication belong to nobody yet. */
static bool check_names(struct preflight *k, struct err *err)
{
    struct pg_result *names = NULL;
    const char *values[] = {k->c->slot, k->c->publication};
    char statement[300];
    if (!read_steadily(k->source, k->source_task, &k->tries, PREFLIGHT_MS, names_sql, 2, values,
                       &names, err))
        return false;
    findings_begin(k->f, "slot_exists", SEVERITY_ERROR);
    str_printf(statement, sizeof statement, "SELECT pg_drop_replication_slot(%s);",
               pg_text(names, 0, 2));
    if (pg_bool(names, 0, 0))
        preflight_item(k, -1, pg_text(names, 0, 2),
                       pg_is_null(names, 0, 4) ? "it is not in use now" : "it is in use",
                       statement);
    findings_end(k->f, "the source has a slot of that name",
                 "Drop it when nobody needs it, or choose another slot name.", "");
    findings_begin(k->f, "publication_exists", SEVERITY_ERROR);
    str_printf(statement, sizeof statement, "DROP PUBLICATION %s;", pg_text(names, 0, 3));
    if (pg_bool(names, 0, 1))
        preflight_item(k, -1, pg_text(names, 0, 3), NULL, statement);
    findings_end(k->f, "the source has a publication of that name",
                 "Drop it when nobody needs it, or choose another name.", "");
    pg_free(names);
    return true;
}

static void check_missing(struct preflight *k)
{
    findings_begin(k->f, "source_table_missing", SEVERITY_ERROR);
    for (size_t i = 0; i < k->n; i++)
        if (!k->targets[i].oid)
            preflight_item(k, (int64_t)i, k->targets[i].qualified, NULL, NULL);
    findings_end(k->f, "no such table at the source", "",
                 "check the names (upper and lower case count)");
}

static const char dest_sql[] =
    "SELECT u.ord - 1, c.relkind, c.oid IS NOT NULL AND has_schema_privilege(n.oid, 'USAGE')"
    "  AND has_table_privilege(c.oid, 'SELECT'),"
    " c.oid IS NOT NULL AND NOT (has_schema_privilege(n.oid, 'USAGE')"
    "  AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')"
    "  AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')"
    "  AND has_table_privilege(c.oid, 'TRUNCATE')),"
    " c.oid IS NULL AND n.oid IS NOT NULL AND NOT (has_schema_privilege(n.oid, 'USAGE')"
    "  AND has_schema_privilege(n.oid, 'CREATE')),"
    " quote_ident(u.s), quote_ident(current_user), n.oid IS NULL OR"
    "  has_schema_privilege(n.oid, 'USAGE')"
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u(s, t, ord)"
    " LEFT JOIN pg_namespace n ON n.nspname = u.s LEFT JOIN pg_class c"
    "  ON c.relnamespace = n.oid AND c.relname = u.t AND c.relkind IN ('r', 'p')";

/* Which of the destination's tables have rows; sql has a branch for some of them. */
static bool find_filled(struct preflight *k, struct buf *sql, struct err *err)
{
    struct pg_result *res = NULL;
    bool ok = !sql->len || read_steadily(k->dest, k->dest_task, &k->tries, PREFLIGHT_MS,
                                         buf_text(sql), 0, NULL, &res, err);
    for (size_t row = 0; ok && res && row < pg_rows(res); row++) {
        int64_t i = pg_int(res, row, 0);
        char *statement = mem_printf("TRUNCATE %s;", k->targets[i].dest_qualified);
        if (pg_bool(res, row, 1))
            preflight_item(k, i, k->targets[i].dest_qualified, NULL, statement);
        free(statement);
    }
    pg_free(res);
    buf_reset(sql);
    return ok;
}

/* present: the answer of dest_sql. */
static bool check_empty(struct preflight *k, const struct pg_result *present, struct err *err)
{
    struct buf sql = {0};
    bool ok = true;
    findings_begin(k->f, "destination_not_empty", SEVERITY_ERROR);
    for (size_t row = 0; ok && row < pg_rows(present); row++) {
        size_t i = (size_t)pg_int(present, row, 0);
        if (pg_bool(present, row, 2) && !k->targets[i].is_parent)
            buf_printf(&sql, "%sSELECT %zu, EXISTS (SELECT FROM %s)", sql.len ? " UNION ALL " : "",
                       i, k->targets[i].dest_qualified);
        if (row % SCHEMA_BRANCHES == SCHEMA_BRANCHES - 1)
            ok = find_filled(k, &sql, err);
    }
    ok = ok && find_filled(k, &sql, err);
    findings_end(k->f, "the destination has rows already",
                 "Empty the table, or create the mirror with do_initial_snapshot=false when the"
                 " rows are the source's.",
                 "");
    buf_free(&sql);
    return ok;
}

static bool ask_dest(struct preflight *k, struct pg_result **out, struct err *err)
{
    const char **cells = mem_calloc(2 * k->n + 1, sizeof *cells);
    struct buf schemas = {0}, tables = {0};
    for (size_t i = 0; i < k->n; i++) {
        cells[i] = k->targets[i].dest_schema;
        cells[k->n + i] = k->targets[i].dest_name;
    }
    pg_quote_array(&schemas, k->n, cells);
    pg_quote_array(&tables, k->n, cells + k->n);
    const char *values[] = {buf_text(&schemas), buf_text(&tables)};
    bool ok = read_steadily(k->dest, k->dest_task, &k->tries, PREFLIGHT_MS, dest_sql, 2, values,
                            out, err);
    buf_free(&schemas);
    buf_free(&tables);
    free(cells);
    return ok;
}

static void check_absent(struct preflight *k, const struct pg_result *res)
{
    findings_begin(k->f, "destination_table_missing", SEVERITY_ERROR);
    for (size_t row = 0; row < pg_rows(res); row++) {
        int64_t i = pg_int(res, row, 0);
        if (pg_is_null(res, row, 1))
            preflight_item(k, i, k->targets[i].dest_qualified, NULL, NULL);
    }
    findings_end(k->f, "the destination lacks tables", "",
                 "create them, or use do_initial_snapshot=true");
}

static void check_rights(struct preflight *k, const struct pg_result *res)
{
    const char *user = pg_rows(res) ? pg_text(res, 0, 6) : "";
    struct name_list closed = {0};
    findings_begin(k->f, "no_schema_right", SEVERITY_ERROR);
    for (size_t row = 0; k->c->do_initial_snapshot && row < pg_rows(res); row++) {
        const char *schema = pg_text(res, row, 5);
        bool is_first = !name_list_has(&closed, schema);
        char *statement = mem_printf("GRANT USAGE, CREATE ON SCHEMA %s TO %s;", schema, user);
        if (pg_bool(res, row, 4) && is_first)
            preflight_item(k, -1, schema, NULL, statement);
        if (pg_bool(res, row, 4) && is_first)
            name_list_add(&closed, mem_strdup(schema));
        if (pg_bool(res, row, 4))
            preflight_verdict(k, pg_int(res, row, 0));
        free(statement);
    }
    findings_end(k->f, "the destination's user may not create tables in schema", "", "");
    name_list_free(&closed);
    findings_begin(k->f, "no_write_right", SEVERITY_ERROR);
    for (size_t row = 0; row < pg_rows(res); row++) {
        int64_t i = pg_int(res, row, 0);
        const char *name = k->targets[i].dest_qualified;
        char *statement =
            mem_printf("GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON %s TO %s;", name, user);
        if (pg_bool(res, row, 3))
            preflight_item(k, i, name, NULL, statement);
        free(statement);
    }
    findings_end(k->f, "the destination's user may not write", "", "");
}

/* What fires on the rows of the mirror, though nobody has said that it shall. */
static bool check_triggers(struct preflight *k, struct err *err)
{
    const char **cells = mem_calloc(2 * k->n + 1, sizeof *cells);
    for (size_t i = 0; i < k->n; i++) {
        cells[i] = k->targets[i].dest_schema;
        cells[k->n + i] = k->targets[i].dest_name;
    }
    bool ok = schema_find_triggers(k->dest, k->dest_task, k->n, cells, cells + k->n, k->f, err);
    free(cells);
    return ok;
}

static bool check_dest(struct preflight *k, struct err *err)
{
    struct pg_result *res = NULL;
    if (!ask_dest(k, &res, err))
        return false;
    bool ok = true;
    check_rights(k, res);
    if (k->c->do_initial_snapshot)
        ok = check_empty(k, res, err);
    else
        check_absent(k, res);
    pg_free(res);
    return ok && check_triggers(k, err);
}

static bool database_identity(struct pg_conn *c, struct task *task, char **out, struct err *err)
{
    struct pg_result *res = NULL;
    if (!pg_exec(c, task, PREFLIGHT_MS,
                 "SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || oid"
                 " FROM pg_database WHERE datname = current_database()",
                 &res, err))
        return false;
    *out = mem_strdup(pg_text(res, 0, 0));
    pg_free(res);
    return true;
}

/* A copy of a server has its identifier too: the rows would go in circles only when the tables are
 * the same ones as well. */
static bool check_circle(struct preflight *k, struct err *err)
{
    char *a = NULL, *b = NULL;
    bool ok = database_identity(k->source, k->source_task, &a, err) &&
              database_identity(k->dest, k->dest_task, &b, err);
    findings_begin(k->f, "same_table", SEVERITY_ERROR);
    for (size_t i = 0; ok && strcmp(a, b) == 0 && i < k->n; i++)
        for (size_t s = 0; s < k->n; s++)
            if (strcmp(k->targets[i].dest_name, k->targets[s].name) == 0 &&
                strcmp(k->targets[i].dest_schema, k->targets[s].schema) == 0)
                preflight_item(k, (int64_t)i, k->targets[i].dest_qualified, NULL, NULL);
    findings_end(k->f, "source and destination are the same table of one database", "",
                 "choose other destination names, or another database");
    free(a);
    free(b);
    return ok;
}

static const char returns_known_sql[] =
    "SELECT count(*) = 2 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = '_bunnydb' AND c.relname IN ('progress', 'table_parts')"
    " AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')";
static const char returns_sql[] =
    "SELECT p.dest_schema, p.dest_name, p.detail, p.name, g.mirror FROM _bunnydb.progress g"
    " JOIN _bunnydb.table_parts p ON p.mirror_id = g.mirror_id AND p.kind = 't'"
    " WHERE concat(g.system_id, '/', g.database_oid) = $1";

static void tell_returns(struct preflight *k, const struct pg_result *res)
{
    for (size_t row = 0; row < pg_rows(res); row++)
        for (size_t i = 0; i < k->n; i++) {
            const struct target *t = &k->targets[i];
            if (strcmp(t->schema, pg_text(res, row, 0)) || strcmp(t->name, pg_text(res, row, 1)) ||
                strcmp(t->dest_schema, pg_text(res, row, 2)) ||
                strcmp(t->dest_name, pg_text(res, row, 3)))
                continue;
            char *note = mem_printf("by mirror %s", pg_text(res, row, 4));
            preflight_item(k, (int64_t)i, t->qualified, note, NULL);
            free(note);
        }
}

/* A mirror of these tables the other way round: each change would come back, for ever. What it
 * applies at the source is written down there. */
static bool check_return(struct preflight *k, struct err *err)
{
    struct pg_result *res = NULL;
    char *dest = NULL;
    const char *values[1];
    if (!read_steadily(k->source, k->source_task, &k->tries, PREFLIGHT_MS, returns_known_sql, 0,
                       NULL, &res, err))
        return false;
    bool is_known = pg_bool(res, 0, 0);
    pg_free(res);
    res = NULL;
    if (!is_known)
        return true;
    bool ok = database_identity(k->dest, k->dest_task, &dest, err);
    values[0] = dest;
    ok = ok && read_steadily(k->source, k->source_task, &k->tries, PREFLIGHT_MS, returns_sql, 1,
                             values, &res, err);
    findings_begin(k->f, "mirrored_back", SEVERITY_ERROR);
    if (ok)
        tell_returns(k, res);
    findings_end(k->f, "the source's tables are mirrors of these tables of the destination",
                 "Each change would go round in circles. Delete that mirror first.",
                 "delete the mirror that brings them, or choose other destination names");
    pg_free(res);
    free(dest);
    return ok;
}

/* The target at the destination of that name; -1: none. */
static int64_t find_dest(const struct preflight *k, const char *schema, const char *name)
{
    for (size_t i = 0; i < k->n; i++)
        if (strcmp(k->targets[i].dest_name, name) == 0 &&
            strcmp(k->targets[i].dest_schema, schema) == 0)
            return (int64_t)i;
    return -1;
}

/* The definitions of a mirror that exists may be older at the destination, and wait for a stream
 * that cannot begin before these tables are mapped. */
static bool compare(struct preflight *k, struct schema *s, struct err *err)
{
    struct book known;
    if (!book_read(k->dest, k->dest_task, k->mirror_id, &known, err))
        return false;
    struct present p = {.create = k->c->do_initial_snapshot,
                        .known = &known,
                        .exists = mem_calloc(s->n_before + 1, sizeof(bool))};
    bool ok = compare_objects(k->dest, k->dest_task, s, &p, err) &&
              compare_columns(k->dest, k->dest_task, s, &p, k->c->name, err) &&
              compare_layouts(k->dest, k->dest_task, s, &p, err) &&
              compare_indexes(k->dest, k->dest_task, s, &p, err);
    for (size_t i = 0; ok && i < p.problems.n; i++) {
        char *schema = p.places.items[2 * i], *name = p.places.items[2 * i + 1];
        char *place = mem_printf("%s%s%s", schema, *schema ? "." : "", name);
        preflight_item(k, find_dest(k, schema, name), place, p.problems.items[i], NULL);
        free(place);
    }
    present_free(&p);
    book_free(&known);
    return ok;
}

/* Where nothing is, nothing can be in the way: reading all definitions takes seconds with thousands
 * of tables. */
static bool is_bare(struct preflight *k)
{
    struct err ignored;
    struct pg_result *res = NULL;
    bool ok = pg_exec(k->dest, k->dest_task, PREFLIGHT_MS,
                      "SELECT NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n"
                      " ON n.oid = c.relnamespace WHERE " OF_USERS ") AND NOT EXISTS ("
                      "SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
                      " WHERE " OF_USERS ")",
                      &res, &ignored) &&
              pg_bool(res, 0, 0);
    pg_free(res);
    return ok;
}

/* What schema_create would refuse later, said before anything is made. */
static bool check_definitions(struct preflight *k, struct err *err)
{
    const struct mirror_config *c = k->c;
    struct schema *s = NULL;
    for (size_t i = 0; i < k->n; i++)
        if (!k->targets[i].oid)
            return true;
    if (k->is_report && is_bare(k))
        return true;
    bool snapshot = c->do_initial_snapshot;
    bool ok = schema_read_some(k->source, k->source_task, c, c->tables, c->n_tables,
                               snapshot && c->replicate_indexes,
                               snapshot && c->replicate_foreign_keys, false, &s, err);
    if (!ok && err->code != ERR_SCHEMA && err->code != ERR_INVALID)
        return false;
    struct finding *x = findings_begin(k->f, "schema_mismatch", SEVERITY_ERROR);
    if (!ok) {
        findings_item(x, "definitions", err->text, NULL);
        err_clear(err);
        ok = true;
    } else {
        ok = compare(k, s, err);
    }
    x = &k->f->items[k->f->n - 1];
    struct name_list notes = {0};
    for (size_t i = 0; i < x->n_items; i++)
        name_list_add(&notes, mem_strdup(x->items[i].note));
    char *cause = name_list_text(&notes, "; ", 380);
    findings_end(k->f, "the destination's definitions do not fit the source's", cause,
                 "change the destination as the cause says, or choose other destination names");
    free(cause);
    name_list_free(&notes);
    schema_free(s);
    return ok;
}

bool preflight_tables(struct preflight *k, struct err *err)
{
    if (!preflight_targets(k, err))
        return false;
    check_missing(k);
    if (!preflight_ask(k, k->source, k->source_task, table_questions, table_question_count, err) ||
        !preflight_names(k, err) || !preflight_needs(k, err))
        return false;
    return (!k->dest || preflight_go_on(k, check_circle(k, err), "both databases", err)) &&
           (!k->dest || preflight_go_on(k, check_return(k, err), "mirrors into the source", err)) &&
           (!k->dest || preflight_go_on(k, check_dest(k, err), "its tables", err)) &&
           (!k->dest || preflight_go_on(k, check_definitions(k, err), "definitions", err)) &&
           (!k->dest || !k->is_report ||
            preflight_go_on(k, preflight_order(k, err), "the order of text", err));
}

bool preflight_mirror(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                      const struct mirror_config *c, const char *mirror_id, struct findings *f,
                      struct err *err)
{
    struct preflight k = {.source = source,
                          .dest = dest,
                          .source_task = task,
                          .dest_task = task,
                          .c = c,
                          .mirror_id = mirror_id,
                          .f = f};
    bool ok = preflight_tables(&k, err) && (mirror_id || check_names(&k, err));
    preflight_free(&k);
    return ok || err_context(err, "preflight of the mirror");
}
