/* From a request to an answer: address, rights, input, handler, output, without knowing the HTTP
 * library, so that tests and the fuzzer drive it directly. Every request runs in a thread of its
 * own; a struct call belongs to that thread, a struct api is shared and safe to share. */
#ifndef BUNNY_ROUTER_H
#define BUNNY_ROUTER_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine.h"
#include "src/conf.h"
#include "src/fields.h"
#include "src/http/rendered.h"
#include "src/http/stats.h"
#include "src/http/throttle.h"

#define BODY_MAX (1U << 20)
#define JSON_DEPTH_MAX 32
#define JSON_VALUES_MAX 150000     /* some hundred bytes each, once they are read */
#define BODY_SMALL_MAX (16U << 10) /* where nobody has logged in, or nothing is expected */
#define TOKEN_HASH_SIZE 65
#define ROUTE_ARGS 2
#define INSTANCE_SIZE 40

/* What all requests share. Owned by the server (or a test). */
struct api {
    struct engine *engine;
    int64_t token_ttl_s;
    const struct conf *conf; /* borrowed, for diagnostics; NULL: none */
    const char *library;     /* version of libmicrohttpd, static, for diagnostics; NULL: none */
    bool open_metrics;       /* LEVEL_METRICS needs no token */
    struct throttle throttle;
    struct stats stats;
    struct rendered rendered;
    char instance[INSTANCE_SIZE]; /* of this process: no other has the same */
    int stop_fd;                  /* readable: calls that wait for news end now */
    atomic_int waiting;           /* how many wait for news */
};

/* Everything else of it is zero until the owner sets it. */
void api_init(struct api *api, struct engine *e, int64_t token_ttl_s);
void api_destroy(struct api *api);
/* Calls that wait for news end now, and no later one waits. */
void api_interrupt(struct api *api);

/* All borrowed for the call of api_handle; NULL where the request has none. */
struct request {
    const char *method;
    const char *target; /* path and query as sent, undecoded */
    const char *content_type;
    const char *authorization;
    const char *body;
    size_t body_len;
    bool is_too_large; /* the body was over BODY_MAX and was not kept */
    bool is_local;     /* over the Unix socket, by our own user or root: */
    uid_t local_uid;   /* which of them */
    const char *agent; /* what asks, as it says itself */
    char address[64];  /* of the client */
};

/* Freed with response_free. */
struct response {
    int status;
    char *body; /* JSON unless content_type says otherwise; NULL: none */
    size_t body_len;
    const char *content_type; /* static; NULL: JSON */
    char allow[64];           /* header Allow; empty: none */
    int retry_after;          /* header Retry-After in seconds; 0: none */
    bool challenge;           /* header WWW-Authenticate */
};
void response_free(struct response *r);

void api_handle(struct api *api, const struct request *request, struct response *out);
/* The answer to what is not even a request. */
void api_refuse(int status, enum err_code code, const char *text, struct response *out);

/* --- For the handlers ------------------------------------------------------------------------- */
struct call {
    struct api *api;
    struct engine *engine;
    const struct request *request;
    struct user user;                 /* who asks, unless the route is open */
    char token_hash[TOKEN_HASH_SIZE]; /* empty: the owner of the Unix socket, without a token */
    char *args[ROUTE_ARGS];           /* {…} of the path, decoded */
    json_t *body;                     /* an object; empty when none was sent */
    json_t *query;                    /* an object of what the query table allows */
    int status;                       /* the handler's, for success; 200 unless it says otherwise */
    int error_status;                 /* instead of the table's; 0: the table's */
    int retry_after;
    json_t *reply; /* the handler's answer, owned by the call; NULL: no body */
    char *text;    /* an answer that is not JSON, instead of reply; owned by the call */
    size_t text_len;
    const char *text_type;    /* static */
    bool is_quiet;            /* its request is not logged */
    struct findings findings; /* go into an error answer when there are any */
};

enum level {
    LEVEL_OPEN,
    LEVEL_AUTHED,
    LEVEL_ADMIN,
    LEVEL_METRICS, /* as LEVEL_AUTHED, or open by configuration */
};
const char *level_name(enum level l); /* for the manual: "any user" */

struct route {
    const char *method;
    const char *pattern; /* "/v1/peers/{name}" */
    enum level level;
    bool (*handle)(struct call *c, struct err *err);
    const struct field_table *query; /* NULL: no parameters */
    bool has_body;                   /* the handler reads c->body; else it must be empty */
    const char *text;                /* one line for the manual page */
};
extern const struct route routes[];
extern const size_t route_count;

/* The HTTP status of an error code, from one table. */
int status_of_error(enum err_code code);

#endif
