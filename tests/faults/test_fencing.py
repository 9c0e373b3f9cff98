"""Promise (one applier): of two processes on copies of one state directory one applies, and the other
says who does: which process, on which host, since when. Never both, also when the first was stopped
and goes on later, or when its connection hangs."""
import os
import shutil
import signal
import socket

import pytest

from faults.world import World
from harness.bunny import Bunny
from harness.waiting import wait_for


@pytest.fixture
def twins(root, source, dest, request):
    """A world that streams, and a second process on a copy of its state directory, not started."""
    w = World(root, source, dest, request.node.name)
    w.open()
    w.create()
    w.wait_streaming()
    w.write()
    copy = os.path.join(root, "twin")
    w.bunny.kill()
    shutil.copytree(w.bunny.state_dir, copy, ignore=shutil.ignore_patterns("*.sock*", "*lock*"))
    os.chmod(copy, 0o700)
    w.start()
    w.wait_streaming()
    twin = Bunny(root, "twin-log", state_dir=copy)
    try:
        yield w, twin
        print(f"the second process:\n{twin.log_tail()}")
        report = twin.sanitizer_reports()
        assert not report, report[:6000]
    finally:
        twin.remove()
        shutil.rmtree(copy, ignore_errors=True)
        w.close()


def status(b, w):
    return b.api.get(f"/v1/mirrors/{w.name}")


def wait_fenced(b, w, by, limit=60):
    """Until b says that by applies, with PID, host and time."""
    def fenced():
        s = status(b, w)
        assert s["error_code"] == "fenced" and s["status"] == "error", \
            {k: s[k] for k in ("status", "error_code", "error_message")}
        assert f"PID {by.process.pid} on {socket.gethostname()}, since 20" in s["error_message"], s
        return True
    wait_for(fenced, limit, "the second process to name the first")


def rows_grow(w):
    before = w.pair.dsql("SELECT count(*), max(id) FROM t")[0]
    wait_for(lambda: w.pair.dsql("SELECT count(*), max(id) FROM t")[0] != before, 30,
             "rows to arrive")


def end_sessions(w, pids):
    for pid in pids:
        w.dest.sql("SELECT pg_terminate_backend(%s)", (pid,))


def dest_sessions(w):
    return w.sessions(w.dest, w.pair.ddb)


def finish(w, winner):
    w.quiesce()
    w.bunny, other = winner, w.bunny
    w.recover(False)
    assert w.compare()[:2] == (0, 0)
    if other is not winner:
        other.kill()
    w.api.delete(f"/v1/mirrors/{w.name}")
    w.pair.assert_clean()
    if other is not winner:
        winner.kill()
        w.bunny = other


@pytest.mark.quick
def test_the_second_process_names_the_first(twins):
    w, twin = twins
    twin.start()
    wait_fenced(twin, w, w.bunny)
    rows_grow(w)
    assert status(w.bunny, w)["status"] == "running"
    assert status(w.bunny, w)["error_count"] == 0, "the second one disturbs the first"
    twin.kill()
    finish(w, w.bunny)


@pytest.mark.quick
def test_a_stopped_process_that_goes_on_applies_nothing(twins):
    w, twin = twins
    first = w.bunny
    first.process.send_signal(signal.SIGSTOP)
    try:
        twin.start()
        wait_fenced(twin, w, first)
        end_sessions(w, dest_sessions(w))  # what the hint says: end its connection
        for pid, in w.source.sql("SELECT active_pid FROM pg_replication_slots WHERE database = %s "
                                 "AND active", (w.pair.sdb,)):
            w.source.sql("SELECT pg_terminate_backend(%s)", (pid,))
        twin.api.post(f"/v1/mirrors/{w.name}/retry")
        wait_for(lambda: status(twin, w)["status"] == "running", 60, "the second one to take over")
        rows_grow(w)
    finally:
        first.process.send_signal(signal.SIGCONT)
    wait_fenced(first, w, twin)
    rows_grow(w)
    assert status(twin, w)["status"] == "running"
    finish(w, twin)


def test_a_process_whose_connection_hangs(twins):
    """The server has not noticed: its session still has the lock, so the other one waits; once that
    session is ended the other one applies, and the first says so when it is back."""
    w, twin = twins
    first = w.bunny
    own = dest_sessions(w)
    # the second one's way to the destination is another one
    twin.start()
    wait_fenced(twin, w, first)
    twin.api.post(f"/v1/mirrors/{w.name}/pause")
    body = w.peer_body("dest", w.pair.ddb)
    twin.api.put(f"/v1/peers/{w.name}-dest", {**body, "port": w.dest.port})
    twin.api.put(f"/v1/peers/{w.name}-source",
                 {**w.peer_body("source", w.pair.sdb), "port": w.source.port})
    for p in w.proxies.values():
        p.hang()
    twin.api.post(f"/v1/mirrors/{w.name}/resume")

    def fenced_or_running():
        s = status(twin, w)
        return s["status"] == "running" or (s["status"] == "error" and s["error_code"] == "fenced")
    wait_for(fenced_or_running, 60, "the second one to say what it does")
    end_sessions(w, own)
    twin.api.raw("POST", f"/v1/mirrors/{w.name}/retry")
    wait_for(lambda: status(twin, w)["status"] == "running", 90, "the second one to take over")
    for p in w.proxies.values():
        p.heal()
    wait_fenced(first, w, twin, 120)
    rows_grow(w)
    finish(w, twin)
