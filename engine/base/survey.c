/* What a check of a database found; see survey.h. */
#include "base/survey.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void verdict_add(struct verdict *v, const char *code, enum severity severity)
{
    if (severity > v->worst)
        v->worst = severity;
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->codes[i], code) == 0)
            return;
    MEM_PUSH(v->codes, v->n, v->cap, mem_strdup(code));
}

void verdict_free(struct verdict *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->codes[i]);
    free(v->codes);
    *v = (struct verdict){0};
}

const char *verdict_name(const struct verdict *v)
{
    switch (v->worst) {
    case SEVERITY_OK:
        return "mirrored";
    case SEVERITY_INFO:
    case SEVERITY_WARNING:
        return "remarks";
    case SEVERITY_ERROR:
        return "impossible";
    }
    return "impossible";
}

void survey_free(struct survey *s)
{
    for (size_t i = 0; i < s->n; i++)
        verdict_free(&s->items[i].verdict);
    free(s->items);
    report_free(&s->facts);
    findings_free(&s->source);
    findings_free(&s->destination);
    findings_free(&s->tables);
    findings_free(&s->objects);
    *s = (struct survey){0};
}
