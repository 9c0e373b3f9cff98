/* Secrets at rest: passwords of peers are sealed with libsodium's secretbox under a key that lives
 * beside the catalog in secret.key (64 hex digits, mode 0600). A copied catalog alone gives no
 * password away. */
#include "catalog/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_TEXT_SIZE (2 * crypto_secretbox_KEYBYTES + 1)
#define BOX_EXTRA (crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES)

static bool key_error(struct catalog *c, struct err *err, const char *what)
{
    return err_set(err, ERR_CATALOG, "%s %s: %s", what, c->key_path, strerror(errno));
}

static bool lost_key(struct catalog *c, struct err *err, const char *what)
{
    err_set(err, ERR_CATALOG, "%s: %s, and %s holds encrypted passwords", c->key_path, what,
            c->path);
    return err_hint(err,
                    "Put back the secret.key that belongs to this catalog. If it is gone, move "
                    "catalog.db (with -wal and -shm) and secret.key away and create peers and "
                    "mirrors again: the data and the mirrors' progress are safe at the "
                    "destinations.");
}

/* Writes the whole key to a file of its own and gives it its name last, so that secret.key is
 * there completely or not at all. */
static bool write_key(struct catalog *c, struct err *err)
{
    char text[KEY_TEXT_SIZE];
    char *temp = mem_printf("%s.new", c->key_path);
    crypto_secretbox_keygen(c->key);
    sodium_bin2hex(text, sizeof text, c->key, sizeof c->key);
    text[KEY_TEXT_SIZE - 1] = '\n';

    (void)unlink(temp); /* of a crashed attempt */
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text, sizeof text) == (ssize_t)sizeof text && !fsync(fd) &&
              !rename(temp, c->key_path) && catalog_sync_dir(c->key_path);
    if (!ok)
        key_error(c, err, "cannot make the key file");
    if (fd >= 0)
        close(fd);
    sodium_memzero(text, sizeof text);
    free(temp);
    return ok;
}

/* 1: read, 0: there is none, -1: error. */
static int read_key(struct catalog *c, struct err *err)
{
    char text[KEY_TEXT_SIZE + 8] = "";
    size_t bytes = 0;
    const char *end = NULL;
    struct stat st;
    int fd = open(c->key_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (n < 0 || fstat(fd, &st)) {
        key_error(c, err, "cannot read the key file");
        n = -1;
    } else if (st.st_mode & 077) { /* closing it silently would hide who may have read it */
        err_set(err, ERR_CATALOG, "the key file %s is open to others (mode %04o)", c->key_path,
                (unsigned)st.st_mode & 07777);
        err_hint(err,
                 "chmod 600 %s; if others may have read it together with catalog.db, change "
                 "the passwords of the peers.",
                 c->key_path);
        sodium_memzero(text, sizeof text);
        n = -1;
    }
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return -1;
    bool ok = !sodium_hex2bin(c->key, sizeof c->key, text, (size_t)n, NULL, &bytes, &end) &&
              bytes == sizeof c->key && (*end == '\n' || *end == '\0');
    sodium_memzero(text, sizeof text);
    if (ok)
        return 1;
    err_set(err, ERR_CATALOG, "the key file %s is damaged: it must hold 64 hex digits",
            c->key_path);
    err_hint(err, "Put back a copy of it, or move it away if no peer has a password.");
    return -1;
}

/* One of the sealed values, to see whether the key fits; *any says whether there is one. */
static bool try_key(struct catalog *c, bool *any, bool *fits, struct err *err)
{
    struct db_rows r;
    db_query(&r, c,
             "SELECT password FROM peer WHERE password IS NOT NULL "
             "UNION ALL SELECT sealed FROM peer_option WHERE sealed IS NOT NULL LIMIT 1",
             NULL, 0);
    *any = db_next(&r);
    if (*any) {
        char *text = secret_unseal(c, sqlite3_column_blob(r.stmt, 0),
                                   (size_t)sqlite3_column_bytes(r.stmt, 0));
        *fits = text != NULL;
        if (text)
            sodium_memzero(text, strlen(text));
        free(text);
    }
    return db_done(&r, err);
}

bool secret_open(struct catalog *c, struct err *err)
{
    bool any, fits = false;
    int got = read_key(c, err);
    if (got < 0 || !try_key(c, &any, &fits, err))
        return false;
    if (!got)
        return any ? lost_key(c, err, "the key file is missing") : write_key(c, err);
    return !any || fits || lost_key(c, err, "this is another key");
}

unsigned char *secret_seal(const struct catalog *c, const char *text, size_t *len)
{
    size_t n = strlen(text);
    unsigned char *box = mem_calloc(1, n + BOX_EXTRA);
    randombytes_buf(box, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(box + crypto_secretbox_NONCEBYTES, (const unsigned char *)text, n, box,
                          c->key);
    *len = n + BOX_EXTRA;
    return box;
}

char *secret_unseal(const struct catalog *c, const void *box, size_t len)
{
    const unsigned char *nonce = box;
    if (!box || len < BOX_EXTRA)
        return NULL;
    char *text = mem_calloc(1, len - BOX_EXTRA + 1);
    if (!crypto_secretbox_open_easy((unsigned char *)text, nonce + crypto_secretbox_NONCEBYTES,
                                    len - crypto_secretbox_NONCEBYTES, nonce, c->key))
        return text;
    free(text);
    return NULL;
}
