"""Throw-away PostgreSQL clusters: initdb, start, stop, databases, roles. They listen on a Unix
socket and on 127.0.0.1, belong to the user postgres when the tests run as root, and end with the
test process whatever happens to it (parent-death signal)."""
import glob
import os
import pwd
import shutil
import subprocess

import psycopg

from .place import free_port
from .waiting import wait_for

HBA = """\
local all         all                trust
local replication all                trust
host  all         secret 127.0.0.1/32 scram-sha-256
host  all         all    127.0.0.1/32 trust
host  replication all    127.0.0.1/32 trust
"""

DEFAULTS = {
    "wal_level": "logical",
    "fsync": "off",
    "max_connections": 200,
    "max_replication_slots": 60,
    "max_wal_senders": 60,
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "autovacuum_naptime": "10s",
    "wal_sender_timeout": "9s",  # idle positions are confirmed every third of it
    "lc_messages": "C",
    "max_prepared_transactions": 20,
}


def find_bindir():
    """The newest server's programs, as Debian lays them out, or those of PATH."""
    if os.environ.get("PGBIN"):
        return os.environ["PGBIN"]
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    if found:
        return os.path.dirname(max(found, key=lambda p: float(p.split("/")[4])))
    return os.path.dirname(shutil.which("postgres") or "")


BINDIR = find_bindir()


def as_server_user(command, death_signal="INT"):
    """The command run as postgres when we are root; it gets the signal when we die."""
    prefix = ["setpriv", "--pdeathsig", death_signal]
    if os.geteuid() == 0:
        prefix += ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
    return prefix + [str(part) for part in command]


def connect(host, port, dbname, user="postgres", **options):
    """A session with fixed output formats, so that texts of two servers can be compared."""
    c = psycopg.connect(host=host, port=port, dbname=dbname, user=user, autocommit=True,
                        connect_timeout=10, **options)
    c.execute("SET TimeZone = 'UTC'")
    c.execute("SET extra_float_digits = 3")
    c.prepare_threshold = None
    return c


class Cluster:
    """One server in directory root/name. Not started until start()."""

    def __init__(self, root, name, **settings):
        self.name = name
        self.host = os.path.join(root, name)
        self.data = os.path.join(self.host, "data")
        self.log = os.path.join(self.host, "server.log")
        self.port = free_port()
        self.process = None
        self._admin = None
        self.starts = 0  # sessions of an earlier start are dead
        os.mkdir(self.host, 0o755)
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.host, user.pw_uid, user.pw_gid)
        self._make(**settings)

    def _make(self, **settings):
        subprocess.run(
            as_server_user([f"{BINDIR}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust",
                            "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]),
            check=True, stdout=subprocess.DEVNULL, cwd="/")
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="utf-8") as f:
            f.write(HBA)
        self.configure(**{**DEFAULTS, **settings})

    def configure(self, **settings):
        """Adds settings; those that need it count from the next start on."""
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as f:
            for name, value in settings.items():
                f.write(f"{name} = '{value}'\n")

    def start(self, wait=True):
        self.starts += 1
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                as_server_user([f"{BINDIR}/postgres", "-D", self.data, "-p", self.port,
                                "-k", self.host, "-c", "listen_addresses=127.0.0.1"]),
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/")
        if wait:
            wait_for(self._is_ready, 60, f"cluster {self.name} to start")
        return self

    def _is_ready(self):
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                raise RuntimeError(f"{self.name} did not start:\n{f.read()[-2000:]}")
        return subprocess.run([f"{BINDIR}/pg_isready", "-q", "-h", self.host, "-p",
                               str(self.port), "-U", "postgres", "-d", "postgres"], check=False).returncode == 0

    def is_up(self):
        """Whether its process is still there: one that could not recover has ended."""
        return self.process is not None and self.process.poll() is None

    def wait_ready(self, gone):
        """After a crash that the server recovers from by itself: the sessions gone were there before,
        and all others are dead as well."""
        def ready():
            if not self._is_ready():
                return False
            try:
                with self.connect() as c:
                    return not c.execute("SELECT FROM pg_stat_activity WHERE pid = ANY(%s)",
                                         (list(gone),)).fetchall()
            except psycopg.Error:
                return False
        wait_for(ready, 60, f"cluster {self.name} to be ready again")
        self.starts += 1
        self._admin = None

    def stop(self, mode="fast"):
        """fast: sessions end, data is flushed; immediate: as a crash."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        if self.process is None:
            return
        if self.process.poll() is None:
            # the child of setpriv is the postmaster itself: setpriv has become it
            self.process.send_signal({"smart": 15, "fast": 2, "immediate": 3}[mode])
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self, mode="immediate"):
        self.stop(mode)
        self.start()

    def connect(self, dbname="postgres", user="postgres", **options):
        return connect(self.host, self.port, dbname, user, **options)

    @property
    def admin(self):
        """A session in the database postgres, kept open."""
        if self._admin is None or self._admin.closed or self._admin.broken:
            self._admin = self.connect()
        return self._admin

    def sql(self, query, parameters=None):
        """Rows of a query in the database postgres; [] for a command."""
        cursor = self.admin.execute(query, parameters)
        return cursor.fetchall() if cursor.description else []

    def create_db(self, name, extra=""):
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE template0 {extra}')

    def drop_db(self, name):
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def run(self, program, *arguments, **kw):
        """One of PostgreSQL's client programs against this server."""
        command = [f"{BINDIR}/{program}", "-h", self.host, "-p", str(self.port), "-U", "postgres"]
        return subprocess.run(command + [str(a) for a in arguments], check=True,
                              capture_output=True, text=True, **kw)


class Standby(Cluster):
    """A streaming standby of another cluster, made from a base backup; promote() makes it a primary."""

    def __init__(self, root, name, primary):
        self.primary = primary
        super().__init__(root, name)

    def _make(self):  # pylint: disable=arguments-differ
        primary = self.primary
        subprocess.run(
            as_server_user([f"{BINDIR}/pg_basebackup", "-D", self.data, "-R", "-c", "fast",
                            "--no-sync", "-h", primary.host, "-p", primary.port, "-U", "postgres"]),
            check=True, stdout=subprocess.DEVNULL, cwd="/")

    def wait_caught_up(self):
        """Until everything that the primary has written is replayed here."""
        lsn = self.primary.sql("SELECT pg_current_wal_lsn()")[0][0]
        wait_for(lambda: self.sql("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (lsn,))[0][0],
                 60, f"{self.name} to replay {lsn}")

    def take_slots(self):
        """Copies the primary's slots as they were at its last checkpoint, as tools for failover do;
        while this one is not running."""
        for slot in os.listdir(f"{self.primary.data}/pg_replslot"):
            subprocess.run(as_server_user(["cp", "-r", f"{self.primary.data}/pg_replslot/{slot}",
                                           f"{self.data}/pg_replslot/"]), check=True)

    def promote(self):
        self.sql("SELECT pg_promote()")
        wait_for(lambda: not self.sql("SELECT pg_is_in_recovery()")[0][0], 60,
                 f"{self.name} to be the primary")
