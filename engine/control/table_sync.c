/* Copies beside the stream; see table_sync.h. */
#include "control/table_sync.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "copy/follow.h"
#include "copy/restore.h"
#include "copy/swap.h"
#include "copy/table_copy.h"
#include "stream/sync_rows.h"

#define LOOK_MS 100
#define AT_ONCE_BYTES (128 << 20)
#define STAND_LIMIT_MS 3000
#define STALE_AGAIN_MS \
    1000 /* somebody empties the table again and again: the next try may be luckier */

/* A mapped table that is set aside. */
struct item {
    int mapping; /* index in the configuration */
    struct table_name name;
    bool by_swap;    /* readers keep the old rows until the new ones are there */
    bool keeps_rows; /* an operator has asked for that */
    bool is_aside;   /* false once it has been handed over */
    bool is_copying; /* part of the present copy */
    bool is_alone;   /* a copy together with others has failed */
    bool is_stopped; /* a change of it could not be applied: it waits for the operator */
    bool is_owing;   /* an earlier copy, that did not end, has left something to be restored */
    bool was_asked;  /* it left the stream of this run for an operator */
    int failures;
    int64_t retry_at; /* monotonic ms */
};

struct table_sync {
    struct run *r;
    size_t n_items, cap_items;
    struct item *items;
    bool *aside; /* of each table of the schema */
    struct table_name_list removed;
    bool is_idle;     /* nothing is or will be to be done in this run */
    bool is_snapshot; /* the first snapshot goes on: it ends with the last of these tables */
    int64_t look_at;

    struct {
        bool is_there, by_swap;
        struct table_name name;
        int64_t at; /* monotonic ms */
    } asked;        /* a table that is to leave the stream */

    struct table_copy *copy; /* NULL: none */
    bool is_ending;          /* it failed, its thread is on its way out */
    bool is_point_told, is_handed_over;
    struct err err;
    bool *wanted, *kept; /* of each mapping / of each table: part of the present copy */
    int64_t began;

    struct restore *restore; /* NULL: none */
    bool wants_restore, has_tried_restore;
    int restore_failures; /* in a row */
    int64_t restore_at;
};

static struct mirror *mirror_of(const struct table_sync *s)
{
    return s->r->m;
}

static const struct mirror_config *config_of(const struct table_sync *s)
{
    return &s->r->m->row.config;
}

static struct sync_owner owner_of(const struct table_sync *s)
{
    return (struct sync_owner){.mirror_id = s->r->m->row.mirror_id, .epoch = s->r->progress->epoch};
}

/* --- which tables ---------------------------------------------------------------------------- */

static const struct sync_row *find_row(const struct sync_row_list *rows, const struct table_map *m)
{
    for (size_t i = 0; i < rows->n; i++)
        if (!strcmp(rows->items[i].name.table, m->source_table) &&
            !strcmp(rows->items[i].name.schema, m->source_schema))
            return &rows->items[i];
    return NULL;
}

static bool is_mapped(const struct mirror_config *c, const struct table_name *name)
{
    for (size_t i = 0; i < c->n_tables; i++)
        if (!strcmp(c->tables[i].source_table, name->table) &&
            !strcmp(c->tables[i].source_schema, name->schema))
            return true;
    return false;
}

/* What only the destination remembers goes the mirror's own way. */
static void add_items(struct table_sync *s, const struct table_name_list *wishes,
                      const struct table_name_list *swaps, const struct sync_row_list *rows)
{
    const struct mirror_config *c = config_of(s);
    bool swaps_others = mirror_of(s)->row.snapshot_done && !strcmp(c->resync_strategy, "swap");
    for (size_t i = 0; i < c->n_tables; i++) {
        const struct table_map *t = &c->tables[i];
        const struct sync_row *row = find_row(rows, t);
        bool is_wished = table_name_list_has(wishes, t->source_schema, t->source_table);
        if (!(row && row->is_aside) && !is_wished)
            continue;
        struct item item = {.mapping = (int)i,
                            .is_aside = true,
                            .is_stopped = row && row->stopped.code[0] && !is_wished,
                            .is_owing = row && row->n_restore > 0};
        item.by_swap = is_wished ? table_name_list_has(swaps, t->source_schema, t->source_table)
                                 : swaps_others;
        item.keeps_rows = is_wished && item.by_swap;
        str_copy(item.name.schema, sizeof item.name.schema, t->source_schema);
        str_copy(item.name.table, sizeof item.name.table, t->source_table);
        MEM_PUSH(s->items, s->n_items, s->cap_items, item);
    }
}

/* Rows of tables that are in the mirror no more; and whether there is anything to restore. */
static bool look_at_rows(struct table_sync *s, const struct sync_row_list *rows, struct err *err)
{
    struct sync_owner o = owner_of(s);
    for (size_t i = 0; i < rows->n; i++) {
        const struct sync_row *row = &rows->items[i];
        bool is_ours = is_mapped(config_of(s), &row->name);
        if (row->is_aside && !is_ours &&
            !sync_rows_leave(s->r->dest, &s->r->m->task, &o, &row->name, err))
            return false;
        s->wants_restore |= !row->is_aside || !is_ours;
    }
    return true;
}

static bool set_aside(struct table_sync *s, struct err *err)
{
    struct sync_owner o = owner_of(s);
    struct table_name *names = mem_calloc(s->n_items + 1, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < s->n_items; i++)
        if (s->items[i].is_aside && !s->items[i].is_stopped)
            names[n++] = s->items[i].name;
    bool ok = sync_rows_set_aside(s->r->dest, &s->r->m->task, &o, names, n, err);
    free(names);
    return ok;
}

/* Of tables whose turn has not come. */
static int64_t bytes_waiting(const struct table_sync *s)
{
    const struct schema *schema = s->r->schema;
    int64_t n = 0;
    for (size_t k = 0; k < s->n_items; k++) {
        const struct item *item = &s->items[k];
        for (size_t i = 0; i < schema->n_tables; i++)
            if (schema->tables[i].mapping == item->mapping && item->is_aside && !item->is_copying &&
                !item->is_stopped)
                n += mirror_of(s)->tables[i].bytes_total - mirror_of(s)->tables[i].bytes_done;
    }
    return n;
}

static void show_snapshot(const struct table_sync *s)
{
    if (s->is_snapshot)
        resume_show(mirror_of(s), s->copy ? table_copy_eta_ms(s->copy) : -1, bytes_waiting(s));
    show_dirty(mirror_of(s));
}

static void show_item(struct table_sync *s, const struct item *item, const char *state,
                      const char *error)
{
    struct mirror *m = mirror_of(s);
    const struct schema *schema = s->r->schema;
    for (size_t i = 0; i < schema->n_tables; i++) {
        if (schema->tables[i].mapping != item->mapping || schema->tables[i].is_partitioned)
            continue;
        str_copy(m->tables[i].state, sizeof m->tables[i].state, state);
        if (!strcmp(state, "queued"))
            m->tables[i].bytes_done = 0;
        str_copy(m->tables[i].error, sizeof m->tables[i].error, error);
    }
    show_snapshot(s);
}

static void show_stopped(struct table_sync *s, const struct sync_row_list *rows)
{
    findings_free(&mirror_of(s)->table_trouble);
    for (size_t i = 0; i < s->n_items; i++) {
        const struct item *item = &s->items[i];
        const struct sync_row *row = find_row(rows, &config_of(s)->tables[item->mapping]);
        if (!item->is_stopped)
            continue;
        show_item(s, item, "set_aside", row->stopped.text);
        set_aside_show(mirror_of(s), &item->name, &row->stopped);
    }
}

static void mark_aside(struct table_sync *s)
{
    const struct schema *schema = s->r->schema;
    memset(s->aside, 0, schema->n_tables * sizeof *s->aside);
    for (size_t k = 0; k < s->n_items; k++)
        for (size_t i = 0; i < schema->n_tables; i++)
            s->aside[i] |= s->items[k].is_aside && schema->tables[i].mapping == s->items[k].mapping;
}

static void mark_tables(struct table_sync *s)
{
    s->aside = mem_calloc(s->r->schema->n_tables + 1, sizeof *s->aside);
    s->kept = mem_calloc(s->r->schema->n_tables + 1, sizeof *s->kept);
    s->wanted = mem_calloc(config_of(s)->n_tables + 1, sizeof *s->wanted);
    mark_aside(s);
    for (size_t k = 0; k < s->n_items; k++)
        show_item(s, &s->items[k], "queued", "");
}

/* Of one table or of all of them. */
static void end_operation(struct table_sync *s)
{
    if (s->asked.is_there)
        return;
    mirror_end_operation(mirror_of(s), MIRROR_RESYNC_TABLE);
    if (!s->is_snapshot)
        run_end_operations(mirror_of(s));
}

/* The next copy tries it again. */
static void remove_leftovers(struct table_sync *s)
{
    struct mirror *m = mirror_of(s);
    struct err err = {0};
    if (!swap_remove_leftovers(s->r->dest, &m->task, m->row.mirror_id, &err) &&
        err.code != ERR_CANCELLED)
        log_warn("copy", m->row.config.name, "%s", err.text);
}

/* Tables that are to be copied, or are being. */
static bool has_work(const struct table_sync *s)
{
    for (size_t i = 0; i < s->n_items; i++)
        if (s->items[i].is_aside && !s->items[i].is_stopped)
            return true;
    return false;
}

bool table_sync_has_stopped(const struct table_sync *s, int mapping)
{
    for (size_t i = 0; i < s->n_items; i++)
        if (s->items[i].mapping == mapping && s->items[i].is_stopped)
            return true;
    return false;
}

bool table_sync_open(struct run *r, struct table_sync **out, struct err *err)
{
    struct mirror *m = r->m;
    struct catalog *catalog = m->engine->catalog;
    struct table_name_list wishes = {0}, swaps = {0};
    struct sync_row_list rows = {0};
    struct table_sync *s = mem_calloc(1, sizeof *s);
    s->r = r;
    *out = s; /* table_sync_close frees it in every case */
    bool ok = catalog_copies(catalog, m->row.config.name, &wishes, err) &&
              catalog_swaps(catalog, m->row.config.name, &swaps, err) &&
              catalog_removed(catalog, m->row.config.name, &s->removed, err) &&
              sync_rows_read(r->dest, &m->task, m->row.mirror_id, &rows, err) &&
              look_at_rows(s, &rows, err);
    if (ok) {
        add_items(s, &wishes, &swaps, &rows);
        s->is_snapshot = !m->row.snapshot_done;
        if (s->is_snapshot)
            resume_show_finished(m);
        mark_tables(s);
        if (s->is_snapshot)
            resume_begin(m);
        show_stopped(s, &rows);
        s->is_idle = !has_work(s) && !s->wants_restore && !s->is_snapshot;
        if (!s->wants_restore)
            findings_free(&m->key_trouble);
        if (has_work(s))
            spill_remove_stale(m->engine->state_dir);
        else
            end_operation(s);
        remove_leftovers(s);
        ok = set_aside(s, err);
    }
    table_name_list_free(&wishes);
    table_name_list_free(&swaps);
    sync_row_list_free(&rows);
    return ok;
}

bool table_sync_is_idle(const struct table_sync *s)
{
    return !has_work(s);
}

size_t table_sync_streamed(const struct table_sync *s, struct table_map **out)
{
    const struct mirror_config *c = config_of(s);
    size_t n = 0;
    *out = mem_calloc(c->n_tables + 1, sizeof **out);
    for (size_t i = 0; i < c->n_tables; i++) {
        bool is_aside = false;
        for (size_t k = 0; k < s->n_items; k++)
            is_aside |= s->items[k].mapping == (int)i;
        if (!is_aside)
            (*out)[n++] = c->tables[i];
    }
    return n;
}

static void handed_over(void *arg)
{
    struct table_sync *s = arg;
    s->is_handed_over = true;
}

struct aside_options table_sync_aside(const struct table_sync *s)
{
    return (struct aside_options){
        .tables = s->n_items ? s->aside : NULL,
        .removed = &s->removed,
        .spill_dir = s->r->m->engine->state_dir,
        .spill_memory = mirror_window(s->r->m),
        .handed_over = handed_over,
        .arg = (void *)s,
    };
}

/* --- names for the log ----------------------------------------------------------------------- */

static char *names_of(const struct table_sync *s)
{
    struct buf b = {0};
    size_t n = 0;
    for (size_t i = 0; i < s->n_items; i++) {
        const struct item *item = &s->items[i];
        if (item->is_copying && n++ < 5)
            buf_printf(&b, "%s%s.%s", b.len ? "," : "", item->name.schema, item->name.table);
    }
    if (n > 5)
        buf_printf(&b, " and %zu more", n - 5);
    return buf_take(&b);
}

/* --- a copy begins --------------------------------------------------------------------------- */

static bool is_due(const struct item *item, int64_t now)
{
    return item->is_aside && !item->is_stopped && item->retry_at <= now;
}

static int64_t bytes_of(const struct table_sync *s, const struct item *item)
{
    const struct schema *schema = s->r->schema;
    int64_t n = 0;
    for (size_t i = 0; i < schema->n_tables; i++)
        if (schema->tables[i].mapping == item->mapping)
            n += schema->tables[i].bytes;
    return n;
}

/* Tables that are copied together are handed over together: what an interruption costs is bounded,
 * and what a new slot has to wait for is not waited for too often. */
static int64_t bytes_at_once(const struct table_sync *s)
{
    int64_t left = 0;
    if (!s->is_snapshot)
        return INT64_MAX;
    for (size_t i = 0; i < s->n_items; i++)
        left += s->items[i].is_aside && !s->items[i].is_stopped ? bytes_of(s, &s->items[i]) : 0;
    return left / 4 > AT_ONCE_BYTES ? left / 4 : AT_ONCE_BYTES;
}

/* Those that come in the same way come together. */
static size_t choose(struct table_sync *s)
{
    int64_t now = clock_mono_ms(), room = bytes_at_once(s);
    struct item *alone = NULL, *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < s->n_items; i++) {
        struct item *item = &s->items[i];
        if (!is_due(item, now))
            continue;
        if (item->is_alone && (!alone || item->retry_at < alone->retry_at))
            alone = item;
        int64_t bytes = bytes_of(s, item);
        if (item->is_alone || (n && bytes > room) ||
            (first && (item->by_swap != first->by_swap || item->keeps_rows != first->keeps_rows)))
            continue;
        first = first ? first : item;
        item->is_copying = true;
        room -= bytes;
        n++;
    }
    if (!n && alone)
        alone->is_copying = true;
    return n ? n : alone != NULL;
}

static void mark_copy(struct table_sync *s)
{
    const struct schema *schema = s->r->schema;
    memset(s->wanted, 0, config_of(s)->n_tables * sizeof *s->wanted);
    for (size_t i = 0; i < s->n_items; i++)
        s->wanted[s->items[i].mapping] = s->items[i].is_copying;
    for (size_t i = 0; i < schema->n_tables; i++)
        s->kept[i] = s->wanted[schema->tables[i].mapping];
}

static void put_off(struct table_sync *s, const struct err *err)
{
    struct mirror *m = mirror_of(s);
    char *names = names_of(s);
    size_t n = 0;
    int64_t wait = 0;
    for (size_t i = 0; i < s->n_items; i++)
        n += s->items[i].is_copying;
    for (size_t i = 0; i < s->n_items; i++) {
        struct item *item = &s->items[i];
        if (!item->is_copying)
            continue;
        item->is_copying = false;
        item->is_owing = true; /* it may have dropped foreign keys, and not know */
        item->is_alone |= n > 1;
        wait =
            err->code == ERR_SNAPSHOT_STALE ? STALE_AGAIN_MS : mirror_backoff_ms(++item->failures);
        item->retry_at = clock_mono_ms() + wait;
        show_item(s, item, "error", err->text);
    }
    log_write(err_class_of(err) == CLASS_RETRY ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "copy",
              m->row.config.name, err->hint,
              "copy beside the stream failed tables=%s error=\"%s\" (%s); tried again in %.0f s",
              names, err->text, err_name(err->code), (double)wait / 1000.0);
    free(names);
    end_operation(s);
}

static bool is_swap(const struct table_sync *s)
{
    for (size_t i = 0; i < s->n_items; i++)
        if (s->items[i].is_copying)
            return s->items[i].by_swap;
    return false;
}

static bool keeps_rows(const struct table_sync *s)
{
    for (size_t i = 0; i < s->n_items; i++)
        if (s->items[i].is_copying)
            return s->items[i].keeps_rows;
    return false;
}

static void begin_copy(struct table_sync *s, struct apply *a)
{
    struct mirror *m = mirror_of(s);
    struct err err = {0};
    mark_copy(s);
    struct table_copy_plan plan = {.config = config_of(s),
                                   .wanted = s->wanted,
                                   .by_swap = is_swap(s),
                                   .keeps_rows = keeps_rows(s),
                                   .known = s->r->schema,
                                   .owner = owner_of(s),
                                   .source = &s->r->source_target,
                                   .dest = &s->r->dest_target,
                                   .memory_budget = m->engine->options.memory_budget,
                                   .index_memory = m->engine->options.index_memory,
                                   .wake_fd = m->wake_fd};
    s->began = clock_mono_ms();
    s->is_point_told = s->is_handed_over = s->is_ending = false;
    aside_keep(a, s->kept); /* before anybody asks for a slot */
    if (!table_copy_start(&plan, &s->copy, &err)) {
        aside_give_up(a);
        put_off(s, &err);
        return;
    }
    for (size_t i = 0; i < s->n_items; i++)
        if (s->items[i].is_copying)
            show_item(s, &s->items[i], "queued", "");
}

/* --- a copy goes on -------------------------------------------------------------------------- */

static const char *const table_states[] = {
    [SNAP_NONE] = "queued",       [SNAP_QUEUED] = "queued", [SNAP_COPYING] = "copying",
    [SNAP_INDEXING] = "indexing", [SNAP_DONE] = "copied",
};

static void show_progress(struct table_sync *s, bool is_catching_up)
{
    struct mirror *m = mirror_of(s);
    const struct schema *schema = s->r->schema;
    for (size_t i = 0; i < schema->n_tables; i++) {
        struct table_status *t = &m->tables[i];
        struct snapshot_table_progress p;
        if (!s->kept[i] || schema->tables[i].is_partitioned ||
            !table_copy_progress(s->copy, schema->tables[i].schema, schema->tables[i].name, &p))
            continue;
        str_copy(t->state, sizeof t->state, is_catching_up ? "catching_up" : table_states[p.state]);
        t->rows_synced = p.rows;
        t->bytes_done = p.bytes_done;
        t->bytes_total = p.bytes_total;
        t->workers = p.workers;
        t->indexes_done = p.indexes_done;
        t->indexes_total = p.indexes_total;
        t->last_synced_at = clock_wall_us();
    }
    show_snapshot(s);
}

static void tell_point(struct table_sync *s, struct apply *a, lsn_t point)
{
    char *names = names_of(s);
    aside_set_point(a, point);
    s->is_point_told = true;
    log_info("copy", config_of(s)->name, "copy beside the stream started tables=%s at=" LSN_FMT,
             names, LSN_ARGS(point));
    free(names);
}

static void begin_replay(struct table_sync *s, struct apply *a, const struct aside_status *kept)
{
    struct table_name *list = mem_calloc(s->n_items + 1, sizeof *list);
    char *names = names_of(s);
    size_t n = 0;
    for (size_t i = 0; i < s->n_items; i++)
        if (s->items[i].is_copying)
            list[n++] = s->items[i].name;
    log_info("copy", config_of(s)->name,
             "copy beside the stream is there tables=%s seconds=%.1f kept=%lld kept_bytes=%lld",
             names, (double)(clock_mono_ms() - s->began) / 1000.0, (long long)kept->kept,
             (long long)kept->kept_bytes);
    aside_replay(a, table_copy_schema(s->copy), list, n);
    free(names);
    free(list);
}

static void end_wish(struct table_sync *s, const struct item *item)
{
    struct err err = {0};
    if (!catalog_copies_remove(mirror_of(s)->engine->catalog, config_of(s)->name, &item->name,
                               &err))
        log_error("copy", config_of(s)->name,
                  "the wish for a copy stays, the next run copies the table again table=%s.%s: %s",
                  item->name.schema, item->name.table, err.text);
}

/* What was missed after the copy's point was missed by its replay. */
static void forget_trouble(struct table_sync *s, const struct item *item, lsn_t point)
{
    struct mirror *m = mirror_of(s);
    char name[2 * NAME_SIZE + 2];
    str_printf(name, sizeof name, "%s.%s", item->name.schema, item->name.table);
    trouble_resolved(m, name, point, "the table was copied again");
    for (size_t i = 0; i < s->r->schema->n_tables; i++)
        if (s->r->schema->tables[i].mapping == item->mapping)
            m->tables[i].rows_missing = 0;
}

static void finish_copy(struct table_sync *s, int64_t replayed)
{
    struct table_copy_status status;
    char *names = names_of(s);
    bool all_asked = true;
    size_t n_left = 0;
    table_copy_status(s->copy, &status);
    show_progress(s, true);
    for (size_t i = 0; i < s->n_items; i++) {
        struct item *item = &s->items[i];
        n_left += item->is_aside && !item->is_copying && !item->is_stopped;
        if (!item->is_copying)
            continue;
        item->is_copying = item->is_aside = false;
        s->wants_restore |= item->is_owing;
        all_asked &= item->was_asked;
        forget_trouble(s, item, status.point);
        end_wish(s, item);
        show_item(s, item, "streaming", "");
    }
    log_info("copy", config_of(s)->name,
             "copied tables stream tables=%s replayed=%lld seconds=%.1f", names,
             (long long)replayed, (double)(clock_mono_ms() - s->began) / 1000.0);
    free(names);
    s->wants_restore |= status.has_restore;
    s->restore_at = s->restore_failures = 0;
    if (status.has_left_out)
        differences_want(mirror_of(s));
    table_copy_finish(s->copy);
    s->copy = NULL;
    if (!n_left)
        end_operation(s);
    /* Steps may have waited for these rows; not for those that an operator thought of. */
    if (definitions_are_automatic(mirror_of(s)) && (!all_asked || mirror_of(s)->differences.n))
        definitions_want(mirror_of(s), 0);
    follow_poke(s->r->follow); /* the copy has set them to what they were when it began */
    show_save_counters(mirror_of(s));
}

static void begin_end(struct table_sync *s, const struct err *err)
{
    s->err = *err;
    s->is_ending = true;
    table_copy_cancel(s->copy);
}

static bool end_copy(struct table_sync *s, struct apply *a, struct err *err)
{
    struct table_copy_status status;
    if (!table_copy_is_over(s->copy))
        return true;
    table_copy_status(s->copy, &status);
    aside_give_up(a);
    table_copy_finish(s->copy);
    s->copy = NULL;
    if (s->err.code == ERR_FENCED || status.needs_new_run) {
        *err = s->err;
        return false;
    }
    put_off(s, &s->err);
    return true;
}

static bool look_at_copy(struct table_sync *s, struct apply *a, struct err *err)
{
    struct table_copy_status status;
    struct aside_status kept;
    table_copy_status(s->copy, &status);
    aside_status(a, &kept);
    if (kept.stage == ASIDE_STREAM) {
        aside_finish(a);
        finish_copy(s, kept.replayed);
        return true;
    }
    if (status.point && !s->is_point_told)
        tell_point(s, a, status.point);
    if (kept.stage == ASIDE_FAILED || status.step == TABLE_COPY_FAILED) {
        begin_end(s, kept.stage == ASIDE_FAILED ? &kept.err : &status.err);
        return end_copy(s, a, err);
    }
    if (status.step == TABLE_COPY_COPIED && kept.stage == ASIDE_KEEP)
        begin_replay(s, a, &kept);
    show_progress(s, status.step == TABLE_COPY_COPIED);
    return true;
}

/* --- foreign keys come back ------------------------------------------------------------------ */

static void begin_restore(struct table_sync *s)
{
    struct err err = {0};
    struct restore_plan plan = {.mirror = config_of(s)->name,
                                .owner = owner_of(s),
                                .dest = &s->r->dest_target,
                                .wake_fd = mirror_of(s)->wake_fd};
    for (size_t i = 0; i < s->n_items; i++)
        plan.others_aside |= s->items[i].is_aside;
    if (restore_start(&plan, &s->restore, &err))
        return;
    s->restore_at = clock_mono_ms() + mirror_backoff_ms(++s->restore_failures);
    log_warn("copy", config_of(s)->name, "%s", err.text);
}

static void look_at_restore(struct table_sync *s)
{
    if (!restore_is_over(s->restore))
        return;
    s->wants_restore = restore_finish(s->restore, &mirror_of(s)->key_trouble) != 0;
    s->restore = NULL;
    s->has_tried_restore = true;
    s->restore_at = clock_mono_ms() + mirror_backoff_ms(++s->restore_failures);
    show_dirty(mirror_of(s));
}

/* All tables are in, and so are the foreign keys that can be. */
static bool snapshot_has_ended(const struct table_sync *s)
{
    return s->is_snapshot && !s->restore && !has_work(s) &&
           (!s->wants_restore || s->has_tried_restore);
}

static bool end_snapshot(struct table_sync *s, struct err *err)
{
    struct mirror *m = mirror_of(s);
    resume_show(m, -1, 0);
    if (!setup_set_done(m, err))
        return false;
    s->is_snapshot = false;
    s->is_idle = !s->wants_restore;
    log_info("copy", config_of(s)->name, "snapshot complete: tables=%d", m->live.tables_total);
    run_is_streaming(m);
    end_operation(s);
    return true;
}

/* --- a table leaves the stream ---------------------------------------------------------------- */

bool table_sync_takes(const struct table_sync *s)
{
    return !s->copy && !s->asked.is_there && !s->is_snapshot;
}

void table_sync_ask(struct table_sync *s, const struct table_name *table, bool by_swap)
{
    s->asked.is_there = true;
    s->asked.by_swap = by_swap;
    s->asked.name = *table;
    s->asked.at = clock_mono_ms();
    mirror_of(s)->is_copying = true; /* nothing else ends the run for its own purposes now */
}

bool table_sync_is_overdue(const struct table_sync *s)
{
    return s->asked.is_there && clock_mono_ms() - s->asked.at >= STAND_LIMIT_MS;
}

static struct item *item_of(struct table_sync *s, int mapping)
{
    struct item none = {.mapping = mapping};
    for (size_t i = 0; i < s->n_items; i++)
        if (s->items[i].mapping == mapping)
            return &s->items[i];
    MEM_PUSH(s->items, s->n_items, s->cap_items, none);
    return &s->items[s->n_items - 1];
}

/* As table_sync_open does with a wish. */
static void add_asked(struct table_sync *s)
{
    const struct mirror_config *c = config_of(s);
    for (size_t i = 0; i < c->n_tables; i++) {
        if (strcmp(c->tables[i].source_table, s->asked.name.table) != 0 ||
            strcmp(c->tables[i].source_schema, s->asked.name.schema) != 0)
            continue;
        struct item *item = item_of(s, (int)i);
        bool was_aside = item->is_aside, is_owing = item->is_owing;
        *item = (struct item){.mapping = (int)i,
                              .name = s->asked.name,
                              .by_swap = s->asked.by_swap,
                              .keeps_rows = s->asked.by_swap,
                              .is_aside = true,
                              .is_owing = is_owing,
                              .was_asked = !was_aside};
        show_item(s, item, "queued", "");
    }
    s->is_idle = false;
    s->asked.is_there = false;
}

/* The stream stands. The row is written before any change is passed over. */
static bool take_asked(struct table_sync *s, struct apply *a, struct err *err)
{
    struct sync_row_list rows = {0};
    struct mirror *m = mirror_of(s);
    add_asked(s);
    mark_aside(s);
    bool ok = pg_pipe_leave(s->r->dest, err);
    if (ok)
        remove_leftovers(s);
    ok = ok && set_aside(s, err) &&
         sync_rows_read(s->r->dest, &m->task, m->row.mirror_id, &rows, err) &&
         pg_pipe_enter(s->r->dest, err);
    if (ok) {
        show_stopped(s, &rows);
        aside_take(a, s->aside);
        apply_go_on(a);
    }
    sync_row_list_free(&rows);
    return ok;
}

static bool tend_asked(struct table_sync *s, struct apply *a, struct err *err)
{
    bool stands;
    if (!s->asked.is_there || s->copy || !aside_is_settled(a))
        return true;
    return apply_stand(a, &stands, err) && (!stands || take_asked(s, a, err));
}

/* --- what the stream's loop calls --------------------------------------------------------------
 */

static bool has_news(struct table_sync *s)
{
    int64_t now = clock_mono_ms();
    bool news = s->copy && table_copy_has_news(s->copy);
    if (!news && !s->is_handed_over && now < s->look_at)
        return false;
    s->look_at = now + LOOK_MS;
    return true;
}

/* Keys come back when no copy is due; a copy that becomes due goes first: its tables must not get
 * keys that it would have to drop again. */
static void begin_next(struct table_sync *s, struct apply *a)
{
    bool is_wanted = false;
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < s->n_items; i++)
        is_wanted |= is_due(&s->items[i], now);
    if (is_wanted && s->restore)
        restore_cancel(s->restore);
    else if (is_wanted && aside_is_settled(a) && choose(s))
        begin_copy(s, a);
    else if (!is_wanted && s->wants_restore && !s->restore && now >= s->restore_at)
        begin_restore(s);
}

/* A new run would begin a copy anew. */
static bool is_busy(const struct table_sync *s)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < s->n_items; i++)
        if (is_due(&s->items[i], now))
            return true;
    return s->copy || s->restore;
}

bool table_sync_tend(void *arg, struct apply *a, struct err *err)
{
    struct table_sync *s = ((struct run *)arg)->table_sync;
    if (!tend_asked(s, a, err))
        return false;
    mirror_of(s)->is_copying = s->asked.is_there || (!s->is_idle && is_busy(s));
    if (s->is_idle || !has_news(s))
        return true;
    if (s->restore)
        look_at_restore(s);
    if (!s->copy && snapshot_has_ended(s))
        return end_snapshot(s, err);
    if (!s->copy)
        begin_next(s, a);
    else if (s->is_ending)
        return end_copy(s, a, err);
    else
        return look_at_copy(s, a, err);
    return true;
}

void table_sync_stopping(void *arg)
{
    struct table_sync *s = ((struct run *)arg)->table_sync;
    if (s->copy)
        table_copy_cancel(s->copy);
    if (s->restore)
        restore_cancel(s->restore);
}

void table_sync_close(struct table_sync *s)
{
    if (!s)
        return;
    mirror_of(s)->is_copying = false;
    if (s->copy && s->is_handed_over)
        finish_copy(s, 0); /* it was the last thing that the stream did */
    else if (s->copy)
        table_copy_finish(s->copy);
    if (s->restore)
        (void)!restore_finish(s->restore, &mirror_of(s)->key_trouble);
    table_name_list_free(&s->removed);
    free(s->items);
    free(s->aside);
    free(s->kept);
    free(s->wanted);
    free(s);
}
