/* When a mirror that is far behind reads in bulk (stream/bulk.h) instead of streaming; see
 * mirror_private.h. */
#include "control/mirror_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/peer_target.h"
#include "control/table_sync.h"
#include "control/verify.h"

#define CONNECT_MS 15000
#define ASK_MS 5000
#define FAR_BYTES (32 << 20)   /* of WAL that is not applied, when a run begins */
#define AGAIN_BYTES (64 << 20) /* the same while a stream that is loaded runs: worth a new run */
#define REFUSED_MS 600000      /* after so long a refusal is no more one */
#define LOST_MAX 5             /* sessions that are lost without a change applied: as good as one */
#define BULK_SHARE 8           /* of the budget: what may wait here while the source decodes on */
#define READERS_MAX 4          /* of a process at a time: each may hold a window of messages */

static bool is_possible(const struct run *r)
{
    const struct mirror *m = r->m;
    return m->row.snapshot_done && clock_mono_ms() >= m->bulk_at &&
           atomic_load(&m->engine->bulk_readers) < READERS_MAX;
}

static bool connect(void *arg, struct pg_conn **out, struct err *err)
{
    struct run *r = arg;
    struct mirror *m = r->m;
    if (!pg_connect(&r->source_target, PG_SQL, r->app, NULL, &m->task, CONNECT_MS, out, err))
        return err->code == ERR_CANCELLED ? false
                                          : err_context(err, "peer %s", m->row.config.source_peer);
    atomic_fetch_add(&m->engine->bulk_readers, 1);
    run_has_begun(r);
    log_info("stream", m->row.config.name, "far behind: reads in bulk from=" LSN_FMT " bytes=%lld",
             LSN_ARGS(r->progress->lsn), (long long)(r->identity->wal_end - r->progress->lsn));
    return true;
}

static void ended(void *arg)
{
    struct mirror *m = ((struct run *)arg)->m;
    atomic_fetch_sub(&m->engine->bulk_readers, 1);
}

/* A session that is lost, or one that a server which restarts refuses, says nothing against the
 * next one, unless it happens each time. */
static void refused(void *arg, const struct err *err)
{
    struct mirror *m = ((struct run *)arg)->m;
    bool is_lost = err->code != ERR_SQL && err->code != ERR_SLOT_AHEAD;
    m->bulk_lost = is_lost ? m->bulk_lost + 1 : 0;
    if (is_lost && m->bulk_lost < LOST_MAX)
        return;
    m->bulk_at = clock_mono_ms() + REFUSED_MS;
    log_warn("stream", m->row.config.name, "no bulk reading for %d min, streams instead: %s%s%s",
             REFUSED_MS / 60000, err->sqlstate, err->sqlstate[0] ? " " : "", err->text);
}

static bool ask_where(struct run *r, lsn_t *end)
{
    struct pg_result *result;
    struct err ignored = {0};
    struct pg_conn *source;
    if (!run_source(r, &source, &ignored))
        return false;
    if (!pg_exec(source, &r->m->task, ASK_MS,
                 "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
                 "pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_flush_lsn() "
                 "END",
                 &result, &ignored))
        return false; /* whoever needs that session next says so */
    *end = pg_rows(result) ? pg_lsn(result, 0, 0) : 0;
    pg_free(result);
    return true;
}

/* Copies and comparisons hang on the run: they are not interrupted for it. */
static bool is_far(void *arg, lsn_t seen)
{
    struct run *r = arg;
    struct mirror *m = r->m;
    lsn_t end = 0;
    if (!is_possible(r) || !table_sync_is_idle(r->table_sync) || verify_is_running(m) ||
        hold_lsn(m->hold))
        return false;
    m->wants_bulk = ask_where(r, &end) && end > seen && end - seen >= AGAIN_BYTES;
    return m->wants_bulk;
}

struct stream_bulk run_bulk(struct run *r)
{
    struct mirror *m = r->m;
    const struct progress *p = r->progress;
    bool is_far_now = m->wants_bulk ||
                      (r->identity->wal_end > p->lsn && r->identity->wal_end - p->lsn >= FAR_BYTES);
    struct stream_bulk b = {.is_wanted = is_far_now && is_possible(r),
                            .slot = m->row.config.slot,
                            .publication = m->row.config.publication,
                            .app = r->app,
                            .window = m->engine->options.memory_budget / BULK_SHARE,
                            .decoding_memory = m->engine->options.decoding_memory,
                            .connect = connect,
                            .refused = refused,
                            .ended = ended,
                            .is_far = is_far};
    m->wants_bulk = false;
    return b;
}
