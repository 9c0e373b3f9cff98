/* Failed logins; see throttle.h. */
#include "src/http/throttle.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void throttle_init(struct throttle *t)
{
    *t = (struct throttle){0};
    pthread_mutex_init(&t->lock, NULL);
    randombytes_buf(t->secret, sizeof t->secret);
}

void throttle_destroy(struct throttle *t)
{
    pthread_mutex_destroy(&t->lock);
}

/* Who has one IPv6 address has a network of them, usually with 64 bits; in out, as text. */
static const char *whose(const char *address, char out[INET6_ADDRSTRLEN])
{
    struct in6_addr a;
    if (inet_pton(AF_INET6, address, &a) != 1 || IN6_IS_ADDR_V4MAPPED(&a))
        return address;
    memset(a.s6_addr + 8, 0, 8);
    return inet_ntop(AF_INET6, &a, out, INET6_ADDRSTRLEN);
}

/* Hashed with a secret, so that nobody can aim at another's entry. user NULL: the address. */
static uint64_t key_of(const struct throttle *t, const char *user, const char *address)
{
    uint64_t key;
    unsigned char hash[crypto_shorthash_BYTES];
    char network[INET6_ADDRSTRLEN];
    char *text =
        mem_printf("%s|%s|%s", user ? "u" : "a", whose(address, network), user ? user : "");
    crypto_shorthash(hash, (const unsigned char *)text, strlen(text), t->secret);
    free(text);
    memcpy(&key, hash, sizeof key);
    return key ? key : 1;
}

/* The entry of key, emptied when its minute is over; NULL when there is none. */
static struct throttle_entry *find(struct throttle *t, uint64_t key, int64_t now_ms)
{
    for (size_t i = 0; i < THROTTLE_ENTRIES; i++) {
        struct throttle_entry *e = &t->entries[i];
        if (e->key != key)
            continue;
        if (now_ms - e->since_ms >= THROTTLE_WINDOW_MS) {
            e->failures = 0;
            e->since_ms = now_ms;
        }
        return e;
    }
    return NULL;
}

static int wait_of(struct throttle *t, uint64_t key, int most, int64_t now_ms)
{
    const struct throttle_entry *e = find(t, key, now_ms);
    if (!e || e->failures < most)
        return 0;
    return (int)((e->since_ms + THROTTLE_WINDOW_MS - now_ms + 999) / 1000);
}

static void count(struct throttle *t, uint64_t key, int64_t now_ms)
{
    struct throttle_entry *e = find(t, key, now_ms);
    if (!e) {
        e = &t->entries[0];
        for (size_t i = 1; i < THROTTLE_ENTRIES; i++)
            if (t->entries[i].used_ms < e->used_ms)
                e = &t->entries[i];
        *e = (struct throttle_entry){.key = key, .since_ms = now_ms};
    }
    e->failures++;
    e->used_ms = now_ms;
}

int throttle_wait_s(struct throttle *t, const char *user, const char *address, int64_t now_ms)
{
    pthread_mutex_lock(&t->lock);
    int a = wait_of(t, key_of(t, user, address), THROTTLE_USER_FAILURES, now_ms);
    int b = wait_of(t, key_of(t, NULL, address), THROTTLE_ADDRESS_FAILURES, now_ms);
    pthread_mutex_unlock(&t->lock);
    return a > b ? a : b;
}

void throttle_failed(struct throttle *t, const char *user, const char *address, int64_t now_ms)
{
    pthread_mutex_lock(&t->lock);
    count(t, key_of(t, user, address), now_ms);
    count(t, key_of(t, NULL, address), now_ms);
    pthread_mutex_unlock(&t->lock);
}

void throttle_passed(struct throttle *t, const char *user, const char *address)
{
    pthread_mutex_lock(&t->lock);
    struct throttle_entry *e = find(t, key_of(t, user, address), 0);
    if (e)
        *e = (struct throttle_entry){0};
    pthread_mutex_unlock(&t->lock);
}
