"""Promise: a value is the same on both sides, whatever its type, by the snapshot and the stream."""
import psycopg
import pytest

from harness.compare import assert_equal_databases
from harness.zoo import TYPES, ZOO

pytestmark = [pytest.mark.sanitize]

TABLES = ("zoo", "zoo_full", "zoo_index")


def make_zoo(pair):
    pair.sql(TYPES)
    columns = ", ".join(f"c{i} {kind}" for i, (kind, _) in enumerate(ZOO))
    pair.sql(f"CREATE TABLE zoo (id int PRIMARY KEY, {columns})")
    pair.sql(f"CREATE TABLE zoo_full (id int, {columns}); "
             "ALTER TABLE zoo_full REPLICA IDENTITY FULL")
    pair.sql(f"CREATE TABLE zoo_index ({columns}, id int NOT NULL UNIQUE, s serial PRIMARY KEY); "
             "ALTER TABLE zoo_index REPLICA IDENTITY USING INDEX zoo_index_id_key")


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
    for table in TABLES:
        insert_zoo(pair, table, 0)
    bunny.mirror("zoo", pair)
    pair.assert_equal()
    for table in TABLES:
        insert_zoo(pair, table, 100)
    pair.assert_equal()
    for table in TABLES:
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


# what the sessions of bunnydb are begun with instead
SETTINGS = {
    "DateStyle": "Postgres, DMY", "IntervalStyle": "iso_8601", "TimeZone": "America/St_Johns",
    "timezone_abbreviations": "Australia", "extra_float_digits": "-15", "bytea_output": "escape",
    "xmlbinary": "hex", "xmloption": "document", "client_encoding": "LATIN1",
    "standard_conforming_strings": "off", "backslash_quote": "off", "array_nulls": "off",
    "quote_all_identifiers": "on", "transform_null_equals": "on", "search_path": "nowhere, public",
    "default_transaction_isolation": "serializable", "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on", "exit_on_error": "on", "session_replication_role": "local",
    "row_security": "on", "lock_timeout": "1ms", "statement_timeout": "1ms",
    "idle_in_transaction_session_timeout": "50ms", "idle_session_timeout": "2s",
    "client_min_messages": "log", "work_mem": "64kB",
    "plan_cache_mode": "force_custom_plan", "synchronous_commit": "off"}


def test_roles_with_other_output_formats(pair, bunny):
    """Settings of roles and databases on either side do not change what arrives."""
    make_zoo(pair)
    insert_zoo(pair, "zoo", 0)
    for name, value in SETTINGS.items():
        pair.source.sql(f"ALTER DATABASE {pair.sdb} SET {name} = '{value}'")
        pair.dest.sql(f"ALTER ROLE postgres IN DATABASE {pair.ddb} SET {name} = '{value}'")
    bunny.mirror("m", pair)
    insert_zoo(pair, "zoo", 100)
    pair.sql("UPDATE zoo SET id = id + 1000 WHERE id < 100; DELETE FROM zoo WHERE id = 101")
    pair.wait_confirmed()
    pair.source.sql(f"ALTER DATABASE {pair.sdb} RESET ALL")
    pair.dest.sql(f"ALTER ROLE postgres IN DATABASE {pair.ddb} RESET ALL")
    assert assert_equal_databases(pair.src, pair.dst) == 19


@pytest.mark.long
def test_keys_of_all_types(pair, bunny):
    """Rows are found by a primary key, or by an index of two columns, of whatever can be one."""
    pair.sql(TYPES)
    tables = []
    arrays = ("integer[]", "citext[]", "odd_domain[]", "outer_pair[]", "words[]")
    for n, (kind, values) in enumerate(ZOO):
        if kind.endswith("[]") and kind not in arrays:
            continue
        try:
            pair.sql(f"CREATE TABLE k{n} (k {kind} PRIMARY KEY, n int)")
        except psycopg.errors.UndefinedObject:
            continue  # no order
        try:
            for v in values:
                pair.sql(f"INSERT INTO k{n} SELECT x, 1 FROM (SELECT ({v})::{kind} AS x) s WHERE "
                         "x IS NOT NULL AND length(x::text) < 2000 ON CONFLICT DO NOTHING")
        except psycopg.errors.UndefinedFunction:
            pair.sql(f"DROP TABLE k{n}")  # an array of a type without order
            continue
        pair.sql(f"""CREATE TABLE i{n} (v json, k {kind} NOT NULL, n int, m int NOT NULL DEFAULT 1);
                     CREATE UNIQUE INDEX x{n} ON i{n} (m, k);
                     ALTER TABLE i{n} REPLICA IDENTITY USING INDEX x{n};
                     INSERT INTO i{n} (k, n) SELECT k, n FROM k{n}""")
        tables += [f"k{n}", f"i{n}"]
    assert len(tables) > 150
    bunny.mirror("m", pair)
    for t in tables:  # other values, a row less, the key of another row
        last = f"WHERE ctid = (SELECT max(ctid) FROM {t} HAVING count(*) > 1)"
        pair.sql(f"UPDATE {t} SET n = 2; DELETE FROM {t} {last}; "
                 f"WITH gone AS (DELETE FROM {t} {last} RETURNING k, n) INSERT INTO {t} (k, n) "
                 f"SELECT k, n + 1 FROM gone; UPDATE {t} SET n = 5 {last}")
    pair.assert_equal()
    missed = {t["table_name"]: t["rows_missing"] for t in bunny.status("m")["tables"]}
    assert set(missed.values()) == {0}, missed
