/* What a server says of a mirror's sessions there: what they wait for, and who is in their way. One
 * query for all mirrors of a peer, which reads statistics only and waits for no lock. */
#ifndef BUNNY_SIGHT_H
#define BUNNY_SIGHT_H

#include "base/model.h"
#include "pg/pg.h"

struct sight {
    int64_t at_ms; /* monotonic; 0: never */
    int running;   /* sessions that work on a statement; of those, what they wait for: */
    int lock, io, client;
    int sender; /* the WAL sender: one of enum sender */
    int blocked_pid, blocker_pid;
    char blocked_table[160];
    char blocker[320];        /* application, role, client, state, since when, its query */
    char slow_table[160];     /* large, changed, and without an index on what finds its rows */
    char slow_statement[320]; /* that makes one */
};
enum sender {
    SENDER_GONE,
    SENDER_DECODES, /* reads and decodes WAL */
    SENDER_SENDS,   /* waits until somebody takes what it sends */
    SENDER_IDLE,    /* has sent all there is */
};

/* sights: n, in the order of the mirrors' names. */
bool sight_read(struct pg_conn *c, struct task *task, int limit_ms, size_t n,
                const char *const *mirrors, struct sight *sights, struct err *err) MUST_CHECK;
/* The large table that misses an index most, into s; keys as struct mirror_keys has them. */
bool sight_read_slow(struct pg_conn *c, struct task *task, int limit_ms, const char *schemas,
                     const char *tables, const char *columns, struct sight *s,
                     struct err *err) MUST_CHECK;

#endif
