"""Promise: what is committed at the source is at the destination, whole, in order and once."""
import os
import time

import pytest

from harness.load import Load, pgbench_init
from harness.waiting import wait_for

pytestmark = [pytest.mark.sanitize]


@pytest.mark.quick
@pytest.mark.tsan
def test_insert_update_delete_truncate(pair, bunny):
    pair.sql("""CREATE TABLE t (id int PRIMARY KEY, v text, n numeric);
                CREATE TABLE u (id int PRIMARY KEY, t_id int REFERENCES t);
                INSERT INTO t SELECT i, 'v' || i, i / 3.0 FROM generate_series(1, 100) i;
                INSERT INTO u SELECT i, i FROM generate_series(1, 50) i""")
    bunny.mirror("m", pair)
    assert pair.assert_equal() == 150
    pair.sql("INSERT INTO t VALUES (101, NULL, NULL), (102, '', 'NaN')")
    pair.sql("UPDATE t SET v = v || '!' WHERE id % 2 = 0")
    pair.sql("DELETE FROM t WHERE id > 90 AND id < 100")
    pair.sql("UPDATE u SET t_id = NULL WHERE id < 10")
    assert pair.assert_equal() == 143
    pair.sql("TRUNCATE t, u")
    pair.sql("INSERT INTO t VALUES (1, 'after', 1)")
    assert pair.assert_equal() == 1

    def counted():
        status = bunny.status("m")
        t = {t["table_name"]: t for t in status["tables"]}["public.t"]
        assert (t["rows_synced"], t["rows_inserted"], t["rows_deleted"]) == (100, 3, 9), t
        return status
    status = wait_for(counted, 10, "the counters to be published")
    assert status["status"] == "running" and status["error_message"] is None


@pytest.mark.quick
def test_truncate_between_changes_of_one_transaction(pair, bunny):
    pair.sql("""CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id serial PRIMARY KEY,
                a_id int REFERENCES a)""")
    bunny.mirror("m", pair)
    pair.sql("BEGIN; INSERT INTO a SELECT generate_series(1, 10); INSERT INTO b (a_id) VALUES (3); "
             "TRUNCATE a, b RESTART IDENTITY; INSERT INTO a VALUES (77); COMMIT")
    pair.sql("TRUNCATE a CASCADE")
    pair.sql("BEGIN; INSERT INTO a VALUES (5), (6); INSERT INTO b (a_id) VALUES (5); COMMIT")
    assert pair.assert_equal() == 3


@pytest.mark.quick
def test_unchanged_toast_is_kept(pair, bunny):
    pair.sql("""CREATE TABLE t (id int PRIMARY KEY, n int, big text, other bytea);
                ALTER TABLE t ALTER big SET STORAGE EXTERNAL, ALTER other SET STORAGE EXTERNAL;
                INSERT INTO t SELECT i, 0, repeat(chr(64 + i), 1000000),
                    decode(repeat('00ff', 50000), 'hex') FROM generate_series(1, 5) i""")
    bunny.mirror("m", pair)
    pair.sql("UPDATE t SET n = n + 1")
    pair.sql("UPDATE t SET other = '\\x01', n = 9 WHERE id = 2")
    pair.sql("BEGIN; UPDATE t SET n = 3 WHERE id = 3; UPDATE t SET big = 'small' WHERE id = 3; "
             "UPDATE t SET n = 4 WHERE id = 3; COMMIT")
    pair.sql("INSERT INTO t VALUES (6, 0, repeat('x', 1000000), NULL)")
    pair.sql("BEGIN; INSERT INTO t VALUES (7, 0, repeat('y', 1000000), NULL); "
             "UPDATE t SET n = 1 WHERE id = 7; COMMIT")
    pair.assert_equal()
    assert pair.dsql("SELECT length(big) FROM t WHERE id = 7")[0][0] == 1000000


def test_key_changes(pair, bunny):
    """Also next to unchanged TOAST, swapped inside a transaction, and a key used again."""
    pair.sql("""CREATE TABLE t (a int, b text, v int, big text, PRIMARY KEY (a, b));
                ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
                INSERT INTO t SELECT i, 'k' || i, i, repeat('z', 200000)
                FROM generate_series(1, 6) i""")
    bunny.mirror("m", pair)
    pair.sql("UPDATE t SET a = 100 + a WHERE a <= 2")
    pair.sql("UPDATE t SET b = 'other', v = 0 WHERE a = 3")
    pair.sql("BEGIN; UPDATE t SET a = -1 WHERE a = 4; UPDATE t SET a = 4 WHERE a = 5; "
             "UPDATE t SET a = 5 WHERE a = -1; COMMIT")
    pair.sql("BEGIN; DELETE FROM t WHERE a = 6; INSERT INTO t VALUES (6, 'k6', 1, 'n'); "
             "DELETE FROM t WHERE a = 6; INSERT INTO t VALUES (6, 'k6', 2, 'm'); COMMIT")
    pair.sql("BEGIN; UPDATE t SET a = 7 WHERE a = 6; INSERT INTO t VALUES (6, 'k6', 3, 'new'); "
             "UPDATE t SET v = 33 WHERE a = 7; COMMIT")
    pair.assert_equal()


@pytest.mark.quick
def test_replica_identity_full_with_duplicates_and_nulls(pair, bunny):
    pair.sql("""CREATE TABLE t (a int, b text, j json, p point, x numeric);
                ALTER TABLE t REPLICA IDENTITY FULL;
                INSERT INTO t SELECT i % 3, NULLIF('b' || i % 2, 'b1'), '{"k": 1}', '(1,2)', 1.0
                FROM generate_series(1, 30) i;
                INSERT INTO t VALUES (NULL, NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL),
                (1, 'num', NULL, NULL, 1.00), (1, 'num', NULL, NULL, 1.0)""")
    bunny.mirror("m", pair)
    one = "(SELECT min(ctid) FROM t WHERE {})"
    pair.sql(f"DELETE FROM t WHERE ctid = {one.format('a = 1 AND b IS NULL')}")
    pair.sql(f"UPDATE t SET a = 50 WHERE ctid = {one.format('a = 2 AND b IS NOT NULL')}")
    pair.sql(f"DELETE FROM t WHERE ctid = {one.format('a IS NULL')}")
    pair.sql("DELETE FROM t WHERE b = 'num' AND x::text = '1.00'")
    pair.sql("UPDATE t SET j = '[]', p = '(0,-0)' WHERE a = 0")
    pair.sql("INSERT INTO t SELECT * FROM t WHERE a = 0")
    pair.assert_equal()
    # so many that each statement here is one there, too
    pair.sql("INSERT INTO t SELECT i % 50, NULLIF('b' || i % 3, 'b1'), '{}', '(0,-0)', i % 2 "
             "FROM generate_series(1, 600) i")
    pair.sql("UPDATE t SET a = a + 1, x = NULLIF(x, 1)")
    pair.sql("BEGIN; UPDATE t SET b = j::text WHERE b IS NULL; UPDATE t SET a = NULL WHERE b = '{}'; "
             "DELETE FROM t WHERE a % 3 = 1; INSERT INTO t SELECT * FROM t WHERE x IS NULL; "
             "DELETE FROM t WHERE a > 20; COMMIT")
    assert pair.assert_equal() > 200


def test_replica_identity_full_keeps_unchanged_toast(pair, bunny):
    pair.sql("""CREATE TABLE t (a int, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
                ALTER TABLE t REPLICA IDENTITY FULL;
                INSERT INTO t SELECT i, repeat('q', 100000 + i % 2) FROM generate_series(1, 6) i""")
    bunny.mirror("m", pair)
    pair.sql("UPDATE t SET a = a + 10")
    pair.sql("DELETE FROM t WHERE a = 13")
    pair.assert_equal()


def test_replica_identity_using_index(pair, bunny):
    pair.sql("""CREATE TABLE t (a int, code text NOT NULL, v int);
                CREATE UNIQUE INDEX t_code ON t (code);
                ALTER TABLE t REPLICA IDENTITY USING INDEX t_code;
                INSERT INTO t SELECT i, 'c' || i, i FROM generate_series(1, 20) i;
                CREATE TABLE p (id int PRIMARY KEY, other int NOT NULL UNIQUE, v int);
                ALTER TABLE p REPLICA IDENTITY USING INDEX p_other_key;
                INSERT INTO p SELECT i, -i, 0 FROM generate_series(1, 20) i""")
    bunny.mirror("m", pair)
    pair.sql("UPDATE t SET v = 0 WHERE a < 5; UPDATE t SET code = 'new' WHERE a = 7; "
             "DELETE FROM t WHERE a = 9")
    pair.sql("UPDATE p SET id = id + 100; UPDATE p SET other = 5 WHERE id = 105; "
             "DELETE FROM p WHERE id = 106")
    pair.assert_equal()


@pytest.mark.long
def test_deferrable_constraints(pair, bunny):
    """Rows that exchange their values inside a statement or transaction share them meanwhile: a
    deferrable key names no row, and what is checked late there is checked late here."""
    pair.sql("""CREATE TABLE p (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text);
                CREATE TABLE i (id int PRIMARY KEY DEFERRABLE, v json);
                CREATE TABLE u (id int PRIMARY KEY, a int UNIQUE DEFERRABLE, r int4range,
                    EXCLUDE USING gist (r WITH &&) DEFERRABLE);
                ALTER TABLE p REPLICA IDENTITY FULL; ALTER TABLE i REPLICA IDENTITY FULL;
                INSERT INTO p SELECT n, 'v' || n FROM generate_series(1, 9) n;
                INSERT INTO i SELECT n, to_json(n) FROM generate_series(1, 9) n;
                INSERT INTO u SELECT n, n, int4range(n, n + 1) FROM generate_series(1, 9) n""")
    bunny.mirror("m", pair)
    pair.sql("BEGIN; UPDATE p SET id = 2 WHERE v = 'v1'; UPDATE p SET id = 1 WHERE v = 'v2'; "
             "UPDATE p SET v = v || '!' WHERE id <= 2; INSERT INTO p VALUES (3, 'twice'); "
             "DELETE FROM p WHERE v = 'v3'; COMMIT")
    pair.sql("UPDATE p SET id = id + 1; UPDATE i SET id = id + 1; DELETE FROM i WHERE id = 5")
    pair.sql("UPDATE u SET a = a + 1, r = int4range(id + 1, id + 2)")
    pair.assert_equal()


def test_keys_of_extension_types(pair, bunny):
    """Their operators are in the extension's schema, which no search_path names."""
    pair.sql("""CREATE SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext;
                CREATE EXTENSION citext SCHEMA ext; CREATE DOMAIN ext.word AS ext.citext;
                CREATE TABLE h (k ext.hstore PRIMARY KEY, v int);
                CREATE TABLE c (k ext.citext, w ext.word, a ext.citext[], v int,
                    PRIMARY KEY (k, w, a));
                CREATE TABLE f (k ext.hstore PRIMARY KEY, v int);
                ALTER TABLE f REPLICA IDENTITY FULL;
                INSERT INTO h SELECT format('n=>%s', n)::ext.hstore, n FROM generate_series(1, 9) n;
                INSERT INTO c SELECT 'Key' || n, 'W' || n, '{A,b}', n FROM generate_series(1, 9) n;
                INSERT INTO f SELECT * FROM h""")
    bunny.mirror("m", pair)
    for table in ("h", "c", "f"):
        pair.sql(f"UPDATE {table} SET v = 0 WHERE v < 3; DELETE FROM {table} WHERE v = 4")
    pair.sql("UPDATE c SET k = lower(k::text) WHERE v = 5; UPDATE h SET k = '' WHERE v = 5")
    pair.assert_equal()


@pytest.mark.long
@pytest.mark.quick
def test_transactions_stay_whole_and_rolled_back_work_stays_away(pair, bunny):
    pair.sql("""CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY);
                CREATE TABLE unpublished (x int)""")
    bunny.mirror("m", pair, ["public.a", "public.b"])
    pair.sql("""BEGIN; INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1);
                SAVEPOINT s1; INSERT INTO a VALUES (2, 2); ROLLBACK TO s1;
                SAVEPOINT s2; INSERT INTO a VALUES (3, 3); SAVEPOINT s3; INSERT INTO b VALUES (3);
                ROLLBACK TO s3; RELEASE s2; UPDATE a SET v = 10 WHERE id = 1; COMMIT""")
    pair.sql("BEGIN; INSERT INTO a VALUES (99, 0); ROLLBACK")
    pair.sql("INSERT INTO unpublished VALUES (1)")
    pair.sql("BEGIN; SELECT 1; COMMIT")
    pair.assert_equal(tables=[("public", "a"), ("public", "b")])
    assert pair.dsql("SELECT id, v FROM a ORDER BY 1") == [(1, 10), (3, 3)]


@pytest.mark.long
def test_no_half_transaction_is_ever_visible(pair, bunny):
    """Each transaction moves one unit from one table to the other: the sum never changes."""
    pair.sql("""CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY,
                v int); INSERT INTO a SELECT i, 1000 FROM generate_series(1, 20) i;
                INSERT INTO b SELECT i, 1000 FROM generate_series(1, 20) i""")
    bunny.mirror("m", pair)
    script = """\\set i random(1, 20)
\\set j random(1, 20)
BEGIN;
UPDATE a SET v = v - 1 WHERE id = :i;
UPDATE b SET v = v + 1 WHERE id = :j;
END;
"""
    with Load(pair.source, pair.sdb, clients=4, rate=400, script=script, directory=bunny.dir):
        seen = set()
        end = time.monotonic() + 20
        while len(seen) < 200 and time.monotonic() < end:
            total, left = pair.dsql("SELECT (SELECT sum(v) FROM a) + (SELECT sum(v) FROM b), "
                                    "(SELECT sum(v) FROM a)")[0]
            assert total == 40000
            seen.add(left)
        assert len(seen) > 10, "the load did not arrive while we looked"
    pair.assert_equal()


@pytest.mark.long
@pytest.mark.limit(300)
def test_one_transaction_of_200k_rows_of_each_kind(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text, n int)")
    bunny.mirror("m", pair)
    pair.sql("INSERT INTO t SELECT i, 'row ' || i, i FROM generate_series(1, 200000) i")
    assert pair.assert_equal(120) == 200000
    pair.sql("UPDATE t SET n = n + 1, v = v || '.'")
    pair.assert_equal(120)
    pair.sql("BEGIN; DELETE FROM t WHERE id % 2 = 0; UPDATE t SET n = -n WHERE id % 3 = 0; "
             "INSERT INTO t SELECT i, 'again', 0 FROM generate_series(2, 200000, 4) i; COMMIT")
    pair.assert_equal(120)
    # beside the budget of 256 MiB; a sanitizer's own memory is not ours
    if "BUNNYDB_SLOW" not in os.environ:
        assert bunny.memory_kib() < (64 + 256) * 1024

def test_a_table_that_grows_within_the_transaction_that_changes_it(pair, bunny):
    """A plan made for the few rows of before would read the whole table for each row."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    bunny.mirror("m", pair)
    pair.sql("UPDATE t SET v = 'c' WHERE id = 1; UPDATE t SET id = 3 WHERE id = 2")
    pair.assert_equal()
    scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 't'"
    before = pair.dsql(scans)[0][0]
    with pair.src.transaction():
        pair.src.execute("INSERT INTO t SELECT i, 'x' FROM generate_series(10, 5000) i")
        pair.src.execute("UPDATE t SET id = id + 100000 WHERE id % 5 = 0")
        pair.src.execute("UPDATE t SET v = 'y' WHERE id % 3 = 0")
        pair.src.execute("DELETE FROM t WHERE id % 7 = 0")
    pair.wait_confirmed()
    assert pair.assert_equal() > 4000

    def are_told():  # by the session's next transaction
        pair.sql("UPDATE t SET v = v WHERE id = 1")
        return pair.dsql("SELECT idx_scan > 900 FROM pg_stat_user_tables WHERE relname = 't'")[0][0]
    wait_for(are_told, 30, "the statistics to be there")
    assert pair.dsql(scans)[0][0] - before < 50



@pytest.mark.long
@pytest.mark.tsan
def test_many_small_transactions(pair, bunny):
    pgbench_init(pair.source, pair.sdb)
    bunny.mirror("m", pair)
    load = Load(pair.source, pair.sdb, clients=4, seconds=8)
    load.wait(60)
    assert pair.assert_equal(120) > 100000


@pytest.mark.long
def test_many_transactions_of_unpublished_tables(pair, bunny):
    """Empty transactions cost the destination nothing but move the position."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (i int)")
    bunny.mirror("m", pair, ["public.t"])
    before = pair.dsql("SELECT xact_commit FROM pg_stat_database WHERE datname = "
                       "current_database()")[0][0]
    script = "INSERT INTO other VALUES (1);\n"
    load = Load(pair.source, pair.sdb, clients=4, seconds=4, script=script, directory=bunny.dir)
    load.wait(60)
    pair.wait_confirmed(60)
    made = pair.sql("SELECT count(*) FROM other")[0][0]
    pair.dsql("SELECT pg_stat_force_next_flush()")
    after = pair.dsql("SELECT xact_commit FROM pg_stat_database WHERE datname = "
                      "current_database()")[0][0]
    assert made > 1000
    assert after - before < made / 4, f"{after - before} commits there for {made} empty ones"


@pytest.mark.quick
def test_odd_names(pair, bunny):
    pair.sql('''CREATE SCHEMA "Ünï code"; CREATE SCHEMA "a.b";
        CREATE TABLE "Ünï code"."Select ""it""" ("Order" int PRIMARY KEY, "a b" text, "x""y" int,
            "select" int, "ŵ" int);
        CREATE TABLE "a.b"."c.d" ("e.f" int PRIMARY KEY, "%s" text, "$1" text, "back\\slash" int);
        CREATE TABLE "a.b"."%n" ("'" int PRIMARY KEY);
        CREATE TABLE "table" ("from" int PRIMARY KEY);
        CREATE TABLE xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx1
            (yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy1 int PRIMARY KEY);
        INSERT INTO "Ünï code"."Select ""it""" VALUES (1, 'x', 2, 3, 4);
        INSERT INTO "table" VALUES (1)''')
    bunny.mirror("odd", pair, ["Ünï code.*", {"source_schema": "a.b", "source_table": "c.d"},
                               {"source_schema": "a.b", "source_table": "%n"}, "public.*"])
    pair.sql('''INSERT INTO "Ünï code"."Select ""it""" VALUES (5, 'y', 2, 3, 4);
        UPDATE "Ünï code"."Select ""it""" SET "a b" = 'z', "Order" = 7 WHERE "Order" = 1;
        INSERT INTO "a.b"."c.d" VALUES (1, '%s%n', '$2', 3); DELETE FROM "table";
        UPDATE "a.b"."c.d" SET "$1" = 'changed'; INSERT INTO "a.b"."%n" VALUES (4);
        INSERT INTO xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx1 VALUES (1)''')
    assert pair.assert_equal() == 5


@pytest.mark.quick
def test_renamed_destination_and_excluded_columns(pair, bunny):
    pair.sql("""CREATE TABLE t (id int PRIMARY KEY, secret text NOT NULL, v text, n int);
                CREATE INDEX t_v ON t (v);
                INSERT INTO t SELECT i, 's', 'v' || i, i FROM generate_series(1, 50) i""")
    bunny.mirror("m", pair, [{
        "source_schema": "public", "source_table": "t", "destination_schema": "archive",
        "destination_table": "T copy", "exclude_columns": ["secret"]}])
    same = {"renamed": {("public", "t"): ("archive", "T copy")},
            "excluded": {("public", "t"): ("secret",)}}
    pair.assert_equal(**same)
    pair.sql("UPDATE t SET secret = 'changed'; UPDATE t SET v = 'w' WHERE id < 5; "
             "DELETE FROM t WHERE id = 9; INSERT INTO t VALUES (51, 'x', 'y', 1)")
    pair.assert_equal(**same)
    columns = pair.dsql("SELECT column_name FROM information_schema.columns "
                        "WHERE table_schema = 'archive' AND table_name = 'T copy'")
    assert ("secret",) not in columns
    assert pair.dsql("SELECT to_regclass('public.t')")[0][0] is None


def test_generated_identity_and_serial_columns(pair, bunny):
    pair.sql("""CREATE TABLE g (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int,
                    double int GENERATED ALWAYS AS (a * 2) STORED);
                CREATE TABLE d (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text);
                CREATE TABLE s (id serial PRIMARY KEY, v text DEFAULT 'none' NOT NULL);
                INSERT INTO g (a) SELECT generate_series(1, 20);
                INSERT INTO d (v) VALUES ('x'); INSERT INTO s DEFAULT VALUES""")
    bunny.mirror("m", pair)
    pair.sql("INSERT INTO g (a) VALUES (100); UPDATE g SET a = 7 WHERE id = 3; "
             "UPDATE g SET id = DEFAULT WHERE id = 4; DELETE FROM g WHERE id = 5; "
             "INSERT INTO d (v) VALUES ('y'); UPDATE d SET id = 50 WHERE id = 1; "
             "INSERT INTO s DEFAULT VALUES; UPDATE s SET v = 'z'")
    pair.assert_equal()


def test_partitioned_table_with_rows_that_move(pair, bunny):
    pair.sql("""CREATE TABLE p (id int, at date, v text, PRIMARY KEY (id, at, v)) PARTITION BY RANGE (at);
                CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2024-07-01');
                CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2024-07-01') TO ('2025-01-01')
                    PARTITION BY LIST (v);
                CREATE TABLE p2a PARTITION OF p2 FOR VALUES IN ('a');
                CREATE TABLE p2x PARTITION OF p2 DEFAULT;
                INSERT INTO p SELECT i, date '2024-01-01' + i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b'
                END FROM generate_series(0, 300) i""")
    bunny.mirror("m", pair, ["public.p"])
    assert pair.assert_equal() == 301 * 2 + 301 - 182  # p and its leaves; p2 and its leaves
    pair.sql("UPDATE p SET at = at + 180 WHERE id BETWEEN 10 AND 20; UPDATE p SET v = 'c' "
             "WHERE id > 290; DELETE FROM p WHERE id % 7 = 0; INSERT INTO p VALUES "
             "(1000, '2024-12-31', 'a')")
    pair.assert_equal()


def test_wide_and_empty_tables(pair, bunny):
    columns = ", ".join(f"c{i} int" for i in range(1, 1000))
    pair.sql(f"CREATE TABLE wide (id int PRIMARY KEY, {columns}); CREATE TABLE none ();"
             "ALTER TABLE none REPLICA IDENTITY FULL; INSERT INTO none DEFAULT VALUES;"
             "CREATE TABLE dropped (id int PRIMARY KEY, a int, b int, c int);"
             "ALTER TABLE dropped DROP a, DROP b; INSERT INTO dropped VALUES (1, 2)")
    bunny.mirror("m", pair)
    pair.sql("INSERT INTO wide (id, c1, c999) VALUES (1, 2, 3); UPDATE wide SET c500 = 7; "
             "INSERT INTO none DEFAULT VALUES; UPDATE dropped SET c = 3")
    assert pair.assert_equal() == 4


@pytest.mark.long
@pytest.mark.limit(240)
def test_snapshot_of_a_table_in_many_parts(pair, bunny):
    """Ranges by ctid: no row is left out or copied twice, also of a table without a key."""
    pair.sql("""CREATE TABLE t (a int, v text); ALTER TABLE t REPLICA IDENTITY FULL;
                INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 300000) i;
                DELETE FROM t WHERE a % 5 = 0; ANALYZE t""")
    bunny.mirror("m", pair, snapshot_num_rows_per_partition=20000,
                 snapshot_max_parallel_workers=4)
    assert pair.assert_equal() == 240000
