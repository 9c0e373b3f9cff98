/* Types that both sides have: labels of enums; composites and domains have files of their own. What
 * has no ALTER, or loses values, is left to the operator. */
#include "schema/diff_types.h"

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

struct buf alter_type(const struct type_pair *p)
{
    struct buf b = {0};
    buf_puts(&b, p->src.kind == 'd' ? "ALTER DOMAIN " : "ALTER TYPE ");
    pg_quote_qualified(&b, p->schema, p->name);
    buf_putc(&b, ' ');
    return b;
}

char *what_of_type(const struct type_pair *p, const char *what, const char *part)
{
    return mem_printf("%s%s%s of %s %s.%s", what, part ? " " : "", part ? part : "",
                      p->src.kind == 'd' ? "domain" : "type", p->schema, p->name);
}

void remember_part(struct diff *d, const struct type_pair *p, enum book_kind kind, int64_t number,
                   const char *name)
{
    book_add(&d->next, p->src.oid, kind, number, name, NULL, p->schema, p->name);
}

bool is_type_known(const struct diff *d, const struct type_pair *p, enum book_kind kind)
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

/* Whether rows may have come under a name that means another label by now: it is in use again. */
static bool is_reused(struct type_pair *p)
{
    for (size_t k = 0; k < p->src.n; k++) {
        struct part *from = part_of_origin(p, p->src.parts[k].number);
        if (from && strcmp(from->name, p->src.parts[k].name) != 0 &&
            part_named(&p->src, from->name))
            return true;
    }
    return false;
}

/* Whether one is to be added whose name another one still has: that makes room before, and so all
 * are renamed before the transaction. */
static bool has_to_make_room(struct type_pair *p)
{
    for (size_t k = 0; k < p->src.n; k++) {
        const struct part *holder = part_named(&p->dst, p->src.parts[k].name);
        if (holder && !part_of_origin(p, p->src.parts[k].number) && part_has_moved(p, holder))
            return true;
    }
    return false;
}

static struct schema_step *rename_step(struct diff *d, enum stage stage, struct type_pair *p,
                                       struct part *from, const char *to)
{
    char *what =
        mem_printf("rename label %s of type %s.%s to %s", from->name, p->schema, p->name, to);
    struct schema_step *s = diff_run(d, stage, -1, rename_sql(p, from->name, to), what);
    part_renamed(d, s, p, BOOK_LABEL, from, to);
    free(from->name);
    from->name = mem_strdup(to);
    return s;
}

/* Where the stream comes to it: older rows have the old name. */
static void rename_at_point(struct diff *d, struct type_pair *p, struct part *from, const char *to)
{
    diff_type_at_point(d, rename_step(d, STAGE_OBJECT, p, from, to), p->src.oid, p->name);
}

/* The rows are copied again, whatever name they have come with. */
static void rename_at_once(struct diff *d, struct type_pair *p, struct part *from, const char *to)
{
    (void)rename_step(d, STAGE_OBJECT, p, from, to);
}

static void rename_before(struct diff *d, struct type_pair *p, struct part *from, const char *to)
{
    rename_step(d, STAGE_FIRST, p, from, to)->runs_first = true;
    free(from->now);
    from->now = mem_strdup(to);
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
                what_of_type(p, "rename labels", NULL),
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
    diff_run(d, STAGE_FIRST, -1, buf_take(&b), what_of_type(p, "add label", p->src.parts[k].name))
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

static bool has_all_names(struct type_pair *p)
{
    for (size_t k = 0; k < p->src.n; k++)
        if (!part_named(&p->dst, p->src.parts[k].name))
            return false;
    return true;
}

/* A label keeps its OID when it is renamed. */
static bool follow_labels(struct diff *d, struct type_pair *p, bool *may_go_on, struct err *err)
{
    bool is_swapped = !is_in_order(p);
    parts_find_origins(d, p, BOOK_LABEL);
    bool reuses = is_reused(p), makes_room = has_to_make_room(p);
    if (reuses && !is_swapped && !makes_room && has_all_names(p))
        return true; /* by somebody else already */
    *may_go_on = !reuses || !d->is_refit;
    if (!*may_go_on)
        return true; /* a copy of some tables: all that have the type are to be copied with it */
    parts_follow_names(d, p,
                       makes_room ? rename_before
                       : reuses   ? rename_at_once
                                  : rename_at_point);
    return !reuses || diff_copy_users(
                          d, p, "a label of an enum was given to another value at the source", err);
}

static bool diff_enum(struct diff *d, struct type_pair *p, struct err *err)
{
    bool may_go_on = true;
    if (!follow_labels(d, p, &may_go_on, err))
        return false;
    if (!may_go_on)
        return true;
    if (!is_in_order(p))
        diff_manual(d, STAGE_OBJECT, -1, NULL, what_of_type(p, "order", "of labels"),
                    mem_strdup("labels come in another order at the source, which PostgreSQL "
                               "cannot change"));
    bool is_unclear = !is_type_known(d, p, BOOK_LABEL) && tell_renames(d, p);
    for (size_t k = 0; k < p->src.n; k++) {
        const struct part *to = &p->src.parts[k];
        bool is_there = part_named(&p->dst, to->name) != NULL;
        if (!is_there && !is_unclear)
            add_label(d, p, k);
        /* While it is unclear what was renamed, the book says nothing of this type. */
        if (!is_unclear)
            remember_part(d, p, BOOK_LABEL, to->number, to->name);
    }
    return true;
}

/* --- all ---------------------------------------------------------------------------------------
 */

static bool diff_type(struct diff *d, struct type_pair *p, struct err *err)
{
    if (!p->src.kind || !p->dst.kind)
        return true; /* a row type of a table, or gone this moment */
    if (p->src.kind != p->dst.kind) {
        diff_manual(d, STAGE_OBJECT, -1, NULL, what_of_type(p, "kind", NULL),
                    mem_strdup("it is a type of another kind at the source"));
        return true;
    }
    if (p->src.kind == 'e')
        return diff_enum(d, p, err);
    if (p->src.kind == 'c')
        return diff_composite(d, p, err);
    if (p->src.kind == 'd')
        return diff_domain(d, p, err);
    if (p->src.kind == 'r' && !is_equal(p->src.base, p->dst.base))
        diff_manual(d, STAGE_OBJECT, -1, NULL, what_of_type(p, "definition", NULL),
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
    d->is_at_types = true;
    for (size_t k = 0; ok && k < n; k++)
        ok = diff_type(d, &pairs[k], err);
    d->is_at_types = false;
    for (size_t k = 0; k < n; k++) {
        side_free(&pairs[k].src);
        side_free(&pairs[k].dst);
    }
    free(pairs);
    return ok;
}
