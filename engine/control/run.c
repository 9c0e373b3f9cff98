/* One run of a mirror: connect, set up what is missing, check that nothing is lost, stream; see
 * mirror_private.h. */
#include "control/mirror_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "control/peer_target.h"
#include "control/table_sync.h"
#include "control/verify.h"
#include "copy/follow.h"
#include "stream/published.h"
#include "stream/source.h"
#include "stream/stream.h"

#define CONNECT_MS 15000
#define LOCK_WAIT_MS 10000
#define SLOT_WAIT_MS 10000
#define START_MS 60000
#define MAX_BATCH_BYTES (16 << 20)
#define REST_MS 20000       /* of memory that rows needed */
#define SOURCE_REST_MS 5000 /* of the ordinary session there */
#define WINDOW_MIN ((size_t)128 << 10)
#define WINDOW_MAX ((size_t)8 << 20)
#define STREAMS_FEW 16 /* share as if there were so many */

/* --- connections
 * ------------------------------------------------------------------------------------ */

static bool load_peer(struct mirror *m, const char *name, struct peer *peer,
                      struct pg_target *target, struct err *err)
{
    if (!catalog_peer_get(m->engine->catalog, name, peer, err))
        return false;
    peer_target(peer, target);
    return true;
}

static bool connect_peer(struct run *r, const struct pg_target *t, const char *name,
                         enum pg_kind kind, const char *options, struct pg_conn **out,
                         struct err *err)
{
    if (pg_connect(t, kind, r->app, options, &r->m->task, CONNECT_MS, out, err))
        return true;
    return err->code == ERR_CANCELLED ? false : err_context(err, "peer %s", name);
}

bool run_connect_source(struct run *r, struct err *err)
{
    return connect_peer(r, &r->source_target, r->m->row.config.source_peer, PG_SQL, NULL,
                        &r->source, err);
}

bool run_source(void *arg, struct pg_conn **out, struct err *err)
{
    struct run *r = arg;
    r->asked_at = clock_mono_ms();
    if (r->source && !pg_is_alive(r->source)) {
        pg_close(r->source, false);
        r->source = NULL;
    }
    bool ok = r->source || run_connect_source(r, err);
    *out = r->source;
    return ok;
}

/* The stream needs no answers of the source for hours, and a server has no sessions to spare for
 * two hundred mirrors. */
void run_rest(struct run *r)
{
    if (!r->source || clock_mono_ms() - r->asked_at < SOURCE_REST_MS)
        return;
    pg_close(r->source, false);
    r->source = NULL;
}

bool run_connect_repl(struct run *r, struct err *err)
{
    return connect_peer(r, &r->source_target, r->m->row.config.source_peer, PG_REPLICATION, NULL,
                        &r->repl, err);
}

bool run_connect_dest(struct run *r, struct err *err)
{
    /* A commit that returned is on the destination's disk: what is reported to the source is
     * durable, whatever the destination's own default is. A plan is made once, perhaps for a table
     * that is still small: where an index finds the rows it is used from the beginning. */
    return connect_peer(r, &r->dest_target, r->m->row.config.dest_peer, PG_APPLY,
                        "-c synchronous_commit=on -c plan_cache_mode=force_generic_plan"
                        " -c enable_seqscan=off",
                        &r->dest, err);
}

void run_name(struct run *r)
{
    str_printf(r->app, sizeof r->app, "bunnydb %s", r->m->row.config.name);
}

const char *run_holder(const struct run *r)
{
    return r->m->takes_slot ? NULL : r->app;
}

/* A peer that has changed is another one to those that share sessions; so is one at the other side,
 * where they have other settings. */
bool run_load_peers(struct run *r, struct err *err)
{
    const struct mirror_config *c = &r->m->row.config;
    if (!load_peer(r->m, c->source_peer, &r->source_peer, &r->source_target, err) ||
        !load_peer(r->m, c->dest_peer, &r->dest_peer, &r->dest_target, err))
        return false;
    str_printf(r->source_key, sizeof r->source_key, "source %s %lld", c->source_peer,
               (long long)r->source_peer.updated_at);
    str_printf(r->dest_key, sizeof r->dest_key, "destination %s %lld", c->dest_peer,
               (long long)r->dest_peer.updated_at);
    return true;
}

static bool connect_all(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    return run_load_peers(r, err) && run_connect_source(r, err) && run_connect_repl(r, err) &&
           run_connect_dest(r, err) &&
           source_identify(r->repl, r->source, &m->task, r->identity, err) &&
           progress_open(r->dest, &m->task, m->row.mirror_id, &m->engine->applier, LOCK_WAIT_MS,
                         err) &&
           progress_claim(r->dest, &m->task, m->row.mirror_id, r->progress, err);
}

/* --- before the stream
 * --------------------------------------------------------------------------------- */

/* A standby may have become the source since: with everything that was applied, or without. */
static bool check_timeline(struct run *r, struct err *err)
{
    struct progress *p = r->progress;
    const struct timeline *now = &r->identity->timeline;
    if (!source_check_history(r->repl, &r->m->task, r->identity, &p->timeline, p->lsn, err))
        return false;
    if (p->timeline.id == now->id && (p->timeline.start == now->start || !now->start))
        return true;
    if (p->timeline.id && p->timeline.id != now->id)
        log_info("super", r->m->row.config.name, "the source was promoted: timeline=%d before=%d",
                 now->id, p->timeline.id);
    if (p->timeline.id && !restored_forget(r->m, err))
        return false; /* the slot is another server's */
    p->timeline = *now;
    return progress_note_timeline(r->dest, &r->m->task, r->m->row.mirror_id, p, err);
}

/* The progress belongs to one slot of one database of one server; anything else would be a gap. */
bool run_check_progress(struct run *r, struct err *err)
{
    const struct progress *p = r->progress;
    if (!p->exists || !p->is_streaming) {
        err_set(err, ERR_PROGRESS_MISSING,
                "the destination has no progress of this mirror in _bunnydb.progress");
        return err_hint(err, "Was the destination restored or replaced? Retry copies the tables "
                             "again; the destination's rows are replaced.");
    }
    if (strcmp(p->system_id, r->identity->system_id) != 0 ||
        p->database_oid != r->identity->database_oid) {
        err_set(err, ERR_SOURCE_CHANGED,
                "the source is another server or database than the one that was copied");
        return err_hint(err,
                        "Check peer %s. If it is right, retry with {\"recreate_slot\": true} "
                        "(bunnydb retry NAME --recreate-slot) copies the tables again.",
                        r->m->row.config.source_peer);
    }
    if (p->lsn > r->identity->wal_end) {
        /* The server would skip whatever it writes up to there, without a word. */
        err_set(err, ERR_SOURCE_CHANGED,
                "the source stands at " LSN_FMT ", before our progress " LSN_FMT
                ": it was restored to an earlier state",
                LSN_ARGS(r->identity->wal_end), LSN_ARGS(p->lsn));
        return err_hint(err, "Retry with {\"recreate_slot\": true} (bunnydb retry NAME "
                             "--recreate-slot) copies the tables again; the destination's rows "
                             "are replaced.");
    }
    return check_timeline(r, err);
}

static bool read_schema(struct run *r, struct err *err)
{
    const struct mirror_config *c = &r->m->row.config;
    bool ok = schema_read(r->source, &r->m->task, c->tables, c->n_tables, false, false, false,
                          &r->schema, err);
    if (!ok && err->code == ERR_SOURCE_TABLE) { /* a table may have another name now */
        err_clear(err);
        ok = definitions_follow_names(r, err) &&
             schema_read(r->source, &r->m->task, c->tables, c->n_tables, false, false, false,
                         &r->schema, err);
    }
    if (!ok && err->code == ERR_SOURCE_TABLE)
        err_hint(err,
                 "It was dropped: pause the mirror, leave it out (bunnydb mirror tables %s --set), "
                 "and resume. Its rows stay at the destination.",
                 c->name);
    if (!ok)
        return err_context(err, "read the source's definitions");
    show_schema(r->m, r->schema);
    return true;
}

/* After the mapping changed, the publication follows: from here on the stream has the tables that
 * were added. */
static bool republish(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    if (!m->row.republish)
        return true;
    atomic_store(&m->is_republishing, true); /* before the sampler can see the change */
    if (!source_republish(r->source, &m->task, m->row.config.publication, r->schema, err) ||
        !catalog_mirror_published(m->engine->catalog, m->row.config.name, err))
        return false;
    m->row.republish = false;
    log_info("super", m->row.config.name, "publication follows the new tables");
    schema_free(r->schema); /* what changed before the publication is noted is to be seen */
    r->schema = NULL;
    return definitions_note(r, err) && read_schema(r, err);
}

/* Of the tables that the stream writes; those that are copied may be missing. */
static bool check_destination(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    struct schema *s = NULL;
    struct table_map *maps;
    size_t n = table_sync_streamed(r->table_sync, &maps);
    bool ok;
    if (n == m->row.config.n_tables)
        ok = schema_check_tables(r->dest, &m->task, r->schema, err);
    else
        ok = !n || (schema_read_some(r->source, &m->task, &m->row.config, maps, n, false, false,
                                     false, &s, err) &&
                    schema_check_tables(r->dest, &m->task, s, err));
    schema_free(s);
    free(maps);
    r->is_dest_unfit = !ok;
    return ok;
}

static bool look_at_definitions(struct run *r, struct err *err)
{
    bool ok = definitions_look(r, definitions_are_automatic(r->m), err) &&
              definitions_mind_places(r, err) && definitions_mind_layouts(r, err);
    r->m->trusts = false;
    return ok;
}

static bool check_everything(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    const struct mirror_config *c = &m->row.config;
    /* What only a new copy heals comes first: it brings all else that may be missing. */
    return run_check_progress(r, err) && restored_check(r, err) &&
           source_check_slot(r->source, &m->task, c->slot, r->progress->lsn, err) &&
           definitions_note(r, err) && read_schema(r, err) && definitions_mind_recreated(r, err) &&
           republish(r, err) &&
           source_check_publication(r->source, &m->task, c->publication, r->schema, err) &&
           published_check(r->source, r->dest, &m->task, c->name, m->row.mirror_id, c->publication,
                           err) &&
           (m->row.snapshot_done || resume_prepare(r, err)) && look_at_definitions(r, err) &&
           table_sync_open(r, &r->table_sync, err) && check_destination(r, err) &&
           source_free_slot(r->source, &m->task, c->slot, run_holder(r), SLOT_WAIT_MS, err) &&
           source_check_slot(r->source, &m->task, c->slot, r->progress->lsn, err);
}

/* --- the stream
 * ------------------------------------------------------------------------------------------ */

static void committed(void *arg, const struct batch *b)
{
    struct mirror *m = ((struct run *)arg)->m;
    struct mirror_counters *sum = &m->live.counters;
    int64_t now = clock_wall_us();
    for (size_t i = 0; i < b->n_deltas; i++) {
        struct table_status *t = &m->tables[b->deltas[i].table];
        t->rows_inserted += b->deltas[i].inserted;
        t->rows_updated += b->deltas[i].updated;
        t->rows_deleted += b->deltas[i].deleted;
        t->last_synced_at = now;
        sum->rows_inserted += b->deltas[i].inserted;
        sum->rows_updated += b->deltas[i].updated;
        sum->rows_deleted += b->deltas[i].deleted;
    }
    sum->batches++;
    sum->transactions += b->transactions;
    sum->bytes += b->bytes;
    m->rows_total += b->changes;
    m->bytes_total += b->bytes;
    m->live.last_batch_id++;
    m->live.last_lsn = b->end_lsn;
    trouble_emptied(arg, b);
    trouble_passed(m, b->end_lsn);
    m->is_stuck = false;
    m->misfit = (struct table_name){0};
    m->bulk_lost = 0;
    if (m->live.error_count) { /* rows flow again */
        m->live.error_count = 0;
        show_clear_error(m);
    }
    trouble_save(m); /* the destination has it now: nothing would tell it again after a crash */
    show_dirty(m);
}

static void missed(void *arg, const struct apply_miss *miss)
{
    trouble_missed(arg, miss);
}

static void refused(void *arg, const struct apply_miss *what, enum err_code code)
{
    trouble_refused(arg, what, code);
}

static void blamed(void *arg, int table, lsn_t lsn)
{
    struct mirror *m = ((struct run *)arg)->m;
    m->blamed = table;
    m->blamed_lsn = lsn;
}

static void report(void *arg, lsn_t durable, lsn_t safe, bool is_caught_up)
{
    struct mirror *m = ((struct run *)arg)->m;
    const char *streaming = verify_is_running(m) ? "verifying" : "streaming";
    const char *phase = is_caught_up ? streaming : m->live.phase;
    board_reach(m->board, safe);
    if (durable > m->live.last_lsn || safe > m->safe)
        show_dirty(m); /* a quiet mirror has nothing new to show */
    if (durable > m->live.last_lsn)
        m->live.last_lsn = durable;
    m->safe = safe;
    follow_note(((struct run *)arg)->follow, safe, m->rows_total, is_caught_up);
    if (m->sync_after && safe >= m->sync_after)
        m->sync_after = 0; /* ends the run: see is_cancelled */
    if (is_caught_up && m->live.error_count) {
        m->live.error_count = 0;
        show_clear_error(m);
    }
    if (m->row.snapshot_done && strcmp(phase, m->live.phase) != 0)
        show_state(m, MIRROR_RUNNING, phase);
}

/* Between two rows: the share of the budget is that of so many mirrors, and what a burst of rows
 * needed is given back when none have come for a while. */
static void share_memory(struct run *r, struct apply *a)
{
    int64_t now = clock_mono_ms();
    if (r->m->rows_total != r->rows_seen) {
        r->rows_seen = r->m->rows_total;
        r->rows_at = now;
        r->has_memory = true;
    }
    apply_set_window(a, mirror_window(r->m));
    if (!r->has_memory || now - r->rows_at < REST_MS || !apply_is_idle(a))
        return;
    apply_rest(a);
    r->has_memory = false;
}

static bool tend(void *arg, struct apply *a, struct err *err)
{
    share_memory(arg, a);
    run_follow_look(arg);
    restored_note(arg);
    run_rest(arg);
    return definitions_tend(arg, a, err) && table_sync_tend(arg, a, err);
}

void run_end_operations(struct mirror *m)
{
    mirror_end_operation(m, MIRROR_RESYNC);
    mirror_end_operation(m, MIRROR_RETRY);
    mirror_end_operation(m, MIRROR_RECREATE);
    mirror_end_operation(m, MIRROR_TAKE_SLOT);
}

void run_is_streaming(struct mirror *m)
{
    show_state(m, MIRROR_RUNNING, "catching_up");
}

void run_has_begun(struct run *r)
{
    struct mirror *m = r->m;
    r->has_begun = true;
    if (m->row.snapshot_done)
        run_is_streaming(m);
    else
        show_state(m, MIRROR_SNAPSHOTTING, "copying");
    if (m->row.snapshot_done && table_sync_is_idle(r->table_sync))
        run_end_operations(m); /* else with the last copy */
}

static bool start(void *arg, lsn_t from, struct err *err)
{
    struct run *r = arg;
    struct mirror *m = r->m;
    const struct mirror_config *c = &m->row.config;
    if (!pg_repl_decoding_memory(r->repl, &m->task, START_MS, m->engine->options.decoding_memory,
                                 err) ||
        !pg_repl_start(r->repl, &m->task, START_MS, c->slot, from, c->publication, false, err))
        return err->code == ERR_CANCELLED ? false : err_context(err, "start the stream");
    log_info("stream", c->name, "started slot=%s from=" LSN_FMT, c->slot, LSN_ARGS(from));
    if (!r->has_begun)
        run_has_begun(r);
    return true;
}

static void stopping(void *arg)
{
    table_sync_stopping(arg);
    verify_leave(((struct run *)arg)->m);
}

static bool stream(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    const struct mirror_config *c = &m->row.config;
    m->live.last_lsn = r->progress->lsn;
    m->safe = r->progress->lsn;
    bool is_clean = false;
    struct stream_options o = {
        .source = r->repl,
        .start = start,
        .bulk = run_bulk(r),
        .dest = r->dest,
        .task = &m->task,
        .keepalive_ms = r->identity->keepalive_ms,
        .from = r->progress->lsn,
        .source_end = r->identity->wal_end,
        .apply = {.mirror = c->name,
                  .mirror_id = m->row.mirror_id,
                  .epoch = r->progress->epoch,
                  .schema = r->schema,
                  .limits = {.max_changes = c->cdc_batch_size,
                             .max_bytes = MAX_BATCH_BYTES,
                             .wait_ms = (int64_t)c->cdc_sync_interval_seconds * 1000},
                  .aside = table_sync_aside(r->table_sync),
                  .adapt = definitions_adapt(r),
                  .close_before = m->failed_at,
                  .window = mirror_window(m),
                  .committed = committed,
                  .missed = missed,
                  .refused = refused,
                  .has_left = definitions_has_left,
                  .blamed = blamed,
                  .arg = r},
        .report = report,
        .beside = tend,
        .stopping = stopping,
        .hold = m->hold,
        .standing = verify_standing,
        .arg = r,
        .busy_us = &m->live.counters.busy_us,
        .reading = &m->failed_at,
        .oldest = &m->oldest,
        .is_clean = &is_clean,
    };
    if (!run_follow(r, err))
        return false;
    atomic_fetch_add(&m->engine->streams, 1);
    m->table_sync = r->table_sync;
    r->asked_at = clock_mono_ms();
    bool ok = stream_run(&o, err);
    atomic_fetch_sub(&m->engine->streams, 1);
    if (m->blamed >= 0)
        m->failed_at = m->blamed_lsn;
    m->table_sync = NULL;
    run_follow_end(r, err->code == ERR_CANCELLED, is_clean);
    return ok;
}

/* What one mirror may have under way to the destination: its share of half the budget. */
size_t mirror_window(const struct mirror *m)
{
    int streams = atomic_load(&m->engine->streams);
    size_t n = streams > STREAMS_FEW ? (size_t)streams : STREAMS_FEW;
    size_t window = m->engine->options.memory_budget / 2 / n;
    return window < WINDOW_MIN ? WINDOW_MIN : window > WINDOW_MAX ? WINDOW_MAX : window;
}

void run_close(struct run *r, bool cancel)
{
    pg_close(r->repl, false);
    pg_close(r->source, cancel);
    pg_close(r->dest, cancel);
    schema_free(r->schema);
    peer_free(&r->source_peer);
    peer_free(&r->dest_peer);
}

/* From nothing, or on from where an earlier run was interrupted: beside the stream. */
static bool snapshot(struct run *r, struct err *err)
{
    bool goes_on;
    return resume_is_possible(r, &goes_on, err) && (goes_on || run_setup(r, err));
}

/* What a failed run leaves to do at once, so that the next one follows. */
static bool goes_on_after(struct run *r, lsn_t closed_before, const struct err *err)
{
    return definitions_leave_misfit(r, err) || definitions_go_first(r, closed_before, err) ||
           definitions_may_heal(r->m, err) || set_aside_blamed(r, err);
}

bool mirror_run(struct mirror *m, struct err *err)
{
    struct source_identity identity = {0};
    struct progress progress = {0};
    struct run r = {.m = m, .identity = &identity, .progress = &progress};
    lsn_t closed_before = m->failed_at;
    run_name(&r);
    m->blamed = -1;
    bool ok = connect_all(&r, err) && (m->row.snapshot_done || snapshot(&r, err));
    if (ok && check_everything(&r, err) && differences_look(&r, err) &&
        differences_look_for_triggers(&r, err))
        ok = stream(&r, err);
    bool goes_on = err->code != ERR_CANCELLED && goes_on_after(&r, closed_before, err);
    table_sync_close(r.table_sync);
    if (err->code != ERR_CANCELLED && !goes_on) /* what heals by itself brings the copies, too */
        definitions_note_lost(&r, err);
    run_close(&r, true);
    return goes_on;
}
