/* Publications that change under a stream; see drift.h. */
#include "control/drift.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* Rows of pg_publication_rel have other OIDs after a table was taken out and put in again. */
static const char look_sql[] =
    "SELECT p.pubname, pg_catalog.md5(pg_catalog.concat_ws(' ', p.oid, p.pubinsert, p.pubupdate, "
    "p.pubdelete, p.pubtruncate, (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', r.oid, "
    "pg_catalog.to_jsonb(r) ->> 'prqual', pg_catalog.to_jsonb(r) ->> 'prattrs'), ',' ORDER BY "
    "r.oid) FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid))) FROM "
    "pg_catalog.pg_publication p WHERE p.pubname = ANY ($1::pg_catalog.text[])";

struct picture_of {
    char publication[NAME_SIZE];
    char digest[40];
};

struct drift {
    size_t n;
    struct picture_of *seen;
};

struct drift *drift_new(void)
{
    return mem_calloc(1, sizeof(struct drift));
}

void drift_free(struct drift *d)
{
    if (!d)
        return;
    free(d->seen);
    free(d);
}

static const char *digest_of(const struct picture_of *list, size_t n, const char *publication)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(list[i].publication, publication))
            return list[i].digest;
    return "";
}

/* A mirror that makes its publication just now, or anew, is left alone. */
static void compare(struct mirror *m, const char *before, const char *now)
{
    if (!before[0] || !strcmp(before, now) || board_state(mirror_board(m)) != MIRROR_RUNNING ||
        mirror_has_republished(m))
        return;
    log_warn("sampler", mirror_name(m), "publication %s has changed at the source: looking at it",
             mirror_config_of(m)->publication);
    mirror_reconnect(m);
}

static bool read_publications(struct pg_conn *source, struct task *task, int limit_ms,
                              struct mirror *const *mirrors, size_t n, struct pg_result **out,
                              struct err *err)
{
    struct buf names = {0};
    const char **list = mem_calloc(n, sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = mirror_config_of(mirrors[i])->publication;
    pg_quote_array(&names, n, list);
    const char *value = buf_text(&names);
    bool ok = pg_exec_params(source, task, limit_ms, look_sql, 1, &value, out, err);
    buf_free(&names);
    free(list);
    return ok;
}

bool drift_look(struct drift *d, struct pg_conn *source, struct task *task, int limit_ms,
                struct mirror *const *mirrors, size_t n, struct err *err)
{
    struct pg_result *r;
    if (!read_publications(source, task, limit_ms, mirrors, n, &r, err))
        return false;
    size_t rows = pg_rows(r);
    struct picture_of *now = mem_calloc(rows, sizeof *now);
    for (size_t i = 0; i < rows; i++) {
        str_copy(now[i].publication, sizeof now[i].publication, pg_text(r, i, 0));
        str_copy(now[i].digest, sizeof now[i].digest, pg_text(r, i, 1));
    }
    pg_free(r);
    for (size_t i = 0; i < n; i++) {
        const char *publication = mirror_config_of(mirrors[i])->publication;
        compare(mirrors[i], digest_of(d->seen, d->n, publication),
                digest_of(now, rows, publication));
    }
    free(d->seen);
    d->seen = now;
    d->n = rows;
    return true;
}
