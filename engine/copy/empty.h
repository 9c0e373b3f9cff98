/* Destination tables emptied for a new copy, in one transaction: foreign keys between them and
 * other tables of the mirror, and checks of theirs that are NOT VALID, are dropped, and kept in the
 * tables' rows of _bunnydb.table_sync (and what is to be added beside them); the tables are
 * emptied; the epoch is checked. Either all of it happens or nothing.
 *
 * Never CASCADE, and never what does not belong to the mirror: a table that others refer to is
 * emptied with DELETE under session_replication_role=replica, where no foreign key acts; without
 * the right to that it is an error, and nothing was touched.
 *
 * Runs in the thread of an errand, on a PG_APPLY connection of its own. Locks are waited for in
 * short attempts, so that the mirror's stream is never held up for long behind us. */
#ifndef BUNNY_EMPTY_H
#define BUNNY_EMPTY_H

#include "copy/errand.h"
#include "schema/schema.h"
#include "stream/sync_rows.h"

/* Statements that bring constraints back, for the row of one mapped table. */
struct empty_restore {
    size_t n, cap;
    char **items; /* owned */
};
void empty_restore_add(struct empty_restore *r, char *owned);
void empty_restore_free(struct empty_restore *r); /* the contents */

struct empty_job {
    struct errand *errand;
    struct pg_conn *dest;
    const char *mirror;
    struct sync_owner owner;
    const struct schema *tables; /* those that are to be emptied */
    const struct schema *all;    /* all of the mirror */
    /* The mappings of tables (schema_table.mapping is an index here): their names, and for each
     * what is to be added to its row; the keys that were dropped are added here in front. */
    size_t n_maps;
    const struct table_name *names;
    struct empty_restore *restore;
};
bool empty_tables(struct empty_job *j, struct err *err) MUST_CHECK;
/* Logs who holds locks on those tables at the destination, which what ("to empty") waits for. */
void empty_explain_locks(struct pg_conn *dest, struct task *task, const char *mirror,
                         const struct schema *tables, const char *what);

#endif
