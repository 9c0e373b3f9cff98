/* The throw-away server of a unit test program (server.h), and short ways to use it. */
#ifndef BUNNY_TEST_CLUSTER_H
#define BUNNY_TEST_CLUSTER_H

#include "pg/pg.h"

/* The cluster of this program; settings: "'name=value' 'name=value'" for postgresql.conf. */
void cluster_start(const char *settings);
void cluster_stop(void);
/* postgres over the Unix socket. */
struct pg_target cluster_target(void);
/* A session, or the test fails. */
struct pg_conn *cluster_connect(enum pg_kind kind);
/* Runs sql, or the test fails. */
void run_sql(struct pg_conn *c, const char *sql);
/* The first cell as a number, or the test fails. */
int64_t ask(struct pg_conn *c, const char *sql);
/* Waits up to 5 s until the first cell of sql is wanted. */
void await(struct pg_conn *c, const char *sql, int64_t wanted);
/* Fails the test when an error has another code or SQLSTATE ("" for none). */
void assert_error(const struct err *e, enum err_code code, const char *sqlstate);

/* A task that is cancelled at a point of the monotonic clock (0: never) and counts its ticks. */
struct timed {
    struct task task;
    int64_t cancel_at;
    int ticks;
};
void timed_init(struct timed *t, int cancel_after_ms);

#endif
