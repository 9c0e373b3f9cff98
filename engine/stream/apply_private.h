/* The inside of an apply, shared by apply.c (pipeline, batches), apply_change.c (relations,
 * changes) and by nobody else. All of it belongs to the mirror's thread. */
#ifndef BUNNY_APPLY_PRIVATE_H
#define BUNNY_APPLY_PRIVATE_H

#include "stream/apply.h"

#define DRAIN_LIMIT_MS 600000

/* What a result that comes back belongs to. Results come in the order of the statements. */
enum expect_kind {
    EXPECT_OTHER, /* BEGIN, PREPARE, TRUNCATE: only has to succeed */
    EXPECT_ROW,   /* one row touched */
    EXPECT_MOVE,  /* the progress row */
    EXPECT_COMMIT,
};
struct expect {
    unsigned char kind;
    unsigned char op; /* enum pgo_kind */
    int target;       /* number; -1 none */
    uint32_t bytes;
};

struct apply {
    struct pg_conn *dest;
    struct task *task;
    struct apply_options o;
    char *epoch;
    struct batch_queue batches;
    bool is_open;     /* BEGIN was sent for the open batch */
    bool is_skipping; /* a transaction that is already applied */
    lsn_t durable;
    lsn_t sent; /* where the progress row stands once everything sent is done */
    size_t n_targets, cap_targets;
    struct target **targets;
    const char **params; /* room for the widest target */
    size_t cap_params;
    struct expect *expected; /* ring */
    size_t first, n_expected;
    size_t in_flight;             /* bytes of changes under way */
    unsigned since_flush_request; /* statements */
    size_t bytes_since_flush_request;
    unsigned syncs; /* syncs under way */
};

/* --- apply.c ---------------------------------------------------------------------------------- */
/* A statement was put into the pipeline: what its result will belong to. */
void apply_expect(struct apply *a, enum expect_kind kind, enum pgo_kind op, int target,
                  size_t bytes);
/* One statement without a name into the pipeline. */
bool apply_send_query(struct apply *a, const char *sql, int n, const char *const *values,
                      enum expect_kind kind, struct err *err) MUST_CHECK;
/* The open batch has its BEGIN. */
bool apply_ensure_open(struct apply *a, struct err *err) MUST_CHECK;
/* After a change of so many bytes was sent. */
bool apply_request_flush(struct apply *a, size_t bytes, struct err *err) MUST_CHECK;
/* Waits until everything sent so far is answered; the batch stays open. */
bool apply_drain(struct apply *a, struct err *err) MUST_CHECK;

/* --- apply_change.c --------------------------------------------------------------------------- */
bool apply_bind(struct apply *a, const struct pgo_message *m, struct err *err) MUST_CHECK;
bool apply_change(struct apply *a, const struct pgo_message *m, size_t bytes,
                  struct err *err) MUST_CHECK;
bool apply_truncate(struct apply *a, const struct pgo_message *m, struct err *err) MUST_CHECK;

#endif
