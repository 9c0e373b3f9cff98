/* The destination's side of a change of definitions: its columns, and the statements; see evolve.h.
 * Each step is also done to the picture of the columns, so that those that follow see it. What is
 * there already is not done again: sync-schema may have been first, or a table's sibling. */
#include "schema/evolve_private.h"

#include <stdlib.h>
#include <string.h>

#include "schema/diff_private.h"

/* --- reading ---------------------------------------------------------------------------------- */

/* The columns, and which table above has each (a partition's cannot be altered by themselves). */
static const char places_sql[] =
    "WITH RECURSIVE t AS (SELECT c.oid, c.relispartition, format('%I.%I', n.nspname, c.relname)"
    "  AS self FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')),"
    " up(oid, depth) AS (SELECT oid, 0 FROM t UNION ALL SELECT i.inhparent, up.depth + 1 FROM up"
    "  JOIN pg_inherits i ON i.inhrelid = up.oid AND concat(i.inhrelid, ' ', i.inhparent) <>"
    "  ALL (string_to_array($5, ','))),"
    " root AS (SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name FROM up JOIN pg_class c"
    "  ON c.oid = up.oid JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY up.depth DESC"
    "  LIMIT 1)"
    " SELECT t.self, t.relispartition, root.name, (SELECT quote_ident(k.conname) FROM"
    "  pg_constraint k WHERE k.contype = 'p' AND k.conrelid = CASE WHEN t.relispartition THEN"
    "  root.oid ELSE t.oid END),"
    " a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated <> '',"
    " a.atthasdef, a.attidentity <> '', EXISTS (SELECT FROM pg_index x WHERE x.indrelid = t.oid"
    "  AND x.indisprimary AND a.attnum = ANY (x.indkey::int2[])),"
    " (SELECT format('%I.%I', n.nspname, c.relname) FROM up JOIN pg_attribute pa"
    "  ON pa.attrelid = up.oid AND pa.attname = a.attname AND NOT pa.attisdropped"
    "  JOIN pg_class c ON c.oid = up.oid JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  ORDER BY up.depth DESC LIMIT 1),"
    " (SELECT p.number FROM _bunnydb.table_parts p WHERE p.mirror_id = $3"
    "  AND p.source_oid = $4::int8 AND p.kind = 'c' AND p.name = a.attname LIMIT 1),"
    " EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid ="
    "  t.oid AND d.refobjsubid = a.attnum AND d.deptype = 'n' AND NOT EXISTS (SELECT FROM pg_depend"
    "  e WHERE e.classid = d.classid AND e.objid = d.objid AND e.refclassid = d.refclassid"
    "  AND e.refobjid = d.refobjid AND e.refobjsubid = d.refobjsubid AND e.deptype IN ('a', 'i')))"
    " OR EXISTS (SELECT FROM pg_class k JOIN pg_type y ON y.oid = k.reltype JOIN pg_depend d"
    "  ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (y.oid, y.typarray)"
    "  AND d.deptype = 'n' WHERE k.oid = t.oid)"
    " FROM t CROSS JOIN root LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0"
    "  AND NOT a.attisdropped ORDER BY a.attnum";

static struct evolve_place take_place(const struct pg_result *res, size_t row)
{
    return (struct evolve_place){.was = read_text(res, row, 4),
                                 .name = read_text(res, row, 4),
                                 .type = read_text(res, row, 5),
                                 .not_null = pg_bool(res, row, 6),
                                 .is_generated = pg_bool(res, row, 7),
                                 .has_default = pg_bool(res, row, 8),
                                 .has_identity = pg_bool(res, row, 9),
                                 .is_in_key = pg_bool(res, row, 10),
                                 .owner = read_text(res, row, 11),
                                 .booked = (int)pg_int(res, row, 12),
                                 .is_needed = pg_bool(res, row, 13)};
}

bool evolve_read_dest(struct evolve_work *w, struct err *err)
{
    struct pg_result *res = NULL;
    char oid[16];
    const char *values[] = {w->table->dest_schema, w->table->dest_name, w->q->mirror_id, oid,
                            buf_text(&w->left)};
    str_printf(oid, sizeof oid, "%u", w->q->was->oid);
    if (!pg_exec_params(w->q->dest, w->q->task, SCHEMA_QUERY_MS, places_sql, COUNT_OF(values),
                        values, &res, err))
        return err_context(err, "read the definition of %s.%s", w->table->dest_schema,
                           w->table->dest_name);
    size_t n = pg_rows(res);
    w->exists = n > 0;
    w->places = mem_calloc(n + 1, sizeof *w->places);
    for (size_t row = 0; row < n; row++)
        if (!pg_is_null(res, row, 4))
            w->places[w->n_places++] = take_place(res, row);
    if (n) {
        w->self = read_text(res, 0, 0);
        w->is_partition = pg_bool(res, 0, 1);
        w->root = read_text(res, 0, 2);
        w->key = read_text(res, 0, 3);
    }
    pg_free(res);
    return true;
}

void evolve_places_free(struct evolve_work *w)
{
    for (size_t i = 0; i < w->n_places; i++) {
        free(w->places[i].was);
        free(w->places[i].name);
        free(w->places[i].type);
        free(w->places[i].owner);
    }
    for (size_t k = 0; k < w->n_owners; k++) {
        free(w->owners[k].name);
        free(w->owners[k].is_family);
    }
    free(w->owners);
    free(w->places);
    free(w->self);
    free(w->root);
    free(w->key);
}

static const char family_sql[] =
    "WITH RECURSIVE down(oid) AS (SELECT to_regclass($1)::oid UNION SELECT i.inhrelid FROM down"
    "  JOIN pg_inherits i ON i.inhparent = down.oid)"
    " SELECT n.nspname, c.relname FROM down JOIN pg_class c ON c.oid = down.oid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace";

static bool read_family_of(struct evolve_work *w, struct evolve_owner *o, struct err *err)
{
    const struct schema *s = w->q->schema;
    struct pg_result *res = NULL;
    const char *values[] = {o->name};
    if (!pg_exec_params(w->q->dest, w->q->task, SCHEMA_QUERY_MS, family_sql, 1, values, &res, err))
        return err_context(err, "read what hangs under %s", o->name);
    o->is_family = mem_calloc(s->n_tables + 1, sizeof *o->is_family);
    for (size_t i = 0; i < s->n_tables; i++)
        for (size_t row = 0; row < pg_rows(res) && !o->is_family[i]; row++)
            o->is_family[i] = strcmp(pg_text(res, row, 1), s->tables[i].dest_name) == 0 &&
                              strcmp(pg_text(res, row, 0), s->tables[i].dest_schema) == 0;
    pg_free(res);
    return true;
}

bool evolve_read_family(struct evolve_work *w, struct err *err)
{
    for (size_t k = 0; k < w->n_owners; k++)
        if (!read_family_of(w, &w->owners[k], err))
            return false;
    return true;
}

bool evolve_reaches(const struct evolve_work *w, const struct evolve_place *p, size_t i)
{
    for (size_t k = 0; p && k < w->n_owners; k++)
        if (strcmp(w->owners[k].name, p->owner) == 0)
            return w->owners[k].is_family[i];
    return false;
}

const struct evolve_place *evolve_place_was(const struct evolve_work *w, const char *name)
{
    for (size_t i = 0; i < w->n_places; i++)
        if (w->places[i].was && strcmp(w->places[i].was, name) == 0)
            return &w->places[i];
    return NULL;
}

const struct evolve_place *evolve_place_now(const struct evolve_work *w, const char *name)
{
    for (size_t i = 0; i < w->n_places; i++)
        if (!w->places[i].is_gone && strcmp(w->places[i].name, name) == 0)
            return &w->places[i];
    return NULL;
}

/* --- the picture ------------------------------------------------------------------------------ */

static struct evolve_place *find(struct evolve_work *w, const char *name)
{
    for (size_t i = 0; i < w->n_places; i++)
        if (!w->places[i].is_gone && strcmp(w->places[i].name, name) == 0)
            return &w->places[i];
    return NULL;
}

static void set_text(char **to, const char *text)
{
    char *copy = mem_strdup(text);
    free(*to);
    *to = copy;
}

static void note_owner(struct evolve_work *w, const char *owner)
{
    struct evolve_owner o = {0};
    for (size_t k = 0; k < w->n_owners; k++)
        if (strcmp(w->owners[k].name, owner) == 0)
            return;
    o.name = mem_strdup(owner);
    MEM_PUSH(w->owners, w->n_owners, w->owners_cap, o);
}

static void step(struct evolve_work *w, const char *owner, struct buf *sql, char *what)
{
    struct evolve_step s = {.sql = buf_take(sql), .what = what};
    note_owner(w, owner);
    MEM_PUSH(w->out->steps, w->out->n, w->out->cap, s);
}

static struct buf alter(const char *owner)
{
    struct buf b = {0};
    buf_printf(&b, "ALTER TABLE %s ", owner);
    return b;
}

static struct buf alter_place(const struct evolve_place *p)
{
    struct buf b = alter(p->owner);
    buf_puts(&b, "ALTER COLUMN ");
    pg_quote_ident(&b, p->name);
    buf_putc(&b, ' ');
    return b;
}

static char *what_of(const struct evolve_work *w, const char *verb, const char *name)
{
    return mem_printf("%s %s.%s.%s", verb, w->table->dest_schema, w->table->dest_name, name);
}

static void ask(struct evolve_work *w, char *why)
{
    if (w->out->verdict == EVOLVE_RUN) {
        w->out->verdict = EVOLVE_ASK;
        w->out->why = why;
    } else {
        free(why);
    }
}

/* Keeps the book of parts in step: the column of that number has that name, or is forgotten. */
static void record_part(struct evolve_work *w, int attnum, const char *name)
{
    struct buf *b = &w->record;
    buf_puts(b, "DELETE FROM _bunnydb.table_parts WHERE mirror_id = ");
    pg_quote_literal(b, w->q->mirror_id);
    buf_printf(b, " AND source_oid = %u AND kind = 'c' AND number = %d; ", w->q->was->oid, attnum);
    if (!name)
        return;
    buf_puts(b, "INSERT INTO _bunnydb.table_parts (mirror_id, source_oid, kind, number, name,"
                " dest_schema, dest_name) VALUES (");
    pg_quote_literal(b, w->q->mirror_id);
    buf_printf(b, ", %u, 'c', %d, ", w->q->was->oid, attnum);
    pg_quote_literal(b, name);
    buf_puts(b, ", ");
    pg_quote_literal(b, w->table->dest_schema);
    buf_puts(b, ", ");
    pg_quote_literal(b, w->table->dest_name);
    buf_puts(b, "); ");
}

static bool is_changed(const struct evolve_work *w, const struct evolve_place *p, size_t i)
{
    return p->was && (p->is_gone || strcmp(p->was, p->name) != 0) && evolve_reaches(w, p, i);
}

/* All names in one statement: they may go round. */
void evolve_record_relative(struct evolve_work *w, size_t i)
{
    struct buf cases = {0}, gone = {0}, head = {0};
    for (size_t k = 0; k < w->n_places; k++) {
        const struct evolve_place *p = &w->places[k];
        if (!is_changed(w, p, i))
            continue;
        struct buf *b = p->is_gone ? &gone : &cases;
        buf_puts(b, p->is_gone ? (b->len ? ", " : "") : " WHEN ");
        pg_quote_literal(b, p->was);
        if (p->is_gone)
            continue;
        buf_puts(b, " THEN ");
        pg_quote_literal(b, p->name);
    }
    buf_puts(&head, " WHERE mirror_id = ");
    pg_quote_literal(&head, w->q->mirror_id);
    buf_printf(&head, " AND source_oid = %u AND kind = 'c'", w->q->schema->tables[i].oid);
    if (gone.len)
        buf_printf(&w->record, "DELETE FROM _bunnydb.table_parts%s AND name IN (%s); ",
                   buf_text(&head), buf_text(&gone));
    if (cases.len)
        buf_printf(&w->record,
                   "UPDATE _bunnydb.table_parts SET name = CASE name%s ELSE name END%s; ",
                   buf_text(&cases), buf_text(&head));
    buf_free(&cases);
    buf_free(&gone);
    buf_free(&head);
}

/* --- renames ---------------------------------------------------------------------------------- */

static void rename_place(struct evolve_work *w, struct evolve_place *p, const char *to)
{
    struct buf b = alter(p->owner);
    buf_puts(&b, "RENAME COLUMN ");
    pg_quote_ident(&b, p->name);
    buf_puts(&b, " TO ");
    pg_quote_ident(&b, to);
    char *what = mem_printf("rename column %s.%s.%s to %s", w->table->dest_schema,
                            w->table->dest_name, p->name, to);
    step(w, p->owner, &b, what);
    set_text(&p->name, to);
}

/* "name_dropped", or with a number behind it. */
static char *free_name(struct evolve_work *w, const char *name)
{
    for (int i = 1;; i++) {
        char *to =
            i == 1 ? mem_printf("%.45s_dropped", name) : mem_printf("%.45s_dropped_%d", name, i);
        bool is_taken = find(w, to) != NULL;
        for (size_t k = 0; k < w->n_pairs; k++)
            is_taken |= strcmp(w->pairs[k].to->name, to) == 0;
        if (!is_taken)
            return to;
        free(to);
    }
}

/* What the source has dropped, and is kept here, makes room for another one of its name. */
static void put_away(struct evolve_work *w, struct evolve_place *p)
{
    char *to = free_name(w, p->name);
    rename_place(w, p, to);
    if (p->booked)
        record_part(w, p->booked, to);
    free(to);
}

static bool is_streamed(const struct evolve_work *w, const struct evolve_place *p)
{
    for (size_t i = 0; i < w->n_pairs; i++)
        if (w->pairs[i].was && strcmp(w->pairs[i].was->name, p->name) == 0)
            return true;
    return false;
}

/* Makes a name free for the column of that number. False: it is the operator's own. */
static bool make_room(struct evolve_work *w, const char *name, int attnum)
{
    struct evolve_place *p = find(w, name);
    if (!p || p->booked == attnum)
        return true;
    if (!p->booked)
        return false;
    put_away(w, p);
    return true;
}

struct renaming {
    struct evolve_place *place;
    const struct evolve_pair *pair;
    bool is_done;
};

/* A column that sync-schema added, under the name it had then, before the stream came to it. */
static struct evolve_place *find_booked(struct evolve_work *w, const struct evolve_pair *pair)
{
    for (size_t i = 0; !pair->is_excluded && i < w->n_places; i++) {
        struct evolve_place *p = &w->places[i];
        if (!p->is_gone && p->booked == pair->attnum && !is_streamed(w, p))
            return strcmp(p->name, pair->to->name) != 0 ? p : NULL;
    }
    return NULL;
}

static size_t collect_renames(struct evolve_work *w, struct renaming *out)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_pairs; i++) {
        const struct evolve_pair *p = &w->pairs[i];
        struct evolve_place *added = p->was ? NULL : find_booked(w, p);
        if (added)
            out[n++] = (struct renaming){.place = added, .pair = p};
        if (!p->was || strcmp(p->was->name, p->to->name) == 0)
            continue;
        if (p->is_excluded) {
            ask(w, mem_printf("column %s, which the mapping excludes, is called %s now: change "
                              "exclude_columns",
                              p->was->name, p->to->name));
            continue;
        }
        struct evolve_place *place = find(w, p->was->name);
        if (place)
            out[n++] = (struct renaming){.place = place, .pair = p};
        else if (!find(w, p->to->name))
            ask(w, mem_printf("column %s is renamed to %s, and the destination has neither",
                              p->was->name, p->to->name));
    }
    return n;
}

static bool is_waited_for(const struct renaming *list, size_t n, const struct evolve_place *p)
{
    for (size_t i = 0; i < n; i++)
        if (!list[i].is_done && list[i].place == p)
            return true;
    return false;
}

/* a to b after b to c; where they go round, one of them steps aside. */
static void rename_columns(struct evolve_work *w)
{
    struct renaming *list = mem_calloc(w->n_pairs + 1, sizeof *list);
    size_t n = collect_renames(w, list), left = n;
    while (left && w->out->verdict == EVOLVE_RUN) {
        size_t before = left;
        for (size_t i = 0; i < n; i++) {
            struct renaming *r = &list[i];
            struct evolve_place *there = find(w, r->pair->to->name);
            if (r->is_done || (there && is_waited_for(list, n, there)))
                continue;
            if (!make_room(w, r->pair->to->name, r->pair->attnum))
                ask(w, mem_printf("column %s is renamed to %s, and the destination has another "
                                  "column of that name: rename or drop that one",
                                  r->place->name, r->pair->to->name));
            rename_place(w, r->place, r->pair->to->name);
            record_part(w, r->pair->attnum, r->pair->to->name);
            r->is_done = true;
            left--;
        }
        for (size_t i = 0; left == before && i < n; i++) {
            if (list[i].is_done)
                continue;
            char *aside = mem_printf("bunnydb_renamed_%d", list[i].pair->attnum);
            rename_place(w, list[i].place, aside);
            free(aside);
            break;
        }
    }
    free(list);
}

/* --- dropped columns -------------------------------------------------------------------------- */

static void drop_key(struct evolve_work *w, const struct evolve_place *p)
{
    if (!w->key || w->is_key_dropped)
        return;
    w->is_key_dropped = true;
    const char *owner = w->is_partition ? w->root : p->owner;
    struct buf b = alter(owner);
    buf_printf(&b, "DROP CONSTRAINT %s", w->key);
    step(w, owner, &b, what_of(w, "drop the primary key, for that of", p->name));
}

/* Rows that come from now on have nothing in it. */
static void let_be_null(struct evolve_work *w, struct evolve_place *p)
{
    if (p->is_in_key)
        drop_key(w, p);
    if (p->has_identity)
        return; /* counts on by itself */
    if (p->has_default) {
        struct buf b = alter_place(p);
        buf_puts(&b, "DROP DEFAULT");
        step(w, p->owner, &b, what_of(w, "drop default of column", p->name));
    }
    if (p->not_null) {
        struct buf b = alter_place(p);
        buf_puts(&b, "DROP NOT NULL");
        step(w, p->owner, &b, what_of(w, "drop NOT NULL of column", p->name));
    }
    p->has_default = p->not_null = false;
}

static void lose_column(struct evolve_work *w, const struct known_column *c)
{
    struct evolve_place *p = find(w, c->name);
    bool is_reused = false;
    if (!p || p->is_generated)
        return;
    /* What others need is dropped when definitions are compared: after them, or not at all. */
    if (w->q->drop_columns && !p->is_needed) {
        struct buf b = alter(p->owner);
        buf_puts(&b, "DROP COLUMN ");
        pg_quote_ident(&b, p->name);
        step(w, p->owner, &b, what_of(w, "drop column", p->name));
        record_part(w, c->attnum, NULL);
        p->is_gone = true;
        return;
    }
    let_be_null(w, p);
    for (size_t i = 0; i < w->n_pairs; i++)
        is_reused |= strcmp(w->pairs[i].to->name, c->name) == 0;
    if (is_reused) {
        p->booked = c->attnum;
        put_away(w, p);
    }
}

/* --- types and new columns -------------------------------------------------------------------- */

/* Only whole numbers can be an identity. */
static void drop_identity(struct evolve_work *w, struct evolve_place *d, const char *type)
{
    if (!d->has_identity || strcmp(type, "smallint") == 0 || strcmp(type, "integer") == 0 ||
        strcmp(type, "bigint") == 0)
        return;
    struct buf b = alter_place(d);
    buf_puts(&b, "DROP IDENTITY");
    step(w, d->owner, &b, what_of(w, "drop identity of column", d->name));
    d->has_identity = false;
}

static void retype(struct evolve_work *w, const struct evolve_pair *p)
{
    struct evolve_place *d = find(w, p->to->name);
    if (!d || p->is_excluded || strcmp(d->type, p->type) == 0)
        return;
    if (p->was_type && strcmp(d->type, p->was_type) != 0 && type_widens(p->type, d->type))
        return; /* the operator made it wider */
    drop_identity(w, d, p->type);
    struct buf b = alter_place(d);
    buf_printf(&b, "TYPE %s", p->type);
    if (p->collation)
        buf_printf(&b, " COLLATE %s", p->collation);
    step(w, d->owner, &b, what_of(w, "change type of column", d->name));
    set_text(&d->type, p->type);
}

static void add_place(struct evolve_work *w, const struct evolve_pair *p, const char *owner)
{
    w->places = mem_realloc(w->places, (w->n_places + 1) * sizeof *w->places);
    w->places[w->n_places++] = (struct evolve_place){.name = mem_strdup(p->to->name),
                                                     .type = mem_strdup(p->type),
                                                     .owner = mem_strdup(owner),
                                                     .booked = p->attnum};
}

static void add_column(struct evolve_work *w, const struct evolve_pair *p)
{
    const char *owner = w->is_partition || p->is_inherited ? w->root : w->self;
    struct buf b = alter(owner);
    buf_puts(&b, "ADD COLUMN ");
    pg_quote_ident(&b, p->to->name);
    buf_printf(&b, " %s", p->type);
    if (p->collation)
        buf_printf(&b, " COLLATE %s", p->collation);
    if (p->missing) {
        buf_puts(&b, " DEFAULT ");
        pg_quote_literal(&b, p->missing);
        buf_printf(&b, "::%s", p->type);
    } else if (p->is_domain && schema_is_in_columns(w->q->schema, w->q->table)) {
        schema_without_default(&b, p->type);
    } else if (p->is_domain) {
        buf_printf(&b, " DEFAULT NULL::%s", p->type); /* not the domain's own */
    }
    step(w, owner, &b, what_of(w, "add column", p->to->name));
    record_part(w, p->attnum, p->to->name);
    add_place(w, p, owner);
}

static void bring_in(struct evolve_work *w, const struct evolve_pair *p)
{
    struct evolve_place *d = find(w, p->to->name);
    if (p->is_excluded)
        return;
    if (d && d->booked && d->booked != p->attnum && !is_streamed(w, d)) {
        put_away(w, d);
        d = NULL;
    }
    if (!d) {
        add_column(w, p);
        return;
    }
    if (d->is_generated) {
        struct buf b = alter_place(d);
        buf_puts(&b, "DROP EXPRESSION");
        step(w, d->owner, &b, what_of(w, "stop computing column", d->name));
        d->is_generated = false;
    }
    retype(w, p);
    record_part(w, p->attnum, p->to->name);
}

void evolve_make_steps(struct evolve_work *w)
{
    for (size_t i = 0; i < w->n_lost; i++)
        lose_column(w, w->lost[i]);
    rename_columns(w);
    for (size_t i = 0; i < w->n_pairs; i++)
        if (w->pairs[i].was && (w->pairs[i].was->type != w->pairs[i].to->type ||
                                w->pairs[i].was->typmod != w->pairs[i].to->typmod))
            retype(w, &w->pairs[i]);
    for (size_t i = 0; i < w->n_pairs; i++)
        if (!w->pairs[i].was)
            bring_in(w, &w->pairs[i]);
}
