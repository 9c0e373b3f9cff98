"""Promise: the contract's chapter on authentication, line by line, on the running program: what a
token is and when it ends, what lies on the disk, who is the owner of the Unix socket, and that no
secret gets into a log."""
import glob
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading

import pytest

from harness.api import Api
from harness.bunny import ADMIN, PASSWORD, find_program
from harness.waiting import wait_for

PEER_SECRET = "hidden treasure of the peer"
NEW_PASSWORD = "something quite new"


def files_of(bunny):
    """The bytes of every file of the state directory, and of the log."""
    found = {}
    for path in glob.glob(os.path.join(bunny.state_dir, "*")) + [bunny.log]:
        if stat.S_ISREG(os.lstat(path).st_mode):
            with open(path, "rb") as f:
                found[os.path.basename(path)] = f.read()
    assert {"catalog.db", "catalog.db-wal", "secret.key"} <= found.keys(), found.keys()
    return found


def start(bunny, text, **extra):
    path = os.path.join(bunny.dir, "bunny.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, 0o600)
    return bunny.start("-c", path, **extra)


def refused(bunny, *arguments):
    """The program must not start; its last words."""
    ended = subprocess.run([find_program(), "--headless", "--state-dir", bunny.state_dir,
                            *arguments], capture_output=True, text=True, timeout=20, check=False,
                           env=bunny.environment())
    assert ended.returncode == 1, ended
    return ended.stderr


# --- tokens ------------------------------------------------------------------------------------
@pytest.mark.quick
def test_a_token_is_random_and_expires_when_it_says(lone_bunny):
    bunny = start(lone_bunny, "[http]\ntoken_ttl = 2h\n")
    tokens, began = set(), None
    for _ in range(5):
        answer = Api(bunny.api.address).login(ADMIN, PASSWORD)
        tokens.add(answer["token"])
        began = began or answer["expires_at"]
    assert len(tokens) == 5 and all(len(t) == 43 for t in tokens)
    with sqlite3.connect(f"file:{bunny.state_dir}/catalog.db?mode=ro", uri=True) as catalog:
        rows = catalog.execute("SELECT (expires_at - created_at) / 1e6 FROM token").fetchall()
    assert len(rows) == 6 and all(7199 < r[0] < 7201 for r in rows), rows
    assert began.endswith("Z")


def test_expired_tokens_are_worth_nothing(lone_bunny):
    """Also those that expire while nobody runs; good ones outlive a crash."""
    lone_bunny.start()
    good, late = Api(lone_bunny.api.address), Api(lone_bunny.api.address)
    good.login(ADMIN, PASSWORD)
    before = tokens_of(lone_bunny)
    late.login(ADMIN, PASSWORD)
    (new,) = tokens_of(lone_bunny) - before
    lone_bunny.kill()
    with sqlite3.connect(f"{lone_bunny.state_dir}/catalog.db") as catalog:
        catalog.execute("UPDATE token SET expires_at = created_at WHERE hash = ?", (new,))
    lone_bunny.start()
    assert good.get("/v1/auth/me")["username"] == ADMIN
    answer = late.raw("GET", "/v1/auth/me")
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    Api(lone_bunny.api.address).login(ADMIN, PASSWORD)
    assert new not in tokens_of(lone_bunny), "a login forgets what has expired"


def tokens_of(bunny):
    with sqlite3.connect(f"file:{bunny.state_dir}/catalog.db?mode=ro", uri=True) as catalog:
        return {row[0] for row in catalog.execute("SELECT hash FROM token")}


@pytest.mark.quick
def test_what_ends_a_token(lone_bunny):
    """Logout ends that one; a new password all others of that user; deletion all of the user."""
    lone_bunny.start()
    admin = lone_bunny.api
    for name in ("vera", "otto"):
        admin.post("/v1/users", {"username": name, "password": PASSWORD, "role": "viewer"})
    vera = [Api(admin.address) for _ in range(3)]
    otto = Api(admin.address)
    for api in vera:
        api.login("vera", PASSWORD)
    otto.login("otto", PASSWORD)

    def good():
        return [api.raw("GET", "/v1/auth/me").status == 200 for api in vera + [otto, admin]]
    assert good() == [True] * 5
    assert vera[0].raw("POST", "/v1/auth/logout").status == 204
    assert good() == [False, True, True, True, True]
    vera[1].post("/v1/auth/change-password",
                 {"current_password": PASSWORD, "new_password": NEW_PASSWORD})
    assert good() == [False, True, False, True, True]
    assert vera[2].raw("POST", "/v1/auth/login",
                       {"username": "vera", "password": PASSWORD}).status == 401
    vera[2].login("vera", NEW_PASSWORD)
    assert good() == [False, True, True, True, True]
    admin.delete("/v1/users/vera")
    assert good() == [False, False, False, True, True]
    # the name again is somebody else
    admin.post("/v1/users", {"username": "vera", "password": PASSWORD, "role": "admin"})
    assert good() == [False, False, False, True, True]
    assert len(tokens_of(lone_bunny)) == 2


# --- logins ------------------------------------------------------------------------------------
def test_throttling_says_when_to_come_back(lone_bunny):
    lone_bunny.start()
    api = Api(lone_bunny.api.address)

    def log_in(name, password="a wrong guess"):
        return api.raw("POST", "/v1/auth/login", {"username": name, "password": password})
    for _ in range(5):
        answer = log_in("vera")
        assert (answer.status, answer.code) == (401, "invalid_credentials")
        assert "retry-after" not in answer.headers
    for _ in range(3):
        answer = log_in("vera")
        assert (answer.status, answer.code) == (429, "too_many_logins")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert log_in(ADMIN, PASSWORD).status == 200, "another user is not concerned"
    for i in range(25):
        assert log_in(f"user{i}").status == 401
    assert log_in("one more").status == 429, "thirty failures of one address are enough"
    assert log_in(ADMIN, PASSWORD).status == 429
    # the good token goes on, and guessing the old password with it counts as well
    me = lone_bunny.api
    assert me.get("/v1/auth/me")["username"] == ADMIN
    answer = me.raw("POST", "/v1/auth/change-password",
                    {"current_password": "a wrong guess", "new_password": NEW_PASSWORD})
    assert answer.status == 429 and int(answer.headers["retry-after"]) >= 1
    # the owner of the Unix socket is no network: there it is still possible
    owner = Api(os.path.join(lone_bunny.state_dir, "bunnydb.sock"))
    assert owner.raw("POST", "/v1/auth/login",
                     {"username": ADMIN, "password": PASSWORD}).status == 200


def test_logins_at_the_same_time_are_no_way_around_it(lone_bunny):
    lone_bunny.start()
    statuses = []

    def guess():
        statuses.append(Api(lone_bunny.api.address).raw(
            "POST", "/v1/auth/login", {"username": ADMIN, "password": "a guess"}).status)
    crowd = [threading.Thread(target=guess) for _ in range(60)]
    for t in crowd:
        t.start()
    for t in crowd:
        t.join()
    assert set(statuses) == {401, 429} and statuses.count(401) <= 6, statuses


# --- at rest -----------------------------------------------------------------------------------
@pytest.mark.quick
def test_nothing_secret_is_on_the_disk_or_in_the_log(lone_bunny):
    """At the level debug, after everything that handles a secret has been done, well and badly."""
    bunny = start(lone_bunny, "[peer conf]\nhost = 127.0.0.1\nport = 1\nuser = u\ndatabase = d\n"
                  f"password = {PEER_SECRET} in the file\n", BUNNYDB_LOG="debug")
    api = bunny.api
    peer = {"name": "p", "host": "127.0.0.1", "port": 1, "user": "u", "database": "d",
            "password": PEER_SECRET, "options": {"sslpassword": PEER_SECRET + " of the key"}}
    api.post("/v1/peers", peer)
    api.put("/v1/peers/p", {"password": PEER_SECRET + " changed"})
    api.post("/v1/peers/p/test")
    answers = [api.get("/v1/peers"), api.get("/v1/peers/p"), api.get("/v1/users")]
    for body in ({**peer, "name": "q", "port": 0}, {**peer, "name": "q", "colour": PEER_SECRET[:5]},
                 {**peer, "options": {"password": PEER_SECRET}}):
        answers.append(api.raw("POST", "/v1/peers", body).body)
    broken = json.dumps(peer)[:-30]
    answers.append(api.raw("POST", "/v1/peers", data=broken).body)
    api.raw("POST", f"/v1/auth/login?password={PASSWORD.replace(' ', '+')}")
    for password in ("a wrong secret guess", PASSWORD):
        Api(api.address).raw("POST", "/v1/auth/login", {"username": ADMIN, "password": password})
    api.post("/v1/users", {"username": "vera", "password": "vera's secret word", "role": "viewer"})
    api.post("/v1/auth/change-password",
             {"current_password": PASSWORD, "new_password": NEW_PASSWORD})
    with sqlite3.connect(f"file:{bunny.state_dir}/catalog.db?mode=ro", uri=True) as catalog:
        hashes = [row[0] for row in catalog.execute("SELECT password_hash FROM user")]
    assert len(hashes) == 2 and all(h.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
                                    for h in hashes)
    secrets = [PEER_SECRET, "a wrong secret guess", PASSWORD, "vera's secret word", NEW_PASSWORD,
               api.token, PEER_SECRET.replace(" ", "+"), PASSWORD.replace(" ", "+")]
    for where, data in files_of(bunny).items():
        for secret in secrets:
            assert secret.encode() not in data, f"{secret!r} is in {where}"
    shown = json.dumps(answers)
    for secret in secrets + hashes:
        assert secret not in shown, f"{secret!r} is in an answer"
    with open(bunny.log, encoding="utf-8") as f:
        log = f.read()
    assert "DEBUG" in log and "login failed" in log
    for secret in list(tokens_of(bunny)) + hashes:
        assert secret not in log


def test_the_environment_keeps_no_password(lone_bunny):
    lone_bunny.start()
    with open(f"/proc/{lone_bunny.process.pid}/environ", "rb") as f:
        environ = f.read()
    assert b"BUNNY_ADMIN_USER" in environ and PASSWORD.encode() not in environ


@pytest.mark.quick
def test_a_key_file_that_others_can_read_is_refused(lone_bunny):
    lone_bunny.start()
    lone_bunny.api.post("/v1/peers", {"name": "p", "host": "h", "user": "u", "database": "d",
                                      "password": PEER_SECRET})
    lone_bunny.stop()
    key = os.path.join(lone_bunny.state_dir, "secret.key")
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    os.chmod(key, 0o640)
    said = refused(lone_bunny)
    assert "secret.key is open to others (mode 0640)" in said and "chmod 600" in said, said
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o640
    os.chmod(key, 0o600)
    with open(key, encoding="ascii") as f:
        good = f.read()
    with open(key, "w", encoding="ascii") as f:
        f.write("0" * 64 + "\n")
    said = refused(lone_bunny)
    assert "another key" in said, said
    with open(key, "w", encoding="ascii") as f:
        f.write(good)
    lone_bunny.start()
    assert lone_bunny.api.get("/v1/peers/p")["has_password"] is True


# --- the Unix socket ---------------------------------------------------------------------------
ASK = """import socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
except PermissionError:
    print("no entry")
    sys.exit()
s.sendall(b"GET /v1/mirrors HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n" +
          sys.argv[2].encode() + b"\\r\\n")
print(s.makefile("rb").readline().decode().split()[1])
"""


@pytest.mark.quick
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"),
                    reason="only root can be somebody else")
def test_the_unix_socket_is_its_owner_s(lone_bunny):
    """Mode 0600 in a directory with 0700; and if both are opened, only the owner has no token."""
    lone_bunny.start()
    path = os.path.join(lone_bunny.state_dir, "bunnydb.sock")

    def ask_as(user, header=""):
        who = ["setpriv", "--reuid", user, "--clear-groups"] if user else []
        return subprocess.run([*who, sys.executable, "-c", ASK, path, header], text=True, timeout=20,
                              capture_output=True, check=True, cwd="/").stdout.strip()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(lone_bunny.state_dir).st_mode) == 0o700
    assert ask_as(None) == "200"
    assert ask_as("nobody") == "no entry"
    opened = [lone_bunny.dir, lone_bunny.state_dir]
    for directory in opened:
        os.chmod(directory, 0o755)
    assert ask_as("nobody") == "no entry"
    os.chmod(path, 0o666)
    assert ask_as("nobody") == "401"
    assert ask_as("nobody", f"Authorization: Bearer {lone_bunny.api.token}\r\n") == "200"
    assert ask_as(None, "Authorization: Bearer wrong\r\n") == "401"
    for directory in opened:
        os.chmod(directory, 0o700)


def test_a_socket_that_was_left_behind(lone_bunny):
    """After a crash the file is there still; the next start takes its place."""
    lone_bunny.start()
    path = os.path.join(lone_bunny.state_dir, "bunnydb.sock")
    lone_bunny.kill()
    assert os.path.exists(path)
    lone_bunny.start()
    assert Api(path).get("/v1/mirrors") == []
    lone_bunny.stop()
    assert not os.path.exists(path)


# --- who may log in at all ---------------------------------------------------------------------
def test_there_is_no_default_password(lone_bunny):
    env = {k: v for k, v in lone_bunny.environment().items() if not k.startswith("BUNNY_ADMIN")}
    for extra, word in (({}, "user add"), ({"BUNNY_ADMIN_USER": "ana"}, "only one"),
                        ({"BUNNY_ADMIN_USER": "ana", "BUNNY_ADMIN_PASSWORD": "short"}, "8"),
                        ({"BUNNY_ADMIN_USER": "a/b", "BUNNY_ADMIN_PASSWORD": PASSWORD}, "username")):
        ended = subprocess.run([find_program(), "--headless", "--http", "127.0.0.1:0",
                                "--state-dir", lone_bunny.state_dir], env={**env, **extra},
                               capture_output=True, text=True, timeout=20, check=False)
        assert ended.returncode == 1 and word in ended.stderr, ended
        assert PASSWORD not in ended.stderr
    # without TCP it runs, for the owner alone
    lone_bunny.process = subprocess.Popen(
        [find_program(), "--headless", "--state-dir", lone_bunny.state_dir], env=env,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    owner = Api(os.path.join(lone_bunny.state_dir, "bunnydb.sock"))
    wait_for(lambda: os.path.exists(owner.address) and owner.raw("GET", "/health").status == 200, 20,
             "the Unix socket")
    assert owner.get("/v1/users") == []
    answer = owner.raw("POST", "/v1/auth/login", {"username": "admin", "password": "admin"})
    assert answer.status == 401
    lone_bunny.api = owner
