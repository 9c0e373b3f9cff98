/* What a mirror's stream met that should not be, until it is resolved. */
#include "catalog/catalog.h"

#include <stdlib.h>

#include "catalog/db.h"

static bool save(struct catalog *c, const char *mirror, const struct row_trouble *list, size_t n,
                 struct err *err)
{
    struct db_rows r;
    if (!mirror_require(c, mirror, err) ||
        !db_run(c, err, "DELETE FROM row_trouble WHERE mirror = ?1", DB_ARGS(DB_T(mirror))))
        return false;
    db_query(&r, c,
             "INSERT INTO row_trouble (mirror, code, source, count, first_at, last_at, operation, "
             "row_key, lsn) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
             NULL, 0);
    for (size_t i = 0; i < n; i++) {
        db_again(&r,
                 DB_ARGS(DB_T(mirror), DB_T(list[i].code), DB_T(list[i].source),
                         DB_I(list[i].count), DB_I(list[i].first_at), DB_I(list[i].last_at),
                         DB_T(list[i].operation), DB_T(list[i].key), DB_I((int64_t)list[i].lsn)));
        db_next(&r);
    }
    return db_done(&r, err);
}

bool catalog_troubles_save(struct catalog *c, const char *mirror, const struct row_trouble *list,
                           size_t n, struct err *err)
{
    return db_begin(c, DB_WRITE, err) && db_end(c, save(c, mirror, list, n, err), err);
}

bool catalog_troubles_load(struct catalog *c, const char *mirror, struct row_trouble **out,
                           size_t *n, struct err *err)
{
    struct db_rows r;
    size_t cap = 0;
    *out = NULL;
    *n = 0;
    if (!db_begin(c, DB_READ, err))
        return false;
    db_query(&r, c,
             "SELECT code, source, count, first_at, last_at, operation, row_key, lsn "
             "FROM row_trouble WHERE mirror = ?1 ORDER BY source, code",
             DB_ARGS(DB_T(mirror)));
    while (db_next(&r)) {
        struct row_trouble t = {.count = db_int(&r, 2),
                                .first_at = db_int(&r, 3),
                                .last_at = db_int(&r, 4),
                                .lsn = (lsn_t)db_int(&r, 7)};
        str_copy(t.code, sizeof t.code, db_text(&r, 0));
        str_copy(t.source, sizeof t.source, db_text(&r, 1));
        str_copy(t.operation, sizeof t.operation, db_text(&r, 5));
        str_copy(t.key, sizeof t.key, db_text(&r, 6));
        MEM_PUSH(*out, *n, cap, t);
    }
    if (db_end(c, db_done(&r, err), err))
        return true;
    free(*out);
    *out = NULL;
    *n = 0;
    return false;
}
