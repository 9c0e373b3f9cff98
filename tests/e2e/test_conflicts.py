"""Promise: a change that does not find what it should is never passed over: it is counted, named by
its key and shown until the table is made good."""
import time

import pytest

from harness.waiting import wait_for

pytestmark = [pytest.mark.sanitize]

SECRET = "hunter2"


def table(bunny, name="public.t"):
    return {t["table_name"]: t for t in bunny.status("m")["tables"]}[name]


def findings(bunny, code):
    return [f for f in bunny.status("m")["findings"] if f["code"] == code]


def wait_finding(bunny, code, *words):
    def found():
        got = findings(bunny, code)
        assert got and all(w in str(got[0]) for w in words), bunny.status("m")["findings"]
        return got[0]
    return wait_for(found, 60, f"the finding {code} with {words}")


def assert_no_secret(bunny):
    assert SECRET not in bunny.log_tail(10 ** 7)
    assert SECRET not in str(bunny.status("m"))
    assert SECRET not in str(bunny.api.get("/v1/mirrors/m/logs?limit=500"))
    assert SECRET not in str(bunny.api.get("/v1/mirrors/m/diagnostics"))


@pytest.mark.quick
@pytest.mark.tsan
def test_missing_rows_are_found_named_and_kept_until_a_resync(pair, bunny):
    pair.sql(f"""CREATE TABLE t (a int, b text, v text, PRIMARY KEY (a, b)); CREATE TABLE other (LIKE
                 t INCLUDING ALL); INSERT INTO t SELECT i, 'k' || i, '{SECRET}' FROM
                 generate_series(1, 200) i; INSERT INTO other SELECT * FROM t""")
    bunny.mirror("m", pair)
    pair.dsql("DELETE FROM t WHERE a <= 100")
    pair.sql(f"UPDATE t SET v = '{SECRET}' || a WHERE a <= 90; DELETE FROM t WHERE a IN (91, 92)")
    pair.sql("UPDATE t SET b = 'new' WHERE a = 93")
    pair.sql("UPDATE other SET v = 'other'")
    pair.assert_equal(tables=[("public", "other")])
    wait_for(lambda: table(bunny)["rows_missing"] == 93, 30, "the count")
    finding = wait_finding(bunny, "rows_missing", "93 changes of public.t", "(a, b)=(9")
    assert finding["severity"] == "warning" and finding["action"] == "resync", finding
    assert "bunnydb resync m public.t" in finding["remedy"], finding
    assert "key=(a, b)=(1, k1) lsn=" in bunny.log_tail(10 ** 6)
    assert 1 <= bunny.log_tail(10 ** 6).count("found no row at the destination") < 40
    assert bunny.status("m")["status"] == "running"
    assert_no_secret(bunny)
    assert "k93" not in str(bunny.api.get("/v1/mirrors/m/diagnostics"))
    bunny.kill()
    bunny.start()
    bunny.wait_running("m", may_fail=True)
    wait_finding(bunny, "rows_missing", "93 changes of public.t", finding["cause"])
    pair.sql("DELETE FROM t WHERE a = 100")
    wait_finding(bunny, "rows_missing", "94 changes of public.t", "(a, b)=(100, k100)")
    bunny.api.post("/v1/mirrors/m/resync/public.t")
    wait_for(lambda: not findings(bunny, "rows_missing"), 60, "the end of the finding")
    assert table(bunny)["rows_missing"] == 0
    pair.sql("INSERT INTO t VALUES (1000, 'x', 'y')")
    pair.assert_equal()


def test_a_table_that_verify_finds_equal_has_nothing_missing(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2)")
    bunny.mirror("m", pair)
    pair.dsql("DELETE FROM t WHERE id = 1")
    pair.sql("DELETE FROM t WHERE id = 1")
    wait_finding(bunny, "rows_missing", "1 change of public.t")
    bunny.api.post("/v1/mirrors/m/verify")
    wait_for(lambda: not findings(bunny, "rows_missing"), 60, "the end of the finding")
    pair.sql("INSERT INTO t VALUES (3, 3)")
    pair.assert_equal()


def test_a_table_that_the_source_empties_has_nothing_missing(pair, bunny):
    """Of a partitioned one, when all of it is emptied; what is missed afterwards is told again."""
    pair.sql("CREATE TABLE p (id int PRIMARY KEY, v int) PARTITION BY LIST (id); CREATE TABLE p1 "
             "PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p DEFAULT;"
             "INSERT INTO p VALUES (1, 1), (2, 2)")
    bunny.mirror("m", pair)
    pair.dsql("DELETE FROM p")
    pair.sql("UPDATE p SET v = 5")
    wait_finding(bunny, "rows_missing", "2 changes of public.p")
    pair.sql("TRUNCATE p1; INSERT INTO p VALUES (1, 5)")
    pair.wait_value("SELECT count(*) FROM p", 1, 60)
    wait_finding(bunny, "rows_missing", "2 changes of public.p")
    pair.sql("TRUNCATE p; INSERT INTO p VALUES (3, 3), (4, 4)")
    wait_for(lambda: not findings(bunny, "rows_missing"), 60, "the end of the finding")
    assert all(t["rows_missing"] == 0 for t in bunny.status("m")["tables"])
    pair.wait_value("SELECT count(*) FROM p", 2, 60)
    pair.dsql("DELETE FROM p WHERE id = 3")
    pair.sql("DELETE FROM p WHERE id = 3")
    wait_finding(bunny, "rows_missing", "1 change of public.p", "(id)=(3)")
    pair.assert_equal()


def test_no_key_no_row(pair, bunny):
    """REPLICA IDENTITY FULL: the values of the whole row name it, and are not told."""
    pair.sql(f"CREATE TABLE t (a int, v text); ALTER TABLE t REPLICA IDENTITY FULL; "
             f"INSERT INTO t VALUES (1, '{SECRET}'), (2, '{SECRET}'), (2, '{SECRET}')")
    bunny.mirror("m", pair)
    pair.dsql("DELETE FROM t WHERE a = 1")
    pair.sql("DELETE FROM t WHERE a = 1")
    finding = wait_finding(bunny, "rows_missing", "1 change of public.t")
    assert "key" not in finding["cause"], finding
    pair.sql("DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE a = 2)")
    pair.assert_equal()
    assert_no_secret(bunny)


@pytest.mark.quick
@pytest.mark.parametrize("change, constraint", [
    (f"INSERT INTO t VALUES (50, 1, '{SECRET}')", "t_pkey"),
    ("UPDATE t SET id = 50 WHERE id = 1", "t_pkey"),
    (f"INSERT INTO t VALUES (51, 7777, '{SECRET}')", "t_n_key"),
])
def test_a_row_in_the_way_stops_the_mirror_until_it_is_gone(pair, bunny, change, constraint):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, n int UNIQUE, v text); "
             "INSERT INTO t SELECT i, i * 10, 'v' FROM generate_series(1, 9) i")
    bunny.mirror("m", pair)
    pair.dsql("INSERT INTO t VALUES (50, 7777, 'in the way')")
    pair.sql(f"BEGIN; INSERT INTO t VALUES (10, 100, 'before'); {change}; "
             "INSERT INTO t VALUES (11, 110, 'behind'); COMMIT")
    pair.sql("INSERT INTO t VALUES (12, 120, 'later')")
    status = bunny.wait_status("m", "error", may_fail=True)
    key = "(id)=(1)" if "UPDATE" in change else "(id)=(51)" if "51" in change else "(id)=(50)"
    assert status["error_code"] == "row_conflict", status
    for word in ('"public"."t"', constraint, key, "transaction 0/"):
        assert word in status["error_message"], status["error_message"]
    finding = wait_finding(bunny, "row_conflict", key, "retry", "resync")
    assert finding["severity"] == "error", finding
    wait_for(lambda: bunny.status("m")["error_count"] >= 2, 30, "another try")
    assert table(bunny)["rows_conflicting"] == 1
    bunny.kill()
    bunny.start()
    wait_finding(bunny, "row_conflict", key)
    bunny.wait_status("m", "error", may_fail=True)
    assert table(bunny)["rows_conflicting"] == 1
    assert len(findings(bunny, "row_conflict")) == 1
    assert pair.dsql("SELECT count(*) FROM t WHERE id BETWEEN 10 AND 49") == [(0,)]  # nothing of it
    assert_no_secret(bunny)
    pair.dsql("DELETE FROM t WHERE id = 50")
    bunny.api.post("/v1/mirrors/m/retry")
    pair.assert_equal()
    wait_for(lambda: not bunny.status("m")["findings"], 30, "no finding any more")
    assert bunny.status("m")["status"] == "running"


def test_it_goes_on_by_itself_when_the_row_is_gone(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    bunny.mirror("m", pair)
    pair.dsql("INSERT INTO t VALUES (1)")
    pair.sql("INSERT INTO t VALUES (1), (2)")
    bunny.wait_status("m", "error", may_fail=True)
    pair.dsql("DELETE FROM t")
    pair.assert_equal(limit=90)
    wait_for(lambda: not bunny.status("m")["findings"], 30, "no finding any more")


@pytest.mark.parametrize("ddl, change, heal", [
    ("ADD CONSTRAINT small CHECK (v IS NULL OR length(v) < 5)", f"(5, '{SECRET}')",
     "DROP CONSTRAINT small"),
    ("ALTER v SET NOT NULL", "(5, NULL)", "ALTER v DROP NOT NULL"),
    ("ALTER v TYPE int USING 1", f"(5, '{SECRET}')", "ALTER v TYPE text"),
])
def test_what_the_destination_does_not_allow(pair, bunny, ddl, change, heal):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    bunny.mirror("m", pair)
    pair.dsql(f"ALTER TABLE t {ddl}")
    pair.sql(f"INSERT INTO t VALUES {change}")
    status = bunny.wait_status("m", "error", may_fail=True)
    assert status["error_code"] == "row_refused" and "(id)=(5)" in status["error_message"], status
    wait_finding(bunny, "row_refused", "(id)=(5)")
    assert_no_secret(bunny)
    pair.dsql(f"ALTER TABLE t {heal}")
    bunny.api.post("/v1/mirrors/m/retry")
    pair.assert_equal()


def test_no_batch_that_touches_two_rows_is_committed(pair, bunny):
    """A destination table of the operator's whose key does not cover the source's."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE u (LIKE t INCLUDING ALL); "
             "INSERT INTO t SELECT g, g FROM generate_series(1, 5) g; INSERT INTO u TABLE t")
    pair.dsql("CREATE TABLE t (id int, v int); CREATE TABLE u (id int PRIMARY KEY, v int)")
    bunny.mirror("m", pair)
    pair.dsql("ALTER TABLE t DROP CONSTRAINT t_pkey; "
              "INSERT INTO t VALUES (3, 33)")
    bunny.api.post("/v1/mirrors/m/pause")
    bunny.api.post("/v1/mirrors/m/resume")
    bunny.wait_running("m")
    pair.sql("BEGIN; UPDATE u SET v = 0; UPDATE t SET v = 99 WHERE id = 2; DELETE FROM t WHERE id = 3;"
             " COMMIT")
    status = bunny.wait_status("m", "error", may_fail=True)
    assert status["error_code"] == "row_conflict", status
    assert "touched 2 rows instead of one" in status["error_message"]
    wait_finding(bunny, "row_conflict", "(id)=(3)")
    time.sleep(0.2)
    assert pair.dsql("SELECT count(*) FROM t WHERE id = 3 OR v = 99") == [(2,)]
    assert pair.dsql("SELECT count(*) FROM u WHERE v = 0") == [(0,)]
    pair.dsql("DELETE FROM t WHERE v = 33")
    bunny.api.post("/v1/mirrors/m/retry")
    pair.assert_equal()
