"""Random changes of rows: SQL that finds its rows by itself, whatever they are by then."""
from .kinds import large
from .model import Step

SIZES = [3000, 9000, 70000, 70000, 1000000]


class Changes:
    """Each method gives the steps of one change of table t; they belong into one transaction."""

    def __init__(self, rng, tables, big_values=True):
        self.rng, self.tables, self.big_values = rng, tables, big_values

    def some(self, t):
        """One random change."""
        if t.is_big and self.rng.random() < 0.5:
            return self.many(t)
        if not t.columns:
            names = ["insert_default"] * 3 + ["delete", "truncate", "insert_default_many"]
        else:
            names = ["insert"] * 8 + ["insert_rows"] * 4 + ["copy"] * 3 + ["insert_self"] * 2
            names += ["delete"] * 3 + ["delete_reinsert"] * 2 + ["truncate"]
            if t.plain:
                names += ["update"] * 8 + ["update_same", "update_other", "update_all"] * 2
                names += ["update_large"] * 3 + ["update_twice"] * 2
            if t.key:
                names += ["key", "key_shift", "life_of_a_key"] * 2 + ["swap"] * 3
                names += ["upsert"] * 3 * t.has_conflict_target + ["merge", "block"]
            names += ["leaf"] * 3 * bool(t.leaves)
            names += ["noise"]
        steps = getattr(self, self.rng.choice(names))(t)
        if len(steps) > 1:
            return steps
        for s in steps:
            s.guarded = self.rng.random() < 0.7
        return steps

    # --- pieces --------------------------------------------------------------------------------
    @staticmethod
    def _step(t, sql, **kw):
        return Step(0, sql, tables=frozenset(t.needs), **kw)

    def pick(self, t, most=4, name=None):
        """A condition that is true of a few rows; the same ones when the table is the same."""
        name, skip = name or t.q, self.rng.randint(0, 9999)
        return (f"(tableoid, ctid) IN (SELECT tableoid, ctid FROM {name} OFFSET (SELECT {skip} % "
                f"greatest(count(*), 1) FROM {name}) LIMIT {self.rng.randint(1, most)})")

    def _into(self, t):
        """The columns of an INSERT; some are left to their defaults."""
        columns = [c for c in t.writable if c.role != "always" or self.rng.random() < 0.5]
        if self.rng.random() < 0.3:
            columns = [c for c in columns if not c.nullable or self.rng.random() < 0.6]
        return columns or t.writable[:1]

    def _value(self, c):
        if self.big_values and c.kind.is_text and not c.pool and self.rng.random() < 0.05:
            return large(self.rng, c.kind, self.rng.choice(SIZES))
        return c.value(self.rng)

    def _insert(self, t, rows, tail="", into=None):
        columns = into or self._into(t)
        lines = ["(" + ", ".join(self._value(c) for c in columns) + ")" for _ in range(rows)]
        over = " OVERRIDING SYSTEM VALUE" if any(c.role == "always" for c in columns) else ""
        return (f"INSERT INTO {t.q} ({', '.join(c.q for c in columns)}){over} "
                f"VALUES {', '.join(lines)}{tail}")

    def _set(self, t, most=3):
        columns = self.rng.sample(t.plain, self.rng.randint(1, min(most, len(t.plain))))
        return ", ".join(f"{c.q} = {self._value(c)}" for c in columns)

    # --- inserts -------------------------------------------------------------------------------
    def insert_default(self, t):
        return [self._step(t, f"INSERT INTO {t.q} DEFAULT VALUES")]

    def insert_default_many(self, t):
        return self.insert_default(t) * self.rng.randint(2, 5)

    def insert(self, t):
        return [self._step(t, self._insert(t, 1))]

    def insert_rows(self, t):
        tail = " ON CONFLICT DO NOTHING" if self.rng.random() < 0.6 else ""
        return [self._step(t, self._insert(t, self.rng.randint(2, 12), tail))]

    def copy(self, t):
        columns = [c for c in self._into(t) if c.role != "always"]
        if not columns:
            return self.insert(t)
        rows = ["(" + ", ".join(self._value(c) for c in columns) + ")"
                for _ in range(self.rng.randint(1, 8))]
        return [self._step(t, f"VALUES {', '.join(rows)}", kind="copy",
                           target=f"{t.q} ({', '.join(c.q for c in columns)})")]

    def insert_self(self, t):
        """Rows that are there once more, with other keys if there are keys."""
        columns = [c for c in t.writable if c.role != "always"]
        if not columns:
            return self.insert(t)
        values = [c.value(self.rng) if c in t.key else c.q for c in columns]
        most = 1 if t.key else self.rng.choice([1, 3, 20])
        return [self._step(t, f"INSERT INTO {t.q} ({', '.join(c.q for c in columns)}) SELECT "
                              f"{', '.join(values)} FROM {t.q} WHERE {self.pick(t, most)}")]

    def upsert(self, t):
        into = [c for c in t.writable if c.role != "always" or self.rng.random() < 0.5]
        if any(c in t.key and c not in into for c in t.columns):
            return self.insert(t)
        action = "NOTHING"
        if t.plain and self.rng.random() < 0.8:
            c = self.rng.choice(t.plain)
            value = self.rng.choice([f"EXCLUDED.{c.q}", c.value(self.rng)])
            action = f"UPDATE SET {c.q} = {value}"
        target = ", ".join(c.q for c in t.key)
        return [self._step(t, self._insert(t, 1, f" ON CONFLICT ({target}) DO {action}", into))]

    def merge(self, t):
        into = [c for c in t.writable if c.role != "always"]
        if any(c not in into for c in t.key) or not t.plain:
            return self.update(t) if t.plain else self.insert(t)
        alias = {c: f"v{n}" for n, c in enumerate(into)}
        values = ", ".join(f"{c.value(self.rng)} AS {alias[c]}" for c in into)
        match = " AND ".join(f"t.{c.q} = s.{alias[c]}" for c in t.key)
        c = self.rng.choice(t.plain)
        done = self.rng.choice(["DELETE", f"UPDATE SET {c.q} = s.{alias[c]}"])
        return [self._step(t, f"MERGE INTO {t.q} t USING (SELECT {values}) s ON {match} "
                              f"WHEN MATCHED THEN {done} WHEN NOT MATCHED THEN INSERT "
                              f"({', '.join(x.q for x in into)}) VALUES "
                              f"({', '.join('s.' + alias[x] for x in into)})")]

    # --- updates -------------------------------------------------------------------------------
    def update(self, t):
        tail = f" RETURNING {t.columns[0].q} IS NULL" if self.rng.random() < 0.2 else ""
        return [self._step(t, f"UPDATE {t.q} SET {self._set(t)} WHERE {self.pick(t)}{tail}")]

    def update_twice(self, t):
        where = self.pick(t, 2)
        return [self._step(t, f"UPDATE {t.q} SET {self._set(t)} WHERE {where}"),
                self._step(t, f"UPDATE {t.q} SET {self._set(t)} WHERE {self.pick(t, 9)}")]

    def update_same(self, t):
        c = self.rng.choice(t.plain)
        return [self._step(t, f"UPDATE {t.q} SET {c.q} = {c.q} WHERE {self.pick(t)}")]

    def update_other(self, t):
        """The value of another row."""
        c = self.rng.choice(t.plain)
        return [self._step(t, f"UPDATE {t.q} SET {c.q} = (SELECT {c.q} FROM {t.q} WHERE "
                              f"{self.pick(t, 1)} LIMIT 1) WHERE {self.pick(t)}")]

    def update_all(self, t):
        if t.is_big:
            return self.update(t)
        return [self._step(t, f"UPDATE {t.q} SET {self._set(t, 1)}")]

    def update_large(self, t):
        able = [c for c in t.plain if c.kind.is_text and not c.pool]
        if not able or not self.big_values:
            return self.update(t)
        c = self.rng.choice(able)
        return [self._step(t, f"UPDATE {t.q} SET {c.q} = "
                              f"{large(self.rng, c.kind, self.rng.choice(SIZES))} "
                              f"WHERE {self.pick(t, 2)}")]

    # --- keys ----------------------------------------------------------------------------------
    def key(self, t):
        c = self.rng.choice(t.key)
        more = f", {self._set(t, 2)}" if t.plain and self.rng.random() < 0.4 else ""
        if c.role == "always":
            return [self._step(t, f"UPDATE {t.q} SET {c.q} = DEFAULT{more} WHERE {self.pick(t)}")]
        return [self._step(t, f"UPDATE {t.q} SET {c.q} = {c.value(self.rng)}{more} "
                              f"WHERE {self.pick(t, 1)}")]

    def key_shift(self, t):
        """Of many rows in one statement: only a deferrable key always bears it."""
        able = [c for c in t.key if c.kind.sql == "integer" and c.role != "always"]
        if not able:
            return self.key(t)
        c = self.rng.choice(able)
        how = self.rng.choice([f"{c.q} + {self.rng.randint(1, 9)}", f"-{c.q}", f"{c.q} - 1",
                               f"{c.q} + 1000"])
        where = "" if t.is_deferrable and not t.is_big else f" WHERE {self.pick(t, 6)}"
        return [self._step(t, f"UPDATE {t.q} SET {c.q} = {how}{where}")]

    def swap(self, t):
        """Two rows change their keys with each other, by a third one unless it is deferrable."""
        able = [c for c in t.key if c.pool and c.role != "always"]
        if not able:
            return self.key(t)
        c = self.rng.choice(able)
        a, b, spare = (self.rng.choice(c.pool) for _ in range(3))
        if a == b:
            b = self.rng.choice(c.pool)
        if t.is_deferrable:
            if self.rng.random() < 0.5:
                return [self._step(t, f"UPDATE {t.q} SET {c.q} = CASE WHEN {c.q} = {a} THEN {b} "
                                      f"ELSE {a} END WHERE {c.q} IN ({a}, {b})")]
            first = self.pick(t, 1)
            return [self._step(t, f"UPDATE {t.q} SET {c.q} = {b} WHERE {c.q} = {a}"),
                    self._step(t, f"UPDATE {t.q} SET {c.q} = {a} WHERE {c.q} = {b} AND {first}")]
        moves = [(a, spare), (b, a), (spare, b)]
        return [self._step(t, f"UPDATE {t.q} SET {c.q} = {to} WHERE {c.q} = {was}")
                for was, to in moves]

    def life_of_a_key(self, t):
        """Insert, delete, insert of one key, with changes between."""
        into = [c for c in t.writable if c.role != "always" or c in t.key]
        fixed = {c: c.value(self.rng) for c in t.key}
        where = " AND ".join(f"{c.q} = {fixed[c]}" for c in t.key)

        def put():
            values = ", ".join(fixed[c] if c in fixed else self._value(c) for c in into)
            over = " OVERRIDING SYSTEM VALUE" if any(c.role == "always" for c in into) else ""
            return self._step(t, f"INSERT INTO {t.q} ({', '.join(c.q for c in into)}){over} "
                                 f"VALUES ({values})")
        gone = self._step(t, f"DELETE FROM {t.q} WHERE {where}")
        changed = []
        if t.plain:
            changed = [self._step(t, f"UPDATE {t.q} SET {self._set(t)} WHERE {where}")]
        steps = [gone, put()] + changed + [gone, put()]
        if self.rng.random() < 0.5:
            steps += changed + [gone] * self.rng.randint(0, 1)
        return steps

    # --- deletes -------------------------------------------------------------------------------
    def delete(self, t):
        if self.rng.random() < 0.1:
            return [self._step(t, f"DELETE FROM {t.q}")]
        return [self._step(t, f"DELETE FROM {t.q} WHERE {self.pick(t)}")]

    def delete_reinsert(self, t):
        columns = [c for c in t.writable]
        names = ", ".join(c.q for c in columns)
        over = "OVERRIDING SYSTEM VALUE " if any(c.role == "always" for c in columns) else ""
        return [self._step(t, f"WITH gone AS (DELETE FROM {t.q} WHERE {self.pick(t)} RETURNING *) "
                              f"INSERT INTO {t.q} ({names}) {over}SELECT {names} FROM gone")]

    def truncate(self, t):
        if self.rng.random() < 0.6:  # it empties much
            return self.delete(t)
        names = [t]
        if self.rng.random() < 0.4:
            names.append(self.rng.choice(self.tables))
        targets = ", ".join(dict.fromkeys(n.q for n in names))
        if t.leaves and self.rng.random() < 0.5:
            targets = self.rng.choice(t.leaves)
        may_be_only = len(names) == 1 and not t.is_partitioned
        only = "ONLY " if may_be_only and self.rng.random() < 0.2 else ""
        tail = self.rng.choice(["", " RESTART IDENTITY"])
        tail += self.rng.choice(["", " CASCADE", " CASCADE"])
        tables = frozenset().union(*(n.needs for n in names))
        return [Step(0, f"TRUNCATE {only}{targets}{tail}", tables=tables, guarded=True)]

    # --- others --------------------------------------------------------------------------------
    def leaf(self, t):
        """Straight at a partition."""
        name = self.rng.choice(t.leaves)
        if t.plain and self.rng.random() < 0.6:
            return [self._step(t, f"UPDATE {name} SET {self._set(t)} "
                                  f"WHERE {self.pick(t, 4, name)}")]
        return [self._step(t, f"DELETE FROM {name} WHERE {self.pick(t, 2, name)}")]

    def block(self, t):
        """Subtransactions that end by exceptions."""
        inner = self._insert(t, 1)
        return [self._step(t, "DO $do$ BEGIN FOR i IN 1..4 LOOP BEGIN " + inner + "; "
                              f"IF i % 2 = 0 THEN DELETE FROM {t.q} WHERE {self.pick(t, 1)}; "
                              "END IF; "
                              "EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $do$")]

    def noise(self, t):
        return [self._step(t, self.rng.choice([
            f"SELECT count(*) FROM (SELECT 1 FROM {t.q} LIMIT 3 FOR UPDATE) locked",
            "SELECT pg_logical_emit_message(true, 'other', 'message')",
            "SELECT pg_logical_emit_message(false, 'other', 'message')",
            "CREATE TEMP TABLE IF NOT EXISTS scratch AS SELECT 1 AS a",
            "SELECT txid_current()"]))]

    def many(self, t):
        """A few thousand rows, or many more."""
        n = self.rng.choice([500, 2000, 2000, 10000])
        start = self.rng.randint(50, 90000)
        return [self._step(t, self.rng.choice([
            f"INSERT INTO {t.q} (id, v, n) SELECT i, 'row ' || i, i "
            f"FROM generate_series({start}, {start + n}) i "
            "ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n + 1, v = NULL",
            f"UPDATE {t.q} SET n = coalesce(n, 0) + 1 WHERE id > {start}",
            f"UPDATE {t.q} SET id = -id WHERE id BETWEEN {start} AND {start + n}",
            f"DELETE FROM {t.q} WHERE id % 3 = 0 AND id > {start}",
            f"UPDATE {t.q} SET v = repeat(v, 2) WHERE id < {start} AND length(v) < 500"]))]

    def huge(self, t):
        """One transaction of 100,000 rows and more of each kind."""
        return [self._step(t, sql) for sql in (
            f"DELETE FROM {t.q} WHERE id > 200",
            f"INSERT INTO {t.q} (id, v, n) SELECT i, md5(i::text), i "
            "FROM generate_series(200001, 300000) i",
            f"UPDATE {t.q} SET n = n + 1 WHERE id > 200000",
            f"UPDATE {t.q} SET id = id + 1000000 WHERE id % 5 = 0 AND id > 200000",
            f"DELETE FROM {t.q} WHERE id % 2 = 0 AND id > 200000")]
