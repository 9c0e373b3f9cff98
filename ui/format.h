/* Numbers and times in few columns: 885k, 2.9G, 1m48s, 0:42. Pure; any thread. Negative values mean
 * "not known" and give "-". Every function writes into out and returns it. */
#ifndef BUNNY_UI_FORMAT_H
#define BUNNY_UI_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#define FORMAT_SIZE 24

const char *format_count(int64_t n, char out[FORMAT_SIZE]);  /* 885k: steps of 1000 */
const char *format_bytes(int64_t n, char out[FORMAT_SIZE]);  /* 2.9G: steps of 1024 */
const char *format_seconds(double s, char out[FORMAT_SIZE]); /* 0.4s 1m48s 6h02m 12d03h */
const char *format_age(int64_t s, char out[FORMAT_SIZE]);    /* 42s 14m 6h02m 12d03h: no seconds */
const char *format_countdown(int64_t s, char out[FORMAT_SIZE]); /* 0:42 13:45 1:02:03 */
const char *format_percent(int64_t done, int64_t total, char out[FORMAT_SIZE]); /* " 45%" */
/* Local time of day, "14:32:07", or "14:32" without seconds; 0 gives "-". */
const char *format_time(int64_t wall_us, bool seconds, char out[FORMAT_SIZE]);
/* Local date and time, "2026-11-22 14:32:07"; 0 gives "-". */
const char *format_date_time(int64_t wall_us, char out[FORMAT_SIZE]);

/* "s" behind a number of things, unless it is one. */
static inline const char *format_s(int64_t n)
{
    return n == 1 ? "" : "s";
}

/* Lag in seconds to one of 8 steps on a fixed logarithmic scale; -1 for a gap. */
int format_lag_step(double seconds);
/* Reduces n samples (oldest first, negative: none) to width steps, the worst of each part. */
void format_graph(const float *samples, int n, int *steps, int width);
/* The same on a scale that ends at the largest sample; nothing at all is step 0, else it is 1. */
void format_scaled_graph(const float *samples, int n, int *steps, int width);

#endif
