/* Differences of definitions as findings of the mirror: parts that the destination lacks because of
 * what is not mirrored, and those that are left to the operator. They come from the last
 * comparison: one follows a copy of the whole mirror, or another copy that has left something out,
 * then each sync-schema brings another. See mirror_private.h. */
#include "control/mirror_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "schema/acting.h"

/* What a finding says about several steps: as many as its texts have room for. */
struct summary {
    size_t n;
    struct buf names;      /* "add index public.t.i: why; …" */
    const char *statement; /* the first one; borrowed */
    bool is_of_rows;       /* rows may be others than the source's, until it is done */
};

static bool is_left_out(const struct schema_step *s)
{
    return schema_step_is_left_out(s) && !s->needs; /* else another one says it */
}

static bool is_for_the_operator(const struct schema_step *s)
{
    return s->kind == STEP_MANUAL && !s->needs_copy;
}

static void take(struct summary *u, const struct schema_step *s)
{
    u->n++;
    buf_printf(&u->names, "%s%s%s%s", u->names.len ? "; " : "", s->what, s->why ? ": " : "",
               s->why ? s->why : "");
    if (!u->statement)
        u->statement = s->sql;
    u->is_of_rows = u->is_of_rows || (s->kind == STEP_MANUAL && s->needs_copy);
}

/* what: "parts of definitions are left out at the destination" */
static void add(struct findings *f, struct summary *u, const char *code, enum severity severity,
                const char *one, const char *several, const char *advice, const char *mirror)
{
    char title[160], remedy[512];
    if (u->n == 1)
        str_copy(title, sizeof title, one);
    else
        str_printf(title, sizeof title, "%zu %s", u->n, several);
    str_printf(remedy, sizeof remedy,
               "%s All statements: bunnydb sync-schema %s --dry-run.%s%.250s", advice, mirror,
               u->statement ? " The first: " : "", u->statement ? u->statement : "");
    if (u->n)
        findings_add(f, code, severity, title, buf_text(&u->names), remedy, "sync-schema");
    buf_free(&u->names);
}

/* Where definitions follow by hand, nobody else tells what the stream does not meet: a partition
 * that was detached, an index. */
static bool is_behind(const struct mirror *m, const struct schema_plan *plan,
                      const struct schema_step *s, const struct schema_point *ran_at)
{
    if (definitions_are_automatic(m))
        return false;
    if (s->kind == STEP_MANUAL) /* and with a copy; sync-schema has asked for that */
        return !ran_at;
    return s->kind == STEP_RUN && !(ran_at && schema_step_is_due(plan, s, ran_at));
}

static void find(const struct mirror *m, const struct schema_plan *plan,
                 const struct schema_point *ran_at, struct findings *out)
{
    const char *name = m->row.config.name;
    struct summary left = {0}, manual = {0}, behind = {0};
    *out = (struct findings){0};
    for (size_t i = 0; i < plan->n; i++) {
        const struct schema_step *s = &plan->items[i];
        if (is_left_out(s))
            take(&left, s);
        else if (is_for_the_operator(s))
            take(&manual, s);
        else if (is_behind(m, plan, s, ran_at))
            take(&behind, s);
    }
    add(out, &manual, "definitions_differ", SEVERITY_WARNING,
        "A definition at the destination is not the source's",
        "definitions at the destination are not the source's",
        "What could lose data is left to you: run the statement, or leave it.", name);
    add(out, &behind, "definitions_behind", behind.is_of_rows ? SEVERITY_WARNING : SEVERITY_INFO,
        "A definition of the source is not at the destination",
        "definitions of the source are not at the destination", "sync-schema brings them.", name);
    add(out, &left, "definitions_left_out", SEVERITY_INFO,
        "A part of a definition is left out at the destination",
        "parts of definitions are left out at the destination",
        "The rows are complete. Create there what it needs, then sync-schema.", name);
}

void differences_load(struct mirror *m)
{
    struct err err = {0};
    if (!catalog_differences_load(m->engine->catalog, m->row.config.name, &m->differences,
                                  &m->has_compared, m->compared, &err))
        log_error("super", m->row.config.name, "cannot read what was different before: %s",
                  err.text);
}

void differences_note(struct mirror *m, const struct schema_plan *plan,
                      const struct schema_point *ran_at)
{
    struct err err = {0};
    findings_free(&m->differences);
    find(m, plan, ran_at, &m->differences);
    m->has_compared = true;
    str_copy(m->compared, sizeof m->compared, m->source_seen.definitions);
    show_dirty(m);
    if (!catalog_differences_save(m->engine->catalog, m->row.config.name, &m->differences,
                                  m->compared, &err))
        log_error("super", m->row.config.name, "cannot keep what is different: %s", err.text);
}

bool differences_forget(struct mirror *m, struct err *err)
{
    if (!m->has_compared)
        return true;
    if (!catalog_differences_save(m->engine->catalog, m->row.config.name, &m->differences, "", err))
        return false;
    m->compared[0] = '\0';
    return true;
}

void differences_want(struct mirror *m)
{
    m->has_compared = false;
    definitions_want(m, 0);
}

static bool compare(struct run *r, bool has_copied, struct err *err)
{
    struct mirror *m = r->m;
    struct schema_plan plan = {0};
    m->has_compared = true; /* once, however it goes: the stream is what matters */
    str_copy(m->compared, sizeof m->compared, m->source_seen.definitions);
    bool ok =
        schema_diff(r->source, r->dest, &m->task, &m->row.config, m->row.mirror_id, &plan, err) &&
        (!has_copied || schema_plan_try(r->dest, &m->task, &plan, m->row.config.name, err));
    if (ok) {
        differences_note(m, &plan, NULL);
    } else if (err->code != ERR_CANCELLED && pg_is_alive(r->source) && pg_is_alive(r->dest)) {
        log_warn("schema", m->row.config.name, "definitions were not compared: %s", err->text);
        err_clear(err);
        ok = true;
    }
    schema_plan_free(&plan);
    return ok;
}

/* What changed while nobody streamed is in no message when no row of it follows. */
bool differences_look(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    bool has_changed = strcmp(m->compared, m->source_seen.definitions) != 0;
    if (!m->row.snapshot_done || (m->has_compared && !has_changed))
        return true;
    if (!m->has_compared || !definitions_are_automatic(m))
        return compare(r, !m->has_compared, err);
    if (!(m->wants_sync && m->sync_failures)) /* else its back-off counts */
        definitions_want(m, 0);
    return true;
}

/* --- what fires there --------------------------------------------------------------------------
 */

/* Without their items. */
void differences_take_triggers(struct mirror *m, const struct findings *found)
{
    findings_free(&m->acting);
    for (size_t i = 0; i < found->n; i++)
        findings_add(&m->acting, found->items[i].code, found->items[i].severity,
                     found->items[i].title, found->items[i].cause, found->items[i].remedy, "");
    show_dirty(m);
}

bool differences_look_for_triggers(struct run *r, struct err *err)
{
    struct mirror *m = r->m;
    const struct mirror_config *c = &m->row.config;
    struct findings found = {0};
    const char **cells = mem_calloc(2 * c->n_tables + 1, sizeof *cells);
    for (size_t i = 0; i < c->n_tables; i++) {
        cells[i] = c->tables[i].dest_schema;
        cells[c->n_tables + i] = c->tables[i].dest_table;
    }
    bool ok = schema_find_triggers(r->dest, &m->task, c->n_tables, cells, cells + c->n_tables,
                                   &found, err);
    free(cells);
    differences_take_triggers(m, &found);
    findings_free(&found);
    return ok;
}
