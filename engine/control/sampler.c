/* Sampling of sources; see sampler.h. */
#include "control/sampler.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "control/drift.h"
#include "control/peer_target.h"
#include "control/roster.h"
#include "control/slots.h"
#include "control/supervisor.h"
#include "control/tally.h"

#define SAMPLE_MS 1000
#define HISTORY_SAMPLES 5
#define DRIFT_SAMPLES 2
#define QUERY_LIMIT_MS 5000
#define RECONNECT_MS 5000
#define ROOM_SAMPLES 5
#define GUARD_AGAIN_MS 60000
#define PAUSE_MS 10000

struct watch {
    struct sampler *sampler;
    char peer[NAME_SIZE];
    bool of_dest; /* what it is to the mirrors that are looked at */
    pthread_t thread;
    int wake_fd;
    bool is_over;        /* with the sampler's lock */
    atomic_bool is_late; /* what it does now is to end, as it has not moved */
    struct task task;
    struct pg_conn *conn;
    int64_t peer_version; /* updated_at of the peer the connection was made with */
    int64_t connect_at;   /* monotonic ms */
    unsigned turns;
    lsn_t wal_end; /* of a source, at the last sample */
    struct drift *drift;
    size_t n_tallies, cap_tallies; /* of a source */
    struct tally *tallies;
    int64_t wal_limit; /* max_slot_wal_keep_size in bytes; -1: none */
    int oldest_pid;    /* its oldest transaction that writes, if it is old */
    int64_t oldest_s;
};

struct sampler {
    struct engine *engine;
    pthread_mutex_t lock;
    size_t n, cap;
    struct watch **watches;
    atomic_bool shall_stop;
};

/* The mirrors of one source, held. */
struct group {
    size_t n, cap; /* cap: of a list that is made here */
    struct mirror **mirrors;
};

static bool is_cancelled(void *arg)
{
    struct watch *w = arg;
    return atomic_load(&w->sampler->shall_stop) || atomic_load(&w->is_late);
}

static bool is_watched_by(void *arg, struct mirror *m)
{
    const struct watch *w = arg;
    const struct mirror_config *c = mirror_config_of(m);
    return !strcmp(w->of_dest ? c->dest_peer : c->source_peer, w->peer);
}

static struct group hold_mirrors(struct watch *w)
{
    struct group g = {0};
    g.mirrors = roster_hold_all(w->sampler->engine->roster, is_watched_by, w, &g.n);
    return g;
}

static void release_mirrors(struct watch *w, struct group *g)
{
    roster_release_all(w->sampler->engine->roster, g->mirrors, g->n);
    free(g->mirrors);
}

static void disconnect(struct watch *w)
{
    pg_close(w->conn, false);
    w->conn = NULL;
    drift_forget(w->drift);
    w->connect_at = clock_mono_ms() + RECONNECT_MS;
}

static bool connect_peer(struct watch *w)
{
    struct peer p = {0};
    struct pg_target target;
    struct err err = {0};
    if (!catalog_peer_get(w->sampler->engine->catalog, w->peer, &p, &err))
        return false;
    if (w->conn && p.updated_at != w->peer_version)
        disconnect(w);
    bool due = !w->conn && (clock_mono_ms() >= w->connect_at || p.updated_at != w->peer_version);
    if (due) {
        w->peer_version = p.updated_at;
        peer_target(&p, &target);
        if (!pg_connect(&target, PG_SQL, "bunnydb sampler", NULL, &w->task, QUERY_LIMIT_MS,
                        &w->conn, &err)) {
            log_debug("sampler", "", "source=%s %s", w->peer, err.text);
            if (!w->of_dest)
                slots_fail(w->sampler->engine->slots, w->peer, err.text);
            disconnect(w);
        }
    }
    peer_free(&p);
    return w->conn != NULL;
}

static struct slot_status read_slot(const struct pg_result *r, size_t row)
{
    struct slot_status s = {.sampled_at = clock_wall_us(), .exists = !pg_is_null(r, row, 1)};
    s.active = pg_bool(r, row, 2);
    s.active_pid = (int)pg_int(r, row, 3);
    str_copy(s.wal_status, sizeof s.wal_status, pg_text(r, row, 4));
    s.confirmed_flush = pg_lsn(r, row, 5);
    s.restart = pg_lsn(r, row, 6);
    s.retained_bytes = pg_int(r, row, 7);
    s.safe_wal_size = pg_is_null(r, row, 8) ? -1 : pg_int(r, row, 8);
    s.xmin_age = pg_is_null(r, row, 13) ? -1 : pg_int(r, row, 13);
    return s;
}

/* All slots: those of others keep WAL as well. The end of the WAL also where there are none. */
static const char *sample_sql(const struct pg_conn *c)
{
#define SAMPLE_SQL(status, safe)                                                              \
    "SELECT w.lsn, s.slot_name, s.active, coalesce(s.active_pid, 0), " status                 \
    ", s.confirmed_flush_lsn, s.restart_lsn, coalesce(pg_catalog.pg_wal_lsn_diff(w.lsn, "     \
    "s.restart_lsn), 0)::int8, " safe ", s.slot_type, s.plugin, s.database, s.temporary, "    \
    "greatest(pg_catalog.age(s.xmin), pg_catalog.age(s.catalog_xmin))"                        \
    " FROM (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN "                            \
    "pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END AS lsn) w " \
    "LEFT JOIN pg_catalog.pg_replication_slots s ON true"
    return pg_version(c) >= 130000 ? SAMPLE_SQL("s.wal_status", "s.safe_wal_size")
                                   : SAMPLE_SQL("'reserved'", "NULL::int8");
}

static void write_boards(const struct group *g, const struct pg_result *r)
{
    for (size_t i = 0; i < g->n; i++) {
        struct slot_status s = {.sampled_at = clock_wall_us(), .safe_wal_size = -1, .xmin_age = -1};
        for (size_t row = 0; row < pg_rows(r); row++)
            if (!strcmp(pg_text(r, row, 1), mirror_config_of(g->mirrors[i])->slot))
                s = read_slot(r, row);
        board_sample(mirror_board(g->mirrors[i]), &s, pg_lsn(r, 0, 0));
    }
}

static const char *owner_of(const struct group *g, const char *slot)
{
    for (size_t i = 0; i < g->n; i++)
        if (!strcmp(mirror_config_of(g->mirrors[i])->slot, slot))
            return mirror_name(g->mirrors[i]);
    return "";
}

static bool is_listed(const struct pg_result *r, const char *slot)
{
    for (size_t row = 0; row < pg_rows(r); row++)
        if (!strcmp(pg_text(r, row, 1), slot))
            return true;
    return false;
}

/* All slots of the source, and those of mirrors that are not there. */
static void publish_slots(struct watch *w, const struct group *g, const struct pg_result *r)
{
    size_t n = 0;
    struct source_slot *all = mem_calloc(pg_rows(r) + g->n + 1, sizeof *all);
    for (size_t row = 0; row < pg_rows(r); row++) {
        if (pg_is_null(r, row, 1))
            continue;
        struct source_slot *s = &all[n++];
        str_copy(s->name, sizeof s->name, pg_text(r, row, 1));
        str_copy(s->mirror, sizeof s->mirror, owner_of(g, s->name));
        str_copy(s->type, sizeof s->type, pg_text(r, row, 9));
        str_copy(s->plugin, sizeof s->plugin, pg_text(r, row, 10));
        str_copy(s->database, sizeof s->database, pg_text(r, row, 11));
        s->is_temporary = pg_bool(r, row, 12);
        s->status = read_slot(r, row);
    }
    for (size_t i = 0; i < g->n; i++) {
        const char *name = mirror_config_of(g->mirrors[i])->slot;
        if (is_listed(r, name))
            continue;
        struct source_slot *s = &all[n++];
        str_copy(s->name, sizeof s->name, name);
        str_copy(s->mirror, sizeof s->mirror, mirror_name(g->mirrors[i]));
        str_copy(s->type, sizeof s->type, "logical");
        s->status = (struct slot_status){
            .sampled_at = clock_wall_us(), .safe_wal_size = -1, .xmin_age = -1};
    }
    slots_put(w->sampler->engine->slots, w->peer, pg_lsn(r, 0, 0), all, n);
}

static void sample(struct watch *w, const struct group *g)
{
    struct pg_result *r;
    struct err err = {0};
    if (!pg_exec(w->conn, &w->task, QUERY_LIMIT_MS, sample_sql(w->conn), &r, &err)) {
        log_debug("sampler", "", "source=%s %s", w->peer, err.text);
        slots_fail(w->sampler->engine->slots, w->peer, err.text);
        disconnect(w);
        return;
    }
    w->wal_end = pg_lsn(r, 0, 0);
    write_boards(g, r);
    publish_slots(w, g, r);
    pg_free(r);
}

static void look_for_drift(struct watch *w, const struct group *g)
{
    struct err err = {0};
    if (drift_look(w->drift, w->conn, &w->task, QUERY_LIMIT_MS, w->wal_end, g->mirrors, g->n, &err))
        return;
    log_debug("sampler", "", "source=%s %s", w->peer, err.text);
    disconnect(w);
}

/* --- what holds mirrors up ---------------------------------------------------------------------
 */

static struct mirror_status status_of(struct mirror *m, struct board_lists **lists)
{
    struct mirror_status s;
    board_copy(mirror_board(m), &s, lists);
    return s;
}

/* Only a mirror that is behind, or copies, is worth a question. */
static bool needs_look(const struct watch *w, struct mirror *m)
{
    struct board_lists *lists;
    struct mirror_status s = status_of(m, &lists);
    board_lists_release(lists);
    return s.state == MIRROR_SNAPSHOTTING ||
           (s.state == MIRROR_RUNNING &&
            s.lag_seconds * 2 >= w->sampler->engine->options.lag_alarm_s);
}

static bool look_for_index(struct watch *w, struct mirror *m, struct sight *s, struct err *err)
{
    struct mirror_keys k;
    if (!mirror_keys(m, &k))
        return true;
    bool ok =
        sight_read_slow(w->conn, &w->task, QUERY_LIMIT_MS, k.schemas, k.tables, k.columns, s, err);
    free(k.schemas);
    free(k.tables);
    free(k.columns);
    return ok;
}

/* What the sessions of those mirrors wait for here. */
static void look_at_sessions(struct watch *w, const struct group *g)
{
    struct group behind = {0}; /* borrowed from g */
    struct err err = {0};
    for (size_t i = 0; i < g->n; i++)
        if (needs_look(w, g->mirrors[i]))
            MEM_PUSH(behind.mirrors, behind.n, behind.cap, g->mirrors[i]);
    const char **names = mem_calloc(behind.n + 1, sizeof *names);
    struct sight *sights = mem_calloc(behind.n + 1, sizeof *sights);
    for (size_t i = 0; i < behind.n; i++)
        names[i] = mirror_name(behind.mirrors[i]);
    bool ok = !behind.n || (connect_peer(w) && sight_read(w->conn, &w->task, QUERY_LIMIT_MS,
                                                          behind.n, names, sights, &err));
    for (size_t i = 0; ok && w->of_dest && i < behind.n; i++)
        ok = look_for_index(w, behind.mirrors[i], &sights[i], &err);
    for (size_t i = 0; ok && i < behind.n; i++)
        board_see(mirror_board(behind.mirrors[i]), w->of_dest, &sights[i]);
    if (!ok && w->conn) {
        log_debug("sampler", "", "peer=%s %s", w->peer, err.text);
        disconnect(w);
    }
    free(names);
    free(sights);
    free(behind.mirrors);
}

/* How much WAL the source lets a slot keep, and the transaction that holds the most of it. */
static void look_at_room(struct watch *w)
{
    static const char sql[] =
        "SELECT coalesce((SELECT setting::int8 FROM pg_catalog.pg_settings WHERE name = "
        "'max_slot_wal_keep_size'), -1), coalesce(a.pid, 0), coalesce(a.s, 0) FROM (SELECT 1) one "
        "LEFT JOIN (SELECT pid, extract(epoch FROM pg_catalog.clock_timestamp() - xact_start)::int8"
        " s FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL AND xact_start < "
        "pg_catalog.clock_timestamp() - interval '60 s' ORDER BY xact_start LIMIT 1) a ON true";
    struct pg_result *r;
    struct err err = {0};
    if (!pg_exec(w->conn, &w->task, QUERY_LIMIT_MS, sql, &r, &err)) {
        log_debug("sampler", "", "source=%s %s", w->peer, err.text);
        disconnect(w);
        return;
    }
    int64_t mb = pg_int(r, 0, 0);
    w->wal_limit = mb < 0 ? -1 : mb << 20;
    w->oldest_pid = (int)pg_int(r, 0, 1);
    w->oldest_s = pg_int(r, 0, 2);
    pg_free(r);
}

static struct tally *tally_of(struct watch *w, const char *mirror)
{
    for (size_t i = 0; i < w->n_tallies; i++)
        if (!strcmp(w->tallies[i].mirror, mirror))
            return &w->tallies[i];
    struct tally new = {0};
    str_copy(new.mirror, sizeof new.mirror, mirror);
    MEM_PUSH(w->tallies, w->n_tallies, w->cap_tallies, new);
    return &w->tallies[w->n_tallies - 1];
}

/* Of mirrors that are gone nothing is kept. */
static void forget_tallies(struct watch *w, const struct group *g)
{
    for (size_t i = w->n_tallies; i-- > 0;) {
        bool is_there = false;
        for (size_t k = 0; k < g->n; k++)
            is_there |= !strcmp(w->tallies[i].mirror, mirror_name(g->mirrors[k]));
        if (!is_there)
            w->tallies[i] = w->tallies[--w->n_tallies];
    }
}

static bool drop_slot(struct watch *w, const char *slot, struct err *err)
{
    return pg_exec_params(w->conn, &w->task, QUERY_LIMIT_MS,
                          "SELECT pg_catalog.pg_drop_replication_slot($1)", 1, &slot, NULL, err);
}

/* On the operator's order, see enum wal_action. */
static void guard(struct watch *w, const struct evidence *e, struct tally *t, struct mirror *m)
{
    const struct mirror_config *c = mirror_config_of(m);
    struct mirror_request pause = {.command = MIRROR_PAUSE, .by = "WAL guard"};
    struct err err = {0};
    bool drops = w->sampler->engine->options.wal_action == WAL_DROP_SLOT;
    if (w->sampler->engine->options.wal_action == WAL_ALARM || !w->conn || !tally_guards(t, e))
        return;
    log_error("super", c->name, "WAL guard: slot %s keeps %lld bytes of WAL, %s", c->slot,
              (long long)e->status->slot.retained_bytes,
              drops ? "it is dropped" : "the mirror is paused; the slot stays, and keeps more");
    bool is_paused =
        mirror_command(m, &pause, NULL, 0, PAUSE_MS, NULL, &err) || err.code == ERR_ALREADY_PAUSED;
    t->is_guarded = is_paused && (!drops || drop_slot(w, c->slot, &err));
    if (t->is_guarded)
        return;
    t->guard_at = e->now_ms + GUARD_AGAIN_MS;
    log_error("super", c->name, "WAL guard: %s", err.text);
}

static void judge(struct watch *w, struct mirror *m)
{
    const struct engine_options *o = &w->sampler->engine->options;
    struct board *b = mirror_board(m);
    struct board_lists *lists;
    struct mirror_status s = status_of(m, &lists);
    struct findings f = {0};
    struct tally *t = tally_of(w, mirror_name(m));
    struct evidence e = {.status = &s,
                         .source = board_sight(b, false),
                         .dest = board_sight(b, true),
                         .now_ms = clock_mono_ms(),
                         .alarm_s = o->lag_alarm_s,
                         .wal_limit = w->wal_limit >= 0 ? w->wal_limit : o->wal_room,
                         .limit_is_ours = w->wal_limit < 0};
    bool keeps_old = s.slot.confirmed_flush > s.slot.restart &&
                     (int64_t)(s.slot.confirmed_flush - s.slot.restart) * 2 > s.slot.retained_bytes;
    if (keeps_old && w->oldest_pid) {
        e.oldest_pid = w->oldest_pid;
        e.oldest_s = w->oldest_s;
    }
    tally_note(t, &s, board_safe(b), e.now_ms);
    tally_fill(t, &e);
    reasons_judge(&e, &f);
    if (beat_is_any_late()) /* else the list of all workers would be copied for each mirror */
        (void)supervisor_findings(&(struct supervised){s.name, s.source_peer, s.dest_peer}, &f);
    board_observe(b, &f);
    guard(w, &e, t, m);
    findings_free(&f);
    board_lists_release(lists);
}

/* A destination's thread holds no session while all is well. */
static bool turn_of_dest(struct watch *w)
{
    struct group g = hold_mirrors(w);
    bool is_used = g.n > 0, is_needed = false;
    for (size_t i = 0; i < g.n; i++)
        is_needed |= needs_look(w, g.mirrors[i]);
    if (is_needed)
        look_at_sessions(w, &g);
    else if (w->conn)
        disconnect(w);
    release_mirrors(w, &g);
    return is_used;
}

/* False when no mirror uses the source any more. */
static bool turn(struct watch *w)
{
    if (w->of_dest)
        return turn_of_dest(w);
    struct group g = hold_mirrors(w);
    bool is_used = g.n > 0;
    if (is_used && connect_peer(w))
        sample(w, &g);
    if (is_used && w->conn && w->turns % DRIFT_SAMPLES == 0)
        look_for_drift(w, &g);
    if (is_used && w->conn && w->turns % ROOM_SAMPLES == 0)
        look_at_room(w);
    if (is_used && w->conn)
        look_at_sessions(w, &g);
    for (size_t i = 0; i < g.n; i++)
        judge(w, g.mirrors[i]);
    forget_tallies(w, &g);
    if (++w->turns % HISTORY_SAMPLES == 0)
        for (size_t i = 0; i < g.n; i++)
            board_history(mirror_board(g.mirrors[i]));
    release_mirrors(w, &g);
    return is_used;
}

/* False when a mirror of the source came after the last turn: its sampler_watch has found this
 * watch, and nobody would start another. */
static bool end_watch(struct watch *w)
{
    pthread_mutex_lock(&w->sampler->lock);
    struct group g = hold_mirrors(w);
    w->is_over = g.n == 0 || atomic_load(&w->sampler->shall_stop);
    if (w->is_over && !w->of_dest)
        slots_forget(w->sampler->engine->slots, w->peer);
    if (w->is_over) { /* it may be long until the thread is joined */
        wake_free(w->wake_fd);
        w->wake_fd = -1;
    }
    release_mirrors(w, &g);
    bool is_over = w->is_over;
    pthread_mutex_unlock(&w->sampler->lock);
    return is_over;
}

/* It gives its session up, and begins anew with the next turn. */
static void cancel_late(void *arg, const char *why)
{
    struct watch *w = arg;
    (void)why;
    atomic_store(&w->is_late, true);
    wake_signal(w->wake_fd);
}

static void enter(struct watch *w)
{
    char name[16];
    str_printf(name, sizeof name, "b:%s %.9s", w->of_dest ? "obs" : "smp", w->peer);
    pthread_setname_np(pthread_self(), name);
    beat_enter(
        &(struct beat_worker){.name = name, .peer = w->peer, .cancel = cancel_late, .arg = w});
    beat_does(w->of_dest ? "looks what sessions wait for at the destination"
                         : "asks the source for slots, WAL and definitions");
}

static void *watch_main(void *arg)
{
    struct watch *w = arg;
    enter(w);
    do {
        while (!atomic_load(&w->sampler->shall_stop) && turn(w)) {
            struct pollfd fd = {.fd = w->wake_fd, .events = POLLIN};
            if (atomic_exchange(&w->is_late, false) && w->conn)
                disconnect(w);
            (void)poll(&fd, 1, SAMPLE_MS);
            wake_clear(w->wake_fd);
            beat_move();
        }
        pg_close(w->conn, false);
        w->conn = NULL;
        drift_forget(w->drift);
    } while (!end_watch(w));
    beat_leave();
    return NULL;
}

struct sampler *sampler_new(struct engine *e)
{
    struct sampler *s = mem_calloc(1, sizeof *s);
    s->engine = e;
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void watch_free(struct watch *w)
{
    pthread_join(w->thread, NULL);
    wake_free(w->wake_fd);
    drift_free(w->drift);
    free(w->tallies);
    free(w);
}

/* Ended threads are joined here, so that none is left when sources come and go. */
static bool is_watched(struct sampler *s, const char *peer, bool of_dest) /* with the lock */
{
    bool found = false;
    for (size_t i = 0; i < s->n; i++) {
        struct watch *w = s->watches[i];
        if (w->is_over) {
            s->watches[i--] = s->watches[--s->n];
            watch_free(w); /* it has nothing left to do but return */
        } else if (!strcmp(w->peer, peer) && w->of_dest == of_dest) {
            found = true;
            wake_signal(w->wake_fd);
        }
    }
    return found;
}

static void watch_peer(struct sampler *s, const char *peer, bool of_dest)
{
    sigset_t all, before;
    pthread_mutex_lock(&s->lock);
    if (!is_watched(s, peer, of_dest)) {
        struct watch *w = mem_calloc(1, sizeof *w);
        w->sampler = s;
        w->wake_fd = wake_new();
        w->drift = drift_new();
        w->wal_limit = -1;
        w->of_dest = of_dest;
        str_copy(w->peer, sizeof w->peer, peer);
        w->task = (struct task){.wake_fd = w->wake_fd, .is_cancelled = is_cancelled, .arg = w};
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        if (pthread_create(&w->thread, NULL, watch_main, w)) {
            log_error("sampler", "", "cannot start a thread for peer=%s", peer);
            wake_free(w->wake_fd);
            drift_free(w->drift);
            free(w);
        } else {
            MEM_PUSH(s->watches, s->n, s->cap, w);
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_mutex_unlock(&s->lock);
}

void sampler_watch(struct sampler *s, const struct mirror_config *c)
{
    watch_peer(s, c->source_peer, false);
    watch_peer(s, c->dest_peer, true);
}

void sampler_ask_stop(struct sampler *s)
{
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->shall_stop, true);
    for (size_t i = 0; i < s->n; i++)
        if (!s->watches[i]->is_over)
            wake_signal(s->watches[i]->wake_fd);
    pthread_mutex_unlock(&s->lock);
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    sampler_ask_stop(s);
    for (size_t i = 0; i < s->n; i++)
        watch_free(s->watches[i]);
    free(s->watches);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
