/* Errors of the last hour; see recent.h. */
#include "control/recent.h"

#include <string.h>

enum {
    PART_MS = 3600 * 1000 / ERROR_HISTORY,
};

void recent_note(struct recent *r, int64_t count, int64_t now_ms, int history[ERROR_HISTORY])
{
    if (!r->turn_ms)
        r->turn_ms = now_ms;
    int64_t parts = (now_ms - r->turn_ms) / PART_MS;
    size_t gone = parts > ERROR_HISTORY ? ERROR_HISTORY : (size_t)parts;
    memmove(history, history + gone, (ERROR_HISTORY - gone) * sizeof *history);
    memset(history + ERROR_HISTORY - gone, 0, gone * sizeof *history);
    r->turn_ms += parts * PART_MS;
    if (count > r->count)
        history[ERROR_HISTORY - 1] += (int)(count - r->count);
    r->count = count;
}
