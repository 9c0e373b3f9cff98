/* An errand: one thread that does one thing beside its owner, with connections of its own, and can
 * be called off at any time: every wait in it uses errand->task. Belongs to the thread that starts
 * it; errand_is_over and errand_cancel may be called from any. */
#ifndef BUNNY_ERRAND_H
#define BUNNY_ERRAND_H

#include <pthread.h>
#include <stdatomic.h>

#include "pg/pg.h"

struct errand {
    pthread_t thread;
    bool has_thread;
    char name[16];
    const char *mirror; /* whose worker it is (base/beat.h), to be set before errand_start,
                         * borrowed; NULL: nobody looks whether it moves */
    void (*run)(void *arg);
    void *arg;
    int owner_fd; /* wake_signal-ed at news and at the end */
    int wake_fd;
    struct task task; /* the errand's own; its tick may be set before errand_start */
    atomic_bool is_cancelled, is_over, has_news;
    atomic_bool is_late; /* cancelled since it did not move */
};

void errand_init(struct errand *e, const char *name, void (*run)(void *arg), void *arg,
                 int owner_fd);
bool errand_start(struct errand *e, struct err *err) MUST_CHECK;
/* In the errand's thread: there is something to see; wakes the owner. */
void errand_tell(struct errand *e);
/* True once after each errand_tell, and after the end. */
bool errand_has_news(struct errand *e);
bool errand_is_over(const struct errand *e);
/* Its waits end with ERR_CANCELLED; returns at once. */
void errand_cancel(struct errand *e);
/* What ERR_CANCELLED in it really means, if it was late. */
void errand_explain(const struct errand *e, struct err *err);
/* Cancels, waits for the end, frees what errand_init made. */
void errand_join(struct errand *e);
/* In the errand's thread: nothing to do for so long, or until wake_fd is signalled; false when it
 * was called off. */
bool errand_sleep(struct errand *e, int ms, struct err *err) MUST_CHECK;

#endif
