/* The doctor: the steps that an operator would take to find out what is wrong with a mirror, as one
 * checklist: its status, errors, history, the process's log, the source, the destination. */
#include "engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/engine_private.h"
#include "control/supervisor.h"

#define RUNS 10
#define LOG_LINES 200
#define LOG_AGE_US (INT64_C(600) * 1000000)
#define LAG_S 60

struct visit {
    const char *mirror;
    const struct diagnosis *d;
    struct findings *out;
};

static void add(const struct visit *v, const char *check, enum severity severity,
                const char *remedy, const char *action, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
static void add(const struct visit *v, const char *check, enum severity severity,
                const char *remedy, const char *action, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    findings_add(v->out, check, severity, check, text, remedy, action);
}

/* --- what servers said ------------------------------------------------------------------------ */

static const struct report_section *section(const struct report *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++)
        if (!strcmp(r->items[i].name, name))
            return &r->items[i];
    return NULL;
}

static const char *value(const struct report_row *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++)
        if (!strcmp(r->items[i].name, name) && r->items[i].text)
            return r->items[i].text;
    return "";
}

static bool is_true(const struct report_row *r, const char *name)
{
    return value(r, name)[0] == 't';
}

static const char *setting(const struct report *r, const char *name)
{
    const struct report_section *s = section(r, "settings");
    for (size_t i = 0; s && i < s->n; i++)
        if (!strcmp(value(&s->rows[i], "name"), name))
            return value(&s->rows[i], "setting");
    return "";
}

/* What could not be asked is a check that says so. */
static const struct report_section *asked(const struct visit *v, const struct report *r,
                                          const char *name, const char *check)
{
    const struct report_section *s = section(r, name);
    if (s && !s->error)
        return s;
    add(v, check, SEVERITY_WARNING, "Ask again; a lock or a missing right may be in the way.", "",
        "the server did not say: %s", s ? s->error : "no time was left");
    return NULL;
}

/* --- steps 1 to 4: the mirror itself ---------------------------------------------------------- */

static void look_at_status(const struct visit *v, const struct mirror_status *m)
{
    enum severity s = m->state == MIRROR_ERROR     ? SEVERITY_ERROR
                      : m->state == MIRROR_RUNNING ? SEVERITY_OK
                                                   : SEVERITY_INFO;
    if (m->state == MIRROR_PAUSED)
        add(v, "status", SEVERITY_WARNING, "Resume it.", "resume", "paused; %lld bytes of WAL wait",
            (long long)(m->lag_bytes > 0 ? m->lag_bytes : 0));
    else
        add(v, "status", s, m->error.hint, m->state == MIRROR_ERROR ? "retry" : "", "%s, %s%s%s",
            mirror_state_name(m->state), m->phase, m->error.code ? ": " : "",
            m->error.code ? err_name(m->error.code) : "");
    double age = (double)(clock_wall_us() - m->heartbeat_at) / 1e6;
    if (age > 30)
        add(v, "heartbeat", SEVERITY_ERROR,
            "Its thread does not answer: retry; if that does not help, restart bunnydb. "
            "Nothing is lost.",
            "retry", "the mirror's last sign of life is %.0f s old", age);
    else
        add(v, "heartbeat", SEVERITY_OK, "", "", "%.0f s old", age > 0 ? age : 0);
}

static void look_at_workers(const struct visit *v, const struct mirror_status *m)
{
    struct findings late = {0};
    size_t n =
        supervisor_findings(&(struct supervised){m->name, m->source_peer, m->dest_peer}, &late);
    for (size_t i = 0; i < late.n; i++)
        add(v, "workers", SEVERITY_ERROR, late.items[i].remedy, "", "%s: %s", late.items[i].title,
            late.items[i].cause);
    if (!late.n)
        add(v, "workers", SEVERITY_OK, "", "", "all %zu move", n);
    findings_free(&late);
}

static void look_at_findings(const struct visit *v, const struct mirror_status *m)
{
    for (size_t i = 0; i < m->n_findings; i++)
        add(v, "finding", m->findings[i].severity, m->findings[i].remedy, m->findings[i].action,
            "%s: %.300s", m->findings[i].code, m->findings[i].cause);
    if (!m->n_findings)
        add(v, "findings", SEVERITY_OK, "", "", "none");
}

static void look_at_runs(const struct visit *v, struct engine *e)
{
    struct run_page p;
    struct err err;
    size_t failed = 0;
    if (!engine_mirror_runs(e, v->mirror, RUNS, 0, &p, &err)) {
        add(v, "runs", SEVERITY_WARNING, err.hint, "", "%s", err.text);
        return;
    }
    for (size_t i = 0; i < p.n; i++)
        failed += !strcmp(p.rows[i].ending, "failed");
    add(v, "runs", failed > p.n / 2 ? SEVERITY_WARNING : SEVERITY_OK,
        failed ? "bunnydb runs has the history with each error." : "", "",
        "of the last %zu runs %zu failed", p.n, failed);
    run_page_free(&p);
}

static void look_at_log(const struct visit *v, struct engine *e)
{
    struct log_row *rows = mem_calloc(LOG_LINES, sizeof *rows);
    size_t n = engine_log_tail(e, NULL, LOG_LEVEL_ERROR, rows, LOG_LINES), recent = 0;
    for (size_t i = 0; i < n; i++)
        recent += clock_wall_us() - rows[i].line.at < LOG_AGE_US;
    if (recent)
        add(v, "log", SEVERITY_WARNING, "The log (l, or 4 for all mirrors) has the rest.", "",
            "errors in the last ten minutes: %zu; the last: %.250s", recent, rows[n - 1].line.text);
    else
        add(v, "log", SEVERITY_OK, "", "", "no error in the last ten minutes");
    free(rows);
}

/* --- step 5: the source ----------------------------------------------------------------------- */

static void look_at_slot(const struct visit *v, const struct mirror_status *m)
{
    const struct report_section *s = asked(v, &v->d->source, "slot", "slot");
    if (!s)
        return;
    if (!s->n) {
        add(v, "slot", SEVERITY_ERROR, "Retry: a new slot, and all tables are copied again.",
            "retry", "slot %s does not exist", m->slot_name);
        return;
    }
    const char *wal = value(&s->rows[0], "wal_status");
    bool active = is_true(&s->rows[0], "active"), lost = !strcmp(wal, "lost");
    /* while it catches up a copy of the slot may be read instead */
    bool streams = m->state == MIRROR_RUNNING && strcmp(m->phase, "catching_up") != 0;
    enum severity severity = lost                         ? SEVERITY_ERROR
                             : !active && streams         ? SEVERITY_WARNING
                             : !strcmp(wal, "unreserved") ? SEVERITY_ERROR
                                                          : SEVERITY_OK;
    add(v, "slot", severity,
        severity == SEVERITY_OK ? ""
        : lost                  ? "Retry copies all tables again."
                                : "Retry connects anew.",
        severity == SEVERITY_OK ? "" : "retry", "%s%s%s, WAL %s, keeps %s bytes",
        active ? "active, PID " : "inactive", active ? value(&s->rows[0], "active_pid") : "", "",
        *wal ? wal : "reserved", value(&s->rows[0], "retained_bytes"));
}

static void look_at_publication(const struct visit *v, const struct mirror_status *m)
{
    const struct report_section *s = asked(v, &v->d->source, "publication", "publication");
    if (!s)
        return;
    const struct report_section *tables = section(&v->d->source, "publication_tables");
    size_t n = tables ? tables->n : 0;
    if (!s->n)
        add(v, "publication", SEVERITY_ERROR,
            "Retry: publication and slot are made anew, all tables copied again.", "retry",
            "publication %s does not exist", m->publication);
    else
        add(v, "publication", n ? SEVERITY_OK : SEVERITY_ERROR, "", "", "%zu table%s", n,
            n == 1 ? "" : "s");
}

static void look_at_lag(const struct visit *v, const struct mirror_status *m)
{
    bool behind = m->lag_seconds >= LAG_S;
    if (m->lag_seconds < 0)
        add(v, "lag", SEVERITY_INFO, "", "", "not known yet");
    else
        add(v, "lag", behind ? SEVERITY_WARNING : SEVERITY_OK,
            behind ? "The findings above say what holds it up." : "", "", "%.1f s, %lld bytes",
            m->lag_seconds, (long long)m->lag_bytes);
}

static void look_at_source(const struct visit *v, const struct mirror_status *m)
{
    const struct err *err = &v->d->source_error;
    if (err->code) {
        add(v, "source", SEVERITY_ERROR,
            "Is the server up, and the peer right (bunnydb peer test)?", "", "%s: %.300s",
            m->source_peer, err->text);
        return;
    }
    const char *level = setting(&v->d->source, "wal_level");
    add(v, "source", SEVERITY_OK, "", "", "%s answers", m->source_peer);
    add(v, "wal_level", strcmp(level, "logical") ? SEVERITY_ERROR : SEVERITY_OK,
        strcmp(level, "logical") ? "ALTER SYSTEM SET wal_level = logical; then restart the server."
                                 : "",
        "", "%s", level);
    look_at_slot(v, m);
    look_at_publication(v, m);
    look_at_lag(v, m);
}

/* --- step 6: the destination ------------------------------------------------------------------ */

static void look_at_tables(const struct visit *v)
{
    const struct report_section *s = asked(v, &v->d->destination, "tables", "tables");
    size_t missing = 0, first = 0;
    for (size_t i = 0; s && i < s->n; i++)
        if (!is_true(&s->rows[i], "exists") && !missing++)
            first = i;
    if (s && missing)
        add(v, "tables", SEVERITY_ERROR, "sync-schema makes them.", "sync-schema",
            "missing: %zu, the first %s.%s", missing, value(&s->rows[first], "schema"),
            value(&s->rows[first], "table"));
    else if (s)
        add(v, "tables", SEVERITY_OK, "", "", "all %zu are there", s->n);
}

static void look_at_progress(const struct visit *v, const struct mirror_status *m)
{
    const struct report_section *s = section(&v->d->destination, "progress");
    bool is_there = s && !s->error && s->n;
    if (is_there)
        add(v, "progress", SEVERITY_OK, "", "", "applied up to %s", value(&s->rows[0], "lsn"));
    else
        add(v, "progress", m->state == MIRROR_INITIALIZING ? SEVERITY_INFO : SEVERITY_ERROR,
            "Retry copies the tables again.", "retry",
            "_bunnydb.progress has no row of this mirror");
}

static void look_at_rows(const struct visit *v, const struct mirror_status *m)
{
    int64_t missing = 0, in_the_way = 0;
    for (size_t i = 0; i < m->n_tables; i++) {
        missing += m->tables[i].rows_missing;
        in_the_way += m->tables[i].rows_conflicting;
    }
    add(v, "rows", missing ? SEVERITY_WARNING : SEVERITY_OK,
        missing ? "verify names the rows that differ." : "", missing ? "verify" : "",
        "changes that found no row: %lld, rows that were in the way: %lld", (long long)missing,
        (long long)in_the_way);
}

static void look_at_locks(const struct visit *v, const struct report *r, const char *peer)
{
    char remedy[160];
    const struct report_section *s = asked(v, r, "blockers", "locks");
    if (s && !s->n)
        add(v, "locks", SEVERITY_OK, "", "", "nothing of the mirror waits for a lock on %s", peer);
    for (size_t i = 0; s && i < s->n && i < 5; i++) {
        const struct report_row *b = &s->rows[i];
        str_printf(remedy, sizeof remedy, "On %.60s: SELECT pg_terminate_backend(%s);", peer,
                   value(b, "pid"));
        add(v, "locks", SEVERITY_ERROR, remedy, "",
            "PID %s of bunnydb waits on %s for PID %s (%s, %s, %s since %s)",
            value(b, "waiting_pid"), peer, value(b, "pid"), value(b, "application_name"),
            value(b, "usename"), value(b, "state"), value(b, "xact_start"));
    }
}

static void look_at_dest(const struct visit *v, const struct mirror_status *m)
{
    const struct err *err = &v->d->destination_error;
    if (err->code) {
        add(v, "destination", SEVERITY_ERROR,
            "Is the server up, and the peer right (bunnydb peer test)?", "", "%s: %.300s",
            m->dest_peer, err->text);
        return;
    }
    add(v, "destination", SEVERITY_OK, "", "", "%s answers", m->dest_peer);
    look_at_tables(v);
    look_at_progress(v, m);
    look_at_rows(v, m);
    look_at_locks(v, &v->d->destination, m->dest_peer);
}

bool engine_mirror_doctor(struct engine *e, const char *name, const atomic_bool *give_up,
                          struct findings *out, struct err *err)
{
    struct diagnosis d;
    *out = (struct findings){0};
    if (!diagnose(e, name, give_up, &d, err))
        return false;
    const struct picture *p = engine_picture(e);
    const struct mirror_status *m = picture_find(p, name);
    struct visit v = {.mirror = name, .d = &d, .out = out};
    if (m) {
        look_at_status(&v, m);
        look_at_workers(&v, m);
        look_at_findings(&v, m);
        look_at_runs(&v, e);
        look_at_log(&v, e);
        look_at_source(&v, m);
        look_at_dest(&v, m);
    } else {
        err_set(err, ERR_MIRROR_NOT_FOUND, "mirror \"%s\" does not exist", name);
    }
    picture_release(p);
    diagnosis_free(&d);
    return m != NULL;
}
