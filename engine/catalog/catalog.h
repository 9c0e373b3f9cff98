/* The catalog: an SQLite file (WAL mode) in the state directory that holds configuration and
 * history: peers, mirrors, table mappings, users, tokens, runs, logs. Losing it loses
 * configuration, never data: progress lives at the destination. The only room with sqlite3.h.
 *
 * One handle, its own leaf lock inside: every function may be called from any thread, and waits
 * for the disk. A change is on disk (synchronous=FULL) before its function returns. Peer passwords
 * are encrypted (libsodium secretbox; key file "secret.key", mode 0600, refused when it is open to
 * others, made when missing and no secret exists yet). */
#ifndef BUNNY_CATALOG_H
#define BUNNY_CATALOG_H

#include "engine.h"

struct catalog;

/* Opens or creates DIR/catalog.db, migrates it to this program's schema version; refuses a newer
 * one, and a damaged file, with a sentence that says what to do. */
bool catalog_open(const char *dir, struct catalog **out, struct err *err) MUST_CHECK;
void catalog_close(struct catalog *c);
const char *catalog_sqlite_version(void);
const char *catalog_sodium_version(void);

/* Peers. Those handed out here hold the decrypted password: engine-internal; free with peer_free.
 */
bool catalog_peer_insert(struct catalog *c, const struct peer *p, struct err *err) MUST_CHECK;
bool catalog_peer_update(struct catalog *c, const char *name, const struct peer *p, unsigned fields,
                         struct err *err) MUST_CHECK;
/* ERR_PEER_IN_USE names the mirrors. */
bool catalog_peer_delete(struct catalog *c, const char *name, struct err *err) MUST_CHECK;
bool catalog_peer_get(struct catalog *c, const char *name, struct peer *out,
                      struct err *err) MUST_CHECK;
bool catalog_peers(struct catalog *c, struct peer_list *out, struct err *err) MUST_CHECK;

/* Where a mirror stands, as far as a restart needs to know. */
enum mirror_wish {
    WISH_RUN,    /* shall run */
    WISH_PAUSE,  /* shall stay paused */
    WISH_DELETE, /* being deleted: a tombstone until slot and publication are gone */
};
struct mirror_row {
    struct mirror_config config; /* tables: what was asked for, "*" resolved */
    char mirror_id[37];          /* a random UUID, also kept at the destination */
    enum mirror_wish wish;
    bool snapshot_done;  /* the first snapshot is complete: the stream may resume */
    bool snapshot_begun; /* of the present slot: what the destination says of it counts, and an
                          * interrupted one goes on instead of beginning anew */
    bool slot_created;   /* a slot of that name at the source is ours */
    lsn_t slot_restart;  /* that slot has let go of all WAL before it, for good; 0: not known */
    bool republish;      /* the mapping changed: the publication is to follow */
    char pending[24];    /* an operation that was accepted and is not done; empty: none */
    char pending_by[NAME_SIZE];
    int64_t pending_at; /* us */
    /* stream counters since creation survive a restart: see catalog_counters_save */
};
struct mirror_row_list {
    struct mirror_row *items;
    size_t n;
};
void mirror_row_free(struct mirror_row *m); /* the contents */
void mirror_row_list_free(struct mirror_row_list *l);
/* One transaction: the mirror and its mappings. Fills row->mirror_id. ERR_MIRROR_EXISTS;
 * ERR_SLOT_IN_USE when another mirror on the same source peer has that slot name. */
bool catalog_mirror_insert(struct catalog *c, struct mirror_row *row, struct err *err) MUST_CHECK;
bool catalog_mirror_get(struct catalog *c, const char *name, struct mirror_row *out,
                        struct err *err) MUST_CHECK;
bool catalog_mirrors(struct catalog *c, struct mirror_row_list *out, struct err *err) MUST_CHECK;
bool catalog_mirror_set(struct catalog *c, const char *name, enum mirror_wish wish,
                        bool snapshot_done, bool slot_created, struct err *err) MUST_CHECK;
/* The snapshot of the present slot can go on after an interruption; false: it begins anew. */
bool catalog_mirror_set_begun(struct catalog *c, const char *name, bool begun,
                              struct err *err) MUST_CHECK;
/* The slot needs no WAL before restart any more, and the source will not forget that; 0 with
 * another slot, of which nothing is known yet. */
bool catalog_mirror_set_restart(struct catalog *c, const char *name, lsn_t restart,
                                struct err *err) MUST_CHECK;
/* A mirror made without a snapshot copies its tables from now on. */
bool catalog_mirror_set_snapshot(struct catalog *c, const char *name, bool do_snapshot,
                                 struct err *err) MUST_CHECK;
/* Other settings; all of them are written. */
bool catalog_mirror_set_settings(struct catalog *c, const char *name,
                                 const struct mirror_settings *s, struct err *err) MUST_CHECK;
/* An accepted operation is recorded before it is answered, so that a restart goes on with it;
 * operation "" when it is done. */
bool catalog_mirror_set_pending(struct catalog *c, const char *name, const char *operation,
                                const char *by, int64_t at, struct err *err) MUST_CHECK;
bool catalog_mirror_delete(struct catalog *c, const char *name, struct err *err) MUST_CHECK;

/* --- Tables that come and go (tables.c) --- */
/* Replaces the mapping in one transaction: added tables are wished to be copied, removed ones are
 * remembered, since the stream may still bring changes of theirs, and the publication is to
 * follow (republish). */
bool catalog_mirror_set_tables(struct catalog *c, const char *mirror, const struct table_map *maps,
                               size_t n, const struct table_name_list *added,
                               const struct table_name_list *removed, struct err *err) MUST_CHECK;
/* The publication has followed. */
bool catalog_mirror_published(struct catalog *c, const char *mirror, struct err *err) MUST_CHECK;
/* A new slot begins: removed tables of before mean nothing any more, and the wishes of before only
 * where they are to be carried out beside it. */
bool catalog_mirror_renew(struct catalog *c, const char *mirror, bool keep_wishes,
                          struct err *err) MUST_CHECK;
/* Tables that are to be copied beside the stream; one that is wished for already stays one. */
bool catalog_copies_add(struct catalog *c, const char *mirror, const struct table_name *tables,
                        size_t n, struct err *err) MUST_CHECK;
bool catalog_copies(struct catalog *c, const char *mirror, struct table_name_list *out,
                    struct err *err) MUST_CHECK;
/* The same of tables whose readers shall keep the old rows until the new ones are there. They are
 * listed with the others, too; the last wish says how a table is copied. */
bool catalog_swaps_add(struct catalog *c, const char *mirror, const struct table_name *tables,
                       size_t n, struct err *err) MUST_CHECK;
bool catalog_swaps(struct catalog *c, const char *mirror, struct table_name_list *out,
                   struct err *err) MUST_CHECK;
/* None is wished for any more. */
bool catalog_copies_clear(struct catalog *c, const char *mirror, struct err *err) MUST_CHECK;
bool catalog_copies_remove(struct catalog *c, const char *mirror, const struct table_name *table,
                           struct err *err) MUST_CHECK;
/* Tables that were taken out of the mirror: their changes in the stream are to be ignored. */
bool catalog_removed(struct catalog *c, const char *mirror, struct table_name_list *out,
                     struct err *err) MUST_CHECK;

/* Row counters of a mirror's tables, written now and then and at the end of a run. Only source,
 * rows_synced, rows_inserted, rows_updated, rows_deleted, rows_missing,
 * rows_conflicting, last_synced_at count. */
bool catalog_counters_save(struct catalog *c, const char *mirror, const struct table_status *t,
                           size_t n, struct err *err) MUST_CHECK;
/* Fills the same fields of those t whose source is known; leaves the others. */
bool catalog_counters_load(struct catalog *c, const char *mirror, struct table_status *t, size_t n,
                           struct err *err) MUST_CHECK;

/* What a mirror's stream met that should not be; saved in the place of what was there. */
bool catalog_troubles_save(struct catalog *c, const char *mirror, const struct row_trouble *list,
                           size_t n, struct err *err) MUST_CHECK;
/* Caller frees *out. */
bool catalog_troubles_load(struct catalog *c, const char *mirror, struct row_trouble **out,
                           size_t *n, struct err *err) MUST_CHECK;

#define CATALOG_DIGEST_SIZE 40
/* How definitions differed when they were last compared, and what the source's were like then:
 * findings without items; saved in the place of what was there, also when there are none. */
bool catalog_differences_save(struct catalog *c, const char *mirror, const struct findings *f,
                              const char *digest, struct err *err) MUST_CHECK;
/* Caller frees *out; is_known: they were compared. digest is empty where it is not known. */
bool catalog_differences_load(struct catalog *c, const char *mirror, struct findings *out,
                              bool *is_known, char digest[CATALOG_DIGEST_SIZE],
                              struct err *err) MUST_CHECK;

/* The history of runs; the newest 1,000 of a mirror are kept. A run that has no end when the
 * catalog is opened ends as "interrupted". */
bool catalog_run_begin(struct catalog *c, const char *mirror, const char *kind, int64_t *run_id,
                       struct err *err) MUST_CHECK;
/* Who let it begin, or ended it: a command and its user ("resume by ana"); NULL: stays as it is. */
bool catalog_run_asked(struct catalog *c, int64_t run_id, const char *begun_by,
                       const char *ended_by, struct err *err) MUST_CHECK;
bool catalog_run_end(struct catalog *c, int64_t run_id, const char *end, const char *error,
                     struct err *err) MUST_CHECK;
/* What happened in a run, in order; only its newest 500 events are kept. */
bool catalog_run_events(struct catalog *c, int64_t run_id, const struct run_event *events, size_t n,
                        struct err *err) MUST_CHECK;
/* Newest first; mirror NULL: of all. */
bool catalog_runs(struct catalog *c, const char *mirror, int limit, int64_t offset,
                  struct run_page *out, struct err *err) MUST_CHECK;

/* The last comparison of a mirror, in the place of the one before. */
bool catalog_verify_save(struct catalog *c, const char *mirror, const struct verify_report *report,
                         struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND when there was none. */
bool catalog_verify_load(struct catalog *c, const char *mirror, struct verify_report *out,
                         struct err *err) MUST_CHECK;

/* Logs: one transaction for the batch. Ids are the caller's, growing, so that a line has one
 * identity in memory and here; appending the same rows again is harmless. */
bool catalog_log_append(struct catalog *c, const struct log_row *rows, size_t n,
                        struct err *err) MUST_CHECK;
/* The highest id that was ever used; 0 in a new catalog. */
bool catalog_log_last_id(struct catalog *c, int64_t *id, struct err *err) MUST_CHECK;
/* Rows older than keep_days go, and all but the newest million. */
bool catalog_log_prune(struct catalog *c, int keep_days, struct err *err) MUST_CHECK;
bool catalog_logs(struct catalog *c, const char *mirror, enum log_level least, bool exact,
                  const char *search, int limit, int64_t offset, struct log_page *out,
                  struct err *err) MUST_CHECK;

/* Users and tokens: as the engine_user_… and engine_token_… functions of engine.h. */
bool catalog_users(struct catalog *c, struct user_list *out, struct err *err) MUST_CHECK;
bool catalog_user_get(struct catalog *c, const char *name, struct user *out,
                      struct err *err) MUST_CHECK;
bool catalog_user_insert(struct catalog *c, const struct user *u, struct err *err) MUST_CHECK;
bool catalog_user_delete(struct catalog *c, const char *name, struct err *err) MUST_CHECK;
bool catalog_user_password(struct catalog *c, const char *name, const char *hash, const char *keep,
                           struct err *err) MUST_CHECK;
bool catalog_token_insert(struct catalog *c, const char *token_hash, const char *user,
                          int64_t expires_at, struct err *err) MUST_CHECK;
bool catalog_token_user(struct catalog *c, const char *token_hash, struct user *out,
                        int64_t *expires_at, struct err *err) MUST_CHECK;
bool catalog_token_delete(struct catalog *c, const char *token_hash, struct err *err) MUST_CHECK;

#endif
