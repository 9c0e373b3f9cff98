/* The order of a list; see sorting.h. */
#include "ui/sorting.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "ui/listing.h"

static struct list_view *view_of(struct app *a, const struct column_set *s)
{
    return &a->views[columns_index(s)];
}

static const struct list_view *seen_of(const struct app *a, const struct column_set *s)
{
    return &a->views[columns_index(s)];
}

static bool can_sort(const struct column_set *s, int column)
{
    const struct column *c = &s->columns[column];
    return !c->sorts_usual && (c->cell || c->value);
}

/* --- Sorting ---------------------------------------------------------------------------------- */
struct keyed {
    const void *item;
    size_t was; /* its place in the usual order */
    double value;
    char text[64];
};

static int by_value(const void *x, const void *y)
{
    const struct keyed *k = x, *l = y;
    if (k->value != l->value)
        return k->value > l->value ? -1 : 1;
    return k->was < l->was ? -1 : 1;
}

static int by_text(const void *x, const void *y)
{
    const struct keyed *k = x, *l = y;
    int c = strcasecmp(k->text, l->text);
    if (c)
        return c;
    return k->was < l->was ? -1 : 1;
}

static void sort_by_column(struct app *a, struct rows *r, const struct column *c)
{
    struct keyed *all = mem_calloc(r->n, sizeof *all);
    for (size_t i = 0; i < r->n; i++) {
        enum role ignored;
        all[i].item = r->items[i];
        all[i].was = i;
        if (c->value)
            all[i].value = c->value(a, r->items[i]);
        else
            c->cell(a, r->items[i], all[i].text, sizeof all[i].text, &ignored);
    }
    qsort(all, r->n, sizeof *all, c->value ? by_value : by_text);
    for (size_t i = 0; i < r->n; i++)
        r->items[i] = all[i].item;
    free(all);
}

void sorting_apply(struct app *a, struct rows *r, const struct column_set *s)
{
    const struct list_view *v = seen_of(a, s);
    if (r->n < 2)
        return;
    if (v->sort)
        sort_by_column(a, r, &s->columns[v->sort - 1]);
    for (size_t i = 0; v->invert && i < r->n / 2; i++) {
        const void *swap = r->items[i];
        r->items[i] = r->items[r->n - 1 - i];
        r->items[r->n - 1 - i] = swap;
    }
}

/* --- Choosing --------------------------------------------------------------------------------- */
/* What the order by a column is called: its title in small letters. */
static void order_name(const struct column_set *s, int sort, char *out, size_t size)
{
    str_copy(out, size, sort ? s->columns[sort - 1].title : s->usual);
    for (char *p = out; *p; p++)
        *p = (char)tolower((unsigned char)*p);
}

const char *sorting_name(const struct app *a, const struct column_set *s, char *out, size_t size)
{
    order_name(s, seen_of(a, s)->sort, out, size);
    return out;
}

bool sorting_is_usual(const struct app *a, const struct column_set *s)
{
    return !seen_of(a, s)->sort && !seen_of(a, s)->invert;
}

void sorting_choose(struct app *a, const struct column_set *s, const char *name)
{
    char x[40];
    if (!strcmp(name, "name")) /* as earlier versions kept it */
        view_of(a, s)->sort = 1;
    for (int k = 0; k <= (int)s->n; k++) {
        order_name(s, k, x, sizeof x);
        if (!strcmp(x, name) && (k == 0 || can_sort(s, k - 1)))
            view_of(a, s)->sort = k;
    }
}

static void say(struct app *a, const struct column_set *s)
{
    char name[40];
    app_say(a, SEVERITY_INFO, "sorted by %s%s", sorting_name(a, s, name, sizeof name),
            seen_of(a, s)->invert ? ", inverted" : "");
}

void sorting_by_title(struct app *a, const struct column_set *s, int column)
{
    struct list_view *v = view_of(a, s);
    int sort = s->columns[column].sorts_usual ? 0 : column + 1;
    if (sort && !can_sort(s, column)) {
        app_say(a, SEVERITY_INFO, "nothing is sorted by that column");
        return;
    }
    v->invert = v->sort == sort ? !v->invert : false;
    v->sort = sort;
    say(a, s);
}

const char *sorting_mark(const struct app *a, const struct column_set *s, int column)
{
    const struct list_view *v = seen_of(a, s);
    bool falls = v->sort && !s->columns[v->sort - 1].value == v->invert;
    if (v->sort != column + 1)
        return "";
    return falls ? "v" : "^";
}

/* The column that stands i-th on the screen, or would if it were drawn already; -1: none. */
static int column_at(const struct app *a, const struct column_set *s, int i)
{
    if (a->drawn == s)
        return i < a->n_titles ? a->titles[i].column : -1;
    return i < (int)s->n ? i : -1;
}

/* The usual order, then that of each column on the screen, from left to right. */
void do_sort(struct app *a)
{
    const struct column_set *s = listing_of(a).columns;
    struct list_view *v = view_of(a, s);
    int i = 0, column;
    while (v->sort && (column = column_at(a, s, i)) >= 0 && column + 1 != v->sort)
        i++;
    i += v->sort != 0;
    while ((column = column_at(a, s, i)) >= 0 && !can_sort(s, column))
        i++;
    v->sort = column + 1;
    say(a, s);
}

void do_invert(struct app *a)
{
    const struct column_set *s = listing_of(a).columns;
    view_of(a, s)->invert = !view_of(a, s)->invert;
    say(a, s);
}
