/* What the files that run a mirror's thread share: mirror.c (life), run.c (one run), setup.c (first
 * snapshot), delete.c (removal), show.c (publishing). All of it belongs to the mirror's thread,
 * except where the lock is named. */
#ifndef BUNNY_MIRROR_PRIVATE_H
#define BUNNY_MIRROR_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "control/causes.h"
#include "control/history.h"
#include "control/mirror.h"
#include "schema/schema.h"
#include "stream/apply.h"
#include "stream/hold.h"
#include "stream/progress.h"
#include "stream/source.h"
#include "stream/stream.h"

struct snapshot_table_progress;
struct sync_stop;
struct table_sync;

struct command {
    enum mirror_command kind;
    struct operation op; /* its name, who asked, since when */
    char *table;         /* as in struct mirror_request; owned */
    char *strategy;
    struct table_map *tables; /* of MIRROR_SET_TABLES; owned */
    size_t n_tables;
    struct mirror_settings settings; /* of MIRROR_CHANGE: those of changes */
    unsigned changes;
    bool is_taken, is_done;
    int refs; /* the caller's and the mirror's */
    bool ok;
    struct err err;
    char *note;
};

struct mirror {
    struct engine *engine;
    /* config: immutable but for its tables and settings; those and the flags are the thread's,
     * written to the catalog first. Settings change between two runs only, but for live ones. */
    struct mirror_row row;
    struct mirror_settings wanted; /* recorded, and not in effect yet, if has_wanted */
    bool has_wanted;
    struct board *board;
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* leaf: command, is_ended, is_gone, source_seen */
    pthread_cond_t answered;
    struct command *command;
    bool is_ended, is_gone;
    struct mirror_seen source_seen;
    char files[40];          /* the same of its tables' files, as the sampler saw them */
    struct mirror_keys keys; /* see mirror_keys; under the lock */
    int wake_fd;
    atomic_bool shall_stop, shall_reconnect, shall_compare, shall_refresh, is_republishing;

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
    int64_t resumed_at;  /* monotonic ms: a snapshot goes on; what it had then: */
    int64_t resumed_bytes;
    int64_t ready_at;   /* monotonic ms: all rows are in, and it is expected to stream; 0: none */
    int64_t retry_at;   /* monotonic ms; 0: none planned */
    bool is_held;       /* an error that waits for the operator */
    struct err failure; /* the error that live.error names for the operator; as it came */
    int asked;          /* failures in a row that do not go away by themselves */
    bool takes_slot;    /* the next run ends whoever holds the slot */
    struct history history;
    struct hold *hold;                 /* the stream stands still by it; thread-safe by itself */
    struct verification *verification; /* a comparison under way; NULL: none */
    bool is_syncing;                   /* sync-schema is under way */
    lsn_t sync_after;                  /* it goes on when all before is applied; 0: at once */
    struct row_trouble *troubles;      /* what the stream met that should not be */
    size_t n_troubles, cap_troubles;
    bool has_new_trouble; /* not in the catalog yet */
    int64_t trouble_saved_at, missed_window_at;
    int64_t missed_lines, missed_unlogged; /* in the log's present window, and before it */
    struct findings sequence_trouble;      /* sequences that do not follow */
    struct findings differences;           /* of definitions, at the last comparison */
    bool has_compared;                     /* there was one */
    char compared[40];                     /* and the source's digest then; empty: not known */
    uint32_t *left; /* relations that have left it, whose old changes are ignored: those told of */
    size_t n_left, cap_left;
    lsn_t allowed;          /* manual: definitions may follow what committed before */
    bool wants_sync;        /* definitions are to be compared: see definitions.h */
    int64_t sync_at;        /* monotonic ms; not before */
    lsn_t sync_past;        /* nor before more than this is committed; 0: at once */
    int sync_failures;      /* in a row, of those that nobody asked for */
    struct seen_step *seen; /* steps that earlier plans had already; see sync.c */
    size_t n_seen;
    lsn_t healed_at;               /* where the stream stood when that was last tried … */
    enum err_code healed_code;     /* … and for which error */
    struct table_sync *table_sync; /* of the stream that runs; NULL: none does */
    bool is_copying;               /* a table is being copied beside the stream */
    bool trusts;                   /* a retry says that what it had stopped for is done */
    bool is_stuck;                 /* a change does not fit the destination's definitions */
    lsn_t failed_at;               /* commit LSN of the transaction that it is in; 0: none */
    lsn_t oldest;                  /* the same of the first one that was under way with it */
    lsn_t parted_at;               /* where it stood when what came before that was to go first */
    struct table_name misfit;      /* whose value no type takes, see definitions.h; empty: none */
    char misfit_constraint[64];    /* of the domain that refuses it; empty: none */
    struct findings table_trouble; /* tables that left the stream */
    struct findings slot_trouble;  /* what a new slot waits for */
    struct findings copy_trouble;  /* tables that cannot be copied */
    struct findings acting;        /* triggers that fire on what is written */
    struct findings key_trouble;   /* foreign keys that are not back after a copy */
    int blamed;         /* index in the run's schema of the table whose change failed; -1: none */
    lsn_t blamed_lsn;   /* of its transaction's COMMIT */
    bool wants_bulk;    /* the next run begins with bulk reading */
    int64_t bulk_at;    /* monotonic ms: not before, as it was refused */
    lsn_t restart_seen; /* see restored.c: of the slot, at the last look */
    int64_t restart_at; /* monotonic ms: the next one */
    int bulk_lost;      /* so many of its sessions were lost since a change was applied */
};

/* --- run.c: from connecting to the end of the stream, or of the snapshot's failure -------------
 */
/* Runs until cancelled or failed, with *err in every case; true: the next run begins at once, as
 * the definitions are to be compared first, or goes on without a table that was set aside. */
bool mirror_run(struct mirror *m, struct err *err);

/* --- mirror.c */
/* Writes the flags to the catalog, then to m->row. */
bool mirror_save_flags(struct mirror *m, enum mirror_wish wish, bool snapshot_done,
                       struct err *err) MUST_CHECK;
/* An operation that goes on beyond its acceptance: recorded first, so that a restart goes on with
 * it, and shown until it has ended. Ending one that is not under way does nothing. */
bool mirror_begin_operation(struct mirror *m, const struct operation *op,
                            struct err *err) MUST_CHECK;
void mirror_end_operation(struct mirror *m, enum mirror_command c);
/* The operation that holds the mirror is part of what is published next. */
void mirror_show_operation(struct mirror *m);
/* It ends a run to be paused or deleted, or with the process: nothing of it goes on. */
bool mirror_leaves(struct mirror *m);
/* Whether that operation is asked for and not done. */
bool mirror_is_pending(const struct mirror *m, enum mirror_command c);

/* --- obey.c: what each command does ------------------------------------------------------------
 */
/* Carries out a command that the table of commands.h allows, in the mirror's thread, outside of a
 * run. */
bool mirror_obey(struct mirror *m, struct command *c, struct err *err) MUST_CHECK;
/* Of those, the ones that do not end a run: in the middle of one, too. */
bool mirror_obeys_inside(const struct mirror *m, const struct command *c);
/* adjust.c: MIRROR_CHANGE, in the middle of a run, too. */
bool mirror_adjust(struct mirror *m, struct command *c, struct err *err) MUST_CHECK;
/* Whether the run is to end for settings that were changed in it. */
bool mirror_settings_are_due(const struct mirror *m);
/* Between two runs: they are in effect from here on. */
void mirror_adopt_settings(struct mirror *m);
/* Settings are part of what is published next. */
void mirror_show_settings(struct mirror *m);
/* mapping.c */
bool mirror_set_tables(struct mirror *m, struct command *c, struct err *err) MUST_CHECK;

/* The slot is gone under a swap of all tables: from here on it is one with a new slot, and the next
 * run begins. False: it is not, or this cannot be recorded. */
bool mirror_swaps_anew(struct mirror *m, const struct err *why);
/* Out of an error, at once, and on: the next run begins. */
void mirror_go_on(struct mirror *m);

/* --- sync.c: the destination's definitions follow the source's; between two runs ----------------
 */
void mirror_sync_schema(struct mirror *m);
/* Steps that plans had. */
void mirror_forget_steps(struct mirror *m);

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
    char source_key[NAME_SIZE + 40],
        dest_key[NAME_SIZE + 40]; /* of shared sessions; with the peers */
    struct pg_conn *source, *repl, *dest;
    struct schema *schema;
    struct source_identity *identity;
    struct progress *progress;
    struct table_sync *table_sync; /* tables that are copied beside the stream */
    bool has_begun;                /* changes can be read */
    bool is_dest_unfit;            /* the destination's definitions were compared, and do not fit */
    struct follow *follow;         /* their sequences; NULL: not yet */
    bool is_fresh;                 /* all tables were copied in this run */
    int64_t slot_xid;              /* see slot_window.h; of a slot made in this run */
    int64_t rows_seen, rows_at;    /* m->rows_total, and monotonic ms: when it became that */
    bool has_memory;               /* that the rows needed, and that may go */
    int64_t asked_at;              /* monotonic ms: the last use of source by run_source */
    int64_t writing_at;            /* monotonic ms: when it remembered definitions, before a copy */
};
/* Whose sessions are ended when they hold the slot: its own; NULL: everybody's, on command. */
const char *run_holder(const struct run *r);
/* Gives it its application_name. */
void run_name(struct run *r);
bool run_load_peers(struct run *r, struct err *err) MUST_CHECK;
/* Closes and frees what it holds; cancel: what its sessions are doing is given up. */
void run_close(struct run *r, bool cancel);
bool run_connect_source(struct run *r, struct err *err) MUST_CHECK;
/* While it streams: the source's ordinary session, which is closed when nothing has been asked in
 * it for a while, and opened again here. arg: the run. */
bool run_source(void *arg, struct pg_conn **out, struct err *err) MUST_CHECK;
/* Closes it then. */
void run_rest(struct run *r);
bool run_connect_repl(struct run *r, struct err *err) MUST_CHECK;
bool run_connect_dest(struct run *r, struct err *err) MUST_CHECK;
/* Whether the destination's progress is that of this source, at a place that it still has. */
bool run_check_progress(struct run *r, struct err *err) MUST_CHECK;
/* Changes can be read, from the WAL sender or in bulk: the state is shown. */
void run_has_begun(struct run *r);
/* The stream runs, and all tables are there. */
void run_is_streaming(struct mirror *m);
/* Those that bring all tables: they are in. */
void run_end_operations(struct mirror *m);
/* restored.c: at the start of a run, whether the source is not an older copy of itself; while it
 * streams, how far its slot is; with another slot or timeline, nothing is known of that. */
bool restored_check(struct run *r, struct err *err) MUST_CHECK;
void restored_note(struct run *r);
bool restored_forget(struct mirror *m, struct err *err) MUST_CHECK;
/* setup.c: publication, slot, tables, snapshot; afterwards the stream may start. */
bool run_setup(struct run *r, struct err *err) MUST_CHECK;
/* All tables are to be copied by swap beside the stream of the slot that run_setup makes. */
bool setup_keeps_rows(struct mirror *m, bool *keeps_rows, struct err *err) MUST_CHECK;
/* Whether a snapshot that is interrupted from here on goes on (resume.c), or begins anew. */
bool setup_set_begun(struct mirror *m, bool begun, struct err *err) MUST_CHECK;
/* The first snapshot is complete. */
bool setup_set_done(struct mirror *m, struct err *err) MUST_CHECK;
/* resume.c: whether the snapshot of an earlier run goes on in this one: what it finished stays. */
bool resume_is_possible(struct run *r, bool *is_possible, struct err *err) MUST_CHECK;
/* What comes after a table's rows and indexes, for those that are finished, before the stream
 * starts: sequence values and the like now, foreign keys when all tables are in. */
bool resume_prepare(struct run *r, struct err *err) MUST_CHECK;
/* All tables are shown as finished: those that are not are then shown as what they are. */
void resume_show_finished(struct mirror *m);
/* What is there already is not what this run copies: its own pace is counted from here. */
void resume_begin(struct mirror *m);
/* How far all of it is. copy_ms: what the copy under way still takes, -1 not known; waiting: bytes
 * of tables that come after it. */
void resume_show(struct mirror *m, int64_t copy_ms, int64_t waiting);

/* --- trouble.c: missing rows, rows in the way --------------------------------------------------
 */
void trouble_load(struct mirror *m);
/* To the catalog, if there is something new; what failed is tried again by the tick. */
void trouble_save(struct mirror *m);
void trouble_tick(struct mirror *m);
void trouble_missed(struct run *r, const struct apply_miss *miss);
/* A TRUNCATE leaves no row that could be missing: what was met before it is made good. */
void trouble_emptied(struct run *r, const struct batch *b);
void trouble_refused(struct run *r, const struct apply_miss *what, enum err_code code);
/* All that committed before lsn is applied: what was in the way of it is not any more. */
void trouble_passed(struct mirror *m, lsn_t lsn);
/* All that was met of a table (as it is mapped; NULL: of every one) in transactions before until is
 * made good. */
void trouble_resolved(struct mirror *m, const char *source, lsn_t until, const char *why);
void trouble_forget_unmapped(struct mirror *m);
void trouble_findings(const struct mirror *m, struct findings *out);

/* --- differences.c: definitions that are not the same on both sides, as findings ----------------
 */
void differences_load(struct mirror *m);
/* Before the stream starts: what fires at the destination on what it will write. */
bool differences_look_for_triggers(struct run *r, struct err *err) MUST_CHECK;
/* What a later look has found (copy/follow.h). */
void differences_take_triggers(struct mirror *m, const struct findings *found);
/* What a comparison left: steps that were not run. */
void differences_note(struct mirror *m, const struct schema_plan *plan,
                      const struct schema_point *ran_at); /* NULL: nothing was run */
/* Before the stream starts: a comparison if there was none, or the source's definitions are others
 * than then; false only when a server is lost. */
bool differences_look(struct run *r, struct err *err) MUST_CHECK;
/* As the next run finds it, they were compared with other settings. */
bool differences_forget(struct mirror *m, struct err *err) MUST_CHECK;
/* A copy has left something out: the run ends for another comparison, once nothing is copied. */
void differences_want(struct mirror *m);

/* --- sequences.c: the values of sequences follow ------------------------------------------------
 */
bool run_follow(struct run *r, struct err *err) MUST_CHECK;
/* In the stream's loop: shows what was found out. */
void run_follow_look(struct run *r);
/* The end, after a last look or (after an error) without one. */
void run_follow_end(struct run *r, bool with_last_look, bool is_clean);
/* One look with r's connections; the mirror need not stream. */
void run_follow_once(struct run *r);

/* bulk.c: how the run would read in bulk, and whether it begins so; for struct stream_options. */
struct stream_bulk run_bulk(struct run *r);

/* set_aside.c: after a run has failed (err), with on_table_error = set_aside: true when that was
 * the error of tables, which the next run leaves out. */
bool set_aside_blamed(struct run *r, const struct err *why);
/* What is to be seen of a table that left the stream. */
void set_aside_show(struct mirror *m, const struct table_name *table, const struct sync_stop *why);

/* --- delete.c
 * ------------------------------------------------------------------------------------- */
/* MIRROR_DELETE and MIRROR_FORCE_DELETE: slot, publication, bookkeeping and catalog rows go, and
 * then is_gone is set. What could not be removed is named in *err, and the mirror stays as it was;
 * with force it is named in the command's note. */
bool mirror_delete(struct mirror *m, struct command *c, struct err *err) MUST_CHECK;
/* Goes on with a deletion that the process's end, or a server, interrupted. */
void mirror_finish_deletion(struct mirror *m);

/* --- show.c
 * --------------------------------------------------------------------------------------- */
void show_state(struct mirror *m, enum mirror_state state, const char *phase);
/* err as it came; what is shown has the name, the hint and the action of causes.h. */
void show_error(struct mirror *m, const struct err *err);
void show_clear_error(struct mirror *m);
/* The tables of a schema, with the counters that the catalog kept. */
void show_schema(struct mirror *m, const struct schema *s);
/* Of a schema, for mirror_keys. */
void show_keys(struct mirror *m, const struct schema *s);
/* How far the copy of a table (index of m->tables) is, which is no partitioned parent. */
void show_table_copy(struct mirror *m, size_t table, const struct snapshot_table_progress *p);
/* Marks a change; it is published at the next show_tick that is due. */
void show_dirty(struct mirror *m);
void show_now(struct mirror *m);
/* Heartbeat, rates, publication when due, counters to the catalog. Cheap; called in every wait. */
void show_tick(struct mirror *m);
void show_save_counters(struct mirror *m);

#endif
