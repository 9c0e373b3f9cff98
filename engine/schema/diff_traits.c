/* Traits on both sides: comments, compression, statistics … What the source has is set; what it had
 * and has no more is taken away; what only the destination has is its operator's. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

static char *place(const struct schema_table *t, const char *name)
{
    return mem_printf("%u %s", t->oid, name);
}

void diff_remade(struct diff *d, int i, const char *name)
{
    name_list_add(&d->remade, place(&d->src.s->tables[i], name));
}

static bool is_remade(const struct diff *d, const struct trait *t)
{
    if (t->of != TRAIT_OF_INDEX && t->of != TRAIT_OF_CONSTRAINT)
        return false;
    char *name = place(&d->src.s->tables[t->table], t->part);
    bool is = name_list_has(&d->remade, name);
    free(name);
    return is;
}

/* The name that a column of the destination has once the plan was run; NULL: it goes. */
static const char *now_named(const struct diff *d, int i, const char *name)
{
    int j = d->pairs[i].dest;
    for (size_t k = 0; k < d->old[j].n; k++) {
        if (strcmp(d->old[j].columns[k].name, name) != 0)
            continue;
        const struct schema_table *u = &d->dst.s->tables[j];
        for (size_t c = 0; c < u->n_columns; c++)
            if (u->columns[c].attnum == d->old[j].columns[k].attnum)
                return u->columns[c].name;
    }
    return NULL;
}

static void rename_columns(struct diff *d)
{
    for (size_t k = 0; k < d->there.n; k++) {
        struct trait *t = &d->there.items[k];
        if (t->of != TRAIT_OF_COLUMN || d->pairs[t->table].dest < 0)
            continue;
        char *now = mem_strdup(now_named(d, t->table, t->part));
        if (now) {
            free(t->part);
            t->part = now;
        }
    }
    traits_sort(&d->there);
}

/* The object is there, or a step before this one makes it. */
static bool is_possible(const struct diff *d, const struct trait *t, const struct trait *there)
{
    const struct schema_column *c;
    bool is_new = t->table >= 0 && d->pairs[t->table].is_new;
    switch (t->of) {
    case TRAIT_OF_INDEX:
    case TRAIT_OF_CONSTRAINT:
        return is_new || is_remade(d, t) || traits_have_part(&d->there, t);
    case TRAIT_OF_BRANCH:
        return there != NULL;
    case TRAIT_OF_COLUMN:
        c = is_new ? NULL : find_column(dest_of((struct diff *)d, t->table), t->part);
        return is_new || (c && (c->attnum || !c->is_generated));
    case TRAIT_OF_TABLE:
    case TRAIT_OF_STATISTICS:
    case TRAIT_OF_OBJECT:
        break;
    }
    return true;
}

static bool is_left(const struct diff *d, const struct trait *t)
{
    return (t->table >= 0 && d->pairs[t->table].is_unfit) || trait_is_excluded(d->src.s, t);
}

static uint32_t oid_of(const struct diff *d, const struct trait *t)
{
    return t->table < 0 ? 0 : d->src.s->tables[t->table].oid;
}

static char *book_name(const struct trait *t)
{
    return mem_printf("%s %s", t->what, t->part);
}

static char *what_of(const struct diff *d, const char *verb, const struct trait *t)
{
    const struct schema_table *table = t->table < 0 ? NULL : &d->src.s->tables[t->table];
    if (!table)
        return mem_printf("%s %s %s", verb, t->what, t->part);
    return mem_printf("%s %s%s%s of %s.%s", verb, t->what, t->part[0] ? " " : "", t->part,
                      table->dest_schema, table->dest_name);
}

/* What needs functions that the destination lacks cannot be set: it is tried. */
static bool is_refused(struct diff *d, const struct trait *t, const char *sql, bool *out,
                       struct err *err)
{
    char *answer = NULL;
    bool known = true;
    *out = false;
    if (!t->needs_objects || d->pairs[t->table].is_new || diff_makes_objects(d))
        return true;
    bool ok = ask_text(d->dest, d->task, sql, &answer, &known, err);
    free(answer);
    *out = ok && !known;
    return ok;
}

static bool has_step(const struct diff *d, enum stage stage, int table, const char *text)
{
    for (size_t k = 0; k < d->stages[stage].n; k++) {
        const struct schema_step *s = &d->stages[stage].items[k];
        const struct schema_table *t = table < 0 ? NULL : &d->src.s->tables[table];
        if (s->kind != STEP_RUN || (text && !strstr(s->sql, text)))
            continue;
        if (!t || (s->table && strncmp(s->table, t->dest_schema, strlen(t->dest_schema)) == 0 &&
                   strcmp(s->table + strlen(t->dest_schema) + 1, t->dest_name) == 0))
            return true;
    }
    return false;
}

static bool set_trait(struct diff *d, const struct trait *t, const struct trait *there,
                      struct err *err)
{
    char *sql = trait_sql(t, there);
    bool refused;
    if (!is_refused(d, t, sql, &refused, err)) {
        free(sql);
        return false;
    }
    if (refused) {
        diff_note(d, STAGE_TRAIT, t->table, sql, what_of(d, "set", t),
                  mem_strdup("the destination lacks what it needs"));
        return true;
    }
    struct schema_step *s = diff_run(d, STAGE_TRAIT, t->table, sql, what_of(d, "set", t));
    s->is_optional = true;
    s->is_late = is_remade(d, t); /* as its index or constraint */
    return true;
}

static void reset_trait(struct diff *d, const struct trait *there)
{
    char *name = book_name(there);
    bool is_booked = book_find(&d->book, oid_of(d, there), BOOK_TRAIT, -1, name) != NULL;
    free(name);
    bool goes = (there->of == TRAIT_OF_INDEX || there->of == TRAIT_OF_CONSTRAINT) &&
                has_step(d, STAGE_RELEASE, there->table, there->part);
    if (!is_booked || !there->reset || goes || is_left(d, there) || !is_possible(d, there, there))
        return;
    diff_run(d, STAGE_TRAIT, there->table, mem_printf("%s%s", there->stem, there->reset),
             what_of(d, "reset", there))
        ->is_optional = true;
}

/* --- tables of a type --------------------------------------------------------------------------
 */

/* Neither the columns of a table of a type can be changed, nor those of the type: the table is made
 * an ordinary one meanwhile. */
static bool untie(struct diff *d, const struct trait *t, const struct trait *there)
{
    if (t->of != TRAIT_OF_TABLE || !there ||
        !(has_step(d, STAGE_COLUMN, t->table, NULL) || has_step(d, STAGE_OBJECT, -1, "ATTRIBUTE")))
        return false;
    diff_run(d, STAGE_UNTIE, t->table, mem_printf("%s%s", t->stem, t->reset),
             what_of(d, "set aside", t));
    return true;
}

/* --- all ---------------------------------------------------------------------------------------
 */

static bool set_all(struct diff *d, bool objects, struct err *err)
{
    for (size_t k = 0; k < d->src.s->traits.n; k++) {
        const struct trait *t = &d->src.s->traits.items[k], *there = traits_find(&d->there, t);
        if (trait_is_object(t) != objects || is_left(d, t) || !is_possible(d, t, there))
            continue;
        bool is_same = there && there->value && strcmp(there->value, t->value) == 0;
        if (is_same && !is_remade(d, t) && !untie(d, t, there))
            continue;
        if (!set_trait(d, t, there, err))
            return false;
    }
    return true;
}

bool diff_traits(struct diff *d, struct err *err)
{
    if (!traits_read(d->dest, d->task, d->src.s, "{}", "{}", true, &d->there, err))
        return false;
    rename_columns(d);
    /* A table is clustered by one index: the old one's trait goes first. */
    for (size_t k = 0; k < d->there.n; k++)
        if (d->there.items[k].value && !traits_find(&d->src.s->traits, &d->there.items[k]))
            reset_trait(d, &d->there.items[k]);
    return set_all(d, true, err) && set_all(d, false, err);
}

/* Those that both sides have now, or once the plan was run. */
void diff_remember_traits(struct diff *d)
{
    for (size_t k = 0; k < d->src.s->traits.n; k++) {
        const struct trait *t = &d->src.s->traits.items[k];
        const struct schema_table *table = t->table < 0 ? NULL : &d->src.s->tables[t->table];
        if (is_left(d, t) || !is_possible(d, t, traits_find(&d->there, t)))
            continue;
        char *name = book_name(t);
        book_add(&d->next, oid_of(d, t), BOOK_TRAIT, 0, name, NULL, table ? table->dest_schema : "",
                 table ? table->dest_name : "");
        free(name);
    }
}
