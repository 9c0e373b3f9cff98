/* Transactions that are sent before they end: what has committed comes out as any other, in its
 * place, without what was rolled back, and each change behind what was told of its relation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/mem.h"
#include "stream/inprogress.h"
#include "stream/pgoutput.h"
#include "tests/unit/tempdir.h"

static char *dir;
static struct inprogress *p;
static struct buf out; /* what was applied, in short */
static struct err e;

static int set_up(void **state)
{
    (void)state;
    dir = tempdir_new();
    p = inprogress_new(dir);
    err_clear(&e);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    inprogress_free(p);
    buf_free(&out);
    out = (struct buf){0};
    tempdir_free(dir);
    return 0;
}

/* --- the server --------------------------------------------------------------------------------
 */

static char *bytes_of(struct buf *b, size_t *len)
{
    char *copy = mem_calloc(b->len + 1, 1);
    memcpy(copy, b->data, b->len);
    *len = b->len;
    buf_free(b);
    return copy;
}

static void apply(char *data, size_t len)
{
    static struct pgo_decoder *decoder;
    struct pgo_message m;
    if (!decoder)
        decoder = pgo_new();
    assert_true(pgo_decode(decoder, data, len, &m, &e));
    if (m.kind == PGO_BEGIN)
        buf_printf(&out, "B%d ", (int)m.commit_lsn);
    else if (m.kind == PGO_COMMIT)
        buf_printf(&out, "C%d-%d@%lld ", (int)m.commit_lsn, (int)m.end_lsn,
                   (long long)(m.commit_time - 946684800000000LL));
    else if (m.kind == PGO_RELATION)
        buf_printf(&out, "R%u:%s ", m.relation, m.table);
    else if (m.kind == PGO_TRUNCATE)
        buf_printf(&out, "T%u,%u ", m.relations[0], m.relations[1]);
    else
        buf_printf(&out, "I%u:%s ", m.relation, m.next.values[0].data);
}

static void apply_with_owed(char *data, size_t len)
{
    struct inprogress_message m;
    while (inprogress_owes(p, data, len, &m))
        apply(m.data, m.len);
    apply(data, len);
}

/* As the stream does it. */
static void send(struct buf *b)
{
    size_t len;
    bool is_kept;
    char *data = bytes_of(b, &len);
    struct inprogress_message m;
    assert_true(inprogress_take(p, data, len, &is_kept, &e));
    if (!is_kept)
        apply_with_owed(data, len);
    free(data);
    while (inprogress_comes(p)) {
        assert_int_equal(inprogress_next(p, &m, &e), 1);
        apply_with_owed(m.data, m.len);
    }
}

static void head(struct buf *b, char type, uint32_t xid)
{
    *b = (struct buf){0};
    buf_putc(b, type);
    if (xid)
        buf_be32(b, xid);
}

static void start(uint32_t xid, bool is_first)
{
    struct buf b;
    head(&b, 'S', xid);
    buf_putc(&b, is_first);
    send(&b);
}

static void stop(void)
{
    struct buf b;
    head(&b, 'E', 0);
    send(&b);
}

static void relation(uint32_t xid, uint32_t oid, const char *name)
{
    struct buf b;
    head(&b, 'R', xid);
    buf_be32(&b, oid);
    buf_add(&b, "s", 2);
    buf_add(&b, name, strlen(name) + 1);
    buf_putc(&b, 'd');
    buf_be16(&b, 0);
    send(&b);
}

static void insert(uint32_t xid, uint32_t oid, const char *value)
{
    struct buf b;
    head(&b, 'I', xid);
    buf_be32(&b, oid);
    buf_putc(&b, 'N');
    buf_be16(&b, 1);
    buf_putc(&b, 't');
    buf_be32(&b, (uint32_t)strlen(value));
    buf_add(&b, value, strlen(value));
    send(&b);
}

static void truncate_both(uint32_t xid, uint32_t one, uint32_t two)
{
    struct buf b;
    head(&b, 'T', xid);
    buf_be32(&b, 2);
    buf_putc(&b, 0);
    buf_be32(&b, one);
    buf_be32(&b, two);
    send(&b);
}

static void end(char type, uint32_t xid, int lsn)
{
    struct buf b;
    head(&b, type, xid);
    buf_putc(&b, 0);
    buf_be64(&b, (uint64_t)lsn);
    buf_be64(&b, (uint64_t)lsn + 1);
    buf_be64(&b, 77);
    send(&b);
}

static void begin(int lsn)
{
    struct buf b;
    head(&b, 'B', 0);
    buf_be64(&b, (uint64_t)lsn);
    buf_be64(&b, 77);
    buf_be32(&b, 5);
    send(&b);
}

static void roll_back(uint32_t xid, uint32_t sub)
{
    struct buf b;
    head(&b, 'A', xid);
    buf_be32(&b, sub);
    send(&b);
}

static void assert_applied(const char *expected)
{
    assert_string_equal(buf_text(&out), expected);
}

/* --- what comes out ----------------------------------------------------------------------------
 */

static void it_comes_in_the_place_of_its_commit(void **state)
{
    (void)state;
    start(10, true);
    relation(10, 1, "a");
    insert(10, 1, "x");
    stop();
    begin(20);
    relation(0, 1, "a");
    insert(0, 1, "between");
    end('C', 0, 20);
    start(10, false);
    insert(10, 1, "y");
    stop();
    assert_applied("B20 R1:a I1:between C20-21@77 ");
    assert_true(inprogress_bytes(p) > 0);
    end('c', 10, 30);
    assert_applied("B20 R1:a I1:between C20-21@77 B30 R1:a I1:x I1:y C30-31@77 ");
    assert_true(inprogress_bytes(p) == 0);
}

static void what_was_rolled_back_does_not(void **state)
{
    (void)state;
    start(10, true);
    relation(10, 1, "a");
    insert(11, 1, "first");
    insert(12, 1, "second");
    truncate_both(12, 1, 1);
    insert(10, 1, "third");
    stop();
    start(20, true);
    relation(20, 1, "a");
    insert(20, 1, "lost");
    stop();
    roll_back(10, 12);
    roll_back(20, 20);
    roll_back(99, 99); /* never sent */
    end('c', 10, 30);
    assert_applied("B30 R1:a I1:first I1:third C30-31@77 ");
    assert_true(inprogress_bytes(p) == 0);
}

static void two_at_a_time(void **state)
{
    (void)state;
    start(10, true);
    relation(10, 1, "a");
    insert(10, 1, "x");
    stop();
    start(20, true);
    relation(20, 1, "a");
    insert(20, 1, "y");
    stop();
    start(10, false);
    insert(10, 1, "z");
    stop();
    end('c', 20, 30);
    end('c', 10, 40);
    assert_applied("B30 R1:a I1:y C30-31@77 B40 R1:a I1:x I1:z C40-41@77 ");
}

static void many_and_large_ones_go_through_the_file(void **state)
{
    char value[2001], one[16];
    struct buf expected = {0};
    (void)state;
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    start(10, true);
    relation(10, 1, "a");
    for (int i = 0; i < 3000; i++) {
        str_printf(one, sizeof one, "%d", i);
        insert(i % 2 ? 10 : 11, 1, one);
        insert(i % 3 ? 10 : 12, 1, value);
    }
    stop();
    roll_back(10, 11);
    buf_puts(&expected, "B30 R1:a ");
    for (int i = 0; i < 3000; i++) {
        if (i % 2)
            buf_printf(&expected, "I1:%d ", i);
        buf_printf(&expected, "I1:%s ", value);
    }
    buf_puts(&expected, "C30-31@77 ");
    end('c', 10, 30);
    assert_true(strcmp(buf_text(&out), buf_text(&expected)) == 0);
    buf_free(&expected);
}

/* --- relations ---------------------------------------------------------------------------------
 */

/* The server does not tell again what it has told in a transaction that has committed. */
static void what_was_told_in_it_counts_afterwards(void **state)
{
    (void)state;
    start(10, true);
    relation(11, 1, "a"); /* in a part that is rolled back */
    insert(11, 1, "x");
    stop();
    roll_back(10, 11);
    end('c', 10, 30);
    assert_applied("B30 C30-31@77 ");
    begin(40);
    insert(0, 1, "y");
    insert(0, 1, "z");
    end('C', 0, 40);
    assert_applied("B30 C30-31@77 B40 R1:a I1:y I1:z C40-41@77 ");
}

static void a_rolled_back_definition_is_not_applied(void **state)
{
    (void)state;
    start(10, true);
    relation(10, 1, "a");
    insert(10, 1, "x");
    relation(11, 1, "never");
    insert(11, 1, "n");
    relation(10, 1, "a"); /* told again, since that was rolled back */
    insert(10, 1, "y");
    stop();
    roll_back(10, 11);
    end('c', 10, 30);
    begin(40);
    insert(0, 1, "z");
    end('C', 0, 40);
    assert_applied("B30 R1:a I1:x R1:a I1:y C30-31@77 B40 I1:z C40-41@77 ");
}

static void one_of_a_part_that_was_rolled_back_counts_for_what_follows(void **state)
{
    (void)state;
    start(10, true);
    relation(11, 1, "a");
    insert(11, 1, "x");
    relation(11, 2, "b");
    truncate_both(10, 1, 2);
    insert(10, 2, "y");
    stop();
    roll_back(10, 11);
    end('c', 10, 30);
    assert_applied("B30 R1:a R2:b T1,2 I2:y C30-31@77 ");
}

/* It was told to others while this one waited. */
static void the_later_one_counts(void **state)
{
    (void)state;
    start(10, true);
    relation(10, 1, "old");
    insert(10, 1, "x");
    stop();
    begin(20);
    relation(0, 1, "new");
    insert(0, 1, "y");
    end('C', 0, 20);
    end('c', 10, 30);
    begin(40);
    insert(0, 1, "z");
    truncate_both(0, 1, 1);
    end('C', 0, 40);
    assert_applied("B20 R1:new I1:y C20-21@77 B30 R1:old I1:x C30-31@77 "
                   "B40 R1:new I1:z T1,1 C40-41@77 ");
}

static void of_one_that_was_rolled_back_nothing_counts(void **state)
{
    (void)state;
    begin(10);
    relation(0, 1, "a");
    insert(0, 1, "x");
    end('C', 0, 10);
    start(20, true);
    relation(20, 1, "never");
    insert(20, 1, "n");
    stop();
    roll_back(20, 20);
    begin(30);
    insert(0, 1, "y");
    end('C', 0, 30);
    assert_applied("B10 R1:a I1:x C10-11@77 B30 I1:y C30-31@77 ");
}

/* --- what is malformed -------------------------------------------------------------------------
 */

static void assert_refused(const char *data, size_t len)
{
    bool is_kept;
    char *copy = mem_calloc(len + 1, 1);
    memcpy(copy, data, len);
    assert_false(inprogress_take(p, copy, len, &is_kept, &e));
    assert_int_equal(e.code, ERR_PROTOCOL);
    free(copy);
    err_clear(&e);
}

static void malformed_messages_are_refused(void **state)
{
    (void)state;
    assert_refused("E", 1);
    assert_refused("S\0\0\0\1", 5);
    assert_refused("S\0\0\0\1\0", 6); /* goes on with one that never began */
    assert_refused("c\0\0\0\1\0", 6);
    assert_refused("A\0\0\0\1", 5);
    assert_refused("c\0\0\0\1\0"
                   "12345678"
                   "12345678"
                   "12345678",
                   30); /* never sent */
    start(1, true);
    assert_refused("S\0\0\0\2\1", 6); /* inside another one */
    assert_refused("c\0\0\0\1\0"
                   "12345678"
                   "12345678"
                   "12345678",
                   30);
    assert_refused("A\0\0\0\1\0\0\0\1", 9);
    assert_refused("B", 1);
    assert_refused("I\0\0\0\1\0", 6);
    assert_refused("", 0);
    stop();
    assert_refused("S\0\0\0\1\1", 6); /* begins twice */
}

/* The limit on a file's size stands for a disk that is full. */
static void a_full_disk_is_an_error(void **state)
{
    struct rlimit before, small;
    char message[10000] = {'I', 0, 0, 0, 10, 0, 0, 0, 1};
    bool worked = true, is_kept;
    (void)state;
    start(10, true);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 1000 && worked; i++) {
        message[0] = 'I';
        memcpy(message + 1, "\0\0\0\12", 4);
        worked = inprogress_take(p, message, sizeof message - 1, &is_kept, &e);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(worked);
    assert_int_equal(e.code, ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_comes_in_the_place_of_its_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_rolled_back_does_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_and_large_ones_go_through_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_told_in_it_counts_afterwards, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rolled_back_definition_is_not_applied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_of_a_part_that_was_rolled_back_counts_for_what_follows,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_later_one_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_one_that_was_rolled_back_nothing_counts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(malformed_messages_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_an_error, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
