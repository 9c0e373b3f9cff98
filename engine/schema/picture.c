/* The picture of the destination while steps are collected: what the server will make of each. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

static void set_text(char **to, const char *text)
{
    char *copy = mem_strdup(text);
    free(*to);
    *to = copy;
}

static void rename_key(struct schema_table *u, const char *from, const char *to)
{
    for (size_t k = 0; k < u->n_key; k++)
        if (strcmp(u->key[k], from) == 0)
            set_text(&u->key[k], to);
}

static void add_column(struct diff *d, int j, const struct column_change *change, bool is_local)
{
    struct schema_table *u = &d->dst.s->tables[j];
    struct read_table *ru = &d->dst.tables[j];
    const struct schema_column *c = change->column;
    size_t n = u->n_columns++;
    u->columns = mem_realloc(u->columns, u->n_columns * sizeof *u->columns);
    ru->columns = mem_realloc(ru->columns, u->n_columns * sizeof *ru->columns);
    u->columns[n] = (struct schema_column){
        .name = mem_strdup(c->name),
        .type = mem_strdup(c->type),
        .collation = mem_strdup(c->collation),
        .not_null = change->not_null,
        .is_generated = c->is_generated,
        .default_expr = mem_strdup(change->default_expr),
    };
    ru->columns[n] = (struct read_column){
        .is_local = is_local,
        .dest_default = mem_strdup(change->default_expr),
        .statistics = -1,
    };
}

static void drop_column(struct diff *d, int j, const char *name)
{
    struct schema_table *u = &d->dst.s->tables[j];
    struct read_table *ru = &d->dst.tables[j];
    size_t i = 0;
    while (i < u->n_columns && strcmp(u->columns[i].name, name) != 0)
        i++;
    if (i == u->n_columns)
        return;
    schema_column_free(&u->columns[i]);
    read_column_free(&ru->columns[i]);
    u->n_columns--;
    memmove(&u->columns[i], &u->columns[i + 1], (u->n_columns - i) * sizeof u->columns[0]);
    memmove(&ru->columns[i], &ru->columns[i + 1], (u->n_columns - i) * sizeof ru->columns[0]);
    d->old[j].is_renamed = true;
}

static void apply(struct diff *d, int j, const struct column_change *change, bool is_local)
{
    struct schema_table *u = &d->dst.s->tables[j];
    struct read_table *ru = &d->dst.tables[j];
    struct schema_column *c = find_column(u, change->name);
    switch (change->kind) {
    case CHANGE_ADD:
        if (!c)
            add_column(d, j, change, is_local);
        return;
    case CHANGE_DROP:
        drop_column(d, j, change->name);
        return;
    case CHANGE_RENAME:
        if (!c)
            return;
        rename_key(u, change->name, change->text);
        set_text(&c->name, change->text);
        d->old[j].is_renamed = true;
        return;
    case CHANGE_TYPE:
        if (!c)
            return;
        set_text(&c->type, change->text);
        set_text(&c->collation, change->collation);
        set_text(&ru->columns[c - u->columns].storage, NULL); /* the type's, by the change */
        return;
    case CHANGE_PLAIN:
        if (!c || !c->is_generated)
            return;
        c->is_generated = false;
        set_text(&c->default_expr, NULL);
        set_text(&ru->columns[c - u->columns].dest_default, NULL);
        return;
    case CHANGE_NOT_NULL:
        if (c)
            c->not_null = change->not_null;
        return;
    }
}

/* Children that declare a column of their own keep theirs when the parent drops it; they rename it
 * and change its type along. */
static void apply_to_child(struct diff *d, int j, void *arg)
{
    const struct column_change *change = arg;
    const struct schema_table *u = &d->dst.s->tables[j];
    const struct schema_column *c = find_column(u, change->name);
    if (change->kind == CHANGE_DROP && c && d->dst.tables[j].columns[c - u->columns].is_local)
        return;
    apply(d, j, change, false);
}

void picture_change(struct diff *d, int j, const struct column_change *change)
{
    struct column_change copy = *change;
    char *name = mem_strdup(change->name); /* may be the very text that changes */
    copy.name = name;
    apply(d, j, &copy, true);
    for_descendants(d, j, apply_to_child, &copy);
    free(name);
}
