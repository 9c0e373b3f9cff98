"""Changes that go on in the background: pgbench with its own or given scripts."""
import os
import subprocess
import tempfile

from .cluster import BINDIR
from .waiting import wait_for


def pgbench_init(cluster, dbname, scale=1):
    """pgbench's tables; the one without a key gets REPLICA IDENTITY FULL."""
    cluster.run("pgbench", "-i", "-q", "-s", scale, dbname)
    with cluster.connect(dbname) as c:
        c.execute("ALTER TABLE pgbench_history REPLICA IDENTITY FULL")


class Load:
    """pgbench until stop(). rate: transactions per second, None as fast as possible."""

    def __init__(self, cluster, dbname, clients=2, rate=None, script=None, seconds=3600,
                 directory=None):
        command = [f"{BINDIR}/pgbench", "-h", cluster.host, "-p", str(cluster.port),
                   "-U", "postgres", "-n", "-c", str(clients), "-T", str(seconds)]
        if rate:
            command += ["-R", str(rate)]
        if script:
            self.path = os.path.join(directory or tempfile.gettempdir(), f"load-{os.getpid()}-{id(self)}.sql")
            with open(self.path, "w", encoding="utf-8") as f:
                f.write(script)
            command += ["-f", self.path]
        else:
            self.path = None
        self.cluster, self.dbname = cluster, dbname
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + command + [dbname],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True)

    @property
    def is_running(self):
        return self.process.poll() is None

    def stop(self):
        """Ends it and returns what it printed. It leaves no transaction open."""
        if self.is_running:
            self.process.terminate()  # SIGINT is ignored below a shell's background job
        return self.wait(30)

    def wait(self, limit):
        out, _ = self.process.communicate(timeout=limit)
        wait_for(self._is_over, 30, "the last transaction of pgbench to end")
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)
        return out

    def _is_over(self):
        return not self.cluster.sql("SELECT 1 FROM pg_stat_activity WHERE datname = %s "
                                    "AND application_name = 'pgbench'", (self.dbname,))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
