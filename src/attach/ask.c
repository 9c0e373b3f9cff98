/* Requests of a console; see ask.h. */
#include "src/attach/ask.h"

#include <stdlib.h>

#include "base/mem.h"
#include "src/attach/from_json.h"
#include "src/cli/cli.h"
#include "src/client.h"

enum {
    READ_LIMIT_MS = 10000,
    DOCTOR_LIMIT_MS = 60000,
    CUTOVER_LIMIT_MS = 150000, /* two servers, 60 s each, and some */
};

/* One request, and the engine's error in *err when it was refused. *answer (may be NULL): caller
 * frees. */
static bool ask(const char *state_dir, const char *method, const char *path, const json_t *body,
                int limit_ms, const struct client_stop *stop, json_t **answer, struct err *err)
{
    struct answer a;
    enum client_end end =
        client_request_until(state_dir, method, path, body, limit_ms, stop, &a, err);
    enum err_code code = end == CLIENT_REFUSED ? err_code_from_json(a.json) : ERR_NONE;
    if (code != ERR_NONE)
        err->code = code;
    if (answer)
        *answer = end == CLIENT_DONE ? json_incref(a.json) : NULL;
    answer_free(&a);
    return end == CLIENT_DONE;
}

static bool ask_mirror(const char *state_dir, const char *mirror, const char *what, int limit_ms,
                       const struct client_stop *stop, json_t **answer, struct err *err)
{
    char *path = cli_path("/v1/mirrors/", mirror, what);
    bool ok = ask(state_dir, "GET", path, NULL, limit_ms, stop, answer, err);
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
    json_t *body = json_object();
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
