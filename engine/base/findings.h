/* Findings: what the program recognised by itself as wrong, why, and what heals it. A plain list
 * that belongs to whoever declared it; zero-initialised it is empty. No locks. */
#ifndef BUNNY_FINDINGS_H
#define BUNNY_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

enum severity {
    SEVERITY_OK,
    SEVERITY_INFO,
    SEVERITY_WARNING,
    SEVERITY_ERROR,
};
const char *severity_name(enum severity s); /* "ok" "info" "warning" "error" */

/* Something that the program recognised by itself, and what heals it. */
struct finding {
    char code[40]; /* stable snake_case */
    enum severity severity;
    char title[160];  /* what, one sentence */
    char cause[400];  /* why */
    char remedy[512]; /* what to do: the exact statement or setting */
    char action[24];  /* "retry", "resume", "resync", … or empty: the operation that heals it */
};
struct findings {
    struct finding *items;
    size_t n, cap;
};
void findings_add(struct findings *f, const char *code, enum severity severity, const char *title,
                  const char *cause, const char *remedy, const char *action);
bool findings_have_errors(const struct findings *f);
void findings_free(struct findings *f);

#endif
