/* What a key does: in a dialog, on the message line, in an input, or by the table of actions. */
#include <curses.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/actions.h"
#include "ui/chooser.h"
#include "ui/commandline.h"
#include "ui/mouse.h"
#include "ui/terminal.h"
#include "ui/text.h"

enum {
    KEY_ESCAPE = 033,
    KEY_CTRL_C = 3,
    KEY_CTRL_L = 12,
    ERROR_STAYS_MS = 3000, /* so that a key on its way does not take it away unread */
};

static void confirm_key(struct app *a, int key)
{
    a->mode = MODE_KEYS;
    if (key != 'y' || key == a->asked_by) {
        app_say(a, SEVERITY_INFO, "not done");
    } else if (a->confirm.run) {
        a->confirm.run(a);
    } else if (a->confirm.order.kind == NO_COMMAND) {
        a->done = true;
        a->end = CONSOLE_DETACHED;
    } else {
        confirm_submit(a);
    }
}

static void prompt_leave(struct app *a)
{
    str_copy(a->prompt.target, a->prompt.size, a->prompt.before);
    a->mode = MODE_KEYS;
}

static void prompt_enter(struct app *a)
{
    a->mode = MODE_KEYS;
    if (a->prompt.done)
        a->prompt.done(a);
}

static void prompt_erase(char *s)
{
    size_t n = strlen(s);
    while (n > 0 && ((unsigned char)s[n - 1] & 0xc0) == 0x80)
        n--;
    s[n > 0 ? n - 1 : 0] = '\0';
}

static void prompt_key(struct app *a, int key)
{
    char *s = a->prompt.target, add[5];
    if (key == KEY_ESCAPE || key == KEY_CTRL_C) {
        prompt_leave(a);
    } else if (key == '\r' || key == '\n' || key == (TERMINAL_FUNCTION | KEY_ENTER)) {
        prompt_enter(a);
    } else if (key == (TERMINAL_FUNCTION | KEY_BACKSPACE) || key == 127 || key == 8) {
        prompt_erase(s);
    } else if (key == '\t' && command_complete(a)) {
        return;
    } else if (key == 21) { /* Ctrl-U */
        *s = '\0';
    } else if (key >= ' ' && key < TERMINAL_FUNCTION) {
        size_t n = text_encode((unsigned long)key, add), have = strlen(s);
        if (have + n < a->prompt.size)
            str_copy(s + have, a->prompt.size - have, add);
    }
}

static void keys_key(struct app *a, int key)
{
    char reason[160] = "";
    const struct action *k = action_find(a, key);
    bool keep = a->message_shown && a->n_messages &&
                a->messages[(a->n_messages - 1) % MESSAGES].level == SEVERITY_ERROR &&
                clock_mono_ms() - a->message_ms < ERROR_STAYS_MS;
    if (!keep)
        a->message_shown = false;
    if (!k) {
        if (key > ' ' && key < 127)
            app_say(a, SEVERITY_INFO, "%c: no such key here, %s", key,
                    action_text(a, "{help} shows all keys", reason, sizeof reason));
        return;
    }
    a->asked_by = key;
    if (k->enabled && !k->enabled(a, reason, sizeof reason))
        app_say(a, SEVERITY_INFO, "%s: %s", k->name, reason);
    else
        k->run(a);
}

void app_key(struct app *a, int key)
{
    if (key == (TERMINAL_FUNCTION | KEY_RESIZE))
        return; /* the frame to come takes the new size */
    if (key == (TERMINAL_FUNCTION | KEY_MOUSE)) {
        mouse_take(a);
        return;
    }
    if (key == KEY_CTRL_L) {
        a->repaint = true;
        return;
    }
    switch (a->mode) {
    case MODE_KEYS:
        keys_key(a, key);
        break;
    case MODE_PROMPT:
        prompt_key(a, key);
        break;
    case MODE_CONFIRM:
        confirm_key(a, key);
        break;
    case MODE_DIALOG:
        dialog_key(a, key);
        break;
    case MODE_FORM:
        form_key(a, key);
        break;
    case MODE_COLUMNS:
        chooser_key(a, key);
        break;
    }
}
