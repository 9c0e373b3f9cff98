/* What aside.c (routing, keeping) and replay.c share of the tables that are set aside. */
#ifndef BUNNY_ASIDE_PRIVATE_H
#define BUNNY_ASIDE_PRIVATE_H

#include "stream/apply_private.h"

#define ASIDE_FIRST_CREDIT 16384
/* The table's own changes must not come faster than what was kept goes. */
#define ASIDE_KEEP_COST 2
#define ASIDE_FIRST_SHARE 1024

enum aside_place {
    PLACE_STREAM,  /* not set aside */
    PLACE_DROPPED, /* no copy is on its way */
    PLACE_KEPT,    /* part of the present copy */
};

/* A relation message as it came. */
struct aside_definition {
    char *data; /* one byte more than len */
    size_t len;
    lsn_t lsn; /* commit LSN of the transaction it came with; 0: before anything was kept */
};

struct aside_relation {
    uint32_t oid;
    int table;                      /* index in the schema; -1: taken out of the mirror */
    struct aside_definition latest; /* as the stream told it */
    struct aside_definition base;   /* the same at the place of the replay */
    bool is_bound;                  /* there is a target, made for this copy */
};

/* What is replayed stands before all that is read later: a batch takes no more of it than the
 * destination is done with in a moment, so that other tables do not wait for all of it. */
struct aside_pace {
    int64_t share;       /* changes that are replayed in one batch */
    uint64_t batch;      /* number of the batch that was last replayed into */
    int64_t filled;      /* changes replayed into it */
    uint64_t sent_batch; /* one that is on its way, and is measured */
    int64_t sent;        /* changes replayed in it; 0: none is measured */
    int64_t sent_at;     /* monotonic ms */
};

struct aside {
    struct aside_options o;
    enum aside_stage stage;
    size_t n_tables;
    unsigned char *place; /* enum aside_place of each table */
    size_t n_relations, cap_relations, found;
    struct aside_relation *relations;
    size_t n_told, cap_told;
    struct aside_relation *told; /* those that are not set aside; only latest counts */
    struct spill *spill;
    struct pgo_decoder *decoder;
    lsn_t point;         /* the copy's consistent point; 0: not known yet */
    lsn_t replaying;     /* commit LSN of the transaction that is partly replayed; 0: none */
    uint64_t last_batch; /* number of the last batch that holds something replayed */
    int64_t replayed;    /* changes */
    int64_t credit;      /* so much may be kept (ASIDE_KEEP_COST) before more is replayed */
    struct aside_pace pace;
    const struct schema *copied;
    struct {
        char *schemas, *tables; /* array literals */
    } names;
    struct err err;
};

struct aside_relation *aside_find(struct aside *s, uint32_t oid);
void aside_set_definition(struct aside_definition *d, lsn_t lsn, const char *data, size_t len);
/* What was kept is not complete any more. */
void aside_fail(struct apply *a, const struct err *err);
/* The tables of the copy go direct from now on. */
void aside_stream(struct aside *s);

#endif
