/* What actions do, and when they can; see deeds.h. */
#include "ui/deeds.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/actions.h"
#include "ui/asks.h"
#include "ui/batch.h"
#include "ui/format.h"
#include "ui/job.h"
#include "ui/mirror_pages.h"
#include "ui/mirrors.h"
#include "ui/moves.h"
#include "ui/terminal.h"

/* --- Conditions ------------------------------------------------------------------------------ */
bool has_target(struct app *a, char *reason, size_t size)
{
    if (!app_target(a))
        str_copy(reason, size, "no mirror is selected");
    return app_target(a) != NULL;
}

/* Whether this console can ask for a command at all. */
bool can_command(struct app *a, char *reason, size_t size)
{
    const struct model *m = a->model;
    int64_t since;
    struct err why;
    if (m->is_read_only)
        str_copy(reason, size, "this console only reads: attached with --read-only");
    else if (m->is_connected && !m->is_connected(m->arg, &since, &why))
        str_copy(reason, size, "the process does not answer");
    else
        return true;
    return false;
}

/* The table of states and commands decides, as it does in the engine. */
static bool can(struct app *a, enum mirror_command c, char *reason, size_t size)
{
    const struct mirror_status *m = app_target(a);
    struct err err = {0};
    if (batch_marked(a, c))
        return batch_can(a, c, reason, size);
    if (!can_command(a, reason, size) || !has_target(a, reason, size))
        return false;
    bool ok = command_check(m->name, m->state, &m->operation, c, &err);
    if (!ok)
        str_printf(reason, size, "%s", err.text);
    return ok;
}

bool can_pause(struct app *a, char *reason, size_t size)
{
    return can(a, MIRROR_PAUSE, reason, size);
}

bool can_resume(struct app *a, char *reason, size_t size)
{
    return can(a, MIRROR_RESUME, reason, size);
}

bool can_retry(struct app *a, char *reason, size_t size)
{
    return can(a, MIRROR_RETRY, reason, size);
}

bool can_verify(struct app *a, char *reason, size_t size)
{
    return can(a, MIRROR_VERIFY, reason, size);
}

bool can_resync(struct app *a, char *reason, size_t size)
{
    return can(a, MIRROR_RESYNC, reason, size);
}

bool can_resync_table(struct app *a, char *reason, size_t size)
{
    const struct table_status *t = a->tab == TAB_TABLES ? rows_selected(&a->tables) : NULL;
    bool can_now = can(a, MIRROR_RESYNC_TABLE, reason, size);
    if (!can_now || batch_marked(a, MIRROR_RESYNC_TABLE))
        return can_now;
    if (!t || !*t->source)
        str_copy(reason, size, "no table is selected");
    return t && *t->source;
}

bool can_sync(struct app *a, char *reason, size_t size)
{
    size_t n;
    if (!can(a, MIRROR_SYNC_SCHEMA, reason, size))
        return false;
    if (a->tab != TAB_SCHEMA || !mirror_plan(a, &n)) {
        action_text(a,
                    a->tab == TAB_SCHEMA && a->is_asked
                        ? "both servers are still asked what is to be run"
                        : "{definitions} shows first what would be run",
                    reason, size);
        return false;
    }
    if (!n)
        str_copy(reason, size, "there is no statement to run");
    return n > 0;
}

bool can_delete(struct app *a, char *reason, size_t size)
{
    return can(a, MIRROR_DELETE, reason, size);
}

bool in_log(struct app *a, char *reason, size_t size)
{
    bool is = moves_log(a) != NULL;
    if (!is)
        action_text(a, "works in a log: {pane} or {log} first", reason, size);
    return is;
}

bool has_search(struct app *a, char *reason, size_t size)
{
    if (!in_log(a, reason, size))
        return false;
    bool any = *moves_log(a)->search;
    if (!any)
        action_text(a, "nothing is searched for: {filter} first", reason, size);
    return any;
}

/* --- Mirrors --------------------------------------------------------------------------------- */
void do_pause(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    char kept[FORMAT_SIZE], rate[FORMAT_SIZE];
    struct confirm *c = &a->confirm;
    if (batch_marked(a, MIRROR_PAUSE)) { /* marked ones may all be hidden by a filter: no target */
        batch_ask(a, MIRROR_PAUSE);
        return;
    }
    double per_second = app_wal_rate(a, m->name);
    ask_begin(a, m, MIRROR_PAUSE);
    if (per_second >= 0)
        str_printf(c->text, sizeof c->text, "pause %s: %s will keep WAL at %s/min (now %s)",
                   m->name, m->source_peer, format_bytes((int64_t)(per_second * 60), rate),
                   format_bytes(m->slot.retained_bytes, kept));
    else
        str_printf(c->text, sizeof c->text, "pause %s: %s will keep WAL for it (now %s)", m->name,
                   m->source_peer, format_bytes(m->slot.retained_bytes, kept));
    ask_line(a);
}

static void submit(struct app *a, enum mirror_command k, const struct mirror_status *m)
{
    struct order o = {.kind = k};
    str_copy(o.mirror, sizeof o.mirror, m->name);
    if (!commands_submit(a->commands, &o))
        app_say(a, SEVERITY_ERROR, "%s %s: too many commands are waiting", command_name(k),
                m->name);
}

void do_resume(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    char behind[FORMAT_SIZE];
    if (batch_marked(a, MIRROR_RESUME)) {
        batch_ask(a, MIRROR_RESUME);
        return;
    }
    app_say(a, SEVERITY_INFO, "resume %s: %s to catch up", m->name,
            format_bytes(m->lag_bytes, behind));
    submit(a, MIRROR_RESUME, m);
}

struct more {
    enum err_code code;
    enum mirror_command command;
    const char *question;
};

/* What helps where a plain retry meets the same error again; NULL: a retry may help. */
static const struct more *more_than_retry(const struct mirror_status *m)
{
    static const struct more all[] = {
        {ERR_SLOT_ACTIVE, MIRROR_TAKE_SLOT, "end that session"},
        {ERR_SLOT_EXISTS, MIRROR_TAKE_SLOT, "drop it, copy anew"},
        {ERR_SOURCE_CHANGED, MIRROR_RECREATE, "copy all anew from it"},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (m->error.code == all[i].code)
            return &all[i];
    return NULL;
}

/* Somebody else's session or slot, or another server, is not taken before it was named. */
static void ask_for_more(struct app *a, const struct mirror_status *m, const struct more *x)
{
    struct confirm *c = &a->confirm;
    ask_begin(a, m, x->command);
    str_printf(c->text, sizeof c->text, "%s? %s", x->question, m->error.text);
    ask_line(a);
}

/* As control/causes.h has them: the place in the WAL is gone, or what was done with it. */
static bool needs_new_slot(const struct mirror_status *m)
{
    static const enum err_code codes[] = {ERR_SLOT_MISSING, ERR_SLOT_LOST, ERR_SLOT_AHEAD,
                                          ERR_PROGRESS_MISSING, ERR_PUBLICATION};
    bool needs = false;
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        needs |= m->state == MIRROR_ERROR && m->error.code == codes[i];
    return needs;
}

bool retry_asks(const struct mirror_status *m)
{
    return needs_new_slot(m) || more_than_retry(m);
}

/* What is copied anew is not begun by one key. */
static void ask_to_copy_anew(struct app *a, const struct mirror_status *m)
{
    struct confirm *c = &a->confirm;
    char size[FORMAT_SIZE];
    bool by_swap = !strcmp(m->resync_strategy, "swap");
    ask_begin(a, m, MIRROR_RETRY);
    str_printf(c->text, sizeof c->text, "retry %s: new slot, %d table%s (%s) copied anew, %s",
               m->name, m->tables_total, m->tables_total == 1 ? "" : "s",
               format_bytes(m->bytes_total, size),
               by_swap ? "readers keep the old rows" : "emptied before");
    ask_line(a);
}

void do_retry(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    if (batch_marked(a, MIRROR_RETRY)) {
        batch_ask(a, MIRROR_RETRY);
        return;
    }
    if (needs_new_slot(m)) {
        ask_to_copy_anew(a, m);
        return;
    }
    const struct more *more = more_than_retry(m);
    if (more) {
        ask_for_more(a, m, more);
        return;
    }
    app_say(a, SEVERITY_INFO, "retry %s: attempt %d begins, back-off skipped, slot kept", m->name,
            m->error_count + 1);
    submit(a, MIRROR_RETRY, m);
}

/* What the last comparison found is repaired where it is shown. */
void do_verify(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    bool shows = app_screen(a) == SCREEN_REPORT && a->sheet.kind == SHEET_VERIFY &&
                 a->sheet.is_there && !strcmp(a->sheet.mirror, m->name);
    if (shows && sheet_differences(&a->sheet))
        ask_repair(a, m);
    else
        ask_verify(a, m);
}

static void open_report(struct app *a, enum sheet_kind kind, const struct mirror_status *m)
{
    sheet_free(&a->sheet);
    a->sheet.kind = kind;
    str_copy(a->sheet.mirror, sizeof a->sheet.mirror, m->name);
    app_open_mirror(a, m->name);
    app_ask(a, kind, a->sheet.mirror);
    app_open(a, SCREEN_REPORT);
}

void do_found(struct app *a)
{
    open_report(a, SHEET_VERIFY, app_target(a));
}

void do_cutover(struct app *a)
{
    open_report(a, SHEET_CUTOVER, app_target(a));
}

void do_doctor(struct app *a)
{
    open_report(a, SHEET_DOCTOR, app_target(a));
}

void do_resync_table(struct app *a)
{
    if (batch_marked(a, MIRROR_RESYNC_TABLE))
        batch_ask(a, MIRROR_RESYNC_TABLE);
    else
        ask_resync(a, app_target(a), rows_selected(&a->tables));
}

void do_resync(struct app *a)
{
    if (batch_marked(a, MIRROR_RESYNC))
        batch_ask(a, MIRROR_RESYNC);
    else
        ask_resync(a, app_target(a), NULL);
}

void do_log(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    logview_set_mirror(&a->page_log, m->name);
    app_open_mirror(a, m->name);
    app_open(a, SCREEN_LOG);
}

void do_log_all(struct app *a)
{
    logview_set_mirror(&a->page_log, "");
    *a->mirror = '\0';
    app_switch(a, SCREEN_LOG);
}

void do_slots(struct app *a)
{
    app_switch(a, SCREEN_SLOTS);
}

void do_runs(struct app *a)
{
    app_switch(a, SCREEN_RUNS);
}

void do_refresh(struct app *a)
{
    a->refresh = true;
    if (app_screen(a) == SCREEN_REPORT)
        app_ask(a, a->sheet.kind, a->sheet.mirror);
}

void do_copy(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    char *text = mirror_copy_text(m);
    if (terminal_copy(text, strlen(text)))
        app_say(a, SEVERITY_OK, "sent to the terminal's clipboard (%zu bytes): %s", strlen(text),
                text);
    else
        app_say(a, SEVERITY_ERROR, "the terminal did not take the text");
    free(text);
}

void do_detach(struct app *a)
{
    struct confirm *c = &a->confirm;
    if (a->model->is_attached) {
        quit_ask(a);
        return;
    }
    *c = (struct confirm){.order = {.kind = NO_COMMAND}};
    str_printf(c->text, sizeof c->text, "detach: all mirrors go on without a screen%s%s",
               a->options->attach_hint ? "; " : "",
               a->options->attach_hint ? a->options->attach_hint : "");
    a->mode = MODE_CONFIRM;
}

/* --- View ------------------------------------------------------------------------------------ */
void do_problems(struct app *a)
{
    a->problems_only = !a->problems_only;
}

void do_zoom(struct app *a)
{
    if (a->zoom != ZOOM_NONE)
        a->zoom = ZOOM_NONE;
    else
        a->zoom = a->focus_log ? ZOOM_LOG : ZOOM_MAIN;
}

void do_freeze(struct app *a)
{
    struct log_row newest;
    a->frozen = !a->frozen;
    a->frozen_at = clock_wall_us();
    a->frozen_log_id =
        a->model->log_tail(a->model->arg, NULL, LOG_LEVEL_DEBUG, &newest, 1) ? newest.id : 0;
}

void do_follow(struct app *a)
{
    logview_follow(moves_log(a));
}

void do_wrap(struct app *a)
{
    struct logview *v = moves_log(a);
    v->wrap = !v->wrap;
    v->left = 0;
}

void do_messages(struct app *a)
{
    app_open(a, SCREEN_MESSAGES);
}

void do_theme(struct app *a)
{
    app_say(a, SEVERITY_INFO, "theme %s", theme_next(&a->theme));
}

void do_glyphs(struct app *a)
{
    if (!a->theme.can_unicode)
        app_say(a, SEVERITY_INFO, "the locale is not UTF-8: ASCII only");
    else
        a->theme.unicode = !a->theme.unicode;
}

void do_tab(struct app *a)
{
    if (a->layout.log.h > 0 && a->zoom == ZOOM_NONE)
        a->focus_log = !a->focus_log;
}

void do_enter(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    app_open_mirror(a, m->name);
    a->tab = TAB_TABLES;
    *a->tables.selected = '\0';
    app_open(a, SCREEN_DETAIL);
}

/* The mirror that was open before the present one; NULL: there is none. */
static const struct mirror_status *previous_mirror(const struct app *a)
{
    bool shows_one = app_screen(a) == SCREEN_DETAIL || app_screen(a) == SCREEN_REPORT;
    bool is_now = shows_one && !strcmp(a->opened[0], a->mirror);
    const char *name = a->opened[is_now];
    return a->picture && *name ? model_find(a->picture, name) : NULL;
}

bool has_previous(struct app *a, char *reason, size_t size)
{
    if (!previous_mirror(a))
        str_copy(reason, size, "no other mirror was open before");
    return previous_mirror(a) != NULL;
}

void do_previous(struct app *a)
{
    const struct mirror_status *m = previous_mirror(a);
    if (app_screen(a) == SCREEN_REPORT && a->sheet.kind != SHEET_PEER_TEST) {
        open_report(a, a->sheet.kind, m);
        return;
    }
    app_open_mirror(a, m->name);
    *a->tables.selected = '\0';
    a->page_top = 0;
    app_open(a, SCREEN_DETAIL);
}

void do_tables(struct app *a)
{
    a->tab = TAB_TABLES;
}

void do_slot(struct app *a)
{
    a->tab = TAB_SLOT;
    a->page_top = 0;
}

void do_logs(struct app *a)
{
    a->tab = TAB_LOGS;
}

void do_tab_runs(struct app *a)
{
    a->tab = TAB_RUNS;
}

void do_tab_schema(struct app *a)
{
    a->tab = TAB_SCHEMA;
    a->page_top = 0;
}

void do_tab_config(struct app *a)
{
    a->tab = TAB_CONFIG;
    a->page_top = 0;
    a->refresh = true; /* somebody may have changed it */
}

/* How definitions differ, and what would be run: always looked at anew. */
void do_plan(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    app_open_mirror(a, m->name);
    if (app_screen(a) != SCREEN_DETAIL)
        app_open(a, SCREEN_DETAIL);
    do_tab_schema(a);
    a->refresh = true;
}

void do_sync(struct app *a)
{
    ask_sync(a, app_target(a));
}

void do_delete(struct app *a)
{
    ask_delete(a, app_target(a));
}

void do_bundle(struct app *a)
{
    struct job j = {.kind = JOB_BUNDLE};
    str_copy(j.config.name, sizeof j.config.name, app_target(a)->name);
    if (jobs_submit(a->jobs, &j))
        app_say(a, SEVERITY_INFO, "bundle of %s, without secrets: both servers are asked",
                app_target(a)->name);
    else
        app_say(a, SEVERITY_ERROR, "another request is still under way");
}

void do_checkups(struct app *a)
{
    app_switch(a, SCREEN_DOCTOR);
}

void do_mirrors(struct app *a)
{
    app_switch(a, SCREEN_LIST);
}

void do_help(struct app *a)
{
    if (app_screen(a) == SCREEN_HELP)
        a->help_all = !a->help_all;
    else
        a->help_all = false;
    app_open(a, SCREEN_HELP);
}

void do_repaint(struct app *a)
{
    a->repaint = true;
}

void do_ctrl_c(struct app *a)
{
    char text[80];
    app_say(a, SEVERITY_INFO, "%s",
            action_text(a, "Ctrl-C stops nothing here: {quit} at the main screen quits", text,
                        sizeof text));
}

void do_ctrl_z(struct app *a)
{
    if (a->model->is_attached) {
        terminal_suspend();
        a->repaint = true;
        return;
    }
    char text[96];
    app_say(a, SEVERITY_INFO, "%s",
            action_text(a, "the engine runs in this process and is not stopped: {detach} detaches",
                        text, sizeof text));
}
