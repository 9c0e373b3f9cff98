/* Answers made from a picture, kept as text while that picture is the present one: many clients ask
 * for the same status again and again, and a picture changes a few times a second only. Its own
 * leaf lock; any thread. */
#ifndef BUNNY_RENDERED_H
#define BUNNY_RENDERED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RENDERED_ENTRIES 32
#define RENDERED_BYTES ((size_t)8 << 20) /* of all texts together; larger ones are not kept */
#define RENDERED_KEY 80

struct rendered_text;
struct rendered {
    pthread_mutex_t lock;
    size_t bytes;
    struct rendered_entry {
        char key[RENDERED_KEY];
        uint64_t revision;          /* of what it was made from; it only grows */
        struct rendered_text *text; /* NULL: free */
    } entries[RENDERED_ENTRIES];
};
void rendered_init(struct rendered *r);
void rendered_destroy(struct rendered *r);
/* A copy, owned by the caller; NULL when that is not known for this revision. */
char *rendered_get(struct rendered *r, const char *key, uint64_t revision, size_t *len);
void rendered_put(struct rendered *r, const char *key, uint64_t revision, const char *text,
                  size_t len);

#endif
