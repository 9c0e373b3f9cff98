/* Log lines and runs for users: pages from the catalog, the newest lines from memory. */
#include "engine.h"

#include "control/check.h"
#include "control/engine_private.h"

#define LIMIT_MAX 1000
#define SEARCH_MAX 256

bool engine_logs(struct engine *e, const char *mirror, enum log_level least, bool exact,
                 const char *search, int limit, int64_t offset, struct log_page *out,
                 struct err *err)
{
    *out = (struct log_page){0};
    return check_text("search", search, SEARCH_MAX, false, err) &&
           check_range("limit", limit, 1, LIMIT_MAX, err) &&
           check_range("offset", offset, 0, INT64_MAX / 2, err) &&
           check_range("level", least, LOG_LEVEL_DEBUG, LOG_LEVEL_ERROR, err) &&
           catalog_logs(e->catalog, mirror, least, exact, search, limit, offset, out, err);
}

size_t engine_log_tail(struct engine *e, const char *mirror, enum log_level least,
                       struct log_row *out, size_t max)
{
    return logbook_tail(e->logbook, mirror, least, out, max);
}

bool engine_mirror_runs(struct engine *e, const char *mirror, int limit, int64_t offset,
                        struct run_page *out, struct err *err)
{
    *out = (struct run_page){0};
    return check_range("limit", limit, 1, LIMIT_MAX, err) &&
           check_range("offset", offset, 0, INT64_MAX / 2, err) &&
           catalog_runs(e->catalog, mirror, limit, offset, out, err);
}
