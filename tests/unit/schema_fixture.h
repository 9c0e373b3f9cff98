/* A throw-away cluster for the tests of schema/, with databases that are made as needed, and the
 * mirroring of definitions from one to the other. Every failure fails the running test. */
#ifndef BUNNY_TEST_SCHEMA_FIXTURE_H
#define BUNNY_TEST_SCHEMA_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "schema/schema.h"

extern struct task fixture_task;

/* Group set-up and tear-down of cmocka; the program exits 77 when there is no PostgreSQL. */
int fixture_start(void **state);
int fixture_stop(void **state);
/* "SRCDIR/NAME" in a buffer that lives until the next call. */
const char *fixture_path(const char *name);
/* A setting for postgresql.conf; before fixture_start. */
void fixture_set(const char *setting);

/* A new empty database and a session in it (search_path empty). */
struct pg_conn *fixture_database(const char *name);
struct pg_conn *fixture_connect(const char *database, const char *user);
/* A dump of contrib/sampledata, loaded into a new database. */
struct pg_conn *fixture_sample(const char *name);
void fixture_exec(struct pg_conn *c, const char *sql);
/* The first cell; caller frees. */
char *fixture_ask(struct pg_conn *c, const char *sql);
void fixture_assert_answer(struct pg_conn *c, const char *sql, const char *expected);
/* Asks until the answer is this one; fails after some seconds. */
void fixture_await(struct pg_conn *c, const char *sql, const char *expected);
void fixture_run_file(struct pg_conn *c, const char *path);

/* Mappings "schema.table", "schema.*", "schema.table>schema.table"; "schema.table-column" leaves a
 * column out. Ends with NULL. Resolved ones; free with fixture_maps_free. */
struct fixture_maps {
    struct table_map *items;
    size_t n;
};
struct fixture_maps fixture_maps(struct pg_conn *source, const char *first, ...)
    __attribute__((sentinel));
void fixture_maps_free(struct fixture_maps *m);
/* One mapping as it is asked for; not resolved. */
struct table_map fixture_map(const char *text);

struct schema *fixture_read(struct pg_conn *source, const struct fixture_maps *maps);
/* Creates, then builds indexes and foreign keys, then runs what comes after the copy. */
void fixture_mirror(struct pg_conn *source, struct pg_conn *dest, const struct fixture_maps *maps);
/* Every line of schema_picture.sql that only one side has must contain one of the allowed texts. */
void fixture_assert_same(struct pg_conn *source, struct pg_conn *dest, const char *const *allowed);
/* pg_dump says the same of database NAME and of copy_of_NAME, up to what schema_dump.sh leaves out.
 */
void fixture_assert_same_dump(const char *name, const char *schema);
/* The call failed with this code, and its text contains all of the words (ends with NULL). */
void fixture_assert_error(bool worked, const struct err *err, enum err_code code, ...)
    __attribute__((sentinel));

#endif
