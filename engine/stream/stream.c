/* The stream's loop; see stream.h. */
#include "stream/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "stream/bulk.h"

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
/* Under load data gathers until about so much is there. A Unix socket holds less than three times
 * as many small frames, and a sender that has filled it waits. TCP puts them together. */
#define GATHER_FRAMES_UNIX 100
#define GATHER_FRAMES_TCP 500
#define GATHER_ENOUGH (64 << 10) /* …bytes */
#define GATHER_MIN_US 50
#define GATHER_MAX_US 1000
#define FIRST_WORD_MS 1000
#define STOP_LIMIT_MS 500 /* of the second in which a pause is answered */
#define STOP_TICK_MS 50
#define BULK_OPEN_MS 20 /* so long an open batch may be without a look at it, in bulk */
/* With so many commits in so long: is bulk reading better? Of large transactions a stream is as
 * cheap. */
#define FAR_COMMITS 1000
#define FAR_MS 1000
#define HOLD_LOOK_MS 50 /* how often a stream that stands looks whether it does so for too long */

struct stream {
    struct stream_options o;
    struct apply *apply;
    struct task task; /* waits inside the apply go through it: the source must hear from us */
    lsn_t safe;       /* up to here the WAL holds nothing that is not durable */
    lsn_t quiet;      /* last position seen while nothing was pending */
    lsn_t reported;
    int64_t reported_at, moved_at, published_at; /* monotonic ms */
    int64_t started_at;                          /* the same, of the WAL sender's stream */
    int64_t turn_at;                             /* monotonic us */
    size_t round_bytes;
    int round_frames;
    int gather_us, gather_frames;
    bool has_gathered; /* the round began with that */
    size_t load;
    int64_t load_at, loaded_since; /* monotonic us; loaded_since 0: it is not loaded */
    int64_t stop_until;            /* monotonic ms; 0: not stopping */
    bool is_dry, is_busy, answer_now;
    struct bulk *bulk;         /* what is read instead of the WAL sender's stream; NULL: that */
    struct bulk_item kept_out; /* the BEGIN that a hold does not let in; bytes NULL: none */
    lsn_t kept_out_lsn;        /* its commit LSN */
    int64_t far_at;            /* monotonic ms: when to ask whether it is far behind */
    int commits;               /* seen since the last time */
};

/* --- what the source is told ---------------------------------------------------------------------
 */

static bool send_feedback(struct stream *s, struct err *err)
{
    lsn_t durable = apply_durable(s->apply);
    s->reported_at = clock_mono_ms();
    s->answer_now = false;
    if (s->bulk)
        return true; /* it moves the slot by itself */
    s->reported = durable;
    return pg_repl_feedback(s->o.source, durable, durable, durable, err);
}

static bool feedback_if_due(struct stream *s, struct err *err)
{
    int64_t since = clock_mono_ms() - s->reported_at;
    bool moved = apply_durable(s->apply) > s->reported;
    if (s->bulk)
        return true;
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
    beat_move();
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

/* A frame of the WAL sender: 1 with a message or a position, else as pg_copy_try_read. */
static int read_frame(struct stream *s, struct bulk_item *out, struct err *err)
{
    struct repl_frame f;
    char *bytes;
    size_t len;
    int got = pg_copy_try_read(s->o.source, &bytes, &len, err);
    if (got != 1)
        return got;
    if (!repl_frame_read(bytes, len, &f, err)) {
        pg_copy_free(bytes);
        return -1;
    }
    *out = (struct bulk_item){.bytes = bytes, .data = f.data, .len = f.len, .size = len};
    if (f.kind == 'k') {
        out->data = NULL;
        out->position = f.wal_end;
        s->answer_now |= f.reply;
    }
    return 1;
}

static bool take_item(struct stream *s, const struct bulk_item *i, enum pgo_kind *kind,
                      struct err *err)
{
    *kind = PGO_OTHER;
    if (!i->data) {
        apply_position(s->apply, i->position);
        note_quiet(s, i->position);
        return true;
    }
    if (!apply_bytes(s->apply, i->data, i->len, i->size, kind, err))
        return false;
    if (*kind == PGO_COMMIT) {
        note_quiet(s, apply_seen(s->apply)); /* a transaction that held nothing for us */
        s->commits++;
    }
    return true;
}

/* Whether a hold keeps the transaction that begins with this message out. */
static bool is_kept_out(struct stream *s, const struct bulk_item *i)
{
    lsn_t lsn;
    if (!s->o.hold || !i->data || !pgo_peek_begin(i->data, i->len, &lsn) ||
        hold_lets_in(s->o.hold, lsn))
        return false;
    s->kept_out = *i;
    s->kept_out_lsn = lsn;
    return true;
}

/* As read_frame; while a transaction is kept out there is nothing behind it. */
static int next_item(struct stream *s, struct bulk_item *out, struct err *err)
{
    int got = 1;
    if (s->kept_out.bytes) {
        *out = s->kept_out;
        s->kept_out.bytes = NULL;
    } else if (s->bulk) {
        got = bulk_next(s->bulk, out) ? 1 : 2;
    } else {
        got = read_frame(s, out, err);
    }
    return got == 1 && is_kept_out(s, out) ? 2 : got;
}

/* Reads what is there, as long as the destination can take it. */
static bool read_burst(struct stream *s, struct err *err)
{
    s->is_dry = false;
    for (int i = 0; i < READ_BURST && apply_may_read(s->apply); i++) {
        enum pgo_kind kind;
        struct bulk_item item;
        int got = next_item(s, &item, err);
        if (got < 0)
            return false;
        if (got == 0)
            return err_set(err, ERR_CONNECT, "the source ended the stream");
        if (got == 2) {
            s->is_dry = true;
            return true;
        }
        s->round_bytes += item.size;
        s->round_frames++;
        bool ok = take_item(s, &item, &kind, err);
        pg_copy_free(item.bytes);
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
    if (s->kept_out.bytes && ms > HOLD_LOOK_MS)
        ms = HOLD_LOOK_MS;
    if (s->bulk && !apply_is_idle(s->apply) && ms > BULK_OPEN_MS)
        ms = BULK_OPEN_MS;
    return ms < 0 ? 0 : (int)ms;
}

static bool poll_fds(struct stream *s, bool read_source, int64_t us, struct err *err)
{
    struct timespec limit = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    struct pollfd fds[3] = {
        {.fd = s->o.task->wake_fd, .events = POLLIN},
        {.fd = pg_socket(s->o.dest),
         .events = (short)(POLLIN | (apply_wants_write(s->apply) ? POLLOUT : 0))},
        {.fd = s->bulk       ? bulk_fd(s->bulk)
               : read_source ? pg_socket(s->o.source)
                             : -1,
         .events = POLLIN},
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
    int wanted = s->gather_frames, share = (int)(s->round_bytes * (size_t)wanted / GATHER_ENOUGH);
    if (s->round_frames > share)
        share = s->round_frames;
    if (share > 0)
        s->gather_us = (s->gather_us + s->gather_us * wanted / share) / 2;
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
    s->has_gathered = s->is_dry && s->loaded_since && !s->bulk && !s->kept_out.bytes &&
                      !apply_can_replay(s->apply);
    s->round_bytes = 0;
    s->round_frames = 0;
    if ((!s->is_dry && apply_may_read(s->apply)) || apply_can_replay(s->apply))
        return true;
    if (s->has_gathered)
        return poll_fds(s, false, s->gather_us, err);
    return poll_fds(s, apply_may_read(s->apply) && !s->kept_out.bytes, (int64_t)wait_ms(s) * 1000,
                    err);
}

/* --- the loop
 * ------------------------------------------------------------------------------------------ */

/* The WAL sender has nothing for us yet when it has only begun to decode: it is not idle before it
 * has come to where the source was when the run began. The end of its WAL may lie behind the last
 * record, of which nothing is ever said. */
static bool has_heard(const struct stream *s)
{
    return apply_seen(s->apply) >= s->o.source_end ||
           clock_mono_ms() - s->started_at >= FIRST_WORD_MS;
}

static void publish_if_due(struct stream *s)
{
    int64_t now = clock_mono_ms();
    bool idle = !s->bulk && s->is_dry && apply_is_idle(s->apply) && has_heard(s);
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
    if (s->kept_out.bytes)
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
    bool reads = apply_may_read(s->apply) && !s->kept_out.bytes;
    if (s->bulk ? !bulk_bear_silence(s->bulk, err) : !pg_bear_silence(s->o.source, reads, err))
        return err_context(err, "source");
    return pg_bear_silence(s->o.dest, apply_awaits_answer(s->apply), err) ||
           err_context(err, "destination");
}

/* Whether the open batch need not end though the source is dry. */
static bool has_more(const struct stream *s)
{
    bool is_loaded = s->loaded_since && s->load_at - s->loaded_since >= LOAD_LASTS_US;
    if (s->bulk && !bulk_is_at_end(s->bulk) && !s->kept_out.bytes)
        return true;
    return (is_loaded && !s->bulk && !s->kept_out.bytes) || apply_can_replay(s->apply);
}

/* --- bulk reading, and from there to the WAL sender ----------------------------------------------
 */

static bool start_stream(struct stream *s, struct err *err)
{
    if (!s->o.start(s->o.arg, apply_durable(s->apply), err))
        return false;
    s->reported = apply_durable(s->apply);
    s->reported_at = s->started_at = clock_mono_ms();
    s->gather_frames = pg_is_unix(s->o.source) ? GATHER_FRAMES_UNIX : GATHER_FRAMES_TCP;
    return true;
}

static void end_bulk(struct stream *s)
{
    if (!s->bulk)
        return;
    bulk_free(s->bulk);
    s->bulk = NULL;
    s->o.bulk.ended(s->o.arg);
}

static bool open_bulk(struct stream *s, struct err *err)
{
    const struct stream_bulk *o = &s->o.bulk;
    struct bulk_options b = {.task = &s->task,
                             .slot = o->slot,
                             .publication = o->publication,
                             .app = o->app,
                             .from = s->o.from,
                             .window = o->window,
                             .decoding_memory = o->decoding_memory};
    if (!o->connect(s->o.arg, &b.conn, err))
        return false;
    if (bulk_open(&b, &s->bulk, err))
        return true;
    o->ended(s->o.arg);
    return false;
}

/* What does not work in bulk works by the stream, or has to be said by it. */
static bool begin(struct stream *s, struct err *err)
{
    if (s->o.bulk.is_wanted) {
        if (open_bulk(s, err))
            return true;
        if (err->code == ERR_CANCELLED)
            return false;
        s->o.bulk.refused(s->o.arg, err);
        err_clear(err);
    }
    return start_stream(s, err);
}

/* What had been read and is not durable is read again. A server that has not ended the session, but
 * refuses to go on, will do so for the next run, too: that one streams. */
static bool bulk_failed(struct stream *s, struct err *err)
{
    s->o.bulk.refused(s->o.arg, err);
    return err->code == ERR_SQL ? err_set(err, ERR_CANCELLED, "bulk reading failed") : false;
}

/* Goes over to the stream when there is nothing left: the WAL sender starts at what is durable,
 * which is everything that was read. */
static bool pump_bulk(struct stream *s, struct err *err)
{
    bool is_over = false;
    if (!s->bulk)
        return true;
    if (!bulk_pump(s->bulk, apply_durable(s->apply), err))
        return bulk_failed(s, err);
    if (!bulk_is_at_end(s->bulk) || s->kept_out.bytes || !apply_is_idle(s->apply))
        return true;
    if (!bulk_leave(s->bulk, apply_durable(s->apply), &is_over, err))
        return bulk_failed(s, err);
    if (!is_over)
        return true;
    end_bulk(s);
    return start_stream(s, err);
}

/* Whether the run had better end, so that the next one begins in bulk. */
static bool is_far(struct stream *s)
{
    int64_t now = clock_mono_ms();
    if (s->bulk || !s->o.bulk.connect)
        return false;
    if (now < s->far_at || apply_is_in_transaction(s->apply)) /* between two: none is read twice */
        return false;
    bool is_busy = s->commits >= FAR_COMMITS;
    s->far_at = now + FAR_MS;
    s->commits = 0;
    return is_busy && s->o.bulk.is_far(s->o.arg, apply_seen(s->apply));
}

static bool turn(struct stream *s, struct err *err)
{
    if (!bear_silence(s, err) || !pump_bulk(s, err) || !read_burst(s, err))
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
    if (is_far(s))
        return err_set(err, ERR_CANCELLED, "far behind");
    if (s->o.beside && !s->o.beside(s->o.arg, s->apply, err))
        return false;
    return wait_for_work(s, err);
}

/* A clean stop: what is complete is committed, what is not is rolled back with its connection, and
 * the source hears the last position. All of it within the limit, or it is left to the restart,
 * which loses nothing either (false). */
static bool stop_cleanly(struct stream *s)
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
                return false;
            err_clear(&err);
        }
    }
    if (apply_is_idle(s->apply) && !apply_move_idle(s->apply, s->quiet, &err))
        return false;
    int left = (int)(until - clock_mono_ms());
    if (!send_feedback(s, &err) || left <= 0)
        return false;
    return s->bulk || pg_repl_stop(s->o.source, &s->task, left, &err);
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
        bool goes_on = begin(&s, err);
        while (goes_on)
            goes_on = turn(&s, err);
        if (o->hold)
            hold_detach(o->hold);
        if (err->code == ERR_CANCELLED)
            *o->is_clean = stop_cleanly(&s);
        o->report(o->arg, apply_durable(s.apply), apply_durable(s.apply), false);
        if (o->reading)
            *o->reading = apply_reading(s.apply);
        if (o->oldest)
            *o->oldest = apply_oldest(s.apply);
    }
    end_bulk(&s);
    pg_copy_free(s.kept_out.bytes);
    apply_free(s.apply);
    return false;
}
