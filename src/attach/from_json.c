/* The API's JSON as the engine's data; see from_json.h. */
#include "src/attach/from_json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/attach/reads.h"

int64_t time_from_json(const json_t *o, const char *key)
{
    struct tm t = {0};
    int ms;
    if (sscanf(text(o, key), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &t.tm_year, &t.tm_mon, &t.tm_mday,
               &t.tm_hour, &t.tm_min, &t.tm_sec, &ms) != 7)
        return 0;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    return (int64_t)timegm(&t) * 1000000 + ms * INT64_C(1000);
}

enum err_code err_code_from_json(const json_t *o)
{
    for (int c = ERR_NONE + 1; c < ERR_CODE_COUNT; c++)
        if (!strcmp(text(o, "code"), err_name((enum err_code)c)))
            return (enum err_code)c;
    return ERR_NONE;
}

/* --- A mirror's status ------------------------------------------------------------------------ */
static void read_error(const json_t *o, struct mirror_status *m)
{
    struct err *e = &m->error;
    char tail[32];
    m->error_count = whole_int(o, "error_count");
    m->error_at = time_from_json(o, "error_at");
    m->next_retry_at = time_from_json(o, "next_retry_at");
    for (int c = ERR_NONE; c < ERR_CODE_COUNT; c++)
        if (!strcmp(text(o, "error_code"), err_name((enum err_code)c)))
            e->code = (enum err_code)c;
    if (e->code == ERR_NONE && *text(o, "error_message"))
        e->code = ERR_INTERNAL; /* one that we do not know */
    COPY(e->text, o, "error_message");
    COPY(e->sqlstate, o, "error_sqlstate");
    COPY(e->hint, o, "error_hint");
    str_printf(tail, sizeof tail, " SQLSTATE %s", e->sqlstate); /* which the API adds */
    size_t n = strlen(e->text), k = strlen(tail);
    if (*e->sqlstate && n > k && !strcmp(e->text + n - k, tail))
        memset(e->text + n - k, 0, k);
}

static void read_table(const json_t *o, struct table_status *t)
{
    COPY(t->source, o, "table_name");
    COPY(t->dest, o, "destination");
    COPY(t->state, o, "status");
    t->rows_synced = whole(o, "rows_synced");
    t->rows_total = known(o, "rows_total");
    t->rows_inserted = whole(o, "rows_inserted");
    t->rows_updated = whole(o, "rows_updated");
    t->rows_deleted = whole(o, "rows_deleted");
    t->rows_missing = whole(o, "rows_missing");
    t->rows_conflicting = whole(o, "rows_conflicting");
    t->bytes_done = whole(o, "bytes_done");
    t->bytes_total = whole(o, "bytes_total");
    t->workers = whole_int(o, "workers");
    t->indexes_done = whole_int(o, "indexes_done");
    t->indexes_total = whole_int(o, "indexes_total");
    t->last_synced_at = time_from_json(o, "last_synced_at");
    COPY(t->error, o, "error_message");
}

static void read_lists(const json_t *o, struct mirror_status *m)
{
    const json_t *tables = json_object_get(o, "tables"), *found = json_object_get(o, "findings");
    m->n_tables = json_array_size(tables);
    m->n_findings = json_array_size(found);
    struct table_status *t = mem_calloc(m->n_tables + 1, sizeof *t);
    struct finding *f = mem_calloc(m->n_findings + 1, sizeof *f);
    for (size_t i = 0; i < m->n_tables; i++)
        read_table(json_array_get(tables, i), &t[i]);
    for (size_t i = 0; i < m->n_findings; i++)
        finding_from_json(json_array_get(found, i), &f[i]);
    m->tables = t;
    m->findings = f;
}

static void read_samples(const json_t *array, float samples[LAG_HISTORY])
{
    for (size_t i = 0; i < LAG_HISTORY; i++) {
        const json_t *v = json_array_get(array, i);
        samples[i] = json_is_number(v) ? (float)json_number_value(v) : -1;
    }
}

static void read_history(const json_t *o, struct mirror_status *m)
{
    const json_t *errors = json_object_get(o, "error_history");
    read_samples(json_object_get(o, "lag_history"), m->lag_history);
    read_samples(json_object_get(o, "rows_history"), m->rows_history);
    for (size_t i = 0; i < ERROR_HISTORY; i++)
        m->error_history[i] = (int)json_integer_value(json_array_get(errors, i));
}

static void read_progress(const json_t *o, struct mirror_status *m)
{
    const json_t *rates = json_object_get(o, "throughput"), *s = json_object_get(o, "snapshot");
    const json_t *v = json_object_get(o, "verify"), *q = json_object_get(o, "sequences");
    m->rows_per_second = real(rates, "rows_per_second");
    m->bytes_per_second = real(rates, "bytes_per_second");
    m->tables_done = whole_int(s, "tables_done");
    m->tables_total = whole_int(s, "tables_total");
    m->bytes_done = whole(s, "bytes_done");
    m->bytes_total = whole(s, "bytes_total");
    m->eta_seconds = known(s, "eta_seconds");
    m->verify = (struct verify_status){.is_running = json_is_object(v),
                                       .tables_done = whole_int(v, "tables_done"),
                                       .tables_total = whole_int(v, "tables_total"),
                                       .rows = whole(v, "rows"),
                                       .bytes_done = whole(v, "bytes_done"),
                                       .bytes_total = whole(v, "bytes_total"),
                                       .differences = whole(v, "differences")};
    m->sequences = (struct sequence_status){.followed = whole(q, "followed"),
                                            .last_synced_at = time_from_json(q, "last_synced_at")};
}

/* What another version does not say stays 0. */
static void read_settings(const json_t *o, struct mirror_settings *s)
{
    for (unsigned i = 0; i < TUNE_COUNT; i++) {
        struct err ignored = {0};
        const json_t *v = json_object_get(o, tunables[i].name);
        char number[24];
        str_printf(number, sizeof number, "%lld", (long long)json_integer_value(v));
        const char *as_text = json_is_string(v)    ? json_string_value(v)
                              : json_is_boolean(v) ? json_is_true(v) ? "yes" : "no"
                                                   : number;
        bool is_known = v && setting_parse((enum tunable_id)i, as_text, s, &ignored);
        (void)is_known;
    }
}

void mirror_status_from_json(const json_t *o, struct mirror_status *m)
{
    *m = (struct mirror_status){.revision = (uint64_t)whole(o, "revision")};
    COPY(m->name, o, "name");
    COPY(m->source_peer, o, "source_peer");
    COPY(m->dest_peer, o, "destination_peer");
    COPY(m->publication, o, "publication");
    COPY(m->on_table_error, o, "on_table_error");
    COPY(m->resync_strategy, o, "resync_strategy");
    read_settings(json_object_get(o, "settings"), &m->settings);
    m->settings_wait = json_is_true(json_object_get(o, "settings_wait"));
    for (int s = 0; s < MIRROR_STATE_COUNT; s++)
        if (!strcmp(text(o, "status"), mirror_state_name((enum mirror_state)s)))
            m->state = (enum mirror_state)s;
    COPY(m->phase, o, "phase");
    COPY(m->operation.name, o, "operation");
    COPY(m->operation.by, o, "operation_by");
    m->operation.since = time_from_json(o, "operation_since");
    m->last_lsn = lsn(o, "last_lsn");
    m->source_lsn = lsn(o, "source_lsn");
    m->lag_bytes = known(o, "lag_bytes");
    m->lag_seconds = real(o, "lag_seconds");
    m->last_batch_id = whole(o, "last_sync_batch_id");
    m->heartbeat_at = time_from_json(o, "heartbeat_at");
    m->state_since = time_from_json(o, "state_since");
    m->created_at = time_from_json(o, "created_at");
    m->updated_at = time_from_json(o, "updated_at");
    read_error(o, m);
    const json_t *slot = json_object_get(o, "slot");
    COPY(m->slot_name, slot, "name");
    slot_from_json(slot, &m->slot);
    read_progress(o, m);
    read_history(o, m);
    read_lists(o, m);
}

void mirror_status_free(struct mirror_status *m)
{
    free((void *)(uintptr_t)m->tables);
    free((void *)(uintptr_t)m->findings);
    *m = (struct mirror_status){0};
}

void log_row_from_json(const json_t *o, struct log_row *r)
{
    *r = (struct log_row){.id = whole(o, "id")};
    (void)log_level_parse(text(o, "level"), &r->line.level);
    r->line.at = time_from_json(o, "created_at");
    COPY(r->line.component, o, "component");
    COPY(r->line.mirror, o, "mirror");
    COPY(r->line.text, o, "message");
    COPY(r->line.details, o, "details");
}

/* --- Reports ---------------------------------------------------------------------------------- */
static enum cutover_state cutover_state_of(const char *name)
{
    for (int s = CUTOVER_OK; s <= CUTOVER_CANNOT; s++)
        if (!strcmp(name, cutover_state_name((enum cutover_state)s)))
            return (enum cutover_state)s;
    return CUTOVER_CANNOT; /* one that we do not know is not passed over */
}

void cutover_from_json(const json_t *o, struct cutover *out)
{
    size_t i, k;
    const json_t *check, *item;
    *out = (struct cutover){.taken_at = time_from_json(o, "taken_at"),
                            .lsn = lsn(o, "lsn"),
                            .is_read_only = is_true(o, "read_only"),
                            .undo = text_copy(o, "undo")};
    json_array_foreach(json_object_get(o, "checks"), i, check)
    {
        struct cutover_check *c =
            cutover_add(out, text(check, "check"), cutover_state_of(text(check, "state")), "%s",
                        text(check, "text"));
        json_array_foreach(json_object_get(check, "items"), k, item)
        {
            cutover_item(c, text(item, "name"), text(item, "note"), text(item, "statement"));
        }
    }
}

void doctor_from_json(const json_t *o, struct findings *out)
{
    size_t i;
    const json_t *check;
    *out = (struct findings){0};
    json_array_foreach(json_object_get(o, "checks"), i, check)
    {
        findings_add(out, text(check, "check"), severity_from_json(check, "state"), "",
                     text(check, "text"), text(check, "remedy"), text(check, "action"));
    }
}

static void split_name(const char *both, char schema[NAME_SIZE], char table[NAME_SIZE])
{
    size_t n = strcspn(both, ".");
    str_copy_n(schema, NAME_SIZE, both, n);
    str_copy(table, NAME_SIZE, both[n] ? both + n + 1 : "");
}

static void read_verify_row(const json_t *o, const struct verify_table *t, struct verify_row *r)
{
    const json_t *key = json_object_get(o, "key");
    for (int k = VERIFY_MISSING; k <= VERIFY_DIFFERING; k++)
        if (!strcmp(text(o, "kind"), verify_kind_name((enum verify_kind)k)))
            r->kind = (enum verify_kind)k;
    r->is_repaired = is_true(o, "repaired");
    r->n_values = t->n_key ? t->n_key : 1;
    r->values = mem_calloc(r->n_values, sizeof *r->values);
    for (size_t i = 0; i < r->n_values; i++)
        r->values[i] = mem_strdup(t->n_key ? text(key, t->key[i]) : text(o, "row"));
}

static void read_verify_table(const json_t *o, struct verify_table *t)
{
    const json_t *key = json_object_get(o, "key"), *named = json_object_get(o, "rows");
    split_name(text(o, "table_name"), t->source_schema, t->source_table);
    split_name(text(o, "destination"), t->dest_schema, t->dest_table);
    t->state = VERIFY_FAILED;
    for (int s = VERIFY_QUEUED; s <= VERIFY_UNFINISHED; s++)
        if (!strcmp(text(o, "state"), verify_state_name((enum verify_state)s)))
            t->state = (enum verify_state)s;
    t->reason = text_copy(o, "reason");
    t->source_rows = whole(o, "source_rows");
    t->dest_rows = whole(o, "destination_rows");
    t->equal = whole(o, "equal");
    t->differing = whole(o, "differing");
    t->missing = whole(o, "missing");
    t->extra = whole(o, "extra");
    t->repaired = whole(o, "repaired");
    t->n_key = json_array_size(key);
    t->key = mem_calloc(t->n_key + 1, sizeof *t->key);
    for (size_t i = 0; i < t->n_key; i++) {
        const char *s = json_string_value(json_array_get(key, i));
        t->key[i] = mem_strdup(s ? s : "");
    }
    t->n_rows = json_array_size(named);
    t->rows = mem_calloc(t->n_rows + 1, sizeof *t->rows);
    for (size_t i = 0; i < t->n_rows; i++)
        read_verify_row(json_array_get(named, i), t, &t->rows[i]);
}

void verify_from_json(const json_t *o, struct verify_report *out)
{
    const json_t *tables = json_object_get(o, "tables");
    *out = (struct verify_report){.lsn = lsn(o, "lsn"),
                                  .began_at = time_from_json(o, "began_at"),
                                  .ended_at = time_from_json(o, "ended_at"),
                                  .error = text_copy(o, "error"),
                                  .n_tables = json_array_size(tables)};
    COPY(out->ending, o, "ending");
    out->tables = mem_calloc(out->n_tables + 1, sizeof *out->tables);
    for (size_t i = 0; i < out->n_tables; i++)
        read_verify_table(json_array_get(tables, i), &out->tables[i]);
}
