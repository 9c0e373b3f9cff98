/* Listening sockets; see sockets.h. */
#include "src/http/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

#define BACKLOG 128

void sockets_format(const struct sockaddr *a, bool with_port, char out[ADDRESS_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";
    unsigned port = 0;
    bool v6 = a && a->sa_family == AF_INET6;
    if (v6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)a;
        inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
        port = ntohs(in->sin6_port);
    } else if (a && a->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)a;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        port = ntohs(in->sin_port);
    } else {
        str_copy(out, ADDRESS_TEXT_SIZE, "unix");
        return;
    }
    if (with_port)
        str_printf(out, ADDRESS_TEXT_SIZE, v6 ? "[%s]:%u" : "%s:%u", host, port);
    else
        str_copy(out, ADDRESS_TEXT_SIZE, host);
}

static bool is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == 127;
    return a->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

/* Splits "ADDR:PORT"; an IPv6 address stands in brackets. */
static bool split(const char *where, char host[256], char port[8], struct err *err)
{
    const char *colon = strrchr(where, ':');
    bool ok = colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1) &&
              str_copy(port, 8, colon + 1);
    size_t n = ok ? (size_t)(colon - where) : 0;
    if (ok && n > 2 && *where == '[' && where[n - 1] == ']')
        ok = str_copy_n(host, 256, where + 1, n - 2);
    else
        ok = ok && n > 0 && !memchr(where, ':', n) && str_copy_n(host, 256, where, n);
    return ok ||
           err_set(err, ERR_INVALID,
                   "\"%.80s\" is not ADDR:PORT (such as 127.0.0.1:8112 or [::1]:8112)", where);
}

static int open_listener(const struct addrinfo *a)
{
    int on = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

bool sockets_listen_tcp(const char *where, int *fd, bool *loopback, char bound[ADDRESS_TEXT_SIZE],
                        struct err *err)
{
    char host[256], port[8];
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    if (!split(where, host, port, err))
        return false;
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc != 0)
        return err_set(err, ERR_INVALID, "cannot listen on %s: %s", where, gai_strerror(rc));
    *fd = open_listener(list);
    int saved = errno;
    freeaddrinfo(list);
    if (*fd < 0) {
        (void)err_set(err, ERR_IO, "cannot listen on %s: %s", where, strerror(saved));
        return saved == EADDRINUSE ? err_hint(err, "another process listens there; choose another "
                                                   "port with --http ADDR:PORT")
                                   : false;
    }
    (void)getsockname(*fd, (struct sockaddr *)&at, &len);
    sockets_format((struct sockaddr *)&at, true, bound);
    *loopback = is_loopback((struct sockaddr *)&at);
    return true;
}

bool sockets_listen_unix(const char *path, int *fd, struct err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (!str_copy(at.sun_path, sizeof at.sun_path, path)) {
        (void)err_set(err, ERR_INVALID, "the path of the socket is longer than %zu bytes: %s",
                      sizeof at.sun_path - 1, path);
        return err_hint(err, "choose a state directory with a shorter path");
    }
    (void)unlink(path); /* the lock on the state directory says that nobody uses it */
    mode_t before = umask(0177);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok =
        *fd >= 0 && bind(*fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(*fd, BACKLOG) == 0;
    int saved = errno;
    umask(before);
    if (ok)
        return true;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return err_set(err, ERR_IO, "cannot listen on %s: %s", path, strerror(saved));
}

bool sockets_is_owner(int fd, uid_t *who)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    *who = peer.uid;
    return peer.uid == geteuid() || peer.uid == 0;
}
