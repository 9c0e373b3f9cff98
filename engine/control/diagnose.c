/* What a bug report needs to know of a mirror, in one piece. Each server is asked by a thread of
 * its own that holds nothing of the engine: when it hangs (the lookup of a host's name cannot be
 * ended) the caller goes on without it, and the last of the two frees what they share. */
#include "engine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "config.h"
#include "control/diagnose_sql.h"
#include "control/engine_private.h"
#include "control/peer_target.h"
#include "control/supervisor.h"

#define ANSWER_MS 7500 /* all of a server's answers */
#define GIVE_UP_MS 9500
#define QUESTION_MS 4000
#define SLICE_MS 50

/* --- One server ------------------------------------------------------------------------------- */

/* Owned by the caller and the thread together. */
struct inquiry {
    pthread_mutex_t lock; /* refs, is_done */
    int refs;
    bool is_done;
    atomic_bool is_given_up;
    int64_t deadline; /* monotonic ms */
    struct peer peer;
    char *params[PARAM_COUNT];
    const struct question *questions;
    size_t n_questions;
    struct report answer; /* the thread's until is_done */
    struct err err;
};

static void inquiry_unref(struct inquiry *q)
{
    pthread_mutex_lock(&q->lock);
    int left = --q->refs;
    pthread_mutex_unlock(&q->lock);
    if (left)
        return;
    report_free(&q->answer);
    peer_free(&q->peer);
    for (int i = 0; i < PARAM_COUNT; i++)
        free(q->params[i]);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static bool is_over(void *arg)
{
    struct inquiry *q = arg;
    return atomic_load(&q->is_given_up) || clock_mono_ms() >= q->deadline;
}

/* False when the session cannot be used any more, or the time is over. */
static bool ask(struct inquiry *q, struct pg_conn *c, struct task *task, const struct question *x)
{
    const char *values[QUESTION_PARAMS];
    struct pg_result *r = NULL;
    struct err err = {0};
    size_t n = 0;
    while (n < QUESTION_PARAMS && x->params[n] != PARAM_NONE) {
        values[n] = q->params[x->params[n]];
        n++;
    }
    struct report_section *s = report_add_section(&q->answer, x->name, x->is_list);
    if (pg_exec_params(c, task, QUESTION_MS, x->sql, n, values, &r, &err)) {
        pg_report(s, r);
        pg_free(r);
        return true;
    }
    report_set_error(s, err.code == ERR_CANCELLED ? "the server's time was over" : err.text);
    return !is_over(q) && pg_is_alive(c);
}

static void *inquire(void *arg)
{
    struct inquiry *q = arg;
    struct task task = {.wake_fd = -1, .is_cancelled = is_over, .arg = q, .tick_ms = 100};
    struct pg_target target;
    struct pg_conn *c = NULL;
    pthread_setname_np(pthread_self(), "b:diagnose");
    peer_target(&q->peer, &target);
    if (pg_connect(&target, PG_SQL, "bunnydb/diagnose", "-c lock_timeout=1s", &task, ANSWER_MS, &c,
                   &q->err)) {
        for (size_t i = 0; i < q->n_questions; i++)
            if (!ask(q, c, &task, &q->questions[i]))
                break;
        pg_close(c, true);
    }
    pthread_mutex_lock(&q->lock);
    q->is_done = true;
    pthread_mutex_unlock(&q->lock);
    inquiry_unref(q);
    return NULL;
}

static char *array_of(const struct mirror_config *c, size_t offset)
{
    struct buf b = {0};
    const char **items = mem_calloc(c->n_tables + 1, sizeof *items);
    for (size_t i = 0; i < c->n_tables; i++)
        items[i] = (const char *)&c->tables[i] + offset;
    pg_quote_array(&b, c->n_tables, items);
    free(items);
    return buf_take(&b);
}

static struct inquiry *inquiry_new(const struct mirror_row *row, bool of_source)
{
    const struct mirror_config *c = &row->config;
    struct inquiry *q = mem_calloc(1, sizeof *q);
    pthread_mutex_init(&q->lock, NULL);
    q->refs = 1;
    q->deadline = clock_mono_ms() + ANSWER_MS;
    q->questions = of_source ? source_questions : dest_questions;
    q->n_questions = of_source ? source_question_count : dest_question_count;
    q->params[PARAM_SLOT] = mem_strdup(c->slot);
    q->params[PARAM_PUBLICATION] = mem_strdup(c->publication);
    q->params[PARAM_MIRROR_ID] = mem_strdup(row->mirror_id);
    q->params[PARAM_SCHEMAS] = array_of(c, of_source ? offsetof(struct table_map, source_schema)
                                                     : offsetof(struct table_map, dest_schema));
    q->params[PARAM_TABLES] = array_of(c, of_source ? offsetof(struct table_map, source_table)
                                                    : offsetof(struct table_map, dest_table));
    return q;
}

static bool inquiry_start(struct inquiry *q, struct err *err)
{
    sigset_t all, before;
    pthread_t thread;
    q->refs++;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread, NULL, inquire, q);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) {
        q->refs--;
        return err_set(err, ERR_IO, "cannot start a thread: %s", strerror(rc));
    }
    pthread_detach(thread);
    return true;
}

static bool inquiry_is_done(struct inquiry *q)
{
    pthread_mutex_lock(&q->lock);
    bool done = q->is_done;
    pthread_mutex_unlock(&q->lock);
    return done;
}

/* What it has found out, or that it has not answered. */
static void inquiry_take(struct inquiry *q, struct report *answer, struct err *err)
{
    if (inquiry_is_done(q)) {
        *answer = q->answer;
        q->answer = (struct report){0};
        *err = q->err;
    } else {
        atomic_store(&q->is_given_up, true);
        err_set(err, ERR_TIMEOUT, "the server did not answer within %d s", GIVE_UP_MS / 1000);
    }
    if (err->code == ERR_CANCELLED)
        err_set(err, ERR_TIMEOUT, "the server did not answer within %d s", ANSWER_MS / 1000);
}

/* --- Here ------------------------------------------------------------------------------------- */

/* PRETTY_NAME of os-release(5). */
static void add_system_name(struct report_row *r)
{
    char line[256], *name = NULL;
    FILE *f = fopen("/etc/os-release", "re");
    while (f && !name && fgets(line, sizeof line, f))
        if (!strncmp(line, "PRETTY_NAME=", 12))
            name = line + 12 + (line[12] == '"');
    if (f)
        fclose(f);
    if (name)
        name[strcspn(name, "\"\n")] = '\0';
    report_add_text(r, "name", name);
}

static void describe_machine(struct report *f)
{
    struct utsname u;
    struct sysinfo info;
    struct report_row *r = report_add_row(report_add_section(f, "system", false));
    add_system_name(r);
    if (uname(&u) == 0) {
        report_add_text(r, "kernel", u.release);
        report_add_text(r, "machine", u.machine);
    }
    report_add_number(r, "processors", sysconf(_SC_NPROCESSORS_ONLN));
    if (sysinfo(&info) == 0) {
        report_add_number(r, "memory_bytes", (int64_t)info.totalram * info.mem_unit);
        report_add_number(r, "uptime_seconds", info.uptime);
    }
}

static void describe_program(struct report *f)
{
    char libpq[32];
    int v = pg_client_version();
    struct report_row *r = report_add_row(report_add_section(f, "program", false));
    str_printf(libpq, sizeof libpq, "%d.%d", v / 10000, v % 10000);
    report_add_text(r, "version", engine_version());
    report_add_text(r, "configure", BUNNY_CONFIGURE);
    report_add_text(r, "compiler", __VERSION__);
    report_add_text(r, "libpq", libpq);
    report_add_text(r, "sqlite", catalog_sqlite_version());
    report_add_text(r, "libsodium", catalog_sodium_version());
}

/* --- All of it -------------------------------------------------------------------------------- */

void diagnosis_free(struct diagnosis *d)
{
    report_free(&d->program);
    report_free(&d->source);
    report_free(&d->destination);
}

static bool wait_for_both(struct engine *e, const atomic_bool *give_up, struct inquiry *source,
                          struct inquiry *dest, struct err *err)
{
    int64_t until = clock_mono_ms() + GIVE_UP_MS;
    const struct timespec slice = {.tv_nsec = SLICE_MS * 1000000L};
    while (!(inquiry_is_done(source) && inquiry_is_done(dest)) && clock_mono_ms() < until) {
        if (atomic_load(&e->is_stopping))
            return err_set(err, ERR_SHUTTING_DOWN, "bunnydb is stopping");
        if (give_up && atomic_load(give_up))
            return err_set(err, ERR_CANCELLED, "given up on command");
        nanosleep(&slice, NULL);
    }
    return true;
}

static bool ask_both(struct engine *e, const struct mirror_row *row, const atomic_bool *give_up,
                     struct diagnosis *out, struct err *err)
{
    struct inquiry *source = inquiry_new(row, true), *dest = inquiry_new(row, false);
    bool ok = catalog_peer_get(e->catalog, row->config.source_peer, &source->peer, err) &&
              catalog_peer_get(e->catalog, row->config.dest_peer, &dest->peer, err) &&
              inquiry_start(source, err) && inquiry_start(dest, err) &&
              wait_for_both(e, give_up, source, dest, err);
    inquiry_take(source, &out->source, &out->source_error);
    inquiry_take(dest, &out->destination, &out->destination_error);
    inquiry_unref(source);
    inquiry_unref(dest);
    return ok;
}

bool diagnose(struct engine *e, const char *name, const atomic_bool *give_up, struct diagnosis *out,
              struct err *err)
{
    struct mirror_row row;
    *out = (struct diagnosis){0};
    if (!catalog_mirror_get(e->catalog, name, &row, err))
        return false;
    describe_program(&out->program);
    describe_machine(&out->program);
    const struct mirror_config *c = &row.config;
    supervisor_describe(&(struct supervised){c->name, c->source_peer, c->dest_peer},
                        report_add_section(&out->program, "workers", true));
    bool ok = ask_both(e, &row, give_up, out, err);
    mirror_row_free(&row);
    if (!ok)
        diagnosis_free(out);
    return ok;
}

bool engine_mirror_diagnose(struct engine *e, const char *name, struct diagnosis *out,
                            struct err *err)
{
    return diagnose(e, name, NULL, out, err);
}
