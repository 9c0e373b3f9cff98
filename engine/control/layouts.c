/* Columns that hold rows of tables whose columns are others at the destination: in another order,
 * or with one between that the source has dropped. What the stream brings would land in the wrong
 * ones, so such a table leaves the stream, and the others go on: its copy is refused, with what
 * helps, until they are the same. And values from before and behind a change, of which the
 * destination can only take one kind: none of them is lost by a copy. See definitions.h. */
#include "control/definitions.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "stream/sync_rows.h"

/* Whatever schema_changes says: nothing is changed for it, and nothing fits. */
static bool leave(struct run *r, int table, const struct sync_row_list *rows, const char *column,
                  const char *why, struct err *err)
{
    const char *mirror = r->m->row.config.name;
    struct catalog *catalog = r->m->engine->catalog;
    struct table_name name = definitions_table(r, table);
    struct table_name_list wishes = {0};
    if (sync_row_list_has_aside(rows, &name))
        return true;
    bool ok = catalog_copies(catalog, mirror, &wishes, err);
    if (ok && !table_name_list_has(&wishes, name.schema, name.table)) {
        ok = catalog_copies_add(catalog, mirror, &name, 1, err);
        if (ok)
            log_warn("schema", mirror, "table=%s.%s is copied again: column %s holds %s",
                     name.schema, name.table, column, why);
    }
    table_name_list_free(&wishes);
    return ok;
}

bool definitions_mind_layouts(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    struct layout_gaps gaps = {0};
    struct sync_row_list rows = {0};
    bool ok = schema_look_at_layouts(r->dest, &m->task, m->row.mirror_id, r->schema, &gaps, err) &&
              (!gaps.n || sync_rows_read(r->dest, &m->task, m->row.mirror_id, &rows, err));
    for (size_t i = 0; ok && i < gaps.n; i++)
        if (gaps.items[i].is_table && !gaps.items[i].is_shorter)
            ok = leave(r, gaps.items[i].table, &rows, gaps.items[i].column, gaps.items[i].why, err);
    layout_gaps_free(&gaps);
    sync_row_list_free(&rows);
    return ok;
}

/* --- a value was refused -----------------------------------------------------------------------
 */

static bool is_of(const struct run *r, int a, int b)
{
    return r->schema->tables[a].mapping == r->schema->tables[b].mapping;
}

/* A column of the table that holds such values; NULL: none. */
static const char *find_column_of(const struct run *r, int table)
{
    for (size_t i = 0; i < r->schema->n_layouts; i++) {
        const struct schema_layout *l = &r->schema->layouts[i];
        for (size_t u = 0; u < l->n_users; u++)
            if (is_of(r, l->users[u].table, table))
                return l->users[u].column;
    }
    return NULL;
}

/* Where the last parts are missing, they are added first, and then it may fit. Where nothing is
 * wrong and it is refused again, it is a value from before a change that was followed already. */
static bool is_misfit(const struct run *r, const struct layout_gaps *gaps, const struct err *why)
{
    bool is_other = false;
    for (size_t i = 0; i < gaps->n; i++) {
        const struct layout_gap *g = &gaps->items[i];
        if (!is_of(r, g->table, r->m->blamed))
            continue;
        if (g->is_table && !g->is_shorter)
            return true;
        is_other = true;
    }
    return !is_other && r->m->live.error_count > 0 && !strcmp(why->sqlstate, "22P02");
}

bool definitions_leave_misfit(struct run *r, const struct err *why)
{
    struct mirror *m = r->m;
    struct layout_gaps gaps = {0};
    struct sync_row_list rows = {0};
    struct err err = {0};
    bool is_over = false;
    const char *column = m->blamed >= 0 && r->schema && m->row.snapshot_done && why->sqlstate[0]
                             ? find_column_of(r, m->blamed)
                             : NULL;
    if (!column)
        return false;
    pg_close(r->dest, true); /* it is in the middle of what failed */
    r->dest = NULL;
    bool ok = run_connect_dest(r, &err) &&
              schema_look_at_layouts(r->dest, &m->task, m->row.mirror_id, r->schema, &gaps, &err);
    if (ok && is_misfit(r, &gaps, why)) {
        ok = leave(r, m->blamed, &rows, column, "values that have other parts at the source", &err);
        is_over = ok;
    }
    if (!ok && err.code != ERR_CANCELLED)
        log_warn("schema", m->row.config.name, "the parts of values were not compared: %s",
                 err.text);
    layout_gaps_free(&gaps);
    if (is_over)
        definitions_want(m, 0);
    return is_over;
}
