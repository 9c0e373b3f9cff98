/* The quit dialog: detach, stop cleanly, or cancel. The focus begins on Cancel, so that Enter alone
 * never ends anything; the keys that confirm are not the key that asked. */
#include <curses.h>
#include <string.h>

#include "base/mem.h"
#include "ui/app.h"
#include "ui/terminal.h"
#include "ui/text.h"

enum button {
    BUTTON_DETACH,
    BUTTON_STOP,
    BUTTON_CANCEL,
    BUTTON_COUNT
};
static const struct {
    int key;
    const char *label;
} buttons[BUTTON_COUNT] = {
    {'d', "[ d Detach ]"}, {'s', "[ s Stop cleanly ]"}, {'c', "[ c Cancel ]"}};

static int count_active(const struct app *a)
{
    int n = 0;
    for (size_t i = 0; a->picture && i < a->picture->n; i++)
        n += app_is_mirror_active(&a->picture->mirrors[i]);
    return n;
}

static void quit(struct app *a, enum console_end end)
{
    a->done = true;
    a->end = end;
}

void dialog_open(struct app *a)
{
    if (count_active(a) == 0) {
        quit(a, CONSOLE_QUIT); /* nothing runs that would stop */
        return;
    }
    a->mode = MODE_DIALOG;
    a->dialog_focus = BUTTON_CANCEL;
}

static void box_draw(struct app *a, const struct rect *r)
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

static void line_draw(struct app *a, const struct rect *r, int line, const char *key,
                      const char *text)
{
    int x = r->x + 3;
    if (line >= r->h - 1)
        return;
    x += draw_text(&a->paint, r->y + line, x, 14, ROLE_STRONG, key);
    draw_text(&a->paint, r->y + line, x, r->x + r->w - 2 - x, ROLE_TEXT, text);
}

static void buttons_draw(struct app *a, const struct rect *r, int y)
{
    int x = r->x + 3;
    for (int b = 0; b < BUTTON_COUNT; b++) {
        a->paint.selected = b == a->dialog_focus;
        if (a->paint.selected) {
            a->cursor_y = y;
            a->cursor_x = x;
        }
        x += draw_text(&a->paint, y, x, r->x + r->w - 1 - x, ROLE_TEXT, buttons[b].label) + 2;
    }
    a->paint.selected = false;
}

void dialog_draw(struct app *a)
{
    int rows, cols, n = count_active(a);
    char title[96];
    terminal_size(&rows, &cols);
    struct rect r = {.h = rows < 9 ? rows : 9, .w = cols < 66 ? cols : 66};
    r.y = (rows - r.h) / 2;
    r.x = (cols - r.w) / 2;
    box_draw(a, &r);
    str_printf(title, sizeof title, " Quit bunnydb? %d mirror%s at work ", n, n == 1 ? "" : "s");
    draw_text(&a->paint, r.y, r.x + 2, r.w - 4, ROLE_STRONG, title);
    bool roomy = r.h >= 9;
    if (roomy) {
        line_draw(a, &r, 2, "Detach        ", "the screen goes, all mirrors go on");
        line_draw(a, &r, 3, "              ",
                  a->options->attach_hint ? a->options->attach_hint : "stop it later with SIGTERM");
        line_draw(a, &r, 4, "Stop cleanly  ", "nothing is lost; the sources keep WAL");
        line_draw(a, &r, 5, "              ", "until bunnydb runs again");
    }
    buttons_draw(a, &r, r.y + (roomy ? 7 : r.h / 2));
}

static void dialog_choose(struct app *a, enum button b)
{
    a->mode = MODE_KEYS;
    switch (b) {
    case BUTTON_DETACH:
        quit(a, CONSOLE_DETACHED);
        break;
    case BUTTON_STOP:
        quit(a, CONSOLE_QUIT);
        break;
    case BUTTON_CANCEL:
    case BUTTON_COUNT:
        break;
    }
}

void dialog_key(struct app *a, int key)
{
    int step = 0;
    for (int b = 0; b < BUTTON_COUNT; b++)
        if (key == buttons[b].key) {
            dialog_choose(a, (enum button)b);
            return;
        }
    switch (key) {
    case 033:
    case 3: /* Ctrl-C */
    case 'q':
        dialog_choose(a, BUTTON_CANCEL);
        return;
    case '\r':
    case '\n':
    case TERMINAL_FUNCTION | KEY_ENTER:
        dialog_choose(a, (enum button)a->dialog_focus);
        return;
    case '\t':
    case TERMINAL_FUNCTION | KEY_RIGHT:
        step = 1;
        break;
    case TERMINAL_FUNCTION | KEY_BTAB:
    case TERMINAL_FUNCTION | KEY_LEFT:
        step = BUTTON_COUNT - 1;
        break;
    default: /* any other key does nothing here */
        break;
    }
    a->dialog_focus = (a->dialog_focus + step) % BUTTON_COUNT;
}
