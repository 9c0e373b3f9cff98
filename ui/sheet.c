/* The report worker; see sheet.h. The lock is never held during a question. */
#include "ui/sheet.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"

struct sheets {
    const struct model *model;
    int wake_fd;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    atomic_bool give_up; /* a newer question, or the end */
    bool stop, is_asked, has_answer;
    enum sheet_kind kind;
    char mirror[NAME_SIZE], other[NAME_SIZE];
    struct sheet answer;
};

void sheet_free(struct sheet *r)
{
    cutover_free(&r->cutover);
    verify_report_free(&r->verify);
    findings_free(&r->checks);
    peer_report_free(&r->test);
    slot_list_free(&r->slots);
    run_page_free(&r->runs);
    peer_list_free(&r->peers);
    mirror_config_free(&r->config);
    schema_plan_free(&r->plan);
    survey_free(&r->survey);
    peer_table_list_free(&r->available);
    *r = (struct sheet){0};
}

int64_t sheet_differences(const struct sheet *r)
{
    int64_t n = 0;
    for (size_t i = 0; i < r->verify.n_tables; i++)
        n +=
            r->verify.tables[i].differing + r->verify.tables[i].missing + r->verify.tables[i].extra;
    return n;
}

enum {
    RUNS_SHOWN = 200,
};

static bool ask(struct sheets *s, struct sheet *r, struct err *err)
{
    const struct model *m = s->model;
    switch (r->kind) {
    case SHEET_CUTOVER:
        return m->cutover(m->arg, r->mirror, &s->give_up, &r->cutover, err);
    case SHEET_VERIFY:
        return m->report(m->arg, r->mirror, &r->verify, err);
    case SHEET_CHECKUP:
    case SHEET_DOCTOR:
        return m->doctor(m->arg, r->mirror, &s->give_up, &r->checks, err);
    case SHEET_PEER_TEST:
        return m->peer_test(m->arg, r->mirror, &r->test, err);
    case SHEET_SLOTS:
        return m->slots(m->arg, &r->slots, err);
    case SHEET_RUNS:
        return m->runs(m->arg, *r->mirror ? r->mirror : NULL, RUNS_SHOWN, &r->runs, err);
    case SHEET_PEERS:
        return m->peers(m->arg, &r->peers, err);
    case SHEET_CONFIG:
        return m->config(m->arg, r->mirror, &r->config, err);
    case SHEET_PLAN:
        return m->schema_plan(m->arg, r->mirror, &r->plan, err);
    case SHEET_SURVEY:
        return m->survey(m->arg, r->mirror, r->other, &r->survey, err);
    case SHEET_AVAILABLE:
        return m->config(m->arg, r->mirror, &r->config, err) &&
               m->available(m->arg, r->mirror, &r->available, err);
    case SHEET_COUNT:
        break;
    }
    return true;
}

static void answer(struct sheets *s, struct sheet *r)
{
    if (ask(s, r, &r->err))
        err_clear(&r->err);
    r->is_there = true;
    r->at = clock_wall_us();
}

static void *sheets_main(void *arg)
{
    struct sheets *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->stop && !s->is_asked)
            pthread_cond_wait(&s->more, &s->lock);
        if (s->stop)
            break;
        struct sheet r = {.kind = s->kind};
        str_copy(r.mirror, sizeof r.mirror, s->mirror);
        str_copy(r.other, sizeof r.other, s->other);
        s->is_asked = false;
        atomic_store(&s->give_up, false);
        pthread_mutex_unlock(&s->lock);
        answer(s, &r);
        pthread_mutex_lock(&s->lock);
        if (s->is_asked || s->stop) {
            sheet_free(&r); /* of another question */
            continue;
        }
        sheet_free(&s->answer);
        s->answer = r;
        s->has_answer = true;
        wake_signal(s->wake_fd);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

struct sheets *sheets_start(const struct model *m, int wake_fd)
{
    struct sheets *s = mem_calloc(1, sizeof *s);
    s->model = m;
    s->wake_fd = wake_fd;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->more, NULL);
    if (pthread_create(&s->thread, NULL, sheets_main, s) != 0)
        abort();
    pthread_setname_np(s->thread, "console-report");
    return s;
}

void sheets_ask(struct sheets *s, enum sheet_kind kind, const char *mirror, const char *other)
{
    pthread_mutex_lock(&s->lock);
    s->kind = kind;
    str_copy(s->mirror, sizeof s->mirror, mirror);
    str_copy(s->other, sizeof s->other, other);
    s->is_asked = true;
    s->has_answer = false;
    atomic_store(&s->give_up, true);
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
}

bool sheets_take(struct sheets *s, struct sheet *out)
{
    pthread_mutex_lock(&s->lock);
    bool any = s->has_answer;
    if (any) {
        *out = s->answer;
        s->answer = (struct sheet){0};
        s->has_answer = false;
    }
    pthread_mutex_unlock(&s->lock);
    return any;
}

void sheets_stop(struct sheets *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    atomic_store(&s->give_up, true);
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    sheet_free(&s->answer);
    pthread_cond_destroy(&s->more);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
