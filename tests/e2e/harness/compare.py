"""Are two databases equal? Every row of every table, as ordered text, hashed at the server."""
from collections import Counter

import psycopg.sql as s

TABLES = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%%'
  AND n.nspname NOT IN ('information_schema', '_bunnydb')
ORDER BY 1, 2"""

COLUMNS = """
SELECT attname FROM pg_catalog.pg_attribute a
WHERE attrelid = pg_catalog.to_regclass(%s) AND attnum > 0 AND NOT attisdropped
ORDER BY attname"""


def tables_of(connection):
    """Every (schema, table) of the users, partitioned parents and leaves included."""
    return connection.execute(TABLES).fetchall()


def columns_of(connection, table):
    name = s.Identifier(*table).as_string(connection)
    return [row[0] for row in connection.execute(COLUMNS, (name,))]


def _row(columns):
    """The text of a row; columns by name, as their order may differ."""
    return s.SQL("ROW({})::text").format(s.SQL(", ").join(map(s.Identifier, columns)))


def fingerprint(connection, table, columns):
    """(count, md5 over the ordered rows' md5): one round trip, bounded by 32 bytes per row. The
    same whatever the database's encoding."""
    query = s.SQL("SELECT count(*), md5(string_agg(h, '' ORDER BY h)) "
                  "FROM (SELECT md5(convert_to({}, 'UTF8')) AS h FROM {}) AS rows")
    return connection.execute(query.format(_row(columns), s.Identifier(*table))).fetchone()


def _apart(left, right):
    """Where two texts begin to differ, with what stands around it."""
    at = next((n for n, (a, b) in enumerate(zip(left, right)) if a != b),
              min(len(left), len(right)))
    return f"…{left[max(at - 60, 0):at + 100]!r}… and …{right[max(at - 60, 0):at + 100]!r}…"


def _difference(src, dst, table, dest_table, columns):
    """Some rows that only one side has, for the message; of long ones what differs."""
    def rows(connection, name):
        query = s.SQL("SELECT left({}, 100000) FROM {} ORDER BY 1 LIMIT 200000")
        result = connection.execute(query.format(_row(columns), s.Identifier(*name)))
        return Counter(r[0] for r in result)
    left, right = rows(src, table), rows(dst, dest_table)
    only_left = sorted((left - right).elements())[:5]
    only_right = sorted((right - left).elements())[:5]
    text = (f"rows {left.total()} and {right.total()}\n  only at the source: "
            f"{[r[:300] for r in only_left]}\n"
            f"  only at the destination: {[r[:300] for r in only_right]}")
    return text + "".join(f"\n  {_apart(a, b)}" for a, b in zip(only_left, only_right)
                          if max(len(a), len(b)) > 300)


def assert_equal_databases(src, dst, tables=None, renamed=None, excluded=None):
    """src, dst: connections. tables: (schema, table) pairs, default all of the source's.
    renamed: {source pair: destination pair}; excluded: {source pair: column names not mirrored}.
    Returns the number of rows compared."""
    tables = tables_of(src) if tables is None else tables
    present = set(tables_of(dst))
    total = 0
    for table in tables:
        table = tuple(table)
        dest_table = tuple((renamed or {}).get(table, table))
        assert dest_table in present, f"{dest_table} is missing at the destination"
        columns = [c for c in columns_of(src, table)
                   if c not in (excluded or {}).get(table, ())]
        left = fingerprint(src, table, columns)
        right = fingerprint(dst, dest_table, columns)
        assert left == right, (f"{'.'.join(table)} differs: "
                               + _difference(src, dst, table, dest_table, columns))
        total += left[0]
    return total


INDEXES = """
SELECT schemaname, tablename, indexname, indexdef FROM pg_catalog.pg_indexes
WHERE schemaname NOT LIKE 'pg\\_%%' AND schemaname NOT IN ('information_schema', '_bunnydb')
  AND (schemaname, tablename) IN
      (SELECT n.nspname, c.relname FROM pg_catalog.pg_class c
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p'))
ORDER BY 1, 2, 3"""

CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, contype, convalidated,
       regexp_replace(pg_get_constraintdef(oid), ' (NOT )?DEFERRABLE| INITIALLY DEFERRED', '', 'g')
FROM pg_catalog.pg_constraint
WHERE conrelid <> 0 AND contype IN ('p', 'u', 'f', 'x', 'c')
  AND connamespace::regnamespace::text NOT IN
      ('pg_catalog', 'information_schema', '_bunnydb', 'pg_toast')
ORDER BY 1, 2"""


def assert_equal_structure(src, dst):
    """The same indexes and constraints on both sides (foreign keys may be deferrable there)."""
    for query in (INDEXES, CONSTRAINTS):
        left, right = src.execute(query).fetchall(), dst.execute(query).fetchall()
        assert left == right, (f"only at the source: {sorted(set(left) - set(right))}\n"
                               f"only at the destination: {sorted(set(right) - set(left))}")
