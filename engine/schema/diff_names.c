/* Names that the destination would cut off (names.h): what they belong to is left alone, and told.
 */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

#include "schema/names.h"

static bool ask(struct diff *d, struct long_name_list *out, struct err *err)
{
    size_t n = d->src.s->n_tables;
    struct buf excludes = {0}, *each = mem_calloc(n + 1, sizeof *each);
    const char **items = mem_calloc(n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++) {
        const struct table_map *m = &d->src_maps[d->src.s->tables[i].mapping];
        pg_quote_array(&each[i], m->n_exclude, (const char *const *)m->exclude);
        items[i] = buf_text(&each[i]);
    }
    pg_quote_array(&excludes, n, items);
    bool ok = names_find_long(d->source, d->task, d->dest, d->task, d->src.oids,
                              buf_text(&excludes), out, err);
    for (size_t i = 0; i < n; i++)
        buf_free(&each[i]);
    free(each);
    free(items);
    buf_free(&excludes);
    return ok;
}

static void leave_object(struct diff *d, const struct long_name *x)
{
    for (size_t k = 0; x->owner[0] && k < d->src.s->n_before; k++) {
        const struct schema_statement *st = &d->src.s->before[k];
        const char *schema = st->source_schema ? st->source_schema : st->schema;
        if (st->object != OBJECT_TABLE && strcmp(st->name, x->owner) == 0 &&
            strcmp(schema, x->owner_schema) == 0)
            d->is_left[k] = true;
    }
}

static bool has_parent(const struct diff *d, size_t i, uint32_t oid)
{
    const struct read_table *t = &d->src.tables[i];
    for (size_t k = 0; k < t->n_parents; k++)
        if (t->parents[k] == oid)
            return true;
    return t->parent == oid;
}

/* What would hang under a table that is not made cannot be made either. */
static void leave_table(struct diff *d, int i)
{
    if (d->pairs[i].is_unfit)
        return;
    d->pairs[i].is_unfit = true;
    for (size_t k = 0; d->pairs[i].dest < 0 && k < d->src.s->n_tables; k++)
        if (has_parent(d, k, d->src.s->tables[i].oid))
            leave_table(d, (int)k);
}

bool diff_names(struct diff *d, struct err *err)
{
    struct long_name_list l;
    bool ok = ask(d, &l, err);
    d->is_left = mem_calloc(d->src.s->n_before + 1, sizeof *d->is_left);
    for (size_t i = 0; ok && i < l.n; i++) {
        const struct long_name *x = &l.items[i];
        leave_object(d, x);
        leave_table(d, x->table);
        if (x->is_again)
            continue;
        diff_manual(d, STAGE_OBJECT, x->table, NULL, mem_printf("follow %s", x->object),
                    mem_printf("its name is too long for the destination (%s, 63 are kept): "
                               "rename it at the source: %s",
                               x->note, x->statement));
    }
    long_name_list_free(&l);
    return ok;
}
