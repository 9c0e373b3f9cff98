/* A small client of our own API; see client.h. HTTP/1.1 with "Connection: close", so that an answer
 * ends with the stream (RFC 9112, chapter 6.3); our server never sends chunks of unknown length. */
#include "src/client.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "src/state_dir.h"

#define ANSWER_LIMIT_S 60

static int connect_socket(const char *state_dir, struct err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = ANSWER_LIMIT_S};
    size_t n = strlen(state_dir) + sizeof "/" SOCKET_FILE;
    if (n > sizeof at.sun_path) {
        (void)err_set(err, ERR_INVALID, "the path of the state directory is too long: %s",
                      state_dir);
        return -1;
    }
    str_printf(at.sun_path, sizeof at.sun_path, "%s/%s", state_dir, SOCKET_FILE);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        return fd;
    }
    (void)err_set(err, ERR_CONNECT, "cannot reach the bunnydb that runs on %s: %s", state_dir,
                  strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool exchange(int fd, const struct buf *request, struct buf *answer, struct err *err)
{
    for (size_t sent = 0; sent < request->len;) {
        ssize_t n = send(fd, request->data + sent, request->len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return err_set(err, ERR_CONNECT, "sending to bunnydb: %s", strerror(errno));
        sent += n > 0 ? (size_t)n : 0;
    }
    char piece[4096];
    for (ssize_t n; (n = read(fd, piece, sizeof piece)) != 0;) {
        if (n < 0 && errno != EINTR)
            return err_set(err, ERR_CONNECT, "reading from bunnydb: %s", strerror(errno));
        if (n > 0)
            buf_add(answer, piece, (size_t)n);
    }
    return true;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

static bool read_answer(const struct buf *b, json_t **answer, struct err *err)
{
    const char *text = buf_text(b), *body = strstr(text, "\r\n\r\n");
    if (strncmp(text, "HTTP/1.1 ", 9) != 0 || !body)
        return err_set(err, ERR_PROTOCOL, "bunnydb gave no answer");
    long status = strtol(text + 9, NULL, 10);
    *answer = json_loads(body + 4, JSON_DECODE_ANY, NULL);
    if (status >= 200 && status < 300)
        return true;
    (void)err_set(err, ERR_INVALID, "%s", text_of(*answer, "error"));
    if (text_of(*answer, "hint")[0])
        (void)err_hint(err, "%s", text_of(*answer, "hint"));
    if (!err->text[0])
        (void)err_set(err, ERR_PROTOCOL, "bunnydb answered with status %ld", status);
    return false;
}

bool client_call(const char *state_dir, const char *method, const char *path, const json_t *body,
                 json_t **answer, struct err *err)
{
    struct buf request = {0}, got = {0};
    *answer = NULL;
    int fd = connect_socket(state_dir, err);
    if (fd < 0)
        return false;
    char *text = body ? json_dumps(body, JSON_COMPACT) : mem_strdup("");
    buf_printf(&request,
               "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
               method, path, strlen(text));
    buf_puts(&request, text);
    bool ok = exchange(fd, &request, &got, err) && read_answer(&got, answer, err);
    close(fd);
    sodium_memzero(text, strlen(text)); /* may hold a password */
    free(text);
    sodium_memzero(request.data, request.len);
    buf_free(&request);
    buf_free(&got);
    return ok;
}
