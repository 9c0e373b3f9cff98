/* pgoutput's messages, protocol version 1 (PostgreSQL docs, "Logical Replication Message Formats").
 * The decoder allocates nothing per value: names and values are slices of the message, made into
 * C strings in place, so a message must stay where it is as long as its decoded form is used.
 * Every length is checked; a message that is cut short, too long or unknown is ERR_PROTOCOL. */
#ifndef BUNNY_PGOUTPUT_H
#define BUNNY_PGOUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/lsn.h"

enum pgo_kind {
    PGO_BEGIN,
    PGO_COMMIT,
    PGO_RELATION,
    PGO_INSERT,
    PGO_UPDATE,
    PGO_DELETE,
    PGO_TRUNCATE,
    PGO_OTHER, /* origin, type, logical message: known, and of no consequence here */
};

struct pgo_value {
    char kind; /* 'n' null, 'u' unchanged TOAST, 't' text */
    uint32_t len;
    const char *data; /* terminated; NULL unless 't' */
};

struct pgo_tuple {
    size_t n;
    struct pgo_value *values; /* the decoder's; until its next message */
};

struct pgo_column {
    bool is_key; /* part of the replica identity */
    const char *name;
    uint32_t type_oid;
    int32_t typmod;
};

struct pgo_message {
    enum pgo_kind kind;
    uint32_t relation; /* OID, for RELATION INSERT UPDATE DELETE */
    /* BEGIN: commit_lsn, commit_time; COMMIT: also end_lsn. Time in us since 1970. */
    lsn_t commit_lsn;
    lsn_t end_lsn;
    int64_t commit_time;
    /* RELATION */
    const char *schema, *table;
    char replica_identity;
    size_t n_columns;
    struct pgo_column *columns; /* the decoder's; until its next message */
    /* INSERT, UPDATE: next; UPDATE, DELETE: old with old_kind 'K' (key), 'O' (whole row), 0 none */
    struct pgo_tuple next;
    char old_kind;
    struct pgo_tuple old;
    /* TRUNCATE */
    bool cascade, restart_identity;
    size_t n_relations;
    uint32_t *relations; /* the decoder's; until its next message */
};

struct pgo_decoder;

struct pgo_decoder *pgo_new(void);
void pgo_free(struct pgo_decoder *d);
/* Decodes one message of len bytes; data[len] must be writable and is set to '\0' (libpq's copy
 * buffers end with one). *out is valid until the next call and while data is. */
bool pgo_decode(struct pgo_decoder *d, char *data, size_t len, struct pgo_message *out,
                struct err *err) MUST_CHECK;

/* Whether a message, not decoded yet, is an INSERT, UPDATE or DELETE, and of which relation:
 * decoding writes into the message. */
bool pgo_peek_change(const char *data, size_t len, uint32_t *relation);
/* Whether it is a BEGIN, and of a transaction that committed where. */
bool pgo_peek_begin(const char *data, size_t len, lsn_t *commit_lsn);

/* The frames around them (PostgreSQL docs, "Streaming Replication Protocol"). */
struct repl_frame {
    char kind; /* 'w' XLogData, 'k' keepalive */
    lsn_t wal_end;
    bool reply; /* 'k': the server wants an answer at once */
    char *data; /* 'w': the message inside; a slice */
    size_t len;
};
bool repl_frame_read(char *data, size_t len, struct repl_frame *out, struct err *err) MUST_CHECK;

#endif
