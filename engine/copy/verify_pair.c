/* How two snapshots come to show the same moment; see verify_pair.h. */
#include "copy/verify_pair.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "stream/source.h"

#define CONNECT_MS 15000
#define ASK_MS 5000
#define SLOT_CREATE_MS 600000
#define SLOT_LOOK_MS 50
#define EXPLAIN_MS 10000
#define REACH_MS 60000 /* the slot keeps WAL meanwhile, and the snapshot dead rows */
#define EXPORT_MS 1500 /* the stream stands */
#define DROP_MS 200

struct taking {
    const struct verify_pair_plan *plan;
    struct verify_pair *pair;
    struct pg_conn *source; /* to be asked while the slot is made */
    struct task task;       /* of the wait for the slot */
    int64_t explain_at;
};

static bool connect_all(struct taking *t, struct err *err)
{
    const struct verify_pair_plan *p = t->plan;
    struct verify_pair *pair = t->pair;
    char *app = mem_printf("bunnydb verify %s", p->mirror);
    bool ok =
        (pg_connect(p->source, PG_SQL, app, NULL, p->task, CONNECT_MS, &t->source, err) &&
         pg_connect(p->source, PG_REPLICATION, app, NULL, p->task, CONNECT_MS, &pair->repl, err)) ||
        err_context(err, "verify at the source");
    ok = ok && (pg_connect(p->dest, PG_SQL, app, NULL, p->task, CONNECT_MS, &pair->dest, err) ||
                err_context(err, "verify at the destination"));
    free(app);
    return ok;
}

/* --- the source ------------------------------------------------------------------------------- */

static bool is_cancelled(void *arg)
{
    const struct taking *t = arg;
    const struct task *task = t->plan->task;
    return task->is_cancelled && task->is_cancelled(task->arg);
}

/* The slot's consistent point comes after whatever the source has written while a transaction that
 * the slot waits for was open: so far the stream may go. Should that be wrong once, the stream has
 * passed the point, and this try fails. */
static void let_go_on(struct taking *t)
{
    struct err ignored = {0};
    struct pg_result *r;
    char pid[16];
    const char *values[] = {pid};
    str_printf(pid, sizeof pid, "%d", pg_backend_pid(t->pair->repl));
    if (!pg_exec_params(t->source, NULL, ASK_MS,
                        "SELECT pg_current_wal_insert_lsn() FROM pg_stat_activity "
                        "WHERE pid = $1::int AND wait_event_type = 'Lock'",
                        1, values, &r, &ignored))
        return;
    if (pg_rows(r) == 1)
        hold_ask(t->plan->hold, pg_lsn(r, 0, 0));
    pg_free(r);
}

static void tick(void *arg)
{
    struct taking *t = arg;
    struct err err = {0};
    let_go_on(t);
    if (clock_mono_ms() < t->explain_at)
        return;
    t->explain_at = clock_mono_ms() + EXPLAIN_MS;
    source_explain_slot_wait(t->source, NULL, &err);
    if (err.hint[0])
        log_info("verify", t->plan->mirror, "%s", err.hint);
}

static bool ask_position(struct taking *t, lsn_t *out, struct err *err)
{
    struct pg_result *r;
    if (!pg_exec(t->source, t->plan->task, ASK_MS, "SELECT pg_current_wal_insert_lsn()", &r, err))
        return false;
    *out = pg_lsn(r, 0, 0);
    pg_free(r);
    return true;
}

/* Gone with its connection; the number keeps it apart from one that the server has not noticed the
 * end of yet. */
static void name_slot(struct taking *t)
{
    char id[16];
    size_t n = 0;
    for (const char *p = t->plan->mirror_id; *p && n < 12; p++)
        if (*p != '-')
            id[n++] = *p;
    id[n] = '\0';
    str_printf(t->pair->slot, sizeof t->pair->slot, "bunny_verify_%s_%d", id,
               pg_backend_pid(t->pair->repl));
}

static bool create_slot(struct taking *t, struct err *err)
{
    struct verify_pair *pair = t->pair;
    name_slot(t);
    t->explain_at = clock_mono_ms() + EXPLAIN_MS;
    t->task = (struct task){.wake_fd = t->plan->task->wake_fd,
                            .is_cancelled = is_cancelled,
                            .tick = tick,
                            .arg = t,
                            .tick_ms = SLOT_LOOK_MS,
                            .next_tick = clock_mono_ms() + SLOT_LOOK_MS};
    if (pg_repl_create_slot(pair->repl, &t->task, SLOT_CREATE_MS, pair->slot, true, &pair->lsn,
                            &pair->source_snapshot, err))
        return true;
    if (err->code == ERR_TIMEOUT)
        source_explain_slot_wait(t->source, NULL, err);
    pair->slot[0] = '\0';
    return err_context(err, "create temporary slot");
}

/* --- the destination ---------------------------------------------------------------------------
 */

static bool export_dest(struct taking *t, struct err *err)
{
    struct pg_result *r;
    struct pg_conn *dest = t->pair->dest;
    if (!pg_exec(dest, t->plan->task, EXPORT_MS,
                 "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_export_snapshot()", &r,
                 err))
        return err_context(err, "export a snapshot of the destination");
    t->pair->dest_snapshot = mem_strdup(pg_text(r, 0, 0));
    pg_free(r);
    return true;
}

static bool take(struct taking *t, struct err *err)
{
    struct hold *hold = t->plan->hold;
    lsn_t before;
    if (!connect_all(t, err) || !ask_position(t, &before, err))
        return false;
    hold_ask(hold, before);
    const struct verify_pair_plan *p = t->plan;
    if (!create_slot(t, err) || (p->at_source && !p->at_source(p->arg, t->pair, err)) ||
        !hold_await(hold, t->pair->lsn, t->plan->task, REACH_MS, err))
        return false;
    int64_t stands_at = clock_mono_ms();
    if (p->standing)
        return p->standing(p->arg, t->pair, err);
    if (!export_dest(t, err))
        return false;
    t->pair->stood_ms = clock_mono_ms() - stands_at;
    return hold_release(hold) ||
           err_set(err, ERR_TIMEOUT, "the stream went on before the destination had a snapshot");
}

bool verify_pair_take(const struct verify_pair_plan *plan, struct verify_pair *out, struct err *err)
{
    struct taking t = {.plan = plan, .pair = out};
    *out = (struct verify_pair){0};
    bool ok = hold_has_stream(plan->hold) ? take(&t, err)
                                          : err_set(err, ERR_TIMEOUT, "the mirror does not stream");
    (void)hold_release(plan->hold);
    pg_close(t.source, !ok);
    if (!ok)
        verify_pair_free(out);
    return ok;
}

void verify_pair_free(struct verify_pair *p)
{
    struct err ignored = {0};
    struct task task = {.wake_fd = -1, .is_leaving = true};
    if (p->slot[0] && p->repl && pg_is_alive(p->repl)) {
        struct buf sql = {0};
        buf_puts(&sql, "DROP_REPLICATION_SLOT ");
        pg_quote_ident(&sql, p->slot);
        /* with the connection it goes in any case, only a moment later */
        (void)!pg_exec(p->repl, &task, DROP_MS, buf_text(&sql), NULL, &ignored);
        buf_free(&sql);
    }
    pg_close(p->repl, true);
    pg_close(p->dest, true);
    free(p->source_snapshot);
    free(p->dest_snapshot);
    *p = (struct verify_pair){0};
}
