"""Promise: verify says exactly which rows of both sides are not the same, while both change; and
nobody waits for it."""
import threading
import time

import pytest

from harness.load import Load, pgbench_init
from harness.pair import Pair
from harness.waiting import soon, wait_for

pytestmark = [pytest.mark.sanitize]


def begin(bunny, name="m"):
    answer = bunny.api.raw("POST", f"/v1/mirrors/{name}/verify")
    assert answer.status == 202, answer


def ended(bunny, name="m", limit=90):
    """Waits for the operation's end; its report, with the tables by name."""
    wait_for(lambda: bunny.status(name)["operation"] is None, limit, "the comparison to end")
    report = bunny.api.get(f"/v1/mirrors/{name}/verify")
    report["tables"] = {t["table_name"]: t for t in report["tables"]}
    return report


def verify(bunny, name="m", limit=90):
    begin(bunny, name)
    report = ended(bunny, name, limit)
    assert report["ending"] == "complete", report
    return report


def counts(table):
    return tuple(table[k] for k in ("state", "equal", "differing", "missing", "extra"))


def named(table):
    return sorted((r["kind"], *r["key"].values()) for r in table["rows"])


def make(bunny, pair, **options):
    pair.sql("CREATE TABLE a (id int PRIMARY KEY, v text);"
             "CREATE TABLE b (k text, n int, v jsonb, PRIMARY KEY (k, n));"
             "CREATE TABLE c (v int); ALTER TABLE c REPLICA IDENTITY FULL;"
             "INSERT INTO a SELECT i, 'v' || i FROM generate_series(1, 5000) i;"
             "INSERT INTO b SELECT 'k' || i, i % 3, '{\"a\": 1.0}' FROM generate_series(1, 500) i;"
             "INSERT INTO c SELECT i % 10 FROM generate_series(1, 100) i")
    return bunny.mirror("m", pair, **options)


@pytest.mark.quick
def test_damaged_rows_are_named_and_no_others(bunny, pair):
    make(bunny, pair)
    answer = bunny.api.raw("GET", "/v1/mirrors/m/verify")
    assert (answer.status, answer.code) == (404, "not_found")
    report = verify(bunny, limit=20)
    assert {counts(t) for t in report["tables"].values()} == {
        ("equal", 5000, 0, 0, 0), ("equal", 500, 0, 0, 0), ("equal", 100, 0, 0, 0)}
    pair.dsql("UPDATE a SET v = 'V7' WHERE id = 7; DELETE FROM a WHERE id IN (8, 9);"
              "INSERT INTO a VALUES (-1, 'x'); UPDATE b SET v = '{\"a\": 1.00}' WHERE k = 'k5';"
              "UPDATE c SET v = 77 WHERE ctid = (SELECT ctid FROM c WHERE v = 3 LIMIT 1)")
    report = verify(bunny, limit=20)
    a, b, c = (report["tables"][f"public.{n}"] for n in "abc")
    assert counts(a) == ("different", 4997, 1, 2, 1)
    assert named(a) == [("differing", "7"), ("extra", "-1"), ("missing", "8"), ("missing", "9")]
    assert (a["source_rows"], a["destination_rows"], a["rows_compared"]) == (5000, 4999, 5001)
    assert counts(b) == ("different", 499, 1, 0, 0)
    assert b["rows"] == [{"kind": "differing", "key": {"k": "k5", "n": "2"}}]
    assert counts(c) == ("different", 99, 0, 1, 1)
    assert sorted((r["kind"], r["row"]) for r in c["rows"]) == [("extra", "(77)"), ("missing", "(3)")]
    assert len(pair.slots()) == 1, "the temporary slot is gone"


def test_a_report_outlives_the_process(bunny, pair):
    make(bunny, pair)
    pair.dsql("DELETE FROM a WHERE id = 8")
    before = verify(bunny)
    bunny.kill()
    bunny.start()
    report = bunny.api.get("/v1/mirrors/m/verify")
    report["tables"] = {t["table_name"]: t for t in report["tables"]}
    assert report == before
    assert named(report["tables"]["public.a"]) == [("missing", "8")]


LOAD = """
\\set aid random(1, 20000)
\\set n random(1, 30)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid BETWEEN :aid AND :aid + :n;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, :aid, :n, now());
DELETE FROM pgbench_history WHERE ctid IN
  (SELECT ctid FROM pgbench_history WHERE delta = :n AND delta < 15 LIMIT 1);
UPDATE pgbench_tellers SET tbalance = tbalance + 1 WHERE tid = :n % 10 + 1;
END;
"""


@pytest.mark.long
@pytest.mark.limit(300)
@pytest.mark.parametrize("interval", [0, 30])
def test_no_false_difference_under_load_and_every_true_one(bunny, pair, interval):
    """Small and large transactions commit all the time. interval: batches are held back so long."""
    pgbench_init(pair.source, pair.sdb)
    bunny.mirror("m", pair, cdc_sync_interval_seconds=interval)
    with Load(pair.source, pair.sdb, clients=4, rate=200, script=LOAD):
        done = threading.Event()

        def large():
            with pair.source.connect(pair.sdb) as c:
                while not done.wait(0.3):
                    c.execute("UPDATE pgbench_accounts SET bid = bid + 1 WHERE aid > 97000")
        writer = threading.Thread(target=large)
        writer.start()
        try:
            for _ in range(6 if interval == 0 else 2):
                report = verify(bunny, limit=20)
                for table in report["tables"].values():
                    assert table["state"] == "equal", (report["lsn"], table)
            # rows that the load leaves alone: it would write them anew
            pair.dsql("UPDATE pgbench_accounts SET filler = 'damaged' WHERE aid IN (30000, 50000);"
                      "UPDATE pgbench_accounts SET bid = 0 WHERE aid = 90000;"
                      "DELETE FROM pgbench_branches; "
                      "INSERT INTO pgbench_accounts VALUES (-5, 1, 1, 'x')")
            for _ in range(2):
                report = verify(bunny, limit=20)
                accounts = report["tables"]["public.pgbench_accounts"]
                assert counts(accounts) == ("different", 99997, 3, 0, 1)
                assert named(accounts) == [("differing", "30000"), ("differing", "50000"),
                                           ("differing", "90000"), ("extra", "-5")]
                assert counts(report["tables"]["public.pgbench_branches"])[2:] == (0, 1, 0)
                for name in ("tellers", "history"):
                    assert report["tables"][f"public.pgbench_{name}"]["state"] == "equal"
                assert report["tables"]["public.pgbench_history"]["equal"] > 0
        finally:
            done.set()
            writer.join()


@pytest.mark.long
def test_the_stream_goes_on_while_an_old_transaction_holds_the_snapshot_up(bunny, pair):
    """The slot waits for a transaction that stays open; meanwhile rows arrive as ever."""
    make(bunny, pair)
    pair.sql("CREATE TABLE other (id int)")
    old = pair.source.connect(pair.sdb)
    old.autocommit = False
    old.execute("INSERT INTO other VALUES (1)")
    begin(bunny)
    waits = ("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bunnydb verify m' "
             "AND wait_event_type = 'Lock'")
    wait_for(lambda: pair.sql(waits)[0][0] == 1, 30, "the slot to wait")
    slowest = 0
    for i in range(40):
        pair.sql(f"INSERT INTO a VALUES ({10000 + i}, 'new')")
        sent = time.monotonic()
        pair.wait_value(f"SELECT count(*) FROM a WHERE id = {10000 + i}", 1, 10)
        slowest = max(slowest, time.monotonic() - sent)
    assert pair.sql(waits)[0][0] == 1, "it still waits"
    assert slowest < soon(1), f"a row took {slowest:.2f} s"
    assert bunny.status("m")["operation"] == "verify"
    old.rollback()
    old.close()
    report = ended(bunny)
    assert counts(report["tables"]["public.a"]) == ("equal", 5040, 0, 0, 0)


@pytest.mark.long
def test_rows_keep_arriving_while_both_sides_are_compared(bunny, pair):
    """The longest time without a new row at the destination, over a whole comparison."""
    pgbench_init(pair.source, pair.sdb, 3)
    bunny.mirror("m", pair)
    pair.sql("CREATE TABLE IF NOT EXISTS beat (id int)")
    with Load(pair.source, pair.sdb, clients=2, rate=200):
        begin(bunny)
        seen, last, longest = None, time.monotonic(), 0
        while bunny.status("m")["operation"] == "verify":
            now = pair.dsql("SELECT count(*) FROM pgbench_history")[0][0]
            if now != seen:
                longest = max(longest, time.monotonic() - last)
                seen, last = now, time.monotonic()
    report = bunny.api.get("/v1/mirrors/m/verify")
    assert all(t["state"] == "equal" for t in report["tables"]), report
    assert longest < soon(2.5), f"nothing came for {longest:.2f} s"


def lock(pair, statement):
    c = pair.dest.connect(pair.ddb)
    c.autocommit = False
    c.execute(statement)
    return c


def test_pause_and_delete_interrupt_it_and_others_are_refused(bunny, pair):
    make(bunny, pair)
    before = verify(bunny)
    held = lock(pair, "LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
    begin(bunny)
    status = wait_for(lambda: bunny.status("m"), 5, "a status")
    assert (status["operation"], status["operation_by"]) == ("verify", "ana")
    for path in ("/verify", "/resync", "/sync-schema"):
        answer = bunny.api.raw("POST", f"/v1/mirrors/m{path}")
        assert (answer.status, answer.code) == (409, "operation_in_progress"), path
    wait_for(lambda: pair.dsql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                               "application_name = 'bunnydb verify m'"), 20, "verify at the lock")
    began = time.monotonic()
    bunny.api.post("/v1/mirrors/m/pause")
    assert time.monotonic() - began < soon(1.5)
    assert bunny.status("m")["operation"] is None
    answer = bunny.api.raw("POST", "/v1/mirrors/m/verify")
    assert (answer.status, answer.code) == (409, "mirror_paused"), answer
    bunny.api.post("/v1/mirrors/m/resume")
    bunny.wait_running("m")
    held.rollback()
    report = ended(bunny)
    assert report["lsn"] == before["lsn"], "the one that was called off left no report"
    held = lock(pair, "LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
    begin(bunny)
    began = time.monotonic()
    bunny.api.delete("/v1/mirrors/m")
    assert time.monotonic() - began < soon(1.5)
    held.rollback()
    held.close()


def test_it_goes_on_after_a_restart(bunny, pair):
    make(bunny, pair)
    held = lock(pair, "LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
    begin(bunny)
    code, seconds = bunny.stop()
    assert code == 0 and seconds < soon(2)
    held.rollback()
    held.close()
    pair.dsql("DELETE FROM a WHERE id = 1")
    bunny.start()
    report = ended(bunny)
    assert named(report["tables"]["public.a"]) == [("missing", "1")]


def test_a_table_that_is_being_copied_is_left_out(bunny, pair):
    make(bunny, pair)
    pair.sql("CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1), (2)")
    pair.dsql("CREATE TABLE late (id int PRIMARY KEY)")
    bunny.api.post("/v1/mirrors/m/pause")
    tables = [f"public.{t}" for t in ("a", "b", "c", "late")]
    bunny.api.raw("PUT", "/v1/mirrors/m/tables",
                  {"table_mappings": [{"source_table": t} for t in tables]})
    held = lock(pair, "LOCK TABLE late IN SHARE MODE")
    bunny.api.post("/v1/mirrors/m/resume")
    bunny.wait_running("m")
    report = verify(bunny)
    assert counts(report["tables"]["public.a"]) == ("equal", 5000, 0, 0, 0)
    late = report["tables"]["public.late"]
    assert (late["state"], late["reason"]) == ("left_out", "the table is being copied")
    held.rollback()
    held.close()

    def streams():
        table = next(t for t in bunny.status("m")["tables"] if t["table_name"] == "public.late")
        assert table["status"] == "streaming", table
        return True
    wait_for(streams, 60, "the copy to end")
    pair.sql("INSERT INTO late VALUES (3)")
    report = verify(bunny)
    assert counts(report["tables"]["public.late"]) == ("equal", 3, 0, 0, 0)


def test_a_truncate_in_the_stream_does_not_wait_for_the_comparison_of_others(bunny, pair):
    make(bunny, pair)
    held = lock(pair, "LOCK TABLE b IN ACCESS EXCLUSIVE MODE")
    begin(bunny)
    wait_for(lambda: pair.dsql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                               "application_name = 'bunnydb verify m'"), 20, "verify at the lock")
    pair.sql("TRUNCATE c; INSERT INTO c VALUES (1)")
    pair.wait_value("SELECT count(*) FROM c", 1, 4)
    held.rollback()
    held.close()
    report = ended(bunny)
    assert report["tables"]["public.a"]["state"] == "equal"
    assert report["tables"]["public.c"]["state"] in ("equal", "left_out")


def test_no_free_slot_ends_it_with_a_sentence(bunny, pair):
    make(bunny, pair)
    free = pair.source.sql("SELECT setting::int - (SELECT count(*) FROM pg_replication_slots) "
                           "FROM pg_settings WHERE name = 'max_replication_slots'")[0][0]
    names = [f"filler_{Pair.count}_{i}" for i in range(free)]
    try:
        for name in names:
            pair.sql(f"SELECT pg_create_physical_replication_slot('{name}')")
        begin(bunny)
        report = ended(bunny)
        assert report["ending"] == "failed" and "slot" in report["error"], report
    finally:
        for name in names:
            pair.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                     f"WHERE slot_name = '{name}'")
    assert bunny.status("m")["status"] == "running"
    assert verify(bunny)["tables"]["public.a"]["state"] == "equal"
