/* Rows that are inserted by COPY (PostgreSQL docs, "COPY", "Text Format"): per row that costs the
 * destination two thirds of an INSERT from arrays. libpq knows no COPY in a pipeline: it is left,
 * empty, for that time. The rows go as the socket takes them, so that the stream's loop reads on
 * meanwhile: a source that fills its socket while rows are written here would stand still. */
#include "stream/apply_private.h"

#include <string.h>

#define QUEUE_BYTES 65536 /* are made when fewer are left to be sent */

static const struct buf_escapes escapes = {.below = 14,
                                           .other = '\\',
                                           .letters = {['\b'] = 'b',
                                                       ['\f'] = 'f',
                                                       ['\n'] = 'n',
                                                       ['\r'] = 'r',
                                                       ['\t'] = 't',
                                                       ['\v'] = 'v',
                                                       ['\\'] = '\\'}};

static void add_value(struct buf *b, const struct pgo_value *v)
{
    if (!v->data) {
        buf_puts(b, "\\N");
        return;
    }
    buf_add_escaped(b, v->data, v->len, &escapes);
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

static bool begin(struct apply *a, const struct target *t, struct err *err)
{
    struct buf *b = &a->set_sql.sql;
    buf_reset(b);
    add_statement(b, t);
    return pg_copy_start(a->dest, a->task, 0, buf_text(b), err);
}

/* Makes and sends rows as long as the socket takes them. */
static bool send_some(struct apply *a, const struct target *t, struct err *err)
{
    struct set_copy *s = &a->copy;
    struct buf *b = &a->set_sql.sql;
    do {
        buf_reset(b);
        while (s->next < s->rows.n && b->len + pg_queued_bytes(a->dest) < QUEUE_BYTES)
            add_row(b, t, s->rows.items[s->next++]->values);
        if (!pg_copy_queue(a->dest, b->data, b->len, err) || !pg_copy_send(a->dest, a->task, err))
            return false;
    } while (s->next < s->rows.n && pg_queued_bytes(a->dest) < QUEUE_BYTES / 2);
    return true;
}

static int end(struct apply *a, struct err *err)
{
    struct set_copy *s = &a->copy;
    s->is_ending = true;
    int got = pg_copy_try_finish(a->dest, a->task, &s->done, err);
    if (got == 1 && s->done != (int64_t)s->rows.n) {
        err_set(err, ERR_SQL, "a COPY took in another number of rows");
        return -1;
    }
    return got;
}

int set_copy(struct apply *a, const struct target *t, struct err *err)
{
    struct set_copy *s = &a->copy;
    if (!s->has_begun && !begin(a, t, err))
        return -1;
    s->has_begun = true;
    if (!s->is_ending && !send_some(a, t, err))
        return -1;
    return s->next < s->rows.n ? 2 : end(a, err);
}
