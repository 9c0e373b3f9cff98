/* Questions to both servers before a cutover; see ready.h. */
#include "schema/ready.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/preflight_private.h"
#include "schema/sequences_private.h"

#define READY_MS 15000 /* one question */

/* --- the source's database ---------------------------------------------------------------------
 */

bool ready_position(const struct ready *r, struct err *err)
{
    struct pg_result *res = NULL;
    if (!pg_exec(r->source, r->source_task, READY_MS,
                 "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                 " ELSE pg_current_wal_insert_lsn() END",
                 &res, err))
        return err_context(err, "ask the source for its position");
    r->out->lsn = pg_lsn(res, 0, 0);
    pg_free(res);
    return true;
}

static bool database_of(const struct ready *r, struct buf *quoted, struct err *err)
{
    struct pg_result *res = NULL;
    if (!pg_exec(r->source, r->source_task, READY_MS, "SELECT current_database()", &res, err))
        return false;
    pg_quote_ident(quoted, pg_text(res, 0, 0));
    pg_free(res);
    return true;
}

bool ready_set_read_only(const struct ready *r, bool on, struct err *err)
{
    struct buf name = {0};
    bool ok = database_of(r, &name, err);
    char *sql = mem_printf("ALTER DATABASE %s %s", buf_text(&name),
                           on ? "SET default_transaction_read_only = on"
                              : "RESET default_transaction_read_only");
    ok = ok && pg_exec(r->source, r->source_task, READY_MS, sql, NULL, err);
    if (!ok && err->sqlstate[0])
        err_hint(err, "The owner of the source's database, or a superuser, may run: %s;", sql);
    free(sql);
    buf_free(&name);
    return ok || err_context(err, "default_transaction_read_only at the source");
}

/* The database's own setting, and the roles whose own goes before it. */
static const char read_only_sql[] =
    "SELECT EXISTS (SELECT FROM pg_db_role_setting s, unnest(s.setconfig) v"
    "  WHERE s.setrole = 0 AND s.setdatabase = d.oid AND split_part(v, '=', 1) ="
    "  'default_transaction_read_only' AND split_part(v, '=', 2)::bool),"
    " (SELECT string_agg(quote_ident(g.rolname), ', ') FROM pg_db_role_setting s"
    "  JOIN pg_roles g ON g.oid = s.setrole, unnest(s.setconfig) v WHERE s.setdatabase = d.oid"
    "  AND split_part(v, '=', 1) = 'default_transaction_read_only'"
    "  AND NOT split_part(v, '=', 2)::bool)"
    " FROM pg_database d WHERE d.datname = current_database()";

bool ready_read_only(const struct ready *r, struct err *err)
{
    struct pg_result *res = NULL;
    struct buf name = {0};
    struct cutover *c = r->out;
    if (!database_of(r, &name, err) ||
        !pg_exec(r->source, r->source_task, READY_MS, read_only_sql, &res, err)) {
        buf_free(&name);
        return err_context(err, "ask whether the source only reads");
    }
    c->is_read_only = pg_bool(res, 0, 0);
    if (!c->is_read_only) {
        cutover_add(c, "read_only", CUTOVER_REMARK,
                    "New sessions may write at the source (--read-only ends that).");
    } else {
        /* In a database whose transactions only read, it takes one that does not. */
        c->undo = mem_printf("BEGIN READ WRITE; ALTER DATABASE %s RESET"
                             " default_transaction_read_only; COMMIT;",
                             buf_text(&name));
        struct cutover_check *k = cutover_add(
            c, "read_only", CUTOVER_OK,
            "New sessions at the source only read; sessions that exist go on as they are.");
        cutover_item(k, "undo", NULL, c->undo);
        if (!pg_is_null(res, 0, 1)) {
            k->state = CUTOVER_REMARK;
            cutover_item(k, pg_text(res, 0, 1), "roles with a setting of their own still write",
                         NULL);
        }
    }
    pg_free(res);
    buf_free(&name);
    return true;
}

/* --- who writes --------------------------------------------------------------------------------
 */

/* Whoever has written something in its transaction holds the lock of its number; pg_locks shows it
 * to everybody, while pg_stat_activity does not show everything. Our own sessions carry our name
 * and the source's user. */
static const char writers_sql[] =
    "SELECT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'transactionid'"
    "  AND l.mode = 'ExclusiveLock' AND l.granted) AS writes, format('session %s of %s', a.pid,"
    "  coalesce(quote_ident(a.usename), '?')), concat_ws(', ', 'application '"
    "  || nullif(a.application_name, ''), 'from ' || coalesce(host(a.client_addr), 'the same"
    " machine'), coalesce(a.state, 'its state is not shown to the peer''s user'),"
    "  'transaction since ' || date_trunc('second', a.xact_start)::text,"
    "  'last active ' || date_trunc('second', a.state_change)::text)"
    " FROM pg_stat_activity a WHERE a.datname = current_database()"
    " AND coalesce(a.backend_type, 'client backend') = 'client backend'"
    " AND a.pid <> pg_backend_pid() AND NOT (a.usename = current_user"
    "  AND a.application_name ~ '^bunnydb($|[ /])')"
    " UNION ALL SELECT true, format('prepared transaction %L of %I', p.gid, p.owner),"
    " 'since ' || date_trunc('second', p.prepared)::text FROM pg_prepared_xacts p"
    " WHERE p.database = current_database() ORDER BY 1 DESC, 2";

bool ready_writers(const struct ready *r, struct err *err)
{
    struct pg_result *res = NULL;
    size_t writing = 0;
    if (!pg_exec(r->source, r->source_task, READY_MS, writers_sql, &res, err))
        return err_context(err, "ask for the source's sessions");
    size_t n = pg_rows(res);
    for (size_t i = 0; i < n; i++)
        writing += pg_bool(res, i, 0);
    struct cutover_check *k =
        !n ? cutover_add(r->out, "writers", CUTOVER_OK,
                         "Nobody else is connected to the source's database.")
        : writing
            ? cutover_add(r->out, "writers", CUTOVER_NOT_YET,
                          "Open transactions that have written at the source: %zu (other sessions:"
                          " %zu).",
                          writing, n - writing)
            : cutover_add(r->out, "writers", CUTOVER_REMARK,
                          "Sessions at the source that write nothing now, and may: %zu.", n);
    for (size_t i = 0; i < n; i++) {
        char *note =
            mem_printf("%s%s", pg_bool(res, i, 0) ? "writes now, " : "", pg_text(res, i, 2));
        cutover_item(k, pg_text(res, i, 1), note, NULL);
        free(note);
    }
    pg_free(res);
    return true;
}

/* --- definitions -------------------------------------------------------------------------------
 */

/* Mapped tables with their partitions, numbered by mapping. */
#define WITH_TABLES                                                                      \
    "WITH RECURSIVE t(oid, i) AS (SELECT c.oid, x.i FROM unnest($1::text[], $2::text[])" \
    " WITH ORDINALITY x(s, t, i) JOIN pg_namespace n ON n.nspname = x.s JOIN pg_class c" \
    " ON c.relnamespace = n.oid AND c.relname = x.t UNION SELECT h.inhrelid, t.i FROM t" \
    " JOIN pg_inherits h ON h.inhparent = t.oid JOIN pg_class c ON c.oid = h.inhrelid"   \
    " AND c.relispartition)"

static const char invalid_sql[] =
    WITH_TABLES " SELECT format('%I.%I', n.nspname, x.relname), 'it is not valid',"
                " CASE WHEN x.relkind = 'i' THEN format('REINDEX INDEX CONCURRENTLY %I.%I;',"
                " n.nspname, x.relname) END, n.nspname, x.relname FROM t JOIN pg_index ix ON "
                "ix.indrelid = t.oid"
                " JOIN pg_class x ON x.oid = ix.indexrelid JOIN pg_namespace n"
                " ON n.oid = x.relnamespace WHERE NOT (ix.indisvalid AND ix.indisready) ORDER BY 1";

static const char unvalidated_sql[] =
    WITH_TABLES " SELECT t.i, k.conname, format('%I of %I.%I', k.conname, n.nspname, c.relname),"
                " format('ALTER TABLE %I.%I VALIDATE CONSTRAINT %I;', n.nspname, c.relname,"
                " k.conname) FROM t JOIN pg_constraint k ON k.conrelid = t.oid JOIN pg_class c"
                " ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE NOT k.convalidated ORDER BY 1, 2";

static const char identity_sql[] =
    WITH_TABLES " SELECT t.i, a.attname, format('%I.%I', n.nspname, c.relname), format('ALTER TABLE"
                " %I.%I ALTER COLUMN %I SET GENERATED ALWAYS;', n.nspname, c.relname, a.attname)"
                " FROM t JOIN pg_class c ON c.oid = t.oid AND NOT c.relispartition"
                " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a"
                " ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped"
                " WHERE a.attidentity = $3::\"char\" ORDER BY 1, 2";

/* Runs one of these at a side, whose names of the mapped tables are $1 and $2. */
static bool ask(const struct ready *r, bool of_dest, const char *sql, const char *third,
                struct pg_result **out, struct err *err)
{
    const struct mirror_config *c = r->config;
    const char **names[2] = {mem_calloc(c->n_tables + 1, sizeof(char *)),
                             mem_calloc(c->n_tables + 1, sizeof(char *))};
    struct buf arrays[2] = {{0}};
    for (size_t i = 0; i < c->n_tables; i++) {
        names[0][i] = of_dest ? c->tables[i].dest_schema : c->tables[i].source_schema;
        names[1][i] = of_dest ? c->tables[i].dest_table : c->tables[i].source_table;
    }
    for (int k = 0; k < 2; k++)
        pg_quote_array(&arrays[k], c->n_tables, names[k]);
    const char *values[] = {buf_text(&arrays[0]), buf_text(&arrays[1]), third};
    bool ok = pg_exec_params(of_dest ? r->dest : r->source, of_dest ? r->dest_task : r->source_task,
                             READY_MS, sql, third ? 3 : 2, values, out, err);
    for (int k = 0; k < 2; k++) {
        buf_free(&arrays[k]);
        free(names[k]);
    }
    return ok;
}

/* A row of the same table (by mapping) and name. */
static bool has_row(const struct pg_result *res, const struct pg_result *like, size_t row)
{
    for (size_t i = 0; i < pg_rows(res); i++)
        if (pg_int(res, i, 0) == pg_int(like, row, 0) &&
            !strcmp(pg_text(res, i, 1), pg_text(like, row, 1)))
            return true;
    return false;
}

static bool is_open(const struct schema_step *s, enum step_about about)
{
    return s->about == about && (s->kind != STEP_NOTE || schema_step_is_left_out(s));
}

static struct cutover_check *add_steps(const struct ready *r, const struct schema_plan *plan,
                                       enum step_about about, const char *name, const char *good)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->n; i++)
        n += is_open(&plan->items[i], about);
    struct cutover_check *k =
        n ? cutover_add(r->out, name, CUTOVER_CANNOT,
                        "Not as at the source: %zu; sync-schema runs what can be run.", n)
          : cutover_add(r->out, name, CUTOVER_OK, "%s", good);
    for (size_t i = 0; i < plan->n; i++) {
        const struct schema_step *s = &plan->items[i];
        if (is_open(s, about))
            cutover_item(k, s->what, s->why, s->sql);
    }
    return k;
}

static void add_item(struct cutover_check *k, const char *name, const char *note,
                     const char *statement)
{
    k->state = CUTOVER_CANNOT;
    cutover_item(k, name, note, statement);
}

static void retitle(struct cutover_check *k, const char *text)
{
    free(k->text);
    k->text = mem_strdup(text);
}

/* A step drops it, or makes it anew: that is all there is to do. */
static bool is_in_plan(const struct schema_plan *plan, const char *schema, const char *name)
{
    struct buf index = {0};
    bool found = false;
    pg_quote_qualified(&index, schema, name);
    for (size_t i = 0; i < plan->n && !found; i++) {
        const struct schema_step *s = &plan->items[i];
        found = is_open(s, STEP_ABOUT_INDEX) && s->sql && strstr(s->sql, buf_text(&index));
    }
    buf_free(&index);
    return found;
}

static bool add_indexes(const struct ready *r, const struct schema_plan *plan, struct err *err)
{
    struct pg_result *res = NULL;
    struct cutover_check *k = add_steps(r, plan, STEP_ABOUT_INDEX, "indexes",
                                        "All of the source's are there, and valid.");
    if (!ask(r, true, invalid_sql, NULL, &res, err))
        return err_context(err, "ask for the destination's indexes");
    if (pg_rows(res) && k->state == CUTOVER_OK)
        retitle(k, "Indexes at the destination are not valid.");
    for (size_t i = 0; i < pg_rows(res); i++) {
        bool is_known = is_in_plan(plan, pg_text(res, i, 3), pg_text(res, i, 4));
        add_item(k, pg_text(res, i, 0), pg_text(res, i, 1), is_known ? NULL : pg_text(res, i, 2));
    }
    pg_free(res);
    return true;
}

static bool add_constraints(const struct ready *r, const struct schema_plan *plan, struct err *err)
{
    struct pg_result *here = NULL, *there = NULL;
    bool is_new = true;
    struct cutover_check *k = add_steps(r, plan, STEP_ABOUT_CONSTRAINT, "constraints",
                                        "All of the source's are there, and validated.");
    bool ok = ask(r, true, unvalidated_sql, NULL, &here, err) &&
              ask(r, false, unvalidated_sql, NULL, &there, err);
    for (size_t i = 0; ok && i < pg_rows(here); i++) {
        if (has_row(there, here, i))
            continue; /* nor is the source's */
        if (is_new && k->state == CUTOVER_OK)
            retitle(k, "Constraints at the destination are not validated.");
        is_new = false;
        add_item(k, pg_text(here, i, 2), "it is NOT VALID", pg_text(here, i, 3));
    }
    pg_free(here);
    pg_free(there);
    return ok || err_context(err, "ask for constraints");
}

bool ready_definitions(const struct ready *r, struct err *err)
{
    struct mirror_config all = *r->config; /* borrowed contents */
    struct schema_plan plan = {0};
    all.replicate_indexes = all.replicate_foreign_keys = true;
    if (!schema_diff(r->source, r->dest, r->source_task, &all, r->mirror_id, &plan, err))
        return false;
    add_steps(r, &plan, STEP_ABOUT_DEFINITION, "definitions", "They are those of the source.");
    bool ok = add_indexes(r, &plan, err) && add_constraints(r, &plan, err);
    schema_plan_free(&plan);
    return ok;
}

bool ready_identity(const struct ready *r, struct err *err)
{
    struct pg_result *here = NULL, *there = NULL;
    struct cutover_check *k = NULL;
    bool ok = ask(r, true, identity_sql, "d", &here, err) &&
              ask(r, false, identity_sql, "a", &there, err);
    for (size_t i = 0; ok && i < pg_rows(here); i++) {
        if (!has_row(there, here, i))
            continue;
        if (!k)
            k = cutover_add(r->out, "identity", CUTOVER_REMARK,
                            "Identity columns that are ALWAYS at the source are BY DEFAULT while"
                            " the mirror writes them; once it is paused:");
        cutover_item(k, pg_text(here, i, 2), pg_text(here, i, 1), pg_text(here, i, 3));
    }
    if (ok && !k)
        cutover_add(r->out, "identity", CUTOVER_OK, "Identity columns are those of the source.");
    pg_free(here);
    pg_free(there);
    return ok || err_context(err, "ask for identity columns");
}

/* --- sequences ---------------------------------------------------------------------------------
 */

/* One that is further on at the destination steps over values that nobody may use again. */
static void judge_sequence(const struct followed *f, struct cutover_check *k, size_t *behind,
                           size_t *left_out)
{
    char note[160];
    if (!sequences_is_followed(f)) {
        cutover_item(k, f->name, f->dest_oid ? "it may not be read and set" : "no counterpart",
                     NULL);
        ++*left_out;
        return;
    }
    enum sequence_step step =
        sequence_decide(f->is_descending, &f->source, &f->dest_value, &f->kept);
    if (step == SEQUENCE_SAME)
        return;
    *behind += step != SEQUENCE_LEAVE;
    str_printf(note, sizeof note, "%lld at the source, %lld at the destination%s",
               (long long)f->source.last, (long long)f->dest_value.last,
               step == SEQUENCE_LEAVE ? ", which is further on" : "");
    cutover_item(k, f->name, note, NULL);
}

bool ready_sequences(const struct ready *r, struct err *err)
{
    const struct mirror_config *c = r->config;
    struct sequences_owner owner = {.mirror = c->name, .mirror_id = r->mirror_id};
    struct schema *s = NULL;
    size_t behind = 0, left_out = 0;
    if (!schema_read(r->source, r->source_task, c->tables, c->n_tables, false, false, false, &s,
                     err))
        return false;
    struct sequences *q = sequences_new(s, &owner, false);
    bool ok = sequences_look(q, r->source, r->dest, r->source_task, err);
    if (ok) {
        struct cutover_check *k = cutover_add(r->out, "sequences", CUTOVER_OK,
                                              "Values are the source's: %zu sequences.", q->n);
        for (size_t i = 0; i < q->n; i++)
            judge_sequence(&q->items[i], k, &behind, &left_out);
        char text[160];
        str_printf(text, sizeof text, "Values are not the source's yet: %zu sequences.", behind);
        k->state = behind ? CUTOVER_NOT_YET : k->n_items ? CUTOVER_REMARK : CUTOVER_OK;
        if (behind)
            retitle(k, text);
        else if (k->n_items)
            retitle(k, "Values of these sequences are not the source's, and do not follow it.");
    }
    sequences_free(q);
    schema_free(s);
    return ok || err_context(err, "compare sequences");
}

/* --- what no mirror carries --------------------------------------------------------------------
 */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static bool is_left_out(const struct question *q)
{
    return ends_with(q->code, "_not_mirrored") || !strcmp(q->code, "large_objects") ||
           !strcmp(q->code, "other_objects");
}

static bool ask_left_out(struct preflight *k, const struct question *questions, size_t n,
                         struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (is_left_out(&questions[i]) &&
            !preflight_ask(k, k->source, k->source_task, &questions[i], 1, err))
            return false;
    return true;
}

/* "7: public.a, public.b, …" */
static char *list_names(const struct finding *f)
{
    struct buf b = {0};
    buf_printf(&b, "%zu: ", f->n_items);
    for (size_t i = 0; i < f->n_items && i < 5; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", f->items[i].name);
    if (f->n_items > 5)
        buf_puts(&b, ", …");
    return buf_take(&b);
}

bool ready_objects(const struct ready *r, struct err *err)
{
    struct findings f = {0};
    size_t n = 0;
    struct preflight k = {.source = r->source,
                          .source_task = r->source_task,
                          .c = r->config,
                          .f = &f,
                          .is_report = true};
    findings_begin(&k.refused, "no_answer", SEVERITY_INFO);
    bool ok = preflight_targets(&k, err) &&
              ask_left_out(&k, table_questions, table_question_count, err) &&
              ask_left_out(&k, object_questions, object_question_count, err);
    for (size_t i = 0; i < f.n; i++)
        n += f.items[i].n_items;
    if (ok) {
        struct cutover_check *c =
            n ? cutover_add(r->out, "objects", CUTOVER_REMARK,
                            "Objects of the source that no mirror carries: %zu (bunnydb check names"
                            " all of them).",
                            n)
              : cutover_add(r->out, "objects", CUTOVER_OK,
                            "The source has nothing beside its tables that is not mirrored.");
        for (size_t i = 0; i < f.n; i++) {
            char *names = list_names(&f.items[i]);
            cutover_item(c, f.items[i].code, names, NULL);
            free(names);
        }
    }
    preflight_free(&k);
    findings_free(&k.refused);
    findings_free(&f);
    return ok || err_context(err, "ask what is not mirrored");
}
