"""One mirror between two databases, through two proxies, with writers at the source. Nothing in here
knows which fault strikes."""
import os
import random
import threading
import time
from collections import Counter

import psycopg
import psycopg.sql as sql

from harness.api import ApiError
from harness.bunny import ADMIN, PASSWORD, Bunny
from harness.compare import columns_of, fingerprint, tables_of
from harness.pair import Pair
from harness.raw import descriptors, threads, what_is_held
from harness.waiting import SLOW, wait_for

from .proxy import Proxy

SCHEMA = """
CREATE TABLE t (id bigserial PRIMARY KEY, v int, s text, big text);
CREATE TABLE log (n int, s text); ALTER TABLE log REPLICA IDENTITY FULL;
CREATE TABLE parent (id int PRIMARY KEY, v int);
CREATE TABLE child (id bigserial PRIMARY KEY, parent int REFERENCES parent, v int);
ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
INSERT INTO parent SELECT i, 0 FROM generate_series(1, 200) i;
INSERT INTO t (v, s, big) SELECT i, 'row ' || i, CASE WHEN i % 100 = 0 THEN repeat('x', 3000) END
FROM generate_series(1, 5000) i;
INSERT INTO log SELECT i % 50, 'line' FROM generate_series(1, 1000) i;
"""
# What an operator answers with "copy it again": the guide's remedy.
RECREATE = {"slot_missing", "slot_lost", "slot_ahead", "progress_missing", "source_changed",
            "publication_missing"}


class Writer(threading.Thread):
    """Small transactions of every kind at the source, until stop(); it comes back after errors."""

    def __init__(self, pair, seed, rate):
        super().__init__(daemon=True)
        self.pair, self.random, self.rate = pair, random.Random(seed), rate
        self.ended = threading.Event()
        self.done = 0

    def run(self):
        connection = None
        while not self.ended.is_set():
            try:
                if connection is None:
                    connection = self.pair.source.connect(self.pair.sdb)
                self._transaction(connection)
                self.done += 1
                self.ended.wait(self.random.expovariate(self.rate))
            except psycopg.Error:
                if connection is not None and connection.broken or connection is None:
                    connection = None
                    self.ended.wait(0.2)
        if connection is not None:
            connection.close()

    def _transaction(self, c):
        r = self.random
        with c.transaction():
            for _ in range(r.choice((1, 1, 2, 5, 20))):
                self._change(c, r.random(), r)
            if r.random() < 0.05:
                raise psycopg.Rollback()

    @staticmethod
    def _change(c, kind, r):
        at = r.randrange(1, 5200)
        if kind < 0.3:
            c.execute("INSERT INTO t (v, s, big) VALUES (%s, 'new', %s)",
                      (at, "y" * 2500 if at % 20 == 0 else None))
        elif kind < 0.5:
            c.execute("UPDATE t SET v = v + 1 WHERE id = %s", (at,))
        elif kind < 0.6:
            c.execute("DELETE FROM t WHERE id = %s", (at,))
        elif kind < 0.75:
            c.execute("INSERT INTO log VALUES (%s, 'line')", (at % 50,))
        elif kind < 0.85:
            c.execute("UPDATE log SET s = s || 'x' WHERE ctid = (SELECT ctid FROM log WHERE n = %s "
                      "AND length(s) < 40 LIMIT 1)", (at % 50,))
        elif kind < 0.95:
            c.execute("INSERT INTO child (parent, v) VALUES (%s, %s)", (at % 200 + 1, at))
        else:
            c.execute("UPDATE child SET v = v + 1 WHERE id = %s", (at,))

    def stop(self):
        self.ended.set()
        self.join(30)


def at_rest(pid):
    """Threads and descriptors of a process that has started: those of the test's first requests are
    on their way out, and would hide as many that are never freed."""
    seen = []

    def stands():
        seen.append((threads(pid), descriptors(pid)))
        return len(seen) >= 4 and len(set(seen[-4:])) == 1
    wait_for(stands, 20, "threads and descriptors to stand", 0.1)
    return seen[-1]


class World:
    def __init__(self, root, source, dest, seed, bunny=None, name="m"):
        self.seed, self.random = seed, random.Random(seed)
        self.source, self.dest = source, dest
        self.pair = Pair(source, dest)
        self.proxies = {"source": Proxy(source.port), "dest": Proxy(dest.port)}
        self.name = name
        self.bunny = bunny or Bunny(root, f"f{Pair.count}")
        self.environment, self.wrap = {}, []
        self.password, self.user = None, "postgres"
        self.writers, self.threads = [], []
        self.baseline = None
        self.struck_at = self.healed_at = None
        self.options = {}

    # --- making it -----------------------------------------------------------------------------
    def open(self, rows=0):
        self.pair.sql(SCHEMA)
        if rows:
            self.pair.sql("CREATE TABLE much (id int PRIMARY KEY, a int, s text)")
            self.pair.sql("INSERT INTO much SELECT i, i %% 1000, 'some text of row ' || i "
                          "FROM generate_series(1, %s) i" % rows)
        if not self.bunny.is_running:
            self.start()
        self.baseline = at_rest(self.bunny.process.pid)
        self.held = what_is_held(self.bunny.process.pid)
        for side, db in (("source", self.pair.sdb), ("dest", self.pair.ddb)):
            body = self.peer_body(side, db)
            self.bunny.api.post("/v1/peers", {"name": f"{self.name}-{side}", **body})

    def peer_body(self, side, db, **more):
        host = "localhost" if side == "source" else "127.0.0.1"  # one name to look up
        body = {"host": host, "port": self.proxies[side].port, "user": self.user, "database": db,
                "options": {"connect_timeout": "2"}, **more}
        if self.password:
            body["password"] = self.password
        return body

    def start(self):
        self.bunny.start(**self.environment)

    def create(self):
        body = {"name": self.name, "source_peer": f"{self.name}-source",
                "destination_peer": f"{self.name}-dest",
                "table_mappings": [{"source_table": "public.*"}], **self.options}
        self.bunny.api.post("/v1/mirrors", body)

    def write(self, n=2, rate=40):
        for i in range(n):
            self.writers.append(Writer(self.pair, f"{self.seed}-{i}", rate))
            self.writers[-1].start()

    def run_aside(self, what):
        """Something that takes a while, beside the fault; its errors are the fault's."""
        def run():
            try:
                what()
            except (psycopg.Error, ApiError, OSError, AssertionError) as e:
                print(f"beside the fault: {e!r:.300}")
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    # --- looking at it -------------------------------------------------------------------------
    @property
    def api(self):
        return self.bunny.api

    def status(self):
        answer = self.api.raw("GET", f"/v1/mirrors/{self.name}")
        if answer.status == 401:  # the clock has run ahead
            self.api.token = None
            self.api.login(ADMIN, PASSWORD)
            answer = self.api.raw("GET", f"/v1/mirrors/{self.name}")
        assert answer.status == 200, answer
        return answer.body

    def any_moment(self, most):
        """The strike comes at a random moment: that is the test."""
        time.sleep(self.random.random() * most)

    def wait_streaming(self, limit=60):
        def streams():
            status = self.status()
            return status["status"] == "running" and status["phase"] != "connecting"
        wait_for(streams, limit, "the mirror to stream")

    def wait_noticed(self, limit=30):
        """Until the mirror says that something is wrong."""
        def noticed():
            status = self.status()
            return status["error_count"] > 0 or status["status"] == "error"
        wait_for(noticed, limit, "the fault to be noticed")

    def tell(self, cluster, text, parameters=None):
        """A statement of the test's own, past the proxies."""
        return cluster.sql(text, parameters)

    def sessions(self, cluster, dbname, what="true"):
        return [r[0] for r in cluster.sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name LIKE "
            f"'bunnydb%%' AND {what}", (dbname,))]

    # --- after the fault -----------------------------------------------------------------------
    def _operate(self):
        """What the finding of a mirror that waits for its operator tells him to do."""
        status = self.status()
        if status["status"] == "error" and status["error_code"] in RECREATE:
            answer = self.api.raw("POST", f"/v1/mirrors/{self.name}/retry", {"recreate_slot": True})
            assert answer.status in (200, 202, 409), answer
        return status

    def recover(self, may_operate, limit=90):
        """Until the mirror streams and has all that was written before now. Returns the seconds."""
        began = time.monotonic()
        lsn = self.pair.sql("SELECT pg_current_wal_lsn()")[0][0]

        def recovered():
            status = self._operate() if may_operate else self.status()
            assert status["status"] == "running", {
                k: status[k] for k in ("status", "phase", "error_code", "error_message",
                                       "next_retry_at", "operation")}
            rows = self.source.sql(
                "SELECT bool_and(confirmed_flush_lsn >= %s::pg_lsn) FROM pg_replication_slots "
                "WHERE database = %s AND NOT temporary", (lsn, self.pair.sdb))
            assert rows[0][0], f"the slot has not confirmed {lsn}"
            return True
        wait_for(recovered, limit, "the mirror to recover", 0.1)
        return time.monotonic() - began

    def quiesce(self):
        for w in self.writers:
            w.stop()
        for t in self.threads:
            t.join(60)
            assert not t.is_alive(), "what went on beside the fault does not end"

    def _is_followed(self):
        """The mirror has followed every definition of the source's tables: the columns it knows are
        those of now, by number, name and type. A column that was dropped and added again looks the
        same in the stream, so that rows differ until the mirror has looked."""
        here = self.pair.sql(
            "SELECT a.attrelid::int8, a.attnum::int, a.attname::text, a.atttypid::int8 "
            "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
            "WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 "
            "AND NOT a.attisdropped AND a.attgenerated = ''")
        there = self.pair.dsql(
            "SELECT source_oid::int8, number::int, name::text, split_part(detail, ' ', 1)::int8 "
            "FROM _bunnydb.table_parts WHERE kind = 's'")
        # what the source has dropped may be known for longer: it is kept, and does no harm
        assert set(here) <= set(there), f"not followed: {set(here) - set(there)}"
        return True

    def compare(self, limit=90):
        """(rows only at the source, rows only at the destination, rows compared)."""
        def is_complete():
            """Nothing is under way, and every table streams: none waits to be copied again."""
            status = self.status()
            late = [(t["table_name"], t["status"]) for t in status["tables"]
                    if t["status"] != "streaming"]
            what = {k: status[k] for k in ("status", "phase", "operation")}
            assert what == {"status": "running", "phase": "streaming", "operation": None}, what
            assert not late, late
            return True
        self.pair.wait_confirmed(limit)
        wait_for(self._is_followed, limit, "definitions to follow")
        wait_for(is_complete, limit, "all tables to stream")
        self.pair.wait_confirmed(limit)
        lost = surplus = rows = 0
        src, dst = self.pair.src, self.pair.dst
        there = set(tables_of(dst))
        for table in tables_of(src):
            assert table in there, f"{table} is missing at the destination"
            columns = columns_of(src, table)
            left, right = (fingerprint(c, table, columns) for c in (src, dst))
            rows += left[0]
            if left == right:
                continue
            query = sql.SQL("SELECT md5(ROW({})::text) FROM {}").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(*table))
            a, b = (Counter(r[0] for r in c.execute(query)) for c in (src, dst))
            print(f"{table}: {(a - b).total()} lost, {(b - a).total()} too many")
            lost += (a - b).total()
            surplus += (b - a).total()
        return lost, surplus, rows

    def finish(self):
        """Deletes the mirror; nothing of it may be left."""
        self.api.delete(f"/v1/mirrors/{self.name}")
        self.pair.assert_clean()
        pid = self.bunny.process.pid

        def is_slim():
            now = (threads(pid), descriptors(pid))
            assert now[0] <= self.baseline[0] and now[1] <= self.baseline[1], \
                f"threads and descriptors {now}, at first {self.baseline}: {what_is_held(pid)}, " \
                f"at first {self.held}"
            return True
        wait_for(is_slim, 40, "threads and descriptors to go")
        code, seconds = self.bunny.stop()
        assert code == 0, f"exit code {code}:\n{self.bunny.sanitizer_reports()}"
        assert seconds < 2 * SLOW, f"took {seconds:.1f} s to end"

    def close(self):
        for w in self.writers:
            w.ended.set()
        for w in self.writers:
            w.join(30)
        self.bunny.kill()
        report = self.bunny.sanitizer_reports()
        for p in self.proxies.values():
            p.close()
        self.pair.drop()
        if not os.environ.get("BUNNYDB_KEEP"):
            self.bunny.remove()
        assert not report, report[:6000]
