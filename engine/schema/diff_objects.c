/* Objects that the destination lacks altogether, and what the book is to remember. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

static int table_of(const struct diff *d, const struct schema_statement *st)
{
    for (size_t i = 0; i < d->src.s->n_tables; i++)
        if (strcmp(d->src.s->tables[i].dest_name, st->name) == 0 &&
            strcmp(d->src.s->tables[i].dest_schema, st->schema) == 0)
            return (int)i;
    return -1;
}

static void judge_table(struct diff *d, size_t k)
{
    const struct schema_statement *st = &d->src.s->before[k];
    int i = table_of(d, st);
    bool is_table = d->kinds[k] == 'r' || d->kinds[k] == 'p';
    if (i < 0 || st->is_part)
        return;
    d->pairs[i].is_new = !d->exists[k];
    if (!d->exists[k] || (is_table && (!d->src.s->tables[i].is_partitioned || d->kinds[k] == 'p')))
        return;
    d->pairs[i].is_unfit = true;
    diff_manual(d, STAGE_TABLE, i, NULL, mem_strdup(st->what),
                mem_strdup(is_table ? "it exists and is not partitioned, as the source's is"
                                    : "another relation has its name"));
}

/* An extension whose files the server lacks cannot be created by any statement. */
static bool is_available(struct diff *d, const char *extension, bool *out, struct err *err)
{
    struct pg_result *res = NULL;
    if (!read_query(&d->dst, "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = $1)",
                    1, &extension, &res, err))
        return false;
    *out = pg_bool(res, 0, 0);
    pg_free(res);
    return true;
}

static bool add_object(struct diff *d, const struct schema_statement *st, struct err *err)
{
    bool available = true;
    if (st->object == OBJECT_EXTENSION && !is_available(d, st->name, &available, err))
        return false;
    if (!st->sql) {
        diff_manual(d, STAGE_OBJECT, -1, NULL, mem_printf("create %s", st->what),
                    mem_strdup("it cannot be created from here: create it first"));
    } else if (!available && st->optional) {
        diff_note(d, STAGE_OBJECT, -1, mem_strdup(st->sql), mem_printf("create %s", st->what),
                  mem_strdup("the destination's server does not have it"));
    } else if (!available) {
        diff_manual(d, STAGE_OBJECT, -1, mem_strdup(st->sql), mem_printf("create %s", st->what),
                    mem_strdup("the destination's server does not have it: install it first"));
    } else {
        diff_run(d, STAGE_OBJECT, -1, mem_strdup(st->sql), mem_printf("create %s", st->what))
            ->is_optional = st->optional;
    }
    return true;
}

bool diff_objects(struct diff *d, struct err *err)
{
    for (size_t k = 0; k < d->src.s->n_before; k++) {
        const struct schema_statement *st = &d->src.s->before[k];
        if (d->is_left[k])
            continue;
        if (st->object == OBJECT_TABLE) {
            judge_table(d, k);
        } else if (st->after_table && d->pairs[st->after_table - 1].is_new) {
            continue; /* with its table */
        } else if (!d->exists[k]) {
            if (!add_object(d, st, err))
                return false;
        } else if (st->object == OBJECT_SEQUENCE && d->kinds[k] != 'S') {
            diff_manual(d, STAGE_OBJECT, -1, NULL, mem_printf("create %s", st->what),
                        mem_strdup("another relation has its name"));
        }
    }
    /* Constraints and defaults of new domains that need functions, as after a copy. */
    for (size_t k = 0; k < d->src.s->n_after; k++) {
        const struct schema_statement *st = &d->src.s->after[k];
        if (st->object == OBJECT_TYPE && diff_is_new(d, OBJECT_TYPE, st->schema, st->name))
            diff_run(d, STAGE_VALIDATE, -1, mem_strdup(st->sql), mem_strdup(st->what))
                ->is_optional = true;
    }
    return true;
}

bool diff_is_new(const struct diff *d, enum schema_object object, const char *schema,
                 const char *name)
{
    for (size_t k = 0; k < d->src.s->n_before; k++) {
        const struct schema_statement *st = &d->src.s->before[k];
        if (st->object == object && !st->is_part && !d->exists[k] && !d->is_left[k] &&
            strcmp(st->name, name) == 0 && strcmp(st->schema, schema) == 0)
            return true;
    }
    return false;
}

/* --- the book ----------------------------------------------------------------------------------
 */

static void remember(struct diff *d, int i, enum book_kind kind, int64_t number, const char *name,
                     const char *detail)
{
    const struct schema_table *t = &d->src.s->tables[i];
    book_add(&d->next, t->oid, kind, number, name, detail, t->dest_schema, t->dest_name);
}

/* While something is left to be done about a column, what was known before stays: the table's file
 * too, for it tells whether rows were rewritten since. */
static void remember_table(struct diff *d, int i)
{
    const struct schema_table *t = &d->src.s->tables[i];
    const struct table_map *m = &d->src_maps[t->mapping];
    const struct book_part *was = book_find(&d->book, t->oid, BOOK_TABLE, -1, NULL);
    bool keep = d->pairs[i].has_pending && was;
    if (d->pairs[i].has_pending && !was)
        return;
    remember(d, i, BOOK_TABLE, keep ? was->number : d->src.tables[i].filenode, m->source_table,
             m->source_schema);
}

static bool is_remembered(const struct diff *d, size_t from, enum book_kind kind, int64_t number,
                          const char *name)
{
    for (size_t k = from; k < d->next.n; k++)
        if (d->next.items[k].kind == kind &&
            (d->next.items[k].number == number || strcmp(d->next.items[k].name, name) == 0))
            return true;
    return false;
}

static bool is_pending(const struct diff *d, int i, int attnum)
{
    const struct schema_table *t = &d->src.s->tables[i];
    const struct schema_column *c = read_find_column(t, attnum);
    return c && d->pairs[i].is_pending[c - t->columns];
}

/* Names of columns that the source dropped and the destination keeps, and of those that wait for
 * the operator. */
static void remember_old_columns(struct diff *d, int i, size_t from)
{
    const struct schema_table *t = &d->src.s->tables[i], *u = dest_of(d, i);
    for (size_t k = 0; u && k < d->book.n; k++) {
        const struct book_part *p = &d->book.items[k];
        if (p->oid != t->oid)
            continue;
        bool is_open = (p->kind == BOOK_EXCLUDED || p->kind == BOOK_COLUMN) &&
                       is_pending(d, i, (int)p->number);
        if ((is_open || (p->kind == BOOK_COLUMN && find_column(u, p->name))) &&
            !is_remembered(d, from, p->kind, p->number, p->name))
            remember(d, i, p->kind, p->number, p->name, NULL);
    }
}

static void remember_columns(struct diff *d, int i)
{
    const struct schema_table *t = &d->src.s->tables[i], *u = dest_of(d, i);
    size_t from = d->next.n;
    for (size_t c = 0; c < t->n_columns; c++) {
        const struct schema_column *col = &t->columns[c];
        if (col->is_excluded)
            remember(d, i, BOOK_EXCLUDED, col->attnum, col->name, NULL);
        else if (!d->pairs[i].is_pending[c] && (!u || find_column(u, col->name)))
            remember(d, i, BOOK_COLUMN, col->attnum, col->name, NULL);
        if (col->comment && !col->is_excluded)
            remember(d, i, BOOK_COMMENT, col->attnum, "", NULL);
    }
    remember_old_columns(d, i, from);
}

static void remember_parts(struct diff *d, int i)
{
    const struct schema_table *t = &d->src.s->tables[i];
    const struct read_table *rt = &d->src.tables[i];
    for (size_t k = 0; k < t->n_indexes; k++)
        if (!d->pairs[i].is_own_index[k])
            remember(d, i, BOOK_INDEX, 0, t->indexes[k].name, NULL);
    for (size_t k = 0; k < rt->n_checks; k++)
        remember(d, i, BOOK_CHECK, 0, rt->checks[k].name, NULL);
    for (size_t k = 0; k < t->n_fkeys; k++)
        remember(d, i, BOOK_FKEY, 0, t->fkeys[k].name, NULL);
    for (size_t k = 0; k < rt->options.n; k++) {
        char *name =
            mem_printf("%.*s", (int)strcspn(rt->options.items[k], "="), rt->options.items[k]);
        remember(d, i, BOOK_OPTION, 0, name, NULL);
        free(name);
    }
    if (rt->comment)
        remember(d, i, BOOK_COMMENT, 0, "", NULL);
}

static void keep_parts(struct diff *d, int i)
{
    for (size_t k = 0; k < d->book.n; k++) {
        const struct book_part *p = &d->book.items[k];
        if (p->oid == d->src.s->tables[i].oid)
            remember(d, i, p->kind, p->number, p->name, p->detail);
    }
}

/* A foreign key may be aside, as its table is copied (copy/restore.h): it comes back as ours. */
static bool is_at_dest(const struct diff *d, int j, const struct book_part *p)
{
    const struct schema_table *u = &d->dst.s->tables[j];
    const struct read_table *ru = &d->dst.tables[j];
    bool found = p->kind == BOOK_COLUMN && find_column(u, p->name);
    for (size_t k = 0; p->kind == BOOK_INDEX && k < u->n_indexes; k++)
        found = found || strcmp(u->indexes[k].name, p->name) == 0;
    for (size_t k = 0; p->kind == BOOK_CHECK && k < ru->n_checks; k++)
        found = found || strcmp(ru->checks[k].name, p->name) == 0;
    return found || p->kind == BOOK_FKEY;
}

/* The source has no part of that name any more, and the column's number is not another name now. */
static bool is_gone(const struct diff *d, int i, const struct book_part *p)
{
    const struct schema_table *t = &d->src.s->tables[i];
    if (p->kind == BOOK_COLUMN && (read_find_column(t, (int)p->number) || find_column(t, p->name)))
        return false;
    for (size_t k = 0; k < d->next.n; k++)
        if (d->next.items[k].oid == p->oid && d->next.items[k].kind == p->kind &&
            strcmp(d->next.items[k].name, p->name) == 0)
            return false;
    return true;
}

void diff_remember_kept(struct diff *d, const struct book *before)
{
    for (int i = 0; i < (int)d->src.s->n_tables; i++) {
        int j = d->pairs[i].dest;
        for (size_t k = 0; j >= 0 && k < before->n; k++) {
            const struct book_part *p = &before->items[k];
            if (p->oid == d->src.s->tables[i].oid && is_at_dest(d, j, p) && is_gone(d, i, p))
                remember(d, i, p->kind, p->number, p->name, NULL);
        }
    }
}

void diff_remember(struct diff *d)
{
    for (int i = 0; i < (int)d->src.s->n_tables; i++) {
        if (d->pairs[i].is_unfit) {
            keep_parts(d, i);
            continue;
        }
        remember_table(d, i);
        remember_columns(d, i);
        remember_parts(d, i);
    }
    diff_remember_kept(d, &d->book); /* what could not go yet */
}
