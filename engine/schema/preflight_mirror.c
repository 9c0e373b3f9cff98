/* Can this one mirror be made: its tables at both servers, its slot and publication. All tables
 * with the same trouble share one finding. */
#include "schema/schema_private.h"

#include <stdlib.h>
#include <string.h>

#define PREFLIGHT_MS 10000

/* A relation that the mirror carries: a mapped one or a partition of it. */
struct target {
    char *qualified; /* at the source, quoted where needed */
    char *schema, *name, *dest_schema, *dest_name;
    char *dest_qualified;
    bool is_parent;
};

struct check {
    struct pg_conn *source, *dest;
    struct task *task;
    const struct mirror_config *c;
    bool is_new; /* slot and publication are not its own yet */
    struct findings *f;
    struct target *targets;
    size_t n, cap;
    struct name_list missing, no_select, not_owned, no_identity, unlogged, secured, key_excluded,
        foreign;
};

static const char source_sql[] =
    "WITH RECURSIVE m AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[],"
    "  $5::text[]) WITH ORDINALITY AS m(s, t, ds, dt, ex, ord)), " PARTITION_HOMES ","
    " tree(ord, oid, s, mds, ds, dn, ex) AS ("
    " SELECT m.ord, c.oid, m.s, m.ds, m.ds COLLATE \"C\", m.dt COLLATE \"C\", m.ex FROM m"
    "  LEFT JOIN pg_namespace n ON n.nspname = m.s LEFT JOIN pg_class c"
    "  ON c.relnamespace = n.oid AND c.relname = m.t AND c.relkind IN ('r', 'p') UNION ALL"
    " SELECT tree.ord, c.oid, tree.s, tree.mds, " PARTITION_HOME(
        "tree") ", c.relname::text,"
                "  tree.ex FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid JOIN pg_class c"
                "  ON c.oid = i.inhrelid AND c.relispartition AND c.relkind IN ('r', 'p', 'f')"
                "  JOIN pg_namespace n ON n.oid = c.relnamespace)"
                " SELECT tree.ord - 1, coalesce(n.nspname, m.s), coalesce(c.relname, m.t), "
                "tree.ds, tree.dn,"
                " format('%I.%I', coalesce(n.nspname, m.s), coalesce(c.relname, m.t)),"
                " format('%I.%I', tree.ds, tree.dn), c.oid IS NULL, coalesce(c.relkind = 'p', "
                "false),"
                " has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),"
                " pg_has_role(c.relowner, 'USAGE'), c.relpersistence = 'u', "
                "row_security_active(c.oid),"
                " c.relkind = 'p' OR c.relreplident = 'f' OR EXISTS (SELECT FROM pg_index x"
                "  WHERE x.indrelid = c.oid AND x.indimmediate AND x.indisvalid"
                "  AND CASE c.relreplident WHEN 'd' THEN x.indisprimary WHEN 'i' THEN "
                "x.indisreplident"
                "  ELSE false END),"
                " EXISTS (SELECT FROM pg_index x JOIN pg_attribute a ON a.attrelid = c.oid"
                "  AND a.attnum = ANY (x.indkey::int2[]) WHERE x.indrelid = c.oid AND CASE "
                "c.relreplident"
                "  WHEN 'd' THEN x.indisprimary WHEN 'i' THEN x.indisreplident ELSE false END"
                "  AND a.attname = ANY (tree.ex::text[])), coalesce(c.relkind = 'f', false)"
                " FROM tree JOIN m ON m.ord = tree.ord LEFT JOIN pg_class c ON c.oid = tree.oid"
                " LEFT JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY tree.ord, 2, 3";

static bool ask_source(struct check *k, struct pg_result **out, struct err *err)
{
    size_t n = k->c->n_tables;
    struct buf arrays[5] = {{0}};
    const char *values[5];
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
    bool ok = pg_exec_params(k->source, k->task, PREFLIGHT_MS, source_sql, 5, values, out, err);
    for (size_t a = 0; a < 5; a++)
        buf_free(&arrays[a]);
    for (size_t i = 0; i < n; i++)
        buf_free(&excludes[i]);
    free(excludes);
    free(cells);
    return ok;
}

static void take_target(struct check *k, const struct pg_result *res, size_t row)
{
    const char *name = pg_text(res, row, 5);
    if (pg_bool(res, row, 15)) {
        name_list_add(&k->foreign, mem_strdup(name));
        return;
    }
    struct target t = {.schema = read_text(res, row, 1),
                       .name = read_text(res, row, 2),
                       .dest_schema = read_text(res, row, 3),
                       .dest_name = read_text(res, row, 4),
                       .qualified = mem_strdup(name),
                       .dest_qualified = read_text(res, row, 6),
                       .is_parent = pg_bool(res, row, 8)};
    MEM_PUSH(k->targets, k->n, k->cap, t);
    const struct {
        bool wrong;
        struct name_list *list;
    } checks[] = {
        {pg_bool(res, row, 7), &k->missing},
        {!pg_bool(res, row, 7) && !pg_bool(res, row, 9), &k->no_select},
        {!pg_bool(res, row, 7) && !pg_bool(res, row, 10), &k->not_owned},
        {pg_bool(res, row, 11), &k->unlogged},
        {pg_bool(res, row, 12), &k->secured},
        {!pg_bool(res, row, 7) && !pg_bool(res, row, 13), &k->no_identity},
        {pg_bool(res, row, 14), &k->key_excluded},
    };
    for (size_t i = 0; i < COUNT_OF(checks); i++)
        if (checks[i].wrong)
            name_list_add(checks[i].list, mem_strdup(name));
}

/* One finding for all tables of a list: remedy is prefix, a name (or all of them), suffix, for each
 * table when each is to be a statement of its own. */
static void report(struct check *k, const struct name_list *l, const char *code, const char *title,
                   const char *prefix, const char *suffix, bool each)
{
    if (l->n == 0)
        return;
    char full[160];
    char *names = name_list_text(l, ", ", 380);
    struct buf remedy = {0};
    if (l->n == 1)
        str_printf(full, sizeof full, "%s: %.90s", title, names);
    else
        str_printf(full, sizeof full, "%s: %zu of them", title, l->n);
    if (each) {
        for (size_t i = 0; i < l->n && remedy.len < 400; i++)
            buf_printf(&remedy, "%s%s%s%s", i ? " " : "", prefix, l->items[i], suffix);
    } else {
        buf_printf(&remedy, "%s%s%s", prefix, names, suffix);
    }
    findings_add(k->f, code, SEVERITY_ERROR, full, names, buf_text(&remedy), "");
    free(names);
    buf_free(&remedy);
}

static void report_source(struct check *k, const char *user)
{
    char to[2 * NAME_SIZE + 16];
    str_printf(to, sizeof to, " TO %s;", user);
    report(k, &k->missing, "source_table_missing", "no such table at the source", "",
           ": check the names (upper and lower case count)", false);
    report(k, &k->no_select, "no_select_right", "the source's user may not read",
           "GRANT SELECT ON ", to, false);
    str_printf(to, sizeof to, " OWNER TO %s;", user);
    report(k, &k->not_owned, "table_owner",
           "only the owner can publish, and the source's user is not the owner", "ALTER TABLE ", to,
           true);
    report(k, &k->unlogged, "unlogged_table", "an unlogged table cannot be published",
           "ALTER TABLE ", " SET LOGGED;", true);
    report(k, &k->foreign, "foreign_partition", "a partition that is a foreign table has no WAL",
           "map the other partitions by themselves, without ", "", false);
    report(k, &k->secured, "row_security", "row level security hides rows from the source's user",
           "ALTER ROLE … BYPASSRLS; or leave out ", "", false);
    report(k, &k->no_identity, "no_replica_identity",
           "no primary key or replica identity for updates and deletes", "ALTER TABLE ",
           " REPLICA IDENTITY FULL;", true);
    report(k, &k->key_excluded, "excluded_key",
           "an excluded column belongs to the replica identity", "do not exclude key columns of ",
           "", false);
}

static const char names_sql[] =
    "SELECT quote_ident(current_user), EXISTS (SELECT FROM pg_replication_slots"
    "  WHERE slot_name = $1), EXISTS (SELECT FROM pg_publication WHERE pubname = $2),"
    " quote_literal($1), quote_ident($2), (SELECT active_pid FROM pg_replication_slots"
    "  WHERE slot_name = $1)";

static bool check_source(struct check *k, struct err *err)
{
    struct pg_result *res = NULL, *names = NULL;
    const char *values[] = {k->c->slot, k->c->publication};
    bool ok = ask_source(k, &res, err) &&
              pg_exec_params(k->source, k->task, PREFLIGHT_MS, names_sql, 2, values, &names, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++)
        take_target(k, res, row);
    if (ok)
        report_source(k, pg_text(names, 0, 0));
    char remedy[300];
    if (ok && k->is_new && pg_bool(names, 0, 1)) {
        str_printf(remedy, sizeof remedy,
                   "SELECT pg_drop_replication_slot(%s); when nobody needs it, or choose another"
                   " slot name",
                   pg_text(names, 0, 3));
        findings_add(k->f, "slot_exists", SEVERITY_ERROR, "the source has a slot of that name",
                     pg_is_null(names, 0, 5) ? "it is not in use now" : "it is in use", remedy, "");
    }
    if (ok && k->is_new && pg_bool(names, 0, 2)) {
        str_printf(remedy, sizeof remedy,
                   "DROP PUBLICATION %s; when nobody needs it, or choose another name",
                   pg_text(names, 0, 4));
        findings_add(k->f, "publication_exists", SEVERITY_ERROR,
                     "the source has a publication of that name", "", remedy, "");
    }
    pg_free(res);
    pg_free(names);
    return ok;
}

/* Values that the mirror could not let follow: no reason to refuse it. */
static const char sequences_sql[] =
    "WITH t AS (SELECT c.oid FROM unnest($1::text[], $2::text[]) u(s, t) JOIN pg_namespace n"
    "  ON n.nspname = u.s JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.t)"
    " SELECT format('%I.%I', n.nspname, c.relname), quote_ident(current_user) FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S'"
    " AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(c.oid, 'SELECT'))"
    " AND (EXISTS (SELECT FROM pg_depend d JOIN t ON t.oid = d.refobjid WHERE d.objid = c.oid"
    "  AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
    "  AND d.deptype IN ('a', 'i')) OR EXISTS (SELECT FROM pg_attrdef a JOIN t"
    "  ON t.oid = a.adrelid JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass"
    "  AND d.objid = a.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid))"
    " ORDER BY 1";

static bool check_sequences(struct check *k, struct err *err)
{
    struct buf arrays[2] = {{0}};
    struct name_list names = {0};
    struct pg_result *res = NULL;
    const char **cells = mem_calloc(2 * k->n + 1, sizeof *cells);
    for (size_t i = 0; i < k->n; i++) {
        cells[i] = k->targets[i].schema;
        cells[k->n + i] = k->targets[i].name;
    }
    pg_quote_array(&arrays[0], k->n, cells);
    pg_quote_array(&arrays[1], k->n, cells + k->n);
    const char *values[] = {buf_text(&arrays[0]), buf_text(&arrays[1])};
    bool ok = pg_exec_params(k->source, k->task, PREFLIGHT_MS, sequences_sql, 2, values, &res, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++)
        name_list_add(&names, read_text(res, row, 0));
    if (names.n) {
        char *cause = name_list_text(&names, ", ", 380);
        char *remedy = mem_printf("At the source: GRANT SELECT ON SEQUENCE %s TO %s; and USAGE on "
                                  "their schemas.",
                                  cause, pg_text(res, 0, 1));
        findings_add(k->f, "sequence_rights", SEVERITY_WARNING,
                     "the source's user may not read sequences: their values do not follow", cause,
                     remedy, "");
        free(cause);
        free(remedy);
    }
    name_list_free(&names);
    pg_free(res);
    free(cells);
    buf_free(&arrays[0]);
    buf_free(&arrays[1]);
    return ok;
}

static const char dest_sql[] =
    "SELECT u.ord - 1, c.relkind, c.oid IS NOT NULL AND has_schema_privilege(n.oid, 'USAGE')"
    "  AND has_table_privilege(c.oid, 'SELECT'),"
    " c.oid IS NOT NULL AND NOT (has_schema_privilege(n.oid, 'USAGE')"
    "  AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')"
    "  AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')"
    "  AND has_table_privilege(c.oid, 'TRUNCATE')),"
    " c.oid IS NULL AND n.oid IS NOT NULL AND NOT has_schema_privilege(n.oid, 'USAGE, CREATE'),"
    " quote_ident(u.s), quote_ident(current_user)"
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u(s, t, ord)"
    " LEFT JOIN pg_namespace n ON n.nspname = u.s LEFT JOIN pg_class c"
    "  ON c.relnamespace = n.oid AND c.relname = u.t AND c.relkind IN ('r', 'p')";

/* Which of the destination's tables have rows; sql has a branch for some of them. */
static bool find_filled(struct check *k, struct buf *sql, struct name_list *filled, struct err *err)
{
    struct pg_result *res = NULL;
    bool ok = !sql->len || pg_exec(k->dest, k->task, PREFLIGHT_MS, buf_text(sql), &res, err);
    for (size_t row = 0; ok && res && row < pg_rows(res); row++)
        if (pg_bool(res, row, 1))
            name_list_add(filled, mem_strdup(k->targets[pg_int(res, row, 0)].dest_qualified));
    pg_free(res);
    buf_reset(sql);
    return ok;
}

/* present: the answer of dest_sql. */
static bool check_empty(struct check *k, const struct pg_result *present, struct err *err)
{
    struct name_list filled = {0};
    struct buf sql = {0};
    bool ok = true;
    for (size_t row = 0; ok && row < pg_rows(present); row++) {
        size_t i = (size_t)pg_int(present, row, 0);
        if (pg_bool(present, row, 2) && !k->targets[i].is_parent)
            buf_printf(&sql, "%sSELECT %zu, EXISTS (SELECT FROM %s)", sql.len ? " UNION ALL " : "",
                       i, k->targets[i].dest_qualified);
        if (row % SCHEMA_BRANCHES == SCHEMA_BRANCHES - 1)
            ok = find_filled(k, &sql, &filled, err);
    }
    ok = ok && find_filled(k, &sql, &filled, err);
    report(k, &filled, "destination_not_empty", "the destination has rows already", "TRUNCATE ",
           "; or create the mirror with do_initial_snapshot=false", false);
    name_list_free(&filled);
    buf_free(&sql);
    return ok;
}

static bool ask_dest(struct check *k, struct pg_result **out, struct err *err)
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
    bool ok = pg_exec_params(k->dest, k->task, PREFLIGHT_MS, dest_sql, 2, values, out, err);
    buf_free(&schemas);
    buf_free(&tables);
    free(cells);
    return ok;
}

static bool check_dest(struct check *k, struct err *err)
{
    struct pg_result *res = NULL;
    struct name_list absent = {0}, no_right = {0}, closed = {0};
    bool ok = ask_dest(k, &res, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++) {
        size_t i = (size_t)pg_int(res, row, 0);
        if (pg_is_null(res, row, 1))
            name_list_add(&absent, mem_strdup(k->targets[i].dest_qualified));
        if (pg_bool(res, row, 3))
            name_list_add(&no_right, mem_strdup(k->targets[i].dest_qualified));
        if (pg_bool(res, row, 4) && !name_list_has(&closed, pg_text(res, row, 5)))
            name_list_add(&closed, mem_strdup(pg_text(res, row, 5)));
    }
    char to[2 * NAME_SIZE + 16];
    str_printf(to, sizeof to, " TO %s;", ok && pg_rows(res) ? pg_text(res, 0, 6) : "");
    if (ok && k->c->do_initial_snapshot)
        report(k, &closed, "no_schema_right",
               "the destination's user may not create tables in schema",
               "GRANT USAGE, CREATE ON SCHEMA ", to, false);
    if (ok && !k->c->do_initial_snapshot)
        report(k, &absent, "destination_table_missing", "the destination lacks tables",
               "create them, or use do_initial_snapshot=true: ", "", false);
    report(k, &no_right, "no_write_right", "the destination's user may not write",
           "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ", to, false);
    if (ok && k->c->do_initial_snapshot)
        ok = check_empty(k, res, err);
    name_list_free(&absent);
    name_list_free(&no_right);
    name_list_free(&closed);
    pg_free(res);
    return ok;
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
static bool check_circle(struct check *k, struct err *err)
{
    char *a = NULL, *b = NULL;
    struct name_list same = {0};
    bool ok = database_identity(k->source, k->task, &a, err) &&
              database_identity(k->dest, k->task, &b, err);
    for (size_t i = 0; ok && strcmp(a, b) == 0 && i < k->n; i++)
        for (size_t s = 0; s < k->n; s++)
            if (strcmp(k->targets[i].dest_name, k->targets[s].name) == 0 &&
                strcmp(k->targets[i].dest_schema, k->targets[s].schema) == 0)
                name_list_add(&same, mem_strdup(k->targets[i].dest_qualified));
    report(k, &same, "same_table", "source and destination are the same table of one database",
           "choose other destination names, or another database, for ", "", false);
    name_list_free(&same);
    free(a);
    free(b);
    return ok;
}

/* What schema_create would refuse later, said before anything is made. */
static bool check_definitions(struct check *k, struct err *err)
{
    const struct mirror_config *c = k->c;
    struct schema *s = NULL;
    if (k->missing.n > 0)
        return true;
    bool snapshot = c->do_initial_snapshot;
    bool ok =
        schema_read(k->source, k->task, c->tables, c->n_tables, snapshot && c->replicate_indexes,
                    snapshot && c->replicate_foreign_keys, false, &s, err);
    if (!ok && err->code != ERR_SCHEMA && err->code != ERR_INVALID)
        return false;
    struct name_list wrong = {0};
    struct present p = {.create = snapshot};
    if (!ok) {
        name_list_add(&wrong, mem_strdup(err->text));
        err_clear(err);
        ok = true;
    } else {
        p.exists = mem_calloc(s->n_before + 1, sizeof *p.exists);
        ok = compare_objects(k->dest, k->task, s, &p, err) &&
             compare_columns(k->dest, k->task, s, &p, c->name, err) &&
             compare_indexes(k->dest, k->task, s, &p, err);
    }
    struct name_list *found = wrong.n ? &wrong : &p.problems;
    char *text = name_list_text(found, "; ", 380);
    if (ok && found->n > 0)
        findings_add(k->f, "schema_mismatch", SEVERITY_ERROR,
                     "the destination's definitions do not fit the source's", text,
                     "change the destination as the cause says, or choose other destination names",
                     "");
    free(text);
    name_list_free(&wrong);
    name_list_free(&p.problems);
    name_list_free(&p.missing);
    free(p.exists);
    schema_free(s);
    return ok;
}

static void check_free(struct check *k)
{
    for (size_t i = 0; i < k->n; i++) {
        free(k->targets[i].qualified);
        free(k->targets[i].schema);
        free(k->targets[i].name);
        free(k->targets[i].dest_schema);
        free(k->targets[i].dest_name);
        free(k->targets[i].dest_qualified);
    }
    free(k->targets);
    struct name_list *lists[] = {&k->missing,  &k->no_select, &k->not_owned,    &k->no_identity,
                                 &k->unlogged, &k->secured,   &k->key_excluded, &k->foreign};
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        name_list_free(lists[i]);
}

bool preflight_mirror(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                      const struct mirror_config *c, bool is_new, struct findings *f,
                      struct err *err)
{
    struct check k = {
        .source = source, .dest = dest, .task = task, .c = c, .is_new = is_new, .f = f};
    bool ok = check_source(&k, err) && check_sequences(&k, err) && check_circle(&k, err) &&
              check_dest(&k, err) && check_definitions(&k, err);
    check_free(&k);
    return ok || err_context(err, "preflight of the mirror");
}
