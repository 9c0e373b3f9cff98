/* Peers as connection targets; see peer_target.h. */
#include "control/peer_target.h"

void peer_target(const struct peer *p, struct pg_target *out)
{
    *out = (struct pg_target){
        .host = p->host,
        .port = p->port,
        .user = p->user,
        .password = p->password,
        .database = p->database,
        .ssl_mode = p->ssl_mode,
        .n_options = p->n_options,
        .option_names = (const char *const *)p->option_names,
        .option_values = (const char *const *)p->option_values,
    };
}
