/* Which way the changes of a table may go to the destination; see target.h and chunk.h. */
#include "stream/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAX_SET_COLUMNS 200 /* a statement has a parameter each, and unnest a store each */

/* OIDs of pg_type.dat (the same in each version). */
enum {
    BOOL = 16,
    BYTEA = 17,
    CHAR = 18,
    NAME = 19,
    INT8 = 20,
    INT2 = 21,
    INT4 = 23,
    TEXT = 25,
    OID = 26,
    MACADDR8 = 774,
    MACADDR = 829,
    BPCHAR = 1042,
    VARCHAR = 1043,
    DATE = 1082,
    TIME = 1083,
    TIMESTAMP = 1114,
    TIMESTAMPTZ = 1184,
    NUMERIC = 1700,
    UUID = 2950,
    PG_LSN = 3220,
};

static bool is_integer(uint32_t type)
{
    return type == INT2 || type == INT4 || type == INT8 || type == OID;
}

/* Whether two values that are equal have the same text, and no others do. Numbers of one scale do,
 * and so do strings that are padded to one length; a numeric without a scale (1 and 1.0), a float
 * (0 and -0) or an interval does not. */
static bool is_canonical(const struct pgo_column *from, const struct dest_column *to)
{
    bool is_same = from->type_oid == to->type_oid;
    switch (from->type_oid) {
    case BOOL:
    case BYTEA:
    case CHAR:
    case NAME:
    case MACADDR8:
    case MACADDR:
    case DATE:
    case TIME:
    case TIMESTAMP:
    case TIMESTAMPTZ:
    case UUID:
    case PG_LSN:
        return is_same && to->is_deterministic;
    case INT2:
    case INT4:
    case INT8:
    case OID:
        return is_integer(to->type_oid);
    case TEXT:
    case VARCHAR:
        return (to->type_oid == TEXT || to->type_oid == VARCHAR) && to->is_deterministic;
    case BPCHAR:
    case NUMERIC:
        return is_same && from->typmod >= 0 && to->is_deterministic;
    default:
        return false;
    }
}

static const struct dest_column *find(const struct dest_table *d, const char *name)
{
    for (size_t i = 0; i < d->n_columns; i++)
        if (!strcmp(d->columns[i].name, name))
            return &d->columns[i];
    return NULL;
}

/* Whether one index says that exactly the columns of the replica identity name one row. */
static bool has_index(const struct target *t, const char *token, size_t len)
{
    const char *columns = memchr(token, ':', len);
    return columns && strtoul(columns + 1, NULL, 10) == t->n_keys;
}

static bool is_key_exact(const struct target *t)
{
    const struct target_column *c = &t->columns[t->keys[0]];
    for (const char *at = c->uniques; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        if (has_index(t, at, n) && target_key_covers(t, at, n))
            return true;
        at += n;
    }
    return false;
}

static bool is_keyed(struct target *t, const struct pgo_message *relation,
                     const struct dest_table *dest)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct target_column *c = &t->columns[i];
        if (!c->is_key)
            continue;
        if (c->is_skipped || !is_canonical(&relation->columns[i], find(dest, c->name)))
            return false;
        t->keys[t->n_keys++] = (int)i;
    }
    return relation->replica_identity != 'f' && t->n_keys && is_key_exact(t);
}

/* Whether rows are told apart by nothing but all their values, so that which one of several equal
 * ones is changed makes no difference. */
static bool is_whole(const struct target *t, const struct pgo_message *relation,
                     const struct dest_table *dest)
{
    if (t->way != TARGET_INSERTS || relation->replica_identity != 'f' || dest->n_uniques ||
        dest->is_cascaded)
        return false;
    for (size_t i = 0; i < t->n_columns; i++)
        if (t->columns[i].is_moved)
            return false;
    return true;
}

void target_choose_way(struct target *t, const struct pgo_message *relation,
                       const struct dest_table *dest)
{
    size_t n_written = 0;
    for (size_t i = 0; i < t->n_columns; i++)
        n_written += !t->columns[i].is_skipped;
    t->keys = mem_calloc(t->n_columns + 1, sizeof *t->keys);
    t->is_one_each = dest->n_uniques > 1;
    if (!dest->is_plain)
        t->way = TARGET_ALONE;
    else if (!n_written || n_written > MAX_SET_COLUMNS)
        t->way = TARGET_ROWS;
    else
        t->way = is_keyed(t, relation, dest) ? TARGET_KEYED : TARGET_INSERTS;
    t->is_whole = is_whole(t, relation, dest);
    if (t->way != TARGET_KEYED)
        t->n_keys = 0;
    for (size_t i = 0; t->is_whole && i < t->n_columns; i++)
        if (!t->columns[i].is_skipped)
            t->keys[t->n_keys++] = (int)i;
}
