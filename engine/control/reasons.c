/* Reasons; see reasons.h. */
#include "control/reasons.h"

#include <string.h>

#include "base/mem.h"

#define FRESH_MS 6000 /* what a server said holds for so long */
#define BUSY 0.6      /* more of the time than that: the destination is the slow side */

static const char *bytes(double n, char out[24])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    size_t u = 0;
    while (n >= 1024 && u + 1 < COUNT_OF(units)) {
        n /= 1024;
        u++;
    }
    str_printf(out, 24, n < 10 && u ? "%.1f %s" : "%.0f %s", n, units[u]);
    return out;
}

static const char *span(double s, char out[24])
{
    if (s < 120)
        str_printf(out, 24, "%.0f s", s);
    else if (s < 7200)
        str_printf(out, 24, "%.0f min", s / 60);
    else if (s < 172800)
        str_printf(out, 24, "%.0f h", s / 3600);
    else
        str_printf(out, 24, "%.0f days", s / 86400);
    return out;
}

static bool is_fresh(const struct evidence *e, const struct sight *s)
{
    return s->at_ms && e->now_ms - s->at_ms < FRESH_MS;
}

/* --- WAL that piles up ------------------------------------------------------------------------ */

double reasons_wal_share(const struct evidence *e)
{
    const struct slot_status *s = &e->status->slot;
    if (!s->sampled_at || !s->exists || e->wal_limit <= 0)
        return -1;
    return (double)s->retained_bytes / (double)e->wal_limit;
}

static const char *wal_action(const struct mirror_status *m)
{
    return m->state == MIRROR_PAUSED ? "resume" : m->state == MIRROR_ERROR ? "retry" : "";
}

static void judge_wal(const struct evidence *e, struct findings *out)
{
    const struct mirror_status *m = e->status;
    double share = reasons_wal_share(e);
    char title[160], cause[400], remedy[512], kept[24], limit[24], rate[24], left[24];
    char time[64] = "it does not grow at the moment";
    bool is_unreserved = m->slot.exists && !strcmp(m->slot.wal_status, "unreserved");
    if (share < REASONS_WARN_AT && !is_unreserved)
        return;
    double room = (double)e->wal_limit - (double)m->slot.retained_bytes;
    if (e->kept_per_s > 0)
        str_printf(time, sizeof time, "at %s/min it is full in %s", bytes(e->kept_per_s * 60, rate),
                   span(room > 0 ? room / e->kept_per_s : 0, left));
    str_printf(title, sizeof title, "WAL piles up on %.60s: %.0f %% of the room", m->source_peer,
               share > 0 ? share * 100 : 100);
    str_printf(cause, sizeof cause, "slot %.70s keeps %s of at most %s (%s); %s", m->slot_name,
               bytes((double)m->slot.retained_bytes, kept), bytes((double)e->wal_limit, limit),
               e->limit_is_ours ? "wal_room" : "max_slot_wal_keep_size", time);
    if (e->oldest_pid)
        str_printf(cause + strlen(cause), sizeof cause - strlen(cause),
                   "; PID %d has a transaction open for %s", e->oldest_pid,
                   span((double)e->oldest_s, left));
    const char *first = m->state == MIRROR_PAUSED
                            ? "Resume the mirror: a pause keeps the slot, and the slot its WAL"
                        : m->state == MIRROR_ERROR ? "Heal the error, or retry"
                        : e->oldest_pid            ? "End that transaction"
                                                   : "See what holds the mirror up";
    str_printf(remedy, sizeof remedy,
               "%s; or raise max_slot_wal_keep_size while the disk has room; or delete the mirror: "
               "its slot goes. A slot that is lost means a new copy.",
               first);
    findings_add(out, "wal_kept",
                 share >= REASONS_ALARM_AT || is_unreserved ? SEVERITY_ERROR : SEVERITY_WARNING,
                 title, cause, remedy, wal_action(m));
}

/* --- who holds it up -------------------------------------------------------------------------- */

struct reason {
    const char *code, *action;
    char title[160], cause[400], remedy[512];
};

static void set_lock(const struct evidence *e, const struct sight *s, const char *peer,
                     struct reason *v)
{
    (void)e;
    v->code = "lock_wait";
    str_printf(v->title, sizeof v->title, "A lock on %.60s holds %.80s up", peer,
               s->blocked_table[0] ? s->blocked_table : "the mirror");
    str_printf(v->cause, sizeof v->cause, "PID %d of the mirror waits for %.340s", s->blocked_pid,
               s->blocker);
    if (s->blocker_pid)
        str_printf(v->remedy, sizeof v->remedy,
                   "Wait until it ends, or end it on %.63s: SELECT pg_terminate_backend(%d); the "
                   "mirror goes on at once and loses nothing.",
                   peer, s->blocker_pid);
    else
        str_printf(v->remedy, sizeof v->remedy,
                   "COMMIT PREPARED or ROLLBACK PREPARED it on %.63s; the mirror goes on at once.",
                   peer);
}

static void set_index(const struct evidence *e, struct reason *v)
{
    v->code = "index_missing";
    str_printf(v->title, sizeof v->title, "%.110s has no index that finds its rows",
               e->dest.slow_table);
    str_copy(v->cause, sizeof v->cause,
             "each update and delete reads the whole table at the destination; that is what takes "
             "the time");
    str_printf(v->remedy, sizeof v->remedy, "At the destination: %.300s", e->dest.slow_statement);
}

static void set_dest(const struct evidence *e, struct reason *v)
{
    const struct mirror_status *m = e->status;
    char rate[24], moved[64] = "nothing has come through for a while";
    v->code = "destination_slow";
    if (e->moved_per_s > 0)
        str_printf(moved, sizeof moved, "the mirror gets through %s of WAL a second",
                   bytes(e->moved_per_s, rate));
    str_printf(v->title, sizeof v->title, "%.60s is the slow side: it writes", m->dest_peer);
    str_printf(
        v->cause, sizeof v->cause,
        "changes are on their way into it for %.0f %% of the time, %.0f rows/s%s; the source "
        "waits for it; %s",
        e->busy * 100, m->rows_per_second,
        e->dest.io ? ", and it waits for its disk" : ", and it computes", moved);
    str_copy(v->remedy, sizeof v->remedy,
             e->dest.io ? "Raise shared_buffers and max_wal_size there, or give it a faster disk; "
                          "look for other load (bunnydb doctor)."
                        : "Look for indexes that nobody needs, triggers and other load there; a "
                          "larger cdc_batch_size helps many small transactions.");
}

static void set_decode(const struct evidence *e, struct reason *v)
{
    const struct mirror_status *m = e->status;
    char rate[24], left[24] = "not to be told yet";
    v->code = "source_decodes";
    str_printf(v->title, sizeof v->title, "%.60s is the slow side: it decodes its WAL",
               m->source_peer);
    if (e->moved_per_s > 0)
        span((double)m->lag_bytes / e->moved_per_s, left);
    str_printf(v->cause, sizeof v->cause,
               "its WAL sender works without a pause, the destination waits; %s a second; time "
               "until it is caught up at that speed: %s. A large transaction is decoded as a whole "
               "before its first row comes",
               bytes(e->moved_per_s > 0 ? e->moved_per_s : 0, rate), left);
    str_copy(
        v->remedy, sizeof v->remedy,
        "It ends by itself. logical_decoding_work_mem of the peer's role (256MB and more) keeps "
        "large transactions off the source's disk.");
}

static void set_network(const struct evidence *e, struct reason *v)
{
    const struct mirror_status *m = e->status;
    char rate[24];
    v->code = "network_slow";
    str_printf(v->title, sizeof v->title, "The way from %.60s to here is slow", m->source_peer);
    str_printf(v->cause, sizeof v->cause,
               "its WAL sender waits until what it has sent is taken, and the destination is idle; "
               "%s of WAL come through a second",
               bytes(e->moved_per_s > 0 ? e->moved_per_s : 0, rate));
    str_copy(v->remedy, sizeof v->remedy,
             "Run bunnydb nearer to the source, or give the connection more bandwidth; tables that "
             "nobody needs can leave the mirror.");
}

static void set_inactive(const struct evidence *e, struct reason *v)
{
    v->code = "slot_inactive";
    v->action = "retry";
    str_printf(v->title, sizeof v->title, "Nothing reads slot %.90s", e->status->slot_name);
    str_copy(v->cause, sizeof v->cause,
             "the source has no WAL sender for it, although the mirror means to stream");
    str_copy(v->remedy, sizeof v->remedy, "Retry connects anew; the slot is kept.");
}

static bool sees_lock(const struct evidence *e, struct reason *v)
{
    if (is_fresh(e, &e->dest) && e->dest.lock)
        set_lock(e, &e->dest, e->status->dest_peer, v);
    else if (is_fresh(e, &e->source) && e->source.lock)
        set_lock(e, &e->source, e->status->source_peer, v);
    return v->code != NULL;
}

static void judge_lag(const struct evidence *e, struct findings *out)
{
    const struct mirror_status *m = e->status;
    struct reason v = {.action = ""};
    if (m->state != MIRROR_RUNNING || m->lag_seconds < e->alarm_s)
        return;
    if (!sees_lock(e, &v)) {
        bool is_dest = is_fresh(e, &e->dest);
        bool writes = e->busy >= BUSY && (!is_dest || e->dest.running > 0);
        /* while it catches up a copy of the slot may be read instead */
        bool is_read = m->slot.active || !strcmp(m->phase, "catching_up");
        if (m->slot.sampled_at && !is_read && m->error.code == ERR_NONE)
            set_inactive(e, &v);
        else if (writes && is_dest && e->dest.slow_table[0])
            set_index(e, &v);
        else if (writes)
            set_dest(e, &v);
        else if (is_fresh(e, &e->source) && e->source.sender == SENDER_SENDS)
            set_network(e, &v);
        else
            set_decode(e, &v);
    }
    findings_add(out, v.code, SEVERITY_WARNING, v.title, v.cause, v.remedy, v.action);
}

/* Dropped by the WAL guard, or by somebody: nobody would notice before the mirror is resumed. */
static void judge_slot(const struct evidence *e, struct findings *out)
{
    const struct mirror_status *m = e->status;
    char cause[400];
    bool is_copied = m->tables_total > 0 && m->tables_done == m->tables_total;
    if (m->state != MIRROR_PAUSED || !m->slot.sampled_at || m->slot.exists || !is_copied)
        return;
    str_printf(cause, sizeof cause,
               "slot %.70s is not at the source any more: it was dropped, and the source keeps no "
               "changes for the mirror",
               m->slot_name);
    findings_add(
        out, "slot_missing", SEVERITY_ERROR, "The slot of the paused mirror is gone", cause,
        "Resume the mirror, then retry: a new slot, and all tables are copied again.", "resume");
}

static void judge_pause(const struct evidence *e, struct findings *out)
{
    const struct mirror_status *m = e->status;
    char cause[400], behind[24], rate[24];
    if (m->state != MIRROR_PAUSED || m->lag_seconds < e->alarm_s || m->lag_bytes <= 0)
        return;
    str_printf(cause, sizeof cause, "%s of WAL wait for it%s%s%s",
               bytes((double)m->lag_bytes, behind), e->kept_per_s > 0 ? ", and " : "",
               e->kept_per_s > 0 ? bytes(e->kept_per_s * 60, rate) : "",
               e->kept_per_s > 0 ? " more each minute" : "");
    findings_add(out, "paused", SEVERITY_INFO, "The mirror is paused and falls behind", cause,
                 "Resume goes on where it was paused; nothing is lost.", "resume");
}

/* --- the first copy --------------------------------------------------------------------------- */

static bool builds_indexes(const struct mirror_status *m)
{
    return !strcmp(m->phase, "building_indexes") || !strcmp(m->phase, "adding_foreign_keys");
}

/* The settings that let more be done at the same time, with what they are. */
static const char *more_workers(const struct mirror_status *m, char out[160])
{
    str_printf(out, 160,
               "snapshot_max_parallel_workers (now %d) and snapshot_num_tables_in_parallel (now "
               "%d) of the mirror",
               m->settings.snapshot_max_parallel_workers,
               m->settings.snapshot_num_tables_in_parallel);
    return out;
}

static const char *copy_side(const struct evidence *e, char *remedy, size_t size)
{
    char more[160];
    more_workers(e->status, more);
    if (builds_indexes(e->status)) {
        str_copy(remedy, size,
                 "maintenance_work_mem and max_parallel_maintenance_workers of the destination "
                 "make it faster; the copied rows stay.");
        return "the destination builds indexes";
    }
    if (e->dest.running && e->dest.client * 2 >= e->dest.running) {
        str_printf(remedy, size,
                   "%s let more be read at the same time, if the source's disk allows it.", more);
        return e->source.client * 2 < e->source.running || !e->source.running
                   ? "the source reads slowly, the destination waits for it"
                   : "bunnydb, or the way through it, is slow: both servers wait";
    }
    if (e->dest.io) {
        str_copy(remedy, size,
                 "max_wal_size and shared_buffers of the destination, or a faster disk; more "
                 "workers do not help.");
        return "the destination writes, and waits for its disk";
    }
    str_printf(remedy, size,
               "Triggers that fire at the destination, and indexes that were there before, cost "
               "the most. %s let more be written at the same time, if processors are idle there.",
               more);
    return "the destination writes as fast as the processors of these sessions can";
}

static void judge_copy(const struct evidence *e, struct findings *out)
{
    const struct mirror_status *m = e->status;
    struct reason v = {.action = ""};
    char rate[24];
    if (m->state != MIRROR_SNAPSHOTTING || e->copy_ms < (int64_t)e->alarm_s * 1000)
        return;
    if (sees_lock(e, &v)) {
        findings_add(out, v.code, SEVERITY_WARNING, v.title, v.cause, v.remedy, v.action);
        return;
    }
    if (!is_fresh(e, &e->dest))
        return;
    const char *side = copy_side(e, v.remedy, sizeof v.remedy);
    str_printf(v.cause, sizeof v.cause, "%s; %s/s over the last minute", side,
               bytes(m->bytes_per_second, rate));
    findings_add(out, "copy_pace", SEVERITY_INFO,
                 builds_indexes(m) ? "The copy builds indexes"
                                   : "What limits the speed of the copy",
                 v.cause, v.remedy, "");
}

void reasons_judge(const struct evidence *e, struct findings *out)
{
    judge_wal(e, out);
    judge_lag(e, out);
    judge_slot(e, out);
    judge_pause(e, out);
    judge_copy(e, out);
}
