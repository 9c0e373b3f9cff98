/* What the kernel says of this process; see proc.h. */
#include "src/proc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"

/* The fields of /proc/self/stat that count here; the first is the state, number 3. */
enum {
    STAT_UTIME = 14 - 3,
    STAT_STIME = 15 - 3,
    STAT_THREADS = 20 - 3,
    STAT_START = 22 - 3,
    STAT_VSIZE = 23 - 3,
    STAT_RSS = 24 - 3,
    STAT_COUNT,
};

static void read_file(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(out, 1, size - 1, f) : 0;
    out[n] = '\0';
    if (f)
        fclose(f);
}

static double boot_time(void)
{
    char text[16384];
    read_file("/proc/stat", text, sizeof text);
    const char *line = strstr(text, "\nbtime ");
    return line ? strtod(line + strlen("\nbtime "), NULL) : 0;
}

static void read_stat(struct proc *p)
{
    char text[1024];
    double v[STAT_COUNT] = {0};
    read_file("/proc/self/stat", text, sizeof text);
    const char *at = strrchr(text, ')'); /* the name before it may hold anything */
    if (!at || strlen(at) < 4)
        return;
    at += 4; /* the state's letter */
    for (size_t i = 1; i < STAT_COUNT; i++) {
        char *end;
        v[i] = strtod(at, &end);
        at = end;
    }
    double hz = (double)sysconf(_SC_CLK_TCK);
    p->cpu_seconds = (v[STAT_UTIME] + v[STAT_STIME]) / hz;
    p->threads = (int64_t)v[STAT_THREADS];
    p->virtual_bytes = (int64_t)v[STAT_VSIZE];
    p->resident_bytes = (int64_t)v[STAT_RSS] * sysconf(_SC_PAGESIZE);
    p->started_at = boot_time() + v[STAT_START] / hz;
}

static int64_t count_fds(void)
{
    int64_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return 0;
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n > 0 ? n - 1 : 0; /* not the one that looked */
}

void proc_read(struct proc *p)
{
    struct rlimit limit;
    *p = (struct proc){0};
    read_stat(p);
    p->open_fds = count_fds();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        p->max_fds = (int64_t)limit.rlim_cur;
}
