"""Promise: one answer has what a bug report needs, within ten seconds, whatever the servers do, and
holds no secret and no value of a row."""
import json
import socket
import time

import pytest

from harness.waiting import soon, wait_for

SECRET = "topsecretvalue"


def diagnose(bunny, name="m"):
    began = time.monotonic()
    answer = bunny.api.get(f"/v1/mirrors/{name}/diagnostics")
    assert time.monotonic() - began < soon(10)
    return answer


def settings(server):
    return {s["name"]: s["setting"] for s in server["settings"]}


@pytest.mark.sanitize
@pytest.mark.tsan
def test_everything_is_there(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); "
             "INSERT INTO t SELECT i, 'x' FROM generate_series(1, 1000) i; ANALYZE t")
    source = bunny.peer(pair.source, pair.sdb, "shop", password="s3cret word",
                        options={"sslpassword": "s3cret key"})
    body = bunny.mirror_body("m", pair, ["public.t"])
    bunny.api.post("/v1/mirrors", {**body, "source_peer": source})
    bunny.wait_running("m")
    pair.sql("INSERT INTO t VALUES (2000, 'y')")
    pair.assert_equal()
    d = wait_for(lambda: (d := diagnose(bunny))["source"]["slot"][0]["active"] and d, 30,
                 "an active slot in the diagnosis")
    version = bunny.api.get("/health")["version"]
    assert d["program"]["version"] == version and d["program"]["configure"]
    for library in ("libpq", "sqlite", "libsodium", "libmicrohttpd", "jansson", "compiler"):
        assert d["program"][library], d["program"]
    assert d["system"]["processors"] > 0 and d["system"]["kernel"] and d["system"]["name"]
    assert d["process"]["uptime_seconds"] > 0
    assert d["process"]["settings"]["limits"]["memory"] == 256 << 20
    assert d["configuration"]["table_mappings"][0]["source_table"] == "t"
    assert d["status"]["status"] == "running" and d["status"]["tables"]
    for side in ("source", "destination"):
        assert d[side]["is_reachable"] is True and "error" not in d[side]
        assert d[side]["server"]["version"].startswith("PostgreSQL")
        assert d[side]["server"]["encoding"] == "UTF8"
        assert settings(d[side])["server_encoding"] == "UTF8"
        assert settings(d[side])["synchronous_commit"] == "on"
        table = d[side]["tables"][0]
        assert (table["schema"], table["table"], table["exists"]) == ("public", "t", True)
        assert table["table_bytes"] > 0 and table["index_bytes"] > 0
        session = next(s for s in d[side]["sessions"] if s["application_name"] == "bunnydb m")
        assert session["pid"] > 0 and "query" not in session and "wait_event" in session
        errors = {k: v for k, v in d[side].items() if isinstance(v, dict) and v.get("error")}
        assert not errors, errors
    assert settings(d["source"])["wal_level"] == "logical"
    assert settings(d["source"])["wal_sender_timeout"] == "9000"
    assert "max_slot_wal_keep_size" in settings(d["source"])
    assert d["source"]["slot"][0]["slot_name"] == "bunny_slot_m"
    assert d["source"]["slot"][0]["plugin"] == "pgoutput"
    assert d["source"]["publication"][0]["pubname"] == "bunny_pub_m"
    assert [t["tablename"] for t in d["source"]["publication_tables"]] == ["t"]
    assert d["source"]["replication"][0]["application_name"] == "bunnydb m"
    assert d["destination"]["progress"][0]["lsn"]
    assert d["runs"][0]["kind"] == "snapshot" and d["errors"] == []
    workers = {w["name"]: w for w in d["workers"]}
    assert workers["b:m"]["does"].startswith("looks after the mirror: running"), d["workers"]
    assert workers["b:seq m"]["does"] and workers["b:seq m"]["since"], d["workers"]
    assert any(w["peer"] and "slots" in w["does"] for w in d["workers"]), d["workers"]
    assert not any(w["is_stuck"] for w in d["workers"]), d["workers"]
    assert "s3cret" not in json.dumps(d)
    assert bunny.api.raw("GET", "/v1/mirrors/none/diagnostics").status == 404


def test_no_value_of_a_row(pair, bunny):
    """Errors of servers carry values, in DETAIL and in the message; they stay here."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    bunny.mirror("m", pair)
    for check in ("v = 'x'", "v::int > 0"):
        pair.dsql(f"ALTER TABLE t ADD CONSTRAINT c CHECK ({check})")
        pair.sql(f"INSERT INTO t VALUES (1, '{SECRET}')")
        status = bunny.wait_status("m", "error", may_fail=True)
        assert SECRET not in json.dumps(status) + json.dumps(bunny.api.get("/v1/mirrors/m/logs"))
        d = wait_for(lambda: (d := diagnose(bunny))["runs"][0]["state_changes"][-1]["state"] ==
                     "error" and d["errors"] and d, 20, "the error in history and log")
        assert d["status"]["error_message"] and d["status"]["error_sqlstate"] in ("23514", "22P02")
        assert SECRET not in json.dumps(d)
        pair.dsql("ALTER TABLE t DROP CONSTRAINT c")
        bunny.api.post("/v1/mirrors/m/retry")
        bunny.wait_running("m", may_fail=True)
        pair.assert_equal()
        pair.sql("DELETE FROM t")
        pair.assert_equal()


def test_server_that_is_away_or_hangs(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    bunny.mirror("m", pair)
    names = bunny.status("m")
    source, dest = names["source_peer"], names["destination_peer"]
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        bunny.api.put(f"/v1/peers/{source}", {"host": "127.0.0.1", "port": 1})
        bunny.api.put(f"/v1/peers/{dest}", {"host": "127.0.0.1",
                                            "port": silent.getsockname()[1]})
        d = diagnose(bunny)
        assert d["source"]["is_reachable"] is False and "refused" in d["source"]["error"]
        assert d["destination"]["is_reachable"] is False
        assert "did not answer" in d["destination"]["error"], d["destination"]
        assert d["destination"]["peer"]["host"] == "127.0.0.1"
        assert d["status"]["name"] == "m" and d["configuration"]["name"] == "m"
    for peer, cluster in ((source, pair.source), (dest, pair.dest)):
        bunny.api.put(f"/v1/peers/{peer}", {"host": cluster.host, "port": cluster.port})
    bunny.wait_running("m", may_fail=True)


def test_who_blocks(pair, bunny):
    """A lock that holds the apply up is told with its holder, and holds nothing else up."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    bunny.mirror("m", pair)
    with pair.dest.connect(pair.ddb) as other:
        other.execute("SET application_name = 'nightly job'")
        pid = other.execute("SELECT pg_backend_pid()").fetchone()[0]
        other.execute("BEGIN")
        other.execute("LOCK TABLE t")
        pair.sql("INSERT INTO t VALUES (1)")
        blockers = wait_for(lambda: diagnose(bunny)["destination"]["blockers"], 30, "the holder")
        assert (blockers[0]["pid"], blockers[0]["application_name"]) == (pid, "nightly job")
        d = diagnose(bunny)["destination"]
        assert any(not lock["granted"] for lock in d["locks"])
        assert "lock timeout" in d["tables"]["error"] and d["progress"]
        other.execute("ROLLBACK")
    pair.assert_equal()
