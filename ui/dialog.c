/* A dialog: a box with what is to be known and buttons. The focus begins on Cancel, so that Enter
 * alone never does anything; the keys that confirm are not the key that asked. */
#include <curses.h>
#include <string.h>

#include "base/mem.h"
#include "ui/app.h"
#include "ui/terminal.h"
#include "ui/text.h"

enum {
    WIDTH = 72,
};

void dialog_open(struct app *a, const char *title, const struct choice *choices, int n)
{
    struct dialog *d = &a->dialog;
    str_copy(d->title, sizeof d->title, title);
    d->choices = choices;
    d->n = n;
    d->focus = n - 1;
    d->top = 0;
    a->mode = MODE_DIALOG;
}

void dialog_box_draw(struct app *a, const struct rect *r)
{
    const struct painter *p = &a->paint;
    const char *rule = theme_rule(p->theme), *side = theme_divider(p->theme);
    bool u = p->theme->unicode;
    for (int y = r->y; y < r->y + r->h; y++) {
        bool edge = y == r->y || y == r->y + r->h - 1;
        draw_blank(p, y, r->x, r->w);
        for (int x = r->x; edge && x < r->x + r->w; x++)
            draw_text(p, y, x, 1, ROLE_STRONG, rule);
        draw_text(p, y, r->x, 1, ROLE_STRONG, !edge ? side : !u ? "+" : y == r->y ? "┌" : "└");
        draw_text(p, y, r->x + r->w - 1, 1, ROLE_STRONG,
                  !edge       ? side
                  : !u        ? "+"
                  : y == r->y ? "┐"
                              : "┘");
    }
}

static void buttons_draw(struct app *a, const struct rect *r, int y)
{
    const struct dialog *d = &a->dialog;
    int x = r->x + 3;
    for (int b = 0; b < d->n; b++) {
        a->paint.selected = b == d->focus;
        if (a->paint.selected) {
            a->cursor_y = y;
            a->cursor_x = x;
        }
        x += draw_text(&a->paint, y, x, r->x + r->w - 1 - x, ROLE_TEXT, d->choices[b].label) + 2;
    }
    a->paint.selected = false;
}

void dialog_draw(struct app *a)
{
    struct dialog *d = &a->dialog;
    int rows, cols, lines = 0;
    char title[sizeof d->title + 2];
    terminal_size(&rows, &cols);
    struct rect r = {.w = cols < WIDTH ? cols : WIDTH};
    int most = rows - 5, n = facts_lines(&a->paint, &d->lines, r.w - 4);
    n = n > most ? most : n;
    r.h = n > 0 ? n + 5 : rows < 3 ? rows : 3;
    r.y = (rows - r.h) / 2;
    r.x = (cols - r.w) / 2;
    dialog_box_draw(a, &r);
    str_printf(title, sizeof title, " %s ", d->title);
    draw_text(&a->paint, r.y, r.x + 2, r.w - 4, ROLE_STRONG, title);
    struct rect body = {r.y + 2, r.x + 2, n, r.w - 4};
    if (n > 0)
        lines = facts_draw_page(&a->paint, &d->lines, &body, &d->top);
    if (lines > n)
        draw_text(&a->paint, r.y + r.h - 1, r.x + r.w - 18, 16, ROLE_KEY, " up down: more ");
    buttons_draw(a, &r, r.y + (n > 0 ? n + 3 : r.h / 2));
}

static void dialog_choose(struct app *a, int b)
{
    const struct choice *c = &a->dialog.choices[b];
    a->mode = MODE_KEYS;
    if (c->run)
        c->run(a);
}

void dialog_key(struct app *a, int key)
{
    struct dialog *d = &a->dialog;
    int step = 0;
    for (int b = 0; b < d->n; b++)
        if (key == d->choices[b].key && key != a->asked_by) {
            dialog_choose(a, b);
            return;
        }
    switch (key) {
    case 033:
    case 3: /* Ctrl-C */
    case 'q':
        dialog_choose(a, d->n - 1);
        return;
    case '\r':
    case '\n':
    case TERMINAL_FUNCTION | KEY_ENTER:
        dialog_choose(a, d->focus);
        return;
    case '\t':
    case TERMINAL_FUNCTION | KEY_RIGHT:
        step = 1;
        break;
    case TERMINAL_FUNCTION | KEY_BTAB:
    case TERMINAL_FUNCTION | KEY_LEFT:
        step = d->n - 1;
        break;
    case TERMINAL_FUNCTION | KEY_DOWN:
    case 'j':
        d->top++;
        break;
    case TERMINAL_FUNCTION | KEY_UP:
    case 'k':
        d->top -= d->top > 0;
        break;
    default: /* any other key does nothing here */
        break;
    }
    d->focus = (d->focus + step) % d->n;
}
