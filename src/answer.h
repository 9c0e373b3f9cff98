/* The answer of our own API as it comes in over a connection: when it is whole, its status, its
 * body. HTTP/1.1, RFC 9112: a length, chunks, or everything up to the end. Pure; any thread. */
#ifndef BUNNY_ANSWER_H
#define BUNNY_ANSWER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct answer {
    int status;   /* 0: there is none */
    char *text;   /* the body as it was sent; NULL: none came */
    size_t len;   /* of text */
    json_t *json; /* what text says; NULL: nothing, or no JSON */
};
void answer_free(struct answer *a); /* the contents */

enum answer_state {
    ANSWER_MORE, /* not all of it is there */
    ANSWER_WHOLE,
    ANSWER_BROKEN, /* it ended too early, or is no HTTP; *err says which */
};
/* Looks at what has come so far; ended: nothing more will come. Fills *out (answer_free) only with
 * ANSWER_WHOLE. */
enum answer_state answer_read(const struct buf *b, bool ended, struct answer *out,
                              struct err *err) MUST_CHECK;

#endif
