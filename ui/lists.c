/* Lists that have to be asked for; see lists.h. */
#include "ui/lists.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/actions.h"
#include "ui/format.h"
#include "ui/listing.h"
#include "ui/mirrors.h"
#include "ui/sorting.h"
#include "ui/text.h"

enum {
    SLOTS_EVERY_MS = 2000, /* the engine samples once a second */
    RUNS_EVERY_MS = 5000,
    PEERS_EVERY_MS = 5000,
    ALL_TABS = 58, /* columns from which on their names are shown */
};

static bool passes(const char *filter, const char *const *texts)
{
    bool inverse = *filter == '!' && filter[1], found = false;
    for (; *texts; texts++)
        found |= text_contains(*texts, filter + inverse);
    return found != inverse;
}

static void line_add(struct app *a, const void *of, const char *one, const char *two)
{
    mem_grow((void **)&a->lines, &a->cap_lines, a->n_lines, sizeof *a->lines);
    struct line *l = &a->lines[a->n_lines++];
    l->of = of;
    l->glyph = ' ';
    l->role = ROLE_TEXT;
    str_printf(l->id, sizeof l->id, "%s%s%s", one, *two ? "/" : "", two);
}

static void lines_settle(struct app *a, struct rows *r, const struct column_set *s,
                         int (*compare)(const void *, const void *))
{
    if (compare && a->n_lines > 1)
        qsort(a->lines, a->n_lines, sizeof *a->lines, compare);
    rows_clear(r);
    for (size_t i = 0; i < a->n_lines; i++)
        rows_add(r, &a->lines[i]);
    sorting_apply(a, r, s);
    rows_settle(r);
}

/* --- Slots ------------------------------------------------------------------------------------ */
static int slot_urgency(const struct line *l)
{
    return l->role == ROLE_FAIL ? 0 : l->role == ROLE_WARN ? 1 : 2;
}

/* What is wrong first, then who keeps the most. */
static int slot_compare(const void *x, const void *y)
{
    const struct source_slot *s = ((const struct line *)x)->of, *t = ((const struct line *)y)->of;
    int c = slot_urgency(x) - slot_urgency(y);
    if (c)
        return c;
    if (s->status.retained_bytes != t->status.retained_bytes)
        return s->status.retained_bytes > t->status.retained_bytes ? -1 : 1;
    return strcmp(((const struct line *)x)->id, ((const struct line *)y)->id);
}

static void slots_build(struct app *a)
{
    const struct slot_list *l = &app_need(a, SHEET_SLOTS, "", SLOTS_EVERY_MS)->slots;
    for (size_t i = 0; i < l->n_slots; i++) {
        const struct source_slot *s = &l->slots[i];
        char glyph;
        enum role role;
        const char *texts[] = {s->name,     s->source_peer, s->mirror,
                               s->database, s->plugin,      slot_word(a, s, &glyph, &role),
                               NULL};
        if (!passes(a->slot_filter, texts))
            continue;
        line_add(a, s, s->source_peer, s->name);
        a->lines[a->n_lines - 1].glyph = glyph;
        a->lines[a->n_lines - 1].role = role;
    }
    lines_settle(a, &a->slots, &columns_of_slots, slot_compare);
}

/* --- Runs, peers ------------------------------------------------------------------------------ */
static void runs_build(struct app *a, const char *mirror, struct rows *rows)
{
    const struct run_page *p = &app_need(a, SHEET_RUNS, mirror, RUNS_EVERY_MS)->runs;
    char id[24];
    for (size_t i = 0; i < p->n; i++) {
        const struct run_row *r = &p->rows[i];
        const char *texts[] = {r->mirror, r->kind, r->ending, r->error ? r->error : "", NULL};
        str_printf(id, sizeof id, "%lld", (long long)r->id);
        if (passes(a->run_filter, texts))
            line_add(a, r, id, "");
    }
    lines_settle(a, rows, *mirror ? &columns_of_own_runs : &columns_of_runs, NULL);
}

static void peers_build(struct app *a)
{
    const struct peer_list *l = &app_need(a, SHEET_PEERS, "", PEERS_EVERY_MS)->peers;
    for (size_t i = 0; i < l->n; i++) {
        const struct peer *p = &l->items[i];
        const char *texts[] = {p->name, p->host, p->user, p->database, NULL};
        if (!strcmp(p->name, a->wanted_peer)) {
            str_copy(a->peers.selected, sizeof a->peers.selected, p->name);
            *a->wanted_peer = '\0';
        }
        if (passes(a->peer_filter, texts))
            line_add(a, p, p->name, "");
    }
    lines_settle(a, &a->peers, &columns_of_peers, NULL);
}

int peer_uses(const struct app *a, const char *peer, bool as_source)
{
    int n = 0;
    for (size_t i = 0; i < a->picture->n; i++) {
        const struct mirror_status *m = &a->picture->mirrors[i];
        n += !strcmp(as_source ? m->source_peer : m->dest_peer, peer);
    }
    return n;
}

const struct peer_test *peer_last_test(const struct app *a, const char *peer)
{
    for (size_t i = 0; i < a->n_tests; i++)
        if (!strcmp(a->tests[i].peer, peer))
            return &a->tests[i];
    return NULL;
}

/* --- Doctor ----------------------------------------------------------------------------------- */
static int checkup_compare(const void *x, const void *y)
{
    const struct checkup *c = ((const struct line *)x)->of, *d = ((const struct line *)y)->of;
    int k = (int)checkup_worst(d) - (int)checkup_worst(c);
    return k ? k : strcmp(c->mirror, d->mirror);
}

static void doctor_build(struct app *a)
{
    checkups_update(a);
    for (size_t i = 0; i < a->n_checkups; i++) {
        const struct checkup *c = &a->checkups[i];
        const char *texts[] = {c->mirror, c->is_there ? severity_name(checkup_worst(c)) : "", NULL};
        if (passes(a->doctor_filter, texts))
            line_add(a, c, c->mirror, "");
    }
    lines_settle(a, &a->doctor, &columns_of_checks, checkup_compare);
}

/* --- All of them ------------------------------------------------------------------------------ */
void lists_build(struct app *a)
{
    enum screen_id s = app_screen(a);
    a->n_lines = 0;
    if (s == SCREEN_SLOTS)
        slots_build(a);
    else if (s == SCREEN_PEERS)
        peers_build(a);
    else if (s == SCREEN_RUNS)
        runs_build(a, "", &a->runs);
    else if (s == SCREEN_DOCTOR)
        doctor_build(a);
    else if (s == SCREEN_PICK)
        wizard_build(a);
    else if (s == SCREEN_DETAIL && a->tab == TAB_RUNS)
        runs_build(a, a->mirror, &a->mirror_runs);
}

const void *lists_selected(const struct rows *r)
{
    const struct line *l = rows_selected(r);
    return l ? l->of : NULL;
}

const char *lists_mirror(const struct app *a)
{
    enum screen_id s = app_screen(a);
    if (s == SCREEN_SLOTS) {
        const struct source_slot *x = lists_selected(&a->slots);
        return x ? x->mirror : "";
    }
    if (s == SCREEN_RUNS) {
        const struct run_row *x = lists_selected(&a->runs);
        return x ? x->mirror : "";
    }
    if (s == SCREEN_DOCTOR) {
        const struct checkup *x = lists_selected(&a->doctor);
        return x ? x->mirror : "";
    }
    return s == SCREEN_PEERS || s == SCREEN_PICK || s == SCREEN_SUMMARY ? "" : NULL;
}

/* --- What is drawn around them ---------------------------------------------------------------- */
void lists_age(struct app *a, const struct sheet *s, char *out, size_t size)
{
    char t[FORMAT_SIZE];
    int64_t now = clock_wall_us();
    if (!s->is_there) {
        str_copy(out, size, "asking");
        return;
    }
    app_tick(a, 1000);
    format_age(now > s->at ? (now - s->at) / 1000000 : 0, t);
    if (s->err.code)
        str_printf(out, size, "not answered: %s", s->err.text);
    else
        str_printf(out, size, "%s ago", t);
}

void lists_tabs_draw(struct app *a, const struct rect *r)
{
    static const struct {
        enum screen_id screen;
        const char *name;
    } tabs[] = {{SCREEN_LIST, "{mirrors} Mirrors"}, {SCREEN_SLOTS, "{slots} Slots"},
                {SCREEN_PEERS, "{peers} Peers"},    {SCREEN_LOG, "{logs} Logs"},
                {SCREEN_RUNS, "{runs} Runs"},       {SCREEN_DOCTOR, "{doctors} Doctor"}};
    static const enum sheet_kind kinds[SCREEN_COUNT] = {
        [SCREEN_SLOTS] = SHEET_SLOTS, [SCREEN_PEERS] = SHEET_PEERS, [SCREEN_RUNS] = SHEET_RUNS};
    const struct listing l = listing_of(a);
    const char *filter = l.filter;
    char text[INPUT_SIZE + 80 + sizeof(((struct err *)0)->text)], age[400], order[80] = "", by[40];
    int x = 0;
    for (size_t i = 0; i < COUNT_OF(tabs); i++) {
        bool on = tabs[i].screen == app_screen(a);
        char name[40];
        action_text(a, tabs[i].name, name, sizeof name);
        int shown = on || r->w >= ALL_TABS ? (int)sizeof name : (int)strcspn(name, " ");
        x += draw_textf(&a->paint, r->y, r->x + x, r->w - x, on ? ROLE_KEY : ROLE_TEXT, "%s%.*s%s",
                        on ? "[" : " ", shown, name, on ? "]" : " ");
    }
    if (app_screen(a) == SCREEN_LOG)
        return;
    const struct sheet *s = &a->lists[kinds[app_screen(a)]];
    if (app_screen(a) == SCREEN_DOCTOR)
        *age = '\0';
    else
        lists_age(a, s, age, sizeof age);
    if (!sorting_is_usual(a, l.columns))
        str_printf(order, sizeof order, "sort %s%s  ", sorting_name(a, l.columns, by, sizeof by),
                   a->views[columns_index(l.columns)].invert ? " inverted" : "");
    str_printf(text, sizeof text, "%s%s%s%s%s", *filter ? "filter " : "", filter,
               *filter ? "  " : "", order, age);
    int w = text_columns(text, a->theme.unicode), room = r->w - x - 3;
    if (w > room && !s->err.code && !*filter)
        return;
    w = w < room ? w : room;
    draw_text(&a->paint, r->y, r->x + r->w - w - 1, w,
              s->err.code || *filter ? ROLE_WARN : ROLE_DIM, text);
}

void lists_empty_draw(struct app *a, const struct sheet *s, const char *none)
{
    const struct rect *r = &a->layout.list;
    char shown[160];
    const char *text = !s->is_there            ? "asking"
                       : s->err.code           ? s->err.text
                       : *listing_of(a).filter ? "nothing matches the filter; {filter} changes it"
                                               : none;
    if (!s->err.code) /* what a server says is no text of ours */
        text = action_text(a, text, shown, sizeof shown);
    if (a->n_lines == 0 && r->h > 0)
        draw_text(&a->paint, r->y, r->x + 3, r->w - 3, s->err.code ? ROLE_FAIL : ROLE_DIM, text);
}
