/* Tells a test when the console has done all that was asked of it, so that none has to guess how
 * long that takes. The test writes a question into a FIFO, "k N LINES" or "r N LINES", and gets N
 * back k: once all keys sent before it were acted upon, and what they changed was drawn, r: once
 * the console's workers have answered, too, and what came of that was drawn, both after LINES lines
 * of the control pipe were obeyed. It is put between the console and the C library by the linker
 * (--wrap). LATE=ms makes everything late: keys, answers, control lines. */
#include "fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SOURCES_MOST = 16,
    WORKERS_MOST = 8,
    LOOK_MS = 5,
};

int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __real_doupdate(void);
int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __real_pthread_cond_signal(pthread_cond_t *cond);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_doupdate(void);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_signal(pthread_cond_t *cond);

static struct {
    int ask_fd, answer_fd;
    int late_ms;
    atomic_int lines; /* of the control pipe */
    struct question {
        char kind; /* 0: there is none */
        long number;
        int lines;
    } question;           /* console thread */
    bool is_drawn;        /* a frame came after the last event, or the time for one has passed */
    pthread_mutex_t lock; /* of the workers: who is found by the condition that it waits for */
    struct {
        const pthread_cond_t *cond;
        bool waits;
    } workers[WORKERS_MOST];
} rest = {.ask_fd = -1, .answer_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

void fixture_rest_open(void)
{
    const char *ask = getenv("REST_ASK"), *answer = getenv("REST_ANSWER"), *late = getenv("LATE");
    rest.late_ms = late ? (int)strtol(late, NULL, 10) : 0;
    if (ask && answer) {
        rest.answer_fd = open(answer, O_RDWR | O_CLOEXEC);
        rest.ask_fd = open(ask, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    }
}

void fixture_late(void)
{
    if (rest.late_ms)
        fixture_sleep(rest.late_ms);
}

void fixture_obeyed(void)
{
    atomic_fetch_add(&rest.lines, 1);
}

/* --- The workers: at rest from the moment they wait until somebody signals -------------------- */
static void worker_set(const pthread_cond_t *cond, bool waits)
{
    pthread_mutex_lock(&rest.lock);
    size_t i = 0;
    while (i + 1 < WORKERS_MOST && rest.workers[i].cond && rest.workers[i].cond != cond)
        i++;
    rest.workers[i].cond = cond;
    rest.workers[i].waits = waits;
    pthread_mutex_unlock(&rest.lock);
}

static bool workers_rest(void)
{
    bool all = true;
    pthread_mutex_lock(&rest.lock);
    for (size_t i = 0; i < WORKERS_MOST; i++)
        all &= !rest.workers[i].cond || rest.workers[i].waits;
    pthread_mutex_unlock(&rest.lock);
    return all;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    worker_set(cond, true);
    int rc = __real_pthread_cond_wait(cond, mutex);
    if (rest.late_ms) {
        pthread_mutex_unlock(mutex);
        fixture_late();
        pthread_mutex_lock(mutex);
    }
    return rc;
}

int __wrap_pthread_cond_signal(pthread_cond_t *cond)
{
    worker_set(cond, false);
    return __real_pthread_cond_signal(cond);
}

/* --- The console's loop ----------------------------------------------------------------------- */
static void question_read(void)
{
    char line[256];
    ssize_t n = read(rest.ask_fd, line, sizeof line - 1);
    if (n <= 0)
        return;
    line[n] = '\0';
    char *last = line; /* an older one is of no interest any more */
    for (char *end; (end = strchr(last, '\n')) && end[1];)
        last = end + 1;
    struct question q = {0};
    if (sscanf(last, "%c %ld %d", &q.kind, &q.number, &q.lines) == 3)
        rest.question = q;
}

/* Answers when there is nothing to do, no output is held up, and no frame is due. */
static void question_answer(struct pollfd *fds, nfds_t n, int timeout)
{
    const struct question *q = &rest.question;
    bool done = atomic_load(&rest.lines) >= q->lines && !(fds[0].events & POLLOUT);
    if (q->kind == 'r')
        done = done && workers_rest() && (timeout < 0 || rest.is_drawn);
    if (!done || __real_poll(fds, n, 0) != 0)
        return;
    dprintf(rest.answer_fd, "%ld\n", q->number);
    rest.question.kind = 0;
}

int __wrap_doupdate(void)
{
    rest.is_drawn = true;
    return __real_doupdate();
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
    struct pollfd all[SOURCES_MOST];
    if (n < 2 || n >= SOURCES_MOST || rest.ask_fd < 0) /* not the loop */
        return __real_poll(fds, n, timeout);
    if (rest.question.kind)
        question_answer(fds, n, timeout);
    bool looks = rest.question.kind && (timeout < 0 || timeout > LOOK_MS);
    memcpy(all, fds, n * sizeof *fds);
    all[n] = (struct pollfd){.fd = rest.ask_fd, .events = POLLIN};
    int rc = __real_poll(all, n + 1, looks ? LOOK_MS : timeout);
    memcpy(fds, all, n * sizeof *fds);
    if (rc == 0 && !looks)
        rest.is_drawn = true;
    if (rc <= 0)
        return rc;
    bool asked = all[n].revents != 0;
    if (asked)
        question_read();
    if (rc - asked > 0) {
        rest.is_drawn = false;
        fixture_late();
    }
    return rc - asked;
}
