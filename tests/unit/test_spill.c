/* The queue of waiting changes: what goes in comes out, whole and in order, from memory and from
 * its file; the file has no name, gives its room back, and a full disk is an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "stream/spill.h"
#include "tests/unit/tempdir.h"

#define MEMORY ((size_t)256 * 1024)

static char *dir;
static struct spill *s;
static struct err e;

static int set_up(void **state)
{
    (void)state;
    dir = tempdir_new();
    s = spill_new(dir, MEMORY);
    err_clear(&e);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    spill_free(s);
    tempdir_free(dir);
    return 0;
}

/* The file behind the queue, found among the process's descriptors; false: there is none. */
static bool find_file(struct stat *out)
{
    bool found = false;
    for (int fd = 3; fd < 256 && !found; fd++) {
        char link[64], path[512] = "";
        str_printf(link, sizeof link, "/proc/self/fd/%d", fd);
        found = readlink(link, path, sizeof path - 1) > 0 && !strncmp(path, dir, strlen(dir)) &&
                fstat(fd, out) == 0 && S_ISREG(out->st_mode);
    }
    return found;
}

static int names_in_dir(void)
{
    int n = 0;
    DIR *d = opendir(dir);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

/* The content of record i: its length and bytes follow from i. */
static size_t fill(unsigned i, char *out, size_t most)
{
    size_t len = (i * 7919u) % most;
    for (size_t k = 0; k < len; k++)
        out[k] = (char)(i + k);
    return len;
}

static void add(unsigned i, size_t most)
{
    static char data[1 << 20];
    size_t len = fill(i, data, most);
    assert_true(spill_add(s, i, data, len, &e));
}

static void take(unsigned i, size_t most)
{
    static char wanted[1 << 20];
    struct spill_record r;
    lsn_t lsn = 0;
    size_t len = fill(i, wanted, most);
    if (i % 3 == 0) {
        assert_int_equal(spill_peek(s, &lsn, &e), 1);
        assert_int_equal(lsn, i);
    }
    assert_int_equal(spill_next(s, &r, &e), 1);
    assert_int_equal(r.lsn, i);
    assert_int_equal(r.len, len);
    assert_memory_equal(r.data, wanted, len);
    memset(r.data, 0xee, r.len + 1); /* a reader may write there */
}

static void assert_empty(void)
{
    struct spill_record r;
    lsn_t lsn;
    assert_true(spill_is_empty(s));
    assert_int_equal(spill_bytes(s), 0);
    assert_int_equal(spill_records(s), 0);
    assert_int_equal(spill_next(s, &r, &e), 0);
    assert_int_equal(spill_peek(s, &lsn, &e), 0);
}

static void few_records_stay_in_memory(void **state)
{
    struct stat st;
    (void)state;
    assert_empty();
    for (unsigned i = 1; i <= 100; i++)
        add(i, 200);
    assert_int_equal(spill_records(s), 100);
    for (unsigned i = 1; i <= 100; i++)
        take(i, 200);
    assert_empty();
    assert_false(find_file(&st));
}

static void many_records_go_to_a_file_without_a_name(void **state)
{
    struct stat st;
    (void)state;
    for (unsigned i = 1; i <= 20000; i++)
        add(i, 1000);
    assert_true(find_file(&st));
    assert_true(st.st_size > 8 << 20);
    assert_true(st.st_size + (int64_t)MEMORY > spill_bytes(s));
    assert_int_equal(st.st_nlink, 0);
    assert_int_equal(names_in_dir(), 0);
    for (unsigned i = 1; i <= 20000; i++)
        take(i, 1000);
    assert_empty();
    assert_true(find_file(&st));
    assert_int_equal(st.st_size, 0);
}

/* Reader and writer by turns, so that memory and file change places again and again. */
static void order_holds_while_both_ends_move(void **state)
{
    unsigned in = 0, out = 0;
    (void)state;
    srand(7);
    while (out < 60000) {
        unsigned more = (unsigned)rand() % 2000, less = (unsigned)rand() % 2200;
        for (; more-- && in < 60000;)
            add(++in, 500);
        for (; less-- && out < in;)
            take(++out, 500);
    }
    assert_empty();
}

static void large_records_come_back_whole(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 40; i++)
        add(i, (1 << 20) - 1);
    for (unsigned i = 1; i <= 40; i++)
        take(i, (1 << 20) - 1);
    assert_empty();
}

static void what_was_read_gives_its_room_back(void **state)
{
    struct stat before, after;
    (void)state;
    for (unsigned i = 1; i <= 160; i++)
        add(i, (1 << 20) - 1);
    assert_true(find_file(&before));
    for (unsigned i = 1; i <= 120; i++)
        take(i, (1 << 20) - 1);
    assert_true(find_file(&after));
    assert_true(after.st_blocks < before.st_blocks / 2);
}

static void clearing_throws_everything_away(void **state)
{
    struct stat st;
    (void)state;
    for (unsigned i = 1; i <= 5000; i++)
        add(i, 1000);
    take(1, 1000);
    spill_clear(s);
    assert_empty();
    assert_false(find_file(&st));
    add(9, 1000);
    take(9, 1000);
}

/* The limit on a file's size stands for a disk that is full. */
static void a_full_disk_is_an_error_that_says_so(void **state)
{
    struct rlimit before, small = {0};
    bool worked = true;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    char data[1000] = {0};
    for (int i = 0; i < 5000 && worked; i++)
        worked = spill_add(s, 1, data, sizeof data, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(worked);
    assert_int_equal(e.code, ERR_IO);
    assert_non_null(strstr(e.text, "File too large"));
    assert_true(e.hint[0]);
    spill_clear(s);
    add(3, 1000);
    take(3, 1000);
}

static void a_missing_directory_is_an_error(void **state)
{
    char data[1000] = {0};
    bool worked = true;
    (void)state;
    spill_free(s);
    s = spill_new("/nowhere/at/all", MEMORY);
    for (int i = 0; i < 1000 && worked; i++)
        worked = spill_add(s, 1, data, sizeof data, &e);
    assert_false(worked);
    assert_int_equal(e.code, ERR_IO);
}

static void stale_files_are_removed_and_no_others(void **state)
{
    (void)state;
    tempdir_write(dir, "spill.AbCdEf", "x", 1);
    tempdir_write(dir, "catalog.db", "x", 1);
    spill_remove_stale(dir);
    assert_int_equal(names_in_dir(), 1);
    assert_int_equal(access(tempdir_path(dir, "catalog.db"), R_OK), 0);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(few_records_stay_in_memory),
        CASE(many_records_go_to_a_file_without_a_name),
        CASE(order_holds_while_both_ends_move),
        CASE(large_records_come_back_whole),
        CASE(what_was_read_gives_its_room_back),
        CASE(clearing_throws_everything_away),
        CASE(a_full_disk_is_an_error_that_says_so),
        CASE(a_missing_directory_is_an_error),
        CASE(stale_files_are_removed_and_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
