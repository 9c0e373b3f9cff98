/* A chunk: changes that wait to be sent to the destination, in the source's order, copied out of
 * the messages they came in; and what they come to for each table. Knows nothing of SQL or of
 * connections. Part of an apply; used by its thread only.
 *
 * Net effect. Of a table whose rows are named by a key that one unique index at the destination
 * enforces (TARGET_KEYED), the changes of one key come to at most a DELETE of the row that was
 * there, or an UPDATE of it, an INSERT, and a DELETE of what was inserted. In that order, first for
 * all keys the one and then for all the next, they leave the same rows as the changes one by one,
 * and find what those would find: each row that should have been there is looked for, and each that
 * should not have been there is met by an INSERT. That is only so while each change fits those
 * before it (no INSERT of a row that is there, no UPDATE of one that is gone) and none changes a
 * key. Else, and for all other tables, the changes go one by one (is_exact).
 *
 * Of a table whose rows are told apart by nothing but all their values (is_whole), a change that
 * needs a row that an earlier one of the chunk has left belongs to that one's net effect; else it
 * is one of its own. Rows are counted: when all the rows that the net effects need are there at
 * first, each single change would have found its row, too, and the same rows are left. A row that
 * is not there (or that two changes need and only one is there) makes a statement touch too few. */
#ifndef BUNNY_CHUNK_H
#define BUNNY_CHUNK_H

#include "base/arena.h"
#include "stream/target.h"

struct change {
    enum pgo_kind kind;
    char old_kind;
    int group;
    uint32_t bytes; /* of its message */
    lsn_t lsn;      /* where its transaction committed */
    struct pgo_tuple next, old;
};

/* What the changes of one key, or of one row of is_whole, come to. */
struct net {
    uint32_t hash;
    uint32_t next;                  /* of is_whole, in its slot: number of a net + 1 */
    bool was_there;                 /* the first change needs the row */
    bool is_there;                  /* in the end */
    bool is_new;                    /* it was inserted here: values are complete */
    const struct pgo_value *values; /* as of now or, when it is gone again, as inserted; NULL: a row
                                     * that was there was only deleted */
    const struct pgo_value *key;    /* a tuple with the columns of the key; of is_whole the row as
                                     * it was, or as inserted */
};

/* Statements of a set, in this order for each table. */
enum set_phase {
    SET_NONE,
    SET_DELETE,
    SET_UPDATE,
    SET_INSERT,
    SET_DELETE_AGAIN, /* what was inserted in the same chunk */
    SET_PHASES,
};

/* Changes of one table. */
struct group {
    struct target *target; /* borrowed */
    bool is_exact;         /* one by one */
    size_t n_changes;
    bool is_copied;             /* the same, its inserts by COPY */
    bool is_set;                /* for who sends it: as statements of many rows */
    size_t n_phase[SET_PHASES]; /* the same: so many nets of each */
    size_t n_nets, cap_nets;
    struct net *nets; /* of a table without key (TARGET_INSERTS): one for each INSERT */
    size_t n_slots, cap_slots;
    uint32_t *slots; /* hash table: number of a net + 1; of is_whole, of the first one of those that
                      * have left a row, and none before one is looked for */
};

struct chunk {
    struct arena arena;
    size_t n, cap;
    struct change *changes;
    size_t bytes;  /* of messages */
    size_t memory; /* of the copies */
    size_t n_groups, cap_groups;
    struct group *groups;
    size_t cap_group_of;
    int *group_of; /* by the target's number: group + 1 */
    bool is_last;  /* a batch ends with it */
    lsn_t end_lsn; /* of that batch */
};

void chunk_free(struct chunk *c);
/* Copies a change of a table that does not have to go alone. ERR_MEMORY: nothing was added. */
bool chunk_add(struct chunk *c, struct target *t, const struct pgo_message *m, size_t bytes,
               lsn_t lsn, struct err *err) MUST_CHECK;
/* Forgets all; keeps some memory. */
void chunk_clear(struct chunk *c);
/* The change as a message; slices of the chunk. */
struct pgo_message chunk_message(const struct chunk *c, const struct change *x);

#endif
