/* Traits for what was just made: the statements go out together, and one by one when one of them
 * fails. */
#include "schema/traits.h"

#include <stdlib.h>
#include <string.h>

#include "schema/schema_private.h"

#define STATEMENT_MS 60000

/* Statements that wait to be run. */
struct batch {
    struct pg_conn *dest;
    struct task *task;
    const char *mirror;
    size_t n;
    char *sql[SCHEMA_BATCH];
    const struct trait *of[SCHEMA_BATCH];
};

static bool run_alone(struct batch *b, size_t k, struct err *err)
{
    struct err why = {0};
    if (pg_exec(b->dest, b->task, STATEMENT_MS, b->sql[k], NULL, &why))
        return true;
    if (why.code != ERR_SQL) {
        *err = why;
        return false;
    }
    log_write(LOG_LEVEL_WARN, "schema", b->mirror, b->sql[k], "left out %s %s: %s", b->of[k]->what,
              b->of[k]->part, why.text);
    return true;
}

static bool run_all(struct batch *b, struct err *err)
{
    bool worked;
    bool ok = batch_run(b->dest, b->task, (const char *const *)b->sql, b->n, false, &worked, err);
    for (size_t k = 0; ok && !worked && k < b->n; k++)
        ok = run_alone(b, k, err);
    for (size_t k = 0; k < b->n; k++)
        free(b->sql[k]);
    b->n = 0;
    return ok;
}

bool trait_is_excluded(const struct schema *s, const struct trait *t)
{
    if (t->of != TRAIT_OF_COLUMN)
        return false;
    const struct schema_table *table = &s->tables[t->table];
    for (size_t c = 0; c < table->n_columns; c++)
        if (table->columns[c].is_excluded && strcmp(table->columns[c].name, t->part) == 0)
            return true;
    return false;
}

/* The part that it is of may not have been made. */
static bool can_have(const struct trait_list *there, const struct trait *t,
                     const struct trait *same)
{
    switch (t->of) {
    case TRAIT_OF_INDEX:
    case TRAIT_OF_CONSTRAINT:
        return traits_have_part(there, t);
    case TRAIT_OF_BRANCH:
        return same != NULL;
    case TRAIT_OF_TABLE:
    case TRAIT_OF_COLUMN:
    case TRAIT_OF_STATISTICS:
    case TRAIT_OF_OBJECT:
        break;
    }
    return true;
}

bool trait_is_of_schema(const struct trait *t)
{
    return t->owner && strncmp(t->owner, "schema ", 7) == 0;
}

/* A schema that was there has its comment from its owner; public from the beginning. */
static bool is_own(const struct trait *t, const struct trait *there)
{
    return trait_is_of_schema(t) && there && there->value &&
           strcmp(there->value, "'standard public schema'") != 0;
}

static bool is_wanted(const struct trait *t, bool is_early, bool is_object)
{
    bool early = t->of == TRAIT_OF_COLUMN || t->of == TRAIT_OF_OBJECT;
    return t->is_made && early == is_early && trait_is_object(t) == is_object;
}

static bool apply(struct batch *b, const struct schema *s, const struct trait_list *there,
                  bool is_early, bool is_object, struct err *err)
{
    for (size_t k = 0; k < s->traits.n; k++) {
        const struct trait *t = &s->traits.items[k], *same = traits_find(there, t);
        if (!is_wanted(t, is_early, is_object) || trait_is_excluded(s, t) ||
            !can_have(there, t, same) || is_own(t, same) ||
            (same && same->value && !strcmp(same->value, t->value)))
            continue;
        if (b->n == SCHEMA_BATCH && !run_all(b, err))
            return false;
        b->of[b->n] = t;
        b->sql[b->n++] = trait_sql(t, same);
    }
    return run_all(b, err);
}

bool traits_apply(struct pg_conn *dest, struct task *task, const struct schema *s, bool is_early,
                  const char *mirror, struct err *err)
{
    struct batch b = {.dest = dest, .task = task, .mirror = mirror};
    struct trait_list there = {0};
    bool is_any = false;
    for (size_t k = 0; k < s->traits.n; k++)
        is_any = is_any || s->traits.items[k].is_made;
    if (!is_any)
        return true;
    bool ok = traits_read(dest, task, s, "{}", "{}", true, &there, err) &&
              apply(&b, s, &there, is_early, true, err) &&
              apply(&b, s, &there, is_early, false, err);
    traits_free(&there);
    return ok;
}
