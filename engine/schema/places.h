/* Which tables and columns of the destination a mirror's are: kept in _bunnydb.table_parts (kind
 * BOOK_PLACE) when a table was copied and whenever a run begins. A table or a column of the same
 * name that somebody has made since holds other values, and neither side's stream says so.
 * Identity is the table's OID and the column's number, which VACUUM FULL, CLUSTER, REINDEX, ALTER
 * TABLE and renames leave as they are. Where _bunnydb.table_parts itself is another table, all of
 * it came from a dump, with the progress that belongs to it: places begin anew.
 *
 * All functions run in the caller's thread, on the destination's session outside of a pipeline. */
#ifndef BUNNY_PLACES_H
#define BUNNY_PLACES_H

#include "base/buf.h"
#include "schema/schema.h"

enum place_change_kind {
    PLACE_TABLE = 't',  /* another table has the name */
    PLACE_COLUMN = 'c', /* another column has the name */
    PLACE_EMPTY = 'e',  /* it has new files and no row: emptied, unless the source's is empty too */
};
struct place_change {
    int table; /* index in the schema */
    enum place_change_kind kind;
    char *column; /* of PLACE_COLUMN; else NULL */
};
struct place_changes {
    size_t n, cap;
    struct place_change *items; /* in the schema's order, one a table at most */
};
void place_changes_free(struct place_changes *c); /* the contents */

/* What is not as it was. Tables that are missing, or that nothing is kept of, are as they were. */
bool places_look(struct pg_conn *dest, struct task *task, const char *mirror_id,
                 const struct schema *s, struct place_changes *out, struct err *err) MUST_CHECK;
/* Keeps what is not known yet, and the files of tables that are still the same ones. */
bool places_keep(struct pg_conn *dest, struct task *task, const char *mirror_id,
                 const struct schema *s, struct err *err) MUST_CHECK;
/* Their rows are right from here on, whatever tables they are in: all places are taken anew. */
bool places_renew(struct pg_conn *dest, struct task *task, const char *mirror_id,
                  const struct schema *s, struct err *err) MUST_CHECK;
/* A statement for the transaction that empties these tables of the source's (OIDs): their new files
 * are the mirror's own doing. Appends to *sql. */
void places_emptied_sql(struct buf *sql, const char *mirror_id, size_t n, const uint32_t *oids);

#endif
