/* The roster: pictures of all mirrors that are shared by many threads, holds that keep a mirror
 * alive, subscribers. The mirrors are paused, their servers are not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wake.h"
#include "control/roster.h"
#include "control/supervisor.h"
#include "tests/unit/catalog_samples.h"
#include "tests/unit/tempdir.h"

#define RUN_MS 500

static char *dir;
static struct engine *e;
static struct err err;
static const struct mirror_request force = {.command = MIRROR_FORCE_DELETE, .by = "test"};

static void add_peer(const char *name)
{
    struct peer p = sample_peer(name);
    free(p.host);
    p.host = mem_strdup("127.0.0.1");
    p.port = 1; /* refuses at once */
    OK(catalog_peer_insert(e->catalog, &p, &err));
    peer_free(&p);
}

static struct mirror *add_mirror(const char *name, bool is_started)
{
    struct mirror_row row = sample_mirror(name, name);
    OK(catalog_mirror_insert(e->catalog, &row, &err));
    struct mirror *m = mirror_new(e, &row);
    roster_add(e->roster, m);
    if (is_started)
        OK(mirror_start(m, &err));
    return m;
}

static int setup(void **state)
{
    struct engine_options options = {.catalog_only = true};
    (void)state;
    log_to_fd(-1, LOG_LEVEL_INFO);
    dir = tempdir_new();
    options.state_dir = dir;
    OK(engine_open(&options, &e, &err));
    add_peer("src");
    add_peer("Dst");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    engine_close(e, 5000);
    tempdir_free(dir);
    return 0;
}

/* --- one thread ------------------------------------------------------------------------------- */

static void a_picture_shows_all_by_name(void **state)
{
    (void)state;
    const struct picture *p = engine_picture(e);
    assert_int_equal(p->n, 0);
    picture_release(p);
    add_mirror("zebra", false);
    add_mirror("apple", false);
    add_mirror("Mole", false);
    p = engine_picture(e);
    assert_int_equal(p->n, 3);
    assert_string_equal(p->mirrors[0].name, "Mole");
    assert_string_equal(p->mirrors[1].name, "apple");
    assert_string_equal(p->mirrors[2].name, "zebra");
    assert_int_equal(p->mirrors[1].state, MIRROR_PAUSED);
    assert_int_equal(p->mirrors[1].n_tables, 2);
    assert_ptr_equal(picture_find(p, "zebra"), &p->mirrors[2]);
    assert_null(picture_find(p, "mole"));
    picture_release(p);
}

static void a_picture_stays_as_it_was(void **state)
{
    struct mirror_status s = {.name = "m", .last_batch_id = 7};
    struct mirror *m = add_mirror("m", false);
    (void)state;
    const struct picture *before = engine_picture(e), *same = engine_picture(e);
    assert_ptr_equal(before, same); /* nothing changed: nothing is drawn */
    board_publish(mirror_board(m), &s, 0);
    const struct picture *after = engine_picture(e);
    assert_true(after->version > before->version);
    assert_int_equal(after->mirrors[0].last_batch_id, 7);
    assert_int_equal(after->mirrors[0].n_tables, 0);
    assert_int_equal(before->mirrors[0].last_batch_id, 0);
    assert_int_equal(before->mirrors[0].n_tables, 2);
    picture_release(same);
    assert_string_equal(before->mirrors[0].name, "m"); /* one hold is left */
    picture_release(before);
    picture_release(after);
    picture_release(NULL);
}

static void a_held_picture_outlives_the_engine(void **state)
{
    (void)state;
    add_mirror("m", true);
    const struct picture *p = engine_picture(e);
    engine_close(e, 5000);
    e = NULL;
    assert_string_equal(p->mirrors[0].tables[0].source, "Public \"x\".Zebra");
    picture_release(p);
}

static bool is_signalled(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool is = poll(&p, 1, 0) == 1;
    wake_clear(fd);
    return is;
}

static void subscribers_hear_of_changes(void **state)
{
    int one = wake_new(), two = wake_new();
    (void)state;
    engine_subscribe(e, one);
    engine_subscribe(e, two);
    roster_changed(e->roster);
    assert_true(is_signalled(one));
    assert_true(is_signalled(two));
    assert_false(is_signalled(one));
    engine_unsubscribe(e, one);
    add_mirror("m", false);
    assert_false(is_signalled(one));
    assert_true(is_signalled(two));
    engine_unsubscribe(e, two);
    wake_free(one);
    wake_free(two);
}

/* Without its servers only a forced deletion ends; who holds the mirror may go on using it. */
static void a_held_mirror_is_not_freed(void **state)
{
    char *left = NULL;
    (void)state;
    add_mirror("a", true);
    add_mirror("b", true);
    struct mirror *held = roster_hold(e->roster, "b");
    assert_non_null(held);
    assert_null(roster_hold(e->roster, "c"));
    OK(engine_mirror_command(e, "b", &force, 20000, &left, &err));
    assert_non_null(left);
    free(left);
    for (int64_t until = clock_mono_ms() + 5000; clock_mono_ms() < until;) {
        struct mirror *m = roster_hold(e->roster, "b");
        roster_reap(e->roster);
        if (!m)
            break;
        roster_release(e->roster, m);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_null(roster_hold(e->roster, "b"));
    assert_string_equal(mirror_name(held), "b");
    const struct picture *p = engine_picture(e);
    assert_int_equal(p->n, 1);
    assert_string_equal(p->mirrors[0].name, "a");
    picture_release(p);
    roster_release(e->roster, held);
    roster_reap(e->roster);
}

static int descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

/* Nobody need give another command for that. */
static void a_mirror_that_was_held_when_it_went_is_freed_later(void **state)
{
    char *left = NULL;
    struct supervisor *s;
    int before = descriptors();
    (void)state;
    add_mirror("b", true);
    struct mirror *held = roster_hold(e->roster, "b");
    OK(engine_mirror_command(e, "b", &force, 20000, &left, &err));
    free(left);
    roster_release(e->roster, held);
    assert_true(descriptors() > before);
    OK(supervisor_start(e->roster, &s, &err));
    int with_it = before + 1; /* its own wake-up */
    for (int64_t until = clock_mono_ms() + 20000;
         descriptors() != with_it && clock_mono_ms() < until;)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_int_equal(descriptors(), with_it);
    supervisor_end(s);
    assert_int_equal(descriptors(), before);
}

/* --- many threads ----------------------------------------------------------------------------- */

static atomic_bool stop;

/* These return what was wrong, NULL if nothing: assertions belong to the test's own thread. */
static void *look(void *arg)
{
    uint64_t version = 0;
    const struct picture *kept = NULL;
    const char *wrong = NULL;
    (void)arg;
    while (!wrong && !atomic_load(&stop)) {
        const struct picture *p = engine_picture(e);
        if (p->version < version)
            wrong = "a picture older than the last one";
        version = p->version;
        for (size_t i = 0; i < p->n; i++) {
            const struct mirror_status *m = &p->mirrors[i];
            if (i && strcmp(p->mirrors[i - 1].name, m->name) >= 0)
                wrong = "not sorted";
            for (size_t k = 0; k < m->n_tables; k++)
                if (m->last_batch_id && m->tables[k].rows_synced != m->last_batch_id)
                    wrong = "tables of another moment";
        }
        if (kept && kept->n && !picture_find(kept, kept->mirrors[0].name))
            wrong = "a kept picture changed";
        if (version % 3 == 0) { /* keeps one for longer */
            picture_release(kept);
            kept = p;
        } else {
            picture_release(p);
        }
    }
    picture_release(kept);
    return (void *)(uintptr_t)wrong;
}

static void *publish(void *arg)
{
    const char *name = arg;
    for (int64_t i = 1; !atomic_load(&stop); i++) {
        struct mirror *m = roster_hold(e->roster, name);
        struct table_status table = {.rows_synced = i};
        struct mirror_status s = {.n_tables = (size_t)i % 2, .tables = &table, .last_batch_id = i};
        if (!m)
            return (void *)(uintptr_t) "a mirror is missing";
        str_copy(s.name, sizeof s.name, name);
        board_publish(mirror_board(m), &s, 0);
        roster_release(e->roster, m);
    }
    return NULL;
}

static bool all_but(void *arg, struct mirror *m)
{
    return strcmp(mirror_name(m), arg) != 0;
}

/* One of them leaves the roster while it is held. */
static void many_are_held_at_once(void **state)
{
    (void)state;
    char *left = NULL;
    size_t n;
    add_mirror("a", false);
    add_mirror("b", true);
    add_mirror("c", false);
    add_mirror("d", false);
    struct mirror **held = roster_hold_all(e->roster, all_but, (char[]){"c"}, &n);
    assert_int_equal(n, 3);
    assert_string_equal(mirror_name(held[0]), "a");
    assert_string_equal(mirror_name(held[1]), "b");
    assert_string_equal(mirror_name(held[2]), "d");
    OK(engine_mirror_command(e, "b", &force, 20000, &left, &err));
    free(left);
    for (int64_t until = clock_mono_ms() + 20000; !mirror_is_gone(held[1]);) {
        assert_true(clock_mono_ms() < until);
        (void)poll(NULL, 0, 1);
    }
    roster_reap(e->roster);
    assert_string_equal(mirror_name(held[1]), "b"); /* still there */
    roster_release_all(e->roster, held, n);
    free(held);
    roster_reap(e->roster); /* frees it: nobody holds it any more, or the sanitizer says so */
    assert_null(roster_hold(e->roster, "b"));
    held = roster_hold_all(e->roster, all_but, (char[]){""}, &n);
    assert_int_equal(n, 3);
    roster_release_all(e->roster, held, n);
    free(held);
}

static void *come_and_go(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        struct mirror *m;
        int fd = wake_new();
        engine_subscribe(e, fd);
        engine_peer_changed(e, "src");
        for (size_t i = 0; (m = roster_hold_at(e->roster, i)); i++)
            roster_release(e->roster, m);
        size_t n;
        struct mirror **held = roster_hold_all(e->roster, all_but, (char[]){"none"}, &n);
        roster_release_all(e->roster, held, n);
        free(held);
        engine_unsubscribe(e, fd);
        wake_free(fd);
    }
    return NULL;
}

static void many_threads_look_while_mirrors_come_and_go(void **state)
{
    static char a[] = "a", b[] = "b";
    static const struct {
        void *(*run)(void *arg);
        void *arg;
    } work[] = {{look, NULL},        {look, NULL}, {look, NULL},
                {come_and_go, NULL}, {publish, a}, {publish, b}};
    pthread_t threads[COUNT_OF(work)];
    (void)state;
    add_mirror(a, false);
    add_mirror(b, false);
    atomic_store(&stop, false);
    for (size_t i = 0; i < COUNT_OF(work); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work[i].run, work[i].arg), 0);
    for (int64_t until = clock_mono_ms() + RUN_MS, i = 0; clock_mono_ms() < until; i++) {
        char name[16], *left = NULL;
        str_printf(name, sizeof name, "m%d", (int)i);
        add_mirror(name, true);
        OK(engine_mirror_command(e, name, &force, 20000, &left, &err));
        free(left);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < COUNT_OF(work); i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        if (wrong)
            fail_msg("%s", (const char *)wrong);
    }
}

#define ROSTER_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROSTER_TEST(a_picture_shows_all_by_name),
        ROSTER_TEST(a_picture_stays_as_it_was),
        ROSTER_TEST(a_held_picture_outlives_the_engine),
        ROSTER_TEST(subscribers_hear_of_changes),
        ROSTER_TEST(a_held_mirror_is_not_freed),
        ROSTER_TEST(a_mirror_that_was_held_when_it_went_is_freed_later),
        ROSTER_TEST(many_are_held_at_once),
        ROSTER_TEST(many_threads_look_while_mirrors_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
