/* The target of a request, "path?query" as sent: split first, then each part percent-decoded (RFC
 * 3986, chapter 2.1), so that an encoded slash never makes a new segment. Strict: what is not
 * valid UTF-8, holds a NUL, a control character or a slash is refused. */
#ifndef BUNNY_URL_H
#define BUNNY_URL_H

#include <stddef.h>

#include "base/err.h"

#define URL_SEGMENTS 8
#define URL_PARAMS 16
#define URL_MAX 4096 /* bytes */

struct param {
    char *name;
    char *value;
};
struct url {
    char *path_text; /* the path as sent; the segments are decoded elsewhere */
    char *segments[URL_SEGMENTS];
    size_t n_segments;
    struct param params[URL_PARAMS];
    size_t n_params;
};
/* ERR_INVALID for bad encoding, ERR_NOT_FOUND for empty segments, "." and "..". Free with
 * url_free in every case. */
bool url_parse(const char *text, struct url *out, struct err *err) MUST_CHECK;
void url_free(struct url *t);

#endif
