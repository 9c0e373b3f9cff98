/* The API in front of an engine in memory; see api_fixture.h. */
#include "api_fixture.h"

#include "src/http/users.h"

int ask(struct fixture *f, const char *who, const char *method, const char *target,
        const char *body)
{
    struct request q = {.method = method,
                        .target = target,
                        .authorization = who,
                        .content_type = body ? "application/json; charset=utf-8" : NULL,
                        .body = body,
                        .body_len = body ? strlen(body) : 0,
                        .address = "127.0.0.1"};
    json_decref(f->last);
    api_handle(&f->api, &q, &f->response);
    f->last = f->response.body ? json_loads(f->response.body, JSON_DECODE_ANY, NULL) : NULL;
    int status = f->response.status;
    free(f->response.body);
    f->response.body = NULL;
    return status;
}

const char *text(const struct fixture *f, const char *key)
{
    const char *s = json_string_value(json_object_get(f->last, key));
    return s ? s : "";
}

static void login(struct fixture *f, const char *name, const char *role, char out[64])
{
    struct err err;
    char password[] = "secret-password", body[200];
    struct user_spec u = {.password = password};
    str_copy(u.name, sizeof u.name, name);
    str_copy(u.role, sizeof u.role, role);
    assert_true(users_create(f->api.engine, &u, &err));
    str_printf(body, sizeof body, "{\"username\":\"%s\",\"password\":\"%s\"}", name, password);
    assert_int_equal(ask(f, NULL, "POST", "/v1/auth/login", body), 200);
    assert_string_equal(text(f, "role"), role);
    str_printf(out, 64, "Bearer %s", text(f, "token"));
}

int api_set_up(void **state)
{
    struct fixture *f = mem_calloc(1, sizeof *f);
    api_init(&f->api, double_open(), 3600);
    login(f, "ana", "admin", f->admin);
    login(f, "vic", "viewer", f->viewer);
    *state = f;
    return 0;
}

int api_tear_down(void **state)
{
    struct fixture *f = *state;
    json_decref(f->last);
    api_destroy(&f->api);
    double_close(f->api.engine);
    free(f);
    return 0;
}

void make_mirror(struct fixture *f)
{
    assert_int_equal(ask(f, f->admin, "POST", "/v1/peers", PEER("a")), 201);
    assert_int_equal(ask(f, f->admin, "POST", "/v1/peers", PEER("b")), 201);
    assert_int_equal(ask(f, f->admin, "POST", "/v1/mirrors", MIRROR), 201);
}
