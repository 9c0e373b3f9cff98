/* SQLite in small: transactions, statements with bound values, result codes as sentences. */
#include "catalog/db.h"

#include <limits.h>
#include <string.h>

#include "base/log.h"

static _Thread_local bool is_quiet;

static bool is_damage(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

/* What to do about it, by primary result code. */
static void add_hint(struct catalog *c, int rc, struct err *err)
{
    switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        err_hint(err,
                 "The replicated data is safe, and the mirrors' progress is kept at the "
                 "destinations. Stop bunnydb, move %s (with its -wal and -shm files) away, restore "
                 "a copy of it or start anew and create peers and mirrors again.",
                 c->path);
        break;
    case SQLITE_FULL:
        err_hint(err, "Free some space on the file system of %s; nothing was lost.", c->path);
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        err_hint(err, "Another program holds %s open in a transaction; end it.", c->path);
        break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH:
        err_hint(err, "Check owner and mode of %s and its folder (0600 and 0700).", c->path);
        break;
    case SQLITE_IOERR:
        err_hint(err, "Check the disk and the file system that hold %s.", c->path);
        break;
    default:
        break;
    }
}

bool db_error(struct catalog *c, int rc, struct err *err)
{
    const char *why =
        c->db && sqlite3_extended_errcode(c->db) == rc ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);
    err_set(err, ERR_CATALOG, "catalog %s: %s%s (SQLite %d)", c->path,
            is_damage(rc) ? "the file is damaged or is not a catalog: " : "", why, rc);
    add_hint(c, rc, err);
    return false;
}

/* With NORMAL the log is written at the commit, and synchronised with the next commit that is, or
 * before a checkpoint: the file is whole in every case. */
static const char *const begin_sql[] = {
    [DB_READ] = "BEGIN",
    [DB_WRITE] = "BEGIN IMMEDIATE",
    [DB_WRITE_LAZY] = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
};

static bool end_lazy(struct catalog *c, struct err *err)
{
    bool was_lazy = c->is_lazy;
    c->is_lazy = false;
    return !was_lazy || db_script(c, err, "PRAGMA synchronous = FULL");
}

bool db_begin(struct catalog *c, enum db_mode mode, struct err *err)
{
    pthread_mutex_lock(&c->lock);
    c->is_lazy = mode == DB_WRITE_LAZY;
    if (db_script(c, err, begin_sql[mode]))
        return true;
    (void)end_lazy(c, NULL);
    pthread_mutex_unlock(&c->lock);
    return false;
}

bool db_end(struct catalog *c, bool ok, struct err *err)
{
    ok = ok && db_script(c, err, "COMMIT");
    /* Some errors (a full disk) have rolled back already. */
    if (!ok && !sqlite3_get_autocommit(c->db) && !db_script(c, NULL, "ROLLBACK"))
        log_error("catalog", NULL, "a transaction could not be rolled back path=%s", c->path);
    ok = end_lazy(c, ok ? err : NULL) && ok;
    pthread_mutex_unlock(&c->lock);
    return ok;
}

static int bind_one(sqlite3_stmt *stmt, int i, const struct db_arg *a)
{
    switch (a->kind) {
    case DB_NULL:
        break;
    case DB_INT:
        return sqlite3_bind_int64(stmt, i, a->i);
    case DB_TEXT:
        if (a->p)
            return sqlite3_bind_text(stmt, i, a->p, -1, SQLITE_STATIC);
        break;
    case DB_BLOB:
        if (a->p)
            return sqlite3_bind_blob64(stmt, i, a->p, a->n, SQLITE_STATIC);
        break;
    }
    return sqlite3_bind_null(stmt, i);
}

static void bind_all(struct db_rows *r, const struct db_arg *args, size_t n)
{
    for (size_t i = 0; i < n && r->rc == SQLITE_OK; i++)
        r->rc = bind_one(r->stmt, (int)i + 1, &args[i]);
}

void db_query(struct db_rows *r, struct catalog *c, const char *sql, const struct db_arg *args,
              size_t n)
{
    *r = (struct db_rows){.c = c};
    r->rc = sqlite3_prepare_v2(c->db, sql, -1, &r->stmt, NULL);
    bind_all(r, args, n);
}

bool db_next(struct db_rows *r)
{
    if (r->rc == SQLITE_OK || r->rc == SQLITE_ROW)
        r->rc = sqlite3_step(r->stmt);
    return r->rc == SQLITE_ROW;
}

void db_again(struct db_rows *r, const struct db_arg *args, size_t n)
{
    if (r->rc != SQLITE_OK && r->rc != SQLITE_ROW && r->rc != SQLITE_DONE)
        return; /* db_done tells of it */
    r->rc = sqlite3_reset(r->stmt);
    bind_all(r, args, n);
}

bool db_done(struct db_rows *r, struct err *err)
{
    bool ok = r->rc == SQLITE_OK || r->rc == SQLITE_ROW || r->rc == SQLITE_DONE;
    if (!ok)
        db_error(r->c, r->rc, err); /* before finalize, which clears the message */
    sqlite3_finalize(r->stmt);
    r->stmt = NULL;
    return ok;
}

int64_t db_int(const struct db_rows *r, int col)
{
    return sqlite3_column_int64(r->stmt, col);
}

const char *db_text(const struct db_rows *r, int col)
{
    const unsigned char *text = sqlite3_column_text(r->stmt, col);
    return text ? (const char *)text : "";
}

bool db_is_null(const struct db_rows *r, int col)
{
    return sqlite3_column_type(r->stmt, col) == SQLITE_NULL;
}

bool db_run(struct catalog *c, struct err *err, const char *sql, const struct db_arg *args,
            size_t n)
{
    struct db_rows r;
    db_query(&r, c, sql, args, n);
    while (db_next(&r))
        ;
    return db_done(&r, err);
}

bool db_script(struct catalog *c, struct err *err, const char *sql)
{
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK || db_error(c, rc, err);
}

bool db_value(struct catalog *c, struct err *err, int64_t *out, int64_t fallback, const char *sql,
              const struct db_arg *args, size_t n)
{
    struct db_rows r;
    db_query(&r, c, sql, args, n);
    *out = db_next(&r) ? db_int(&r, 0) : fallback;
    return db_done(&r, err);
}

int64_t db_changes(struct catalog *c)
{
    return sqlite3_changes64(c->db);
}

/* Runs inside SQLite calls: may log, must not use SQLite. The text has statements as written, with
 * placeholders instead of values. */
static void on_sqlite_log(void *arg, int rc, const char *text)
{
    (void)arg;
    int primary = rc & 0xff;
    if (is_quiet || primary == SQLITE_SCHEMA)
        return;
    enum log_level level = primary == SQLITE_NOTICE       ? LOG_LEVEL_DEBUG
                           : primary == SQLITE_CONSTRAINT ? LOG_LEVEL_DEBUG
                                                          : LOG_LEVEL_WARN;
    log_write(level, "catalog", NULL, NULL, "sqlite code=%d: %s", rc, text);
}

static void hook_once(void)
{
    int rc = sqlite3_config(SQLITE_CONFIG_LOG, on_sqlite_log, NULL);
    if (rc != SQLITE_OK)
        log_warn("catalog", NULL, "SQLite's messages cannot be logged code=%d", rc);
}

void db_hook_log(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, hook_once);
}

void db_log_quiet(bool quiet)
{
    is_quiet = quiet;
}
