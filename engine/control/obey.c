/* What each command does to a mirror, in its thread; whether it may was decided before
 * (commands.h); see mirror_private.h. */
#include "control/mirror_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "control/table_sync.h"
#include "control/verify.h"

static void forget_error(struct mirror *m)
{
    m->retry_at = 0;
    m->is_held = false;
    m->asked = 0;
    m->live.error_count = 0;
    show_clear_error(m);
}

/* Ready at once; a run that fails shows itself as an error. */
static void show_connecting(struct mirror *m)
{
    show_state(m, m->row.snapshot_done ? MIRROR_RUNNING : MIRROR_INITIALIZING, "connecting");
}

/* --- pause and resume --------------------------------------------------------------------------
 */

static bool do_pause(struct mirror *m, struct err *err)
{
    if (!mirror_save_flags(m, WISH_PAUSE, m->row.snapshot_done, err))
        return false;
    /* A copy goes on when the mirror does; these two would come as a surprise then. */
    verify_end(m);
    mirror_end_operation(m, MIRROR_VERIFY);
    mirror_end_operation(m, MIRROR_REPAIR);
    mirror_end_operation(m, MIRROR_SYNC_SCHEMA);
    show_state(m, MIRROR_PAUSED, "paused");
    log_info("super", m->row.config.name, "paused; the slot stays and keeps WAL");
    return true;
}

void mirror_go_on(struct mirror *m)
{
    forget_error(m);
    show_connecting(m);
}

static bool do_resume(struct mirror *m, struct err *err)
{
    if (!mirror_save_flags(m, WISH_RUN, m->row.snapshot_done, err))
        return false;
    mirror_go_on(m);
    log_info("super", m->row.config.name, "resumed");
    return true;
}

/* --- retry and resync --------------------------------------------------------------------------
 */

static bool is_by_swap(const struct mirror *m, const struct command *c)
{
    return !strcmp(c->strategy ? c->strategy : m->row.config.resync_strategy, "swap");
}

static bool wish_for(struct mirror *m, const struct table_name *tables, size_t n, bool by_swap,
                     struct err *err)
{
    struct catalog *catalog = m->engine->catalog;
    const char *name = m->row.config.name;
    return by_swap ? catalog_swaps_add(catalog, name, tables, n, err)
                   : catalog_copies_add(catalog, name, tables, n, err);
}

static bool wish_for_all_by_swap(struct mirror *m, struct err *err)
{
    const struct mirror_config *c = &m->row.config;
    struct table_name *names = mem_calloc(c->n_tables + 1, sizeof *names);
    for (size_t i = 0; i < c->n_tables; i++) {
        str_copy(names[i].schema, NAME_SIZE, c->tables[i].source_schema);
        str_copy(names[i].table, NAME_SIZE, c->tables[i].source_table);
    }
    bool ok = wish_for(m, names, c->n_tables, true, err);
    free(names);
    return ok;
}

/* From here on, also after a restart: a new slot, and all tables are copied: into the empty tables,
 * or (setup_keeps_rows) beside the stream that begins with the slot. */
static bool begin_anew(struct mirror *m, const struct operation *op, bool by_swap, struct err *err)
{
    struct catalog *catalog = m->engine->catalog;
    const char *name = m->row.config.name;
    if (!m->row.config.do_initial_snapshot &&
        !catalog_mirror_set_snapshot(catalog, name, true, err))
        return false;
    m->row.config.do_initial_snapshot = true;
    return mirror_begin_operation(m, op, err) &&
           (by_swap ? wish_for_all_by_swap(m, err) : catalog_copies_clear(catalog, name, err)) &&
           setup_set_begun(m, false, err) && mirror_save_flags(m, m->row.wish, false, err);
}

/* Rows that were copied once, as a whole, are worth keeping for their readers. */
static bool do_recreate(struct mirror *m, const struct command *c, struct err *err)
{
    bool by_swap = is_by_swap(m, c), keeps_rows = m->row.snapshot_done;
    if (by_swap && !keeps_rows && !setup_keeps_rows(m, &keeps_rows, err))
        return false;
    by_swap = by_swap && keeps_rows;
    if (!begin_anew(m, &c->op, by_swap, err))
        return false;
    mirror_go_on(m);
    log_info("super", m->row.config.name, "%s: new slot, new snapshot%s by=%s", c->op.name,
             by_swap ? ", readers keep the old rows until then" : "", c->op.by);
    return true;
}

/* A slot of its name that somebody else made, and the publication, are the mirror's from here on:
 * they are made anew, and the tables copied. */
static bool take_names(struct mirror *m, struct err *err)
{
    if (m->failure.code != ERR_SLOT_EXISTS)
        return true;
    if (!catalog_mirror_set(m->engine->catalog, m->row.config.name, m->row.wish,
                            m->row.snapshot_done, true, err))
        return false;
    m->row.slot_created = true;
    return true;
}

static bool do_retry(struct mirror *m, const struct command *c, struct err *err)
{
    if (m->row.wish == WISH_DELETE) { /* the deletion is tried again at once */
        forget_error(m);
        show_state(m, MIRROR_STOPPED, "deleting");
        return true;
    }
    if (cause_needs_new_slot(m->failure.code)) {
        if (m->row.config.do_initial_snapshot)
            return do_recreate(m, c, err);
        err_set(err, ERR_INVALID,
                "recreate_slot: mirror %s was made without a snapshot, and "
                "only a new slot and a copy of its tables can heal it",
                m->row.config.name);
        return err_hint(err, "Send {\"recreate_slot\": true}: the destination's rows are "
                             "replaced by a new copy.");
    }
    if (c->kind == MIRROR_TAKE_SLOT && !take_names(m, err))
        return false;
    m->trusts = m->failure.code == ERR_SCHEMA;
    m->takes_slot = c->kind == MIRROR_TAKE_SLOT;
    mirror_go_on(m);
    log_info("super", m->row.config.name, "retry: the slot is kept%s by=%s",
             m->takes_slot ? ", its holder is ended" : "", c->op.by);
    return true;
}

static bool needs_new_slot(const struct mirror *m)
{
    return !m->row.snapshot_done || cause_needs_new_slot(m->failure.code) ||
           m->failure.code == ERR_SOURCE_CHANGED;
}

/* All tables beside the stream: that which goes on from where it stands, or a new one where the old
 * one cannot. */
static bool do_swap_all(struct mirror *m, const struct command *c, struct err *err)
{
    const struct mirror_config *config = &m->row.config;
    bool keeps_rows = m->row.snapshot_done;
    if (!keeps_rows && !setup_keeps_rows(m, &keeps_rows, err))
        return false;
    if (!keeps_rows) {
        err_set(err, ERR_NOT_RUNNING,
                "Mirror %s cannot swap its tables: its first copy is not complete", config->name);
        return err_hint(err, "Retry it, or resync with {\"strategy\": \"truncate\"}.");
    }
    if (needs_new_slot(m))
        return do_recreate(m, c, err);
    if (!mirror_begin_operation(m, &c->op, err) || !wish_for_all_by_swap(m, err))
        return false;
    if (m->table_sync)
        table_sync_ask(m->table_sync, NULL, true);
    else
        mirror_go_on(m);
    log_info("super", config->name, "resync of all tables by swap by=%s", c->op.by);
    return true;
}

bool mirror_swaps_anew(struct mirror *m, const struct err *why)
{
    struct catalog *catalog = m->engine->catalog;
    const char *name = m->row.config.name;
    struct table_name_list swaps = {0};
    struct err err = {0};
    if (!cause_needs_new_slot(why->code) || !m->row.snapshot_done ||
        !mirror_is_pending(m, MIRROR_RESYNC))
        return false;
    bool ok = catalog_swaps(catalog, name, &swaps, &err) && swaps.n &&
              wish_for_all_by_swap(m, &err) && setup_set_begun(m, false, &err) &&
              mirror_save_flags(m, m->row.wish, false, &err);
    table_name_list_free(&swaps);
    if (ok)
        log_warn("super", name, "the swap of all tables begins anew, with a new slot: %s",
                 why->text);
    else if (err.code)
        log_error("super", name, "the swap cannot begin anew: %s", err.text);
    return ok;
}

/* "schema.table" may be read in two ways when names hold dots; then none is taken. */
static bool find_table(const struct mirror *m, const char *text, struct table_name *out,
                       struct err *err)
{
    const struct mirror_config *c = &m->row.config;
    size_t found = 0;
    for (size_t i = 0; i < c->n_tables; i++) {
        char name[2 * NAME_SIZE + 2];
        str_printf(name, sizeof name, "%s.%s", c->tables[i].source_schema,
                   c->tables[i].source_table);
        if (strcmp(name, text) != 0 || found++)
            continue;
        str_copy(out->schema, sizeof out->schema, c->tables[i].source_schema);
        str_copy(out->table, sizeof out->table, c->tables[i].source_table);
    }
    if (found == 1)
        return true;
    if (found)
        return err_set(err, ERR_INVALID, "table: %s names two tables of mirror %s", text, c->name);
    err_set(err, ERR_TABLE_NOT_FOUND, "mirror %s has no table %s", c->name, text);
    return err_hint(err, "Name it as schema.table, as it is called at the source.");
}

static bool do_resync_table(struct mirror *m, const struct command *c, struct err *err)
{
    struct table_name t;
    bool by_swap = is_by_swap(m, c);
    if (!find_table(m, c->table ? c->table : "", &t, err) ||
        !mirror_begin_operation(m, &c->op, err) || !wish_for(m, &t, 1, by_swap, err))
        return false;
    if (m->table_sync)
        table_sync_ask(m->table_sync, &t, by_swap);
    else
        mirror_go_on(m);
    log_info("super", m->row.config.name, "resync table=%s.%s strategy=%s by=%s", t.schema, t.table,
             by_swap ? "swap" : "truncate", c->op.by);
    return true;
}

/* --- operations that something else carries out -------------------------------------------------
 */

static bool do_begin(struct mirror *m, const struct command *c, struct err *err)
{
    if (!mirror_begin_operation(m, &c->op, err))
        return false;
    m->sync_after = 0; /* what an earlier sync-schema waited for is looked at anew */
    log_info("super", m->row.config.name, "%s asked for by=%s", c->op.name, c->op.by);
    return true;
}

bool mirror_obeys_inside(const struct mirror *m, const struct command *c)
{
    bool is_beside = c->kind == MIRROR_RESYNC_TABLE ||
                     (c->kind == MIRROR_RESYNC && is_by_swap(m, c) && !needs_new_slot(m));
    if (is_beside)
        return m->table_sync && m->live.state == MIRROR_RUNNING && table_sync_takes(m->table_sync);
    return c->kind == MIRROR_VERIFY || c->kind == MIRROR_REPAIR || c->kind == MIRROR_CHANGE;
}

bool mirror_obey(struct mirror *m, struct command *c, struct err *err)
{
    switch (c->kind) {
    case MIRROR_PAUSE:
        return do_pause(m, err);
    case MIRROR_RESUME:
        return do_resume(m, err);
    case MIRROR_RETRY:
    case MIRROR_TAKE_SLOT:
        return do_retry(m, c, err);
    case MIRROR_RECREATE:
        return do_recreate(m, c, err);
    case MIRROR_RESYNC:
        return is_by_swap(m, c) ? do_swap_all(m, c, err) : do_recreate(m, c, err);
    case MIRROR_RESYNC_TABLE:
        return do_resync_table(m, c, err);
    case MIRROR_SYNC_SCHEMA:
    case MIRROR_VERIFY:
    case MIRROR_REPAIR:
        return do_begin(m, c, err);
    case MIRROR_SET_TABLES:
        return mirror_set_tables(m, c, err);
    case MIRROR_CHANGE:
        return mirror_adjust(m, c, err);
    case MIRROR_DELETE:
    case MIRROR_FORCE_DELETE:
        return mirror_delete(m, c, err);
    case MIRROR_COMMAND_COUNT:
        break;
    }
    return err_set(err, ERR_INTERNAL, "a command of an unknown kind");
}
