"""Promise: with on_table_error = set_aside a table whose change cannot be applied leaves the stream
with a finding, none of its rows half applied, and all others go on; it stays aside, whatever ends
meanwhile, until it is resynced. Without it the mirror stops."""
import os
import random
import threading

import pytest

from harness.compare import assert_equal_structure
from harness.load import Load
from harness.waiting import wait_for

KILLS = int(os.environ.get("KILLS", "3"))

TABLES = """
CREATE TABLE good (id int PRIMARY KEY, v int);
CREATE TABLE bad (id int PRIMARY KEY, v int);
CREATE TABLE worse (id int PRIMARY KEY, v int REFERENCES bad);
CREATE TABLE parts (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (1000000);
INSERT INTO good SELECT g, g FROM generate_series(1, 50) g;
INSERT INTO bad SELECT g, g FROM generate_series(1, 50) g;
INSERT INTO worse SELECT g, g FROM generate_series(1, 50) g;
INSERT INTO parts SELECT g, g FROM generate_series(1, 200) g;
"""
NAMES = ("good", "bad", "worse", "parts")


def make(pair, bunny, **options):
    pair.sql(TABLES)
    bunny.mirror("m", pair, on_table_error="set_aside", **options)


def tables(bunny):
    return {t["table_name"].removeprefix("public."): t for t in bunny.status("m")["tables"]}


def wait_aside(bunny, *names):
    """The mirror runs, these tables are aside and no other one, and each says why."""
    def there():
        status = bunny.status("m")
        found = {t["table_name"].removeprefix("public."): t for t in status["tables"]}
        assert status["status"] == "running", (status["status"], status["error_message"])
        assert {n for n, t in found.items() if t["status"] == "set_aside"} == set(names), found
        assert all(found[n]["error_message"] for n in names)
        return status
    return wait_for(there, 60, f"{names} to be set aside")


def rows(connection, name):
    return connection(f"SELECT * FROM {name} ORDER BY 1")


def equal(pair, *names):
    pair.assert_equal(tables=[("public", n) for n in names])


def resync(bunny, name, *leaves):
    bunny.api.post(f"/v1/mirrors/m/resync/public.{name}", {"strategy": "truncate"})

    def streams():
        found = tables(bunny)
        assert all(found[n]["status"] == "streaming" for n in leaves or (name,)), found
        assert not bunny.status("m")["operation"]
        return True
    wait_for(streams, 60, f"{name} to stream again")


def finish(pair, bunny):
    status = bunny.wait_running("m")
    wait_for(lambda: not bunny.status("m")["findings"], 30, "the findings to go")
    # what is copied again is there, with its definition and its foreign keys
    wait_for(lambda: pair.dsql("SELECT * FROM _bunnydb.table_sync") == [], 30, "no row to be left")
    pair.assert_equal()
    assert_equal_structure(pair.src, pair.dst)
    assert all(t["error_message"] in (None, "") for t in status["tables"])


@pytest.mark.sanitize
def test_a_violated_constraint(pair, bunny):
    make(pair, bunny)
    pair.dsql("ALTER TABLE bad ADD CONSTRAINT narrow CHECK (v < 1000)")
    before = rows(pair.dsql, "bad")
    pair.sql("BEGIN; INSERT INTO bad VALUES (60, 60); UPDATE good SET v = -1 WHERE id = 1;"
             "UPDATE bad SET v = 5000 WHERE id = 7; INSERT INTO good VALUES (60, 60); COMMIT")
    status = wait_aside(bunny, "bad")
    equal(pair, "good", "worse", "parts_1", "parts_2")
    assert rows(pair.dsql, "bad") == before
    finding = next(f for f in status["findings"] if "public.bad" in f["title"])
    assert finding["code"] == "row_refused" and finding["severity"] == "error"
    assert "narrow" in finding["cause"] and "(id)=(7)" in finding["cause"] and "resync" in finding["remedy"]
    assert "set_aside" in bunny.cli("status", "m").stdout
    # it stays aside, and so do its rows
    bunny.kill()
    pair.sql("UPDATE bad SET v = v + 1; DELETE FROM bad WHERE id = 60; UPDATE good SET v = v + 1")
    bunny.start()
    wait_aside(bunny, "bad")
    bunny.api.post("/v1/mirrors/m/pause")
    bunny.api.post("/v1/mirrors/m/resume")
    wait_aside(bunny, "bad")
    equal(pair, "good", "worse", "parts_1", "parts_2")
    assert rows(pair.dsql, "bad") == before
    pair.dsql("ALTER TABLE bad DROP CONSTRAINT narrow")
    resync(bunny, "bad")
    pair.sql("INSERT INTO bad VALUES (70, 70)")
    finish(pair, bunny)


@pytest.mark.long
def test_several_tables_of_one_transaction(pair, bunny):
    """A type that is too small, a unique index of the destination's own, a partition."""
    make(pair, bunny)
    pair.dsql("ALTER TABLE bad ALTER v TYPE smallint; CREATE UNIQUE INDEX own ON worse (v);"
              "ALTER TABLE parts_2 ADD CONSTRAINT narrow CHECK (v < 1000)")
    pair.sql("BEGIN; UPDATE bad SET v = 100000 WHERE id = 1; UPDATE worse SET v = 4 WHERE id = 5;"
             "UPDATE parts SET v = 5000 WHERE id IN (50, 150); UPDATE good SET v = 0; COMMIT")
    status = wait_aside(bunny, "bad", "worse", "parts_1", "parts_2")
    assert len(status["findings"]) == 3
    assert any("(id)=(5)" in f["cause"] for f in status["findings"]), status["findings"]
    equal(pair, "good")
    pair.dsql("DROP INDEX own; ALTER TABLE parts_2 DROP CONSTRAINT narrow;"
              "ALTER TABLE bad ALTER v TYPE int")
    resync(bunny, "worse")
    wait_aside(bunny, "bad", "parts_1", "parts_2")
    resync(bunny, "parts", "parts_1", "parts_2")
    resync(bunny, "bad")
    finish(pair, bunny)


def test_a_table_and_a_column_that_are_missing(pair, bunny):
    make(pair, bunny)
    pair.dsql("DROP TABLE worse; ALTER TABLE bad DROP COLUMN v")
    pair.sql("UPDATE worse SET v = 1; UPDATE good SET v = 2; UPDATE bad SET v = 3")
    wait_aside(bunny, "bad", "worse")
    equal(pair, "good", "parts_1", "parts_2")
    bunny.api.post("/v1/mirrors/m/sync-schema")
    wait_for(lambda: not bunny.status("m")["operation"], 30, "sync-schema")
    wait_aside(bunny)  # sync-schema knows that both are to be copied now
    finish(pair, bunny)


def test_missing_when_the_run_begins(pair, bunny):
    make(pair, bunny)
    bunny.api.post("/v1/mirrors/m/pause")
    pair.dsql("DROP TABLE worse; ALTER TABLE parts DROP COLUMN v")
    bunny.api.post("/v1/mirrors/m/resume")
    wait_aside(bunny, "worse", "parts_1", "parts_2")
    pair.sql("UPDATE good SET v = 2; UPDATE worse SET v = 3")
    equal(pair, "good", "bad")
    pair.dsql("ALTER TABLE parts ADD v int")
    bunny.api.post("/v1/mirrors/m/resync", {"strategy": "truncate"})
    wait_for(lambda: not bunny.status("m")["operation"], 30, "the resync")
    finish(pair, bunny)


def test_without_it_the_mirror_stops(pair, bunny):
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    pair.dsql("ALTER TABLE bad ADD CONSTRAINT narrow CHECK (v < 1000)")
    pair.sql("UPDATE bad SET v = 5000 WHERE id = 7")
    bunny.wait_status("m", "error", 30, may_fail=True)
    pair.dsql("ALTER TABLE bad DROP CONSTRAINT narrow")
    bunny.api.post("/v1/mirrors/m/retry")
    bunny.wait_running("m")
    pair.assert_equal()


def test_a_lost_right_is_nobodys_error(pair, bunny):
    """What the operator gives back without a copy sets no table aside."""
    make(pair, bunny)
    pair.dsql("CREATE FUNCTION deny() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION "
              "'no' USING ERRCODE = 'insufficient_privilege'; END$$;"
              "CREATE TRIGGER deny BEFORE UPDATE ON bad FOR EACH ROW EXECUTE FUNCTION deny();"
              "ALTER TABLE bad ENABLE ALWAYS TRIGGER deny")
    pair.sql("UPDATE bad SET v = 1")
    bunny.wait_status("m", "error", 30, may_fail=True)
    pair.dsql("DROP FUNCTION deny CASCADE")
    bunny.api.post("/v1/mirrors/m/retry")
    bunny.wait_running("m")
    finish(pair, bunny)


@pytest.mark.long
@pytest.mark.limit(120 + 30 * KILLS)
def test_killed_around_the_moment(pair, bunny):
    """The destination's constraints come and go under load, and so does the program: before the table
    is aside, and while it is copied again. Each transaction changes two rows of each table, so that
    half of one would be seen in the sum."""
    work = ("\\set a random(1, 50)\nBEGIN; UPDATE good SET v = v + 1 WHERE id IN (:a, 1 + :a % 50); "
            "UPDATE bad SET v = v + 1 WHERE id IN (:a, 1 + :a % 50); "
            "UPDATE worse SET v = 101 - v WHERE id IN (:a, 101 - :a); "
            "UPDATE parts SET v = v + 1 WHERE id IN (:a * 4, :a * 4 - 1); END;\n")
    make(pair, bunny)
    pair.sql("INSERT INTO bad SELECT g, g FROM generate_series(51, 100) g;"
             "INSERT INTO worse SELECT g, 101 - g FROM generate_series(51, 100) g")
    sums = ("SELECT (SELECT sum(v) FROM good) % 2, (SELECT sum(v) FROM bad) % 2, "
            "(SELECT sum(v) FROM parts) % 2")
    pair.wait_confirmed()
    whole = pair.sql(sums)
    constraint = {"bad": "CHECK (v < 0) NOT VALID", "worse": "CHECK (v < 0) NOT VALID",
                  "parts_2": "CHECK (v < 0) NOT VALID"}

    def kill(times):
        for _ in range(times):
            threading.Event().wait(random.random() * 0.5)
            bunny.kill()
            bunny.start()

    with Load(pair.source, pair.sdb, clients=1, rate=100, script=work, directory=bunny.dir):
        for _ in range(KILLS):
            name = random.choice(sorted(constraint))
            pair.dsql(f"ALTER TABLE {name} ADD CONSTRAINT narrow {constraint[name]}")
            kill(3)
            leaves = ("parts_1", "parts_2") if name == "parts_2" else (name,)
            wait_aside(bunny, *leaves)
            aside = "parts" if name == "parts_2" else name
            before, good = rows(pair.dsql, aside), rows(pair.dsql, "good")
            assert pair.dsql(sums) == whole
            wait_for(lambda g=good: rows(pair.dsql, "good") != g, 30, "the others to go on")
            assert rows(pair.dsql, aside) == before
            pair.dsql(f"ALTER TABLE {name} DROP CONSTRAINT narrow")
            bunny.api.post(f"/v1/mirrors/m/resync/public.{aside}", {"strategy": "truncate"})
            kill(1)
            wait_for(lambda n=leaves: not bunny.status("m")["operation"] and all(
                tables(bunny).get(t, {}).get("status") == "streaming" for t in n), 60,
                f"{name} to stream again")
            wait_aside(bunny)
    assert pair.dsql(sums) == whole
    finish(pair, bunny)
