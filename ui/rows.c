/* A list whose selection is an identity; see rows.h. */
#include "ui/rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void rows_free(struct rows *r)
{
    free(r->items);
    free(r->marks);
    memset(r, 0, sizeof *r);
}

static_assert(offsetof(struct mirror_status, name) == 0, "a row begins with its name");
static_assert(offsetof(struct table_status, source) == 0, "a row begins with its name");

void rows_clear(struct rows *r)
{
    r->n = 0;
}

void rows_add(struct rows *r, const void *item)
{
    MEM_PUSH(r->items, r->n, r->cap, item);
}

void rows_settle(struct rows *r)
{
    int was = r->index;
    r->index = -1;
    for (size_t i = 0; i < r->n; i++)
        if (!strcmp(r->items[i], r->selected))
            r->index = (int)i;
    if (r->index >= 0 || r->n == 0)
        return;
    r->index = was < 0 ? 0 : was < (int)r->n ? was : (int)r->n - 1;
    str_copy(r->selected, sizeof r->selected, r->items[r->index]);
}

void rows_move(struct rows *r, int delta)
{
    if (r->n == 0)
        return;
    long to = (long)r->index + delta;
    r->index = to < 0 ? 0 : to >= (long)r->n ? (int)r->n - 1 : (int)to;
    str_copy(r->selected, sizeof r->selected, r->items[r->index]);
}

void rows_scroll(struct rows *r, int height)
{
    r->height = height;
    if (r->top > (int)r->n - height)
        r->top = (int)r->n - height;
    if (r->index >= r->top + height)
        r->top = r->index - height + 1;
    if (r->index >= 0 && r->index < r->top)
        r->top = r->index;
    if (r->top < 0)
        r->top = 0;
}

const void *rows_selected(const struct rows *r)
{
    return r->index >= 0 && (size_t)r->index < r->n ? r->items[r->index] : NULL;
}

/* Where the name stands among the marks, or would. */
static size_t place_of(const struct rows *r, const char *name)
{
    size_t low = 0, high = r->n_marks;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (strcmp(r->marks[mid], name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool rows_is_marked(const struct rows *r, const char *name)
{
    size_t i = place_of(r, name);
    return i < r->n_marks && !strcmp(r->marks[i], name);
}

void rows_mark(struct rows *r, const char *name, bool is_marked)
{
    size_t i = place_of(r, name);
    if (rows_is_marked(r, name) == is_marked)
        return;
    if (is_marked) {
        mem_grow((void **)&r->marks, &r->cap_marks, r->n_marks, sizeof *r->marks);
        memmove(r->marks + i + 1, r->marks + i, (r->n_marks++ - i) * sizeof *r->marks);
        str_copy(r->marks[i], sizeof *r->marks, name);
    } else {
        memmove(r->marks + i, r->marks + i + 1, (--r->n_marks - i) * sizeof *r->marks);
    }
}

void rows_unmark_all(struct rows *r)
{
    r->n_marks = 0;
}
