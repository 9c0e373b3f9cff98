/* Which sequences do not have the source's value, though somebody follows them; see sequences.h. */
#include "schema/sequences_private.h"

#include <stdlib.h>
#include <string.h>

/* Quoted and qualified, as all names of a followed one. */
static const char *take_ident(const char *from, char *to, size_t size)
{
    bool is_quoted = *from == '"';
    size_t n = 0;
    from += is_quoted;
    for (; *from && (is_quoted ? *from != '"' || from[1] == '"' : *from != '.'); from++) {
        from += is_quoted && *from == '"';
        if (n + 1 < size)
            to[n++] = *from;
    }
    to[n] = '\0';
    from += is_quoted && *from == '"';
    return *from == '.' ? from + 1 : from;
}

static bool is_between(const struct followed *f)
{
    const struct sequence_value *d = &f->dest_value;
    return !sequence_is_ahead(f->is_descending, &f->first, d) &&
           !sequence_is_ahead(f->is_descending, d, &f->source);
}

/* As of now, or as of some moment since the first look. */
static bool differs(struct followed *f)
{
    if (!sequences_is_followed(f) || f->has_passed)
        return false;
    if (!f->first.is_known)
        f->first = f->source;
    f->has_passed = sequence_is_same(&f->source, &f->dest_value) || is_between(f);
    return !f->has_passed;
}

static void describe(const struct followed *f, struct sequence_difference *out)
{
    const char *rest = take_ident(f->name, out->source_schema, sizeof out->source_schema);
    (void)take_ident(rest, out->source_name, sizeof out->source_name);
    str_copy(out->dest_schema, sizeof out->dest_schema, f->dest_schema);
    str_copy(out->dest_name, sizeof out->dest_name, f->dest_name);
    out->source = f->source.last;
    out->dest = f->dest_value.last;
    out->source_called = f->source.is_called;
    out->dest_called = f->dest_value.is_called;
    out->is_in_use =
        sequence_decide(f->is_descending, &f->source, &f->dest_value, &f->kept) == SEQUENCE_LEAVE;
}

bool sequences_compare(struct sequences *q, struct pg_conn *source, struct pg_conn *dest,
                       struct task *task, struct sequence_difference **out, size_t *n,
                       struct err *err)
{
    *out = NULL;
    *n = 0;
    if (!sequences_look(q, source, dest, task, err))
        return false;
    *out = mem_calloc(q->n + 1, sizeof **out);
    for (size_t i = 0; i < q->n; i++)
        if (differs(&q->items[i]))
            describe(&q->items[i], &(*out)[(*n)++]);
    return true;
}

bool sequences_repair(struct sequences *q, struct pg_conn *dest, struct task *task, struct err *err)
{
    size_t *which = mem_calloc(q->n + 1, sizeof *which), n = 0;
    bool is_fenced = false;
    for (size_t i = 0; i < q->n; i++)
        if (differs(&q->items[i]))
            which[n++] = i;
    bool ok = !n || sequences_write(q, dest, task, which, n, &is_fenced, err);
    free(which);
    if (ok && is_fenced)
        ok = err_set(err, ERR_FENCED, "another process took over this mirror");
    return ok || err_context(err, "set the destination's sequences");
}
