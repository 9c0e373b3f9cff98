/* One column on both sides: type and collation, generation, NOT NULL, default, identity, storage.
 */
#include "schema/diff_private.h"
#include "schema/known.h"

#include <stdlib.h>
#include <string.h>

/* The column's two definitions; found anew when the picture changed. */
struct column_pair {
    const struct schema_column *c;
    const struct read_column *rc;
    const struct schema_column *dc;
    const struct read_column *drc;
};

static struct column_pair pair_of(struct diff *d, int i, size_t c)
{
    const struct schema_table *u = dest_of(d, i);
    struct column_pair p = {.c = &d->src.s->tables[i].columns[c],
                            .rc = &d->src.tables[i].columns[c]};
    p.dc = find_column(u, p.c->name);
    p.drc = &d->dst.tables[d->pairs[i].dest].columns[p.dc - u->columns];
    return p;
}

static bool is_equal(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

/* --- what hangs on a column --------------------------------------------------------------------
 */

/* Views (and whatever else has a rule), generated columns, and indexes that a column of the
 * destination is needed for. */
static const char dependents_sql[] =
    "SELECT DISTINCT CASE WHEN coalesce(r.oid, tg.oid, po.oid) IS NOT NULL THEN 'v'"
    "  WHEN g.attname IS NOT NULL THEN 'g' WHEN con.contype IN ('c', 'f') THEN con.contype::text"
    "  ELSE 'i' END,"
    " coalesce('view ' || r.ev_class::regclass, 'trigger ' || quote_ident(tg.tgname),"
    "  'policy ' || quote_ident(po.polname), g.attname, con.conname, k.relname)"
    " FROM pg_depend x LEFT JOIN pg_rewrite r ON x.classid = 'pg_rewrite'::regclass"
    "  AND r.oid = x.objid"
    " LEFT JOIN pg_trigger tg ON x.classid = 'pg_trigger'::regclass AND tg.oid = x.objid"
    "  AND NOT tg.tgisinternal"
    " LEFT JOIN pg_policy po ON x.classid = 'pg_policy'::regclass AND po.oid = x.objid"
    " LEFT JOIN pg_attrdef ad ON x.classid = 'pg_attrdef'::regclass AND ad.oid = x.objid"
    " LEFT JOIN pg_attribute g ON g.attgenerated <> '' AND g.attrelid = $1::oid"
    "  AND g.attnum <> $2::int2 AND (g.attnum = ad.adnum OR x.classid = 'pg_class'::regclass"
    "   AND x.objid = $1::oid AND g.attnum = x.objsubid)"
    " LEFT JOIN pg_constraint con ON x.classid = 'pg_constraint'::regclass AND con.oid = x.objid"
    "  AND con.conrelid = $1::oid"
    " LEFT JOIN pg_class k ON x.classid = 'pg_class'::regclass AND k.oid = x.objid"
    "  AND k.relkind IN ('i', 'I')"
    " WHERE x.refclassid = 'pg_class'::regclass AND x.refobjid = $1::oid"
    " AND x.refobjsubid = $2::int2 AND coalesce(r.oid::text, tg.oid::text, po.oid::text, g.attname,"
    "  con.conname, k.relname) IS NOT NULL";

static bool ask_dependents(struct diff *d, int i, const struct schema_column *dc,
                           struct pg_result **out, struct err *err)
{
    char oid[16], attnum[16];
    const char *values[] = {oid, attnum};
    str_printf(oid, sizeof oid, "%u", dest_of(d, i)->oid);
    str_printf(attnum, sizeof attnum, "%d", dc->attnum);
    return read_query(&d->dst, dependents_sql, 2, values, out, err);
}

/* What goes with a column of the destination is not there any more. */
static void forget(struct diff *d, int j, char kind, const char *name)
{
    struct schema_table *u = &d->dst.s->tables[j];
    struct read_table *ru = &d->dst.tables[j];
    for (size_t k = kind == 'i' ? u->n_indexes : 0; k-- > 0;)
        if (strcmp(u->indexes[k].name, name) == 0)
            schema_drop_index(u, k);
    for (size_t k = kind == 'c' ? ru->n_checks : 0; k-- > 0;)
        if (strcmp(ru->checks[k].name, name) == 0)
            read_drop_check(ru, k);
    for (size_t k = kind == 'f' ? u->n_fkeys : 0; k-- > 0;)
        if (strcmp(u->fkeys[k].name, name) == 0)
            read_drop_fkey(u, ru, k);
}

/* Drops a column whose values are computed, and in the picture what goes with it. It is added again
 * by who asked for it. */
static bool drop_generated(struct diff *d, int i, const char *name, struct err *err)
{
    struct schema_table *u = dest_of(d, i);
    struct pg_result *res = NULL;
    if (!ask_dependents(d, i, find_column(u, name), &res, err))
        return false;
    for (size_t row = 0; row < pg_rows(res); row++)
        forget(d, d->pairs[i].dest, pg_text(res, row, 0)[0], pg_text(res, row, 1));
    pg_free(res);
    struct buf b = alter_table(d, i, false);
    buf_puts(&b, "DROP COLUMN ");
    pg_quote_ident(&b, name);
    diff_run(d, STAGE_COLUMN, i, buf_take(&b), diff_what(d, i, "drop generated column", name));
    picture_change(d, d->pairs[i].dest, &(struct column_change){.kind = CHANGE_DROP, .name = name});
    return true;
}

/* --- type --------------------------------------------------------------------------------------
 */

static char *type_sql(const struct diff *d, int i, const struct schema_column *c, bool is_widening)
{
    struct buf b = alter_column(d, i, c->name, false);
    buf_printf(&b, "TYPE %s", c->type);
    if (c->collation)
        buf_printf(&b, " COLLATE %s", c->collation);
    if (d->is_refit && !d->keeps_rows) {
        buf_printf(&b, " USING NULL::%s", c->type);
    } else if (!is_widening || d->keeps_rows) {
        buf_puts(&b, " USING ");
        pg_quote_ident(&b, c->name);
        buf_printf(&b, "::%s", c->type);
    }
    return buf_take(&b);
}

/* Generated columns have to make way for a change of what they are computed from; those that the
 * source has too are computed anew afterwards. A view has to be dropped by its owner. */
static bool make_way(struct diff *d, int i, const struct schema_column *dc, char **in_the_way,
                     struct name_list *dropped, struct err *err)
{
    const struct schema_table *t = &d->src.s->tables[i];
    struct pg_result *res = NULL;
    if (!ask_dependents(d, i, dc, &res, err))
        return false;
    for (size_t row = 0; row < pg_rows(res); row++) {
        char kind = pg_text(res, row, 0)[0];
        const char *name = pg_text(res, row, 1);
        const struct schema_column *of = find_column(t, name);
        bool is_ours = kind == 'g' && of && of->is_generated && !of->is_excluded;
        if (is_ours)
            name_list_add(dropped, mem_strdup(name));
        else if ((kind == 'v' || kind == 'g') && !*in_the_way)
            *in_the_way = mem_printf("%s%s needs the column as it is: drop it, run this, and "
                                     "make it again",
                                     kind == 'g' ? "generated column " : "", name);
    }
    pg_free(res);
    return true;
}

/* A default that the new type does not take would be in its way; the source's follows. */
static void make_plain(struct diff *d, int i, const char *name)
{
    struct schema_table *u = dest_of(d, i);
    struct schema_column *dc = find_column(u, name);
    struct read_column *drc = &d->dst.tables[d->pairs[i].dest].columns[dc - u->columns];
    if (!drc->dest_default || dc->is_generated)
        return;
    struct buf b = alter_column(d, i, name, false);
    buf_puts(&b, "DROP DEFAULT");
    diff_run(d, STAGE_COLUMN, i, buf_take(&b), diff_what(d, i, "drop default of column", name));
    free(drc->dest_default);
    drc->dest_default = NULL;
}

/* Of destination table j. */
static void drop_identity(struct diff *d, int j, void *name)
{
    struct schema_column *dc = find_column(&d->dst.s->tables[j], name);
    int i = d->dst.s->tables[j].mapping;
    if (!dc || !dc->identity)
        return;
    if (!(d->dst.tables[j].parent &&
          d->dst.s->server_version >= 170000)) { /* goes with its parent's */
        struct buf b = alter_column(d, i, name, false);
        buf_puts(&b, "DROP IDENTITY");
        diff_run(d, STAGE_COLUMN, i, buf_take(&b),
                 diff_what(d, i, "drop identity of column", name));
    }
    dc->identity = 0;
}

void diff_drop_identity(struct diff *d, int i, char *column)
{
    drop_identity(d, d->pairs[i].dest, column);
    for_descendants(d, d->pairs[i].dest, drop_identity, column);
}

/* Only whole numbers can be an identity: it goes before its type does. */
static void make_countless(struct diff *d, int i, const struct schema_column *c)
{
    if (strcmp(c->type, "smallint") == 0 || strcmp(c->type, "integer") == 0 ||
        strcmp(c->type, "bigint") == 0)
        return;
    diff_drop_identity(d, i, c->name);
}

static bool retype(struct diff *d, int i, size_t c, struct err *err)
{
    struct column_pair p = pair_of(d, i, c);
    struct name_list dropped = {0};
    char *in_the_way = NULL;
    if (!make_way(d, i, p.dc, &in_the_way, &dropped, err))
        return false;
    char *sql = type_sql(d, i, p.c, true);
    char *what = diff_what(d, i, "change type of column", p.c->name);
    bool ok = true;
    if (in_the_way) {
        diff_manual(d, STAGE_COLUMN, i, sql, what, in_the_way);
        name_list_free(&dropped);
        return true;
    }
    for (size_t k = 0; ok && k < dropped.n; k++)
        ok = drop_generated(d, i, dropped.items[k], err);
    make_countless(d, i, p.c);
    if (d->is_refit)
        make_plain(d, i, p.c->name);
    diff_run(d, STAGE_COLUMN, i, sql, what);
    picture_change(d, d->pairs[i].dest,
                   &(struct column_change){.kind = CHANGE_TYPE,
                                           .name = p.c->name,
                                           .text = p.c->type,
                                           .collation = p.c->collation});
    for (size_t k = 0; ok && k < dropped.n; k++)
        ok = diff_add_generated(d, i, dropped.items[k], err);
    name_list_free(&dropped);
    return ok;
}

static bool is_under(const struct diff *d, int k, int i)
{
    while (k >= 0 && k != i)
        k = d->src.tables[k].parent ? read_find_oid(&d->src, d->src.tables[k].parent) : -1;
    return k == i;
}

/* Has the source had the values in other ways since they were copied? A partitioned table has them
 * in its partitions. Where only its rows could tell, it may have. */
static bool may_be_rewritten(struct diff *d, int i, bool *out, struct err *err)
{
    struct known was = {0}, now = {0};
    uint32_t *oids = mem_calloc(d->src.s->n_tables + 1, sizeof *oids);
    size_t n = 0;
    for (size_t k = 0; k < d->src.s->n_tables; k++)
        if (is_under(d, (int)k, i))
            oids[n++] = d->src.s->tables[k].oid;
    bool ok = known_read(d->dest, d->task, d->mirror_id, n == 1 ? oids[0] : 0, &was, err) &&
              known_ask(d->source, d->task, NULL, n, oids, &now, err);
    *out = false;
    for (size_t k = 0; ok && !*out && k < now.n; k++) {
        const struct known_table *t = known_find(&was, now.tables[k].oid);
        *out = t && t->n && known_rewrite(t, &now.tables[k]) != KNOWN_NOT_REWRITTEN;
    }
    known_free(&was);
    known_free(&now);
    free(oids);
    return ok;
}

static bool diff_type(struct diff *d, int i, size_t c, struct err *err)
{
    struct column_pair p = pair_of(d, i, c);
    bool same_type = strcmp(p.c->type, p.dc->type) == 0, is_rewritten = false;
    if (same_type && is_equal(p.c->collation, p.dc->collation))
        return true;
    if (same_type || d->is_refit || type_widens(p.dc->type, p.c->type))
        return retype(d, i, c, err);
    bool may_stay = type_widens(p.c->type, p.dc->type);
    if (may_stay && !may_be_rewritten(d, i, &is_rewritten, err))
        return false;
    may_stay = may_stay && !is_rewritten;
    diff_manual(
        d, STAGE_COLUMN, i, type_sql(d, i, p.c, false),
        diff_what(d, i, "change type of column", p.c->name),
        may_stay ? mem_printf("%s at the source is narrower than %s here, which may stay; values "
                              "that do not fit would stop the change",
                              p.c->type, p.dc->type)
                 : mem_printf("%s and %s do not hold the same values, and what the source did with "
                              "them is kept nowhere: the table is copied again",
                              p.dc->type, p.c->type))
        ->needs_copy = !may_stay;
    return true;
}

/* --- generation --------------------------------------------------------------------------------
 */

/* A column that is generated on one side only, or differently. */
static bool diff_generated(struct diff *d, int i, size_t c, struct err *err)
{
    struct column_pair p = pair_of(d, i, c);
    const char *name = p.c->name;
    if (!p.c->is_generated && p.dc->is_generated) {
        struct buf b = alter_column(d, i, name, false);
        buf_puts(&b, "DROP EXPRESSION");
        char *what = diff_what(d, i, "stop computing column", name);
        if (d->dst.s->server_version >= 130000)
            diff_table_at_point(d, diff_run(d, STAGE_COLUMN, i, buf_take(&b), what), i);
        else
            (void)diff_manual(
                d, STAGE_COLUMN, i, buf_take(&b), what,
                mem_strdup("PostgreSQL 12 cannot do this: drop the column, add it as an "
                           "ordinary one, then resync the table"));
        picture_change(d, d->pairs[i].dest,
                       &(struct column_change){.kind = CHANGE_PLAIN, .name = name});
        return true;
    }
    if (!p.dc->is_generated) {
        diff_manual(d, STAGE_COLUMN, i, NULL, diff_what(d, i, "compute column", name),
                    mem_strdup("it is generated at the source only: to have it here too, drop the "
                               "column (and the values in it) and synchronise again"));
        return true;
    }
    if (is_equal(p.c->default_expr, p.dc->default_expr))
        return true;
    const struct shadow_question q = {.kind = SHADOW_GENERATED,
                                      .column = p.c,
                                      .from = p.dc->default_expr,
                                      .to = p.c->default_expr};
    enum shadow_verdict verdict;
    struct err why = {0};
    if (!shadow_compare(d, i, &q, &verdict, &why, err))
        return false;
    if (verdict == SHADOW_SAME)
        return true;
    if (verdict == SHADOW_NONE || (verdict == SHADOW_REFUSED && p.rc->is_deferred)) {
        diff_note(d, STAGE_COLUMN, i, NULL, diff_what(d, i, "compute column", name),
                  mem_printf("it is computed differently at the source: %s", why.text));
        return true;
    }
    return drop_generated(d, i, name, err) && diff_add_generated(d, i, name, err);
}

/* --- NOT NULL ----------------------------------------------------------------------------------
 */

static const struct old_column *old_of(const struct diff *d, int j, const struct schema_column *dc)
{
    for (size_t k = 0; dc->attnum && k < d->old[j].n; k++)
        if (d->old[j].columns[k].attnum == dc->attnum)
            return &d->old[j].columns[k];
    return NULL;
}

static const char *old_name(const struct diff *d, int j, const struct schema_column *dc)
{
    const struct old_column *old = old_of(d, j, dc);
    return old ? old->name : NULL;
}

/* Has a row of the destination nothing in it? A column that is to be added has nothing in any. */
static bool ask_nulls(struct diff *d, int i, const struct schema_column *dc, bool *some,
                      bool *known, struct err *err)
{
    struct buf sql = {0};
    const char *name = old_name(d, d->pairs[i].dest, dc);
    buf_puts(&sql, "SELECT EXISTS (SELECT FROM ");
    pg_quote_qualified(&sql, d->src.s->tables[i].dest_schema, d->src.s->tables[i].dest_name);
    if (name) {
        buf_puts(&sql, " WHERE ");
        pg_quote_ident(&sql, name);
        buf_puts(&sql, " IS NOT DISTINCT FROM NULL");
    }
    buf_putc(&sql, ')');
    bool ok = ask_slowly(d->dest, d->task, buf_text(&sql), some, known, err);
    buf_free(&sql);
    return ok;
}

static bool add_not_null(struct diff *d, int i, const struct schema_column *dc, struct err *err)
{
    bool some, known;
    if (!ask_nulls(d, i, dc, &some, &known, err))
        return false;
    struct buf b = alter_column(d, i, dc->name, false);
    buf_puts(&b, "SET NOT NULL");
    char *what = diff_what(d, i, "set NOT NULL of column", dc->name);
    if (!known || some) {
        diff_manual(d, STAGE_COLUMN, i, buf_take(&b), what,
                    mem_strdup(known ? "rows at the destination have no value in it: synchronise "
                                       "again once the mirror has caught up"
                                     : "whether rows have no value in it could not be seen in "
                                       "time"));
        return true;
    }
    diff_run(d, STAGE_COLUMN, i, buf_take(&b), what)->is_late = true;
    picture_change(
        d, d->pairs[i].dest,
        &(struct column_change){.kind = CHANGE_NOT_NULL, .name = dc->name, .not_null = true});
    return true;
}

/* The table whose NOT NULL it is at the destination: a partition has that of its parent, and cannot
 * be without it. *leaves: as the source has that partition elsewhere, it is its own afterwards. */
static int owner_of_not_null(const struct diff *d, int i, const char *column, bool *leaves)
{
    *leaves = false;
    for (;;) {
        uint32_t oid = d->dst.tables[d->pairs[i].dest].parent;
        int j = oid ? read_find_oid(&d->dst, oid) : -1;
        const struct schema_column *c = j < 0 ? NULL : find_column(&d->dst.s->tables[j], column);
        if (!c || !c->not_null)
            return i;
        int up = d->dst.s->tables[j].mapping;
        *leaves = d->src.tables[i].parent != d->src.s->tables[up].oid;
        if (*leaves)
            return i;
        i = up;
    }
}

static bool is_in_key(const struct schema_table *u, const char *column)
{
    for (size_t k = 0; k < u->n_key; k++)
        if (strcmp(u->key[k], column) == 0)
            return true;
    return false;
}

void diff_drop_not_null(struct diff *d, int i, const char *column, const char *why)
{
    bool leaves;
    i = owner_of_not_null(d, i, column, &leaves);
    const struct schema_table *u = dest_of(d, i);
    const struct schema_column *dc = find_column(u, column);
    bool is_held = is_in_key(u, column) && !drops_primary_key(d, i);
    /* An identity goes first, as a step of the column. */
    const struct old_column *old = leaves ? NULL : old_of(d, d->pairs[i].dest, dc);
    const char *before = !old || old->is_identity ? NULL : old->name;
    struct buf b = alter_column(d, i, before ? before : column, false);
    buf_puts(&b, "DROP NOT NULL");
    char *what = diff_what(d, i, "drop NOT NULL of column", column);
    enum stage stage = leaves ? STAGE_DETAIL : before ? STAGE_LOOSEN : STAGE_COLUMN;
    if (is_held || (leaves && d->src.tables[i].parent)) {
        diff_manual(d, stage, i, buf_take(&b), what,
                    is_held ? mem_printf("%s; it is in the destination's own primary key: drop "
                                         "that first",
                                         why)
                            : mem_printf("%s; detach the partition first", why));
        return;
    }
    diff_run(d, stage, i, buf_take(&b), what);
    picture_change(d, d->pairs[i].dest,
                   &(struct column_change){.kind = CHANGE_NOT_NULL, .name = column});
}

/* --- default and identity ----------------------------------------------------------------------
 */

static char *default_sql(const struct diff *d, int i, const char *column, const char *to)
{
    struct buf b = alter_column(d, i, column, true);
    if (to)
        buf_printf(&b, "SET DEFAULT %s", to);
    else
        buf_puts(&b, "DROP DEFAULT");
    return buf_take(&b);
}

static void set_default(struct diff *d, int i, const struct schema_column *c, const char *to,
                        bool is_optional)
{
    struct schema_step *s = diff_run(d, STAGE_COLUMN, i, default_sql(d, i, c->name, to),
                                     diff_what(d, i, "change default of column", c->name));
    s->is_late = true;
    s->is_optional = is_optional;
}

static bool diff_default(struct diff *d, int i, size_t c, struct err *err)
{
    struct column_pair p = pair_of(d, i, c);
    const char *to = p.rc->dest_default;
    if (p.c->is_generated || p.dc->is_generated || is_equal(to, p.drc->dest_default))
        return true;
    enum shadow_verdict verdict = SHADOW_DIFFERENT;
    struct err why = {0};
    const struct shadow_question q = {
        .kind = SHADOW_DEFAULT, .column = p.c, .from = p.drc->dest_default, .to = to};
    if (to && (q.from || p.rc->is_deferred) && !shadow_compare(d, i, &q, &verdict, &why, err))
        return false;
    if (verdict == SHADOW_SAME)
        return true;
    if (verdict == SHADOW_REFUSED && p.rc->is_deferred && !diff_makes_objects(d))
        diff_note(d, STAGE_COLUMN, i, default_sql(d, i, p.c->name, to),
                  diff_what(d, i, "default of column", p.c->name),
                  mem_printf("the destination lacks what it needs: %s", why.text));
    else
        set_default(d, i, p.c, to, p.rc->is_deferred);
    return true;
}

/* A sequence's name that is taken at the destination is not insisted on. */
static bool add_identity(struct diff *d, int i, size_t c, struct err *err)
{
    struct column_pair p = pair_of(d, i, c);
    struct buf b = alter_column(d, i, p.c->name, false);
    char *options = identity_options(d, i, p.c->attnum, err);
    if (!options) {
        buf_free(&b);
        return false;
    }
    buf_printf(&b, "ADD GENERATED BY DEFAULT AS IDENTITY %s", options);
    free(options);
    diff_run(d, STAGE_COLUMN, i, buf_take(&b), diff_what(d, i, "add identity of column", p.c->name))
        ->is_late = true;
    want_sequence_value(d, i, p.c->attnum);
    return true;
}

/* It has its parent's identity, on one side at least, and not one of its own: since PostgreSQL 17.
 */
static bool shares_identity(const struct diff *d, int i)
{
    return (d->src.tables[i].parent || d->dst.tables[d->pairs[i].dest].parent) &&
           (d->src.s->server_version >= 170000 || d->dst.s->server_version >= 170000);
}

/* An identity that is ALWAYS could not be written; one that the source has no more is in the way of
 * a default. */
static void loosen_identity(struct diff *d, int i, size_t c)
{
    struct column_pair p = pair_of(d, i, c);
    bool is_wanted = p.c->identity != 0;
    if (shares_identity(d, i) || !p.dc->identity || (is_wanted && p.dc->identity == 'd'))
        return;
    struct buf b = alter_column(d, i, p.c->name, false);
    buf_puts(&b, is_wanted ? "SET GENERATED BY DEFAULT" : "DROP IDENTITY");
    diff_run(d, STAGE_COLUMN, i, buf_take(&b),
             diff_what(d, i,
                       is_wanted ? "let identity be written of column" : "drop identity of column",
                       p.c->name));
}

static bool diff_identity(struct diff *d, int i, size_t c, struct err *err)
{
    struct column_pair p = pair_of(d, i, c);
    if (shares_identity(d, i) || !p.c->identity || p.dc->identity)
        return true;
    if (p.dc->not_null)
        return add_identity(d, i, c, err);
    diff_note(d, STAGE_COLUMN, i, NULL, diff_what(d, i, "add identity of column", p.c->name),
              mem_strdup("it has to be NOT NULL first"));
    return true;
}

/* --- storage -----------------------------------------------------------------------------------
 */

static void diff_storage(struct diff *d, int i, size_t c)
{
    static const struct {
        char kind;
        const char *name;
    } kinds[] = {{'p', "PLAIN"}, {'e', "EXTERNAL"}, {'m', "MAIN"}, {'x', "EXTENDED"}};
    struct column_pair p = pair_of(d, i, c);
    if (strcmp(p.c->type, p.dc->type) != 0)
        return;
    for (size_t k = 0; !is_equal(p.rc->storage, p.drc->storage) && k < COUNT_OF(kinds); k++) {
        if (kinds[k].kind != p.rc->storage_kind)
            continue;
        struct buf b = alter_column(d, i, p.c->name, true);
        buf_printf(&b, "SET STORAGE %s", kinds[k].name);
        diff_run(d, STAGE_DETAIL, i, buf_take(&b),
                 diff_what(d, i, "set storage of column", p.c->name))
            ->is_optional = true;
    }
    if (p.rc->statistics == p.drc->statistics)
        return;
    struct buf b = alter_column(d, i, p.c->name, true);
    buf_printf(&b, "SET STATISTICS %d", p.rc->statistics);
    diff_run(d, STAGE_DETAIL, i, buf_take(&b),
             diff_what(d, i, "set statistics of column", p.c->name))
        ->is_optional = true;
}

/* A parent asks for it too: it comes with that one. */
static bool comes_with_parent(struct diff *d, int i, const struct column_pair *p)
{
    const struct read_table *rt = &d->src.tables[i];
    bool asked = false;
    for (size_t k = 0; k <= rt->n_parents; k++) {
        uint32_t oid = k < rt->n_parents ? rt->parents[k] : rt->parent;
        int parent = oid ? read_find_oid(&d->src, oid) : -1;
        const struct schema_column *c =
            parent < 0 ? NULL : find_column(&d->src.s->tables[parent], p->c->name);
        asked = asked || (c && c->not_null);
    }
    return asked && !p->drc->is_local;
}

bool diff_column(struct diff *d, int i, size_t c, struct err *err)
{
    struct column_pair p = pair_of(d, i, c);
    if ((p.c->is_generated || p.dc->is_generated) && !diff_generated(d, i, c, err))
        return false;
    p = pair_of(d, i, c);
    if (p.c->is_generated != p.dc->is_generated && p.c->is_generated)
        return true; /* told */
    if (!diff_type(d, i, c, err))
        return false;
    p = pair_of(d, i, c);
    if (p.c->not_null && !p.dc->not_null && !comes_with_parent(d, i, &p) &&
        !add_not_null(d, i, p.dc, err))
        return false;
    loosen_identity(d, i, c);
    if (!diff_default(d, i, c, err) || !diff_identity(d, i, c, err))
        return false;
    p = pair_of(d, i, c);
    if (!p.c->not_null && p.dc->not_null)
        diff_drop_not_null(d, i, p.c->name, "the source allows NULL");
    diff_storage(d, i, c);
    return true;
}

/* --- what counted for columns of before --------------------------------------------------------
 */

static bool has_sequence(const struct diff *d, int i, int attnum)
{
    for (size_t k = 0; k < d->src.n_sequences; k++) {
        const struct read_sequence *q = &d->src.sequences[k];
        if (!q->is_identity && q->owner == i && q->attnum == attnum)
            return true;
    }
    return false;
}

static void drop_sequence(struct diff *d, int i, int attnum, const char *name)
{
    const struct schema_table *t = &d->src.s->tables[i], *u = dest_of(d, i);
    for (size_t k = 0; k < u->n_columns; k++) {
        const struct schema_column *c = find_column(t, u->columns[k].name);
        const char *made = d->dst.tables[d->pairs[i].dest].columns[k].dest_default;
        if (u->columns[k].attnum != attnum || !c || c->is_excluded || has_sequence(d, i, c->attnum))
            continue;
        if (made && strstr(made, "nextval("))
            make_plain(d, i, c->name);
        diff_run(d, STAGE_COLUMN, i, mem_printf("DROP SEQUENCE %s", name),
                 mem_printf("drop sequence %s", name))
            ->is_optional = true;
    }
}

bool diff_drop_sequences(struct diff *d, int i, struct err *err)
{
    static const char sql[] =
        "SELECT d.refobjsubid, pg_catalog.format('%I.%I', n.nspname, c.relname)"
        " FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid"
        "  AND c.relkind = 'S' JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'a'"
        " AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
        " AND d.refobjid = $1::pg_catalog.oid AND d.refobjsubid > 0 ORDER BY 1, 2";
    struct pg_result *res = NULL;
    char oid[16];
    const char *values[] = {oid};
    str_printf(oid, sizeof oid, "%u", dest_of(d, i)->oid);
    if (!read_query(&d->dst, sql, COUNT_OF(values), values, &res, err))
        return false;
    for (size_t row = 0; row < pg_rows(res); row++)
        drop_sequence(d, i, (int)pg_int(res, row, 0), pg_text(res, row, 1));
    pg_free(res);
    return true;
}
