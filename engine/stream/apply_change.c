/* Relations bound to their targets, and changes turned into statements; see apply.h. */
#include "stream/apply_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/places.h"

/* --- relations ------------------------------------------------------------------------------- */

/* By its name only when nothing has that OID: the message has the name of its place in the stream,
 * which may be another table's by now. */
int apply_find_table(const struct apply *a, const struct pgo_message *m)
{
    const struct schema *s = a->o.schema;
    for (size_t i = 0; i < s->n_tables; i++)
        if (s->tables[i].oid == m->relation)
            return (int)i;
    for (size_t i = 0; i < s->n_tables; i++)
        if (!strcmp(s->tables[i].name, m->table) && !strcmp(s->tables[i].schema, m->schema))
            return (int)i;
    return -1;
}

struct target *apply_find_target(struct apply *a, uint32_t oid)
{
    if (a->found < a->n_targets && a->targets[a->found]->oid == oid)
        return a->targets[a->found];
    for (size_t i = 0; i < a->n_targets; i++)
        if (a->targets[i]->oid == oid) {
            a->found = i;
            return a->targets[i];
        }
    return NULL;
}

/* The server keeps prepared statements as long as the session. */
static bool release_statements(struct apply *a, const struct target *t, struct err *err)
{
    struct buf sql = {0};
    for (size_t i = 0; i < t->n_statements; i++)
        buf_printf(&sql, "DEALLOCATE %s;", t->statements[i]->name);
    bool ok = pg_exec(a->dest, a->task, DRAIN_LIMIT_MS, buf_text(&sql), NULL, err);
    buf_free(&sql);
    return ok;
}

/* Leaves the pipeline for a moment, empty. old: the binding that the new one replaces, or NULL. */
static bool read_dest(struct apply *a, const struct schema_table *t, const struct target *old,
                      struct dest_table *d, struct err *err)
{
    if (!apply_drain(a, err) || !pg_pipe_leave(a->dest, err))
        return false;
    if (old && old->n_statements && !release_statements(a, old, err))
        return false;
    if (!schema_read_dest(a->dest, a->task, t->dest_schema, t->dest_name, d, err))
        return err_context(err, "read the definition of %s.%s", t->dest_schema, t->dest_name);
    if (pg_pipe_enter(a->dest, err))
        return true;
    dest_table_free(d);
    return false;
}

/* The source tells a relation's definition again whenever something about the table may have
 * changed (each ANALYZE does): the new binding takes the place of the old one, which nothing under
 * way refers to any more. */
static void keep_target(struct apply *a, struct target *t)
{
    if ((size_t)t->number < a->n_targets) {
        target_free(a->targets[t->number]);
        a->targets[t->number] = t;
    } else {
        MEM_PUSH(a->targets, a->n_targets, a->cap_targets, t);
    }
    if (3 * t->n_columns > a->cap_params) {
        a->cap_params = 3 * t->n_columns;
        a->params = mem_realloc(a->params, a->cap_params * sizeof *a->params);
    }
}

struct adapt_place apply_place(const struct apply *a)
{
    return (struct adapt_place){.dest = a->dest,
                                .task = a->task,
                                .mirror = a->o.mirror,
                                .mirror_id = a->o.mirror_id,
                                .schema = a->o.schema,
                                .lsn = a->replayed_at ? a->replayed_at : a->reading};
}

/* The definition changes here: so does the destination's, in the transaction that is open. It
 * counts as a change, so that the transaction is not taken for an empty one. */
static bool follow(struct apply *a, const struct pgo_message *m, int index, struct err *err)
{
    struct adapt_place place = apply_place(a);
    if (!apply_ensure_open(a, err) || !apply_drain(a, err) || !pg_pipe_leave(a->dest, err) ||
        !adapt_change(a->adapt, &place, m, index, err) || !pg_pipe_enter(a->dest, err))
        return false;
    batch_add(&a->batches, index, PGO_RELATION, 0);
    return true;
}

bool apply_bind(struct apply *a, const struct pgo_message *m, int index, enum bind_how how,
                struct err *err)
{
    if (how != BIND_OLD && !a->is_skipping && !adapt_fits(a->adapt, m) && !follow(a, m, index, err))
        return false;
    const struct schema_table *table = &a->o.schema->tables[index];
    struct dest_table d = {0};
    struct target *t, *old = apply_find_target(a, m->relation);
    if (!read_dest(a, table, old, &d, err))
        return false;
    bool ok = target_bind(m, table, index, &d, old ? old->number : (int)a->n_targets, &t, err);
    dest_table_free(&d);
    for (size_t i = 0; ok && i < t->n_columns; i++) {
        t->columns[i].is_unsure = adapt_is_unsure(a->adapt, t->oid, t->columns[i].name);
        t->is_whole = t->is_whole && !t->columns[i].is_unsure;
    }
    if (ok) {
        bool may_compare = how == BIND_NEXT && !adapt_knows(a->adapt, m->relation);
        ok = target_check_types(may_compare ? old : NULL, t, err);
        keep_target(a, t);
    }
    if (!ok)
        apply_blame(a, index, apply_place(a).lsn);
    return ok;
}

bool apply_relation(struct apply *a, const struct pgo_message *m, struct err *err)
{
    int i = apply_find_table(a, m);
    if (i >= 0)
        return apply_bind(a, m, i, BIND_NEXT, err);
    bool has_left = false;
    if (a->o.has_left && !a->o.has_left(a->o.arg, m, &has_left, err))
        return false;
    if (has_left) {
        aside_ignore(a, m->relation);
        return true;
    }
    err_set(err, ERR_SCHEMA, "the stream has changes of %s.%s, which is not in the mirror",
            m->schema, m->table);
    return err_hint(err, "A new partition, or a table added to the publication by hand: retry "
                         "reads the definitions again.");
}

/* --- changes --------------------------------------------------------------------------------- */

static bool prepare(struct apply *a, const struct target *t, const struct target_statement *s,
                    struct err *err)
{
    char release[64];
    str_printf(release, sizeof release, "DEALLOCATE %s", s->name);
    if ((s->is_reusing && !apply_send_query(a, release, 0, NULL, EXPECT_OTHER, err)) ||
        !pg_pipe_prepare(a->dest, s->name, s->sql, err))
        return false;
    apply_expect(a, EXPECT_OTHER, s->op, t->number, 0);
    return true;
}

bool apply_send_row(struct apply *a, struct target *t, const struct pgo_message *m, size_t bytes,
                    struct err *err)
{
    bool is_new;
    const struct target_statement *s = target_statement_for(t, m, &is_new, err);
    if (!s)
        apply_blame(a, t->table, a->row_lsn);
    if (!s || !apply_open(a, err))
        return false;
    if (is_new && !prepare(a, t, s, err))
        return false;
    a->has_unsure |= !s->is_sure;
    int n = target_params(t, s, m, a->params);
    if (!pg_pipe_run(a->dest, s->name, n, a->params, NULL, NULL, err))
        return false;
    struct expect *e = apply_expect(a, EXPECT_ROW, m->kind, t->number, bytes);
    e->key_len = keys_push(&a->keys, t, m);
    e->lsn = a->row_lsn;
    return apply_request_flush(a, bytes, err);
}

/* A change that has to go alone, or is too large to be kept. */
static bool send_alone(struct apply *a, struct target *t, const struct pgo_message *m, size_t bytes,
                       struct err *err)
{
    if (!flight_clear(a, err))
        return false;
    while (!apply_pipe_has_room(a))
        if (!apply_wait(a, err))
            return false;
    a->row_lsn = a->change_lsn;
    return apply_send_row(a, t, m, bytes, err);
}

bool apply_change(struct apply *a, const struct pgo_message *m, size_t bytes, struct err *err)
{
    struct target *t = apply_find_target(a, m->relation);
    if (!t)
        return err_set(err, ERR_PROTOCOL, "a change of relation %u came before its definition",
                       m->relation);
    if (!target_check_values(t, m, err)) {
        apply_blame(a, t->table, a->change_lsn);
        return false;
    }
    if (!(flight_takes(t, bytes) ? flight_add : send_alone)(a, t, m, bytes, err))
        return false;
    batch_add(&a->batches, t->table, m->kind, bytes);
    return true;
}

static bool send_emptying(struct apply *a, const struct target *t, const char *sql, struct err *err)
{
    if (!pg_pipe_query(a->dest, sql, 0, NULL, err))
        return false;
    apply_expect(a, EXPECT_OTHER, PGO_TRUNCATE, t->number, 0);
    return true;
}

static bool send_deletes(struct apply *a, const struct pgo_message *m, struct err *err)
{
    struct buf sql = {0};
    bool ok = apply_drain(a, err) && apply_ensure_open(a, err);
    for (size_t i = 0; ok && i < m->n_relations; i++) {
        const struct target *t = apply_find_target(a, m->relations[i]);
        if (t->is_parent)
            continue; /* its partitions are named too */
        buf_reset(&sql);
        buf_printf(&sql, "DELETE FROM %s%s", t->is_partitioned ? "" : "ONLY ", t->dest);
        ok = send_emptying(a, t, buf_text(&sql), err);
    }
    buf_free(&sql);
    return ok;
}

/* Their partitions are emptied with them. */
static const char referred_sql[] =
    "WITH RECURSIVE t(oid) AS (SELECT pg_catalog.unnest($1::pg_catalog.regclass[])::pg_catalog.oid"
    "  UNION SELECT i.inhrelid FROM t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid"
    "  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition)"
    " SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contype = 'f'"
    "  AND k.confrelid IN (SELECT oid FROM t) AND k.conrelid NOT IN (SELECT oid FROM t))";

/* Names of m's tables at the destination, as an array. */
static void list_names(struct apply *a, const struct pgo_message *m, struct buf *out)
{
    const char **items = mem_calloc(m->n_relations + 1, sizeof *items);
    for (size_t i = 0; i < m->n_relations; i++)
        items[i] = apply_find_target(a, m->relations[i])->dest;
    pg_quote_array(out, m->n_relations, items);
    free(items);
}

/* A question about m's tables. Leaves the pipeline for a moment, empty. */
static bool ask_about(struct apply *a, const struct pgo_message *m, const char *sql,
                      struct pg_result **r, struct err *err)
{
    struct buf names = {0};
    list_names(a, m, &names);
    const char *value = buf_text(&names);
    bool ok = apply_drain(a, err) && pg_pipe_leave(a->dest, err) &&
              pg_exec_params(a->dest, a->task, DRAIN_LIMIT_MS, sql, 1, &value, r, err);
    buf_free(&names);
    return ok && pg_pipe_enter(a->dest, err);
}

/* Whether a table that stays filled refers to one of m's: then TRUNCATE is forbidden, while rows
 * are deleted as single ones would be, without a look at foreign keys, where the session may. */
static bool is_referred(struct apply *a, const struct pgo_message *m, bool *out, struct err *err)
{
    struct pg_result *r = NULL;
    *out = false;
    if (!pg_is_replica_role(a->dest) || !m->n_relations)
        return true;
    bool ok = ask_about(a, m, referred_sql, &r, err);
    if (ok)
        *out = pg_bool(r, 0, 0);
    pg_free(r);
    return ok;
}

/* Their deferrable constraints that somebody looks at in this session. */
static const char deferrable_sql[] =
    "WITH RECURSIVE t(oid) AS (SELECT pg_catalog.unnest($1::pg_catalog.regclass[])::pg_catalog.oid"
    "  UNION SELECT i.inhrelid FROM t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid"
    "  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition)"
    " SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('%I.%I', n.nspname, k.conname), ', ')"
    " FROM t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid AND g.tgdeferrable"
    "  AND (g.tgenabled = 'A' OR g.tgenabled ="
    "   CASE pg_catalog.current_setting('session_replication_role')"
    "   WHEN 'replica' THEN 'R'::pg_catalog.\"char\" ELSE 'O'::pg_catalog.\"char\" END)"
    " JOIN pg_catalog.pg_constraint k ON k.oid = g.tgconstraint"
    " JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace";

/* A table with a check that is still due cannot be emptied. Where the source did it none was due;
 * here all are put off to the COMMIT. */
static bool check_now(struct apply *a, const struct pgo_message *m, struct err *err)
{
    struct pg_result *r = NULL;
    struct buf sql = {0};
    bool ok = ask_about(a, m, deferrable_sql, &r, err);
    if (ok && !pg_is_null(r, 0, 0)) {
        buf_printf(&sql, "SET CONSTRAINTS %s IMMEDIATE", pg_text(r, 0, 0));
        ok = apply_send_query(a, buf_text(&sql), 0, NULL, EXPECT_OTHER, err);
    }
    pg_free(r);
    buf_free(&sql);
    return ok;
}

/* Never RESTART IDENTITY: the values of sequences follow by themselves (schema/sequences.h), and a
 * destination's own sequence is not ours to restart. */
static bool send_truncate(struct apply *a, const struct pgo_message *m, struct err *err)
{
    struct buf sql = {0}, note = {0};
    for (size_t i = 0; i < m->n_relations; i++) {
        const struct target *t = apply_find_target(a, m->relations[i]);
        /* ONLY: the source names each table that it emptied */
        buf_printf(&sql, "%s%s%s", i ? ", " : "TRUNCATE ", t->is_partitioned ? "" : "ONLY ",
                   t->dest);
    }
    bool ok = !m->n_relations ||
              (apply_ensure_open(a, err) && check_now(a, m, err) &&
               send_emptying(a, apply_find_target(a, m->relations[0]), buf_text(&sql), err) &&
               apply_send_query(a, "SET CONSTRAINTS ALL DEFERRED", 0, NULL, EXPECT_OTHER, err));
    if (ok && m->n_relations && adapt_is_on(a->adapt)) {
        places_emptied_sql(&note, a->o.mirror_id, m->n_relations, m->relations);
        ok = apply_send_query(a, buf_text(&note), 0, NULL, EXPECT_OTHER, err);
    }
    buf_free(&sql);
    buf_free(&note);
    return ok;
}

bool apply_truncate(struct apply *a, const struct pgo_message *m, bool with_delete, struct err *err)
{
    for (size_t i = 0; i < m->n_relations; i++)
        if (!apply_find_target(a, m->relations[i]))
            return err_set(err, ERR_PROTOCOL, "TRUNCATE of relation %u came before its definition",
                           m->relations[i]);
    if ((!with_delete && !is_referred(a, m, &with_delete, err)) ||
        !(with_delete ? send_deletes(a, m, err) : send_truncate(a, m, err)))
        return false;
    for (size_t i = 0; i < m->n_relations; i++)
        batch_emptied(&a->batches, apply_find_target(a, m->relations[i])->table, apply_working(a));
    return true;
}
