"""The console on a stand-in for the engine (console-fixture), driven over a real pseudo-terminal and
read through pyte. BUNNYDB_BUILD (or BUNNYDB_TEST_BIN) names the build directory."""
import itertools
import os
import pathlib
import re
import select
import signal
import time

import pexpect

from xterm import Screen, Stream

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUNNYDB_BUILD") or os.environ.get("BUNNYDB_TEST_BIN") or
                     TOP / "build")
FIXTURE = BUILD / "console-fixture"
ESC, ENTER, TAB, CTRL_C, CTRL_L, CTRL_Z = "\x1b", "\r", "\t", "\x03", "\x0c", "\x1a"
UP, DOWN, RIGHT, LEFT = "\x1bOA", "\x1bOB", "\x1bOC", "\x1bOD"
BACKSPACE, SHIFT_TAB, F5 = "\x7f", "\x1b[Z", "\x1b[15~"
PGUP, PGDN, HOME, END, F1 = "\x1b[5~", "\x1b[6~", "\x1bOH", "\x1bOF", "\x1bOP"
LIMIT = 30.0  # seconds: never reached unless something is broken
SERIAL = itertools.count()
SIZES = [(24, 80), (40, 120), (15, 60), (6, 40)]


class Console:
    def __init__(self, tmp, scenario="mixed", rows=24, cols=80, slow_ms=0, deaf=False,
                 **env):
        self.record_path = tmp / "record"
        self.control = tmp / "control"
        if not self.control.exists():
            os.mkfifo(self.control)
        self.asked, self.told = 0, 0
        names = [tmp / f"rest-{next(SERIAL)}" for _ in range(2)]
        for name in names:
            os.mkfifo(name)
        self.ask, self.answer = (os.open(name, os.O_RDWR | os.O_NONBLOCK) for name in names)
        self.fifos = [self.ask, self.answer]
        self.screen = Screen(cols, rows)
        self.stream = Stream(self.screen)
        self.raw = b""
        environment = {k: v for k, v in os.environ.items()
                       if k not in ("NO_COLOR", "TMUX", "LC_ALL", "LANG", "LC_CTYPE")}
        environment.update({"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "REST_ASK": str(names[0]),
                            "REST_ANSWER": str(names[1])}, **env)
        command = [str(FIXTURE), scenario, str(self.record_path), str(self.control), str(slow_ms)]
        if deaf:  # a session leader that ignores SIGHUP: the terminal goes without a signal
            command = ["sh", "-c", 'trap "" HUP; "$@"; true', "sh"] + command
        self.child = pexpect.spawn(command[0], command[1:], dimensions=(rows, cols),
                                   env=environment, timeout=10)
        self.child.delaybeforesend = None

    def read(self):
        while self.child.child_fd >= 0:
            try:
                if not select.select([self.child.child_fd], [], [], 0)[0]:
                    break
                data = os.read(self.child.child_fd, 65536)
            except OSError:
                break
            if not data:
                break
            self.raw += data
            self.stream.feed(data)
        return "\n".join(self.screen.display)

    def sync(self, kind="k", limit=LIMIT):
        """Until all keys sent so far were acted upon and the frame that came of them is complete; with "r"
        also what had to be asked for has been answered and drawn. Nothing at all once it has ended."""
        self.asked += 1
        os.write(self.ask, f"{kind} {self.asked} {self.told}\n".encode())
        end = time.monotonic() + limit
        while self.alive() and self.child.child_fd >= 0:
            ready = select.select([self.answer, self.child.child_fd], [], [], 0.1)[0]
            self.read()
            if self.answer in ready and str(self.asked) in os.read(self.answer, 4096).decode().split():
                break
            assert time.monotonic() < end, f"it does not come to rest:\n{self.read()}"
        return self.read()

    def wait(self, *words, gone=(), limit=LIMIT):
        """Until all words (text or patterns) are on the screen, and none of gone."""
        end = time.monotonic() + limit

        def lacks(text):
            return [w for w in words if not (w.search(text) if hasattr(w, "search") else w in text)] + \
                [w for w in gone if w in text]
        while True:
            text = self.read()
            if not (missing := lacks(text)) and not (missing := lacks(text := self.sync())):
                return text  # and no half of a frame
            assert time.monotonic() < end, f"{missing}:\n{text}"
            select.select([self.child.child_fd], [], [], 0.05)

    def keys(self, *keys):
        """One after the other: each once what the one before has changed is on the screen. What has to be
        asked for may come later: wait for it."""
        for k in keys:
            self.child.send(k)
            self.sync()

    def press(self, key, *words, gone=()):
        self.keys(key)
        return self.wait(*words, gone=gone)

    def settle(self):
        """What the screen shows when everything is done and nothing is asked for any more."""
        return self.sync("r")

    def line(self, n):
        return self.screen.display[n].rstrip()

    def selected(self):
        """The name in the row of the cursor mark."""
        for line in self.read().splitlines():
            found = re.match(r">.[ *](\S+)", line)
            if found:
                return found.group(1)
        return None

    def tell(self, line):
        with open(self.control, "w") as f:
            f.write(line + "\n")
        self.told += 1

    def record(self):
        return self.record_path.read_text().splitlines() if self.record_path.exists() else []

    def commands(self):
        return [x for x in self.record() if not x.startswith("begin")]

    def wait_record(self, line, limit=LIMIT):
        end = time.monotonic() + limit
        while line not in self.record():
            assert time.monotonic() < end, f"{line} not in {self.record()}\n{self.read()}"
            self.read()
            time.sleep(0.02)

    def alive(self):
        return self.child.isalive()

    def end(self):
        """Waits for the end of the process, reading on; returns all it wrote."""
        end = time.monotonic() + LIMIT
        while self.child.isalive():
            assert time.monotonic() < end, self.read()
            self.read()
            time.sleep(0.02)
        self.read()
        return self.raw

    def close(self):
        if self.child.isalive():
            self.child.kill(signal.SIGKILL)
            self.child.wait()
        if self.child.child_fd >= 0:
            self.child.close()
        while self.fifos:
            os.close(self.fifos.pop())


def resize(console, rows, cols):
    console.screen.resize(rows, cols)
    console.child.setwinsize(rows, cols)
    console.sync()
