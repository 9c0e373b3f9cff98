/* Key values of the changes that are under way to the destination, oldest first: what is said about
 * a change that found no row, or met one that should not be there. Only columns that name the row
 * are kept, cut to a length. Part of an apply; used by its thread only. */
#ifndef BUNNY_KEYS_H
#define BUNNY_KEYS_H

#include "stream/target.h"

#define KEY_TEXT_SIZE 320

struct keys {
    char *data;
    size_t head, tail, cap;
};

void keys_free(struct keys *k);
/* Keeps those of a change; returns how many bytes are to be dropped with it. */
uint32_t keys_push(struct keys *k, const struct target *t, const struct pgo_message *m);
/* The oldest ones, of len bytes, are done with. */
void keys_drop(struct keys *k, uint32_t len);
/* "(a, b)=(1, x)" of those len bytes that were just dropped, or "" when nothing names the rows. */
void keys_text(const struct keys *k, uint32_t len, const struct target *t, char out[KEY_TEXT_SIZE]);

#endif
