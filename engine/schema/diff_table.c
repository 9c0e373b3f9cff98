/* A table as a whole: where it hangs, its storage parameters, replica identity, comments; tables
 * that are new, and tables that are gone. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

static bool is_equal(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

/* --- new ---------------------------------------------------------------------------------------
 */

/* A partition that was made as one is published with its parent from its first row on; one that
 * was a table before has rows that no stream brings. Its system columns are of the transaction that
 * made it, its entry in pg_inherits of the one that attached it. Columns: the same, that one. */
static const char birth_sql[] =
    "SELECT a.xmin = i.xmin, a.xmin FROM pg_attribute a JOIN pg_inherits i"
    " ON i.inhrelid = a.attrelid WHERE a.attrelid = $1::oid AND a.attnum < 0 LIMIT 1";

/* Are there rows that came before it was a partition, or may have? In one transaction both may have
 * been done with rows in between. */
static bool ask_old_rows(struct diff *d, int i, const char *birth, bool *some, struct err *err)
{
    const struct schema_table *t = &d->src.s->tables[i];
    struct buf sql = {0};
    bool known;
    buf_puts(&sql, "SELECT EXISTS (SELECT FROM ONLY ");
    pg_quote_qualified(&sql, t->schema, t->name);
    if (birth)
        buf_printf(&sql, " WHERE xmin = '%s'::pg_catalog.xid", birth);
    buf_putc(&sql, ')');
    bool ok = ask_slowly(d->source, d->task, buf_text(&sql), some, &known, err);
    *some = *some || !known;
    buf_free(&sql);
    return ok;
}

static bool needs_copy(struct diff *d, int i, bool *out, struct err *err)
{
    const struct schema_table *t = &d->src.s->tables[i];
    uint32_t parent = d->src.tables[i].parent;
    int above = parent ? read_find_oid(&d->src, parent) : -1;
    char oid[16];
    const char *values[] = {oid};
    struct pg_result *res = NULL;
    *out = !t->is_partitioned;
    d->pairs[i].is_attached = true;
    if (above < 0 || (d->pairs[above].is_new && d->pairs[above].is_attached))
        return true; /* all of it is new */
    str_printf(oid, sizeof oid, "%u", t->oid);
    if (!read_query(&d->src, birth_sql, 1, values, &res, err))
        return false;
    d->pairs[i].is_attached = !pg_bool(res, 0, 0);
    bool ok = t->is_partitioned ||
              ask_old_rows(d, i, d->pairs[i].is_attached ? NULL : pg_text(res, 0, 1), out, err);
    pg_free(res);
    return ok;
}

/* Parent k of a table at the source that the destination has already, or the one that comes next
 * above it; -1: all above it is new, or none of the mirror's. */
static int standing_parent(const struct diff *d, int i, size_t k)
{
    const struct read_table *rt = &d->src.tables[i];
    uint32_t oid = k < rt->n_parents ? rt->parents[k] : k == rt->n_parents ? rt->parent : 0;
    int above = oid ? read_find_oid(&d->src, oid) : -1;
    if (above < 0 || d->pairs[above].dest >= 0)
        return above;
    for (size_t p = 0; p <= d->src.tables[above].n_parents; p++) {
        int found = standing_parent(d, above, p);
        if (found >= 0)
            return found;
    }
    return -1;
}

/* The server refuses a child whose columns are not those of its parent, name by name and type by
 * type; the names of those that the parent lacks, NULL: it would not. Caller frees. */
static char *misfit(struct diff *d, int i, int above)
{
    const struct schema_table *t = &d->src.s->tables[i], *u = dest_of(d, above);
    for (size_t c = 0; c < t->n_columns; c++) {
        const struct schema_column *dc = find_column(u, t->columns[c].name);
        bool is_shared = find_column(&d->src.s->tables[above], t->columns[c].name) != NULL;
        if (!t->columns[c].is_excluded && is_shared &&
            (!dc || strcmp(dc->type, t->columns[c].type) != 0))
            return mem_printf("%s.%s is not yet what it is at the source, in column %s: this "
                              "one follows it",
                              u->dest_schema, u->dest_name, t->columns[c].name);
    }
    return NULL;
}

/* Columns that only the destination's parent has: dropped ones that are kept, the operator's own.
 */
static void add_extras(struct diff *d, int i, int above, struct name_list *added)
{
    const struct schema_table *t = &d->src.s->tables[i], *u = dest_of(d, above);
    for (size_t k = 0; k < u->n_columns; k++) {
        const struct schema_column *dc = &u->columns[k];
        const struct read_column *drc = &d->dst.tables[d->pairs[above].dest].columns[k];
        const struct schema_column *own = find_column(t, dc->name);
        if ((own && !own->is_excluded) || name_list_has(added, dc->name))
            continue;
        struct buf b = alter_table(d, i, false);
        buf_puts(&b, "ADD COLUMN ");
        pg_quote_ident(&b, dc->name);
        buf_printf(&b, " %s", dc->type);
        if (dc->collation)
            buf_printf(&b, " COLLATE %s", dc->collation);
        if (dc->is_generated)
            buf_printf(&b, " GENERATED ALWAYS AS (%s) STORED", dc->default_expr);
        else if (drc->dest_default)
            buf_printf(&b, " DEFAULT %s", drc->dest_default);
        buf_puts(&b, dc->not_null ? " NOT NULL" : "");
        diff_run(d, STAGE_TABLE, i, buf_take(&b), diff_what(d, i, "add column", dc->name));
        name_list_add(added, mem_strdup(dc->name));
    }
}

static void add_all_extras(struct diff *d, int i)
{
    struct name_list added = {0};
    for (size_t k = 0; k <= d->src.tables[i].n_parents; k++) {
        int above = standing_parent(d, i, k);
        if (above >= 0)
            add_extras(d, i, above, &added);
    }
    name_list_free(&added);
}

/* It would hold the whole plan up, and a copy that the parent needs with it. */
static bool waits_for_parent(struct diff *d, int i)
{
    for (size_t k = 0; k <= d->src.tables[i].n_parents; k++) {
        int above = standing_parent(d, i, k);
        char *why = above < 0 ? NULL : misfit(d, i, above);
        if (!why)
            continue;
        diff_manual(d, STAGE_TABLE, i, NULL, diff_what(d, i, "create table", NULL), why);
        d->pairs[i].is_unfit = true;
        return true;
    }
    return false;
}

bool diff_new_table(struct diff *d, int i, struct err *err)
{
    const struct schema_table *t = &d->src.s->tables[i];
    bool is_copied;
    if (waits_for_parent(d, i))
        return true;
    if (!needs_copy(d, i, &is_copied, err))
        return false;
    for (size_t k = 0; k < d->src.s->n_before; k++) {
        const struct schema_statement *st = &d->src.s->before[k];
        if (st->object != OBJECT_TABLE || strcmp(st->name, t->dest_name) != 0 ||
            strcmp(st->schema, t->dest_schema) != 0 ||
            (st->older_than && d->dst.s->server_version >= st->older_than))
            continue;
        struct schema_step *s =
            diff_run(d, STAGE_TABLE, i, mem_strdup(st->sql),
                     mem_printf("%s %s", st->is_part ? "define" : "create", st->what));
        s->is_optional = st->optional;
        s->needs_copy = is_copied && !st->is_part;
        s->makes_table = !st->is_part;
        if (!st->is_part)
            add_all_extras(d, i);
    }
    for (size_t k = 0; k < d->src.s->n_before; k++)
        if (d->src.s->before[k].after_table == i + 1 && !d->exists[k] && !d->is_left[k])
            diff_run(d, STAGE_TABLE, -1, mem_strdup(d->src.s->before[k].sql),
                     mem_printf("create %s", d->src.s->before[k].what));
    return true;
}

/* --- where it hangs ----------------------------------------------------------------------------
 */

/* Source table of the relation with that OID at the destination; -1: none of the mirror's. */
static int source_of(const struct diff *d, uint32_t dest_oid)
{
    for (size_t j = 0; j < d->dst.s->n_tables; j++)
        if (d->dst.s->tables[j].oid == dest_oid)
            return d->dst.s->tables[j].mapping;
    return -1;
}

static char *attach_sql(const struct diff *d, int parent, int i, const char *verb, const char *tail)
{
    struct buf b = alter_table(d, parent, false);
    buf_printf(&b, "%s PARTITION ", verb);
    pg_quote_qualified(&b, d->src.s->tables[i].dest_schema, d->src.s->tables[i].dest_name);
    buf_printf(&b, "%s%s", tail ? " " : "", tail ? tail : "");
    return buf_take(&b);
}

static void diff_partition(struct diff *d, int i)
{
    const struct read_table *rt = &d->src.tables[i], *ru = &d->dst.tables[d->pairs[i].dest];
    int is = ru->parent ? source_of(d, ru->parent) : -1;
    int should = rt->parent ? read_find_oid(&d->src, rt->parent) : -1;
    if (is == should && (is < 0 || is_equal(rt->part_bound, ru->part_bound)))
        return;
    if (is >= 0 && should < 0) /* its rows stay, in a table of its own */
        diff_run(d, STAGE_DETACH, i, attach_sql(d, is, i, "DETACH", NULL),
                 diff_what(d, i, "detach partition", NULL));
    else if (is >= 0)
        diff_manual(d, STAGE_DETACH, i, attach_sql(d, is, i, "DETACH", NULL),
                    diff_what(d, i, "detach partition", NULL),
                    mem_strdup("it is another partition at the source"));
    if (should >= 0)
        diff_manual(d, STAGE_DETAIL, i, attach_sql(d, should, i, "ATTACH", rt->part_bound),
                    diff_what(d, i, "attach partition", NULL),
                    mem_strdup("a table of that name was there already; its rows become the "
                               "parent's"));
}

static bool has_parent(const struct diff *d, const struct read_table *ru, int parent)
{
    for (size_t p = 0; p < ru->n_parents; p++)
        if (source_of(d, ru->parents[p]) == parent)
            return true;
    return false;
}

static struct schema_step *change_parent(struct diff *d, enum stage stage, int i, int parent,
                                         const char *verb)
{
    struct buf b = alter_table(d, i, false);
    buf_printf(&b, "%s ", verb);
    pg_quote_qualified(&b, d->src.s->tables[parent].dest_schema,
                       d->src.s->tables[parent].dest_name);
    return diff_run(d, stage, i, buf_take(&b), diff_what(d, i, "change inheritance", NULL));
}

/* Its columns are its own afterwards. */
static void leave_parent(struct diff *d, int i, size_t p)
{
    struct schema_table *u = dest_of(d, i);
    struct read_table *ru = &d->dst.tables[d->pairs[i].dest];
    (void)change_parent(d, STAGE_RELEASE, i, source_of(d, ru->parents[p]), "NO INHERIT");
    ru->n_parents--;
    memmove(&ru->parents[p], &ru->parents[p + 1], (ru->n_parents - p) * sizeof ru->parents[0]);
    for (size_t c = 0; c < u->n_columns && !ru->n_parents; c++)
        ru->columns[c].is_local = true;
    for (size_t k = 0; k < ru->n_checks && !ru->n_parents; k++)
        ru->checks[k].is_local = true;
}

void diff_leave_parents(struct diff *d, int i)
{
    const struct read_table *rt = &d->src.tables[i], *ru = &d->dst.tables[d->pairs[i].dest];
    for (size_t p = ru->n_parents; p-- > 0;) {
        int parent = source_of(d, ru->parents[p]);
        bool is_there = parent < 0; /* the operator's own */
        for (size_t k = 0; k < rt->n_parents; k++)
            is_there = is_there || read_find_oid(&d->src, rt->parents[k]) == parent;
        if (!is_there)
            leave_parent(d, i, p);
    }
}

/* The server compares columns and checks: what does not fit is left out, and told. */
static void diff_inheritance(struct diff *d, int i)
{
    const struct read_table *rt = &d->src.tables[i], *ru = &d->dst.tables[d->pairs[i].dest];
    for (size_t p = 0; p < rt->n_parents; p++) {
        int parent = read_find_oid(&d->src, rt->parents[p]);
        if (has_parent(d, ru, parent))
            continue;
        struct schema_step *s = change_parent(d, STAGE_VALIDATE, i, parent, "INHERIT");
        s->is_late = true;
        s->is_optional = true;
    }
}

static void diff_kind(struct diff *d, int i)
{
    const struct schema_table *t = &d->src.s->tables[i], *u = dest_of(d, i);
    const struct read_table *rt = &d->src.tables[i], *ru = &d->dst.tables[d->pairs[i].dest];
    /* A key with names that change in this plan is compared the next time. */
    bool is_renamed = d->old[d->pairs[i].dest].is_renamed;
    if (rt->part_key && !(ru->part_key && is_renamed) && !is_equal(rt->part_key, ru->part_key))
        diff_manual(d, STAGE_DETAIL, i, NULL, diff_what(d, i, "partition", NULL),
                    mem_printf("it is partitioned by %s at the source, by %s here: PostgreSQL "
                               "cannot change that",
                               rt->part_key, ru->part_key ? ru->part_key : "nothing"));
    if (t->is_unlogged == u->is_unlogged)
        return;
    struct buf b = alter_table(d, i, false);
    buf_puts(&b, t->is_unlogged ? "SET UNLOGGED" : "SET LOGGED");
    diff_manual(d, STAGE_DETAIL, i, buf_take(&b),
                diff_what(d, i, t->is_unlogged ? "set unlogged" : "set logged", NULL),
                mem_strdup("it rewrites the whole table"));
}

/* --- storage parameters, comments --------------------------------------------------------------
 */

static bool is_same_option(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return strcspn(b, "=") == n && strncmp(a, b, n) == 0;
}

static void set_option(struct diff *d, int i, const char *verb, const char *option, size_t n)
{
    struct buf b = alter_table(d, i, true);
    buf_printf(&b, "%s (%.*s)", verb, (int)n, option);
    char *what = mem_printf("%s %.*s of %s.%s", strcmp(verb, "SET") == 0 ? "set" : "reset",
                            (int)strcspn(option, "="), option, d->src.s->tables[i].dest_schema,
                            d->src.s->tables[i].dest_name);
    diff_run(d, STAGE_DETAIL, i, buf_take(&b), what)->is_optional = true;
}

/* What only the destination has set is its operator's. */
static void diff_options(struct diff *d, int i)
{
    const struct name_list *to = &d->src.tables[i].options;
    const struct name_list *from = &d->dst.tables[d->pairs[i].dest].options;
    for (size_t k = 0; k < to->n; k++)
        if (!name_list_has(from, to->items[k]))
            set_option(d, i, "SET", to->items[k], strlen(to->items[k]));
    for (size_t k = 0; k < from->n; k++) {
        const char *option = from->items[k];
        bool is_wanted = false;
        for (size_t o = 0; o < to->n; o++)
            is_wanted = is_wanted || is_same_option(to->items[o], option);
        char *name = mem_printf("%.*s", (int)strcspn(option, "="), option);
        if (!is_wanted && book_find(&d->book, d->src.s->tables[i].oid, BOOK_OPTION, -1, name))
            set_option(d, i, "RESET", option, strlen(name));
        free(name);
    }
}

static void diff_comment(struct diff *d, int i, const struct schema_column *c, const char *to,
                         const char *from)
{
    const struct schema_table *t = &d->src.s->tables[i];
    if (is_equal(to, from) ||
        (!to && !book_find(&d->book, t->oid, BOOK_COMMENT, c ? c->attnum : 0, NULL)))
        return;
    struct buf b = {0};
    buf_puts(&b, c ? "COMMENT ON COLUMN " : "COMMENT ON TABLE ");
    pg_quote_qualified(&b, t->dest_schema, t->dest_name);
    if (c) {
        buf_putc(&b, '.');
        pg_quote_ident(&b, c->name);
    }
    buf_puts(&b, " IS ");
    if (to)
        pg_quote_literal(&b, to);
    else
        buf_puts(&b, "NULL");
    diff_run(d, STAGE_DETAIL, i, buf_take(&b),
             diff_what(d, i, c ? "comment on column" : "comment on table", c ? c->name : NULL))
        ->is_optional = true;
}

static void diff_comments(struct diff *d, int i)
{
    const struct schema_table *t = &d->src.s->tables[i], *u = dest_of(d, i);
    diff_comment(d, i, NULL, d->src.tables[i].comment, d->dst.tables[d->pairs[i].dest].comment);
    for (size_t c = 0; c < t->n_columns; c++) {
        const struct schema_column *dc = find_column(u, t->columns[c].name);
        if (dc && !t->columns[c].is_excluded && !d->pairs[i].is_pending[c])
            diff_comment(d, i, &t->columns[c], t->columns[c].comment, dc->comment);
    }
}

bool diff_table_details(struct diff *d, int i, struct err *err)
{
    (void)err;
    diff_kind(d, i);
    diff_partition(d, i);
    diff_inheritance(d, i);
    diff_options(d, i);
    diff_comments(d, i);
    return true;
}

/* --- replica identity --------------------------------------------------------------------------
 */

static const struct schema_index *identity_of(const struct schema_table *t)
{
    for (size_t k = 0; k < t->n_indexes; k++)
        if (t->indexes[k].is_replica_identity)
            return &t->indexes[k];
    return NULL;
}

/* After the indexes: it may be one of them. */
void diff_identity_of_table(struct diff *d, int i)
{
    static const struct {
        char kind;
        const char *word;
    } words[] = {{'d', "DEFAULT"}, {'f', "FULL"}, {'n', "NOTHING"}};
    const struct schema_table *t = &d->src.s->tables[i], *u = dest_of(d, i);
    const struct schema_index *to = identity_of(t), *from = u ? identity_of(u) : NULL;
    bool is_same =
        u && t->replica_identity == u->replica_identity &&
        (t->replica_identity != 'i' || (to && from && strcmp(to->name, from->name) == 0));
    bool is_made = !u && t->replica_identity != 'i'; /* by CREATE TABLE's parts */
    if (is_same || is_made)
        return;
    struct buf b = alter_table(d, i, true);
    buf_puts(&b, "REPLICA IDENTITY ");
    for (size_t k = 0; k < COUNT_OF(words); k++)
        if (words[k].kind == t->replica_identity)
            buf_puts(&b, words[k].word);
    if (t->replica_identity == 'i') {
        if (!to || d->pairs[i].is_own_index[to - t->indexes]) {
            buf_free(&b);
            return;
        }
        buf_puts(&b, "USING INDEX ");
        pg_quote_ident(&b, to->name);
    }
    struct schema_step *s = diff_run(d, STAGE_VALIDATE, i, buf_take(&b),
                                     diff_what(d, i, "set replica identity of", NULL));
    s->is_optional = true;
    s->is_late = t->replica_identity == 'i' && u != NULL; /* as its index */
}

/* --- gone --------------------------------------------------------------------------------------
 */

/* Tables of the book that the source's mapped ones do not have: under which name it has them now,
 * whether the destination has its table still, and the partitioned table that it is part of. */
static const char gone_sql[] =
    "SELECT u.ord - 1, c.oid IS NOT NULL, c.relispartition, pc.oid,"
    " CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid END FROM"
    " unnest($1::text[], $2::text[]) WITH ORDINALITY u(s, t, ord)"
    " JOIN pg_namespace n ON n.nspname = u.s"
    " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.t AND c.relkind IN ('r', 'p')"
    " LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND c.relispartition"
    " LEFT JOIN pg_class pc ON pc.oid = i.inhparent ORDER BY u.ord";
static const char moved_sql[] =
    "SELECT u.ord - 1, n.nspname, c.relname FROM unnest($1::oid[]) WITH ORDINALITY u(oid, ord)"
    " JOIN pg_class c ON c.oid = u.oid JOIN pg_namespace n ON n.oid = c.relnamespace";

struct gone {
    const struct book_part *part;
    bool is_mapped; /* its mapping is still there */
    bool is_at_dest, is_partition;
    uint32_t dest_parent, dest_root;
    char *now; /* its name at the source; NULL: dropped */
};
struct gone_list {
    struct gone *items;
    size_t n, cap;
};

static bool is_in_maps(const struct diff *d, const struct book_part *p)
{
    for (size_t m = 0; m < d->config->n_tables; m++)
        if (strcmp(d->config->tables[m].source_table, p->name) == 0 &&
            strcmp(d->config->tables[m].source_schema, p->detail) == 0)
            return true;
    return false;
}

static void collect_gone(struct diff *d, struct gone_list *out)
{
    for (size_t k = 0; k < d->book.n; k++) {
        const struct book_part *p = &d->book.items[k];
        if (p->kind != BOOK_TABLE || read_find_oid(&d->src, p->oid) >= 0 || !is_in_maps(d, p))
            continue;
        struct gone g = {.part = p};
        MEM_PUSH(out->items, out->n, out->cap, g);
    }
}

static bool ask_dest(struct diff *d, struct gone_list *l, struct err *err)
{
    struct buf schemas = {0}, names = {0};
    const char **a = mem_calloc(l->n + 1, sizeof *a), **b = mem_calloc(l->n + 1, sizeof *b);
    struct pg_result *res = NULL;
    for (size_t k = 0; k < l->n; k++) {
        a[k] = l->items[k].part->dest_schema;
        b[k] = l->items[k].part->dest_name;
    }
    pg_quote_array(&schemas, l->n, a);
    pg_quote_array(&names, l->n, b);
    const char *values[] = {buf_text(&schemas), buf_text(&names)};
    bool ok = read_query(&d->dst, gone_sql, 2, values, &res, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++) {
        struct gone *g = &l->items[pg_int(res, row, 0)];
        g->is_at_dest = pg_bool(res, row, 1);
        g->is_partition = pg_bool(res, row, 2);
        g->dest_parent = (uint32_t)pg_int(res, row, 3);
        g->dest_root = (uint32_t)pg_int(res, row, 4);
    }
    pg_free(res);
    buf_free(&schemas);
    buf_free(&names);
    free(a);
    free(b);
    return ok;
}

static bool ask_source(struct diff *d, struct gone_list *l, struct err *err)
{
    struct buf oids = {0};
    struct pg_result *res = NULL;
    buf_putc(&oids, '{');
    for (size_t k = 0; k < l->n; k++)
        buf_printf(&oids, "%s%u", k ? "," : "", l->items[k].part->oid);
    buf_putc(&oids, '}');
    const char *values[] = {buf_text(&oids)};
    bool ok = read_query(&d->src, moved_sql, 1, values, &res, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++)
        l->items[pg_int(res, row, 0)].now =
            mem_printf("%s.%s", pg_text(res, row, 1), pg_text(res, row, 2));
    pg_free(res);
    buf_free(&oids);
    return ok;
}

static char *gone_sql_of(const struct gone *g)
{
    struct buf b = {0};
    if (g->now)
        return NULL; /* the mapping is to change */
    buf_puts(&b, "DROP TABLE ");
    pg_quote_qualified(&b, g->part->dest_schema, g->part->dest_name);
    return buf_take(&b);
}

/* The parent has its rows no more at the source. They stay, in a table of their own. */
static bool detach_gone(struct diff *d, const struct gone *g)
{
    int parent = g->is_partition ? source_of(d, g->dest_parent) : -1;
    if (parent < 0)
        return false;
    struct buf b = alter_table(d, parent, false);
    buf_puts(&b, "DETACH PARTITION ");
    pg_quote_qualified(&b, g->part->dest_schema, g->part->dest_name);
    diff_run(d, STAGE_DETACH, -1, buf_take(&b),
             mem_printf("detach partition %s.%s", g->part->dest_schema, g->part->dest_name))
        ->table = mem_printf("%s.%s", g->part->dest_schema, g->part->dest_name);
    return true;
}

static void keep_parts(struct diff *d, const struct book_part *p)
{
    for (size_t k = 0; k < d->book.n; k++) {
        const struct book_part *q = &d->book.items[k];
        if (q->oid == p->oid)
            book_add(&d->next, q->oid, q->kind, q->number, q->name, q->detail, q->dest_schema,
                     q->dest_name);
    }
}

/* The source has another table under the old one's name. */
static bool is_made_anew(struct diff *d, const struct book_part *p)
{
    for (size_t i = 0; i < d->src.s->n_tables; i++) {
        const struct schema_table *t = &d->src.s->tables[i];
        if (strcmp(t->dest_name, p->dest_name) != 0 || strcmp(t->dest_schema, p->dest_schema) != 0)
            continue;
        diff_manual(d, STAGE_DETAIL, (int)i, NULL, diff_what(d, (int)i, "replace table", NULL),
                    mem_strdup("it was dropped and created again at the source: it is copied "
                               "again"))
            ->needs_copy = true;
        return true;
    }
    return false;
}

/* It was a partition, and is none on either side: nobody's any more. */
static bool is_released(struct diff *d, const struct gone *g)
{
    bool is_map_there = false;
    for (size_t m = 0; m < d->n_src_maps; m++)
        is_map_there = is_map_there || (strcmp(d->src_maps[m].source_table, g->part->name) == 0 &&
                                        strcmp(d->src_maps[m].source_schema, g->part->detail) == 0);
    return g->now && is_map_there && !(g->dest_root && source_of(d, g->dest_root) >= 0);
}

/* Renamed, dropped or detached: the destination's table stays with its rows, and the book keeps
 * what it knows until it is gone too. */
static void tell_gone(struct diff *d, const struct gone *g)
{
    const struct book_part *p = g->part;
    if (is_made_anew(d, p)) {
        keep_parts(d, p);
        return;
    }
    if (is_released(d, g))
        return;
    if (detach_gone(d, g) || g->is_partition) { /* … or it goes along with its parent */
        keep_parts(d, p);
        return;
    }
    char *why = g->now ? mem_printf("the source's table is %s now and not part of the mapping: "
                                    "change the mapping",
                                    g->now)
                       : mem_strdup("the source has dropped it; its rows are kept here until you "
                                    "remove them");
    struct schema_step *s =
        diff_manual(d, STAGE_DETAIL, -1, gone_sql_of(g),
                    mem_printf("table %s.%s", p->dest_schema, p->dest_name), why);
    s->table = mem_printf("%s.%s", p->dest_schema, p->dest_name);
    keep_parts(d, p);
}

/* A mapped table that the source has not, and of which nothing is known. */
static void tell_unknown(struct diff *d, const struct gone_list *l)
{
    for (size_t m = 0; m < d->config->n_tables; m++) {
        const struct table_map *map = &d->config->tables[m];
        bool is_told = false;
        for (size_t k = 0; k < d->n_src_maps && !is_told; k++)
            is_told = strcmp(d->src_maps[k].source_table, map->source_table) == 0 &&
                      strcmp(d->src_maps[k].source_schema, map->source_schema) == 0;
        for (size_t k = 0; k < l->n && !is_told; k++)
            is_told = l->items[k].is_at_dest &&
                      strcmp(l->items[k].part->dest_name, map->dest_table) == 0 &&
                      strcmp(l->items[k].part->dest_schema, map->dest_schema) == 0;
        if (is_told)
            continue;
        diff_manual(d, STAGE_DETAIL, -1, NULL,
                    mem_printf("table %s.%s", map->dest_schema, map->dest_table),
                    mem_printf("the source has no table %s.%s: take it out of the mapping, or map "
                               "its new name",
                               map->source_schema, map->source_table))
            ->table = mem_printf("%s.%s", map->dest_schema, map->dest_table);
    }
}

bool diff_gone_tables(struct diff *d, struct err *err)
{
    struct gone_list l = {0};
    collect_gone(d, &l);
    bool ok = !l.n || (ask_dest(d, &l, err) && ask_source(d, &l, err));
    for (size_t k = 0; ok && k < l.n; k++)
        if (l.items[k].is_at_dest)
            tell_gone(d, &l.items[k]);
    if (ok)
        tell_unknown(d, &l);
    for (size_t k = 0; k < l.n; k++)
        free(l.items[k].now);
    free(l.items);
    return ok;
}
