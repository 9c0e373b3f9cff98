/* Logins under pressure: who does not exist takes as long as who does, many guesses at once are no
 * more than one after the other, and a token never outlives what should have ended it. */
#include <pthread.h>
#include <sodium.h>
#include <time.h>

#include "api_fixture.h"
#include "base/clock.h"
#include "src/client.h"
#include "src/http/auth.h"
#include "src/password.h"

#define LOGIN "/v1/auth/login"
#define CROWD 40

static int login_from(struct api *api, const char *address, const char *body, int *retry_after)
{
    struct response r;
    struct request q = {.method = "POST",
                        .target = LOGIN,
                        .content_type = "application/json",
                        .body = body,
                        .body_len = strlen(body)};
    str_copy(q.address, sizeof q.address, address);
    api_handle(api, &q, &r);
    int status = r.status;
    if (retry_after)
        *retry_after = r.retry_after;
    response_free(&r);
    return status;
}

/* --- Time ------------------------------------------------------------------------------------- */
#define ROUNDS 15

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t time_login(struct fixture *f, int i, const char *body)
{
    char address[32]; /* another one each time: nobody is throttled */
    str_printf(address, sizeof address, "192.0.2.%d", i);
    int64_t began = cpu_us();
    assert_int_equal(login_from(&f->api, address, body, NULL), 401);
    return cpu_us() - began;
}

/* Medians of the processor's time, which does not depend on what else the machine does. */
static void an_unknown_user_takes_as_long(void **state)
{
    struct fixture *f = *state;
    int64_t known[ROUNDS], unknown[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        unknown[i] = time_login(f, i, "{\"username\":\"nobody\",\"password\":\"wrong-word\"}");
        known[i] = time_login(f, i, "{\"username\":\"ana\",\"password\":\"wrong-word\"}");
    }
    qsort(known, ROUNDS, sizeof *known, compare_times);
    qsort(unknown, ROUNDS, sizeof *unknown, compare_times);
    double ratio = (double)unknown[ROUNDS / 2] / (double)known[ROUNDS / 2];
    print_message("median of a known user %lld us, of an unknown one %lld us\n",
                  (long long)known[ROUNDS / 2], (long long)unknown[ROUNDS / 2]);
    assert_true(ratio > 0.75 && ratio < 1.33);
}

/* --- Crowds ----------------------------------------------------------------------------------- */
struct guess {
    pthread_t thread;
    struct api *api;
    pthread_barrier_t *start;
    const char *body;
    int status, retry_after;
};

static void *run_guess(void *arg)
{
    struct guess *g = arg;
    pthread_barrier_wait(g->start);
    g->status = login_from(g->api, "198.51.100.1", g->body, &g->retry_after);
    return NULL;
}

/* All at once. Returns how many were answered with status. */
static int crowd(struct fixture *f, struct guess g[CROWD], const char *body, int status)
{
    pthread_barrier_t start;
    int n = 0;
    pthread_barrier_init(&start, NULL, CROWD);
    for (int i = 0; i < CROWD; i++) {
        g[i] = (struct guess){.api = &f->api, .start = &start, .body = body};
        assert_int_equal(pthread_create(&g[i].thread, NULL, run_guess, &g[i]), 0);
    }
    for (int i = 0; i < CROWD; i++)
        pthread_join(g[i].thread, NULL);
    pthread_barrier_destroy(&start);
    for (int i = 0; i < CROWD; i++)
        n += g[i].status == status;
    return n;
}

static void guesses_at_the_same_time_are_throttled(void **state)
{
    struct fixture *f = *state;
    struct guess g[CROWD];
    int tried = crowd(f, g, "{\"username\":\"ana\",\"password\":\"a guess\"}", 401);
    /* two are computed at a time: the second may have begun before the fifth failure was told */
    assert_in_range(tried, THROTTLE_USER_FAILURES, THROTTLE_USER_FAILURES + 1);
    for (int i = 0; i < CROWD; i++)
        if (g[i].status != 401) {
            assert_int_equal(g[i].status, 429);
            assert_in_range(g[i].retry_after, 1, 60);
        }
    /* from elsewhere the user gets in: nobody can lock another one out */
    assert_int_equal(login_from(&f->api, "203.0.113.1",
                                "{\"username\":\"ana\",\"password\":\"secret-password\"}", NULL),
                     200);
}

/* --- Turns ------------------------------------------------------------------------------------ */
/* Others answer meanwhile: a login that waits for its turn holds nothing. */
static void logins_do_not_stop_other_requests(void **state)
{
    struct fixture *f = *state;
    struct err err;
    assert_true(password_begin(&err));
    assert_true(password_begin(&err));
    int64_t began = clock_mono_ms();
    assert_int_equal(ask(f, f->viewer, "GET", "/v1/auth/me", NULL), 200);
    assert_int_equal(ask(f, f->admin, "GET", "/v1/users", NULL), 200);
    for (int i = 0; i < THROTTLE_USER_FAILURES; i++)
        throttle_failed(&f->api.throttle, "eve", "127.0.0.1", clock_mono_ms());
    EXPECT(f, 429, "too_many_logins", NULL, "POST", LOGIN,
           "{\"username\":\"eve\",\"password\":\"a guess\"}");
    assert_true(clock_mono_ms() - began < 4000);
    password_end();
    password_end();
}

static void the_crowd_that_waits_is_limited(void **state)
{
    struct fixture *f = *state;
    struct guess g[CROWD];
    struct err err;
    assert_true(password_begin(&err));
    assert_true(password_begin(&err));
    int64_t began = clock_mono_ms();
    int refused = crowd(f, g, "{\"username\":\"ana\",\"password\":\"secret-password\"}", 429);
    int64_t took = clock_mono_ms() - began;
    password_end();
    password_end();
    assert_int_equal(refused, CROWD);
    assert_in_range(took, 4500, 20000); /* nobody waits longer for a turn */
    for (int i = 0; i < CROWD; i++)
        assert_in_range(g[i].retry_after, 1, 60);
}

/* --- Tokens ----------------------------------------------------------------------------------- */
static void tokens_expire(void **state)
{
    struct fixture *f = *state;
    f->api.token_ttl_s = 1;
    assert_int_equal(
        ask(f, NULL, "POST", LOGIN, "{\"username\":\"vic\",\"password\":\"secret-password\"}"),
        200);
    char token[64];
    str_printf(token, sizeof token, "Bearer %s", text(f, "token"));
    assert_int_equal(ask(f, token, "GET", "/v1/auth/me", NULL), 200);
    for (int64_t until = clock_mono_ms() + 5000; clock_mono_ms() < until;)
        if (ask(f, token, "GET", "/v1/auth/me", NULL) == 401)
            break;
    EXPECT(f, 401, "unauthorized", token, "GET", "/v1/auth/me", NULL);
    assert_int_equal(ask(f, f->viewer, "GET", "/v1/auth/me", NULL), 200);
}

static void change_password_now(struct engine *e)
{
    struct err err;
    assert_true(engine_user_password(e, "vic", "$argon2id$another hash of sorts", NULL, &err));
}

static void delete_user_now(struct engine *e)
{
    struct err err;
    assert_true(engine_user_delete(e, "vic", &err));
}

/* The password was right when it was checked, and is not any more when the token is made: the
 * change has ended all tokens that there were, and this one must not stay behind. */
static void check_revocation(struct fixture *f, void (*hook)(struct engine *))
{
    double_before_token(f->api.engine, hook);
    EXPECT(f, 401, "invalid_credentials", NULL, "POST", LOGIN,
           "{\"username\":\"vic\",\"password\":\"secret-password\"}");
    assert_int_equal(double_tokens(f->api.engine, "vic"), 0);
}

static void a_login_does_not_outrun_a_change_of_password(void **state)
{
    check_revocation(*state, change_password_now);
}

static void a_login_does_not_outrun_its_user(void **state)
{
    check_revocation(*state, delete_user_now);
}

static void headers_that_are_no_token(void **state)
{
    struct fixture *f = *state;
    char header[80];
    const char *token = f->admin + strlen("Bearer ");
    static const char *const forms[] = {"%s",       "Basic %s",      "Bearer  %s", "Bearer %s ",
                                        "Bearer%s", "Bearer \"%s\"", "Token %s",   " Bearer %s"};
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        str_copy(header, sizeof header, "");
        const char *at = strstr(forms[i], "%s");
        str_printf(header, sizeof header, "%.*s%s%s", (int)(at - forms[i]), forms[i], token,
                   at + 2);
        EXPECT(f, 401, "unauthorized", header, "GET", "/v1/auth/me", NULL);
    }
    str_printf(header, sizeof header, "bearer %s", token); /* the scheme's case does not matter */
    assert_int_equal(ask(f, header, "GET", "/v1/auth/me", NULL), 200);
    str_copy(header, sizeof header, f->admin);
    header[strlen(header) - 1] ^= 1;
    EXPECT(f, 401, "unauthorized", header, "GET", "/v1/auth/me", NULL);
    EXPECT(f, 401, "unauthorized", "", "GET", "/v1/auth/me", NULL);
}

/* What the owner of the Unix socket changes is done by a name that no user of the API can have. */
static void the_socket_owner_has_the_name_of_the_machine_s_user(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *method, *agent, *name;
        uid_t uid;
    } all[] = {{"POST", CLIENT_CONSOLE, "root (console)", 0},
               {"DELETE", "curl/8.1", "root (local)", 0},
               {"PUT", NULL, "uid 4123456789 (local)", 4123456789U},
               {"GET", CLIENT_CONSOLE, "local", 0}};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct request q = {.method = all[i].method,
                            .agent = all[i].agent,
                            .is_local = true,
                            .local_uid = all[i].uid};
        struct call c = {.api = &f->api, .engine = f->api.engine, .request = &q};
        struct err err = {0};
        assert_true(auth_check(&c, LEVEL_ADMIN, &err));
        assert_string_equal(c.user.name, all[i].name);
    }
}

/* The owner of the Unix socket who sends a token is who the token says. */
static void a_bad_token_is_bad_on_the_socket_too(void **state)
{
    struct fixture *f = *state;
    struct request q = {.method = "GET", .target = "/v1/auth/me", .is_local = true};
    static const char *const headers[] = {"Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "",
                                          NULL};
    static const int statuses[] = {401, 401, 200};
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        struct response r;
        q.authorization = headers[i];
        api_handle(&f->api, &q, &r);
        assert_int_equal(r.status, statuses[i]);
        response_free(&r);
    }
    EXPECT(f, 401, "unauthorized", NULL, "GET", "/v1/auth/me", NULL);
}

/* --- The end ---------------------------------------------------------------------------------- */
static void *interrupt_soon(void *arg)
{
    (void)arg;
    password_interrupt();
    return NULL;
}

/* The last test: nobody gets a turn after it. */
static void a_stop_does_not_wait_for_logins(void **state)
{
    struct fixture *f = *state;
    struct err err;
    pthread_t thread;
    assert_true(password_begin(&err));
    assert_true(password_begin(&err));
    int64_t began = clock_mono_ms();
    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, NULL), 0);
    EXPECT(f, 503, "shutting_down", NULL, "POST", LOGIN,
           "{\"username\":\"ana\",\"password\":\"secret-password\"}");
    assert_true(clock_mono_ms() - began < 4000);
    pthread_join(thread, NULL);
    password_end();
    password_end();
    EXPECT(f, 503, "shutting_down", NULL, "POST", LOGIN,
           "{\"username\":\"ana\",\"password\":\"secret-password\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        API_CASE(an_unknown_user_takes_as_long),
        API_CASE(guesses_at_the_same_time_are_throttled),
        API_CASE(logins_do_not_stop_other_requests),
        API_CASE(the_crowd_that_waits_is_limited),
        API_CASE(tokens_expire),
        API_CASE(a_login_does_not_outrun_a_change_of_password),
        API_CASE(a_login_does_not_outrun_its_user),
        API_CASE(headers_that_are_no_token),
        API_CASE(the_socket_owner_has_the_name_of_the_machine_s_user),
        API_CASE(a_bad_token_is_bad_on_the_socket_too),
        API_CASE(a_stop_does_not_wait_for_logins),
    };
    log_to_fd(-1, LOG_LEVEL_ERROR);
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
