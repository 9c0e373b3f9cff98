"""Promise: what would make a mirror fail is said before anything is made, all of it at once, and a
refused mirror leaves nothing behind on any server."""
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.bunny import Bunny
from harness.cluster import Cluster
from harness.load import pgbench_init
from harness.pair import Pair
from harness.waiting import wait_for

pytestmark = [pytest.mark.sanitize]


def refuse(bunny, body, status=409, code="preflight_failed"):
    """The findings of a mirror that must be refused; and it is not there then."""
    answer = bunny.api.raw("POST", "/v1/mirrors", body)
    assert (answer.status, answer.code) == (status, code), answer
    assert body["name"] not in [m["name"] for m in bunny.api.get("/v1/mirrors")]
    assert bunny.api.raw("GET", f"/v1/mirrors/{body['name']}").status == 404
    return answer.body.get("findings", [])


def errors(findings):
    return [f for f in findings if f["severity"] == "error"]


def about(findings, word):
    """The errors that name word somewhere."""
    found = [f for f in errors(findings) if word.lower() in str(f).lower()]
    assert found, f"no error about {word!r} in {findings}"
    for f in found:
        assert f["title"] and f["remedy"], f
    return found


@pytest.fixture
def replica_level(root, dest):
    """A source that is set to wal_level = replica."""
    from conftest import _finish
    cluster = Cluster(root, f"lvl{Pair.count}", wal_level="replica").start()
    pair = Pair(cluster, dest)
    bunny = Bunny(root, f"lvlb{Pair.count}").start()
    try:
        yield pair, bunny
        _finish(bunny)
        pair.assert_clean()
    finally:
        bunny.remove()
        pair.drop()
        cluster.stop("immediate")


@pytest.mark.quick
def test_all_that_is_wrong_is_said_at_once(replica_level):
    pair, bunny = replica_level
    pair.sql("""CREATE TABLE keyless (a int); CREATE TABLE other_keyless (a int);
                CREATE TABLE fine (id int PRIMARY KEY);
                CREATE ROLE limited LOGIN""")
    pair.dsql("CREATE TABLE fine (id int PRIMARY KEY); INSERT INTO fine VALUES (1)")
    bunny.peer(pair.source, pair.sdb, "limited", user="limited")
    body = bunny.mirror_body("bad", pair, ["public.*"])
    body["source_peer"] = "limited"
    findings = refuse(bunny, body)
    about(findings, "wal_level")
    about(findings, "replication")
    about(findings, "keyless")
    about(findings, "other_keyless")
    about(findings, "fine")
    assert pair.dsql("SELECT count(*) FROM fine")[0][0] == 1
    assert pair.dsql("SELECT to_regclass('public.keyless'), to_regnamespace('_bunnydb')") == [
        (None, None)]
    # once it is put right, the same mirror is made
    pair.source.sql("ALTER SYSTEM SET wal_level = 'logical'")
    pair.source.restart("fast")
    pair.sql("ALTER TABLE keyless REPLICA IDENTITY FULL; ALTER TABLE other_keyless ADD PRIMARY KEY "
             "(a)")
    pair.dsql("DELETE FROM fine")
    bunny.mirror("good", pair)
    pair.sql("INSERT INTO fine VALUES (1); INSERT INTO keyless VALUES (1); DELETE FROM keyless")
    pair.assert_equal()


def test_role_without_rights_on_the_tables(pair, bunny):
    pair.sql("""DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN REPLICATION;
                CREATE TABLE t (id int PRIMARY KEY)""")
    try:
        bunny.peer(pair.source, pair.sdb, "stranger", user="stranger")
        body = bunny.mirror_body("bad", pair, ["public.t"])
        body["source_peer"] = "stranger"
        about(refuse(bunny, body), "public.t")
    finally:
        pair.sql("DROP ROLE stranger")


def test_destination_role_that_may_not_create(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    pair.dsql("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN")
    try:
        bunny.peer(pair.dest, pair.ddb, "guest", user="guest")
        body = bunny.mirror_body("bad", pair, ["public.t"])
        body["destination_peer"] = "guest"
        about(refuse(bunny, body), "create")
    finally:
        pair.dsql("DROP ROLE guest")


@pytest.mark.quick
def test_tables_that_do_not_exist_or_are_not_empty(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)")
    pair.dsql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (5)")
    about(refuse(bunny, bunny.mirror_body("bad", pair, ["public.t", "public.u"])), "public.t")
    answer = bunny.api.raw("POST", "/v1/mirrors", bunny.mirror_body(
        "bad", pair, ["public.u", "public.nope", "public.neither"]))
    assert 400 <= answer.status < 500
    assert "nope" in str(answer.body) and "neither" in str(answer.body), answer.body
    assert pair.dsql("SELECT * FROM t") == [(5,)]


def test_unreachable_servers(pair, bunny):
    bunny.peer(pair.source, pair.sdb, "nowhere", port=1)
    pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    for field in ("source_peer", "destination_peer"):
        body = bunny.mirror_body("bad", pair, ["public.t"])
        body[field] = "nowhere"
        refuse(bunny, body, code="peer_unreachable")
    test = bunny.api.post("/v1/peers/nowhere/test")
    assert test["success"] is False and test["error"]


def test_no_free_slot(root, dest):
    from conftest import _finish
    cluster = Cluster(root, "few", max_replication_slots=1).start()
    pair = Pair(cluster, dest)
    bunny = Bunny(root, "fewb").start()
    try:
        pgbench_init(cluster, pair.sdb)
        cluster.sql("SELECT pg_create_physical_replication_slot('taken')")
        about(refuse(bunny, bunny.mirror_body("bad", pair, ["public.*"])), "max_replication_slots")
        cluster.sql("SELECT pg_drop_replication_slot('taken')")
        bunny.mirror("good", pair)
        pair.assert_equal()
        _finish(bunny)
        pair.assert_clean()
    finally:
        bunny.remove()
        pair.drop()
        cluster.stop("immediate")


def test_name_of_slot_or_publication_is_taken(pair, bunny):
    """Both belong to somebody else: they stay as they are."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    pair.source.sql("SELECT 1")
    pair.sql("SELECT pg_create_logical_replication_slot('bunny_slot_bad', 'test_decoding')")
    pair.sql("CREATE PUBLICATION bunny_pub_bad FOR TABLE t")
    try:
        findings = refuse(bunny, bunny.mirror_body("bad", pair, ["public.t"]))
        about(findings, "bunny_slot_bad")
        about(findings, "bunny_pub_bad")
        assert [s[0] for s in pair.slots()] == ["bunny_slot_bad"]
    finally:
        pair.sql("SELECT pg_drop_replication_slot('bunny_slot_bad')")
        pair.sql("DROP PUBLICATION bunny_pub_bad")


def test_peer_test_tells_version_and_findings(replica_level):
    pair, bunny = replica_level
    name = bunny.peer(pair.source, pair.sdb)
    answer = bunny.api.post(f"/v1/peers/{name}/test")
    assert answer["success"] is True
    assert answer["version"].split(".")[0] == str(pair.src.info.server_version // 10000)
    assert "wal_level" in str(answer)


def test_a_mirror_onto_itself(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    body = bunny.mirror_body("self", pair, ["public.t"])
    body["destination_peer"] = body["source_peer"]
    answer = bunny.api.raw("POST", "/v1/mirrors", body)
    assert answer.status in (400, 409), answer
    wait_for(lambda: pair.sql("SELECT count(*) FROM t")[0][0] == 1, 5, "the row to be there still")


def test_a_mirror_the_other_way_round(pair, bunny):
    """Each change would come back, for ever."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    bunny.mirror("m", pair)
    body = {"name": "back", "source_peer": bunny.peer(pair.dest, pair.ddb), "destination_peer":
            bunny.peer(pair.source, pair.sdb), "table_mappings": [{"source_table": "public.t"}],
            "do_initial_snapshot": False}
    answer = bunny.api.raw("POST", "/v1/mirrors", body)
    assert answer.status == 409, answer
    finding, = [f for f in answer.body["findings"] if f["code"] == "mirrored_back"]
    assert "by mirror m" in str(finding["items"]), finding
    pair.assert_equal()


def test_names_that_no_mapping_can_hold(make_pair, bunny):
    """A table "*" is not taken for all tables, and no name is cut off."""
    pair = make_pair(extra="ENCODING 'LATIN1' LOCALE 'C'")
    pair.src.execute("SET client_encoding = 'UTF8'")
    pair.sql(f"""CREATE TABLE "*" (id int PRIMARY KEY); CREATE TABLE "{'é' * 40}" (id int PRIMARY KEY);
                 CREATE TABLE fine (id int PRIMARY KEY)""")
    answer = bunny.api.raw("POST", "/v1/mirrors", bunny.mirror_body("m", pair, ["public.*"]))
    assert answer.status == 409 and 'public."*": ' in answer.body["error"], answer
    assert "é: the name is longer than 63 bytes" in answer.body["error"], answer


def test_a_name_that_changes_while_it_is_read(pair, bunny):
    """The catalog has told the sequence's name of before, by which it is then asked for."""
    pair.sql("CREATE TABLE t (id serial PRIMARY KEY); INSERT INTO t DEFAULT VALUES")
    oid = pair.sql("SELECT 't_id_seq'::regclass::oid")[0]
    with pair.source.connect(pair.sdb) as other, ThreadPoolExecutor() as pool:
        with other.transaction():
            other.execute("ALTER SEQUENCE t_id_seq RENAME TO another_name")
            answer = pool.submit(bunny.mirror, "m", pair)
            wait_for(lambda: pair.sql("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s", oid),
                     30, "somebody who waits for the sequence")
        answer.result()
    pair.assert_equal()
    assert pair.dsql("SELECT relname::text FROM pg_class WHERE relkind = 'S'") == [("another_name",)]
