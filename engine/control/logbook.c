/* The engine's log: ring, queue and writer thread; see logbook.h.
 *
 * The sink runs in whatever thread logs, under log.c's lock: it takes the logbook's lock (a leaf),
 * copies the line to the ring and the queue, and returns. The writer takes the whole queue at once
 * and writes it in one transaction without holding any lock of ours. */
#include "control/logbook.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

#define RING_SIZE 2000
#define HISTORY_LINES 500
#define QUEUE_LIMIT 8192
#define GATHER_MS 100         /* lines that come within that time share one transaction */
#define RETRY_MS 1000         /* after the catalog could not be written */
#define PRUNE_EVERY_MS 600000 /* and once soon after the start */

struct queue {
    struct log_row *rows;
    size_t n, cap;
};

struct logbook {
    struct catalog *catalog;
    int keep_days;
    void (*changed)(void *arg);
    void *changed_arg;
    pthread_t writer;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;
    bool stopping;
    int64_t next_id;
    struct log_row *ring; /* RING_SIZE rows; the newest is at (ring_end - 1) % RING_SIZE */
    size_t ring_end;      /* lines ever put in */
    struct queue queue;
    size_t dropped; /* since the count was last logged */
};

/* --- The sink --------------------------------------------------------------------------------- */

static void ring_put(struct logbook *b, const struct log_row *row)
{
    b->ring[b->ring_end++ % RING_SIZE] = *row;
}

static void on_line(void *arg, const struct log_line *line)
{
    struct logbook *b = arg;
    struct log_row row = {.line = *line};
    pthread_mutex_lock(&b->lock);
    row.id = b->next_id++;
    ring_put(b, &row);
    /* What the writer itself says, of lost lines above all, always finds room. */
    if (pthread_equal(pthread_self(), b->writer) || (b->queue.n < QUEUE_LIMIT && !b->stopping))
        MEM_PUSH(b->queue.rows, b->queue.n, b->queue.cap, row);
    else if (!b->stopping)
        b->dropped++;
    if (b->queue.n == 1)
        pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
    b->changed(b->changed_arg);
}

/* --- The writer ------------------------------------------------------------------------------- */

/* Sleeps until something happens, at most ms. Spurious wake-ups are fine for every caller. */
static void wait_ms(struct logbook *b, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_cond_timedwait(&b->wake, &b->lock, &until);
}

/* Sleeps ms even when lines come in; ends early only to stop. */
static void pause_ms(struct logbook *b, int64_t ms)
{
    int64_t end = clock_mono_ms() + ms;
    for (int64_t now = clock_mono_ms(); now < end && !b->stopping; now = clock_mono_ms())
        wait_ms(b, end - now);
}

/* Waits for lines, lets a few gather, takes them all. False: it is time to stop, and none is left.
 */
static bool take_lines(struct logbook *b, struct queue *out, int64_t prune_at, size_t *dropped)
{
    pthread_mutex_lock(&b->lock);
    while (!b->queue.n && !b->stopping && clock_mono_ms() < prune_at)
        wait_ms(b, prune_at - clock_mono_ms());
    if (b->queue.n)
        pause_ms(b, GATHER_MS);
    *out = b->queue;
    b->queue = (struct queue){0};
    *dropped = b->dropped;
    b->dropped = 0;
    bool go_on = out->n || !b->stopping;
    pthread_mutex_unlock(&b->lock);
    return go_on;
}

/* Writes until it succeeds. Gives up only when the process ends: the lines were in the process log
 * too. Says once that it fails, and once that it works again. */
static void write_lines(struct logbook *b, const struct queue *q)
{
    struct err err;
    bool failed = false, stopping = false;
    while (!catalog_log_append(b->catalog, q->rows, q->n, &err) && !stopping) {
        if (!failed)
            log_error("log", NULL, "log lines cannot be written and wait in memory: %s", err.text);
        failed = true;
        pthread_mutex_lock(&b->lock);
        pause_ms(b, RETRY_MS);
        stopping = b->stopping;
        pthread_mutex_unlock(&b->lock);
    }
    if (failed && !stopping)
        log_info("log", NULL, "log lines are written again");
}

static int64_t prune(struct logbook *b)
{
    struct err err;
    if (!catalog_log_prune(b->catalog, b->keep_days, &err))
        log_warn("log", NULL, "old log lines cannot be removed: %s", err.text);
    return clock_mono_ms() + PRUNE_EVERY_MS;
}

static void *writer_main(void *arg)
{
    struct logbook *b = arg;
    struct queue q;
    size_t dropped;
    int64_t prune_at = clock_mono_ms() + GATHER_MS;
    while (take_lines(b, &q, prune_at, &dropped)) {
        if (dropped)
            log_warn("log", NULL, "log lines were lost to the catalog, the disk is too slow n=%zu",
                     dropped);
        if (q.n)
            write_lines(b, &q);
        free(q.rows);
        if (clock_mono_ms() >= prune_at)
            prune_at = prune(b);
    }
    return NULL;
}

/* Signals are for the main thread. */
static bool start_writer(struct logbook *b)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&b->writer, NULL, writer_main, b);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc)
        log_error("log", NULL, "no thread for the log: %s", strerror(rc));
    else
        pthread_setname_np(b->writer, "logbook");
    return rc == 0;
}

/* --- Opening, closing, reading ------------------------------------------------------------------
 */

/* A restarted console shows what came before. */
static void read_history(struct logbook *b)
{
    struct err err;
    struct log_page page;
    int64_t last = 0;
    if (!catalog_log_last_id(b->catalog, &last, &err) ||
        !catalog_logs(b->catalog, NULL, LOG_LEVEL_DEBUG, false, NULL, HISTORY_LINES, 0, &page,
                      &err)) {
        log_warn("log", NULL, "earlier log lines cannot be read: %s", err.text);
        page = (struct log_page){0};
    }
    for (size_t i = page.n; i-- > 0;)
        ring_put(b, &page.rows[i]);
    b->next_id = last + 1;
    log_page_free(&page);
}

static void logbook_free(struct logbook *b)
{
    pthread_cond_destroy(&b->wake);
    pthread_mutex_destroy(&b->lock);
    free(b->queue.rows);
    free(b->ring);
    free(b);
}

struct logbook *logbook_open(struct catalog *c, int keep_days, void (*changed)(void *arg),
                             void *arg)
{
    struct logbook *b = mem_calloc(1, sizeof *b);
    b->catalog = c;
    b->keep_days = keep_days;
    b->changed = changed;
    b->changed_arg = arg;
    b->ring = mem_calloc(RING_SIZE, sizeof *b->ring);
    pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b->wake, &attr);
    pthread_condattr_destroy(&attr);
    read_history(b);
    if (!start_writer(b)) {
        logbook_free(b);
        return NULL;
    }
    log_set_sink(on_line, b);
    return b;
}

void logbook_close(struct logbook *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->stopping = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->writer, NULL); /* while the sink stands: its last lines are stored too */
    log_set_sink(NULL, NULL);
    logbook_free(b);
}

static bool is_wanted(const struct log_row *row, const char *mirror, enum log_level least)
{
    return row->line.level >= least && (!mirror || !strcmp(row->line.mirror, mirror));
}

size_t logbook_tail(struct logbook *b, const char *mirror, enum log_level least,
                    struct log_row *out, size_t max)
{
    pthread_mutex_lock(&b->lock);
    size_t oldest = b->ring_end > RING_SIZE ? b->ring_end - RING_SIZE : 0;
    size_t first = b->ring_end, n = 0;
    while (first > oldest && n < max)
        n += is_wanted(&b->ring[--first % RING_SIZE], mirror, least);
    size_t at = 0;
    for (size_t i = first; at < n; i++)
        if (is_wanted(&b->ring[i % RING_SIZE], mirror, least))
            out[at++] = b->ring[i % RING_SIZE];
    pthread_mutex_unlock(&b->lock);
    return n;
}
