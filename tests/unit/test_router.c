/* The API as a client sees it, in front of an engine in memory: rights, input, statuses, secrets.
 */
#include <sodium.h>

#include "api_fixture.h"
#include "base/buf.h"
#include "src/http/metrics.h"
#include "src/http/redact.h"

/* Every route of the table: no token 401, a viewer at an admin's 403 and nothing changed. */
static void every_route_asks_for_its_level(void **state)
{
    struct fixture *f = *state;
    make_mirror(f);
    int before = double_changes(f->api.engine);
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &routes[i];
        char target[200] = "";
        for (const char *p = r->pattern; *p; p++) {
            size_t at = strlen(target);
            if (*p == '{') {
                str_printf(target + at, sizeof target - at, "m");
                p += strcspn(p, "}");
            } else {
                str_printf(target + at, sizeof target - at, "%c", *p);
            }
        }
        if (r->level == LEVEL_OPEN)
            continue;
        EXPECT(f, 401, "unauthorized", NULL, r->method, target, NULL);
        assert_true(f->response.challenge);
        EXPECT(f, 401, "unauthorized", "Bearer short", r->method, target, NULL);
        EXPECT(f, 401, "unauthorized", "Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
               r->method, target, NULL);
        if (r->level == LEVEL_ADMIN)
            EXPECT(f, 403, "forbidden", f->viewer, r->method, target, NULL);
    }
    assert_int_equal(double_changes(f->api.engine), before);
}

static void the_socket_owner_is_admin(void **state)
{
    struct fixture *f = *state;
    struct request q = {.method = "GET", .target = "/v1/users", .is_local = true};
    struct response r;
    api_handle(&f->api, &q, &r);
    assert_int_equal(r.status, 200);
    response_free(&r);
}

static void addresses(void **state)
{
    struct fixture *f = *state;
    EXPECT(f, 404, "not_found", f->admin, "GET", "/v1/nothing", NULL);
    EXPECT(f, 404, "not_found", f->admin, "GET", "/", NULL);
    EXPECT(f, 404, "not_found", f->admin, "GET", "/v1/peers/", NULL);
    EXPECT(f, 404, "not_found", f->admin, "GET", "//v1/peers", NULL);
    EXPECT(f, 404, "not_found", f->admin, "GET", "/v1/peers/../users", NULL);
    EXPECT(f, 404, "not_found", f->admin, "GET", "/v1/peers/%2e%2e", NULL);
    EXPECT(f, 404, "peer_not_found", f->admin, "GET", "/v1/peers/caf%C3%A9", NULL);
    EXPECT(f, 400, "invalid_request", f->admin, "GET", "/v1/peers/%00", NULL);
    EXPECT(f, 400, "invalid_request", f->admin, "GET", "/v1/peers/a%2Fb", NULL);
    EXPECT(f, 400, "invalid_request", f->admin, "GET", "/v1/peers/%ff", NULL);
    EXPECT(f, 400, "invalid_request", f->admin, "GET", "/v1/peers/%4", NULL);
    EXPECT(f, 400, "unknown_field", f->admin, "GET", "/v1/peers?x=1", NULL);
    EXPECT(f, 404, "not_found", f->admin, "GET", "ftp://host/v1/peers", NULL);
    EXPECT(f, 404, "not_found", f->admin, "GET", "http:///v1/peers", NULL);
    assert_int_equal(ask(f, f->admin, "GET", "HTTP://host:8112/v1/peers", NULL), 200);
    EXPECT(f, 405, "method_not_allowed", f->admin, "PUT", "/v1/peers", NULL);
    assert_string_equal(f->response.allow, "GET, HEAD, POST");
    EXPECT(f, 405, "method_not_allowed", f->admin, "FOO", "/health", NULL);
    assert_int_equal(ask(f, NULL, "OPTIONS", "/v1/users/x", NULL), 204);
    assert_string_equal(f->response.allow, "DELETE, OPTIONS");
    assert_int_equal(ask(f, NULL, "HEAD", "/health", NULL), 200);
}

/* A small text that becomes large when it is read, and one where nobody has logged in yet. */
static void large_bodies(void **state)
{
    struct fixture *f = *state;
    struct buf b = {0};
    buf_puts(&b, "{\"options\":[0");
    for (int i = 0; i < JSON_VALUES_MAX; i++)
        buf_puts(&b, ",{}");
    buf_puts(&b, "]}");
    EXPECT(f, 400, "invalid_request", f->admin, "POST", "/v1/peers", buf_text(&b));
    assert_non_null(strstr(text(f, "error"), "values"));
    buf_reset(&b);
    buf_puts(&b, "{\"name\":\"");
    for (int i = 0; i < 2 * JSON_VALUES_MAX; i++) /* inside of a string they are none */
        buf_puts(&b, ",{");
    buf_puts(&b, "\"}");
    EXPECT(f, 400, "invalid_request", f->admin, "POST", "/v1/peers", buf_text(&b));
    assert_non_null(strstr(text(f, "error"), "\"name\""));
    buf_reset(&b);
    buf_puts(&b, "{\"username\":\"ana\",\"password\":\"secret-password\"");
    while (b.len < BODY_SMALL_MAX - 1)
        buf_putc(&b, ' ');
    buf_putc(&b, '}');
    assert_int_equal(ask(f, NULL, "POST", "/v1/auth/login", buf_text(&b)), 200);
    buf_putc(&b, ' ');
    EXPECT(f, 400, "invalid_request", NULL, "POST", "/v1/auth/login", buf_text(&b));
    EXPECT(f, 400, "invalid_request", f->viewer, "GET", "/v1/mirrors", buf_text(&b));
    buf_free(&b);
}

static void bodies(void **state)
{
    struct fixture *f = *state;
    char deep[200] = "{\"a\":";
    memset(deep + 5, '[', 100);
    EXPECT(f, 400, "invalid_request", f->admin, "POST", "/v1/peers", "{");
    EXPECT(f, 400, "invalid_request", f->admin, "POST", "/v1/peers", "[]");
    EXPECT(f, 400, "invalid_request", f->admin, "POST", "/v1/peers", "{\"name\":\"\xff\"}");
    EXPECT(f, 400, "invalid_request", f->admin, "POST", "/v1/peers",
           "{\"port\":99999999999999999999999999}");
    EXPECT(f, 400, "invalid_request", f->admin, "POST", "/v1/peers", deep);
    EXPECT(f, 400, "invalid_request", f->admin, "POST", "/v1/peers", "{\"password\":\"hidden");
    assert_null(strstr(text(f, "error"), "hidden"));
    EXPECT(f, 400, "invalid_request", f->admin, "POST", "/v1/peers", "{\"port\":1,\"port\":2}");
    assert_non_null(strstr(text(f, "error"), "\"port\""));
    EXPECT(f, 400, "unknown_field", f->admin, "POST", "/v1/peers", "{\"nmae\":\"x\"}");
    assert_non_null(strstr(text(f, "error"), "nmae"));
    EXPECT(f, 400, "unknown_field", f->admin, "POST", "/v1/mirrors/m/pause", "{\"x\":1}");
    struct request q = {.method = "POST",
                        .target = "/v1/peers",
                        .authorization = f->admin,
                        .content_type = "text/plain",
                        .body = "{}",
                        .body_len = 2};
    api_handle(&f->api, &q, &f->response);
    assert_int_equal(f->response.status, 415);
    response_free(&f->response);
    q.is_too_large = true;
    api_handle(&f->api, &q, &f->response);
    assert_int_equal(f->response.status, 413);
    response_free(&f->response);
}

static void logins(void **state)
{
    struct fixture *f = *state;
    const char *wrong = "{\"username\":\"ana\",\"password\":\"wrong\"}";
    EXPECT(f, 401, "invalid_credentials", NULL, "POST", "/v1/auth/login",
           "{\"username\":\"nobody\",\"password\":\"wrong\"}");
    EXPECT(f, 400, "invalid_request", NULL, "POST", "/v1/auth/login", "{\"username\":\"ana\"}");
    for (int i = 0; i < THROTTLE_USER_FAILURES; i++)
        EXPECT(f, 401, "invalid_credentials", NULL, "POST", "/v1/auth/login", wrong);
    EXPECT(f, 429, "too_many_logins", NULL, "POST", "/v1/auth/login", wrong);
    assert_in_range(f->response.retry_after, 1, 60);
    assert_int_equal(ask(f, f->viewer, "GET", "/v1/auth/me", NULL), 200);
    assert_string_equal(text(f, "username"), "vic");
    assert_int_equal(ask(f, f->viewer, "POST", "/v1/auth/logout", NULL), 204);
    assert_int_equal(ask(f, f->viewer, "GET", "/v1/auth/me", NULL), 401);
}

static void passwords_change(void **state)
{
    struct fixture *f = *state;
    char other[64];
    assert_int_equal(ask(f, NULL, "POST", "/v1/auth/login",
                         "{\"username\":\"vic\",\"password\":\"secret-password\"}"),
                     200);
    str_printf(other, sizeof other, "Bearer %s", text(f, "token"));
    EXPECT(f, 401, "invalid_credentials", f->viewer, "POST", "/v1/auth/change-password",
           "{\"current_password\":\"no\",\"new_password\":\"another-password\"}");
    EXPECT(f, 400, "invalid_request", f->viewer, "POST", "/v1/auth/change-password",
           "{\"current_password\":\"secret-password\",\"new_password\":\"short\"}");
    assert_int_equal(ask(f, f->viewer, "POST", "/v1/auth/change-password",
                         "{\"current_password\":\"secret-password\","
                         "\"new_password\":\"another-password\"}"),
                     200);
    assert_int_equal(ask(f, f->viewer, "GET", "/v1/auth/me", NULL), 200);
    assert_int_equal(ask(f, other, "GET", "/v1/auth/me", NULL), 401);
}

static void users(void **state)
{
    struct fixture *f = *state;
    const char *body =
        "{\"username\":\"new\",\"password\":\"secret-password\",\"role\":\"readonly\"}";
    assert_int_equal(ask(f, f->admin, "POST", "/v1/users", body), 201);
    assert_string_equal(text(f, "role"), "viewer");
    EXPECT(f, 409, "user_exists", f->admin, "POST", "/v1/users", body);
    EXPECT(f, 400, "invalid_request", f->admin, "POST", "/v1/users",
           "{\"username\":\"n/w\",\"password\":\"secret-password\",\"role\":\"viewer\"}");
    EXPECT(f, 400, "invalid_request", f->admin, "POST", "/v1/users",
           "{\"username\":\"nn\",\"password\":\"secret-password\",\"role\":\"root\"}");
    EXPECT(f, 400, "invalid_request", f->admin, "DELETE", "/v1/users/ana", NULL);
    EXPECT(f, 404, "user_not_found", f->admin, "DELETE", "/v1/users/nobody", NULL);
    assert_int_equal(ask(f, f->admin, "DELETE", "/v1/users/vic", NULL), 200);
    assert_string_equal(text(f, "deleted"), "vic");
    assert_int_equal(ask(f, f->viewer, "GET", "/v1/auth/me", NULL), 401);
    struct request q = {.method = "DELETE", .target = "/v1/users/ana", .is_local = true};
    api_handle(&f->api, &q, &f->response);
    assert_int_equal(f->response.status, 409);
    response_free(&f->response);
}

static void peers(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, f->admin, "POST", "/v1/peers", PEER("a")), 201);
    char *shown = json_dumps(f->last, 0);
    assert_null(strstr(shown, "hidden-word"));
    free(shown);
    assert_int_equal(json_integer_value(json_object_get(f->last, "port")), 5432);
    assert_true(json_is_true(json_object_get(f->last, "has_password")));
    assert_string_equal(text(f, "ssl_mode"), "prefer");
    EXPECT(f, 409, "peer_exists", f->admin, "POST", "/v1/peers", PEER("a"));
    EXPECT(f, 400, "invalid_request", f->admin, "POST", "/v1/peers", PEER("a b"));
    EXPECT(f, 400, "invalid_request", f->admin, "PUT", "/v1/peers/a", "{\"port\":0}");
    EXPECT(f, 400, "invalid_request", f->admin, "PUT", "/v1/peers/a", "{\"port\":\"1\"}");
    EXPECT(f, 400, "invalid_request", f->admin, "PUT", "/v1/peers/a", "{\"ssl_mode\":\"maybe\"}");
    EXPECT(f, 400, "invalid_request", f->admin, "PUT", "/v1/peers/a", "{\"name\":\"z\"}");
    EXPECT(f, 404, "peer_not_found", f->admin, "PUT", "/v1/peers/z", "{}");
    assert_int_equal(ask(f, f->admin, "PUT", "/v1/peers/a", "{\"port\":6000,\"password\":null}"),
                     200);
    assert_int_equal(json_integer_value(json_object_get(f->last, "port")), 6000);
    assert_true(json_is_false(json_object_get(f->last, "has_password")));
    assert_int_equal(ask(f, f->viewer, "GET", "/v1/peers/a/tables", NULL), 200);
    assert_int_equal(ask(f, f->admin, "POST", "/v1/peers/a/test", NULL), 200);
    assert_true(json_is_true(json_object_get(f->last, "success")));
    double_fail_next(f->api.engine, ERR_CONNECT, "no route", NULL);
    assert_int_equal(ask(f, f->admin, "POST", "/v1/peers/a/test", NULL), 200);
    assert_true(json_is_false(json_object_get(f->last, "success")));
    assert_string_equal(text(f, "error"), "no route");
    EXPECT(f, 404, "peer_not_found", f->admin, "POST", "/v1/peers/z/test", NULL);
    assert_int_equal(ask(f, f->admin, "DELETE", "/v1/peers/a", NULL), 200);
    assert_int_equal(ask(f, f->viewer, "GET", "/v1/peers", NULL), 200);
    assert_int_equal(json_array_size(f->last), 0);
}

static void mirrors(void **state)
{
    struct fixture *f = *state;
    make_mirror(f);
    EXPECT(f, 409, "mirror_exists", f->admin, "POST", "/v1/mirrors", MIRROR);
    EXPECT(f, 409, "peer_in_use", f->admin, "DELETE", "/v1/peers/a", NULL);
    EXPECT(f, 400, "peer_not_found", f->admin, "POST", "/v1/mirrors",
           "{\"name\":\"n\",\"source_peer\":\"z\",\"destination_peer\":\"b\","
           "\"table_mappings\":[{\"source_table\":\"public.users\"}]}");
    assert_int_equal(ask(f, f->viewer, "GET", "/v1/mirrors/m", NULL), 200);
    assert_string_equal(text(f, "status"), "running");
    assert_string_equal(text(f, "last_lsn"), "16/10");
    assert_string_equal(text(f, "error_message"), "caf? is not UTF-8 SQLSTATE 23505");
    assert_true(json_is_null(json_object_get(f->last, "lag_bytes")));
    EXPECT(f, 409, "not_paused", f->admin, "POST", "/v1/mirrors/m/resume", NULL);
    assert_int_equal(ask(f, f->admin, "POST", "/v1/mirrors/m/pause", NULL), 200);
    assert_string_equal(text(f, "status"), "paused");
    EXPECT(f, 409, "already_paused", f->admin, "POST", "/v1/mirrors/m/pause", NULL);
    assert_int_equal(ask(f, f->admin, "POST", "/v1/mirrors/m/resume", "{}"), 200);
    double_fail_next(f->api.engine, ERR_BUSY, "busy with retry", NULL);
    EXPECT(f, 409, "operation_in_progress", f->admin, "POST", "/v1/mirrors/m/pause", NULL);
    assert_int_equal(ask(f, f->admin, "POST", "/v1/mirrors/m/retry", "{\"recreate_slot\":true}"),
                     202);
    EXPECT(f, 400, "invalid_request", f->admin, "POST", "/v1/mirrors/m/retry",
           "{\"recreate_slot\":1}");
    EXPECT(f, 404, "mirror_not_found", f->admin, "POST", "/v1/mirrors/z/retry", NULL);
    EXPECT(f, 404, "mirror_not_found", f->viewer, "GET", "/v1/mirrors/z", NULL);
    EXPECT(f, 404, "mirror_not_found", f->viewer, "GET", "/v1/mirrors/z/logs", NULL);
    double_fail_next(f->api.engine, ERR_CLEANUP, "source is away", NULL);
    EXPECT(f, 409, "cleanup_failed", f->admin, "DELETE", "/v1/mirrors/m", NULL);
    EXPECT(f, 400, "invalid_request", f->admin, "DELETE", "/v1/mirrors/m?force=maybe", NULL);
    assert_int_equal(ask(f, f->admin, "DELETE", "/v1/mirrors/m?force=true", NULL), 200);
    assert_string_equal(text(f, "left_behind"), "slot s");
}

static void preflight_gives_all_findings(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, f->admin, "POST", "/v1/peers", PEER("a")), 201);
    assert_int_equal(ask(f, f->admin, "POST", "/v1/peers", PEER("b")), 201);
    double_fail_next(f->api.engine, ERR_PREFLIGHT, "not ready", "wal_level");
    EXPECT(f, 409, "preflight_failed", f->admin, "POST", "/v1/mirrors", MIRROR);
    json_t *first = json_array_get(json_object_get(f->last, "findings"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "code")), "wal_level");
    double_fail_next(f->api.engine, ERR_PEER_UNREACHABLE, "away", NULL);
    EXPECT(f, 409, "peer_unreachable", f->admin, "POST", "/v1/mirrors", MIRROR);
    double_fail_next(f->api.engine, ERR_SHUTTING_DOWN, "stopping", NULL);
    EXPECT(f, 503, "shutting_down", f->admin, "POST", "/v1/mirrors", MIRROR);
}

static void logs(void **state)
{
    struct fixture *f = *state;
    make_mirror(f);
    assert_int_equal(
        ask(f, f->viewer, "GET", "/v1/mirrors/m/logs?level=error&limit=500&search=a%20b", NULL),
        200);
    json_t *row = json_array_get(json_object_get(f->last, "logs"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "level")), "ERROR");
    EXPECT(f, 400, "invalid_request", f->viewer, "GET", "/v1/mirrors/m/logs?limit=501", NULL);
    EXPECT(f, 400, "invalid_request", f->viewer, "GET", "/v1/mirrors/m/logs?limit=1&limit=2", NULL);
    EXPECT(f, 400, "invalid_request", f->viewer, "GET", "/v1/mirrors/m/logs?level=LOUD", NULL);
    EXPECT(f, 400, "invalid_request", f->viewer, "GET", "/v1/mirrors/m/logs?offset=-1", NULL);
}

static void metrics(void **state)
{
    struct fixture *f = *state;
    struct request q = {.method = "GET", .target = "/metrics", .authorization = f->viewer};
    make_mirror(f);
    EXPECT(f, 401, "unauthorized", NULL, "GET", "/metrics", NULL);
    EXPECT(f, 400, "invalid_request", f->viewer, "GET", "/metrics?tables=maybe", NULL);
    EXPECT(f, 400, "unknown_field", f->viewer, "GET", "/metrics?table=yes", NULL);
    for (int open = 0; open < 2; open++) {
        api_handle(&f->api, &q, &f->response);
        assert_int_equal(f->response.status, 200);
        assert_non_null(strstr(f->response.content_type, "version=0.0.4"));
        assert_int_equal(strlen(f->response.body), f->response.body_len);
        assert_non_null(strstr(f->response.body, "\nbunnydb_mirror_state{mirror=\"m\",state=\""
                                                 "running\"} 1\n"));
        assert_null(strstr(f->response.body, "bunnydb_mirror_lag_bytes{")); /* not known */
        for (size_t i = 0; i < metric_count; i++) {
            char *line = mem_printf("# TYPE %s %s\n", metric_rows[i].name,
                                    metric_type_name(metric_rows[i].type));
            assert_non_null(strstr(f->response.body, line));
            free(line);
        }
        response_free(&f->response);
        f->api.open_metrics = true;
        q.authorization = NULL;
    }
    EXPECT(f, 401, "unauthorized", NULL, "GET", "/v1/mirrors", NULL);
}

static const char *member(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void diagnostics(void **state)
{
    struct fixture *f = *state;
    struct conf conf;
    make_mirror(f);
    conf_init(&conf);
    f->api.conf = &conf;
    assert_int_equal(ask(f, f->viewer, "GET", "/v1/mirrors/m/diagnostics", NULL), 200);
    assert_string_equal(member(json_object_get(f->last, "program"), "version"), "0.0-double");
    assert_string_equal(member(json_object_get(f->last, "configuration"), "source_peer"), "a");
    json_t *source = json_object_get(f->last, "source");
    assert_true(json_is_true(json_object_get(source, "is_reachable")));
    json_t *slot = json_array_get(json_object_get(source, "slot"), 0);
    assert_true(json_is_true(json_object_get(slot, "active")));
    assert_int_equal(json_integer_value(json_object_get(slot, "size")), 12);
    assert_true(json_real_value(json_object_get(slot, "ratio")) == 1.5);
    assert_string_equal(member(slot, "odd"), "NaN");
    assert_true(json_is_null(json_object_get(slot, "none")));
    assert_string_equal(member(json_object_get(source, "locks"), "error"), "permission denied");
    json_t *dest = json_object_get(f->last, "destination");
    assert_true(json_is_false(json_object_get(dest, "is_reachable")));
    assert_string_equal(member(dest, "error"), "no route");
    assert_string_equal(member(json_object_get(dest, "peer"), "name"), "b");
    json_t *settings = json_object_get(json_object_get(f->last, "process"), "settings");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(settings, "log"), "keep_days")), 14);
    char *all = json_dumps(f->last, 0);
    assert_null(strstr(all, "hidden-word"));
    free(all);
    conf_free(&conf);
    EXPECT(f, 404, "mirror_not_found", f->viewer, "GET", "/v1/mirrors/z/diagnostics", NULL);
}

static void values_are_taken_out(void **state)
{
    static const char *const texts[][2] = {
        {"invalid input syntax for type integer: \"a \"q\" b\"",
         "invalid input syntax for type integer: \"...\""},
        {"value \"99999\" is out of range for type smallint",
         "value \"...\" is out of range for type smallint"},
        {"invalid input value for enum mood: \"x\"", "invalid input value for enum mood: \".\""},
        {"duplicate key value violates unique constraint \"t_pkey\"",
         "duplicate key value violates unique constraint \"t_pkey\""},
        {"invalid input without quotes", "invalid input without quotes"},
        {"23514 insert into t key (a, b)=(5, x), transaction 0/1: no), transaction 0/44C: refused",
         "23514 insert into t key (a, b)=(...), transaction 0/44C: refused"},
        {"table=t delete found no row key=(id)=(12345) lsn=0/1 missing=1",
         "table=t delete found no row key=(id)=(...) lsn=0/1 missing=1"},
        {"since yesterday, last delete of key (id)=(12345)",
         "since yesterday, last delete of key (id)=(...)"},
        {"(id)=(", "(id)=("},
    };
    struct log_line l = {.text = "23505 duplicate key (server_error)", .details = "Key (id)=(7)"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        char text[200];
        str_copy(text, sizeof text, texts[i][0]);
        redact_text(text);
        assert_string_equal(text, texts[i][1]);
    }
    redact_log_line(&l);
    assert_string_equal(l.details, "");
    str_copy(l.text, sizeof l.text, "state=error");
    str_copy(l.details, sizeof l.details, "our own remedy");
    redact_log_line(&l);
    assert_string_equal(l.details, "our own remedy");
}

/* Answers are kept with their picture, and never outlive it. */
static void a_status_is_the_present_one(void **state)
{
    struct fixture *f = *state;
    make_mirror(f);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(f, f->viewer, "GET", "/v1/mirrors/m", NULL), 200);
        assert_string_equal(text(f, "status"), "running");
        assert_int_equal(ask(f, f->viewer, "GET", "/v1/mirrors", NULL), 200);
        assert_string_equal(member(json_array_get(f->last, 0), "status"), "running");
        assert_int_equal(ask(f, f->admin, "POST", "/v1/mirrors/m/pause", NULL), 200);
        assert_int_equal(ask(f, f->viewer, "GET", "/v1/mirrors/m", NULL), 200);
        assert_string_equal(text(f, "status"), "paused");
        assert_int_equal(ask(f, f->viewer, "GET", "/v1/mirrors", NULL), 200);
        assert_string_equal(member(json_array_get(f->last, 0), "status"), "paused");
        assert_int_equal(ask(f, f->admin, "POST", "/v1/mirrors/m/resume", NULL), 200);
    }
    assert_int_equal(ask(f, f->admin, "DELETE", "/v1/mirrors/m", NULL), 200);
    EXPECT(f, 404, "mirror_not_found", f->viewer, "GET", "/v1/mirrors/m", NULL);
}

static void kept_answers_are_bounded(void **state)
{
    static const size_t large = RENDERED_BYTES / 3;
    struct rendered r;
    size_t len = 0;
    char *big = mem_calloc(RENDERED_BYTES + 1, 1);
    (void)state;
    rendered_init(&r);
    for (int i = 0; i < 3 * RENDERED_ENTRIES; i++) {
        char key[16];
        str_printf(key, sizeof key, "%d", i);
        rendered_put(&r, key, (uint64_t)i + 1, key, strlen(key));
        char *kept = rendered_get(&r, key, (uint64_t)i + 1, &len);
        assert_string_equal(kept, key);
        assert_int_equal(len, strlen(key));
        free(kept);
        assert_null(rendered_get(&r, key, (uint64_t)i, &len));
        rendered_put(&r, "big", (uint64_t)i + 1, big, large + (size_t)i);
        assert_in_range(r.bytes, large, RENDERED_BYTES);
    }
    assert_null(rendered_get(&r, "0", 1, &len));
    rendered_put(&r, "huge", 1, big, RENDERED_BYTES + 1);
    assert_null(rendered_get(&r, "huge", 1, &len));
    rendered_put(&r, "most", 1, big, RENDERED_BYTES);
    assert_int_equal(r.bytes, RENDERED_BYTES);
    rendered_destroy(&r);
    assert_int_equal(r.bytes, 0);
    free(big);
}

static void runs(void **state)
{
    struct fixture *f = *state;
    make_mirror(f);
    assert_int_equal(ask(f, f->viewer, "GET", "/v1/mirrors/m/runs", NULL), 200);
    json_t *rows = json_object_get(f->last, "runs"), *run = json_array_get(rows, 0);
    assert_int_equal(json_array_size(rows), 3);
    assert_true(json_is_null(json_object_get(run, "ended_at")));
    assert_true(json_real_value(json_object_get(run, "duration_seconds")) > 1e9);
    run = json_array_get(rows, 1);
    assert_true(json_real_value(json_object_get(run, "duration_seconds")) == 1.5);
    assert_string_equal(json_string_value(json_object_get(run, "error")), "caf? is not UTF-8");
    json_t *event = json_array_get(json_object_get(run, "state_changes"), 0);
    assert_string_equal(json_string_value(json_object_get(event, "text")), "why");
    assert_true(json_is_null(json_object_get(json_array_get(rows, 2), "duration_seconds")));
    assert_int_equal(ask(f, f->viewer, "GET", "/v1/mirrors/m/runs?limit=1&offset=1", NULL), 200);
    rows = json_object_get(f->last, "runs");
    assert_int_equal(json_array_size(rows), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 0), "id")), 2);
    assert_int_equal(json_integer_value(json_object_get(f->last, "total")), 3);
    EXPECT(f, 400, "invalid_request", f->viewer, "GET", "/v1/mirrors/m/runs?limit=501", NULL);
    EXPECT(f, 400, "invalid_request", f->viewer, "GET", "/v1/mirrors/m/runs?limit=0", NULL);
    EXPECT(f, 400, "invalid_request", f->viewer, "GET", "/v1/mirrors/m/runs?offset=-1", NULL);
    EXPECT(f, 400, "unknown_field", f->viewer, "GET", "/v1/mirrors/m/runs?level=ERROR", NULL);
    EXPECT(f, 404, "mirror_not_found", f->viewer, "GET", "/v1/mirrors/z/runs", NULL);
}

static void last_comparison(void **state)
{
    struct fixture *f = *state;
    make_mirror(f);
    assert_int_equal(ask(f, f->viewer, "GET", "/v1/mirrors/m/verify", NULL), 200);
    assert_string_equal(json_string_value(json_object_get(f->last, "lsn")), "1/23456789");
    assert_true(json_is_null(json_object_get(f->last, "error")));
    json_t *tables = json_object_get(f->last, "tables"), *t = json_array_get(tables, 0);
    assert_int_equal(json_array_size(tables), 2);
    assert_string_equal(json_string_value(json_object_get(t, "state")), "different");
    assert_string_equal(json_string_value(json_object_get(t, "destination")), "public.u");
    assert_int_equal(json_integer_value(json_object_get(t, "rows_compared")), 8);
    json_t *row = json_array_get(json_object_get(t, "rows"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "kind")), "differing");
    /* an empty text is a key as any other */
    assert_string_equal(json_string_value(json_object_get(json_object_get(row, "key"), "id")), "");
    row = json_array_get(json_object_get(json_array_get(tables, 1), "rows"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "row")), "(1,x)");
    assert_null(json_object_get(row, "key"));
    EXPECT(f, 404, "mirror_not_found", f->viewer, "GET", "/v1/mirrors/z/verify", NULL);
    EXPECT(f, 403, "forbidden", f->viewer, "POST", "/v1/mirrors/m/verify", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        API_CASE(every_route_asks_for_its_level),
        API_CASE(the_socket_owner_is_admin),
        API_CASE(addresses),
        API_CASE(bodies),
        API_CASE(large_bodies),
        API_CASE(logins),
        API_CASE(passwords_change),
        API_CASE(users),
        API_CASE(peers),
        API_CASE(mirrors),
        API_CASE(preflight_gives_all_findings),
        API_CASE(logs),
        API_CASE(runs),
        API_CASE(last_comparison),
        API_CASE(a_status_is_the_present_one),
        cmocka_unit_test(kept_answers_are_bounded),
        API_CASE(metrics),
        API_CASE(diagnostics),
        API_CASE(values_are_taken_out),
    };
    log_to_fd(-1, LOG_LEVEL_ERROR);
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
