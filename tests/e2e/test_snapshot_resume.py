"""Promise: a first snapshot that is interrupted, by whatever and whenever, goes on: tables that were
finished are not copied again, and stream from then on; afterwards both sides are equal."""
import os
import random
import threading
import time

import pytest

from conftest import _finish as finish_bunny
from harness.bunny import Bunny
from harness.compare import assert_equal_structure
from harness.load import Load
from harness.pair import Pair
from harness.waiting import wait_for

KILLS = int(os.environ.get("KILLS", "2"))
SMALL = [f"t{i}" for i in range(6)]

TABLES = "\n".join(
    f"CREATE TABLE {t} (id serial PRIMARY KEY, v int, w text);"
    f"CREATE INDEX {t}_v ON {t} (v); COMMENT ON TABLE {t} IS 'about {t}';"
    for t in SMALL) + """
CREATE TABLE big (id int PRIMARY KEY, v int, w text);
CREATE UNIQUE INDEX big_w ON big (w);
CREATE TABLE parts (id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (500);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (500) TO (2000000);
CREATE TABLE keyless (a int, b text);
ALTER TABLE keyless REPLICA IDENTITY FULL;
"""
KEYS = """
ALTER TABLE t1 ADD CONSTRAINT small_small FOREIGN KEY (v) REFERENCES t0;
ALTER TABLE t2 ADD CONSTRAINT small_big FOREIGN KEY (v) REFERENCES big;
ALTER TABLE big ADD CONSTRAINT big_small FOREIGN KEY (v) REFERENCES t3;
"""
ROWS = "\n".join(f"INSERT INTO {t} (v, w) SELECT g, 'w' || g FROM generate_series(1, 100) g;"
                 for t in SMALL) + """
INSERT INTO big SELECT g, 1 + g % 100, 'w' || g FROM generate_series(1, 1000) g;
INSERT INTO parts SELECT g, g FROM generate_series(1, 1000) g;
INSERT INTO keyless SELECT g % 20, 'b' FROM generate_series(1, 300) g;
"""
CHANGES = "\n".join(
    f"INSERT INTO {t} (v, w) VALUES (7, 'new'); UPDATE {t} SET w = 'u' WHERE id < 20;"
    for t in SMALL) + """
DELETE FROM t4 WHERE id > 90;
UPDATE big SET w = 'u' || id WHERE id % 3 = 0;
INSERT INTO big VALUES (5000, 3, 'new');
UPDATE parts SET id = id + 1000 WHERE id < 100 AND id > 90;
DELETE FROM keyless WHERE a = 3;
"""
WORK = "\\set a random(1, 100)\n\\set b random(1, 1000)\nBEGIN;\n" + "\n".join(
    f"UPDATE {t} SET w = 'u' || :b WHERE id = :a;" for t in SMALL) + """
INSERT INTO t5 (v, w) VALUES (:a, 'new');
UPDATE big SET v = :a, w = w || '.' WHERE id = :b;
DELETE FROM parts WHERE id = :b;
INSERT INTO parts VALUES (:b, :a) ON CONFLICT (id) DO UPDATE SET v = 0;
INSERT INTO keyless VALUES (:a, 'new');
DELETE FROM keyless WHERE ctid = (SELECT max(ctid) FROM keyless WHERE a = :a);
END;
"""


def make(pair, slow=("big",), milliseconds=3):
    """Both sides have the tables; each row that comes to some of the destination's takes so long."""
    pair.sql(TABLES + ROWS + KEYS)
    pair.dsql(TABLES)
    pair.dsql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
              f"$$BEGIN PERFORM pg_sleep({milliseconds / 1000}); RETURN NEW; END$$")
    for table in slow:
        pair.dsql(f"CREATE TRIGGER slow BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION "
                  f"slow(); ALTER TABLE {table} ENABLE ALWAYS TRIGGER slow")


def fast(pair):
    pair.dsql("CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
              "$$BEGIN RETURN NEW; END$$")


def aside(pair):
    """Names of tables that the destination says it does not have."""
    return {r[0] for r in pair.dsql("SELECT source_table FROM _bunnydb.table_sync WHERE is_aside")}


def files(pair, tables):
    """A table that is emptied for another copy has another file afterwards."""
    return dict(pair.dsql("SELECT relname, relfilenode FROM pg_class WHERE relkind = 'r' AND "
                          "relnamespace = 'public'::regnamespace AND relname = ANY (%s)",
                          (sorted(tables),)))


def states(bunny):
    return {t["table_name"].removeprefix("public."): t["status"]
            for t in bunny.status("m")["tables"]}


def until_small_are_copied(pair, bunny):
    """All tables but the slow one are finished, which the status and the destination say."""
    def there():
        found = states(bunny)
        assert all(found.get(t) == "copied" for t in SMALL), found
        assert aside(pair) == {"big"}
        return True
    wait_for(there, 60, "the small tables to be copied", 0.02)
    return files(pair, [*SMALL, "parts_1", "parts_2", "keyless"])


def copies(bunny, table):
    return bunny.log_tail(10**8).count(f"table copied table=public.{table} ")


def finish(pair, bunny, missed=0):
    bunny.wait_running("m", 90, may_fail=True)
    pair.assert_equal()
    wait_for(lambda: pair.dsql("SELECT * FROM _bunnydb.table_sync") == [], 30, "no row to be left")
    pair.dsql("DROP FUNCTION slow CASCADE")
    assert_equal_structure(pair.src, pair.dst)
    assert pair.dsql("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated AND "
                     "conparentid = 0")[0][0] == \
        pair.sql("SELECT count(*) FROM pg_constraint WHERE contype = 'f'")[0][0]
    status = bunny.status("m")
    assert sum(t["rows_missing"] for t in status["tables"]) == missed, status["tables"]
    assert status["snapshot"]["tables_done"] == status["snapshot"]["tables_total"]
    wait_for(lambda: len(pair.slots()) == 1, 10, "one slot")


@pytest.mark.sanitize
@pytest.mark.tsan
def test_finished_tables_are_not_copied_again(pair, bunny):
    make(pair)
    bunny.create_mirror("m", pair, snapshot_num_tables_in_parallel=3)
    before = until_small_are_copied(pair, bunny)
    bunny.kill()
    pair.sql(CHANGES)
    bunny.start()
    status = bunny.wait_status("m", "snapshotting", 30)
    snapshot = wait_for(lambda: bunny.status("m")["snapshot"]["tables_done"] == 9 and
                        bunny.status("m")["snapshot"], 20, "the finished tables to be counted")
    assert snapshot["tables_total"] == 10 and 0 < snapshot["bytes_done"] < snapshot["bytes_total"]
    assert status["phase"] in ("copying", "building_indexes"), status["phase"]
    # they stream while the last one is copied
    pair.wait_value("SELECT count(*) FROM t0 WHERE w = 'new'", 1)
    assert aside(pair) == {"big"}
    found = states(bunny)
    assert all(found[t] == "streaming" for t in SMALL) and found["big"] != "streaming", found
    fast(pair)
    finish(pair, bunny)
    assert files(pair, before) == before
    assert {t: copies(bunny, t) for t in SMALL} == {t: 1 for t in SMALL}
    last = pair.sql("SELECT last_value FROM t0_id_seq")[0][0]
    assert pair.dsql("SELECT last_value FROM t0_id_seq")[0][0] >= last - 1
    assert pair.dsql("SELECT obj_description('t0'::regclass)")[0][0] == "about t0"
    assert pair.dsql("SELECT reltuples FROM pg_class WHERE relname = 't0'")[0][0] > 0


@pytest.mark.long
def test_what_is_left_is_estimated_at_its_own_pace(pair, bunny):
    """1,000 rows that take 6 ms each, and are large beside what is on its way: neither the tables
    that were there before nor the time of the interruption count."""
    make(pair, milliseconds=6)
    pair.sql("UPDATE big SET w = (SELECT string_agg(md5(id || ' ' || i), '') FROM "
             "generate_series(1, 75) i)")
    pair.sql("VACUUM FULL ANALYZE big")
    bunny.create_mirror("m", pair, snapshot_num_tables_in_parallel=3)
    until_small_are_copied(pair, bunny)
    bunny.kill()
    bunny.start()
    seen = []

    def done():
        status = bunny.status("m")
        seen.append((time.monotonic(), status["snapshot"]))
        return status["status"] == "running"
    wait_for(done, 60, "the snapshot to end", 0.05)
    end = seen[-1][0]
    known = [(round(end - at, 1), s["eta_seconds"]) for at, s in seen if s["eta_seconds"] is not None]
    early = [(left, eta) for left, eta in known if 2 < left < 4.5]
    assert early, known
    good = [abs(eta - left) <= left / 2 + 1 for left, eta in early]
    assert sum(good) * 2 > len(good), str(known)  # a machine may stand still for a moment
    bytes_done = [s["bytes_done"] for _, s in seen if s["bytes_total"]]
    assert bytes_done[-1] == seen[-1][1]["bytes_total"]
    finish(pair, bunny)


def test_a_pause_and_other_tables_meanwhile(pair, bunny):
    make(pair)
    pair.sql("CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1), (2)")
    names = [*SMALL, "big", "parts", "keyless"]
    bunny.create_mirror("m", pair, [f"public.{t}" for t in names],
                        snapshot_num_tables_in_parallel=3)
    before = until_small_are_copied(pair, bunny)
    bunny.api.post("/v1/mirrors/m/pause")
    wait_for(lambda: not pair.dsql("SELECT 1 FROM pg_stat_activity WHERE datname = "
                                   "current_database() AND application_name LIKE 'bunnydb copy%'"),
             2, "the copy to end")
    pair.sql(CHANGES + "INSERT INTO late VALUES (3)")
    names = [t for t in names if t != "t5"] + ["late"]
    bunny.api.put("/v1/mirrors/m/tables",
                  {"table_mappings": [{"source_table": f"public.{t}"} for t in names]})
    bunny.api.post("/v1/mirrors/m/resume")
    fast(pair)
    bunny.wait_running("m", 60)
    pair.assert_equal(tables=[("public", t) for t in names if t != "parts"])
    before.pop("t5")
    assert files(pair, before) == before
    pair.sql("UPDATE late SET id = id + 10; UPDATE big SET w = w || '!'")
    pair.assert_equal(tables=[("public", t) for t in names if t != "parts"])


@pytest.mark.long
@pytest.mark.parametrize("what", ["slot", "publication"])
def test_it_begins_anew_when_the_source_has_nothing_to_go_on_from(pair, bunny, what):
    make(pair)
    bunny.create_mirror("m", pair, snapshot_num_tables_in_parallel=3)
    until_small_are_copied(pair, bunny)
    status = bunny.status("m")
    bunny.kill()
    pair.sql(CHANGES)
    fast(pair)
    if what == "slot":
        name = status["slot"]["name"]
        wait_for(lambda: not dict(pair.slots()).get(name), 20, "the slot to be free")
        pair.sql("SELECT pg_drop_replication_slot(%s)", (name,))
    else:
        pair.sql(f'DROP PUBLICATION "{status["publication"]}"')
    bunny.start()
    if what == "publication":
        bunny.wait_status("m", "error", 30, may_fail=True)
        bunny.api.post("/v1/mirrors/m/retry")
    finish(pair, bunny)
    assert copies(bunny, "t0") == 2


@pytest.mark.long
def test_definitions_that_changed_meanwhile(pair, bunny):
    make(pair)
    bunny.create_mirror("m", pair, snapshot_num_tables_in_parallel=3)
    until_small_are_copied(pair, bunny)
    bunny.kill()
    pair.sql("ALTER TABLE t1 DROP CONSTRAINT small_small;"
             "ALTER TABLE t0 ADD more int DEFAULT 3; UPDATE t0 SET more = id;"
             "ALTER TABLE big ADD more text; UPDATE big SET more = w;"
             "CREATE INDEX t3_w ON t3 (w)")
    fast(pair)
    bunny.start()

    def synced():
        status = bunny.status("m")
        if status["status"] == "error" and not status["operation"]:
            bunny.api.post("/v1/mirrors/m/sync-schema")
        assert status["status"] == "running", (status["status"], status["error_message"])
        return True
    wait_for(synced, 60, "the mirror to run with the new definitions", 0.5)
    bunny.api.post("/v1/mirrors/m/sync-schema")
    wait_for(lambda: not bunny.status("m")["operation"], 30, "sync-schema")
    finish(pair, bunny)


def test_deletion_meanwhile_leaves_nothing(pair, bunny):
    make(pair)
    bunny.create_mirror("m", pair, snapshot_num_tables_in_parallel=3)
    until_small_are_copied(pair, bunny)
    bunny.kill()
    bunny.start()
    wait_for(lambda: states(bunny).get("big") == "copying", 30, "the copy to go on", 0.05)
    bunny.api.delete("/v1/mirrors/m")
    pair.assert_clean()


@pytest.fixture
def durable_pair(durable):
    p = Pair(*durable)
    yield p
    try:
        p.assert_clean()
    finally:
        p.drop()


@pytest.fixture
def durable_bunny(root, durable_pair):
    b = Bunny(root, f"r{Pair.count}").start()
    try:
        yield b
        finish_bunny(b)
    finally:
        b.remove()


def interrupt(pair, bunny):
    what = random.choice(["us", "us", "us", "source", "dest", "pause", "session"])
    if what == "us":
        bunny.kill()
        bunny.start()
    elif what == "pause":
        bunny.api.raw("POST", "/v1/mirrors/m/pause")
        bunny.api.raw("POST", "/v1/mirrors/m/resume")
    elif what == "session":
        for cluster, name in ((pair.source, pair.sdb), (pair.dest, pair.ddb)):
            cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s "
                        "AND application_name LIKE 'bunnydb%%'", (name,))
    else:
        getattr(pair, what).restart("immediate")
    return what


def is_begun(pair):
    return pair.dsql("SELECT to_regclass('_bunnydb.table_sync')")[0][0] is not None and \
        bool(pair.dsql("SELECT 1 FROM _bunnydb.progress"))


@pytest.mark.long
@pytest.mark.limit(200 + 30 * KILLS)
def test_interrupted_at_random(durable_pair, durable_bunny):
    """Whatever is finished at a moment keeps its file until the end."""
    pair, bunny = durable_pair, durable_bunny
    make(pair, [*SMALL, "big", "parts_1", "keyless"], 4)
    names = {*SMALL, "big", "parts", "keyless"}
    load = Load(pair.source, pair.sdb, clients=2, rate=20, script=WORK, directory=bunny.dir)
    done, story = {}, []
    with load:
        bunny.create_mirror("m", pair, snapshot_num_tables_in_parallel=3)
        wait_for(lambda: is_begun(pair), 60, "the snapshot to begin")
        for turn in range(KILLS):
            threading.Event().wait(random.random() * 2.5)
            finished = (names - aside(pair)) - {"parts"}
            now = files(pair, finished)
            assert {t: f for t, f in now.items() if t in done} == done, (done, now, story)
            done = now
            story.append((interrupt(pair, bunny), sorted(finished)))
            if turn == KILLS - 1:
                wait_for(lambda: pair.dsql("SELECT 1"), 30, "the destination")
                fast(pair)
        bunny.wait_running("m", 120, may_fail=True)
    assert {t: f for t, f in files(pair, done).items()} == done, story
    print(story)
    finish(pair, bunny)
