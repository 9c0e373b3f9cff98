/* pgoutput's messages as bytes, made by hand, for the decoder's test and fuzz target. */
#ifndef BUNNY_TEST_PGOUTPUT_BYTES_H
#define BUNNY_TEST_PGOUTPUT_BYTES_H

#include "base/buf.h"

struct bytes_sample {
    const char *name;
    void (*build)(struct buf *b);
};
/* One of each kind of message, all whole; the last one has no name. */
extern const struct bytes_sample bytes_samples[];

void bytes_begin(struct buf *b);
void bytes_commit(struct buf *b);
void bytes_relation(struct buf *b);
void bytes_insert(struct buf *b);
void bytes_update_key(struct buf *b);
void bytes_update_old(struct buf *b);
void bytes_update_plain(struct buf *b);
void bytes_delete_key(struct buf *b);
void bytes_delete_old(struct buf *b);
void bytes_truncate(struct buf *b);

/* A column of a tuple: text, or 'n' or 'u'. */
void bytes_text(struct buf *b, const char *text);
void bytes_string(struct buf *b, const char *text); /* with its end */

#endif
