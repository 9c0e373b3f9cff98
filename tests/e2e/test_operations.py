"""Promise: one operation at a time on a mirror, each refusal names what holds it; and each operation
does what the contract says, whatever the mirror is doing."""
import threading
import time

import pytest

from harness.api import Api
from harness.waiting import soon, wait_for


def refused(bunny, method, path, body=None):
    answer = bunny.api.raw(method, f"/v1/mirrors/m{path}", body)
    assert answer.status == 409, answer
    return answer


def make(bunny, pair, rows=1000):
    pair.sql("CREATE TABLE a (id int PRIMARY KEY, v int);"
             "CREATE TABLE b (id int PRIMARY KEY, v int);"
             f"INSERT INTO a SELECT i, i FROM generate_series(1, {rows}) i;"
             "INSERT INTO b SELECT i, i FROM generate_series(1, 10) i")
    return bunny.mirror("m", pair, ["public.a"])


@pytest.mark.quick
def test_refusals_by_state(bunny, pair):
    make(bunny, pair)
    assert refused(bunny, "POST", "/resume").code == "not_paused"
    answer = refused(bunny, "PUT", "/tables", {"table_mappings": [{"source_table": "public.b"}]})
    assert answer.body["error"] == "Mirror must be paused to update tables"
    bunny.api.post("/v1/mirrors/m/pause")
    assert refused(bunny, "POST", "/pause").code == "already_paused"
    for path in ("/retry", "/resync", "/resync/public.a"):
        assert refused(bunny, "POST", path).code == "mirror_paused", path
    assert bunny.status("m")["status"] == "paused"
    bunny.api.post("/v1/mirrors/m/resume")
    bunny.wait_running("m")
    for path, status, code in (("/resync/public.none", 404, "table_not_found"),
                               ("/resync/nodot", 404, "table_not_found")):
        answer = bunny.api.raw("POST", "/v1/mirrors/m" + path)
        assert (answer.status, answer.code) == (status, code)
    answer = bunny.api.raw("POST", "/v1/mirrors/m/resync", {"strategy": "quick"})
    assert answer.status == 400 and "strategy" in answer.body["error"]
    assert bunny.status("m")["operation"] is None
    assert pair.assert_equal(tables=[("public", "a")]) == 1000


def test_the_operation_in_progress_is_named(bunny, pair):
    """A resync that a lock holds up: others hear who asked and since when, pause interrupts it."""
    make(bunny, pair)
    pair.dst.autocommit = False
    pair.dst.execute("LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
    answer = bunny.api.raw("POST", "/v1/mirrors/m/resync")
    assert answer.status == 202, answer
    wait_for(lambda: bunny.status("m")["status"] in ("initializing", "snapshotting"), 20, "a resync")
    status = bunny.status("m")
    assert (status["operation"], status["operation_by"]) == ("resync", "ana")
    busy = refused(bunny, "POST", "/sync-schema")
    assert busy.code == "operation_in_progress"
    assert busy.body["error"].startswith("Another operation is already in progress")
    began = time.monotonic()
    bunny.api.post("/v1/mirrors/m/pause")
    assert time.monotonic() - began < soon(1.5)
    assert bunny.status("m")["operation"] is None
    pair.dst.rollback()
    pair.dst.autocommit = True
    bunny.api.post("/v1/mirrors/m/resume")
    bunny.wait_running("m")
    wait_for(lambda: bunny.status("m")["operation"] is None, 20, "the resync to end")
    assert pair.assert_equal(tables=[("public", "a")]) == 1000


def test_resync_replaces_what_the_destination_has(bunny, pair):
    make(bunny, pair)
    pair.dsql("UPDATE a SET v = -1 WHERE id < 100; DELETE FROM a WHERE id > 900")
    bunny.api.post("/v1/mirrors/m/resync")
    wait_for(lambda: bunny.status("m")["operation"] is None and
             bunny.status("m")["status"] == "running", 60, "the resync to end")
    pair.sql("INSERT INTO a VALUES (5000, 1)")
    assert pair.assert_equal(tables=[("public", "a")]) == 1001


def test_commands_at_once_get_one_answer_each(bunny, pair):
    """Twenty callers: each gets an answer of the table, and the mirror ends in one clear state."""
    make(bunny, pair)
    answers = []

    def call(path):
        answers.append(Api(bunny.api.address, bunny.api.token).raw("POST", f"/v1/mirrors/m{path}"))
    callers = [threading.Thread(target=call, args=(p,))
               for p in ["/pause", "/resume", "/retry", "/resync"] * 5]
    for c in callers:
        c.start()
    for c in callers:
        c.join()
    assert {a.status for a in answers} <= {200, 202, 409}, answers
    assert all(a.body.get("error") for a in answers if a.status == 409)
    if bunny.status("m")["status"] == "paused":
        bunny.api.post("/v1/mirrors/m/resume")
    bunny.wait_running("m")
    pair.sql("UPDATE a SET v = v + 1")
    assert pair.assert_equal(tables=[("public", "a")]) == 1000


def idle(bunny, limit=60):
    """Waits until the mirror streams and no operation holds it."""
    def there():
        status = bunny.status("m")
        assert status["status"] == "running" and status["operation"] is None, status
        return status
    return wait_for(there, limit, "the operation to end")


@pytest.mark.quick
def test_sync_schema_shows_what_it_will_do_and_does_it(bunny, pair):
    make(bunny, pair)
    pair.sql("ALTER TABLE a ADD COLUMN note text DEFAULT 'x'; CREATE INDEX a_v ON a (v)")
    slot = pair.slots()
    preview = bunny.api.post("/v1/mirrors/m/sync-schema", {"dry_run": True})
    assert any("note" in s for s in preview["statements"]), preview
    assert any("a_v" in s for s in preview["statements"]), preview
    assert pair.dsql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'a'::regclass "
                     "AND attname = 'note'")[0][0] == 0, "a preview changes nothing"
    answer = bunny.api.raw("POST", "/v1/mirrors/m/sync-schema")
    assert answer.status == 202
    idle(bunny)
    assert pair.slots()[0][0] == slot[0][0], "the slot is kept"
    pair.sql("INSERT INTO a VALUES (5000, 1, 'new'); UPDATE a SET note = 'y' WHERE id = 1")
    assert pair.assert_equal(tables=[("public", "a")]) == 1001
    preview = bunny.api.post("/v1/mirrors/m/sync-schema", {"dry_run": True})
    assert preview["statements"] == [], preview


def test_sync_schema_heals_a_mirror_that_stopped_at_a_change_of_definitions(bunny, pair):
    make(bunny, pair)
    pair.sql("ALTER TABLE a ADD COLUMN more int; INSERT INTO a VALUES (5000, 1, 7)")
    bunny.wait_status("m", "error", may_fail=True)
    bunny.api.post("/v1/mirrors/m/sync-schema")
    idle(bunny)
    assert pair.assert_equal(tables=[("public", "a")]) == 1001


def test_sync_schema_of_a_paused_mirror_leaves_it_paused(bunny, pair):
    make(bunny, pair)
    bunny.api.post("/v1/mirrors/m/pause")
    pair.sql("ALTER TABLE a ADD COLUMN more int")
    bunny.api.post("/v1/mirrors/m/sync-schema")
    wait_for(lambda: bunny.status("m")["operation"] is None and pair.dsql(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'a'::regclass AND attname = 'more'"
    )[0][0] == 1, 30, "the column")
    assert bunny.status("m")["status"] == "paused"
    pair.sql("INSERT INTO a VALUES (5000, 1, 7)")
    bunny.api.post("/v1/mirrors/m/resume")
    assert pair.assert_equal(tables=[("public", "a")]) == 1001


@pytest.mark.long
def test_a_locked_table_fails_sync_schema_with_a_sentence_and_changes_nothing(bunny, pair):
    make(bunny, pair)
    pair.sql("CREATE INDEX a_v ON a (v)")
    pair.dst.autocommit = False
    pair.dst.execute("LOCK TABLE a IN ROW EXCLUSIVE MODE")
    bunny.api.post("/v1/mirrors/m/sync-schema")
    wait_for(lambda: "sync-schema" in str(bunny.api.get("/v1/mirrors/m/logs?level=ERROR")["logs"]),
             60, "the failure")
    pair.dst.rollback()
    pair.dst.autocommit = True
    status = idle(bunny)
    assert status["error_message"], "what failed stays visible"
    bunny.api.post("/v1/mirrors/m/sync-schema")
    idle(bunny)
    pair.sql("INSERT INTO a VALUES (5000, 1)")
    assert pair.assert_equal(tables=[("public", "a")]) == 1001
    assert bunny.status("m")["error_message"] is None
    assert pair.dsql("SELECT to_regclass('a_v') IS NOT NULL")[0][0]


def test_a_sync_that_waited_for_the_stream_does_not_hold_up_a_later_one(bunny, pair):
    """The first has statements that only fit when the stream has come further; a row that
    somebody else inserts holds that up, and a pause ends the operation."""
    pair.sql("CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY)")
    bunny.mirror("m", pair, ["public.a", "public.b"])

    def syncs():
        logs = bunny.api.get("/v1/mirrors/m/logs?search=sync-schema:%20statements")["logs"]
        return [line["message"] for line in logs]
    pair.dst.autocommit = False
    pair.dst.execute("INSERT INTO b VALUES (1)")  # the stream waits for its end
    pair.sql("INSERT INTO b VALUES (1); ALTER TABLE a ALTER v SET NOT NULL")
    bunny.api.post("/v1/mirrors/m/sync-schema")
    wait_for(lambda: len(syncs()) == 1, 30, "the first")
    assert "later=1" in syncs()[0], syncs()
    bunny.api.post("/v1/mirrors/m/pause")
    pair.dst.rollback()
    pair.dst.autocommit = True
    bunny.api.post("/v1/mirrors/m/sync-schema")
    wait_for(lambda: len(syncs()) == 2, 30, "the second")
    wait_for(lambda: bunny.status("m")["operation"] is None, 30, "its end")
    bunny.api.post("/v1/mirrors/m/resume")
    idle(bunny)
    assert pair.assert_equal(tables=[("public", "a"), ("public", "b")]) == 1
