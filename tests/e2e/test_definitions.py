"""Promise: what pg_dump says of the destination is what it says of the source, for the oddest
definitions of several schemas in one mirror; sync-schema then finds nothing to do, and after changes
at the source one sync makes both equal again."""
import os

import pytest

from harness.dump import assert_equal_definitions
from harness.samples import FULL_IDENTITY
from harness.waiting import wait_for

DIRECTORY = os.path.join(os.path.dirname(__file__), "definitions")


def run_text(pair, text):
    pair.source.run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", pair.sdb, input=text)
    pair.sql(FULL_IDENTITY)


def read(name):
    with open(f"{DIRECTORY}/{name}.sql", encoding="utf-8") as f:
        return f.read()


def schemas_of(pair):
    """Those with tables."""
    return [row[0] for row in pair.sql(
        "SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname !~ '^(pg_|information_)'")]


def mirror_all(bunny, pair):
    stars = [{"source_schema": name, "source_table": "*"} for name in schemas_of(pair)]
    bunny.mirror("m", pair, stars)


def assert_nothing_to_do(bunny):
    said = bunny.cli("sync-schema", "m", "--dry-run").stdout
    assert not said.strip(), said


@pytest.mark.long
def test_definitions_are_equal_and_follow(pair, bunny):
    """All in one mirror: columns, types, partitions, constraints, each under schemas of its own."""
    names = ["columns", "types", "partitions", "constraints"]
    for name in names:
        run_text(pair, read(name))
    mirror_all(bunny, pair)
    assert_equal_definitions(pair)
    assert_nothing_to_do(bunny)
    pair.assert_equal()
    changed = [read(f"{name}_changed").split("-- rows\n") for name in names]
    for statements, _ in changed:
        run_text(pair, statements)
    bunny.cli("sync-schema", "m")
    # what waits for the stream follows by itself
    wait_for(lambda: assert_nothing_to_do(bunny) is None, 60, "the definitions to be equal")
    bunny.wait_running("m", may_fail=True)
    assert_equal_definitions(pair)
    for _, rows in changed:
        run_text(pair, rows)
    pair.assert_equal()


def findings_of(bunny, name):
    return {f["code"]: f for f in bunny.status(name)["findings"]}


def test_what_is_left_out_is_a_finding(pair, bunny):
    """With its statement, over a restart, until what it needs is there."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text);"
             "CREATE FUNCTION shout(text) RETURNS text IMMUTABLE LANGUAGE sql AS "
             "'SELECT pg_catalog.upper($1)'; CREATE INDEX loud ON t (shout(v));"
             "INSERT INTO t VALUES (1, 'a')")
    bunny.mirror("m", pair)
    left = wait_for(lambda: findings_of(bunny, "m").get("definitions_left_out"), 30, "the finding")
    assert "loud" in left["cause"] and "CREATE INDEX" in left["remedy"], left
    assert left["action"] == "sync-schema" and left["severity"] == "info"
    bunny.stop()
    bunny.start()
    assert findings_of(bunny, "m")["definitions_left_out"] == left
    pair.dsql("CREATE FUNCTION shout(text) RETURNS text IMMUTABLE LANGUAGE sql AS "
              "'SELECT pg_catalog.upper($1)'")
    bunny.cli("sync-schema", "m", "--wait", "60")
    wait_for(lambda: not findings_of(bunny, "m"), 30, "the end of the finding")
    assert pair.dsql("SELECT count(*) FROM pg_indexes WHERE indexname = 'loud'") == [(1,)]
    pair.sql("INSERT INTO t VALUES (2, 'b')")
    pair.assert_equal()


def test_a_row_as_a_whole_in_a_definition(pair, bunny):
    """It stands there by the table's name, which may be another one at the destination."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text, CONSTRAINT w CHECK ((t.*) IS NOT NULL));"
             "CREATE INDEX ti ON t (((t.*) IS NULL)); CREATE INDEX tj ON t (v) WHERE t IS NOT NULL;"
             "CREATE TABLE same (id int PRIMARY KEY, CONSTRAINT ws CHECK ((same.*) IS NOT NULL));"
             "CREATE INDEX si ON same (((same.*) IS NULL)); INSERT INTO t VALUES (1, 'a')")
    bunny.mirror("m", pair, [{"source_table": "public.t", "destination_table": "public.u"},
                             "public.same"])
    pair.sql("INSERT INTO t VALUES (2, 'b'); INSERT INTO same VALUES (1)")
    left = wait_for(lambda: findings_of(bunny, "m").get("definitions_left_out"), 30, "the finding")
    assert all(name in left["cause"] for name in ("ti", "tj", "constraint w ")), left
    assert "same" not in left["cause"], left
    pair.assert_equal(renamed={("public", "t"): ("public", "u")})
