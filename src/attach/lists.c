/* What a console reads beside the status: slots, runs, peers, plans, surveys; see from_json.h. */
#include "src/attach/from_json.h"

#include <stdlib.h>
#include <string.h>

#include "src/attach/reads.h"
#include "src/http/to_json.h"
#include "src/spec.h"

/* --- Findings --------------------------------------------------------------------------------- */
enum severity severity_from_json(const json_t *o, const char *key)
{
    for (int s = SEVERITY_OK; s <= SEVERITY_ERROR; s++)
        if (!strcmp(text(o, key), severity_name((enum severity)s)))
            return (enum severity)s;
    return SEVERITY_INFO;
}

void finding_from_json(const json_t *o, struct finding *f)
{
    COPY(f->code, o, "code");
    f->severity = severity_from_json(o, "severity");
    COPY(f->title, o, "title");
    COPY(f->cause, o, "cause");
    COPY(f->remedy, o, "remedy");
    COPY(f->action, o, "action");
}

void findings_from_json(const json_t *array, struct findings *out)
{
    size_t i, k;
    const json_t *o, *item;
    json_array_foreach(array, i, o)
    {
        struct finding f = {0};
        finding_from_json(o, &f);
        findings_add(out, f.code, f.severity, f.title, f.cause, f.remedy, f.action);
        json_array_foreach(json_object_get(o, "items"), k, item)
        {
            findings_item(&out->items[out->n - 1], text(item, "name"), text(item, "note"),
                          text(item, "statement"));
        }
    }
}

/* --- Slots ------------------------------------------------------------------------------------ */
void slot_from_json(const json_t *o, struct slot_status *s)
{
    s->sampled_at = time_from_json(o, "sampled_at");
    s->exists = is_true(o, "exists");
    s->active = is_true(o, "active");
    s->active_pid = whole_int(o, "active_pid");
    COPY(s->wal_status, o, "wal_status");
    s->confirmed_flush = lsn(o, "confirmed_flush_lsn");
    s->restart = lsn(o, "restart_lsn");
    s->retained_bytes = whole(o, "retained_bytes");
    s->safe_wal_size = known(o, "safe_wal_size");
    s->xmin_age = known(o, "xmin_age");
}

void slots_from_json(const json_t *o, struct slot_list *out)
{
    const json_t *slots = json_object_get(o, "slots"), *sources = json_object_get(o, "sources");
    *out = (struct slot_list){.n_slots = json_array_size(slots),
                              .n_sources = json_array_size(sources)};
    out->slots = mem_calloc(out->n_slots + 1, sizeof *out->slots);
    out->sources = mem_calloc(out->n_sources + 1, sizeof *out->sources);
    for (size_t i = 0; i < out->n_slots; i++) {
        const json_t *x = json_array_get(slots, i);
        struct source_slot *s = &out->slots[i];
        COPY(s->source_peer, x, "source_peer");
        COPY(s->name, x, "name");
        COPY(s->mirror, x, "mirror");
        COPY(s->type, x, "type");
        COPY(s->plugin, x, "plugin");
        COPY(s->database, x, "database");
        s->is_temporary = is_true(x, "temporary");
        slot_from_json(x, &s->status);
    }
    for (size_t i = 0; i < out->n_sources; i++) {
        const json_t *x = json_array_get(sources, i);
        struct source_sample *s = &out->sources[i];
        COPY(s->peer, x, "peer");
        s->sampled_at = time_from_json(x, "sampled_at");
        s->wal_end = lsn(x, "wal_end");
        COPY(s->error, x, "error");
    }
}

/* --- Runs ------------------------------------------------------------------------------------- */
static void read_run(const json_t *o, struct run_row *r)
{
    const json_t *events = json_object_get(o, "state_changes");
    *r = (struct run_row){.id = whole(o, "id"),
                          .began_at = time_from_json(o, "began_at"),
                          .ended_at = time_from_json(o, "ended_at"),
                          .error = text_copy(o, "error"),
                          .n_events = json_array_size(events)};
    COPY(r->mirror, o, "mirror");
    COPY(r->kind, o, "kind");
    COPY(r->ending, o, "ending");
    COPY(r->begun_by, o, "begun_by");
    COPY(r->ended_by, o, "ended_by");
    r->events = mem_calloc(r->n_events + 1, sizeof *r->events);
    for (size_t i = 0; i < r->n_events; i++) {
        const json_t *x = json_array_get(events, i);
        struct run_event *e = &r->events[i];
        e->at = time_from_json(x, "at");
        COPY(e->state, x, "state");
        COPY(e->phase, x, "phase");
        e->text = text_copy(x, "text");
    }
}

void runs_from_json(const json_t *o, struct run_page *out)
{
    const json_t *runs = json_object_get(o, "runs");
    *out = (struct run_page){.n = json_array_size(runs), .total = whole(o, "total")};
    out->rows = mem_calloc(out->n + 1, sizeof *out->rows);
    for (size_t i = 0; i < out->n; i++)
        read_run(json_array_get(runs, i), &out->rows[i]);
}

/* --- Peers ------------------------------------------------------------------------------------ */
static void read_peer(const json_t *o, struct peer *p)
{
    const char *key;
    json_t *v, *options = json_object_get(o, "options");
    size_t n = json_object_size(options);
    *p = (struct peer){.name = mem_strdup(text(o, "name")),
                       .host = mem_strdup(text(o, "host")),
                       .port = whole_int(o, "port"),
                       .user = mem_strdup(text(o, "user")),
                       .database = mem_strdup(text(o, "database")),
                       .ssl_mode = mem_strdup(text(o, "ssl_mode")),
                       .has_password = is_true(o, "has_password"),
                       .created_at = time_from_json(o, "created_at"),
                       .updated_at = time_from_json(o, "updated_at")};
    p->option_names = mem_calloc(n + 1, sizeof *p->option_names);
    p->option_values = mem_calloc(n + 1, sizeof *p->option_values);
    json_object_foreach(options, key, v)
    {
        const char *value = json_string_value(v);
        p->option_names[p->n_options] = mem_strdup(key);
        p->option_values[p->n_options++] = mem_strdup(value ? value : "");
    }
}

void peers_from_json(const json_t *array, struct peer_list *out)
{
    *out = (struct peer_list){.n = json_array_size(array)};
    out->items = mem_calloc(out->n + 1, sizeof *out->items);
    for (size_t i = 0; i < out->n; i++)
        read_peer(json_array_get(array, i), &out->items[i]);
}

json_t *peer_body(const struct peer *p, unsigned fields)
{
    json_t *o = json_object(), *options = json_object();
    if (!fields)
        json_object_set_new(o, "name", json_string(p->name));
    fields = fields ? fields : ~0U;
    if (fields & PEER_HOST)
        json_object_set_new(o, "host", json_string(p->host));
    if (fields & PEER_PORT)
        json_object_set_new(o, "port", json_integer(p->port));
    if (fields & PEER_USER)
        json_object_set_new(o, "user", json_string(p->user));
    if (fields & PEER_PASSWORD && p->password && *p->password)
        json_object_set_new(o, "password", json_string(p->password));
    if (fields & PEER_DATABASE)
        json_object_set_new(o, "database", json_string(p->database));
    if (fields & PEER_SSL_MODE)
        json_object_set_new(o, "ssl_mode", json_string(p->ssl_mode));
    for (size_t i = 0; i < p->n_options; i++)
        json_object_set_new(options, p->option_names[i], json_string(p->option_values[i]));
    if (fields & PEER_OPTIONS)
        json_object_set(o, "options", options);
    json_decref(options);
    return o;
}

bool peer_report_from_json(const json_t *o, struct peer_report *out, struct err *err)
{
    *out = (struct peer_report){.version_num = whole_int(o, "version_num")};
    if (!is_true(o, "success")) {
        enum err_code code = err_code_from_json(o);
        (void)err_set(err, code == ERR_NONE ? ERR_CONNECT : code, "%s", text(o, "error"));
        return err_hint(err, "%s", text(o, "hint"));
    }
    COPY(out->version, o, "version");
    findings_from_json(json_object_get(o, "as_source"), &out->as_source);
    findings_from_json(json_object_get(o, "as_destination"), &out->as_destination);
    return true;
}

static void read_peer_table(const json_t *o, struct peer_table *t)
{
    COPY(t->schema, o, "schema");
    COPY(t->table, o, "table_name");
    COPY(t->kind, o, "kind");
    t->estimated_rows = known(o, "estimated_rows");
    t->bytes = whole(o, "bytes");
    COPY(t->replica_identity, o, "replica_identity");
    t->has_primary_key = is_true(o, "has_primary_key");
    t->can_mirror = is_true(o, "can_mirror");
    COPY(t->reason, o, "reason");
    COPY(t->extension, o, "extension");
}

void peer_tables_from_json(const json_t *array, struct peer_table_list *out)
{
    *out = (struct peer_table_list){.n = json_array_size(array)};
    out->items = mem_calloc(out->n + 1, sizeof *out->items);
    for (size_t i = 0; i < out->n; i++)
        read_peer_table(json_array_get(array, i), &out->items[i]);
}

/* --- Mirrors ---------------------------------------------------------------------------------- */
bool mirror_config_from_json(const json_t *o, struct mirror_config *out, struct err *err)
{
    struct mirror_spec s;
    bool ok = mirror_spec_read(o, &s, err);
    if (ok)
        *out = s.config;
    else
        mirror_config_free(&s.config);
    return ok;
}

static enum step_kind step_kind_of(const char *name)
{
    for (int k = STEP_RUN; k <= STEP_NOTE; k++)
        if (!strcmp(name, step_kind_name((enum step_kind)k)))
            return (enum step_kind)k;
    return STEP_MANUAL; /* one that we do not know is not passed over */
}

void schema_plan_from_json(const json_t *o, struct schema_plan *out)
{
    size_t i;
    const json_t *x;
    *out = (struct schema_plan){0};
    json_array_foreach(json_object_get(o, "steps"), i, x)
    {
        schema_plan_add(out, (struct schema_step){.kind = step_kind_of(text(x, "kind")),
                                                  .sql = text_copy(x, "sql"),
                                                  .what = text_copy(x, "what"),
                                                  .table = text_copy(x, "table"),
                                                  .why = text_copy(x, "why"),
                                                  .needs_copy = is_true(x, "needs_copy"),
                                                  .mapping = -1});
    }
}

/* Names that are not given are left to the engine. */
json_t *mirror_body(const struct mirror_config *c)
{
    json_t *o = mirror_config_to_json(c), *v;
    const char *key;
    void *next;
    json_object_foreach_safe(o, next, key, v)
    {
        if (json_is_null(v))
            json_object_del(o, key);
    }
    return o;
}

/* --- Surveys ---------------------------------------------------------------------------------- */
static void read_surveyed(const json_t *o, struct surveyed_table *t)
{
    size_t i;
    const json_t *code;
    const char *verdict = text(o, "verdict");
    enum severity worst = !strcmp(verdict, "mirrored")  ? SEVERITY_OK
                          : !strcmp(verdict, "remarks") ? SEVERITY_WARNING
                                                        : SEVERITY_ERROR;
    read_peer_table(o, &t->table);
    json_array_foreach(json_object_get(o, "findings"), i, code)
    {
        const char *name = json_string_value(code);
        verdict_add(&t->verdict, name ? name : "", worst);
    }
    t->verdict.worst = worst;
}

void survey_from_json(const json_t *o, struct survey *out)
{
    const json_t *tables = json_object_get(o, "tables"), *x;
    size_t i;
    *out = (struct survey){.n = json_array_size(tables)};
    out->items = mem_calloc(out->n + 1, sizeof *out->items);
    for (i = 0; i < out->n; i++)
        read_surveyed(json_array_get(tables, i), &out->items[i]);
    json_array_foreach(json_object_get(o, "findings"), i, x)
    {
        const char *about = text(x, "about");
        json_t *one = json_pack("[O]", x);
        findings_from_json(one, !strcmp(about, "source")        ? &out->source
                                : !strcmp(about, "destination") ? &out->destination
                                : !strcmp(about, "tables")      ? &out->tables
                                                                : &out->objects);
        json_decref(one);
    }
}
