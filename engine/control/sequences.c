/* The values of sequences follow during a run, at its end, and after a synchronisation of a paused
 * mirror; see mirror_private.h and copy/follow.h. */
#include "control/mirror_private.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/verify.h"
#include "copy/follow.h"

#define LAST_LOOK_MS 3000
#define LAST_LOOK_AT_STOP_MS 500
#define LAST_LOOK_UNCLEAN_MS 200 /* a server has let the stream's own end wait already */

static struct sequences_owner owner_of(const struct run *r)
{
    return (struct sequences_owner){.mirror = r->m->row.config.name,
                                    .mirror_id = r->m->row.mirror_id,
                                    .epoch = r->progress->epoch};
}

bool run_follow(struct run *r, struct err *err)
{
    struct follow_plan plan = {.owner = owner_of(r),
                               .source = &r->source_target,
                               .dest = &r->dest_target,
                               .sessions = r->m->engine->sessions,
                               .source_key = r->source_key,
                               .dest_key = r->dest_key,
                               .interval_ms = r->m->engine->options.sequence_interval_s * 1000,
                               .wake_fd = r->m->wake_fd,
                               .is_fresh = r->is_fresh,
                               .is_replica = pg_is_replica_role(r->dest)};
    return follow_start(&plan, r->schema, &r->follow, err);
}

static void show(struct mirror *m, size_t followed, int64_t synced_at, struct findings *trouble)
{
    m->live.sequences.followed = (int64_t)followed;
    if (synced_at)
        m->live.sequences.last_synced_at = synced_at;
    findings_free(&m->sequence_trouble);
    m->sequence_trouble = *trouble;
    *trouble = (struct findings){0};
    show_dirty(m);
}

/* The errand hung, and was cancelled: another one takes its place. */
static void follow_again(struct run *r)
{
    struct err err = {0};
    (void)follow_finish(r->follow, 0);
    r->follow = NULL;
    if (!run_follow(r, &err))
        log_error("sequence", r->m->row.config.name, "%s", err.text);
}

void run_follow_look(struct run *r)
{
    struct follow_status s;
    if (follow_was_late(r->follow))
        follow_again(r);
    if (verify_wants_look(r->m))
        follow_poke(r->follow);
    if (!follow_has_news(r->follow))
        return;
    follow_status(r->follow, &s);
    if (s.has_acting)
        differences_take_triggers(r->m, &s.acting);
    findings_free(&s.acting);
    show(r->m, s.followed, s.synced_at, &s.trouble);
}

void run_follow_end(struct run *r, bool with_last_look, bool is_clean)
{
    struct mirror *m = r->m;
    int limit = !is_clean                     ? LAST_LOOK_UNCLEAN_MS
                : atomic_load(&m->shall_stop) ? LAST_LOOK_AT_STOP_MS
                                              : LAST_LOOK_MS;
    if (!r->follow)
        return;
    bool is_done = follow_finish(r->follow, with_last_look ? limit : 0);
    r->follow = NULL;
    if (!with_last_look)
        return;
    if (is_done)
        m->live.sequences.last_synced_at = clock_wall_us();
    else
        log_warn("sequence", m->row.config.name,
                 "the values of sequences could not be brought up to date at the end of the run");
}

static void follow_once(struct run *r)
{
    struct mirror *m = r->m;
    const struct mirror_config *c = &m->row.config;
    struct sequences_owner owner = owner_of(r);
    struct sequences_result result = {0};
    struct schema *s = NULL;
    struct err err = {0};
    if (!schema_read(r->source, &m->task, c->tables, c->n_tables, false, false, false, &s, &err)) {
        log_warn("sequence", c->name, "the values of sequences were left as they are: %s",
                 err.text);
        return;
    }
    struct sequences *q = sequences_new(s, &owner, false);
    if (sequences_follow(q, r->source, r->dest, &m->task, m->safe, &result, &err))
        show(m, result.followed, clock_wall_us(), &result.trouble);
    else
        log_warn("sequence", c->name, "the values of sequences were left as they are: %s",
                 err.text);
    sequences_free(q);
    schema_free(s);
}

void run_follow_once(struct run *r)
{
    if (r->progress->exists && r->progress->is_streaming)
        follow_once(r);
}
