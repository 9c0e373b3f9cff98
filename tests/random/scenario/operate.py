"""The operator of a mirror whose definitions change at the source: does what its findings and the
preview of sync-schema say, and nothing else."""
import time
from urllib.parse import quote as urlquote

import psycopg

from harness.api import ApiError
from harness.waiting import SLOW

STILL = {"schema_mismatch", "destination_table_missing", "source_table_missing", "replica_identity",
         "server_error", "row_conflict", "row_refused", "foreign_key_violation",
         "publication_missing", "source_changed"}
ON_THE_WAY = ("connecting", "catching_up", "syncing_schema")
ROUNDS = 40


class Stuck(Exception):
    """What the program asked for was done, and did not help."""


class Operator:
    def __init__(self, player, name):
        self.player, self.name = player, name
        self.path = f"/v1/mirrors/{name}"
        self.deeds = []  # what was done, for the report

    @property
    def api(self):
        return self.player.bunny.api

    def _note(self, text):
        self.deeds.append(text)
        self.player.transcript.add(-1, f"  operator: {text}")

    def _status(self):
        return self.api.get(self.path)

    def _post(self, path, body=None):
        """False when the mirror was busy, or not in a state for it."""
        try:
            self.api.post(f"{self.path}/{path}", body)
            return True
        except ApiError as e:
            if e.answer.status not in (404, 409):
                raise
            self._note(f"{path} refused: {e.answer.body['error']}")
            return False

    def _insist(self, path, body=None):
        """As a person would with --wait: again while the mirror is busy; then until it is done, or
        has failed with another error than before."""
        end = time.monotonic() + 60 * SLOW
        before = self._status()["error_at"]
        while not self._post(path, body):
            if time.monotonic() > end:
                raise Stuck(f"{path} is refused for a minute: {self.deeds[-1]}")
            time.sleep(0.5)
        while time.monotonic() < end:
            status = self._status()
            if status["status"] == "error" and status["error_at"] != before:
                return
            if status["phase"] not in ON_THE_WAY and not status["operation"] and \
               status["status"] != "error":
                return
            time.sleep(0.05)

    # --- between the transactions ---------------------------------------------------------------
    def look(self):
        """One look at the mirror: what its finding says is done."""
        status = self._status()
        if status["status"] != "error":
            return
        for finding in status["findings"]:
            self._act(finding)

    def _act(self, finding):
        action, code = finding["action"], finding["code"]
        if action == "retry" and code in STILL:
            action = "sync-schema"  # the preview of which says what is left
        if action in ("retry", "resync", "sync-schema"):
            self._note(f"{action}, as {code} says: {finding['cause']}")
            self._post(action)

    # --- at the end -----------------------------------------------------------------------------
    def finish(self, is_still):
        """Until nothing is left to do. is_still(): None while the mirror works on something, ""
        when it streams and has applied all, else the finding that it stands at."""
        before, again = None, 0
        for _ in range(ROUNDS):
            finding = self._wait(is_still)
            steps = [s for s in self.preview() if s["kind"] != "note"]
            if not steps and not finding:
                return
            key = str((finding and finding["cause"], sorted(str(s) for s in steps)))
            again = again + 1 if key == before else 0
            if again > 2:
                raise Stuck(self._describe(finding, steps))
            before = key
            self._do(finding, steps, again)
        raise Stuck(f"after {ROUNDS} rounds: {self._describe(finding, steps)}")

    @staticmethod
    def _describe(finding, steps):
        text = f"{finding['code']}: {finding['cause']}; " if finding else ""
        return text + "; ".join(f"{s['kind']} {s['what']}: {s['sql']} ({s['why']})" for s in steps)

    def _wait(self, is_still):
        end = time.monotonic() + 90 * SLOW
        while time.monotonic() < end:
            found = is_still()
            if found is not None:
                return found or None
            time.sleep(0.05)
        raise Stuck(f"not caught up: {self.player.last}")

    def preview(self):
        """A server that is slow, or a lock, may hold the answer up."""
        end = time.monotonic() + 120 * SLOW
        while True:
            try:
                return self.api.post(f"{self.path}/sync-schema", {"dry_run": True})["steps"]
            except ApiError as e:
                if e.answer.status != 409 or time.monotonic() > end:
                    raise
                self._note(f"preview refused: {e.answer.body['error']}")

    def _do(self, finding, steps, again):
        run = [s for s in steps if s["kind"] == "run"]
        manual = [s for s in steps if s["kind"] == "manual"]
        if run and not again:
            self._note(f"sync-schema: {[s['sql'] for s in run]}")
            self._insist("sync-schema")
        elif self._map_anew(manual):
            return
        elif finding and finding["code"] == "table_copy":  # readers cannot keep these rows
            self._copy_source(finding["title"].removesuffix(" cannot be copied"), {"strategy": "truncate"})
        elif manual:
            self._by_hand(manual, not finding)
        elif finding and again and finding["code"] == "replica_identity":
            # of before: its index is gone, and VACUUM has noted in place that there is none
            self._copy_source(finding["cause"].removeprefix("a change of ").removesuffix(" names no key"))
        elif finding:
            action = "sync-schema" if finding["action"] == "sync-schema" else "retry"
            self._note(f"{action}: {finding['cause']}")
            self._insist(action)
        else:
            self._note(f"sync-schema again: {[s['sql'] for s in run]}")
            self._insist("sync-schema")

    def _by_hand(self, manual, is_caught_up):
        """What can wait until the mirror has caught up waits for it."""
        copies = set()
        for s in manual:
            can_wait = s["what"].startswith("drop ") or "caught up" in s["why"]
            if s["sql"] and (is_caught_up or not can_wait):
                self._note(f"{s['what']} ({s['why']}): {s['sql']}")
                self._execute(s["sql"])
            if s["needs_copy"] or "resync" in s["why"]:
                copies.add(s["table"])
        for table in sorted(copies):
            self._resync(table)
        if not is_caught_up:
            self._insist("sync-schema")

    def _execute(self, sql):
        """What cannot be done yet may be possible after the other steps; what never is will be seen
        by its coming again."""
        try:
            self.player.pair.dst.execute(sql)
        except psycopg.Error as e:
            self._note(f"fails: {e}")

    def _resync(self, destination):
        """Of the mapped table that goes there, itself or with a partition."""
        mapped = self.player.mapped_to(destination)
        if not mapped:
            raise Stuck(f"{destination} is to be resynced, and no table goes there")
        self._note(f"resync {mapped} for {destination}")
        self._insist(f"resync/{urlquote(mapped, safe='')}")

    def _copy_source(self, name, how=None):
        self._note(f"resync {name} {how or ''}")
        mapped = self.player.mapped_from(name)
        if not mapped:
            raise Stuck(f"{name} is to be resynced, and is not mapped")
        self._insist(f"resync/{urlquote(mapped, safe='')}", how)

    def _put_tables(self):
        return self.api.raw("PUT", f"{self.path}/tables",
                            {"table_mappings": self.player.mappings()})

    def _map_anew(self, manual):
        """Tables that have other names at the source now."""
        gone = [s for s in manual if s["what"].startswith("table ") and "mapping" in s["why"]]
        moved = gone and self.player.follow_names()
        if not moved:
            return False
        self._note(f"tables have other names: {[s['why'] for s in gone]}")
        self._post("pause")
        for m in moved:  # its destination has rows: it makes way for a new copy
            self._execute(f"DROP TABLE IF EXISTS {m} CASCADE")
        answer = self._put_tables()
        if answer.status == 409 and self.player.heal(answer.body):
            answer = self._put_tables()
        self._note(f"mapping: {answer.status} {answer.body if answer.status != 200 else ''}")
        if answer.status != 200 and self.player.follow_names():
            raise Stuck(f"tables: {answer.body}")  # else the mirror has followed by itself meanwhile
        self._insist("resume")
        return True
