/* Tables leave the stream for their copy, while the stream goes on; see table_sync.h. */
#include "control/table_sync_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define STAND_LIMIT_MS 3000

bool table_sync_takes(const struct table_sync *s)
{
    return !s->copy && !s->asked.is_there && !s->is_snapshot;
}

void table_sync_ask(struct table_sync *s, const struct table_name *table, bool by_swap)
{
    s->asked.is_there = true;
    s->asked.by_swap = by_swap;
    s->asked.is_all = !table;
    if (table)
        s->asked.name = *table;
    s->asked.at = clock_mono_ms();
    table_sync_mirror(s)->is_copying =
        true; /* nothing else ends the run for its own purposes now */
}

bool table_sync_is_overdue(const struct table_sync *s)
{
    return s->asked.is_there && clock_mono_ms() - s->asked.at >= STAND_LIMIT_MS;
}

static struct sync_item *item_of(struct table_sync *s, int mapping)
{
    struct sync_item none = {.mapping = mapping};
    for (size_t i = 0; i < s->n_items; i++)
        if (s->items[i].mapping == mapping)
            return &s->items[i];
    MEM_PUSH(s->items, s->n_items, s->cap_items, none);
    return &s->items[s->n_items - 1];
}

static bool is_asked(const struct table_sync *s, const struct table_map *t)
{
    return s->asked.is_all || (!strcmp(t->source_table, s->asked.name.table) &&
                               !strcmp(t->source_schema, s->asked.name.schema));
}

/* As table_sync_open does with a wish. */
static void add_asked(struct table_sync *s)
{
    const struct mirror_config *c = table_sync_config(s);
    for (size_t i = 0; i < c->n_tables; i++) {
        if (!is_asked(s, &c->tables[i]))
            continue;
        struct sync_item *item = item_of(s, (int)i);
        bool was_aside = item->is_aside, is_owing = item->is_owing;
        free(item->failure);
        *item = (struct sync_item){.mapping = (int)i,
                                   .by_swap = s->asked.by_swap,
                                   .keeps_rows = s->asked.by_swap,
                                   .is_aside = true,
                                   .is_owing = is_owing,
                                   .was_asked = !was_aside};
        str_copy(item->name.schema, sizeof item->name.schema, c->tables[i].source_schema);
        str_copy(item->name.table, sizeof item->name.table, c->tables[i].source_table);
        table_sync_show_item(s, item, "queued", "");
    }
    s->is_idle = false;
    s->asked.is_there = false;
}

/* The stream stands. The rows are written before any change is passed over. */
static bool take_asked(struct table_sync *s, struct apply *a, struct err *err)
{
    struct sync_row_list rows = {0};
    struct mirror *m = table_sync_mirror(s);
    add_asked(s);
    table_sync_mark_aside(s);
    bool ok = pg_pipe_leave(s->r->dest, err);
    if (ok)
        table_sync_remove_leftovers(s);
    ok = ok && table_sync_set_aside(s, err) &&
         sync_rows_read(s->r->dest, &m->task, m->row.mirror_id, &rows, err) &&
         pg_pipe_enter(s->r->dest, err);
    if (ok) {
        table_sync_show_stopped(s, &rows);
        aside_take(a, s->aside);
        apply_go_on(a);
    }
    sync_row_list_free(&rows);
    return ok;
}

bool table_sync_tend_asked(struct table_sync *s, struct apply *a, struct err *err)
{
    bool stands;
    if (!s->asked.is_there || s->copy || !aside_is_settled(a))
        return true;
    return apply_stand(a, &stands, err) && (!stands || take_asked(s, a, err));
}
