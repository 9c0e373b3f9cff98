/* Tables on the screen; see columns.h. */
#include "ui/columns.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "ui/sorting.h"
#include "ui/text.h"

enum {
    WIDE = 110,
    NAME_LEAST = 8,
    REST_LEAST = 11, /* of a column that takes the rest of the line */
};

const struct column_set *const column_sets[COLUMN_LISTS] = {
    &columns_of_mirrors,  &columns_of_tables, &columns_of_copies,
    &columns_of_slots,    &columns_of_peers,  &columns_of_runs,
    &columns_of_own_runs, &columns_of_checks, &columns_of_picks,
};

/* --- Choosing -------------------------------------------------------------------------------- */
void column_name(const struct column *c, char *out, size_t size)
{
    size_t n = 0;
    for (const char *s = c->title; *s && n + 1 < size; s++)
        if (isalnum((unsigned char)*s))
            out[n++] = (char)tolower((unsigned char)*s);
        else if (n && out[n - 1] != '_' && s[1])
            out[n++] = '_';
    out[n] = '\0';
}

static int column_find(const struct column_set *s, const char *name)
{
    char x[40];
    for (size_t i = 0; i < s->n; i++) {
        column_name(&s->columns[i], x, sizeof x);
        if (!strcmp(x, name))
            return (int)i;
    }
    return -1;
}

static bool choice_has(const struct column_choice *c, int column)
{
    return memchr(c->order, column, c->n) != NULL;
}

static bool refuse_column(const struct column_set *s, const char *name, struct err *err)
{
    char known[400] = "", x[40];
    for (size_t i = 1; i < s->n; i++) {
        size_t n = strlen(known);
        column_name(&s->columns[i], x, sizeof x);
        str_printf(known + n, sizeof known - n, "%s%s", n ? ", " : "", x);
    }
    err_set(err, ERR_INVALID, "there is no column \"%.60s\" of %s", name, s->name);
    return err_hint(err, "there are %s", known);
}

bool columns_parse(const struct column_set *s, const char *text, struct column_choice *out,
                   struct err *err)
{
    static const char between[] = ", \t";
    *out = (struct column_choice){.is_chosen = true};
    while (*(text += strspn(text, between))) {
        char name[64];
        size_t n = strcspn(text, between);
        str_copy_n(name, sizeof name, text, n);
        int i = column_find(s, name);
        text += n;
        if (i < 0)
            return refuse_column(s, name, err);
        if (i > 0 && choice_has(out, i))
            return err_set(err, ERR_INVALID, "column \"%s\" stands there twice", name);
        if (i > 0) /* the first is shown in any case */
            out->order[out->n++] = (unsigned char)i;
    }
    return true;
}

void columns_print(const struct column_set *s, const struct column_choice *c, char *out,
                   size_t size)
{
    char x[40];
    *out = '\0';
    for (int i = 0; i < c->n; i++) {
        size_t n = strlen(out);
        column_name(&s->columns[c->order[i]], x, sizeof x);
        str_printf(out + n, size - n, "%s%s", n ? "," : "", x);
    }
}

void columns_usual(const struct column_set *s, int cols, struct column_choice *out)
{
    *out = (struct column_choice){0};
    for (size_t i = 1; i < s->n; i++)
        if (cols >= s->columns[i].min_cols)
            out->order[out->n++] = (unsigned char)i;
}

size_t columns_index(const struct column_set *s)
{
    size_t i = 0;
    while (column_sets[i] != s)
        i++;
    return i;
}

/* --- Drawing --------------------------------------------------------------------------------- */
static int column_width(const struct column *c, int cols)
{
    return cols >= WIDE && c->wide_width ? c->wide_width : c->width;
}

static int least_width(const struct column *c, int cols)
{
    int w = column_width(c, cols);
    return w ? w : REST_LEAST;
}

/* Those of all that fit, from the one at that place on. */
static void columns_fit(const struct column_set *s, int cols, int from,
                        const struct column_choice *all, struct column_choice *out)
{
    int need = GUTTER + NAME_LEAST;
    *out = (struct column_choice){.is_chosen = all->is_chosen};
    for (int i = from; i < all->n; i++) {
        need += 1 + least_width(&s->columns[all->order[i]], cols);
        if (need > cols)
            return;
        out->order[out->n++] = all->order[i];
    }
}

/* The columns that are shown, and whether there are more to the right of them. */
static void columns_pick(struct app *a, const struct column_set *s, int cols,
                         struct column_choice *out)
{
    const struct column_choice *chosen = &a->columns[columns_index(s)];
    struct list_view *v = &a->views[columns_index(s)];
    struct column_choice all = *chosen;
    int first = !chosen->is_chosen; /* the first step shows what the usual ones leave out */
    if (first)
        columns_usual(s, INT_MAX, &all);
    columns_usual(s, cols, out);
    if (v->left == first && out->n == all.n)
        v->left = 0;
    for (; v->left > first; v->left--) { /* no further than to the last one */
        columns_fit(s, cols, v->left - first - 1, &all, out);
        if (v->left - first < all.n && !choice_has(out, all.order[all.n - 1]))
            break;
    }
    if (v->left || chosen->is_chosen)
        columns_fit(s, cols, v->left ? v->left - first : 0, &all, out);
    else
        columns_usual(s, cols, out);
    a->has_more_right = v->left ? all.n && !choice_has(out, all.order[all.n - 1]) : out->n < all.n;
}

static int names_width(struct app *a, const struct rows *r, const struct column_set *s)
{
    int names = 12;
    for (size_t i = 0; i < r->n; i++) {
        char text[512];
        enum role role;
        s->columns[0].cell(a, r->items[i], text, sizeof text, &role);
        int w = text_columns(text, a->theme.unicode);
        names = w > names ? w : names;
    }
    return names > s->name_max ? s->name_max : names;
}

static bool is_rest(const struct column_set *s, int column)
{
    return column > 0 && s->columns[column].width == 0;
}

/* Where the columns stand: names take what they need, one of the others may take the rest. Where
 * the last one does not fit, names have all the room. */
static void columns_place(struct app *a, const struct rows *r, const struct column_set *s)
{
    struct column_choice shown;
    int cols = a->layout.list.w, fixed = GUTTER, rest = -1;
    columns_pick(a, s, cols, &shown);
    for (int i = 0; i < shown.n; i++) {
        fixed += 1 + least_width(&s->columns[shown.order[i]], cols);
        rest = is_rest(s, shown.order[i]) ? shown.order[i] : rest;
    }
    bool scrolled = a->views[columns_index(s)].left > 0;
    bool lacks_last = rest < 0 && !shown.is_chosen && !choice_has(&shown, (int)s->n - 1);
    lacks_last &= !scrolled;
    int room = cols - fixed, names = names_width(a, r, s);
    names = names > room || lacks_last ? room : names;
    a->titles[0] = (struct title){a->layout.list.x + GUTTER, names, 0};
    a->n_titles = 1;
    int x = a->titles[0].x + names + 1;
    for (int i = 0; i < shown.n; i++) {
        int k = shown.order[i], w = least_width(&s->columns[k], cols);
        w += k == rest ? room - names : 0;
        a->titles[a->n_titles++] = (struct title){x, w, k};
        x += w + 1;
    }
    a->drawn = s;
}

static void columns_titles(struct app *a, const struct column_set *s)
{
    const struct rect *r = &a->layout.columns;
    if (r->h == 0)
        return;
    draw_field(&a->paint, r->y, r->x, r->w, ROLE_TITLE, ALIGN_LEFT, "");
    if (a->views[columns_index(s)].left > 0) /* as far as they can be scrolled on */
        draw_text(&a->paint, r->y, r->x, GUTTER, ROLE_KEY, a->has_more_right ? "<>" : "<");
    for (int i = 0; i < a->n_titles; i++) {
        const struct title *t = &a->titles[i];
        const struct column *c = &s->columns[t->column];
        const char *mark = sorting_mark(a, s, t->column);
        char text[40];
        bool roomy = (int)strlen(c->title) + 2 <= t->width;
        str_printf(text, sizeof text, "%s%s%s", c->title, *mark && roomy ? " " : "", mark);
        if (t->width > 0)
            draw_field(&a->paint, r->y, t->x, t->width, *mark ? ROLE_KEY : ROLE_TITLE, c->align,
                       (int)strlen(text) <= t->width ? text : c->title);
    }
}

static void columns_row(struct app *a, const void *item, int y, bool is_marked,
                        const struct column_set *s, columns_glyph_fn *glyph)
{
    const struct rect *r = &a->layout.list;
    enum role role = ROLE_TEXT;
    char mark[2] = {glyph(item, &role), '\0'};
    draw_blank(&a->paint, y, r->x, r->w);
    draw_text(&a->paint, y, r->x, 1, ROLE_STRONG, a->paint.selected ? ">" : " ");
    draw_text(&a->paint, y, r->x + 1, 1, role, mark);
    draw_text(&a->paint, y, r->x + 2, 1, ROLE_KEY, is_marked ? "*" : " ");
    for (int i = 0; i < a->n_titles; i++) {
        const struct title *t = &a->titles[i];
        const struct column *c = &s->columns[t->column];
        char text[512] = "";
        role = ROLE_TEXT;
        if (t->width <= 0)
            continue;
        if (c->draw) {
            c->draw(a, item, y, t->x, t->width);
        } else {
            c->cell(a, item, text, sizeof text, &role);
            draw_field(&a->paint, y, t->x, t->width, role, c->align, text);
        }
    }
}

bool columns_can_scroll(const struct app *a)
{
    return a->drawn && (a->views[columns_index(a->drawn)].left > 0 || a->has_more_right);
}

void columns_scroll(struct app *a, int by)
{
    int *left = &a->views[columns_index(a->drawn)].left;
    if (by > 0 && a->has_more_right)
        ++*left;
    else if (by < 0 && *left > 0)
        --*left;
}

void columns_draw(struct app *a, struct rows *r, const struct column_set *s,
                  columns_glyph_fn *glyph)
{
    const struct rect *list = &a->layout.list;
    if (list->h <= 0)
        return;
    rows_scroll(r, list->h);
    columns_place(a, r, s);
    columns_titles(a, s);
    for (int i = 0; i < list->h && r->top + i < (int)r->n; i++) {
        a->paint.selected = r->top + i == r->index;
        if (a->paint.selected) {
            a->cursor_y = list->y + i;
            a->cursor_x = list->x;
        }
        const void *item = r->items[r->top + i];
        columns_row(a, item, list->y + i, rows_is_marked(r, item), s, glyph);
    }
    a->paint.selected = false;
}
