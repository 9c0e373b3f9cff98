/* The statements of a comparison. Both sides run the same ones, so that what they answer can be
 * compared as it is: nothing in them depends on a collation, and a row's image is made of the
 * types' own output, which the sessions' settings make equal on every server.
 *
 * Two numbers of 64 bits stand for an image. The server's hash of a text is by far the fastest way
 * to get them (SHA-256 halves the speed of wide tables and takes nine tenths of that of narrow
 * ones) and is the same for the same bytes, on machines of one byte order: elsewhere, and where
 * encodings differ, they are cut out of a SHA-256 of the image in UTF-8. */
#include "copy/verify_job.h"

#include <stdlib.h>

#define KEY_SEED 1 /* which number of a digest: the bucket's, and the two of the sums */
#define FIRST_SEED 2
#define SECOND_SEED 3

/* What all numbers of a text are made from. */
static void add_digest(struct buf *b, bool is_portable, const char *text)
{
    if (is_portable)
        buf_printf(b, "(encode(sha256(textsend(%s)), 'hex') COLLATE \"C\")", text);
    else
        buf_printf(b, "(%s COLLATE \"C\")", text);
}

static void add_number(struct buf *b, bool is_portable, const char *digest, int seed)
{
    if (is_portable)
        buf_printf(b, "('x' || substr(%s, %d, 16))::bit(64)::int8", digest, 16 * seed - 15);
    else
        buf_printf(b, "hashtextextended(%s, %d)", digest, seed);
}

static void add_list(struct buf *b, size_t n, char *const *items)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s%s", i ? ", " : "", items[i]);
}

/* The text of a record tells NULL from '' and one column's end from the next one's begin. */
char *verify_row_sql(size_t n, char *const *columns)
{
    struct buf b = {0};
    buf_puts(&b, "ROW(");
    add_list(&b, n, columns);
    buf_puts(&b, ")::text");
    return buf_take(&b);
}

char *verify_key_sql(size_t n, char *const *columns, bool are_integers, bool is_portable)
{
    struct buf b = {0}, digest = {0};
    if (n == 1 && are_integers && !is_portable) {
        /* no key is NULL, but a column of the same name at the destination may be */
        buf_printf(&b, "coalesce(hashint8extended(%s::int8, %d), 0)", columns[0], KEY_SEED);
        return buf_take(&b);
    }
    char *row = verify_row_sql(n, columns);
    add_digest(&digest, is_portable, row);
    add_number(&b, is_portable, buf_text(&digest), KEY_SEED);
    free(row);
    buf_free(&digest);
    return buf_take(&b);
}

char *verify_lock_sql(const struct verify_run *t, enum which_side side)
{
    struct buf b = {0};
    buf_printf(&b, "SELECT FROM %s LIMIT 0", t->sides[side].from);
    return buf_take(&b);
}

/* A snapshot does not bring back what TRUNCATE or a rewrite has removed: the file the catalog shows
 * as of the snapshot is compared with the one that is read. */
char *verify_stale_sql(const struct verify_run *t, enum which_side side)
{
    struct buf b = {0}, name = {0}, literal = {0};
    const struct schema_table *d = t->def;
    pg_quote_qualified(&name, side == SOURCE ? d->schema : d->dest_schema,
                       side == SOURCE ? d->name : d->dest_name);
    pg_quote_literal(&literal, buf_text(&name));
    buf_printf(&b,
               "SELECT count(*) FROM (SELECT %s::regclass::oid AS oid UNION "
               "SELECT relid::oid FROM pg_partition_tree(%s::regclass)) AS x "
               "LEFT JOIN pg_class c ON c.oid = x.oid WHERE c.oid IS NULL OR c.relkind = 'r' "
               "AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(x.oid)",
               buf_text(&literal), buf_text(&literal));
    buf_free(&name);
    buf_free(&literal);
    return buf_take(&b);
}

static void add_range(struct buf *b, const struct reading *r, size_t range)
{
    if (r->n_ranges < 2)
        return;
    int64_t first = (int64_t)range * r->blocks;
    buf_printf(b, " WHERE ctid >= '(%lld,0)'::tid", (long long)first);
    if (range + 1 < r->n_ranges)
        buf_printf(b, " AND ctid < '(%lld,0)'::tid", (long long)(first + r->blocks));
}

/* OFFSET 0 keeps the planner from pulling the query inside up: the image is made once, and the
 * number of groups is not guessed from the key's statistics, which would end in a sort. */
char *verify_sums_sql(const struct verify_run *t, enum which_side side, size_t range)
{
    const struct reading *r = &t->sides[side];
    long long mask = (long long)t->n_buckets - 1;
    struct buf b = {0};
    buf_puts(&b, "SELECT ");
    if (r->key) {
        buf_puts(&b, "b");
    } else {
        add_number(&b, t->is_portable, "i", KEY_SEED);
        buf_printf(&b, " & %lld", mask);
    }
    buf_puts(&b, ", count(*), sum(");
    add_number(&b, t->is_portable, "i", FIRST_SEED);
    buf_puts(&b, "), sum(");
    add_number(&b, t->is_portable, "i", SECOND_SEED);
    buf_puts(&b, ") FROM (SELECT ");
    if (r->key)
        buf_printf(&b, "%s & %lld AS b, ", r->key, mask);
    add_digest(&b, t->is_portable, r->row);
    buf_printf(&b, " AS i FROM %s", r->from);
    add_range(&b, r, range);
    buf_puts(&b, " OFFSET 0) s GROUP BY 1");
    return buf_take(&b);
}

static void add_bits(struct buf *b, size_t n, const bool *flags)
{
    buf_puts(b, "'\\x");
    for (size_t i = 0; i < n; i += 8) {
        unsigned byte = 0; /* get_bit counts from the least significant one */
        for (size_t k = i; k < i + 8 && k < n; k++)
            byte |= (unsigned)flags[k] << (k - i);
        buf_printf(b, "%02x", byte);
    }
    buf_puts(b, "'::bytea");
}

static void add_filter(struct buf *b, const struct verify_run *t, const char *number,
                       const bool *buckets)
{
    if (!buckets)
        return;
    buf_puts(b, " WHERE get_bit(");
    add_bits(b, t->n_buckets, buckets);
    buf_printf(b, ", (%s & %lld)::int4) = 1", number, (long long)t->n_buckets - 1);
}

/* With a key: number of the key, numbers of the image, key columns as text. */
static void add_keyed_rows(struct buf *b, const struct verify_run *t, const struct reading *r,
                           const bool *buckets)
{
    buf_puts(b, "SELECT k, ");
    add_number(b, t->is_portable, "i", FIRST_SEED);
    buf_puts(b, ", ");
    add_number(b, t->is_portable, "i", SECOND_SEED);
    for (size_t i = 0; i < t->n_key; i++)
        buf_printf(b, ", v%zu", i);
    buf_printf(b, " FROM (SELECT %s AS k, ", r->key);
    add_digest(b, t->is_portable, r->row);
    buf_puts(b, " AS i");
    for (size_t i = 0; i < t->n_key; i++)
        buf_printf(b, ", %s AS v%zu", r->values[i], i);
    buf_printf(b, " FROM %s", r->from);
    add_filter(b, t, r->key, buckets);
    buf_puts(b, " OFFSET 0) s");
}

/* Without: numbers of the image, and its begin to show to people. */
static void add_plain_rows(struct buf *b, const struct verify_run *t, const struct reading *r,
                           const bool *buckets)
{
    struct buf number = {0}, digest = {0};
    add_digest(&digest, t->is_portable, "r");
    add_number(&number, t->is_portable, "i", KEY_SEED);
    buf_printf(b, "SELECT %s, ", buf_text(&number));
    add_number(b, t->is_portable, "i", FIRST_SEED);
    buf_puts(b, ", ");
    add_number(b, t->is_portable, "i", SECOND_SEED);
    buf_printf(b, ", v FROM (SELECT %s AS i, left(r, %d) AS v FROM (SELECT %s AS r FROM %s",
               buf_text(&digest), VERIFY_ROW_CHARS, r->row, r->from);
    buf_puts(b, " OFFSET 0) x OFFSET 0) s");
    add_filter(b, t, buf_text(&number), buckets);
    buf_free(&number);
    buf_free(&digest);
}

/* textsend gives the bytes that we are sent, so that both servers sort as strcmp does. */
char *verify_rows_sql(const struct verify_run *t, enum which_side side, const bool *buckets)
{
    struct buf b = {0};
    buf_puts(&b, "DECLARE bunny_rows NO SCROLL CURSOR FOR ");
    if (t->n_key)
        add_keyed_rows(&b, t, &t->sides[side], buckets);
    else
        add_plain_rows(&b, t, &t->sides[side], buckets);
    buf_puts(&b, " ORDER BY 1");
    for (size_t i = 0; i < t->n_key; i++)
        buf_printf(&b, ", textsend(v%zu)", i);
    buf_puts(&b, ", 2, 3");
    return buf_take(&b);
}

char *verify_sample_sql(const struct verify_run *t, enum which_side side, int limit)
{
    struct buf b = {0};
    if (t->n_key)
        add_keyed_rows(&b, t, &t->sides[side], NULL);
    else
        add_plain_rows(&b, t, &t->sides[side], NULL);
    buf_printf(&b, " LIMIT %d", limit);
    return buf_take(&b);
}
