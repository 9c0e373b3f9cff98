/* The target of a request; see url.h. */
#include "src/http/url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/utf8.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes n bytes; caller frees. NULL when they are not to be taken. */
static char *decode(const char *s, size_t n, bool plus_is_blank)
{
    char *out = mem_calloc(n + 1, 1);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '%') {
            int high = i + 2 < n ? hex(s[i + 1]) : -1;
            int low = high >= 0 ? hex(s[i + 2]) : -1;
            if (low < 0)
                goto bad;
            c = (unsigned char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        if (c < ' ' || c == 0x7f)
            goto bad;
        out[at++] = (char)c;
    }
    if (utf8_is_valid(out))
        return out;
bad:
    free(out);
    return NULL;
}

#define TABLE_SEGMENT 4 /* /v1/mirrors/NAME/resync/TABLE: the only name that may hold a slash */

static bool add_segment(struct url *t, const char *s, size_t n, struct err *err)
{
    char *text = decode(s, n, false);
    if (!text || (strchr(text, '/') && t->n_segments != TABLE_SEGMENT)) {
        free(text);
        return err_set(err, ERR_INVALID, "the address is not well encoded");
    }
    if (!*text || !strcmp(text, ".") || !strcmp(text, "..") || t->n_segments == URL_SEGMENTS) {
        free(text);
        return err_set(err, ERR_NOT_FOUND, "no such address");
    }
    t->segments[t->n_segments++] = text;
    return true;
}

static bool add_param(struct url *t, const char *s, size_t n, struct err *err)
{
    size_t name_len = 0;
    while (name_len < n && s[name_len] != '=')
        name_len++;
    if (t->n_params == URL_PARAMS)
        return err_set(err, ERR_INVALID, "too many parameters");
    size_t skip = name_len < n ? name_len + 1 : n;
    struct param *p = &t->params[t->n_params++];
    p->name = decode(s, name_len, true);
    p->value = decode(s + skip, n - skip, true);
    return (p->name && p->value) ||
           err_set(err, ERR_INVALID, "the parameters are not well encoded");
}

/* "http://host:8112/v1/peers" is "/v1/peers" (RFC 9112, 3.2.2); everything else is left alone. */
static const char *skip_origin(const char *text)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        size_t n = strlen(schemes[i]);
        if (strncasecmp(text, schemes[i], n) != 0)
            continue;
        const char *rest = text + n + strcspn(text + n, "/?");
        return rest > text + n ? rest : text;
    }
    return text;
}

bool url_parse(const char *text, struct url *out, struct err *err)
{
    *out = (struct url){0};
    if (strlen(text) > URL_MAX)
        return err_set(err, ERR_INVALID, "the address is longer than %d bytes", URL_MAX);
    text = skip_origin(text);
    if (*text != '/')
        return err_set(err, ERR_NOT_FOUND, "no such address");
    size_t path_len = strcspn(text, "?");
    out->path_text = mem_strdup(text);
    out->path_text[path_len] = '\0';
    for (const char *s = text; s < text + path_len;) {
        size_t n = strcspn(++s, "/?");
        if (!add_segment(out, s, n, err))
            return false;
        s += n;
    }
    const char *q = text + path_len;
    while (*q) {
        size_t n = strcspn(++q, "&");
        if (n && !add_param(out, q, n, err))
            return false;
        q += n;
    }
    return true;
}

void url_free(struct url *t)
{
    free(t->path_text);
    for (size_t i = 0; i < t->n_segments; i++)
        free(t->segments[i]);
    for (size_t i = 0; i < t->n_params; i++) {
        free(t->params[i].name);
        free(t->params[i].value);
    }
    *t = (struct url){0};
}
