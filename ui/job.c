/* The job worker; see job.h. The lock is never held during a job. */
#include "ui/job.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/wake.h"

struct jobs {
    const struct model *model;
    int wake_fd;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    bool stop, is_busy, has_result;
    struct job job;
    struct job_result result;
};

static void job_free(struct job *j)
{
    peer_free(&j->peer);
    mirror_config_free(&j->config);
    *j = (struct job){0};
}

enum {
    PAUSE_LIMIT_MS = 60000,
    CHANGE_LIMIT_MS = 10000,
};

static bool command(const struct model *m, const char *mirror, enum mirror_command c,
                    struct err *err)
{
    struct mirror_request r = {.command = c, .by = m->by};
    return m->command(m->arg, mirror, &r, PAUSE_LIMIT_MS, err);
}

/* Pause, change, resume as one step: what ran before runs afterwards, also when the change was
 * refused. */
static bool set_tables(const struct model *m, const struct job *j, struct job_result *r)
{
    const struct mirror_config *c = &j->config;
    struct err err = {0};
    if (j->is_running && !command(m, c->name, MIRROR_PAUSE, &r->err) &&
        r->err.code != ERR_ALREADY_PAUSED)
        return false;
    bool ok = m->set_tables(m->arg, c->name, m->by, c->tables, c->n_tables, &r->findings, &r->err);
    if (!j->is_running || command(m, c->name, MIRROR_RESUME, &err))
        return ok;
    if (ok)
        r->err = err;
    else
        (void)err_hint(&r->err, "it stays paused: %s", err.text);
    return false;
}

static bool change(const struct model *m, const struct job *j, struct err *err)
{
    struct mirror_request r = {.command = MIRROR_CHANGE,
                               .by = m->by,
                               .settings = &j->config.settings,
                               .changes = j->fields};
    return m->command(m->arg, j->config.name, &r, CHANGE_LIMIT_MS, err);
}

static void run(const struct model *m, const struct job *j, struct job_result *r)
{
    bool is_peer = j->kind == JOB_PEER_SAVE || j->kind == JOB_PEER_DELETE;
    const char *name = is_peer ? j->peer.name : j->config.name;
    char *path = NULL;
    *r = (struct job_result){.kind = j->kind};
    str_copy(r->name, sizeof r->name, name);
    switch (j->kind) {
    case JOB_PEER_SAVE:
        r->ok = m->peer_save(m->arg, &j->peer, j->fields, &r->err);
        str_printf(r->text, sizeof r->text, "peer %s %s%s", name, j->fields ? "change" : "add",
                   r->ok ? j->fields ? "d, its mirrors connect again" : "ed" : "");
        return;
    case JOB_PEER_DELETE:
        r->ok = m->peer_delete(m->arg, name, &r->err);
        str_printf(r->text, sizeof r->text, "peer %s delete%s", name, r->ok ? "d" : "");
        return;
    case JOB_CREATE:
        r->ok = m->create(m->arg, &j->config, &r->findings, &r->err);
        str_printf(r->text, sizeof r->text, "mirror %s %s", name,
                   r->ok ? "made: it copies its tables" : "not made");
        return;
    case JOB_BUNDLE:
        r->ok = m->bundle ? m->bundle(m->state_dir, name, &path, &r->err)
                          : err_set(&r->err, ERR_NOT_SUPPORTED, "there is none here");
        str_printf(r->text, sizeof r->text, "bundle %s", r->ok ? path : name);
        free(path);
        return;
    case JOB_CHANGE:
        r->ok = change(m, j, &r->err);
        str_printf(r->text, sizeof r->text, "settings of %s %schanged", name, r->ok ? "" : "not ");
        return;
    case JOB_SET_TABLES:
        r->ok = set_tables(m, j, r);
        str_printf(r->text, sizeof r->text, "tables of %s %schanged%s", name, r->ok ? "" : "not ",
                   r->ok && j->is_running ? ", it goes on" : "");
        return;
    }
}

static void *jobs_main(void *arg)
{
    struct jobs *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->stop && !s->is_busy)
            pthread_cond_wait(&s->more, &s->lock);
        if (s->stop)
            break;
        struct job j = s->job;
        struct job_result r;
        s->job = (struct job){0};
        pthread_mutex_unlock(&s->lock);
        run(s->model, &j, &r);
        job_free(&j);
        pthread_mutex_lock(&s->lock);
        s->result = r;
        s->has_result = true;
        s->is_busy = false;
        wake_signal(s->wake_fd);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

struct jobs *jobs_start(const struct model *m, int wake_fd)
{
    struct jobs *s = mem_calloc(1, sizeof *s);
    s->model = m;
    s->wake_fd = wake_fd;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->more, NULL);
    if (pthread_create(&s->thread, NULL, jobs_main, s) != 0)
        abort();
    pthread_setname_np(s->thread, "console-job");
    return s;
}

bool jobs_submit(struct jobs *s, struct job *j)
{
    pthread_mutex_lock(&s->lock);
    bool is_free = !s->is_busy && !s->has_result;
    if (is_free) {
        s->job = *j;
        s->is_busy = true;
        pthread_cond_signal(&s->more);
    }
    pthread_mutex_unlock(&s->lock);
    if (!is_free)
        job_free(j);
    *j = (struct job){0};
    return is_free;
}

bool jobs_take(struct jobs *s, struct job_result *out)
{
    pthread_mutex_lock(&s->lock);
    bool any = s->has_result;
    if (any)
        *out = s->result;
    s->result = (struct job_result){0};
    s->has_result = false;
    pthread_mutex_unlock(&s->lock);
    return any;
}

void jobs_stop(struct jobs *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    job_free(&s->job);
    findings_free(&s->result.findings);
    pthread_cond_destroy(&s->more);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
