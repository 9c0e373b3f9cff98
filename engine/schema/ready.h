/* Questions before a cutover: is the destination complete, and who still writes at the source. Each
 * adds one check to the report. Runs in the calling thread on its connections, outside of any
 * transaction; changes nothing but where it says so. */
#ifndef BUNNY_SCHEMA_READY_H
#define BUNNY_SCHEMA_READY_H

#include "base/cutover.h"
#include "schema/schema.h"

struct ready {
    struct pg_conn *source, *dest;
    struct task *source_task, *dest_task;
    const struct mirror_config *config; /* with resolved mappings */
    const char *mirror_id;
    struct cutover *out;
};

/* Where the source's WAL ends now: out->lsn. */
bool ready_position(const struct ready *r, struct err *err) MUST_CHECK;
/* New sessions of the source's database shall only read (or may write again). */
bool ready_set_read_only(const struct ready *r, bool on, struct err *err) MUST_CHECK;
/* "read_only", and what undoes it. */
bool ready_read_only(const struct ready *r, struct err *err) MUST_CHECK;
/* "writers": sessions and prepared transactions of the source's database that are not ours. */
bool ready_writers(const struct ready *r, struct err *err) MUST_CHECK;
/* "definitions", "indexes", "constraints": the mirror's settings leave nothing out here. */
bool ready_definitions(const struct ready *r, struct err *err) MUST_CHECK;
/* "identity": columns that take values here as long as the mirror writes them. */
bool ready_identity(const struct ready *r, struct err *err) MUST_CHECK;
/* "sequences": their values are the source's. */
bool ready_sequences(const struct ready *r, struct err *err) MUST_CHECK;
/* "lone_sequences": those that no table uses, which no mirror carries, each with the statement that
 * sets it. */
bool ready_lone_sequences(const struct ready *r, struct err *err) MUST_CHECK;
/* "objects": what no mirror carries. */
bool ready_objects(const struct ready *r, struct err *err) MUST_CHECK;

#endif
