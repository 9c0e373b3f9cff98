/* Repair: rows that a comparison has named become at the destination what they are at the source,
 * while the mirror streams. In rounds of some rows: the stream stands at the place that a snapshot
 * of the source shows (verify_pair.h), and in one transaction each row is deleted, written or
 * inserted as that snapshot has it. The transaction locks the mirror's progress row in the epoch of
 * the stream that stands, so that neither another process nor a later run comes in between, and the
 * stream does not go on before it has ended. A row that is equal by then is left alone.
 *
 * Belongs to one thread, which is not the mirror's. */
#ifndef BUNNY_COPY_REPAIR_H
#define BUNNY_COPY_REPAIR_H

#include "base/model.h"
#include "copy/verify_pair.h"
#include "schema/schema.h"

#define REPAIR_MAX_ROWS 10000 /* of a table; where more differ it is copied anew */

struct repair_plan {
    const char *mirror, *mirror_id;
    const struct pg_target *source, *dest;
    struct hold *hold;
    struct task *task;
    const struct schema *schema; /* that the comparison read */
    /* While the stream stands: its epoch, and whether the table is aside. */
    int64_t (*epoch)(void *arg);
    bool (*is_aside)(void *arg, const struct schema_table *t);
    void *arg;
};

/* Repairs the rows that the report names, marks them (is_repaired, repaired), and gives tables that
 * could not be repaired wholly a reason. False with the error that ended it before all rows had
 * their turn. */
bool repair_run(const struct repair_plan *plan, struct verify_report *report,
                struct err *err) MUST_CHECK;

#endif
