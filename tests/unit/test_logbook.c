/* The logbook loses no line below its queue's limit, counts what it loses above, keeps ids in
 * order, shows after a restart what came before, and lives through a catalog that fails. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "catalog/db.h"
#include "control/logbook.h"
#include "tests/unit/catalog_samples.h"
#include "tests/unit/tempdir.h"

#define THREADS 8
#define PER_THREAD 1000 /* 8,000 lines, below the queue's 8,192 */

static char *dir;
static struct catalog *c;
static struct logbook *book;
static struct err err;
static atomic_int changes;

static void count_change(void *arg)
{
    (void)arg;
    atomic_fetch_add(&changes, 1);
}

static void open_book(void)
{
    c = sample_open(dir);
    atomic_store(&changes, 0);
    book = logbook_open(c, 14, count_change, NULL);
    assert_non_null(book);
}

static void close_book(void)
{
    logbook_close(book);
    catalog_close(c);
}

static int setup(void **state)
{
    (void)state;
    dir = tempdir_new();
    open_book();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_book();
    tempdir_free(dir);
    return 0;
}

static void *write_lines(void *arg)
{
    int thread = *(int *)arg;
    for (int i = 0; i < PER_THREAD; i++)
        log_info("test", thread % 2 ? "odd" : "even", "thread=%d line=%d", thread, i);
    return NULL;
}

static void log_from_threads(void)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* Each thread's lines are complete and in their order, ids grow by one. rows: newest first. */
static void assert_all_in_order(const struct log_page *p, int64_t first_id)
{
    int seen[THREADS] = {0};
    int64_t id = first_id;
    for (size_t i = p->n; i-- > 0;) {
        int thread, line;
        assert_int_equal(p->rows[i].id, id++);
        assert_int_equal(sscanf(p->rows[i].line.text, "thread=%d line=%d", &thread, &line), 2);
        assert_int_equal(line, seen[thread]++);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(seen[i], PER_THREAD);
}

static void nothing_is_lost(void **state)
{
    (void)state;
    struct log_row *tail = mem_calloc(3000, sizeof *tail);
    log_from_threads();
    assert_int_equal(atomic_load(&changes), THREADS * PER_THREAD);
    size_t n = logbook_tail(book, NULL, LOG_LEVEL_DEBUG, tail, 3000);
    assert_int_equal(n, 2000);
    for (size_t i = 1; i < n; i++)
        assert_true(tail[i].id == tail[i - 1].id + 1);
    assert_int_equal(tail[n - 1].id, THREADS * PER_THREAD);
    free(tail);

    close_book(); /* writes out what is queued */
    open_book();
    struct log_page p;
    OK(catalog_logs(c, NULL, LOG_LEVEL_INFO, false, "thread=", 10000, 0, &p, &err));
    assert_int_equal(p.total, THREADS * PER_THREAD);
    assert_all_in_order(&p, 1);
    log_page_free(&p);
}

static void restart_shows_history(void **state)
{
    (void)state;
    struct log_row tail[600];
    for (int i = 0; i < 700; i++)
        log_info("test", "m", "line=%d", i);
    close_book();
    open_book();
    assert_int_equal(logbook_tail(book, "m", LOG_LEVEL_DEBUG, tail, 600), 500);
    assert_string_equal(tail[0].line.text, "line=200");
    assert_string_equal(tail[499].line.text, "line=699");
    log_warn("test", "n", "after");
    assert_int_equal(logbook_tail(book, NULL, LOG_LEVEL_WARN, tail, 600), 1);
    assert_int_equal(tail[0].id, 701);
    assert_int_equal(logbook_tail(book, NULL, LOG_LEVEL_DEBUG, tail, 2), 2);
    assert_int_equal(tail[0].id, 700);
    assert_int_equal(tail[1].id, 701);
    assert_int_equal(logbook_tail(book, "m", LOG_LEVEL_WARN, tail, 600), 0);
}

/* Whether a line with that text is in memory; it is copied to *out then. */
static bool is_said(const char *text, struct log_row *out)
{
    static struct log_row tail[2000];
    size_t n = logbook_tail(book, NULL, LOG_LEVEL_DEBUG, tail, 2000);
    for (size_t i = 0; i < n; i++)
        if (strstr(tail[i].line.text, text)) {
            *out = tail[i];
            return true;
        }
    return false;
}

/* Waits for a line in memory; fails after ten seconds. */
static void await_line(const char *text, struct log_row *out)
{
    int64_t end = clock_mono_ms() + 10000;
    while (clock_mono_ms() < end) {
        if (is_said(text, out))
            return;
        struct timespec t = {.tv_nsec = 5000000};
        nanosleep(&t, NULL);
    }
    fail_msg("no line \"%s\"", text);
}

/* The sum of what the catalog's lines say is lost: a slow machine loses in several goes. */
static int64_t count_lost(void)
{
    struct log_page p;
    int64_t sum = 0;
    OK(catalog_logs(c, NULL, LOG_LEVEL_DEBUG, false, "were lost", 500, 0, &p, &err));
    for (size_t i = 0; i < p.n; i++) {
        int64_t lost = 0;
        assert_int_equal(sscanf(strstr(p.rows[i].line.text, "n="), "n=%ld", &lost), 1);
        sum += lost;
    }
    log_page_free(&p);
    return sum;
}

static void flood(int n)
{
    for (int i = 0; i < n; i++)
        log_info("test", "flood", "line=%d", i);
}

/* The catalog is locked by another process for a while, and lines come in faster than it takes
 * them, before the writer says that some are lost and after that: what is stored and what is said
 * to be lost add up. */
static void overflow_is_counted(void **state)
{
    (void)state;
    sqlite3 *other;
    struct log_row said;
    struct log_page p;
    int lines = 0;
    assert_int_equal(sqlite3_open(tempdir_path(dir, "catalog.db"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (; lines < 1000000 && !is_said("were lost", &said); lines += 10000)
        flood(10000);
    flood(20000);
    lines += 20000;
    sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(other);
    close_book();
    open_book();
    int64_t lost = count_lost();
    OK(catalog_logs(c, "flood", LOG_LEVEL_DEBUG, false, NULL, 1, 0, &p, &err));
    assert_true(p.total >= 8192);
    assert_int_equal(p.total + lost, lines);
    log_page_free(&p);
}

/* A catalog that refuses to be written: said once, kept in memory, written later. */
static void failing_catalog_is_survived(void **state)
{
    (void)state;
    struct log_row said;
    struct log_page p;
    sqlite3 *other;
    assert_int_equal(sqlite3_open(tempdir_path(dir, "catalog.db"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other,
                                  "CREATE TRIGGER full BEFORE INSERT ON log BEGIN "
                                  "SELECT raise(ABORT, 'no room'); END",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    log_info("test", "m", "kept");
    await_line("cannot be written", &said);
    assert_non_null(strstr(said.line.text, "no room"));
    assert_int_equal(sqlite3_exec(other, "DROP TRIGGER full", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    await_line("written again", &said);
    close_book();
    open_book();
    OK(catalog_logs(c, "m", LOG_LEVEL_DEBUG, false, "kept", 1, 0, &p, &err));
    assert_int_equal(p.total, 1);
    log_page_free(&p);
    OK(catalog_logs(c, NULL, LOG_LEVEL_DEBUG, false, "cannot be written", 1, 0, &p, &err));
    assert_int_equal(p.total, 1);
    log_page_free(&p);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(nothing_is_lost),
        T(restart_shows_history),
        T(overflow_is_counted),
        T(failing_catalog_is_survived),
    };
    log_to_fd(-1, LOG_LEVEL_INFO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
