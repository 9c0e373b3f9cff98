/* Which keys do what; see keymap.h. */
#include "ui/keymap.h"

#include <curses.h>
#include <string.h>

#include "base/mem.h"
#include "ui/actions.h"
#include "ui/terminal.h"
#include "ui/text.h"

enum {
    KEY_NAME = 16,
};

/* Keys with a name; F1 to F12, ^A to ^Z and characters by themselves come beside them. Delete and
 * Backspace are none: nothing is ever bound to them. */
static const struct {
    const char *name;
    int key;
} names[] = {
    {"enter", '\r'},
    {"esc", 033},
    {"tab", '\t'},
    {"space", ' '},
    {"semicolon", ';'}, /* after a blank it begins a comment in the file */
    {"up", TERMINAL_FUNCTION | KEY_UP},
    {"down", TERMINAL_FUNCTION | KEY_DOWN},
    {"left", TERMINAL_FUNCTION | KEY_LEFT},
    {"right", TERMINAL_FUNCTION | KEY_RIGHT},
    {"pgup", TERMINAL_FUNCTION | KEY_PPAGE},
    {"pgdn", TERMINAL_FUNCTION | KEY_NPAGE},
    {"home", TERMINAL_FUNCTION | KEY_HOME},
    {"end", TERMINAL_FUNCTION | KEY_END},
    {"backtab", TERMINAL_FUNCTION | KEY_BTAB},
};

static bool is_function_key(int key, int *number)
{
    *number = (key & ~TERMINAL_FUNCTION) - KEY_F0;
    return key & TERMINAL_FUNCTION && *number >= 1 && *number <= 12;
}

static void name_of_key(int key, char out[KEY_NAME])
{
    int n;
    char text[5] = "";
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (names[i].key == key) {
            str_copy(out, KEY_NAME, names[i].name);
            return;
        }
    if (is_function_key(key, &n)) {
        str_printf(out, KEY_NAME, "f%d", n);
    } else if (key < ' ') {
        str_printf(out, KEY_NAME, "^%c", key + '@');
    } else {
        text[text_encode((unsigned long)key, text)] = '\0';
        str_copy(out, KEY_NAME, text);
    }
}

/* The key that is one character of n bytes; 0: it is none. */
static int character(const char *s, size_t n)
{
    size_t used = 0;
    long c = text_decode(s, &used);
    return used == n && c > ' ' && c != 127 && !(c >= 0x80 && c < 0xa0) ? (int)c : 0;
}

/* A key by its name of n bytes; 0: there is none. */
static int key_named(const char *s, size_t n)
{
    char name[KEY_NAME];
    int key = character(s, n);
    if (key || !str_copy_n(name, sizeof name, s, n))
        return key;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (!strcmp(names[i].name, name))
            return names[i].key;
    if (n == 2 && *s == '^' && s[1] >= 'A' && s[1] <= 'Z')
        return s[1] & 0x1f;
    for (int f = 1; f <= 12; f++) {
        char x[KEY_NAME];
        name_of_key(TERMINAL_FUNCTION | KEY_F(f), x);
        if (!strcmp(x, name))
            return TERMINAL_FUNCTION | KEY_F(f);
    }
    return 0;
}

void keymap_usual(struct keymap *k)
{
    memset(k, 0, sizeof *k);
    for (size_t i = 0; i < n_actions && i < KEYMAP_ACTIONS; i++)
        memcpy(k->keys[i], actions[i].keys, sizeof k->keys[i]);
}

/* What no key of the file may change: y confirms, and a slip of Ctrl must not do harm. */
static bool check_key(const struct action *x, int key, const char *name, struct err *err)
{
    if (key == 'y' && strcmp(x->id, "copy") != 0)
        return err_set(err, ERR_INVALID, "%s: y confirms what was asked, and is bound to nothing",
                       x->id);
    if (key < ' ' && key != '\r' && key != '\t' && key != 033 && action_changes(x))
        return err_set(err, ERR_INVALID, "%s: %s: no Ctrl key is bound to what changes something",
                       x->id, name);
    return true;
}

static bool read_keys(const struct action *x, const char *s, int keys[ACTION_KEYS], struct err *err)
{
    size_t n = 0;
    memset(keys, 0, ACTION_KEYS * sizeof *keys);
    if (!strcmp(s, "none"))
        return true;
    while (*(s += strspn(s, " \t"))) {
        char name[64];
        size_t len = strcspn(s, " \t");
        int key = key_named(s, len);
        str_copy_n(name, sizeof name, s, len);
        if (!key)
            return err_set(err, ERR_INVALID, "%s: there is no key \"%s\"", x->id, name);
        if (n == ACTION_KEYS)
            return err_set(err, ERR_INVALID, "%s: has more than %d keys", x->id, ACTION_KEYS);
        if (!check_key(x, key, name, err))
            return false;
        keys[n++] = key;
        s += len;
    }
    return n > 0 ||
           err_set(err, ERR_INVALID, "%s: has no key; none takes the usual one away", x->id);
}

bool keymap_bind(struct keymap *k, const char *id, const char *keys, struct err *err)
{
    bool found = false;
    for (size_t i = 0; i < n_actions; i++) {
        if (strcmp(actions[i].id, id) != 0)
            continue;
        found = true;
        if (!read_keys(&actions[i], keys, k->keys[i], err))
            return false;
    }
    return found || err_set(err, ERR_INVALID, "there is no action \"%s\"", id);
}

/* The first key that both have; 0: none. */
static int shared(const struct keymap *k, size_t i, size_t j)
{
    for (int x = 0; x < ACTION_KEYS && k->keys[i][x]; x++)
        for (int y = 0; y < ACTION_KEYS && k->keys[j][y]; y++)
            if (k->keys[i][x] == k->keys[j][y])
                return k->keys[i][x];
    return 0;
}

bool keymap_check(const struct keymap *k, const char *ids[2], struct err *err)
{
    static const char *const needed[] = {"back", "quit", "help"};
    char name[KEY_NAME];
    for (size_t i = 0; i < n_actions; i++) {
        ids[0] = actions[i].id;
        ids[1] = NULL;
        for (size_t n = 0; n < COUNT_OF(needed); n++)
            if (!strcmp(ids[0], needed[n]) && !k->keys[i][0])
                return err_set(err, ERR_INVALID, "%s needs a key", ids[0]);
        for (size_t j = i + 1; j < n_actions; j++) {
            int key = action_is_apart(&actions[i], &actions[j]) ? 0 : shared(k, i, j);
            if (!key)
                continue;
            name_of_key(key, name);
            ids[1] = actions[j].id;
            return err_set(err, ERR_INVALID, "key %s is bound to %s and to %s", name, ids[0],
                           ids[1]);
        }
    }
    return true;
}

bool keymap_has(const struct keymap *k, size_t action, int key)
{
    if (key == '\n' || key == (TERMINAL_FUNCTION | KEY_ENTER))
        key = '\r';
    for (int i = 0; i < ACTION_KEYS && k->keys[action][i]; i++)
        if (k->keys[action][i] == key)
            return true;
    return false;
}

void keymap_shown(const struct keymap *k, size_t action, bool all, char *out, size_t size)
{
    size_t n = 0;
    char name[KEY_NAME];
    str_copy(out, size, "-");
    for (int i = 0; i < ACTION_KEYS && k->keys[action][i] && (all || i == 0); i++) {
        name_of_key(k->keys[action][i], name);
        str_printf(out + n, size - n, "%s%s", n ? " " : "", name);
        n = strlen(out);
    }
}
