/* The one wait of this room: a connection, a task's wake descriptor and a deadline in poll(2). All
 * connections are non-blocking, so that nothing but this file ever sleeps. */
#include "pg/pg_private.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/wake.h"

#define SILENCE_SEAM_MS 2000 /* between two waits that count as one */

static int tick_ms(const struct task *task)
{
    return task->tick_ms > 0 ? task->tick_ms : 1000;
}

int64_t wait_deadline(int limit_ms)
{
    return limit_ms > 0 ? clock_mono_ms() + limit_ms : 0;
}

static bool turn_at(struct task *task, int64_t now, struct err *err)
{
    if (!task)
        return true;
    if (now >= task->next_tick) {
        task->next_tick = now + tick_ms(task);
        if (task->tick)
            task->tick(task->arg);
    }
    if (task->is_cancelled && task->is_cancelled(task->arg))
        return err_set(err, ERR_CANCELLED, "given up on command");
    return true;
}

bool wait_turn(struct task *task, struct err *err)
{
    beat_move();
    return !task || turn_at(task, clock_mono_ms(), err);
}

/* How long poll may sleep. */
static int sleep_ms(const struct task *task, int64_t now, int64_t deadline, int64_t look_at)
{
    int64_t until = INT64_MAX;
    if (task)
        until = task->next_tick;
    if (deadline && deadline < until)
        until = deadline;
    if (look_at < until)
        until = look_at;
    if (until == INT64_MAX)
        return -1;
    if (until <= now)
        return 0;
    return until - now > INT_MAX ? INT_MAX : (int)(until - now);
}

/* One poll: 1 = the descriptor has something, 0 = go round again, -1 = error. */
static int poll_once(struct pollfd p[2], int ms, bool *woken, struct err *err)
{
    int n = poll(p, 2, ms);
    if (n < 0 && errno != EINTR) {
        err_set(err, ERR_IO, "poll: %s", strerror(errno));
        return -1;
    }
    if (n <= 0)
        return 0;
    if (p[1].revents) {
        wake_clear(p[1].fd);
        *woken = true;
    }
    return p[0].revents != 0;
}

/* c: whose silence counts; NULL: that of no session. */
static bool wait_long(struct pg_conn *c, int fd, struct task *task, short events, int64_t deadline,
                      short *got, struct err *err)
{
    bool woken = false;
    bool ok = false;
    for (;;) {
        int64_t now = clock_mono_ms();
        int64_t look_at = INT64_MAX;
        beat_move();
        if (!turn_at(task, now, err) || (c && !conn_bear_silence(c, now, err)))
            break;
        if (c)
            look_at = conn_silence_look_at(c, now);
        struct pollfd p[2] = {{.fd = fd, .events = events},
                              {.fd = task ? task->wake_fd : -1, .events = POLLIN}};
        int ready = poll_once(p, sleep_ms(task, now, deadline, look_at), &woken, err);
        *got = p[0].revents;
        ok = ready > 0;
        if (ok && task)
            task->heard_at = clock_mono_ms();
        if (ready)
            break;
        if (deadline && clock_mono_ms() >= deadline) {
            err_set(err, ERR_TIMEOUT, "%s did not answer in time", c ? "it" : "the server");
            if (c)
                error_at_server(c, err);
            break;
        }
    }
    /* The signal was also meant for the loop that our caller will go back to. */
    if (woken)
        wake_signal(task->wake_fd);
    return ok;
}

bool wait_fd(int fd, struct task *task, short events, int64_t deadline, struct err *err)
{
    short got;
    return wait_long(NULL, fd, task, events, deadline, &got, err);
}

bool wait_socket(struct pg_conn *c, struct task *task, short events, int64_t deadline, short *got,
                 struct err *err)
{
    int fd = PQsocket(c->pq);
    *got = POLLHUP;
    if (fd < 0)
        return true; /* libpq has closed it and knows why */
    if (clock_mono_ms() - c->silence.waited_at > SILENCE_SEAM_MS)
        conn_heard(c); /* until now nobody has waited */
    bool ok = wait_long(c, fd, task, events, deadline, got, err);
    if (ok)
        conn_heard(c);
    c->silence.waited_at = clock_mono_ms();
    return ok;
}

bool conn_read(struct pg_conn *c, struct err *err)
{
    if (c->is_eof)
        return error_of_conn(c, err);
    int n = 0;
    if (c->silence.since && (ioctl(PQsocket(c->pq), FIONREAD, &n) || n > 0))
        conn_heard(c);
    /* What came before the end (mostly the reason for it) is still to be parsed by our caller. */
    c->is_eof = !PQconsumeInput(c->pq);
    return true;
}

bool wait_input(struct pg_conn *c, struct task *task, int64_t deadline, struct err *err)
{
    short got;
    short events = POLLIN;
    if (c->is_eof)
        return error_of_conn(c, err);
    int unsent = PQflush(c->pq);
    if (unsent == 0)
        c->queued = 0;
    else if (unsent == 1)
        events |= POLLOUT;
    if (!wait_socket(c, task, events, deadline, &got, err))
        return false;
    return !(got & ~POLLOUT) || conn_read(c, err);
}

bool pg_wait(struct pg_conn *c, struct task *task, bool for_write, int limit_ms, struct err *err)
{
    short got;
    return wait_socket(c, task, for_write ? POLLIN | POLLOUT : POLLIN, wait_deadline(limit_ms),
                       &got, err);
}
