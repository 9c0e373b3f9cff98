/* Bulk reading: the changes of a mirror that is far behind, by SQL instead of through a WAL sender,
 * which is several times as fast (PostgreSQL docs, "Logical Decoding", "SQL Interface to Logical
 * Decoding"; the rows come by binary COPY). The messages are those of the stream, in its order.
 *
 * What is read is a temporary copy of the mirror's slot, which goes with the session: reading moves
 * the copy only, and in chunks. While one chunk waits here to be applied the server decodes the
 * next one. The mirror's own slot is moved behind it, to where the destination is durable and no
 * further: whatever ends in between, the next run finds there all that is missing.
 *
 * Owned and used by the mirror's thread. Nothing but bulk_open waits. After an error it is dead. */
#ifndef BUNNY_BULK_H
#define BUNNY_BULK_H

#include "base/lsn.h"
#include "pg/pg.h"

struct bulk;

struct bulk_options {
    struct pg_conn *conn; /* PG_SQL at the source; bulk_free closes it, bulk_open when it fails */
    struct task *task;    /* of bulk_open's waits */
    const char *slot;     /* the mirror's; nobody holds it */
    const char *publication;
    const char *app;         /* application_name of the mirror's sessions */
    lsn_t from;              /* the progress */
    size_t window;           /* bytes of messages that may wait here */
    int64_t decoding_memory; /* bytes at the source for the transactions that it decodes */
};

/* False where the server refuses what it takes (a right, a free slot, a version): then the stream
 * has to do. */
bool bulk_open(const struct bulk_options *o, struct bulk **out, struct err *err) MUST_CHECK;
/* NULL is fine. Gives up what the server is doing. */
void bulk_free(struct bulk *b);

/* One message, or (data NULL) a position: every transaction that committed before it was handed
 * out. */
struct bulk_item {
    char *bytes; /* owned by the receiver: pg_copy_free; NULL for a position */
    char *data;  /* in it; data[len] may be written to */
    size_t len, size;
    lsn_t position;
};
/* False when there is nothing at the moment. */
bool bulk_next(struct bulk *b, struct bulk_item *out);
/* Takes in what has come and asks for more. durable: the mirror's slot may be moved there. */
bool bulk_pump(struct bulk *b, lsn_t durable, struct err *err) MUST_CHECK;
/* The source has hardly more, and everything was handed out. */
bool bulk_is_at_end(const struct bulk *b);
/* Then, when all of that is durable: moves the mirror's slot there. To be called until *is_over. */
bool bulk_leave(struct bulk *b, lsn_t durable, bool *is_over, struct err *err) MUST_CHECK;
/* The session's socket, while something is to be read from it; else -1. */
int bulk_fd(const struct bulk *b);
/* As pg_bear_silence. */
bool bulk_bear_silence(struct bulk *b, struct err *err) MUST_CHECK;

#endif
