/* What a mirror's thread shows of itself: states, errors with their findings, tables, rates. It is
 * gathered in m->live and published a few times a second; see mirror_private.h. */
#include "control/mirror_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "copy/snapshot.h"

#define PUBLISH_MS 250
#define RATE_MS 1000
#define SAVE_MS 30000

static bool is_shown(const struct table_status *t)
{
    return t->source[0] != '\0';
}

/* The copies count their rows anew each time: what they gained since the last look. */
static void count_copied(struct mirror *m)
{
    int64_t sum = 0;
    for (size_t i = 0; i < m->n_tables; i++)
        sum += m->tables[i].rows_synced;
    if (sum > m->rows_copied)
        m->live.counters.rows_copied += sum - m->rows_copied;
    m->rows_copied = sum;
}

static void list_findings(const struct mirror *m, struct findings *out)
{
    for (size_t i = 0; i < m->n_findings; i++)
        MEM_PUSH(out->items, out->n, out->cap, m->findings[i]);
    trouble_findings(m, out);
    const struct findings *const lists[] = {
        &m->sequence_trouble, &m->table_trouble, &m->slot_trouble, &m->copy_trouble,
        &m->key_trouble,      &m->acting,        &m->differences};
    for (size_t k = 0; k < COUNT_OF(lists); k++)
        for (size_t i = 0; i < lists[k]->n; i++)
            MEM_PUSH(out->items, out->n, out->cap, lists[k]->items[i]);
}

void show_now(struct mirror *m)
{
    count_copied(m);
    struct mirror_status s = m->live;
    struct table_status *shown = mem_calloc(m->n_tables, sizeof *shown);
    for (size_t i = 0; i < m->n_tables; i++)
        if (is_shown(&m->tables[i]))
            shown[s.n_tables++] = m->tables[i];
    s.tables = shown;
    struct findings all = {0};
    list_findings(m, &all);
    s.findings = all.items;
    s.n_findings = all.n;
    s.heartbeat_at = clock_wall_us();
    board_publish(m->board, &s, m->safe);
    free(shown);
    findings_free(&all);
    m->published_at = clock_mono_ms();
    m->is_dirty = false;
}

void show_dirty(struct mirror *m)
{
    m->is_dirty = true;
}

void show_state(struct mirror *m, enum mirror_state state, const char *phase)
{
    if (m->live.state != state || strcmp(m->live.phase, phase) != 0) {
        if (m->live.state != state)
            m->live.state_since = clock_wall_us();
        log_info("super", m->row.config.name, "state=%s phase=%s", mirror_state_name(state), phase);
        history_note(&m->history, state, phase,
                     state == MIRROR_ERROR && m->live.error.code ? m->live.error.text : NULL);
    }
    m->live.state = state;
    beat_does("looks after the mirror: %s, %s", mirror_state_name(state), phase);
    if (state != MIRROR_ERROR)
        m->live.next_retry_at = 0;
    if (!m->live.state_since)
        m->live.state_since = clock_wall_us();
    str_copy(m->live.phase, sizeof m->live.phase, phase);
    if (state != MIRROR_SNAPSHOTTING) {
        m->live.eta_seconds = -1;
        m->ready_at = 0;
    }
    if (state != MIRROR_RUNNING && state != MIRROR_SNAPSHOTTING) {
        m->live.rows_per_second = 0;
        m->live.bytes_per_second = 0;
    }
    show_now(m);
}

void show_error(struct mirror *m, const struct err *err)
{
    struct findings f = {0};
    struct err *shown = &m->live.error;
    m->failure = *err;
    cause_name(m->row.config.name, err, shown);
    m->live.counters.errors++;
    m->live.error_at = clock_wall_us();
    findings_add(&f, err_name(shown->code), SEVERITY_ERROR, err_meaning(shown->code), shown->text,
                 shown->hint, cause_action(shown));
    free(m->findings);
    m->findings = f.items;
    m->n_findings = f.n;
    show_now(m);
}

void show_clear_error(struct mirror *m)
{
    err_clear(&m->live.error);
    err_clear(&m->failure);
    m->asked = 0;
    m->live.next_retry_at = 0;
    free(m->findings);
    m->findings = NULL;
    m->n_findings = 0;
    show_now(m);
}

/* Outside a snapshot every table is there. */
static void count_tables(struct mirror *m)
{
    m->live.tables_total = 0;
    for (size_t i = 0; i < m->n_tables; i++)
        m->live.tables_total += is_shown(&m->tables[i]);
    m->live.tables_done = m->row.snapshot_done ? m->live.tables_total : 0;
}

static const char *const copy_states[] = {
    [SNAP_NONE] = "queued",       [SNAP_QUEUED] = "queued", [SNAP_COPYING] = "copying",
    [SNAP_INDEXING] = "indexing", [SNAP_DONE] = "copied",
};

void show_table_copy(struct mirror *m, size_t table, const struct snapshot_table_progress *p)
{
    struct table_status *t = &m->tables[table];
    bool is_there = p->state == SNAP_DONE && strcmp(t->state, copy_states[SNAP_DONE]) != 0;
    if (p->rows != t->rows_synced || is_there)
        t->last_synced_at = clock_wall_us();
    str_copy(t->state, sizeof t->state, copy_states[p->state]);
    t->rows_synced = p->rows;
    t->bytes_done = p->bytes_done;
    t->bytes_total = p->bytes_total;
    t->workers = p->workers;
    t->indexes_done = p->indexes_done;
    t->indexes_total = p->indexes_total;
}

static void load_counters(struct mirror *m)
{
    struct err err = {0};
    if (!catalog_counters_load(m->engine->catalog, m->row.config.name, m->tables, m->n_tables,
                               &err))
        log_warn("super", m->row.config.name, "cannot read the counters: %s", err.text);
    m->rows_total = m->rows_copied = 0;
    for (size_t i = 0; i < m->n_tables; i++) {
        m->rows_copied += m->tables[i].rows_synced;
        m->rows_total += m->tables[i].rows_synced + m->tables[i].rows_inserted +
                         m->tables[i].rows_updated + m->tables[i].rows_deleted;
    }
    m->rows_before = m->rows_total;
}

static void fill_table(struct table_status *t, const char *schema, const char *table,
                       const char *dest_schema, const char *dest_table, bool streams)
{
    *t = (struct table_status){.rows_total = -1};
    str_printf(t->source, sizeof t->source, "%s.%s", schema, table);
    str_printf(t->dest, sizeof t->dest, "%s.%s", dest_schema, dest_table);
    str_copy(t->state, sizeof t->state, streams ? "streaming" : "queued");
}

/* Mapped tables whose rows are still to be copied: they do not stream, whatever the mirror does. */
static void load_wishes(const struct mirror *m, struct table_name_list *out)
{
    struct err err = {0};
    if (!catalog_copies(m->engine->catalog, m->row.config.name, out, &err))
        log_warn("super", m->row.config.name, "cannot read which tables are to be copied: %s",
                 err.text);
}

static bool is_copied(const struct mirror *m, const struct table_name_list *wishes, size_t mapping)
{
    const struct table_map *t = &m->row.config.tables[mapping];
    return m->row.snapshot_done && !table_name_list_has(wishes, t->source_schema, t->source_table);
}

/* Before the definitions are known (the source may be down) the mapping is what can be shown. */
static void show_mapping(struct mirror *m, const struct table_name_list *wishes)
{
    const struct mirror_config *c = &m->row.config;
    m->n_tables = c->n_tables;
    m->tables = mem_calloc(m->n_tables, sizeof *m->tables);
    for (size_t i = 0; i < m->n_tables; i++) {
        const struct table_map *t = &c->tables[i];
        fill_table(&m->tables[i], t->source_schema, t->source_table, t->dest_schema, t->dest_table,
                   is_copied(m, wishes, i));
    }
}

/* Of those that are or were built, as far as the definitions tell. */
static int64_t index_bytes(const struct mirror *m, const struct schema_table *t)
{
    int64_t n = 0;
    if (m->row.config.replicate_indexes)
        return t->index_bytes;
    for (size_t i = 0; i < t->n_indexes; i++)
        n += t->indexes[i].bytes;
    return n;
}

/* {"a","b"} of the columns of a key, itself an item of an array. */
static char *key_of(const struct schema_table *t)
{
    struct buf b = {0};
    bool is_whole = t->replica_identity == 'f';
    pg_quote_array(&b, is_whole ? 0 : t->n_key, (const char *const *)t->key);
    return buf_take(&b);
}

static char *array_of_tables(const struct schema *s, char **keys, int which)
{
    struct buf b = {0};
    const char **items = mem_calloc(s->n_tables + 1, sizeof *items);
    size_t n = 0;
    for (size_t i = 0; i < s->n_tables; i++)
        if (!s->tables[i].is_partitioned)
            items[n++] = which == 0   ? s->tables[i].dest_schema
                         : which == 1 ? s->tables[i].dest_name
                                      : keys[i];
    pg_quote_array(&b, n, items);
    free(items);
    return buf_take(&b);
}

void show_keys(struct mirror *m, const struct schema *s)
{
    char **keys = mem_calloc(s->n_tables + 1, sizeof *keys);
    for (size_t i = 0; i < s->n_tables; i++)
        keys[i] = key_of(&s->tables[i]);
    struct mirror_keys next = {array_of_tables(s, keys, 0), array_of_tables(s, keys, 1),
                               array_of_tables(s, keys, 2)};
    pthread_mutex_lock(&m->lock);
    struct mirror_keys old = m->keys;
    m->keys = next;
    pthread_mutex_unlock(&m->lock);
    free(old.schemas);
    free(old.tables);
    free(old.columns);
    for (size_t i = 0; i < s->n_tables; i++)
        free(keys[i]);
    free(keys);
}

void show_schema(struct mirror *m, const struct schema *s)
{
    struct table_name_list wishes = {0};
    load_wishes(m, &wishes);
    if (m->tables) {
        count_copied(m);
        show_save_counters(m);
    }
    free(m->tables);
    if (!s) {
        show_mapping(m, &wishes);
    } else {
        show_keys(m, s);
        m->n_tables = s->n_tables;
        m->tables = mem_calloc(m->n_tables, sizeof *m->tables);
        for (size_t i = 0; i < s->n_tables; i++) {
            const struct schema_table *t = &s->tables[i];
            if (t->is_partitioned)
                continue;
            fill_table(&m->tables[i], t->schema, t->name, t->dest_schema, t->dest_name,
                       is_copied(m, &wishes, (size_t)t->mapping));
            m->tables[i].bytes_total = t->bytes + index_bytes(m, t);
            m->tables[i].rows_total = t->rows < 0 ? -1 : (int64_t)t->rows;
        }
    }
    table_name_list_free(&wishes);
    load_counters(m);
    count_tables(m);
    m->saved_at = clock_mono_ms();
    show_dirty(m);
}

void show_save_counters(struct mirror *m)
{
    struct err err = {0};
    m->saved_at = clock_mono_ms();
    if (!catalog_counters_save(m->engine->catalog, m->row.config.name, m->tables, m->n_tables,
                               &err))
        log_warn("super", m->row.config.name, "cannot keep the counters: %s", err.text);
}

static void update_rates(struct mirror *m, int64_t now)
{
    double seconds = (double)(now - m->counted_at) / 1000.0;
    double rows = (double)(m->rows_total - m->rows_before) / seconds;
    double bytes = (double)(m->bytes_total - m->bytes_before) / seconds;
    bool has_changed = rows > 0 || bytes > 0 || m->live.rows_per_second > 0;
    m->live.rows_per_second = rows;
    m->live.bytes_per_second = bytes;
    m->rows_before = m->rows_total;
    m->bytes_before = m->bytes_total;
    m->counted_at = now;
    if (has_changed)
        show_dirty(m);
}

/* Behind a copy nothing is measured any more: what is expected to be left becomes less. */
static void count_down(struct mirror *m, int64_t now)
{
    int64_t left = m->ready_at > now ? (m->ready_at - now + 500) / 1000 : 0;
    if (!m->ready_at || left == m->live.eta_seconds)
        return;
    m->live.eta_seconds = left;
    m->is_dirty = true;
}

void show_tick(struct mirror *m)
{
    int64_t now = clock_mono_ms();
    beat_move();
    if (now - m->counted_at >= RATE_MS) {
        update_rates(m, now);
        board_heartbeat(m->board);
    }
    if (now - m->saved_at >= SAVE_MS && m->live.state == MIRROR_RUNNING &&
        m->live.rows_per_second > 0)
        show_save_counters(m);
    history_tick(&m->history);
    trouble_tick(m);
    count_down(m, now);
    if (m->is_dirty && now - m->published_at >= PUBLISH_MS)
        show_now(m);
}
