/* An arena: memory for row data that goes away all at once. Owned by who declares it; one thread.
 */
#ifndef BUNNY_ARENA_H
#define BUNNY_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *blocks; /* the one in use first */
};

/* n bytes, aligned for any type, uninitialised, valid until the next reset; NULL: no memory. */
void *arena_take(struct arena *a, size_t n);
/* Gives everything back but one block of ordinary size. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#endif
