/* The mouse; see mouse.h. */
#include "ui/mouse.h"

#include <string.h>

#include "base/mem.h"
#include "ui/actions.h"
#include "ui/listing.h"
#include "ui/moves.h"
#include "ui/sorting.h"
#include "ui/terminal.h"

enum {
    WHEEL_LINES = 3,
};

void do_mouse(struct app *a)
{
    a->mouse = !a->mouse;
    terminal_mouse(a->mouse);
    app_say(a, SEVERITY_INFO, "mouse %s", a->mouse ? "on: shift marks text" : "off");
}

static bool is_in(const struct rect *r, int y, int x)
{
    return y >= r->y && y < r->y + r->h && x >= r->x && x < r->x + r->w;
}

static void click_title(struct app *a, int x)
{
    for (int i = 0; a->drawn && i < a->n_titles; i++)
        if (x >= a->titles[i].x && x <= a->titles[i].x + a->titles[i].width)
            sorting_by_title(a, a->drawn, a->titles[i].column);
}

static void click(struct app *a, int y, int x)
{
    struct rows *r = listing_of(a).rows;
    if (is_in(&a->layout.columns, y, x))
        click_title(a, x);
    else if (is_in(&a->layout.list, y, x)) {
        a->focus_log = false;
        if (r && r->top + y - a->layout.list.y < (int)r->n)
            rows_move(r, r->top + y - a->layout.list.y - r->index);
    } else if (is_in(&a->layout.log, y, x) && action_named(a, "pane"))
        a->focus_log = a->zoom == ZOOM_NONE;
}

void mouse_take(struct app *a)
{
    int y = 0, x = 0;
    enum mouse_kind kind = terminal_take_mouse(&y, &x);
    if (a->mode != MODE_KEYS || a->layout.tiny)
        return;
    if (kind == MOUSE_CLICK)
        click(a, y, x);
    for (int i = 0; kind == MOUSE_UP && i < WHEEL_LINES; i++)
        move_up(a);
    for (int i = 0; kind == MOUSE_DOWN && i < WHEEL_LINES; i++)
        move_down(a);
}
