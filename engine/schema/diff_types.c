/* Types that both sides have: labels of enums, attributes of composites, domains. What has no
 * ALTER, or loses values, is left to the operator. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

/* A row for each part of each type: a label, an attribute, a constraint; one with NULLs when there
 * is none. Columns: position, kind, what it is made of, default, does the default need functions,
 * NOT NULL, OID, and of the part: number, name, text, is it valid, does it need functions. */
static const char types_sql[] =
    "SELECT u.ord - 1, t.typtype, CASE t.typtype WHEN 'd' THEN concat("
    "   format_type(t.typbasetype, t.typtypmod), CASE WHEN t.typcollation <> (SELECT b.typcollation"
    "    FROM pg_type b WHERE b.oid = t.typbasetype) THEN ' COLLATE '"
    "    || t.typcollation::regcollation END)"
    "  WHEN 'r' THEN (SELECT format('%s %s %s %s', r.rngsubtype::regtype,"
    "   r.rngcollation::regcollation, o.opcname, CASE WHEN r.rngsubdiff < 16384"
    "    THEN r.rngsubdiff ELSE 0 END::regproc) FROM pg_range r"
    "   JOIN pg_opclass o ON o.oid = r.rngsubopc WHERE r.rngtypid = t.oid) END,"
    " pg_get_expr(t.typdefaultbin, 0), " NEEDS_OBJECTS(
        "pg_type", "t.oid",
        "0") " AND t.typdefaultbin IS NOT NULL, t.typnotnull, t.oid, f.num, f.name, f.text,"
             " f.valid, f.needs"
             " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u(s, n, ord)"
             " JOIN pg_namespace n ON n.nspname = u.s"
             " JOIN pg_type t ON t.typnamespace = n.oid AND t.typname = u.n"
             " LEFT JOIN LATERAL ("
             " SELECT e.oid::int8 AS num, e.enumlabel::text AS name, '' AS text, true AS valid,"
             "  false AS needs, e.enumsortorder::float8 AS pos FROM pg_enum e"
             "  WHERE e.enumtypid = t.oid"
             " UNION ALL SELECT a.attnum, a.attname, concat(format_type(a.atttypid, a.atttypmod),"
             "  CASE WHEN a.attcollation <> b.typcollation THEN ' COLLATE '"
             "   || a.attcollation::regcollation END), true, false, a.attnum FROM pg_attribute a"
             "  JOIN pg_type b ON b.oid = a.atttypid WHERE t.typtype = 'c'"
             "  AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped"
             " UNION ALL SELECT 0, con.conname, regexp_replace(pg_get_constraintdef(con.oid),"
             "  ' NOT VALID$', ''), con.convalidated, " NEEDS_OBJECTS(
                 "pg_constraint", "con.oid",
                 "0") ", 0"
                      "  FROM pg_constraint con WHERE con.contypid = t.oid AND con.contype = 'c'"
                      ") f ON true ORDER BY u.ord, f.pos, f.name";

struct part {
    int64_t number;
    char *name, *text;
    bool is_valid, needs_objects;
    char *now; /* of a label at the destination: what it is called until the transaction */
};
struct type_side {
    uint32_t oid;
    char kind;
    char *base, *default_expr;
    bool needs_objects, not_null;
    size_t n, cap;
    struct part *parts;
};
/* One type on both sides. */
struct type_pair {
    const char *schema, *name; /* borrowed */
    struct type_side src, dst;
};

static void side_free(struct type_side *s)
{
    for (size_t k = 0; k < s->n; k++) {
        free(s->parts[k].name);
        free(s->parts[k].text);
        free(s->parts[k].now);
    }
    free(s->parts);
    free(s->base);
    free(s->default_expr);
}

static bool is_equal(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static struct part *part_named(struct type_side *s, const char *name)
{
    for (size_t k = 0; k < s->n; k++)
        if (strcmp(s->parts[k].name, name) == 0)
            return &s->parts[k];
    return NULL;
}

static void take_row(const struct pg_result *res, size_t row, struct type_side *s)
{
    if (!s->kind) {
        s->kind = pg_text(res, row, 1)[0];
        s->base = read_text(res, row, 2);
        s->default_expr = read_text(res, row, 3);
        s->needs_objects = pg_bool(res, row, 4);
        s->not_null = pg_bool(res, row, 5);
        s->oid = (uint32_t)pg_int(res, row, 6);
    }
    if (pg_is_null(res, row, 8))
        return;
    struct part p = {.number = pg_int(res, row, 7),
                     .name = read_text(res, row, 8),
                     .text = read_text(res, row, 9),
                     .is_valid = pg_bool(res, row, 10),
                     .needs_objects = pg_bool(res, row, 11),
                     .now = read_text(res, row, 8)};
    MEM_PUSH(s->parts, s->n, s->cap, p);
}

static bool read_side(struct reader *r, struct type_pair *pairs, size_t n, size_t offset,
                      struct err *err)
{
    struct buf schemas = {0}, names = {0};
    const char **a = mem_calloc(n + 1, sizeof *a), **b = mem_calloc(n + 1, sizeof *b);
    struct pg_result *res = NULL;
    for (size_t i = 0; i < n; i++) {
        a[i] = pairs[i].schema;
        b[i] = pairs[i].name;
    }
    pg_quote_array(&schemas, n, a);
    pg_quote_array(&names, n, b);
    const char *values[] = {buf_text(&schemas), buf_text(&names)};
    bool ok = read_query(r, types_sql, 2, values, &res, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++)
        take_row(res, row, (struct type_side *)((char *)&pairs[pg_int(res, row, 0)] + offset));
    pg_free(res);
    buf_free(&schemas);
    buf_free(&names);
    free(a);
    free(b);
    return ok;
}

/* --- steps -------------------------------------------------------------------------------------
 */

static struct buf alter_type(const struct type_pair *p)
{
    struct buf b = {0};
    buf_puts(&b, p->src.kind == 'd' ? "ALTER DOMAIN " : "ALTER TYPE ");
    pg_quote_qualified(&b, p->schema, p->name);
    buf_putc(&b, ' ');
    return b;
}

static char *what_of(const struct type_pair *p, const char *what, const char *part)
{
    return mem_printf("%s%s%s of %s %s.%s", what, part ? " " : "", part ? part : "",
                      p->src.kind == 'd' ? "domain" : "type", p->schema, p->name);
}

static void remember(struct diff *d, const struct type_pair *p, enum book_kind kind, int64_t number,
                     const char *name)
{
    book_add(&d->next, p->src.oid, kind, number, name, NULL, p->schema, p->name);
}

static bool is_known(const struct diff *d, const struct type_pair *p, enum book_kind kind)
{
    return book_find(&d->book, p->src.oid, kind, -1, NULL) != NULL;
}

/* --- enums -------------------------------------------------------------------------------------
 */

static char *rename_sql(const struct type_pair *p, const char *from, const char *to)
{
    struct buf b = alter_type(p);
    buf_puts(&b, "RENAME VALUE ");
    pg_quote_literal(&b, from);
    buf_puts(&b, " TO ");
    pg_quote_literal(&b, to);
    return buf_take(&b);
}

/* A label keeps its OID when it is renamed. One whose old name is taken by a new label has to make
 * room before that is added, and so before the transaction. */
static bool try_rename(struct diff *d, struct type_pair *p, const struct part *to)
{
    const struct book_part *was = book_find(&d->book, p->src.oid, BOOK_LABEL, to->number, NULL);
    if (!was || strcmp(was->name, to->name) == 0 || part_named(&p->dst, to->name))
        return false;
    struct part *from = part_named(&p->dst, was->name);
    if (!from)
        return false;
    bool makes_room = part_named(&p->src, was->name) != NULL;
    char *what =
        mem_printf("rename label %s of type %s.%s to %s", was->name, p->schema, p->name, to->name);
    struct schema_step *s = diff_run(d, makes_room ? STAGE_FIRST : STAGE_OBJECT, -1,
                                     rename_sql(p, was->name, to->name), what);
    s->runs_first = makes_room;
    diff_type_at_point(d, s, p->src.oid, p->name);
    free(from->name);
    from->name = mem_strdup(to->name);
    if (makes_room) {
        free(from->now);
        from->now = mem_strdup(to->name);
    }
    return true;
}

/* Labels are never dropped: where nothing is known, as many unknown ones on both sides between two
 * that are the same were renamed, most likely. */
static bool tell_renames(struct diff *d, struct type_pair *p)
{
    struct part *from[2] = {NULL}, *to[2] = {NULL};
    size_t n_from = 0, n_to = 0;
    for (size_t k = 0; k < p->dst.n; k++)
        if (!part_named(&p->src, p->dst.parts[k].name))
            from[n_from++ > 0] = &p->dst.parts[k];
    for (size_t k = 0; k < p->src.n; k++)
        if (!part_named(&p->dst, p->src.parts[k].name))
            to[n_to++ > 0] = &p->src.parts[k];
    if (!n_from || !n_to)
        return false;
    bool is_one = n_from == 1 && n_to == 1;
    diff_manual(d, STAGE_OBJECT, -1, is_one ? rename_sql(p, from[0]->name, to[0]->name) : NULL,
                what_of(p, "rename labels", NULL),
                mem_printf("%zu only here (%s …), %zu only at the source (%s …): rename those that "
                           "were renamed, then synchronise again",
                           n_from, from[0]->name, n_to, to[0]->name));
    return true;
}

static void add_label(struct diff *d, struct type_pair *p, size_t k)
{
    const struct part *after = k ? part_named(&p->dst, p->src.parts[k - 1].name) : NULL;
    const struct part *before = NULL;
    for (size_t n = k + 1; !after && !before && n < p->src.n; n++)
        before = part_named(&p->dst, p->src.parts[n].name);
    struct buf b = alter_type(p);
    buf_puts(&b, "ADD VALUE IF NOT EXISTS ");
    pg_quote_literal(&b, p->src.parts[k].name);
    if (after || before) {
        buf_puts(&b, after ? " AFTER " : " BEFORE ");
        pg_quote_literal(&b, after ? after->now : before->now);
    }
    diff_run(d, STAGE_FIRST, -1, buf_take(&b), what_of(p, "add label", p->src.parts[k].name))
        ->runs_first = true;
    struct part new = {.name = mem_strdup(p->src.parts[k].name),
                       .now = mem_strdup(p->src.parts[k].name)};
    MEM_PUSH(p->dst.parts, p->dst.n, p->dst.cap, new);
}

/* Those that both had before come in the same order. */
static bool is_in_order(struct type_pair *p)
{
    const struct part *last = NULL;
    for (size_t k = 0; k < p->src.n; k++) {
        const struct part *at = part_named(&p->dst, p->src.parts[k].name);
        if (at && last && at < last)
            return false;
        last = at ? at : last;
    }
    return true;
}

static void diff_enum(struct diff *d, struct type_pair *p)
{
    bool again = true;
    while (again) {
        again = false;
        for (size_t k = 0; k < p->src.n; k++)
            again = try_rename(d, p, &p->src.parts[k]) || again;
    }
    if (!is_in_order(p))
        diff_manual(d, STAGE_OBJECT, -1, NULL, what_of(p, "order", "of labels"),
                    mem_strdup("labels come in another order at the source, which PostgreSQL "
                               "cannot change"));
    bool is_unclear = !is_known(d, p, BOOK_LABEL) && tell_renames(d, p);
    for (size_t k = 0; k < p->src.n; k++) {
        const struct part *to = &p->src.parts[k];
        bool is_there = part_named(&p->dst, to->name) != NULL;
        if (!is_there && !is_unclear)
            add_label(d, p, k);
        /* While it is unclear what was renamed, the book says nothing of this type. */
        if (!is_unclear)
            remember(d, p, BOOK_LABEL, to->number, to->name);
    }
}

/* --- composites --------------------------------------------------------------------------------
 */

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

/* Values of a composite come whole, so that attributes at the end may be added, and nothing else
 * can be done under rows that are there. */
static void diff_composite(struct diff *d, struct type_pair *p)
{
    bool can_add = is_beginning(p);
    for (size_t k = 0; k < p->dst.n; k++)
        if (!part_named(&p->src, p->dst.parts[k].name))
            diff_manual(d, STAGE_OBJECT, -1, attribute_sql(p, "DROP", &p->dst.parts[k], "", false),
                        what_of(p, "drop attribute", p->dst.parts[k].name),
                        mem_strdup("the source does not have it; its values would be lost"));
    for (size_t k = 0; k < p->src.n; k++) {
        const struct part *to = &p->src.parts[k], *from = part_named(&p->dst, to->name);
        if (from && strcmp(from->text, to->text) != 0)
            diff_manual(d, STAGE_OBJECT, -1, attribute_sql(p, "ALTER", to, " TYPE", true),
                        what_of(p, "change attribute", to->name),
                        mem_strdup("PostgreSQL refuses it while a table has the type"));
        if (from)
            continue;
        char *sql = attribute_sql(p, "ADD", to, "", true);
        char *what = what_of(p, "add attribute", to->name);
        if (can_add)
            diff_type_at_point(d, diff_run(d, STAGE_OBJECT, -1, sql, what), p->src.oid, p->name);
        else
            diff_manual(
                d, STAGE_OBJECT, -1, sql, what,
                mem_strdup("the destination has other attributes before it, and their order "
                           "decides"));
    }
}

/* --- domains -----------------------------------------------------------------------------------
 */

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
        diff_note(d, STAGE_OBJECT, -1, buf_take(&b), what_of(p, "default", NULL),
                  mem_strdup("it needs functions, which are not mirrored"));
        return;
    }
    struct schema_step *s =
        diff_run(d, STAGE_OBJECT, -1, buf_take(&b), what_of(p, "change default", NULL));
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
        diff_manual(d, STAGE_OBJECT, -1, buf_take(&b), what_of(p, "set NOT NULL", NULL),
                    mem_strdup("it would look at every row of every table that has the domain: run "
                               "it when the mirror has caught up"));
    else
        diff_run(d, STAGE_OBJECT, -1, buf_take(&b), what_of(p, "drop NOT NULL", NULL));
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
                 what_of(p, "validate constraint", c->name));
    s->is_late = true;
    s->is_optional = true;
}

static void add_domain_constraint(struct diff *d, const struct type_pair *p, const struct part *c)
{
    char *sql = domain_constraint_sql(p, "ADD", c, true);
    char *what = what_of(p, "add constraint", c->name);
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
             what_of(p, "drop constraint", c->name));
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
        else if (!is_known(d, p, BOOK_TABLE))
            diff_manual(d, STAGE_RELEASE, -1, domain_constraint_sql(p, "DROP", c, false),
                        what_of(p, "drop constraint", c->name),
                        mem_strdup("only the destination has it: run this if it was dropped at the "
                                   "source"));
    }
    for (size_t k = 0; k < p->src.n; k++) {
        const struct part *to = &p->src.parts[k], *from = part_named(&p->dst, to->name);
        bool same = false;
        remember(d, p, BOOK_CHECK, 0, to->name);
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

static bool diff_domain(struct diff *d, struct type_pair *p, struct err *err)
{
    if (!is_equal(p->src.base, p->dst.base)) {
        diff_manual(d, STAGE_OBJECT, -1, NULL, what_of(p, "change base type", NULL),
                    mem_printf("it is %s at the source and %s here, which PostgreSQL cannot "
                               "change: make it anew under the tables that have it",
                               p->src.base, p->dst.base));
        return true;
    }
    diff_domain_default(d, p);
    diff_domain_null(d, p);
    remember(d, p, BOOK_TABLE, 0, "");
    return diff_domain_constraints(d, p, err);
}

/* --- all ---------------------------------------------------------------------------------------
 */

static bool diff_type(struct diff *d, struct type_pair *p, struct err *err)
{
    if (!p->src.kind || !p->dst.kind)
        return true; /* a row type of a table, or gone this moment */
    if (p->src.kind != p->dst.kind) {
        diff_manual(d, STAGE_OBJECT, -1, NULL, what_of(p, "kind", NULL),
                    mem_strdup("it is a type of another kind at the source"));
        return true;
    }
    if (p->src.kind == 'e')
        diff_enum(d, p);
    else if (p->src.kind == 'c')
        diff_composite(d, p);
    else if (p->src.kind == 'd')
        return diff_domain(d, p, err);
    else if (p->src.kind == 'r' && !is_equal(p->src.base, p->dst.base))
        diff_manual(d, STAGE_OBJECT, -1, NULL, what_of(p, "definition", NULL),
                    mem_strdup("the range is another one at the source, which PostgreSQL cannot "
                               "change"));
    return true;
}

bool diff_types(struct diff *d, struct err *err)
{
    const struct schema *s = d->src.s;
    struct type_pair *pairs = mem_calloc(s->n_before + 1, sizeof *pairs);
    size_t n = 0;
    for (size_t k = 0; k < s->n_before; k++)
        if (s->before[k].object == OBJECT_TYPE && d->exists[k] && !d->is_left[k])
            pairs[n++] =
                (struct type_pair){.schema = s->before[k].schema, .name = s->before[k].name};
    bool ok = !n || (read_side(&d->src, pairs, n, offsetof(struct type_pair, src), err) &&
                     read_side(&d->dst, pairs, n, offsetof(struct type_pair, dst), err));
    for (size_t k = 0; ok && k < n; k++)
        ok = diff_type(d, &pairs[k], err);
    for (size_t k = 0; k < n; k++) {
        side_free(&pairs[k].src);
        side_free(&pairs[k].dst);
    }
    free(pairs);
    return ok;
}
