"""The phases of a mirror's life in which faults strike: each begins something and returns while it is
under way."""
import time

from harness.api import ApiError
from harness.waiting import wait_for



def _stream(w, rows=0):
    w.open(rows)
    w.create()
    w.wait_streaming()
    w.write()
    before = w.status()["last_lsn"]
    wait_for(lambda: w.status()["last_lsn"] != before, 30, "the first changes")


def setup(w):
    """Publication, slot, definitions."""
    w.open()
    w.write()
    w.create()
    w.any_moment(0.4)


def snapshot(w):
    """Rows are being copied."""
    w.open(rows=250000)
    w.write()
    w.options["snapshot_num_rows_per_partition"] = 20000
    w.create()
    wait_for(lambda: w.status()["snapshot"]["bytes_done"] or w.status()["status"] == "running", 30,
             "the first rows", 0.01)
    w.any_moment(0.2)


def stream(w):
    _stream(w)
    w.any_moment(0.5)


def big(w):
    """One transaction of many rows."""
    _stream(w)

    def transaction():
        with w.source.connect(w.pair.sdb) as c, c.transaction():
            c.execute("INSERT INTO t (v, s) SELECT i, 'big ' || i FROM generate_series(1, 60000) i")
            c.execute("UPDATE t SET v = -v WHERE s LIKE 'big%'")
            c.execute("DELETE FROM t WHERE s LIKE 'big%' AND v % 10 = 0")
    w.run_aside(transaction)
    wait_for(lambda: not w.threads[-1].is_alive(), 60, "the transaction", 0.01)
    w.any_moment(1.0)


def resync(w):
    """One table is copied anew beside the stream."""
    _stream(w, rows=100000)
    strategy = w.random.choice(("truncate", "swap"))
    w.api.post(f"/v1/mirrors/{w.name}/resync/public.{w.random.choice(('t', 'much'))}",
               {"strategy": strategy})
    w.any_moment(0.6)


def verify(w):
    """Both sides are being compared."""
    _stream(w, rows=100000)
    w.api.post(f"/v1/mirrors/{w.name}/verify")
    w.any_moment(0.6)


def sync(w):
    """Definitions change, and follow."""
    w.options["schema_changes"] = "auto"
    _stream(w)

    def change():
        with w.source.connect(w.pair.sdb) as c:
            for statement in ("ALTER TABLE t ADD COLUMN added text DEFAULT 'one'",
                              "ALTER TABLE child ADD COLUMN note int",
                              "ALTER TABLE log DROP COLUMN n", "ALTER TABLE log ADD COLUMN n int",
                              "CREATE INDEX ON t (v)", "ALTER TABLE t ALTER v TYPE bigint"):
                c.execute(statement)
                time.sleep(0.1)
    w.run_aside(change)
    try:
        w.api.post(f"/v1/mirrors/{w.name}/sync-schema")
    except ApiError:
        pass  # it is busy with that already
    w.any_moment(0.8)


PHASES = {f.__name__: f for f in (setup, snapshot, stream, big, resync, verify, sync)}
