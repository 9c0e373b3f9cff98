/* Removal of a mirror: slot, publication, bookkeeping, catalog; see mirror_private.h. */
#include "control/mirror_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/peer_target.h"
#include "control/roster.h"
#include "control/verify.h"
#include "copy/restore.h"
#include "copy/swap.h"
#include "copy/twins.h"
#include "stream/progress.h"
#include "stream/source.h"

#define CONNECT_MS 5000
#define STATEMENT_MS 30000
#define SLOT_FREE_MS 10000

/* A removal is not interrupted by the command that asked for it; only by the process's end. */
static bool is_stopping(void *arg)
{
    struct mirror *m = arg;
    return atomic_load(&m->shall_stop);
}

/* What a deletion works with. Both servers are reached before anything is removed: a mirror that
 * cannot be deleted now stays whole. From begun on, what it has lost makes it one that is deleted.
 */
struct removal {
    struct mirror *m;
    struct task task;
    struct pg_conn *source, *dest;
    bool has_begun;
};

static bool connect_to(struct removal *r, const char *peer, const char *app, struct pg_conn **out,
                       struct err *err)
{
    struct peer p = {0};
    struct pg_target target;
    if (!catalog_peer_get(r->m->engine->catalog, peer, &p, err))
        return false;
    peer_target(&p, &target);
    bool ok = pg_connect(&target, PG_SQL, app, NULL, &r->task, CONNECT_MS, out, err);
    peer_free(&p);
    return ok;
}

/* True when it is gone, and has_begun when it may be. */
static bool drop_slot(struct removal *r, struct err *err)
{
    bool ok = source_drop_slot(r->source, &r->task, r->m->row.config.slot, STATEMENT_MS, err);
    r->has_begun = r->has_begun || ok || err->code != ERR_SQL;
    return ok;
}

static bool clean_source(struct removal *r, struct err *err)
{
    const struct mirror_config *c = &r->m->row.config;
    char app[64];
    str_printf(app, sizeof app, "bunnydb %s", c->name);
    return !r->m->row.slot_created || /* nothing was made there */
           (source_free_slot(r->source, &r->task, c->slot, app, SLOT_FREE_MS, err) &&
            drop_slot(r, err) && source_unpublish(r->source, &r->task, c->publication, err));
}

/* What a copy that did not end has dropped. */
static bool restore_keys(struct mirror *m, struct pg_conn *conn, struct task *task)
{
    restore_before_deletion(conn, task, m->row.config.name, m->row.mirror_id, m->row.snapshot_done);
    return true;
}

/* What a copy that did not end has built. */
static bool remove_twins(struct mirror *m, struct pg_conn *conn, struct task *task, struct err *err)
{
    const struct mirror_config *c = &m->row.config;
    const char **schemas = mem_calloc(c->n_tables + 1, sizeof *schemas);
    const char **tables = mem_calloc(c->n_tables + 1, sizeof *tables);
    char *app = mem_printf("bunnydb copy %s", c->name);
    for (size_t i = 0; i < c->n_tables; i++) {
        schemas[i] = c->tables[i].dest_schema;
        tables[i] = c->tables[i].dest_table;
    }
    bool ok = twins_remove(conn, task, STATEMENT_MS, app, c->n_tables, schemas, tables, err);
    free(schemas);
    free(tables);
    free(app);
    return ok;
}

static bool clean_dest(struct removal *r, struct err *err)
{
    struct mirror *m = r->m;
    return restore_keys(m, r->dest, &r->task) &&
           swap_remove_leftovers(r->dest, &r->task, m->row.mirror_id, err) &&
           remove_twins(m, r->dest, &r->task, err) &&
           progress_delete(r->dest, &r->task, m->row.mirror_id, err);
}

static void note_left_behind(struct mirror *m, bool source_clean, bool dest_clean, char **note)
{
    const struct mirror_config *c = &m->row.config;
    struct buf b = {0};
    if (!source_clean)
        buf_printf(&b,
                   "At source %s: slot %s and publication %s may be left; the slot keeps WAL. "
                   "Remove them with SELECT pg_drop_replication_slot('%s'); DROP PUBLICATION %s;",
                   c->source_peer, c->slot, c->publication, c->slot, c->publication);
    if (!dest_clean)
        buf_printf(&b,
                   "%sAt destination %s: the row of mirror_id %s in _bunnydb.progress may be left.",
                   b.len ? " " : "", c->dest_peer, m->row.mirror_id);
    if (b.len)
        log_warn("super", c->name, "%s", buf_text(&b));
    *note = buf_take(&b);
}

static bool not_deleted(const struct removal *r, const struct err *why, struct err *err)
{
    char text[sizeof err->text];
    str_copy(text, sizeof text, why->text);
    err_set(err, ERR_CLEANUP, "Mirror %s was not deleted%s: %s", r->m->row.config.name,
            r->has_begun ? " to the end" : "", text);
    return err_hint(err, r->has_begun
                             ? "It goes on by itself when the server can be reached; or delete "
                               "with force=true, and remove what is left by hand."
                             : "Try again when the server can be reached, or delete with "
                               "force=true and remove slot and publication by hand.");
}

/* force: what cannot be reached is left behind, and told. */
static bool clean_both(struct removal *r, bool force, char **note, struct err *err)
{
    const struct mirror_config *c = &r->m->row.config;
    struct err dest_err = {0};
    char app[64];
    str_printf(app, sizeof app, "bunnydb %s", c->name);
    bool at_source = !r->m->row.slot_created || connect_to(r, c->source_peer, app, &r->source, err);
    bool at_dest =
        (at_source || force) && connect_to(r, c->dest_peer, "bunnydb", &r->dest, &dest_err);
    bool source_clean = at_source && (at_dest || force) && clean_source(r, err);
    bool dest_clean = at_dest && (source_clean || force) && clean_dest(r, &dest_err);
    if (force)
        note_left_behind(r->m, source_clean, dest_clean, note);
    if (force || (source_clean && dest_clean))
        return true;
    bool is_source = err->code != ERR_NONE;
    struct err *why = is_source ? err : &dest_err;
    (void)err_context(why, "%s %s", is_source ? "source" : "destination",
                      is_source ? c->source_peer : c->dest_peer);
    return not_deleted(r, why, err);
}

/* *has_begun: something is removed, or may be. */
static bool remove_mirror(struct mirror *m, bool force, char **note, bool *has_begun,
                          struct err *err)
{
    struct removal r = {
        .m = m,
        .task = {
            .wake_fd = m->wake_fd, .is_cancelled = is_stopping, .tick = m->task.tick, .arg = m}};
    bool ok = clean_both(&r, force, note, err);
    pg_close(r.source, true);
    pg_close(r.dest, true);
    *has_begun = r.has_begun;
    if (!ok || !catalog_mirror_delete(m->engine->catalog, m->row.config.name, err))
        return false;
    log_info("super", m->row.config.name, "deleted; the destination's tables stay");
    return true;
}

/* --- what comes of it ------------------------------------------------------------------------- */

/* A deletion that has begun stays one, and is tried again later. */
static void deletion_failed(struct mirror *m, const struct err *err)
{
    m->live.error_count++;
    int64_t wait = mirror_backoff_ms(m->live.error_count);
    m->retry_at = clock_mono_ms() + wait;
    show_error(m, err);
    show_state(m, MIRROR_STOPPED, "deleting");
    m->live.next_retry_at = clock_wall_us() + wait * 1000; /* behind what a state says of it */
    show_now(m);
}

/* The mirror stays as it was. */
static void take_deletion_back(struct mirror *m, enum mirror_wish before)
{
    struct err err = {0};
    if (!mirror_save_flags(m, before, m->row.snapshot_done, &err))
        log_error("super", m->row.config.name, "cannot take the deletion back: %s", err.text);
    if (before == WISH_PAUSE)
        show_state(m, MIRROR_PAUSED, "paused");
    else if (m->live.error.code)
        show_state(m, MIRROR_ERROR, m->is_held ? "waiting" : "backing_off");
    else
        show_state(m, m->row.snapshot_done ? MIRROR_RUNNING : MIRROR_INITIALIZING, "connecting");
}

bool mirror_delete(struct mirror *m, struct command *c, struct err *err)
{
    enum mirror_wish before = m->row.wish;
    bool has_begun;
    if (!mirror_save_flags(m, WISH_DELETE, m->row.snapshot_done, err))
        return false;
    show_state(m, MIRROR_STOPPED, "deleting");
    verify_end(m);
    if (remove_mirror(m, c->kind == MIRROR_FORCE_DELETE, &c->note, &has_begun, err)) {
        pthread_mutex_lock(&m->lock);
        m->is_gone = true;
        pthread_mutex_unlock(&m->lock);
        roster_is_gone(m->engine->roster); /* before the answer: who asked for it clears it away */
        return true;
    }
    if (before == WISH_DELETE || has_begun)
        deletion_failed(m, err);
    else
        take_deletion_back(m, before);
    return false;
}

void mirror_finish_deletion(struct mirror *m)
{
    struct err err = {0};
    char *note = NULL;
    bool has_begun;
    log_info("super", m->row.config.name, "a deletion was interrupted: going on with it");
    show_state(m, MIRROR_STOPPED, "deleting");
    if (remove_mirror(m, false, &note, &has_begun, &err)) {
        pthread_mutex_lock(&m->lock);
        m->is_gone = true;
        pthread_mutex_unlock(&m->lock);
    } else {
        deletion_failed(m, &err);
        log_error("super", m->row.config.name, "%s", err.text);
    }
    free(note);
}
