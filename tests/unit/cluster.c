/* A throw-away cluster for unit tests; see cluster.h. */
#include "tests/unit/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/server.h"

static struct server server;

void cluster_start(const char *settings)
{
    server_start(&server, settings);
}

void cluster_stop(void)
{
    server_stop(&server);
}

struct pg_target cluster_target(void)
{
    return server_target(&server, "postgres");
}

struct pg_conn *cluster_connect(enum pg_kind kind)
{
    struct err e = {0};
    struct pg_conn *c = NULL;
    struct pg_target target = cluster_target();
    if (!pg_connect(&target, kind, "test", NULL, NULL, 10000, &c, &e))
        fail_msg("connect: %s", e.text);
    return c;
}

void run_sql(struct pg_conn *c, const char *sql)
{
    struct err e = {0};
    if (!pg_exec(c, NULL, 60000, sql, NULL, &e))
        fail_msg("%s: %s %s", sql, e.sqlstate, e.text);
}

int64_t ask(struct pg_conn *c, const char *sql)
{
    struct err e = {0};
    struct pg_result *r = NULL;
    if (!pg_exec(c, NULL, 60000, sql, &r, &e))
        fail_msg("%s: %s %s", sql, e.sqlstate, e.text);
    assert_true(pg_rows(r) >= 1);
    int64_t v = pg_int(r, 0, 0);
    pg_free(r);
    return v;
}

void await(struct pg_conn *c, const char *sql, int64_t wanted)
{
    int64_t deadline = clock_mono_ms() + 5000;
    struct timespec pause = {.tv_nsec = 10000000};
    while (ask(c, sql) != wanted) {
        if (clock_mono_ms() > deadline)
            fail_msg("never became %d: %s", (int)wanted, sql);
        nanosleep(&pause, NULL);
    }
}

void assert_error(const struct err *e, enum err_code code, const char *sqlstate)
{
    if (e->code != code || strcmp(e->sqlstate, sqlstate) != 0)
        fail_msg("wanted %s \"%s\", got %s \"%s\": %s", err_name(code), sqlstate, err_name(e->code),
                 e->sqlstate, e->text);
}

static bool is_due(void *arg)
{
    const struct timed *t = arg;
    return t->cancel_at && clock_mono_ms() >= t->cancel_at;
}

static void count_tick(void *arg)
{
    struct timed *t = arg;
    t->ticks++;
}

void timed_init(struct timed *t, int cancel_after_ms)
{
    *t = (struct timed){.task = {.wake_fd = -1,
                                 .is_cancelled = is_due,
                                 .tick = count_tick,
                                 .arg = t,
                                 .tick_ms = 20},
                        .cancel_at = cancel_after_ms ? clock_mono_ms() + cancel_after_ms : 0};
}
