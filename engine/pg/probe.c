/* Is a session that says nothing still alive? TCP notices a peer that is gone, but not a middle
 * box, a stopped machine or a proxy that takes bytes and forwards none. When a server has been
 * silent for as long as a login may take, a session of its own asks it what the silent one does
 * (PostgreSQL docs, "pg_stat_activity" and "Wait Events"): a backend that works or waits for a lock
 * is left alone for hours; one that waits for us, while we wait for it, will do so for ever.
 *
 * The question runs in a short-lived thread with its share of what it needs, so that nobody waits
 * for it. Like a canceller it belongs to its connection and to each such thread. */
#include "pg/pg_private.h"

#include <linux/sockios.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define MIN_PATIENCE_MS 2000
#define MAX_PATIENCE_MS 60000 /* also the longest time between two questions */
#define AGAIN_MS 1000         /* after an answer that may have been an accident of the moment */
#define STRIKES 2
#define PING_SHARE 2 /* a stream is asked for a word after half of the patience */

enum verdict {
    VERDICT_NONE,     /* not asked, or not answered yet */
    VERDICT_WORKING,  /* it does what it was asked, or waits for a lock, a disk, … */
    VERDICT_WAITING,  /* it waits for us */
    VERDICT_GONE,     /* there is no such session */
    VERDICT_NO_ENTRY, /* the server cannot be reached either */
    VERDICT_UNKNOWN,  /* it lives, and does not tell */
};

struct probe {
    struct params params; /* immutable, all strings owned; names[n] = NULL */
    int pid;
    int patience_ms;
    pthread_mutex_t lock;
    int refs;             /* under lock: the connection and the thread */
    bool is_running;      /* under lock */
    enum verdict verdict; /* under lock */
};

void params_copy(const struct params *p, struct params *out)
{
    *out = (struct params){.n = p->n};
    out->names = mem_calloc(p->n + 1, sizeof *out->names);
    out->values = mem_calloc(p->n + 1, sizeof *out->values);
    for (size_t i = 0; i < p->n; i++) {
        out->names[i] = mem_strdup(p->names[i]);
        out->values[i] = mem_strdup(p->values[i]);
    }
}

void params_free_copy(struct params *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free((void *)(uintptr_t)p->names[i]);
        free((void *)(uintptr_t)p->values[i]);
    }
    params_free(p);
}

struct probe *probe_new(const struct params *p, int pid, int login_ms)
{
    struct probe *o = mem_calloc(1, sizeof *o);
    params_copy(p, &o->params);
    for (size_t i = 0; i < p->n; i++) { /* what the question itself does not need */
        bool is_app = !strcmp(p->names[i], "application_name");
        if (is_app || !strcmp(p->names[i], "replication")) {
            free((void *)(uintptr_t)o->params.values[i]);
            o->params.values[i] = mem_strdup(is_app ? "bunnydb probe" : "false");
        }
    }
    o->pid = pid;
    o->patience_ms = login_ms < MIN_PATIENCE_MS   ? MIN_PATIENCE_MS
                     : login_ms > MAX_PATIENCE_MS ? MAX_PATIENCE_MS
                                                  : login_ms;
    o->refs = 1;
    pthread_mutex_init(&o->lock, NULL);
    return o;
}

void probe_release(struct probe *o)
{
    if (!o)
        return;
    pthread_mutex_lock(&o->lock);
    bool is_last = --o->refs == 0;
    pthread_mutex_unlock(&o->lock);
    if (!is_last)
        return;
    params_free_copy(&o->params);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

/* --- the question ------------------------------------------------------------------------------
 */

/* A WAL sender that has nothing to send answers each word of ours at once; nothing else of what
 * pg_stat_activity calls "Client" goes on without us. */
static const char question[] =
    "SELECT coalesce(wait_event_type, '') = 'Client' OR coalesce(wait_event, '') IN "
    "('WalSenderMain', 'WalSenderWaitForWAL', 'WalSenderWriteData') FROM "
    "pg_catalog.pg_stat_activity WHERE pid = $1";

/* A server that is full or does not let us in any more is one that lives; one that starts has ended
 * all its sessions. */
static enum verdict verdict_of_login(const struct err *err)
{
    if (pg_server_error_is(err, "57P03"))
        return VERDICT_GONE;
    return err->sqlstate[0] && strncmp(err->sqlstate, "08", 2) != 0 ? VERDICT_UNKNOWN
                                                                    : VERDICT_NO_ENTRY;
}

static enum verdict ask(const struct probe *o)
{
    struct pg_conn *c = NULL;
    struct pg_result *r = NULL;
    struct err err = {0};
    char pid[16];
    const char *value = pid;
    enum verdict v;
    str_printf(pid, sizeof pid, "%d", o->pid);
    if (!conn_open(&o->params, o->patience_ms, &c, &err)) {
        v = verdict_of_login(&err);
    } else if (!pg_exec_params(c, NULL, o->patience_ms, question, 1, &value, &r, &err)) {
        v = err.code == ERR_SQL ? VERDICT_UNKNOWN : VERDICT_NO_ENTRY;
    } else {
        v = !pg_rows(r) ? VERDICT_GONE : pg_bool(r, 0, 0) ? VERDICT_WAITING : VERDICT_WORKING;
        pg_free(r);
    }
    pg_close(c, false);
    return v;
}

static void *probe_main(void *arg)
{
    struct probe *o = arg;
    enum verdict v = ask(o);
    pthread_mutex_lock(&o->lock);
    o->verdict = v;
    o->is_running = false;
    pthread_mutex_unlock(&o->lock);
    probe_release(o);
    return NULL;
}

/* False when there is no thread to be had: it is tried again later. */
static void start(struct probe *o)
{
    pthread_mutex_lock(&o->lock);
    o->verdict = VERDICT_NONE;
    o->is_running = true;
    o->refs++;
    pthread_mutex_unlock(&o->lock);
    if (thread_start_detached(probe_main, o))
        return;
    pthread_mutex_lock(&o->lock);
    o->is_running = false;
    o->verdict = VERDICT_UNKNOWN;
    pthread_mutex_unlock(&o->lock);
    probe_release(o);
}

/* --- what its connection makes of it -----------------------------------------------------------
 */

/* Bytes of ours that the other side has not taken yet. */
static int unsent(const struct pg_conn *c)
{
    int n = 0;
    return ioctl(PQsocket(c->pq), SIOCOUTQ, &n) ? 0 : n;
}

void conn_heard(struct pg_conn *c)
{
    c->silence = (struct silence){0};
}

static bool give_up(struct pg_conn *c, enum verdict v, struct err *err)
{
    long s = (long)((clock_mono_ms() - c->silence.since) / 1000);
    c->is_broken = true;
    if (v == VERDICT_GONE)
        err_set(err, ERR_CONNECT, "it has ended session %d, and nothing said so", c->probe->pid);
    else if (v == VERDICT_WAITING)
        err_set(err, ERR_CONNECT,
                "the connection hangs: session %d and we wait for each other, for %ld s",
                c->probe->pid, s);
    else
        err_set(err, ERR_CONNECT, "silent for %ld s, and cannot be reached anew", s);
    return error_at_server(c, err);
}

/* True when the answer ends the session's life. */
static bool is_hopeless(struct pg_conn *c, enum verdict v)
{
    struct silence *s = &c->silence;
    int left = unsent(c);
    bool moved = left != s->unsent && s->strikes > 0; /* our bytes still go, if slowly */
    s->unsent = left;
    switch (v) {
    case VERDICT_GONE:
        return true;
    case VERDICT_WAITING:
    case VERDICT_NO_ENTRY:
        s->strikes = moved && v == VERDICT_WAITING ? 1 : s->strikes + 1;
        s->ask_at = clock_mono_ms() + AGAIN_MS;
        return s->strikes >= STRIKES;
    case VERDICT_NONE:
    case VERDICT_WORKING:
    case VERDICT_UNKNOWN:
        break;
    }
    s->strikes = 0;
    s->pause_ms = s->pause_ms ? s->pause_ms * 2 : c->probe->patience_ms;
    if (s->pause_ms > MAX_PATIENCE_MS)
        s->pause_ms = MAX_PATIENCE_MS;
    s->ask_at = clock_mono_ms() + s->pause_ms;
    return false;
}

bool conn_bear_silence(struct pg_conn *c, int64_t now, struct err *err)
{
    struct silence *s = &c->silence;
    if (!c->probe)
        return true;
    if (!s->since) {
        *s = (struct silence){.since = now, .ask_at = now + c->probe->patience_ms};
        return true;
    }
    if (now < s->ask_at)
        return true;
    pthread_mutex_lock(&c->probe->lock);
    bool is_running = c->probe->is_running;
    enum verdict v = c->probe->verdict;
    c->probe->verdict = VERDICT_NONE;
    pthread_mutex_unlock(&c->probe->lock);
    if (is_running)
        return true;
    if (!s->is_asked) {
        s->is_asked = true;
        start(c->probe);
        return true;
    }
    s->is_asked = false;
    return !is_hopeless(c, v) || give_up(c, v, err);
}

int64_t conn_silence_look_at(const struct pg_conn *c, int64_t now)
{
    const struct silence *s = &c->silence;
    if (!c->probe || !s->since)
        return INT64_MAX;
    return s->ask_at > now ? s->ask_at : now + AGAIN_MS / 10;
}

bool pg_bear_silence(struct pg_conn *c, bool is_owed, struct err *err)
{
    if (is_owed)
        return conn_bear_silence(c, clock_mono_ms(), err);
    conn_heard(c);
    return true;
}

bool pg_wants_ping(const struct pg_conn *c)
{
    return c->probe && c->silence.since && !c->silence.is_pinged &&
           clock_mono_ms() - c->silence.since >= c->probe->patience_ms / PING_SHARE;
}
