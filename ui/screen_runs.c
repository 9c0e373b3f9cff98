/* Runs: what each mirror did, from when to when, and how it ended; of all mirrors, or of one. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/columns.h"
#include "ui/format.h"
#include "ui/lists.h"
#include "ui/panes.h"

static const struct run_row *run_of(const void *line)
{
    return ((const struct line *)line)->of;
}

static char run_glyph(const void *item, enum role *role)
{
    const struct run_row *r = run_of(item);
    bool failed = !strcmp(r->ending, "failed"), cut = !strcmp(r->ending, "interrupted");
    *role = failed ? ROLE_FAIL : cut ? ROLE_WARN : *r->ending ? ROLE_DIM : ROLE_OK;
    return failed ? '!' : cut ? '?' : *r->ending ? '.' : '+';
}

static void cell_mirror(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a, (void)role;
    str_copy(out, size, run_of(item)->mirror);
}

static void cell_kind(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a, (void)role;
    str_copy(out, size, run_of(item)->kind);
}

/* With its date, unless it is of today. */
static void put_time(int64_t at, char *out, size_t size)
{
    char t[FORMAT_SIZE], today[FORMAT_SIZE];
    format_date_time(at, t);
    format_date_time(clock_wall_us(), today);
    str_copy(out, size, at <= 0 ? "-" : strncmp(t, today, 10) ? t + 5 : t + 11);
}

static void cell_began(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a, (void)role;
    put_time(run_of(item)->began_at, out, size);
}

static void cell_ended(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    (void)a, (void)role;
    put_time(run_of(item)->ended_at, out, size);
}

static void cell_took(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct run_row *r = run_of(item);
    char t[FORMAT_SIZE];
    int64_t end = r->ended_at ? r->ended_at : clock_wall_us();
    bool known = strcmp(r->ending, "interrupted") != 0; /* it ended with the process, some time */
    (void)a, (void)role;
    if (!r->ended_at)
        app_tick(a, 1000);
    str_copy(out, size, format_seconds(known ? (double)(end - r->began_at) / 1e6 : -1, t));
}

static void cell_ending(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct run_row *r = run_of(item);
    (void)a;
    run_glyph(item, role);
    str_copy(out, size, *r->ending ? r->ending : "goes on");
}

static void cell_error(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct run_row *r = run_of(item);
    (void)a;
    *role = r->error ? ROLE_FAIL : ROLE_TEXT;
    str_copy(out, size, r->error ? r->error : "-");
}

/* Who let it begin, and who ended it: "resume by ana, pause by ben". */
static void cell_by(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct run_row *r = run_of(item);
    bool both = *r->begun_by && *r->ended_by;
    (void)a;
    *role = *r->begun_by || *r->ended_by ? ROLE_TEXT : ROLE_DIM;
    if (*r->begun_by || *r->ended_by)
        str_printf(out, size, "%s%s%s", r->begun_by, both ? ", " : "", r->ended_by);
    else
        str_copy(out, size, "-");
}

static double value_ended(struct app *a, const void *item)
{
    const struct run_row *r = run_of(item);
    (void)a;
    return r->ended_at ? (double)r->ended_at : 1e30; /* it goes on */
}

static double value_took(struct app *a, const void *item)
{
    const struct run_row *r = run_of(item);
    int64_t end = r->ended_at ? r->ended_at : clock_wall_us();
    (void)a;
    return strcmp(r->ending, "interrupted") ? (double)(end - r->began_at) : -1;
}

#define COLUMNS_OF_ONE                                                                             \
    {.title = "BEGAN", .sorts_usual = true, .width = 14, .cell = cell_began},                      \
        {.title = "ENDED", .value = value_ended, .width = 14, .min_cols = 70, .cell = cell_ended}, \
        {.title = "TOOK",                                                                          \
         .value = value_took,                                                                      \
         .width = 6,                                                                               \
         .align = ALIGN_RIGHT,                                                                     \
         .cell = cell_took},                                                                       \
        {.title = "ENDING", .width = 11, .min_cols = 56, .cell = cell_ending},                     \
        {.title = "BY", .width = 25, .min_cols = 110, .cell = cell_by},                            \
    {                                                                                              \
        .title = "ERROR", .width = 0, .min_cols = 50, .cell = cell_error                           \
    }
static const struct column all_columns[] = {
    {.title = "MIRROR", .cell = cell_mirror},
    {.title = "KIND", .width = 8, .min_cols = 100, .cell = cell_kind},
    COLUMNS_OF_ONE,
};
static const struct column own_columns[] = {
    {.title = "KIND", .cell = cell_kind},
    COLUMNS_OF_ONE,
};
const struct column_set columns_of_runs = {
    "runs", "run_columns", all_columns, COUNT_OF(all_columns), 20, "began"};
const struct column_set columns_of_own_runs = {"runs of a mirror",    NULL, own_columns,
                                               COUNT_OF(own_columns), 12,   "began"};

/* The error stands above already. */
static bool is_error(const struct run_row *r, const struct run_event *e)
{
    return r->error && e->text && !strncmp(r->error, e->text, strlen(e->text));
}

/* From state to state: when each began, and how long it lasted. */
static void events_draw(struct app *a, const struct run_row *r)
{
    struct facts f = {0};
    char title[NAME_SIZE + 64], label[28], t[FORMAT_SIZE];
    str_printf(title, sizeof title, "run %lld of %s: %s", (long long)r->id, r->mirror,
               *r->ending ? r->ending : "goes on");
    if (r->error)
        facts_add(&f, ROLE_FAIL, 0, "error", "%s", r->error);
    facts_add(&f, ROLE_TEXT, 0, "ended by", "%s", r->ended_by);
    facts_add(&f, ROLE_TEXT, 0, "begun by", "%s", r->begun_by);
    for (size_t i = r->n_events; i-- > 0;) {
        const struct run_event *e = &r->events[i];
        int64_t end = i + 1 < r->n_events ? r->events[i + 1].at : r->ended_at;
        end = end ? end : clock_wall_us();
        put_time(e->at, label, sizeof label);
        facts_add(&f, ROLE_TEXT, r->error ? 4 : 1, label, "%s%s%s  %s%s%s", e->state,
                  *e->phase ? ", " : "", e->phase, format_seconds((double)(end - e->at) / 1e6, t),
                  e->text && !is_error(r, e) ? "  " : "",
                  e->text && !is_error(r, e) ? e->text : "");
    }
    pane_facts_draw(a, r->error ? ROLE_FAIL : ROLE_STRONG, title, &f);
    facts_free(&f);
}

void runs_draw(struct app *a, struct rows *r, bool of_all)
{
    const struct run_row *x = lists_selected(r);
    if (of_all)
        columns_draw(a, r, &columns_of_runs, run_glyph);
    else
        columns_draw(a, r, &columns_of_own_runs, run_glyph);
    lists_empty_draw(a, &a->lists[SHEET_RUNS], "no run yet");
    if (x)
        events_draw(a, x);
}

static void screen_draw(struct app *a)
{
    runs_draw(a, &a->runs, true);
}

const struct screen screen_runs = {"Runs", LAYOUT_TABLE, screen_draw};
