/* The source's side of a mirror: who the server is, publication, slot. Runs on the caller's
 * connections, keeps no state. (PostgreSQL docs, "Logical Replication", "Logical Decoding") */
#ifndef BUNNY_SOURCE_H
#define BUNNY_SOURCE_H

#include "engine.h"
#include "pg/pg.h"
#include "schema/schema.h"
#include "stream/timeline.h"

struct source_identity {
    char system_id[24];
    struct timeline timeline;
    uint32_t database_oid;
    lsn_t wal_end;    /* flushed at the source */
    int keepalive_ms; /* how often a status must be sent: a third of wal_sender_timeout */
};
/* repl: a PG_REPLICATION connection (IDENTIFY_SYSTEM); sql: an ordinary one. */
bool source_identify(struct pg_conn *repl, struct pg_conn *sql, struct task *task,
                     struct source_identity *out, struct err *err) MUST_CHECK;

/* ERR_SOURCE_CHANGED when what was applied up to lsn is not part of the source's history: it went
 * on from a place before that, on a timeline that is not before's. False with other errors when it
 * cannot be asked. repl: a PG_REPLICATION connection. */
bool source_check_history(struct pg_conn *repl, struct task *task,
                          const struct source_identity *now, const struct timeline *before,
                          lsn_t lsn, struct err *err) MUST_CHECK;

/* Creates the publication of all tables of s that are published (parents and leaves). */
bool source_publish(struct pg_conn *sql, struct task *task, const char *publication,
                    const struct schema *s, struct err *err) MUST_CHECK;
/* Makes an existing one hold exactly the tables of s. */
bool source_republish(struct pg_conn *sql, struct task *task, const char *publication,
                      const struct schema *s, struct err *err) MUST_CHECK;
/* Drops it; missing is fine. */
bool source_unpublish(struct pg_conn *sql, struct task *task, const char *publication,
                      struct err *err) MUST_CHECK;
#define SOURCE_NEW_PUBLICATION_HINT                                                             \
    "Changes made meanwhile are not in the stream: a retry makes the publication and the slot " \
    "anew and copies the tables again."
/* ERR_PUBLICATION when it is gone, lacks tables of s (all of them are named), or leaves out kinds
 * of changes, rows or columns. */
bool source_check_publication(struct pg_conn *sql, struct task *task, const char *publication,
                              const struct schema *s, struct err *err) MUST_CHECK;

/* What pg_replication_slots says of it. */
bool source_slot(struct pg_conn *sql, struct task *task, const char *slot, struct slot_status *out,
                 struct err *err) MUST_CHECK;
/* ERR_SLOT_MISSING, ERR_SLOT_LOST, or ERR_SLOT_AHEAD when WAL between our progress and the slot's
 * confirmed position could not be had any more. */
bool source_check_slot(struct pg_conn *sql, struct task *task, const char *slot, lsn_t progress,
                       struct err *err) MUST_CHECK;
/* Drops the slot; missing is fine. ERR_SQL 55006 when something holds it: see source_free_slot. */
bool source_drop_slot(struct pg_conn *sql, struct task *task, const char *slot, int limit_ms,
                      struct err *err) MUST_CHECK;
/* Waits until nothing holds the slot, at most limit_ms; ERR_SLOT_ACTIVE names the holder. A holder
 * whose application_name is app is an earlier connection of this mirror and is ended; with NULL any
 * holder is. */
bool source_free_slot(struct pg_conn *sql, struct task *task, const char *slot, const char *app,
                      int limit_ms, struct err *err) MUST_CHECK;
/* Adds to err's hint which transactions the creation of a slot waits for. */
void source_explain_slot_wait(struct pg_conn *sql, struct task *task, struct err *err);

#endif
