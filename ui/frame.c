/* One frame: the lines around every screen (head, crumbs, message, hint), and the screen itself. */
#include <curses.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/actions.h"
#include "ui/chooser.h"
#include "ui/format.h"
#include "ui/listing.h"
#include "ui/lists.h"
#include "ui/mirrors.h"
#include "ui/moves.h"
#include "ui/sorting.h"
#include "ui/tables.h"
#include "ui/terminal.h"
#include "ui/text.h"

static const struct screen *const screens[SCREEN_COUNT] = {
    [SCREEN_LIST] = &screen_list,       [SCREEN_DETAIL] = &screen_detail,
    [SCREEN_LOG] = &screen_log,         [SCREEN_MESSAGES] = &screen_messages,
    [SCREEN_HELP] = &screen_help,       [SCREEN_REPORT] = &screen_report,
    [SCREEN_SLOTS] = &screen_slots,     [SCREEN_PEERS] = &screen_peers,
    [SCREEN_RUNS] = &screen_runs,       [SCREEN_FORM] = &screen_form,
    [SCREEN_DOCTOR] = &screen_doctor,   [SCREEN_PICK] = &screen_pick,
    [SCREEN_SUMMARY] = &screen_summary,
};

static void count_draw(struct app *a, const struct rect *r, int *x, int n, const char *word,
                       enum role role)
{
    if (n > 0)
        *x += draw_textf(&a->paint, r->y, r->x + *x, r->w - *x, role, "%d %s ", n, word);
}

/* The clock shows seconds while something moves, so that a living screen looks alive; an idle one
 * wakes once a minute. */
static void clock_draw(struct app *a, const struct rect *r, int left)
{
    char t[FORMAT_SIZE];
    bool moving = false;
    int64_t now = clock_wall_us();
    for (size_t i = 0; i < a->picture->n; i++)
        moving |= app_is_mirror_active(&a->picture->mirrors[i]);
    bool dated = r->w >= 110;
    if (dated)
        format_date_time(now, t);
    else
        format_time(now, moving, t);
    int w = text_columns(t, false);
    moving |= dated;
    app_tick(a, moving ? 1000 - now / 1000 % 1000 : 60000 - now / 1000 % 60000);
    if (left + w + 1 < r->w)
        draw_text(&a->paint, r->y, r->x + r->w - w - 1, w, ROLE_TEXT, t);
}

static void head_draw(struct app *a)
{
    const struct rect *r = &a->layout.head;
    struct mirror_counts c;
    mirrors_count(a->picture, &c);
    int x = 1;
    x += draw_text(&a->paint, r->y, x, r->w - x, ROLE_STRONG, "bunnydb ");
    if (r->w >= 60 && a->options->process)
        x += draw_textf(&a->paint, r->y, x, 24, ROLE_TEXT, " %s ", a->options->process);
    x += draw_textf(&a->paint, r->y, x, r->w - x, ROLE_TEXT, " %zu mirror%s%s ", a->picture->n,
                    a->picture->n == 1 ? "" : "s", a->picture->n ? ":" : "");
    count_draw(a, r, &x, c.failed, "FAILED", ROLE_FAIL);
    count_draw(a, r, &x, c.busy, "busy", ROLE_BUSY);
    count_draw(a, r, &x, c.held, "held", ROLE_HELD);
    count_draw(a, r, &x, c.ok, "ok", ROLE_OK);
    if (a->model->is_read_only)
        x += draw_text(&a->paint, r->y, r->x + x, r->w - x, ROLE_WARN, "RO ");
    clock_draw(a, r, x);
}

/* The source whose slots keep the most WAL, of all mirrors. */
static void most_kept(const struct app *a, char *out, size_t size)
{
    char t[FORMAT_SIZE];
    const struct mirror_status *most = NULL;
    for (size_t i = 0; i < a->picture->n; i++) {
        const struct mirror_status *m = &a->picture->mirrors[i];
        if (m->slot.exists && (!most || m->slot.retained_bytes > most->slot.retained_bytes))
            most = m;
    }
    *out = '\0';
    if (most)
        str_printf(out, size, "most WAL kept: %s on %s", format_bytes(most->slot.retained_bytes, t),
                   most->source_peer);
}

static void list_crumbs(struct app *a, const struct rect *r)
{
    char kept[160], text[200], order[40];
    *kept = '\0';
    if (a->layout.fleet.h == 0) /* which says it of every source */
        most_kept(a, kept, sizeof kept);
    str_printf(text, sizeof text, " Mirrors   filter %s   sort %s%s%s",
               *a->filter ? a->filter : "-",
               sorting_name(a, &columns_of_mirrors, order, sizeof order),
               a->views[columns_index(&columns_of_mirrors)].invert ? " inverted" : "",
               a->problems_only ? "   problems only" : "");
    bool plain = !*a->filter && !a->problems_only;
    int x = draw_text(&a->paint, r->y, r->x, r->w, plain ? ROLE_TEXT : ROLE_WARN, text);
    int w = text_columns(kept, a->theme.unicode);
    if (x + w + 3 < r->w)
        draw_text(&a->paint, r->y, r->x + r->w - w - 1, w, ROLE_TEXT, kept);
}

/* The connection is lost: what is shown is old. */
static bool lost_draw(struct app *a, const struct rect *r)
{
    const struct model *m = a->model;
    char t[FORMAT_SIZE], text[sizeof(((struct err *)0)->text) + 64];
    int64_t since = 0, now = clock_wall_us();
    struct err why = {0};
    if (!m->is_connected || m->is_connected(m->arg, &since, &why))
        return false;
    app_tick(a, 1000);
    str_printf(text, sizeof text, " NO CONNECTION for %s, trying again: %s",
               format_seconds((double)((now - since) / 1000000), t), why.text);
    draw_field(&a->paint, r->y, r->x, r->w, ROLE_FAIL, ALIGN_LEFT, text);
    return true;
}

/* One of the screens that 1 to 6 show. */
static bool is_root(const struct app *a)
{
    enum screen_id s = app_screen(a);
    return a->depth == 1 && (s == SCREEN_SLOTS || s == SCREEN_PEERS || s == SCREEN_RUNS ||
                             s == SCREEN_DOCTOR || (s == SCREEN_LOG && !*a->mirror));
}

static void crumbs_draw(struct app *a)
{
    const struct rect *r = &a->layout.crumbs;
    if (r->h == 0)
        return;
    if (lost_draw(a, r))
        return;
    if (a->depth == 0) {
        list_crumbs(a, r);
        return;
    }
    if (is_root(a)) {
        lists_tabs_draw(a, r);
        return;
    }
    int x = 1 + draw_text(&a->paint, r->y, r->x + 1, r->w - 1, ROLE_TEXT, "Mirrors");
    for (int i = 1; i <= a->depth; i++) {
        const char *name = screens[a->stack[i]]->name;
        bool of_mirror = a->stack[i] == SCREEN_DETAIL;
        x += draw_text(&a->paint, r->y, r->x + x, r->w - x, ROLE_DIM, " > ");
        x += draw_text(&a->paint, r->y, r->x + x, r->w - x, ROLE_STRONG,
                       of_mirror ? a->mirror : name);
    }
    if (app_screen(a) == SCREEN_DETAIL)
        detail_summary_draw(a, r, x + 3);
}

static enum role level_role(enum severity s)
{
    switch (s) {
    case SEVERITY_OK:
        return ROLE_OK;
    case SEVERITY_INFO:
        return ROLE_TEXT;
    case SEVERITY_WARNING:
        return ROLE_WARN;
    case SEVERITY_ERROR:
        return ROLE_FAIL;
    }
    return ROLE_TEXT;
}

static void message_text_draw(struct app *a, const struct rect *r, int room)
{
    static const char *const words[] = {"OK", "", "WARN", "ERROR"};
    const struct message *m = &a->messages[(a->n_messages - 1) % MESSAGES];
    int x = 1 + draw_text(&a->paint, r->y, r->x + 1, room, level_role(m->level), words[m->level]);
    x += *words[m->level] ? 1 : 0;
    draw_text(&a->paint, r->y, r->x + x, room - x,
              m->level == SEVERITY_ERROR ? ROLE_FAIL : ROLE_TEXT, m->text);
}

static void prompt_draw(struct app *a, const struct rect *r)
{
    int x = 1 + draw_textf(&a->paint, r->y, r->x + 1, r->w - 2, ROLE_KEY, "%s: ", a->prompt.label);
    x += draw_text(&a->paint, r->y, r->x + x, r->w - x - 1, ROLE_TEXT, a->prompt.target);
    a->cursor_y = r->y;
    a->cursor_x = r->x + x;
}

static void message_draw(struct app *a)
{
    const struct rect *r = &a->layout.message;
    char count[48], frozen[96] = "", t[FORMAT_SIZE], key[16];
    if (r->h == 0)
        return;
    if (a->mode == MODE_PROMPT) {
        prompt_draw(a, r);
        return;
    }
    if (a->mode == MODE_KEYS && a->layout.crumbs.h == 0 && lost_draw(a, r))
        return;
    if (a->mode == MODE_CONFIRM) {
        int x = 1 + draw_text(&a->paint, r->y, r->x + 1, r->w - 6, ROLE_WARN, a->confirm.text);
        draw_text(&a->paint, r->y, r->x + x, 6, ROLE_KEY, " y/N");
        a->cursor_y = r->y;
        a->cursor_x = r->x + x + 4 < r->w ? r->x + x + 4 : r->w - 1;
        return;
    }
    if (a->frozen) {
        app_tick(a, 1000);
        str_printf(frozen, sizeof frozen, "FROZEN %s ago: %s goes on  ",
                   format_seconds((double)((clock_wall_us() - a->frozen_at) / 1000000), t),
                   action_text(a, "{freeze}", key, sizeof key));
    }
    str_printf(count, sizeof count, "%zu message%s: %s", a->n_messages,
               a->n_messages == 1 ? "" : "s", action_text(a, "{messages}", key, sizeof key));
    const struct rows *rows = listing_of(a).rows;
    size_t marked = rows ? rows->n_marks : 0;
    if (marked)
        str_printf(frozen + strlen(frozen), sizeof frozen - strlen(frozen), "%zu marked  ", marked);
    int right = a->n_messages && r->w >= 60 ? text_columns(count, false) + 1 : 0;
    int warn = text_columns(frozen, false);
    if (right)
        draw_text(&a->paint, r->y, r->x + r->w - right, right, ROLE_DIM, count);
    if (warn)
        draw_text(&a->paint, r->y, r->x + r->w - right - warn - 1, warn, ROLE_WARN, frozen);
    if (a->message_shown)
        message_text_draw(a, r, r->w - right - warn - 2);
}

/* Key and name, dim when it cannot be done now; false: there is no room. */
static bool hint_one(struct app *a, const struct action *k, int y, int *x, int end)
{
    char key[32], reason[160];
    action_key(a, k, false, key, sizeof key);
    int w = text_columns(key, false) + 1 + text_columns(k->name, false);
    if (*x + w > end)
        return false;
    bool can = !k->enabled || k->enabled(a, reason, sizeof reason);
    *x += draw_text(&a->paint, y, *x, w, can ? ROLE_KEY : ROLE_DIM, key) + 1;
    *x += draw_text(&a->paint, y, *x, w, can ? ROLE_TEXT : ROLE_DIM, k->name) + 2;
    return true;
}

/* The place of an action in the line: the way out first, then in a log its keys, which do nothing
 * elsewhere; -1: it is not in the line. */
static int hint_rank(const struct app *a, const struct action *k, bool in_log)
{
    if (!(k->hints & k->screens & ON(app_screen(a))) || !strcmp(k->id, "help"))
        return -1;
    if (action_is_of_logs(k))
        return in_log ? 1 : -1;
    return !strcmp(k->id, "open") || !strcmp(k->id, "back") ? 0 : 2;
}

static void hint_draw(struct app *a)
{
    char key[32];
    const struct rect *r = &a->layout.hint;
    int x = r->x + 1, end = r->x + r->w - 8; /* "? help" always fits */
    bool in_log = moves_log(a) != NULL, room = true;
    if (r->h == 0)
        return;
    if (a->mode == MODE_FORM) {
        draw_text(&a->paint, r->y, x, r->w - 2, ROLE_TEXT,
                  "esc leaves  enter next  tab up down move  blank changes a choice  ^U clears");
        return;
    }
    for (int rank = 0; rank <= 2; rank++)
        for (size_t i = 0; i < n_actions && room; i++)
            if (hint_rank(a, &actions[i], in_log) == rank)
                room = hint_one(a, &actions[i], r->y, &x, end);
    action_key(a, action_of("help"), false, key, sizeof key);
    x += draw_text(&a->paint, r->y, x, 5, ROLE_KEY, key) + 1;
    draw_text(&a->paint, r->y, x, 4, ROLE_TEXT, "help");
}

/* Below 40x6: how many, and the worst one. */
static void tiny_draw(struct app *a)
{
    const struct rect *r = &a->layout.head;
    const struct mirror_status *worst = a->mirrors.n ? a->mirrors.items[0] : NULL;
    struct mirror_counts c;
    char lag[FORMAT_SIZE];
    mirrors_count(a->picture, &c);
    int x = draw_textf(&a->paint, r->y, r->x, r->w, ROLE_TEXT, "%zu mirror%s ", a->picture->n,
                       format_s((int64_t)a->picture->n));
    count_draw(a, r, &x, c.failed, "FAILED", ROLE_FAIL);
    count_draw(a, r, &x, c.busy, "busy", ROLE_BUSY);
    if (worst)
        draw_textf(&a->paint, r->y, x, r->w - x, ROLE_TEXT, "%s %s %s", worst->name,
                   mirror_word(worst), format_seconds(worst->lag_seconds, lag));
    app_tick(a, 60000);
}

void app_rebuild(struct app *a)
{
    if (!a->picture)
        return; /* a key came before the first frame */
    mirrors_build(a);
    tables_build(a);
    lists_build(a);
}

void app_draw(struct app *a)
{
    const struct screen *s = screens[app_screen(a)];
    struct layout_request q = {.kind = s->layout, .zoom = a->zoom};
    terminal_size(&q.rows, &q.cols);
    app_rebuild(a);
    const struct rows *rows = listing_of(a).rows;
    q.items = rows ? (int)rows->n : 100; /* a page takes what it gets */
    if (app_screen(a) == SCREEN_DETAIL && a->tab == TAB_LOGS)
        q.zoom = ZOOM_LOG;
    layout_compute(&q, &a->layout);
    a->cursor_y = a->cursor_x = 0;
    a->drawn = NULL;
    erase();
    if (a->layout.tiny) {
        tiny_draw(a);
        return;
    }
    head_draw(a);
    crumbs_draw(a);
    s->draw(a);
    message_draw(a);
    hint_draw(a);
    if (a->mode == MODE_DIALOG)
        dialog_draw(a);
    else if (a->mode == MODE_COLUMNS)
        chooser_draw(a);
}
