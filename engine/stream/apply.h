/* Apply: turns decoded changes into statements in one libpq pipeline to the destination, one
 * destination transaction a batch, with the progress row as its last statement. Few changes go one
 * by one; many of one table as statements of many rows, behind a savepoint, and one by one again
 * when those do not find what they should (chunk.h, flight.c). It hardly waits: the stream's loop
 * polls both sockets and calls apply_pump. Affected-row counts are checked as results come back.
 * After any error the apply is dead: close the connection, start again from the progress. Owned and
 * used by the mirror's thread; borrows the connection. */
#ifndef BUNNY_APPLY_H
#define BUNNY_APPLY_H

#include "stream/aside.h"
#include "stream/batch.h"
#include "stream/adapt.h"
#include "stream/keys.h"
#include "stream/progress.h"
#include "stream/target.h"

struct apply;

/* A change that did not find what it should. */
struct apply_miss {
    int table; /* index in the schema */
    enum pgo_kind kind;
    int64_t n;               /* so many like this one, of which the key is told */
    lsn_t lsn;               /* where its transaction committed at the source */
    char key[KEY_TEXT_SIZE]; /* "(id)=(5)"; empty: no columns name a row */
};

struct apply_options {
    const char *mirror;
    const char *mirror_id;
    int64_t epoch;
    const struct schema *schema; /* borrowed; index of counters */
    struct batch_limits limits;
    struct aside_options aside;
    struct adapt_options adapt;
    lsn_t close_before; /* the transaction with that commit LSN has failed: what comes before it is
                         * committed first; 0: none */
    size_t window;      /* bytes of changes that may be under way to the destination */
    /* a batch was committed durably: its counts, in order; borrowed */
    void (*committed)(void *arg, const struct batch *b);
    /* before that, of the same batch: updates and deletes that found no row */
    void (*missed)(void *arg, const struct apply_miss *miss);
    /* a row of the destination is in the way of a change (ERR_CONFLICT), or its definition (or the
     * type of a column) does not allow it (ERR_REFUSED): the apply fails with that */
    void (*refused)(void *arg, const struct apply_miss *what, enum err_code code);
    /* the error that is about to be returned is that of a change of this table; lsn: of its
     * transaction's COMMIT. At most once. */
    void (*blamed)(void *arg, int table, lsn_t lsn);
    /* the stream has changes of a relation that is not in the schema: has it left the mirror (it
     * was dropped, or is no partition any more), so that its changes are nobody's? NULL: no. */
    bool (*has_left)(void *arg, const struct pgo_message *relation, bool *has_left,
                     struct err *err);
    void *arg;
};

bool apply_new(struct pg_conn *dest, struct task *task, const struct apply_options *o, lsn_t from,
               struct apply **out, struct err *err) MUST_CHECK;
void apply_free(struct apply *a);

/* One message of the stream as it came (data[len] may be written to); size counts for the window. A
 * relation message may wait for the destination (it asks for the table's definition). */
bool apply_bytes(struct apply *a, char *data, size_t len, size_t size, enum pgo_kind *kind,
                 struct err *err) MUST_CHECK;
/* The same decoded, of a table that is not set aside. */
bool apply_message(struct apply *a, const struct pgo_message *m, size_t bytes,
                   struct err *err) MUST_CHECK;
/* The source told that it has sent every transaction that committed before lsn. */
void apply_position(struct apply *a, lsn_t lsn);
/* The highest such position: of the last COMMIT that was read, at least. */
lsn_t apply_seen(const struct apply *a);
/* Commit LSN of the transaction that is being read; 0: none. */
lsn_t apply_reading(const struct apply *a);
/* The same of the first transaction that may have been applied with the last one that was read. */
lsn_t apply_oldest(const struct apply *a);
/* What is known of the source's tables; borrowed until the next call. */
struct known *apply_known(struct apply *a);
/* Replays some of what was kept of tables that are set aside, hands them over when that is all; at
 * any time. */
bool apply_replay(struct apply *a, struct err *err) MUST_CHECK;
/* Sends and receives what is possible without waiting, closes the open batch when it is due. */
bool apply_pump(struct apply *a, bool is_dry, struct err *err) MUST_CHECK;
/* Ends the open batch now, unless it holds half of a source transaction. */
bool apply_settle(struct apply *a, struct err *err) MUST_CHECK;
/* The same, and no other source transaction is read until apply_go_on. *stands: everything is
 * durable, and nothing under way. */
bool apply_stand(struct apply *a, bool *stands, struct err *err) MUST_CHECK;
void apply_go_on(struct apply *a);
/* What is committed is made durable as soon as possible. */
void apply_hurry(struct apply *a);
/* Nothing is open, queued or under way: every change read so far is durable. */
bool apply_is_idle(const struct apply *a);
/* There is nothing to do before apply_deadline, unless the source has more. */
bool apply_is_waiting(const struct apply *a);
/* False while too much is under way. */
bool apply_has_room(const struct apply *a);
/* False while nothing more is to be read from the source: no room, what was kept of tables that are
 * set aside would grow faster than it is replayed, or it stands. */
bool apply_may_read(const struct apply *a);
/* There is something that apply_replay could send now. */
bool apply_can_replay(const struct apply *a);
/* A hand-over, or who wants it to stand, only waits for the end of a source transaction: look after
 * each. */
bool apply_wants_boundary(const struct apply *a);
bool apply_wants_write(const struct apply *a);
/* The destination owes an answer whatever we do; what it keeps to itself inside a unit it need not
 * tell yet. */
bool apply_awaits_answer(const struct apply *a);
bool apply_is_in_transaction(const struct apply *a); /* of the source */
/* Durable at the destination: what the slot may be told. */
lsn_t apply_durable(const struct apply *a);
/* Moves the progress row over a stretch of WAL that held nothing for us; only when idle. */
bool apply_move_idle(struct apply *a, lsn_t lsn, struct err *err) MUST_CHECK;
/* Another window; only when idle, else nothing happens: what waits for answers has asked for them
 * by the window that it began with. */
void apply_set_window(struct apply *a, size_t bytes);
/* Gives back the memory that the last changes needed; only when idle, else nothing happens. */
void apply_rest(struct apply *a);
/* When apply_pump has to be called, monotonic ms; 0: no such moment. */
int64_t apply_deadline(const struct apply *a);

#endif
