/* What the files that run a mirror's thread share: mirror.c (life), run.c (one run), setup.c (first
 * snapshot), delete.c (removal), show.c (publishing). All of it belongs to the mirror's thread,
 * except where the lock is named. */
#ifndef BUNNY_MIRROR_PRIVATE_H
#define BUNNY_MIRROR_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "control/history.h"
#include "control/mirror.h"
#include "schema/schema.h"
#include "stream/progress.h"
#include "stream/source.h"

struct command {
    enum mirror_command kind;
    int64_t posted_at; /* monotonic ms */
    bool is_taken, is_done;
    int refs; /* the caller's and the mirror's */
    bool ok;
    struct err err;
    char *note;
};

struct mirror {
    struct engine *engine;
    struct mirror_row
        row; /* config: immutable; flags: the thread's, written to the catalog first */
    struct board *board;
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* leaf: command, is_ended */
    pthread_cond_t answered;
    struct command *command;
    bool is_ended, is_gone;
    int wake_fd;
    atomic_bool shall_stop, shall_reconnect;

    struct task task;            /* of every wait of the thread */
    struct mirror_status live;   /* what the thread publishes; tables below */
    struct table_status *tables; /* one for each of schema->tables; parents have no source */
    size_t n_tables;
    struct finding *findings;
    size_t n_findings;
    lsn_t safe;
    int64_t published_at, counted_at, saved_at; /* monotonic ms */
    bool is_dirty;
    int64_t rows_before, bytes_before, rows_total, bytes_total; /* for the rates */
    int64_t rows_copied; /* sum over the tables at the last look */
    int64_t retry_at;    /* monotonic ms; 0: none planned */
    bool is_held;        /* an error that waits for the operator */
    struct history history;
    int64_t last_missed_log;
};

/* --- run.c: from connecting to the end of the stream, or of the snapshot's failure -------------
 */
/* Runs until cancelled or failed; returns false in every case. */
bool mirror_run(struct mirror *m, struct err *err);

/* --- mirror.c */
/* Writes the flags to the catalog, then to m->row. */
bool mirror_save_flags(struct mirror *m, enum mirror_wish wish, bool snapshot_done,
                       struct err *err) MUST_CHECK;
/* How long to wait after so many failures in a row. */
int64_t mirror_backoff_ms(int failures);

/* Bytes of changes that one mirror may have under way to the destination. */
size_t mirror_window(const struct mirror *m);

/* What a run holds; setup.c fills and uses it too. */
struct run {
    struct mirror *m;
    struct peer source_peer, dest_peer;
    struct pg_target source_target, dest_target;
    char app[64]; /* application_name of all its sessions */
    struct pg_conn *source, *repl, *dest;
    struct schema *schema;
    struct source_identity *identity;
    struct progress *progress;
};
bool run_connect_source(struct run *r, struct err *err) MUST_CHECK;
bool run_connect_repl(struct run *r, struct err *err) MUST_CHECK;
bool run_connect_dest(struct run *r, struct err *err) MUST_CHECK;
/* setup.c: publication, slot, tables, snapshot; afterwards the stream may start. */
bool run_setup(struct run *r, struct err *err) MUST_CHECK;

/* --- delete.c
 * ------------------------------------------------------------------------------------- */
/* CMD_DELETE and CMD_FORCE_DELETE: slot, publication, bookkeeping and catalog rows go, and then
 * is_gone is set. What could not be removed is named in *err, and the mirror stays as it was; with
 * force it is named in the command's note. */
bool mirror_delete(struct mirror *m, struct command *c, struct err *err) MUST_CHECK;
/* Goes on with a deletion that the process's end, or a server, interrupted. */
void mirror_finish_deletion(struct mirror *m);

/* --- show.c
 * --------------------------------------------------------------------------------------- */
void show_state(struct mirror *m, enum mirror_state state, const char *phase);
void show_error(struct mirror *m, const struct err *err);
void show_clear_error(struct mirror *m);
/* The tables of a schema, with the counters that the catalog kept. */
void show_schema(struct mirror *m, const struct schema *s);
/* Marks a change; it is published at the next show_tick that is due. */
void show_dirty(struct mirror *m);
void show_now(struct mirror *m);
/* Heartbeat, rates, publication when due, counters to the catalog. Cheap; called in every wait. */
void show_tick(struct mirror *m);
void show_save_counters(struct mirror *m);

#endif
