/* Preloaded by the fault suite: name look-ups fail or take half a minute while a file says so. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **res)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    const char *path = getenv("RESOLVER_FILE");
    FILE *f =
        path && node && !(hints && (hints->ai_flags & AI_NUMERICHOST)) ? fopen(path, "re") : NULL;
    int how = f ? fgetc(f) : 0;
    if (f)
        fclose(f);
    if (how == 'h')
        sleep(30);
    if (how == 'f' || how == 'h')
        return EAI_AGAIN;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, res);
}
