/* How a console looks and which keys it takes, from the configuration: plain data, read before it
 * starts. */
#ifndef BUNNY_UI_LOOK_H
#define BUNNY_UI_LOOK_H

#include "ui/keymap.h"

enum {
    COLUMNS_MAX = 24, /* of one list */
    COLUMN_LISTS = 9,
};
/* Which columns of a list are shown, beside the first, and in which order. */
struct column_choice {
    bool is_chosen; /* false: the usual ones */
    unsigned char n;
    unsigned char order[COLUMNS_MAX]; /* places in the set */
};
struct look {
    struct keymap keys;
    struct column_choice columns[COLUMN_LISTS]; /* as column_sets in ui/columns.h */
    bool mouse;
};
/* The usual keys and columns, no mouse. */
void look_usual(struct look *l);
/* Chooses the columns of the list that a setting of [console] is for; false when there is no such
 * setting, or the columns are refused. */
bool look_columns(struct look *l, const char *setting, const char *text,
                  struct err *err) MUST_CHECK;

#endif
