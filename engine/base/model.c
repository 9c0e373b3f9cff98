/* Defaults, names and freeing of plain data; see model.h. */
#include "base/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Frees an array of n strings. */
static void free_strings(char **items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(items[i]);
    free(items);
}

void peer_free(struct peer *p)
{
    free(p->name);
    free(p->host);
    free(p->user);
    if (p->password)
        explicit_bzero(p->password, strlen(p->password));
    free(p->password);
    free(p->database);
    free(p->ssl_mode);
    free_strings(p->option_names, p->n_options);
    free_strings(p->option_values, p->n_options);
    *p = (struct peer){0};
}

bool peer_option_is_secret(const char *name)
{
    static const char *const parts[] = {"password", "secret", "_key"};
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (strstr(name, parts[i]))
            return true;
    return false;
}

void peer_list_free(struct peer_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        peer_free(&l->items[i]);
    free(l->items);
    *l = (struct peer_list){0};
}

void peer_report_free(struct peer_report *r)
{
    findings_free(&r->as_source);
    findings_free(&r->as_destination);
    *r = (struct peer_report){0};
}

void slot_list_free(struct slot_list *l)
{
    free(l->slots);
    free(l->sources);
    *l = (struct slot_list){0};
}

void peer_table_list_free(struct peer_table_list *l)
{
    free(l->items);
    *l = (struct peer_table_list){0};
}

void table_map_free(struct table_map *m)
{
    free_strings(m->exclude, m->n_exclude);
    *m = (struct table_map){0};
}

void table_name_list_free(struct table_name_list *l)
{
    free(l->items);
    *l = (struct table_name_list){0};
}

bool table_name_list_has(const struct table_name_list *l, const char *schema, const char *table)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->items[i].schema, schema) && !strcmp(l->items[i].table, table))
            return true;
    return false;
}

void table_map_copy(struct table_map *to, const struct table_map *from)
{
    *to = *from;
    to->exclude = mem_calloc(from->n_exclude, sizeof *to->exclude);
    for (size_t i = 0; i < from->n_exclude; i++)
        to->exclude[i] = mem_strdup(from->exclude[i]);
}

static bool has_excluded(const struct table_map *m, const char *column)
{
    for (size_t i = 0; i < m->n_exclude; i++)
        if (!strcmp(m->exclude[i], column))
            return true;
    return false;
}

bool table_map_is_same(const struct table_map *a, const struct table_map *b)
{
    if (strcmp(a->source_schema, b->source_schema) != 0 ||
        strcmp(a->source_table, b->source_table) != 0 ||
        strcmp(a->dest_schema, b->dest_schema) != 0 || strcmp(a->dest_table, b->dest_table) != 0 ||
        a->n_exclude != b->n_exclude)
        return false;
    for (size_t i = 0; i < a->n_exclude; i++)
        if (!has_excluded(b, a->exclude[i]))
            return false;
    return true;
}

void mirror_config_init(struct mirror_config *c)
{
    *c = (struct mirror_config){
        .do_initial_snapshot = true,
        .snapshot_num_rows_per_partition = 500000,
        .snapshot_max_parallel_workers = 4,
        .snapshot_num_tables_in_parallel = 4,
        .cdc_batch_size = 10000,
        .replicate_indexes = true,
        .replicate_foreign_keys = true,
        .resync_strategy = "truncate",
        .schema_changes = "manual",
        .dropped_columns = "keep",
        .on_table_error = "stop",
    };
}

void mirror_config_free(struct mirror_config *c)
{
    for (size_t i = 0; i < c->n_tables; i++)
        table_map_free(&c->tables[i]);
    free(c->tables);
    *c = (struct mirror_config){0};
}

const char *mirror_state_name(enum mirror_state s)
{
    switch (s) {
    case MIRROR_INITIALIZING:
        return "initializing";
    case MIRROR_SNAPSHOTTING:
        return "snapshotting";
    case MIRROR_RUNNING:
        return "running";
    case MIRROR_PAUSED:
        return "paused";
    case MIRROR_ERROR:
        return "error";
    case MIRROR_STOPPED:
        return "stopped";
    }
    return "error";
}

const char *step_kind_name(enum step_kind k)
{
    switch (k) {
    case STEP_RUN:
        return "run";
    case STEP_MANUAL:
        return "manual";
    case STEP_NOTE:
        return "note";
    }
    return "note";
}

void schema_plan_add(struct schema_plan *p, struct schema_step step)
{
    MEM_PUSH(p->items, p->n, p->cap, step);
}

static bool is_time(const struct schema_plan *p, const struct schema_step *s,
                    const struct schema_point *at)
{
    if (at->applied >= (s->since ? s->since : p->lsn))
        return true;
    if (s->is_late)
        return false;
    return !s->at_point || (at->is_waiting && (!s->table || s->is_with_type));
}

bool schema_step_is_due(const struct schema_plan *p, const struct schema_step *s,
                        const struct schema_point *at)
{
    return s->kind == STEP_RUN && is_time(p, s, at);
}

bool schema_step_is_tried(const struct schema_plan *p, const struct schema_step *s,
                          const struct schema_point *at)
{
    return s->kind == STEP_NOTE && s->is_refused && is_time(p, s, at);
}

bool schema_step_is_left_out(const struct schema_step *s)
{
    return s->kind == STEP_NOTE && s->sql;
}

size_t schema_plan_count(const struct schema_plan *p, const struct schema_point *at, size_t *left)
{
    size_t now = 0, later = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct schema_step *s = &p->items[i];
        now += schema_step_is_due(p, s, at);
        later +=
            (s->kind == STEP_RUN || (s->kind == STEP_NOTE && s->is_refused)) && !is_time(p, s, at);
    }
    if (left)
        *left = later;
    return now;
}

void schema_step_free(struct schema_step *s)
{
    free(s->sql);
    free(s->what);
    free(s->table);
    free(s->why);
    free(s->left_sql);
    free(s->done_sql);
    free(s->needs);
    *s = (struct schema_step){0};
}

void schema_plan_free(struct schema_plan *p)
{
    for (size_t i = 0; i < p->n; i++)
        schema_step_free(&p->items[i]);
    free(p->items);
    free(p->record_sql);
    free(p->mirror_id);
    *p = (struct schema_plan){0};
}

void user_list_free(struct user_list *l)
{
    free(l->items);
    *l = (struct user_list){0};
}

void run_event_free(struct run_event *e)
{
    free(e->text);
    *e = (struct run_event){0};
}

void run_page_free(struct run_page *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct run_row *r = &p->rows[i];
        for (size_t j = 0; j < r->n_events; j++)
            run_event_free(&r->events[j]);
        free(r->events);
        free(r->error);
    }
    free(p->rows);
    *p = (struct run_page){0};
}

const char *verify_state_name(enum verify_state s)
{
    static const char *const names[] = {
        [VERIFY_QUEUED] = "queued",       [VERIFY_COMPARING] = "comparing",
        [VERIFY_NARROWING] = "narrowing", [VERIFY_EQUAL] = "equal",
        [VERIFY_DIFFERENT] = "different", [VERIFY_LEFT_OUT] = "left_out",
        [VERIFY_FAILED] = "failed",       [VERIFY_UNFINISHED] = "unfinished",
    };
    return names[s];
}

const char *verify_kind_name(enum verify_kind k)
{
    static const char *const names[] = {
        [VERIFY_MISSING] = "missing",
        [VERIFY_EXTRA] = "extra",
        [VERIFY_DIFFERING] = "differing",
    };
    return names[k];
}

void verify_table_free(struct verify_table *t)
{
    free(t->reason);
    free_strings(t->key, t->n_key);
    for (size_t i = 0; i < t->n_rows; i++)
        free_strings(t->rows[i].values, t->rows[i].n_values);
    free(t->rows);
    *t = (struct verify_table){0};
}

int64_t verify_rows_compared(const struct verify_table *t)
{
    return t->equal + t->differing + t->missing + t->extra;
}

void verify_report_free(struct verify_report *r)
{
    for (size_t i = 0; i < r->n_tables; i++)
        verify_table_free(&r->tables[i]);
    free(r->tables);
    free(r->error);
    *r = (struct verify_report){0};
}

void log_page_free(struct log_page *p)
{
    free(p->rows);
    *p = (struct log_page){0};
}
