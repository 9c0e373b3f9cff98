/* Quoting for SQL text ("Lexical Structure") and array literals ("Array Input and Output Syntax").
 * Text is UTF-8, in which no byte of a longer character is a quote or a backslash. */
#include "pg/pg.h"

#include <ctype.h>
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

/* --- what a statement names --------------------------------------------------------------------
 */

static bool is_name_char(char c)
{
    return strchr("_$", c) ? c != '\0' : isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* Behind the string that begins at p. */
static const char *skip_string(const char *p, bool has_escapes)
{
    for (p++; *p; p++) {
        if (has_escapes && *p == '\\' && p[1])
            p++;
        else if (*p == '\'' && *++p != '\'')
            return p;
    }
    return p;
}

/* Behind the identifier in quotes that begins at p; is_same: its text is name. */
static const char *read_quoted(const char *p, const char *name, bool *is_same)
{
    *is_same = true;
    for (p++; *p; p++) {
        if (*p == '"' && *++p != '"')
            break;
        *is_same = *is_same && *name++ == *p;
    }
    *is_same = *is_same && !*name;
    return p;
}

/* Bare ones are in small letters, as the server writes them; keywords are not. */
static const char *read_bare(const char *p, const char *name, bool *is_same)
{
    size_t n = strlen(name);
    const char *begin = p;
    while (is_name_char(*p))
        p++;
    *is_same = (size_t)(p - begin) == n && !memcmp(begin, name, n);
    for (; *name; name++)
        *is_same = *is_same && !isupper((unsigned char)*name);
    return p;
}

bool pg_mentions(const char *sql, const char *name, int part)
{
    int at = 0; /* parts of the qualified name that we are in */
    for (const char *p = sql; *p;) {
        bool is_same;
        if (*p == '\'') {
            p = skip_string(p, p > sql && p[-1] == 'E');
            continue;
        }
        if (*p != '"' && !is_name_char(*p)) {
            p++;
            continue;
        }
        at = p > sql && p[-1] == '.' ? at + 1 : 1;
        p = *p == '"' ? read_quoted(p, name, &is_same) : read_bare(p, name, &is_same);
        if (is_same && (at == part || (at == 1 && *p != '.')))
            return true;
    }
    return false;
}
