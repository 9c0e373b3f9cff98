/* How fast each table is copied; see meter.h. */
#include "ui/meter.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    INTERVAL_US = 1000000, /* between two measurements */
};

void meters_free(struct meters *s)
{
    free(s->items);
    memset(s, 0, sizeof *s);
}

static struct meter *find(const struct meters *s, const char *table)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->items[i].table, table))
            return &s->items[i];
    return NULL;
}

static void measure(struct meter *x, int64_t bytes, int64_t at)
{
    if (at - x->at < INTERVAL_US)
        return;
    double now = (double)(bytes - x->bytes) * 1e6 / (double)(at - x->at);
    x->bytes_per_second = x->bytes_per_second < 0 ? now : x->bytes_per_second * 0.7 + now * 0.3;
    x->bytes = bytes;
    x->at = at;
}

void meters_update(struct meters *s, const struct mirror_status *m, int64_t at)
{
    struct meters now = {0};
    if (strcmp(s->mirror, m->name) != 0)
        meters_free(s);
    for (size_t i = 0; i < m->n_tables; i++) {
        const struct table_status *t = &m->tables[i];
        if (strcmp(t->state, "copying") != 0)
            continue;
        const struct meter *was = find(s, t->source);
        struct meter x = {.bytes = t->bytes_done, .at = at, .bytes_per_second = -1};
        str_copy(x.table, sizeof x.table, t->source);
        if (was && was->bytes <= t->bytes_done) {
            x = *was;
            measure(&x, t->bytes_done, at);
        }
        MEM_PUSH(now.items, now.n, now.cap, x);
    }
    meters_free(s);
    *s = now;
    str_copy(s->mirror, sizeof s->mirror, m->name);
}

int64_t meters_left(const struct meters *s, const struct table_status *t)
{
    const struct meter *x = find(s, t->source);
    int64_t left = t->bytes_total - t->bytes_done;
    if (!x || x->bytes_per_second < 1 || left < 0)
        return -1;
    double seconds = (double)left / x->bytes_per_second;
    return seconds > 1e9 ? -1 : (int64_t)(seconds + 0.5);
}
