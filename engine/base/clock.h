/* Time: a monotonic clock for waits and rates, the wall clock only for what people read. */
#ifndef BUNNY_CLOCK_H
#define BUNNY_CLOCK_H

#include <stdint.h>

#define CLOCK_TEXT_SIZE 25 /* "2026-11-22T14:32:07.123Z" and the end */

/* Milliseconds / microseconds since an arbitrary start; never goes back. */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
/* Microseconds since 1970-01-01 UTC. */
int64_t clock_wall_us(void);
/* ISO 8601 UTC with milliseconds; 0 gives an empty string. Returns out. */
const char *clock_format(int64_t wall_us, char out[CLOCK_TEXT_SIZE]);

#endif
