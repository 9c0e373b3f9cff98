/* The client of our own API against a server that misbehaves: answers in pieces and chunks, large
 * ones, halves, none, and nobody there. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/mem.h"
#include "src/client.h"
#include "src/state_dir.h"
#include "tempdir.h"

#define LIMIT_MS 10000

/* --- What has come so far --------------------------------------------------------------------- */
static enum answer_state read_text(const char *text, size_t n, bool ended, struct answer *a,
                                   struct err *e)
{
    struct buf b = {0};
    buf_add(&b, text, n);
    enum answer_state state = answer_read(&b, ended, a, e);
    buf_free(&b);
    return state;
}

#define HEAD "HTTP/1.1 200 OK\r\n"
static const struct {
    const char *text;
    int status;
    const char *body;
} whole[] = {
    {HEAD "Content-Length: 7\r\n\r\n{\"a\":1}", 200, "{\"a\":1}"},
    {HEAD "content-length:7 \r\nX: y\r\n\r\n{\"a\":1}", 200, "{\"a\":1}"},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\n\r\n", 200,
     "{\"a\":1}"},
    {"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", 404, "{}"},
};

/* Cut off anywhere it is an error that says so, and never a shorter answer. */
static void an_answer_is_whole_or_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(whole); i++) {
        size_t len = strlen(whole[i].text);
        struct answer a;
        struct err e = {0};
        size_t end_of_chunks = strstr(whole[i].text, "chunked") ? 2 : 0;
        for (size_t n = 0; n < len - end_of_chunks; n++) {
            assert_int_equal(read_text(whole[i].text, n, false, &a, &e), ANSWER_MORE);
            assert_int_equal(read_text(whole[i].text, n, true, &a, &e), ANSWER_BROKEN);
            assert_string_equal(e.text, n ? "bunnydb ended in the middle of its answer"
                                          : "bunnydb ended without an answer");
        }
        assert_int_equal(read_text(whole[i].text, len, false, &a, &e), ANSWER_WHOLE);
        assert_int_equal(a.status, whole[i].status);
        assert_string_equal(a.text, whole[i].body);
        assert_non_null(a.json);
        answer_free(&a);
    }
}

static void without_a_length_the_end_is_the_end(void **state)
{
    struct answer a;
    struct err e = {0};
    static const char text[] = HEAD "Connection: close\r\n\r\n[1,2]";
    (void)state;
    assert_int_equal(read_text(text, sizeof text - 1, false, &a, &e), ANSWER_MORE);
    assert_int_equal(read_text(text, sizeof text - 1, true, &a, &e), ANSWER_WHOLE);
    assert_string_equal(a.text, "[1,2]");
    answer_free(&a);
}

static void no_body_and_no_json_are_answers(void **state)
{
    struct answer a;
    struct err e = {0};
    static const char none[] = "HTTP/1.1 204 No Content\r\n\r\n";
    static const char text[] = HEAD "Content-Length: 5\r\n\r\nup 1\n";
    (void)state;
    assert_int_equal(read_text(none, sizeof none - 1, false, &a, &e), ANSWER_WHOLE);
    assert_int_equal(a.status, 204);
    assert_null(a.text);
    assert_int_equal(read_text(text, sizeof text - 1, false, &a, &e), ANSWER_WHOLE);
    assert_string_equal(a.text, "up 1\n");
    assert_null(a.json);
    answer_free(&a);
}

static void what_is_no_http_is_refused(void **state)
{
    static const char *const texts[] = {
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        HEAD "Content-Length: -1\r\n\r\n",
        HEAD "Content-Length: 9x\r\n\r\n",
        HEAD "Content-Length: 99999999999999999999999\r\n\r\n",
        HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n",
        HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct answer a;
        struct err e = {0};
        assert_int_equal(read_text(texts[i], strlen(texts[i]), false, &a, &e), ANSWER_BROKEN);
        assert_int_equal(e.code, ERR_PROTOCOL);
    }
}

/* --- A server --------------------------------------------------------------------------------- */
struct server {
    char *dir;
    int fd;
    pthread_t thread;
    const char *text; /* of the answer */
    size_t len,
        piece; /* sent in pieces of this size; len 0: it takes the request and says nothing */
    int until; /* it closes the connection when this descriptor does; -1: at once */
};

static void *serve(void *arg)
{
    struct server *s = arg;
    char request[65536];
    int fd = accept(s->fd, NULL, NULL);
    assert_true(recv(fd, request, sizeof request, 0) > 0);
    for (size_t at = 0; at < s->len;) {
        size_t n = s->len - at < s->piece ? s->len - at : s->piece;
        ssize_t sent = send(fd, s->text + at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        at += (size_t)sent;
    }
    if (s->until >= 0)
        (void)!read(s->until, request, 1);
    close(fd);
    return NULL;
}

static void start(struct server *s)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    str_printf(at.sun_path, sizeof at.sun_path, "%s/%s", s->dir, SOCKET_FILE);
    (void)unlink(at.sun_path);
    s->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->fd, 1), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct server *s)
{
    pthread_join(s->thread, NULL);
    close(s->fd);
}

static enum client_end ask(struct server *s, const char *method, int limit_ms, struct answer *a,
                           struct err *e)
{
    *e = (struct err){0};
    start(s);
    return client_request(s->dir, method, "/v1/mirrors", NULL, limit_ms, a, e);
}

static void ten_megabytes_come_whole(void **state)
{
    struct server s = {.dir = *state, .piece = 7777, .until = -1};
    struct answer a;
    struct err e;
    size_t n = 10 << 20;
    char *text = mem_calloc(n + 100, 1);
    str_printf(text, 100, HEAD "Content-Length: %zu\r\n\r\n\"", n);
    size_t head = strlen(text) - 1;
    memset(text + head + 1, 'x', n - 2);
    text[head + n - 1] = '"';
    s.text = text;
    s.len = head + n;
    assert_int_equal(ask(&s, "GET", LIMIT_MS, &a, &e), CLIENT_DONE);
    stop(&s);
    assert_int_equal(a.len, n);
    assert_memory_equal(a.text, text + head, n);
    assert_int_equal(json_string_length(a.json), n - 2);
    answer_free(&a);
    free(text);
}

/* Who keeps the connection open does not keep us waiting. */
static void a_whole_answer_needs_no_end(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct server s = {.dir = *state,
                       .text = whole[2].text,
                       .len = strlen(whole[2].text),
                       .piece = 1,
                       .until = ends[0]};
    struct answer a;
    struct err e;
    int64_t began = clock_mono_ms();
    assert_int_equal(ask(&s, "GET", LIMIT_MS, &a, &e), CLIENT_DONE);
    assert_true(clock_mono_ms() - began < LIMIT_MS / 2);
    close(ends[1]);
    stop(&s);
    close(ends[0]);
    assert_string_equal(a.text, "{\"a\":1}");
    answer_free(&a);
}

static void half_an_answer_is_an_error(void **state)
{
    struct server s = {.dir = *state,
                       .text = whole[0].text,
                       .len = strlen(whole[0].text) - 3,
                       .piece = 100,
                       .until = -1};
    struct answer a;
    struct err e;
    assert_int_equal(ask(&s, "GET", LIMIT_MS, &a, &e), CLIENT_FAILED);
    stop(&s);
    assert_string_equal(e.text, "bunnydb ended in the middle of its answer");
    assert_string_equal(e.hint, "");
    assert_int_equal(ask(&s, "POST", LIMIT_MS, &a, &e), CLIENT_FAILED);
    stop(&s);
    assert_string_equal(e.hint, "what was asked may have been done: look before you ask again");
}

static void who_hangs_is_given_up(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct server s = {.dir = *state, .until = ends[0]};
    struct answer a;
    struct err e;
    int64_t began = clock_mono_ms();
    assert_int_equal(ask(&s, "GET", 300, &a, &e), CLIENT_TIMEOUT);
    assert_in_range(clock_mono_ms() - began, 300, 5000);
    assert_string_equal(e.text, "bunnydb did not answer within 0.3 s");
    assert_non_null(strstr(e.hint, "hangs"));
    close(ends[1]);
    stop(&s);
    close(ends[0]);
}

/* Nobody accepts, and the queue of connections is full: connect itself would wait. */
static void who_does_not_accept_is_given_up(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), queued[8];
    struct answer a;
    struct err e = {0};
    str_printf(at.sun_path, sizeof at.sun_path, "%s/%s", (char *)*state, SOCKET_FILE);
    (void)unlink(at.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    for (size_t i = 0; i < COUNT_OF(queued); i++) {
        queued[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(queued[i], (struct sockaddr *)&at, sizeof at);
    }
    int64_t began = clock_mono_ms();
    assert_int_equal(client_request(*state, "GET", "/", NULL, 200, &a, &e), CLIENT_TIMEOUT);
    assert_in_range(clock_mono_ms() - began, 200, 5000);
    for (size_t i = 0; i < COUNT_OF(queued); i++)
        close(queued[i]);
    close(fd);
    /* and now there is a socket, and nobody behind it */
    e = (struct err){0};
    assert_int_equal(client_request(*state, "GET", "/", NULL, 200, &a, &e), CLIENT_NO_PROCESS);
}

static void nobody_is_there(void **state)
{
    struct answer a;
    struct err e = {0};
    (void)state;
    assert_int_equal(client_request("/nonexistent", "GET", "/", NULL, 200, &a, &e),
                     CLIENT_NO_PROCESS);
    assert_string_equal(e.text, "no bunnydb runs on the state directory /nonexistent");
    char *long_path = mem_calloc(200, 1);
    memset(long_path, 'x', 199);
    assert_int_equal(client_request(long_path, "GET", "/", NULL, 200, &a, &e), CLIENT_FAILED);
    free(long_path);
}

static void a_refusal_has_its_sentence_and_hint(void **state)
{
    static const char text[] = "HTTP/1.1 409 Conflict\r\nContent-Length: 52\r\n\r\n"
                               "{\"error\":\"not so\",\"code\":\"c\",\"hint\":\"but otherwise\"}";
    struct server s = {
        .dir = *state, .text = text, .len = sizeof text - 1, .piece = 9, .until = -1};
    struct answer a;
    struct err e;
    assert_int_equal(ask(&s, "POST", LIMIT_MS, &a, &e), CLIENT_REFUSED);
    stop(&s);
    assert_int_equal(a.status, 409);
    assert_string_equal(e.text, "not so");
    assert_string_equal(e.hint, "but otherwise");
    answer_free(&a);
    s.text = "HTTP/1.1 502 Bad\r\nContent-Length: 4\r\n\r\noops";
    s.len = strlen(s.text);
    assert_int_equal(ask(&s, "POST", LIMIT_MS, &a, &e), CLIENT_REFUSED);
    stop(&s);
    assert_string_equal(e.text, "bunnydb answered with status 502");
    answer_free(&a);
}

static int make_dir(void **state)
{
    *state = tempdir_new();
    return 0;
}

static int remove_dir(void **state)
{
    tempdir_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_whole_or_none),
        cmocka_unit_test(without_a_length_the_end_is_the_end),
        cmocka_unit_test(no_body_and_no_json_are_answers),
        cmocka_unit_test(what_is_no_http_is_refused),
        cmocka_unit_test(ten_megabytes_come_whole),
        cmocka_unit_test(a_whole_answer_needs_no_end),
        cmocka_unit_test(half_an_answer_is_an_error),
        cmocka_unit_test(who_hangs_is_given_up),
        cmocka_unit_test(who_does_not_accept_is_given_up),
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(a_refusal_has_its_sentence_and_hint),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, make_dir, remove_dir);
}
