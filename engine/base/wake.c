/* Wake-ups over eventfd(2); see wake.h. */
#include "base/wake.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"

int wake_new(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        log_warn("main", NULL, "no descriptor for wake-ups: commands take a moment longer: %s",
                 strerror(errno));
    return fd;
}

void wake_signal(int fd)
{
    uint64_t one = 1;
    int saved = errno;
    ssize_t n = write(fd, &one, sizeof one); /* a full counter is a signal already */
    (void)n;
    errno = saved;
}

void wake_clear(int fd)
{
    uint64_t v;
    ssize_t n = read(fd, &v, sizeof v);
    (void)n;
}

void wake_free(int fd)
{
    if (fd >= 0)
        close(fd);
}
