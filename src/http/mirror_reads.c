/* What more there is to read of a mirror; see mirror_reads.h. */
#include "src/http/mirror_reads.h"

#include "src/http/to_json.h"

bool mirror_available_tables(struct call *c, struct err *err)
{
    struct peer_table_list l = {0};
    if (!engine_mirror_available_tables(c->engine, c->args[0], &l, err))
        return false;
    c->reply = peer_tables_to_json(&l);
    peer_table_list_free(&l);
    return true;
}
