/* Choosing columns; see chooser.h. What is chosen is shown at once, and kept with esc or enter. */
#include "ui/chooser.h"

#include <curses.h>
#include <string.h>

#include "base/mem.h"
#include "ui/columns.h"
#include "ui/listing.h"
#include "ui/terminal.h"

enum {
    WIDTH = 46,
    AROUND = 4, /* frame, a blank line and the hint */
};

static const char hint[] = "space shows, < > move, * the usual, esc ends";

bool has_columns(struct app *a, char *reason, size_t size)
{
    bool any = listing_of(a).columns != NULL;
    if (!any)
        str_copy(reason, size, "there is no list here");
    return any;
}

static struct column_choice *chosen(struct app *a)
{
    int i = 0;
    while (column_sets[i] != a->chooser.set)
        i++;
    return &a->columns[i];
}

/* All columns, those that are shown first. */
static void fill(struct app *a)
{
    struct chooser *c = &a->chooser;
    struct column_choice shown = *chosen(a);
    if (!shown.is_chosen)
        columns_usual(c->set, a->layout.list.w, &shown);
    c->order = shown;
    c->n_shown = shown.n;
    for (size_t i = 1; i < c->set->n; i++)
        if (!memchr(shown.order, (int)i, shown.n))
            c->order.order[c->order.n++] = (unsigned char)i;
}

void do_columns(struct app *a)
{
    a->chooser = (struct chooser){.set = listing_of(a).columns};
    fill(a);
    a->mode = MODE_COLUMNS;
}

static void apply(struct app *a)
{
    struct column_choice *c = chosen(a);
    *c = a->chooser.order;
    c->is_chosen = true;
    c->n = (unsigned char)a->chooser.n_shown;
    a->columns_kept |= 1u << (c - a->columns);
}

/* Moves the focused one to place to; those between give way. */
static void move_to(struct chooser *c, int to)
{
    unsigned char *o = c->order.order, moved = o[c->focus];
    for (; c->focus < to; c->focus++)
        o[c->focus] = o[c->focus + 1];
    for (; c->focus > to; c->focus--)
        o[c->focus] = o[c->focus - 1];
    o[to] = moved;
}

/* Shows the focused column after those that are, or hides it; the focus stays where it was. */
static void toggle(struct app *a)
{
    struct chooser *c = &a->chooser;
    int was = c->focus;
    bool hides = c->focus < c->n_shown;
    move_to(c, hides ? c->n_shown - 1 : c->n_shown);
    c->n_shown += hides ? -1 : 1;
    c->focus = hides ? was : c->n_shown - 1;
    apply(a);
}

static void shift(struct app *a, int by)
{
    struct chooser *c = &a->chooser;
    int to = c->focus + by;
    if (c->focus >= c->n_shown || to < 0 || to >= c->n_shown)
        return;
    move_to(c, to);
    apply(a);
}

static void usual(struct app *a)
{
    struct column_choice *c = chosen(a);
    *c = a->options->look ? a->options->look->columns[c - a->columns] : (struct column_choice){0};
    a->columns_kept &= ~(1u << (c - a->columns));
    fill(a);
}

void chooser_key(struct app *a, int key)
{
    struct chooser *c = &a->chooser;
    int last = c->order.n - 1;
    switch (key) {
    case TERMINAL_FUNCTION | KEY_UP:
    case 'k':
        c->focus -= c->focus > 0;
        break;
    case TERMINAL_FUNCTION | KEY_DOWN:
    case 'j':
        c->focus += c->focus < last;
        break;
    case TERMINAL_FUNCTION | KEY_HOME:
    case 'g':
        c->focus = 0;
        break;
    case TERMINAL_FUNCTION | KEY_END:
    case 'G':
        c->focus = last;
        break;
    case ' ':
        toggle(a);
        break;
    case '<':
    case TERMINAL_FUNCTION | KEY_LEFT:
        shift(a, -1);
        break;
    case '>':
    case TERMINAL_FUNCTION | KEY_RIGHT:
        shift(a, 1);
        break;
    case '*':
        usual(a);
        break;
    case 033:
    case 3: /* Ctrl-C */
    case 'q':
    case 'c':
    case '\r':
    case '\n':
    case TERMINAL_FUNCTION | KEY_ENTER:
        a->mode = MODE_KEYS;
        break;
    default: /* any other key does nothing here */
        break;
    }
}

static void line_draw(struct app *a, int i, int y, int x, int width)
{
    const struct chooser *c = &a->chooser;
    const struct column *column = &c->set->columns[c->order.order[i]];
    bool room = false;
    for (int t = 0; t < a->n_titles; t++)
        room |= a->titles[t].column == c->order.order[i];
    a->paint.selected = i == c->focus;
    if (a->paint.selected) {
        a->cursor_y = y;
        a->cursor_x = x;
    }
    draw_blank(&a->paint, y, x, width);
    draw_textf(&a->paint, y, x, width, i < c->n_shown ? ROLE_TEXT : ROLE_DIM, " %s %s%s",
               i < c->n_shown ? "[x]" : "[ ]", column->title,
               i < c->n_shown && !room ? "  (no room for it here)" : "");
    a->paint.selected = false;
}

void chooser_draw(struct app *a)
{
    struct chooser *c = &a->chooser;
    int rows, cols;
    char title[80];
    terminal_size(&rows, &cols);
    int most = rows - AROUND, n = c->order.n < most ? c->order.n : most;
    n = n < 1 ? 1 : n;
    struct rect r = {.w = cols < WIDTH ? cols : WIDTH, .h = n + AROUND};
    r.h = r.h > rows ? rows : r.h;
    r.y = (rows - r.h) / 2;
    r.x = (cols - r.w) / 2;
    if (c->focus < c->top)
        c->top = c->focus;
    if (c->focus >= c->top + n)
        c->top = c->focus - n + 1;
    dialog_box_draw(a, &r);
    str_printf(title, sizeof title, " columns of %s ", c->set->name);
    draw_text(&a->paint, r.y, r.x + 2, r.w - 4, ROLE_STRONG, title);
    for (int i = 0; i < n && c->top + i < c->order.n; i++)
        line_draw(a, c->top + i, r.y + 1 + i, r.x + 1, r.w - 2);
    draw_text(&a->paint, r.y + r.h - 2, r.x + 1, r.w - 2, ROLE_DIM, hint);
}
