"""Promise: verify with repair makes rows that differ what they are at the source, and no others,
while both change; what it cannot repair is named with what helps."""
import random
import threading

import pytest

from harness.waiting import wait_for

TABLES = """
CREATE TABLE a (id int PRIMARY KEY, v text, u int UNIQUE);
CREATE TABLE b (k text, n numeric, v jsonb, big text, PRIMARY KEY (k, n));
CREATE TABLE c (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text, secret text,
                d int GENERATED ALWAYS AS (length(v)) STORED);
CREATE TABLE p (id int, at int, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
CREATE TABLE keyless (v int);
ALTER TABLE keyless REPLICA IDENTITY FULL;
INSERT INTO a SELECT i, 'v' || i, i FROM generate_series(1, 2000) i;
INSERT INTO b SELECT 'k''\\' || i, i / 7.0, '{"a": 1.0}', repeat(md5(i::text), 400)
  FROM generate_series(1, 200) i;
INSERT INTO c (v, secret) SELECT 'v' || i, 'source' FROM generate_series(1, 200) i;
INSERT INTO p SELECT i, i % 20, NULL FROM generate_series(1, 400) i;
INSERT INTO keyless SELECT i FROM generate_series(1, 50) i;
"""
MAPPINGS = [{"source_table": "public.a", "destination_table": "public.renamed"},
            {"source_table": "public.b"}, {"source_table": "public.p"},
            {"source_table": "public.c", "exclude_columns": ["secret"]},
            {"source_table": "public.keyless"}]
# what is made wrong by hand at the destination; session_replication_role, so that nothing fires
DAMAGE = """
UPDATE renamed SET v = 'V7' WHERE id = 7;
DELETE FROM renamed WHERE id = 9;
INSERT INTO renamed VALUES (-1, 'extra', -1);
UPDATE b SET big = big || 'x' WHERE k = E'k''\\\\5';
UPDATE b SET v = '{"a": 1.00}' WHERE k = E'k''\\\\6';
UPDATE c SET v = 'changed' WHERE id = 3;
DELETE FROM p WHERE id = 25;
"""


@pytest.fixture
def mirror(pair, bunny):
    pair.sql(TABLES)
    bunny.mirror("m", pair, MAPPINGS)
    return pair, bunny


def ended(bunny, limit=90):
    wait_for(lambda: bunny.status("m")["operation"] is None, limit, "the comparison to end")
    report = bunny.api.get("/v1/mirrors/m/verify")
    report["tables"] = {t["table_name"]: t for t in report["tables"]}
    return report


def repair(bunny, limit=90):
    bunny.api.post("/v1/mirrors/m/verify", {"repair": True})
    return ended(bunny, limit)


def repaired(report):
    return sorted((n, r["kind"], *r["key"].values()) for n, t in report["tables"].items()
                  for r in t["rows"] if r.get("repaired"))


def assert_all_equal(report):
    assert report["ending"] == "complete", report
    wrong = {n: t for n, t in report["tables"].items() if t["state"] != "equal"}
    assert not wrong, wrong


@pytest.mark.sanitize
@pytest.mark.long
@pytest.mark.limit(200)
def test_exactly_seven_rows_damaged_under_load_are_found_and_repaired(mirror):
    pair, bunny = mirror
    pair.dsql("ALTER TABLE c ADD secret text DEFAULT 'new'; UPDATE c SET secret = 'kept'")
    over = threading.Event()

    def write():
        rng = random.Random(5)
        with pair.source.connect(pair.sdb) as c:
            while not over.wait(0.02):
                c.execute("UPDATE a SET v = v || '.' WHERE id = %s", (rng.randrange(100, 2000),))
                c.execute("INSERT INTO p VALUES (%s, 3, 'new') ON CONFLICT DO NOTHING",
                          (rng.randrange(1000, 9000),))
                c.execute("UPDATE b SET n = n + 1000 WHERE k = %s", (f"k'\\{rng.randrange(50, 200)}",))
                c.execute("UPDATE c SET v = 'w' || %s WHERE id = %s",
                          (rng.randrange(99), rng.randrange(20, 200)))
    writer = threading.Thread(target=write)
    writer.start()
    try:
        pair.dsql(DAMAGE)
        report = repair(bunny)
    finally:
        over.set()
        writer.join()
    assert_all_equal(report)
    part = "public.p1" if 25 % 20 < 10 else "public.p2"
    assert repaired(report) == sorted([
        ("public.a", "differing", "7"), ("public.a", "missing", "9"), ("public.a", "extra", "-1"),
        ("public.b", "differing", "k'\\5", pair.sql("SELECT (5 / 7.0)::text")[0][0]),
        ("public.b", "differing", "k'\\6", pair.sql("SELECT (6 / 7.0)::text")[0][0]),
        ("public.c", "differing", "3"), (part, "missing", "25", "5")])
    assert pair.dsql("SELECT DISTINCT secret FROM c WHERE id <= 200") == [("kept",)]
    assert "key=(id)=(7)" in bunny.log_tail(60000) and "V7" not in bunny.log_tail(60000)
    assert len(pair.slots()) == 1, "temporary slots are gone"
    pair.wait_confirmed()
    report = repair(bunny)  # nothing to do
    assert_all_equal(report)
    assert not repaired(report)


def test_exchanged_values_and_what_cannot_be_repaired(mirror):
    pair, bunny = mirror
    pair.dsql("UPDATE renamed SET u = -u WHERE id IN (1, 2); UPDATE renamed SET u = 3 - id WHERE id IN (1, 2);"
              "UPDATE c SET v = 'x' WHERE id = 1; ALTER TABLE c ADD CHECK (v <> 'v2') NOT VALID;"
              "UPDATE c SET v = 'y' WHERE id = 2;"
              "DELETE FROM keyless WHERE v = 5")
    shown = bunny.cli("verify", "m", "--repair", "--wait", "90", expect=1)
    assert "resync" in shown.stdout
    report = ended(bunny)
    assert repaired(report) == [("public.a", "differing", "1"), ("public.a", "differing", "2"),
                                ("public.c", "differing", "1")]
    c, keyless = report["tables"]["public.c"], report["tables"]["public.keyless"]
    assert (c["state"], c["differing"], c["repaired"]) == ("different", 1, 1)
    assert "(id)=(2)" in c["reason"] and "23514" in c["reason"]
    assert keyless["state"] == "different" and "resync" in keyless["reason"]
    assert report["tables"]["public.a"]["state"] == "equal"
    pair.dsql("ALTER TABLE c DROP CONSTRAINT c_v_check; INSERT INTO keyless VALUES (5)")
    assert_all_equal(repair(bunny))


def test_too_many_rows_are_left_to_a_resync(mirror):
    pair, bunny = mirror
    pair.sql("INSERT INTO a SELECT i, 'v', i FROM generate_series(5000, 16000) i")
    pair.wait_confirmed()
    pair.dsql("UPDATE renamed SET v = 'w'; DELETE FROM p WHERE id = 25")
    report = repair(bunny)
    a = report["tables"]["public.a"]
    assert (a["state"], a["repaired"]) == ("different", 0) and "resync" in a["reason"]
    assert len(a["rows"]) == 100
    assert [r[1:] for r in repaired(report)] == [("missing", "25", "5")]


@pytest.mark.long
@pytest.mark.limit(200)
def test_a_kill_in_the_middle_goes_on_and_another_process_is_not_fought(mirror):
    pair, bunny = mirror
    pair.dsql("UPDATE renamed SET v = 'wrong' WHERE id <= 1500")
    bunny.api.post("/v1/mirrors/m/verify", {"repair": True})
    wait_for(lambda: pair.dsql("SELECT count(*) < 1500 FROM renamed WHERE v = 'wrong'")[0][0], 90,
             "some rows to be repaired")
    bunny.kill()
    bunny.start()
    assert bunny.status("m")["operation"] in ("verify", None)
    assert_all_equal(ended(bunny, 150))
    pair.wait_confirmed()
    pair.dsql("UPDATE renamed SET v = 'wrong' WHERE id = 4")
    pair.dsql("UPDATE _bunnydb.progress SET epoch = epoch + 1")  # as who takes over does
    report = repair(bunny)
    assert report["ending"] == "failed" and "took over" in report["error"], report
    assert pair.dsql("SELECT v FROM renamed WHERE id = 4") == [("wrong",)]


@pytest.mark.long
def test_rows_that_change_meanwhile_are_never_repaired_to_an_older_state(pair, bunny):
    """The rows that are damaged are those that the load deletes, inserts and updates."""
    pair.sql("CREATE TABLE a (id int PRIMARY KEY, v int, w text);"
             "INSERT INTO a SELECT i, 0, 'w' FROM generate_series(1, 300) i")
    bunny.mirror("m", pair)
    over = threading.Event()
    statements = ["DELETE FROM a WHERE id = %s",
                  "INSERT INTO a VALUES (%s, 0, 'n') ON CONFLICT DO NOTHING",
                  "UPDATE a SET v = v + 1 WHERE id = %s", "UPDATE a SET v = v - 2 WHERE id = %s"]

    def write(seed):
        rng = random.Random(seed)
        with pair.source.connect(pair.sdb) as c:
            while not over.wait(0.004):
                c.execute(rng.choice(statements), (rng.randrange(1, 301),))
    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
    for writer in writers:
        writer.start()
    try:
        for k in range(5):
            pair.dsql(f"UPDATE a SET w = 'bad' WHERE id % 3 = {k % 3};"
                      f"DELETE FROM a WHERE id % 7 = {k};"
                      "INSERT INTO a SELECT i, -1, 'extra' FROM generate_series(-20, -1) i")
            report = repair(bunny)
            assert_all_equal(report)
            assert report["tables"]["public.a"]["repaired"] >= 20
    finally:
        over.set()
        for writer in writers:
            writer.join()
    pair.assert_equal()


@pytest.mark.long
def test_keys_of_many_types(pair, bunny):
    types = {"uuid": "md5(i::text)::uuid", "timestamptz": "'2020-01-01'::timestamptz + i * interval '1.5 s'",
             "char(5)": "i::text", '"char"': "chr(64 + i)::\"char\"", "bytea": "decode(md5(i::text), 'hex')",
             "numeric": "i / 4.0", "od": "(ARRAY['a','b','c','d'])[i % 4 + 1]::od", "float8": "i / 3.0",
             "inet": "'10.0.0.0'::inet + i", "boolean": "i % 2 = 0", "int4range": "int4range(i, i + 3)",
             "text[]": "ARRAY['a,b', i::text]", "interval": "i * interval '1 h'", "dom": "i"}
    pair.sql("CREATE TYPE o AS ENUM ('a', 'b', 'c', 'd'); CREATE DOMAIN od AS o; CREATE DOMAIN dom AS int")
    for n, (name, value) in enumerate(types.items()):
        pair.sql(f"CREATE TABLE k{n} (k {name}, n int, v {name}, PRIMARY KEY (k, n));"
                 f"INSERT INTO k{n} SELECT {value}, i, {value} FROM generate_series(1, 12) i")
    bunny.mirror("m", pair)
    for n in range(len(types)):
        pair.dsql(f"DELETE FROM k{n} WHERE n = 3; UPDATE k{n} SET v = NULL WHERE n = 4;"
                  f"UPDATE k{n} SET n = 40 WHERE n = 5")
    report = repair(bunny)
    assert_all_equal(report)
    assert {t["repaired"] for t in report["tables"].values()} == {4}
    pair.assert_equal()


@pytest.mark.long
def test_sequences_that_stand_elsewhere_are_named_and_set(pair, bunny):
    """Those that only lag behind are not; a repair sets the others, and they follow again."""
    pair.sql('CREATE TABLE "Odd.T" (id bigserial PRIMARY KEY, v int);'
             "CREATE TABLE down (id int GENERATED ALWAYS AS IDENTITY (INCREMENT -1) PRIMARY KEY);"
             "CREATE TABLE good (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int);"
             'INSERT INTO "Odd.T" (v) SELECT generate_series(1, 50);'
             "INSERT INTO good (v) SELECT generate_series(1, 7);"
             "INSERT INTO down SELECT FROM generate_series(1, 5)")
    bunny.mirror("m", pair)
    wait_for(lambda: bunny.status("m")["sequences"]["followed"] == 3, 30, "the first look at them")
    pair.dsql("SELECT setval('public.\"Odd.T_id_seq\"', 5000), setval('public.down_id_seq', -900)")
    pair.sql("INSERT INTO good (v) SELECT generate_series(1, 70)")
    bunny.api.post("/v1/mirrors/m/verify")
    report = ended(bunny)
    different = {n: t for n, t in report["tables"].items() if t["state"] == "different"}
    assert set(different) == {"public.Odd.T_id_seq", "public.down_id_seq"}, report
    assert "last_value 50 at the source, 5000 at the destination" in \
        different["public.Odd.T_id_seq"]["rows"][0]["row"]
    assert len(report["tables"]) == 5
    report = repair(bunny)
    assert_all_equal(report)
    assert [n for n, t in report["tables"].items() if t["repaired"]] == list(different)
    values = ('SELECT (SELECT last_value FROM "Odd.T_id_seq"), (SELECT last_value FROM down_id_seq), '
              "(SELECT last_value FROM good_id_seq)")
    assert pair.dsql(values) == pair.sql(values)
    pair.sql('INSERT INTO "Odd.T" (v) VALUES (1); INSERT INTO down DEFAULT VALUES')
    wait_for(lambda: pair.dsql(values) == pair.sql(values), 30, "the sequences to follow")
    bunny.api.post("/v1/mirrors/m/verify")
    report = ended(bunny)
    assert_all_equal(report)
    assert len(report["tables"]) == 3
    pair.assert_equal()
