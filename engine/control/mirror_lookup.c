/* What is configured for a mirror, from the catalog. */
#include "engine.h"

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
