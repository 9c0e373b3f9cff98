/* The inside of an apply, shared by apply.c (pipeline, batches), apply_change.c (relations,
 * changes), flight.c (chunks), results.c, aside.c (tables that are copied beside the stream), and
 * by nobody else. All of it belongs to the mirror's thread. */
#ifndef BUNNY_APPLY_PRIVATE_H
#define BUNNY_APPLY_PRIVATE_H

#include "stream/apply.h"
#include "stream/chunk.h"
#include "stream/set_sql.h"

#define DRAIN_LIMIT_MS 600000
#define SEEN_STATEMENT "bunnydb_seen" /* schema_seen_sql */
#define MAX_EXPECTED 32768            /* statements under way */

/* What a result that comes back belongs to. Results come in the order of the statements. */
enum expect_kind {
    EXPECT_OTHER, /* BEGIN, PREPARE, TRUNCATE: only has to succeed */
    EXPECT_ROW,   /* one row touched */
    EXPECT_MOVE,  /* the progress row */
    EXPECT_END,   /* the rows of _bunnydb.table_sync, in a hand-over */
    EXPECT_COMMIT,
    EXPECT_SET,      /* so many rows touched */
    EXPECT_SETS_END, /* behind the sets of a chunk: which of its tables are none for sets */
    EXPECT_FLUSH,    /* the progress row where it stands, so that what was committed is durable */
};
struct expect {
    unsigned char kind;
    unsigned char op; /* enum pgo_kind */
    bool is_durable;  /* COMMIT: it returns when everything up to it is */
    bool is_in_set;   /* between a savepoint and EXPECT_SETS_END: a failure is not the end */
    uint32_t n;       /* EXPECT_SET */
    int target;       /* number; -1 none */
    uint32_t bytes;
    uint32_t key_len; /* in keys */
    lsn_t lsn;        /* of the change's transaction */
};

struct aside; /* aside.c */

/* A chunk on its way: the changes that go one by one, in their order; then, behind a savepoint, the
 * sets of all other tables. When one of them fails or does not find each row, all are undone and
 * their changes go one by one, too, which finds out what it is. */
struct flight {
    struct chunk *chunk; /* NULL: none */
    enum {
        FLIGHT_ROWS,
        FLIGHT_OPENING,
        FLIGHT_HALF,    /* the first half is sent; all answers are awaited before rows are copied */
        FLIGHT_COPYING, /* the session is in no pipeline meanwhile */
        FLIGHT_SETS,    /* sent; answers are awaited */
        FLIGHT_AGAIN,   /* undone */
        FLIGHT_DONE,
    } stage;
    size_t next; /* FLIGHT_ROWS, FLIGHT_AGAIN: the change to be looked at; FLIGHT_COPYING: group */
    bool has_sets, has_copies, has_failed, has_ended, is_seen;
    bool is_short; /* because a set touched too few rows */
    int culprit;   /* target; -1: not known */
    char why[24];
};

/* The rows of one statement; slices of a chunk's net effects. */
struct rows {
    size_t n, cap;
    const struct net **items;
};

/* Rows of one group on their way by COPY. */
struct set_copy {
    bool has_begun, is_ending;
    struct rows rows;
    size_t next;
    int64_t done; /* as the server counts */
};

struct apply {
    struct pg_conn *dest;
    struct task *task;
    struct apply_options o;
    char *epoch;
    struct batch_queue batches;
    struct chunk chunks[2], *filling;
    struct flight flight;
    bool is_clearing; /* the chunk that fills goes, full or not */
    bool is_in_set;   /* what is sent now belongs to one */
    struct {
        bool is_due; /* everything of the batch was sent, but its COMMIT */
        lsn_t end_lsn;
        bool is_asked; /* for the answers that it needs */
    } closing;
    struct set_sql set_sql;
    struct rows rows;
    struct set_copy copy;
    uint64_t flights_by_set; /* chunks whose sets did what they should */
    bool is_open;            /* BEGIN was sent for the open batch */
    bool is_skipping;        /* a transaction that is already applied */
    bool has_blamed;
    bool is_flushing;        /* EXPECT_FLUSH is under way */
    bool is_standing;        /* no other transaction is to be begun */
    bool is_hurried;         /* somebody waits for what is committed to be durable */
    int64_t undurable_since; /* monotonic ms: when the oldest such batch was committed; 0: none */
    lsn_t durable;
    lsn_t sent;    /* where the progress row stands once everything sent is done */
    lsn_t planned; /* the same once all closed batches are sent */
    lsn_t seen;    /* every transaction that committed before it was read */
    lsn_t reading; /* commit LSN of the transaction that is being read; 0: none */
    lsn_t oldest;  /* the same of the first that was read since nothing was under way; 0: none */
    lsn_t replayed_at; /* the same of the definition that is replayed; 0: none */
    uint64_t batches_closed, batches_done; /* all that were ever sent, and known to be committed */
    struct aside *aside;
    struct adapt *adapt;
    struct pgo_decoder *decoder;
    size_t n_targets, cap_targets, found;
    struct target **targets;
    const char **params; /* room for the widest target */
    size_t cap_params;
    struct expect *expected; /* ring */
    size_t first, n_expected;
    struct keys keys;          /* of the expected rows */
    lsn_t change_lsn;          /* where the transaction committed whose changes come in */
    lsn_t row_lsn;             /* the same of the one that is sent */
    bool has_unsure;           /* the open batch has statements that may touch several rows */
    struct apply_miss *misses; /* of the batch whose results come in */
    size_t n_misses, cap_misses;
    size_t in_flight;             /* bytes of changes under way */
    unsigned since_flush_request; /* statements */
    size_t bytes_since_flush_request;
    unsigned syncs; /* syncs under way */
};

/* --- apply.c ---------------------------------------------------------------------------------- */
/* A statement was put into the pipeline: what its result will belong to. Borrowed until the next
 * one. */
struct expect *apply_expect(struct apply *a, enum expect_kind kind, enum pgo_kind op, int target,
                            size_t bytes);
/* The error that comes is that of a change of this table of the schema. The first one counts: what
 * was under way before it may have failed earlier. */
void apply_blame(struct apply *a, int table, lsn_t lsn);
/* The transaction that is being read or replayed. */
lsn_t apply_working(const struct apply *a);
/* One statement without a name into the pipeline. */
bool apply_send_query(struct apply *a, const char *sql, int n, const char *const *values,
                      enum expect_kind kind, struct err *err) MUST_CHECK;
/* The open batch has its BEGIN; all before it, also of the batch, has been sent. */
bool apply_ensure_open(struct apply *a, struct err *err) MUST_CHECK;
/* After a change of so many bytes was sent. */
bool apply_request_flush(struct apply *a, size_t bytes, struct err *err) MUST_CHECK;
/* The same for who sends a chunk. */
bool apply_open(struct apply *a, struct err *err) MUST_CHECK;
bool apply_sync(struct apply *a, struct err *err) MUST_CHECK;
/* The COMMIT of a.closing; *has_moved false: it has to wait for answers. */
bool apply_end(struct apply *a, bool *has_moved, struct err *err) MUST_CHECK;
/* Sends and receives what is possible without waiting. */
bool apply_exchange(struct apply *a, struct err *err) MUST_CHECK;
/* One more statement may be put into the pipeline. */
bool apply_pipe_has_room(const struct apply *a);
/* Waits until everything read so far is sent and answered; the batch stays open. */
bool apply_drain(struct apply *a, struct err *err) MUST_CHECK;
/* Ends the open batch, which may hold no change; its progress is at least at_least. */
bool apply_commit(struct apply *a, lsn_t at_least, struct err *err) MUST_CHECK;

/* --- flight.c --------------------------------------------------------------------------------- */
/* Whether a change of so many bytes may wait in a chunk. */
bool flight_takes(const struct target *t, size_t bytes);
/* Puts it there; waits while there is no room. */
bool flight_add(struct apply *a, struct target *t, const struct pgo_message *m, size_t bytes,
                struct err *err) MUST_CHECK;
bool flight_has_room(const struct apply *a);
/* The open batch ends here, with the progress end. */
void flight_close(struct apply *a, lsn_t end);
/* Goes on with what waits, as far as possible without waiting. */
bool flight_advance(struct apply *a, struct err *err) MUST_CHECK;
/* A result of a statement that is_in_set; r NULL: it failed with *err, or was skipped. */
void flight_result(struct apply *a, const struct expect *e, const struct pg_result *r,
                   const struct err *err);
/* The session is in a COPY: nothing may be sent to it, or read from it, but by flight_advance. */
bool flight_is_copying(const struct apply *a);
/* Nothing waits to be sent. */
bool flight_is_clear(const struct apply *a);
/* Waits until that is so. */
bool flight_clear(struct apply *a, struct err *err) MUST_CHECK;
/* Waits for the destination once. */
bool apply_wait(struct apply *a, struct err *err) MUST_CHECK;

/* --- results.c -------------------------------------------------------------------------------- */
/* Takes what has come; never waits. */
bool apply_take_results(struct apply *a, struct err *err) MUST_CHECK;

/* --- set_choice.c ----------------------------------------------------------------------------- */
/* The statement of the net effect, and the one after it that it also belongs to (or SET_NONE). */
enum set_phase set_phase_of(const struct net *n, enum set_phase *second);
/* Both leave the same columns unchanged. */
bool set_has_same_mask(const struct target *t, const struct net *a, const struct net *b);
/* Whether the group goes as a set now; fills n_phase and is_copied, and counts down a rest. */
bool set_is_worth_it(struct group *g);

/* --- set_copy.c ------------------------------------------------------------------------------- */
/* Copies a.copy.rows into the target, outside the pipeline; waits only for the server's word that
 * it takes them. 1 = done, 2 = to be called again when the socket has or takes something, -1 =
 * error. One of the server leaves the session usable: the savepoint is to be rolled back to. */
int set_copy(struct apply *a, const struct target *t, struct err *err) MUST_CHECK;

/* --- misses.c --------------------------------------------------------------------------------- */
/* The change whose result this is found no row; told when its batch is committed. */
void apply_note_miss(struct apply *a, const struct expect *e);
void apply_tell_misses(struct apply *a);
/* "insert into", for errors. */
const char *apply_op_name(enum pgo_kind op);
/* It touched n rows; it failed with *err. Both return false. */
bool apply_too_many(struct apply *a, const struct expect *e, long long n, struct err *err);
bool apply_refused(struct apply *a, const struct expect *e, struct err *err);

/* --- apply_change.c --------------------------------------------------------------------------- */
/* Index in the schema of the relation's table; -1: none. */
int apply_find_table(const struct apply *a, const struct pgo_message *m);
/* Where definitions are followed. */
struct adapt_place apply_place(const struct apply *a);
struct target *apply_find_target(struct apply *a, uint32_t oid);
enum bind_how {
    BIND_OLD,   /* the definition is older than the copy that the table's rows come from */
    BIND_FIRST, /* the first one after a copy: what the binding before says does not count */
    BIND_NEXT,
};
/* Binds a relation to the table of the schema at index; a definition that has changed is followed,
 * or types are compared with those of the binding before. */
bool apply_bind(struct apply *a, const struct pgo_message *m, int index, enum bind_how how,
                struct err *err) MUST_CHECK;
bool apply_relation(struct apply *a, const struct pgo_message *m, struct err *err) MUST_CHECK;
/* One change into the pipeline; a.row_lsn is its transaction's. */
bool apply_send_row(struct apply *a, struct target *t, const struct pgo_message *m, size_t bytes,
                    struct err *err) MUST_CHECK;
bool apply_change(struct apply *a, const struct pgo_message *m, size_t bytes,
                  struct err *err) MUST_CHECK;
/* Empties the targets of m's relations. with_delete: row by row, where the foreign keys of a table
 * that is left out would forbid TRUNCATE. */
bool apply_truncate(struct apply *a, const struct pgo_message *m, bool with_delete,
                    struct err *err) MUST_CHECK;

/* --- aside.c ---------------------------------------------------------------------------------- */
struct aside *aside_new(const struct aside_options *o, size_t n_tables);

void aside_free(struct aside *s);
/* The transaction that is partly replayed; 0: none. */
lsn_t aside_replaying(const struct apply *a);
/* As much was replayed into the open batch as may be: the batch had better end. */
bool apply_replay_waits(const struct apply *a);
/* Whether the relation is set aside (or ignored): its changes do not go the direct way. */
bool aside_has(const struct apply *a, uint32_t relation);
/* A relation message, with its bytes. True when its table is set aside or was taken out of the
 * mirror: then it goes no further. */
bool aside_relation(struct apply *a, const struct pgo_message *m, const char *data, size_t len);
/* The stream has told a relation that goes the direct way. */
void aside_told(struct apply *a, const struct pgo_message *m, const char *data, size_t len);
/* The relation's changes are nobody's. */
void aside_ignore(struct apply *a, uint32_t relation);
/* A change of a relation that aside_has, not decoded. */
void aside_change(struct apply *a, uint32_t relation, const char *data, size_t len);
/* Takes the relations that are set aside out of a TRUNCATE; what is left goes the direct way.
 * *with_delete: see apply_truncate. */
void aside_truncate(struct apply *a, struct pgo_message *m, bool *with_delete);
/* A batch became durable. */
void aside_batch_done(struct apply *a);

#endif
