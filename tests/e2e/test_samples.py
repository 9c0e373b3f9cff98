"""Promise: every sample database can be mirrored, is equal after the snapshot, has its indexes and
constraints, and stays equal through changes of every kind in every table."""
import psycopg.sql as s
import pytest

from harness.compare import assert_equal_structure, columns_of, tables_of
from harness.samples import NAMES, load_sample

KEY = """
SELECT a.attname FROM pg_index i JOIN pg_attribute a
  ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
WHERE i.indrelid = to_regclass(%s) AND i.indisprimary"""


def plain_columns(connection, table):
    """Columns that may be set to themselves: neither generated nor of the key."""
    name = s.Identifier(*table).as_string(connection)
    key = {r[0] for r in connection.execute(KEY, (name,))}
    return [c for c in columns_of(connection, table) if c not in key]


def change_table(connection, table):
    """Updates some rows, deletes some and inserts them again, all in one transaction; foreign keys
    and triggers are off, so that each table can be changed by itself."""
    t = s.Identifier(*table)
    others = plain_columns(connection, table)
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(s.SQL(
            "CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM {} LIMIT 7").format(t))
        texts = [c for c in others if is_text(connection, table, c)]
        if texts:
            connection.execute(s.SQL(
                "UPDATE {} SET {c} = reverse({c}) WHERE ctid IN "
                "(SELECT ctid FROM {} LIMIT 50)").format(t, t, c=s.Identifier(texts[0])))
        elif others:
            connection.execute(s.SQL("UPDATE {} SET {c} = {c}").format(
                t, c=s.Identifier(others[0])))
        connection.execute(s.SQL(
            "DELETE FROM {} t USING kept k WHERE t::text = k::text").format(t))
        connection.execute(s.SQL(
            "DELETE FROM {} WHERE ctid = (SELECT max(ctid) FROM {})").format(t, t))
        # back again, unless the first update has changed them already
        connection.execute(s.SQL("INSERT INTO {} SELECT * FROM kept ON CONFLICT DO NOTHING")
                           .format(t))


def is_text(connection, table, column):
    row = connection.execute(
        "SELECT data_type IN ('text', 'character varying') FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = %s AND column_name = %s AND "
        "is_generated = 'NEVER'", (*table, column)).fetchone()
    return row[0]


def is_changeable(connection, table):
    """Ordinary tables, partitions among them; a partitioned parent changes through those."""
    name = s.Identifier(*table).as_string(connection)
    return connection.execute("SELECT relkind = 'r' FROM pg_class WHERE oid = to_regclass(%s)",
                              (name,)).fetchone()[0]


def mirror_sample(pair, bunny, name):
    load_sample(pair.source, pair.sdb, name)
    bunny.mirror(name, pair)
    rows = pair.assert_equal()
    assert rows > 0
    assert_equal_structure(pair.src, pair.dst)
    return rows


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_sample_is_mirrored_and_follows(pair, bunny, name):
    mirror_sample(pair, bunny, name)
    tables = [t for t in tables_of(pair.src) if is_changeable(pair.src, t)]
    for table in tables:
        change_table(pair.src, table)
    pair.assert_equal()
    pair.sql("CREATE TABLE not_mirrored (a int)")  # nobody's business
    tables = [(schema, table) for schema, table in tables if table != "not_mirrored"]
    with pair.src.transaction():
        pair.src.execute("SET LOCAL session_replication_role = replica")
        pair.src.execute(s.SQL("TRUNCATE {}").format(
            s.SQL(", ").join(s.Identifier(*t) for t in tables)))
    pair.wait_confirmed()
    for table in tables:
        count = pair.dst.execute(s.SQL("SELECT count(*) FROM {}").format(
            s.Identifier(*table))).fetchone()[0]
        assert count == 0, table


@pytest.mark.long
@pytest.mark.quick
@pytest.mark.sanitize
@pytest.mark.tsan
def test_pagila_with_work_going_on(pair, bunny):
    """Rentals and payments (partitioned) are made while the snapshot runs and after."""
    from harness.load import Load
    load_sample(pair.source, pair.sdb, "pagila")
    work = """\\set c random(1, 500)
\\set i random(1, 4000)
\\set d random(0, 200)
BEGIN;
INSERT INTO public.payment (customer_id, staff_id, rental_id, amount, payment_date)
  SELECT :c, 1, rental_id, 4.99, timestamptz '2022-01-02' + :d * interval '1 day'
  FROM public.rental LIMIT 1;
UPDATE public.rental SET return_date = now() WHERE inventory_id = :i;
UPDATE public.film SET rental_rate = rental_rate + 0.01 WHERE film_id = :c;
DELETE FROM public.payment WHERE ctid = ANY (ARRAY(SELECT ctid FROM ONLY public.payment_p2022_03
  LIMIT 1)) AND tableoid = 'public.payment_p2022_03'::regclass;
END;
"""
    with Load(pair.source, pair.sdb, rate=50, script=work, directory=bunny.dir) as load:
        bunny.mirror("pagila", pair)
        pair.wait_confirmed()
        assert load.is_running, load.wait(5)
    rows = pair.assert_equal()
    assert rows > 60000
    assert_equal_structure(pair.src, pair.dst)


def test_iso3166_has_a_table_without_a_key(pair, bunny):
    """Its changes arrive by the whole old row."""
    mirror_sample(pair, bunny, "iso3166")
    full = pair.sql("SELECT relname FROM pg_class WHERE relreplident = 'f' AND relkind = 'r'")
    assert full
    table = s.Identifier("public", full[0][0])
    pair.src.execute(s.SQL("DELETE FROM {} WHERE ctid IN (SELECT ctid FROM {} LIMIT 10)")
                     .format(table, table))
    pair.assert_equal()
