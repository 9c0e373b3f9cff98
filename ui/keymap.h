/* Which keys do what: the table of actions has the usual ones, the configuration ([keys]) others.
 * Plain data; made before the console starts, then only read. Knows no terminal. */
#ifndef BUNNY_UI_KEYMAP_H
#define BUNNY_UI_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum {
    ACTION_KEYS = 4, /* of one action */
    KEYMAP_ACTIONS = 120,
};
struct keymap {
    /* By place in the table of actions; as terminal_key gives them, 0 ends. */
    int keys[KEYMAP_ACTIONS][ACTION_KEYS];
};

void keymap_usual(struct keymap *k);
/* The keys of an action by its id, with blanks between them ("p f5 ^P"; "none": no key), in the
 * place of the usual ones. ERR_INVALID: no such action, no such key, or one that may not do that.
 */
bool keymap_bind(struct keymap *k, const char *id, const char *keys, struct err *err) MUST_CHECK;
/* Once all are bound: whether a key does two things on one screen, or nothing leads out of it.
 * ids: those of the two actions at fault (the second may be NULL). */
bool keymap_check(const struct keymap *k, const char *ids[2], struct err *err) MUST_CHECK;
/* key: '\n' and the keypad's Enter are Enter. */
bool keymap_has(const struct keymap *k, size_t action, int key);
/* The first key of an action, or all of them with blanks between; "-" when there is none. */
void keymap_shown(const struct keymap *k, size_t action, bool all, char *out, size_t size);

#endif
