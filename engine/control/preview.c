/* What sync-schema's preview says besides the comparison of definitions: tables whose rows the
 * source has changed without telling the stream. The operation itself finds them when the next run
 * looks (definitions.c). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/definitions.h"
#include "stream/sync_rows.h"

/* For the rows of one table, and how many tables are asked: somebody waits for the answer. One that
 * is not asked may have been rewritten. */
#define ROWS_MS 1500
#define ASK_TABLES 4

struct preview {
    struct engine *engine;
    const struct mirror_row *row;
    struct pg_conn *source, *dest;
    struct task *source_task, *dest_task;
    struct schema_plan *plan;
    struct schema *schema;
    struct known was, now;
    struct table_name_list wishes;
    struct sync_row_list aside;
    int n_asked;
};

static bool is_copied_anyway(const struct preview *p, int mapping)
{
    const struct table_map *m = &p->row->config.tables[mapping];
    for (size_t i = 0; i < p->plan->n; i++)
        if (p->plan->items[i].needs_copy && p->plan->items[i].kind != STEP_NOTE &&
            p->plan->items[i].mapping == mapping)
            return true;
    for (size_t i = 0; i < p->aside.n; i++)
        if (p->aside.items[i].is_aside && !strcmp(p->aside.items[i].name.table, m->source_table) &&
            !strcmp(p->aside.items[i].name.schema, m->source_schema))
            return true;
    return table_name_list_has(&p->wishes, m->source_schema, m->source_table);
}

static bool ask_rewritten(struct preview *p, const struct known_table *was,
                          const struct known_table *now, bool *out, struct err *err)
{
    *out = true;
    if (known_rewrite(was, now) == KNOWN_ASK && p->n_asked++ >= ASK_TABLES)
        return true;
    return known_ask_rewritten(p->source, p->source_task, ROWS_MS, was, now, out, err);
}

static void add_step(struct preview *p, const struct schema_table *t, const char *why)
{
    const struct table_map *m = &p->row->config.tables[t->mapping];
    char *part = !strcmp(t->name, m->source_table) && !strcmp(t->schema, m->source_schema)
                     ? mem_strdup("")
                     : mem_printf("partition %s.%s: ", t->schema, t->name);
    schema_plan_add(p->plan,
                    (struct schema_step){
                        .kind = STEP_MANUAL,
                        .what = mem_printf("copy table %s.%s again", m->dest_schema, m->dest_table),
                        .table = mem_printf("%s.%s", m->dest_schema, m->dest_table),
                        .why = mem_printf("%s%s", part, why),
                        .needs_copy = true,
                        .mapping = t->mapping,
                        .oid = t->oid});
    free(part);
}

static bool look_at_table(struct preview *p, const struct schema_table *t, struct err *err)
{
    const struct known_table *was = known_find(&p->was, t->oid), *now = known_find(&p->now, t->oid);
    bool is_rewritten;
    if (!was || !now || !was->n || is_copied_anyway(p, t->mapping))
        return true;
    if (!ask_rewritten(p, was, now, &is_rewritten, err))
        return false;
    const char *why = definitions_reason(was, now, is_rewritten);
    if (!why)
        return true;
    add_step(p, t, why);
    return true;
}

/* What is not the destination's of before any more. */
static bool look_there(struct preview *p, struct err *err)
{
    struct place_changes changes = {0};
    bool ok = definitions_look_there(p->source, p->source_task, p->dest, p->dest_task,
                                     p->row->mirror_id, p->schema, &changes, err);
    for (size_t i = 0; ok && i < changes.n; i++) {
        const struct schema_table *t = &p->schema->tables[changes.items[i].table];
        char *why = definitions_why_there(t, &changes.items[i]);
        if (!is_copied_anyway(p, t->mapping))
            add_step(p, t, why);
        free(why);
    }
    place_changes_free(&changes);
    return ok;
}

static bool ask_known(struct preview *p, struct err *err)
{
    const struct schema *s = p->schema;
    uint32_t *oids = mem_calloc(s->n_tables + 1, sizeof *oids);
    for (size_t i = 0; i < s->n_tables; i++)
        oids[i] = s->tables[i].oid;
    bool ok = known_read(p->dest, p->dest_task, p->row->mirror_id, 0, &p->was, err) &&
              known_ask(p->source, p->source_task, p->row->config.publication, s->n_tables, oids,
                        &p->now, err);
    free(oids);
    return ok;
}

static bool look(struct preview *p, struct err *err)
{
    const struct mirror_config *c = &p->row->config;
    if (!schema_read(p->source, p->source_task, c->tables, c->n_tables, false, false, false,
                     &p->schema, err)) {
        bool is_told = err->code == ERR_SOURCE_TABLE; /* by the comparison */
        if (is_told)
            err_clear(err);
        return is_told;
    }
    if (!ask_known(p, err) || !catalog_copies(p->engine->catalog, c->name, &p->wishes, err) ||
        !sync_rows_read(p->dest, p->dest_task, p->row->mirror_id, &p->aside, err))
        return false;
    for (size_t i = 0; i < p->schema->n_tables; i++)
        if (!look_at_table(p, &p->schema->tables[i], err))
            return false;
    return look_there(p, err);
}

bool definitions_preview(struct engine *e, const struct mirror_row *row, struct pg_conn *source,
                         struct task *source_task, struct pg_conn *dest, struct task *dest_task,
                         struct schema_plan *plan, struct err *err)
{
    struct preview p = {.engine = e,
                        .row = row,
                        .source = source,
                        .source_task = source_task,
                        .dest = dest,
                        .dest_task = dest_task,
                        .plan = plan};
    bool ok = !row->snapshot_done || look(&p, err);
    known_free(&p.was);
    known_free(&p.now);
    table_name_list_free(&p.wishes);
    sync_row_list_free(&p.aside);
    schema_free(p.schema);
    return ok;
}
