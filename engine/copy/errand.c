/* Threads that do one thing; see errand.h. */
#include "copy/errand.h"

#include <poll.h>
#include <signal.h>
#include <string.h>

#include "base/beat.h"
#include "base/mem.h"
#include "base/wake.h"

#define TICK_MS 250

static bool is_cancelled(void *arg)
{
    struct errand *e = arg;
    return atomic_load(&e->is_cancelled);
}

void errand_init(struct errand *e, const char *name, void (*run)(void *arg), void *arg,
                 int owner_fd)
{
    memset(e, 0, sizeof *e);
    str_copy(e->name, sizeof e->name, name);
    e->run = run;
    e->arg = arg;
    e->owner_fd = owner_fd;
    e->wake_fd = wake_new();
    e->task = (struct task){
        .wake_fd = e->wake_fd, .is_cancelled = is_cancelled, .arg = e, .tick_ms = TICK_MS};
}

void errand_tell(struct errand *e)
{
    atomic_store(&e->has_news, true);
    wake_signal(e->owner_fd);
}

static void cancel_late(void *arg, const char *why)
{
    struct errand *e = arg;
    (void)why;
    atomic_store(&e->is_late, true);
    errand_cancel(e);
}

static void *errand_main(void *arg)
{
    struct errand *e = arg;
    pthread_setname_np(pthread_self(), e->name);
    if (e->mirror)
        beat_enter(&(struct beat_worker){
            .name = e->name, .mirror = e->mirror, .cancel = cancel_late, .arg = e});
    e->run(e->arg);
    beat_leave();
    atomic_store(&e->is_over, true);
    errand_tell(e);
    return NULL;
}

/* Signals go to the process' main thread alone. */
bool errand_start(struct errand *e, struct err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&e->thread, NULL, errand_main, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    e->has_thread = !failed;
    return !failed || err_set(err, ERR_IO, "cannot start a thread: %s", strerror(failed));
}

bool errand_has_news(struct errand *e)
{
    return atomic_exchange(&e->has_news, false);
}

bool errand_is_over(const struct errand *e)
{
    return atomic_load(&e->is_over);
}

void errand_cancel(struct errand *e)
{
    atomic_store(&e->is_cancelled, true);
    wake_signal(e->wake_fd);
}

void errand_explain(const struct errand *e, struct err *err)
{
    if (err->code == ERR_CANCELLED && atomic_load(&e->is_late))
        err_set(err, ERR_TIMEOUT, "%s did not move any more, and was cancelled", e->name);
}

void errand_join(struct errand *e)
{
    errand_cancel(e);
    if (e->has_thread)
        pthread_join(e->thread, NULL);
    e->has_thread = false;
    wake_free(e->wake_fd);
}

bool errand_sleep(struct errand *e, int ms, struct err *err)
{
    struct pollfd p = {.fd = e->wake_fd, .events = POLLIN};
    beat_rests();
    if (poll(&p, 1, ms) > 0)
        wake_clear(e->wake_fd);
    beat_move();
    if (atomic_load(&e->is_cancelled))
        return err_set(err, ERR_CANCELLED, "given up on command");
    return true;
}
