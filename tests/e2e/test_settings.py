"""Promise: the settings of a mirror can be changed while it runs, without another copy and without losing
a change; what is refused changes nothing, and says what is wrong and what to do instead."""
import pytest

from harness.load import Load
from harness.waiting import wait_for
from test_operations import idle, make

M = "/v1/mirrors/m"
WRITES = ("INSERT INTO a VALUES (1001 + nextval('s'), 1);"
          "UPDATE a SET v = v + 1 WHERE id = 1 + (random() * 999)::int;")
REFUSED = [
    ({}, "no field is given", None),
    ({"cdc_batch_size": 0}, 'field "cdc_batch_size" must be from 1 to 10000000', None),
    ({"cdc_batch_size": 5, "on_table_error": "skip"}, 'field "on_table_error" must be stop or set_aside', None),
    ({"snapshot_max_parallel_workers": "four"}, 'field "snapshot_max_parallel_workers" must be an integer', None),
    ({"replicate_indexes": 1}, 'field "replicate_indexes" must be true or false', None),
    ({"batch": 1}, 'unknown field "batch"', None),
    ({"source_peer": "other"}, 'field "source_peer" cannot be changed', "bunnydb peer change"),
    ({"table_mappings": []}, 'field "table_mappings" cannot be changed', "mirror tables NAME --set"),
    ({"cdc_batch_size": 5, "replication_slot_name": "x"}, "cannot be changed", "make it again"),
]


def patch(bunny, **fields):
    answer = bunny.api.raw("PATCH", M, fields)
    assert answer.status == 200, answer
    return answer.body


def codes(bunny):
    return [f["code"] for f in bunny.status("m")["findings"]]


def run_ids(bunny):
    return [r["id"] for r in bunny.api.get(M + "/runs")["runs"]]


@pytest.mark.tsan
def test_settings_change_under_load(bunny, pair):
    make(bunny, pair)
    pair.sql("CREATE SEQUENCE s")
    before = bunny.api.get(M + "/config")
    for body, error, hint in REFUSED:
        answer = bunny.api.raw("PATCH", M, body)
        assert answer.status == 400 and error in answer.body["error"], (body, answer)
        assert hint is None or hint in answer.body["hint"], (body, answer)
    assert bunny.api.raw("PATCH", "/v1/mirrors/none", {"cdc_batch_size": 1}).status == 404
    assert bunny.api.get(M + "/config") == before
    with Load(pair.source, pair.sdb, rate=300, script=WRITES) as load:
        runs = run_ids(bunny)
        assert patch(bunny, resync_strategy="swap")["message"].endswith("in effect now")
        assert not bunny.status("m")["settings_wait"]
        answer = patch(bunny, cdc_batch_size=7, schema_changes="auto")
        assert answer["message"] == ("cdc_batch_size 10000 -> 7, schema_changes manual -> auto; "
                                     "the mirror begins a new run with them")
        assert answer["settings"]["cdc_batch_size"] == 7
        wait_for(lambda: len(run_ids(bunny)) > len(runs), 30, "another run")
        wait_for(lambda: not bunny.status("m")["settings_wait"], 30, "the settings to be in effect")
        assert bunny.status("m")["settings"] == {k: before[k] for k in answer["settings"]} | {
            "resync_strategy": "swap", "cdc_batch_size": 7, "schema_changes": "auto"}
        pair.sql("ALTER TABLE a ADD COLUMN w text DEFAULT 'new'")  # followed, as it is auto now
        for size in (1, 500, 3):
            patch(bunny, cdc_batch_size=size, cdc_sync_interval_seconds=0, on_table_error="set_aside")
        bunny.kill()
        bunny.start()
        assert bunny.status("m")["settings"]["cdc_batch_size"] == 3, "it survives kill -9"
        assert load.is_running
    assert "nothing is changed" in patch(bunny, cdc_batch_size=3)["message"]
    lines = [x["message"] for x in bunny.api.get(M + "/logs?search=settings&limit=500")["logs"]]
    assert any(x == "settings changed: cdc_batch_size 10000 -> 7, schema_changes manual -> auto by=ana"
               for x in lines), lines
    assert any(x.startswith("settings in effect: ") for x in lines), lines
    assert pair.assert_equal(tables=[("public", "a")]) > 1000


@pytest.mark.long
def test_settings_help_a_failed_mirror_and_wait_for_a_copy(bunny, pair):
    pair.sql("CREATE TABLE a (id int PRIMARY KEY, v int); CREATE INDEX a_v ON a (v);"
             "INSERT INTO a SELECT i, i FROM generate_series(1, 1000) i")
    bunny.mirror("m", pair, ["public.a"], replicate_indexes=False)
    assert "definitions_behind" not in codes(bunny)
    patch(bunny, replicate_indexes=True)  # definitions are compared anew
    wait_for(lambda: "definitions_behind" in codes(bunny), 30, "the index to be told")
    patch(bunny, replicate_indexes=False)
    wait_for(lambda: "definitions_behind" not in codes(bunny), 30, "it to be told no more")
    pair.sql("ALTER TABLE a ADD COLUMN w int; INSERT INTO a VALUES (2000, 1, 1)")
    bunny.wait_status("m", "error", may_fail=True)
    patch(bunny, schema_changes="auto")
    bunny.wait_running("m", may_fail=True)  # by itself, as the new setting is tried at once
    assert pair.assert_equal(tables=[("public", "a")]) == 1001
    assert not pair.dsql("SELECT 1 FROM pg_indexes WHERE indexname = 'a_v'")
    patch(bunny, replicate_indexes=True)
    wait_for(lambda: pair.dsql("SELECT 1 FROM pg_indexes WHERE indexname = 'a_v'"), 30, "the index")
    pair.dst.autocommit = False
    pair.dst.execute("LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
    bunny.api.post(M + "/resync")
    wait_for(lambda: bunny.status("m")["status"] in ("initializing", "snapshotting"), 20, "a resync")
    assert "once what is being copied or compared is done" in patch(bunny, cdc_batch_size=7)["message"]
    status = bunny.status("m")
    assert (status["settings_wait"], status["operation"]) == (True, "resync"), "the copy goes on"
    pair.dst.rollback()
    pair.dst.autocommit = True
    idle(bunny)
    wait_for(lambda: not bunny.status("m")["settings_wait"], 30, "the settings to be in effect")
    pair.sql("INSERT INTO a SELECT i, i, i FROM generate_series(3000, 3100) i")
    assert pair.assert_equal(tables=[("public", "a")]) == 1102
