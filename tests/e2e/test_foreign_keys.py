"""Promise: no foreign key of the source gets lost on the way. What the destination refuses is a
finding with the statement and the server's word, which goes once the key is there; copies that were
cut off, and tables that come by a swap, have their keys in the end."""
import pytest

from harness.compare import assert_equal_structure
from harness.waiting import wait_for
from test_table_copy import ask_resync, fast_copy, log_count, put_tables, slow_copy

FAMILY = ("CREATE TABLE parent (id int PRIMARY KEY, v text);"
          "CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent);"
          "INSERT INTO parent SELECT g, 'p' || g FROM generate_series(1, 20) g;"
          "INSERT INTO child SELECT g, g FROM generate_series(1, 20) g;")
KEYS = ("SELECT conname, convalidated FROM pg_constraint WHERE contype = 'f' AND connamespace = "
        "'public'::regnamespace ORDER BY 1")


def finding(bunny, code):
    return next((f for f in bunny.status("m")["findings"] if f["code"] == code), None)


def resync(bunny, name, wanted, strategy):
    said = f"copied tables stream tables={wanted} "
    before = log_count(bunny, said)
    bunny.api.post(f"/v1/mirrors/{name}/resync/{wanted}", {"strategy": strategy})
    wait_for(lambda: log_count(bunny, said) > before, 60, f"{wanted} to be copied")


def test_a_key_that_the_first_copy_cannot_make_is_a_finding(pair, bunny):
    """At once, without a sync-schema; over a restart; until it is there."""
    pair.sql(FAMILY)
    pair.dsql("CREATE UNLOGGED TABLE parent (id int PRIMARY KEY, v text)")
    bunny.mirror("m", pair)
    left = wait_for(lambda: finding(bunny, "definitions_left_out"), 30, "the finding")
    assert "child_p_fkey" in left["cause"] and "42P16" in left["cause"], left
    assert "FOREIGN KEY (p) REFERENCES" in left["remedy"], left
    bunny.stop()
    bunny.start()
    assert finding(bunny, "definitions_left_out") == left
    assert "child_p_fkey" in bunny.cli("sync-schema", "m", "--dry-run").stdout
    pair.dsql("ALTER TABLE parent SET LOGGED")
    bunny.cli("sync-schema", "m", "--wait", "60")
    wait_for(lambda: not finding(bunny, "definitions_left_out"), 30, "the end of the finding")
    wait_for(lambda: pair.dsql(KEYS) == [("child_p_fkey", True)], 30, "the key")
    pair.sql("INSERT INTO parent VALUES (21, 'x'); INSERT INTO child VALUES (21, 21)")
    pair.assert_equal()


def test_a_key_that_cannot_come_back_after_a_copy_is_a_finding(pair, bunny):
    """It is kept, and tried again after a sync-schema."""
    pair.sql(FAMILY)
    bunny.mirror("m", pair)
    slow_copy(pair, "parent", 100)
    ask_resync(bunny, "m", "public.parent")
    wait_for(lambda: not pair.dsql(KEYS), 30, "the key to be dropped for the copy")
    pair.dsql("ALTER TABLE child ALTER p TYPE text")
    fast_copy(pair)
    missing = wait_for(lambda: finding(bunny, "foreign_key_missing"), 60, "the finding")
    assert "child_p_fkey" in missing["remedy"] and "ADD CONSTRAINT" in missing["remedy"], missing
    assert "42804" in missing["cause"], missing
    bunny.stop()
    bunny.start()
    wait_for(lambda: finding(bunny, "foreign_key_missing"), 30, "the finding of another run")
    pair.dsql("ALTER TABLE child ALTER p TYPE int USING p::int")
    bunny.cli("sync-schema", "m", "--wait", "60")
    wait_for(lambda: pair.dsql(KEYS) == [("child_p_fkey", True)], 30, "the key")
    wait_for(lambda: not bunny.status("m")["findings"], 90, "the end of the findings")
    assert pair.dsql("SELECT * FROM _bunnydb.table_sync") == []
    pair.assert_equal()


def test_a_key_of_tables_that_are_gone_is_not_kept(pair, bunny):
    pair.sql(FAMILY)
    bunny.mirror("m", pair)
    slow_copy(pair, "parent", 100)
    ask_resync(bunny, "m", "public.parent")
    wait_for(lambda: not pair.dsql(KEYS), 30, "the key to be dropped for the copy")
    put_tables(bunny, "m", ["public.parent"])
    pair.dsql("DROP TABLE child")
    fast_copy(pair)
    bunny.api.post("/v1/mirrors/m/resume")
    wait_for(lambda: pair.dsql("SELECT * FROM _bunnydb.table_sync") == [], 60, "nothing to be left")
    assert not finding(bunny, "foreign_key_missing")
    pair.assert_equal(tables=[("public", "parent")])


@pytest.mark.parametrize("changes", ["auto", "manual"])
def test_a_key_that_was_added_and_not_validated(pair, bunny, changes):
    """As a copy leaves it that is cut off between both."""
    pair.sql(FAMILY)
    pair.dsql("CREATE TABLE parent (id int PRIMARY KEY, v text);"
              "CREATE TABLE child (id int PRIMARY KEY, p int);"
              "ALTER TABLE child ADD FOREIGN KEY (p) REFERENCES parent NOT VALID")
    bunny.mirror("m", pair, schema_changes=changes)
    assert pair.dsql(KEYS) == [("child_p_fkey", True)]
    assert_equal_structure(pair.src, pair.dst)
    pair.assert_equal()


def test_new_tables_that_come_by_a_swap_have_their_keys(pair, bunny):
    """Those between them, and those to and from tables that are there."""
    pair.sql(FAMILY)
    bunny.mirror("m", pair, ["public.parent"], resync_strategy="swap", schema_changes="manual")
    pair.sql("CREATE TABLE grandchild (id int PRIMARY KEY, c int REFERENCES child);"
             "INSERT INTO grandchild SELECT g, g FROM generate_series(1, 20) g")
    names = ("parent", "child", "grandchild")
    put_tables(bunny, "m", [f"public.{n}" for n in names])
    bunny.api.post("/v1/mirrors/m/resume")
    wait_for(lambda: [r for r in pair.dsql(KEYS) if r[1]] == [("child_p_fkey", True),
                                                             ("grandchild_c_fkey", True)], 60,
             "the keys")
    wait_for(lambda: pair.dsql("SELECT * FROM _bunnydb.table_sync") == [], 60, "nothing to be left")
    pair.assert_equal()


def test_a_key_that_rows_of_the_source_violate(pair, bunny):
    """They came while its triggers were disabled: the rows are copied, the key stays NOT VALID."""
    pair.sql(FAMILY + "ALTER TABLE child DISABLE TRIGGER ALL; INSERT INTO child VALUES (99, 99);"
             "ALTER TABLE child ENABLE TRIGGER ALL")
    bunny.mirror("m", pair)
    left = wait_for(lambda: finding(bunny, "definitions_left_out"), 30, "the finding")
    assert "validate constraint child_p_fkey" in left["cause"] and "23503" in left["cause"], left
    assert pair.dsql(KEYS) == [("child_p_fkey", False)]
    pair.sql("INSERT INTO parent VALUES (99, 'late')")
    pair.assert_equal()
    bunny.cli("sync-schema", "m", "--wait", "60")
    wait_for(lambda: pair.dsql(KEYS) == [("child_p_fkey", True)], 60, "the key to be validated")
    wait_for(lambda: not bunny.status("m")["findings"], 30, "the end of the finding")


TRIGGERS = ("SELECT g.tgrelid::regclass::text, p.proname, g.tgenabled FROM pg_trigger g JOIN pg_proc p "
            "ON p.oid = g.tgfoid WHERE g.tgisinternal ORDER BY 1, 2")


@pytest.mark.parametrize("strategy", ["truncate", "swap"])
def test_triggers_of_keys_are_after_a_resync_as_before(pair, bunny, strategy):
    """ALTER TABLE … DISABLE TRIGGER ALL at the destination, and what is enabled in other ways."""
    pair.sql(FAMILY + "CREATE TABLE pet (id int PRIMARY KEY, c int REFERENCES child);")
    bunny.mirror("m", pair)
    pair.dsql("ALTER TABLE child DISABLE TRIGGER ALL")
    name = pair.dsql("SELECT tgname FROM pg_trigger WHERE tgrelid = 'pet'::regclass "
                     "AND tgisinternal ORDER BY 1")[0][0]
    pair.dsql(f'ALTER TABLE pet ENABLE REPLICA TRIGGER "{name}"')
    before = pair.dsql(TRIGGERS)
    assert {row[2] for row in before} == {"O", "D", "R"}
    for wanted in ("public.child", "public.parent"):
        resync(bunny, "m", wanted, strategy=strategy)
        wait_for(lambda: pair.dsql("SELECT * FROM _bunnydb.table_sync") == [], 60, "the keys")
        assert pair.dsql(TRIGGERS) == before
    assert not bunny.status("m")["findings"]
    pair.assert_equal()


def test_a_key_of_the_destinations_own_comes_back_as_it_was(pair, bunny):
    """The source does not have it, so that nobody else brings it: valid, or not valid, with comment."""
    pair.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int);"
             "INSERT INTO a SELECT generate_series(1, 100); INSERT INTO b SELECT g, g FROM "
             "generate_series(1, 100) g")
    bunny.mirror("m", pair, schema_changes="manual")
    pair.dsql("ALTER TABLE b ADD CONSTRAINT own FOREIGN KEY (a) REFERENCES a;"
              "ALTER TABLE b ADD CONSTRAINT lax FOREIGN KEY (id) REFERENCES a NOT VALID;"
              "COMMENT ON CONSTRAINT own ON b IS 'ours'")
    keys = ("SELECT conname::text, convalidated, obj_description(oid, 'pg_constraint') FROM pg_constraint "
            "WHERE contype = 'f' ORDER BY 1")
    before = pair.dsql(keys)
    assert before == [("lax", False, None), ("own", True, "ours")]
    for name in ("public.a", "public.b"):
        resync(bunny, "m", name, "truncate")
        wait_for(lambda: pair.dsql("SELECT * FROM _bunnydb.table_sync") == [], 60, "the keys to come back")
        assert pair.dsql(keys) == before, name


def test_a_key_that_the_source_dropped_before_a_copy(pair, bunny):
    """The copy takes it off and puts it back, still as the mirror's own: the comparison drops it."""
    pair.sql(FAMILY)
    bunny.mirror("m", pair, schema_changes="manual")
    pair.assert_equal()
    pair.sql("ALTER TABLE child DROP CONSTRAINT child_p_fkey")
    resync(bunny, "m", "public.child", "truncate")
    wait_for(lambda: pair.dsql("SELECT * FROM _bunnydb.table_sync") == [] and pair.dsql(KEYS), 60,
             "the key to be back")
    bunny.cli("sync-schema", "m", "--wait", "60")
    wait_for(lambda: not pair.dsql(KEYS), 30, "the key to go")
    pair.assert_equal()


def test_keys_that_are_checked_with_the_commit(pair, bunny):
    """Where the destination's user may not leave them unchecked: a table with checks that are due is
    emptied nevertheless."""
    pair.sql("""CREATE TABLE p (id int PRIMARY KEY, v text);
        CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON UPDATE CASCADE);
        CREATE TABLE n (id int PRIMARY KEY, p int REFERENCES p ON DELETE SET NULL ON UPDATE SET NULL);
        INSERT INTO p SELECT i, i FROM generate_series(1, 40) i; INSERT INTO c SELECT id, id FROM p;
        INSERT INTO n SELECT id, id FROM p""")
    role = f"checked{pair.ddb}"
    pair.dsql(f"CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role};"
              f"GRANT CREATE ON DATABASE {pair.ddb} TO {role}")
    try:
        body = bunny.mirror_body("m", pair, ["public.*"])
        body["destination_peer"] = bunny.peer(pair.dest, pair.ddb, "checked", user=role)
        bunny.api.post("/v1/mirrors", body)
        bunny.wait_running("m")
        pair.sql("DELETE FROM c WHERE id < 9; DELETE FROM p WHERE id < 9; "
                 "UPDATE p SET id = id + 1000 WHERE id > 30")
        pair.sql("BEGIN; DELETE FROM c WHERE id = 9; DELETE FROM p WHERE id = 9; "
                 "INSERT INTO c VALUES (100, 10); TRUNCATE p CASCADE; INSERT INTO p VALUES (1); "
                 "INSERT INTO c VALUES (1, 1); COMMIT")
        assert pair.assert_equal() == 2
        assert {t["rows_missing"] for t in bunny.status("m")["tables"]} == {0}
        bunny.delete_all()
    finally:
        pair.dsql(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_checks_that_old_rows_violate_and_keys_of_a_table_to_itself(pair, bunny):
    """The first copy makes them after the rows; a later one finds them there, and has them back."""
    pair.sql("CREATE TABLE c (id int PRIMARY KEY, v int); INSERT INTO c VALUES (1, -1), (2, 5);"
             "ALTER TABLE c ADD CONSTRAINT pos CHECK (v > 0) NOT VALID;"
             "COMMENT ON CONSTRAINT pos ON c IS 'it''s new';"
             "CREATE TABLE p (id int PRIMARY KEY, up int REFERENCES p) PARTITION BY RANGE (id);"
             "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (10);"
             "CREATE TABLE p2 PARTITION OF p DEFAULT; INSERT INTO p VALUES (1, NULL), (50, 1), (2, 50)")
    bunny.mirror("m", pair)
    there = ("SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated, "
             "obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE contype IN ('c', 'f') "
             "AND conparentid = 0 AND conrelid <> 0 ORDER BY 1, 2")
    before = pair.dsql(there)
    assert [(row[1], row[3], row[4]) for row in before] == [("pos", False, "it's new"), ("p_up_fkey", True, None)]
    for name in ("c", "p"):
        resync(bunny, "m", f"public.{name}", "truncate")
        wait_for(lambda: pair.dsql("SELECT * FROM _bunnydb.table_sync") == [], 60, "the constraints to be back")
        assert pair.dsql(there) == before, name
    pair.sql("INSERT INTO p VALUES (3, 2); INSERT INTO c VALUES (3, 1)")
    assert pair.assert_equal() == 11


ACTING = """
CREATE TABLE a (id int PRIMARY KEY);
CREATE TABLE up (a int REFERENCES a ON UPDATE CASCADE ON DELETE CASCADE, n int, v text, PRIMARY KEY (a, n));
CREATE TABLE nulls (a int REFERENCES a ON UPDATE CASCADE ON DELETE SET NULL, j json);
CREATE TABLE defaults (a int DEFAULT 9 REFERENCES a ON UPDATE CASCADE ON DELETE SET DEFAULT, n int,
    PRIMARY KEY (a, n));
CREATE TABLE below (a int, n int, m int, FOREIGN KEY (a, n) REFERENCES up ON UPDATE CASCADE ON DELETE CASCADE);
ALTER TABLE nulls REPLICA IDENTITY FULL; ALTER TABLE defaults REPLICA IDENTITY FULL;
ALTER TABLE below REPLICA IDENTITY FULL;
INSERT INTO a SELECT generate_series(1, 9);
INSERT INTO up SELECT g, 1, 'old' FROM generate_series(1, 9) g;
INSERT INTO nulls SELECT g, '{}' FROM generate_series(1, 9) g, generate_series(1, 2);
INSERT INTO defaults SELECT g, g FROM generate_series(1, 9) g;
INSERT INTO below SELECT g, 1, m FROM generate_series(1, 9) g, generate_series(1, 2) m;
CREATE FUNCTION v() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN NEW.v := 'of ' || NEW.a; RETURN NEW; END$$;
CREATE TRIGGER v BEFORE UPDATE ON up FOR EACH ROW EXECUTE FUNCTION v();
"""


def test_what_acting_keys_have_changed_is_not_missing(pair, bunny, plain_mirror):
    """Where keys act at the destination, too, a row may have its new key before its own change comes;
    what else that brings is not lost."""
    pair.sql(ACTING)
    plain_mirror()
    pair.sql("UPDATE a SET id = 40 WHERE id = 4; UPDATE a SET id = id * 10 WHERE id IN (5, 6);"
             "BEGIN; UPDATE a SET id = 41 WHERE id = 40; UPDATE up SET n = 2 WHERE a = 41;"
             "UPDATE nulls SET a = 7 WHERE a = 41; DELETE FROM a WHERE id = 50; COMMIT;"
             "DELETE FROM a WHERE id IN (1, 2, 7); UPDATE up SET a = 8, n = 8 WHERE a = 60")
    pair.assert_equal()
    assert pair.dsql("SELECT v FROM up WHERE a IN (41, 8) ORDER BY n") == [("old",), ("of 41",), ("of 8",)]
    pair.dsql("DELETE FROM up WHERE a = 3")  # and below
    pair.sql("UPDATE a SET id = 30 WHERE id = 3")

    def told():  # the last ones, and those only
        missing = {t["table_name"]: t["rows_missing"] for t in bunny.status("m")["tables"]}
        assert (missing["public.up"], missing["public.below"]) == (1, 2), missing
        return missing
    assert sum(wait_for(told, 60, "the rows that are missing").values()) == 3


def test_without_the_right_to_be_a_replica(pair, bunny, plain_mirror):
    """What the destination's own key has deleted is not missing; its triggers are told."""
    pair.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int "
             "REFERENCES a ON DELETE CASCADE); INSERT INTO a SELECT generate_series(1, 9);"
             "INSERT INTO b SELECT g, g FROM generate_series(1, 9) g")
    role = plain_mirror()
    pair.sql("DELETE FROM a WHERE id = 1; DELETE FROM a WHERE id IN (2, 3)")
    pair.assert_equal()
    assert {t["rows_missing"] for t in bunny.status("m")["tables"]} == {0}
    assert not finding(bunny, "triggers_fire")
    pair.dsql('CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;'
              'CREATE TRIGGER "My t" BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION f();'
              'CREATE TRIGGER always BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION f();'
              'ALTER TABLE b ENABLE ALWAYS TRIGGER always')
    bunny.cli("pause", "m")
    bunny.cli("resume", "m")
    told = wait_for(lambda: finding(bunny, "triggers_fire"), 60, "the finding")
    assert told["remedy"] == 'ALTER TABLE public.b DISABLE TRIGGER "My t";', told
    assert f"GRANT SET ON PARAMETER session_replication_role TO {role};" in told["cause"], told
    pair.dsql(told["remedy"])
    bunny.cli("pause", "m")
    bunny.cli("resume", "m")
    wait_for(lambda: not finding(bunny, "triggers_fire"), 60, "the end of the finding")
    pair.dsql("DELETE FROM b WHERE id = 9")
    pair.sql("UPDATE b SET a = 8 WHERE id = 9; DELETE FROM b WHERE id = 9")
    wait_for(lambda: finding(bunny, "rows_missing"), 60, "the row that is missing")
    pair.assert_equal()
