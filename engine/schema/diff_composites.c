/* Composites that both sides have. A value comes as the text of all attributes in their order, and
 * none says which is which: their number and order have to be the source's. Part of diff_types. */
#include "schema/diff_types.h"

#include <stdlib.h>
#include <string.h>

static char *attribute_sql(const struct type_pair *p, const char *verb, const struct part *a,
                           const char *between, bool with_type)
{
    struct buf b = alter_type(p);
    buf_printf(&b, "%s ATTRIBUTE ", verb);
    pg_quote_ident(&b, a->name);
    if (with_type)
        buf_printf(&b, "%s %s", between, a->text);
    return buf_take(&b);
}

static bool is_beginning(struct type_pair *p)
{
    bool same = p->dst.n <= p->src.n;
    for (size_t k = 0; same && k < p->dst.n; k++)
        same = strcmp(p->dst.parts[k].name, p->src.parts[k].name) == 0 &&
               strcmp(p->dst.parts[k].text, p->src.parts[k].text) == 0;
    return same;
}

static bool has_number(const struct type_side *s, int64_t number)
{
    for (size_t k = 0; k < s->n; k++)
        if (s->parts[k].number == number)
            return true;
    return false;
}

/* Whether the source has dropped one that the destination has from it. */
static bool has_dropped(const struct type_pair *p)
{
    for (size_t k = 0; k < p->dst.n; k++)
        if (p->dst.parts[k].origin && !has_number(&p->src, p->dst.parts[k].origin))
            return true;
    return false;
}

static void forget(struct type_side *s, size_t k)
{
    free(s->parts[k].name);
    free(s->parts[k].text);
    free(s->parts[k].now);
    s->n--;
    memmove(s->parts + k, s->parts + k + 1, (s->n - k) * sizeof *s->parts);
}

static void drop_attributes(struct diff *d, struct type_pair *p)
{
    for (size_t k = 0; k < p->dst.n;) {
        struct part *a = &p->dst.parts[k];
        if (!a->origin || has_number(&p->src, a->origin)) {
            k++;
            continue;
        }
        diff_run(d, STAGE_OBJECT, -1, attribute_sql(p, "DROP", a, "", false),
                 what_of_type(p, "drop attribute", a->name));
        forget(&p->dst, k);
    }
}

/* No value tells the name of an attribute: it may follow at once. */
static void rename_attribute(struct diff *d, struct type_pair *p, struct part *from, const char *to)
{
    struct buf b = alter_type(p);
    buf_puts(&b, "RENAME ATTRIBUTE ");
    pg_quote_ident(&b, from->name);
    buf_puts(&b, " TO ");
    pg_quote_ident(&b, to);
    struct schema_step *s = diff_run(d, STAGE_OBJECT, -1, buf_take(&b),
                                     what_of_type(p, "rename attribute", from->name));
    part_renamed(d, s, p, BOOK_ATTRIBUTE, from, to);
    free(from->name);
    from->name = mem_strdup(to);
}

static void tell_order(struct diff *d, struct type_pair *p)
{
    diff_manual(d, STAGE_OBJECT, -1, NULL, what_of_type(p, "order", "of attributes"),
                mem_strdup("attributes come in another order at the source, and values go by it: "
                           "make the type anew under the tables that have it"));
}

/* What is not known from the source is left to the operator. */
static bool tell_others(struct diff *d, struct type_pair *p)
{
    bool is_other = false;
    for (size_t k = 0; k < p->dst.n; k++) {
        const struct part *here = &p->dst.parts[k], *there = part_named(&p->src, here->name);
        if (!there)
            diff_manual(d, STAGE_OBJECT, -1, attribute_sql(p, "DROP", here, "", false),
                        what_of_type(p, "drop attribute", here->name),
                        mem_strdup("the source does not have it; its values would be lost"));
        else if (strcmp(here->text, there->text) != 0)
            diff_manual(d, STAGE_OBJECT, -1, attribute_sql(p, "ALTER", there, " TYPE", true),
                        what_of_type(p, "change attribute", there->name),
                        mem_strdup("PostgreSQL refuses it while a table has the type"));
        else
            continue;
        is_other = true;
    }
    return is_other;
}

/* at_point: values of before do not fit any more. */
static void add_attributes(struct diff *d, struct type_pair *p, bool can_add, bool at_point)
{
    for (size_t k = 0; k < p->src.n; k++) {
        const struct part *to = &p->src.parts[k];
        if (part_named(&p->dst, to->name))
            continue;
        char *sql = attribute_sql(p, "ADD", to, "", true);
        char *what = what_of_type(p, "add attribute", to->name);
        if (!can_add) {
            diff_manual(d, STAGE_OBJECT, -1, sql, what,
                        mem_strdup("the destination has other attributes before it, and their "
                                   "order decides"));
            continue;
        }
        struct schema_step *s = diff_run(d, STAGE_OBJECT, -1, sql, what);
        if (at_point)
            diff_type_at_point(d, s, p->src.oid, p->name);
    }
}

bool diff_composite(struct diff *d, struct type_pair *p, struct err *err)
{
    bool is_same = p->dst.n == p->src.n && is_beginning(p);
    bool is_known = is_type_known(d, p, BOOK_ATTRIBUTE), drops = false;
    if (!is_same && is_known) {
        parts_find_origins(d, p, BOOK_ATTRIBUTE);
        drops = has_dropped(p);
        if (drops && d->is_refit)
            return true; /* of some tables: all that have the type are to be copied with it */
        drop_attributes(d, p);
        parts_follow_names(d, p, rename_attribute);
    }
    if (drops && !diff_copy_users(d, p, "attributes of a type were dropped at the source", err))
        return false;
    bool can_add = is_beginning(p), is_other = !can_add && tell_others(d, p);
    if (!can_add && !is_other && p->dst.n == p->src.n)
        tell_order(d, p);
    add_attributes(d, p, can_add, !drops);
    for (size_t k = 0; (can_add || is_known) && k < p->src.n; k++)
        remember_part(d, p, BOOK_ATTRIBUTE, p->src.parts[k].number, p->src.parts[k].name);
    return true;
}
