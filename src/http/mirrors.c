/* The endpoints under /v1/mirrors; see mirrors.h. */
#include "src/http/mirrors.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "src/http/to_json.h"
#include "src/spec.h"

#define COMMAND_LIMIT_MS 30000 /* a client waits no longer for a pause; the pause goes on */

static bool no_mirror(const char *name, struct err *err)
{
    return err_set(err, ERR_MIRROR_NOT_FOUND, "no mirror is named %.64s", name);
}

/* --- What is there ---------------------------------------------------------------------------- */
/* The answer that was made from the same revision before. */
static bool reply_kept(struct call *c, const char *key, uint64_t revision)
{
    c->text = rendered_get(&c->api->rendered, key, revision, &c->text_len);
    return c->text != NULL;
}

/* Takes o over. */
static void reply_and_keep(struct call *c, const char *key, uint64_t revision, json_t *o)
{
    c->text = json_dumps(o, JSON_COMPACT);
    if (c->text) {
        c->text_len = strlen(c->text);
        rendered_put(&c->api->rendered, key, revision, c->text, c->text_len);
    }
    json_decref(o);
}

bool mirrors_list(struct call *c, struct err *err)
{
    static const char key[] = "*"; /* no mirror's name */
    (void)err;
    const struct picture *p = engine_picture(c->engine);
    if (!reply_kept(c, key, p->version)) {
        json_t *all = json_array();
        for (size_t i = 0; i < p->n; i++)
            json_array_append_new(all, mirror_summary_to_json(&p->mirrors[i]));
        reply_and_keep(c, key, p->version, all);
    }
    picture_release(p);
    return true;
}

bool mirrors_show(struct call *c, struct err *err)
{
    const char *name = c->args[0];
    const struct picture *p = engine_picture(c->engine);
    const struct mirror_status *m = picture_find(p, name);
    if (m && !reply_kept(c, name, m->revision))
        reply_and_keep(c, name, m->revision, mirror_status_to_json(m));
    picture_release(p);
    return m || no_mirror(name, err);
}

static bool has_mirror(struct call *c, const char *name, struct err *err)
{
    const struct picture *p = engine_picture(c->engine);
    bool found = picture_find(p, name);
    picture_release(p);
    return found || no_mirror(name, err);
}

/* The status object; NULL when there is no such mirror. */
static json_t *status_of(struct call *c, const char *name)
{
    const struct picture *p = engine_picture(c->engine);
    const struct mirror_status *m = picture_find(p, name);
    json_t *o = m ? mirror_status_to_json(m) : NULL;
    picture_release(p);
    return o;
}

bool mirrors_tables(struct call *c, struct err *err)
{
    struct mirror_config m = {0};
    if (!engine_mirror_config(c->engine, c->args[0], &m, err))
        return false;
    c->reply = json_array();
    for (size_t i = 0; i < m.n_tables; i++)
        json_array_append_new(c->reply, table_map_to_json(&m.tables[i]));
    mirror_config_free(&m);
    return true;
}

struct logs_query {
    int limit;
    int64_t offset;
    char level[8];
    char *search;
};
#define AT(member) offsetof(struct logs_query, member)
static const struct field logs_rows[] = {
    {.name = "limit", .type = FIELD_INT, .offset = AT(limit), .min = 1, .max = 500},
    {.name = "offset", .type = FIELD_INT64, .offset = AT(offset), .min = 0, .max = INT64_MAX},
    {.name = "level",
     .type = FIELD_CHOICE,
     .offset = AT(level),
     .max = 7,
     .choices = "DEBUG|INFO|WARN|ERROR|debug=DEBUG|info=INFO|warn=WARN|error=ERROR"},
    {.name = "search", .type = FIELD_STRING, .offset = AT(search), .max = 200},
};
const struct field_table mirror_logs_query = FIELD_TABLE(logs_rows);

static bool read_logs(struct call *c, const struct logs_query *q, struct err *err)
{
    struct log_page page = {0};
    enum log_level level = LOG_LEVEL_DEBUG;
    bool exact = q->level[0] && log_level_parse(q->level, &level);
    const char *search = q->search && *q->search ? q->search : NULL;
    if (!engine_logs(c->engine, c->args[0], level, exact, search, q->limit, q->offset, &page, err))
        return false;
    json_t *rows = json_array();
    for (size_t i = 0; i < page.n; i++)
        json_array_append_new(rows, log_row_to_json(&page.rows[i]));
    c->reply = json_pack("{s:o, s:I, s:I, s:i}", "logs", rows, "total", (json_int_t)page.total,
                         "offset", (json_int_t)q->offset, "limit", q->limit);
    log_page_free(&page);
    return true;
}

bool mirrors_logs(struct call *c, struct err *err)
{
    struct logs_query q = {.limit = 50};
    bool ok = has_mirror(c, c->args[0], err) &&
              fields_read(&mirror_logs_query, c->query, true, &q, NULL, err) &&
              read_logs(c, &q, err);
    free(q.search);
    return ok;
}

/* --- Commands --------------------------------------------------------------------------------- */
bool mirrors_add(struct call *c, struct err *err)
{
    struct mirror_spec s;
    c->status = 201;
    bool ok = mirror_spec_read(c->body, &s, err) &&
              engine_mirror_create(c->engine, &s.config, &c->findings, err);
    if (ok) {
        c->reply = status_of(c, s.config.name);
    } else if (err->code == ERR_PEER_NOT_FOUND) {
        c->error_status = 400; /* here the peer is a field, not the address */
    }
    if (ok && !c->reply) /* deleted by somebody else in between */
        ok = no_mirror(s.config.name, err);
    mirror_config_free(&s.config);
    return ok;
}

static bool command(struct call *c, enum mirror_command kind, char **note, struct err *err)
{
    struct mirror_request r = {.command = kind, .by = c->user.name};
    return engine_mirror_command(c->engine, c->args[0], &r, COMMAND_LIMIT_MS, note, err);
}

struct delete_query {
    bool force;
};
static const struct field delete_rows[] = {
    {.name = "force", .type = FIELD_BOOL, .offset = offsetof(struct delete_query, force)},
};
const struct field_table mirror_delete_query = FIELD_TABLE(delete_rows);

bool mirrors_remove(struct call *c, struct err *err)
{
    struct delete_query q = {0};
    char *left = NULL;
    bool ok = fields_read(&mirror_delete_query, c->query, true, &q, NULL, err) &&
              command(c, q.force ? MIRROR_FORCE_DELETE : MIRROR_DELETE, &left, err);
    if (ok) {
        c->reply = json_pack("{s:s}", "deleted", c->args[0]);
        if (left && *left)
            json_put_text(c->reply, "left_behind", left);
    } else if (err->code == ERR_CLEANUP && !err->hint[0]) {
        (void)err_hint(err, "?force=true forgets the mirror anyway and says what is left behind");
    }
    free(left);
    return ok;
}

static void reply_done(struct call *c, const char *message, const char *status)
{
    c->reply = json_pack("{s:s, s:s}", "message", message, "status", status);
}

bool mirrors_pause(struct call *c, struct err *err)
{
    if (!command(c, MIRROR_PAUSE, NULL, err))
        return false;
    reply_done(c, "mirror paused; the slot stays and keeps WAL at the source", "paused");
    return true;
}

bool mirrors_resume(struct call *c, struct err *err)
{
    if (!command(c, MIRROR_RESUME, NULL, err))
        return false;
    reply_done(c, "mirror resumed", "running");
    return true;
}

struct retry_body {
    bool recreate_slot, take_slot;
};
static const struct field retry_rows[] = {
    {.name = "recreate_slot",
     .type = FIELD_BOOL,
     .offset = offsetof(struct retry_body, recreate_slot)},
    {.name = "take_slot", .type = FIELD_BOOL, .offset = offsetof(struct retry_body, take_slot)},
};
static const struct field_table retry_fields = FIELD_TABLE(retry_rows);

bool mirrors_retry(struct call *c, struct err *err)
{
    struct retry_body b = {0};
    if (!fields_read(&retry_fields, c->body, true, &b, NULL, err) ||
        !command(c,
                 b.recreate_slot ? MIRROR_RECREATE
                 : b.take_slot   ? MIRROR_TAKE_SLOT
                                 : MIRROR_RETRY,
                 NULL, err))
        return false;
    c->status = 202;
    reply_done(c,
               b.recreate_slot ? "retrying with a new slot and a new snapshot"
               : b.take_slot   ? "retrying; whoever holds the slot is ended"
                               : "retrying",
               "running");
    return true;
}

struct resync_body {
    char strategy[16];
};
static const struct field resync_rows[] = {
    {.name = "strategy",
     .type = FIELD_CHOICE,
     .offset = offsetof(struct resync_body, strategy),
     .max = 15,
     .choices = "truncate|swap"},
};
static const struct field_table resync_fields = FIELD_TABLE(resync_rows);

static bool resync(struct call *c, const char *table, struct err *err)
{
    struct resync_body b = {0};
    if (!fields_read(&resync_fields, c->body, true, &b, NULL, err))
        return false;
    struct mirror_request r = {.command = table ? MIRROR_RESYNC_TABLE : MIRROR_RESYNC,
                               .by = c->user.name,
                               .table = table,
                               .strategy = b.strategy[0] ? b.strategy : NULL};
    if (!engine_mirror_command(c->engine, c->args[0], &r, COMMAND_LIMIT_MS, NULL, err))
        return false;
    c->status = 202;
    reply_done(c, table ? "the table is copied again" : "all tables are copied again",
               table ? "running" : "snapshotting");
    return true;
}

bool mirrors_resync(struct call *c, struct err *err)
{
    return resync(c, NULL, err);
}

bool mirrors_resync_table(struct call *c, struct err *err)
{
    return resync(c, c->args[1], err);
}

bool mirrors_set_tables(struct call *c, struct err *err)
{
    struct mirror_spec s;
    bool ok = mirror_maps_read(c->body, &s, err) &&
              engine_mirror_set_tables(c->engine, c->args[0], c->user.name, s.config.tables,
                                       s.config.n_tables, &c->findings, err);
    mirror_config_free(&s.config);
    return ok && mirrors_tables(c, err);
}

/* The settings as they are recorded now, what was changed, and when that is in effect. */
bool mirrors_change(struct call *c, struct err *err)
{
    struct mirror_spec s;
    struct mirror_config now = {0};
    struct mirror_request r = {.command = MIRROR_CHANGE, .by = c->user.name};
    char *note = NULL;
    if (!has_mirror(c, c->args[0], err) || !mirror_change_read(c->body, &s, &r.changes, err))
        return false;
    r.settings = &s.config.settings;
    bool ok = engine_mirror_command(c->engine, c->args[0], &r, COMMAND_LIMIT_MS, &note, err) &&
              engine_mirror_config(c->engine, c->args[0], &now, err);
    if (ok) {
        c->reply = json_object();
        json_put_text(c->reply, "message", note);
        json_object_set_new(c->reply, "settings", mirror_settings_to_json(&now.settings));
    }
    mirror_config_free(&now);
    free(note);
    return ok;
}

static bool accept(struct call *c, enum mirror_command kind, const char *message, struct err *err)
{
    if (!command(c, kind, NULL, err))
        return false;
    c->status = 202;
    reply_done(c, message, "running");
    return true;
}

/* --- Definitions ------------------------------------------------------------------------------ */
static json_t *step_to_json(const struct schema_step *s)
{
    json_t *o = json_object();
    json_put_text(o, "kind", step_kind_name(s->kind));
    json_put_text(o, "what", s->what);
    json_put_text(o, "table", s->table);
    json_put_text(o, "sql", s->sql);
    json_put_text(o, "why", s->why);
    json_object_set_new(o, "needs_copy", json_boolean(s->needs_copy));
    return o;
}

/* "statements" is what would run, in order; "steps" has also what is left to the operator. */
static bool preview_schema(struct call *c, struct err *err)
{
    struct schema_plan plan;
    if (!engine_mirror_schema_plan(c->engine, c->args[0], &plan, err))
        return false;
    json_t *statements = json_array(), *steps = json_array();
    for (size_t i = 0; i < plan.n; i++) {
        json_t *step = step_to_json(&plan.items[i]);
        if (plan.items[i].kind == STEP_RUN)
            json_array_append(statements, json_object_get(step, "sql"));
        json_array_append_new(steps, step);
    }
    c->reply = json_pack("{s:o, s:o}", "statements", statements, "steps", steps);
    schema_plan_free(&plan);
    return true;
}

struct sync_body {
    bool dry_run;
};
static const struct field sync_rows[] = {
    {.name = "dry_run", .type = FIELD_BOOL, .offset = offsetof(struct sync_body, dry_run)},
};
static const struct field_table sync_fields = FIELD_TABLE(sync_rows);

bool mirrors_sync_schema(struct call *c, struct err *err)
{
    struct sync_body b = {0};
    if (!fields_read(&sync_fields, c->body, true, &b, NULL, err))
        return false;
    if (b.dry_run)
        return preview_schema(c, err);
    return accept(c, MIRROR_SYNC_SCHEMA,
                  "the destination's definitions follow the source's; the slot is kept", err);
}

struct verify_body {
    bool repair;
};
static const struct field verify_rows[] = {
    {.name = "repair", .type = FIELD_BOOL, .offset = offsetof(struct verify_body, repair)},
};
static const struct field_table verify_fields = FIELD_TABLE(verify_rows);

bool mirrors_verify(struct call *c, struct err *err)
{
    struct verify_body b = {0};
    if (!fields_read(&verify_fields, c->body, true, &b, NULL, err))
        return false;
    if (b.repair)
        return accept(c, MIRROR_REPAIR,
                      "both sides are compared, rows that differ repaired, and all compared again; "
                      "GET …/verify has the report",
                      err);
    return accept(c, MIRROR_VERIFY, "both sides are compared; GET …/verify has the report", err);
}
