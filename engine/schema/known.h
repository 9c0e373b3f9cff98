/* What is known of the source's tables where the stream stands: the columns of each, by attnum, as
 * the last relation message told them, or as the rows were copied with. Kept in
 * _bunnydb.table_parts beside the book of parts, which may be ahead of the stream; changed in the
 * transaction that moves the progress over the change. Beside it the source's present catalog,
 * which may be ahead too, and only helps to tell columns apart.
 *
 * A struct known belongs to whoever read it; no locks. */
#ifndef BUNNY_KNOWN_H
#define BUNNY_KNOWN_H

#include "pg/pg.h"

/* The default that such a column gave to the rows that were there is not known any more. */
#define KNOWN_PASSING "-"

struct known_column {
    int attnum;
    char *name;    /* NULL: dropped (only in the source's present catalog) */
    uint32_t type; /* OID at the source; 0 when dropped */
    int32_t typmod;
    char stamp[16];    /* of its row in the catalog: another one after each ALTER of the column;
                        * KNOWN_PASSING: it came after the copy, and was gone when that was read */
    bool is_generated; /* not in the stream (only in the source's present catalog) */
};
struct known_table {
    uint32_t oid;
    int64_t filenode;    /* another one after each rewrite (and TRUNCATE, VACUUM FULL, CLUSTER) */
    int64_t member;      /* OID of its entry in the mirror's publication; 0: has none of its own */
    int64_t toast;       /* OID of its TOAST table; 0: none, -1: not known */
    char *schema, *name; /* at the source; only of its present catalog */
    size_t n, cap;
    struct known_column *columns; /* in attnum order */
    bool is_stale;                /* somebody else has written it anew: read it again */
};
struct known {
    size_t n, cap;
    struct known_table *tables; /* by OID */
};
void known_free(struct known *k);             /* the contents */
void known_table_free(struct known_table *t); /* the contents */
void known_table_copy(struct known_table *to, const struct known_table *from);
void known_add_column(struct known_table *t, const struct known_column *c); /* copies */
struct known_table *known_find(const struct known *k, uint32_t oid);        /* NULL: none */
/* Borrowed; NULL: none. */
struct known_column *known_column_at(const struct known_table *t, int attnum);
struct known_column *known_column_named(const struct known_table *t, const char *name);

/* From the destination: all tables of the mirror, or (oid not 0) one. */
bool known_read(struct pg_conn *dest, struct task *task, const char *mirror_id, uint32_t oid,
                struct known *out, struct err *err) MUST_CHECK;
/* The source's present catalog. Tables that are gone are left out; dropped columns are there,
 * without a name. publication: NULL, members are not asked for. */
bool known_ask(struct pg_conn *source, struct task *task, const char *publication, size_t n,
               const uint32_t *oids, struct known *out, struct err *err) MUST_CHECK;
/* Has ALTER TABLE rewritten the rows between the two? What other rewrites did (VACUUM FULL,
 * CLUSTER, SET TABLESPACE, SET LOGGED) has left the values as they were, and TRUNCATE is in the
 * stream. KNOWN_ASK: only the rows can tell, see known_ask_rewritten. */
enum known_rewrite {
    KNOWN_NOT_REWRITTEN,
    KNOWN_REWRITTEN,
    KNOWN_ASK,
};
enum known_rewrite known_rewrite(const struct known_table *was, const struct known_table *now);
/* The same with the source's rows: one that is older than the last ALTER of a column may have been
 * rewritten by it. True also when they did not answer in rows_ms. now: of known_ask, just before.
 */
#define KNOWN_ROWS_MS 20000
bool known_ask_rewritten(struct pg_conn *source, struct task *task, int rows_ms,
                         const struct known_table *was, const struct known_table *now, bool *out,
                         struct err *err) MUST_CHECK;
/* Appends statements that replace what is kept of a table; its destination goes along. Columns that
 * are dropped or generated are left out. */
void known_put_sql(struct buf *sql, const struct known_table *t, const char *mirror_id,
                   const char *dest_schema, const char *dest_name);

#endif
