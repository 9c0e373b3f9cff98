"""Promise: scripts can do everything with the commands alone, each end has its documented code, what
is printed can be read by programs, and what is wrong is said by its name."""
import json
import os
import re
import signal
import subprocess

import pytest

from harness.bunny import TOP, find_program
from harness.waiting import wait_for

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def add_peers(bunny, pair):
    """The peers s and d, by the command line."""
    for name, cluster, database in (("s", pair.source, pair.sdb), ("d", pair.dest, pair.ddb)):
        bunny.cli("peer", "add", name, "--host", cluster.host, "--port", cluster.port,
                  "--user", "postgres", "--database", database)


def create(bunny, *more, name="m", tables=("public.*",), **kw):
    words = [word for table in tables for word in ("--table", table)]
    return bunny.cli("mirror", "create", name, "--source", "s", "--destination", "d", *words,
                     *more, **kw)


@pytest.fixture
def streaming(pair, bunny):
    """A mirror m of a table t, made with the command line."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one')")
    add_peers(bunny, pair)
    create(bunny, "--wait", "60")
    # it says no more by itself then: tests look at its log
    wait_for(lambda: "phase=streaming" in bunny.cli("logs", "m", "-n", "1").stdout, 30, "the stream")
    return pair, bunny


def rows(text):
    """The lines of a table as dictionaries."""
    titles, *lines = [line.split() for line in text.splitlines()]
    return [dict(zip(titles, line)) for line in lines]


# --- a life ----------------------------------------------------------------------------------------
@pytest.mark.quick
@pytest.mark.sanitize
def test_a_whole_life_by_commands_alone(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text, secret text);"
             "CREATE TABLE u (id int PRIMARY KEY);"
             "INSERT INTO t VALUES (1, 'one', 'x'); INSERT INTO u SELECT generate_series(1, 100)")
    add_peers(bunny, pair)
    assert [r["NAME"] for r in rows(bunny.cli("peer", "list").stdout)] == ["d", "s"]
    assert "PostgreSQL 1" in bunny.cli("peer", "test", "s").stdout
    assert "public.t" in bunny.cli("peer", "tables", "s").stdout
    made = create(bunny, "--exclude", "public.t:secret", "--cdc-batch-size", "500", "--wait", "60",
                  tables=("public.t=public.copy", "public.u"))
    assert made.stdout == "mirror m created\nmirror m is running\n"
    assert pair.dsql("SELECT * FROM copy") == [(1, "one")]
    pair.sql("INSERT INTO t VALUES (2, 'two', 'y')")
    pair.wait_value("SELECT count(*) FROM copy", 2)

    listed = rows(bunny.cli("mirror", "list").stdout)
    assert listed[0]["MIRROR"] == "m" and listed[0]["DESTINATION"] == "d"
    mappings = rows(bunny.cli("mirror", "tables", "m").stdout)
    assert mappings[0] == {"SOURCE": "public.t", "DESTINATION": "public.copy",
                           "PARTITION_KEY": "-", "EXCLUDED": "secret"}
    shown = bunny.cli("mirror", "show", "m").stdout
    assert re.search(r"^status: +running$", shown, re.M) and "bunny_slot_m" in shown

    assert "paused" in bunny.cli("pause", "m", "--wait").stdout
    assert rows(bunny.cli("status").stdout)[0]["STATUS"] == "paused"
    pair.sql("INSERT INTO t VALUES (3, 'three', 'z')")
    assert bunny.cli("resume", "m", "--wait").stdout.endswith("mirror m is running\n")
    pair.wait_value("SELECT count(*) FROM copy", 3)
    bunny.cli("retry", "m", "--wait")
    assert "[" in bunny.cli("logs", "m").stdout
    assert rows(bunny.cli("runs", "m").stdout)[0]["KIND"] == "stream"

    refused = bunny.cli("peer", "remove", "s", expect=1)
    assert refused.stdout == "" and "m" in refused.stderr
    assert bunny.cli("mirror", "delete", "m").stdout == "mirror m deleted\n"
    pair.assert_clean()
    for name in ("s", "d"):
        assert bunny.cli("peer", "remove", name).stdout == f"peer {name} removed\n"
    assert bunny.cli("mirror", "list").stdout.splitlines() == [
        "MIRROR  SOURCE  DESTINATION  STATUS  CREATED"]


def test_json_is_what_the_api_says(streaming):
    _, bunny = streaming
    for words, path in ((("peer", "list"), "/v1/peers"), (("peer", "show", "s"), "/v1/peers/s"),
                        (("peer", "tables", "s"), "/v1/peers/s/tables"),
                        (("mirror", "tables", "m"), "/v1/mirrors/m/tables"),
                        (("mirror", "tables", "m", "--available"),
                         "/v1/mirrors/m/available-tables")):
        assert json.loads(bunny.cli(*words, "--json").stdout) == bunny.api.get(path), words
    for words, path in ((("status",), "/v1/mirrors"), (("mirror", "list"), "/v1/mirrors")):
        assert json.loads(bunny.cli(*words, "--json").stdout)[0].keys() == \
            bunny.api.get(path)[0].keys()
    one = json.loads(bunny.cli("status", "m", "--json").stdout)
    assert one.keys() == bunny.status("m").keys()
    logs = json.loads(bunny.cli("logs", "m", "--json", "-n", "2").stdout)
    assert logs["limit"] == 2 and len(logs["logs"]) == 2


def test_bodies_from_files(pair, bunny, tmp_path):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    add_peers(bunny, pair)
    peer = {"host": "nowhere", "user": "u", "database": "d", "password": "hidden",
            "options": {"connect_timeout": "2"}}
    bunny.cli("peer", "add", "p", "--file", "-", "--port", "5555", text=json.dumps(peer))
    shown = bunny.api.get("/v1/peers/p")
    assert (shown["port"], shown["has_password"]) == (5555, True)
    assert shown["options"] == {"connect_timeout": "2"}
    bunny.cli("peer", "change", "p", "--host", "elsewhere", "--option", "sslcrl=/x")
    shown = bunny.api.get("/v1/peers/p")
    assert (shown["host"], shown["port"]) == ("elsewhere", 5555)
    assert shown["options"] == {"sslcrl": "/x"}
    body = {"source_peer": "s", "destination_peer": "d", "name": "m",
            "table_mappings": [{"source_table": "public.t"}]}
    path = tmp_path / "m.json"
    path.write_text(json.dumps(body), encoding="utf-8")
    assert "another" in bunny.cli("mirror", "create", "n", "--file", path, expect=2).stderr
    bunny.cli("mirror", "create", "m", "--file", path, "--wait")
    assert bunny.status("m")["status"] == "running"


def test_passwords_never_stand_in_a_command(source, pair, bunny):
    """From standard input; what the other ways would be is refused."""
    source.sql("DROP ROLE IF EXISTS secret")
    source.sql("CREATE ROLE secret LOGIN SUPERUSER REPLICATION PASSWORD 'open sesame'")
    where = ["--host", "127.0.0.1", "--port", source.port, "--user", "secret",
             "--database", pair.sdb]
    bunny.cli("peer", "add", "p", *where, "--password-stdin", text="open sesame\n")
    bunny.cli("peer", "test", "p")
    wrong = bunny.cli("peer", "add", "q", *where, "--password=open sesame", expect=2)
    assert wrong.stderr.startswith("bunnydb: --password takes no value\n")
    assert "sesame" not in wrong.stderr
    assert "no password" in bunny.cli("peer", "add", "q", *where, "--password-stdin", text="",
                                      expect=2).stderr
    bunny.cli("peer", "change", "p", "--password-stdin", text="wrong\n")
    failed = bunny.cli("peer", "test", "p", expect=1)
    assert failed.stderr.startswith("bunnydb: peer p: ") and failed.stdout == ""
    assert json.loads(bunny.cli("peer", "test", "p", "--json", expect=1).stdout)["success"] is False
    bunny.cli("peer", "remove", "p")


CREATE = ("mirror", "create", "m", "--source", "s", "--destination", "d", "--table", "public.t")


def started(bunny, *words):
    """The command while it runs."""
    return subprocess.Popen([find_program(), *words, "--state-dir", bunny.state_dir],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
                            env=bunny.environment())


# --- ends ------------------------------------------------------------------------------------------
@pytest.mark.quick
def test_codes_without_a_process(lone_bunny):
    for words in (("status",), ("pause", "m"), ("logs", "m", "-f"), ("peer", "list", "--json")):
        ended = lone_bunny.cli(*words, expect=3)
        assert ended.stdout == ""
        assert ended.stderr == (
            f"bunnydb: no bunnydb runs on the state directory {lone_bunny.state_dir}\n"
            "  start it, or name its directory with --state-dir\n")
    lone_bunny.start()
    lone_bunny.cli("status")
    lone_bunny.kill()  # its socket stays, and nobody listens
    lone_bunny.cli("status", expect=3)


@pytest.mark.quick
def test_state_directory_of_the_configuration(lone_bunny, tmp_path):
    path = tmp_path / "bunny.conf"
    path.write_text(f"[server]\nstate_dir = {lone_bunny.state_dir}\n", encoding="utf-8")
    lone_bunny.start()
    run = lambda *words, **env: subprocess.run(
        [find_program(), *words], env=lone_bunny.environment(**env), capture_output=True,
        timeout=20, check=False).returncode
    assert run("status", "-c", path) == 0
    assert run("status", BUNNYDB_CONF=str(path)) == 0
    assert run("status", "-c", path, "--state-dir", tmp_path / "other") == 3
    path.write_text("[server]\nnonsense = 1\n", encoding="utf-8")
    assert run("status", "-c", path) == 2


@pytest.mark.quick
@pytest.mark.parametrize("words, code, error", [
    (("dance",), 2, 'unknown command "dance"'),
    (("status", "--lines", "1"), 2, "--lines means nothing for bunnydb status"),
    (("pause",), 2, "usage: bunnydb pause MIRROR"),
    (("pause", "m", "--wait=soon"), 2, "--wait must be a whole number"),
    (("logs", "m", "-n", "x"), 2, "--lines must be a whole number"),
    (("logs", "m", "--json", "-n", "501"), 2, "--lines must be a whole number from 1 to 500"),
    (("mirror", "create", "m", "--cdc-batch-size", "x"), 2, "--cdc-batch-size: field"),
    (("mirror", "tables", "m", "--table", "a.b"), 2, "only with --set"),
    (("mirror", "tables", "m", "--set"), 2, "--set needs the tables"),
    (("peer", "change", "p"), 2, "nothing to change"),
    (("mirror", "change", "m"), 2, "nothing to change"),
    (("mirror", "change", "m", "--source-peer", "x"), 2, "--source-peer"),
    (("pause", "none"), 1, "none"),
    (("status", "none"), 1, "no mirror is named none"),
    (("logs", "none", "-f"), 1, "no mirror is named none"),
    (("logs", "none", "--level", "loud"), 1, "none"),
    (("mirror", "create", "a b"), 1, 'field "name"'),
    (("mirror", "create", "m"), 1, 'field "source_peer" is missing'),
    (("mirror", "create", "m", "--snapshot-max-parallel-workers", "65"), 1,
     'field "snapshot_max_parallel_workers" must be from 1 to 64'),
    (("mirror", "create", "m", "--source", "x", "--destination", "y", "--table", "alone"), 1,
     'field "source_table": "alone" is not schema.table'),
    (("peer", "add", "p", "--host", "h", "--user", "u", "--database", "d", "--ssl-mode", "none"), 1,
     'field "ssl_mode" must be'),
    (("peer", "show", "../users"), 1, "not well encoded"),
])
def test_wrong_input_is_named(lone_bunny, words, code, error):
    lone_bunny.start()
    ended = lone_bunny.cli(*words, expect=code)
    assert ended.stdout == ""
    assert ended.stderr.startswith("bunnydb: ") and error in ended.stderr, ended.stderr
    assert len(ended.stderr.splitlines()) <= 2
    assert lone_bunny.api.get("/v1/mirrors") == [] == lone_bunny.api.get("/v1/peers")


def test_refused_mirrors_say_every_finding(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (v int)")
    pair.dsql("CREATE TABLE t (id text); INSERT INTO t VALUES ('x')")
    add_peers(bunny, pair)
    answer = bunny.api.raw("POST", "/v1/mirrors", {
        "name": "m", "source_peer": "s", "destination_peer": "d",
        "table_mappings": [{"source_table": "public.*"}]})
    assert answer.status == 409 and len(answer.body["findings"]) > 1, answer
    ended = create(bunny, "--wait", expect=1)
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert lines[0] == "bunnydb: " + answer.body["error"]
    for finding in answer.body["findings"]:
        head = f"{finding['severity']}: {finding['title']} ({finding['code']})"
        assert head in " ".join(lines), ended.stderr
        statements = [item["statement"] for item in finding["items"] if item["statement"]]
        assert statements and all(f"    {statement}" in lines for statement in statements)


def test_status_tells_errors_by_its_code(streaming):
    pair, bunny = streaming
    bunny.cli("status")
    bunny.cli("status", "m")
    pair.dsql("ALTER TABLE t ADD CHECK (v <> 'bad')")
    pair.sql("INSERT INTO t VALUES (2, 'bad')")
    bunny.wait_status("m", "error", may_fail=True)
    for words in (("status",), ("status", "m"), ("status", "--json")):
        ended = bunny.cli(*words, expect=5)
        assert "t_v_check" in ended.stdout and ended.stderr == ""
    bunny.cli("mirror", "show", "m")
    again = bunny.cli("retry", "m", "--wait", "60", expect=1)
    assert again.stderr.startswith("bunnydb: mirror m is in error: ")
    assert "t_v_check" in again.stderr
    pair.dsql("ALTER TABLE t DROP CONSTRAINT t_v_check")
    bunny.cli("retry", "m", "--wait", "60")
    bunny.cli("status")
    pair.assert_equal()


def test_waiting_has_an_end(pair, bunny):
    """The destination's table is locked: the copy cannot go on, and --wait says so."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, repeat('x', 99) "
             "FROM generate_series(1, 20000) i")
    pair.dsql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    add_peers(bunny, pair)
    with pair.dest.connect(pair.ddb) as c, c.transaction():
        c.execute("LOCK TABLE t IN EXCLUSIVE MODE")
        ended = create(bunny, "--wait=1", expect=4)
        assert ended.stdout == "mirror m created\n"
        assert ended.stderr.startswith("bunnydb: the time of --wait is over; mirror m is ")
    bunny.wait_running("m", may_fail=True)
    bunny.cli("mirror", "delete", "m", "--wait")
    pair.assert_clean()


def test_waiting_ends_in_time_although_the_process_hangs(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY)")
    add_peers(bunny, pair)
    with pair.source.connect(pair.sdb) as c, c.transaction():
        c.execute("INSERT INTO t VALUES (1)")  # the slot waits for the end of this transaction
        with started(bunny, *CREATE, "--wait", "2") as waits:
            assert waits.stdout.readline() == "mirror m created\n"
            bunny.process.send_signal(signal.SIGSTOP)
            try:
                assert waits.wait(20) == 4
            finally:
                bunny.process.send_signal(signal.SIGCONT)
            assert waits.stderr.read().startswith("bunnydb: the time of --wait is over; mirror m is ")
    bunny.wait_running("m")


def test_waiting_ends_when_the_mirror_is_paused(pair, bunny):
    pair.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    pair.dsql("CREATE TABLE t (id int PRIMARY KEY)")
    add_peers(bunny, pair)
    with pair.dest.connect(pair.ddb) as c, c.transaction():
        c.execute("LOCK TABLE t IN EXCLUSIVE MODE")
        with started(bunny, *CREATE, "--wait") as waits:
            assert waits.stdout.readline() == "mirror m created\n"
            bunny.cli("pause", "m", "--wait")
            assert waits.wait(30) == 1
            assert waits.stderr.read() == ("bunnydb: mirror m was paused meanwhile\n"
                                           "  it goes on after: bunnydb resume m\n")
    bunny.cli("resume", "m", "--wait")
    assert pair.assert_equal() == 1


# --- operations ------------------------------------------------------------------------------------
@pytest.mark.long
def test_resync(streaming):
    pair, bunny = streaming
    pair.dsql("UPDATE t SET v = 'other'")
    ended = bunny.cli("resync", "m", "--strategy", "truncate", "--wait", "60")
    assert ended.stdout.endswith("mirror m is resynced\n")
    assert pair.assert_equal() == 1
    pair.dsql("DELETE FROM t")
    bunny.cli("resync", "m", "public.t", "--wait", "60")
    assert pair.assert_equal() == 1
    with pair.dest.connect(pair.ddb) as c, c.transaction():
        c.execute("LOCK TABLE t IN ACCESS SHARE MODE")
        held = bunny.cli("resync", "m", "public.t", "--wait", "2", expect=4)
        assert held.stderr.startswith("bunnydb: the time of --wait is over; mirror m is running")
    wait_for(lambda: bunny.status("m")["operation"] is None, 60, "the resync to end")
    assert "public.none" in bunny.cli("resync", "m", "public.none", expect=1).stderr
    assert "strategy" in bunny.cli("resync", "m", "--strategy", "fast", expect=1).stderr


def test_verify(streaming):
    pair, bunny = streaming
    assert "no" in bunny.cli("verify", "m", "--last", expect=1).stderr
    ended = bunny.cli("verify", "m", "--wait", "60")
    assert re.search(r"^ending: +complete$", ended.stdout, re.M) and ended.stderr == ""
    assert re.search(r"^public\.t +equal +1 +0 +0 +0 +-$", ended.stdout, re.M), ended.stdout
    pair.dsql("UPDATE t SET v = 'other'; INSERT INTO t VALUES (7, 'more')")
    ended = bunny.cli("verify", "m", "--wait", "60", expect=1)
    assert ended.stderr == "bunnydb: mirror m: tables that differ: 1\n"
    assert re.search(r"^public\.t +differing +id=1$", ended.stdout, re.M)
    assert re.search(r"^public\.t +extra +id=7$", ended.stdout, re.M)
    again = bunny.cli("verify", "m", "--last", expect=1)
    assert (again.stdout, again.stderr) == (ended.stdout, ended.stderr)
    report = json.loads(bunny.cli("verify", "m", "--last", "--json", expect=1).stdout)
    assert report == bunny.api.get("/v1/mirrors/m/verify")
    bunny.cli("verify", "m", "--last", "--wait", expect=2)


@pytest.mark.long
def test_sync_schema(streaming):
    pair, bunny = streaming
    assert bunny.cli("sync-schema", "m", "--dry-run").stdout == ""
    pair.sql("ALTER TABLE t ADD COLUMN note text; ALTER TABLE t ALTER v SET NOT NULL")
    preview = bunny.cli("sync-schema", "m", "--dry-run").stdout
    statements = json.loads(bunny.cli("sync-schema", "m", "--dry-run", "--json").stdout)["statements"]
    sql = [line for line in preview.splitlines() if not line.startswith("--")]
    assert sql == [s + ";" for s in statements] and any("note" in line for line in sql)
    ended = bunny.cli("sync-schema", "m", "--wait", "60")
    assert ended.stdout.endswith("mirror m has the source's schema\n")
    pair.sql("INSERT INTO t VALUES (2, 'two', 'n')")
    assert pair.assert_equal() == 2
    pair.sql("ALTER TABLE t ADD COLUMN more int; INSERT INTO t VALUES (3, 'three', 'n', 1)")
    bunny.wait_status("m", "error", may_fail=True)
    bunny.cli("sync-schema", "m", "--wait", "60")  # an error of before does not end the wait
    assert pair.assert_equal() == 3


def test_a_failed_sync_schema_is_told(streaming):
    pair, bunny = streaming
    pair.dsql("INSERT INTO t VALUES (-1, 'twice'), (-2, 'twice')")
    pair.sql("CREATE UNIQUE INDEX t_v ON t (v)")
    ended = bunny.cli("sync-schema", "m", "--wait", expect=1)
    assert ended.stderr.startswith("bunnydb: mirror m") and "t_v" in ended.stderr, ended
    pair.dsql("DELETE FROM t WHERE id = -2")
    bunny.cli("sync-schema", "m", "--wait", "60")
    pair.dsql("DELETE FROM t WHERE id = -1")
    pair.sql("INSERT INTO t VALUES (2, 'two')")
    assert pair.assert_equal() == 2


def test_tables_are_replaced(streaming, tmp_path):
    pair, bunny = streaming
    pair.sql("CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u SELECT generate_series(1, 10)")
    available = rows(bunny.cli("mirror", "tables", "m", "--available").stdout)
    assert [r["TABLE"] for r in available] == ["public.u"]
    wish = ("mirror", "tables", "m", "--set", "--table", "public.t", "--table", "public.u")
    refused = bunny.cli(*wish, expect=1)
    assert refused.stderr.startswith("bunnydb: Mirror must be paused to update tables\n")
    bunny.cli("pause", "m", "--wait")
    changed = bunny.cli("mirror", "change", "m", "--cdc-batch-size", "50", "--schema-changes", "auto")
    assert changed.stdout == ("cdc_batch_size 10000 -> 50, schema_changes manual -> auto; "
                              "in effect when the mirror is resumed\n")
    bunny.cli(*wish)
    path = tmp_path / "tables.json"
    path.write_text(bunny.cli("mirror", "tables", "m", "--json").stdout, encoding="utf-8")
    bunny.cli("mirror", "tables", "m", "--set", "--file", path)  # as it was printed
    assert [r["SOURCE"] for r in rows(bunny.cli("mirror", "tables", "m").stdout)] == [
        "public.t", "public.u"]
    bunny.cli("resume", "m", "--wait", "60")
    wait_for(lambda: all(t["status"] == "streaming" for t in bunny.status("m")["tables"]), 60,
             "the new table to stream")
    assert pair.assert_equal() == 11


def test_diagnose(streaming):
    _, bunny = streaming
    pretty = bunny.cli("diagnose", "m").stdout
    assert len(pretty.splitlines()) > 20
    assert json.loads(pretty).keys() == json.loads(bunny.cli("diagnose", "m", "--json").stdout).keys()


def test_a_process_that_hangs_is_given_up(lone_bunny):
    lone_bunny.start()
    lone_bunny.process.send_signal(signal.SIGSTOP)
    try:
        ended = lone_bunny.cli("status", "--timeout", "1", expect=1)
        assert ended.stderr.startswith("bunnydb: bunnydb did not answer within 1.0 s\n")
        ended = lone_bunny.cli("pause", "m", "--wait", "1", expect=4)
        assert ended.stderr.startswith("bunnydb: the time of --wait is over")
    finally:
        lone_bunny.process.send_signal(signal.SIGCONT)
    lone_bunny.cli("status")


# --- logs ------------------------------------------------------------------------------------------
def test_logs_are_lines(streaming):
    pair, bunny = streaming
    lines = bunny.cli("logs", "m").stdout.splitlines()
    page = bunny.api.get("/v1/mirrors/m/logs")["logs"]
    assert len(lines) >= len(page) > 3
    times = [TIME.match(line).group() for line in lines]
    assert times == sorted(times)
    assert bunny.cli("logs", "m", "-n", "2").stdout.splitlines() == lines[-2:]
    assert all(" ERROR " in line for line in
               bunny.cli("logs", "m", "--level", "error").stdout.splitlines())
    found = bunny.cli("logs", "m", "--search", "slot=bunny_slot_m & more?").stdout
    assert found == ""
    assert "slot=bunny_slot_m" in bunny.cli("logs", "m", "--search", "slot=bunny_slot_m").stdout
    pair.assert_equal()


def read_until(stream, part):
    """Lines of a stream up to the first that holds part."""
    lines = []
    for line in stream:
        lines.append(line)
        if part in line:
            return lines
    raise AssertionError(f"{part!r} is not in {lines}")


def test_logs_are_followed_over_a_restart(streaming):
    pair, bunny = streaming
    last = bunny.cli("logs", "m", "-n", "1").stdout
    with started(bunny, "logs", "m", "-f", "-n", "1") as tail:
        try:
            assert tail.stdout.readline() == last
            bunny.cli("pause", "m")
            seen = read_until(tail.stdout, "paused")
            bunny.stop()
            assert "does not answer" in tail.stderr.readline()
            bunny.start()
            assert "answers again" in tail.stderr.readline()
            bunny.cli("resume", "m")
            seen += read_until(tail.stdout, "resumed")
            assert len(set(seen)) == len(seen), "a line came twice"
            bunny.cli("mirror", "delete", "m")
            assert tail.wait(30) == 1 and "no mirror is named m" in tail.stderr.read()
        finally:
            tail.kill()
    pair.assert_clean()


def test_a_reader_that_goes_away_ends_the_command_quietly(streaming):
    _, bunny = streaming
    line = f"{find_program()} logs m -f --state-dir {bunny.state_dir}"
    ended = subprocess.run(["bash", "-c", f"set -o pipefail; {line} | head -n 1"],
                           capture_output=True, text=True, timeout=30, check=False,
                           env=bunny.environment())
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == 1
    reading, writing = os.pipe()
    os.close(reading)  # gone before the first line
    ended = subprocess.run([find_program(), "status", "--state-dir", bunny.state_dir],
                           stdout=writing, stderr=subprocess.PIPE, timeout=30, check=False,
                           env=bunny.environment())
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")
    ended = subprocess.run(f"exec {find_program()} status --state-dir {bunny.state_dir} >/dev/full",
                           shell=True, capture_output=True, text=True, timeout=30, check=False,
                           env=bunny.environment())
    assert ended.returncode == 1 and "No space left" in ended.stderr, ended


# --- help ------------------------------------------------------------------------------------------
@pytest.mark.quick
def test_every_command_has_its_help():
    run = lambda *words: subprocess.run([find_program(), *words], capture_output=True, text=True,
                                        timeout=20, check=False)
    listed = re.findall(r"^  bunnydb ((?:[a-z-]+ ?)+)", run("--help").stdout, re.M)
    assert len(listed) >= 20
    for words in listed:
        shown = run(*words.split(), "--help")
        assert shown.returncode == 0 and shown.stderr == ""
        assert shown.stdout.startswith(f"usage: bunnydb {words.strip()}")


def complete(bunny, *words):
    script = (f'. {TOP}/contrib/bunnydb.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bunnydb; '
              r'printf "%s\n" "${COMPREPLY[@]}"')
    return subprocess.run(["bash", "-c", script, "bash", find_program(), *words],
                          capture_output=True, text=True, timeout=20, check=True,
                          env=bunny.environment()).stdout.split()


def test_completion_of_the_shell(streaming):
    _, bunny = streaming
    where = ("--state-dir", bunny.state_dir)
    assert complete(bunny, "mir") == ["mirror"]
    assert complete(bunny, "peer", "") == ["add", "change", "list", "remove", "show", "tables",
                                           "test"]
    assert complete(bunny, *where, "pause", "") == ["m"]
    assert complete(bunny, *where, "peer", "show", "") == ["d", "s"]
    assert complete(bunny, *where, "mirror", "create", "n", "--source", "") == ["d", "s"]
    assert complete(bunny, "mirror", "create", "n", "--resync-strategy", "s") == ["swap"]
    assert complete(bunny, "retry", "m", "--re") == ["--recreate-slot"]
    assert "--headless" in complete(bunny, "--h")
    assert "--headless" not in complete(bunny, "status", "--h")
