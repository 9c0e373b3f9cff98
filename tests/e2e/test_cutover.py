"""Promise: bunnydb cutover says what remains before applications move to the destination, each thing
by its name, and changes nothing unless it is told to."""
import json
import threading
import time

import psycopg
import pytest

from harness.waiting import wait_for

TABLES = """
CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
CREATE TABLE b (id serial PRIMARY KEY, a int REFERENCES a, n int CHECK (n > 0));
CREATE INDEX b_n ON b (n);
CREATE VIEW seen AS SELECT 1 AS one;
CREATE SEQUENCE "Lone" INCREMENT BY 3; CREATE SEQUENCE still AS smallint;
SELECT setval('"Lone"', 41);
INSERT INTO a (v) SELECT 'v' || i FROM generate_series(1, 50) i;
INSERT INTO b (a, n) SELECT i, i FROM generate_series(1, 50) i;
"""


def report(bunny):
    r = bunny.api.get("/v1/mirrors/m/cutover")
    r["checks"] = {c["check"]: c for c in r["checks"]}
    return r


def open_checks(r):
    return {n: c["state"] for n, c in r["checks"].items() if c["state"] in ("not_yet", "cannot")}


def wait_open(bunny, wanted, limit=60):
    """Until exactly these checks remain; the report."""
    def there():
        r = report(bunny)
        assert open_checks(r) == wanted, json.dumps(r, indent=1)
        return r
    return wait_for(there, limit, f"{wanted} to remain")


def verify(bunny):
    bunny.api.post("/v1/mirrors/m/verify")
    wait_for(lambda: bunny.status("m")["operation"] is None, 60, "the comparison to end")


@pytest.fixture
def mirror(pair, bunny):
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    return pair, bunny


@pytest.mark.long
@pytest.mark.quick
def test_ready_and_what_is_said_of_it(mirror):
    pair, bunny = mirror
    r = wait_open(bunny, {"verify": "cannot"})
    assert not r["ready"] and "never compared" in r["checks"]["verify"]["text"]
    shown = bunny.cli("cutover", "m", expect=1)
    assert "cannot   verify" in shown.stdout and "not ready" in shown.stdout
    assert all(len(line) <= 80 or line.startswith("    ") for line in shown.stdout.splitlines())
    bunny.cli("cutover", "m", "--verify", "--wait", "60")
    shown = bunny.cli("cutover", "m", "--json")
    r = report(bunny)
    assert r["ready"] and json.loads(shown.stdout)["ready"] and not r["read_only"] and not r["undo"]
    identity, objects = r["checks"]["identity"], r["checks"]["objects"]
    assert [i["statement"] for i in identity["items"]] == [
        "ALTER TABLE public.a ALTER COLUMN id SET GENERATED ALWAYS;"]
    assert [i["name"] for i in objects["items"]] == ["sequences_not_mirrored", "views_not_mirrored"]
    writers = r["checks"]["writers"]
    assert writers["state"] == "remark" and "session " in writers["items"][0]["name"]
    pair.assert_equal()


@pytest.mark.long
@pytest.mark.limit(200)
def test_each_reason_by_its_name(mirror):
    pair, bunny = mirror
    verify(bunny)
    wait_open(bunny, {})
    pair.dsql("ALTER TABLE b DROP CONSTRAINT b_n_check; DROP INDEX b_n")
    r = wait_open(bunny, {"indexes": "cannot", "constraints": "cannot"})
    assert any("CREATE INDEX" in (i["statement"] or "") for i in r["checks"]["indexes"]["items"])
    pair.dsql("CREATE INDEX b_n ON b (n); ALTER TABLE b ADD CONSTRAINT b_n_check CHECK (n > 0) NOT VALID;"
              "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'b_n'::regclass")
    r = wait_open(bunny, {"indexes": "cannot", "constraints": "cannot"})
    assert "VALIDATE CONSTRAINT b_n_check" in str(r["checks"]["constraints"]["items"])
    said = str(r["checks"]["indexes"]["items"])
    assert "it is not valid" in said and "CREATE INDEX" in said and "REINDEX" not in said, said
    pair.dsql("UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'b_n'::regclass;"
              "ALTER TABLE b VALIDATE CONSTRAINT b_n_check; ALTER TABLE b ALTER n SET DEFAULT 7")
    wait_open(bunny, {"definitions": "cannot"})
    pair.dsql("ALTER TABLE b ALTER n DROP DEFAULT")
    wait_open(bunny, {})
    # rows: a change that finds no row is a finding, and the comparison sees it
    pair.dsql("DELETE FROM b WHERE id = 7")
    pair.sql("UPDATE b SET n = n + 1 WHERE id = 7")
    wait_open(bunny, {"findings": "cannot"})
    verify(bunny)
    r = wait_open(bunny, {"findings": "cannot", "verify": "cannot"})
    assert [i["name"] for i in r["checks"]["verify"]["items"]] == ["public.b"]
    assert "bunnydb verify m --repair" in r["checks"]["verify"]["text"]
    pair.dsql("INSERT INTO b SELECT 7, 7, 8")
    verify(bunny)
    wait_open(bunny, {})
    # writers, and a prepared transaction's
    with pair.source.connect(pair.sdb) as c:
        with c.transaction():
            c.execute("SET application_name = 'till'; INSERT INTO a (v) VALUES ('open')")
            r = wait_open(bunny, {"writers": "not_yet"})
            assert "till" in r["checks"]["writers"]["items"][0]["note"]
    # lag: the stream waits for a lock
    with pair.dest.connect(pair.ddb) as c:
        with c.transaction():
            c.execute("LOCK TABLE a")
            pair.sql("INSERT INTO a (v) VALUES ('later')")
            def lags():
                r = report(bunny)
                return "lag" in open_checks(r)
            wait_for(lags, 30, "the lag to be named")
    wait_for(lambda: "lag" not in open_checks(report(bunny)), 30, "the lag to be gone")
    # sequences
    pair.sql("SELECT setval('b_id_seq', 5000)")
    wait_for(lambda: not open_checks(report(bunny)), 60, "the sequences to follow")
    bunny.api.post("/v1/mirrors/m/pause")
    r = wait_for(lambda: (lambda r: r if "mirror" in open_checks(r) else None)(report(bunny)), 30,
                 "the pause")
    assert r["checks"]["mirror"]["state"] == "cannot" and not r["ready"]
    shown = bunny.cli("cutover", "m", "--wait", "1", expect=4)
    assert "mirror m: not ready for a cutover" in shown.stdout, shown
    bunny.api.post("/v1/mirrors/m/resume")
    bunny.cli("cutover", "m", "--wait", "60")
    pair.assert_equal()


def test_sequences_that_no_table_uses_are_set_by_what_is_said(mirror):
    pair, bunny = mirror

    def lone():
        r = wait_open(bunny, {"verify": "cannot"})["checks"]["lone_sequences"]
        return r["state"], [(i["name"], i["note"]) for i in r["items"]], \
            [i["statement"] for i in r["items"]]

    state, items, statements = lone()
    assert (state, items) == ("remark", [
        ('public."Lone"', "41 at the source, missing at the destination"),
        ("public.still", "1 at the source, missing at the destination")])
    assert "SELECT pg_catalog.setval('public.\"Lone\"', 41, true);" in \
        bunny.cli("cutover", "m", expect=1).stdout
    for statement in statements:
        pair.dsql(statement)
    assert lone() == ("ok", [], [])
    pair.sql("SELECT nextval('\"Lone\"'), setval('still', 7, false)")
    state, items, statements = lone()
    assert items == [('public."Lone"', "44 at the source, 41 at the destination"),
                     ("public.still", "7 at the source, 1 at the destination")]
    pair.dsql(statements[0] + "SELECT setval('still', 9)")
    assert lone() == ("remark", [("public.still",
                                  "7 at the source, 9 at the destination, which is further on")], [None])
    assert pair.dsql("SELECT nextval('\"Lone\"')") == pair.sql("SELECT nextval('\"Lone\"')") == [(47,)]
    pair.assert_equal()


def test_read_only_and_its_undo(mirror):
    pair, bunny = mirror
    pair.sql("SELECT 1")  # a session that exists
    verify(bunny)
    wait_open(bunny, {})
    bunny.cli("cutover", "m", "--read-only")
    r = report(bunny)
    assert r["read_only"] and r["ready"] and "RESET" in r["undo"]
    with pair.source.connect(pair.sdb) as c:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            c.execute("INSERT INTO a (v) VALUES ('new')")
    pair.sql("INSERT INTO a (v) VALUES ('old session')")
    bunny.cli("cutover", "m", "--wait", "60")
    bunny.kill()  # the mirror's own sessions write all they need
    bunny.start()
    pair.sql("INSERT INTO b (a, n) VALUES (51, 3)")
    bunny.cli("cutover", "m", "--wait", "60")
    with pair.source.connect(pair.sdb) as c:
        for statement in r["undo"].split(";"):
            if statement.strip():
                c.execute(statement)
    assert not report(bunny)["read_only"]
    with pair.source.connect(pair.sdb) as c:
        c.execute("INSERT INTO a (v) VALUES ('again')")
    pair.assert_equal()


def test_wait_ends_when_nothing_remains(mirror):
    pair, bunny = mirror
    verify(bunny)
    bunny.cli("cutover", "m", "--wait", "60")
    with pair.source.connect(pair.sdb) as c:
        c.execute("BEGIN")
        c.execute("INSERT INTO a (v) VALUES ('open')")
        bunny.cli("cutover", "m", "--wait", "1", expect=4)
        ended = {}
        waiting = threading.Thread(target=lambda: ended.update(
            code=bunny.cli("cutover", "m", "--wait", "60", expect=None).returncode))
        waiting.start()
        time.sleep(0.3)
        assert not ended
        c.execute("COMMIT")
        waiting.join(70)
    assert ended == {"code": 0}
    pair.assert_equal()
