/* Tables on the screen; see columns.h. */
#include "ui/columns.h"

#include "base/mem.h"
#include "ui/text.h"

enum {
    COLUMNS_MAX = 24,
    WIDE = 110,
    NAME_LEAST = 8,
    REST_LEAST = 11, /* of the last column */
};

/* Widths of the shown columns; 0 for the others. Only the first and the last are elastic. */
static void columns_widths(struct app *a, const struct rows *r, const struct column *c, size_t n,
                           int name_max, int *width)
{
    int cols = a->layout.list.w, fixed = GUTTER, names = NAME_LEAST;
    for (size_t i = 1; i < n; i++) {
        width[i] = cols >= WIDE && c[i].wide_width ? c[i].wide_width : c[i].width;
        if (cols < c[i].min_cols)
            width[i] = -1;
        fixed += width[i] > 0 ? width[i] + 1 : 0;
    }
    bool rest = c[n - 1].width == 0 && width[n - 1] == 0;
    int room = cols - fixed - (rest ? REST_LEAST + 1 : 0);
    for (size_t i = 0; i < r->n; i++) {
        char text[512];
        enum role role;
        c[0].cell(a, r->items[i], text, sizeof text, &role);
        int w = text_columns(text, a->theme.unicode);
        names = w > names ? w : names;
    }
    names = names < 12 ? 12 : names;
    names = names > name_max ? name_max : names;
    width[0] = names > room ? room : names;
    if (rest)
        width[n - 1] = cols - fixed - width[0] - 1;
    else if (!rest && width[n - 1] <= 0)
        width[0] = room;
}

static void columns_titles(struct app *a, const struct column *c, size_t n, const int *width)
{
    const struct rect *r = &a->layout.columns;
    if (r->h == 0)
        return;
    int x = r->x + GUTTER;
    draw_field(&a->paint, r->y, r->x, r->w, ROLE_TITLE, ALIGN_LEFT, "");
    for (size_t i = 0; i < n; i++) {
        if (width[i] <= 0)
            continue;
        draw_field(&a->paint, r->y, x, width[i], ROLE_TITLE, c[i].align, c[i].title);
        x += width[i] + 1;
    }
}

static void columns_row(struct app *a, const void *item, int y, const struct column *c, size_t n,
                        const int *width, columns_glyph_fn *glyph)
{
    const struct rect *r = &a->layout.list;
    enum role role = ROLE_TEXT;
    char mark[2] = {glyph(item, &role), '\0'};
    int x = r->x + GUTTER;
    draw_blank(&a->paint, y, r->x, r->w);
    draw_text(&a->paint, y, r->x, 1, ROLE_STRONG, a->paint.selected ? ">" : " ");
    draw_text(&a->paint, y, r->x + 1, 1, role, mark);
    for (size_t i = 0; i < n; i++) {
        char text[512] = "";
        if (width[i] <= 0)
            continue;
        role = ROLE_TEXT;
        if (c[i].draw) {
            c[i].draw(a, item, y, x, width[i]);
        } else {
            c[i].cell(a, item, text, sizeof text, &role);
            draw_field(&a->paint, y, x, width[i], role, c[i].align, text);
        }
        x += width[i] + 1;
    }
}

void columns_draw(struct app *a, struct rows *r, const struct column *columns, size_t n,
                  columns_glyph_fn *glyph, int name_max)
{
    const struct rect *list = &a->layout.list;
    int width[COLUMNS_MAX];
    if (list->h <= 0 || n > COLUMNS_MAX)
        return;
    rows_scroll(r, list->h);
    columns_widths(a, r, columns, n, name_max, width);
    columns_titles(a, columns, n, width);
    for (int i = 0; i < list->h && r->top + i < (int)r->n; i++) {
        a->paint.selected = r->top + i == r->index;
        if (a->paint.selected) {
            a->cursor_y = list->y + i;
            a->cursor_x = list->x;
        }
        columns_row(a, r->items[r->top + i], list->y + i, columns, n, width, glyph);
    }
    a->paint.selected = false;
}
