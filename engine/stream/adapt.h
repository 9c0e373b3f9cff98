/* Definitions that change in the stream: each relation message is compared with what was known of
 * the table there, and a difference is followed at that very place, in the transaction that applies
 * the rows around it (schema/evolve.h), or the stream stops before the first row. Part of an apply;
 * the mirror's thread. */
#ifndef BUNNY_ADAPT_H
#define BUNNY_ADAPT_H

#include "schema/known.h"
#include "schema/schema.h"
#include "stream/pgoutput.h"

/* What an apply is told when it is made; borrowed until it is freed. */
struct adapt_options {
    /* An ordinary session at the source, borrowed until the next turn of the stream's loop; NULL:
     * nothing is followed. */
    bool (*source)(void *arg, struct pg_conn **out, struct err *err);
    const struct table_map *maps;
    bool drop_columns; /* what the source drops; else its values are kept */
    /* May the definitions follow what was committed at lsn? */
    bool (*allows)(void *arg, lsn_t lsn);
    /* The table (index in the schema) is to be copied again: records that. Always false: *err is
     * set, and ends the run. */
    bool (*copy)(void *arg, int table, const char *why, struct err *err);
    /* A definition was followed: what the stream does not tell of it is still to be compared. */
    void (*followed)(void *arg);
    void *arg;
};

struct adapt;
struct adapt_place {      /* where it runs */
    struct pg_conn *dest; /* not in pipeline mode; in the transaction of the batch */
    struct task *task;
    const char *mirror, *mirror_id;
    const struct schema *schema;
    lsn_t lsn; /* commit LSN of the transaction that is read */
};

struct adapt *adapt_new(const struct adapt_options *o);
void adapt_free(struct adapt *f);
bool adapt_is_on(const struct adapt *f);
/* Reads what is known, before the first message. */
bool adapt_open(struct adapt *f, const struct adapt_place *p, struct err *err) MUST_CHECK;
/* Is the message as it is known? Nothing known: true. Asks nobody. */
bool adapt_fits(const struct adapt *f, const struct pgo_message *m);
/* Whether anything is known of the relation. */
bool adapt_knows(const struct adapt *f, uint32_t oid);
/* Whether rows may have another value in the column than at the source: one that passed by, which
 * the source has dropped meanwhile. */
bool adapt_is_unsure(const struct adapt *f, uint32_t oid, const char *column);
/* Of a message that does not fit. ERR_SCHEMA with the statements where it may not be followed. */
bool adapt_change(struct adapt *f, const struct adapt_place *p, const struct pgo_message *m,
                  int table, struct err *err) MUST_CHECK;
/* A copy has written what is known of the table: read it again before it is used. */
void adapt_forget(struct adapt *f, uint32_t oid);
/* What is known; borrowed until the next call. */
struct known *adapt_known(struct adapt *f);

#endif
