/* The values of sequences follow: which sequences of the source belong to the mirror, which of the
 * destination are their counterparts, and how the values of the ones become those of the others.
 *
 * The rule. A sequence is not transactional, so its value is read by itself, and always after the
 * rows that were applied: a value of the source that is further on (in the direction of the
 * sequence) is written at once, since it only steps over values that nobody may use again. One that
 * goes back (RESTART, setval, a cycle) is written only when everything that had committed at the
 * source when it was noticed is applied, and only where the destination still shows what was
 * written last: a sequence that somebody uses at the destination (after a cutover) is never taken
 * back.
 *
 * What was written last is kept in _bunnydb.sequences, in the statement that writes it, which takes
 * part in the fencing of the progress row. A struct sequences belongs to one thread. */
#ifndef BUNNY_SEQUENCES_H
#define BUNNY_SEQUENCES_H

#include "schema/schema.h"

struct sequences;

/* The table, as schema_book_create_sql; schema _bunnydb exists. */
extern const char sequences_create_sql[];

struct sequences_owner {
    const char *mirror, *mirror_id;
    int64_t epoch;
};
/* The statement that remembers for the mirror what another one has just set (sets: see
 * schema_statement): a value that was given with a table or column is the mirror's to take back.
 * Caller frees. */
char *sequences_keep_sql(const char *mirror_id, const char *sets);

/* s is only read here. is_fresh: the tables were just copied, so that what the destination's
 * sequences show at the first look was written by the mirror. */
struct sequences *sequences_new(const struct schema *s, const struct sequences_owner *o,
                                bool is_fresh);
void sequences_free(struct sequences *q);

struct sequences_result {
    size_t followed;         /* they have a counterpart, and both can be read and written */
    size_t waiting;          /* they went back: they wait until `until` is applied */
    lsn_t until;             /* of the source */
    bool has_changed;        /* the source's values are not those of the look before */
    bool is_fenced;          /* another process applies to this mirror: nothing was written */
    struct findings trouble; /* caller frees */
};
/* Looks at both sides and writes what is to be written. safe: everything that committed at the
 * source before it is applied. */
bool sequences_follow(struct sequences *q, struct pg_conn *source, struct pg_conn *dest,
                      struct task *task, lsn_t safe, struct sequences_result *out,
                      struct err *err) MUST_CHECK;
/* Only looks at both sides, for whoever reads the values (sequences_private.h). */
bool sequences_look(struct sequences *q, struct pg_conn *source, struct pg_conn *dest,
                    struct task *task, struct err *err) MUST_CHECK;

/* A comparison, for somebody else than who follows them, who is asked to look meanwhile. Each look
 * brings nearer what lags behind; what nobody brings nearer differs. */
struct sequence_difference {
    char source_schema[64], source_name[64], dest_schema[64], dest_name[64];
    int64_t source, dest; /* last values */
    bool source_called, dest_called;
    bool is_in_use; /* further on than the source, and not as it was followed: nobody follows it */
};
/* One look; out: a list of what differs so far, which the caller frees. What a sequence was equal
 * to, or went through, since the first look does not differ. */
bool sequences_compare(struct sequences *q, struct pg_conn *source, struct pg_conn *dest,
                       struct task *task, struct sequence_difference **out, size_t *n,
                       struct err *err) MUST_CHECK;
/* Gives those that differed at the last look the source's value; ERR_FENCED when the epoch is
 * another one by now. */
bool sequences_repair(struct sequences *q, struct pg_conn *dest, struct task *task,
                      struct err *err) MUST_CHECK;
/* Whether the sessions of the last look hold statements of it, so that the next one needs the same
 * sessions. A few sequences are read without. */
bool sequences_are_prepared(const struct sequences *q);
/* One of the connections is a new one, or definitions have changed: the next look begins anew. */
void sequences_forget(struct sequences *q);

/* --- for the tests ---------------------------------------------------------------------------- */
struct sequence_value {
    bool is_known;
    int64_t last;
    bool is_called;
};
enum sequence_step {
    SEQUENCE_SAME,
    SEQUENCE_FORWARD, /* write it */
    SEQUENCE_BACK,    /* write it once everything before is applied */
    SEQUENCE_LEAVE,   /* the destination's is in use */
};
enum sequence_step sequence_decide(bool is_descending, const struct sequence_value *source,
                                   const struct sequence_value *dest,
                                   const struct sequence_value *kept);

#endif
