/* Cancel requests (PostgreSQL docs, "Canceling Queries in Progress"). PQcancel opens a connection
 * of its own and blocks until the server has closed it, so that a hung server would hold us: it
 * runs in a short-lived thread with its share of what it needs, and nobody waits long for it. */
#include "pg/pg_private.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define SETTLE_MS 800 /* within the second in which a cancelled call has to be back */
#define AGAIN_MS 150
#define MAX_RUNNING 4 /* requests of one connection that no server has answered */

struct canceller {
    PGcancel *key; /* immutable */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int refs;    /* under lock: the connection and each thread */
    int running; /* under lock: threads */
};

struct canceller *canceller_new(PGconn *pq)
{
    PGcancel *key = PQgetCancel(pq);
    if (!key)
        return NULL;
    struct canceller *k = mem_calloc(1, sizeof *k);
    pthread_condattr_t attr;
    k->key = key;
    k->refs = 1;
    pthread_mutex_init(&k->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&k->changed, &attr);
    pthread_condattr_destroy(&attr);
    return k;
}

void canceller_release(struct canceller *k)
{
    if (!k)
        return;
    pthread_mutex_lock(&k->lock);
    bool last = --k->refs == 0;
    pthread_mutex_unlock(&k->lock);
    if (!last)
        return;
    PQfreeCancel(k->key);
    pthread_cond_destroy(&k->changed);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static void finished(struct canceller *k)
{
    pthread_mutex_lock(&k->lock);
    k->running--;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
    canceller_release(k);
}

static void *send_request(void *arg)
{
    struct canceller *k = arg;
    char text[256] = "";
    if (!PQcancel(k->key, text, sizeof text))
        log_debug("pg", NULL, "cancel request failed: %s", text);
    finished(k);
    return NULL;
}

/* A detached thread that takes no signals; false when there is none to be had. */
static bool start_thread(struct canceller *k)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attr, send_request, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return !failed;
}

void canceller_start(struct canceller *k)
{
    if (!k)
        return;
    pthread_mutex_lock(&k->lock);
    bool may = k->running < MAX_RUNNING;
    if (may) {
        k->running++;
        k->refs++;
    }
    pthread_mutex_unlock(&k->lock);
    if (may && !start_thread(k)) {
        log_warn("pg", NULL, "no thread for a cancel request");
        finished(k);
    }
}

bool canceller_wait(struct canceller *k, int limit_ms)
{
    struct timespec until;
    if (!k)
        return true;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += limit_ms / 1000;
    until.tv_nsec += (long)(limit_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&k->lock);
    int rc = 0;
    while (k->running && !rc)
        rc = pthread_cond_timedwait(&k->changed, &k->lock, &until);
    bool idle = !k->running;
    pthread_mutex_unlock(&k->lock);
    return idle;
}

void pg_cancel(struct pg_conn *c)
{
    canceller_start(c->canceller);
}

/* A server that has not begun the statement yet passes over a request: it is sent again until the
 * statement ends. */
static bool next_result(struct pg_conn *c, int64_t deadline, PGresult **out)
{
    for (;;) {
        struct err err = {0};
        int64_t again = clock_mono_ms() + AGAIN_MS;
        if (exec_next(c, NULL, again < deadline ? again : deadline, out, &err))
            return true;
        if (err.code != ERR_TIMEOUT || again >= deadline)
            return false;
        canceller_start(c->canceller);
    }
}

/* Reads a cancelled statement to its end. */
static bool settle(struct pg_conn *c, int64_t deadline)
{
    struct err ignored;
    PGresult *r;
    while (next_result(c, deadline, &r)) {
        if (!r)
            return PQstatus(c->pq) == CONNECTION_OK;
        ExecStatusType status = PQresultStatus(r);
        PQclear(r);
        if (status == PGRES_COPY_BOTH)
            return false; /* its owner closes the connection */
        if (status == PGRES_COPY_IN && PQputCopyEnd(c->pq, "given up on command") < 0)
            return false;
        if (status == PGRES_COPY_OUT && !copy_discard(c, NULL, deadline, &ignored))
            return false;
    }
    return false;
}

bool conn_give_up(struct pg_conn *c)
{
    int64_t deadline = wait_deadline(SETTLE_MS);
    bool settled = false;
    if (!c->is_eof && PQstatus(c->pq) == CONNECTION_OK) {
        canceller_start(c->canceller);
        settled = PQpipelineStatus(c->pq) == PQ_PIPELINE_OFF && settle(c, deadline);
        /* A request that is still on its way would hit the session's next statement. */
        int64_t left = deadline - clock_mono_ms();
        if (!canceller_wait(c->canceller, left > 0 ? (int)left : 0))
            settled = false;
    }
    c->is_broken = !settled;
    buf_reset(&c->out);
    c->out_at = 0;
    c->copy = COPY_NONE;
    c->is_stream = false;
    return false;
}
