/* A copy job between two databases of a throw-away server: what arrives, in what shape, and how a
 * job ends that cannot go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/beat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "copy_pair.h"
#include "tests/unit/server.h"

#define LONG_MS 300000
#define BIG 200000 /* rows; their copy takes long enough to come between */

static struct server server;

/* Everything that tells two tables apart, in whatever order their rows lie. */
#define SUMS                                                                                      \
    "SELECT coalesce(sum(pg_catalog.hashtextextended(x, 0) % 1000000007), 0)::bigint FROM "       \
    "(SELECT "                                                                                    \
    "pg_catalog.query_to_xml(pg_catalog.format('SELECT count(*) AS n, sum("                       \
    "pg_catalog.hashtextextended(t::text, 0)::numeric) AS h FROM ONLY %I.%I t', "                 \
    "n.nspname, c.relname), true, false, '')::text || c.relname AS x FROM pg_catalog.pg_class c " \
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "                                   \
    "WHERE n.nspname = 'public' AND c.relkind = 'r') s"
#define INDEXES                                                                                 \
    "SELECT coalesce(sum(pg_catalog.hashtextextended(tablename || pg_catalog.regexp_replace("   \
    "indexdef, ' INDEX \\S+ ON', ''), 0) % 1000000007), 0)::bigint FROM pg_catalog.pg_indexes " \
    "WHERE schemaname = 'public' AND tablename IN "                                             \
    "(SELECT relname FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p'))"
#define FKEYS                                                                                 \
    "SELECT count(*) FROM pg_catalog.pg_constraint WHERE contype = 'f' AND convalidated AND " \
    "conparentid = 0"

/* A worker whose one side is lost leaves a COPY at the other one, and has to say something there.
 */
static atomic_int confused;

static void count_confusion(void *arg, const struct log_line *line)
{
    (void)arg;
    confused += strstr(line->text, "in the middle of another exchange") != NULL;
}

static void stop_server(void)
{
    server_stop(&server);
}

static void make_database(const char *name)
{
    struct pg_target t = server_target(&server, "postgres");
    struct pg_conn *c;
    struct err e;
    char sql[128];
    assert_true(pg_connect(&t, PG_SQL, "test", NULL, NULL, 10000, &c, &e));
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", name);
    pair_run(c, sql);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE template0", name);
    pair_run(c, sql);
    pg_close(c, false);
}

static void open_pair(struct copy_pair *p)
{
    make_database("a");
    make_database("b");
    pair_open(p, server.sock, server.port, "a", server.sock, server.port, "b");
}

static void finish_well(struct copy_pair *p)
{
    struct err e = {0};
    assert_true(pair_wait(p, LONG_MS));
    bool ok = pair_finish(p, &e);
    if (!ok)
        print_error("%s [%s]\n", e.text, e.sqlstate);
    assert_true(ok);
}

static int count_threads(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/task");
    struct dirent *entry;
    while ((entry = readdir(d)))
        n += entry->d_name[0] != '.';
    closedir(d);
    return n;
}

/* The kernel shows a joined thread for a moment longer. */
static void assert_threads(int before)
{
    for (int i = 0; i < 100 && count_threads() > before; i++)
        usleep(10000);
    assert_int_equal(count_threads(), before);
}

/* --- What arrives ----------------------------------------------------------------------------- */

static void test_sample_databases_arrive_whole(void **state)
{
    (void)state;
    static const char *const names[] = {"chinook",   "happiness_index", "iso3166",       "netflix",
                                        "northwind", "pagila",          "periodic_table"};
    const char *top = getenv("srcdir");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct copy_pair p;
        char command[512];
        open_pair(&p);
        snprintf(command, sizeof command,
                 "gunzip -c %s/contrib/sampledata/%s.sql.gz | psql -X -q -v ON_ERROR_STOP=1 -h %s "
                 "-p %d -U postgres a >/dev/null",
                 top && *top ? top : ".", names[i], server.sock, server.port);
        assert_int_equal(system(command), 0);
        print_message("%s\n", names[i]);
        pair_prepare(&p);
        pair_start(&p);
        finish_well(&p);
        assert_int_equal(pair_int(p.src, SUMS), pair_int(p.dst, SUMS));
        assert_int_equal(pair_int(p.src, INDEXES), pair_int(p.dst, INDEXES));
        assert_int_equal(pair_int(p.src, FKEYS), pair_int(p.dst, FKEYS));
        assert_int_equal(pair_int(p.dst, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND "
                                         "relnamespace = 'public'::regnamespace AND reltuples < 0"),
                         0);
        pair_close(&p);
    }
}

static void test_types_without_a_common_binary_form_arrive(void **state)
{
    (void)state;
    struct copy_pair p;
    open_pair(&p);
    pair_run(
        p.src,
        "CREATE TYPE public.mood AS ENUM ('low', 'it''s ok', 'a\\b');"
        "CREATE TYPE public.point3 AS (x int, y text, z public.mood);"
        "CREATE DOMAIN public.percent AS numeric(5,2) CHECK (VALUE <= 100);"
        "CREATE TABLE public.\"Odd \"\"one\" (id int PRIMARY KEY, m public.mood, "
        " p public.point3, ms public.mood[], d public.percent, \"a.b\" text);"
        "INSERT INTO public.\"Odd \"\"one\" SELECT i, 'a\\b', ROW(i, E'x\\ty\\\\', "
        "'low'::public.mood)::public.point3, "
        " '{low,NULL}', 99.5, E'tab\\tline\\n' || i FROM generate_series(1, 1000) i;"
        "CREATE TABLE public.none ();"
        "INSERT INTO public.none SELECT FROM generate_series(1, 17);"
        "CREATE TABLE public.made (id int, twice int GENERATED ALWAYS AS (id * 2) STORED);"
        "INSERT INTO public.made SELECT generate_series(1, 10);"
        "CREATE TABLE public.gaps (a int, b int, c int); ALTER TABLE public.gaps DROP b;"
        "INSERT INTO public.gaps SELECT i, -i FROM generate_series(1, 10) i;"
        "CREATE TABLE public.wide (id int PRIMARY KEY, b bytea);"
        "INSERT INTO public.wide SELECT i, convert_to(repeat(md5(i::text), i * i / 3), 'UTF8') "
        " FROM generate_series(1, 300) i;"
        "CREATE TABLE public.empty (id int PRIMARY KEY);");
    /* The server looks for the binary form of a column that is not copied, too. */
    pair_run(p.dst, "CREATE TABLE public.gaps (a int, c int, own aclitem)");
    pair_prepare(&p);
    pair_start(&p);
    finish_well(&p);
    pair_run(p.dst, "ALTER TABLE public.gaps DROP own");
    assert_int_equal(pair_int(p.src, SUMS), pair_int(p.dst, SUMS));
    assert_int_equal(pair_int(p.dst, "SELECT count(*) FROM public.none"), 17);
    assert_int_equal(pair_int(p.dst, "SELECT sum(twice) FROM public.made"), 110);
    pair_close(&p);
}

/* A table of several ranges, and an index that takes its time. */
static void make_big_table(struct copy_pair *p, int rows)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "CREATE TABLE public.big (id bigint, a int, t text);"
             "INSERT INTO public.big SELECT i, i %% 1000, repeat('x', 60) "
             "FROM generate_series(1, %d) i; ALTER TABLE public.big ADD PRIMARY KEY (id);"
             "CREATE INDEX big_t ON public.big (t, id); CREATE INDEX big_a ON public.big (a)",
             rows);
    pair_run(p->src, sql);
    pair_run(p->src, "ANALYZE public.big");
}

#define RANGES_ROWS 400000
static atomic_bool is_writing;

static void *write_meanwhile(void *arg)
{
    struct copy_pair *p = arg;
    struct pg_conn *c;
    struct err e;
    if (!pg_connect(&p->source, PG_SQL, "writer", NULL, NULL, 10000, &c, &e))
        return NULL;
    for (int64_t i = 1; atomic_load(&is_writing); i++) {
        char sql[400];
        snprintf(sql, sizeof sql,
                 "UPDATE public.big SET a = -1, t = 'new' WHERE id = %lld;"
                 "DELETE FROM public.big WHERE id = %lld;"
                 "INSERT INTO public.big VALUES (%lld, 1, 'added')",
                 (long long)(i * 37 % RANGES_ROWS), (long long)(i * 91 % RANGES_ROWS),
                 (long long)(2 * RANGES_ROWS + i));
        pair_run(c, sql);
    }
    pg_close(c, false);
    return NULL;
}

/* Looks at the job until it is over. Progress never goes back and never beyond the whole. */
static void watch(struct copy_pair *p, size_t table)
{
    struct snapshot_table_progress now, before = {0};
    bool was_seen_under_way = false;
    while (!pair_wait(p, 20)) {
        snapshot_progress(p->job, table, &now);
        assert_true(now.bytes_done >= before.bytes_done);
        assert_true(now.bytes_done <= now.bytes_total);
        assert_true(now.state >= before.state);
        was_seen_under_way |=
            now.bytes_done > 0 && now.bytes_done < now.bytes_total && now.rows > 0;
        before = now;
    }
    assert_true(was_seen_under_way);
    snapshot_progress(p->job, table, &now);
    assert_int_equal(now.state, SNAP_DONE);
    assert_int_equal(now.bytes_done, now.bytes_total);
    assert_int_equal(now.indexes_done, 3);
    assert_int_equal(now.rows, RANGES_ROWS);
    assert_string_equal(snapshot_phase(p->job), "analyzing");
}

static void test_ranges_equal_the_snapshot_under_writes(void **state)
{
    (void)state;
    struct copy_pair p;
    pthread_t writer;
    open_pair(&p);
    p.rows_per_part = RANGES_ROWS / 8;
    make_big_table(&p, RANGES_ROWS);
    pair_prepare(&p);
    int64_t sum = pair_int(p.exporter, SUMS);
    atomic_store(&is_writing, true);
    assert_int_equal(pthread_create(&writer, NULL, write_meanwhile, &p), 0);
    pair_start(&p);
    watch(&p, 0);
    assert_true(snapshot_is_imported(p.job));
    finish_well(&p);
    atomic_store(&is_writing, false);
    pthread_join(writer, NULL);
    assert_int_equal(sum, pair_int(p.dst, SUMS));
    assert_int_equal(pair_int(p.src, INDEXES), pair_int(p.dst, INDEXES));
    pair_close(&p);
}

static void test_partitioned_tables_get_their_parents_indexes(void **state)
{
    (void)state;
    struct copy_pair p;
    open_pair(&p);
    pair_run(
        p.src,
        "CREATE TABLE public.m (id int, k text, at date, PRIMARY KEY (id, at)) "
        " PARTITION BY RANGE (at);"
        "CREATE INDEX m_k ON public.m (k); CREATE INDEX m_at ON public.m (at);"
        "CREATE TABLE public.m1 PARTITION OF public.m FOR VALUES FROM ('2020-01-01') TO "
        " ('2020-07-01');"
        "CREATE TABLE public.m2 PARTITION OF public.m FOR VALUES FROM ('2020-07-01') TO "
        " ('2021-01-01') PARTITION BY HASH (id);"
        "CREATE TABLE public.m2a PARTITION OF public.m2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE public.m2b PARTITION OF public.m2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "CREATE INDEX m2_own ON public.m2 (k, id);"
        "CREATE INDEX m1_own ON public.m1 (k, at);"
        "INSERT INTO public.m SELECT i, md5(i::text), '2020-01-01'::date + i % 366 "
        " FROM generate_series(1, 20000) i;"
        "CREATE TABLE public.r (id int PRIMARY KEY, m int, at date,"
        " FOREIGN KEY (m, at) REFERENCES public.m);"
        "INSERT INTO public.r SELECT id, id, at FROM public.m LIMIT 1000");
    pair_prepare(&p);
    pair_start(&p);
    finish_well(&p);
    assert_int_equal(pair_int(p.src, SUMS), pair_int(p.dst, SUMS));
    assert_int_equal(pair_int(p.src, INDEXES), pair_int(p.dst, INDEXES));
    assert_int_equal(pair_int(p.src, FKEYS), pair_int(p.dst, FKEYS));
    pair_close(&p);
}

/* --- How a job ends that cannot go on --------------------------------------------------------- */

/* Waits until some session of the databases runs a statement like that; ends one of them when
 * asked to. */
static void await_statement(struct copy_pair *p, const char *like, bool ends_it)
{
    char sql[320];
    snprintf(sql, sizeof sql,
             "SELECT count(%s) FROM (SELECT pid FROM pg_stat_activity WHERE state = 'active' AND "
             "datname IN ('a', 'b') AND query LIKE '%s' AND pid <> pg_backend_pid() LIMIT 1) s",
             ends_it ? "pg_terminate_backend(pid)" : "pid", like);
    int64_t deadline = clock_mono_ms() + LONG_MS;
    while (pair_int(p->src, sql) == 0) {
        assert_true(clock_mono_ms() < deadline);
        assert_false(snapshot_is_over(p->job));
        usleep(2000);
    }
}

static void cancel_during(const char *statement)
{
    struct copy_pair p;
    struct err e = {0};
    open_pair(&p);
    make_big_table(&p, BIG);
    pair_prepare(&p);
    int threads = count_threads();
    pair_start(&p);
    await_statement(&p, statement, false);
    int64_t before = clock_mono_ms();
    snapshot_cancel(p.job);
    assert_true(pair_wait(&p, 5000));
    int64_t took = clock_mono_ms() - before;
    print_message("cancelled within %lld ms\n", (long long)took);
    assert_true(took < 1000);
    assert_false(pair_finish(&p, &e));
    assert_int_equal(e.code, ERR_CANCELLED);
    assert_threads(threads);
    /* Nothing of it goes on at the servers. */
    for (int i = 0; i < 100 && pair_int(p.src, "SELECT count(*) FROM pg_stat_activity WHERE "
                                               "application_name LIKE 'bunnydb copy%'");
         i++)
        usleep(20000);
    assert_int_equal(pair_int(p.src, "SELECT count(*) FROM pg_stat_activity WHERE "
                                     "application_name LIKE 'bunnydb copy%'"),
                     0);
    pair_close(&p);
    assert_int_equal(confused, 0);
}

static void test_cancel_in_mid_copy_within_a_second(void **state)
{
    (void)state;
    cancel_during("COPY %FROM STDIN%");
}

static void test_cancel_in_mid_index_within_a_second(void **state)
{
    (void)state;
    cancel_during("CREATE INDEX%");
}

static void make_small_table(struct copy_pair *p)
{
    pair_run(p->src, "CREATE TABLE public.small (id int PRIMARY KEY, v text);"
                     "INSERT INTO public.small SELECT i, 'v' FROM generate_series(1, 1000) i;"
                     "CREATE TABLE public.other (id int PRIMARY KEY);"
                     "INSERT INTO public.other SELECT generate_series(1, 1000)");
}

/* The job fails with this error (SQLSTATE NULL: whichever), and its text begins like that. */
static void assert_fails(struct copy_pair *p, enum err_code code, const char *sqlstate,
                         const char *begin)
{
    struct err e = {0};
    assert_true(pair_wait(p, LONG_MS));
    assert_false(pair_finish(p, &e));
    print_message("%s\n", e.text);
    assert_string_equal(err_name(e.code), err_name(code));
    if (sqlstate)
        assert_string_equal(e.sqlstate, sqlstate);
    assert_memory_equal(e.text, begin, strlen(begin));
}

static void test_a_missing_column_names_the_table(void **state)
{
    (void)state;
    struct copy_pair p;
    open_pair(&p);
    make_small_table(&p);
    pair_prepare(&p);
    pair_run(p.dst, "ALTER TABLE public.small DROP v");
    int threads = count_threads();
    pair_start(&p);
    assert_fails(&p, ERR_SQL, "42703", "copy public.small: ");
    assert_threads(threads);
    pair_close(&p);
}

static void test_an_alien_row_stops_the_primary_key(void **state)
{
    (void)state;
    struct copy_pair p;
    open_pair(&p);
    make_small_table(&p);
    pair_prepare(&p);
    pair_run(p.dst, "INSERT INTO public.small VALUES (7, 'alien')");
    pair_start(&p);
    assert_fails(&p, ERR_SQL, "23505", "index small_pkey of public.small: ");
    pair_close(&p);
}

static void test_a_killed_backend_is_the_first_error(void **state)
{
    (void)state;
    static const struct {
        const char *statement, *sqlstate;
    } sides[] = {
        {"COPY %FROM STDIN%", "57P01"},
        /* A backend that is ended while its client does not read closes the connection in the
         * middle of a message, without a word. */
        {"COPY %TO STDOUT%", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(sides); i++) {
        struct copy_pair p;
        open_pair(&p);
        make_big_table(&p, BIG);
        pair_prepare(&p);
        int threads = count_threads();
        pair_start(&p);
        await_statement(&p, sides[i].statement, true);
        assert_fails(&p, ERR_CONNECT, sides[i].sqlstate, "copy public.big: ");
        assert_threads(threads);
        pair_close(&p);
    }
    assert_int_equal(confused, 0);
}

static void test_a_table_rewritten_after_the_snapshot_is_noticed(void **state)
{
    (void)state;
    struct copy_pair p;
    struct err e = {0};
    open_pair(&p);
    make_small_table(&p);
    pair_prepare(&p);
    pair_run(p.src, "TRUNCATE public.other");
    assert_false(pair_guard(&p, &e));
    assert_int_equal(e.code, ERR_SNAPSHOT_STALE);
    pair_close(&p);
}

static void *truncate_big(void *arg)
{
    pair_run(arg, "TRUNCATE public.big");
    return NULL;
}

/* Whoever wants to empty a table waits until its rows are in, and no worker waits behind them. */
static void test_a_table_that_somebody_wants_to_empty_is_copied_whole(void **state)
{
    (void)state;
    struct copy_pair p;
    struct pg_conn *other;
    struct err e = {0};
    pthread_t thread;
    open_pair(&p);
    p.rows_per_part = RANGES_ROWS / 20;
    make_big_table(&p, RANGES_ROWS);
    pair_prepare(&p);
    assert_true(pair_guard(&p, &e));
    assert_true(pg_connect(&p.source, PG_SQL, "emptier", NULL, NULL, 10000, &other, &e));
    assert_int_equal(pthread_create(&thread, NULL, truncate_big, other), 0);
    while (!pair_int(p.src, "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = "
                            "'AccessExclusiveLock'"))
        usleep(2000);
    pair_start(&p);
    finish_well(&p);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pair_int(p.dst, "SELECT count(*) FROM public.big"), RANGES_ROWS);
    assert_int_equal(pair_int(p.src, "SELECT count(*) FROM public.big"), 0);
    pg_close(other, false);
    pair_close(&p);
}

static void test_a_gone_snapshot_is_an_error(void **state)
{
    (void)state;
    struct copy_pair p;
    struct err e = {0};
    open_pair(&p);
    make_small_table(&p);
    pair_prepare(&p);
    pair_run(p.exporter, "ROLLBACK");
    assert_false(pair_guard(&p, &e));
    assert_memory_equal(e.text, "import the snapshot", 19);
    pair_close(&p);
}

/* The transaction of every range ends with the fence: not one row of a process that was cut off
 * stays, also of a table without columns. */
static void test_a_fence_that_falls_keeps_all_rows_out(void **state)
{
    (void)state;
    struct copy_pair p;
    struct err e = {0};
    open_pair(&p);
    make_small_table(&p);
    pair_run(p.src, "CREATE TABLE public.bare (); INSERT INTO public.bare DEFAULT VALUES");
    pair_prepare(&p);
    pair_run(p.dst, "CREATE TABLE public.owner AS SELECT 1 AS epoch");
    p.fence = "SELECT 1 / count(*) FROM public.owner WHERE epoch = 2";
    pair_start(&p);
    assert_true(pair_wait(&p, LONG_MS));
    assert_false(pair_finish(&p, &e));
    assert_int_equal(e.code, ERR_FENCED);
    assert_int_equal(pair_int(p.dst, "SELECT (SELECT count(*) FROM public.small) + (SELECT "
                                     "count(*) FROM public.other) + (SELECT count(*) FROM "
                                     "public.bare)"),
                     0);
    pair_run(p.dst, "UPDATE public.owner SET epoch = 2");
    pair_start(&p);
    finish_well(&p);
    assert_int_equal(pair_int(p.dst, "SELECT (SELECT count(*) FROM public.small) + (SELECT "
                                     "count(*) FROM public.other) + (SELECT count(*) FROM "
                                     "public.bare)"),
                     2001);
    pair_close(&p);
}

/* What an earlier try has left behind is taken as it is, or made anew. */
static void test_indexes_of_an_earlier_try_are_kept(void **state)
{
    (void)state;
    struct copy_pair p;
    open_pair(&p);
    make_small_table(&p);
    pair_run(p.src, "CREATE INDEX small_v ON public.small (v);"
                    "ALTER TABLE public.other ADD FOREIGN KEY (id) REFERENCES public.small");
    pair_prepare(&p);
    pair_run(p.dst, "CREATE INDEX small_v ON public.small (v);"
                    "ALTER TABLE public.small ADD CONSTRAINT small_pkey PRIMARY KEY (id);"
                    "ALTER TABLE public.other ADD CONSTRAINT other_id_fkey FOREIGN KEY (id) "
                    "REFERENCES public.small NOT VALID");
    pair_run(p.dst, "UPDATE pg_index SET indisvalid = false "
                    "WHERE indexrelid = 'public.small_v'::regclass");
    pair_start(&p);
    finish_well(&p);
    assert_int_equal(pair_int(p.src, INDEXES), pair_int(p.dst, INDEXES));
    assert_int_equal(pair_int(p.dst, FKEYS), 1);
    assert_int_equal(pair_int(p.dst, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), 0);
    pair_close(&p);
}

/* Keys are built as indexes and taken over by their constraints; what a killed process left of that
 * is no index of the copy, and would refuse these rows. */
static void test_keys_are_the_sources_and_nothing_else_is_left(void **state)
{
    (void)state;
    static const char keys[] =
        "SELECT count(*) FROM pg_constraint k JOIN pg_index x ON x.indexrelid = k.conindid WHERE "
        "(pg_get_constraintdef(k.oid), pg_get_indexdef(k.conindid), k.conname, x.indisprimary, "
        "x.indimmediate) IN (VALUES "
        "('PRIMARY KEY (id) INCLUDE (v)', 'CREATE UNIQUE INDEX \"Key\" ON public.keyed USING "
        "btree (id) INCLUDE (v) WITH (fillfactor=''70'')', 'Key'::name, true, true), "
        "('UNIQUE (v, id) DEFERRABLE INITIALLY DEFERRED', 'CREATE UNIQUE INDEX keyed_v ON "
        "public.keyed USING btree (v, id)', 'keyed_v', false, false))";
    struct copy_pair p;
    open_pair(&p);
    pair_run(p.src, "CREATE TABLE public.keyed (id int, v int, CONSTRAINT \"Key\" PRIMARY KEY (id) "
                    "INCLUDE (v) WITH (fillfactor = 70), CONSTRAINT keyed_v UNIQUE (v, id) "
                    "DEFERRABLE INITIALLY DEFERRED);"
                    "INSERT INTO public.keyed SELECT g, 1 FROM generate_series(1, 1000) g;"
                    "CREATE INDEX keyed_plain ON public.keyed (v);");
    assert_int_equal(pair_int(p.src, keys), 2);
    pair_prepare(&p);
    pair_run(p.dst, "CREATE UNIQUE INDEX _bunnydb_77 ON public.keyed (v)");
    pair_start(&p);
    finish_well(&p);
    assert_int_equal(pair_int(p.dst, keys), 2);
    assert_int_equal(pair_int(p.src, INDEXES), pair_int(p.dst, INDEXES));
    assert_int_equal(pair_int(p.dst, "SELECT count(*) FROM pg_class WHERE relname ~ '^_bunnydb'"),
                     0);
    pair_close(&p);
}

/* The one cannot be added, as the destination's column has another type; the other not be
 * validated. A key that can be had is there nevertheless. */
static void test_foreign_keys_that_are_refused_are_left_out(void **state)
{
    (void)state;
    struct copy_pair p;
    open_pair(&p);
    make_small_table(&p);
    pair_run(p.src, "CREATE TABLE public.odd (n int REFERENCES public.small);"
                    "CREATE TABLE public.late (n int REFERENCES public.small);"
                    "ALTER TABLE public.other ADD FOREIGN KEY (id) REFERENCES public.small");
    pair_prepare(&p);
    pair_run(p.dst, "ALTER TABLE public.odd ALTER n TYPE text;"
                    "CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$"
                    "BEGIN IF current_query() LIKE '%late% VALIDATE CONSTRAINT %' THEN"
                    " RAISE 'cannot determine element type' USING errcode = '42804'; END IF; END$$;"
                    "CREATE EVENT TRIGGER refuse ON ddl_command_start EXECUTE FUNCTION "
                    "public.refuse();"
                    "ALTER EVENT TRIGGER refuse ENABLE ALWAYS");
    pair_start(&p);
    finish_well(&p);
    assert_int_equal(pair_int(p.dst, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND "
                                     "conrelid = 'public.late'::regclass AND NOT convalidated"),
                     1);
    assert_int_equal(pair_int(p.dst, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND "
                                     "conrelid = 'public.other'::regclass AND convalidated"),
                     1);
    pair_close(&p);
}

/* --- Workers that do not move ----------------------------------------------------------------- */

#define STUCK_MS 60000

/* Looks that follow each other faster than anybody can move between them. */
static size_t look_for_a_minute(int64_t *now)
{
    size_t n = 0;
    for (int i = 0; i < 40; i++)
        n += beat_look(*now += 2000, STUCK_MS);
    return n;
}

static struct pg_conn *locked_small_table(struct copy_pair *p)
{
    struct pg_conn *other;
    struct err e;
    open_pair(p);
    make_small_table(p);
    pair_prepare(p);
    assert_true(pg_connect(&p->dest, PG_SQL, "other", NULL, NULL, 10000, &other, &e));
    pair_run(other, "BEGIN; LOCK TABLE public.small");
    pair_start(p);
    return other;
}

/* Bursts of looks until the worker that waits for the lock is the one that is there. */
static void test_a_worker_that_does_not_move_ends_the_copy(void **state)
{
    (void)state;
    struct copy_pair p;
    struct err e = {0};
    int64_t now = 1000;
    struct pg_conn *other = locked_small_table(&p);
    while (!look_for_a_minute(&now))
        usleep(1000);
    assert_true(pair_wait(&p, LONG_MS));
    assert_false(pair_finish(&p, &e));
    assert_int_equal(e.code, ERR_TIMEOUT);
    assert_non_null(strstr(e.text, "worker b:copy-"));
    assert_non_null(strstr(e.text, "has not moved"));
    pg_close(other, false);
    pair_close(&p);
}

/* Waiting for a server is no standing still. Each fake look stands for a second of a minute that
 * nobody has to wait for: the worker comes round between some of them. */
static void test_a_worker_that_waits_for_a_lock_moves(void **state)
{
    (void)state;
    struct copy_pair p;
    int64_t now = 10000000;
    int n_moves = 0;
    bool was_still = false;
    struct pg_conn *other = locked_small_table(&p);
    for (int i = 0; i < 6000 && n_moves < 4; i++, usleep(10000)) {
        size_t n;
        assert_int_equal(beat_look(now += 1, STUCK_MS), 0);
        struct beat_sight *all = beat_list(&n);
        for (size_t k = 0; k < n; k++) {
            bool is_it = strstr(all[k].does, "public.small") && !all[k].is_resting;
            n_moves += is_it && was_still && !all[k].still_ms;
            was_still = is_it ? all[k].still_ms > 0 : was_still;
        }
        free(all);
    }
    assert_int_equal(n_moves, 4);
    pair_run(other, "ROLLBACK");
    finish_well(&p);
    size_t n;
    free(beat_list(&n));
    assert_int_equal(n, 0);
    pg_close(other, false);
    pair_close(&p);
}

static void *do_nothing(void *arg)
{
    return arg;
}

/* A sanitizer starts a thread of its own beside the first one: threads are counted after that. */
static void start_first_thread(void)
{
    pthread_t t;
    if (!pthread_create(&t, NULL, do_nothing, NULL))
        pthread_join(t, NULL);
}

/* An argument chooses tests: a name, with * for any text. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample_databases_arrive_whole),
        cmocka_unit_test(test_types_without_a_common_binary_form_arrive),
        cmocka_unit_test(test_ranges_equal_the_snapshot_under_writes),
        cmocka_unit_test(test_partitioned_tables_get_their_parents_indexes),
        cmocka_unit_test(test_cancel_in_mid_copy_within_a_second),
        cmocka_unit_test(test_cancel_in_mid_index_within_a_second),
        cmocka_unit_test(test_a_missing_column_names_the_table),
        cmocka_unit_test(test_an_alien_row_stops_the_primary_key),
        cmocka_unit_test(test_a_killed_backend_is_the_first_error),
        cmocka_unit_test(test_a_table_rewritten_after_the_snapshot_is_noticed),
        cmocka_unit_test(test_a_table_that_somebody_wants_to_empty_is_copied_whole),
        cmocka_unit_test(test_a_gone_snapshot_is_an_error),
        cmocka_unit_test(test_a_fence_that_falls_keeps_all_rows_out),
        cmocka_unit_test(test_indexes_of_an_earlier_try_are_kept),
        cmocka_unit_test(test_keys_are_the_sources_and_nothing_else_is_left),
        cmocka_unit_test(test_foreign_keys_that_are_refused_are_left_out),
        cmocka_unit_test(test_a_worker_that_does_not_move_ends_the_copy),
        cmocka_unit_test(test_a_worker_that_waits_for_a_lock_moves),
    };
    server_start(&server, "max_connections=60");
    atexit(stop_server);
    start_first_thread();
    log_set_sink(count_confusion, NULL);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
