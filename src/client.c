/* A small client of our own API; see client.h. One request a connection. */
#include "src/client.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "src/state_dir.h"

#define PIECE (64U << 10)
#define LOOK_MS 100 /* between two looks at a flag */
#define ANSWER_MAX (256U << 20)

/* One request under way. */
struct exchange {
    const char *state_dir;
    int limit_ms;
    int64_t until; /* clock_mono_ms */
    int fd;
    const struct client_stop *stop; /* NULL: none */
    struct err *err;
};

static enum client_end given_up(const struct exchange *x)
{
    (void)err_set(x->err, ERR_CANCELLED, "given up before bunnydb answered");
    return CLIENT_GIVEN_UP;
}

static bool is_given_up(const struct exchange *x)
{
    struct pollfd p = {.fd = x->stop && x->stop->fd > 0 ? x->stop->fd : -1, .events = POLLIN};
    return x->stop && ((x->stop->give_up && atomic_load(x->stop->give_up)) || poll(&p, 1, 0) > 0);
}

static enum client_end no_answer(const struct exchange *x)
{
    if (is_given_up(x))
        return given_up(x);
    (void)err_set(x->err, ERR_TIMEOUT, "bunnydb did not answer within %d.%d s", x->limit_ms / 1000,
                  x->limit_ms / 100 % 10);
    (void)err_hint(x->err, "the process that runs on %s is very busy, stopped, or hangs",
                   x->state_dir);
    return CLIENT_TIMEOUT;
}

static enum client_end cannot_connect(const struct exchange *x, int error)
{
    if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR) {
        (void)err_set(x->err, ERR_CONNECT, "no bunnydb runs on the state directory %s",
                      x->state_dir);
        (void)err_hint(x->err, "start it, or name its directory with --state-dir");
        return CLIENT_NO_PROCESS;
    }
    (void)err_set(x->err, ERR_CONNECT, "cannot reach the bunnydb that runs on %s: %s", x->state_dir,
                  strerror(error));
    if (error == EACCES || error == EPERM)
        (void)err_hint(x->err, "run the command as the user of that process");
    return CLIENT_FAILED;
}

/* Waits for the descriptor; false at the end of the time, or when it is given up. */
static bool is_ready(const struct exchange *x, short events)
{
    for (;;) {
        int64_t left = x->until - clock_mono_ms();
        struct pollfd p[] = {
            {.fd = x->fd, .events = events},
            {.fd = x->stop && x->stop->fd > 0 ? x->stop->fd : -1, .events = POLLIN}};
        int64_t slice = x->stop && x->stop->give_up && left > LOOK_MS ? LOOK_MS : left;
        int n = poll(p, COUNT_OF(p), slice > 0 ? (int)slice : 0);
        if (is_given_up(x))
            return false;
        if (n > 0)
            return true;
        if (n == 0 && left <= 0)
            return false;
    }
}

/* A process that has stopped leaves its queue of connections full: then connect says EAGAIN. */
static enum client_end open_connection(struct exchange *x)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(x->state_dir) + sizeof "/" SOCKET_FILE > sizeof at.sun_path) {
        (void)err_set(x->err, ERR_INVALID, "the path of the state directory is too long: %s",
                      x->state_dir);
        return CLIENT_FAILED;
    }
    str_printf(at.sun_path, sizeof at.sun_path, "%s/%s", x->state_dir, SOCKET_FILE);
    x->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (x->fd < 0)
        return cannot_connect(x, errno);
    while (connect(x->fd, (struct sockaddr *)&at, sizeof at) != 0) {
        if (errno != EAGAIN && errno != EINTR)
            return cannot_connect(x, errno);
        if (clock_mono_ms() >= x->until)
            return no_answer(x);
        (void)poll(NULL, 0, 20);
    }
    return CLIENT_DONE;
}

static enum client_end send_request(const struct exchange *x, const struct buf *request)
{
    for (size_t sent = 0; sent < request->len;) {
        ssize_t n = send(x->fd, request->data + sent, request->len - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN) {
            if (!is_ready(x, POLLOUT))
                return no_answer(x);
        } else if (errno == EPIPE || errno == ECONNRESET) {
            break; /* refused before all was sent: the answer says why */
        } else if (errno != EINTR) {
            (void)err_set(x->err, ERR_CONNECT, "sending to bunnydb: %s", strerror(errno));
            return CLIENT_FAILED;
        }
    }
    return CLIENT_DONE;
}

/* Reads until the answer is whole, the connection ends or the time is over. */
static enum client_end receive(const struct exchange *x, struct buf *got, struct answer *out)
{
    for (;;) {
        if (!is_ready(x, POLLIN))
            return no_answer(x);
        buf_reserve(got, PIECE);
        ssize_t n = recv(x->fd, got->data + got->len, PIECE, 0);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0 && errno != ECONNRESET) {
            (void)err_set(x->err, ERR_CONNECT, "reading from bunnydb: %s", strerror(errno));
            return CLIENT_FAILED;
        }
        got->len += n > 0 ? (size_t)n : 0;
        switch (answer_read(got, n <= 0, out, x->err)) {
        case ANSWER_WHOLE:
            return CLIENT_DONE;
        case ANSWER_BROKEN:
            return CLIENT_FAILED;
        case ANSWER_MORE:
            break;
        }
        if (got->len > ANSWER_MAX) {
            (void)err_set(x->err, ERR_PROTOCOL, "the answer is larger than %u MiB",
                          ANSWER_MAX >> 20);
            return CLIENT_FAILED;
        }
    }
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

static enum client_end judge(const struct answer *a, struct err *err)
{
    if (a->status < 300)
        return CLIENT_DONE;
    (void)err_set(err, ERR_INVALID, "%s", text_of(a->json, "error"));
    if (text_of(a->json, "hint")[0])
        (void)err_hint(err, "%s", text_of(a->json, "hint"));
    if (!err->text[0])
        (void)err_set(err, ERR_PROTOCOL, "bunnydb answered with status %d", a->status);
    return CLIENT_REFUSED;
}

static void put_request(struct buf *request, const char *agent, const char *method,
                        const char *path, const json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : mem_strdup("");
    buf_reserve(request, strlen(text) + strlen(path) + 256); /* no copy of a password stays */
    buf_printf(request,
               "%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: %s\r\nConnection: close\r\n"
               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
               method, path, agent, strlen(text));
    buf_puts(request, text);
    sodium_memzero(text, strlen(text));
    free(text);
}

enum client_end client_request(const char *state_dir, const char *method, const char *path,
                               const json_t *body, int limit_ms, struct answer *out,
                               struct err *err)
{
    return client_request_until("bunnydb", state_dir, method, path, body, limit_ms, NULL, out, err);
}

enum client_end client_request_until(const char *agent, const char *state_dir, const char *method,
                                     const char *path, const json_t *body, int limit_ms,
                                     const struct client_stop *stop, struct answer *out,
                                     struct err *err)
{
    struct exchange x = {state_dir, limit_ms, clock_mono_ms() + limit_ms, -1, stop, err};
    struct buf request = {0}, got = {0};
    *out = (struct answer){0};
    put_request(&request, agent, method, path, body);
    enum client_end end = open_connection(&x);
    if (end == CLIENT_DONE)
        end = send_request(&x, &request);
    if (end == CLIENT_DONE)
        end = receive(&x, &got, out);
    bool is_sent = x.fd >= 0 && (end == CLIENT_TIMEOUT || (end == CLIENT_FAILED && !err->hint[0]));
    if (is_sent && strcmp(method, "GET") != 0)
        (void)err_hint(err, "what was asked may have been done: look before you ask again");
    if (end == CLIENT_DONE)
        end = judge(out, err);
    if (x.fd >= 0)
        close(x.fd);
    sodium_memzero(request.data, request.len);
    buf_free(&request);
    buf_free(&got);
    return end;
}

bool client_call(const char *state_dir, const char *method, const char *path, const json_t *body,
                 json_t **answer, struct err *err)
{
    struct answer a;
    bool ok =
        client_request(state_dir, method, path, body, CLIENT_LIMIT_MS, &a, err) == CLIENT_DONE;
    *answer = ok ? json_incref(a.json) : NULL;
    answer_free(&a);
    return ok;
}
