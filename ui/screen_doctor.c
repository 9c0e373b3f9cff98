/* The doctor's checks of all mirrors, one after the other: what is wrong comes first. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/actions.h"
#include "ui/columns.h"
#include "ui/format.h"
#include "ui/lists.h"
#include "ui/panes.h"

static const enum role roles[] = {ROLE_OK, ROLE_TEXT, ROLE_WARN, ROLE_FAIL};

enum severity checkup_worst(const struct checkup *c)
{
    enum severity worst = SEVERITY_OK;
    if (c->err.code)
        return SEVERITY_ERROR;
    for (size_t i = 0; i < c->checks.n; i++)
        if (c->checks.items[i].severity > worst)
            worst = c->checks.items[i].severity;
    return worst;
}

static void checkup_free(struct checkup *c)
{
    findings_free(&c->checks);
    *c = (struct checkup){0};
}

void checkups_free(struct app *a)
{
    for (size_t i = 0; i < a->n_checkups; i++)
        checkup_free(&a->checkups[i]);
    free(a->checkups);
    a->checkups = NULL;
    a->n_checkups = 0;
}

static struct checkup *find(struct app *a, const char *mirror)
{
    for (size_t i = 0; i < a->n_checkups; i++)
        if (!strcmp(a->checkups[i].mirror, mirror))
            return &a->checkups[i];
    return NULL;
}

void checkup_take(struct app *a, struct sheet *s)
{
    struct checkup *c = find(a, s->mirror);
    if (!c)
        return;
    findings_free(&c->checks);
    c->checks = s->checks;
    s->checks = (struct findings){0};
    c->err = s->err;
    c->at = s->at;
    c->is_there = true;
    c->is_old = false;
}

/* Those of mirrors that are gone go, new ones come without a result. */
static void fit(struct app *a)
{
    const struct picture *p = a->picture;
    struct checkup *now = mem_calloc(p->n + 1, sizeof *now);
    for (size_t i = 0; i < p->n; i++) {
        struct checkup *old = find(a, p->mirrors[i].name);
        if (old) {
            now[i] = *old;
            *old = (struct checkup){0};
        }
        str_copy(now[i].mirror, sizeof now[i].mirror, p->mirrors[i].name);
    }
    checkups_free(a);
    a->checkups = now;
    a->n_checkups = p->n;
}

void checkups_update(struct app *a)
{
    fit(a);
    for (size_t i = 0; a->refresh && i < a->n_checkups; i++)
        a->checkups[i].is_old = true;
    a->refresh = false;
    if (a->is_asked && a->asked_kind == SHEET_CHECKUP)
        return;
    for (size_t i = 0; i < a->n_checkups; i++)
        if (!a->checkups[i].is_there || a->checkups[i].is_old) {
            app_ask(a, SHEET_CHECKUP, a->checkups[i].mirror);
            return;
        }
}

/* --- Columns --------------------------------------------------------------------------------- */
static const struct checkup *checkup_of(const void *line)
{
    return ((const struct line *)line)->of;
}

static char glyph_of(const void *item, enum role *role)
{
    static const char glyphs[] = {'+', '+', '?', '!'};
    const struct checkup *c = checkup_of(item);
    *role = c->is_there ? roles[checkup_worst(c)] : ROLE_DIM;
    return c->is_there ? glyphs[checkup_worst(c)] : '.';
}

static void cell_name(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct checkup *c = checkup_of(item);
    (void)a;
    *role = c->is_there && checkup_worst(c) >= SEVERITY_WARNING ? ROLE_STRONG : ROLE_TEXT;
    str_copy(out, size, c->mirror);
}

static void cell_worst(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct checkup *c = checkup_of(item);
    (void)a;
    (void)glyph_of(item, role);
    str_copy(out, size, c->is_there ? severity_name(checkup_worst(c)) : "queued");
}

/* How many are not well. */
static double value_checks(struct app *a, const void *item)
{
    const struct checkup *c = checkup_of(item);
    double bad = 0;
    (void)a;
    for (size_t i = 0; i < c->checks.n; i++)
        bad += c->checks.items[i].severity >= SEVERITY_WARNING;
    return c->is_there ? bad : -1;
}

static void cell_checks(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct checkup *c = checkup_of(item);
    (void)role;
    if (c->is_there)
        str_printf(out, size, "%zu/%zu", c->checks.n - (size_t)value_checks(a, item), c->checks.n);
    else
        str_copy(out, size, "-");
}

static void cell_age(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct checkup *c = checkup_of(item);
    char t[FORMAT_SIZE];
    int64_t s = (clock_wall_us() - c->at) / 1000000;
    (void)role;
    if (c->is_there)
        app_tick(a, 1000);
    str_copy(out, size, format_age(!c->is_there ? -1 : s < 0 ? 0 : s, t));
}

/* The state and its finding have one remedy: the finding says more. */
static bool is_said_again(const struct findings *f, size_t i)
{
    for (size_t k = i + 1; k < f->n; k++)
        if (f->items[k].severity == f->items[i].severity && *f->items[i].remedy &&
            !strcmp(f->items[k].remedy, f->items[i].remedy))
            return true;
    return false;
}

static void cell_first(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct checkup *c = checkup_of(item);
    enum severity worst = checkup_worst(c);
    (void)a;
    str_copy(out, size, "-");
    if (!c->is_there || worst < SEVERITY_WARNING)
        return;
    *role = roles[worst];
    if (c->err.code)
        str_copy(out, size, c->err.text);
    for (size_t i = c->checks.n; i-- > 0;)
        if (c->checks.items[i].severity == worst && !is_said_again(&c->checks, i))
            str_printf(out, size, "%s: %s", c->checks.items[i].code, c->checks.items[i].cause);
}

static double value_age(struct app *a, const void *item)
{
    const struct checkup *c = checkup_of(item);
    (void)a;
    return c->is_there ? -(double)c->at : -1e30;
}

static const struct column columns[] = {
    {.title = "MIRROR", .cell = cell_name},
    {.title = "WORST", .sorts_usual = true, .width = 7, .cell = cell_worst},
    {.title = "WELL",
     .value = value_checks,
     .width = 5,
     .align = ALIGN_RIGHT,
     .min_cols = 48,
     .cell = cell_checks},
    {.title = "AGE",
     .value = value_age,
     .width = 5,
     .align = ALIGN_RIGHT,
     .min_cols = 56,
     .cell = cell_age},
    {.title = "WHAT", .width = 0, .min_cols = 44, .cell = cell_first},
};
const struct column_set columns_of_checks = {"checks",          NULL, columns,
                                             COUNT_OF(columns), 24,   "severity"};

static void checkup_draw(struct app *a, const struct checkup *c)
{
    char keys[160], remedy[sizeof c->checks.items->remedy + 80];
    struct facts f = {0};
    char title[NAME_SIZE + 64];
    enum severity worst = checkup_worst(c);
    str_printf(title, sizeof title, "%s: %s", c->mirror,
               !c->is_there                ? "its turn is still to come"
               : worst >= SEVERITY_WARNING ? "what is not well"
                                           : "all is well");
    if (c->err.code)
        facts_add(&f, ROLE_FAIL, 0, "error", "%s", c->err.text);
    for (int s = SEVERITY_ERROR; s >= SEVERITY_WARNING; s--)
        for (size_t i = 0; i < c->checks.n; i++) {
            const struct finding *x = &c->checks.items[i];
            if ((int)x->severity != s || is_said_again(&c->checks, i))
                continue;
            facts_add(&f, roles[s], 0, x->code, "%s", x->cause);
            facts_add(&f, ROLE_STRONG, 1, " ", "%s", action_remedy(a, x, remedy, sizeof remedy));
        }
    if (c->is_there)
        facts_add(&f, ROLE_STRONG, 4, "do", "%s",
                  action_text(a, "{doctor} all checks  |  {open} the mirror  |  {bundle} bundle",
                              keys, sizeof keys));
    pane_facts_draw(a, worst == SEVERITY_ERROR ? ROLE_FAIL : ROLE_STRONG, title, &f);
    facts_free(&f);
}

static void doctor_draw(struct app *a)
{
    const struct checkup *c = lists_selected(&a->doctor);
    static const struct sheet there = {.is_there = true};
    columns_draw(a, &a->doctor, &columns_of_checks, glyph_of);
    lists_empty_draw(a, &there, "there is no mirror");
    if (c)
        checkup_draw(a, c);
}

const struct screen screen_doctor = {"Doctor", LAYOUT_TABLE, doctor_draw};
