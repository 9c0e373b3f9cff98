"""Promise: whatever is sent to the HTTP listeners has a defined end. Nobody holds a connection, a
thread or memory for longer than the limits say, an active client gets through, the owner's Unix
socket stays usable, and a mirror that streams meanwhile does not notice."""
import contextlib
import os
import random
import socket
import threading

import pytest

from harness.api import Api
from harness.load import Load
from harness.raw import Raw, ask, chunked, descriptors, drip, request, serves, threads, what_is_held
from harness.waiting import soon, wait_for

SLOW = int(os.environ.get("BUNNYDB_SLOW", 1))
MIB = 1 << 20
LIMIT = 2  # seconds: client_timeout of these tests


@pytest.fixture
def start(lone_bunny):
    """start(setting=value…): the program with these settings of [http]."""
    def run(**settings):
        path = os.path.join(lone_bunny.dir, "bunny.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write("[http]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))
        return lone_bunny.start("-c", path)
    return run


@pytest.fixture
def bunny_http(start):
    return start(client_timeout=f"{LIMIT}s")


@pytest.fixture
def address(bunny_http):
    return ("127.0.0.1", bunny_http.port)


@pytest.fixture
def token(bunny_http):
    return bunny_http.api.token


def unix_path(bunny):
    return os.path.join(bunny.state_dir, "bunnydb.sock")


def peer_of(size, name):
    """A peer's body of exactly so many bytes: JSON may hold as many blanks as it likes."""
    text = b'{"name":"%s","host":"h","user":"u","database":"d"' % name.encode()
    return text + b" " * (size - len(text) - 1) + b"}"


class Held:
    """What the process holds; a test ends when it is no more than at the beginning."""

    def __init__(self, bunny):
        self.bunny, self.pid = bunny, bunny.process.pid
        self.before, self.what = self._now(), what_is_held(self.pid)

    def _now(self):
        return descriptors(self.pid), threads(self.pid)

    def assert_same(self, more=0):
        """more: descriptors that something else may have opened meanwhile."""
        def same():
            now = self._now()
            assert now[0] <= self.before[0] + more and now[1] <= self.before[1], \
                f"(descriptors, threads) were {self.before}, {self.what}; " \
                f"are {now}, {what_is_held(self.pid)}"
            return True
        assert self.bunny.is_running, self.bunny.log_tail()
        wait_for(same, 15 * SLOW, "descriptors and threads to be given back")


# --- bodies ------------------------------------------------------------------------------------
@pytest.mark.quick
@pytest.mark.sanitize
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_may_have_a_mebibyte(bunny_http, address, token, coding):
    def post(size, name):
        body = peer_of(size, name)
        if coding == "length":
            return ask(address, request("POST", "/v1/peers", body=body, token=token))
        return ask(address, request("POST", "/v1/peers", "Transfer-Encoding: chunked",
                                    body=chunked(body), token=token))
    assert [r.status for r in post(MIB, "fits")] == [201]
    over = post(MIB + 1, "over")
    assert [(r.status, r.code) for r in over] == [(413, "body_too_large")]
    assert [r.status for r in post(3 * MIB, "far-over")] == [413]
    assert [p["name"] for p in bunny_http.api.get("/v1/peers")] == ["fits"]


def test_a_body_without_end_is_cut_off(bunny_http, address, token):
    """Chunk after chunk, and no last one: nobody keeps reading that."""
    with Raw(address) as c:
        c.send(request("POST", "/v1/peers", "Transfer-Encoding: chunked", token=token))
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        sent = 0
        while c.send(piece) and sent < 64 * MIB:
            sent += len(piece)
        assert sent < 32 * MIB
    assert bunny_http.memory_kib() < 150 * 1024 * SLOW


def test_lengths_that_lie(bunny_http, address, token):
    # more than is sent: the rest is waited for, but not for ever
    with Raw(address) as c:
        c.send(request("POST", "/v1/peers", "Content-Length: 500", body=b"{}", token=token))
        assert c.rest() == []
    # less: what is too much is a request of its own, and is none
    replies = ask(address, request("POST", "/v1/peers", "Content-Length: 2", body=b"{}junk\r\n\r\n",
                                   token=token, closes=False))
    assert replies[0].status == 400 and "name" in replies[0].body["error"]
    assert all(r.status == 400 for r in replies[1:])
    # far more than is allowed: refused without waiting for any of it
    replies = ask(address, request("POST", "/v1/peers", f"Content-Length: {10 << 30}", body=b"{}",
                                   token=token))
    assert [(r.status, r.code) for r in replies] == [(413, "body_too_large")]
    assert bunny_http.api.get("/v1/peers") == []


def test_expect_100_continue(address, token):
    body = peer_of(200, "waits")
    head = request("POST", "/v1/peers", "Expect: 100-continue", f"Content-Length: {len(body)}",
                   "Content-Type: application/json", token=token)
    with Raw(address) as c:
        c.send(head)
        assert c.reply().status == 100
        c.send(body)
        assert [r.status for r in c.rest()] == [201]
    with Raw(address) as c:  # the answer comes instead of the 100
        c.send(request("POST", "/v1/peers", "Expect: 100-continue", f"Content-Length: {MIB + 1}",
                       "Content-Type: application/json", token=token))
        assert [r.status for r in c.rest()] == [413]


# --- slow clients ------------------------------------------------------------------------------
@pytest.mark.sanitize
@pytest.mark.tsan
def test_slow_clients_are_hung_up_on(bunny_http, address, token):
    held = Held(bunny_http)
    head = request("POST", "/v1/peers", "Content-Length: 100000", token=token)
    begins = {
        "says nothing": (b"", b""),
        "drips its first line": (b"", b"GET /" + b"a" * 1000),
        "drips its header": (b"GET /health HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n" * 100),
        "drips its body": (head, b" "),
        "drips a chunk's size": (request("POST", "/v1/peers", "Transfer-Encoding: chunked",
                                         token=token), b"0"),
        "is idle after an answer": (request(closes=False), b""),
        "drips empty lines": (b"", b"\r\n"),
    }
    connections = []
    for begin, _ in begins.values():
        connections.append(Raw(address))
        connections[-1].send(begin)
    connections[5].reply()
    local = Raw(unix_path(bunny_http))
    ended = drip(connections + [local], [text for _, text in begins.values()] + [b"G"], 0.1,
                 6 * LIMIT * SLOW)
    for what, seconds in zip(list(begins) + ["drips on the Unix socket"], ended):
        assert seconds is not None, f"who {what} is never hung up on"
        # the first line and the rest each have the limit
        assert LIMIT * 0.5 <= seconds <= (2 * LIMIT + 1.5) * SLOW, f"who {what}: {seconds:.1f} s"
    for c in connections + [local]:
        c.close()
    held.assert_same()


def test_who_does_not_take_the_answer_is_hung_up_on(bunny_http, address):
    """Requests without end, and not one answer read."""
    held = Held(bunny_http)
    with Raw(address) as c:
        c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        many = request(closes=False) * 200
        c.socket.setblocking(False)

        def is_served():
            with contextlib.suppress(OSError):
                while True:
                    c.socket.send(many)
            return serves(held.pid, c)
        wait_for(is_served, 10 * SLOW, "the connection to be accepted")
        wait_for(lambda: not is_served(), (2 * LIMIT + 30) * SLOW, "the connection to be closed")
    held.assert_same()


def test_an_answer_may_take_longer_than_a_client(start):
    """The limit is for clients: what a server behind us takes is not their fault."""
    bunny = start(client_timeout="1s")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        bunny.api.post("/v1/peers", {"name": "p", "host": "127.0.0.1", "user": "u", "database": "d",
                                     "port": silent.getsockname()[1],
                                     "options": {"connect_timeout": "3"}})
        answer = bunny.api.post("/v1/peers/p/test")
        assert answer["success"] is False and answer["error"]


# --- many of them ------------------------------------------------------------------------------
def test_pipelined_requests_are_answered_in_order(address, token):
    one = request("GET", "/v1/auth/me", token=token, closes=False)
    replies = ask(address, request(closes=False) + one + request("GET", "/nothing", closes=False) +
                  request("POST", "/v1/peers", body=peer_of(90, "piped"), token=token,
                          closes=False) + request("GET", "/v1/peers/piped", token=token))
    assert [r.status for r in replies] == [200, 200, 404, 201, 200]
    assert replies[4].body["name"] == "piped"


@pytest.mark.sanitize
def test_idle_connections_do_not_starve_anybody(start):
    """Beyond the limit those that wait longest give way to the newest."""
    bunny = start(max_connections=40, client_timeout="1h")
    held = Held(bunny)
    idle = []
    for _ in range(4):
        idle += [Raw(("127.0.0.1", bunny.port)) for _ in range(30)]
        assert bunny.api.get("/v1/auth/me")["username"]
        assert Api(unix_path(bunny)).get("/v1/peers") == []
    wait_for(lambda: sum(c.is_open for c in idle) <= 40, 10 * SLOW, "the oldest to be closed")
    still = [c.is_open for c in idle]
    assert sum(still) >= 35 and all(still[-35:]) and not any(still[:75]), still
    assert descriptors(held.pid) < held.before[0] + 60
    # half requests are no better than nothing
    for c in idle[-35:]:
        c.send(b"POST /v1/peers HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
    for _ in range(100):
        assert bunny.api.raw("GET", "/health").status == 200
    with open(bunny.log, encoding="utf-8") as f:
        assert f.read().count("all connections are in use") == 1
    for c in idle:
        c.close()
    held.assert_same()


def test_a_flood_of_connections(bunny_http, address):
    """More than the default limit at once, and new ones all the time."""
    held = Held(bunny_http)
    local = Api(unix_path(bunny_http))
    crowd = [Raw(address) for _ in range(600)]
    stop, refused = threading.Event(), []

    def storm():
        while not stop.is_set():
            try:
                with Raw(address) as c:
                    c.send(b"GET /health HT")
            except OSError as e:
                refused.append(e)
    storms = [threading.Thread(target=storm) for _ in range(4)]
    for t in storms:
        t.start()
    try:
        for _ in range(50):
            assert bunny_http.api.raw("GET", "/health").status == 200
            assert local.raw("GET", "/v1/mirrors").status == 200
    finally:
        stop.set()
        for t in storms:
            t.join()
    assert not refused, refused[:3]
    assert sum(c.is_open for c in crowd) <= 512
    for c in crowd:
        c.close()
    held.assert_same()


def test_the_owner_s_socket_has_limits_too(start):
    bunny = start(client_timeout="1h")
    idle = [Raw(unix_path(bunny)) for _ in range(100)]
    local = Api(unix_path(bunny))
    for _ in range(20):
        assert local.get("/v1/mirrors") == []
    wait_for(lambda: sum(c.is_open for c in idle) <= 64, 10 * SLOW, "the oldest to be closed")
    assert bunny.api.get("/v1/mirrors") == []
    for c in idle:
        c.close()


def test_large_bodies_have_a_bound(start):
    """A hundred clients that each send most of a MiB and no end: memory stays, others get on."""
    bunny = start(client_timeout=f"{LIMIT}s")
    head = request("POST", "/v1/peers", f"Content-Length: {MIB}", token=bunny.api.token)
    before = bunny.memory_kib("VmRSS")
    crowd = [Raw(("127.0.0.1", bunny.port)) for _ in range(100)]
    for c in crowd:
        c.send(head + b" " * (MIB - 1000))
    wait_for(lambda: sum(c.is_open for c in crowd) <= 40, 20 * SLOW, "the oldest to give way")
    assert bunny.memory_kib("VmRSS") - before < 110 * 1024 * SLOW
    assert bunny.api.raw("POST", "/v1/peers", data=peer_of(MIB, "on")).status == 201
    for c in crowd:
        c.close()


def test_a_crowd_of_logins(start):
    """Other requests go on, memory is bounded, and a stop does not wait (the fixture looks)."""
    bunny = start()
    statuses, seen = [], []

    def log_in(i):
        answer = Api(bunny.api.address).raw("POST", "/v1/auth/login",
                                            {"username": f"u{i}", "password": "wrong password"})
        statuses.append(answer.status)
    crowd = [threading.Thread(target=log_in, args=(i,)) for i in range(200)]
    for t in crowd:
        t.start()
    while any(t.is_alive() for t in crowd):
        seen.append(bunny.api.raw("GET", "/v1/auth/me").status)
    for t in crowd:
        t.join()
    assert set(statuses) <= {401, 429} and statuses.count(401) <= 31, statuses
    assert set(seen) == {200}
    assert bunny.memory_kib() < 160 * 1024 * SLOW


def test_a_stop_in_a_crowd_of_logins(start):
    bunny = start()
    body = {"username": "nobody", "password": "wrong password"}
    crowd = [threading.Thread(target=lambda i=i: _try(bunny, {**body, "username": f"u{i}"}))
             for i in range(60)]
    for t in crowd:
        t.start()
    code, seconds = bunny.stop()
    for t in crowd:
        t.join()
    assert code == 0 and seconds < soon(2)


def _try(bunny, body):
    try:
        Api(bunny.api.address).raw("POST", "/v1/auth/login", body)
    except OSError:
        pass  # it has stopped


# --- malformed ---------------------------------------------------------------------------------
HOST = b"Host: x\r\n"
# name: bytes, statuses (the first answer's; None: the connection ends without one), whether the
# answer is ours, with JSON. Where it is not, libmicrohttpd has refused what is not HTTP at all.
MALFORMED = {
    "nothing like HTTP": (b"hello\r\n\r\n", (400, None), False),
    "TLS where there is none": (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1" + b"\x03" * 160, (400, None),
                                False),
    "HTTP/0.9": (b"GET /health\r\n\r\n", (400, 505), False),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505,), False),
    "HTTP/1.10": (b"GET /health HTTP/1.10\r\n" + HOST + b"\r\n", (400, 505), False),
    "no Host": (b"GET /health HTTP/1.1\r\n\r\n", (400,), True),
    "two Hosts": (b"GET /health HTTP/1.1\r\n" + HOST + HOST + b"\r\n", (400,), True),
    "a blank in the address": (b"GET /hea lth HTTP/1.1\r\n" + HOST + b"\r\n", (400,), True),
    "a NUL in the address": (b"GET /health\x00/more HTTP/1.1\r\n" + HOST + b"\r\n", (400,), True),
    "a NUL in a parameter": (b"GET /health?a\x00=b HTTP/1.1\r\n" + HOST + b"\r\n", (400,), True),
    "a NUL before everything": (b"\x00GET /health HTTP/1.1\r\n" + HOST + b"\r\n", (400, 405, None),
                                None),
    "a header without colon": (b"GET /health HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n", (400,),
                               False),
    "a blank before the colon": (b"POST /v1/peers HTTP/1.1\r\n" + HOST +
                                 b"Content-Length : 30\r\n\r\nGET /health HTTP/1.1\r\n" + HOST +
                                 b"\r\n", (400,), True),
    "an empty name": (b"GET /health HTTP/1.1\r\n" + HOST + b": x\r\n\r\n", (200, 400), None),
    "a control character": (b"GET /health HTTP/1.1\r\n" + HOST + b"X-A: a\x01b\r\n\r\n", (400,),
                            True),
    "two lengths": (b"POST /v1/peers HTTP/1.1\r\n" + HOST +
                    b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", (400,), True),
    "a length and chunks": (b"POST /v1/peers HTTP/1.1\r\n" + HOST +
                            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                            (400,), True),
    "two codings": (b"POST /v1/peers HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,), True),
    "another coding": (b"POST /v1/peers HTTP/1.1\r\n" + HOST +
                       b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", (400,), True),
    "two authorizations": (b"GET /v1/peers HTTP/1.1\r\n" + HOST +
                           b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", (400,),
                           True),
    "a negative length": (b"POST /v1/peers HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
                          (400,), False),
    "a length that is none": (b"POST /v1/peers HTTP/1.1\r\n" + HOST +
                              b"Content-Length: 0x10\r\n\r\n", (400,), False),
    "a length beyond 64 bits": (b"POST /v1/peers HTTP/1.1\r\n" + HOST + b"Content-Length: " +
                                b"9" * 30 + b"\r\n\r\n", (413,), False),
    "a bad chunk": (b"POST /v1/peers HTTP/1.1\r\n" + HOST +
                    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", (400,), False),
    "a chunk beyond 64 bits": (b"POST /v1/peers HTTP/1.1\r\n" + HOST +
                               b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n",
                               (413, 400), False),
    "a chunk without its end": (b"POST /v1/peers HTTP/1.1\r\n" + HOST +
                                b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}", (400,), False),
    "an address of 5,000 bytes": (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", (400,),
                                  True),
    "an address of 100,000 bytes": (b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
                                    (414,), False),
    "5,000 parameters": (b"GET /health?" + b"a&" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
                         (400, None), None),
    "17 parameters": (b"GET /health?" + b"a&" * 17 + b" HTTP/1.1\r\n" + HOST + b"\r\n", (400,), True),
    "a header of 100,000 bytes": (b"GET /health HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 100000 +
                                  b"\r\n\r\n", (431,), False),
    "2,000 headers": (b"GET /health HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 2000 + b"\r\n", (431,),
                      False),
    "3,000 cookies": (b"GET /health HTTP/1.1\r\n" + HOST + b"Cookie: " + b"a=b; " * 3000 +
                      b"\r\n\r\n", (431,), False),
    "a method of bytes": (b"G\xff\xfeT /health HTTP/1.1\r\n" + HOST + b"\r\n", (405,), True),
    "bytes in the address": (b"GET /v1/peers/\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n", (400,), True),
    "bytes in a parameter": (b"GET /health?\xc0\x80=1 HTTP/1.1\r\n" + HOST + b"\r\n", (400,), True),
    "bytes in a header": (b"GET /v1/peers HTTP/1.1\r\n" + HOST + b"Authorization: Bearer \xff\xfe\r\n"
                          b"\r\n", (401,), True),
}


def check_malformed(address, name):
    data, statuses, is_ours = MALFORMED[name]
    with Raw(address) as c:
        c.send(data)
        reply = c.reply()
        assert (reply.status if reply else None) in statuses, (name, reply)
        if is_ours and reply:
            assert reply.body["error"] and reply.code, (name, reply)
            assert reply.headers["content-type"].startswith("application/json"), (name, reply)
        if is_ours is False and reply:
            assert reply.headers.get("connection") == "close", (name, reply)


@pytest.mark.quick
@pytest.mark.sanitize
def test_malformed_requests(bunny_http, address):
    held = Held(bunny_http)
    wrong = []
    for name in MALFORMED:
        try:
            check_malformed(address, name)
        except AssertionError as e:
            wrong.append(e.args[0])
        assert bunny_http.is_running, name
    assert not wrong, "\n".join(map(str, wrong))
    held.assert_same()


def test_requests_that_are_given_up_leave_no_memory_behind(bunny_http, address):
    """libmicrohttpd gives these up in the middle: with ten thousand bytes each it would show."""
    def many(n):
        for _ in range(n):
            with Raw(address) as c:
                c.send(MALFORMED["5,000 parameters"][0])
                c.rest()
    many(300)
    before = bunny_http.memory_kib("VmRSS")
    many(1500)
    assert bunny_http.memory_kib("VmRSS") - before < 6 * 1024 * SLOW


def test_nothing_is_smuggled(address, token):
    """What follows a request whose end is in doubt is not looked at."""
    for head in (b"Content-Length : 60\r\n", b"Content-Length: 0\r\nContent-Length: 60\r\n",
                 b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                 b"Transfer-Encoding: chunked, identity\r\n"):
        replies = ask(address, b"POST /v1/peers HTTP/1.1\r\n" + HOST + head + b"\r\n0\r\n\r\n" +
                      request("DELETE", "/v1/users/ana", token=token))
        assert [r.status for r in replies] == [400], (head, replies)
        assert replies[0].headers["connection"] == "close"


def test_versions_and_forms(address, token):
    old = ask(address, request(version="1.0", host=None, closes=False))
    assert [r.status for r in old] == [200]  # and the connection has ended
    assert [r.status for r in ask(address, request(target="http://a:1/v1/auth/me", token=token))] \
        == [200]
    assert [r.status for r in ask(address, b"\r\n\r\n" + request())] == [200]
    assert [r.status for r in ask(address, request().replace(b"\r\n", b"\n"))] == [200]


# --- addresses, methods, JSON ------------------------------------------------------------------
@pytest.mark.parametrize("target, status", [
    ("/v1/peers/%00", 400), ("/v1/peers/a%00b", 400), ("/v1/peers/%0a", 400), ("/%", 400),
    ("/v1/peers/%zz", 400), ("/v1/peers/%C0%80", 400), ("/v1/peers/%ED%A0%80", 400),
    ("/v1/peers/%FF", 400), ("/v1/peers/a%2Fb", 400), ("/v1/peers/..%2f..", 400),
    ("/..", 404), ("/v1/peers/../users", 404), ("/v1/peers/%2e%2e/users", 404),
    ("/v1/./peers", 404), ("//v1/peers", 404), ("/v1//peers", 404), ("/v1/peers/", 404),
    ("/", 404), ("*", 404), ("v1/peers", 404), ("/V1/peers", 404), ("/v1/peers/none", 404),
    ("/v1/peers/caf%C3%A9", 404), ("/v1/peers?a=1", 400), ("/v1/peers?%00=1", 400),
    ("/v1/peers?=", 400), ("/v1/peers?", 200), ("/v1/peers", 200), ("/%76%31/peers", 200),
    ("/v1/peers#x", 404), ("/v1/mirrors/m/logs?limit=99999999999999999999", 400),
])
def test_addresses(bunny_http, address, token, target, status):
    replies = ask(address, request("GET", target, token=token))
    assert [r.status for r in replies] == [status], replies


@pytest.fixture(scope="module")
def one_bunny(root):
    """For tables of small questions: one process for all of them."""
    from harness.bunny import Bunny
    b = Bunny(root, "robust").start()
    yield b
    code, _ = b.stop()
    b.remove()
    assert code == 0


@pytest.mark.parametrize("method, target, status, allow", [
    ("HEAD", "/health", 200, None), ("HEAD", "/v1/nothing", 404, None),
    ("HEAD", "/v1/auth/login", 405, "POST"), ("OPTIONS", "/v1/peers", 204, "GET, HEAD, POST, OPTIONS"),
    ("OPTIONS", "/v1/users/x", 204, "DELETE, OPTIONS"), ("OPTIONS", "*", 404, None),
    ("OPTIONS", "/v1/nothing", 404, None), ("PATCH", "/v1/peers", 405, "GET, HEAD, POST"),
    ("TRACE", "/health", 405, "GET, HEAD"), ("CONNECT", "a:1", 404, None),
    ("get", "/health", 405, "GET, HEAD"), ("X" * 500, "/health", 405, "GET, HEAD"),
    ("DELETE", "/health", 405, "GET, HEAD"),
])
def test_methods(one_bunny, method, target, status, allow):
    data = request(method, target)
    with Raw(("127.0.0.1", one_bunny.port)) as c:
        c.send(data)
        c.rest()
        head = c.received
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    lines = dict(l.split(": ", 1) for l in head.decode().split("\r\n\r\n")[0].split("\r\n")[1:])
    assert lines.get("Allow") == allow
    if method == "HEAD":
        assert head.endswith(b"\r\n\r\n") and int(lines["Content-Length"]) > 0
    if status == 204:
        assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("body, word", [
    (b"{\"port\":1e999}", "real number overflow"), (b"{\"port\":1" + b"0" * 400 + b"}", "integer"),
    (b"{\"port\":-1" + b"0" * 400 + b".5e-9}", "overflow"), (b"{\"port\":NaN}", "JSON"),
    (b"{\"port\":1.0}", "port"), (b"{\"port\":5432,\"port\":5432}", "duplicate"),
    (b"{\"name\":\"a\\u0000b\"}", "JSON"), (b"{\"name\":\"a\x00b\"}", "JSON"),
    (b"\x00", "JSON"), (b"{}\x00", "JSON"), (b"{}{}", "JSON"), (b"\xef\xbb\xbf{}", "JSON"),
    (b"{\"name\":\"\xff\"}", "JSON"), (b"{\"name\":\"\xc0\x80\"}", "JSON"),
    (b"{\"name\":\"\xed\xa0\x80\"}", "JSON"), (b"{\"name\":\"\\ud800\"}", "JSON"),
    (b"{\"\xf8\":1}", "JSON"), (b"[" * 100000, "nested"), (b"{\"a\":" * 50000, "nested"),
    (b"{\"a\":[" + b"[]," * 300000 + b"[]]}", "values"), (b"null", "JSON"), (b"[]", "object"),
    (b"1", "JSON"), (b"\"text\"", "JSON"), (b"{", "JSON"), (b"{'a':1}", "JSON"),
    (b"{\"a\":1,}", "JSON"), (b"// comment\n{}", "JSON"), (b" ", "JSON"),
    (b"{\"name\":" + b"\"" + b"a" * 1000000 + b"\"}", "name"),
], ids=lambda v: repr(v[:24]) if isinstance(v, bytes) else v)
def test_bodies_that_are_wrong(one_bunny, body, word):
    replies = ask(("127.0.0.1", one_bunny.port),
                  request("POST", "/v1/peers", body=body, token=one_bunny.api.token))
    assert [r.status for r in replies] == [400], replies
    assert word in replies[0].body["error"], replies


@pytest.mark.parametrize("kind, status", [
    ("application/json", 400), ("APPLICATION/JSON;charset=utf-8", 400), ("application/json ;x", 400),
    ("application/jsonx", 415), ("application/json-patch+json", 415), ("text/plain", 415),
    ("application/x-www-form-urlencoded", 415), ("multipart/form-data; boundary=x", 415), ("", 415),
    (None, 415), ("\xff", 415),
])
def test_content_types(one_bunny, kind, status):
    head = ["Content-Length: 2"] + ([f"Content-Type: {kind}"] if kind is not None else
                                    ["X-Content-Type: none"])
    replies = ask(("127.0.0.1", one_bunny.port),
                  request("POST", "/v1/peers", *head, body=b"{}", token=one_bunny.api.token))
    assert [r.status for r in replies] == [status], replies


# --- beside a mirror ---------------------------------------------------------------------------
def _junk(rng, token):
    """A request that is broken in a way that nobody has thought of."""
    base = bytearray(rng.choice([
        *(data for data, _, _ in MALFORMED.values()),
        request("POST", "/v1/mirrors", body=peer_of(rng.randrange(100, 3000), "x"), token=token),
        request("POST", "/v1/peers", "Transfer-Encoding: chunked", token=token,
                body=chunked(rng.randbytes(rng.randrange(2000)), 100)),
        request("GET", "/v1/mirrors/m", token=token), rng.randbytes(rng.randrange(1, 3000)),
    ]))
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(base))
        base[at:at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        base = base or bytearray(b"x")
    return bytes(base)


@pytest.mark.limit(150)
@pytest.mark.sanitize
@pytest.mark.tsan
def test_bad_requests_beside_a_mirror(pair, bunny):
    pair.sql("CREATE TABLE t (id bigserial PRIMARY KEY, v int)")
    bunny.mirror("m", pair)
    wait_for(lambda: pair.sql("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
                              "AND application_name = 'bunnydb sampler'"), 30 * SLOW,
             "the last session that a mirror has for good")
    before = Held(bunny)
    seed = random.randrange(1 << 32)
    print("seed", seed)
    address, stop = ("127.0.0.1", bunny.port), threading.Event()

    def torment(n):
        rng, open_ones = random.Random(seed + n), []
        while not stop.is_set():
            try:
                c = Raw(address, 2)
                c.send(_junk(rng, bunny.api.token))
                open_ones.append(c)  # left alone: no end, no reading
                if rng.random() < 0.5:
                    with Raw(address, 2) as other:
                        other.send(_junk(rng, bunny.api.token))
                        other.socket.shutdown(socket.SHUT_WR)
                        other.rest()
            except OSError:
                pass
            while len(open_ones) > 50:
                open_ones.pop(rng.randrange(len(open_ones))).close()
        for c in open_ones:
            c.close()
    script = "INSERT INTO t (v) VALUES (1); UPDATE t SET v = v + 1 WHERE id = 1;\n"
    tormentors = [threading.Thread(target=torment, args=(n,)) for n in range(4)]
    with Load(pair.source, pair.sdb, rate=200, script=script, directory=bunny.dir):
        for t in tormentors:
            t.start()
        try:
            wait_for(lambda: bunny.status("m")["tables"][0]["rows_inserted"] > 1000 / SLOW, 60,
                     "a thousand rows")
        finally:
            stop.set()
            for t in tormentors:
                t.join()
    assert pair.assert_equal() > 1000 / SLOW
    assert bunny.status("m")["status"] == "running" and bunny.status("m")["error_count"] == 0
    assert len(bunny.api.get("/v1/mirrors")) == 1 and len(bunny.api.get("/v1/peers")) == 2
    before.assert_same(more=1)  # a mirror that is behind gets a look at its destination
