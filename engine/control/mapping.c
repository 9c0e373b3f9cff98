/* Another set of tables for a mirror that is paused: asked of both servers in the caller's thread,
 * recorded by the mirror's own. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "control/check.h"
#include "control/mirror_private.h"
#include "control/roster.h"
#include "control/servers.h"

#define RECORD_MS 10000

/* --- In the mirror's thread ---------------------------------------------------------------------
 */

static void add_name(struct table_name_list *l, size_t *cap, const struct table_map *t)
{
    struct table_name name;
    str_copy(name.schema, sizeof name.schema, t->source_schema);
    str_copy(name.table, sizeof name.table, t->source_table);
    MEM_PUSH(l->items, l->n, *cap, name);
}

/* What is new, or goes elsewhere now, has to be copied; what is no longer named is left alone. */
static void compare(const struct mirror_config *before, const struct mirror_config *after,
                    struct table_name_list *added, struct table_name_list *removed)
{
    size_t added_cap = 0, removed_cap = 0;
    for (size_t i = 0; i < after->n_tables; i++) {
        const struct table_map *old = servers_find_map(before, &after->tables[i]);
        if (!old || !table_map_is_same(old, &after->tables[i]))
            add_name(added, &added_cap, &after->tables[i]);
    }
    for (size_t i = 0; i < before->n_tables; i++)
        if (!servers_find_map(after, &before->tables[i]))
            add_name(removed, &removed_cap, &before->tables[i]);
}

bool mirror_set_tables(struct mirror *m, struct command *c, struct err *err)
{
    struct mirror_config *config = &m->row.config;
    struct mirror_config after = {.tables = c->tables, .n_tables = c->n_tables};
    struct table_name_list added = {0}, removed = {0};
    compare(config, &after, &added, &removed);
    bool ok = catalog_mirror_set_tables(m->engine->catalog, config->name, c->tables, c->n_tables,
                                        &added, &removed, err);
    if (ok) {
        for (size_t i = 0; i < config->n_tables; i++)
            table_map_free(&config->tables[i]);
        free(config->tables);
        config->tables = c->tables;
        config->n_tables = c->n_tables;
        c->tables = NULL;
        c->n_tables = 0;
        m->row.republish = true;
        show_schema(m, NULL);
        trouble_forget_unmapped(m);
        trouble_save(m);
        log_info("super", config->name, "tables changed: tables=%zu added=%zu removed=%zu by=%s",
                 config->n_tables, added.n, removed.n, c->op.by);
    }
    table_name_list_free(&added);
    table_name_list_free(&removed);
    return ok;
}

/* --- In the caller's thread ---------------------------------------------------------------------
 */

/* Refuses at once what the mirror would refuse later, before any server is asked. */
static bool may_change(struct mirror *m, struct err *err)
{
    struct mirror_status s;
    struct board_lists *lists;
    board_copy(mirror_board(m), &s, &lists);
    bool ok = command_check(mirror_name(m), s.state, &s.operation, MIRROR_SET_TABLES, err);
    board_lists_release(lists);
    return ok;
}

static bool change(struct engine *e, struct mirror *m, const char *by,
                   const struct table_map *tables, size_t n_tables, struct findings *f,
                   struct err *err)
{
    struct mirror_row present;
    struct mirror_request r = {.command = MIRROR_SET_TABLES, .by = by};
    if (!catalog_mirror_get(e->catalog, mirror_name(m), &present, err))
        return false;
    struct mirror_config c = present.config; /* but for its tables */
    c.tables = mem_calloc(n_tables, sizeof *c.tables);
    c.n_tables = n_tables;
    for (size_t i = 0; i < n_tables; i++)
        table_map_copy(&c.tables[i], &tables[i]);
    bool ok = servers_check(e, &c, &present, f, err);
    if (ok)
        ok = mirror_command(m, &r, c.tables, c.n_tables, RECORD_MS, NULL, err);
    else
        mirror_config_free(&c);
    mirror_row_free(&present);
    return ok;
}

bool engine_mirror_set_tables(struct engine *e, const char *name, const char *by,
                              const struct table_map *tables, size_t n_tables,
                              struct findings *findings, struct err *err)
{
    struct findings own = {0};
    struct mirror *m = roster_hold(e->roster, name);
    if (!m)
        return err_set(err, ERR_MIRROR_NOT_FOUND, "mirror \"%s\" does not exist", name);
    bool ok = check_maps(tables, n_tables, err) && may_change(m, err) &&
              change(e, m, by, tables, n_tables, findings ? findings : &own, err);
    roster_release(e->roster, m);
    findings_free(&own);
    return ok || engine_explain_cancel(e, err);
}
