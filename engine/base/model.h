/* Plain data that the engine, its catalog and its users speak of: peers, mirrors' configuration,
 * users, log pages. No behaviour but defaults, names and freeing; no locks: each value belongs to
 * whoever holds it. */
#ifndef BUNNY_MODEL_H
#define BUNNY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/findings.h"
#include "base/log.h"
#include "base/lsn.h"

#define NAME_SIZE 64 /* an SQL identifier or a mirror's name, and the end */

/* --- Peers ------------------------------------------------------------------------------------ */
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
/* Whether an option's value is a secret: stored sealed, never handed out. */
bool peer_option_is_secret(const char *name);
/* What stands for such a value where it is shown; in a change it means: the stored one stays. */
#define PEER_HIDDEN "********"

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

/* The server's answer to a test: its version, and the preflight findings of both roles. */
struct peer_report {
    char version[64]; /* "15.18" */
    int version_num;
    struct findings as_source;
    struct findings as_destination;
};
void peer_report_free(struct peer_report *r);

struct peer_table {
    char schema[NAME_SIZE];
    char table[NAME_SIZE];
    char kind[24];          /* "table", "partitioned table" */
    int64_t estimated_rows; /* -1: never analysed */
    int64_t bytes;
    char replica_identity[16]; /* "default", "full", "index", "nothing" */
    bool has_primary_key;
    bool can_mirror;
    char reason[200];          /* why not, or empty */
    char extension[NAME_SIZE]; /* that it belongs to; "schema.*" leaves it out; empty: none */
};
struct peer_table_list {
    struct peer_table *items;
    size_t n;
};
void peer_table_list_free(struct peer_table_list *l);

/* --- Mirrors ---------------------------------------------------------------------------------- */
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
void table_map_copy(struct table_map *to, const struct table_map *from);
/* Whether both put the same columns of the same table into the same place. */
bool table_map_is_same(const struct table_map *a, const struct table_map *b);

/* A table of the source, as its catalog names it. */
struct table_name {
    char schema[NAME_SIZE];
    char table[NAME_SIZE];
};
struct table_name_list {
    struct table_name *items;
    size_t n;
};
void table_name_list_free(struct table_name_list *l);
bool table_name_list_has(const struct table_name_list *l, const char *schema, const char *table);

/* What may be changed later on, without another copy of the tables; see settings.h. */
#define SETTING_WORD_SIZE 16
#define MIRROR_SETTINGS                                               \
    int64_t snapshot_num_rows_per_partition;                          \
    int snapshot_max_parallel_workers;                                \
    int snapshot_num_tables_in_parallel;                              \
    int64_t cdc_batch_size;                                           \
    int cdc_sync_interval_seconds;                                    \
    bool replicate_indexes;                                           \
    bool replicate_foreign_keys;                                      \
    char resync_strategy[SETTING_WORD_SIZE]; /* "truncate", "swap" */ \
    char schema_changes[SETTING_WORD_SIZE];  /* "manual", "auto" */   \
    char dropped_columns[SETTING_WORD_SIZE]; /* "keep", "drop" */     \
    char on_table_error[SETTING_WORD_SIZE];  /* "stop", "set_aside" */
struct mirror_settings {
    MIRROR_SETTINGS
};

struct mirror_config {
    char name[NAME_SIZE];
    char source_peer[NAME_SIZE];
    char dest_peer[NAME_SIZE];
    size_t n_tables;
    struct table_map *tables;
    /* Where tables are some of a mirror's: all of them, which say where partitions go that are in
     * another schema than their table. Borrowed; NULL: tables are all. */
    size_t n_all;
    const struct table_map *all;
    bool do_initial_snapshot;
    char publication[NAME_SIZE]; /* empty in a request: the default name */
    char slot[NAME_SIZE];
    union { /* the same, one by one and as a whole */
        struct {
            MIRROR_SETTINGS
        };
        struct mirror_settings settings;
    };
    int64_t created_at;
};
/* Fills in every default of the contract. */
void mirror_config_init(struct mirror_config *c);
void mirror_config_free(struct mirror_config *c); /* the contents */

enum mirror_state {
    MIRROR_INITIALIZING,
    MIRROR_SNAPSHOTTING,
    MIRROR_RUNNING,
    MIRROR_PAUSED,
    MIRROR_ERROR,
    MIRROR_STOPPED, /* being deleted */
};
#define MIRROR_STATE_COUNT (MIRROR_STOPPED + 1)
const char *mirror_state_name(enum mirror_state s);

/* What the stream met at the destination that should not be, by mapped table; until it is resolved.
 */
struct row_trouble {
    char code[24];                  /* of its finding: "rows_missing", "row_conflict", … */
    char source[2 * NAME_SIZE + 2]; /* "schema.table", as it is mapped */
    int64_t count;                  /* changes */
    int64_t first_at, last_at;      /* us */
    /* the last of them: */
    char operation[8];
    char key[320]; /* "(id)=(5)"; empty: nothing names it */
    lsn_t lsn;     /* where its transaction committed at the source */
};

/* A run of a mirror: from connecting to a failure or a command. */
struct run_event { /* a new state or phase */
    int64_t at;    /* us */
    char state[16];
    char phase[24];
    char *text; /* of an error; NULL: none */
};
#define ASKED_SIZE (2 * NAME_SIZE + 8) /* a command, " by ", and a user */
struct run_row {
    int64_t id;
    char mirror[NAME_SIZE];
    char kind[16];
    int64_t began_at, ended_at; /* us; ended_at 0: it goes on */
    char ending[16];            /* "stopped", "failed", "interrupted"; empty: it goes on */
    /* The command that let it begin, or ended it, and who gave it: "resume by ana"; empty: nobody.
     */
    char begun_by[ASKED_SIZE], ended_by[ASKED_SIZE];
    char *error; /* NULL: none */
    size_t n_events;
    struct run_event *events; /* oldest first */
};
struct run_page {
    struct run_row *rows; /* newest first */
    size_t n;
    int64_t total;
};
void run_event_free(struct run_event *e); /* the contents */
void run_page_free(struct run_page *p);

/* --- Differences of definitions --------------------------------------------------------------- */
enum step_kind {
    STEP_RUN,    /* sync-schema runs it */
    STEP_MANUAL, /* a difference that is left to the operator: why says the reason */
    STEP_NOTE,   /* nothing to do, worth knowing */
};
const char *step_kind_name(enum step_kind k); /* "run" "manual" "note" */

/* What a step makes right. */
enum step_about {
    STEP_ABOUT_DEFINITION, /* tables, columns, types, …: all but these: */
    STEP_ABOUT_INDEX,
    STEP_ABOUT_CONSTRAINT,
};

struct schema_step {
    enum step_kind kind;
    enum step_about about;
    char *sql;   /* what is run, or what the operator may run; NULL: no statement does it */
    char *what;  /* "add column public.t.c" */
    char *table; /* at the destination, "public.t"; NULL: of no single table */
    char *why;   /* a sentence; NULL with STEP_RUN */
    /* A new table, or one whose rows are not what the source has once the step was run: what is
     * mapped by the configuration's tables[mapping] is to be copied (again). */
    bool needs_copy;
    int mapping; /* -1: none */
    /* Of STEP_RUN only. */
    bool is_optional;  /* tried: a failure is a warning */
    bool is_refusable; /* left out with a warning when the server refuses what it says */
    bool runs_first;   /* by itself before the transaction of all others, and cannot be undone */
    bool is_late;  /* right only once the stream has applied all up to the plan's lsn: older rows
                    * that are still to come need the default, or lack the constraint */
    bool at_point; /* right only where the stream meets the source's change (a new name): older
                    * rows do not fit any more, newer ones do not fit before. Those of tables the
                    * stream follows by itself; others are run where it has stopped */
    bool is_with_type; /* with at_point: of no table's change, but of a type's */
    char *left_sql;    /* with at_point: what is remembered instead while it is left; or NULL */
    char *done_sql;    /* what is remembered besides once it is run; or NULL */
    char *needs;       /* statement of the step without which this one means nothing; or NULL */
    bool makes_table;
    bool names_table; /* that is there already: the stream looks for it by the source's name */
    bool is_of_type;  /* of a label, an attribute, a domain's constraint … */
    uint32_t oid;     /* of the table at the source; 0: of none */
    /* STEP_NOTE: the destination has refused it before, why says how; each run tries it again. */
    bool is_refused;
    lsn_t since; /* an earlier plan had it already, with this lsn; 0: none */
};
/* In the order in which the steps are run. */
struct schema_plan {
    struct schema_step *items;
    size_t n, cap;
    lsn_t lsn;        /* of the source, when its definitions had been read */
    char *record_sql; /* what is remembered at the destination about this; run along, never shown */
    char *mirror_id;  /* in whose book of parts it is remembered what was refused; NULL: nowhere */
};
/* Where the stream stands when a plan is run. */
struct schema_point {
    lsn_t applied;   /* everything that committed at the source before this is applied */
    bool is_waiting; /* it has stopped at a change that does not fit the destination */
};
void schema_step_free(struct schema_step *s); /* the contents */
/* The strings of step are taken over. */
void schema_plan_add(struct schema_plan *p, struct schema_step step);
/* Is it STEP_RUN, and is this the time for it? */
bool schema_step_is_due(const struct schema_plan *p, const struct schema_step *s,
                        const struct schema_point *at);
/* Is it a refused one, and is this the time to try it again? */
bool schema_step_is_tried(const struct schema_plan *p, const struct schema_step *s,
                          const struct schema_point *at);
/* What the destination lacks: a note with a statement. */
bool schema_step_is_left_out(const struct schema_step *s);
/* Steps that a run runs there, and those (left) that it leaves for another one, further on, refused
 * ones that it does not try yet included. left may be NULL. */
size_t schema_plan_count(const struct schema_plan *p, const struct schema_point *at, size_t *left);
void schema_plan_free(struct schema_plan *p); /* the contents */

/* --- Slots ------------------------------------------------------------------------------------ */
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
    int64_t xmin_age;      /* transactions whose dead rows VACUUM keeps for it; -1: not known. Not
                            * filled by stream/source.h */
};

/* A slot of a source: of a mirror, or of anybody else. */
struct source_slot {
    char source_peer[NAME_SIZE];
    char name[NAME_SIZE];
    char mirror[NAME_SIZE]; /* whose it is; empty: not of a mirror that reads this source */
    char type[16];          /* "logical", "physical" */
    char plugin[NAME_SIZE], database[NAME_SIZE]; /* of a logical one */
    bool is_temporary;
    struct slot_status status; /* exists false: the mirror's slot is not there */
};
/* A source and when it was asked last. */
struct source_sample {
    char peer[NAME_SIZE];
    int64_t sampled_at; /* us; of the slots that are listed; 0: never */
    lsn_t wal_end;
    char error[256]; /* why it could not be asked since; empty: it could */
};
struct slot_list {
    struct source_slot *slots; /* by source and name */
    size_t n_slots;
    struct source_sample *sources; /* by name */
    size_t n_sources;
};
void slot_list_free(struct slot_list *l); /* the contents */

/* --- Comparisons (verify) --------------------------------------------------------------------- */
#define VERIFY_MAX_ROWS 100 /* named for each table; the counts are exact whatever their number */

enum verify_state {
    VERIFY_QUEUED,
    VERIFY_COMPARING, /* range by range */
    VERIFY_NARROWING, /* something differs: row by row */
    VERIFY_EQUAL,
    VERIFY_DIFFERENT,
    VERIFY_LEFT_OUT,   /* not compared this time: the reason says why */
    VERIFY_FAILED,     /* could not be compared: the reason says why */
    VERIFY_UNFINISHED, /* the comparison ended before its turn was over */
};
/* "queued" "comparing" "narrowing" "equal" "different" "left_out" "failed" "unfinished" */
const char *verify_state_name(enum verify_state s);

enum verify_kind {
    VERIFY_MISSING,   /* at the source only */
    VERIFY_EXTRA,     /* at the destination only */
    VERIFY_DIFFERING, /* on both sides, not the same */
};
const char *verify_kind_name(enum verify_kind k); /* "missing" "extra" "differing" */

struct verify_row {
    enum verify_kind kind;
    bool is_repaired; /* it was so before, and is not any more */
    size_t n_values;
    char **values; /* of the key's columns, as the server prints them; without a key one value: the
                    * row itself, as a record, its first VERIFY_ROW_CHARS characters */
};
#define VERIFY_ROW_CHARS 1000

struct verify_table {
    char source_schema[NAME_SIZE], source_table[NAME_SIZE];
    char dest_schema[NAME_SIZE], dest_table[NAME_SIZE];
    enum verify_state state;
    char *reason;                   /* NULL: none */
    int64_t source_rows, dest_rows; /* seen so far */
    /* Rows, all of them once the state is EQUAL or DIFFERENT. Without a key a changed row is one
     * that is missing and one that is extra. */
    int64_t equal, differing, missing, extra;
    int64_t repaired; /* rows, before this comparison: verify with repair */
    size_t n_key;     /* columns that name a row; 0: the table has no key that could */
    char **key;
    size_t n_rows; /* named, at most VERIFY_MAX_ROWS */
    struct verify_row *rows;
};
void verify_table_free(struct verify_table *t); /* the contents */
/* Pairs of rows, and rows without a partner. */
int64_t verify_rows_compared(const struct verify_table *t);

struct verify_report {
    lsn_t lsn;                  /* of the source: both sides are compared as of this position */
    int64_t began_at, ended_at; /* us; ended_at 0: it goes on */
    char ending[16];            /* "complete", "cancelled", "failed"; empty: it goes on */
    char *error;                /* of a failed one; NULL: none */
    size_t n_tables;
    struct verify_table *tables;
};
void verify_report_free(struct verify_report *r); /* the contents */

/* --- Logs ------------------------------------------------------------------------------------- */
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

/* --- Users ------------------------------------------------------------------------------------ */
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

#endif
