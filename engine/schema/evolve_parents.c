/* Parents that a table of the destination still has by inheritance, and the source's has no more:
 * no message tells that one has left, and a change of its columns would change theirs. It leaves
 * them first. Partitions are told by the publication and the book of parts. */
#include "schema/evolve_private.h"

#include <stdlib.h>
#include <string.h>

/* From the table upwards: child and parent, each with its names. */
static const char edges_sql[] =
    "WITH RECURSIVE up(child, parent) AS (SELECT i.inhrelid, i.inhparent FROM pg_inherits i"
    "  JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE n.nspname = $1 AND c.relname = $2 AND NOT c.relispartition"
    "  UNION SELECT i.inhrelid, i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.parent)"
    " SELECT up.child, up.parent, cn.nspname, c.relname, pn.nspname, p.relname FROM up"
    " JOIN pg_class c ON c.oid = up.child JOIN pg_namespace cn ON cn.oid = c.relnamespace"
    " JOIN pg_class p ON p.oid = up.parent JOIN pg_namespace pn ON pn.oid = p.relnamespace";

/* Which of the pairs stand no more, by their places. */
static const char left_sql[] =
    "SELECT u.ord - 1 FROM unnest($1::oid[], $2::oid[]) WITH ORDINALITY u(child, parent, ord)"
    " WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = u.child AND i.inhparent ="
    " u.parent) ORDER BY u.ord";

/* Pairs of OIDs at the source, for the edges between tables of the mirror; rows: whose they are. */
static size_t list_pairs(const struct schema *s, const struct pg_result *res, struct buf lists[2],
                         size_t *rows)
{
    size_t n = 0;
    for (size_t row = 0; row < pg_rows(res); row++) {
        const struct schema_table *child =
            schema_find_dest(s, pg_text(res, row, 2), pg_text(res, row, 3));
        const struct schema_table *parent =
            schema_find_dest(s, pg_text(res, row, 4), pg_text(res, row, 5));
        if (!child || !parent)
            continue;
        buf_printf(&lists[0], "%s%u", n ? "," : "{", child->oid);
        buf_printf(&lists[1], "%s%u", n ? "," : "{", parent->oid);
        rows[n++] = row;
    }
    buf_puts(&lists[0], "}");
    buf_puts(&lists[1], "}");
    return n;
}

static void leave(struct evolve_work *w, const struct pg_result *res, size_t row)
{
    struct buf child = {0}, sql = {0};
    pg_quote_qualified(&child, pg_text(res, row, 2), pg_text(res, row, 3));
    buf_printf(&sql, "ALTER TABLE %s NO INHERIT ", buf_text(&child));
    pg_quote_qualified(&sql, pg_text(res, row, 4), pg_text(res, row, 5));
    struct evolve_step s = {
        .sql = buf_take(&sql),
        .what = mem_printf("change inheritance %s.%s", pg_text(res, row, 2), pg_text(res, row, 3))};
    MEM_PUSH(w->out->steps, w->out->n, w->out->cap, s);
    buf_printf(&w->left, "%s%s", w->left.len ? "," : "", pg_text(res, row, 0));
    buf_printf(&w->left, " %s", pg_text(res, row, 1));
    buf_free(&child);
}

bool evolve_leave_parents(struct evolve_work *w, struct err *err)
{
    struct pg_result *edges = NULL, *res = NULL;
    struct buf lists[2] = {{0}};
    const char *names[] = {w->table->dest_schema, w->table->dest_name};
    if (!pg_exec_params(w->q->dest, w->q->task, SCHEMA_QUERY_MS, edges_sql, 2, names, &edges, err))
        return err_context(err, "read what %s.%s inherits from", names[0], names[1]);
    size_t *rows = mem_calloc(pg_rows(edges) + 1, sizeof *rows);
    bool ok = true;
    if (list_pairs(w->q->schema, edges, lists, rows)) {
        const char *values[] = {buf_text(&lists[0]), buf_text(&lists[1])};
        ok = pg_exec_params(w->q->source, w->q->task, SCHEMA_QUERY_MS, left_sql, 2, values, &res,
                            err);
        for (size_t row = 0; ok && row < pg_rows(res); row++)
            leave(w, edges, rows[pg_int(res, row, 0)]);
    }
    pg_free(res);
    pg_free(edges);
    free(rows);
    buf_free(&lists[0]);
    buf_free(&lists[1]);
    return ok;
}
