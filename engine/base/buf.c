/* Growable byte strings; see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

void buf_reserve(struct buf *b, size_t more)
{
    size_t need = b->len + more + 1;
    if (need <= b->cap)
        return;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap *= 2;
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
}

void buf_add(struct buf *b, const void *data, size_t n)
{
    buf_reserve(b, n);
    if (n)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_puts(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

#define EACH_BYTE(byte) (UINT64_MAX / 255 * (byte))

static uint64_t has_zero(uint64_t x)
{
    return (x - EACH_BYTE(1)) & ~x & EACH_BYTE(0x80);
}

static bool may_need(uint64_t x, const struct buf_escapes *e)
{
    uint64_t low = (x - EACH_BYTE((uint64_t)e->below)) & ~x & EACH_BYTE(0x80);
    return low || has_zero(x ^ EACH_BYTE((uint64_t)'\\')) ||
           has_zero(x ^ EACH_BYTE((uint64_t)e->other));
}

/* For most bytes of most rows: the room is there, and is written to directly. */
void buf_add_escaped(struct buf *b, const char *text, size_t len, const struct buf_escapes *e)
{
    buf_reserve(b, 2 * len);
    char *to = b->data + b->len;
    const char *end = text + len;
    while (text < end) {
        uint64_t x;
        const char *stop = end - text < (ptrdiff_t)sizeof x ? end : text + sizeof x;
        if (stop - text == (ptrdiff_t)sizeof x) {
            memcpy(&x, text, sizeof x);
            if (!may_need(x, e)) {
                memcpy(to, &x, sizeof x);
                to += sizeof x;
                text = stop;
            }
        }
        for (; text < stop; text++) {
            char letter = e->letters[(unsigned char)*text];
            if (letter)
                *to++ = '\\';
            *to++ = letter ? letter : *text;
        }
    }
    b->len = (size_t)(to - b->data);
    *to = '\0';
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n <= 0)
        return;
    buf_reserve(b, (size_t)n);
    va_start(ap, fmt);
    (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void buf_be16(struct buf *b, uint16_t v)
{
    unsigned char p[2] = {(unsigned char)(v >> 8), (unsigned char)v};
    buf_add(b, p, sizeof p);
}

void buf_be32(struct buf *b, uint32_t v)
{
    buf_be16(b, (uint16_t)(v >> 16));
    buf_be16(b, (uint16_t)v);
}

void buf_be64(struct buf *b, uint64_t v)
{
    buf_be32(b, (uint32_t)(v >> 32));
    buf_be32(b, (uint32_t)v);
}

const char *buf_text(const struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
    char *p = b->data ? b->data : mem_strdup("");
    *b = (struct buf){0};
    return p;
}
