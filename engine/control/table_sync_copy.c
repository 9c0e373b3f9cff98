/* One copy beside the stream: which tables come together, replay and hand-over, back-off; see
 * table_sync_private.h. */
#include "control/table_sync_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "copy/follow.h"

#define AT_ONCE_BYTES (128 << 20)
/* Somebody empties the table again and again: the next try may be luckier. */
#define STALE_AGAIN_MS 1000

/* --- names for the log ----------------------------------------------------------------------- */

static char *names_of(const struct table_sync *s)
{
    struct buf b = {0};
    size_t n = 0;
    for (size_t i = 0; i < s->n_items; i++) {
        const struct sync_item *item = &s->items[i];
        if (item->is_copying && n++ < 5)
            buf_printf(&b, "%s%s.%s", b.len ? "," : "", item->name.schema, item->name.table);
    }
    if (n > 5)
        buf_printf(&b, " and %zu more", n - 5);
    return buf_take(&b);
}

/* --- a copy begins --------------------------------------------------------------------------- */

static int64_t bytes_of(const struct table_sync *s, const struct sync_item *item)
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

static size_t at_most(const struct sync_item *item)
{
    return item->at_most ? item->at_most : SIZE_MAX;
}

/* The largest groups come first. Of tables that are copied one by one, the one that waits longest:
 * borrowed, else NULL. */
static const struct sync_item *next_group(const struct table_sync *s, int64_t now, size_t *most)
{
    const struct sync_item *oldest = NULL;
    *most = 0;
    for (size_t i = 0; i < s->n_items; i++) {
        const struct sync_item *item = &s->items[i];
        if (!table_sync_is_due(item, now))
            continue;
        if (at_most(item) > *most)
            *most = at_most(item);
        if (at_most(item) == 1 && (!oldest || item->retry_at < oldest->retry_at))
            oldest = item;
    }
    return *most == 1 ? oldest : NULL;
}

/* Those that come in the same way come together. */
static size_t choose(struct table_sync *s)
{
    int64_t now = clock_mono_ms(), room = bytes_at_once(s);
    size_t n = 0, most;
    const struct sync_item *only = next_group(s, now, &most), *first = NULL;
    for (size_t i = 0; i < s->n_items && n < most; i++) {
        struct sync_item *item = &s->items[i];
        int64_t bytes = bytes_of(s, item);
        if (!table_sync_is_due(item, now) || at_most(item) != most || (only && item != only) ||
            (n && bytes > room) ||
            (first && (item->by_swap != first->by_swap || item->keeps_rows != first->keeps_rows)))
            continue;
        first = first ? first : item;
        item->is_copying = true;
        room -= bytes;
        n++;
    }
    return n;
}

static void mark_copy(struct table_sync *s)
{
    const struct schema *schema = s->r->schema;
    memset(s->wanted, 0, table_sync_config(s)->n_tables * sizeof *s->wanted);
    for (size_t i = 0; i < s->n_items; i++)
        s->wanted[s->items[i].mapping] = s->items[i].is_copying;
    for (size_t i = 0; i < schema->n_tables; i++)
        s->kept[i] = s->wanted[schema->tables[i].mapping];
}

/* What an operator has to know of: it is tried again, but hardly with another end. */
static void show_failures(struct table_sync *s)
{
    struct mirror *m = table_sync_mirror(s);
    findings_free(&m->copy_trouble);
    for (size_t i = 0; i < s->n_items; i++) {
        const struct sync_item *item = &s->items[i];
        const struct err *e = item->failure;
        char title[160], cause[800], remedy[800];
        if (!e)
            continue;
        str_printf(title, sizeof title, "%s.%s cannot be copied", item->name.schema,
                   item->name.table);
        str_printf(cause, sizeof cause, "%s%s%s", e->sqlstate, e->sqlstate[0] ? " " : "", e->text);
        str_printf(remedy, sizeof remedy,
                   "%s%sIt is tried again by itself, at once with: bunnydb resync %s %s.%s",
                   e->hint, e->hint[0] ? " " : "Heal what the error names. ", m->row.config.name,
                   item->name.schema, item->name.table);
        findings_add(&m->copy_trouble, "table_copy", SEVERITY_ERROR, title, cause, remedy,
                     "resync");
    }
    show_dirty(m);
}

static void note_failure(struct sync_item *item, const struct err *err)
{
    free(item->failure);
    item->failure = mem_calloc(1, sizeof *item->failure);
    *item->failure = *err;
}

static void put_off(struct table_sync *s, const struct err *err)
{
    struct mirror *m = table_sync_mirror(s);
    char *names = names_of(s);
    size_t n = 0;
    int64_t wait = 0;
    for (size_t i = 0; i < s->n_items; i++)
        n += s->items[i].is_copying;
    for (size_t i = 0; i < s->n_items; i++) {
        struct sync_item *item = &s->items[i];
        if (!item->is_copying)
            continue;
        item->is_copying = false;
        item->is_owing = true; /* it may have dropped foreign keys, and not know */
        if (n > 1) /* one of them is to blame: halves tell which, and the others come soon */
            item->at_most = (n + 1) / 2;
        /* which of them the server refuses is not known: the halves come at once */
        bool is_shared = n > 1 && err_class_of(err) != CLASS_RETRY;
        wait = err->code == ERR_SNAPSHOT_STALE
                   ? STALE_AGAIN_MS
                   : mirror_backoff_ms(is_shared ? 1 : ++item->failures);
        item->retry_at = clock_mono_ms() + wait;
        table_sync_show_item(s, item, "error", err->text);
        if (n == 1 && err_class_of(err) != CLASS_RETRY)
            note_failure(item, err);
    }
    show_failures(s);
    log_write(err_class_of(err) == CLASS_RETRY ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "copy",
              m->row.config.name, err->hint,
              "copy beside the stream failed (%s); tried again in %.0f s error=\"%s\" tables=%s",
              err_name(err->code), (double)wait / 1000.0, err->text,
              names); /* a long line is cut: the list comes last */
    free(names);
    table_sync_end_operation(s);
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
    struct mirror *m = table_sync_mirror(s);
    struct err err = {0};
    mark_copy(s);
    struct table_copy_plan plan = {.config = table_sync_config(s),
                                   .wanted = s->wanted,
                                   .by_swap = is_swap(s),
                                   .keeps_rows = keeps_rows(s),
                                   .known = s->r->schema,
                                   .owner = table_sync_owner(s),
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
            table_sync_show_item(s, &s->items[i], "queued", "");
}

void table_sync_begin_copy(struct table_sync *s, struct apply *a)
{
    if (choose(s))
        begin_copy(s, a);
}

/* --- a copy goes on -------------------------------------------------------------------------- */

static void show_progress(struct table_sync *s, bool is_catching_up)
{
    struct mirror *m = table_sync_mirror(s);
    const struct schema *schema = s->r->schema;
    for (size_t i = 0; i < schema->n_tables; i++) {
        struct snapshot_table_progress p;
        if (!s->kept[i] || schema->tables[i].is_partitioned ||
            !table_copy_progress(s->copy, schema->tables[i].schema, schema->tables[i].name, &p))
            continue;
        show_table_copy(m, i, &p);
        if (is_catching_up)
            str_copy(m->tables[i].state, sizeof m->tables[i].state, "catching_up");
    }
    table_sync_show(s);
}

static void tell_point(struct table_sync *s, struct apply *a, lsn_t point)
{
    char *names = names_of(s);
    aside_set_point(a, point);
    s->is_point_told = true;
    log_info("copy", table_sync_config(s)->name,
             "copy beside the stream started tables=%s at=" LSN_FMT, names, LSN_ARGS(point));
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
    log_info("copy", table_sync_config(s)->name,
             "copy beside the stream is there tables=%s seconds=%.1f kept=%lld kept_bytes=%lld",
             names, (double)(clock_mono_ms() - s->began) / 1000.0, (long long)kept->kept,
             (long long)kept->kept_bytes);
    aside_replay(a, table_copy_schema(s->copy), list, n);
    free(names);
    free(list);
}

static void end_wish(struct table_sync *s, const struct sync_item *item)
{
    struct err err = {0};
    if (!catalog_copies_remove(table_sync_mirror(s)->engine->catalog, table_sync_config(s)->name,
                               &item->name, &err))
        log_error("copy", table_sync_config(s)->name,
                  "the wish for a copy stays, the next run copies the table again table=%s.%s: %s",
                  item->name.schema, item->name.table, err.text);
}

/* What was missed after the copy's point was missed by its replay. */
static void forget_trouble(struct table_sync *s, const struct sync_item *item, lsn_t point)
{
    struct mirror *m = table_sync_mirror(s);
    char name[2 * NAME_SIZE + 2];
    str_printf(name, sizeof name, "%s.%s", item->name.schema, item->name.table);
    trouble_resolved(m, name, point, "the table was copied again");
    for (size_t i = 0; i < s->r->schema->n_tables; i++)
        if (s->r->schema->tables[i].mapping == item->mapping)
            m->tables[i].rows_missing = 0;
}

void table_sync_finish_copy(struct table_sync *s, int64_t replayed)
{
    struct mirror *m = table_sync_mirror(s);
    struct table_copy_status status;
    char *names = names_of(s);
    bool all_asked = true;
    size_t n_left = 0;
    table_copy_status(s->copy, &status);
    show_progress(s, true);
    for (size_t i = 0; i < s->n_items; i++) {
        struct sync_item *item = &s->items[i];
        n_left += item->is_aside && !item->is_copying && !item->is_stopped;
        if (!item->is_copying)
            continue;
        item->is_copying = item->is_aside = false;
        free(item->failure);
        item->failure = NULL;
        s->wants_restore |= item->is_owing;
        all_asked &= item->was_asked;
        forget_trouble(s, item, status.point);
        end_wish(s, item);
        table_sync_show_item(s, item, "streaming", "");
    }
    log_info("copy", table_sync_config(s)->name,
             "copied tables stream tables=%s replayed=%lld seconds=%.1f", names,
             (long long)replayed, (double)(clock_mono_ms() - s->began) / 1000.0);
    free(names);
    show_failures(s);
    s->wants_restore |= status.has_restore;
    s->restore_at = s->restore_failures = 0;
    if (status.has_left_out)
        differences_want(table_sync_mirror(s));
    table_copy_finish(s->copy);
    s->copy = NULL;
    if (!n_left)
        table_sync_end_operation(s);
    /* Steps may have waited for these rows; not for those that an operator thought of. */
    if (definitions_are_automatic(m) && m->differences.n)
        definitions_want(m, 0);
    else if (definitions_are_automatic(m))
        s->wants_look |= !all_asked;
    follow_poke(s->r->follow); /* the copy has set them to what they were when it began */
    show_save_counters(table_sync_mirror(s));
}

static void begin_end(struct table_sync *s, const struct err *err)
{
    s->err = *err;
    s->is_ending = true;
    table_copy_cancel(s->copy);
}

bool table_sync_end_copy(struct table_sync *s, struct apply *a, struct err *err)
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

bool table_sync_look_at_copy(struct table_sync *s, struct apply *a, struct err *err)
{
    struct table_copy_status status;
    struct aside_status kept;
    table_copy_status(s->copy, &status);
    aside_status(a, &kept);
    if (kept.stage == ASIDE_STREAM) {
        aside_finish(a);
        table_sync_finish_copy(s, kept.replayed);
        return true;
    }
    if (status.point && !s->is_point_told)
        tell_point(s, a, status.point);
    if (kept.stage == ASIDE_FAILED || status.step == TABLE_COPY_FAILED) {
        begin_end(s, kept.stage == ASIDE_FAILED ? &kept.err : &status.err);
        return table_sync_end_copy(s, a, err);
    }
    if (status.step == TABLE_COPY_COPIED && kept.stage == ASIDE_KEEP)
        begin_replay(s, a, &kept);
    show_progress(s, status.step == TABLE_COPY_COPIED);
    return true;
}
