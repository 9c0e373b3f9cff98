/* on_table_error = set_aside: a table whose change cannot be applied leaves the stream, and the
 * others go on. The failed batch was rolled back as a whole; the row of _bunnydb.table_sync is
 * written before the next run, which starts from the same progress and passes the table's changes
 * over: its rows stay as they were there, and only a copy brings it back. See mirror_private.h. */
#include "control/mirror_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "control/table_sync.h"
#include "stream/sync_rows.h"

/* Rights are the operator's to give, and cost no copy then. */
static bool is_about_a_table(const struct err *e)
{
    static const char *const classes[] = {"0A", "22", "23", "42", "44", "P0"};
    if (e->code == ERR_SCHEMA || e->code == ERR_TABLE_MISSING || e->code == ERR_IDENTITY ||
        e->code == ERR_CONFLICT || e->code == ERR_REFUSED)
        return true;
    for (size_t i = 0; e->code == ERR_SQL && i < COUNT_OF(classes); i++)
        if (!strncmp(e->sqlstate, classes[i], 2))
            return strcmp(e->sqlstate, "42501") != 0;
    return false;
}

static bool stop_mapping(struct run *r, int mapping, lsn_t lsn, const struct err *why,
                         struct err *err)
{
    struct mirror *m = r->m;
    const struct table_map *map = &m->row.config.tables[mapping];
    struct sync_owner o = {.mirror_id = m->row.mirror_id, .epoch = r->progress->epoch};
    struct sync_stop stop = {.lsn = lsn};
    struct table_name name;
    str_copy(name.schema, sizeof name.schema, map->source_schema);
    str_copy(name.table, sizeof name.table, map->source_table);
    str_copy(stop.code, sizeof stop.code, err_name(why->code));
    str_copy(stop.text, sizeof stop.text, why->text);
    str_copy(stop.hint, sizeof stop.hint, why->hint);
    if (!sync_rows_stop(r->dest, &m->task, &o, &name, &stop, err))
        return false;
    char source[2 * NAME_SIZE + 2];
    str_printf(source, sizeof source, "%s.%s", name.schema, name.table);
    trouble_resolved(m, source, UINT64_MAX, "the table is set aside"); /* which says it all */
    m->live.counters.errors++;
    log_write(LOG_LEVEL_ERROR, "apply", m->row.config.name, why->hint,
              "table set aside, the others go on table=%s.%s transaction=" LSN_FMT
              " error=\"%s%s%s\""
              " (%s)",
              name.schema, name.table, LSN_ARGS(lsn), why->sqlstate, why->sqlstate[0] ? " " : "",
              why->text, err_name(why->code));
    return true;
}

/* The stream's session is in the middle of what failed. */
static bool stop_blamed(struct run *r, int mapping, const struct err *why, struct err *err)
{
    pg_close(r->dest, true);
    r->dest = NULL;
    return run_connect_dest(r, err) && stop_mapping(r, mapping, r->m->blamed_lsn, why, err);
}

/* Whether the destination has what one table of the mirror needs. */
static bool fits(struct run *r, const struct table_map *map, struct err *why, bool *is_known,
                 struct err *err)
{
    struct task *task = &r->m->task;
    struct schema *s = NULL;
    bool ok =
        schema_read_some(r->source, task, &r->m->row.config, map, 1, false, false, false, &s, err);
    *is_known = ok && (schema_create(r->dest, task, s, false, r->m->row.config.name, why) ||
                       is_about_a_table(why));
    if (ok && !*is_known)
        *err = *why;
    schema_free(s);
    return *is_known && !why->code;
}

/* Each that does not fit, since the comparison of all of them names several. */
static bool stop_unfit(struct run *r, size_t *n, struct err *err)
{
    struct table_map *maps;
    size_t n_maps = table_sync_streamed(r->table_sync, &maps);
    bool is_known = true;
    for (size_t i = 0; is_known && i < n_maps; i++) {
        struct err why = {0};
        if (fits(r, &maps[i], &why, &is_known, err) || !is_known)
            continue;
        int mapping = 0;
        while (strcmp(r->m->row.config.tables[mapping].source_table, maps[i].source_table) != 0 ||
               strcmp(r->m->row.config.tables[mapping].source_schema, maps[i].source_schema) != 0)
            mapping++;
        is_known = stop_mapping(r, mapping, r->progress->lsn, &why, err);
        *n += is_known;
    }
    free(maps);
    return is_known;
}

bool set_aside_blamed(struct run *r, const struct err *why)
{
    struct mirror *m = r->m;
    const struct mirror_config *c = &m->row.config;
    struct err err = {0};
    size_t n = 0;
    bool ok = true;
    if (strcmp(c->on_table_error, "set_aside") != 0 || !r->table_sync || !is_about_a_table(why))
        return false;
    if (m->blamed >= 0) {
        int mapping = r->schema->tables[m->blamed].mapping;
        if (table_sync_has_stopped(r->table_sync, mapping))
            return false; /* it is another table's error, or nobody's */
        ok = stop_blamed(r, mapping, why, &err);
        n = ok;
    } else if (r->is_dest_unfit) {
        ok = stop_unfit(r, &n, &err);
    }
    if (!ok && err.code != ERR_CANCELLED)
        log_warn("apply", c->name, "the table could not be set aside: %s", err.text);
    m->is_stuck &= n == 0;
    return ok && n > 0;
}

void set_aside_show(struct mirror *m, const struct table_name *table, const struct sync_stop *why)
{
    char title[160], cause[400], remedy[512];
    str_printf(title, sizeof title, "%s.%s is set aside: its changes are not applied",
               table->schema, table->table);
    str_printf(cause, sizeof cause, LSN_FMT ": %s", LSN_ARGS(why->lsn), why->text);
    str_printf(remedy, sizeof remedy,
               "Heal what the error names, then copy the table again: bunnydb resync %s %s.%s",
               m->row.config.name, table->schema, table->table);
    findings_add(&m->table_trouble, why->code, SEVERITY_ERROR, title, cause, remedy, "resync");
}
