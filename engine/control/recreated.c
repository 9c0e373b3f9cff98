/* Mapped tables that the source has dropped and created again. The publication has lost the old one
 * and does not have the new one: what was written to that is in no stream, and no row of it has
 * been copied. Of all others nothing is missing, as the publication was there all the time. So that
 * table comes back as one that is added to the mirror does. See definitions.h. */
#include "control/definitions.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

#define LIMIT_MS 60000

/* Which of some tables ($2) the publication ($1) lacks: by itself, and by what it is a partition
 * of. Nothing where there is no such publication. */
static const char lacks_sql[] =
    "WITH RECURSIVE up(ord, oid) AS (SELECT u.ord, u.oid FROM unnest($2::pg_catalog.oid[]) WITH "
    "ORDINALITY u(oid, ord) UNION ALL SELECT up.ord, i.inhparent FROM up JOIN pg_catalog.pg_class "
    "c ON c.oid = up.oid AND c.relispartition JOIN pg_catalog.pg_inherits i ON i.inhrelid = "
    "up.oid), p AS (SELECT oid FROM pg_catalog.pg_publication WHERE pubname = $1 AND NOT "
    "puballtables) SELECT up.ord - 1 FROM p CROSS JOIN up LEFT JOIN pg_catalog.pg_publication_rel "
    "r ON r.prpubid = p.oid AND r.prrelid = up.oid GROUP BY up.ord HAVING pg_catalog.count(r.oid) "
    "= 0 ORDER BY up.ord";

static bool ask_lacking(struct run *r, struct pg_result **out, struct err *err)
{
    struct buf oids = {0};
    buf_putc(&oids, '{');
    for (size_t i = 0; i < r->schema->n_tables; i++)
        buf_printf(&oids, "%s%u", i ? "," : "", r->schema->tables[i].oid);
    buf_putc(&oids, '}');
    const char *values[] = {r->m->row.config.publication, buf_text(&oids)};
    bool ok = pg_exec_params(r->source, &r->m->task, LIMIT_MS, lacks_sql, COUNT_OF(values), values,
                             out, err);
    buf_free(&oids);
    return ok || err_context(err, "read publication %s", r->m->row.config.publication);
}

struct returning {
    struct run *r;
    struct known known;
    struct table_name_list wishes, new; /* copies that are wished for, and that are to be */
    size_t cap;
    bool is_other; /* one that was copied has been taken out: source_check_publication tells */
};

static void look_at(struct returning *w, const struct schema_table *t, int i)
{
    struct table_name name = definitions_table(w->r, i);
    if (table_name_list_has(&w->wishes, name.schema, name.table) ||
        table_name_list_has(&w->new, name.schema, name.table))
        return;
    if (known_find(&w->known, t->oid))
        w->is_other = true;
    else
        MEM_PUSH(w->new.items, w->new.n, w->cap, name);
}

static bool refuse(const struct returning *w, struct err *err)
{
    struct buf names = {0};
    for (size_t i = 0; i < w->new.n &&names.len < 300; i++)
        buf_printf(&names, "%s%s.%s", i ? ", " : "", w->new.items[i].schema, w->new.items[i].table);
    err_set(err, ERR_SCHEMA, "dropped and created again at the source: %s", buf_text(&names));
    buf_free(&names);
    return err_hint(err, "sync-schema lets the destination follow and copies what was created "
                         "again; the other tables go on, and nothing is lost.");
}

static bool come_back(struct returning *w, struct err *err)
{
    struct mirror *m = w->r->m;
    const char *mirror = m->row.config.name;
    if (w->new.n && !definitions_are_automatic(m) && m->row.snapshot_done)
        return refuse(w, err);
    if (w->new.n && !catalog_copies_add(m->engine->catalog, mirror, w->new.items, w->new.n, err))
        return false;
    for (size_t i = 0; i < w->new.n; i++)
        log_info("schema", mirror,
                 "table=%s.%s is copied again: it was dropped and created again at the source",
                 w->new.items[i].schema, w->new.items[i].table);
    m->row.republish = true;
    return true;
}

bool definitions_mind_recreated(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    struct returning w = {.r = r};
    struct pg_result *res = NULL;
    if (!ask_lacking(r, &res, err))
        return false;
    bool ok =
        !pg_rows(res) || (catalog_copies(m->engine->catalog, m->row.config.name, &w.wishes, err) &&
                          known_read(r->dest, &m->task, m->row.mirror_id, 0, &w.known, err));
    for (size_t row = 0; ok && row < pg_rows(res); row++)
        look_at(&w, &r->schema->tables[pg_int(res, row, 0)], (int)pg_int(res, row, 0));
    if (ok && pg_rows(res) && !w.is_other)
        ok = come_back(&w, err);
    pg_free(res);
    table_name_list_free(&w.wishes);
    free(w.new.items);
    known_free(&w.known);
    return ok;
}
