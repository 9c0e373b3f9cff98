/* The engine's log: takes every line that log_write produces (as its sink), keeps the newest 2,000
 * in memory for the console, and writes all of them to the catalog from a thread of its own, so
 * that no thread that streams or draws ever waits for the disk. Lines that come faster than the
 * disk takes them (queue of 8,192) are counted, and the count is logged. */
#ifndef BUNNY_LOGBOOK_H
#define BUNNY_LOGBOOK_H

#include "catalog/catalog.h"

struct logbook;

/* Starts the writer and becomes the sink of log_write. changed(arg) is called (from the logging
 * thread, must not block) after a line was added. */
struct logbook *logbook_open(struct catalog *c, int keep_days, void (*changed)(void *arg),
                             void *arg);
/* Writes out what is queued, stops the thread. */
void logbook_close(struct logbook *b);
/* As engine_log_tail. */
size_t logbook_tail(struct logbook *b, const char *mirror, enum log_level least,
                    struct log_row *out, size_t max);

#endif
