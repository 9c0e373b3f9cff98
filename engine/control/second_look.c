/* A comparison of definitions beside the stream; see second_look.h. */
#include "control/second_look.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "copy/errand.h"
#include "schema/schema.h"

#define CONNECT_MS 15000

struct second_look {
    struct errand errand;
    const struct mirror_config *config;
    const char *mirror_id;
    const struct pg_target *source, *dest;
    char *app;
    bool is_same; /* the errand's until it is over */
};

/* What a comparison notes without doing anything, and without anything being left out. */
static bool is_idle(const struct schema_step *s)
{
    return s->kind == STEP_NOTE && !schema_step_is_left_out(s);
}

static void run(void *arg)
{
    struct second_look *l = arg;
    struct task *task = &l->errand.task;
    struct pg_conn *source = NULL, *dest = NULL;
    struct schema_plan plan = {0};
    struct err err = {0};
    bool ok =
        pg_connect(l->source, PG_SQL, l->app, NULL, task, CONNECT_MS, &source, &err) &&
        pg_connect(l->dest, PG_SQL, l->app, "-c lock_timeout=2s", task, CONNECT_MS, &dest, &err) &&
        schema_diff(source, dest, task, l->config, l->mirror_id, &plan, &err);
    l->is_same = ok;
    for (size_t i = 0; i < plan.n; i++)
        l->is_same = l->is_same && is_idle(&plan.items[i]);
    if (!ok)
        log_debug("schema", l->config->name, "definitions are compared between two runs: %s",
                  err.text);
    schema_plan_free(&plan);
    pg_close(source, true);
    pg_close(dest, true);
}

struct second_look *second_look_start(const struct mirror_config *config, const char *mirror_id,
                                      const struct pg_target *source, const struct pg_target *dest,
                                      int wake_fd)
{
    struct second_look *l = mem_calloc(1, sizeof *l);
    struct err err = {0};
    l->config = config;
    l->mirror_id = mirror_id;
    l->source = source;
    l->dest = dest;
    l->app = mem_printf("bunnydb %s", config->name);
    errand_init(&l->errand, "b:second-look", run, l, wake_fd);
    if (errand_start(&l->errand, &err))
        return l;
    (void)!second_look_finish(l);
    return NULL;
}

bool second_look_is_over(const struct second_look *l)
{
    return errand_is_over(&l->errand);
}

void second_look_cancel(struct second_look *l)
{
    errand_cancel(&l->errand);
}

bool second_look_finish(struct second_look *l)
{
    errand_join(&l->errand);
    bool is_same = l->is_same;
    free(l->app);
    free(l);
    return !is_same;
}
