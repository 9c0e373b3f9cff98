/* THE public interface of the replication engine: peers, mirrors, users, logs, and the published
 * picture of all mirrors. It knows neither curses nor HTTP. Both faces of the process (console and
 * HTTP listener) call nothing else.
 *
 * Threads: every function may be called from any thread between engine_open and engine_close.
 * Functions marked (waits) may take as long as their limit, since a server or the disk is asked;
 * the console calls those from a helper thread. The others return at once.
 * Memory: what a function hands out is freed with the named function; arguments are borrowed for
 * the call. Errors: false or NULL, with *err filled. */
#ifndef BUNNY_ENGINE_H
#define BUNNY_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/commands.h"
#include "base/cutover.h"
#include "base/err.h"
#include "base/report.h"
#include "base/findings.h"
#include "base/log.h"
#include "base/lsn.h"
#include "base/model.h"
#include "base/settings.h"
#include "base/survey.h"

struct engine;

/* What happens by itself when a slot keeps 80 % of the WAL that it may keep. */
enum wal_action {
    WAL_ALARM,     /* a finding says so, as in all cases */
    WAL_PAUSE,     /* and the mirror is paused, once until there is room again; its slot stays */
    WAL_DROP_SLOT, /* and it is paused, and its slot dropped: the source goes on */
};

struct engine_options {
    const char *state_dir;   /* exists, mode 0700, locked by the caller */
    size_t memory_budget;    /* bytes; 0: 256 MiB */
    int64_t index_memory;    /* bytes, at a destination, for a copy's indexes; 0: 2 GiB */
    int64_t decoding_memory; /* bytes, at a source, for what one mirror decodes; 0: 256 MiB */
    int log_keep_days;       /* logs in the catalog; 0: 14 */
    int sequence_interval_s; /* how often sequences are looked at; 0: 10 */
    int lag_alarm_s;         /* from when on a mirror that is behind gets a finding; 0: 60 */
    int64_t wal_room;        /* bytes of WAL that a slot may keep where the source has no limit */
    enum wal_action wal_action;
    bool catalog_only; /* start no mirror: for a command on a state directory nobody runs */
};

/* Opens the catalog (creating or migrating it) and starts every mirror that was running. (waits) */
bool engine_open(const struct engine_options *options, struct engine **out,
                 struct err *err) MUST_CHECK;
/* Stops all mirrors cleanly (what is in flight is committed or rolled back, the last position is
 * reported), joins every thread, frees everything. Takes at most about limit_ms, all waits counted.
 * NULL is fine. */
void engine_close(struct engine *e, int limit_ms);
/* The process is about to stop: every call that waits now, and every later one, ends with
 * ERR_SHUTTING_DOWN within about 100 ms, so that all callers are gone before engine_close. All
 * threads of the engine begin to end at once, so that none waits for another one's end. */
void engine_interrupt(struct engine *e);
const char *engine_version(void);

/* --- Peers ---------------------------------------------------------------------------------- */
bool engine_peer_create(struct engine *e, const struct peer *p, struct err *err) MUST_CHECK;
bool engine_peer_update(struct engine *e, const char *name, const struct peer *p, unsigned fields,
                        struct err *err) MUST_CHECK;
bool engine_peer_delete(struct engine *e, const char *name, struct err *err) MUST_CHECK;
bool engine_peer_get(struct engine *e, const char *name, struct peer *out,
                     struct err *err) MUST_CHECK;
bool engine_peers(struct engine *e, struct peer_list *out, struct err *err) MUST_CHECK;

/* Logs in and looks. False with *err: the server could not be used at all. (waits, 10 s) */
bool engine_peer_test(struct engine *e, const char *name, struct peer_report *out,
                      struct err *err) MUST_CHECK;

/* Ordinary tables and partitioned roots, no system schemas. (waits, 10 s) */
bool engine_peer_tables(struct engine *e, const char *name, struct peer_table_list *out,
                        struct err *err) MUST_CHECK;

/* What a mirror of all tables of source would meet, as preflight of engine_mirror_create and more;
 * changes nothing anywhere. dest: a peer that they shall go to, or NULL. False with *err: one of
 * the peers is not known, or the source cannot be reached. out: survey_free in every case. (waits,
 * 30 s) */
bool engine_peer_check(struct engine *e, const char *source, const char *dest, struct survey *out,
                       struct err *err) MUST_CHECK;

/* --- Mirrors: what is configured ------------------------------------------------------------ */
/* Checks everything, asks both servers (preflight, 10 s), records the mirror and starts its
 * thread. With ERR_PREFLIGHT the findings say all that is wrong; then nothing was created. findings
 * may be NULL; else freed by the caller in every case. (waits) */
bool engine_mirror_create(struct engine *e, const struct mirror_config *c,
                          struct findings *findings, struct err *err) MUST_CHECK;
bool engine_mirror_config(struct engine *e, const char *name, struct mirror_config *out,
                          struct err *err) MUST_CHECK;
/* Tables of its source that the mirror does not have. (waits, 10 s) */
bool engine_mirror_available_tables(struct engine *e, const char *name, struct peer_table_list *out,
                                    struct err *err) MUST_CHECK;

/* --- Mirrors: commands ------------------------------------------------------------------------ */
struct mirror_request {
    enum mirror_command command; /* all but MIRROR_SET_TABLES */
    const char *by;              /* who asks; stands in the refusals that others get */
    const char *table;           /* MIRROR_RESYNC_TABLE: "schema.table" of the source */
    const char *strategy;        /* resyncs: "truncate" or "swap"; NULL: the mirror's own */
    /* MIRROR_CHANGE: the values of those whose bits (settings.h) are in changes. */
    const struct mirror_settings *settings;
    unsigned changes;
};
/* Carries the command out, or refuses it as commands.h says; waits at most limit_ms, then
 * ERR_TIMEOUT, and it goes on. Pause and delete are done when it returns true; what takes long
 * (retry, resync, sync-schema, verify) is accepted then, and goes on after a restart, too. note
 * (may be NULL, caller frees): what a forced deletion left behind; what was changed by a change of
 * settings, and when that is in effect. Changed settings are recorded when it returns true. What
 * can be is in effect at once, the rest with the next run: a mirror that streams begins it by
 * itself, right away or, since those would begin anew, once the copies and the comparison that are
 * under way have ended; a failed one tries again at once. */
bool engine_mirror_command(struct engine *e, const char *name, const struct mirror_request *r,
                           int limit_ms, char **note, struct err *err) MUST_CHECK;
/* MIRROR_SET_TABLES: another set of tables for a paused mirror. Asks both servers about tables that
 * are new or mapped anew, as engine_mirror_create does (ERR_PREFLIGHT: see findings; nothing was
 * changed); those are copied when the mirror is resumed. findings may be NULL. (waits) */
bool engine_mirror_set_tables(struct engine *e, const char *name, const char *by,
                              const struct table_map *tables, size_t n_tables,
                              struct findings *findings, struct err *err) MUST_CHECK;
/* What MIRROR_SYNC_SCHEMA would do now; free with schema_plan_free. (waits, 10 s a server) */
bool engine_mirror_schema_plan(struct engine *e, const char *name, struct schema_plan *out,
                               struct err *err) MUST_CHECK;

/* --- Mirrors: what is published -------------------------------------------------------------- */
struct table_status {
    char source[2 * NAME_SIZE + 2]; /* "schema.table" */
    char dest[2 * NAME_SIZE + 2];
    char state[16];      /* "queued", "copying", "indexing", "copied", "catching_up",
                          * "streaming", "error" */
    int64_t rows_synced; /* by the snapshot */
    int64_t rows_inserted, rows_updated, rows_deleted; /* by the stream, since creation */
    int64_t rows_missing;     /* updates and deletes that found no row, since it was last copied */
    int64_t rows_conflicting; /* changes that a row at the destination was in the way of */
    int64_t bytes_done, bytes_total; /* of the snapshot, with indexes; estimated */
    int64_t rows_total;              /* estimated; -1 unknown */
    int workers;                     /* copying it now */
    int indexes_done, indexes_total;
    int64_t last_synced_at; /* us */
    char error[256];
};

#define LAG_HISTORY 60   /* samples, 5 s apart, oldest first */
#define ERROR_HISTORY 12 /* parts of an hour, oldest first */

/* What a mirror has done since the process started; these only grow. */
struct mirror_counters {
    int64_t rows_copied; /* by snapshots */
    int64_t rows_inserted, rows_updated, rows_deleted;
    int64_t rows_missing;          /* updates and deletes that found no row */
    int64_t rows_conflicting;      /* changes that a row at the destination was in the way of */
    int64_t batches, transactions; /* of the destination, of the source */
    int64_t bytes;                 /* of changes, as they came from the source */
    int64_t busy_us;               /* while changes were on their way into the destination */
    int64_t errors;                /* runs that failed */
};

struct verify_status { /* of a comparison under way */
    bool is_running;
    int tables_done, tables_total; /* 0 until both sides' snapshots are there */
    int64_t rows;                  /* of the source, so far */
    int64_t bytes_done, bytes_total;
    int64_t differences; /* rows found so far */
};

struct sequence_status {
    int64_t followed;       /* sequences whose values follow the source's */
    int64_t last_synced_at; /* us; 0: not since the process started */
};

struct mirror_status {
    char name[NAME_SIZE];
    uint64_t revision; /* grows with each change; 0: none yet. No two contents have the same */
    char source_peer[NAME_SIZE];
    char dest_peer[NAME_SIZE];
    char slot_name[NAME_SIZE];
    char publication[NAME_SIZE];
    char on_table_error[16], resync_strategy[16]; /* as configured */
    struct mirror_settings settings;              /* as recorded */
    bool settings_wait;                           /* not all of them are in effect yet */
    enum mirror_state state;
    char phase[24];
    struct operation operation; /* the one that holds the mirror */
    lsn_t last_lsn;             /* applied and durable at the destination */
    lsn_t source_lsn;           /* the source's WAL end at the last sample */
    int64_t lag_bytes;          /* -1: not known */
    double lag_seconds;         /* -1: not known */
    int64_t last_batch_id;
    struct err error;      /* code ERR_NONE: none */
    int error_count;       /* in a row */
    int64_t error_at;      /* us */
    int64_t next_retry_at; /* us; 0: none is planned */
    int64_t heartbeat_at;  /* us */
    struct slot_status slot;
    double rows_per_second, bytes_per_second;
    struct mirror_counters counters;
    int tables_done, tables_total; /* of the snapshot */
    int64_t bytes_done, bytes_total;
    int64_t eta_seconds; /* -1: not known */
    struct verify_status verify;
    struct sequence_status sequences;
    size_t n_findings;
    const struct finding *findings;
    size_t n_tables;
    const struct table_status *tables;
    float lag_history[LAG_HISTORY];   /* seconds; negative: no sample */
    float rows_history[LAG_HISTORY];  /* rows a second; negative: no sample */
    int error_history[ERROR_HISTORY]; /* as counters.errors; 0 before the process started */
    int64_t state_since;              /* us */
    int64_t created_at, updated_at;   /* us */
};

/* An immutable picture of all mirrors, sorted by name. Reference-counted. */
struct picture {
    uint64_t version;
    int64_t taken_at; /* us */
    size_t n;
    const struct mirror_status *mirrors;
};
/* The present picture; never waits for a server. Release it with picture_release. */
const struct picture *engine_picture(struct engine *e);
void picture_release(const struct picture *p);
/* Borrowed from the picture; NULL when there is no such mirror. */
const struct mirror_status *picture_find(const struct picture *p, const char *name);
/* fd (made with wake_new) is signalled, at most some times a second, after the picture or the log
 * changed; until unsubscribed. */
void engine_subscribe(struct engine *e, int fd);
void engine_unsubscribe(struct engine *e, int fd);

/* All slots of all sources that mirrors read, as they were sampled last (once a second). */
void engine_slots(struct engine *e, struct slot_list *out);

/* The last comparison (MIRROR_VERIFY) that has ended: freed with verify_report_free. ERR_NOT_FOUND
 * when there was none. (waits for the disk) */
bool engine_mirror_report(struct engine *e, const char *name, struct verify_report *out,
                          struct err *err) MUST_CHECK;

/* What stands between the mirror and a cutover: its state, lag, definitions, sequences, the last
 * comparison, who still writes at the source. Changes nothing. A server that does not answer is a
 * check that says so. give_up (may be NULL): ends it within about 100 ms once it is true. out:
 * cutover_free. (waits, at most about 60 s a server) */
bool engine_mirror_cutover(struct engine *e, const char *name, const atomic_bool *give_up,
                           struct cutover *out, struct err *err) MUST_CHECK;
/* New sessions of the mirror's source database only read from now on (ALTER DATABASE … SET
 * default_transaction_read_only), or may write again. (waits, 10 s) */
bool engine_mirror_read_only(struct engine *e, const char *name, bool on,
                             struct err *err) MUST_CHECK;

/* --- Logs and history ------------------------------------------------------------------------ */
/* From the catalog. search: part of the text, case-insensitively, or NULL; least: this level only
 * when exact, else this and above. (waits for the disk) */
bool engine_logs(struct engine *e, const char *mirror, enum log_level least, bool exact,
                 const char *search, int limit, int64_t offset, struct log_page *out,
                 struct err *err) MUST_CHECK;
/* The newest lines from memory (a ring of 2,000), oldest first, of one mirror or (NULL) of all, at
 * or above least. Returns how many were written to out. Never waits. Ids grow by one each line. */
size_t engine_log_tail(struct engine *e, const char *mirror, enum log_level least,
                       struct log_row *out, size_t max);

/* The runs of a mirror or (NULL) of all, newest first, each with its states and phases. (waits for
 * the disk) */
bool engine_mirror_runs(struct engine *e, const char *mirror, int limit, int64_t offset,
                        struct run_page *out, struct err *err) MUST_CHECK;

/* --- Bug reports ----------------------------------------------------------------------------- */
struct diagnosis {
    struct report program;             /* the program, its libraries, the machine */
    struct report source, destination; /* what their servers say; empty when there is an error */
    struct err source_error, destination_error;
};
void diagnosis_free(struct diagnosis *d);
/* Asks both servers at the same time. A server that cannot be asked is an error in the diagnosis;
 * a question that it refuses is one in its section. No passwords, row values or statements.
 * (waits, 10 s) */
bool engine_mirror_diagnose(struct engine *e, const char *name, struct diagnosis *out,
                            struct err *err) MUST_CHECK;

/* The checklist of what may be wrong with a mirror, in the order in which one looks: its status,
 * findings, history, the process's log, the source, the destination. Each is a finding: code: the
 * check; severity: SEVERITY_OK where all is well; cause: what was seen; remedy, action. Given up
 * when give_up (may be NULL) is set. out: findings_free. (waits, 10 s) */
bool engine_mirror_doctor(struct engine *e, const char *name, const atomic_bool *give_up,
                          struct findings *out, struct err *err) MUST_CHECK;

/* --- Users ------------------------------------------------------------------------------------ */
/* Password hashes and tokens are made by the caller; the engine only keeps them. */
bool engine_users(struct engine *e, struct user_list *out, struct err *err) MUST_CHECK;
bool engine_user_get(struct engine *e, const char *name, struct user *out,
                     struct err *err) MUST_CHECK;
bool engine_user_create(struct engine *e, const struct user *u, struct err *err) MUST_CHECK;
/* ERR_LAST_ADMIN for the last admin. Ends the user's tokens. */
bool engine_user_delete(struct engine *e, const char *name, struct err *err) MUST_CHECK;
/* New hash; ends all tokens of the user but keep (a token's hash, or NULL). */
bool engine_user_password(struct engine *e, const char *name, const char *password_hash,
                          const char *keep, struct err *err) MUST_CHECK;
/* token_hash is hex text; expires_at in us. */
bool engine_token_create(struct engine *e, const char *token_hash, const char *user,
                         int64_t expires_at, struct err *err) MUST_CHECK;
/* ERR_UNAUTHORIZED when unknown or expired. */
bool engine_token_user(struct engine *e, const char *token_hash, struct user *out,
                       int64_t *expires_at, struct err *err) MUST_CHECK;
bool engine_token_delete(struct engine *e, const char *token_hash, struct err *err) MUST_CHECK;

#endif
