"""Promise: a resync by swap shows readers of the destination the old rows, then the new ones, never
none and never a wait; afterwards every definition is what it was, and the rows are exact: under load
of every kind, across kills."""
import os
import random
import subprocess
import threading
import time

import psycopg
import pytest

from harness.cluster import BINDIR
from harness.compare import assert_equal_structure
from harness.load import Load
from harness.pair import Pair
from harness.waiting import soon, wait_for
from test_table_copy import (FOREIGN, GRAPH, GRAPH_WORK, NAMES, PARTITIONED, PARTITIONED_WORK, TABLES,
                             WORK, assert_no_traces, assert_nothing_missed, fast_copy, is_settled,
                             log_count, slow_copy, table)

KILLS = int(os.environ.get("KILLS", "2"))
MOST_WAIT = 0.2  # seconds a reader may take for a small table


def ask_swap(bunny, name, wanted=None):
    bunny.api.post(f"/v1/mirrors/{name}/resync" + (f"/{wanted}" if wanted else ""),
                   {"strategy": "swap"})


def swap(bunny, name, wanted, limit=60, leaf=None):
    """Until the table has been swapped and streams."""
    before = log_count(bunny, f"rows swapped table={wanted} ")
    ask_swap(bunny, name, wanted)
    wait_for(lambda: log_count(bunny, f"rows swapped table={wanted} ") > before, limit,
             f"{wanted} to be swapped")
    wait_for(lambda: is_settled(bunny, name, leaf or wanted), limit, f"{wanted} to stream")


def all_settled(bunny, name):
    status = bunny.status(name)
    assert status["status"] == "running" and not status["operation"], \
        (status["status"], status["phase"], status["operation"], status["error_message"])
    assert all(t["status"] == "streaming" for t in status["tables"]), status["tables"]
    return True


def assert_no_shadows(pair):
    assert pair.dsql("SELECT relname FROM pg_class WHERE relname LIKE 'swap\\_%'") == []
    assert_no_traces(pair)


def dump(pair):
    """All definitions of the destination; without the key that newer versions make up each time."""
    ended = subprocess.run([f"{BINDIR}/pg_dump", "--schema-only", "-h", pair.dest.host, "-p",
                            str(pair.dest.port), "-U", "postgres", pair.ddb],
                           capture_output=True, text=True, check=True)
    return [line for line in ended.stdout.splitlines() if "restrict " not in line]


class Reader(threading.Thread):
    """Asks the destination again and again; all answers in order, and the longest wait."""

    def __init__(self, pair, query, options=""):
        super().__init__(daemon=True)
        self.c = pair.dest.connect(pair.ddb, options=options) if options else \
            pair.dest.connect(pair.ddb)
        self.query, self.seen, self.longest, self.error = query, [], 0, None
        self.stopping = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.stopping.is_set():
                began = time.monotonic()
                row = self.c.execute(self.query).fetchone()
                self.longest = max(self.longest, time.monotonic() - began)
                if not self.seen or self.seen[-1] != row:
                    self.seen.append(row)
                self.stopping.wait(0.002)
        except psycopg.Error as e:
            self.error = e

    def stop(self):
        self.stopping.set()
        self.join(30)
        self.c.close()
        assert not self.error, self.error
        assert self.seen
        return self.seen

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.stopping.is_set():
            self.stop()


# --- readers -------------------------------------------------------------------------------------

GROWING = """
CREATE TABLE t (id int PRIMARY KEY, v int, w text);
CREATE UNIQUE INDEX t_v ON t (v);
CREATE TABLE other (id int PRIMARY KEY, v int);
INSERT INTO t SELECT g, g, repeat(md5(g::text), 10) FROM generate_series(1, 20000) g;
INSERT INTO other SELECT g, g FROM generate_series(1, 100) g;
"""
# Rows only come; keys, unique values and texts of others change.
GROWING_WORK = r"""
\set a random(1, 20000)
BEGIN;
UPDATE t SET w = w || 'x' WHERE id = :a;
UPDATE t SET v = -v WHERE id = :a;
INSERT INTO t SELECT max(id) + 1, max(id) + 1, 'new' FROM t;
UPDATE other SET v = v + 1 WHERE id = 1 + :a % 100;
END;
"""


def test_readers_see_the_old_rows_then_the_new_ones(pair, bunny):
    """The table only grows at the source, and so it does for whoever reads the destination; all rows
    of the destination are wrong before, and they become right at once."""
    pair.sql(GROWING)
    bunny.mirror("m", pair)
    pair.dsql("UPDATE t SET w = 'wrong'")
    with Load(pair.source, pair.sdb, clients=1, rate=100, script=GROWING_WORK, directory=bunny.dir), \
            Reader(pair, "SELECT count(*), count(*) FILTER (WHERE w = 'wrong') FROM t") as reader:
        swap(bunny, "m", "public.t")
        pair.wait_confirmed()
        seen = reader.stop()
    counts = [s[0] for s in seen]
    assert min(counts) >= 20000 and counts == sorted(counts), counts
    at = next(i for i, s in enumerate(seen) if s[1] == 0)
    assert all(s[1] > 19000 for s in seen[:at]) and at, seen[:at]
    assert all(s[1] == 0 for s in seen[at:]), seen[at:]
    print(f"{len(seen)} pictures, longest read {reader.longest * 1000:.0f} ms")
    assert reader.longest < soon(MOST_WAIT)
    pair.assert_equal()
    assert_nothing_missed(bunny, "m")
    assert_no_shadows(pair)


def test_a_long_reader_holds_up_neither_the_swap_nor_other_readers(pair, bunny):
    """And keeps what its snapshot shows, also of a table that it has not read yet."""
    pair.sql(GROWING)
    bunny.mirror("m", pair)
    pair.dsql("UPDATE t SET w = 'wrong'; DELETE FROM other WHERE id > 50")
    with pair.dest.connect(pair.ddb) as c, Reader(pair, "SELECT count(*) FROM t") as reader:
        with c.transaction():
            c.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            c.execute("SELECT count(*) FROM t WHERE w = 'wrong'")
            swap(bunny, "m", "public.t")
            swap(bunny, "m", "public.other")
            assert c.execute("SELECT count(*) FROM t WHERE w = 'wrong'").fetchone() == (20000,)
            assert c.execute("SELECT count(*) FROM other").fetchone() == (50,)
        assert reader.stop() == [(20000,)] and reader.longest < soon(MOST_WAIT), reader.longest
    pair.assert_equal()
    assert_no_shadows(pair)


@pytest.mark.long
def test_a_writer_at_the_destination_is_waited_for_in_short_attempts(pair, bunny):
    """Readers do not notice, other writers wait for an attempt at most, and the log says who it is.
    One who has rows that are the same is not waited for at all."""
    pair.sql(GROWING)
    bunny.mirror("m", pair)
    pair.dsql("UPDATE t SET w = 'wrong' WHERE id = 5; UPDATE other SET v = -7")
    writer = pair.dest.connect(pair.ddb, application_name="somebody")
    with writer, Reader(pair, "SELECT count(*) FROM t") as reader:
        writer.autocommit = False
        writer.execute("UPDATE other SET v = v WHERE id = 7")
        writer.execute("UPDATE t SET w = 'wrong' WHERE id = 5")
        writer.execute("SAVEPOINT s; UPDATE t SET w = 'wrong' WHERE id = 7; ROLLBACK TO s")
        ask_swap(bunny, "m", "public.t")
        wait_for(lambda: "to swap the rows of public.t" in bunny.log_tail(10**7), 60, "a word of it")
        assert "(somebody, open" in bunny.log_tail(10**7)
        began = time.monotonic()
        pair.dsql("UPDATE t SET w = w WHERE id = 9")
        assert time.monotonic() - began < soon(MOST_WAIT)
        writer.rollback()
        wait_for(lambda: is_settled(bunny, "m", "public.t"), 60, "the swap")
        writer.execute("UPDATE t SET w = w WHERE id = 7")
        swap(bunny, "m", "public.t")
        writer.rollback()
        assert reader.stop() == [(20000,)] and reader.longest < soon(MOST_WAIT), reader.longest
    ask_swap(bunny, "m", "public.other")
    wait_for(lambda: is_settled(bunny, "m", "public.other"), 60, "the swap")
    pair.assert_equal()
    assert_nothing_missed(bunny, "m")


class Writer(Reader):
    """Writes rows of the destination as they are, one at a time, from one end of the table to the
    other and back."""

    def __init__(self, pair, statement, keys):
        self.statement, self.keys = statement, keys
        super().__init__(pair, None)

    def run(self):
        self.waits = []
        try:
            while not self.stopping.is_set():
                began = time.monotonic()
                self.c.execute(self.statement, (self.keys[len(self.waits) % len(self.keys)],))
                self.waits.append(time.monotonic() - began)
                self.stopping.wait(0.002)
            self.longest, self.seen = max(self.waits), [True]
        except psycopg.Error as e:
            self.error = e


@pytest.mark.long
@pytest.mark.parametrize("key", ["PRIMARY KEY", "NOT NULL"])
def test_nobody_waits_while_many_rows_are_swapped(pair, bunny, key):
    """Not even who writes the very rows that change: as soon as somebody waits they come in small
    steps. There are never fewer rows, also where unique values move from row to row, and where rows are
    told apart by their text alone."""
    has_key = key == "PRIMARY KEY"
    pair.sql(f"CREATE TABLE t (id int {key}, v int, w text);"
             f"CREATE {'UNIQUE' if has_key else ''} INDEX t_v ON t (v);"
             "INSERT INTO t SELECT g, g, repeat(md5(g::text), 4) FROM generate_series(1, 60000) g;"
             "INSERT INTO t SELECT g, NULL, 'some' FROM generate_series(60001, 60100) g")
    if not has_key:
        pair.sql("ALTER TABLE t REPLICA IDENTITY FULL;"
                 "INSERT INTO t SELECT 0, NULL, 'twin' FROM generate_series(1, 2000) g")
    bunny.mirror("m", pair)
    total = pair.sql("SELECT count(*) FROM t")[0][0]
    pair.dsql("UPDATE t SET w = 'wrong' WHERE id % 100 < 98; DELETE FROM t WHERE id > 55000;"
              "UPDATE t SET v = -v WHERE id IN (7, 54907); UPDATE t SET v = 54907 WHERE id = 7;"
              "UPDATE t SET v = 7 WHERE id = 54907;"
              "INSERT INTO t SELECT -g, NULL, 'extra' FROM generate_series(1, 2000) g")
    before = pair.dsql("SELECT count(*) FROM t")[0][0]
    with Reader(pair, "SELECT count(*) FROM t") as reader, \
            Writer(pair, "UPDATE t SET w = w WHERE ctid = (SELECT ctid FROM t WHERE v = %s LIMIT 1)",
                   [v for at in range(100, 27000, 100) for v in (at, 54000 - at)]) as writer:
        swap(bunny, "m", "public.t", 120)
        writer.stop()
        counts = [s[0] for s in reader.stop()]
    print(f"{len(writer.waits)} writes, longest {writer.longest * 1000:.0f} ms; longest read "
          f"{reader.longest * 1000:.0f} ms; {len(counts)} counts")
    assert log_count(bunny, "way=steps") == 1
    assert min(counts) == counts[0] == before and counts[-1] == total, counts
    assert counts == sorted(counts) or not has_key, counts
    assert max(writer.longest, reader.longest) < soon(5 * MOST_WAIT)
    pair.assert_equal()
    assert_nothing_missed(bunny, "m")
    assert_no_shadows(pair)


@pytest.mark.long
def test_kill_in_the_middle_of_small_steps(pair, bunny):
    """Some rows are the new ones then; there are never fewer, and the copy begins anew by itself."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, w text);"
             "INSERT INTO t SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 60000) g")
    bunny.mirror("m", pair)
    pair.dsql("UPDATE t SET w = 'wrong'; DELETE FROM t WHERE id > 55000")
    with Reader(pair, "SELECT count(*) FROM t") as reader, \
            Writer(pair, "UPDATE t SET w = w WHERE id = %s", range(1, 50000, 7)) as writer:
        ask_swap(bunny, "m", "public.t")
        wait_for(lambda: log_count(bunny, "it goes on in small steps"), 90, "small steps", 0.01)
        wait_for(lambda: pair.dsql("SELECT count(*) FROM t") > [(55000,)], 60, "the first of them", 0.01)
        bunny.kill()
        pair.sql("UPDATE t SET w = 'x' WHERE id % 3 = 0; DELETE FROM t WHERE id = 60000")
        bunny.start()
        wait_for(lambda: is_settled(bunny, "m", "public.t"), 90, "the swap")
        writer.stop()
        counts = [s[0] for s in reader.stop()]
    assert min(counts) == 55000, counts
    pair.assert_equal()
    wait_for(lambda: assert_no_shadows(pair) or True, 30, "everything to be gone")


# --- rows ----------------------------------------------------------------------------------------

@pytest.mark.long
@pytest.mark.limit(240)
@pytest.mark.sanitize
@pytest.mark.tsan
def test_under_load_of_every_kind(pair, bunny):
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    with Load(pair.source, pair.sdb, clients=4, rate=150, script=WORK, directory=bunny.dir):
        for name in NAMES:
            pair.dsql(f"INSERT INTO {name} VALUES {FOREIGN[name]}")
            swap(bunny, "m", f"public.{name}")
    assert pair.assert_equal() > 7000
    assert_nothing_missed(bunny, "m")
    assert_no_shadows(pair)


@pytest.mark.long
@pytest.mark.limit(240)
def test_a_whole_mirror_under_load(pair, bunny):
    """All tables, with foreign keys between them, while their rows and keys change; the slot is the
    same as before, and the operation lasts until the last table is there."""
    pair.sql(TABLES + GRAPH)
    bunny.mirror("m", pair)
    wait_for(lambda: assert_equal_structure(pair.src, pair.dst) or True, 30, "the structure")
    before, slot = dump(pair), pair.slots()[0][0]
    with Load(pair.source, pair.sdb, clients=3, rate=80, script=WORK + GRAPH_WORK,
              directory=bunny.dir):
        for name in NAMES:
            pair.dsql(f"INSERT INTO {name} VALUES {FOREIGN[name]}")
        swapped = log_count(bunny, "rows swapped")
        ask_swap(bunny, "m")
        assert bunny.status("m")["operation"] == "resync"
        wait_for(lambda: all_settled(bunny, "m"), 90, "all tables")
        assert log_count(bunny, "rows swapped") - swapped == 9
    assert pair.assert_equal() > 7000
    assert dump(pair) == before
    assert pair.slots()[0][0] == slot
    assert log_count(bunny, " started slot=") == 1, "another run began"
    assert pair.dsql("SELECT conname FROM pg_constraint WHERE NOT convalidated") == []
    assert_nothing_missed(bunny, "m")
    assert_no_shadows(pair)


@pytest.mark.long
def test_partitions_change_together(pair, bunny):
    """Rows move between them meanwhile, and some are emptied."""
    pair.sql(PARTITIONED)
    bunny.mirror("m", pair, ["public.p", "public.other"])
    before = dump(pair)
    pair.dsql("UPDATE p SET v = 'wrong'; INSERT INTO p VALUES (-999999, 150, 'x')")
    with Reader(pair, "SELECT count(*), count(*) FILTER (WHERE v = 'wrong') FROM p") as reader:
        swap(bunny, "m", "public.p", leaf="public.p2b")
        assert reader.stop() == [(2001, 2000), (2000, 0)] and reader.longest < soon(MOST_WAIT)
    with Load(pair.source, pair.sdb, clients=3, rate=150, script=PARTITIONED_WORK,
              directory=bunny.dir):
        for _ in range(2):
            pair.dsql("INSERT INTO p VALUES (-999999, 150, 'x')")
            swap(bunny, "m", "public.p", leaf="public.p2b")
    pair.assert_equal()
    assert dump(pair) == before
    assert_nothing_missed(bunny, "m")
    assert_no_shadows(pair)


def test_a_swap_that_fails_at_its_end_leaves_no_table(pair, bunny):
    """Nor does the next one in the same stream find any."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text);"
             "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 500) g")
    bunny.mirror("m", pair)
    pair.dsql("UPDATE t SET v = 'old' WHERE id < 10; ALTER TABLE t ADD CONSTRAINT no CHECK (v <> 'v') "
              "NOT VALID")
    ask_swap(bunny, "m", "public.t")
    wait_for(lambda: table(bunny, "m", "public.t")["error_message"], 60, "the swap to fail")
    shadows = "SELECT relname FROM pg_class WHERE relname LIKE 'swap\\_%'"
    wait_for(lambda: pair.dsql(shadows) == [], 30, "its tables to go", 0.02)
    assert pair.dsql("SELECT count(*) FROM t WHERE v = 'old'") == [(9,)]
    pair.dsql("ALTER TABLE t DROP CONSTRAINT no")
    wait_for(lambda: all_settled(bunny, "m"), 90, "the next one")
    pair.assert_equal()
    assert log_count(bunny, " started slot=") == 1
    wait_for(lambda: assert_no_shadows(pair) or True, 30, "all traces to go")


def test_a_swap_of_a_process_that_was_fenced_off_writes_nothing(pair, bunny):
    """Another one has taken the mirror over while the swap waited for its lock."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text);"
             "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 500) g")
    bunny.mirror("m", pair)
    pair.dsql("UPDATE t SET v = 'old'")
    with pair.dest.connect(pair.ddb) as c, c.transaction():
        c.execute("LOCK TABLE t IN EXCLUSIVE MODE")
        bunny.api.post("/v1/mirrors/m/resync/public.t", {"strategy": "swap"})
        wait_for(lambda: pair.dsql("SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND "
                                   "NOT granted")[0][0], 60, "the swap to wait for its lock", 0.01)
        pair.dsql("UPDATE _bunnydb.progress SET epoch = epoch + 1")
    wait_for(lambda: "another process took over" in bunny.log_tail(10**8), 60, "the fence")
    before = bunny.log_tail(10**8).split("another process took over")[0]
    assert " rows swapped table=public.t " not in before, before
    wait_for(lambda: all_settled(bunny, "m"), 90, "the copy of who came after it")
    pair.assert_equal()
    assert_no_shadows(pair)


def test_what_is_the_same_is_not_touched(pair, bunny):
    """Nor is a column that only the destination has, in such a row; values that are equal but not
    the same come anew."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, n numeric, f float8, j json, b bytea, w text);"
             "ALTER TABLE t ALTER w SET STORAGE EXTERNAL;"
             "INSERT INTO t SELECT g, 1.50, 0.0, '{\"a\": 1}', '\\x00ff', repeat('x', 10000) FROM "
             "generate_series(1, 100) g; CREATE TABLE none (); INSERT INTO none SELECT FROM "
             "generate_series(1, 5); ALTER TABLE none REPLICA IDENTITY FULL")
    bunny.mirror("m", pair)
    pair.dsql("ALTER TABLE t ADD own text; UPDATE t SET own = 'kept';"
              "UPDATE t SET n = 1.5 WHERE id = 1; UPDATE t SET f = '-0' WHERE id = 2;"
              "UPDATE t SET j = '{\"a\":1}' WHERE id = 3; UPDATE t SET w = w || 'y' WHERE id = 4;"
              "INSERT INTO none SELECT FROM generate_series(1, 3)")
    was = dict(pair.dsql("SELECT id, xmin::text FROM t"))
    swap(bunny, "m", "public.t")
    swap(bunny, "m", "public.none")
    now = dict(pair.dsql("SELECT id, xmin::text FROM t"))
    assert [i for i in was if was[i] != now[i]] == [1, 2, 3, 4]
    assert pair.dsql("SELECT count(*) FROM t WHERE own = 'kept'") == [(96,)]
    assert pair.dsql("SELECT DISTINCT pg_column_size(w) FROM t") == [(10000,)]
    pair.dsql("ALTER TABLE t DROP own")
    pair.assert_equal()


def test_names_mappings_and_excluded_columns(pair, bunny):
    """Also a key that the destination has on other columns, and a column that it fills itself."""
    pair.sql('CREATE TABLE "Odd ""T""" ("a b" int PRIMARY KEY, "SELECT" text, secret text NOT NULL);'
             "INSERT INTO \"Odd \"\"T\"\"\" SELECT g, 'it''s ' || g, 's' FROM generate_series(1, 50) g;"
             "CREATE TABLE k (id int PRIMARY KEY, code varchar(9) NOT NULL UNIQUE, v int);"
             "INSERT INTO k SELECT g, 'c' || g, g FROM generate_series(1, 50) g")
    pair.dsql('CREATE TABLE k (v int, id int NOT NULL, code varchar(9) PRIMARY KEY, '
              "at timestamptz NOT NULL DEFAULT now())")
    bunny.mirror("m", pair, [
        {"source_table": 'public.Odd "T"', "destination_schema": 'Ziel "1"', "destination_table": "über",
         "exclude_columns": ["secret"]}, "public.k"])
    pair.dsql('DELETE FROM "Ziel ""1"""."über" WHERE "a b" > 40; UPDATE k SET v = -1 WHERE id < 10;'
              "DELETE FROM k WHERE id > 40; INSERT INTO k VALUES (1, 1000, 'more')")
    before = dump(pair)
    ask_swap(bunny, "m")
    wait_for(lambda: all_settled(bunny, "m") and log_count(bunny, "rows swapped") == 2, 60, "both")
    assert dump(pair) == before
    assert pair.dsql('SELECT "a b", "SELECT" FROM "Ziel ""1"""."über" ORDER BY 1') == \
        pair.sql('SELECT "a b", "SELECT" FROM "Odd ""T""" ORDER BY 1')
    assert pair.dsql("SELECT id, code, v FROM k ORDER BY id") == \
        pair.sql("SELECT id, code, v FROM k ORDER BY id")
    assert_no_shadows(pair)


# --- definitions ---------------------------------------------------------------------------------

# What an operator may have made around a table of a mirror.
EVERYTHING = """
CREATE ROLE {role}; CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE TABLE own (id int PRIMARY KEY REFERENCES thing ON DELETE CASCADE, n int);
INSERT INTO own SELECT id, id FROM thing;
ALTER TABLE thing ADD CONSTRAINT "Odd ""x"" check" CHECK (n > -10000000) NOT VALID;
ALTER TABLE thing ADD CONSTRAINT "my unique" UNIQUE (n, id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE thing ADD CONSTRAINT apart EXCLUDE USING gist (id WITH =);
ALTER TABLE thing ADD own_column int DEFAULT 7;
ALTER TABLE thing ADD twice int GENERATED ALWAYS AS (n * 2) STORED;
CREATE INDEX "Own index" ON thing (lower(v)) WITH (fillfactor = 70) WHERE n > 5;
ALTER INDEX "Own index" ALTER COLUMN 1 SET STATISTICS 77;
CREATE UNIQUE INDEX thing_identity ON thing (id);
ALTER TABLE thing REPLICA IDENTITY USING INDEX thing_identity;
ALTER TABLE thing CLUSTER ON thing_pkey;
ALTER TABLE thing SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.3);
ALTER TABLE thing ALTER v SET STORAGE EXTERNAL, ALTER v SET STATISTICS 321,
                  ALTER v SET COMPRESSION pglz, ALTER n SET (n_distinct = 5);
CREATE SEQUENCE own_sequence OWNED BY thing.own_column;
ALTER TABLE thing ALTER own_column SET DEFAULT nextval('own_sequence');
GRANT SELECT, UPDATE ON thing TO {role} WITH GRANT OPTION; GRANT INSERT (v) ON thing TO PUBLIC;
ALTER TABLE thing ENABLE ROW LEVEL SECURITY;
ALTER TABLE thing FORCE ROW LEVEL SECURITY;
CREATE POLICY "some" ON thing FOR SELECT TO {role} USING (n > 5);
CREATE STATISTICS thing_statistics (dependencies, mcv) ON n, v FROM thing;
ALTER STATISTICS thing_statistics SET STATISTICS 55;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
CREATE TRIGGER t_plain BEFORE UPDATE ON thing FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER t_always AFTER INSERT ON thing FOR EACH ROW WHEN (NEW.n > 3) EXECUTE FUNCTION touch();
CREATE TRIGGER t_off AFTER DELETE ON thing FOR EACH STATEMENT EXECUTE FUNCTION touch();
ALTER TABLE thing ENABLE ALWAYS TRIGGER t_always; ALTER TABLE thing DISABLE TRIGGER t_off;
CREATE RULE quiet AS ON UPDATE TO thing WHERE NEW.n < -5000000 DO INSTEAD NOTHING;
CREATE PUBLICATION onwards FOR TABLE thing (id, n) WHERE (id > 3);
CREATE VIEW seen AS SELECT id, v FROM thing WHERE n > 3;
CREATE MATERIALIZED VIEW kept AS SELECT count(*) AS c FROM thing;
CREATE FUNCTION how_many() RETURNS bigint LANGUAGE SQL BEGIN ATOMIC SELECT count(*) FROM thing; END;
CREATE FUNCTION first_of(thing) RETURNS text LANGUAGE SQL AS 'SELECT $1.v';
CREATE TABLE heir (more int) INHERITS (thing);
CREATE TABLE typed (t thing);
COMMENT ON TABLE thing IS 'it''s a table'; COMMENT ON COLUMN thing.v IS 'of the operator';
COMMENT ON CONSTRAINT apart ON thing IS 'c'; COMMENT ON INDEX "Own index" IS 'i';
COMMENT ON TRIGGER t_plain ON thing IS 't'; COMMENT ON POLICY "some" ON thing IS 'p';
COMMENT ON RULE quiet ON thing IS 'r';
"""


def test_every_definition_is_what_it_was(pair, bunny):
    """Of a table with one of everything, whatever it is called at the source; all of it works."""
    role = f"reader{Pair.count}"
    pair.sql("CREATE TABLE to_this (id int PRIMARY KEY); INSERT INTO to_this SELECT "
             "generate_series(1, 50); CREATE TABLE thing (id int GENERATED ALWAYS AS IDENTITY PRIMARY"
             " KEY, serial serial, n int NOT NULL REFERENCES to_this DEFERRABLE, v text);"
             "CREATE TABLE from_this (id int PRIMARY KEY, thing int REFERENCES thing);"
             "INSERT INTO thing (n, v) SELECT 1 + g % 50, 'v' || g FROM generate_series(1, 500) g;"
             "INSERT INTO from_this SELECT g, g FROM generate_series(1, 100) g")
    bunny.mirror("m", pair)
    try:
        pair.dsql(EVERYTHING.format(role=role))
        before, oid = dump(pair), pair.dsql("SELECT 'thing'::regclass::oid")
        pair.dsql("UPDATE thing SET v = 'wrong' WHERE id < 100")
        pair.dsql("SET session_replication_role = replica; DELETE FROM thing WHERE id = 400;"
                  "RESET session_replication_role; INSERT INTO heir (id, n, v) VALUES (1, 1, 'heir')")
        swap(bunny, "m", "public.thing")
        pair.sql("UPDATE thing SET v = 'later' WHERE id = 9; INSERT INTO thing (n) VALUES (7)")
        pair.wait_confirmed()
        ask_swap(bunny, "m")
        wait_for(lambda: all_settled(bunny, "m"), 60, "all tables")
        assert dump(pair) == before
        assert pair.dsql("SELECT 'thing'::regclass::oid") == oid
        assert pair.sql("SELECT id, serial, n, v FROM thing ORDER BY id") == \
            pair.dsql("SELECT id, serial, n, v FROM ONLY thing ORDER BY id")
        assert pair.dsql("SELECT count(*) FROM ONLY thing WHERE twice <> n * 2") == [(0,)]
        assert pair.dsql("SELECT how_many(), (SELECT count(*) FROM heir), (SELECT count(*) FROM own)"
                         ) == [(502, 1, 500)]
        pair.dsql("REFRESH MATERIALIZED VIEW kept")
        assert pair.dsql("SELECT c FROM kept") == [(502,)]
        for constraint in ("own_id_fkey", "from_this_thing_fkey", "thing_n_fkey"):
            owner, definition = pair.dsql(
                "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE conname = %s AND convalidated", (constraint,))[0]
            pair.dsql(f"ALTER TABLE {owner} DROP CONSTRAINT {constraint};"
                      f"ALTER TABLE {owner} ADD CONSTRAINT {constraint} {definition}")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            pair.dsql("INSERT INTO own VALUES (123456)")
        pair.assert_equal(tables=[("public", "to_this"), ("public", "from_this")])
        assert_no_shadows(pair)
    finally:
        pair.dsql(f"DROP TABLE IF EXISTS heir, own; DROP PUBLICATION IF EXISTS onwards; DROP OWNED BY {role} CASCADE;"
                  f"DROP ROLE {role}")


def test_truncate_of_a_table_that_is_swapped_and_has_foreign_keys(pair, bunny):
    """The keys stay at the destination, where one of them is in the stream and one in the copy."""
    pair.sql("CREATE TABLE top (id int PRIMARY KEY); CREATE TABLE sub (id int PRIMARY KEY, top int "
             "REFERENCES top); INSERT INTO top SELECT generate_series(1, 1000);"
             "INSERT INTO sub SELECT g, g FROM generate_series(1, 1000) g")
    bunny.mirror("m", pair)
    for name in ("sub", "top"):
        pair.dsql(f"INSERT INTO {name} SELECT g FROM generate_series(5001, 5020) g")
        slow_copy(pair, name, 0)
        pair.dsql("CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
                  "PERFORM pg_advisory_xact_lock(77); RETURN NEW; END$$")
        pair.dsql("SET session_replication_role = replica; "
                  f"DELETE FROM {name} WHERE id = 999; RESET session_replication_role")
        with pair.dest.connect(pair.ddb) as c, c.transaction():
            c.execute("SELECT pg_advisory_xact_lock(77)")
            ask_swap(bunny, "m", f"public.{name}")
            wait_for(lambda: pair.dsql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT "
                                       "granted"), 30, "the exchange to have begun")
            pair.sql("TRUNCATE top, sub; INSERT INTO top SELECT generate_series(1, 1000);"
                     "INSERT INTO sub SELECT g, g FROM generate_series(1, 1000) g")
        wait_for(lambda n=name: is_settled(bunny, "m", f"public.{n}"), 60, "the swap")
        pair.dsql("DROP FUNCTION slow CASCADE")
        pair.assert_equal()
        assert pair.dsql("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated"
                         ) == [(1,)]
    assert_nothing_missed(bunny, "m")
    assert_no_shadows(pair)


# --- refusals ------------------------------------------------------------------------------------

def refused(bunny, wanted=None):
    answer = bunny.api.raw("POST", "/v1/mirrors/m/resync" + (f"/{wanted}" if wanted else ""),
                           {"strategy": "swap"})
    assert (answer.status, answer.code) == (409, "preflight_failed"), answer
    status = bunny.status("m")
    assert (status["status"], status["operation"]) == ("running", None)
    return answer.body["error"]


def test_what_cannot_be_swapped_is_refused_before_it_begins(pair, bunny, plain_mirror):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE free (id int PRIMARY KEY);"
             "CREATE TABLE keyless (a int); ALTER TABLE keyless REPLICA IDENTITY FULL;"
             "CREATE TABLE sub (id int PRIMARY KEY, t int REFERENCES t);"
             "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 300) g;"
             "INSERT INTO sub SELECT g, g FROM generate_series(1, 300) g")
    role = plain_mirror()
    wait_for(lambda: assert_equal_structure(pair.src, pair.dst) or True, 30, "the structure")
    for wanted in ("public.t", "public.sub", None):
        assert "has a foreign key to it or from it (sub_t_fkey), which acts on" in \
            refused(bunny, wanted)
    pair.dsql("UPDATE free SET id = 1; INSERT INTO free VALUES (-5)")
    swap(bunny, "m", "public.free")  # nothing stands against this one
    pair.dsql("CREATE RULE kept AS ON DELETE TO free DO INSTEAD NOTHING")
    assert "has a rule for INSERT or DELETE (kept), which acts on" in refused(bunny, "public.free")
    pair.dsql("DROP RULE kept ON free")
    pair.dsql("CREATE PUBLICATION onwards FOR TABLE keyless;"
              "ALTER TABLE keyless REPLICA IDENTITY NOTHING")
    assert "public.keyless cannot be swapped: it is published at the destination (onwards)" in \
        refused(bunny, "public.keyless")
    pair.dsql("DROP PUBLICATION onwards; ALTER TABLE keyless REPLICA IDENTITY FULL; REVOKE SELECT ON keyless FROM PUBLIC;"
              f"ALTER TABLE keyless OWNER TO postgres; GRANT INSERT ON keyless TO {role}")
    assert "may not be read, deleted from and inserted into" in refused(bunny, "public.keyless")
    pair.dsql(f"GRANT ALL ON keyless TO {role}; ALTER TABLE keyless ENABLE ROW LEVEL SECURITY")
    assert "has row security" in refused(bunny, "public.keyless")
    pair.dsql("ALTER TABLE keyless DISABLE ROW LEVEL SECURITY; DROP TABLE free")
    assert "public.free cannot be swapped: it is missing at the destination" in \
        refused(bunny, "public.free")
    bunny.api.post("/v1/mirrors/m/resync/public.free", {"strategy": "truncate"})
    wait_for(lambda: all_settled(bunny, "m"), 60, "the copy")
    pair.sql("INSERT INTO t VALUES (1000, 'x')")
    pair.assert_equal()


def test_rows_that_do_not_fit_leave_the_old_ones(pair, bunny):
    """A constraint of the destination, a trigger that takes rows away: the table keeps its rows, says
    so, the others stream; once the obstacle is gone the swap is made by itself."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE other (id int PRIMARY KEY);"
             "INSERT INTO t SELECT g, g FROM generate_series(1, 300) g")
    bunny.mirror("m", pair)
    pair.dsql("DELETE FROM t WHERE id > 200; ALTER TABLE t ADD CHECK (v < 250)")
    for obstacle in ("violates check constraint", "300 rows came, and the table has 299 then"):
        ask_swap(bunny, "m", "public.t")
        wait_for(lambda o=obstacle: o in (table(bunny, "m", "public.t")["error_message"] or ""), 30,
                 obstacle)
        assert pair.dsql("SELECT count(*) FROM t") == [(200,)]
        pair.sql("INSERT INTO other SELECT count(*) FROM other")
        pair.wait_confirmed()
        assert bunny.status("m")["status"] == "running"
        pair.dsql("ALTER TABLE t DROP CONSTRAINT IF EXISTS t_v_check; CREATE OR REPLACE FUNCTION f() "
                  "RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN CASE WHEN NEW.id <> 250 THEN "
                  "NEW END; END$$; CREATE OR REPLACE TRIGGER f BEFORE INSERT ON t FOR EACH ROW "
                  "EXECUTE FUNCTION f(); ALTER TABLE t ENABLE ALWAYS TRIGGER f")
    pair.dsql("DROP FUNCTION f CASCADE")
    wait_for(lambda: is_settled(bunny, "m", "public.t"), 60, "the swap")
    pair.assert_equal()
    assert_no_shadows(pair)


@pytest.mark.long
def test_a_table_that_was_set_aside_comes_back_by_a_swap(pair, bunny):
    """Readers have the rows from before its error until then."""
    pair.sql(GROWING)
    bunny.mirror("m", pair, on_table_error="set_aside")
    pair.dsql("ALTER TABLE t ADD CONSTRAINT own CHECK (v <> -77)")
    pair.sql("UPDATE t SET v = -77 WHERE id = 77; DELETE FROM t WHERE id > 19000")
    wait_for(lambda: table(bunny, "m", "public.t")["status"] == "set_aside", 60, "the table to be set "
             "aside")
    pair.dsql("ALTER TABLE t DROP CONSTRAINT own")
    with Reader(pair, "SELECT count(*), count(*) FILTER (WHERE v = -77) FROM t") as reader:
        swap(bunny, "m", "public.t")
        assert reader.stop() == [(20000, 0), (19000, 1)], reader.seen
    pair.assert_equal()
    assert_no_shadows(pair)


# --- ends of every kind --------------------------------------------------------------------------

@pytest.mark.long
@pytest.mark.limit(180 + 40 * KILLS)
@pytest.mark.parametrize("definitions, work, names", [
    pytest.param(TABLES, WORK, (*NAMES, None), id="plain"),
    pytest.param(GRAPH, GRAPH_WORK, ("man", None, "boss", "tool", "part"), id="foreign keys")])
@pytest.mark.long
def test_kill_at_any_moment_of_a_swap(loaded, definitions, work, names):
    """None: of the whole mirror. The reader never finds a table empty that is not."""
    pair, bunny = loaded
    pair.sql(definitions)
    bunny.mirror("m", pair)
    wait_for(lambda: assert_equal_structure(pair.src, pair.dst) or True, 60, "the structure")
    before = dump(pair)
    watched = "wide" if definitions is TABLES else "boss"
    slow_copy(pair, watched, 1)
    slowed = dump(pair)

    def spoil():
        """The stream may be changing the same rows."""
        try:
            pair.dsql(f"UPDATE {watched} SET {'v = 1' if watched == 'wide' else 'above = NULL'} "
                      "WHERE id % 3 = 0")
            return True
        except psycopg.errors.DeadlockDetected:
            return False

    with Load(pair.source, pair.sdb, clients=3, rate=60, script=work, directory=bunny.dir), \
            Reader(pair, f"SELECT count(*) > 40 FROM {watched}") as reader:
        for turn in range(KILLS):
            name = names[turn % len(names)] and f"public.{names[turn % len(names)]}"
            wait_for(spoil, 30, "wrong rows")
            ask_swap(bunny, "m", name)
            threading.Event().wait(random.random() * 2)
            bunny.kill()
            bunny.start()
            wait_for(lambda: all_settled(bunny, "m"), 90, f"{name} after the kill")
        assert reader.stop() == [(True,)], reader.seen
    ask_swap(bunny, "m")  # what was changed here by hand
    wait_for(lambda: all_settled(bunny, "m"), 90, "all tables")
    assert pair.assert_equal(90) > 1500
    assert all(t["rows_missing"] == 0 for t in bunny.status("m")["tables"])
    assert dump(pair) == slowed
    pair.dsql("DROP FUNCTION slow CASCADE")
    assert dump(pair) == before
    wait_for(lambda: assert_no_shadows(pair) or True, 30, "everything to be gone")


@pytest.mark.long
@pytest.mark.limit(240)
def test_servers_that_restart_during_a_swap(loaded):
    """An unlogged table is empty after a crash; what was in it is not taken for the source's rows."""
    pair, bunny = loaded
    pair.sql(TABLES)
    bunny.mirror("m", pair)
    before = dump(pair)
    for cluster in (pair.dest, pair.source):
        pair.dsql("UPDATE wide SET v = 'wrong'")
        slow_copy(pair, "wide", 1)
        ask_swap(bunny, "m", "public.wide")
        wait_for(lambda: pair.dsql("SELECT 1 FROM pg_locks WHERE relation = 'wide'::regclass AND "
                                   "mode = 'ShareRowExclusiveLock'"), 30, "the exchange", 0.01)
        pair.sql("UPDATE wide SET v = 'x' WHERE id % 3 = 0; UPDATE moving SET id = -id")
        cluster.restart("immediate")
        assert pair.dsql("SELECT count(*) FROM wide WHERE v = 'wrong'") == [(3000,)]
        fast_copy(pair)
        wait_for(lambda: is_settled(bunny, "m", "public.wide"), 90, "the swap")
        pair.dsql("DROP FUNCTION slow CASCADE")
    pair.assert_equal()
    assert dump(pair) == before
    assert_no_shadows(pair)


@pytest.mark.long
def test_pause_shutdown_and_deletion_call_a_swap_off(pair, bunny):
    """Within a second or two; the table keeps its old rows, and nothing stays beside it."""
    pair.sql(TABLES + "ALTER TABLE other ADD FOREIGN KEY (id) REFERENCES moving DEFERRABLE")
    bunny.mirror("m", pair)

    def in_swap():
        wait_for(lambda: pair.dsql("SELECT 1 FROM pg_locks WHERE relation = 'moving'::regclass AND "
                                   "mode = 'ShareRowExclusiveLock'"), 30, "the exchange", 0.01)

    def seconds(call):
        began = time.monotonic()
        call()
        return time.monotonic() - began

    pair.dsql("UPDATE moving SET v = -7")
    slow_copy(pair, "moving", 5)
    slowed = dump(pair)
    ask_swap(bunny, "m", "public.moving")
    in_swap()
    assert seconds(lambda: bunny.api.post("/v1/mirrors/m/pause")) < soon(2)
    wait_for(lambda: dump(pair) == slowed, 10, "the table beside it to go")
    bunny.api.post("/v1/mirrors/m/resume")
    in_swap()
    code, took = bunny.stop()
    assert code == 0 and took < soon(2)
    assert pair.dsql("SELECT count(*) FROM moving WHERE v = -7") == [(3000,)]
    bunny.start()
    in_swap()
    bunny.kill()  # leaves it
    pair.dsql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
              "'bunnydb%' AND datname = current_database()")
    bunny.start()
    in_swap()
    assert seconds(lambda: bunny.api.delete("/v1/mirrors/m")) < soon(3)
    assert pair.dsql("SELECT count(*) FROM moving WHERE v = -7") == [(3000,)]
    pair.dsql("DROP FUNCTION slow CASCADE")
    wait_for(lambda: pair.assert_clean() or True, 10, "everything to be gone")
    assert not [line for line in dump(pair) if "_bunnydb" in line]


@pytest.mark.long
def test_a_wish_for_another_way_counts(pair, bunny):
    """The mirror's own strategy holds unless another one is asked for."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT g, g FROM "
             "generate_series(1, 300) g")
    bunny.mirror("m", pair, resync_strategy="swap")
    pair.dsql("UPDATE t SET v = -1")
    bunny.api.post("/v1/mirrors/m/resync/public.t")
    wait_for(lambda: log_count(bunny, "rows swapped table=public.t removed=300 added=300") == 1, 60,
             "the swap")
    wait_for(lambda: is_settled(bunny, "m", "public.t"), 60, "the swap")
    bunny.cli("resync", "m", "public.t", "--strategy", "truncate", "--wait")
    assert log_count(bunny, "rows swapped") == 1
    bunny.cli("resync", "m", "--strategy", "swap", "--wait")
    wait_for(lambda: all_settled(bunny, "m"), 60, "the swap")
    assert log_count(bunny, "rows swapped table=public.t removed=0 added=0") == 1
    pair.assert_equal()
    assert_no_shadows(pair)


# --- without a slot ------------------------------------------------------------------------------

def lose_slot(pair, bunny):
    """The slot goes while the mirror is down: what was written since is nowhere any more."""
    bunny.kill()
    slot = pair.slots()[0][0]
    wait_for(lambda: not pair.slots()[0][1], 30, "the slot to be free")
    pair.source.sql("SELECT pg_drop_replication_slot(%s)", (slot,))


@pytest.mark.long
def test_readers_keep_their_rows_when_the_slot_is_lost(pair, bunny):
    """A whole mirror by swap is the way back: no table is ever empty, and what was missed is there."""
    pair.sql(GROWING + "CREATE TABLE sub (id int PRIMARY KEY, t int REFERENCES t);"
             "INSERT INTO sub SELECT g, g FROM generate_series(1, 300) g")
    bunny.mirror("m", pair)
    wait_for(lambda: assert_equal_structure(pair.src, pair.dst) or True, 30, "the structure")
    before = dump(pair)
    lose_slot(pair, bunny)
    pair.sql("UPDATE t SET w = 'missed' WHERE id % 2 = 0; DELETE FROM other WHERE id > 90;"
             "INSERT INTO t SELECT g, g, 'more' FROM generate_series(20001, 20100) g;"
             "DELETE FROM sub WHERE id < 100")
    bunny.start()
    wait_for(lambda: bunny.status("m")["error_code"] == "slot_missing", 60, "the slot to be missed")
    with Load(pair.source, pair.sdb, clients=1, rate=50, script=GROWING_WORK, directory=bunny.dir), \
            Reader(pair, "SELECT (SELECT count(*) FROM t) >= 20000, (SELECT count(*) FROM other) >= "
                   "90, (SELECT count(*) FROM sub) >= 201") as reader:
        ask_swap(bunny, "m")
        wait_for(lambda: all_settled(bunny, "m"), 90, "all tables")
        assert reader.stop() == [(True, True, True)] and reader.longest < soon(MOST_WAIT), reader.longest
    assert log_count(bunny, "rows swapped") == 3
    pair.assert_equal()
    assert dump(pair) == before
    assert all(t["rows_missing"] == 0 for t in bunny.status("m")["tables"])
    assert_no_shadows(pair)


@pytest.mark.long
def test_retry_goes_the_mirrors_own_way_when_the_slot_is_lost(pair, bunny):
    """With resync_strategy swap it keeps the rows, also when the slot goes under a swap; truncate is
    truncate."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT g, g FROM "
             "generate_series(1, 3000) g")
    bunny.mirror("m", pair, resync_strategy="swap")
    lose_slot(pair, bunny)
    pair.sql("UPDATE t SET v = -v WHERE id % 2 = 0")
    bunny.start()
    wait_for(lambda: bunny.status("m")["error_code"] == "slot_missing", 60, "the slot to be missed")
    with Reader(pair, "SELECT count(*) FROM t") as reader:
        bunny.api.post("/v1/mirrors/m/retry", {"take_slot": True})
        wait_for(lambda: all_settled(bunny, "m"), 60, "the swap")
        assert reader.stop() == [(3000,)]
    assert log_count(bunny, "rows swapped table=public.t removed=1500 added=1500") == 1
    pair.assert_equal()
    slow_copy(pair, "t", 2)
    pair.dsql("UPDATE t SET v = 0")
    ask_swap(bunny, "m")
    wait_for(lambda: pair.dsql("SELECT 1 FROM pg_locks WHERE relation = 't'::regclass AND mode = "
                               "'ShareRowExclusiveLock'"), 30, "the exchange", 0.01)
    lose_slot(pair, bunny)
    fast_copy(pair)
    bunny.start()
    wait_for(lambda: all_settled(bunny, "m"), 60, "the swap, which goes on with a new slot")
    assert log_count(bunny, "rows swapped") == 2
    pair.assert_equal()
    lose_slot(pair, bunny)
    bunny.start()
    wait_for(lambda: bunny.status("m")["error_code"] == "slot_missing", 60, "the slot to be missed")
    bunny.api.post("/v1/mirrors/m/resync", {"strategy": "truncate"})
    wait_for(lambda: all_settled(bunny, "m"), 60, "the copy")
    assert log_count(bunny, "rows swapped") == 2
    pair.dsql("DROP FUNCTION slow CASCADE")
    pair.assert_equal()
    assert_no_shadows(pair)


@pytest.mark.long
def test_definitions_that_changed_while_the_slot_was_lost(pair, bunny):
    """They follow on the rows that are there; what these do not take is said, and empties nothing."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v int, gone text); CREATE TABLE u (id int PRIMARY KEY);"
             "INSERT INTO t SELECT g, g, 'x' FROM generate_series(1, 3000) g;"
             "INSERT INTO u SELECT generate_series(1, 300); CREATE TABLE w (id int PRIMARY KEY, v text);"
             "INSERT INTO w SELECT g, repeat('x', g) FROM generate_series(1, 30) g")
    bunny.mirror("m", pair)
    lose_slot(pair, bunny)
    pair.sql("ALTER TABLE t ADD w text DEFAULT 'new', ALTER v TYPE bigint, DROP gone;"
             "ALTER TABLE w ALTER v TYPE int USING length(v);"
             "ALTER TABLE u ADD n int; UPDATE u SET n = id; ALTER TABLE u ALTER n SET NOT NULL;"
             "DELETE FROM t WHERE id > 2900")
    bunny.start()
    wait_for(lambda: bunny.status("m")["status"] == "error", 60, "the change to be seen")
    with Reader(pair, "SELECT (SELECT count(*) FROM t) >= 2900, (SELECT count(*) FROM u) = 300") as reader:
        ask_swap(bunny, "m")

        def swapped_or_said():
            tables = {t["table_name"]: t for t in bunny.status("m")["tables"]}
            return (tables["public.t"]["status"] == "streaming" and
                    (tables["public.u"]["status"] == "streaming" or tables["public.u"]["error_message"]))
        wait_for(swapped_or_said, 90, "the tables")
        assert reader.stop() == [(True, True)], reader.seen
        assert pair.dsql("SELECT min(v), count(*) FROM w") == [("x", 30)]
    said = wait_for(lambda: {f["title"]: f for f in bunny.status("m")["findings"]
                             if f["code"] == "table_copy"}.get("public.w cannot be copied"), 60, "the finding")
    assert "22P02" in said["cause"], said
    assert "bunnydb resync m public.w --strategy truncate" in said["remedy"], said
    assert said["action"] == "resync" and "bunnydb resync m public.w" in said["remedy"], said
    for name in ("u", "w"):
        if {t["table_name"]: t["status"] for t in bunny.status("m")["tables"]}[f"public.{name}"] == "error":
            wait_for(lambda: not bunny.status("m")["operation"], 60, "the end of the operation")
            bunny.api.post(f"/v1/mirrors/m/resync/public.{name}", {"strategy": "truncate"})
    wait_for(lambda: all_settled(bunny, "m"), 60, "all tables")
    wait_for(lambda: not [f for f in bunny.status("m")["findings"] if f["code"] == "table_copy"], 10,
             "the end of the finding")
    pair.assert_equal(excluded=None, tables=[("public", "u"), ("public", "w")])
    assert pair.sql("SELECT id, v, w FROM t ORDER BY id") == pair.dsql("SELECT id, v, w FROM t ORDER BY id")
    assert_no_shadows(pair)


def test_a_column_that_has_another_type_meanwhile(pair, bunny):
    """Readers keep rows all the time, cast to the new type, until those of the source take their place."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, k text, v bigint); CREATE INDEX ON t (k);"
             "INSERT INTO t SELECT g, g::text, g FROM generate_series(1, 3000) g")
    bunny.mirror("m", pair, schema_changes="manual")
    with Reader(pair, "SELECT count(*) >= 3000 FROM t") as reader:
        pair.sql("ALTER TABLE t ALTER k TYPE int USING k::int * 2, ALTER v TYPE int;"
                 "INSERT INTO t VALUES (0, 7, 7); UPDATE t SET v = 1 WHERE id < 9")
        bunny.wait_status("m", "error", 30, may_fail=True)
        ask_swap(bunny, "m", "public.t")
        wait_for(lambda: all_settled(bunny, "m") and log_count(bunny, "rows swapped table=public.t "), 60,
                 "the table to be swapped")
        assert reader.stop() == [(True,)], reader.seen
    assert pair.assert_equal() == 3001
    assert pair.dsql("SELECT pg_typeof(k)::text, pg_typeof(v)::text, k FROM t WHERE id = 3000") == \
        [("integer", "integer", 6000)]
    assert_no_shadows(pair)
