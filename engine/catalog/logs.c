/* Log lines in the catalog: appended by the logbook's thread, read page by page. */
#include "catalog/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "catalog/db.h"

#define ROWS_KEPT 1000000    /* about 300 MB; a flood of lines must not fill the disk */
#define ROWS_PER_DELETE 5000 /* the catalog's lock is free for others between two steps */
#define DAY_US INT64_C(86400000000)

static bool append_rows(struct catalog *c, const struct log_row *rows, size_t n, struct err *err)
{
    struct db_rows r;
    db_query(&r, c,
             "INSERT OR REPLACE INTO log (id, at, level, component, mirror, text, details) "
             "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
             NULL, 0);
    for (size_t i = 0; i < n; i++) {
        const struct log_line *l = &rows[i].line;
        db_again(&r, DB_ARGS(DB_I(rows[i].id), DB_I(l->at), DB_I(l->level), DB_T(l->component),
                             DB_T(l->mirror), DB_T(l->text), DB_T(l->details)));
        db_next(&r);
    }
    return db_done(&r, err);
}

/* What SQLite has to say meanwhile is not logged: on a full disk each line would make another. */
bool catalog_log_append(struct catalog *c, const struct log_row *rows, size_t n, struct err *err)
{
    db_log_quiet(true);
    bool ok = db_begin(c, DB_WRITE, err) && db_end(c, append_rows(c, rows, n, err), err);
    db_log_quiet(false);
    return ok;
}

/* From AUTOINCREMENT's own table, which remembers rows that were pruned. */
bool catalog_log_last_id(struct catalog *c, int64_t *id, struct err *err)
{
    return db_begin(c, DB_READ, err) &&
           db_end(c,
                  db_value(c, err, id, 0, "SELECT seq FROM sqlite_sequence WHERE name = 'log'",
                           NULL, 0),
                  err);
}

/* One step; *deleted says how many rows went. */
static bool prune_step(struct catalog *c, const char *sql, const struct db_arg *args, size_t n,
                       int64_t *deleted, struct err *err)
{
    if (!db_begin(c, DB_WRITE, err))
        return false;
    bool ok = db_run(c, err, sql, args, n);
    *deleted = db_changes(c);
    return db_end(c, ok, err);
}

static bool prune_all(struct catalog *c, const char *sql, int64_t limit, struct err *err)
{
    int64_t deleted = ROWS_PER_DELETE;
    bool ok = true;
    while (ok && deleted == ROWS_PER_DELETE)
        ok = prune_step(c, sql, DB_ARGS(DB_I(limit), DB_I(ROWS_PER_DELETE)), &deleted, err);
    return ok;
}

bool catalog_log_prune(struct catalog *c, int keep_days, struct err *err)
{
    int64_t last;
    return catalog_log_last_id(c, &last, err) &&
           prune_all(c, "DELETE FROM log WHERE id IN (SELECT id FROM log WHERE at < ?1 LIMIT ?2)",
                     clock_wall_us() - keep_days * DAY_US, err) &&
           prune_all(c, "DELETE FROM log WHERE id IN (SELECT id FROM log WHERE id <= ?1 LIMIT ?2)",
                     last - ROWS_KEPT, err);
}

/* A LIKE pattern for "contains text": its own % and _ stand for themselves. Caller frees. */
static char *contains_pattern(const char *text)
{
    struct buf b = {0};
    buf_putc(&b, '%');
    for (; *text; text++) {
        if (strchr("%_\\", *text))
            buf_putc(&b, '\\');
        buf_putc(&b, *text);
    }
    buf_putc(&b, '%');
    return buf_take(&b);
}

/* The conditions of a page; parameters: 1 mirror, 2 level, 3 pattern. Each is used in one way or
 * the other, since SQLite refuses a number that no statement mentions. */
static void add_where(struct buf *sql, bool of_mirror, bool exact, bool search)
{
    buf_puts(sql, " FROM log WHERE ");
    buf_puts(sql, of_mirror ? "mirror = ?1" : "?1 IS NULL");
    buf_puts(sql, exact ? " AND level = ?2" : " AND level >= ?2");
    buf_puts(sql, search ? " AND (text LIKE ?3 ESCAPE '\\' OR details LIKE ?3 ESCAPE '\\')"
                         : " AND ?3 IS NULL");
}

static void read_row(const struct db_rows *r, struct log_row *row)
{
    struct log_line *l = &row->line;
    *row = (struct log_row){.id = db_int(r, 0)};
    l->at = db_int(r, 1);
    l->level = (enum log_level)db_int(r, 2);
    str_copy(l->component, sizeof l->component, db_text(r, 3));
    str_copy(l->mirror, sizeof l->mirror, db_text(r, 4));
    str_copy(l->text, sizeof l->text, db_text(r, 5));
    str_copy(l->details, sizeof l->details, db_text(r, 6));
}

static bool read_page(struct catalog *c, const char *count_sql, const char *page_sql,
                      const struct db_arg *args, struct log_page *out, struct err *err)
{
    struct db_rows r;
    size_t cap = 0;
    if (!db_value(c, err, &out->total, 0, count_sql, args, 3))
        return false;
    db_query(&r, c, page_sql, args, 5);
    while (db_next(&r)) {
        mem_grow((void **)&out->rows, &cap, out->n, sizeof *out->rows);
        read_row(&r, &out->rows[out->n++]);
    }
    return db_done(&r, err);
}

bool catalog_logs(struct catalog *c, const char *mirror, enum log_level least, bool exact,
                  const char *search, int limit, int64_t offset, struct log_page *out,
                  struct err *err)
{
    struct buf count = {0}, page = {0};
    char *pattern = search && search[0] ? contains_pattern(search) : NULL;
    buf_puts(&count, "SELECT count(*)");
    add_where(&count, mirror != NULL, exact, pattern != NULL);
    buf_puts(&page, "SELECT id, at, level, component, mirror, text, details");
    add_where(&page, mirror != NULL, exact, pattern != NULL);
    buf_puts(&page, " ORDER BY id DESC LIMIT ?4 OFFSET ?5");
    const struct db_arg args[] = {DB_T(mirror), DB_I(least), DB_T(pattern), DB_I(limit),
                                  DB_I(offset)};

    *out = (struct log_page){0};
    bool ok = db_begin(c, DB_READ, err) &&
              db_end(c, read_page(c, buf_text(&count), buf_text(&page), args, out, err), err);
    if (!ok)
        log_page_free(out);
    free(pattern);
    buf_free(&count);
    buf_free(&page);
    return ok;
}
