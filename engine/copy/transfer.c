/* One range from the source to the destination: COPY TO STDOUT into COPY FROM STDIN (protocol,
 * "COPY Operations"). The bytes are passed through as they are. The source sends a message for each
 * row; several go to the destination in one, since it reads few large messages faster. */
#include "copy/job.h"

#include <stdlib.h>

/* No byte for so long, from a server that holds no lock against us: it is stuck. */
#define STALL_MS 900000
#define START_LIMIT_MS 310000 /* beyond the sessions' lock_timeout */

/* A binary COPY ends with a message of its own: a field count of -1. */
static bool is_trailer(const char *data, size_t len, bool is_binary)
{
    return is_binary && len == 2 && data[0] == '\xff' && data[1] == '\xff';
}

/* What lies in buffers, large ones, is not at the destination yet. */
static void note_unsent(void *arg)
{
    struct worker *w = arg;
    atomic_store_explicit(&w->unsent, (long long)(w->gather.len + pg_copy_unsent(w->dest)),
                          memory_order_relaxed);
}

static bool flush(struct worker *w, struct err *err)
{
    bool ok = w->gather.len == 0 ||
              pg_copy_write(w->dest, &w->task, STALL_MS, w->gather.data, w->gather.len, err);
    buf_reset(&w->gather);
    note_unsent(w);
    return ok;
}

static bool pass_on(struct worker *w, const char *data, size_t len, struct err *err)
{
    if (w->gather.len + len > w->job->gather_bytes && !flush(w, err))
        return false;
    if (len >= w->job->gather_bytes)
        return pg_copy_write(w->dest, &w->task, STALL_MS, data, len, err);
    buf_add(&w->gather, data, len);
    return true;
}

/* All rows of the running COPY. */
static bool pump(struct worker *w, bool is_binary, struct err *err)
{
    for (;;) {
        char *data;
        size_t len;
        int got = pg_copy_read(w->source, &w->task, STALL_MS, &data, &len, err);
        if (got < 0)
            return err_context(err, "read from the source");
        if (got == 0)
            break;
        bool ok = pass_on(w, data, len, err);
        /* This thread alone writes them, so no read-modify-write is needed. */
        long long rows = atomic_load_explicit(&w->rows, memory_order_relaxed);
        long long received = atomic_load_explicit(&w->received, memory_order_relaxed);
        atomic_store_explicit(&w->rows, rows + !is_trailer(data, len, is_binary),
                              memory_order_relaxed);
        atomic_store_explicit(&w->received, received + (long long)len, memory_order_relaxed);
        pg_copy_free(data);
        if (!ok)
            return err_context(err, "write to the destination");
    }
    return flush(w, err) || err_context(err, "write to the destination");
}

static bool begin(struct worker *w, struct err *err)
{
    return !w->job->commit || pg_exec(w->dest, &w->task, START_LIMIT_MS, "BEGIN", NULL, err);
}

/* A process that was cut off must not bring rows into a table that another one has emptied since:
 * its transaction fails as a whole. */
static bool commit(struct worker *w, struct err *err)
{
    if (!w->job->commit || pg_exec(w->dest, &w->task, 0, w->job->commit, NULL, err))
        return true;
    if (pg_server_error_is(err, FENCED_SQLSTATE))
        return err_set(err, ERR_FENCED, "another process took over this mirror");
    return err_context(err, "write to the destination");
}

static bool copy_through(struct worker *w, const char *source_sql, const char *dest_sql,
                         bool is_binary, int64_t *rows, struct err *err)
{
    if (!begin(w, err) || !pg_copy_start(w->dest, &w->task, START_LIMIT_MS, dest_sql, err))
        return err_context(err, "write to the destination");
    if (!pg_copy_start(w->source, &w->task, START_LIMIT_MS, source_sql, err))
        return err_context(err, "read from the source");
    w->task.tick = note_unsent;
    bool ok = pump(w, is_binary, err);
    /* No limit: triggers that fire always may take their time; it can be cancelled. */
    bool is_in = ok && pg_copy_finish(w->dest, &w->task, 0, NULL, rows, err);
    w->task.tick = NULL;
    if (is_in)
        return commit(w, err);
    return ok ? err_context(err, "write to the destination")
              : false; /* the worker closes both sessions, which undoes the range */
}

/* COPY cannot name an empty list of columns: such rows are counted and made anew. */
static bool copy_empty_rows(struct worker *w, const struct schema_table *t, int64_t *rows,
                            struct err *err)
{
    struct buf count = {0}, insert = {0};
    struct pg_result *r = NULL;
    buf_puts(&count, "SELECT pg_catalog.count(*) FROM ONLY ");
    pg_quote_qualified(&count, t->schema, t->name);
    bool ok = pg_exec(w->source, &w->task, 0, buf_text(&count), &r, err);
    if (ok) {
        *rows = pg_int(r, 0, 0);
        buf_puts(&insert, "INSERT INTO ");
        pg_quote_qualified(&insert, t->dest_schema, t->dest_name);
        buf_printf(&insert, " SELECT FROM pg_catalog.generate_series(1, %lld)", (long long)*rows);
        ok = begin(w, err) && pg_exec(w->dest, &w->task, 0, buf_text(&insert), NULL, err) &&
             commit(w, err);
    }
    pg_free(r);
    buf_free(&count);
    buf_free(&insert);
    return ok;
}

bool transfer_range(struct worker *w, const struct unit *u, int64_t *rows, int64_t *bytes,
                    struct err *err)
{
    const struct table_run *t = &w->job->tables[u->table];
    bool ok;
    if (range_columns(t->def) == 0) {
        ok = copy_empty_rows(w, t->def, rows, err);
    } else {
        char *source_sql = range_source_sql(t, u->item);
        char *dest_sql = range_dest_sql(t->def);
        ok = copy_through(w, source_sql, dest_sql, range_is_binary(t->def), rows, err);
        free(source_sql);
        free(dest_sql);
    }
    *bytes = atomic_load(&w->received);
    return ok || err_context(err, "copy %s.%s", t->def->schema, t->def->name);
}
