/* Which destination tables of a mirror do not hold what the progress says: rows of
 * _bunnydb.table_sync at the destination, the truth about copies beside the stream.
 *
 * A row that is aside is there, durably, before the first change of its table is passed over and
 * before the first byte of the table is touched; it ends in the very transaction from which on the
 * table is valid at the mirror's progress (the hand-over). So whatever ends in between, a crash or
 * a restored older catalog, the next run finds the row and copies the table again, from nothing.
 *
 * A row that is aside may say why nobody is to copy its table by himself: a change of it could not
 * be applied (stopped). The operator's resync ends that.
 *
 * A row also keeps the definitions of foreign keys that were dropped for the copy, in the
 * transaction that drops them: it stays, no longer aside, until all of them are back.
 *
 * Every change of a row checks the epoch of the mirror's progress: a process that was fenced off
 * changes nothing. Runs on the caller's connections; keeps no state. */
#ifndef BUNNY_SYNC_ROWS_H
#define BUNNY_SYNC_ROWS_H

#include "base/model.h"
#include "pg/pg.h"

/* Why a table left the stream. */
struct sync_stop {
    char code[40];  /* err_name */
    char text[768]; /* the error, as struct err has it */
    char hint[512];
    lsn_t lsn; /* of the COMMIT of the transaction whose change it was; 0: not known */
};

/* One row a mapped table; a partitioned root stands for all its partitions. */
struct sync_row {
    struct table_name name; /* at the source */
    bool is_aside;
    size_t n_restore;
    char **restore;           /* statements, in order */
    struct sync_stop stopped; /* its code is empty: it is not */
};
struct sync_row_list {
    struct sync_row *items;
    size_t n;
};
void sync_row_list_free(struct sync_row_list *l);
/* Is the mapped table of that name at the source set aside? */
bool sync_row_list_has_aside(const struct sync_row_list *l, const struct table_name *name);

/* Whose rows, and under which epoch. */
struct sync_owner {
    const char *mirror_id;
    int64_t epoch;
};

/* Part of the bookkeeping's creation: see progress_open. */
extern const char sync_rows_create_sql[];
bool sync_rows_read(struct pg_conn *dest, struct task *task, const char *mirror_id,
                    struct sync_row_list *out, struct err *err) MUST_CHECK;
/* Brings a table that an earlier version made up to date. */
extern const char sync_rows_upgrade_sql[];
/* From now on this table is not valid, and is not copied by itself; what the stream brings of it
 * from the present progress on is passed over. Committed durably before it returns. */
bool sync_rows_stop(struct pg_conn *dest, struct task *task, const struct sync_owner *o,
                    const struct table_name *table, const struct sync_stop *why,
                    struct err *err) MUST_CHECK;
/* From now on these tables are not valid, and are to be copied. Committed durably before it
 * returns. */
bool sync_rows_set_aside(struct pg_conn *dest, struct task *task, const struct sync_owner *o,
                         const struct table_name *tables, size_t n, struct err *err) MUST_CHECK;
/* Adds statements to what is to be restored after the copy of a table; those that are there already
 * are not added twice. In the caller's transaction, which drops what they restore. */
bool sync_rows_add_restore(struct pg_conn *dest, struct task *task, const struct sync_owner *o,
                           const struct table_name *table, size_t n, const char *const *statements,
                           struct err *err) MUST_CHECK;
/* All is back: the row goes, unless its table was set aside again. */
bool sync_rows_restored(struct pg_conn *dest, struct task *task, const struct sync_owner *o,
                        const struct table_name *table, struct err *err) MUST_CHECK;
/* The table is no longer one of the mirror: nobody copies it any more. What is to be restored
 * stays.
 */
bool sync_rows_leave(struct pg_conn *dest, struct task *task, const struct sync_owner *o,
                     const struct table_name *table, struct err *err) MUST_CHECK;
/* What is still to be done once the table is copied: as sync_rows_add_restore, also for a table
 * that has no row any more. */
bool sync_rows_owe(struct pg_conn *dest, struct task *task, const struct sync_owner *o,
                   const struct table_name *table, size_t n, const char *const *statements,
                   struct err *err) MUST_CHECK;
/* A stream begins without a copy: no table is aside. What is to be restored stays. In the
 * transaction that begins the progress. */
bool sync_rows_none_aside(struct pg_conn *dest, struct task *task, const char *mirror_id,
                          struct err *err) MUST_CHECK;

/* Ends the copy of some tables: $1 mirror_id, $2 and $3 arrays of their schemas and names. Fails
 * with 22012 unless each has a row that is aside. The epoch is checked by what moves the progress
 * in the same transaction. */
extern const char sync_rows_hand_over_sql[];
/* Fails with 22012 when the epoch ($2) of the mirror ($1) is no longer ours: at the end of a
 * transaction that writes a table which is aside. Whoever took over empties the table under a lock
 * that waits for such transactions. */
extern const char sync_rows_fence_sql[];
/* The same with both filled in; caller frees. */
char *sync_rows_fence(const struct sync_owner *o);
/* A script for a session that has copied a table, or whose mates have: the table is as the progress
 * says from here on, durably, and so is all that was committed before. Fails with 22012 when it is
 * not ours to say that, or no longer. Whoever takes over waits for it. Caller frees. */
char *sync_rows_copied(const struct sync_owner *o, const struct table_name *table);
#define SYNC_ROWS_SQLSTATE "22012"
/* The schemas of some tables, or their names, as an array literal; caller frees. */
char *table_names_array(const struct table_name *tables, size_t n, bool schemas);

#endif
