/* A form; see form.h. */
#include "ui/form.h"

#include <curses.h>
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "ui/app.h"
#include "ui/terminal.h"
#include "ui/text.h"

void form_open(struct app *a)
{
    struct form *f = &a->form;
    f->focus = 0;
    while (f->focus < f->n && f->fields[f->focus].is_locked)
        f->focus++;
    f->is_busy = false;
    *f->error = '\0';
    for (int i = 0; i < f->n; i++)
        str_copy(f->fields[i].before, sizeof f->fields[i].before, f->fields[i].value);
    app_open(a, SCREEN_FORM);
    a->mode = MODE_FORM;
}

void form_close(struct app *a)
{
    a->mode = MODE_KEYS;
    explicit_bzero(&a->form, sizeof a->form);
    app_back(a);
}

static const struct form_field *find(const struct form *f, const char *key)
{
    for (int i = 0; i < f->n; i++)
        if (!strcmp(f->fields[i].key, key))
            return &f->fields[i];
    return NULL;
}

const char *form_value(const struct form *f, const char *key)
{
    const struct form_field *x = find(f, key);
    return x ? x->value : "";
}

bool form_is_changed(const struct form *f, const char *key)
{
    const struct form_field *x = find(f, key);
    return x && strcmp(x->value, x->before) != 0;
}

static bool is_part(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Where the word stands in the text by itself; NULL: nowhere. */
static const char *names(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; (p = strstr(p, word)); p++)
        if ((p == text || !is_part(p[-1])) && !is_part(p[n]))
            return p;
    return NULL;
}

void form_refuse(struct app *a, const char *text, const char *hint)
{
    struct form *f = &a->form;
    const char *first = NULL;
    f->is_busy = false;
    str_printf(f->error, sizeof f->error, "%s%s%s", text, *hint ? "; " : "", hint);
    for (int i = 0; i < f->n; i++) {
        const char *p = names(text, f->fields[i].key);
        p = p ? p : names(text, f->fields[i].label);
        if (!p || f->fields[i].is_locked || (first && p >= first))
            continue;
        first = p;
        f->focus = i;
    }
}

/* --- Keys ------------------------------------------------------------------------------------- */
static void focus_move(struct form *f, int step)
{
    int to = f->focus;
    do
        to = (to + step + f->n + 1) % (f->n + 1);
    while (to < f->n && f->fields[to].is_locked);
    f->focus = to;
}

static void choose(struct form_field *x, int step)
{
    int n = 0, at = 0;
    while (x->choices && x->choices[n])
        n++;
    for (int i = 0; i < n; i++)
        if (!strcmp(x->choices[i], x->value))
            at = i;
    if (n)
        str_copy(x->value, sizeof x->value, x->choices[(at + step + n) % n]);
}

static void erase_last(char *s)
{
    size_t n = strlen(s);
    while (n > 0 && ((unsigned char)s[n - 1] & 0xc0) == 0x80)
        n--;
    s[n > 0 ? n - 1 : 0] = '\0';
}

static void type(struct form_field *x, int key)
{
    char add[5];
    if (x->kind == FORM_CHOICE) {
        choose(x, key == ' ' ? 1 : 0);
        return;
    }
    size_t n = text_encode((unsigned long)key, add), have = strlen(x->value);
    if (have + n < sizeof x->value)
        str_copy(x->value + have, sizeof x->value - have, add);
}

static void edit(struct form *f, int key)
{
    struct form_field *x = f->focus < f->n ? &f->fields[f->focus] : NULL;
    if (!x)
        return;
    if (key == (TERMINAL_FUNCTION | KEY_BACKSPACE) || key == 127 || key == 8) {
        if (x->kind != FORM_CHOICE)
            erase_last(x->value);
    } else if (key == 21 && x->kind != FORM_CHOICE) { /* Ctrl-U */
        *x->value = '\0';
    } else if (key == (TERMINAL_FUNCTION | KEY_LEFT) && x->kind == FORM_CHOICE) {
        choose(x, -1);
    } else if (key == (TERMINAL_FUNCTION | KEY_RIGHT) && x->kind == FORM_CHOICE) {
        choose(x, 1);
    } else if (key >= ' ' && key < TERMINAL_FUNCTION && key != 127) {
        type(x, key);
    }
}

static void submit(struct app *a)
{
    a->form.is_busy = true;
    a->form.done(a);
}

void form_key(struct app *a, int key)
{
    struct form *f = &a->form;
    if (key == 033 || key == 3) {
        form_close(a);
        app_say(a, SEVERITY_INFO, "not done");
        return;
    }
    if (f->is_busy)
        return; /* the answer comes; esc does not wait for it */
    *f->error = '\0';
    switch (key) {
    case '\r':
    case '\n':
    case TERMINAL_FUNCTION | KEY_ENTER:
        if (f->focus == f->n)
            submit(a);
        else
            focus_move(f, 1);
        return;
    case '\t':
    case TERMINAL_FUNCTION | KEY_DOWN:
        focus_move(f, 1);
        return;
    case TERMINAL_FUNCTION | KEY_BTAB:
    case TERMINAL_FUNCTION | KEY_UP:
        focus_move(f, -1);
        return;
    default:
        edit(f, key);
    }
}

/* --- Drawing ---------------------------------------------------------------------------------- */
/* Its end, when it is longer than the line: that is where one types. */
static const char *tail(const struct app *a, const char *s, int width)
{
    while (*s && text_columns(s, a->theme.unicode) > width) {
        size_t used;
        (void)text_decode(s, &used);
        s += used;
    }
    return s;
}

static void field_draw(struct app *a, int i, int y, int left, int width)
{
    const struct form_field *x = &a->form.fields[i];
    bool on = a->form.focus == i;
    char shown[sizeof x->value + 8], stars[sizeof x->value];
    size_t n = strlen(x->value);
    memset(stars, '*', n);
    stars[n] = '\0';
    bool choice = x->kind == FORM_CHOICE;
    str_printf(shown, sizeof shown, "%s%s%s", choice ? "< " : "",
               x->kind == FORM_SECRET ? stars : x->value, choice ? " >" : "");
    draw_text(&a->paint, y, 1, 1, ROLE_STRONG, on ? ">" : " ");
    bool is_new = a->form.shows_changes && strcmp(x->value, x->before) != 0;
    draw_text(&a->paint, y, 2, 1, ROLE_WARN, is_new ? "*" : " ");
    draw_text(&a->paint, y, 3, left - 4, on ? ROLE_KEY : ROLE_TEXT, x->label);
    draw_text(&a->paint, y, left, 1, ROLE_DIM, x->is_locked ? " " : theme_divider(&a->theme));
    const char *end = tail(a, shown, width);
    int used = draw_text(&a->paint, y, left + 2, width,
                         x->is_locked ? ROLE_DIM
                         : on         ? ROLE_STRONG
                                      : ROLE_TEXT,
                         end);
    if (is_new)
        draw_textf(&a->paint, y, left + 4 + used, width - used - 2, ROLE_DIM, "was %s", x->before);
    if (!on)
        return;
    a->cursor_y = y;
    a->cursor_x = left + 2 + (choice ? 2 : used);
}

static void below_draw(struct app *a, const struct rect *r)
{
    struct form *f = &a->form;
    struct facts x = {0};
    if (*f->error)
        facts_add(&x, ROLE_FAIL, 0, "", "%s", f->error);
    else if (f->is_busy)
        facts_add(&x, ROLE_BUSY, 0, "", "%s", "under way");
    else if (f->focus < f->n)
        facts_add(&x, ROLE_DIM, 0, "", "%s", f->fields[f->focus].help);
    else if (f->help)
        facts_add(&x, ROLE_DIM, 0, "", "%s", f->help);
    if (r->h > 0)
        facts_draw(&a->paint, &x, r);
    facts_free(&x);
}

static void form_draw(struct app *a)
{
    const struct rect *r = &a->layout.list;
    struct form *f = &a->form;
    int left = 16, room = r->h - 2, lines = f->n + 1;
    int below = room - lines >= 3 ? 3 : 2, shown = room - below;
    int top = f->focus >= shown ? f->focus - shown + 1 : 0;
    const char *more = top + shown < lines ? "more below" : top > 0 ? "more above" : NULL;
    draw_rule(&a->paint, r->y, r->x, r->w, ROLE_STRONG, f->title, more);
    for (int i = top; i < lines && i - top < shown; i++) {
        int y = r->y + 1 + i - top;
        if (i < f->n) {
            field_draw(a, i, y, left, r->w - left - 4);
            continue;
        }
        a->paint.selected = f->focus == i;
        draw_textf(&a->paint, y, 3, r->w - 4, ROLE_TEXT, "[ %s ]", f->button);
        a->paint.selected = false;
        if (f->focus == i) {
            a->cursor_y = y;
            a->cursor_x = 3;
        }
    }
    int used = lines - top < shown ? lines - top : shown;
    struct rect body = {r->y + 2 + used, r->x + 2, r->y + r->h - (r->y + 2 + used), r->w - 3};
    below_draw(a, &body);
}

const struct screen screen_form = {"Form", LAYOUT_PAGE, form_draw};
