/* How a console looks; see look.h. */
#include "ui/look.h"

#include <string.h>

#include "ui/columns.h"

void look_usual(struct look *l)
{
    *l = (struct look){0};
    keymap_usual(&l->keys);
}

bool look_columns(struct look *l, const char *setting, const char *text, struct err *err)
{
    for (int i = 0; i < COLUMN_LISTS; i++)
        if (column_sets[i]->setting && !strcmp(column_sets[i]->setting, setting))
            return columns_parse(column_sets[i], text, &l->columns[i], err);
    return err_set(err, ERR_INTERNAL, "no list has its columns from \"%s\"", setting);
}
