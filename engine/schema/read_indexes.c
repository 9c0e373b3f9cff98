/* Indexes and the constraints that are indexes, as statements for the destination, and the primary
 * key's columns. */
#include "schema/schema_private.h"

#include <stdlib.h>
#include <string.h>

/* Column 3 is the exact beginning of pg_get_indexdef's text, up to and with the table's name, so
 * that only it is replaced. 7: one of the columns is excluded. 9: needed even when indexes are not
 * mirrored (a mapped foreign key refers to it). 12: its OID; 13: of the index of a mapped
 * parent that it hangs under, and is built with. 14: bytes, with those under it; 15: of a
 * constraint that can take an index over: the index, else NULL; 16: the constraint without its
 * columns; 17: its first column is text in some language; 18:
 * not every partition has one under it (made with ON ONLY). */
#define INDEX_NEEDS_OBJECTS                                                                   \
    NEEDS_OBJECTS("pg_class", "x.indexrelid", "u.oid")                                        \
    " OR (con.oid IS NOT NULL AND " NEEDS_OBJECTS(                                            \
        "pg_constraint", "con.oid", "u.oid") ") OR strpos(coalesce(pg_get_expr(x.indexprs, "  \
                                             "u.oid), '') || coalesce(pg_get_expr(x.indpred," \
                                             " u.oid), ''), quote_ident(c.relname) || '.*') > 0"
static const char indexes_sql[] =
    "WITH u AS (SELECT oid, ord - 1 AS i FROM unnest($1::oid[]) WITH ORDINALITY u(oid, ord)),"
    " ex AS (SELECT * FROM unnest($2::oid[], $3::int2[]) x(oid, num))"
    " SELECT u.i, k.relname, con.conname,"
    " format('CREATE %sINDEX %I ON %s%I.%I ', CASE WHEN x.indisunique THEN 'UNIQUE ' END,"
    "  k.relname, CASE WHEN k.relkind = 'I' THEN 'ONLY ' END, n.nspname, c.relname),"
    " CASE WHEN con.oid IS NULL THEN pg_get_indexdef(x.indexrelid)"
    "  WHEN con.contype <> 'x' AND k.reloptions IS NOT NULL"
    "  THEN regexp_replace(pg_get_constraintdef(con.oid), '( DEFERRABLE)?( INITIALLY DEFERRED)?$',"
    "   '') || (SELECT ' WITH (' || string_agg(format('%I=%L', o.option_name, o.option_value), ', "
    "')"
    "    || ')' FROM pg_options_to_table(k.reloptions) o)"
    "   || CASE WHEN con.condeferrable THEN ' DEFERRABLE' ELSE '' END"
    "   || CASE WHEN con.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END"
    "  ELSE pg_get_constraintdef(con.oid) END,"
    " CASE WHEN x.indisprimary THEN 'p' WHEN con.oid IS NOT NULL THEN 'c'"
    "  WHEN x.indisunique THEN 'u' ELSE 'i' END,"
    " x.indisvalid AND x.indislive,"
    " EXISTS (SELECT FROM ex WHERE ex.oid = u.oid AND (ex.num = ANY (x.indkey::int2[]) OR EXISTS ("
    "  SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = u.oid"
    "  AND d.refobjsubid = ex.num AND ((d.classid = 'pg_class'::regclass"
    "  AND d.objid = x.indexrelid) OR (d.classid = 'pg_constraint'::regclass"
    "  AND d.objid = con.oid))))),"
    " x.indisreplident,"
    " EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conindid = x.indexrelid"
    "  AND f.conrelid IN (SELECT oid FROM u)),"
    " " INDEX_NEEDS_OBJECTS ","
    " CASE WHEN x.indisprimary THEN (SELECT string_agg(kc.num::text, ' ' ORDER BY kc.pos)"
    "  FROM unnest(con.conkey) WITH ORDINALITY kc(num, pos)) END,"
    " x.indexrelid, px.indexrelid,"
    " CASE WHEN NOT $4::bool THEN 0 WHEN k.relkind = 'I' THEN (SELECT "
    "sum(pg_relation_size(pt.relid)) FROM"
    "  pg_partition_tree(k.oid) pt) ELSE pg_relation_size(k.oid) END,"
    " CASE WHEN con.contype IN ('p', 'u') AND c.relkind = 'r' THEN pg_get_indexdef(k.oid) END,"
    " CASE con.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END || ' USING INDEX '"
    "  || '_bunnydb_' || k.oid"
    "  || CASE WHEN con.condeferrable THEN ' DEFERRABLE' ELSE '' END"
    "  || CASE WHEN con.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END,"
    " x.indcollation[0] <> 0 AND NOT EXISTS (SELECT FROM pg_collation l WHERE"
    "  l.oid = x.indcollation[0] AND l.collcollate IN ('C', 'POSIX')),"
    " k.relkind = 'I' AND con.oid IS NULL AND x.indislive AND NOT x.indisvalid"
    " FROM u JOIN pg_index x ON x.indrelid = u.oid JOIN pg_class k ON k.oid = x.indexrelid"
    " JOIN pg_class c ON c.oid = u.oid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_constraint con ON con.conindid = x.indexrelid AND con.conrelid = u.oid"
    "  AND con.contype IN ('p', 'u', 'x')"
    " LEFT JOIN pg_inherits h ON h.inhrelid = x.indexrelid"
    " LEFT JOIN pg_index px ON px.indexrelid = h.inhparent AND px.indrelid IN (SELECT oid FROM u)"
    "  AND (px.indisvalid OR NOT EXISTS (SELECT FROM pg_constraint pc"
    "   WHERE pc.conindid = px.indexrelid AND pc.contype IN ('p', 'u', 'x')))"
    " ORDER BY u.i, strpos('pcui', CASE WHEN x.indisprimary THEN 'p' WHEN con.oid IS NOT NULL"
    "  THEN 'c' WHEN x.indisunique THEN 'u' ELSE 'i' END), k.relname";

struct index_row {
    const char *name, *constraint, *prefix, *definition, *key;
    char kind;
    uint32_t oid, parent;
    bool is_valid, is_excluded, is_identity, is_referenced, needs_objects;
    int64_t bytes;
    bool is_collated, is_partial;
    const char *twin, *adoption;
};

static struct index_row index_row(const struct pg_result *res, size_t row)
{
    return (struct index_row){
        .name = pg_text(res, row, 1),
        .constraint = pg_text(res, row, 2),
        .prefix = pg_text(res, row, 3),
        .definition = pg_text(res, row, 4),
        .kind = pg_text(res, row, 5)[0],
        .is_valid = pg_bool(res, row, 6),
        .is_excluded = pg_bool(res, row, 7),
        .is_identity = pg_bool(res, row, 8),
        .is_referenced = pg_bool(res, row, 9),
        .needs_objects = pg_bool(res, row, 10),
        .key = pg_text(res, row, 11),
        .oid = (uint32_t)pg_int(res, row, 12),
        .parent = (uint32_t)pg_int(res, row, 13),
        .bytes = pg_int(res, row, 14),
        .twin = pg_text(res, row, 15),
        .adoption = pg_text(res, row, 16),
        .is_collated = pg_bool(res, row, 17),
        .is_partial = pg_bool(res, row, 18),
    };
}

static void take_key(struct schema_table *t, const char *nums)
{
    size_t cap = 0;
    while (*nums) {
        char *end;
        const struct schema_column *c = read_find_column(t, (int)strtol(nums, &end, 10));
        if (c)
            MEM_PUSH(t->key, t->n_key, cap, mem_strdup(c->name));
        nums = *end ? end + 1 : end;
    }
}

/* *tail: where the part behind the names of index and table begins. */
static bool create_text(const struct schema_table *t, const struct index_row *x, bool only,
                        struct buf *b, size_t *tail, struct err *err)
{
    if (x->kind == 'p' || x->kind == 'c') {
        buf_puts(b, only ? "ALTER TABLE ONLY " : "ALTER TABLE ");
        pg_quote_qualified(b, t->dest_schema, t->dest_name);
        buf_puts(b, " ADD CONSTRAINT ");
        pg_quote_ident(b, x->constraint);
        *tail = b->len + 1;
        buf_printf(b, " %s", x->definition);
        return true;
    }
    if (!x->definition[0])
        return err_set(err, ERR_SNAPSHOT_STALE,
                       "index %s of %s.%s went while definitions were read", x->name, t->schema,
                       t->name);
    if (strncmp(x->definition, x->prefix, strlen(x->prefix)) != 0) /* by another name now */
        return err_set(err, ERR_SNAPSHOT_STALE,
                       "index %s of %s.%s changed while definitions were read: %s", x->name,
                       t->schema, t->name, x->definition);
    buf_printf(b, "CREATE %sINDEX ", x->kind == 'u' ? "UNIQUE " : "");
    pg_quote_ident(b, x->name);
    buf_puts(b, only ? " ON ONLY " : " ON ");
    pg_quote_qualified(b, t->dest_schema, t->dest_name);
    *tail = b->len + 1;
    buf_printf(b, " %s", x->definition + strlen(x->prefix));
    return true;
}

/* A table that others build indexes on, too, gets its constraint's index like one of those, under a
 * name of ours; the constraint takes it over (PostgreSQL, "ALTER TABLE", USING INDEX). */
static void add_twin(const struct schema_table *t, const struct index_row *x,
                     struct schema_index *out)
{
    struct buf build = {0}, adopt = {0};
    if (!x->twin[0] || strncmp(x->twin, x->prefix, strlen(x->prefix)) != 0)
        return;
    out->twin = mem_printf(SCHEMA_TWIN_PREFIX "%u", (unsigned)x->oid);
    buf_printf(&build, "CREATE UNIQUE INDEX %s ON ", out->twin);
    pg_quote_qualified(&build, t->dest_schema, t->dest_name);
    buf_printf(&build, " %s", x->twin + strlen(x->prefix));
    buf_puts(&adopt, "ADD CONSTRAINT ");
    pg_quote_ident(&adopt, x->constraint);
    buf_printf(&adopt, " %s", x->adoption);
    out->twin_sql = buf_take(&build);
    out->adopt_sql = buf_take(&adopt);
}

static bool is_wanted(const struct reader *r, const struct schema_table *t,
                      const struct index_row *x)
{
    if (r->is_dest)
        return true;
    if ((!x->is_valid && !x->is_partial) || x->is_excluded) {
        log_info("schema", NULL, "index left out, it %s table=%s.%s index=%s",
                 x->is_valid ? "needs an excluded column" : "is not valid at the source", t->schema,
                 t->name, x->name);
        return false;
    }
    return r->with_indexes || x->kind == 'p' || x->is_identity ||
           (r->with_fkeys && x->is_referenced);
}

static void add_identity(struct reader *r, const struct schema_table *t, const char *index)
{
    struct buf b = {0};
    buf_puts(&b, "ALTER TABLE ONLY ");
    pg_quote_qualified(&b, t->dest_schema, t->dest_name);
    buf_puts(&b, " REPLICA IDENTITY USING INDEX ");
    pg_quote_ident(&b, index);
    read_add_after(r, OBJECT_TABLE, t->dest_schema, t->dest_name, buf_take(&b))->optional = true;
}

/* --- branches ----------------------------------------------------------------------------------
 * An index of a partitioned table has one of each partition under it, which may have any name and
 * say slightly other things. All of them are made by their own statements, and then attached. */

struct branch_root {
    size_t table, position; /* of the index at the top */
    struct buf create, attach;
};
struct branch {
    uint32_t oid;
    size_t root;
    const struct schema_table *table;
    char *name;
};
struct tree {
    size_t n_roots, roots_cap, n, cap;
    struct branch_root *roots;
    struct branch *items;
};

static const char *name_of(const struct index_row *x)
{
    return x->constraint[0] ? x->constraint : x->name;
}

static void add_branch(struct tree *tree, const struct schema_table *t, const struct index_row *x,
                       size_t root)
{
    struct branch b = {.oid = x->oid, .root = root, .table = t, .name = mem_strdup(name_of(x))};
    MEM_PUSH(tree->items, tree->n, tree->cap, b);
}

/* The index at position of table i has others under it. */
static bool add_root(struct reader *r, struct tree *tree, size_t i, size_t position,
                     const struct index_row *x, struct err *err)
{
    const struct schema_table *t = &r->s->tables[i];
    struct branch_root root = {.table = i, .position = position};
    size_t tail;
    bool ok = create_text(t, x, true, &root.create, &tail, err);
    MEM_PUSH(tree->roots, tree->n_roots, tree->roots_cap, root);
    add_branch(tree, t, x, tree->n_roots - 1);
    return ok;
}

/* Without a counterpart of its parent at the destination, it is left out as that one is. */
static bool take_branch(struct reader *r, struct tree *tree, size_t i, const struct index_row *x,
                        struct err *err)
{
    const struct schema_table *t = &r->s->tables[i];
    const struct branch *up = NULL;
    size_t tail;
    for (size_t k = tree->n; k-- > 0 && !up;)
        up = tree->items[k].oid == x->parent ? &tree->items[k] : NULL;
    if (!up)
        return true;
    struct branch_root *root = &tree->roots[up->root];
    r->s->tables[root->table].indexes[root->position].n_branches++;
    buf_puts(&root->create, "; ");
    bool ok = create_text(t, x, t->is_partitioned, &root->create, &tail, err);
    buf_puts(&root->attach, "; ALTER INDEX ");
    pg_quote_qualified(&root->attach, up->table->dest_schema, up->name);
    buf_puts(&root->attach, " ATTACH PARTITION ");
    pg_quote_qualified(&root->attach, t->dest_schema, name_of(x));
    if (t->is_partitioned)
        add_branch(tree, t, x, up->root);
    return ok;
}

static void grow_tree(struct reader *r, struct tree *tree)
{
    for (size_t k = 0; k < tree->n_roots; k++) {
        struct branch_root *root = &tree->roots[k];
        if (root->attach.len) {
            buf_puts(&root->create, buf_text(&root->attach));
            r->s->tables[root->table].indexes[root->position].branches_sql =
                buf_take(&root->create);
        }
        buf_free(&root->create);
        buf_free(&root->attach);
    }
    for (size_t k = 0; k < tree->n; k++)
        free(tree->items[k].name);
    free(tree->roots);
    free(tree->items);
}

static bool take_index(struct reader *r, struct tree *tree, size_t i, const struct index_row *x,
                       size_t *cap, struct err *err)
{
    static const struct {
        char letter;
        enum schema_index_kind kind;
    } kinds[] = {{'p', INDEX_PRIMARY}, {'c', INDEX_CONSTRAINT}, {'u', INDEX_UNIQUE}};
    struct schema_table *t = &r->s->tables[i];
    if (x->parent && r->is_dest && x->kind != 'p')
        return take_branch(r, tree, i, x, err);
    if (!is_wanted(r, t, x))
        return true;
    if (x->kind == 'p')
        take_key(t, x->key);
    /* The parent's primary key makes that of its partitions. */
    bool has_parents_key = x->kind == 'p' && r->tables[i].parent &&
                           r->s->tables[read_find_oid(r, r->tables[i].parent)].n_key > 0;
    if (x->parent && !r->is_dest)
        return take_branch(r, tree, i, x, err);
    if (has_parents_key)
        return true;
    struct buf b = {0};
    size_t tail = 0;
    if (!create_text(t, x, x->is_partial, &b, &tail, err)) {
        buf_free(&b);
        return false;
    }
    struct schema_index out = {.kind = INDEX_PLAIN,
                               .name = mem_strdup(name_of(x)),
                               .create_sql = buf_take(&b),
                               .is_replica_identity = x->is_identity,
                               .is_valid = x->is_valid,
                               .is_partial = x->is_partial,
                               .tail = tail,
                               .needs_objects = x->needs_objects,
                               .bytes = x->bytes,
                               .is_collated = x->is_collated};
    for (size_t k = 0; k < COUNT_OF(kinds); k++)
        if (kinds[k].letter == x->kind)
            out.kind = kinds[k].kind;
    if (!r->is_dest)
        add_twin(t, x, &out);
    MEM_PUSH(t->indexes, t->n_indexes, *cap, out);
    if (t->replica_identity == 'i' && x->is_identity && !r->is_dest)
        add_identity(r, t, out.name);
    /* Of the destination's it is known how many they are. */
    bool is_root = t->is_partitioned && (!r->is_dest || x->is_partial);
    return !is_root || add_root(r, tree, i, t->n_indexes - 1, x, err);
}

bool read_indexes(struct reader *r, struct err *err)
{
    struct pg_result *res = NULL;
    const char *values[] = {r->oids, r->excluded_oids, r->excluded_nums,
                            r->with_sizes ? "true" : "false"};
    if (!read_query(r, indexes_sql, COUNT_OF(values), values, &res, err))
        return false;
    bool ok = true;
    size_t cap = 0;
    struct tree tree = {0};
    int64_t last = -1;
    for (size_t row = 0; ok && row < pg_rows(res); row++) {
        int64_t i = pg_int(res, row, 0);
        if (i != last)
            cap = 0;
        last = i;
        struct index_row x = index_row(res, row);
        ok = take_index(r, &tree, (size_t)i, &x, &cap, err);
    }
    grow_tree(r, &tree);
    pg_free(res);
    return ok;
}
