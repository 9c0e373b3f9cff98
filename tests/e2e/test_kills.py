"""Promise: whatever an operator has asked for is done after kill -9 at any moment, and nothing of it is
left behind: tables that were added, a comparison with repair, a table that was set aside and comes back,
a mirror that is swapped onto a new slot, a report that somebody waits for. KILLS says how often (2; 20
for a long look); copies and swaps under way are killed in test_table_copy.py and test_swap.py."""
import os
import random
import subprocess
import threading

import pytest

from harness.bunny import find_program
from harness.compare import assert_equal_structure
from harness.dump import assert_equal_definitions
from harness.load import Load
from harness.waiting import wait_for
from test_swap import Reader, all_settled, ask_swap, assert_no_shadows
from test_table_copy import GRAPH, GRAPH_WORK, NAMES, TABLES, WORK, put_tables

KILLS = int(os.environ.get("KILLS", "2"))
LIMIT = pytest.mark.limit(180 + 45 * KILLS)


def kill(bunny, seconds):
    """At a moment within so many seconds."""
    threading.Event().wait(random.random() * seconds)
    bunny.kill()
    bunny.start()


def assert_nothing_left(pair, bunny):
    """No table, slot or file of what was under way."""
    wait_for(lambda: assert_no_shadows(pair) or True, 60, "everything to be gone")
    wait_for(lambda: not [f for f in os.listdir(bunny.state_dir) if "spill" in f or f.endswith(".tmp")],
             30, "the files to go")


@pytest.mark.long
@LIMIT
def test_tables_that_are_added(loaded):
    pair, bunny = loaded
    pair.sql(TABLES + GRAPH)
    graph = ["man", "boss", "tool", "part"]
    bunny.mirror("m", pair, ["public.other"])
    with Load(pair.source, pair.sdb, clients=3, rate=60, script=WORK + GRAPH_WORK,
              directory=bunny.dir):
        for _ in range(KILLS):
            put_tables(bunny, "m", ["public.other"])
            pair.dsql("DROP TABLE IF EXISTS " + ", ".join((*NAMES, *graph)) + " CASCADE")
            put_tables(bunny, "m", ["public.*"])
            bunny.api.post("/v1/mirrors/m/resume")
            kill(bunny, 2)
            wait_for(lambda: all_settled(bunny, "m"), 90, "the tables after the kill")
    assert pair.assert_equal(90) > 2000
    assert all(t["rows_missing"] == 0 for t in bunny.status("m")["tables"])
    wait_for(lambda: assert_equal_structure(pair.src, pair.dst) or True, 60, "the foreign keys")
    assert_nothing_left(pair, bunny)


@pytest.mark.long
@LIMIT
def test_a_comparison_with_repair(loaded):
    pair, bunny = loaded
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    for turn in range(KILLS):
        pair.dsql(f"UPDATE wide SET v = 'wrong' WHERE id % 7 = {turn % 7};"
                  f"DELETE FROM other WHERE id % 9 = {turn % 9};"
                  f"INSERT INTO moving VALUES (-{turn + 1}, 0)")
        bunny.api.post("/v1/mirrors/m/verify", {"repair": True})
        kill(bunny, 2)
        wait_for(lambda: all_settled(bunny, "m"), 90, "the end of the comparison")
        report = bunny.api.get("/v1/mirrors/m/verify")
        assert report["ending"] == "complete", report
        assert {t["state"] for t in report["tables"] if t["table_name"] != "public.keyless"} == \
            {"equal"}, report
        pair.sql("UPDATE wide SET v = 'next' WHERE id % 100 = 0")
        pair.assert_equal()
    assert_nothing_left(pair, bunny)


@pytest.mark.long
@LIMIT
@pytest.mark.parametrize("strategy", ["truncate", "swap"])
def test_a_table_that_was_set_aside_comes_back(loaded, strategy):
    pair, bunny = loaded
    pair.sql(TABLES)
    bunny.mirror("m", pair, on_table_error="set_aside")

    def state(name):
        status = bunny.status("m")
        assert status["status"] == "running", status["error_message"]
        return next(t["status"] for t in status["tables"] if t["table_name"] == f"public.{name}")

    def come_back(name):
        """A kill may come before the order was taken."""
        bunny.api.post(f"/v1/mirrors/m/resync/public.{name}", {"strategy": strategy})
        kill(bunny, 1.5)
        wait_for(lambda: all_settled(bunny, "m"), 90, f"{name} after the kill")

    with Load(pair.source, pair.sdb, clients=3, rate=60, script=WORK, directory=bunny.dir):
        for turn in range(KILLS):
            name = ("wide", "other", "moving")[turn % 3]
            pair.dsql(f"ALTER TABLE {name} ADD CONSTRAINT narrow CHECK (id = 0) NOT VALID")
            kill(bunny, 0.5)
            wait_for(lambda n=name: state(n) == "set_aside", 60, f"{name} to be set aside")
            pair.dsql(f"ALTER TABLE {name} DROP CONSTRAINT narrow")
            come_back(name)
    pair.assert_equal(90)
    wait_for(lambda: not bunny.status("m")["findings"], 30, "the findings to go")
    assert_nothing_left(pair, bunny)


@pytest.mark.long
@LIMIT
def test_a_mirror_that_is_swapped_onto_a_new_slot(loaded):
    pair, bunny = loaded
    pair.sql(TABLES + GRAPH)
    bunny.mirror("m", pair)
    wait_for(lambda: assert_equal_structure(pair.src, pair.dst) or True, 60, "the structure")
    with Load(pair.source, pair.sdb, clients=3, rate=60, script=WORK + GRAPH_WORK,
              directory=bunny.dir), Reader(pair, "SELECT count(*) > 40 FROM boss") as reader:
        for _ in range(KILLS):
            bunny.kill()
            wait_for(lambda: not pair.slots()[0][1], 30, "the slot to be free")
            pair.source.sql("SELECT pg_drop_replication_slot(%s)", (pair.slots()[0][0],))
            bunny.start()
            wait_for(lambda: bunny.status("m")["error_code"] == "slot_missing", 60, "the slot to be "
                     "missed")
            ask_swap(bunny, "m")
            kill(bunny, 3)
            wait_for(lambda: all_settled(bunny, "m"), 120, "all tables after the kill")
        assert reader.stop() == [(True,)], reader.seen
    assert pair.assert_equal(90) > 2000
    assert_equal_structure(pair.src, pair.dst)
    assert_nothing_left(pair, bunny)


@pytest.mark.long
@LIMIT
def test_tables_that_are_dropped_and_created_again(loaded):
    """Before, behind and between kills: the publication lacks them, and only they are copied."""
    pair, bunny = loaded
    pair.sql(TABLES + "".join(f"CREATE TABLE again{n} (id serial PRIMARY KEY, v int);" for n in (1, 2)))
    bunny.mirror("m", pair, schema_changes="auto")
    copied = []
    with Load(pair.source, pair.sdb, clients=3, rate=60, script=WORK, directory=bunny.dir):
        for turn in range(KILLS):
            for name in random.sample(["again1", "again2"], random.randint(1, 2)):
                pair.sql(f"INSERT INTO {name} (v) VALUES (1); DROP TABLE {name};"
                         f"CREATE TABLE {name} (w int DEFAULT {turn}, id serial PRIMARY KEY, v int);"
                         f"INSERT INTO {name} (v) SELECT generate_series(1, 1000)")
                if random.random() < 0.5:
                    kill(bunny, random.choice([0, 4]))
                pair.sql(f"UPDATE {name} SET v = v + 1; INSERT INTO {name} (v) VALUES (-1)")
            kill(bunny, random.choice([0, 1, 4]))
            copied += [line for line in bunny.log_tail(100000).splitlines() if "is copied again" in line]
            wait_for(lambda: all_settled(bunny, "m"), 90, "the tables after the kill")
    pair.wait_confirmed(90)  # by a run that has looked at the publication: until then nobody knows
    wait_for(lambda: all_settled(bunny, "m"), 90, "the tables that are there again")
    assert pair.assert_equal(90) > 2000
    copied += [line for line in bunny.log_tail(100000).splitlines() if "is copied again" in line]
    assert {line.split("table=")[1].split()[0] for line in copied} <= {"public.again1", "public.again2"}
    assert_nothing_left(pair, bunny)


# What each turn changes at the source: all that a plan has steps for.
CHANGES = """
ALTER TABLE wide ADD COLUMN c{n} int DEFAULT {n} CHECK (c{n} >= 0);
CREATE INDEX wide_c{n} ON wide (c{n}); COMMENT ON COLUMN wide.c{n} IS 'turn {n}';
ALTER TABLE wide ADD CONSTRAINT wide_both{n} CHECK (n <> id + 1000000 + {n});
ALTER TYPE mood ADD VALUE 'm{n}'; ALTER TABLE moods ADD COLUMN b{n} int REFERENCES moods;
CREATE TABLE parts_{n} PARTITION OF parts FOR VALUES IN ({n});
INSERT INTO parts VALUES ({n}, 1); UPDATE wide SET c{n} = 7 WHERE id % 10 = 0
"""


def waits_for_its_order(bunny):
    """The kill came before the request did: the mirror has nothing to do, and its definitions follow by
    hand. It stops at its start, as it lacks a partition."""
    status = bunny.status("m")
    return (status["status"], status["error_code"], status["operation"]) == ("error", "table_missing", None)


@pytest.mark.long
@LIMIT
def test_a_synchronisation_of_definitions(loaded):
    """As a whole or not at all: the next one finds what is left to do, and nothing is half done."""
    pair, bunny = loaded
    pair.sql(TABLES + GRAPH + "CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE moods (id int PRIMARY KEY,"
             "m mood); CREATE TABLE parts (k int, v int, PRIMARY KEY (k, v)) PARTITION BY LIST (k);"
             "CREATE TABLE parts_0 PARTITION OF parts DEFAULT")
    bunny.mirror("m", pair, schema_changes="manual")
    for n in range(1, KILLS + 1):
        pair.sql(CHANGES.format(n=n))
        waiting = subprocess.Popen(
            [find_program(), "sync-schema", "m", "--state-dir", bunny.state_dir],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=bunny.environment())
        try:
            kill(bunny, 1)
        finally:
            waiting.kill()
            waiting.wait()
        there = pair.dsql("SELECT (SELECT count(*) FROM pg_attribute WHERE attrelid = 'wide'::regclass "
                          "AND attname = %s), (SELECT count(*) FROM pg_constraint WHERE conname = %s), "
                          "(SELECT count(*) FROM pg_class WHERE relname = %s)",
                          (f"c{n}", f"wide_both{n}", f"parts_{n}"))[0]
        assert there in ((0, 0, 0), (1, 0, 1), (1, 1, 1)), there
        wait_for(lambda: waits_for_its_order(bunny) or all_settled(bunny, "m"), 90,
                 "the end of what was asked for")
        bunny.cli("sync-schema", "m", "--wait", "60")
        wait_for(lambda: all_settled(bunny, "m"), 90, "all tables")
    wait_for(lambda: not bunny.cli("sync-schema", "m", "--dry-run").stdout.strip(), 90,
             "the definitions to be equal")
    assert_equal_definitions(pair)
    assert_equal_structure(pair.src, pair.dst)
    pair.sql("INSERT INTO moods VALUES (1, 'm1')")
    pair.assert_equal(90)
    assert_nothing_left(pair, bunny)


@pytest.mark.long
@LIMIT
def test_a_cutover_that_is_waited_for(loaded):
    """Who waits is told; nothing is changed, and what remains is the same afterwards."""
    pair, bunny = loaded
    pair.sql("CREATE TABLE t (id serial PRIMARY KEY, v int); INSERT INTO t (v) SELECT "
             "generate_series(1, 5000)")
    bunny.mirror("m", pair)
    bunny.cli("verify", "m", "--wait", "60")
    with pair.source.connect(pair.sdb) as writer:
        for _ in range(KILLS):
            writer.execute("UPDATE t SET v = v + 1")
            waiting = subprocess.Popen(
                [find_program(), "cutover", "m", "--wait", "60", "--state-dir", bunny.state_dir],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=bunny.environment())
            try:
                kill(bunny, 0.7)
                said = waiting.communicate(timeout=90)[0]
            finally:
                waiting.kill()
                waiting.wait()
            assert waiting.returncode in (0, 1, 3, 4, 5, 6), (waiting.returncode, said)
            assert said
            bunny.wait_running("m", may_fail=True)
            assert pair.sql("SHOW default_transaction_read_only") == [("off",)]
    bunny.cli("cutover", "m", "--wait", "60", "--verify")
    assert len(pair.slots()) == 1
    pair.assert_equal()
