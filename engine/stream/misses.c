/* What a change says about the destination's rows: that one is missing, that one is in its way, or
 * that they do not allow it; see apply.h. */
#include "stream/apply_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAX_TOLD 64 /* of one batch with their keys; beyond, they are only counted */

const char *apply_op_name(enum pgo_kind op)
{
    switch (op) {
    case PGO_INSERT:
        return "insert into";
    case PGO_UPDATE:
        return "update of";
    case PGO_DELETE:
        return "delete from";
    case PGO_TRUNCATE:
        return "truncate";
    case PGO_BEGIN:
    case PGO_COMMIT:
    case PGO_RELATION:
    case PGO_OTHER:
        break;
    }
    return "change of";
}

static struct apply_miss describe(const struct apply *a, const struct expect *e)
{
    const struct target *t = a->targets[e->target];
    struct apply_miss miss = {
        .table = t->table, .kind = (enum pgo_kind)e->op, .n = 1, .lsn = e->lsn};
    keys_text(&a->keys, e->key_len, t, miss.key);
    return miss;
}

void apply_note_miss(struct apply *a, const struct expect *e)
{
    if (a->n_misses >= MAX_TOLD) {
        struct apply_miss miss = describe(a, e);
        for (size_t i = a->n_misses; i-- > 0;)
            if (a->misses[i].table == miss.table && a->misses[i].kind == miss.kind) {
                miss.n += a->misses[i].n;
                a->misses[i] = miss; /* the last one is told */
                return;
            }
    }
    MEM_PUSH(a->misses, a->n_misses, a->cap_misses, describe(a, e));
}

void apply_tell_misses(struct apply *a)
{
    for (size_t i = 0; i < a->n_misses; i++)
        a->o.missed(a->o.arg, &a->misses[i]);
    a->n_misses = 0;
}

/* --- failures ----------------------------------------------------------------------------------
 */

static void put_change(const struct apply *a, const struct expect *e, const struct apply_miss *miss,
                       char *out, size_t size)
{
    str_printf(out, size, "%s %s%s%s, transaction " LSN_FMT, apply_op_name(miss->kind),
               a->targets[e->target]->dest, miss->key[0] ? " key " : "", miss->key,
               LSN_ARGS(e->lsn));
}

bool apply_too_many(struct apply *a, const struct expect *e, long long n, struct err *err)
{
    struct apply_miss miss = describe(a, e);
    char change[640];
    put_change(a, e, &miss, change, sizeof change);
    apply_blame(a, miss.table, miss.lsn);
    a->o.refused(a->o.arg, &miss, ERR_CONFLICT);
    err_set(err, ERR_CONFLICT, "%s: touched %lld rows instead of one; nothing was committed",
            change, n);
    return err_hint(err,
                    "The destination has more rows of that key than the source. Remove what is too "
                    "much from %s and give it a unique index on its key, then retry; or resync the "
                    "table.",
                    a->targets[e->target]->dest);
}

static bool is_of_encoding(const struct err *err)
{
    return pg_server_error_is(err, "22021") || pg_server_error_is(err, "22P05");
}

/* Of one character at most: too long, not in the encoding, not in the other one. */
static bool shows_no_value(const struct err *err)
{
    return pg_server_error_is(err, "22001") || is_of_encoding(err);
}

/* Messages of data exceptions (class 22) show values, and so do the details of violated constraints
 * (class 23): the row's key is all that is told. */
static void reword(struct err *err, const char *change)
{
    char text[sizeof err->text];
    bool shows_value = !strncmp(err->sqlstate, "22", 2) && !shows_no_value(err);
    str_copy(text, sizeof text, shows_value ? "a value does not fit the destination" : err->text);
    str_printf(err->text, sizeof err->text, "%.380s: %.380s", change, text);
}

/* regclass and its like: a value is the name of an object, which the server looks for. */
static const char *column_of_names(const struct target *t)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (!t->columns[i].is_skipped && t->columns[i].plain &&
            !strncmp(t->columns[i].plain, "reg", 3))
            return t->columns[i].name;
    return NULL;
}

static bool is_of_an_object(const struct err *err)
{
    static const char *const states[] = {"42P01", "42883", "42704", "42725", "3F000"};
    for (size_t i = 0; i < COUNT_OF(states); i++)
        if (pg_server_error_is(err, states[i]))
            return true;
    return false;
}

static bool hint_at_object(const struct target *t, const char *column, struct err *err)
{
    return err_hint(err,
                    "Column %s of %s holds names of objects. Make the one that is named here at "
                    "the destination (sync-schema does, if it is a mapped table), then retry: "
                    "nothing is lost. Or leave the column out of the mirror.",
                    column, t->dest);
}

bool apply_refused(struct apply *a, const struct expect *e, struct err *err)
{
    bool is_conflict = pg_server_error_is(err, "23505") || pg_server_error_is(err, "23P01");
    bool is_refused = !strncmp(err->sqlstate, "22", 2) || !strncmp(err->sqlstate, "23", 2);
    const struct target *t = a->targets[e->target];
    const char *names = is_of_an_object(err) ? column_of_names(t) : NULL;
    struct apply_miss miss = describe(a, e);
    char change[640];
    put_change(a, e, &miss, change, sizeof change);
    reword(err, change);
    if (err->code != ERR_SQL || (!is_refused && !names))
        return false;
    err->code = is_conflict ? ERR_CONFLICT : ERR_REFUSED;
    a->o.refused(a->o.arg, &miss, err->code);
    if (is_of_encoding(err))
        return false; /* it has its advice */
    if (names)
        return hint_at_object(t, names, err);
    if (is_conflict)
        return err_hint(err,
                        "A row of %s that the source does not have there is in its way. Remove or "
                        "correct that row, then retry: the change is applied, nothing is lost. Or "
                        "resync the table, which replaces its rows.",
                        a->targets[e->target]->dest);
    return err_hint(
        err,
        "The definition of %s does not allow what the source has. sync-schema shows how "
        "they differ; change the destination, then retry: nothing is lost.",
        a->targets[e->target]->dest);
}
