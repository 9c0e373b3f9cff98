"""The part of a table's definition that is no column: constraints, indexes, keys, partitions."""
from . import kinds as k
from .names import literal, quote


class Parts:
    """What Ddl inherits; see there for the pieces."""

    # --- constraints ---------------------------------------------------------------------------
    def check(self):
        c = self._column()
        if not c:
            return None
        name = quote(self.fresh("ch"))
        ways = [f"{c.q} IS NULL OR {c.q}::text <> 'never'"]
        if c.kind.sql in ("integer", "bigint", "smallint", "numeric"):
            ways += [f"{c.q} <> 7", f"{c.q} < {self.rng.randint(10, 10**6)}"]
        return self._alter(f"ADD CONSTRAINT {name} CHECK ({self.rng.choice(ways)})" +
                           self.rng.choice(["", "", " NOT VALID"]))

    def unique(self):
        c = self._column(lambda c: c.kind.small)
        if not c:
            return None
        tail = self.rng.choice(["", "", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED"])
        return self._alter(f"ADD CONSTRAINT {quote(self.fresh('u'))} UNIQUE ({c.q}){tail}")

    def foreign_key(self):
        parent = self.other()
        if parent is None or len(parent.key) != 1 or not parent.has_conflict_target or \
                not parent.is_mirrored:
            return None
        key = parent.key[0]
        c = self._column(lambda c: c.kind.sql == key.kind.sql and c.role == "plain" and c.nullable)
        name = quote(self.fresh("fk"))
        action = self.rng.choice(["", " ON DELETE CASCADE", " ON DELETE SET NULL",
                                  " DEFERRABLE INITIALLY DEFERRED"])
        ends = f" REFERENCES {parent.q} ({key.q}){action}"
        if c and self.rng.random() < 0.7:
            clear = []
            if self.rng.random() < 0.5:
                clear = self._step(f"UPDATE {self.t.q} SET {c.q} = NULL")
            return clear + self._alter(f"ADD CONSTRAINT {name} FOREIGN KEY ({c.q}){ends}" +
                                       self.rng.choice(["", " NOT VALID"])
                                       * (not self.t.is_partitioned))
        new = quote(self.fresh("ref", {x.name for x in self.t.columns}))
        return self._alter(f"ADD COLUMN {new} {key.kind.sql}, ADD CONSTRAINT {name} "
                           f"FOREIGN KEY ({new}){ends}")

    def drop_constraint(self):
        able = [x for x in self.t.constraints if not x.is_inherited and x.kind in "ucfx"]
        if not able:
            return None
        name = quote(self.rng.choice(able).name)
        return self._alter(f"DROP CONSTRAINT {name}{self.rng.choice(['', ' CASCADE'])}")

    def rename_constraint(self):
        able = [x for x in self.t.constraints if not x.is_inherited]
        if not able:
            return None
        return self._alter(f"RENAME CONSTRAINT {quote(self.rng.choice(able).name)} TO "
                           f"{quote(self.fresh('con'))}")

    def validate(self):
        able = [x for x in self.t.constraints if not x.is_valid]
        if not able:
            return None
        return self._alter(f"VALIDATE CONSTRAINT {quote(self.rng.choice(able).name)}")

    # --- indexes and keys ----------------------------------------------------------------------
    def index(self):
        c, d = self._column(lambda c: c.kind.small), self._column()
        if not c:
            return None
        unique = "UNIQUE " if self.rng.random() < 0.2 else ""
        together = "CONCURRENTLY " if not self.in_transaction and not self.t.is_partitioned and \
            self.rng.random() < 0.2 else ""
        what = self.rng.choice([f"({c.q})", f"({c.q} DESC)", f"(({c.q} IS NULL))",
                                f"({c.q}) INCLUDE ({d.q})"])
        where = self.rng.choice(["", "", f" WHERE {d.q} IS NOT NULL", " WITH (fillfactor = 70)"])
        return self._step(f"CREATE {unique}INDEX {together}{quote(self.fresh('i'))} ON {self.t.q} "
                          f"{what}{where}")

    def drop_index(self):
        able = [i for i in self.t.all_indexes if not i.is_constraint and not i.is_attached]
        if not able:
            return None
        together = "CONCURRENTLY " if not self.in_transaction and self.rng.random() < 0.2 else ""
        return self._step(f"DROP INDEX {together}{self.rng.choice(able).q}")

    def rename_index(self):
        if not self.t.all_indexes:
            return None
        return self._step(f"ALTER INDEX {self.rng.choice(self.t.all_indexes).q} RENAME TO "
                          f"{quote(self.fresh('i'))}")

    def primary_key(self):
        """Another one, or none; what then stands for it comes with it mostly."""
        primary = next((x for x in self.t.constraints if x.kind == "p"), None)
        if primary is None:
            c = self._column(lambda c: c.kind.small)
            return self._alter(f"ADD CONSTRAINT {quote(self.fresh('pk'))} PRIMARY KEY ({c.q})") \
                if c else None
        if primary.is_inherited:
            return None
        drop = f"DROP CONSTRAINT {quote(primary.name)}{self.rng.choice(['', ' CASCADE'])}"
        c = self._column(lambda c: c.kind.small and not c.nullable and c not in self.t.key)
        if c and self.rng.random() < 0.5:
            columns = ", ".join(x.q for x in self.t.key[:1] + [c])
            return self._alter(f"{drop}, ADD CONSTRAINT {quote(self.fresh('pk'))} "
                               f"PRIMARY KEY ({columns})")
        return self._alter(drop) + (self._full() if self.rng.random() < 0.8 else [])

    def _full(self):
        found = []
        for name in [self.t.q] + self.t.leaves:
            found += self._alter("REPLICA IDENTITY FULL", name)
        return found

    def replica_identity(self):
        ways = ["FULL", "FULL", "DEFAULT"]
        ways += [f"USING INDEX {quote(i.name)}" for i in self.t.all_indexes if i.is_unique and
                 i.is_immediate and i.is_plain and i.is_valid and i.columns and
                 all(c and not c.nullable and c.name not in self.t.fixed for c in i.columns)] * 2
        if not any(i.is_primary and i.is_immediate for i in self.t.all_indexes):
            ways = [w for w in ways if w != "DEFAULT"]
        way = self.rng.choice(ways)
        if way == "FULL":
            return self._full()
        if self.t.is_partitioned and way != "DEFAULT":
            return None
        return [s for name in [self.t.q] + self.t.leaves
                for s in self._alter(f"REPLICA IDENTITY {way}", name)]

    # --- partitions ----------------------------------------------------------------------------
    def _children(self):
        return [p for p in self.t.parts if p[3] == 1]

    def _bound(self):
        """One that does not meet those that are there, if the key is of a kind that is known."""
        strategy, attnum = self.ask(
            "SELECT partstrat::text, partattrs[0] FROM pg_catalog.pg_partitioned_table "
            "WHERE partrelid = %s", self.t.oid)[0]
        c = next((c for c in self.t.columns if c.attnum == attnum), None)
        if c is None:
            return None
        if strategy == "l":
            kind = c.kind.sql
            return f"FOR VALUES IN ({literal(f'new {self.rng.randrange(10**4)}')})" \
                if kind in ("text",) or "char" in kind else None
        if strategy == "r" and c.kind.sql in ("integer", "bigint"):
            at = self.rng.randint(100, 10**6) * 10
            return f"FOR VALUES FROM ({at}) TO ({at + 10})"
        if strategy == "r" and c.kind.sql == "date":
            at = self.rng.randint(100, 10**4) * 10
            return (f"FOR VALUES FROM ('2024-01-01'::date + {at}) "
                    f"TO ('2024-01-01'::date + {at + 10})")
        return None

    def add_partition(self):
        bound = self._bound()
        if not bound:
            return None
        name = k.qualified(self.rng.choice(self.plan.schemas), self.fresh("p"))
        made = self._step(f"CREATE TABLE {name} PARTITION OF {self.t.q} {bound}")
        return made + self._identity_of(name)

    def _identity_of(self, name):
        """A partition's own: with a key it has one."""
        if self.t.identity == "f" or not self.t.key:
            return self._alter("REPLICA IDENTITY FULL", name)
        return []

    def detach(self):
        able = self._children()
        if not able:
            return None
        p = self.rng.choice(able)
        together = ""
        if not self.in_transaction and self.rng.random() < 0.15:
            together = " CONCURRENTLY"
        return self._alter(f"DETACH PARTITION {k.qualified(p[0], p[1])}{together}")

    def attach(self):
        """A table that was detached, or one with rows that is made for it."""
        bound = self._bound()
        if not bound:
            return None
        name = k.qualified(self.rng.choice(self.plan.schemas), self.fresh("at"))
        steps = self._step(f"CREATE TABLE {name} (LIKE {self.t.q} INCLUDING ALL)")
        steps += self._identity_of(name)
        return steps + self._alter(f"ATTACH PARTITION {name} {bound}")

    def drop_partition(self):
        able = self._children()
        if len(able) < 2:
            return None
        p = self.rng.choice(able)
        return self._step(f"DROP TABLE {k.qualified(p[0], p[1])}{self.rng.choice(['', ' CASCADE'])}")

    def truncate_partition(self):
        return self._step(f"TRUNCATE {self.rng.choice(self.t.leaves)}") if self.t.leaves else None

    def rename_partition(self):
        able = self._children()
        if not able:
            return None
        p = self.rng.choice(able)
        return self._alter(f"RENAME TO {quote(self.fresh('p'))}", k.qualified(p[0], p[1]))
