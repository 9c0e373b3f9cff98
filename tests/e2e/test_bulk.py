"""Promise: a mirror that is far behind reads in bulk, and goes over to the stream, without a gap or a
double, whatever ends in between. KILLS says how often, twice over (2; 20 for a long look)."""
import contextlib
import os
import random
import threading

import pytest

from harness.bunny import Bunny
from harness.load import Load, pgbench_init
from harness.pair import Pair
from harness.waiting import wait_for

KILLS = int(os.environ.get("KILLS", "2"))
WORK = """\\set a random(1, 100000)
\\set d random(-500, 500)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :d WHERE aid = :a;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, :a, :d, now());
DELETE FROM moving WHERE id = :a;
INSERT INTO moving VALUES (:a, :d) ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v;
END;
"""
# WAL that nobody maps; a run begins in bulk when 32 MiB are not applied
DISTANCE = "SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000)) FROM generate_series(1, 40)"
COPIES = "SELECT slot_name FROM pg_replication_slots WHERE temporary AND slot_name ~ '_bulk_'"


def far_behind(pair, bunny, *steps):
    """The mirror m is paused meanwhile."""
    bunny.api.post("/v1/mirrors/m/pause")
    pair.sql(DISTANCE)
    for step in steps:
        pair.sql(step)
    bunny.api.post("/v1/mirrors/m/resume")


def said(bunny, what):
    with open(bunny.log, encoding="utf-8", errors="replace") as f:
        return f.read().count(what)


def finish(pair, bunny, limit=60):
    """It streams again, and nothing of the bulk reading is left."""
    rows = pair.assert_equal(limit)
    wait_for(lambda: not pair.source.sql(COPIES), 30, "the copy of the slot to go")
    assert said(bunny, "reads in bulk")
    assert not said(bunny, "no bulk reading")
    return rows


def test_every_kind_of_change(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text, n int); CREATE TABLE nokey (a int, b text);"
             "ALTER TABLE nokey REPLICA IDENTITY FULL; CREATE TABLE gone (id int PRIMARY KEY);"
             "INSERT INTO t SELECT i, repeat(md5(i::text), 200), i FROM generate_series(1, 500) i;"
             "INSERT INTO gone SELECT generate_series(1, 100)")
    bunny.mirror("m", pair, schema_changes="auto")
    far_behind(
        pair, bunny,
        "INSERT INTO t SELECT i, 'v', i FROM generate_series(1000, 30000) i",
        "UPDATE t SET n = n + 1 WHERE id <= 500",           # TOAST values that do not change
        "UPDATE t SET id = -id WHERE id BETWEEN 1000 AND 1100",
        "BEGIN; INSERT INTO nokey SELECT i % 7, 'b' FROM generate_series(1, 100) i; SAVEPOINT s; "
        "DELETE FROM nokey; ROLLBACK TO s; DELETE FROM nokey WHERE ctid IN (SELECT ctid FROM nokey "
        "WHERE a = 1 LIMIT 3); COMMIT",
        "TRUNCATE gone", "INSERT INTO gone VALUES (7)",
        "ALTER TABLE t ADD COLUMN more int DEFAULT 5", "UPDATE t SET more = id WHERE id < 2000",
        "ALTER TABLE t RENAME COLUMN v TO text",
        "BEGIN; DELETE FROM t WHERE id > 29000; PREPARE TRANSACTION 'p'", "COMMIT PREPARED 'p'",
        "INSERT INTO t SELECT i, 'w', i, i FROM generate_series(40000, 90000) i")
    assert pair.sql("SELECT count(*) FROM t")[0][0] > 70000
    assert finish(pair, bunny) > 70000


def test_rows_in_latin1(make_pair, bunny):
    """Both ways convert to UTF-8."""
    pair = make_pair(extra="ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    bunny.mirror("m", pair)
    far_behind(pair, bunny, "INSERT INTO t SELECT i, 'é' || i FROM generate_series(1, 1000) i")
    assert finish(pair, bunny) == 1000


@pytest.mark.long
def test_a_stream_that_falls_behind_goes_over_to_it(pair, bunny):
    """Small transactions under load, and 64 MiB more."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    bunny.mirror("m", pair)
    with pair.dest.connect(pair.ddb) as other:
        other.execute("BEGIN; LOCK t")
        pair.sql("DO $$BEGIN FOR i IN 1..120000 LOOP INSERT INTO t VALUES (i, 'v'); COMMIT; "
                 "END LOOP; END$$")
        pair.sql(DISTANCE + " a, generate_series(1, 2) b")
        assert not said(bunny, "reads in bulk")
        other.execute("ROLLBACK")
    wait_for(lambda: said(bunny, "reads in bulk"), 60, "bulk reading")
    assert finish(pair, bunny) == 120000
    assert bunny.status("m")["tables"][0]["rows_inserted"] == 120000


@pytest.mark.long
def test_it_shows_and_a_pause_ends_it_at_once(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    bunny.mirror("m", pair)
    with pair.dest.connect(pair.ddb) as other:
        other.execute("BEGIN; LOCK t")
        far_behind(pair, bunny, "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 200000) i")
        wait_for(lambda: pair.source.sql(COPIES), 30, "bulk reading")
        status = bunny.status("m")
        assert (status["status"], status["phase"]) == ("running", "catching_up"), status
        answer = bunny.api.post("/v1/mirrors/m/pause")
        assert bunny.status("m")["status"] == "paused", answer
        wait_for(lambda: not pair.source.sql(COPIES), 5, "the copy of the slot to go")
        other.execute("ROLLBACK")
    bunny.api.post("/v1/mirrors/m/resume")
    assert finish(pair, bunny) == 200000
    bunny.wait_running("m")
    wait_for(lambda: bunny.status("m")["phase"] == "streaming", 30, "streaming")


def test_the_slot_waits_for_the_destination(pair, bunny):
    """What was read is not what is durable: a process that ends in between has lost nothing."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    bunny.mirror("m", pair)
    with pair.dest.connect(pair.ddb) as other:
        other.execute("BEGIN; LOCK t IN EXCLUSIVE MODE")  # its definition can be read
        bunny.api.post("/v1/mirrors/m/pause")
        pair.sql(DISTANCE)
        pair.sql(DISTANCE)
        before = pair.sql("SELECT pg_current_wal_insert_lsn()")[0][0]
        pair.sql("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 20000) i")
        bunny.api.post("/v1/mirrors/m/resume")
        # decoded; how much of it has come over by then the lock decides
        wait_for(lambda: pair.source.sql(COPIES + " AND confirmed_flush_lsn > %s", (before,)), 60,
                 "the rows to be read")
        bunny.kill()
        other.execute("ROLLBACK")
    slot = pair.sql("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE NOT temporary")[0][0]
    assert pair.dsql("SELECT lsn >= %s FROM _bunnydb.progress", (slot,))[0][0]
    bunny.start()
    assert finish(pair, bunny) == 20000


def test_a_source_without_a_free_slot_is_streamed(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    bunny.mirror("m", pair)
    free = int(pair.sql("SELECT current_setting('max_replication_slots')::int - count(*) FROM "
                        "pg_replication_slots")[0][0])
    with pair.source.connect(pair.sdb) as other:
        for i in range(free):
            other.execute("SELECT pg_create_physical_replication_slot(%s, false, true)", (f"f{i}",))
        far_behind(pair, bunny, "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100000) i")
        assert pair.assert_equal() == 100000
    assert said(bunny, "no bulk reading") == 1
    assert said(bunny, "replication slots are in use") == 1
    assert bunny.status("m")["error_count"] == 0


@pytest.mark.long
def test_a_chunk_that_the_source_gives_up_is_streamed(pair, bunny):
    """Its session goes on, its statement was cancelled: nothing is lost, and it is said."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    bunny.mirror("m", pair)
    with pair.dest.connect(pair.ddb) as other:
        other.execute("BEGIN; LOCK t")
        far_behind(pair, bunny, "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 200000) i")
        pid = wait_for(lambda: pair.source.sql(
            "SELECT s.active_pid FROM pg_replication_slots s JOIN pg_stat_activity a ON "
            "a.pid = s.active_pid WHERE s.temporary AND a.state = 'active' AND a.query LIKE 'COPY %' "
            "AND a.wait_event = 'ClientWrite'"), 30, "a chunk that is sent")[0][0]
        pair.source.sql("SELECT pg_cancel_backend(%s)", (pid,))
        other.execute("ROLLBACK")
    assert pair.assert_equal() == 200000
    wait_for(lambda: said(bunny, "no bulk reading") == 1, 10, "the reason to be said")
    assert bunny.status("m")["error_count"] == 0


@pytest.mark.long
def test_a_table_is_copied_and_compared_meanwhile(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY, v int)")
    pair.sql("INSERT INTO u SELECT i, i FROM generate_series(1, 5000) i")
    bunny.mirror("m", pair)
    with pair.dest.connect(pair.ddb) as other:
        other.execute("BEGIN; LOCK t")
        far_behind(pair, bunny, "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100000) i",
                   "UPDATE u SET v = v + 1")
        wait_for(lambda: pair.source.sql(COPIES), 30, "bulk reading")
        bunny.api.post("/v1/mirrors/m/resync/public.u", {"strategy": "truncate"})
        pair.sql("UPDATE u SET v = v + 1; DELETE FROM u WHERE id < 100")
        other.execute("ROLLBACK")
    assert pair.assert_equal() > 100000
    wait_for(lambda: bunny.status("m")["phase"] == "streaming", 30, "the table to be copied")
    assert finish(pair, bunny) > 100000


@pytest.fixture
def busy(durable, root):
    """A pair with pgbench's tables, work on them, and a mirror that is far behind it."""
    from conftest import _finish
    p = Pair(*durable)
    pgbench_init(p.source, p.sdb, 1)
    p.sql("CREATE TABLE moving (id int PRIMARY KEY, v int); "
          "CREATE TABLE large (id int PRIMARY KEY, v text)")
    b = Bunny(root, f"k{Pair.count}").start()
    try:
        b.mirror("m", p)
        yield p, b
        _finish(b)
        p.assert_clean()
    finally:
        b.remove()
        p.drop()


def end_program(pair, bunny):
    bunny.kill()
    bunny.start()


def end_source(pair, _):
    pair.source.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE "
                    "temporary AND slot_name LIKE '%\\_bulk\\_%'")


def end_destination(pair, _):
    pair.dest.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND "
                  "application_name = 'bunnydb m'", (pair.ddb,))


def restart_source(pair, bunny):
    pair.source.restart("immediate")


def restart_destination(pair, bunny):
    pair.dest.restart("immediate")


def work(pair, bunny, end):
    if end is restart_source:  # it would die with its server
        return contextlib.nullcontext()
    return Load(pair.source, pair.sdb, clients=2, rate=100, script=WORK, directory=bunny.dir)


@pytest.mark.long
@pytest.mark.limit(120 + 30 * KILLS)
@pytest.mark.parametrize("end", [
    pytest.param(end_program, marks=pytest.mark.sanitize), end_source,
    pytest.param(end_destination, marks=pytest.mark.sanitize), restart_source,
    restart_destination])
@pytest.mark.long
def test_whatever_ends_in_between(busy, end):
    """At any moment from the copy of the slot to the first changes of the stream behind it."""
    pair, bunny = busy
    large = hits = 0
    for turn in range(max(1, KILLS // 2)):
        bunny.api.post("/v1/mirrors/m/pause")
        pair.sql(DISTANCE)
        Load(pair.source, pair.sdb, clients=3, script=WORK, seconds=1, directory=bunny.dir).wait(60)
        half = pair.sql("SELECT pg_current_wal_lsn()")[0][0]
        pair.sql("INSERT INTO large SELECT i, md5(i::text) FROM generate_series(%s, %s) i",
                 (large + 1, large + 60000))
        pair.sql("UPDATE large SET v = 'u' || v WHERE id %% 10 = %s", (turn % 10,))
        large += 60000
        before = said(bunny, "reads in bulk")
        with work(pair, bunny, end):
            bunny.api.post("/v1/mirrors/m/resume")
            wait_for(lambda b=before: said(bunny, "reads in bulk") > b, 60, "bulk reading", 0.005)
            if turn % 2 == 0:  # in the middle of it; else at its begin
                wait_for(lambda a=half: pair.dsql("SELECT lsn >= %s FROM _bunnydb.progress",
                                                  (a,))[0][0], 60, "progress", 0.005)
            threading.Event().wait(random.random() ** 2 * 1.5)
            hits += len(pair.source.sql(COPIES))
            end(pair, bunny)
            bunny.wait_running("m", 60, may_fail=True)
    print(f"{hits} of {turn + 1} while it read in bulk")
    assert pair.assert_equal(120) > 160000
    wait_for(lambda: not pair.source.sql(COPIES), 30, "the copy of the slot to go")
    assert len(pair.slots()) == 1
