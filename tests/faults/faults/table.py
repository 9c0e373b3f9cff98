"""The faults: what each needs beforehand, how it strikes, and how the world is set right again. What
the program has to do about it is the same for all: see test_faults.py."""
import os
import resource
import shutil
import signal
import threading
import time

import psycopg
from psycopg import sql

from harness.waiting import wait_for

from .phases import PHASES

ALL = tuple(PHASES)
RUNNING = ("stream", "big", "resync", "verify", "sync")
FAULTS = {}


class Fault:
    phases = ALL
    may_operate = False  # whether an operator's retry may be needed
    needs = None         # a fixture's name: small_disk, state_disk, faketime, resolver
    limit = 90           # seconds to recover

    def prepare(self, w):
        """Before anything is there."""

    def strike(self, w):
        raise NotImplementedError

    def heal(self, w):
        """What is not healed by the program's own doing."""

    def tidy(self, w):
        """Whatever happened: the clusters are shared."""


def fault(name, cls, **fields):
    made = cls()
    for key, value in fields.items():
        setattr(made, key, value)
    made.name = name
    FAULTS[name] = made


# --- the network --------------------------------------------------------------------------------

class Network(Fault):
    sides = ("source",)

    def on(self, w, what):
        for side in self.sides:
            what(w.proxies[side])

    def heal(self, w):
        self.on(w, lambda p: p.heal())


class Hang(Network):
    """Bytes are taken and never arrive; nobody closes."""
    new = True

    def strike(self, w):
        self.on(w, lambda p: p.hang(self.new))
        if self.new:
            w.wait_noticed(40)


class Cut(Network):
    how = "rst"

    def strike(self, w):
        for _ in range(3):
            self.on(w, lambda p: p.cut(self.how))
            w.any_moment(0.7)


class Slow(Network):
    def strike(self, w):
        self.on(w, lambda p: p.slow(0.05 + w.random.random() / 5))
        w.any_moment(3)


class Trickle(Network):
    def strike(self, w):
        self.on(w, lambda p: p.trickle())
        w.any_moment(3)


class Refuse(Network):
    def strike(self, w):
        self.on(w, lambda p: p.refuse())
        self.on(w, lambda p: p.cut())
        w.wait_noticed()


class Unanswered(Network):
    """A server does what it is told and the connection ends before it can say so."""
    sides = ("dest",)
    tag = b"COMMIT"

    def strike(self, w):
        self.on(w, lambda p: p.lose_answers(self.tag, lambda: w.random.random() < 0.4))
        w.any_moment(5)


BOTH = ("source", "dest")
for at, of in (("source", ("source",)), ("dest", ("dest",)), ("both", BOTH)):
    fault(f"hang-{at}", Hang, sides=of)
    fault(f"cut-{at}", Cut, sides=of)
for at in BOTH:
    fault(f"hang-old-{at}", Hang, sides=(at,), new=False)
    fault(f"end-{at}", Cut, sides=(at,), how="fin")
    fault(f"slow-{at}", Slow, sides=(at,))
    fault(f"trickle-{at}", Trickle, sides=(at,))
    fault(f"refuse-{at}", Refuse, sides=(at,))
fault("commit-unanswered", Unanswered)


# --- processes and servers ----------------------------------------------------------------------

class KillUs(Fault):
    times = 3

    def strike(self, w):
        for _ in range(self.times):
            w.bunny.kill()
            w.start()
            w.any_moment(0.6)


class TermUs(Fault):
    def strike(self, w):
        code, seconds = w.bunny.stop()
        assert code == 0 and seconds < 2.5, (code, seconds)
        w.start()


class StopUs(Fault):
    def strike(self, w):
        w.bunny.process.send_signal(signal.SIGSTOP)
        w.any_moment(4)
        w.bunny.process.send_signal(signal.SIGCONT)

    def tidy(self, w):
        if w.bunny.is_running:
            w.bunny.process.send_signal(signal.SIGCONT)


class Sessions(Fault):
    side, what = "source", "true"

    def pids(self, w):
        cluster, db = (w.source, w.pair.sdb) if self.side == "source" else (w.dest, w.pair.ddb)
        return w.sessions(cluster, db, self.what)

    def signal(self, pids, sig):
        for pid in pids:
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass


class KillBackend(Sessions):
    """kill -9 of a server's process: the whole server recovers as after a crash."""

    def strike(self, w):
        cluster = w.source if self.side == "source" else w.dest
        pids = wait_for(lambda: self.pids(w), 20, "a session to kill")
        self.signal(pids[:1], signal.SIGKILL)
        cluster.wait_ready(gone=pids)


class StopBackends(Sessions):
    def strike(self, w):
        self.stopped = wait_for(lambda: self.pids(w), 20, "sessions to stop")
        self.signal(self.stopped, signal.SIGSTOP)
        w.any_moment(8)

    def heal(self, w):
        self.signal(self.stopped, signal.SIGCONT)

    def tidy(self, w):
        self.signal(getattr(self, "stopped", []), signal.SIGCONT)


class Terminate(Sessions):
    def strike(self, w):
        cluster = w.source if self.side == "source" else w.dest
        for _ in range(3):
            for pid in self.pids(w):
                cluster.sql("SELECT pg_terminate_backend(%s)", (pid,))
            w.any_moment(0.6)


class Restart(Fault):
    servers, pause = ("source",), 0.0

    def strike(self, w):
        clusters = [getattr(w, s) for s in self.servers]
        for c in clusters:
            c.stop("immediate")
        w.any_moment(self.pause)
        for c in clusters:
            c.start()


fault("kill-us", KillUs)
fault("terminate-us", TermUs)
fault("stop-us", StopUs)
WALSENDER = "backend_type = 'walsender'"
fault("kill-walsender", KillBackend, what=WALSENDER, phases=("stream", "big", "resync", "sync"))
fault("kill-source-backend", KillBackend, phases=RUNNING + ("snapshot",))
fault("kill-dest-backend", KillBackend, side="dest", phases=RUNNING + ("snapshot",))
fault("stop-walsender", StopBackends, what=WALSENDER, phases=("stream", "big", "resync", "sync"))
fault("stop-dest-backends", StopBackends, side="dest", phases=RUNNING + ("snapshot",))
fault("end-sessions-source", Terminate)
fault("end-sessions-dest", Terminate, side="dest")
fault("restart-source", Restart)
fault("restart-dest", Restart, servers=("dest",))
fault("restart-both", Restart, servers=BOTH)
fault("source-away", Restart, pause=6.0)
fault("dest-away", Restart, servers=("dest",), pause=6.0)


# --- what others do at the servers --------------------------------------------------------------

class Lock(Fault):
    statement = "LOCK TABLE t, log IN ACCESS EXCLUSIVE MODE"
    phases = RUNNING

    def strike(self, w):
        self.holder = w.dest.connect(w.pair.ddb)
        self.holder.execute("SET lock_timeout = '20s'")
        self.holder.execute("BEGIN")
        self.holder.execute(self.statement)
        w.any_moment(6)

    def heal(self, w):
        self.holder.close()

    def tidy(self, w):
        if getattr(self, "holder", None):
            self.holder.close()


class LostSlot(Fault):
    may_operate = True
    phases = ("stream", "big", "resync", "verify", "sync")

    def end_walsender(self, w):
        w.tell(w.source, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE "
                         "database = %s AND active", (w.pair.sdb,))


class DropSlot(LostSlot):
    def strike(self, w):
        def dropped():
            self.end_walsender(w)
            try:
                w.tell(w.source, "SELECT pg_drop_replication_slot(slot_name) FROM "
                                 "pg_replication_slots WHERE database = %s AND NOT temporary AND "
                                 "NOT active", (w.pair.sdb,))
            except psycopg.Error:
                return False
            return not w.tell(w.source, "SELECT 1 FROM pg_replication_slots WHERE database = %s "
                                        "AND NOT temporary", (w.pair.sdb,))
        wait_for(dropped, 30, "the slot to be dropped", 0.005)
        w.wait_noticed()


class LoseSlot(LostSlot):
    """max_slot_wal_keep_size: the server gives the slot up while nobody reads."""

    def strike(self, w):
        w.proxies["source"].refuse()
        w.proxies["source"].cut()
        self.settings(w, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")

        def is_lost():
            w.tell(w.source, "SELECT pg_switch_wal(), txid_current()")
            w.tell(w.source, "CHECKPOINT")
            return w.tell(w.source, "SELECT 1 FROM pg_replication_slots WHERE database = %s AND "
                                    "wal_status = 'lost'", (w.pair.sdb,))
        wait_for(is_lost, 60, "the slot to be lost")

    def settings(self, w, statement):
        w.tell(w.source, statement)
        w.tell(w.source, "SELECT pg_reload_conf()")

    def heal(self, w):
        self.settings(w, "ALTER SYSTEM RESET max_slot_wal_keep_size")
        w.proxies["source"].heal()

    def tidy(self, w):
        self.settings(w, "ALTER SYSTEM RESET max_slot_wal_keep_size")


class DropPublication(Fault):
    may_operate = True
    phases = ("stream", "big", "resync", "verify", "sync")

    def strike(self, w):
        for name in w.pair.publications():
            w.pair.sql(f'DROP PUBLICATION "{name}"')
        w.wait_noticed()


class LoseProgress(Fault):
    may_operate = True
    phases = ("stream", "big", "resync")

    def strike(self, w):
        w.pair.dsql("DROP SCHEMA _bunnydb CASCADE")
        w.wait_noticed()


class Password(Fault):
    phases = RUNNING + ("snapshot",)

    def prepare(self, w):
        w.user, w.password = "secret", "the first one"
        for c in (w.source, w.dest):
            if not c.sql("SELECT 1 FROM pg_roles WHERE rolname = 'secret'"):
                c.sql("CREATE ROLE secret SUPERUSER LOGIN")
        self.set(w, w.password)

    def set(self, w, password):
        for c in (w.source, w.dest):
            c.sql(sql.SQL("ALTER ROLE secret PASSWORD {}").format(sql.Literal(password)))

    def strike(self, w):
        self.set(w, "another one")
        for c in (w.source, w.dest):
            c.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'secret'")
        w.wait_noticed()

    def heal(self, w):
        self.set(w, w.password)


class Full(Fault):
    """max_connections: a stranger has them all."""
    phases = RUNNING + ("snapshot",)
    side = "dest"

    def strike(self, w):
        cluster = getattr(w, self.side)
        self.strangers = []

        def is_noticed():
            """Whoever is quicker has the next one; in the end the strangers have them all."""
            for pid in w.sessions(cluster, w.pair.ddb if self.side == "dest" else w.pair.sdb):
                cluster.sql("SELECT pg_terminate_backend(%s)", (pid,))
            try:
                for _ in range(100):
                    self.strangers.append(psycopg.connect(
                        host=cluster.host, port=cluster.port, dbname="postgres", user="postgres"))
            except psycopg.OperationalError:
                pass
            return w.status()["error_count"] > 1
        wait_for(is_noticed, 40, "the mirror to find no session", 0.02)

    def heal(self, w):
        for c in getattr(self, "strangers", []):
            c.close()

    tidy = heal


fault("lock-tables", Lock)
fault("lock-progress", Lock, statement="LOCK TABLE _bunnydb.progress IN ACCESS EXCLUSIVE MODE")
fault("slot-dropped", DropSlot)
fault("slot-lost", LoseSlot)
fault("publication-dropped", DropPublication)
fault("progress-lost", LoseProgress)
fault("password-changed", Password)
fault("dest-full-of-sessions", Full)
fault("source-full-of-sessions", Full, side="source")


# --- disks --------------------------------------------------------------------------------------

class Disk:
    """A small file system of its own."""

    def __init__(self, path):
        self.path, self.filler = path, os.path.join(path, "filler")

    def fill(self, leave=0):
        try:
            with open(self.filler, "wb") as f:
                while True:
                    f.write(b"\0" * 65536)
                    f.flush()
        except OSError:
            pass  # it may have been full before: then there is no filler either
        if leave and os.path.exists(self.filler):
            os.truncate(self.filler, max(os.path.getsize(self.filler) - leave, 0))

    def free(self):
        if os.path.exists(self.filler):
            os.unlink(self.filler)

    def remount(self, how):
        import subprocess
        subprocess.run(["mount", "-o", f"remount,{how}", self.path], check=True)


class DestDisk(Fault):
    needs = "small_disk"

    def prepare(self, w):
        disk = w.small_disk
        place = os.path.join(disk.path, "tablespace")
        if not w.dest.sql("SELECT 1 FROM pg_tablespace WHERE spcname = 'small'"):
            os.makedirs(place, exist_ok=True)
            shutil.chown(place, "postgres", "postgres")
            w.dest.sql(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(sql.Literal(place)))
        w.dest.sql(f'ALTER DATABASE "{w.pair.ddb}" SET TABLESPACE small')

    def strike(self, w):
        w.small_disk.fill()
        w.pair.sql("INSERT INTO t (v, s) SELECT i, repeat('much ', 20) "
                   "FROM generate_series(1, 20000) i")
        w.wait_noticed(60)

    def heal(self, w):
        w.small_disk.free()

    def tidy(self, w):
        w.small_disk.free()


class WalDisk(Fault):
    """The disk of a server's WAL is full: the server panics, and mostly does not come back by itself."""
    needs = "wal_disk"
    side = "dest"
    phases = ("snapshot", "stream", "resync")
    limit = 150

    def strike(self, w):
        w.wal_disk.fill()
        is_noticed = threading.Event()

        def flood():  # files of WAL that are there already may be used again: some 64 MB
            while not is_noticed.is_set():
                w.pair.sql("INSERT INTO t (v, s) SELECT i, repeat('much ', 200) "
                           "FROM generate_series(1, 8000) i")
        w.run_aside(flood)
        try:
            w.wait_noticed(90)
        finally:
            is_noticed.set()

    def heal(self, w):
        cluster = w.source if self.side == "source" else w.dest
        w.wal_disk.free()
        w.any_moment(1)
        if not cluster.is_up():
            cluster.stop("immediate")
            cluster.start()
        cluster.wait_ready(gone=())
        w.quiesce()  # the large insert may have failed: what is committed counts
        w.write()

    def tidy(self, w):
        w.wal_disk.free()
        cluster = w.source if self.side == "source" else w.dest
        if not cluster.is_up():
            cluster.stop("immediate")
            cluster.start()


class StateFull(Fault):
    """The state directory takes no more bytes; the program is stopped and started meanwhile."""
    needs = "state_disk"
    phases = RUNNING
    restart = False

    def strike(self, w):
        w.state_disk.fill()
        w.api.raw("POST", f"/v1/mirrors/{w.name}/pause")  # may fail; must not harm
        w.any_moment(2)
        w.api.raw("POST", f"/v1/mirrors/{w.name}/resume")

    def heal(self, w):
        w.state_disk.free()
        if w.status()["status"] == "paused":
            w.api.raw("POST", f"/v1/mirrors/{w.name}/resume")

    def tidy(self, w):
        w.state_disk.free()


class StateReadOnly(StateFull):
    def strike(self, w):
        w.tried = w.state_disk.path
        try:
            w.state_disk.remount("ro")
        except Exception:  # files that are open for writing: the kernel refuses
            w.state_disk.fill()
        w.any_moment(3)
        w.proxies["dest"].cut()
        w.any_moment(2)

    def heal(self, w):
        w.state_disk.remount("rw")
        w.state_disk.free()

    tidy = heal


class Catalog(Fault):
    """The catalog's file is damaged under the running program, which is killed then; the operator
    brings a copy back."""
    phases = RUNNING

    def damage(self, path):
        raise NotImplementedError

    def strike(self, w):
        state = w.bunny.state_dir
        copy = state + ".copy"
        w.bunny.kill()
        shutil.copytree(state, copy, ignore=shutil.ignore_patterns("*.sock*", "*lock*"))
        w.start()
        w.any_moment(1)
        for name in ("catalog.db", "catalog.db-wal"):
            path = os.path.join(state, name)
            if os.path.exists(path):
                self.damage(path)
        began = w.pair.sql("SELECT count(*) FROM t")
        w.any_moment(2)
        w.bunny.kill()
        assert began
        w.bunny.spawn(**w.environment)  # it says so, or starts anew: both without touching data
        try:
            w.bunny.process.wait(1.5)
        except Exception:
            pass
        w.bunny.kill()
        for name in os.listdir(state):
            path = os.path.join(state, name)
            if os.path.isfile(path) and name != "lock":
                os.unlink(path)
        for name in os.listdir(copy):
            shutil.copy2(os.path.join(copy, name), os.path.join(state, name))
        shutil.rmtree(copy)
        w.start()


class Truncated(Catalog):
    def damage(self, path):
        os.truncate(path, os.path.getsize(path) // 2)


class Overwritten(Catalog):
    def damage(self, path):
        with open(path, "r+b") as f:
            size = os.path.getsize(path)
            for at in range(4096, size, 8192):
                f.seek(at)
                f.write(os.urandom(min(4096, size - at)))


class Deleted(Catalog):
    def damage(self, path):
        os.unlink(path)


class Descriptors(Fault):
    """ulimit -n: no descriptor is left, whatever the mirror then has to open."""
    phases = RUNNING + ("snapshot",)

    def strike(self, w):
        pid = w.bunny.process.pid
        used = len(os.listdir(f"/proc/{pid}/fd"))
        self.before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, self.before[1]))
        for cluster, db in ((w.source, w.pair.sdb), (w.dest, w.pair.ddb)):
            for p in w.sessions(cluster, db):
                cluster.sql("SELECT pg_terminate_backend(%s)", (p,))
        # what was freed may be taken again, so that the limit is lowered once more
        w.any_moment(0.2)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(used - 8, 12), self.before[1]))
        w.any_moment(6)
        assert w.bunny.is_running, w.bunny.log_tail()

    def heal(self, w):
        resource.prlimit(w.bunny.process.pid, resource.RLIMIT_NOFILE, self.before)


fault("dest-disk-full", DestDisk, phases=("snapshot", "stream", "big", "resync", "sync"))
fault("dest-wal-full", WalDisk)
fault("source-wal-full", WalDisk, side="source")
fault("state-full", StateFull)
fault("state-read-only", StateReadOnly)
fault("catalog-truncated", Truncated)
fault("catalog-overwritten", Overwritten)
fault("catalog-deleted", Deleted)
fault("no-descriptors", Descriptors)


# --- clock and names ----------------------------------------------------------------------------

class Clock(Fault):
    """Our clock jumps; the servers' do not."""
    needs = "faketime"
    jumps = ("-400d",)

    def prepare(self, w):
        self.file = os.path.join(w.bunny.dir, "clock")
        self.set("+0d")
        w.environment.update(LD_PRELOAD=w.faketime, FAKETIME_TIMESTAMP_FILE=self.file,
                             FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1")

    def set(self, text):
        with open(self.file + ".new", "w", encoding="ascii") as f:
            f.write(text + "\n")
        os.rename(self.file + ".new", self.file)

    def strike(self, w):
        for jump in self.jumps:
            self.set(jump)
            w.any_moment(2)


class Resolver(Fault):
    """The name of the source's host cannot be looked up, at once or after half a minute."""
    needs = "resolver"
    how = "fail"

    def prepare(self, w):
        self.file = os.path.join(w.bunny.dir, "resolver")
        w.environment.update(LD_PRELOAD=w.resolver, RESOLVER_FILE=self.file)

    def strike(self, w):
        with open(self.file, "w", encoding="ascii") as f:
            f.write(self.how)
        w.proxies["source"].cut()
        w.wait_noticed()
        w.any_moment(1)

    def heal(self, w):
        os.unlink(self.file)


fault("clock-back", Clock)
fault("clock-forward", Clock, jumps=("+400d",))
fault("clock-to-and-fro", Clock, jumps=("+2h", "-3d", "+1d", "+0d"))
fault("no-name", Resolver)
fault("slow-name", Resolver, how="hang")
