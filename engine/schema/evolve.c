/* What a relation message that differs from what was known means; see evolve.h. */
#include "schema/evolve_private.h"

#include <stdlib.h>
#include <string.h>

#include "schema/diff_private.h"
#include "schema/names.h"

void evolution_free(struct evolution *e)
{
    free(e->why);
    free(e->changes);
    free(e->record_sql);
    for (size_t i = 0; i < e->n; i++) {
        free(e->steps[i].sql);
        free(e->steps[i].what);
    }
    free(e->steps);
    for (size_t i = 0; i < e->n_after; i++)
        known_table_free(&e->after[i]);
    free(e->after);
    *e = (struct evolution){0};
}

/* --- which is which --------------------------------------------------------------------------- */

static bool is_excluded(const struct evolve_work *w, const char *name)
{
    const struct table_map *m = &w->q->maps[w->table->mapping];
    for (size_t i = 0; i < m->n_exclude; i++)
        if (strcmp(m->exclude[i], name) == 0)
            return true;
    return false;
}

/* Pairs, and columns that are known and not told any more. */
static void pair_up(struct evolve_work *w, const int *attnums)
{
    const struct evolve_request *q = w->q;
    w->pairs = mem_calloc(q->n + 1, sizeof *w->pairs);
    w->lost = mem_calloc(q->was->n + 1, sizeof *w->lost);
    for (size_t i = 0; i < q->n; i++) {
        struct evolve_pair *p = &w->pairs[w->n_pairs++];
        p->attnum = attnums[i];
        p->was = known_column_at(q->was, attnums[i]);
        p->to = &q->columns[i];
        p->is_excluded = is_excluded(w, p->was ? p->was->name : p->to->name);
    }
    for (size_t k = 0, i = 0; k < q->was->n; k++) {
        while (i < q->n && attnums[i] < q->was->columns[k].attnum)
            i++;
        bool is_there = i < q->n && attnums[i] == q->was->columns[k].attnum;
        if (!is_there && !is_excluded(w, q->was->columns[k].name))
            w->lost[w->n_lost++] = &q->was->columns[k];
    }
}

/* Types by their names at the source, and of new columns what the catalog still says. */
static const char pairs_sql[] =
    "SELECT u.ord - 1, format_type(u.t, u.m), CASE WHEN u.wt <> 0 THEN format_type(u.wt, u.wm)"
    "  END, t.typtype = 'd', a.attinhcount > 0, CASE WHEN a.atthasmissing THEN"
    "  array_to_string(a.attmissingval, '') END, CASE WHEN a.atttypid = u.t AND"
    "  a.attcollation <> t.typcollation THEN (SELECT format('%I.%I', n.nspname, l.collname)"
    "   FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace"
    "   WHERE l.oid = a.attcollation) END, t.oid IS NOT NULL"
    " FROM unnest($2::oid[], $3::int4[], $4::oid[], $5::int4[], $6::int2[])"
    "  WITH ORDINALITY u(t, m, wt, wm, num, ord) LEFT JOIN pg_type t ON t.oid = u.t"
    " LEFT JOIN pg_attribute a ON a.attrelid = $1::oid AND a.attnum = u.num"
    "  AND NOT a.attisdropped ORDER BY u.ord";

static void take_pair(struct evolve_pair *p, const struct pg_result *res, size_t row)
{
    p->type = read_text(res, row, 1);
    p->was_type = read_text(res, row, 2);
    p->is_domain = pg_bool(res, row, 3);
    p->is_inherited = pg_bool(res, row, 4);
    p->missing = read_text(res, row, 5);
    p->collation = read_text(res, row, 6);
}

static bool describe_pairs(struct evolve_work *w, bool *known, struct err *err)
{
    struct buf lists[5] = {{0}};
    struct pg_result *res = NULL;
    char oid[16];
    for (size_t i = 0; i < w->n_pairs; i++) {
        const struct evolve_pair *p = &w->pairs[i];
        const char *comma = i ? "," : "{";
        buf_printf(&lists[0], "%s%u", comma, p->to->type);
        buf_printf(&lists[1], "%s%d", comma, (int)p->to->typmod);
        buf_printf(&lists[2], "%s%u", comma, p->was ? p->was->type : 0);
        buf_printf(&lists[3], "%s%d", comma, p->was ? (int)p->was->typmod : -1);
        buf_printf(&lists[4], "%s%d", comma, p->attnum);
    }
    str_printf(oid, sizeof oid, "%u", w->q->was->oid);
    const char *values[6] = {oid};
    for (size_t k = 0; k < COUNT_OF(lists); k++) {
        buf_puts(&lists[k], w->n_pairs ? "}" : "{}");
        values[1 + k] = buf_text(&lists[k]);
    }
    bool ok =
        pg_exec_params(w->q->source, w->q->task, SCHEMA_QUERY_MS, pairs_sql, 6, values, &res, err);
    *known = true;
    for (size_t row = 0; ok && row < pg_rows(res); row++) {
        take_pair(&w->pairs[pg_int(res, row, 0)], res, row);
        *known &= pg_bool(res, row, 7);
    }
    pg_free(res);
    for (size_t k = 0; k < COUNT_OF(lists); k++)
        buf_free(&lists[k]);
    return ok || err_context(err, "read the source's columns");
}

/* --- in words --------------------------------------------------------------------------------- */

static void say(struct evolve_work *w, const char *fmt, const char *a, const char *b, const char *c)
{
    if (w->changes.len > 300)
        return;
    buf_puts(&w->changes, w->changes.len ? ", " : "");
    buf_printf(&w->changes, "%s %s", fmt, a);
    if (b)
        buf_printf(&w->changes, " %s", b);
    if (c)
        buf_printf(&w->changes, " %s", c);
}

static void say_changes(struct evolve_work *w)
{
    for (size_t i = 0; i < w->n_lost; i++)
        say(w, "column dropped:", w->lost[i]->name, NULL, NULL);
    for (size_t i = 0; i < w->n_pairs; i++) {
        const struct evolve_pair *p = &w->pairs[i];
        if (!p->was)
            say(w, "column added:", p->to->name, p->type, NULL);
        else if (strcmp(p->was->name, p->to->name) != 0)
            say(w, "column renamed:", p->was->name, "to", p->to->name);
        if (p->was && p->was_type && p->type && strcmp(p->was_type, p->type) != 0)
            say(w, "type changed:", p->to->name, p->was_type, p->type);
    }
    w->out->changes = buf_take(&w->changes);
}

/* --- what is known afterwards ----------------------------------------------------------------- */

static struct known_table *push_after(struct evolution *out, const struct known_table *like)
{
    struct known_table t = *like;
    t.schema = t.name = NULL;
    t.columns = NULL;
    t.n = t.cap = 0;
    MEM_PUSH(out->after, out->n_after, out->after_cap, t);
    return &out->after[out->n_after - 1];
}

static const char *stamp_of(const struct known_column *was, const struct known_column *now)
{
    bool is_passing = was ? strcmp(was->stamp, KNOWN_PASSING) == 0 : !now || !now->name;
    return is_passing ? KNOWN_PASSING : now ? now->stamp : "0";
}

static void know_self(struct evolve_work *w, const struct known_table *now)
{
    struct known_table *t = push_after(w->out, w->q->was);
    for (size_t i = 0; i < w->n_pairs; i++) {
        const struct evolve_pair *p = &w->pairs[i];
        const struct known_column *c = known_column_at(now, p->attnum);
        struct known_column column = {.attnum = p->attnum,
                                      .name = (char *)p->to->name,
                                      .type = p->to->type,
                                      .typmod = p->to->typmod};
        str_copy(column.stamp, sizeof column.stamp, stamp_of(p->was, c));
        known_add_column(t, &column);
    }
}

/* Only what the steps did there as well; of the rest its own message tells. */
static const struct evolve_pair *pair_reaching(const struct evolve_work *w, const char *was,
                                               size_t i)
{
    for (size_t k = 0; k < w->n_pairs; k++)
        if (w->pairs[k].was && strcmp(w->pairs[k].was->name, was) == 0)
            return evolve_reaches(w, evolve_place_now(w, w->pairs[k].to->name), i) ? &w->pairs[k]
                                                                                   : NULL;
    return NULL;
}

static bool is_lost(const struct evolve_work *w, const char *name, size_t i)
{
    for (size_t k = 0; k < w->n_lost; k++)
        if (strcmp(w->lost[k]->name, name) == 0)
            return evolve_reaches(w, evolve_place_was(w, name), i);
    return false;
}

/* The same change in table i, by names: one statement at the source has made it on all of them. */
static void know_relative(struct evolve_work *w, size_t i, const struct known_table *was,
                          const struct known_table *now)
{
    struct known_table *t = push_after(w->out, was);
    for (size_t k = 0; k < was->n; k++) {
        struct known_column c = was->columns[k];
        const struct evolve_pair *p = pair_reaching(w, c.name, i);
        const struct known_column *here = known_column_at(now, c.attnum);
        if (is_lost(w, c.name, i))
            continue;
        if (p) {
            c.name = (char *)p->to->name;
            c.type = p->to->type;
            c.typmod = p->to->typmod;
        }
        str_copy(c.stamp, sizeof c.stamp, stamp_of(&was->columns[k], here));
        known_add_column(t, &c);
    }
    for (size_t k = 0; k < w->n_pairs; k++) {
        const struct evolve_pair *p = &w->pairs[k];
        const struct known_column *here = known_column_named(now, p->to->name);
        if (p->was || !here || here->is_generated || known_column_at(t, here->attnum) ||
            !evolve_reaches(w, evolve_place_now(w, p->to->name), i))
            continue;
        struct known_column c = *here;
        c.type = p->to->type;
        c.typmod = p->to->typmod;
        known_add_column(t, &c);
    }
}

static bool is_relative(const struct evolve_work *w, size_t i)
{
    bool is_family = false;
    for (size_t k = 0; k < w->n_owners; k++)
        is_family = is_family || w->owners[k].is_family[i];
    return is_family && w->q->schema->tables[i].oid != w->q->was->oid;
}

static bool know_family(struct evolve_work *w, struct err *err)
{
    const struct schema *s = w->q->schema;
    bool ok = evolve_read_family(w, err);
    for (size_t i = 0; ok && i < s->n_tables; i++) {
        const struct known_table *was = known_find(w->q->known, s->tables[i].oid);
        struct known now = {0};
        if (!is_relative(w, i))
            continue;
        evolve_record_relative(w, i);
        if (!was || s->tables[i].is_partitioned)
            continue;
        ok = known_ask(w->q->source, w->q->task, NULL, 1, &was->oid, &now, err);
        if (ok && now.n)
            know_relative(w, i, was, &now.tables[0]);
        known_free(&now);
    }
    return ok;
}

static const struct schema_table *table_of(const struct schema *s, uint32_t oid)
{
    for (size_t i = 0; i < s->n_tables; i++)
        if (s->tables[i].oid == oid)
            return &s->tables[i];
    return NULL;
}

static bool know_after(struct evolve_work *w, const struct known_table *now, struct err *err)
{
    know_self(w, now);
    if (w->n_owners && !know_family(w, err))
        return false;
    for (size_t i = 0; i < w->out->n_after; i++) {
        const struct schema_table *t = table_of(w->q->schema, w->out->after[i].oid);
        known_put_sql(&w->record, &w->out->after[i], w->q->mirror_id,
                      t ? t->dest_schema : w->table->dest_schema,
                      t ? t->dest_name : w->table->dest_name);
    }
    w->out->record_sql = buf_take(&w->record);
    return true;
}

/* --- all of it -------------------------------------------------------------------------------- */

static void verdict(struct evolve_work *w, enum evolve_verdict v, const char *why)
{
    w->out->verdict = v;
    w->out->why = mem_strdup(why);
}

/* A name that the destination has no room for. When the source has changed it since, the rows of
 * before are found in a copy; they cannot be written under that name. */
static bool judge_names(struct evolve_work *w, const struct known_table *now, struct err *err)
{
    bool fits = true;
    for (size_t i = 0; fits && i < w->n_pairs; i++) {
        const struct evolve_pair *p = &w->pairs[i];
        const struct known_column *here = known_column_at(now, p->attnum);
        bool fits_now = true;
        if (p->is_excluded)
            continue;
        if (!names_fit(w->q->dest, w->q->task, p->to->name, &fits, err) ||
            (here && here->name && !names_fit(w->q->dest, w->q->task, here->name, &fits_now, err)))
            return false;
        if (fits)
            continue;
        char *why = fits_now
                        ? mem_printf("column %s had a name that is too long for the destination",
                                     p->to->name)
                        : mem_printf("The name of column %s is too long for the destination "
                                     "(63 bytes are kept). At the source: ALTER TABLE … RENAME "
                                     "COLUMN; then retry: the table is copied again, and nothing "
                                     "is lost.",
                                     p->to->name);
        verdict(w, fits_now ? EVOLVE_COPY : EVOLVE_ASK, why);
        free(why);
    }
    return true;
}

/* The source's rows do not tell any more whether they were rewritten when all of them are gone or
 * changed since. Changes in between would look for theirs by values that only the source had. */
static bool is_named_by_new(const struct evolve_work *w, const struct known_table *now)
{
    if (known_rewrite(w->q->was, now) != KNOWN_ASK)
        return false;
    for (size_t i = 0; i < w->n_pairs; i++) {
        const struct evolve_pair *p = &w->pairs[i];
        if (p->to->is_key && !p->is_excluded && (!p->was || p->was->type != p->to->type))
            return true;
    }
    return false;
}

static bool evolve(struct evolve_work *w, const struct known_table *now, const int *attnums,
                   struct err *err)
{
    bool types_known, is_rewritten;
    pair_up(w, attnums);
    if (!describe_pairs(w, &types_known, err) ||
        !known_ask_rewritten(w->q->source, w->q->task, KNOWN_ROWS_MS, w->q->was, now, &is_rewritten,
                             err))
        return false;
    say_changes(w);
    if (is_rewritten || is_named_by_new(w, now)) {
        verdict(w, EVOLVE_COPY,
                "the source has rewritten the table since it was copied, and what ALTER TABLE "
                "puts into rows is not in the stream");
        return true;
    }
    if (!types_known) {
        verdict(w, EVOLVE_COPY, "the source has dropped a type of its columns since");
        return true;
    }
    if (!judge_names(w, now, err))
        return false;
    if (w->out->verdict != EVOLVE_RUN)
        return true;
    if (!evolve_leave_parents(w, err) || !evolve_read_dest(w, err))
        return false;
    if (w->exists) /* else the binding says so */
        evolve_make_steps(w);
    return know_after(w, now, err);
}

static void work_free(struct evolve_work *w)
{
    for (size_t i = 0; i < w->n_pairs; i++) {
        free(w->pairs[i].type);
        free(w->pairs[i].was_type);
        free(w->pairs[i].missing);
        free(w->pairs[i].collation);
    }
    free(w->pairs);
    free(w->lost);
    evolve_places_free(w);
    buf_free(&w->left);
    buf_free(&w->changes);
    buf_free(&w->record);
}

bool schema_evolve(const struct evolve_request *q, struct evolution *out, struct err *err)
{
    struct evolve_work w = {.q = q, .out = out, .table = &q->schema->tables[q->table]};
    struct known now = {0};
    int *attnums = mem_calloc(q->n + 1, sizeof *attnums);
    *out = (struct evolution){.verdict = EVOLVE_RUN};
    bool ok = known_ask(q->source, q->task, NULL, 1, &q->was->oid, &now, err);
    if (ok && !now.n)
        verdict(&w, EVOLVE_GONE, NULL);
    else if (ok && !evolve_match(q->was, &now.tables[0], q->n, q->columns, attnums))
        verdict(&w, EVOLVE_COPY,
                "several changes of its columns cannot be told apart any more, as the source has "
                "made others since");
    else if (ok)
        ok = evolve(&w, &now.tables[0], attnums, err);
    known_free(&now);
    work_free(&w);
    free(attnums);
    return ok || err_context(err, "follow the definition of %s.%s", w.table->schema, w.table->name);
}
