/* Tables set aside: they are being copied beside the stream, so their changes are not applied,
 * while those of all other tables are, in the same batches, and progress and reported positions
 * move on. Part of an apply; all of it in the mirror's thread.
 *
 * Why the copy is exact. A new slot's consistent point S and its exported snapshot belong together:
 * the snapshot sees exactly the transactions whose COMMIT record lies before S (PostgreSQL's
 * snapbuild.c; SnapBuildXactNeedsSkip compares the record's start, which pgoutput sends with
 * BEGIN). So of the changes to a table that is copied with this snapshot
 *   - those of transactions with commit LSN < S are in the copy: thrown away here;
 *   - the others are kept in order in a spill, and replayed once the copy is there;
 *   - what is read before CREATE_REPLICATION_SLOT was sent was written before it, and so before S:
 *     nothing is kept until then (ASIDE_DROP).
 * Kept changes are replayed in parts of ordinary batches, a source transaction never in two, which
 * do not move the progress beyond what the stream has read. New changes of the table go behind the
 * kept ones, until there is nothing left to replay, between two source transactions, with the
 * stream's own position P at or after S: then every transaction with commit LSN < P is in the table
 * and none after it, which is what the progress P says of all other tables. The table's row of
 * _bunnydb.table_sync ends in the transaction that moves the progress to P (the hand-over), after
 * everything replayed is known to be committed; later changes go direct, behind it in the same
 * session. Until it has committed the row is there, and whatever happens the next run copies the
 * table again.
 *
 * That changes of a table are passed over while the progress moves needs that row from the start:
 * whoever sets tables aside writes it first (sync_rows.h). */
#ifndef BUNNY_ASIDE_H
#define BUNNY_ASIDE_H

#include "schema/schema.h"
#include "stream/spill.h"

struct apply;
struct pgo_message;

/* What an apply is told when it is made; borrowed until it is freed, but for tables. More tables
 * may follow later (aside_take). */
struct aside_options {
    const bool *tables; /* which of the schema's are set aside; NULL: none */
    /* Tables that were taken out of the mirror, whose old changes may still come: ignored. */
    const struct table_name_list *removed;
    const char *spill_dir;
    size_t spill_memory;
    void (*handed_over)(void *arg); /* the hand-over has committed */
    void *arg;
};

enum aside_stage {
    ASIDE_DROP,    /* no copy is on its way: changes are thrown away */
    ASIDE_KEEP,    /* a slot is being made, or the copy runs: changes are kept */
    ASIDE_FAILED,  /* they could not be kept: this copy is void */
    ASIDE_REPLAY,  /* the copy is there: what was kept is applied */
    ASIDE_HANDING, /* the hand-over was sent */
    ASIDE_STREAM,  /* it has committed: the tables are as all others */
};

struct aside_status {
    enum aside_stage stage;
    int64_t kept_bytes, kept; /* changes that wait */
    int64_t replayed;         /* changes, of this copy */
    struct err err;           /* of ASIDE_FAILED */
};
void aside_status(const struct apply *a, struct aside_status *out);

/* The tables whose changes do not go the direct way now; free with table_name_list_free. */
void aside_names(const struct apply *a, struct table_name_list *out);

/* These tables (a bool for each of the schema's) leave the stream: while it stands (apply_stand),
 * and their rows of _bunnydb.table_sync are there. */
void aside_take(struct apply *a, const bool *tables);
/* Which tables (a bool for each of the schema's) a copy is about to be made of: before its slot is.
 * Only when no other copy is on its way (ASIDE_DROP) and aside_is_settled. */
void aside_keep(struct apply *a, const bool *tables);
/* The slot's consistent point is known. */
void aside_set_point(struct apply *a, lsn_t point);
/* The rows are at the destination, durably. copied: the definitions they were copied with, borrowed
 * until ASIDE_STREAM; names: the rows of _bunnydb.table_sync that the hand-over ends. */
void aside_replay(struct apply *a, const struct schema *copied, const struct table_name *names,
                  size_t n);
/* This copy came to nothing: its changes are thrown away, back to ASIDE_DROP. */
void aside_give_up(struct apply *a);
/* After ASIDE_STREAM: ready for the next copy. */
void aside_finish(struct apply *a);
/* Nothing that was replayed for a copy is still under way: only then may the table be emptied. */
bool aside_is_settled(const struct apply *a);

#endif
