/* Wake-ups over eventfd(2); see wake.h. */
#include "base/wake.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

int wake_new(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        perror("bunnydb: eventfd");
        abort();
    }
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
