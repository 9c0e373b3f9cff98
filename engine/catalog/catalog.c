/* Opening and closing the catalog file; see catalog.h. */
#include "catalog/catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "catalog/db.h"

#define BUSY_LIMIT_MS 5000 /* another process, such as a backup, may hold the file that long */

bool catalog_sync_dir(const char *path)
{
    char *dir = mem_strdup(path);
    *strrchr(dir, '/') = '\0'; /* path is DIR/file by construction */
    int fd = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && !fsync(fd);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    free(dir);
    errno = saved;
    return ok;
}

/* Makes the file with mode 0600 (SQLite gives that mode to the -wal and -shm files too), or takes
 * the rights of others from one that is there. */
static bool prepare_file(struct catalog *c, struct err *err)
{
    int fd = open(c->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;
    bool ok = fd >= 0 && !fstat(fd, &st) && (!(st.st_mode & 077) || !fchmod(fd, 0600)) &&
              catalog_sync_dir(c->path);
    if (!ok) {
        err_set(err, ERR_CATALOG, "catalog %s: %s", c->path, strerror(errno));
        err_hint(err, "Check owner and mode of the file and its folder (0600 and 0700).");
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool open_file(struct catalog *c, struct err *err)
{
    int rc = sqlite3_open_v2(c->path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL);
    if (rc != SQLITE_OK)
        return db_error(c, rc, err);
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, BUSY_LIMIT_MS);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return true;
}

/* journal_mode is a wish: SQLite answers with the mode that it could set. */
static bool set_wal(struct catalog *c, struct err *err)
{
    struct db_rows r;
    db_query(&r, c, "PRAGMA journal_mode = WAL", NULL, 0);
    bool is_wal = db_next(&r) && !strcmp(db_text(&r, 0), "wal");
    if (!db_done(&r, err))
        return false;
    if (!is_wal)
        return err_set(err, ERR_CATALOG,
                       "catalog %s: its file system cannot hold an SQLite file in WAL mode; use a "
                       "local disk for the state directory",
                       c->path);
    return true;
}

static bool configure(struct catalog *c, struct err *err)
{
    return set_wal(c, err) && db_script(c, err,
                                        "PRAGMA synchronous = FULL;"
                                        "PRAGMA foreign_keys = ON;"
                                        "PRAGMA trusted_schema = OFF;"
                                        "PRAGMA temp_store = MEMORY;"
                                        "PRAGMA journal_size_limit = 16777216;");
}

/* Finds damage now rather than in the middle of the night; reads the whole file. */
static bool check_pages(struct catalog *c, struct err *err)
{
    struct db_rows r;
    char answer[256] = "";
    db_query(&r, c, "PRAGMA quick_check(1)", NULL, 0);
    if (db_next(&r))
        str_copy(answer, sizeof answer, db_text(&r, 0));
    if (!db_done(&r, err))
        return false;
    if (strcmp(answer, "ok") != 0) {
        db_error(c, SQLITE_CORRUPT, err);
        return err_context(err, "quick_check says \"%s\"", answer);
    }
    return true;
}

static bool end_open_runs(struct catalog *c, struct err *err)
{
    if (!db_begin(c, DB_WRITE, err))
        return false;
    bool ok = db_run(c, err,
                     "UPDATE run SET ended_at = ?1, ending = 'interrupted' WHERE ended_at IS NULL",
                     DB_ARGS(DB_I(clock_wall_us())));
    return db_end(c, ok, err);
}

const char *catalog_sqlite_version(void)
{
    return sqlite3_libversion();
}

const char *catalog_sodium_version(void)
{
    return sodium_version_string();
}

bool catalog_open(const char *dir, struct catalog **out, struct err *err)
{
    db_hook_log();
    if (sodium_init() < 0)
        return err_set(err, ERR_INTERNAL, "libsodium cannot be initialised");
    struct catalog *c = mem_calloc(1, sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    c->path = mem_printf("%s/catalog.db", dir);
    c->key_path = mem_printf("%s/secret.key", dir);
    int64_t version;
    if (prepare_file(c, err) && open_file(c, err) && migrations_check(c, &version, err) &&
        configure(c, err) && check_pages(c, err) && migrations_run(c, version, err) &&
        secret_open(c, err) && end_open_runs(c, err)) {
        *out = c;
        return true;
    }
    catalog_close(c);
    return false;
}

void catalog_close(struct catalog *c)
{
    if (!c)
        return;
    sqlite3_close(c->db);
    sodium_memzero(c->key, sizeof c->key);
    pthread_mutex_destroy(&c->lock);
    free(c->path);
    free(c->key_path);
    free(c);
}
