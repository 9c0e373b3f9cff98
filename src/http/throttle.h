/* Failed logins: after 5 of one user from one address within a minute, or 30 from one address,
 * further ones are refused until the oldest is a minute old. An IPv6 address stands for its /64. A
 * fixed table: when it is full the longest unused entry gives way. Its own leaf lock; any thread.
 */
#ifndef BUNNY_THROTTLE_H
#define BUNNY_THROTTLE_H

#include <pthread.h>
#include <stdint.h>

#define THROTTLE_ENTRIES 1024
#define THROTTLE_USER_FAILURES 5
#define THROTTLE_ADDRESS_FAILURES 30
#define THROTTLE_WINDOW_MS 60000

struct throttle_entry {
    uint64_t key; /* 0: free */
    int64_t since_ms;
    int64_t used_ms;
    int failures;
};
struct throttle {
    pthread_mutex_t lock;
    unsigned char secret[16]; /* crypto_shorthash_KEYBYTES */
    struct throttle_entry entries[THROTTLE_ENTRIES];
};
void throttle_init(struct throttle *t);
void throttle_destroy(struct throttle *t);
/* Seconds until the next login may be tried; 0: now. */
int throttle_wait_s(struct throttle *t, const char *user, const char *address, int64_t now_ms);
void throttle_failed(struct throttle *t, const char *user, const char *address, int64_t now_ms);
/* A login that worked clears the user's failures, not the address's. */
void throttle_passed(struct throttle *t, const char *user, const char *address);

#endif
