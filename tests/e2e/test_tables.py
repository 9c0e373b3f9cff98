"""Promise: tables come to a mirror and leave it while it is paused, and one table is copied anew while
the others go on; no row is lost, and nothing else is touched."""
from test_operations import idle, make


def test_tables_are_added_and_removed_while_paused(bunny, pair):
    make(bunny, pair)
    pair.sql("CREATE TABLE c (id int PRIMARY KEY, v text)")
    put = "/v1/mirrors/m/tables"
    bunny.api.post("/v1/mirrors/m/pause")
    answer = bunny.api.raw("PUT", put, {"table_mappings": [{"source_table": "public.none"}]})
    assert answer.status in (400, 409) and "none" in answer.body["error"], answer
    answer = bunny.api.raw("PUT", put, {"table_mappings": []})
    assert answer.status == 400 and "table_mappings" in answer.body["error"]
    tables = bunny.api.put(put, {"table_mappings": [{"source_table": "public.b"},
                                                    {"source_table": "public.c"}]})
    assert [t["source_table"] for t in tables] == ["b", "c"]
    pair.sql("INSERT INTO a VALUES (7000, 1); UPDATE b SET v = 99; INSERT INTO c VALUES (1, 'x')")
    bunny.api.post("/v1/mirrors/m/resume")
    idle(bunny)
    pair.sql("INSERT INTO a VALUES (7001, 1); DELETE FROM b WHERE id = 1; UPDATE c SET v = 'y'")
    assert pair.assert_equal(tables=[("public", "b"), ("public", "c")]) == 10
    assert pair.dsql("SELECT count(*), max(id) FROM a")[0] == (1000, 1000), "a is left alone"
    assert bunny.api.get("/v1/mirrors/m/available-tables")[0]["table_name"] == "a"


def test_a_table_that_comes_back_is_copied_anew(bunny, pair):
    make(bunny, pair)
    put = "/v1/mirrors/m/tables"
    bunny.api.post("/v1/mirrors/m/pause")
    bunny.api.put(put, {"table_mappings": [{"source_table": "public.b"}]})
    pair.sql("UPDATE a SET v = -v; INSERT INTO a VALUES (7000, 1)")
    pair.dsql("TRUNCATE a")
    bunny.api.put(put, {"table_mappings": [{"source_table": "public.a"},
                                           {"source_table": "public.b"}]})
    pair.sql("DELETE FROM a WHERE id <= 10")
    bunny.api.post("/v1/mirrors/m/resume")
    idle(bunny)
    pair.sql("UPDATE a SET v = v + 1 WHERE id > 900")
    assert pair.assert_equal(tables=[("public", "a"), ("public", "b")]) == 991 + 10


def test_one_table_is_resynced(bunny, pair):
    make(bunny, pair)
    pair.dsql("DELETE FROM a WHERE id < 500")
    answer = bunny.api.raw("POST", "/v1/mirrors/m/resync/public.a", {"strategy": "truncate"})
    assert answer.status == 202
    idle(bunny)
    pair.sql("INSERT INTO a VALUES (5000, 1)")
    assert pair.assert_equal(tables=[("public", "a")]) == 1001
