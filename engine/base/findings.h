/* Findings: what the program recognised by itself as wrong, why, and what heals it. A plain list
 * that belongs to whoever declared it, with all that hangs on it; zero-initialised it is empty. No
 * locks. */
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

/* One of the things that a finding is about: a table, a setting, a session. */
struct finding_item {
    char *name;      /* as SQL writes it: "public.t"; empty: the title says it */
    char *note;      /* what holds for this one; NULL: nothing more */
    char *statement; /* what heals it, whole, for psql; NULL: none does */
};

/* Something that the program recognised by itself, and what heals it. */
struct finding {
    char code[40]; /* stable snake_case */
    enum severity severity;
    char title[160];  /* what, one sentence */
    char cause[400];  /* why */
    char remedy[512]; /* what to do: the exact statement or setting */
    char action[24];  /* "retry", "resume", "resync", … or empty: the operation that heals it */
    /* All of them, where the texts have only as much as fits. None in a mirror's status. */
    struct finding_item *items;
    size_t n_items, cap_items;
};
struct findings {
    struct finding *items;
    size_t n, cap;
};
void findings_add(struct findings *f, const char *code, enum severity severity, const char *title,
                  const char *cause, const char *remedy, const char *action);
/* The same in steps, for what is about several things: findings_begin, findings_item for each (the
 * texts are copied), findings_end. That makes the title of title and the only name, or how many
 * there are; the cause of cause, or (when it is empty) the names; the remedy of the statements, or
 * (when there are none) of remedy. A finding without items is taken back. */
struct finding *findings_begin(struct findings *f, const char *code, enum severity severity);
void findings_item(struct finding *x, const char *name, const char *note, const char *statement);
void findings_end(struct findings *f, const char *title, const char *cause, const char *remedy);
void findings_move(struct findings *to,
                   struct findings *from); /* appends all; from is empty then */
void findings_sort(struct findings *f);    /* the most severe first, else as they were */
bool findings_have_errors(const struct findings *f);
void findings_free(struct findings *f);

#endif
