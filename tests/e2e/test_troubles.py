"""Promise: each trouble that operators know is recognised by the program: a finding with a stable
code, one cause and one remedy, and the remedy heals it without losing a row."""
import contextlib
import os
import threading

import psycopg
import pytest
from psycopg.pq import ExecStatus, PGconn

from harness.pair import Pair
from harness.waiting import wait_for

T = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')"


def finding(bunny, code, limit=40):
    """The finding of that code, once it is there: whole, as every finding has to be."""
    def look():
        found = [f for f in bunny.status("m")["findings"] if f["code"] == code]
        assert found, bunny.status("m")["findings"]
        return found[0]
    f = wait_for(look, limit, f"finding {code}")
    assert f["title"] and f["cause"] and f["remedy"], f
    return f


def failed(bunny, code, action="retry", is_held=None):
    """The mirror stands with that error, told in the same way everywhere."""
    def there():
        s = bunny.status("m")
        assert (s["status"], s["error_code"]) == ("error", code), (s["status"], s["error_code"],
                                                                   s["error_message"])
        assert is_held is None or is_held == (s["phase"] == "waiting"), s["phase"]
        return s
    status = wait_for(there, 60, f"error {code}")
    f = finding(bunny, code)
    assert f["action"] == action and f["remedy"] == status["error_hint"], (f, status["error_hint"])
    told = bunny.api.get("/v1/mirrors/m/diagnostics")["status"]
    assert told["error_code"] == code, told
    return status


def wait_told_off(bunny):
    wait_for(lambda: not bunny.status("m")["findings"], 40, "no finding any more")


def retry(bunny, body=None):
    bunny.api.post("/v1/mirrors/m/retry", body)


def healed(pair, bunny, rows):
    bunny.wait_running("m", may_fail=True)
    assert pair.assert_equal(90) == rows
    wait_told_off(bunny)


# --- the slot ---------------------------------------------------------------------------------------
@pytest.mark.long
def test_slot_of_an_earlier_installation(pair, bunny):
    """42710 although the preflight saw no slot: it appears while the publication is being made."""
    pair.sql(T)
    with pair.source.connect(pair.sdb) as other:
        other.execute("BEGIN")
        other.execute("CREATE PUBLICATION bunny_pub_m")
        bunny.create_mirror("m", pair)
        wait_for(lambda: pair.sql("SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                                  " AND wait_event_type = 'Lock' AND query LIKE 'CREATE PUB%'"),
                 30, "the publication to be waited for")
        theirs = threading.Thread(target=make_slot, args=(pair,))
        theirs.start()  # it waits for the open transaction, too; its name is taken at once
        wait_for(lambda: pair.slots(), 30, "the other slot's name")
        other.execute("ROLLBACK")
        theirs.join()
    failed(bunny, "slot_exists", is_held=True)
    retry(bunny)  # theirs is not touched by a plain one
    failed(bunny, "slot_exists", is_held=True)
    retry(bunny, {"take_slot": True})
    healed(pair, bunny, 1)


def make_slot(pair):
    with pair.source.connect(pair.sdb) as c:
        c.execute("SELECT pg_create_logical_replication_slot('bunny_slot_m', 'pgoutput')")


def waits_for(pair, xid):
    wait_for(lambda: pair.source.sql("SELECT 1 FROM pg_locks WHERE locktype = 'transactionid' AND "
                                     "NOT granted AND transactionid = %s::xid", (xid,)),
             60, f"the new slot to wait for transaction {xid}")


def begin(connection, statement="SELECT 1"):
    connection.execute("BEGIN; SELECT pg_current_xact_id(); " + statement)
    return connection.execute("SELECT pg_current_xact_id()::xid::text").fetchone()[0]


def test_definitions_that_change_while_the_slot_is_made(pair, bunny):
    """The server forgets a change that commits while a new slot waits for others: it would give
    rows of transactions that go on by the definitions of before (a column is missing, or the file
    is not known). Such a slot is not used."""
    pair.sql(T)
    with contextlib.ExitStack() as stack:
        first, second, writer = (stack.enter_context(pair.source.connect(pair.sdb))
                                 for _ in range(3))
        xid = begin(first)
        bunny.create_mirror("m", pair)
        waits_for(pair, xid)
        xid = begin(second)
        pair.sql("ALTER TABLE t ADD w int DEFAULT random() * 100")
        first.execute("COMMIT")
        waits_for(pair, xid)
        open_one = begin(writer, "INSERT INTO t VALUES (2, 'b', 7)")
        second.execute("COMMIT")
        wait_for(lambda: pair.source.sql(
            "SELECT 1 FROM pg_replication_slots WHERE database = %s AND confirmed_flush_lsn IS NOT "
            "NULL UNION ALL SELECT 1 FROM pg_locks WHERE locktype = 'transactionid' AND NOT "
            "granted AND transactionid = %s::xid", (pair.sdb, open_one)), 60, "the slot")
        writer.execute("COMMIT")
    bunny.wait_running("m", may_fail=True)
    pair.sql("INSERT INTO t VALUES (3, 'c', 8)")
    assert pair.assert_equal() == 3
    assert pair.dsql("SELECT w FROM t WHERE id = 2") == [(7,)]


@pytest.mark.long
def test_a_new_slot_says_what_it_waits_for(pair, bunny):
    """Also a prepared transaction, which has no session."""
    pair.sql(T)
    with pair.source.connect(pair.sdb) as c:
        c.execute("BEGIN; INSERT INTO t VALUES (2, 'x'); PREPARE TRANSACTION 'it''s open'")
    bunny.create_mirror("m", pair)
    said = finding(bunny, "slot_waits")
    assert "prepared transaction 'it''s open' (database " in said["cause"], said
    assert "ROLLBACK PREPARED" in said["remedy"] and bunny.status("m")["phase"] == "creating_slot"
    pair.sql("COMMIT PREPARED 'it''s open'")
    bunny.wait_running("m")
    assert "slot_waits" not in [f["code"] for f in bunny.status("m")["findings"]]
    assert pair.assert_equal() == 2


@pytest.mark.long
def test_slot_in_use_by_somebody_else(pair, bunny):
    pair.sql(T)
    bunny.mirror("m", pair)
    bunny.api.post("/v1/mirrors/m/pause")
    with holder(pair, "their reader") as pid:
        pair.sql("INSERT INTO t VALUES (2, 'b')")
        bunny.api.post("/v1/mirrors/m/resume")
        status = failed(bunny, "slot_active")
        for word in (f"PID {pid} ", "their reader", "client 127.0.0.1)"):
            assert word in status["error_message"], status["error_message"]
        assert "take_slot" in status["error_hint"]
        count = status["error_count"]
        wait_for(lambda: bunny.status("m")["error_count"] > count, 60, "another try")
        assert is_there(pair, pid)  # nobody is ended by that
        retry(bunny, {"take_slot": True})
        healed(pair, bunny, 2)
        assert not is_there(pair, pid)


def is_there(pair, pid):
    return pair.sql("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,))


@contextlib.contextmanager
def holder(pair, name, mirror="m"):
    """Somebody's session that reads our slot and confirms nothing; gives the PID of its sender."""
    c = PGconn.connect(f"host=127.0.0.1 port={pair.source.port} user=postgres dbname={pair.sdb} "
                       f"replication=database application_name='{name}' "
                       "options='-c wal_sender_timeout=0'".encode())
    try:
        r = c.exec_(f"START_REPLICATION SLOT bunny_slot_{mirror} LOGICAL 0/0 (proto_version '1', "
                    f"publication_names 'bunny_pub_{mirror}')".encode())
        assert r.status == ExecStatus.COPY_BOTH, c.error_message
        yield c.backend_pid
    finally:
        c.finish()


def test_our_own_stale_session_holds_the_slot(pair, bunny):
    """An earlier connection of the mirror that the server has not missed yet is ended."""
    pair.sql(T)
    bunny.mirror("m", pair)
    bunny.api.post("/v1/mirrors/m/pause")
    with holder(pair, "bunnydb m") as pid:
        pair.sql("INSERT INTO t VALUES (2, 'b')")
        bunny.api.post("/v1/mirrors/m/resume")
        healed(pair, bunny, 2)
        assert not is_there(pair, pid)


def lose_wal(pair, mirror="m"):
    """The source removes WAL that the paused mirror's slot needs."""
    pair.source.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    pair.source.sql("SELECT pg_reload_conf()")

    def lost():
        pair.sql("SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000)), pg_switch_wal()")
        pair.sql("CHECKPOINT")
        return pair.sql("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND wal_status = "
                        "'lost'", (f"bunny_slot_{mirror}",))
    try:
        wait_for(lost, 60, "the slot to be lost")
    finally:
        pair.source.sql("ALTER SYSTEM RESET max_slot_wal_keep_size")
        pair.source.sql("SELECT pg_reload_conf()")


@pytest.mark.parametrize("code, damage", [
    ("slot_lost", lose_wal),
    ("slot_missing", lambda p: p.sql("SELECT pg_drop_replication_slot('bunny_slot_m')")),
    ("slot_ahead", lambda p: p.sql("SELECT pg_replication_slot_advance('bunny_slot_m', "
                                   "pg_current_wal_insert_lsn())")),
    ("progress_missing", lambda p: p.dsql("DELETE FROM _bunnydb.progress")),
    ("publication_missing", lambda p: p.sql("DROP PUBLICATION bunny_pub_m")),
])
def test_what_cannot_go_on_says_so_and_a_retry_copies_anew(pair, bunny, code, damage):
    pair.sql(T)
    bunny.mirror("m", pair)
    bunny.api.post("/v1/mirrors/m/pause")
    pair.sql("INSERT INTO t VALUES (2, 'b'); DELETE FROM t WHERE id = 1")
    damage(pair)
    pair.sql("INSERT INTO t VALUES (3, 'c')")
    bunny.api.post("/v1/mirrors/m/resume")
    status = failed(bunny, code, is_held=True)
    assert status["next_retry_at"] is None, status
    assert pair.dsql("SELECT id FROM t") == [(1,)]  # it does not go on over the hole
    retry(bunny)
    healed(pair, bunny, 2)


def test_an_unlogged_table_in_the_place_of_another(pair, bunny):
    pair.sql(T)
    bunny.mirror("m", pair)
    bunny.api.post("/v1/mirrors/m/pause")
    pair.sql("DROP TABLE t; CREATE UNLOGGED TABLE t (id int PRIMARY KEY, v text);"
             "INSERT INTO t VALUES (7, 'g'); SELECT pg_drop_replication_slot('bunny_slot_m')")
    bunny.api.post("/v1/mirrors/m/resume")
    failed(bunny, "slot_missing", is_held=True)
    retry(bunny)
    remedy = failed(bunny, "server_error")["error_hint"]
    assert 'ALTER TABLE "public"."t" SET LOGGED' in remedy
    pair.sql("ALTER TABLE public.t SET LOGGED")
    retry(bunny)
    healed(pair, bunny, 1)


@pytest.mark.parametrize("sqlstate", ["XX000", "58P01"])
def test_a_source_that_cannot_decode_its_log(loaded, sqlstate):
    """WAL that is damaged, or gone: it says why and what helps; nothing of it is skipped."""
    pair, bunny = loaded
    pair.sql(T)
    bunny.mirror("m", pair)
    bunny.api.post("/v1/mirrors/m/pause")
    pair.sql("SELECT pg_switch_wal()")
    pair.sql("INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(100, 9000) i")
    segment = pair.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0]
    pair.sql("SELECT pg_switch_wal()")
    pair.sql("CHECKPOINT")  # no recovery needs that file any more
    path = f"{pair.source.data}/pg_wal/{segment}"
    if sqlstate == "58P01":
        os.remove(path)
    else:
        with open(path, "r+b") as f:
            f.seek(500000)
            f.write(b"?" * 100000)
    bunny.api.post("/v1/mirrors/m/resume")
    status = failed(bunny, "source_decoding")
    assert status["error_sqlstate"] == sqlstate and "--recreate-slot" in status["error_hint"], status
    assert pair.dsql("SELECT count(*) FROM t WHERE id >= 100") == [(0,)]
    bunny.api.post("/v1/mirrors/m/retry", {"recreate_slot": True})
    healed(pair, bunny, 8902)


# --- servers ----------------------------------------------------------------------------------------
@pytest.mark.long
@pytest.mark.limit(240)
def test_a_password_that_changed(pair, bunny):
    """Tried some times, as it may be put back; then it waits, as roles can be locked out."""
    role = "secret"  # pg_hba.conf asks this one for a password
    pair.dest.sql(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'one'")
    try:
        pair.sql(T)
        body = bunny.mirror_body("m", pair, ["public.*"])
        body["destination_peer"] = bunny.peer(pair.dest, pair.ddb, "locked", user=role,
                                              host="127.0.0.1", password="one")
        bunny.api.post("/v1/mirrors", body)
        bunny.wait_running("m")
        pair.dest.sql(f"ALTER ROLE {role} PASSWORD 'two'")
        pair.dest.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
                      (role,))
        pair.sql("INSERT INTO t VALUES (2, 'b')")
        failed(bunny, "login_failed")
        status = wait_for(lambda: (s := bunny.status("m"))["phase"] == "waiting" and s, 90,
                          "the mirror to wait for the operator")
        assert status["next_retry_at"] is None and status["error_count"] >= 6, status
        bunny.api.put("/v1/peers/locked", {"password": "two"})
        healed(pair, bunny, 2)
    finally:
        pair.dest.sql(f"ALTER ROLE {role} PASSWORD 'one'")
        bunny.api.put("/v1/peers/locked", {"password": "one"})
        bunny.delete_all()
        with pair.dest.connect(pair.ddb) as c:
            c.execute(f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}")
        pair.dest.sql(f"DROP ROLE {role}")


def test_a_right_that_was_taken_away(pair, bunny, plain_mirror):
    pair.sql(T)
    role = plain_mirror()
    pair.dsql("ALTER TABLE t OWNER TO postgres")
    pair.sql("INSERT INTO t VALUES (2, 'b')")
    failed(bunny, "permission_denied")
    pair.dsql(f"ALTER TABLE t OWNER TO {role}")
    retry(bunny)
    healed(pair, bunny, 2)


def end_sessions(pair):
    pair.dest.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND "
                  "application_name LIKE 'bunnydb%%'", (pair.ddb,))


def test_a_destination_without_a_free_session(pair, bunny):
    pair.sql(T)
    role = f"few{Pair.count}"
    pair.dsql(f"CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role};"
              f"GRANT CREATE ON DATABASE {pair.ddb} TO {role}")
    try:
        body = bunny.mirror_body("m", pair, ["public.*"])
        body["destination_peer"] = bunny.peer(pair.dest, pair.ddb, "few", user=role)
        bunny.api.post("/v1/mirrors", body)
        bunny.wait_running("m")
        pair.dest.sql(f"ALTER ROLE {role} CONNECTION LIMIT 0")
        end_sessions(pair)
        pair.sql("INSERT INTO t VALUES (2, 'b')")
        f = finding(bunny, "too_many_connections", 60)
        assert "max_connections" in f["remedy"], f
        pair.dest.sql(f"ALTER ROLE {role} CONNECTION LIMIT -1")
        healed(pair, bunny, 2)
    finally:
        pair.dest.sql(f"ALTER ROLE {role} CONNECTION LIMIT -1")
        bunny.delete_all()
        pair.dsql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_database_that_is_gone(pair, bunny):
    pair.sql(T)
    bunny.mirror("m", pair)
    pair.assert_equal()
    pair.dst.close()

    def renamed():
        end_sessions(pair)
        try:
            pair.dest.sql(f"ALTER DATABASE {pair.ddb} RENAME TO away")
        except psycopg.errors.ObjectInUse:
            return False
        return True
    wait_for(renamed, 30, "the database to be renamed", 0.05)
    try:
        pair.sql("INSERT INTO t VALUES (2, 'b')")
        failed(bunny, "database_missing")
    finally:
        pair.dest.sql(f"ALTER DATABASE away RENAME TO {pair.ddb}")
    retry(bunny)
    healed(pair, bunny, 2)


# --- the destination --------------------------------------------------------------------------------
def test_tables_that_are_missing_at_the_destination(pair, bunny):
    """All of them are named; sync-schema makes them, and their rows come with them."""
    pair.sql(T + "; CREATE TABLE u (id int PRIMARY KEY); CREATE TABLE w (id int PRIMARY KEY)")
    bunny.mirror("m", pair)
    bunny.api.post("/v1/mirrors/m/pause")
    pair.dsql("DROP TABLE u, w")
    bunny.api.post("/v1/mirrors/m/resume")
    pair.sql("INSERT INTO u VALUES (1); INSERT INTO w VALUES (1); INSERT INTO t VALUES (2, 'b')")
    status = failed(bunny, "destination_table_missing", "sync-schema")
    assert "public.u" in status["error_message"] and "public.w" in status["error_message"]
    bunny.api.post("/v1/mirrors/m/sync-schema")
    wait_for(lambda: pair.dsql("SELECT to_regclass('w')")[0][0], 60, "w to be made")
    pair.wait_value("SELECT (SELECT count(*) FROM u) + (SELECT count(*) FROM w)", 2, 60)
    healed(pair, bunny, 4)


def test_a_missing_slot_is_told_before_a_missing_table(pair, bunny):
    """What heals the slot brings the table, too; the other way round a table would be copied in vain."""
    pair.sql(T)
    bunny.mirror("m", pair)
    pair.assert_equal()
    bunny.api.post("/v1/mirrors/m/pause")
    pair.sql("SELECT pg_drop_replication_slot('bunny_slot_m')")
    pair.dsql("DROP TABLE t")
    pair.sql("INSERT INTO t VALUES (2, 'b')")
    bunny.api.post("/v1/mirrors/m/resume")
    failed(bunny, "slot_missing", is_held=True)
    retry(bunny)
    healed(pair, bunny, 2)


def test_a_foreign_key_that_is_checked_too_early(pair, bunny, plain_mirror):
    """The finding gives the exact ALTER TABLE."""
    pair.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int)")
    plain_mirror()
    pair.dsql('ALTER TABLE b ADD CONSTRAINT "b to a" FOREIGN KEY (a) REFERENCES a')
    pair.sql("BEGIN; INSERT INTO b VALUES (1, 7); INSERT INTO a VALUES (7); COMMIT")
    status = failed(bunny, "foreign_key_violation")
    begin = status["error_hint"].index("ALTER TABLE")
    statement = status["error_hint"][begin:status["error_hint"].index(";", begin)]
    assert "INITIALLY DEFERRED" in statement, statement
    pair.dsql(statement)
    retry(bunny)
    healed(pair, bunny, 2)


# --- what holds a mirror up -------------------------------------------------------------------------
@pytest.fixture
def impatient(pair, lone_bunny):
    """The program, whose alarms come early."""
    conf = f"{lone_bunny.dir}/early.conf"
    with open(conf, "w", encoding="utf-8") as f:
        f.write("[alarm]\nlag = 2s\n")
    lone_bunny.conf = conf
    return lone_bunny.start("-c", conf)


def test_a_lock_at_the_destination_names_its_holder(pair, impatient):
    bunny = impatient
    pair.sql(T)
    bunny.mirror("m", pair)
    other = pair.dest.connect(pair.ddb)
    try:
        other.execute("SET application_name = 'nightly job'")
        pid = other.execute("SELECT pg_backend_pid()").fetchone()[0]
        other.execute("BEGIN")
        other.execute("LOCK TABLE t")
        pair.sql("INSERT INTO t VALUES (2, 'b')")
        f = finding(bunny, "lock_wait")
        for word in (f"PID {pid} (nightly job", "LOCK TABLE t", "postgres"):
            assert word in f["cause"], f
        assert f"pg_terminate_backend({pid})" in f["remedy"] and "t holds" not in f["title"], f
        told = str(bunny.api.get("/v1/mirrors/m/diagnostics")["status"]["findings"])
        assert "nightly job" in told and "LOCK TABLE" not in told  # statements may hold values
        pair.dest.sql("SELECT pg_terminate_backend(%s)", (pid,))
    finally:
        other.close()
    healed(pair, bunny, 2)


@pytest.mark.long
@pytest.mark.limit(240)
def test_a_missing_index_is_named_with_the_statement_that_makes_it(pair, impatient):
    bunny = impatient
    pair.sql("CREATE TABLE t (a int, b text); ALTER TABLE t REPLICA IDENTITY FULL;"
             "INSERT INTO t SELECT g, repeat('x', 200) FROM generate_series(1, 80000) g")
    bunny.mirror("m", pair)
    # beside this one, which finds no row, the rows are looked for one by one
    pair.dsql("CREATE UNIQUE INDEX ON t (b) WHERE a < 0")
    pair.sql("UPDATE t SET b = 'y' WHERE a > 75000")
    f = finding(bunny, "index_missing", 150)
    assert "public.t" in f["title"] and "CREATE INDEX CONCURRENTLY ON public.t (a);" in f["remedy"]
    pair.dsql(f["remedy"].split(": ", 1)[1])
    healed(pair, bunny, 80000)
    pair.sql("UPDATE t SET b = 'z' WHERE a <= 3")
    pair.assert_equal()
    used = "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE indexrelname = 't_a_idx'"
    wait_for(lambda: pair.dsql(used)[0][0] >= 3, 30, "rows to be looked for in the index")


def test_a_paused_mirror_says_what_waits(pair, impatient):
    bunny = impatient
    pair.sql(T)
    bunny.mirror("m", pair)
    bunny.api.post("/v1/mirrors/m/pause")
    pair.sql("INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(2, 5000) g")
    f = finding(bunny, "paused")
    assert f["action"] == "resume" and f["severity"] == "info"
    bunny.api.post("/v1/mirrors/m/resume")
    healed(pair, bunny, 5000)


@pytest.mark.long
def test_wal_that_piles_up_warns_then_alarms(pair, bunny):
    pair.sql(T)
    bunny.mirror("m", pair)
    try:
        pair.source.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'")
        pair.source.sql("SELECT pg_reload_conf()")
        bunny.api.post("/v1/mirrors/m/pause")

        def kept(severity):
            f = [x for x in bunny.status("m")["findings"] if x["code"] == "wal_kept"]
            if not f or f[0]["severity"] != severity:
                pair.sql("SELECT pg_logical_emit_message(false, 'x', repeat('x', 4000000))")
            assert f and f[0]["severity"] == severity, f
            return f[0]
        f = wait_for(lambda: kept("warning"), 60, "a warning", every=1)
        assert f["action"] == "resume" and "max_slot_wal_keep_size" in f["cause"], f
        f = wait_for(lambda: kept("error"), 60, "an alarm", every=1)
        assert "full in" in f["cause"], f
        pair.sql("INSERT INTO t VALUES (2, 'b')")
        bunny.api.post("/v1/mirrors/m/resume")
        healed(pair, bunny, 2)
    finally:
        pair.source.sql("ALTER SYSTEM RESET max_slot_wal_keep_size")
        pair.source.sql("SELECT pg_reload_conf()")


def test_the_wal_guard_drops_the_slot_where_that_was_asked_for(pair, lone_bunny):
    bunny = lone_bunny
    with open(f"{bunny.dir}/guard.conf", "w", encoding="utf-8") as f:
        f.write("[alarm]\nwal_room = 24MB\nwal_action = drop_slot\n")
    bunny.start("-c", f"{bunny.dir}/guard.conf")
    pair.sql(T)
    bunny.mirror("m", pair)
    bunny.api.post("/v1/mirrors/m/pause")
    pair.sql("SELECT pg_logical_emit_message(false, 'x', repeat('x', 22000000))")
    wait_for(lambda: not pair.slots(), 30, "the slot to be dropped")
    assert "copied again" in finding(bunny, "slot_missing")["remedy"]
    pair.sql("INSERT INTO t VALUES (2, 'b')")
    bunny.api.post("/v1/mirrors/m/resume")
    failed(bunny, "slot_missing", is_held=True)
    retry(bunny)
    healed(pair, bunny, 2)


@pytest.mark.long
@pytest.mark.limit(240)
def test_the_wal_guard_pauses_where_that_was_asked_for(pair, lone_bunny):
    """Once: who resumes the mirror wants it to go on, although the slot still keeps as much."""
    bunny = lone_bunny
    with open(f"{bunny.dir}/guard.conf", "w", encoding="utf-8") as f:
        f.write("[alarm]\nwal_room = 24MB\nwal_action = pause\n")
    bunny.start("-c", f"{bunny.dir}/guard.conf")
    pair.sql(T)
    bunny.mirror("m", pair)
    with pair.source.connect(pair.sdb) as other:
        other.execute("BEGIN")
        other.execute("SELECT pg_current_xact_id()")  # keeps the WAL from here on
        pair.sql("SELECT pg_logical_emit_message(false, 'x', repeat('x', 22000000))")
        bunny.wait_status("m", "paused", 30)
        wait_for(lambda: "a pause keeps the slot" in finding(bunny, "wal_kept")["remedy"], 30,
                 "the finding to know of the pause")
        assert pair.slots()[0][0] == "bunny_slot_m"
        runs = bunny.api.get("/v1/mirrors/m/runs")
        assert "WAL guard" in str(runs), runs
        pair.sql("INSERT INTO t VALUES (2, 'b')")
        bunny.api.post("/v1/mirrors/m/resume")
        bunny.wait_running("m")
        assert pair.assert_equal() == 2
        sampled = bunny.status("m")["slot"]["sampled_at"]
        wait_for(lambda: bunny.status("m")["slot"]["sampled_at"] > sampled, 30, "another sample")
        assert finding(bunny, "wal_kept")["severity"] == "error"
        assert bunny.status("m")["status"] == "running"
        other.execute("ROLLBACK")


def test_a_copy_says_what_limits_its_speed(pair, impatient):
    bunny = impatient
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text);"
             "INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 100000) g")
    pair.dsql("CREATE TABLE pace AS SELECT 0.0005 AS wait; CREATE FUNCTION slow() RETURNS trigger "
              "LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(wait) FROM public.pace; RETURN NEW; END "
              "$$; CREATE TABLE t (id int PRIMARY KEY, v text);"
              "CREATE TRIGGER s BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow();"
              "ALTER TABLE t ENABLE ALWAYS TRIGGER s")
    bunny.create_mirror("m", pair)
    f = finding(bunny, "copy_pace", 60)
    assert "the destination writes" in f["cause"], f
    pair.dsql("DELETE FROM pace")
    bunny.wait_running("m", 120)
    assert pair.assert_equal() == 100000
    wait_told_off(bunny)


# --- the doctor -------------------------------------------------------------------------------------
def test_the_doctor_says_what_is_well_and_what_is_not(pair, bunny):
    pair.sql(T)
    bunny.mirror("m", pair)
    pair.assert_equal()

    def checks():
        report = bunny.api.get("/v1/mirrors/m/doctor")
        assert report["mirror"] == "m", report
        return report, {c["check"]: c for c in report["checks"]}
    report, _ = wait_for(lambda: (r := checks())[0]["healthy"] and r, 60, "all to be well")
    names = [c["check"] for c in report["checks"]]
    for name in ("status", "heartbeat", "workers", "findings", "runs", "log", "source", "wal_level",
                 "slot", "publication", "lag", "destination", "tables", "progress", "rows", "locks"):
        assert name in names, names
    bunny.api.post("/v1/mirrors/m/pause")
    pair.sql("SELECT pg_drop_replication_slot('bunny_slot_m')")
    pair.dsql("DROP TABLE t")
    report, found = checks()
    assert not report["healthy"]
    assert (found["slot"]["state"], found["slot"]["action"]) == ("error", "retry"), found["slot"]
    assert (found["tables"]["state"], found["status"]["state"]) == ("error", "warning"), found
    said = bunny.cli("doctor", "m", expect=1).stdout
    assert "slot bunny_slot_m does not exist" in said and "> Retry: a new slot" in said, said
    pair.dsql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    bunny.api.post("/v1/mirrors/m/resume")
    failed(bunny, "slot_missing", is_held=True)
    retry(bunny)
    healed(pair, bunny, 1)
