/* GET /metrics: the picture, the process and the requests as Prometheus reads them (text format
 * 0.0.4). What there is stands in one table, from which the manual page is printed. */
#ifndef BUNNY_HTTP_METRICS_H
#define BUNNY_HTTP_METRICS_H

#include "src/http/router.h"

enum metric_type {
    METRIC_GAUGE,
    METRIC_COUNTER,
    METRIC_HISTOGRAM,
};
struct metric_page; /* what is being written, and from what */

struct metric {
    const char *name;
    enum metric_type type;
    const char *labels; /* for the manual; the function writes them */
    void (*put)(struct metric_page *p, const struct metric *m);
    size_t offset; /* of the value, for functions that share their shape */
    enum metric_value {
        VALUE_INT,     /* int64_t; negative: not known */
        VALUE_COUNT,   /* int */
        VALUE_REAL,    /* double; negative: not known */
        VALUE_TIME_US, /* int64_t; 0: not known */
        VALUE_US,      /* int64_t, a duration */
        VALUE_BOOL,
    } value;
    const char *text;
};
extern const struct metric metric_rows[];
extern const size_t metric_count;
const char *metric_type_name(enum metric_type t); /* "gauge" … */

extern const struct field_table metrics_query;
bool metrics_show(struct call *c, struct err *err) MUST_CHECK;

#endif
