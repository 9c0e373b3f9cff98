/* THE table of actions: keys, names, guards, help and conditions. The usual keys, the hint line,
 * the help screen, the command line and the manual come from it, and a test compares them. */
#ifndef BUNNY_UI_ACTIONS_H
#define BUNNY_UI_ACTIONS_H

#include "ui/app.h"
#include "ui/keymap.h"

#define ON(screen) (1u << (screen))

struct action {
    /* What [keys] and the command line call it. Two have the same one where they do the same to
     * different things on different screens; their keys are the same, too. */
    const char *id;
    int keys[ACTION_KEYS]; /* the usual ones, as keymap.h has them; 0 ends */
    const char *name;      /* one or two words: the hint line */
    const char *help;      /* one sentence: what it does; for action_text */
    unsigned screens;      /* ON(…) */
    unsigned hints;        /* ON(…): stands in the hint line there */
    const char *group;     /* of the help screen */
    /* Why it cannot be done now, into reason; NULL: it always can. */
    bool (*enabled)(struct app *a, char *reason, size_t size);
    void (*run)(struct app *a);
};
extern const struct action actions[];
extern const size_t n_actions;

/* The action of a key on the present screen; NULL: none. In a log those of logs come first,
 * anywhere else the others. */
const struct action *action_find(struct app *a, int key);
bool action_is_of_logs(const struct action *k);
/* Whether both may have the same key: they are on other screens, or one of them is for logs. */
bool action_is_apart(const struct action *k, const struct action *l);
/* Whether it may change something, of mirrors, peers or what is chosen for them. */
bool action_changes(const struct action *k);
/* The action of that id on the present screen, or the only one whose id begins so; NULL: none. */
const struct action *action_named(const struct app *a, const char *id);
/* The first of that id, which there is. */
const struct action *action_of(const char *id);
/* Its key as it is shown, or all of them; "-" when it has none. */
void action_key(const struct app *a, const struct action *k, bool all, char *out, size_t size);
/* text with the first key of an action in the place of its id in braces: "{retry} retry now". out
 * is returned. */
const char *action_text_of(const struct keymap *keys, const char *text, char *out, size_t size);
/* The same with the keys of this console. */
const char *action_text(const struct app *a, const char *text, char *out, size_t size);
/* What helps against a finding, and the key that does it: the engine knows no keys. out is
 * returned.
 */
const char *action_remedy(const struct app *a, const struct finding *f, char *out, size_t size);

#endif
