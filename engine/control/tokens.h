/* Tokens that were found good a moment ago, so that a request need not wait for the catalog, whose
 * lock others may hold while the disk writes. The catalog stays the truth: whatever ends a token
 * there empties this first thing afterwards, and what was looked up before that is not remembered.
 * A fixed table; the oldest entry gives way. Its own leaf lock; any thread. */
#ifndef BUNNY_TOKENS_H
#define BUNNY_TOKENS_H

#include <pthread.h>

#include "engine.h"

#define TOKENS_KEPT 64
#define TOKEN_HASH_MAX 129

struct tokens {
    pthread_mutex_t lock;
    uint64_t generation; /* grows with each tokens_forget */
    size_t next;         /* the entry that gives way */
    struct token_entry {
        char hash[TOKEN_HASH_MAX]; /* empty: free */
        int64_t expires_at;
        struct user user;
    } entries[TOKENS_KEPT];
};

void tokens_init(struct tokens *t);
void tokens_destroy(struct tokens *t);
/* False: not known here; *generation is then for tokens_remember. */
bool tokens_find(struct tokens *t, const char *hash, int64_t now_us, struct user *user,
                 int64_t *expires_at, uint64_t *generation);
/* Unless something was forgotten since that generation. */
void tokens_remember(struct tokens *t, const char *hash, const struct user *user,
                     int64_t expires_at, uint64_t generation);
/* A user or a token has ended. */
void tokens_forget(struct tokens *t);

#endif
