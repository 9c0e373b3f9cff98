/* A growable byte string, kept terminated so that it can be read as text. Owned by who declares
 * it; buf_free when done. Out of memory aborts: not for row data beyond a bounded window. */
#ifndef BUNNY_BUF_H
#define BUNNY_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NULL until something is written; use buf_text for a safe string */
    size_t len;
    size_t cap;
};

void buf_free(struct buf *b);
/* Empties the buffer, keeps its memory. */
void buf_reset(struct buf *b);
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *data, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
/* How a text is written where some bytes stand for something else: a backslash, and the byte's
 * letter (0: the byte has none, and is written as it is). A byte with a letter is a backslash, or
 * other, or less than below (at most 128): of eight at a time that is asked first. */
struct buf_escapes {
    unsigned char below, other;
    char letters[256];
};
void buf_add_escaped(struct buf *b, const char *text, size_t len, const struct buf_escapes *e);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Network byte order, as PostgreSQL's protocol and binary formats use. */
void buf_be16(struct buf *b, uint16_t v);
void buf_be32(struct buf *b, uint32_t v);
void buf_be64(struct buf *b, uint64_t v);
/* The text so far, never NULL; borrowed until the next change. */
const char *buf_text(const struct buf *b);
/* Hands the text over (caller frees, never NULL) and empties the buffer. */
char *buf_take(struct buf *b);

#endif
