/* Sequences: options of those that are there, values and owners of those that are new. */
#include "schema/diff_private.h"
#include "schema/sequences.h"

#include <stdlib.h>
#include <string.h>

/* Sequences of the destination that are the counterparts of the source's: by name, or of an
 * identity by its column. */
static const char sequences_sql[] =
    "SELECT u.ord - 1, n.nspname, c.relname, format_type(s.seqtypid, NULL),"
    " concat('START WITH ', s.seqstart, ' INCREMENT BY ', s.seqincrement, ' MINVALUE ', s.seqmin,"
    " ' MAXVALUE ', s.seqmax, ' CACHE ', s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' END),"
    " d.refobjid, d.refobjsubid"
    " FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY u(s, n, col, ord)"
    " JOIN pg_namespace un ON un.nspname = u.s JOIN pg_class uc ON uc.relnamespace = un.oid"
    "  AND uc.relname = u.n"
    " JOIN pg_class c ON c.relkind = 'S' AND (u.col = '' AND c.oid = uc.oid"
    "  OR u.col <> '' AND c.oid = (SELECT d.objid FROM pg_depend d JOIN pg_attribute a"
    "   ON a.attrelid = uc.oid AND a.attname = u.col AND a.attnum = d.refobjsubid"
    "   WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
    "   AND d.refobjid = uc.oid AND d.deptype = 'i' LIMIT 1))"
    " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid"
    " LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid"
    "  AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a' ORDER BY u.ord";

static const struct read_sequence *identity_sequence(const struct diff *d, int i, int attnum)
{
    for (size_t k = 0; k < d->src.n_sequences; k++) {
        const struct read_sequence *q = &d->src.sequences[k];
        if (q->is_identity && q->owner == i && q->attnum == attnum)
            return q;
    }
    return NULL;
}

/* A sequence's name that is taken at the destination is not insisted on. */
char *identity_options(struct diff *d, int i, int attnum, struct err *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relname = $2)";
    const struct read_sequence *q = identity_sequence(d, i, attnum);
    struct pg_result *res = NULL;
    struct buf b = {0};
    if (!q)
        return mem_strdup("");
    const char *values[] = {q->dest_schema, q->name};
    if (!read_query(&d->dst, sql, 2, values, &res, err))
        return NULL;
    buf_putc(&b, '(');
    if (!pg_bool(res, 0, 0)) {
        buf_puts(&b, "SEQUENCE NAME ");
        pg_quote_qualified(&b, q->dest_schema, q->name);
        buf_putc(&b, ' ');
    }
    buf_printf(&b, "%s)", q->options);
    pg_free(res);
    return buf_take(&b);
}

/* The value that it has at the source, as after a copy. */
static void set_value(struct diff *d, const struct read_sequence *q)
{
    for (size_t k = 0; k < d->src.s->n_after; k++) {
        const struct schema_statement *st = &d->src.s->after[k];
        if (st->object != OBJECT_SEQUENCE || strcmp(st->name, q->name) != 0 ||
            strcmp(st->schema, q->dest_schema) != 0 || !st->sets)
            continue;
        struct schema_step *s = diff_run(d, STAGE_SEQUENCE, -1, mem_strdup(st->sql),
                                         mem_printf("set value of %s", st->what));
        s->is_optional = true;
        if (d->mirror_id)
            s->done_sql = sequences_keep_sql(d->mirror_id, st->sets);
    }
}

void want_sequence_value(struct diff *d, int i, int attnum)
{
    const struct read_sequence *q = identity_sequence(d, i, attnum);
    size_t n = d->stages[STAGE_SEQUENCE].n;
    if (q)
        set_value(d, q);
    for (size_t k = n; k < d->stages[STAGE_SEQUENCE].n; k++)
        d->stages[STAGE_SEQUENCE].items[k].is_late = true; /* as the identity itself */
}

static bool ask_dest(struct diff *d, struct pg_result **out, struct err *err)
{
    size_t n = d->src.n_sequences;
    const char **cells = mem_calloc(3 * n + 1, sizeof *cells);
    struct buf arrays[3] = {{0}};
    const char *values[3];
    for (size_t k = 0; k < n; k++) {
        const struct read_sequence *q = &d->src.sequences[k];
        const struct schema_table *t = q->is_identity ? &d->src.s->tables[q->owner] : NULL;
        cells[k] = t ? t->dest_schema : q->dest_schema;
        cells[n + k] = t ? t->dest_name : q->name;
        cells[2 * n + k] = t ? read_find_column(t, q->attnum)->name : "";
    }
    for (size_t k = 0; k < 3; k++) {
        pg_quote_array(&arrays[k], n, cells + k * n);
        values[k] = buf_text(&arrays[k]);
    }
    bool ok = read_query(&d->dst, sequences_sql, 3, values, out, err);
    for (size_t k = 0; k < 3; k++)
        buf_free(&arrays[k]);
    free(cells);
    return ok;
}

static void diff_options(struct diff *d, const struct read_sequence *q, const struct pg_result *res,
                         size_t row)
{
    const char *schema = pg_text(res, row, 1), *name = pg_text(res, row, 2);
    bool same_type = strcmp(pg_text(res, row, 3), q->type) == 0;
    if (same_type && strcmp(pg_text(res, row, 4), q->options) == 0)
        return;
    struct buf b = {0};
    buf_puts(&b, "ALTER SEQUENCE ");
    pg_quote_qualified(&b, schema, name);
    if (!same_type)
        buf_printf(&b, " AS %s", q->type);
    buf_printf(&b, " %s%s", q->options, strstr(q->options, " CYCLE") ? "" : " NO CYCLE");
    diff_run(d, STAGE_SEQUENCE, -1, buf_take(&b), mem_printf("change sequence %s.%s", schema, name))
        ->is_optional = true;
}

/* Which column of the mirror owns it: now column number of the table with that OID, 0 none. */
static void diff_owner(struct diff *d, const struct read_sequence *q, uint32_t oid, int64_t number)
{
    if (q->is_identity || q->owner < 0 || d->pairs[q->owner].is_unfit)
        return;
    const struct schema_table *t = &d->src.s->tables[q->owner], *u = dest_of(d, q->owner);
    const struct schema_column *c = read_find_column(t, q->attnum);
    const struct schema_column *dc = u ? find_column(u, c->name) : NULL;
    bool is_same = u && dc && dc->attnum && oid == u->oid && number == dc->attnum;
    if (is_same || (u && !dc))
        return;
    struct buf b = {0};
    buf_puts(&b, "ALTER SEQUENCE ");
    pg_quote_qualified(&b, q->dest_schema, q->name);
    buf_puts(&b, " OWNED BY ");
    pg_quote_qualified(&b, t->dest_schema, t->dest_name);
    buf_putc(&b, '.');
    pg_quote_ident(&b, c->name);
    diff_run(d, STAGE_SEQUENCE, q->owner, buf_take(&b),
             mem_printf("set owner of sequence %s.%s", q->dest_schema, q->name))
        ->is_optional = true;
}

bool diff_sequences(struct diff *d, struct err *err)
{
    struct pg_result *res = NULL;
    if (!d->src.n_sequences)
        return true;
    if (!ask_dest(d, &res, err))
        return false;
    for (size_t row = 0; row < pg_rows(res); row++) {
        const struct read_sequence *q = &d->src.sequences[pg_int(res, row, 0)];
        diff_options(d, q, res, row);
        diff_owner(d, q, (uint32_t)pg_int(res, row, 5), pg_int(res, row, 6));
    }
    pg_free(res);
    for (size_t k = 0; k < d->src.n_sequences; k++) {
        const struct read_sequence *q = &d->src.sequences[k];
        bool is_new = q->is_identity ? d->pairs[q->owner].is_new && !d->pairs[q->owner].is_unfit
                                     : diff_is_new(d, OBJECT_SEQUENCE, q->dest_schema, q->name);
        if (!is_new)
            continue;
        set_value(d, q);
        diff_owner(d, q, 0, 0);
    }
    return true;
}
