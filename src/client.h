/* A small client of our own API, over the Unix socket of the process that runs on a state
 * directory. For commands on the command line; blocks. */
#ifndef BUNNY_CLIENT_H
#define BUNNY_CLIENT_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"
#include "src/answer.h"

#define CLIENT_LIMIT_MS 60000 /* no request of ours takes longer; the longest, a pause, 30 s */

/* What ends a request before its time; zero or NULL: nothing does. */
struct client_stop {
    int fd;                     /* once it is readable */
    const atomic_bool *give_up; /* within about 100 ms of becoming true */
};

enum client_end {
    CLIENT_DONE,       /* 2xx */
    CLIENT_REFUSED,    /* another status: *err has the API's sentence and hint */
    CLIENT_NO_PROCESS, /* nobody listens: no process runs on that directory */
    CLIENT_TIMEOUT,    /* no whole answer within limit_ms; what was asked may still be done */
    CLIENT_GIVEN_UP,   /* as struct client_stop says */
    CLIENT_FAILED,     /* the connection failed, or ended before the answer did */
};
/* One request. body may be NULL. *out (answer_free, in every case) holds what came back, also with
 * CLIENT_REFUSED. */
enum client_end client_request(const char *state_dir, const char *method, const char *path,
                               const json_t *body, int limit_ms, struct answer *out,
                               struct err *err) MUST_CHECK;

#define CLIENT_CONSOLE "bunnydb-console" /* the agent that a console is */

/* The same, with what may end it. agent: what asks, as the server is told. */
enum client_end client_request_until(const char *agent, const char *state_dir, const char *method,
                                     const char *path, const json_t *body, int limit_ms,
                                     const struct client_stop *stop, struct answer *out,
                                     struct err *err) MUST_CHECK;

/* The same with the usual limit, for who only needs the JSON of a 2xx (NULL: none). *answer: caller
 * frees. */
bool client_call(const char *state_dir, const char *method, const char *path, const json_t *body,
                 json_t **answer, struct err *err) MUST_CHECK;

#endif
