/* Which source transactions share a batch, when a batch is due, and what it counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "stream/batch.h"

static struct batch_queue q;

static int64_t now(void)
{
    return clock_mono_ms();
}

static void open_queue(int64_t max_changes, int64_t max_bytes, int64_t wait_ms)
{
    struct batch_limits limits = {
        .max_changes = max_changes, .max_bytes = max_bytes, .wait_ms = wait_ms};
    batch_queue_init(&q, &limits, 4);
}

static int close_queue(void **state)
{
    (void)state;
    batch_queue_free(&q);
    return 0;
}

/* A whole source transaction of n changes of size bytes. */
static void transaction(lsn_t end_lsn, int n, size_t size)
{
    q.is_in_transaction = true;
    for (int i = 0; i < n; i++)
        batch_add(&q, 0, PGO_INSERT, size);
    q.is_in_transaction = false;
    batch_commit_seen(&q, end_lsn, (int64_t)end_lsn * 10);
}

static void an_empty_batch_is_never_due(void **state)
{
    (void)state;
    open_queue(1, 1, 0);
    assert_true(batch_is_empty(&q));
    assert_false(batch_is_due(&q, true, now()));
    batch_commit_seen(&q, 5, 5); /* a transaction that held nothing for us */
    assert_true(batch_is_empty(&q));
    assert_false(batch_is_due(&q, true, now()));
    assert_int_equal(batch_deadline(&q), 0);
}

static void it_is_full_by_changes_or_by_bytes(void **state)
{
    (void)state;
    open_queue(10, 1000, 0);
    transaction(1, 9, 1);
    assert_false(batch_is_due(&q, false, now()));
    transaction(2, 1, 1);
    assert_true(batch_is_due(&q, false, now()));
    batch_close(&q);
    transaction(3, 1, 999);
    assert_false(batch_is_due(&q, false, now()));
    transaction(4, 1, 1);
    assert_true(batch_is_due(&q, false, now()));
}

static void it_is_never_due_inside_a_source_transaction(void **state)
{
    (void)state;
    open_queue(10, 1000, 5);
    transaction(1, 1, 1);
    q.is_in_transaction = true;
    for (int i = 0; i < 1000; i++)
        batch_add(&q, 1, PGO_UPDATE, 100);
    assert_false(batch_is_due(&q, true, now() + 100000));
    assert_int_equal(batch_deadline(&q), 0);
    q.is_in_transaction = false;
    batch_commit_seen(&q, 2, 2);
    assert_true(batch_is_due(&q, false, now()));
    assert_int_equal(batch_close(&q)->transactions, 2);
}

/* At once when the source is dry; but while a batch is being committed, the next one fills. */
static void a_dry_source_ends_a_batch_when_none_is_under_way(void **state)
{
    (void)state;
    open_queue(10, 1000, 0);
    transaction(1, 1, 1);
    assert_false(batch_is_due(&q, false, q.open.opened_at + 10));
    assert_true(batch_is_due(&q, false, q.open.opened_at + 30)); /* the source never falls silent */
    assert_true(batch_is_due(&q, true, now()));
    assert_int_equal(batch_deadline(&q), 0);
    batch_close(&q);
    transaction(2, 1, 1);
    assert_false(batch_is_due(&q, true, now()));
    transaction(3, 9, 1);
    assert_true(batch_is_due(&q, true, now())); /* full is full */
    batch_committed(&q);                        /* not durable yet, but nothing to wait for */
    assert_int_equal(q.n, 1);
    batch_close(&q);
    transaction(4, 1, 1);
    assert_false(batch_is_due(&q, true, now()));
    batch_committed(&q);
    assert_true(batch_is_due(&q, true, now()));
    for (lsn_t lsn = 1; lsn < 4; lsn += 2) {
        struct batch b = batch_pop(&q);
        assert_int_equal(b.end_lsn, lsn);
        batch_done(&b);
    }
    assert_int_equal(q.n_done, 0);
}

static void a_batch_that_waits_is_due_by_its_age(void **state)
{
    (void)state;
    open_queue(10, 1000, 5000);
    int64_t before = now();
    transaction(1, 1, 1);
    int64_t after = now();
    assert_false(batch_is_due(&q, true, after + 4000));
    assert_false(batch_is_due(&q, true, before + 4999));
    assert_true(batch_is_due(&q, true, after + 5000));
    assert_true(batch_is_due(&q, false, after + 5000));
    assert_in_range(batch_deadline(&q), before + 5000, after + 5000);
    q.open.opened_at -= 100;
    int64_t deadline = batch_deadline(&q);
    transaction(2, 1, 1); /* the first change counts, not the last */
    assert_int_equal(batch_deadline(&q), deadline);
    transaction(3, 8, 1);
    assert_true(batch_is_due(&q, false, after)); /* full is due at once */
    batch_close(&q);
    assert_int_equal(batch_deadline(&q), 0);
}

static void it_counts_each_table_by_itself(void **state)
{
    (void)state;
    open_queue(100, 1000, 0);
    q.is_in_transaction = true;
    batch_add(&q, 2, PGO_INSERT, 10);
    batch_add(&q, 2, PGO_INSERT, 10);
    batch_add(&q, 0, PGO_DELETE, 10);
    batch_add(&q, 2, PGO_UPDATE, 10);
    batch_emptied(&q, 0, 77);
    batch_commit_seen(&q, 7, 70);
    q.is_in_transaction = false;
    const struct batch *b = batch_close(&q);
    assert_int_equal(b->changes, 5);
    assert_int_equal(b->bytes, 40);
    assert_int_equal(b->end_lsn, 7);
    assert_int_equal(b->commit_time, 70);
    assert_int_equal(b->n_deltas, 2);
    assert_int_equal(b->deltas[0].table, 2);
    assert_int_equal(b->deltas[0].inserted, 2);
    assert_int_equal(b->deltas[0].updated, 1);
    assert_int_equal(b->deltas[0].deleted, 0);
    assert_int_equal(b->deltas[1].table, 0);
    assert_int_equal(b->deltas[1].deleted, 1);
    batch_add(&q, 2, PGO_DELETE, 1); /* the next batch counts from nothing */
    b = batch_close(&q);
    assert_int_equal(b->n_deltas, 1);
    assert_int_equal(b->deltas[0].inserted, 0);
    assert_int_equal(b->deltas[0].deleted, 1);
    assert_int_equal(b->transactions, 0);
}

static void batches_leave_in_the_order_of_their_closing(void **state)
{
    (void)state;
    open_queue(1, 1000, 0);
    for (lsn_t i = 1; i <= 50; i++) {
        transaction(i, 1, 1);
        assert_int_equal(batch_close(&q)->end_lsn, i);
        assert_true(batch_is_empty(&q));
    }
    assert_int_equal(q.n, 50);
    for (lsn_t i = 1; i <= 40; i++) {
        batch_committed(&q);
        struct batch b = batch_pop(&q);
        assert_int_equal(b.end_lsn, i);
        assert_int_equal(b.n_deltas, 1);
        batch_done(&b);
    }
    assert_int_equal(q.n, 10); /* the rest is freed with the queue */
}

#define QUEUE_TEST(test) cmocka_unit_test_teardown(test, close_queue)

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(an_empty_batch_is_never_due),
        QUEUE_TEST(it_is_full_by_changes_or_by_bytes),
        QUEUE_TEST(it_is_never_due_inside_a_source_transaction),
        QUEUE_TEST(a_dry_source_ends_a_batch_when_none_is_under_way),
        QUEUE_TEST(a_batch_that_waits_is_due_by_its_age),
        QUEUE_TEST(it_counts_each_table_by_itself),
        QUEUE_TEST(batches_leave_in_the_order_of_their_closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
