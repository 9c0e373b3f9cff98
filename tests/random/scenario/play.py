"""Plays a plan on two databases and a process, and judges the end: both databases equal, nothing
missed, no error that no incident explains."""
import os
import threading
import time
from urllib.parse import quote as urlquote

import psycopg

from harness.api import ApiError
from harness.compare import assert_equal_databases
from harness.waiting import wait_for

from .definitions import differences
from .kinds import qualified
from .live import Live
from .model import Step
from .names import quote
from .operate import STILL, Operator, Stuck
from .sessions import Session, Transcript

LIMIT = 60 * int(os.environ.get("BUNNYDB_SLOW", "1"))
NAME = "m"
# What incidents do to a mirror: connections that end, and what follows from it. All of it is tried
# again; so is a copy whose table was rewritten or truncated meanwhile.
EXCUSED = {"connection_failed", "timeout", "slot_active", "snapshot_stale", "fenced"}
EXCUSED_STATES = ("57P0", "08", "55P03", "55006", "40")  # a message begins with its SQLSTATE
# And what a change of definitions does to one that has not been told of it; lists may lose their ends.
EXCUSED_DDL = EXCUSED | STILL
NO_SWAP = "the rows that are here do not take them"  # retyped by more than a cast: it says what to do
LISTS = ("the destination does not fit", "missing at the destination", "rows of the source are others")


class Defect(Exception):
    """The engine broke a promise."""


class Player:
    def __init__(self, plan, pair, bunny, echo=None):
        self.plan, self.pair, self.bunny = plan, pair, bunny
        self.transcript = Transcript(echo)
        self.sessions = {}
        self.locked = None
        self.maker = None  # the thread that asks for the mirror: transactions go on beside it
        self.refusal = None
        self.rows = 0
        self.live = Live(plan) if plan.is_live else None
        self.operator = Operator(self, NAME)
        self.maps = {t.number: {"source_schema": t.schema, "source_table": t.name, **t.mapping}
                     for t in plan.tables if t.is_mirrored}

    # --- the whole -----------------------------------------------------------------------------
    def play(self):
        try:
            self._setup()
            for step in self.plan.first:
                self._session(0).run(step)
            if self.plan.storm:
                self._storm()
            else:
                for step in self.plan.steps:
                    self._step(step)
            self._settle()
            self._judge()
        finally:
            for s in self.sessions.values():
                s.close()
            self._unlock()

    def _setup(self):
        for _, sql in self.plan.setup:
            self.transcript.add(0, sql)
            self.pair.src.execute(sql)
        if self.live:
            self.live.learn(self.pair.src)

    def _connect(self):
        c = self.pair.source.connect(self.pair.sdb)
        c.execute("SET client_encoding = 'UTF8'")
        c.execute(f"SET search_path = {', '.join(map(quote, self.plan.schemas))}")
        return c

    def _session(self, number):
        if number not in self.sessions:
            lock_ms = 1000 if self.plan.storm else 20
            self.sessions[number] = Session(self._connect, number, self.transcript, lock_ms,
                                            self.live)
        return self.sessions[number]

    def _step(self, step):
        if step.session < 0:
            self.transcript.add(-1, f"{step.kind} {step.target}".strip())
            getattr(self, f"do_{step.kind}")(step)
        else:
            self._session(step.session).run(step)

    def _storm(self):
        """Each session in its thread; incidents when as many steps were done as come before."""
        lists, incidents, done = {}, [], [0]
        for n, step in enumerate(self.plan.steps):
            if step.session < 0:
                incidents.append((n, step))
            else:
                lists.setdefault(step.session, []).append(step)
                self._session(step.session)

        def work(session, steps):
            for step in steps:
                session.run(step)
                done[0] += 1
        threads = [threading.Thread(target=work, args=(self.sessions[n], steps), daemon=True)
                   for n, steps in lists.items()]
        for t in threads:
            t.start()
        for n, step in incidents:
            while done[0] + len(incidents) < n and any(t.is_alive() for t in threads):
                time.sleep(0.002)
            self._step(step)
        for t in threads:
            t.join(LIMIT * 3)
            assert not t.is_alive(), "the sessions at the source do not end"

    # --- incidents -----------------------------------------------------------------------------
    def mappings(self):
        return list(self.maps.values())

    def do_create(self, _):
        if self.live:
            self.follow_names(is_made=False)
        self.transcript.add(-1, f"mappings: {self.mappings()}")
        self.maker = threading.Thread(target=self._make, daemon=True)
        self.maker.start()

    def _make(self):
        try:
            answer = self.bunny.api.raw("POST", "/v1/mirrors", self.bunny.mirror_body(
                NAME, self.pair, self.mappings(), **self.plan.mirror))
            if answer.status != 201:
                self.refusal = answer.body
        except (OSError, ApiError):
            pass  # the process was killed, or its sessions were: asked again at the end

    def follow_names(self, is_made=True):
        """Tables that were renamed at the source: the mapping has their names of now, and they go
        where they went. These places, quoted."""
        places = []
        if is_made:
            self.learn_mapping()
        for number, m in self.maps.items():
            row = self._name_of(number)
            was = m["source_schema"], m["source_table"]
            if row is None or row == was:
                continue
            if is_made:
                m.setdefault("destination_schema", was[0])
                m.setdefault("destination_table", was[1])
            m["source_schema"], m["source_table"] = row
            places.append(qualified(m.get("destination_schema", row[0]),
                                    m.get("destination_table", row[1])))
        return places

    def _name_of(self, number):
        """Of a table at the source, now; None when it is gone."""
        return self.pair.src.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON "
            "n.oid = c.relnamespace WHERE c.oid = %s", (self.live.oids[number],)).fetchone()

    def learn_mapping(self):
        """As the mirror has it: it follows tables that are renamed."""
        if not self.live:
            return
        config = self.bunny.api.get(f"/v1/mirrors/{NAME}/diagnostics")["configuration"]
        now = {(m["source_schema"], m["source_table"]): {k: v for k, v in m.items() if v is not None}
               for m in config["table_mappings"]}
        unknown = []  # renamed again meanwhile
        for number, m in self.maps.items():
            followed = now.pop(self._name_of(number), None) or \
                now.pop((m["source_schema"], m["source_table"]), None)
            if followed:
                self.maps[number] = followed
            elif self._name_of(number):
                unknown.append(number)
        if len(unknown) == len(now) == 1:
            self.maps[unknown[0]] = now.popitem()[1]

    def mapped_to(self, destination):
        """The source's name of the mapped table that goes there, by itself or with a partition."""
        self.learn_mapping()
        for m in self.maps.values():
            top = m.get("destination_schema", m["source_schema"]), \
                m.get("destination_table", m["source_table"])
            below = self.pair.dst.execute(
                "SELECT n.nspname || '.' || c.relname FROM pg_partition_tree(to_regclass(%s)) t "
                "JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace",
                (qualified(*top),)).fetchall()
            if destination == ".".join(top) or (destination,) in below:
                return f"{m['source_schema']}.{m['source_table']}"
        return None

    def mapped_from(self, name):
        """The same, of the source's table with that name, or of one with that partition."""
        self.learn_mapping()
        for m in self.maps.values():
            top = m["source_schema"], m["source_table"]
            below = self.pair.src.execute(
                "SELECT n.nspname || '.' || c.relname FROM pg_partition_tree(to_regclass(%s)) t "
                "JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace",
                (qualified(*top),)).fetchall()
            if name == ".".join(top) or (name,) in below:
                return ".".join(top)
        return None

    def do_operate(self, _):
        if self.maker and self.bunny.is_running:
            try:
                self.operator.look()
            except ApiError as e:
                if e.answer.status != 404:
                    raise

    def do_tend(self, _):
        """Until the definitions are the same again; not while something else stops the mirror."""
        if self.maker and not self.maker.is_alive() and self.bunny.is_running and \
                not self.locked and self._is_there() and \
                self.bunny.status(NAME)["status"] != "paused":
            self._operate()

    def _is_there(self):
        return self.bunny.api.raw("GET", f"/v1/mirrors/{NAME}").status == 200

    def _make_sure(self):
        """The mirror was made, or is made now, when no lock holds the preflight up any more."""
        if self.maker:
            self.maker.join(LIMIT)
        passing = [None, "peer_unreachable", "connection_failed"]
        for _ in range(6):
            code = self.refusal and self.refusal["code"]
            if self.live and (code == "source_table_missing" or
                              self.heal(self.refusal)):
                self.follow_names(is_made=False)  # other names, and what the preflight asked for
            elif code not in passing or self._is_there():
                break
            self.refusal = None
            self._make()
        if self.refusal or not self._is_there():
            raise Defect(f"the mirror was refused: {self.refusal}")

    def heal(self, refusal):
        """What the preflight says about the source is done there: of every table that it names."""
        if not refusal or refusal["code"] != "preflight_failed":
            return False
        errors = [f for f in refusal["findings"] if f["severity"] == "error"]
        if any(f["code"] != "no_replica_identity" for f in errors):
            return False
        for item in (i for f in errors for i in f["items"]):
            self.transcript.add(-1, f"  operator: {item['note']}: {item['statement']}")
            try:
                self.pair.src.execute(item["statement"])
            except psycopg.Error as e:  # the table has moved since: the next answer names it anew
                self.transcript.add(-1, f"  fails: {e}")
        return True

    def do_kill(self, step):
        self.bunny.kill()
        self.do_start(step)

    def do_kill_only(self, _):
        self.bunny.kill()

    def do_start(self, _):
        if not self.bunny.is_running:
            self.bunny.start()

    def _command(self, path, body=None):
        """A command that the state of the mirror may refuse, with a reason."""
        if not self.maker or not self.bunny.is_running:
            return
        try:
            self.bunny.api.post(f"/v1/mirrors/{NAME}/{path}", body)
        except ApiError as e:
            if e.answer.status not in (404, 409):  # 404: it is being made
                raise Defect(f"{path}: {e}") from e
            self.transcript.add(-1, f"  refused: {e.answer.body['error']}")

    def do_pause(self, _):
        self._command("pause")

    def do_resume(self, _):
        self._command("resume")

    def do_retry(self, _):
        self._command("retry")

    def do_recreate(self, _):
        self._command("retry", {"recreate_slot": True})

    def do_resync(self, _):
        self._command("resync")

    def do_resync_table(self, step):
        self._command(f"resync/{urlquote(step.target, safe='')}")

    def do_swap(self, _):
        self._command("resync", {"strategy": "swap"})

    def do_swap_table(self, step):
        self._command(f"resync/{urlquote(step.target, safe='')}", {"strategy": "swap"})

    def _cut(self, cluster, dbname):
        cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s "
                    "AND application_name LIKE 'bunnydb%%'", (dbname,))

    def do_cut_source(self, _):
        self._cut(self.pair.source, self.pair.sdb)

    def do_cut_dest(self, _):
        self._cut(self.pair.dest, self.pair.ddb)

    def do_restart_source(self, _):
        self.pair.source.restart("immediate")

    def do_restart_dest(self, _):
        self._unlock()
        self.pair.dest.restart("immediate")

    def _destination(self, schema, table):
        """Where a table, or a partition of one, goes."""
        for t in self.plan.tables:
            to = t.mapping.get("destination_schema", t.schema)
            if (t.schema, t.name) == (schema, table):
                return to, t.mapping.get("destination_table", t.name)
            if (schema, table) in t.part_names:
                return to, table
        return schema, table

    def do_lock_dest(self, step):
        t = next(t for t in self.plan.tables if f"{t.schema}.{t.name}" == step.target)
        schema, name = self._destination(t.schema, t.name)
        self._unlock()
        self.locked = self.pair.dest.connect(self.pair.ddb)
        try:
            self.locked.execute("SET lock_timeout = 200")
            self.locked.execute(f"BEGIN; LOCK TABLE {qualified(schema, name)} IN EXCLUSIVE MODE")
        except Exception:  # not there yet, or in use: no lock this time
            self._unlock()

    def do_unlock_dest(self, _):
        self._unlock()

    def _unlock(self):
        if self.locked is not None:
            self.locked.close()
            self.locked = None

    # --- the end -------------------------------------------------------------------------------
    def _settle(self):
        """All transactions end, the process runs, the mirror is not paused."""
        self._unlock()
        for s in self.sessions.values():
            s.close()
        for (gid,) in self.pair.source.sql("SELECT gid FROM pg_prepared_xacts WHERE database = %s",
                                           (self.pair.sdb,)):
            self._session(99).run(Step(99, f"COMMIT PREPARED '{gid}'"))
        self.do_start(None)
        self._make_sure()
        if self.bunny.status(NAME)["status"] == "paused":
            self._command("resume")
        for t in self.plan.tables:
            if t.is_big and not self.live:  # a last change: its COMMIT is confirmed at once, a quiet stretch later
                self._session(99).run(Step(99, f"INSERT INTO {t.q} VALUES (-999999, 'last')"))
        if self.transcript.mistakes:
            raise RuntimeError("statements that the generator should not make:\n" +
                               "\n".join(self.transcript.mistakes[:5]))

    def _is_streaming(self):
        self._look_at_log()
        status = self.bunny.status(NAME)
        if status["status"] == "error" and not status["next_retry_at"]:
            raise Defect(f"the mirror stopped: {status['error_message']} ({status['error_code']}); "
                         f"{status['error_hint']}")
        waiting = [t["table_name"] for t in status["tables"] if t["status"] != "streaming"]
        self.last = (status["status"], status["phase"], status["error_message"],
                     status["operation"], waiting)
        return status["status"] == "running" and not status["operation"] and not waiting

    def _is_still(self):
        """See Operator.finish. Everything that is committed now is confirmed, or never will be."""
        self._look_at_log()
        status = self.bunny.status(NAME)
        waiting = [t["table_name"] for t in status["tables"] if t["status"] != "streaming"]
        self.last = (status["status"], status["phase"], status["error_message"],
                     status["operation"], waiting)
        if status["status"] == "paused":
            self._command("resume")
        if status["status"] == "error":
            for f in status["findings"]:
                if f["code"] in STILL:
                    return f
            if not status["next_retry_at"]:
                raise Defect(f"the mirror stopped: {status['error_message']} "
                             f"({status['error_code']}); {status['error_hint']}")
        if status["status"] != "running" or status["operation"] or waiting:
            self.goal = None
            if status["operation"]:
                return None
            return next((f for f in status["findings"] if f["code"] == "table_copy"), None)
        if not self.goal:
            self._tick()
            self.goal = self.pair.sql("SELECT pg_current_wal_lsn()")[0][0]
        count, reached = self.pair.source.sql(
            "SELECT count(*), bool_and(confirmed_flush_lsn >= %s::pg_lsn) FROM "
            "pg_replication_slots WHERE database = %s AND NOT temporary",
            (self.goal, self.pair.sdb))[0]
        if not (count and reached):
            return None
        self.goal = None
        return ""

    def _tick(self):
        """A quiet mirror confirms what it has seen every few seconds only."""
        for t in self.plan.tables:
            if t.is_tick:
                self.pair.src.execute(f"INSERT INTO {t.q} DEFAULT VALUES")

    def _operate(self):
        """The operator's work: afterwards the definitions are the same."""
        self.goal = None
        try:
            self.operator.finish(self._is_still)
        except Stuck as e:
            raise Defect(f"definitions: {e}") from e

    def _judge(self):
        self._operate()
        try:
            wait_for(self._is_streaming, LIMIT, "the mirror to stream")
            self._tick()
            self.pair.wait_confirmed(LIMIT, look=self._look_at_log)
        except AssertionError as e:
            raise Defect(f"not caught up: {e}; {self.last}") from e
        self._look_at_log()
        self._look_at_counters()
        self._compare()

    def _look_at_log(self):
        """Errors of the mirror that nothing done to it explains."""
        page = self.bunny.api.get(f"/v1/mirrors/{NAME}/logs?level=ERROR&limit=500")
        for row in page["logs"]:
            text = f"{row['message']} {row['details'] or ''}"
            if self.live and (row["message"].startswith(LISTS) or NO_SWAP in text):
                continue
            if not row["message"].startswith(EXCUSED_STATES) and \
               not any(f"({code})" in text for code in (EXCUSED_DDL if self.live else EXCUSED)):
                raise Defect(f"an error that nothing explains: {text}")

    def _look_at_counters(self):
        missed = {t["table_name"]: t["rows_missing"] for t in self.bunny.api.get(
            f"/v1/mirrors/{NAME}")["tables"] if t.get("rows_missing")}
        if missed:
            raise Defect(f"changes found no row: {missed}")

    def _compare(self):
        """Every mapped table and its partitions: rows, and definitions."""
        found = self._ends()
        tables = [source for source, _, _ in found]
        renamed = {source: dest for source, dest, _ in found}
        excluded = {source: columns for source, _, columns in found}
        try:
            self.rows = assert_equal_databases(self.pair.src, self.pair.dst, tables,
                                               renamed=renamed, excluded=excluded)
        except AssertionError as e:
            raise Defect(str(e)) from e
        self._command("pause")  # sequences follow a last time
        wait_for(lambda: self.bunny.status(NAME)["status"] == "paused", LIMIT, "the pause")
        apart = differences(self.pair.src, self.pair.dst, found, self.plan.mirror,
                            self._left_out())
        if apart:
            raise Defect("definitions differ:\n  " + "\n  ".join(apart[:30]))

    def _left_out(self):
        """What the destination refuses, as sync-schema's preview names it; a finding says so, too."""
        refused = {s["what"] for s in self.operator.preview() if s["kind"] == "note" and s["sql"]}
        told = {f["code"] for f in self.bunny.status(NAME)["findings"]}
        if refused and "definitions_left_out" not in told:
            raise Defect(f"left out, and no finding says so: {sorted(refused)}")
        return refused

    def _ends(self):
        """(source, destination, columns that are left out) of each mapped table and partition.
        Partitions go where their table goes if they are beside it; else where all tables of their
        schema go, if that is one place."""
        self.learn_mapping()
        found, homes = [], {}
        for m in self.maps.values():
            homes.setdefault(m["source_schema"], set()).add(
                m.get("destination_schema", m["source_schema"]))
        for m in self.maps.values():
            source = m["source_schema"], m["source_table"]
            to = m.get("destination_schema", source[0])
            out = m.get("exclude_columns", ())
            found.append((source, (to, m.get("destination_table", source[1])), out))
            for part in self.pair.src.execute(
                    "SELECT n.nspname, c.relname FROM pg_partition_tree(%s) t JOIN pg_class c ON "
                    "c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.level > 0",
                    (qualified(*source),)).fetchall():
                home = homes.get(part[0], ())
                other = min(home) if len(home) == 1 else part[0]
                found.append((part, (to if part[0] == source[0] else other, part[1]), out))
        return found
