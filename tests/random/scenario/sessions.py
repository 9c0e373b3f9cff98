"""Sessions at the source: they carry steps out, and write down how each ended."""
import threading

import psycopg

from .model import Step

# Errors that random statements run into; anything else is a mistake of the generator.
EXPECTED = ("22", "23", "25", "40", "54", "55", "57", "0A", "08", "2B", "2F", "21", "3B", "42P10",
            "42704", "42P17", "P0001",
            "42883")  # a foreign key to a domain over an array has no operator


# And those of random changes of definitions, made while others are under way.
EXPECTED_DDL = ("427", "428C9", "42P07", "42P16", "42804", "42830", "42883", "42809", "42846", "42611",
                "42P10", "42P17", "42704", "42P01", "42703", "42P22", "42P21", "XX000")


class Transcript:
    """What was done, in order: (session, text, outcome). Written by several threads."""

    def __init__(self, echo=None):
        self.lines, self.lock, self.echo = [], threading.Lock(), echo
        self.done = self.failed = 0
        self.mistakes = []

    def add(self, session, text, outcome=""):
        with self.lock:
            self.lines.append((session, text, outcome))
            self.done += 1
            self.failed += bool(outcome)
            if self.echo:
                self.echo(render((session, text, outcome)))

    def text(self):
        return "\n".join(render(line) for line in self.lines)


def render(line):
    session, text, outcome = line
    if len(text) > 20000:
        text = text[:20000] + " …"
    who = "--" if session < 0 else f"/* {session} */"
    return f"{who} {text};{'  -- ' + outcome if outcome else ''}"


class Session:
    def __init__(self, connect, number, transcript, lock_ms, live=None):
        self.connect, self.connection = connect, None
        self.live = live
        self.number, self.transcript, self.lock_ms = number, transcript, lock_ms

    def _ready(self):
        if self.connection is None or self.connection.closed or self.connection.broken:
            self.connection = self.connect()
            self.connection.execute(f"SET lock_timeout = {self.lock_ms}")
            self.connection.execute("SET statement_timeout = '60s'")
            self.connection.execute("SET deadlock_timeout = '50ms'")
        return self.connection

    def run(self, step):
        if self._is_void(step):
            return
        steps = self._made(step) if step.kind == "live" else [step]
        if step.guarded and self._in_transaction():
            self._try("SAVEPOINT guard", step)
            if all(self._one(s) for s in steps):
                self._try("RELEASE guard", step)
            else:
                self._try("ROLLBACK TO guard", step)
        else:
            for s in steps:
                if not self._is_void(s):
                    self._one(s)

    def _made(self, step):
        """The statements of a live step, from the definitions that this session sees."""
        try:
            connection = self._ready()
            steps = self.live.make(connection, step, self._in_transaction())
        except psycopg.Error as e:
            self.transcript.add(self.number, step.sql, str(e).split("\n", maxsplit=1)[0][:150])
            return []
        if len(steps) > 1 and not self._in_transaction() and steps[0].sql != "BEGIN":
            return [Step(0, "BEGIN")] + steps + [Step(0, "COMMIT")]
        return steps

    def _status(self):
        if self.connection is None or self.connection.closed:
            return psycopg.pq.TransactionStatus.UNKNOWN
        return self.connection.info.transaction_status

    def _in_transaction(self):
        return self._status() == psycopg.pq.TransactionStatus.INTRANS

    def _is_void(self, step):
        """In a failed transaction only its end, or the way back to a savepoint, says anything."""
        return (self._status() == psycopg.pq.TransactionStatus.INERROR and
                not step.sql.startswith(("COMMIT", "ROLLBACK", "PREPARE")))

    def _one(self, step):
        text = step.sql if step.kind == "sql" else f"COPY {step.target} FROM ({step.sql})"
        outcome = self._try(step.sql if step.kind == "sql" else None, step)
        self.transcript.add(self.number, text, outcome)
        if step.label:
            self.live.count(step.label, outcome)
        return not outcome

    def _try(self, sql, step):
        """The error, or nothing."""
        try:
            connection = self._ready()
            if sql is None:
                self._copy(connection, step)
            else:
                connection.execute(sql)
            return ""
        except psycopg.Error as e:
            state = e.sqlstate or "08000"
            message = str(e).split("\n", maxsplit=1)[0][:150]
            if not state.startswith(EXPECTED + EXPECTED_DDL if self.live else EXPECTED):
                self.transcript.mistakes.append(f"{state} {message}: {step.sql[:2000]}")
            return f"{state} {message}"

    @staticmethod
    def _copy(connection, step):
        """Rows of expressions become text, and text becomes rows by COPY."""
        with connection.cursor() as cursor:
            with cursor.copy(f"COPY ({step.sql}) TO STDOUT") as out:
                data = b"".join(bytes(part) for part in out)
            with cursor.copy(f"COPY {step.target} FROM STDIN") as into:
                into.write(data)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None
