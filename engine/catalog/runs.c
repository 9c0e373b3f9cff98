/* The history of a mirror's runs: when each began, how it ended. */
#include "catalog/catalog.h"

#include "base/clock.h"
#include "catalog/db.h"

#define RUNS_KEPT 500 /* a mirror; a flapping one must not fill the disk */

static bool begin_run(struct catalog *c, const char *mirror, const char *kind, int64_t *run_id,
                      struct err *err)
{
    if (!mirror_require(c, mirror, err) ||
        !db_run(c, err, "INSERT INTO run (mirror, kind, began_at) VALUES (?1, ?2, ?3)",
                DB_ARGS(DB_T(mirror), DB_T(kind), DB_I(clock_wall_us()))))
        return false;
    *run_id = sqlite3_last_insert_rowid(c->db);
    return db_run(c, err,
                  "DELETE FROM run WHERE mirror = ?1 AND id <= (SELECT id FROM run "
                  "WHERE mirror = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                  DB_ARGS(DB_T(mirror), DB_I(RUNS_KEPT)));
}

bool catalog_run_begin(struct catalog *c, const char *mirror, const char *kind, int64_t *run_id,
                       struct err *err)
{
    return db_begin(c, DB_WRITE, err) && db_end(c, begin_run(c, mirror, kind, run_id, err), err);
}

/* A run that is gone (its mirror was deleted meanwhile) is not an error. */
bool catalog_run_end(struct catalog *c, int64_t run_id, const char *end, const char *error,
                     struct err *err)
{
    return db_begin(c, DB_WRITE, err) &&
           db_end(c,
                  db_run(c, err,
                         "UPDATE run SET ended_at = ?2, ending = ?3, error = ?4 WHERE id = ?1",
                         DB_ARGS(DB_I(run_id), DB_I(clock_wall_us()), DB_T(end), DB_T(error))),
                  err);
}
