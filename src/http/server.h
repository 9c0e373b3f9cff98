/* The HTTP listeners: always a Unix socket in the state directory, whose owner is admin without a
 * token, and on wish a TCP socket, with or without TLS. Each connection has a thread of its own
 * (libmicrohttpd's), since some requests wait for a server. */
#ifndef BUNNY_SERVER_H
#define BUNNY_SERVER_H

#include "engine.h"
#include "src/conf.h"

struct http;

/* All borrowed for the call of http_start, but engine and conf until http_stop. */
struct http_options {
    struct engine *engine;
    const struct conf *conf; /* for diagnostics */
    const char *state_dir;
    const char *listen; /* "ADDR:PORT", NULL: the Unix socket only */
    bool insecure;
    const char *tls_cert, *tls_key;
    unsigned max_connections;
    int64_t client_timeout_s;
    int64_t token_ttl_s;
    bool open_metrics;
};
bool http_start(const struct http_options *options, struct http **out, struct err *err) MUST_CHECK;
/* Takes no further request, waits for those that run (engine_interrupt was called before, so that
 * is short), frees. NULL is fine. */
void http_stop(struct http *h);

#endif
