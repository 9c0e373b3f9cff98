/* Labelled lines; see facts.h. */
#include "ui/facts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ui/text.h"

void facts_free(struct facts *f)
{
    free(f->items);
    memset(f, 0, sizeof *f);
}

void facts_clear(struct facts *f)
{
    f->n = 0;
    f->label_width = 0;
}

void facts_add(struct facts *f, enum role role, int rank, const char *label, const char *fmt, ...)
{
    mem_grow((void **)&f->items, &f->cap, f->n, sizeof *f->items);
    struct fact *x = &f->items[f->n];
    x->role = role;
    x->rank = rank;
    str_copy(x->label, sizeof x->label, label);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(x->text, sizeof x->text, fmt, ap);
    va_end(ap);
    if (!*x->text && *label)
        return;
    f->n++;
    int w = text_columns(label, true);
    if (w > f->label_width)
        f->label_width = w;
}

static int fact_lines(const struct painter *p, const char *s, int width)
{
    int n = 0;
    do {
        s += text_break(s, p->theme->unicode, width);
        n++;
    } while (*s);
    return n;
}

static int text_width(const struct facts *f, const struct rect *r)
{
    int w = r->w - 1 - (f->label_width ? f->label_width + 2 : 0);
    return w < 4 ? 4 : w;
}

/* Lines first … of one fact, at most max, the last of them cut when there is more. */
static void fact_draw(const struct painter *p, const struct facts *f, const struct fact *x,
                      const struct rect *r, int y, int first, int max)
{
    int width = text_width(f, r), left = f->label_width ? f->label_width + 2 : 0;
    const char *s = x->text;
    if (first == 0)
        draw_text(p, y, r->x + 1, f->label_width, *x->label == ' ' ? ROLE_TEXT : ROLE_KEY,
                  x->label);
    for (int i = 0; i < first + max && (*s || i == 0); i++) {
        char part[sizeof x->text];
        size_t n = text_break(s, p->theme->unicode, width);
        bool last = i == first + max - 1;
        str_copy_n(part, sizeof part, s, last ? strcspn(s, "\n") : n);
        part[strcspn(part, "\n")] = '\0';
        if (i >= first)
            draw_text(p, y + i - first, r->x + 1 + left, width, x->role, part);
        s += n;
    }
}

enum {
    FACTS_SHOWN = 64, /* in a pane that fits all; a page has no limit */
    RANK_EXTRA = 4,   /* facts that go as a whole before anything is cut */
};

/* What loses a line: extras go first, then long texts are cut, then what matters less goes. */
static int facts_victim(const struct facts *f, const int *lines, int n)
{
    int longest = 0, least = -1;
    for (int i = 0; i < n; i++) {
        if (lines[i] > lines[longest])
            longest = i;
        if (lines[i] > 0 && (least < 0 || f->items[i].rank >= f->items[least].rank))
            least = i;
    }
    return f->items[least].rank < RANK_EXTRA && lines[longest] > 1 ? longest : least;
}

void facts_draw(const struct painter *p, const struct facts *f, const struct rect *r)
{
    int lines[FACTS_SHOWN], total = 0;
    int n = f->n < FACTS_SHOWN ? (int)f->n : FACTS_SHOWN;
    for (int i = 0; i < n; i++)
        total += lines[i] = fact_lines(p, f->items[i].text, text_width(f, r));
    while (total > r->h) {
        int v = facts_victim(f, lines, n);
        bool whole = f->items[v].rank >= RANK_EXTRA || lines[v] == 1;
        total -= whole ? lines[v] : 1;
        lines[v] = whole ? 0 : lines[v] - 1;
    }
    for (int i = 0, y = r->y; i < n; y += lines[i], i++)
        if (lines[i] > 0)
            fact_draw(p, f, &f->items[i], r, y, 0, lines[i]);
}

int facts_lines(const struct painter *p, const struct facts *f, int columns)
{
    struct rect r = {.w = columns};
    int n = 0;
    for (size_t i = 0; i < f->n; i++)
        n += fact_lines(p, f->items[i].text, text_width(f, &r));
    return n;
}

int facts_draw_page(const struct painter *p, const struct facts *f, const struct rect *r, int *top)
{
    int width = text_width(f, r), total = 0, line = 0;
    for (size_t i = 0; i < f->n; i++)
        total += fact_lines(p, f->items[i].text, width);
    if (*top > total - r->h)
        *top = total - r->h;
    if (*top < 0)
        *top = 0;
    for (size_t i = 0; i < f->n && line < *top + r->h; i++) {
        int n = fact_lines(p, f->items[i].text, width);
        int skip = line < *top ? *top - line : 0;
        int room = *top + r->h - line - skip;
        if (skip < n)
            fact_draw(p, f, &f->items[i], r, r->y + line + skip - *top, skip,
                      n - skip < room ? n - skip : room);
        line += n;
    }
    return total;
}
