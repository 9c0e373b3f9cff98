/* What stands against a swap, asked in a caller's thread before the mirror hears of it: a refusal
 * leaves everything as it is. */
#include "control/swap.h"

#include <string.h>

#include "base/mem.h"
#include "control/peer_probe.h"
#include "copy/swap.h"

static bool is_asked_for(const struct mirror_request *r, const struct mirror_config *c)
{
    return (r->command == MIRROR_RESYNC || r->command == MIRROR_RESYNC_TABLE) &&
           !strcmp(r->strategy ? r->strategy : c->resync_strategy, "swap");
}

/* The mapping of the table that is named, or all of them; a table that is not there is the mirror's
 * to refuse. */
static size_t choose(const struct mirror_request *r, const struct mirror_config *c,
                     const struct table_map **out)
{
    char name[2 * NAME_SIZE + 2];
    *out = c->tables;
    if (r->command == MIRROR_RESYNC)
        return c->n_tables;
    for (size_t i = 0; i < c->n_tables; i++) {
        str_printf(name, sizeof name, "%s.%s", c->tables[i].source_schema,
                   c->tables[i].source_table);
        *out = &c->tables[i];
        if (r->table && !strcmp(name, r->table))
            return 1;
    }
    return 0;
}

bool swap_may_begin(struct engine *e, const char *mirror, const struct mirror_request *r,
                    struct err *err)
{
    const struct table_map *maps;
    struct mirror_row row;
    struct probe dest = {0};
    bool ok = true;
    if (!catalog_mirror_get(e->catalog, mirror, &row, err))
        return false;
    size_t n = choose(r, &row.config, &maps);
    if (is_asked_for(r, &row.config) && row.wish == WISH_RUN && n) {
        ok = probe_begin(&dest, e, row.config.dest_peer, err);
        if (ok && !swap_check(dest.conn, &dest.task, maps, n, err))
            ok = err->code == ERR_PREFLIGHT ? false : probe_explain(&dest, err);
        probe_end(&dest);
    }
    mirror_row_free(&row);
    return ok;
}
