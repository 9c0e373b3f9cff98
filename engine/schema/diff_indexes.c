/* Indexes, and the constraints that are indexes. They are the same by name; a primary key by what
 * it says, and so is an index that the operator has made beforehand under another name. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

static bool is_constraint(const struct schema_index *x)
{
    return x->kind == INDEX_PRIMARY || x->kind == INDEX_CONSTRAINT;
}

static bool is_booked(const struct diff *d, int i, const char *name)
{
    return book_find(&d->book, d->src.s->tables[i].oid, BOOK_INDEX, -1, name) != NULL;
}

static const struct schema_index *primary_of(const struct schema_table *t)
{
    for (size_t k = 0; k < t->n_indexes; k++)
        if (t->indexes[k].kind == INDEX_PRIMARY)
            return &t->indexes[k];
    return NULL;
}

static const struct schema_index *index_named(const struct schema_table *t, const char *name)
{
    for (size_t k = 0; k < t->n_indexes; k++)
        if (strcmp(t->indexes[k].name, name) == 0)
            return &t->indexes[k];
    return NULL;
}

bool drops_primary_key(const struct diff *d, int i)
{
    const struct schema_table *u = &d->dst.s->tables[d->pairs[i].dest];
    const struct schema_index *p = primary_of(u);
    return p && is_booked(d, i, p->name);
}

/* --- the same? ---------------------------------------------------------------------------------
 */

static bool ask_same(struct diff *d, int i, const struct schema_index *from,
                     const struct schema_index *to, enum shadow_verdict *out, struct err *why,
                     struct err *err)
{
    const char *a = from->create_sql + from->tail, *b = to->create_sql + to->tail;
    bool may_lie = d->old[d->pairs[i].dest].is_renamed;
    *out = SHADOW_DIFFERENT;
    if (from->kind != to->kind || from->is_partial != to->is_partial ||
        (!from->is_valid && !from->is_partial) ||
        (to->is_partial && from->n_branches != to->n_branches))
        return true;
    if (!may_lie && strcmp(a, b) == 0) {
        *out = SHADOW_SAME;
        return true;
    }
    const struct shadow_question q = {.kind = is_constraint(to) ? SHADOW_CONSTRAINT : SHADOW_INDEX,
                                      .is_unique = to->kind == INDEX_UNIQUE,
                                      .from = a,
                                      .to = b};
    return shadow_compare(d, i, &q, out, why, err);
}

/* One of the destination that says what `to` does and has no other counterpart. Its position, or
 * n_indexes. */
static bool find_twin(struct diff *d, int i, const struct schema_index *to, size_t *out,
                      struct err *err)
{
    const struct schema_table *t = &d->src.s->tables[i], *u = dest_of(d, i);
    struct err why = {0};
    for (*out = 0; *out < u->n_indexes; (*out)++) {
        const struct schema_index *x = &u->indexes[*out];
        enum shadow_verdict verdict;
        if (index_named(t, x->name) || x->kind != to->kind)
            continue;
        /* Only what looks alike is worth asking about. */
        if (!d->old[d->pairs[i].dest].is_renamed &&
            strcmp(x->create_sql + x->tail, to->create_sql + to->tail) != 0)
            continue;
        if (!ask_same(d, i, x, to, &verdict, &why, err))
            return false;
        if (verdict == SHADOW_SAME)
            return true;
    }
    return true;
}

/* --- dropping ----------------------------------------------------------------------------------
 */

/* Foreign keys that need an index of the destination: the table that has it, its name. */
static const char needed_sql[] =
    "SELECT cn.nspname, c.relname, f.conname FROM pg_constraint f"
    " JOIN pg_class k ON k.oid = f.conindid JOIN pg_class c ON c.oid = f.conrelid"
    " JOIN pg_namespace cn ON cn.oid = c.relnamespace JOIN pg_index x ON x.indexrelid = k.oid"
    " WHERE f.contype = 'f' AND f.conparentid = 0 AND x.indrelid = $1::oid AND k.relname = $2";

static int find_by_dest(const struct diff *d, const char *schema, const char *name)
{
    for (size_t i = 0; i < d->src.s->n_tables; i++)
        if (strcmp(d->src.s->tables[i].dest_name, name) == 0 &&
            strcmp(d->src.s->tables[i].dest_schema, schema) == 0)
            return (int)i;
    return -1;
}

static bool drop_mirrored_fkey(struct diff *d, const char *schema, const char *table,
                               const char *name)
{
    int i = find_by_dest(d, schema, table);
    if (i < 0 || d->pairs[i].dest < 0)
        return false;
    struct schema_table *u = dest_of(d, i);
    for (size_t k = 0; k < u->n_fkeys; k++) {
        if (strcmp(u->fkeys[k].name, name) != 0)
            continue;
        diff_drop_fkey(d, i, name);
        read_drop_fkey(u, &d->dst.tables[d->pairs[i].dest], k);
        return true;
    }
    return false;
}

/* Foreign keys that refer to an index go with it; those of the mirror come again afterwards. *own
 * names one that is not the mirror's. */
static bool release_fkeys(struct diff *d, int i, const struct schema_index *x, bool do_drop,
                          char **own, struct err *err)
{
    char oid[16];
    const char *values[] = {oid, x->name};
    struct pg_result *res = NULL;
    str_printf(oid, sizeof oid, "%u", dest_of(d, i)->oid);
    if (!read_query(&d->dst, needed_sql, 2, values, &res, err))
        return false;
    for (size_t row = 0; row < pg_rows(res); row++) {
        const char *schema = pg_text(res, row, 0), *table = pg_text(res, row, 1);
        const char *name = pg_text(res, row, 2);
        int of = find_by_dest(d, schema, table);
        bool is_ours = of >= 0 && d->pairs[of].dest >= 0 &&
                       book_find(&d->book, d->src.s->tables[of].oid, BOOK_FKEY, -1, name);
        if (!is_ours && !*own)
            *own = mem_printf("foreign key %s of %s.%s", name, schema, table);
        else if (is_ours && do_drop && !*own)
            (void)drop_mirrored_fkey(d, schema, table, name);
    }
    pg_free(res);
    return true;
}

static char *drop_sql(const struct diff *d, int i, const struct schema_index *x)
{
    struct buf b = {0};
    if (is_constraint(x)) {
        b = alter_table(d, i, false);
        buf_puts(&b, "DROP CONSTRAINT ");
        pg_quote_ident(&b, x->name);
    } else {
        buf_puts(&b, "DROP INDEX ");
        pg_quote_qualified(&b, d->src.s->tables[i].dest_schema, x->name);
    }
    return buf_take(&b);
}

static const char *word(const struct schema_index *x)
{
    switch (x->kind) {
    case INDEX_PRIMARY:
        return "primary key";
    case INDEX_CONSTRAINT:
        return "constraint";
    case INDEX_UNIQUE:
        return "unique index";
    case INDEX_PLAIN:
        return "index";
    }
    return "index";
}

static char *what_of(const struct diff *d, int i, const char *verb, const struct schema_index *x)
{
    const struct schema_table *t = &d->src.s->tables[i];
    return mem_printf("%s %s %s of %s.%s", verb, word(x), x->name, t->dest_schema, t->dest_name);
}

/* *dropped = false: the operator's own foreign key holds it. */
static bool drop_index(struct diff *d, int i, size_t k, bool *dropped, struct err *err)
{
    struct schema_table *u = dest_of(d, i);
    const struct schema_index *x = &u->indexes[k];
    char *own = NULL;
    *dropped = false;
    if (x->kind != INDEX_PLAIN && (!release_fkeys(d, i, x, false, &own, err) ||
                                   (!own && !release_fkeys(d, i, x, true, &own, err))))
        return false;
    if (own) {
        diff_manual(d, STAGE_RELEASE, i, drop_sql(d, i, x), what_of(d, i, "drop", x),
                    mem_printf("%s at the destination needs it", own));
        free(own);
        return true;
    }
    diff_run(d, STAGE_RELEASE, i, drop_sql(d, i, x), what_of(d, i, "drop", x));
    schema_drop_index(u, k);
    *dropped = true;
    return true;
}

/* --- adding ------------------------------------------------------------------------------------
 */

enum name_use {
    NAME_FREE,  /* nobody has it; or an index of the table itself that will be gone by then */
    NAME_TAKEN, /* another relation has it */
    NAME_PART,  /* an index of the table itself, which is part of one of its parent's: of several
                 * that  say the same, each server attaches one of its own choice */
};

static bool ask_name(struct diff *d, int i, const char *name, enum name_use *out, struct err *err)
{
    static const char sql[] =
        "SELECT coalesce(max(CASE WHEN x.indrelid IS DISTINCT FROM $3::oid THEN 1"
        "  WHEN c.relispartition THEN 2 ELSE 0 END), 0)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_index x ON x.indexrelid = c.oid WHERE n.nspname = $1 AND c.relname = $2";
    char oid[16];
    const char *values[] = {d->src.s->tables[i].dest_schema, name, oid};
    struct pg_result *res = NULL;
    str_printf(oid, sizeof oid, "%u", dest_of(d, i)->oid);
    if (!read_query(&d->dst, sql, 3, values, &res, err))
        return false;
    *out = (enum name_use)pg_int(res, 0, 0);
    pg_free(res);
    return true;
}

/* What needs functions of the source's database is tried on an empty table. */
static bool is_refused(struct diff *d, int i, const struct schema_index *x, bool *out,
                       struct err *why, struct err *err)
{
    const struct shadow_question q = {.kind = is_constraint(x) ? SHADOW_CONSTRAINT : SHADOW_INDEX,
                                      .is_unique = x->kind == INDEX_UNIQUE,
                                      .to = x->create_sql + x->tail};
    enum shadow_verdict verdict;
    *out = false;
    if (!x->needs_objects || diff_makes_objects(d))
        return true;
    if (!shadow_compare(d, i, &q, &verdict, why, err))
        return false;
    *out = verdict == SHADOW_REFUSED;
    return true;
}

static bool add_index(struct diff *d, int i, size_t k, bool is_replaced, struct err *err)
{
    const struct schema_index *x = &d->src.s->tables[i].indexes[k];
    struct err why = {0};
    enum name_use use = NAME_FREE;
    bool refused = false;
    if (!d->pairs[i].is_new && ((!is_replaced && !ask_name(d, i, x->name, &use, err)) ||
                                !is_refused(d, i, x, &refused, &why, err)))
        return false;
    d->pairs[i].is_own_index[k] = use != NAME_FREE || refused;
    if (use == NAME_PART)
        return true;
    bool has_branches = x->is_partial && x->branches_sql;
    char *sql = mem_strdup(has_branches ? x->branches_sql : x->create_sql);
    char *what = what_of(d, i, "add", x);
    if (use == NAME_TAKEN || refused) {
        if (use == NAME_TAKEN)
            diff_manual(d, STAGE_INDEX, i, sql, what,
                        mem_strdup("another relation of the destination has its name"));
        else
            diff_note(d, STAGE_INDEX, i, sql, what,
                      mem_printf("the destination lacks what it needs: %s", why.text));
        return true;
    }
    struct schema_step *s = diff_run(d, STAGE_INDEX, i, sql, what);
    diff_remade(d, i, x->name);
    /* The rows of a new table are copied; of an old one, those that are still to come may be of the
     * time before. */
    s->is_late = !d->pairs[i].is_new && x->kind != INDEX_PLAIN;
    s->is_optional = x->needs_objects || has_branches; /* whose names may be taken */
    return true;
}

static void rename_index(struct diff *d, int i, size_t twin, const struct schema_index *to)
{
    struct schema_table *u = dest_of(d, i);
    struct schema_index *x = &u->indexes[twin];
    struct buf b = {0};
    if (is_constraint(x)) {
        b = alter_table(d, i, false);
        buf_puts(&b, "RENAME CONSTRAINT ");
        pg_quote_ident(&b, x->name);
    } else {
        buf_puts(&b, "ALTER INDEX ");
        pg_quote_qualified(&b, u->dest_schema, x->name);
        buf_puts(&b, " RENAME");
    }
    buf_puts(&b, " TO ");
    pg_quote_ident(&b, to->name);
    char *old = x->name;
    diff_run(d, STAGE_INDEX, i, buf_take(&b),
             mem_printf("rename %s %s of %s.%s to %s", word(x), old, u->dest_schema, u->dest_name,
                        to->name));
    x->name = mem_strdup(to->name);
    free(old);
}

/* --- comparing ---------------------------------------------------------------------------------
 */

/* The source's index k has a counterpart of its name, or is the primary key. */
static bool judge_pair(struct diff *d, int i, size_t k, size_t at, struct err *err)
{
    const struct schema_table *u = dest_of(d, i);
    const struct schema_index *to = &d->src.s->tables[i].indexes[k], *from = &u->indexes[at];
    enum shadow_verdict verdict;
    struct err why = {0};
    bool dropped, is_same_name = strcmp(from->name, to->name) == 0;
    if (!ask_same(d, i, from, to, &verdict, &why, err))
        return false;
    if (verdict == SHADOW_SAME) {
        if (!is_same_name && is_booked(d, i, from->name))
            rename_index(d, i, at, to);
        return true;
    }
    d->pairs[i].is_own_index[k] = true;
    if (verdict == SHADOW_NONE || (verdict == SHADOW_REFUSED && to->needs_objects)) {
        diff_note(
            d, STAGE_INDEX, i, mem_strdup(to->create_sql), what_of(d, i, "replace", to),
            mem_printf("it differs, and the destination cannot make the source's: %s", why.text));
        return true;
    }
    if (to->kind == INDEX_PRIMARY && !is_booked(d, i, from->name)) {
        diff_manual(d, STAGE_INDEX, i, mem_strdup(to->create_sql), what_of(d, i, "replace", to),
                    mem_printf("the destination has a primary key of its own, %s: drop it if this "
                               "one is to take its place",
                               from->name));
        return true;
    }
    if (!drop_index(d, i, at, &dropped, err))
        return false;
    d->pairs[i].is_own_index[k] = !dropped && !is_booked(d, i, to->name);
    return !dropped || add_index(d, i, k, true, err);
}

static bool judge_missing(struct diff *d, int i, size_t k, struct err *err)
{
    const struct schema_table *u = dest_of(d, i);
    const struct schema_index *to = &d->src.s->tables[i].indexes[k];
    size_t twin;
    if (!u)
        return add_index(d, i, k, false, err);
    if (!find_twin(d, i, to, &twin, err))
        return false;
    if (twin == u->n_indexes)
        return add_index(d, i, k, false, err);
    if (is_booked(d, i, u->indexes[twin].name))
        rename_index(d, i, twin, to);
    else
        d->pairs[i].is_own_index[k] = true; /* the operator's own serves as well */
    return true;
}

/* Without replicate_indexes the source's list has those only that a mirror needs. */
static bool has_source(struct diff *d, int i, const struct schema_index *x, bool *out,
                       struct err *err)
{
    static const char sql[] =
        "SELECT FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE x.indrelid = $1::oid"
        " AND c.relname = $2";
    char oid[16];
    const char *values[] = {oid, x->name};
    struct pg_result *res = NULL;
    *out = false;
    if (d->config->replicate_indexes || x->kind == INDEX_PRIMARY)
        return true;
    str_printf(oid, sizeof oid, "%u", d->src.s->tables[i].oid);
    if (!read_query(&d->src, sql, COUNT_OF(values), values, &res, err))
        return false;
    *out = pg_rows(res) > 0;
    pg_free(res);
    return true;
}

/* What the source had and has no more. The operator's own stays. */
static bool drop_gone(struct diff *d, int i, struct err *err)
{
    const struct schema_table *t = &d->src.s->tables[i];
    struct schema_table *u = dest_of(d, i);
    for (size_t k = u->n_indexes; k-- > 0;) {
        const struct schema_index *x = &u->indexes[k];
        bool dropped, has,
            is_judged = index_named(t, x->name) || (x->kind == INDEX_PRIMARY && primary_of(t));
        if (is_judged)
            continue;
        if (is_booked(d, i, x->name)) {
            if (!has_source(d, i, x, &has, err) || (!has && !drop_index(d, i, k, &dropped, err)))
                return false;
        } else if (d->config->replicate_indexes && x->kind != INDEX_PLAIN &&
                   !book_find(&d->book, t->oid, BOOK_TABLE, -1, NULL)) {
            diff_manual(d, STAGE_RELEASE, i, drop_sql(d, i, x), what_of(d, i, "drop", x),
                        mem_strdup("only the destination has it: run this if it was dropped at the "
                                   "source"));
        }
    }
    return true;
}

bool diff_indexes(struct diff *d, int i, struct err *err)
{
    const struct schema_table *t = &d->src.s->tables[i], *u = dest_of(d, i);
    for (size_t k = 0; k < t->n_indexes; k++) {
        const struct schema_index *to = &t->indexes[k];
        const struct schema_index *from = u ? index_named(u, to->name) : NULL;
        if (u && !from && to->kind == INDEX_PRIMARY)
            from = primary_of(u);
        if (from ? !judge_pair(d, i, k, (size_t)(from - u->indexes), err)
                 : !judge_missing(d, i, k, err))
            return false;
    }
    return !u || drop_gone(d, i, err);
}
