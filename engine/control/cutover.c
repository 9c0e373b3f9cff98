/* The report before a cutover, in a caller's thread: what the mirror shows of itself, what both
 * servers say, and the last comparison. See base/cutover.h and schema/ready.h. */
#include "base/cutover.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/peer_probe.h"
#include "control/roster.h"
#include "schema/ready.h"

#define LIMIT_MS 60000
#define REACH_MS 3000 /* for what was written at the source until now */
#define SLICE_MS 20

/* --- what the mirror shows ---------------------------------------------------------------------
 */

static void look_at_mirror(const struct mirror_status *m, struct cutover *out)
{
    const char *phase = m->phase;
    switch (m->state) {
    case MIRROR_RUNNING:
        if (!strcmp(phase, "streaming") || !strcmp(phase, "verifying"))
            cutover_add(out, "mirror", CUTOVER_OK, "It streams.");
        else
            cutover_add(out, "mirror", CUTOVER_NOT_YET, "It is %s.", phase);
        return;
    case MIRROR_INITIALIZING:
    case MIRROR_SNAPSHOTTING:
        cutover_add(out, "mirror", CUTOVER_NOT_YET, "It is %s.", mirror_state_name(m->state));
        return;
    case MIRROR_PAUSED:
        cutover_add(out, "mirror", CUTOVER_CANNOT, "It is paused: resume it.");
        return;
    case MIRROR_ERROR:
        cutover_add(out, "mirror", m->next_retry_at ? CUTOVER_NOT_YET : CUTOVER_CANNOT,
                    "It is in error: %s%s%s", m->error.text, m->error.hint[0] ? ". " : "",
                    m->error.hint);
        return;
    case MIRROR_STOPPED:
        break;
    }
    cutover_add(out, "mirror", CUTOVER_CANNOT, "It is being deleted.");
}

static void look_at_tables(const struct mirror_status *m, struct cutover *out)
{
    size_t open = 0, failed = 0;
    for (size_t i = 0; i < m->n_tables; i++) {
        bool streams = !strcmp(m->tables[i].state, "streaming");
        open += !streams;
        failed += !strcmp(m->tables[i].state, "error");
    }
    struct cutover_check *k =
        open ? cutover_add(out, "tables", failed ? CUTOVER_CANNOT : CUTOVER_NOT_YET,
                           "Tables that do not stream: %zu of %zu.", open, m->n_tables)
             : cutover_add(out, "tables", CUTOVER_OK, "All stream: %zu.", m->n_tables);
    for (size_t i = 0; i < m->n_tables; i++) {
        const struct table_status *t = &m->tables[i];
        char *note = mem_printf("%s%s%s", t->state, t->error[0] ? ": " : "", t->error);
        if (strcmp(t->state, "streaming") != 0)
            cutover_item(k, t->source, note, NULL);
        free(note);
    }
}

static void look_at_findings(const struct mirror_status *m, struct cutover *out)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_findings; i++)
        n += m->findings[i].severity >= SEVERITY_WARNING;
    struct cutover_check *k =
        n ? cutover_add(out, "findings", CUTOVER_CANNOT, "Findings of the mirror: %zu.", n)
          : cutover_add(out, "findings", CUTOVER_OK, "The mirror has none.");
    for (size_t i = 0; i < m->n_findings; i++) {
        const struct finding *f = &m->findings[i];
        if (f->severity < SEVERITY_WARNING)
            continue;
        char *note = mem_printf("%s%s%s", f->cause, f->remedy[0] ? " Remedy: " : "", f->remedy);
        cutover_item(k, f->title, note, NULL);
        free(note);
    }
}

/* --- the last comparison -----------------------------------------------------------------------
 */

static const struct verify_table *find_table(const struct verify_report *r, const char *source)
{
    for (size_t i = 0; i < r->n_tables; i++) {
        const struct verify_table *t = &r->tables[i];
        size_t n = strlen(t->source_schema);
        if (!strncmp(t->source_schema, source, n) && source[n] == '.' &&
            !strcmp(t->source_table, source + n + 1))
            return t;
    }
    return NULL;
}

static void list_unequal(const struct mirror_status *m, const struct verify_report *r,
                         struct cutover_check *k)
{
    char note[160];
    for (size_t i = 0; i < m->n_tables; i++) {
        const struct verify_table *t = find_table(r, m->tables[i].source);
        if (t && t->state == VERIFY_EQUAL)
            continue;
        if (t && t->state == VERIFY_DIFFERENT)
            str_printf(note, sizeof note, "differing %lld, missing %lld, extra %lld",
                       (long long)t->differing, (long long)t->missing, (long long)t->extra);
        else
            str_printf(note, sizeof note, "not compared%s%s", t && t->reason ? ": " : "",
                       t && t->reason ? t->reason : "");
        cutover_item(k, m->tables[i].source, note, NULL);
    }
}

static void judge_report(const struct mirror_status *m, const struct verify_report *r,
                         struct cutover *out)
{
    char ended[CLOCK_TEXT_SIZE], age[48];
    int64_t minutes = (clock_wall_us() - r->ended_at) / 60000000;
    if (minutes < 120)
        str_printf(age, sizeof age, "minutes ago: %lld", (long long)minutes);
    else
        str_printf(age, sizeof age, "hours ago: %lld", (long long)minutes / 60);
    clock_format(r->ended_at, ended);
    struct cutover_check *k = cutover_add(
        out, "verify", CUTOVER_OK, "All tables were found equal, as of " LSN_FMT ", %s (%s).",
        LSN_ARGS(r->lsn), ended, age);
    list_unequal(m, r, k);
    if (!k->n_items && !strcmp(r->ending, "complete"))
        return;
    free(k->text);
    k->state = CUTOVER_CANNOT;
    k->text =
        mem_printf("The last comparison, %s (%s), did not find all tables equal%s%s. To compare "
                   "again and repair rows: bunnydb verify %s --repair",
                   ended, age, r->error ? ": " : "", r->error ? r->error : "", m->name);
}

static bool look_at_verify(struct engine *e, const struct mirror_status *m, struct cutover *out,
                           struct err *err)
{
    struct verify_report r;
    if (!strcmp(m->operation.name, command_name(MIRROR_VERIFY))) {
        cutover_add(out, "verify", CUTOVER_NOT_YET, "A comparison goes on.");
        return true;
    }
    if (!catalog_verify_load(e->catalog, m->name, &r, err)) {
        if (err->code != ERR_NOT_FOUND)
            return false;
        err_clear(err);
        cutover_add(out, "verify", CUTOVER_CANNOT,
                    "Its rows were never compared: bunnydb verify, or cutover --verify.");
        return true;
    }
    judge_report(m, &r, out);
    verify_report_free(&r);
    return true;
}

/* --- lag ---------------------------------------------------------------------------------------
 */

/* Everything that was written at the source before out->lsn is at the destination, now or in a
 * moment: the source's word about the end of its WAL has to come through the stream. */
static void look_at_lag(struct engine *e, const char *name, const atomic_bool *give_up,
                        struct cutover *out)
{
    struct mirror *m = roster_hold(e->roster, name);
    int64_t until = clock_mono_ms() + REACH_MS;
    lsn_t safe = m ? board_safe(mirror_board(m)) : 0;
    while (m && safe < out->lsn && clock_mono_ms() < until && !atomic_load(&e->is_stopping) &&
           !(give_up && atomic_load(give_up)) && board_state(mirror_board(m)) == MIRROR_RUNNING) {
        (void)poll(NULL, 0, SLICE_MS);
        safe = board_safe(mirror_board(m));
    }
    if (m)
        roster_release(e->roster, m);
    if (safe >= out->lsn)
        cutover_add(out, "lag", CUTOVER_OK,
                    "The destination has all that was written at the source before " LSN_FMT ".",
                    LSN_ARGS(out->lsn));
    else if (safe)
        cutover_add(out, "lag", CUTOVER_NOT_YET,
                    "The destination lacks %lld bytes of WAL, up to " LSN_FMT ".",
                    (long long)(out->lsn - safe), LSN_ARGS(out->lsn));
    else
        cutover_add(out, "lag", CUTOVER_NOT_YET, "How far the destination is, is not known yet.");
}

/* --- both servers ------------------------------------------------------------------------------
 */

struct servers {
    const atomic_bool *give_up;
    struct probe source, dest;
    struct mirror_row row;
};

/* False: the one whose task it was has no more answers for this report. */
static bool go_on(struct cutover *out, const char *what, bool ok, struct err *err)
{
    if (ok)
        return true;
    cutover_add(out, what, CUTOVER_CANNOT, "This could not be found out: %s%s%s", err->text,
                err->hint[0] ? ". " : "", err->hint);
    bool can_go_on = err->sqlstate[0] && err->code == ERR_SQL;
    err_clear(err);
    return can_go_on;
}

static void ask_servers(struct engine *e, struct servers *s, struct cutover *out, struct err *err)
{
    struct ready r = {.source = s->source.conn,
                      .dest = s->dest.conn,
                      .source_task = &s->source.task,
                      .dest_task = &s->dest.task,
                      .config = &s->row.config,
                      .mirror_id = s->row.mirror_id,
                      .out = out};
    if (!go_on(out, "lag", ready_position(&r, err), err))
        return;
    if (!go_on(out, "writers", ready_writers(&r, err), err) ||
        !go_on(out, "definitions", ready_definitions(&r, err), err))
        return;
    look_at_lag(e, s->row.config.name, s->give_up, out);
    if (!go_on(out, "sequences", ready_sequences(&r, err), err) ||
        !go_on(out, "lone_sequences", ready_lone_sequences(&r, err), err) ||
        !go_on(out, "identity", ready_identity(&r, err), err) ||
        !go_on(out, "read_only", ready_read_only(&r, err), err))
        return;
    (void)go_on(out, "objects", ready_objects(&r, err), err);
}

static bool connect(struct servers *s, struct engine *e, struct cutover *out, struct err *err)
{
    return go_on(out, "source",
                 probe_begin_long(&s->source, e, s->row.config.source_peer, LIMIT_MS, s->give_up,
                                  err),
                 err) &&
           go_on(out, "destination",
                 probe_begin_long(&s->dest, e, s->row.config.dest_peer, LIMIT_MS, s->give_up, err),
                 err);
}

bool engine_mirror_cutover(struct engine *e, const char *name, const atomic_bool *give_up,
                           struct cutover *out, struct err *err)
{
    struct servers s = {.give_up = give_up};
    *out = (struct cutover){.taken_at = clock_wall_us()};
    if (!catalog_mirror_get(e->catalog, name, &s.row, err))
        return false;
    if (connect(&s, e, out, err))
        ask_servers(e, &s, out, err);
    probe_end(&s.source);
    probe_end(&s.dest);
    mirror_row_free(&s.row);
    const struct picture *p = engine_picture(e);
    const struct mirror_status *m = picture_find(p, name);
    bool ok = m ? look_at_verify(e, m, out, err)
                : err_set(err, ERR_MIRROR_NOT_FOUND, "there is no mirror \"%s\"", name);
    if (ok) {
        look_at_mirror(m, out);
        look_at_tables(m, out);
        look_at_findings(m, out);
    }
    picture_release(p);
    if (!ok)
        cutover_free(out);
    return ok;
}

bool engine_mirror_read_only(struct engine *e, const char *name, bool on, struct err *err)
{
    struct probe source = {0};
    struct mirror_row row;
    if (!catalog_mirror_get(e->catalog, name, &row, err))
        return false;
    bool ok = probe_begin(&source, e, row.config.source_peer, err);
    struct ready r = {.source = source.conn, .source_task = &source.task, .config = &row.config};
    ok = ok && (ready_set_read_only(&r, on, err) || probe_explain(&source, err));
    if (ok)
        log_warn("cutover", name, "new sessions at the source %s",
                 on ? "only read: default_transaction_read_only=on" : "may write again");
    probe_end(&source);
    mirror_row_free(&row);
    return ok;
}
