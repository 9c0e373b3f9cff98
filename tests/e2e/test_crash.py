"""Promise: whatever ends at whatever moment (us, a server, one of its sessions), the databases are
equal afterwards, and no slot is left over. KILLS says how often (2; 20 for a long look)."""
import os
import random
import signal
import threading
import time

import pytest

from harness.bunny import Bunny
from harness.load import Load, pgbench_init
from harness.pair import Pair
from harness.waiting import soon, wait_for

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


@pytest.fixture
def loaded(durable, root):
    """A pair with pgbench's tables and a process; afterwards all of it must go cleanly."""
    from conftest import _finish
    p = Pair(*durable)
    pgbench_init(p.source, p.sdb, 1)
    p.sql("CREATE TABLE moving (id int PRIMARY KEY, v int)")
    b = Bunny(root, f"c{Pair.count}").start()
    try:
        yield p, b
        _finish(b)
        p.assert_clean()
    finally:
        b.remove()
        p.drop()


def work(pair, bunny, rate=300):
    return Load(pair.source, pair.sdb, clients=3, rate=rate, script=WORK, directory=bunny.dir)


def grown(pair, bunny, name, seconds):
    """Waits until the mirror has made visible progress, then a random little while: the kill comes
    at any moment of a batch."""
    before = bunny.status(name)["last_lsn"]
    wait_for(lambda: bunny.status(name)["last_lsn"] != before, 30, "progress")
    threading.Event().wait(random.random() * seconds)


@pytest.mark.long
@pytest.mark.limit(120 + 30 * KILLS)
@pytest.mark.sanitize
def test_kill_during_the_stream(loaded):
    pair, bunny = loaded
    bunny.mirror("m", pair)
    with work(pair, bunny):
        for _ in range(KILLS):
            grown(pair, bunny, "m", 0.5)
            bunny.kill()
            bunny.start()
            bunny.wait_running("m", 60, may_fail=True)
    assert pair.assert_equal(90) > 100000
    assert len(pair.slots()) == 1


@pytest.mark.long
@pytest.mark.limit(120 + 40 * KILLS)
def test_kill_during_the_snapshot(loaded):
    pair, bunny = loaded
    pair.source.run("pgbench", "-i", "-q", "-s", 5, pair.sdb)
    pair.sql("ALTER TABLE pgbench_history REPLICA IDENTITY FULL")
    with work(pair, bunny, 100):
        bunny.create_mirror("m", pair, snapshot_num_rows_per_partition=50000)
        for turn in range(KILLS):
            wait_for(lambda: bunny.status("m")["status"] in ("snapshotting", "running"), 30,
                     "the snapshot to begin")
            threading.Event().wait(random.random() * 0.1 * (turn + 1))
            bunny.kill()
            bunny.start()
        bunny.wait_running("m", 120, may_fail=True)
    assert pair.assert_equal(90) > 500000
    assert len(pair.slots()) == 1


@pytest.mark.long
@pytest.mark.limit(120)
def test_kill_while_the_mirror_is_made(loaded):
    """At any moment of publication, slot, definitions: it ends equal, with one slot."""
    pair, bunny = loaded
    for turn in range(2 * KILLS):
        name = f"m{turn}"
        bunny.create_mirror(name, pair)
        threading.Event().wait(random.random() * 0.15)
        bunny.kill()
        bunny.start()
        bunny.wait_running(name, 60, may_fail=True)
        pair.assert_equal()
        assert len(pair.slots()) == 1
        bunny.api.delete(f"/v1/mirrors/{name}")
        pair.assert_clean()
        pair.dsql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


@pytest.mark.sanitize
@pytest.mark.tsan
def test_sigterm_under_load_ends_soon_and_loses_nothing(loaded):
    pair, bunny = loaded
    bunny.mirror("m", pair)
    with work(pair, bunny):
        for sig in (signal.SIGTERM, signal.SIGINT):
            grown(pair, bunny, "m", 0.3)
            code, seconds = bunny.stop(sig)
            assert code == 0
            assert seconds < soon(2), f"{seconds:.1f} s after {sig!r}"
            bunny.start()
            bunny.wait_running("m")
    pair.assert_equal()


def test_sigterm_beside_a_source_that_hangs(loaded):
    """Nobody there takes a cancel request, or answers a last word: all threads wait for that at once,
    not one after the other."""
    pair, bunny = loaded
    bunny.mirror("m", pair)
    server = pair.source.process.pid
    with open(f"/proc/{server}/task/{server}/children", encoding="ascii") as f:
        pids = [server, *map(int, f.read().split())]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        threading.Event().wait(1.2)  # until each of its sessions has asked something
        code, seconds = bunny.stop()
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert code == 0
    assert seconds < soon(2.2), f"{seconds:.1f} s"
    bunny.start()
    bunny.wait_running("m")
    pair.assert_equal()


def sessions(cluster, where, dbname):
    """PIDs of the mirror's own sessions in a database."""
    return {r[0] for r in cluster.sql(
        "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = 'bunnydb m' "
        f"AND {where}", (dbname,))}


@pytest.mark.long
@pytest.mark.limit(240)
@pytest.mark.sanitize
@pytest.mark.parametrize("side", ["walsender", "apply"])
def test_terminated_session(loaded, side):
    pair, bunny = loaded
    bunny.mirror("m", pair)
    at = ((pair.source, "backend_type = 'walsender'", pair.sdb) if side == "walsender" else
          (pair.dest, "true", pair.ddb))
    with work(pair, bunny):
        for _ in range(KILLS):
            grown(pair, bunny, "m", 0.2)
            began = time.monotonic()
            old = wait_for(lambda: sessions(*at), 30, f"a session of the {side}")
            for pid in old:
                at[0].sql("SELECT pg_terminate_backend(%s)", (pid,))
            wait_for(lambda: sessions(*at) - old and bunny.status("m")["status"] == "running", 30,
                     "the mirror to go on")
            print(f"recovered in {time.monotonic() - began:.1f} s")
    pair.assert_equal(90)


@pytest.mark.long
@pytest.mark.limit(240)
@pytest.mark.sanitize
def test_restart_of_the_destination(loaded):
    pair, bunny = loaded
    bunny.mirror("m", pair)
    with work(pair, bunny):
        for mode in ("immediate", "fast"):
            grown(pair, bunny, "m", 0.3)
            pair.dest.stop(mode)
            wait_for(lambda: bunny.status("m")["error_count"] > 0, 30, "the error to be noticed")
            status = bunny.status("m")
            assert status["error_message"] and status["next_retry_at"], status
            pair.dest.start()
            bunny.wait_running("m", 60, may_fail=True)
    pair.assert_equal(90)


@pytest.mark.long
@pytest.mark.limit(240)
@pytest.mark.sanitize
def test_restart_of_the_source(loaded):
    pair, bunny = loaded
    bunny.mirror("m", pair)
    for mode in ("immediate", "fast"):
        load = work(pair, bunny)
        grown(pair, bunny, "m", 0.3)
        pair.source.stop(mode)
        load.process.wait(30)  # its server is gone
        wait_for(lambda: bunny.status("m")["error_count"] > 0, 30, "the error to be noticed")
        pair.source.start()
        bunny.wait_running("m", 60, may_fail=True)
    pair.assert_equal(90)


@pytest.mark.long
@pytest.mark.limit(120)
def test_restart_of_both_during_the_snapshot(loaded):
    pair, bunny = loaded
    pair.source.run("pgbench", "-i", "-q", "-s", 10, pair.sdb)
    pair.sql("ALTER TABLE pgbench_history REPLICA IDENTITY FULL")
    bunny.create_mirror("m", pair, snapshot_num_rows_per_partition=50000)
    wait_for(lambda: bunny.status("m")["snapshot"]["bytes_done"], 30, "the first rows", 0.01)
    pair.dest.restart("immediate")
    wait_for(lambda: bunny.status("m")["snapshot"]["bytes_done"] or
             bunny.status("m")["status"] == "running", 30, "the copy to go on", 0.01)
    pair.source.restart("immediate")
    bunny.wait_running("m", 90, may_fail=True)
    assert pair.assert_equal() > 1000000
    assert len(pair.slots()) == 1


def test_a_publication_that_an_ended_process_still_makes(pair, bunny):
    """Its session at the source commits after the leftovers were removed."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
    bunny.mirror("m", pair)
    publication = pair.publications()[0]
    pair.sql(f'DROP PUBLICATION "{publication}"')
    with pair.source.connect(pair.sdb) as other:
        other.execute("BEGIN")
        other.execute(f'CREATE PUBLICATION "{publication}"')
        bunny.api.post("/v1/mirrors/m/retry", {"recreate_slot": True})
        wait_for(lambda: pair.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = "
                                  "'Lock' AND query LIKE 'CREATE PUBLICATION %'")[0][0], 60,
                 "the wait for the other session")
        other.execute("COMMIT")
    bunny.wait_running("m")  # and no error on the way
    assert bunny.status("m")["error_count"] == 0
    pair.sql("INSERT INTO t VALUES (3)")
    pair.wait_confirmed()
    pair.assert_equal()
