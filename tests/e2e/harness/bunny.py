"""The real program: start, stop, kill, its API, and waiting for its mirrors."""
import glob
import os
import shutil
import signal
import subprocess
import time

from .api import Api
from .place import free_port
from .waiting import wait_for

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
ADMIN, PASSWORD = "ana", "correct horse battery"


def find_program():
    """BUNNYDB, or the program of a build in or beside the sources."""
    places = [os.environ.get("BUNNYDB"), f"{TOP}/build/bunnydb", f"{TOP}/bunnydb"]
    for place in places:
        if place and os.access(place, os.X_OK):
            return os.path.abspath(place)
    raise RuntimeError("no bunnydb found: build it, or set BUNNYDB to the program")


class Bunny:
    """One process on one state directory (root/name). Not started until start()."""

    def __init__(self, root, name="b", state_dir=None):
        self.dir = os.path.join(root, name)
        os.makedirs(self.dir, mode=0o700, exist_ok=True)
        self.state_dir = state_dir or os.path.join(self.dir, "state")
        self.log = os.path.join(self.dir, "bunnydb.log")
        self.port = free_port()
        self.process = None
        self.api = Api(("127.0.0.1", self.port))
        self.peers = {}

    # --- the process ---------------------------------------------------------------------------
    def command(self, *arguments, headless=True, http=True):
        words = [find_program(), "--state-dir", self.state_dir]
        if headless:
            words.append("--headless")
        if http:
            words += ["--http", f"127.0.0.1:{self.port}"]
        return words + list(arguments)

    def environment(self, **extra):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "BUNNY"))}
        env.update(BUNNY_ADMIN_USER=ADMIN, BUNNY_ADMIN_PASSWORD=PASSWORD,
                   BUNNYDB_LOG=os.environ.get("BUNNYDB_LOG", "info"),
                   # what a sanitizer finds goes to a file that the end of the test looks for
                   ASAN_OPTIONS=f"log_path={self.dir}/sanitizer:detect_leaks=1",
                   UBSAN_OPTIONS=f"log_path={self.dir}/sanitizer:print_stacktrace=1",
                   TSAN_OPTIONS=f"log_path={self.dir}/sanitizer:second_deadlock_stack=1")
        env.update(extra)
        return env

    def cli(self, *arguments, text=None, limit=60, expect=0):
        """A command for the running process; fails unless it ends with the expected code (None:
        any)."""
        words = [find_program(), *map(str, arguments), "--state-dir", self.state_dir]
        ended = subprocess.run(words, input=text, capture_output=True, text=True, timeout=limit,
                               check=False, env=self.environment())
        assert expect is None or ended.returncode == expect, (words, ended)
        return ended

    def spawn(self, *arguments, **extra):
        """Starts without waiting; the child dies with us."""
        wrap = ["setpriv", "--pdeathsig", "KILL"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(wrap + self.command(*arguments), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=self.environment(**extra))
        return self

    def start(self, *arguments, **extra):
        self.spawn(*arguments, **extra)
        wait_for(self._is_up, 30, "the process to answer /health")
        if self.api.token is None:
            self.api.login(ADMIN, PASSWORD)
        return self

    def _is_up(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"bunnydb ended with {self.process.returncode}:\n{self.log_tail()}")
        return self.api.raw("GET", "/health").status == 200

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, sig=signal.SIGTERM, limit=30):
        """Asks it to end. Returns (exit code, seconds)."""
        began = time.monotonic()
        self.process.send_signal(sig)
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"no end within {limit} s after {sig!r}:\n{self.log_tail()}")
        self.process = None
        return code, time.monotonic() - began

    def kill(self):
        if self.is_running:
            self.process.kill()
            self.process.wait()
        self.process = None

    def memory_kib(self, field="VmHWM"):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(field))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # --- what it said --------------------------------------------------------------------------
    def log_tail(self, size=6000):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                return f.read()[-size:]
        except FileNotFoundError:
            return "(no log)"

    def sanitizer_reports(self):
        text = ""
        for path in sorted(glob.glob(f"{self.dir}/sanitizer*")):
            with open(path, encoding="utf-8", errors="replace") as f:
                text += f.read()
        return text

    # --- peers and mirrors ---------------------------------------------------------------------
    def peer(self, cluster, dbname, name=None, **fields):
        """Makes the peer unless it is there, and returns its name."""
        name = name or f"{cluster.name}-{dbname}"
        if name not in self.peers:
            body = {"name": name, "host": cluster.host, "port": cluster.port,
                    "user": "postgres", "database": dbname, **fields}
            self.peers[name] = self.api.post("/v1/peers", body)
        return name

    def mirror_body(self, name, pair, tables, **options):
        mappings = [t if isinstance(t, dict) else {"source_table": t} for t in tables]
        return {"name": name, "source_peer": self.peer(pair.source, pair.sdb),
                "destination_peer": self.peer(pair.dest, pair.ddb),
                "table_mappings": mappings, **options}

    def create_mirror(self, name, pair, tables=("public.*",), **options):
        answer = self.api.post("/v1/mirrors", self.mirror_body(name, pair, tables, **options))
        assert answer["status"] == "initializing", answer
        return answer

    def mirror(self, name, pair, tables=("public.*",), limit=90, **options):
        """Creates it and waits until it streams."""
        self.create_mirror(name, pair, tables, **options)
        return self.wait_running(name, limit)

    def status(self, name):
        return self.api.get(f"/v1/mirrors/{name}")

    def wait_status(self, name, wanted, limit=60, may_fail=False):
        """Until the status is the wanted one; at once an error when the mirror fails instead."""
        def reached():
            status = self.status(name)
            if status["status"] == wanted:
                return status
            if status["status"] == "error" and not may_fail:
                raise MirrorFailed(f"{name}: {status['error_code']}: {status['error_message']} "
                                   f"({status['error_hint']})\n{self.log_tail()}")
            assert False, {k: status[k] for k in ("status", "phase", "error_message")}
        return wait_for(reached, limit, f"{name} to be {wanted}")

    def wait_running(self, name, limit=90, may_fail=False):
        return self.wait_status(name, "running", limit, may_fail)

    def delete_all(self):
        for mirror in self.api.get("/v1/mirrors"):
            self.api.delete(f"/v1/mirrors/{mirror['name']}")

    def remove(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class MirrorFailed(Exception):
    """Not an AssertionError: wait_for must not go on."""
