/* Preloaded by the fault suite: name look-ups fail or take half a minute while a file says so. An
 * address is no name: as the real one, this asks nobody about it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int is_address(const char *node)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, node, address) == 1 || inet_pton(AF_INET6, node, address) == 1;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **res)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    const char *path = getenv("RESOLVER_FILE");
    FILE *f = path && node && !is_address(node) ? fopen(path, "re") : NULL;
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
