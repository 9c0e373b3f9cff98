/* schema_diff: reads both sides, lets each part compare, and puts the steps in order. */
#include "schema/diff_private.h"
#include "schema/known.h"
#include "schema/places.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_MS 30000

/* --- steps ------------------------------------------------------------------------------------ */

struct schema_table *dest_of(struct diff *d, int i)
{
    return d->pairs[i].dest < 0 ? NULL : &d->dst.s->tables[d->pairs[i].dest];
}

static struct schema_step *add(struct diff *d, enum stage stage, int table, struct schema_step step)
{
    step.mapping = table < 0 ? -1 : d->map_index[d->src.s->tables[table].mapping];
    step.oid = table < 0 ? 0 : d->src.s->tables[table].oid;
    step.is_of_type = d->is_at_types;
    if (table >= 0)
        step.table = mem_printf("%s.%s", d->src.s->tables[table].dest_schema,
                                d->src.s->tables[table].dest_name);
    schema_plan_add(&d->stages[stage], step);
    return &d->stages[stage].items[d->stages[stage].n - 1];
}

struct schema_step *diff_run(struct diff *d, enum stage stage, int table, char *sql, char *what)
{
    return add(d, stage, table, (struct schema_step){.kind = STEP_RUN, .sql = sql, .what = what});
}

struct schema_step *diff_manual(struct diff *d, enum stage stage, int table, char *sql, char *what,
                                char *why)
{
    return add(d, stage, table,
               (struct schema_step){.kind = STEP_MANUAL, .sql = sql, .what = what, .why = why});
}

void diff_note(struct diff *d, enum stage stage, int table, char *sql, char *what, char *why)
{
    (void)add(d, stage, table,
              (struct schema_step){.kind = STEP_NOTE, .sql = sql, .what = what, .why = why});
}

bool diff_is_child(const struct read_table *rt, uint32_t parent)
{
    for (size_t p = 0; p < rt->n_parents; p++)
        if (rt->parents[p] == parent)
            return true;
    return rt->parent == parent;
}

struct oid_list {
    uint32_t *items;
    size_t n, cap;
};

static void mark_family(struct diff *d, int i, struct oid_list *out)
{
    uint32_t oid = d->src.s->tables[i].oid;
    MEM_PUSH(out->items, out->n, out->cap, oid);
    d->pairs[i].at_point = true;
    for (size_t k = 0; k < d->src.s->n_tables; k++)
        if (diff_is_child(&d->src.tables[k], oid))
            mark_family(d, (int)k, out);
}

void diff_table_at_point(struct diff *d, struct schema_step *s, int table)
{
    struct oid_list oids = {0};
    s->at_point = true;
    mark_family(d, table, &oids);
    if (d->mirror_id)
        s->left_sql = book_sql_of(&d->book, d->mirror_id, oids.items, oids.n);
    free(oids.items);
}

static void list_source_of(struct diff *d, int child, void *arg)
{
    struct oid_list *out = arg;
    MEM_PUSH(out->items, out->n, out->cap, d->src.s->tables[d->dst.s->tables[child].mapping].oid);
}

void diff_streamed_name(struct diff *d, struct schema_step *s, int table, const char *from,
                        const char *to)
{
    struct oid_list oids = {0};
    struct buf sql = {0};
    if (!d->mirror_id)
        return;
    list_source_of(d, d->pairs[table].dest, &oids);
    for_descendants(d, d->pairs[table].dest, list_source_of, &oids);
    buf_puts(&sql, "UPDATE _bunnydb.table_parts SET name = ");
    pg_quote_literal(&sql, to);
    buf_puts(&sql, " WHERE kind = 's' AND name = ");
    pg_quote_literal(&sql, from);
    buf_puts(&sql, " AND mirror_id = ");
    pg_quote_literal(&sql, d->mirror_id);
    buf_puts(&sql, " AND source_oid IN (");
    for (size_t k = 0; k < oids.n; k++)
        buf_printf(&sql, "%s%u", k ? ", " : "", oids.items[k]);
    buf_putc(&sql, ')');
    s->done_sql = buf_take(&sql);
    free(oids.items);
}

void diff_type_at_point(struct diff *d, struct schema_step *s, uint32_t oid, const char *name)
{
    s->at_point = true;
    name_list_add(&d->at_point_types, mem_strdup(name));
    if (d->mirror_id)
        s->left_sql = book_sql_of(&d->book, d->mirror_id, &oid, 1);
}

bool diff_makes_objects(const struct diff *d)
{
    for (size_t k = 0; k < d->stages[STAGE_OBJECT].n; k++)
        if (d->stages[STAGE_OBJECT].items[k].kind == STEP_RUN)
            return true;
    return false;
}

struct buf alter_table(const struct diff *d, int i, bool only)
{
    struct buf b = {0};
    buf_puts(&b, only ? "ALTER TABLE ONLY " : "ALTER TABLE ");
    pg_quote_qualified(&b, d->src.s->tables[i].dest_schema, d->src.s->tables[i].dest_name);
    buf_putc(&b, ' ');
    return b;
}

struct buf alter_column(const struct diff *d, int i, const char *column, bool only)
{
    struct buf b = alter_table(d, i, only);
    buf_puts(&b, "ALTER COLUMN ");
    pg_quote_ident(&b, column);
    buf_putc(&b, ' ');
    return b;
}

char *diff_what(const struct diff *d, int i, const char *what, const char *part)
{
    const struct schema_table *t = &d->src.s->tables[i];
    return mem_printf("%s %s.%s%s%s", what, t->dest_schema, t->dest_name, part ? "." : "",
                      part ? part : "");
}

/* --- the picture of the destination ------------------------------------------------------------
 */

struct schema_column *find_column(const struct schema_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (strcmp(t->columns[i].name, name) == 0)
            return &t->columns[i];
    return NULL;
}

void for_descendants(struct diff *d, int j, void (*f)(struct diff *, int child, void *arg),
                     void *arg)
{
    for (size_t k = 0; k < d->dst.s->n_tables; k++) {
        if (!diff_is_child(&d->dst.tables[k], d->dst.s->tables[j].oid))
            continue;
        f(d, (int)k, arg);
        for_descendants(d, (int)k, f, arg);
    }
}

bool ask_text(struct pg_conn *c, struct task *task, const char *sql, char **answer, bool *known,
              struct err *err)
{
    struct pg_result *res = NULL;
    struct err why = {0};
    char limit[96];
    str_printf(limit, sizeof limit, "SAVEPOINT bunny_ask; SET LOCAL statement_timeout = %d",
               SLOW_MS);
    *answer = NULL;
    if (!pg_exec(c, task, SCHEMA_QUERY_MS, limit, NULL, err))
        return false;
    *known = pg_exec(c, task, SCHEMA_QUERY_MS, sql, &res, &why);
    if (!*known && why.code != ERR_SQL) {
        *err = why;
        return false;
    }
    if (*known)
        *answer = read_text(res, 0, 0);
    else
        log_debug("schema", NULL, "no answer sqlstate=%s: %s", why.sqlstate, why.text);
    pg_free(res);
    return pg_exec(c, task, SCHEMA_QUERY_MS, "ROLLBACK TO SAVEPOINT bunny_ask", NULL, err);
}

bool ask_slowly(struct pg_conn *c, struct task *task, const char *sql, bool *answer, bool *known,
                struct err *err)
{
    char *text;
    bool ok = ask_text(c, task, sql, &text, known, err);
    *answer = ok && text && text[0] == 't';
    free(text);
    return ok;
}

/* --- reading -----------------------------------------------------------------------------------
 */

/* The mappings whose table the source has. */
static const char there_sql[] =
    "SELECT u.ord - 1 FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u(s, t, ord)"
    " JOIN pg_namespace n ON n.nspname = u.s JOIN pg_class c ON c.relnamespace = n.oid"
    " AND c.relname = u.t AND c.relkind IN ('r', 'p') ORDER BY u.ord";

static bool choose_maps(struct diff *d, struct err *err)
{
    const struct mirror_config *c = d->config;
    struct buf arrays[2] = {{0}};
    const char **cells = mem_calloc(2 * c->n_tables + 1, sizeof *cells);
    struct pg_result *res = NULL;
    for (size_t i = 0; i < c->n_tables; i++) {
        cells[i] = c->tables[i].source_schema;
        cells[c->n_tables + i] = c->tables[i].source_table;
    }
    pg_quote_array(&arrays[0], c->n_tables, cells);
    pg_quote_array(&arrays[1], c->n_tables, cells + c->n_tables);
    const char *values[] = {buf_text(&arrays[0]), buf_text(&arrays[1])};
    bool ok = pg_exec_params(d->source, d->task, SCHEMA_QUERY_MS, there_sql, 2, values, &res, err);
    d->src_maps = mem_calloc(c->n_tables + 1, sizeof *d->src_maps);
    d->map_index = mem_calloc(c->n_tables + 1, sizeof *d->map_index);
    for (size_t row = 0; ok && row < pg_rows(res); row++) {
        d->map_index[d->n_src_maps] = (int)pg_int(res, row, 0);
        d->src_maps[d->n_src_maps++] = c->tables[pg_int(res, row, 0)];
    }
    pg_free(res);
    buf_free(&arrays[0]);
    buf_free(&arrays[1]);
    free(cells);
    return ok;
}

static bool read_dest(struct diff *d, struct err *err)
{
    size_t n = d->src.s->n_tables;
    struct table_map *maps = mem_calloc(n + 1, sizeof *maps);
    for (size_t i = 0; i < n; i++) {
        const struct schema_table *t = &d->src.s->tables[i];
        const struct book_part *from = d->moved[i].from;
        if (!d->moved[i].is_displaced) { /* else nothing has these names */
            str_copy(maps[i].source_schema, NAME_SIZE, from ? from->dest_schema : t->dest_schema);
            str_copy(maps[i].source_table, NAME_SIZE, from ? from->dest_name : t->dest_name);
        }
        str_copy(maps[i].dest_schema, NAME_SIZE, t->dest_schema);
        str_copy(maps[i].dest_table, NAME_SIZE, t->dest_name);
    }
    bool ok = read_everything(&d->dst, maps, n, err);
    free(maps);
    return ok || err_context(err, "read the destination's definitions");
}

static void keep_old(struct diff *d)
{
    d->old = mem_calloc(d->dst.s->n_tables + 1, sizeof *d->old);
    for (size_t j = 0; j < d->dst.s->n_tables; j++) {
        const struct schema_table *u = &d->dst.s->tables[j];
        d->old[j].n = u->n_columns;
        d->old[j].columns = mem_calloc(u->n_columns + 1, sizeof *d->old[j].columns);
        for (size_t c = 0; c < u->n_columns; c++)
            d->old[j].columns[c] = (struct old_column){
                .attnum = u->columns[c].attnum,
                .name = mem_strdup(u->columns[c].name),
                .type = mem_strdup(u->columns[c].type),
                .collation = mem_strdup(u->columns[c].collation),
                .is_identity = u->columns[c].identity != 0,
            };
    }
}

/* By the names that tables will have. */
static void exist_as_moved(struct diff *d, size_t k)
{
    const struct schema_statement *st = &d->src.s->before[k];
    for (size_t i = 0; st->object == OBJECT_TABLE && i < d->src.s->n_tables; i++) {
        const struct schema_table *t = &d->src.s->tables[i];
        if (strcmp(t->dest_name, st->name) != 0 || strcmp(t->dest_schema, st->schema) != 0)
            continue;
        if (d->moved[i].from && d->pairs[i].dest >= 0) {
            d->exists[k] = true;
            d->kinds[k] = d->dst.tables[d->pairs[i].dest].relkind;
        } else if (d->moved[i].is_displaced) {
            d->exists[k] = false;
        }
    }
}

/* Which table of the source is which one there, and what is missing. */
static bool pair_up(struct diff *d, struct err *err)
{
    struct schema *s = d->src.s;
    d->pairs = mem_calloc(s->n_tables + 1, sizeof *d->pairs);
    d->exists = mem_calloc(s->n_before + 1, sizeof *d->exists);
    d->kinds = mem_calloc(s->n_before + 1, sizeof *d->kinds);
    for (size_t i = 0; i < s->n_tables; i++) {
        d->pairs[i].dest = -1;
        d->pairs[i].is_pending = mem_calloc(s->tables[i].n_columns + 1, sizeof(bool));
        d->pairs[i].is_renamed = mem_calloc(s->tables[i].n_columns + 1, sizeof(bool));
        d->pairs[i].is_own_index = mem_calloc(s->tables[i].n_indexes + 1, sizeof(bool));
    }
    for (size_t j = 0; j < d->dst.s->n_tables; j++)
        d->pairs[d->dst.s->tables[j].mapping].dest = (int)j;
    struct present p = {.exists = d->exists, .kinds = d->kinds};
    bool ok = compare_objects(d->dest, d->task, s, &p, err);
    for (size_t k = 0; k < s->n_before; k++)
        exist_as_moved(d, k);
    p.exists = NULL; /* d's */
    present_free(&p);
    return ok;
}

static bool read_both(struct diff *d, struct err *err)
{
    if (!choose_maps(d, err))
        return false;
    d->src.homes = d->config->all ? d->config->all : d->config->tables;
    d->src.n_homes = d->config->all ? d->config->n_all : d->config->n_tables;
    if (!read_everything(&d->src, d->src_maps, d->n_src_maps, err))
        return err_context(err, "read the source's definitions");
    if (!diff_find_moved(d, err) || !read_dest(d, err) || !pair_up(d, err))
        return false;
    keep_old(d);
    return true;
}

/* Everything that the definitions just read were made by lies before this. */
static bool read_position(struct diff *d, lsn_t *out, struct err *err)
{
    struct pg_result *res = NULL;
    if (!pg_exec(d->source, d->task, SCHEMA_QUERY_MS,
                 "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN"
                 " pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn()"
                 " END",
                 &res, err))
        return err_context(err, "ask the source for its position");
    *out = pg_lsn(res, 0, 0);
    pg_free(res);
    return true;
}

/* --- comparing ---------------------------------------------------------------------------------
 */

/* The steps that were added since the last call are about this. */
static bool mark(struct diff *d, enum step_about about)
{
    for (size_t k = 0; k < STAGE_COUNT; k++)
        for (; d->n_marked[k] < d->stages[k].n; d->n_marked[k]++)
            d->stages[k].items[d->n_marked[k]].about = about;
    return true;
}

static bool compare_tables(struct diff *d, struct err *err)
{
    int n = (int)d->src.s->n_tables;
    bool ok = true;
    for (int i = 0; i < n; i++)
        if (d->pairs[i].dest >= 0 && !d->pairs[i].is_unfit)
            diff_leave_parents(d, i);
    for (int i = 0; ok && i < n; i++) {
        if (d->pairs[i].is_unfit)
            continue;
        if (d->pairs[i].is_new)
            ok = diff_new_table(d, i, err);
        else
            ok = diff_columns(d, i, err) && diff_table_details(d, i, err);
    }
    (void)mark(d, STEP_ABOUT_DEFINITION);
    for (int i = 0; ok && i < n; i++)
        if (!d->pairs[i].is_unfit)
            ok = diff_indexes(d, i, err) && mark(d, STEP_ABOUT_INDEX) && diff_checks(d, i, err) &&
                 mark(d, STEP_ABOUT_CONSTRAINT);
    for (int i = 0; ok && i < n; i++)
        if (!d->pairs[i].is_unfit)
            diff_identity_of_table(d, i);
    (void)mark(d, STEP_ABOUT_DEFINITION);
    for (int i = 0; ok && i < n; i++)
        if (!d->pairs[i].is_unfit)
            ok = diff_fkeys(d, i, err);
    (void)mark(d, STEP_ABOUT_CONSTRAINT);
    return ok;
}

static bool compare_all(struct diff *d, struct err *err)
{
    diff_moved(d);
    if (!diff_names(d, err) || !diff_types(d, err) || !diff_objects(d, err) ||
        !compare_tables(d, err) || !diff_sequences(d, err) || !diff_gone_tables(d, err) ||
        !diff_traits(d, err) || !diff_layouts(d, err))
        return false;
    diff_remember(d);
    diff_remember_traits(d);
    return true;
}

static bool compare(struct diff *d, bool in_transaction, lsn_t *lsn, struct err *err)
{
    static const char begin[] = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
    static const char begin_dest[] =
        "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL lock_timeout = '10s'";
    d->src = (struct reader){.conn = d->source,
                             .task = d->task,
                             .with_indexes = d->config->replicate_indexes,
                             .with_fkeys = d->config->replicate_foreign_keys};
    d->dst = (struct reader){.conn = d->dest,
                             .task = d->task,
                             .with_indexes = true,
                             .with_fkeys = true,
                             .is_dest = true};
    if (!in_transaction && !pg_exec(d->source, d->task, SCHEMA_QUERY_MS, begin, NULL, err))
        return false;
    bool ok = pg_exec(d->dest, d->task, SCHEMA_QUERY_MS, begin_dest, NULL, err);
    ok = ok && read_both(d, err) && compare_all(d, err) && read_position(d, lsn, err) &&
         (in_transaction || schema_check_names(d->source, d->task, d->src.s, err));
    /* Nothing is lost if these fail, and the next statement would say so. */
    struct err ignored = {0};
    if (pg_is_alive(d->dest) &&
        !pg_exec(d->dest, d->task, SCHEMA_QUERY_MS, "ROLLBACK", NULL, ok ? err : &ignored))
        ok = false;
    if (!in_transaction && pg_is_alive(d->source) &&
        !pg_exec(d->source, d->task, SCHEMA_QUERY_MS, "ROLLBACK", NULL, ok ? err : &ignored))
        ok = false;
    return ok;
}

#define OF_A_TYPE 2 /* "schema"."type" */
#define OF_A_COLUMN 3

/* What counts on a new name, or a new label, has to wait with it. What is given up does not: the
 * rows that come first may need that already. Nor does a table's own name: no row of it gets
 * through before. */
static bool waits_for_table(const struct diff *d, const struct schema_step *s)
{
    for (size_t i = 0; s->table && i < d->src.s->n_tables; i++) {
        const struct schema_table *t = &d->src.s->tables[i];
        size_t n = strlen(t->dest_schema);
        if (d->pairs[i].at_point && strncmp(s->table, t->dest_schema, n) == 0 &&
            s->table[n] == '.' && strcmp(s->table + n + 1, t->dest_name) == 0)
            return true;
    }
    return false;
}

/* What such a table is made of comes after it. */
static bool waits_for_type(struct diff *d, const struct schema_step *s)
{
    for (size_t k = 0; k < d->at_point_types.n; k++) {
        if (!pg_mentions(s->sql, d->at_point_types.items[k], OF_A_TYPE))
            continue;
        for (size_t i = 0; s->makes_table && i < d->src.s->n_tables; i++)
            if (d->src.s->tables[i].oid == s->oid)
                name_list_add(&d->at_point_types, mem_strdup(d->src.s->tables[i].dest_name));
        return true;
    }
    return false;
}

static void find_point(struct diff *d, struct schema_step *s, size_t stage)
{
    if (s->kind != STEP_RUN || s->at_point || s->names_table || stage == STAGE_RELEASE ||
        stage == STAGE_LOOSEN)
        return;
    bool is_of_table = waits_for_table(d, s);
    s->is_with_type = !is_of_table && waits_for_type(d, s);
    s->at_point = is_of_table || s->is_with_type;
}

static const struct schema_step *step_of(const struct schema_plan *p, const char *sql)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].sql && strcmp(p->items[i].sql, sql) == 0)
            return &p->items[i];
    return NULL;
}

/* After the plan it is at the destination, and of a type that holds what the source's does. */
static bool is_ready(const struct schema_table *u, const struct schema_column *c)
{
    const struct schema_column *dc = find_column(u, c->name);
    return dc && (strcmp(dc->type, c->type) == 0 || type_widens(c->type, dc->type));
}

/* Does the statement name a column of source table i that only a copy, or the operator, makes what
 * it is at the source? */
static bool names_unready(const struct diff *d, size_t i, const char *sql)
{
    const struct schema_table *t = &d->src.s->tables[i];
    const struct schema_table *u =
        d->pairs[i].dest < 0 ? NULL : &d->dst.s->tables[d->pairs[i].dest];
    for (size_t c = 0; u && c < t->n_columns; c++)
        if (!t->columns[c].is_excluded && !is_ready(u, &t->columns[c]) &&
            pg_mentions(sql, t->columns[c].name, OF_A_COLUMN))
            return true;
    return false;
}

static bool hangs_on_columns(const struct schema_step *s, size_t stage)
{
    if (stage == STAGE_COLUMN)
        return s->is_late || strstr(s->sql, " GENERATED ALWAYS AS (");
    return stage == STAGE_INDEX || stage == STAGE_CHECK || stage == STAGE_FKEY ||
           stage == STAGE_TRAIT;
}

/* A primary key that the plan leaves, as the operator's own foreign key holds it, forbids NULL. The
 * step has the names of before. */
static bool is_held_by_key(const struct diff *d, const struct schema_step *s)
{
    int i = read_find_oid(&d->src, s->oid), j = i < 0 ? -1 : d->pairs[i].dest;
    const struct schema_table *u = j < 0 ? NULL : &d->dst.s->tables[j];
    bool is_left = false;
    for (size_t k = 0; u && k < u->n_indexes; k++)
        is_left = is_left || u->indexes[k].kind == INDEX_PRIMARY;
    for (size_t k = 0; is_left && k < u->n_key; k++) {
        const struct schema_column *dc = find_column(u, u->key[k]);
        for (size_t c = 0; dc && c < d->old[j].n; c++)
            if (d->old[j].columns[c].attnum == dc->attnum &&
                pg_mentions(s->sql, d->old[j].columns[c].name, OF_A_COLUMN))
                return true;
    }
    return false;
}

/* It would fail, and with it the whole plan, the copy that its column waits for included. */
static bool is_premature(const struct diff *d, const struct schema_step *s, size_t stage,
                         const struct schema_plan *so_far)
{
    if (s->kind != STEP_RUN || d->is_refit)
        return false;
    if (s->needs)
        return !step_of(so_far, s->needs);
    if (stage == STAGE_LOOSEN && is_held_by_key(d, s))
        return true;
    for (size_t i = 0; hangs_on_columns(s, stage) && i < d->src.s->n_tables; i++)
        if ((s->oid == d->src.s->tables[i].oid || stage == STAGE_FKEY) &&
            names_unready(d, i, s->sql))
            return true;
    return false;
}

/* What the destination has refused is no step that is left to be run: it is told, and tried. */
static void tell_refused(const struct diff *d, const struct schema_plan *so_far,
                         struct schema_step *s)
{
    const struct schema_step *needed = s->needs ? step_of(so_far, s->needs) : NULL;
    if (s->kind != STEP_RUN || !(s->is_optional || s->is_refusable))
        return;
    const struct book_part *p =
        book_find(&d->book, s->oid, BOOK_REFUSED, book_number_of(s->sql), s->what);
    if (p)
        s->why = mem_strdup(p->detail);
    else if (needed && needed->is_refused)
        s->why = mem_strdup("it follows once the destination takes the constraint");
    else
        return;
    s->kind = STEP_NOTE;
    s->is_refused = true;
}

/* The steps of all stages in one list. */
static void assemble(struct diff *d, struct schema_plan *out)
{
    size_t n_stages = d->is_refit ? STAGE_DETACH + 1 : STAGE_COUNT; /* the copy makes the rest */
    for (size_t k = 0; k < n_stages; k++) {
        for (size_t i = 0; i < d->stages[k].n; i++) {
            struct schema_step *s = &d->stages[k].items[i];
            if (is_premature(d, s, k, out)) {
                schema_step_free(s);
                continue;
            }
            find_point(d, s, k);
            tell_refused(d, out, s);
            schema_plan_add(out, *s);
        }
        d->stages[k].n = 0;
    }
    if (d->mirror_id && d->book.can_write && !d->is_refit) {
        out->record_sql = book_sql(&d->next, d->mirror_id);
        out->mirror_id = mem_strdup(d->mirror_id);
    }
}

static void diff_free(struct diff *d)
{
    for (size_t i = 0; d->pairs && i < d->src.s->n_tables; i++) {
        free(d->pairs[i].is_pending);
        free(d->pairs[i].is_renamed);
        free(d->pairs[i].is_own_index);
    }
    for (size_t j = 0; d->old && j < d->dst.s->n_tables; j++) {
        for (size_t c = 0; c < d->old[j].n; c++) {
            free(d->old[j].columns[c].name);
            free(d->old[j].columns[c].type);
            free(d->old[j].columns[c].collation);
        }
        free(d->old[j].columns);
    }
    for (size_t k = 0; k < STAGE_COUNT; k++)
        schema_plan_free(&d->stages[k]);
    free(d->old);
    free(d->moved);
    free(d->pairs);
    free(d->exists);
    free(d->kinds);
    free(d->is_left);
    free(d->src_maps);
    free(d->map_index);
    reader_free(&d->src);
    schema_free(d->src.s);
    reader_free(&d->dst);
    schema_free(d->dst.s);
    name_list_free(&d->at_point_types);
    name_list_free(&d->remade);
    traits_free(&d->there);
    book_free(&d->book);
    book_free(&d->next);
}

bool schema_diff(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                 const struct mirror_config *c, const char *mirror_id, struct schema_plan *out,
                 struct err *err)
{
    struct read_tries tries = {0};
    for (;;) {
        struct diff d = {
            .source = source, .dest = dest, .task = task, .config = c, .mirror_id = mirror_id};
        *out = (struct schema_plan){0};
        bool ok =
            book_read(dest, task, mirror_id, &d.book, err) && compare(&d, false, &out->lsn, err);
        if (ok)
            assemble(&d, out);
        diff_free(&d);
        if (ok)
            return true;
        if (!read_again(source, task, &tries, err))
            return err_context(err, "compare definitions") || read_failed(err);
    }
}

/* What a new copy of tables needs of their columns at the destination, which are empty. */
bool schema_refit(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                  const struct mirror_config *c, const char *mirror_id, bool keeps_rows,
                  struct schema_plan *out, struct err *err)
{
    struct diff d = {.source = source,
                     .dest = dest,
                     .task = task,
                     .config = c,
                     .mirror_id = mirror_id,
                     .is_refit = true,
                     .keeps_rows = keeps_rows};
    *out = (struct schema_plan){0};
    bool ok = book_read(dest, task, mirror_id, &d.book, err) && compare(&d, true, &out->lsn, err);
    if (ok)
        assemble(&d, out);
    diff_free(&d);
    return ok || err_context(err, "compare definitions");
}

/* What the stream knows of these tables begins with what they were copied with. */
static bool know_tables(struct diff *d, const char *mirror_id, struct err *err)
{
    struct buf sql = {0};
    struct known now = {0};
    const struct schema *s = d->src.s;
    uint32_t *oids = mem_calloc(s->n_tables + 1, sizeof *oids);
    for (size_t i = 0; i < s->n_tables; i++)
        oids[i] = s->tables[i].oid;
    bool ok = known_ask(d->source, d->task, d->config->publication, s->n_tables, oids, &now, err);
    for (size_t i = 0; ok && i < s->n_tables; i++) {
        const struct known_table *t = known_find(&now, oids[i]);
        if (t)
            known_put_sql(&sql, t, mirror_id, s->tables[i].dest_schema, s->tables[i].dest_name);
    }
    ok = ok &&
         (!sql.len || pg_exec(d->dest, d->task, SCHEMA_QUERY_MS, buf_text(&sql), NULL, err)) &&
         places_renew(d->dest, d->task, mirror_id, s, err);
    known_free(&now);
    buf_free(&sql);
    free(oids);
    return ok;
}

static bool write_book(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                       const struct mirror_config *c, const char *mirror_id, bool in_transaction,
                       struct err *err)
{
    struct diff d = {.source = source, .dest = dest, .task = task, .config = c};
    struct book before = {0};
    lsn_t lsn;
    bool ok =
        book_read(dest, task, mirror_id, &before, err) && compare(&d, in_transaction, &lsn, err);
    if (ok) {
        diff_remember_kept(&d, &before);
        char *sql = book_sql_about(&d.next, mirror_id);
        ok =
            pg_exec(dest, task, SCHEMA_QUERY_MS, sql, NULL, err) && know_tables(&d, mirror_id, err);
        free(sql);
    }
    book_free(&before);
    diff_free(&d);
    return ok;
}

bool schema_book_write(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                       const struct mirror_config *c, const char *mirror_id, bool in_transaction,
                       struct err *err)
{
    struct read_tries tries = {0};
    for (;;) {
        if (write_book(source, dest, task, c, mirror_id, in_transaction, err))
            return true;
        if (in_transaction || !read_again(source, task, &tries, err))
            return err_context(err, "write the book of parts at the destination") ||
                   read_failed(err);
    }
}
