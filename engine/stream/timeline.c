/* Timelines of a source; see timeline.h. */
#include "stream/timeline.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* One line: a timeline, where it was left, and why; *text moves behind it. False at the end. Lines
 * that say nothing (comments, blank ones) are passed over. */
static bool next_line(const char **text, int *id, lsn_t *end)
{
    while (**text) {
        const char *line = *text;
        char lsn[LSN_TEXT_SIZE];
        char *rest;
        *text += strcspn(line, "\n");
        *text += **text == '\n';
        long number = strtol(line, &rest, 10);
        if (rest == line || number < 1 || number > INT_MAX)
            continue;
        rest += strspn(rest, " \t");
        if (!str_copy_n(lsn, sizeof lsn, rest, strcspn(rest, " \t\r\n")) || !lsn_parse(lsn, end))
            continue;
        *id = (int)number;
        return true;
    }
    return false;
}

lsn_t timeline_start(const char *history)
{
    lsn_t start = 0;
    int id;
    while (next_line(&history, &id, &start))
        continue;
    return start;
}

bool timeline_end(const char *history, const struct timeline *t, lsn_t *end)
{
    struct timeline each = {0};
    while (next_line(&history, &each.id, end)) {
        if (timeline_is_same(&each, t))
            return true;
        each.start = *end;
    }
    return false;
}

bool timeline_is_same(const struct timeline *a, const struct timeline *b)
{
    return a->id == b->id && (a->start == b->start || !a->start || !b->start);
}
