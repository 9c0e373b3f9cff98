/* Blocks in a list; see arena.h. What is larger than a block gets one of its own. */
#include "base/arena.h"

#include <stdlib.h>

#define BLOCK_BYTES ((size_t)256 * 1024)
#define ALIGN 16

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(ALIGN) char data[];
};

static struct arena_block *add_block(struct arena *a, size_t size)
{
    struct arena_block *b = malloc(sizeof *b + size);
    if (!b)
        return NULL;
    b->used = 0;
    b->size = size;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

void *arena_take(struct arena *a, size_t n)
{
    struct arena_block *b = a->blocks;
    n = (n + ALIGN - 1) / ALIGN * ALIGN;
    if (!b || b->size - b->used < n)
        b = add_block(a, n > BLOCK_BYTES ? n : BLOCK_BYTES);
    if (!b)
        return NULL;
    void *p = b->data + b->used;
    b->used += n;
    return p;
}

static void free_blocks(struct arena_block *b)
{
    while (b) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_reset(struct arena *a)
{
    struct arena_block *kept = a->blocks;
    if (!kept)
        return;
    free_blocks(kept->next);
    kept->next = NULL;
    kept->used = 0;
    if (kept->size > BLOCK_BYTES)
        arena_free(a);
}

void arena_free(struct arena *a)
{
    free_blocks(a->blocks);
    a->blocks = NULL;
}
