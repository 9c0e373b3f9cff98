/* Counts of requests; see stats.h. */
#include "src/http/stats.h"

const double stats_bounds[STATS_BUCKETS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                            0.1,    0.25,  0.5,    1,     2.5,  10,    30};

void stats_init(struct stats *s)
{
    *s = (struct stats){.counts = {.requests = 0}};
    pthread_mutex_init(&s->lock, NULL);
}

void stats_destroy(struct stats *s)
{
    pthread_mutex_destroy(&s->lock);
}

void stats_count(struct stats *s, int status, int64_t us)
{
    double seconds = (double)us / 1e6;
    int bucket = 0;
    while (bucket < STATS_BUCKETS && seconds > stats_bounds[bucket])
        bucket++;
    pthread_mutex_lock(&s->lock);
    if (status >= 0 && status < STATS_STATUSES)
        s->counts.by_status[status]++;
    if (bucket < STATS_BUCKETS)
        s->counts.by_duration[bucket]++;
    s->counts.requests++;
    s->counts.seconds += seconds;
    pthread_mutex_unlock(&s->lock);
}

void stats_read(struct stats *s, struct stats_counts *out)
{
    pthread_mutex_lock(&s->lock);
    *out = s->counts;
    pthread_mutex_unlock(&s->lock);
}
