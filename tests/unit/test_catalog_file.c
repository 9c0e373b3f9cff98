/* The catalog's file: fresh, of a newer version, of another program, damaged; its key; and that no
 * secret can be read in it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/db.h"
#include "tests/unit/catalog_samples.h"
#include "tests/unit/tempdir.h"

static char *dir;
static struct err err;

static int setup(void **state)
{
    (void)state;
    dir = tempdir_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tempdir_free(dir);
    return 0;
}

/* The catalog cannot be opened; the sentence and its hint say these. */
static void assert_refused(const char *text, const char *hint)
{
    struct catalog *c = NULL;
    assert_false(catalog_open(dir, &c, &err));
    assert_null(c);
    assert_int_equal(err.code, ERR_CATALOG);
    if (!strstr(err.text, text) || !strstr(err.hint, hint))
        fail_msg("text \"%s\", hint \"%s\"", err.text, err.hint);
}

static void run_sql(const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(tempdir_path(dir, "catalog.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void make_with_peer(void)
{
    struct catalog *c = sample_open(dir);
    sample_add_peer(c, "a");
    catalog_close(c);
}

static void assert_mode(const char *name, mode_t mode)
{
    struct stat st;
    assert_int_equal(stat(tempdir_path(dir, name), &st), 0);
    assert_int_equal(st.st_mode & 0777, mode);
}

static int64_t pragma(struct catalog *c, const char *sql)
{
    int64_t v = -1;
    OK(db_value(c, &err, &v, -1, sql, NULL, 0));
    return v;
}

static void fresh_file(void **state)
{
    (void)state;
    umask(0);
    struct catalog *c = sample_open(dir);
    sample_add_peer(c, "a");
    assert_mode("catalog.db", 0600);
    assert_mode("catalog.db-wal", 0600);
    assert_mode("catalog.db-shm", 0600);
    assert_mode("secret.key", 0600);
    assert_int_equal(pragma(c, "PRAGMA user_version"), 11);
    assert_int_equal(pragma(c, "PRAGMA synchronous"), 2);
    assert_int_equal(pragma(c, "PRAGMA foreign_keys"), 1);
    catalog_close(c);
    assert_int_equal(chmod(tempdir_path(dir, "catalog.db"), 0644), 0);
    catalog_close(sample_open(dir));
    assert_mode("catalog.db", 0600);
    umask(022);
}

/* Not healed silently: somebody may have read it. */
static void a_key_file_that_others_can_read_is_refused(void **state)
{
    (void)state;
    static const mode_t open_modes[] = {0604, 0640, 0644, 0602, 0666};
    catalog_close(sample_open(dir));
    for (size_t i = 0; i < COUNT_OF(open_modes); i++) {
        struct catalog *c = NULL;
        assert_int_equal(chmod(tempdir_path(dir, "secret.key"), open_modes[i]), 0);
        assert_false(catalog_open(dir, &c, &err));
        assert_int_equal(err.code, ERR_CATALOG);
        assert_non_null(strstr(err.text, "open to others"));
        assert_non_null(strstr(err.hint, "chmod 600"));
        assert_mode("secret.key", open_modes[i]);
    }
    assert_int_equal(chmod(tempdir_path(dir, "secret.key"), 0400), 0);
    catalog_close(sample_open(dir));
}

/* A file that exists and is empty, as a crash before the first migration leaves it. */
static void version_zero_is_migrated(void **state)
{
    (void)state;
    tempdir_write(dir, "catalog.db", "", 0);
    struct catalog *c = sample_open(dir);
    assert_int_equal(pragma(c, "PRAGMA user_version"), 11);
    sample_add_peer(c, "a");
    catalog_close(c);
    c = sample_open(dir); /* and it is not migrated twice */
    assert_int_equal(pragma(c, "SELECT count(*) FROM peer"), 1);
    catalog_close(c);
}

static void newer_version_is_refused_unchanged(void **state)
{
    (void)state;
    size_t before_len, after_len;
    make_with_peer();
    run_sql("PRAGMA user_version = 99");
    char *before = tempdir_read(dir, "catalog.db", &before_len);
    assert_refused("newer bunnydb", "newer bunnydb");
    char *after = tempdir_read(dir, "catalog.db", &after_len);
    assert_int_equal(before_len, after_len);
    assert_memory_equal(before, after, before_len);
    free(before);
    free(after);
}

static void other_programs_file_is_refused(void **state)
{
    (void)state;
    run_sql("CREATE TABLE bookmarks (url TEXT)");
    assert_refused("another program", "Move the file away");
    run_sql("INSERT INTO bookmarks VALUES ('x')"); /* still theirs */
}

static void damaged_files_say_what_to_do(void **state)
{
    (void)state;
    char junk[8192];
    memset(junk, 'x', sizeof junk);
    tempdir_write(dir, "catalog.db", junk, sizeof junk);
    assert_refused("damaged", "data is safe");

    unlink(tempdir_path(dir, "catalog.db"));
    make_with_peer();
    size_t len;
    char *data = tempdir_read(dir, "catalog.db", &len);
    assert_true(len > 4 * 4096);
    memset(data + 2 * 4096, 0x5a, len - 2 * 4096); /* the header stays good */
    tempdir_write(dir, "catalog.db", data, len);
    assert_refused("damaged", "data is safe");
    tempdir_write(dir, "catalog.db", data, 3000); /* cut off */
    assert_refused("damaged", "data is safe");
    free(data);
}

static void folder_is_missing(void **state)
{
    (void)state;
    struct catalog *c = NULL;
    assert_false(catalog_open("/nonexistent/folder", &c, &err));
    assert_int_equal(err.code, ERR_CATALOG);
    assert_non_null(strstr(err.text, "No such file"));
}

static void assert_absent(const char *name, const char *secret)
{
    size_t len;
    char *data = tempdir_read(dir, name, &len);
    assert_null(memmem(data, len, secret, strlen(secret)));
    free(data);
}

static void secrets_are_unreadable(void **state)
{
    (void)state;
    size_t len;
    struct catalog *c = sample_open(dir);
    sample_add_peer(c, "a");
    assert_absent("catalog.db-wal", SAMPLE_PASSWORD);
    assert_absent("catalog.db-wal", SAMPLE_KEY_PASSWORD);
    char *wal = tempdir_read(dir, "catalog.db-wal", &len);
    assert_non_null(memmem(wal, len, "db1.example.org", 15)); /* the search can find things */
    free(wal);
    catalog_close(c);
    assert_absent("catalog.db", SAMPLE_PASSWORD);
    assert_absent("catalog.db", SAMPLE_KEY_PASSWORD);
    /* the same password is another box each time */
    c = sample_open(dir);
    sample_add_peer(c, "b");
    assert_int_equal(pragma(c, "SELECT count(DISTINCT password) FROM peer"), 2);
    catalog_close(c);
}

static void key_is_needed(void **state)
{
    (void)state;
    static const char other[] =
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
    size_t len;
    make_with_peer();
    char *key = tempdir_read(dir, "secret.key", &len);
    assert_int_equal(len, 65);

    unlink(tempdir_path(dir, "secret.key"));
    assert_refused("key file is missing", "Put back");
    assert_int_equal(access(tempdir_path(dir, "secret.key"), F_OK), -1);
    umask(077); /* of what is written from here on */
    tempdir_write(dir, "secret.key", other, strlen(other));
    assert_refused("another key", "Put back");
    tempdir_write(dir, "secret.key", "short\n", 6);
    assert_refused("damaged", "Put back");
    tempdir_write(dir, "secret.key", key, len);
    umask(022);
    struct peer p;
    struct catalog *c = sample_open(dir);
    OK(catalog_peer_get(c, "a", &p, &err));
    assert_string_equal(p.password, SAMPLE_PASSWORD);
    peer_free(&p);

    /* one box alone is damaged */
    OK(db_script(c, &err,
                 "INSERT INTO peer SELECT 'b', host, port, user, zeroblob(60), "
                 "database, ssl_mode, 0, 0 FROM peer"));
    assert_false(catalog_peer_get(c, "b", &p, &err));
    assert_int_equal(err.code, ERR_CATALOG);
    assert_non_null(strstr(err.text, "\"b\""));

    /* without secrets a lost key is no loss */
    OK(catalog_peer_delete(c, "a", &err));
    OK(catalog_peer_delete(c, "b", &err));
    catalog_close(c);
    unlink(tempdir_path(dir, "secret.key"));
    make_with_peer();
    char *fresh = tempdir_read(dir, "secret.key", &len);
    assert_string_not_equal(key, fresh);
    free(fresh);
    free(key);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(fresh_file),
        T(a_key_file_that_others_can_read_is_refused),
        T(version_zero_is_migrated),
        T(newer_version_is_refused_unchanged),
        T(other_programs_file_is_refused),
        T(damaged_files_say_what_to_do),
        T(folder_is_missing),
        T(secrets_are_unreadable),
        T(key_is_needed),
    };
    log_to_fd(-1, LOG_LEVEL_DEBUG);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
