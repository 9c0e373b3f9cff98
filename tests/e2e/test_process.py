"""Promise: the process itself: one per state directory, clear errors of the configuration, users
from the command line, private files, signals, and what it does while nothing happens."""
import os
import shutil
import signal
import stat
import subprocess
import threading

import pytest

from harness.bunny import ADMIN, Bunny, find_program
from harness.api import Api
from harness.load import Load
from harness.waiting import soon, wait_for


def run(*arguments, env=None, text=None):
    return subprocess.run([find_program(), *arguments], capture_output=True, text=True, timeout=20,
                          check=False, input=text, env=env)


@pytest.mark.quick
def test_help_and_version():
    shown = run("--help")
    assert shown.returncode == 0
    for word in ("--headless", "--http", "--state-dir", "user add", "--version"):
        assert word in shown.stdout
    assert run("--version").stdout.startswith("bunnydb 0.")
    wrong = run("--nonsense")
    assert wrong.returncode == 2 and "nonsense" in wrong.stderr


@pytest.mark.quick
def test_second_process_names_the_holder(lone_bunny):
    lone_bunny.start()
    second = run("--headless", "--state-dir", lone_bunny.state_dir, env=lone_bunny.environment())
    assert second.returncode != 0
    assert str(lone_bunny.process.pid) in second.stderr, second.stderr
    assert lone_bunny.api.raw("GET", "/health").status == 200


@pytest.mark.quick
@pytest.mark.parametrize("text, line, word", [
    ("[server]\nstate_dir = /tmp/x\ncolour = red\n", 3, "colour"),
    ("[nonsense]\na = 1\n", 1, "nonsense"),
    ("# fine\n[http]\nlisten = somewhere\ntoken_ttl = never\n", 4, "token_ttl"),
    ("[peer a]\nhost = h\nuser = u\n", 1, "database"),
    ("[mirror m]\nsource_peer = a\ndestination_peer = b\ntables = public.*\nfast = yes\n", 5, "fast"),
    ("[server]\nthis is no setting\n", 2, ""),
])
def test_configuration_errors_name_file_and_line(tmp_path, text, line, word):
    path = tmp_path / "bunny.conf"
    path.write_text(text, encoding="utf-8")
    ended = run("-c", str(path), "--headless", "--state-dir", str(tmp_path / "s"))
    assert ended.returncode == 2, ended
    assert f"{path}:{line}" in ended.stderr and word in ended.stderr, ended.stderr


def test_peers_and_mirrors_of_the_configuration(pair, lone_bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    path = os.path.join(lone_bunny.dir, "bunny.conf")
    with open(path, "w", encoding="utf-8") as f:
        for name, cluster, db in (("here", pair.source, pair.sdb), ("there", pair.dest, pair.ddb)):
            f.write(f"[peer {name}]\nhost = {cluster.host}\nport = {cluster.port}\n"
                    f"user = postgres\ndatabase = {db}\n\n")
        f.write("[mirror conf]\nsource_peer = here\ndestination_peer = there\n"
                "tables = public.t\ncdc_batch_size = 500\n")
    lone_bunny.start("-c", path)
    wait_for(lambda: lone_bunny.api.raw("GET", "/v1/mirrors/conf").status == 200, 20, "the mirror")
    lone_bunny.wait_running("conf")
    pair.sql("INSERT INTO t VALUES (2)")
    assert pair.assert_equal() == 2
    lone_bunny.stop()
    lone_bunny.start("-c", path)  # nothing is made twice
    lone_bunny.wait_running("conf")
    pair.sql("INSERT INTO t VALUES (3)")
    assert pair.assert_equal() == 3
    assert len(lone_bunny.api.get("/v1/mirrors")) == 1
    lone_bunny.delete_all()


@pytest.mark.quick
def test_user_add(lone_bunny):
    env = {k: v for k, v in lone_bunny.environment().items() if not k.startswith("BUNNY_ADMIN")}
    state = lone_bunny.state_dir
    without = run("--headless", "--state-dir", state, "--http", "127.0.0.1:0", env=env)
    assert without.returncode != 0 and "user add" in without.stderr
    made = run("user", "add", "bob", "--role", "admin", "--password-stdin", "--state-dir", state,
               env=env, text="bob's long password\n")
    assert made.returncode == 0, made.stderr
    again = run("user", "add", "bob", "--role", "admin", "--password-stdin", "--state-dir", state,
                env=env, text="bob's long password\n")
    assert again.returncode != 0 and "bob" in again.stderr
    lone_bunny.api.token = "none yet"
    lone_bunny.start()
    lone_bunny.api.login("bob", "bob's long password")
    names = [u["username"] for u in lone_bunny.api.get("/v1/users")]
    assert names == ["bob"], "the environment's admin is only for when there is no user"
    assert ADMIN not in names


@pytest.mark.quick
def test_files_are_private(lone_bunny):
    lone_bunny.start()
    lone_bunny.api.post("/v1/peers", {"name": "p", "host": "nowhere", "user": "u",
                                      "password": "hidden treasure", "database": "d"})
    assert stat.S_IMODE(os.stat(lone_bunny.state_dir).st_mode) == 0o700
    for name in os.listdir(lone_bunny.state_dir):
        path = os.path.join(lone_bunny.state_dir, name)
        mode = os.lstat(path)
        assert stat.S_IMODE(mode.st_mode) & 0o077 == 0, f"{name} {mode.st_mode:o}"
        if stat.S_ISREG(mode.st_mode):
            with open(path, "rb") as f:
                assert b"hidden treasure" not in f.read(), name


@pytest.mark.quick
@pytest.mark.sanitize
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(lone_bunny, sig):
    lone_bunny.start()
    code, seconds = lone_bunny.stop(sig)
    assert code == 0 and seconds < soon(2)


def test_sighup_does_not_end_it(lone_bunny):
    lone_bunny.start()
    lone_bunny.process.send_signal(signal.SIGHUP)
    lone_bunny.process.send_signal(signal.SIGPIPE)
    assert lone_bunny.api.raw("GET", "/health").status == 200
    assert lone_bunny.is_running


def test_listeners_that_must_not_be(lone_bunny):
    """Not loopback, no TLS: only on an explicit wish."""
    ended = run("--headless", "--state-dir", lone_bunny.state_dir, "--http", "0.0.0.0:0",
                env=lone_bunny.environment())
    assert ended.returncode != 0 and "insecure" in ended.stderr, ended


def test_a_damaged_catalog_is_refused(lone_bunny):
    lone_bunny.start()
    lone_bunny.stop()
    for name in os.listdir(lone_bunny.state_dir):
        if name.startswith("catalog.db-"):
            os.unlink(os.path.join(lone_bunny.state_dir, name))
    with open(os.path.join(lone_bunny.state_dir, "catalog.db"), "r+b") as f:
        f.write(b"this is not a database" * 10)
    ended = run("--headless", "--state-dir", lone_bunny.state_dir, env=lone_bunny.environment())
    assert ended.returncode != 0 and "catalog" in ended.stderr, ended


@pytest.mark.long
@pytest.mark.limit(120)
def test_position_of_a_quiet_mirror_moves(pair, bunny):
    """Only a table that is not mirrored is written: WAL must not be held back."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (v text)")
    bunny.mirror("m", pair, ["public.t"])
    pair.sql("INSERT INTO other SELECT repeat('x', 100) FROM generate_series(1, 20000)")
    pair.wait_confirmed(60)
    flushed = pair.sql("SELECT pg_current_wal_lsn()")[0][0]
    # another database's work, too
    pair.source.sql("CREATE TABLE IF NOT EXISTS elsewhere (v text)")
    pair.source.sql("INSERT INTO elsewhere SELECT repeat('y', 100) FROM generate_series(1, 20000)")
    pair.wait_confirmed(60)
    assert pair.sql("SELECT confirmed_flush_lsn > %s::pg_lsn FROM pg_replication_slots "
                    "WHERE slot_name = 'bunny_slot_m'", (flushed,))[0][0]


@pytest.mark.long
@pytest.mark.limit(120)
def test_keepalives_move_the_slot_of_a_quiet_database_on_a_busy_server(pair, bunny):
    """No heartbeat has to be written at the source: neither work that never rests in another
    database, nor a transaction that is open all the time, keeps the confirmed position; only the
    latter keeps the WAL, as it has to, until it ends."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (v text)")
    bunny.mirror("m", pair, ["public.t"])
    slot = "FROM pg_replication_slots WHERE slot_name = 'bunny_slot_m'"
    is_over = threading.Event()

    def work():
        with pair.source.connect("postgres") as c:
            c.execute("CREATE TABLE IF NOT EXISTS busy (v text)")
            while not is_over.is_set():
                c.execute("INSERT INTO busy SELECT repeat('y', 100) FROM generate_series(1, 200)")
            c.execute("DROP TABLE busy")
    worker = threading.Thread(target=work)
    with pair.source.connect(pair.sdb) as other:
        other.execute("BEGIN")
        other.execute("INSERT INTO other VALUES ('open')")
        opened = pair.sql("SELECT pg_current_wal_insert_lsn()")[0][0]
        worker.start()
        try:
            for _ in range(3):  # up to where the WAL is at that moment; it goes on meanwhile
                at = pair.sql("SELECT pg_current_wal_insert_lsn()")[0][0]
                wait_for(lambda at=at: pair.sql(f"SELECT confirmed_flush_lsn > %s::pg_lsn {slot}",
                                          (at,))[0][0], 60, f"the slot to confirm {at}")
            assert pair.sql(f"SELECT restart_lsn <= %s::pg_lsn {slot}", (opened,))[0][0]
            other.execute("ROLLBACK")

            def let_go():
                pair.sql("CHECKPOINT")  # says which transactions run; else the server does, now and then
                return pair.sql(f"SELECT restart_lsn > %s::pg_lsn {slot}", (opened,))[0][0]
            wait_for(let_go, 60, "the WAL of the open transaction to go", every=0.5)
        finally:
            is_over.set()
            worker.join()


@pytest.mark.limit(120)
def test_two_processes_on_copies_of_a_state_directory(pair, bunny, root):
    """Only one applies at a time; the result is equal whatever they do to each other."""
    pair.sql("CREATE TABLE t (id bigserial PRIMARY KEY, v int); CREATE TABLE log (v int); "
             "ALTER TABLE log REPLICA IDENTITY FULL")
    bunny.mirror("m", pair)
    bunny.kill()
    copy = os.path.join(root, "copy")
    shutil.copytree(bunny.state_dir, copy, ignore=shutil.ignore_patterns("*.sock*", "*lock*"))
    os.chmod(copy, 0o700)
    script = "BEGIN; INSERT INTO t (v) VALUES (1); INSERT INTO log VALUES (1); END;\n"
    with Load(pair.source, pair.sdb, rate=200, script=script, directory=bunny.dir):
        bunny.start()
        twin = Bunny(root, "twin", state_dir=copy)
        twin.api.token = bunny.api.token
        try:
            twin.start()
            bunny.wait_running("m", may_fail=True)
            for _ in range(2):
                # whoever holds the slot loses it for a moment: the other one may take it
                pair.source.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                                "WHERE slot_name = 'bunny_slot_m' AND active")
                threading.Event().wait(1)
        finally:
            twin.remove()
            shutil.rmtree(copy, ignore_errors=True)
        bunny.api.raw("POST", "/v1/mirrors/m/retry")
        bunny.wait_running("m", 60, may_fail=True)
    pair.assert_equal()


@pytest.mark.long
def test_many_mirrors_of_one_source(make_pair, lone_bunny):
    """Ten at once, each with its own destination database."""
    pairs = [make_pair() for _ in range(10)]
    lone_bunny.start()
    for i, p in enumerate(pairs):
        p.sql(f"CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, {i})")
        lone_bunny.create_mirror(f"m{i}", p)
    for i, p in enumerate(pairs):
        lone_bunny.wait_running(f"m{i}")
        p.sql("INSERT INTO t VALUES (1000)")
    for i, p in enumerate(pairs):
        assert p.assert_equal() == i + 1
    code, seconds = lone_bunny.stop()
    assert code == 0 and seconds < soon(2)
    lone_bunny.start()
    lone_bunny.delete_all()


def test_admin_of_the_environment_can_log_in(lone_bunny):
    lone_bunny.start()
    assert Api(lone_bunny.api.address).raw("GET", "/v1/mirrors").status == 401
    assert lone_bunny.api.get("/v1/auth/me")["username"] == ADMIN
