/* A publication that was altered and put back; see published.h. */
#include "stream/published.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "stream/source.h"

#define LIMIT_MS 30000

/* "version owner" */
static const char now_sql[] = "SELECT oid, pg_catalog.concat_ws(' ', xmin, pubowner), pubowner FROM"
                              " pg_catalog.pg_publication WHERE pubname = $1";
static const char was_sql[] =
    "SELECT number, detail, pg_catalog.split_part(detail, ' ', 2) FROM _bunnydb.table_parts"
    " WHERE mirror_id = $1 AND source_oid = 0 AND kind = 'p'";

struct published {
    bool exists;
    int64_t oid, owner;
    char version[64];
};

static bool read(struct pg_conn *c, struct task *task, const char *sql, const char *of,
                 struct published *out, struct err *err)
{
    struct pg_result *r = NULL;
    *out = (struct published){0};
    if (!pg_exec_params(c, task, LIMIT_MS, sql, 1, &of, &r, err))
        return err_context(err, "read the publication's version");
    if (pg_rows(r)) {
        *out = (struct published){.exists = true, .oid = pg_int(r, 0, 0), .owner = pg_int(r, 0, 2)};
        str_copy(out->version, sizeof out->version, pg_text(r, 0, 1));
    }
    pg_free(r);
    return true;
}

static bool keep(struct pg_conn *dest, struct task *task, const char *mirror_id,
                 const struct published *p, struct err *err)
{
    char oid[24];
    const char *values[] = {mirror_id, oid, p->version};
    str_printf(oid, sizeof oid, "%lld", (long long)p->oid);
    return pg_exec_params(
               dest, task, LIMIT_MS,
               "WITH old AS (DELETE FROM _bunnydb.table_parts WHERE mirror_id = $1 AND "
               "source_oid = 0 AND kind = 'p' AND number <> $2) INSERT INTO "
               "_bunnydb.table_parts (mirror_id, source_oid, kind, number, name, detail, "
               "dest_schema, dest_name) VALUES ($1, 0, 'p', $2, '', $3, '', '') ON "
               "CONFLICT (mirror_id, source_oid, kind, number, name) DO UPDATE SET "
               "detail = excluded.detail",
               COUNT_OF(values), values, NULL, err) ||
           err_context(err, "keep the publication's version");
}

bool published_note(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                    const char *mirror_id, const char *publication, struct err *err)
{
    struct published now;
    return read(source, task, now_sql, publication, &now, err) &&
           (!now.exists || keep(dest, task, mirror_id, &now, err));
}

bool published_check(struct pg_conn *source, struct pg_conn *dest, struct task *task,
                     const char *mirror, const char *mirror_id, const char *publication,
                     struct err *err)
{
    struct published now, was;
    if (!read(source, task, now_sql, publication, &now, err) ||
        !read(dest, task, was_sql, mirror_id, &was, err))
        return false;
    if (!now.exists || (was.exists && now.oid == was.oid && !strcmp(now.version, was.version)))
        return true; /* that it is gone is somebody else's word */
    if (was.exists && (now.oid != was.oid || now.owner == was.owner)) {
        err_set(err, ERR_PUBLICATION,
                "publication %s at the source was altered since it was last looked at: whether it "
                "left something out meanwhile is not known",
                publication);
        return err_hint(err, SOURCE_NEW_PUBLICATION_HINT);
    }
    if (was.exists)
        log_warn("super", mirror, "publication %s has another owner at the source", publication);
    return keep(dest, task, mirror_id, &now, err);
}
