/* Parts of types that have other names at the source by now, and what their values need. */
#include "schema/diff_types.h"

#include <stdlib.h>
#include <string.h>

/* --- names -------------------------------------------------------------------------------------
 */

struct part *part_named(struct type_side *s, const char *name)
{
    for (size_t k = 0; k < s->n; k++)
        if (strcmp(s->parts[k].name, name) == 0)
            return &s->parts[k];
    return NULL;
}

void parts_find_origins(struct diff *d, struct type_pair *p, enum book_kind kind)
{
    for (size_t k = 0; k < p->dst.n; k++) {
        const struct book_part *b = book_find(&d->book, p->src.oid, kind, -1, p->dst.parts[k].name);
        p->dst.parts[k].origin = b ? b->number : 0;
    }
}

struct part *part_of_origin(struct type_pair *p, int64_t number)
{
    for (size_t k = 0; k < p->dst.n; k++)
        if (number && p->dst.parts[k].origin == number)
            return &p->dst.parts[k];
    return NULL;
}

bool part_has_moved(const struct type_pair *p, const struct part *at)
{
    for (size_t k = 0; at->origin && k < p->src.n; k++)
        if (p->src.parts[k].number == at->origin)
            return strcmp(p->src.parts[k].name, at->name) != 0;
    return false;
}

void part_renamed(const struct diff *d, struct schema_step *s, const struct type_pair *p,
                  enum book_kind kind, const struct part *from, const char *to)
{
    char at[64];
    if (!d->mirror_id)
        return;
    str_printf(at, sizeof at, "(%u, %lld)", p->src.oid, (long long)from->origin);
    s->done_sql = book_sql_renamed(d->mirror_id, kind, at, from->name, to);
}

/* All whose new names are free; *taken: one that has the name of another, and has to give it up. */
static bool rename_free_ones(struct diff *d, struct type_pair *p, parts_rename *rename,
                             struct part **taken)
{
    bool has_moved = false;
    *taken = NULL;
    for (size_t k = 0; k < p->src.n; k++) {
        const struct part *to = &p->src.parts[k];
        struct part *from = part_of_origin(p, to->number), *holder = part_named(&p->dst, to->name);
        if (!from || strcmp(from->name, to->name) == 0)
            continue;
        if (!holder)
            rename(d, p, from, to->name);
        else if (part_has_moved(p, holder))
            *taken = holder;
        has_moved = has_moved || !holder;
    }
    return has_moved;
}

void parts_follow_names(struct diff *d, struct type_pair *p, parts_rename *rename)
{
    struct part *taken;
    for (;;) {
        if (rename_free_ones(d, p, rename, &taken))
            continue;
        if (!taken)
            return;
        char *spare = mem_printf("bunnydb %zu", (size_t)(taken - p->dst.parts) + 1);
        rename(d, p, taken, spare);
        free(spare);
    }
}

/* --- rows --------------------------------------------------------------------------------------
 */

/* Columns of the type, and of what is made of it. */
static const char users_sql[] =
    "WITH RECURSIVE u(oid) AS (SELECT $1::oid UNION SELECT x.oid FROM u CROSS JOIN LATERAL ("
    " SELECT t.oid FROM pg_type t WHERE t.typelem = u.oid AND t.typcategory = 'A' UNION ALL"
    " SELECT t.oid FROM pg_type t WHERE t.typbasetype = u.oid UNION ALL"
    " SELECT c.reltype FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    "  WHERE a.atttypid = u.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.reltype <> 0"
    " UNION ALL SELECT r.rngtypid FROM pg_range r WHERE r.rngsubtype = u.oid UNION ALL"
    " SELECT (to_jsonb(r) ->> 'rngmultitypid')::oid FROM pg_range r WHERE r.rngtypid = u.oid"
    ") x(oid) WHERE x.oid IS NOT NULL)"
    " SELECT DISTINCT a.attrelid, a.attname FROM u JOIN pg_attribute a ON a.atttypid = u.oid"
    "  AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2";

static void copy_user(struct diff *d, int i, const char *column, const char *why)
{
    const struct schema_table *t = &d->src.s->tables[i];
    const struct schema_column *c = NULL;
    for (size_t k = 0; k < t->n_columns && !c; k++)
        c = strcmp(t->columns[k].name, column) == 0 ? &t->columns[k] : NULL;
    if (!c || c->is_excluded || c->is_generated)
        return;
    diff_manual(d, STAGE_COLUMN, i, NULL, diff_what(d, i, "copy table", NULL),
                mem_printf("%s: rows in column %s may be others than at the source, and the table "
                           "is copied again",
                           why, column))
        ->needs_copy = true;
}

/* Rows of tables: composites are compared by themselves. */
bool diff_layouts(struct diff *d, struct err *err)
{
    struct layout_gaps gaps;
    if (d->is_refit || !layouts_look(d->dest, d->task, d->src.s, &d->book, &gaps, err))
        return d->is_refit;
    bool *is_told = mem_calloc(d->src.s->n_tables + 1, sizeof *is_told);
    for (size_t k = 0; k < gaps.n; k++) {
        const struct layout_gap *g = &gaps.items[k];
        if (!g->is_table || g->is_shorter || d->pairs[g->table].is_new || is_told[g->table])
            continue;
        is_told[g->table] = true;
        diff_manual(d, STAGE_COLUMN, g->table, NULL, diff_what(d, g->table, "copy table", NULL),
                    mem_printf("column %s holds %s", g->column, g->why))
            ->needs_copy = true;
    }
    free(is_told);
    layout_gaps_free(&gaps);
    return true;
}

bool diff_copy_users(struct diff *d, const struct type_pair *p, const char *why, struct err *err)
{
    struct pg_result *res = NULL;
    char oid[16];
    int last = -1;
    const char *values[] = {oid};
    str_printf(oid, sizeof oid, "%u", p->src.oid);
    bool ok = read_query(&d->src, users_sql, 1, values, &res, err);
    for (size_t row = 0; ok && row < pg_rows(res); row++) {
        int i = read_find_oid(&d->src, (uint32_t)pg_int(res, row, 0));
        if (i >= 0 && i != last && !d->pairs[i].is_new)
            copy_user(d, i, pg_text(res, row, 1), why);
        last = i;
    }
    pg_free(res);
    return ok;
}
