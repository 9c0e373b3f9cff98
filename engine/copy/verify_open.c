/* The definitions of a table on both sides, as of the snapshots, and how its rows are to be read so
 * that equal rows have equal images: a column whose type at the destination is another one is read
 * at the source as what the mirror makes of it, since values travel as text. */
#include "copy/verify_job.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TID_RANGE_SCAN_VERSION 140000
#define RANGE_BYTES (256LL << 20) /* also how long a TRUNCATE may have to wait for us */
#define RANGES_PER_WORKER 4       /* so that the last ones end at about the same time */
#define RANGE_LEAST_BYTES (8LL << 20)
#define ROWS_PER_BUCKET 1024
#define ROWS_PER_BLOCK 40 /* of a table that was never analysed */

/* Where it is, how large, and how its server hashes and encodes. */
static const char relation_sql[] =
    "SELECT c.relkind, pg_relation_size(c.oid), current_setting('block_size'), "
    "greatest(c.reltuples, 0)::bigint, current_setting('server_encoding'), "
    "hashtextextended('The same bytes give the same number where this was said' COLLATE \"C\", 2), "
    "hashint8extended(81985529216486895, 1) FROM pg_class c WHERE c.oid = %s::regclass";

/* Of each column its type without domains around it, whether that prints a text as it is, and
 * whether it is character(n). */
static const char columns_sql[] =
    "WITH RECURSIVE w(attname, oid, typmod) AS (SELECT attname, atttypid, atttypmod "
    "FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
    "UNION ALL SELECT w.attname, t.typbasetype, t.typtypmod FROM w JOIN pg_type t "
    "ON t.oid = w.oid WHERE t.typtype = 'd') "
    "SELECT w.attname, format_type(w.oid, w.typmod), t.typcategory IN ('S', 'V') OR "
    "t.typtype = 'e', w.oid = 'bpchar'::regtype FROM w JOIN pg_type t ON t.oid = w.oid "
    "WHERE t.typtype <> 'd'";

enum relation_column {
    REL_KIND,
    REL_BYTES,
    REL_BLOCK_SIZE,
    REL_ROWS,
    REL_ENCODING,
    REL_TEXT_HASH,
    REL_INT_HASH,
};
enum type_column {
    TYPE_NAME,
    TYPE_BASE,
    TYPE_IS_TEXT,
    TYPE_IS_BPCHAR,
};

/* Answers of a side, in this order. */
enum answer {
    ANSWER_LOCK,
    ANSWER_STALE,
    ANSWER_RELATION,
    ANSWER_COLUMNS,
};

struct opening {
    struct verifier *v;
    struct verify_run *t;
    const struct pg_result *relation[N_SIDES], *types[N_SIDES];
    size_t n;
    const struct schema_column **columns; /* mirrored ones */
    size_t *rows[N_SIDES];                /* of each its row in types */
    bool *is_known; /* the source knows the type the destination has; for those that differ */
    char **exprs[N_SIDES];
};

void verify_reading_free(struct reading *r, size_t n_key)
{
    for (size_t i = 0; r->values && i < n_key; i++)
        free(r->values[i]);
    free(r->values);
    free(r->from);
    free(r->row);
    free(r->key);
    free(r->sums);
    *r = (struct reading){0};
}

/* --- asking --------------------------------------------------------------------------------------
 */

static char *quoted_name(const struct schema_table *d, enum which_side side)
{
    struct buf b = {0};
    pg_quote_qualified(&b, side == SOURCE ? d->schema : d->dest_schema,
                       side == SOURCE ? d->name : d->dest_name);
    return buf_take(&b);
}

static bool send_about(struct opening *o, enum which_side side, const char *sql, struct err *err)
{
    struct buf literal = {0}, b = {0};
    char *name = quoted_name(o->t->def, side);
    const char *mark = strstr(sql, "%s");
    pg_quote_literal(&literal, name);
    buf_add(&b, sql, (size_t)(mark - sql));
    buf_puts(&b, buf_text(&literal));
    buf_puts(&b, mark + 2);
    bool ok = side_send(o->v, side, buf_text(&b), err);
    buf_free(&literal);
    buf_free(&b);
    free(name);
    return ok;
}

static bool ask(struct opening *o, enum which_side side, struct err *err)
{
    char *lock = verify_lock_sql(o->t, side), *stale = verify_stale_sql(o->t, side);
    bool ok = side_send(o->v, side, lock, err) && side_send(o->v, side, stale, err) &&
              send_about(o, side, relation_sql, err) && send_about(o, side, columns_sql, err);
    free(lock);
    free(stale);
    return ok;
}

/* --- columns -------------------------------------------------------------------------------------
 */

static bool find_type(const struct pg_result *types, const char *name, size_t *row)
{
    for (*row = 0; *row < pg_rows(types); (*row)++)
        if (!strcmp(pg_text(types, *row, TYPE_NAME), name))
            return true;
    return false;
}

static bool find_columns(struct opening *o, struct err *err)
{
    const struct schema_table *d = o->t->def;
    o->columns = mem_calloc(d->n_columns + 1, sizeof *o->columns);
    o->is_known = mem_calloc(d->n_columns + 1, sizeof *o->is_known);
    for (int s = 0; s < N_SIDES; s++) {
        o->rows[s] = mem_calloc(d->n_columns + 1, sizeof *o->rows[s]);
        o->exprs[s] = mem_calloc(d->n_columns + 1, sizeof *o->exprs[s]);
    }
    for (size_t i = 0; i < d->n_columns; i++) {
        if (d->columns[i].is_generated || d->columns[i].is_excluded)
            continue;
        for (int s = 0; s < N_SIDES; s++)
            if (!find_type(o->types[s], d->columns[i].name, &o->rows[s][o->n]))
                return err_set(err, ERR_SCHEMA, "the %s has no column %s",
                               verify_side_name((enum which_side)s), d->columns[i].name);
        o->columns[o->n++] = &d->columns[i];
    }
    return true;
}

static const char *base(const struct opening *o, size_t i, enum which_side side)
{
    return pg_text(o->types[side], o->rows[side][i], TYPE_BASE);
}

static bool is_text(const struct opening *o, size_t i, enum which_side side)
{
    return pg_bool(o->types[side], o->rows[side][i], TYPE_IS_TEXT);
}

static bool is_bpchar(const struct opening *o, size_t i, enum which_side side)
{
    return pg_bool(o->types[side], o->rows[side][i], TYPE_IS_BPCHAR);
}

static bool needs_cast(const struct opening *o, size_t i)
{
    return strcmp(base(o, i, SOURCE), base(o, i, DEST)) != 0 && !is_text(o, i, DEST);
}

/* A type of the destination that the source lacks (an extension's, say) cannot be used there. */
static bool ask_known_types(struct opening *o, struct err *err)
{
    struct verifier *v = o->v;
    const char **names = mem_calloc(o->n + 1, sizeof *names);
    struct buf array = {0}, b = {0};
    size_t n = 0;
    for (size_t i = 0; i < o->n; i++)
        if (needs_cast(o, i))
            names[n++] = base(o, i, DEST);
    pg_quote_array(&array, n, names);
    buf_puts(&b, "SELECT to_regtype(t) IS NOT NULL FROM unnest(");
    pg_quote_literal(&b, buf_text(&array));
    buf_puts(&b, "::text[]) WITH ORDINALITY u(t, o) ORDER BY o");
    bool ok = n == 0 || (side_send(v, SOURCE, buf_text(&b), err) && sides_wait(v, err));
    if (ok && n) {
        const struct pg_result *r = v->sides[SOURCE].answers[ANSWER_COLUMNS + 1];
        size_t row = 0;
        for (size_t i = 0; i < o->n; i++)
            if (needs_cast(o, i))
                o->is_known[i] = pg_bool(r, row++, 0);
    }
    free(names);
    buf_free(&array);
    buf_free(&b);
    return ok;
}

/* Types that do not print the same everywhere, or need twice their size: "char" of a byte above 127
 * changed its form with PostgreSQL 15, and a long bytea stands for itself by its hash. Takes expr
 * over. */
static char *print_special(const char *type, char *expr)
{
    char *out = NULL;
    if (!strcmp(type, "\"char\""))
        out = mem_printf("(%s)::int4", expr);
    else if (!strcmp(type, "\"char\"[]"))
        out = mem_printf("(%s)::int4[]", expr);
    else if (!strcmp(type, "bytea"))
        out = mem_printf("CASE WHEN octet_length(%s) > 65536 THEN sha256(%s) ELSE %s END", expr,
                         expr, expr);
    if (!out)
        return expr;
    free(expr);
    return out;
}

/* concat() prints as the type's output does, unlike a cast (boolean, character(n), inet); but it
 * prints NULL as ''. */
static char *print_as(const char *column, const char *what)
{
    return mem_printf("CASE WHEN num_nulls(%s) = 0 THEN %s END", column, what);
}

static char *source_expr(const struct opening *o, size_t i, const char *column)
{
    const char *type = base(o, i, DEST);
    char *what, *expr;
    if (!strcmp(base(o, i, SOURCE), type))
        return print_special(type, mem_strdup(column));
    if (is_bpchar(o, i, DEST))
        what = mem_printf("rtrim(concat(%s), ' ')", column);
    else if (needs_cast(o, i) && o->is_known[i])
        what = mem_printf("concat(%s)::%s", column, type);
    else
        return mem_strdup(column);
    expr = print_as(column, what);
    free(what);
    return needs_cast(o, i) ? print_special(type, expr) : expr;
}

static char *dest_expr(const struct opening *o, size_t i, const char *column)
{
    const char *type = base(o, i, DEST);
    bool is_same = !strcmp(base(o, i, SOURCE), type);
    if (!is_same && is_bpchar(o, i, DEST))
        return mem_printf("%s::text", column); /* without the blanks that only fill it */
    if (is_same || (needs_cast(o, i) && o->is_known[i]))
        return print_special(type, mem_strdup(column));
    return mem_strdup(column);
}

static void build_exprs(struct opening *o)
{
    for (size_t i = 0; i < o->n; i++) {
        struct buf name = {0};
        pg_quote_ident(&name, o->columns[i]->name);
        o->exprs[SOURCE][i] = source_expr(o, i, buf_text(&name));
        o->exprs[DEST][i] = dest_expr(o, i, buf_text(&name));
        buf_free(&name);
    }
}

/* --- what the table's runs read ------------------------------------------------------------------
 */

static size_t find_mirrored(const struct opening *o, const char *name)
{
    size_t i = 0;
    while (i < o->n && strcmp(o->columns[i]->name, name) != 0)
        i++;
    return i;
}

static bool is_integer(const char *type)
{
    return !strcmp(type, "bigint") || !strcmp(type, "integer") || !strcmp(type, "smallint");
}

/* A key names rows only when the mirror has all of its columns. */
static void choose_key(struct opening *o)
{
    const struct schema_table *d = o->t->def;
    size_t at[64], n = d->n_key <= COUNT_OF(at) ? d->n_key : 0;
    bool are_integers = true;
    for (size_t i = 0; i < n; i++) {
        at[i] = find_mirrored(o, d->key[i]);
        if (at[i] == o->n)
            n = 0;
    }
    for (int s = 0; s < N_SIDES; s++)
        for (size_t i = 0; i < n; i++)
            are_integers &= is_integer(base(o, at[i], (enum which_side)s));
    o->t->n_key = n;
    for (int s = 0; s < N_SIDES && n; s++) {
        struct reading *r = &o->t->sides[s];
        char **columns = mem_calloc(n, sizeof *columns);
        r->values = mem_calloc(n, sizeof *r->values);
        for (size_t i = 0; i < n; i++) {
            columns[i] = o->exprs[s][at[i]];
            r->values[i] = mem_printf("concat(%s)", columns[i]);
        }
        r->key = verify_key_sql(n, columns, are_integers, o->t->is_portable);
        free(columns);
    }
}

/* Ranges of both sides are read in pairs, so that both have the same number of them, as far as the
 * servers can read a range by itself. */
static void cut(struct opening *o)
{
    int64_t most = 0;
    for (int s = 0; s < N_SIDES; s++) {
        int64_t bytes = pg_int(o->relation[s], 0, REL_BYTES);
        most = bytes > most ? bytes : most;
    }
    int64_t wanted = most / (o->v->job->n_workers * RANGES_PER_WORKER);
    wanted = wanted > RANGE_BYTES ? RANGE_BYTES : wanted;
    wanted = wanted < RANGE_LEAST_BYTES ? RANGE_LEAST_BYTES : wanted;
    size_t n = (size_t)(most / wanted) + 1;
    for (int s = 0; s < N_SIDES; s++) {
        struct reading *r = &o->t->sides[s];
        int64_t blocks =
            pg_int(o->relation[s], 0, REL_BYTES) / (pg_int(o->relation[s], 0, REL_BLOCK_SIZE));
        bool is_partitioned = pg_text(o->relation[s], 0, REL_KIND)[0] == 'p';
        bool can = !is_partitioned && pg_version(o->v->sides[s].conn) >= TID_RANGE_SCAN_VERSION;
        r->n_ranges = can ? n : 1;
        r->blocks = blocks / (int64_t)n + 1;
        o->t->n_ranges = r->n_ranges > o->t->n_ranges ? r->n_ranges : o->t->n_ranges;
        if (is_partitioned) { /* its rows are in the partitions */
            free(r->from);
            r->from = quoted_name(o->t->def, (enum which_side)s);
        }
    }
}

static void size_buckets(struct opening *o)
{
    struct verify_run *t = o->t;
    int64_t rows = 0;
    for (int s = 0; s < N_SIDES; s++) {
        int64_t counted = pg_int(o->relation[s], 0, REL_ROWS);
        int64_t guess = pg_int(o->relation[s], 0, REL_BYTES) /
                        pg_int(o->relation[s], 0, REL_BLOCK_SIZE) * ROWS_PER_BLOCK;
        int64_t n = counted > guess ? counted : guess;
        rows = n > rows ? n : rows;
    }
    t->n_buckets = 1;
    while (t->n_buckets < VERIFY_MAX_BUCKETS && (int64_t)t->n_buckets * ROWS_PER_BUCKET < rows)
        t->n_buckets *= 2;
    for (int s = 0; s < N_SIDES; s++)
        t->sides[s].sums = mem_calloc(t->n_buckets, sizeof *t->sides[s].sums);
    t->differs = mem_calloc(t->n_buckets, sizeof *t->differs);
}

static bool is_alike(const struct opening *o, enum relation_column column)
{
    return !strcmp(pg_text(o->relation[SOURCE], 0, column), pg_text(o->relation[DEST], 0, column));
}

static void settle(struct opening *o)
{
    struct verify_run *t = o->t;
    t->is_portable =
        !is_alike(o, REL_ENCODING) || !is_alike(o, REL_TEXT_HASH) || !is_alike(o, REL_INT_HASH);
    build_exprs(o);
    for (int s = 0; s < N_SIDES; s++)
        t->sides[s].row = verify_row_sql(o->n, o->exprs[s]);
    choose_key(o);
    cut(o);
    size_buckets(o);
}

static void opening_free(struct opening *o)
{
    for (int s = 0; s < N_SIDES; s++) {
        for (size_t i = 0; i < o->n; i++)
            free(o->exprs[s][i]);
        free(o->exprs[s]);
        free(o->rows[s]);
    }
    free(o->columns);
    free(o->is_known);
}

/* ONLY until it is known to be a partitioned table; a lock on that is enough to look at it. */
static void name_relations(struct verify_run *t)
{
    for (int s = 0; s < N_SIDES; s++) {
        char *name = quoted_name(t->def, (enum which_side)s);
        t->sides[s].from = mem_printf("ONLY %s", name);
        free(name);
    }
}

static bool read_definitions(struct opening *o, struct err *err)
{
    if (!ask(o, SOURCE, err) || !ask(o, DEST, err) || !sides_wait(o->v, err))
        return false;
    for (int s = 0; s < N_SIDES; s++) {
        struct pg_result **answers = o->v->sides[s].answers;
        if (pg_int(answers[ANSWER_STALE], 0, 0) > 0 || pg_rows(answers[ANSWER_RELATION]) != 1)
            return err_set(err, ERR_SNAPSHOT_STALE,
                           "the %s's table was emptied, rewritten or made after the snapshot",
                           verify_side_name((enum which_side)s));
        o->relation[s] = answers[ANSWER_RELATION];
        o->types[s] = answers[ANSWER_COLUMNS];
    }
    return true;
}

bool verify_open(struct verifier *v, struct verify_run *t, struct err *err)
{
    struct opening o = {.v = v, .t = t};
    name_relations(t);
    bool ok = read_definitions(&o, err) && find_columns(&o, err) && ask_known_types(&o, err);
    if (ok)
        settle(&o);
    opening_free(&o);
    return ok;
}
