/* How a mirror is shown; see mirrors.h. */
#include "ui/mirrors.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/actions.h"
#include "ui/format.h"
#include "ui/sorting.h"
#include "ui/text.h"

const char *mirror_word(const struct mirror_status *m)
{
    switch (m->state) {
    case MIRROR_INITIALIZING:
        return "SETUP";
    case MIRROR_SNAPSHOTTING:
        return "SNAPSHOT";
    case MIRROR_RUNNING:
        return "RUNNING";
    case MIRROR_PAUSED:
        return "PAUSED";
    case MIRROR_ERROR:
        return "FAILED";
    case MIRROR_STOPPED:
        return "STOPPED";
    }
    return "?";
}

char mirror_glyph(const void *mirror, enum role *role)
{
    const struct mirror_status *m = mirror;
    switch (m->state) {
    case MIRROR_INITIALIZING:
    case MIRROR_SNAPSHOTTING:
        *role = ROLE_BUSY;
        return '~';
    case MIRROR_RUNNING:
        *role = mirror_worst_finding(m) ? ROLE_WARN : ROLE_OK;
        return mirror_worst_finding(m) ? '?' : '+';
    case MIRROR_PAUSED:
        *role = ROLE_HELD;
        return '=';
    case MIRROR_ERROR:
        *role = ROLE_FAIL;
        return '!';
    case MIRROR_STOPPED:
        *role = ROLE_HELD;
        return '.';
    }
    return ' ';
}

const struct finding *mirror_worst_finding(const struct mirror_status *m)
{
    const struct finding *worst = NULL;
    for (size_t i = 0; i < m->n_findings; i++)
        if (m->findings[i].severity >= SEVERITY_WARNING &&
            (!worst || m->findings[i].severity > worst->severity))
            worst = &m->findings[i];
    return worst;
}

int mirror_urgency(const struct mirror_status *m)
{
    if (m->state == MIRROR_ERROR)
        return 0;
    if (mirror_worst_finding(m))
        return 1;
    if (m->state == MIRROR_INITIALIZING || m->state == MIRROR_SNAPSHOTTING)
        return 2;
    return m->state == MIRROR_RUNNING ? 4 : 3;
}

/* What is wrong first; lag only by the graph's steps, or the rows would dance. */
static int mirror_compare(const void *x, const void *y)
{
    const struct mirror_status *m = *(const struct mirror_status *const *)x;
    const struct mirror_status *n = *(const struct mirror_status *const *)y;
    int c = mirror_urgency(m) - mirror_urgency(n);
    c = c ? c : format_lag_step(n->lag_seconds) - format_lag_step(m->lag_seconds);
    return c ? c : strcmp(m->name, n->name);
}

/* A filter's text: part of the name, a peer or the state; "!part" everything else. */
static bool filter_passes(const char *filter, const struct mirror_status *m)
{
    bool inverse = *filter == '!' && filter[1];
    const char *part = filter + inverse;
    bool found = text_contains(m->name, part) || text_contains(m->source_peer, part) ||
                 text_contains(m->dest_peer, part) || text_contains(mirror_word(m), part);
    return found != inverse;
}

void mirrors_build(struct app *a)
{
    rows_clear(&a->mirrors);
    for (size_t i = a->mirrors.n_marks; i-- > 0;)
        if (!model_find(a->picture, a->mirrors.marks[i]))
            rows_mark(&a->mirrors, a->mirrors.marks[i], false);
    for (size_t i = 0; i < a->picture->n; i++) {
        const struct mirror_status *m = &a->picture->mirrors[i];
        if (!strcmp(m->name, a->wanted_mirror)) {
            str_copy(a->mirrors.selected, sizeof a->mirrors.selected, m->name);
            *a->wanted_mirror = '\0';
        }
        if (filter_passes(a->filter, m) && !(a->problems_only && mirror_urgency(m) > 1))
            rows_add(&a->mirrors, m);
    }
    if (a->mirrors.n > 1)
        qsort(a->mirrors.items, a->mirrors.n, sizeof *a->mirrors.items, mirror_compare);
    sorting_apply(a, &a->mirrors, &columns_of_mirrors);
    rows_settle(&a->mirrors);
}

void mirrors_count(const struct picture *p, struct mirror_counts *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < p->n; i++)
        switch (p->mirrors[i].state) {
        case MIRROR_INITIALIZING:
        case MIRROR_SNAPSHOTTING:
            out->busy++;
            break;
        case MIRROR_RUNNING:
            out->ok++;
            break;
        case MIRROR_PAUSED:
        case MIRROR_STOPPED:
            out->held++;
            break;
        case MIRROR_ERROR:
            out->failed++;
            break;
        }
}

static void next_failed(struct app *a, const struct mirror_status *m, char *out, size_t size)
{
    char t[FORMAT_SIZE];
    const char *what = *m->error.sqlstate ? m->error.sqlstate : err_name(m->error.code);
    if (!m->next_retry_at) { /* nothing goes on by itself */
        str_printf(out, size, "needs you: %s %s", what, m->error.text);
        return;
    }
    int64_t left = (m->next_retry_at - clock_wall_us() + 999999) / 1000000;
    app_tick(a, 1000);
    str_printf(out, size, "retry %s  %s %s", format_countdown(left < 0 ? 0 : left, t), what,
               m->error.text);
}

void mirror_next(struct app *a, const struct mirror_status *m, char *out, size_t size,
                 enum role *role)
{
    char t[FORMAT_SIZE];
    const struct finding *f = mirror_worst_finding(m);
    *role = ROLE_TEXT;
    if (m->state == MIRROR_ERROR) {
        *role = ROLE_FAIL;
        next_failed(a, m, out, size);
    } else if (m->verify.is_running && m->verify.bytes_total > 0) {
        *role = ROLE_BUSY;
        format_percent(m->verify.bytes_done, m->verify.bytes_total, t);
        str_printf(out, size, "verify %s", t);
    } else if (*m->operation.name) {
        *role = ROLE_BUSY;
        str_printf(out, size, "%s ...", m->operation.name);
    } else if (f) {
        *role = ROLE_WARN;
        str_copy(out, size, f->title);
    } else if (m->state == MIRROR_SNAPSHOTTING && m->eta_seconds >= 0) {
        *role = ROLE_BUSY;
        str_printf(out, size, "eta %s", format_age(m->eta_seconds, t));
    } else if (m->state == MIRROR_SNAPSHOTTING || m->state == MIRROR_INITIALIZING) {
        *role = ROLE_BUSY;
        str_copy(out, size, *m->phase ? m->phase : "-");
    } else if (m->state == MIRROR_PAUSED) {
        *role = ROLE_HELD;
        str_copy(out, size, "held");
    } else {
        str_copy(out, size, "-");
    }
}

const char *mirror_lsn(lsn_t lsn, char out[LSN_TEXT_SIZE])
{
    return lsn ? lsn_format(lsn, out) : "-";
}

lsn_t mirror_source_lsn(const struct mirror_status *m)
{
    return m->source_lsn > m->last_lsn ? m->source_lsn : m->last_lsn;
}

bool mirror_slot_is_due(const struct mirror_status *m, const struct slot_status *s)
{
    bool works = m->state == MIRROR_SNAPSHOTTING || m->state == MIRROR_RUNNING;
    return m->state != MIRROR_INITIALIZING && !(works && s->sampled_at < m->state_since);
}

/* "eu-prod keeps 2.9G of at most 64G of WAL for slot NAME; it writes 38M/min" */
static void slot_effect(struct app *a, const struct mirror_status *m, char *out, size_t size)
{
    char kept[FORMAT_SIZE], rate[FORMAT_SIZE], limit[FORMAT_SIZE], growth[64] = "";
    const struct slot_status *s = &m->slot;
    double per_second = app_wal_rate(a, m->name);
    if (!s->sampled_at) {
        str_printf(out, size, "slot %s is not sampled yet", m->slot_name);
        return;
    }
    if (!s->exists && !mirror_slot_is_due(m, s)) {
        str_printf(out, size, "slot %s was not there yet when %s was asked last", m->slot_name,
                   m->source_peer);
        return;
    }
    if (!s->exists) {
        str_printf(out, size, "slot %s does not exist on %s", m->slot_name, m->source_peer);
        return;
    }
    if (per_second > 0)
        str_printf(growth, sizeof growth, "; it writes %s/min",
                   format_bytes((int64_t)(per_second * 60), rate));
    if (!strcmp(s->wal_status, "lost")) {
        str_printf(out, size, "%s has removed WAL that slot %s needs", m->source_peer,
                   m->slot_name);
        return;
    }
    bool limited = s->safe_wal_size >= 0;
    str_printf(out, size, "%s keeps %s%s%s of WAL for slot %s%s", m->source_peer,
               format_bytes(s->retained_bytes, kept), limited ? " of at most " : "",
               limited ? format_bytes(s->retained_bytes + s->safe_wal_size, limit) : "",
               m->slot_name, growth);
}

static void facts_failed(struct app *a, const struct mirror_status *m, const struct finding *f,
                         struct facts *out)
{
    char effect[256], lsn[LSN_TEXT_SIZE], keys[160];
    slot_effect(a, m, effect, sizeof effect);
    facts_add(out, ROLE_FAIL, 0, "what", "%s%s%s", m->error.sqlstate, *m->error.sqlstate ? " " : "",
              m->error.text);
    facts_add(out, ROLE_TEXT, 4, "where", "%s %s %s, %s, applied up to %s", m->source_peer,
              theme_arrow(&a->theme), m->dest_peer, *m->phase ? m->phase : mirror_word(m),
              lsn_format(m->last_lsn, lsn));
    if (m->tables_total == 1)
        facts_add(out, ROLE_TEXT, 1, "effect", "its table waits; %s", effect);
    else
        facts_add(out, ROLE_TEXT, 1, "effect", "all %d tables wait; %s", m->tables_total, effect);
    if (*m->error.hint || (f && *f->remedy))
        facts_add(out, ROLE_STRONG, 0, "do", "%s", *m->error.hint ? m->error.hint : f->remedy);
    bool by_sync = f && !strcmp(f->action, "sync-schema");
    const char *all = by_sync ? "{definitions} definitions, to sync  |  {retry} retry now  |  "
                                "{log} log  |  {copy} copy error text"
                              : "{retry} retry now  |  {log} log  |  {copy} copy error text";
    facts_add(out, ROLE_STRONG, 0, *m->error.hint ? "keys" : "do", "%s",
              action_text(a, all, keys, sizeof keys));
}

static void facts_finding(struct app *a, const struct finding *f, struct facts *out)
{
    char remedy[sizeof f->remedy + 80];
    bool error = f->severity >= SEVERITY_ERROR;
    facts_add(out, error ? ROLE_FAIL : ROLE_WARN, 0, "what", "%s", f->title);
    facts_add(out, ROLE_TEXT, 1, "why", "%s", f->cause);
    facts_add(out, ROLE_STRONG, 0, "do", "%s", action_remedy(a, f, remedy, sizeof remedy));
}

/* How far a comparison is, and what it takes still. */
static void facts_verify(const struct app *a, const struct mirror_status *m, struct facts *out)
{
    const struct verify_status *v = &m->verify;
    char done[FORMAT_SIZE], all[FORMAT_SIZE], left[APP_MINUTES];
    if (!v->is_running)
        return;
    if (v->tables_total == 0) {
        facts_add(out, ROLE_BUSY, 0, "check", "waits for a snapshot of either side");
        return;
    }
    app_minutes(a, m->name, false, v->bytes_total - v->bytes_done, left);
    facts_add(out, v->differences ? ROLE_WARN : ROLE_BUSY, 0, "check",
              "%d of %d tables, %s of %s, %lld row%s differ%s so far%s%s%s", v->tables_done,
              v->tables_total, format_bytes(v->bytes_done, done), format_bytes(v->bytes_total, all),
              (long long)v->differences, format_s(v->differences), v->differences == 1 ? "s" : "",
              *left ? ", " : "", left, *left ? " left" : "");
}

static void facts_state(struct app *a, const struct mirror_status *m, struct facts *out)
{
    char keys[40];
    char t[FORMAT_SIZE], u[FORMAT_SIZE], effect[256];
    char applied[LSN_TEXT_SIZE], source[LSN_TEXT_SIZE];
    slot_effect(a, m, effect, sizeof effect);
    facts_verify(a, m, out);
    facts_add(out, ROLE_TEXT, 0, "from", "%s %s %s, publication %s", m->source_peer,
              theme_arrow(&a->theme), m->dest_peer, m->publication);
    if (m->state == MIRROR_SNAPSHOTTING || m->state == MIRROR_INITIALIZING)
        facts_add(out, ROLE_BUSY, 0, "copy", "%d of %d tables, %s of %s%s%s", m->tables_done,
                  m->tables_total, format_bytes(m->bytes_done, t), format_bytes(m->bytes_total, u),
                  *m->phase ? ", " : "", m->phase);
    else
        facts_add(out, ROLE_TEXT, 0, "lsn", "last change applied %s, source at %s, %s behind",
                  mirror_lsn(m->last_lsn, applied), mirror_lsn(mirror_source_lsn(m), source),
                  format_bytes(m->lag_bytes, t));
    facts_add(out, m->state == MIRROR_PAUSED ? ROLE_HELD : ROLE_TEXT, 0,
              m->state == MIRROR_PAUSED ? "effect" : "WAL", "%s", effect);
    if (a->depth > 0)
        facts_add(out, ROLE_TEXT, 4, "rules", "on_table_error %s, resync_strategy %s",
                  m->on_table_error, m->resync_strategy);
    if (m->state == MIRROR_PAUSED)
        facts_add(out, ROLE_STRONG, 0, "do", "%s resume: %s to catch up",
                  action_text(a, "{resume}", keys, sizeof keys), format_bytes(m->lag_bytes, t));
    else if (m->error_count > 0)
        facts_add(out, ROLE_WARN, 1, "last", "%s", m->error.text);
}

void mirror_facts(struct app *a, const struct mirror_status *m, struct facts *out, char *title,
                  size_t size)
{
    char t[FORMAT_SIZE];
    int64_t now = clock_wall_us();
    int64_t since = m->state == MIRROR_ERROR && m->error_at ? m->error_at : m->state_since;
    const struct finding *f = mirror_worst_finding(m);
    int64_t age = since && now > since ? (now - since) / 1000000 : 0;
    format_age(age, t);
    if (age < 60)
        app_tick(a, 1000);
    if (m->state == MIRROR_ERROR) {
        str_printf(title, size, "%s: FAILED %s ago, attempt %d", m->name, t, m->error_count);
        facts_failed(a, m, f, out);
        return;
    }
    str_printf(title, size, "%s: %s for %s", m->name, mirror_word(m), t);
    if (f)
        facts_finding(a, f, out);
    facts_state(a, m, out);
}

char *mirror_copy_text(const struct mirror_status *m)
{
    char lsn[LSN_TEXT_SIZE];
    const struct finding *f = mirror_worst_finding(m);
    if (m->error.code == ERR_NONE && f)
        return mem_printf("%s: %s\n%s\n%s", m->name, f->title, f->cause, f->remedy);
    if (m->error.code == ERR_NONE)
        return mem_printf("%s: %s, applied up to %s", m->name, mirror_word(m),
                          lsn_format(m->last_lsn, lsn));
    return mem_printf("%s: %s%s%s%s%s", m->name, m->error.sqlstate, *m->error.sqlstate ? " " : "",
                      m->error.text, *m->error.hint ? "\n" : "", m->error.hint);
}
