/* GET /v1/mirrors/{name}/diagnostics: what a bug report needs, in one answer. No passwords, keys,
 * values of rows or statements. */
#include <jansson.h>

#include "base/clock.h"
#include "src/http/mirror_reads.h"
#include "src/http/redact.h"
#include "src/http/to_json.h"
#include "src/proc.h"

#define ERRORS 50
#define WARNINGS 20
#define RUNS 20

static json_t *error_to_json(const struct err *e)
{
    json_t *o = json_object();
    json_put_text(o, "error", e->text);
    json_put_text(o, "code", err_name(e->code));
    json_put_text(o, "hint", e->hint);
    return o;
}

/* The parts come from different places; what cannot be had is an error in its place. */
static void put(json_t *o, const char *key, json_t *value, const struct err *err)
{
    json_object_set_new(o, key, value ? value : error_to_json(err));
}

static json_t *process_to_json(const struct api *api)
{
    struct proc p;
    char started[CLOCK_TEXT_SIZE], now[CLOCK_TEXT_SIZE];
    int64_t at = clock_wall_us();
    proc_read(&p);
    json_t *o =
        json_pack("{s:s, s:s, s:f, s:f, s:I, s:I, s:I, s:I, s:I}", "now", clock_format(at, now),
                  "started_at", clock_format((int64_t)(p.started_at * 1e6), started),
                  "uptime_seconds", (double)at / 1e6 - p.started_at, "cpu_seconds", p.cpu_seconds,
                  "resident_bytes", (json_int_t)p.resident_bytes, "virtual_bytes",
                  (json_int_t)p.virtual_bytes, "threads", (json_int_t)p.threads, "open_fds",
                  (json_int_t)p.open_fds, "max_fds", (json_int_t)p.max_fds);
    json_object_set_new(o, "settings", api->conf ? conf_to_json(api->conf) : json_null());
    return o;
}

static json_t *status_to_json(struct engine *e, const char *name)
{
    const struct picture *p = engine_picture(e);
    const struct mirror_status *m = picture_find(p, name);
    json_t *o = m ? mirror_status_to_json(m) : json_null(); /* deleted meanwhile */
    picture_release(p);
    if (m)
        redact_status(o);
    return o;
}

static json_t *config_to_json(struct engine *e, const char *name, struct err *err)
{
    struct mirror_config c;
    if (!engine_mirror_config(e, name, &c, err))
        return NULL;
    json_t *o = mirror_config_to_json(&c);
    mirror_config_free(&c);
    return o;
}

static json_t *log_to_json(struct engine *e, const char *name, enum log_level level, int most,
                           struct err *err)
{
    struct log_page page;
    if (!engine_logs(e, name, level, true, NULL, most, 0, &page, err))
        return NULL;
    json_t *array = json_array();
    for (size_t i = 0; i < page.n; i++) {
        redact_log_line(&page.rows[i].line);
        json_array_append_new(array, log_row_to_json(&page.rows[i]));
    }
    log_page_free(&page);
    return array;
}

static json_t *history_to_json(struct engine *e, const char *name, struct err *err)
{
    struct run_page page;
    if (!engine_mirror_runs(e, name, RUNS, 0, &page, err))
        return NULL;
    redact_runs(&page);
    json_t *array = runs_to_json(&page);
    run_page_free(&page);
    return array;
}

static json_t *server_to_json(struct engine *e, const struct report *f, const struct err *server,
                              const char *peer)
{
    struct peer p;
    struct err err;
    json_t *o = report_to_json(f);
    bool is_reached = server->code == ERR_NONE;
    json_object_set_new(o, "is_reachable", json_boolean(is_reached));
    if (!is_reached)
        json_object_update_new(o, error_to_json(server));
    json_t *described = NULL;
    if (engine_peer_get(e, peer, &p, &err)) {
        described = peer_to_json(&p);
        peer_free(&p);
    }
    put(o, "peer", described, &err);
    return o;
}

static void put_servers(struct call *c, const struct diagnosis *d)
{
    json_t *config = json_object_get(c->reply, "configuration");
    const char *source = json_string_value(json_object_get(config, "source_peer"));
    const char *dest = json_string_value(json_object_get(config, "destination_peer"));
    json_object_set_new(
        c->reply, "source",
        server_to_json(c->engine, &d->source, &d->source_error, source ? source : ""));
    json_object_set_new(
        c->reply, "destination",
        server_to_json(c->engine, &d->destination, &d->destination_error, dest ? dest : ""));
}

bool mirror_diagnostics(struct call *c, struct err *err)
{
    struct diagnosis d;
    const char *name = c->args[0];
    if (!engine_mirror_diagnose(c->engine, name, &d, err))
        return false;
    struct err ignored = {0};
    c->reply = report_to_json(&d.program);
    json_t *program = json_object_get(c->reply, "program");
    json_put_text(program, "libmicrohttpd", c->api->library);
    json_put_text(program, "jansson", JANSSON_VERSION);
    json_object_set_new(c->reply, "process", process_to_json(c->api));
    put(c->reply, "configuration", config_to_json(c->engine, name, &ignored), &ignored);
    json_object_set_new(c->reply, "status", status_to_json(c->engine, name));
    put(c->reply, "runs", history_to_json(c->engine, name, &ignored), &ignored);
    put(c->reply, "errors", log_to_json(c->engine, name, LOG_LEVEL_ERROR, ERRORS, &ignored),
        &ignored);
    put(c->reply, "warnings", log_to_json(c->engine, name, LOG_LEVEL_WARN, WARNINGS, &ignored),
        &ignored);
    put_servers(c, &d);
    diagnosis_free(&d);
    return true;
}
