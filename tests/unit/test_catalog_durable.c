/* What the catalog has answered with true survives kill -9 directly after, and eight threads may
 * use one handle at once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "catalog/db.h"
#include "tests/unit/catalog_samples.h"
#include "tests/unit/tempdir.h"

#define ROUNDS 50
#define THREADS 8
#define PER_THREAD 40

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

/* The child: inserts peers without end and reports each one that the catalog has taken. */
static void insert_and_report(int fd, int first)
{
    struct catalog *c;
    struct err e;
    if (!catalog_open(dir, &c, &e))
        _exit(1);
    for (int i = first;; i++) {
        char *name = mem_printf("p%d", i);
        struct peer p = sample_peer(name);
        if (!catalog_peer_insert(c, &p, &e) || write(fd, &i, sizeof i) != sizeof i)
            _exit(1);
        peer_free(&p);
        free(name);
    }
}

/* Kills the child at some moment after its first report; returns the last report. */
static int kill_child(pid_t pid, int fd)
{
    int reported, last = -1, status;
    struct timespec moment = {.tv_nsec = rand() % 5000000};
    assert_int_equal(read(fd, &last, sizeof last), sizeof last);
    if (rand() % 2)
        nanosleep(&moment, NULL);
    kill(pid, SIGKILL);
    while (read(fd, &reported, sizeof reported) == sizeof reported)
        last = reported;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return last;
}

static void answered_means_durable(void **state)
{
    (void)state;
    int next = 0;
    srand(1);
    for (int round = 0; round < ROUNDS; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (!pid)
            insert_and_report(fds[1], next);
        close(fds[1]);
        int last = kill_child(pid, fds[0]);
        close(fds[0]);

        struct catalog *c = sample_open(dir);
        struct peer_list l;
        OK(catalog_peers(c, &l, &err));
        /* all that was reported, and at most the one that was under way */
        assert_true(l.n == (size_t)last + 1 || l.n == (size_t)last + 2);
        for (size_t i = 0; i < l.n; i++)
            assert_string_equal(l.items[i].password, SAMPLE_PASSWORD);
        next = (int)l.n;
        peer_list_free(&l);
        catalog_close(c);
    }
}

struct worker {
    struct catalog *c;
    int number;
    pthread_t thread;
};
static atomic_int failures;

static void *work(void *arg)
{
    struct worker *w = arg;
    struct err e;
    for (int i = 0; i < PER_THREAD; i++) {
        char *name = mem_printf("t%d-%d", w->number, i);
        struct peer p = sample_peer(name), out;
        struct peer_list l;
        struct log_row row = {.id = 1 + w->number + THREADS * i};
        struct user u = sample_user(name, "admin");
        p.port = i + 1;
        bool ok = catalog_peer_insert(w->c, &p, &e) && catalog_user_insert(w->c, &u, &e) &&
                  catalog_log_append(w->c, &row, 1, &e) && catalog_peer_get(w->c, name, &out, &e);
        if (!ok || out.port != i + 1)
            atomic_fetch_add(&failures, 1);
        if (ok)
            peer_free(&out);
        if (i % 10 == 0) {
            if (catalog_peers(w->c, &l, &e))
                peer_list_free(&l);
            else
                atomic_fetch_add(&failures, 1);
        }
        peer_free(&p);
        free(name);
    }
    return NULL;
}

static void threads_share_a_handle(void **state)
{
    (void)state;
    struct worker w[THREADS];
    struct catalog *c = sample_open(dir);
    for (int i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.c = c, .number = i};
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(w[i].thread, NULL);
    assert_int_equal(atomic_load(&failures), 0);
    struct peer_list l;
    struct log_page p;
    OK(catalog_peers(c, &l, &err));
    assert_int_equal(l.n, THREADS * PER_THREAD);
    OK(catalog_logs(c, NULL, LOG_LEVEL_DEBUG, false, NULL, 1, 0, &p, &err));
    assert_int_equal(p.total, THREADS * PER_THREAD);
    log_page_free(&p);
    peer_list_free(&l);
    catalog_close(c);
}

/* Another process (a backup, the sqlite3 shell) holds the file for a moment: we wait. */
static void *release_later(void *arg)
{
    struct timespec t = {.tv_nsec = 300000000};
    nanosleep(&t, NULL);
    sqlite3_exec(arg, "ROLLBACK", NULL, NULL, NULL);
    return NULL;
}

static void busy_file_is_waited_for(void **state)
{
    (void)state;
    sqlite3 *other;
    pthread_t thread;
    struct catalog *c = sample_open(dir);
    assert_int_equal(sqlite3_open(tempdir_path(dir, "catalog.db"), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(pthread_create(&thread, NULL, release_later, other), 0);
    sample_add_peer(c, "a");
    pthread_join(thread, NULL);
    sqlite3_close(other);
    catalog_close(c);
}

/* Stands before the system's, which SQLite calls to have something on the disk. */
static atomic_int synced;

int fdatasync(int fd)
{
    atomic_fetch_add(&synced, 1);
    return (int)syscall(SYS_fdatasync, fd);
}

static int syncs_of(bool ok)
{
    sample_ok(ok, &err);
    return atomic_exchange(&synced, 0);
}

/* Two hundred mirrors note several times a minute how far they are, and no disk hears of it; what
 * an operator asked for is on the disk when it is answered. */
static void notes_do_not_wait_for_the_disk(void **state)
{
    (void)state;
    struct catalog *c = sample_open(dir);
    struct mirror_row row = sample_mirror("m", "m"), back;
    struct table_status t = {.source = "public.t", .rows_inserted = 7};
    int64_t run;
    sample_add_peer(c, "src");
    sample_add_peer(c, "Dst");
    assert_true(syncs_of(catalog_mirror_insert(c, &row, &err)) > 0);
    assert_int_equal(syncs_of(catalog_mirror_set_restart(c, "m", 77, &err)), 0);
    assert_int_equal(syncs_of(catalog_counters_save(c, "m", &t, 1, &err)), 0);
    assert_int_equal(syncs_of(catalog_run_begin(c, "m", "stream", &run, &err)), 0);
    assert_int_equal(syncs_of(catalog_run_end(c, run, "stopped", NULL, &err)), 0);
    assert_false(catalog_run_begin(c, "nobody", "stream", &run, &err)); /* rolled back */
    assert_true(syncs_of(catalog_mirror_set(c, "m", WISH_PAUSE, true, true, &err)) > 0);
    assert_true(syncs_of(catalog_mirror_set_restart(c, "m", 0, &err)) > 0);
    OK(catalog_mirror_set_restart(c, "m", 78, &err));
    catalog_close(c);
    c = sample_open(dir);
    OK(catalog_mirror_get(c, "m", &back, &err));
    assert_int_equal(back.slot_restart, 78);
    mirror_row_free(&back);
    mirror_row_free(&row);
    catalog_close(c);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(answered_means_durable),
        T(threads_share_a_handle),
        T(busy_file_is_waited_for),
        T(notes_do_not_wait_for_the_disk),
    };
    log_to_fd(-1, LOG_LEVEL_DEBUG);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
