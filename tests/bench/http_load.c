/* A steady load of one GET request over some keep-alive connections, for tests/bench/http: one
 * thread, requests at fixed moments whatever the answers take, and each latency counted from the
 * moment at which its request was due, so that a server that stalls cannot hide it.
 * usage: http_load PORT PATH TOKEN RATE SECONDS CONNECTIONS */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define CONNECTIONS_MAX 64
#define ANSWER_MAX (1 << 20)
#define GIVE_UP_US 10000000

struct connection {
    int fd;
    int64_t due; /* us, of the request under way; 0: none */
    size_t len;
    char *answer;
};

struct load {
    char *request;
    struct connection connections[CONNECTIONS_MAX];
    int n;
    double *latencies; /* us */
    size_t sent, answered, wanted;
    int64_t began;
    double interval; /* us */
    size_t bytes;
};

static void fail(const char *what)
{
    fprintf(stderr, "http_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_connection(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void send_due(struct load *l, int64_t now)
{
    for (int i = 0; i < l->n && l->sent < l->wanted; i++) {
        struct connection *c = &l->connections[i];
        int64_t due = l->began + (int64_t)((double)l->sent * l->interval);
        size_t n = strlen(l->request);
        if (due > now)
            return;
        if (c->due)
            continue;
        if (send(c->fd, l->request, n, MSG_NOSIGNAL) != (ssize_t)n)
            fail("send");
        c->due = due;
        c->len = 0;
        l->sent++;
    }
}

/* Whether the answer is complete; ends the program when it is not a 200. */
static int is_complete(const struct connection *c)
{
    const char *end = memmem(c->answer, c->len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (memcmp(c->answer, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "http_load: %.*s\n", (int)(end - c->answer), c->answer);
        exit(1);
    }
    for (const char *line = c->answer; line < end; line = strchr(line, '\n') + 1)
        if (!strncasecmp(line, "Content-Length:", 15))
            return c->len >= (size_t)(end + 4 - c->answer) + strtoull(line + 15, NULL, 10);
    fprintf(stderr, "http_load: an answer without a length\n");
    exit(1);
}

static void receive(struct load *l, struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->len, ANSWER_MAX - 1 - c->len, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        fail("the server hung up");
    if (n < 0)
        return;
    c->len += (size_t)n;
    c->answer[c->len] = '\0';
    if (!is_complete(c))
        return;
    l->latencies[l->answered++] = (double)(clock_mono_us() - c->due);
    l->bytes += c->len;
    c->due = 0;
}

static void run(struct load *l, int timer)
{
    while (l->answered < l->wanted) {
        struct pollfd fds[CONNECTIONS_MAX + 1];
        uint64_t ticks;
        int64_t now = clock_mono_us();
        if (now > l->began + (int64_t)((double)l->wanted * l->interval) + GIVE_UP_US) {
            fprintf(stderr, "http_load: the server does not keep up\n");
            exit(1);
        }
        send_due(l, now);
        for (int i = 0; i < l->n; i++)
            fds[i] = (struct pollfd){.fd = l->connections[i].fd,
                                     .events = l->connections[i].due ? POLLIN : 0};
        fds[l->n] = (struct pollfd){.fd = timer, .events = POLLIN};
        if (poll(fds, (nfds_t)l->n + 1, 1000) < 0 && errno != EINTR)
            fail("poll");
        if (fds[l->n].revents && read(timer, &ticks, sizeof ticks) < 0)
            fail("read");
        for (int i = 0; i < l->n; i++)
            if (fds[i].revents)
                receive(l, &l->connections[i]);
    }
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void print(struct load *l)
{
    struct rusage u;
    double seconds = (double)(clock_mono_us() - l->began) / 1e6;
    getrusage(RUSAGE_SELF, &u);
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                 (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    qsort(l->latencies, l->answered, sizeof *l->latencies, compare);
    printf("{\"requests\": %zu, \"rate\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"max_ms\": %.3f, \"bytes\": %zu, \"client_cpu\": %.3f}\n",
           l->answered, (double)l->answered / seconds, l->latencies[l->answered / 2] / 1000,
           l->latencies[l->answered * 99 / 100] / 1000, l->latencies[l->answered - 1] / 1000,
           l->bytes / l->answered, cpu / seconds);
}

int main(int argc, char **argv)
{
    struct load l = {0};
    if (argc != 7) {
        fprintf(stderr, "usage: http_load PORT PATH TOKEN RATE SECONDS CONNECTIONS\n");
        return 2;
    }
    int port = (int)strtol(argv[1], NULL, 10);
    double rate = strtod(argv[4], NULL);
    l.wanted = (size_t)(rate * strtod(argv[5], NULL));
    l.n = (int)strtol(argv[6], NULL, 10);
    if (l.n < 1 || l.n > CONNECTIONS_MAX || !l.wanted)
        return 2;
    l.interval = 1e6 / rate;
    l.request = mem_printf("GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n",
                           argv[2], argv[3]);
    l.latencies = mem_calloc(l.wanted, sizeof *l.latencies);
    for (int i = 0; i < l.n; i++) {
        l.connections[i].fd = open_connection(port);
        l.connections[i].answer = mem_calloc(1, ANSWER_MAX);
    }
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    long ns = (long)(l.interval * 1000);
    struct timespec every = {ns / 1000000000L, ns % 1000000000L};
    if (timer < 0 || timerfd_settime(timer, 0, &(struct itimerspec){every, every}, NULL) != 0)
        fail("timer");
    l.began = clock_mono_us();
    run(&l, timer);
    print(&l);
    return 0;
}
