/* An apply with a destination of its own, for tests that feed it message by message. One at a time;
 * every failure fails the running test. */
#ifndef BUNNY_TEST_APPLY_WORLD_H
#define BUNNY_TEST_APPLY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "stream/apply.h"
#include "tests/unit/cluster.h"
#include "tests/unit/stream_samples.h"

#define START 1000 /* the progress in the beginning */
/* OIDs at the source of public.t, public.u, public.nowhere; d.t (id int PRIMARY KEY, v text) and
 * d.u (the same without a key) are at the destination. */
#define T 11
#define U 12
#define NOWHERE 13
#define ID "m1"
#define PROGRESS "SELECT lsn - '0/0'::pg_lsn FROM _bunnydb.progress"

struct world {
    struct pg_conn *c;    /* looks on */
    struct pg_conn *dest; /* the apply's */
    struct apply *a;
    struct apply_options o; /* may be changed before open_apply */
    struct schema schema;
    struct schema_table tables[3];
    struct sample s;
    struct err e;
    int batches, missed;    /* what the apply told */
    struct apply_miss miss; /* the last one */
    enum err_code refused;
    int64_t transactions, inserted, updated, deleted;
    lsn_t last;
};
extern struct world w;

/* Set-up and tear-down of a group and of a test. */
int world_start_cluster(void **state);
int world_stop_cluster(void **state);
int world_open(void **state);
int world_close(void **state);
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

/* Makes the apply and tells it t and u, with id as the key. */
void open_apply(void);
/* Fails the test with w.e unless worked. */
void ok(bool worked);
bool feed(const struct pgo_message *m);
bool feed_bytes(const struct pgo_message *m); /* as it comes from the source */
void begin(lsn_t commit_lsn);
/* end_lsn is commit_lsn + 5. */
void commit(lsn_t commit_lsn);
void insert(uint32_t oid, const char *id, const char *v);
/* A transaction of one INSERT. */
void insert_alone(lsn_t commit_lsn, uint32_t oid, const char *id, const char *v);
/* Pumps until nothing is under way, or until it fails; false with w.e then. */
bool settle(bool is_dry);
/* Pumps for a while what cannot become idle. */
void pump_ms(int ms);
/* The first cell of sql. */
void assert_rows(const char *sql, const char *wanted);
#define ROWS_OF(table) \
    "SELECT string_agg(id || '=' || coalesce(v, 'NULL'), ' ' ORDER BY id, v) FROM d." table

#endif
