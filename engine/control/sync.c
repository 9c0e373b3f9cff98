/* sync-schema: the destination's definitions follow the source's, in the mirror's thread between
 * two runs, so that nothing is applied meanwhile; the slot is kept, and the next run goes on from
 * the progress. And its preview, in a caller's thread. See mirror_private.h. */
#include "control/mirror_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "control/peer_probe.h"

#define LOCK_WAIT_MS 10000
#define PREVIEW_MS 30000 /* thousands of tables take their time */

/* --- Tables whose rows are wrong once the definitions are right ---------------------------------
 */

/* The stream stands before a table that is missing, and that is to be made with names which its
 * parent gets further on in the stream: neither can go first, and a copy brings both. */
static bool is_locked_out(const struct mirror *m, const struct schema_plan *plan,
                          const struct schema_point *at)
{
    bool is_missing =
        m->is_stuck ? m->healed_code == ERR_TABLE_MISSING : m->failure.code == ERR_TABLE_MISSING;
    for (size_t i = 0; is_missing && i < plan->n; i++)
        if ((plan->items[i].makes_table || plan->items[i].names_table) &&
            schema_step_is_due(plan, &plan->items[i], at))
            return false; /* may be that one */
    return at->is_waiting && is_missing;
}

/* The mapped tables that steps of the plan want copied, and that nobody has wished for yet. */
static bool list_copies(struct mirror *m, const struct schema_plan *plan,
                        const struct schema_point *at, struct table_name_list *out, struct err *err)
{
    bool is_for_new = is_locked_out(m, plan, at);
    const struct mirror_config *c = &m->row.config;
    struct table_name_list present;
    size_t cap = 0;
    *out = (struct table_name_list){0};
    if (!catalog_copies(m->engine->catalog, c->name, &present, err))
        return false;
    for (size_t i = 0; i < plan->n; i++) {
        const struct schema_step *s = &plan->items[i];
        bool is_wanted = s->needs_copy || (is_for_new && s->makes_table);
        if (!is_wanted || s->kind == STEP_NOTE || s->mapping < 0)
            continue;
        const struct table_map *map = &c->tables[s->mapping];
        struct table_name name;
        str_copy(name.schema, sizeof name.schema, map->source_schema);
        str_copy(name.table, sizeof name.table, map->source_table);
        if (!table_name_list_has(&present, name.schema, name.table) &&
            !table_name_list_has(out, name.schema, name.table))
            MEM_PUSH(out->items, out->n, cap, name);
    }
    table_name_list_free(&present);
    return true;
}

/* Whether the destination has said that nothing of the plan was done. Without an answer to COMMIT
 * it may have been, and then nobody would see any more that the table's rows are missing. */
static bool is_refused(const struct err *err)
{
    return err->code == ERR_SQL;
}

/* The wish is recorded first: after a crash in between, a table is copied once too often at worst.
 */
static bool run_plan(struct run *r, struct schema_plan *plan, const struct schema_point *at,
                     size_t *n_copies, struct err *err)
{
    struct mirror *m = r->m;
    const char *name = m->row.config.name;
    struct catalog *catalog = m->engine->catalog;
    struct table_name_list copies;
    struct err ignored = {0};
    if (!list_copies(m, plan, at, &copies, err))
        return false;
    bool ok = catalog_copies_add(catalog, name, copies.items, copies.n, err) &&
              schema_plan_run(r->dest, &m->task, plan, at, name, err);
    for (size_t i = 0; i < copies.n; i++) {
        if (ok)
            log_info("schema", name,
                     "table=%s.%s is copied again: its rows changed with its "
                     "definition",
                     copies.items[i].schema, copies.items[i].table);
        else if (is_refused(err) &&
                 !catalog_copies_remove(catalog, name, &copies.items[i], &ignored))
            log_error("schema", name, "cannot take the wish for a copy back: %s", ignored.text);
    }
    *n_copies = copies.n;
    table_name_list_free(&copies);
    return ok;
}

/* --- Steps that come again ----------------------------------------------------------------------
 */

/* Under load the source is always further than the stream. A step that a plan of before had, and
 * that was left, is as right once the stream has passed that plan's place. */
struct seen_step {
    char *sql;
    lsn_t lsn;
};

void mirror_forget_steps(struct mirror *m)
{
    for (size_t i = 0; i < m->n_seen; i++)
        free(m->seen[i].sql);
    free(m->seen);
    m->seen = NULL;
    m->n_seen = 0;
}

static const char *text_of(const struct schema_step *s)
{
    return s->sql ? s->sql : s->what;
}

static lsn_t seen_since(const struct mirror *m, const struct schema_step *s)
{
    for (size_t i = 0; i < m->n_seen; i++)
        if (!strcmp(m->seen[i].sql, text_of(s)))
            return m->seen[i].lsn;
    return 0;
}

static void look_back(const struct mirror *m, struct schema_plan *plan)
{
    for (size_t i = 0; i < plan->n; i++)
        plan->items[i].since = seen_since(m, &plan->items[i]);
}

static void remember_steps(struct mirror *m, const struct schema_plan *plan)
{
    size_t n = 0, cap = 0;
    struct seen_step *seen = NULL;
    for (size_t i = 0; i < plan->n; i++) {
        const struct schema_step *s = &plan->items[i];
        struct seen_step step = {.sql = mem_strdup(text_of(s)),
                                 .lsn = s->since ? s->since : plan->lsn};
        MEM_PUSH(seen, n, cap, step);
    }
    mirror_forget_steps(m);
    m->seen = seen;
    m->n_seen = n;
}

/* --- The operation -----------------------------------------------------------------------------
 */

static void log_plan(struct mirror *m, const struct schema_plan *plan, size_t n_run, size_t left)
{
    const char *name = m->row.config.name;
    bool is_asked = mirror_is_pending(m, MIRROR_SYNC_SCHEMA);
    log_info("schema", name, "sync-schema: statements=%zu later=%zu", n_run, left);
    for (size_t i = 0; i < plan->n; i++) {
        const struct schema_step *s = &plan->items[i];
        if (s->kind == STEP_MANUAL && !s->needs_copy && (is_asked || !s->since))
            log_write(LOG_LEVEL_WARN, "schema", name, s->sql, "left to the operator: %s: %s",
                      s->what, s->why ? s->why : "");
    }
}

/* The stream has stopped at a change that the destination's definitions do not allow: what comes
 * later cannot be waited for. */
static bool is_waiting(const struct mirror *m)
{
    const struct err *e = &m->failure;
    return m->is_stuck ||
           (m->live.state == MIRROR_ERROR &&
            (e->code == ERR_SCHEMA || e->code == ERR_TABLE_MISSING || e->code == ERR_CONFLICT ||
             e->code == ERR_REFUSED || (e->code == ERR_SQL && err_class_of(e) == CLASS_ASK)));
}

/* Tables that the source does not have are told by the comparison. */
static bool look(struct run *r, size_t *n_copies, struct err *err)
{
    struct mirror *m = r->m;
    const struct mirror_config *c = &m->row.config;
    struct table_name_list before = {0}, after = {0};
    bool ok = schema_read(r->source, &m->task, c->tables, c->n_tables, false, false, false,
                          &r->schema, err);
    if (!ok && err->code == ERR_SOURCE_TABLE) {
        err_clear(err);
        return true;
    }
    ok = ok && catalog_copies(m->engine->catalog, c->name, &before, err) &&
         definitions_look(r, true, err) && definitions_mind_places(r, err) &&
         definitions_mind_layouts(r, err) &&
         catalog_copies(m->engine->catalog, c->name, &after, err);
    *n_copies += after.n - before.n;
    table_name_list_free(&before);
    table_name_list_free(&after);
    return ok;
}

/* effect: statements that were run, and tables that will be copied. */
static bool sync_once(struct run *r, size_t *left, size_t *effect, struct err *err)
{
    struct mirror *m = r->m;
    struct schema_plan plan = {0};
    if (!run_load_peers(r, err) || !run_connect_source(r, err) || !run_connect_dest(r, err) ||
        !progress_open(r->dest, &m->task, m->row.mirror_id, &m->engine->applier, LOCK_WAIT_MS,
                       err) ||
        !progress_claim(r->dest, &m->task, m->row.mirror_id, r->progress, err))
        return false;
    bool ok = definitions_note(r, err) && schema_diff(r->source, r->dest, &m->task, &m->row.config,
                                                      m->row.mirror_id, &plan, err);
    if (ok) {
        struct schema_point at = {.applied = r->progress->lsn, .is_waiting = is_waiting(m)};
        look_back(m, &plan);
        size_t n = schema_plan_count(&plan, &at, left), n_copies = 0;
        m->sync_after = *left ? plan.lsn : 0;
        if (plan.lsn > m->allowed)
            m->allowed = plan.lsn;
        ok = run_plan(r, &plan, &at, &n_copies, err) && look(r, &n_copies, err);
        if (ok && at.is_waiting && !n && !n_copies && !*left) {
            bool is_copied;
            ok = definitions_copy_misfit(r, &plan, &is_copied, err);
            n_copies += ok && is_copied;
        }
        if (ok && m->row.wish == WISH_PAUSE) /* else the run that follows begins with it */
            run_follow_once(r);
        if (ok) {
            log_plan(m, &plan, n, *left);
            differences_note(m, &plan, &at);
        }
        remember_steps(m, &plan);
        *effect = n + n_copies;
    }
    schema_plan_free(&plan);
    return ok;
}

/* Back to what the mirror was doing; a failed one tries again at once with the new definitions. */
static void leave(struct mirror *m, bool ok, bool has_effect)
{
    if (m->row.wish == WISH_PAUSE)
        show_state(m, MIRROR_PAUSED, "paused");
    else if (m->live.state == MIRROR_ERROR && !(ok && has_effect))
        show_state(m, MIRROR_ERROR, m->is_held ? "waiting" : "backing_off");
    else if (ok)
        mirror_go_on(m);
    else
        show_state(m, MIRROR_RUNNING, "connecting"); /* what failed stays to be seen */
}

static void failed(struct mirror *m, const struct err *err)
{
    log_write(LOG_LEVEL_ERROR, "schema", m->row.config.name, err->hint,
              "sync-schema failed: %s (%s)", err->text, err_name(err->code));
    mirror_end_operation(m, MIRROR_SYNC_SCHEMA);
    show_error(m, err);
    if (m->wants_sync)
        definitions_want(m, (int)mirror_backoff_ms(++m->sync_failures + 2));
}

/* What is left of an automatic one waits for the stream, as that of an operator's does. */
static void ended(struct mirror *m, size_t left)
{
    m->wants_sync = m->wants_sync && left && m->row.wish == WISH_RUN;
    m->sync_failures = 0;
    if (!left)
        mirror_end_operation(m, MIRROR_SYNC_SCHEMA);
}

void mirror_sync_schema(struct mirror *m)
{
    struct source_identity identity = {0};
    struct progress progress = {0};
    struct run r = {.m = m, .identity = &identity, .progress = &progress};
    struct err err = {0};
    size_t left = 0, effect = 0;
    bool is_asked = mirror_is_pending(m, MIRROR_SYNC_SCHEMA);
    atomic_store(&m->shall_reconnect, false); /* it connects anew anyway */
    m->is_syncing = true;
    m->sync_after = 0;
    run_name(&r);
    mirror_show_operation(m); /* it holds a paused mirror, too, from here on */
    show_state(m, m->live.state, "syncing_schema");
    bool ok = sync_once(&r, &left, &effect, &err);
    run_close(&r, !ok);
    m->is_syncing = false;
    if (!ok && err.code != ERR_CANCELLED)
        failed(m, &err);
    if (ok && left && m->row.wish == WISH_PAUSE) {
        log_warn("schema", m->row.config.name,
                 "statements=%zu can only run when older changes have "
                 "been applied: resume the mirror, then sync again",
                 left);
        left = 0;
    }
    if (err.code != ERR_CANCELLED)
        leave(m, ok, effect || is_asked);
    if (ok) /* after the error of before it has gone: who waits sees the end first */
        ended(m, left);
}

/* --- The preview -------------------------------------------------------------------------------
 */

bool engine_mirror_schema_plan(struct engine *e, const char *name, struct schema_plan *out,
                               struct err *err)
{
    struct probe source = {0}, dest = {0};
    struct mirror_row row;
    *out = (struct schema_plan){0};
    if (!catalog_mirror_get(e->catalog, name, &row, err))
        return false;
    bool ok = probe_begin_long(&source, e, row.config.source_peer, PREVIEW_MS, NULL, err) &&
              probe_begin_long(&dest, e, row.config.dest_peer, PREVIEW_MS, NULL, err);
    if (ok &&
        !(schema_diff(source.conn, dest.conn, &source.task, &row.config, row.mirror_id, out, err) &&
          definitions_preview(e, &row, source.conn, &source.task, dest.conn, &dest.task, out, err)))
        ok = probe_explain(&source, err);
    probe_end(&source);
    probe_end(&dest);
    mirror_row_free(&row);
    return ok || engine_explain_cancel(e, err);
}
