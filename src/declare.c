/* Peers and mirrors of the configuration; see declare.h. */
#include "src/declare.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/wake.h"
#include "src/spec.h"

#define RETRY_FIRST_MS 2000
#define RETRY_MOST_MS 60000

struct declare {
    struct engine *engine;
    const struct conf *conf;
    pthread_t thread;
    int wake;
    atomic_bool stop;
};

static const char *text_or_none(const char *s)
{
    return s ? s : "";
}

/* Warns of each given field that the existing object has otherwise. */
static void warn_differences(const struct conf_object *o, const char *kind,
                             const struct field_table *t, const void *wanted, const void *existing)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct field *f = &t->rows[i];
        if (json_object_get(o->object, f->name) && !fields_is_same(f, wanted, existing))
            log_warn("config", NULL,
                     "configuration differs from what exists, which is left alone %s=%s field=%s "
                     "line=%d",
                     kind, o->name, f->name, o->line);
    }
}

/* --- Peers ----------------------------------------------------------------------------------- */
static bool declare_peer(struct engine *e, const struct conf_object *o, struct err *err)
{
    struct peer_spec wanted, existing = {0};
    bool ok = peer_spec_read(o->object, false, &wanted, NULL, err);
    if (ok && engine_peer_get(e, o->name, &existing.peer, err)) {
        warn_differences(o, "peer", &peer_fields, &wanted, &existing);
        peer_free(&existing.peer);
    } else if (ok && err->code == ERR_PEER_NOT_FOUND) {
        ok = engine_peer_create(e, &wanted.peer, err);
        if (ok)
            log_info("config", NULL, "peer created from the configuration peer=%s", o->name);
    } else {
        ok = false;
    }
    peer_free(&wanted.peer);
    return ok;
}

bool declare_peers(struct engine *e, const struct conf *c, struct err *err)
{
    for (size_t i = 0; i < c->peers.n; i++) {
        const struct conf_object *o = &c->peers.items[i];
        if (!declare_peer(e, o, err))
            return err_context(err, "%s:%d: [peer %s]", text_or_none(c->path), o->line, o->name);
    }
    err_clear(err);
    return true;
}

/* --- Mirrors --------------------------------------------------------------------------------- */
static void log_findings(const char *mirror, const struct findings *f)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *x = &f->items[i];
        if (x->severity >= SEVERITY_WARNING)
            log_write(x->severity == SEVERITY_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "config",
                      mirror, x->cause, "%s code=%s remedy=\"%s\"", x->title, x->code, x->remedy);
    }
}

static bool mirror_exists(struct engine *e, const struct conf_object *o, struct err *err)
{
    struct mirror_spec wanted, existing = {0};
    if (!engine_mirror_config(e, o->name, &existing.config, err))
        return false;
    if (mirror_spec_read(o->object, &wanted, err))
        warn_differences(o, "mirror", &mirror_fields, &wanted, &existing);
    mirror_config_free(&wanted.config);
    mirror_config_free(&existing.config);
    return true;
}

/* True when the mirror is there. said: the last error that was logged for it. */
static bool declare_mirror(struct engine *e, const struct conf_object *o, struct err *said)
{
    struct err err = {0};
    struct findings findings = {0};
    struct mirror_spec s;
    if (mirror_exists(e, o, &err))
        return true;
    bool ok = err.code == ERR_MIRROR_NOT_FOUND;
    if (ok) {
        ok = mirror_spec_read(o->object, &s, &err) &&
             engine_mirror_create(e, &s.config, &findings, &err);
        mirror_config_free(&s.config);
    }
    if (ok)
        log_info("config", o->name, "mirror created from the configuration");
    else if (err.code != ERR_SHUTTING_DOWN && strcmp(said->text, err.text) != 0) {
        log_error("config", o->name,
                  "mirror of the configuration cannot be created; "
                  "it is tried again error=\"%s\"",
                  err.text);
        log_findings(o->name, &findings);
        *said = err;
    }
    findings_free(&findings);
    return ok;
}

static bool rest(struct declare *d, int ms)
{
    struct pollfd p = {.fd = d->wake, .events = POLLIN};
    while (poll(&p, 1, ms) < 0 && errno == EINTR)
        ;
    return !atomic_load(&d->stop);
}

static void *run(void *arg)
{
    struct declare *d = arg;
    size_t n = d->conf->mirrors.n, left = n;
    bool *done = mem_calloc(n, sizeof *done);
    struct err *said = mem_calloc(n, sizeof *said);
    pthread_setname_np(pthread_self(), "declare");
    for (int pause_ms = RETRY_FIRST_MS; left && !atomic_load(&d->stop);) {
        for (size_t i = 0; i < n && !atomic_load(&d->stop); i++)
            if (!done[i] &&
                (done[i] = declare_mirror(d->engine, &d->conf->mirrors.items[i], &said[i])))
                left--;
        if (!left || !rest(d, pause_ms))
            break;
        pause_ms = pause_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS : pause_ms * 2;
    }
    free(done);
    free(said);
    return NULL;
}

struct declare *declare_start(struct engine *e, const struct conf *c)
{
    if (c->mirrors.n == 0)
        return NULL;
    struct declare *d = mem_calloc(1, sizeof *d);
    d->engine = e;
    d->conf = c;
    d->wake = wake_new();
    int rc = pthread_create(&d->thread, NULL, run, d);
    if (rc == 0)
        return d;
    log_error("config", NULL, "no thread for the configured mirrors error=\"%s\"", strerror(rc));
    wake_free(d->wake);
    free(d);
    return NULL;
}

void declare_stop(struct declare *d)
{
    if (!d)
        return;
    atomic_store(&d->stop, true);
    wake_signal(d->wake);
    pthread_join(d->thread, NULL);
    wake_free(d->wake);
    free(d);
}
