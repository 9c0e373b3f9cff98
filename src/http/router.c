/* From a request to an answer; see router.h. */
#include "src/http/router.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wake.h"
#include "src/http/auth.h"
#include "src/http/url.h"
#include "src/http/to_json.h"

/* The contract's statuses: 4xx when the client can do something, 409 for what stands against the
 * request on our or a server's side, 503 when it may work later, 500 for our defects only. */
static const int statuses[ERR_CODE_COUNT] = {
    [ERR_NONE] = 500,           [ERR_INVALID] = 400,
    [ERR_UNKNOWN_FIELD] = 400,  [ERR_NOT_FOUND] = 404,
    [ERR_PEER_NOT_FOUND] = 404, [ERR_MIRROR_NOT_FOUND] = 404,
    [ERR_USER_NOT_FOUND] = 404, [ERR_TABLE_NOT_FOUND] = 404,
    [ERR_NOT_SUPPORTED] = 501,  [ERR_CREDENTIALS] = 401,
    [ERR_UNAUTHORIZED] = 401,   [ERR_FORBIDDEN] = 403,
    [ERR_METHOD] = 405,         [ERR_TOO_LARGE] = 413,
    [ERR_NOT_JSON] = 415,       [ERR_THROTTLED] = 429,
    [ERR_INTERNAL] = 500,       [ERR_SHUTTING_DOWN] = 503,
    [ERR_CATALOG] = 503,        [ERR_IO] = 503,
    [ERR_MEMORY] = 503,
};

int status_of_error(enum err_code code)
{
    return statuses[code] ? statuses[code] : 409;
}

const char *level_name(enum level l)
{
    switch (l) {
    case LEVEL_OPEN:
        return "open";
    case LEVEL_AUTHED:
        return "any user";
    case LEVEL_ADMIN:
        return "admin";
    case LEVEL_METRICS:
        return "any user; open with open_metrics = yes";
    }
    return "";
}

/* --- The answer ------------------------------------------------------------------------------- */
void response_free(struct response *r)
{
    free(r->body);
    *r = (struct response){0};
}

static void put_json(struct response *r, const json_t *v)
{
    r->body = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    r->body_len = r->body ? strlen(r->body) : 0;
}

static void put_text(struct call *c, struct response *r)
{
    r->body = c->text;
    r->body_len = c->text_len;
    r->content_type = c->text_type;
    c->text = NULL;
}

static void put_error(struct call *c, const struct err *e, struct response *r)
{
    r->status = c->error_status ? c->error_status : status_of_error(e->code);
    r->retry_after = c->retry_after;
    if (r->status == 429 && !r->retry_after)
        r->retry_after = 1;
    r->challenge = r->status == 401;
    json_t *o = json_object();
    json_put_text(o, "error", e->text);
    json_put_text(o, "code", err_name(e->code));
    if (e->hint[0])
        json_put_text(o, "hint", e->hint);
    if (c->findings.n)
        json_object_set_new(o, "findings", findings_to_json(c->findings.items, c->findings.n));
    put_json(r, o);
    json_decref(o);
    if (r->status == 500)
        log_error("http", NULL, "request failed by a defect error=\"%s\"", e->text);
}

void api_refuse(int status, enum err_code code, const char *text, struct response *out)
{
    struct call c = {.error_status = status};
    struct err err;
    *out = (struct response){0};
    (void)err_set(&err, code, "%s", text);
    put_error(&c, &err, out);
}

/* --- The address ------------------------------------------------------------------------------ */
/* Whether the decoded segments fit the pattern; args get those that stand for {…} (borrowed). */
static bool match(const char *pattern, const struct url *t, char **args)
{
    size_t n = 0;
    int n_args = 0;
    for (const char *p = pattern; *p; n++) {
        size_t len = strcspn(++p, "/");
        if (n >= t->n_segments)
            return false;
        if (*p == '{')
            args[n_args++] = t->segments[n];
        else if (strlen(t->segments[n]) != len || strncmp(p, t->segments[n], len) != 0)
            return false;
        p += len;
    }
    return n == t->n_segments;
}

static void add_allowed(char allow[64], const char *method)
{
    size_t at = strlen(allow);
    str_printf(allow + at, 64 - at, "%s%s%s", at ? ", " : "", method,
               !strcmp(method, "GET") ? ", HEAD" : "");
}

/* The route; NULL with *err, and with Allow in *r when only the method is wrong. */
static const struct route *find_route(struct call *c, const struct url *t, struct response *r,
                                      struct err *err)
{
    const char *method = c->request->method;
    if (!strcmp(method, "HEAD"))
        method = "GET";
    for (size_t i = 0; i < route_count; i++) {
        char *args[ROUTE_ARGS] = {0};
        if (!match(routes[i].pattern, t, args))
            continue;
        if (!strcmp(routes[i].method, method)) {
            memcpy(c->args, args, sizeof args);
            r->allow[0] = '\0';
            return &routes[i];
        }
        add_allowed(r->allow, routes[i].method);
    }
    if (r->allow[0])
        (void)err_set(err, ERR_METHOD, "this address has no method %.16s", method);
    else
        (void)err_set(err, ERR_NOT_FOUND, "no such address");
    return NULL;
}

/* --- Input ------------------------------------------------------------------------------------ */
static bool is_json_type(const char *type)
{
    static const char json[] = "application/json";
    size_t n = sizeof json - 1;
    return type && !strncasecmp(type, json, n) && (!type[n] || strchr("; \t", type[n]));
}

/* What the parser would follow recursively, and what it would make of a small text in memory: a
 * MiB of empty objects takes a hundred. What stands inside strings does not count. */
static bool check_size(const char *s, size_t n, struct err *err)
{
    int depth = 0, values = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        bool opens = !in_string && (s[i] == '{' || s[i] == '[');
        if (in_string && s[i] == '\\')
            i++;
        else if (s[i] == '"')
            in_string = !in_string;
        else if (!in_string && (s[i] == '}' || s[i] == ']'))
            depth--;
        if (opens && ++depth > JSON_DEPTH_MAX)
            return err_set(err, ERR_INVALID, "the body is nested deeper than %d", JSON_DEPTH_MAX);
        if ((opens || (!in_string && s[i] == ',')) && ++values > JSON_VALUES_MAX)
            return err_set(err, ERR_INVALID, "the body has more than %d values", JSON_VALUES_MAX);
    }
    return true;
}

/* The parser's text goes on with "near 'what stands there'": that may be half a password. Only the
 * name of a field that is there twice is worth showing. */
static bool not_json(const json_error_t *e, struct err *err)
{
    const char *near = strstr(e->text, " near ");
    bool is_shown = json_error_code(e) == json_error_duplicate_key;
    return err_set(err, ERR_INVALID, "the body is not valid JSON: %.*s (line %d, column %d)",
                   near && !is_shown ? (int)(near - e->text) : (int)sizeof e->text, e->text,
                   e->line, e->column);
}

static bool read_body(struct call *c, const struct route *route, struct err *err)
{
    const struct request *q = c->request;
    static const struct field_table nothing;
    json_error_t e;
    if (q->is_too_large)
        return err_set(err, ERR_TOO_LARGE, "the body is larger than %u bytes", BODY_MAX);
    if (q->body_len == 0) {
        c->body = json_object();
        return true;
    }
    if (!is_json_type(q->content_type)) {
        (void)err_set(err, ERR_NOT_JSON, "the body is not JSON");
        return err_hint(err, "send the header Content-Type: application/json");
    }
    if (q->body_len > BODY_SMALL_MAX && (route->level == LEVEL_OPEN || !route->has_body))
        return err_set(err, ERR_INVALID,
                       "the body is larger than %u bytes, the most that this "
                       "address takes",
                       BODY_SMALL_MAX);
    if (!check_size(q->body, q->body_len, err))
        return false;
    c->body = json_loadb(q->body, q->body_len, JSON_REJECT_DUPLICATES, &e);
    if (!c->body)
        return not_json(&e, err);
    if (!json_is_object(c->body))
        return err_set(err, ERR_INVALID, "the body must be a JSON object");
    return route->has_body || fields_read(&nothing, c->body, true, NULL, NULL, err);
}

static bool read_query(struct call *c, const struct route *route, const struct url *t,
                       struct err *err)
{
    c->query = json_object();
    for (size_t i = 0; i < t->n_params; i++) {
        const struct param *p = &t->params[i];
        const struct field *f = route->query ? fields_find(route->query, p->name) : NULL;
        if (!f)
            return err_set(err, ERR_UNKNOWN_FIELD, "unknown parameter \"%.64s\"", p->name);
        if (json_object_get(c->query, p->name))
            return err_set(err, ERR_INVALID, "parameter \"%s\" is given twice", p->name);
        if (!fields_set_text(f, p->value, c->query, err))
            return false;
    }
    return true;
}

/* --- All of it -------------------------------------------------------------------------------- */
static bool answer(struct call *c, struct url *t, struct response *r, struct err *err)
{
    if (!url_parse(c->request->target, t, err))
        return false;
    if (!strcmp(c->request->method, "OPTIONS")) {
        (void)find_route(c, t, r, err);
        if (!r->allow[0])
            return false;
        add_allowed(r->allow, "OPTIONS");
        c->status = 204;
        return true;
    }
    const struct route *route = find_route(c, t, r, err);
    return route && auth_check(c, route->level, err) && read_query(c, route, t, err) &&
           read_body(c, route, err) && route->handle(c, err);
}

/* What changed something is told who did it; all else only when asked for. */
static void log_request(const struct call *c, const struct url *t, int status, int64_t us)
{
    const char *method = c->request->method;
    bool is_change = status < 300 && strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 &&
                     strcmp(method, "OPTIONS") != 0;
    log_write(is_change ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "http", NULL, NULL,
              "request %.16s %.200s status=%d ms=%lld user=%s address=%s", method,
              t->path_text ? t->path_text : "?", status, (long long)(us / 1000), c->user.name,
              c->request->address);
}

void api_init(struct api *api, struct engine *e, int64_t token_ttl_s)
{
    *api = (struct api){.engine = e, .token_ttl_s = token_ttl_s};
    api->stop_fd = wake_new();
    str_printf(api->instance, sizeof api->instance, "%llx-%x", (long long)clock_wall_us(),
               (unsigned)getpid());
    throttle_init(&api->throttle);
    stats_init(&api->stats);
    rendered_init(&api->rendered);
}

void api_destroy(struct api *api)
{
    throttle_destroy(&api->throttle);
    stats_destroy(&api->stats);
    rendered_destroy(&api->rendered);
    wake_free(api->stop_fd);
}

void api_interrupt(struct api *api)
{
    wake_signal(api->stop_fd); /* which nobody takes */
}

void api_handle(struct api *api, const struct request *request, struct response *out)
{
    struct call c = {.api = api, .engine = api->engine, .request = request, .status = 200};
    struct url t = {0};
    struct err err = {0};
    int64_t began = clock_mono_us();
    *out = (struct response){0};
    if (answer(&c, &t, out, &err)) {
        out->status = c.status;
        if (c.reply)
            put_json(out, c.reply);
        else if (c.text)
            put_text(&c, out);
    } else {
        put_error(&c, &err, out);
    }
    int64_t us = clock_mono_us() - began;
    stats_count(&api->stats, out->status, us);
    if (!c.is_quiet || out->status >= 300)
        log_request(&c, &t, out->status, us);
    free(c.text);
    json_decref(c.reply);
    json_decref(c.body);
    json_decref(c.query);
    findings_free(&c.findings);
    url_free(&t);
}
