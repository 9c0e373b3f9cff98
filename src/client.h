/* A small client of our own API, over the Unix socket of the process that runs on a state
 * directory. For commands on the command line; blocks. */
#ifndef BUNNY_CLIENT_H
#define BUNNY_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* One request. body may be NULL. *answer: the JSON that came back with 2xx (NULL when there was
 * none), caller frees. An error answer becomes *err with its sentence and hint. */
bool client_call(const char *state_dir, const char *method, const char *path, const json_t *body,
                 json_t **answer, struct err *err) MUST_CHECK;

#endif
