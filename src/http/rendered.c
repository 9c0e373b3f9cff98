/* Answers kept as text; see rendered.h. */
#include "src/http/rendered.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct rendered_text {
    int refs; /* with the lock */
    size_t len;
    char text[];
};

void rendered_init(struct rendered *r)
{
    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
}

static void unref(struct rendered_text *t) /* with the lock */
{
    if (--t->refs == 0)
        free(t);
}

static void drop(struct rendered *r, struct rendered_entry *e) /* with the lock */
{
    if (!e->text)
        return;
    r->bytes -= e->text->len;
    unref(e->text);
    *e = (struct rendered_entry){0};
}

void rendered_destroy(struct rendered *r)
{
    for (size_t i = 0; i < RENDERED_ENTRIES; i++)
        drop(r, &r->entries[i]);
    pthread_mutex_destroy(&r->lock);
}

static struct rendered_entry *find(struct rendered *r, const char *key) /* with the lock */
{
    for (size_t i = 0; i < RENDERED_ENTRIES; i++)
        if (r->entries[i].text && !strcmp(r->entries[i].key, key))
            return &r->entries[i];
    return NULL;
}

char *rendered_get(struct rendered *r, const char *key, uint64_t revision, size_t *len)
{
    pthread_mutex_lock(&r->lock);
    const struct rendered_entry *e = find(r, key);
    struct rendered_text *t = e && e->revision == revision ? e->text : NULL;
    if (t)
        t->refs++;
    pthread_mutex_unlock(&r->lock);
    if (!t)
        return NULL;
    char *copy = mem_calloc(t->len + 1, 1); /* it may be long: not with the lock */
    memcpy(copy, t->text, t->len);
    *len = t->len;
    pthread_mutex_lock(&r->lock);
    unref(t);
    pthread_mutex_unlock(&r->lock);
    return copy;
}

/* The entry of that key, a free one, or the oldest. */
static struct rendered_entry *place_for(struct rendered *r, const char *key) /* with the lock */
{
    struct rendered_entry *e = find(r, key), *oldest = &r->entries[0];
    for (size_t i = 0; i < RENDERED_ENTRIES && !e; i++) {
        if (!r->entries[i].text)
            return &r->entries[i];
        if (r->entries[i].revision < oldest->revision)
            oldest = &r->entries[i];
    }
    return e ? e : oldest;
}

void rendered_put(struct rendered *r, const char *key, uint64_t revision, const char *text,
                  size_t len)
{
    if (len > RENDERED_BYTES || strlen(key) >= RENDERED_KEY)
        return;
    struct rendered_text *t = malloc(sizeof *t + len);
    if (!t)
        return;
    *t = (struct rendered_text){.refs = 1, .len = len};
    memcpy(t->text, text, len);
    pthread_mutex_lock(&r->lock);
    struct rendered_entry *e = place_for(r, key);
    drop(r, e);
    for (size_t i = 0; r->bytes + len > RENDERED_BYTES; i++)
        drop(r, &r->entries[i]);
    *e = (struct rendered_entry){.revision = revision, .text = t};
    str_copy(e->key, sizeof e->key, key);
    r->bytes += len;
    pthread_mutex_unlock(&r->lock);
}
