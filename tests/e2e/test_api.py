"""Promise: the HTTP contract, on real servers: authentication, errors, peers, mirrors and their
operations, logs, and that an answered request survives a crash."""
import glob
import re

import pytest

from harness.bunny import ADMIN, PASSWORD
from harness.api import Api
from harness.waiting import wait_for

pytestmark = [pytest.mark.sanitize]
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
LSN = re.compile(r"^[0-9A-F]+/[0-9A-F]+$")


def check(answer, status, code=None):
    assert answer.status == status, answer
    if code:
        assert answer.code == code, answer
    if answer.status >= 400:
        assert answer.body["error"], answer
    return answer.body


@pytest.fixture
def simple(pair, bunny):
    """A running mirror of one table named m."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
    bunny.mirror("m", pair)
    return pair, bunny


@pytest.mark.quick
def test_login_tokens_and_roles(bunny):
    api = Api(bunny.api.address)
    health = check(api.raw("GET", "/health"), 200)
    assert health["status"] == "ok" and health["version"]
    for path in ("/v1/peers", "/v1/mirrors", "/v1/auth/me", "/v1/users"):
        check(api.raw("GET", path), 401, "unauthorized")
    check(api.raw("POST", "/v1/auth/login", {"username": ADMIN, "password": "wrong"}), 401,
          "invalid_credentials")
    check(api.raw("POST", "/v1/auth/login", {"username": "nobody", "password": "wrong"}), 401,
          "invalid_credentials")
    login = api.login(ADMIN, PASSWORD)
    assert login["role"] == "admin" and TIME.match(login["expires_at"])
    assert api.get("/v1/auth/me") == {"username": ADMIN, "role": "admin"}
    check(api.raw("POST", "/v1/users", {"username": "vera", "password": "a long password",
                                        "role": "readonly"}), 201)
    check(api.raw("POST", "/v1/users", {"username": "vera", "password": "a long password",
                                        "role": "viewer"}), 409)
    vera = Api(bunny.api.address)
    assert vera.login("vera", "a long password")["role"] == "viewer"
    vera.get("/v1/mirrors")
    check(vera.raw("POST", "/v1/peers", {"name": "x"}), 403, "forbidden")
    check(vera.raw("GET", "/v1/users"), 403, "forbidden")
    check(api.raw("DELETE", f"/v1/users/{ADMIN}"), 400)
    check(api.raw("DELETE", "/v1/users/vera"), 200)
    check(vera.raw("GET", "/v1/mirrors"), 401)
    check(api.raw("POST", "/v1/auth/logout"), 204)
    check(api.raw("GET", "/v1/auth/me"), 401)


def test_change_of_password_ends_other_tokens(bunny):
    one, two = Api(bunny.api.address), Api(bunny.api.address)
    one.login(ADMIN, PASSWORD)
    two.login(ADMIN, PASSWORD)
    body = {"current_password": "wrong", "new_password": "something quite new"}
    assert one.raw("POST", "/v1/auth/change-password", body).status in (400, 401, 403)
    two.get("/v1/auth/me")
    one.post("/v1/auth/change-password", {**body, "current_password": PASSWORD})
    one.get("/v1/auth/me")
    check(two.raw("GET", "/v1/auth/me"), 401)
    check(two.raw("POST", "/v1/auth/login", {"username": ADMIN, "password": PASSWORD}), 401)
    bunny.api.login(ADMIN, "something quite new")


@pytest.mark.quick
def test_errors_of_requests(bunny):
    api = bunny.api
    check(api.raw("GET", "/v1/nothing"), 404, "not_found")
    answer = api.raw("PATCH", "/v1/peers")
    check(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"] and "POST" in answer.headers["allow"]
    check(api.raw("POST", "/v1/peers", data="{not json", headers={
        "Content-Type": "application/json"}), 400)
    assert api.raw("POST", "/v1/peers", data="a=b", headers={
        "Content-Type": "application/x-www-form-urlencoded"}).status == 415
    check(api.raw("POST", "/v1/peers", data=b"[" + b" " * (1 << 20) + b"]"), 413,
          "body_too_large")
    assert "user" in check(api.raw("POST", "/v1/peers", {"name": "a", "host": "h", "database": "d"}),
                           400)["error"]
    check(api.raw("POST", "/v1/peers", {"name": "a", "host": "h", "user": "u", "database": "d",
                                        "colour": 1}), 400, "unknown_field")
    check(api.raw("POST", "/v1/peers", {"name": "a", "host": "h", "user": "u", "database": "d",
                                        "port": 0}), 400)
    check(api.raw("POST", "/v1/mirrors", {"name": "m"}), 400)
    assert api.get("/v1/peers") == []


def test_failed_logins_are_throttled(bunny):
    api = Api(bunny.api.address)
    body = {"username": "mallory", "password": "guess"}

    def throttled():
        answer = api.raw("POST", "/v1/auth/login", body)
        return answer if answer.status == 429 else None
    answer = wait_for(throttled, 60, "an answer 429", every=0)
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.quick
def test_peers(pair, bunny):
    api = bunny.api
    pair.sql("""CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE keyless (a int);
                INSERT INTO t SELECT generate_series(1, 1000); ANALYZE t""")
    body = {"name": "shop", "host": pair.source.host, "port": pair.source.port, "user": "postgres",
            "password": "s3cret word", "database": pair.sdb}
    made = check(api.raw("POST", "/v1/peers", body), 201)
    assert made["name"] == "shop" and made["ssl_mode"] == "prefer"
    check(api.raw("POST", "/v1/peers", body), 409, "peer_exists")
    assert "s3cret" not in str(api.get("/v1/peers")) + str(made)
    assert api.get("/v1/peers/shop")["database"] == pair.sdb
    check(api.raw("GET", "/v1/peers/none"), 404, "peer_not_found")
    assert api.post("/v1/peers/shop/test")["success"] is True
    tables = {t["table_name"]: t for t in api.get("/v1/peers/shop/tables")}
    assert tables["t"]["schema"] == "public"
    assert tables["t"]["can_mirror"] is True and tables["keyless"]["can_mirror"] is False
    assert tables["t"]["estimated_rows"] == 1000
    api.put("/v1/peers/shop", {"port": 1})
    test = api.post("/v1/peers/shop/test")
    assert test["success"] is False and test["error"]
    check(api.raw("POST", "/v1/peers", {**body, "name": "o", "options": {"nonsense": "1"}}), 400)
    check(api.raw("DELETE", "/v1/peers/shop"), 200)
    check(api.raw("DELETE", "/v1/peers/shop"), 404, "peer_not_found")
    with open(bunny.log, encoding="utf-8") as f:
        assert "s3cret" not in f.read()


def test_password_of_a_peer_is_used(pair, bunny):
    pair.source.sql("DROP ROLE IF EXISTS secret")
    pair.source.sql("CREATE ROLE secret LOGIN SUPERUSER PASSWORD 'right one'")
    try:
        name = bunny.peer(pair.source, pair.sdb, "pw", host="127.0.0.1", user="secret",
                          password="wrong")
        assert bunny.api.post(f"/v1/peers/{name}/test")["success"] is False
        bunny.api.put(f"/v1/peers/{name}", {"password": "right one"})
        assert bunny.api.post(f"/v1/peers/{name}/test")["success"] is True
    finally:
        pair.source.sql("DROP ROLE secret")


@pytest.mark.quick
def test_status_object(simple):
    pair, bunny = simple
    pair.sql("INSERT INTO t VALUES (2, 'b')")
    pair.assert_equal()
    status = wait_for(lambda: (s := bunny.status("m"))["slot"]["active"] and
                      s["tables"][0]["rows_inserted"] and s, 30, "a sample of the slot")
    assert status["status"] == "running" and status["phase"]
    assert status["slot"]["name"] == "bunny_slot_m" and status["publication"] == "bunny_pub_m"
    assert status["slot"]["wal_status"] == "reserved" and status["slot"]["xmin_age"] >= 0
    assert LSN.match(status["last_lsn"]) and LSN.match(status["source_lsn"])
    assert TIME.match(status["created_at"]) and TIME.match(status["heartbeat_at"])
    table = status["tables"][0]
    assert table["table_name"] == "public.t"
    assert (table["rows_synced"], table["rows_inserted"]) == (1, 1)
    wait_for(lambda: 0 <= bunny.status("m")["lag_bytes"] < 1 << 20, 30, "a small lag")
    listed = bunny.api.get("/v1/mirrors")
    assert [m["name"] for m in listed] == ["m"] and listed[0]["status"] == "running"
    mappings = bunny.api.get("/v1/mirrors/m/tables")
    assert mappings[0]["source_table"] == "t" and mappings[0]["destination_schema"] == "public"


@pytest.mark.quick
@pytest.mark.tsan
def test_pause_and_resume(simple):
    pair, bunny = simple
    api = bunny.api
    check(api.raw("POST", "/v1/mirrors/m/resume"), 409, "not_paused")
    assert check(api.raw("POST", "/v1/mirrors/m/pause"), 200)["status"] == "paused"
    pair.sql("INSERT INTO t VALUES (2, 'while paused')")
    check(api.raw("POST", "/v1/mirrors/m/pause"), 409, "already_paused")
    assert bunny.status("m")["status"] == "paused"
    assert pair.slots()[0][0] == "bunny_slot_m"
    assert pair.dsql("SELECT count(*) FROM t")[0][0] == 1
    assert check(api.raw("POST", "/v1/mirrors/m/resume"), 200)["status"] == "running"
    assert pair.assert_equal() == 2
    for action in ("pause", "resume", "retry"):
        check(api.raw("POST", f"/v1/mirrors/none/{action}"), 404, "mirror_not_found")


def test_a_paused_mirror_stays_paused_over_a_crash(simple):
    pair, bunny = simple
    bunny.api.post("/v1/mirrors/m/pause")
    bunny.kill()
    pair.sql("INSERT INTO t VALUES (2, 'x')")
    bunny.start()
    assert bunny.status("m")["status"] == "paused"
    assert pair.dsql("SELECT count(*) FROM t")[0][0] == 1
    bunny.api.post("/v1/mirrors/m/resume")
    assert pair.assert_equal() == 2


def test_error_then_retry(simple):
    """A conflict at the destination stops the mirror with the key; nothing is skipped."""
    pair, bunny = simple
    pair.dsql("ALTER TABLE t ADD CHECK (v <> 'bad')")
    pair.sql("INSERT INTO t VALUES (2, 'bad'), (3, 'good')")
    status = bunny.wait_status("m", "error", may_fail=True)
    assert status["error_message"] and status["error_code"]
    assert "23514" in str(status), status
    pair.sql("INSERT INTO t VALUES (4, 'later')")
    assert pair.dsql("SELECT count(*) FROM t")[0][0] == 1
    pair.dsql("ALTER TABLE t DROP CONSTRAINT t_v_check")
    check(bunny.api.raw("POST", "/v1/mirrors/m/retry"), 202)
    bunny.wait_running("m", may_fail=True)
    assert pair.assert_equal() == 4
    errors = bunny.api.get("/v1/mirrors/m/logs?level=ERROR")
    assert errors["total"] >= 1 and errors["logs"][0]["level"] == "ERROR"


def test_logs(simple):
    _, bunny = simple
    page = wait_for(lambda: (p := bunny.api.get("/v1/mirrors/m/logs"))["logs"] and p, 10, "log rows")
    assert page["limit"] == 50 and page["offset"] == 0 and page["total"] >= len(page["logs"])
    ids = [row["id"] for row in page["logs"]]
    assert ids == sorted(ids, reverse=True)
    assert TIME.match(page["logs"][0]["created_at"])
    one = bunny.api.get("/v1/mirrors/m/logs?limit=1&offset=1")
    assert len(one["logs"]) == 1 and one["total"] >= 2
    nothing = bunny.api.get("/v1/mirrors/m/logs?search=no-such-text-anywhere")
    assert nothing["logs"] == [] and nothing["total"] == 0
    assert bunny.api.raw("GET", "/v1/mirrors/m/logs?limit=501").status == 400


def test_runs(simple):
    """The history: the first run with its snapshot, a pause, a failure, and the present one."""
    pair, bunny = simple

    def runs(query=""):
        return bunny.api.get(f"/v1/mirrors/m/runs{query}")

    def changes(run):
        return [(c["state"], c["phase"]) for c in run["state_changes"]]
    present = wait_for(lambda: (r := runs()["runs"][0]) and ("running", "streaming") in changes(r)
                       and r, 30, "the stream in the history")
    assert present["kind"] == "snapshot" and changes(present)[0] == ("initializing", "connecting")
    assert any(state == "snapshotting" for state, _ in changes(present)), changes(present)
    assert present["ending"] is None and present["ended_at"] is None
    assert present["duration_seconds"] >= 0 and TIME.match(present["began_at"])
    assert all(TIME.match(c["at"]) for c in present["state_changes"])
    bunny.api.post("/v1/mirrors/m/pause")
    first = wait_for(lambda: (r := runs()["runs"][0]) and changes(r)[-1] == ("paused", "paused")
                     and r, 10, "the pause in the history")
    assert (first["ending"], first["error"]) == ("stopped", None) and TIME.match(first["ended_at"])
    me = first["ended_by"].removeprefix("pause by ")
    assert me and me != first["ended_by"] and first["begun_by"] is None  # nobody: it was made
    pair.dsql("ALTER TABLE t ADD CHECK (v <> 'bad')")
    pair.sql("INSERT INTO t VALUES (2, 'bad')")
    bunny.api.post("/v1/mirrors/m/resume")
    bunny.wait_status("m", "error", may_fail=True)
    failed = wait_for(lambda: next((r for r in runs()["runs"] if r["ending"] == "failed"), None),
                      10, "the failure in the history")
    assert failed["kind"] == "stream" and "violates check constraint" in failed["error"]
    assert (failed["begun_by"], failed["ended_by"]) == (f"resume by {me}", None)
    state = failed["state_changes"][-1]
    assert state["state"] == "error" and state["text"] == failed["error"]
    pair.dsql("ALTER TABLE t DROP CONSTRAINT t_v_check")
    bunny.api.post("/v1/mirrors/m/retry")
    bunny.wait_running("m", may_fail=True)
    pair.assert_equal()
    retried = next(r for r in runs()["runs"] if r["begun_by"] == f"retry by {me}")
    assert retried["id"] > failed["id"]
    page = runs("?limit=1&offset=1")
    assert len(page["runs"]) == 1 and page["limit"] == 1 and page["total"] >= 3
    ids = [r["id"] for r in runs()["runs"]]
    assert ids == sorted(ids, reverse=True) and page["runs"][0]["id"] == ids[1]
    bunny.kill()
    bunny.start()
    run = next(r for r in runs()["runs"] if r["id"] == ids[0])
    assert (run["ending"], run["duration_seconds"]) == ("interrupted", None)


def test_available_tables(pair, bunny):
    """The source's tables that the mirror does not have, described as those of the peer."""
    pair.sql("""CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE "Ab c" (id int PRIMARY KEY);
                CREATE SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY);
                CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id);
                CREATE TABLE part1 PARTITION OF part DEFAULT""")
    bunny.mirror("m", pair, ["public.t"])
    free = bunny.api.get("/v1/mirrors/m/available-tables")
    all_of_peer = bunny.api.get(f"/v1/peers/{bunny.status('m')['source_peer']}/tables")
    assert free == [t for t in all_of_peer if (t["schema"], t["table_name"]) != ("public", "t")]
    assert [(t["schema"], t["table_name"]) for t in free] == [
        ("public", "Ab c"), ("public", "part"), ("s", "t")]
    check(bunny.api.raw("GET", "/v1/mirrors/none/available-tables"), 404, "mirror_not_found")
    bunny.api.put(f"/v1/peers/{bunny.status('m')['source_peer']}", {"port": 1})
    check(bunny.api.raw("GET", "/v1/mirrors/m/available-tables"), 409, "peer_unreachable")
    bunny.api.put(f"/v1/peers/{bunny.status('m')['source_peer']}", {"port": pair.source.port})


@pytest.mark.quick
def test_refused_mirrors(simple):
    pair, bunny = simple
    body = bunny.mirror_body("n", pair, ["public.t"])
    post = lambda **kw: bunny.api.raw("POST", "/v1/mirrors", {**body, **kw})
    check(post(name="m"), 409, "mirror_exists")
    check(post(name="M"), 409)  # the same slot name
    check(post(name="two words"), 400)
    check(post(name="x" * 51), 400)
    check(post(source_peer="none"), 400, "peer_not_found")
    check(post(table_mappings=[]), 400)
    check(post(table_mappings=[{"source_table": "public.t", "bogus": 1}]), 400)
    check(post(cdc_batch_size=0), 400)
    check(post(resync_strategy="maybe"), 400)
    peer = body["source_peer"]
    answer = bunny.api.raw("DELETE", f"/v1/peers/{peer}")
    assert "m" in check(answer, 409, "peer_in_use")["error"]


@pytest.mark.quick
def test_delete_leaves_the_tables_and_nothing_else(simple):
    pair, bunny = simple
    check(bunny.api.raw("DELETE", "/v1/mirrors/m"), 200)
    pair.assert_clean()
    assert bunny.api.get("/v1/mirrors") == []
    check(bunny.api.raw("DELETE", "/v1/mirrors/m"), 404, "mirror_not_found")
    assert pair.dsql("SELECT count(*) FROM t")[0][0] == 1
    pair.dsql("TRUNCATE t")
    bunny.mirror("m", pair)
    assert pair.assert_equal() == 1


def test_delete_of_a_paused_mirror(simple):
    pair, bunny = simple
    bunny.api.post("/v1/mirrors/m/pause")
    bunny.api.delete("/v1/mirrors/m")
    pair.assert_clean()


def test_delete_while_the_snapshot_runs(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, repeat('x', 500) "
             "FROM generate_series(1, 200000) i")
    bunny.create_mirror("m", pair)
    wait_for(lambda: pair.slots(), 30, "the slot", 0.01)
    bunny.api.delete("/v1/mirrors/m")
    pair.assert_clean()


@pytest.mark.parametrize("force", [False, True])
def test_delete_while_the_source_is_down(root, dest, force):
    """Nothing is forgotten until slot and publication are gone, except by force."""
    from conftest import _finish
    from harness.bunny import Bunny
    from harness.cluster import Cluster
    from harness.pair import Pair
    cluster = Cluster(root, f"down{force:d}").start()
    pair = Pair(cluster, dest)
    bunny = Bunny(root, f"down{force:d}b").start()
    try:
        pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
        bunny.mirror("m", pair)
        cluster.stop("immediate")
        check(bunny.api.raw("DELETE", "/v1/mirrors/m"), 409, "cleanup_failed")
        assert bunny.api.raw("GET", "/v1/mirrors/m").status == 200
        if force:
            left = check(bunny.api.raw("DELETE", "/v1/mirrors/m?force=true"), 200)
            assert "bunny_slot_m" in str(left)
            assert bunny.api.raw("GET", "/v1/mirrors/m").status == 404
            cluster.start()
            pair.sql("DROP PUBLICATION bunny_pub_m")
            pair.source.sql("SELECT pg_drop_replication_slot('bunny_slot_m')")
        else:
            cluster.start()
            wait_for(lambda: bunny.api.raw("DELETE", "/v1/mirrors/m").status in (200, 404), 60,
                     "the deletion to succeed")
        pair.assert_clean()
        _finish(bunny)
    finally:
        bunny.remove()
        if cluster.process is None:
            cluster.start()
        pair.drop()
        cluster.stop("immediate")


@pytest.mark.quick
def test_what_was_answered_survives_a_crash(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)")
    bunny.create_mirror("m", pair)
    bunny.api.post("/v1/users", {"username": "vera", "password": "a long password",
                                 "role": "viewer"})
    bunny.kill()
    bunny.start()
    assert len(bunny.api.get("/v1/peers")) == 2
    assert {u["username"] for u in bunny.api.get("/v1/users")} == {ADMIN, "vera"}
    bunny.wait_running("m", may_fail=True)
    assert pair.assert_equal() == 100


def test_unix_socket_needs_no_token(bunny):
    sockets = [p for p in glob.glob(f"{bunny.state_dir}/*.sock*")]
    assert len(sockets) == 1, sockets
    api = Api(sockets[0])
    assert api.get("/v1/mirrors") == []
    assert api.get("/v1/auth/me")["role"] == "admin"


def test_stream_only_mirror(pair, bunny):
    """do_initial_snapshot = false: the tables exist, only changes come."""
    for run in (pair.sql, pair.dsql):
        run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    pair.sql("INSERT INTO t VALUES (1, 'before')")
    bunny.mirror("m", pair, do_initial_snapshot=False)
    pair.sql("INSERT INTO t VALUES (2, 'after')")
    pair.wait_confirmed()
    assert pair.dsql("SELECT * FROM t") == [(2, "after")]
