/* Logins that have to look up a name (libpq, "Database Connection Control Functions"): libpq asks
 * the resolver and blocks as long as that does, which resolv.conf(5) makes half a minute. So the
 * whole login goes to a short-lived thread of its own; who waits for it goes on with its ticks and
 * may leave at any time, and then the thread throws away what it gets. */
#include "pg/pg_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"

#define SLICE_MS 250 /* how soon the thread notices that nobody waits any more */

struct login {
    struct params params; /* immutable, all strings owned */
    int64_t deadline;     /* 0: none */
    int done_fd;
    pthread_mutex_t lock;
    int refs; /* under lock, and so is all below */
    bool is_left, is_done, is_late;
    PGconn *pq;
};

bool thread_start_detached(void *(*main)(void *), void *arg)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attr, main, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return !failed;
}

/* --- is there a name? --------------------------------------------------------------------------
 */

static bool is_name(const char *host, size_t len)
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char address[sizeof(struct in6_addr)];
    if (len == 0 || host[0] == '/' || host[0] == '@')
        return false; /* a Unix socket */
    return !str_copy_n(text, sizeof text, host, len) ||
           (inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1);
}

bool login_looks_up(const struct params *p)
{
    const char *host = params_get(p, "host"), *address = params_get(p, "hostaddr");
    if (!host || (address && *address))
        return false;
    for (;; host++) { /* a list of hosts is tried one after the other */
        size_t len = strcspn(host, ",");
        if (is_name(host, len))
            return true;
        host += len;
        if (!*host)
            return false;
    }
}

/* --- the thread --------------------------------------------------------------------------------
 */

static void release(struct login *l)
{
    pthread_mutex_lock(&l->lock);
    bool is_last = --l->refs == 0;
    pthread_mutex_unlock(&l->lock);
    if (!is_last)
        return;
    PQfinish(l->pq);
    params_free_copy(&l->params);
    pthread_mutex_destroy(&l->lock);
    close(l->done_fd);
    free(l);
}

static bool is_wanted(struct login *l)
{
    pthread_mutex_lock(&l->lock);
    bool wanted = !l->is_left;
    pthread_mutex_unlock(&l->lock);
    return wanted && !(l->deadline && clock_mono_ms() >= l->deadline);
}

/* Words of the server before the login is done: nobody has asked. */
static void pass_over(void *arg, const PGresult *r)
{
    (void)arg;
    (void)r;
}

static PGconn *log_in(struct login *l)
{
    PGconn *pq = PQconnectStartParams(l->params.names, l->params.values, 0);
    if (!pq || PQstatus(pq) == CONNECTION_BAD)
        return pq;
    PQsetNoticeReceiver(pq, pass_over, NULL);
    PQsetErrorVerbosity(pq, PQERRORS_VERBOSE);
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (step != PGRES_POLLING_OK && step != PGRES_POLLING_FAILED && is_wanted(l)) {
        struct pollfd p = {.fd = PQsocket(pq),
                           .events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int n = poll(&p, 1, SLICE_MS);
        if (n > 0 || (n < 0 && errno != EINTR))
            step = PQconnectPoll(pq);
    }
    return pq;
}

static void *login_main(void *arg)
{
    struct login *l = arg;
    PGconn *pq = log_in(l);
    pthread_mutex_lock(&l->lock);
    l->pq = pq;
    l->is_late = pq && PQstatus(pq) != CONNECTION_OK && PQstatus(pq) != CONNECTION_BAD;
    l->is_done = true;
    wake_signal(l->done_fd);
    pthread_mutex_unlock(&l->lock);
    release(l);
    return NULL;
}

/* --- who waits for it --------------------------------------------------------------------------
 */

static struct login *login_new(const struct params *p, int64_t deadline)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct login *l = mem_calloc(1, sizeof *l);
    params_copy(p, &l->params);
    l->deadline = deadline;
    l->done_fd = fd;
    l->refs = 2;
    pthread_mutex_init(&l->lock, NULL);
    if (thread_start_detached(login_main, l))
        return l;
    l->refs = 1;
    release(l);
    return NULL;
}

bool login_in_thread(const struct params *p, struct task *task, int64_t deadline, PGconn **out,
                     struct err *err)
{
    struct login *l = login_new(p, deadline);
    if (!l)
        return err_set(err, ERR_IO, "no thread to look up the name of the host: %s",
                       strerror(errno));
    bool ok = wait_fd(l->done_fd, task, POLLIN, deadline, err);
    pthread_mutex_lock(&l->lock);
    l->is_left = true;
    if (ok && l->is_late)
        ok = err_set(err, ERR_TIMEOUT, "the server did not answer in time");
    if (ok && !l->pq)
        ok = err_set(err, ERR_MEMORY, "no memory for a connection");
    if (ok) {
        *out = l->pq;
        l->pq = NULL;
    }
    pthread_mutex_unlock(&l->lock);
    release(l);
    return ok;
}
