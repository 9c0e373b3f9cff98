/* Requests of a console; see ask.h. */
#include "src/attach/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "src/attach/from_json.h"
#include "src/cli/cli.h"
#include "src/client.h"
#include "src/http/to_json.h"

enum {
    READ_LIMIT_MS = 10000,
    DOCTOR_LIMIT_MS = 60000,
    SERVERS_LIMIT_MS = 60000,
    CUTOVER_LIMIT_MS = 150000, /* two servers, 60 s each, and some */
};

/* One request, and the engine's error in *err when it was refused. *answer (may be NULL): caller
 * frees. findings (may be NULL): those of a refusal. */
static bool ask_all(const char *state_dir, const char *method, const char *path, const json_t *body,
                    int limit_ms, const struct client_stop *stop, json_t **answer,
                    struct findings *findings, struct err *err)
{
    struct answer a;
    enum client_end end = client_request_until(CLIENT_CONSOLE, state_dir, method, path, body,
                                               limit_ms, stop, &a, err);
    enum err_code code = end == CLIENT_REFUSED ? err_code_from_json(a.json) : ERR_NONE;
    if (code != ERR_NONE)
        err->code = code;
    if (findings && end == CLIENT_REFUSED)
        findings_from_json(json_object_get(a.json, "findings"), findings);
    if (answer)
        *answer = end == CLIENT_DONE ? json_incref(a.json) : NULL;
    answer_free(&a);
    return end == CLIENT_DONE;
}

static bool ask(const char *state_dir, const char *method, const char *path, const json_t *body,
                int limit_ms, const struct client_stop *stop, json_t **answer, struct err *err)
{
    return ask_all(state_dir, method, path, body, limit_ms, stop, answer, NULL, err);
}

static bool ask_mirror(const char *state_dir, const char *mirror, const char *what, int limit_ms,
                       const struct client_stop *stop, json_t **answer, struct err *err)
{
    char *path = cli_path("/v1/mirrors/", mirror, what);
    bool ok = ask(state_dir, "GET", path, NULL, limit_ms, stop, answer, err);
    free(path);
    return ok;
}

static bool ask_peer(const char *state_dir, const char *method, const char *peer, const char *what,
                     const json_t *body, int limit_ms, json_t **answer, struct err *err)
{
    char *path = cli_path("/v1/peers/", peer, what);
    bool ok = ask(state_dir, method, path, body, limit_ms, NULL, answer, err);
    free(path);
    return ok;
}

/* The address of each command, and the body that says which of two it is. */
static const struct {
    const char *method, *address, *flag;
} addresses[MIRROR_COMMAND_COUNT] = {
    [MIRROR_PAUSE] = {"POST", "/pause", NULL},
    [MIRROR_RESUME] = {"POST", "/resume", NULL},
    [MIRROR_RETRY] = {"POST", "/retry", NULL},
    [MIRROR_TAKE_SLOT] = {"POST", "/retry", "take_slot"},
    [MIRROR_RECREATE] = {"POST", "/retry", "recreate_slot"},
    [MIRROR_RESYNC] = {"POST", "/resync", NULL},
    [MIRROR_RESYNC_TABLE] = {"POST", "/resync/", NULL},
    [MIRROR_SYNC_SCHEMA] = {"POST", "/sync-schema", NULL},
    [MIRROR_VERIFY] = {"POST", "/verify", NULL},
    [MIRROR_REPAIR] = {"POST", "/verify", "repair"},
    [MIRROR_CHANGE] = {"PATCH", "", NULL},
    [MIRROR_DELETE] = {"DELETE", "", NULL},
    [MIRROR_FORCE_DELETE] = {"DELETE", "?force=true", NULL},
};

bool ask_command(const char *state_dir, const char *mirror, const struct mirror_request *r,
                 int limit_ms, struct err *err)
{
    const char *flag = addresses[r->command].flag, *method = addresses[r->command].method;
    if (!method)
        return err_set(err, ERR_NOT_SUPPORTED, "%s cannot be asked for from an attached console",
                       command_name(r->command));
    char *path = cli_path("/v1/mirrors/", mirror, addresses[r->command].address);
    if (r->command == MIRROR_RESYNC_TABLE) {
        char *whole = cli_path(path, r->table, "");
        free(path);
        path = whole;
    }
    json_t *body =
        r->command == MIRROR_CHANGE ? mirror_change_body(r->settings, r->changes) : json_object();
    if (flag)
        json_object_set_new(body, flag, json_true());
    if (r->strategy)
        json_object_set_new(body, "strategy", json_string(r->strategy));
    bool ok = ask(state_dir, method, path, json_object_size(body) ? body : NULL, limit_ms, NULL,
                  NULL, err);
    json_decref(body);
    free(path);
    return ok;
}

bool ask_report(const char *state_dir, const char *mirror, struct verify_report *out,
                struct err *err)
{
    json_t *o;
    *out = (struct verify_report){0};
    if (!ask_mirror(state_dir, mirror, "/verify", READ_LIMIT_MS, NULL, &o, err))
        return false;
    verify_from_json(o, out);
    json_decref(o);
    return true;
}

bool ask_cutover(const char *state_dir, const char *mirror, const atomic_bool *give_up,
                 struct cutover *out, struct err *err)
{
    const struct client_stop stop = {.give_up = give_up};
    json_t *o;
    *out = (struct cutover){0};
    if (!ask_mirror(state_dir, mirror, "/cutover", CUTOVER_LIMIT_MS, &stop, &o, err))
        return false;
    cutover_from_json(o, out);
    json_decref(o);
    return true;
}

bool ask_doctor(const char *state_dir, const char *mirror, const atomic_bool *give_up,
                struct findings *out, struct err *err)
{
    const struct client_stop stop = {.give_up = give_up};
    json_t *o;
    *out = (struct findings){0};
    if (!ask_mirror(state_dir, mirror, "/doctor", DOCTOR_LIMIT_MS, &stop, &o, err))
        return false;
    doctor_from_json(o, out);
    json_decref(o);
    return true;
}

bool ask_slots(const char *state_dir, struct slot_list *out, struct err *err)
{
    json_t *o;
    *out = (struct slot_list){0};
    if (!ask(state_dir, "GET", "/v1/slots", NULL, READ_LIMIT_MS, NULL, &o, err))
        return false;
    slots_from_json(o, out);
    json_decref(o);
    return true;
}

bool ask_runs(const char *state_dir, const char *mirror, int limit, struct run_page *out,
              struct err *err)
{
    json_t *o;
    *out = (struct run_page){0};
    char *query = mem_printf("/runs?limit=%d", limit);
    char *path = mirror ? cli_path("/v1/mirrors/", mirror, query) : mem_printf("/v1%s", query);
    bool ok = ask(state_dir, "GET", path, NULL, READ_LIMIT_MS, NULL, &o, err);
    if (ok)
        runs_from_json(o, out);
    if (ok)
        json_decref(o);
    free(query);
    free(path);
    return ok;
}

bool ask_config(const char *state_dir, const char *mirror, struct mirror_config *out,
                struct err *err)
{
    json_t *o;
    if (!ask_mirror(state_dir, mirror, "/config", READ_LIMIT_MS, NULL, &o, err))
        return false;
    bool ok = mirror_config_from_json(o, out, err);
    json_decref(o);
    return ok;
}

bool ask_schema_plan(const char *state_dir, const char *mirror, struct schema_plan *out,
                     struct err *err)
{
    json_t *o, *body = json_pack("{s:b}", "dry_run", 1);
    char *path = cli_path("/v1/mirrors/", mirror, "/sync-schema");
    *out = (struct schema_plan){0};
    bool ok = ask(state_dir, "POST", path, body, SERVERS_LIMIT_MS, NULL, &o, err);
    if (ok) {
        schema_plan_from_json(o, out);
        json_decref(o);
    }
    json_decref(body);
    free(path);
    return ok;
}

bool ask_peers(const char *state_dir, struct peer_list *out, struct err *err)
{
    json_t *o;
    *out = (struct peer_list){0};
    if (!ask(state_dir, "GET", "/v1/peers", NULL, READ_LIMIT_MS, NULL, &o, err))
        return false;
    peers_from_json(o, out);
    json_decref(o);
    return true;
}

bool ask_peer_test(const char *state_dir, const char *peer, struct peer_report *out,
                   struct err *err)
{
    json_t *o;
    *out = (struct peer_report){0};
    if (!ask_peer(state_dir, "POST", peer, "/test", NULL, SERVERS_LIMIT_MS, &o, err))
        return false;
    bool ok = peer_report_from_json(o, out, err);
    json_decref(o);
    return ok;
}

bool ask_peer_save(const char *state_dir, const struct peer *p, unsigned fields, struct err *err)
{
    json_t *body = peer_body(p, fields);
    bool ok = fields ? ask_peer(state_dir, "PUT", p->name, "", body, READ_LIMIT_MS, NULL, err)
                     : ask(state_dir, "POST", "/v1/peers", body, READ_LIMIT_MS, NULL, NULL, err);
    json_decref(body);
    return ok;
}

bool ask_peer_delete(const char *state_dir, const char *peer, struct err *err)
{
    return ask_peer(state_dir, "DELETE", peer, "", NULL, READ_LIMIT_MS, NULL, err);
}

bool ask_survey(const char *state_dir, const char *source, const char *dest, struct survey *out,
                struct err *err)
{
    json_t *o, *body = json_object();
    if (dest)
        json_object_set_new(body, "destination", json_string(dest));
    *out = (struct survey){0};
    bool ok = ask_peer(state_dir, "POST", source, "/check", body, SERVERS_LIMIT_MS, &o, err);
    if (ok) {
        survey_from_json(o, out);
        json_decref(o);
    }
    json_decref(body);
    return ok;
}

bool ask_available(const char *state_dir, const char *mirror, struct peer_table_list *out,
                   struct err *err)
{
    json_t *o;
    *out = (struct peer_table_list){0};
    if (!ask_mirror(state_dir, mirror, "/available-tables", SERVERS_LIMIT_MS, NULL, &o, err))
        return false;
    peer_tables_from_json(o, out);
    json_decref(o);
    return true;
}

bool ask_create(const char *state_dir, const struct mirror_config *c, struct findings *findings,
                struct err *err)
{
    json_t *body = mirror_body(c);
    bool ok = ask_all(state_dir, "POST", "/v1/mirrors", body, SERVERS_LIMIT_MS, NULL, NULL,
                      findings, err);
    json_decref(body);
    return ok;
}

bool ask_set_tables(const char *state_dir, const char *mirror, const struct table_map *tables,
                    size_t n, struct findings *findings, struct err *err)
{
    json_t *maps = json_array();
    char *path = cli_path("/v1/mirrors/", mirror, "/tables");
    for (size_t i = 0; i < n; i++)
        json_array_append_new(maps, table_map_to_json(&tables[i]));
    json_t *body = json_pack("{s:o}", "table_mappings", maps);
    bool ok = ask_all(state_dir, "PUT", path, body, SERVERS_LIMIT_MS, NULL, NULL, findings, err);
    json_decref(body);
    free(path);
    return ok;
}

/* A new file that nobody else reads or has prepared. */
static bool write_new(const char *path, const json_t *o, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && json_dumpfd(o, fd, JSON_INDENT(2)) == 0;
    int why = errno;
    if (fd >= 0 && close(fd) != 0 && ok) {
        ok = false;
        why = errno;
    }
    return ok || err_set(err, ERR_IO, "%s cannot be written: %s", path, strerror(why));
}

bool ask_bundle(const char *state_dir, const char *mirror, char **path, struct err *err)
{
    json_t *o;
    const char *dir = getenv("TMPDIR");
    char at[32] = "";
    time_t now = time(NULL);
    struct tm tm;
    *path = NULL;
    if (!ask_mirror(state_dir, mirror, "/diagnostics", SERVERS_LIMIT_MS, NULL, &o, err))
        return false;
    localtime_r(&now, &tm);
    (void)strftime(at, sizeof at, "%Y%m%d-%H%M%S", &tm);
    *path = mem_printf("%s/bunnydb-%s-%s.json", dir && *dir ? dir : "/tmp", mirror, at);
    bool ok = write_new(*path, o, err);
    json_decref(o);
    return ok;
}
