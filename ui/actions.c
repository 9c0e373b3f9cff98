/* THE table of actions; see actions.h. */
#include "ui/actions.h"

#include <curses.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/format.h"
#include "ui/mirrors.h"
#include "ui/moves.h"
#include "ui/terminal.h"

#define FN(k) (TERMINAL_FUNCTION | (k))
#define CTRL(c) ((c)&0x1f)
enum {
    EVERYWHERE = ON(SCREEN_LIST) | ON(SCREEN_DETAIL) | ON(SCREEN_LOG) | ON(SCREEN_MESSAGES) |
                 ON(SCREEN_HELP),
    OF_MIRROR = ON(SCREEN_LIST) | ON(SCREEN_DETAIL) | ON(SCREEN_LOG),
    LISTS = ON(SCREEN_LIST) | ON(SCREEN_DETAIL),
};

/* --- Conditions ------------------------------------------------------------------------------ */
static bool has_target(struct app *a, char *reason, size_t size)
{
    if (!app_target(a))
        str_copy(reason, size, "no mirror is selected");
    return app_target(a) != NULL;
}

static bool has_no_operation(const struct mirror_status *m, char *reason, size_t size)
{
    if (*m->operation)
        str_printf(reason, size, "%s is busy with: %s", m->name, m->operation);
    return !*m->operation;
}

static bool can_pause(struct app *a, char *reason, size_t size)
{
    const struct mirror_status *m = app_target(a);
    if (!has_target(a, reason, size) || !has_no_operation(m, reason, size))
        return false;
    bool can = m->state != MIRROR_PAUSED && m->state != MIRROR_STOPPED;
    if (!can)
        str_printf(reason, size, "%s is paused already", m->name);
    return can;
}

static bool can_resume(struct app *a, char *reason, size_t size)
{
    const struct mirror_status *m = app_target(a);
    if (!has_target(a, reason, size) || !has_no_operation(m, reason, size))
        return false;
    bool can = m->state == MIRROR_PAUSED || m->state == MIRROR_STOPPED;
    if (!can)
        str_printf(reason, size, "%s is not paused", m->name);
    return can;
}

static bool can_retry(struct app *a, char *reason, size_t size)
{
    const struct mirror_status *m = app_target(a);
    if (!has_target(a, reason, size) || !has_no_operation(m, reason, size))
        return false;
    bool can = m->state == MIRROR_ERROR || mirror_worst_finding(m);
    if (!can)
        str_printf(reason, size, "%s has not failed", m->name);
    return can;
}

static bool in_log(struct app *a, char *reason, size_t size)
{
    bool is = moves_log(a) != NULL;
    if (!is)
        str_copy(reason, size, "works in a log: tab or l first");
    return is;
}

static bool has_search(struct app *a, char *reason, size_t size)
{
    if (!in_log(a, reason, size))
        return false;
    bool any = *moves_log(a)->search;
    if (!any)
        str_copy(reason, size, "nothing is searched for: / first");
    return any;
}

/* --- Mirrors --------------------------------------------------------------------------------- */
static void do_pause(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    char kept[FORMAT_SIZE], rate[FORMAT_SIZE];
    double per_second = app_wal_rate(a, m->name);
    struct confirm *c = &a->confirm;
    c->command = COMMAND_PAUSE;
    c->state = m->state;
    str_copy(c->mirror, sizeof c->mirror, m->name);
    if (per_second >= 0)
        str_printf(c->text, sizeof c->text, "pause %s: %s will keep WAL at %s/min (now %s)",
                   m->name, m->source_peer, format_bytes((int64_t)(per_second * 60), rate),
                   format_bytes(m->slot.retained_bytes, kept));
    else
        str_printf(c->text, sizeof c->text, "pause %s: %s will keep WAL for it (now %s)", m->name,
                   m->source_peer, format_bytes(m->slot.retained_bytes, kept));
    a->mode = MODE_CONFIRM;
}

static void submit(struct app *a, enum command_kind k, const struct mirror_status *m)
{
    if (!commands_submit(a->commands, k, m->name))
        app_say(a, SEVERITY_ERROR, "%s %s: too many commands are waiting", command_name(k),
                m->name);
}

static void do_resume(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    char behind[FORMAT_SIZE];
    app_say(a, SEVERITY_INFO, "resume %s: %s to catch up", m->name,
            format_bytes(m->lag_bytes, behind));
    submit(a, COMMAND_RESUME, m);
}

static void do_retry(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    app_say(a, SEVERITY_INFO, "retry %s: attempt %d begins, back-off skipped, slot kept", m->name,
            m->error_count + 1);
    submit(a, COMMAND_RETRY, m);
}

static void do_log(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    logview_set_mirror(&a->page_log, m->name);
    str_copy(a->mirror, sizeof a->mirror, m->name);
    app_open(a, SCREEN_LOG);
}

static void do_log_all(struct app *a)
{
    logview_set_mirror(&a->page_log, "");
    *a->mirror = '\0';
    app_open(a, SCREEN_LOG);
}

static void do_copy(struct app *a)
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

static void do_detach(struct app *a)
{
    struct confirm *c = &a->confirm;
    *c = (struct confirm){.command = COMMAND_NONE};
    str_printf(c->text, sizeof c->text, "detach: all mirrors go on without a screen%s%s",
               a->options->attach_hint ? "; " : "",
               a->options->attach_hint ? a->options->attach_hint : "");
    a->mode = MODE_CONFIRM;
}

/* --- View ------------------------------------------------------------------------------------ */
static void do_problems(struct app *a)
{
    a->problems_only = !a->problems_only;
}

static void do_sort(struct app *a)
{
    a->sort = (enum sort_key)((a->sort + 1) % SORT_COUNT);
    app_say(a, SEVERITY_INFO, "sorted by %s", sort_name(a->sort));
}

static void do_invert(struct app *a)
{
    a->invert = !a->invert;
}

static void do_zoom(struct app *a)
{
    if (a->zoom != ZOOM_NONE)
        a->zoom = ZOOM_NONE;
    else
        a->zoom = a->focus_log ? ZOOM_LOG : ZOOM_MAIN;
}

static void do_freeze(struct app *a)
{
    struct log_row newest;
    a->frozen = !a->frozen;
    a->frozen_at = clock_wall_us();
    a->frozen_log_id =
        engine_log_tail(a->engine, NULL, LOG_LEVEL_DEBUG, &newest, 1) ? newest.id : 0;
}

static void do_follow(struct app *a)
{
    moves_log(a)->paused = false;
}

static void do_wrap(struct app *a)
{
    struct logview *v = moves_log(a);
    v->wrap = !v->wrap;
    v->left = 0;
}

static void do_messages(struct app *a)
{
    app_open(a, SCREEN_MESSAGES);
}

static void do_theme(struct app *a)
{
    app_say(a, SEVERITY_INFO, "theme %s", theme_next(&a->theme));
}

static void do_glyphs(struct app *a)
{
    if (!a->theme.can_unicode)
        app_say(a, SEVERITY_INFO, "the locale is not UTF-8: ASCII only");
    else
        a->theme.unicode = !a->theme.unicode;
}

static void do_tab(struct app *a)
{
    if (a->layout.log.h > 0 && a->zoom == ZOOM_NONE)
        a->focus_log = !a->focus_log;
}

static void do_enter(struct app *a)
{
    const struct mirror_status *m = app_target(a);
    str_copy(a->mirror, sizeof a->mirror, m->name);
    a->tab = TAB_TABLES;
    *a->tables.selected = '\0';
    app_open(a, SCREEN_DETAIL);
}

static void do_tables(struct app *a)
{
    a->tab = TAB_TABLES;
}

static void do_slot(struct app *a)
{
    a->tab = TAB_SLOT;
    a->page_top = 0;
}

static void do_logs(struct app *a)
{
    a->tab = TAB_LOGS;
}

static void do_mirrors(struct app *a)
{
    a->depth = 0;
}

static void do_help(struct app *a)
{
    if (app_screen(a) == SCREEN_HELP)
        a->help_all = !a->help_all;
    else
        a->help_all = false;
    app_open(a, SCREEN_HELP);
}

static void do_repaint(struct app *a)
{
    a->repaint = true;
}

static void do_ctrl_c(struct app *a)
{
    app_say(a, SEVERITY_INFO, "Ctrl-C stops nothing here: q at the main screen quits");
}

static void do_ctrl_z(struct app *a)
{
    app_say(a, SEVERITY_INFO, "the engine runs in this process and is not stopped: D detaches");
}

#define GROUP_MOVE "Moving"
#define GROUP_MIRROR "The selected mirror"
#define GROUP_VIEW "What is shown"
#define GROUP_LOG "Logs"
#define GROUP_REST "The console"

const struct action actions[] = {
    {{'\r', '\n', FN(KEY_ENTER)},
     "enter",
     "open",
     "Opens the selected mirror: tables, slot, logs.",
     ON(SCREEN_LIST),
     true,
     GROUP_MOVE,
     has_target,
     do_enter},
    {{033, 'q'},
     "esc",
     "back",
     "One level out (q as well); on the main screen q quits.",
     EVERYWHERE & ~ON(SCREEN_LIST),
     true,
     GROUP_MOVE,
     NULL,
     app_back},
    {{FN(KEY_UP), 'k'}, "up k", "up", "One line up.", EVERYWHERE, false, GROUP_MOVE, NULL, move_up},
    {{FN(KEY_DOWN), 'j'},
     "down j",
     "down",
     "One line down.",
     EVERYWHERE,
     false,
     GROUP_MOVE,
     NULL,
     move_down},
    {{FN(KEY_PPAGE)},
     "pgup",
     "page up",
     "One page up.",
     EVERYWHERE,
     false,
     GROUP_MOVE,
     NULL,
     move_page_up},
    {{FN(KEY_NPAGE)},
     "pgdn",
     "page down",
     "One page down.",
     EVERYWHERE,
     false,
     GROUP_MOVE,
     NULL,
     move_page_down},
    {{CTRL('u')},
     "^U",
     "half up",
     "Half a page up.",
     EVERYWHERE,
     false,
     GROUP_MOVE,
     NULL,
     move_half_up},
    {{CTRL('d')},
     "^D",
     "half down",
     "Half a page down.",
     EVERYWHERE,
     false,
     GROUP_MOVE,
     NULL,
     move_half_down},
    {{FN(KEY_HOME), 'g'},
     "home g",
     "first",
     "To the first line.",
     EVERYWHERE,
     false,
     GROUP_MOVE,
     NULL,
     move_first},
    {{FN(KEY_END), 'G'},
     "end G",
     "last",
     "To the last line.",
     EVERYWHERE,
     false,
     GROUP_MOVE,
     NULL,
     move_last},
    {{FN(KEY_LEFT)},
     "left",
     "left",
     "Scrolls a log to the left.",
     OF_MIRROR,
     false,
     GROUP_MOVE,
     in_log,
     move_left},
    {{FN(KEY_RIGHT)},
     "right",
     "right",
     "Scrolls a log to the right.",
     OF_MIRROR,
     false,
     GROUP_MOVE,
     in_log,
     move_right},
    {{'\t'},
     "tab",
     "pane",
     "Moves between the list and the log below it.",
     LISTS,
     false,
     GROUP_MOVE,
     NULL,
     do_tab},
    {{'1'},
     "1",
     "tables",
     "The tables of this mirror.",
     ON(SCREEN_DETAIL),
     false,
     GROUP_MOVE,
     NULL,
     do_tables},
    {{'2'},
     "2",
     "slot",
     "Slot, publication and positions.",
     ON(SCREEN_DETAIL),
     false,
     GROUP_MOVE,
     NULL,
     do_slot},
    {{'3'},
     "3",
     "logs",
     "The log of this mirror.",
     ON(SCREEN_DETAIL),
     false,
     GROUP_MOVE,
     NULL,
     do_logs},
    {{'1'},
     "1",
     "mirrors",
     "The list of mirrors.",
     ON(SCREEN_LOG) | ON(SCREEN_LIST),
     false,
     GROUP_MOVE,
     NULL,
     do_mirrors},
    {{'4'},
     "4",
     "all logs",
     "The log of all mirrors and of the process.",
     ON(SCREEN_LIST) | ON(SCREEN_LOG),
     false,
     GROUP_MOVE,
     NULL,
     do_log_all},

    {{'p'},
     "p",
     "pause",
     "Stops reading; the source keeps WAL meanwhile (asks y).",
     OF_MIRROR,
     true,
     GROUP_MIRROR,
     can_pause,
     do_pause},
    {{'r'},
     "r",
     "resume",
     "Goes on where it was paused.",
     OF_MIRROR,
     true,
     GROUP_MIRROR,
     can_resume,
     do_resume},
    {{'t'},
     "t",
     "retry",
     "Tries again now, without the back-off; loses nothing.",
     OF_MIRROR,
     true,
     GROUP_MIRROR,
     can_retry,
     do_retry},
    {{'l'},
     "l",
     "log",
     "The log of the mirror on the whole screen.",
     LISTS,
     true,
     GROUP_MIRROR,
     has_target,
     do_log},
    {{'y'},
     "y",
     "copy",
     "Copies the error, or the position, to the clipboard (OSC 52).",
     OF_MIRROR,
     false,
     GROUP_MIRROR,
     has_target,
     do_copy},

    {{'/'},
     "/",
     "filter",
     "Lists: only lines with this text, !text without it. Logs: search.",
     OF_MIRROR,
     true,
     GROUP_VIEW,
     NULL,
     move_filter},
    {{'!'},
     "!",
     "problems",
     "Only mirrors that have a problem, or all again.",
     ON(SCREEN_LIST),
     true,
     GROUP_VIEW,
     NULL,
     do_problems},
    {{'s'},
     "s",
     "sort",
     "Next order: severity, name, lag, rows/s, kept WAL.",
     ON(SCREEN_LIST),
     true,
     GROUP_VIEW,
     NULL,
     do_sort},
    {{'I'},
     "I",
     "invert",
     "Turns the order round.",
     ON(SCREEN_LIST),
     false,
     GROUP_VIEW,
     NULL,
     do_invert},
    {{'o'},
     "o",
     "maximise",
     "The pane with the keys takes the screen, or gives it back.",
     LISTS,
     false,
     GROUP_VIEW,
     NULL,
     do_zoom},
    {{'z'},
     "z",
     "freeze",
     "Holds the picture still (not the engine), or lets it go on.",
     EVERYWHERE,
     false,
     GROUP_VIEW,
     NULL,
     do_freeze},

    {{'f'},
     "f",
     "follow",
     "Back to the newest line; new ones appear by themselves.",
     OF_MIRROR,
     false,
     GROUP_LOG,
     in_log,
     do_follow},
    {{'n'},
     "n",
     "older",
     "The next older line with the searched text.",
     OF_MIRROR,
     false,
     GROUP_LOG,
     has_search,
     move_find_older},
    {{'N'},
     "N",
     "newer",
     "The next newer line with the searched text.",
     OF_MIRROR,
     false,
     GROUP_LOG,
     has_search,
     move_find_newer},
    {{'w'},
     "w",
     "wrap",
     "Wraps long lines and shows their details.",
     OF_MIRROR,
     false,
     GROUP_LOG,
     in_log,
     do_wrap},
    {{'+', '='},
     "+",
     "more",
     "Logs: more detail. Elsewhere: refreshes more often.",
     OF_MIRROR,
     false,
     GROUP_LOG,
     NULL,
     move_more},
    {{'-'},
     "-",
     "less",
     "Logs: less detail. Elsewhere: refreshes less often.",
     OF_MIRROR,
     false,
     GROUP_LOG,
     NULL,
     move_less},

    {{'m'},
     "m",
     "messages",
     "The last 200 messages with their times.",
     EVERYWHERE & ~ON(SCREEN_MESSAGES),
     false,
     GROUP_REST,
     NULL,
     do_messages},
    {{'T'},
     "T",
     "theme",
     "Next theme: default, light, mono.",
     EVERYWHERE,
     false,
     GROUP_REST,
     NULL,
     do_theme},
    {{'~'},
     "~",
     "glyphs",
     "UTF-8 or ASCII glyphs.",
     EVERYWHERE,
     false,
     GROUP_REST,
     NULL,
     do_glyphs},
    {{CTRL('l')},
     "^L",
     "repaint",
     "Draws the whole screen again.",
     EVERYWHERE,
     false,
     GROUP_REST,
     NULL,
     do_repaint},
    {{'D'},
     "D",
     "detach",
     "Leaves the screen; the engine goes on (asks y).",
     EVERYWHERE,
     false,
     GROUP_REST,
     NULL,
     do_detach},
    {{'q', 033},
     "q",
     "quit",
     "Asks: detach, stop cleanly, or cancel.",
     ON(SCREEN_LIST),
     true,
     GROUP_REST,
     NULL,
     app_back},
    {{CTRL('c')},
     "^C",
     "cancel",
     "Cancels a dialog or an input; stops nothing.",
     EVERYWHERE,
     false,
     GROUP_REST,
     NULL,
     do_ctrl_c},
    {{CTRL('z')},
     "^Z",
     "suspend",
     "Is refused: replication lives in this process.",
     EVERYWHERE,
     false,
     GROUP_REST,
     NULL,
     do_ctrl_z},
    {{'?', FN(KEY_F(1))},
     "? f1",
     "help",
     "This help; ? again shows the keys of all screens.",
     EVERYWHERE,
     false,
     GROUP_REST,
     NULL,
     do_help},
};
const size_t n_actions = COUNT_OF(actions);

const struct action *action_find(const struct app *a, int key)
{
    for (size_t i = 0; i < n_actions; i++)
        for (int k = 0; k < ACTION_KEYS && actions[i].keys[k]; k++)
            if (actions[i].keys[k] == key && actions[i].screens & ON(app_screen(a)))
                return &actions[i];
    return NULL;
}
