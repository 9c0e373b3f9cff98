/* The contract's refusals: what must hold for every route is driven by the table of routes, so that
 * a new one cannot be forgotten; every other refusal is a row of a table here. */
#include <sodium.h>

#include "api_fixture.h"

/* --- Every route ------------------------------------------------------------------------------ */
/* Bodies that are complete, for routes that look at them before anything else. */
static const struct {
    const char *method, *pattern, *body;
} samples[] = {
    {"POST", "/v1/mirrors/{name}/cutover", "{\"read_only\":true}"},
    {"PATCH", "/v1/mirrors/{name}", "{\"cdc_batch_size\":5}"},
    {"PUT", "/v1/mirrors/{name}/tables",
     "{\"table_mappings\":[{\"source_table\":\"public.users\"}]}"},
};

static const char *sample_body(const struct route *r)
{
    for (size_t i = 0; i < COUNT_OF(samples); i++)
        if (!strcmp(r->method, samples[i].method) && !strcmp(r->pattern, samples[i].pattern))
            return samples[i].body;
    return r->has_body ? "{}" : NULL;
}

/* The route's address with name in the place of {…}. */
static void address(const struct route *r, const char *name, char out[200])
{
    out[0] = '\0';
    for (const char *p = r->pattern; *p; p++) {
        size_t at = strlen(out);
        if (*p == '{') {
            str_printf(out + at, 200 - at, "%s", name);
            p += strcspn(p, "}");
        } else {
            str_printf(out + at, 200 - at, "%c", *p);
        }
    }
}

/* Says which route it was about when the check fails. */
#define EXPECT_OF(r, f, status, expected, ...)                                         \
    do {                                                                               \
        int got_ = ask((f), __VA_ARGS__);                                              \
        if (got_ != (status) || strcmp(text((f), "code"), (expected)) != 0)            \
            fail_msg("%s %s: %d %s instead of %d %s", (r)->method, (r)->pattern, got_, \
                     text((f), "code"), (status), (expected));                         \
    } while (0)

static int count_peers_and_mirrors(struct fixture *f)
{
    assert_int_equal(ask(f, f->admin, "GET", "/v1/peers", NULL), 200);
    size_t n = json_array_size(f->last);
    assert_int_equal(ask(f, f->admin, "GET", "/v1/mirrors", NULL), 200);
    return (int)(n + json_array_size(f->last)) + double_changes(f->api.engine);
}

/* Whoever is not an admin reads, and cares for the own login. */
static void only_admins_change_something(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &routes[i];
        bool is_read = !strcmp(r->method, "GET");
        if (!strcmp(r->pattern, "/health") || !strcmp(r->pattern, "/v1/auth/login"))
            assert_int_equal(r->level, LEVEL_OPEN);
        else if (!strcmp(r->pattern, "/metrics"))
            assert_int_equal(r->level, LEVEL_METRICS);
        else if (!strncmp(r->pattern, "/v1/auth/", 9))
            assert_int_equal(r->level, LEVEL_AUTHED);
        else if (is_read && strncmp(r->pattern, "/v1/users", 9) != 0)
            assert_int_equal(r->level, LEVEL_AUTHED);
        else
            assert_int_equal(r->level, LEVEL_ADMIN);
        assert_false(is_read && r->has_body);
    }
}

static void routes_ask_who_it_is_before_anything_else(void **state)
{
    struct fixture *f = *state;
    make_mirror(f);
    int before = count_peers_and_mirrors(f);
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &routes[i];
        char target[200], with_query[220];
        if (r->level == LEVEL_OPEN)
            continue;
        address(r, "m", target);
        str_printf(with_query, sizeof with_query, "%s?nonsense=1", target);
        EXPECT_OF(r, f, 401, "unauthorized", NULL, r->method, target, sample_body(r));
        EXPECT_OF(r, f, 401, "unauthorized", NULL, r->method, with_query, "{\"nonsense\":1}");
        EXPECT_OF(r, f, 401, "unauthorized", "Basic YTpi", r->method, target, sample_body(r));
        if (r->level == LEVEL_ADMIN) {
            EXPECT_OF(r, f, 403, "forbidden", f->viewer, r->method, target, sample_body(r));
            EXPECT_OF(r, f, 403, "forbidden", f->viewer, r->method, with_query, "{\"x\":1}");
        }
    }
    assert_int_equal(count_peers_and_mirrors(f), before);
}

static void routes_know_what_does_not_exist(void **state)
{
    struct fixture *f = *state;
    make_mirror(f);
    int before = count_peers_and_mirrors(f);
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &routes[i];
        char target[200];
        const char *code = strstr(r->pattern, "/users/")   ? "user_not_found"
                           : strstr(r->pattern, "/peers/") ? "peer_not_found"
                                                           : "mirror_not_found";
        if (!strchr(r->pattern, '{'))
            continue;
        address(r, "nothing.such", target);
        EXPECT_OF(r, f, 404, code, f->admin, r->method, target, sample_body(r));
    }
    assert_int_equal(count_peers_and_mirrors(f), before);
}

/* 400 for what is unknown, 405, 413 and 415, each without any change. */
static void routes_refuse_what_they_do_not_know(void **state)
{
    struct fixture *f = *state;
    make_mirror(f);
    int before = count_peers_and_mirrors(f);
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &routes[i];
        const char *who = r->level == LEVEL_OPEN ? NULL : f->admin;
        char target[200], with_query[220];
        address(r, "m", target);
        str_printf(with_query, sizeof with_query, "%s?nonsense=1", target);
        EXPECT_OF(r, f, 400, "unknown_field", who, r->method, with_query, NULL);
        EXPECT_OF(r, f, 400, "unknown_field", who, r->method, target, "{\"nonsense\":1}");
        EXPECT_OF(r, f, 400, "invalid_request", who, r->method, target, "[1]");
        EXPECT_OF(r, f, 400, "invalid_request", who, r->method, target, "{\"a\":");
        EXPECT_OF(r, f, 405, "method_not_allowed", who, "TRACE", target, NULL);
        assert_non_null(strstr(f->response.allow, r->method));
        struct request q = {.method = r->method,
                            .target = target,
                            .authorization = who,
                            .content_type = "application/x-www-form-urlencoded",
                            .body = "a=b",
                            .body_len = 3};
        api_handle(&f->api, &q, &f->response);
        assert_int_equal(f->response.status, 415);
        response_free(&f->response);
        q.is_too_large = true;
        api_handle(&f->api, &q, &f->response);
        assert_int_equal(f->response.status, 413);
        response_free(&f->response);
    }
    assert_int_equal(count_peers_and_mirrors(f), before);
}

/* --- Each refusal of the contract ---------------------------------------------------------------
 */
#define USER(name, password, role) \
    "{\"username\":\"" name "\",\"password\":\"" password "\",\"role\":\"" role "\"}"
#define GOOD "secret-password"
#define P(more) "{\"name\":\"p\",\"host\":\"h\",\"user\":\"u\",\"database\":\"d\"" more "}"
#define T "[{\"source_table\":\"public.users\"}]"
#define M(name, tables, more)                                                  \
    "{\"name\":\"" name "\",\"source_peer\":\"a\",\"destination_peer\":\"b\"," \
    "\"table_mappings\":" tables more "}"
#define N50 "a2345678901234567890123456789012345678901234567890"
#define N64 "a234567890123456789012345678901234567890123456789012345678901234"

static const struct refusal {
    const char *method, *target, *body;
    int status;
    const char *code;
    const char *says;   /* in the sentence */
    enum err_code fail; /* what the engine answers, where it is the one who refuses */
} refusals[] = {
    /* users */
    {"POST", "/v1/users", "{\"password\":\"" GOOD "\",\"role\":\"admin\"}", 400, "invalid_request",
     "username", 0},
    {"POST", "/v1/users", "{\"username\":\"x\",\"role\":\"admin\"}", 400, "invalid_request",
     "password", 0},
    {"POST", "/v1/users", "{\"username\":\"x\",\"password\":\"" GOOD "\"}", 400, "invalid_request",
     "role", 0},
    {"POST", "/v1/users", USER("", GOOD, "admin"), 400, "invalid_request", "username", 0},
    {"POST", "/v1/users", USER("a b", GOOD, "admin"), 400, "invalid_request", "username", 0},
    {"POST", "/v1/users", USER(N64, GOOD, "admin"), 400, "invalid_request", "username", 0},
    {"POST", "/v1/users", USER("x", "short", "admin"), 400, "invalid_request", "password", 0},
    {"POST", "/v1/users", USER("x", GOOD, "root"), 400, "invalid_request", "role", 0},
    {"POST", "/v1/users", USER("vic", GOOD, "viewer"), 409, "user_exists", "vic", 0},
    {"DELETE", "/v1/users/ana", NULL, 400, "invalid_request", "yourself", 0},
    /* authentication */
    {"POST", "/v1/auth/login", "{\"password\":\"x\"}", 400, "invalid_request", "username", 0},
    {"POST", "/v1/auth/login", "{\"username\":\"x\"}", 400, "invalid_request", "password", 0},
    {"POST", "/v1/auth/login", "{\"username\":1,\"password\":\"x\"}", 400, "invalid_request",
     "username", 0},
    {"POST", "/v1/auth/login", "{\"username\":\"no\",\"password\":\"x\"}", 401,
     "invalid_credentials", "", 0},
    {"POST", "/v1/auth/login", "{\"username\":\"vic\",\"password\":\"x\"}", 401,
     "invalid_credentials", "", 0},
    {"POST", "/v1/auth/change-password", "{\"new_password\":\"" GOOD "\"}", 400, "invalid_request",
     "current_password", 0},
    {"POST", "/v1/auth/change-password", "{\"current_password\":\"" GOOD "\"}", 400,
     "invalid_request", "new_password", 0},
    {"POST", "/v1/auth/change-password",
     "{\"current_password\":\"" GOOD "\",\"new_password\":\"short\"}", 400, "invalid_request",
     "new_password", 0},
    {"POST", "/v1/auth/change-password",
     "{\"current_password\":\"wrong\",\"new_password\":\"another " GOOD "\"}", 401,
     "invalid_credentials", "current_password", 0},
    /* peers */
    {"POST", "/v1/peers", "{}", 400, "invalid_request", "name", 0},
    {"POST", "/v1/peers", "{\"name\":\"p\",\"user\":\"u\",\"database\":\"d\"}", 400,
     "invalid_request", "host", 0},
    {"POST", "/v1/peers", "{\"name\":\"p\",\"host\":\"h\",\"database\":\"d\"}", 400,
     "invalid_request", "user", 0},
    {"POST", "/v1/peers", "{\"name\":\"p\",\"host\":\"h\",\"user\":\"u\"}", 400, "invalid_request",
     "database", 0},
    {"POST", "/v1/peers", P(",\"port\":0"), 400, "invalid_request", "port", 0},
    {"POST", "/v1/peers", P(",\"port\":65536"), 400, "invalid_request", "port", 0},
    {"POST", "/v1/peers", P(",\"port\":\"5432\""), 400, "invalid_request", "port", 0},
    {"POST", "/v1/peers", P(",\"port\":5432.5"), 400, "invalid_request", "port", 0},
    {"POST", "/v1/peers", P(",\"host\":null"), 400, "invalid_request", "", 0},
    {"POST", "/v1/peers", P(",\"password\":7"), 400, "invalid_request", "password", 0},
    {"POST", "/v1/peers", P(",\"ssl_mode\":\"maybe\""), 400, "invalid_request", "ssl_mode", 0},
    {"POST", "/v1/peers", P(",\"options\":[]"), 400, "invalid_request", "options", 0},
    {"POST", "/v1/peers", P(",\"options\":{\"connect_timeout\":[]}"), 400, "invalid_request",
     "options.connect_timeout", 0},
    {"POST", "/v1/peers", PEER("a"), 409, "peer_exists", "a", 0},
    {"PUT", "/v1/peers/a", "{\"name\":\"z\"}", 400, "invalid_request", "name", 0},
    {"PUT", "/v1/peers/a", "{\"host\":\"\"}", 400, "invalid_request", "host", 0},
    {"DELETE", "/v1/peers/a", NULL, 409, "peer_in_use", "", 0},
    {"GET", "/v1/peers/a/tables", NULL, 409, "peer_unreachable", "", ERR_PEER_UNREACHABLE},
    {"POST", "/v1/peers/a/check", "{\"destination\":\"z\"}", 400, "peer_not_found", "destination",
     0},
    {"POST", "/v1/peers/a/check", "{\"destination\":\"\"}", 400, "invalid_request", "destination",
     0},
    {"POST", "/v1/peers/a/check", "{\"destination\":7}", 400, "invalid_request", "destination", 0},
    {"POST", "/v1/peers/a/check", "{\"destination\":\"" N64 "\"}", 400, "invalid_request",
     "destination", 0},
    {"POST", "/v1/peers/a/check", "{\"tables\":[]}", 400, "unknown_field", "tables", 0},
    {"POST", "/v1/peers/a/check", "{}", 409, "peer_unreachable", "", ERR_PEER_UNREACHABLE},
    /* mirrors */
    {"POST", "/v1/mirrors", "{}", 400, "invalid_request", "name", 0},
    {"POST", "/v1/mirrors", M("", T, ""), 400, "invalid_request", "name", 0},
    {"POST", "/v1/mirrors", M("_x", T, ""), 400, "invalid_request", "name", 0},
    {"POST", "/v1/mirrors", M("-x", T, ""), 400, "invalid_request", "name", 0},
    {"POST", "/v1/mirrors", M("a.b", T, ""), 400, "invalid_request", "name", 0},
    {"POST", "/v1/mirrors", M("two words", T, ""), 400, "invalid_request", "name", 0},
    {"POST", "/v1/mirrors", M("gr\xc3\xbcn", T, ""), 400, "invalid_request", "name", 0},
    {"POST", "/v1/mirrors", M(N50 "1", T, ""), 400, "invalid_request", "name", 0},
    {"POST", "/v1/mirrors", M("m", T, ""), 409, "mirror_exists", "m", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"source_peer\":\"a\""), 400, "invalid_request", "", 0},
    {"POST", "/v1/mirrors", "{\"name\":\"n\",\"destination_peer\":\"b\",\"table_mappings\":" T "}",
     400, "invalid_request", "source_peer", 0},
    {"POST", "/v1/mirrors", "{\"name\":\"n\",\"source_peer\":\"a\",\"table_mappings\":" T "}", 400,
     "invalid_request", "destination_peer", 0},
    {"POST", "/v1/mirrors", "{\"name\":\"n\",\"source_peer\":\"a\",\"destination_peer\":\"b\"}",
     400, "invalid_request", "table_mappings", 0},
    {"POST", "/v1/mirrors",
     "{\"name\":\"n\",\"source_peer\":\"z\",\"destination_peer\":\"b\",\"table_mappings\":" T "}",
     400, "peer_not_found", "z", 0},
    {"POST", "/v1/mirrors",
     "{\"name\":\"n\",\"source_peer\":\"a\",\"destination_peer\":\"z\",\"table_mappings\":" T "}",
     400, "peer_not_found", "z", 0},
    {"POST", "/v1/mirrors", M("n", "[]", ""), 400, "invalid_request", "table_mappings", 0},
    {"POST", "/v1/mirrors", M("n", "{}", ""), 400, "invalid_request", "table_mappings", 0},
    {"POST", "/v1/mirrors", M("n", "[7]", ""), 400, "invalid_request", "", 0},
    {"POST", "/v1/mirrors", M("n", "[{}]", ""), 400, "invalid_request", "source_table", 0},
    {"POST", "/v1/mirrors", M("n", "[{\"source_table\":\"public.users\",\"x\":1}]", ""), 400,
     "unknown_field", "x", 0},
    {"POST", "/v1/mirrors",
     M("n", "[{\"source_table\":\"public.users\",\"exclude_columns\":[1]}]", ""), 400,
     "invalid_request", "exclude_columns", 0},
    {"POST", "/v1/mirrors",
     M("n", "[{\"source_table\":\"public.*\",\"destination_table\":\"public.x\"}]", ""), 400,
     "invalid_request", "", 0},
    {"POST", "/v1/mirrors", M("n", "[{\"source_schema\":\"s\",\"source_table\":\"" N64 "\"}]", ""),
     400, "invalid_request", "source_table", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"do_initial_snapshot\":1"), 400, "invalid_request",
     "do_initial_snapshot", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"snapshot_num_rows_per_partition\":0"), 400,
     "invalid_request", "snapshot_num_rows_per_partition", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"snapshot_max_parallel_workers\":65"), 400,
     "invalid_request", "snapshot_max_parallel_workers", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"snapshot_num_tables_in_parallel\":0"), 400,
     "invalid_request", "snapshot_num_tables_in_parallel", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"cdc_batch_size\":0"), 400, "invalid_request",
     "cdc_batch_size", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"max_batch_size\":0"), 400, "invalid_request",
     "max_batch_size", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"max_batch_size\":1,\"cdc_batch_size\":1"), 400,
     "invalid_request", "batch_size", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"cdc_sync_interval_seconds\":-1"), 400, "invalid_request",
     "cdc_sync_interval_seconds", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"cdc_sync_interval_seconds\":1.5"), 400, "invalid_request",
     "cdc_sync_interval_seconds", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"publication_name\":\"\""), 400, "invalid_request",
     "publication_name", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"replication_slot_name\":\"" N64 "\""), 400,
     "invalid_request", "replication_slot_name", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"replicate_indexes\":\"yes\""), 400, "invalid_request",
     "replicate_indexes", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"replicate_foreign_keys\":null"), 400, "invalid_request",
     "replicate_foreign_keys", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"resync_strategy\":\"maybe\""), 400, "invalid_request",
     "resync_strategy", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"schema_changes\":\"maybe\""), 400, "invalid_request",
     "schema_changes", 0},
    {"POST", "/v1/mirrors", M("n", T, ",\"on_table_error\":\"maybe\""), 400, "invalid_request",
     "on_table_error", 0},
    {"POST", "/v1/mirrors", M("n", T, ""), 409, "slot_in_use", "", ERR_SLOT_IN_USE},
    {"POST", "/v1/mirrors", M("n", T, ""), 409, "preflight_failed", "", ERR_PREFLIGHT},
    {"POST", "/v1/mirrors", M("n", T, ""), 409, "peer_unreachable", "", ERR_PEER_UNREACHABLE},
    {"DELETE", "/v1/mirrors/m?force=maybe", NULL, 400, "invalid_request", "force", 0},
    {"DELETE", "/v1/mirrors/m", NULL, 409, "cleanup_failed", "", ERR_CLEANUP},
    {"POST", "/v1/mirrors/m/pause", NULL, 409, "operation_in_progress", "", ERR_BUSY},
    {"POST", "/v1/mirrors/m/resume", NULL, 409, "not_paused", "", 0},
    {"POST", "/v1/mirrors/m/retry", "{\"recreate_slot\":\"yes\"}", 400, "invalid_request",
     "recreate_slot", 0},
    {"POST", "/v1/mirrors/m/resync", "{\"strategy\":\"quick\"}", 400, "invalid_request", "strategy",
     0},
    {"POST", "/v1/mirrors/m/resync", "{\"strategy\":1}", 400, "invalid_request", "strategy", 0},
    {"POST", "/v1/mirrors/m/resync", NULL, 409, "operation_in_progress", "", ERR_BUSY},
    {"POST", "/v1/mirrors/m/resync/public.none", NULL, 404, "table_not_found", "public.none", 0},
    {"POST", "/v1/mirrors/m/resync/public.users", "{\"strategy\":\"quick\"}", 400,
     "invalid_request", "strategy", 0},
    {"POST", "/v1/mirrors/m/sync-schema", "{\"dry_run\":\"yes\"}", 400, "invalid_request",
     "dry_run", 0},
    {"POST", "/v1/mirrors/m/sync-schema", NULL, 409, "operation_in_progress", "", ERR_BUSY},
    {"POST", "/v1/mirrors/m/verify", "{\"repair\":\"yes\"}", 400, "invalid_request", "repair", 0},
    {"POST", "/v1/mirrors/m/verify", "{\"repairs\":true}", 400, "unknown_field", "repairs", 0},
    {"POST", "/v1/mirrors/m/cutover", "{}", 400, "invalid_request", "read_only", 0},
    {"POST", "/v1/mirrors/m/cutover", "{\"read_only\":1}", 400, "invalid_request", "read_only", 0},
    {"POST", "/v1/mirrors/m/cutover", "{\"read_only\":true,\"wait\":1}", 400, "unknown_field",
     "wait", 0},
    {"PATCH", "/v1/mirrors/m", "{}", 400, "invalid_request", "no field is given", 0},
    {"PATCH", "/v1/mirrors/m", "{\"cdc_batch_size\":0}", 400, "invalid_request",
     "field \"cdc_batch_size\" must be from 1 to 10000000", 0},
    {"PATCH", "/v1/mirrors/m", "{\"cdc_batch_size\":5,\"cdc_batch_sizes\":6}", 400, "unknown_field",
     "cdc_batch_sizes", 0},
    {"PATCH", "/v1/mirrors/m", "{\"cdc_batch_size\":5,\"max_batch_size\":6}", 400,
     "invalid_request", "two names of the same thing", 0},
    {"PATCH", "/v1/mirrors/m", "{\"schema_changes\":\"sometimes\"}", 400, "invalid_request",
     "schema_changes", 0},
    {"PATCH", "/v1/mirrors/m", "{\"name\":\"n\",\"cdc_batch_size\":5}", 400, "invalid_request",
     "field \"name\" cannot be changed", 0},
    {"PATCH", "/v1/mirrors/m", "{\"source_peer\":\"b\"}", 400, "invalid_request",
     "field \"source_peer\" cannot be changed", 0},
    {"PATCH", "/v1/mirrors/m", "{\"destination_peer\":null}", 400, "invalid_request",
     "field \"destination_peer\" cannot be changed", 0},
    {"PATCH", "/v1/mirrors/m", "{\"table_mappings\":" T "}", 400, "invalid_request",
     "field \"table_mappings\" cannot be changed", 0},
    {"PATCH", "/v1/mirrors/m", "{\"publication_name\":\"p\"}", 400, "invalid_request",
     "field \"publication_name\" cannot be changed", 0},
    {"PATCH", "/v1/mirrors/m", "{\"replication_slot_name\":\"p\"}", 400, "invalid_request",
     "field \"replication_slot_name\" cannot be changed", 0},
    {"PATCH", "/v1/mirrors/m", "{\"do_initial_snapshot\":false}", 400, "invalid_request",
     "field \"do_initial_snapshot\" cannot be changed", 0},
    {"PATCH", "/v1/mirrors/none", "{\"cdc_batch_size\":5}", 404, "mirror_not_found", "none", 0},
    {"PUT", "/v1/mirrors/m/tables", "{\"table_mappings\":" T "}", 409, "not_paused",
     "must be paused to update tables", 0},
    {"PUT", "/v1/mirrors/m/tables", "{}", 400, "invalid_request", "table_mappings", 0},
    {"PUT", "/v1/mirrors/m/tables", "{\"table_mappings\":[]}", 400, "invalid_request",
     "table_mappings", 0},
    {"PUT", "/v1/mirrors/m/tables", "{\"table_mappings\":[{\"table\":\"public.users\"}]}", 400,
     "unknown_field", "table", 0},
    {"PUT", "/v1/mirrors/m/tables", "{\"table_mappings\":" T ",\"name\":\"m\"}", 400,
     "unknown_field", "name", 0},
    {"GET", "/v1/mirrors/m/available-tables", NULL, 409, "peer_unreachable", "",
     ERR_PEER_UNREACHABLE},
    {"GET", "/v1/mirrors/m/logs?limit=0", NULL, 400, "invalid_request", "limit", 0},
    {"GET", "/v1/mirrors/m/logs?limit=501", NULL, 400, "invalid_request", "limit", 0},
    {"GET", "/v1/mirrors/m/logs?limit=ten", NULL, 400, "invalid_request", "limit", 0},
    {"GET", "/v1/mirrors/m/logs?limit=", NULL, 400, "invalid_request", "limit", 0},
    {"GET", "/v1/mirrors/m/logs?offset=-1", NULL, 400, "invalid_request", "offset", 0},
    {"GET", "/v1/mirrors/m/logs?level=FATAL", NULL, 400, "invalid_request", "level", 0},
    {"GET", "/v1/mirrors/m/logs?limit=1&limit=1", NULL, 400, "invalid_request", "limit", 0},
    {"GET", "/v1/mirrors/m/logs?search=%ff", NULL, 400, "invalid_request", "", 0},
    {"GET", "/v1/mirrors/m/runs?limit=0", NULL, 400, "invalid_request", "limit", 0},
    {"GET", "/v1/mirrors/m/runs?offset=x", NULL, 400, "invalid_request", "offset", 0},
    {"GET", "/v1/runs?limit=0", NULL, 400, "invalid_request", "limit", 0},
    {"GET", "/v1/runs", NULL, 503, "catalog", "", ERR_CATALOG},
    {"GET", "/v1/mirrors/z/config", NULL, 404, "mirror_not_found", "", 0},
    {"GET", "/metrics?tables=2", NULL, 400, "invalid_request", "tables", 0},
    /* the process */
    {"POST", "/v1/mirrors", M("n", T, ""), 503, "shutting_down", "", ERR_SHUTTING_DOWN},
    {"GET", "/v1/mirrors/m/runs", NULL, 503, "catalog", "", ERR_CATALOG},
    {"GET", "/v1/mirrors/m/diagnostics", NULL, 500, "internal", "", ERR_INTERNAL},
};

/* Each with the sentence that names what is wrong, and without any change. */
static void refusals_say_what_is_wrong_and_change_nothing(void **state)
{
    struct fixture *f = *state;
    make_mirror(f);
    int before = count_peers_and_mirrors(f);
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        const struct refusal *r = &refusals[i];
        if (r->fail)
            double_fail_next(f->api.engine, r->fail, "as the engine says", NULL);
        int got = ask(f, f->admin, r->method, r->target, r->body);
        if (got != r->status || strcmp(text(f, "code"), r->code) != 0 || !text(f, "error")[0] ||
            !strstr(text(f, "error"), r->says))
            fail_msg("row %zu: %s %s %s: %d %s \"%s\" instead of %d %s \"%s\"", i, r->method,
                     r->target, r->body ? r->body : "", got, text(f, "code"), text(f, "error"),
                     r->status, r->code, r->says);
        assert_int_equal(count_peers_and_mirrors(f), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_admins_change_something),
        API_CASE(routes_ask_who_it_is_before_anything_else),
        API_CASE(routes_know_what_does_not_exist),
        API_CASE(routes_refuse_what_they_do_not_know),
        API_CASE(refusals_say_what_is_wrong_and_change_nothing),
    };
    log_to_fd(-1, LOG_LEVEL_ERROR);
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
