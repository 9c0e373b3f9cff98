/* The command line; see commandline.h. */
#include "ui/commandline.h"

#include <string.h>

#include "base/mem.h"
#include "ui/actions.h"

/* The mirror becomes the one that keys act on: selected on the main screen. */
static bool select_mirror(struct app *a, const char *name)
{
    if (!a->picture || !model_find(a->picture, name)) {
        app_say(a, SEVERITY_ERROR, "there is no mirror %s", name);
        return false;
    }
    app_switch(a, SCREEN_LIST);
    *a->filter = '\0';
    a->problems_only = false;
    str_copy(a->mirrors.selected, sizeof a->mirrors.selected, name);
    app_rebuild(a);
    return true;
}

static void run(struct app *a)
{
    char id[INPUT_SIZE], reason[160] = "";
    const char *s = a->command + strspn(a->command, " ");
    size_t n = strcspn(s, " ");
    const char *mirror = s + n + strspn(s + n, " ");
    str_copy_n(id, sizeof id, s, n);
    if (!*id || (*mirror && !select_mirror(a, mirror)))
        return;
    const struct action *k = action_named(a, id);
    a->asked_by = 0;
    if (!k)
        app_say(a, SEVERITY_ERROR, "%s: there is no such action here; tab completes a name", id);
    else if (k->enabled && !k->enabled(a, reason, sizeof reason))
        app_say(a, SEVERITY_INFO, "%s: %s", k->name, reason);
    else
        k->run(a);
}

void do_command(struct app *a)
{
    struct prompt *p = &a->prompt;
    str_copy(p->label, sizeof p->label, "action");
    p->target = a->command;
    p->size = sizeof a->command;
    p->done = run;
    *p->before = *a->command = '\0';
    a->mode = MODE_PROMPT;
}

/* Takes into common what name has in common with it; all of name when it is the first. */
static void narrow(char *common, size_t size, const char *name, bool first)
{
    size_t n = 0;
    if (first)
        str_copy(common, size, name);
    while (common[n] && common[n] == name[n])
        n++;
    common[n] = '\0';
}

/* The beginning that all names share which begin with s of n bytes, and the names. */
static int candidates(const struct app *a, const char *s, size_t n, bool mirrors, char *common,
                      size_t size, char *all, size_t all_size)
{
    int found = 0;
    size_t count = mirrors ? a->picture ? a->picture->n : 0 : n_actions;
    for (size_t i = 0; i < count; i++) {
        const char *name = mirrors ? a->picture->mirrors[i].name : actions[i].id;
        bool fits = mirrors || actions[i].screens & ON(app_screen(a));
        size_t len = strlen(all);
        if (!fits || strncmp(name, s, n) != 0)
            continue;
        narrow(common, size, name, found++ == 0);
        str_printf(all + len, all_size - len, "%s%s", len ? " " : "", name);
    }
    return found;
}

bool command_complete(struct app *a)
{
    char common[INPUT_SIZE] = "", all[300] = "";
    if (a->prompt.target != a->command)
        return false;
    char *word = strrchr(a->command, ' ');
    bool mirrors = word != NULL;
    word = word ? word + 1 : a->command;
    int n = candidates(a, word, strlen(word), mirrors, common, sizeof common, all, sizeof all);
    size_t room = sizeof a->command - (size_t)(word - a->command);
    if (n > 0)
        str_printf(word, room, "%s%s", common, n == 1 && !mirrors ? " " : "");
    if (n > 1)
        str_printf(a->prompt.label, sizeof a->prompt.label, "%s  action", all);
    else
        str_copy(a->prompt.label, sizeof a->prompt.label, "action");
    return true;
}
