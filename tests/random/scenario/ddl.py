"""Random changes of a table's definition, made from what the table is at that moment."""
from . import kinds as k
from .ddl_parts import Parts
from .model import Step
from .names import LATIN, ODD, clip, literal, quote

# types that hold all values of another one, and others whose values are made from it
WIDER = {"smallint": ["integer", "bigint", "numeric"], "integer": ["bigint", "numeric"],
         "bigint": ["numeric"], "real": ["double precision"],
         "numeric(10,3)": ["numeric(20,5)", "numeric"],
         "varchar(12)": ["varchar(40)", "text"], "varchar(40)": ["text"], "date": ["timestamp"],
         "char(5)": ["text"], "cidr": ["inet"], "bit(9)": ["bit varying"], "name": ["text"]}
OTHER = {"integer": [("integer", "{} / 2"), ("smallint", "({} % 1000)::smallint"),
                     ("text", "{}::text")],
         "bigint": [("bigint", "-({} / 2)"), ("integer", "({} % 1000)::integer")],
         "smallint": [("smallint", "({} / 3)::smallint")],
         "text": [("text", "upper({})"), ("integer", "length({})"),
                  ("varchar(12)", "left({}, 12)")],
         "boolean": [("boolean", "NOT {}"), ("integer", "{}::integer")],
         "numeric": [("numeric", "{} + 1"), ("text", "{}::text")],
         "date": [("text", "{}::text")], "jsonb": [("json", "{}::json"), ("text", "{}::text")],
         "json": [("jsonb", "{}::jsonb")], "uuid": [("text", "{}::text")],
         "bytea": [("bytea", "{} || '\\x00'::bytea"), ("text", "encode({}, 'hex')")],
         "double precision": [("double precision", "-{}")]}
TARGETS = sorted({wider for kinds in WIDER.values() for wider in kinds} |
                 {other for kinds in OTHER.values() for other, _ in kinds})


class Ddl(Parts):
    """Each method gives the steps of one change of the table, or none when it cannot be."""
    # name: how often
    COLUMNS = {"add_column": 8, "drop_column": 4, "rename_column": 4, "swap_columns": 2,
               "retype": 5, "not_null": 4, "default": 3, "identity": 2, "drop_expression": 1, "storage": 1,
               "replace_column": 1}
    TABLES = {"rename_table": 1, "set_schema": 1, "comment": 1, "option": 1, "rewrite": 2,
              "truncate_restart": 1}
    PARTS = {"check": 3, "unique": 2, "foreign_key": 2, "drop_constraint": 3,
             "rename_constraint": 1, "validate": 1, "index": 4, "drop_index": 3, "rename_index": 1, "primary_key": 2,
             "replica_identity": 3}
    PARTITIONS = {"add_partition": 4, "detach": 3, "attach": 3, "drop_partition": 2,
                  "truncate_partition": 1, "rename_partition": 1}
    TYPES = {"enum_add": 4, "enum_rename": 1, "domain": 1}

    def __init__(self, rng, t, other, plan, in_transaction, ask):
        self.rng, self.t, self.other = rng, t, other
        self.plan, self.in_transaction, self.ask = plan, in_transaction, ask
        self.names = LATIN if plan.latin else ODD

    def some(self):
        names = {**self.TABLES, **self.PARTS, **self.TYPES}
        if self.t.is_mirrored:
            names.update(self.COLUMNS)
        if self.t.is_partitioned:
            names.update({n: 2 * w for n, w in self.PARTITIONS.items()})
        for _ in range(8):  # the first one that can be
            name = self.rng.choices(list(names), list(names.values()))[0]
            steps = getattr(self, name)()
            if steps:
                for s in steps:
                    s.label = name
                return steps
        return []

    # --- pieces --------------------------------------------------------------------------------
    def _step(self, *statements):
        return [Step(0, s, tables=frozenset(self.t.needs)) for s in statements]

    def _alter(self, what, table=None):
        return self._step(f"ALTER TABLE {table or self.t.q} {what}")

    def fresh(self, stem, taken=()):
        """A name that is new here; the server refuses the few that are not."""
        number = self.rng.randrange(1000)
        while True:
            name = f"{stem}{number}"
            if self.rng.random() < 0.4:
                name = self.rng.choice(self.names)
                if stem != "c":  # in a schema's name space odd ones would be used up
                    name = clip(f"{name} {stem}{number}")
            if name not in taken and name.isprintable() and name not in ("*", "excluded"):
                return name
            number += 1

    def _column(self, able=None):
        """One that is not left out by the mapping, and meets the condition."""
        found = [c for c in self.t.columns if c.name not in self.t.fixed and c.is_local and
                 (able is None or able(c))]
        return self.rng.choice(found) if found else None

    def _kind(self):
        small = [x for x in self.plan.kinds if x.sql in TARGETS]
        return self.rng.choice(small if small and self.rng.random() < 0.4 else self.plan.kinds)

    # --- columns -------------------------------------------------------------------------------
    def add_column(self):
        name = quote(self.fresh("c", {c.name for c in self.t.columns}))
        kind = self._kind()
        value = kind.value(self.rng)
        constant = "(SELECT" not in value
        ways = ["", "", "COLLATE"]
        if constant:
            ways += [f"DEFAULT ({value})"] * 2 + [f"NOT NULL DEFAULT ({value})"] * 3
        ways += ["integer GENERATED BY DEFAULT AS IDENTITY", "bigint GENERATED ALWAYS AS IDENTITY",
                 "integer DEFAULT (random() * 100)::integer", "bigserial",
                 "timestamptz NOT NULL DEFAULT clock_timestamp()", "timestamptz DEFAULT now()",
                 f"integer CHECK ({name} <> 7)", "text UNIQUE"]
        source = self._column(lambda c: c.kind.sql in ("integer", "text", "boolean") and
                              c.role == "plain")
        if source:
            made = {"integer": f"bigint GENERATED ALWAYS AS ({source.q} / 2) STORED",
                    "text": f"text GENERATED ALWAYS AS (left({source.q}, 9)) STORED",
                    "boolean": f"boolean GENERATED ALWAYS AS (NOT {source.q}) STORED"}
            ways += [made[source.kind.sql]] * 2
        way = self.rng.choice(ways)
        if way == "COLLATE":
            way = 'text COLLATE "C"'
        elif way == "" or way.startswith(("DEFAULT", "NOT NULL DEFAULT")):
            way = f"{kind.sql} {way}".rstrip()
        first = f"ADD COLUMN {name} {way}"
        if self.rng.random() < 0.15:  # several at once
            first += f", ADD COLUMN {quote(self.fresh('more'))} integer DEFAULT 5"
        return self._alter(first)

    def drop_column(self):
        c = self._column(lambda c: c not in self.t.key or self.rng.random() < 0.1)
        if not c:
            return None
        return self._alter(f"DROP COLUMN {c.q}{self.rng.choice(['', ' CASCADE'])}")

    def replace_column(self):
        """Dropped and added again, under its name."""
        c = self._column(lambda c: c not in self.t.key)
        if not c:
            return None
        kind = self.rng.choice([c.kind.sql, self._kind().sql])
        return self._alter(f"DROP COLUMN {c.q} CASCADE, ADD COLUMN {c.q} {kind}")

    def rename_column(self):
        c = self._column()
        if not c:
            return None
        to = quote(self.fresh("c", {x.name for x in self.t.columns}))
        return self._alter(f"RENAME COLUMN {c.q} TO {to}")

    def swap_columns(self):
        a, b = self._column(), self._column()
        if not a or a is b:
            return None
        spare = quote(self.fresh("swap", {c.name for c in self.t.columns}))
        if not self.in_transaction:
            return (self._step("BEGIN") + self._moves(a, b, spare) + self._step("COMMIT"))
        return self._moves(a, b, spare)

    def _moves(self, a, b, spare):
        return (self._alter(f"RENAME COLUMN {a.q} TO {spare}") +
                self._alter(f"RENAME COLUMN {b.q} TO {a.q}") +
                self._alter(f"RENAME COLUMN {spare} TO {b.q}"))

    def retype(self):
        c = self._column(lambda c: c.kind.sql in WIDER or c.kind.sql in OTHER)
        if not c:
            return None
        wider = WIDER.get(c.kind.sql)
        if wider and (c.kind.sql not in OTHER or self.rng.random() < 0.7):
            return self._alter(f"ALTER COLUMN {c.q} TYPE {self.rng.choice(wider)}")
        to, using = self.rng.choice(OTHER[c.kind.sql])
        default = "" if c.default is None else f"ALTER COLUMN {c.q} DROP DEFAULT, "
        return self._alter(f"{default}ALTER COLUMN {c.q} TYPE {to} USING {using.format(c.q)}")

    def not_null(self):
        c = self._column(lambda c: c not in self.t.key and not c.identity)
        if not c:
            return None
        if not c.nullable:
            return self._alter(f"ALTER COLUMN {c.q} DROP NOT NULL")
        set_it = self._alter(f"ALTER COLUMN {c.q} SET NOT NULL")
        if c.role == "plain" and not c.parent:
            value = c.pool[0] if c.pool else k.Kind.value(c.kind, self.rng)
            return self._step(f"UPDATE {self.t.q} SET {c.q} = {value} WHERE {c.q} IS NULL") + set_it
        return set_it

    def default(self):
        c = self._column(lambda c: c.role == "plain" and not c.identity)
        if not c:
            return None
        value = c.kind.value(self.rng)
        if c.default is not None and self.rng.random() < 0.5 or "(SELECT" in value:
            return self._alter(f"ALTER COLUMN {c.q} DROP DEFAULT")
        return self._alter(f"ALTER COLUMN {c.q} SET DEFAULT ({value})")

    def identity(self):
        c = self._column(lambda c: c.identity)
        if c and self.rng.random() < 0.7:
            return self._alter(f"ALTER COLUMN {c.q} " + self.rng.choice(
                ["DROP IDENTITY", "SET GENERATED ALWAYS", "SET GENERATED BY DEFAULT",
                 "SET INCREMENT 5", f"RESTART WITH {self.rng.randint(100, 10**6)}"]))
        c = self._column(lambda c: c.kind.sql in ("integer", "bigint", "smallint") and
                         not c.nullable and c.role == "plain" and c.default is None)
        if not c:
            return None
        return self._alter(f"ALTER COLUMN {c.q} ADD GENERATED " +
                           self.rng.choice(["ALWAYS", "BY DEFAULT"]) + " AS IDENTITY")

    def drop_expression(self):
        c = self._column(lambda c: c.role == "generated")
        return self._alter(f"ALTER COLUMN {c.q} DROP EXPRESSION") if c else None

    def storage(self):
        c = self._column(lambda c: c.kind.is_text)
        if not c:
            return None
        return self._alter(f"ALTER COLUMN {c.q} SET STORAGE " +
                           self.rng.choice(["EXTERNAL", "MAIN", "EXTENDED"]))

    # --- the table -----------------------------------------------------------------------------
    def rename_table(self):
        return self._alter(f"RENAME TO {quote(self.fresh('t'))}")

    def set_schema(self):
        able = [s for s in self.plan.schemas if s != self.t.schema]
        return self._alter(f"SET SCHEMA {quote(self.rng.choice(able))}") if able else None

    def comment(self):
        c = self._column()
        on = f"TABLE {self.t.q}" if not c or self.rng.random() < 0.5 else f"COLUMN {self.t.q}.{c.q}"
        text = self.rng.choice(["NULL", literal(f"it's {self.rng.randrange(99)}")])
        return self._step(f"COMMENT ON {on} IS {text}")

    def option(self):
        if self.t.is_partitioned:
            return None
        return self._alter(self.rng.choice(["SET (fillfactor = 55)", "RESET (fillfactor)",
                                            "SET (autovacuum_enabled = false)",
                                            "RESET (autovacuum_enabled)"]))

    def rewrite(self):
        """What writes all rows anew and changes none."""
        if self.t.is_partitioned:
            return None
        index = [i for i in self.t.all_indexes if i.is_valid and i.is_plain]
        ways = []
        if not self.in_transaction:
            ways = [f"VACUUM (FULL) {self.t.q}", f"VACUUM (FREEZE) {self.t.q}"]
        if index:
            name = quote(self.rng.choice(index).name)
            ways += [f"CLUSTER {self.t.q} USING {name}", f"REINDEX TABLE {self.t.q}"]
        return self._step(self.rng.choice(ways)) if ways else None

    def truncate_restart(self):
        tail = self.rng.choice(["", " CASCADE", " CASCADE"])
        return self._step(f"TRUNCATE {self.t.q} RESTART IDENTITY{tail}")

    # --- types ---------------------------------------------------------------------------------
    def _labels(self, c):
        return [r[0] for r in self.ask("SELECT enumlabel::text FROM pg_catalog.pg_enum WHERE "
                                       "enumtypid = %s ORDER BY enumsortorder", c.typid)]

    def enum_add(self):
        c = self._column(lambda c: c.kind.sql in self.plan.enums)
        if not c:
            return None
        labels = self._labels(c)
        label = literal(f"label {self.rng.randrange(1000)}")
        where = self.rng.choice(["", "BEFORE", "AFTER"])
        where = f" {where} {literal(self.rng.choice(labels))}" if where else ""
        return self._step(f"ALTER TYPE {c.kind.sql} ADD VALUE {label}{where}")

    def enum_rename(self):
        c = self._column(lambda c: c.kind.sql in self.plan.enums)
        if not c:
            return None
        was = self.rng.choice(self._labels(c))
        return self._step(f"ALTER TYPE {c.kind.sql} RENAME VALUE {literal(was)} TO "
                          f"{literal(f'renamed {self.rng.randrange(1000)}')}")

    def domain(self):
        c = self._column(lambda c: c.kind.sql in self.plan.domains)
        if not c:
            return None
        name = quote(f"dc{self.rng.randrange(1000)}")
        return self._step(f"ALTER DOMAIN {c.kind.sql} " + self.rng.choice(
            [f"ADD CONSTRAINT {name} CHECK (VALUE IS NULL OR VALUE::text <> 'never')",
             f"ADD CONSTRAINT {name} CHECK (VALUE::text <> 'never') NOT VALID",
             "SET DEFAULT NULL", "DROP DEFAULT"]))
