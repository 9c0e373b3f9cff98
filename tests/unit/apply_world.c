/* An apply with a destination of its own; see apply_world.h. */
#include "tests/unit/apply_world.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

struct world w;

static char public_name[] = "public", d_name[] = "d";
static char table_names[3][8] = {"t", "u", "nowhere"};

/* --- the world of a test --------------------------------------------------------------------- */

static void committed(void *arg, const struct batch *b)
{
    (void)arg;
    assert_true(b->end_lsn >= w.last); /* a batch of replayed changes moves nothing */
    w.last = b->end_lsn;
    w.batches++;
    w.transactions += b->transactions;
    for (size_t i = 0; i < b->n_deltas; i++) {
        w.inserted += b->deltas[i].inserted;
        w.updated += b->deltas[i].updated;
        w.deleted += b->deltas[i].deleted;
    }
}

static void missed(void *arg, const struct apply_miss *miss)
{
    (void)arg;
    assert_int_equal(miss->table, 0);
    assert_true(miss->kind == PGO_UPDATE || miss->kind == PGO_DELETE);
    w.missed += (int)miss->n;
    w.miss = *miss;
}

static void refused(void *arg, const struct apply_miss *what, enum err_code code)
{
    (void)arg;
    w.miss = *what;
    w.refused = code;
}

int world_open(void **state)
{
    struct progress p = {.slot_lsn = START, .slot = "s", .system_id = "1"};
    (void)state;
    w = (struct world){.c = cluster_connect(PG_SQL), .dest = cluster_connect(PG_APPLY)};
    run_sql(w.c, "DROP SCHEMA IF EXISTS _bunnydb, d CASCADE; CREATE SCHEMA d;"
                 "CREATE TABLE d.t (id int PRIMARY KEY, v text); CREATE TABLE d.u (LIKE d.t)");
    for (size_t i = 0; i < COUNT_OF(table_names); i++)
        w.tables[i] = (struct schema_table){.oid = T + (uint32_t)i,
                                            .schema = public_name,
                                            .name = table_names[i],
                                            .dest_schema = d_name,
                                            .dest_name = table_names[i]};
    w.schema = (struct schema){.n_tables = COUNT_OF(w.tables), .tables = w.tables};
    /* the session of the world before may not have ended yet */
    assert_true(progress_open(w.c, NULL, ID, NULL, 10000, &w.e));
    assert_true(progress_start(w.c, NULL, ID, "mirror", &p, &w.e));
    w.o = (struct apply_options){.mirror = "mirror",
                                 .mirror_id = ID,
                                 .epoch = p.epoch,
                                 .schema = &w.schema,
                                 .limits = {.max_changes = 1000, .max_bytes = 1 << 20},
                                 .window = 1 << 20,
                                 .committed = committed,
                                 .missed = missed,
                                 .refused = refused};
    return 0;
}

int world_close(void **state)
{
    (void)state;
    apply_free(w.a);
    pg_close(w.dest, true);
    pg_close(w.c, true);
    return 0;
}

/* --- short ways ------------------------------------------------------------------------------ */

void ok(bool worked)
{
    if (!worked)
        fail_msg("%s %s %s", err_name(w.e.code), w.e.sqlstate, w.e.text);
}

bool feed(const struct pgo_message *m)
{
    return apply_message(w.a, m, 10, &w.e);
}

bool feed_bytes(const struct pgo_message *m)
{
    struct buf b = {0};
    enum pgo_kind kind;
    sample_encode(m, &b);
    bool worked = apply_bytes(w.a, b.data, b.len, 10, &kind, &w.e);
    buf_free(&b);
    return worked;
}

void begin(lsn_t commit_lsn)
{
    ok(feed(sample_begin(&w.s, commit_lsn)));
}

void commit(lsn_t commit_lsn)
{
    ok(feed(sample_commit(&w.s, commit_lsn, commit_lsn + 5)));
}

void insert(uint32_t oid, const char *id, const char *v)
{
    ok(feed(sample_insert(&w.s, oid, ROW(id, v))));
}

void insert_alone(lsn_t commit_lsn, uint32_t oid, const char *id, const char *v)
{
    begin(commit_lsn);
    insert(oid, id, v);
    commit(commit_lsn);
}

void open_apply(void)
{
    ok(apply_new(w.dest, NULL, &w.o, START, &w.a, &w.e));
    ok(feed(sample_relation(&w.s, T, "t", ROW("*id", "v"))));
    ok(feed(sample_relation(&w.s, U, "u", ROW("*id", "v"))));
}

bool settle(bool is_dry)
{
    struct timespec pause = {.tv_nsec = 1000000};
    int64_t until = clock_mono_ms() + 10000;
    while (clock_mono_ms() < until) {
        if (!apply_pump(w.a, is_dry, &w.e))
            return false;
        if (apply_is_idle(w.a))
            return true;
        nanosleep(&pause, NULL);
    }
    fail_msg("never idle");
    return false;
}

void pump_ms(int ms)
{
    struct timespec pause = {.tv_nsec = 1000000};
    for (int64_t until = clock_mono_ms() + ms; clock_mono_ms() < until;) {
        ok(apply_pump(w.a, true, &w.e));
        nanosleep(&pause, NULL);
    }
}

void assert_rows(const char *sql, const char *wanted)
{
    struct pg_result *r;
    ok(pg_exec(w.c, NULL, 5000, sql, &r, &w.e));
    assert_string_equal(pg_text(r, 0, 0), wanted);
    pg_free(r);
}

int world_start_cluster(void **state)
{
    (void)state;
    log_to_fd(-1, LOG_LEVEL_INFO);
    cluster_start("");
    return 0;
}

int world_stop_cluster(void **state)
{
    (void)state;
    cluster_stop();
    return 0;
}
