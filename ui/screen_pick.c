/* The tables that may be in a mirror: blank takes one in or out; their sizes, and what stands in
 * the way of mirroring them. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ui/actions.h"
#include "ui/columns.h"
#include "ui/format.h"
#include "ui/lists.h"
#include "ui/panes.h"

static char glyph_of(const void *item, enum role *role)
{
    const struct pick *p = item;
    *role = p->worst >= SEVERITY_ERROR     ? ROLE_FAIL
            : p->worst >= SEVERITY_WARNING ? ROLE_WARN
                                           : ROLE_OK;
    return p->worst >= SEVERITY_ERROR ? '!' : p->worst >= SEVERITY_WARNING ? '?' : ' ';
}

static void cell_name(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct pick *p = item;
    (void)a;
    *role = p->is_in ? ROLE_STRONG : p->worst >= SEVERITY_ERROR ? ROLE_DIM : ROLE_TEXT;
    str_printf(out, size, "%s %s",
               p->is_in                     ? "[x]"
               : p->worst >= SEVERITY_ERROR ? " - "
                                            : "[ ]",
               p->name);
}

static void cell_rows(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    char t[FORMAT_SIZE];
    (void)a, (void)role;
    str_copy(out, size, format_count(((const struct pick *)item)->rows, t));
}

static void cell_size(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    char t[FORMAT_SIZE];
    (void)a, (void)role;
    str_copy(out, size, format_bytes(((const struct pick *)item)->bytes, t));
}

static void cell_now(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct pick *p = item;
    bool new = p->is_in && !p->was_in, gone = p->was_in && !p->is_in;
    *role = new ? ROLE_BUSY : gone ? ROLE_WARN : ROLE_TEXT;
    str_copy(out, size,
             a->wizard.is_new ? p->is_in ? "copied" : "-"
             : new            ? "added"
             : gone           ? "removed"
             : p->was_in      ? "stays"
                              : "-");
}

static void cell_why(struct app *a, const void *item, char *out, size_t size, enum role *role)
{
    const struct pick *p = item;
    (void)a;
    (void)glyph_of(item, role);
    *role = *p->why ? *role : ROLE_TEXT;
    str_copy(out, size, *p->why ? p->why : "-");
}

static double value_rows(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct pick *)item)->rows;
}

static double value_size(struct app *a, const void *item)
{
    (void)a;
    return (double)((const struct pick *)item)->bytes;
}

static const struct column columns[] = {
    {.title = "    TABLE", .sorts_usual = true, .cell = cell_name},
    {.title = "ROWS",
     .value = value_rows,
     .width = 5,
     .align = ALIGN_RIGHT,
     .min_cols = 48,
     .cell = cell_rows},
    {.title = "SIZE", .value = value_size, .width = 5, .align = ALIGN_RIGHT, .cell = cell_size},
    {.title = "WILL BE", .width = 7, .min_cols = 64, .cell = cell_now},
    {.title = "REMARKS", .width = 0, .min_cols = 50, .cell = cell_why},
};
const struct column_set columns_of_picks = {"tables to choose", NULL, columns,
                                            COUNT_OF(columns),  48,   "name"};

/* As SQL writes a name, which is how findings name their tables. */
static void put_ident(const char *name, char *out, size_t size)
{
    bool plain = strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789") == strlen(name) &&
                 (*name < '0' || *name > '9');
    size_t n = strlen(out);
    str_printf(out + n, size - n, "%s%s%s", plain ? "" : "\"", name, plain ? "" : "\"");
}

static const struct finding_item *item_of(const struct finding *f, const struct pick *p)
{
    char name[2 * NAME_SIZE + 8] = "";
    put_ident(p->map.source_schema, name, sizeof name);
    size_t n = strlen(name);
    str_copy(name + n, sizeof name - n, ".");
    put_ident(p->map.source_table, name, sizeof name);
    for (size_t i = 0; i < f->n_items; i++)
        if (!strcmp(f->items[i].name, name))
            return &f->items[i];
    return NULL;
}

static void put_findings(struct facts *f, const struct findings *all, const struct pick *p)
{
    static const enum role roles[] = {ROLE_OK, ROLE_TEXT, ROLE_WARN, ROLE_FAIL};
    for (size_t i = 0; i < all->n; i++) {
        const struct finding *x = &all->items[i];
        const struct finding_item *item = item_of(x, p);
        if (!item)
            continue;
        facts_add(f, roles[x->severity], 0, x->code, "%s%s%s", x->title, item->note ? ": " : "",
                  item->note ? item->note : "");
        if (item->statement)
            facts_add(f, ROLE_STRONG, 1, "do", "%s", item->statement);
        else
            facts_add(f, ROLE_TEXT, 1, "why", "%s", x->cause);
    }
}

static void pane_draw(struct app *a, const struct sheet *s, const struct pick *p)
{
    struct facts f = {0};
    char title[2 * NAME_SIZE + 8] = "";
    if (p) {
        str_copy(title, sizeof title, p->name);
        if (a->wizard.is_new)
            put_findings(&f, &s->survey.tables, p);
        if (!f.n && *p->why)
            facts_add(&f, ROLE_WARN, 0, "remark", "%s", p->why);
        if (p->was_in && !p->is_in)
            facts_add(&f, ROLE_TEXT, 0, "removed",
                      "its changes are not followed any more; its rows at the destination stay");
        if (!f.n)
            facts_add(&f, ROLE_OK, 0, "", "%s", "nothing stands in its way");
    }
    pane_facts_draw(a, ROLE_STRONG, title, &f);
    facts_free(&f);
}

static void pick_draw(struct app *a)
{
    const struct wizard *w = &a->wizard;
    const struct sheet *s = &a->lists[w->is_new ? SHEET_SURVEY : SHEET_AVAILABLE];
    const struct rect *r = &a->layout.list;
    char matches[80];
    action_text(a, "nothing matches the filter; {filter} changes it", matches, sizeof matches);
    columns_draw(a, &a->picks, &columns_of_picks, glyph_of);
    if (a->picks.n == 0 && r->h > 0)
        draw_text(&a->paint, r->y, r->x + 3, r->w - 3,
                  s->err.code   ? ROLE_FAIL
                  : s->is_there ? ROLE_DIM
                                : ROLE_BUSY,
                  !s->is_there      ? "asking both servers what there is and what stands in the way"
                  : s->err.code     ? s->err.text
                  : *a->pick_filter ? matches
                                    : "the source has no table");
    pane_draw(a, s, rows_selected(&a->picks));
}

const struct screen screen_pick = {"Tables", LAYOUT_TABLE, pick_draw};
