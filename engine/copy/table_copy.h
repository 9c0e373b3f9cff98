/* A copy of some of a mirror's tables beside its stream: an errand that makes a temporary slot with
 * an exported snapshot, reads the tables' definitions in it, creates what is missing at the
 * destination, empties the tables (empty.h), and has the rows, indexes and what follows copied by
 * the snapshot machinery (snapshot.h); or leaves them as they are, has the rows copied beside them,
 * and exchanges them then (swap.h). When it is done, all of that is durable at the destination
 * as of the slot's consistent point; the caller replays what came after (stream/aside.h).
 *
 * The tables' rows of _bunnydb.table_sync must be there, aside, and their changes must be kept,
 * before it starts. Each of its transactions at the destination checks the epoch. It belongs to the
 * thread that starts it (the mirror's); that thread never waits for it but in table_copy_finish,
 * which takes no longer than its cancellation, or nothing when table_copy_is_over. */
#ifndef BUNNY_TABLE_COPY_H
#define BUNNY_TABLE_COPY_H

#include "copy/snapshot.h"
#include "stream/sync_rows.h"

struct table_copy;

struct table_copy_plan {
    const struct mirror_config *config; /* borrowed until table_copy_finish, as all pointers here */
    const bool *wanted;                 /* which of config->tables; a copy of it is kept */
    bool by_swap;
    bool keeps_rows; /* an operator asked for the swap: the tables are not emptied for anything */
    const struct schema *known; /* what the stream knows of the source's tables */
    struct sync_owner owner;
    const struct pg_target *source, *dest;
    size_t memory_budget;
    int64_t index_memory;
    int wake_fd; /* of the owner */
};

enum table_copy_step {
    TABLE_COPY_STARTING, /* until the slot is there: waits for the source's older transactions */
    TABLE_COPY_EMPTYING,
    TABLE_COPY_COPYING,
    TABLE_COPY_SWAPPING,
    TABLE_COPY_COPIED,
    TABLE_COPY_FAILED,
};
struct table_copy_status {
    enum table_copy_step step;
    lsn_t point;        /* 0: not known yet */
    bool has_restore;   /* the tables' rows of _bunnydb.table_sync may have something to restore */
    bool has_left_out;  /* parts of definitions: a comparison says which, and why */
    bool needs_new_run; /* TABLE_COPY_FAILED, and so would any other with what the stream knows */
    struct err err;     /* of TABLE_COPY_FAILED */
};

bool table_copy_start(const struct table_copy_plan *plan, struct table_copy **out,
                      struct err *err) MUST_CHECK;
/* True once after each change of the status, and now and then while rows come. */
bool table_copy_has_news(struct table_copy *c);
void table_copy_status(struct table_copy *c, struct table_copy_status *out);
/* How far a table is; false: its rows are not being copied yet. */
bool table_copy_progress(struct table_copy *c, const char *schema, const char *table,
                         struct snapshot_table_progress *out);
/* How long its rows, indexes and foreign keys still take; -1: not known yet. */
int64_t table_copy_eta_ms(struct table_copy *c);
/* The definitions that the tables were copied with; from TABLE_COPY_COPIED until table_copy_finish.
 */
const struct schema *table_copy_schema(struct table_copy *c);
bool table_copy_is_over(struct table_copy *c);
void table_copy_cancel(struct table_copy *c);
void table_copy_finish(struct table_copy *c);

#endif
