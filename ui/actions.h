/* THE table of actions: keys, names, guards, help and conditions. Keys, the hint line and the help
 * screen come from it, and a test compares them. */
#ifndef BUNNY_UI_ACTIONS_H
#define BUNNY_UI_ACTIONS_H

#include "ui/app.h"

#define ON(screen) (1u << (screen))

enum {
    ACTION_KEYS = 4,
};
struct action {
    int keys[ACTION_KEYS]; /* as terminal_key gives them; 0 ends */
    const char *shown;     /* the keys as help writes them */
    const char *name;      /* one or two words: the hint line */
    const char *help;      /* one sentence: what it does */
    unsigned screens;      /* ON(…) */
    unsigned hints;        /* ON(…): stands in the hint line there */
    const char *group;     /* of the help screen */
    /* Why it cannot be done now, into reason; NULL: it always can. */
    bool (*enabled)(struct app *a, char *reason, size_t size);
    void (*run)(struct app *a);
};
extern const struct action actions[];
extern const size_t n_actions;

/* The action of a key on the present screen; NULL: none. */
const struct action *action_find(const struct app *a, int key);

#endif
