"""Promise: a request that was answered with 2xx is there after kill -9 in the same moment, and one
that was refused changed nothing; a half-done creation or deletion is finished or undone at the next
start. ROUNDS says how often the loop kills (15; 200 for a long look)."""
import json
import os
import random
import signal
import socket
import threading
import time

import pytest

from harness.api import Api
from harness.waiting import wait_for

ROUNDS = int(os.environ.get("ROUNDS", "15"))


def send_and_kill(bunny, method, path, body=None):
    """Sends a request, kills the process at the first byte of the answer. Returns the status."""
    data = json.dumps(body) if body is not None else ""
    with socket.create_connection(("127.0.0.1", bunny.port), timeout=60) as s:
        s.sendall((f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                   f"Authorization: Bearer {bunny.api.token}\r\n"
                   f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n{data}"
                   ).encode())
        first = s.recv(16)
        os.kill(bunny.process.pid, signal.SIGKILL)
    bunny.process.wait()
    bunny.process = None
    return int(first[9:12])


class Model:
    """What the answers so far promise."""

    def __init__(self, bunny, pair):
        self.bunny, self.pair = bunny, pair
        self.peers, self.users, self.n = {}, set(), 0
        self.mirror = None  # None, "running", "paused"

    def choose(self):
        ways = [self.add_peer, self.add_user, self.toggle_mirror, self.toggle_mirror]
        if self.peers:
            ways += [self.change_peer, self.remove_peer]
        if self.users:
            ways += [self.remove_user]
        return random.choice(ways)()

    def fresh(self, prefix):
        self.n += 1
        return f"{prefix}{self.n}"

    def add_peer(self):
        name = self.fresh("p")
        body = {"name": name, "host": "h", "user": "u", "database": "d", "password": "secret"}
        return "POST", "/v1/peers", body, 201, lambda: self.peers.update({name: "h"})

    def change_peer(self):
        name, host = random.choice(list(self.peers)), self.fresh("h")
        return "PUT", f"/v1/peers/{name}", {"host": host}, 200, \
            lambda: self.peers.update({name: host})

    def remove_peer(self):
        name = random.choice(list(self.peers))
        return "DELETE", f"/v1/peers/{name}", None, 200, lambda: self.peers.pop(name)

    def add_user(self):
        name = self.fresh("u")
        body = {"username": name, "password": "long enough password", "role": "viewer"}
        return "POST", "/v1/users", body, 201, lambda: self.users.add(name)

    def remove_user(self):
        name = random.choice(list(self.users))
        return "DELETE", f"/v1/users/{name}", None, 200, lambda: self.users.discard(name)

    def toggle_mirror(self):
        def become(what):
            return lambda: setattr(self, "mirror", what)
        if self.mirror is None:
            body = self.bunny.mirror_body("m", self.pair, ["public.t"])
            return "POST", "/v1/mirrors", body, 201, become("running")
        if random.random() < 0.3:
            return "DELETE", "/v1/mirrors/m", None, 200, become(None)
        if self.mirror == "paused":
            return "POST", "/v1/mirrors/m/resume", None, 200, become("running")
        return "POST", "/v1/mirrors/m/pause", None, 200, become("paused")

    def check(self):
        api = self.bunny.api
        there = {p["name"]: p["host"] for p in api.get("/v1/peers")}
        for name in (self.bunny.peer(self.pair.source, self.pair.sdb),
                     self.bunny.peer(self.pair.dest, self.pair.ddb)):
            there.pop(name)
        assert there == self.peers
        assert {u["username"] for u in api.get("/v1/users")} - {"ana"} == self.users
        mirrors = {m["name"]: m["status"] for m in api.get("/v1/mirrors")}
        assert set(mirrors) == ({"m"} if self.mirror else set())
        if self.mirror:
            assert (mirrors["m"] == "paused") == (self.mirror == "paused"), mirrors


@pytest.mark.limit(120 + 8 * ROUNDS)
def test_every_answered_change_survives_kill_9(bunny, pair):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)")
    model = Model(bunny, pair)
    bunny.peer(pair.source, pair.sdb)
    bunny.peer(pair.dest, pair.ddb)
    for _ in range(ROUNDS):
        method, path, body, wanted, then = model.choose()
        status = send_and_kill(bunny, method, path, body)
        assert status == wanted, (method, path, status, bunny.log_tail())
        then()
        bunny.start()
        model.check()
        if model.mirror is None:
            assert not pair.slots() and not pair.publications(), "a deletion left something"
    if model.mirror == "paused":
        bunny.api.post("/v1/mirrors/m/resume")
    if model.mirror:
        bunny.wait_running("m")
        pair.sql("INSERT INTO t VALUES (0)")
        assert pair.assert_equal() == 1001


@pytest.mark.limit(240)
def test_a_half_done_creation_or_deletion_is_finished_or_undone(bunny, pair):
    """kill -9 at random moments inside both. Whatever the catalog says afterwards is true, and what
    is deleted leaves nothing behind."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 20000)")
    body = bunny.mirror_body("m", pair, ["public.t"])
    for _ in range(max(4, ROUNDS // 3)):
        for method, path, data in (("POST", "/v1/mirrors", body), ("DELETE", "/v1/mirrors/m", None)):
            def ask(method=method, path=path, data=data):
                try:
                    Api(bunny.api.address, bunny.api.token).raw(method, path, data)
                except OSError:
                    pass  # the process is killed meanwhile
            asker = threading.Thread(target=ask)
            asker.start()
            time.sleep(random.random() * 0.3)  # any moment: that is the test
            bunny.kill()
            asker.join()
            bunny.start()
        names = [m["name"] for m in bunny.api.get("/v1/mirrors")]
        if names:  # the deletion had not begun: the mirror must work, or go when asked again
            wait_for(lambda: settled(bunny), 60, "the mirror to run or to be gone")
            bunny.api.raw("DELETE", "/v1/mirrors/m")
        wait_for(lambda: not bunny.api.get("/v1/mirrors"), 60, "the mirror to be gone")
        pair.assert_clean()
        pair.dsql("DROP TABLE IF EXISTS t")


def settled(bunny):
    mirrors = bunny.api.get("/v1/mirrors")
    return not mirrors or mirrors[0]["status"] == "running"
