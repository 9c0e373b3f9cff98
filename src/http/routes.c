/* The table of routes: what the API has. The manual page is printed from it. */
#include "src/http/auth.h"
#include "src/http/check.h"
#include "src/http/console.h"
#include "src/http/cutover.h"
#include "src/http/metrics.h"
#include "src/http/mirror_reads.h"
#include "src/http/mirrors.h"
#include "src/http/peers.h"
#include "src/http/router.h"
#include "src/http/users.h"

#include "base/mem.h"

static bool show_health(struct call *c, struct err *err)
{
    (void)err;
    c->reply = json_pack("{s:s, s:s}", "status", "ok", "version", engine_version());
    return true;
}

#define GET "GET"
#define POST "POST"
#define PUT "PUT"
#define PATCH "PATCH"
#define DELETE "DELETE"
#define OPEN LEVEL_OPEN
#define AUTHED LEVEL_AUTHED
#define ADMIN LEVEL_ADMIN
/* method, address, level, handler, parameters, whether it takes a body, meaning */
const struct route routes[] = {
    {GET, "/health", OPEN, show_health, NULL, false, "Whether the process runs."},
    {GET, "/metrics", LEVEL_METRICS, metrics_show, &metrics_query, false,
     "Figures for Prometheus; tables=yes: also by table."},
    {POST, "/v1/auth/login", OPEN, auth_login, NULL, true, "Name and password for a token."},
    {POST, "/v1/auth/logout", AUTHED, auth_logout, NULL, false, "End the token."},
    {GET, "/v1/auth/me", AUTHED, auth_me, NULL, false, "Whose token this is."},
    {POST, "/v1/auth/change-password", AUTHED, auth_change_password, NULL, true,
     "New password; ends the user's other tokens."},
    {GET, "/v1/users", ADMIN, users_list, NULL, false, "All users."},
    {POST, "/v1/users", ADMIN, users_add, NULL, true, "Make a user."},
    {DELETE, "/v1/users/{username}", ADMIN, users_remove, NULL, false, "Delete a user."},
    {GET, "/v1/peers", AUTHED, peers_list, NULL, false, "All peers."},
    {POST, "/v1/peers", ADMIN, peers_add, NULL, true, "Make a peer."},
    {GET, "/v1/peers/{name}", AUTHED, peers_show, NULL, false, "One peer."},
    {PUT, "/v1/peers/{name}", ADMIN, peers_change, NULL, true,
     "Change fields of a peer; its mirrors connect again."},
    {DELETE, "/v1/peers/{name}", ADMIN, peers_remove, NULL, false, "Delete a peer."},
    {GET, "/v1/peers/{name}/tables", AUTHED, peers_tables, NULL, false,
     "The tables of a peer, and whether they can be mirrored."},
    {POST, "/v1/peers/{name}/test", ADMIN, peers_test, NULL, false,
     "Log in, and check what a source and a destination need."},
    {POST, "/v1/peers/{name}/check", ADMIN, peers_check, NULL, true,
     "What a mirror of all its tables would meet, and what helps; destination: to that peer."},
    {GET, "/v1/console", AUTHED, console_show, &console_query, false,
     "What a console draws: all mirrors and the log. With instance, version, revision and line of "
     "an earlier answer only what is new, after at most wait_ms."},
    {GET, "/v1/slots", AUTHED, all_slots, NULL, false,
     "All slots of all sources, of mirrors and of others, as they were sampled last."},
    {GET, "/v1/runs", AUTHED, all_runs, &mirror_runs_query, false,
     "The history of all mirrors, newest run first: limit, offset."},
    {GET, "/v1/mirrors", AUTHED, mirrors_list, NULL, false, "All mirrors, in short."},
    {POST, "/v1/mirrors", ADMIN, mirrors_add, NULL, true, "Check both servers and make a mirror."},
    {GET, "/v1/mirrors/{name}", AUTHED, mirrors_show, NULL, false, "The status of a mirror."},
    {PATCH, "/v1/mirrors/{name}", ADMIN, mirrors_change, NULL, true,
     "Other settings for a mirror; in effect with its next run, which it begins by itself."},
    {DELETE, "/v1/mirrors/{name}", ADMIN, mirrors_remove, &mirror_delete_query, false,
     "Delete a mirror, its slot and its publication; the destination's tables stay."},
    {POST, "/v1/mirrors/{name}/pause", ADMIN, mirrors_pause, NULL, false,
     "Stop applying; the slot stays."},
    {POST, "/v1/mirrors/{name}/resume", ADMIN, mirrors_resume, NULL, false, "Go on."},
    {POST, "/v1/mirrors/{name}/retry", ADMIN, mirrors_retry, NULL, true,
     "Try again now; recreate_slot: with a new slot and snapshot; take_slot: its holder is ended."},
    {POST, "/v1/mirrors/{name}/resync", ADMIN, mirrors_resync, NULL, true,
     "Copy all tables again; strategy: truncate empties them, swap keeps the old rows until then."},
    {POST, "/v1/mirrors/{name}/resync/{table}", ADMIN, mirrors_resync_table, NULL, true,
     "The same for one table, schema.table, while the others go on."},
    {POST, "/v1/mirrors/{name}/sync-schema", ADMIN, mirrors_sync_schema, NULL, true,
     "Let the destination's definitions follow the source's; dry_run: only say how."},
    {POST, "/v1/mirrors/{name}/verify", ADMIN, mirrors_verify, NULL, true,
     "Compare all rows of both sides, while the mirror goes on; repair: make equal what differs."},
    {GET, "/v1/mirrors/{name}/verify", AUTHED, mirror_verify_report, NULL, false,
     "The last comparison: of each table how many rows differ, and the first 100 of them."},
    {GET, "/v1/mirrors/{name}/cutover", AUTHED, mirror_cutover, NULL, false,
     "What remains before applications move to the destination; changes nothing."},
    {POST, "/v1/mirrors/{name}/cutover", ADMIN, mirror_set_read_only, NULL, true,
     "read_only true: new sessions of the source's database only read; false: they may write."},
    {PUT, "/v1/mirrors/{name}/tables", ADMIN, mirrors_set_tables, NULL, true,
     "Other tables, while it is paused; added ones are copied on resume."},
    {GET, "/v1/mirrors/{name}/tables", AUTHED, mirrors_tables, NULL, false,
     "The tables of a mirror."},
    {GET, "/v1/mirrors/{name}/available-tables", AUTHED, mirror_available_tables, NULL, false,
     "The source's tables that are not in the mirror."},
    {GET, "/v1/mirrors/{name}/logs", AUTHED, mirrors_logs, &mirror_logs_query, false,
     "The log of a mirror, newest first: limit, offset, level, search."},
    {GET, "/v1/mirrors/{name}/runs", AUTHED, mirror_runs, &mirror_runs_query, false,
     "The history of a mirror, newest run first: limit, offset."},
    {GET, "/v1/mirrors/{name}/config", AUTHED, mirror_show_config, NULL, false,
     "What a mirror was made of: tables, settings, names."},
    {GET, "/v1/mirrors/{name}/doctor", AUTHED, mirror_doctor, NULL, false,
     "What may be wrong, as a checklist: status, findings, history, log, source, destination."},
    {GET, "/v1/mirrors/{name}/diagnostics", AUTHED, mirror_diagnostics, NULL, false,
     "What a bug report needs, without secrets and values: program, servers, mirror, errors."},
};
const size_t route_count = COUNT_OF(routes);
