/* Lists of findings; see findings.h. */
#include "base/findings.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

const char *severity_name(enum severity s)
{
    switch (s) {
    case SEVERITY_OK:
        return "ok";
    case SEVERITY_INFO:
        return "info";
    case SEVERITY_WARNING:
        return "warning";
    case SEVERITY_ERROR:
        return "error";
    }
    return "error";
}

void findings_add(struct findings *f, const char *code, enum severity severity, const char *title,
                  const char *cause, const char *remedy, const char *action)
{
    struct finding new = {.severity = severity};
    str_copy(new.code, sizeof new.code, code);
    str_copy(new.title, sizeof new.title, title);
    str_copy(new.cause, sizeof new.cause, cause);
    str_copy(new.remedy, sizeof new.remedy, remedy);
    str_copy(new.action, sizeof new.action, action);
    MEM_PUSH(f->items, f->n, f->cap, new);
}

struct finding *findings_begin(struct findings *f, const char *code, enum severity severity)
{
    findings_add(f, code, severity, "", "", "", "");
    return &f->items[f->n - 1];
}

void findings_item(struct finding *x, const char *name, const char *note, const char *statement)
{
    struct finding_item item = {.name = mem_strdup(name),
                                .note = mem_strdup(note && *note ? note : NULL),
                                .statement =
                                    mem_strdup(statement && *statement ? statement : NULL)};
    MEM_PUSH(x->items, x->n_items, x->cap_items, item);
}

static void items_free(struct finding *x)
{
    for (size_t i = 0; i < x->n_items; i++) {
        free(x->items[i].name);
        free(x->items[i].note);
        free(x->items[i].statement);
    }
    free(x->items);
}

static const char *text_of(const struct finding_item *item, bool is_statement)
{
    return is_statement ? item->statement : item->name;
}

/* As many whole names (or different statements) as fit, and how many more there are. False: not
 * even one. */
static bool join(const struct finding *x, bool is_statement, char *out, size_t size)
{
    struct buf b = {0};
    size_t left = 0;
    const char *last = "";
    for (size_t i = 0; i < x->n_items; i++) {
        const char *text = text_of(&x->items[i], is_statement);
        if (!text || (is_statement && strcmp(text, last) == 0))
            continue;
        last = text;
        if (left || b.len + strlen(text) + 24 > size)
            left++;
        else
            buf_printf(&b, "%s%s", !b.len ? "" : is_statement ? " " : ", ", text);
    }
    bool any = b.len > 0;
    if (any && left)
        buf_printf(&b, " and %zu more", left);
    if (any)
        str_copy(out, size, buf_text(&b));
    buf_free(&b);
    return any;
}

/* What was cut to fit ends with a whole character. */
static void end_whole(char *text)
{
    size_t n = strlen(text);
    for (int i = 0; i < 3 && n > 0 && !utf8_is_valid(text); i++)
        text[--n] = '\0';
}

void findings_end(struct findings *f, const char *title, const char *cause, const char *remedy)
{
    struct finding *x = &f->items[f->n - 1];
    if (x->n_items == 0) {
        f->n--;
        return;
    }
    if (x->n_items == 1)
        str_printf(x->title, sizeof x->title, "%.90s: %.66s", title, x->items[0].name);
    else
        str_printf(x->title, sizeof x->title, "%.130s: %zu of them", title, x->n_items);
    str_copy(x->cause, sizeof x->cause, cause);
    end_whole(x->title);
    if (!*cause)
        (void)join(x, false, x->cause, sizeof x->cause);
    if (!join(x, true, x->remedy, sizeof x->remedy))
        str_copy(x->remedy, sizeof x->remedy, remedy);
}

void findings_move(struct findings *to, struct findings *from)
{
    for (size_t i = 0; i < from->n; i++)
        MEM_PUSH(to->items, to->n, to->cap, from->items[i]);
    free(from->items);
    *from = (struct findings){0};
}

void findings_sort(struct findings *f)
{
    for (size_t i = 1; i < f->n; i++) {
        struct finding x = f->items[i];
        size_t at = i;
        for (; at > 0 && f->items[at - 1].severity < x.severity; at--)
            f->items[at] = f->items[at - 1];
        f->items[at] = x;
    }
}

bool findings_have_errors(const struct findings *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->items[i].severity == SEVERITY_ERROR)
            return true;
    return false;
}

void findings_free(struct findings *f)
{
    for (size_t i = 0; i < f->n; i++)
        items_free(&f->items[i]);
    free(f->items);
    *f = (struct findings){0};
}
