/* The engine's data as the API's JSON; see to_json.h. */
#include "src/http/to_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* --- Small things ----------------------------------------------------------------------------- */
static json_t *text_to_json(const char *s)
{
    json_t *v = json_string(s);
    if (v)
        return v;
    char *copy = mem_strdup(s);
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    v = json_string(copy);
    free(copy);
    return v;
}

void json_put_text(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, text && *text ? text_to_json(text) : json_null());
}

static void put_int(json_t *o, const char *key, int64_t v)
{
    json_object_set_new(o, key, json_integer(v));
}

/* Negative: not known. */
static void put_known(json_t *o, const char *key, int64_t v)
{
    json_object_set_new(o, key, v < 0 ? json_null() : json_integer(v));
}

static void put_bool(json_t *o, const char *key, bool v)
{
    json_object_set_new(o, key, json_boolean(v));
}

static void put_real(json_t *o, const char *key, double v)
{
    json_object_set_new(o, key, v < 0 ? json_null() : json_real(v));
}

static void put_time(json_t *o, const char *key, int64_t wall_us)
{
    char text[CLOCK_TEXT_SIZE];
    json_put_text(o, key, clock_format(wall_us, text));
}

static void put_lsn(json_t *o, const char *key, lsn_t lsn)
{
    char text[LSN_TEXT_SIZE];
    json_put_text(o, key, lsn ? lsn_format(lsn, text) : NULL);
}

/* --- Findings and peers ----------------------------------------------------------------------- */
static json_t *item_to_json(const struct finding_item *item)
{
    json_t *o = json_object();
    json_put_text(o, "name", item->name);
    json_put_text(o, "note", item->note);
    json_put_text(o, "statement", item->statement);
    return o;
}

static json_t *finding_to_json(const struct finding *f)
{
    json_t *o = json_object();
    json_put_text(o, "code", f->code);
    json_put_text(o, "severity", severity_name(f->severity));
    json_put_text(o, "title", f->title);
    json_put_text(o, "cause", f->cause);
    json_put_text(o, "remedy", f->remedy);
    json_put_text(o, "action", f->action);
    if (f->n_items) {
        json_t *items = json_array();
        for (size_t i = 0; i < f->n_items; i++)
            json_array_append_new(items, item_to_json(&f->items[i]));
        json_object_set_new(o, "items", items);
    }
    return o;
}

json_t *findings_to_json(const struct finding *items, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, finding_to_json(&items[i]));
    return array;
}

json_t *peer_to_json(const struct peer *p)
{
    json_t *o = json_object(), *options = json_object();
    json_put_text(o, "name", p->name);
    json_put_text(o, "host", p->host);
    put_int(o, "port", p->port);
    json_put_text(o, "user", p->user);
    put_bool(o, "has_password", p->has_password);
    json_put_text(o, "database", p->database);
    json_put_text(o, "ssl_mode", p->ssl_mode);
    for (size_t i = 0; i < p->n_options; i++)
        json_put_text(options, p->option_names[i],
                      peer_option_is_secret(p->option_names[i]) ? PEER_HIDDEN
                                                                : p->option_values[i]);
    json_object_set_new(o, "options", options);
    put_time(o, "created_at", p->created_at);
    put_time(o, "updated_at", p->updated_at);
    return o;
}

static json_t *peer_table_to_json(const struct peer_table *t)
{
    json_t *o = json_object();
    json_put_text(o, "schema", t->schema);
    json_put_text(o, "table_name", t->table);
    json_put_text(o, "kind", t->kind);
    put_known(o, "estimated_rows", t->estimated_rows);
    put_int(o, "bytes", t->bytes);
    json_put_text(o, "replica_identity", t->replica_identity);
    put_bool(o, "has_primary_key", t->has_primary_key);
    put_bool(o, "can_mirror", t->can_mirror);
    json_put_text(o, "reason", t->reason);
    json_put_text(o, "extension", t->extension);
    return o;
}

json_t *peer_tables_to_json(const struct peer_table_list *l)
{
    json_t *array = json_array();
    for (size_t i = 0; i < l->n; i++)
        json_array_append_new(array, peer_table_to_json(&l->items[i]));
    return array;
}

/* --- Mirrors ---------------------------------------------------------------------------------- */
json_t *table_map_to_json(const struct table_map *m)
{
    json_t *o = json_object(), *exclude = json_array();
    json_put_text(o, "source_schema", m->source_schema);
    json_put_text(o, "source_table", m->source_table);
    json_put_text(o, "destination_schema", m->dest_schema);
    json_put_text(o, "destination_table", m->dest_table);
    for (size_t i = 0; i < m->n_exclude; i++)
        json_array_append_new(exclude, text_to_json(m->exclude[i]));
    json_object_set_new(o, "exclude_columns", exclude);
    json_put_text(o, "partition_key", m->partition_key);
    return o;
}

static void put_settings(json_t *o, const struct mirror_settings *s, unsigned which)
{
    for (unsigned i = 0; i < TUNE_COUNT; i++) {
        const char *name = tunables[i].name;
        const char *at = (const char *)s + tunables[i].offset;
        if (!(which & TUNE_BIT(i)))
            continue;
        switch (tunables[i].kind) {
        case TUNE_INT:
            put_int(o, name, *(const int *)(const void *)at);
            break;
        case TUNE_INT64:
            put_int(o, name, *(const int64_t *)(const void *)at);
            break;
        case TUNE_BOOL:
            put_bool(o, name, *(const bool *)(const void *)at);
            break;
        case TUNE_WORD:
            json_put_text(o, name, at);
            break;
        }
    }
}

json_t *mirror_settings_to_json(const struct mirror_settings *s)
{
    return mirror_change_body(s, TUNE_ALL);
}

json_t *mirror_change_body(const struct mirror_settings *s, unsigned changes)
{
    json_t *o = json_object();
    put_settings(o, s, changes);
    return o;
}

json_t *mirror_config_to_json(const struct mirror_config *c)
{
    json_t *o = json_object(), *tables = json_array();
    json_put_text(o, "name", c->name);
    json_put_text(o, "source_peer", c->source_peer);
    json_put_text(o, "destination_peer", c->dest_peer);
    put_bool(o, "do_initial_snapshot", c->do_initial_snapshot);
    json_put_text(o, "publication_name", c->publication);
    json_put_text(o, "replication_slot_name", c->slot);
    put_settings(o, &c->settings, TUNE_ALL);
    for (size_t i = 0; i < c->n_tables; i++)
        json_array_append_new(tables, table_map_to_json(&c->tables[i]));
    json_object_set_new(o, "table_mappings", tables);
    return o;
}

static void put_error(json_t *o, const struct mirror_status *m)
{
    const struct err *e = &m->error;
    char text[sizeof e->text + 16];
    bool has_sqlstate = e->sqlstate[0] && !strstr(e->text, e->sqlstate);
    str_printf(text, sizeof text, "%s%s%s", e->text, has_sqlstate ? " SQLSTATE " : "",
               has_sqlstate ? e->sqlstate : "");
    bool is_error = e->code != ERR_NONE;
    json_put_text(o, "error_message", is_error ? text : NULL);
    json_put_text(o, "error_code", is_error ? err_name(e->code) : NULL);
    json_put_text(o, "error_sqlstate", is_error ? e->sqlstate : NULL);
    json_put_text(o, "error_hint", is_error ? e->hint : NULL);
    put_int(o, "error_count", m->error_count);
    put_time(o, "error_at", m->error_at);
    put_time(o, "next_retry_at", m->next_retry_at);
}

json_t *mirror_summary_to_json(const struct mirror_status *m)
{
    json_t *o = json_object();
    json_put_text(o, "name", m->name);
    json_put_text(o, "source_peer", m->source_peer);
    json_put_text(o, "destination_peer", m->dest_peer);
    json_put_text(o, "status", mirror_state_name(m->state));
    json_put_text(o, "phase", m->phase);
    put_lsn(o, "last_lsn", m->last_lsn);
    put_lsn(o, "source_lsn", m->source_lsn);
    put_known(o, "lag_bytes", m->lag_bytes);
    put_real(o, "lag_seconds", m->lag_seconds);
    put_int(o, "last_sync_batch_id", m->last_batch_id);
    put_error(o, m);
    json_put_text(o, "operation", m->operation.name);
    json_put_text(o, "operation_by", m->operation.by);
    put_time(o, "operation_since", m->operation.since);
    put_time(o, "created_at", m->created_at);
    put_time(o, "updated_at", m->updated_at);
    return o;
}

static json_t *slot_to_json(const char *name, const struct slot_status *s)
{
    json_t *o = json_object();
    bool known = s->sampled_at != 0, is_there = known && s->exists;
    json_put_text(o, "name", name);
    json_object_set_new(o, "exists", known ? json_boolean(s->exists) : json_null());
    json_object_set_new(o, "active", is_there ? json_boolean(s->active) : json_null());
    put_known(o, "active_pid", is_there && s->active ? s->active_pid : -1);
    json_put_text(o, "wal_status", s->wal_status);
    put_lsn(o, "confirmed_flush_lsn", s->confirmed_flush);
    put_lsn(o, "restart_lsn", s->restart);
    put_known(o, "retained_bytes", is_there ? s->retained_bytes : -1);
    put_known(o, "safe_wal_size", is_there ? s->safe_wal_size : -1);
    put_known(o, "xmin_age", is_there ? s->xmin_age : -1);
    put_time(o, "sampled_at", s->sampled_at);
    return o;
}

static json_t *source_slot_to_json(const struct source_slot *s)
{
    json_t *o = slot_to_json(s->name, &s->status);
    json_put_text(o, "source_peer", s->source_peer);
    json_put_text(o, "mirror", s->mirror);
    json_put_text(o, "type", s->type);
    json_put_text(o, "plugin", s->plugin);
    json_put_text(o, "database", s->database);
    put_bool(o, "temporary", s->is_temporary);
    return o;
}

json_t *slots_to_json(const struct slot_list *l)
{
    json_t *slots = json_array(), *sources = json_array();
    for (size_t i = 0; i < l->n_slots; i++)
        json_array_append_new(slots, source_slot_to_json(&l->slots[i]));
    for (size_t i = 0; i < l->n_sources; i++) {
        const struct source_sample *s = &l->sources[i];
        json_t *o = json_object();
        json_put_text(o, "peer", s->peer);
        put_time(o, "sampled_at", s->sampled_at);
        put_lsn(o, "wal_end", s->wal_end);
        json_put_text(o, "error", s->error);
        json_array_append_new(sources, o);
    }
    return json_pack("{s:o, s:o}", "slots", slots, "sources", sources);
}

static json_t *table_status_to_json(const struct table_status *t)
{
    json_t *o = json_object();
    json_put_text(o, "table_name", t->source);
    json_put_text(o, "destination", t->dest);
    json_put_text(o, "status", t->state);
    put_int(o, "rows_synced", t->rows_synced);
    put_known(o, "rows_total", t->rows_total);
    put_int(o, "rows_inserted", t->rows_inserted);
    put_int(o, "rows_updated", t->rows_updated);
    put_int(o, "rows_deleted", t->rows_deleted);
    put_int(o, "rows_missing", t->rows_missing);
    put_int(o, "rows_conflicting", t->rows_conflicting);
    put_int(o, "bytes_done", t->bytes_done);
    put_int(o, "bytes_total", t->bytes_total);
    put_int(o, "workers", t->workers);
    put_int(o, "indexes_done", t->indexes_done);
    put_int(o, "indexes_total", t->indexes_total);
    put_time(o, "last_synced_at", t->last_synced_at);
    json_put_text(o, "error_message", t->error);
    return o;
}

static json_t *snapshot_to_json(const struct mirror_status *m)
{
    json_t *o = json_object();
    put_int(o, "tables_done", m->tables_done);
    put_int(o, "tables_total", m->tables_total);
    put_int(o, "bytes_done", m->bytes_done);
    put_int(o, "bytes_total", m->bytes_total);
    put_known(o, "eta_seconds", m->eta_seconds);
    return o;
}

static json_t *verify_status_to_json(const struct verify_status *v)
{
    if (!v->is_running)
        return json_null();
    json_t *o = json_object();
    put_int(o, "tables_done", v->tables_done);
    put_int(o, "tables_total", v->tables_total);
    put_int(o, "rows", v->rows);
    put_int(o, "bytes_done", v->bytes_done);
    put_int(o, "bytes_total", v->bytes_total);
    put_int(o, "differences", v->differences);
    return o;
}

static json_t *sequences_to_json(const struct sequence_status *s)
{
    json_t *o = json_object();
    put_int(o, "followed", s->followed);
    put_time(o, "last_synced_at", s->last_synced_at);
    return o;
}

/* 5 s apart, oldest first; null where there was no sample. */
static json_t *samples_to_json(const float samples[LAG_HISTORY])
{
    json_t *array = json_array();
    for (size_t i = 0; i < LAG_HISTORY; i++)
        json_array_append_new(array, samples[i] < 0 ? json_null() : json_real((double)samples[i]));
    return array;
}

static json_t *errors_to_json(const int parts[ERROR_HISTORY])
{
    json_t *array = json_array();
    for (size_t i = 0; i < ERROR_HISTORY; i++)
        json_array_append_new(array, json_integer(parts[i]));
    return array;
}

json_t *mirror_status_to_json(const struct mirror_status *m)
{
    json_t *o = mirror_summary_to_json(m), *rates = json_object(), *tables = json_array();
    json_object_set_new(o, "findings", findings_to_json(m->findings, m->n_findings));
    put_time(o, "heartbeat_at", m->heartbeat_at);
    json_object_set_new(o, "slot", slot_to_json(m->slot_name, &m->slot));
    json_put_text(o, "publication", m->publication);
    put_real(rates, "rows_per_second", m->rows_per_second);
    put_real(rates, "bytes_per_second", m->bytes_per_second);
    json_object_set_new(o, "throughput", rates);
    json_object_set_new(o, "snapshot", snapshot_to_json(m));
    json_object_set_new(o, "verify", verify_status_to_json(&m->verify));
    json_object_set_new(o, "sequences", sequences_to_json(&m->sequences));
    for (size_t i = 0; i < m->n_tables; i++)
        json_array_append_new(tables, table_status_to_json(&m->tables[i]));
    json_object_set_new(o, "tables", tables);
    put_time(o, "state_since", m->state_since);
    json_put_text(o, "on_table_error", m->on_table_error);
    json_put_text(o, "resync_strategy", m->resync_strategy);
    json_object_set_new(o, "settings", mirror_settings_to_json(&m->settings));
    put_bool(o, "settings_wait", m->settings_wait);
    json_object_set_new(o, "lag_history", samples_to_json(m->lag_history));
    json_object_set_new(o, "rows_history", samples_to_json(m->rows_history));
    json_object_set_new(o, "error_history", errors_to_json(m->error_history));
    return o;
}

json_t *log_row_to_json(const struct log_row *r)
{
    json_t *o = json_object();
    put_int(o, "id", r->id);
    json_put_text(o, "level", log_level_name(r->line.level));
    json_put_text(o, "component", r->line.component);
    json_put_text(o, "message", r->line.text);
    json_put_text(o, "details", r->line.details);
    put_time(o, "created_at", r->line.at);
    return o;
}

static json_t *run_event_to_json(const struct run_event *e)
{
    json_t *o = json_object();
    put_time(o, "at", e->at);
    json_put_text(o, "state", e->state);
    json_put_text(o, "phase", e->phase);
    json_put_text(o, "text", e->text);
    return o;
}

/* How long it took, or goes on; not known when the process died during the run. */
static double run_seconds(const struct run_row *r)
{
    int64_t end = r->ended_at ? r->ended_at : clock_wall_us();
    if (!strcmp(r->ending, "interrupted"))
        return -1;
    return end > r->began_at ? (double)((end - r->began_at) / 1000) / 1000.0 : 0;
}

static json_t *run_to_json(const struct run_row *r)
{
    json_t *o = json_object(), *events = json_array();
    put_int(o, "id", r->id);
    json_put_text(o, "mirror", r->mirror);
    json_put_text(o, "kind", r->kind);
    put_time(o, "began_at", r->began_at);
    put_time(o, "ended_at", r->ended_at);
    put_real(o, "duration_seconds", run_seconds(r));
    json_put_text(o, "ending", r->ending);
    json_put_text(o, "begun_by", r->begun_by);
    json_put_text(o, "ended_by", r->ended_by);
    json_put_text(o, "error", r->error);
    for (size_t i = 0; i < r->n_events; i++)
        json_array_append_new(events, run_event_to_json(&r->events[i]));
    json_object_set_new(o, "state_changes", events);
    return o;
}

json_t *runs_to_json(const struct run_page *p)
{
    json_t *array = json_array();
    for (size_t i = 0; i < p->n; i++)
        json_array_append_new(array, run_to_json(&p->rows[i]));
    return array;
}

/* --- Comparisons ------------------------------------------------------------------------------ */
/* {"kind": …, "key": {column: value}}, or without a key {"kind": …, "row": record}. */
static json_t *verify_row_to_json(const struct verify_table *t, const struct verify_row *r)
{
    json_t *o = json_object(), *key = json_object();
    json_put_text(o, "kind", verify_kind_name(r->kind));
    if (r->is_repaired)
        put_bool(o, "repaired", true);
    for (size_t i = 0; i < t->n_key && i < r->n_values; i++)
        json_object_set_new(key, t->key[i], text_to_json(r->values[i]));
    if (t->n_key || !r->n_values) {
        json_object_set_new(o, "key", key);
        return o;
    }
    json_decref(key);
    json_object_set_new(o, "row", text_to_json(r->values[0]));
    return o;
}

static json_t *verify_table_to_json(const struct verify_table *t)
{
    json_t *o = json_object(), *key = json_array(), *rows = json_array();
    char name[2 * NAME_SIZE + 2];
    str_printf(name, sizeof name, "%s.%s", t->source_schema, t->source_table);
    json_put_text(o, "table_name", name);
    str_printf(name, sizeof name, "%s.%s", t->dest_schema, t->dest_table);
    json_put_text(o, "destination", name);
    json_put_text(o, "state", verify_state_name(t->state));
    json_put_text(o, "reason", t->reason);
    put_int(o, "source_rows", t->source_rows);
    put_int(o, "destination_rows", t->dest_rows);
    put_int(o, "rows_compared", verify_rows_compared(t));
    put_int(o, "equal", t->equal);
    put_int(o, "differing", t->differing);
    put_int(o, "missing", t->missing);
    put_int(o, "extra", t->extra);
    put_int(o, "repaired", t->repaired);
    for (size_t i = 0; i < t->n_key; i++)
        json_array_append_new(key, text_to_json(t->key[i]));
    json_object_set_new(o, "key", key);
    for (size_t i = 0; i < t->n_rows; i++)
        json_array_append_new(rows, verify_row_to_json(t, &t->rows[i]));
    json_object_set_new(o, "rows", rows);
    return o;
}

json_t *verify_to_json(const struct verify_report *r)
{
    json_t *o = json_object(), *tables = json_array();
    put_lsn(o, "lsn", r->lsn);
    put_time(o, "began_at", r->began_at);
    put_time(o, "ended_at", r->ended_at);
    json_put_text(o, "ending", r->ending);
    json_put_text(o, "error", r->error);
    for (size_t i = 0; i < r->n_tables; i++)
        json_array_append_new(tables, verify_table_to_json(&r->tables[i]));
    json_object_set_new(o, "tables", tables);
    return o;
}

/* --- Reports ---------------------------------------------------------------------------------- */
static json_t *report_value_to_json(const struct report_value *f)
{
    char *end;
    switch (f->kind) {
    case REPORT_NULL:
        return json_null();
    case REPORT_TEXT:
        return text_to_json(f->text);
    case REPORT_NUMBER:
        errno = 0;
        long long whole = strtoll(f->text, &end, 10);
        json_t *v = !*end && !errno ? json_integer(whole) : json_real(strtod(f->text, NULL));
        return v ? v : text_to_json(f->text); /* NaN, infinity */
    case REPORT_BOOL:
        return json_boolean(f->text[0] == 't');
    }
    return json_null();
}

static json_t *report_row_to_json(const struct report_row *r)
{
    json_t *o = json_object();
    for (size_t i = 0; i < r->n; i++)
        json_object_set_new(o, r->items[i].name, report_value_to_json(&r->items[i]));
    return o;
}

static json_t *report_section_to_json(const struct report_section *s)
{
    if (s->error) {
        json_t *o = json_object();
        json_put_text(o, "error", s->error);
        return o;
    }
    if (!s->is_list)
        return s->n ? report_row_to_json(&s->rows[0]) : json_null();
    json_t *array = json_array();
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(array, report_row_to_json(&s->rows[i]));
    return array;
}

json_t *report_to_json(const struct report *f)
{
    json_t *o = json_object();
    for (size_t i = 0; i < f->n; i++)
        json_object_set_new(o, f->items[i].name, report_section_to_json(&f->items[i]));
    return o;
}
