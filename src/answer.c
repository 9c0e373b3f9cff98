/* The answer of our own API; see answer.h. Chapters are those of RFC 9112. */
#include "src/answer.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define HEAD_MAX (64U << 10)

struct head {
    int status;
    size_t body_at;
    bool is_chunked;
    bool has_length;
    size_t length;
};

void answer_free(struct answer *a)
{
    free(a->text);
    json_decref(a->json);
    *a = (struct answer){0};
}

/* The value of one header line if it is the one of that name; else NULL. */
static const char *value_of(const char *line, const char *name)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    return line + n + 1 + strspn(line + n + 1, " \t");
}

static bool read_size(const char *text, int base, size_t *out)
{
    char *end;
    if (!isxdigit((unsigned char)text[0])) /* strtoull would skip blanks, also over a line's end */
        return false;
    errno = 0;
    unsigned long long n = strtoull(text, &end, base);
    if (errno || end == text)
        return false;
    *out = (size_t)n;
    return strchr(" \t\r\n;", *end) != NULL; /* the terminator, too */
}

/* Chapter 4 and 6: status and framing. text is the head alone. False: it is no HTTP. */
static bool read_head(const char *text, struct head *h)
{
    if (strncmp(text, "HTTP/1.", 7) != 0 || strlen(text) < 12)
        return false;
    h->status = (int)strtol(text + 9, NULL, 10);
    for (const char *line = text; (line = strstr(line, "\r\n"));) {
        line += 2;
        const char *length = value_of(line, "Content-Length");
        const char *coding = value_of(line, "Transfer-Encoding");
        if (coding && strncasecmp(coding, "chunked", 7) == 0)
            h->is_chunked = true;
        if (length && !read_size(length, 10, &h->length))
            return false;
        h->has_length |= length != NULL;
    }
    return h->status >= 200 && h->status <= 599;
}

/* Chapter 7.1. Walks over the chunks that are there; appends them to body unless that is NULL. */
static enum answer_state walk_chunks(const char *at, const char *end, struct buf *body)
{
    for (;;) {
        size_t n;
        const char *data = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (!data)
            return end - at > 1024 ? ANSWER_BROKEN : ANSWER_MORE;
        if (!read_size(at, 16, &n))
            return ANSWER_BROKEN;
        data += 2;
        if (n == 0)
            return ANSWER_WHOLE; /* we use no trailers */
        if ((size_t)(end - data) < n || (size_t)(end - data) - n < 2)
            return ANSWER_MORE;
        if (data[n] != '\r' || data[n + 1] != '\n')
            return ANSWER_BROKEN;
        if (body)
            buf_add(body, data, n);
        at = data + n + 2;
    }
}

/* Chapter 6.3: whatever the head says of a length. */
static bool has_no_body(const struct head *h)
{
    return h->status == 204 || h->status == 304;
}

static void take_body(const struct head *h, const struct buf *b, struct answer *out)
{
    struct buf body = {0};
    const char *at = b->data + h->body_at;
    if (has_no_body(h))
        ;
    else if (h->is_chunked)
        (void)walk_chunks(at, b->data + b->len, &body);
    else
        buf_add(&body, at, h->has_length ? h->length : b->len - h->body_at);
    out->status = h->status;
    out->len = body.len;
    out->text = body.len ? buf_take(&body) : NULL;
    out->json = out->text ? json_loadb(out->text, out->len, JSON_DECODE_ANY, NULL) : NULL;
    buf_free(&body);
}

static enum answer_state state_of_body(const struct head *h, const struct buf *b, bool ended)
{
    size_t have = b->len - h->body_at;
    if (has_no_body(h))
        return ANSWER_WHOLE;
    if (h->is_chunked)
        return walk_chunks(b->data + h->body_at, b->data + b->len, NULL);
    if (h->has_length)
        return have >= h->length ? ANSWER_WHOLE : ANSWER_MORE;
    return ended ? ANSWER_WHOLE : ANSWER_MORE;
}

static enum answer_state broken(struct err *err, const char *what)
{
    (void)err_set(err, ERR_PROTOCOL, "%s", what);
    return ANSWER_BROKEN;
}

enum answer_state answer_read(const struct buf *b, bool ended, struct answer *out, struct err *err)
{
    struct head h = {0};
    enum answer_state state = ANSWER_MORE;
    *out = (struct answer){0};
    const char *end = b->len ? memmem(b->data, b->len, "\r\n\r\n", 4) : NULL;
    if (end) {
        struct buf text = {0};
        h.body_at = (size_t)(end - b->data) + 4;
        buf_add(&text, b->data, h.body_at - 2);
        bool ok = read_head(buf_text(&text), &h);
        buf_free(&text);
        if (!ok)
            return broken(err, "what answers there does not speak bunnydb's HTTP");
        state = state_of_body(&h, b, ended);
    } else if (b->len > HEAD_MAX) {
        return broken(err, "what answers there does not speak bunnydb's HTTP");
    }
    if (state == ANSWER_WHOLE)
        take_body(&h, b, out);
    else if (state == ANSWER_BROKEN)
        return broken(err, "the answer is damaged");
    else if (ended)
        return broken(err, b->len ? "bunnydb ended in the middle of its answer"
                                  : "bunnydb ended without an answer");
    return state;
}
