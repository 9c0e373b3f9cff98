"""Promise: whatever a first snapshot is doing, pause and delete interrupt it within a second, and the
destination's servers do not go on with it."""
import time

import pytest

from harness.waiting import soon, wait_for

# The destination's versions of these functions take their time in one kind of statement.
SOURCE = """
CREATE FUNCTION same(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i';
CREATE TABLE refd (id num PRIMARY KEY);
CREATE TABLE t (id int PRIMARY KEY, v int, n num REFERENCES refd);
CREATE INDEX t_same ON t (same(v));
INSERT INTO refd SELECT g::text::num FROM generate_series(1, 50) g;
INSERT INTO t SELECT g, g, (1 + g % 50)::text::num FROM generate_series(1, 3000) g;
"""
TYPE = """
CREATE TYPE num;
CREATE FUNCTION num_in(cstring) RETURNS num LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION num_out(num) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE num (INPUT = num_in, OUTPUT = num_out, LIKE = int4);
CREATE FUNCTION num_lt(num, num) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4lt';
CREATE FUNCTION num_le(num, num) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4le';
CREATE FUNCTION num_eq(num, num) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4eq';
CREATE FUNCTION num_ge(num, num) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4ge';
CREATE FUNCTION num_gt(num, num) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4gt';
CREATE OPERATOR < (LEFTARG = num, RIGHTARG = num, FUNCTION = num_lt);
CREATE OPERATOR <= (LEFTARG = num, RIGHTARG = num, FUNCTION = num_le);
CREATE OPERATOR = (LEFTARG = num, RIGHTARG = num, FUNCTION = num_eq);
CREATE OPERATOR >= (LEFTARG = num, RIGHTARG = num, FUNCTION = num_ge);
CREATE OPERATOR > (LEFTARG = num, RIGHTARG = num, FUNCTION = num_gt);
CREATE FUNCTION num_cmp(num, num) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE a int := $1::text; b int := $2::text;
BEGIN {cmp} RETURN sign(a - b); END$$;
CREATE OPERATOR CLASS num_ops DEFAULT FOR TYPE num USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
    FUNCTION 1 num_cmp (num, num);
"""
DEST = """
CREATE FUNCTION same(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN {same}
RETURN i; END$$;
CREATE TABLE refd (id num PRIMARY KEY);
CREATE TABLE t (id int, v int, n num);
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {row} RETURN NEW; END$$;
CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow();
ALTER TABLE t ENABLE ALWAYS TRIGGER slow;
"""
NAP = "PERFORM pg_sleep(0.01);"
PHASES = {  # where it naps, the statement that does, the phase that is shown
    "rows": ({"row": NAP}, "COPY", "copying"),
    "index": ({"same": f"IF current_query() LIKE 'CREATE INDEX%' THEN {NAP} END IF;"},
              "CREATE INDEX", "building_indexes"),
    "statistics": ({"same": f"IF current_query() LIKE 'ANALYZE%' THEN {NAP} END IF;"},
                   "ANALYZE", "analyzing"),
    "foreign key": ({"cmp": f"IF current_query() LIKE '%VALIDATE%' THEN {NAP} END IF;"},
                    "ALTER TABLE%VALIDATE", "adding_foreign_keys"),
}


@pytest.mark.parametrize("how", ["pause", "delete"])
@pytest.mark.parametrize("phase", PHASES)
def test_a_snapshot_is_interrupted_within_a_second(pair, bunny, phase, how):
    naps, statement, shown = PHASES[phase]
    naps = {"row": "", "same": "", "cmp": "", **naps}
    pair.sql(TYPE.replace("{cmp}", "") + SOURCE)
    pair.dsql(TYPE.replace("{cmp}", naps["cmp"]) +
              DEST.replace("{same}", naps["same"]).replace("{row}", naps["row"]))
    bunny.create_mirror("m", pair)
    active = ("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
              f"query LIKE '{statement}%' AND datname = current_database()")
    wait_for(lambda: pair.dsql(active)[0][0] and bunny.status("m")["phase"] == shown, 60,
             f"{statement} to be under way", 0.02)
    began = time.monotonic()
    if how == "pause":
        bunny.api.post("/v1/mirrors/m/pause")
    else:
        bunny.api.delete("/v1/mirrors/m")
    seconds = time.monotonic() - began
    print(f"{how} while {statement} runs: {seconds:.2f} s")
    assert seconds < soon(1)
    assert pair.dsql(active)[0][0] == 0
    if how == "pause":
        pair.dsql("DROP TRIGGER slow ON t;"
                  "CREATE OR REPLACE FUNCTION same(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
                  "'BEGIN RETURN i; END';"
                  "CREATE OR REPLACE FUNCTION num_cmp(num, num) RETURNS int LANGUAGE plpgsql "
                  "IMMUTABLE STRICT AS 'BEGIN RETURN sign($1::text::int - $2::text::int); END'")
        bunny.api.post("/v1/mirrors/m/resume")
        bunny.wait_running("m")
        pair.assert_equal()


TWINS = ("SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
         "WHERE c.relname LIKE '\\_bunnydb\\_%'")


@pytest.mark.parametrize("how", ["pause", "kill"])
def test_an_index_that_is_no_constraint_yet_does_not_stay(pair, bunny, how):
    """A key's index is built under a name of its own, and waits there for the table's other indexes;
    also one that a dead process had begun goes with the mirror."""
    pair.sql("CREATE FUNCTION same(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i';"
             "CREATE TABLE t (id int PRIMARY KEY, v int UNIQUE); CREATE INDEX t_same ON t (same(v));"
             "INSERT INTO t SELECT g, g FROM generate_series(1, 3000) g")
    pair.dsql("CREATE FUNCTION same(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
              f"$$BEGIN {NAP} RETURN i; END$$; CREATE TABLE t (id int, v int)")
    bunny.create_mirror("m", pair)
    both = [True, True]
    wait_for(lambda: [r[1] for r in pair.dsql(TWINS)] == both, 60, "the keys' indexes", 0.05)
    if how == "pause":
        bunny.api.post("/v1/mirrors/m/pause")
        wait_for(lambda: pair.dsql(TWINS) == [], 10, "the indexes to go")
        bunny.api.post("/v1/mirrors/m/resume")
        wait_for(lambda: [r[1] for r in pair.dsql(TWINS)] == both, 60, "the keys' indexes", 0.05)
    else:
        bunny.kill()
        bunny.start()
    bunny.api.delete("/v1/mirrors/m")
    assert pair.dsql(TWINS) == []
    wait_for(lambda: pair.dsql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' "
                               "AND state = 'active' AND datname = current_database()") == [(0,)],
             30, "nobody to build any")
    assert pair.dsql(TWINS) == []
