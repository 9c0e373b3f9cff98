"""Promise: a mirror that falls behind says which side holds it up: the way, the source, the
destination, or that nobody reads its slot; and a full disk by its name. All of them end, and nothing
is lost."""
import os

import pytest

from faults.proxy import FORWARD, HANG, TRICKLE
from faults.table import FAULTS
from faults.world import World
from harness.bunny import Bunny
from harness.waiting import wait_for


@pytest.fixture
def world(root, source, dest, request):
    """Its alarms come early; connections may be silent for as long as they may by default."""
    bunny = Bunny(root, "early")
    conf = os.path.join(bunny.dir, "early.conf")
    with open(conf, "w", encoding="utf-8") as f:
        f.write("[alarm]\nlag = 2s\n")
    bunny.start("-c", conf)
    w = World(root, source, dest, request.node.name, bunny)
    yield w
    w.close()


def open_world(w, tables=("public.*",)):
    w.options["table_mappings"] = [{"source_table": t} for t in tables]
    w.open()
    for side, db in (("source", w.pair.sdb), ("dest", w.pair.ddb)):
        w.api.put(f"/v1/peers/{w.name}-{side}", {**w.peer_body(side, db), "options": {}})
    w.create()
    w.wait_streaming()
    w.recover(False)


def finding(w, code, limit=60):
    def look():
        found = [f for f in w.status()["findings"] if f["code"] == code]
        assert found, (w.status()["status"], w.status()["findings"])
        return found[0]
    f = wait_for(look, limit, f"finding {code}", 0.1)
    assert f["title"] and f["cause"] and f["remedy"], f
    print(f"{code}: {f['title']}. {f['cause']}. -> {f['remedy']} [{f['action']}]")
    return f


def stream_session(w):
    """(PID of the WAL sender, the port that it sees)."""
    rows = w.source.sql("SELECT a.pid, a.client_port FROM pg_replication_slots s JOIN "
                        "pg_stat_activity a ON a.pid = s.active_pid WHERE s.database = %s "
                        "AND NOT s.temporary", (w.pair.sdb,))
    return rows[0]


def heal(w):
    w.recover(False, 120)
    assert w.compare(120)[:2] == (0, 0)
    wait_for(lambda: not w.status()["findings"], 60, "no finding any more")


@pytest.mark.long
def test_a_slow_way_from_the_source(world):
    w = world
    open_world(w)
    _, port = stream_session(w)
    w.proxies["source"].change(port, TRICKLE)
    w.pair.sql("INSERT INTO t (v, s) SELECT i, repeat('x', 600) FROM generate_series(1, 40000) i")
    f = finding(w, "network_slow")
    assert f["severity"] == "warning" and f"{w.name}-source" in f["title"], f
    w.proxies["source"].change(port, FORWARD)
    heal(w)


@pytest.mark.long
def test_nobody_reads_the_slot(world):
    """The WAL sender has ended, and the word of it does not arrive."""
    w = world
    open_world(w)
    pid, port = stream_session(w)
    w.proxies["source"].change(port, HANG)
    w.source.sql("SELECT pg_terminate_backend(%s)", (pid,))
    w.pair.sql("INSERT INTO t (v, s) VALUES (1, 'waits')")
    f = finding(w, "slot_inactive")
    assert f["action"] == "retry", f
    w.api.post(f"/v1/mirrors/{w.name}/retry")
    heal(w)


@pytest.mark.long
def test_a_destination_that_computes(world):
    w = world
    open_world(w)
    w.pair.dsql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM count(*) "
                "FROM pg_catalog.generate_series(1, 100000); RETURN NEW; END $$;"
                "CREATE TRIGGER s BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow();"
                "ALTER TABLE t ENABLE ALWAYS TRIGGER s")
    w.pair.sql("UPDATE t SET v = v + 1")
    f = finding(w, "destination_slow")
    assert f"{w.name}-dest" in f["title"], f
    w.pair.dsql("CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RETURN NEW; END $$")
    heal(w)


@pytest.mark.long
def test_a_source_that_decodes(world):
    """A large transaction of tables that are not mirrored: nothing of it comes."""
    w = world

    def set_memory(how):
        w.source.sql(f"ALTER SYSTEM {how}")
        w.source.sql("SELECT pg_reload_conf()")
    open_world(w, ("public.t",))
    w.pair.sql("CREATE TABLE noise (id int, s text)")
    try:
        set_memory("SET logical_decoding_work_mem = '64kB'")
        w.pair.sql("INSERT INTO noise SELECT i, repeat('n', 40) FROM generate_series(1, 1500000) i")
        finding(w, "source_decodes")
    finally:
        set_memory("RESET logical_decoding_work_mem")
    w.recover(False, 150)
    assert w.pair.sql("SELECT count(*), sum(v) FROM t") == w.pair.dsql("SELECT count(*), sum(v) FROM t")


@pytest.mark.long
def test_a_full_disk_at_the_destination(world, small_disk):
    w = world
    w.small_disk = small_disk
    fault = FAULTS["dest-disk-full"]
    fault.prepare(w)
    open_world(w)
    try:
        fault.strike(w)

        def is_named():
            s = w.status()
            assert s["error_code"] == "disk_full", (s["error_code"], s["error_message"])
            return True
        wait_for(is_named, 40, "the disk to be named", 0.1)
        f = finding(w, "disk_full")
        assert "room" in f["remedy"], f
    finally:
        fault.heal(w)
    heal(w)
