/* Domains that both sides have: defaults, NOT NULL, constraints. Part of diff_types. */
#include "schema/diff_types.h"

#include <stdlib.h>
#include <string.h>

static bool is_equal(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static void diff_domain_default(struct diff *d, struct type_pair *p)
{
    if (is_equal(p->src.default_expr, p->dst.default_expr))
        return;
    struct buf b = alter_type(p);
    if (p->src.default_expr)
        buf_printf(&b, "SET DEFAULT %s", p->src.default_expr);
    else
        buf_puts(&b, "DROP DEFAULT");
    if (p->src.needs_objects && !p->dst.default_expr) {
        diff_note(d, STAGE_OBJECT, -1, buf_take(&b), what_of_type(p, "default", NULL),
                  mem_strdup("it needs functions, which are not mirrored"));
        return;
    }
    struct schema_step *s =
        diff_run(d, STAGE_OBJECT, -1, buf_take(&b), what_of_type(p, "change default", NULL));
    s->is_late = true;
    s->is_optional = p->src.needs_objects;
}

static void diff_domain_null(struct diff *d, struct type_pair *p)
{
    if (p->src.not_null == p->dst.not_null)
        return;
    struct buf b = alter_type(p);
    buf_puts(&b, p->src.not_null ? "SET NOT NULL" : "DROP NOT NULL");
    if (p->src.not_null)
        diff_manual(d, STAGE_OBJECT, -1, buf_take(&b), what_of_type(p, "set NOT NULL", NULL),
                    mem_strdup("it would look at every row of every table that has the domain: run "
                               "it when the mirror has caught up"));
    else
        diff_run(d, STAGE_OBJECT, -1, buf_take(&b), what_of_type(p, "drop NOT NULL", NULL));
}

static char *domain_constraint_sql(const struct type_pair *p, const char *verb,
                                   const struct part *c, bool with_text)
{
    struct buf b = alter_type(p);
    buf_printf(&b, "%s CONSTRAINT ", verb);
    pg_quote_ident(&b, c->name);
    if (with_text)
        buf_printf(&b, " %s NOT VALID", c->text);
    return buf_take(&b);
}

static void validate_domain(struct diff *d, const struct type_pair *p, const struct part *c)
{
    struct schema_step *s =
        diff_run(d, STAGE_VALIDATE, -1, domain_constraint_sql(p, "VALIDATE", c, false),
                 what_of_type(p, "validate constraint", c->name));
    s->is_late = true;
    s->is_optional = true;
}

static void add_domain_constraint(struct diff *d, const struct type_pair *p, const struct part *c)
{
    char *sql = domain_constraint_sql(p, "ADD", c, true);
    char *what = what_of_type(p, "add constraint", c->name);
    if (c->needs_objects) {
        diff_note(d, STAGE_CHECK, -1, sql, what,
                  mem_strdup("it needs functions, which are not mirrored"));
        return;
    }
    diff_run(d, STAGE_CHECK, -1, sql, what)->is_late = true;
    if (c->is_valid)
        validate_domain(d, p, c);
}

static void drop_domain_constraint(struct diff *d, const struct type_pair *p, const struct part *c)
{
    diff_run(d, STAGE_RELEASE, -1, domain_constraint_sql(p, "DROP", c, false),
             what_of_type(p, "drop constraint", c->name));
}

/* A constraint whose text differs may say the same: see shadow.c. */
static bool is_same_constraint(struct diff *d, const struct type_pair *p, const struct part *from,
                               const struct part *to, bool *same, struct err *err)
{
    struct buf sql = {0};
    bool known = true;
    *same = strcmp(from->text, to->text) == 0;
    if (*same)
        return true;
    char *base = mem_strdup(p->src.base ? p->src.base : "");
    buf_printf(&sql,
               "CREATE DOMAIN pg_temp.bunny_shadow AS %s CONSTRAINT a %s CONSTRAINT b %s;"
               " SELECT count(DISTINCT pg_catalog.pg_get_constraintdef(oid)) = 1 FROM"
               " pg_catalog.pg_constraint WHERE contypid = 'pg_temp.bunny_shadow'::"
               "pg_catalog.regtype",
               base, from->text, to->text);
    bool ok = ask_slowly(d->dest, d->task, buf_text(&sql), same, &known, err);
    buf_free(&sql);
    free(base);
    return ok;
}

static bool diff_domain_constraints(struct diff *d, struct type_pair *p, struct err *err)
{
    for (size_t k = 0; k < p->dst.n; k++) {
        const struct part *c = &p->dst.parts[k];
        if (part_named(&p->src, c->name))
            continue;
        if (book_find(&d->book, p->src.oid, BOOK_CHECK, -1, c->name))
            drop_domain_constraint(d, p, c);
        else if (!is_type_known(d, p, BOOK_TABLE))
            diff_manual(d, STAGE_RELEASE, -1, domain_constraint_sql(p, "DROP", c, false),
                        what_of_type(p, "drop constraint", c->name),
                        mem_strdup("only the destination has it: run this if it was dropped at the "
                                   "source"));
    }
    for (size_t k = 0; k < p->src.n; k++) {
        const struct part *to = &p->src.parts[k], *from = part_named(&p->dst, to->name);
        bool same = false;
        remember_part(d, p, BOOK_CHECK, 0, to->name);
        if (from && !is_same_constraint(d, p, from, to, &same, err))
            return false;
        if (from && same) {
            if (to->is_valid && !from->is_valid)
                validate_domain(d, p, to);
            continue;
        }
        if (from)
            drop_domain_constraint(d, p, from);
        add_domain_constraint(d, p, to);
    }
    return true;
}

bool diff_domain(struct diff *d, struct type_pair *p, struct err *err)
{
    if (!is_equal(p->src.base, p->dst.base)) {
        diff_manual(d, STAGE_OBJECT, -1, NULL, what_of_type(p, "change base type", NULL),
                    mem_printf("it is %s at the source and %s here, which PostgreSQL cannot "
                               "change: make it anew under the tables that have it",
                               p->src.base, p->dst.base));
        return true;
    }
    diff_domain_default(d, p);
    diff_domain_null(d, p);
    remember_part(d, p, BOOK_TABLE, 0, "");
    return diff_domain_constraints(d, p, err);
}
