/* Signals; see signals.h. */
#include "src/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/mem.h"

static const int ours[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP};

/* nohup and shells without job control pass "ignored" on; an ignored signal never arrives. */
void signals_reset(void)
{
    for (size_t i = 0; i < COUNT_OF(ours); i++)
        signal(ours[i], SIG_DFL);
}

bool signals_take(int *fd, struct err *err)
{
    static const int defects[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t blocked, wanted;
    sigfillset(&blocked);
    for (size_t i = 0; i < COUNT_OF(defects); i++)
        sigdelset(&blocked, defects[i]);
    sigemptyset(&wanted);
    for (size_t i = 0; i < COUNT_OF(ours); i++)
        sigaddset(&wanted, ours[i]);
    signals_reset();
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    *fd = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
    return *fd >= 0 || err_set(err, ERR_IO, "signalfd: %s", strerror(errno));
}

enum signal_wish signals_next(int fd)
{
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) != (ssize_t)sizeof info)
        return SIGNAL_NONE;
    return info.ssi_signo == SIGHUP ? SIGNAL_HANGUP : SIGNAL_STOP;
}
