/* Putting text on the screen; see draw.h. */
#include "ui/draw.h"

#include <curses.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "ui/format.h"
#include "ui/text.h"

enum {
    LINE_MAX_COLS = 1024, /* wider terminals are drawn up to here */
};

static void draw_attr(const struct painter *p, enum role role)
{
    attrset((int)(theme_attr(p->theme, role) | (p->selected ? A_REVERSE : 0)));
}

int draw_text(const struct painter *p, int y, int x, int width, enum role role, const char *s)
{
    wchar_t w[LINE_MAX_COLS + 2];
    if (width > COLS - x)
        width = COLS - x;
    if (width <= 0 || y < 0 || y >= LINES)
        return 0;
    int used = text_fit(s, p->theme->unicode, width, w, LINE_MAX_COLS);
    draw_attr(p, role);
    mvaddwstr(y, x, w);
    return used;
}

int draw_textf(const struct painter *p, int y, int x, int width, enum role role, const char *fmt,
               ...)
{
    char s[LINE_MAX_COLS];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(s, sizeof s, fmt, ap);
    va_end(ap);
    return draw_text(p, y, x, width, role, s);
}

void draw_blank(const struct painter *p, int y, int x, int width)
{
    if (width > COLS - x)
        width = COLS - x;
    if (width <= 0 || y < 0 || y >= LINES)
        return;
    draw_attr(p, ROLE_TEXT);
    mvhline(y, x, ' ' | (p->selected ? A_REVERSE : 0), width);
}

void draw_field(const struct painter *p, int y, int x, int width, enum role role, enum align align,
                const char *s)
{
    int cols = text_columns(s, p->theme->unicode);
    draw_blank(p, y, x, width);
    draw_text(p, y, align == ALIGN_RIGHT && cols < width ? x + width - cols : x, width, role, s);
}

void draw_rule(const struct painter *p, int y, int x, int width, enum role role, const char *title,
               const char *right)
{
    const char *rule = theme_rule(p->theme);
    for (int i = 0; i < width; i++)
        draw_text(p, y, x + i, 1, ROLE_DIM, rule);
    int right_cols = right ? text_columns(right, p->theme->unicode) + 2 : 0;
    if (title && text_columns(title, p->theme->unicode) + right_cols + 8 > width)
        right_cols = 0; /* the title matters more */
    if (right_cols)
        draw_textf(p, y, x + width - right_cols - 2, right_cols, ROLE_DIM, " %s ", right);
    if (title && *title && width > 8) {
        int room = width - 4 - (right_cols ? right_cols + 3 : 2);
        draw_text(p, y, x + 2, 1, role, " ");
        int used = draw_text(p, y, x + 3, room, role, title);
        draw_text(p, y, x + 3 + used, 1, role, " ");
    }
}

void draw_divider(const struct painter *p, const struct rect *right_pane)
{
    draw_text(p, right_pane->y, right_pane->x - 1, 1, ROLE_DIM, p->theme->unicode ? "┬" : "+");
    for (int i = 1; i < right_pane->h; i++)
        draw_text(p, right_pane->y + i, right_pane->x - 1, 1, ROLE_DIM, theme_divider(p->theme));
}

enum {
    GRAPH_MOST = 256,
};

void draw_scaled_graph(const struct painter *p, int y, int x, int width, enum role role,
                       const float *samples, int n)
{
    int steps[GRAPH_MOST];
    if (width > GRAPH_MOST)
        width = GRAPH_MOST;
    format_scaled_graph(samples, n, steps, width);
    for (int i = 0; i < width; i++)
        draw_text(p, y, x + i, 1, role, theme_step(p->theme, steps[i]));
}

void draw_graph(const struct painter *p, int y, int x, int width, const float *samples, int n)
{
    int steps[GRAPH_MOST];
    if (width > GRAPH_MOST)
        width = GRAPH_MOST;
    format_graph(samples, n, steps, width);
    for (int i = 0; i < width; i++) {
        enum role role = steps[i] >= 6 ? ROLE_FAIL : steps[i] >= 4 ? ROLE_WARN : ROLE_OK;
        draw_text(p, y, x + i, 1, role, theme_step(p->theme, steps[i]));
    }
}
