/* How a table is cut into ctid ranges, and the COPY statements of a range. A range of blocks needs
 * no key and no index, and each block is read once, by one worker. */
#include "copy/job.h"

#include <inttypes.h>

#include "base/mem.h"

#define BLOCK_BYTES 8192 /* only for estimates */
#define RANGE_MIN_BYTES (32.0 * (1 << 20))
#define RANGE_MAX_BYTES (1024.0 * (1 << 20))
#define RANGES_PER_WORKER 4 /* so that the last ones end at about the same time */
#define TID_RANGE_SCAN_VERSION 140000

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

struct cut range_cut(const struct schema_table *t, int source_version, int64_t rows_per_part,
                     int workers)
{
    struct cut whole = {.n = t->is_partitioned ? 0 : 1, .blocks = t->pages};
    /* Before TID range scans each range would read the whole table. */
    if (t->is_partitioned || source_version < TID_RANGE_SCAN_VERSION || t->pages < 2 ||
        workers < 2 || range_columns(t) == 0)
        return whole;
    int64_t bytes = t->bytes > 0 ? t->bytes : t->pages * BLOCK_BYTES;
    double wanted = (double)bytes / (workers * RANGES_PER_WORKER);
    if (t->rows > 0 && rows_per_part > 0)
        wanted = least(wanted, (double)rows_per_part * ((double)bytes / t->rows));
    wanted = least(most(wanted, RANGE_MIN_BYTES), RANGE_MAX_BYTES);
    double per_block = (double)bytes / (double)t->pages; /* TOAST counts where its row is */
    int64_t blocks = (int64_t)least(most(wanted / per_block, 1), (double)t->pages);
    /* A short rest is no range of its own: the last one is open-ended. */
    int64_t n = (t->pages + blocks / 2) / blocks;
    return n < 2 ? whole : (struct cut){.n = (size_t)n, .blocks = blocks};
}

int64_t range_bytes(const struct table_run *t, size_t i)
{
    int64_t total = t->def->bytes, pages = t->def->pages;
    if (t->cut.n < 2 || pages < 1)
        return total;
    double per_block = (double)total / (double)pages;
    int64_t before = (int64_t)(per_block * (double)t->cut.blocks * (double)i);
    if (i + 1 == t->cut.n)
        return total - before;
    return (int64_t)(per_block * (double)t->cut.blocks * (double)(i + 1)) - before;
}

bool range_is_copied(const struct schema_column *c)
{
    return !c->is_generated && !c->is_excluded;
}

size_t range_columns(const struct schema_table *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_columns; i++)
        n += range_is_copied(&t->columns[i]);
    return n;
}

bool range_is_binary(const struct schema_table *t)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        if (range_is_copied(&t->columns[i]) && !t->columns[i].can_binary)
            return false;
    }
    return !t->is_text_only;
}

static void add_columns(struct buf *b, const struct schema_table *t)
{
    const char *comma = "";
    for (size_t i = 0; i < t->n_columns; i++) {
        if (!range_is_copied(&t->columns[i]))
            continue;
        buf_puts(b, comma);
        pg_quote_ident(b, t->columns[i].name);
        comma = ", ";
    }
}

static void add_format(struct buf *b, const struct schema_table *t)
{
    buf_puts(b, range_is_binary(t) ? " WITH (FORMAT binary)" : " WITH (FORMAT text)");
}

char *range_source_sql(const struct table_run *t, size_t i)
{
    struct buf b = {0};
    buf_puts(&b, "COPY (SELECT ");
    add_columns(&b, t->def);
    buf_puts(&b, " FROM ONLY ");
    pg_quote_qualified(&b, t->def->schema, t->def->name);
    if (t->cut.n > 1)
        buf_printf(&b, " WHERE ctid >= '(%" PRId64 ",0)'::tid", (int64_t)i * t->cut.blocks);
    if (i + 1 < t->cut.n)
        buf_printf(&b, " AND ctid < '(%" PRId64 ",0)'::tid", ((int64_t)i + 1) * t->cut.blocks);
    buf_puts(&b, ") TO STDOUT");
    add_format(&b, t->def);
    return buf_take(&b);
}

char *range_dest_sql(const struct schema_table *t)
{
    struct buf b = {0};
    buf_puts(&b, "COPY ");
    pg_quote_qualified(&b, t->dest_schema, t->dest_name);
    buf_puts(&b, " (");
    add_columns(&b, t);
    buf_puts(&b, ") FROM STDIN");
    add_format(&b, t);
    return buf_take(&b);
}
