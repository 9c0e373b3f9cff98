/* What is configured for a mirror, from the catalog, and what could be added to it. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include "control/engine_private.h"

bool engine_mirror_config(struct engine *e, const char *name, struct mirror_config *out,
                          struct err *err)
{
    struct mirror_row row;
    *out = (struct mirror_config){0};
    if (!catalog_mirror_get(e->catalog, name, &row, err))
        return false;
    *out = row.config; /* moved */
    return true;
}

static int compare_names(const char *schema_a, const char *table_a, const char *schema_b,
                         const char *table_b)
{
    int by_schema = strcmp(schema_a, schema_b);
    return by_schema ? by_schema : strcmp(table_a, table_b);
}

static int compare_maps(const void *a, const void *b)
{
    const struct table_map *x = a, *y = b;
    return compare_names(x->source_schema, x->source_table, y->source_schema, y->source_table);
}

static int compare_with_map(const void *table, const void *map)
{
    const struct peer_table *t = table;
    const struct table_map *m = map;
    return compare_names(t->schema, t->table, m->source_schema, m->source_table);
}

/* Sorts c's tables on the way. */
static void leave_out_mapped(struct peer_table_list *l, struct mirror_config *c)
{
    size_t kept = 0;
    qsort(c->tables, c->n_tables, sizeof *c->tables, compare_maps);
    for (size_t i = 0; i < l->n; i++)
        if (!bsearch(&l->items[i], c->tables, c->n_tables, sizeof *c->tables, compare_with_map))
            l->items[kept++] = l->items[i];
    l->n = kept;
}

bool engine_mirror_available_tables(struct engine *e, const char *name, struct peer_table_list *out,
                                    struct err *err)
{
    struct mirror_config c;
    *out = (struct peer_table_list){0};
    if (!engine_mirror_config(e, name, &c, err))
        return false;
    bool ok = engine_peer_tables(e, c.source_peer, out, err);
    if (ok && c.n_tables)
        leave_out_mapped(out, &c);
    mirror_config_free(&c);
    return ok;
}
