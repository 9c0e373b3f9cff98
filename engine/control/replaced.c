/* Tables and columns of the destination that somebody has made anew, or emptied, while nobody
 * looked: the names are there, and what was copied is not. See definitions.h. */
#include "control/definitions.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "schema/places.h"
#include "stream/sync_rows.h"

#define ROWS_MS 20000

char *definitions_why_there(const struct schema_table *t, const struct place_change *c)
{
    switch (c->kind) {
    case PLACE_TABLE:
        return mem_printf("somebody has made %s.%s anew at the destination", t->dest_schema,
                          t->dest_name);
    case PLACE_COLUMN:
        return mem_printf("its column %s was dropped and added again at the destination",
                          c->column);
    case PLACE_EMPTY:
        return mem_printf("somebody has emptied %s.%s at the destination", t->dest_schema,
                          t->dest_name);
    }
    return NULL;
}

/* A table that is empty at the source, too, has lost nothing that the stream does not tell. */
static bool has_rows(struct pg_conn *source, struct task *task, const struct schema_table *t,
                     bool *out, struct err *err)
{
    struct buf sql = {0};
    struct pg_result *res = NULL;
    buf_puts(&sql, "SELECT EXISTS (SELECT FROM ONLY ");
    pg_quote_qualified(&sql, t->schema, t->name);
    buf_putc(&sql, ')');
    bool ok = pg_exec(source, task, ROWS_MS, buf_text(&sql), &res, err);
    *out = ok && pg_bool(res, 0, 0);
    pg_free(res);
    buf_free(&sql);
    return ok || err_context(err, "look at the rows of %s.%s", t->schema, t->name);
}

bool definitions_look_there(struct pg_conn *source, struct task *source_task, struct pg_conn *dest,
                            struct task *dest_task, const char *mirror_id, const struct schema *s,
                            struct place_changes *out, struct err *err)
{
    if (!places_look(dest, dest_task, mirror_id, s, out, err))
        return false;
    size_t n = 0;
    bool ok = true;
    for (size_t i = 0; i < out->n; i++) {
        struct place_change *c = &out->items[i];
        bool is_lost = true;
        if (ok && c->kind == PLACE_EMPTY)
            ok = has_rows(source, source_task, &s->tables[c->table], &is_lost, err);
        if (is_lost)
            out->items[n++] = *c;
        else
            free(c->column);
    }
    out->n = n;
    return ok;
}

/* Whatever schema_changes says: nothing at the source has changed, and the rows are gone. */
static bool wish(struct run *r, const struct place_change *c, struct err *err)
{
    const char *mirror = r->m->row.config.name;
    struct table_name name = definitions_table(r, c->table);
    if (!catalog_copies_add(r->m->engine->catalog, mirror, &name, 1, err))
        return false;
    char *why = definitions_why_there(&r->schema->tables[c->table], c);
    log_warn("schema", mirror, "table=%s.%s is copied again: %s", name.schema, name.table, why);
    free(why);
    return true;
}

static bool wish_all(struct run *r, const struct place_changes *changes, struct err *err)
{
    struct mirror *m = r->m;
    struct sync_row_list rows = {0};
    bool ok = !changes->n || sync_rows_read(r->dest, &m->task, m->row.mirror_id, &rows, err);
    for (size_t i = 0; ok && i < changes->n; i++) {
        struct table_name_list wishes = {0};
        struct table_name name = definitions_table(r, changes->items[i].table);
        ok = catalog_copies(m->engine->catalog, m->row.config.name, &wishes, err);
        if (ok && !sync_row_list_has_aside(&rows, &name) &&
            !table_name_list_has(&wishes, name.schema, name.table))
            ok = wish(r, &changes->items[i], err);
        table_name_list_free(&wishes);
    }
    sync_row_list_free(&rows);
    return ok;
}

bool definitions_mind_places(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    struct place_changes changes = {0};
    bool ok = definitions_look_there(r->source, &m->task, r->dest, &m->task, m->row.mirror_id,
                                     r->schema, &changes, err) &&
              wish_all(r, &changes, err) &&
              places_keep(r->dest, &m->task, m->row.mirror_id, r->schema, err);
    place_changes_free(&changes);
    return ok;
}
