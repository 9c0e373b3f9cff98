"""The troubles that operators know, each with how it is caused on a running mirror and, behind the yield,
what heals it. For tests/faults/captures."""
import contextlib
import glob
import os
import threading
from dataclasses import dataclass
from typing import Callable

from harness.cluster import Standby
from harness.waiting import wait_for
from test_troubles import holder, lose_wal

from .proxy import HANG

ROWS = []


@dataclass
class Row:
    name: str
    trouble: str
    cause: Callable


@dataclass
class Refused:
    """Nothing for a screen: what the program answers at once."""
    text: str


def row(trouble):
    def note(function):
        ROWS.append(Row(function.__name__, trouble, contextlib.contextmanager(function)))
        return function
    return note


def answer(case, method, path, body=None):
    a = case.api.raw(method, f"/v1/mirrors/{path}", body)
    return f"{method} /v1/mirrors/{path}: {a.status}\n" + "\n".join(
        f"  {k}: {v}" for k, v in a.body.items() if k in ("error", "code", "hint", "operation"))


# --- the slot -----------------------------------------------------------------------------------

@row("slot already exists, from an earlier run")
def slot_exists(c):
    c.pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    with c.pair.source.connect(c.pair.sdb) as other, c.pair.source.connect(c.pair.sdb) as theirs:
        other.execute("BEGIN")
        other.execute("CREATE PUBLICATION bunny_pub_orders")
        c.bunny.create_mirror("orders", c.pair)
        wait_for(lambda: c.pair.sql("SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                                    " AND wait_event_type = 'Lock' AND query LIKE 'CREATE PUB%'"), 30,
                 "the publication to be waited for")
        slot = threading.Thread(target=lambda: theirs.execute(
            "SELECT pg_create_logical_replication_slot('bunny_slot_orders', 'pgoutput')"))
        slot.start()
        wait_for(c.pair.slots, 30, "the other slot's name")
        other.execute("ROLLBACK")
        slot.join()
    yield "slot_exists", "\r"
    c.post("retry", {"take_slot": True})


@row("slot is active for PID n")
def slot_active(c):
    c.mirror()
    c.post("pause")
    with holder_of(c):
        c.post("resume")
        yield "slot_active", "\r"
        c.post("retry", {"take_slot": True})
        c.bunny.wait_running("orders", may_fail=True)


def holder_of(c):
    return holder(c.pair, "their reader", "orders")


@row("slot lost: the source removed WAL that it still needs")
def slot_lost(c):
    c.mirror()
    c.post("pause")
    c.pair.sql("INSERT INTO t VALUES (2, 'b')")
    lose_wal(c.pair, "orders")
    c.post("resume")
    yield "slot_lost", "\r"
    c.post("retry")


@row("slot dropped")
def slot_missing(c):
    c.mirror()
    c.post("pause")
    c.pair.sql("SELECT pg_drop_replication_slot('bunny_slot_orders')")
    c.post("resume")
    yield "slot_missing", "\r"
    c.post("retry")


@row("slot ahead of the destination (it was restored, or failed over)")
def slot_ahead(c):
    c.mirror()
    c.post("pause")
    c.pair.sql("INSERT INTO t VALUES (2, 'b')")
    c.pair.sql("SELECT pg_replication_slot_advance('bunny_slot_orders', pg_current_wal_insert_lsn())")
    c.post("resume")
    yield "slot_ahead", "\r"
    c.post("retry")


@row("complete failure: progress missing at the destination")
def progress_missing(c):
    c.mirror()
    c.post("pause")
    c.pair.dsql("DELETE FROM _bunnydb.progress")
    c.post("resume")
    yield "progress_missing", "\r"
    c.post("retry")


@row("complete failure: publication dropped")
def publication_missing(c):
    c.mirror()
    c.post("pause")
    c.pair.sql("DROP PUBLICATION bunny_pub_orders")
    c.post("resume")
    yield "publication_missing", "\r"
    c.post("retry")


@row("LSN does not advance: the publication lacks a table of the mirror")
def publication_lacks_a_table(c):
    c.mirror("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY)")
    c.post("pause")
    c.pair.sql("ALTER PUBLICATION bunny_pub_orders DROP TABLE u")
    c.pair.sql("INSERT INTO u VALUES (1); INSERT INTO t VALUES (1, 'a')")
    c.post("resume")
    yield "publication_missing", "\r"
    c.post("retry")


@row("complete failure: the source was set back")
def source_changed(c):
    c.mirror()
    c.post("pause")
    c.pair.dsql("UPDATE _bunnydb.progress SET lsn = '7F/0'")
    c.post("resume")
    yield "source_changed", "\r"
    c.post("retry", {"recreate_slot": True})


# --- runs and operations ------------------------------------------------------------------------

@row("the run has already ended: a control operation on an ended run starts a new one")
def ended_run(c):
    c.mirror()
    yield Refused(answer(c, "POST", "orders/retry") + "\n" + answer(c, "POST", "orders/resume")), ""


@row("heartbeat timeout, stuck mirror: a server takes bytes and says no more")
def hung_server(c):
    c.mirror()
    c.proxies["dest"].hang(True)
    c.pair.sql("INSERT INTO t VALUES (2, 'b')")
    yield "connection_failed", "\r"
    c.proxies["dest"].heal()
    c.post("retry")


@row("another operation is in progress")
def busy(c):
    c.mirror("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, repeat('x', 500) "
             "FROM generate_series(1, 100000) i")
    c.proxies["source"].slow(0.2)
    c.post("resync/public.t")
    yield Refused(answer(c, "POST", "orders/resync/public.t")), ""


@row("tables of a running mirror cannot be changed")
def tables_of_running(c):
    c.mirror()
    yield Refused(answer(c, "PUT", "orders/tables", {"table_mappings": [{"source_table": "public.t"}]})), ""


@row("tables of a running mirror are changed in the console (E): pause, change and resume in one step")
def tables_in_console(c):
    c.pair.sql("CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1)")
    c.pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
    c.bunny.mirror("orders", c.pair, ["public.t"])
    yield "public.u", "E"
    c.post("pause")
    c.api.put("/v1/mirrors/orders/tables", {"table_mappings": [{"source_table": "public.*"}]})
    c.post("resume")
    wait_for(lambda: [t["status"] for t in c.status()["tables"]] == 2 * ["streaming"], 60, "both tables")


# --- tables and rows ----------------------------------------------------------------------------

@row("relation does not exist on the destination")
def destination_table_missing(c):
    c.mirror("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)")
    c.post("pause")
    c.pair.dsql("DROP TABLE t, u")
    c.post("resume")
    yield "destination_table_missing", "\r"
    c.post("sync-schema")


@row("foreign key violation")
def foreign_key_violation(c):
    c.pair.dsql("CREATE ROLE plain_capture LOGIN; GRANT ALL ON SCHEMA public TO plain_capture;"
                f"GRANT CREATE ON DATABASE {c.pair.ddb} TO plain_capture")
    try:
        c.api.put(f"/v1/peers/{c.bunny.peer(c.pair.dest, c.pair.ddb)}", {"user": "plain_capture"})
        c.mirror("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int)")
        c.pair.dsql('ALTER TABLE b ADD CONSTRAINT "b to a" FOREIGN KEY (a) REFERENCES a')
        c.pair.sql("BEGIN; INSERT INTO b VALUES (1, 7); INSERT INTO a VALUES (7); COMMIT")
        yield "foreign_key_violation", "\r"
        c.pair.dsql('ALTER TABLE b ALTER CONSTRAINT "b to a" DEFERRABLE INITIALLY DEFERRED')
        c.post("retry")
        c.ends_equal()
    finally:
        c.api.put(f"/v1/peers/{c.bunny.peer(c.pair.dest, c.pair.ddb)}", {"user": "postgres"})
        wait_for(lambda: drop_role(c), 30, "the role to be dropped")


def drop_role(c):
    c.pair.dsql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "
                "'plain_capture'")
    c.pair.dsql("REASSIGN OWNED BY plain_capture TO postgres; DROP OWNED BY plain_capture;"
                "DROP ROLE plain_capture")
    return True


@row("data drift: rows that the destination lost")
def rows_missing(c):
    c.mirror()
    c.pair.dsql("DELETE FROM t")
    c.pair.sql("UPDATE t SET v = 'changed'")
    yield "rows_missing", "\r"
    copy_again(c)


def copy_again(c):
    c.post("resync/public.t")
    wait_for(lambda: not c.status()["operation"], 60, "the copy to end")


@row("data drift: what verify finds (V)")
def drift(c):
    c.mirror()
    c.pair.dsql("UPDATE t SET v = 'wrong'")
    c.post("verify")
    wait_for(lambda: c.status()["phase"] == "streaming", 30, "the comparison to end")
    yield "rows that differ", "\rV"
    copy_again(c)


@row("schema drift")
def schema_drift(c):
    c.mirror(schema_changes="manual")
    c.post("pause")
    c.pair.sql("ALTER TABLE t ADD COLUMN more int")
    c.post("resume")
    yield "definitions_behind", "\r5", "add column"
    c.post("sync-schema")
    wait_for(lambda: "more" in [r[0] for r in c.pair.dsql(
        "SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass")], 60, "the column")


@contextlib.contextmanager
def goes_on(c, statement, most=8):
    """At the source, until it has been looked at: what was slow once may be over before."""
    over = threading.Event()

    def run():
        for _ in range(most):
            c.pair.sql(statement)
            if over.wait(2):
                return
    runner = threading.Thread(target=run)
    runner.start()
    try:
        yield
    finally:
        over.set()
        runner.join()


# --- lag ----------------------------------------------------------------------------------------

@row("LSN does not advance: paused")
def paused(c):
    c.mirror()
    c.post("pause")
    c.pair.sql("INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(2, 5000) g")
    yield "paused", "\rh", "Resume it"
    c.post("resume")


@row("LSN does not advance: nothing that is published changes, and all is well")
def quiet(c):
    c.mirror()
    c.pair.sql("CREATE TABLE noise (s text)")
    c.pair.sql("INSERT INTO noise SELECT repeat('n', 1000) FROM generate_series(1, 5000)")
    c.pair.wait_confirmed()
    yield "lag: 0.0 s", "\rh"
    c.pair.sql("DROP TABLE noise")


@row("LSN does not advance, high lag: a lock at the destination")
def lock_wait(c):
    c.mirror()
    with c.pair.dest.connect(c.pair.ddb, application_name="nightly job") as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE t")
        c.pair.sql("INSERT INTO t VALUES (2, 'b')")
        yield "lock_wait", "\r"
        other.execute("ROLLBACK")


@row("LSN does not advance: nobody reads the slot")
def slot_inactive(c):
    """Connections may be silent for as long as they may by default."""
    c.api.put(f"/v1/peers/{c.bunny.peer(c.pair.source, c.pair.sdb)}", {"options": {}})
    c.mirror()
    pid, port = c.pair.source.sql(
        "SELECT a.pid, a.client_port FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = "
        "s.active_pid WHERE slot_name = 'bunny_slot_orders'")[0]
    c.proxies["source"].change(port, HANG)
    c.pair.source.sql("SELECT pg_terminate_backend(%s)", (pid,))
    c.pair.sql("INSERT INTO t VALUES (2, 'b')")
    yield "slot_inactive", "\r"
    c.proxies["source"].heal()
    c.post("retry")


@row("high lag: the destination computes")
def destination_slow(c):
    c.mirror("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 "
             "FROM generate_series(1, 5000) i")
    c.pair.dsql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM count(*) "
                "FROM pg_catalog.generate_series(1, 30000); RETURN NEW; END $$;"
                "CREATE TRIGGER s BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow();"
                "ALTER TABLE t ENABLE ALWAYS TRIGGER s")
    with goes_on(c, "UPDATE t SET v = v + 1"):
        yield "destination_slow", "\r"
    c.pair.dsql("CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RETURN NEW; END $$")


@row("high lag: the way from the source is slow")
def network_slow(c):
    c.mirror()
    c.proxies["source"].trickle()
    c.pair.sql("INSERT INTO t SELECT i, repeat('x', 600) FROM generate_series(2, 40000) i")
    yield "network_slow", "\r"
    c.proxies["source"].heal()


@row("high lag: the source decodes")
def source_decodes(c):
    c.mirror()
    c.pair.sql("CREATE TABLE noise (id int, s text)")
    try:
        c.pair.source.sql("ALTER SYSTEM SET logical_decoding_work_mem = '64kB'")
        c.pair.source.sql("SELECT pg_reload_conf()")
        with goes_on(c, "INSERT INTO noise SELECT i, repeat('n', 40) FROM generate_series(1, 1500000) i", 3):
            yield "source_decodes", "\r"
    finally:
        c.pair.source.sql("ALTER SYSTEM RESET logical_decoding_work_mem")
        c.pair.source.sql("SELECT pg_reload_conf()")
        c.pair.sql("DROP TABLE noise")


@row("high lag: a missing index on the key of a table")
def index_missing(c):
    c.mirror("CREATE TABLE t (a int, b text); ALTER TABLE t REPLICA IDENTITY FULL;"
             "INSERT INTO t SELECT g, repeat('x', 200) FROM generate_series(1, 30000) g")
    with goes_on(c, "UPDATE t SET b = b || 'y' WHERE a > 27000"):
        yield "index_missing", "\r"
    c.pair.dsql("CREATE INDEX CONCURRENTLY ON public.t (a)")


@row("slow snapshot")
def copy_pace(c):
    c.pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text);"
               "INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g")
    c.pair.dsql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM "
                "pg_sleep(0.0005); RETURN NEW; END $$; CREATE TABLE t (id int PRIMARY KEY, v text);"
                "CREATE TRIGGER s BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow();"
                "ALTER TABLE t ENABLE ALWAYS TRIGGER s")
    c.bunny.create_mirror("orders", c.pair)
    yield "copy_pace", "\rh", "the destination"
    c.pair.dsql("CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RETURN NEW; END $$")


@row("WAL piles up on the source")
def wal_kept(c):
    c.mirror()
    try:
        c.pair.source.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'")
        c.pair.source.sql("SELECT pg_reload_conf()")
        c.post("pause")

        def alarms():
            f = [x for x in c.status()["findings"] if x["code"] == "wal_kept"]
            if not f or f[0]["severity"] != "error":
                c.pair.sql("SELECT pg_logical_emit_message(false, 'x', repeat('x', 4000000))")
            assert f and f[0]["severity"] == "error", f
            return True
        wait_for(alarms, 60, "an alarm", 1)
        yield "wal_kept", "\r"
        c.post("resume")
        c.ends_equal()
    finally:
        c.pair.source.sql("ALTER SYSTEM RESET max_slot_wal_keep_size")
        c.pair.source.sql("SELECT pg_reload_conf()")


# --- servers ------------------------------------------------------------------------------------

@row("the destination takes no writes: the peer leads to a standby")
def read_only(c):
    c.mirror()
    peer = f"/v1/peers/{c.bunny.peer(c.pair.dest, c.pair.ddb)}"
    before = {k: v for k, v in c.api.get(peer).items() if k in ("host", "port")}
    standby = Standby(os.path.dirname(c.bunny.dir), f"standby{c.pair.count}", c.pair.dest)
    try:
        standby.start()
        c.api.put(peer, {"host": standby.host, "port": standby.port})
        yield "read_only", "\r"
        c.api.put(peer, before)
        c.ends_equal()
    finally:
        standby.stop("immediate")


@row("wrong server settings: everything that is wrong at once, before a mirror is made")
def settings(c):
    c.pair.sql("CREATE TABLE no_key (a int); CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY)")
    c.pair.source.sql("CREATE ROLE weak_capture LOGIN")
    peer = c.bunny.peer(c.pair.source, c.pair.sdb, "weak", user="weak_capture", host="127.0.0.1")
    try:
        done = c.bunny.cli("check", peer, c.bunny.peer(c.pair.dest, c.pair.ddb), expect=1)
        yield Refused(f"bunnydb check {peer} …\n{done.stdout}"), ""
    finally:
        c.pair.source.sql("DROP ROLE weak_capture")


@row("gather diagnostic information, and the guide's debugging steps as one screen (h)")
def doctor(c):
    c.mirror()
    c.pair.assert_equal()
    c.post("pause")
    c.pair.sql("SELECT pg_drop_replication_slot('bunny_slot_orders')")
    yield "bunny_slot_orders", "\rh"
    c.post("resume")
    wait_for(lambda: c.status()["error_code"] == "slot_missing", 30, "the run to miss the slot")
    c.post("retry")


@row("gather diagnostic information: one file, without secrets (b)")
def bundle(c):
    pattern = f"{glob.escape(os.environ.get('TMPDIR') or '/tmp')}/bunnydb-orders-*.json"
    before = set(glob.glob(pattern))
    c.mirror()
    yield ".json", "\rbm"
    for path in set(glob.glob(pattern)) - before:
        os.unlink(path)
