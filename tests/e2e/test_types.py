"""Promise: a value is the same on both sides, whatever its type, by the snapshot and the stream."""
import pytest

pytestmark = [pytest.mark.sanitize]

# type, values as they would be written in SQL; each type is one column, each value one row
ZOO = [
    ("boolean", ["true", "false"]),
    ("smallint", ["-32768", "32767"]),
    ("integer", ["-2147483648", "2147483647"]),
    ("bigint", ["-9223372036854775808", "9223372036854775807"]),
    ("numeric", ["'NaN'", "'Infinity'", "'-Infinity'", "0.000", "1e-130", "1e130", "-1.10",
                 "123456789012345678901234567890.123456789"]),
    ("numeric(10,3)", ["1.5", "-9999999.999", "'NaN'"]),
    ("real", ["'Infinity'::real - 'Infinity'::real", "'NaN'", "'Infinity'", "'-0'", "3.4028235e38", "1.17549435e-38", "0.1"]),
    ("double precision", ["'Infinity'::float8 - 'Infinity'::float8", "'NaN'", "'-Infinity'", "'-0'", "1.7976931348623157e308", "5e-324",
                          "0.1"]),
    ("money", ["'-92233720368547758.08'", "'12.34'"]),
    ("text", ["''", "E'tab\\tnewline\\nreturn\\rback\\\\slash\\\\N'", "'\\N'", "'ünï ☃ 𝄞'",
              "repeat('long ', 30000)", "'NULL'", "'\"quoted\" ''single'''"]),
    ("varchar(10)", ["'ab  '", "''"]),
    ("char(8)", ["'ab'", "''"]),
    ('"char"', ["'a'", "''", "'\\377'"]),
    ("name", ["'a name'"]),
    ("bytea", ["''", "'\\x00ff5c27'", "(SELECT decode(string_agg(lpad(to_hex(i), 2, '0'), ''), "
               "'hex') FROM generate_series(0, 255) i)"]),
    ("date", ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'", "'0001-01-01'"]),
    ("time", ["'00:00'", "'24:00'", "'23:59:59.999999'"]),
    ("time with time zone", ["'00:00+15:59'", "'23:59:59.999999-15:59'"]),
    ("timestamp", ["'infinity'", "'-infinity'", "'4713-01-01 00:00 BC'",
                   "'294276-12-31 23:59:59.999999'"]),
    ("timestamp with time zone", ["'infinity'", "'4713-01-02 00:00+00 BC'",
                                  "'294276-12-31 23:59:59.999999+00'"]),
    ("interval", ["'178000000 years'", "'-1 mon -1 day -00:00:00.000001'", "'0'",
                  "'1 year -2 days 03:04:05.6'"]),
    ("uuid", ["'00000000-0000-0000-0000-000000000000'", "gen_random_uuid()"]),
    ("json", ["'{\"b\":1, \"a\" :  [1,2 ,null],\"a\":2}'", "'null'", "'\"\\u00e9\"'"]),
    ("jsonb", ["'{\"b\":1, \"a\" :  [1,2 ,null]}'", "'null'", "'1e400'",
               "'{\"\": {\"k\": \"☃\"}}'"]),
    ("jsonpath", ["'$.a[*] ? (@ > 1)'"]),
    ("xml", ["'<a b=\"1\">x&amp;y</a>'", "''", "'text only'"]),
    ("inet", ["'0.0.0.0/0'", "'fe80::1/64'", "'255.255.255.255'"]),
    ("cidr", ["'10.0.0.0/8'", "'::/0'"]),
    ("macaddr", ["'ff:ff:ff:ff:ff:ff'"]),
    ("macaddr8", ["'08:00:2b:01:02:03:04:05'"]),
    ("bit(9)", ["B'101010101'"]),
    ("bit varying", ["B''", "B'1'", "repeat('01', 500)::varbit"]),
    ("tsvector", ["'fat:1A cat:2B,3 ''odd word'':4'", "''"]),
    ("tsquery", ["'fat & (rat | !cat:AB)'", "''"]),
    ("point", ["'(1.5,-2)'", "'(NaN,Infinity)'"]),
    ("line", ["'{1,-1,0}'"]),
    ("lseg", ["'[(0,0),(1,1)]'"]),
    ("box", ["'(1,1),(0,0)'"]),
    ("path", ["'[(0,0),(1,1),(2,0)]'", "'((0,0),(1,1),(2,0))'"]),
    ("polygon", ["'((0,0),(1,1),(2,0))'"]),
    ("circle", ["'<(0.1,0.2),3>'"]),
    ("int4range", ["'empty'", "'[1,10)'", "'(,)'", "'[5,)'"]),
    ("numrange", ["'[0.1,0.2]'", "'(,1)'"]),
    ("tstzrange", ["'[2024-01-01 00:00+00,infinity)'", "'empty'"]),
    ("daterange", ["'[-infinity,2024-01-01)'"]),
    ("int8multirange", ["'{}'", "'{[1,2],[5,)}'"]),
    ("integer[]", ["'{}'", "'{1,NULL,3}'", "'[-1:1]={1,2,3}'", "'{{1,2},{3,4}}'"]),
    ("text[]", ["'{\"\",\"a b\",\"NULL\",NULL,\"q\\\"\",\"b\\\\\\\\s\",\"{}\",\",\"}'",
                "'[2:3][0:0]={{x},{y}}'"]),
    ("bytea[]", ["ARRAY['\\x00'::bytea, '\\xff']"]),
    ("jsonb[]", ["ARRAY['{\"a\": \"\\\\\"}'::jsonb, NULL]"]),
    ("timestamptz[]", ["ARRAY['infinity'::timestamptz, '0001-01-01 BC']"]),
    ("oid", ["4294967295"]),
    ("oidvector", ["'1 2'", "''"]),
    ("int2vector", ["'-1 2'", "''"]),
    ("xid8", ["'18446744073709551615'"]),
    ("pg_lsn", ["'FFFFFFFF/FFFFFFFF'"]),
    ("regclass", ["'pg_catalog.pg_class'"]),
    ("mood", ["'sad'", "'it''s \"complicated\"'"]),
    ("mood[]", ["'{sad,NULL,ok}'", "'{}'"]),
    ("positive", ["1", "2147483647"]),
    ("ints", ["'{1,2}'"]),
    ("pair", ["ROW(1, 'a,b \"c\" (d)')", "ROW(NULL, NULL)", "ROW(2, '')"]),
    ("pair[]", ["ARRAY[ROW(1, 'x')::pair, NULL]"]),
    ("floats", ["'[0.5,1.5)'", "'empty'"]),
    ("tree", ["'\"k\"=>\"v\", \"n\"=>NULL'", "''"]),
    ("citext", ["'MiXed'"]),
]

TYPES = """
CREATE EXTENSION hstore; CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "complicated"');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN ints AS int[];
CREATE DOMAIN tree AS hstore;
CREATE TYPE pair AS (a int, b text);
CREATE TYPE floats AS RANGE (subtype = float8);
"""


def make_zoo(pair):
    pair.sql(TYPES)
    columns = ", ".join(f"c{i} {kind}" for i, (kind, _) in enumerate(ZOO))
    pair.sql(f"CREATE TABLE zoo (id int PRIMARY KEY, {columns})")
    pair.sql(f"CREATE TABLE zoo_full (id int, {columns}); ALTER TABLE zoo_full REPLICA IDENTITY FULL")


def insert_zoo(pair, table, offset):
    rows = max(len(values) for _, values in ZOO)
    for row in range(rows):
        pairs = [(f"c{i}", v[row]) for i, (_, v) in enumerate(ZOO) if row < len(v)]
        names = ", ".join(n for n, _ in pairs)
        values = ", ".join(v for _, v in pairs)
        pair.src.execute(f"INSERT INTO {table} (id, {names}) VALUES ({offset + row}, {values})",
                         prepare=False)
    pair.sql(f"INSERT INTO {table} (id) VALUES ({offset + rows})")


@pytest.mark.quick
@pytest.mark.limit(240)
def test_every_built_in_type_at_its_edges(pair, bunny):
    make_zoo(pair)
    for table in ("zoo", "zoo_full"):
        insert_zoo(pair, table, 0)
    bunny.mirror("zoo", pair)
    pair.assert_equal()
    for table in ("zoo", "zoo_full"):
        insert_zoo(pair, table, 100)
    pair.assert_equal()
    for table in ("zoo", "zoo_full"):
        pair.sql(f"UPDATE {table} SET id = id + 1000 WHERE id < 100")
        pair.sql(f"UPDATE {table} t SET " + ", ".join(
            f"c{i} = s.c{i}" for i in range(len(ZOO))) +
            f" FROM {table} s WHERE t.id = 100 AND s.id = 101")
        pair.sql(f"DELETE FROM {table} WHERE id IN (1001, 102, 104)")
    pair.assert_equal()


@pytest.mark.limit(240)
def test_each_type_in_a_table_of_its_own(pair, bunny):
    """Then the snapshot uses the binary form wherever it can; and each row is found again by the
    text that the stream has of it, whatever its bytes are."""
    pair.sql(TYPES)
    for n, (kind, values) in enumerate(ZOO):
        pair.sql(f"CREATE TABLE z{n} (v {kind}); ALTER TABLE z{n} REPLICA IDENTITY FULL")
        rows = ", ".join(f"(({v})::{kind})" for v in values)
        pair.sql(f"INSERT INTO z{n} VALUES {rows}, (NULL); INSERT INTO z{n} SELECT * FROM z{n}")
    bunny.mirror("zoo", pair)
    pair.assert_equal()
    for n in range(len(ZOO)):
        pair.sql(f"DELETE FROM z{n} WHERE ctid IN (SELECT ctid FROM z{n} OFFSET 1)")
        pair.sql(f"UPDATE z{n} SET v = NULL")
    pair.assert_equal()
    missed = {t["table_name"]: t["rows_missing"] for t in bunny.status("zoo")["tables"]}
    assert set(missed.values()) == {0}, missed


def test_source_in_another_encoding(make_pair, root):
    """LATIN1 at the source, UTF8 at the destination; names are encoded as well."""
    from conftest import _finish
    from harness.bunny import Bunny
    pair = make_pair(extra="ENCODING 'LATIN1' LOCALE 'C'")
    pair.src.execute("SET client_encoding = 'UTF8'")
    pair.sql("""CREATE TABLE "tàble" ("clé" int PRIMARY KEY, v text);
                INSERT INTO "tàble" VALUES (1, 'déjà vu ÿ')""")
    bunny = Bunny(root, "latin").start()
    try:
        bunny.mirror("latin", pair)
        pair.sql("""INSERT INTO "tàble" VALUES (2, 'ÄÖÜß'); UPDATE "tàble" SET v = v || '£'
                    WHERE "clé" = 1""")
        pair.wait_confirmed()
        query = 'SELECT * FROM "tàble" ORDER BY 1'
        assert pair.sql(query) == pair.dsql(query) == [(1, "déjà vu ÿ£"), (2, "ÄÖÜß")]
    finally:
        _finish(bunny)
        bunny.remove()


def test_roles_with_other_output_formats(pair, bunny):
    """Settings of roles and databases on either side do not change what arrives."""
    settings = {"DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard", "bytea_output": "escape",
                "extra_float_digits": "-5", "TimeZone": "Asia/Kathmandu",
                "search_path": "nowhere", "default_transaction_read_only": "off",
                "statement_timeout": "60s"}
    for name, value in settings.items():
        pair.source.sql(f"ALTER DATABASE {pair.sdb} SET {name} = '{value}'")
        pair.dest.sql(f"ALTER DATABASE {pair.ddb} SET {name} = '{value}'")
    pair.sql("""SET search_path = public;
        CREATE TABLE t (id int PRIMARY KEY, d date, ts timestamptz, i interval, b bytea, f float8,
            g real, a timestamp[]);
        INSERT INTO t VALUES (1, '2024-02-03', '2024-03-31 02:30+00', '1 mon -3 days 04:05:06',
            '\\x00ff', 0.1::float8 + 0.2, 1/3.0, '{2024-02-03 04:05:06.7}')""")
    bunny.mirror("m", pair)
    pair.sql("""INSERT INTO t SELECT id + 1, d + 9, ts, -i, b || b, f * 3, g, a || a FROM t;
                UPDATE t SET d = '2024-12-11' WHERE id = 1""")
    pair.wait_confirmed()
    pair.dsql("SET search_path = public")
    query = ("SELECT id, d - date '2000-01-01', extract(epoch from ts), "
             "extract(epoch from i), encode(b, 'hex'), f::text, g::text, a[1] - '2000-01-01' FROM t ORDER BY 1")
    for c in (pair.src, pair.dst):
        c.execute("SET extra_float_digits = 3; SET IntervalStyle = 'postgres'")
    assert pair.sql(query) == pair.dsql(query)
