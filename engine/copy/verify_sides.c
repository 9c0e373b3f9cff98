/* Both servers work at once for one worker: statements go out in libpq's pipeline mode ("Pipeline
 * Mode"), and one poll waits for both sockets and the job's word to stop. */
#include "copy/verify_job.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"

/* A range of the heap, or a sort of the rows that differ, takes minutes; a server that says nothing
 * for so long is stuck. */
#define ANSWER_LIMIT_MS (6 * 3600 * 1000)
#define POLL_MS 1000

const char *verify_side_name(enum which_side side)
{
    return side == SOURCE ? "source" : "destination";
}

void sides_reset(struct verifier *v)
{
    for (int i = 0; i < N_SIDES; i++) {
        struct side *s = &v->sides[i];
        for (size_t k = 0; k < s->n_answers; k++)
            pg_free(s->answers[k]);
        s->n_answers = 0;
        err_clear(&s->err);
    }
}

bool side_send(struct verifier *v, enum which_side side, const char *sql, struct err *err)
{
    return pg_pipe_query(v->sides[side].conn, sql, 0, NULL, err) ||
           err_context(err, "%s", verify_side_name(side));
}

bool side_end(struct verifier *v, enum which_side side, struct err *err)
{
    struct side *s = &v->sides[side];
    if (!pg_pipe_sync(s->conn, err) || pg_flush(s->conn, err) < 0)
        return err_context(err, "%s", verify_side_name(side));
    s->is_waiting = true;
    return true;
}

static bool keep(struct side *s, struct pg_result *r, struct err *err)
{
    if (s->n_answers < SIDE_MAX_ANSWERS) {
        s->answers[s->n_answers++] = r;
        return true;
    }
    pg_free(r);
    return err_set(err, ERR_INTERNAL, "more statements than there is room for their answers");
}

/* Takes what has come; false when the session is lost. */
static bool take_answers(struct side *s, struct err *err)
{
    while (s->is_waiting) {
        struct pg_result *r = NULL;
        struct err e = {0};
        switch (pg_pipe_next(s->conn, &r, &e)) {
        case PIPE_NOTHING:
            return true;
        case PIPE_RESULT:
            if (!keep(s, r, err))
                return false;
            break;
        case PIPE_SYNC:
            s->is_waiting = false;
            break;
        case PIPE_ERROR:
            if (e.code == ERR_CONNECT) {
                *err = e;
                return false;
            }
            s->err = e;
            if (!keep(s, NULL, err))
                return false;
            break;
        case PIPE_SKIPPED:
            if (!keep(s, NULL, err))
                return false;
            break;
        }
    }
    return true;
}

static bool exchange(struct side *s, struct err *err)
{
    return !s->is_waiting || (pg_bear_silence(s->conn, true, err) && pg_flush(s->conn, err) >= 0 &&
                              pg_consume(s->conn, err) && take_answers(s, err));
}

static bool poll_both(struct verifier *v, struct err *err)
{
    struct pollfd fds[N_SIDES + 1] = {{.fd = v->wake_fd, .events = POLLIN}};
    for (int i = 0; i < N_SIDES; i++) {
        const struct side *s = &v->sides[i];
        short events = pg_queued_bytes(s->conn) ? POLLIN | POLLOUT : POLLIN;
        fds[i + 1] =
            (struct pollfd){.fd = s->is_waiting ? pg_socket(s->conn) : -1, .events = events};
    }
    if (poll(fds, COUNT_OF(fds), POLL_MS) < 0 && errno != EINTR)
        return err_set(err, ERR_IO, "poll: %s", strerror(errno));
    if (fds[0].revents)
        wake_clear(v->wake_fd);
    return true;
}

bool side_wait(struct verifier *v, enum which_side side, struct err *err)
{
    int64_t until = clock_mono_ms() + ANSWER_LIMIT_MS;
    for (;;) {
        beat_move();
        for (int i = 0; i < N_SIDES; i++)
            if (!exchange(&v->sides[i], err))
                return err_context(err, "%s", verify_side_name((enum which_side)i));
        if (!v->sides[side].is_waiting)
            return true;
        if (atomic_load(&v->job->stop))
            return err_set(err, ERR_CANCELLED, "given up on command");
        if (clock_mono_ms() >= until)
            return err_set(err, ERR_TIMEOUT, "the %s did not answer for %d h",
                           verify_side_name(side), ANSWER_LIMIT_MS / 3600000);
        if (!poll_both(v, err))
            return false;
    }
}

bool sides_check(const struct verifier *v, struct err *err)
{
    for (int i = 0; i < N_SIDES; i++) {
        if (!v->sides[i].err.code)
            continue;
        *err = v->sides[i].err;
        return err_context(err, "%s", verify_side_name((enum which_side)i));
    }
    return true;
}

bool sides_wait(struct verifier *v, struct err *err)
{
    return side_end(v, SOURCE, err) && side_end(v, DEST, err) && side_wait(v, SOURCE, err) &&
           side_wait(v, DEST, err) && sides_check(v, err);
}
