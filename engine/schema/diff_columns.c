/* Columns of one table: which of the source is which one at the destination, what was added,
 * renamed or dropped. Columns are mirrored by name; the book of parts knows which name a column
 * (an attnum) had when both sides were last the same, and so tells a new name from a new column. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

#define WHY_COPY "; the table is copied again"

static bool is_known(const struct diff *d, int i)
{
    return book_find(&d->book, d->src.s->tables[i].oid, BOOK_TABLE, -1, NULL) != NULL;
}

static const struct book_part *booked(const struct diff *d, int i, const struct schema_column *c)
{
    return book_find(&d->book, d->src.s->tables[i].oid, BOOK_COLUMN, c->attnum, NULL);
}

static void set_pending(struct diff *d, int i, size_t c)
{
    d->pairs[i].is_pending[c] = true;
    d->pairs[i].has_pending = true;
}

/* "name type [COLLATE …]" */
static void put_type(struct buf *b, const struct schema_column *c)
{
    pg_quote_ident(b, c->name);
    buf_printf(b, " %s", c->type);
    if (c->collation)
        buf_printf(b, " COLLATE %s", c->collation);
}

static char *add_column_sql(const struct diff *d, int i, const struct schema_column *c)
{
    struct buf b = alter_table(d, i, false);
    buf_puts(&b, "ADD COLUMN ");
    put_type(&b, c);
    return buf_take(&b);
}

static char *rename_sql(const struct diff *d, int i, const char *from, const char *to)
{
    struct buf b = alter_table(d, i, false);
    buf_puts(&b, "RENAME COLUMN ");
    pg_quote_ident(&b, from);
    buf_puts(&b, " TO ");
    pg_quote_ident(&b, to);
    return buf_take(&b);
}

/* Rows of tables that inherit the column are theirs: a copy of the parent does not bring them. */
static void copy_heirs(struct diff *d, int i, const char *column)
{
    for (size_t k = 0; k < d->src.s->n_tables; k++) {
        const struct schema_column *c = find_column(&d->src.s->tables[k], column);
        const struct read_table *rt = &d->src.tables[k];
        if (rt->parent || !diff_is_child(rt, d->src.s->tables[i].oid) || !c || c->is_excluded)
            continue;
        diff_manual(d, STAGE_COLUMN, (int)k, NULL, diff_what(d, (int)k, "copy table", NULL),
                    mem_printf("what its rows have in column %s, which it inherits, no stream "
                               "brings: the table is copied again",
                               column))
            ->needs_copy = true;
        copy_heirs(d, (int)k, column);
    }
}

static void add_filled(struct diff *d, int i, size_t c, const struct fill *fill);

/* The column is to be added, but what its rows have cannot be made here: it comes with a copy. */
static void add_by_hand(struct diff *d, int i, size_t c, const char *why)
{
    const struct schema_column *col = &d->src.s->tables[i].columns[c];
    const struct fill none = {.kind = FILL_NULL};
    if (d->is_refit) {
        add_filled(d, i, c, &none);
        return;
    }
    set_pending(d, i, c);
    diff_manual(d, STAGE_COLUMN, i, add_column_sql(d, i, col),
                diff_what(d, i, "add column", col->name), mem_printf("%s" WHY_COPY, why))
        ->needs_copy = true;
    copy_heirs(d, i, col->name);
}

/* --- renamed -----------------------------------------------------------------------------------
 */

/* The column of that name in a table below, if the book knows both by one name. */
struct booked_column {
    const char *name, *was;
    struct buf *list; /* "(oid, attnum), …" */
};

static void list_booked(struct diff *d, int child, void *arg)
{
    const struct booked_column *b = arg;
    int i = d->dst.s->tables[child].mapping;
    const struct schema_column *c = find_column(&d->src.s->tables[i], b->name);
    const struct book_part *was = c ? booked(d, i, c) : NULL;
    if (was && strcmp(was->name, b->was) == 0)
        buf_printf(b->list, "%s(%u, %d)", b->list->len ? ", " : "", d->src.s->tables[i].oid,
                   c->attnum);
}

static void rename_in_book(struct diff *d, int i, size_t c, struct schema_step *s, const char *from,
                           const char *to)
{
    const struct schema_column *col = &d->src.s->tables[i].columns[c];
    struct buf columns = {0};
    struct booked_column b = {.name = col->name, .was = booked(d, i, col)->name, .list = &columns};
    if (!d->mirror_id)
        return;
    list_booked(d, d->pairs[i].dest, &b);
    for_descendants(d, d->pairs[i].dest, list_booked, &b);
    char *streamed = s->done_sql;
    char *sql = book_sql_renamed(d->mirror_id, BOOK_COLUMN, buf_text(&columns), from, to);
    s->done_sql = mem_printf("%s; %s", streamed, sql);
    free(streamed);
    free(sql);
    buf_free(&columns);
}

static void rename_column(struct diff *d, int i, size_t c, const char *from, const char *to)
{
    const struct schema_table *u = dest_of(d, i);
    struct schema_step *s = diff_run(
        d, STAGE_COLUMN, i, rename_sql(d, i, from, to),
        mem_printf("rename column %s.%s.%s to %s", u->dest_schema, u->dest_name, from, to));
    diff_table_at_point(d, s, i);
    diff_streamed_name(d, s, i, from, to);
    rename_in_book(d, i, c, s, from, to);
    picture_change(d, d->pairs[i].dest,
                   &(struct column_change){.kind = CHANGE_RENAME, .name = from, .text = to});
}

/* The name that the destination's column has still; NULL: it has the source's, or is not known. */
static const char *old_name_of(struct diff *d, int i, const struct schema_column *c)
{
    const struct book_part *was = booked(d, i, c);
    bool waits = was && !c->is_excluded && !d->pairs[i].is_renamed[c - d->src.s->tables[i].columns];
    return waits && strcmp(was->name, c->name) != 0 && find_column(dest_of(d, i), was->name)
               ? was->name
               : NULL;
}

struct renamed {
    const char *from, *to;
};

/* The server has renamed it along; the book still has the name of before. */
static void set_renamed_below(struct diff *d, int child, void *arg)
{
    const struct renamed *r = arg;
    int i = d->dst.s->tables[child].mapping;
    const struct schema_column *c = find_column(&d->src.s->tables[i], r->to);
    const struct book_part *was = c ? booked(d, i, c) : NULL;
    if (was && strcmp(was->name, r->from) == 0)
        d->pairs[i].is_renamed[c - d->src.s->tables[i].columns] = true;
}

/* By this plan, and with it where the destination has it from this table. */
static void set_renamed(struct diff *d, int i, size_t c)
{
    const struct schema_column *col = &d->src.s->tables[i].columns[c];
    struct renamed r = {.from = booked(d, i, col)->name, .to = col->name};
    d->pairs[i].is_renamed[c] = true;
    for_descendants(d, d->pairs[i].dest, set_renamed_below, &r);
}

/* a to b after b to c: each rename may free the name that another one waits for. */
static void rename_free_ones(struct diff *d, int i)
{
    const struct schema_table *t = &d->src.s->tables[i];
    bool again = true;
    while (again) {
        again = false;
        for (size_t c = 0; c < t->n_columns; c++) {
            const char *from = old_name_of(d, i, &t->columns[c]);
            if (!from || find_column(dest_of(d, i), t->columns[c].name))
                continue;
            rename_column(d, i, c, from, t->columns[c].name);
            set_renamed(d, i, c);
            again = true;
        }
    }
}

/* Columns that have changed names with each other: each waits for the next one, round to c. */
static bool is_in_circle(struct diff *d, int i, const struct schema_column *c)
{
    const struct schema_table *t = &d->src.s->tables[i];
    const struct schema_column *next = c;
    for (size_t n = 0; n < t->n_columns; n++) {
        const struct book_part *holder = book_find(&d->book, t->oid, BOOK_COLUMN, -1, next->name);
        next = holder ? read_find_column(t, (int)holder->number) : NULL;
        if (!next || !old_name_of(d, i, next))
            return false;
        if (next == c)
            return true;
    }
    return false;
}

/* One of a circle steps aside, so that the others can move up. Rows that have come since would have
 * been noticed: the stream knows which name each column has where it stands. */
static void rename_circle(struct diff *d, int i, size_t c)
{
    const struct schema_column *col = &d->src.s->tables[i].columns[c];
    char *aside = mem_printf("bunny_rename_%d", col->attnum);
    if (!find_column(dest_of(d, i), aside)) {
        rename_column(d, i, c, old_name_of(d, i, col), aside);
        set_renamed(d, i, c);
        rename_free_ones(d, i);
        rename_column(d, i, c, aside, col->name);
    }
    free(aside);
}

static void rename_columns(struct diff *d, int i)
{
    const struct schema_table *t = &d->src.s->tables[i];
    if (!is_known(d, i))
        return;
    rename_free_ones(d, i);
    for (size_t c = 0; c < t->n_columns; c++)
        if (old_name_of(d, i, &t->columns[c]) && is_in_circle(d, i, &t->columns[c]))
            rename_circle(d, i, c);
}

static void rename_is_blocked(struct diff *d, int i, size_t c, const char *from)
{
    const struct schema_column *col = &d->src.s->tables[i].columns[c];
    if (d->is_refit)
        return;
    set_pending(d, i, c);
    diff_manual(d, STAGE_COLUMN, i, NULL,
                mem_printf("rename column %s.%s.%s to %s", d->src.s->tables[i].dest_schema,
                           d->src.s->tables[i].dest_name, from, col->name),
                mem_printf("the destination has another column %s, whose rows are not those of "
                           "this one (%s)" WHY_COPY,
                           col->name, from))
        ->needs_copy = true;
}

/* --- added -------------------------------------------------------------------------------------
 */

/* Without a book a dropped and an added column may be one that was renamed. */
static const struct schema_column *rename_candidate(const struct diff *d, int i,
                                                    const struct schema_table *u,
                                                    const struct schema_column *c)
{
    for (size_t k = 0; k < u->n_columns; k++)
        if (!find_column(&d->src.s->tables[i], u->columns[k].name) &&
            strcmp(u->columns[k].type, c->type) == 0 &&
            u->columns[k].is_generated == c->is_generated)
            return &u->columns[k];
    return NULL;
}

/* A column that the mapping excludes and the source has no more; NULL: none. */
static const char *lost_exclude(const struct diff *d, int i)
{
    const struct schema_table *t = &d->src.s->tables[i];
    const struct table_map *m = &d->src_maps[t->mapping];
    for (size_t x = 0; x < m->n_exclude; x++)
        if (!find_column(t, m->exclude[x]))
            return m->exclude[x];
    return NULL;
}

/* The value beside the column for the rows that are there; a domain's own default would come in
 * otherwise. */
static char *fill_default(const struct schema_column *c, bool is_domain, const struct fill *fill)
{
    struct buf b = {0};
    if (fill->kind == FILL_VALUE && fill->is_default)
        return mem_strdup(c->default_expr);
    if (fill->kind == FILL_VALUE)
        pg_quote_literal(&b, fill->value);
    else if (is_domain)
        buf_puts(&b, "NULL");
    else
        return NULL;
    buf_printf(&b, "::%s", c->type);
    return buf_take(&b);
}

/* Older rows that are still to come in the stream do not have the column: until they are through,
 * its default is what they have at the source. The source's own default follows as a late step
 * (diff_column). */
static void add_filled(struct diff *d, int i, size_t c, const struct fill *fill)
{
    const struct schema_column *col = &d->src.s->tables[i].columns[c];
    struct buf b = alter_table(d, i, false);
    char *value = fill_default(col, d->src.tables[i].columns[c].is_domain, fill);
    bool not_null = col->not_null && fill->kind == FILL_VALUE;
    buf_puts(&b, "ADD COLUMN ");
    put_type(&b, col);
    if (value && fill->kind != FILL_VALUE && schema_is_in_columns(d->src.s, i))
        schema_without_default(&b, col->type);
    else if (value)
        buf_printf(&b, " DEFAULT %s", value);
    buf_puts(&b, not_null ? " NOT NULL" : "");
    diff_run(d, STAGE_COLUMN, i, buf_take(&b), diff_what(d, i, "add column", col->name));
    picture_change(d, d->pairs[i].dest,
                   &(struct column_change){.kind = CHANGE_ADD,
                                           .name = col->name,
                                           .column = col,
                                           .not_null = not_null,
                                           .default_expr = value});
    free(value);
}

/* Its values are computed from columns that are mirrored. */
static bool add_generated(struct diff *d, int i, size_t c, struct err *err)
{
    const struct schema_column *col = &d->src.s->tables[i].columns[c];
    bool is_deferred = d->src.tables[i].columns[c].is_deferred, is_refused = false;
    struct err why = {0};
    if (is_deferred) {
        const struct shadow_question q = {
            .kind = SHADOW_GENERATED, .column = col, .to = col->default_expr};
        enum shadow_verdict verdict;
        if (!shadow_compare(d, i, &q, &verdict, &why, err))
            return false;
        is_refused = verdict == SHADOW_REFUSED;
    }
    struct buf b = alter_table(d, i, false);
    buf_puts(&b, "ADD COLUMN ");
    put_type(&b, col);
    buf_printf(&b, " GENERATED ALWAYS AS (%s) STORED%s", col->default_expr,
               col->not_null ? " NOT NULL" : "");
    char *what = diff_what(d, i, "add generated column", col->name);
    if (is_refused) {
        diff_note(d, STAGE_COLUMN, i, buf_take(&b), what,
                  mem_printf("the destination lacks what it is computed with: %s", why.text));
        return true;
    }
    diff_run(d, STAGE_COLUMN, i, buf_take(&b), what)->is_optional = is_deferred;
    picture_change(d, d->pairs[i].dest,
                   &(struct column_change){.kind = CHANGE_ADD,
                                           .name = col->name,
                                           .column = col,
                                           .not_null = col->not_null,
                                           .default_expr = col->default_expr});
    return true;
}

bool diff_add_generated(struct diff *d, int i, const char *name, struct err *err)
{
    const struct schema_table *t = &d->src.s->tables[i];
    const struct schema_column *c = find_column(t, name);
    return add_generated(d, i, (size_t)(c - t->columns), err);
}

static bool add_column(struct diff *d, int i, size_t c, struct err *err)
{
    const struct schema_column *col = &d->src.s->tables[i].columns[c];
    struct fill fill;
    if (col->is_generated)
        return add_generated(d, i, c, err);
    if (!diff_fill(d, i, col, &fill, err))
        return err_context(err, "see what existing rows have in column %s", col->name);
    if (fill.kind == FILL_UNKNOWN)
        add_by_hand(d, i, c,
                    "the rows that are there have values of their own in it at the source, which "
                    "no stream brings (a volatile default, or the table was rewritten since)");
    else
        add_filled(d, i, c, &fill);
    free(fill.value);
    return true;
}

/* A partition's or child's column comes with that of its parent, which was judged before. */
static bool comes_later(const struct diff *d, int i, size_t c)
{
    const struct read_table *ru = &d->dst.tables[d->pairs[i].dest];
    return !d->src.tables[i].columns[c].is_local && (ru->parent || ru->n_parents);
}

/* No book says what the table had: a new column is told from a new name only when the destination
 * has none that could be it. */
static bool judge_unknown(struct diff *d, int i, size_t c, struct err *err)
{
    const struct schema_column *col = &d->src.s->tables[i].columns[c];
    const struct schema_column *old = rename_candidate(d, i, dest_of(d, i), col);
    const char *lost = lost_exclude(d, i);
    if (lost && !d->is_refit) {
        set_pending(d, i, c);
        diff_manual(d, STAGE_COLUMN, i, add_column_sql(d, i, col),
                    diff_what(d, i, "add column", col->name),
                    mem_printf("the mapping excludes column %s, which the source has no more: if "
                               "this is its new name, change exclude_columns; else run this",
                               lost));
        return true;
    }
    if (!old || d->is_refit)
        return add_column(d, i, c, err);
    set_pending(d, i, c);
    diff_manual(d, STAGE_COLUMN, i, rename_sql(d, i, old->name, col->name),
                mem_printf("rename column %s.%s.%s to %s", d->src.s->tables[i].dest_schema,
                           d->src.s->tables[i].dest_name, old->name, col->name),
                mem_printf("the source has no column %s any more and has one %s of the same type: "
                           "run this if it is the same one; if not, add the new column",
                           old->name, col->name));
    return true;
}

static void judge_excluded(struct diff *d, int i, size_t c, const struct book_part *was)
{
    const struct schema_column *col = &d->src.s->tables[i].columns[c];
    if (strcmp(was->name, col->name) == 0) {
        add_by_hand(d, i, c, "the mapping excluded it until now, its rows were not copied");
        return;
    }
    set_pending(d, i, c);
    diff_manual(d, STAGE_COLUMN, i, add_column_sql(d, i, col),
                diff_what(d, i, "add column", col->name),
                mem_printf("the mapping excluded it as %s, its name before: change "
                           "exclude_columns",
                           was->name));
}

/* A column of the source when the book knows the table. */
static bool judge_known(struct diff *d, int i, size_t c, struct err *err)
{
    const struct schema_table *t = &d->src.s->tables[i];
    const struct schema_column *col = &t->columns[c];
    const struct book_part *was = booked(d, i, col);
    const struct book_part *hidden = book_find(&d->book, t->oid, BOOK_EXCLUDED, col->attnum, NULL);
    bool is_there = find_column(dest_of(d, i), col->name) != NULL;
    if (hidden) {
        judge_excluded(d, i, c, hidden);
    } else if (d->pairs[i].is_renamed[c]) {
        return true;
    } else if (was && strcmp(was->name, col->name) != 0 && find_column(dest_of(d, i), was->name)) {
        rename_is_blocked(d, i, c, was->name);
    } else if (was && !is_there && !col->is_generated) {
        add_by_hand(d, i, c, "the destination had it and has it no more");
    } else if (!is_there) {
        return add_column(d, i, c, err);
    } else if (!was && !col->is_generated && !d->is_refit &&
               book_find(&d->book, t->oid, BOOK_COLUMN, -1, col->name)) {
        set_pending(d, i, c);
        diff_manual(d, STAGE_COLUMN, i, NULL, diff_what(d, i, "replace column", col->name),
                    mem_strdup("it was dropped and added again at the source, so that rows of "
                               "before have other values there" WHY_COPY))
            ->needs_copy = true;
    }
    return true;
}

/* --- dropped -----------------------------------------------------------------------------------
 */

static bool is_renamed_later(const struct diff *d, int i, const char *name)
{
    const struct schema_table *t = &d->src.s->tables[i];
    const struct book_part *p = book_find(&d->book, t->oid, BOOK_COLUMN, -1, name);
    return p && read_find_column(t, (int)p->number);
}

/* Data stays. */
static void tell_dropped(struct diff *d, int i, const struct schema_column *dc)
{
    struct buf b = alter_table(d, i, false);
    buf_puts(&b, "DROP COLUMN ");
    pg_quote_ident(&b, dc->name);
    if (strcmp(d->config->dropped_columns, "drop") == 0) {
        /* After its default, NOT NULL … were looked at: those steps would miss it. A view of the
         * destination's own may need it. */
        struct schema_step *s =
            diff_run(d, STAGE_DETAIL, i, buf_take(&b), diff_what(d, i, "drop column", dc->name));
        s->is_late = true;
        s->is_optional = true;
        return;
    }
    diff_manual(d, STAGE_COLUMN, i, buf_take(&b), diff_what(d, i, "drop column", dc->name),
                mem_strdup("the source has dropped it; its values are kept here until you drop "
                           "it"));
}

static void judge_extra(struct diff *d, int i, size_t k)
{
    const struct schema_table *t = &d->src.s->tables[i], *u = dest_of(d, i);
    const struct schema_column *dc = &u->columns[k];
    const struct read_column *drc = &d->dst.tables[d->pairs[i].dest].columns[k];
    bool is_excluded = find_column(t, dc->name);
    bool is_booked = !is_excluded && book_find(&d->book, t->oid, BOOK_COLUMN, -1, dc->name);
    bool is_dropped = is_booked && !is_renamed_later(d, i, dc->name);
    /* One that was dropped may have allowed NULL before: rows with it are still to come. */
    if (is_dropped && dc->identity)
        diff_drop_identity(d, i, dc->name);
    if (dc->not_null && (!drc->dest_default || is_dropped) && !dc->identity && !dc->is_generated)
        diff_drop_not_null(d, i, dc->name,
                           drc->dest_default
                               ? "rows from before the source dropped it may have no value in it"
                               : "the source does not have it, so that no row can be added");
    if (is_excluded || !drc->is_local)
        return; /* excluded by the mapping; or told with the parent */
    if (is_dropped) {
        tell_dropped(d, i, dc);
    } else if (!is_booked && !is_known(d, i) && !d->pairs[i].has_pending) {
        diff_note(d, STAGE_COLUMN, i, NULL, diff_what(d, i, "column", dc->name),
                  mem_strdup("only the destination has it"));
    }
}

/* Generated columns are made of the others: they go first. */
static void judge_extras(struct diff *d, int i)
{
    const struct schema_table *t = &d->src.s->tables[i], *u = dest_of(d, i);
    for (size_t n = 0; n < 2 * u->n_columns; n++) {
        size_t k = n % u->n_columns;
        const struct schema_column *c = find_column(t, u->columns[k].name);
        if ((!c || c->is_excluded) && u->columns[k].is_generated == (n < u->n_columns))
            judge_extra(d, i, k);
    }
}

static bool judge_column(struct diff *d, int i, size_t c, struct err *err)
{
    bool is_there = find_column(dest_of(d, i), d->src.s->tables[i].columns[c].name) != NULL;
    if (!is_there && comes_later(d, i, c)) {
        set_pending(d, i, c);
        return true;
    }
    if (is_known(d, i))
        return judge_known(d, i, c, err);
    return is_there || judge_unknown(d, i, c, err);
}

/* Those that are marked. */
static bool judge_columns(struct diff *d, int i, const bool *marked, bool mark, struct err *err)
{
    const struct schema_table *t = &d->src.s->tables[i];
    bool ok = true;
    for (size_t c = 0; ok && c < t->n_columns; c++)
        if (!t->columns[c].is_excluded && marked[c] == mark)
            ok = judge_column(d, i, c, err);
    for (size_t c = 0; ok && c < t->n_columns; c++)
        if (!t->columns[c].is_excluded && marked[c] == mark && !d->pairs[i].is_pending[c] &&
            find_column(dest_of(d, i), t->columns[c].name))
            ok = diff_column(d, i, c, err);
    return ok;
}

/* A new generated column that is made of one whose type changes. */
static bool waits_for_type(struct diff *d, int i, size_t c)
{
    const struct schema_table *t = &d->src.s->tables[i], *u = dest_of(d, i);
    const char *nums = d->src.tables[i].columns[c].made_of;
    if (!t->columns[c].is_generated || find_column(u, t->columns[c].name))
        return false;
    while (nums && *nums) {
        char *end;
        const struct schema_column *of = read_find_column(t, (int)strtol(nums, &end, 10));
        const struct schema_column *dc = of ? find_column(u, of->name) : NULL;
        if (dc && strcmp(dc->type, of->type) != 0)
            return true;
        nums = *end ? end + 1 : end;
    }
    return false;
}

bool diff_columns(struct diff *d, int i, struct err *err)
{
    const struct schema_table *t = &d->src.s->tables[i];
    bool *is_last = mem_calloc(t->n_columns + 1, sizeof *is_last);
    rename_columns(d, i);
    for (size_t c = 0; c < t->n_columns; c++)
        is_last[c] = waits_for_type(d, i, c);
    bool ok = judge_columns(d, i, is_last, false, err) && judge_columns(d, i, is_last, true, err);
    if (ok)
        judge_extras(d, i);
    ok = ok && (!d->is_refit || diff_drop_sequences(d, i, err));
    free(is_last);
    return ok;
}
