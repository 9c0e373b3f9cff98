/* Signs of life: all workers of the process (the threads that apply, copy, compare, sample), what
 * each does and since when, and which of them has not moved for too long. Like the log, the list is
 * the process's, and any thread may use it; one leaf lock.
 *
 * A worker enters itself in its own thread, moves whenever it comes round (each wait of pg/ does
 * that for it), and leaves. Somebody (control/supervisor.h) looks once a second: a worker that came
 * round between none of the looks of a whole limit is late, and is told so once, in the way in
 * which its owner calls it off otherwise; no thread is ever killed. Time in which nobody looked
 * does not count: a process that was stopped has no late workers. */
#ifndef BUNNY_BEAT_H
#define BUNNY_BEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/model.h"

struct beat_worker {
    const char *name;   /* of the thread */
    const char *mirror; /* whose it is; NULL: a peer's */
    const char *peer;   /* NULL: a mirror's */
    /* Called once when the worker is late, in the thread that looks, without a lock; why says so in
     * a sentence. Must not wait. arg stays valid until the worker has left. NULL: nothing is done.
     */
    void (*cancel)(void *arg, const char *why);
    void *arg;
};

/* These are about the calling thread, and do nothing in one that has not entered. The strings are
 * copied. */
void beat_enter(const struct beat_worker *w);
void beat_leave(void); /* waits for a cancel under way */
void beat_move(void);  /* cheap: it has come round */
/* What it does from now on, as it is to be read after "it": "copies public.t". Moves, too. */
void beat_does(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* It has nothing to do until it moves next, which may take any time. */
void beat_rests(void);

/* Finds and cancels those that are late, and returns their number. now_ms: monotonic. */
size_t beat_look(int64_t now_ms, int64_t limit_ms);

/* What is seen of a worker. */
struct beat_sight {
    char name[16], mirror[NAME_SIZE], peer[NAME_SIZE]; /* the one or the other is empty */
    char does[96];
    int64_t since; /* wall clock, us */
    bool is_resting, is_late;
    int64_t still_ms; /* it has not moved for so long, as far as somebody looked */
};
/* Whether any is late: cheap, for whoever asks often. */
bool beat_is_any_late(void);
/* All of them, those that entered first at first; caller frees. */
struct beat_sight *beat_list(size_t *n);

#endif
