/* Partitions that are called otherwise at the source now, or are in another schema: a mapping names
 * their table only, so that the book of parts tells what they were. And mapped tables that have
 * exchanged their names. The destination's follow with the rows that they have. */
#include "schema/diff_private.h"

#include <stdlib.h>
#include <string.h>

/* Of each pair of names: whether there is a table of the first, and anything of the second. */
static const char there_sql[] =
    "SELECT u.ord - 1, EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE n.nspname = u.ws AND c.relname = u.wt AND c.relkind IN ('r', 'p')),"
    " EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE n.nspname = u.ns AND c.relname = u.nt)"
    " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])"
    "  WITH ORDINALITY u(ws, wt, ns, nt, ord)";

static bool is_named(const struct book_part *p, const char *schema, const char *name)
{
    return strcmp(p->dest_name, name) == 0 && strcmp(p->dest_schema, schema) == 0;
}

/* Candidates. */
static size_t list_others(struct diff *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->src.s->n_tables; i++) {
        const struct schema_table *t = &d->src.s->tables[i];
        const struct book_part *p = book_find(&d->book, t->oid, BOOK_TABLE, -1, NULL);
        if (!p || !p->dest_name[0] || is_named(p, t->dest_schema, t->dest_name))
            continue;
        d->moved[i].from = p;
        n++;
    }
    return n;
}

static bool ask_there(struct diff *d, struct pg_result **out, struct err *err)
{
    size_t n = d->src.s->n_tables, k = 0;
    const char **cells = mem_calloc(4 * n + 1, sizeof *cells);
    struct buf arrays[4] = {{0}};
    const char *values[4];
    for (size_t i = 0; i < n; i++) {
        const struct book_part *p = d->moved[i].from;
        const struct schema_table *t = &d->src.s->tables[i];
        cells[k] = p ? p->dest_schema : "";
        cells[n + k] = p ? p->dest_name : "";
        cells[2 * n + k] = t->dest_schema;
        cells[3 * n + k++] = t->dest_name;
    }
    for (size_t a = 0; a < COUNT_OF(arrays); a++) {
        pg_quote_array(&arrays[a], n, cells + a * n);
        values[a] = buf_text(&arrays[a]);
    }
    bool ok = read_query(&d->dst, there_sql, COUNT_OF(values), values, out, err);
    for (size_t a = 0; a < COUNT_OF(arrays); a++)
        buf_free(&arrays[a]);
    free(cells);
    return ok;
}

/* Which candidate has the name until now; -1: none. */
static int holder_of(const struct diff *d, const char *schema, const char *name)
{
    for (size_t i = 0; i < d->src.s->n_tables; i++)
        if (d->moved[i].from && is_named(d->moved[i].from, schema, name))
            return (int)i;
    return -1;
}

/* A name that is taken, and will not be free: then it is the operator's to say which is which. One
 * that stays makes others stay. A mapped table only takes another one's name (a mapping that was
 * changed says something else, and one whose table is missing follows it: renamed.c). */
static void keep_free_ones(struct diff *d, const struct pg_result *res)
{
    size_t n = d->src.s->n_tables;
    for (size_t row = 0; row < pg_rows(res); row++)
        if (!pg_bool(res, row, 1))
            d->moved[pg_int(res, row, 0)].from = NULL;
    for (bool again = true; again;) {
        again = false;
        for (size_t row = 0; row < n; row++) {
            size_t i = (size_t)pg_int(res, row, 0);
            const struct schema_table *t = &d->src.s->tables[i];
            bool may_take = d->src.tables[i].parent && !pg_bool(res, row, 2);
            if (!d->moved[i].from || may_take || holder_of(d, t->dest_schema, t->dest_name) >= 0)
                continue;
            d->moved[i].from = NULL;
            again = true;
        }
    }
}

bool diff_find_moved(struct diff *d, struct err *err)
{
    struct pg_result *res = NULL;
    d->moved = mem_calloc(d->src.s->n_tables + 1, sizeof *d->moved);
    if (!list_others(d))
        return true;
    if (!ask_there(d, &res, err))
        return err_context(err, "look for partitions by their old names");
    keep_free_ones(d, res);
    pg_free(res);
    for (size_t i = 0; i < d->src.s->n_tables; i++) {
        const struct schema_table *t = &d->src.s->tables[i];
        int holder = holder_of(d, t->dest_schema, t->dest_name);
        d->moved[i].is_displaced = !d->moved[i].from && holder >= 0 && holder != (int)i;
    }
    return true;
}

static void put_step(struct diff *d, size_t i, const char *schema, const char *name,
                     const char *verb, const char *to)
{
    const struct schema_table *t = &d->src.s->tables[i];
    struct buf b = {0};
    if (strcmp(verb, "SET SCHEMA") == 0) {
        buf_puts(&b, "CREATE SCHEMA IF NOT EXISTS ");
        pg_quote_ident(&b, to);
        buf_puts(&b, "; ");
    }
    buf_puts(&b, "ALTER TABLE ");
    pg_quote_qualified(&b, schema, name);
    buf_printf(&b, " %s ", verb);
    pg_quote_ident(&b, to);
    diff_run(d, STAGE_UNTIE, (int)i, buf_take(&b),
             mem_printf("rename table %s.%s to %s.%s", schema, name, t->dest_schema, t->dest_name))
        ->names_table = true;
}

static void set_text(char **text, const char *to)
{
    free(*text);
    *text = mem_strdup(to);
}

/* These steps wait for nothing. What the book goes on saying of the tables while others are left
 * (diff_table_at_point), it says of the new names: by the old ones tables that have exchanged
 * theirs would exchange them once more, with the rows that they have. */
static void rename_in_book(struct diff *d, size_t i)
{
    const struct schema_table *t = &d->src.s->tables[i];
    const struct table_map *m = &d->src_maps[t->mapping];
    for (size_t k = 0; k < d->book.n; k++) {
        struct book_part *p = &d->book.items[k];
        if (p->oid != t->oid || !p->dest_name[0])
            continue;
        set_text(&p->dest_schema, t->dest_schema);
        set_text(&p->dest_name, t->dest_name);
        if (p->kind != BOOK_TABLE)
            continue;
        set_text(&p->name, m->source_table);
        set_text(&p->detail, m->source_schema);
    }
}

/* All of them step aside where one takes another's name. */
void diff_moved(struct diff *d)
{
    size_t n = d->src.s->n_tables;
    bool is_crowded = false;
    char aside[NAME_SIZE];
    for (size_t i = 0; i < n; i++)
        is_crowded =
            is_crowded || (d->moved[i].from && holder_of(d, d->src.s->tables[i].dest_schema,
                                                         d->src.s->tables[i].dest_name) >= 0);
    for (int turn = is_crowded ? 0 : 1; turn < 2; turn++) {
        for (size_t i = 0; i < n; i++) {
            const struct schema_table *t = &d->src.s->tables[i];
            const struct book_part *p = d->moved[i].from;
            if (!p)
                continue;
            str_printf(aside, sizeof aside, "_bunnydb_moved_%u", t->oid);
            const char *now = is_crowded ? aside : p->dest_name;
            if (turn == 0) {
                put_step(d, i, p->dest_schema, p->dest_name, "RENAME TO", aside);
                continue;
            }
            if (strcmp(p->dest_schema, t->dest_schema) != 0)
                put_step(d, i, p->dest_schema, now, "SET SCHEMA", t->dest_schema);
            if (strcmp(now, t->dest_name) != 0)
                put_step(d, i, t->dest_schema, now, "RENAME TO", t->dest_name);
        }
    }
    for (size_t i = 0; i < n; i++)
        if (d->moved[i].from)
            rename_in_book(d, i);
}
