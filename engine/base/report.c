/* A report: sections of rows of names and values; see report.h. */
#include "base/report.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"

struct report_section *report_add_section(struct report *f, const char *name, bool is_list)
{
    struct report_section s = {.is_list = is_list};
    str_copy(s.name, sizeof s.name, name);
    MEM_PUSH(f->items, f->n, f->cap, s);
    return &f->items[f->n - 1];
}

struct report_row *report_add_row(struct report_section *s)
{
    MEM_PUSH(s->rows, s->n, s->cap, (struct report_row){0});
    return &s->rows[s->n - 1];
}

void report_add(struct report_row *r, const char *name, enum report_kind kind, const char *text)
{
    struct report_value f = {.kind = text ? kind : REPORT_NULL};
    str_copy(f.name, sizeof f.name, name);
    if (f.kind != REPORT_NULL)
        f.text = mem_strdup(text);
    MEM_PUSH(r->items, r->n, r->cap, f);
}

void report_add_text(struct report_row *r, const char *name, const char *text)
{
    report_add(r, name, REPORT_TEXT, text);
}

void report_add_number(struct report_row *r, const char *name, int64_t value)
{
    char text[24];
    str_printf(text, sizeof text, "%" PRId64, value);
    report_add(r, name, REPORT_NUMBER, text);
}

void report_set_error(struct report_section *s, const char *text)
{
    free(s->error);
    s->error = mem_strdup(text);
}

static void free_section(struct report_section *s)
{
    for (size_t i = 0; i < s->n; i++) {
        for (size_t j = 0; j < s->rows[i].n; j++)
            free(s->rows[i].items[j].text);
        free(s->rows[i].items);
    }
    free(s->rows);
    free(s->error);
}

void report_free(struct report *f)
{
    for (size_t i = 0; i < f->n; i++)
        free_section(&f->items[i]);
    free(f->items);
    *f = (struct report){0};
}
