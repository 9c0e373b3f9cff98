/* Cancel requests (PostgreSQL docs, "Canceling Queries in Progress"). PQcancel opens a connection
 * of its own and blocks until the server has closed it, so that a hung server would hold us: it
 * runs in a short-lived thread with its share of what it needs, and nobody waits long for it. */
#include "pg/pg_private.h"

#include <linux/close_range.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define SETTLE_MS 800 /* within the second in which a cancelled call has to be back */
#define AGAIN_MS 150
#define REQUEST_MS 5000
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

struct request {
    struct canceller *k; /* a share of it */
    bool is_sent;        /* under k->lock */
    char text[256];      /* what libpq says when it failed; the sender's until is_sent */
};

/* PQcancel cannot be told how long to wait, so that it may have to be ended inside recv(2). Its
 * thread has a descriptor table of its own, with nothing in it: what it leaves open goes with it,
 * and it keeps nothing of ours open. It must not log: the log's descriptor is not in that table. */
static void *send_request(void *arg)
{
    struct request *r = arg;
#ifndef __SANITIZE_THREAD__ /* it takes equal numbers for equal descriptors */
    (void)close_range(3, ~0U, CLOSE_RANGE_UNSHARE);
#endif
    (void)!PQcancel(r->k->key, r->text, sizeof r->text);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_mutex_lock(&r->k->lock);
    r->is_sent = true;
    pthread_cond_broadcast(&r->k->changed);
    pthread_mutex_unlock(&r->k->lock);
    return NULL;
}

static struct timespec moment_after(int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* Sends a request, and gives it up when no server takes it. */
static void *watch_request(void *arg)
{
    struct canceller *k = arg;
    struct request r = {.k = k};
    struct timespec until = moment_after(REQUEST_MS);
    pthread_t sender;
    if (!pthread_create(&sender, NULL, send_request, &r)) { /* takes no signals, as we do */
        int rc = 0;
        pthread_mutex_lock(&k->lock);
        while (!r.is_sent && !rc)
            rc = pthread_cond_timedwait(&k->changed, &k->lock, &until);
        bool is_sent = r.is_sent;
        pthread_mutex_unlock(&k->lock);
        if (!is_sent)
            pthread_cancel(sender);
        pthread_join(sender, NULL);
        if (r.text[0] || !is_sent)
            log_debug("pg", NULL, "cancel request failed: %s", is_sent ? r.text : "no answer");
    }
    finished(k);
    return NULL;
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
    if (may && !thread_start_detached(watch_request, k)) {
        log_warn("pg", NULL, "no thread for a cancel request");
        finished(k);
    }
}

bool canceller_wait(struct canceller *k, int limit_ms)
{
    if (!k)
        return true;
    struct timespec until = moment_after(limit_ms);
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

bool conn_leave(struct pg_conn *c)
{
    if (!c->is_broken && !c->is_eof && PQstatus(c->pq) == CONNECTION_OK)
        canceller_start(c->canceller);
    c->is_broken = true;
    return false;
}

bool conn_give_up(struct pg_conn *c)
{
    int64_t deadline = wait_deadline(SETTLE_MS);
    bool settled = false;
    if (!c->is_broken && !c->is_eof && PQstatus(c->pq) == CONNECTION_OK) {
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
