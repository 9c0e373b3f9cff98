"""Promise: a character is the same on both sides whatever their encodings; one that a side cannot hold
is an error that names the table, and nothing is left out."""
import pytest

from harness.waiting import wait_for

pytestmark = [pytest.mark.sanitize]

MAKE = """CREATE TYPE "e{w}" AS ENUM ('{w}', '{w}2'); CREATE SCHEMA "s{w}"; SET search_path = "s{w}", public;
CREATE TABLE "t{w}" ("c{w}" int PRIMARY KEY, "v{w}" text DEFAULT '{w}', e "e{w}", a text[], j jsonb,
    js json, x xml, n name, c char(5), vc varchar(5), b bytea, ts tsvector, h "char");
COMMENT ON TABLE "t{w}" IS '{w}';
CREATE TABLE f (t text, n name); ALTER TABLE f REPLICA IDENTITY FULL;
CREATE TABLE k (t text PRIMARY KEY, n int);
INSERT INTO "t{w}" VALUES (1, '{w}', '{w}', '{{{w},NULL}}', '{{"{w}":"{w}"}}', '{{"{w}":"{w}"}}',
    '<a b="{w}">{w}</a>', '{w}', '{w}', '{w}', convert_to('{w}', 'UTF8'), '{w}:1', 'a');
INSERT INTO f VALUES ('{w}', '{w}'), ('{w}', '{w}'); INSERT INTO k VALUES ('{w}', 1)"""

CHANGE = """INSERT INTO "t{w}" ("c{w}", a, e) SELECT 2, a || '{w}'::text, '{w}2' FROM "t{w}";
UPDATE "t{w}" SET js = '"{w}"' WHERE "c{w}" = 1; UPDATE f SET t = t || '{w}';
DELETE FROM f WHERE ctid = (SELECT max(ctid) FROM f); INSERT INTO f VALUES ('{w}{w}', '{w}');
UPDATE k SET n = 2; UPDATE k SET t = t || '!'; INSERT INTO k VALUES ('{w}', 3);
DELETE FROM k WHERE t = '{w}!'"""


@pytest.fixture
def bunny(root):
    """Beside pairs that the test makes."""
    from conftest import _finish
    from harness.bunny import Bunny
    b = Bunny(root, "encodings").start()
    yield b
    _finish(b)
    b.remove()


@pytest.fixture
def encoded(make_pair, dest):
    """A pair of databases in these encodings, whose sessions speak UTF-8."""
    def make(source_encoding, dest_encoding):
        p = make_pair(extra=f"ENCODING '{source_encoding}' LOCALE 'C'", create_dest=False)
        dest.create_db(p.ddb, f"ENCODING '{dest_encoding}' LOCALE 'C'")
        for c in (p.src, p.dst):
            c.execute("SET client_encoding = 'UTF8'")
        return p
    return make


@pytest.mark.parametrize("there, here, word", [
    ("LATIN1", "UTF8", "ÿé£"), ("LATIN9", "UTF8", "€œŠ"), ("WIN1251", "UTF8", "Вет№"),
    ("EUC_JP", "UTF8", "日本語"), ("UTF8", "LATIN1", "ÿé£"), ("LATIN9", "WIN1252", "€œŠ")])
def test_data_and_names_in_other_encodings(encoded, bunny, there, here, word):
    pair = encoded(there, here)
    pair.sql(MAKE.format(w=word))
    bunny.mirror("m", pair, [f"s{word}.*"])
    tables = [(f"s{word}", t) for t in (f"t{word}", "f", "k")]

    def compare():
        pair.wait_confirmed()
        for schema, table in tables:
            query = f'SELECT x::text FROM "{schema}"."{table}" x ORDER BY 1'
            assert pair.sql(query) == pair.dsql(query)
    compare()
    pair.sql(CHANGE.format(w=word))
    compare()
    assert {t["rows_missing"] for t in bunny.status("m")["tables"]} == {0}


def wait_error(bunny, sqlstate, *words):
    def failed():
        status = bunny.status("m")
        assert status["status"] == "error", status["status"]
        return status
    status = wait_for(failed, 30, "the error")
    assert status["error_sqlstate"] == sqlstate and status["error_hint"], status
    for word in words:
        assert word in status["error_message"], status["error_message"]


@pytest.mark.parametrize("there, here, wrong, sqlstate", [
    ("UTF8", "LATIN1", "'☃'", "22P05"), ("WIN1252", "UTF8", "chr(129)", "22P05"),
    ("SQL_ASCII", "UTF8", "convert_from('\\xe9', 'SQL_ASCII')", "22021")])
def test_what_the_other_side_cannot_hold_is_said(encoded, bunny, there, here, wrong, sqlstate):
    """Nothing of the transaction is skipped; it arrives once the destination can take it."""
    pair = encoded(there, here)
    pair.sql(f"CREATE TABLE \"té\" (id int PRIMARY KEY, v text); CREATE TABLE s (id int, v text);"
             f"INSERT INTO s VALUES (1, {wrong}); ALTER TABLE s REPLICA IDENTITY FULL")
    bunny.create_mirror("m", pair)
    wait_error(bunny, sqlstate, "public.s")
    bunny.api.delete("/v1/mirrors/m")
    pair.dsql("DROP TABLE IF EXISTS s; DROP TABLE IF EXISTS \"té\"")
    bunny.mirror("m", pair, ["public.té"])
    pair.sql(f"BEGIN; INSERT INTO \"té\" VALUES (1, 'ok'), (77, {wrong}); COMMIT")
    # a WAL sender that cannot convert a value says neither table nor row
    wait_error(bunny, sqlstate, *(["té", "(id)=(77)"] if there != "WIN1252" else []))
    assert pair.dsql("SELECT count(*) FROM \"té\"")[0][0] == 0
    pair.sql("INSERT INTO \"té\" VALUES (2, 'é')")


def test_bytes_of_no_encoding(encoded, bunny):
    """SQL_ASCII holds what is no text at all, and another such database gets the same bytes."""
    pair = encoded("SQL_ASCII", "SQL_ASCII")
    for c in (pair.src, pair.dst):
        c.execute("SET client_encoding = 'SQL_ASCII'")
    every = ("(SELECT convert_from(decode(string_agg(lpad(to_hex(i), 2, '0'), ''), 'hex'), "
             "'SQL_ASCII') FROM generate_series(1, 255) i)")
    rows = (f"INSERT INTO t SELECT %d, {every}, ARRAY[{every}]; INSERT INTO f VALUES "
            f"({every}, '1'), (convert_from('\\xe9', 'SQL_ASCII'), '2')")
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text, e text[]); "
             "CREATE TABLE f (v text, j json); ALTER TABLE f REPLICA IDENTITY FULL")
    pair.src.execute(b'CREATE TABLE "t\xe9" ("\xff" int PRIMARY KEY)')
    pair.sql(rows % 1)
    bunny.mirror("m", pair)
    pair.sql(rows % 2)
    pair.sql("UPDATE t SET id = 5, v = v || v WHERE id = 1; UPDATE f SET v = v || v WHERE j::text = '1'"
             "; DELETE FROM f WHERE ctid = (SELECT min(ctid) FROM f)")
    pair.src.execute(b'INSERT INTO "t\xe9" VALUES (1)')
    pair.wait_confirmed(lsn=pair.source.sql("SELECT pg_current_wal_lsn()")[0][0])
    query = ("SELECT count(*), md5(string_agg(h, '' ORDER BY h)) FROM "
             "(SELECT md5(convert_to(t::text, 'SQL_ASCII')) AS h FROM {} t) x")
    for table in ("t", "f"):
        assert pair.sql(query.format(table)) == pair.dsql(query.format(table)), table
    assert pair.dst.execute(b'SELECT "\xff" FROM "t\xe9"').fetchall() == [(1,)]


LONG = "é" * 40
TOO_LONG = f"""CREATE TYPE "{LONG}e" AS ENUM ('a', '{LONG}'); CREATE TYPE inner_type AS ("{LONG}a" int);
CREATE DOMAIN dom AS inner_type CONSTRAINT "{LONG}d" CHECK ((VALUE)."{LONG}a" > 0);
CREATE TABLE p (id int PRIMARY KEY, "{LONG}1" int, "{LONG}2" int, e "{LONG}e"[], d dom,
    s int DEFAULT 1, CONSTRAINT "{LONG}c" CHECK (id > 0)) PARTITION BY RANGE (id);
CREATE TABLE "{LONG}p" PARTITION OF p FOR VALUES FROM (1) TO (100);
CREATE SEQUENCE "{LONG}s"; ALTER TABLE p ALTER s SET DEFAULT nextval('"{LONG}s"');
CREATE INDEX "{LONG}i" ON p (s);
CREATE TABLE q (id int PRIMARY KEY, e "{LONG}e", v text);
INSERT INTO p VALUES (1, 2, 3, '{{a,{LONG}}}', '(5)'), (4, 5, 6, NULL, NULL)"""


def shortened(statements):
    return [s.replace("'shorter'", f"'short{n}'").replace(" shorter;", f" short{n};")
            for n, s in enumerate(statements)]


def test_names_that_the_destination_would_cut_off(encoded, bunny):
    """Two of them would be the same one there; each is named with the statement that shortens it, and
    a mapping that leaves a column of such a type out needs none."""
    pair = encoded("LATIN1", "UTF8")
    pair.sql(TOO_LONG)
    source, dest = bunny.peer(pair.source, pair.sdb), bunny.peer(pair.dest, pair.ddb)
    report = bunny.api.post(f"/v1/peers/{source}/check", {"destination": dest})
    found = [f for f in report["findings"] if f["code"] == "name_too_long"]
    assert len(found) == 1 and found[0]["severity"] == "error", report["findings"]
    assert {t["verdict"] for t in report["tables"]} == {"impossible"}, report["tables"]
    kinds = sorted(i["name"].split()[0] for i in found[0]["items"])
    assert kinds == ["attribute", "column", "column", "constraint", "constraint", "index",
                     "index", "label", "sequence", "table", "type"], found[0]["items"]
    refused = bunny.api.raw("POST", "/v1/mirrors", bunny.mirror_body("m", pair, ["public.p"]))
    assert refused.code == "preflight_failed" and LONG + "c" in str(refused.body), refused.body
    bunny.mirror("q", pair, [{"source_table": "public.q", "exclude_columns": ["e"]}])
    bunny.api.delete("/v1/mirrors/q")
    pair.dsql("DROP TABLE q")
    # what belongs to something that is renamed comes before it
    order = ["attribute", "label", "constraint", "column", "index", "table", "sequence", "type"]
    items = sorted(found[0]["items"], key=lambda i: order.index(i["name"].split()[0]))
    for statement in shortened(i["statement"] for i in items):
        pair.sql(statement)
    bunny.mirror("m", pair)
    pair.sql("INSERT INTO q VALUES (1, 'a', 'x'); UPDATE p SET s = 7 WHERE id = 1")
    pair.assert_equal()


@pytest.mark.parametrize("mode", ["auto", "manual"])
def test_such_names_while_a_mirror_streams(encoded, bunny, mode):
    """What only hangs on tables waits for a shorter name; a column stops the stream before its first
    row, and nothing is lost."""
    pair = encoded("LATIN1", "UTF8")
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE o (id int PRIMARY KEY);"
             "INSERT INTO t VALUES (1, 'a')")
    bunny.mirror("m", pair, schema_changes=mode)
    pair.sql(f"""CREATE INDEX "{LONG}i" ON t (v); ALTER TABLE t ADD CONSTRAINT "{LONG}c" CHECK (id > 0);
                 INSERT INTO t VALUES (2, 'b')""")
    preview = bunny.api.post("/v1/mirrors/m/sync-schema", {"dry_run": True})["steps"]
    assert len(preview) == 2 and all("RENAME" in str(s) and "too long" in str(s) for s in preview), \
        preview
    pair.assert_equal()
    pair.sql(f"""ALTER INDEX "{LONG}i" RENAME TO short_i;
                 ALTER TABLE t RENAME CONSTRAINT "{LONG}c" TO short_c""")
    bunny.cli("sync-schema", "m")
    pair.wait_value("SELECT count(*) FROM pg_class WHERE relname = 'short_i'", 1)
    pair.sql(f"""ALTER TABLE t ADD COLUMN "{LONG}1" text; ALTER TABLE t ADD COLUMN "{LONG}2" text;
                 INSERT INTO t VALUES (3, 'c', 'd', 'e'); INSERT INTO o VALUES (1)""")
    status = bunny.wait_status("m", "error", may_fail=True)
    wait_for(lambda: bunny.status("m")["error_code"] == "schema_mismatch", 30, "the error")
    status = bunny.status("m")
    assert LONG + "1" in status["error_message"] + status["error_hint"], status
    assert "RENAME" in status["error_hint"], status
    pair.sql(f'ALTER TABLE t RENAME "{LONG}1" TO one; ALTER TABLE t RENAME "{LONG}2" TO two;'
             "INSERT INTO t VALUES (4, 'f', 'g', 'h')")
    if mode == "manual":
        bunny.cli("sync-schema", "m")
    else:
        bunny.api.post("/v1/mirrors/m/retry")
    bunny.wait_running("m", may_fail=True)
    pair.wait_value("SELECT count(*) FROM pg_attribute WHERE attname = 'two'", 1)
    pair.wait_value("SELECT count(two) FROM t", 2)
    pair.assert_equal()
    assert pair.dsql("SELECT one, two FROM t ORDER BY id")[2:] == [("d", "e"), ("g", "h")]
