/* The state of the console, owned by the thread in console_run. Screens read and change it; nothing
 * of it is seen by other threads (the command worker has its own, ui/command.h). */
#ifndef BUNNY_UI_APP_H
#define BUNNY_UI_APP_H

#include "engine.h"
#include "ui/command.h"
#include "ui/console.h"
#include "ui/draw.h"
#include "ui/facts.h"
#include "ui/form.h"
#include "ui/keymap.h"
#include "ui/look.h"
#include "ui/logview.h"
#include "ui/meter.h"
#include "ui/model.h"
#include "ui/sheet.h"
#include "ui/rows.h"
#include "ui/wizard.h"

enum screen_id {
    SCREEN_LIST,
    SCREEN_DETAIL,
    SCREEN_LOG,
    SCREEN_MESSAGES,
    SCREEN_HELP,
    SCREEN_REPORT,
    SCREEN_SLOTS,
    SCREEN_PEERS,
    SCREEN_RUNS,
    SCREEN_DOCTOR,
    SCREEN_FORM,
    SCREEN_PICK,
    SCREEN_SUMMARY,
    SCREEN_COUNT
};
enum tab {
    TAB_TABLES,
    TAB_SLOT,
    TAB_LOGS,
    TAB_RUNS,
    TAB_SCHEMA,
    TAB_CONFIG,
    TAB_COUNT
};
/* Who gets the keys. */
enum mode {
    MODE_KEYS,
    MODE_PROMPT,  /* a filter or a search is typed */
    MODE_CONFIRM, /* y on the message line */
    MODE_DIALOG,
    MODE_FORM,    /* fields are filled in */
    MODE_COLUMNS, /* columns are chosen */
};

enum {
    MESSAGES = 200,  /* kept for the history */
    STACK = 8,       /* screens inside each other */
    PENDING = 256,   /* commands whose end is awaited in the picture */
    INPUT_SIZE = 64, /* a filter, a search */
    APP_MINUTES = 32,
};

struct app;
struct column_set;

struct message {
    int64_t at; /* us */
    enum severity level;
    char text[300];
};
/* What is asked for, on the message line, in a dialog, or by a name to be typed: captured when the
 * key was pressed, and refused when the mirror's state has changed until it is confirmed. */
struct confirm {
    struct order order; /* kind NO_COMMAND: detach */
    enum mirror_state state;
    char text[300];
    void (*run)(struct app *a); /* on y, in the place of the order; NULL: the order */
    const char *typed_name;     /* what has to be typed: the order's mirror or table */
};
struct prompt {
    char label[200];
    char *target; /* size bytes: follows what is typed */
    size_t size;
    char before[INPUT_SIZE]; /* comes back with esc */
    void (*done)(struct app *a);
};
/* A dialog's buttons; the last one cancels, and has the focus at first. */
struct choice {
    int key;
    const char *label;
    void (*run)(struct app *a); /* NULL: cancels */
};
struct dialog {
    char title[200];
    struct facts lines;
    const struct choice *choices;
    int n, focus;
    int top; /* first line that is shown */
};
/* An order to one of several marked lines. */
struct batch_item {
    struct order order;
    enum mirror_state state; /* when it was asked for */
    enum batch_step {
        BATCH_WAITS,
        BATCH_SENT,     /* its answer is to come */
        BATCH_ACCEPTED, /* it is under way in the engine */
        BATCH_ENDED,
    } step;
};
struct batch {
    struct batch_item *items;
    size_t n, cap;
    int done, failed; /* since all had been answered */
};
struct pending {
    struct order order; /* mirror empty: free */
    int64_t since_ms;
    int64_t answered_at; /* us: a picture from before does not show what it has begun */
};
/* What the last test of a peer found. */
struct peer_test {
    char peer[NAME_SIZE];
    bool ok;
    int64_t at;     /* us */
    char text[200]; /* the server's version, or the error */
};
/* What the doctor found about a mirror, for the screen of all. */
struct checkup {
    char mirror[NAME_SIZE];
    bool is_there; /* false: its turn is still to come */
    bool is_old;   /* it is to be asked again */
    int64_t at;    /* us */
    struct err err;
    struct findings checks;
};
/* A line of a list: its identity, which stays selected, and what it shows. */
struct line {
    char id[2 * NAME_SIZE + 2];
    const void *of; /* borrowed from a sheet */
    char glyph;
    enum role role; /* of the glyph */
};
/* How fast something went, the last time that it was seen under way. */
struct pace {
    bool works;        /* in the last picture, */
    int64_t bytes, at; /* when it was so far (us) */
    int64_t sum_bytes, sum_us;
    double bytes_per_second; /* 0: not known */
};
/* How fast a source writes WAL, measured between two samples of a mirror's slot. */
struct wal_rate {
    char mirror[NAME_SIZE];
    lsn_t lsn;
    int64_t at;              /* us */
    double bytes_per_second; /* -1: not known yet */
    struct pace copy, verify;
};

/* How a list is looked at. */
struct list_view {
    int sort; /* 0: its usual order; else a column, by its place in the set, and 1 */
    bool invert;
    int left; /* so many columns behind the names have been scrolled away */
};
/* Where a column's title stands on the screen. */
struct title {
    int x, width, column; /* by its place in the set */
};
/* The columns of a list while they are chosen: all of them, those that are shown first. */
struct chooser {
    const struct column_set *set;
    struct column_choice order; /* all columns but the first */
    int n_shown, focus, top;
};

struct app {
    const struct model *model;
    const struct console_options *options;
    const struct picture *picture; /* the one shown; one reference */
    struct keymap keymap;
    struct column_choice columns[COLUMN_LISTS]; /* as column_sets; chosen with `c` or configured */
    unsigned columns_kept;                      /* bits: those chosen with `c` */
    const struct column_set *drawn;   /* the list of the last frame; NULL: there was none */
    struct title titles[COLUMNS_MAX]; /* of it, from left to right */
    int n_titles;
    bool has_more_right; /* columns of it that have no room */
    struct chooser chooser;
    bool mouse;
    struct theme theme;
    struct painter paint;
    struct commands *commands;

    enum screen_id stack[STACK];
    int depth; /* stack[depth] is shown */
    enum tab tab;
    char mirror[NAME_SIZE];    /* of the detail and the log; empty: the log of all */
    char opened[2][NAME_SIZE]; /* the mirrors that were opened last, the newest first */
    enum layout_zoom zoom;
    bool focus_log;
    struct layout layout; /* of the last frame */

    struct rows mirrors, tables;
    struct checkup *checkups; /* by mirror */
    size_t n_checkups;
    struct rows doctor;
    char doctor_filter[INPUT_SIZE];
    struct rows slots, peers, runs, mirror_runs; /* of lines, of the screen that is shown */
    struct line *lines;
    size_t n_lines, cap_lines;
    char filter[INPUT_SIZE], table_filter[INPUT_SIZE];
    char slot_filter[INPUT_SIZE], peer_filter[INPUT_SIZE], run_filter[INPUT_SIZE];
    bool problems_only;
    struct list_view views[COLUMN_LISTS]; /* as column_sets */
    struct logview pane_log, detail_log, page_log;
    struct log_row *log_rows; /* LOGVIEW_ROWS of them, filled at each drawing of a log */
    struct facts page;        /* help, messages, slot: lines of the body */
    int page_top;
    bool help_all;

    enum mode mode;
    int asked_by; /* the key of the last action: what it asks for is not confirmed by it */
    struct confirm confirm;
    struct prompt prompt;
    char typed[2 * NAME_SIZE + 2];
    char command[INPUT_SIZE]; /* the command line */
    struct dialog dialog;
    struct form form;
    char settings_of[NAME_SIZE]; /* the mirror whose settings are asked for, or in the form */
    struct wizard wizard;
    struct rows picks;
    char pick_filter[INPUT_SIZE];
    struct sheets *sheets;
    struct sheet sheet;              /* the one that SCREEN_REPORT shows */
    struct sheet lists[SHEET_COUNT]; /* the others, by kind */
    enum sheet_kind asked_kind;      /* the last question, */
    char asked_name[NAME_SIZE];
    bool is_asked, refresh; /* whether its answer is still to come; R was pressed */
    struct peer_test *tests;
    size_t n_tests, cap_tests;
    struct jobs *jobs;
    char wanted_peer[NAME_SIZE], wanted_mirror[NAME_SIZE]; /* selected once the list has it */

    struct message messages[MESSAGES];
    size_t n_messages; /* ever */
    bool message_shown;
    int64_t message_ms;
    struct pending pending[PENDING];
    struct batch asked, batch; /* what the dialog is about; what was confirmed and goes on */
    char batch_name[40];       /* what has to be typed for it: "3 mirrors" */
    struct wal_rate *rates;
    size_t n_rates;
    struct meters meters; /* of the mirror that is open */

    bool frozen;
    int64_t frozen_at, frozen_log_id;
    bool dirty, repaint;
    int64_t frame_ms;      /* least time between two frames, */
    int64_t wait_ms;       /* and after the last one: longer, when it took much of the line */
    int64_t last_frame_ms; /* monotonic */
    int64_t tick_ms;       /* something shown changes by itself at that time; 0: nothing */
    int cursor_y, cursor_x;
    bool done;
    enum console_end end;
};

/* One file per screen. */
struct screen {
    const char *name;
    enum layout_kind layout;
    void (*draw)(struct app *a);
};
extern const struct screen screen_list, screen_detail, screen_log, screen_messages, screen_help,
    screen_report, screen_slots, screen_peers, screen_runs, screen_form, screen_pick,
    screen_summary, screen_doctor;

static inline enum screen_id app_screen(const struct app *a)
{
    return a->stack[a->depth];
}
/* Opens a screen above the present one; the same one twice is not stacked. */
void app_open(struct app *a, enum screen_id s);
/* One of the screens that 1 to 6 show: nothing is inside another. */
void app_switch(struct app *a, enum screen_id s);
/* A mirror becomes the one that is open. */
void app_open_mirror(struct app *a, const char *name);
/* One level out; at the root the quit dialog. */
void app_back(struct app *a);
/* The message line and the history. */
void app_say(struct app *a, enum severity level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What is shown changes by itself in ms milliseconds (a countdown, the clock). */
void app_tick(struct app *a, int64_t ms);
/* The mirror that keys act on; NULL when there is none. */
const struct mirror_status *app_target(const struct app *a);
/* Looks at the newest picture: rows, messages about changed states, ends of commands. */
void app_update(struct app *a);
/* Fills the lists again from the picture, after it or a filter changed. */
void app_rebuild(struct app *a);
/* Takes over results of the command worker. */
void app_take_results(struct app *a);
bool app_is_mirror_active(const struct mirror_status *m);
/* Asks for a report that SCREEN_REPORT shows. */
void app_ask(struct app *a, enum sheet_kind kind, const char *name);
/* What is known of that kind and name, asked for when nothing is, or again when it is older than
 * every_ms (0: only with R). Console thread; never waits. */
const struct sheet *app_need(struct app *a, enum sheet_kind kind, const char *name,
                             int64_t every_ms);
/* Bytes a second that the mirror's source writes; -1 when not known yet. */
double app_wal_rate(const struct app *a, const char *mirror);
/* "about 3 min": how long a copy, or a comparison, of so many bytes takes, if it goes as the last
 * one of the mirror did that this console saw; "" when it saw none. */
const char *app_minutes(const struct app *a, const char *mirror, bool is_copy, int64_t bytes,
                        char out[APP_MINUTES]);

void app_draw(struct app *a);         /* frame.c */
void app_key(struct app *a, int key); /* input.c */
/* dialog.c: a box with lines (a->dialog.lines, added before) and buttons. */
void dialog_open(struct app *a, const char *title, const struct choice *choices, int n);
void dialog_draw(struct app *a);
void dialog_key(struct app *a, int key);
/* An empty frame, for what is drawn over a screen. */
void dialog_box_draw(struct app *a, const struct rect *r);
/* asks.c: the quit dialog; ends at once when nothing runs that would stop. */
void quit_ask(struct app *a);
/* Hands the confirmed order over, unless the mirror's state has changed. */
void confirm_submit(struct app *a);

#endif
