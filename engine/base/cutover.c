/* The report before a cutover as data; see cutover.h. */
#include "base/cutover.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

const char *cutover_state_name(enum cutover_state s)
{
    switch (s) {
    case CUTOVER_OK:
        return "ok";
    case CUTOVER_REMARK:
        return "remark";
    case CUTOVER_NOT_YET:
        return "not_yet";
    case CUTOVER_CANNOT:
        return "cannot";
    }
    return "cannot";
}

struct cutover_check *cutover_add(struct cutover *c, const char *name, enum cutover_state state,
                                  const char *fmt, ...)
{
    char text[1400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct cutover_check k = {.state = state, .text = mem_strdup(text)};
    str_copy(k.name, sizeof k.name, name);
    MEM_PUSH(c->checks, c->n, c->cap, k);
    return &c->checks[c->n - 1];
}

void cutover_item(struct cutover_check *k, const char *name, const char *note,
                  const char *statement)
{
    struct finding_item item = {.name = mem_strdup(name),
                                .note = mem_strdup(note && *note ? note : NULL),
                                .statement =
                                    mem_strdup(statement && *statement ? statement : NULL)};
    MEM_PUSH(k->items, k->n_items, k->cap_items, item);
}

bool cutover_is_ready(const struct cutover *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->checks[i].state > CUTOVER_REMARK)
            return false;
    return c->n > 0;
}

void cutover_free(struct cutover *c)
{
    for (size_t i = 0; i < c->n; i++) {
        struct cutover_check *k = &c->checks[i];
        for (size_t x = 0; x < k->n_items; x++) {
            free(k->items[x].name);
            free(k->items[x].note);
            free(k->items[x].statement);
        }
        free(k->items);
        free(k->text);
    }
    free(c->checks);
    free(c->undo);
    *c = (struct cutover){0};
}
