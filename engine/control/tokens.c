/* Tokens that were found good; see tokens.h. */
#include "control/tokens.h"

#include <string.h>

#include "base/mem.h"

void tokens_init(struct tokens *t)
{
    memset(t, 0, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
}

void tokens_destroy(struct tokens *t)
{
    pthread_mutex_destroy(&t->lock);
}

bool tokens_find(struct tokens *t, const char *hash, int64_t now_us, struct user *user,
                 int64_t *expires_at, uint64_t *generation)
{
    bool found = false;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < TOKENS_KEPT && !found; i++) {
        const struct token_entry *e = &t->entries[i];
        if (e->expires_at <= now_us || strcmp(e->hash, hash) != 0)
            continue;
        *user = e->user;
        *expires_at = e->expires_at;
        found = true;
    }
    *generation = t->generation;
    pthread_mutex_unlock(&t->lock);
    return found;
}

void tokens_remember(struct tokens *t, const char *hash, const struct user *user,
                     int64_t expires_at, uint64_t generation)
{
    pthread_mutex_lock(&t->lock);
    if (t->generation == generation && strlen(hash) < TOKEN_HASH_MAX) {
        struct token_entry *e = &t->entries[t->next++ % TOKENS_KEPT];
        str_copy(e->hash, sizeof e->hash, hash);
        e->user = *user;
        e->expires_at = expires_at;
    }
    pthread_mutex_unlock(&t->lock);
}

void tokens_forget(struct tokens *t)
{
    pthread_mutex_lock(&t->lock);
    t->generation++;
    memset(t->entries, 0, sizeof t->entries);
    pthread_mutex_unlock(&t->lock);
}
