/* Sequences: those that mapped columns own, or that their defaults call, or those of domains that
 * they are made of. They are created before types and tables, get the source's value after the
 * copy, and then their owner. */
#include "schema/schema_private.h"

#include <stdlib.h>
#include <string.h>

/* One row a sequence: its owner among the mapped tables if there is one, else the first table whose
 * default calls it, or that of a domain, which stays in its schema. Identity sequences come with
 * their column. */
const char read_sequences_sql[] =
    "WITH RECURSIVE u AS (SELECT oid, ord - 1 AS i FROM unnest($1::oid[]) WITH ORDINALITY u(oid, "
    "ord)),"
    " ex AS (SELECT * FROM unnest($2::oid[], $3::int2[]) x(oid, num)),"
    " made(i, num, oid) AS (SELECT u.i, a.attnum, a.atttypid FROM u JOIN pg_attribute a"
    "  ON a.attrelid = u.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384"
    "  AND NOT EXISTS (SELECT FROM ex WHERE ex.oid = u.oid AND ex.num = a.attnum) UNION"
    "  SELECT made.i, made.num, x.oid FROM made JOIN pg_type ty ON ty.oid = made.oid"
    "  CROSS JOIN LATERAL (" TYPE_PARTS ") x(oid) WHERE x.oid >= 16384),"
    " used(seq, i, num, how) AS ("
    " SELECT d.refobjid, made.i, made.num, 'y' FROM made JOIN pg_depend d"
    "  ON d.classid = 'pg_type'::regclass AND d.objid = made.oid"
    "  AND d.refclassid = 'pg_class'::regclass UNION ALL"
    " SELECT d.objid, u.i, d.refobjsubid, d.deptype::text FROM u JOIN pg_depend d"
    "  ON d.refclassid = 'pg_class'::regclass AND d.refobjid = u.oid AND d.refobjsubid > 0"
    "  AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')"
    "  WHERE NOT EXISTS (SELECT FROM ex WHERE ex.oid = u.oid AND ex.num = d.refobjsubid)"
    " UNION ALL"
    " SELECT d.refobjid, u.i, ad.adnum, 'z' FROM u JOIN pg_attrdef ad ON ad.adrelid = u.oid"
    "  JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = ad.oid"
    "  AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> u.oid"
    "  WHERE NOT EXISTS (SELECT FROM ex WHERE ex.oid = u.oid AND ex.num = ad.adnum))"
    " SELECT DISTINCT ON (n.nspname, c.relname) c.oid, n.nspname, c.relname, used.i, used.num,"
    " used.how, format_type(s.seqtypid, NULL),"
    " concat('START WITH ', s.seqstart, ' INCREMENT BY ', s.seqincrement, ' MINVALUE ', s.seqmin,"
    " ' MAXVALUE ', s.seqmax, ' CACHE ', s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' END),"
    " has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(c.oid, 'SELECT'),"
    " (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = ($1::oid[])[used.i + 1]"
    "  AND a.attnum = used.num), s.seqincrement < 0, format('%I.%I', n.nspname, c.relname)"
    " FROM used JOIN pg_class c ON c.oid = used.seq AND c.relkind = 'S'"
    " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid"
    " ORDER BY n.nspname, c.relname, used.how, used.i";

static void take_identity(const struct read_sequence *q, const char *type, struct read_column *rc)
{
    struct buf b = {0}, alter = {0};
    buf_puts(&b, "(SEQUENCE NAME ");
    pg_quote_qualified(&b, q->dest_schema, q->name);
    buf_printf(&b, " %s)", q->options);
    rc->identity = buf_take(&b);
    if (strcmp(type, q->type) == 0)
        return;
    buf_puts(&alter, "ALTER SEQUENCE ");
    pg_quote_qualified(&alter, q->dest_schema, q->name);
    buf_printf(&alter, " AS %s %s", q->type, q->options);
    rc->counter = buf_take(&alter);
}

/* A sequence follows its table into another schema when it lives beside it. */
static void take_sequence(struct reader *r, const struct pg_result *res, size_t row)
{
    struct schema_table *t = &r->s->tables[pg_int(res, row, 3)];
    char how = pg_text(res, row, 5)[0];
    struct read_sequence q = {
        .oid = (uint32_t)pg_int(res, row, 0),
        .schema = read_text(res, row, 1),
        .name = read_text(res, row, 2),
        .owner = how == 'y' || how == 'z' ? -1 : (int)pg_int(res, row, 3),
        .attnum = (int)pg_int(res, row, 4),
        .is_identity = how == 'i',
        .type = read_text(res, row, 6),
        .options = read_text(res, row, 7),
        .is_readable = pg_bool(res, row, 8),
    };
    bool follows = q.is_identity || (how != 'y' && strcmp(q.schema, t->schema) == 0);
    q.dest_schema = mem_strdup(follows ? t->dest_schema : q.schema);
    MEM_PUSH(r->sequences, r->n_sequences, r->sequences_cap, q);
    if (!q.is_identity)
        return;
    struct schema_column *c = read_find_column(t, q.attnum);
    if (c)
        take_identity(&q, c->type, &r->tables[pg_int(res, row, 3)].columns[c - t->columns]);
}

/* Replaces every from in *text by to. */
static void replace_all(char **text, const char *from, const char *to)
{
    struct buf b = {0};
    const char *at = *text, *hit;
    while ((hit = strstr(at, from)) != NULL) {
        buf_add(&b, at, (size_t)(hit - at));
        buf_puts(&b, to);
        at = hit + strlen(from);
    }
    if (at != *text) {
        buf_puts(&b, at);
        free(*text);
        *text = buf_take(&b);
    }
    buf_free(&b);
}

static char *regclass_literal(const char *qualified)
{
    struct buf b = {0};
    pg_quote_literal(&b, qualified);
    buf_puts(&b, "::regclass");
    return buf_take(&b);
}

/* In a deparsed expression the sequence is a constant 'schema.name'::regclass. The same characters
 * inside a string constant have their quotes doubled, so that they never match. */
static void move_in_defaults(struct reader *r, const char *old_qualified, const char *schema,
                             const char *name)
{
    struct buf b = {0};
    pg_quote_qualified(&b, schema, name);
    char *from = regclass_literal(old_qualified), *to = regclass_literal(buf_text(&b));
    for (size_t i = 0; i < r->s->n_tables; i++)
        for (size_t c = 0; c < r->s->tables[i].n_columns; c++)
            if (r->tables[i].columns[c].dest_default)
                replace_all(&r->tables[i].columns[c].dest_default, from, to);
    free(from);
    free(to);
    buf_free(&b);
}

static bool move_sequences(struct reader *r, struct err *err)
{
    struct buf oids = {0};
    buf_putc(&oids, '{');
    for (size_t i = 0; i < r->n_sequences; i++)
        if (strcmp(r->sequences[i].schema, r->sequences[i].dest_schema) != 0)
            buf_printf(&oids, "%s%u", oids.len > 1 ? "," : "", r->sequences[i].oid);
    buf_putc(&oids, '}');
    struct pg_result *res = NULL;
    const char *values[] = {buf_text(&oids)};
    bool ok = oids.len == 2 || read_query(r, "SELECT o, o::regclass::text FROM unnest($1::oid[]) o",
                                          1, values, &res, err);
    for (size_t row = 0; ok && res && row < pg_rows(res); row++)
        for (size_t i = 0; i < r->n_sequences; i++)
            if (r->sequences[i].oid == (uint32_t)pg_int(res, row, 0))
                move_in_defaults(r, pg_text(res, row, 1), r->sequences[i].dest_schema,
                                 r->sequences[i].name);
    pg_free(res);
    buf_free(&oids);
    return ok;
}

bool read_sequences(struct reader *r, struct err *err)
{
    struct pg_result *res = NULL;
    const char *values[] = {r->oids, r->excluded_oids, r->excluded_nums};
    if (!read_query(r, read_sequences_sql, COUNT_OF(values), values, &res, err))
        return false;
    for (size_t row = 0; row < pg_rows(res); row++)
        take_sequence(r, res, row);
    pg_free(res);
    return move_sequences(r, err);
}

void build_sequences(struct reader *r)
{
    for (size_t i = 0; i < r->n_sequences; i++) {
        const struct read_sequence *q = &r->sequences[i];
        if (q->is_identity)
            continue;
        struct buf b = {0};
        buf_puts(&b, "CREATE SEQUENCE ");
        pg_quote_qualified(&b, q->dest_schema, q->name);
        buf_printf(&b, " AS %s %s", q->type, q->options);
        read_add_before(r, OBJECT_SEQUENCE, q->dest_schema, q->name, buf_take(&b))->source_schema =
            mem_strdup(q->schema);
    }
}

#define SETVAL "SELECT pg_catalog.setval("

/* An identity's sequence is asked for by its column: at a table that existed before it may have
 * any name. */
static void add_setval(struct reader *r, const struct read_sequence *q, const char *last_value,
                       bool is_called)
{
    struct buf name = {0}, b = {0};
    buf_puts(&b, SETVAL);
    if (q->is_identity) {
        const struct schema_table *t = &r->s->tables[q->owner];
        const struct schema_column *c = read_find_column(t, q->attnum);
        pg_quote_qualified(&name, t->dest_schema, t->dest_name);
        buf_puts(&b, "pg_catalog.pg_get_serial_sequence(");
        pg_quote_literal(&b, buf_text(&name));
        buf_puts(&b, ", ");
        pg_quote_literal(&b, c->name);
        buf_puts(&b, ")::pg_catalog.regclass");
    } else {
        pg_quote_qualified(&name, q->dest_schema, q->name);
        pg_quote_literal(&b, buf_text(&name));
        buf_puts(&b, "::pg_catalog.regclass");
    }
    char *which = mem_strdup(buf_text(&b) + strlen(SETVAL));
    buf_printf(&b, ", %s, %s)", last_value, is_called ? "true" : "false");
    struct schema_statement *st =
        read_add_after(r, OBJECT_SEQUENCE, q->dest_schema, q->name, buf_take(&b));
    st->optional = true;
    st->sets = mem_printf("%s, %s FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
                          " ON n.oid = c.relnamespace WHERE c.oid = %s",
                          last_value, is_called ? "true" : "false", which);
    free(which);
    buf_free(&name);
}

static void add_owner(struct reader *r, const struct read_sequence *q)
{
    const struct schema_table *t = &r->s->tables[q->owner];
    struct buf b = {0};
    buf_puts(&b, "ALTER SEQUENCE ");
    pg_quote_qualified(&b, q->dest_schema, q->name);
    buf_puts(&b, " OWNED BY ");
    pg_quote_qualified(&b, t->dest_schema, t->dest_name);
    buf_putc(&b, '.');
    pg_quote_ident(&b, read_find_column(t, q->attnum)->name);
    read_add_after(r, OBJECT_SEQUENCE, q->dest_schema, q->name, buf_take(&b))->optional = true;
}

/* Asks for the values that sql selects, and empties it. */
static bool take_values(struct reader *r, struct buf *sql, struct err *err)
{
    struct pg_result *res = NULL;
    bool ok = !sql->len || read_query(r, buf_text(sql), 0, NULL, &res, err);
    for (size_t row = 0; ok && res && row < pg_rows(res); row++)
        add_setval(r, &r->sequences[pg_int(res, row, 0)], pg_text(res, row, 1),
                   pg_bool(res, row, 2));
    pg_free(res);
    buf_reset(sql);
    return ok;
}

bool read_sequence_values(struct reader *r, struct err *err)
{
    struct buf sql = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < r->n_sequences; i++) {
        const struct read_sequence *q = &r->sequences[i];
        if (!q->is_readable) {
            log_warn("schema", NULL,
                     "sequence value cannot be read sequence=%s.%s remedy=\"GRANT SELECT ON"
                     " SEQUENCE\"",
                     q->schema, q->name);
            continue;
        }
        buf_printf(&sql, "%sSELECT %zu, last_value, is_called FROM ", sql.len ? " UNION ALL " : "",
                   i);
        pg_quote_qualified(&sql, q->schema, q->name);
        if (i % SCHEMA_BRANCHES == SCHEMA_BRANCHES - 1)
            ok = take_values(r, &sql, err);
    }
    ok = ok && take_values(r, &sql, err);
    buf_free(&sql);
    for (size_t i = 0; ok && i < r->n_sequences; i++)
        if (r->sequences[i].owner >= 0 && !r->sequences[i].is_identity)
            add_owner(r, &r->sequences[i]);
    return ok;
}
