/* Values that the destination's types do not take. What was read together with the change is
 * applied before anything is done about it: a definition that follows for the one change must not
 * be wrong for those before it. And a table whose values are neither of the types of before nor of
 * those of now is copied again. See definitions.h. */
#include "control/definitions.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "control/causes.h"
#include "control/table_sync.h"

#define ASK_MS 60000

/* Of the types that ALTER TYPE, or ALTER DOMAIN, makes others without a word of the table. */
static bool has_such_type(const struct schema_table *t)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (!t->columns[i].is_excluded && !t->columns[i].is_built_in)
            return true;
    return false;
}

/* Its copy is under way, and would only begin anew. */
static bool is_replayed(const struct run *r)
{
    return r->m->blamed >= 0 && r->table_sync &&
           table_sync_has_aside(r->table_sync, r->schema->tables[r->m->blamed].mapping);
}

static void note_misfit(struct run *r, bool is_alone, const struct err *why)
{
    struct mirror *m = r->m;
    m->misfit = (struct table_name){0};
    str_copy(m->misfit_constraint, sizeof m->misfit_constraint, why->constraint);
    if (is_alone && m->blamed >= 0 && cause_is_a_type(why) && !is_replayed(r) &&
        has_such_type(&r->schema->tables[m->blamed]))
        m->misfit = definitions_table(r, m->blamed);
}

bool definitions_go_first(struct run *r, lsn_t closed_before, const struct err *why)
{
    struct mirror *m = r->m;
    bool is_alone = !m->failed_at || m->failed_at == closed_before || m->failed_at == m->oldest;
    note_misfit(r, is_alone, why);
    if (is_alone || !m->row.snapshot_done || !definitions_are_to_blame(why) || is_replayed(r) ||
        m->parted_at == m->live.last_lsn)
        return false;
    m->parted_at = m->live.last_lsn;
    log_debug("schema", m->row.config.name, "what comes before " LSN_FMT " is applied first: %s",
              LSN_ARGS(m->failed_at), why->text);
    return true;
}

/* Types are the same on both sides: the source's rows of now fit. */
static bool is_settled(const struct schema_plan *plan)
{
    for (size_t i = 0; i < plan->n; i++)
        if (plan->items[i].kind != STEP_NOTE && plan->items[i].is_of_type)
            return false;
    return true;
}

/* A domain's constraint that only the destination has would refuse the copy as well. */
static bool is_of_the_source(struct run *r, bool *out, struct err *err)
{
    static const char sql[] = "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contypid"
                              " <> 0 AND conname = $1)";
    const char *values[] = {r->m->misfit_constraint};
    struct pg_result *res = NULL;
    *out = true;
    if (!values[0][0])
        return true;
    if (!pg_exec_params(r->source, &r->m->task, ASK_MS, sql, COUNT_OF(values), values, &res, err))
        return err_context(err, "ask the source for a domain's constraint");
    *out = pg_bool(res, 0, 0);
    pg_free(res);
    return true;
}

bool definitions_copy_misfit(struct run *r, const struct schema_plan *plan, bool *is_copied,
                             struct err *err)
{
    struct mirror *m = r->m;
    struct table_name_list wishes = {0};
    bool is_ours;
    *is_copied = false;
    if (!m->misfit.table[0] || !is_settled(plan))
        return true;
    if (!is_of_the_source(r, &is_ours, err))
        return false;
    if (!is_ours)
        return true;
    if (!catalog_copies(m->engine->catalog, m->row.config.name, &wishes, err))
        return false;
    bool is_wished = table_name_list_has(&wishes, m->misfit.schema, m->misfit.table);
    table_name_list_free(&wishes);
    if (is_wished)
        return true;
    if (!catalog_copies_add(m->engine->catalog, m->row.config.name, &m->misfit, 1, err))
        return false;
    log_info("schema", m->row.config.name,
             "table=%s.%s is copied again: a change of before holds a value that its types, which "
             "are the same on both sides now, do not take",
             m->misfit.schema, m->misfit.table);
    m->misfit = (struct table_name){0};
    *is_copied = true;
    return true;
}
