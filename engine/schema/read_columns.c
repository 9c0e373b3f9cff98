/* Columns of all mapped tables, which of them the mapping leaves out, and CHECK constraints. */
#include "schema/schema_private.h"

#include <stdlib.h>
#include <string.h>

/* A type of pg_catalog whose binary form means the same at another server: it has send and receive
 * functions and holds no OID of a catalog entry (reg*), no locale-bound scale (money), and nothing
 * that refuses input, may name an encoding (xml), or is not read back when it is empty (tsquery,
 * the vectors). */
#define CAN_BINARY(t)                                                                          \
    "(" t ".typnamespace = 'pg_catalog'::regnamespace AND " t ".oid < 16384 AND " t            \
    ".typtype IN ('b', 'r', 'm') AND " t ".typsend <> 0 AND " t ".typreceive <> 0 AND " t      \
    ".typname !~ '^(reg|money$|xml$|pg_node_tree$|pg_ndistinct$|pg_dependencies$|pg_mcv_list$" \
    "|pg_brin_|gtsvector$|aclitem$|tsquery$|oidvector$|int2vector$)')"

static const char columns_sql[] =
    "SELECT u.ord - 1, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid,"
    " t.typnamespace = 'pg_catalog'::regnamespace AND t.oid < 16384,"
    " " CAN_BINARY("t") " AND (t.typcategory <> 'A' OR " CAN_BINARY(
        "e") "),"
             " a.attnotnull, a.attgenerated <> '', a.attidentity, pg_get_expr(ad.adbin, "
             "ad.adrelid),"
             " CASE WHEN a.attcollation <> t.typcollation AND a.attcollation <> 0"
             "  THEN format('%I.%I', cn.nspname, co.collname) END,"
             " col_description(a.attrelid, a.attnum), a.attislocal,"
             " ad.oid IS NOT NULL AND " NEEDS_OBJECTS(
                 "pg_attrdef", "ad.oid",
                 "a.attrelid") ","
                               " CASE WHEN a.attstorage <> t.typstorage THEN CASE a.attstorage "
                               "WHEN 'p' THEN 'PLAIN'"
                               "  WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' WHEN 'x' THEN "
                               "'EXTENDED' END END,"
                               " coalesce(a.attstattarget, -1), a.attstorage, t.typtype = 'd',"
                               " CASE WHEN a.attgenerated <> '' THEN (SELECT "
                               "string_agg(g.refobjsubid::text, ' ')"
                               "  FROM pg_depend g WHERE g.refclassid = 'pg_class'::regclass AND "
                               "g.refobjid = a.attrelid"
                               "  AND g.refobjsubid NOT IN (0, a.attnum) AND (g.classid = "
                               "'pg_attrdef'::regclass"
                               "  AND g.objid = ad.oid OR g.classid = 'pg_class'::regclass AND "
                               "g.objid = a.attrelid"
                               "  AND g.objsubid = a.attnum)) END"
                               " FROM unnest($1::oid[]) WITH ORDINALITY u(oid, ord)"
                               " JOIN pg_attribute a ON a.attrelid = u.oid AND a.attnum > 0 AND "
                               "NOT a.attisdropped"
                               " JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type e ON e.oid "
                               "= t.typelem"
                               " LEFT JOIN pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = "
                               "a.attnum"
                               " LEFT JOIN pg_collation co ON co.oid = a.attcollation"
                               " LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace"
                               " ORDER BY u.ord, a.attnum";

static void take_column(struct reader *r, const struct pg_result *res, size_t row,
                        const struct table_map *maps)
{
    size_t i = (size_t)pg_int(res, row, 0);
    struct schema_table *t = &r->s->tables[i];
    struct read_table *rt = &r->tables[i];
    struct schema_column c = {
        .attnum = (int)pg_int(res, row, 1),
        .name = read_text(res, row, 2),
        .type = read_text(res, row, 3),
        .type_oid = (uint32_t)pg_int(res, row, 4),
        .is_built_in = pg_bool(res, row, 5),
        .can_binary = pg_bool(res, row, 6),
        .not_null = pg_bool(res, row, 7),
        .is_generated = pg_bool(res, row, 8),
        .identity = pg_text(res, row, 9)[0],
        .default_expr = read_text(res, row, 10),
        .collation = read_text(res, row, 11),
        .comment = read_text(res, row, 12),
    };
    const struct table_map *m = &maps[t->mapping];
    for (size_t x = 0; x < m->n_exclude; x++)
        if (strcmp(m->exclude[x], c.name) == 0)
            c.is_excluded = true;
    struct read_column rc = {
        .is_local = pg_bool(res, row, 13),
        .is_deferred = pg_bool(res, row, 14),
        .dest_default = mem_strdup(c.default_expr),
        .storage = read_text(res, row, 15),
        .statistics = (int)pg_int(res, row, 16),
        .storage_kind = pg_text(res, row, 17)[0],
        .is_domain = pg_bool(res, row, 18),
        .made_of = read_text(res, row, 19),
    };
    t->columns[t->n_columns] = c;
    rt->columns[t->n_columns++] = rc;
}

/* Rows come ordered by table: counting them first gives each table arrays of the right size. */
static void allocate_columns(struct reader *r, const struct pg_result *res)
{
    size_t *counts = mem_calloc(r->s->n_tables + 1, sizeof *counts);
    for (size_t row = 0; row < pg_rows(res); row++)
        counts[pg_int(res, row, 0)]++;
    for (size_t i = 0; i < r->s->n_tables; i++) {
        r->s->tables[i].columns = mem_calloc(counts[i] + 1, sizeof(struct schema_column));
        r->tables[i].columns = mem_calloc(counts[i] + 1, sizeof(struct read_column));
    }
    free(counts);
}

/* A generated column goes with a column that it is made of. */
static void exclude_generated(const struct reader *r)
{
    for (size_t i = 0; i < r->s->n_tables; i++) {
        struct schema_table *t = &r->s->tables[i];
        for (size_t c = 0; c < t->n_columns; c++) {
            const char *nums = r->tables[i].columns[c].made_of;
            while (nums && *nums) {
                char *end;
                const struct schema_column *of = read_find_column(t, (int)strtol(nums, &end, 10));
                if (of && of->is_excluded)
                    t->columns[c].is_excluded = true;
                nums = end;
            }
        }
    }
}

static void collect_excluded(struct reader *r)
{
    struct buf oids = {0}, nums = {0};
    const char *comma = "";
    buf_putc(&oids, '{');
    buf_putc(&nums, '{');
    for (size_t i = 0; i < r->s->n_tables; i++) {
        const struct schema_table *t = &r->s->tables[i];
        for (size_t c = 0; c < t->n_columns; c++) {
            if (!t->columns[c].is_excluded)
                continue;
            buf_printf(&oids, "%s%u", comma, t->oid);
            buf_printf(&nums, "%s%d", comma, t->columns[c].attnum);
            comma = ",";
        }
    }
    buf_putc(&oids, '}');
    buf_putc(&nums, '}');
    r->excluded_oids = buf_take(&oids);
    r->excluded_nums = buf_take(&nums);
}

bool read_columns(struct reader *r, const struct table_map *maps, struct err *err)
{
    struct pg_result *res = NULL;
    const char *values[] = {r->oids};
    if (!read_query(r, columns_sql, 1, values, &res, err))
        return false;
    allocate_columns(r, res);
    for (size_t row = 0; row < pg_rows(res); row++)
        take_column(r, res, row, maps);
    pg_free(res);
    exclude_generated(r);
    collect_excluded(r);
    return true;
}

/* Those on excluded columns are told apart (column 5). One that names its table (a whole row) may
 * mean nothing where the table has another name. */
static const char checks_sql[] =
    "SELECT u.ord - 1, con.conname, pg_get_constraintdef(con.oid), con.convalidated,"
    " " NEEDS_OBJECTS(
        "pg_constraint", "con.oid",
        "con.conrelid") " OR 0 = ANY (con.conkey),"
                        " EXISTS (SELECT FROM unnest($2::oid[], $3::int2[]) x(oid, num)"
                        "  WHERE x.oid = con.conrelid AND x.num = ANY (con.conkey)),"
                        " con.conislocal"
                        " FROM unnest($1::oid[]) WITH ORDINALITY u(oid, ord)"
                        " JOIN pg_constraint con ON con.conrelid = u.oid AND con.contype = 'c'"
                        " ORDER BY u.ord, con.conname";

void check_put(struct buf *b, const struct read_check *c, bool is_valid)
{
    buf_puts(b, "CONSTRAINT ");
    pg_quote_ident(b, c->name);
    buf_printf(b, " %s%s", c->definition, is_valid ? "" : " NOT VALID");
}

/* Where a check that is only inherited comes from; NULL: from no table of the mirror. */
static const struct read_check *check_of_parent(const struct reader *r, size_t i,
                                                const struct read_check *c)
{
    const struct read_table *rt = &r->tables[i];
    for (size_t p = 0; !c->is_local && p <= rt->n_parents; p++) {
        uint32_t oid = p < rt->n_parents ? rt->parents[p] : rt->parent;
        const struct read_table *parent = oid ? &r->tables[read_find_oid(r, oid)] : NULL;
        for (size_t k = 0; parent && k < parent->n_checks; k++)
            if (strcmp(parent->checks[k].name, c->name) == 0)
                return &parent->checks[k];
    }
    return NULL;
}

bool check_comes_from_parent(const struct reader *r, size_t i, const struct read_check *c)
{
    return check_of_parent(r, i, c) != NULL;
}

/* A check that is NOT VALID may be violated by rows that are copied: it comes after the copy. One
 * that needs functions which are not mirrored is tried once the table is there. */
static void add_late_check(struct reader *r, const struct schema_table *t,
                           const struct read_check *c)
{
    struct buf alter = {0};
    buf_puts(&alter, "ALTER TABLE ");
    pg_quote_qualified(&alter, t->dest_schema, t->dest_name);
    buf_puts(&alter, " ADD ");
    check_put(&alter, c, c->is_valid);
    struct schema_statement *st =
        read_add_after(r, OBJECT_TABLE, t->dest_schema, t->dest_name, buf_take(&alter));
    st->optional = true;
}

/* A parent's check that comes without looking at rows, of a child where it holds. */
static void add_late_validation(struct reader *r, const struct schema_table *t,
                                const struct read_check *c)
{
    struct buf alter = {0};
    buf_puts(&alter, "ALTER TABLE ");
    pg_quote_qualified(&alter, t->dest_schema, t->dest_name);
    buf_puts(&alter, " VALIDATE CONSTRAINT ");
    pg_quote_ident(&alter, c->name);
    struct schema_statement *st =
        read_add_after(r, OBJECT_TABLE, t->dest_schema, t->dest_name, buf_take(&alter));
    st->optional = true;
}

static char *check_definition(const char *text, bool is_valid)
{
    static const char tail[] = " NOT VALID";
    size_t n = strlen(text), k = sizeof tail - 1;
    char *copy = mem_strdup(text);
    if (!is_valid && n > k && strcmp(copy + n - k, tail) == 0)
        copy[n - k] = '\0';
    return copy;
}

static void take_check(struct reader *r, const struct pg_result *res, size_t row)
{
    size_t i = (size_t)pg_int(res, row, 0);
    const struct schema_table *t = &r->s->tables[i];
    struct read_table *rt = &r->tables[i];
    if (pg_bool(res, row, 5)) {
        log_info("schema", NULL, "check left out, it needs an excluded column table=%s.%s check=%s",
                 t->schema, t->name, pg_text(res, row, 1));
        return;
    }
    struct read_check c = {
        .name = read_text(res, row, 1),
        .definition = check_definition(pg_text(res, row, 2), pg_bool(res, row, 3)),
        .is_valid = pg_bool(res, row, 3),
        .needs_objects = pg_bool(res, row, 4),
        .is_local = pg_bool(res, row, 6),
    };
    MEM_PUSH(rt->checks, rt->n_checks, rt->checks_cap, c);
    const struct read_check *parent = check_of_parent(r, i, &c);
    if (!r->is_dest && (!c.is_valid || c.needs_objects) && !parent)
        add_late_check(r, t, &c);
    else if (!r->is_dest && c.is_valid && parent && !parent->is_valid)
        add_late_validation(r, t, &c);
}

bool read_checks(struct reader *r, struct err *err)
{
    struct pg_result *res = NULL;
    const char *values[] = {r->oids, r->excluded_oids, r->excluded_nums};
    if (!read_query(r, checks_sql, COUNT_OF(values), values, &res, err))
        return false;
    for (size_t row = 0; row < pg_rows(res); row++)
        take_check(r, res, row);
    pg_free(res);
    return true;
}
