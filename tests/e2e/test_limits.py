"""Promise: rows of any size run in bounded memory, and no command waits for a server that hangs."""
import os
import signal
import socket
import threading
import time

import pytest

from harness.api import ApiError
from harness.waiting import soon, wait_for


def seconds(call):
    began = time.monotonic()
    call()
    return time.monotonic() - began


@pytest.mark.long
def test_rows_larger_than_the_window(pair, bunny):
    """The window fills before the destination is asked for results, or before the COMMIT."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    bunny.mirror("m", pair)
    pair.sql("INSERT INTO t SELECT i, repeat(md5(i::text), 3200) FROM generate_series(1, 300) i")
    assert pair.assert_equal(60) == 300
    pair.sql("INSERT INTO t SELECT i, repeat('x', 12000000) FROM generate_series(301, 304) i")
    assert pair.assert_equal(60) == 304
    pair.sql("UPDATE t SET v = v || 'y' WHERE id > 301")
    pair.sql("DELETE FROM t WHERE id = 301")
    assert pair.assert_equal(60) == 303


@pytest.mark.long
def test_values_of_50_mb(pair, bunny):
    """Each of a row of its own, copied and streamed; next to a change they are left alone."""
    pair.sql("""CREATE TABLE t (id int PRIMARY KEY, a text, b bytea, j jsonb);
        ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
        INSERT INTO t (id, a) VALUES (1, repeat('ab', 25000000));
        INSERT INTO t (id, b) VALUES (2, decode(repeat('00ff', 25000000), 'hex'));
        INSERT INTO t (id, j) VALUES (3, to_jsonb(repeat('j', 50000000)))""")
    bunny.mirror("m", pair)
    pair.sql("INSERT INTO t SELECT id + 3, a, b, j FROM t; UPDATE t SET id = -id WHERE id < 4")
    pair.wait_confirmed(120)
    query = "SELECT id, md5(a), md5(b), md5(j::text) FROM t ORDER BY id"
    assert pair.sql(query) == pair.dsql(query)
    if "BUNNYDB_SLOW" not in os.environ:
        assert bunny.memory_kib() < (256 + 4 * 100) * 1024


@pytest.mark.long
def test_wide_table_with_many_sets_of_unchanged_values(pair, bunny):
    """Each set of unchanged TOAST values is a statement of its own: they do not pile up there."""
    columns = ", ".join(f"c{i} text" for i in range(1, 1600))
    pair.sql(f"""CREATE TABLE w (id int PRIMARY KEY, {columns});
                 CREATE TABLE f (c0 int, {columns}); ALTER TABLE f REPLICA IDENTITY FULL""")
    big = range(1, 40)
    pair.sql("".join(f"ALTER TABLE w ALTER c{c} SET STORAGE EXTERNAL;" for c in big))
    bunny.mirror("m", pair)
    pair.sql("INSERT INTO w (id, c1599) VALUES (1, 'x'); INSERT INTO f (c1) VALUES ('y'), ('z')")
    pair.sql("UPDATE w SET " + ", ".join(f"c{c} = repeat('{c}', 2200)" for c in big))
    for c in big:
        pair.sql("".join(f"UPDATE w SET c{c} = c{c} || 'x', c{o} = c{o} || 'x';"
                         for o in range(c + 1, 40, 4)))
    pair.sql("UPDATE f SET c1599 = 'q'; UPDATE f SET c2 = 'r' WHERE c1 = 'z'; "
             "DELETE FROM f WHERE c1 = 'y'")
    assert pair.assert_equal() == 2
    own = []
    for pid, in pair.dsql("SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                          "AND application_name = 'bunnydb m'"):
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            own += [int(line.split()[1]) for line in status if line.startswith("RssAnon")]
    assert 0 < max(own) < 128 * 1024, f"{own} kB for its statements"


def test_pause_beside_a_destination_that_hangs(pair, bunny):
    """The quiet stretch that the stop writes down is not waited for."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int)")
    bunny.mirror("m", pair, ["public.t"])
    pair.sql("INSERT INTO t VALUES (1)")
    pair.wait_confirmed()
    pids = [pid for pid, in pair.dsql("SELECT pid FROM pg_stat_activity WHERE datname = "
                                      "current_database() AND application_name = 'bunnydb m'")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        pair.sql("INSERT INTO other SELECT generate_series(1, 1000)")
        time.sleep(1.5)
        assert seconds(lambda: bunny.api.post("/v1/mirrors/m/pause")) < soon(4)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    bunny.api.post("/v1/mirrors/m/resume")
    bunny.wait_running("m", may_fail=True)
    pair.sql("INSERT INTO t VALUES (2)")
    pair.wait_value("SELECT count(*) FROM t", 2)


@pytest.mark.long
def test_a_deletion_that_was_cut_off_is_finished(pair, bunny):
    """Killed while the source hangs: the mirror stays a deletion, whatever it is told meanwhile."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    bunny.mirror("m", pair)
    peer = bunny.peer(pair.source, pair.sdb)
    body = {"host": pair.source.host, "user": "postgres", "database": pair.sdb}
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(50)
        bunny.api.put(f"/v1/peers/{peer}",
                      {**body, "host": "127.0.0.1", "port": hole.getsockname()[1]})

        def delete():
            try:
                bunny.api.delete("/v1/mirrors/m")
            except (OSError, ApiError):
                pass
        request = threading.Thread(target=delete)
        request.start()
        wait_for(lambda: bunny.status("m")["phase"] == "deleting", 10, "the deletion to begin")
        bunny.kill()
        request.join()
        bunny.start()
        wait_for(lambda: bunny.status("m")["next_retry_at"], 30, "a failed try")
        status = bunny.status("m")
        assert (status["status"], status["phase"]) == ("stopped", "deleting") and \
            status["error_message"], status
        assert bunny.api.raw("POST", "/v1/mirrors/m/pause").code == "operation_in_progress"
        bunny.api.post("/v1/mirrors/m/retry")
        assert bunny.status("m")["status"] == "stopped"
    bunny.api.put(f"/v1/peers/{peer}", {**body, "port": pair.source.port})
    wait_for(lambda: not bunny.api.get("/v1/mirrors"), 30, "the deletion to be finished")
    pair.assert_clean()


@pytest.mark.long
def test_a_corrected_peer_is_tried_at_once(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    bunny.mirror("m", pair)
    peer = bunny.peer(pair.source, pair.sdb)
    body = {"host": pair.source.host, "user": "postgres", "database": pair.sdb}
    bunny.api.put(f"/v1/peers/{peer}", {**body, "port": 1})
    wait_for(lambda: bunny.status("m")["error_count"] >= 4, 60, "a long back-off")
    bunny.api.put(f"/v1/peers/{peer}", {**body, "port": pair.source.port})
    assert seconds(lambda: bunny.wait_running("m", 20, may_fail=True)) < soon(4)
