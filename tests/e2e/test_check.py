"""Promise: bunnydb check says of a whole database, before any mirror is made, what can be mirrored,
what not and why, with the statement that helps; it changes nothing; and the mirror that it names
can be made."""
import json
import re
import shlex
import time

import pytest

from harness.waiting import wait_for

TROUBLES = """
CREATE TABLE fine (id int PRIMARY KEY, v text);
CREATE TABLE keyless (a int);
CREATE TABLE unique_only (a int NOT NULL, b int NOT NULL, UNIQUE (a, b));
CREATE TABLE nothing (a int PRIMARY KEY);
ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE late (a int PRIMARY KEY DEFERRABLE);
CREATE UNLOGGED TABLE fast (a int PRIMARY KEY);
CREATE TABLE parts (k int PRIMARY KEY) PARTITION BY RANGE (k);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (1) TO (10);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
CREATE TABLE gen (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, c int,
                  b int GENERATED ALWAYS AS (a * 2) STORED);
CREATE STATISTICS pairs ON a, c FROM gen;
CREATE TABLE booking (id int PRIMARY KEY, r int4range, EXCLUDE USING gist (r WITH &&));
CREATE TABLE whole (a int PRIMARY KEY);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE reg (id int PRIMARY KEY, c regclass);
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE watched (id int PRIMARY KEY);
CREATE TRIGGER watch BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION noted();
CREATE RULE quiet AS ON DELETE TO watched DO ALSO NOTHING;
CREATE POLICY mine ON watched USING (true);
CREATE TABLE big (id int PRIMARY KEY, v text) WITH (autovacuum_enabled = off);
ALTER TABLE big ALTER v SET STORAGE PLAIN;
INSERT INTO big SELECT g, repeat('x', 7000) FROM generate_series(1, 8300) g;
CREATE VIEW seen AS SELECT 1 AS one;
CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one;
CREATE SEQUENCE lone START 7;
CREATE EXTENSION postgres_fdw;
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
CREATE FOREIGN TABLE outside (k int) SERVER far;
CREATE TABLE mixed (k int) PARTITION BY RANGE (k);
CREATE FOREIGN TABLE mixed_far PARTITION OF mixed FOR VALUES FROM (1) TO (2) SERVER far;
CREATE FUNCTION half(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 / 2';
CREATE TABLE halves (k int) PARTITION BY LIST (half(k));
CREATE FUNCTION hash(int, int8) RETURNS int8 IMMUTABLE LANGUAGE sql AS 'SELECT $1 + $2';
CREATE OPERATOR CLASS ops FOR TYPE int4 USING hash AS OPERATOR 1 =, FUNCTION 2 hash(int, int8);
CREATE TABLE hashed (k int) PARTITION BY HASH (k ops);
CREATE EVENT TRIGGER ddl ON ddl_command_end EXECUTE FUNCTION ddl();
CREATE SCHEMA "Odd.One";
CREATE TABLE "Odd.One"."a ""q's" (id int PRIMARY KEY);
INSERT INTO "Odd.One"."a ""q's" VALUES (4);
CREATE TABLE "Odd.One"."*" (a int);
CREATE EXTENSION hstore;
CREATE TABLE of_extension (id int PRIMARY KEY);
ALTER EXTENSION hstore ADD TABLE of_extension;
INSERT INTO of_extension VALUES (1);
SELECT lo_create(0);
"""


def peers(bunny, pair):
    return bunny.peer(pair.source, pair.sdb), bunny.peer(pair.dest, pair.ddb)


def check(bunny, source, destination=None):
    body = {"destination": destination} if destination else None
    return bunny.api.post(f"/v1/peers/{source}/check", body)


def find(report, code):
    """The only finding with that code."""
    found = [f for f in report["findings"] if f["code"] == code]
    assert len(found) == 1, (code, [f["code"] for f in report["findings"]])
    assert found[0]["title"] and (found[0]["remedy"] or found[0]["severity"] == "info"), found
    return found[0]


def statements(report, code):
    return [i["statement"] for i in find(report, code)["items"] if i["statement"]]


def names(report, code):
    return [i["name"] for i in find(report, code)["items"]]


def verdicts(report):
    return {t["table_name"]: t["verdict"] for t in report["tables"]}


def everything(pair):
    """All that a check could change."""
    queries = ("SELECT oid, relname, relfilenode, relreplident, CASE WHEN oid >= 16384 THEN reltuples "
               "END FROM pg_class ORDER BY 1",
               "SELECT * FROM pg_publication", "SELECT * FROM pg_namespace ORDER BY oid",
               "SELECT slot_name FROM pg_replication_slots")
    return [(pair.sql(q), pair.dsql(q)) for q in queries]


@pytest.mark.long
@pytest.mark.sanitize
def test_a_database_with_one_of_each_trouble(pair, bunny):
    pair.sql("CREATE FUNCTION ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
    pair.sql(TROUBLES)
    source, dest = peers(bunny, pair)
    before = everything(pair)
    report = check(bunny, source, dest)
    assert everything(pair) == before
    assert statements(report, "no_replica_identity") == [
        'ALTER TABLE "Odd.One"."*" REPLICA IDENTITY FULL;',
        "ALTER TABLE public.keyless REPLICA IDENTITY FULL;",
        "ALTER TABLE public.late REPLICA IDENTITY FULL;",
        "ALTER TABLE public.nothing REPLICA IDENTITY DEFAULT;",
        "ALTER TABLE public.unique_only REPLICA IDENTITY USING INDEX unique_only_a_b_key;"]
    assert statements(report, "unlogged_table") == ["ALTER TABLE public.fast SET LOGGED;"]
    assert statements(report, "never_analysed") == ["ANALYZE public.big;"]
    assert statements(report, "replica_identity_full") == [
        "ALTER TABLE public.whole REPLICA IDENTITY DEFAULT;"]
    assert statements(report, "sequences_not_mirrored")[0].startswith("CREATE SEQUENCE public.lone")
    for code, name in (("deferrable_key", "public.late"), ("partitioned", "public.parts"),
                       ("inheritance", "public.parent"), ("generated_columns", "public.gen"),
                       ("identity_by_default", "public.gen"), ("reg_columns", "public.reg"),
                       ("exclusion_constraint", "public.booking"),
                       ("triggers_not_mirrored", "public.watched"),
                       ("rules_not_mirrored", "public.watched"),
                       ("policies_not_mirrored", "public.watched"),
                       ("foreign_partition", "public.mixed_far"),
                       ("foreign_tables_not_mirrored", "public.outside"),
                       ("other_objects", "foreign servers"), ("extensions", "hstore"),
                       ("views_not_mirrored", "public.seen"),
                       ("materialized_views_not_mirrored", "public.kept"),
                       ("event_triggers_not_mirrored", "ddl"),
                       ("extension_tables", "public.of_extension"),
                       ("large_objects", "pg_largeobject"),
                       ("sequences_follow", "public.gen_id_seq")):
        assert name in names(report, code), code
    assert "public.noted()" in names(report, "functions_not_mirrored")
    assert names(report, "partition_key_missing") == [
        "operator class public.ops for access method hash", "public.half(integer)"]
    order = ["error", "warning", "info"]
    severities = [order.index(f["severity"]) for f in report["findings"]]
    assert severities == sorted(severities)

    wanted = {name: "impossible" for name in (
        "keyless", "late", "nothing", "unique_only", "fast", "mixed", "*", "halves", "hashed")}
    wanted.update({name: "mirrored" for name in ("fine", "child", 'a "q\'s')})
    got = verdicts(report)
    assert {name: got[name] for name in wanted} == wanted
    assert "of_extension" not in got and "parts1" not in got
    assert all(v == "remarks" for name, v in got.items() if name not in wanted)
    summary = report["summary"]
    assert (summary["tables"], summary["mirrored"], summary["remarks"], summary["impossible"]) == (
        len(got), 3, len(got) - 12, 9)
    assert summary["ready"] is False and summary["estimated_bytes"] > 8300 * 7000

    # what it says can be mirrored, can be
    bunny.api.post("/v1/mirrors", {"name": "m", **report["mirror"]})
    bunny.wait_running("m")
    pair.sql("INSERT INTO fine VALUES (1, 'one'); INSERT INTO gen (a) VALUES (1);"
             "INSERT INTO parts VALUES (3); INSERT INTO booking VALUES (1, '[1,2]')")
    assert pair.assert_equal(tables=[(t["schema"], t["table_name"]) for t in report["tables"]
                                     if t["can_mirror"]]) > 8300
    bunny.delete_all()
    pair.dsql("DROP SCHEMA public, \"Odd.One\" CASCADE; CREATE SCHEMA public")

    # what it says helps, helps
    for code in ("no_replica_identity", "unlogged_table", "never_analysed"):
        for statement in statements(report, code):
            pair.sql(statement)
    pair.sql("DROP TABLE mixed")
    for statement in statements(report, "partition_key_missing"):
        pair.dsql(statement)
    pair.dsql(TROUBLES[TROUBLES.index("CREATE FUNCTION hash"):TROUBLES.index("CREATE TABLE hashed")])
    report = check(bunny, source, dest)
    assert report["summary"]["impossible"] == 0 and report["summary"]["ready"] is True
    assert report["mirror"]["table_mappings"] == [
        {"source_table": '"Odd.One".*'}, {"source_table": "public.*"}]
    assert "never_analysed" not in [f["code"] for f in report["findings"]]


@pytest.mark.quick
@pytest.mark.sanitize
def test_the_command_that_it_prints_makes_the_mirror(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);"
             "CREATE TABLE bad (a int); CREATE SCHEMA \"Odd.One\";"
             "CREATE TABLE \"Odd.One\".\"a 'q\" (id int PRIMARY KEY);"
             "INSERT INTO \"Odd.One\".\"a 'q\" VALUES (3)")
    source, dest = peers(bunny, pair)
    ended = bunny.cli("check", source, dest, expect=1)
    lines = ended.stdout.splitlines()
    assert "    ALTER TABLE public.bad REPLICA IDENTITY FULL;" in lines
    assert max(len(line) for line in lines if "'" not in line) <= 80, ended.stdout
    assert "errors: 1, tables: 1" in ended.stderr
    command = re.sub(r"\\\n", " ", ended.stdout[ended.stdout.index("  bunnydb mirror create"):])
    words = [w if w != "NAME" else "m" for w in shlex.split(command)]
    bunny.cli(*words[1:], "--wait", "60")
    pair.assert_equal(tables=[("public", "t"), ("Odd.One", "a 'q")])
    # and nothing of it is new then: the destination is not empty any more
    report = json.loads(bunny.cli("check", source, dest, "--json", expect=1).stdout)
    assert sorted(names(report, "destination_not_empty")) == ['"Odd.One"."a \'q"', "public.t"]
    assert "TRUNCATE public.t;" in statements(report, "destination_not_empty")
    pair.dsql("TRUNCATE t; ALTER TABLE t DROP id, ADD other int NOT NULL")
    differing = find(check(bunny, source, dest), "schema_mismatch")
    notes = [i["note"] for i in differing["items"] if i["name"] == "public.t"]
    assert "public.t has no column id" in notes and len(notes) == 2, differing
    bunny.cli("check", source, "nobody", expect=1)
    bunny.cli("check", expect=2)
    alone = bunny.cli("check", source, expect=1).stdout
    assert "--destination DESTINATION" in alone


@pytest.mark.quick
def test_a_database_without_any_trouble(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY)")
    source, dest = peers(bunny, pair)
    report = check(bunny, source, dest)
    assert report["findings"] == []
    assert report["summary"]["ready"] is True and report["summary"]["mirrored"] == 2
    assert report["source"]["encoding"] == "UTF8" and report["destination"]["peer"] == dest
    ended = bunny.cli("check", source, dest)
    assert "--table 'public.*'" in ended.stdout and ended.stderr == ""


def test_rights_that_are_missing_are_findings(pair, bunny):
    """Of the user at the source as of the one at the destination; each statement helps."""
    pair.sql("CREATE SCHEMA closed; CREATE TABLE closed.t (id int PRIMARY KEY);"
             "CREATE TABLE own (id int PRIMARY KEY); CREATE TABLE policed (id int PRIMARY KEY);"
             "ALTER TABLE policed ENABLE ROW LEVEL SECURITY; DROP ROLE IF EXISTS \"Lim\";"
             "CREATE ROLE \"Lim\" LOGIN")
    pair.dsql("DROP ROLE IF EXISTS \"Lim\"; CREATE ROLE \"Lim\" LOGIN; CREATE SCHEMA closed;"
              "CREATE TABLE own (id int PRIMARY KEY)")
    try:
        source = bunny.peer(pair.source, pair.sdb, "ls", user="Lim")
        dest = bunny.peer(pair.dest, pair.ddb, "ld", user="Lim")
        report = check(bunny, source, dest)
        assert statements(report, "no_select_right")[0] == (
            'GRANT USAGE ON SCHEMA closed TO "Lim";\nGRANT SELECT ON closed.t TO "Lim";')
        assert 'ALTER TABLE public.own OWNER TO "Lim";' in statements(report, "table_owner")
        assert statements(report, "no_replication_right") == ['ALTER ROLE "Lim" REPLICATION;']
        assert statements(report, "sessions_hidden") == ['GRANT pg_read_all_stats TO "Lim";']
        assert set(statements(report, "no_schema_right")) == {
            'GRANT USAGE, CREATE ON SCHEMA closed TO "Lim";',
            'GRANT USAGE, CREATE ON SCHEMA public TO "Lim";'}
        assert 'GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON public.own TO "Lim";' in \
            statements(report, "no_write_right")
        assert report["summary"]["impossible"] == 3
        for finding in report["findings"]:
            for item in finding.get("items", []):
                if item["statement"] and finding["code"] != "row_security":
                    (pair.sql if finding["about"] == "source" or finding["code"] in (
                        "no_select_right", "table_owner") else pair.dsql)(item["statement"])
        report = check(bunny, source, dest)
        assert report["summary"]["impossible"] == 0, report["findings"]
        assert report["summary"]["ready"] is True
        bunny.api.post("/v1/mirrors", {"name": "m", **report["mirror"]})
        bunny.wait_running("m")
        pair.sql("INSERT INTO own VALUES (1); INSERT INTO closed.t VALUES (2)")
        pair.assert_equal()
        bunny.delete_all()
    finally:
        pair.sql('DROP OWNED BY "Lim"; DROP ROLE "Lim"')
        pair.dsql('DROP OWNED BY "Lim"; DROP ROLE "Lim"')


@pytest.mark.long
def test_what_would_delay_the_slot_is_named(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    source, dest = peers(bunny, pair)
    held, prepared = pair.source.connect(pair.sdb), pair.source.connect(pair.sdb)
    try:
        held.execute("BEGIN; INSERT INTO t VALUES (1); LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        prepared.execute("BEGIN; CREATE TABLE p (); PREPARE TRANSACTION 'it''s'")
        end = f"SELECT pg_terminate_backend({held.info.backend_pid});"

        def is_long():
            report = check(bunny, source)
            assert statements(report, "prepared_transaction") == ["ROLLBACK PREPARED 'it''s';"]
            assert statements(report, "table_locked") == [end]
            assert end in statements(report, "long_transaction")
            return True
        wait_for(is_long, 60, "the transaction to be a long one")
        # definitions cannot be read beside that lock; all the rest is said, and soon
        pair.dsql("CREATE TABLE other (id int)")
        began = time.monotonic()
        report = check(bunny, source, dest)
        assert time.monotonic() - began < 20
        assert names(report, "no_answer") == ["definitions"]
        assert report["summary"]["ready"] is False and statements(report, "table_locked") == [end]
    finally:
        prepared.execute("ROLLBACK PREPARED 'it''s'")
        prepared.close()
        held.execute("ROLLBACK")
        held.close()


def test_servers_that_do_not_answer(pair, bunny):
    """Without the source there is nothing to say; without the destination all the rest."""
    pair.sql("CREATE TABLE t (a int)")
    source, dest = peers(bunny, pair)
    bunny.peer(pair.source, pair.sdb, "nowhere", port=1)
    answer = bunny.api.raw("POST", "/v1/peers/nowhere/check", {})
    assert (answer.status, answer.code) == (409, "peer_unreachable")
    report = check(bunny, source, "nowhere")
    assert find(report, "destination_unreachable")["severity"] == "error"
    assert names(report, "no_replica_identity") == ["public.t"]
    assert report["summary"]["ready"] is False
    assert check(bunny, source)["destination"] is None
    bunny.cli("check", "nowhere", dest, expect=1)
    bunny.stop()
    bunny.cli("check", source, dest, expect=3)
    bunny.start()


def test_a_lock_or_a_refusal_does_not_hide_the_rest(pair, bunny):
    """A function of the catalog that the user may not call costs its own finding only."""
    pair.sql("CREATE TABLE t (a int); DROP ROLE IF EXISTS lim; CREATE ROLE lim LOGIN SUPERUSER")
    source = bunny.peer(pair.source, pair.sdb, "ls", user="lim")
    try:
        pair.sql("ALTER ROLE lim NOSUPERUSER REPLICATION;"
                 "REVOKE SELECT ON pg_catalog.pg_trigger FROM PUBLIC")
        report = check(bunny, source)
        refused = find(report, "no_answer")
        assert [i["name"] for i in refused["items"]] == ["triggers are not mirrored"]
        assert "pg_trigger" in refused["items"][0]["note"]
        assert names(report, "table_owner") == ["public.t"]
    finally:
        pair.sql("GRANT SELECT ON pg_catalog.pg_trigger TO PUBLIC; DROP ROLE lim")


def test_what_the_destination_lacks(pair, bunny):
    """Extensions, collations, types and functions; and what is not lacking is not said."""
    pair.sql("""CREATE EXTENSION hstore; CREATE EXTENSION pg_trgm; CREATE EXTENSION btree_gist;
        CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE
            AS E'SELECT $1 * 2 WHERE true\\n\\tAND true';
        CREATE FUNCTION last(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN $1 + 1;
        CREATE FUNCTION called(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN last($1);
        CREATE FUNCTION above(int) RETURNS int LANGUAGE sql AS 'SELECT public.called($1)';
        CREATE TABLE g (id int PRIMARY KEY, d int DEFAULT above(1), e int DEFAULT called(2));
        CREATE TYPE pairing AS (h hstore, i int); CREATE DOMAIN even AS int CHECK (twice(VALUE) > 1);
        CREATE TABLE h (id int PRIMARY KEY, h pairing[]);
        CREATE TABLE w (id int PRIMARY KEY, v text); CREATE INDEX ON w USING gin (v gin_trgm_ops);
        CREATE TABLE f (id int PRIMARY KEY, d int DEFAULT twice(3), e even);
        CREATE INDEX fi ON f (twice(id));
        CREATE TABLE c (id int PRIMARY KEY, v text COLLATE "de-x-icu");
        CREATE MATERIALIZED VIEW m AS SELECT 1 AS one; CREATE TABLE r (id int PRIMARY KEY, m m);
        CREATE TABLE b (id int PRIMARY KEY, EXCLUDE USING gist (id WITH =));
        CREATE TABLE bad (id int UNIQUE); CREATE TABLE k (id int PRIMARY KEY REFERENCES bad (id))""")
    pair.dsql("DELETE FROM pg_collation WHERE collname = 'de-x-icu'; DROP ROLE IF EXISTS lim;"
              "CREATE ROLE lim LOGIN")
    try:
        source, dest = peers(bunny, pair)
        report = check(bunny, source, dest)
        assert statements(report, "collation_missing") == [
            "SELECT pg_import_system_collations('pg_catalog');"]
        assert names(report, "type_missing") == ["public.m"]
        assert names(report, "function_missing") == [
            f"public.{f}(integer)" for f in ("above", "last", "twice", "called")]
        assert names(report, "foreign_key_left_out") == ["k_id_fkey of public.k"]
        codes = [f["code"] for f in report["findings"]]
        assert "extension_missing" not in codes  # the mirror makes them
        got = verdicts(report)
        assert {t for t, v in got.items() if v == "impossible"} == {"c", "r", "bad"}
        assert got["h"] == got["w"] == "mirrored" and got["f"] == got["k"] == "remarks"
        note = find(report, "function_missing")["items"][2]["note"]
        for what in ("default of public.f.d", "index public.fi", "domain public.even"):
            assert what in note
        pair.dsql("SELECT pg_import_system_collations('pg_catalog')")
        # pasted from the terminal, it is the same function: no indent, and tabs stay
        printed = bunny.cli("check", source, dest, expect=1).stdout
        body = statements(report, "function_missing")[2]
        assert "\n\tAND" in body and f"\n{body}\n" in printed
        for statement in statements(report, "function_missing"):  # in the order that they have
            pair.dsql(statement)
        assert pair.dsql("SHOW check_function_bodies") == [("on",)]
        assert pair.dsql("SELECT above(1), called(2), twice(3)") == [(2, 3, 6)]
        pair.dsql("CREATE TABLE m (one int)")
        report = check(bunny, source, dest)
        assert {t for t, v in verdicts(report).items() if v == "impossible"} == {"bad"}
        assert "function_missing" not in [f["code"] for f in report["findings"]]

        # a user who may make no extension, and one whose package is not there
        report = check(bunny, source, bunny.peer(pair.dest, pair.ddb, "lim", user="lim"))
        assert statements(report, "extension_missing") == [
            "CREATE EXTENSION hstore WITH SCHEMA public CASCADE;"]
        assert set(names(report, "extension_missing_for_parts")) == {"btree_gist", "pg_trgm"}
        assert verdicts(report)["h"] == "impossible"
        pair.sql("UPDATE pg_extension SET extname = 'nowhere' WHERE extname = 'hstore'")
        report = check(bunny, source, dest)
        missing = find(report, "extension_missing")
        assert missing["severity"] == "error" and missing["items"][0]["name"] == "nowhere"
        assert "package" in missing["items"][0]["note"]
        # the preflight of a mirror says the same
        answer = bunny.api.raw("POST", "/v1/mirrors", bunny.mirror_body("m", pair, ["public.h"]))
        assert answer.status == 409
        assert [f["code"] for f in answer.body["findings"]] == ["extension_missing"], answer.body
    finally:
        pair.dsql("DROP ROLE lim")


def test_encodings_and_sort_order(make_pair, root, dest):
    from conftest import _finish
    from harness.bunny import Bunny
    utf8, latin = make_pair(), make_pair(extra="ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    ascii_ = make_pair(extra="ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    bunny = Bunny(root, "enc").start()
    try:
        def codes(a, b):
            report = check(bunny, bunny.peer(a.source, a.sdb), bunny.peer(b.source, b.sdb))
            return {f["code"]: f["title"] for f in report["findings"]}
        assert "does not have every character" in codes(utf8, latin)["encoding"]
        assert "encoding" not in codes(latin, utf8) and "sort_order" in codes(latin, utf8)
        assert "depends_on_sort_order" not in codes(latin, utf8)
        latin.sql("CREATE TABLE shout (id int PRIMARY KEY, v text UNIQUE, n int, c text COLLATE \"C\","
                  " up text GENERATED ALWAYS AS (upper(v)) STORED,"
                  " twice int GENERATED ALWAYS AS (n * 2) STORED,"
                  " upc text GENERATED ALWAYS AS (upper(c)) STORED);"
                  "CREATE UNIQUE INDEX low ON shout (lower(v)); CREATE INDEX plain ON shout (v);"
                  "CREATE TABLE ranged (v text) PARTITION BY RANGE (v);"
                  "CREATE TABLE ranged1 PARTITION OF ranged FOR VALUES FROM ('a') TO ('b');"
                  "CREATE TABLE listed (v text) PARTITION BY LIST (v)")
        report = check(bunny, bunny.peer(latin.source, latin.sdb),
                       bunny.peer(utf8.source, utf8.sdb))
        assert sorted(names(report, "depends_on_sort_order")) == \
            ["low", "public.ranged", "public.shout.up"], find(report, "depends_on_sort_order")
        assert verdicts(report)["shout"] == "remarks"
        assert "depends_on_sort_order" not in codes(latin, latin)
        assert "no encoding" in codes(ascii_, utf8)["encoding"]
        assert "no encoding" in codes(utf8, ascii_)["encoding"]
        assert "encoding" not in codes(ascii_, ascii_)
        _finish(bunny)
    finally:
        bunny.remove()


def _without_pgoutput(pair, bunny):
    """Later minor releases have a list of the output plugins that slots may be made with."""
    if not pair.sql("SELECT FROM pg_settings WHERE name = 'output_plugin_libraries'"):
        return
    pair.sql(f"ALTER DATABASE {pair.sdb} SET output_plugin_libraries = test_decoding, other")
    with pytest.raises(Exception, match="output plugin pgoutput"):
        bunny.mirror("none", pair)
    report = check(bunny, bunny.peer(pair.source, pair.sdb))
    assert statements(report, "output_plugin") == [
        "ALTER SYSTEM SET output_plugin_libraries = 'pgoutput', 'test_decoding', 'other'; "
        "SELECT pg_reload_conf();"]
    assert report["summary"]["ready"] is False
    pair.sql(f"ALTER DATABASE {pair.sdb} RESET output_plugin_libraries")


def test_slots_that_nobody_reads(root, dest):
    """One that keeps WAL, and room for one more only; and a timeout that is off."""
    from conftest import _finish
    from harness.bunny import Bunny
    from harness.cluster import Cluster
    from harness.pair import Pair
    cluster = Cluster(root, "chk", max_replication_slots=2, wal_sender_timeout="0",
                      max_wal_size="200MB").start()
    pair, bunny = Pair(cluster, dest), Bunny(root, "chkb").start()
    try:
        pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
        pair.sql("SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')")
        for _ in range(5):  # a segment of 16 MB each
            pair.sql("INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t")
            cluster.sql("SELECT pg_switch_wal()")
        report = check(bunny, bunny.peer(cluster, pair.sdb))
        assert statements(report, "slot_holds_wal") == [
            "SELECT pg_drop_replication_slot('forgotten');"]
        assert statements(report, "second_slot") == [
            "ALTER SYSTEM SET max_replication_slots = 7;"]
        assert "wal_sender_timeout = 0" in names(report, "wal_sender_timeout")
        assert report["source"]["used_replication_slots"] == 1
        assert report["summary"]["ready"] is True
        pair.sql(statements(report, "slot_holds_wal")[0])
        # that of a paused mirror is none to be dropped
        bunny.mirror("m", pair)
        bunny.cli("pause", "m", "--wait")
        for _ in range(5):
            pair.sql("INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t")
            cluster.sql("SELECT pg_switch_wal()")
        kept = find(check(bunny, bunny.peer(cluster, pair.sdb)), "slot_holds_wal")
        assert "of mirror m" in kept["items"][0]["note"] and not kept["items"][0]["statement"]
        bunny.delete_all()
        report = check(bunny, bunny.peer(cluster, pair.sdb))
        assert "slot_holds_wal" not in [f["code"] for f in report["findings"]]
        _without_pgoutput(pair, bunny)
        _finish(bunny)
    finally:
        bunny.remove()
        pair.drop()
        cluster.stop("immediate")
