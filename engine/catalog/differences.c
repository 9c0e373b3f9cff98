/* What was different between a mirror's definitions on both sides when they were last compared. */
#include "catalog/catalog.h"

#include "base/mem.h"
#include "catalog/db.h"

/* The row without a code says that they were compared, and (as its cause) with which definitions of
 * the source. */
static bool save(struct catalog *c, const char *mirror, const struct findings *f,
                 const char *digest, struct err *err)
{
    struct finding compared = {0};
    struct db_rows r;
    if (!mirror_require(c, mirror, err) ||
        !db_run(c, err, "DELETE FROM definition_finding WHERE mirror = ?1", DB_ARGS(DB_T(mirror))))
        return false;
    db_query(&r, c,
             "INSERT INTO definition_finding (mirror, ordinal, code, severity, title, cause, "
             "remedy, action) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
             NULL, 0);
    str_copy(compared.cause, sizeof compared.cause, digest);
    for (size_t i = 0; i <= f->n; i++) {
        const struct finding *x = i < f->n ? &f->items[i] : &compared;
        db_again(&r, DB_ARGS(DB_T(mirror), DB_I((int64_t)i), DB_T(x->code), DB_I(x->severity),
                             DB_T(x->title), DB_T(x->cause), DB_T(x->remedy), DB_T(x->action)));
        db_next(&r);
    }
    return db_done(&r, err);
}

bool catalog_differences_save(struct catalog *c, const char *mirror, const struct findings *f,
                              const char *digest, struct err *err)
{
    return db_begin(c, DB_WRITE, err) && db_end(c, save(c, mirror, f, digest, err), err);
}

bool catalog_differences_load(struct catalog *c, const char *mirror, struct findings *out,
                              bool *is_known, char digest[CATALOG_DIGEST_SIZE], struct err *err)
{
    struct db_rows r;
    *out = (struct findings){0};
    digest[0] = '\0';
    *is_known = false;
    if (!db_begin(c, DB_READ, err))
        return false;
    db_query(&r, c,
             "SELECT code, severity, title, cause, remedy, action FROM definition_finding "
             "WHERE mirror = ?1 ORDER BY ordinal",
             DB_ARGS(DB_T(mirror)));
    while (db_next(&r)) {
        *is_known = true;
        if (db_text(&r, 0)[0])
            findings_add(out, db_text(&r, 0), (enum severity)db_int(&r, 1), db_text(&r, 2),
                         db_text(&r, 3), db_text(&r, 4), db_text(&r, 5));
        else
            str_copy(digest, CATALOG_DIGEST_SIZE, db_text(&r, 3));
    }
    if (db_end(c, db_done(&r, err), err))
        return true;
    findings_free(out);
    return false;
}
