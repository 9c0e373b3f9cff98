/* Who applies; see applier.h. */
#include "stream/applier.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* Of this start of this machine; "" where the kernel does not tell. */
static void read_boot_id(char out[64])
{
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    out[0] = '\0';
    if (!f)
        return;
    if (fgets(out, 64, f))
        out[strcspn(out, "\n")] = '\0';
    fclose(f);
}

/* A copy of a state directory is another directory, another machine has another name or start. */
void applier_describe(const char *state_dir, struct applier *out)
{
    char host[65] = "", boot[64];
    struct stat st = {0};
    if (gethostname(host, sizeof host - 1) || !host[0])
        str_copy(host, sizeof host, "this host");
    (void)stat(state_dir, &st);
    read_boot_id(boot);
    str_printf(out->id, sizeof out->id, "%s %s %llu:%llu", host, boot,
               (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    str_printf(out->name, sizeof out->name, "PID %d on %s", (int)getpid(), host);
}
