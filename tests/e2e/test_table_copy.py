"""Promise: one table (or several) is copied while all others stream on, and afterwards every table
is equal: under load of every kind, across kills, with foreign keys on both sides of the copy."""
import os
import random
import shutil
import threading
import time

import pytest

from harness.bunny import Bunny
from harness.compare import assert_equal_structure
from harness.load import Load
from harness.pair import Pair
from harness.waiting import soon, wait_for

KILLS = int(os.environ.get("KILLS", "2"))

TABLES = """
CREATE TABLE moving (id int PRIMARY KEY, v int);
CREATE TABLE wide (id int PRIMARY KEY, v text, w text, n int);
ALTER TABLE wide ALTER w SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX wide_n ON wide (n);
CREATE TABLE keyless (a int, b text);
ALTER TABLE keyless REPLICA IDENTITY FULL;
CREATE TABLE emptied (id serial PRIMARY KEY, v int);
CREATE TABLE other (id int PRIMARY KEY, v int);
INSERT INTO moving SELECT g, g FROM generate_series(1, 3000) g;
INSERT INTO wide SELECT g, 'v' || g, repeat(md5(g::text), 100), g FROM generate_series(1, 3000) g;
INSERT INTO keyless SELECT g % 50, 'b' || g % 7 FROM generate_series(1, 500) g;
INSERT INTO emptied (v) SELECT g FROM generate_series(1, 500) g;
INSERT INTO other SELECT g, g FROM generate_series(1, 3000) g;
"""

# Every kind of change; keys move, rows come back, TOAST values stay where they are.
WORK = r"""
\set a random(1, 3000)
\set b random(1, 3000)
\set k random(0, 49)
\set r random(1, 60)
BEGIN;
UPDATE other SET v = v + 1 WHERE id = :a;
UPDATE moving SET v = v + 1 WHERE id = :a;
DELETE FROM moving WHERE id = :b;
INSERT INTO moving VALUES (:b, :a) ON CONFLICT (id) DO UPDATE SET v = 0;
UPDATE moving SET id = id + 100000 WHERE id = :a;
UPDATE moving SET id = id - 100000 WHERE id = :a + 100000;
UPDATE wide SET v = 'u' || :k WHERE id = :a;
UPDATE wide SET w = repeat(md5(:b::text), 90) WHERE id = :b;
UPDATE wide SET id = -id, n = -n WHERE id = :k;
INSERT INTO keyless VALUES (:k, 'new');
UPDATE keyless SET b = b || 'x' WHERE ctid = (SELECT min(ctid) FROM keyless WHERE a = :k);
DELETE FROM keyless WHERE ctid = (SELECT max(ctid) FROM keyless WHERE a = :k);
INSERT INTO emptied (v) VALUES (:a);
SELECT :r = 1 AS empty \gset
\if :empty
TRUNCATE emptied;
INSERT INTO emptied (v) VALUES (:b);
\endif
END;
"""
NAMES = ("moving", "wide", "keyless", "emptied")
# A row that only emptying the destination's table removes, and that no change comes across.
FOREIGN = {"moving": "(-999999, 0)", "wide": "(-999999, 'x', 'x', -999999)",
           "keyless": "(-999999, 'x')", "emptied": "(-999999, 0)"}


def table(bunny, name, wanted):
    """The status of one table."""
    return next(t for t in bunny.status(name)["tables"] if t["table_name"] == wanted)


def log_count(bunny, text):
    return bunny.log_tail(10**8).count(text)


def ask_resync(bunny, name, wanted):
    bunny.api.post(f"/v1/mirrors/{name}/resync/{wanted}", {"strategy": "truncate"})


def is_settled(bunny, name, wanted):
    """The mirror streams and so does this table, and no operation is under way."""
    status = bunny.status(name)
    assert status["status"] == "running" and not status["operation"], \
        (status["status"], status["phase"], status["operation"], status["error_message"])
    found = table(bunny, name, wanted)
    assert found["status"] == "streaming", found
    return True


def resync(bunny, name, wanted, limit=60, leaf=None):
    """Copies the table again and waits until it (a partition of it) streams."""
    before = log_count(bunny, f"copied tables stream tables={wanted} ")
    ask_resync(bunny, name, wanted)
    wait_for(lambda: log_count(bunny, f"copied tables stream tables={wanted} ") > before, limit,
             f"{wanted} to be copied")
    wait_for(lambda: is_settled(bunny, name, leaf or wanted), limit, f"{wanted} to stream")


def assert_nothing_missed(bunny, name):
    """No update or delete has met a missing row, and no run has failed."""
    status = bunny.status(name)
    assert all(t["rows_missing"] == 0 for t in status["tables"]), status["tables"]
    assert " ERROR " not in bunny.log_tail(10**8)


def assert_no_traces(pair):
    assert pair.dsql("SELECT * FROM _bunnydb.table_sync") == []
    wait_for(lambda: len(pair.slots()) == 1, 10, "the temporary slot to go")


def slow_copy(pair, wanted, milliseconds):
    """Each row that comes to the destination's table takes so long, until fast_copy."""
    pair.dsql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
              f"$$BEGIN PERFORM pg_sleep({milliseconds / 1000}); RETURN NEW; END$$;"
              f"CREATE TRIGGER slow BEFORE INSERT ON {wanted} FOR EACH ROW EXECUTE FUNCTION slow();"
              f"ALTER TABLE {wanted} ENABLE ALWAYS TRIGGER slow")


def fast_copy(pair):
    pair.dsql("CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
              "$$BEGIN RETURN NEW; END$$")


# --- rows ----------------------------------------------------------------------------------------

def test_a_quiet_table_is_copied_again(pair, bunny):
    pair.sql("CREATE TABLE a (id int PRIMARY KEY, v text);"
             "CREATE TABLE b (id int PRIMARY KEY, v text);"
             "INSERT INTO a SELECT g, 'a' || g FROM generate_series(1, 1000) g;"
             "INSERT INTO b SELECT g, 'b' || g FROM generate_series(1, 1000) g")
    bunny.mirror("m", pair)
    pair.dsql("UPDATE a SET v = 'wrong'; DELETE FROM a WHERE id > 500; INSERT INTO a VALUES (-1)")
    resync(bunny, "m", "public.a")
    assert pair.assert_equal() == 2000
    assert_no_traces(pair)
    pair.sql("UPDATE a SET v = 'later' WHERE id = 7; INSERT INTO b VALUES (0, 'later')")
    pair.assert_equal()
    assert bunny.status("m")["phase"] == "streaming"
    assert table(bunny, "m", "public.a")["rows_synced"] == 1000
    assert_nothing_missed(bunny, "m")


@pytest.mark.long
@pytest.mark.limit(240)
@pytest.mark.sanitize
@pytest.mark.tsan
def test_under_load_of_every_kind(pair, bunny):
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    with Load(pair.source, pair.sdb, clients=4, rate=150, script=WORK, directory=bunny.dir):
        for name in NAMES:
            pair.dsql(f"INSERT INTO {name} VALUES {FOREIGN[name]}")
            resync(bunny, "m", f"public.{name}")
    assert pair.assert_equal() > 7000
    assert_nothing_missed(bunny, "m")
    assert_no_traces(pair)


def big_transactions(pair, stop, made):
    """Each changes many rows and takes a while; some end while a slot is being made."""
    with pair.source.connect(pair.sdb) as c:
        while not stop.is_set():
            with c.transaction():
                for _ in range(4):
                    c.execute("UPDATE t SET n = n + 1 WHERE id % 3 = 0")
                    c.execute("INSERT INTO t SELECT max(id) + g, 0 FROM t, generate_series(1, 200) "
                              "g GROUP BY g")
                    c.execute("DELETE FROM t WHERE id IN (SELECT id FROM t WHERE id % 7 = 0 LIMIT "
                              "150)")
                    time.sleep(random.random() * 0.1)
            made.append(1)


@pytest.mark.long
@pytest.mark.limit(120 + 30 * KILLS)
def test_large_transactions_that_span_the_copy(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, n int);"
             "INSERT INTO t SELECT g, 0 FROM generate_series(1, 5000) g")
    bunny.mirror("m", pair)
    stop, made = threading.Event(), []
    writer = threading.Thread(target=big_transactions, args=(pair, stop, made), daemon=True)
    writer.start()
    try:
        for _ in range(KILLS):
            pair.dsql("INSERT INTO t VALUES (-999999, 0)")
            resync(bunny, "m", "public.t")
    finally:
        stop.set()
        writer.join()
    assert made
    pair.assert_equal()
    assert_nothing_missed(bunny, "m")


@pytest.mark.long
def test_a_transaction_that_is_open_when_the_slot_is_made(pair, bunny):
    """The slot waits for it; the mirror does not, and says who is in the way."""
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    with pair.source.connect(pair.sdb, application_name="night job") as c:
        with c.transaction():
            c.execute("UPDATE moving SET v = -1 WHERE id < 100; INSERT INTO other VALUES (-1, -1)")
            ask_resync(bunny, "m", "public.moving")
            for i in range(1, 30):
                pair.sql("UPDATE other SET v = %s WHERE id = 1", (-i,))
                pair.sql("UPDATE moving SET v = %s WHERE id = 200", (-i,))
                pair.wait_value("SELECT v FROM other WHERE id = 1", -i, 5)
                if "night job" in bunny.log_tail():
                    break
                time.sleep(0.5)
            assert "A slot can only start when older transactions have ended: PID" in \
                bunny.log_tail()
            assert table(bunny, "m", "public.moving")["status"] == "queued"
            c.execute("DELETE FROM moving WHERE id BETWEEN 50 AND 60")
    wait_for(lambda: is_settled(bunny, "m", "public.moving"), 60, "the copy")
    pair.assert_equal()
    assert_nothing_missed(bunny, "m")


@pytest.mark.long
def test_other_tables_stream_on_meanwhile(pair, bunny):
    """Their changes arrive within a second while the copy goes on, and while it is caught up."""
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    slow_copy(pair, "wide", 2)
    ask_resync(bunny, "m", "public.wide")
    wait_for(lambda: table(bunny, "m", "public.wide")["status"] == "copying", 30, "the copy", 0.01)
    worst, rounds = 0, 0
    while table(bunny, "m", "public.wide")["status"] != "streaming":
        rounds += 1
        began = time.monotonic()
        pair.sql("UPDATE other SET v = %s WHERE id = 1", (-rounds,))
        pair.sql("UPDATE wide SET v = %s WHERE id = %s", (str(rounds), rounds % 3000))
        pair.wait_value("SELECT v FROM other WHERE id = 1", -rounds, 5)
        worst = max(worst, time.monotonic() - began)
        status = bunny.status("m")
        assert status["status"] == "running" and status["error_count"] == 0, status
    print(f"{rounds} rounds, the slowest took {worst:.2f} s")
    assert rounds > 5 and worst < soon(1)
    pair.assert_equal()
    assert_nothing_missed(bunny, "m")


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["truncate", "swap"])
def test_the_stream_goes_on_while_a_table_leaves_it(pair, bunny, strategy):
    """It is the same one before and afterwards, under load, also after the third table in a row."""
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    sender = "SELECT pid FROM pg_stat_replication WHERE application_name = 'bunnydb m'"
    before = pair.sql(sender)
    with Load(pair.source, pair.sdb, clients=3, rate=100, script=WORK, directory=bunny.dir):
        for name in ("moving", "wide", "moving"):
            count = log_count(bunny, f"copied tables stream tables=public.{name} ")
            bunny.api.post(f"/v1/mirrors/m/resync/public.{name}", {"strategy": strategy})
            wait_for(lambda n=name, c=count: log_count(bunny, f"copied tables stream tables=public.{n} ")
                     > c, 60, f"{name} to be copied")
            wait_for(lambda n=name: is_settled(bunny, "m", f"public.{n}"), 60, f"{name} to stream")
    pair.assert_equal()
    assert pair.sql(sender) == before and len(before) == 1
    assert log_count(bunny, " started slot=") == 1
    assert_nothing_missed(bunny, "m")
    wait_for(lambda: assert_no_traces(pair) or True, 30, "all traces to go")


@pytest.mark.long
def test_a_stream_that_is_behind_the_copy(pair, bunny):
    """It still has to bring changes that the copy has: those are not applied twice."""
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    bunny.api.post("/v1/mirrors/m/pause")
    with pair.dest.connect(pair.ddb) as c, c.transaction():
        c.execute("LOCK wide IN SHARE MODE")
        # more than is read ahead of a destination that does not answer
        pair.sql("UPDATE wide SET w = repeat(md5(n::text), 200)")
        pair.sql("INSERT INTO moving SELECT g, 0 FROM generate_series(5001, 5500) g;"
                 "UPDATE moving SET id = -id WHERE id > 5400; DELETE FROM moving WHERE id < 100")
        bunny.api.post("/v1/mirrors/m/resume")
        bunny.wait_running("m")
        wait_for(lambda: pair.dsql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = "
                                   "'Lock' AND application_name = 'bunnydb m'")[0][0], 30,
                 "the stream to wait for the lock")
        ask_resync(bunny, "m", "public.moving")
        wait_for(lambda: table(bunny, "m", "public.moving")["status"] == "catching_up", 60, "copy")
        pair.sql("UPDATE moving SET v = -1 WHERE id BETWEEN 200 AND 300")
        assert pair.dsql("SELECT is_aside FROM _bunnydb.table_sync") == [(True,)]
    wait_for(lambda: is_settled(bunny, "m", "public.moving"), 60, "the hand-over")
    pair.assert_equal()
    assert_nothing_missed(bunny, "m")


@pytest.mark.long
def test_changes_that_do_not_fit_into_memory(pair, bunny):
    """More changes come during the copy than memory takes: they wait in a file without a name."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY);"
             "INSERT INTO t SELECT g, 'x' FROM generate_series(1, 1500) g")
    bunny.mirror("m", pair)
    slow_copy(pair, "t", 3)
    ask_resync(bunny, "m", "public.t")
    wait_for(lambda: table(bunny, "m", "public.t")["status"] == "copying", 30, "the copy", 0.01)
    pair.sql("UPDATE t SET v = repeat(md5(id::text), 1000)")
    pair.sql("INSERT INTO u VALUES (1)")
    pair.wait_value("SELECT count(*) FROM u", 1)
    fds = f"/proc/{bunny.process.pid}/fd"
    files = [os.readlink(f"{fds}/{fd}") for fd in os.listdir(fds)]
    assert any(f.startswith(bunny.state_dir) and f.endswith("(deleted)") for f in files), files
    assert not [f for f in os.listdir(bunny.state_dir) if f.startswith("spill")]
    wait_for(lambda: is_settled(bunny, "m", "public.t"), 60, "the copy")
    pair.assert_equal()
    assert bunny.memory_kib() < 300 * 1024


# --- definitions ---------------------------------------------------------------------------------

PARTITIONED = """
CREATE TABLE p (id int, at int, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200) PARTITION BY LIST (id);
CREATE TABLE p2a PARTITION OF p2 FOR VALUES IN (1, 2, 3);
CREATE TABLE p2b PARTITION OF p2 DEFAULT;
CREATE TABLE other (id int PRIMARY KEY);
INSERT INTO p SELECT g, g % 200, 'v' || g FROM generate_series(1, 2000) g;
"""
PARTITIONED_WORK = r"""
\set a random(1, 2000)
\set k random(0, 199)
\set r random(1, 40)
UPDATE p SET v = v || 'x' WHERE id = :a;
UPDATE p SET at = :k WHERE id = :a;
SELECT :r = 1 AS empty \gset
\if :empty
TRUNCATE p2;
\endif
INSERT INTO p VALUES (:a, :k, 'new') ON CONFLICT DO NOTHING;
"""


@pytest.mark.long
def test_a_partitioned_table_under_load(pair, bunny):
    """Rows move between partitions, and some of those are emptied."""
    pair.sql(PARTITIONED)
    bunny.mirror("m", pair, ["public.p", "public.other"])
    with Load(pair.source, pair.sdb, clients=3, rate=150, script=PARTITIONED_WORK,
              directory=bunny.dir):
        for _ in range(3):
            pair.dsql("INSERT INTO p VALUES (-999999, 150, 'x')")
            resync(bunny, "m", "public.p", leaf="public.p2b")
    pair.assert_equal()
    assert_nothing_missed(bunny, "m")


GRAPH = """
CREATE TABLE boss (id int PRIMARY KEY, best int, above int REFERENCES boss DEFERRABLE);
CREATE TABLE man (id int PRIMARY KEY, of int REFERENCES boss (id) DEFERRABLE INITIALLY DEFERRED,
                  v int);
CREATE TABLE tool (id int PRIMARY KEY, man int CONSTRAINT tool_man REFERENCES man ON DELETE CASCADE
                   ON UPDATE CASCADE);
CREATE TABLE part (id int PRIMARY KEY, tool int REFERENCES tool ON DELETE SET NULL);
INSERT INTO boss SELECT g, g, greatest(g - 1, 1) FROM generate_series(1, 50) g;
INSERT INTO man SELECT g, 1 + g % 50, 0 FROM generate_series(1, 1000) g;
ALTER TABLE boss ADD CONSTRAINT boss_best FOREIGN KEY (best) REFERENCES man DEFERRABLE;
INSERT INTO tool SELECT g, g FROM generate_series(1, 1000) g;
INSERT INTO part SELECT g, g FROM generate_series(1, 1000) g;
"""
GRAPH_WORK = r"""
\set a random(1, 1000)
\set b random(1, 50)
\set n random(1, 1000000)
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
UPDATE boss SET best = (SELECT min(id) FROM man WHERE id >= :a) WHERE id = :b;
INSERT INTO man VALUES (:n + 5000, :b, :a) ON CONFLICT DO NOTHING;
INSERT INTO tool VALUES (:n + 5000, :n + 5000) ON CONFLICT DO NOTHING;
INSERT INTO part VALUES (:n, :n + 5000) ON CONFLICT DO NOTHING;
DELETE FROM man WHERE id = (SELECT max(id) FROM man WHERE id > 5000 AND v <> :a
  AND NOT EXISTS (SELECT FROM boss WHERE best = man.id));
UPDATE man SET v = v + 1 WHERE id = :a;
END;
"""


@pytest.mark.long
def test_partitions_stay_where_all_mappings_together_put_them(pair, bunny):
    """Where a partition in another schema than its table goes depends on the mappings of that
    schema: also while only some of the tables are copied, or only some streamed."""
    pair.sql("CREATE SCHEMA s; CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE s.b (id int PRIMARY KEY);"
             "CREATE TABLE s.t (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);"
             "CREATE TABLE public.t1 PARTITION OF s.t FOR VALUES FROM (0) TO (100);"
             "CREATE TABLE s.t2 PARTITION OF s.t FOR VALUES FROM (100) TO (200);"
             "INSERT INTO s.t SELECT i, i FROM generate_series(0, 199) i; INSERT INTO a VALUES (1)")
    bunny.mirror("m", pair, [{"source_schema": "s", "source_table": "t"},
                             {"source_schema": "s", "source_table": "b"},
                             {"source_schema": "public", "source_table": "a",
                              "destination_schema": "x"}])
    bunny.wait_status("m", "running")
    renamed = {("public", "a"): ("x", "a"), ("public", "t1"): ("x", "t1")}
    for table in ("s.t", "public.a", "s.b"):
        bunny.api.post(f"/v1/mirrors/m/resync/{table}")
        wait_for(lambda: not bunny.status("m")["operation"] and
                 all(t["status"] == "streaming" for t in bunny.status("m")["tables"]), 60, table)
        pair.sql("UPDATE s.t SET v = v + 1; INSERT INTO a SELECT max(id) + 1 FROM a")
        pair.assert_equal(renamed=renamed)
        assert bunny.api.post("/v1/mirrors/m/sync-schema", {"dry_run": True})["steps"] == []
        assert not bunny.api.get("/v1/mirrors/m/logs?level=ERROR")["logs"]


@pytest.mark.long
@pytest.mark.limit(240)
def test_foreign_keys_on_all_sides(pair, bunny):
    """A cycle, a table that refers to itself, cascades: all constraints are as before, validated."""
    pair.sql(GRAPH)
    bunny.mirror("m", pair)
    wait_for(lambda: assert_equal_structure(pair.src, pair.dst) or True, 30, "the structure")
    pair.dsql("COMMENT ON CONSTRAINT tool_man ON tool IS 'it''s his'")
    with Load(pair.source, pair.sdb, clients=2, rate=80, script=GRAPH_WORK, directory=bunny.dir):
        for name in ("man", "boss", "tool", "part"):
            pair.dsql(f"INSERT INTO {name} VALUES (-999999)")
            resync(bunny, "m", f"public.{name}")
            wait_for(lambda: pair.dsql("SELECT * FROM _bunnydb.table_sync") == [], 30,
                     "the foreign keys to come back")
    pair.assert_equal()
    assert_equal_structure(pair.src, pair.dst)
    assert pair.dsql("SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint "
                     "WHERE conname = 'tool_man'") == [("it's his",)]
    assert_nothing_missed(bunny, "m")
    assert_no_traces(pair)


def test_truncate_of_a_table_and_those_that_refer_to_it(pair, bunny):
    """The source empties both at once; the destination has one of them in the stream and one in
    the copy, and a foreign key between them."""
    pair.sql("CREATE TABLE top (id int PRIMARY KEY); CREATE TABLE sub (id int PRIMARY KEY, top int "
             "REFERENCES top); INSERT INTO top SELECT generate_series(1, 1000);"
             "INSERT INTO sub SELECT g, g FROM generate_series(1, 1000) g")
    bunny.mirror("m", pair)
    with pair.source.connect(pair.sdb) as c, c.transaction():
        c.execute("SELECT txid_current()")  # the slot waits, the foreign key is still there
        ask_resync(bunny, "m", "public.sub")
        wait_for(lambda: table(bunny, "m", "public.sub")["status"] == "queued", 30, "the copy")
        pair.sql("TRUNCATE top, sub; INSERT INTO top VALUES (1), (2); INSERT INTO sub VALUES (1, 1)")
        pair.wait_value("SELECT count(*) FROM top", 2)
    wait_for(lambda: is_settled(bunny, "m", "public.sub"), 60, "the copy")
    slow_copy(pair, "top", 1000)
    ask_resync(bunny, "m", "public.top")
    wait_for(lambda: table(bunny, "m", "public.top")["status"] == "copying", 30, "the copy", 0.01)
    pair.sql("INSERT INTO top VALUES (3); INSERT INTO sub VALUES (3, 3)")
    fast_copy(pair)
    wait_for(lambda: is_settled(bunny, "m", "public.top"), 60, "the copy")
    pair.sql("TRUNCATE top CASCADE")
    pair.assert_equal()
    wait_for(lambda: assert_equal_structure(pair.src, pair.dst) or True, 30, "the foreign key")
    assert_nothing_missed(bunny, "m")


def test_a_table_of_the_operator_that_refers_to_ours(pair, bunny):
    """Its foreign key and its rows stay, also those that CASCADE would have taken."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text);"
             "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 300) g")
    bunny.mirror("m", pair)
    pair.dsql("CREATE TABLE own (id int PRIMARY KEY REFERENCES t ON DELETE CASCADE);"
              "INSERT INTO own SELECT generate_series(1, 300); UPDATE t SET v = 'wrong'")
    resync(bunny, "m", "public.t")
    pair.assert_equal(tables=[("public", "t")])
    assert pair.dsql("SELECT count(*) FROM own") == [(300,)]
    assert pair.dsql("SELECT convalidated FROM pg_constraint WHERE conrelid = 'own'::regclass AND "
                     "contype = 'f'") == [(True,)]


def test_without_the_right_to_ignore_foreign_keys(pair, bunny, plain_mirror):
    """A table that somebody else's refers to cannot be emptied: one sentence, nothing was touched,
    the other tables stream, and once the obstacle is gone the copy is made by itself."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY);"
             "CREATE TABLE sub (id int PRIMARY KEY, t int REFERENCES t);"
             "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 300) g;"
             "INSERT INTO sub SELECT g, g FROM generate_series(1, 300) g")
    plain_mirror()
    pair.dsql("CREATE TABLE own (id int PRIMARY KEY REFERENCES t);"
              "INSERT INTO own SELECT generate_series(1, 300)")
    ask_resync(bunny, "m", "public.t")
    failed = wait_for(lambda: (lambda t: t["error_message"] and t)(
        table(bunny, "m", "public.t")), 30, "the refusal")
    assert failed["status"] == "error"
    assert "cannot be emptied for a new copy: public.own, which is not in the mirror" in \
        failed["error_message"]
    assert pair.dsql("SELECT count(*) FROM t") == [(300,)]
    assert bunny.status("m")["status"] == "running"
    pair.sql("INSERT INTO other VALUES (1); UPDATE t SET v = 'new' WHERE id = 7")
    pair.wait_value("SELECT count(*) FROM other", 1)
    pair.dsql("DROP TABLE own")
    wait_for(lambda: is_settled(bunny, "m", "public.t"), 60, "the copy")
    pair.assert_equal()
    wait_for(lambda: assert_equal_structure(pair.src, pair.dst) or True, 30, "the foreign key")
    bunny.delete_all()


# --- tables that are added and taken out ---------------------------------------------------------

def put_tables(bunny, name, tables):
    if bunny.status(name)["status"] != "paused":
        bunny.api.post(f"/v1/mirrors/{name}/pause")
    bunny.api.put(f"/v1/mirrors/{name}/tables",
                  {"table_mappings": [{"source_table": t} for t in tables]})


@pytest.mark.long
@pytest.mark.limit(240)
def test_tables_are_added_under_load(pair, bunny):
    pair.sql(TABLES)
    bunny.mirror("m", pair, ["public.other"])
    with Load(pair.source, pair.sdb, clients=4, rate=150, script=WORK, directory=bunny.dir):
        put_tables(bunny, "m", ["public.other", *(f"public.{n}" for n in NAMES)])
        bunny.api.post("/v1/mirrors/m/resume")
        for name in NAMES:
            wait_for(lambda n=name: is_settled(bunny, "m", f"public.{n}"), 60, f"{name}")
    assert pair.assert_equal() > 7000
    assert_equal_structure(pair.src, pair.dst)
    assert_nothing_missed(bunny, "m")
    assert_no_traces(pair)


@pytest.mark.long
def test_a_table_that_was_taken_out_and_came_back(pair, bunny):
    """Its changes from before are in the stream still: they are ignored, then they are copied."""
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    bunny.api.post("/v1/mirrors/m/pause")
    pair.sql("UPDATE moving SET v = -7; INSERT INTO moving VALUES (-1, -1)")
    rest = ["public.wide", "public.keyless", "public.emptied", "public.other"]
    bunny.api.put("/v1/mirrors/m/tables", {"table_mappings": [{"source_table": t} for t in rest]})
    bunny.api.post("/v1/mirrors/m/resume")
    pair.sql("UPDATE other SET v = -8 WHERE id = 1; DELETE FROM moving WHERE id = 5")
    pair.wait_value("SELECT v FROM other WHERE id = 1", -8)
    assert pair.dsql("SELECT count(*) FROM moving WHERE v = -7") == [(0,)]
    pair.dsql("TRUNCATE moving")
    put_tables(bunny, "m", ["public.moving", *rest])
    pair.sql("UPDATE moving SET v = -9 WHERE id = 6")
    bunny.api.post("/v1/mirrors/m/resume")
    wait_for(lambda: is_settled(bunny, "m", "public.moving"), 60, "the copy")
    pair.assert_equal()
    assert_nothing_missed(bunny, "m")


@pytest.mark.long
def test_one_of_several_added_tables_cannot_be_copied(pair, bunny):
    """The others are, soon (halves tell which one it is), and it follows when its obstacle is gone."""
    few = [f"few{n}" for n in range(12)]
    pair.sql(TABLES + "".join(f"CREATE TABLE {n} (id int PRIMARY KEY); INSERT INTO {n} VALUES (1);"
                              for n in few))
    bunny.mirror("m", pair, ["public.other"])
    pair.dsql("CREATE TABLE keyless (a int, b text); CREATE FUNCTION refuse() RETURNS trigger "
              "LANGUAGE plpgsql AS $$BEGIN RAISE 'not today'; END$$; CREATE TRIGGER refuse BEFORE "
              "INSERT ON keyless EXECUTE FUNCTION refuse(); "
              "ALTER TABLE keyless ENABLE ALWAYS TRIGGER refuse")
    put_tables(bunny, "m", ["public.other", *(f"public.{n}" for n in (*NAMES, *few))])
    bunny.api.post("/v1/mirrors/m/resume")
    for name in ("moving", "wide", "emptied", *few):
        wait_for(lambda n=name: table(bunny, "m", f"public.{n}")["status"] == "streaming", 60, name)
    with open(bunny.log, encoding="utf-8") as f:
        copies = f.read().count("copy beside the stream started")
    assert 3 <= copies <= 14  # one by one they would be one more than tables
    wait_for(lambda: "not today" in (table(bunny, "m", "public.keyless")["error_message"] or ""), 60,
             "the error between two tries")
    assert bunny.status("m")["status"] == "running"
    pair.dsql("DROP FUNCTION refuse CASCADE")
    wait_for(lambda: is_settled(bunny, "m", "public.keyless"), 60, "the last one")
    pair.assert_equal()


# --- ends of every kind --------------------------------------------------------------------------

@pytest.mark.limit(180 + 40 * KILLS)
@pytest.mark.parametrize("definitions, work, names", [
    pytest.param(TABLES, WORK, NAMES, id="plain"),
    pytest.param(GRAPH, GRAPH_WORK, ("man", "boss", "tool", "part"), id="foreign keys")])
@pytest.mark.long
def test_kill_at_any_moment_of_a_copy(loaded, definitions, work, names):
    pair, bunny = loaded
    pair.sql(definitions)
    bunny.mirror("m", pair)
    with Load(pair.source, pair.sdb, clients=3, rate=100, script=work, directory=bunny.dir):
        for turn in range(KILLS):
            name = f"public.{names[turn % len(names)]}"
            ask_resync(bunny, "m", name)
            threading.Event().wait(random.random() * 1.2)
            bunny.kill()
            bunny.start()
            wait_for(lambda n=name: is_settled(bunny, "m", n), 90, f"{name} after the kill")
    assert pair.assert_equal(90) > 2000
    assert all(t["rows_missing"] == 0 for t in bunny.status("m")["tables"])
    wait_for(lambda: assert_equal_structure(pair.src, pair.dst) or True, 60, "the foreign keys")
    wait_for(lambda: assert_no_traces(pair) or True, 30, "the rows of table_sync to go")


@pytest.mark.long
@pytest.mark.limit(240)
def test_servers_that_restart_during_a_copy(loaded):
    pair, bunny = loaded
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    for cluster in (pair.dest, pair.source):
        slow_copy(pair, "wide", 1)
        ask_resync(bunny, "m", "public.wide")
        wait_for(lambda: table(bunny, "m", "public.wide")["rows_synced"] > 0, 30, "rows", 0.01)
        pair.sql("UPDATE wide SET v = 'x' WHERE id % 3 = 0; UPDATE moving SET id = -id")
        cluster.restart("immediate")
        fast_copy(pair)
        wait_for(lambda: is_settled(bunny, "m", "public.wide"), 90, "the copy")
        pair.dsql("DROP FUNCTION slow CASCADE")
    pair.assert_equal()
    assert_no_traces(pair)


def test_pause_shutdown_and_deletion_call_a_copy_off(pair, bunny):
    """Within a second or two; foreign keys that it dropped come back in every case."""
    pair.sql(TABLES + "ALTER TABLE other ADD FOREIGN KEY (id) REFERENCES moving DEFERRABLE")
    bunny.mirror("m", pair)

    def begin():
        ask_resync(bunny, "m", "public.moving")
        in_copy()

    def in_copy():
        wait_for(lambda: table(bunny, "m", "public.moving")["rows_synced"] and
                 table(bunny, "m", "public.moving")["status"] == "copying", 30, "rows", 0.01)

    def seconds(call):
        began = time.monotonic()
        call()
        return time.monotonic() - began

    slow_copy(pair, "moving", 5)
    begin()
    assert seconds(lambda: bunny.api.post("/v1/mirrors/m/pause")) < soon(2)
    assert pair.dsql("SELECT source_table, is_aside FROM _bunnydb.table_sync") == [("moving", True)]
    bunny.api.post("/v1/mirrors/m/resume")
    in_copy()
    code, took = bunny.stop()
    assert code == 0 and took < soon(2)
    bunny.start()
    in_copy()
    assert pair.dsql("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == [(0,)]
    assert seconds(lambda: bunny.api.delete("/v1/mirrors/m")) < soon(3)
    assert pair.dsql("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == [(1,)]
    wait_for(lambda: pair.assert_clean() or True, 10, "everything to be gone")


def test_an_older_catalog_cannot_forget_a_copy(pair, bunny):
    """The destination knows that the table is not complete, whatever the catalog says."""
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    bunny.stop()
    saved = bunny.state_dir + ".saved"
    shutil.copytree(bunny.state_dir, saved)
    bunny.start()
    bunny.wait_running("m")
    slow_copy(pair, "moving", 5)
    ask_resync(bunny, "m", "public.moving")
    wait_for(lambda: table(bunny, "m", "public.moving")["rows_synced"] > 0, 30, "rows", 0.01)
    pair.sql("UPDATE moving SET v = -1 WHERE id < 1000; UPDATE other SET v = -1")
    pair.wait_value("SELECT v FROM other WHERE id = 1", -1)
    bunny.kill()
    shutil.rmtree(bunny.state_dir)
    shutil.move(saved, bunny.state_dir)
    fast_copy(pair)
    bunny.start()
    wait_for(lambda: is_settled(bunny, "m", "public.moving"), 60, "the copy")
    pair.assert_equal()
    assert_no_traces(pair)


@pytest.mark.long
def test_a_second_process_takes_a_copy_over(pair, bunny, root):
    """The first one hangs in the middle of its copy; the rows that it brings afterwards do not
    count."""
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    slow_copy(pair, "moving", 3)
    ask_resync(bunny, "m", "public.moving")
    wait_for(lambda: table(bunny, "m", "public.moving")["rows_synced"] > 0, 30, "rows", 0.01)
    bunny.process.send_signal(19)  # SIGSTOP: its sessions stay
    second = Bunny(root, f"second{Pair.count}")
    try:
        shutil.rmtree(second.state_dir, ignore_errors=True)
        shutil.copytree(bunny.state_dir, second.state_dir,
                        ignore=shutil.ignore_patterns("*.sock", "*lock*"))
        pair.dest.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                      "WHERE application_name = 'bunnydb m'")  # not those of the copy
        pair.source.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE application_name = 'bunnydb m'")
        second.start()
        bunny.process.send_signal(18)  # SIGCONT
        fast_copy(pair)
        wait_for(lambda: is_settled(second, "m", "public.moving"), 60, "the copy")
        wait_for(lambda: bunny.status("m")["error_code"] == "fenced", 30, "the first to give way")
        bunny.kill()
        pair.sql("UPDATE moving SET v = -3 WHERE id < 100")
        pair.assert_equal()
        second.delete_all()
        second.stop()
    finally:
        if bunny.is_running:
            bunny.process.send_signal(18)
        second.remove()


def test_what_the_operator_has_around_the_tables_keeps_its_rows(pair, bunny):
    """Of one table, and of the whole mirror: heirs, partitions that only the destination has, tables
    that refer to ours (with ON DELETE CASCADE, partitioned ones, too), in spite of triggers and rules."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text, up int REFERENCES t);"
             "CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
             "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000);"
             "INSERT INTO t SELECT g, 'v', 1 FROM generate_series(1, 300) g;"
             "INSERT INTO p SELECT g, 'v' FROM generate_series(1, 300) g")
    bunny.mirror("m", pair)
    wait_for(lambda: assert_equal_structure(pair.src, pair.dst) or True, 30, "the structure")
    pair.dsql("""
        CREATE TABLE heir (more int) INHERITS (t); INSERT INTO heir SELECT 10000, 'heir', 1, 7;
        CREATE TABLE own_part PARTITION OF p FOR VALUES FROM (5000) TO (6000);
        INSERT INTO own_part VALUES (5000, 'own');
        CREATE TABLE own (id int REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE);
        INSERT INTO own SELECT generate_series(1, 300);
        CREATE TABLE owns (id int, p int REFERENCES p ON DELETE CASCADE) PARTITION BY RANGE (id);
        CREATE TABLE owns1 PARTITION OF owns FOR VALUES FROM (0) TO (1000);
        INSERT INTO owns SELECT g, g FROM generate_series(1, 300) g;
        CREATE VIEW seen AS SELECT id, v FROM t GROUP BY id;
        CREATE MATERIALIZED VIEW kept AS SELECT count(*) FROM t;
        CREATE RULE quiet AS ON DELETE TO t DO INSTEAD NOTHING;
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$;
        CREATE TRIGGER no BEFORE INSERT OR DELETE OR TRUNCATE ON t EXECUTE FUNCTION no();
        CREATE PUBLICATION onwards FOR TABLE t, p;
        ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    """)

    def look():
        assert pair.dsql("SELECT (SELECT count(*) FROM heir), (SELECT count(*) FROM own_part), (SELECT "
                         "count(*) FROM own), (SELECT count(*) FROM owns), (SELECT count(*) FROM seen "
                         "WHERE v = 'v')") == [(1, 1, 300, 300, 300)]
        assert pair.dsql("SELECT conname FROM pg_constraint WHERE NOT convalidated") == []
        assert pair.dsql("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conparentid = 0"
                         ) == [(3,)]
        assert pair.sql("SELECT * FROM t ORDER BY id") == pair.dsql("SELECT * FROM ONLY t ORDER BY id")
        assert pair.sql("SELECT * FROM p1 ORDER BY id") == pair.dsql("SELECT * FROM p1 ORDER BY id")

    wrong = ("SET session_replication_role = replica; UPDATE ONLY t SET v = 'wrong';"
             "UPDATE p1 SET v = 'wrong'; RESET session_replication_role")
    try:
        pair.dsql(wrong)
        resync(bunny, "m", "public.t")
        resync(bunny, "m", "public.p", leaf="public.p1")
        wait_for(lambda: look() or True, 30, "the foreign keys")
        pair.dsql(wrong)
        bunny.api.post("/v1/mirrors/m/resync", {"strategy": "truncate"})
        wait_for(lambda: is_settled(bunny, "m", "public.t"), 60, "the mirror")
        wait_for(lambda: look() or True, 30, "the rows")
    finally:
        pair.dsql("DROP PUBLICATION IF EXISTS onwards")
