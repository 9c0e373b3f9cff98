"""Promise: a console can be opened on a running process, as often as one likes, shows the same, obeys
the same keys, and neither its end nor the loss of any terminal stops the replication."""
import json
import os
import pwd
import re
import signal
import sys
import pathlib
import time

import pexpect
import pytest

from harness.waiting import wait_for

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from test_console_real import Console as Foreground  # noqa: E402


class Attached(Foreground):
    """bunnydb attach in a terminal of its own."""

    def __init__(self, bunny, *options, rows=24, columns=80):
        self.screen, self.stream = self.terminal(rows, columns)
        self.child = pexpect.spawn(
            bunny.command()[0], ["attach", "--state-dir", str(bunny.state_dir), *options],
            dimensions=(rows, columns), timeout=10,
            env=bunny.environment(TERM="xterm-256color", LANG="C.UTF-8", LC_ALL="C.UTF-8"))

    def ended(self):
        """Waits for the end; its exit status."""
        def over():
            self.read()
            return not self.child.isalive()
        wait_for(over, 10, "the end of the console")
        return self.child.exitstatus


@pytest.fixture
def attach(pair, bunny):
    """A mirror in a headless process, and a way to open consoles on it."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
    bunny.mirror("orders", pair)
    opened = []

    def open_one(*options, **size):
        opened.append(Attached(bunny, *options, **size))
        return opened[-1]
    yield open_one
    for console in opened:
        console.close()


@pytest.mark.long
@pytest.mark.quick
@pytest.mark.sanitize
def test_two_consoles_on_a_headless_process(pair, bunny, attach):
    first, second = attach(), attach(rows=40, columns=120)
    for console in first, second:
        console.wait("orders", "RUNNING")
    first.key("p")
    first.wait("y/N")
    first.key("y")
    second.wait("PAUSED")
    assert bunny.status("orders")["status"] == "paused"
    second.key("r")
    first.wait("RUNNING")
    me = pwd.getpwuid(os.getuid()).pw_name
    newest, before = bunny.api.get("/v1/runs")["runs"][:2]
    assert (newest["begun_by"], before["ended_by"]) == (f"resume by {me} (console)",
                                                        f"pause by {me} (console)")
    first.key("\r")
    first.wait("Mirrors > orders", "public.t")
    pair.sql("INSERT INTO t SELECT i, 'b' FROM generate_series(2, 500) i")
    first.wait("499")
    first.key("V")
    first.wait("orders was not compared yet")
    first.key("v")
    first.wait("y/N")
    first.key("y")
    first.wait("equal 500", limit=30)
    first.key("C")
    first.wait("what remains before a cutover", "All tables were found equal", limit=30)
    first.key("4")
    first.key("D")
    second.key("l")
    second.wait("log: orders", "INFO")
    second.key("\x1b")
    second.key("q")
    assert first.ended() == 0 and second.ended() == 0
    assert bunny.is_running and bunny.status("orders")["status"] == "running"
    pair.assert_equal()


@pytest.mark.long
def test_slots_runs_peers_and_definitions_from_afar(pair, bunny, attach):
    """What is asked for beside the picture, through the API; and what is changed there."""
    pair.sql("SELECT pg_create_logical_replication_slot('somebody', 'test_decoding')")
    try:
        console = attach(rows=40, columns=120)
        console.wait("orders", "RUNNING")
        console.key("2")
        console.wait("[2 Slots]", "bunny_slot_orders", "ACTIVE", "somebody", "(other)", "UNREAD")
        listed = bunny.api.get("/v1/slots")
        assert {s["name"]: s["mirror"] for s in listed["slots"]} == \
            {"bunny_slot_orders": "orders", "somebody": None}
        assert listed["sources"][0]["error"] is None and listed["sources"][0]["wal_end"]
        console.key("5")
        console.wait("[5 Runs]", "run 1 of orders: goes on", "running, streaming")
        assert [r["mirror"] for r in bunny.api.get("/v1/runs")["runs"]] == ["orders"]
        pair.sql("ALTER TABLE t ADD COLUMN note text")
        console.key("\r")
        console.wait("[1 Tables]")
        console.key("5")
        console.wait("a runs 1 statement", "note")
        console.key("6")
        console.wait("schema_changes manual", "bunny_pub_orders", "public.t")
        console.key("5")
        console.key("a")
        console.wait("Let the definitions of orders follow?")
        console.key("r")
        console.wait("sync-schema orders: ended", limit=30)
    finally:
        pair.sql("SELECT pg_drop_replication_slot('somebody')")
    peers_by_keys(bunny, console)
    bundle_and_doctor(bunny, console)
    pair.sql("INSERT INTO t VALUES (2, 'b', 'new')")
    pair.assert_equal()


def bundle_and_doctor(bunny, console):
    console.key("6")
    wait_for(lambda: [x for x in console.read().splitlines() if re.match(r">\S orders +(ok|info)", x)],
             30, "the doctor")
    console.key("b")
    text = console.wait("OK bundle ", limit=30)
    path = pathlib.Path(re.search(r"bundle (\S+\.json)", text).group(1))
    try:
        assert path.stat().st_mode & 0o777 == 0o600
        found = json.loads(path.read_text())
        assert found["status"]["name"] == "orders" and found["source"]["is_reachable"]
    finally:
        path.unlink()


def peers_by_keys(bunny, console):
    source = bunny.api.get("/v1/mirrors/orders")["source_peer"]
    console.key("\x1b")
    console.key("3")
    console.wait("[3 Peers]", source)
    console.key("a")
    console.wait("a new peer")
    for value in ("nowhere", "127.0.0.1", "\x151", "db", "me"):
        console.key(value + "\r")
    console.key("s3cret-word\r\r\r\r")
    console.wait("nowhere: test of the connection", "refused", limit=30)
    assert bunny.api.get("/v1/peers/nowhere")["port"] == 1
    console.key("\x1b")
    console.wait("peer nowhere", "FAILED")
    console.key("e")
    console.wait("peer nowhere: its mirrors")
    console.key("\r\x152\r\r\r\r\r\r\r")
    console.wait("test of the connection", "refused", limit=30)
    assert bunny.api.get("/v1/peers/nowhere")["port"] == 2
    console.key("\x1b")
    console.wait("127.0.0.1:2")
    console.key("K")
    console.wait("type nowhere to forget")
    console.key("nowhere\r")
    console.wait("peer nowhere deleted")
    assert bunny.api.raw("GET", "/v1/peers/nowhere").status == 404


@pytest.mark.long
def test_a_mirror_is_made_and_gets_other_tables_by_keys(pair, bunny, attach):
    pair.sql("CREATE TABLE s (id int PRIMARY KEY); INSERT INTO s VALUES (1)")
    pair.sql("CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u SELECT generate_series(1, 50)")
    pair.dsql("CREATE TABLE s (id int PRIMARY KEY)")
    console = attach(rows=40, columns=120)
    console.wait("orders", "RUNNING")
    mirror = bunny.api.get("/v1/mirrors/orders")
    console.key("a")
    console.wait("a new mirror, 1 of 3")
    console.key("more\r")
    for label, peer in (("source", mirror["source_peer"]), ("destination", mirror["destination_peer"])):
        wait_for(lambda: f"< {peer} >" in console.line(f" > {label}") or console.key(" "), 10, peer)
        console.key("\r")
    console.key("\t" * 6 + "\r")
    console.wait("public.s", "public.u", "REMARKS", limit=30)
    console.key("/public.s\r*/\r")
    console.wait("[x] public.s", "[ ] public.u")
    console.key("\r")
    console.wait("3 of 3", "both servers are ready")
    console.key("\r")
    console.wait("y/N")
    console.key("y")
    console.wait("mirror more made", limit=30)
    bunny.wait_running("more")
    pair.wait_value("SELECT count(*) FROM s", 1)
    wait_for(lambda: [x for x in console.read().splitlines()
                      if x.startswith(">+ more") and "RUNNING" in x], 15, "it to be selected")
    console.key("e")
    console.wait("settings of more", "> definitions", "< manual >")
    console.key(" ")
    console.wait("*definitions", "< auto >", "was manual")
    console.key("\x1bOA\r")  # up: from the first field to the button
    console.wait("settings of more changed")
    assert bunny.status("more")["settings"]["schema_changes"] == "auto"
    console.key("E")
    console.wait("[x] public.s", "[ ] public.u", limit=30)
    console.key("/public.u\r ")
    console.wait("added")
    console.key("\r")
    console.wait("more: 2 tables afterwards")
    console.key("\r")
    console.wait("pause, change the tables of more, go on y/N")
    console.key("y")
    console.wait("tables of more changed, it goes on", limit=60)
    wait_for(lambda: [t["status"] for t in bunny.status("more")["tables"]] == ["streaming"] * 2, 60,
             "both tables to stream")
    pair.sql("INSERT INTO u VALUES (51); INSERT INTO s VALUES (2)")
    bunny.wait_running("more")
    pair.assert_equal()
    console.key("K")
    console.wait("Delete mirror more?")
    console.key("d")
    console.wait("type more to delete")
    console.key("more\r")
    wait_for(lambda: len(bunny.api.get("/v1/mirrors")) == 1, 30, "the mirror to be gone")
    console.wait("1 mirror")


def test_read_only_says_why_its_keys_are_off(pair, bunny, attach):
    console = attach("--read-only")
    console.wait("orders", "RUNNING", "RO")
    for key, name in (("p", "pause"), ("e", "edit"), ("v", "verify"), ("X", "resync"), ("K", "delete")):
        console.key(key)
        console.wait(f"{name}", "this console only reads: attached with --read-only", gone=["y/N"])
        console.key("m")
        console.wait("Messages")
        console.key("\x1b")
        console.wait("RUNNING")
    assert bunny.status("orders")["status"] == "running"
    console.key("V")
    console.wait("orders was not compared yet")
    pair.assert_equal()


def test_the_process_ends_and_comes_back(pair, bunny, attach):
    console = attach()
    console.wait("orders", "RUNNING")
    bunny.kill()
    console.wait("NO CONNECTION", "no bunnydb runs", "orders")
    console.key("p")
    console.wait("the process does not answer")
    bunny.start()
    console.wait("RUNNING", "LAG", gone=["NO CONNECTION"], limit=30)
    console.key("p")
    console.wait("y/N")
    console.key("y")
    console.wait("PAUSED")
    console.key("r")
    console.wait("RUNNING")
    pair.sql("INSERT INTO t VALUES (2, 'b')")
    pair.assert_equal()


def test_a_closed_terminal_and_the_same_screen_elsewhere(pair, bunny, attach):
    bunny.stop()
    console = Foreground(bunny)
    try:
        console.wait("orders", "RUNNING")
        pid = console.child.pid
        os.close(console.child.child_fd)
        console.child.closed = console.child.terminated = True
        pair.sql("INSERT INTO t SELECT i, 'meanwhile' FROM generate_series(2, 300) i")
        pair.wait_value("SELECT count(*) FROM t", 300)
        again = attach()
        again.wait("orders", "RUNNING")
        again.key("\r")
        again.wait("public.t", "299")
        os.kill(again.child.pid, signal.SIGHUP)  # and this one is lost as well
        assert again.ended() == 0
        pair.sql("INSERT INTO t VALUES (301, 'still')")
        pair.assert_equal()
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid, 10, "the end after SIGTERM")
    finally:
        console.close()
        bunny.kill()
        bunny.start()


def test_nobody_is_there(bunny, attach):
    bunny.stop()
    try:
        console = attach()
        console.wait("no bunnydb runs on the state directory")
        assert console.ended() == 3
    finally:
        bunny.start()


def test_an_attached_console_costs_nearly_nothing(bunny, attach):
    """An answer waits for news: between two of the engine's samples nothing is sent."""
    console = attach()
    console.wait("orders", "RUNNING")

    def cpu(pid):
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    before, began = cpu(console.child.pid), time.monotonic()
    while time.monotonic() - began < 5:
        console.read()
        time.sleep(0.2)
    used = (cpu(console.child.pid) - before) / (time.monotonic() - began)
    assert used < 0.03, f"{used:.1%} of a core"


def test_top_once_is_plain_text(pair, bunny, attach):
    def top(*options):
        return bunny.cli("top", "--once", *options).stdout
    text = top()
    assert text.isprintable() or not any(c < " " and c != "\n" for c in text), repr(text)
    assert "1 mirror, 1 running" in text.splitlines()[0], text
    row = dict(zip(text.splitlines()[1].split(), text.splitlines()[2].split()))
    assert (row["MIRROR"], row["STATUS"], row["DONE"], row["TABLES"]) == \
        ("orders", "running", "1", "1"), text
    answer = json.loads(top("--json"))
    assert [m["name"] for m in answer["mirrors"]] == ["orders"] and answer["log"]
    shown = answer["mirrors"][0]
    assert (len(shown["lag_history"]), len(shown["rows_history"])) == (60, 60)
    assert len(shown["error_history"]) == 12 and sum(shown["error_history"]) == 0
    assert bunny.cli("top", "--json", expect=2).stderr.startswith("bunnydb: --json needs --once")
    pair.dsql("ALTER TABLE t DROP COLUMN v")
    pair.sql("INSERT INTO t VALUES (2, 'b')")
    bunny.wait_status("orders", "error", may_fail=True)
    assert "error: " in top() and "1 error" in top().splitlines()[0]
    assert sum(json.loads(top("--json"))["mirrors"][0]["error_history"]) > 0
    pair.dsql("ALTER TABLE t ADD COLUMN v text; UPDATE t SET v = 'a'")
    bunny.cli("retry", "orders", "--wait", "60")
    pair.assert_equal()
