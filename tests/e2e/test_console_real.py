"""Promise: the real program on a real pseudo-terminal shows a live mirror, obeys its keys, and a
terminal that goes away does not stop the replication."""
import os
import pathlib
import signal
import sys

import pexpect
import pytest

from harness.bunny import ADMIN, PASSWORD
from harness.waiting import wait_for

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "console"))
from xterm import Screen, Stream  # noqa: E402


class Console:
    """The program in the foreground of a terminal of rows x columns, read through pyte."""

    def __init__(self, bunny, rows=24, columns=80):
        self.screen, self.stream = self.terminal(rows, columns)
        command = bunny.command(headless=False)
        self.child = pexpect.spawn(command[0], command[1:], dimensions=(rows, columns),
                                   env=bunny.environment(TERM="xterm-256color", LANG="C.UTF-8",
                                                         LC_ALL="C.UTF-8"), timeout=10)

    @staticmethod
    def terminal(rows, columns):
        screen = Screen(columns, rows)
        return screen, Stream(screen)

    def read(self):
        """Takes what was drawn since; the screen's text."""
        try:
            while True:
                self.stream.feed(self.child.read_nonblocking(65536, timeout=0))
        except (pexpect.TIMEOUT, pexpect.EOF):
            pass
        return "\n".join(self.screen.display)

    def wait(self, *words, gone=(), limit=15):
        """Until all words are on the screen and none of gone; returns the screen."""
        def there():
            text = self.read()
            missing = [w for w in words if w not in text] + [w for w in gone if w in text]
            assert not missing, f"{missing} on\n{text}"
            return text
        return wait_for(there, limit, f"the screen to show {words}")

    def line(self, word):
        return next((x for x in self.read().splitlines() if word in x), "")

    def key(self, keys):
        self.child.send(keys)

    def close(self):
        """Ends the process, if the test has not."""
        if not self.child.terminated:
            self.child.close(force=True)


@pytest.fixture
def live(pair, bunny):
    """A mirror made by a headless process, then shown by one with a console."""
    pair.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
    bunny.mirror("orders", pair)
    bunny.stop()
    console = Console(bunny)
    try:
        wait_for(lambda: bunny.api.raw("GET", "/health").status == 200, 20, "the API")
        yield pair, bunny, console
    finally:
        console.close()
        bunny.kill()
        bunny.start()  # the fixtures delete the mirror through it


@pytest.mark.quick
@pytest.mark.sanitize
def test_mirror_is_shown_paused_and_resumed(live):
    pair, bunny, console = live
    console.wait("orders", "RUNNING")
    console.key("p")
    console.wait("y")
    console.key("y")
    console.wait("PAUSED")
    assert bunny.status("orders")["status"] == "paused"
    pair.sql("INSERT INTO t VALUES (2, 'while paused')")
    console.key("r")
    console.wait("RUNNING", gone=["PAUSED "])
    assert pair.assert_equal() == 2


@pytest.mark.quick
def test_pause_can_be_refused(live):
    _, bunny, console = live
    console.wait("orders", "RUNNING")
    console.key("p")
    console.wait("y")
    console.key("n")
    console.wait("RUNNING")
    assert bunny.status("orders")["status"] == "running"


@pytest.mark.quick
def test_help_and_detail_and_quit(live):
    pair, bunny, console = live
    console.wait("orders", "RUNNING")
    console.key("?")
    console.wait("pause", "resume", "retry")
    console.key("\x1b")
    console.wait("orders", "RUNNING")
    console.key("\r")
    console.wait("orders", "public.t")
    console.key("\x1b")
    console.wait("orders", "RUNNING")
    console.key("q")
    text = console.wait("orders")
    text = wait_for(lambda: "ancel" in console.read() and console.read(), 10,
                    "the quit dialog with cancel")
    assert "etach" in text and ("top" in text or "uit" in text), text
    console.key("\x1b")
    console.wait("orders", "RUNNING")
    pair.sql("INSERT INTO t VALUES (2, 'still there')")
    pair.assert_equal()
    assert bunny.status("orders")["status"] == "running"


@pytest.mark.quick
@pytest.mark.parametrize("way", ["hangup", "close"])
def test_a_lost_terminal_keeps_replication_going(live, way):
    pair, bunny, console = live
    console.wait("orders", "RUNNING")
    pid = console.child.pid
    if way == "hangup":
        console.child.kill(signal.SIGHUP)
    else:
        os.close(console.child.child_fd)
    console.child.closed = console.child.terminated = True  # pexpect has lost it; we have not
    try:
        pair.sql("INSERT INTO t VALUES (2, 'after')")
        assert pair.assert_equal() == 2
        assert bunny.api.raw("GET", "/health").status == 200
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid, 10, "the end after SIGTERM")


@pytest.mark.quick
def test_resize(live):
    _, _, console = live
    console.wait("orders", "RUNNING")
    for rows, columns in ((40, 120), (10, 40), (5, 20), (24, 80)):
        console.screen.resize(rows, columns)
        console.child.setwinsize(rows, columns)
    console.wait("orders", "RUNNING")
    assert console.child.isalive()


def test_sigterm_restores_the_terminal(live):
    _, _, console = live
    console.wait("orders", "RUNNING")
    console.child.kill(signal.SIGTERM)
    data = b""

    def over():
        nonlocal data
        try:
            data += console.child.read_nonblocking(65536, timeout=0)
        except pexpect.TIMEOUT:
            pass
        except pexpect.EOF:
            return True
        return False
    wait_for(over, 10, "the end")
    assert b"\x1b[?1049l" in data
    console.child.wait()
    assert console.child.exitstatus == 0


def test_login_stays_good_beside_the_console(live):
    _, bunny, console = live
    console.wait("orders")
    assert bunny.api.login(ADMIN, PASSWORD)["role"] == "admin"


@pytest.mark.long
def test_verify_repair_resync_and_cutover_by_keys(live):
    pair, bunny, console = live
    console.wait("orders", "RUNNING")
    pair.dsql("UPDATE t SET v = 'wrong'")
    console.key("\r")
    console.wait("Mirrors > orders", "public.t")
    console.key("v")
    console.wait("verify orders: reads 1 table (", "y/N")
    console.key("y")
    console.wait("verify orders: ended", "V shows")
    console.key("V")
    console.wait("the last comparison", "differs: id=1", "rows that differ: 1")
    console.key("v")
    console.wait("Repair rows of orders?")
    console.key("r")
    console.wait("differs, repaired: id=1", gone=["rows that differ"], limit=30)
    pair.wait_value("SELECT v FROM t", "a")
    console.key("C")
    console.wait("what remains before a cutover", "All tables were found equal", limit=30)
    console.key("\x1b")
    console.wait("[1 Tables]")
    pair.dsql("UPDATE t SET v = 'wrong'")
    console.key("x")
    console.wait("Copy public.t again?")
    console.key("s")
    console.wait("resync public.t of orders (swap): ended", limit=30)
    pair.assert_equal()
