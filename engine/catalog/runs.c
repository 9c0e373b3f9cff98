/* The history of a mirror's runs: when each began, what happened in it, how it ended. */
#include "catalog/catalog.h"

#include "base/clock.h"
#include "catalog/db.h"

#define RUNS_KEPT 1000  /* a mirror; a flapping one must not fill the disk */
#define EVENTS_KEPT 500 /* a run; one that goes on for months must not either */

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
    return db_begin(c, DB_WRITE_LAZY, err) &&
           db_end(c, begin_run(c, mirror, kind, run_id, err), err);
}

/* A run that is gone (its mirror was deleted meanwhile) is not an error. */
bool catalog_run_end(struct catalog *c, int64_t run_id, const char *end, const char *error,
                     struct err *err)
{
    return db_begin(c, DB_WRITE_LAZY, err) &&
           db_end(c,
                  db_run(c, err,
                         "UPDATE run SET ended_at = ?2, ending = ?3, error = ?4 WHERE id = ?1",
                         DB_ARGS(DB_I(run_id), DB_I(clock_wall_us()), DB_T(end), DB_T(error))),
                  err);
}

bool catalog_run_asked(struct catalog *c, int64_t run_id, const char *begun_by,
                       const char *ended_by, struct err *err)
{
    return db_begin(c, DB_WRITE_LAZY, err) &&
           db_end(c,
                  db_run(c, err,
                         "UPDATE run SET begun_by = coalesce(?2, begun_by), "
                         "ended_by = coalesce(?3, ended_by) WHERE id = ?1",
                         DB_ARGS(DB_I(run_id), DB_T(begun_by), DB_T(ended_by))),
                  err);
}

/* --- Events ----------------------------------------------------------------------------------- */

/* 1 when the run is still there: it may have been pruned, or its mirror deleted. */
static bool is_there(struct catalog *c, int64_t run_id, int64_t *there, struct err *err)
{
    return db_value(c, err, there, 0, "SELECT 1 FROM run WHERE id = ?1", DB_ARGS(DB_I(run_id)));
}

static bool insert_events(struct catalog *c, int64_t run_id, const struct run_event *events,
                          size_t n, struct err *err)
{
    struct db_rows r;
    db_query(&r, c,
             "INSERT INTO run_event (run, at, state, phase, text) VALUES (?1, ?2, ?3, ?4, ?5)",
             NULL, 0);
    for (size_t i = 0; i < n; i++) {
        const struct run_event *e = &events[i];
        db_again(&r, DB_ARGS(DB_I(run_id), DB_I(e->at), DB_T(e->state), DB_T(e->phase),
                             DB_T(e->text ? e->text : "")));
        db_next(&r);
    }
    return db_done(&r, err);
}

static bool add_events(struct catalog *c, int64_t run_id, const struct run_event *events, size_t n,
                       struct err *err)
{
    int64_t there;
    if (!is_there(c, run_id, &there, err))
        return false;
    return !there ||
           (insert_events(c, run_id, events, n, err) &&
            db_run(c, err,
                   "DELETE FROM run_event WHERE run = ?1 AND rowid <= (SELECT rowid FROM run_event "
                   "WHERE run = ?1 ORDER BY rowid DESC LIMIT 1 OFFSET ?2)",
                   DB_ARGS(DB_I(run_id), DB_I(EVENTS_KEPT))));
}

bool catalog_run_events(struct catalog *c, int64_t run_id, const struct run_event *events, size_t n,
                        struct err *err)
{
    return db_begin(c, DB_WRITE_LAZY, err) && db_end(c, add_events(c, run_id, events, n, err), err);
}

/* --- Reading ---------------------------------------------------------------------------------- */

static char *text_or_null(const struct db_rows *r, int col)
{
    const char *s = db_text(r, col);
    return *s ? mem_strdup(s) : NULL;
}

static bool read_runs(struct catalog *c, const char *mirror, int limit, int64_t offset,
                      struct run_page *out, struct err *err)
{
    struct db_rows r;
    size_t cap = 0;
    db_query(
        &r, c,
        "SELECT id, kind, began_at, ended_at, ending, error, mirror, begun_by, ended_by FROM run "
        "WHERE ?1 = '' OR mirror = ?1 ORDER BY id DESC LIMIT ?2 OFFSET ?3",
        DB_ARGS(DB_T(mirror), DB_I(limit), DB_I(offset)));
    while (db_next(&r)) {
        struct run_row row = {
            .id = db_int(&r, 0), .began_at = db_int(&r, 2), .ended_at = db_int(&r, 3)};
        str_copy(row.kind, sizeof row.kind, db_text(&r, 1));
        str_copy(row.ending, sizeof row.ending, db_text(&r, 4));
        row.error = text_or_null(&r, 5);
        str_copy(row.mirror, sizeof row.mirror, db_text(&r, 6));
        str_copy(row.begun_by, sizeof row.begun_by, db_text(&r, 7));
        str_copy(row.ended_by, sizeof row.ended_by, db_text(&r, 8));
        MEM_PUSH(out->rows, out->n, cap, row);
    }
    return db_done(&r, err);
}

static bool read_events(struct catalog *c, struct run_row *row, struct err *err)
{
    struct db_rows r;
    size_t cap = 0;
    db_query(&r, c, "SELECT at, state, phase, text FROM run_event WHERE run = ?1 ORDER BY rowid",
             DB_ARGS(DB_I(row->id)));
    while (db_next(&r)) {
        struct run_event e = {.at = db_int(&r, 0)};
        str_copy(e.state, sizeof e.state, db_text(&r, 1));
        str_copy(e.phase, sizeof e.phase, db_text(&r, 2));
        e.text = text_or_null(&r, 3);
        MEM_PUSH(row->events, row->n_events, cap, e);
    }
    return db_done(&r, err);
}

static bool read_page(struct catalog *c, const char *mirror, int limit, int64_t offset,
                      struct run_page *out, struct err *err)
{
    bool ok =
        (!*mirror || mirror_require(c, mirror, err)) &&
        db_value(c, err, &out->total, 0, "SELECT count(*) FROM run WHERE ?1 = '' OR mirror = ?1",
                 DB_ARGS(DB_T(mirror))) &&
        read_runs(c, mirror, limit, offset, out, err);
    for (size_t i = 0; ok && i < out->n; i++)
        ok = read_events(c, &out->rows[i], err);
    return ok;
}

bool catalog_runs(struct catalog *c, const char *mirror, int limit, int64_t offset,
                  struct run_page *out, struct err *err)
{
    *out = (struct run_page){0};
    bool ok = db_begin(c, DB_READ, err) &&
              db_end(c, read_page(c, mirror ? mirror : "", limit, offset, out, err), err);
    if (!ok)
        run_page_free(out);
    return ok;
}
