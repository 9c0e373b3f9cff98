/* Lists of findings; see findings.h. */
#include "base/findings.h"

#include <stdlib.h>

#include "base/mem.h"

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

bool findings_have_errors(const struct findings *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->items[i].severity == SEVERITY_ERROR)
            return true;
    return false;
}

void findings_free(struct findings *f)
{
    free(f->items);
    *f = (struct findings){0};
}
