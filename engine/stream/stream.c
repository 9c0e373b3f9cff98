/* The stream's loop; see stream.h. */
#include "stream/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"

#define REPORT_MS 250
#define READ_BURST 512             /* messages between two looks at the destination */
#define FEEDBACK_MS 100            /* shortest time between two statuses under load */
#define IDLE_MOVE_MS 10000         /* how often a quiet mirror's position is written down */
#define IDLE_MOVE_BYTES (16 << 20) /* …or as soon as so much WAL has passed by */
#define IDLE_MOVE_MIN_MS 1000
/* What "load" means: so much was read lately, of which half is forgotten in each millisecond. */
#define LOAD_BYTES 2048
#define LOAD_MAX (8 * LOAD_BYTES)
#define LOAD_LASTS_US 3000 /* one that is so old will have more for the open batch */
/* Under load data gathers until about so much is there. A local socket holds less than three times
 * as many small frames, and a sender that has filled it waits. */
#define GATHER_FRAMES 100
#define GATHER_ENOUGH (64 << 10) /* …bytes */
#define GATHER_MIN_US 50
#define GATHER_MAX_US 1000
#define STOP_LIMIT_MS 800
#define STOP_TICK_MS 50
#define HOLD_LOOK_MS 50 /* how often a stream that stands looks whether it does so for too long */

struct stream {
    struct stream_options o;
    struct apply *apply;
    struct task task; /* waits inside the apply go through it: the source must hear from us */
    lsn_t safe;       /* up to here the WAL holds nothing that is not durable */
    lsn_t quiet;      /* last position seen while nothing was pending */
    lsn_t reported;
    int64_t reported_at, moved_at, published_at; /* monotonic ms */
    int64_t turn_at;                             /* monotonic us */
    size_t round_bytes;
    int round_frames;
    int gather_us;
    bool has_gathered; /* the round began with that */
    size_t load;
    int64_t load_at, loaded_since; /* monotonic us; loaded_since 0: it is not loaded */
    int64_t stop_until;            /* monotonic ms; 0: not stopping */
    bool is_dry, is_busy, answer_now;
    char *kept_out; /* the BEGIN that a hold does not let in, as it came; NULL: none */
    size_t kept_out_len;
    lsn_t kept_out_lsn; /* its commit LSN */
};

/* --- what the source is told ---------------------------------------------------------------------
 */

static bool send_feedback(struct stream *s, struct err *err)
{
    lsn_t durable = apply_durable(s->apply);
    s->reported = durable;
    s->reported_at = clock_mono_ms();
    s->answer_now = false;
    return pg_repl_feedback(s->o.source, durable, durable, durable, err);
}

static bool feedback_if_due(struct stream *s, struct err *err)
{
    int64_t since = clock_mono_ms() - s->reported_at;
    bool moved = apply_durable(s->apply) > s->reported;
    if (s->answer_now || pg_wants_ping(s->o.source) || since >= s->o.keepalive_ms ||
        (moved && (since >= FEEDBACK_MS || apply_is_idle(s->apply))))
        return send_feedback(s, err);
    return true;
}

/* Inside a long wait for the destination: the mirror's own tick, and the source hears from us. */
static void tick(void *arg)
{
    struct stream *s = arg;
    struct err ignored = {0}; /* a dead source shows itself at the next read */
    if (s->o.task->tick)
        s->o.task->tick(s->o.task->arg);
    if (s->apply && clock_mono_ms() - s->reported_at >= s->o.keepalive_ms)
        (void)!send_feedback(s, &ignored);
}

static bool is_cancelled(void *arg)
{
    struct stream *s = arg;
    if (s->stop_until) /* the command is known; a server that hangs does not hold it up */
        return clock_mono_ms() >= s->stop_until;
    return s->o.task->is_cancelled && s->o.task->is_cancelled(s->o.task->arg);
}

static void note_quiet(struct stream *s, lsn_t lsn)
{
    if (apply_is_idle(s->apply) && lsn > s->quiet)
        s->quiet = lsn;
}

/* The quiet stretch goes into the progress row first; only then may the source forget it. */
static bool move_idle_if_due(struct stream *s, struct err *err)
{
    int64_t since = clock_mono_ms() - s->moved_at;
    lsn_t durable = apply_durable(s->apply);
    if (s->quiet <= durable || !apply_is_idle(s->apply) || since < IDLE_MOVE_MIN_MS)
        return true;
    if (since < IDLE_MOVE_MS && s->quiet - durable < IDLE_MOVE_BYTES)
        return true;
    s->moved_at = clock_mono_ms();
    return apply_move_idle(s->apply, s->quiet, err);
}

/* --- reading
 * --------------------------------------------------------------------------------------- */

static bool take_frame(struct stream *s, char *data, size_t len, enum pgo_kind *kind,
                       struct err *err)
{
    struct repl_frame f;
    if (!repl_frame_read(data, len, &f, err))
        return false;
    *kind = PGO_OTHER;
    if (f.kind == 'k') {
        apply_position(s->apply, f.wal_end);
        note_quiet(s, f.wal_end);
        s->answer_now |= f.reply;
        return true;
    }
    if (!apply_bytes(s->apply, f.data, f.len, len, kind, err))
        return false;
    if (*kind == PGO_COMMIT)
        note_quiet(s, apply_seen(s->apply)); /* a transaction that held nothing for us */
    return true;
}

/* Whether a hold keeps the transaction that begins with this frame out. */
static bool is_kept_out(struct stream *s, char *data, size_t len)
{
    struct repl_frame f;
    struct err ignored;
    lsn_t lsn;
    if (!s->o.hold || !repl_frame_read(data, len, &f, &ignored) || f.kind != 'w' ||
        !pgo_peek_begin(f.data, f.len, &lsn) || hold_lets_in(s->o.hold, lsn))
        return false;
    s->kept_out = data;
    s->kept_out_len = len;
    s->kept_out_lsn = lsn;
    return true;
}

/* As pg_copy_try_read; while a transaction is kept out there is nothing behind it. */
static int next_frame(struct stream *s, char **data, size_t *len, struct err *err)
{
    int got = 1;
    if (s->kept_out) {
        *data = s->kept_out;
        *len = s->kept_out_len;
        s->kept_out = NULL;
    } else {
        got = pg_copy_try_read(s->o.source, data, len, err);
    }
    return got == 1 && is_kept_out(s, *data, *len) ? 2 : got;
}

/* Reads what is there, as long as the destination can take it. */
static bool read_burst(struct stream *s, struct err *err)
{
    s->is_dry = false;
    for (int i = 0; i < READ_BURST && apply_may_read(s->apply); i++) {
        enum pgo_kind kind;
        char *data;
        size_t len;
        int got = next_frame(s, &data, &len, err);
        if (got < 0)
            return false;
        if (got == 0)
            return err_set(err, ERR_CONNECT, "the source ended the stream");
        if (got == 2) {
            s->is_dry = true;
            return true;
        }
        s->round_bytes += len;
        s->round_frames++;
        bool ok = take_frame(s, data, len, &kind, err);
        pg_copy_free(data);
        if (!ok)
            return false;
        if (kind == PGO_COMMIT && apply_wants_boundary(s->apply))
            return true;
    }
    return true;
}

/* --- waiting
 * ----------------------------------------------------------------------------------------- */

static int wait_ms(const struct stream *s)
{
    int64_t now = clock_mono_ms();
    int64_t ms = s->reported_at + s->o.keepalive_ms - now;
    int64_t deadline = apply_deadline(s->apply);
    if (deadline && deadline - now < ms)
        ms = deadline - now;
    if (s->quiet > apply_durable(s->apply) && s->moved_at + IDLE_MOVE_MS - now < ms)
        ms = s->moved_at + IDLE_MOVE_MS - now;
    int64_t tick_ms = s->o.task->tick_ms ? s->o.task->tick_ms : 1000;
    if (tick_ms < ms)
        ms = tick_ms;
    if (s->kept_out && ms > HOLD_LOOK_MS)
        ms = HOLD_LOOK_MS;
    return ms < 0 ? 0 : (int)ms;
}

static bool poll_fds(struct stream *s, bool read_source, int64_t us, struct err *err)
{
    struct timespec limit = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    struct pollfd fds[3] = {
        {.fd = s->o.task->wake_fd, .events = POLLIN},
        {.fd = pg_socket(s->o.dest),
         .events = (short)(POLLIN | (apply_wants_write(s->apply) ? POLLOUT : 0))},
        {.fd = read_source ? pg_socket(s->o.source) : -1, .events = POLLIN},
    };
    if (ppoll(fds, COUNT_OF(fds), &limit, NULL) < 0 && errno != EINTR)
        return err_set(err, ERR_IO, "poll failed");
    if (fds[0].revents)
        wake_clear(s->o.task->wake_fd); /* what it says is kept elsewhere: is_cancelled asks */
    return true;
}

/* How long the next gathering should be, by what the last one brought. */
static void adapt_gathering(struct stream *s)
{
    int share = (int)(s->round_bytes * GATHER_FRAMES / GATHER_ENOUGH);
    if (s->round_frames > share)
        share = s->round_frames;
    if (share > 0)
        s->gather_us = (s->gather_us + s->gather_us * GATHER_FRAMES / share) / 2;
    if (s->gather_us < GATHER_MIN_US)
        s->gather_us = GATHER_MIN_US;
    if (s->gather_us > GATHER_MAX_US)
        s->gather_us = GATHER_MAX_US;
}

/* A single short round, as when the sender lost its processor for a moment, is not the load's end.
 */
static void note_load(struct stream *s)
{
    int64_t now = clock_mono_us(), ms = (now - s->load_at) / 1000;
    s->load_at = ms > 30 ? now : s->load_at + ms * 1000;
    s->load = (ms > 30 ? 0 : s->load >> ms) + s->round_bytes;
    if (s->load > LOAD_MAX)
        s->load = LOAD_MAX;
    if (s->load < LOAD_BYTES)
        s->loaded_since = 0;
    else if (!s->loaded_since)
        s->loaded_since = now;
}

/* Under load the WAL sender is slow when each of its sends wakes a reader: data gathers for a
 * moment first. A mirror that has little to do is never delayed. */
static bool wait_for_work(struct stream *s, struct err *err)
{
    if (s->has_gathered)
        adapt_gathering(s);
    s->has_gathered = s->is_dry && s->loaded_since && !s->kept_out && !apply_can_replay(s->apply);
    s->round_bytes = 0;
    s->round_frames = 0;
    if ((!s->is_dry && apply_may_read(s->apply)) || apply_can_replay(s->apply))
        return true;
    if (s->has_gathered)
        return poll_fds(s, false, s->gather_us, err);
    return poll_fds(s, apply_may_read(s->apply) && !s->kept_out, (int64_t)wait_ms(s) * 1000, err);
}

/* --- the loop
 * ------------------------------------------------------------------------------------------ */

static void publish_if_due(struct stream *s)
{
    int64_t now = clock_mono_ms();
    bool idle = s->is_dry && apply_is_idle(s->apply);
    lsn_t durable = apply_durable(s->apply);
    lsn_t safe = idle && s->quiet > durable ? s->quiet : durable;
    if (now - s->published_at < REPORT_MS && !(idle && safe > s->safe))
        return;
    s->published_at = now;
    s->safe = safe;
    s->o.report(s->o.arg, durable, safe, idle);
}

/* Whether everything that committed before lsn was read, and nothing else. */
static bool is_at(const struct stream *s, lsn_t lsn)
{
    if (s->kept_out)
        return s->kept_out_lsn >= lsn;
    return !apply_is_in_transaction(s->apply) && apply_seen(s->apply) >= lsn;
}

static bool stand_if_asked(struct stream *s, struct err *err)
{
    lsn_t lsn = s->o.hold ? hold_lsn(s->o.hold) : 0;
    if (!lsn || !is_at(s, lsn) || hold_is_standing(s->o.hold))
        return true;
    if (!apply_settle(s->apply, err))
        return false;
    if (apply_is_idle(s->apply)) {
        s->o.standing(s->o.arg, s->apply);
        hold_stand(s->o.hold, lsn);
    }
    return true;
}

/* Waiting for a batch to fill is not work. */
static void note_busy(struct stream *s)
{
    int64_t now = clock_mono_us();
    if (s->is_busy)
        *s->o.busy_us += now - s->turn_at;
    s->turn_at = now;
    s->is_busy = !apply_is_idle(s->apply) && !(s->is_dry && apply_is_waiting(s->apply));
}

/* Neither side may be silent for ever where it owes us a word: the source answers a ping, as long
 * as we read; the destination each unit that was sent to it. */
static bool bear_silence(struct stream *s, struct err *err)
{
    bool reads = apply_may_read(s->apply) && !s->kept_out;
    if (!pg_bear_silence(s->o.source, reads, err))
        return err_context(err, "source");
    return pg_bear_silence(s->o.dest, apply_awaits_answer(s->apply), err) ||
           err_context(err, "destination");
}

/* Whether the open batch need not end though the source is dry. */
static bool has_more(const struct stream *s)
{
    bool is_loaded = s->loaded_since && s->load_at - s->loaded_since >= LOAD_LASTS_US;
    return (is_loaded && !s->kept_out) || apply_can_replay(s->apply);
}

static bool turn(struct stream *s, struct err *err)
{
    if (!bear_silence(s, err) || !read_burst(s, err))
        return false;
    note_load(s);
    if (!apply_replay(s->apply, err) || !apply_pump(s->apply, s->is_dry && !has_more(s), err) ||
        !stand_if_asked(s, err) || !move_idle_if_due(s, err) || !feedback_if_due(s, err))
        return false;
    note_busy(s);
    publish_if_due(s);
    tick(s);
    if (is_cancelled(s))
        return err_set(err, ERR_CANCELLED, "stopped on command");
    if (s->o.beside && !s->o.beside(s->o.arg, s->apply, err))
        return false;
    return wait_for_work(s, err);
}

/* A clean stop: what is complete is committed, what is not is rolled back with its connection, and
 * the source hears the last position. All of it within the limit, or it is left to the restart,
 * which loses nothing either. */
static void stop_cleanly(struct stream *s)
{
    struct err err = {0};
    int64_t until = clock_mono_ms() + STOP_LIMIT_MS;
    if (s->o.stopping)
        s->o.stopping(s->o.arg);
    apply_hurry(s->apply);
    aside_give_up(s->apply); /* its batch needs no end of a replayed transaction any more */
    s->stop_until = until;
    s->task.tick_ms = STOP_TICK_MS;
    s->task.next_tick = 0;
    while (!apply_is_idle(s->apply) && !apply_is_in_transaction(s->apply) &&
           clock_mono_ms() < until) {
        if (!apply_pump(s->apply, true, &err) ||
            !pg_wait(s->o.dest, &s->task, apply_wants_write(s->apply), 50, &err)) {
            if (err.code != ERR_TIMEOUT)
                return;
            err_clear(&err);
        }
    }
    if (apply_is_idle(s->apply) && !apply_move_idle(s->apply, s->quiet, &err))
        return;
    int left = (int)(until - clock_mono_ms());
    if (send_feedback(s, &err) && left > 0)
        (void)!pg_repl_stop(s->o.source, &s->task, left, &err);
}

bool stream_run(const struct stream_options *o, struct err *err)
{
    struct stream s = {.o = *o,
                       .safe = o->from,
                       .quiet = o->from,
                       .reported = o->from,
                       .gather_us = GATHER_MAX_US};
    s.task = (struct task){.wake_fd = o->task->wake_fd,
                           .is_cancelled = is_cancelled,
                           .tick = tick,
                           .arg = &s,
                           .tick_ms = o->task->tick_ms};
    if (s.task.tick_ms == 0 || s.task.tick_ms > o->keepalive_ms / 2)
        s.task.tick_ms = o->keepalive_ms / 2;
    s.moved_at = s.reported_at = clock_mono_ms();
    if (apply_new(o->dest, &s.task, &o->apply, o->from, &s.apply, err)) {
        if (o->hold)
            hold_attach(o->hold, o->from, o->task->wake_fd);
        while (turn(&s, err))
            continue;
        if (o->hold)
            hold_detach(o->hold);
        if (err->code == ERR_CANCELLED)
            stop_cleanly(&s);
        o->report(o->arg, apply_durable(s.apply), apply_durable(s.apply), false);
        if (o->reading)
            *o->reading = apply_reading(s.apply);
    }
    pg_copy_free(s.kept_out);
    apply_free(s.apply);
    return false;
}
