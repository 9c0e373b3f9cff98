/* Binding of relations to destination tables, and the SQL of changes; see target.h. */
#include "stream/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A prepared statement costs the destination's session some 700 bytes a column, and a table that is
 * wide may have one for each set of unchanged TOAST values: so many columns for all of a table. */
#define MAX_PREPARED_COLUMNS 65536
#define MIN_STATEMENTS 8
#define MAX_NAME 63 /* bytes of a value of type name; the server cuts longer ones off, silently */

static const struct dest_column *find_dest_column(const struct dest_table *d, const char *name)
{
    for (size_t i = 0; i < d->n_columns; i++)
        if (!strcmp(d->columns[i].name, name))
            return &d->columns[i];
    return NULL;
}

static bool is_excluded(const struct schema_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (!strcmp(t->columns[i].name, name))
            return t->columns[i].is_excluded;
    return false;
}

static bool is_in_key(const struct dest_table *d, const char *name)
{
    for (size_t i = 0; i < d->n_key; i++)
        if (!strcmp(d->key[i], name))
            return true;
    return false;
}

static bool bind_column(struct target *t, const struct pgo_column *from,
                        const struct schema_table *table, const struct dest_table *dest,
                        struct target_column *to, struct err *err)
{
    to->name = mem_strdup(from->name);
    to->is_key = from->is_key;
    to->source_type = from->type_oid;
    to->is_skipped = is_excluded(table, from->name);
    if (to->is_skipped)
        return true;
    const struct dest_column *d = find_dest_column(dest, from->name);
    if (!d) {
        err_set(err, ERR_SCHEMA, "column %s of %s is missing at the destination (%s)", from->name,
                t->source, t->dest);
        return err_hint(err,
                        "Add the column to %s, then retry. If it was dropped there its values are "
                        "gone, and the table is copied again.",
                        t->dest);
    }
    if (d->is_generated) {
        err_set(err, ERR_SCHEMA,
                "column %s is generated at the destination (%s) but not at the source", from->name,
                t->dest);
        return err_hint(err, "Drop the generation expression of %s.%s, then retry.", t->dest,
                        from->name);
    }
    to->type = mem_strdup(d->type);
    to->equals = mem_strdup(d->equals);
    to->base = d->base ? mem_strdup(d->base) : NULL;
    to->uniques = mem_strdup(d->uniques);
    to->plain = mem_strdup(d->plain);
    to->array = mem_strdup(d->array);
    to->is_name = !strcmp(d->type, "name") || (d->base && !strcmp(d->base, "name"));
    to->delimiter = d->delimiter;
    to->is_dest_key = is_in_key(dest, from->name);
    to->is_moved = d->is_moved;
    return true;
}

/* The destination's key finds a row of an old image only when every column of it is streamed. */
static bool has_whole_key(const struct target *t, const struct dest_table *dest)
{
    size_t found = 0;
    for (size_t i = 0; i < t->n_columns; i++)
        found += t->columns[i].is_dest_key;
    return dest->n_key > 0 && found == dest->n_key;
}

bool target_key_covers(const struct target *t, const char *text, size_t len)
{
    size_t found = 0;
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct target_column *c = &t->columns[i];
        for (const char *at = c->is_key ? c->uniques : NULL; at && *at; at += strspn(at, " ")) {
            size_t n = strcspn(at, " ");
            found += n == len && !memcmp(at, text, len);
            at += n;
        }
    }
    const char *columns = memchr(text, ':', len);
    return columns && found == strtoul(columns + 1, NULL, 10);
}

static bool is_key_unique(const struct target *t)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct target_column *c = &t->columns[i];
        for (const char *at = c->is_key ? c->uniques : NULL; at && *at; at += strspn(at, " ")) {
            size_t n = strcspn(at, " ");
            if (target_key_covers(t, at, n))
                return true;
            at += n;
        }
    }
    return false;
}

/* Those without an index may get one while the table is bound, as an operator is told to make it.
 */
static void choose_narrow(struct target *t, const struct dest_table *dest, bool is_indexed)
{
    for (size_t i = 0; i < t->n_columns && t->n_narrow < MAX_NARROW; i++) {
        const struct dest_column *d =
            t->columns[i].is_skipped ? NULL : find_dest_column(dest, t->columns[i].name);
        if (d && d->is_indexed == is_indexed && d->has_equality && !d->is_moved)
            t->narrow[t->n_narrow++] = (int)i;
    }
}

static void name_rows(struct target *t, char identity)
{
    bool is_whole = identity == 'f';
    t->named = mem_calloc(t->n_columns + 1, sizeof *t->named);
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct target_column *c = &t->columns[i];
        bool is_named = is_whole ? t->has_dest_key && c->is_dest_key : c->is_key;
        if (is_named && !c->is_skipped)
            t->named[t->n_named++] = (int)i;
    }
}

bool target_bind(const struct pgo_message *relation, const struct schema_table *table, int index,
                 const struct dest_table *dest, int number, struct target **out, struct err *err)
{
    struct buf quoted = {0};
    struct target *t = mem_calloc(1, sizeof *t);
    pg_quote_qualified(&quoted, table->dest_schema, table->dest_name);
    t->oid = relation->relation;
    t->number = number;
    t->table = index;
    t->source = mem_printf("%s.%s", relation->schema, relation->table);
    t->dest = buf_take(&quoted);
    t->is_partitioned = dest->is_partitioned;
    t->is_parent = table->is_partitioned;
    t->n_columns = relation->n_columns;
    t->columns = mem_calloc(t->n_columns, sizeof *t->columns);
    if (!dest->exists) {
        err_set(err, ERR_TABLE_MISSING, "table %s is missing at the destination", t->dest);
        err_hint(err, "Create %s like %s at the source, then retry.", t->dest, t->source);
        target_free(t);
        return false;
    }
    for (size_t i = 0; i < t->n_columns; i++)
        if (!bind_column(t, &relation->columns[i], table, dest, &t->columns[i], err)) {
            target_free(t);
            return false;
        }
    for (size_t i = 0; i < t->n_columns; i++)
        t->has_names |= t->columns[i].is_name;
    t->has_dest_key = has_whole_key(t, dest);
    t->is_key_shared = dest->is_key_deferrable;
    t->is_cascaded = dest->is_cascaded;
    t->is_key_unique = is_key_unique(t);
    choose_narrow(t, dest, true);
    t->n_indexed = t->n_narrow;
    choose_narrow(t, dest, false);
    name_rows(t, relation->replica_identity);
    target_choose_way(t, relation, dest);
    *out = t;
    return true;
}

static const struct target_column *find_column(const struct target *t, const char *name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (!strcmp(t->columns[i].name, name))
            return &t->columns[i];
    return NULL;
}

static bool type_changed(const struct target *t, const char *column, struct err *err)
{
    err_set(err, ERR_SCHEMA, "column %s of %s has another type at the source now", column,
            t->source);
    return err_hint(err,
                    "Rows that ALTER TABLE rewrote are not in the stream: run the same ALTER "
                    "TABLE on %s at the destination.",
                    t->dest);
}

bool target_check_types(const struct target *before, const struct target *now, struct err *err)
{
    for (size_t i = 0; before && i < now->n_columns; i++) {
        const struct target_column *c = &now->columns[i];
        const struct target_column *was = find_column(before, c->name);
        if (!c->is_skipped && was && was->source_type != c->source_type)
            return type_changed(now, c->name, err);
    }
    return true;
}

static const struct schema_column *find_copied(const struct schema_table *t, const char *name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (!strcmp(t->columns[i].name, name))
            return &t->columns[i];
    return NULL;
}

bool target_check_copied(const struct target *now, const struct schema_table *copied,
                         struct err *err)
{
    for (size_t i = 0; i < now->n_columns; i++) {
        const struct target_column *c = &now->columns[i];
        const struct schema_column *was = find_copied(copied, c->name);
        if (!c->is_skipped && was && was->type_oid != c->source_type)
            return type_changed(now, c->name, err);
    }
    return true;
}

void target_take_types(struct target *t, const struct schema_table *copied)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct schema_column *was = find_copied(copied, t->columns[i].name);
        if (was)
            t->columns[i].source_type = was->type_oid;
    }
}

static void statement_free(struct target_statement *s)
{
    free(s->sql);
    free(s->mask);
    free(s);
}

void target_free(struct target *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_columns; i++) {
        free(t->columns[i].name);
        free(t->columns[i].type);
        free(t->columns[i].equals);
        free(t->columns[i].base);
        free(t->columns[i].uniques);
        free(t->columns[i].plain);
        free(t->columns[i].array);
    }
    free(t->columns);
    for (size_t i = 0; i < t->n_statements; i++)
        statement_free(t->statements[i]);
    free(t->statements);
    free(t->named);
    free(t->keys);
    free(t->source);
    free(t->dest);
    free(t);
}

/* --- which columns go where ---------------------------------------------------------------- */

static bool is_written(const struct target *t, const struct target_statement *s, size_t i)
{
    return !t->columns[i].is_skipped && !(s->mask && s->mask[i]);
}

static bool is_in_where(const struct target *t, enum target_where where, size_t i)
{
    const struct target_column *c = &t->columns[i];
    if (c->is_skipped)
        return false;
    return (where == WHERE_IMAGE && !c->is_unsure) || (where == WHERE_KEY && c->is_key) ||
           (where == WHERE_PKEY && c->is_dest_key);
}

/* The row is looked for by what a foreign key may have changed. */
static bool is_moved_in(const struct target *t, const struct target_statement *s, size_t i)
{
    return t->columns[i].is_moved && is_in_where(t, s->where, i) && is_written(t, s, i);
}

static void add_param(struct buf *b, struct target_statement *s, const char *cast)
{
    buf_printf(b, "$%d", ++s->n_params);
    if (cast)
        buf_printf(b, "::%s", cast);
}

/* Whether the column of row has the value of the parameter. */
static void add_equals(struct buf *b, const char *row, const struct target_column *c, int param)
{
    const char *colons = c->base ? "::" : "", *base = c->base ? c->base : "";
    buf_printf(b, "%s.", row);
    pg_quote_ident(b, c->name);
    buf_printf(b, "%s%s %s $%d::%s%s%s", colons, base, c->equals, param, c->type, colons, base);
}

/* Rows of an inheritance child are changes of the child's own; those of a partition belong to the
 * partitioned table. */
static const char *only(const struct target *t)
{
    return t->is_partitioned ? "" : "ONLY ";
}

/* --- SQL ------------------------------------------------------------------------------------- */

static void build_insert(struct target *t, struct target_statement *s, struct buf *b)
{
    struct buf params = {0};
    buf_printf(b, "INSERT INTO %s", t->dest);
    for (size_t i = 0; i < t->n_columns; i++) {
        if (!is_written(t, s, i))
            continue;
        buf_puts(b, s->n_params ? ", " : " (");
        pg_quote_ident(b, t->columns[i].name);
        if (s->n_params)
            buf_puts(&params, ", ");
        add_param(&params, s, NULL);
    }
    if (s->n_params)
        buf_printf(b, ") OVERRIDING SYSTEM VALUE VALUES (%s)", buf_text(&params));
    else
        buf_puts(b, " DEFAULT VALUES");
    buf_free(&params);
}

/* The parameters that say which row it is, by column: as it was, and as a foreign key may have left
 * it already. */
struct places {
    size_t n;
    int *old, *moved;
};

/* In the order of target_params. */
static struct places number_params(const struct target *t, struct target_statement *s)
{
    struct places at = {.old = mem_calloc(t->n_columns + 1, sizeof *at.old),
                        .moved = mem_calloc(t->n_columns + 1, sizeof *at.moved)};
    for (size_t i = 0; i < t->n_columns; i++)
        if (is_in_where(t, s->where, i)) {
            at.old[i] = at.moved[i] = ++s->n_params;
            at.n++;
        }
    for (size_t i = 0; i < t->n_columns; i++)
        if (s->is_moved && is_moved_in(t, s, i))
            at.moved[i] = ++s->n_params;
    return at;
}

/* What an old row says: the columns, their values, and conditions that an index answers (or
 * empty). */
struct image {
    struct buf columns, values, key;
};

/* One row whose columns are as the image says in that type; without columns any row. */
static void build_one_like(const struct target *t, const struct image *m, struct buf *b,
                           const char *operation, const char *type)
{
    buf_printf(b, "SELECT x.ctid AS c, x.tableoid AS o FROM %s%s x", only(t), t->dest);
    if (m->columns.len)
        buf_printf(b, " WHERE %sROW(%s)::%s OPERATOR(pg_catalog.%s) ROW(%s)::%s", buf_text(&m->key),
                   buf_text(&m->columns), type, operation, buf_text(&m->values), type);
    buf_puts(b, " LIMIT 1");
}

/* The statement's search begins with the column's value. */
static bool is_narrow(const struct target *t, const struct target_statement *s, size_t column)
{
    for (size_t i = 0; i < t->n_narrow; i++)
        if (t->narrow[i] == (int)column)
            return s->narrows >> i & 1;
    return false;
}

/* Image equality needs no operator of the column's type (json, point and xml have no =), and one
 * row of several equal ones is taken: each change names one row. The image of a value that did not
 * come through its text may be another one (a NaN with its sign bit set, in the binary form that
 * the snapshot uses), so only when no image is equal the texts are compared. A partitioned table's
 * rows are named by ctid and table together. */
static void build_like(struct target *t, const struct target_statement *s, struct buf *b,
                       const int *params)
{
    struct image m = {.columns = {0}};
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct target_column *c = &t->columns[i];
        if (!is_in_where(t, s->where, i))
            continue;
        buf_puts(&m.columns, m.columns.len ? ", x." : "x.");
        pg_quote_ident(&m.columns, c->name);
        buf_printf(&m.values, "%s$%d::%s", m.values.len ? ", " : "", params[i], c->type);
        if ((t->has_dest_key && c->is_dest_key) || is_narrow(t, s, i)) {
            add_equals(&m.key, "x", c, params[i]);
            buf_puts(&m.key, " AND ");
        }
    }
    build_one_like(t, &m, b, "*=", "record");
    if (m.columns.len) {
        buf_puts(b, ") UNION ALL (");
        build_one_like(t, &m, b, "=", "text");
    }
    buf_free(&m.columns);
    buf_free(&m.values);
    buf_free(&m.key);
}

static void build_image(struct target *t, struct target_statement *s, struct buf *b,
                        const struct places *at)
{
    bool is_any = !at->n;
    buf_puts(b, is_any ? "(" : "((");
    build_like(t, s, b, at->old);
    if (s->is_moved) {
        buf_puts(b, ") UNION ALL (");
        build_like(t, s, b, at->moved);
    }
    buf_puts(b, is_any ? ") f" : ") LIMIT 1) f");
}

static void build_key(const struct target *t, const struct target_statement *s, struct buf *b,
                      const char *row, const int *params)
{
    const char *glue = " WHERE ";
    for (size_t i = 0; i < t->n_columns; i++) {
        if (!is_in_where(t, s->where, i))
            continue;
        buf_puts(b, glue);
        add_equals(b, row, &t->columns[i], params[i]);
        glue = " AND ";
    }
}

/* By the key of before; only where no row has that, by the one that a foreign key gives it. */
static void build_moved_key(const struct target *t, const struct target_statement *s, struct buf *b,
                            const struct places *at)
{
    buf_printf(b, "(SELECT x.ctid AS c, x.tableoid AS o FROM %s%s x", only(t), t->dest);
    build_key(t, s, b, "x", at->old);
    buf_printf(b, " UNION ALL SELECT x.ctid, x.tableoid FROM %s%s x", only(t), t->dest);
    build_key(t, s, b, "x", at->moved);
    buf_printf(b, " AND NOT EXISTS (SELECT FROM %s%s x", only(t), t->dest);
    build_key(t, s, b, "x", at->old);
    buf_puts(b, ")) f");
}

static void build_where(struct target *t, struct target_statement *s, struct buf *b,
                        const char *from)
{
    struct places at = number_params(t, s);
    if (s->where == WHERE_IMAGE || s->is_moved) {
        buf_printf(b, " %s ", from);
        if (s->where == WHERE_IMAGE)
            build_image(t, s, b, &at);
        else
            build_moved_key(t, s, b, &at);
        buf_puts(b, " WHERE t.ctid = f.c AND t.tableoid = f.o");
    } else {
        build_key(t, s, b, "t", at.old);
    }
    free(at.old);
    free(at.moved);
}

static void build_update(struct target *t, struct target_statement *s, struct buf *b)
{
    buf_printf(b, "UPDATE %s%s t SET ", only(t), t->dest);
    for (size_t i = 0; i < t->n_columns; i++) {
        if (!is_written(t, s, i))
            continue;
        if (s->n_params)
            buf_puts(b, ", ");
        pg_quote_ident(b, t->columns[i].name);
        buf_puts(b, " = ");
        add_param(b, s, NULL);
    }
    if (!s->n_params) { /* nothing to write: still has to find the row */
        buf_reset(b);
        buf_printf(b, "SELECT 1 FROM %s%s t", only(t), t->dest);
        build_where(t, s, b, ",");
        return;
    }
    build_where(t, s, b, "FROM");
}

static void build_sql(struct target *t, struct target_statement *s)
{
    struct buf b = {0};
    if (s->op == PGO_INSERT) {
        build_insert(t, s, &b);
    } else if (s->op == PGO_UPDATE) {
        build_update(t, s, &b);
    } else {
        buf_printf(&b, "DELETE FROM %s%s t", only(t), t->dest);
        build_where(t, s, &b, "USING");
    }
    s->sql = buf_take(&b);
}

/* --- choosing ----------------------------------------------------------------------------------
 */

static bool choose_where(const struct target *t, const struct pgo_message *m,
                         enum target_where *where, struct err *err)
{
    *where = WHERE_NONE;
    if (m->kind == PGO_INSERT)
        return true;
    if (m->old_kind == 'O') {
        *where = t->has_dest_key && !t->is_key_shared ? WHERE_PKEY : WHERE_IMAGE;
        return true;
    }
    const struct pgo_tuple *from = m->old_kind ? &m->old : &m->next;
    size_t keys = 0;
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct target_column *c = &t->columns[i];
        if (!c->is_key)
            continue;
        keys++;
        if (c->is_skipped || from->values[i].kind == 'u')
            return err_set(err, ERR_IDENTITY, "a change of %s has no value for key column %s",
                           t->source, c->name);
    }
    if (!keys) {
        err_set(err, ERR_IDENTITY, "a change of %s names no key", t->source);
        return err_hint(err,
                        "At the source: ALTER TABLE %s REPLICA IDENTITY FULL. What was changed "
                        "before stays without a key: then resync the table.",
                        t->source);
    }
    *where = WHERE_KEY;
    return true;
}

static bool is_same_value(const struct pgo_value *a, const struct pgo_value *b)
{
    return a->kind == b->kind && a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

/* Another value in a column that a foreign key changes, and that tells which row it is. */
static bool may_be_moved(const struct target *t, const struct pgo_message *m,
                         enum target_where where)
{
    for (size_t i = 0; m->kind == PGO_UPDATE && m->old_kind && i < t->n_columns; i++)
        if (t->columns[i].is_moved && is_in_where(t, where, i) && m->next.values[i].kind != 'u' &&
            !is_same_value(&m->old.values[i], &m->next.values[i]))
            return true;
    return false;
}

static bool has_mask(const struct target_statement *s, const struct pgo_tuple *next)
{
    for (size_t i = 0; i < next->n; i++)
        if (s->mask[i] != (next->values[i].kind == 'u'))
            return false;
    return true;
}

/* Values by which an index finds the old row. NULL is equal to nothing. */
static unsigned choose_narrows(const struct target *t, const struct pgo_message *m,
                               enum target_where where)
{
    unsigned bits = 0;
    for (size_t i = 0; where == WHERE_IMAGE && i < t->n_narrow; i++) {
        size_t column = (size_t)t->narrow[i];
        if (is_in_where(t, where, column) && m->old.values[column].kind == 't')
            bits |= 1u << i;
    }
    return bits;
}

static bool is_full(const struct target *t)
{
    return t->n_statements >= MIN_STATEMENTS &&
           (t->n_statements + 1) * t->n_columns > MAX_PREPARED_COLUMNS;
}

static void keep_statement(struct target *t, struct target_statement *s)
{
    size_t at = t->n_statements;
    s->is_reusing = is_full(t);
    if (s->is_reusing) {
        at = 0;
        for (size_t i = 1; i < t->n_statements; i++)
            if (t->statements[i]->used < t->statements[at]->used)
                at = i;
        statement_free(t->statements[at]);
        t->statements[at] = s;
    } else {
        MEM_PUSH(t->statements, t->n_statements, t->cap_statements, s);
    }
    str_printf(s->name, sizeof s->name, "b%d_%zu", t->number, at);
}

static struct target_statement *statement_new(struct target *t, const struct pgo_message *m,
                                              enum target_where where)
{
    struct target_statement *s = mem_calloc(1, sizeof *s);
    s->op = m->kind;
    s->where = where;
    s->is_sure = where != WHERE_KEY || t->is_key_unique;
    s->is_moved = may_be_moved(t, m, where);
    s->narrows = choose_narrows(t, m, where);
    if (m->kind == PGO_UPDATE) {
        s->mask = mem_calloc(t->n_columns, 1);
        for (size_t i = 0; i < t->n_columns; i++)
            s->mask[i] = m->next.values[i].kind == 'u';
    }
    build_sql(t, s);
    keep_statement(t, s);
    return s;
}

static bool check_names(const struct target *t, const struct pgo_tuple *tuple, struct err *err)
{
    for (size_t i = 0; i < tuple->n; i++) {
        const struct pgo_value *v = &tuple->values[i];
        if (!t->columns[i].is_name || v->kind != 't' || v->len <= MAX_NAME)
            continue;
        err_set(err, ERR_REFUSED,
                "column %s of %s: the destination would cut a name of %u bytes off behind %d",
                t->columns[i].name, t->dest, v->len, MAX_NAME);
        return err_hint(
            err, "ALTER TABLE %s ALTER COLUMN … TYPE text, then retry: nothing is lost.", t->dest);
    }
    return true;
}

bool target_check_values(const struct target *t, const struct pgo_message *m, struct err *err)
{
    if ((m->kind != PGO_DELETE && m->next.n != t->n_columns) ||
        (m->old_kind && m->old.n != t->n_columns))
        return err_set(err, ERR_PROTOCOL,
                       "a change of %s has another number of columns than its relation", t->source);
    return !t->has_names || m->kind == PGO_DELETE || check_names(t, &m->next, err);
}

const struct target_statement *target_statement_for(struct target *t, const struct pgo_message *m,
                                                    bool *is_new, struct err *err)
{
    enum target_where where;
    *is_new = false;
    if (!target_check_values(t, m, err) || !choose_where(t, m, &where, err))
        return NULL;
    bool is_moved = may_be_moved(t, m, where);
    unsigned narrows = choose_narrows(t, m, where);
    for (size_t i = 0; i < t->n_statements; i++) {
        struct target_statement *s = t->statements[i];
        if (s->op == m->kind && s->where == where && s->is_moved == is_moved &&
            s->narrows == narrows && (!s->mask || has_mask(s, &m->next))) {
            s->used = ++t->asked;
            return s;
        }
    }
    *is_new = true;
    struct target_statement *s = statement_new(t, m, where);
    s->used = ++t->asked;
    return s;
}

int target_params(const struct target *t, const struct target_statement *s,
                  const struct pgo_message *m, const char **values)
{
    int n = 0;
    if (s->op != PGO_DELETE)
        for (size_t i = 0; i < t->n_columns; i++)
            if (is_written(t, s, i))
                values[n++] = m->next.values[i].data;
    if (s->where == WHERE_NONE)
        return n;
    const struct pgo_tuple *from = m->old_kind ? &m->old : &m->next;
    for (size_t i = 0; i < t->n_columns; i++)
        if (is_in_where(t, s->where, i))
            values[n++] = from->values[i].data;
    for (size_t i = 0; s->is_moved && i < t->n_columns; i++)
        if (is_moved_in(t, s, i))
            values[n++] = m->next.values[i].data;
    return n;
}
