/* What the engine accepts for peers, users, tokens and log pages: wrong input is refused with the
 * field's name, changes nothing and repeats no secret; secrets never come out. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "control/tokens.h"
#include "engine.h"
#include "tests/unit/catalog_samples.h"
#include "tests/unit/tempdir.h"

static char *dir;
static struct engine *e;
static struct err err;

static int setup(void **state)
{
    (void)state;
    dir = tempdir_new();
    struct engine_options options = {.state_dir = dir, .catalog_only = true};
    OK(engine_open(&options, &e, &err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    engine_close(e, 1000);
    tempdir_free(dir);
    return 0;
}

/* The last call was refused because of that field. */
static void assert_field(bool ok, const char *field)
{
    assert_false(ok);
    if (err.code != ERR_INVALID || strncmp(err.text, field, strlen(field)) != 0)
        fail_msg("%s: %s", err_name(err.code), err.text);
    assert_null(strstr(err.text, SAMPLE_PASSWORD));
}

static char *repeat(char c, size_t n)
{
    char *s = mem_calloc(n + 1, 1);
    memset(s, c, n);
    return s;
}

static void peer_names(void **state)
{
    (void)state;
    char *n50 = repeat('a', 50), *n51 = repeat('a', 51);
    char *const bad[] = {NULL,
                         (char[]){""},
                         (char[]){"-a"},
                         (char[]){"_a"},
                         (char[]){"a b"},
                         (char[]){"a/b"},
                         (char[]){"\xc3\xa4"},
                         (char[]){"a\n"},
                         n51};
    char *const good[] = {(char[]){"a"}, (char[]){"9-_Z"}, n50};
    struct peer p = sample_peer("x");
    free(p.name);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        p.name = bad[i];
        assert_field(engine_peer_create(e, &p, &err), "name: ");
    }
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        p.name = good[i];
        OK(engine_peer_create(e, &p, &err));
    }
    p.name = NULL;
    peer_free(&p);
    free(n50);
    free(n51);
}

/* Tries value in one text field; the peer is as before afterwards. */
static void refuse_text(char **field, const char *value, const char *name, const struct peer *p)
{
    char *saved = *field;
    *field = mem_strdup(value);
    assert_field(engine_peer_create(e, p, &err), name);
    free(*field);
    *field = saved;
}

static void peer_texts(void **state)
{
    (void)state;
    static const char *const never[] = {"a\x01",    "a\x7f",        "\xff",
                                        "\xc0\xaf", "\xed\xa0\x80", "a\n"};
    struct peer p = sample_peer("p");
    char *long_text = repeat('x', 2000);
    struct {
        char **field;
        const char *name;
        bool required;
    } fields[] = {
        {&p.host, "host: ", true},
        {&p.user, "user: ", true},
        {&p.database, "database: ", true},
        {&p.password, "password: ", false},
        {&p.option_values[0], "options: sslrootcert: ", false},
    };
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        for (size_t j = 0; j < COUNT_OF(never); j++)
            refuse_text(fields[i].field, never[j], fields[i].name, &p);
        refuse_text(fields[i].field, long_text, fields[i].name, &p);
        if (fields[i].required) {
            refuse_text(fields[i].field, "", fields[i].name, &p);
            refuse_text(fields[i].field, NULL, fields[i].name, &p);
        }
    }
    refuse_text(&p.ssl_mode, "sometimes", "ssl_mode: ", &p);
    refuse_text(&p.ssl_mode, "", "ssl_mode: ", &p);
    struct peer_list l;
    OK(engine_peers(e, &l, &err));
    assert_int_equal(l.n, 0);
    peer_list_free(&l);
    free(long_text);
    peer_free(&p);
}

static void peer_ports(void **state)
{
    (void)state;
    static const int bad[] = {-1, 0, 65536};
    struct peer p = sample_peer("p");
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        p.port = bad[i];
        assert_field(engine_peer_create(e, &p, &err), "port: ");
    }
    p.port = 65535;
    OK(engine_peer_create(e, &p, &err));
    p.port = 0;
    assert_field(engine_peer_update(e, "p", &p, PEER_PORT, &err), "port: ");
    OK(engine_peer_update(e, "p", &p, PEER_HOST, &err)); /* a field that is not named */
    peer_free(&p);
}

static void peer_options(void **state)
{
    (void)state;
    static const char *const bad[] = {"host",
                                      "port",
                                      "user",
                                      "password",
                                      "dbname",
                                      "sslmode",
                                      "replication",
                                      "application_name",
                                      "client_encoding",
                                      "no_such_keyword",
                                      "",
                                      "connect_timeout"};
    struct peer p = sample_peer("p");
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        refuse_text(&p.option_names[0], bad[i], "options: ", &p);
    OK(engine_peer_create(e, &p, &err));
    peer_free(&p);
}

static void peer_secrets_stay_inside(void **state)
{
    (void)state;
    struct peer p = sample_peer("p"), out;
    struct peer_list l;
    struct log_row lines[50];
    OK(engine_peer_create(e, &p, &err));
    OK(engine_peer_update(e, "p", &p, PEER_PASSWORD | PEER_OPTIONS, &err));
    OK(engine_peer_get(e, "p", &out, &err));
    assert_null(out.password);
    assert_true(out.has_password);
    assert_int_equal(out.n_options, 3);
    assert_string_equal(out.option_names[1], "sslpassword");
    assert_string_equal(out.option_values[1], PEER_HIDDEN);
    assert_string_equal(out.option_values[2], "5");
    peer_free(&out);
    OK(engine_peers(e, &l, &err));
    assert_null(l.items[0].password);
    assert_int_equal(l.items[0].n_options, 3);
    assert_string_equal(l.items[0].option_values[1], PEER_HIDDEN);
    peer_list_free(&l);
    size_t n = engine_log_tail(e, NULL, LOG_LEVEL_DEBUG, lines, 50);
    assert_true(n >= 2);
    for (size_t i = 0; i < n; i++)
        assert_null(strstr(lines[i].line.text, SAMPLE_PASSWORD));
    peer_free(&p);
}

static void peer_defaults(void **state)
{
    (void)state;
    struct peer p = sample_peer("p"), out;
    free(p.ssl_mode);
    p.ssl_mode = NULL;
    p.password[0] = '\0';
    OK(engine_peer_create(e, &p, &err));
    OK(engine_peer_get(e, "p", &out, &err));
    assert_string_equal(out.ssl_mode, "prefer");
    assert_false(out.has_password);
    peer_free(&out);
    peer_free(&p);
}

/* A server that refuses, and one that accepts and says nothing while the process stops. */
static void unreachable_peers(void **state)
{
    (void)state;
    struct peer_report report;
    struct peer_table_list tables;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    struct peer p = {.name = (char[]){"p"},
                     .host = (char[]){"127.0.0.1"},
                     .port = ntohs(addr.sin_port),
                     .user = (char[]){"u"},
                     .database = (char[]){"d"},
                     .password = (char[]){SAMPLE_PASSWORD}};
    OK(engine_peer_create(e, &p, &err));
    assert_false(engine_peer_test(e, "p", &report, &err));
    assert_int_equal(err.code, ERR_PEER_UNREACHABLE);
    assert_null(strstr(err.text, SAMPLE_PASSWORD));
    assert_false(engine_peer_tables(e, "p", &tables, &err));
    assert_int_equal(err.code, ERR_PEER_UNREACHABLE);
    assert_false(engine_peer_test(e, "q", &report, &err));
    assert_int_equal(err.code, ERR_PEER_NOT_FOUND);

    assert_int_equal(listen(fd, 8), 0);
    engine_interrupt(e);
    int64_t start = clock_mono_ms();
    assert_false(engine_peer_test(e, "p", &report, &err));
    assert_int_equal(err.code, ERR_SHUTTING_DOWN);
    assert_true(clock_mono_ms() - start < 2000);
    close(fd);
}

/* Good tokens are remembered, and forgotten with whatever ends them. */
static void tokens_end_at_once(void **state)
{
    (void)state;
    struct user u = sample_user("ana", "admin"), got;
    struct user vic = sample_user("vic", "viewer");
    int64_t hour = clock_wall_us() + 3600000000, expires;
    OK(engine_user_create(e, &u, &err));
    OK(engine_user_create(e, &vic, &err));
    for (int i = 0; i < 4; i++) {
        OK(engine_token_create(e, "aaaaaaaaaaaaaaaa", "ana", hour, &err));
        if (i < 3)
            OK(engine_token_create(e, "bbbbbbbbbbbbbbbb", "vic", hour, &err));
        for (int again = 0; again < 2; again++) {
            OK(engine_token_user(e, "aaaaaaaaaaaaaaaa", &got, &expires, &err));
            assert_string_equal(got.name, "ana");
            assert_true(expires == hour);
            assert_int_equal(engine_token_user(e, "bbbbbbbbbbbbbbbb", &got, NULL, &err), i < 3);
        }
        if (i == 0) {
            OK(engine_token_delete(e, "bbbbbbbbbbbbbbbb", &err));
        } else if (i == 1) {
            OK(engine_user_password(e, "vic", u.password_hash, NULL, &err));
        } else if (i == 2) {
            OK(engine_user_delete(e, "vic", &err));
        }
        assert_false(engine_token_user(e, "bbbbbbbbbbbbbbbb", &got, NULL, &err));
        assert_int_equal(err.code, ERR_UNAUTHORIZED);
        OK(engine_token_user(e, "aaaaaaaaaaaaaaaa", &got, NULL, &err));
        OK(engine_token_delete(e, "aaaaaaaaaaaaaaaa", &err));
    }
    /* On a busy machine a short life may be over before the first look. */
    bool is_seen = false;
    for (int64_t life_us = 50000; !is_seen; life_us *= 2) {
        assert_true(life_us < 60000000);
        OK(engine_token_create(e, "cccccccccccccccc", "ana", clock_wall_us() + life_us, &err));
        is_seen = engine_token_user(e, "cccccccccccccccc", &got, &expires, &err);
        if (!is_seen)
            OK(engine_token_delete(e, "cccccccccccccccc", &err));
    }
    while (clock_wall_us() < expires)
        (void)usleep(5000);
    assert_false(engine_token_user(e, "cccccccccccccccc", &got, NULL, &err));
}

/* Many tokens are in use at once, and a look-up from before an end is not remembered after it. */
static void tokens_give_way(void **state)
{
    (void)state;
    struct tokens t;
    struct user u = sample_user("ana", "admin"), got;
    uint64_t generation, old;
    int64_t expires;
    char hash[24];
    tokens_init(&t);
    assert_false(tokens_find(&t, "", 0, &got, &expires, &old));
    for (int i = 0; i < 3 * TOKENS_KEPT; i++) {
        str_printf(hash, sizeof hash, "%d", i);
        assert_false(tokens_find(&t, hash, 0, &got, &expires, &generation));
        tokens_remember(&t, hash, &u, 100 + i, generation);
        assert_true(tokens_find(&t, hash, 0, &got, &expires, &generation));
        assert_true(expires == 100 + i);
    }
    assert_false(tokens_find(&t, hash, expires, &got, &expires, &generation));
    tokens_forget(&t);
    tokens_remember(&t, hash, &u, 100, old);
    assert_false(tokens_find(&t, hash, 0, &got, &expires, &generation));
    tokens_destroy(&t);
}

static void users_and_tokens(void **state)
{
    (void)state;
    struct user u = sample_user("ana", "root");
    int64_t later = clock_wall_us() + 1000000;
    assert_field(engine_user_create(e, &u, &err), "role: ");
    u = sample_user("a b", "admin");
    assert_field(engine_user_create(e, &u, &err), "username: ");
    u = sample_user("ana", "admin");
    str_copy(u.password_hash, sizeof u.password_hash, "short");
    assert_field(engine_user_create(e, &u, &err), "password_hash: ");
    u = sample_user("ana", "admin");
    OK(engine_user_create(e, &u, &err));
    assert_field(engine_token_create(e, "xyz", "ana", later, &err), "token_hash: ");
    assert_field(engine_token_create(e, "0123456789abcdef", "ana", 5, &err), "expires_at: ");
    OK(engine_token_create(e, "0123456789abcdef", "ana", later, &err));
    OK(engine_token_user(e, "0123456789abcdef", &u, NULL, &err));
    assert_field(engine_user_password(e, "ana", "", NULL, &err), "password_hash: ");
    OK(engine_user_password(e, "ana", u.password_hash, NULL, &err));
    assert_false(engine_token_user(e, "0123456789abcdef", &u, NULL, &err));
    assert_int_equal(err.code, ERR_UNAUTHORIZED);
}

static void log_pages(void **state)
{
    (void)state;
    struct log_page p;
    assert_field(engine_logs(e, NULL, 0, false, NULL, 0, 0, &p, &err), "limit: ");
    assert_field(engine_logs(e, NULL, 0, false, NULL, 1001, 0, &p, &err), "limit: ");
    assert_field(engine_logs(e, NULL, 0, false, NULL, 1, -1, &p, &err), "offset: ");
    assert_field(engine_logs(e, NULL, 0, false, "\xff", 1, 0, &p, &err), "search: ");
    OK(engine_logs(e, "nobody", 0, false, NULL, 500, 0, &p, &err));
    assert_int_equal(p.total, 0);
    log_page_free(&p);
}

static void utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xe0\xa0\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf8\x88\x80\x80",
                                      "\xe2\x82",
                                      "\xe2\x82z",
                                      "\xfe"};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(utf8_is_valid(good[i]));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(utf8_is_valid(bad[i]));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(peer_names),
        T(peer_texts),
        T(peer_ports),
        T(peer_options),
        T(peer_secrets_stay_inside),
        T(peer_defaults),
        T(unreachable_peers),
        T(users_and_tokens),
        T(tokens_end_at_once),
        T(tokens_give_way),
        T(log_pages),
        cmocka_unit_test(utf8),
    };
    log_to_fd(-1, LOG_LEVEL_INFO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
