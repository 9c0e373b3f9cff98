"""Promise: whatever changes rows at the source changes the same rows at the destination: triggers,
cascades, MERGE, COPY, prepared transactions, TRUNCATE in all its forms, and rewritten tables."""
import psycopg.sql as s
import pytest

from harness.compare import columns_of, tables_of

pytestmark = [pytest.mark.sanitize]


def equal(pair, bunny):
    """Equal, and no change found another number of rows than one."""
    rows = pair.assert_equal()
    missed = {t["table_name"]: t["rows_missing"] for t in bunny.status("m")["tables"]}
    assert set(missed.values()) == {0}, missed
    return rows


MAKE = """
CREATE EXTENSION btree_gist;
CREATE TABLE t (id int PRIMARY KEY, v text, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
CREATE TABLE neg (id int PRIMARY KEY, u int UNIQUE);
CREATE TABLE d (id int PRIMARY KEY DEFERRABLE, v text); ALTER TABLE d REPLICA IDENTITY FULL;
CREATE TABLE ex (id int PRIMARY KEY, r int4range, k int, EXCLUDE USING gist (k WITH =, r WITH &&));
CREATE TABLE pa (id int PRIMARY KEY, v text);
CREATE TABLE ca (id int PRIMARY KEY, p int REFERENCES pa ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE cn (id int PRIMARY KEY, p int REFERENCES pa ON DELETE SET NULL ON UPDATE SET NULL);
CREATE TABLE cd (id int PRIMARY KEY, p int DEFAULT 1 REFERENCES pa ON DELETE SET DEFAULT
    ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE self (id int PRIMARY KEY, up int REFERENCES self ON DELETE CASCADE);
CREATE TABLE audit (id serial PRIMARY KEY, what text);
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.audit (what) VALUES (TG_OP || coalesce(NEW.v, OLD.v)); RETURN NULL; END $$;
CREATE FUNCTION dot() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    NEW.v := NEW.v || '.'; RETURN NEW; END $$;
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION log();
CREATE TRIGGER b BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION dot();
CREATE VIEW vt AS SELECT id, v FROM t;
CREATE TABLE ru (id int PRIMARY KEY);
CREATE RULE r AS ON INSERT TO ru DO ALSO INSERT INTO neg VALUES (NEW.id + 5000, NEW.id + 5000);
CREATE TABLE bare (a int, b text); ALTER TABLE bare REPLICA IDENTITY FULL;
CREATE TABLE zero (); ALTER TABLE zero REPLICA IDENTITY FULL;
INSERT INTO zero DEFAULT VALUES; INSERT INTO zero DEFAULT VALUES;
INSERT INTO t SELECT i, 'v' || i, repeat('b', 5000) FROM generate_series(1, 20) i;
INSERT INTO neg SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO d SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO ex SELECT i, int4range(i, i + 1), 1 FROM generate_series(1, 20) i;
INSERT INTO pa SELECT i, i FROM generate_series(1, 20) i;
INSERT INTO ca SELECT id, id FROM pa; INSERT INTO cn SELECT id, id FROM pa;
INSERT INTO cd SELECT id, id FROM pa;
INSERT INTO self VALUES (1, NULL), (2, 1), (3, 2), (4, 3)"""

CHANGES = [
    "UPDATE neg SET id = -id, u = -u; UPDATE neg SET id = id - 100; "
    "UPDATE d SET id = id + 1; UPDATE d SET id = 52 - id",
    "BEGIN; UPDATE neg SET u = 100000 WHERE u = -1; UPDATE neg SET u = -1 WHERE u = -2; "
    "UPDATE neg SET u = -2 WHERE u = 100000; COMMIT",
    "BEGIN; UPDATE ex SET r = '[1000,1001)' WHERE id = 1; UPDATE ex SET r = '[1,2)' WHERE id = 2; "
    "UPDATE ex SET r = '[2,3)' WHERE id = 1; DELETE FROM ex WHERE id = 5; "
    "INSERT INTO ex VALUES (500, '[5,6)', 1); COMMIT",
    "DELETE FROM pa WHERE id BETWEEN 5 AND 8; UPDATE pa SET id = id + 1000 WHERE id > 15; "
    "DELETE FROM self WHERE id = 2",
    "BEGIN; INSERT INTO cd VALUES (777, 9999); INSERT INTO pa VALUES (9999); COMMIT",
    "INSERT INTO t VALUES (1, 'up', 'n'), (50, 'new', 'n') ON CONFLICT (id) DO UPDATE SET "
    "v = EXCLUDED.v; INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
    "UPDATE t SET v = pa.v FROM pa WHERE pa.id = t.id; "
    "DELETE FROM t USING pa WHERE pa.id = t.id AND t.id = 3",
    "WITH del AS (DELETE FROM t WHERE id < 5 RETURNING *), "
    "ins AS (INSERT INTO bare SELECT id, v FROM del RETURNING *) INSERT INTO bare SELECT * FROM ins",
    "UPDATE vt SET v = 'view' WHERE id = 9; INSERT INTO ru VALUES (1), (2)",
    "SET session_replication_role = replica; INSERT INTO t VALUES (900, 'replica'); "
    "DELETE FROM pa WHERE id = 1016; RESET session_replication_role",
    "SELECT pg_replication_origin_create('bunny_test'); "
    "SELECT pg_replication_origin_session_setup('bunny_test'); "
    "BEGIN; SELECT pg_replication_origin_xact_setup('0/1234', now()); "
    "INSERT INTO t VALUES (901, 'origin'); COMMIT; INSERT INTO t VALUES (902, 'origin'); "
    "SELECT pg_replication_origin_session_reset(); SELECT pg_replication_origin_drop('bunny_test')",
    "SELECT pg_logical_emit_message(true, 'p', 'x'), pg_logical_emit_message(false, 'p', '\\xff00');"
    "SELECT lo_from_bytea(0, '\\x00ff'); BEGIN; SELECT pg_logical_emit_message(true, 'p', 'x'); "
    "INSERT INTO t VALUES (903, 'm'); SELECT pg_logical_emit_message(true, 'p', repeat('x', 99999)); "
    "COMMIT",
    "DO $$ BEGIN FOR i IN 1..300 LOOP BEGIN INSERT INTO public.t VALUES (2000 + i, 's'); "
    "UPDATE public.t SET v = v || i WHERE id = 2000 + i; IF i % 3 = 0 THEN RAISE EXCEPTION 'x'; "
    "END IF; EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$",
    "BEGIN; SAVEPOINT a; INSERT INTO t VALUES (3000, 'a'); SAVEPOINT b; UPDATE t SET v = 'b' "
    "WHERE id = 3000; ROLLBACK TO b; UPDATE t SET v = 'c' WHERE id = 3000; RELEASE a; "
    "DELETE FROM t WHERE id = 3000; INSERT INTO t VALUES (3000, 'again', repeat('z', 9000)); "
    "UPDATE t SET v = 'x' WHERE id = 3000; UPDATE t SET id = 3001 WHERE id = 3000; COMMIT",
    "BEGIN; INSERT INTO zero DEFAULT VALUES; DELETE FROM zero WHERE ctid = (SELECT min(ctid) "
    "FROM zero); COMMIT; DELETE FROM zero WHERE ctid = (SELECT min(ctid) FROM zero)",
    "VACUUM FULL t", "CLUSTER neg USING neg_pkey", "REINDEX TABLE pa",
    "ALTER TABLE t SET (fillfactor = 50); UPDATE t SET v = 'after' WHERE id < 20; "
    "INSERT INTO bare VALUES (NULL, NULL), (NULL, NULL), (1, NULL), (NULL, 'x'); "
    "UPDATE bare SET a = 5 WHERE a IS NULL; "
    "DELETE FROM bare WHERE ctid = (SELECT min(ctid) FROM bare WHERE a = 5)",
    "TRUNCATE pa CASCADE; INSERT INTO pa VALUES (1), (2); INSERT INTO ca VALUES (1, 1)",
    "BEGIN; INSERT INTO ca VALUES (2, 2); TRUNCATE ca, cn RESTART IDENTITY; "
    "INSERT INTO cn VALUES (4, 1); TRUNCATE audit RESTART IDENTITY; "
    "INSERT INTO t VALUES (4000, 'tr'); COMMIT",
    "BEGIN; TRUNCATE t; SAVEPOINT q; INSERT INTO t VALUES (1, 'q'); ROLLBACK TO q; ROLLBACK; "
    "BEGIN; SAVEPOINT z; TRUNCATE t; ROLLBACK TO z; INSERT INTO t VALUES (4001, 'z'); COMMIT"]

MERGE = ("MERGE INTO t USING (SELECT generate_series(15, 25) i) s ON t.id = s.i WHEN MATCHED AND "
         "s.i % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'm', id = id + 500 "
         "WHEN NOT MATCHED THEN INSERT VALUES (s.i, 'mi', repeat('q', 4000))")


def test_every_kind_of_change(pair, bunny):
    pair.sql(MAKE)
    bunny.mirror("m", pair)
    for sql in CHANGES[:6] + [MERGE] * (pair.src.info.server_version >= 150000) + CHANGES[6:]:
        pair.sql(sql)
    with pair.src.cursor().copy("COPY t (id, v) FROM STDIN") as copy:
        copy.write("5001\ta\\\\b\n5002\t\\N\n5003\ttab\\there\n")
    assert equal(pair, bunny) > 300


def test_transactions_that_interleave(pair, bunny):
    pair.sql("CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int)")
    bunny.mirror("m", pair)
    with pair.source.connect(pair.sdb) as one, pair.source.connect(pair.sdb) as two:
        one.execute("BEGIN")
        two.execute("BEGIN")
        for i in range(500):
            one.execute(f"INSERT INTO a VALUES ({i}, 1)")
            two.execute(f"INSERT INTO b VALUES ({i}, 2)")
        one.execute("SAVEPOINT x")
        one.execute("UPDATE a SET v = 5")
        two.execute("UPDATE b SET v = 7")
        one.execute("ROLLBACK TO x")
        two.execute("COMMIT")
        one.execute("COMMIT")
    assert equal(pair, bunny) == 1000


@pytest.mark.long
def test_prepared_transactions(pair, bunny):
    """Across a kill of ours and a restart of the server; rolled back ones leave nothing."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); "
             "INSERT INTO t SELECT i, 'a' FROM generate_series(1, 10) i")
    bunny.mirror("m", pair)
    pair.sql("BEGIN; INSERT INTO t VALUES (100, 'prepared'); UPDATE t SET v = 'p' WHERE id = 1; "
             "SAVEPOINT a; DELETE FROM t WHERE id = 2; ROLLBACK TO a; PREPARE TRANSACTION 'one'")
    pair.sql("BEGIN; INSERT INTO t VALUES (101, 'gone'); UPDATE t SET v = 'gone' WHERE id = 2; "
             "PREPARE TRANSACTION 'two'")
    pair.sql("INSERT INTO t VALUES (200, 'other'); UPDATE t SET v = 'o' WHERE id = 3")
    assert equal(pair, bunny) == 11
    bunny.kill()
    pair.source.restart("fast")
    bunny.start()
    pair.sql("INSERT INTO t VALUES (201, 'other')")
    pair.sql("ROLLBACK PREPARED 'two'")
    pair.sql("COMMIT PREPARED 'one'")
    bunny.wait_running("m", may_fail=True)
    assert equal(pair, bunny) == 13
    assert pair.dsql("SELECT v FROM t WHERE id IN (1, 100) ORDER BY id") == [("p",), ("prepared",)]


def test_truncate_of_a_table_that_others_refer_to(pair, bunny):
    """The destination's own tables refer to it, or to a partition: TRUNCATE is forbidden there."""
    pair.sql("""CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b');
                CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
                CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
                CREATE TABLE p2 PARTITION OF p DEFAULT;
                CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p);
                INSERT INTO p SELECT generate_series(1, 20); INSERT INTO c VALUES (1, 1)""")
    bunny.mirror("m", pair)
    pair.sql("TRUNCATE p1 CASCADE; INSERT INTO p VALUES (1)")
    pair.dsql("CREATE TABLE mine (id int PRIMARY KEY, t int REFERENCES t, p int REFERENCES p); "
              "INSERT INTO mine VALUES (1, 1, 11)")
    pair.sql("BEGIN; INSERT INTO t VALUES (3, 'c'); TRUNCATE t; INSERT INTO t VALUES (1, 'z'); COMMIT")
    pair.sql("BEGIN; TRUNCATE c, p2; INSERT INTO p VALUES (11); COMMIT")
    assert equal(pair, bunny) == 1 + 2 * 2
    pair.sql("TRUNCATE t, p CASCADE; INSERT INTO p VALUES (11), (3); INSERT INTO t VALUES (1, 'y')")
    assert equal(pair, bunny) == 1 + 2 * 2
    assert pair.dsql("SELECT * FROM mine") == [(1, 1, 11)]


def test_keys_that_are_stored_out_of_line(pair, bunny):
    pair.sql("""CREATE TABLE t (k text PRIMARY KEY, a text, n int);
       CREATE TABLE u (k text NOT NULL, k2 text NOT NULL, a text, n int);
       CREATE UNIQUE INDEX u_k ON u (k, k2); ALTER TABLE u REPLICA IDENTITY USING INDEX u_k;
       ALTER TABLE t ALTER k SET STORAGE EXTERNAL, ALTER a SET STORAGE EXTERNAL;
       ALTER TABLE u ALTER k SET STORAGE EXTERNAL, ALTER k2 SET STORAGE EXTERNAL,
           ALTER a SET STORAGE EXTERNAL;
       INSERT INTO t SELECT repeat(chr(64 + i), 2600), repeat('a', 5000), i
           FROM generate_series(1, 9) i;
       INSERT INTO u SELECT repeat(chr(64 + i), 1200), repeat('k', 1200), repeat('a', 5000), i
           FROM generate_series(1, 9) i""")
    bunny.mirror("m", pair)
    for table, key in (("t", "k"), ("u", "k2")):
        pair.sql(f"UPDATE {table} SET n = n + 1; UPDATE {table} SET a = 'q' WHERE n = 3; "
                 f"UPDATE {table} SET k = k || 'x' WHERE n > 5; DELETE FROM {table} WHERE n = 8; "
                 f"UPDATE {table} SET {key} = 'short' WHERE n = 4")
    assert equal(pair, bunny) == 16


def test_partitions_of_other_column_orders_and_identities(pair, bunny):
    pair.sql("""CREATE TABLE p (id int, k text NOT NULL, v text, w int, PRIMARY KEY (id, k))
          PARTITION BY LIST (k);
      CREATE TABLE pa (w int, gone int, v text, k text NOT NULL, id int NOT NULL);
      ALTER TABLE pa DROP gone; ALTER TABLE p ATTACH PARTITION pa FOR VALUES IN ('a');
      CREATE TABLE pb (x1 int, k text NOT NULL, x2 int, id int NOT NULL, w int, x3 text, v text);
      ALTER TABLE pb DROP x1, DROP x2, DROP x3;
      ALTER TABLE p ATTACH PARTITION pb FOR VALUES IN ('b'); CREATE TABLE pd PARTITION OF p DEFAULT;
      ALTER TABLE pa ALTER v SET STORAGE EXTERNAL; ALTER TABLE pb ALTER v SET STORAGE EXTERNAL;
      INSERT INTO p SELECT i, (ARRAY['a','b','c'])[i % 3 + 1], repeat(i::text, 3000), i
          FROM generate_series(1, 30) i;
      CREATE TABLE q (id int NOT NULL, k int NOT NULL, v json) PARTITION BY RANGE (id);
      CREATE UNIQUE INDEX q_k ON q (k, id);
      CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (100);
      CREATE TABLE q2 PARTITION OF q FOR VALUES FROM (100) TO (200);
      CREATE TABLE q3 PARTITION OF q DEFAULT; ALTER TABLE q REPLICA IDENTITY USING INDEX q_k;
      ALTER TABLE q1 REPLICA IDENTITY USING INDEX q1_k_id_idx; CREATE UNIQUE INDEX q2_k ON q2 (k);
      ALTER TABLE q2 REPLICA IDENTITY USING INDEX q2_k; ALTER TABLE q3 REPLICA IDENTITY FULL;
      INSERT INTO q SELECT i, i, '{"a":1}' FROM generate_series(0, 300) i""")
    bunny.mirror("m", pair, ["public.p", "public.q"])
    pair.sql("UPDATE p SET k = CASE k WHEN 'a' THEN 'b' WHEN 'b' THEN 'c' ELSE 'a' END; "
             "UPDATE p SET w = -w; UPDATE p SET id = -id WHERE k = 'b'; "
             "INSERT INTO p VALUES (100, 'z', 'zz', 1); "
             "UPDATE pa SET v = 'direct' WHERE id % 2 = 0; DELETE FROM pb WHERE id % 2 = 0")
    pair.sql("UPDATE q SET id = id + 60; UPDATE q SET v = '[1, 2]' WHERE id % 3 = 0; "
             "UPDATE q SET k = -k; DELETE FROM q WHERE k % 7 = 0; UPDATE q SET id = id + 1")
    equal(pair, bunny)
    pair.sql("BEGIN; TRUNCATE pa; INSERT INTO p VALUES (1000, 'a', 'n', 1); COMMIT")
    pair.sql("BEGIN; INSERT INTO p VALUES (1001, 'a', 'n', 1); TRUNCATE p; INSERT INTO p VALUES "
             "(1000, 'a', 'n', 1), (5, 'b', 'q', 1); UPDATE p SET k = 'b' WHERE id = 1000; COMMIT")
    equal(pair, bunny)


def test_inheritance_keeps_each_tables_own_rows(pair, bunny):
    """TRUNCATE and DELETE of a parent name its children's rows; a child may be left out."""
    pair.sql("""CREATE TABLE par (id int PRIMARY KEY, v text);
        CREATE TABLE ch (extra int, PRIMARY KEY (id)) INHERITS (par);
        CREATE TABLE gc (more text, PRIMARY KEY (id)) INHERITS (ch);
        CREATE TABLE lone (id int PRIMARY KEY, v text);
        CREATE TABLE lone_child (PRIMARY KEY (id)) INHERITS (lone);
        INSERT INTO par VALUES (1, 'p'); INSERT INTO ch VALUES (1, 'c', 2);
        INSERT INTO gc VALUES (1, 'g', 3, 'm'); INSERT INTO lone_child VALUES (2, 'y')""")
    names = ("par", "ch", "gc", "lone")
    bunny.mirror("m", pair, [f"public.{n}" for n in names])
    for sql in ("UPDATE par SET v = v || '!'; INSERT INTO par VALUES (2, 'p'); DELETE FROM ch "
                "WHERE v = 'c!'; INSERT INTO gc VALUES (5, 'g', 5, 'z'); TRUNCATE ONLY par; "
                "INSERT INTO par VALUES (9); INSERT INTO lone_child VALUES (3, 'q'); "
                "INSERT INTO lone VALUES (4, 'r')",
                "TRUNCATE par; INSERT INTO ch VALUES (7, 'c', 2); TRUNCATE lone; "
                "INSERT INTO lone VALUES (5, 'five')"):
        pair.sql(sql)
        pair.wait_confirmed()
        for name in names:
            query = f"SELECT * FROM ONLY {name} ORDER BY 1"
            assert pair.sql(query) == pair.dsql(query), name
    assert pair.dsql("SELECT to_regclass('public.lone_child')")[0][0] is None


def test_destination_of_other_order_and_wider_types(pair, bunny):
    pair.sql("""CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(10), c timestamp,
                    d numeric(5,2), e text[], f json);
                INSERT INTO t VALUES (1, 2, 'x', '2024-01-01', 1.5, '{a}', '{}')""")
    pair.dsql("""CREATE TABLE t (extra text DEFAULT 'kept', f json, d numeric, c timestamp, gone int,
                    b text, e text[], a bigint, id bigint PRIMARY KEY); ALTER TABLE t DROP gone""")
    bunny.mirror("m", pair)
    pair.sql("INSERT INTO t VALUES (2, 3, 'y', 'infinity', 2.5, '{b}', '[]'); "
             "UPDATE t SET a = 10 WHERE id = 1; UPDATE t SET id = 7 WHERE id = 2")
    assert equal(pair, bunny) == 2
    assert pair.dsql("SELECT DISTINCT extra FROM t") == [("kept",)]


def test_generated_columns_in_keys_and_rows(pair, bunny):
    """The stream does not have them: a key of theirs finds no row and is refused, FULL does."""
    pair.sql("""CREATE TABLE k (a int, id int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY, v text);
        CREATE TABLE two (a int, g int GENERATED ALWAYS AS (a + 1) STORED, b int, PRIMARY KEY (a, g));
        CREATE TABLE f (a int, g int GENERATED ALWAYS AS (a * 2) STORED, v json);
        CREATE TABLE made (x int GENERATED ALWAYS AS (1) STORED);
        ALTER TABLE f REPLICA IDENTITY FULL; ALTER TABLE made REPLICA IDENTITY FULL;
        INSERT INTO k (a, v) VALUES (1, 'x'), (2, 'y'); INSERT INTO two (a, b) VALUES (1, 1), (2, 2);
        INSERT INTO f (a, v) VALUES (1, '1'), (2, '2'); INSERT INTO made DEFAULT VALUES""")
    answer = bunny.api.raw("POST", "/v1/mirrors", bunny.mirror_body("m", pair, ["public.*"]))
    finding, = answer.body["findings"]
    assert finding["code"] == "no_replica_identity" and "generated" in str(finding), finding
    pair.sql("ALTER TABLE k REPLICA IDENTITY FULL; ALTER TABLE two REPLICA IDENTITY FULL")
    bunny.mirror("m", pair)
    pair.sql("UPDATE k SET v = 'z' WHERE a = 1; UPDATE k SET a = 10 WHERE a = 2; "
             "UPDATE two SET b = 7; UPDATE two SET a = 9 WHERE a = 1; DELETE FROM two WHERE a = 2; "
             "UPDATE f SET v = '5' WHERE a = 1; UPDATE f SET a = 10 WHERE a = 2; "
             "INSERT INTO made DEFAULT VALUES; INSERT INTO made DEFAULT VALUES; "
             "DELETE FROM made WHERE ctid = (SELECT min(ctid) FROM made)")
    assert equal(pair, bunny) == 2 + 1 + 2 + 2


def test_partitions_alone_renamed_and_on_the_other_side_only(pair, bunny):
    pair.sql("""CREATE TABLE p (id int, k int, PRIMARY KEY (id, k)) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (k);
        CREATE TABLE p2a PARTITION OF p2 DEFAULT; CREATE TABLE p3 PARTITION OF p DEFAULT;
        CREATE TABLE r (id int, k int, PRIMARY KEY (id, k)) PARTITION BY RANGE (id);
        CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (10);
        CREATE TABLE r2 PARTITION OF r DEFAULT;
        CREATE TABLE plain (id int, k int, v json, PRIMARY KEY (id, k));
        CREATE TABLE bare (id int, k int, v json); ALTER TABLE bare REPLICA IDENTITY FULL;
        INSERT INTO p SELECT i, i FROM generate_series(1, 30) i; INSERT INTO r SELECT * FROM p;
        INSERT INTO plain SELECT id, k, '1' FROM p;
        INSERT INTO bare SELECT id % 7, k % 2, '1' FROM p""")
    pair.dsql("""CREATE TABLE plain (id int, k int, v json, PRIMARY KEY (id, k)) PARTITION BY RANGE (id);
        CREATE TABLE plain1 PARTITION OF plain FOR VALUES FROM (0) TO (10);
        CREATE TABLE plain2 PARTITION OF plain DEFAULT;
        CREATE TABLE bare (id int, k int, v json) PARTITION BY HASH (id);
        CREATE TABLE bare1 PARTITION OF bare FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE bare2 PARTITION OF bare FOR VALUES WITH (MODULUS 2, REMAINDER 1)""")
    bunny.mirror("m", pair, ["public.p1", "public.p2", "public.plain", "public.bare", {
        "source_table": "public.r", "destination_table": "arch.R"}])
    names = [(n, n) for n in ("p1", "p2", "plain", "bare")] + [("r", 'arch."R"')]

    def compare():
        pair.wait_confirmed()
        for there, here in names:
            query = "SELECT x::text FROM {} x ORDER BY 1"
            assert pair.sql(query.format(there)) == pair.dsql(query.format(here)), there
    for t in ("p", "r", "plain", "bare"):
        pair.sql(f"UPDATE {t} SET k = -k; UPDATE {t} SET id = id + 5 WHERE id > 25; "
                 f"UPDATE {t} SET id = id - 8 WHERE id BETWEEN 15 AND 17; "
                 f"DELETE FROM {t} WHERE ctid = (SELECT min(ctid) FROM {t})")
    compare()
    pair.sql("TRUNCATE p1, r1; INSERT INTO p VALUES (1, 1); INSERT INTO r VALUES (1, 1)")
    compare()
    pair.sql("TRUNCATE p, r, plain, bare; INSERT INTO p VALUES (1, 1), (12, 1), (25, 1); "
             "INSERT INTO r SELECT * FROM p; INSERT INTO plain SELECT * FROM p")
    compare()


NAMES = ["new\nline", "%I.%L", " ", '"', "\\", "''", "$$", "a.*", ";--", "/*", "{x}", ",(", "\t", "ROW",
         "select", "ctid ", "$1", "%d%s", "日本語のテーブル名前がとても長いです例", "😀", "İıẞ", "T", "t"]


@pytest.mark.long
def test_names_of_every_kind(pair, bunny):
    """Of tables, each with a column of every name; and two mirrors into one database."""
    columns = s.SQL(", ").join(s.SQL("{} text").format(s.Identifier(n)) for n in NAMES)
    pair.sql('CREATE SCHEMA "we ird"; CREATE TYPE "we ird"."en um" AS ENUM (\'a\')')
    for n, name in enumerate(NAMES):
        table = s.Identifier("we ird", name)
        pair.src.execute(s.SQL('CREATE TABLE {} (x int, id int, e "we ird"."en um", {})')
                         .format(table, columns))
        pair.src.execute(s.SQL("ALTER TABLE {} {}").format(table, s.SQL(
            "REPLICA IDENTITY FULL" if n % 2 else "ADD PRIMARY KEY (id)")))
    bunny.mirror("m", pair, ["we ird.*"])
    for table in tables_of(pair.src):
        all_columns = columns_of(pair.src, table)
        name = s.Identifier(*table)
        value = {c: s.Literal(5 if c in ("x", "id") else "a" if c == "e" else c)
                 for c in all_columns}
        pair.src.execute(s.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            name, s.SQL(", ").join(map(s.Identifier, all_columns)),
            s.SQL(", ").join(value[c] for c in all_columns)))
        pair.src.execute(s.SQL("INSERT INTO {0} (id) VALUES (6), (7); UPDATE {0} SET {1} WHERE id = 6;"
                               "DELETE FROM {0} WHERE id = 7; UPDATE {0} SET id = 8 WHERE x IS NULL")
                         .format(name, s.SQL(", ").join(
                             s.SQL("{} = {}").format(s.Identifier(c), value[c])
                             for c in all_columns if c not in ("x", "id"))))
    bunny.mirror("n", pair, [{"source_table": "we ird.select", "destination_table": "other.t"}])
    pair.sql('UPDATE "we ird"."select" SET "T" = \'both\'')
    assert equal(pair, bunny) == 2 * len(NAMES)
    assert pair.sql('SELECT x::text FROM "we ird"."select" x ORDER BY 1') == \
        pair.dsql("SELECT x::text FROM other.t x ORDER BY 1")
