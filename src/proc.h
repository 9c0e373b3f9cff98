/* What the kernel says of this process (proc(5)). No state, any thread. */
#ifndef BUNNY_PROC_H
#define BUNNY_PROC_H

#include <stdint.h>

struct proc {
    double cpu_seconds; /* user and system */
    int64_t resident_bytes, virtual_bytes;
    int64_t threads, open_fds, max_fds;
    double started_at; /* seconds since 1970 */
};
/* What cannot be found out is 0. */
void proc_read(struct proc *p);

#endif
