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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "base/lsn.h"

struct engine;

#define NAME_SIZE 64 /* an SQL identifier or a mirror's name, and the end */

struct engine_options {
    const char *state_dir; /* exists, mode 0700, locked by the caller */
    size_t memory_budget;  /* bytes; 0: 256 MiB */
    int log_keep_days;     /* logs in the catalog; 0: 14 */
};

/* Opens the catalog (creating or migrating it) and starts every mirror that was running. (waits) */
bool engine_open(const struct engine_options *options, struct engine **out,
                 struct err *err) MUST_CHECK;
/* Stops all mirrors cleanly (what is in flight is committed or rolled back, the last position is
 * reported), joins every thread, frees everything. Takes at most about limit_ms. NULL is fine. */
void engine_close(struct engine *e, int limit_ms);
const char *engine_version(void);

/* --- Findings ------------------------------------------------------------------------------- */
enum severity {
    SEVERITY_OK,
    SEVERITY_INFO,
    SEVERITY_WARNING,
    SEVERITY_ERROR,
};
const char *severity_name(enum severity s); /* "ok" "info" "warning" "error" */

/* Something that the program recognised by itself, and what heals it. */
struct finding {
    char code[40]; /* stable snake_case */
    enum severity severity;
    char title[160];  /* what, one sentence */
    char cause[400];  /* why */
    char remedy[512]; /* what to do: the exact statement or setting */
    char action[24];  /* "retry", "resume", "resync", … or empty: the operation that heals it */
};
struct findings {
    struct finding *items;
    size_t n, cap;
};
void findings_add(struct findings *f, const char *code, enum severity severity, const char *title,
                  const char *cause, const char *remedy, const char *action);
bool findings_have_errors(const struct findings *f);
void findings_free(struct findings *f);

/* --- Peers ---------------------------------------------------------------------------------- */
struct peer {
    char *name;
    char *host;
    int port;
    char *user;
    char *password; /* NULL: none given; never filled in what the engine hands out */
    char *database;
    char *ssl_mode;
    size_t n_options; /* further libpq keywords */
    char **option_names;
    char **option_values;
    bool has_password;  /* of what the engine hands out */
    int64_t created_at; /* us */
    int64_t updated_at;
};
struct peer_list {
    struct peer *items;
    size_t n;
};
void peer_free(struct peer *p); /* the contents, not *p itself */
void peer_list_free(struct peer_list *l);

/* Which fields of a struct peer a change names. */
enum peer_field {
    PEER_HOST = 1 << 0,
    PEER_PORT = 1 << 1,
    PEER_USER = 1 << 2,
    PEER_PASSWORD = 1 << 3,
    PEER_DATABASE = 1 << 4,
    PEER_SSL_MODE = 1 << 5,
    PEER_OPTIONS = 1 << 6,
};

bool engine_peer_create(struct engine *e, const struct peer *p, struct err *err) MUST_CHECK;
bool engine_peer_update(struct engine *e, const char *name, const struct peer *p, unsigned fields,
                        struct err *err) MUST_CHECK;
bool engine_peer_delete(struct engine *e, const char *name, struct err *err) MUST_CHECK;
bool engine_peer_get(struct engine *e, const char *name, struct peer *out,
                     struct err *err) MUST_CHECK;
bool engine_peers(struct engine *e, struct peer_list *out, struct err *err) MUST_CHECK;

/* The server's answer to a test: its version, and the preflight findings of both roles. */
struct peer_report {
    char version[64]; /* "15.18" */
    int version_num;
    struct findings as_source;
    struct findings as_destination;
};
void peer_report_free(struct peer_report *r);
/* Logs in and looks. False with *err: the server could not be used at all. (waits, 10 s) */
bool engine_peer_test(struct engine *e, const char *name, struct peer_report *out,
                      struct err *err) MUST_CHECK;

struct peer_table {
    char schema[NAME_SIZE];
    char table[NAME_SIZE];
    char kind[24];          /* "table", "partitioned table" */
    int64_t estimated_rows; /* -1: never analysed */
    int64_t bytes;
    char replica_identity[16]; /* "default", "full", "index", "nothing" */
    bool has_primary_key;
    bool can_mirror;
    char reason[200]; /* why not, or a warning; may be empty */
};
struct peer_table_list {
    struct peer_table *items;
    size_t n;
};
void peer_table_list_free(struct peer_table_list *l);
/* Ordinary tables and partitioned roots, no system schemas. (waits, 10 s) */
bool engine_peer_tables(struct engine *e, const char *name, struct peer_table_list *out,
                        struct err *err) MUST_CHECK;

/* --- Mirrors: what is configured ------------------------------------------------------------ */
struct table_map {
    char source_schema[NAME_SIZE];
    char source_table[NAME_SIZE]; /* "*" in a request: every table of the schema */
    char dest_schema[NAME_SIZE];  /* empty in a request: the source's */
    char dest_table[NAME_SIZE];
    size_t n_exclude;
    char **exclude; /* column names */
    char partition_key[NAME_SIZE];
};
void table_map_free(struct table_map *m); /* the contents */

struct mirror_config {
    char name[NAME_SIZE];
    char source_peer[NAME_SIZE];
    char dest_peer[NAME_SIZE];
    size_t n_tables;
    struct table_map *tables;
    bool do_initial_snapshot;
    int64_t snapshot_num_rows_per_partition;
    int snapshot_max_parallel_workers;
    int snapshot_num_tables_in_parallel;
    int64_t cdc_batch_size;
    int cdc_sync_interval_seconds;
    char publication[NAME_SIZE]; /* empty in a request: the default name */
    char slot[NAME_SIZE];
    bool replicate_indexes;
    bool replicate_foreign_keys;
    char resync_strategy[16]; /* "truncate", "swap" */
    char schema_changes[16];  /* "manual", "auto" */
    char on_table_error[16];  /* "stop", "set_aside" */
    int64_t created_at;
};
/* Fills in every default of the contract. */
void mirror_config_init(struct mirror_config *c);
void mirror_config_free(struct mirror_config *c); /* the contents */

/* Checks everything, asks both servers (preflight, 10 s), records the mirror and starts its
 * thread. With ERR_PREFLIGHT the findings say all that is wrong; then nothing was created. findings
 * may be NULL; else freed by the caller in every case. (waits) */
bool engine_mirror_create(struct engine *e, const struct mirror_config *c,
                          struct findings *findings, struct err *err) MUST_CHECK;
bool engine_mirror_config(struct engine *e, const char *name, struct mirror_config *out,
                          struct err *err) MUST_CHECK;

/* --- Mirrors: commands (wait until done, at most limit_ms; then ERR_TIMEOUT, and it goes on) ---
 */
bool engine_mirror_pause(struct engine *e, const char *name, int limit_ms,
                         struct err *err) MUST_CHECK;
bool engine_mirror_resume(struct engine *e, const char *name, int limit_ms,
                          struct err *err) MUST_CHECK;
/* Skips the back-off and starts a new run; recreate_slot forces a new slot and snapshot. */
bool engine_mirror_retry(struct engine *e, const char *name, bool recreate_slot,
                         struct err *err) MUST_CHECK;
/* Stops, drops slot, publication and bookkeeping, forgets. force: forgets even when a server cannot
 * be reached; left_behind (may be NULL, caller frees) then says what is left. */
bool engine_mirror_delete(struct engine *e, const char *name, bool force, int limit_ms,
                          char **left_behind, struct err *err) MUST_CHECK;

/* --- Mirrors: what is published -------------------------------------------------------------- */
enum mirror_state {
    MIRROR_INITIALIZING,
    MIRROR_SNAPSHOTTING,
    MIRROR_RUNNING,
    MIRROR_PAUSED,
    MIRROR_ERROR,
    MIRROR_STOPPED,
};
const char *mirror_state_name(enum mirror_state s);

struct table_status {
    char source[2 * NAME_SIZE + 2]; /* "schema.table" */
    char dest[2 * NAME_SIZE + 2];
    char state[16];      /* "queued", "copying", "indexing", "copied", "streaming", "error" */
    int64_t rows_synced; /* by the snapshot */
    int64_t rows_inserted, rows_updated, rows_deleted; /* by the stream, since creation */
    int64_t rows_missing;                              /* updates and deletes that found no row */
    int64_t bytes_done, bytes_total;                   /* of the snapshot; heap bytes, estimated */
    int64_t rows_total;                                /* estimated; -1 unknown */
    int workers;                                       /* copying it now */
    int indexes_done, indexes_total;
    int64_t last_synced_at; /* us */
    char error[256];
};

#define LAG_HISTORY 60 /* samples, 5 s apart, oldest first */

struct slot_status {
    int64_t sampled_at; /* us; 0: never */
    bool exists;
    bool active;
    int active_pid;
    char wal_status[16];
    lsn_t confirmed_flush;
    lsn_t restart;
    int64_t retained_bytes;
    int64_t safe_wal_size; /* -1: no limit */
};

struct mirror_status {
    char name[NAME_SIZE];
    char source_peer[NAME_SIZE];
    char dest_peer[NAME_SIZE];
    char slot_name[NAME_SIZE];
    char publication[NAME_SIZE];
    enum mirror_state state;
    char phase[24];
    char operation[24]; /* the one that holds the mirror; empty: none */
    lsn_t last_lsn;     /* applied and durable at the destination */
    lsn_t source_lsn;   /* the source's WAL end at the last sample */
    int64_t lag_bytes;  /* -1: not known */
    double lag_seconds; /* -1: not known */
    int64_t last_batch_id;
    struct err error;      /* code ERR_NONE: none */
    int error_count;       /* in a row */
    int64_t error_at;      /* us */
    int64_t next_retry_at; /* us; 0: none is planned */
    int64_t heartbeat_at;  /* us */
    struct slot_status slot;
    double rows_per_second, bytes_per_second;
    int tables_done, tables_total; /* of the snapshot */
    int64_t bytes_done, bytes_total;
    int64_t eta_seconds; /* -1: not known */
    size_t n_findings;
    const struct finding *findings;
    size_t n_tables;
    const struct table_status *tables;
    float lag_history[LAG_HISTORY]; /* seconds; negative: no sample */
    int64_t state_since;            /* us */
    int64_t created_at, updated_at; /* us */
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

/* --- Logs ------------------------------------------------------------------------------------ */
struct log_row {
    int64_t id;
    struct log_line line;
};
struct log_page {
    struct log_row *rows; /* newest first */
    size_t n;
    int64_t total;
};
void log_page_free(struct log_page *p);
/* From the catalog. search: part of the text, case-insensitively, or NULL; least: this level only
 * when exact, else this and above. (waits for the disk) */
bool engine_logs(struct engine *e, const char *mirror, enum log_level least, bool exact,
                 const char *search, int limit, int64_t offset, struct log_page *out,
                 struct err *err) MUST_CHECK;
/* The newest lines from memory (a ring of 2,000), oldest first, of one mirror or (NULL) of all, at
 * or above least. Returns how many were written to out. Never waits. Ids grow by one each line. */
size_t engine_log_tail(struct engine *e, const char *mirror, enum log_level least,
                       struct log_row *out, size_t max);

/* --- Users (password hashes and tokens are made by the caller; the engine only keeps them) -----
 */
struct user {
    int64_t id;
    char name[NAME_SIZE];
    char role[16]; /* "admin", "viewer" */
    char password_hash[160];
    int64_t created_at;
};
struct user_list {
    struct user *items;
    size_t n;
};
void user_list_free(struct user_list *l);
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
