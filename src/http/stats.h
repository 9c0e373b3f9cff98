/* Counts of the requests that were answered, for the metrics. Its own leaf lock; any thread. */
#ifndef BUNNY_HTTP_STATS_H
#define BUNNY_HTTP_STATS_H

#include <pthread.h>
#include <stdint.h>

#define STATS_STATUSES 600
#define STATS_BUCKETS 14
extern const double stats_bounds[STATS_BUCKETS]; /* seconds, growing; beyond: no bucket */

struct stats_counts {
    uint64_t by_status[STATS_STATUSES];
    uint64_t by_duration[STATS_BUCKETS]; /* not cumulative */
    uint64_t requests;
    double seconds; /* of all */
};
struct stats {
    pthread_mutex_t lock;
    struct stats_counts counts;
};
void stats_init(struct stats *s);
void stats_destroy(struct stats *s);
void stats_count(struct stats *s, int status, int64_t us);
void stats_read(struct stats *s, struct stats_counts *out);

#endif
