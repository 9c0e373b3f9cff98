/* Rows that are inserted by COPY (PostgreSQL docs, "COPY", "Text Format"): per row that costs the
 * destination two thirds of an INSERT from arrays. libpq knows no COPY in a pipeline: it is left,
 * empty, for that time. The waits keep the mirror's ticks, and end with its task. */
#include "stream/apply_private.h"

#include <string.h>

#define PIECE_BYTES 65536

static const char escapes[256] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
                                  ['\t'] = 't', ['\v'] = 'v', ['\\'] = '\\'};

static void add_value(struct buf *b, const struct pgo_value *v)
{
    if (!v->data) {
        buf_puts(b, "\\N");
        return;
    }
    buf_reserve(b, 2 * (size_t)v->len);
    char *to = b->data + b->len;
    for (const char *from = v->data, *end = from + v->len; from < end; from++) {
        char letter = escapes[(unsigned char)*from];
        if (letter)
            *to++ = '\\';
        *to++ = letter ? letter : *from;
    }
    b->len = (size_t)(to - b->data);
    *to = '\0';
}

static void add_row(struct buf *b, const struct target *t, const struct pgo_value *values)
{
    bool is_first = true;
    for (size_t i = 0; i < t->n_columns; i++) {
        if (t->columns[i].is_skipped)
            continue;
        if (!is_first)
            buf_putc(b, '\t');
        is_first = false;
        add_value(b, &values[i]);
    }
    buf_putc(b, '\n');
}

static void add_statement(struct buf *b, const struct target *t)
{
    const char *glue = " (";
    buf_printf(b, "COPY %s", t->dest);
    for (size_t i = 0; i < t->n_columns; i++) {
        if (t->columns[i].is_skipped)
            continue;
        buf_puts(b, glue);
        pg_quote_ident(b, t->columns[i].name);
        glue = ", ";
    }
    buf_puts(b, ") FROM STDIN");
}

bool set_copy(struct apply *a, const struct target *t, size_t n, const struct net *const *rows,
              struct err *err)
{
    struct buf *b = &a->set_sql.sql;
    int64_t done = 0;
    buf_reset(b);
    add_statement(b, t);
    bool ok = pg_copy_start(a->dest, a->task, 0, buf_text(b), err);
    buf_reset(b);
    for (size_t i = 0; ok && i < n; i++) {
        add_row(b, t, rows[i]->values);
        if (b->len < PIECE_BYTES && i + 1 < n)
            continue;
        ok = pg_copy_write(a->dest, a->task, 0, b->data, b->len, err);
        buf_reset(b);
    }
    ok = ok && pg_copy_finish(a->dest, a->task, 0, NULL, &done, err);
    return ok && (done == (int64_t)n || err_set(err, ERR_SQL,
                                                "a COPY took in another number of "
                                                "rows"));
}
