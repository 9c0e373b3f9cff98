/* Which tables are copied beside the stream, and what the stream's loop calls; see table_sync.h. */
#include "control/table_sync_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "copy/swap.h"

#define LOOK_MS 100

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
    const struct mirror_config *c = table_sync_config(s);
    bool swaps_others =
        table_sync_mirror(s)->row.snapshot_done && !strcmp(c->resync_strategy, "swap");
    for (size_t i = 0; i < c->n_tables; i++) {
        const struct table_map *t = &c->tables[i];
        const struct sync_row *row = find_row(rows, t);
        bool is_wished = table_name_list_has(wishes, t->source_schema, t->source_table);
        if (!(row && row->is_aside) && !is_wished)
            continue;
        struct sync_item item = {.mapping = (int)i,
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
    struct sync_owner o = table_sync_owner(s);
    for (size_t i = 0; i < rows->n; i++) {
        const struct sync_row *row = &rows->items[i];
        bool is_ours = is_mapped(table_sync_config(s), &row->name);
        if (row->is_aside && !is_ours &&
            !sync_rows_leave(s->r->dest, &s->r->m->task, &o, &row->name, err))
            return false;
        s->wants_restore |= !row->is_aside || !is_ours;
    }
    return true;
}

bool table_sync_set_aside(struct table_sync *s, struct err *err)
{
    struct sync_owner o = table_sync_owner(s);
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
        const struct sync_item *item = &s->items[k];
        for (size_t i = 0; i < schema->n_tables; i++)
            if (schema->tables[i].mapping == item->mapping && item->is_aside && !item->is_copying &&
                !item->is_stopped)
                n += table_sync_mirror(s)->tables[i].bytes_total -
                     table_sync_mirror(s)->tables[i].bytes_done;
    }
    return n;
}

void table_sync_show(const struct table_sync *s)
{
    if (s->is_snapshot)
        resume_show(table_sync_mirror(s), s->copy ? table_copy_eta_ms(s->copy) : -1,
                    bytes_waiting(s));
    show_dirty(table_sync_mirror(s));
}

void table_sync_show_item(struct table_sync *s, const struct sync_item *item, const char *state,
                          const char *error)
{
    struct mirror *m = table_sync_mirror(s);
    const struct schema *schema = s->r->schema;
    for (size_t i = 0; i < schema->n_tables; i++) {
        if (schema->tables[i].mapping != item->mapping || schema->tables[i].is_partitioned)
            continue;
        str_copy(m->tables[i].state, sizeof m->tables[i].state, state);
        if (!strcmp(state, "queued"))
            m->tables[i].bytes_done = 0;
        str_copy(m->tables[i].error, sizeof m->tables[i].error, error);
    }
    table_sync_show(s);
}

void table_sync_show_stopped(struct table_sync *s, const struct sync_row_list *rows)
{
    findings_free(&table_sync_mirror(s)->table_trouble);
    for (size_t i = 0; i < s->n_items; i++) {
        const struct sync_item *item = &s->items[i];
        const struct sync_row *row = find_row(rows, &table_sync_config(s)->tables[item->mapping]);
        if (!item->is_stopped)
            continue;
        table_sync_show_item(s, item, "set_aside", row->stopped.text);
        set_aside_show(table_sync_mirror(s), &item->name, &row->stopped);
    }
}

void table_sync_mark_aside(struct table_sync *s)
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
    s->wanted = mem_calloc(table_sync_config(s)->n_tables + 1, sizeof *s->wanted);
    table_sync_mark_aside(s);
    for (size_t k = 0; k < s->n_items; k++)
        table_sync_show_item(s, &s->items[k], "queued", "");
}

/* Of one table or of all of them. */
void table_sync_end_operation(struct table_sync *s)
{
    if (s->asked.is_there)
        return;
    mirror_end_operation(table_sync_mirror(s), MIRROR_RESYNC_TABLE);
    if (!s->is_snapshot)
        run_end_operations(table_sync_mirror(s));
}

/* The next copy tries it again. */
void table_sync_remove_leftovers(struct table_sync *s)
{
    struct mirror *m = table_sync_mirror(s);
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

bool table_sync_has_aside(const struct table_sync *s, int mapping)
{
    for (size_t i = 0; i < s->n_items; i++)
        if (s->items[i].mapping == mapping && s->items[i].is_aside)
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
        table_sync_show_stopped(s, &rows);
        s->is_idle = !has_work(s) && !s->wants_restore && !s->is_snapshot;
        if (!s->wants_restore)
            findings_free(&m->key_trouble);
        findings_free(&m->copy_trouble); /* the first attempt of this run says it anew */
        if (has_work(s))
            spill_remove_stale(m->engine->state_dir);
        else
            table_sync_end_operation(s);
        table_sync_remove_leftovers(s);
        ok = table_sync_set_aside(s, err);
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
    const struct mirror_config *c = table_sync_config(s);
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

/* --- foreign keys come back ------------------------------------------------------------------ */

static void begin_restore(struct table_sync *s)
{
    struct err err = {0};
    struct restore_plan plan = {.mirror = table_sync_config(s)->name,
                                .owner = table_sync_owner(s),
                                .dest = &s->r->dest_target,
                                .wake_fd = table_sync_mirror(s)->wake_fd};
    for (size_t i = 0; i < s->n_items; i++)
        plan.others_aside |= s->items[i].is_aside;
    if (restore_start(&plan, &s->restore, &err))
        return;
    s->restore_at = clock_mono_ms() + mirror_backoff_ms(++s->restore_failures);
    log_warn("copy", table_sync_config(s)->name, "%s", err.text);
}

static void look_at_restore(struct table_sync *s)
{
    if (!restore_is_over(s->restore))
        return;
    s->wants_restore = restore_finish(s->restore, &table_sync_mirror(s)->key_trouble) != 0;
    s->restore = NULL;
    s->has_tried_restore = true;
    s->restore_at = clock_mono_ms() + mirror_backoff_ms(++s->restore_failures);
    show_dirty(table_sync_mirror(s));
}

/* All tables are in, and so are the foreign keys that can be. */
static bool snapshot_has_ended(const struct table_sync *s)
{
    return s->is_snapshot && !s->restore && !has_work(s) &&
           (!s->wants_restore || s->has_tried_restore);
}

static bool end_snapshot(struct table_sync *s, struct err *err)
{
    struct mirror *m = table_sync_mirror(s);
    resume_show(m, -1, 0);
    if (!setup_set_done(m, err))
        return false;
    s->is_snapshot = false;
    s->is_idle = !s->wants_restore;
    log_info("copy", table_sync_config(s)->name, "snapshot complete: tables=%d",
             m->live.tables_total);
    run_is_streaming(m);
    table_sync_end_operation(s);
    return true;
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
        is_wanted |= table_sync_is_due(&s->items[i], now);
    if (is_wanted && s->restore)
        restore_cancel(s->restore);
    else if (is_wanted && aside_is_settled(a))
        table_sync_begin_copy(s, a);
    else if (!is_wanted && s->wants_restore && !s->restore && now >= s->restore_at)
        begin_restore(s);
}

/* A new run would begin a copy anew. */
static bool is_busy(const struct table_sync *s)
{
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < s->n_items; i++)
        if (table_sync_is_due(&s->items[i], now))
            return true;
    return s->copy || s->restore;
}

/* --- definitions that may have waited for rows ---------------------------------------------------
 */

static void want_definitions(const struct table_sync *s)
{
    struct mirror *m = table_sync_mirror(s);
    if (!(m->wants_sync && m->sync_failures)) /* else its back-off counts */
        definitions_want(m, 0);
}

/* Foreign keys that are about to come back would be missing. */
static bool may_look(const struct table_sync *s)
{
    return !s->second_look && !s->copy && !is_busy(s) &&
           !(s->wants_restore && s->restore_failures == 0);
}

static void tend_second_look(struct table_sync *s)
{
    struct mirror *m = table_sync_mirror(s);
    if (s->second_look && second_look_is_over(s->second_look)) {
        if (second_look_finish(s->second_look))
            want_definitions(s);
        s->second_look = NULL;
    }
    if (!s->wants_look || !may_look(s))
        return;
    s->wants_look = false;
    s->second_look = second_look_start(&m->row.config, m->row.mirror_id, &s->r->source_target,
                                       &s->r->dest_target, m->wake_fd);
    if (!s->second_look)
        want_definitions(s);
}

bool table_sync_tend(void *arg, struct apply *a, struct err *err)
{
    struct table_sync *s = ((struct run *)arg)->table_sync;
    if (!table_sync_tend_asked(s, a, err))
        return false;
    tend_second_look(s);
    table_sync_mirror(s)->is_copying = s->asked.is_there || (!s->is_idle && is_busy(s));
    if (s->is_idle || !has_news(s))
        return true;
    if (s->restore)
        look_at_restore(s);
    if (!s->copy && snapshot_has_ended(s))
        return end_snapshot(s, err);
    if (!s->copy)
        begin_next(s, a);
    else if (s->is_ending)
        return table_sync_end_copy(s, a, err);
    else
        return table_sync_look_at_copy(s, a, err);
    return true;
}

void table_sync_stopping(void *arg)
{
    struct table_sync *s = ((struct run *)arg)->table_sync;
    if (s->copy)
        table_copy_cancel(s->copy);
    if (s->restore)
        restore_cancel(s->restore);
    if (s->second_look)
        second_look_cancel(s->second_look);
}

void table_sync_close(struct table_sync *s)
{
    if (!s)
        return;
    table_sync_mirror(s)->is_copying = false;
    if (s->copy && s->is_handed_over)
        table_sync_finish_copy(s, 0); /* it was the last thing that the stream did */
    else if (s->copy)
        table_copy_finish(s->copy);
    if (s->restore)
        (void)!restore_finish(s->restore, &table_sync_mirror(s)->key_trouble);
    if (s->second_look)
        s->wants_look |= second_look_finish(s->second_look);
    if (s->wants_look)
        want_definitions(s);
    table_name_list_free(&s->removed);
    for (size_t i = 0; i < s->n_items; i++)
        free(s->items[i].failure);
    free(s->items);
    free(s->aside);
    free(s->kept);
    free(s->wanted);
    free(s);
}
