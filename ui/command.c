/* The command worker; see command.h. The lock guards the two rings and is never held during a
 * command. */
#include "ui/command.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"

enum {
    QUEUE = 32,
    LIMIT_MS = 1000, /* how long one may keep the console from being left */
};

struct commands {
    const struct model *model;
    int wake_fd;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    bool stop;
    struct command_result queue[QUEUE], results[QUEUE];
    size_t n_queue, n_results;
};

const char *order_text(const struct order *o, char *out, size_t size)
{
    if (*o->table)
        str_printf(out, size, "resync %s of %s", o->table, o->mirror);
    else
        str_printf(out, size, "%s %s", command_name(o->kind), o->mirror);
    if (o->strategy)
        str_printf(out + strlen(out), size - strlen(out), " (%s)", o->strategy);
    return out;
}

bool order_is_long(const struct order *o)
{
    return o->kind == MIRROR_RESYNC || o->kind == MIRROR_RESYNC_TABLE || o->kind == MIRROR_VERIFY ||
           o->kind == MIRROR_REPAIR || o->kind == MIRROR_SYNC_SCHEMA;
}

static void command_run(const struct model *m, struct command_result *r)
{
    const struct order *o = &r->order;
    struct mirror_request request = {.command = o->kind,
                                     .by = m->by,
                                     .table = *o->table ? o->table : NULL,
                                     .strategy = o->strategy};
    int64_t begin = clock_mono_ms();
    r->ok = m->command(m->arg, o->mirror, &request, LIMIT_MS, &r->err);
    r->took_ms = clock_mono_ms() - begin;
}

static struct command_result take_first(struct command_result *ring, size_t *n)
{
    struct command_result first = ring[0];
    (*n)--;
    for (size_t i = 0; i < *n; i++)
        ring[i] = ring[i + 1];
    return first;
}

static void *commands_main(void *arg)
{
    struct commands *c = arg;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->stop && (c->n_queue == 0 || c->n_results == QUEUE))
            pthread_cond_wait(&c->more, &c->lock);
        if (c->stop)
            break;
        struct command_result r = take_first(c->queue, &c->n_queue);
        pthread_mutex_unlock(&c->lock);
        command_run(c->model, &r);
        pthread_mutex_lock(&c->lock);
        c->results[c->n_results++] = r;
        wake_signal(c->wake_fd);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct commands *commands_start(const struct model *m, int wake_fd)
{
    struct commands *c = mem_calloc(1, sizeof *c);
    c->model = m;
    c->wake_fd = wake_fd;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->more, NULL);
    if (pthread_create(&c->thread, NULL, commands_main, c) != 0)
        abort();
    pthread_setname_np(c->thread, "console-cmd");
    return c;
}

bool commands_submit(struct commands *c, const struct order *o)
{
    pthread_mutex_lock(&c->lock);
    bool fits = c->n_queue < QUEUE;
    if (fits) {
        c->queue[c->n_queue++] = (struct command_result){.order = *o};
        pthread_cond_signal(&c->more);
    }
    pthread_mutex_unlock(&c->lock);
    return fits;
}

bool commands_take(struct commands *c, struct command_result *out)
{
    pthread_mutex_lock(&c->lock);
    bool any = c->n_results > 0;
    if (any) {
        *out = take_first(c->results, &c->n_results);
        pthread_cond_signal(&c->more);
    }
    pthread_mutex_unlock(&c->lock);
    return any;
}

void commands_stop(struct commands *c)
{
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_signal(&c->more);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    pthread_cond_destroy(&c->more);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
