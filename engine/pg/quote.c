/* Quoting for SQL text ("Lexical Structure") and array literals ("Array Input and Output Syntax").
 * Text is UTF-8, in which no byte of a longer character is a quote or a backslash. */
#include "pg/pg.h"

#include <string.h>

void pg_quote_ident(struct buf *b, const char *name)
{
    buf_putc(b, '"');
    for (; *name; name++) {
        if (*name == '"')
            buf_putc(b, '"');
        buf_putc(b, *name);
    }
    buf_putc(b, '"');
}

void pg_quote_qualified(struct buf *b, const char *schema, const char *name)
{
    pg_quote_ident(b, schema);
    buf_putc(b, '.');
    pg_quote_ident(b, name);
}

void pg_quote_literal(struct buf *b, const char *text)
{
    /* E'' reads a backslash the same way under both settings; the blank keeps it apart from a word
     * in front. */
    buf_puts(b, strchr(text, '\\') ? " E'" : "'");
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buf_putc(b, *text);
        buf_putc(b, *text);
    }
    buf_putc(b, '\'');
}

static void quote_element(struct buf *b, const char *text)
{
    buf_putc(b, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_putc(b, '\\');
        buf_putc(b, *text);
    }
    buf_putc(b, '"');
}

void pg_quote_array(struct buf *b, size_t n, const char *const *items)
{
    buf_putc(b, '{');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_putc(b, ',');
        if (items[i])
            quote_element(b, items[i]);
        else
            buf_puts(b, "NULL");
    }
    buf_putc(b, '}');
}
