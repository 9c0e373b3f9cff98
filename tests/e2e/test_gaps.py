"""Promise: a mirror never streams on over a hole. What the source would leave out without a word is
an error."""
import contextlib
import os
import shutil
import sqlite3
import subprocess

import pytest

from harness.cluster import Cluster
from harness.pair import Pair
from harness.waiting import wait_for


def test_a_source_that_was_set_back(pair, bunny):
    """WAL below our progress would be skipped by the server: a restored source is told apart."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    bunny.mirror("m", pair)
    bunny.api.post("/v1/mirrors/m/pause")
    pair.dsql("UPDATE _bunnydb.progress SET lsn = '7F/0'")
    pair.sql("INSERT INTO t VALUES (1)")
    bunny.api.post("/v1/mirrors/m/resume")
    status = bunny.wait_status("m", "error", 20, may_fail=True)
    assert status["error_code"] == "source_changed", status
    assert "restored" in status["error_message"]
    bunny.api.post("/v1/mirrors/m/retry", {"recreate_slot": True})
    bunny.wait_running("m")
    assert pair.assert_equal() == 1


@pytest.fixture
def own_source(root):
    cluster = Cluster(root, f"own{os.urandom(3).hex()}", shared_buffers="32MB").start()
    yield cluster
    cluster.stop("immediate")


@pytest.mark.long
@pytest.mark.limit(180)
def test_a_source_that_is_an_older_copy_of_itself(own_source, dest, bunny):
    """It has written past our progress again: positions alone would not tell."""
    pair = Pair(own_source, dest)
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
    bunny.mirror("m", pair)
    pair.assert_equal()
    own_source.stop()
    shutil.copytree(own_source.data, f"{own_source.data}.old", symlinks=True)
    subprocess.run(["chown", "-R", "--reference", own_source.data, f"{own_source.data}.old"],
                   check=True)
    own_source.start()
    bunny.wait_running("m", may_fail=True)
    before = pair.sql("SELECT restart_lsn - '0/0' FROM pg_replication_slots")[0][0]
    pair.sql("INSERT INTO t VALUES (2, 'applied, and lost at the source')")

    def noted():
        pair.sql("CHECKPOINT")
        with contextlib.closing(sqlite3.connect(f"{bunny.state_dir}/catalog.db")) as c:
            return c.execute("SELECT slot_restart FROM mirror").fetchone()[0] > before
    wait_for(noted, 60, "the slot's position to be noted", every=0.5)
    pair.assert_equal()
    bunny.api.post("/v1/mirrors/m/pause")
    own_source.stop("immediate")
    shutil.rmtree(own_source.data)
    os.rename(f"{own_source.data}.old", own_source.data)
    own_source.start()
    pair.sql("INSERT INTO t SELECT i, 'would be left out' FROM generate_series(3, 1000) i")
    pair.sql("SELECT pg_logical_emit_message(true, 'x', repeat('x', 4000000))")
    progress = pair.dsql("SELECT lsn::text FROM _bunnydb.progress")[0][0]
    assert pair.sql("SELECT pg_current_wal_flush_lsn() > %s::pg_lsn", (progress,))[0][0]
    bunny.api.post("/v1/mirrors/m/resume")
    status = bunny.wait_status("m", "error", 30, may_fail=True)
    assert status["error_code"] == "source_changed", status
    assert "needs WAL from" in status["error_message"], status
    assert pair.dsql("SELECT count(*) FROM t") == [(2,)]
    bunny.api.post("/v1/mirrors/m/retry", {"recreate_slot": True})
    bunny.wait_running("m", may_fail=True)
    assert pair.assert_equal() == 999
    bunny.delete_all()


@pytest.mark.parametrize("change", ["SET (publish = 'insert')", "SET TABLE ONLY t WHERE (id > 5)",
                                    "SET TABLE ONLY t (id)", "DROP TABLE ONLY t",
                                    "SET (publish_via_partition_root)"])
def test_a_publication_that_leaves_something_out(pair, bunny, change):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY)")
    bunny.mirror("m", pair)
    bunny.api.post("/v1/mirrors/m/pause")
    pair.sql(f"ALTER PUBLICATION bunny_pub_m {change}")
    pair.sql("INSERT INTO t VALUES (1, 'a'), (7, 'b')")
    pair.sql("UPDATE t SET v = 'c'")
    bunny.api.post("/v1/mirrors/m/resume")
    status = bunny.wait_status("m", "error", 20, may_fail=True)
    assert status["error_code"] == "publication_missing", status
    bunny.api.post("/v1/mirrors/m/retry")
    bunny.wait_running("m")
    assert pair.assert_equal() == 2


@pytest.mark.long
@pytest.mark.parametrize("changes", ["manual", "auto"])
def test_a_table_that_was_dropped_and_created_again(pair, bunny, changes):
    """The publication has lost it, whether or not that is its last one. It alone is copied: what the
    others have is in the slot. By hand, the mirror stops until it is asked for."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b');"
             "CREATE TABLE o (id int PRIMARY KEY); CREATE SCHEMA s; CREATE TABLE s.t (LIKE t INCLUDING ALL)")
    bunny.mirror("m", pair, schema_changes=changes)
    bunny.mirror("one", pair, ["s.t"], schema_changes=changes)
    pair.sql("INSERT INTO o SELECT generate_series(1, 1000); INSERT INTO t VALUES (3, 'c')")
    bunny.kill()
    for name in ("t", "s.t"):
        pair.sql(f"DROP TABLE {name}; CREATE TABLE {name} (v text, id int PRIMARY KEY, w int);"
                 f"INSERT INTO {name} VALUES ('x', 7, 1)")
    pair.sql("INSERT INTO o SELECT generate_series(1001, 2000)")
    bunny.start()
    for mirror in ("m", "one"):
        if changes == "manual":
            status = bunny.wait_status(mirror, "error", 30, may_fail=True)
            assert status["error_code"] == "schema_mismatch", status
            assert "dropped and created again" in status["error_message"], status
            bunny.cli("sync-schema", mirror, "--wait", "60")
        bunny.wait_running(mirror, may_fail=True)
    pair.sql("INSERT INTO t VALUES ('y', 8, 2); UPDATE s.t SET v = 'z'")
    assert pair.assert_equal() == 2003
    log = [line for line in bunny.log_tail(50000).splitlines() if "is copied again" in line]
    assert sorted(line.split("table=")[1].split()[0] for line in log) == ["public.t", "s.t"], log


def test_a_publication_that_was_altered_and_put_back(pair, bunny):
    """Before anybody looked: what it left out meanwhile is in no stream. Another owner is no loss."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, i FROM"
             " generate_series(1, 9) i; CREATE ROLE pub_owner SUPERUSER")
    bunny.mirror("m", pair)
    for change in ("OWNER TO pub_owner", "OWNER TO CURRENT_USER"):
        bunny.api.post("/v1/mirrors/m/pause")
        pair.sql(f"ALTER PUBLICATION bunny_pub_m {change}; UPDATE t SET v = v + 1")
        bunny.api.post("/v1/mirrors/m/resume")
        bunny.wait_running("m", may_fail=True)
        assert pair.assert_equal() == 9
    assert bunny.log_tail().count("has another owner at the source") == 2
    bunny.api.post("/v1/mirrors/m/pause")
    pair.sql("ALTER PUBLICATION bunny_pub_m SET (publish = 'insert')")
    pair.sql("UPDATE t SET v = 0")
    pair.sql("ALTER PUBLICATION bunny_pub_m SET (publish = 'insert, update, delete, truncate')")
    bunny.api.post("/v1/mirrors/m/resume")
    status = bunny.wait_status("m", "error", 20, may_fail=True)
    assert status["error_code"] == "publication_missing" and "was altered" in status["error_message"]
    bunny.api.post("/v1/mirrors/m/retry")
    bunny.wait_running("m", may_fail=True)
    assert pair.assert_equal() == 9
    pair.sql("DROP ROLE pub_owner")


@pytest.mark.long
@pytest.mark.parametrize("is_put_back", [False, True])
def test_partitions_that_are_published_as_their_root(pair, bunny, is_put_back):
    """The source then says nothing of a TRUNCATE of one partition: noticed while it streams."""
    pair.sql("""CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
                CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
                CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
                INSERT INTO p SELECT generate_series(0, 19)""")
    bunny.mirror("m", pair, ["public.p"])
    pair.sql("ALTER PUBLICATION bunny_pub_m SET (publish_via_partition_root = true)")
    pair.sql("UPDATE p SET id = id WHERE id = 11;"
             "TRUNCATE p1; DELETE FROM p WHERE id = 12")
    if is_put_back:  # before the sampler's next look, most likely
        pair.sql("ALTER PUBLICATION bunny_pub_m SET (publish_via_partition_root = false)")
    status = bunny.wait_status("m", "error", 40, may_fail=True)
    assert status["error_code"] == "publication_missing", status
    assert is_put_back or "publish_via_partition_root" in \
        status["error_message"], status
    bunny.api.post("/v1/mirrors/m/retry")
    bunny.wait_running("m", may_fail=True)
    assert pair.assert_equal() == 18


@pytest.mark.long
@pytest.mark.parametrize("is_put_back", [False, True])
def test_a_publication_that_changes_under_the_stream(pair, bunny, is_put_back):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)")
    bunny.mirror("m", pair)
    started = bunny.log_tail().count("started slot=")
    pair.sql("ALTER PUBLICATION bunny_pub_m DROP TABLE ONLY t")
    if is_put_back:
        pair.sql("ALTER PUBLICATION bunny_pub_m ADD TABLE ONLY t")
        wait_for(lambda: bunny.log_tail().count("started slot=") > started, 40, "another look")
        pair.sql("INSERT INTO t VALUES (1)")
        assert pair.assert_equal() == 1
        return
    status = bunny.wait_status("m", "error", 40, may_fail=True)
    assert status["error_code"] == "publication_missing", status


def test_a_type_change_that_rewrote_rows(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1)")
    bunny.mirror("m", pair)
    pair.sql("INSERT INTO t VALUES (2, 2)")
    pair.wait_confirmed()
    pair.sql("ALTER TABLE t ALTER a TYPE bigint USING a * 2")
    pair.sql("INSERT INTO t VALUES (3, 3)")
    status = bunny.wait_status("m", "error", 30, may_fail=True)
    assert status["error_code"] == "schema_mismatch", status
    pair.dsql("ALTER TABLE t ALTER a TYPE bigint USING a * 2")
    bunny.api.post("/v1/mirrors/m/retry")
    bunny.wait_running("m", may_fail=True)
    assert pair.assert_equal() == 3


@pytest.mark.parametrize("changes", ["manual", "auto"])
def test_a_column_that_the_destination_has_lost(pair, bunny, changes):
    """Its values are gone: that it is there again does not bring them back."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY);"
             "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 1000) i")
    bunny.mirror("m", pair, schema_changes=changes)
    pair.dsql("ALTER TABLE t DROP COLUMN v")
    pair.sql("INSERT INTO t VALUES (0, 'new'); INSERT INTO u VALUES (1)")
    if changes == "manual":
        status = bunny.wait_status("m", "error", 30, may_fail=True)
        assert "column v of public.t is missing at the destination" in status["error_message"] or \
            status["error_code"] == "destination_error", status
        wait_for(lambda: "its column v is gone" in bunny.log_tail(), 10, "the loss to be noted")
        pair.dsql("ALTER TABLE t ADD COLUMN v text")
        bunny.api.post("/v1/mirrors/m/retry")
    wait_for(lambda: "copied tables stream" in bunny.log_tail(), 60, "the table to be copied")
    bunny.wait_running("m", may_fail=True)
    assert pair.assert_equal() == 1002


def test_a_column_that_the_destination_never_had(pair, bunny):
    """Added by hand it holds what the source's holds, and nothing is copied."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    bunny.mirror("m", pair)
    pair.sql("ALTER TABLE t ADD COLUMN v text; INSERT INTO t VALUES (2, 'b')")
    bunny.wait_status("m", "error", 30, may_fail=True)
    pair.dsql("ALTER TABLE t ADD COLUMN v text")
    bunny.api.post("/v1/mirrors/m/retry")
    bunny.wait_running("m", may_fail=True)
    assert pair.assert_equal() == 2
    assert "is copied again" not in bunny.log_tail()


def test_what_was_made_anew_at_the_destination_while_nobody_looked(pair, bunny):
    """The names are there, what was copied is not. New files of the same rows are no reason."""
    pair.sql("".join(f"CREATE TABLE {t} (id int PRIMARY KEY, v text); INSERT INTO {t} SELECT i, 'v' || i"
                     " FROM generate_series(1, 300) i;" for t in ("col", "tab", "emp", "vac", "mine")))
    bunny.mirror("m", pair)
    pair.sql("TRUNCATE mine")
    pair.wait_confirmed()
    bunny.api.post("/v1/mirrors/m/pause")
    for sql in ("ALTER TABLE col DROP COLUMN v", "ALTER TABLE col ADD COLUMN v text",
                "CREATE TABLE new (LIKE tab INCLUDING ALL)", "DROP TABLE tab",
                "ALTER TABLE new RENAME TO tab", "TRUNCATE emp", "VACUUM FULL vac", "REINDEX TABLE vac"):
        pair.dsql(sql)
    pair.sql("INSERT INTO mine VALUES (1, 'x'); UPDATE col SET v = 'w' WHERE id = 7")
    plan = bunny.cli("sync-schema", "m", "--dry-run").stdout
    assert [f"copy table public.{t} again" in plan for t in ("col", "tab", "emp", "vac", "mine")] == \
        [True, True, True, False, False], plan
    bunny.api.post("/v1/mirrors/m/resume")
    wait_for(lambda: "copied tables stream" in bunny.log_tail(), 60, "the tables to be copied")
    bunny.wait_running("m", may_fail=True)
    assert pair.assert_equal() == 1201
    log = bunny.log_tail()
    for table, why in (("col", "its column v was dropped and added again"),
                       ("tab", "has made public.tab anew"), ("emp", "has emptied public.emp")):
        assert f"table=public.{table} is copied again" in log and why in log, log
    assert "table=public.vac is copied" not in log and "table=public.mine is copied" not in log, log
    bunny.api.post("/v1/mirrors/m/pause")
    bunny.api.post("/v1/mirrors/m/resume")
    bunny.wait_running("m", may_fail=True)
    assert pair.assert_equal() == 1201
    assert bunny.log_tail().count("is copied again") == log.count("is copied again")


def test_progress_that_an_earlier_version_wrote(pair, bunny):
    """It does not say on which timeline it is: that is taken down, and the mirror goes on."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    bunny.mirror("m", pair)
    bunny.api.post("/v1/mirrors/m/pause")
    pair.dsql("ALTER TABLE _bunnydb.progress DROP COLUMN timeline, DROP COLUMN timeline_start")
    pair.sql("INSERT INTO t VALUES (1)")
    bunny.api.post("/v1/mirrors/m/resume")
    bunny.wait_running("m")
    assert pair.assert_equal() == 1
    assert pair.dsql("SELECT timeline, timeline_start FROM _bunnydb.progress") == [(1, "0/0")]


# what a type is made of, a value of before, what no message of the stream tells, a value of behind it
ENUM = "AS ENUM ('a', 'b', 'c')"
TYPES = {"swapped": (ENUM, "'a'", "RENAME VALUE 'a' TO 'x'; RENAME VALUE 'b' TO 'a'; "
                     "RENAME VALUE 'x' TO 'b'", "'a'"),
         "moved": (ENUM, "'b'", "RENAME VALUE 'b' TO 'z'; RENAME VALUE 'a' TO 'b'", "'b'"),
         "again": (ENUM, "'b'", "RENAME VALUE 'b' TO 'z'; ADD VALUE 'b' BEFORE 'a'", "'b'"),
         "replaced": ("AS (a int, b int)", "ROW(1, 2)", "DROP ATTRIBUTE a, ADD ATTRIBUTE c int",
                      "ROW(3, 4)"),
         "turned": ("AS (a int, b int)", "ROW(1, 2)", "RENAME ATTRIBUTE a TO x; "
                    "RENAME ATTRIBUTE b TO a; RENAME ATTRIBUTE x TO b", "ROW(3, 4)")}


def values(connection):
    return {name: connection.execute(f"SELECT to_jsonb(t)::text FROM {name} t ORDER BY id").fetchall()
            for name in TYPES}


@pytest.mark.long
@pytest.mark.parametrize("changes", ["manual", "auto"])
def test_the_same_text_that_means_another_value(pair, bunny, changes):
    """Labels that exchange their names, attributes that take the place of others: values of before
    and of behind look the same, and so the tables are copied again, or the operator is told."""
    for name, (made_of, value, _, _) in TYPES.items():
        pair.sql(f"CREATE TYPE k{name} {made_of}; CREATE DOMAIN d{name} AS k{name};"
                 f"CREATE TABLE {name} (id int PRIMARY KEY, v k{name}, w d{name}[]);"
                 f"INSERT INTO {name} VALUES (1, {value}, ARRAY[{value}]::k{name}[]::d{name}[])")
    bunny.mirror("m", pair, schema_changes=changes)
    for name, (_, _, steps, value) in TYPES.items():
        for step in steps.split("; "):
            pair.sql(f"ALTER TYPE k{name} {step}")
        pair.sql(f"INSERT INTO {name} VALUES (2, {value}, ARRAY[{value}]::k{name}[]::d{name}[])")
    if changes == "manual":
        wait_for(lambda: [f for f in bunny.status("m")["findings"] if f["severity"] == "warning" and
                          f["code"] == "definitions_behind"], 30, "the warning")
        bunny.cli("sync-schema", "m")
    wait_for(lambda: values(pair.src) == values(pair.dst), 60, "the same values")
    wait_for(lambda: not bunny.status("m")["findings"], 30, "no finding any more")
    pair.sql("UPDATE turned SET id = 3 WHERE id = 2; DELETE FROM swapped WHERE v = 'b'")
    wait_for(lambda: values(pair.src) == values(pair.dst), 60, "what came meanwhile")
    pair.assert_equal()
