/* A console's link to another process; see link.h. The lock guards what the thread hands over, and
 * is never held during a request. */
#include "src/attach/link.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"
#include "src/attach/ask.h"
#include "src/attach/from_json.h"
#include "src/client.h"

enum {
    LINES = 2000,     /* as the engine keeps in memory */
    WAIT_MS = 15000,  /* for news */
    SPARE_MS = 10000, /* then the answer must be there */
    PACE_MS = 250,    /* between two questions */
    AGAIN_MS = 1000,  /* after one that failed */
    WATCHERS = 4,
};

/* A mirror, shared by all pictures in which it is the same. */
struct held {
    atomic_int refs;
    struct mirror_status status;
};
struct held_picture {
    struct picture p; /* first: what is handed out */
    atomic_int refs;
    struct mirror_status *mirrors; /* tables and findings are those of held */
    struct held **held;
};

struct link {
    struct model model;
    char *state_dir;
    char host[65];
    pthread_t thread;
    int stop_fd;
    pthread_mutex_t lock;
    struct held_picture *now;
    struct log_row *lines; /* oldest first */
    size_t n_lines;
    bool is_connected;
    int64_t lost_at; /* us */
    struct err why;
    int fds[WATCHERS];
    /* of the thread alone: what has come */
    char instance[64];
    int64_t version, revision, line;
    uint64_t pictures;
};

/* --- Pictures --------------------------------------------------------------------------------- */
static void held_unref(struct held *h)
{
    if (atomic_fetch_sub(&h->refs, 1) > 1)
        return;
    mirror_status_free(&h->status);
    free(h);
}

static void picture_unref(struct held_picture *f)
{
    if (!f || atomic_fetch_sub(&f->refs, 1) > 1)
        return;
    for (size_t i = 0; i < f->p.n; i++)
        held_unref(f->held[i]);
    free(f->held);
    free(f->mirrors);
    free(f);
}

static struct held *find_held(const struct held_picture *f, const char *name)
{
    for (size_t i = 0; f && i < f->p.n; i++)
        if (!strcmp(f->mirrors[i].name, name))
            return f->held[i];
    return NULL;
}

/* The mirror of an answer; when it is only named, the one that we have, if any. *whole becomes
 * false when that is not the one that is meant. */
static struct held *take_mirror(const struct link *l, const json_t *o, bool *whole)
{
    const char *name = json_string_value(json_object_get(o, "name"));
    uint64_t revision = (uint64_t)json_integer_value(json_object_get(o, "revision"));
    struct held *h = find_held(l->now, name ? name : "");
    if (!json_object_get(o, "status")) {
        *whole &= h && h->status.revision == revision;
        if (h)
            atomic_fetch_add(&h->refs, 1);
        return h;
    }
    h = mem_calloc(1, sizeof *h);
    atomic_store(&h->refs, 1);
    mirror_status_from_json(o, &h->status);
    return h;
}

/* The picture of an answer. Where something is missing, all of it is asked for next. */
static struct held_picture *take_picture(struct link *l, const json_t *answer)
{
    const json_t *mirrors = json_object_get(answer, "mirrors");
    size_t n = json_array_size(mirrors);
    struct held_picture *f = mem_calloc(1, sizeof *f);
    f->mirrors = mem_calloc(n + 1, sizeof *f->mirrors);
    f->held = mem_calloc(n + 1, sizeof *f->held);
    atomic_store(&f->refs, 1);
    bool is_whole = true;
    l->version = json_integer_value(json_object_get(answer, "version"));
    for (size_t i = 0; i < n; i++) {
        struct held *h = take_mirror(l, json_array_get(mirrors, i), &is_whole);
        if (!h)
            continue;
        f->held[f->p.n] = h;
        f->mirrors[f->p.n++] = h->status;
        if ((int64_t)h->status.revision > l->revision)
            l->revision = (int64_t)h->status.revision;
    }
    if (!is_whole) {
        l->revision = 0;
        l->version = -1;
    }
    f->p.version = ++l->pictures;
    f->p.taken_at = time_from_json(answer, "taken_at");
    f->p.mirrors = f->mirrors;
    return f;
}

/* --- The thread ------------------------------------------------------------------------------- */
static void tell(struct link *l) /* with the lock */
{
    for (int i = 0; i < WATCHERS; i++)
        if (l->fds[i] >= 0)
            wake_signal(l->fds[i]);
}

static void take_lines(struct link *l, const json_t *array, bool anew) /* with the lock */
{
    size_t n = json_array_size(array);
    size_t fresh = n > LINES ? LINES : n, keep = anew ? 0 : l->n_lines;
    if (keep + fresh > LINES)
        keep = LINES - fresh;
    memmove(l->lines, l->lines + l->n_lines - keep, keep * sizeof *l->lines);
    for (size_t i = 0; i < fresh; i++) {
        struct log_row *r = &l->lines[keep + i];
        log_row_from_json(json_array_get(array, n - fresh + i), r);
        if (r->id > l->line)
            l->line = r->id;
    }
    l->n_lines = keep + fresh;
}

static void take_answer(struct link *l, const json_t *answer)
{
    const char *instance = json_string_value(json_object_get(answer, "instance"));
    const char *host = json_string_value(json_object_get(answer, "host"));
    bool anew = strcmp(instance ? instance : "", l->instance) != 0;
    if (anew) {
        l->revision = l->line = 0;
        str_copy(l->instance, sizeof l->instance, instance);
    }
    struct held_picture *f = take_picture(l, answer);
    pthread_mutex_lock(&l->lock);
    struct held_picture *old = l->now;
    l->now = f;
    take_lines(l, json_object_get(answer, "log"), anew);
    int64_t line = json_integer_value(json_object_get(answer, "line"));
    l->line = line > l->line ? line : l->line;
    l->is_connected = true;
    str_copy(l->host, sizeof l->host, host);
    tell(l);
    pthread_mutex_unlock(&l->lock);
    picture_unref(old);
}

static void lose(struct link *l, const struct err *why)
{
    pthread_mutex_lock(&l->lock);
    if (l->is_connected)
        l->lost_at = clock_wall_us();
    l->is_connected = false;
    l->why = *why;
    tell(l);
    pthread_mutex_unlock(&l->lock);
}

static bool ask_for_news(struct link *l, int wait_ms, int limit_ms, struct err *err)
{
    struct answer a;
    const struct client_stop stop = {.fd = l->stop_fd};
    char *path =
        mem_printf("/v1/console?instance=%s&version=%lld&revision=%lld&line=%lld"
                   "&wait_ms=%d",
                   l->instance, (long long)(l->version < 0 ? 0 : l->version),
                   (long long)l->revision, (long long)l->line, l->version < 0 ? 0 : wait_ms);
    bool ok = client_request_until(CLIENT_CONSOLE, l->state_dir, "GET", path, NULL, limit_ms, &stop,
                                   &a, err) == CLIENT_DONE;
    ok = ok && (json_is_array(json_object_get(a.json, "mirrors")) ||
                err_set(err, ERR_PROTOCOL, "the process answers, but not with a picture"));
    if (ok)
        take_answer(l, a.json);
    answer_free(&a);
    free(path);
    return ok;
}

/* False: the link is to end. */
static bool rest(const struct link *l, int ms)
{
    struct pollfd p = {.fd = l->stop_fd, .events = POLLIN};
    return poll(&p, 1, ms > 0 ? ms : 0) <= 0;
}

static void *link_main(void *arg)
{
    struct link *l = arg;
    int pace = PACE_MS;
    while (rest(l, pace)) {
        struct err err = {0};
        int64_t began = clock_mono_ms();
        bool ok = ask_for_news(l, WAIT_MS, WAIT_MS + SPARE_MS, &err);
        if (!ok)
            lose(l, &err);
        int64_t took = clock_mono_ms() - began;
        pace = !ok ? AGAIN_MS : took < PACE_MS ? (int)(PACE_MS - took) : 0;
    }
    return NULL;
}

/* --- The model -------------------------------------------------------------------------------- */
static const struct picture *link_picture(void *arg)
{
    struct link *l = arg;
    pthread_mutex_lock(&l->lock);
    struct held_picture *f = l->now;
    atomic_fetch_add(&f->refs, 1);
    pthread_mutex_unlock(&l->lock);
    return &f->p;
}

static void link_release(void *arg, const struct picture *p)
{
    (void)arg;
    picture_unref((struct held_picture *)(uintptr_t)p);
}

static void watch(struct link *l, int from, int to)
{
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < WATCHERS; i++)
        if (l->fds[i] == from) {
            l->fds[i] = to;
            break;
        }
    pthread_mutex_unlock(&l->lock);
}

static void link_subscribe(void *arg, int fd)
{
    watch(arg, -1, fd);
}

static void link_unsubscribe(void *arg, int fd)
{
    watch(arg, fd, -1);
}

static size_t link_log_tail(void *arg, const char *mirror, enum log_level least,
                            struct log_row *out, size_t max)
{
    struct link *l = arg;
    size_t first, n = 0;
    pthread_mutex_lock(&l->lock);
    for (first = l->n_lines; first > 0 && n < max; first--) {
        const struct log_line *x = &l->lines[first - 1].line;
        n += x->level >= least && (!mirror || !strcmp(mirror, x->mirror));
    }
    size_t put = 0;
    for (size_t i = first; i < l->n_lines && put < n; i++) {
        const struct log_line *x = &l->lines[i].line;
        if (x->level >= least && (!mirror || !strcmp(mirror, x->mirror)))
            out[put++] = l->lines[i];
    }
    pthread_mutex_unlock(&l->lock);
    return put;
}

static bool link_is_connected(void *arg, int64_t *since, struct err *why)
{
    struct link *l = arg;
    pthread_mutex_lock(&l->lock);
    bool is = l->is_connected;
    *since = l->lost_at;
    *why = l->why;
    pthread_mutex_unlock(&l->lock);
    return is;
}

static bool link_command(void *arg, const char *mirror, const struct mirror_request *r,
                         int limit_ms, struct err *err)
{
    const struct link *l = arg;
    if (l->model.is_read_only)
        return err_set(err, ERR_FORBIDDEN, "this console only reads: attached with --read-only");
    return ask_command(l->state_dir, mirror, r, limit_ms, err);
}

static bool link_report(void *arg, const char *mirror, struct verify_report *out, struct err *err)
{
    return ask_report(((struct link *)arg)->state_dir, mirror, out, err);
}

static bool link_cutover(void *arg, const char *mirror, const atomic_bool *give_up,
                         struct cutover *out, struct err *err)
{
    return ask_cutover(((struct link *)arg)->state_dir, mirror, give_up, out, err);
}

static bool link_doctor(void *arg, const char *mirror, const atomic_bool *give_up,
                        struct findings *out, struct err *err)
{
    return ask_doctor(((struct link *)arg)->state_dir, mirror, give_up, out, err);
}

#define STATE_DIR(arg) (((struct link *)(arg))->state_dir)

static bool link_slots(void *arg, struct slot_list *out, struct err *err)
{
    return ask_slots(STATE_DIR(arg), out, err);
}

static bool link_runs(void *arg, const char *mirror, int limit, struct run_page *out,
                      struct err *err)
{
    return ask_runs(STATE_DIR(arg), mirror, limit, out, err);
}

static bool link_config(void *arg, const char *mirror, struct mirror_config *out, struct err *err)
{
    return ask_config(STATE_DIR(arg), mirror, out, err);
}

static bool link_schema_plan(void *arg, const char *mirror, struct schema_plan *out,
                             struct err *err)
{
    return ask_schema_plan(STATE_DIR(arg), mirror, out, err);
}

static bool link_peers(void *arg, struct peer_list *out, struct err *err)
{
    return ask_peers(STATE_DIR(arg), out, err);
}

static bool link_peer_test(void *arg, const char *peer, struct peer_report *out, struct err *err)
{
    return ask_peer_test(STATE_DIR(arg), peer, out, err);
}

/* Commands are refused where the console only reads. */
static bool may_write(const struct link *l, struct err *err)
{
    return !l->model.is_read_only ||
           err_set(err, ERR_FORBIDDEN, "this console only reads: attached with --read-only");
}

static bool link_peer_save(void *arg, const struct peer *p, unsigned fields, struct err *err)
{
    return may_write(arg, err) && ask_peer_save(STATE_DIR(arg), p, fields, err);
}

static bool link_peer_delete(void *arg, const char *peer, struct err *err)
{
    return may_write(arg, err) && ask_peer_delete(STATE_DIR(arg), peer, err);
}

static bool link_survey(void *arg, const char *source, const char *dest, struct survey *out,
                        struct err *err)
{
    return ask_survey(STATE_DIR(arg), source, dest, out, err);
}

static bool link_available(void *arg, const char *mirror, struct peer_table_list *out,
                           struct err *err)
{
    return ask_available(STATE_DIR(arg), mirror, out, err);
}

static bool link_create(void *arg, const struct mirror_config *c, struct findings *findings,
                        struct err *err)
{
    return may_write(arg, err) && ask_create(STATE_DIR(arg), c, findings, err);
}

/* The other process sees by itself who asks. */
static bool link_set_tables(void *arg, const char *mirror, const char *by,
                            const struct table_map *tables, size_t n, struct findings *findings,
                            struct err *err)
{
    (void)by;
    return may_write(arg, err) && ask_set_tables(STATE_DIR(arg), mirror, tables, n, findings, err);
}

/* --- Life ------------------------------------------------------------------------------------- */
bool link_open(const char *state_dir, bool is_read_only, int limit_ms, struct link **out,
               struct err *err)
{
    struct link *l = mem_calloc(1, sizeof *l);
    l->state_dir = mem_strdup(state_dir);
    l->lines = mem_calloc(LINES, sizeof *l->lines);
    l->stop_fd = wake_new();
    l->version = -1;
    pthread_mutex_init(&l->lock, NULL);
    for (int i = 0; i < WATCHERS; i++)
        l->fds[i] = -1;
    l->model = (struct model){.arg = l,
                              .by = "console",
                              .picture = link_picture,
                              .release = link_release,
                              .subscribe = link_subscribe,
                              .unsubscribe = link_unsubscribe,
                              .log_tail = link_log_tail,
                              .command = link_command,
                              .report = link_report,
                              .cutover = link_cutover,
                              .doctor = link_doctor,
                              .slots = link_slots,
                              .runs = link_runs,
                              .config = link_config,
                              .schema_plan = link_schema_plan,
                              .peers = link_peers,
                              .peer_test = link_peer_test,
                              .peer_save = link_peer_save,
                              .peer_delete = link_peer_delete,
                              .survey = link_survey,
                              .bundle = ask_bundle,
                              .state_dir = l->state_dir,
                              .available = link_available,
                              .create = link_create,
                              .set_tables = link_set_tables,
                              .is_connected = link_is_connected,
                              .is_attached = true,
                              .is_read_only = is_read_only};
    *out = NULL;
    bool ok = ask_for_news(l, 0, limit_ms, err);
    if (ok && pthread_create(&l->thread, NULL, link_main, l) != 0)
        abort();
    if (ok)
        *out = l;
    else
        link_close(l);
    return ok;
}

const struct model *link_model(struct link *l)
{
    return &l->model;
}

const char *link_host(const struct link *l)
{
    return l->host;
}

void link_close(struct link *l)
{
    if (!l)
        return;
    wake_signal(l->stop_fd);
    if (l->now)
        pthread_join(l->thread, NULL);
    picture_unref(l->now);
    pthread_mutex_destroy(&l->lock);
    wake_free(l->stop_fd);
    free(l->lines);
    free(l->state_dir);
    free(l);
}
