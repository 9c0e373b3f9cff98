/* What the files of catalog/ share: the handle, and a thin layer over SQLite that binds every
 * value as a parameter and turns result codes into sentences. Nothing outside catalog/ includes
 * this.
 *
 * db_begin takes the handle's lock and db_end gives it back; everything between is one
 * transaction, and whatever calls SQLite stands between the two. */
#ifndef BUNNY_CATALOG_DB_H
#define BUNNY_CATALOG_DB_H

#include <pthread.h>
#include <sodium.h>
#include <sqlite3.h>

#include "base/mem.h"
#include "catalog/catalog.h"

struct catalog {
    sqlite3 *db;
    pthread_mutex_t lock; /* guards db; a leaf but for the log's own locks */
    char *path;           /* of catalog.db */
    char *key_path;       /* of secret.key */
    bool is_lazy;         /* the transaction under way is a DB_WRITE_LAZY */
    unsigned char key[crypto_secretbox_KEYBYTES];
};

/* What may be lost when the machine loses power (never with the process alone) is written lazily:
 * two hundred mirrors that note how far they are would keep a disk busy. The next DB_WRITE brings
 * it to the disk, or the system does after some seconds. */
enum db_mode {
    DB_READ,
    DB_WRITE,
    DB_WRITE_LAZY,
};
bool db_begin(struct catalog *c, enum db_mode mode, struct err *err) MUST_CHECK;
/* Commits when ok, else rolls back and leaves *err as it is. True: ok, and, unless it was lazy, it
 * is on disk. */
bool db_end(struct catalog *c, bool ok, struct err *err) MUST_CHECK;

/* A parameter of a statement. Text and bytes are borrowed until the statement is done. */
struct db_arg {
    enum {
        DB_NULL,
        DB_INT,
        DB_TEXT,
        DB_BLOB,
    } kind;
    int64_t i;
    const void *p;
    size_t n;
};
#define DB_I(v) ((struct db_arg){.kind = DB_INT, .i = (v)})
#define DB_T(s) ((struct db_arg){.kind = DB_TEXT, .p = (s)}) /* NULL: SQL NULL */
#define DB_B(bytes, len) ((struct db_arg){.kind = DB_BLOB, .p = (bytes), .n = (len)})
/* ?1, ?2, … in order. */
#define DB_ARGS(...) \
    (const struct db_arg[]){__VA_ARGS__}, COUNT_OF(((const struct db_arg[]){__VA_ARGS__}))

/* A statement under way, in the style of: for (db_query(…); db_next(…);) … return db_done(…). An
 * error is kept in it until db_done, which frees the statement in every case. */
struct db_rows {
    struct catalog *c;
    sqlite3_stmt *stmt;
    int rc;
};
void db_query(struct db_rows *r, struct catalog *c, const char *sql, const struct db_arg *args,
              size_t n);
bool db_next(struct db_rows *r);
/* Runs the same statement once more with other values. */
void db_again(struct db_rows *r, const struct db_arg *args, size_t n);
bool db_done(struct db_rows *r, struct err *err) MUST_CHECK;
int64_t db_int(const struct db_rows *r, int col);
const char *db_text(const struct db_rows *r, int col); /* "" for NULL; until the next step */
bool db_is_null(const struct db_rows *r, int col);

/* One statement whose rows nobody wants. */
bool db_run(struct catalog *c, struct err *err, const char *sql, const struct db_arg *args,
            size_t n) MUST_CHECK;
/* Several statements without parameters. */
bool db_script(struct catalog *c, struct err *err, const char *sql) MUST_CHECK;
/* The first column of the first row, fallback when there is none. */
bool db_value(struct catalog *c, struct err *err, int64_t *out, int64_t fallback, const char *sql,
              const struct db_arg *args, size_t n) MUST_CHECK;
int64_t db_changes(struct catalog *c); /* rows touched by the last statement */

/* Fills *err for an SQLite result code: what failed, and what to do about it. */
bool db_error(struct catalog *c, int rc, struct err *err);
/* SQLite's own messages go to the log; once, before the first open. quiet: not those that this
 * thread causes, for the log's own writing. */
void db_hook_log(void);
void db_log_quiet(bool quiet);

/* The ordered list of schema changes; migrations.c. First the question, which changes nothing:
 * refuses files of other programs and of newer versions, and tells the file's version. */
bool migrations_check(struct catalog *c, int64_t *version, struct err *err) MUST_CHECK;
bool migrations_run(struct catalog *c, int64_t version, struct err *err) MUST_CHECK;

/* Makes the names in the folder of path durable. */
bool catalog_sync_dir(const char *path);

/* Secrets; secret.c. Reads the key file, or makes it while nothing is encrypted yet. */
bool secret_open(struct catalog *c, struct err *err) MUST_CHECK;
/* Encrypted form of text: a nonce and a box; caller frees. */
unsigned char *secret_seal(const struct catalog *c, const char *text, size_t *len);
/* NULL when the box was not made with this key, or is damaged. Caller wipes and frees. */
char *secret_unseal(const struct catalog *c, const void *box, size_t len);

/* ERR_MIRROR_NOT_FOUND unless there is a mirror of that name; mirrors.c. */
bool mirror_require(struct catalog *c, const char *name, struct err *err) MUST_CHECK;
/* One mapping with its excluded columns; mirrors.c. */
bool mirror_insert_map(struct catalog *c, const char *mirror, size_t position,
                       const struct table_map *t, struct err *err) MUST_CHECK;

#endif
