/* The last comparison of each mirror: one report, which the next one replaces. */
#include "catalog/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "catalog/db.h"

/* --- Writing ---------------------------------------------------------------------------------- */

static bool insert_key(struct catalog *c, const char *mirror, size_t position,
                       const struct verify_table *t, struct err *err)
{
    struct db_rows r;
    db_query(&r, c,
             "INSERT INTO verify_key (mirror, position, ordinal, column_name) "
             "VALUES (?1, ?2, ?3, ?4)",
             NULL, 0);
    for (size_t i = 0; i < t->n_key; i++) {
        db_again(&r,
                 DB_ARGS(DB_T(mirror), DB_I((int64_t)position), DB_I((int64_t)i), DB_T(t->key[i])));
        db_next(&r);
    }
    return db_done(&r, err);
}

static bool insert_rows(struct catalog *c, const char *mirror, size_t position,
                        const struct verify_table *t, struct err *err)
{
    struct db_rows r;
    db_query(&r, c,
             "INSERT INTO verify_row (mirror, position, row, ordinal, kind, value, "
             "repaired) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
             NULL, 0);
    for (size_t i = 0; i < t->n_rows; i++) {
        const struct verify_row *row = &t->rows[i];
        for (size_t k = 0; k < row->n_values; k++) {
            db_again(&r, DB_ARGS(DB_T(mirror), DB_I((int64_t)position), DB_I((int64_t)i),
                                 DB_I((int64_t)k), DB_T(verify_kind_name(row->kind)),
                                 DB_T(row->values[k]), DB_I(row->is_repaired)));
            db_next(&r);
        }
    }
    return db_done(&r, err);
}

static bool insert_table(struct catalog *c, const char *mirror, size_t position,
                         const struct verify_table *t, struct err *err)
{
    return db_run(c, err,
                  "INSERT INTO verify_table (mirror, position, source_schema, source_table, "
                  "dest_schema, dest_table, state, reason, source_rows, dest_rows, equal, "
                  "differing, missing, extra, repaired) "
                  "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
                  DB_ARGS(DB_T(mirror), DB_I((int64_t)position), DB_T(t->source_schema),
                          DB_T(t->source_table), DB_T(t->dest_schema), DB_T(t->dest_table),
                          DB_T(verify_state_name(t->state)), DB_T(t->reason), DB_I(t->source_rows),
                          DB_I(t->dest_rows), DB_I(t->equal), DB_I(t->differing), DB_I(t->missing),
                          DB_I(t->extra), DB_I(t->repaired))) &&
           insert_key(c, mirror, position, t, err) && insert_rows(c, mirror, position, t, err);
}

static bool save(struct catalog *c, const char *mirror, const struct verify_report *v,
                 struct err *err)
{
    if (!mirror_require(c, mirror, err) ||
        !db_run(c, err, "DELETE FROM verify WHERE mirror = ?1", DB_ARGS(DB_T(mirror))) ||
        !db_run(c, err,
                "INSERT INTO verify (mirror, lsn, began_at, ended_at, ending, error) "
                "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                DB_ARGS(DB_T(mirror), DB_I((int64_t)v->lsn), DB_I(v->began_at), DB_I(v->ended_at),
                        DB_T(v->ending), DB_T(v->error))))
        return false;
    for (size_t i = 0; i < v->n_tables; i++)
        if (!insert_table(c, mirror, i, &v->tables[i], err))
            return false;
    return true;
}

bool catalog_verify_save(struct catalog *c, const char *mirror, const struct verify_report *report,
                         struct err *err)
{
    return db_begin(c, DB_WRITE, err) && db_end(c, save(c, mirror, report, err), err);
}

/* --- Reading ---------------------------------------------------------------------------------- */

static char *text_or_null(const struct db_rows *r, int col)
{
    return db_is_null(r, col) ? NULL : mem_strdup(db_text(r, col));
}

/* A name that this program does not know was written by a newer one. */
static enum verify_state state_of(const char *name)
{
    for (int s = VERIFY_QUEUED; s < VERIFY_UNFINISHED; s++)
        if (!strcmp(verify_state_name((enum verify_state)s), name))
            return (enum verify_state)s;
    return VERIFY_UNFINISHED;
}

static enum verify_kind kind_of(const char *name)
{
    for (int k = VERIFY_MISSING; k < VERIFY_DIFFERING; k++)
        if (!strcmp(verify_kind_name((enum verify_kind)k), name))
            return (enum verify_kind)k;
    return VERIFY_DIFFERING;
}

static bool read_report(struct catalog *c, const char *mirror, struct verify_report *out,
                        bool *is_there, struct err *err)
{
    struct db_rows r;
    *is_there = false;
    db_query(&r, c, "SELECT lsn, began_at, ended_at, ending, error FROM verify WHERE mirror = ?1",
             DB_ARGS(DB_T(mirror)));
    if (db_next(&r)) {
        *is_there = true;
        out->lsn = (lsn_t)db_int(&r, 0);
        out->began_at = db_int(&r, 1);
        out->ended_at = db_int(&r, 2);
        str_copy(out->ending, sizeof out->ending, db_text(&r, 3));
        out->error = text_or_null(&r, 4);
    }
    return db_done(&r, err);
}

static bool read_tables(struct catalog *c, const char *mirror, struct verify_report *out,
                        struct err *err)
{
    struct db_rows r;
    size_t cap = 0;
    db_query(&r, c,
             "SELECT source_schema, source_table, dest_schema, dest_table, state, reason, "
             "source_rows, dest_rows, equal, differing, missing, extra, repaired FROM verify_table "
             "WHERE mirror = ?1 ORDER BY position",
             DB_ARGS(DB_T(mirror)));
    while (db_next(&r)) {
        struct verify_table t = {.state = state_of(db_text(&r, 4)),
                                 .reason = text_or_null(&r, 5),
                                 .source_rows = db_int(&r, 6),
                                 .dest_rows = db_int(&r, 7),
                                 .equal = db_int(&r, 8),
                                 .differing = db_int(&r, 9),
                                 .missing = db_int(&r, 10),
                                 .extra = db_int(&r, 11),
                                 .repaired = db_int(&r, 12)};
        str_copy(t.source_schema, sizeof t.source_schema, db_text(&r, 0));
        str_copy(t.source_table, sizeof t.source_table, db_text(&r, 1));
        str_copy(t.dest_schema, sizeof t.dest_schema, db_text(&r, 2));
        str_copy(t.dest_table, sizeof t.dest_table, db_text(&r, 3));
        MEM_PUSH(out->tables, out->n_tables, cap, t);
    }
    return db_done(&r, err);
}

static bool read_keys(struct catalog *c, const char *mirror, struct verify_report *out,
                      struct err *err)
{
    struct db_rows r;
    db_query(&r, c,
             "SELECT position, column_name FROM verify_key WHERE mirror = ?1 "
             "ORDER BY position, ordinal",
             DB_ARGS(DB_T(mirror)));
    while (db_next(&r)) {
        size_t position = (size_t)db_int(&r, 0);
        if (position >= out->n_tables)
            continue;
        struct verify_table *t = &out->tables[position];
        t->key = mem_realloc(t->key, (t->n_key + 1) * sizeof *t->key);
        t->key[t->n_key++] = mem_strdup(db_text(&r, 1));
    }
    return db_done(&r, err);
}

static void add_value(struct verify_table *t, bool is_first, const char *kind, const char *value,
                      bool is_repaired)
{
    if (is_first || !t->n_rows) {
        t->rows = mem_realloc(t->rows, (t->n_rows + 1) * sizeof *t->rows);
        t->rows[t->n_rows++] =
            (struct verify_row){.kind = kind_of(kind), .is_repaired = is_repaired};
    }
    struct verify_row *row = &t->rows[t->n_rows - 1];
    row->values = mem_realloc(row->values, (row->n_values + 1) * sizeof *row->values);
    row->values[row->n_values++] = mem_strdup(value);
}

static bool read_rows(struct catalog *c, const char *mirror, struct verify_report *out,
                      struct err *err)
{
    struct db_rows r;
    db_query(&r, c,
             "SELECT position, ordinal, kind, value, repaired FROM verify_row WHERE mirror = ?1 "
             "ORDER BY position, row, ordinal",
             DB_ARGS(DB_T(mirror)));
    while (db_next(&r)) {
        size_t position = (size_t)db_int(&r, 0);
        if (position < out->n_tables)
            add_value(&out->tables[position], db_int(&r, 1) == 0, db_text(&r, 2), db_text(&r, 3),
                      db_int(&r, 4) != 0);
    }
    return db_done(&r, err);
}

static bool load(struct catalog *c, const char *mirror, struct verify_report *out, struct err *err)
{
    bool is_there;
    if (!mirror_require(c, mirror, err) || !read_report(c, mirror, out, &is_there, err))
        return false;
    if (!is_there) {
        err_set(err, ERR_NOT_FOUND, "mirror %s was not compared yet", mirror);
        return err_hint(err, "Ask for a comparison with verify; the report is there when it ends.");
    }
    return read_tables(c, mirror, out, err) && read_keys(c, mirror, out, err) &&
           read_rows(c, mirror, out, err);
}

bool catalog_verify_load(struct catalog *c, const char *mirror, struct verify_report *out,
                         struct err *err)
{
    *out = (struct verify_report){0};
    if (db_begin(c, DB_READ, err) && db_end(c, load(c, mirror, out, err), err))
        return true;
    verify_report_free(out);
    return false;
}
