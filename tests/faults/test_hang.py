"""Promise: wherever a server stops answering (in the middle of the login, of a statement, of a COPY,
while a slot is made, while a name is looked up), pause, delete and shutdown take effect within a
second, and afterwards the mirror goes on and ends equal."""
import os
import threading
import time

import pytest

from faults import phases
from faults.world import World
from harness.api import ApiError
from harness.waiting import SLOW, wait_for

LIMIT = 1.0 * SLOW + float(os.environ.get("HANG_GRACE", "0.5"))  # the machine has other work
# Bytes from the server after which it says no more. A login is some 500 bytes, the reading of
# definitions some thousands, the copy some hundred thousand.
STEPS = [0, 1, 9, 100, 330, 500, 700, 1000, 1500, 2500, 5000, 20000, 100000, 400000]


@pytest.fixture
def world(root, source, dest, request):
    w = World(root, source, dest, request.node.name)
    yield w
    print(w.bunny.log_tail(8000))  # shown when the test has failed
    w.close()


def seconds(what):
    began = time.monotonic()
    what()
    return time.monotonic() - began


def wait_silent(w, side):
    """Until the proxy holds a connection that hangs."""
    proxy = w.proxies[side]
    wait_for(lambda: any(link.mode == "hang" for link in list(proxy._links)), 60,
             "a connection that hangs", 0.01)


@pytest.mark.long
@pytest.mark.parametrize("side", ["source", "dest"])
@pytest.mark.parametrize("step", STEPS)
def test_commands_at_each_step(world, side, step):
    w = world
    w.open(rows=30000)
    w.create()
    w.proxies[side].hang_after(step)  # preflight is over: connections from now on
    w.proxies[side].cut()
    try:
        wait_silent(w, side)
    except AssertionError:
        if step < 20000:
            raise  # a connection that says less than that ends well
    w.any_moment(0.3)
    took = seconds(lambda: w.api.post(f"/v1/mirrors/{w.name}/pause"))
    assert took < LIMIT, f"pause took {took:.2f} s"
    w.api.post(f"/v1/mirrors/{w.name}/resume")
    w.any_moment(0.5)
    # a deletion needs the servers; that it has begun is what must not wait
    eraser = threading.Thread(target=lambda: delete(w))
    began = time.monotonic()
    eraser.start()
    wait_for(lambda: not eraser.is_alive() or is_being_deleted(w), 10, "the deletion to begin", 0.02)
    took = time.monotonic() - began
    assert took < LIMIT, f"the deletion began after {took:.2f} s"
    code, took = w.bunny.stop()
    assert code == 0 and took < LIMIT + 0.7, f"code {code}, the shutdown took {took:.2f} s"
    eraser.join(20)
    w.proxies[side].heal()
    w.start()
    w.write()
    if any(m["name"] == w.name for m in w.api.get("/v1/mirrors")):
        wait_for(lambda: gone_or_running(w), 60, "the mirror to go on, or the deletion to end")
    if any(m["name"] == w.name for m in w.api.get("/v1/mirrors")):
        w.recover(False)
        w.quiesce()
        assert w.compare()[:2] == (0, 0)
        w.api.delete(f"/v1/mirrors/{w.name}")
    w.pair.assert_clean()


@pytest.mark.long
@pytest.mark.parametrize("side", ["source", "dest"])
def test_commands_while_a_stream_and_a_comparison_hang(world, side):
    """What is under way is given up at the same time, not one after the other."""
    w = world
    phases.verify(w)
    w.proxies[side].hang()
    w.any_moment(0.3)
    took = seconds(lambda: w.api.post(f"/v1/mirrors/{w.name}/pause"))
    assert took < LIMIT, f"pause took {took:.2f} s"
    w.proxies[side].heal()
    w.api.post(f"/v1/mirrors/{w.name}/resume")
    w.wait_streaming()
    w.proxies[side].hang()
    w.any_moment(0.3)
    code, took = w.bunny.stop()
    assert code == 0 and took < LIMIT + 0.7, f"code {code}, the shutdown took {took:.2f} s"
    assert "did not stop within" not in w.bunny.log_tail(100000)
    w.proxies[side].heal()
    w.start()
    w.wait_streaming()
    w.recover(False)
    w.quiesce()
    assert w.compare()[:2] == (0, 0)
    w.finish()


def delete(w):
    try:
        w.api.delete(f"/v1/mirrors/{w.name}")
    except (ApiError, OSError):
        pass


def is_being_deleted(w):
    answer = w.api.raw("GET", f"/v1/mirrors/{w.name}")
    return answer.status == 404 or answer.body["phase"] == "deleting"


def gone_or_running(w):
    answer = w.api.raw("GET", f"/v1/mirrors/{w.name}")
    return answer.status == 404 or answer.body["status"] == "running"


@pytest.mark.quick
def test_commands_while_a_name_is_looked_up(world, resolver):
    w = world
    path = os.path.join(w.bunny.dir, "resolver")
    w.environment.update(LD_PRELOAD=resolver, RESOLVER_FILE=path)
    w.open()
    w.create()
    w.wait_streaming()
    with open(path, "w", encoding="ascii") as f:
        f.write("hang")
    w.proxies["source"].cut()
    wait_for(lambda: w.status()["phase"] != "streaming", 20, "the stream to end")
    w.any_moment(2)
    took = seconds(lambda: w.api.post(f"/v1/mirrors/{w.name}/pause"))
    assert took < LIMIT, f"pause took {took:.2f} s"
    w.api.post(f"/v1/mirrors/{w.name}/resume")
    w.any_moment(0.5)
    code, took = w.bunny.stop()
    assert code == 0 and took < LIMIT + 0.7, f"code {code}, the shutdown took {took:.2f} s"
    os.unlink(path)
    w.start()
    w.write()
    w.wait_streaming()
    w.recover(False)
    w.quiesce()
    assert w.compare()[:2] == (0, 0)
    w.finish()
